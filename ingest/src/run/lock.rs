//! The lock of a run: held as long as its runner lives, so that anyone can tell that a runner is dead.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lineage_store::digest::Blake3;
use lineage_store::event::Kind;
use lineage_store::time::Time;
use serde::{Deserialize, Serialize};

use super::process;

/// The folder of runs that have not ended, below that of the store.
pub const RUNS_FOLDER: &str = "runs";
/// The ending of lock files.
const LOCK: &str = "lock";
/// The ending of lock files that are not complete yet.
const NEW: &str = "new";
/// How long a process that a dead runner was starting may still hold its lock.
const HEIR: Duration = Duration::from_millis(500);
/// How often it is looked whether it does.
const POLL: Duration = Duration::from_millis(2);
/// More is no lock file of ours.
const NOTE_BYTES_MAX: u64 = 64 * 1024;

/// Who runs what: what a later command needs to end a run whose runner is dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The id of the run.
    pub run: String,
    /// Its namespace.
    pub namespace: String,
    /// Its job.
    pub job: String,
    /// The word of its kind.
    pub kind: String,
    /// Who runs it.
    pub actor: String,
    /// When it was started.
    pub started: String,
    /// The command in one line, without secrets.
    pub command: String,
    /// A file outside of the store that is to be removed at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<String>,
    /// The machine: a name that tells it from others and nothing else.
    pub host: String,
    /// The start of that machine.
    pub boot: String,
    /// The process id of the runner.
    pub pid: u32,
    /// When that process started, in ticks since boot.
    pub pid_start: Option<u64>,
}

impl Note {
    /// The kind of the run.
    pub fn kind(&self) -> Kind {
        Kind::from_word(&self.kind).unwrap_or(Kind::Transform)
    }

    /// When it was started.
    pub fn started(&self) -> Option<Time> {
        self.started.parse().ok()
    }
}

/// The name of the files of a run. Ids of our own stay as they are; others could name any path.
pub(super) fn stem(run: &str) -> String {
    let plain = !run.is_empty() && run.len() <= 64 && run.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain { run.to_owned() } else { Blake3::of(run.as_bytes()).hex() }
}

/// Where what a run says is kept while it runs.
pub(crate) fn live_folder(runs: &Path, run: &str) -> PathBuf {
    runs.join(stem(run))
}

/// The lock of a run of this process; the kernel frees it when the process ends, in whatever way.
#[derive(Debug)]
pub(crate) struct RunLock {
    _file: File,
    path: PathBuf,
    folder: PathBuf,
}

impl RunLock {
    /// Takes the lock of a new run, durably.
    pub(crate) fn take(runs: &Path, note: &Note) -> io::Result<Self> {
        fs::create_dir_all(runs)?;
        let path = runs.join(format!("{}.{LOCK}", stem(&note.run)));
        let file = match write(&path, note) {
            // Another command swept the file in the instant before it was locked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => write(&path, note)?,
            result => result?,
        };
        File::open(runs)?.sync_all()?;
        let folder = live_folder(runs, &note.run);
        fs::create_dir_all(&folder)?;
        Ok(Self { _file: file, path, folder })
    }

    /// The name of the lock file.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Where logs grow.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The run has ended, and its end is durable.
    pub(crate) fn release(self) {
        // What is left of a folder is taken away by the next command.
        fs::remove_dir_all(&self.folder).ok();
        fs::remove_file(&self.path).ok();
    }
}

/// Whoever sees the name sees a whole note, under a lock.
fn write(path: &Path, note: &Note) -> io::Result<File> {
    let new = path.with_extension(NEW);
    let mut file = File::create_new(&new)?;
    file.try_lock().map_err(io::Error::from)?;
    let mut text = serde_json::to_vec(note)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    Ok(file)
}

/// A run that was begun and of which no end is known to this folder.
#[derive(Debug)]
pub enum Open {
    /// Its runner lives, or lives on another machine.
    Running(Note),
    /// Its runner is dead.
    Dead(Orphan),
}

/// A run whose runner is dead; its lock is held until this is dropped, so that one command ends it.
#[derive(Debug)]
pub struct Orphan {
    /// Who ran what.
    pub note: Note,
    /// When the runner was last known to live.
    pub last_seen: Option<Time>,
    file: File,
    path: PathBuf,
    folder: PathBuf,
}

impl Orphan {
    /// Where its logs are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its end is recorded: nothing of it is needed any more.
    pub fn forget(self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Only a file of the name that the runner gives; the note is no licence to remove others.
        let scratch = self.note.scratch.as_ref().map(Path::new);
        let ours = format!("lineage-{}.jsonl", stem(&self.note.run));
        if let Some(path) = scratch.filter(|path| path.file_name().is_some_and(|name| *name == *ours)) {
            fs::remove_file(path).ok();
        }
        fs::remove_file(&self.path)?;
        drop(self.file);
        Ok(())
    }
}

/// What a folder of locks says.
#[derive(Debug, Default)]
pub struct OpenRuns {
    /// The runs, by their start.
    pub runs: Vec<Open>,
    /// Lock files that cannot be read, with the reason.
    pub damaged: Vec<(PathBuf, String)>,
}

