//! A delivery: one document that came over a protocol, made into events that are ready to be appended; pure.

use lineage_store::erasure::Keys;
use lineage_store::event::{Event, Prepared, Refusal, prepare_into};

use crate::openlineage;

/// The protocols whose documents are events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The native format of EVENTS.md.
    Native,
    /// `OpenLineage`.
    OpenLineage,
}

/// Who sends, and how what is sent is kept.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The actor of events that name none.
    pub actor: &'a str,
    /// Who was authenticated.
    pub principal: Option<&'a str>,
    /// The facets that are always moved to payload storage.
    pub seal: &'a [String],
    /// What is moved out of events is sealed under these.
    pub keys: &'a Keys,
}

/// The elements of a list; anything but a list is refused.
pub fn list(bytes: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    if bytes.trim_ascii_start().first() != Some(&b'[') {
        return Err(Refusal::whole("must be a list of events"));
    }
    openlineage::split(bytes)
}

/// The lines of a text that are not empty; a text that begins with a bracket on its first line alone is one document.
pub fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let bytes = bytes.trim_ascii();
    let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii();
    if first == b"{" {
        return vec![bytes];
    }
    bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect()
}

/// Whether bytes are JSON at all, whatever it says.
pub fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// The events of one document, the one that it says first.
pub fn events(bytes: &[u8], protocol: Protocol, sender: &Sender<'_>) -> Result<Vec<Event>, Refusal> {
    let mut events = match protocol {
        Protocol::Native => vec![*Event::parse(bytes, sender.actor)?],
        Protocol::OpenLineage => {
            openlineage::translate(bytes, &openlineage::Config { caller: sender.actor.to_owned() })?
        }
    };
    for event in &mut events {
        event.principal = sender.principal.map(str::to_owned);
    }
    Ok(events)
}

/// Makes the events of one document ready to be appended; `bytes` are the document as it was received.
pub fn prepared(events: Vec<Event>, bytes: &[u8], sender: &Sender<'_>) -> Result<Vec<Prepared>, Refusal> {
    let mut prepared = Vec::with_capacity(events.len());
    for event in events {
        prepare_into(&mut prepared, Box::new(event), bytes, sender.seal, sender.keys)?;
    }
    Ok(prepared)
}
