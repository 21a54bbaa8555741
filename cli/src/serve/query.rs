//! Questions over HTTP: the envelope and the formats of the command line, with parameters, budgets and pages.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use lineage_query::output::{self, Answer, Format, TableStyle};
use lineage_query::{Class, Limits, QueryError, Request, Zone, answer, complete, syntax};
use lineage_store::digest::Blake3;
use lineage_store::time::Time;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Rule;
use super::app::App;
use super::cursor::Cursor;
use super::endpoint::Endpoint;
use super::limits::QUESTION_BYTES_MAX;
use super::reply::{self, Refused, Reply};
use super::router::{Call, Routes};
use crate::commands::question;

/// A question may take so long where it does not ask for more.
const TIME: Duration = Duration::from_secs(2);
/// A question may take no longer than this, whatever it asks for.
const TIME_MAX: Duration = Duration::from_secs(30);
/// A question may take no more steps than this.
const STEPS_MAX: u64 = 100_000_000;
/// The most rows of one answer.
const ROWS_MAX: u64 = 100_000;
/// The most rows of an answer that is read page by page.
const ROWS_PAGED_MAX: u64 = 1_000_000;
/// The header with the cursor of the next page.
const NEXT: HeaderName = HeaderName::from_static("lineage-cursor");

const FORMATS: &[&str] = &[
    "application/json",
    "application/x-ndjson",
    "text/csv",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.parquet",
    "text/vnd.graphviz",
    "text/vnd.mermaid",
];

/// Adds the routes of this file.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Endpoint::post("/api/query", Rule::ReadAll, "Answer a question").takes(&["application/json"]).gives(&[
                (200, FORMATS, "The answer; where there is a next page, the header `lineage-cursor` leads to it"),
                (400, &["application/json"], "The question cannot be read"),
                (422, &["application/json"], "A name is not known, or the answer is over its budget"),
            ]),
            query,
        )
        .add(
            Endpoint::get("/api/complete", Rule::ReadAll, "Say what may be written at a cursor").parameters(&[
                ("text", "string", "The question so far"),
                ("cursor", "integer", "The byte at which the cursor stands; by default the end"),
            ]),
            completions,
        )
}

/// What is sent to ask.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    query: String,
    #[serde(default)]
    params: BTreeMap<String, Value>,
    #[serde(default)]
    timezone: Option<String>,
    #[serde(default)]
    edition: Option<u32>,
    #[serde(default)]
    output: Option<String>,
    #[serde(default)]
    budget: Budget,
    /// So many rows at most; the rest by its cursor.
    #[serde(default)]
    page: Option<u64>,
    #[serde(default)]
    cursor: Option<String>,
}

/// What the answer may cost; never more than the server allows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    #[serde(default)]
    steps: Option<u64>,
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(default)]
    rows: Option<u64>,
    #[serde(default)]
    partial: bool,
}

impl Asked {
    fn read(bytes: &[u8]) -> Result<Self, Refused> {
        let asked: Self = serde_json::from_slice(bytes).map_err(|error| {
            Refused::bad(format!("the body is no question: {error}"))
                .help(r#"send {"query":"models live in prod"}; see /api/openapi.json"#)
        })?;
        match asked.edition {
            None | Some(syntax::EDITION) => Ok(asked),
            Some(_) => Err(Refused::bad(format!("this release reads edition {} only", syntax::EDITION))),
        }
    }

    /// The parameters as texts; a list is one name several times.
    fn params(&self) -> Result<Vec<(String, String)>, Refused> {
        let mut params = Vec::new();
        for (name, value) in &self.params {
            let name = name.trim_start_matches(':');
            match value {
                Value::Array(values) => {
                    for value in values {
                        params.push((name.to_owned(), text(name, value)?));
                    }
                }
                value => params.push((name.to_owned(), text(name, value)?)),
            }
        }
        Ok(params)
    }

    /// What tells this question from others, for cursors.
    fn digest(&self, params: &[(String, String)]) -> Blake3 {
        Blake3::of(json!([self.query, params, self.timezone]).to_string().as_bytes())
    }

    fn limits(&self, gone: Arc<AtomicBool>) -> Limits {
        let begun = Instant::now();
        let most = self.budget.timeout_ms.map_or(TIME, |ms| Duration::from_millis(ms).min(TIME_MAX));
        let rows_max = if self.page.is_some() || self.cursor.is_some() { ROWS_PAGED_MAX } else { ROWS_MAX };
        Limits {
            steps: Some(self.budget.steps.unwrap_or(STEPS_MAX).min(STEPS_MAX)),
            rows: Some(self.budget.rows.unwrap_or(rows_max).min(rows_max)),
            // Nobody waits for the answer of who went away.
            out_of_time: Some(Rc::new(move || begun.elapsed() >= most || gone.load(Ordering::Relaxed))),
            partial: self.budget.partial,
        }
    }
}

fn text(name: &str, value: &Value) -> Result<String, Refused> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(Refused::bad(format!(
            "the parameter `{}` must be a text, a number or a list of them",
            name.escape_debug()
        ))),
    }
}

/// Says that nobody waits any more.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn query(call: Call) -> Reply {
    let taken = call.app.limits.take(&call.headers, call.body, QUESTION_BYTES_MAX).await?;
    let asked = Asked::read(&taken.bytes)?;
    let accepted = call.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (format, content_type) = format(asked.output.as_deref(), accepted)?;
    let gone = Gone(Arc::default());
    let flag = Arc::clone(&gone.0);
    let (bytes, next) = call.app.read(move |app| answered(app, &asked, format, flag)).await?;
    drop(gone);
    let mut response = reply::bytes(content_type, bytes);
    if let Some(next) = next.and_then(|next| HeaderValue::from_str(&next).ok()) {
        response.headers_mut().insert(NEXT, next);
    }
    Ok(response)
}

