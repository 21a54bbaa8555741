//! The spool: documents that wait, written with what is needed to read them again, and drained by the next writer.

use std::path::{Path, PathBuf};

use lineage_store::digest::{from_hex, to_hex};
use lineage_store::erasure::Keys;
use lineage_store::event::{Leaf, Prepared, prepare};
use lineage_store::journal::{Reject, RejectFile, Spool};
use lineage_store::time::Time;
use lineage_store::{Appended, Store, StoreError, read_leaf};
use serde::{Deserialize, Serialize};

use super::translate::{self, Item, Parsed, Settings};
use super::{Format, Options, Rejection};

/// Draining appends so many documents at once.
const BATCH: usize = 2048;
/// The word for an event of our own, kept as its leaf.
const LEAF: &str = "leaf";

/// One line of a spool file.
#[derive(Serialize, Deserialize)]
struct Row {
    format: String,
    actor: String,
    source: String,
    line: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// For what is no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

/// What was drained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Documents that are recorded now, or were before.
    pub recorded: u64,
    /// Documents that were refused and are in the reject file.
    pub refused: u64,
    /// That file.
    pub rejects: Option<PathBuf>,
}

pub(super) fn folder(store: &Store) -> Spool {
    Spool::new(&store.layout().part("spool"))
}

pub(super) fn reject_path(store: &Store, name: &str) -> PathBuf {
    store.layout().part("rejects").join(format!("{name}.ndjson"))
}

/// Why an event was not appended; `None` if it was, now or before.
pub(super) fn reason_of(appended: &Appended) -> Option<String> {
    match appended {
        Appended::Recorded(_) | Appended::Duplicate(_) => None,
        Appended::Conflict(position) => {
            Some(format!("another event with the same id and other content is recorded at #{position}"))
        }
        Appended::Refused(refusal) => Some(refusal.to_string()),
    }
}

/// Writes documents of a batch as one durable file.
pub(super) fn write(
    store: &Store,
    name: &str,
    parsed: &Parsed,
    items: &[&Item],
    options: &Options<'_>,
) -> Result<PathBuf, StoreError> {
    let mut lines = Vec::new();
    for item in items {
        let bytes = &parsed.bytes[item.start..item.end];
        let text = std::str::from_utf8(bytes).ok().map(str::to_owned);
        let row = Row {
            format: item.format.as_str().to_owned(),
            actor: options.actor.clone(),
            source: options.source.clone(),
            line: item.line,
            hex: text.is_none().then(|| to_hex(bytes)),
            text,
        };
        add(&mut lines, &row);
    }
    folder(store).write(name, &lines)
}

/// Writes the leaves of events of our own, each with its actor, as one durable file.
pub(super) fn write_leaves(store: &Store, name: &str, leaves: &[(&str, Leaf)]) -> Result<PathBuf, StoreError> {
    let mut lines = Vec::new();
    for (line, (actor, leaf)) in (1..).zip(leaves) {
        let text = Some(String::from_utf8_lossy(leaf.as_bytes()).into_owned());
        let (format, source) = (LEAF.to_owned(), "-".to_owned());
        add(&mut lines, &Row { format, actor: (*actor).to_owned(), source, line, text, hex: None });
    }
    folder(store).write(name, &lines)
}

fn add(lines: &mut Vec<u8>, row: &Row) {
    // A row of strings and numbers is always valid JSON.
    lines.extend(serde_json::to_vec(row).unwrap_or_default());
    lines.push(b'\n');
}

