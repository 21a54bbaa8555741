//! Watching over a command while it runs: signals, the interrupt key, and the end of its time.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_current_process_group, kill_process, kill_process_group};

use super::control::{Message, Notice};
use super::process;
use super::terminal::{Raw, is_foreground, resize};
use crate::capture::Group;

/// What a command gets to end after SIGINT, and again after SIGTERM, before it is killed.
pub const GRACE: Duration = Duration::from_secs(10);

/// Why a command was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its time was over.
    Timeout,
    /// Its user said so.
    Cancelled,
    /// The memory of its control group ran out.
    OutOfMemory,
    /// Somebody sent it a signal.
    Signal(i32),
}

impl Cause {
    /// The word that stands in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::OutOfMemory => "out of memory",
            Self::Signal(_) => "signal",
        }
    }
}

/// The command that is watched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) pid: u32,
    pub(super) group: Group,
    /// The mark of its processes.
    pub(super) run: &'a str,
}

impl Target<'_> {
    /// Sends a signal to the command's group, or to it alone if it shares ours.
    fn send(&self, signal: Signal) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return };
        // It may have ended in between.
        match self.group {
            Group::Inherited => kill_process(pid, signal).ok(),
            Group::New | Group::Terminal => kill_process_group(pid, signal).ok(),
        };
    }

    /// Nothing of it may live on.
    fn kill(&self) {
        self.send(Signal::KILL);
        for left in process::left_behind(self.run) {
            process::send(left.pid, Signal::KILL);
        }
    }
}

/// What happens next to a command that was asked to end.
#[derive(Clone, Copy, Debug)]
enum Next {
    Terminate,
    Kill,
}

/// Watches until the command has ended; why it was ended from outside, if it was.
pub(super) struct Watch<'a> {
    target: Target<'a>,
    grace: Duration,
    /// Our end of a pseudo-terminal, and the terminal that it stands for.
    terminal: Option<&'a (File, Arc<File>)>,
    /// Our terminal, if it is in raw mode.
    raw: Option<&'a Raw<'a>>,
    timeout_at: Option<Instant>,
    next: Option<(Instant, Next)>,
    interrupts: u32,
    cause: Option<Cause>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(target: Target<'a>, timeout: Option<Duration>, grace: Duration) -> Self {
        // A time too far off to be an instant is none.
        let timeout_at = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self { target, grace, terminal: None, raw: None, timeout_at, next: None, interrupts: 0, cause: None }
    }

    pub(super) fn with_terminal(mut self, terminal: Option<&'a (File, Arc<File>)>, raw: Option<&'a Raw<'a>>) -> Self {
        (self.terminal, self.raw) = (terminal, raw);
        self
    }

    pub(super) fn until_end(mut self, messages: &Receiver<Message>) -> Option<Cause> {
        loop {
            let deadlines = [self.timeout_at, self.next.map(|(at, _)| at)];
            let message = match deadlines.into_iter().flatten().min() {
                Some(at) => messages.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(Message::Ended) | Err(RecvTimeoutError::Disconnected) => return self.cause,
                Ok(Message::Notice(Notice::Resized)) => self.resize(),
                Ok(Message::Notice(Notice::Continued)) => self.go_on(),
                Ok(Message::SuspendKey) => self.suspend(),
                Ok(Message::Notice(Notice::Signal { signal, by_terminal })) => self.signal(signal, by_terminal),
                Ok(Message::InterruptKey) => self.interrupt(true),
                // Whoever goes on talking with the command after an interrupt did not want it ended.
                Ok(Message::Typed) => self.forgive(),
                Err(RecvTimeoutError::Timeout) => self.time(),
            }
        }
    }

    fn resize(&self) {
        if let Some((ours, terminal)) = self.terminal {
            resize(ours, &**terminal);
        }
    }

    /// Stops the command and this process, as the key does where both share a terminal.
    fn suspend(&self) {
        // A group without a parent in its session ignores SIGTSTP.
        self.target.send(Signal::STOP);
        self.raw.into_iter().for_each(Raw::restore);
        // It takes effect some time after this call, so what follows waits until somebody continues this process.
        kill_current_process_group(Signal::TSTP).ok();
    }

    fn go_on(&self) {
        if let Some(raw) = self.raw {
            // In the background the terminal is that of others.
            if is_foreground(raw.terminal()) {
                raw.resume().ok();
            }
            self.resize();
        }
        self.target.send(Signal::CONT);
    }

    fn forgive(&mut self) {
        if self.cause == Some(Cause::Cancelled) {
            (self.next, self.cause, self.interrupts) = (None, None, 0);
        }
    }

    fn signal(&mut self, signal: i32, by_terminal: bool) {
        // A command in a session of its own hears nothing of our terminal; one in our group hears it itself.
        let heard = by_terminal && self.target.group == Group::Inherited;
        match Signal::from_named_raw(signal) {
            Some(Signal::INT) => self.interrupt(heard),
            Some(signal) => {
                if !heard {
                    self.target.send(signal);
                }
                if matches!(signal, Signal::TERM | Signal::HUP) {
                    let again = self.next.is_some();
                    self.cause.get_or_insert(Cause::Cancelled);
                    if again {
                        self.target.kill();
                    } else {
                        self.after_grace(Next::Kill);
                    }
                }
            }
            None => {}
        }
    }

    /// The first time the command may end by itself; the second time it must.
    fn interrupt(&mut self, heard: bool) {
        self.interrupts += 1;
        self.cause.get_or_insert(Cause::Cancelled);
        if self.interrupts > 1 {
            self.target.kill();
            return;
        }
        if !heard {
            self.target.send(Signal::INT);
        }
        self.after_grace(Next::Terminate);
    }

    fn after_grace(&mut self, next: Next) {
        self.next = Some((Instant::now() + self.grace, next));
    }

    fn time(&mut self) {
        let now = Instant::now();
        if self.timeout_at.is_some_and(|at| at <= now) {
            self.timeout_at = None;
            self.cause = Some(Cause::Timeout);
            self.target.send(Signal::TERM);
            self.after_grace(Next::Kill);
        }
        match self.next.filter(|(at, _)| *at <= now) {
            Some((_, Next::Terminate)) => {
                self.target.send(Signal::TERM);
                self.after_grace(Next::Kill);
            }
            Some((_, Next::Kill)) => {
                self.target.kill();
                self.next = None;
            }
            None => {}
        }
    }
}
