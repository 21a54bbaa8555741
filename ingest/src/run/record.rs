//! The events of a run.

use lineage_store::event::{About, EntityKind, Event, Evidence, Input, Json, Kind, Output, Role, State};
use lineage_store::time::Time;
use serde_json::{Map, Value, json};

use super::Run;
use super::child::Ended;
use super::facts::job_name;
use super::files::{Traced, path_name};
use super::outcome::Findings;
use super::redact::redact_arguments;

/// The event that says that a run began.
pub(super) fn start(run: &Run<'_>, time: Time) -> Event {
    let mut event = base(run, run.kind(&[]), "start", time);
    event.state = State::Start;
    event.facets = object(&json!({ "process": process(run) }));
    event
}

/// The event that says how a run ended and what it made.
pub(super) fn end(run: &Run<'_>, findings: &Findings, time: Time, duration_ms: i64) -> Event {
    let mut event = base(run, run.kind(&findings.outputs), "end", time);
    event.state = findings.state;
    event.outcome = findings.verdict;
    event.outputs = findings.outputs.iter().map(output).collect();
    event.metrics = findings.metrics.clone();
    let mut process = process(run);
    process.insert("exit_code".to_owned(), json!(findings.ended.code()));
    process.insert("duration_ms".to_owned(), json!(duration_ms));
    match &findings.ended {
        Ended::Signal(signal) => drop(process.insert("signal".to_owned(), json!(signal))),
        Ended::NotStarted(_, why) => drop(process.insert("error".to_owned(), json!(why))),
        Ended::Code(_) => {}
    }
    event.facets = object(&json!({ "process": process, "capture": capture(run, findings) }));
    event
}

fn base(run: &Run<'_>, kind: Kind, part: &str, time: Time) -> Event {
    let spec = run.spec;
    let mut event = Event::new(kind, spec.actor.clone());
    event.id = Some(format!("{}/{part}", spec.run_id));
    event.time = Some(time);
    event.namespace.clone_from(&spec.namespace);
    event.job = Some(spec.name.clone().unwrap_or_else(|| job_name(&spec.argv)));
    event.run = Some(spec.run_id.clone());
    event.inputs = run.inputs.iter().map(|traced| input(kind, traced)).collect();
    event.about = about(kind, &run.inputs);
    event.tags.clone_from(&spec.tags);
    event.params = run.params.clone();
    event.code = run.code.clone();
    event.software = spec.software.clone().unwrap_or_default();
    if kind == Kind::Deployment {
        event.environment.clone_from(&spec.environment);
        event.service.clone_from(&spec.service);
    }
    event.evidence = Evidence::Observed;
    event
}

fn input(kind: Kind, traced: &Traced) -> Input {
    let role = match (kind, traced.kind()) {
        (Kind::Training, EntityKind::Model) => Role::Base,
        (Kind::Evaluation, EntityKind::Dataset | EntityKind::Features) => Role::Eval,
        (Kind::Audit, EntityKind::Dataset | EntityKind::Features | EntityKind::Artifact) => Role::Evidence,
        _ => Role::Data,
    };
    Input { reference: traced.reference.clone(), role, size: Some(traced.stored.size), inferred: false }
}

fn output(traced: &Traced) -> Output {
    Output { reference: traced.reference.clone(), size: Some(traced.stored.size), ..Output::default() }
}

/// What an evaluation, audit or deployment is about: its models, or all inputs if it has none.
fn about(kind: Kind, inputs: &[Traced]) -> Vec<About> {
    if !kind.carries_about() {
        return Vec::new();
    }
    let has_model = inputs.iter().any(|traced| traced.kind() == EntityKind::Model);
    let named = inputs.iter().filter(|traced| !has_model || traced.kind() == EntityKind::Model);
    named.map(|traced| About::Thing(traced.reference.clone())).collect()
}

fn process(run: &Run<'_>) -> Map<String, Value> {
    let (argv, redacted) = redact_arguments(&run.spec.argv);
    let cwd = path_name(&run.spec.cwd, run.spec).unwrap_or_else(|_| ".".to_owned());
    let mut process = Map::from_iter([("argv".to_owned(), json!(argv)), ("cwd".to_owned(), json!(cwd))]);
    if redacted {
        process.insert("redacted".to_owned(), json!(true));
    }
    process
}

fn capture(run: &Run<'_>, findings: &Findings) -> Map<String, Value> {
    let word = json!("declared");
    let mut capture = Map::from_iter([("completeness".to_owned(), word.clone()), ("mechanism".to_owned(), word)]);
    let missing = findings.missing_names(run.spec);
    for (key, names) in [("missing", &missing), ("unstable", &findings.unstable), ("unchanged", &findings.unchanged)] {
        if !names.is_empty() {
            capture.insert(key.to_owned(), json!(names));
        }
    }
    if !findings.unreadable.is_empty() {
        let list: Vec<_> =
            findings.unreadable.iter().map(|(what, why)| json!({ "output": what, "why": why })).collect();
        capture.insert("unreadable".to_owned(), json!(list));
    }
    capture
}

fn object(value: &Value) -> Json {
    // Strings, numbers and lists of our own are always canonical JSON.
    Json::from_value(value).unwrap_or_default()
}

/// One line for people.
pub(super) fn summary(run: &Run<'_>, findings: &Findings, kind: Kind, duration_ms: i64) -> String {
    let how = match &findings.ended {
        Ended::Signal(signal) => format!("ended by signal {signal}"),
        Ended::NotStarted(..) => "not started".to_owned(),
        Ended::Code(0) if findings.state == State::Fail => "failed: an output is missing".to_owned(),
        Ended::Code(code) => match findings.verdict {
            Some(verdict) => format!("verdict {verdict}"),
            None if *code == 0 => "complete".to_owned(),
            None => format!("failed with exit code {code}"),
        },
    };
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let job = run.spec.name.clone().unwrap_or_else(|| job_name(&run.spec.argv));
    let names: Vec<_> = findings.outputs.iter().map(|o| format!("{} {}", o.kind(), o.name())).collect();
    let names = if (1..=3).contains(&names.len()) { format!(" ({})", names.join(", ")) } else { String::new() };
    let inputs = count(run.inputs.len(), "input");
    let outputs = count(findings.outputs.len(), "output");
    format!("{kind} {job}: {how} in {}.{:03} s; {inputs}, {outputs}{names}", duration_ms / 1000, duration_ms % 1000)
}
