//! Keys: one of the store and one of each subject, each a small file whose removal makes unreadable what it sealed.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::cipher::{KEY_ID_BYTES, key_id};
use crate::digest::{from_hex, to_hex};
use crate::error::{Result, StoreError};

/// The file of the key that signs checkpoints, which backups keep as it is.
const LOG_KEY: &str = "log.key";
/// The name of the key of values without a subject.
const STORE_KEY: &str = "store";
/// The folder of the keys of subjects.
const SUBJECTS: &str = "subjects";
/// The first words of a key file, with the version of its format.
const HEAD: &str = "lineage-key 1 ";

/// A key of 32 bytes, with the id by which sealed bytes name it.
#[derive(Clone)]
pub(crate) struct Key {
    bytes: [u8; 32],
    id: [u8; KEY_ID_BYTES],
}

impl Key {
    fn new(bytes: [u8; 32]) -> Self {
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&blake3::derive_key("lineage 1 key id", &bytes)[..KEY_ID_BYTES]);
        Self { bytes, id }
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    pub(super) fn id(&self) -> &[u8] {
        &self.id
    }

    /// A digest of bytes that tells nothing about them to who has no key.
    pub(crate) fn digest(&self, bytes: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.bytes, bytes).as_bytes()
    }
}

/// The keys of a store. Those that are missing are made when something is to be sealed under them.
#[derive(Clone)]
pub struct Keys {
    shared: Arc<Shared>,
}

struct Shared {
    /// `None`: keys are in memory only.
    folder: Option<PathBuf>,
    chance: [u8; 32],
    /// How many keys were made: a subject that comes back after its erasure has another key.
    made: AtomicU64,
    /// Of values without a subject, which is never removed; those of subjects are looked for each time.
    store: Mutex<Option<Key>>,
    memory: Mutex<HashMap<String, Key>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never a key.
        write!(f, "Keys({:?})", self.shared.folder)
    }
}

impl Keys {
    /// The keys in a folder; touches nothing. `chance` is random, of this process, and seeds new keys and nonces.
    pub fn new(folder: &Path, chance: [u8; 32]) -> Self {
        Self::of(Some(folder.to_owned()), chance)
    }

    /// Keys that are kept nowhere, made from a seed; for tests.
    pub fn of_seed(seed: [u8; 32]) -> Self {
        Self::of(None, seed)
    }

    fn of(folder: Option<PathBuf>, chance: [u8; 32]) -> Self {
        Self {
            shared: Arc::new(Shared {
                folder,
                chance,
                made: AtomicU64::new(0),
                store: Mutex::default(),
                memory: Mutex::default(),
            }),
        }
    }

    /// What nonces are made from.
    pub(crate) fn chance(&self) -> &[u8; 32] {
        &self.shared.chance
    }

    /// The key of a subject, or that of the store; made if there is none.
    pub(crate) fn key(&self, subject: Option<&str>) -> Result<Key> {
        let mut store = self.shared.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let (None, Some(key)) = (subject, &*store) {
            return Ok(key.clone());
        }
        let key = match self.find(subject)? {
            Some(key) => key,
            None => self.make(subject)?,
        };
        if subject.is_none() {
            *store = Some(key.clone());
        }
        Ok(key)
    }

