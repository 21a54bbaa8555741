//! `lineage ps`: the runs that go on, and those that ended last.

use lineage_ingest::run::{Note, Open, OpenRuns};
use lineage_store::event::{Evidence, State};
use lineage_store::graph::View;
use lineage_store::time::Time;
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::ExitCode;
use crate::render::{ago, align, clean, fit, time};
use crate::session::Session;

const EXAMPLES: &str = "\
EXAMPLES
  lineage ps                 what runs, and the last ten that ended
  lineage ps -n 0            only what runs
  lineage ps --json | jq '.running[].run'
  lineage ps --job churn --tag exp-7 --state complete -n 1 --quiet
                             the id of the latest run of churn with a tag that was successful

A run whose runner was killed is recorded as aborted by this command, as by any that writes.
A run on another machine that shares the store is shown as `elsewhere`: its end cannot be judged from here.";

/// So many of the newest events are looked through for runs that ended.
const SCANNED_MAX: u32 = 100_000;

/// Arguments of `lineage ps`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ps {
    /// How many of the runs that ended last
    #[arg(long = "last", short = 'n', default_value_t = 10, value_name = "N")]
    last: usize,
    /// Only runs of this job: a pipeline, or PIPELINE.STEP
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Only runs of this namespace
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Only runs with this tag, which are over
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Only runs that ended so: complete, fail or abort
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    state: Option<State>,
    /// Only the ids of runs
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
}

fn parse_state(word: &str) -> Result<State, String> {
    let state = State::from_word(word).filter(|state| state.is_terminal());
    state.ok_or_else(|| "runs end as complete, fail or abort".to_owned())
}

/// A run that has ended.
struct Past {
    run: String,
    namespace: String,
    kind: String,
    job: String,
    state: String,
    cause: Option<String>,
    exit_code: Option<i64>,
    ended: Time,
    position: u32,
}

