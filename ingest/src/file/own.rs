//! Events of our own commands: appended, or spooled when another process holds the lock.

use std::path::PathBuf;

use lineage_store::erasure::Keys;
use lineage_store::event::{Event, Leaf, Refusal, prepare};
use lineage_store::time::Time;
use lineage_store::{Appended, Store, StoreError};

use super::spool;

/// What became of an event of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is recorded at a position.
    At(u64),
    /// It waits in a durable spool file.
    Spooled(PathBuf),
}

/// Appends events that carry ids, together: one sync makes all of them durable. The position is that of the last.
///
/// `name` is that of the spool file, should it be needed.
pub fn record(
    store: &Store,
    events: &[Event],
    seal: &[String],
    keys: &Keys,
    name: &str,
    now: Time,
) -> Result<Recorded, StoreError> {
    let mut prepared = Vec::with_capacity(events.len());
    let mut leaves = Vec::with_capacity(events.len());
    for event in events {
        event.check()?;
        let leaf = leaf(event)?;
        // The bytes that a spool would keep stand for the received ones, so that both ways are the same event.
        prepared.extend(prepare(event.clone(), leaf.as_bytes(), seal, keys)?);
        leaves.push((event.actor.as_str(), leaf));
    }
    match store.append(prepared, now) {
        Ok(appended) => position(&appended).map(Recorded::At),
        Err(StoreError::Locked { .. }) => spool::write_leaves(store, name, &leaves).map(Recorded::Spooled),
        Err(error) => Err(error),
    }
}

/// Writes events of our own to the spool without trying the lock.
pub fn spool_events(store: &Store, events: &[Event], name: &str) -> Result<PathBuf, StoreError> {
    let leaves = events.iter().map(|event| Ok((event.actor.as_str(), leaf(event)?)));
    spool::write_leaves(store, name, &leaves.collect::<Result<Vec<_>, StoreError>>()?)
}

fn leaf(event: &Event) -> Result<Leaf, StoreError> {
    let id = event.id.as_deref().ok_or_else(|| Refusal::at("id", "an event of our own needs one"))?;
    Ok(Leaf::new(event, id))
}

/// The position of the last event, which carries the state.
fn position(appended: &[Appended]) -> Result<u64, StoreError> {
    if let Some(reason) = appended.iter().find_map(spool::reason_of) {
        return Err(StoreError::Refused(Refusal::whole(reason)));
    }
    match appended.last() {
        Some(Appended::Recorded(position) | Appended::Duplicate(position)) => Ok(*position),
        _ => Err(StoreError::Refused(Refusal::whole("nothing was appended"))),
    }
}
