//! Sealed segments: independent zstd frames of whole lines, and an index in a skippable frame at the end.

use std::fmt::{self, Write as _};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use super::hashed::{Hashed, Run};
use super::line::{LINE_BYTES_MAX, Lines, parse_at};
use super::medium::Medium;
use super::segment::{Chunk, FRAME_BYTES, log_path, sealed_path};
use crate::error::{Result, StoreError};

/// Measured: on lines full of hex digits, level 1 is as small as level 6 and four times as fast.
pub(crate) const LEVEL: i32 = 1;
/// The magic number of a frame that every zstd reader skips.
const SKIPPABLE: [u8; 4] = 0x184D_2A5E_u32.to_le_bytes();
/// `<bytes of the index> <its crc32c> lineage\n`.
const TRAILER_BYTES: usize = 28;
/// What a frame may decompress to, so that a damaged index asks for no more.
const FRAME_BYTES_MAX: u64 = FRAME_BYTES as u64;
/// The most bytes of a frame in the file, unless a single line has more: what sled takes as one value of its log,
/// 131,052 bytes, without room for its key and headers.
pub(crate) const STORED_BYTES_MAX: usize = 131_052 - 128;

/// One frame of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The position of its first line.
    pub(crate) first: u64,
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// Its bytes in the file.
    pub(crate) stored: u64,
    /// The bytes of its lines.
    pub(crate) raw: u64,
    /// The checksum of its bytes in the file.
    pub(crate) crc: u32,
}

/// The index of a sealed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    /// The position after its last line.
    pub(crate) end: u64,
    pub(crate) frames: Vec<Frame>,
}

impl Index {
    fn encode(&self, base: u64, offset: u64) -> Vec<u8> {
        let mut text = format!("lineage-sealed 1 {base} {} {}\n", self.end, self.frames.len());
        for frame in &self.frames {
            let Frame { first, offset, stored, raw, crc } = frame;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{first} {offset} {stored} {raw} {crc:08x}");
        }
        let mut bytes = SKIPPABLE.to_vec();
        bytes.extend(((text.len() + TRAILER_BYTES) as u32).to_le_bytes());
        bytes.extend(text.as_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&offset.to_le_bytes()), &bytes);
        bytes.extend(format!("{:010} {crc:08x} lineage\n", text.len()).as_bytes());
        bytes
    }

    /// Reads and checks the index of a sealed segment.
    pub(crate) fn read(file: &File, path: &Path, base: u64) -> Result<Self> {
        let length = file.metadata().map_err(StoreError::io("read", path))?.len();
        let damaged = |what: &str| StoreError::corrupt(path, length.saturating_sub(TRAILER_BYTES as u64), what);
        let at = length.checked_sub(TRAILER_BYTES as u64).ok_or_else(|| damaged("it is too short for an index"))?;
        let trailer = read_exact(file, at, TRAILER_BYTES).map_err(StoreError::io("read", path))?;
        let size = std::str::from_utf8(&trailer[..10]).ok().and_then(|text| text.parse::<u64>().ok());
        let start = size.and_then(|size| at.checked_sub(size + 8)).ok_or_else(|| damaged("the index has no length"))?;
        let stored = read_exact(file, start, (length - start) as usize).map_err(StoreError::io("read", path))?;
        let text = stored.get(8..stored.len() - TRAILER_BYTES).and_then(|text| std::str::from_utf8(text).ok());
        let index = text.and_then(Self::parse).ok_or_else(|| damaged("the index cannot be read"))?;
        // Encoding what was read gives the same bytes only when every one of them is right.
        if index.encode(base, start) != stored || !index.is_consistent(base, start) {
            return Err(damaged("the checksum of the index differs"));
        }
        Ok(index)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut words = lines.next()?.split(' ').skip(3);
        let end = words.next()?.parse().ok()?;
        let frames = lines.map(|line| {
            let mut words = line.split(' ');
            let mut number = || words.next()?.parse().ok();
            let (first, offset, stored, raw) = (number()?, number()?, number()?, number()?);
            Some(Frame { first, offset, stored, raw, crc: u32::from_str_radix(words.next()?, 16).ok()? })
        });
        Some(Self { end, frames: frames.collect::<Option<_>>()? })
    }

    fn is_consistent(&self, base: u64, index_at: u64) -> bool {
        let mut next = (base, 0);
        for frame in &self.frames {
            if frame.offset != next.1 || frame.first < next.0 || frame.raw > FRAME_BYTES_MAX || frame.stored > index_at
            {
                return false;
            }
            next = (frame.first + 1, frame.offset + frame.stored);
        }
        self.frames.first().is_some_and(|frame| frame.first == base) && next.0 <= self.end && next.1 == index_at
    }

    /// The frame with a position.
    pub(crate) fn frame_of(&self, position: u64) -> usize {
        self.frames.partition_point(|frame| frame.first <= position).saturating_sub(1)
    }

    /// The position after the last line of a frame.
    pub(crate) fn end_of(&self, frame: usize) -> u64 {
        self.frames.get(frame + 1).map_or(self.end, |next| next.first)
    }
}

