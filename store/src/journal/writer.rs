//! The writer: holds the lock, appends, makes durable, and only then publishes.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::head::Head;
use super::line::{LINE_BYTES_MAX, write};
use super::medium::is_full;
use super::recover::{Active, recover};
use super::segment::{self, Form, log_path};
use super::{Shared, reserve, sealed};
use crate::background::{self, Priority};
use crate::digest::Received;
use crate::error::{Result, StoreError};
use crate::time::Time;

/// The wait between two tries for the lock, doubled up to the second figure.
const BACKOFF: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(5));

/// A larger buffer is not kept for the next writer.
const BUFFER_BYTES_KEPT: usize = 4 * 1024 * 1024;

/// The right to append, held until it is dropped.
#[derive(Debug)]
pub struct JournalWriter {
    shared: Arc<Shared>,
    /// What is published.
    head: Head,
    /// What is published once the buffer is written.
    next: Head,
    buffer: Vec<u8>,
    /// The bytes of the buffer that are in the file already, behind what is published.
    ahead: usize,
    active: Active,
    head_file: File,
    _lock: File,
    /// The first event of the buffer that cannot be stored.
    refused: Option<u64>,
    /// Whether sealing goes on when the lock is given back.
    leaves_sealing: bool,
}

impl JournalWriter {
    pub(super) fn lock(shared: &Arc<Shared>, timeout: Duration) -> Result<Self> {
        shared.check_poison()?;
        let (lock, head_file) = take(shared, timeout)?;
        let mut head = Head::read(&head_file, &shared.head_path())?;
        let active = recover(shared, &mut head, &head_file)?;
        // Without room for it the store still works; the next writer tries again.
        drop(reserve::ensure(&*shared.medium, &shared.dir));
        Ok(Self {
            shared: Arc::clone(shared),
            head,
            next: head,
            buffer: std::mem::take(&mut *shared.buffer.lock().unwrap_or_else(PoisonError::into_inner)),
            ahead: 0,
            active,
            head_file,
            _lock: lock,
            refused: None,
            leaves_sealing: false,
        })
    }

    /// The number of events, with those appended but not yet committed.
    pub fn count(&self) -> u64 {
        self.next.count
    }

    /// When the last event was recorded; [`Time::MIN`] in an empty journal.
    pub fn recorded_last(&self) -> Time {
        Time(self.next.recorded_last)
    }

    /// What is published.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The first position and the lines of what is appended but not yet committed.
    pub fn pending(&self) -> (u64, &[u8]) {
        (self.head.count, &self.buffer)
    }

    /// Appends an event to the buffer and returns the position that it has once it is committed.
    ///
    /// A leaf that is too long or has a newline makes the commit fail, with all that is in the buffer.
    pub fn append(&mut self, received: Option<Received>, leaf: &[u8], recorded: Time) -> u64 {
        let position = self.next.count;
        let start = self.buffer.len();
        self.next.checksum = write(position, received, leaf, &mut self.buffer);
        let length = self.buffer.len() - start;
        if length > LINE_BYTES_MAX || leaf.contains(&b'\n') {
            self.refused.get_or_insert(position);
        }
        self.next.count += 1;
        self.next.length += length as u64;
        self.next.last = length as u32;
        self.next.recorded_last = self.next.recorded_last.max(recorded.0);
        position
    }

    /// Writes what was appended so far and lets the disk begin with it, if it is so many bytes; the commit then waits
    /// for less.
    ///
    /// It is not published: without a commit it is cut off again when the lock is given back.
    pub fn write_ahead(&mut self, at_least: usize) {
        let bytes = &self.buffer[self.ahead..];
        if bytes.len() < at_least || self.head.length >= self.shared.segment_bytes || self.refused.is_some() {
            return;
        }
        let (medium, at) = (&*self.shared.medium, self.head.length + self.ahead as u64);
        let (file, path) = (&self.active.file, &self.active.path);
        // What cannot be written now is met by the commit, which says why.
        if self.shared.check_poison().is_ok() && medium.write_at(file, path, bytes, at).is_ok() {
            medium.begin_sync(file, at, bytes.len());
            self.ahead = self.buffer.len();
        }
    }

