//! Turns: pieces of work that several threads take in order, none of them far ahead of who takes what they come to.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The pieces of work, by their number.
pub(super) struct Turns {
    state: Mutex<State>,
    moved: Condvar,
    n: usize,
    /// How many pieces are worked on, or wait for who takes them, at most.
    window: usize,
}

#[derive(Default)]
struct State {
    /// The next piece that nobody works on.
    next: usize,
    /// How many results were taken.
    taken: usize,
}

impl Turns {
    pub(super) fn new(n: usize, window: usize) -> Self {
        Self { state: Mutex::default(), moved: Condvar::new(), n, window }
    }

    /// The next piece, once it is not too far ahead; `None` if there is none.
    pub(super) fn claim(&self) -> Option<usize> {
        let mut state = self.state();
        while state.next < self.n && state.next >= state.taken + self.window {
            state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let piece = (state.next < self.n).then_some(state.next);
        state.next = (state.next + 1).min(self.n);
        piece
    }

    /// Says that the result of a piece was taken.
    pub(super) fn took(&self) {
        self.state().taken += 1;
        self.moved.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends all turns when it is dropped, so that nobody waits for a thread that is gone.
pub(super) struct Ending<'a>(pub(super) &'a Turns);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let n = self.0.n;
        self.0.state().next = n;
        self.0.moved.notify_all();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_further_ahead_than_the_window() {
        let turns = Turns::new(5, 2);
        assert_eq!((turns.claim(), turns.claim()), (Some(0), Some(1)));
        std::thread::scope(|scope| {
            let third = scope.spawn(|| turns.claim());
            turns.took();
            assert_eq!(third.join().unwrap(), Some(2));
            let waiting = scope.spawn(|| turns.claim());
            // Where one is gone nobody waits for what it would have done.
            drop(Ending(&turns));
            assert!(matches!(waiting.join().unwrap(), None | Some(3)));
        });
        assert_eq!(turns.claim(), None);
    }
}
