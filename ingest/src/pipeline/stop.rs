//! Stopping a run from outside, and what its thread hears.

use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use super::attempt::Done;
use super::flow::Cell;
use crate::run::{Control, Notice};

/// Stops a run from outside: from another thread, or a signal.
#[derive(Debug, Default)]
pub struct Stop {
    state: Mutex<Stopping>,
}

#[derive(Debug, Default)]
struct Stopping {
    is_asked: bool,
    wake: Option<Sender<Message>>,
    running: HashMap<Cell, Arc<Control>>,
}

impl Stop {
    /// Tells of a signal: nothing more is started, and what runs is told of it. False if no run goes on.
    pub fn tell(&self, notice: Notice) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wake) = state.wake.clone() else { return false };
        if matches!(notice, Notice::Signal { .. }) {
            state.is_asked = true;
            // The run may be over at this instant.
            wake.send(Message::Stop).ok();
        }
        for control in state.running.values() {
            control.tell(notice);
        }
        true
    }

    pub(super) fn is_asked(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_asked
    }

    pub(super) fn listen(&self, wake: Option<Sender<Message>>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).wake = wake;
    }

    pub(super) fn running(&self, cell: &Cell, control: Option<Arc<Control>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match control {
            Some(control) => drop(state.running.insert(cell.clone(), control)),
            None => drop(state.running.remove(cell)),
        }
    }
}

/// What the thread of a run hears.
pub(super) enum Message {
    Done(Cell, Box<Done>),
    Stop,
}
