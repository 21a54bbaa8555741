//! The ledger: for each file that a step names, how it was before and what the step did with it.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use lineage_store::artifact::{Artifacts, Stamp, Stored};

use super::hashing::{self, Hashing, INLINE_BYTES_MAX, Pending};
use super::role::Role;
use super::trace::{Access, Read};

/// Files above this size are not hashed while the step waits to rewrite them.
const PRE_IMAGE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The most files that are kept of one step.
const FILES_MAX: usize = 2_000_000;
/// The most files that are looked for below a folder that was moved as a whole.
const MOVED_MAX: usize = 100_000;

/// A digest, at hand or on its way.
#[derive(Clone, Debug)]
enum Digest {
    Known(Box<Stored>),
    Pending(Pending),
    /// It is made at the end if the marks are still the same.
    Later,
}

#[derive(Clone, Debug)]
struct FirstRead {
    stamp: Stamp,
    digest: Digest,
}

/// What is known of one path.
#[derive(Clone, Debug)]
struct Seen {
    role: Role,
    task: u32,
    alias: Option<PathBuf>,
    /// The marks when the step first named it; `None` if it was not there.
    before: Option<Stamp>,
    read: Option<FirstRead>,
    /// Opened for writing, renamed to, or linked.
    written: bool,
    removed: bool,
    executed: bool,
}

/// A file as a call names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub(super) path: &'a Path,
    pub(super) alias: Option<&'a Path>,
    pub(super) role: Role,
    pub(super) task: u32,
    /// What is there now.
    pub(super) metadata: Option<&'a Metadata>,
}

/// What the ledger comes to.
#[derive(Debug, Default)]
pub(super) struct Balance {
    pub(super) accesses: Vec<Access>,
    pub(super) n_temps: u64,
    /// Files whose bytes before a rewrite are not known.
    pub(super) n_lost: u64,
}

