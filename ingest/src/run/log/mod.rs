//! Logs: what a command said, without secrets, in segments while it runs and as one artifact afterwards.

mod keep;
mod read;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

pub use read::{Live, LogReader, Piece};

use super::secret::{Secrets, Stream};
pub(crate) use keep::{Kept, keep, recover};

/// What is kept of one stream, unless the settings say otherwise: a day of a chatty training.
pub const LOG_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The least that a setting may ask for, so that head and tail have a segment each.
pub const LOG_BYTES_MIN: u64 = 16 * 1024;
/// The bytes of a segment: a place in a log is found by decompressing one.
const SEGMENT_BYTES: u64 = 1024 * 1024;
/// The time of an offset is noted this often, in milliseconds.
const MARK_MS: u64 = 100;
/// When there are so many notes of times, every other one is dropped.
const MARKS_MAX: usize = 50_000;

/// A part of a log that was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The offset of its first byte.
    pub from: u64,
    /// The offset after its last byte.
    pub to: u64,
}

/// How a log is laid out in segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    segment_bytes: u64,
    /// Segments of the head, which are never dropped.
    n_head: u64,
    /// Segments of the tail, of which the oldest is dropped.
    n_tail: u64,
}

impl Plan {
    fn new(limit: u64) -> Self {
        let segment_bytes = SEGMENT_BYTES.min(limit / 4).max(1);
        let n = (limit / segment_bytes).max(2);
        Self { segment_bytes, n_head: n / 2, n_tail: n - n / 2 }
    }
}

/// Writes the log of one stream while its command runs.
#[derive(Debug)]
pub(crate) struct LogWriter<'a> {
    folder: PathBuf,
    name: &'static str,
    secrets: &'a Secrets,
    stream: Stream,
    began: Instant,
    plan: Plan,
    current: Option<File>,
    /// Bytes that went in, after masking.
    n_bytes: u64,
    marks: Vec<(u64, u64)>,
    mark_ms: u64,
    /// Why nothing more is written.
    failed: Option<String>,
}

/// A log whose stream has ended.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) name: &'static str,
    pub(crate) n_masked: u64,
    pub(crate) failed: Option<String>,
    marks: Vec<(u64, u64)>,
    plan: Plan,
}

impl<'a> LogWriter<'a> {
    /// Begins a log in a folder; `limit` is in bytes.
    pub(crate) fn new(folder: &Path, name: &'static str, secrets: &'a Secrets, began: Instant, limit: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            name,
            secrets,
            stream: Stream::default(),
            began,
            plan: Plan::new(limit),
            current: None,
            n_bytes: 0,
            marks: Vec::new(),
            mark_ms: MARK_MS,
            failed: None,
        }
    }

    /// Takes what the command said.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let clean = self.stream.push(bytes, self.secrets);
        self.append(&clean);
    }

    /// The stream has ended.
    pub(crate) fn finish(mut self) -> Written {
        let clean = self.stream.finish(self.secrets);
        self.append(&clean);
        let Self { name, failed, marks, plan, .. } = self;
        self.secrets.count(self.stream.n_masked);
        Written { name, n_masked: self.stream.n_masked, failed, marks, plan }
    }

    fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.failed.is_some() {
            return;
        }
        self.mark();
        // The command goes on whatever becomes of its log.
        self.failed = self.try_append(bytes).err().map(|error| error.to_string());
    }

    fn mark(&mut self) {
        let now = self.began.elapsed().as_millis() as u64;
        if self.marks.last().is_none_or(|(_, last)| now >= last + self.mark_ms) {
            self.marks.push((self.n_bytes, now));
        }
        if self.marks.len() >= MARKS_MAX {
            let mut n = 0;
            self.marks.retain(|_| {
                n += 1;
                n % 2 == 1
            });
            self.mark_ms *= 2;
        }
    }

    fn try_append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let used = self.n_bytes % self.plan.segment_bytes;
            let index = self.n_bytes / self.plan.segment_bytes;
            if used == 0 {
                self.current = Some(File::create(segment_path(&self.folder, self.name, index))?);
                self.drop_before(index)?;
            }
            let room = (self.plan.segment_bytes - used).min(bytes.len() as u64) as usize;
            if let Some(file) = &mut self.current {
                file.write_all(&bytes[..room])?;
            }
            self.n_bytes += room as u64;
            bytes = &bytes[room..];
        }
        Ok(())
    }

    /// The tail moves on: its oldest segment goes.
    fn drop_before(&self, index: u64) -> io::Result<()> {
        match index.checked_sub(self.plan.n_tail).filter(|oldest| *oldest >= self.plan.n_head) {
            Some(oldest) => fs::remove_file(segment_path(&self.folder, self.name, oldest)),
            None => Ok(()),
        }
    }
}

/// The file of a segment while the command runs.
fn segment_path(folder: &Path, name: &str, index: u64) -> PathBuf {
    folder.join(format!("{name}.{index:010}"))
}

/// The segments of a stream in a folder, in order, with their numbers.
fn segments(folder: &Path, name: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let file = path.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
        let index = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')).and_then(|n| n.parse().ok());
        found.extend(index.map(|index| (index, path)));
    }
    found.sort();
    Ok(found)
}
