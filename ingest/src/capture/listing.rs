//! Listings: which folders of data a step looked into, and which names were there.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use lineage_store::digest::Blake3;

use super::trace::Listing;

/// Of a folder with more names, only that it was listed is kept: reading them would hold up the step.
const NAMES_MAX: usize = 10_000;
/// Of so many folders with at most so many names the names themselves are kept.
const LISTS_MAX: usize = 1000;
const LIST_MAX: usize = 1000;
/// So many folders are kept.
const FOLDERS_MAX: usize = 10_000;

/// The folders that were opened.
#[derive(Debug, Default)]
pub(super) struct Listings {
    folders: HashMap<PathBuf, Option<Names>>,
}

/// The names in a folder: how many, their digest, and themselves.
#[derive(Debug)]
struct Names {
    count: u64,
    digest: String,
    list: Vec<OsString>,
}

impl Listings {
    /// A folder is about to be listed.
    pub(super) fn open(&mut self, folder: &Path) {
        if self.folders.len() < FOLDERS_MAX && !self.folders.contains_key(folder) {
            let mut names = names(folder);
            if let Some(names) =
                names.as_mut().filter(|names| names.list.len() > LIST_MAX || self.folders.len() >= LISTS_MAX)
            {
                names.list = Vec::new();
            }
            self.folders.insert(folder.to_owned(), names);
        }
    }

    pub(super) fn finish(self) -> Vec<Listing> {
        let listing = |(path, names): (PathBuf, Option<Names>)| match names {
            Some(Names { count, digest, list }) => Listing { path, names: Some((count, digest)), list },
            None => Listing { path, names: None, list: Vec::new() },
        };
        let mut found: Vec<_> = self.folders.into_iter().map(listing).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }
}

/// The names in a folder, sorted; the digest is of them with a null byte behind each.
fn names(folder: &Path) -> Option<Names> {
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
    Some(Names { count: names.len() as u64, digest: Blake3::of(&text).to_string(), list: names })
}
