//! The tables that follow the graph: what models were trained on, and what derives from the data of a subject.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use lineage_store::event::{Event, Kind};
use lineage_store::graph::{Position, Use, VersionId, View};
use lineage_store::time::Time;
use lineage_store::{StoreError, read_leaf};

use super::moment::Moment;
use super::rows::{Written, cells};
use super::{Pack, ReadLog, ReportError, tables};
use crate::engine::bits::{Bits, Nodes};
use crate::engine::walk::{Edges, Walk, inputs_for};
use crate::engine::whole::Whole;
use crate::engine::world::{Word, World};

/// How many steps lie between a set and each version that a walk finds from it; the set itself is at 0.
fn distances(world: &World, start: &[VersionId], edges: Edges, up: bool) -> BTreeMap<VersionId, u32> {
    let view = &world.view;
    let steps = view.steps();
    let nodes = Nodes::of_versions(Bits::of(start.iter().copied()));
    let mut found: BTreeMap<VersionId, u32> = start.iter().map(|version| (*version, 0)).collect();
    for depth in 0.. {
        let walk = Walk::new(world, &steps, edges, Some(depth));
        let reach = if up { walk.upstream(&nodes) } else { walk.downstream(&nodes) };
        let before = found.len();
        for version in reach.nodes.versions.iter() {
            found.entry(version).or_insert(depth);
        }
        // Nothing new one step on from everything found is nothing new for ever; without a step, copies may add nothing.
        if found.len() == before && depth > 0 {
            break;
        }
    }
    found
}

/// Each version of some models with each version that it was trained on, as `trained on` has it.
pub(super) fn training_data(
    pack: &Pack<'_>,
    moment: &Moment<'_>,
    models: &[VersionId],
) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::TRAINING_DATA);
    let (world, view) = (moment.world, &moment.world.view);
    let mut models = models.to_vec();
    models.sort_unstable();
    for version in models {
        let trainings = world.makers(version).into_iter().filter(|step| world.step_kind(*step) == Kind::Training);
        let mut direct: Vec<VersionId> =
            trainings.flat_map(|step| inputs_for(world, step, version, Edges::TRAINING)).collect();
        direct.sort_unstable();
        direct.dedup();
        let found = distances(world, &direct, Edges::TRAINING, true);
        let mut sources: Vec<(u32, VersionId)> = found.into_iter().map(|(source, steps)| (steps + 1, source)).collect();
        sources.sort_unstable();
        for (steps, source) in sources {
            let tags = moment.tags(source);
            let digest = view.digest(source);
            let [id, kind, namespace, name, number] = moment.named(source);
            rows.push(
                &moment.row(
                    version,
                    &[
                        &cells![steps][..],
                        &[id, kind, namespace, name, number],
                        &cells![
                            digest.as_ref(),
                            &tags,
                            world.makers(source).is_empty(),
                            view.evidence(world.origin_event(source)).as_str(),
                        ],
                    ]
                    .concat(),
                ),
            )?;
        }
    }
    rows.finish()
}

/// An event that keeps values of a subject outside of itself, or speaks of the subject's erasure.
struct OfSubject {
    position: Position,
    kind: Kind,
    actor: String,
    recorded: Time,
    fields: Vec<String>,
}

