//! Runs: what was logged to each, folded from facts.

mod answer;
pub(super) mod inputs;
pub(super) mod log;
mod search;
pub(super) mod write;

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::body::{Body, required};
use super::error::Error;
use super::fact::{DatasetInput, Inputs, Logged, NewRun, RunChange, RunModel};
use super::ledger::{Key, Names, Values};
use super::metric::{Point, Series};

pub use answer::get;
pub use inputs::{log_inputs, log_model, log_outputs};
pub use log::{delete_tag, log_batch, log_metric, log_parameter, set_tag};
pub use search::search;
pub use write::{create, delete, restore, update};

/// The tag that holds the name of a run.
pub(super) const NAME_TAG: &str = "mlflow.runName";
/// The tag in which clients before 3.0 find the models of a run.
pub(super) const HISTORY_TAG: &str = "mlflow.log-model.history";

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Running,
    Scheduled,
    Finished,
    Failed,
    Killed,
}

impl Status {
    const ALL: [Self; 5] = [Self::Running, Self::Scheduled, Self::Finished, Self::Failed, Self::Killed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    /// The status of a word, or of its number in protobuf.
    pub(super) fn of(word: &str) -> Result<Self, Error> {
        let number = |status: Self| match status {
            Self::Running => "1",
            Self::Scheduled => "2",
            Self::Finished => "3",
            Self::Failed => "4",
            Self::Killed => "5",
        };
        let found = Self::ALL.into_iter().find(|status| status.as_str() == word || number(*status) == word);
        found.ok_or_else(|| Error::invalid(format!("Invalid run status '{}'", word.escape_debug())))
    }

    fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }
}

/// One run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: Box<str>,
    pub(super) experiment: Key,
    /// The name that its experiment had when it began.
    pub(super) job: Key,
    name: Box<str>,
    pub(super) user: Key,
    pub(super) status: Status,
    start: i64,
    end: Option<i64>,
    deleted: bool,
    pub(super) artifact_uri: Box<str>,
    pub(super) params: Values,
    pub(super) tags: Values,
    pub(super) metrics: BTreeMap<Key, Series>,
    datasets: Vec<DatasetInput>,
    models_used: Vec<Box<str>>,
    /// Ids of logged models, with their steps.
    models_made: BTreeMap<Box<str>, i64>,
    /// Models among its files: path and id.
    pub(super) models: Vec<(Box<str>, Option<Box<str>>)>,
}

impl Run {
    /// Refuses what changes a deleted run.
    fn active(&self) -> Result<&Self, Error> {
        if self.deleted {
            let text = format!("The run {} must be in the 'active' state. Current state is deleted.", self.id);
            return Err(Error::invalid(text));
        }
        Ok(self)
    }

    /// When it began, in milliseconds since 1970.
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.status.is_terminal()
    }
}

/// All runs.
#[derive(Debug, Default)]
pub(super) struct Runs {
    all: Vec<Run>,
    by_id: HashMap<Box<str>, u32>,
    by_experiment: HashMap<Key, Vec<u32>>,
}

impl Runs {
    /// A run, if there is one of that id.
    pub(super) fn get(&self, id: &str) -> Option<&Run> {
        self.by_id.get(id).map(|at| &self.all[*at as usize])
    }

    /// A run that must be there.
    pub(super) fn found(&self, id: &str) -> Result<&Run, Error> {
        self.get(id).ok_or_else(|| {
            let text = format!("Run with id={} not found", id.escape_debug());
            Error::new(super::Code::ResourceDoesNotExist, text)
        })
    }

    fn get_mut(&mut self, id: &str) -> Option<&mut Run> {
        self.by_id.get(id).map(|at| &mut self.all[*at as usize])
    }

    /// The runs of an experiment, in the order in which they were made.
    fn of_experiment(&self, id: &str) -> impl Iterator<Item = &Run> {
        self.by_experiment.get(id).into_iter().flatten().map(|at| &self.all[*at as usize])
    }

    pub(super) fn add(&mut self, new: NewRun, names: &mut Names) {
        if self.by_id.contains_key(new.id.as_str()) {
            return;
        }
        let at = self.all.len() as u32;
        let experiment = names.key(&new.experiment);
        let mut tags = Values::new();
        names.fill(&mut tags, new.tags);
        self.by_id.insert(new.id.as_str().into(), at);
        self.by_experiment.entry(Key::clone(&experiment)).or_default().push(at);
        self.all.push(Run {
            id: new.id.into(),
            experiment,
            job: names.key(&new.job),
            name: new.name.into(),
            user: names.key(&new.user),
            status: Status::Running,
            start: new.start,
            end: None,
            deleted: false,
            artifact_uri: new.artifact_uri.into(),
            params: Values::new(),
            tags,
            metrics: BTreeMap::new(),
            datasets: Vec::new(),
            models_used: Vec::new(),
            models_made: BTreeMap::new(),
            models: Vec::new(),
        });
    }

