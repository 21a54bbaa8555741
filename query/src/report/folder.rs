//! The folder of a pack: new files only, each hashed while it is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use lineage_store::digest::Hasher;

use super::ReportError;

/// The folder that a pack is written into.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// Files that were begun, so that they can be removed if the pack is given up.
    begun: Arc<Mutex<Vec<PathBuf>>>,
}

/// A file of a pack, complete.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Its path in the folder, with `/`.
    pub(super) path: String,
    pub(super) size: u64,
    /// Lower-case hex.
    pub(super) sha256: String,
    /// Lower-case hex.
    pub(super) blake3: String,
}

/// A file that is being written.
pub(super) struct Sink {
    path: String,
    file: BufWriter<File>,
    hasher: Hasher,
}

impl Folder {
    /// A new folder, or an empty one.
    pub(super) fn create(root: &Path) -> Result<Self, ReportError> {
        fs::create_dir_all(root).map_err(ReportError::io("create", root))?;
        let mut entries = fs::read_dir(root).map_err(ReportError::io("list", root))?;
        if entries.next().is_some() {
            return Err(ReportError::NotEmpty { path: root.to_owned() });
        }
        Ok(Self { root: root.to_owned(), begun: Arc::default() })
    }

    /// Begins a file; `path` has `/` between folders, which are made.
    pub(super) fn begin(&self, path: impl Into<String>) -> Result<Sink, ReportError> {
        let path = path.into();
        let full = self.root.join(&path);
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent).map_err(ReportError::io("create", parent))?;
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&full);
        let file = file.map_err(ReportError::io("create", &full))?;
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push(full);
        Ok(Sink { path, file: BufWriter::with_capacity(1 << 18, file), hasher: Hasher::default() })
    }

    /// Removes what was written; what cannot be removed stays, without a manifest.
    pub(super) fn abandon(&self) {
        for path in self.begun.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            fs::remove_file(&path).ok();
            // The folders of parts; one that holds anything else stays.
            let parents = path.ancestors().skip(1).take_while(|parent| *parent != self.root);
            parents.for_each(|parent| drop(fs::remove_dir(parent)));
        }
    }

    /// Writes a whole file.
    pub(super) fn write(&self, path: impl Into<String>, bytes: &[u8]) -> Result<Entry, ReportError> {
        let mut sink = self.begin(path)?;
        sink.write_all(bytes).map_err(ReportError::io("write", &self.root))?;
        sink.finish()
    }
}

impl Sink {
    /// Ends the file.
    pub(super) fn finish(mut self) -> Result<Entry, ReportError> {
        self.file.flush().map_err(ReportError::io("write", Path::new(&self.path)))?;
        let (blake3, sha256, size) = self.hasher.finish();
        Ok(Entry { path: self.path, size, sha256, blake3: blake3.hex() })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
