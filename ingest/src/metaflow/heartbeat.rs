//! Heartbeats: when a run or task was last alive; kept in memory only.
//!
//! Clients beat every ten seconds and read nothing of it but the answer, so that beats are no events: a run of a day
//! would be ten thousand of them. A client that lives tells again within ten seconds of a restart; of any other the
//! time at which it was made is told, as before its first beat.

use std::collections::HashMap;

use super::ledger::Ledger;
use super::place::Place;

/// So many runs and tasks are remembered; more are forgotten together.
const REMEMBERED: usize = 100_000;

/// What a beat is answered with: text that holds JSON, as clients read it twice.
pub const ANSWER: &str = r#"{"wait_time_in_seconds": 10}"#;

/// When runs and tasks were last alive.
#[derive(Clone, Debug, Default)]
pub struct Beats {
    /// By path, in seconds since 1970.
    last: HashMap<String, i64>,
}

impl Beats {
    /// Takes note of a sign of life, given in seconds since 1970.
    fn take(&mut self, spec: String, now: i64) {
        if self.last.len() >= REMEMBERED && !self.last.contains_key(&spec) {
            self.last.clear();
        }
        self.last.insert(spec, now);
    }

    /// The last sign of life.
    pub(super) fn last(&self, spec: &str) -> Option<i64> {
        self.last.get(spec).copied()
    }
}

impl Ledger {
    /// Takes note that a run or a task, and with it its run, is alive; false if there is none.
    pub fn take_beat(&self, place: &Place, now: i64, beats: &mut Beats) -> bool {
        let is_run = place.step.is_empty();
        if !(if is_run { self.run_at(place).is_some() } else { self.task_at(place).is_some() }) {
            return false;
        }
        if !is_run {
            beats.take(place.run_name(), now);
        }
        beats.take(place.spec(), now);
        true
    }
}
