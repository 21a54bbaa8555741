//! A step: one command of a pipeline, with what it needs, reads, writes and may take.

use std::collections::BTreeMap;
use std::time::Duration;

use lineage_store::event::Kind;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::condition::Condition;
use super::measure;
use super::problem::did_you_mean;
use super::spec::{KINDS, Span, condition, duration};
use super::table::{At, Found, Table};
use super::template::{Name, Template};
use crate::run::{Declared, NAME_HELP, is_name};

/// The most branches of a foreach that does not say how many it may have.
pub const BRANCHES_DEFAULT: u64 = 100;
/// The most branches that a foreach may ask for.
pub const BRANCHES_MAX: u64 = 100_000;
/// The most retries of a step.
const RETRIES_MAX: u64 = 100;

/// A step as it was written.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name within the pipeline.
    pub id: String,
    /// What kind of event it is.
    pub kind: Kind,
    /// What it runs.
    pub command: Command,
    /// The folder in which it runs, from the folder of the specification.
    pub cwd: Option<Template>,
    /// Further environment variables.
    pub env: Vec<(String, Template)>,
    /// The steps that it waits for, where they were said.
    pub needs: Vec<At<String>>,
    /// What it reads, as `lineage run -i` takes it.
    pub inputs: Vec<Template>,
    /// What it writes, as `lineage run -o` takes it.
    pub outputs: Vec<Template>,
    /// Over what it branches.
    pub foreach: Option<Foreach>,
    /// The foreach step whose branches it gathers.
    pub join: Option<At<String>>,
    /// What it takes of the machine.
    pub resources: Resources,
    /// The longest that an attempt may take.
    pub timeout: Option<Duration>,
    /// When it is tried again.
    pub retry: Retry,
    /// The file of its metrics.
    pub metrics: Option<Template>,
    /// Whether a failure blocks what follows even if that would go on; audits only.
    pub gate: bool,
    /// Whether it runs at all.
    pub when: Option<Condition>,
    /// Who must let it run.
    pub approve: Option<Approval>,
    /// Whether it runs also when a step before it failed.
    pub always: bool,
    /// Whether what follows runs also when it fails.
    pub continue_on_error: bool,
    /// Whether its results may be reused.
    pub cache: bool,
    /// The environment of a deployment.
    pub environment: Option<Template>,
    /// The service of a deployment.
    pub service: Option<Template>,
    pub(super) span: Span,
}

/// What a step runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A program and its arguments, without a shell.
    Argv(Vec<Template>),
    /// A text for `sh -c`.
    Shell(Template),
}

impl Command {
    /// The templates in it.
    pub(super) fn templates(&self) -> &[Template] {
        match self {
            Self::Argv(templates) => templates,
            Self::Shell(template) => std::slice::from_ref(template),
        }
    }
}

/// Over what a step branches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreach {
    /// Where the items come from.
    pub over: Over,
    /// The name of the item of a branch.
    pub item: String,
    /// The most branches; more is an error, never a cut.
    pub max_branches: u64,
    /// The most branches at a time.
    pub max_parallel: Option<u64>,
    pub(super) span: Span,
}

/// Where the items of a foreach come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// A parameter or a value that is a list.
    Name(Name),
    /// The files that a pattern matches, sorted.
    Glob(String),
}

/// What a step takes of the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// Cores, in thousandths.
    pub cpu: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Graphics processors.
    pub gpu: u64,
    /// Named tokens, such as licenses.
    pub tokens: BTreeMap<String, u64>,
    pub(super) span: Span,
}

/// When a failed attempt is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often, after the first attempt.
    pub times: u64,
    /// After which failures; empty: after every one.
    pub on: Vec<Failure>,
    /// How long to wait before the first retry.
    pub delay: Duration,
    /// By what the wait grows from one retry to the next.
    pub backoff: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self { times: 0, on: Vec::new(), delay: Duration::ZERO, backoff: 1 }
    }
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// By a signal that was not ours.
    Signal,
    /// By its timeout.
    Timeout,
    /// For want of memory.
    Oom,
    /// With this exit code.
    Exit(i32),
    /// A declared output was not there.
    Output,
}

