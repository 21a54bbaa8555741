//! Logged models begun, finished, described, tagged and deleted.

use lineage_store::event::{EntityKind, Kind, Output, Ref, State};
use serde::Deserialize;

use super::super::body::{Body, list};
use super::super::error::Error;
use super::super::fact::{Fact, ModelChange, NewModel, Tag, pairs};
use super::super::file;
use super::super::pen::{Pen, Then, model as reference, time};
use super::super::run::Run;
use super::answer::one;
use super::{READY, STATUSES};

#[derive(Deserialize)]
struct Create {
    experiment_id: Option<String>,
    name: Option<String>,
    model_type: Option<String>,
    source_run_id: Option<String>,
    #[serde(default, deserialize_with = "list")]
    params: Vec<Tag>,
    #[serde(default, deserialize_with = "list")]
    tags: Vec<Tag>,
}

/// `POST logged-models`
pub fn create(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let asked: Create = body.read()?;
    let ledger = pen.ledger;
    let experiment = ledger.experiments.get(asked.experiment_id.as_deref().unwrap_or("0"))?;
    if let Some(run) = asked.source_run_id.as_deref().filter(|run| !run.is_empty()) {
        ledger.runs.found(run)?;
    }
    let id = format!("m-{}", pen.hex());
    let new = NewModel {
        artifact_uri: format!("{}/models/{id}/artifacts", experiment.artifact_location.trim_end_matches('/')),
        name: asked.name.filter(|name| !name.is_empty()).unwrap_or_else(|| id[..10].to_owned()),
        experiment: experiment.id.clone(),
        run: asked.source_run_id.filter(|run| !run.is_empty()),
        model_type: asked.model_type.unwrap_or_default(),
        params: pairs(asked.params),
        tags: pairs(asked.tags),
        at: pen.stamp.now,
        id: id.clone(),
    };
    write_new(pen, new)?;
    Ok(Then::ask(move |ledger| one(ledger, &id)))
}

/// Writes that a model was begun.
pub(in super::super) fn write_new(pen: &mut Pen<'_>, new: NewModel) -> Result<(), Error> {
    let run = new.run.as_deref().and_then(|run| pen.ledger.runs.get(run));
    let (name, at) = (new.name.clone(), new.at);
    let fact = Fact::Model(new);
    let mut event = match run {
        Some(run) => pen.of_run(run, Kind::Training, State::Running, &fact)?,
        None => pen.event(Kind::Register, &fact)?,
    };
    if run.is_none() {
        event.outputs.push(Output { reference: Ref::named(EntityKind::Model, name), ..Output::default() });
        event.time = time(at);
    }
    pen.write(event);
    Ok(())
}

/// Writes a change of a model; one that becomes whole when its run is over, or has none, becomes a version by that.
pub(in super::super) fn write_change(pen: &mut Pen<'_>, change: ModelChange) -> Result<(), Error> {
    let ledger = pen.ledger;
    let model = ledger.models.found(&change.id)?;
    let run = model.run.as_deref().and_then(|run| ledger.runs.get(run));
    let ready = change.status.as_deref() == Some(READY) && model.registered.is_empty();
    let late = ready && run.is_none_or(Run::is_over);
    let fact = Fact::ModelChange(change);
    let mut event = match run {
        Some(run) => pen.of_run(run, Kind::Training, State::Running, &fact)?,
        None => pen.event(Kind::Register, &fact)?,
    };
    if late {
        event.outputs.push(file::model_output(pen, reference(&model.name, &model.id), &model.artifact_uri));
    } else if run.is_none() {
        event.outputs.push(Output { reference: Ref::named(EntityKind::Model, &*model.name), ..Output::default() });
    }
    pen.write(event);
    Ok(())
}

#[derive(Deserialize)]
struct Finish {
    status: Option<serde_json::Value>,
}

/// `PATCH logged-models/{model_id}`
pub fn finish(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let id = body.part(0).to_owned();
    let status = match body.read::<Finish>()?.status {
        Some(serde_json::Value::String(word)) => STATUSES.into_iter().find(|status| *status == word),
        Some(serde_json::Value::Number(number)) => {
            number.as_u64().and_then(|number| STATUSES.get(usize::try_from(number).ok()?).copied())
        }
        _ => None,
    };
    let status = status.ok_or_else(|| Error::invalid(format!("'status' must be one of {}", STATUSES.join(", "))))?;
    let at = pen.stamp.now;
    write_change(pen, ModelChange { id: id.clone(), status: Some(status.to_owned()), at, ..ModelChange::default() })?;
    Ok(Then::ask(move |ledger| one(ledger, &id)))
}

#[derive(Deserialize)]
struct Tagged {
    #[serde(default, deserialize_with = "list")]
    tags: Vec<Tag>,
    #[serde(default, deserialize_with = "list")]
    params: Vec<Tag>,
}

/// `PATCH logged-models/{model_id}/tags`
pub fn set_tags(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let tags = body.read::<Tagged>()?.tags.into_iter().map(|tag| (tag.key, Some(tag.value))).collect();
    let (id, at) = (body.part(0).to_owned(), pen.stamp.now);
    write_change(pen, ModelChange { id, tags, at, ..ModelChange::default() })?;
    Ok(Then::Empty)
}

/// `DELETE logged-models/{model_id}/tags/{tag_key}`
pub fn delete_tag(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let tags = vec![(body.part(1).to_owned(), None)];
    let (id, at) = (body.part(0).to_owned(), pen.stamp.now);
    write_change(pen, ModelChange { id, tags, at, ..ModelChange::default() })?;
    Ok(Then::Empty)
}

/// `POST logged-models/{model_id}/params`
pub fn log_params(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let params = pairs(body.read::<Tagged>()?.params);
    let (id, at) = (body.part(0).to_owned(), pen.stamp.now);
    write_change(pen, ModelChange { id, params, at, ..ModelChange::default() })?;
    Ok(Then::Empty)
}

/// `DELETE logged-models/{model_id}`
pub fn delete(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let (id, at) = (body.part(0).to_owned(), pen.stamp.now);
    write_change(pen, ModelChange { id, deleted: true, at, ..ModelChange::default() })?;
    Ok(Then::Empty)
}
