//! Signals: the recorder outlives those that come while a command is run, a question ends with its own code.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lineage_ingest::run::{Control, Notice};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::flag::register_conditional_shutdown;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::emulate_default_handler;
use signal_hook::low_level::siginfo::Cause;

/// The signals that a run is told of.
const CAUGHT: [i32; 8] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT];
/// What a shell shows for a command that was interrupted.
const EXIT_INTERRUPTED: i32 = 130;

/// From now on an interrupt ends the process with code 130; only for commands that write nothing into the store.
pub(crate) fn exit_when_interrupted() -> std::io::Result<()> {
    register_conditional_shutdown(SIGINT, EXIT_INTERRUPTED, Arc::new(AtomicBool::new(true))).map(drop)
}

/// The signals that this process ignores, one bit each; none where the system does not tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Tells a run of the signals that come.
///
/// While nobody takes care of them the process dies of a signal as any program does.
pub(crate) fn forward(control: Arc<Control>) -> std::io::Result<()> {
    forward_to(move |notice| control.tell(notice))
}

/// As [`forward`], to whoever says whether it takes care of a signal.
pub(crate) fn forward_to(tell: impl Fn(Notice) -> bool + Send + 'static) -> std::io::Result<()> {
    let ignored = ignored();
    // What `nohup` has this process ignore, the command is to ignore, too.
    let caught = CAUGHT.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = SignalsInfo::<WithOrigin>::new(caught)?;
    std::thread::spawn(move || {
        for origin in signals.forever() {
            let signal = origin.signal;
            let notice = match signal {
                SIGWINCH => Notice::Resized,
                SIGCONT => Notice::Continued,
                // A key of the terminal reaches every process of its group; what a program sends reaches this one.
                _ => Notice::Signal { signal, by_terminal: origin.cause == Cause::Kernel },
            };
            if !tell(notice) {
                // A signal that ends the process leaves nobody to hear of a failure.
                emulate_default_handler(signal).ok();
            }
        }
    });
    Ok(())
}
