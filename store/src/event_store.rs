//! The event store: a second copy of every event in sled, in compressed blocks keyed by first position.

mod feeder;
mod guard;
mod tail;
mod verify;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Result, StoreError};
use crate::journal::{Block, FRAME_BYTES, Journal, Lines, RecordBuf, STORED_BYTES_MAX, StoredFrame, parse_line_at};

pub(crate) use feeder::Feeder;
use guard::{Trees, cannot_write, guarded, is_released, lock, open_guarded, set_aside};
use tail::TailBlocks;
pub use verify::Difference;

/// A larger value is never part of sled's log, not even at first. Sled writes a leaf of the tree, which has up
/// to 16 values, into a file of its own in `blobs/` and never syncs that; [`EventStore::close`] does.
const VALUE_BYTES_MAX: usize = STORED_BYTES_MAX + 64;
/// The most lines of one block of the tail. Events that do not fill a block yet are kept one by one in as many
/// slots, which are used in turn: nothing is ever deleted, and a command that adds one event writes one event.
const BLOCK_LINES: u64 = 1024;
/// Small writes behind each frame, under as many keys. With every tenth sled rewrites a page and moves another one out
/// of a sparse segment of its file. Measured at a million events: without them the file has 44 bytes an event of dead
/// copies, with them 8; under one key it has 39.
const SWEEPS: u8 = 50;
/// How many events are read from the journal before the budget is looked at.
const STEP: u64 = 2048;
/// The key of what [`TailBlocks`] keeps, in the tree of marks.
const MARKS_KEY: &[u8] = b"tail";

/// The event store of one process; another one that asks for it meanwhile does without.
#[derive(Debug)]
pub struct EventStore {
    dir: PathBuf,
    /// Absent only while it is being replaced.
    trees: Option<Trees>,
    /// The position after the last block that stays.
    packed: u64,
    /// The blocks that are replaced by frames of the journal once it has sealed their segment.
    blocks: TailBlocks,
    /// The lines after the last block.
    tail: Vec<u8>,
    /// Where each of them begins, and where the last one ends.
    starts: Vec<usize>,
    /// How many of them are in their slots.
    slotted: usize,
    rebuilding: bool,
    reconciled: bool,
    /// Whether blocks were written, and with them perhaps blobs.
    packed_some: bool,
    block: Mutex<Block>,
    _lock: File,
}

impl EventStore {
    /// Opens the event store in a folder, making it if there is none; `None` when another process holds
    /// it or the folder cannot be written. A damaged one is set aside, and a new one is begun.
    pub fn open(dir: &Path) -> Result<Option<Self>> {
        let Some(lock) = lock(dir)? else { return Ok(None) };
        if !is_released(dir)? {
            return Ok(None);
        }
        let (trees, damaged) = match open_guarded(dir) {
            Ok(trees) => (trees, false),
            Err(StoreError::Io { source, .. }) if cannot_write(&source) => return Ok(None),
            Err(_) => {
                set_aside(dir)?;
                (open_guarded(dir)?, true)
            }
        };
        let mut store = Self {
            dir: dir.to_owned(),
            trees: Some(trees),
            packed: 0,
            blocks: TailBlocks::default(),
            tail: Vec::new(),
            starts: vec![0],
            slotted: 0,
            rebuilding: damaged,
            reconciled: false,
            packed_some: false,
            block: Mutex::default(),
            _lock: lock,
        };
        if store.load().is_err() {
            store.renew()?;
        }
        Ok(Some(store))
    }

    /// The number of events in it.
    pub fn head(&self) -> u64 {
        self.tail_first() + self.starts.len() as u64 - 1
    }

    /// The position after the last block.
    fn tail_first(&self) -> u64 {
        self.blocks.end().unwrap_or(self.packed)
    }

    /// Whether the one that was there is set aside and this one is being filled again.
    pub fn is_rebuilding(&self) -> bool {
        self.rebuilding
    }

    /// Sets what is there aside as damaged and begins anew; `catch_up` fills it.
    pub fn renew(&mut self) -> Result<()> {
        self.trees = None;
        is_released(&self.dir)?;
        set_aside(&self.dir)?;
        self.trees = Some(open_guarded(&self.dir)?);
        (self.packed, self.slotted, self.rebuilding) = (0, 0, true);
        self.blocks = TailBlocks::default();
        self.tail.clear();
        self.starts = vec![0];
        *self.block() = Block::default();
        self.load()
    }

