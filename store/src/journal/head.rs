//! The head: how far the journal is published, in a small file of two slots written in turn.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::medium::Medium;
use crate::error::{Result, StoreError};

/// The version of the journal format that this code writes.
pub(crate) const JOURNAL_VERSION: u64 = 1;
/// One sector, so that a torn write leaves a slot as it was or as it is to be.
const SLOT_BYTES: usize = 512;
const WORD: &str = "lineage-journal";
/// A slot that a writer is just changing is read again this often.
const READ_ATTEMPTS: usize = 64;

/// How far the journal is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of events.
    pub count: u64,
    /// The first position of the segment that is written to.
    pub segment: u64,
    /// The published bytes of that segment.
    pub length: u64,
    /// The checksum of the last line, which ends there.
    pub checksum: u32,
    /// The bytes of that line; 0 in a new segment.
    pub last: u32,
    /// When the last event was recorded, in nanoseconds since 1970.
    pub recorded_last: i64,
    /// How often a head was published; its parity chooses the slot.
    pub(crate) sequence: u64,
}

impl Head {
    /// The head of a journal without events.
    pub(crate) fn empty() -> Self {
        Self { count: 0, segment: 0, length: 0, checksum: 0, last: 0, recorded_last: i64::MIN, sequence: 0 }
    }

    fn slot(&self) -> [u8; SLOT_BYTES] {
        let text = format!(
            "{WORD} {JOURNAL_VERSION} sequence {:020} count {:020} segment {:020} length {:020} last {:010} checksum {:08x} recorded {:+020}\n",
            self.sequence, self.count, self.segment, self.length, self.last, self.checksum, self.recorded_last
        );
        let mut slot = [b' '; SLOT_BYTES];
        slot[..text.len()].copy_from_slice(text.as_bytes());
        let crc = format!("{:08x}\n", crc32c::crc32c(&slot[..SLOT_BYTES - 9]));
        slot[SLOT_BYTES - 9..].copy_from_slice(crc.as_bytes());
        slot
    }

    fn parse(slot: &[u8]) -> Option<Slot> {
        let text = std::str::from_utf8(slot).ok()?;
        let (body, crc) = text.split_at_checked(SLOT_BYTES - 9)?;
        if format!("{:08x}\n", crc32c::crc32c(body.as_bytes())) != crc {
            return None;
        }
        let mut words = body.split_ascii_whitespace();
        if words.next()? != WORD {
            return None;
        }
        let version: u64 = words.next()?.parse().ok()?;
        if version != JOURNAL_VERSION {
            return Some(Slot::Newer(version));
        }
        let mut value = || words.nth(1);
        let head = Self {
            sequence: value()?.parse().ok()?,
            count: value()?.parse().ok()?,
            segment: value()?.parse().ok()?,
            length: value()?.parse().ok()?,
            last: value()?.parse().ok()?,
            checksum: u32::from_str_radix(value()?, 16).ok()?,
            recorded_last: value()?.parse().ok()?,
        };
        (head.slot() == slot).then_some(Slot::Good(head))
    }

    /// The file of a new journal: both slots.
    pub(crate) fn file(&self) -> Vec<u8> {
        let second = Self { sequence: self.sequence + 1, ..*self };
        let (even, odd) = if self.sequence.is_multiple_of(2) { (self, &second) } else { (&second, self) };
        [even.slot(), odd.slot()].concat()
    }

    /// Reads the head from its open file.
    pub(crate) fn read(file: &File, path: &Path) -> Result<Self> {
        let mut found = [None, None];
        for _ in 0..READ_ATTEMPTS {
            found = read_slots(file).map_err(StoreError::io("read", path))?;
            let good = found.iter().flatten().filter_map(|slot| match slot {
                Slot::Good(head) => Some(*head),
                Slot::Newer(_) => None,
            });
            if let Some(head) = good.max_by_key(|head| head.sequence) {
                return Ok(head);
            }
            std::thread::yield_now();
        }
        match found.into_iter().flatten().next() {
            Some(Slot::Newer(version)) => Err(StoreError::UnsupportedVersion {
                what: path.display().to_string(),
                found: version,
                known: JOURNAL_VERSION,
            }),
            _ => Err(StoreError::corrupt(path, 0, "neither slot of the head can be read")),
        }
    }

    /// The offsets of slots that cannot be read.
    pub(crate) fn damaged_slots(file: &File, path: &Path) -> Result<Vec<u64>> {
        let mut damaged = Vec::new();
        for _ in 0..READ_ATTEMPTS {
            let found = read_slots(file).map_err(StoreError::io("read", path))?;
            damaged =
                (0_u64..).zip(&found).filter(|(_, slot)| slot.is_none()).map(|(i, _)| i * SLOT_BYTES as u64).collect();
            let length = file.metadata().map_err(StoreError::io("read", path))?.len();
            if length != 2 * SLOT_BYTES as u64 {
                damaged.push(length);
            }
            if damaged.is_empty() {
                break;
            }
            std::thread::yield_now();
        }
        Ok(damaged)
    }

    /// Publishes the next head into the slot whose content is older.
    pub(crate) fn publish(&mut self, medium: &dyn Medium, file: &File, path: &Path) -> io::Result<()> {
        let next = Self { sequence: self.sequence + 1, ..*self };
        medium.write_at(file, path, &next.slot(), (next.sequence % 2) * SLOT_BYTES as u64)?;
        *self = next;
        Ok(())
    }
}

enum Slot {
    Good(Head),
    Newer(u64),
}

fn read_slots(file: &File) -> io::Result<[Option<Slot>; 2]> {
    let mut bytes = [0; 2 * SLOT_BYTES];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64)? {
            0 => break,
            n => filled += n,
        }
    }
    let parity = |i: u64| move |slot: &Slot| !matches!(slot, Slot::Good(head) if head.sequence % 2 != i);
    let (even, odd) = bytes.split_at(SLOT_BYTES);
    Ok([Head::parse(even).filter(parity(0)), Head::parse(odd).filter(parity(1))])
}
