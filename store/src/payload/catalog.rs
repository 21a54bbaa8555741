//! The catalog: which segments there are, and where in them the value of a digest is; read when it is first needed.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::segment::{self, Blocks, Entry};
use crate::digest::Blake3;
use crate::{Result, StoreError};

/// The extension of a segment that a writer goes on with.
const OPEN: &str = "open";
/// The extension of a segment that is full and has an index.
const FULL: &str = "full";

/// A segment by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) number: u64,
    pub(super) is_full: bool,
}

impl Name {
    /// The name of a file; `None` if it is that of no segment.
    fn parse(name: &str) -> Option<Self> {
        let (digits, extension) = name.split_once('.')?;
        let number = digits.parse().ok()?;
        let name = Self { number, is_full: extension == FULL };
        (matches!(extension, OPEN | FULL) && name.file() == format!("{digits}.{extension}")).then_some(name)
    }

    fn file(&self) -> String {
        format!("{:012}.{}", self.number, if self.is_full { FULL } else { OPEN })
    }

    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(self.file())
    }

    /// Opens it, also if it became full meanwhile; `None` if it is gone.
    pub(super) fn open(&self, folder: &Path, write: bool) -> Result<Option<(File, PathBuf)>> {
        for is_full in [self.is_full, true] {
            let path = Self { is_full, ..*self }.path(folder);
            match OpenOptions::new().read(true).write(write).open(&path) {
                Ok(file) => return Ok(Some((file, path))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("open", &path)(error)),
            }
        }
        Ok(None)
    }
}

/// The segments in a folder, by number; `odd` gets whatever else lies there.
pub(super) fn segments(folder: &Path, odd: &mut dyn FnMut(PathBuf)) -> Result<Vec<Name>> {
    let mut names = Vec::new();
    let list = |error| StoreError::io("list", folder)(error);
    for entry in fs::read_dir(folder).map_err(list)? {
        let name = entry.map_err(list)?.file_name();
        match name.to_str().and_then(Name::parse) {
            Some(name) => names.push(name),
            None if name != super::LOCK => odd(folder.join(name)),
            None => {}
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: Name,
    pub(super) entry: Entry,
}

/// What tells whether a segment is the one that was read.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    /// When it was last written; an erasure writes into full segments, and what the catalog knows of them stays true.
    written: Option<(i64, i64)>,
}

impl Stamp {
    fn of(metadata: &Metadata, is_full: bool) -> Self {
        let written = (!is_full).then(|| (metadata.mtime(), metadata.mtime_nsec()));
        Self { inode: metadata.ino(), length: metadata.len(), written }
    }
}

/// The values of one segment.
#[derive(Debug)]
struct Segment {
    name: Name,
    stamp: Stamp,
    /// By digest.
    entries: Vec<Entry>,
}

impl Segment {
    /// Reads what a segment holds; `None` if it is gone.
    fn read(folder: &Path, name: &Name) -> Result<Option<Self>> {
        let Some((file, path)) = name.open(folder, false)? else { return Ok(None) };
        let read = || {
            let metadata = file.metadata()?;
            let from_index = if name.is_full { segment::read_index(&file).ok() } else { None };
            let entries = if let Some((entries, _)) = from_index {
                entries
            } else {
                let mut entries = Blocks::read(&file)?.entries;
                entries.sort_unstable();
                entries
            };
            Ok(Self { name: name.clone(), stamp: Stamp::of(&metadata, name.is_full), entries })
        };
        read().map(Some).map_err(StoreError::io("read", path))
    }

    fn is_current(&self, folder: &Path) -> bool {
        let metadata = self.name.path(folder).metadata();
        metadata.is_ok_and(|metadata| Stamp::of(&metadata, self.name.is_full) == self.stamp)
    }
}

/// The segments of a store and what they hold.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    segments: Vec<Segment>,
}

impl Catalog {
    /// Reads what is new; what became full, or was removed, is forgotten under its old name.
    pub(super) fn refresh(&mut self, folder: &Path) -> Result<()> {
        let mut known = std::mem::take(&mut self.segments).into_iter().peekable();
        for name in segments(folder, &mut |_| {})? {
            while known.next_if(|segment| segment.name < name).is_some() {}
            let current = known.next_if(|segment| segment.name == name && segment.is_current(folder));
            let segment = current.map_or_else(|| Segment::read(folder, &name), |segment| Ok(Some(segment)))?;
            self.segments.extend(segment);
        }
        Ok(())
    }

    /// Every place of a value: nearly always one, or none.
    pub(super) fn places(&self, digest: &Blake3) -> Vec<Place> {
        let in_one = |segment: &Segment| {
            let first = segment.entries.partition_point(|entry| entry.digest < *digest);
            let same = segment.entries[first..].iter().take_while(|entry| entry.digest == *digest);
            same.map(|entry| Place { segment: segment.name.clone(), entry: *entry }).collect::<Vec<_>>()
        };
        self.segments.iter().flat_map(in_one).collect()
    }

    /// The segments with all of their values, by digest.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Name, &[Entry])> {
        self.segments.iter().map(|segment| (&segment.name, &segment.entries[..]))
    }
}