    /// The key of a subject, or that of the store, if there is one.
    pub(crate) fn find(&self, subject: Option<&str>) -> Result<Option<Key>> {
        let name = name_of(subject);
        let Some(path) = self.path(&name) else {
            return Ok(self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned());
        };
        match fs::read_to_string(&path) {
            Ok(text) => {
                parse(&text).map(Some).ok_or_else(|| StoreError::corrupt(&path, 0, "it is no key of this format"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }

    /// Whether a subject has a key.
    pub fn has(&self, subject: &str) -> Result<bool> {
        self.find(Some(subject)).map(|key| key.is_some())
    }

    /// Whether sealed bytes were sealed under the key that a subject has now.
    pub(crate) fn opens(&self, subject: &str, sealed: &[u8]) -> bool {
        self.find(Some(subject)).ok().flatten().is_some_and(|key| key_id(sealed) == Some(key.id()))
    }

    fn make(&self, subject: Option<&str>) -> Result<Key> {
        let name = name_of(subject);
        let made = self.shared.made.fetch_add(1, Ordering::Relaxed);
        let mut hasher = blake3::Hasher::new_keyed(&self.shared.chance);
        hasher.update(b"lineage 1 key").update(&made.to_le_bytes()).update(name.as_bytes());
        let key = Key::new(*hasher.finalize().as_bytes());
        let Some(path) = self.path(&name) else {
            self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(name, key.clone());
            return Ok(key);
        };
        Self::write(&name, &path, &key)?;
        // Another process may have been first; what is there counts.
        self.find(subject)?.ok_or_else(|| StoreError::corrupt(&path, 0, "the key was removed while it was made"))
    }

    /// Writes a key that is not there, durable when this returns; leaves one alone that is.
    fn write(name: &str, path: &Path, key: &Key) -> Result<()> {
        let folder = path.parent().unwrap_or(path);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(StoreError::io("create", folder))?;
        let temporary = folder.join(format!("{name}.{}.new", to_hex(&key.id)));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
        let mut file = file.map_err(StoreError::io("create", &temporary))?;
        let text = format!("{HEAD}{}\n", to_hex(&key.bytes));
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(StoreError::io("write", &temporary))?;
        // A link, unlike a rename, replaces nothing.
        let linked = fs::hard_link(&temporary, path);
        fs::remove_file(&temporary).map_err(StoreError::io("remove", &temporary))?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(StoreError::io("create", path)(error)),
            _ => sync_folder(folder),
        }
    }

    /// Destroys the key of a subject: overwritten, removed, and the folder synced; `false` if there was none.
    ///
    /// A disk that writes elsewhere than it is told, or a snapshot below us, may still hold the old bytes.
    pub(super) fn remove(&self, subject: &str) -> Result<bool> {
        let name = name_of(Some(subject));
        let Some(path) = self.path(&name) else {
            return Ok(self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(&name).is_some());
        };
        let mut file = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        };
        let zeros = vec![b'0'; HEAD.len() + 64];
        let overwritten = file.write_all(&zeros).and_then(|()| file.sync_all());
        overwritten.map_err(StoreError::io("overwrite", &path))?;
        fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        sync_folder(path.parent().unwrap_or(&path)).map(|()| true)
    }

    /// Every key as a line of text: its name, a space, and 64 hex digits.
    pub(super) fn export(&self) -> Result<String> {
        let mut text = String::new();
        let Some(folder) = &self.shared.folder else { return Ok(text) };
        let mut names = vec![STORE_KEY.to_owned()];
        let log = folder.join(LOG_KEY);
        match fs::read(&log) {
            Ok(bytes) => text.extend([LOG_KEY, " ", &to_hex(&bytes), "\n"]),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("read", &log)(error)),
        }
        let subjects = folder.join(SUBJECTS);
        match fs::read_dir(&subjects) {
            Ok(entries) => {
                for entry in entries {
                    let name = entry.map_err(StoreError::io("list", &subjects))?.file_name();
                    names.extend(name.to_str().filter(|name| !name.contains('.')).map(|n| format!("{SUBJECTS}/{n}")));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("list", &subjects)(error)),
        }
        names.sort();
        for name in names {
            let path = file_of(folder, &name);
            if let Some(key) = fs::read_to_string(&path).ok().as_deref().and_then(parse) {
                text.extend([name.as_str(), " ", &to_hex(&key.bytes), "\n"]);
            }
        }
        Ok(text)
    }

    /// Takes keys over that were exported; those that are there stay.
    pub(super) fn import(&self, text: &str) -> Result<u64> {
        let Some(folder) = &self.shared.folder else { return Ok(0) };
        let wrong = |n: usize| StoreError::corrupt("the file of keys", n as u64, "this is no line of a key");
        let mut count = 0;
        for (n, line) in text.lines().enumerate() {
            let (name, hex) = line.split_once(' ').ok_or_else(|| wrong(n))?;
            if let (LOG_KEY, Some(bytes)) = (name, from_hex(hex.as_bytes())) {
                put_log_key(&folder.join(LOG_KEY), &bytes)?;
                count += 1;
                continue;
            }
            let subject = name.strip_prefix("subjects/");
            let is_name =
                name == STORE_KEY || subject.is_some_and(|s| s.len() == 64 && from_hex(s.as_bytes()).is_some());
            let bytes = from_hex(hex.as_bytes()).and_then(|b| <[u8; 32]>::try_from(b).ok());
            let (true, Some(bytes)) = (is_name, bytes) else { return Err(wrong(n)) };
            Self::write(subject.unwrap_or(name), &file_of(folder, name), &Key::new(bytes))?;
            count += 1;
        }
        Ok(count)
    }

    /// Where a key is kept; `None`: in memory.
    fn path(&self, name: &str) -> Option<PathBuf> {
        self.shared.folder.as_ref().map(|folder| match name {
            STORE_KEY => file_of(folder, name),
            name => file_of(folder, &format!("{SUBJECTS}/{name}")),
        })
    }
}

/// Writes the key that signs checkpoints; leaves one alone that is there.
fn put_log_key(path: &Path, bytes: &[u8]) -> Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let written = file.write_all(bytes).and_then(|()| file.sync_all());
            written.map_err(StoreError::io("write", path))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::io("create", path)(error)),
    }
}

fn file_of(folder: &Path, name: &str) -> PathBuf {
    if name == STORE_KEY { folder.join("store.key") } else { folder.join(name) }
}

/// The name of the file of a key: no name from outside becomes a path.
fn name_of(subject: Option<&str>) -> String {
    subject.map_or_else(|| STORE_KEY.to_owned(), |s| to_hex(&blake3::derive_key("lineage 1 subject", s.as_bytes())))
}

fn parse(text: &str) -> Option<Key> {
    let hex = text.strip_prefix(HEAD)?.strip_suffix('\n')?;
    Some(Key::new(from_hex(hex.as_bytes())?.try_into().ok()?))
}

pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync", folder))
}
