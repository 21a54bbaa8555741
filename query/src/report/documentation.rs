//! The tables of technical documentation: the versions of models, the steps behind them, what changed, what is missing.

use lineage_store::event::{Evidence, Kind, Role, State};
use lineage_store::graph::{Position, Use, VersionId};

use super::graph::measured;
use super::moment::Moment;
use super::rows::{Written, cells};
use super::{Pack, ReportError, tables};
use crate::engine::attribute::Node;
use crate::engine::bits::{Bits, Nodes};
use crate::engine::difference::differences;
use crate::engine::walk::{Edges, Walk};
use crate::engine::world::Word;

/// Each version with the one before it of the same name; versions come by name and number.
fn with_previous<'v>(
    moment: &'v Moment<'_>,
    models: &'v [VersionId],
) -> impl Iterator<Item = (VersionId, Option<VersionId>)> + 'v {
    let view = &moment.world.view;
    let before = std::iter::once(None).chain(models.iter().map(|version| Some(*version)));
    models.iter().zip(before).map(move |(version, previous)| {
        (*version, previous.filter(|previous| view.entity(*previous) == view.entity(*version)))
    })
}

/// The versions of models in their order, and how each was made.
pub(super) fn chain(pack: &Pack<'_>, moment: &Moment<'_>, models: &[VersionId]) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::CHAIN);
    let (world, view) = (moment.world, &moment.world.view);
    for (version, previous) in with_previous(moment, models) {
        let maker = moment.maker(version);
        let last = maker.map(|step| world.final_event(step));
        let digest = view.digest(version);
        let base = maker.map(|step| moment.names(moment.inputs(step, |usage| usage == Use::Input(Role::Base))));
        let params = maker.and_then(|step| measured(moment, Node::Step(step), false));
        let [code, software] = [true, false].map(|code| {
            moment.said(maker?, |event| {
                let json = if code { &event.code } else { &event.software };
                (!json.is_empty()).then(|| json.as_str().to_owned())
            })
        });
        rows.push(&moment.row(
            version,
            &cells![
                previous,
                digest.as_ref(),
                view.time(world.birth(version)),
                maker,
                last.map(|event| view.text(view.actor(event))),
                maker.and_then(|step| moment.text(view.job(step))),
                base.as_ref(),
                params.as_ref(),
                code.as_ref(),
                software.as_ref(),
                moment.environments(version),
            ],
        ))?;
    }
    rows.finish()
}

/// The steps that led to each version.
pub(super) fn steps(pack: &Pack<'_>, moment: &Moment<'_>, models: &[VersionId]) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::STEPS);
    let (world, view) = (moment.world, &moment.world.view);
    let columns = view.steps();
    let mut models = models.to_vec();
    models.sort_unstable();
    for version in models {
        let start = Nodes::of_versions(Bits::of([version]));
        let reach = Walk::new(world, &columns, Edges::ALL, None).upstream(&start).nodes;
        for step in reach.events.iter() {
            let last = world.final_event(step);
            let (used, made) = (used(moment, step), made(moment, step));
            let started = world.events_of(step).into_iter().map(|event| view.time(event)).min();
            let commit = moment.said(step, |event| {
                let commit = event.code.members().into_iter().find(|(key, _)| key == "commit")?.1.to_owned();
                lineage_store::event::canonical::text_of(&commit)
            });
            rows.push(&moment.row(
                version,
                &cells![
                    step,
                    world.step_kind(step).as_str(),
                    moment.text(view.job(step)),
                    view.state(last).as_str(),
                    started.unwrap_or(view.time(last)),
                    view.time(last),
                    view.text(view.actor(last)),
                    view.evidence(last).as_str(),
                    &used,
                    &made,
                    commit.as_ref(),
                ],
            ))?;
        }
    }
    rows.finish()
}

fn used(moment: &Moment<'_>, step: Position) -> Vec<String> {
    let events = moment.world.events_of(step).into_iter();
    let used = events.flat_map(|event| moment.world.view.mentions(event)).map(|mention| {
        let role = match mention.usage {
            Use::Input(role) => role.as_str(),
            Use::About => "about",
        };
        format!("{role} {}", moment.world.version_name(mention.version))
    });
    let mut used: Vec<String> = used.collect();
    used.sort();
    used.dedup();
    used
}

fn made(moment: &Moment<'_>, step: Position) -> Vec<String> {
    let events = moment.world.events_of(step).into_iter();
    moment.names(events.flat_map(|event| moment.world.view.made(event)).map(|made| made.version).collect::<Vec<_>>())
}

/// What differs between each version and the one before it.
pub(super) fn changes(pack: &Pack<'_>, moment: &Moment<'_>, models: &[VersionId]) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::CHANGES);
    for (version, previous) in with_previous(moment, models) {
        let Some(previous) = previous else { continue };
        for difference in differences(moment.world, previous, version) {
            rows.push(&moment.row(
                version,
                &cells![
                    previous,
                    difference.aspect(),
                    difference.key.as_str(),
                    difference.before.as_ref(),
                    difference.after.as_ref(),
                ],
            ))?;
        }
    }
    rows.finish()
}

/// What is not recorded of each version, and would be asked for.
pub(super) fn gaps(pack: &Pack<'_>, moment: &Moment<'_>, models: &[VersionId]) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::GAPS);
    for version in models {
        let mut gaps = gaps_of(moment, *version);
        gaps.sort();
        for (gap, detail) in gaps {
            rows.push(&moment.row(*version, &cells![gap, &detail]))?;
        }
    }
    rows.finish()
}

fn gaps_of(moment: &Moment<'_>, version: VersionId) -> Vec<(&'static str, String)> {
    let (world, view) = (moment.world, &moment.world.view);
    let mut gaps = Vec::new();
    for (word, gap) in [(Word::Owner, "owner"), (Word::Purpose, "purpose"), (Word::Tier, "tier")] {
        if moment.word(version, word).is_none() {
            gaps.push((gap, format!("no {gap} was described")));
        }
    }
    if view.digest(version).is_none() {
        gaps.push(("digest", "the bytes have no recorded digest".to_owned()));
    }
    let audits: Vec<_> = moment.audits(version).into_iter().filter(|audit| moment.is_complete(*audit)).collect();
    if audits.is_empty() {
        gaps.push(("audit", "no complete audit is recorded".to_owned()));
    }
    let mut evaluated = false;
    view.uses(version, |event, usage| {
        let step = view.leader(event);
        evaluated |= usage == Use::About
            && world.step_kind(step) == Kind::Evaluation
            && world.step_state(step) == State::Complete;
    });
    if !evaluated {
        gaps.push(("evaluation", "no complete evaluation is recorded".to_owned()));
    }
    let Some(maker) = moment.maker(version) else {
        gaps.push(("producer", "nobody is recorded to have produced it".to_owned()));
        return gaps;
    };
    if moment.inputs(maker, |usage| matches!(usage, Use::Input(Role::Data))).is_empty() {
        gaps.push(("data", "the step that made it names no data".to_owned()));
    }
    if moment.said(maker, |event| (!event.code.is_empty()).then_some(())).is_none() {
        gaps.push(("code", "the step that made it does not say from which code".to_owned()));
    }
    if view.evidence(world.final_event(maker)) == Evidence::Claimed {
        gaps.push(("claimed", "how it was made is claimed by an emitter, not observed".to_owned()));
    }
    gaps
}
