//! Reading: records in order or one at a time, each checked, without a lock.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::head::Head;
use super::line::{Lines, Record, RecordBuf, parse_at};
use super::sealed::{self, Index};
use super::segment::{self, Chunk, Form, Segment};
use super::{Journal, Shared};
use crate::error::{Result, StoreError};

/// A file that is sealed or repaired while it is being opened is looked for again this often.
const OPEN_ATTEMPTS: usize = 16;
/// Indexes of sealed segments kept in memory; each has some 50 bytes a frame.
const INDEXES_MAX: usize = 1024;

/// What a journal remembers between reads; all of it can be read again.
#[derive(Debug, Default)]
pub(super) struct Cache {
    segments: Vec<Segment>,
    /// By first position, with the inode that the index was read from.
    indexes: HashMap<u64, (u64, Arc<Index>)>,
    /// The segment and some (position, offset) of line starts in it.
    marks: (u64, Vec<(u64, u64)>),
    /// The chunk that was read last by position.
    chunk: Option<Cached>,
}

#[derive(Debug)]
struct Cached {
    chunk: Chunk,
    /// Where each line begins, and where the last one ends.
    starts: Vec<u32>,
    path: PathBuf,
}

impl Cached {
    fn new(chunk: Chunk, path: PathBuf) -> Self {
        let mut starts: Vec<u32> = Lines::new(&chunk.bytes).map(|(at, _)| at as u32).collect();
        starts.push(chunk.bytes.len() as u32);
        Self { chunk, starts, path }
    }

    fn holds(&self, position: u64) -> bool {
        (self.chunk.first..self.chunk.first + self.starts.len() as u64 - 1).contains(&position)
    }

    /// Where a position is stored: its line, or the frame with it.
    fn offset(&self, position: u64) -> u64 {
        let is_plain = self.chunk.stored == self.chunk.bytes.len() as u64;
        let start = self.starts[(position - self.chunk.first) as usize];
        self.chunk.offset + if is_plain { u64::from(start) } else { 0 }
    }

    fn record(&self, position: u64) -> Result<RecordBuf> {
        let i = (position - self.chunk.first) as usize;
        let (start, end) = (self.starts[i] as usize, self.starts[i + 1] as usize);
        parse_at(&self.chunk.bytes[start..end], position)
            .map(Record::into)
            .map_err(|what| StoreError::corrupt(&self.path, self.chunk.offset + start as u64, what))
    }
}

/// A frame of a sealed segment, as it is stored.
pub(crate) struct StoredFrame<'a> {
    /// The position of its first line.
    pub(crate) first: u64,
    /// The position after its last line.
    pub(crate) end: u64,
    /// The bytes of its lines.
    pub(crate) raw: u64,
    /// The checksum of what is stored, which was compared.
    pub(crate) crc: u32,
    pub(crate) bytes: &'a [u8],
}

/// An open segment.
pub(super) struct Reader {
    pub(super) path: PathBuf,
    file: File,
    base: u64,
    /// Of a sealed segment.
    index: Option<Arc<Index>>,
    /// Published bytes of a plain segment.
    limit: u64,
}

impl Reader {
    /// Moves to the chunk after the one given, which stays as it is at the end; `false` there.
    fn next(&self, chunk: &mut Chunk, first: u64) -> Result<bool> {
        match &self.index {
            Some(index) if first >= index.end => Ok(false),
            Some(index) => {
                let frame = index.frames[index.frame_of(first)];
                sealed::read_frame(&self.file, &self.path, &frame, chunk).map(|()| true)
            }
            None => {
                let offset = chunk.offset + chunk.stored;
                chunk.read_lines(&self.file, offset, self.limit).map_err(StoreError::io("read", &self.path))?;
                chunk.first = first;
                Ok(!chunk.bytes.is_empty())
            }
        }
    }
}

