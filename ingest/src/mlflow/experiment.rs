//! Experiments: groups of runs, each the job of the runs that it holds.

use std::collections::HashMap;

use lineage_store::event::Kind;
use serde::{Deserialize, Serialize};

use super::body::{Body, list, required};
use super::error::Error;
use super::fact::{ExperimentChange, Fact, NewExperiment, Tag, pairs};
use super::filter::{self, Clause};
use super::ledger::Ledger;
use super::number::Int;
use super::order::{self, Sort};
use super::page::Page;
use super::pen::{Pen, Then, time};
use super::{Answer, Stage, answer};

/// As many experiments are answered where nothing else is asked for.
const PAGE: usize = 1000;
/// The most experiments of one answer.
const PAGE_MAX: usize = 50_000;
/// The id of the experiment that every tracking server has.
const DEFAULT: &str = "0";

/// One experiment.
#[derive(Clone, Debug)]
pub(super) struct Experiment {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) artifact_location: String,
    pub(super) deleted: bool,
    created: i64,
    updated: i64,
    tags: Vec<Tag>,
}

/// All experiments.
#[derive(Debug)]
pub(super) struct Experiments {
    all: Vec<Experiment>,
    by_id: HashMap<String, usize>,
    by_name: HashMap<String, usize>,
}

impl Default for Experiments {
    /// The experiment of runs that name none is there before anything is said.
    fn default() -> Self {
        let mut experiments = Self { all: Vec::new(), by_id: HashMap::new(), by_name: HashMap::new() };
        experiments.add(NewExperiment {
            id: DEFAULT.to_owned(),
            name: "Default".to_owned(),
            artifact_location: format!("mlflow-artifacts:/{DEFAULT}"),
            tags: Vec::new(),
            at: 0,
        });
        experiments
    }
}

impl Experiments {
    pub(super) fn add(&mut self, new: NewExperiment) {
        if self.by_id.contains_key(&new.id) || self.by_name.contains_key(&new.name) {
            return;
        }
        self.by_id.insert(new.id.clone(), self.all.len());
        self.by_name.insert(new.name.clone(), self.all.len());
        let tags = new.tags.into_iter().map(|(key, value)| Tag { key, value }).collect();
        self.all.push(Experiment {
            id: new.id,
            name: new.name,
            artifact_location: new.artifact_location,
            deleted: false,
            created: new.at,
            updated: new.at,
            tags,
        });
    }

    pub(super) fn change(&mut self, change: ExperimentChange) {
        let Some(at) = self.by_id.get(&change.id).copied() else { return };
        let experiment = &mut self.all[at];
        experiment.updated = change.at;
        if let Some(deleted) = change.deleted {
            experiment.deleted = deleted;
        }
        if let Some((key, value)) = change.tag {
            experiment.tags.retain(|tag| tag.key != key);
            experiment.tags.extend(value.map(|value| Tag { key, value }));
        }
        if let Some(name) = change.name.filter(|name| !self.by_name.contains_key(name)) {
            self.by_name.remove(&experiment.name);
            self.by_name.insert(name.clone(), at);
            experiment.name = name;
        }
    }

    pub(super) fn get(&self, id: &str) -> Result<&Experiment, Error> {
        let found = self.by_id.get(id).map(|at| &self.all[*at]);
        found.ok_or_else(|| Error::missing("an experiment with the id", id))
    }

    pub(super) fn named(&self, name: &str) -> Option<&Experiment> {
        self.by_name.get(name).map(|at| &self.all[*at])
    }

    /// An id, if no experiment has it, else another one.
    pub(super) fn free_id(&self, wanted: &str) -> String {
        let is_free = !wanted.is_empty() && !self.by_id.contains_key(wanted);
        if is_free { wanted.to_owned() } else { self.unused_id().to_string() }
    }

    /// An id that no experiment has.
    fn unused_id(&self) -> u64 {
        self.all.iter().filter_map(|experiment| experiment.id.parse::<u64>().ok()).max().map_or(1, |id| id + 1)
    }
}

