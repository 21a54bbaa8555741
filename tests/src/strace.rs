//! Faults injected into system calls by strace.

use std::process::Command;
use std::sync::OnceLock;

use crate::skipped;

/// Whether strace is there and may trace; says loudly if not.
pub fn is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        let works = Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|o| o.status.success());
        if !works {
            skipped("strace: not installed, or not allowed to trace; install it with `apt-get install -y strace`");
        }
        works
    })
}

/// A command that runs under strace with one injection, such as `fdatasync:error=EIO:when=3`; `trace` is written to.
pub fn command(injection: &str, trace: &std::path::Path, program: &std::path::Path) -> Command {
    let syscall = injection.split(':').next().unwrap_or_default();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(trace);
    command.arg("-e").arg(format!("trace={syscall}")).arg("-e").arg(format!("inject={injection}")).arg(program);
    command
}
