//! From the bytes of a document to events that are ready to be appended; pure, so that threads can share it.

use lineage_store::erasure::Keys;
use lineage_store::event::{Event, Prepared, Refusal, prepare_into};

use super::documents::Batch;
use super::{Format, Options};
use crate::openlineage;

/// What every document of a source is read with.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) format: Format,
    pub(super) actor: String,
    pub(super) seal: Vec<String>,
    pub(super) keys: Keys,
    /// Whether nothing is wanted after the first refusal.
    pub(super) strict: bool,
}

impl Settings {
    pub(super) fn of(options: &Options<'_>) -> Self {
        Self {
            format: options.format,
            actor: options.actor.clone(),
            seal: options.seal.clone(),
            keys: options.keys.clone(),
            strict: options.strict,
        }
    }
}

/// One event as it was received.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) line: u64,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The format it turned out to have.
    pub(super) format: Format,
    /// How many of the events of the batch came from it, or why there are none.
    pub(super) result: Result<usize, String>,
}

/// A batch after translation.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) bytes: Vec<u8>,
    pub(super) items: Vec<Item>,
    /// The events of all items, in order.
    pub(super) events: Vec<Prepared>,
}

/// Translates a batch; `last` is the format of the document before, which is tried first.
pub(super) fn batch(batch: Batch, settings: &Settings, last: &mut Format) -> Parsed {
    let mut parsed = Parsed {
        items: Vec::with_capacity(batch.documents.len()),
        events: Vec::with_capacity(batch.documents.len()),
        bytes: Vec::new(),
    };
    for document in batch.documents {
        let bytes = &batch.bytes[document.start..document.end];
        let mut add = |start: usize, end: usize, result: Result<usize, String>, format: Format| {
            parsed.items.push(Item { line: document.line, start, end, format, result });
        };
        if let Some(flaw) = document.flaw {
            add(document.start, document.end, Err(flaw), *last);
        } else if bytes.first() == Some(&b'[') {
            match openlineage::split(bytes) {
                Ok(parts) => {
                    for part in parts {
                        let start = part.as_ptr() as usize - batch.bytes.as_ptr() as usize;
                        let result = one(part, settings, last, &mut parsed.events);
                        add(start, start + part.len(), result.map_err(|r| r.to_string()), *last);
                    }
                }
                Err(refusal) => add(document.start, document.end, Err(refusal.to_string()), *last),
            }
        } else {
            let result = one(bytes, settings, last, &mut parsed.events);
            add(document.start, document.end, result.map_err(|r| r.to_string()), *last);
        }
        if settings.strict && parsed.items.last().is_some_and(|item| item.result.is_err()) {
            break;
        }
    }
    parsed.bytes = batch.bytes;
    parsed
}

/// Translates good documents a second time.
pub(super) fn again(bytes: &[u8], items: &[Item], options: &Options<'_>) -> Vec<Prepared> {
    let settings = Settings::of(options);
    let mut events = Vec::new();
    for item in items.iter().filter(|item| item.result.is_ok()) {
        // What was good once is good again.
        drop(one(&bytes[item.start..item.end], &settings, &mut item.format.clone(), &mut events));
    }
    events
}

/// Translates one document and adds its events; how many they are.
pub(super) fn one(
    bytes: &[u8],
    settings: &Settings,
    last: &mut Format,
    events: &mut Vec<Prepared>,
) -> Result<usize, Refusal> {
    let before = events.len();
    let mut add = |event| prepare_into(events, event, bytes, &settings.seal, &settings.keys);
    let added = match settings.format {
        Format::Native => native(bytes, settings, &mut add),
        Format::OpenLineage => foreign(bytes, settings, &mut add),
        Format::Auto => either(bytes, settings, last, &mut add),
    };
    match added {
        Ok(()) => Ok(events.len() - before),
        Err(refusal) => {
            // Nothing of a refused document is kept.
            events.truncate(before);
            Err(refusal)
        }
    }
}

/// Takes one event of a document.
type Add<'a> = &'a mut dyn FnMut(Box<Event>) -> Result<(), Refusal>;

fn native(bytes: &[u8], settings: &Settings, add: Add<'_>) -> Result<(), Refusal> {
    Event::parse(bytes, &settings.actor).and_then(add)
}

fn foreign(bytes: &[u8], settings: &Settings, add: Add<'_>) -> Result<(), Refusal> {
    let events = openlineage::translate(bytes, &openlineage::Config { caller: settings.actor.clone() })?;
    events.into_iter().map(Box::new).try_for_each(add)
}

/// No document is valid in both formats: one needs `v`, the other must not have it.
fn either(bytes: &[u8], settings: &Settings, last: &mut Format, add: Add<'_>) -> Result<(), Refusal> {
    if *last == Format::OpenLineage && openlineage::looks_like(bytes) {
        return foreign(bytes, settings, add);
    }
    match Event::parse(bytes, &settings.actor) {
        Err(_) if openlineage::looks_like(bytes) => {
            *last = Format::OpenLineage;
            foreign(bytes, settings, add)
        }
        event => {
            *last = Format::Native;
            event.and_then(add)
        }
    }
}
