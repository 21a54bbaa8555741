//! The folder of checkpoints: the newest in a small file of two slots, and the kept ones each in a file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::Invalid;
use super::checkpoint::SignedCheckpoint;
use super::tree::Hash;
use crate::digest::{sha256, to_hex};
use crate::error::{Result, StoreError};
use crate::time::Time;

/// One sector, so that a torn write leaves a slot as it was or as it is to be.
const SLOT_BYTES: usize = 512;
const ENDING: &str = "checkpoint";
/// The file of what was verified last.
const VERIFIED: &str = "verified";

/// A place in the folder that holds no checkpoint that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCheckpoint {
    /// The file.
    pub file: PathBuf,
    /// Where in the file.
    pub offset: u64,
    /// Why.
    pub what: Invalid,
}

/// A checkpoint that is stored, its signature not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The file.
    pub file: PathBuf,
    /// Where in the file.
    pub offset: u64,
    /// The checkpoint.
    pub signed: SignedCheckpoint,
}

/// A tree whose every byte was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The number of events.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
    /// When.
    pub time: Time,
}

impl Verified {
    /// One line, the start of its SHA-256 at the end.
    fn text(&self) -> String {
        let body = format!("lineage-verified 1 {} {} {}", self.size, self.root, self.time);
        let check = to_hex(&sha256(&[body.as_bytes()])[..4]);
        format!("{body} {check}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace().skip(2);
        let size = words.next()?.parse().ok()?;
        let root = Hash::from_base64(words.next()?)?;
        let time = words.next()?.parse().ok()?;
        let verified = Self { size, root, time };
        (verified.text() == text).then_some(verified)
    }
}

/// The checkpoints of a store.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    dir: PathBuf,
}

impl Checkpoints {
    /// The checkpoints in a folder.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The file of the newest checkpoint.
    pub fn latest_path(&self) -> PathBuf {
        self.dir.join("latest")
    }

    /// The file of a kept checkpoint.
    pub fn kept_path(&self, size: u64) -> PathBuf {
        self.dir.join(format!("{size:012}.{ENDING}"))
    }

