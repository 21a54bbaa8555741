//! W3C PROV-JSON: versions as entities, steps as activities, actors as agents.

use std::collections::BTreeSet;
use std::io::Write;

use lineage_store::event::Kind;
use lineage_store::graph::{Position, Symbol, Use, VersionId};
use serde_json::{Map, Value, json};

use super::{ExportError, Exported, Order, Selection};

/// Writes one document, section by section.
pub(super) fn write(_order: &Order<'_>, selection: &Selection, out: &mut dyn Write) -> Result<Exported, ExportError> {
    let (world, view) = (&selection.world, &selection.world.view);
    let mut exported = Exported::default();
    let (mut steps, mut versions, mut agents) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for event in selection.events() {
        let kind = view.kind(event);
        if !kind.makes_edges() || kind == Kind::Retirement {
            *exported.left_out.entry(kind.as_str()).or_default() += 1;
            continue;
        }
        steps.insert(view.leader(event));
        agents.insert(view.actor(event));
        versions.extend(view.mentions(event).into_iter().map(|mention| mention.version));
        versions.extend(view.made(event).into_iter().map(|made| made.version));
    }
    exported.events = steps.len() as u64;
    let mut document = Document { out, begun: false };
    document.section("prefix", std::iter::once(("l".to_owned(), Value::from("urn:lineage:"))))?;
    document.section("entity", versions.iter().map(|version| (entity(*version), described(selection, *version))))?;
    document.section("activity", steps.iter().map(|step| (activity(*step), told(selection, *step))))?;
    document
        .section("agent", agents.iter().map(|agent| (actor(*agent), json!({ "prov:label": view.text(*agent) }))))?;
    let used = || uses(selection, &steps);
    document.section(
        "used",
        used().map(|(event, n, version, usage)| {
            let role = match usage {
                Use::Input(role) => role.as_str(),
                Use::About => "about",
            };
            let step = activity(view.leader(event));
            (
                format!("_:u{event}-{n}"),
                json!({ "prov:activity": step, "prov:entity": entity(version), "prov:role": role }),
            )
        }),
    )?;
    let generated = steps.iter().flat_map(|step| world.events_of(*step)).filter(|event| selection.takes(*event));
    document.section(
        "wasGeneratedBy",
        generated.flat_map(|event| view.made(event).into_iter().map(move |made| (event, made.version))).map(
            |(event, version)| {
                let members = json!({
                    "prov:entity": entity(version),
                    "prov:activity": activity(view.leader(event)),
                    "prov:time": view.time(event).to_string(),
                });
                (format!("_:g{event}-{version}"), members)
            },
        ),
    )?;
    document.section(
        "wasAssociatedWith",
        steps.iter().map(|step| {
            let agent = actor(view.actor(world.final_event(*step)));
            (format!("_:w{step}"), json!({ "prov:activity": activity(*step), "prov:agent": agent }))
        }),
    )?;
    let originals = &world.copies().originals;
    let mut copies: Vec<(VersionId, VersionId)> =
        originals.iter().flat_map(|(copy, originals)| originals.iter().map(|original| (*copy, *original))).collect();
    copies.retain(|(copy, original)| versions.contains(copy) && versions.contains(original));
    copies.sort_unstable();
    document.section(
        "alternateOf",
        copies.into_iter().map(|(copy, original)| {
            let members = json!({ "prov:alternate1": entity(copy), "prov:alternate2": entity(original) });
            (format!("_:c{copy}-{original}"), members)
        }),
    )?;
    document.end()?;
    Ok(exported)
}

/// What the events of some steps use and are about: event, place in it, version, use.
fn uses<'a>(
    selection: &'a Selection,
    steps: &'a BTreeSet<Position>,
) -> impl Iterator<Item = (Position, usize, VersionId, Use)> + 'a {
    let events = steps.iter().flat_map(|step| selection.world.events_of(*step));
    events.filter(|event| selection.takes(*event)).flat_map(|event| {
        let mentions = selection.world.view.mentions(event).into_iter().enumerate();
        mentions.map(move |(n, mention)| (event, n, mention.version, mention.usage))
    })
}

fn entity(version: VersionId) -> String {
    format!("l:version-{version}")
}

fn activity(step: Position) -> String {
    format!("l:step-{step}")
}

fn actor(agent: Symbol) -> String {
    format!("l:agent-{agent}")
}

fn described(selection: &Selection, version: VersionId) -> Value {
    let view = &selection.world.view;
    let own = view.entity(version);
    let mut members = json!({
        "prov:label": selection.world.version_name(version),
        "prov:type": format!("l:{}", view.entity_kind(own).as_str()),
        "l:name": view.entity_name(own),
        "l:namespace": view.entity_namespace(own),
        "l:version": view.number(version),
    });
    let label = view.label(version).map(str::to_owned);
    for (key, text) in [("l:digest", view.digest(version)), ("l:label", label)] {
        if let Some(text) = text {
            members[key] = text.into();
        }
    }
    members
}

fn told(selection: &Selection, step: Position) -> Value {
    let (world, view) = (&selection.world, &selection.world.view);
    let (events, last) = (world.events_of(step), world.final_event(step));
    let started = events.iter().map(|event| view.time(*event)).min().unwrap_or(view.time(last));
    let job = view.job(step);
    let mut members = json!({
        "prov:startTime": started.to_string(),
        "prov:endTime": view.time(last).to_string(),
        "prov:type": format!("l:{}", world.step_kind(step).as_str()),
        "l:namespace": view.text(view.namespace(step)),
        "l:state": view.state(last).as_str(),
        "l:evidence": view.evidence(last).as_str(),
        "l:position": step,
    });
    if job != 0 {
        members["prov:label"] = view.text(job).into();
    }
    members
}

/// A document that is written as its members come.
struct Document<'a> {
    out: &'a mut dyn Write,
    begun: bool,
}

impl Document<'_> {
    /// Writes a section, unless it is empty.
    fn section(&mut self, name: &str, members: impl Iterator<Item = (String, Value)>) -> Result<(), ExportError> {
        let mut is_first = true;
        for (key, value) in members {
            if is_first {
                let before = if self.begun { ",\n" } else { "{\n" };
                writeln!(self.out, "{before}\"{name}\": {{")?;
                (self.begun, is_first) = (true, false);
            } else {
                self.out.write_all(b",\n")?;
            }
            let one: Map<String, Value> = std::iter::once((key, value)).collect();
            let text = Value::Object(one).to_string();
            self.out.write_all(&text.as_bytes()[1..text.len() - 1])?;
        }
        if !is_first {
            self.out.write_all(b"\n}")?;
        }
        Ok(())
    }

    fn end(self) -> Result<(), ExportError> {
        Ok(self.out.write_all(b"\n}\n")?)
    }
}
