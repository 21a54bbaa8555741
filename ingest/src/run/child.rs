//! The command itself: started with our own standard streams, waited for, its end told in shell terms.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself, with a code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// It never ran: the code of shells (126 or 127) and why.
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

/// Runs a command to its end; `pid` holds its process id while it runs, for whoever passes signals on.
pub(super) fn run(arguments: &[OsString], cwd: &Path, pid: &AtomicU32) -> Ended {
    let Some((program, arguments)) = arguments.split_first() else {
        return Ended::NotStarted(127, "no command was given".to_owned());
    };
    let mut child = match Command::new(program).args(arguments).current_dir(cwd).spawn() {
        Ok(child) => child,
        Err(error) => return not_started(&program.to_string_lossy(), &error),
    };
    pid.store(child.id(), Ordering::SeqCst);
    let status = child.wait();
    pid.store(0, Ordering::SeqCst);
    match status {
        Ok(status) => ended(status),
        // Only if someone else took the child's status away, as an ignored SIGCHLD does.
        Err(error) => Ended::NotStarted(125, format!("its end could not be observed: {error}")),
    }
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, Some(signal)) => Ended::Signal(signal),
        (None, None) => Ended::NotStarted(125, format!("it ended in an unknown way: {status}")),
    }
}

fn not_started(program: &str, error: &io::Error) -> Ended {
    match error.kind() {
        io::ErrorKind::NotFound => Ended::NotStarted(127, format!("{program}: command not found")),
        _ => Ended::NotStarted(126, format!("{program}: cannot be executed: {error}")),
    }
}