/// An experiment as the protocol has it.
#[derive(Serialize)]
struct Shown<'a> {
    experiment_id: &'a str,
    name: &'a str,
    artifact_location: &'a str,
    lifecycle_stage: Stage,
    last_update_time: i64,
    creation_time: i64,
    #[serde(skip_serializing_if = "<[Tag]>::is_empty")]
    tags: &'a [Tag],
}

impl Experiment {
    fn show(&self) -> Shown<'_> {
        Shown {
            experiment_id: &self.id,
            name: &self.name,
            artifact_location: &self.artifact_location,
            lifecycle_stage: Stage::of(self.deleted),
            last_update_time: self.updated,
            creation_time: self.created,
            tags: &self.tags,
        }
    }

    fn fits(&self, clause: &Clause) -> Result<bool, Error> {
        let text = |text: &str| clause.fits_text(Some(text));
        match (clause.entity.as_str(), clause.key.as_str()) {
            ("tags" | "tag", key) => {
                clause.fits_text(self.tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str()))
            }
            ("" | "attributes" | "attribute" | "attr", "name") => text(&self.name),
            ("" | "attributes" | "attribute" | "attr", "experiment_id") => text(&self.id),
            ("" | "attributes" | "attribute" | "attr", "creation_time") => {
                clause.fits_number(Some(self.created as f64))
            }
            ("" | "attributes" | "attribute" | "attr", "last_update_time") => {
                clause.fits_number(Some(self.updated as f64))
            }
            _ => Err(clause.unknown("name, experiment_id, creation_time, last_update_time and tags.KEY")),
        }
    }
}

#[derive(Serialize)]
struct One<'a> {
    experiment: Shown<'a>,
}

fn one(experiment: &Experiment) -> Answer {
    answer(&One { experiment: experiment.show() })
}

#[derive(Deserialize)]
struct Asked {
    experiment_id: Option<String>,
    experiment_name: Option<String>,
}

/// `experiments/get`
pub fn get(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Asked = body.read()?;
    one(ledger.experiments.get(&required(asked.experiment_id, "experiment_id")?)?)
}

/// `experiments/get-by-name`
pub fn get_by_name(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Asked = body.read()?;
    let name = required(asked.experiment_name, "experiment_name")?;
    one(ledger.experiments.named(&name).ok_or_else(|| Error::missing("experiment with name", &name))?)
}

#[derive(Deserialize)]
struct Search {
    filter: Option<String>,
    max_results: Option<Int>,
    page_token: Option<String>,
    view_type: Option<String>,
    #[serde(default, deserialize_with = "list")]
    order_by: Vec<String>,
}

#[derive(Serialize)]
struct Found<'a> {
    experiments: Vec<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// `experiments/search`
pub fn search(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Search = body.read()?;
    let page = Page::read(asked.max_results.map(i64::from), asked.page_token.as_deref(), PAGE, PAGE_MAX)?;
    let clauses = filter::parse(asked.filter.as_deref().unwrap_or_default())?;
    let wanted = Stage::view(asked.view_type.as_deref())?;
    let mut found = Vec::new();
    for experiment in ledger.experiments.all.iter().filter(|e| wanted(e.deleted)) {
        if filter::all_fit(&clauses, &|clause| experiment.fits(clause))? {
            found.push(experiment);
        }
    }
    found.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    order::sort(&mut found, &order::parse(&asked.order_by)?, &|experiment, (_, key)| {
        Ok(match key {
            "name" => Sort::text(&experiment.name),
            "experiment_id" => Sort::text(&experiment.id),
            "creation_time" => Sort::whole(experiment.created),
            "last_update_time" => Sort::whole(experiment.updated),
            _ => return Err(order::unknown(key, "name, experiment_id, creation_time and last_update_time")),
        })
    })?;
    let (found, next_page_token) = page.of(found);
    answer(&Found { experiments: found.into_iter().map(Experiment::show).collect(), next_page_token })
}

