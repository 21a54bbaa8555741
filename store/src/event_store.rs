//! The event store: a second copy of every event in sled, in compressed blocks keyed by first position.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Result, StoreError};
use crate::journal::{Block, Found, Journal, Lines, RecordBuf, parse_line_at};

/// The lines of one block. Measured on the disk: 512 KiB take 203 bytes an event, 256 KiB 241, 64 KiB 327.
const BLOCK_BYTES: usize = 512 * 1024;
/// A larger value is never part of sled's log, not even at first. Sled writes a leaf of the tree, which has up
/// to 16 values, into a file of its own in `blobs/` and never syncs that; [`EventStore::close`] does.
const VALUE_BYTES_MAX: usize = 131_052 - 64;
/// The most lines of one block. Events that do not fill a block yet are kept one by one in as many slots,
/// which are used in turn: nothing is ever deleted, and a command that adds one event writes one event.
const BLOCK_LINES: u64 = 1024;
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// How many events are read from the journal before the budget is looked at.
const STEP: u64 = 2048;

/// The event store of one process; another one that asks for it meanwhile does without.
#[derive(Debug)]
pub struct EventStore {
    dir: PathBuf,
    /// Absent only while it is being replaced.
    trees: Option<Trees>,
    /// The position after the last block.
    packed: u64,
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

#[derive(Debug)]
struct Trees {
    db: sled::Db,
    blocks: sled::Tree,
    slots: sled::Tree,
}

/// An event that journal and event store do not agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its position.
    pub position: u64,
    /// How many events from there.
    pub count: u64,
    /// What differs.
    pub what: String,
}

impl EventStore {
    /// Opens the event store in a folder, making it if there is none; `None` when another process holds
    /// it or the folder cannot be written. A damaged one is set aside, and a new one is begun.
    pub fn open(dir: &Path) -> Result<Option<Self>> {
        let Some(lock) = lock(dir)? else { return Ok(None) };
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
        self.packed + self.starts.len() as u64 - 1
    }

    /// Whether the one that was there is set aside and this one is being filled again.
    pub fn is_rebuilding(&self) -> bool {
        self.rebuilding
    }

