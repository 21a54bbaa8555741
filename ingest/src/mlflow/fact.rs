//! Facts: what one request of an `MLflow` client says, as the facet `mlflow` of the event that carries it.
//!
//! They are the truth for every read of the protocol: the [`super::Ledger`] is folded from them alone. Times are
//! milliseconds since 1970, as in the protocol.

use std::borrow::Cow;

use lineage_store::event::Json;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::number::{Double, Int};

/// The facet that holds a fact.
pub const FACET: &str = "mlflow";

/// A key and its value.
pub(super) type Pair = (String, String);

/// Key, value, time and step of one measurement.
pub(super) type Row = (String, Double, i64, i64);

/// What a request says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// An experiment was made.
    Experiment(NewExperiment),
    /// An experiment was renamed, deleted, restored or tagged.
    ExperimentChange(ExperimentChange),
    /// A run was made.
    Run(NewRun),
    /// A run was renamed, ended, deleted or restored.
    RunChange(RunChange),
    /// Metrics, parameters and tags of a run.
    Logged(Logged),
    /// A tag of a run was taken away.
    RunTagGone {
        /// The run.
        run: String,
        /// The key.
        key: String,
    },
    /// Datasets and models that a run used.
    Inputs(Inputs),
    /// Models that a run made, with the step of each.
    Outputs {
        /// The run.
        run: String,
        /// Ids of logged models, and steps.
        models: Vec<(String, i64)>,
    },
    /// A model among the files of a run, as clients before 3.0 log them.
    RunModel(RunModel),
    /// A logged model was begun.
    Model(NewModel),
    /// A logged model was finished or deleted.
    ModelChange(ModelChange),
    /// A registered model was made.
    Registered(NewRegistered),
    /// A registered model was described, renamed, deleted or tagged.
    RegisteredChange(RegisteredChange),
    /// A version of a registered model was made.
    Version(NewVersion),
    /// A version was described, moved to a stage, deleted or tagged.
    VersionChange(VersionChange),
    /// An alias was set, or removed where no version stands.
    Alias {
        /// The registered model.
        name: String,
        /// The alias.
        alias: String,
        /// The version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u32>,
    },
    /// A file was stored.
    File(NewFile),
    /// A file, or every file below a folder, was taken out of the list.
    FileGone {
        /// Its path.
        path: String,
    },
}

/// A new experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewExperiment {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where clients send the files of its runs.
    pub artifact_location: String,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Pair>,
    /// When.
    pub at: i64,
}

/// What changed of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExperimentChange {
    /// Its id.
    pub id: String,
    /// Its new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is deleted now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
    /// A tag, without value: taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<(String, Option<String>)>,
    /// When.
    pub at: i64,
}

/// A new run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewRun {
    /// Its id.
    pub id: String,
    /// The id of its experiment.
    pub experiment: String,
    /// The name that the experiment had: the job of the run's events.
    pub job: String,
    /// Its name.
    pub name: String,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// When it began.
    pub start: i64,
    /// Where its files are.
    pub artifact_uri: String,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Pair>,
}

/// What changed of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunChange {
    /// Its id.
    pub run: String,
    /// Its status: `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED` or `KILLED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
    /// Its new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is deleted now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
}

/// What was logged to a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// The run.
    pub run: String,
    /// Measurements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Row>,
    /// The logged model that they measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Name and digest of the dataset that they were measured on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<Pair>,
    /// Parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Pair>,
    /// Tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Pair>,
}

/// What a run used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// The run.
    pub run: String,
    /// Datasets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<DatasetInput>,
    /// Ids of logged models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

/// A dataset that a run used, as its client describes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DatasetInput {
    /// Its tags, such as the context.
    #[serde(default)]
    pub tags: Vec<Tag>,
    /// What it is.
    pub dataset: Dataset,
}

/// A tag as the protocol has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The key.
    pub key: String,
    /// The value.
    #[serde(default)]
    pub value: String,
}

/// A dataset as the protocol has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// A short digest of what was loaded.
    #[serde(default)]
    pub digest: String,
    /// Which kind of source it has.
    #[serde(default)]
    pub source_type: String,
    /// The source, JSON as text.
    #[serde(default)]
    pub source: String,
    /// Its columns, JSON as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Rows and the like, JSON as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

