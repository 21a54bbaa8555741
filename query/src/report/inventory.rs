//! The inventory of models, and which of them no passing audit covers.

use std::collections::BTreeMap;

use lineage_store::event::{EntityKind, Outcome};
use lineage_store::graph::{EntityId, VersionId};

use super::graph::is_independent;
use super::moment::{Audit, Moment};
use super::rows::{Written, cells};
use super::{Pack, ReportError, tables};
use crate::engine::bits::{Bits, Nodes};
use crate::engine::walk::{Edges, Walk};
use crate::engine::world::Word;

/// Each model by its name, told of its latest version and of those that are live.
pub(super) fn models(pack: &Pack<'_>, moment: &Moment<'_>) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::MODELS);
    let (world, view) = (moment.world, &moment.world.view);
    let mut names: BTreeMap<EntityId, Vec<VersionId>> = BTreeMap::new();
    for version in moment.models() {
        names.entry(view.entity(version)).or_default().push(version);
    }
    let mut latest: Vec<VersionId> = names.values().filter_map(|versions| versions.last().copied()).collect();
    latest = moment.by_name(latest.into_iter());
    for version in latest {
        let versions = &names[&view.entity(version)];
        let shown: Vec<VersionId> =
            versions.iter().copied().filter(|v| *v == version || !moment.environments(*v).is_empty()).collect();
        let live = versions.iter().flat_map(|v| {
            moment.environments(*v).iter().map(|environment| format!("v{} in {environment}", view.number(*v)))
        });
        let live: Vec<String> = live.collect();
        let [upstream, downstream] = [true, false].map(|up| neighbors(moment, &shown, up));
        let trained = world.last_training(version);
        let audits: Vec<Audit> =
            moment.audits(version).into_iter().filter(|audit| moment.is_complete(*audit)).collect();
        let validation = audits.last().copied();
        let last_pass = audits.iter().rposition(|audit| moment.passed(*audit, world.until)).map_or(0, |at| at + 1);
        let open = audits[last_pass..].iter().filter(|a| view.outcome(a.last) == Some(Outcome::Fail)).count();
        let is_covered = audits
            .iter()
            .any(|a| moment.passed(*a, world.until) && trained.is_none_or(|trained| moment.at(a.last) > trained));
        let tags = moment.tags(version);
        rows.push(&moment.row(
            version,
            &cells![
                versions.len(),
                moment.word(version, Word::Owner),
                moment.word(version, Word::Purpose),
                moment.word(version, Word::Tier),
                &tags,
                &live,
                &upstream,
                &downstream,
                trained.map(|(_, event)| view.text(view.actor(event))),
                trained.map(|(time, _)| time),
                validation.map(|audit| view.time(audit.last)),
                validation.map(|audit| view.text(view.actor(audit.last))),
                validation.and_then(|audit| view.outcome(audit.last)).map(Outcome::as_str),
                validation.map(|audit| is_independent(moment, audit.last)),
                is_covered,
                open,
            ],
        ))?;
    }
    rows.finish()
}

/// The models of other names that led to some versions of one name, or that these led to.
fn neighbors(moment: &Moment<'_>, versions: &[VersionId], up: bool) -> Vec<String> {
    let (world, view) = (moment.world, &moment.world.view);
    let steps = view.steps();
    let start = Nodes::of_versions(Bits::of(versions.iter().copied()));
    let walk = Walk::new(world, &steps, Edges::ALL, None);
    let reach = if up { walk.upstream(&start) } else { walk.downstream(&start) };
    let own: Vec<EntityId> = versions.iter().map(|v| view.entity(*v)).collect();
    let found = reach.nodes.versions.iter().filter(|v| {
        let entity = view.entity(*v);
        view.entity_kind(entity) == EntityKind::Model && !own.contains(&entity)
    });
    let found = found.map(|v| format!("{}@v{}", view.entity_name(view.entity(v)), view.number(v)));
    let mut names: Vec<String> = found.collect();
    names.sort();
    names.dedup();
    names
}

/// The models that a question selects: those without a passing audit since their last training.
pub(super) fn unaudited(pack: &Pack<'_>, moment: &Moment<'_>, found: &Bits) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::UNAUDITED);
    let (world, view) = (moment.world, &moment.world.view);
    for version in moment.by_name(found.iter()) {
        let audits = moment.audits(version);
        let trained = world.last_training(version);
        let environments = moment.environments(version);
        let last = audits.last().copied();
        rows.push(&moment.row(
            version,
            &cells![
                !environments.is_empty(),
                environments,
                moment.word(version, Word::Owner),
                trained.map(|(time, _)| time),
                last.map(|audit| view.time(audit.last)),
                last.and_then(|audit| view.outcome(audit.last)).map(Outcome::as_str),
                why(moment, &audits),
            ],
        ))?;
    }
    rows.finish()
}

/// Why no audit of a version satisfies the gate; the nearest miss.
fn why(moment: &Moment<'_>, audits: &[Audit]) -> &'static str {
    let view = &moment.world.view;
    let complete: Vec<Audit> = audits.iter().copied().filter(|audit| moment.is_complete(*audit)).collect();
    let passes = |audit: &&Audit| view.outcome(audit.last) == Some(Outcome::Pass);
    if audits.is_empty() {
        "never audited"
    } else if complete.is_empty() {
        "not complete"
    } else if complete.iter().any(|audit| moment.passed(*audit, moment.world.until)) {
        "before its last training"
    } else if complete.iter().any(|audit| passes(&audit)) {
        "expired"
    } else {
        "failed"
    }
}
