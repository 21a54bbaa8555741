//! `logged-models/search`: logged models by what they are and what was logged to them.

use serde::{Deserialize, Serialize};

use super::super::body::{Body, list};
use super::super::error::Error;
use super::super::filter::{self, Clause};
use super::super::ledger::Ledger;
use super::super::number::Int;
use super::super::order::{self, By, Sort};
use super::super::page::Page;
use super::super::{Answer, answer};
use super::Model;
use super::answer::Shown;

/// As many models are answered where nothing else is asked for.
const PAGE: usize = 100;
/// The most models of one answer.
const PAGE_MAX: usize = 1000;
/// What a filter may name.
const VALID: &str = "name, model_id, model_type, status, source_run_id, experiment_id, creation_timestamp, \
                     last_updated_timestamp, metrics.KEY, params.KEY and tags.KEY";

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
        if filter::all_fit(&clauses, &|clause| model.fits(clause))? {
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
