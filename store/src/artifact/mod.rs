//! Artifacts: the bytes of versions, kept once per content and checked whenever they are read.

mod manifest;
mod restore;
mod shelf;
mod source;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use manifest::{Entry, Manifest};
pub use shelf::Damage;
pub use source::Stamp;

use crate::digest::{Blake3, Hasher};
use crate::{Result, StoreError};
use shelf::Shelf;
use source::Member;
use stream::{Passed, Way};

/// What is known of bytes after they were hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The digest of the file, or of the manifest of several files.
    pub digest: Blake3,
    /// The SHA-256 of the same bytes, in hex.
    pub sha256: String,
    /// The bytes of the file, or of all files together.
    pub size: u64,
    /// The number of files, if this is a folder or several files.
    pub n_files: Option<u64>,
    /// Whether the bytes changed while they were hashed; never true for stored bytes.
    pub unstable: bool,
}

/// The artifact files of a store, addressed by their blake3 digest.
///
/// Any number of processes may write at once. Nothing is ever changed in place, and a file is
/// complete and durable before its name exists.
#[derive(Clone, Debug)]
pub struct Artifacts {
    shelf: Shelf,
}

impl Artifacts {
    /// Creates the folder of artifacts, or opens it if it is there.
    pub fn create(folder: &Path) -> Result<Self> {
        Ok(Self { shelf: Shelf::create(folder)? })
    }

    /// Opens the folder of artifacts; touches nothing, so that a read-only folder can be read.
    pub fn open(folder: &Path) -> Result<Self> {
        Ok(Self { shelf: Shelf::open(folder)? })
    }

    /// Stores one regular file; a symbolic link is followed.
    pub fn put_file(&self, path: &Path) -> Result<Stored> {
        let mut folders = BTreeSet::new();
        let stored = self.keep_file(path, true, &mut folders)?.0;
        shelf::sync(&folders)?;
        Ok(stored)
    }

    /// Stores a file, or a folder as one version; links, pipes and devices inside a folder are refused.
    pub fn put_path(&self, path: &Path) -> Result<Stored> {
        if source::is_folder(path)? {
            let members = source::members(path)?;
            let stored = self.put_members(&members)?;
            return if source::members(path)? == members { Ok(stored) } else { Err(source::changed(path)) };
        }
        self.put_file(path)
    }

    /// Stores several files as one version, named by their paths below `base`.
    pub fn put_many(&self, base: &Path, files: &[PathBuf]) -> Result<Stored> {
        self.put_members(&source::chosen(base, files)?)
    }

    /// Stores what a source gives, if its bytes have a digest; false if they have another, and nothing is kept then.
    pub fn put_expected(&self, digest: &Blake3, source: &mut dyn std::io::Read) -> Result<bool> {
        let mut folders = BTreeSet::new();
        // No file is so large: what is there already is written anew, as its bytes may be damaged.
        let kept =
            self.shelf.keep(digest, u64::MAX, &mut folders, &mut |out, name| source::drain(source, out, name))?;
        shelf::sync(&folders)?;
        Ok(kept)
    }

    /// Stores what a source gives, whatever its digest; nothing is kept if the source fails.
    pub fn put_from(&self, source: &mut dyn std::io::Read) -> Result<Stored> {
        let mut folders = BTreeSet::new();
        let mut known = None;
        self.shelf.keep_new(&mut folders, &mut |out, name| {
            Ok(known.insert(stream::pass(source, Way { name, with_sha256: true, out: Some(out) })?).digest)
        })?;
        shelf::sync(&folders)?;
        let Passed { digest, sha256, size } = known.unwrap_or_else(|| Passed::of(&[], true));
        Ok(Stored { digest, sha256, size, n_files: None, unstable: false })
    }

    /// The size of an artifact in bytes, if it is stored here; its bytes are not looked at.
    pub fn size(&self, digest: &Blake3) -> Option<u64> {
        self.shelf.size(digest)
    }