/// The bytes of an answer, and the cursor of the next page.
fn answered(
    app: &App,
    asked: &Asked,
    format: Format,
    gone: Arc<AtomicBool>,
) -> Result<(Vec<u8>, Option<String>), Refused> {
    let zone = asked.timezone.as_deref().map_or(Ok(Zone::default()), Zone::parse).map_err(Refused::bad)?;
    let params = asked.params()?;
    let digest = asked.digest(&params);
    let cursor = asked.cursor.as_deref().map(|text| Cursor::read(text, &digest)).transpose()?;
    let newest = app.view().map_err(|error| Refused::store(&error))?;
    let view = match &cursor {
        Some(cursor) if cursor.count > newest.count() => return Err(Refused::bad("the cursor is not of this store")),
        Some(cursor) if cursor.count < newest.count() => Arc::new(newest.at(cursor.count, Time::MAX)),
        _ => newest,
    };
    let request = Request {
        text: &asked.query,
        params: &params,
        now: cursor.as_ref().map_or_else(|| app.now(), |cursor| cursor.now),
        now_is_set: app.session.context.is_fixed(),
        zone,
        environments: &app.session.config.environments,
        graph: format.nodes_max(),
        events: question::whole_events(&app.session),
        head: Some(app.tree_head()),
        limits: asked.limits(gone),
        digest_of_file: &|_| {
            Err("the server reads no files; write the digest that `lineage show ./file` prints".to_owned())
        },
    };
    let found = answer(&view, &request).map_err(|error| refused(&error, &asked.query))?;
    let (found, next) = page(found, asked, cursor, view.count(), request.now, &digest)?;
    let mut bytes = Vec::new();
    output::write(&found, &format, &mut bytes, &TableStyle::default())
        .map_err(|error| Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "format", error.to_string()))?;
    Ok((bytes, next))
}

/// The rows of one page, and the cursor of the next.
fn page(
    mut found: Answer,
    asked: &Asked,
    cursor: Option<Cursor>,
    count: u32,
    now: Time,
    digest: &Blake3,
) -> Result<(Answer, Option<String>), Refused> {
    let rows = found.batch.num_rows();
    let begin = cursor.map_or(0, |cursor| cursor.row).min(rows);
    let most = match asked.page {
        Some(0) => return Err(Refused::bad("`page` must be at least 1")),
        Some(most) => most.min(ROWS_MAX) as usize,
        None => ROWS_MAX as usize,
    };
    let end = begin.saturating_add(most).min(rows);
    let next = (end < rows).then(|| Cursor { count, now, row: end }.write(digest));
    if begin > 0 || end < rows {
        found.batch = found.batch.slice(begin, end - begin);
    }
    Ok((found, next))
}

/// The format of the answer and its type: as named in the question, else as the client accepts.
fn format(named: Option<&str>, accepted: &str) -> Result<(Format, &'static str), Refused> {
    let essences = accepted.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
    let words = ["json", "ndjson", "csv", "arrow", "parquet", "dot", "mermaid"];
    let known = |essence: &str| FORMATS.iter().position(|one| *one == essence).map(|at| words[at]);
    let word = named.or_else(|| essences.into_iter().find_map(known)).unwrap_or("json");
    let format: Format = word.parse().map_err(Refused::bad)?;
    let content_type = match format {
        Format::Json => FORMATS[0],
        Format::Ndjson => FORMATS[1],
        Format::Csv { .. } => "text/csv; charset=utf-8; header=present",
        Format::Arrow => FORMATS[3],
        Format::Parquet => FORMATS[4],
        Format::Dot => FORMATS[5],
        Format::Mermaid => FORMATS[6],
        Format::Table => {
            return Err(Refused::bad("tables are for terminals").help("ask for json, ndjson, csv, arrow or parquet"));
        }
    };
    Ok((format, content_type))
}

/// Why a question has no answer, with the diagnostics of the command line.
fn refused(error: &QueryError, text: &str) -> Refused {
    let (status, reason) = match error.class() {
        Class::Syntax => (StatusCode::BAD_REQUEST, "question"),
        Class::Name => (StatusCode::UNPROCESSABLE_ENTITY, "name"),
        Class::Budget => (StatusCode::UNPROCESSABLE_ENTITY, "budget"),
        Class::Integrity | Class::Other => match error {
            QueryError::Store(error) => return Refused::store(error),
            error => return Refused::later("store", error.to_string()),
        },
    };
    let errors: Vec<Value> = error.diagnostics().iter().map(|one| syntax::render_json(one, text)).collect();
    let exit = question::code_of(error).number();
    Refused::new(status, reason, error.to_string()).with(json!({ "errors": errors, "exit": exit }))
}

async fn completions(call: Call) -> Reply {
    let text = call.parameter("text").unwrap_or_default().to_owned();
    if text.len() > QUESTION_BYTES_MAX {
        return Err(Refused::bad("the text is too long"));
    }
    let cursor = call.number("cursor", text.len(), text.len())?;
    let found = call.app.read(move |app| {
        let view = app.view().map_err(|error| Refused::store(&error))?;
        let events = question::whole_events(&app.session);
        let found = complete(&view, &text, cursor, app.now(), &app.session.config.environments, events);
        view.check().map_err(|error| Refused::store(&error))?;
        Ok(found.iter().map(lineage_query::Candidate::to_json).collect::<Vec<_>>())
    });
    Ok(reply::json(&json!({ "edition": syntax::EDITION, "candidates": found.await? })))
}
