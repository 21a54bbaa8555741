//! Versions of registered models: each is a version of a model that a training made.

use lineage_store::event::{Args, Event, Kind, State};
use serde::Deserialize;

use super::super::body::{Body, list, required};
use super::super::error::{Code, Error};
use super::super::fact::{Fact, NewVersion, Tag, VersionChange, pairs};
use super::super::file;
use super::super::ledger::Ledger;
use super::super::number::Int;
use super::super::pen::{Pen, Then, about, model as reference, time};
use super::shown::{number, one_version};
use super::write::tag_events;
use super::{Registered, Version, stage};

#[derive(Deserialize)]
struct Create {
    name: Option<String>,
    source: Option<String>,
    run_id: Option<String>,
    run_link: Option<String>,
    description: Option<String>,
    model_id: Option<String>,
    #[serde(default, deserialize_with = "list")]
    tags: Vec<Tag>,
}

/// `model-versions/create`
pub fn create_version(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let asked: Create = body.read()?;
    let (name, source) = (required(asked.name, "name")?, required(asked.source, "source")?);
    let ledger = pen.ledger;
    let (run, model) = (asked.run_id.filter(|id| !id.is_empty()), asked.model_id.filter(|id| !id.is_empty()));
    let from = Origin::of(ledger, &source, run.clone(), model.clone())?;
    let number = ledger.registry.found(&name)?.next;
    let new = NewVersion {
        name: name.clone(),
        version: number,
        storage: from.storage,
        source,
        run: run.or(from.run).unwrap_or_default(),
        run_link: asked.run_link.unwrap_or_default(),
        model: model.or(from.model),
        description: asked.description.unwrap_or_default(),
        tags: pairs(asked.tags),
        at: pen.stamp.now,
    };
    write_new(pen, new)?;
    Ok(Then::ask(move |ledger| one_version(ledger, &name, number)))
}

/// Where the source of a version leads: its files, and the run and the model that they are of.
struct Origin {
    storage: String,
    run: Option<String>,
    model: Option<String>,
}

impl Origin {
    /// Resolves a source; a run or model that a client names beside it must be the one that the files belong to.
    fn of(ledger: &Ledger, source: &str, run: Option<String>, model: Option<String>) -> Result<Self, Error> {
        let (scheme, rest) = source.split_once(':').unwrap_or_default();
        let rest = rest.trim_matches('/');
        match scheme {
            "models" => Self::of_model(ledger, source, rest),
            "runs" => {
                let (id, path) = rest.split_once('/').unwrap_or((rest, ""));
                let of = ledger.runs.found(id)?;
                let storage = format!("{}/{path}", of.artifact_uri).trim_end_matches('/').to_owned();
                Ok(Self { storage, run: Some(id.to_owned()), model: None })
            }
            "mlflow-artifacts" => {
                let of_model = model.as_deref().and_then(|id| ledger.models.found(id).ok()).map(|m| &*m.artifact_uri);
                let of_run = run.as_deref().and_then(|id| ledger.runs.get(id)).map(|run| &*run.artifact_uri);
                if !of_model.or(of_run).is_some_and(|root| file::is_within(source, root)) {
                    let what = if model.is_some() { "model_id" } else { "run_id" };
                    let text =
                        format!("The {what} request parameter must identify the resource that contains the source.");
                    return Err(invalid(source, &text));
                }
                Ok(Self { storage: source.to_owned(), run, model })
            }
            "" | "file" => Err(invalid(source, "A path of a client's machine cannot be a source here.")),
            _ => Ok(Self { storage: source.to_owned(), run, model }),
        }
    }

    /// `models:/m-ID`, `models:/NAME/VERSION` or `models:/NAME@ALIAS`.
    fn of_model(ledger: &Ledger, source: &str, rest: &str) -> Result<Self, Error> {
        if let Some((name, version)) = rest.rsplit_once('/').filter(|(_, v)| v.bytes().all(|b| b.is_ascii_digit())) {
            let version = version.parse().map_err(|_| invalid(source, "Its version is no number."))?;
            return Ok(Self::of_version(ledger.registry.found(name)?.version(version)?));
        }
        if let Some((name, alias)) = rest.rsplit_once('@') {
            let model = ledger.registry.found(name)?;
            let text = || format!("Registered model alias {} not found.", alias.escape_debug());
            let version = model.aliases.get(alias).ok_or_else(|| Error::new(Code::ResourceDoesNotExist, text()))?;
            return Ok(Self::of_version(model.version(*version)?));
        }
        let model = ledger.models.found(rest)?;
        let (storage, run) = (model.artifact_uri.clone(), model.run.clone());
        Ok(Self { storage, run, model: Some(model.id.clone()) })
    }

