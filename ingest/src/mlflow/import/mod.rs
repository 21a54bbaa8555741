//! Import: the history of another tracking server, read over its own protocol and written as if it came from clients.
//!
//! Every event has an id made of what it says, so that an import that is repeated records only what is new.

mod wire;

use std::collections::HashMap;

use lineage_store::artifact::Stored;
use lineage_store::digest::Blake3;
use lineage_store::event::Event;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::Error;
use super::fact::{
    ExperimentChange, ModelChange, NewExperiment, NewFile, NewModel, NewRegistered, NewRun, NewVersion, RunChange, Tag,
    pairs,
};
use super::ledger::Ledger;
use super::metric::Sent;
use super::pen::{Pen, Stamp, Then, Written, time};
use super::registry::{self, Stage};
use super::run::{self, Status};
use super::{experiment, file, model};
use wire::{Alias, Experiment, Listed, LoggedModel, Registered, Run, Version, at};

/// So many members are asked for at once.
const PAGE: u32 = 100;
/// So many measurements are asked for at once.
const POINTS: u32 = 10_000;

/// Why an import ended early; what was recorded by then stays.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The other server cannot be read.
    #[error("{0}")]
    Source(String),
    /// What it says contradicts what is recorded here, or is no history.
    #[error("{what}: {error}")]
    Refused {
        /// What it says it of.
        what: String,
        /// Why.
        error: Error,
    },
    /// The store cannot be written to.
    #[error(transparent)]
    Store(#[from] lineage_store::StoreError),
}

/// The server whose history is imported.
pub trait Source {
    /// Asks: method, path below `/api/2.0/`, and body or parameters. `None`: it is not there.
    fn ask(&mut self, method: &str, path: &str, body: &Value) -> Result<Option<Value>, String>;

    /// Stores a file of it by its path; `None`: files are not wanted.
    fn fetch(&mut self, path: &str) -> Result<Option<Stored>, ImportError>;
}

/// The store into which it is imported.
pub trait Target {
    /// Records events, those of them that are new, and brings the ledger up to them.
    fn record(&mut self, ledger: &mut Ledger, written: Written) -> Result<(), ImportError>;

    /// Whether some event produced a version of a dataset: namespace, name.
    fn is_made(&self, namespace: &str, name: &str) -> bool;
}

/// What an import met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Experiments.
    pub experiments: u64,
    /// Runs.
    pub runs: u64,
    /// Measurements.
    pub points: u64,
    /// Logged models.
    pub models: u64,
    /// Versions of registered models.
    pub versions: u64,
    /// Files that were not here.
    pub files: u64,
}

/// Imports everything that a server tells; `ledger` is what is recorded here, `actor` who does it.
pub fn import(
    source: &mut dyn Source,
    target: &mut dyn Target,
    ledger: Ledger,
    actor: &str,
) -> Result<Met, ImportError> {
    let (ours, ends, met) = (HashMap::new(), Vec::new(), Met::default());
    let mut import = Import { ledger, source, target, actor, ours, ends, met };
    for theirs in import.experiments()? {
        import.runs(&theirs)?;
        import.models(&theirs)?;
    }
    import.registry()?;
    import.ends()?;
    Ok(import.met)
}

struct Import<'a> {
    ledger: Ledger,
    source: &'a mut dyn Source,
    target: &'a mut dyn Target,
    actor: &'a str,
    /// Ids of their experiments and of ours.
    ours: HashMap<String, String>,
    /// The ends of runs, told last, when it is known which models were registered.
    ends: Vec<RunChange>,
    met: Met,
}

