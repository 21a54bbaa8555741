//! Verification: every record and every stored checksum, reported and never repaired.

use std::fs::File;
use std::path::PathBuf;

use super::head::Head;
use super::survey::{Found, survey, survey_hashed};
use super::{Journal, cut, segment};
use crate::error::{Result, StoreError};
use crate::proof::Hash;

/// Further damage is counted, not listed.
const LISTED_MAX: usize = 10_000;

/// A place in the journal that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in the file the damage was noticed: the line, the frame or the index.
    pub offset: u64,
    /// The first position that cannot be read.
    pub position: u64,
    /// How many positions cannot be read.
    pub count: u64,
    /// What is wrong.
    pub what: String,
    /// The first position of the segment.
    pub(crate) segment: u64,
}

/// Bytes that recovery or repair moved out of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutFile {
    /// Where they are kept.
    pub file: PathBuf,
    /// How many.
    pub bytes: u64,
}

/// What `verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalReport {
    /// How many events the head names.
    pub count: u64,
    /// Where reading began; what is before was not read.
    pub first: u64,
    /// How many of those that were read are good.
    pub good: u64,
    /// Every damage, in the order of positions; at most 10,000 are listed.
    pub damage: Vec<Damage>,
    /// How many damages there are.
    pub damaged: u64,
    /// Bytes behind the head, which the next writer publishes or cuts.
    pub unpublished: u64,
    /// What was moved out of the journal.
    pub cut: Vec<CutFile>,
}

impl JournalReport {
    /// Whether everything is what was written.
    pub fn is_good(&self) -> bool {
        self.damaged == 0
    }

    fn add(&mut self, damage: Damage) {
        self.damaged += 1;
        if self.damage.len() < LISTED_MAX {
            self.damage.push(damage);
        }
    }
}

impl Journal {
    /// Hands over every published record and every damage.
    pub(crate) fn survey(&self, head: &Head, sink: &mut dyn FnMut(Found<'_>) -> Result<()>) -> Result<()> {
        survey(&self.shared, head, sink)
    }

    /// Checks every record, every checksum and the head; `progress` is told (events seen, events).
    pub fn verify(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<JournalReport> {
        self.verify_from(0, 1, progress, &mut |_, _| Ok(()))
    }

    /// As [`Journal::verify`], from the segment of a position on and by several threads; `leaf` is given the hash of
    /// each event from the position on, in order, and `None` for one that cannot be read.
    pub fn verify_from(
        &self,
        from: u64,
        n_threads: usize,
        progress: &mut dyn FnMut(u64, u64),
        leaf: &mut dyn FnMut(u64, Option<Hash>) -> Result<()>,
    ) -> Result<JournalReport> {
        let head = self.head()?;
        let mut report = JournalReport { count: head.count, first: from, ..JournalReport::default() };
        let path = self.shared.head_path();
        let file = File::open(&path).map_err(StoreError::io("open", &path))?;
        for offset in Head::damaged_slots(&file, &path)? {
            let what = "a slot of the head cannot be read";
            report.add(Damage::new(path.clone(), offset, head.segment, &(head.count..head.count), what));
        }
        let (mut last, mut next) = (None, from);
        survey_hashed(&self.shared, &head, from, n_threads, &mut |surveyed| {
            report.first = report.first.min(surveyed.positions.start);
            report.good += surveyed.leaves.len() as u64;
            for damage in surveyed.damage {
                report.add(damage);
            }
            for (position, hash) in surveyed.leaves {
                for lost in next..position {
                    leaf(lost, None)?;
                }
                if position >= next {
                    leaf(position, Some(hash))?;
                    next = position + 1;
                }
                if position + 1 == head.count {
                    last = surveyed.checksum;
                }
            }
            progress(surveyed.positions.end, head.count);
            Ok(())
        })?;
        for lost in next..head.count {
            leaf(lost, None)?;
        }
        if head.last > 0 && last.is_some_and(|crc| crc != head.checksum) {
            let what = "the last record is not the one that the head names";
            report.add(Damage::new(path, 0, head.segment, &(head.count - 1..head.count), what));
        }
        let active = segment::log_path(&self.shared.dir, head.segment);
        report.unpublished = active.metadata().map_or(0, |m| m.len().saturating_sub(head.length));
        report.cut = cut::list(&self.shared.dir)?.into_iter().map(|(file, bytes)| CutFile { file, bytes }).collect();
        progress(head.count, head.count);
        Ok(report)
    }
}
