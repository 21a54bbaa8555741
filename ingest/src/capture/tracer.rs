//! The second way to observe: a filter stops each watched system call for a thread of the recorder that traces.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::kernel::{self, Event, GO};
use super::launch::Exit;
use super::notify::Leaving;
use super::observer::{Answer, Observer};
use super::trace::Blind;

/// How often it is looked for further stops once the command itself has ended.
const LOOK: Duration = Duration::from_millis(2);

/// The end of a command: a tracer is told it before the parent is, so it passes it on.
#[derive(Debug, Default)]
pub(super) struct End {
    state: Mutex<State>,
    told: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Runs,
    Ended(Exit),
    /// The tracer is gone and never saw the end.
    Lost,
}

impl End {
    /// The end, waited for if wanted.
    pub(super) fn look(&self, block: bool) -> io::Result<Option<Exit>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *state {
                State::Ended(exit) => return Ok(Some(exit)),
                State::Lost => return Err(io::Error::other("the tracer lost the command")),
                State::Runs if !block => return Ok(None),
                State::Runs => state = self.told.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn tell(&self, exit: Option<Exit>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Runs) {
            *state = exit.map_or(State::Lost, State::Ended);
        }
        self.told.notify_all();
    }
}

/// Seizes the child, sees the probe, lets the child go on, and observes until all tasks have ended or `stop` says so
/// after the end of the command. The error says why that did not work.
pub(super) fn supervise(
    gate: &UnixStream,
    probe: &Path,
    pid: u32,
    stop: &AtomicBool,
    end: &End,
    observer: &mut Observer,
) -> Result<(), String> {
    let result = kernel::seize(pid).map_err(|error| format!("tracing is refused: {error}")).and_then(|()| {
        kernel::send_byte(gate, GO).map_err(|error| error.to_string())?;
        trace(gate, probe, pid, stop, end, observer)
    });
    end.tell(None);
    result
}

fn trace(
    gate: &UnixStream,
    probe: &Path,
    pid: u32,
    stop: &AtomicBool,
    end: &End,
    observer: &mut Observer,
) -> Result<(), String> {
    let (mut is_probed, mut has_ended) = (false, false);
    let mut leaving = Leaving::default();
    loop {
        if leaving.is_over(stop) {
            observer.miss(Blind::StillRunning);
            break;
        }
        // As long as the command runs, there is something to wait for.
        let (task, event) = match kernel::next_event(!has_ended) {
            Ok(Some(next)) => next,
            // What still lives ends with this thread.
            Ok(None) if stop.load(Ordering::Acquire) => {
                observer.miss(Blind::StillRunning);
                break;
            }
            Ok(None) => {
                std::thread::park_timeout(LOOK);
                continue;
            }
            // No task is left.
            Err(_) => break,
        };
        match event {
            Event::Call => {
                let call = kernel::traced_call(task);
                if !is_probed {
                    is_probed = call.is_ok_and(|call| observer.is_probe(&call, probe));
                    kernel::resume(task, 0);
                    if !is_probed || kernel::send_byte(gate, GO).is_err() {
                        return Err("the memory of the command cannot be read".to_owned());
                    }
                    continue;
                }
                match call {
                    Ok(call) if observer.observe(&call) == Answer::NotThere => kernel::skip_call(task),
                    Ok(_) => {}
                    Err(_) => observer.miss(Blind::Hidden),
                }
                kernel::resume(task, 0);
            }
            Event::Stopped => kernel::leave_stopped(task),
            Event::Signal(signal) => kernel::resume(task, signal),
            Event::Ended(exit) if task == pid => {
                has_ended = true;
                end.tell(Some(exit));
            }
            Event::Ended(_) => {}
        }
    }
    if is_probed { Ok(()) } else { Err("the command ended before it was observed".to_owned()) }
}