    fn of_version(version: &Version) -> Self {
        let run = Some(version.run.clone()).filter(|run| !run.is_empty());
        Self { storage: version.storage.clone(), run, model: version.model.clone() }
    }
}

fn invalid(source: &str, why: &str) -> Error {
    Error::invalid(format!("Invalid model version source: '{}'. {why}", source.escape_debug()))
}

/// Writes a new version, as a model that its run made.
///
/// Its event has an id of its own, so that no other server on the same store gives out the same number.
pub(in super::super) fn write_new(pen: &mut Pen<'_>, new: NewVersion) -> Result<(), Error> {
    let ledger = pen.ledger;
    let model = ledger.registry.found(&new.name)?;
    let id = format!("mlflow/version/{}/{}/{}", new.name, model.created, new.version);
    let output = file::model_output(pen, reference(&new.name, &new.version.to_string()), &new.storage);
    let (run, at) = (ledger.runs.get(&new.run), new.at);
    let fact = Fact::Version(new);
    let mut event = match run {
        Some(run) => pen.of_run(run, Kind::Training, State::Running, &fact)?,
        None => pen.event(Kind::Register, &fact)?,
    };
    event.id = Some(id);
    event.time = time(at);
    event.outputs.push(output);
    pen.write(event);
    Ok(())
}

#[derive(Deserialize)]
struct Asked {
    name: Option<String>,
    version: Option<Int>,
    description: Option<String>,
    key: Option<String>,
    value: Option<String>,
}

impl Asked {
    /// The version that is asked for, in its model.
    fn found<'a>(&mut self, ledger: &'a Ledger) -> Result<(&'a Registered, &'a Version), Error> {
        let model = ledger.registry.found(&required(self.name.take(), "name")?)?;
        Ok((model, model.version(number(self.version)?)?))
    }
}

/// A change of a version, still of nothing.
fn change_of(pen: &Pen<'_>, model: &Registered, version: &Version) -> VersionChange {
    VersionChange { name: model.name.clone(), version: version.number, at: pen.stamp.now, ..VersionChange::default() }
}

/// An event that describes a version.
fn describing(pen: &Pen<'_>, version: &Version, change: VersionChange) -> Result<Event, Error> {
    let mut event = pen.event(Kind::Describe, &Fact::VersionChange(change))?;
    event.about.push(about(&version.minted, &version.number.to_string()));
    Ok(event)
}

/// `model-versions/update`
pub fn update_version(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let mut asked: Asked = body.read()?;
    let (model, version) = asked.found(pen.ledger)?;
    let description = asked.description.unwrap_or_default();
    let change = VersionChange { description: Some(description.clone()), ..change_of(pen, model, version) };
    let mut event = describing(pen, version, change)?;
    if !description.is_empty() {
        event.args = Args::build(Kind::Describe, &[("description", description.into())])
            .map_err(|refusal| Error::invalid(refusal.to_string()))?;
    }
    pen.write(event);
    let (name, number) = (model.name.clone(), version.number);
    Ok(Then::ask(move |ledger| one_version(ledger, &name, number)))
}

/// Sets a tag of a version, or takes it away.
fn tag(body: &Body, pen: &mut Pen<'_>, set: bool) -> Result<Then, Error> {
    let mut asked: Asked = body.read()?;
    let (model, version) = asked.found(pen.ledger)?;
    let key = required(asked.key, "key")?;
    let before = version.tags.iter().find(|tag| tag.key == key);
    let after = set.then(|| asked.value.unwrap_or_default());
    let fact = Fact::VersionChange(VersionChange {
        tag: Some((key.clone(), after.clone())),
        ..change_of(pen, model, version)
    });
    let about = about(&version.minted, &version.number.to_string());
    tag_events(pen, about, &fact, &key, before.map(|tag| tag.value.as_str()), after.as_deref())?;
    Ok(Then::Empty)
}

/// `model-versions/set-tag`
pub fn set_version_tag(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    tag(body, pen, true)
}

/// `model-versions/delete-tag`
pub fn delete_version_tag(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    tag(body, pen, false)
}

/// `model-versions/delete`
pub fn delete_version(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let mut asked: Asked = body.read()?;
    let (model, version) = asked.found(pen.ledger)?;
    let event = describing(pen, version, VersionChange { deleted: true, ..change_of(pen, model, version) })?;
    pen.write(event);
    stage::retire(pen, version);
    for (alias, _) in model.aliases.iter().filter(|(_, number)| **number == version.number) {
        let mut event = pen.consequence(Kind::Alias);
        super::write::unalias(&mut event, &version.minted, alias)?;
        pen.write(event);
    }
    Ok(Then::Empty)
}
