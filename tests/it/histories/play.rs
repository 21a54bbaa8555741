//! Plays a history into a store in different ways, and tells what it comes to.

use std::path::Path;

use lineage_store::erasure::Keys;
use lineage_store::event::{Event, Json, Prepared, prepare};
use lineage_store::time::Time;
use lineage_store::{Appended, Store};

use super::dump::{dump, view_at};
use super::notation::{History, Sent};

pub(crate) const SEED: [u8; 32] = [7; 32];

/// What became of each event that was sent, where it was not simply recorded.
pub(crate) type Outcomes = Vec<String>;

/// How a history is played: what happens to the store between two events.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Play {
    /// Nothing.
    Plain,
    /// One call appends all events that share an instant.
    Together,
    /// The index is sealed after every so many events.
    Seal(usize),
    /// The store is opened anew, and the index sealed before that after every so many events; 0 never.
    Reopen(usize),
    /// The store is closed and opened anew.
    Close,
}

pub(crate) fn parse(sent: &Sent) -> Result<Vec<Prepared>, String> {
    let event = Event::parse(sent.line.as_bytes(), "ana").map_err(|r| r.to_string())?;
    prepare(event, sent.line.as_bytes(), &[], &Keys::of_seed(SEED)).map_err(|r| r.to_string())
}

/// The event comes back from its leaf as it was, and the leaf is canonical.
pub(crate) fn check_leaf(prepared: &Prepared, now: Time) {
    let mut leaf = prepared.leaf.clone();
    leaf.record(&now.floor_micros().micros());
    let (back, recorded) = Event::from_leaf(leaf.as_bytes()).expect("a leaf can be read");
    let now = now.floor_micros();
    assert_eq!(recorded, now);
    let mut event = prepared.event.clone();
    event.time = Some(event.time.unwrap_or(now));
    event.id = Some(prepared.id.clone());
    assert_eq!(back, *event);
    let text = std::str::from_utf8(leaf.as_bytes()).expect("text");
    assert_eq!(Json::canonical(text).expect("JSON").as_str(), text, "the leaf is canonical");
}

fn outcome(number: usize, appended: Appended) -> Option<String> {
    match appended {
        Appended::Recorded(_) => None,
        Appended::Duplicate(at) => Some(format!("line {number} duplicate of #{at}")),
        Appended::Conflict(at) => Some(format!("line {number} conflict with #{at}")),
        Appended::Refused(refusal) => Some(format!("line {number} refused: {refusal}")),
    }
}

/// Sends the events and returns the store with what became of them.
pub(crate) fn play(folder: &Path, sent: &[Sent], play: Play) -> (Store, Outcomes) {
    let root = folder.join(".lineage");
    let mut store = Store::create(&root, "format = 1\n").expect("a store");
    let mut outcomes = Vec::new();
    let mut at = 0;
    while at < sent.len() {
        let n = match play {
            Play::Together => sent[at..].iter().take_while(|s| s.now == sent[at].now).count(),
            _ => 1,
        };
        outcomes.extend(send(&store, &sent[at..at + n], at + 1));
        at += n;
        store = between(store, &root, at, play);
    }
    (store, outcomes)
}

pub(crate) fn send(store: &Store, sent: &[Sent], first: usize) -> Outcomes {
    let (mut outcomes, mut numbers, mut batch) = (Vec::new(), Vec::new(), Vec::new());
    for (i, one) in sent.iter().enumerate() {
        match parse(one) {
            Ok(prepared) => {
                for part in &prepared {
                    check_leaf(part, one.now);
                }
                numbers.extend(prepared.iter().map(|_| first + i));
                batch.extend(prepared);
            }
            Err(refusal) => outcomes.push((first + i, format!("line {} refused: {refusal}", first + i))),
        }
    }
    if let Some(one) = sent.first() {
        let appended = store.append(batch, one.now).expect("appended");
        let told = numbers.into_iter().zip(appended);
        outcomes.extend(told.filter_map(|(n, appended)| outcome(n, appended).map(|o| (n, o))));
    }
    outcomes.sort();
    outcomes.into_iter().map(|(_, text)| text).collect()
}

fn between(store: Store, root: &Path, n: usize, play: Play) -> Store {
    let open = || Store::open(root).expect("opens");
    match play {
        Play::Plain | Play::Together => store,
        Play::Seal(every) => {
            if n.is_multiple_of(every) {
                store.seal_now().expect("sealed");
            }
            store
        }
        Play::Reopen(every) => {
            if every > 0 && n.is_multiple_of(every) {
                store.seal_now().expect("sealed");
            }
            drop(store);
            open()
        }
        Play::Close => {
            store.close(std::time::Duration::from_secs(5)).expect("closed");
            open()
        }
    }
}

/// The recorded events as they come back from the store, with the instants at which they were sent.
fn recorded(store: &Store, sent: &[Sent]) -> Vec<(Event, Time)> {
    let reader = store.reader().expect("a reader");
    let count = store.head().expect("a head").count;
    let said: Vec<(String, Time)> =
        sent.iter().flat_map(|s| parse(s).into_iter().flatten().map(|p| (p.id, s.now))).collect();
    let event = |at| {
        let (event, id, recorded) = reader.event(at).expect("an event");
        let sent = said.iter().find(|(i, _)| *i == id).map_or(recorded, |(_, now)| *now);
        (event, sent)
    };
    (0..count).map(event).collect()
}

/// What a history comes to, at every point of view that it names.
pub(crate) fn results(store: &Store, outcomes: &Outcomes, history: &History) -> Vec<Vec<String>> {
    let events = recorded(store, &history.sent);
    let view = store.view().expect("a view");
    let points = history.expected.iter().enumerate();
    points
        .map(|(i, (point, _))| {
            let mut lines = if i == 0 { outcomes.clone() } else { Vec::new() };
            lines.extend(dump(&view_at(&view, point), &events));
            lines
        })
        .collect()
}
