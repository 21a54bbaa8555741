//! `lineage why`: what produced a thing, and from which inputs; or why a step ran.

mod step;

use std::path::Path;

use lineage_query::output::Format;
use lineage_query::syntax;
use lineage_store::artifact::Artifacts;
use lineage_store::event::Event;
use lineage_store::graph::{Use, VersionId, View};
use serde_json::{Value, json};

use super::question::{self, Asked};
use super::{history, query};
use crate::context::Context;
use crate::exit::ExitCode;
use crate::reference::{Found, Target, kind_of, label};
use crate::render::{align, clean, time};
use crate::session::Session;

const EXAMPLES: &str = "\
EXAMPLES
  lineage why ./model.pkl                        which run wrote these bytes, how, and from what
  lineage why model churn@v3
  lineage why train                              why a step of the newest run of a pipeline ran, or was reused
  lineage why r-9f2c41d07a5be386 train.0         the same of a run and a branch
  lineage why model churn --in \"models trained on dataset churn-raw\"
                                                 why it is in the answer to a question, clause by clause, or why not

The exit code is 1 for a file whose bytes nobody recorded.";

/// The most producers that are told of one version; equal bytes may be built again and again.
const MAKERS_MAX: usize = 5;
/// The most inputs that are listed of one producer; programs are given all of them.
const INPUTS_MAX: usize = 20;

/// Arguments of `lineage why`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Why {
    /// A file, a name, a version or a digest; or a step, or a run and a step
    #[arg(required = true, num_args = 1..=2, value_name = "THING", add = super::completions::of_reference())]
    thing: Vec<String>,
    /// Say clause by clause why it is in this set
    #[arg(long = "in", value_name = "QUESTION")]
    set: Option<String>,
}

impl Why {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open()?;
        let digest = match self.thing.as_slice() {
            [path] if Path::new(path).exists() && !is_name(&session, path)? => {
                Some(Artifacts::hash_path(Path::new(path))?.digest)
            }
            _ => None,
        };
        let versions = session.with_view(|view| {
            if let Some(digest) = &digest {
                return Ok(view.versions_with(&digest.0));
            }
            let target = history::one(&self.thing)?;
            target.holders(view).map_or_else(|| Ok(vec![target.version(view)?]), Ok)
        });
        // A thing has its name before a step has it.
        let versions = match versions {
            Err(unknown) if self.set.is_none() => match step::find(&session, &self.thing)? {
                Some(step) => return step.tell(&session),
                None => return Err(unknown),
            },
            versions => versions?,
        };
        let Some(newest) = versions.iter().max().copied() else {
            let path = self.thing.concat();
            context.terminal.print(&match (context.json, digest) {
                (true, digest) => {
                    json!({ "path": path, "digest": digest.map(|d| d.to_string()), "versions": [] }).to_string()
                }
                (false, _) => format!("{} is unknown here: no version holds these bytes", clean(&path)),
            })?;
            return Ok(ExitCode::Unmet);
        };
        match &self.set {
            Some(set) => in_set(&session, newest, set),
            None => produced(&session, &versions),
        }
    }
}

/// Whether a word names something, so that it is not taken for a file of that name.
fn is_name(session: &Session, word: &str) -> anyhow::Result<bool> {
    let is_path = ["./", "../", "/"].iter().any(|start| word.starts_with(start));
    let target = Target::read(&[word.to_owned()]);
    Ok(!is_path && session.with_view(|view| Ok(target.iter().any(|target| target.resolve(view).is_ok())))?)
}

/// The question `why R in (S)` of the query language.
fn in_set(session: &Session, version: VersionId, set: &str) -> anyhow::Result<ExitCode> {
    let label = session.with_view(|view| Ok(label(view, Found::Version(version))))?;
    let text = question_of(&label, set);
    let asked = Asked::plain(&text);
    let format = if session.context.json { Format::Json } else { Format::Table };
    let ask = if session.context.json { question::answered_for_programs } else { question::answered };
    match asked.ask(session, ask) {
        Ok((answer, digits)) => {
            query::write(&answer, digits, format, None, &session.context)?;
            query::tell_notes(&session.context, &answer);
            Ok(ExitCode::Done)
        }
        Err(error) => question::tell_failure(&session.context, error, &text),
    }
}

/// `model churn@v3` and a set as one question, the name quoted where the language needs it.
fn question_of(label: &str, set: &str) -> String {
    let (kind, rest) = label.split_once(' ').unwrap_or(("", label));
    let (name, number) = rest.rsplit_once('@').unwrap_or((rest, ""));
    let kind =
        kind_of(kind).map_or(kind, |kind| if kind.as_str() == "features" { "feature set" } else { kind.as_str() });
    format!("why {kind} {}@{number} in ({set})", syntax::quote(name))
}

fn produced(session: &Session, versions: &[VersionId]) -> anyhow::Result<ExitCode> {
    let context = &session.context;
    let text = session.with_view(|view| {
        if context.json {
            let list = versions
                .iter()
                .map(|version| version_json(session, view, *version))
                .collect::<anyhow::Result<Vec<_>>>()?;
            return Ok(json!({ "versions": list }).to_string());
        }
        let parts = versions.iter().map(|version| version_text(session, view, *version));
        Ok(parts.collect::<anyhow::Result<Vec<_>>>()?.join("\n"))
    })?;
    context.terminal.print(&text)?;
    Ok(ExitCode::Done)
}

/// The attempts that made a version, newest first, by their first events.
fn makers(view: &View, version: VersionId) -> Vec<u32> {
    let mut events = Vec::new();
    view.makers(version, |event| events.push(view.leader(event)));
    events.sort_unstable_by(|a, b| b.cmp(a));
    events.dedup();
    events
}

