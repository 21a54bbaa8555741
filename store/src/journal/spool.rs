//! The spool: events that wait as durable files because the lock was not had in time.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Result, StoreError};

/// The spool folder of a store.
#[derive(Clone, Debug)]
pub struct Spool {
    dir: PathBuf,
}

impl Spool {
    /// The spool in a folder, which is made when first written to.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Writes lines as one file, durable when this returns. The name is random, given by the caller.
    ///
    /// Files are drained in the order of their names.
    pub fn write(&self, name: &str, lines: &[u8]) -> Result<PathBuf> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(StoreError::io("name", &self.dir)(std::io::ErrorKind::InvalidInput.into()));
        }
        fs::create_dir_all(&self.dir).map_err(StoreError::io("create", &self.dir))?;
        if let Some(parent) = self.dir.parent() {
            sync_dir(parent)?;
        }
        let (new, path) = (self.dir.join(format!("{name}.new")), self.dir.join(format!("{name}.ndjson")));
        let mut file = File::create_new(&new).map_err(StoreError::io("create", &new))?;
        let written = file.write_all(lines).and_then(|()| file.sync_all());
        if let Err(error) = written {
            drop(fs::remove_file(&new));
            return Err(StoreError::io("write", &new)(error));
        }
        fs::rename(&new, &path).map_err(StoreError::io("rename", &new))?;
        sync_dir(&self.dir)?;
        Ok(path)
    }

    /// The files that wait, in the order of their names.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("list", &self.dir)(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(StoreError::io("list", &self.dir))?.path();
            if path.extension().is_some_and(|e| e == "ndjson") {
                files.push(path);
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    /// Removes a file whose events are in the journal.
    pub fn remove(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(StoreError::io("remove", path))?;
        sync_dir(&self.dir)
    }
}

fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(StoreError::io("sync", dir))
}