    /// Compares with the journal, after [`EventStore::open`]: one that is ahead of it, or has another last
    /// event, is set aside. `false` if it was.
    pub fn reconcile(&mut self, journal: &Journal) -> Result<bool> {
        self.reconciled = true;
        let mut count = journal.head()?.count;
        if self.head() > count {
            journal.settle()?;
            count = journal.head()?.count;
        }
        let same = self.head() <= count && (self.head() == 0 || self.last_agrees(journal));
        if !same {
            self.renew()?;
        }
        Ok(same)
    }

    fn last_agrees(&self, journal: &Journal) -> bool {
        let last = self.head() - 1;
        match (journal.get(last), self.get(last)) {
            (Ok(theirs), Ok(ours)) => theirs == ours,
            // A damaged journal is no reason to give up the copy that can mend it.
            (Err(_), Ok(_)) => true,
            (_, Err(_)) => false,
        }
    }

    /// Takes events from the journal until it has a number of them or the budget is used; the head reached.
    pub fn catch_up(&mut self, journal: &Journal, until: u64, budget: Duration) -> Result<u64> {
        let start = Instant::now();
        if !self.reconciled {
            self.reconcile(journal)?;
        }
        let until = until.min(journal.head()?.count);
        let mut lines = Vec::new();
        self.take_frames(journal, until, &|| start.elapsed() < budget)?;
        while self.head() < until {
            lines.clear();
            let first = self.head();
            journal.read_from(first, until.min(first + STEP), &mut |record| {
                lines.extend_from_slice(record.line);
                Ok(())
            })?;
            self.append_lines(first, &lines)?;
            if start.elapsed() >= budget {
                break;
            }
            self.take_frames(journal, until, &|| start.elapsed() < budget)?;
        }
        self.write_slots()?;
        self.rebuilding &= self.head() < until;
        Ok(self.head())
    }

    /// Takes what is sealed in the journal, which is copied, and nothing else.
    fn catch_up_sealed(&mut self, journal: &Journal) -> Result<()> {
        if !self.reconciled {
            self.reconcile(journal)?;
        }
        self.take_frames(journal, u64::MAX, &|| true)
    }

    /// Takes the frames of sealed segments as they are, up to a position, while there is time; at least one.
    fn take_frames(&mut self, journal: &Journal, until: u64, has_time: &dyn Fn() -> bool) -> Result<()> {
        let mut next = self.packed;
        let taken = journal.frames_from(next, &mut |frame| {
            if frame.end > until {
                return Ok(false);
            }
            self.write_frame(next, frame)?;
            next = frame.end;
            Ok(has_time())
        });
        if next > self.packed {
            self.packed_some = true;
            self.move_packed(next);
            let trees = self.trees()?;
            guarded(&self.dir, || trees.db.flush())?;
        }
        match taken {
            // What cannot be read there is in the tail, which goes on and is kept for good in the end.
            Err(error) if error.is_corrupt() && next < self.head() => Ok(()),
            taken => taken,
        }
    }

    /// Keeps a frame from a position on: all of it, copied, unless blocks were written that end in the midst of it.
    fn write_frame(&self, from: u64, frame: &StoredFrame<'_>) -> Result<()> {
        let value = Block::of_frame(frame);
        if from == frame.first {
            self.insert(from, value)?;
        } else {
            let lines = Block::unpack(frame.first, &value, FRAME_BYTES);
            let lines = lines.as_ref().and_then(|block| block.lines_from(from));
            let lines = lines.ok_or_else(|| self.corrupt(format!("the frame of position {from} cannot be read")))?;
            self.settle(from, lines)?;
        }
        self.sweep(from)
    }

    /// Keeps lines as blocks that stay, halved until they fit.
    fn settle(&self, first: u64, lines: &[u8]) -> Result<()> {
        let starts: Vec<usize> = Lines::new(lines).map(|(at, _)| at).collect();
        let value = Block::pack(lines, starts.len()).map_err(StoreError::io("compress", &self.dir))?;
        let middle = starts.len() / 2;
        if value.len() > VALUE_BYTES_MAX && middle > 0 {
            let (front, back) = lines.split_at(starts[middle]);
            self.settle(first, front)?;
            return self.settle(first + middle as u64, back);
        }
        self.insert(first, value)
    }

    fn insert(&self, first: u64, value: Vec<u8>) -> Result<()> {
        let trees = self.trees()?;
        guarded(&self.dir, || trees.blocks.insert(first.to_be_bytes(), value)).map(drop)
    }

    /// Makes sled tidy its file.
    fn sweep(&self, position: u64) -> Result<()> {
        let (marks, value) = (&self.trees()?.marks, position.to_le_bytes());
        guarded(&self.dir, || (0..SWEEPS).try_for_each(|key| marks.insert([key], &value).map(drop)))
    }