impl Failure {
    const WORDS: [&str; 5] = ["signal", "timeout", "oom", "exit:N", "output"];

    fn read(word: &str) -> Option<Self> {
        Some(match word {
            "signal" => Self::Signal,
            "timeout" => Self::Timeout,
            "oom" => Self::Oom,
            "output" => Self::Output,
            _ => Self::Exit(word.strip_prefix("exit:")?.parse().ok().filter(|code| (1..=255).contains(code))?),
        })
    }
}

/// Who must let a step run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The role that the approver must name.
    pub role: Option<String>,
    /// How long an approval holds.
    pub expires: Option<Duration>,
    /// Whether the approver must be another person than the one who runs the pipeline.
    pub other_than_author: bool,
}

/// What `[defaults]` says for every step.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    timeout: Option<Duration>,
    retry: Option<Retry>,
}

impl Defaults {
    pub(super) fn read(table: &Table<'_>) -> Self {
        Self { timeout: duration(table, "timeout"), retry: retry(table) }
    }
}

/// Reads one `[[step]]`.
pub(super) fn read(entries: &DeTable<'_>, span: Span, defaults: &Defaults, found: &Found) -> Option<Step> {
    let mut table = Table::new(entries, span.clone(), "a step", found);
    let id = id(&table);
    if let Some(id) = &id {
        table.what = format!("the step {}", id.value);
    }
    let kind = kind(&table);
    let kinds = kind.unwrap_or(Kind::Transform);
    let acts = matches!(kinds, Kind::Audit | Kind::Deployment);
    let command = command(&table);
    let cache = table.flag("cache").unwrap_or(!acts);
    if cache && acts {
        let what = format!("{} is an {kinds} and must not be reused", table.what).replace("an dep", "a dep");
        found.add(&span, what, "take `cache = true` out");
    }
    let gate = table.flag("gate").unwrap_or(false);
    if gate && kinds != Kind::Audit {
        found.add(&span, format!("{} is a gate but no audit", table.what), "write kind = \"audit\"");
    }
    let environment = template(&table, "environment", "prod");
    if kinds == Kind::Deployment && environment.is_none() {
        let what = format!("{} deploys nowhere", table.what);
        found.add(&span, what, "write environment = \"prod\"");
    }
    if kinds != Kind::Deployment && environment.is_some() {
        let what = format!("{} has an environment but is no deployment", table.what);
        found.add(&span, what, "write kind = \"deployment\", or take it out");
    }
    let step = Step {
        id: id.map(|id| id.value).unwrap_or_default(),
        kind: kinds,
        cwd: template(&table, "cwd", "work"),
        env: environment_variables(&table),
        needs: table.texts("needs", "[\"prep\"]").unwrap_or_default(),
        inputs: declarations(&table, "inputs"),
        outputs: declarations(&table, "outputs"),
        foreach: foreach(&table),
        join: table.text("join", "train"),
        resources: resources(&table),
        timeout: duration(&table, "timeout").or(defaults.timeout),
        retry: retry(&table)
            .or_else(|| defaults.retry.clone().filter(|_| kinds != Kind::Deployment))
            .unwrap_or_default(),
        metrics: template(&table, "metrics", "metrics.json"),
        gate,
        when: condition(&table, "when"),
        approve: approval(&table),
        always: table.flag("always").unwrap_or(false),
        continue_on_error: table.flag("continue_on_error").unwrap_or(false),
        cache,
        environment,
        service: template(&table, "service", "churn-api"),
        command: command.unwrap_or(Command::Argv(Vec::new())),
        span,
    };
    table.finish();
    (!step.id.is_empty()).then_some(step)
}

fn id(table: &Table<'_>) -> Option<At<String>> {
    let Some(id) = table.text("id", "prep") else {
        if table.get("id").is_none() {
            table.found.add(&table.span, "a step has no id", "write id = \"prep\"");
        }
        return None;
    };
    let reserved = matches!(id.value.as_str(), "params" | "values");
    if !is_name(&id.value) || reserved {
        let help = if reserved { "choose another one; the language uses it" } else { NAME_HELP };
        table.found.add(&id.span, format!("`{}` is no id of a step", id.value), help);
    }
    Some(id)
}

