//! The journal: the write-ahead truth, append-only segments of one event a line.

mod block;
mod cut;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::unit_arg, reason = "a panic is how a test fails")]
mod faults;
mod hashed;
mod head;
mod line;
mod medium;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::unit_arg, reason = "a panic is how a test fails")]
mod power_loss;
mod read;
mod recover;
mod reject;
mod repair;
mod reserve;
mod sealed;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::unit_arg, reason = "a panic is how a test fails")]
mod sealing_tests;
mod segment;
mod spool;
mod survey;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::unit_arg, reason = "a panic is how a test fails")]
mod tests;
mod turns;
mod verify;
mod writer;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use head::Head;
pub use line::{Record, RecordBuf};
pub use medium::{Disk, Medium};
pub use reject::{Reject, RejectFile};
pub use repair::Repaired;
pub use spool::Spool;
pub use verify::{CutFile, Damage, JournalReport};
pub use writer::JournalWriter;

pub(crate) use block::Block;
pub(crate) use line::{Lines, parse as parse_line, parse_at as parse_line_at};
pub(crate) use read::StoredFrame;
pub(crate) use sealed::STORED_BYTES_MAX;
pub(crate) use segment::FRAME_BYTES;
pub(crate) use survey::Found;

use crate::error::{Result, StoreError};
use hashed::Hashed;

/// A segment is sealed when it has this many bytes of lines.
///
/// Small enough that a single command which happens to seal one does not feel it.
pub(crate) const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// The journal of a store. Cheap to open; readers take no lock.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) medium: Arc<dyn Medium>,
    /// Set when a write failed in a way that leaves the disk unknown.
    pub(crate) poisoned: AtomicBool,
    /// When a segment is sealed.
    pub(crate) segment_bytes: u64,
    cache: Mutex<read::Cache>,
    /// The room of the last writer's lines, so that the next need not ask for it anew.
    buffer: Mutex<Vec<u8>>,
    /// The thread that seals; there is one at most.
    sealing: Mutex<Option<JoinHandle<()>>>,
    /// What it hashes on the way.
    hashed: Hashed,
}

impl Shared {
    pub(crate) fn head_path(&self) -> PathBuf {
        self.dir.join("head")
    }

    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::SeqCst);
    }

    /// Waits until the segments that are complete are sealed.
    fn join(&self) {
        let sealing = self.sealing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sealing) = sealing {
            drop(sealing.join());
        }
    }

    pub(crate) fn check_poison(&self) -> Result<()> {
        if self.poisoned.load(Ordering::SeqCst) { Err(StoreError::Poisoned) } else { Ok(()) }
    }
}

impl Journal {
    /// Makes the journal of a new store in a folder.
    pub fn create(dir: &Path) -> Result<Self> {
        Self::create_on(Arc::new(Disk), dir, SEGMENT_BYTES)
    }

    /// Opens the journal of a store; works on a read-only folder and on a full disk.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_on(Arc::new(Disk), dir, SEGMENT_BYTES)
    }

    /// As [`Journal::create`], on another medium and with another size of segments, for tests.
    pub fn create_on(medium: Arc<dyn Medium>, dir: &Path, segment_bytes: u64) -> Result<Self> {
        medium.create_dir(dir).map_err(StoreError::io("create", dir))?;
        let head = dir.join("head");
        if head.exists() {
            return Err(StoreError::StoreExists { path: dir.to_owned() });
        }
        let files = [(segment::log_path(dir, 0), Vec::new()), (dir.join("lock"), Vec::new())];
        // The head comes last: without it there is no journal yet, and `create` can be run again.
        for (path, bytes) in files.into_iter().chain([(head, Head::empty().file())]) {
            if path.exists() {
                medium.remove(&path).map_err(StoreError::io("remove", &path))?;
            }
            let file = medium.create(&path).map_err(StoreError::io("create", &path))?;
            medium.write_at(&file, &path, &bytes, 0).map_err(StoreError::io("write", &path))?;
            medium.sync(&file, &path).map_err(StoreError::io("sync", &path))?;
        }
        // A disk that is too full for the reserve is found out by the first commit.
        drop(reserve::ensure(&*medium, dir));
        medium.sync_dir(dir).map_err(StoreError::io("sync", dir))?;
        if let Some(parent) = dir.parent() {
            medium.sync_dir(parent).map_err(StoreError::io("sync", parent))?;
        }
        Self::open_on(medium, dir, segment_bytes)
    }

    /// As [`Journal::open`], on another medium and with another size of segments, for tests.
    pub fn open_on(medium: Arc<dyn Medium>, dir: &Path, segment_bytes: u64) -> Result<Self> {
        let dir = fs::canonicalize(dir).map_err(|_| StoreError::NoStore { path: dir.to_owned() })?;
        let poisoned = AtomicBool::new(false);
        let shared = Shared {
            dir,
            medium,
            poisoned,
            segment_bytes,
            cache: Mutex::default(),
            buffer: Mutex::default(),
            sealing: Mutex::default(),
            hashed: Hashed::default(),
        };
        let journal = Self { shared: Arc::new(shared) };
        journal.head().map(|_| journal)
    }

    /// The folder of the journal.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// How far the journal is published now.
    pub fn head(&self) -> Result<Head> {
        let path = self.shared.head_path();
        let file = File::open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => StoreError::NoStore { path: self.shared.dir.clone() },
            _ => StoreError::io("open", &path)(error),
        })?;
        Head::read(&file, &path)
    }

    /// Takes the lock, waiting for it at most as long as given, and recovers what a crash left behind.
    pub fn lock(&self, timeout: Duration) -> Result<JournalWriter> {
        JournalWriter::lock(&self.shared, timeout)
    }

    /// Waits for the sealing that [`JournalWriter::leave_sealing`] left behind.
    pub fn join(&self) {
        self.shared.join();
    }

    /// Publishes what a power loss left behind the head, if the lock is free at once; `true` if it did.
    ///
    /// The head itself is not synced with every commit, so after a power loss it may be some commits old.
    pub fn settle(&self) -> Result<bool> {
        let head = self.head()?;
        let path = segment::log_path(&self.shared.dir, head.segment);
        if path.metadata().is_ok_and(|m| m.len() <= head.length) {
            return Ok(false);
        }
        match self.lock(Duration::ZERO) {
            Ok(writer) => Ok(writer.count() > head.count),
            Err(StoreError::Locked { .. } | StoreError::Io { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
