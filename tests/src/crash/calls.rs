//! Faults at single system calls, injected by strace: death at each one of them, and disks that fail to sync.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use super::check::{Checked, Figures};
use super::{Ack, Job, Running};
use crate::{strace, walk};

/// The calls that change a disk, and the lock.
pub const CALLS: [&str; 11] = [
    "pwrite64",
    "write",
    "fdatasync",
    "fsync",
    "rename",
    "unlink",
    "ftruncate",
    "mkdir",
    "flock",
    "sync_file_range",
    "link",
];
/// No single writer makes more calls of one name than this.
const CALLS_MAX: usize = 400;

fn job(root: &Path, source: String, threads: usize) -> Job {
    Job { root: root.to_owned(), source, threads, count: 3, busy: true }
}

fn under_strace(job: &Job, crash: &Path, injection: &str, folder: &Path) -> Command {
    let mut command = strace::command(injection, &folder.join("trace"), crash);
    job.arguments(&mut command);
    command
}

/// A store that a crash left with a torn tail behind its head, sealed segments and a filled sled.
fn crashed(crash: &Path, root: &Path) -> Vec<Ack> {
    let mut checked = Checked::create(root, 1);
    let (said, well) = Running::start(Job { count: 60, ..job(root, "before".to_owned(), 2) }.command(crash)).end();
    assert!(well, "{said:?}");
    checked.after(said.acks.clone());
    assert!(checked.figures.is_good(), "{}", checked.figures);
    let log = walk::files_ending(&root.join("journal"), ".log").pop().unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    bytes.extend_from_slice(b"121 00000000 - {\"v\":1,\"kind\":\"tra");
    std::fs::write(&log, bytes).unwrap();
    said.acks
}

/// Kills a writer at each call of a name, twice in a row, while it opens, appends, seals and closes.
pub fn die_at_each(crash: &Path, call: &str, step: usize) -> Figures {
    let folder = tempfile::Builder::new().prefix("lineage-calls-").tempdir().unwrap();
    let prepared = folder.path().join("prepared");
    let before = crashed(crash, &prepared);
    let mut total = Figures::default();
    for n in (1..CALLS_MAX).step_by(step) {
        let root = folder.path().join("store");
        walk::copy(&prepared, &root);
        let mut acks = before.clone();
        let mut killed = false;
        for (name, at) in [("first", n), ("second", 1 + n / 2)] {
            let injection = format!("{call}:signal=KILL:when={at}");
            let job = job(&root, name.to_owned(), 1);
            let mut running = Running::start(under_strace(&job, crash, &injection, folder.path()));
            let status = running.child.wait().unwrap();
            killed |= status.signal() == Some(9);
            acks.extend(running.end().0.acks);
        }
        let mut checked = Checked::of(&root, n as u64);
        checked.after(acks);
        checked.finish();
        checked.figures.cycles += u64::from(killed);
        for what in &mut checked.figures.wrong {
            *what = format!("{call} {n}: {what}");
        }
        total.add(checked.figures);
        std::fs::remove_dir_all(&root).unwrap();
        if !killed {
            break;
        }
    }
    total
}

/// What came of a disk that failed to sync.
#[derive(Debug, Default)]
pub struct Failed {
    /// Whether a writer met the failure.
    pub met: bool,
    /// What was found afterwards.
    pub figures: Figures,
}

/// Lets the `n`th `fdatasync` of each thread fail: nothing is acknowledged that began after it, and all else is there.
pub fn fail_to_sync(crash: &Path, n: usize, threads: usize) -> Failed {
    let folder = tempfile::Builder::new().prefix("lineage-calls-").tempdir().unwrap();
    let root = folder.path().join("store");
    let mut checked = Checked::create(&root, n as u64);
    let job = Job { count: 40, busy: false, ..job(&root, "eio".to_owned(), threads) };
    let injection = format!("fdatasync:error=EIO:when={n}");
    let (said, well) = Running::start(under_strace(&job, crash, &injection, folder.path())).end();
    let trace = std::fs::read_to_string(folder.path().join("trace")).unwrap_or_default();
    let injected = trace.contains("(INJECTED)");
    checked.figures.wrong.extend(said.bad);
    if injected && (well || said.errors.is_empty()) {
        checked.figures.wrong.push(format!("fdatasync {n} failed and nobody said so"));
    }
    if trace.is_empty() {
        checked.figures.wrong.push("nothing was synced".to_owned());
    }
    checked.after(said.acks);
    checked.finish();
    Failed { met: injected, figures: checked.figures }
}
