//! Facts: what one request of an `MLflow` client says, as the facet `mlflow` of the event that carries it.
//!
//! They are the truth for every read of the protocol: the [`super::Ledger`] is folded from them alone. Times are
//! milliseconds since 1970, as in the protocol.

mod experiment;
mod model;
mod run;

use std::borrow::Cow;

use lineage_store::event::Json;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::number::{Double, Int};

pub(super) use experiment::{ExperimentChange, NewExperiment};
pub(super) use model::{ModelChange, NewModel, NewRegistered, NewVersion, RegisteredChange, VersionChange};
pub(super) use run::{Dataset, DatasetInput, Inputs, Logged, NewRun, RunChange, RunModel};

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

/// A tag as the protocol has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The key.
    pub key: String,
    /// The value.
    #[serde(default)]
    pub value: String,
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
