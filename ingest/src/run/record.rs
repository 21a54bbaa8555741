//! The events of a run.

use lineage_store::event::{About, EntityKind, Event, Evidence, Input, Json, Kind, Output, Role, State};
use lineage_store::time::Time;
use serde_json::{Map, Value, json};

use super::Run;
use super::cgroup;
use super::command::Ended;
use super::files::{Traced, path_name};
use super::lock::{self, Note, RunLock};
use super::log::Kept;
use super::observed::{self, name_of};
use super::outcome::Findings;
use super::places;
use super::redact::redact_arguments;
use super::redirected::Redirected;
use super::watch::Cause;

/// What others need to end this run, should the runner die.
pub(super) fn note(run: &Run<'_>, time: Time) -> Note {
    let spec = run.spec;
    let (boot, pid, pid_start) = lock::here();
    let mask = |text: &str| run.secrets.mask(text).into_owned();
    Note {
        run: spec.run_id.clone(),
        namespace: mask(&spec.namespace),
        job: mask(&run.job()),
        kind: run.kind(&[]).to_string(),
        actor: mask(&spec.actor),
        started: time.to_string(),
        command: mask(&redact_arguments(&spec.argv).0.join(" ")),
        scratch: run.metrics_log.as_ref().map(|path| path.to_string_lossy().into_owned()),
        host: spec.host.clone(),
        boot,
        pid,
        pid_start,
    }
}

/// What a run that is started by the command is told of this one.
pub(super) fn parent_text(run: &Run<'_>) -> String {
    let spec = run.spec;
    json!({ "namespace": spec.namespace, "job": run.job(), "run": spec.run_id }).to_string()
}

/// The event that says that a run began; `lock` is the name of its lock file.
pub(super) fn start(run: &Run<'_>, time: Time, lock: Option<&RunLock>) -> Event {
    let mut event = base(run, run.kind(&[]), "start", time);
    event.state = State::Start;
    let mut process = process(run);
    process.extend(run.surroundings.process.clone());
    let (boot, pid, pid_start) = lock::here();
    let mut facets = run.surroundings.facets.clone();
    facets.extend(run.spec.facets.clone());
    facets.insert("process".to_owned(), Value::Object(process));
    facets.insert(
        "runner".to_owned(),
        json!({ "host": run.spec.host, "boot": boot, "pid": pid, "pid_start": pid_start, "lock": lock.map(RunLock::name) }),
    );
    event.facets = object(&Value::Object(facets));
    run.secrets.mask_event(&mut event);
    event
}

/// The event that says how a run ended and what it made.
pub(super) fn end(run: &Run<'_>, findings: &Findings, time: Time, duration_ms: i64) -> Event {
    let kind = run.kind(&findings.outputs);
    let mut event = base(run, kind, "end", time);
    event.state = findings.state;
    event.outcome = findings.verdict;
    event.outputs = findings.outputs.iter().map(output).chain(findings.value_outputs.iter().cloned()).collect();
    let observed = findings.observed.inputs.iter();
    event.inputs.extend(
        observed.map(|seen| Input {
            role: seen.role.unwrap_or(input(kind, &seen.traced).role),
            ..input(kind, &seen.traced)
        }),
    );
    add_packages(&mut event, findings);
    event.metrics = findings.metrics.clone();
    let mut process = process(run);
    process.extend(ended(findings));
    process.insert("duration_ms".to_owned(), json!(duration_ms));
    let mut facets = Map::new();
    facets.insert("process".to_owned(), Value::Object(process));
    facets.insert("capture".to_owned(), Value::Object(capture(run, findings)));
    if let Some(details) = findings.trace.as_ref().and_then(|trace| observed::details(trace, run.spec)) {
        facets.insert("trace".to_owned(), details);
    }
    if !matches!(findings.ended, Ended::NotStarted(..)) {
        facets.insert("files".to_owned(), places::describe(run, findings));
    }
    if let Some(usage) = usage(findings) {
        facets.insert("usage".to_owned(), usage);
    }
    if !findings.logs.is_empty() {
        facets.insert("logs".to_owned(), logs(&findings.logs));
    }
    if !findings.metric_files.is_empty() {
        let file = |(name, digest): &(String, Option<String>)| json!({ "name": name, "digest": digest });
        facets.insert("metric_files".to_owned(), findings.metric_files.iter().map(file).collect());
    }
    event.facets = object(&Value::Object(facets.clone()));
    run.secrets.mask_event(&mut event);
    // Last, so that what was masked in this event is counted, too.
    if let Some(secrets) = run.secrets.describe() {
        let mut facets: Map<String, Value> = serde_json::from_str(event.facets.as_str()).unwrap_or_default();
        facets.insert("secrets".to_owned(), secrets);
        event.facets = object(&Value::Object(facets));
    }
    event
}

