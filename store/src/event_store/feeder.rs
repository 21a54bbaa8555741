//! The feeder: takes what the journal has sealed into the event store while a bulk load goes on.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::EventStore;
use crate::background::{self, Priority};
use crate::error::{Result, StoreError};
use crate::journal::Journal;

/// What the thread is to do.
enum Call {
    /// Take what is sealed.
    Sealed,
    /// Take everything, then end.
    Last,
}

/// A thread that holds the event store. Whatever goes wrong in it, the event store is caught up later.
pub(crate) struct Feeder {
    calls: Option<SyncSender<Call>>,
    thread: Option<JoinHandle<EventStore>>,
}

impl Feeder {
    /// Opens the event store and starts the thread; `None` when another process holds it.
    pub(crate) fn start(dir: &Path, journal: &Journal) -> Result<Option<Self>> {
        let Some(events) = EventStore::open(dir)? else { return Ok(None) };
        let (calls, called) = sync_channel(1);
        let journal = journal.clone();
        let thread = background::spawn("lineage-feed", Priority::Last, move || feed(events, &journal, &called));
        let thread = thread.map_err(StoreError::io("start", dir))?;
        Ok(Some(Self { calls: Some(calls), thread: Some(thread) }))
    }

    /// Says that events were committed; costs next to nothing.
    pub(crate) fn wake(&self) {
        if let Some(calls) = &self.calls {
            // One call that waits is as good as two.
            drop(calls.try_send(Call::Sealed));
        }
    }

    /// Waits until every event is taken, and gives the event store back; `None` after a panic.
    pub(crate) fn finish(mut self) -> Option<EventStore> {
        if let Some(calls) = &self.calls {
            // A thread that ended early leaves the rest to who catches up next.
            drop(calls.send(Call::Last));
        }
        self.thread.take().and_then(|thread| thread.join().ok())
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn feed(mut events: EventStore, journal: &Journal, called: &Receiver<Call>) -> EventStore {
    while let Ok(call) = called.recv() {
        let done = match call {
            Call::Sealed => events.catch_up_sealed(journal),
            Call::Last => {
                drop(events.catch_up(journal, u64::MAX, Duration::MAX));
                return events;
            }
        };
        if done.is_err() {
            break;
        }
    }
    events
}
