//! What runs used and made: datasets and models.

use lineage_store::event::{Input, Kind, Role, State};
use serde::Deserialize;

use super::super::body::{Body, list, required};
use super::super::dataset;
use super::super::error::Error;
use super::super::fact::{DatasetInput, Fact, Inputs, RunModel};
use super::super::number::Int;
use super::super::pen::{Pen, Then, model};
use super::{Run, id_of};

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
    let models = asked.models.into_iter().map(|model| required(model.model_id, "model_id"));
    let models = models.collect::<Result<Vec<_>, _>>()?;
    write_inputs(pen, run, asked.datasets, models)?;
    Ok(Then::Empty)
}

/// Writes the datasets and models that a run used.
pub(in super::super) fn write_inputs(
    pen: &mut Pen<'_>,
    run: &Run,
    datasets: Vec<DatasetInput>,
    models: Vec<String>,
) -> Result<(), Error> {
    let mut inputs = Vec::new();
    for input in &datasets {
        if input.dataset.name.is_empty() {
            return Err(Error::invalid("Missing value for required parameter 'name' of a dataset"));
        }
        inputs.push(dataset::input(input, pen.stamp.is_made));
    }
    for id in &models {
        let (name, label) = pen.ledger.models.found(id)?.lineage_name(pen.ledger);
        inputs.push(Input { reference: model(&name, &label), role: Role::Base, size: None, inferred: false });
    }
    let fact = Fact::Inputs(Inputs { run: run.id.to_string(), datasets, models });
    let mut event = pen.of_run(run, Kind::Transform, State::Running, &fact)?;
    event.inputs = inputs;
    pen.write(event);
    Ok(())
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
    write_outputs(pen, run, models)?;
    Ok(Then::Empty)
}

/// Writes the logged models that a run made, with their steps.
pub(in super::super) fn write_outputs(pen: &mut Pen<'_>, run: &Run, models: Vec<(String, i64)>) -> Result<(), Error> {
    let fact = Fact::Outputs { run: run.id.to_string(), models };
    let event = pen.of_run(run, Kind::Training, State::Running, &fact)?;
    pen.write(event);
    Ok(())
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
    write_model(pen, ledger.runs.found(&id)?.active()?, json)?;
    Ok(Then::Empty)
}

/// Writes a model among the files of a run.
pub(in super::super) fn write_model(pen: &mut Pen<'_>, run: &Run, json: String) -> Result<(), Error> {
    let said: ModelJson = serde_json::from_str(&json)
        .map_err(|error| Error::invalid(format!("Malformed model info. \n{}", error.to_string().escape_debug())))?;
    let path = required(said.artifact_path.or(said.name), "artifact_path")?;
    let fact = Fact::RunModel(RunModel { run: run.id.to_string(), path, uuid: said.model_uuid, json });
    let event = pen.of_run(run, Kind::Training, State::Running, &fact)?;
    pen.write(event);
    Ok(())
}
