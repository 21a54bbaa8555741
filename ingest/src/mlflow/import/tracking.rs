//! Experiments, runs and logged models, as a source tells them.

use serde_json::Value;

use super::super::fact::{ExperimentChange, ModelChange, NewExperiment, NewModel, NewRun, RunChange, Tag, pairs};
use super::super::metric::Sent;
use super::super::run::{self, Status};
use super::super::{experiment, model};
use super::source::{LoggedModel, Run, at};
use super::{Import, ImportError, sorted};

impl Import<'_> {
    /// Their ids, the oldest first.
    pub(super) fn experiments(&mut self) -> Result<Vec<String>, ImportError> {
        let mut all = self.source.experiments().map_err(ImportError::Source)?;
        all.sort_by(|a, b| (at(a.creation_time), &a.id).cmp(&(at(b.creation_time), &b.id)));
        let ids = all.iter().map(|experiment| experiment.id.clone()).collect();
        for theirs in all {
            self.met.experiments += 1;
            let (created, deleted) = (at(theirs.creation_time), theirs.lifecycle_stage == "deleted");
            let known = self.ledger.experiments.named(&theirs.name).map(|ours| ours.id.clone());
            let is_new = known.is_none();
            let id = known.unwrap_or_else(|| self.ledger.experiments.free_id(&theirs.id));
            let what = format!("experiment '{}'", theirs.name.escape_debug());
            if is_new {
                let new = NewExperiment {
                    id: id.clone(),
                    name: theirs.name,
                    artifact_location: theirs.artifact_location,
                    tags: pairs(sorted(theirs.tags)),
                    at: created,
                };
                self.write(&what, created, |pen| experiment::write_new(pen, new))?;
            }
            if deleted {
                let change =
                    ExperimentChange { id: id.clone(), deleted: Some(true), at: created, ..Default::default() };
                self.write(&what, created, |pen| experiment::write_change(pen, change))?;
            }
            self.ours.insert(theirs.id, id);
        }
        Ok(ids)
    }

    /// The runs of an experiment: a parent began before its children.
    pub(super) fn runs(&mut self, theirs: &str) -> Result<(), ImportError> {
        let mut after = None;
        loop {
            let page = self.source.runs(theirs, after.as_deref()).map_err(ImportError::Source)?;
            for run in page.members {
                self.met.runs += 1;
                self.run(theirs, run)?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn run(&mut self, theirs: &str, theirs_run: Run) -> Result<(), ImportError> {
        let Run { info, data, mut inputs, outputs } = theirs_run;
        let (id, start) = (info.run_id.clone(), at(info.start_time));
        let what = format!("run {}", id.escape_debug());
        let (history, tags): (Vec<Tag>, Vec<Tag>) =
            sorted(data.tags).into_iter().partition(|tag| tag.key == run::HISTORY_TAG);
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
        for input in &mut inputs.dataset_inputs {
            input.tags = sorted(std::mem::take(&mut input.tags));
        }
        inputs.dataset_inputs.sort_by(|a, b| {
            let key =
                |input: &super::super::fact::DatasetInput| (input.dataset.name.clone(), input.dataset.digest.clone());
            key(a).cmp(&key(b))
        });
        let made = outputs.model_outputs.into_iter().map(|made| (made.model_id, at(made.step)));
        let mut made: Vec<(String, i64)> = made.collect();
        made.sort();
        self.write(&what, start, |pen| {
            let ledger = pen.ledger;
            let ours = ledger.runs.found(&id)?;
            ledger.room(metrics.len())?;
            run::log::write_logged(pen, ours, metrics, pairs(sorted(data.params)), pairs(tags))?;
            if !inputs.dataset_inputs.is_empty() {
                run::inputs::write_inputs(pen, ours, inputs.dataset_inputs, Vec::new())?;
            }
            if !made.is_empty() {
                run::inputs::write_outputs(pen, ours, made)?;
            }
            models.into_iter().try_for_each(|model| run::inputs::write_model(pen, ours, model))
        })?;
        let used = self.source.models_used(&id).map_err(ImportError::Source)?;
        if !used.is_empty() {
            self.used.push((id.clone(), used));
        }
        let deleted = (info.lifecycle_stage == "deleted").then_some(true);
        if info.status != "RUNNING" || deleted.is_some() {
            let end = info.end_time.map(i64::from);
            self.ends.push(RunChange { run: id, status: Some(info.status), end, name: None, deleted });
        }
        Ok(())
    }

    /// Every measurement of a run, of which a source tells the latest only.
    fn histories(&mut self, run: &str, latest: Vec<Sent>) -> Result<Vec<Sent>, ImportError> {
        let mut keys: Vec<String> = latest.into_iter().filter_map(|metric| metric.key).collect();
        keys.sort();
        let mut all: Vec<Sent> = Vec::new();
        for key in keys {
            let mut history = self.source.history(run, &key).map_err(ImportError::Source)?;
            history.sort_by(Sent::order);
            all.extend(history);
        }
        self.met.points += all.len() as u64;
        Ok(all)
    }

    /// The logged models that runs used, of whatever experiment they are.
    pub(super) fn models_used(&mut self) -> Result<(), ImportError> {
        for (id, mut used) in std::mem::take(&mut self.used) {
            let gone = used.len();
            // A model that was deleted since is told nowhere else.
            used.retain(|model| self.ledger.models.found(model).is_ok());
            self.leave("inputs that are deleted models".to_owned(), (gone - used.len()) as u64);
            used.sort();
            let ours = self.ledger.runs.get(&id);
            let start = ours.map_or(0, run::Run::start);
            if used.is_empty() {
                continue;
            }
            self.write(&format!("run {}", id.escape_debug()), start, |pen| {
                let ledger = pen.ledger;
                run::inputs::write_inputs(pen, ledger.runs.found(&id)?, Vec::new(), used)
            })?;
        }
        Ok(())
    }

    /// The logged models of an experiment.
    pub(super) fn models(&mut self, theirs: &str) -> Result<(), ImportError> {
        let mut all = self.source.models(theirs).map_err(ImportError::Source)?;
        let age = |model: &LoggedModel| (at(model.info.creation_timestamp_ms), model.info.model_id.clone());
        all.sort_by_cached_key(age);
        let experiment = self.ours.get(theirs).cloned().unwrap_or_default();
        for LoggedModel { info, data } in all {
            self.met.models += 1;
            let (id, created) = (info.model_id, at(info.creation_timestamp_ms));
            let what = format!("logged model {}", id.escape_debug());
            let is_new = self.ledger.models.found(&id).is_err();
            let artifacts = info.artifact_uri.clone();
            let tags: Vec<Tag> = info.tags.into_iter().filter(|tag| tag.key != model::VERSIONS_TAG).collect();
            let tags = sorted(tags);
            if is_new {
                let new = NewModel {
                    id: id.clone(),
                    experiment: experiment.clone(),
                    name: info.name,
                    run: info.source_run_id.filter(|run| self.ledger.runs.get(run).is_some()),
                    model_type: info.model_type,
                    artifact_uri: info.artifact_uri,
                    params: pairs(sorted(data.params)),
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

    /// The ends of runs.
    pub(super) fn ends(&mut self) -> Result<(), ImportError> {
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
