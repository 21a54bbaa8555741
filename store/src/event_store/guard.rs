//! Sled behind a guard: its folder is locked before it is opened, and its panics are errors.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

use crate::error::{Result, StoreError};

/// Sled's own threads may hold its file for a moment after it was closed, and remove files by their names.
const RELEASE_WAIT: Duration = Duration::from_secs(2);
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Trees {
    pub(super) db: sled::Db,
    /// Blocks that stay, by first position.
    pub(super) blocks: sled::Tree,
    /// Blocks of the tail, by their turn.
    pub(super) tail: sled::Tree,
    /// Where the blocks of the tail begin and end: one small value.
    pub(super) marks: sled::Tree,
    /// The lines behind the last block, by their turn.
    pub(super) slots: sled::Tree,
}

fn beside(dir: &Path, ending: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    dir.with_file_name(name)
}

/// Our own lock, beside the folder: what is done before sled opens it needs one, too.
pub(super) fn lock(dir: &Path) -> Result<Option<File>> {
    let path = beside(dir, ".lock");
    let file = match OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if cannot_write(&error) => return Ok(None),
        Err(error) => return Err(StoreError::io("open", &path)(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path)(error)),
    }
}

/// Waits until no sled has the folder; `false` if one still does, which is no damage.
pub(super) fn is_released(dir: &Path) -> Result<bool> {
    let (start, path) = (Instant::now(), dir.join("db"));
    loop {
        let db = match File::open(&path) {
            Ok(db) => db,
            Err(error) if error.kind() == io::ErrorKind::NotFound || cannot_write(&error) => return Ok(true),
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        };
        match db.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if start.elapsed() < RELEASE_WAIT => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path)(error)),
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

pub(super) fn cannot_write(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

/// Opens sled after moving a half-written snapshot aside, which would make it refuse for ever.
pub(super) fn open_guarded(dir: &Path) -> Result<Trees> {
    fs::create_dir_all(dir).map_err(StoreError::io("create", dir))?;
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let path = entry.map_err(StoreError::io("list", dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            let aside = beside(dir, ".half-snapshot");
            fs::rename(&path, &aside).map_err(StoreError::io("rename", &path))?;
        }
    }
    guarded(dir, || {
        let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let db = config.mode(sled::Mode::HighThroughput).open()?;
        let (blocks, tail) = (db.open_tree("blocks")?, db.open_tree("tail")?);
        let (marks, slots) = (db.open_tree("marks")?, db.open_tree("slots")?);
        Ok(Trees { db, blocks, tail, marks, slots })
    })
}

/// Renames a damaged folder; only the newest one is kept.
pub(super) fn set_aside(dir: &Path) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let mut newest = 0;
    let parent = dir.parent().unwrap_or(dir);
    let prefix = beside(dir, ".damaged-").file_name().unwrap_or_default().to_string_lossy().into_owned();
    for entry in fs::read_dir(parent).map_err(StoreError::io("list", parent))? {
        let path = entry.map_err(StoreError::io("list", parent))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(n) = name.strip_prefix(&prefix).and_then(|n| n.parse::<u64>().ok()) {
            newest = newest.max(n);
            fs::remove_dir_all(&path).map_err(StoreError::io("remove", &path))?;
        }
    }
    fs::rename(dir, beside(dir, &format!(".damaged-{}", newest + 1))).map_err(StoreError::io("rename", dir))
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Calls sled. It panics on damage that it does not expect, which is an error like any other here.
pub(super) fn guarded<T>(dir: &Path, call: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                others(info);
            }
        }));
    });
    let quiet = QUIET.replace(true);
    let done = catch_unwind(AssertUnwindSafe(call));
    QUIET.set(quiet);
    match done {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => Err(StoreError::io("use", dir)(error)),
        Ok(Err(error)) => Err(StoreError::corrupt(dir, 0, format!("sled: {error}"))),
        Err(_) => Err(StoreError::corrupt(dir, 0, "sled gave up on what it read")),
    }
}
