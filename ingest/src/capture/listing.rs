//! Listings: which folders of data a step looked into, and which names were there.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use lineage_store::digest::Blake3;

use super::trace::Listing;

/// Of a folder with more names, only that it was listed is kept: reading them would hold up the step.
const NAMES_MAX: usize = 10_000;
/// So many folders are kept.
const FOLDERS_MAX: usize = 10_000;

/// The folders that were opened.
#[derive(Debug, Default)]
pub(super) struct Listings {
    folders: HashMap<PathBuf, Option<(u64, String)>>,
}

impl Listings {
    /// A folder is about to be listed.
    pub(super) fn open(&mut self, folder: &Path) {
        if self.folders.len() < FOLDERS_MAX && !self.folders.contains_key(folder) {
            self.folders.insert(folder.to_owned(), names(folder));
        }
    }

    pub(super) fn finish(self) -> Vec<Listing> {
        let mut found: Vec<_> = self.folders.into_iter().map(|(path, names)| Listing { path, names }).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }
}

/// The number of names in a folder and the digest of them, sorted, each with a null byte behind it.
fn names(folder: &Path) -> Option<(u64, String)> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).ok()? {
        if names.len() == NAMES_MAX {
            return None;
        }
        names.push(entry.ok()?.file_name());
    }
    names.sort();
    let mut text = Vec::new();
    for name in &names {
        text.extend_from_slice(name.as_bytes());
        text.push(0);
    }
    Some((names.len() as u64, Blake3::of(&text).to_string()))
}
