//! What requests say of runs: what they are, what was logged to them, and what they used and made.

use serde::{Deserialize, Serialize};

use super::{Pair, Row, Tag};

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
