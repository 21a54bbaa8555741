//! Backups: the truth of a store as plain copies, without keys; and stores made from them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::keys::sync_folder;
use super::{Erased, Keys, copy};
use crate::digest::Blake3;
use crate::error::{Result, StoreError};
use crate::event::{Event, Kind, Leaf, prepare};
use crate::layout::{FOLDERS, Layout};
use crate::store::{Appended, Store, read_leaf};
use crate::time::Time;

/// What tells what a folder is.
const MANIFEST: &str = "backup.json";
/// The format of backups.
const SCHEMA: &str = "lineage.backup/1";
/// The parts that are no copies of others and hold nothing of waiting or refused input.
const PARTS: [&str; 4] = ["artifacts", "payloads", "tiles", "checkpoints"];
/// How long a backup waits for writers.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// What was backed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Number of events.
    pub events: u64,
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Values that stand outside of events; without the keys nobody can read them.
    pub payloads: u64,
    /// Keys that were written to a file of their own; `None`: none were asked for.
    pub keys: Option<u64>,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Number of events of the backup.
    pub events: u64,
    /// Later erasures that were recorded again.
    pub erasures: u64,
    /// What they, and those of the backup, took away.
    pub erased: Erased,
    /// Keys that were taken over.
    pub keys: u64,
    /// Values that nothing can read: their keys are not here, and no erasure covers them.
    pub unreadable: u64,
}

/// Copies a store into a new folder; `keys_file`: the keys go there, apart.
pub fn backup(store: &Store, keys: &Keys, out: &Path, keys_file: Option<&Path>) -> Result<BackedUp> {
    if out.exists() && fs::read_dir(out).map_err(StoreError::io("list", out))?.next().is_some() {
        return Err(StoreError::io("write to", out)(std::io::ErrorKind::DirectoryNotEmpty.into()));
    }
    let layout = Layout::new(&out.join("store"));
    fs::create_dir_all(layout.root()).map_err(StoreError::io("create", out))?;
    let mut copied = copy::Copied::default();
    let mut add = |more: copy::Copied| {
        copied = copy::Copied { files: copied.files + more.files, bytes: copied.bytes + more.bytes };
    };
    let whole = |name: &str| !matches!(name, "tmp" | "lock");
    // While the lock is held nothing is appended, so that every value which the journal names is there.
    let lock = store.journal().lock(LOCK_TIMEOUT)?;
    let count = lock.count();
    let plain = |name: &str| {
        Path::new(name).extension().is_none_or(|e| e != "new") && !matches!(name, "lock" | "reserve" | "cut")
    };
    add(copy::folder(store.journal().dir(), &layout.part("journal"), &plain)?);
    for part in PARTS {
        add(copy::folder(&store.layout().part(part), &layout.part(part), &whole)?);
    }
    drop(lock);
    copy::file(&store.layout().config(), &layout.config())?;
    let mut payloads = 0;
    store.payloads().list(&mut |_, _| payloads += 1)?;
    let n_keys = match keys_file {
        None => None,
        Some(path) => Some(write_keys(keys, path)?),
    };
    let last = count.checked_sub(1).map(|last| store.journal().get(last)).transpose()?;
    let manifest = json!({
        "events": count,
        "last": last.map(|record| Blake3::of(&record.leaf).to_string()),
        "payloads": payloads,
        "schema": SCHEMA,
    });
    let path = out.join(MANIFEST);
    fs::write(&path, format!("{manifest}\n")).map_err(StoreError::io("write", &path))?;
    sync_folder(out)?;
    Ok(BackedUp { events: count, files: copied.files + 2, bytes: copied.bytes, payloads, keys: n_keys })
}

fn write_keys(keys: &Keys, path: &Path) -> Result<u64> {
    let text = keys.export()?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(StoreError::io("create", path))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(StoreError::io("write", path))?;
    Ok(text.lines().count() as u64)
}

