//! Upkeep: what commands do when they begin and end, done now and then, as a server does neither for a long time.

use std::sync::Arc;
use std::time::Duration;

use lineage_store::{Store, StoreError};

use crate::session::Session;

/// How often.
const EVERY: Duration = Duration::from_secs(30);
/// What may be spent on bringing sled up to the journal; other processes wait so long for it at most.
const BUDGET: Duration = Duration::from_millis(200);

/// Records what waits in the spool and brings sled up to the journal, for as long as the server lives.
pub(crate) async fn run(session: Arc<Session>) {
    let mut times = tokio::time::interval_at(tokio::time::Instant::now() + EVERY, EVERY);
    loop {
        times.tick().await;
        let session = Arc::clone(&session);
        // What is not done now is done the next time.
        tokio::task::spawn_blocking(move || once(&session)).await.ok();
    }
}

fn once(session: &Session) {
    let terminal = &session.context.terminal;
    if let Err(error) = session.drain() {
        terminal.note(&format!("what waits in the spool is not recorded yet: {error}"));
    }
    if let Err(error) = catch_up(session) {
        terminal.note(&format!("the event store is not brought up to date yet: {error}"));
    }
}

/// sled is held only meanwhile, so that other processes can read it.
fn catch_up(session: &Session) -> Result<(), StoreError> {
    Store::open(session.store.layout().root())?.close(BUDGET)
}
