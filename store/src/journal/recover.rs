//! Recovery: what a crash left behind the head is published if it is good, and moved to `cut/` if it is not.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::head::Head;
use super::line::{Lines, Record, parse_at};
use super::sealed::{self, Index};
use super::segment::{self, Chunk, log_path, sealed_path};
use super::{Shared, cut, medium, reserve};
use crate::error::{Result, StoreError};
use crate::time::Time;

/// The segment that is written to, open.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) file: File,
    pub(super) path: PathBuf,
}

/// Opens the active segment under the lock, after checking that it is what the head says.
pub(super) fn recover(shared: &Shared, head: &mut Head, head_file: &File) -> Result<Active> {
    let mut found = *head;
    let mut active = open_active(shared, &mut found)?;
    let length = length(&active)?;
    if length < found.length {
        let what = format!("the head names {} bytes, the file has {length}", found.length);
        return Err(StoreError::corrupt(&active.path, length, what));
    }
    check_last(&active, &found)?;
    if length > found.length || found.segment != head.segment || next_segment(shared, &found)? {
        active = walk(shared, &mut found, active)?;
        let path = shared.head_path();
        if found.count != head.count || found.segment != head.segment {
            found.publish(&*shared.medium, head_file, &path).map_err(StoreError::io("write", &path))?;
        }
    }
    *head = found;
    Ok(active)
}

/// Opens the segment that the head names; if that was sealed, the head is old and the one after it is meant.
fn open_active(shared: &Shared, head: &mut Head) -> Result<Active> {
    loop {
        let path = log_path(&shared.dir, head.segment);
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => return Ok(Active { file, path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => skip_sealed(shared, head)?,
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        }
    }
}

fn skip_sealed(shared: &Shared, head: &mut Head) -> Result<()> {
    let path = sealed_path(&shared.dir, head.segment);
    let file = File::open(&path).map_err(|_| {
        let what = format!("the segment of position {}, which the head names, is missing", head.segment);
        StoreError::corrupt(&shared.dir, 0, what)
    })?;
    let index = Index::read(&file, &path, head.segment)?;
    if index.end < head.count {
        let what = format!("the head names {} events, the segment ends with {}", head.count, index.end);
        return Err(StoreError::corrupt(&path, 0, what));
    }
    let mut chunk = Chunk::default();
    if let Some(frame) = index.frames.last() {
        sealed::read_frame(&file, &path, frame, &mut chunk)?;
    }
    for (at, line) in Lines::new(&chunk.bytes) {
        if let Ok(record) = super::line::parse(line) {
            head.recorded_last = head.recorded_last.max(recorded(&record));
        } else {
            return Err(StoreError::corrupt(&path, chunk.offset, format!("a bad line at {at}")));
        }
    }
    (head.count, head.segment) = (index.end, index.end);
    (head.length, head.last, head.checksum) = (0, 0, 0);
    Ok(())
}

fn length(active: &Active) -> Result<u64> {
    Ok(active.file.metadata().map_err(StoreError::io("read", &active.path))?.len())
}

/// The last published line must be the one that the head names.
fn check_last(active: &Active, head: &Head) -> Result<()> {
    let last = u64::from(head.last);
    if last == 0 {
        return Ok(());
    }
    let at = head.length.saturating_sub(last);
    let mut line = vec![0; last as usize];
    active.file.read_exact_at(&mut line, at).map_err(StoreError::io("read", &active.path))?;
    match parse_at(&line, head.count.saturating_sub(1)) {
        Ok(record) if record.checksum == head.checksum => Ok(()),
        Ok(_) => Err(StoreError::corrupt(&active.path, at, "the last record is not the one that the head names")),
        Err(what) => Err(StoreError::corrupt(&active.path, at, format!("position {}: {what}", head.count - 1))),
    }
}

/// Whether a segment begins where this one could end: a roll was interrupted, or the head is old.
fn next_segment(shared: &Shared, head: &Head) -> Result<bool> {
    let path = log_path(&shared.dir, head.count);
    Ok(head.count > head.segment && path.try_exists().map_err(StoreError::io("read", &path))?)
}

/// Moves the head over every good record behind it, through the segments that follow.
fn walk(shared: &Shared, head: &mut Head, mut active: Active) -> Result<Active> {
    loop {
        let clean = scan(&active, head)?;
        let later = segment::list(&shared.dir)?.into_iter().find(|segment| segment.base > head.segment);
        match (clean, later) {
            (true, Some(next)) if next.base == head.count => {
                sync(shared, &active)?;
                head.segment = head.count;
                (head.length, head.last, head.checksum) = (0, 0, 0);
                active = open_active(shared, head)?;
            }
            (_, Some(next)) => {
                let what = format!("position {} is missing, the next segment begins at {}", head.count, next.base);
                return Err(StoreError::corrupt(&active.path, head.length, what));
            }
            (true, None) => break,
            (false, None) => {
                cut_tail(shared, head, &active)?;
                break;
            }
        }
    }
    sync(shared, &active)?;
    Ok(active)
}

/// Moves the head over the good records of one segment; whether they go on to its end.
fn scan(active: &Active, head: &mut Head) -> Result<bool> {
    let limit = length(active)?;
    let mut chunk = Chunk::default();
    while head.length < limit {
        chunk.read_lines(&active.file, head.length, limit).map_err(StoreError::io("read", &active.path))?;
        if chunk.bytes.is_empty() {
            return Ok(false);
        }
        for (_, line) in Lines::new(&chunk.bytes) {
            let Ok(record) = parse_at(line, head.count) else { return Ok(false) };
            head.count += 1;
            head.length += line.len() as u64;
            head.last = line.len() as u32;
            head.checksum = record.checksum;
            head.recorded_last = head.recorded_last.max(recorded(&record));
        }
    }
    Ok(true)
}

fn recorded(record: &Record<'_>) -> i64 {
    #[derive(Deserialize)]
    struct Recorded<'a> {
        recorded: Option<&'a str>,
    }
    let recorded = serde_json::from_slice::<Recorded<'_>>(record.leaf).ok().and_then(|leaf| leaf.recorded);
    recorded.and_then(|text| text.parse::<Time>().ok()).map_or(i64::MIN, |time| time.0)
}

