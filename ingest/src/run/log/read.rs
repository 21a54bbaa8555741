//! Reading logs: of runs that have ended from the artifact, of those that run from their segments.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use lineage_store::StoreError;
use lineage_store::artifact::Artifacts;
use lineage_store::digest::Blake3;

use super::keep::{Index, TRAILER};
use super::{Cut, segments};

/// A frame that says it is larger is damaged.
const FRAME_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// An index that says it is larger is damaged.
const INDEX_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes of it.
    Bytes(Vec<u8>),
    /// Bytes that were left out here.
    Cut(Cut),
}

/// A log that is kept.
#[derive(Debug)]
pub struct LogReader {
    file: File,
    path: PathBuf,
    index: Index,
    next: usize,
    /// Where the next frame begins in the file.
    at: u64,
    /// Where the next piece begins in the log.
    offset: u64,
}

impl LogReader {
    /// Opens a log by the digest that the event of its run names; its bytes are verified.
    pub fn open(artifacts: &Artifacts, digest: &Blake3) -> Result<Self, StoreError> {
        let file = artifacts.open_verified(digest)?;
        let path = artifacts.path(digest);
        let damaged = || StoreError::Corrupt { path: path.clone(), offset: 0, what: "it is no log".to_owned() };
        let index =
            read_index(&file).map_err(|source| StoreError::Io { action: "read", path: path.clone(), source })?;
        let index = index.filter(|index| index.log == 1).ok_or_else(damaged)?;
        Ok(Self { file, path, index, next: 0, at: 0, offset: 0 })
    }

    /// The bytes of the whole log, with what was left out.
    pub fn len(&self) -> u64 {
        self.index.bytes
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.index.bytes == 0
    }

    /// How many milliseconds after the start something was said at an offset; `None` before the first note of a time.
    pub fn ms_at(&self, offset: u64) -> Option<u64> {
        let after = self.index.marks.partition_point(|(at, _)| *at <= offset);
        Some(self.index.marks[after.checked_sub(1)?].1)
    }

    /// The next piece.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, StoreError> {
        let Some((offset, raw, stored)) = self.index.frames.get(self.next).copied() else { return Ok(None) };
        if offset > self.offset {
            let cut = Cut { from: self.offset, to: offset };
            self.offset = offset;
            return Ok(Some(Piece::Cut(cut)));
        }
        let bytes = self.frame(raw, stored).map_err(|source| StoreError::Io {
            action: "read",
            path: self.path.clone(),
            source,
        })?;
        self.next += 1;
        self.at += stored;
        self.offset = offset + raw;
        Ok(Some(Piece::Bytes(bytes)))
    }

    fn frame(&self, raw: u64, stored: u64) -> io::Result<Vec<u8>> {
        if raw > FRAME_BYTES_MAX || stored > FRAME_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too large"));
        }
        let mut bytes = vec![0; stored as usize];
        self.file.read_exact_at(&mut bytes, self.at)?;
        zstd::bulk::decompress(&bytes, raw as usize)
    }
}

fn read_index(file: &File) -> io::Result<Option<Index>> {
    let length = file.metadata()?.len();
    let Some(end) = length.checked_sub(8) else { return Ok(None) };
    let mut trailer = [0; 8];
    file.read_exact_at(&mut trailer, end)?;
    let size = u32::from_le_bytes([trailer[0], trailer[1], trailer[2], trailer[3]]);
    let Some(at) = end.checked_sub(u64::from(size)).filter(|_| trailer[4..] == *TRAILER && size <= INDEX_BYTES_MAX)
    else {
        return Ok(None);
    };
    let mut text = vec![0; size as usize];
    file.read_exact_at(&mut text, at)?;
    Ok(serde_json::from_slice(&text).ok())
}

/// A log that still grows.
#[derive(Debug)]
pub struct Live {
    folder: PathBuf,
    name: String,
    /// The segment that is read, and how far.
    index: u64,
    read: u64,
    missed: bool,
}

impl Live {
    /// The logs of a run that has not ended: none if its folder is gone.
    pub fn of(runs: &Path, run: &str) -> Vec<Self> {
        let folder = super::super::lock::live_folder(runs, run);
        let there = |name: &&str| segments(&folder, name).is_ok_and(|list| !list.is_empty());
        let names = ["output", "stdout", "stderr"].into_iter().filter(there);
        names
            .map(|name| Self { folder: folder.clone(), name: name.to_owned(), index: 0, read: 0, missed: false })
            .collect()
    }

    /// The name of its stream.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was said since the last call; segments that were left out meanwhile are skipped.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let list = match segments(&self.folder, &self.name) {
            Ok(list) => list,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        let from = self.index;
        for (index, path) in list.into_iter().filter(|(index, _)| *index >= from) {
            if index > self.index {
                self.missed |= index > self.index + 1;
                (self.index, self.read) = (index, 0);
            }
            self.read += match File::open(&path) {
                Ok(file) => read_from(file, self.read, &mut bytes)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(error),
            };
        }
        Ok(bytes)
    }

    /// Whether segments were left out before they were read; asking forgets it.
    pub fn missed(&mut self) -> bool {
        std::mem::take(&mut self.missed)
    }
}

fn read_from(mut file: File, from: u64, bytes: &mut Vec<u8>) -> io::Result<u64> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(from))?;
    Ok(file.read_to_end(bytes)? as u64)
}
