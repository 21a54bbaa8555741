//! The folders of this machine in which the files of runs and models lie.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::super::super::file;
use super::super::source::{Listed, Told};

/// Where files are looked for.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Folders that the database names are read only below this one, and where they are relative they begin here.
    pub root: PathBuf,
    /// Where the server kept what came through its proxy.
    pub proxy: PathBuf,
    /// What lies in them and is neither a file nor a folder.
    odd: u64,
}

impl Folders {
    /// Looks below a root, and in the folder of a proxy.
    pub fn new(root: PathBuf, proxy: PathBuf) -> Self {
        Self { root, proxy, odd: 0 }
    }

    /// So many links and the like were passed over.
    pub(super) fn odd(&self) -> u64 {
        self.odd
    }

    /// What lies in a folder; why it is left out where it is.
    pub(super) fn list(&mut self, key: &str) -> Told<Result<Vec<Listed>, String>> {
        let path = match self.place(key) {
            Ok(Some(path)) => path,
            Ok(None) => return Ok(Ok(Vec::new())),
            Err(why) => return Ok(Err(why)),
        };
        let mut listed = Vec::new();
        let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            match entry.file_name().into_string() {
                // A link leads anywhere.
                Ok(name) if kind.is_file() || kind.is_dir() => {
                    listed.push(Listed { path: name, is_dir: kind.is_dir() });
                }
                _ => self.odd += 1,
            }
        }
        listed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Ok(listed))
    }

    pub(super) fn open(&self, key: &str) -> Told<Option<Box<dyn Read + '_>>> {
        let Ok(Some(path)) = self.place(key) else { return Ok(None) };
        match File::open(&path) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        }
    }

    /// Where a key leads; `None`: nothing is there, as nothing was ever stored. An error says why it is not looked at.
    fn place(&self, key: &str) -> Result<Option<PathBuf>, String> {
        let (below, path) = if key.starts_with('/') {
            (&self.root, PathBuf::from(key))
        } else if let Some(path) = key.strip_prefix("./") {
            (&self.root, self.root.join(path))
        } else {
            let plain = file::path(key).map_err(|error| error.message)?;
            (&self.proxy, self.proxy.join(plain))
        };
        let Ok(base) = below.canonicalize() else {
            return Err(format!("folders of files in {}, which is not there", below.display()));
        };
        match path.canonicalize() {
            Ok(path) if path.starts_with(&base) => Ok(Some(path)),
            Ok(_) => Err(format!("folders of files outside {}", base.display())),
            Err(error) if error.kind() == ErrorKind::NotFound && is_below(&path, &base, below) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(format!("folders of files outside {}", base.display()))
            }
            Err(error) => Err(format!("folders of files that cannot be read: {error}")),
        }
    }
}

/// Whether a path that is not there would be below a folder, as it is written or as it really is.
fn is_below(path: &Path, base: &Path, written: &Path) -> bool {
    path.starts_with(base) || path.starts_with(written)
}
