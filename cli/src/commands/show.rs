//! `lineage show`: a version, a name, an event, a run, or what is known of a file.

use std::collections::BTreeSet;
use std::path::Path;

use lineage_store::artifact::Artifacts;
use lineage_store::graph::{EntityId, Use, VersionId, View};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::ExitCode;
use crate::reference::{Found, Target, is_digest, label};
use crate::render::{align, clean, size, time};
use crate::session::Session;
use crate::state::Said;

use super::log::Lines;
use super::retract::{as_position, find_event, position, run_namespace};
use super::{event, history};

const EXAMPLES: &str = "\
EXAMPLES
  lineage show model churn              its versions, tags, aliases
  lineage show model churn@champion     one version
  lineage show ./model.pkl              what is known of these bytes; exit code 1 if nothing
  lineage show b3:9f2c
  lineage show '#17'                    an event, by position or id
  lineage show run:r-01";

/// Arguments of `lineage show`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Show {
    /// A name, version, digest, event, run or file
    #[arg(required = true, num_args = 1..=2, value_name = "REF", add = super::completions::of_reference())]
    reference: Vec<String>,
}

/// What someone asked to see.
enum Subject {
    File(String),
    Event(u32),
    Run(String),
    /// Several names of the same bytes.
    Names(Vec<VersionId>),
    Thing(Found),
}

impl Show {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open()?;
        if let [path] = self.reference.as_slice()
            && is_path(path)
        {
            return file(&session, path);
        }
        let target = history::one(&self.reference)?;
        let (text, path) = session.with_view(|view| {
            Ok(match self.subject(view, &target)? {
                Subject::File(path) => (String::new(), Some(path)),
                Subject::Event(position) => (event::text(&session, view, position)?, None),
                Subject::Run(run) => (of_run(&session, view, &run)?, None),
                Subject::Names(versions) => (of_names(&session, view, &versions), None),
                Subject::Thing(Found::Version(version)) => (of_version(&session, view, version)?, None),
                Subject::Thing(Found::Entity(entity)) => (of_entity(&session, view, entity), None),
            })
        })?;
        if let Some(path) = path {
            return file(&session, &path);
        }
        context.terminal.print(&text)?;
        Ok(ExitCode::Done)
    }

    fn subject(&self, view: &View, target: &Target) -> anyhow::Result<Subject> {
        match target.holders(view) {
            Some(holders) if holders.len() > 1 => return Ok(Subject::Names(holders)),
            _ => {}
        }
        if self.reference.len() > 1 || target.kind.is_some() || is_digest(&target.text) {
            return target.resolve(view).map(Subject::Thing);
        }
        let text = &target.text;
        if let Some(run) = text.strip_prefix("run:") {
            return Ok(Subject::Run(run.to_owned()));
        }
        if text.starts_with('#') || as_position(text).is_some() {
            return position(view, text).map(Subject::Event);
        }
        match target.resolve(view) {
            Ok(found) => Ok(Subject::Thing(found)),
            Err(error) => match find_event(view, text) {
                Some(event) => Ok(Subject::Event(event)),
                None if run_namespace(view, text).is_ok() => Ok(Subject::Run(text.clone())),
                None if Path::new(text).exists() => Ok(Subject::File(text.clone())),
                None => Err(error),
            },
        }
    }
}

fn is_path(text: &str) -> bool {
    ["./", "../", "/", "~/"].iter().any(|start| text.starts_with(start)) || matches!(text, "." | "..")
}

/// What is known of the bytes of a file or folder; nothing known is exit code 1.
fn file(session: &Session, path: &str) -> anyhow::Result<ExitCode> {
    let stored = Artifacts::hash_path(path.as_ref())?;
    let terminal = &session.context.terminal;
    let (names, versions) = session.with_view(|view| {
        let versions = view.versions_with(&stored.digest.0);
        let names: Vec<_> = versions.iter().map(|version| label(view, Found::Version(*version))).collect();
        let details: Vec<_> = versions.iter().map(|version| version_json(view, *version)).collect();
        Ok((names, details))
    })?;
    if session.context.json {
        let object = json!({
            "path": path,
            "digest": stored.digest.to_string(),
            "sha256": stored.sha256,
            "size": stored.size,
            "versions": versions,
        });
        terminal.print(&object.to_string())?;
    } else {
        terminal.print(&format!("{path}  {}  {}", size(stored.size), stored.digest))?;
        for name in &names {
            terminal.print(&format!("  is {}", clean(name)))?;
        }
        if names.is_empty() {
            terminal.print("  is unknown here: no version holds these bytes")?;
        }
    }
    Ok(if names.is_empty() { ExitCode::Unmet } else { ExitCode::Done })
}

fn of_names(session: &Session, view: &View, versions: &[VersionId]) -> String {
    if session.context.json {
        let lines = versions.iter().map(|version| version_json(view, *version).to_string() + "\n");
        return lines.collect();
    }
    let digest = versions.first().and_then(|version| view.digest(*version)).unwrap_or_default();
    let names = versions.iter().map(|version| format!("  is {}\n", clean(&label(view, Found::Version(*version)))));
    format!("{digest}\n{}", names.collect::<Vec<_>>().concat())
}

fn of_run(session: &Session, view: &View, run: &str) -> anyhow::Result<String> {
    let namespace = run_namespace(view, run)?;
    let mut events = view.run_events(&namespace, run);
    events.sort_unstable();
    Lines::new(session)?.of(view, &events)
}