    pub(super) fn change(&mut self, change: RunChange, names: &mut Names) {
        let Some(run) = self.get_mut(&change.run) else { return };
        if let Some(status) = change.status.and_then(|word| Status::of(&word).ok()) {
            run.status = status;
            // A run that goes on has no end any more.
            run.end = if status.is_terminal() { change.end.or(run.end) } else { None };
        } else if change.end.is_some() {
            run.end = change.end;
        }
        if let Some(name) = change.name {
            run.tags.insert(names.key(NAME_TAG), name.as_str().into());
            run.name = name.into();
        }
        run.deleted = change.deleted.unwrap_or(run.deleted);
    }

    /// The runs of an experiment are deleted and restored with it.
    pub(super) fn follow_experiment(&mut self, experiment: &str, deleted: bool) {
        for at in self.by_experiment.get(experiment).into_iter().flatten() {
            self.all[*at as usize].deleted = deleted;
        }
    }

    /// Adds what was logged; the number of measurements that are new.
    pub(super) fn log(&mut self, logged: Logged, names: &mut Names) -> u64 {
        let Some(run) = self.get_mut(&logged.run) else { return 0 };
        let mut new = 0;
        for (key, value, timestamp, step) in logged.metrics {
            let point = Point { value: value.0, timestamp, step };
            let is_new = match run.metrics.get_mut(key.as_str()) {
                Some(series) => series.add(point),
                None => run.metrics.insert(names.key(&key), Series::new(point)).is_none(),
            };
            new += u64::from(is_new);
        }
        for (key, value) in logged.params {
            // A parameter keeps its first value; another one is refused before it comes here.
            run.params.entry(names.key(&key)).or_insert_with(|| value.into());
        }
        if let Some((_, name)) = logged.tags.iter().find(|(key, _)| key == NAME_TAG) {
            run.name = name.as_str().into();
        }
        names.fill(&mut run.tags, logged.tags);
        new
    }

    pub(super) fn untag(&mut self, run: &str, key: &str) {
        if let Some(run) = self.get_mut(run) {
            run.tags.remove(key);
        }
    }

    pub(super) fn use_inputs(&mut self, inputs: Inputs) {
        let Some(run) = self.get_mut(&inputs.run) else { return };
        for input in inputs.datasets {
            // A dataset is told once, with the tags of the first time.
            let same = |other: &DatasetInput| {
                (&other.dataset.name, &other.dataset.digest) == (&input.dataset.name, &input.dataset.digest)
            };
            if !run.datasets.iter().any(same) {
                run.datasets.push(input);
            }
        }
        for model in inputs.models {
            if !run.models_used.iter().any(|used| **used == *model) {
                run.models_used.push(model.into());
            }
        }
    }

    pub(super) fn output(&mut self, run: &str, models: Vec<(String, i64)>) {
        if let Some(run) = self.get_mut(run) {
            run.models_made.extend(models.into_iter().map(|(id, step)| (id.into_boxed_str(), step)));
        }
    }

    pub(super) fn log_model(&mut self, model: RunModel, names: &mut Names) {
        let Some(run) = self.get_mut(&model.run) else { return };
        let key = names.key(HISTORY_TAG);
        let history = run.tags.get(&key).map_or("[]", |history| history).trim_end().trim_end_matches(']').to_owned();
        let comma = if history == "[" { "" } else { ", " };
        run.tags.insert(key, format!("{history}{comma}{}]", model.json).into());
        run.models.retain(|(path, _)| **path != *model.path);
        run.models.push((model.path.into(), model.uuid.map(String::into_boxed_str)));
    }
}

/// A request about a run, whose id has two names.
#[derive(Deserialize)]
struct OfRun {
    run_id: Option<String>,
    run_uuid: Option<String>,
}

impl OfRun {
    fn id(self) -> Result<String, Error> {
        required(self.run_id.filter(|id| !id.is_empty()).or(self.run_uuid), "run_id")
    }
}

/// The id of the run that a request is about.
fn id_of(body: &Body) -> Result<String, Error> {
    body.read::<OfRun>()?.id()
}