/// Makes a store from a backup; `keys`: the text of a file of keys; `erasures`: events as [`erasures_of`] gives them.
///
/// `chance` is random; `now` is when later erasures are recorded again.
pub fn restore(
    from: &Path,
    root: &Path,
    keys: Option<&str>,
    erasures: &str,
    chance: [u8; 32],
    now: Time,
) -> Result<(Store, Restored)> {
    let events = read_manifest(&from.join(MANIFEST))?;
    let layout = Layout::new(root);
    if layout.config().exists() {
        return Err(StoreError::StoreExists { path: root.to_owned() });
    }
    let source = Layout::new(&from.join("store"));
    for part in ["journal"].into_iter().chain(PARTS) {
        copy::folder(&source.part(part), &layout.part(part), &|_| true)?;
    }
    for name in FOLDERS {
        let folder = layout.part(name);
        fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
    }
    let folder = layout.part("artifacts").join("tmp");
    fs::create_dir_all(&folder).map_err(StoreError::io("create", &folder))?;
    let lock = layout.part("journal").join("lock");
    OpenOptions::new().create(true).append(true).open(&lock).map_err(StoreError::io("create", &lock))?;
    make_keys_folder(&layout.part("keys"))?;
    // The settings come last: without them there is no store yet.
    copy::file(&source.config(), &layout.config())?;
    sync_folder(root)?;
    let store = Store::open(root)?;
    let count = store.head()?.count;
    if count != events {
        let what = format!("the backup says that it has {events} events, its journal has {count}");
        return Err(StoreError::corrupt(from.join(MANIFEST), 0, what));
    }
    let ring = Keys::new(&layout.part("keys"), chance);
    let n_keys = keys.map(|text| ring.import(text)).transpose()?.unwrap_or(0);
    let n_erasures = replay(&store, erasures, &ring, now)?;
    let erased = store.finish_erasures(&ring)?;
    let unreadable = store.missing(&ring)?.len() as u64;
    let restored = Restored { events, erasures: n_erasures, erased, keys: n_keys, unreadable };
    Ok((store, restored))
}

fn make_keys_folder(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(StoreError::io("create", folder))
}

fn read_manifest(path: &Path) -> Result<u64> {
    let text = fs::read_to_string(path).map_err(StoreError::io("read", path))?;
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    if value["schema"] != SCHEMA {
        return Err(StoreError::corrupt(path, 0, format!("it is no backup of the format {SCHEMA}")));
    }
    value["events"].as_u64().ok_or_else(|| StoreError::corrupt(path, 0, "it does not say how many events there are"))
}

/// The erasures of a store, an event a line, to be given to a later restore of an older backup.
pub fn erasures_of(store: &Store) -> Result<String> {
    let mut text = String::new();
    for (position, _) in store.erasures()? {
        let record = store.journal().get(position)?;
        let (event, id, _) = read_leaf(&record.leaf, false)?;
        let args: Value = serde_json::from_str(event.args.json().as_str()).unwrap_or_default();
        let line = json!({
            "v": 1, "kind": "erase", "id": id, "actor": event.actor, "namespace": event.namespace,
            "time": event.time.map(|time| time.to_string()), "args": args,
        });
        text.push_str(&line.to_string());
        text.push('\n');
    }
    Ok(text)
}

/// Records erasures that the backup has not; how many those were.
fn replay(store: &Store, erasures: &str, keys: &Keys, now: Time) -> Result<u64> {
    let mut known = std::collections::HashSet::new();
    for (position, _) in store.erasures()? {
        let record = store.journal().get(position)?;
        let (event, id, _) = read_leaf(&record.leaf, false)?;
        known.insert((event.namespace, id));
    }
    let mut count = 0;
    for line in erasures.lines().filter(|line| !line.trim().is_empty()) {
        let event = Event::parse(line.as_bytes(), "restore")?;
        let id = event.id.clone().unwrap_or_default();
        if event.kind != Kind::Erase || !known.insert((event.namespace.clone(), id.clone())) {
            continue;
        }
        let leaf = Leaf::new(&event, &id);
        let appended = store.append(prepare(event, leaf.as_bytes(), &[], keys)?, now)?;
        count += appended.iter().filter(|a| matches!(a, Appended::Recorded(_))).count() as u64;
    }
    Ok(count)
}
