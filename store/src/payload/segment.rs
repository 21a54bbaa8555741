//! The segment: a file of sealed values, appended a block at a time, with an index of all of them once it is full.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::digest::Blake3;
use crate::{Result, StoreError};

/// What a segment begins with: a name and the version of the format.
pub(super) const HEAD: &[u8; 8] = b"LNPSEG1\n";
/// What a block begins with.
const BLOCK: &[u8; 4] = b"LNB1";
/// What the trailer of an index begins with.
const INDEX: &[u8; 4] = b"LNX1";

/// Bytes of a check: of blake3, enough that no accident passes.
const CHECK_BYTES: usize = 16;
/// Bytes of a block before its table: the mark, the number of values, the check of number and table.
const BLOCK_HEAD_BYTES: usize = 4 + 4 + CHECK_BYTES;
/// Bytes of a value in the table of a block: its digest and its length.
const ROW_BYTES: usize = 32 + 4;
/// Bytes of a value in the index: its digest, its offset and its length.
const INDEX_ROW_BYTES: usize = 32 + 8 + 4;
/// Bytes of the trailer of an index: the mark, the number of values, the offset of the index, the check of all that.
const TRAILER_BYTES: usize = 4 + 4 + 8 + CHECK_BYTES;
/// Small blocks are read so many bytes at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// The largest value that is kept.
pub(super) const VALUE_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Where a value is in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) digest: Blake3,
    pub(super) offset: u64,
    pub(super) length: u32,
}

/// What is at the place of a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The value.
    Value(Vec<u8>),
    /// Zeros, as an erasure leaves them; `whole`: all of them.
    Erased { whole: bool },
    /// Other bytes.
    Other,
}

/// The bytes of a block that is to stand at an offset, and where its values will be.
pub(super) fn block(values: &[(Blake3, &[u8])], at: u64) -> io::Result<(Vec<u8>, Vec<Entry>)> {
    let size: usize = values.iter().map(|(_, bytes)| ROW_BYTES + bytes.len()).sum();
    let mut out = Vec::with_capacity(BLOCK_HEAD_BYTES + size);
    let mut entries = Vec::with_capacity(values.len());
    out.extend_from_slice(BLOCK);
    out.extend_from_slice(&(values.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; CHECK_BYTES]);
    let mut offset = at + (BLOCK_HEAD_BYTES + values.len() * ROW_BYTES) as u64;
    for (digest, bytes) in values {
        let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= VALUE_BYTES_MAX);
        let length = length.ok_or(io::ErrorKind::FileTooLarge)?;
        out.extend_from_slice(&digest.0);
        out.extend_from_slice(&length.to_le_bytes());
        entries.push(Entry { digest: *digest, offset, length });
        offset += u64::from(length);
    }
    let check = check(&[&out[4..8], &out[BLOCK_HEAD_BYTES..]]);
    out[8..BLOCK_HEAD_BYTES].copy_from_slice(&check);
    for (_, bytes) in values {
        out.extend_from_slice(bytes);
    }
    Ok((out, entries))
}

/// The bytes of an index that is to stand at an offset; sorts the entries.
pub(super) fn index(entries: &mut [Entry], at: u64) -> Vec<u8> {
    entries.sort_unstable();
    let mut out = Vec::with_capacity(entries.len() * INDEX_ROW_BYTES + TRAILER_BYTES);
    for entry in entries.iter() {
        out.extend_from_slice(&entry.digest.0);
        out.extend_from_slice(&entry.offset.to_le_bytes());
        out.extend_from_slice(&entry.length.to_le_bytes());
    }
    out.extend_from_slice(INDEX);
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    out.extend_from_slice(&at.to_le_bytes());
    let check = check(&[&out]);
    out.extend_from_slice(&check);
    out
}

/// Reads the index of a full segment, and where it stands; an error of the kind `InvalidData` if there is no good one.
pub(super) fn read_index(file: &File) -> io::Result<(Vec<Entry>, u64)> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let length = file.metadata()?.len();
    let at = length.checked_sub(TRAILER_BYTES as u64).ok_or_else(bad)?;
    let mut trailer = [0; TRAILER_BYTES];
    file.read_exact_at(&mut trailer, at)?;
    let n = u64::from(u32_at(&trailer, 4));
    let start = u64::from_le_bytes(trailer[8..16].try_into().map_err(|_| bad())?);
    if !trailer.starts_with(INDEX) || at.checked_sub(n * INDEX_ROW_BYTES as u64) != Some(start) {
        return Err(bad());
    }
    let mut rows = vec![0; n as usize * INDEX_ROW_BYTES];
    file.read_exact_at(&mut rows, start)?;
    if check(&[&rows, &trailer[..16]]) != trailer[16..] {
        return Err(bad());
    }
    let entries = rows.chunks_exact(INDEX_ROW_BYTES).map(|row| {
        let (digest, rest) = row.split_at(32);
        let (offset, length) = rest.split_at(8);
        let digest = Blake3(digest.try_into().map_err(|_| bad())?);
        let offset = u64::from_le_bytes(offset.try_into().map_err(|_| bad())?);
        Ok(Entry { digest, offset, length: u32_at(length, 0) })
    });
    Ok((entries.collect::<io::Result<_>>()?, start))
}