/// The events of a subject among the first `size`, by position.
fn events_of(log: &ReadLog, size: u32, subject: &str) -> Result<Vec<OfSubject>, StoreError> {
    let mut found = Vec::new();
    // The name as JSON writes it: what does not have it in its bytes need not be parsed.
    let name = subject.strip_prefix("event:").unwrap_or(subject);
    let quoted = serde_json::Value::from(name).to_string();
    log(0, size.into(), &mut |position, leaf| {
        if !contains(leaf, quoted.as_bytes()) {
            return Ok(());
        }
        let (event, id, recorded) = read_leaf(leaf, false)?;
        let fields = kept_under(&event, &id, subject);
        let speaks = matches!(event.kind, Kind::Erase | Kind::Hold);
        if !fields.is_empty() || speaks && event.args.text("subject").as_deref() == Some(subject) {
            let (kind, actor) = (event.kind, event.actor);
            found.push(OfSubject { position: position as Position, kind, actor, recorded, fields });
        }
        Ok(())
    })?;
    Ok(found)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The values that an event keeps under a subject; `event:ID` names what an event keeps of nobody.
fn kept_under(event: &Event, id: &str, subject: &str) -> Vec<String> {
    if subject.strip_prefix("event:") == Some(id) {
        return event.outlined.members().into_iter().map(|(field, _)| field.into_owned()).collect();
    }
    let members = event.sealed.members().into_iter().filter(|(_, value)| {
        let value: Option<serde_json::Value> = serde_json::from_str(value).ok();
        value.is_some_and(|value| value["subject"] == subject)
    });
    members.map(|(field, _)| field.into_owned()).collect()
}

/// How many steps each version lies from those that hold values of a subject, which are at 0.
///
/// Such are the outputs of the attempt of an event that keeps values of the subject, and what such an event is about.
fn derived(world: &World, events: &[OfSubject]) -> BTreeMap<VersionId, u32> {
    let mut start: Vec<VersionId> = Vec::new();
    for event in events.iter().filter(|event| !event.fields.is_empty()) {
        let attempt = world.events_of(world.view.leader(event.position));
        start.extend(attempt.into_iter().flat_map(|event| world.view.made(event)).map(|made| made.version));
        let about = world.view.mentions(event.position).into_iter();
        start.extend(about.filter(|m| m.usage == Use::About).map(|m| m.version));
    }
    start.sort_unstable();
    start.dedup();
    distances(world, &start, Edges::ALL, false)
}

/// A version that an erasure concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affected {
    /// `KIND NAME@vN`.
    pub name: String,
    /// The main digest of its bytes.
    pub digest: Option<String>,
    /// How many steps it lies from the data of the subject at least; 0: it holds values of the subject.
    pub steps: u32,
    /// Where it is live.
    pub environments: Vec<String>,
}

/// Every version that holds values of a subject, or derives from what does; retracted events count, too.
pub fn affected(view: &View, log: &ReadLog, subject: &str) -> Result<Vec<Affected>, StoreError> {
    let events = events_of(log, view.count(), subject)?;
    let whole = || Rc::new(Whole::new(super::event_reader(Arc::clone(log))));
    let world = World::new(view.including_retracted(), Time::MAX, Time::MAX, true, whole());
    let now = World::new(view.clone(), Time::MAX, Time::MAX, false, whole());
    let mut found: Vec<(u32, VersionId)> = derived(&world, &events).into_iter().map(|(v, steps)| (steps, v)).collect();
    found.sort_unstable();
    let told = found.into_iter().map(|(steps, version)| Affected {
        name: world.version_name(version),
        digest: view.digest(version),
        steps,
        environments: now.environments_of(version).into_iter().map(|e| view.text(e).to_owned()).collect(),
    });
    let told = told.collect();
    view.check()?;
    Ok(told)
}

/// Everything that holds values of a subject or derives from what does, and the events that say so.
///
/// Retracted events count, too: what they read and wrote was read and written.
pub(super) fn erasure_impact(pack: &Pack<'_>, moment: &Moment<'_>, subject: &str) -> Result<Vec<Written>, ReportError> {
    let events = events_of(pack.log, pack.size, subject)?;
    let view = moment.world.view.including_retracted();
    let world = World::new(view, moment.world.until, moment.world.now, true, Rc::clone(&moment.world.whole));
    let found = derived(&world, &events);
    let mut versions: Vec<(u32, VersionId)> = found.into_iter().map(|(version, steps)| (steps, version)).collect();
    versions.sort_unstable();
    let mut rows = pack.rows(&tables::IMPACT);
    for (steps, version) in versions {
        let digest = world.view.digest(version);
        let environments = moment.environments(version);
        rows.push(&moment.row(
            version,
            &cells![steps, digest.as_ref(), !environments.is_empty(), environments, moment.word(version, Word::Owner),],
        ))?;
    }
    let impact = rows.finish()?;
    let mut rows = pack.rows(&tables::SUBJECT_EVENTS);
    for event in &events {
        rows.push(&cells![
            event.position,
            event.kind.as_str(),
            world.view.time(event.position),
            event.recorded,
            &event.actor,
            &event.fields,
            moment.world.view.is_hidden(event.position),
        ])?;
    }
    Ok(vec![impact, rows.finish()?])
}
