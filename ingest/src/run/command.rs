//! The command itself: started, passed through, watched, waited for, and its end told in shell terms.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Instant;

use super::cgroup;
use super::control::Message;
use super::keeper::Keeper;
use super::log::{LogWriter, Written};
use super::process::{self, Left, RUN_VARIABLE};
use super::secret::Secrets;
use super::stream::{Audience, Streams, pass};
use super::terminal::{Raw, pass_typed};
use super::watch::{Cause, Target, Watch};
use super::{EXIT_RUNNER, RunSpec};
use crate::capture::{self, Exit, External, Launch, StartError, Started, Trace, Usage};

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself, with a code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// It never ran: the code of shells (126 or 127), or that of the runner, and why.
    NotStarted(i32, String),
}

impl Ended {
    /// The exit code as shells give it.
    pub(super) fn code(&self) -> i32 {
        match self {
            Self::Code(code) | Self::NotStarted(code, _) => *code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// Everything that is known of a command when it has ended.
pub(super) struct Finished {
    pub(super) ended: Ended,
    pub(super) usage: Option<Usage>,
    /// Why it was ended from outside, if it was.
    pub(super) cause: Option<Cause>,
    /// Processes that it left behind, and whether they were ended.
    pub(super) left: Vec<Left>,
    pub(super) logs: Vec<Written>,
    pub(super) trace: Option<Trace>,
}

impl Finished {
    fn not_started(code: i32, why: String) -> Self {
        let ended = Ended::NotStarted(code, why);
        Self { ended, usage: None, cause: None, left: Vec::new(), logs: Vec::new(), trace: None }
    }
}

impl Finished {
    /// Adds what the command told of itself to what was observed of it.
    pub(super) fn add_externals(&mut self, externals: Vec<External>) {
        if let Some(trace) = &mut self.trace {
            trace.externals = externals;
        }
    }
}

/// Runs a command to its end; `live` is where its logs grow, without which it speaks to nobody but ours.
pub(super) fn run(
    spec: &RunSpec,
    extra: Vec<(OsString, OsString)>,
    live: Option<&Path>,
    secrets: &Secrets,
    audience: Option<Audience<'_>>,
) -> Finished {
    let opened = Streams::open(audience.filter(|_| live.is_some()));
    // When `stop` is dropped, whoever looks at `stopped` sees it.
    let (streams, stopped, stop) = match opened.and_then(|streams| Ok((streams, io::pipe()?))) {
        Ok((streams, (stopped, stop))) => (streams, stopped, stop),
        Err(error) => return Finished::not_started(EXIT_RUNNER, format!("its streams cannot be opened: {error}")),
    };
    let Streams { stdin, stdout, stderr, group, taps, terminal, types } = streams;
    // What it leaves behind is to be seen; where that cannot be, nothing is looked for.
    capture::become_subreaper().ok();
    let mut env = spec.variables.clone();
    env.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
    env.extend(extra);
    env.push((RUN_VARIABLE.into(), spec.run_id.clone().into()));
    let mut launch = Launch::new(spec.argv.clone(), spec.cwd.clone(), env);
    (launch.stdin, launch.stdout, launch.stderr) = (stdin, stdout, stderr);
    (launch.group, launch.mode) = (group, spec.mode);
    (launch.workspace, launch.rules) = (spec.workspace_root.clone(), spec.rules.clone());
    launch.document.clone_from(&spec.document);
    launch.reads.clone_from(&spec.redirected.input);
    launch.writes.clone_from(&spec.redirected.output);

    // Without one the next command does its work.
    let keeper = spec.keeper.as_ref().and_then(|program| Keeper::start(program, &spec.run_id).ok());
    let oom_before = cgroup::oom_kills();
    let began = Instant::now();
    let mut started = match capture::start(&launch) {
        Ok(started) => started,
        Err(error) => {
            keeper.into_iter().for_each(Keeper::dismiss);
            return not_started(spec, &error);
        }
    };
    // The command alone may hold its ends, or nobody would see them close.
    drop(launch);
    let target = Target { pid: started.pid(), group, run: &spec.run_id };
    let (sender, messages) = channel();
    spec.control.running(sender.clone());
    let raw = terminal.as_ref().filter(|_| types).and(spec.standard.as_ref());
    // Without raw mode the command still runs, with the echo of two terminals.
    let raw = raw.and_then(|standard| Raw::enter(&standard.input).ok());
    let watch = Watch::new(target, spec.timeout, spec.grace).with_terminal(terminal.as_ref(), raw.as_ref());

    let (exit, left, cause, logs) = std::thread::scope(|scope| {
        let watching = scope.spawn(move || watch.until_end(&messages));
        let passing: Vec<_> = taps
            .into_iter()
            .map(|tap| {
                let log = live.map(|live| LogWriter::new(live, tap.name, secrets, began, spec.log_bytes_max));
                let stopped = &stopped;
                scope.spawn(move || {
                    let mut log = log?;
                    pass(tap, &mut log, stopped);
                    Some(log.finish())
                })
            })
            .collect();
        let keys = sender.clone();
        if let (Some(raw), Some((ours, _))) = (&raw, &terminal) {
            let stopped = &stopped;
            scope.spawn(move || pass_typed(raw, ours, stopped, &keys));
        }
        let exit = started.wait();
        spec.control.ending();
        sender.send(Message::Ended).ok();
        let cause = watching.join().unwrap_or_default();
        let left =
            if spec.detach { process::left_behind(&spec.run_id) } else { process::end_left_behind(&spec.run_id) };
        drop(stop);
        let logs = passing.into_iter().filter_map(|pass| pass.join().ok().flatten()).collect();
        (exit, left, cause, logs)
    });
    drop(raw);
    keeper.into_iter().for_each(Keeper::dismiss);
    finished(started, exit, left, cause, logs, oom_before)
}

fn finished(
    started: Started,
    exit: io::Result<Exit>,
    left: Vec<Left>,
    cause: Option<Cause>,
    logs: Vec<Written>,
    oom_before: Option<u64>,
) -> Finished {
    let trace = Some(started.finish());
    let (ended, usage) = match exit {
        Ok(exit) => match (exit.status.code(), exit.status.signal()) {
            (Some(code), _) => (Ended::Code(code), Some(exit.usage)),
            (None, signal) => (Ended::Signal(signal.unwrap_or_default()), Some(exit.usage)),
        },
        // Only if someone else took the child's status away, as an ignored SIGCHLD does.
        Err(error) => (Ended::NotStarted(EXIT_RUNNER, format!("its end could not be observed: {error}")), None),
    };
    let ran_out = matches!((oom_before, cgroup::oom_kills()), (Some(before), Some(after)) if after > before);
    let was_killed = ended.code() == 128 + 9;
    let cause = cause.or(match ended {
        _ if ran_out && was_killed => Some(Cause::OutOfMemory),
        Ended::Signal(signal) if !is_own_fault(signal) => Some(Cause::Signal(signal)),
        _ => None,
    });
    Finished { ended, usage, cause, left, logs, trace }
}

/// Signals that a program brings upon itself: a bad access, an abort, a write to a closed pipe, a limit of its own.
fn is_own_fault(signal: i32) -> bool {
    use rustix::process::Signal;
    let own = [
        Signal::SEGV,
        Signal::BUS,
        Signal::ILL,
        Signal::FPE,
        Signal::ABORT,
        Signal::TRAP,
        Signal::SYS,
        Signal::PIPE,
        Signal::XCPU,
        Signal::XFSZ,
        Signal::ALARM,
    ];
    own.iter().any(|own| own.as_raw() == signal)
}

fn not_started(spec: &RunSpec, error: &StartError) -> Finished {
    let program = spec.argv.first().map(|program| program.to_string_lossy()).unwrap_or_default();
    match error {
        StartError::Exec(error) if error.kind() == io::ErrorKind::NotFound => {
            Finished::not_started(127, format!("{program}: command not found"))
        }
        StartError::Exec(error) => Finished::not_started(126, format!("{program}: cannot be executed: {error}")),
        error => Finished::not_started(EXIT_RUNNER, error.to_string()),
    }
}