    /// Forgets the copies in the tail of what is in blocks that stay.
    fn move_packed(&mut self, packed: u64) {
        let first = self.tail_first();
        self.packed = packed;
        self.blocks.drop_before(packed);
        if let Some(done) = self.tail_first().checked_sub(first).filter(|done| *done > 0) {
            self.cut_tail((done as usize).min(self.starts.len() - 1));
        }
    }

    /// Appends lines that are published in the journal, given from a position that is not beyond the head.
    ///
    /// Those that do not fill a block are kept in memory until [`EventStore::flush`].
    fn append_lines(&mut self, first: u64, lines: &[u8]) -> Result<()> {
        for ((_, line), position) in Lines::new(lines).zip(first..) {
            let what = |what| StoreError::corrupt(&self.dir, 0, what);
            parse_line_at(line, position).map_err(what)?;
            if position > self.head() {
                return Err(what(format!("position {position} where {} belongs", self.head())));
            }
            if position == self.head() {
                self.tail.extend_from_slice(line);
                self.starts.push(self.tail.len());
            }
        }
        self.write_blocks()
    }

    /// The record at a position.
    pub fn get(&self, position: u64) -> Result<RecordBuf> {
        let line = self.line(position)?;
        parse_line_at(&line, position).map(Into::into).map_err(|what| self.corrupt(what))
    }

    /// The records from a position up to, not including, an end.
    pub fn scan(&self, from: u64, to: u64, f: &mut dyn FnMut(crate::journal::Record<'_>) -> Result<()>) -> Result<()> {
        for position in from..to.min(self.head()) {
            let line = self.line(position)?;
            let record = parse_line_at(&line, position).map_err(|what| self.corrupt(what))?;
            f(record)?;
        }
        Ok(())
    }

    /// The line at a position, as the journal has it.
    pub(crate) fn line(&self, position: u64) -> Result<Vec<u8>> {
        if position >= self.head() {
            return Err(StoreError::BeyondHead { position, count: self.head() });
        }
        if position >= self.tail_first() {
            let i = (position - self.tail_first()) as usize;
            return Ok(self.tail[self.starts[i]..self.starts[i + 1]].to_vec());
        }
        let mut block = self.block();
        if let Some(line) = block.line(position) {
            return Ok(line.to_vec());
        }
        *block = self.read_block(position)?;
        let missing = || self.corrupt(format!("position {position} is missing"));
        block.line(position).map(<[u8]>::to_vec).ok_or_else(missing)
    }

    /// Hands everything to the operating system, so that a killed process loses nothing of it.
    pub fn flush(&mut self) -> Result<()> {
        self.write_slots()?;
        let trees = self.trees()?;
        guarded(&self.dir, || trees.db.flush()).map(drop)
    }

    /// Flushes and makes everything durable; sled itself never calls fsync here.
    pub fn close(mut self) -> Result<()> {
        self.flush()?;
        let blobs = self.dir.join("blobs");
        if self.packed_some && blobs.exists() {
            for entry in fs::read_dir(&blobs).map_err(StoreError::io("list", &blobs))? {
                let path = entry.map_err(StoreError::io("list", &blobs))?.path();
                match File::open(&path).and_then(|blob| blob.sync_data()) {
                    // Sled removes those that are replaced, on a thread of its own.
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(StoreError::io("sync", &path)(error));
                    }
                    _ => {}
                }
            }
            File::open(&blobs).and_then(|dir| dir.sync_all()).map_err(StoreError::io("sync", &blobs))?;
        }
        let path = self.dir.join("db");
        File::open(&path).and_then(|db| db.sync_data()).map_err(StoreError::io("sync", &path))
    }

    fn trees(&self) -> Result<&Trees> {
        self.trees.as_ref().ok_or(StoreError::Poisoned)
    }

    fn block(&self) -> MutexGuard<'_, Block> {
        self.block.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn corrupt(&self, what: impl Into<String>) -> StoreError {
        StoreError::corrupt(&self.dir, 0, what)
    }

    /// Finds the head: the end of the last block, then the slots that go on from there.
    fn load(&mut self) -> Result<()> {
        let trees = self.trees()?;
        let last = guarded(&self.dir, || trees.blocks.last())?;
        let mut packed = 0;
        if let Some((key, value)) = last {
            let end = key_position(&key).zip(Block::count(&value)).map(|(first, count)| first + count);
            packed = end.ok_or_else(|| self.corrupt("the last block has no header"))?;
        }
        let marks = guarded(&self.dir, || trees.marks.get(MARKS_KEY))?;
        let mut blocks = marks.and_then(|marks| TailBlocks::decode(&marks)).unwrap_or_default();
        blocks.drop_before(packed);
        if !blocks.begins_by(packed) {
            blocks = TailBlocks::default();
        }
        let first = blocks.end().unwrap_or(packed);
        let (mut tail, mut starts) = (Vec::new(), vec![0]);
        for position in first..first + BLOCK_LINES {
            let slot = guarded(&self.dir, || trees.slots.get(slot_key(position)))?;
            let Some(line) = slot.filter(|line| parse_line_at(line, position).is_ok()) else { break };
            tail.extend_from_slice(&line);
            starts.push(tail.len());
        }
        self.slotted = starts.len() - 1;
        (self.packed, self.blocks, self.tail, self.starts) = (packed, blocks, tail, starts);
        Ok(())
    }

