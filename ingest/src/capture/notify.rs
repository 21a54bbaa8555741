//! The first way to observe: each watched system call waits until a thread of the recorder has looked at it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::kernel::{self, GO};
use super::observer::{Answer, Observer};
use super::trace::Blind;

/// How long a start may take before it counts as failed: the child needs microseconds.
pub(super) const START_SECONDS: i64 = 10;

/// Takes the listener from the child, sees the probe, lets the child go on, and observes until all tasks have ended
/// or `stop` says so and nobody waits. The error says why that did not work.
pub(super) fn supervise(
    gate: &UnixStream,
    probe: &Path,
    stop: &AtomicBool,
    observer: &mut Observer,
) -> Result<(), String> {
    wait_for(gate, START_SECONDS, "the listener did not come")?;
    let listener = kernel::receive_descriptor(gate).map_err(|error| error.to_string())?;
    // Without it a task is woken on another processor, which takes longer.
    kernel::wake_in_turn(&listener);
    wait_for(&listener, START_SECONDS, "the probe did not come")?;
    let call = kernel::receive_call(&listener).map_err(|error| error.to_string())?;
    let seen = observer.is_probe(&call.0, probe);
    kernel::answer_call(&listener, call.1, Answer::Continue).map_err(|error| error.to_string())?;
    if !seen {
        return Err("the memory of the command cannot be read".to_owned());
    }
    kernel::send_byte(gate, GO).map_err(|error| error.to_string())?;
    observe(&listener, stop, observer);
    Ok(())
}

fn wait_for(descriptor: &impl std::os::fd::AsFd, seconds: i64, what: &str) -> Result<(), String> {
    let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let mut polled = [PollFd::new(descriptor, PollFlags::IN)];
    match poll(&mut polled, Some(&timeout)) {
        Ok(1..) if polled[0].revents().contains(PollFlags::IN) => Ok(()),
        Ok(_) => Err(what.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Looks at calls one after the other; `Watch::finish` interrupts the wait for the next one.
fn observe(listener: &OwnedFd, stop: &AtomicBool, observer: &mut Observer) {
    let mut leaving = Leaving::default();
    loop {
        // Taking waits by itself: asking first whether there is a call would be one more system call for each.
        match kernel::receive_call(listener) {
            Ok((call, id)) => {
                let answer = observer.observe(&call);
                // A task that was killed meanwhile needs no answer.
                kernel::answer_call(listener, id, answer).ok();
            }
            Err(error) if may_go_on(&error) && !is_deserted(listener) => {}
            Err(_) => return,
        }
        if !stop.load(Ordering::Acquire) {
            continue;
        }
        if !is_waited_for(listener) {
            return;
        }
        if leaving.is_over(stop) {
            return observer.miss(Blind::StillRunning);
        }
    }
}

/// Whether a task waits for its call to be taken.
fn is_waited_for(listener: &OwnedFd) -> bool {
    state(listener).contains(PollFlags::IN)
}

/// Whether nobody is left whom the filter watches. Kernels that tell so answer every attempt to take a call as if it
/// had just been given up, without waiting.
fn is_deserted(listener: &OwnedFd) -> bool {
    state(listener).contains(PollFlags::HUP)
}

/// What the kernel says of a listener now.
fn state(listener: &OwnedFd) -> PollFlags {
    let mut polled = [PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&at_once)).map_or(PollFlags::empty(), |_| polled[0].revents())
}

/// The time in which calls are still taken after the observation was to stop.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    since: Option<Instant>,
}

impl Leaving {
    /// Processes that go on making calls are not waited for longer than this.
    const GRACE: Duration = Duration::from_millis(500);

    /// Whether it is over.
    pub(super) fn is_over(&mut self, stop: &AtomicBool) -> bool {
        stop.load(Ordering::Acquire) && self.since.get_or_insert_with(Instant::now).elapsed() > Self::GRACE
    }
}

/// A task may be killed or interrupted before its call is taken.
fn may_go_on(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::ENOENT | libc::EAGAIN))
}