    /// Stores bytes from memory.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Stored> {
        let mut folders = BTreeSet::new();
        let stored = self.keep_bytes(bytes, &mut folders)?;
        shelf::sync(&folders)?;
        Ok(stored)
    }

    /// Hashes a file or folder as [`Self::put_path`] does, without storing it.
    pub fn hash_path(path: &Path) -> Result<Stored> {
        if !source::is_folder(path)? {
            return Ok(source::hash(path, true)?.stored);
        }
        let members = source::members(path)?;
        let mut stored = hash_members(&members)?;
        stored.unstable |= source::members(path)? != members;
        Ok(stored)
    }

    /// The blake3 digest of one regular file, for what is only to be recognized.
    pub fn digest_file(path: &Path) -> Result<Blake3> {
        let mut file = File::open(path).map_err(StoreError::io("open", path))?;
        shelf::read_through(&mut file, path, &mut |_| Ok(()))
    }

    /// Hashes several files as [`Self::put_many`] does, without storing them.
    pub fn hash_many(base: &Path, files: &[PathBuf]) -> Result<Stored> {
        hash_members(&source::chosen(base, files)?)
    }

    /// Restores a version to a path: a file, or a folder if the digest is that of a manifest.
    ///
    /// Everything is verified before the path appears. A file there is replaced, a folder must be empty.
    pub fn get(&self, digest: &Blake3, path: &Path) -> Result<()> {
        match self.manifest(digest)? {
            Some(manifest) => restore::folder(&self.shelf, &manifest, path),
            None => self.copy_to(digest, path),
        }
    }

    /// Restores the bytes of one artifact to a file, verified before the path appears.
    pub fn copy_to(&self, digest: &Blake3, path: &Path) -> Result<()> {
        restore::file(&self.shelf, digest, path)
    }

    /// Opens an artifact for reading after its bytes were verified.
    pub fn open_verified(&self, digest: &Blake3) -> Result<File> {
        self.shelf.open_verified(digest)
    }

    /// Reads a whole artifact, verified, if it is not larger than `limit`.
    pub fn read(&self, digest: &Blake3, limit: u64) -> Result<Vec<u8>> {
        self.shelf.read(digest, limit)
    }

    /// The manifest with a digest; `None` if the bytes of that digest are no manifest.
    pub fn manifest(&self, digest: &Blake3) -> Result<Option<Manifest>> {
        let mut file = self.shelf.open_file(digest)?;
        let path = self.shelf.path(digest);
        let mut head = Vec::with_capacity(manifest::HEAD.len());
        file.by_ref()
            .take(manifest::HEAD.len() as u64)
            .read_to_end(&mut head)
            .map_err(StoreError::io("read", &path))?;
        if head != manifest::HEAD {
            return Ok(None);
        }
        if file.metadata().map_err(StoreError::io("read", &path))?.len() > manifest::BYTES_MAX {
            return Ok(None);
        }
        Ok(Manifest::parse(&self.shelf.read(digest, manifest::BYTES_MAX)?))
    }

    /// Whether an artifact is stored here.
    pub fn contains(&self, digest: &Blake3) -> bool {
        self.shelf.size(digest).is_some()
    }

    /// Where the bytes of a digest are kept.
    pub fn path(&self, digest: &Blake3) -> PathBuf {
        self.shelf.path(digest)
    }

    /// Calls `each` with the digest and size of every artifact, in the order of their digests.
    pub fn list(&self, each: &mut dyn FnMut(Blake3, u64)) -> Result<()> {
        self.shelf.list(each, &mut |_| {})
    }

    /// Removes an artifact; false if it was not there. Whether anything needs it is for the caller to know.
    pub fn remove(&self, digest: &Blake3) -> Result<bool> {
        self.shelf.remove(digest)
    }

    /// Removes what crashed writers left behind, if last written before an instant.
    pub fn sweep(&self, before: std::time::SystemTime) -> Result<u64> {
        self.shelf.sweep(before)
    }

    /// Hashes everything again; `progress` gets the bytes read since its last call.
    pub fn verify_all(&self, progress: &mut dyn FnMut(u64)) -> Result<Vec<Damage>> {
        let mut damage = self.shelf.verify(progress)?;
        let mut candidates = Vec::new();
        self.list(&mut |digest, _| candidates.push(digest))?;
        for digest in candidates {
            let Ok(Some(manifest)) = self.manifest(&digest) else { continue };
            for entry in manifest.entries().iter().filter(|e| !self.contains(&e.digest)) {
                let what = format!("it lists {} ({}), which is not stored here", entry.path, entry.digest);
                damage.push(Damage { file: self.path(&digest), what });
            }
        }
        Ok(damage)
    }

    /// The bytes of all artifacts.
    pub fn size_on_disk(&self) -> Result<u64> {
        let mut total = 0;
        self.list(&mut |_, size| total += size)?;
        Ok(total)
    }

    fn put_members(&self, members: &[Member]) -> Result<Stored> {
        let mut folders = BTreeSet::new();
        let mut entries = Vec::with_capacity(members.len());
        for member in members {
            let (stored, executable) = self.keep_file(&member.path, member.follow, &mut folders)?;
            entries.push(member.entry(stored, executable));
        }
        // The files are durable before the manifest that names them exists.
        shelf::sync(&folders)?;
        let (manifest, bytes) = manifest_of(members, entries)?;
        Ok(Stored { size: manifest.size(), n_files: Some(manifest.entries().len() as u64), ..self.put_bytes(&bytes)? })
    }

    /// Hashes first and copies only what is new; the copy is hashed again, so what is kept is what was named.
    fn keep_file(&self, path: &Path, follow: bool, folders: &mut BTreeSet<PathBuf>) -> Result<(Stored, bool)> {
        let hashed = source::hash(path, follow)?;
        if hashed.stored.unstable {
            return Err(source::changed(path));
        }
        let Stored { digest, size, .. } = hashed.stored;
        let kept = self.shelf.keep(&digest, size, folders, &mut |out, name| source::copy(path, follow, out, name))?;
        if kept { Ok((hashed.stored, hashed.executable)) } else { Err(source::changed(path)) }
    }

    fn keep_bytes(&self, bytes: &[u8], folders: &mut BTreeSet<PathBuf>) -> Result<Stored> {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        let (digest, sha256, size) = hasher.finish();
        self.shelf.keep_bytes(&digest, bytes, folders)?;
        Ok(Stored { digest, sha256, size, n_files: None, unstable: false })
    }
}

fn hash_members(members: &[Member]) -> Result<Stored> {
    let mut entries = Vec::with_capacity(members.len());
    let mut unstable = false;
    for member in members {
        let hashed = source::hash(&member.path, member.follow)?;
        unstable |= hashed.stored.unstable;
        entries.push(member.entry(hashed.stored, hashed.executable));
    }
    let (manifest, bytes) = manifest_of(members, entries)?;
    let mut hasher = Hasher::default();
    hasher.update(&bytes);
    let (digest, sha256, _) = hasher.finish();
    Ok(Stored { digest, sha256, size: manifest.size(), n_files: Some(members.len() as u64), unstable })
}

fn manifest_of(members: &[Member], entries: Vec<Entry>) -> Result<(Manifest, Vec<u8>)> {
    let path = members.first().map(|m| m.path.clone()).unwrap_or_default();
    let manifest = Manifest::new(entries).map_err(|what| source::refused(&path, what))?;
    let bytes = manifest.to_bytes();
    if bytes.len() as u64 > manifest::BYTES_MAX {
        return Err(source::refused(&path, format!("{} files are too many for one version", members.len())));
    }
    Ok((manifest, bytes))
}
