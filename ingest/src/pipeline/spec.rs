//! The specification: what a pipeline is said to be, read from TOML with every problem told at once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use lineage_store::digest::Blake3;
use lineage_store::event::Kind;
use toml::de::{DeTable, DeValue};

use super::condition::Condition;
use super::measure;
use super::param::{self, Param};
use super::problem::{Problem, did_you_mean};
use super::step::{self, Step};
use super::table::{Found, Table};
use crate::capture::CaptureMode;
use crate::run::{NAME_HELP, is_name, secret_places};

/// The most bytes of a specification.
pub const SPEC_MAX: usize = 1 << 20;
/// The most steps of a pipeline, before their branches.
pub const STEPS_MAX: usize = 10_000;
/// So many places that look like secrets are told of one specification.
const PROBLEMS_OF_SECRETS_MAX: usize = 20;
/// The kinds that a step may have.
pub(super) const KINDS: [Kind; 5] = [Kind::Transform, Kind::Training, Kind::Evaluation, Kind::Audit, Kind::Deployment];

/// A pipeline as it was written.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The digest of its text.
    pub digest: Blake3,
    /// Its name, which is the job of its runs.
    pub name: String,
    /// The namespace of its runs; without one, the caller's.
    pub namespace: Option<String>,
    /// Tags of its runs.
    pub tags: Vec<String>,
    /// When it is due, as five fields of cron.
    pub schedule: Option<String>,
    /// The longest that a run may take.
    pub timeout: Option<Duration>,
    /// What happens while another run of it goes on.
    pub concurrency: Concurrency,
    /// How its steps are observed, where it says so.
    pub capture: Option<CaptureMode>,
    /// Its parameters, in the order of the text.
    pub params: Vec<Param>,
    /// Names of environment variables that are passed and never recorded.
    pub secrets: Vec<String>,
    /// Names of environment variables whose values are recorded and part of the cache's key.
    pub env: Vec<String>,
    /// How many of each named token there are.
    pub tokens: BTreeMap<String, u64>,
    /// Its steps, in the order of the text.
    pub steps: Vec<Step>,
}

/// What happens when a run begins while another of the same pipeline and namespace goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concurrency {
    /// The new one is refused.
    #[default]
    Forbid,
    /// Both go on.
    Allow,
}

impl Spec {
    /// Reads a specification; on failure every problem that was found, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        if text.len() > SPEC_MAX {
            let what = format!("the specification has more than {SPEC_MAX} bytes");
            return Err(vec![Problem::new(0..0, what, "split it into several pipelines")]);
        }
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let problem = |error: &toml::de::Error| {
                let what = format!("this is no TOML: {}", error.message().replace('\n', ", "));
                Problem::new(error.span().unwrap_or(0..0), what, "see toml.io for its syntax")
            };
            return Err(errors.iter().map(problem).collect());
        }
        let found = Found::default();
        let table = Table::new(root.get_ref(), root.span(), "the specification", &found);
        let spec = read(&table, text);
        table.finish();
        // The text is kept as it is, and for ever.
        let planted =
            secret_places(text).into_iter().filter(|place| !text.get(place.clone()).is_some_and(is_filled_in));
        for place in planted.take(PROBLEMS_OF_SECRETS_MAX) {
            found.add(&place, "what stands here looks like a secret, and specifications are kept", param::SECRET_HELP);
        }
        let problems = found.into_sorted();
        match spec {
            Some(spec) if problems.is_empty() => Ok(spec),
            _ => Err(problems),
        }
    }

    /// The step of an id.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }
}

/// Whether a value is only filled in when a step runs: `{params.x}`, `$NAME`, `${NAME}`.
fn is_filled_in(value: &str) -> bool {
    let begins = |sign: char, next: &dyn Fn(char) -> bool| {
        value.match_indices(sign).any(|(at, _)| value[at + 1..].starts_with(|c: char| next(c)))
    };
    begins('{', &|c| c.is_ascii_alphabetic()) && value.contains('}')
        || begins('$', &|c| c.is_ascii_alphabetic() || matches!(c, '_' | '{'))
}

fn read(table: &Table<'_>, text: &str) -> Option<Spec> {
    let pipeline = table.table("pipeline", "[pipeline]");
    if pipeline.is_none() && table.get("pipeline").is_none() {
        table.found.add(&(0..0), "there is no [pipeline]", "begin with [pipeline] and name = \"NAME\"");
    }
    let params = table.table("params", "[params]").map(|table| param::read(&table)).unwrap_or_default();
    let secrets = table.table("secrets", "[secrets]").map(|table| {
        let names = variables(&table, "env");
        table.finish();
        names
    });
    let defaults = table.table("defaults", "[defaults]").map(|table| {
        let defaults = step::Defaults::read(&table);
        let env = variables(&table, "env");
        table.finish();
        (defaults, env)
    });
    let (defaults, env) = defaults.unwrap_or_default();
    let tokens = table.table("tokens", "[tokens]").map(|table| step::tokens(&table)).unwrap_or_default();
    let steps = read_steps(table, &defaults);
    let head = pipeline.map(|table| {
        let head = Head::read(&table);
        table.finish();
        head
    })?;
    Some(Spec {
        digest: Blake3::of(text.as_bytes()),
        name: head.name?,
        namespace: head.namespace,
        tags: head.tags,
        schedule: head.schedule,
        timeout: head.timeout,
        concurrency: head.concurrency,
        capture: head.capture,
        params,
        secrets: secrets.unwrap_or_default(),
        env,
        tokens,
        steps,
    })
}

