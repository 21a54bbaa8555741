//! The attestor: signs checkpoints while a process goes on writing, at most one a second.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::key::Signer;
use super::proofs::{Advanced, Proofs};
use crate::error::{Result, StoreError};
use crate::journal::Journal;
use crate::layout::Layout;

/// The shortest time between two checkpoints of one process.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the thread is to do.
enum Call {
    /// Events were committed.
    Committed,
    /// End.
    Last,
}

/// A thread that grows the tree and signs. Whatever goes wrong in it, the checkpoint at the end tells.
pub(crate) struct Attestor {
    calls: SyncSender<Call>,
    thread: Option<JoinHandle<bool>>,
}

impl Attestor {
    /// Starts the thread.
    pub(crate) fn start(layout: &Layout, journal: &Journal, signer: Signer) -> Result<Self> {
        let (calls, called) = sync_channel(1);
        let (own, journal) = (layout.clone(), journal.clone());
        journal.hash_from(Some(journal.head()?.count));
        let thread = std::thread::Builder::new().name("lineage-sign".into());
        let thread = thread.spawn(move || {
            let wrote = attest(&Proofs::open(&own, &journal), &signer, &called);
            journal.hash_from(None);
            wrote
        });
        let thread = thread.map_err(StoreError::io("start", layout.root()))?;
        Ok(Self { calls, thread: Some(thread) })
    }

    /// Says that events were committed; costs next to nothing.
    pub(crate) fn wake(&self) {
        // One call that waits is as good as two.
        drop(self.calls.try_send(Call::Committed));
    }

    /// Ends the thread; whether it wrote tiles, which are not durable yet.
    pub(crate) fn finish(mut self) -> bool {
        drop(self.calls.send(Call::Last));
        self.thread.take().is_some_and(|thread| thread.join().unwrap_or(true))
    }
}

impl Drop for Attestor {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            drop(self.calls.send(Call::Last));
            drop(thread.join());
        }
    }
}

/// Signs after each commit, but not again before the interval is over.
fn attest(proofs: &Proofs, signer: &Signer, called: &Receiver<Call>) -> bool {
    let (mut wrote, mut committed) = (false, false);
    while committed || matches!(called.recv(), Ok(Call::Committed)) {
        let begun = Instant::now();
        match proofs.advance_unsynced(signer) {
            Ok(Advanced::Signed(signed)) => {
                wrote = true;
                proofs.journal().hash_from(Some(signed.size()));
            }
            Ok(Advanced::Current(_) | Advanced::Busy) => {}
            Err(_) => break,
        }
        match pause(begun, called) {
            Ok(meanwhile) => committed = meanwhile,
            Err(()) => break,
        }
    }
    wrote
}

/// Waits for the rest of the interval; whether events were committed meanwhile, an error at the end.
fn pause(begun: Instant, called: &Receiver<Call>) -> std::result::Result<bool, ()> {
    let mut committed = false;
    loop {
        match called.recv_timeout(INTERVAL.saturating_sub(begun.elapsed())) {
            Ok(Call::Committed) => committed = true,
            Ok(Call::Last) | Err(RecvTimeoutError::Disconnected) => return Err(()),
            Err(RecvTimeoutError::Timeout) => return Ok(committed),
        }
    }
}
