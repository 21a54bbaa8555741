//! Payloads: values that were moved out of events, sealed, in segments from which each of them can be taken away.

mod appender;
mod catalog;
mod segment;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests;
mod upkeep;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::digest::Blake3;
use crate::{Result, StoreError};
use appender::Appender;
use catalog::{Catalog, Place};
use segment::Found;
pub use upkeep::Tidied;

/// The file that is locked while values are taken away or segments are written anew.
const LOCK: &str = "lock";

/// The values of a store that stand outside of its events, readable by their owner only.
///
/// Any number of processes may write at once, each to a segment of its own.
#[derive(Clone, Debug)]
pub struct Payloads {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    catalog: Mutex<Catalog>,
    appender: Mutex<Option<Appender>>,
}

/// What is wrong with a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong.
    pub what: &'static str,
    /// Whether a writer that was killed leaves this: no damage as long as no value is missing.
    pub is_leftover: bool,
}

/// Where a value is, or was before it was taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The file.
    pub file: PathBuf,
    /// The first byte of the value in it.
    pub offset: u64,
}

impl Payloads {
    /// Creates the folder of payloads, or opens it if it is there.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        folder.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), appender::sync_folder)?;
        Self::open(folder)
    }

    /// Opens the folder of payloads; touches nothing.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::read_dir(folder).map_err(StoreError::io("open", folder))?;
        let (catalog, appender) = (Mutex::default(), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { folder: folder.to_owned(), catalog, appender }) })
    }

    /// Keeps the sealed bytes of a digest, durable when this returns.
    pub fn put(&self, digest: &Blake3, bytes: &[u8]) -> Result<()> {
        if !segment::is_value(bytes) || Blake3::of(bytes) != *digest {
            let what = format!("the bytes to write are not the sealed ones of {digest}");
            return Err(StoreError::corrupt(&self.shared.folder, 0, what));
        }
        self.put_all(&[(*digest, bytes)])
    }

    /// Keeps several values in one block, with one sync, durable when this returns; their digests are taken as true.
    pub(crate) fn put_all(&self, values: &[(Blake3, &[u8])]) -> Result<()> {
        debug_assert!(values.iter().all(|(digest, bytes)| segment::is_value(bytes) && Blake3::of(bytes) == *digest));
        if values.is_empty() {
            return Ok(());
        }
        let mut slot = lock(&self.shared.appender);
        // Taken out, so that after an error another segment is begun.
        let mut appender = slot.take().map_or_else(|| Appender::open(&self.shared.folder), Ok)?;
        appender.append(values)?;
        if !appender.is_full() {
            *slot = Some(appender);
            return Ok(());
        }
        // The values are durable; what fails here is done by the next writer.
        appender.finish().ok();
        Ok(())
    }

    /// The bytes of a digest, verified; `None` if they are not here (any more).
    pub fn get(&self, digest: &Blake3) -> Result<Option<Vec<u8>>> {
        let places = lock(&self.shared.catalog).places(digest);
        if let Ok(Some(bytes)) = self.read(digest, &places) {
            return Ok(Some(bytes));
        }
        // It is new, or its segment was written anew.
        let places = self.fresh()?.places(digest);
        self.read(digest, &places)
    }

    /// Where the bytes of a digest are, or were before they were taken away.
    pub fn spot(&self, digest: &Blake3) -> Result<Option<Spot>> {
        let places = self.fresh()?.places(digest);
        let spot = |place: Place| Spot { file: place.segment.path(&self.shared.folder), offset: place.entry.offset };
        Ok(places.into_iter().map(spot).next_back())
    }

    /// Calls `each` with the digest and size of every value that is here.
    pub fn list(&self, each: &mut dyn FnMut(Blake3, u64)) -> Result<()> {
        for (name, entries) in self.fresh()?.all() {
            let Some((file, path)) = name.open(&self.shared.folder, false)? else { continue };
            for entry in entries {
                if !segment::is_erased(&file, &path, entry)? {
                    each(entry.digest, entry.length.into());
                }
            }
        }
        Ok(())
    }

    fn read(&self, digest: &Blake3, places: &[Place]) -> Result<Option<Vec<u8>>> {
        let mut damage = None;
        for Place { segment, entry } in places {
            let Some((file, path)) = segment.open(&self.shared.folder, false)? else { continue };
            match segment::read(&file, &path, entry)? {
                Found::Value(bytes) => return Ok(Some(bytes)),
                Found::Erased { .. } => {}
                Found::Other => {
                    let what = format!("the bytes of {digest} have another digest");
                    damage = Some(StoreError::corrupt(path, entry.offset, what));
                }
            }
        }
        damage.map_or(Ok(None), Err)
    }

    /// The catalog with what other processes wrote since it was read.
    fn fresh(&self) -> Result<MutexGuard<'_, Catalog>> {
        let mut catalog = lock(&self.shared.catalog);
        catalog.refresh(&self.shared.folder)?;
        Ok(catalog)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