impl Ps {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        // A store that cannot be written to is still looked at.
        let session = context.open_to_write().or_else(|_| context.open())?;
        let OpenRuns { runs: open, damaged } = session.open_runs()?;
        for (path, what) in damaged {
            context.terminal.note(&format!("{} cannot be read: {what}; remove it", path.display()));
        }
        let open: Vec<Open> = open.into_iter().filter(|open| self.wants_open(open)).collect();
        let past = session.with_view(|view| self.past(&session, view))?;
        if self.quiet {
            let ids = open.iter().map(|open| &open.note().run).chain(past.iter().map(|past| &past.run));
            let ids: String = ids.map(|run| clean(run) + "\n").collect();
            return Ok(context.terminal.print(&ids).map(|()| ExitCode::Done)?);
        }
        if context.json {
            let running: Vec<Value> = open.iter().map(|open| running_json(&session, open)).collect();
            let ended: Vec<Value> = past.iter().map(past_json).collect();
            context.terminal.print(&json!({ "running": running, "ended": ended }).to_string())?;
            return Ok(ExitCode::Done);
        }
        let now = context.now();
        let mut rows: Vec<Vec<String>> = open.iter().map(|open| running_row(&session, open, now)).collect();
        rows.extend(past.iter().map(|past| past_row(past, now)));
        if rows.is_empty() {
            context.terminal.tell("no runs yet");
            return Ok(ExitCode::Done);
        }
        let head = ["RUN", "STATE", "KIND", "JOB", "WHEN", "DETAIL"].map(str::to_owned).to_vec();
        rows.insert(0, head);
        let lines: String = align(&rows).lines().map(|line| fit(line, context.terminal.width) + "\n").collect();
        context.terminal.print(&lines)?;
        Ok(ExitCode::Done)
    }

    /// Whether a run that goes on is wanted; its tags are known when it is over.
    fn wants_open(&self, open: &Open) -> bool {
        let note = open.note();
        let is = |wanted: &Option<String>, there: &str| wanted.as_ref().is_none_or(|wanted| wanted == there);
        let open_too = self.state.is_none() && self.tag.is_none();
        open_too && is(&self.job, &note.job) && is(&self.namespace, &note.namespace)
    }

    /// Whether the end of a run is wanted, as far as the index tells.
    fn wants(&self, view: &View, position: u32) -> bool {
        let is = |wanted: &Option<String>, there: &str| wanted.as_ref().is_none_or(|wanted| wanted == there);
        is(&self.job, view.text(view.job(position)))
            && is(&self.namespace, view.text(view.namespace(position)))
            && self.state.is_none_or(|state| view.state(position) == state)
    }

    /// The newest ends of runs that were observed here.
    fn past(&self, session: &Session, view: &View) -> anyhow::Result<Vec<Past>> {
        let reader = session.store.reader()?;
        let mut found: Vec<Past> = Vec::new();
        let from = view.count().saturating_sub(SCANNED_MAX);
        for position in (from..view.count()).rev() {
            if found.len() >= self.last {
                break;
            }
            let is_end = view.has_run(position)
                && view.state(position).is_terminal()
                && view.evidence(position) == Evidence::Observed
                && !view.is_hidden(position)
                && self.wants(view, position);
            if !is_end {
                continue;
            }
            let (event, ..) = reader.event(position.into())?;
            if self.tag.as_ref().is_some_and(|tag| !event.tags.contains(tag)) {
                continue;
            }
            let run = event.run.unwrap_or_default();
            if found.iter().any(|past| past.run == run && past.namespace == event.namespace) {
                continue;
            }
            let facets: Value = serde_json::from_str(event.facets.as_str()).unwrap_or_default();
            found.push(Past {
                run,
                namespace: event.namespace,
                kind: event.kind.to_string(),
                job: event.job.unwrap_or_default(),
                state: event.state.to_string(),
                cause: facets["process"]["cause"].as_str().map(str::to_owned),
                exit_code: facets["process"]["exit_code"].as_i64(),
                ended: view.time(position),
                position,
            });
        }
        Ok(found)
    }
}

/// How a run that has not ended stands. A runner that is dead is one whose end could not be recorded just now.
fn state_of(session: &Session, open: &Open) -> &'static str {
    match open {
        Open::Dead(_) => "dead",
        Open::Running(note) if note.host == session.host() => "running",
        Open::Running(_) => "elsewhere",
    }
}

fn running_row(session: &Session, open: &Open, now: Time) -> Vec<String> {
    let Note { run, kind, job, command, pid, .. } = open.note();
    let when = open.note().started().map(|at| ago(at, now)).unwrap_or_default();
    let detail = format!("pid {pid}  {command}");
    vec![
        clean(run),
        state_of(session, open).to_owned(),
        clean(kind),
        clean(job),
        format!("started {when}"),
        clean(&detail),
    ]
}

fn running_json(session: &Session, open: &Open) -> Value {
    let Note { run, namespace, kind, job, command, started, actor, pid, .. } = open.note();
    json!({
        "run": run, "namespace": namespace, "state": state_of(session, open), "kind": kind, "job": job,
        "command": command, "started": started, "actor": actor, "pid": pid,
    })
}

fn past_row(past: &Past, now: Time) -> Vec<String> {
    let mut detail: Vec<String> = past.cause.iter().map(|cause| clean(cause)).collect();
    detail.extend(past.exit_code.filter(|code| *code != 0).map(|code| format!("exit code {code}")));
    vec![
        clean(&past.run),
        past.state.clone(),
        past.kind.clone(),
        clean(&past.job),
        ago(past.ended, now),
        detail.join(", "),
    ]
}

fn past_json(past: &Past) -> Value {
    json!({
        "run": past.run, "namespace": past.namespace, "state": past.state, "kind": past.kind, "job": past.job,
        "cause": past.cause, "exit_code": past.exit_code, "ended": time(past.ended), "position": past.position,
    })
}
