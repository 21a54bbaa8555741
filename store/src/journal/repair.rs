//! Repair: damaged segments are written anew from the second copy of each event.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::Duration;

use super::head::Head;
use super::segment::{self, Form, Segment, log_path, sealed_path};
use super::survey::{Found, survey_segment};
use super::{Journal, cut, line, writer};
use crate::error::{Result, StoreError};
use crate::event_store::EventStore;

/// A repair waits this long for a writer.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// How many records were restored.
    pub records: u64,
    /// The files that were written anew.
    pub files: Vec<PathBuf>,
    /// Where the damaged files are kept.
    pub kept: Vec<PathBuf>,
    /// What could not be repaired, and why.
    pub failed: Vec<String>,
}

impl Journal {
    /// Restores damaged records from the event store; what is damaged is kept under `cut/`.
    ///
    /// A segment is written anew only when every record of it that is still good is the same in both.
    pub fn repair_from(&self, events: &EventStore) -> Result<Repaired> {
        let shared = &*self.shared;
        let (_lock, head_file) = writer::take(shared, LOCK_TIMEOUT)?;
        let path = shared.head_path();
        let mut head = Head::read(&head_file, &path)?;
        let mut repaired = Repaired::default();
        let mut segments = BTreeSet::new();
        self.survey(&head, &mut |found| {
            if let Found::Damage(damage) = found {
                segments.insert(damage.segment);
            }
            Ok(())
        })?;
        for base in segments {
            if let Err(error) = self.repair_segment(base, &head, events, &mut repaired) {
                repaired.failed.push(error.to_string());
            }
        }
        if !Head::damaged_slots(&head_file, &path)?.is_empty() {
            shared.medium.truncate(&head_file, &path, 0).map_err(StoreError::io("write", &path))?;
            head.sequence += 1;
            shared.medium.write_at(&head_file, &path, &head.file(), 0).map_err(StoreError::io("write", &path))?;
            shared.medium.sync(&head_file, &path).map_err(StoreError::io("sync", &path))?;
            repaired.files.push(path);
        }
        shared.forget();
        Ok(repaired)
    }

    fn repair_segment(&self, base: u64, head: &Head, events: &EventStore, repaired: &mut Repaired) -> Result<()> {
        let shared = &*self.shared;
        let segments = segment::list(&shared.dir)?;
        let old = segments.iter().copied().find(|segment| segment.base == base);
        let next = segments.iter().find(|s| s.base > base && s.base <= head.segment).map(|s| s.base);
        let active = base == head.segment;
        let positions = base..next.unwrap_or(if active { head.count } else { head.segment }).min(head.count);
        let good = match old {
            Some(old) => self.good_lines(old, positions.clone(), head)?,
            None => BTreeMap::new(),
        };
        let (mut bytes, restored) = merge(&log_path(&shared.dir, base), positions, &good, events)?;
        if active {
            if bytes.len() as u64 != head.length {
                let what = format!("the restored lines have {} bytes, the head names {}", bytes.len(), head.length);
                return Err(StoreError::corrupt(log_path(&shared.dir, base), 0, what));
            }
            bytes.extend(self.behind(base, head)?);
        }
        self.replace(base, old, &bytes, repaired)?;
        repaired.records += restored;
        Ok(())
    }

    fn good_lines(&self, segment: Segment, positions: Range<u64>, head: &Head) -> Result<BTreeMap<u64, Vec<u8>>> {
        let mut good = BTreeMap::new();
        survey_segment(&self.shared, segment, positions, head, &mut |found| {
            if let Found::Record(record) = found {
                good.insert(record.position, record.line.to_vec());
            }
            Ok(())
        })?;
        Ok(good)
    }

    /// What is behind the head in the segment that is written to; the next writer judges it.
    fn behind(&self, base: u64, head: &Head) -> Result<Vec<u8>> {
        let path = log_path(&self.shared.dir, base);
        let Ok(file) = OpenOptions::new().read(true).open(&path) else { return Ok(Vec::new()) };
        let length = file.metadata().map_err(StoreError::io("read", &path))?.len();
        let mut bytes = vec![0; length.saturating_sub(head.length) as usize];
        file.read_exact_at(&mut bytes, head.length).map_err(StoreError::io("read", &path))?;
        Ok(bytes)
    }

    /// Puts the new file in place before the damaged one is taken away, so that the segment is never absent.
    fn replace(&self, base: u64, old: Option<Segment>, bytes: &[u8], repaired: &mut Repaired) -> Result<()> {
        let shared = &*self.shared;
        let medium = &*shared.medium;
        let path = log_path(&shared.dir, base);
        let new = path.with_extension("log.new");
        if new.exists() {
            medium.remove(&new).map_err(StoreError::io("remove", &new))?;
        }
        let file = medium.create(&new).map_err(StoreError::io("create", &new))?;
        // Nobody seals it before what it replaces is gone.
        file.lock().map_err(StoreError::io("lock", &new))?;
        medium.write_at(&file, &new, bytes, 0).map_err(StoreError::io("write", &new))?;
        medium.sync(&file, &new).map_err(StoreError::io("sync", &new))?;
        if let Some(old) = old {
            let (from, keep) = (old.path(&shared.dir), cut::free_path(medium, &shared.dir, base)?);
            medium.link(&from, &keep).map_err(StoreError::io("keep", &from))?;
            repaired.kept.push(keep);
            let dir = cut::dir(&shared.dir);
            medium.sync_dir(&dir).map_err(StoreError::io("sync", &dir))?;
        }
        medium.rename(&new, &path).map_err(StoreError::io("rename", &new))?;
        medium.sync_dir(&shared.dir).map_err(StoreError::io("sync", &shared.dir))?;
        if old.is_some_and(|old| old.form == Form::Sealed) {
            let sealed = sealed_path(&shared.dir, base);
            medium.remove(&sealed).map_err(StoreError::io("remove", &sealed))?;
        }
        repaired.files.push(path);
        Ok(())
    }
}

/// The lines of a segment from both copies, and how many came from the event store alone.
fn merge(
    path: &std::path::Path,
    positions: Range<u64>,
    good: &BTreeMap<u64, Vec<u8>>,
    events: &EventStore,
) -> Result<(Vec<u8>, u64)> {
    let (mut bytes, mut restored) = (Vec::new(), 0);
    for position in positions {
        let second = events.line(position).ok();
        let line = match (good.get(&position), second) {
            (Some(first), Some(second)) if *first != second => {
                let what = format!("position {position} is good in journal and event store, but not the same");
                return Err(StoreError::corrupt(path, 0, what));
            }
            (Some(first), _) => first.clone(),
            (None, Some(second)) if line::parse_at(&second, position).is_ok() => {
                restored += 1;
                second
            }
            (None, _) => {
                return Err(StoreError::corrupt(path, 0, format!("position {position} is lost in both copies")));
            }
        };
        bytes.extend_from_slice(&line);
    }
    Ok((bytes, restored))
}
