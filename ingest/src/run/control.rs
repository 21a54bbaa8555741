//! What reaches a run from outside while its command runs: signals, and a terminal of another size.

use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Something that happened to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A signal came.
    Signal {
        /// Its number.
        signal: i32,
        /// Whether the terminal sent it, and so to the command as well if both share it.
        by_terminal: bool,
    },
    /// The terminal has another size.
    Resized,
    /// This process was stopped and goes on.
    Continued,
}

/// What the thread that watches over a command hears.
#[derive(Debug)]
pub(super) enum Message {
    /// From outside.
    Notice(Notice),
    /// The interrupt key was pressed, and the command's terminal passed it on.
    InterruptKey,
    /// The suspend key was pressed.
    SuspendKey,
    /// Something else was typed, so the command still talks with its user.
    Typed,
    /// The command has ended.
    Ended,
}

/// Where the program around a run tells of signals.
#[derive(Debug, Default)]
pub struct Control {
    state: Mutex<Phase>,
}

#[derive(Debug, Default)]
enum Phase {
    /// Nothing is recorded, so a signal may end the process.
    #[default]
    Before,
    /// The start is recorded; what came since is told when the command runs.
    Recorded(Vec<Notice>),
    /// The command runs.
    Running(Sender<Message>),
    /// The command has ended, its end is not recorded; how many signals came since.
    Ending(u32),
}

impl Control {
    /// Tells of something; false if nobody takes care of it, so that the usual effect of a signal should follow.
    pub fn tell(&self, notice: Notice) -> bool {
        match &mut *self.phase() {
            Phase::Before => false,
            Phase::Recorded(waiting) => {
                waiting.push(notice);
                true
            }
            Phase::Running(sender) => {
                // It may end at this instant.
                sender.send(Message::Notice(notice)).ok();
                true
            }
            // One signal is forgiven, so that the end is recorded; whoever insists is obeyed.
            Phase::Ending(n) => {
                *n += u32::from(matches!(notice, Notice::Signal { .. }));
                *n < 2
            }
        }
    }

    /// The start is durable: from now on a signal is no reason to die.
    pub(super) fn recorded(&self) {
        *self.phase() = Phase::Recorded(Vec::new());
    }

    /// The command runs, and somebody listens.
    pub(super) fn running(&self, sender: Sender<Message>) {
        let mut phase = self.phase();
        if let Phase::Recorded(waiting) = &mut *phase {
            for notice in waiting.drain(..) {
                // Whoever listens has only just begun.
                sender.send(Message::Notice(notice)).ok();
            }
        }
        *phase = Phase::Running(sender);
    }

    /// The command has ended.
    pub(super) fn ending(&self) {
        *self.phase() = Phase::Ending(0);
    }

    /// The end is recorded.
    pub(super) fn over(&self) {
        *self.phase() = Phase::Before;
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
