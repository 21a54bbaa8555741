//! What is kept outside of events, whose it is, and whether its erasure is on hold.

use crate::digest::Blake3;
use crate::error::Result;
use crate::event::{About, Event, Json, Kind, Refusal};
use crate::graph::View;
use crate::store::{Store, read_leaf};
use crate::time::Time;

/// A value that stands outside of the event which names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The event.
    pub position: u64,
    /// Its namespace.
    pub namespace: String,
    /// Its id.
    pub id: String,
    /// `facets.NAME`, `params.NAME`..., or `outputs.N` for the bytes of an output.
    pub path: String,
    /// The digest of the sealed bytes.
    pub digest: Blake3,
    /// Whose it is; `None` for what was only too large, or on the seal list.
    pub subject: Option<String>,
}

impl Kept {
    /// Whether the erasure of a subject concerns it; `event:ID` names what an event keeps of nobody.
    pub(super) fn is_of(&self, subject: &str) -> bool {
        match &self.subject {
            Some(own) => own == subject,
            None => subject.strip_prefix("event:") == Some(&self.id),
        }
    }
}

/// An erasure that is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldState {
    /// The event that holds it back.
    pub position: u64,
    /// Why.
    pub reason: String,
    /// Until when; `None`: until it is released.
    pub until: Option<Time>,
}

impl Store {
    /// Calls for every value that recorded events keep outside of themselves, by position.
    pub fn kept(&self, each: &mut dyn FnMut(Kept) -> Result<()>) -> Result<()> {
        let count = self.head()?.count;
        self.journal().read_from(0, count, &mut |record| {
            if !has(record.leaf, "\"outlined\":{") && !has(record.leaf, "\"sealed\":{") {
                return Ok(());
            }
            let (event, id, _) = read_leaf(record.leaf, false)?;
            for kept in of_event(record.position, &event, &id) {
                each(kept)?;
            }
            Ok(())
        })
    }

    /// The bytes of a value that stands outside of its event; `None` if they or their key are gone.
    pub fn reveal(&self, keys: &super::Keys, kept: &Kept) -> Result<Option<Vec<u8>>> {
        let Some(sealed) = self.payloads().get(&kept.digest)? else { return Ok(None) };
        opened(keys, kept, &sealed)
    }

    /// Keeps bytes under a subject, durable when this returns; the entry of the event that is to name them.
    pub fn keep(&self, keys: &super::Keys, of: &Event, path: &str, subject: &str, bytes: &[u8]) -> Result<Json> {
        let aad = super::aad(&of.namespace, of.id.as_deref().unwrap_or_default(), path);
        let sealed = super::seal(&keys.key(Some(subject))?, &aad, bytes, keys.chance());
        let digest = Blake3::of(&sealed);
        self.payloads().put(&digest, &sealed)?;
        let entry =
            serde_json::json!({ path: { "digest": digest.to_string(), "size": bytes.len(), "subject": subject } });
        Json::from_value(&entry).map_err(|what| Refusal::at("sealed", what).into())
    }

    /// What one event keeps outside of itself.
    pub fn kept_by(&self, position: u64) -> Result<Vec<Kept>> {
        let record = self.journal().get(position)?;
        let (event, id, _) = read_leaf(&record.leaf, false)?;
        Ok(of_event(position, &event, &id))
    }

    /// The values that were moved out of an event and belong to nobody, by their paths; without those that are gone.
    pub fn outlined(&self, keys: &super::Keys, position: u64) -> Result<Vec<(String, Vec<u8>)>> {
        let kept = self.kept_by(position)?.into_iter().filter(|kept| kept.subject.is_none());
        let opened = kept.map(|kept| Ok(self.reveal(keys, &kept)?.map(|bytes| (kept.path, bytes))));
        opened.filter_map(Result::transpose).collect()
    }

