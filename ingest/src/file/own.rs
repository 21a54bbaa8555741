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

/// Appends an event that carries an id; `name` is that of the spool file, should it be needed.
pub fn record(
    store: &Store,
    event: Event,
    seal: &[String],
    keys: &Keys,
    name: &str,
    now: Time,
) -> Result<Recorded, StoreError> {
    event.check()?;
    let leaf = leaf(&event)?;
    let actor = event.actor.clone();
    // The bytes that a spool would keep stand for the received ones, so that both ways are the same event.
    let prepared = prepare(event, leaf.as_bytes(), seal, keys)?;
    match store.append(prepared, now) {
        Ok(appended) => position(&appended).map(Recorded::At),
        Err(StoreError::Locked { .. }) => {
            spool::write_leaf(store, name, &actor, leaf.as_bytes()).map(Recorded::Spooled)
        }
        Err(error) => Err(error),
    }
}

/// Writes an event of our own to the spool without trying the lock.
pub fn spool_event(store: &Store, event: &Event, name: &str) -> Result<PathBuf, StoreError> {
    spool::write_leaf(store, name, &event.actor, leaf(event)?.as_bytes())
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
