//! The seam between the journal and the disk: what is written, synced, renamed and cut, in which order.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Every operation that changes the disk; the tests record them to replay power losses, or make them fail.
pub trait Medium: fmt::Debug + Send + Sync {
    /// Makes a new file for reading and writing; one that exists is an error.
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    /// Makes a folder; one that exists is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    /// Writes all bytes at an offset.
    fn write_at(&self, file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
        let _ = path;
        file.write_all_at(bytes, offset)
    }

    /// Cuts a file to a length.
    fn truncate(&self, file: &File, path: &Path, length: u64) -> io::Result<()> {
        let _ = path;
        file.set_len(length)
    }

    /// Lets the disk begin with bytes that were just written, so that a later [`Medium::sync`] waits for less.
    ///
    /// Promises nothing, so a failure is left to the sync.
    fn begin_sync(&self, file: &File, offset: u64, bytes: usize) {
        // On Linux the advice writes dirty pages back without waiting for them, and drops none that is not yet clean.
        let bytes = std::num::NonZeroU64::new(bytes as u64);
        let _ = rustix::fs::fadvise(file, offset, bytes, rustix::fs::Advice::DontNeed);
    }

    /// Makes the bytes and the length of a file durable.
    fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        let _ = path;
        file.sync_data()
    }

    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// Gives a file a new name, replacing what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Gives a file a second name.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Medium for Disk {}

/// Whether an error says that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}