fn of_version(session: &Session, view: &View, version: VersionId) -> anyhow::Result<String> {
    if session.context.json {
        return Ok(version_json(view, version).to_string());
    }
    let entity = view.entity(version);
    let said = Said::of(view, entity);
    let mut rows = Vec::new();
    let mut row = |key: &str, value: String| rows.push(vec![format!("  {key}"), clean(&value)]);
    row("namespace", view.entity_namespace(entity).to_owned());
    if let Some(text) = view.label(version) {
        row("label", text.to_owned());
    }
    if let Some(digest) = view.digest(version) {
        row("digest", digest.clone());
        for further in view.further_digests(version).into_iter().filter(|further| *further != digest) {
            row("", further);
        }
    }
    if let Some(bytes) = view.size(version) {
        row("size", size(bytes));
    }
    if let Some(n) = view.rows(version) {
        row("rows", n.to_string());
    }
    let mint = view.mint(version);
    let origin = if view.is_external(version) { ", external: nothing recorded made it" } else { "" };
    row("minted", format!("{} by #{mint}{origin}", time(view.time(mint))));
    for (key, list) in [("aliases", aliases_of(&said, version)), ("tags", said.tags(Some(version)))] {
        if !list.is_empty() {
            row(key, list.join(", "));
        }
    }
    for (key, text) in said.described(Some(version)) {
        row(key, text.to_owned());
    }
    let stored = view.digest(version).and_then(|d| lineage_store::digest::Blake3::from_hex(d.strip_prefix("b3:")?));
    if stored.is_some_and(|digest| session.store.artifacts().contains(&digest)) {
        row("bytes", "stored here; `lineage get` restores them".to_owned());
    }
    let title = session.context.terminal.bold(&clean(&label(view, Found::Version(version))));
    let events = Lines::new(session)?.of(view, &history::touching(view, Found::Version(version)))?;
    Ok(format!("{title}\n{}events\n{}", align(&rows), indent(&events)))
}

fn indent(lines: &str) -> String {
    lines.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}

fn aliases_of<'a>(said: &Said<'a>, version: VersionId) -> Vec<&'a str> {
    said.aliases().into_iter().filter(|(_, to)| *to == version).map(|(alias, _)| alias).collect()
}

fn of_entity(session: &Session, view: &View, entity: EntityId) -> String {
    if session.context.json {
        return entity_json(view, entity).to_string();
    }
    let said = Said::of(view, entity);
    let title = session.context.terminal.bold(&clean(&label(view, Found::Entity(entity))));
    let mut head = Vec::new();
    let mut row = |key: &str, value: String| head.push(vec![format!("  {key}"), clean(&value)]);
    row("namespace", view.entity_namespace(entity).to_owned());
    let tags = said.tags(None);
    if !tags.is_empty() {
        row("tags", tags.join(", "));
    }
    for (key, text) in said.described(None) {
        row(key, text.to_owned());
    }
    let versions = view.versions(entity).into_iter().filter(|version| view.has_version(*version));
    let rows: Vec<_> = versions.map(|version| version_row(view, &said, version)).collect();
    row("versions", rows.len().to_string());
    format!("{title}\n{}{}", align(&head), indent(&align(&rows)))
}

fn version_row(view: &View, said: &Said<'_>, version: VersionId) -> Vec<String> {
    let digest: String = view.digest(version).unwrap_or_default().chars().take(15).collect();
    let aliases: Vec<_> = aliases_of(said, version).iter().map(|alias| format!("@{alias}")).collect();
    vec![
        format!("v{}", view.number(version)),
        time(view.time(view.mint(version))),
        digest,
        view.size(version).map(size).unwrap_or_default(),
        clean(&[view.label(version).unwrap_or_default().to_owned(), aliases.join(" ")].join(" ")).trim().to_owned(),
        clean(&said.tags(Some(version)).join(", ")),
    ]
}

fn entity_json(view: &View, entity: EntityId) -> Value {
    let said = Said::of(view, entity);
    let versions = view.versions(entity).into_iter().filter(|version| view.has_version(*version));
    let mut object = json!({
        "kind": view.entity_kind(entity).as_str(),
        "namespace": view.entity_namespace(entity),
        "name": view.entity_name(entity),
        "tags": said.tags(None),
        "versions": versions.map(|version| version_json(view, version)).collect::<Vec<_>>(),
    });
    for (key, text) in said.described(None) {
        object[key] = json!(text);
    }
    object
}

fn version_json(view: &View, version: VersionId) -> Value {
    let entity = view.entity(version);
    let said = Said::of(view, entity);
    let (mut made_by, mut used_by, mut about) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    view.makers(version, |event| {
        made_by.insert(event);
    });
    view.uses(version, |event, usage| match usage {
        Use::Input(_) => {
            used_by.insert(event);
        }
        Use::About => {
            about.insert(event);
        }
    });
    let mut object = json!({
        "kind": view.entity_kind(entity).as_str(),
        "namespace": view.entity_namespace(entity),
        "name": view.entity_name(entity),
        "version": format!("v{}", view.number(version)),
        "label": view.label(version),
        "digest": view.digest(version),
        "digests": view.further_digests(version),
        "size": view.size(version),
        "rows": view.rows(version),
        "time": view.time(view.mint(version)).to_string(),
        "minted": view.mint(version),
        "external": view.is_external(version),
        "tags": said.tags(Some(version)),
        "aliases": aliases_of(&said, version),
        "made_by": made_by,
        "used_by": used_by,
        "about": about,
    });
    for (key, text) in said.described(Some(version)) {
        object[key] = json!(text);
    }
    object
}
