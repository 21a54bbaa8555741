//! The appender: the one segment that this process writes to, locked against others for as long.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::catalog::{Name, segments};
use super::segment::{self, Blocks, Entry};
use crate::digest::Blake3;
use crate::{Result, StoreError};

/// A segment of so many bytes is full: few files for many values, and soon read through when it has no index yet.
const PAYLOAD_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// A segment that is open for appending.
#[derive(Debug)]
pub(super) struct Appender {
    folder: PathBuf,
    name: Name,
    path: PathBuf,
    file: File,
    /// Where the next block begins; 0 in a file without a head.
    end: u64,
    entries: Vec<Entry>,
}

impl Appender {
    /// Goes on with a segment that is not full and that no other process writes to, or begins a new one.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let names = segments(folder, &mut |_| {})?;
        for name in names.iter().filter(|name| !name.is_full) {
            let Some(appender) = Self::take_over(folder, name)? else { continue };
            if appender.is_full() {
                // Whoever filled it was stopped before the index was written.
                appender.finish()?;
            } else {
                return Ok(appender);
            }
        }
        let mut number = names.last().map_or(0, |name| name.number) + 1;
        loop {
            if let Some(appender) = Self::create(folder, number)? {
                return Ok(appender);
            }
            number += 1;
        }
    }

    /// Begins a segment; `None` if there is one of this number.
    fn create(folder: &Path, number: u64) -> Result<Option<Self>> {
        let name = Name { number, is_full: false };
        let path = name.path(folder);
        let opened = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            opened => opened.map_err(StoreError::io("create", &path))?,
        };
        if !is_locked(&file, &path)? {
            return Ok(None);
        }
        // Another process may have begun and filled it since the folder was listed.
        if (Name { is_full: true, ..name }).path(folder).exists() {
            fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
            return Ok(None);
        }
        Ok(Some(Self { folder: folder.to_owned(), name, path, file, end: 0, entries: Vec::new() }))
    }

    /// Goes on where the writer of a segment stopped; `None` if it is in use, gone, or ends in bytes that are no block.
    ///
    /// A crash leaves such bytes, but damage looks alike, so they stay until `gc` has seen that no value is missing.
    fn take_over(folder: &Path, name: &Name) -> Result<Option<Self>> {
        let Some((file, path)) = name.open(folder, true)? else { return Ok(None) };
        if path != name.path(folder) || !is_locked(&file, &path)? {
            return Ok(None);
        }
        let read = || Ok((Blocks::read(&file)?, file.metadata()?.len()));
        let (Blocks { entries, end }, length) = read().map_err(StoreError::io("read", &path))?;
        let appender = Self { folder: folder.to_owned(), name: name.clone(), path, file, end, entries };
        Ok((length == end).then_some(appender))
    }

    /// Appends values, durable when this returns; after an error the appender must not be used again.
    pub(super) fn append(&mut self, values: &[(Blake3, &[u8])]) -> Result<()> {
        let is_new = self.end == 0;
        let head: &[u8] = if is_new { segment::HEAD } else { &[] };
        let at = self.end + head.len() as u64;
        let (mut block, entries) = segment::block(values, at).map_err(StoreError::io("write", &self.path))?;
        if is_new {
            block.splice(..0, head.iter().copied());
        }
        if let Err(error) = self.file.write_all_at(&block, self.end).and_then(|()| self.file.sync_data()) {
            // If this fails, too, who takes the segment over does it.
            self.file.set_len(self.end).ok();
            return Err(StoreError::io("write", &self.path)(error));
        }
        if is_new {
            sync_folder(&self.folder)?;
        }
        self.end += block.len() as u64;
        self.entries.extend(entries);
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.end >= PAYLOAD_SEGMENT_BYTES
    }

    /// Writes the index and gives the segment the name of a full one.
    pub(super) fn finish(mut self) -> Result<()> {
        let index = segment::index(&mut self.entries, self.end);
        let written = self.file.write_all_at(&index, self.end).and_then(|()| self.file.sync_data());
        written.map_err(StoreError::io("write", &self.path))?;
        let full = Name { is_full: true, ..self.name }.path(&self.folder);
        fs::rename(&self.path, &full).map_err(StoreError::io("rename", &self.path))?;
        sync_folder(&self.folder)
    }
}

/// Locks a segment that others may take over or remove; `false` if one of them has it, or had.
pub(super) fn is_locked(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(false),
        locked => locked.map_err(|error| StoreError::io("lock", path)(error.into()))?,
    }
    let inode = file.metadata().map_err(StoreError::io("read", path))?.ino();
    Ok(path.metadata().is_ok_and(|named| named.ino() == inode))
}

pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync", folder))
}
