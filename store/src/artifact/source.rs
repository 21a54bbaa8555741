//! What is hashed and stored: files and folders outside the store, which others may change meanwhile.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

use super::stream::{self, Passed, Way};
use super::{Entry, Stored};
use crate::digest::Blake3;
use crate::{Result, StoreError};

/// The name of store folders, which are never part of a version.
const STORE_FOLDER: &str = ".lineage";
/// The deepest nesting of folders in a version.
const DEPTH_MAX: usize = 256;

/// The marks by which a file shows that it was written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The marks of a file's metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A file of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) path: PathBuf,
    /// The path in the manifest.
    pub(super) name: String,
    /// Whether a symbolic link is followed, because the caller named the file itself.
    pub(super) follow: bool,
}

impl Member {
    pub(super) fn entry(&self, stored: Stored, executable: bool) -> Entry {
        Entry { path: self.name.clone(), digest: stored.digest, sha256: stored.sha256, size: stored.size, executable }
    }
}

pub(super) struct Hashed {
    pub(super) stored: Stored,
    pub(super) executable: bool,
}

/// An error that says why a path cannot be stored.
pub(super) fn refused(path: &Path, what: impl Into<String>) -> StoreError {
    let source = io::Error::new(io::ErrorKind::InvalidInput, what.into());
    StoreError::Io { action: "take", path: path.to_owned(), source }
}

/// The error for bytes that did not hold still.
pub(super) fn changed(path: &Path) -> StoreError {
    refused(path, "changed while being read")
}

pub(super) fn is_folder(path: &Path) -> Result<bool> {
    fs::metadata(path).map(|m| m.is_dir()).map_err(StoreError::io("read", path))
}

/// Hashes a regular file and tells whether it held still.
pub(super) fn hash(path: &Path, follow: bool) -> Result<Hashed> {
    let (mut file, metadata) = open(path, follow)?;
    let Passed { digest, sha256, size } = stream::pass(&mut file, Way { name: path, with_sha256: true, out: None })?;
    let after = file.metadata().map_err(StoreError::io("read", path))?;
    let unstable = Stamp::of(&after) != Stamp::of(&metadata) || size != after.len();
    let executable = metadata.permissions().mode() & 0o100 != 0;
    Ok(Hashed { stored: Stored { digest, sha256, size, n_files: None, unstable }, executable })
}

/// Copies a regular file and returns the digest of what was copied.
pub(super) fn copy(path: &Path, follow: bool, out: &File, name: &Path) -> Result<Blake3> {
    drain(&mut open(path, follow)?.0, out, name)
}

/// Copies whatever a source gives and returns the digest of what was copied.
pub(super) fn drain(source: &mut dyn Read, out: &File, name: &Path) -> Result<Blake3> {
    Ok(stream::pass(source, Way { name, with_sha256: false, out: Some(out) })?.digest)
}

/// Opens a regular file; does not wait for the other end of a pipe.
fn open(path: &Path, follow: bool) -> Result<(File, Metadata)> {
    let link = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | link;
    let file = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(rustix::io::Errno::LOOP) if !follow => return Err(refused(path, LINK)),
        Err(error) => return Err(StoreError::io("open", path)(error.into())),
    };
    let metadata = file.metadata().map_err(StoreError::io("read", path))?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(refused(path, not_a_file(&metadata))) }
}

const LINK: &str = "it is a symbolic link, which a folder of files cannot hold; put the file there or name it itself";

fn not_a_file(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() {
        "it is a folder, not a file"
    } else if metadata.is_symlink() {
        LINK
    } else {
        "it is a pipe, socket or device; only regular files have bytes that can be kept"
    }
}

/// The files of a folder, sorted by name; folders without files and stores inside it do not count.
pub(super) fn members(folder: &Path) -> Result<Vec<Member>> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), String::new(), 0)];
    while let Some((path, prefix, depth)) = folders.pop() {
        if depth > DEPTH_MAX {
            return Err(refused(&path, format!("it is more than {DEPTH_MAX} folders deep")));
        }
        for entry in fs::read_dir(&path).map_err(StoreError::io("read", &path))? {
            let entry = entry.map_err(StoreError::io("read", &path))?;
            let path = entry.path();
            let name = format!("{prefix}{}", utf8(&path, entry.file_name().to_str())?);
            let kind = entry.file_type().map_err(StoreError::io("read", &path))?;
            if kind.is_dir() && entry.file_name() != STORE_FOLDER {
                folders.push((path, format!("{name}/"), depth + 1));
            } else if kind.is_symlink() {
                return Err(refused(&path, LINK));
            } else if !kind.is_dir() {
                found.push(Member { path, name, follow: false });
            }
        }
    }
    if found.is_empty() {
        return Err(refused(folder, "it is a folder without files"));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Files that the caller chose, with their names below a folder.
pub(super) fn chosen(base: &Path, files: &[PathBuf]) -> Result<Vec<Member>> {
    let mut found = Vec::with_capacity(files.len());
    for path in files {
        let below =
            path.strip_prefix(base).map_err(|_| refused(path, format!("it is not below {}", base.display())))?;
        let parts = below.components().map(|part| utf8(path, part.as_os_str().to_str())).collect::<Result<Vec<_>>>()?;
        found.push(Member { path: path.clone(), name: parts.join("/"), follow: true });
    }
    if found.is_empty() {
        return Err(refused(base, "no files were chosen below it"));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn utf8<'a>(path: &Path, name: Option<&'a str>) -> Result<&'a str> {
    name.ok_or_else(|| refused(path, "its name is not UTF-8"))
}