impl Journal {
    /// Reads the records from a position up to, not including, an end; the end is cut to the head.
    pub fn read_from(&self, position: u64, end: u64, f: &mut dyn FnMut(Record<'_>) -> Result<()>) -> Result<()> {
        let head = self.head()?;
        if position > head.count {
            return Err(StoreError::BeyondHead { position, count: head.count });
        }
        let end = end.min(head.count);
        let mut at = position;
        while at < end {
            let reader = self.shared.reader_of(at, &head)?;
            let next = self.shared.read_segment(&reader, at, end, f)?;
            if next == at {
                return Err(StoreError::corrupt(&reader.path, reader.limit, format!("position {at} is missing")));
            }
            at = next;
        }
        Ok(())
    }

    /// Hands over sealed frames, from the one with a position up to the first plain segment, while `f` wants more.
    pub(crate) fn frames_from(&self, position: u64, f: &mut dyn FnMut(&StoredFrame<'_>) -> Result<bool>) -> Result<()> {
        let head = self.head()?;
        let mut at = position;
        while at < head.segment {
            let reader = self.shared.reader_of(at, &head)?;
            let Some(index) = &reader.index else { return Ok(()) };
            if at >= index.end {
                return Err(StoreError::corrupt(&reader.path, 0, format!("position {at} is missing")));
            }
            for i in index.frame_of(at)..index.frames.len() {
                let frame = &index.frames[i];
                let bytes = &*frame.read(&reader.file, &reader.path)?;
                let (first, end) = (frame.first, index.end_of(i));
                if !f(&StoredFrame { first, end, raw: frame.raw, crc: frame.crc, bytes })? {
                    return Ok(());
                }
            }
            at = index.end;
        }
        Ok(())
    }

    /// The record at a position.
    pub fn get(&self, position: u64) -> Result<RecordBuf> {
        {
            let cache = self.shared.cache();
            if let Some(cached) = cache.chunk.as_ref().filter(|cached| cached.holds(position)) {
                return cached.record(position);
            }
        }
        let head = self.head()?;
        if position >= head.count {
            return Err(StoreError::BeyondHead { position, count: head.count });
        }
        let reader = self.shared.reader_of(position, &head)?;
        let mut chunk = self.shared.start(&reader, position);
        let mut first = chunk.first;
        while reader.next(&mut chunk, first)? {
            let cached = Cached::new(std::mem::take(&mut chunk), reader.path.clone());
            if cached.holds(position) {
                let record = cached.record(position);
                self.shared.cache().chunk = Some(cached);
                return record;
            }
            first = cached.chunk.first + cached.starts.len() as u64 - 1;
            self.shared.mark(&reader, first, cached.chunk.offset + cached.chunk.stored);
            chunk = cached.chunk;
        }
        Err(StoreError::corrupt(&reader.path, chunk.offset, format!("position {position} is missing")))
    }
}

impl Journal {
    /// The file of an event, and where in it the event or the frame with it begins.
    pub fn place(&self, position: u64) -> Result<(PathBuf, u64)> {
        self.get(position)?;
        let cache = self.shared.cache();
        let cached = cache.chunk.as_ref().filter(|cached| cached.holds(position));
        let lost = || StoreError::corrupt(&self.shared.dir, 0, format!("position {position} is missing"));
        cached.map(|cached| (cached.path.clone(), cached.offset(position))).ok_or_else(lost)
    }
}

impl Shared {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is known of the files, which a repair changed.
    pub(super) fn forget(&self) {
        *self.cache() = Cache::default();
    }

    /// The segment that holds a position below the head.
    fn segment_of(&self, position: u64, head: &Head) -> Result<Segment> {
        let mut cache = self.cache();
        // The list is complete up to the head once it has the segment that is written to.
        if cache.segments.last().is_none_or(|last| last.base < head.segment) {
            cache.segments = segment::list(&self.dir)?;
        }
        let after = cache.segments.partition_point(|segment| segment.base <= position);
        let found = after.checked_sub(1).and_then(|i| cache.segments.get(i).copied());
        found.ok_or_else(|| StoreError::corrupt(&self.dir, 0, format!("no segment holds position {position}")))
    }

    fn reader_of(&self, position: u64, head: &Head) -> Result<Reader> {
        for _ in 0..OPEN_ATTEMPTS {
            let segment = self.segment_of(position, head)?;
            let path = segment.path(&self.dir);
            match File::open(&path) {
                Ok(file) => return self.reader(segment, path, file, head),
                // It was sealed meanwhile, or taken away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.cache().segments.clear(),
                Err(error) => return Err(StoreError::io("open", &path)(error)),
            }
        }
        Err(StoreError::corrupt(&self.dir, 0, format!("the segment of position {position} cannot be opened")))
    }

    fn reader(&self, segment: Segment, path: PathBuf, file: File, head: &Head) -> Result<Reader> {
        let base = segment.base;
        let limit = if base == head.segment { head.length } else { u64::MAX };
        if segment.form == Form::Log {
            return Ok(Reader { path, file, base, index: None, limit });
        }
        let inode = file.metadata().map_err(StoreError::io("read", &path))?.ino();
        let known = self.cache().indexes.get(&base).cloned();
        let index = match known {
            Some((of, index)) if of == inode => index,
            _ => {
                let index = Arc::new(Index::read(&file, &path, base)?);
                let mut cache = self.cache();
                if cache.indexes.len() >= INDEXES_MAX {
                    cache.indexes.clear();
                }
                cache.indexes.insert(base, (inode, Arc::clone(&index)));
                index
            }
        };
        Ok(Reader { path, file, base, index: Some(index), limit })
    }

    /// An empty chunk from which [`Reader::next`] finds the one at or before a position.
    fn start(&self, reader: &Reader, position: u64) -> Chunk {
        if reader.index.is_some() {
            return Chunk { first: position, ..Chunk::default() };
        }
        let cache = self.cache();
        let marks = if cache.marks.0 == reader.base { cache.marks.1.as_slice() } else { &[] };
        let after = marks.partition_point(|(first, _)| *first <= position);
        let (first, offset) = after.checked_sub(1).map_or((reader.base, 0), |i| marks[i]);
        Chunk { first, offset, ..Chunk::default() }
    }

    fn mark(&self, reader: &Reader, first: u64, offset: u64) {
        let mut cache = self.cache();
        if reader.index.is_some() {
            return;
        }
        if cache.marks.0 != reader.base {
            cache.marks = (reader.base, Vec::new());
        }
        if cache.marks.1.last().is_none_or(|last| last.0 < first) {
            cache.marks.1.push((first, offset));
        }
    }

    /// Hands over the records of one segment; returns the position after the last.
    fn read_segment(
        &self,
        reader: &Reader,
        from: u64,
        end: u64,
        f: &mut dyn FnMut(Record<'_>) -> Result<()>,
    ) -> Result<u64> {
        let mut chunk = self.start(reader, from);
        let mut at = chunk.first;
        while at < end && reader.next(&mut chunk, at)? {
            at = chunk.first;
            for (offset, line) in Lines::new(&chunk.bytes) {
                if at >= end {
                    break;
                }
                if at >= from {
                    let damaged = |what| StoreError::corrupt(&reader.path, chunk.offset + offset as u64, what);
                    let record = parse_at(line, at).map_err(|what| damaged(format!("position {at}: {what}")))?;
                    f(record)?;
                }
                at += 1;
            }
            let complete =
                reader.index.as_ref().is_none_or(|index| at >= end || at == index.end_of(index.frame_of(chunk.first)));
            if !complete {
                return Err(StoreError::corrupt(&reader.path, chunk.offset, format!("position {at} is missing")));
            }
            if at < end {
                self.mark(reader, at, chunk.offset + chunk.stored);
            }
        }
        Ok(at.max(from))
    }
}