fn kind(table: &Table<'_>) -> Option<Kind> {
    let word = table.text("kind", "training")?;
    let kind = KINDS.into_iter().find(|kind| kind.as_str() == word.value);
    if kind.is_none() {
        let help = did_you_mean(&word.value, KINDS.map(Kind::as_str));
        table.found.add(&word.span, format!("{} has the unknown kind `{}`", table.what, word.value), help);
    }
    kind
}

fn command(table: &Table<'_>) -> Option<Command> {
    let argv = table.texts("run", "[\"python\", \"prep.py\"]");
    let shell = template(table, "shell", "sort a.txt > b.txt");
    let help = "write run = [\"PROGRAM\", \"ARGUMENT\", …], or shell = \"…\"";
    match (argv, shell) {
        (Some(_), Some(shell)) => {
            table.found.add(&shell.span, format!("{} has both run and shell", table.what), "take one of them out");
            None
        }
        (Some(argv), None) if argv.is_empty() => {
            table.found.add(&table.span, format!("{} runs nothing", table.what), help);
            None
        }
        (Some(argv), None) => Some(Command::Argv(argv.into_iter().map(read_template).collect())),
        (None, Some(shell)) => Some(Command::Shell(shell)),
        (None, None) => {
            if table.get("run").is_none() && table.get("shell").is_none() {
                table.found.add(&table.span, format!("{} runs nothing", table.what), help);
            }
            None
        }
    }
}

fn read_template(text: At<String>) -> Template {
    Template::read(&text.value, text.span)
}

fn template(table: &Table<'_>, key: &'static str, example: &str) -> Option<Template> {
    table.text(key, example).map(read_template)
}

fn declarations(table: &Table<'_>, key: &'static str) -> Vec<Template> {
    let texts = table.texts(key, "[\"dataset:raw=data/raw.csv\"]").unwrap_or_default();
    let read = |text: At<String>| {
        let template = read_template(text.clone());
        // A template stands for one word wherever it occurs.
        if let Err(why) = Declared::parse(&template.pattern()) {
            table.found.add(&text.span, why, "write KIND:NAME=PATH, NAME=PATH or PATH");
            return None;
        }
        Some(template)
    };
    texts.into_iter().filter_map(read).collect()
}

fn environment_variables(table: &Table<'_>) -> Vec<(String, Template)> {
    let Some(variables) = table.table("env", format!("env of {}", table.what)) else { return Vec::new() };
    let read = |(name, value): (At<String>, &Spanned<DeValue<'_>>)| {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
                super::table::json(value.get_ref())?.to_string()
            }
            _ => {
                let what = format!("the variable {} is neither text nor number", name.value);
                table.found.add(&value.span(), what, "write it as a text");
                return None;
            }
        };
        Some((name.value, read_template(At::new(text, value.span()))))
    };
    variables.entries().filter_map(read).collect()
}

fn foreach(table: &Table<'_>) -> Option<Foreach> {
    let over = table.text("foreach", "params.seeds");
    let item = table.text("as", "seed");
    let max_branches = table.count("max_branches", 1..=BRANCHES_MAX);
    let max_parallel = table.count("max_parallel", 1..=BRANCHES_MAX);
    let Some(over) = over else {
        let extra = item.map(|item| ("as", item.span)).or(max_branches.map(|n| ("max_branches", n.span)));
        if let Some((key, span)) = extra.or(max_parallel.map(|n| ("max_parallel", n.span))) {
            let what = format!("{} has `{key}` but no foreach", table.what);
            table.found.add(&span, what, "write foreach = \"params.LIST\", or take it out");
        }
        return None;
    };
    let item = item.unwrap_or_else(|| At::new("item".to_owned(), over.span.clone()));
    if !is_name(&item.value) || matches!(item.value.as_str(), "index" | "run" | "step" | "attempt") {
        let what = format!("`{}` cannot be the name of an item", item.value);
        table.found.add(&item.span, what, "choose another one, such as as = \"seed\"");
    }
    let from = match Name::read(&over.value) {
        Some(name @ (Name::Param(_) | Name::Of(..))) => Over::Name(name),
        _ if over.value.contains(['*', '?', '[', '/']) => Over::Glob(over.value.clone()),
        _ => {
            let what = format!("{} cannot branch over `{}`", table.what, over.value);
            let help = "write params.NAME, STEP.NAME, or a pattern such as data/*.csv";
            table.found.add(&over.span, what, help);
            return None;
        }
    };
    Some(Foreach {
        over: from,
        item: item.value,
        max_branches: max_branches.map_or(BRANCHES_DEFAULT, |n| n.value),
        max_parallel: max_parallel.map(|n| n.value),
        span: over.span,
    })
}

