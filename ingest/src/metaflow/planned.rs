//! What a write comes to: events to be recorded together, and what is answered once they are durable.

use lineage_store::event::Event;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::denied::Denied;
use super::place::Place;

/// Rows of so many bytes stand in one event, so that none is moved out of it but a single row that is larger.
const ROWS_BYTES_MAX: usize = 12 * 1024;

/// What a request that writes comes to.
pub(super) type Plan = Result<Planned, Denied>;

/// A write that is allowed.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Where what it makes is, or what it says something of.
    pub place: Place,
    /// The events, each with what was received for it: the same again is the same event, where it has no id of its own.
    pub events: Vec<(Event, Vec<u8>)>,
    /// How many rows it adds.
    pub n_rows: usize,
    /// Whether it makes what must not be there: if its first event is recorded already, it is to be planned again.
    pub is_new: bool,
}

impl Planned {
    /// Nothing yet.
    pub(super) fn new(place: Place) -> Self {
        Self { place, events: Vec::new(), n_rows: 0, is_new: false }
    }

    /// Something new.
    pub(super) fn made(place: Place, what: &str, sent: &str, event: Event) -> Result<Self, Denied> {
        place.check()?;
        let mut planned = Self { is_new: true, ..Self::new(place) };
        planned.add(what, sent, event)?;
        Ok(planned)
    }

    /// Adds an event, with what was sent for it.
    pub(super) fn add(&mut self, what: &str, sent: &str, event: Event) -> Result<(), Denied> {
        event.check()?;
        let received = format!("{} {what}\n{sent}", self.place.spec());
        self.events.push((event, received.into_bytes()));
        Ok(())
    }
}

/// Cuts rows into groups that fit one event and belong to one attempt, in their order.
pub(super) fn groups<T>(rows: Vec<T>, attempt: impl Fn(&T) -> Option<u32>, text: impl Fn(&T) -> &str) -> Vec<Vec<T>> {
    let mut groups: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for row in rows {
        let size = text(&row).len();
        match groups.last_mut() {
            Some(group) if bytes + size <= ROWS_BYTES_MAX && group.last().map(&attempt) == Some(attempt(&row)) => {
                bytes += size;
                group.push(row);
            }
            _ => {
                bytes = size;
                groups.push(vec![row]);
            }
        }
    }
    groups
}

/// What Netflix's service has where a row says nothing.
pub(super) fn blank() -> String {
    " ".to_owned()
}

/// The rows of a body, each as it was sent.
pub(super) fn rows(body: &[u8]) -> Result<Vec<&RawValue>, Denied> {
    serde_json::from_slice(body).map_err(|error| Denied::Malformed(format!("the body must be a list of rows: {error}")))
}

/// What rows say, each beside its text.
pub(super) fn read<'a, T: Deserialize<'a>>(rows: Vec<&'a RawValue>) -> Result<Vec<(&'a str, T)>, Denied> {
    let one = |(n, row): (usize, &'a RawValue)| {
        let text = row.get();
        if !text.starts_with('{') {
            return Err(Denied::Malformed(format!("row {n} must be an object")));
        }
        let read = serde_json::from_str(text).map_err(|error| Denied::Malformed(format!("row {n}: {error}")))?;
        Ok((text, read))
    };
    rows.into_iter().enumerate().map(one).collect()
}

/// Rows as a list again.
pub(super) fn list<'a>(rows: impl Iterator<Item = &'a str>) -> String {
    let rows: Vec<&str> = rows.collect();
    format!("[{}]", rows.join(","))
}