fn read_exact(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

impl Frame {
    fn damaged(&self, path: &Path, what: &str) -> StoreError {
        StoreError::corrupt(path, self.offset, format!("position {}: {what}", self.first))
    }

    /// Its bytes as they are in the file, checked against their checksum.
    pub(crate) fn read(&self, file: &File, path: &Path) -> Result<Vec<u8>> {
        let mut stored = Vec::new();
        self.read_into(&mut stored, file, path).map(|()| stored)
    }

    fn read_into(&self, stored: &mut Vec<u8>, file: &File, path: &Path) -> Result<()> {
        stored.resize(self.stored as usize, 0);
        file.read_exact_at(stored, self.offset).map_err(StoreError::io("read", path))?;
        if crc32c::crc32c(stored) != self.crc {
            return Err(self.damaged(path, "the checksum of the frame differs"));
        }
        Ok(())
    }
}

/// Reads the lines of one frame, checked against its checksum.
pub(crate) fn read_frame(file: &File, path: &Path, frame: &Frame, chunk: &mut Chunk) -> Result<()> {
    let Unpacker { decompressor, stored } = &mut chunk.unpacker;
    frame.read_into(stored, file, path)?;
    if decompressor.is_none() {
        *decompressor = Some(zstd::bulk::Decompressor::new().map_err(StoreError::io("decompress", path))?);
    }
    chunk.bytes.resize(frame.raw as usize, 0);
    let decoded = decompressor.as_mut().map(|unpacker| unpacker.decompress_to_buffer(stored, &mut chunk.bytes[..]));
    if decoded.and_then(io::Result::ok) != Some(frame.raw as usize) {
        return Err(frame.damaged(path, "the frame cannot be decompressed"));
    }
    (chunk.first, chunk.offset, chunk.stored) = (frame.first, frame.offset, frame.stored);
    Ok(())
}

/// Seals a segment: writes it compressed, makes that durable under its name, then removes the plain file.
///
/// Nothing is removed unless every line was good and what was compressed decompresses to the same bytes. The plain
/// file is locked meanwhile: who seals need not hold the lock of the journal, but no two seal one segment. The leaves
/// are hashed on the way, as far as that is wanted.
pub(crate) fn seal(medium: &dyn Medium, dir: &Path, base: u64, end: u64, hashed: &Hashed) -> Result<()> {
    let (from, to) = (log_path(dir, base), sealed_path(dir, base));
    let new = to.with_extension("zst.new");
    let source = File::open(&from).map_err(StoreError::io("open", &from))?;
    if !hold(&source, &from)? {
        return Ok(());
    }
    if new.exists() {
        medium.remove(&new).map_err(StoreError::io("remove", &new))?;
    }
    let target = medium.create(&new).map_err(StoreError::io("create", &new))?;
    let mut run = hashed.begin(base);
    let written = write_sealed(medium, (&source, &from), (&target, &new), base..end, &mut run);
    hashed.keep(run);
    if written.is_err() {
        // The plain file stays the truth; a half-written copy is of no use.
        drop(medium.remove(&new));
    }
    written?;
    medium.rename(&new, &to).map_err(StoreError::io("rename", &new))?;
    medium.sync_dir(dir).map_err(StoreError::io("sync", dir))?;
    medium.remove(&from).map_err(StoreError::io("remove", &from))
}

/// Locks a plain segment; `false` if another process is sealing it, or just has.
fn hold(source: &File, path: &Path) -> Result<bool> {
    match source.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(false),
        locked => locked.map_err(|error| StoreError::io("lock", path)(error.into()))?,
    }
    let inode = source.metadata().map_err(StoreError::io("read", path))?.ino();
    Ok(path.metadata().is_ok_and(|named| named.ino() == inode))
}