    /// Makes what was appended durable, then publishes it.
    ///
    /// On a full disk the events of this commit are refused and the writer goes on; after any other
    /// error the disk is in an unknown state, and nothing more is accepted until the journal is opened again.
    pub fn commit(&mut self) -> Result<()> {
        self.shared.check_poison()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let done = self.check().and_then(|()| self.write());
        if let Err(error) = &done {
            self.fail(error);
        }
        self.buffer.clear();
        self.ahead = 0;
        self.next = self.head;
        done
    }

    /// Refuses what can never be read back, and notices a writer that does not hold the lock.
    fn check(&mut self) -> Result<()> {
        if let Some(position) = self.refused.take() {
            let what = format!("the event for position {position} has a newline or is too long");
            return Err(self.error("write", std::io::Error::new(std::io::ErrorKind::InvalidInput, what)));
        }
        let path = self.shared.head_path();
        if Head::read(&self.head_file, &path)? != self.head {
            self.shared.poison();
            return Err(StoreError::corrupt(&path, 0, "another process wrote without holding the lock"));
        }
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        if self.head.length >= self.shared.segment_bytes {
            self.roll()?;
        }
        let (medium, at) = (&*self.shared.medium, self.head.length + self.ahead as u64);
        let (file, path) = (&self.active.file, &self.active.path);
        medium.write_at(file, path, &self.buffer[self.ahead..], at).map_err(StoreError::io("write", path))?;
        medium.sync(file, path).map_err(StoreError::io("sync", path))?;
        let path = self.shared.head_path();
        let mut next = Head { sequence: self.head.sequence, ..self.next };
        next.publish(medium, &self.head_file, &path).map_err(StoreError::io("write", &path))?;
        self.head = next;
        Ok(())
    }

    /// After a failure: back to the last published byte, or no further writes at all.
    fn fail(&mut self, error: &StoreError) {
        let full = match error {
            StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::InvalidInput => {
                return self.cut_ahead();
            }
            StoreError::Io { source, .. } => is_full(source),
            _ => false,
        };
        if !full {
            // The file is left as it is: what is on the disk is for the next writer to find out.
            self.shared.poison();
            return;
        }
        let medium = &*self.shared.medium;
        let (file, path) = (&self.active.file, &self.active.path);
        reserve::release(medium, &self.shared.dir);
        if medium.truncate(file, path, self.head.length).and_then(|()| medium.sync(file, path)).is_err() {
            self.shared.poison();
        }
    }

    /// Takes what was written before its commit, which was not to be, out of the file again.
    fn cut_ahead(&mut self) {
        let (file, path) = (&self.active.file, &self.active.path);
        let is_ahead = std::mem::take(&mut self.ahead) > 0 && self.shared.check_poison().is_ok();
        if is_ahead && self.shared.medium.truncate(file, path, self.head.length).is_err() {
            self.shared.poison();
        }
    }

    /// Lets sealing go on when the lock is given back; [`Journal::join`](super::Journal::join) waits for it.
    ///
    /// A process that ends without waiting has no loss: the next one that seals begins anew.
    pub fn leave_sealing(&mut self) {
        self.leaves_sealing = true;
    }

    /// Starts a new segment and seals the old one in the background; with a later one, if those before are not done yet.
    fn roll(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let medium = &*shared.medium;
        let active = new_segment(&shared, self.head.count)?;
        let mut head = Head { segment: self.head.count, length: 0, last: 0, checksum: 0, ..self.head };
        let path = shared.head_path();
        let published = head
            .publish(medium, &self.head_file, &path)
            // Synced, so that a head after a power loss never names a segment that is sealed.
            .and_then(|()| medium.sync(&self.head_file, &path));
        if let Err(error) = published {
            shared.poison();
            return Err(StoreError::io("write", &path)(error));
        }
        self.next.segment = head.segment;
        self.next.length -= self.head.length;
        (self.head, self.active) = (head, active);
        let mut sealing = self.shared.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        if sealing.as_ref().is_none_or(JoinHandle::is_finished) {
            // What is not sealed now is sealed by the next roll.
            *sealing =
                background::spawn("lineage-seal", Priority::Last, move || seal_before(&shared, head.segment)).ok();
        }
        Ok(())
    }