    /// Sets what is there aside as damaged and begins anew; `catch_up` fills it.
    pub fn renew(&mut self) -> Result<()> {
        self.trees = None;
        set_aside(&self.dir)?;
        self.trees = Some(open_guarded(&self.dir)?);
        (self.packed, self.slotted, self.rebuilding) = (0, 0, true);
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
        }
        self.write_slots()?;
        self.rebuilding &= self.head() < until;
        Ok(self.head())
    }

    /// Appends lines that are published in the journal, given from a position that is not beyond the head.
    ///
    /// Those that do not fill a block are kept in memory until [`EventStore::flush`].
    pub fn append_lines(&mut self, first: u64, lines: &[u8]) -> Result<()> {
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
        parse_line_at(&line, position).map(|(record, _)| record.into()).map_err(|what| self.corrupt(what))
    }

    /// The records from a position up to, not including, an end.
    pub fn scan(&self, from: u64, to: u64, f: &mut dyn FnMut(crate::journal::Record<'_>) -> Result<()>) -> Result<()> {
        for position in from..to.min(self.head()) {
            let line = self.line(position)?;
            let (record, _) = parse_line_at(&line, position).map_err(|what| self.corrupt(what))?;
            f(record)?;
        }
        Ok(())
    }

    /// The line at a position, as the journal has it.
    pub(crate) fn line(&self, position: u64) -> Result<Vec<u8>> {
        if position >= self.head() {
            return Err(StoreError::BeyondHead { position, count: self.head() });
        }
        if position >= self.packed {
            let i = (position - self.packed) as usize;
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

    /// Compares every event with the journal, both ways; the differences.
    pub fn verify_against(&self, journal: &Journal) -> Result<Vec<Difference>> {
        let head = journal.head()?;
        let mut differences = Vec::new();
        journal.survey(&head, &mut |found| {
            match found {
                Found::Record(record) if record.position >= self.head() => {}
                Found::Record(record) => match self.line(record.position) {
                    Ok(line) if line == record.line => {}
                    Ok(_) => add(&mut differences, record.position..record.position + 1, "not the same event"),
                    Err(error) => add(&mut differences, record.position..record.position + 1, &error.to_string()),
                },
                Found::Damage(damage) => {
                    let what = format!("damaged in the journal: {}", damage.what);
                    add(&mut differences, damage.position..damage.position + damage.count, &what);
                }
            }
            Ok(())
        })?;
        if self.head() < head.count {
            add(&mut differences, self.head()..head.count, "not in the event store");
        }
        if self.head() > head.count {
            add(&mut differences, head.count..self.head(), "not in the journal");
        }
        Ok(differences)
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
        let (mut tail, mut starts) = (Vec::new(), vec![0]);
        for position in packed..packed + BLOCK_LINES {
            let slot = guarded(&self.dir, || trees.slots.get(slot_key(position)))?;
            let Some(line) = slot.filter(|line| parse_line_at(line, position).is_ok()) else { break };
            tail.extend_from_slice(&line);
            starts.push(tail.len());
        }
        self.slotted = starts.len() - 1;
        (self.packed, self.tail, self.starts) = (packed, tail, starts);
        Ok(())
    }

    /// Packs the lines that fill whole blocks.
    fn write_blocks(&mut self) -> Result<()> {
        let mut done = 0;
        loop {
            let from = self.starts[done];
            let full = self.starts[done..].partition_point(|start| start - from <= BLOCK_BYTES) - 1;
            let lines = full.min(BLOCK_LINES as usize);
            // A block is full when the next line would not fit.
            if done + lines + 1 >= self.starts.len() && lines < BLOCK_LINES as usize {
                break;
            }
            self.write_block(done..done + lines)?;
            done += lines;
        }
        if done > 0 {
            self.packed_some = true;
            let cut = self.starts[done];
            self.tail.drain(..cut);
            self.starts.drain(..done);
            self.starts.iter_mut().for_each(|start| *start -= cut);
            self.packed += done as u64;
            self.slotted = self.slotted.saturating_sub(done);
        }
        Ok(())
    }

    /// Writes one block, halved until it fits.
    fn write_block(&self, lines: Range<usize>) -> Result<()> {
        let bytes = &self.tail[self.starts[lines.start]..self.starts[lines.end]];
        let value = Block::pack(bytes, lines.len()).map_err(StoreError::io("compress", &self.dir))?;
        if value.len() > VALUE_BYTES_MAX && lines.len() > 1 {
            let middle = lines.start + lines.len() / 2;
            self.write_block(lines.start..middle)?;
            return self.write_block(middle..lines.end);
        }
        let key = (self.packed + lines.start as u64).to_be_bytes();
        let trees = self.trees()?;
        guarded(&self.dir, || trees.blocks.insert(key, value)).map(drop)
    }

    /// Writes the lines after the last block into their slots.
    fn write_slots(&mut self) -> Result<()> {
        let trees = self.trees()?;
        for i in self.slotted..self.starts.len() - 1 {
            let line = &self.tail[self.starts[i]..self.starts[i + 1]];
            guarded(&self.dir, || trees.slots.insert(slot_key(self.packed + i as u64), line))?;
        }
        self.slotted = self.starts.len() - 1;
        Ok(())
    }

    fn read_block(&self, position: u64) -> Result<Block> {
        let trees = self.trees()?;
        let found = guarded(&self.dir, || trees.blocks.get_lt((position + 1).to_be_bytes()))?;
        let (key, value) = found.ok_or_else(|| self.corrupt(format!("no block holds position {position}")))?;
        let block = key_position(&key).and_then(|first| Block::unpack(first, &value, BLOCK_BYTES));
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

/// Adds a difference, joined with the one before where they are alike.
fn add(differences: &mut Vec<Difference>, positions: Range<u64>, what: &str) {
    let count = positions.end - positions.start;
    match differences.last_mut() {
        Some(last) if last.what == what && last.position + last.count == positions.start => last.count += count,
        _ => differences.push(Difference { position: positions.start, count, what: what.to_owned() }),
    }
}

fn beside(dir: &Path, ending: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    dir.with_file_name(name)
}

/// Our own lock, beside the folder: what is done before sled opens it needs one, too.
fn lock(dir: &Path) -> Result<Option<File>> {
    let path = beside(dir, ".lock");
    let file = match OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if cannot_write(&error) => return Ok(None),
        Err(error) => return Err(StoreError::io("open", &path)(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path)(error)),
    }
}

fn cannot_write(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

/// Opens sled after moving a half-written snapshot aside, which would make it refuse for ever.
fn open_guarded(dir: &Path) -> Result<Trees> {
    fs::create_dir_all(dir).map_err(StoreError::io("create", dir))?;
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let path = entry.map_err(StoreError::io("list", dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            let aside = beside(dir, ".half-snapshot");
            fs::rename(&path, &aside).map_err(StoreError::io("rename", &path))?;
        }
    }
    guarded(dir, || {
        let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let db = config.mode(sled::Mode::HighThroughput).open()?;
        let (blocks, slots) = (db.open_tree("blocks")?, db.open_tree("slots")?);
        Ok(Trees { db, blocks, slots })
    })
}

/// Renames a damaged folder; only the newest one is kept.
fn set_aside(dir: &Path) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let mut newest = 0;
    let parent = dir.parent().unwrap_or(dir);
    let prefix = beside(dir, ".damaged-").file_name().unwrap_or_default().to_string_lossy().into_owned();
    for entry in fs::read_dir(parent).map_err(StoreError::io("list", parent))? {
        let path = entry.map_err(StoreError::io("list", parent))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(n) = name.strip_prefix(&prefix).and_then(|n| n.parse::<u64>().ok()) {
            newest = newest.max(n);
            fs::remove_dir_all(&path).map_err(StoreError::io("remove", &path))?;
        }
    }
    fs::rename(dir, beside(dir, &format!(".damaged-{}", newest + 1))).map_err(StoreError::io("rename", dir))
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Calls sled. It panics on damage that it does not expect, which is an error like any other here.
fn guarded<T>(dir: &Path, call: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                others(info);
            }
        }));
    });
    let quiet = QUIET.replace(true);
    let done = catch_unwind(AssertUnwindSafe(call));
    QUIET.set(quiet);
    match done {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => Err(StoreError::io("use", dir)(error)),
        Ok(Err(error)) => Err(StoreError::corrupt(dir, 0, format!("sled: {error}"))),
        Err(_) => Err(StoreError::corrupt(dir, 0, "sled gave up on what it read")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::unit_arg)]
mod tests;