/// What `[pipeline]` says.
struct Head {
    name: Option<String>,
    namespace: Option<String>,
    tags: Vec<String>,
    schedule: Option<String>,
    timeout: Option<Duration>,
    concurrency: Concurrency,
    capture: Option<CaptureMode>,
}

impl Head {
    fn read(table: &Table<'_>) -> Self {
        let name = table.text("name", "churn");
        match &name {
            Some(name) if !is_name(&name.value) => {
                table.found.add(&name.span, format!("`{}` is no name of a pipeline", name.value), NAME_HELP);
            }
            None if table.get("name").is_none() => {
                table.found.add(&table.span, "the pipeline has no name", "write name = \"churn\"");
            }
            _ => {}
        }
        let namespace = table.text("namespace", "team-a").filter(|namespace| {
            let valid = !namespace.value.is_empty() && !namespace.value.contains(char::is_control);
            if !valid {
                table.found.add(&namespace.span, "the namespace is empty or has control characters", "name it");
            }
            valid
        });
        Self {
            name: name.map(|name| name.value),
            namespace: namespace.map(|namespace| namespace.value),
            tags: table.texts("tags", "[\"exp-7\"]").unwrap_or_default().into_iter().map(|tag| tag.value).collect(),
            schedule: schedule(table),
            timeout: duration(table, "timeout"),
            concurrency: concurrency(table),
            capture: capture(table),
        }
    }
}

fn schedule(table: &Table<'_>) -> Option<String> {
    let text = table.text("schedule", "0 3 * * *")?;
    match super::schedule::Schedule::parse(&text.value) {
        Ok(_) => Some(text.value),
        Err(why) => {
            let help = "write minute, hour, day, month, weekday, as in \"0 3 * * *\"";
            table.found.add(&text.span, format!("the schedule `{}` is not valid: {why}", text.value), help);
            None
        }
    }
}

fn concurrency(table: &Table<'_>) -> Concurrency {
    let Some(word) = table.text("concurrency", "forbid") else { return Concurrency::default() };
    match word.value.as_str() {
        "forbid" => Concurrency::Forbid,
        "allow" => Concurrency::Allow,
        other => {
            let help = did_you_mean(other, ["forbid", "allow"]);
            table.found.add(&word.span, format!("there is no concurrency `{other}`"), help);
            Concurrency::default()
        }
    }
}

fn capture(table: &Table<'_>) -> Option<CaptureMode> {
    let word = table.text("capture", "auto")?;
    let mode = CaptureMode::from_word(&word.value);
    if mode.is_none() {
        let help = did_you_mean(&word.value, CaptureMode::ALL.map(CaptureMode::as_str));
        table.found.add(&word.span, format!("there is no capture `{}`", word.value), help);
    }
    mode
}

/// A length of time, with its unit.
pub(super) fn duration(table: &Table<'_>, key: &'static str) -> Option<Duration> {
    let text = table.text(key, "2h")?;
    let read = measure::duration(&text.value);
    if read.is_none() {
        let what = format!("`{}` of {} is no length of time: `{}`", key, table.what, text.value);
        table.found.add(&text.span, what, "write for example 90s, 30m, 2h, 7d or 1h30m");
    }
    read
}

/// Names of environment variables.
fn variables(table: &Table<'_>, key: &'static str) -> Vec<String> {
    let names = table.texts(key, "[\"DB_PASSWORD\"]").unwrap_or_default();
    for name in &names {
        if name.value.is_empty() || name.value.contains(['=', '\0']) {
            let what = format!("`{}` is no name of an environment variable", name.value);
            table.found.add(&name.span, what, "name it without `=`");
        }
    }
    names.into_iter().map(|name| name.value).collect()
}

fn read_steps(table: &Table<'_>, defaults: &step::Defaults) -> Vec<Step> {
    const HELP: &str = "write [[step]] with an id and a run = [\"PROGRAM\", …]";
    let Some(value) = table.get("step") else {
        table.found.add(&(0..0), "the pipeline has no steps", HELP);
        return Vec::new();
    };
    let Some(items) = value.get_ref().as_array() else {
        table.found.add(&value.span(), "the steps are no list of tables", HELP);
        return Vec::new();
    };
    if items.len() > STEPS_MAX {
        table.found.add(&value.span(), format!("there are more than {STEPS_MAX} steps"), "use foreach for alike ones");
        return Vec::new();
    }
    let steps = items.iter().filter_map(|item| {
        if let DeValue::Table(entries) = item.get_ref() {
            step::read(entries, item.span(), defaults, table.found)
        } else {
            table.found.add(&item.span(), "a step is no table", HELP);
            None
        }
    });
    steps.collect()
}

/// A condition, read where it stands.
pub(super) fn condition(table: &Table<'_>, key: &'static str) -> Option<Condition> {
    let text = table.text(key, "audit.verdict == 'pass'")?;
    match Condition::read(&text.value, text.span) {
        Ok(condition) => Some(condition),
        Err(problem) => {
            table.found.add(&problem.span, problem.what, problem.help);
            None
        }
    }
}

/// The bytes of a whole step, for problems that are about all of it.
pub(super) type Span = Range<usize>;
