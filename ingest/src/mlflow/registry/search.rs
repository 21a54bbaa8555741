//! Searches of the registry: models and versions by name and tags.

use serde::{Deserialize, Serialize};

use super::super::body::{Body, list};
use super::super::error::Error;
use super::super::fact::Tag;
use super::super::filter::{self, Clause, Comparator, Value};
use super::super::ledger::Ledger;
use super::super::number::Int;
use super::super::order::{self, Sort};
use super::super::page::Page;
use super::super::{Answer, answer};
use super::shown::{Shown, ShownVersion};
use super::{Registered, Version};

/// As many models are answered where nothing else is asked for.
const MODELS: usize = 100;
/// The most models of one answer.
const MODELS_MAX: usize = 1000;
/// As many versions are answered where nothing else is asked for.
const VERSIONS: usize = 10_000;
/// The most versions of one answer.
const VERSIONS_MAX: usize = 200_000;
/// The tag that tells prompts from models; what has no such tag is no prompt.
const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";
/// What filters may name.
const MODEL_FIELDS: &str = "name and tags.KEY";
const VERSION_FIELDS: &str = "name, version_number, run_id, source_path and tags.KEY";

#[derive(Deserialize)]
struct Asked {
    filter: Option<String>,
    max_results: Option<Int>,
    #[serde(default, deserialize_with = "list")]
    order_by: Vec<String>,
    page_token: Option<String>,
}

impl Asked {
    fn page(&self, default: usize, max: usize) -> Result<Page, Error> {
        Page::read(self.max_results.map(i64::from), self.page_token.as_deref(), default, max)
    }

    fn clauses(&self) -> Result<Vec<Clause>, Error> {
        filter::parse(self.filter.as_deref().unwrap_or_default())
    }
}

/// Whether tags fit a clause.
fn fits_tag(clause: &Clause, tags: &[Tag]) -> Result<bool, Error> {
    let value = tags.iter().find(|tag| tag.key == clause.key).map(|tag| tag.value.as_str());
    if value.is_none() && clause.key == PROMPT_TAG {
        let is_true = matches!(&clause.value, Value::Text(text) if text.eq_ignore_ascii_case("true"));
        return Ok((clause.comparator == Comparator::NotEqual) == is_true);
    }
    clause.fits_text(value)
}

/// Whether something is a prompt that nobody asks for: those are found only by a filter that names their tag.
fn is_hidden(clauses: &[Clause], tags: &[Tag]) -> bool {
    let is_prompt = tags.iter().any(|tag| tag.key == PROMPT_TAG && tag.value.eq_ignore_ascii_case("true"));
    is_prompt && !clauses.iter().any(|clause| clause.key == PROMPT_TAG)
}

#[derive(Serialize)]
struct Models<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    registered_models: Vec<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// `registered-models/search`
pub fn search(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Asked = body.read()?;
    let (page, clauses) = (asked.page(MODELS, MODELS_MAX)?, asked.clauses()?);
    let mut found: Vec<&Registered> = Vec::new();
    for model in ledger.registry.models.values() {
        let mut fits = !is_hidden(&clauses, &model.tags);
        for clause in &clauses {
            fits &= match (clause.entity.as_str(), clause.key.as_str()) {
                ("tags" | "tag", _) => fits_tag(clause, &model.tags)?,
                ("" | "attribute" | "attributes", "name") => clause.fits_text(Some(&model.name))?,
                _ => return Err(clause.unknown(MODEL_FIELDS)),
            };
        }
        if fits {
            found.push(model);
        }
    }
    order::sort(&mut found, &order::parse(&asked.order_by)?, &|model, (_, key)| {
        Ok(match key {
            "name" => Sort::text(&model.name),
            "last_updated_timestamp" | "timestamp" => Sort::whole(model.updated),
            "creation_timestamp" => Sort::whole(model.created),
            _ => return Err(order::unknown(key, "name, creation_timestamp and last_updated_timestamp")),
        })
    })?;
    let (found, next_page_token) = page.of(found);
    answer(&Models { registered_models: found.into_iter().map(Registered::show).collect(), next_page_token })
}

#[derive(Serialize)]
struct Versions<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_versions: Vec<ShownVersion<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

/// `model-versions/search`
pub fn search_versions(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Asked = body.read()?;
    let (page, clauses) = (asked.page(VERSIONS, VERSIONS_MAX)?, asked.clauses()?);
    let mut found: Vec<(&Registered, &Version)> = Vec::new();
    for model in ledger.registry.models.values() {
        for version in model.versions.values() {
            if fits_version(&clauses, model, version)? {
                found.push((model, version));
            }
        }
    }
    found.sort_by(|(m, a), (n, b)| {
        b.updated.cmp(&a.updated).then_with(|| m.name.cmp(&n.name)).then_with(|| b.number.cmp(&a.number))
    });
    order::sort(&mut found, &order::parse(&asked.order_by)?, &|(model, version), (_, key)| {
        Ok(match key {
            "name" => Sort::text(&model.name),
            "version_number" | "version" => Sort::whole(version.number.into()),
            "last_updated_timestamp" => Sort::whole(version.updated),
            "creation_timestamp" => Sort::whole(version.created),
            _ => {
                let valid = "name, version_number, creation_timestamp and last_updated_timestamp";
                return Err(order::unknown(key, valid));
            }
        })
    })?;
    let (found, next_page_token) = page.of(found);
    let model_versions = found.into_iter().map(|(model, version)| version.show(model)).collect();
    answer(&Versions { model_versions, next_page_token })
}

fn fits_version(clauses: &[Clause], model: &Registered, version: &Version) -> Result<bool, Error> {
    if is_hidden(clauses, &version.tags) {
        return Ok(false);
    }
    for clause in clauses {
        let fits = match (clause.entity.as_str(), clause.key.as_str()) {
            ("tags" | "tag", _) => fits_tag(clause, &version.tags)?,
            ("" | "attribute" | "attributes", key) => match key {
                "name" => clause.fits_text(Some(&model.name))?,
                "run_id" => clause.fits_text(Some(&version.run))?,
                "source_path" => clause.fits_text(Some(&version.source))?,
                "version_number" => clause.fits_number(Some(version.number.into()))?,
                _ => return Err(clause.unknown(VERSION_FIELDS)),
            },
            _ => return Err(clause.unknown(VERSION_FIELDS)),
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}