fn write_sealed(
    medium: &dyn Medium,
    (source, from): (&File, &Path),
    (target, to): (&File, &Path),
    positions: std::ops::Range<u64>,
    run: &mut Run,
) -> Result<()> {
    let length = source.metadata().map_err(StoreError::io("read", from))?.len();
    let mut packer = Packer::new().map_err(StoreError::io("compress", to))?;
    let mut index = Index { end: positions.end, frames: Vec::new() };
    let mut chunk = Chunk { first: positions.start, ..Chunk::default() };
    let (mut offset, mut written, mut most) = (0, 0, FRAME_BYTES);
    while offset < length {
        chunk.read_at_most(most, source, offset, length).map_err(StoreError::io("read", from))?;
        let stored = packer.pack_lines(&mut chunk).map_err(StoreError::io("compress", to))?;
        let mut next = chunk.first;
        for (at, line) in Lines::new(&chunk.bytes) {
            let record = parse_at(line, next).map_err(|what| StoreError::corrupt(from, offset + at as u64, what))?;
            run.add(next, record.leaf);
            next += 1;
        }
        if next == chunk.first {
            return Err(StoreError::corrupt(from, offset, "the file became shorter"));
        }
        medium.write_at(target, to, stored, written).map_err(StoreError::io("write", to))?;
        let (raw, crc) = (chunk.bytes.len() as u64, crc32c::crc32c(stored));
        index.frames.push(Frame { first: chunk.first, offset: written, stored: stored.len() as u64, raw, crc });
        written += stored.len() as u64;
        offset += chunk.stored;
        chunk.first = next;
        // Lines that pack badly go on for a while, so the next frame is as large as seems right.
        most = (STORED_BYTES_MAX * 7 / 8 * chunk.bytes.len() / stored.len().max(1)).clamp(LINE_BYTES_MAX, FRAME_BYTES);
    }
    if chunk.first != positions.end {
        let what = format!("it ends before position {}, the next segment begins at {}", chunk.first, positions.end);
        return Err(StoreError::corrupt(from, length, what));
    }
    let tail = index.encode(positions.start, written);
    medium.write_at(target, to, &tail, written).map_err(StoreError::io("write", to))?;
    medium.sync(target, to).map_err(StoreError::io("sync", to))
}

/// What reads frames, kept from one to the next.
#[derive(Default)]
pub(crate) struct Unpacker {
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
    stored: Vec<u8>,
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

/// Compresses lines, and proves that they come back.
pub(crate) struct Packer {
    compressor: zstd::bulk::Compressor<'static>,
    decompressor: zstd::bulk::Decompressor<'static>,
    packed: Vec<u8>,
    back: Vec<u8>,
}

impl Packer {
    pub(crate) fn new() -> io::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.include_checksum(false)?;
        Ok(Self { compressor, decompressor: zstd::bulk::Decompressor::new()?, packed: Vec::new(), back: Vec::new() })
    }

    /// A frame of the lines of a chunk, which is halved until they fit.
    pub(crate) fn pack_lines(&mut self, chunk: &mut Chunk) -> io::Result<&[u8]> {
        while self.pack(&chunk.bytes)?.len() > STORED_BYTES_MAX && chunk.halve() {}
        Ok(&self.packed)
    }

    /// One independent frame; an error if it does not decompress to the same bytes.
    pub(crate) fn pack(&mut self, bytes: &[u8]) -> io::Result<&[u8]> {
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        self.compressor.compress_to_buffer(bytes, &mut self.packed)?;
        self.back.clear();
        self.back.reserve(bytes.len());
        self.decompressor.decompress_to_buffer(&self.packed, &mut self.back)?;
        if self.back != bytes {
            return Err(io::Error::other("the compressed bytes do not decompress to what was given"));
        }
        Ok(&self.packed)
    }
}