/// Appends what waits in the spool, oldest first; what is refused goes to a reject file.
///
/// If the lock is not had, everything stays as it is. `name` is that of a reject file.
pub fn drain_spool(
    store: &Store,
    seal: &[String],
    keys: &Keys,
    name: &str,
    now: &dyn Fn() -> Time,
    on_refused: &mut dyn FnMut(Rejection),
) -> Result<Drained, StoreError> {
    let spool = folder(store);
    let mut drain = Drain { store, seal, keys, name, now, on_refused, drained: Drained::default() };
    for path in spool.files()? {
        match drain.file(&path) {
            Ok(()) => {}
            Err(StoreError::Locked { .. }) => break,
            Err(error) => return Err(error),
        }
        match spool.remove(&path) {
            Ok(()) => {}
            // Another process drained it at the same time; its events were recorded once.
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(drain.drained)
}

struct Drain<'a> {
    store: &'a Store,
    seal: &'a [String],
    keys: &'a Keys,
    name: &'a str,
    now: &'a dyn Fn() -> Time,
    on_refused: &'a mut dyn FnMut(Rejection),
    drained: Drained,
}

impl Drain<'_> {
    fn file(&mut self, path: &Path) -> Result<(), StoreError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(StoreError::Io { action: "read", path: path.to_owned(), source }),
        };
        let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
        for lines in lines.chunks(BATCH) {
            self.lines(path, lines)?;
        }
        Ok(())
    }

    fn lines(&mut self, path: &Path, lines: &[&[u8]]) -> Result<(), StoreError> {
        let mut events = Vec::with_capacity(lines.len());
        let mut counts = Vec::with_capacity(lines.len());
        for line in lines {
            let row = serde_json::from_slice::<Row>(line).map_err(|error| format!("is no line of a spool: {error}"));
            let count = match &row {
                Ok(row) => self.read(row, &mut events),
                Err(reason) => Err(reason.clone()),
            };
            counts.push((row.ok(), count));
        }
        let appended = if events.is_empty() { Vec::new() } else { self.store.append(events, (self.now)())? };
        let mut results = appended.as_slice();
        for ((row, count), line) in counts.into_iter().zip(lines) {
            let reason = match count {
                Err(reason) => Some(reason),
                Ok(n) => {
                    let (own, rest) = results.split_at(n.min(results.len()));
                    results = rest;
                    own.iter().find_map(reason_of)
                }
            };
            match reason {
                None => self.drained.recorded += 1,
                Some(reason) => self.reject(path, row.as_ref(), line, &reason)?,
            }
        }
        Ok(())
    }

    fn read(&self, row: &Row, events: &mut Vec<Prepared>) -> Result<usize, String> {
        let bytes = match (&row.text, &row.hex) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(hex)) => from_hex(hex.as_bytes()).ok_or("`hex` is no hex")?,
            (None, None) => return Err("has neither `text` nor `hex`".to_owned()),
        };
        if row.format == LEAF {
            let (event, ..) = read_leaf(&bytes, true).map_err(|error| error.to_string())?;
            let mut prepared = prepare(event, &bytes, self.seal, self.keys).map_err(|refusal| refusal.to_string())?;
            let n = prepared.len();
            events.append(&mut prepared);
            return Ok(n);
        }
        let settings = Settings {
            format: row.format.parse()?,
            actor: row.actor.clone(),
            seal: self.seal.to_vec(),
            keys: self.keys.clone(),
            strict: false,
        };
        translate::one(&bytes, &settings, &mut Format::Native, events).map_err(|refusal| refusal.to_string())
    }

    fn reject(&mut self, path: &Path, row: Option<&Row>, line: &[u8], reason: &str) -> Result<(), StoreError> {
        let source = row.map_or_else(|| path.display().to_string(), |row| row.source.clone());
        let number = row.map_or(1, |row| row.line);
        let raw = row.and_then(|row| row.text.as_deref()).map_or(line, str::as_bytes);
        let rejects = reject_path(self.store, self.name);
        RejectFile::open(&rejects)?.append(&[Reject { reason, source: &source, line: number, raw }])?;
        self.drained.refused += 1;
        self.drained.rejects = Some(rejects);
        (self.on_refused)(Rejection { source, line: number, reason: reason.to_owned() });
        Ok(())
    }
}