/// The runs that have a lock file. Costs one look at a folder that is mostly empty.
pub fn open_runs(runs: &Path, host: &str) -> io::Result<OpenRuns> {
    let entries = match fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(OpenRuns::default()),
        Err(error) => return Err(error),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut found = OpenRuns::default();
    for path in paths {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some(LOCK) => match look(runs, &path, host) {
                Ok(open) => found.runs.extend(open),
                Err(error) => found.damaged.push((path, error.to_string())),
            },
            Some(NEW) => sweep(&path),
            _ => {}
        }
    }
    found.runs.sort_by(|a, b| a.note().started.cmp(&b.note().started));
    Ok(found)
}

impl Open {
    /// Who runs what.
    pub fn note(&self) -> &Note {
        match self {
            Self::Running(note) | Self::Dead(Orphan { note, .. }) => note,
        }
    }
}

/// A lock file that its maker did not finish.
fn sweep(path: &Path) {
    // A maker that lives holds the lock, or takes it in an instant, misses the name and makes it again.
    if File::open(path).is_ok_and(|file| file.try_lock().is_ok()) {
        fs::remove_file(path).ok();
    }
}

fn look(runs: &Path, path: &Path, host: &str) -> io::Result<Option<Open>> {
    // A lock can also be taken on a file that is open for reading only, as in a store of somebody else.
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    (&mut file).take(NOTE_BYTES_MAX).read_to_string(&mut text)?;
    let note: Note = serde_json::from_str(&text)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("it is no note of a run: {error}")))?;
    let free = is_free(&file, &note)?;
    // The runner may have ended well in between and taken the name away.
    if file.metadata()?.nlink() == 0 {
        return Ok(None);
    }
    // A lock on another machine cannot be judged from here: shared folders lose locks when a connection breaks.
    if !free || note.host != host {
        return Ok(Some(Open::Running(note)));
    }
    let folder = live_folder(runs, &note.run);
    let last_seen = last_write(path, &folder);
    Ok(Some(Open::Dead(Orphan { note, last_seen, file, path: path.to_owned(), folder })))
}

/// Whether the lock of a run is free, and is ours now.
///
/// A runner that dies while it starts its command leaves a copy of the lock to a process that is about to die as well.
/// So where the runner itself is gone, a lock that is held is looked at for a while; it alone decides.
fn is_free(file: &File, note: &Note) -> io::Result<bool> {
    let until = Instant::now() + HEIR;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        let is_gone = process::boot_id() == note.boot && process::start_ticks(note.pid) != note.pid_start;
        if !is_gone || Instant::now() >= until {
            return Ok(false);
        }
        std::thread::sleep(POLL);
    }
}

/// When anything of a run was last written.
fn last_write(path: &Path, folder: &Path) -> Option<Time> {
    let logs = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let stamp = |path: PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some(Time(metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())))
    };
    logs.chain([path.to_owned()]).filter_map(stamp).max()
}

/// The name of this machine for notes: equal on every start, and no way back to what it is called.
pub fn host(key: &[u8; 32]) -> String {
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Blake3::keyed(key, format!("{}\n{name}", machine.trim()).as_bytes()).hex()[..16].to_owned()
}

/// What a note says of this process.
pub(crate) fn here() -> (String, u32, Option<u64>) {
    let pid = rustix::process::getpid().as_raw_nonzero().get() as u32;
    (process::boot_id(), pid, process::start_ticks(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(run: &str) -> Note {
        let (boot, pid, pid_start) = here();
        let word = |text: &str| text.to_owned();
        Note {
            run: word(run),
            namespace: word("default"),
            job: word("j"),
            kind: word("training"),
            actor: word("ana"),
            started: word("2026-11-20T12:00:00Z"),
            command: word("true"),
            scratch: None,
            host: word("h"),
            boot,
            pid,
            pid_start,
        }
    }

    fn list(runs: &Path, host: &str) -> Vec<Open> {
        let found = open_runs(runs, host).expect("a list");
        assert!(found.damaged.is_empty(), "{found:?}");
        found.runs
    }

    #[test]
    fn a_run_is_dead_when_its_lock_is_free() {
        let folder = tempfile::tempdir().expect("a folder");
        let runs = folder.path().join("runs");
        assert!(list(&runs, "h").is_empty());
        let lock = RunLock::take(&runs, &note("r-1")).expect("a lock");
        let found = list(&runs, "h");
        assert!(matches!(&found[..], [Open::Running(n)] if n.run == "r-1"), "{found:?}");
        // What the kernel does when the runner is killed.
        drop(lock);
        assert!(matches!(&list(&runs, "elsewhere")[..], [Open::Running(_)]));
        let mut found = list(&runs, "h");
        let Some(Open::Dead(orphan)) = found.pop() else { panic!("{found:?}") };
        assert!(orphan.last_seen.is_some() && orphan.note.kind() == Kind::Training);
        assert!(matches!(&list(&runs, "h")[..], [Open::Running(_)]), "one command ends it");
        orphan.forget().expect("forgotten");
        assert!(list(&runs, "h").is_empty());
        assert_eq!(fs::read_dir(&runs).expect("a folder").count(), 0);
    }

    #[test]
    fn a_run_that_ended_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = RunLock::take(folder.path(), &note("../../evil")).expect("a lock");
        assert!(lock.folder().parent() == Some(folder.path()), "no name from outside is a path");
        lock.release();
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn half_a_lock_file_is_swept() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("r-1.new"), "{\"run\"").expect("a file");
        assert!(list(folder.path(), "h").is_empty());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
