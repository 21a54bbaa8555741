//! News: what happens in a run, how each step ended, and what came of all.

use std::time::Duration;

use lineage_store::event::State;

use super::flow::{Cell, End};
use crate::run::Values;

/// What happens in a run.
#[derive(Debug)]
pub enum News<'a> {
    /// An attempt begins.
    Started {
        /// The step and its branch.
        cell: &'a Cell,
        /// The attempt, from 1.
        attempt: u32,
        /// How long it took the last time.
        expected: Option<Duration>,
        /// Why its earlier results are not reused.
        why: &'a str,
    },
    /// It said a line.
    Line {
        /// The step and its branch.
        cell: &'a Cell,
        /// Without the end of the line.
        text: &'a str,
        /// Whether it was said on standard error.
        is_error: bool,
    },
    /// It failed and will be tried again.
    Retrying {
        /// The step and its branch.
        cell: &'a Cell,
        /// How it failed.
        why: &'a str,
        /// How long it waits.
        delay: Duration,
    },
    /// A step ended, or never began.
    Ended(&'a Row),
}

/// How one step ended in one branch.
#[derive(Clone, Debug)]
pub struct Row {
    /// The step and its branch.
    pub cell: Cell,
    /// The id of its run.
    pub run: String,
    /// How it ended.
    pub end: End,
    /// Whether earlier results were reused.
    pub cached: bool,
    /// How long it took.
    pub took: Duration,
    /// How many things it read and wrote.
    pub n_inputs: usize,
    /// How many things it wrote.
    pub n_outputs: usize,
    /// How far it was observed: `complete`, `partial`, `declared`, `none`; empty if it did not run.
    pub capture: String,
    /// Why it ran, was reused, or ended as it did.
    pub why: String,
    /// What the caller should see.
    pub notes: Vec<String>,
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// Complete, fail or abort.
    pub state: State,
    /// Whether steps wait for an approval.
    pub is_parked: bool,
    /// Whether it was stopped from outside.
    pub is_stopped: bool,
    /// Every step in every branch, in the order of the specification.
    pub rows: Vec<Row>,
    /// Values that all last steps agree on.
    pub values: Values,
    /// How long it took.
    pub took: Duration,
    /// Whether events wait in the spool or were not recorded.
    pub unrecorded: u64,
}
/// What is known of a cell that ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) cached: bool,
    pub(super) took: Duration,
    pub(super) n_inputs: usize,
    pub(super) n_outputs: usize,
    pub(super) capture: String,
    pub(super) why: String,
    pub(super) notes: Vec<String>,
}

impl Facts {
    pub(super) fn because(why: &str) -> Self {
        Self { why: why.to_owned(), ..Self::default() }
    }
}