fn sync(shared: &Shared, active: &Active) -> Result<()> {
    shared.medium.sync(&active.file, &active.path).map_err(StoreError::io("sync", &active.path))
}

/// Moves what is behind the last good record out of the segment; it was never acknowledged.
fn cut_tail(shared: &Shared, head: &Head, active: &Active) -> Result<()> {
    match copy_tail(shared, head, active) {
        Err(StoreError::Io { source, .. }) if medium::is_full(&source) => {
            reserve::release(&*shared.medium, &shared.dir);
            copy_tail(shared, head, active)?;
        }
        done => done?,
    }
    shared.medium.truncate(&active.file, &active.path, head.length).map_err(StoreError::io("cut", &active.path))
}

fn copy_tail(shared: &Shared, head: &Head, active: &Active) -> Result<()> {
    let medium = &*shared.medium;
    let path = cut::free_path(medium, &shared.dir, head.count)?;
    let file = medium.create(&path).map_err(StoreError::io("create", &path))?;
    let copied = copy(shared, active, head.length, &file, &path);
    if copied.is_err() {
        drop(medium.remove(&path));
    }
    copied?;
    let dir = cut::dir(&shared.dir);
    medium.sync_dir(&dir).map_err(StoreError::io("sync", dir))
}

fn copy(shared: &Shared, active: &Active, from: u64, file: &File, path: &Path) -> Result<()> {
    let end = length(active)?;
    let mut buffer = vec![0; segment::CHUNK_BYTES];
    let mut at = from;
    while at < end {
        let n = buffer.len().min((end - at) as usize);
        active.file.read_exact_at(&mut buffer[..n], at).map_err(StoreError::io("read", &active.path))?;
        shared.medium.write_at(file, path, &buffer[..n], at - from).map_err(StoreError::io("write", path))?;
        at += n as u64;
    }
    shared.medium.sync(file, path).map_err(StoreError::io("sync", path))
}
