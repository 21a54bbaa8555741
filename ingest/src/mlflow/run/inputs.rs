//! What runs used and made: datasets and models.

use lineage_store::event::{EntityKind, Input, Kind, Ref, Role, State};
use serde::Deserialize;

use super::super::body::{Body, list, required};
use super::super::dataset;
use super::super::error::Error;
use super::super::fact::{DatasetInput, Fact, Inputs, RunModel};
use super::super::number::Int;
use super::super::pen::{Pen, Then};
use super::id_of;

/// The most datasets or models of one request, as `MLflow` has it.
const INPUTS_MAX: usize = 1000;

#[derive(Deserialize)]
struct ModelInput {
    model_id: Option<String>,
}

#[derive(Deserialize)]
struct LogInputs {
    #[serde(default, deserialize_with = "list")]
    datasets: Vec<DatasetInput>,
    #[serde(default, deserialize_with = "list")]
    models: Vec<ModelInput>,
}

/// `runs/log-inputs`
pub fn log_inputs(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let id = id_of(body)?;
    let asked: LogInputs = body.read()?;
    let ledger = pen.ledger;
    let run = ledger.runs.found(&id)?.active()?;
    if asked.datasets.len() + asked.models.len() > INPUTS_MAX {
        return Err(Error::invalid(format!("at most {INPUTS_MAX} inputs are taken at once")));
    }
    let mut inputs = Vec::new();
    for input in &asked.datasets {
        if input.dataset.name.is_empty() {
            return Err(Error::invalid("Missing value for required parameter 'name' of a dataset"));
        }
        inputs.push(dataset::input(input, pen.stamp.is_made));
    }
    let mut models = Vec::new();
    for model in asked.models {
        let id = required(model.model_id, "model_id")?;
        let name = pen.ledger.models.found(&id)?.lineage_name(pen.ledger);
        let reference = Ref { label: Some(name.1), ..Ref::named(EntityKind::Model, name.0) };
        inputs.push(Input { reference, role: Role::Base, size: None, inferred: false });
        models.push(id);
    }
    let fact = Fact::Inputs(Inputs { run: id, datasets: asked.datasets, models });
    let mut event = pen.of_run(run, Kind::Transform, State::Running, &fact)?;
    event.inputs = inputs;
    pen.write(event);
    Ok(Then::Empty)
}

#[derive(Deserialize)]
struct ModelOutput {
    model_id: Option<String>,
    step: Option<Int>,
}

#[derive(Deserialize)]
struct LogOutputs {
    #[serde(default, deserialize_with = "list")]
    models: Vec<ModelOutput>,
}

/// `runs/outputs`
pub fn log_outputs(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let id = id_of(body)?;
    let asked: LogOutputs = body.read()?;
    let ledger = pen.ledger;
    let run = ledger.runs.found(&id)?.active()?;
    let mut models = Vec::new();
    for model in asked.models {
        models.push((required(model.model_id, "model_id")?, model.step.map_or(0, i64::from)));
    }
    let event = pen.of_run(run, Kind::Training, State::Running, &Fact::Outputs { run: id, models })?;
    pen.write(event);
    Ok(Then::Empty)
}

#[derive(Deserialize)]
struct LogModel {
    model_json: Option<String>,
}

#[derive(Deserialize)]
struct ModelJson {
    artifact_path: Option<String>,
    name: Option<String>,
    model_uuid: Option<String>,
}

/// `runs/log-model`, as clients before 3.0 send it.
pub fn log_model(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let id = id_of(body)?;
    let json = required(body.read::<LogModel>()?.model_json, "model_json")?;
    let ledger = pen.ledger;
    let run = ledger.runs.found(&id)?.active()?;
    let said: ModelJson = serde_json::from_str(&json)
        .map_err(|error| Error::invalid(format!("Malformed model info. \n{}", error.to_string().escape_debug())))?;
    let path = required(said.artifact_path.or(said.name), "artifact_path")?;
    let fact = Fact::RunModel(RunModel { run: id, path, uuid: said.model_uuid, json });
    let event = pen.of_run(run, Kind::Training, State::Running, &fact)?;
    pen.write(event);
    Ok(Then::Empty)
}
