//! Payloads: values that were moved out of events, each in a file that can be deleted.

use std::collections::BTreeSet;
use std::path::Path;

use super::shelf::{Damage, Shelf, sync};
use crate::digest::Blake3;
use crate::{Result, StoreError};

/// The largest payload that is read.
const BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// From so many payloads on the file system is synced as a whole: two calls, instead of three for each of them.
const MANY: usize = 4;
/// So many files are open at once.
const OPEN_MAX: usize = 256;

/// The payload files of a store, readable by their owner only.
#[derive(Clone, Debug)]
pub struct Payloads {
    shelf: Shelf,
}

impl Payloads {
    /// Creates the folder of payloads, or opens it if it is there.
    pub fn create(folder: &Path) -> Result<Self> {
        Ok(Self { shelf: Shelf::create(folder, 0o400)? })
    }

    /// Opens the folder of payloads; touches nothing.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self { shelf: Shelf::open(folder, 0o400)? })
    }

    /// Keeps the bytes of a digest, durable when this returns.
    pub fn put(&self, digest: &Blake3, bytes: &[u8]) -> Result<()> {
        self.put_all(std::iter::once((*digest, bytes)))
    }

    /// Keeps several payloads, durable when this returns; cheaper than one by one.
    pub fn put_all<'a>(&self, payloads: impl IntoIterator<Item = (Blake3, &'a [u8])>) -> Result<()> {
        let payloads: Vec<(Blake3, &[u8])> = payloads.into_iter().collect();
        if let Some((digest, _)) = payloads.iter().find(|(digest, bytes)| Blake3::of(bytes) != *digest) {
            return Err(StoreError::corrupt(self.shelf.path(digest), 0, "the bytes to write have another digest"));
        }
        if payloads.len() >= MANY {
            return payloads.chunks(OPEN_MAX).try_for_each(|some| self.shelf.keep_many(some));
        }
        let mut folders = BTreeSet::new();
        for (digest, bytes) in payloads {
            self.shelf.keep_bytes(&digest, bytes, &mut folders)?;
        }
        sync(&folders)
    }

    /// The bytes of a digest, verified; `None` if they are not here (any more).
    pub fn get(&self, digest: &Blake3) -> Result<Option<Vec<u8>>> {
        match self.shelf.read(digest, BYTES_MAX) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StoreError::NoArtifact { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where the bytes of a digest are kept.
    pub fn path(&self, digest: &Blake3) -> std::path::PathBuf {
        self.shelf.path(digest)
    }

    /// Deletes a payload; false if it was not there.
    pub fn remove(&self, digest: &Blake3) -> Result<bool> {
        self.shelf.remove(digest)
    }

    /// Calls `each` with the digest and size of every payload, in the order of their digests.
    pub fn list(&self, each: &mut dyn FnMut(Blake3, u64)) -> Result<()> {
        self.shelf.list(each, &mut |_| {})
    }

    /// Hashes everything again; `progress` gets the bytes read since its last call.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Vec<Damage>> {
        self.shelf.verify(progress)
    }
}
