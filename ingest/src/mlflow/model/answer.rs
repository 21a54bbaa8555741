//! Logged models as the protocol has them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::{Answer, Body, Ledger, answer};
use super::{Measured, Model};

/// A model as the protocol has it.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    info: Info<'a>,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Info<'a> {
    model_id: &'a str,
    experiment_id: &'a str,
    name: &'a str,
    creation_timestamp_ms: i64,
    last_updated_timestamp_ms: i64,
    artifact_uri: &'a str,
    status: &'a str,
    model_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_run_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair<'a>>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<Pair<'a>>,
    #[serde(skip_serializing_if = "<[Measured]>::is_empty")]
    metrics: &'a [Measured],
}

#[derive(Serialize)]
struct Pair<'a> {
    key: &'a str,
    value: &'a str,
}

fn list_of(values: &BTreeMap<String, String>) -> Vec<Pair<'_>> {
    values.iter().map(|(key, value)| Pair { key, value }).collect()
}

impl Model {
    pub(super) fn show(&self) -> Shown<'_> {
        Shown {
            info: Info {
                model_id: &self.id,
                experiment_id: &self.experiment,
                name: &self.name,
                creation_timestamp_ms: self.created,
                last_updated_timestamp_ms: self.updated,
                artifact_uri: &self.artifact_uri,
                status: &self.status,
                model_type: &self.flavor,
                source_run_id: self.run.as_deref(),
                tags: list_of(&self.tags),
            },
            data: Data { params: list_of(&self.params), metrics: &self.metrics },
        }
    }
}

#[derive(Serialize)]
struct One<'a> {
    model: Shown<'a>,
}

pub(super) fn one(ledger: &Ledger, id: &str) -> Answer {
    answer(&One { model: ledger.models.found(id)?.show() })
}

/// `GET logged-models/{model_id}`
pub fn get(body: &Body, ledger: &Ledger) -> Answer {
    one(ledger, body.part(0))
}
