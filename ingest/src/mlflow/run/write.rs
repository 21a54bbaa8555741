//! Runs made, ended, deleted and restored.

use lineage_store::event::{Json, Kind, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::answer;
use super::super::body::{Body, list, required};
use super::super::error::Error;
use super::super::fact::{Fact, NewRun, RunChange, Tag, pairs};
use super::super::model;
use super::super::number::Int;
use super::super::pen::{Pen, Then, time};
use super::answer::{self as shown, Info};
use super::{NAME_TAG, Run, Status, id_of};

/// The tags of `MLflow` that say where code came from, and their names in `code`.
const CODE_TAGS: [(&str, &str); 4] = [
    ("mlflow.source.git.commit", "commit"),
    ("mlflow.source.git.repoURL", "repo"),
    ("mlflow.source.git.branch", "branch"),
    ("mlflow.source.name", "script"),
];

#[derive(Deserialize)]
struct Create {
    experiment_id: Option<String>,
    user_id: Option<String>,
    run_name: Option<String>,
    start_time: Option<Int>,
    #[serde(default, deserialize_with = "list")]
    tags: Vec<Tag>,
}

/// `runs/create`
pub fn create(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let asked: Create = body.read()?;
    let id = asked.experiment_id.filter(|id| !id.is_empty()).unwrap_or_else(|| "0".to_owned());
    let experiment = pen.ledger.experiments.get(&id)?;
    if experiment.deleted {
        let text = format!("The experiment {id} must be in the 'active' state. Current state is deleted.");
        return Err(Error::invalid(text));
    }
    let run = pen.hex();
    let mut tags = pairs(asked.tags);
    let tagged = tags.iter().find(|(key, _)| key == NAME_TAG).map(|(_, name)| name.clone());
    let name = asked.run_name.filter(|name| !name.is_empty()).or(tagged);
    let name = name.unwrap_or_else(|| format!("run-{}", &run[..8]));
    if !tags.iter().any(|(key, _)| key == NAME_TAG) {
        tags.push((NAME_TAG.to_owned(), name.clone()));
    }
    let new = NewRun {
        artifact_uri: format!("{}/{run}/artifacts", experiment.artifact_location.trim_end_matches('/')),
        id: run.clone(),
        experiment: id,
        job: experiment.name.clone(),
        name,
        user: asked.user_id.unwrap_or_default(),
        start: asked.start_time.map_or(pen.stamp.now, i64::from),
        tags,
    };
    write_new(pen, new)?;
    Ok(Then::ask(move |ledger| shown::new(ledger, &run)))
}

/// Writes the beginning of a run.
pub(in super::super) fn write_new(pen: &mut Pen<'_>, new: NewRun) -> Result<(), Error> {
    let (id, job, user) = (new.id.clone(), new.job.clone(), new.user.clone());
    let (started, parent, code) = (time(new.start), pen.parent(&new.tags), code(&new.tags));
    let mut event = pen.event(Kind::Transform, &Fact::Run(new))?;
    event.job = Some(job);
    event.run = Some(id);
    event.state = State::Start;
    event.time = started;
    event.parent = parent;
    event.code = code;
    if !user.is_empty() {
        event.actor = user;
    }
    pen.write(event);
    Ok(())
}

/// Where the code of a run came from, as far as its tags say.
fn code(tags: &[(String, String)]) -> Json {
    let said = CODE_TAGS.iter().filter_map(|(tag, name)| {
        let (_, value) = tags.iter().find(|(key, _)| key == tag)?;
        Some(((*name).to_owned(), Value::from(value.as_str())))
    });
    Json::from_value(&Value::Object(said.collect::<Map<_, _>>())).unwrap_or_default()
}

#[derive(Deserialize)]
struct Update {
    status: Option<Value>,
    end_time: Option<Int>,
    run_name: Option<String>,
}

#[derive(Serialize)]
struct Updated<'a> {
    run_info: Info<'a>,
}

/// `runs/update`
pub fn update(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let id = id_of(body)?;
    let asked: Update = body.read()?;
    let ledger = pen.ledger;
    let run = ledger.runs.found(&id)?.active()?;
    let status = match asked.status {
        None | Some(Value::Null) => None,
        Some(Value::String(word)) => Some(Status::of(&word)?),
        Some(other) => Some(Status::of(&other.to_string())?),
    };
    let change = RunChange {
        run: id.clone(),
        status: status.map(|status| status.as_str().to_owned()),
        end: asked.end_time.map(i64::from),
        name: asked.run_name.filter(|name| !name.is_empty()),
        deleted: None,
    };
    write_change(pen, run, status, change)?;
    Ok(Then::ask(move |ledger| answer(&Updated { run_info: ledger.runs.found(&id)?.info() })))
}

/// Writes a change of a run; at its end also the models that it made and nobody registered.
pub(in super::super) fn write_change(
    pen: &mut Pen<'_>,
    run: &Run,
    status: Option<Status>,
    change: RunChange,
) -> Result<(), Error> {
    let state = match status {
        Some(Status::Finished) => State::Complete,
        Some(Status::Failed) => State::Fail,
        Some(Status::Killed) => State::Abort,
        // A run that is taken up again goes on in the same attempt, so that what it read before still counts.
        Some(Status::Running | Status::Scheduled) | None => State::Running,
    };
    let made = if state.is_terminal() { model::made_by(pen, run) } else { Vec::new() };
    let kind = if made.is_empty() { Kind::Transform } else { Kind::Training };
    let ended = change.end.and_then(time);
    if !made.is_empty() && state != State::Complete {
        // What a run that failed names as an output is partial; these models were whole before it failed.
        let mut event = pen.consequence(Kind::Training);
        (event.job, event.run) = (Some(run.job.to_string()), Some(run.id.to_string()));
        event.state = State::Running;
        event.outputs.clone_from(&made);
        pen.write(event);
    }
    let mut event = pen.of_run(run, kind, state, &Fact::RunChange(change))?;
    if state.is_terminal() {
        event.time = ended;
    }
    if state == State::Complete {
        event.outputs = made;
    }
    pen.write(event);
    Ok(())
}

/// Deletes a run, or restores it.
fn set_deleted(body: &Body, pen: &mut Pen<'_>, deleted: bool) -> Result<Then, Error> {
    let id = required(Some(id_of(body)?), "run_id")?;
    let ledger = pen.ledger;
    let run = ledger.runs.found(&id)?;
    let change = RunChange { run: id, deleted: Some(deleted), ..RunChange::default() };
    write_change(pen, run, None, change)?;
    Ok(Then::Empty)
}

/// `runs/delete`
pub fn delete(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    set_deleted(body, pen, true)
}

/// `runs/restore`
pub fn restore(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    set_deleted(body, pen, false)
}