    /// Packs the lines that fill whole blocks into blocks of the tail.
    fn write_blocks(&mut self) -> Result<()> {
        loop {
            let full = self.starts.partition_point(|start| *start <= FRAME_BYTES) - 1;
            let lines = full.min(BLOCK_LINES as usize);
            // A block is full when the next line would not fit.
            if lines + 1 >= self.starts.len() && lines < BLOCK_LINES as usize {
                return Ok(());
            }
            self.write_block(lines)?;
        }
    }

    /// Writes one block of the tail, halved until it fits.
    fn write_block(&mut self, lines: usize) -> Result<()> {
        let value = Block::pack(&self.tail[..self.starts[lines]], lines);
        let value = value.map_err(StoreError::io("compress", &self.dir))?;
        if value.len() > VALUE_BYTES_MAX && lines > 1 {
            self.write_block(lines / 2)?;
            return self.write_block(lines - lines / 2);
        }
        if self.blocks.is_full() {
            self.settle_oldest()?;
        }
        let (key, first) = (self.blocks.next_key(), self.tail_first());
        let trees = self.trees()?;
        // The value comes first: marks never name a block that is not there.
        guarded(&self.dir, || trees.tail.insert(key, value))?;
        self.blocks.push(first..first + lines as u64);
        let trees = self.trees()?;
        guarded(&self.dir, || trees.marks.insert(MARKS_KEY, self.blocks.encode()))?;
        self.cut_tail(lines);
        self.packed_some = true;
        Ok(())
    }

    /// Lets the oldest block of the tail stay: its segment could not be sealed for long.
    fn settle_oldest(&mut self) -> Result<()> {
        let Some((_, end)) = self.blocks.oldest() else { return Ok(()) };
        let mut lines = Vec::new();
        for position in self.packed..end {
            lines.extend(self.line(position)?);
        }
        self.settle(self.packed, &lines)?;
        self.move_packed(end);
        Ok(())
    }

    /// Forgets the first lines after the last block.
    fn cut_tail(&mut self, lines: usize) {
        let cut = self.starts[lines];
        self.tail.drain(..cut);
        self.starts.drain(..lines);
        self.starts.iter_mut().for_each(|start| *start -= cut);
        self.slotted = self.slotted.saturating_sub(lines);
    }

    /// Writes the lines after the last block into their slots.
    fn write_slots(&mut self) -> Result<()> {
        let trees = self.trees()?;
        for i in self.slotted..self.starts.len() - 1 {
            let line = &self.tail[self.starts[i]..self.starts[i + 1]];
            guarded(&self.dir, || trees.slots.insert(slot_key(self.tail_first() + i as u64), line))?;
        }
        self.slotted = self.starts.len() - 1;
        Ok(())
    }

    fn read_block(&self, position: u64) -> Result<Block> {
        let trees = self.trees()?;
        let (first, value) = if position < self.packed {
            let found = guarded(&self.dir, || trees.blocks.get_lt((position + 1).to_be_bytes()))?;
            found.map_or((None, None), |(key, value)| (key_position(&key), Some(value)))
        } else {
            let (key, first) = self.blocks.of(position).unzip();
            let value = key.map(|key| guarded(&self.dir, || trees.tail.get(key))).transpose()?;
            (first, value.flatten())
        };
        let (first, value) =
            first.zip(value).ok_or_else(|| self.corrupt(format!("no block holds position {position}")))?;
        let block = Block::unpack(first, &value, FRAME_BYTES);
        block.ok_or_else(|| self.corrupt(format!("the block of position {position} is damaged")))
    }
}

impl Drop for EventStore {
    fn drop(&mut self) {
        if self.trees.is_some() {
            // What does not get there is read from the journal again.
            drop(self.flush());
        }
    }
}

fn key_position(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

fn slot_key(position: u64) -> [u8; 2] {
    ((position % BLOCK_LINES) as u16).to_be_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::unit_arg, reason = "a panic is how a test fails")]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::unit_arg, reason = "a panic is how a test fails")]
mod frame_tests;
