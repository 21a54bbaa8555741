//! The cut folder: what was moved out of the journal, kept for `verify` to report.

use std::fs;
use std::path::{Path, PathBuf};

use super::medium::Medium;
use crate::error::{Result, StoreError};

/// The folder of what was cut.
pub(crate) fn dir(journal: &Path) -> PathBuf {
    journal.join("cut")
}

/// A free name for what was cut at a position; the folder is made.
pub(crate) fn free_path(medium: &dyn Medium, journal: &Path, position: u64) -> Result<PathBuf> {
    let dir = dir(journal);
    if !dir.exists() {
        medium.create_dir(&dir).map_err(StoreError::io("create", &dir))?;
        medium.sync_dir(journal).map_err(StoreError::io("sync", journal))?;
    }
    let names = (0_u64..).map(|n| dir.join(format!("{position:012}-{n}")));
    Ok(names.into_iter().find(|path| !path.exists()).unwrap_or(dir))
}

/// Every file that was cut, with its size.
pub(crate) fn list(journal: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let dir = dir(journal);
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(&dir).map_err(StoreError::io("list", &dir))? {
        let entry = entry.map_err(StoreError::io("list", &dir))?;
        files.push((entry.path(), entry.metadata().map_err(StoreError::io("read", entry.path()))?.len()));
    }
    files.sort_unstable();
    Ok(files)
}
