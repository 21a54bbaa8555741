//! Logged models: models as runs of clients from 3.0 on make them, before anyone registers them.

use std::collections::{BTreeMap, HashMap};

use lineage_store::event::{EntityKind, Kind, Output, Ref, State};
use serde::{Deserialize, Serialize};

use super::body::{Body, list};
use super::error::Error;
use super::fact::{Fact, Logged, ModelChange, NewModel, NewVersion, Tag, pairs};
use super::file;
use super::filter::{self, Clause};
use super::ledger::Ledger;
use super::number::{Double, Int};
use super::order::{self, By, Sort};
use super::page::Page;
use super::pen::{Pen, Then, model as reference, time};
use super::run::Run;
use super::{Answer, answer};

/// As many models are answered where nothing else is asked for.
const PAGE: usize = 100;
/// The most models of one answer.
const PAGE_MAX: usize = 1000;
/// Its files are still coming.
const PENDING: &str = "LOGGED_MODEL_PENDING";
/// Its files are whole.
const READY: &str = "LOGGED_MODEL_READY";
/// The words of a status, by their numbers in protobuf.
pub(super) const STATUSES: [&str; 4] =
    ["LOGGED_MODEL_STATUS_UNSPECIFIED", PENDING, READY, "LOGGED_MODEL_UPLOAD_FAILED"];
/// The tag that lists the versions that a model became.
pub(super) const VERSIONS_TAG: &str = "mlflow.modelVersions";
/// What a filter may name.
const VALID: &str = "name, model_id, model_type, status, source_run_id, experiment_id, creation_timestamp, \
                     last_updated_timestamp, metrics.KEY, params.KEY and tags.KEY";

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

/// A model as the protocol has it.
#[derive(Serialize)]
struct Shown<'a> {
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
    fn show(&self) -> Shown<'_> {
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

fn one(ledger: &Ledger, id: &str) -> Answer {
    answer(&One { model: ledger.models.found(id)?.show() })
}

/// `GET logged-models/{model_id}`
pub fn get(body: &Body, ledger: &Ledger) -> Answer {
    one(ledger, body.part(0))
}

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
pub(super) fn write_new(pen: &mut Pen<'_>, new: NewModel) -> Result<(), Error> {
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
pub(super) fn write_change(pen: &mut Pen<'_>, change: ModelChange) -> Result<(), Error> {
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

#[derive(Deserialize)]
struct Order {
    field_name: Option<String>,
    ascending: Option<bool>,
}

#[derive(Deserialize)]
struct Search {
    #[serde(default, deserialize_with = "list")]
    experiment_ids: Vec<String>,
    filter: Option<String>,
    max_results: Option<Int>,
    #[serde(default, deserialize_with = "list")]
    order_by: Vec<Order>,
    page_token: Option<String>,
}

#[derive(Serialize)]
struct Found<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// `POST logged-models/search`
pub fn search(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Search = body.read()?;
    let page = Page::read(asked.max_results.map(i64::from), asked.page_token.as_deref(), PAGE, PAGE_MAX)?;
    let clauses = filter::parse(asked.filter.as_deref().unwrap_or_default())?;
    let is_asked = |model: &Model| !model.deleted && asked.experiment_ids.contains(&model.experiment);
    let mut found: Vec<&Model> = Vec::new();
    for model in ledger.models.all.iter().filter(|model| is_asked(model)) {
        let mut fits = true;
        for clause in &clauses {
            fits &= model.fits(clause)?;
        }
        if fits {
            found.push(model);
        }
    }
    found.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    let mut keys = Vec::new();
    for order in &asked.order_by {
        let name = order.field_name.as_deref().unwrap_or_default();
        let ((entity, key), _) = filter::name(name)?;
        keys.push(By::new(&entity, &key, !order.ascending.unwrap_or(true)));
    }
    order::sort(&mut found, &keys, &|model, (entity, key)| {
        model.value(entity, key).ok_or_else(|| order::unknown(key, VALID))
    })?;
    let (found, next_page_token) = page.of(found);
    answer(&Found { models: found.into_iter().map(Model::show).collect(), next_page_token })
}

impl Model {
    fn fits(&self, clause: &Clause) -> Result<bool, Error> {
        match self.value(&clause.entity, &clause.key).ok_or_else(|| clause.unknown(VALID))? {
            Sort::Text(text) => clause.fits_text(Some(text)),
            Sort::Whole(number) => clause.fits_number(Some(number as f64)),
            Sort::Number(number) => clause.fits_number(Some(number)),
            Sort::Missing if clause.entity.starts_with("metric") => clause.fits_number(None),
            Sort::Missing => clause.fits_text(None),
        }
    }

    /// What a model is under the names of a filter; `None` for a name that means nothing.
    fn value(&self, entity: &str, key: &str) -> Option<Sort<'_>> {
        fn text(text: Option<&String>) -> Sort<'_> {
            text.map_or(Sort::Missing, |text| Sort::Text(text.as_str()))
        }
        Some(match (entity, key) {
            ("metrics" | "metric", key) => {
                let measured = self.metrics.iter().find(|measured| measured.key == key);
                measured.map_or(Sort::Missing, |measured| Sort::Number(measured.value.0))
            }
            ("params" | "param", key) => text(self.params.get(key)),
            ("tags" | "tag", key) => text(self.tags.get(key)),
            ("" | "attributes" | "attribute", key) => match key {
                "name" => Sort::Text(&self.name),
                "model_id" => Sort::Text(&self.id),
                "model_type" => Sort::Text(&self.flavor),
                "status" => Sort::Text(self.status.strip_prefix("LOGGED_MODEL_").unwrap_or(&self.status)),
                "source_run_id" => text(self.run.as_ref()),
                "experiment_id" => Sort::Text(&self.experiment),
                "creation_timestamp" | "creation_time" => Sort::Whole(self.created),
                "last_updated_timestamp" | "last_updated_time" => Sort::Whole(self.updated),
                _ => return None,
            },
            _ => return None,
        })
    }
}
