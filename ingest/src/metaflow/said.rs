//! What an event is in the terms of the service: a small facet, beside what the client sent.

use lineage_store::Result;
use lineage_store::event::{Event, Json, Kind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::NAMESPACE;
use super::denied::Denied;
use super::place::Place;

/// The facet that says what the event is.
const FACET: &str = "metaflow";
/// The facet with what the client sent.
const SENT: &str = "sent";
/// The facet with the tasks that an attempt follows, as `RUN/STEP/TASK`.
const FOLLOWS: &str = "follows";

/// The facets of an event.
#[derive(Serialize)]
struct Facets<'a> {
    metaflow: &'a Said,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    follows: Option<&'a [String]>,
}

/// What an event kept, beside what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// What the client sent.
    pub sent: Option<String>,
    /// The tasks that an attempt follows, where it begins.
    pub(super) follows: Option<Vec<String>>,
}

/// What an event is in the terms of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    /// What it says.
    pub(super) says: Says,
    /// Of what.
    #[serde(flatten)]
    pub(super) place: Place,
}

/// What is said of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Says {
    /// A flow is there.
    Flow,
    /// A run began.
    Run,
    /// A step of a run was reached.
    Step,
    /// A task was scheduled.
    Task,
    /// A task has rows of metadata.
    Metadata,
    /// A task has artifacts.
    Artifacts,
    /// A run is done, as its last step ended well.
    Done,
}

impl Said {
    /// What an event says; `None` if it does not come from this protocol.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let members = event.facets.members();
        let (_, text) = members.iter().find(|(key, _)| key == FACET)?;
        serde_json::from_str(text).ok()
    }
}

impl Says {
    /// The facets of an event that says this of a place: what was sent for it, and where an attempt begins, what that
    /// follows.
    pub(super) fn facets(
        self,
        place: &Place,
        sent: Option<&str>,
        follows: Option<&[String]>,
    ) -> std::result::Result<Json, Denied> {
        let wrong = |error: serde_json::Error| Denied::Malformed(error.to_string());
        let sent = sent.map(serde_json::from_str::<&RawValue>).transpose().map_err(wrong)?;
        let said = Said { says: self, place: place.clone() };
        let text = serde_json::to_string(&Facets { metaflow: &said, sent, follows }).map_err(wrong)?;
        Json::canonical(&text).map_err(Denied::Malformed)
    }
}

/// An event of this protocol.
pub(super) fn event(kind: Kind, actor: impl Into<String>) -> Event {
    Event { namespace: NAMESPACE.to_owned(), ..Event::new(kind, actor) }
}

impl Kept {
    /// Reads it; `outlined` reads what was moved out of the event, as very large rows and long lists are.
    pub fn of(event: &Event, outlined: impl FnOnce() -> Result<Vec<(String, Vec<u8>)>>) -> Result<Self> {
        let mut kept = Self::default();
        for (key, text) in event.facets.members() {
            kept.take(&key, text);
        }
        if !event.outlined.is_empty() {
            for (path, bytes) in outlined()? {
                let key = path.strip_prefix("facets.").unwrap_or_default();
                kept.take(key, std::str::from_utf8(&bytes).unwrap_or_default());
            }
        }
        Ok(kept)
    }

    fn take(&mut self, key: &str, text: &str) {
        match key {
            SENT => self.sent = Some(text.to_owned()),
            FOLLOWS => self.follows = serde_json::from_str(text).ok(),
            _ => {}
        }
    }
}
