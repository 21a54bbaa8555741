//! What requests say of experiments.

use serde::{Deserialize, Serialize};

use super::Pair;

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
