//! A folder of files named by their blake3 digest: written whole or not at all, verified when read.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::digest::Blake3;
use crate::{Result, StoreError};

/// The size of the buffers through which bytes pass.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;
/// The least that is read at a time: a page, also of files that do not say how large they are.
const BUFFER_BYTES_MIN: usize = 4096;
/// The permissions of stored files: nothing is ever changed in place.
const MODE: u32 = 0o444;
/// Where files grow before they have a name.
const TEMPORARY: &str = "tmp";

/// Makes the names of temporary files differ within this process.
static N_TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// A stored file whose bytes are not what its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

#[derive(Clone, Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
}

/// Writes a copy of something into a new file (its path is for errors) and returns the digest of what it wrote.
pub(super) type Fill<'a> = &'a mut dyn FnMut(&mut File, &Path) -> Result<Blake3>;

impl Shelf {
    pub(super) fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder.join(TEMPORARY)).map_err(StoreError::io("create", folder))?;
        sync_folder(folder)?;
        folder.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), sync_folder)?;
        Self::open(folder)
    }

    pub(super) fn open(folder: &Path) -> Result<Self> {
        fs::read_dir(folder).map_err(StoreError::io("open", folder))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The only path that the bytes of a digest can have.
    pub(super) fn path(&self, digest: &Blake3) -> PathBuf {
        let hex = digest.hex();
        self.folder.join(&hex[..2]).join(&hex[2..])
    }

    /// The size of a stored file.
    pub(super) fn size(&self, digest: &Blake3) -> Option<u64> {
        fs::symlink_metadata(self.path(digest)).ok().filter(fs::Metadata::is_file).map(|m| m.len())
    }

    /// Keeps bytes of a known digest; false if `fill` wrote other bytes, which are then dropped.
    ///
    /// Durable once the folders that this adds to `folders` are synced: also for a file that was there
    /// already, which another process may have renamed a moment ago. Such a file is left alone unless
    /// its size shows that it is damaged.
    pub(super) fn keep(
        &self,
        digest: &Blake3,
        size: u64,
        folders: &mut BTreeSet<PathBuf>,
        fill: Fill<'_>,
    ) -> Result<bool> {
        if self.size(digest) != Some(size) {
            let mut temporary = Temporary::create(&self.folder.join(TEMPORARY), "", 0o600)?;
            let written = fill(&mut temporary.file, &temporary.path)?;
            if written != *digest {
                return Ok(false);
            }
            self.finish(temporary, digest)?;
        }
        folders.extend(self.folders_of(digest));
        Ok(true)
    }

    /// As [`Self::keep`], for bytes whose digest is known only once `fill` has written them.
    pub(super) fn keep_new(&self, folders: &mut BTreeSet<PathBuf>, fill: Fill<'_>) -> Result<()> {
        let mut temporary = Temporary::create(&self.folder.join(TEMPORARY), "", 0o600)?;
        let digest = fill(&mut temporary.file, &temporary.path)?;
        self.finish(temporary, &digest)?;
        folders.extend(self.folders_of(&digest));
        Ok(())
    }

    /// Syncs what was written and gives it the name of its digest.
    fn finish(&self, temporary: Temporary, digest: &Blake3) -> Result<()> {
        let permissions = fs::Permissions::from_mode(MODE);
        temporary.file.set_permissions(permissions).map_err(StoreError::io("protect", &temporary.path))?;
        let path = self.path(digest);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        temporary.finish(&path)
    }

    /// The folders that must be synced before a file of a digest is durable.
    fn folders_of(&self, digest: &Blake3) -> [PathBuf; 2] {
        let folder = self.path(digest).parent().unwrap_or(&self.folder).to_owned();
        [self.folder.clone(), folder]
    }

    pub(super) fn keep_bytes(&self, digest: &Blake3, bytes: &[u8], folders: &mut BTreeSet<PathBuf>) -> Result<()> {
        let mut fill = |out: &mut File, name: &Path| {
            out.write_all(bytes).map_err(StoreError::io("write", name))?;
            Ok(*digest)
        };
        self.keep(digest, bytes.len() as u64, folders, &mut fill).map(drop)
    }

    /// Opens a stored file without reading it.
    pub(super) fn open_file(&self, digest: &Blake3) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::NoArtifact { digest: digest.to_string() },
            _ => StoreError::io("open", &path)(error),
        })
    }

    pub(super) fn open_verified(&self, digest: &Blake3) -> Result<File> {
        let mut file = self.open_file(digest)?;
        let path = self.path(digest);
        expect(digest, &path, read_through(&mut file, &path, &mut |_| Ok(()))?)?;
        file.rewind().map_err(StoreError::io("read", &path))?;
        Ok(file)
    }

    pub(super) fn read(&self, digest: &Blake3, limit: u64) -> Result<Vec<u8>> {
        let file = self.open_file(digest)?;
        let path = self.path(digest);
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(StoreError::io("read", &path))?;
        if bytes.len() as u64 > limit {
            let source = io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {limit} bytes"));
            return Err(StoreError::Io { action: "read", path, source });
        }
        expect(digest, &path, Blake3::of(&bytes))?;
        Ok(bytes)
    }

    /// Copies a stored file into a new one, verified.
    pub(super) fn copy(&self, digest: &Blake3, out: &mut File, name: &Path) -> Result<()> {
        let mut file = self.open_file(digest)?;
        let path = self.path(digest);
        let mut write = |bytes: &[u8]| out.write_all(bytes).map_err(StoreError::io("write", name));
        let found = read_through(&mut file, &path, &mut write)?;
        expect(digest, &path, found)
    }

    pub(super) fn remove(&self, digest: &Blake3) -> Result<bool> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Ok(()) => path.parent().map_or(Ok(()), sync_folder).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("remove", &path)(error)),
        }
    }

    /// Calls `each` for every stored file in the order of digests, `odd` for whatever else lies around.
    pub(super) fn list(&self, each: &mut dyn FnMut(Blake3, u64), odd: &mut dyn FnMut(PathBuf)) -> Result<()> {
        for (folder, metadata) in entries(&self.folder)? {
            let prefix = name_of(&folder);
            if prefix == TEMPORARY {
                continue;
            }
            if !metadata.is_dir() || prefix.len() != 2 {
                odd(folder);
                continue;
            }
            for (path, metadata) in entries(&folder)? {
                let hex = format!("{prefix}{}", name_of(&path));
                match Blake3::from_hex(&hex).filter(|d| d.hex() == hex && metadata.is_file()) {
                    Some(digest) => each(digest, metadata.len()),
                    None => odd(path),
                }
            }
        }
        Ok(())
    }

    /// Hashes every file; `progress` gets the bytes read since its last call.
    pub(super) fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Vec<Damage>> {
        let (mut digests, mut damage) = (Vec::new(), Vec::new());
        let mut odd = |file| damage.push(Damage { file, what: "its name is no digest".to_owned() });
        self.list(&mut |digest, _| digests.push(digest), &mut odd)?;
        for digest in digests {
            let path = self.path(&digest);
            let mut count = |bytes: &[u8]| {
                progress(bytes.len() as u64);
                Ok(())
            };
            let found = self.open_file(&digest).and_then(|mut file| read_through(&mut file, &path, &mut count));
            let what = match found {
                Ok(found) if found == digest => continue,
                Err(StoreError::NoArtifact { .. }) => continue,
                Ok(found) => format!("its bytes have the digest {found}"),
                Err(error) => error.to_string(),
            };
            damage.push(Damage { file: path, what });
        }
        Ok(damage)
    }

    /// Removes temporary files last written before an instant; returns how many.
    pub(super) fn sweep(&self, before: std::time::SystemTime) -> Result<u64> {
        let mut n_removed = 0;
        for (path, metadata) in entries(&self.folder.join(TEMPORARY))? {
            let old = metadata.modified().is_ok_and(|at| at < before);
            if old && metadata.is_file() && fs::remove_file(&path).is_ok() {
                n_removed += 1;
            }
        }
        Ok(n_removed)
    }
}