/// A model among the files of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunModel {
    /// The run.
    pub run: String,
    /// Its path below the files of the run, which is its name.
    pub path: String,
    /// Its own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Everything that the client says of it, JSON as text.
    pub json: String,
}

/// A new logged model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewModel {
    /// Its id, `m-` and 32 digits.
    pub id: String,
    /// The id of its experiment.
    pub experiment: String,
    /// Its name.
    pub name: String,
    /// The run that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What kind of model it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model_type: String,
    /// Where its files are.
    pub artifact_uri: String,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Pair>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Pair>,
    /// When.
    pub at: i64,
}

/// What changed of a logged model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelChange {
    /// Its id.
    pub id: String,
    /// Its status, such as `LOGGED_MODEL_READY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Whether it is deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Further parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Pair>,
    /// Tags, without value: taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, Option<String>)>,
    /// When.
    pub at: i64,
}

/// A new registered model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewRegistered {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Pair>,
    /// When.
    pub at: i64,
}

/// What changed of a registered model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RegisteredChange {
    /// Its name so far.
    pub name: String,
    /// Its new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it is deleted, with its versions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// A tag, without value: taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<(String, Option<String>)>,
    /// When.
    pub at: i64,
}

/// A new version of a registered model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewVersion {
    /// The registered model.
    pub name: String,
    /// Its number, from 1.
    pub version: u32,
    /// Where the client says it comes from.
    pub source: String,
    /// Where its files are.
    pub storage: String,
    /// The run that made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// A page about that run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run_link: String,
    /// The logged model that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Pair>,
    /// When.
    pub at: i64,
}

/// What changed of a version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VersionChange {
    /// The registered model.
    pub name: String,
    /// Its number.
    pub version: u32,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The stage that it is in now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Whether it is deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// A tag, without value: taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<(String, Option<String>)>,
    /// When.
    pub at: i64,
}

/// A file that was stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewFile {
    /// Its path, such as `1/RUN/artifacts/plot.png`.
    pub path: String,
    /// The blake3 digest of its bytes, 64 hexadecimal digits.
    pub blake3: String,
    /// The SHA-256 of its bytes, 64 hexadecimal digits.
    pub sha256: String,
    /// Its bytes.
    pub size: u64,
}

impl Fact {
    /// The facets of the event that carries it.
    pub(super) fn facets(&self) -> Result<Json, String> {
        let fact = serde_json::to_string(self).map_err(|error| error.to_string())?;
        Json::canonical(&format!("{{\"{FACET}\":{fact}}}"))
    }

    /// The fact of an event, if it carries one; `outlined` gives the facet where it was moved out of the event.
    ///
    /// Only events of the namespace in which `MLflow`'s clients write count: whoever may write elsewhere says nothing
    /// here. What is no fact that this program knows is none.
    pub fn of_leaf(leaf: &[u8], outlined: impl FnOnce() -> Option<Vec<u8>>) -> Option<Self> {
        let text = std::str::from_utf8(leaf).ok()?;
        if !text.contains("\"mlflow\":") && !text.contains("\"facets.mlflow\":") {
            return None;
        }
        let said: Said<'_> = serde_json::from_str(text).ok()?;
        if said.namespace != super::NAMESPACE {
            return None;
        }
        match said.facets.and_then(|facets| facets.mlflow) {
            Some(fact) => serde_json::from_str(fact.get()).ok(),
            None if said.outlined.is_some_and(|outlined| outlined.mlflow.is_some()) => {
                serde_json::from_slice(&outlined()?).ok()
            }
            None => None,
        }
    }
}

/// The parts of a leaf in which a fact stands.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    facets: Option<Facets<'a>>,
    #[serde(borrow)]
    outlined: Option<OutlinedFacets<'a>>,
}

#[derive(Deserialize)]
struct Facets<'a> {
    #[serde(borrow)]
    mlflow: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OutlinedFacets<'a> {
    #[serde(borrow, rename = "facets.mlflow")]
    mlflow: Option<&'a RawValue>,
}

/// The pairs of tags or parameters.
pub(super) fn pairs(tags: Vec<Tag>) -> Vec<Pair> {
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

impl From<Int> for i64 {
    fn from(int: Int) -> Self {
        int.0
    }
}
