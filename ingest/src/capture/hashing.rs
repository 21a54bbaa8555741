//! Hashing beside the step: large inputs in a thread of their own, from descriptors that outlive their names.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use lineage_store::artifact::{Artifacts, Stamp, Stored};
use rustix::fs::{CWD, Mode, OFlags};

/// Files up to this size are hashed while the step waits: at some 500 MB/s of SHA-256 at most half a millisecond.
pub(super) const INLINE_BYTES_MAX: u64 = 256 * 1024;
/// So many files wait to be hashed, each with an open descriptor; of more only the marks are kept.
const WAITING_MAX: usize = 64;

/// What came of hashing a file; `None` if it could not be read to its end or did not hold still.
type Outcome = Option<Stored>;

/// A digest that is being made.
#[derive(Clone, Debug)]
pub(super) struct Pending(Arc<(Mutex<Option<Outcome>>, Condvar)>);

impl Pending {
    /// The digest, waited for.
    pub(super) fn wait(&self) -> Outcome {
        let (slot, made) = &*self.0;
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(outcome) = &*slot {
                return outcome.clone();
            }
            slot = made.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The thread that hashes.
#[derive(Debug)]
pub(super) struct Hashing {
    queue: Option<SyncSender<(File, Stamp, Pending)>>,
    thread: Option<JoinHandle<()>>,
}

impl Hashing {
    pub(super) fn new() -> Self {
        Self { queue: None, thread: None }
    }

    /// Hashes an open file in the background, if it still has these marks then; `None` if too many wait already.
    pub(super) fn begin(&mut self, file: File, stamp: Stamp) -> Option<Pending> {
        if self.queue.is_none() {
            let (queue, jobs) = mpsc::sync_channel::<(File, Stamp, Pending)>(WAITING_MAX);
            let work = move || {
                for (file, stamp, pending) in jobs {
                    let outcome = hash_open(&file, stamp);
                    let (slot, made) = &*pending.0;
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                    made.notify_all();
                }
            };
            let builder = std::thread::Builder::new().name("hashing".to_owned());
            self.thread = Some(builder.spawn(work).ok()?);
            self.queue = Some(queue);
        }
        let pending = Pending(Arc::new((Mutex::new(None), Condvar::new())));
        self.queue.as_ref()?.try_send((file, stamp, pending.clone())).ok()?;
        Some(pending)
    }
}

impl Drop for Hashing {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // It ends when its queue is empty; nothing in it panics.
            thread.join().ok();
        }
    }
}

/// Hashes what a descriptor is open on, whatever its name is by now; `None` unless it has these marks throughout.
pub(super) fn hash_open(file: &File, stamp: Stamp) -> Outcome {
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let stored = Artifacts::hash_path(&path).ok().filter(|stored| !stored.unstable)?;
    // Afterwards: whoever writes between a look and the first byte is seen now.
    (Stamp::of(&file.metadata().ok()?) == stamp).then_some(stored)
}

/// Opens a regular file to hash it, without waiting for the other end of a pipe.
pub(super) fn open(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_hashed_after_its_name_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        std::fs::write(&path, "text").expect("a file");
        let file = open(&path).expect("open");
        std::fs::remove_file(&path).expect("removed");
        let stamp = Stamp::of(&file.metadata().expect("its marks"));
        let mut hashing = Hashing::new();
        let again = file.try_clone().expect("a descriptor");
        let pending = hashing.begin(file, stamp).expect("room");
        let stored = pending.wait().expect("a digest");
        assert_eq!(stored.digest, lineage_store::digest::Blake3::of(b"text"));
        std::fs::write(&path, "another").expect("another file");
        let other = Stamp::of(&path.metadata().expect("its marks"));
        assert!(hashing.begin(again, other).expect("room").wait().is_none(), "these are the marks of another file");
    }
}