    /// The lock of those who grow the tree and sign; `None` while another process has it.
    pub(super) fn lock(&self) -> Result<Option<File>> {
        let path = self.dir.join("lock");
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(StoreError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path)(error)),
        }
    }

    /// What the slots hold, each with its offset: nothing, a checkpoint, or what cannot be read.
    fn slots(&self) -> Result<[Slot; 2]> {
        let path = self.latest_path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok([Slot::Empty, Slot::Empty]),
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        if bytes.len() != 2 * SLOT_BYTES {
            let what = format!("it has {} bytes, not {}", bytes.len(), 2 * SLOT_BYTES);
            return Ok([Slot::Bad(Invalid(what)), Slot::Empty]);
        }
        let (even, odd) = bytes.split_at(SLOT_BYTES);
        Ok([Slot::read(even), Slot::read(odd)])
    }

    /// The newest checkpoint that was published, its signature not checked; an error if none can be read.
    pub fn latest(&self) -> Result<Option<SignedCheckpoint>> {
        let slots = self.slots()?;
        let bad = slots.iter().find_map(|slot| if let Slot::Bad(what) = slot { Some(what.clone()) } else { None });
        let good = slots.into_iter().filter_map(Slot::good).max_by_key(SignedCheckpoint::size);
        match (good, bad) {
            (None, Some(what)) => Err(StoreError::corrupt(self.latest_path(), 0, what.to_string())),
            (good, _) => Ok(good),
        }
    }

    /// Publishes the newest checkpoint over the older of the two; no sync: it states what is durable already.
    pub(super) fn publish(&self, checkpoint: &SignedCheckpoint) -> Result<()> {
        let path = self.latest_path();
        let slots = self.slots()?;
        let rank = |slot: &Slot| match slot {
            Slot::Bad(_) => None,
            Slot::Empty => Some(0),
            Slot::Good(checkpoint) => Some(checkpoint.size() + 1),
        };
        let older = usize::from(rank(&slots[1]) < rank(&slots[0]));
        let text = checkpoint.to_string();
        if text.len() > SLOT_BYTES {
            return Err(StoreError::corrupt(&path, 0, "a checkpoint does not fit its slot"));
        }
        let mut slot = [b'\n'; SLOT_BYTES];
        slot[..text.len()].copy_from_slice(text.as_bytes());
        let file = OpenOptions::new().write(true).open(&path);
        let file = match file {
            Ok(file) if file.metadata().is_ok_and(|m| m.len() == 2 * SLOT_BYTES as u64) => file,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::io("open", &path)(error)),
            _ => self.create_latest()?,
        };
        file.write_all_at(&slot, (older * SLOT_BYTES) as u64).map_err(StoreError::io("write", &path))
    }

    fn create_latest(&self) -> Result<File> {
        let path = self.latest_path();
        // Whoever dies meanwhile leaves no empty file under the name.
        let new = path.with_extension("new");
        let file = File::create(&new).map_err(StoreError::io("create", &new))?;
        file.write_all_at(&[b'\n'; 2 * SLOT_BYTES], 0).map_err(StoreError::io("write", &new))?;
        file.sync_all().map_err(StoreError::io("sync", &new))?;
        fs::rename(&new, &path).map_err(StoreError::io("rename", &new))?;
        self.sync_folder()?;
        Ok(file)
    }

    /// The checkpoint of a size that was kept, its signatures not checked; an error if it cannot be read.
    pub fn kept(&self, size: u64) -> Result<Option<SignedCheckpoint>> {
        let path = self.kept_path(size);
        match fs::read_to_string(&path) {
            Ok(text) => match SignedCheckpoint::parse(&text) {
                Ok(signed) => Ok(Some(signed)),
                Err(error) => Err(StoreError::corrupt(&path, 0, error.to_string())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }

    /// Keeps a checkpoint in a file of its own, durably; one of the same size is replaced.
    pub fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<PathBuf> {
        let path = self.kept_path(checkpoint.size());
        self.write(&path, checkpoint.to_string().as_bytes())?;
        Ok(path)
    }

    /// Keeps the answer of a time-stamping authority about the checkpoint of a size, durably.
    pub fn keep_stamp(&self, size: u64, answer: &[u8]) -> Result<PathBuf> {
        let path = self.kept_path(size).with_extension("tsr");
        self.write(&path, answer)?;
        Ok(path)
    }

    /// Writes a file of the folder as a whole, durably.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let new = path.with_extension("new");
        let mut file = File::create(&new).map_err(StoreError::io("create", &new))?;
        file.write_all(bytes).map_err(StoreError::io("write", &new))?;
        file.sync_all().map_err(StoreError::io("sync", &new))?;
        fs::rename(&new, path).map_err(StoreError::io("rename", &new))?;
        self.sync_folder()
    }

    fn sync_folder(&self) -> Result<()> {
        let folder = File::open(&self.dir).map_err(StoreError::io("open", &self.dir))?;
        folder.sync_all().map_err(StoreError::io("sync", &self.dir))
    }

    /// Every checkpoint that is stored, by size, and every place that holds none that can be read.
    pub fn all(&self) -> Result<(Vec<StoredCheckpoint>, Vec<BadCheckpoint>)> {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        let path = self.latest_path();
        for (slot, offset) in self.slots()?.into_iter().zip([0, SLOT_BYTES as u64]) {
            match slot {
                Slot::Empty => {}
                Slot::Good(signed) => good.push(StoredCheckpoint { file: path.clone(), offset, signed: *signed }),
                Slot::Bad(what) => bad.push(BadCheckpoint { file: path.clone(), offset, what }),
            }
        }
        for file in self.kept_files()? {
            let bytes = fs::read(&file).map_err(StoreError::io("read", &file))?;
            let text = String::from_utf8(bytes).map_err(|_| Invalid("it is no UTF-8".to_owned()));
            match text.and_then(|text| SignedCheckpoint::parse(&text)) {
                Ok(signed) if self.kept_path(signed.size()) == file => {
                    good.push(StoredCheckpoint { file, offset: 0, signed });
                }
                Ok(signed) => {
                    let what = Invalid(format!("it holds the checkpoint of {} events", signed.size()));
                    bad.push(BadCheckpoint { file, offset: 0, what });
                }
                Err(what) => bad.push(BadCheckpoint { file, offset: 0, what }),
            }
        }
        good.sort_by_key(|stored| stored.signed.size());
        Ok((good, bad))
    }

    /// What the last verification that found everything good came to; `None` if there was none.
    pub fn verified(&self) -> Result<Option<Verified>> {
        let path = self.dir.join(VERIFIED);
        match fs::read_to_string(&path) {
            // It only spares work, so one that cannot be read is none.
            Ok(text) => Ok(Verified::parse(&text)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => Ok(None),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }

    /// Keeps what a verification that found everything good came to.
    pub fn set_verified(&self, size: u64, root: Hash, time: Time) -> Result<()> {
        let path = self.dir.join(VERIFIED);
        let text = Verified { size, root, time }.text();
        fs::write(&path, text).map_err(StoreError::io("write", &path))
    }

    /// The time stamps that are kept, each with the size of its checkpoint.
    pub fn stamps(&self) -> Result<Vec<(u64, PathBuf)>> {
        let files = self.files_ending("tsr")?.into_iter();
        let sized = files.filter_map(|file| Some((file.file_stem()?.to_str()?.parse().ok()?, file)));
        Ok(sized.collect())
    }

    fn kept_files(&self) -> Result<Vec<PathBuf>> {
        self.files_ending(ENDING)
    }

    fn files_ending(&self, ending: &str) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("list", &self.dir)(error)),
        };
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|found| found == ending))
            .collect();
        files.sort_unstable();
        Ok(files)
    }
}

/// One half of the file of the newest checkpoint: a note, filled up with newlines.
enum Slot {
    Empty,
    Good(Box<SignedCheckpoint>),
    Bad(Invalid),
}

impl Slot {
    fn read(bytes: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(bytes) else { return Self::Bad(Invalid("it is no UTF-8".to_owned())) };
        let body = text.trim_end_matches('\n');
        if body.is_empty() {
            return Self::Empty;
        }
        match SignedCheckpoint::parse(&text[..(body.len() + 1).min(text.len())]) {
            Ok(checkpoint) => Self::Good(Box::new(checkpoint)),
            Err(what) => Self::Bad(what),
        }
    }

    fn good(self) -> Option<SignedCheckpoint> {
        if let Self::Good(checkpoint) = self { Some(*checkpoint) } else { None }
    }
}
