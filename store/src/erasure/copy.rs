//! Copying folders durably, as they are.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::keys::sync_folder;
use crate::error::{Result, StoreError};

/// How many files, and how many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Copies the files below a folder that are wanted by their names; one that vanishes meanwhile is left out.
pub(super) fn folder(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<Copied> {
    let mut copied = Copied::default();
    fs::create_dir_all(to).map_err(StoreError::io("create", to))?;
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(copied),
        Err(error) => return Err(StoreError::io("list", from)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list", from))?;
        let name = entry.file_name();
        let kind = entry.file_type().map_err(StoreError::io("read", entry.path()))?;
        if !wanted(&name.to_string_lossy()) {
            continue;
        }
        let target = to.join(&name);
        if kind.is_dir() {
            let below = folder(&entry.path(), &target, wanted)?;
            copied = Copied { files: copied.files + below.files, bytes: copied.bytes + below.bytes };
        } else if kind.is_file()
            && let Some(bytes) = file(&entry.path(), &target)?
        {
            copied = Copied { files: copied.files + 1, bytes: copied.bytes + bytes };
        }
    }
    sync_folder(to)?;
    Ok(copied)
}

/// Copies one file with its permissions; `None` if it is gone.
pub(super) fn file(from: &Path, to: &Path) -> Result<Option<u64>> {
    let bytes = match fs::copy(from, to) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => return Ok(None),
        Err(error) => return Err(StoreError::io("copy", from)(error)),
    };
    File::open(to).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", to))?;
    Ok(Some(bytes))
}
