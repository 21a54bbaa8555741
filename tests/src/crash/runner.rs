//! Runners that are killed: each run of which anything was acknowledged has one end after the next command, and nothing
//! of it lives on.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::random::Random;
use crate::sandbox::{Ran, Sandbox};

/// Marks every process of a command that is run here, whatever it does with its parents and groups.
const MARK: &str = "LINEAGE_CRASH_MARK";
/// A store is used for so many kills, then a new one is begun.
const KILLS_PER_STORE: u64 = 50;
/// A process that is killed is gone from the list of processes within so long.
const GONE: Duration = Duration::from_secs(5);

/// What came of the kills; `wrong` must stay empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Runners that were killed while they lived.
    pub kills: u64,
    /// Runners that had ended before the kill.
    pub ended: u64,
    /// Of those that were killed: runs that the next command recorded as orphaned.
    pub orphaned: u64,
    /// Runs that had told their end although the runner was killed.
    pub complete: u64,
    /// Runs that never began, so nothing of them is recorded.
    pub unborn: u64,
    /// Processes of killed runners that lived on until the next command.
    pub survivors: u64,
    /// What was wrong, in words.
    pub wrong: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, ended, orphaned, complete, unborn, survivors, wrong } = self;
        write!(
            f,
            "{kills} kills ({ended} runners were faster): {orphaned} orphaned, {complete} had told their end, {unborn} \
             had not begun; {survivors} processes survived until the next command; {} wrong",
            wrong.len()
        )?;
        wrong.iter().take(20).try_for_each(|what| write!(f, "\n  {what}"))
    }
}

/// Kills runners at random moments until so many were killed.
pub fn run(kills: u64, seed: u64, progress: &mut dyn FnMut(&Figures)) -> Figures {
    let mut random = Random::new(seed);
    let mut figures = Figures::default();
    while figures.kills < kills && figures.wrong.is_empty() {
        one_store(kills.min(figures.kills + KILLS_PER_STORE), &mut random, &mut figures);
        progress(&figures);
    }
    figures
}

fn one_store(until: u64, random: &mut Random, figures: &mut Figures) {
    let sandbox = Sandbox::new();
    let mark = format!("{}-{:016x}", std::process::id(), random.number());
    // How long a whole run takes here says which moments there are.
    let began = Instant::now();
    Ran::of(&mut command(&sandbox, &mark, 0, 20)).done();
    let whole = began.elapsed().as_micros() as usize;
    for n in 1.. {
        if figures.kills >= until {
            break;
        }
        let busy = random.below(60);
        let mut child = command(&sandbox, &mark, n, busy).spawn().unwrap();
        // Now and then another runner goes on beside it, and must not be harmed.
        let beside = random.one_in(4).then(|| command(&sandbox, &mark, n + 1_000_000, 30).spawn().unwrap());
        std::thread::sleep(Duration::from_micros(random.below(whole * 5 / 4) as u64));
        let killed = kill(&mut child);
        let beside = beside.map(|mut child| child.wait().unwrap().code());
        // Before any command is called.
        figures.survivors += left_after(&mark).len() as u64;
        next_command(&sandbox, random).done();
        check(&sandbox, n, killed, figures);
        if let Some(code) = beside {
            check(&sandbox, n + 1_000_000, None, figures);
            if code != Some(0) {
                figures.wrong.push(format!("the runner beside run {n} ended with {code:?}"));
            }
        }
        let left = left_after(&mark);
        if !left.is_empty() {
            figures.wrong.push(format!("after run {n} processes live on: {left:?}"));
        }
    }
    let ran = sandbox.run(["verify"]);
    if ran.code != 0 {
        figures.wrong.push(ran.to_string());
    }
    let litter: Vec<_> = fs::read_dir(sandbox.store().join("runs")).unwrap().flatten().map(|e| e.path()).collect();
    if !litter.is_empty() {
        figures.wrong.push(format!("left in runs/: {litter:?}"));
    }
}