fn ended(findings: &Findings) -> Map<String, Value> {
    let mut process = Map::new();
    let mut say = |key: &str, value: Value| drop(process.insert(key.to_owned(), value));
    say("exit_code", json!(findings.ended.code()));
    match &findings.ended {
        Ended::Signal(signal) => say("signal", json!(signal)),
        Ended::NotStarted(_, why) => say("error", json!(why)),
        Ended::Code(_) => {}
    }
    if let Some(cause) = findings.cause {
        say("cause", json!(cause.as_str()));
    }
    if !findings.left.is_empty() {
        let left = findings.left.iter().map(|left| json!({ "pid": left.pid, "name": left.name }));
        say("left_behind", left.collect());
    }
    process
}

fn usage(findings: &Findings) -> Option<Value> {
    let usage = findings.usage?;
    let ms = |duration: std::time::Duration| duration.as_millis() as u64;
    let mut object =
        json!({ "user_ms": ms(usage.user), "system_ms": ms(usage.system), "memory_max": usage.memory_max });
    if let Some(peak) = cgroup::memory_peak() {
        object["cgroup_memory_peak"] = json!(peak);
    }
    Some(object)
}

/// Logs by their names.
pub(super) fn logs(kept: &[Kept]) -> Value {
    Value::Object(kept.iter().map(|kept| (kept.name.clone(), kept.facts.clone())).collect())
}

fn base(run: &Run<'_>, kind: Kind, part: &str, time: Time) -> Event {
    let spec = run.spec;
    let mut event = Event::new(kind, spec.actor.clone());
    event.id = Some(match spec.attempt {
        Some(attempt) if attempt > 1 => format!("{}/{attempt}/{part}", spec.run_id),
        _ => format!("{}/{part}", spec.run_id),
    });
    event.attempt = spec.attempt;
    event.time = Some(time);
    event.namespace.clone_from(&spec.namespace);
    event.job = Some(run.job());
    event.parent.clone_from(&spec.parent);
    event.run = Some(spec.run_id.clone());
    event.inputs = run.inputs.iter().map(|traced| input(kind, traced)).chain(spec.given.iter().cloned()).collect();
    event.about = about(kind, &run.inputs);
    event.tags.clone_from(&spec.tags);
    event.params = run.params.clone();
    event.code = run.code.clone();
    event.software = spec.software.clone().unwrap_or_else(|| object(&Value::Object(run.surroundings.software.clone())));
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
    let Redirected { input, output } = &run.spec.redirected;
    for (stream, path) in [("stdin", input), ("stdout", output)] {
        process.extend(path.as_ref().map(|path| (stream.to_owned(), json!(name_of(path, run.spec)))));
    }
    process
}

fn capture(run: &Run<'_>, findings: &Findings) -> Map<String, Value> {
    let (completeness, mechanism) = match &findings.trace {
        Some(trace) => (trace.completeness.as_str(), trace.mechanism.as_str()),
        None => ("none", "off"),
    };
    let mut capture = findings.observed.facts.clone();
    capture.insert("completeness".to_owned(), json!(completeness));
    capture.insert("mechanism".to_owned(), json!(mechanism));
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

/// The packages whose files were opened.
fn add_packages(event: &mut Event, findings: &Findings) {
    let Some(trace) = findings.trace.as_ref().filter(|trace| !trace.packages.is_empty()) else { return };
    let mut software: Map<String, Value> = serde_json::from_str(event.software.as_str()).unwrap_or_default();
    software.insert("packages".to_owned(), json!(trace.packages));
    event.software = object(&Value::Object(software));
}

fn object(value: &Value) -> Json {
    // Strings, numbers and lists of our own are always canonical JSON.
    Json::from_value(value).unwrap_or_default()
}

/// One line for people.
pub(super) fn summary(run: &Run<'_>, findings: &Findings, kind: Kind, duration_ms: i64) -> String {
    let how = match &findings.ended {
        _ if findings.state == State::Abort && findings.cause.is_some() => match findings.cause {
            Some(Cause::Timeout) => "aborted: its time was over".to_owned(),
            Some(Cause::Cancelled) => "aborted: cancelled".to_owned(),
            Some(Cause::OutOfMemory) => "aborted: out of memory".to_owned(),
            Some(Cause::Signal(signal)) => format!("aborted by signal {signal}"),
            None => String::new(),
        },
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
    let job = run.secrets.mask(&run.job()).into_owned();
    let names: Vec<_> = findings.outputs.iter().map(|o| format!("{} {}", o.kind(), o.name())).collect();
    let names = if (1..=3).contains(&names.len()) { format!(" ({})", names.join(", ")) } else { String::new() };
    let inputs = count(run.inputs.len() + findings.observed.inputs.len(), "input");
    let outputs = count(findings.outputs.len(), "output");
    format!("{kind} {job}: {how} in {}.{:03} s; {inputs}, {outputs}{names}", duration_ms / 1000, duration_ms % 1000)
}
