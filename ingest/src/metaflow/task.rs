//! Tasks: one for each execution of a step, numbered over all flows; each is a run of the lineage, a try an attempt.

use std::collections::BTreeMap;
use std::sync::Arc;

use lineage_store::event::{Event, Kind, Parent, RunRef, State};
use serde::Serialize;
use serde_json::Value;

use super::Writer;
use super::artifact;
use super::created::Created;
use super::denied::Denied;
use super::heartbeat::Beats;
use super::ledger::Ledger;
use super::metadata;
use super::place::{self, Place};
use super::planned::Planned;
use super::run::Run;
use super::said::{self, Says};

/// A task, as far as the ledger knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Task {
    /// When it was recorded, in milliseconds since 1970.
    pub(super) ts: i64,
    /// Who made it.
    pub(super) user: Option<String>,
    /// So many tasks of its run had ended well when it was scheduled.
    pub(super) after: u32,
    /// Where it stands in the loops of its flow, such as `work:0`; empty outside of them.
    pub(super) path: String,
    /// The tasks that it follows, as `RUN/STEP/TASK`.
    pub(super) follows: Vec<Arc<str>>,
    /// Whether each attempt that told it ended well.
    pub(super) attempts: BTreeMap<u32, bool>,
    /// Whether an attempt of it ended well and said that it was done.
    pub(super) is_finished: bool,
    /// Where its rows of metadata stand.
    pub(super) metadata: Vec<metadata::Chunk>,
    /// Where its rows of artifacts stand.
    pub(super) artifacts: Vec<artifact::Chunk>,
    /// The time of its newest row.
    pub(super) newest: i64,
}

/// A task, as clients read it; with the tags of its run.
#[derive(Clone, Debug, Serialize)]
pub struct TaskRow {
    flow_id: String,
    run_number: Value,
    step_name: String,
    task_id: Value,
    user_name: Option<String>,
    ts_epoch: i64,
    tags: Vec<String>,
    system_tags: Vec<String>,
    last_heartbeat_ts: i64,
}

impl Ledger {
    /// Makes a task; without a name it gets the next number.
    pub fn create_task(&mut self, place: &Place, body: &[u8], writer: &Writer<'_>) -> Result<Planned, Denied> {
        let (created, sent) = Created::read(body)?;
        let Some(step) = self.step_at(place) else {
            return Err(Denied::Missing(format!("there is no step {}; make it first", place.spec())));
        };
        let (task, id) = match created.task() {
            Some(name) if place::is_number(&name) => {
                return Err(Denied::Malformed(format!("task {name}: only the service gives numbers")));
            }
            Some(name) if step.tasks.contains_key(&name) => {
                return Err(Denied::Exists(format!("the task {}/{name} is there already", place.spec())));
            }
            Some(name) => (name.clone(), format!("task/{}/{name}", place.spec())),
            None => {
                let number = self.next_task()?;
                (number.to_string(), format!("task/{number}"))
            }
        };
        let place = place.clone().task(task);
        let mut event = task_event(&place, created.actor(writer.caller), State::Start);
        event.id = Some(id);
        event.attempt = Some(1);
        event.tags = created.tags.clone().unwrap_or_default();
        event.facets = Says::Task.facets(&place, Some(sent), None)?;
        Planned::made(place, "task", sent, event)
    }

    /// A task.
    pub fn task(&self, place: &Place, beats: &Beats) -> Option<TaskRow> {
        let run = self.run_at(place)?;
        Some(run.task(&place.step, &place.task)?.row(place, run, beats))
    }

    /// The tasks of a step, newest first; none if there is no such step.
    pub fn tasks(&self, place: &Place, beats: &Beats) -> Vec<TaskRow> {
        let Some(run) = self.run_at(place) else { return Vec::new() };
        let tasks = run.steps.get(&place.step).into_iter().flat_map(|step| &step.tasks);
        let mut rows: Vec<TaskRow> = tasks.map(|(id, task)| task.row(&place.clone().task(id), run, beats)).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.ts_epoch));
        rows
    }

    pub(super) fn task_at(&self, place: &Place) -> Option<&Task> {
        self.run_at(place)?.task(&place.step, &place.task)
    }

    /// A task that must be there before anything is said of it.
    pub(super) fn known_task(&self, place: &Place) -> Result<&Task, Denied> {
        self.task_at(place).ok_or_else(|| {
            Denied::Malformed(format!("need to register run_id and task_id first: there is no task {}", place.spec()))
        })
    }
}

impl Run {
    /// A task of this run.
    pub(super) fn task(&self, step: &str, task: &str) -> Option<&Task> {
        self.steps.get(step)?.tasks.get(task)
    }
}

impl Task {
    fn row(&self, place: &Place, run: &Run, beats: &Beats) -> TaskRow {
        TaskRow {
            flow_id: place.flow.clone(),
            run_number: place::id(&place.run),
            step_name: place.step.clone(),
            task_id: place::id(&place.task),
            user_name: self.user.clone(),
            ts_epoch: self.ts,
            tags: run.tags.clone(),
            system_tags: run.system_tags.clone(),
            last_heartbeat_ts: beats.last(&place.spec()).unwrap_or(self.ts / 1000),
        }
    }

    /// The times of so many new rows: each later than the one before, so that sorting by time keeps their order.
    pub(super) fn times(&mut self, now: i64, n_rows: usize) -> i64 {
        let first = now.max(self.newest + 1);
        self.newest = first + n_rows as i64 - 1;
        first
    }
}

/// An event of a task.
pub(super) fn task_event(place: &Place, actor: String, state: State) -> Event {
    let mut event = said::event(Kind::Transform, actor);
    event.job = Some(place.job());
    event.run = Some(place.spec());
    event.state = state;
    let run = RunRef { namespace: None, job: Some(place.flow.clone()), run: place.run_name() };
    event.parent = Some(Parent { run, root: None });
    event
}
