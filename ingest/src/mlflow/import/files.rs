//! The files of runs and models, as far as a source can give them.

use super::super::fact::NewFile;
use super::super::file;
use super::source::Listed;
use super::{Import, ImportError};

impl Import<'_> {
    /// Stores the files at an address that are not listed here yet.
    pub(super) fn files(&mut self, what: &str, now: i64, uri: &str) -> Result<(), ImportError> {
        if !self.order.with_files || uri.is_empty() {
            return Ok(());
        }
        let Some(root) = file::key_of(uri) else {
            let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
            self.leave(format!("folders of files at {scheme}:"), 1);
            return Ok(());
        };
        let mut folders = vec![root.into_owned()];
        while let Some(folder) = folders.pop() {
            let listed = match self.source.list(&folder).map_err(ImportError::Source)? {
                Ok(listed) => listed,
                Err(what) => {
                    self.leave(what, 1);
                    continue;
                }
            };
            for Listed { path, is_dir } in listed {
                let key = format!("{folder}/{path}");
                if is_dir {
                    folders.push(key);
                } else if file::digest(&self.ledger, &key).is_err() {
                    self.file(what, now, key)?;
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, what: &str, now: i64, key: String) -> Result<(), ImportError> {
        let Some(mut bytes) = self.source.open(&key).map_err(ImportError::Source)? else { return Ok(()) };
        let stored = self.target.store(&mut bytes)?;
        drop(bytes);
        self.met.files += 1;
        let new = NewFile { path: key, blake3: stored.digest.hex(), sha256: stored.sha256, size: stored.size };
        self.write(what, now, |pen| file::store(pen, new))
    }
}