    /// Waits until the background has sealed what it is about to seal.
    pub fn join(&mut self) {
        self.shared.join();
    }

    /// Seals the segments that are complete, also those that an earlier process left.
    pub fn seal_complete(&mut self) {
        self.join();
        seal_before(&self.shared, self.head.segment);
    }

    /// Seals what is complete, also what an earlier process left; plain segments remain readable meanwhile.
    pub fn seal(&mut self) -> Result<()> {
        self.shared.check_poison()?;
        if !self.buffer.is_empty() {
            self.commit()?;
        }
        if self.head.length > 0 {
            self.roll()?;
            self.next = self.head;
        }
        self.seal_complete();
        Ok(())
    }

    fn error(&self, action: &'static str, source: std::io::Error) -> StoreError {
        StoreError::io(action, &self.active.path)(source)
    }
}

impl Drop for JournalWriter {
    fn drop(&mut self) {
        self.cut_ahead();
        if self.buffer.capacity() <= BUFFER_BYTES_KEPT {
            self.buffer.clear();
            *self.shared.buffer.lock().unwrap_or_else(PoisonError::into_inner) = std::mem::take(&mut self.buffer);
        }
        if !self.leaves_sealing {
            self.join();
        }
    }
}

/// Takes the lock file and the head; the second because a lock file can be deleted while it is held.
pub(super) fn take(shared: &Shared, timeout: Duration) -> Result<(File, File)> {
    let start = Instant::now();
    let mut wait = BACKOFF.0;
    let (lock_path, head_path) = (shared.dir.join("lock"), shared.head_path());
    loop {
        let lock = open_lock(&lock_path)?;
        let head = OpenOptions::new().read(true).write(true).open(&head_path);
        let head = head.map_err(StoreError::io("open", &head_path))?;
        if try_lock(&lock, &lock_path)? && try_lock(&head, &head_path)? {
            return Ok((lock, head));
        }
        let waited = start.elapsed();
        if waited >= timeout {
            return Err(StoreError::Locked { path: lock_path, waited_ms: waited.as_millis() as u64 });
        }
        std::thread::sleep(wait.min(timeout.saturating_sub(waited)));
        wait = (wait * 2).min(BACKOFF.1);
    }
}

fn open_lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    match options.read(true).write(true).open(path) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            options.create(true).truncate(false).open(path).map_err(StoreError::io("create", path))
        }
        Err(error) => Err(StoreError::io("open", path)(error)),
    }
}

fn try_lock(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path)(error)),
    }
}

/// Makes the next segment, durable with its name before anything is written to it.
fn new_segment(shared: &Shared, base: u64) -> Result<Active> {
    let medium = &*shared.medium;
    let path = log_path(&shared.dir, base);
    let file = medium.create(&path).map_err(StoreError::io("create", &path))?;
    let made = medium.sync(&file, &path).and_then(|()| medium.sync_dir(&shared.dir));
    if let Err(error) = made {
        // A segment without content behind one that goes on would hide what follows.
        if medium.remove(&path).and_then(|()| medium.sync_dir(&shared.dir)).is_err() {
            shared.poison();
        }
        return Err(StoreError::io("sync", &path)(error));
    }
    Ok(Active { file, path })
}

/// Seals every plain segment before a position; one that cannot be sealed stays for `verify` to judge.
fn seal_before(shared: &Shared, position: u64) {
    let Ok(segments) = segment::list(&shared.dir) else { return };
    for pair in segments.windows(2) {
        if pair[0].form == Form::Log && pair[1].base <= position {
            drop(sealed::seal(&*shared.medium, &shared.dir, pair[0].base, pair[1].base, &shared.hashed));
        }
    }
}
