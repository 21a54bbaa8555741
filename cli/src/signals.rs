//! Signals: the recorder outlives those that come while a command is run, a question ends with its own code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// What a shell shows for a command that was interrupted.
const EXIT_INTERRUPTED: i32 = 130;

/// From now on an interrupt ends the process with code 130; only for commands that write nothing into the store.
pub(crate) fn exit_when_interrupted() -> std::io::Result<()> {
    register_conditional_shutdown(SIGINT, EXIT_INTERRUPTED, Arc::new(AtomicBool::new(true))).map(drop)
}

/// Passes signals on to the process whose id is in `pid`.
///
/// A terminal sends SIGINT to the command by itself. Before `started` is set the recorder dies of a signal as any
/// program does; afterwards it lives to record the end.
pub(crate) fn forward(pid: Arc<AtomicU32>, started: Arc<AtomicBool>) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if !started.load(Ordering::SeqCst) {
                // A signal that ends the process leaves nobody to hear of a failure.
                emulate_default_handler(signal).ok();
            } else if signal != SIGINT {
                pass_on(pid.load(Ordering::SeqCst), signal);
            }
        }
    });
    Ok(())
}

fn pass_on(pid: u32, signal: i32) {
    let signal = if signal == SIGHUP { Signal::HUP } else { Signal::TERM };
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The command may have ended in between.
        kill_process(pid, signal).ok();
    }
}