/// The blocks of a segment, up to the first place that is none.
pub(super) struct Blocks {
    /// The values of all of them, in their order.
    pub(super) entries: Vec<Entry>,
    /// Where they end; 0 if the file has not even a head.
    pub(super) end: u64,
}

impl Blocks {
    /// Reads the tables of a segment; the values themselves are not looked at.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
        reader.seek(SeekFrom::Start(0))?;
        let mut blocks = Self { entries: Vec::new(), end: 0 };
        let mut head = [0; HEAD.len()];
        if length < HEAD.len() as u64 || reader.read_exact(&mut head).is_err() || head != *HEAD {
            return Ok(blocks);
        }
        blocks.end = HEAD.len() as u64;
        while !reader.fill_buf()?.is_empty() {
            let n_before = blocks.entries.len();
            let Some(end) = table(&mut reader, blocks.end, length, &mut blocks.entries)? else { break };
            let passed = blocks.entries[n_before..].iter().map(|entry| i64::from(entry.length)).sum();
            reader.seek_relative(passed)?;
            blocks.end = end;
        }
        Ok(blocks)
    }
}

/// Reads the table of the block at an offset and adds its values; where the block ends, `None` if it is not whole.
fn table(reader: &mut impl io::Read, at: u64, length: u64, entries: &mut Vec<Entry>) -> io::Result<Option<u64>> {
    let left = length.saturating_sub(at);
    let mut head = [0; BLOCK_HEAD_BYTES];
    if left < head.len() as u64 {
        return Ok(None);
    }
    reader.read_exact(&mut head)?;
    let n = u32_at(&head, 4) as usize;
    let bytes = n as u64 * ROW_BYTES as u64;
    if !head.starts_with(BLOCK) || n == 0 || bytes > left - head.len() as u64 {
        return Ok(None);
    }
    let mut rows = vec![0; bytes as usize];
    reader.read_exact(&mut rows)?;
    if check(&[&head[4..8], &rows]) != head[8..] {
        return Ok(None);
    }
    let n_before = entries.len();
    let mut offset = at + head.len() as u64 + bytes;
    for row in rows.chunks_exact(ROW_BYTES) {
        let (digest, size) = row.split_at(32);
        let Ok(digest) = digest.try_into().map(Blake3) else { return Ok(None) };
        let entry = Entry { digest, offset, length: u32_at(size, 0) };
        entries.push(entry);
        offset += u64::from(entry.length);
    }
    if offset > length {
        entries.truncate(n_before);
        return Ok(None);
    }
    Ok(Some(offset))
}

/// Reads what is at the place of a value.
pub(super) fn read(file: &File, path: &Path, entry: &Entry) -> Result<Found> {
    let mut bytes = vec![0; entry.length as usize];
    match file.read_exact_at(&mut bytes, entry.offset) {
        Ok(()) if Blake3::of(&bytes) == entry.digest => Ok(Found::Value(bytes)),
        Ok(()) if is_blank(&bytes[..bytes.len().min(MARK_BYTES)]) => Ok(Found::Erased { whole: is_blank(&bytes) }),
        Ok(()) => Ok(Found::Other),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Found::Other),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// Sealed values begin with so many bytes that are not zero; zeros there mark one that was erased.
const MARK_BYTES: usize = 4;

/// Whether bytes may be kept as a value: they do not look like one that was erased.
pub(super) fn is_value(bytes: &[u8]) -> bool {
    bytes.get(..MARK_BYTES).is_some_and(|mark| !is_blank(mark))
}

/// Whether the bytes of a value are marked as erased; looks at its first bytes only.
pub(super) fn is_erased(file: &File, path: &Path, entry: &Entry) -> Result<bool> {
    let mut mark = [0; MARK_BYTES];
    let mark = &mut mark[..MARK_BYTES.min(entry.length as usize)];
    file.read_exact_at(mark, entry.offset).map_err(StoreError::io("read", path))?;
    Ok(is_blank(mark))
}

/// Overwrites values with zeros, durable when this returns.
///
/// They are marked as erased first: whenever this is interrupted, what is left is recognized and can be finished.
pub(super) fn erase(file: &File, path: &Path, entries: &[Entry]) -> Result<()> {
    let zeros = vec![0; BUFFER_BYTES];
    let write = |entry: &Entry, most: u64| -> io::Result<()> {
        let length = u64::from(entry.length).min(most);
        let mut at = 0;
        while at < length {
            let n = (length - at).min(zeros.len() as u64);
            file.write_all_at(&zeros[..n as usize], entry.offset + at)?;
            at += n;
        }
        Ok(())
    };
    let all = |most: u64| entries.iter().try_for_each(|entry| write(entry, most)).and_then(|()| file.sync_data());
    all(MARK_BYTES as u64).and_then(|()| all(u64::MAX)).map_err(StoreError::io("overwrite", path))
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn check(parts: &[&[u8]]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    check
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}