fn resources(table: &Table<'_>) -> Resources {
    let Some(inner) = table.table("resources", format!("resources of {}", table.what)) else {
        return Resources::default();
    };
    let cpu = inner.get("cpu").and_then(|value| {
        let cores = super::table::json(value.get_ref()).and_then(|n| n.as_f64()).filter(|n| (0.001..=1e6).contains(n));
        if cores.is_none() {
            inner.found.add(
                &value.span(),
                format!("cpu of {} is no number of cores", table.what),
                "write cpu = 2 or cpu = 0.5",
            );
        }
        cores.map(|cores| (cores * 1000.0).round() as u64)
    });
    let memory = inner.text("memory", "8G").and_then(|text| {
        let bytes = measure::bytes(&text.value);
        if bytes.is_none() {
            let what = format!("memory of {} is no amount of memory: `{}`", table.what, text.value);
            inner.found.add(&text.span, what, "write for example memory = \"512M\" or \"8G\"");
        }
        bytes
    });
    let gpu = inner.count("gpu", 0..=1024).map_or(0, |n| n.value);
    let tokens = inner.table("tokens", "tokens").map(|table| tokens(&table)).unwrap_or_default();
    let resources = Resources { cpu, memory, gpu, tokens, span: inner.span.clone() };
    inner.finish();
    resources
}

/// Named tokens and how many of each.
pub(super) fn tokens(table: &Table<'_>) -> BTreeMap<String, u64> {
    let one = |(name, value): (At<String>, &Spanned<DeValue<'_>>)| {
        let number = super::table::whole(value.get_ref()).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        if number.is_none() {
            let what = format!("the token {} has no number", name.value);
            table.found.add(&value.span(), what, "write a whole number above 0");
        }
        Some((name.value, number?))
    };
    table.entries().filter_map(one).collect()
}

fn retry(table: &Table<'_>) -> Option<Retry> {
    let inner = table.table("retry", format!("retry of {}", table.what))?;
    let times = inner.count("times", 0..=RETRIES_MAX).map_or(1, |n| n.value);
    let on = inner.texts("on", "[\"signal\", \"timeout\", \"exit:75\"]").unwrap_or_default();
    let on = on.into_iter().filter_map(|word| {
        let failure = Failure::read(&word.value);
        if failure.is_none() {
            let help = did_you_mean(&word.value, Failure::WORDS);
            inner.found.add(&word.span, format!("`{}` is no kind of failure", word.value), help);
        }
        failure
    });
    let on = on.collect();
    let delay = duration(&inner, "delay").unwrap_or_default();
    let backoff = inner.count("backoff", 1..=10).map_or(1, |n| n.value as u32);
    inner.finish();
    Some(Retry { times, on, delay, backoff })
}

fn approval(table: &Table<'_>) -> Option<Approval> {
    let inner = table.table("approve", format!("approve of {}", table.what))?;
    let approval = Approval {
        role: inner.text("role", "owner").map(|role| role.value),
        expires: duration(&inner, "expires"),
        other_than_author: inner.flag("other_than_author").unwrap_or(false),
    };
    inner.finish();
    Some(approval)
}
