//! Repair: what is damaged is made again from a copy that is good.

use std::time::Duration;

use lineage_store::{EventStore, Store};

use super::report::Report;
use crate::render::count;
use crate::session::Session;

/// Mends what has a second copy; what was done.
pub(super) fn repair(session: &Session, report: &Report) -> anyhow::Result<Vec<String>> {
    let store = &session.store;
    let mut done = Vec::new();
    if report.damage.is_empty() {
        drop(catch_up(store));
        return Ok(done);
    }
    if report.has("journal") {
        repair_journal(store, &mut done)?;
    }
    let journal_is_good = store.journal().verify(&mut |_, _| {})?.is_good();
    if journal_is_good && (report.has("event store") || report.has("graph")) {
        let events = store.rebuild(&mut |_, _| {})?;
        done.push(format!("graph index and event store rebuilt from {} of the journal", count(events, "event")));
    }
    if journal_is_good && report.has("tiles") {
        match store.proofs().renew_tiles() {
            Ok(size) => done.push(format!("tiles made again from {} of the journal", count(size, "event"))),
            Err(error) => done.push(format!("the tiles were not made again: {error}")),
        }
    }
    if report.has("artifacts") || report.has("payloads") {
        done.push("damaged artifacts have no second copy here; `lineage add` the same file again".to_owned());
    }
    if report.has("checkpoint") {
        done.push("checkpoints are statements and cannot be made again; what they cover is told above".to_owned());
    }
    // A journal that could not be mended is told by the second look.
    drop(catch_up(store));
    Ok(done)
}

fn repair_journal(store: &Store, done: &mut Vec<String>) -> anyhow::Result<()> {
    match EventStore::open(&store.layout().part("sled"))? {
        Some(events) => {
            let repaired = store.journal().repair_from(&events)?;
            done.push(format!("{} of the journal restored from the event store", count(repaired.records, "event")));
            done.extend(repaired.kept.iter().map(|kept| format!("the damaged bytes are kept in {}", kept.display())));
            done.extend(repaired.failed.iter().map(|what| format!("not repaired: {what}")));
        }
        None => done.push("the journal was not repaired: another process holds the event store".to_owned()),
    }
    Ok(())
}

/// Fills what the event store lacks, so that each event has its second copy.
fn catch_up(store: &Store) -> anyhow::Result<()> {
    if let Some(mut events) = EventStore::open(&store.layout().part("sled"))? {
        events.catch_up(store.journal(), u64::MAX, Duration::MAX)?;
        events.close()?;
    }
    Ok(())
}