impl Import<'_> {
    /// Asks for every page of a list.
    fn pages<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        member: &str,
        mut body: Value,
    ) -> Result<Vec<T>, ImportError> {
        let mut all = Vec::new();
        loop {
            let Some(mut page) =
                self.source.ask(method, &format!("mlflow/{path}"), &body).map_err(ImportError::Source)?
            else {
                return Ok(all);
            };
            let list = page[member].take();
            if !list.is_null() {
                let list: Vec<T> = serde_json::from_value(list)
                    .map_err(|error| ImportError::Source(format!("{path} answers something else: {error}")))?;
                all.extend(list);
            }
            match page["next_page_token"].as_str() {
                Some(token) if !token.is_empty() && body["page_token"] != page["next_page_token"] => {
                    body["page_token"] = token.into();
                }
                _ => return Ok(all),
            }
        }
    }

    /// Writes events that happened at an instant, under ids made of what they say.
    fn write(
        &mut self,
        what: &str,
        now: i64,
        write: impl FnOnce(&mut Pen<'_>) -> Result<(), Error>,
    ) -> Result<(), ImportError> {
        let refused = |error| ImportError::Refused { what: what.to_owned(), error };
        let target = &*self.target;
        let is_made = |namespace: &str, name: &str| target.is_made(namespace, name);
        // Nothing is named by chance, as every id is theirs or made of what is said.
        let stamp = Stamp { now, actor: self.actor, chance: &|| [0; 16], is_made: &is_made };
        let mut pen = Pen::new(&self.ledger, stamp);
        write(&mut pen).map_err(refused)?;
        for (n, event) in pen.events.iter_mut().enumerate() {
            event.time = event.time.or(time(now));
            name(event, what, now, n);
        }
        let written = pen.finish(Then::Empty).map_err(refused)?;
        if written.events.is_empty() { Ok(()) } else { self.target.record(&mut self.ledger, written) }
    }

    /// Their ids, the oldest first.
    fn experiments(&mut self) -> Result<Vec<String>, ImportError> {
        let asked = json!({ "max_results": PAGE, "view_type": "ALL" });
        let mut all: Vec<Experiment> = self.pages("POST", "experiments/search", "experiments", asked)?;
        all.sort_by_key(|experiment| at(experiment.creation_time));
        let ids = all.iter().map(|experiment| experiment.id.clone()).collect();
        for theirs in all {
            self.met.experiments += 1;
            let (created, deleted) = (at(theirs.creation_time), theirs.lifecycle_stage == "deleted");
            let known = self.ledger.experiments.named(&theirs.name).map(|ours| ours.id.clone());
            let is_new = known.is_none();
            let id = known.unwrap_or_else(|| self.ledger.experiments.free_id(&theirs.id));
            let what = format!("experiment '{}'", theirs.name.escape_debug());
            self.write(&what, created, |pen| {
                if is_new {
                    let new = NewExperiment {
                        id: id.clone(),
                        name: theirs.name.clone(),
                        artifact_location: theirs.artifact_location.clone(),
                        tags: pairs(theirs.tags.clone()),
                        at: created,
                    };
                    experiment::write_new(pen, new)?;
                }
                Ok(())
            })?;
            if deleted {
                let change =
                    ExperimentChange { id: id.clone(), deleted: Some(true), at: created, ..Default::default() };
                self.write(&what, created, |pen| experiment::write_change(pen, change))?;
            }
            self.ours.insert(theirs.id, id);
        }
        Ok(ids)
    }

    fn runs(&mut self, theirs: &str) -> Result<(), ImportError> {
        let asked = json!({ "experiment_ids": [theirs], "run_view_type": "ALL", "max_results": PAGE });
        let mut all: Vec<Run> = self.pages("POST", "runs/search", "runs", asked)?;
        // A parent began before its children.
        all.sort_by_key(|run| at(run.info.start_time));
        for run in all {
            self.met.runs += 1;
            self.run(theirs, run)?;
        }
        Ok(())
    }

    fn run(&mut self, theirs: &str, theirs_run: Run) -> Result<(), ImportError> {
        let Run { info, data, inputs, outputs } = theirs_run;
        let (id, start) = (info.run_id.clone(), at(info.start_time));
        let what = format!("run {}", id.escape_debug());
        let (history, tags): (Vec<Tag>, Vec<Tag>) = data.tags.into_iter().partition(|t| t.key == run::HISTORY_TAG);
        let experiment = self.ours.get(theirs).cloned().unwrap_or_default();
        let artifacts = info.artifact_uri.clone();
        if self.ledger.runs.get(&id).is_none() {
            self.write(&what, start, |pen| {
                let job = pen.ledger.experiments.get(&experiment)?.name.clone();
                let new = NewRun {
                    id: id.clone(),
                    experiment,
                    job,
                    name: info.run_name,
                    user: info.user_id,
                    start,
                    artifact_uri: info.artifact_uri,
                    tags: pairs(tags.clone()),
                };
                run::write::write_new(pen, new)
            })?;
        }
        self.files(&what, start, &artifacts)?;
        let metrics = self.histories(&id, data.metrics)?;
        let models = history.iter().flat_map(|tag| serde_json::from_str::<Vec<Value>>(&tag.value).unwrap_or_default());
        let models: Vec<String> = models.map(|model| model.to_string()).collect();
        self.write(&what, start, |pen| {
            let ledger = pen.ledger;
            let ours = ledger.runs.found(&id)?;
            run::log::write_logged(pen, ours, metrics, pairs(data.params), pairs(tags))?;
            if !inputs.dataset_inputs.is_empty() {
                run::inputs::write_inputs(pen, ours, inputs.dataset_inputs, Vec::new())?;
            }
            if !outputs.model_outputs.is_empty() {
                let made = outputs.model_outputs.into_iter().map(|made| (made.model_id, at(made.step))).collect();
                run::inputs::write_outputs(pen, ours, made)?;
            }
            models.into_iter().try_for_each(|model| run::inputs::write_model(pen, ours, model))
        })?;
        let deleted = (info.lifecycle_stage == "deleted").then_some(true);
        if info.status != "RUNNING" || deleted.is_some() {
            let end = info.end_time.map(i64::from);
            self.ends.push(RunChange { run: id, status: Some(info.status), end, name: None, deleted });
        }
        Ok(())
    }

    /// Every measurement of a run, of which a search tells the latest only.
    fn histories(&mut self, run: &str, latest: Vec<Sent>) -> Result<Vec<Sent>, ImportError> {
        let mut all: Vec<Sent> = Vec::new();
        for metric in latest {
            let Some(key) = metric.key else { continue };
            let asked = json!({ "run_id": run, "run_uuid": run, "metric_key": key, "max_results": POINTS });
            all.extend(self.pages::<Sent>("GET", "metrics/get-history", "metrics", asked)?);
        }
        self.met.points += all.len() as u64;
        Ok(all)
    }

    fn models(&mut self, theirs: &str) -> Result<(), ImportError> {
        let asked = json!({ "experiment_ids": [theirs], "max_results": PAGE });
        let all: Vec<LoggedModel> = self.pages("POST", "logged-models/search", "models", asked)?;
        let experiment = self.ours.get(theirs).cloned().unwrap_or_default();
        for LoggedModel { info, data } in all {
            self.met.models += 1;
            let (id, created) = (info.model_id, at(info.creation_timestamp_ms));
            let what = format!("logged model {}", id.escape_debug());
            let is_new = self.ledger.models.found(&id).is_err();
            let artifacts = info.artifact_uri.clone();
            let tags: Vec<Tag> = info.tags.into_iter().filter(|tag| tag.key != model::VERSIONS_TAG).collect();
            if is_new {
                let new = NewModel {
                    id: id.clone(),
                    experiment: experiment.clone(),
                    name: info.name,
                    run: info.source_run_id.filter(|run| self.ledger.runs.get(run).is_some()),
                    model_type: info.model_type,
                    artifact_uri: info.artifact_uri,
                    params: pairs(data.params),
                    tags: pairs(tags.clone()),
                    at: created,
                };
                self.write(&what, created, |pen| model::write_new(pen, new))?;
            }
            self.files(&what, created, &artifacts)?;
            let change = ModelChange {
                id,
                status: info.status,
                tags: tags.into_iter().map(|tag| (tag.key, Some(tag.value))).collect(),
                at: at(info.last_updated_timestamp_ms),
                ..ModelChange::default()
            };
            self.write(&what, created, |pen| model::write_change(pen, change))?;
        }
        Ok(())
    }

    fn registry(&mut self) -> Result<(), ImportError> {
        let asked = json!({ "max_results": PAGE });
        let all: Vec<Registered> = self.pages("GET", "registered-models/search", "registered_models", asked)?;
        for theirs in all {
            let (name, created) = (theirs.name, at(theirs.creation_timestamp));
            let what = format!("registered model '{}'", name.escape_debug());
            if self.ledger.registry.found(&name).is_err() {
                let new = NewRegistered {
                    name: name.clone(),
                    description: theirs.description,
                    tags: pairs(theirs.tags),
                    at: created,
                };
                self.write(&what, created, |pen| registry::write::write_new(pen, new))?;
            }
            self.versions(&name)?;
            for Alias { alias, version } in theirs.aliases {
                let version = u32::try_from(version.0).unwrap_or_default();
                self.write(&what, created, |pen| {
                    let model = pen.ledger.registry.found(&name)?;
                    let minted = model.version(version)?.minted().to_owned();
                    registry::write::write_alias(pen, model, &minted, &alias, version)
                })?;
            }
        }
        Ok(())
    }

    fn versions(&mut self, name: &str) -> Result<(), ImportError> {
        let quoted = name.replace('\'', "");
        let asked = json!({ "filter": format!("name='{quoted}'"), "max_results": PAGE });
        let mut all: Vec<Version> = self.pages("GET", "model-versions/search", "model_versions", asked)?;
        all.sort_by_key(|version| version.number);
        for theirs in all {
            self.met.versions += 1;
            let number = u32::try_from(theirs.number.0).unwrap_or_default();
            let (created, updated) = (at(theirs.creation_timestamp), at(theirs.last_updated_timestamp));
            let what = format!("version {number} of the registered model '{}'", name.escape_debug());
            let model = self.ledger.registry.found(name).and_then(|model| model.version(number)).ok();
            match model.map(|ours| ours.source() == theirs.source) {
                Some(true) => {}
                Some(false) => {
                    let error = Error::exists("Another version of that number", name);
                    return Err(ImportError::Refused { what, error });
                }
                None => {
                    let new = NewVersion {
                        name: name.to_owned(),
                        version: number,
                        storage: self.storage(name, number)?,
                        model: theirs
                            .source
                            .strip_prefix("models:/")
                            .filter(|id| id.starts_with("m-"))
                            .map(str::to_owned),
                        source: theirs.source,
                        run: theirs.run_id,
                        run_link: theirs.run_link,
                        description: theirs.description,
                        tags: pairs(theirs.tags),
                        at: created,
                    };
                    self.write(&what, created, |pen| registry::version::write_new(pen, new))?;
                }
            }
            let stage =
                theirs.current_stage.and_then(|word| Stage::of(&word).ok()).filter(|stage| *stage != Stage::None);
            if let Some(stage) = stage {
                self.write(&what, updated, |pen| {
                    let model = pen.ledger.registry.found(name)?;
                    registry::stage::move_to(pen, model, model.version(number)?, stage, false)
                })?;
            }
        }
        Ok(())
    }

    /// Stores the files at an address of the proxy that are not listed here yet.
    fn files(&mut self, what: &str, now: i64, uri: &str) -> Result<(), ImportError> {
        let mut folders: Vec<String> = file::path_of(uri).map(str::to_owned).into_iter().collect();
        while let Some(folder) = folders.pop() {
            let asked = json!({ "path": folder });
            let said = self.source.ask("GET", "mlflow-artifacts/artifacts", &asked).map_err(ImportError::Source)?;
            let listed = said.map(|mut said| said["files"].take()).filter(Value::is_array).unwrap_or_else(|| json!([]));
            let listed: Vec<Listed> = serde_json::from_value(listed)
                .map_err(|error| ImportError::Source(format!("the list of {folder} is none: {error}")))?;
            for Listed { path, is_dir } in listed {
                let path = format!("{folder}/{path}");
                if is_dir {
                    folders.push(path);
                } else if file::digest(&self.ledger, &path).is_err() {
                    let Some(stored) = self.source.fetch(&path)? else { return Ok(()) };
                    self.met.files += 1;
                    let new = NewFile { path, blake3: stored.digest.hex(), sha256: stored.sha256, size: stored.size };
                    self.write(what, now, |pen| file::store(pen, new))?;
                }
            }
        }
        Ok(())
    }

    /// Where the files of a version are.
    fn storage(&mut self, name: &str, version: u32) -> Result<String, ImportError> {
        let asked = json!({ "name": name, "version": version.to_string() });
        let said =
            self.source.ask("GET", "mlflow/model-versions/get-download-uri", &asked).map_err(ImportError::Source)?;
        Ok(said.and_then(|said| said["artifact_uri"].as_str().map(str::to_owned)).unwrap_or_default())
    }

    fn ends(&mut self) -> Result<(), ImportError> {
        for change in std::mem::take(&mut self.ends) {
            let what = format!("run {}", change.run.escape_debug());
            let status = change.status.as_deref().and_then(|word| Status::of(word).ok());
            let ended = change.end.unwrap_or_default();
            self.write(&what, ended, |pen| {
                let ledger = pen.ledger;
                run::write::write_change(pen, ledger.runs.found(&change.run)?, status, change.clone())
            })?;
        }
        Ok(())
    }
}

/// Gives an event an id made of what it says; one that only follows from others has one made of what it is about.
fn name(event: &mut Event, what: &str, now: i64, n: usize) {
    let numbered = ["mlflow/experiment/", "mlflow/version/"];
    if event.id.as_deref().is_some_and(|id| numbered.iter().any(|prefix| id.starts_with(prefix))) {
        return;
    }
    let said = if event.facets.is_empty() { format!("{what} {now} {n}") } else { event.facets.as_str().to_owned() };
    event.id = Some(format!("mlflow/import/{}", Blake3::of(said.as_bytes()).hex()));
}