/// A run whose command says that it began, has a child and a daemon, and writes a file.
fn command(sandbox: &Sandbox, mark: &str, n: u64, busy_ms: usize) -> Command {
    let script = format!(
        "echo > began-{n}; echo began; (sleep 600 & exec setsid sleep 600 &); sleep 0.{busy_ms:03}; echo > out-{n}"
    );
    let name = format!("k-{n}");
    let output = format!("artifact:out-{n}=out-{n}");
    let mut command =
        sandbox.command(["run", "--secret", "WORD", "--name", &name, "-o", &output, "--", "sh", "-c", &script]);
    command.env(MARK, mark).env("WORD", "swordfish").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Kills a process at once; its exit code, if it had ended by itself.
fn kill(child: &mut Child) -> Option<i32> {
    // It may have ended in between.
    child.kill().ok();
    child.wait().unwrap().code()
}

/// A command that may write, of whatever kind.
fn next_command(sandbox: &Sandbox, random: &mut Random) -> Ran {
    let commands: [&[&str]; 4] = [
        &["ps"],
        &["run", "--name", "next", "--", "true"],
        &["ingest", "/dev/null"],
        &["add", "artifact", "x", ".lineage/config.toml"],
    ];
    sandbox.run(commands[random.below(commands.len())])
}

/// Checks what is recorded of one run; `code` is that of a runner that ended by itself.
fn check(sandbox: &Sandbox, n: u64, code: Option<i32>, figures: &mut Figures) {
    let states = states(sandbox, &format!("k-{n}"));
    let began = sandbox.path().join(format!("began-{n}")).exists();
    let n_ends = states.values().flatten().filter(|state| *state != "start").count();
    let mut say = |what: &str| figures.wrong.push(format!("run {n}: {what}; recorded is {states:?}"));
    if states.len() > 1 {
        say("it is recorded as several runs");
    }
    if began && states.is_empty() {
        say("its command ran, but its start is not recorded");
    }
    if !states.is_empty() && n_ends != 1 {
        say("it has not exactly one end");
    }
    let is = |word: &str| states.values().flatten().any(|state| state == word);
    if code == Some(0) && !is("complete") {
        say("it had told its end, which is not recorded");
    }
    if code.is_some_and(|code| code != 0) {
        say(&format!("its runner ended with {code:?}"));
    }
    if code.is_some() {
        figures.ended += u64::from(n < 1_000_000);
        return;
    }
    if n >= 1_000_000 {
        return;
    }
    figures.kills += 1;
    match () {
        () if states.is_empty() => figures.unborn += 1,
        () if is("abort") => figures.orphaned += 1,
        () => figures.complete += 1,
    }
}

/// The states that are recorded of the runs of a job, by the ids of the runs.
fn states(sandbox: &Sandbox, job: &str) -> BTreeMap<String, Vec<String>> {
    let log = sandbox.run(["log", "--limit", "0", "--json"]);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in log.done().lines() {
        let event = serde_json::from_str::<Value>(line).unwrap()["event"].take();
        if event["job"] == job {
            let word = |key: &str| event[key].as_str().unwrap_or("complete").to_owned();
            found.entry(word("run")).or_default().push(word("state"));
        }
    }
    found
}

/// Processes that carry a mark.
fn alive(mark: &str) -> Vec<String> {
    let mark = format!("{MARK}={mark}").into_bytes();
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()) {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        if environment.split(|b| *b == 0).any(|variable| variable == mark) {
            found.push(fs::read_to_string(process.join("comm")).unwrap_or_default().trim().to_owned());
        }
    }
    found
}

/// Processes that are not gone although they were killed; they get some time to leave the list.
fn left_after(mark: &str) -> Vec<String> {
    let until = Instant::now() + GONE;
    loop {
        let left = alive(mark);
        if left.is_empty() || Instant::now() > until {
            return left;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
