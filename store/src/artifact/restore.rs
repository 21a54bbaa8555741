//! Restoring: verified bytes appear under their path at once, or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use super::shelf::{Shelf, Temporary, sync_folder, unused};
use super::{Entry, Manifest};
use crate::digest::Blake3;
use crate::{Result, StoreError};

/// How the names of unfinished restores begin.
const PREFIX: &str = ".lineage-restore-";

pub(super) fn file(shelf: &Shelf, digest: &Blake3, path: &Path) -> Result<()> {
    let folder = folder_of(path);
    let mut temporary = Temporary::create(&folder, PREFIX, 0o666)?;
    shelf.copy(digest, &mut temporary.file, &temporary.path)?;
    temporary.finish(path)?;
    sync_folder(&folder)
}

/// Restores into a new folder beside the target, which takes the target's place when all is there.
pub(super) fn folder(shelf: &Shelf, manifest: &Manifest, path: &Path) -> Result<()> {
    let parent = folder_of(path);
    let (made, ()) = unused(&parent, PREFIX, &|path| fs::create_dir(path))?;
    let done = fill(shelf, manifest, &made)
        .and_then(|()| fs::rename(&made, path).map_err(StoreError::io("write", path)))
        .and_then(|()| sync_folder(&parent));
    if done.is_err() {
        // Only our own unfinished folder; the first error is the one to report.
        fs::remove_dir_all(&made).ok();
    }
    done
}

fn fill(shelf: &Shelf, manifest: &Manifest, folder: &Path) -> Result<()> {
    for Entry { path, digest, executable, .. } in manifest.entries() {
        // The manifest holds plain relative paths only, and this folder is new, so nothing leads out of it.
        let target = folder.join(path);
        let parent = folder_of(&target);
        fs::create_dir_all(&parent).map_err(StoreError::io("create", &parent))?;
        let mut temporary = Temporary::create(&parent, PREFIX, if *executable { 0o777 } else { 0o666 })?;
        shelf.copy(digest, &mut temporary.file, &temporary.path)?;
        temporary.finish(&target)?;
    }
    Ok(())
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}
