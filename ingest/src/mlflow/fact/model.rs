//! What requests say of logged and of registered models.

use serde::{Deserialize, Serialize};

use super::Pair;

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
