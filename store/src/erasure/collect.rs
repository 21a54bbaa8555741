//! Collecting: files that no event names any more, or never did.

use std::collections::HashSet;
use std::path::Path;
use std::time::SystemTime;

use super::Keys;
use super::subject::digests_of;
use crate::digest::Blake3;
use crate::error::Result;
use crate::store::{Store, read_leaf};

/// What was, or would be, removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Sealed values that no event keeps, or that an erasure took away.
    pub payloads: u64,
    /// Artifacts that no event names.
    pub artifacts: u64,
    /// Temporary files.
    pub temporary: u64,
    /// Bytes of the first two.
    pub bytes: u64,
}

impl Store {
    /// Finishes erasures, and removes files older than an instant that no event names; `dry`: only counts.
    ///
    /// Files that are younger may belong to an event that is about to be recorded.
    pub fn collect(&self, keys: &Keys, before: SystemTime, dry: bool) -> Result<Collected> {
        let mut collected = Collected::default();
        if !dry {
            collected.payloads += self.finish_erasures(keys)?.payloads;
        }
        let (mut kept, mut named) = (HashSet::new(), HashSet::new());
        self.kept(&mut |value| {
            kept.insert(value.digest);
            Ok(())
        })?;
        let count = self.head()?.count;
        self.journal().read_from(0, count, &mut |record| {
            let (event, ..) = read_leaf(record.leaf, false)?;
            named.extend(digests_of(&event));
            Ok(())
        })?;
        // What a folder holds is named by its manifest alone.
        let folders: Vec<Blake3> = named.iter().copied().collect();
        for folder in folders.into_iter().filter(|digest| self.artifacts().contains(digest)) {
            if let Some(manifest) = self.artifacts().manifest(&folder)? {
                named.extend(manifest.entries().iter().map(|entry| entry.digest));
            }
        }
        let tidied = self.payloads().remove_unnamed(&kept, before, dry)?;
        collected.payloads += tidied.values;
        collected.bytes += tidied.bytes;
        // What is no block of values may be one that was damaged, as long as a value is missing.
        if !dry && self.payloads().is_worn(before)? && self.missing(keys)?.is_empty() {
            self.payloads().compact(before)?;
        }
        let old = |path: &Path| path.metadata().and_then(|m| m.modified()).is_ok_and(|at| at < before);
        let mut unnamed = Vec::new();
        self.artifacts().list(&mut |digest, size| {
            if !named.contains(&digest) && old(&self.artifacts().path(&digest)) {
                unnamed.push((digest, size));
            }
        })?;
        for (digest, size) in unnamed {
            collected.artifacts += 1;
            collected.bytes += size;
            if !dry {
                self.artifacts().remove(&digest)?;
            }
        }
        if !dry {
            collected.temporary = self.artifacts().sweep(before)?;
        }
        Ok(collected)
    }
}