/// Every file of a step, by its path.
#[derive(Debug)]
pub(super) struct Ledger {
    files: HashMap<PathBuf, Seen>,
    /// Folders that were renamed: from, to.
    moved: Vec<(PathBuf, PathBuf)>,
    hashing: Hashing,
    pub(super) n_lost: u64,
    pub(super) n_dropped: u64,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { files: HashMap::new(), moved: Vec::new(), hashing: Hashing::new(), n_lost: 0, n_dropped: 0 }
    }

    fn seen(&mut self, named: Named<'_>) -> Option<&mut Seen> {
        if !self.files.contains_key(named.path) {
            if self.files.len() >= FILES_MAX {
                self.n_dropped += 1;
                return None;
            }
            let seen = Seen {
                role: named.role,
                task: named.task,
                alias: named.alias.map(Path::to_owned),
                before: named.metadata.map(Stamp::of),
                read: None,
                written: false,
                removed: false,
                executed: false,
            };
            self.files.insert(named.path.to_owned(), seen);
        }
        self.files.get_mut(named.path)
    }

    /// Whether a path was read already and not touched since.
    pub(super) fn is_read(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(|seen| seen.read.is_some() && !seen.written)
    }

    /// The step is about to read a file that is there; whether it can be.
    pub(super) fn read(&mut self, named: Named<'_>) -> bool {
        let Some(metadata) = named.metadata else { return false };
        let known = self.files.get(named.path);
        // What the step made itself is none of its inputs.
        if known.is_some_and(|seen| seen.read.is_some() || seen.written) {
            return true;
        }
        let Some(first) = self.identify(named.path, metadata) else { return false };
        if let Some(seen) = self.seen(named) {
            seen.read = Some(first);
        }
        true
    }

    /// The marks and, if that is quick, the digests of a file before it is read; `None` for who may not read it.
    fn identify(&mut self, path: &Path, metadata: &Metadata) -> Option<FirstRead> {
        let stamp = Stamp::of(metadata);
        // Whoever may not open it fails here as the step will.
        let file = hashing::open(path).ok()?;
        let digest = if metadata.len() <= INLINE_BYTES_MAX {
            hashing::hash_open(&file, stamp).map(|stored| Digest::Known(Box::new(stored)))
        } else {
            self.hashing.begin(file, stamp).map(Digest::Pending)
        };
        Some(FirstRead { stamp, digest: digest.unwrap_or(Digest::Later) })
    }

    /// The step runs a file.
    pub(super) fn execute(&mut self, named: Named<'_>) {
        if self.read(named)
            && let Some(seen) = self.seen(named)
        {
            seen.executed = true;
            if seen.role == Role::Data {
                seen.role = Role::Code;
            }
        }
    }

    /// The step is about to write a file; `keeps` says whether old bytes can stay in it.
    pub(super) fn write(&mut self, named: Named<'_>, keeps: bool) {
        if keeps && named.metadata.is_some() {
            self.read(named);
        }
        self.secure(named.path);
        if let Some(seen) = self.seen(named) {
            seen.written = true;
        }
    }

    /// Makes sure that the digest of a file that was read is known before its bytes or its name change.
    fn secure(&mut self, path: &Path) {
        let Some(Seen { read: Some(first), written: false, .. }) = self.files.get_mut(path) else { return };
        let outcome = match &first.digest {
            Digest::Known(_) => return,
            Digest::Pending(pending) => pending.wait(),
            Digest::Later => {
                let now = || fs::metadata(path).ok();
                let small = now().is_some_and(|metadata| metadata.len() <= PRE_IMAGE_BYTES_MAX);
                let stored = small.then(|| Artifacts::hash_path(path).ok().filter(|stored| !stored.unstable)).flatten();
                stored.filter(|_| now().is_some_and(|metadata| Stamp::of(&metadata) == first.stamp))
            }
        };
        match outcome {
            Some(stored) => first.digest = Digest::Known(Box::new(stored)),
            None => self.n_lost += 1,
        }
    }

    /// The step is about to remove a name.
    pub(super) fn remove(&mut self, named: Named<'_>) {
        if named.metadata.is_none() {
            return;
        }
        self.secure(named.path);
        if let Some(seen) = self.seen(named) {
            seen.removed = true;
        }
    }

    /// The step is about to give a file another name, or a second one.
    pub(super) fn rename(&mut self, from: Named<'_>, to: Named<'_>, stays: bool) {
        let Some(metadata) = from.metadata else { return };
        if metadata.is_dir() {
            if !stays {
                self.moved.push((from.path.to_owned(), to.path.to_owned()));
            }
            return;
        }
        if metadata.is_file() {
            self.read(from);
        }
        if !stays {
            self.remove(from);
        }
        self.secure(to.path);
        if let Some(seen) = self.seen(to) {
            seen.written = true;
        }
    }

    /// A link to another path is made under this name.
    pub(super) fn link(&mut self, to: Named<'_>) {
        if let Some(seen) = self.seen(to) {
            seen.written = true;
        }
    }

    /// Compares every file with how it was, and says what the step did.
    pub(super) fn balance(mut self) -> Balance {
        self.follow_moves();
        let mut balance = Balance { n_lost: self.n_lost, ..Balance::default() };
        let mut files: Vec<_> = self.files.drain().collect();
        files.sort_by(|a, b| a.0.cmp(&b.0));
        let mut inodes: HashMap<(u64, u64), usize> = HashMap::new();
        for (path, seen) in files {
            let now = fs::symlink_metadata(&path).ok();
            let there = now.as_ref().filter(|now| now.is_file());
            let stamp = there.map(Stamp::of);
            let changed = seen.written && stamp.is_some() && stamp != seen.before;
            if now.is_none() && seen.before.is_none() {
                balance.n_temps += u64::from(seen.written || seen.removed);
                continue;
            }
            let own = seen.written || seen.removed;
            let read = seen.read.as_ref().map(|first| settle(&path, first, stamp, own));
            let deleted = seen.removed && now.is_none();
            if read.is_none() && !changed && !deleted {
                continue;
            }
            // A second name of bytes that were read already is no second input.
            if !changed && !deleted {
                let key = now.as_ref().map(|now| (now.dev(), now.ino()));
                if let Some(first) = key.and_then(|key| inodes.get(&key).copied()) {
                    let access: &mut Access = &mut balance.accesses[first];
                    access.alias.get_or_insert(path);
                    access.executed |= seen.executed;
                    continue;
                }
                if let Some(key) = key {
                    inodes.insert(key, balance.accesses.len());
                }
            }
            balance.accesses.push(Access {
                path,
                alias: seen.alias,
                role: seen.role,
                task: seen.task,
                read,
                written: changed,
                deleted,
                executed: seen.executed,
            });
        }
        balance
    }

    /// Files below a folder that was renamed have new names.
    fn follow_moves(&mut self) {
        for (from, to) in std::mem::take(&mut self.moved) {
            if from.exists() || !to.is_dir() {
                continue;
            }
            let below: Vec<PathBuf> = self.files.keys().filter(|path| path.starts_with(&from)).cloned().collect();
            for path in below {
                if let (Some(seen), Ok(rest)) = (self.files.remove(&path), path.strip_prefix(&from)) {
                    let new = to.join(rest);
                    if seen.before.is_some() {
                        let gone = Seen { removed: true, ..seen.clone() };
                        self.files.insert(path.clone(), gone);
                    }
                    let moved = Seen { before: None, read: None, written: true, removed: false, ..seen };
                    self.files.entry(new).or_insert(moved);
                }
            }
            self.take_tree(&to);
        }
    }

    /// What was moved with its folder and never named by itself.
    fn take_tree(&mut self, folder: &Path) {
        let (mut folders, mut n) = (vec![folder.to_owned()], 0);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                n += 1;
                if n > MOVED_MAX {
                    self.n_dropped += 1;
                    return;
                }
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(kind) if kind.is_file() => {
                        let seen = Seen {
                            role: Role::Data,
                            task: 0,
                            alias: None,
                            before: None,
                            read: None,
                            written: true,
                            removed: false,
                            executed: false,
                        };
                        self.files.entry(entry.path()).or_insert(seen);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// What a first read came to: its digests, if the file is still as it was or was hashed before it changed.
fn settle(path: &Path, first: &FirstRead, now: Option<Stamp>, own: bool) -> Read {
    let same = now == Some(first.stamp);
    let stored = match &first.digest {
        Digest::Known(stored) => Some((**stored).clone()),
        Digest::Pending(pending) => pending.wait(),
        Digest::Later => None,
    };
    let stored = stored.or_else(|| same.then(|| Artifacts::hash_path(path).ok()).flatten());
    let after = if same || own { None } else { Artifacts::hash_path(path).ok() };
    // A file that was only touched has the same bytes.
    let touched = stored.as_ref().zip(after.as_ref()).is_some_and(|(a, b)| a.digest == b.digest);
    Read { stamp: first.stamp, stored, unstable: !same && !own && !touched, after: after.filter(|_| !touched) }
}
