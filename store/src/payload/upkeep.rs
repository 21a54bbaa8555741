//! Upkeep: taking values away, writing segments anew without them, and checking that segments are whole.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::time::SystemTime;

use super::appender::{is_locked, sync_folder};
use super::catalog::{Name, segments};
use super::segment::{self, Blocks, Entry, Found};
use super::{Flaw, LOCK, Payloads};
use crate::digest::Blake3;
use crate::{Result, StoreError};

/// What upkeep removed, or would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Values.
    pub values: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Payloads {
    /// Takes a value away; false if it was not there.
    pub fn remove(&self, digest: &Blake3) -> Result<bool> {
        self.remove_all(&HashSet::from([*digest])).map(|n| n > 0)
    }

    /// Overwrites every copy of some values, durable when this returns, and removes segments in which nothing is left.
    ///
    /// How many values were there. One whose removal was interrupted is finished, and not counted again.
    pub fn remove_all(&self, digests: &HashSet<Blake3>) -> Result<u64> {
        let _alone = self.alone()?;
        let mut wanted: BTreeMap<Name, Vec<Entry>> = BTreeMap::new();
        let catalog = self.fresh()?;
        for place in digests.iter().flat_map(|digest| catalog.places(digest)) {
            wanted.entry(place.segment).or_default().push(place.entry);
        }
        drop(catalog);
        let mut removed = HashSet::new();
        for (name, entries) in wanted {
            self.erase(&name, entries, &mut removed)?;
        }
        Ok(removed.len() as u64)
    }

    /// Removes the values that nothing names from segments last written before an instant; `dry`: only counts.
    pub fn remove_unnamed(&self, named: &HashSet<Blake3>, before: SystemTime, dry: bool) -> Result<Tidied> {
        let _alone = if dry { None } else { Some(self.alone()?) };
        let mut unnamed: Vec<(Name, Vec<Entry>)> = Vec::new();
        for (name, entries) in self.fresh()?.all() {
            let Some((file, path)) = name.open(self.folder(), false)? else { continue };
            if !is_older(&file, &path, before)? {
                continue;
            }
            let mut found = Vec::new();
            for entry in entries.iter().filter(|entry| !named.contains(&entry.digest)) {
                if !segment::is_erased(&file, &path, entry)? {
                    found.push(*entry);
                }
            }
            unnamed.push((name.clone(), found));
        }
        let mut tidied = Tidied::default();
        for (name, entries) in unnamed.into_iter().filter(|(_, entries)| !entries.is_empty()) {
            tidied.values += entries.len() as u64;
            tidied.bytes += entries.iter().map(|entry| u64::from(entry.length)).sum::<u64>();
            if !dry {
                self.erase(&name, entries, &mut HashSet::new())?;
            }
        }
        Ok(tidied)
    }

    /// Whether there are segments, last written before an instant, that [`Self::compact`] would write anew or cut.
    pub fn is_worn(&self, before: SystemTime) -> Result<bool> {
        for name in segments(self.folder(), &mut |_| {})? {
            let Some((file, path)) = name.open(self.folder(), false)? else { continue };
            if is_older(&file, &path, before)? && !matches!(Wear::of(&file, &path, &name)?, Wear::None) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes segments anew of which less than half is left, and cuts off what writers that were killed left behind.
    ///
    /// Only where no value is missing: what looks like a leftover may be damage from which one can still be saved.
    pub fn compact(&self, before: SystemTime) -> Result<()> {
        let _alone = self.alone()?;
        for name in segments(self.folder(), &mut |_| {})? {
            let Some((file, path)) = name.open(self.folder(), true)? else { continue };
            if !is_older(&file, &path, before)? || !is_locked(&file, &path)? {
                continue;
            }
            if let Wear::Leftover(end) = Wear::of(&file, &path, &name)? {
                file.set_len(end).and_then(|()| file.sync_data()).map_err(StoreError::io("cut", &path))?;
            }
            if let Wear::Empty(left) = Wear::of(&file, &path, &name)? {
                let mut values = Vec::with_capacity(left.len());
                for entry in left {
                    if let Found::Value(bytes) = segment::read(&file, &path, &entry)? {
                        values.push((entry.digest, bytes));
                    }
                }
                self.put_all(&values.iter().map(|(digest, bytes)| (*digest, &bytes[..])).collect::<Vec<_>>())?;
                self.unlink(&path)?;
            }
        }
        Ok(())
    }

    /// Checks that every segment is what its name says and whole from block to block; the values are not looked at.
    pub fn check(&self) -> Result<Vec<Flaw>> {
        let mut flaws = Vec::new();
        let mut odd = |file| {
            flaws.push(Flaw { file, offset: 0, what: "its name is that of no segment", is_leftover: false });
        };
        let names = segments(self.folder(), &mut odd)?;
        for name in names {
            let Some((file, path)) = name.open(self.folder(), false)? else { continue };
            // A segment that became full since the folder was listed is checked as what it is now.
            let is_full = path != (Name { is_full: false, ..name }).path(self.folder());
            let flaw = flaw(&file, is_full).map_err(StoreError::io("read", &path))?;
            flaws.extend(flaw.map(|(offset, what)| Flaw { file: path, offset, what, is_leftover: !is_full }));
        }
        Ok(flaws)
    }

    fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// Waits until no other process takes values away or writes segments anew, and keeps them off.
    fn alone(&self) -> Result<File> {
        let path = self.folder().join(LOCK);
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let file = opened.map_err(StoreError::io("open", &path))?;
        file.lock().map_err(StoreError::io("lock", &path))?;
        Ok(file)
    }

    fn erase(&self, name: &Name, entries: Vec<Entry>, removed: &mut HashSet<Blake3>) -> Result<()> {
        let Some((file, path)) = name.open(self.folder(), true)? else { return Ok(()) };
        let mut there = Vec::new();
        for entry in entries {
            match segment::read(&file, &path, &entry)? {
                Found::Erased { whole: true } => {}
                found => {
                    if !matches!(found, Found::Erased { .. }) {
                        removed.insert(entry.digest);
                    }
                    there.push(entry);
                }
            }
        }
        if there.is_empty() {
            return Ok(());
        }
        segment::erase(&file, &path, &there)?;
        let is_empty = matches!(Wear::of(&file, &path, name)?, Wear::Empty(left) if left.is_empty());
        if is_empty && is_locked(&file, &path)? { self.unlink(&path) } else { Ok(()) }
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(StoreError::io("remove", path))?;
        sync_folder(self.folder())
    }
}

/// What upkeep can do for a segment.
enum Wear {
    /// Nothing: it is in order, or so damaged that it is better left alone.
    None,
    /// What follows an offset is no block of values.
    Leftover(u64),
    /// Less than half of its values are left: these.
    Empty(Vec<Entry>),
}

impl Wear {
    fn of(file: &File, path: &Path, name: &Name) -> Result<Self> {
        let read = || Ok((flaw(file, name.is_full)?, Blocks::read(file)?));
        let (flaw, blocks) = read().map_err(StoreError::io("read", path))?;
        if let Some((end, _)) = flaw {
            return Ok(if name.is_full { Self::None } else { Self::Leftover(end) });
        }
        let mut left = Vec::new();
        for entry in &blocks.entries {
            if !segment::is_erased(file, path, entry)? {
                left.push(*entry);
            }
        }
        let bytes = |entries: &[Entry]| entries.iter().map(|entry| u64::from(entry.length)).sum::<u64>();
        Ok(if bytes(&left) < bytes(&blocks.entries) / 2 { Self::Empty(left) } else { Self::None })
    }
}

/// Where a segment is not as it should be, and how.
fn flaw(file: &File, is_full: bool) -> std::io::Result<Option<(u64, &'static str)>> {
    let mut blocks = Blocks::read(file)?;
    if !is_full {
        let length = file.metadata()?.len();
        return Ok((blocks.end < length).then_some((blocks.end, "what follows is no whole block of values")));
    }
    let Ok((index, at)) = segment::read_index(file) else {
        return Ok(Some((blocks.end, "its index is damaged, or a block before it")));
    };
    blocks.entries.sort_unstable();
    Ok((blocks.end != at || blocks.entries != index).then_some((blocks.end, "a block of values is damaged")))
}

fn is_older(file: &File, path: &Path, before: SystemTime) -> Result<bool> {
    let metadata = file.metadata().map_err(StoreError::io("read", path))?;
    Ok(metadata.modified().is_ok_and(|at| at < before))
}
