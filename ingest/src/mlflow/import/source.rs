//! Where a history is read from: a tracking server or its database, which tell the same in the same words.

use std::io::Read;

use serde::Deserialize;

use super::super::fact::{DatasetInput, Tag};
use super::super::metric::Sent;
use super::super::number::Int;

/// What a source tells; an error says in a sentence why it does not.
pub(super) type Told<T> = Result<T, String>;

/// A tracking server, or the database of one.
///
/// Lists come in any order; an import sorts what is said in them, so that every source of one history says the same.
pub(super) trait Source {
    /// Every experiment, also those that are deleted.
    fn experiments(&mut self) -> Told<Vec<Experiment>>;

    /// Runs of an experiment, also those that are deleted: those that began first, or those after a page.
    fn runs(&mut self, experiment: &str, after: Option<&str>) -> Told<Page<Run>>;

    /// The ids of the logged models that a run used.
    fn models_used(&mut self, run: &str) -> Told<Vec<String>>;

    /// Every measurement of a metric of a run.
    fn history(&mut self, run: &str, key: &str) -> Told<Vec<Sent>>;

    /// The logged models of an experiment.
    fn models(&mut self, experiment: &str) -> Told<Vec<LoggedModel>>;

    /// The registered models.
    fn registered(&mut self) -> Told<Vec<Registered>>;

    /// The versions of a registered model.
    fn versions(&mut self, name: &str) -> Told<Vec<Version>>;

    /// Where the files of a version are; nothing if it does not say.
    fn storage(&mut self, name: &str, version: u32) -> Told<String>;

    /// What lies in a folder of files, by the key of its address; else what it is that cannot be had here.
    fn list(&mut self, folder: &str) -> Told<Result<Vec<Listed>, String>>;

    /// The bytes of a file by its key; `None`: it is gone.
    fn open(&mut self, key: &str) -> Told<Option<Box<dyn Read + '_>>>;

    /// What it holds beside all this, which is not brought in: so many of what.
    fn beside(&mut self) -> Told<Vec<(u64, &'static str)>>;
}

/// A part of a list.
pub(super) struct Page<T> {
    /// Its members, in order.
    pub(super) members: Vec<T>,
    /// What leads to the next one, if there is one.
    pub(super) next: Option<String>,
}

/// An experiment.
#[derive(Deserialize)]
pub(super) struct Experiment {
    #[serde(rename = "experiment_id")]
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) artifact_location: String,
    #[serde(default)]
    pub(super) lifecycle_stage: String,
    pub(super) creation_time: Option<Int>,
    #[serde(default)]
    pub(super) tags: Vec<Tag>,
}

/// A run.
#[derive(Deserialize)]
pub(super) struct Run {
    pub(super) info: Info,
    #[serde(default)]
    pub(super) data: Data,
    #[serde(default)]
    pub(super) inputs: Inputs,
    #[serde(default)]
    pub(super) outputs: Outputs,
}

/// What a run is.
#[derive(Deserialize)]
pub(super) struct Info {
    pub(super) run_id: String,
    #[serde(default)]
    pub(super) run_name: String,
    #[serde(default)]
    pub(super) user_id: String,
    #[serde(default)]
    pub(super) status: String,
    pub(super) start_time: Option<Int>,
    pub(super) end_time: Option<Int>,
    #[serde(default)]
    pub(super) artifact_uri: String,
    #[serde(default)]
    pub(super) lifecycle_stage: String,
}

/// What was logged.
#[derive(Default, Deserialize)]
pub(super) struct Data {
    #[serde(default)]
    pub(super) metrics: Vec<Sent>,
    #[serde(default)]
    pub(super) params: Vec<Tag>,
    #[serde(default)]
    pub(super) tags: Vec<Tag>,
}

/// What a run used.
#[derive(Default, Deserialize)]
pub(super) struct Inputs {
    #[serde(default)]
    pub(super) dataset_inputs: Vec<DatasetInput>,
}

/// What a run made.
#[derive(Default, Deserialize)]
pub(super) struct Outputs {
    #[serde(default)]
    pub(super) model_outputs: Vec<ModelOutput>,
}

/// A logged model that a run made.
#[derive(Deserialize)]
pub(super) struct ModelOutput {
    pub(super) model_id: String,
    pub(super) step: Option<Int>,
}

/// A logged model.
#[derive(Deserialize)]
pub(super) struct LoggedModel {
    pub(super) info: ModelInfo,
    #[serde(default)]
    pub(super) data: Data,
}

/// What a logged model is.
#[derive(Deserialize)]
pub(super) struct ModelInfo {
    pub(super) model_id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) artifact_uri: String,
    pub(super) creation_timestamp_ms: Option<Int>,
    pub(super) last_updated_timestamp_ms: Option<Int>,
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) model_type: String,
    pub(super) source_run_id: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<Tag>,
}

/// A registered model.
#[derive(Deserialize)]
pub(super) struct Registered {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) creation_timestamp: Option<Int>,
    #[serde(default)]
    pub(super) tags: Vec<Tag>,
    #[serde(default)]
    pub(super) aliases: Vec<Alias>,
}

/// An alias of a registered model.
#[derive(Deserialize)]
pub(super) struct Alias {
    pub(super) alias: String,
    pub(super) version: Int,
}

/// A version of a registered model.
#[derive(Deserialize)]
pub(super) struct Version {
    #[serde(rename = "version")]
    pub(super) number: Int,
    #[serde(default)]
    pub(super) source: String,
    #[serde(default)]
    pub(super) run_id: String,
    #[serde(default)]
    pub(super) run_link: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) creation_timestamp: Option<Int>,
    pub(super) last_updated_timestamp: Option<Int>,
    pub(super) current_stage: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<Tag>,
}

/// A member of a folder.
#[derive(Deserialize)]
pub(super) struct Listed {
    pub(super) path: String,
    #[serde(default)]
    pub(super) is_dir: bool,
}

/// An instant, in milliseconds since 1970; 0 if none is told.
pub(super) fn at(time: Option<Int>) -> i64 {
    time.map_or(0, i64::from)
}
