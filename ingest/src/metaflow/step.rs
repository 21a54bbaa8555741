//! Steps: made by the first process that comes to them.

use std::collections::BTreeMap;

use lineage_store::event::State;
use serde::Serialize;

use super::Writer;
use super::created::Created;
use super::denied::Denied;
use super::ledger::Ledger;
use super::place::Place;
use super::planned::Planned;
use super::run::{Run, run_event};
use super::said::Says;
use super::task::Task;

/// A step, as far as the ledger knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// When it was recorded, in milliseconds since 1970; later than any other step of its run before.
    pub(super) ts: i64,
    /// Who made it.
    pub(super) user: Option<String>,
    /// Its tasks by their ids.
    pub(super) tasks: BTreeMap<String, Task>,
    /// When its newest task was recorded.
    pub(super) newest: i64,
}

/// A step, as clients read it; with the tags of its run.
#[derive(Clone, Debug, Serialize)]
pub struct StepRow {
    flow_id: String,
    /// Text, unlike anywhere else.
    run_number: String,
    step_name: String,
    user_name: Option<String>,
    ts_epoch: i64,
    tags: Vec<String>,
    system_tags: Vec<String>,
}

impl Ledger {
    /// Makes a step.
    pub fn create_step(&self, place: &Place, body: &[u8], writer: &Writer<'_>) -> Result<Planned, Denied> {
        let (created, sent) = Created::read(body)?;
        let Some(run) = self.run_at(place) else {
            return Err(Denied::Missing(format!("there is no run {}", place.run_name())));
        };
        if run.steps.contains_key(&place.step) {
            return Err(Denied::Exists(format!("the step {} is there already", place.spec())));
        }
        let mut event = run_event(place, created.actor(writer.caller), State::Running);
        event.id = Some(format!("step/{}/{}", place.run_name(), place.step));
        event.facets = Says::Step.facets(place, Some(sent), None)?;
        Planned::made(place.clone(), "step", sent, event)
    }

    /// A step.
    pub fn step(&self, place: &Place) -> Option<StepRow> {
        let run = self.run_at(place)?;
        Some(run.steps.get(&place.step)?.row(place, run))
    }

    /// The steps of a run, newest first; none if there is no such run.
    pub fn steps(&self, place: &Place) -> Vec<StepRow> {
        let Some(run) = self.run_at(place) else { return Vec::new() };
        let row = |(name, step): (&String, &Step)| step.row(&place.clone().step(name), run);
        let mut rows: Vec<StepRow> = run.steps.iter().map(row).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.ts_epoch));
        rows
    }

    pub(super) fn step_at(&self, place: &Place) -> Option<&Step> {
        self.run_at(place)?.steps.get(&place.step)
    }
}

impl Step {
    fn row(&self, place: &Place, run: &Run) -> StepRow {
        StepRow {
            flow_id: place.flow.clone(),
            run_number: place.run.clone(),
            step_name: place.step.clone(),
            user_name: self.user.clone(),
            ts_epoch: self.ts,
            tags: run.tags.clone(),
            system_tags: run.system_tags.clone(),
        }
    }
}
