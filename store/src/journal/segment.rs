//! The segments: the files of the journal, each named by the first position in it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::line::LINE_BYTES_MAX;
use super::sealed::Unpacker;
use crate::error::{Result, StoreError};

/// How many bytes of lines are read at once.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;
/// The lines of one sealed frame. Measured at a million events: 512 KiB pack to 153.5 bytes an event, 256 KiB to
/// 158.9; of 1 MiB (151.6) the packed bytes would be more than one value of sled takes.
pub(crate) const FRAME_BYTES: usize = 512 * 1024;

const _: () = assert!(CHUNK_BYTES > LINE_BYTES_MAX && FRAME_BYTES >= CHUNK_BYTES);

/// How a segment is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// Plain lines; where both are there, the plain lines count.
    Log,
    /// Compressed.
    Sealed,
}

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Segment {
    /// Its first position.
    pub(crate) base: u64,
    pub(crate) form: Form,
}

impl Segment {
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        match self.form {
            Form::Log => log_path(dir, self.base),
            Form::Sealed => sealed_path(dir, self.base),
        }
    }
}

/// The file of a segment in plain lines.
pub(crate) fn log_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:012}.log"))
}

/// The file of a sealed segment.
pub(crate) fn sealed_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:012}.zst"))
}

/// Every segment in the order of positions; a plain one hides a sealed one of the same position.
pub(crate) fn list(dir: &Path) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let name = entry.map_err(StoreError::io("list", dir))?.file_name();
        let Some((digits, ending)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
        let form = match ending {
            "log" => Form::Log,
            "zst" => Form::Sealed,
            _ => continue,
        };
        if let Ok(base) = digits.parse::<u64>()
            && format!("{base:012}") == digits
        {
            segments.push(Segment { base, form });
        }
    }
    segments.sort_unstable();
    segments.dedup_by_key(|segment| segment.base);
    Ok(segments)
}

/// Some whole lines of a segment.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The position of the first line.
    pub(crate) first: u64,
    /// Where it is stored.
    pub(crate) offset: u64,
    /// How many stored bytes it takes.
    pub(crate) stored: u64,
    /// The lines.
    pub(crate) bytes: Vec<u8>,
    /// Used again for each frame of a sealed segment.
    pub(super) unpacker: Unpacker,
}

impl Chunk {
    /// Reads whole lines from a plain file, up to a limit; without any newline, everything up to the limit.
    ///
    /// The buffer of the chunk is used again. `first` is left to the caller.
    pub(crate) fn read_lines(&mut self, file: &File, offset: u64, limit: u64) -> io::Result<()> {
        self.read_at_most(CHUNK_BYTES, file, offset, limit)
    }

    /// As [`Chunk::read_lines`], with another number of bytes, which must have room for a line.
    pub(crate) fn read_at_most(&mut self, most: usize, file: &File, offset: u64, limit: u64) -> io::Result<()> {
        let want = limit.saturating_sub(offset).min(most as u64) as usize;
        self.bytes.resize(want, 0);
        let mut filled = 0;
        while filled < want {
            match file.read_at(&mut self.bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes.truncate(filled);
        if let Some(end) = self.bytes.iter().rposition(|b| *b == b'\n') {
            self.bytes.truncate(end + 1);
        }
        self.offset = offset;
        self.stored = self.bytes.len() as u64;
        Ok(())
    }

    /// Keeps the first half of plain lines; `false` if there is only one.
    pub(crate) fn halve(&mut self) -> bool {
        let (front, back) = self.bytes.split_at(self.bytes.len() / 2);
        let end = match front.iter().rposition(|b| *b == b'\n') {
            Some(end) => end + 1,
            None => back.iter().position(|b| *b == b'\n').map_or(self.bytes.len(), |end| front.len() + end + 1),
        };
        let halved = end < self.bytes.len();
        self.bytes.truncate(end);
        self.stored = end as u64;
        halved
    }
}