/// The events of an attempt as they were said, oldest first.
fn said(session: &Session, view: &View, leader: u32) -> anyhow::Result<Vec<(u32, Event)>> {
    let reader = session.store.reader()?;
    let mut positions = view.attempt_events(leader);
    positions.sort_unstable();
    positions.into_iter().map(|position| Ok((position, reader.event(position.into())?.0))).collect()
}

/// What went into an attempt: the version and its role, each once.
fn inputs(view: &View, events: &[(u32, Event)]) -> Vec<(VersionId, String)> {
    let mut found: Vec<(VersionId, String)> = Vec::new();
    for (position, _) in events {
        for mention in view.mentions(*position) {
            let role = match mention.usage {
                Use::Input(role) => role.to_string(),
                Use::About => "about".to_owned(),
            };
            if !found.iter().any(|(version, _)| *version == mention.version) {
                found.push((mention.version, role));
            }
        }
    }
    found
}

/// The value of a facet or section that the latest event with it gives.
fn fact(events: &[(u32, Event)], path: &[&str]) -> Option<Value> {
    events.iter().rev().find_map(|(_, event)| {
        let json = match *path.first()? {
            "code" => &event.code,
            "params" => &event.params,
            "metrics" => &event.metrics,
            _ => &event.facets,
        };
        let skip = usize::from(matches!(path[0], "code" | "params" | "metrics"));
        let mut value: Value = serde_json::from_str(json.as_str()).ok()?;
        for key in &path[skip..] {
            value = value.get_mut(key)?.take();
        }
        Some(value).filter(|value| !value.is_null())
    })
}

fn version_text(session: &Session, view: &View, version: VersionId) -> anyhow::Result<String> {
    let title = session.context.terminal.bold(&clean(&label(view, Found::Version(version))));
    let mut text = format!("{title}\n");
    let makers = makers(view, version);
    if makers.is_empty() {
        let mint = view.mint(version);
        let when = time(view.time(mint));
        return Ok(format!("{text}  nothing recorded made it; first met at #{mint}, {when}\n"));
    }
    for leader in makers.iter().take(MAKERS_MAX) {
        let events = said(session, view, *leader)?;
        text.push_str(&align(&maker_rows(view, &events)));
    }
    if makers.len() > MAKERS_MAX {
        let n = makers.len() - MAKERS_MAX;
        return Ok(format!("{text}  and {n} earlier producers; --json lists them\n"));
    }
    Ok(text)
}

fn maker_rows(view: &View, events: &[(u32, Event)]) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |key: &str, value: String| rows.push(vec![format!("  {key}"), clean(&value)]);
    let Some((position, last)) = events.last() else { return rows };
    let what = format!("{} {}", last.kind, last.job.as_deref().unwrap_or_default());
    row("made by", format!("{} (#{position}), by {}, {}", what.trim(), last.actor, time(view.time(*position))));
    if let Some(run) = &last.run {
        row("run", format!("{run}, {}", last.state));
    }
    if let Some(Value::Array(argv)) = fact(events, &["process", "argv"]) {
        let words: Vec<_> = argv.iter().filter_map(Value::as_str).collect();
        row("command", words.join(" "));
    }
    if let Some(Value::String(commit)) = fact(events, &["code", "commit"]) {
        let dirty = fact(events, &["code", "dirty"]) == Some(Value::Bool(true));
        row("commit", if dirty { format!("{commit}, with changes") } else { commit });
    }
    for section in ["params", "metrics"] {
        if let Some(Value::Object(object)) =
            fact(events, &[section]).filter(|v| v.as_object().is_some_and(|o| !o.is_empty()))
        {
            let pairs: Vec<_> = object.iter().map(|(key, value)| format!("{key}={value}")).collect();
            row(section, pairs.join(" "));
        }
    }
    if let Some(Value::String(word)) = fact(events, &["capture", "completeness"]) {
        row("capture", word);
    }
    let inputs = inputs(view, events);
    for (version, role) in inputs.iter().take(INPUTS_MAX) {
        row("from", format!("{} ({role})", label(view, Found::Version(*version))));
    }
    if inputs.len() > INPUTS_MAX {
        row("", format!("and {} more inputs; --json lists them", inputs.len() - INPUTS_MAX));
    } else if inputs.is_empty() {
        row("from", "no recorded input".to_owned());
    }
    rows
}

fn version_json(session: &Session, view: &View, version: VersionId) -> anyhow::Result<Value> {
    let mut made_by = Vec::new();
    for leader in makers(view, version) {
        let events = said(session, view, leader)?;
        let Some((position, last)) = events.last() else { continue };
        let inputs: Vec<Value> = inputs(view, &events)
            .into_iter()
            .map(|(version, role)| json!({ "version": label(view, Found::Version(version)), "role": role }))
            .collect();
        made_by.push(json!({
            "position": position, "kind": last.kind.as_str(), "job": last.job, "run": last.run,
            "state": last.state.as_str(), "actor": last.actor, "time": view.time(*position).to_string(),
            "command": fact(&events, &["process", "argv"]), "code": fact(&events, &["code"]),
            "params": fact(&events, &["params"]), "metrics": fact(&events, &["metrics"]),
            "capture": fact(&events, &["capture", "completeness"]), "inputs": inputs,
        }));
    }
    Ok(json!({
        "version": label(view, Found::Version(version)), "digest": view.digest(version),
        "external": view.is_external(version), "made_by": made_by,
    }))
}