    /// What holds the erasure of a subject back at an instant, if anything does; the latest word counts.
    pub fn hold_of(&self, view: &View, subject: &str, now: Time) -> Result<Option<HoldState>> {
        let mut latest: Option<((Time, u32), Option<HoldState>)> = None;
        for position in view.events_of_kind(Kind::Hold).into_iter().filter(|event| !view.is_hidden(*event)) {
            let record = self.journal().get(position.into())?;
            let (event, ..) = read_leaf(&record.leaf, false)?;
            let at = (view.time(position), position);
            if event.args.text("subject").as_deref() != Some(subject) || latest.as_ref().is_some_and(|(l, _)| *l > at) {
                continue;
            }
            let until = event.args.time("until");
            let holds = !event.args.flag("release") && until.is_none_or(|until| until > now);
            let reason = event.args.text("reason").unwrap_or_default();
            latest = Some((at, holds.then(|| HoldState { position: position.into(), reason, until })));
        }
        Ok(latest.and_then(|(_, state)| state))
    }

    /// The recorded erasures: position and subject. Taking one back brings nothing back, so retractions do not count.
    pub(super) fn erasures(&self) -> Result<Vec<(u64, String)>> {
        let mut found = Vec::new();
        let count = self.head()?.count;
        self.journal().read_from(0, count, &mut |record| {
            if has(record.leaf, "\"kind\":\"erase\"") {
                let (event, ..) = read_leaf(record.leaf, false)?;
                if event.kind == Kind::Erase {
                    found.extend(event.args.text("subject").map(|subject| (record.position, subject)));
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// The text of sealed bytes; `None` if their key is gone, or they are not those of this place.
pub(super) fn opened(keys: &super::Keys, kept: &Kept, sealed: &[u8]) -> Result<Option<Vec<u8>>> {
    let Some(key) = keys.find(kept.subject.as_deref())? else { return Ok(None) };
    let aad = super::aad(&kept.namespace, &kept.id, &kept.path);
    Ok(super::open(&key, &aad, sealed))
}

/// What an event keeps outside of itself: what the store moved out has a size, what an emitter only names has none.
fn of_event(position: u64, event: &Event, id: &str) -> Vec<Kept> {
    let mut kept = Vec::new();
    for (is_sealed, json) in [(false, &event.outlined), (true, &event.sealed)] {
        for (path, value) in json.members() {
            let Some((digest, subject)) = entry(value, is_sealed) else { continue };
            let (namespace, id) = (event.namespace.clone(), id.to_owned());
            kept.push(Kept { position, namespace, id, path: path.into_owned(), digest, subject });
        }
    }
    kept
}

fn entry(value: &str, is_sealed: bool) -> Option<(Blake3, Option<String>)> {
    let value: serde_json::Value = serde_json::from_str(value).ok()?;
    value.get("size")?;
    let digest = value.get("digest")?.as_str()?.strip_prefix("b3:").and_then(Blake3::from_hex)?;
    let subject = value.get("subject").and_then(|subject| subject.as_str()).map(str::to_owned);
    (subject.is_some() == is_sealed).then_some((digest, subject))
}

/// Whether a leaf has a part; what is no text may have any, and is for its reader to judge.
pub(super) fn has(leaf: &[u8], part: &str) -> bool {
    // The search of the standard library in texts compares sixteen bytes at once.
    std::str::from_utf8(leaf).map_or(true, |leaf| leaf.contains(part))
}

/// The digests of everything that an event names.
pub(super) fn digests_of(event: &Event) -> Vec<Blake3> {
    let inputs = event.inputs.iter().map(|input| &input.reference);
    let outputs = event.outputs.iter().map(|output| &output.reference);
    let about = event.about.iter().filter_map(|about| match about {
        About::Thing(reference) => Some(reference),
        _ => None,
    });
    let references = inputs.chain(outputs).chain(about);
    let digests = references.flat_map(|reference| reference.digest.iter().chain(&reference.digests));
    digests.filter_map(|digest| digest.text().strip_prefix("b3:").and_then(Blake3::from_hex)).collect()
}

/// The values that an event keeps under subjects.
pub(crate) fn sealed_in(sealed: &Json) -> Vec<(Blake3, String)> {
    let entries = sealed.members().into_iter().filter_map(|(_, value)| entry(value, true));
    entries.filter_map(|(digest, subject)| Some((digest, subject?))).collect()
}
