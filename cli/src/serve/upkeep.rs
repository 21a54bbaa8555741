//! Upkeep: what commands do when they begin and end, done now and then, as a server does neither for a long time.

use std::sync::Arc;
use std::time::Duration;

use lineage_store::{Store, StoreError};

use crate::session::Session;

/// How often the head is signed, if anything was recorded.
const SIGNED: Duration = Duration::from_secs(1);
/// How often the spool is looked at and sled is brought up to the journal.
const REST: Duration = Duration::from_secs(30);
/// What may be spent on bringing sled up to the journal; other processes wait so long for it at most.
const BUDGET: Duration = Duration::from_millis(200);

/// Keeps the store in order, for as long as the server lives; what is not done now is done the next time.
pub(crate) async fn run(session: Arc<Session>) {
    let (mut signed, mut rest) = (times(SIGNED), times(REST));
    let mut covered = None;
    loop {
        let session = Arc::clone(&session);
        tokio::select! {
            _ = signed.tick() => {
                let count = session.store.head().ok().map(|head| head.count);
                if count != covered && tokio::task::spawn_blocking(move || session.sign_head()).await.is_ok() {
                    covered = count;
                }
            }
            _ = rest.tick() => drop(tokio::task::spawn_blocking(move || catch_up(&session)).await),
        }
    }
}

fn times(every: Duration) -> tokio::time::Interval {
    let mut times = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    times.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    times
}

/// Records what waits in the spool and brings sled up to the journal.
fn catch_up(session: &Session) {
    let terminal = &session.context.terminal;
    if let Err(error) = session.drain() {
        terminal.note(&format!("what waits in the spool is not recorded yet: {error}"));
    }
    if let Err(error) = fill_event_store(session) {
        terminal.note(&format!("the event store is not brought up to date yet: {error}"));
    }
}

/// sled is held only meanwhile, so that other processes can read it.
fn fill_event_store(session: &Session) -> Result<(), StoreError> {
    Store::open(session.store.layout().root())?.close(BUDGET)
}
