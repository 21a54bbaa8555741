//! Runs as the protocol has them.

use serde::Serialize;

use super::super::fact::DatasetInput;
use super::super::ledger::{Ledger, Values};
use super::super::metric;
use super::super::{Answer, Body, Stage, answer};
use super::{Run, id_of};

/// A run.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    info: Info<'a>,
    data: Data<'a>,
    inputs: Inputs<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Outputs<'a>>,
}

/// What a run is.
#[derive(Serialize)]
pub(super) struct Info<'a> {
    run_uuid: &'a str,
    experiment_id: &'a str,
    run_name: &'a str,
    user_id: &'a str,
    status: &'a str,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: &'a str,
    lifecycle_stage: Stage,
    run_id: &'a str,
}

/// A key and its value.
#[derive(Serialize)]
pub(in super::super) struct Pair<'a> {
    key: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<metric::Shown<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<Pair<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair<'a>>,
}

#[derive(Serialize)]
struct Inputs<'a> {
    #[serde(skip_serializing_if = "<[DatasetInput]>::is_empty")]
    dataset_inputs: &'a [DatasetInput],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_inputs: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Outputs<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_outputs: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    model_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<i64>,
}

/// Values as lists of keys and values.
pub(in super::super) fn pairs(values: &Values) -> Vec<Pair<'_>> {
    values.iter().map(|(key, value)| Pair { key, value }).collect()
}

impl Run {
    pub(super) fn info(&self) -> Info<'_> {
        Info {
            run_uuid: &self.id,
            experiment_id: &self.experiment,
            run_name: &self.name,
            user_id: &self.user,
            status: self.status.as_str(),
            start_time: self.start,
            end_time: self.end,
            artifact_uri: &self.artifact_uri,
            lifecycle_stage: Stage::of(self.deleted),
            run_id: &self.id,
        }
    }

    pub(super) fn show(&self) -> Shown<'_> {
        let metrics = self.metrics.iter().map(|(key, series)| metric::Shown::of(key, series.latest())).collect();
        let used = self.models_used.iter().map(|id| Model { model_id: id, step: None }).collect();
        let made = self.models_made.iter().map(|(id, step)| Model { model_id: id, step: Some(*step) }).collect();
        Shown {
            info: self.info(),
            data: Data { metrics, params: pairs(&self.params), tags: pairs(&self.tags) },
            inputs: Inputs { dataset_inputs: &self.datasets, model_inputs: used },
            outputs: Some(Outputs { model_outputs: made }),
        }
    }
}

#[derive(Serialize)]
struct One<'a> {
    run: Shown<'a>,
}

/// A run that was made a moment ago, of which no outputs are told.
pub(super) fn new(ledger: &Ledger, id: &str) -> Answer {
    answer(&One { run: Shown { outputs: None, ..ledger.runs.found(id)?.show() } })
}

/// A run by its id.
fn one(ledger: &Ledger, id: &str) -> Answer {
    answer(&One { run: ledger.runs.found(id)?.show() })
}

/// `runs/get`
pub fn get(body: &Body, ledger: &Ledger) -> Answer {
    one(ledger, &id_of(body)?)
}
