//! Logged models: models as runs of clients from 3.0 on make them, before anyone registers them.

mod answer;
mod search;
mod write;

use std::collections::{BTreeMap, HashMap};

use lineage_store::event::Output;
use serde::Serialize;

use super::error::Error;
use super::fact::{Logged, ModelChange, NewModel, NewVersion};
use super::file;
use super::ledger::Ledger;
use super::number::Double;
use super::pen::{Pen, model as reference};
use super::run::Run;

pub use answer::get;
pub use search::search;
pub use write::{create, delete, delete_tag, finish, log_params, set_tags};
pub(super) use write::{write_change, write_new};

/// Its files are still coming.
const PENDING: &str = "LOGGED_MODEL_PENDING";
/// Its files are whole.
const READY: &str = "LOGGED_MODEL_READY";
/// The words of a status, by their numbers in protobuf.
pub(super) const STATUSES: [&str; 4] =
    ["LOGGED_MODEL_STATUS_UNSPECIFIED", PENDING, READY, "LOGGED_MODEL_UPLOAD_FAILED"];
/// The tag that lists the versions that a model became.
pub(super) const VERSIONS_TAG: &str = "mlflow.modelVersions";

/// One logged model.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) id: String,
    pub(super) experiment: String,
    pub(super) name: String,
    pub(super) run: Option<String>,
    pub(super) artifact_uri: String,
    /// What kind of model it is, in the words of its flavor.
    flavor: String,
    status: String,
    created: i64,
    updated: i64,
    deleted: bool,
    params: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
    metrics: Vec<Measured>,
    /// The versions that it became.
    registered: Vec<(String, u32)>,
}

/// A measurement of a model.
#[derive(Clone, Debug, Serialize)]
struct Measured {
    key: String,
    value: Double,
    timestamp: i64,
    step: i64,
    model_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_digest: Option<String>,
    run_id: String,
}

impl Model {
    /// Name and label of the version that stands for it: that of the registry, else its own.
    pub(super) fn lineage_name(&self, ledger: &Ledger) -> (String, String) {
        let registered =
            self.registered.first().and_then(|(name, version)| ledger.registry.lineage_name(name, *version));
        registered.unwrap_or_else(|| (self.name.clone(), self.id.clone()))
    }

    fn is_whole(&self) -> bool {
        self.status == READY && !self.deleted
    }
}

/// All logged models.
#[derive(Debug, Default)]
pub(super) struct Models {
    all: Vec<Model>,
    by_id: HashMap<String, usize>,
    by_run: HashMap<String, Vec<usize>>,
}

impl Models {
    /// A model that must be there.
    pub(super) fn found(&self, id: &str) -> Result<&Model, Error> {
        let model = self.by_id.get(id).map(|at| &self.all[*at]).filter(|model| !model.deleted);
        model.ok_or_else(|| Error::missing("a logged model with the id", id))
    }

    fn get_mut(&mut self, id: &str) -> Option<&mut Model> {
        self.by_id.get(id).map(|at| &mut self.all[*at])
    }

    fn of_run(&self, run: &str) -> impl Iterator<Item = &Model> {
        self.by_run.get(run).into_iter().flatten().map(|at| &self.all[*at])
    }

    pub(super) fn add(&mut self, new: NewModel) {
        if self.by_id.contains_key(&new.id) {
            return;
        }
        self.by_id.insert(new.id.clone(), self.all.len());
        if let Some(run) = &new.run {
            self.by_run.entry(run.clone()).or_default().push(self.all.len());
        }
        self.all.push(Model {
            id: new.id,
            experiment: new.experiment,
            name: new.name,
            run: new.run,
            artifact_uri: new.artifact_uri,
            flavor: new.model_type,
            status: PENDING.to_owned(),
            created: new.at,
            updated: new.at,
            deleted: false,
            params: new.params.into_iter().collect(),
            tags: new.tags.into_iter().collect(),
            metrics: Vec::new(),
            registered: Vec::new(),
        });
    }

    pub(super) fn change(&mut self, change: ModelChange) {
        let Some(model) = self.get_mut(&change.id) else { return };
        if let Some(status) = change.status {
            model.status = status;
            model.updated = change.at;
        }
        model.deleted |= change.deleted;
        model.params.extend(change.params);
        for (key, value) in change.tags {
            match value {
                Some(value) => drop(model.tags.insert(key, value)),
                None => drop(model.tags.remove(&key)),
            }
        }
    }

    /// Measurements that name a model are also its own.
    pub(super) fn measure(&mut self, logged: &Logged) {
        let Some(model) = logged.model.as_deref().and_then(|id| self.get_mut(id)) else { return };
        for (key, value, timestamp, step) in &logged.metrics {
            let (dataset_name, dataset_digest) = logged.dataset.clone().unzip();
            let measured = Measured {
                key: key.clone(),
                value: *value,
                timestamp: *timestamp,
                step: *step,
                model_id: model.id.clone(),
                dataset_name,
                dataset_digest,
                run_id: logged.run.clone(),
            };
            // The latest of each key and dataset stands.
            let same =
                |other: &Measured| (&other.key, &other.dataset_digest) == (&measured.key, &measured.dataset_digest);
            match model.metrics.iter_mut().find(|other| same(other)) {
                Some(other) if (other.step, other.timestamp) > (measured.step, measured.timestamp) => {}
                Some(other) => *other = measured,
                None => model.metrics.push(measured),
            }
        }
    }

    /// A version that was made from a model is written on it, as `MLflow`'s server does.
    pub(super) fn registered(&mut self, new: &NewVersion) {
        let Some(model) = new.model.as_deref().and_then(|id| self.get_mut(id)) else { return };
        if model.registered.iter().any(|(name, version)| (name, *version) == (&new.name, new.version)) {
            return;
        }
        model.registered.push((new.name.clone(), new.version));
        let before = model.tags.get(VERSIONS_TAG).map_or("[]", String::as_str).trim_end().trim_end_matches(']');
        let comma = if before.trim() == "[" { "" } else { ", " };
        let name = serde_json::Value::from(new.name.as_str());
        let tag = format!("{before}{comma}{{\"name\": {name}, \"version\": {}}}]", new.version);
        model.tags.insert(VERSIONS_TAG.to_owned(), tag);
    }
}

/// The models that a run made, are whole, and have no other name in the registry, as outputs.
pub(super) fn made_by(pen: &mut Pen<'_>, run: &Run) -> Vec<Output> {
    let ledger = pen.ledger;
    let mut made = Vec::new();
    for model in ledger.models.of_run(&run.id).filter(|model| model.is_whole() && model.registered.is_empty()) {
        made.push(file::model_output(pen, reference(&model.name, &model.id), &model.artifact_uri));
    }
    for (path, uuid) in &run.models {
        let uri = format!("{}/{path}", run.artifact_uri);
        if !ledger.registry.is_storage(&uri) {
            let label = uuid.as_deref().map_or_else(|| format!("{}/{path}", run.id), str::to_owned);
            made.push(file::model_output(pen, reference(path, &label), &uri));
        }
    }
    made
}