#[derive(Deserialize)]
struct Create {
    name: Option<String>,
    artifact_location: Option<String>,
    #[serde(default, deserialize_with = "list")]
    tags: Vec<Tag>,
}

/// `experiments/create`
pub fn create(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let asked: Create = body.read()?;
    let name = required(asked.name, "name")?;
    let experiments = &pen.ledger.experiments;
    if experiments.named(&name).is_some() {
        return Err(Error::exists("Experiment", &name));
    }
    let id = experiments.unused_id().to_string();
    let artifact_location =
        asked.artifact_location.filter(|at| !at.is_empty()).unwrap_or_else(|| format!("mlflow-artifacts:/{id}"));
    write_new(
        pen,
        NewExperiment {
            id: id.clone(),
            name: name.clone(),
            artifact_location,
            tags: pairs(asked.tags),
            at: pen.stamp.now,
        },
    )?;
    Ok(Then::ask(move |ledger| {
        // Another server on the same store may have been faster.
        let made = ledger.experiments.named(&name).filter(|made| made.id == id);
        let made = made.ok_or_else(|| Error::exists("Experiment", &name))?;
        answer(&serde_json::json!({ "experiment_id": made.id }))
    }))
}

/// Writes a new experiment under an id of its own, which another server on the same store cannot give out as well.
pub(super) fn write_new(pen: &mut Pen<'_>, new: NewExperiment) -> Result<(), Error> {
    let (id, name, at) = (new.id.clone(), new.name.clone(), new.at);
    let mut event = pen.event(Kind::Register, &Fact::Experiment(new))?;
    event.id = Some(format!("mlflow/experiment/{id}"));
    event.job = Some(name);
    event.time = time(at);
    pen.write(event);
    Ok(())
}

#[derive(Deserialize)]
struct Change {
    experiment_id: Option<String>,
    new_name: Option<String>,
    key: Option<String>,
    value: Option<String>,
}

/// Writes a change of an experiment that is there.
fn change(
    body: &Body,
    pen: &mut Pen<'_>,
    fill: impl FnOnce(Change, &mut ExperimentChange) -> Result<(), Error>,
) -> Result<Then, Error> {
    let mut asked: Change = body.read()?;
    let experiment = pen.ledger.experiments.get(&required(asked.experiment_id.take(), "experiment_id")?)?;
    let mut change = ExperimentChange { id: experiment.id.clone(), at: pen.stamp.now, ..ExperimentChange::default() };
    fill(asked, &mut change)?;
    let renamed = change.name.as_deref().filter(|name| *name != experiment.name);
    if let Some(name) = renamed.filter(|name| pen.ledger.experiments.named(name).is_some()) {
        return Err(Error::exists("Experiment", name));
    }
    write_change(pen, change)?;
    Ok(Then::Empty)
}

/// Writes a change of an experiment.
pub(super) fn write_change(pen: &mut Pen<'_>, change: ExperimentChange) -> Result<(), Error> {
    let name = pen.ledger.experiments.get(&change.id)?.name.clone();
    let mut event = pen.event(Kind::Register, &Fact::ExperimentChange(change))?;
    event.job = Some(name);
    pen.write(event);
    Ok(())
}

/// `experiments/update`
pub fn update(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    change(body, pen, |asked, change| {
        change.name = Some(required(asked.new_name, "new_name")?);
        Ok(())
    })
}

/// `experiments/delete`
pub fn delete(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    change(body, pen, |_, change| {
        change.deleted = Some(true);
        Ok(())
    })
}

/// `experiments/restore`
pub fn restore(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    change(body, pen, |_, change| {
        change.deleted = Some(false);
        Ok(())
    })
}

/// `experiments/set-experiment-tag`
pub fn set_tag(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    change(body, pen, |asked, change| {
        change.tag = Some((required(asked.key, "key")?, Some(asked.value.unwrap_or_default())));
        Ok(())
    })
}

/// `experiments/delete-experiment-tag`
pub fn delete_tag(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    change(body, pen, |asked, change| {
        change.tag = Some((required(asked.key, "key")?, None));
        Ok(())
    })
}
