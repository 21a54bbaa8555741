//! `runs/search`: runs by what was logged to them.

use serde::{Deserialize, Serialize};

use super::super::body::{Body, list};
use super::super::error::Error;
use super::super::filter::{self, Clause};
use super::super::ledger::Ledger;
use super::super::number::Int;
use super::super::order::{self, Sort};
use super::super::page::Page;
use super::super::{Answer, Stage, answer};
use super::Run;
use super::answer::Shown;

/// As many runs are answered where nothing else is asked for.
const PAGE: usize = 1000;
/// The most runs of one answer.
const PAGE_MAX: usize = 50_000;
/// What a filter may name.
const VALID: &str = "metrics.KEY, params.KEY, tags.KEY, datasets.name, datasets.digest, datasets.context, and the \
                     attributes run_id, run_name, status, artifact_uri, user_id, start_time, end_time";

#[derive(Deserialize)]
struct Asked {
    #[serde(default, deserialize_with = "list")]
    experiment_ids: Vec<String>,
    filter: Option<String>,
    run_view_type: Option<String>,
    max_results: Option<Int>,
    #[serde(default, deserialize_with = "list")]
    order_by: Vec<String>,
    page_token: Option<String>,
}

#[derive(Serialize)]
struct Found<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runs: Vec<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// `runs/search`
pub fn search(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Asked = body.read()?;
    let page = Page::read(asked.max_results.map(i64::from), asked.page_token.as_deref(), PAGE, PAGE_MAX)?;
    let clauses = filter::parse(asked.filter.as_deref().unwrap_or_default())?;
    let wanted = Stage::view(asked.run_view_type.as_deref())?;
    let mut found: Vec<&Run> = Vec::new();
    for experiment in &asked.experiment_ids {
        for run in ledger.runs.of_experiment(experiment).filter(|run| wanted(run.deleted)) {
            if run.fits_all(&clauses)? {
                found.push(run);
            }
        }
    }
    found.sort_by(|a, b| b.start.cmp(&a.start).then_with(|| a.id.cmp(&b.id)));
    order::sort(&mut found, &order::parse(&asked.order_by)?, &|run, by| run.sort_value(by))?;
    let (found, next_page_token) = page.of(found);
    answer(&Found { runs: found.into_iter().map(Run::show).collect(), next_page_token })
}

impl Run {
    fn fits_all(&self, clauses: &[Clause]) -> Result<bool, Error> {
        for clause in clauses {
            if !self.fits(clause)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn fits(&self, clause: &Clause) -> Result<bool, Error> {
        let key = clause.key.as_str();
        match clause.entity.as_str() {
            "metrics" | "metric" => clause.fits_number(self.metrics.get(key).map(|series| series.latest().value)),
            "params" | "param" | "parameters" | "parameter" => clause.fits_text(self.params.get(key).map(|v| &**v)),
            "tags" | "tag" => clause.fits_text(self.tags.get(key).map(|value| &**value)),
            "datasets" | "dataset" => self.fits_dataset(clause),
            "" | "attributes" | "attribute" | "attr" | "run" => match self.attribute(key) {
                Some(Sort::Text(text)) => clause.fits_text(Some(text)),
                Some(Sort::Whole(number)) => clause.fits_number(Some(number as f64)),
                Some(_) => clause.fits_number(None),
                None => Err(clause.unknown(VALID)),
            },
            _ => Err(clause.unknown(VALID)),
        }
    }

    fn fits_dataset(&self, clause: &Clause) -> Result<bool, Error> {
        for input in &self.datasets {
            let context = || input.tags.iter().find(|tag| tag.key == super::super::dataset::CONTEXT_TAG);
            let text = match clause.key.as_str() {
                "name" => Some(input.dataset.name.as_str()),
                "digest" => Some(input.dataset.digest.as_str()),
                "context" => context().map(|tag| tag.value.as_str()),
                _ => return Err(clause.unknown(VALID)),
            };
            if clause.fits_text(text)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a run is under the names of its attributes.
    fn attribute(&self, key: &str) -> Option<Sort<'_>> {
        Some(match key {
            "run_id" | "run_uuid" | "Run ID" => Sort::Text(&self.id),
            "run_name" | "run name" | "Run name" | "Run Name" => Sort::Text(&self.name),
            "status" | "Status" => Sort::Text(self.status.as_str()),
            "artifact_uri" => Sort::Text(&self.artifact_uri),
            "user_id" | "User" | "user" => Sort::Text(&self.user),
            "experiment_id" => Sort::Text(&self.experiment),
            "start_time" | "Created" | "created" => Sort::Whole(self.start),
            "end_time" => self.end.map_or(Sort::Missing, Sort::Whole),
            _ => return None,
        })
    }

    fn sort_value(&self, (entity, key): (&str, &str)) -> Result<Sort<'_>, Error> {
        Ok(match entity {
            "metrics" | "metric" => {
                self.metrics.get(key).map_or(Sort::Missing, |series| Sort::Number(series.latest().value))
            }
            "params" | "param" | "parameters" | "parameter" => {
                self.params.get(key).map_or(Sort::Missing, |value| Sort::Text(value))
            }
            "tags" | "tag" => self.tags.get(key).map_or(Sort::Missing, |value| Sort::Text(value)),
            "" | "attributes" | "attribute" | "attr" | "run" => {
                self.attribute(key).ok_or_else(|| order::unknown(key, VALID))?
            }
            _ => return Err(order::unknown(&format!("{entity}.{key}"), VALID)),
        })
    }
}