/// A new file that vanishes unless it is finished.
pub(super) struct Temporary {
    pub(super) file: File,
    pub(super) path: PathBuf,
    finished: bool,
}

impl Temporary {
    /// Creates a file of a new name in a folder; the mode is narrowed by the umask.
    pub(super) fn create(folder: &Path, prefix: &str, mode: u32) -> Result<Self> {
        let path =
            unused(folder, prefix, &|path| OpenOptions::new().write(true).create_new(true).mode(mode).open(path))?;
        Ok(Self { file: path.1, path: path.0, finished: false })
    }

    /// Syncs the bytes and gives the file its name.
    pub(super) fn finish(mut self, path: &Path) -> Result<()> {
        self.file.sync_all().map_err(StoreError::io("sync", &self.path))?;
        fs::rename(&self.path, path).map_err(StoreError::io("write", path))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.finished {
            // It has no name that anything reads; what stays is swept later.
            fs::remove_file(&self.path).ok();
        }
    }
}

fn expect(digest: &Blake3, path: &Path, found: Blake3) -> Result<()> {
    if found == *digest {
        Ok(())
    } else {
        Err(StoreError::corrupt(path, 0, format!("its bytes have the digest {found}")))
    }
}

/// Calls `create` with fresh names in a folder until one is free.
pub(super) fn unused<T>(folder: &Path, prefix: &str, create: &dyn Fn(&Path) -> io::Result<T>) -> Result<(PathBuf, T)> {
    loop {
        let n = N_TEMPORARY.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{prefix}{}-{n}", std::process::id()));
        match create(&path) {
            Ok(made) => return Ok((path, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::io("create", &path)(error)),
        }
    }
}

/// Reads a file to its end, through `each`, and returns the digest of what was read.
pub(super) fn read_through(file: &mut File, path: &Path, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<Blake3> {
    let mut hasher = blake3::Hasher::new();
    pass(file, path, &mut |bytes| {
        hasher.update(bytes);
        each(bytes)
    })?;
    Ok(Blake3(*hasher.finalize().as_bytes()))
}

/// Reads a file to its end through a buffer.
pub(super) fn pass(file: &mut File, path: &Path, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    // Room beyond the end is filled with zeroes for nothing, which for small files takes longer than to hash them.
    let size = file.metadata().map_or(u64::MAX, |metadata| metadata.len().saturating_add(1));
    let mut buffer = vec![0; usize::try_from(size).unwrap_or(BUFFER_BYTES).clamp(BUFFER_BYTES_MIN, BUFFER_BYTES)];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => each(&buffer[..n])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StoreError::io("read", path)(error)),
        }
    }
}

/// Makes what was kept durable, the folders that hold others last.
pub(super) fn sync(folders: &BTreeSet<PathBuf>) -> Result<()> {
    folders.iter().rev().try_for_each(|folder| sync_folder(folder))
}

pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(StoreError::io("sync", folder))
}

/// The entries of a folder, sorted by name, links not followed.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(StoreError::io("read", folder))? {
        let entry = entry.map_err(StoreError::io("read", folder))?;
        match entry.metadata() {
            Ok(metadata) => found.push((entry.path(), metadata)),
            // Another process removed or renamed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("read", entry.path())(error)),
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}
