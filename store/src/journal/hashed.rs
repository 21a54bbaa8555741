//! Hashes of leaves that sealing came by, so that who grows the tree need not read the journal again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Journal;
use crate::proof::Hash;

/// The most hashes that wait to be taken, 8 MiB of them; instead of what comes beyond, the journal is read again.
const WAITING_MAX: usize = 256 * 1024;
/// No position: nobody wants hashes.
const NOWHERE: u64 = u64::MAX;

/// The hashes of consecutive leaves.
#[derive(Debug)]
pub(crate) struct Run {
    /// The position of the first.
    pub(crate) first: u64,
    pub(crate) hashes: Vec<Hash>,
}

impl Run {
    /// The position after the last.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.hashes.len() as u64
    }
}

/// What sealing hashes, in the thread that seals, while the lines are in its cache.
#[derive(Debug)]
pub(crate) struct Hashed {
    /// The first position of which hashes are wanted.
    from: AtomicU64,
    waiting: Mutex<Vec<Run>>,
}

impl Default for Hashed {
    fn default() -> Self {
        Self { from: AtomicU64::new(NOWHERE), waiting: Mutex::default() }
    }
}

impl Hashed {
    /// The hashes of a segment that is being sealed: none yet.
    pub(super) fn begin(&self, base: u64) -> Run {
        Run { first: self.from.load(Ordering::Relaxed).max(base), hashes: Vec::new() }
    }

    /// Keeps what a sealed segment came to, if there is room.
    pub(super) fn keep(&self, run: Run) {
        let mut waiting = self.waiting();
        let n: usize = waiting.iter().map(|run| run.hashes.len()).sum();
        if !run.hashes.is_empty() && n + run.hashes.len() <= WAITING_MAX {
            waiting.push(run);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Run>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// Takes the next leaf of the segment, if its hash is wanted.
    pub(super) fn add(&mut self, position: u64, leaf: &[u8]) {
        if position >= self.first {
            self.hashes.push(Hash::leaf(leaf));
        }
    }
}

impl Journal {
    /// From now on segments that this process seals are hashed from a position on; `None`: they are not.
    pub(crate) fn hash_from(&self, position: Option<u64>) {
        self.shared.hashed.from.store(position.unwrap_or(NOWHERE), Ordering::Relaxed);
    }

    /// Takes the hashes that wait, in the order of positions: of some leaves before the end, not of all.
    pub(crate) fn take_hashed(&self, end: u64) -> Vec<Run> {
        let mut waiting = self.shared.hashed.waiting();
        let (mut taken, later) = waiting.drain(..).partition::<Vec<_>, _>(|run| run.first < end);
        *waiting = later;
        taken.sort_unstable_by_key(|run| run.first);
        taken
    }
}
