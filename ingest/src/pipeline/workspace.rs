//! The workspace: files as they are now, or would be, for comparison with what an earlier run read.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use lineage_store::artifact::Artifacts;
use lineage_store::digest::Blake3;
use serde_json::Value;

use super::cache::ReadBytes;
use super::forecast::Restored;
use super::known::told;
use super::later::Later;
use crate::capture::Listing;
use crate::run::{Declared, Ground, expand, is_pattern, mark};

/// What stands before the digest of all names of a folder.
const ALL: &str = "all ";
/// So much of a document is kept to tell what in it is other.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// The files of a workspace as they are now; each is hashed at most once.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    hashed: RefCell<HashMap<String, Option<String>>>,
    /// What is read from us rather than from a file: its name and digest.
    document: Option<ReadBytes>,
    /// Its text, unless it is large.
    text: Option<String>,
    /// What knows large files from earlier steps.
    ground: Option<Arc<Ground>>,
    /// What comes and goes with the pipeline itself.
    later: Later,
    /// Files that would be there.
    restored: Vec<PathBuf>,
}

impl Workspace {
    /// The files below a folder; absolute paths are taken as they are.
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            hashed: RefCell::default(),
            document: None,
            text: None,
            ground: None,
            later: Later::default(),
            restored: Vec::new(),
        }
    }

    /// With what is known of large files already.
    pub(super) fn on(mut self, ground: Option<&Arc<Ground>>) -> Self {
        self.ground = ground.cloned();
        self
    }

    /// Without names of what the pipeline itself makes.
    pub(super) fn without(mut self, later: Later) -> Self {
        self.later = later;
        self
    }

    /// With a document of ours under a name that no file has.
    pub(super) fn with_document(mut self, name: &str, document: &Value) -> Self {
        let text = document.to_string();
        let digest = Blake3::of(text.as_bytes()).to_string();
        self.document = Some(ReadBytes { path: name.to_owned(), digest });
        self.text = Some(text).filter(|text| text.len() <= TEXT_BYTES_MAX);
        self
    }

    /// With files as they would be, whatever they are.
    pub(super) fn with_restored(mut self, restored: &Restored) -> Self {
        let mut hashed = self.hashed.borrow_mut();
        for (path, digest) in restored {
            // Files of the workspace are told by their paths from it, others by whole ones.
            let path = path.strip_prefix(&self.root).unwrap_or(path);
            if let Some(path) = path.to_str() {
                hashed.insert(path.to_owned(), Some(digest.clone()));
            }
        }
        drop(hashed);
        self.restored = restored.keys().cloned().collect();
        self
    }

    /// What in the document is other than in an earlier one, if this is its name and both are known.
    pub(super) fn document_difference(&self, name: &str, before: &str) -> Option<String> {
        let now = serde_json::from_str(self.text.as_ref().filter(|_| self.is_document(name))?).ok()?;
        let before = serde_json::from_str(before).ok()?;
        Some(told(name, Some(&before), Some(&now)))
    }

    fn is_document(&self, name: &str) -> bool {
        self.document.as_ref().is_some_and(|document| document.path == name)
    }

    /// The text of the document, unless it is large.
    pub(super) fn document_text(&self) -> String {
        self.text.clone().unwrap_or_default()
    }

    /// The document, as a thing that was read.
    pub(super) fn document(&self) -> Option<ReadBytes> {
        self.document.clone()
    }

    /// A path as it is on disk.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// What declared patterns match: the digest of the names of each.
    pub(super) fn matches(&self, declared: &[Declared]) -> BTreeMap<String, String> {
        let patterns = declared.iter().map(|declared| &declared.pattern).filter(|pattern| is_pattern(pattern));
        patterns.filter_map(|pattern| Some((pattern.clone(), self.matching(pattern)?))).collect()
    }

    pub(super) fn matching(&self, pattern: &str) -> Option<String> {
        let files = expand(&self.root, pattern).ok()?;
        Some(listing_digest(files.iter().map(|file| file.as_os_str().as_encoded_bytes())))
    }

    /// The digest of a file or of a folder's manifest; `None` if it is not there or cannot be read.
    pub(super) fn digest(&self, path: &str) -> Option<String> {
        if let Some(document) = self.document.as_ref().filter(|document| document.path == path) {
            return Some(document.digest.clone());
        }
        let path_of = || self.root.join(path);
        let hash = || match &self.ground {
            Some(ground) => ground.digest(&path_of()).map(|digest| digest.to_string()),
            None => Artifacts::hash_path(&path_of()).ok().map(|stored| stored.digest.to_string()),
        };
        self.hashed.borrow_mut().entry(path.to_owned()).or_insert_with(hash).clone()
    }

    /// The marks of a program: its size and when it was last written; `None` if it is not there.
    pub(super) fn mark(&self, path: &str) -> Option<String> {
        mark(&self.root.join(path))
    }

    pub(super) fn is_there(&self, path: &str) -> bool {
        let is_known = self.hashed.borrow().get(path).is_some_and(Option::is_some);
        is_known || self.root.join(path).symlink_metadata().is_ok()
    }

    /// What is kept of the names in a folder that was listed: the digest of those that do not come and go with the
    /// pipeline itself, or of all if they are too many to tell.
    pub(super) fn names(&self, path: &str, listing: &Listing) -> String {
        match (&listing.names, listing.list.is_empty()) {
            (Some((count, digest)), true) if *count > 0 => format!("{ALL}{digest}"),
            _ => self.counted(path, listing.list.iter().cloned()),
        }
    }

    /// The same of all names in a folder as it is now; `None` if it cannot be read.
    pub(super) fn all_names(&self, path: &str) -> Option<String> {
        let names = self.present(path)?;
        Some(format!("{ALL}{}", listing_digest(names.iter().map(|name| name.as_encoded_bytes()))))
    }

    /// Whether the names in a folder are as they were.
    pub(super) fn has_names(&self, path: &str, then: &str) -> bool {
        let now = if then.starts_with(ALL) {
            self.all_names(path)
        } else {
            self.present(path).map(|names| self.counted(path, names.into_iter()))
        };
        now.as_deref() == Some(then)
    }

    fn counted(&self, path: &str, names: impl Iterator<Item = OsString>) -> String {
        let folder = self.root.join(path);
        let names: Vec<OsString> = names.filter(|name| self.later.counts(&folder, name)).collect();
        listing_digest(names.iter().map(|name| name.as_encoded_bytes()))
    }

    /// The sorted names in a folder.
    fn present(&self, path: &str) -> Option<Vec<OsString>> {
        let entries = fs::read_dir(self.root.join(path)).ok()?;
        let mut names =
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>().ok()?;
        let folder = self.root.join(path);
        let restored = self.restored.iter().filter_map(|path| path.strip_prefix(&folder).ok()?.iter().next());
        names.extend(restored.map(OsStr::to_owned));
        names.sort();
        names.dedup();
        Some(names)
    }
}

/// The digest of sorted names: each ends with a zero byte.
pub fn listing_digest<'a>(names: impl Iterator<Item = &'a [u8]>) -> String {
    let bytes: Vec<u8> = names.flat_map(|name| name.iter().copied().chain([0])).collect();
    Blake3::of(&bytes).to_string()
}
