//! Processes as the system tells of them: which machine and start this is, who is whose child, and what a run left behind.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

/// The variable that marks every process of a run with the run's id.
pub const RUN_VARIABLE: &str = "LINEAGE_RUN";
/// Processes that a command left behind get so long to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether they have.
const POLL: Duration = Duration::from_millis(10);
/// Processes that start others faster than they are killed are given up after so many rounds.
const ROUNDS_MAX: usize = 50;

/// A process that outlived its command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) pid: u32,
    /// Its name, as the system shortens it.
    pub(crate) name: String,
}

/// The start of this machine, different after each boot; empty where the system does not tell.
pub(crate) fn boot_id() -> String {
    static BOOT: OnceLock<String> = OnceLock::new();
    let read = || fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
    BOOT.get_or_init(read).clone()
}

/// When a process started, in ticks since boot: with the process id it names one process for ever.
pub(crate) fn start_ticks(pid: u32) -> Option<u64> {
    stat_fields(pid)?.get(19)?.parse().ok()
}

/// The fields of a process after its name; the first is its state.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn name_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// Whether a process carries the mark of a run.
fn is_of_run(pid: u32, run: &str) -> bool {
    mark_of(pid).is_some_and(|mark| mark == run.as_bytes())
}

/// Whether a process carries the mark of a run or of one of its steps.
fn is_of_whole_run(pid: u32, run: &str) -> bool {
    let rest = mark_of(pid).and_then(|mark| Some(mark.strip_prefix(run.as_bytes())?.to_owned()));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
}

/// The run whose mark a process carries.
fn mark_of(pid: u32) -> Option<Vec<u8>> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|b| *b == 0);
    variables
        .find_map(|variable| variable.strip_prefix(RUN_VARIABLE.as_bytes())?.strip_prefix(b"="))
        .map(<[u8]>::to_owned)
}

fn is_alive(pid: u32) -> bool {
    stat_fields(pid).is_some_and(|fields| fields.first().is_some_and(|state| !matches!(state.as_str(), "Z" | "X")))
}

/// The children of this process: none is lost, as orphans of its descendants come to it.
fn children() -> Vec<u32> {
    let mut found = Vec::new();
    for thread in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(list) => found.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok())),
            // A kernel that lists no children still tells parents.
            Err(_) => return processes().filter(|pid| parent(*pid) == Some(own())).collect(),
        }
    }
    found
}

fn own() -> u32 {
    getpid().as_raw_nonzero().get() as u32
}

fn parent(pid: u32) -> Option<u32> {
    stat_fields(pid)?.get(1)?.parse().ok()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
}

/// Every process of the system with the mark of a run or of its steps, but for this one.
fn marked(run: &str) -> Vec<u32> {
    processes().filter(|pid| *pid != own() && is_of_whole_run(*pid, run) && is_alive(*pid)).collect()
}

/// Waits while a process is becoming another program, as it shows no environment for that instant.
fn wait_for_program(pid: u32) {
    let has_none = || fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|arguments| arguments.is_empty());
    for _ in 0..ROUNDS_MAX {
        if !has_none() || !is_alive(pid) {
            return;
        }
        std::thread::sleep(POLL);
    }
}

/// What a command left behind: children of this process that carry the mark of its run.
pub(crate) fn left_behind(run: &str) -> Vec<Left> {
    let children = children().into_iter().inspect(|pid| wait_for_program(*pid));
    let pids = children.filter(|pid| is_of_run(*pid, run) && is_alive(*pid));
    pids.map(|pid| Left { pid, name: name_of(pid) }).collect()
}

/// Ends what a command left behind; everything that is gone then.
pub(crate) fn end_left_behind(run: &str) -> Vec<Left> {
    let mut ended: Vec<Left> = Vec::new();
    for round in 0..ROUNDS_MAX {
        let left = left_behind(run);
        if left.is_empty() {
            break;
        }
        let pids: Vec<u32> = left.iter().map(|left| left.pid).collect();
        // Their own children come to this process when they end, and are met in the next round.
        end(&pids, if round == 0 { Signal::TERM } else { Signal::KILL });
        ended.extend(left.into_iter().filter(|left| !ended.iter().any(|e| e.pid == left.pid)).collect::<Vec<_>>());
    }
    ended
}

fn end(pids: &[u32], signal: Signal) {
    for pid in pids {
        send(*pid, signal);
    }
    let until = Instant::now() + GRACE;
    while pids.iter().any(|pid| !is_gone(*pid)) && Instant::now() < until {
        std::thread::sleep(POLL);
    }
    pids.iter().filter(|pid| !is_gone(**pid)).for_each(|pid| send(*pid, Signal::KILL));
}

/// Whether a process has ended; takes its status if it is a child.
fn is_gone(pid: u32) -> bool {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It is a child that nothing else waits for, or no child.
        waitpid(Some(pid), WaitOptions::NOHANG).ok();
    }
    !is_alive(pid)
}

pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended in between.
        kill_process(pid, signal).ok();
    }
}

/// Kills every process of a run whose runner is dead; how many there were.
pub(crate) fn kill_marked(run: &str) -> usize {
    let (mut killed, mut n_empty) = (0, 0);
    for _ in 0..ROUNDS_MAX {
        let pids = marked(run);
        killed += pids.len();
        end(&pids, Signal::KILL);
        n_empty = if pids.is_empty() { n_empty + 1 } else { 0 };
        if n_empty > 1 {
            break;
        }
        // A process that is becoming another program shows no environment for an instant.
        std::thread::sleep(POLL);
    }
    killed
}
