//! The tables of judgements: audits, evaluations, and both as the tests of models.

use lineage_store::event::{Kind, Outcome, Role};
use lineage_store::graph::{Position, Use, VersionId};

use super::graph::{is_independent, measured};
use super::moment::{Audit, Moment};
use super::rows::{Written, cells};
use super::{Pack, ReportError, tables};
use crate::engine::attribute::Node;

/// The steps of a kind that count, ascending.
fn steps_of(moment: &Moment<'_>, kind: Kind) -> Vec<Position> {
    let (world, view) = (moment.world, &moment.world.view);
    let mut steps: Vec<Position> =
        view.events_of_kind(kind).into_iter().filter(|e| view.sees(*e)).map(|e| view.leader(e)).collect();
    steps.sort_unstable();
    steps.dedup();
    steps.retain(|step| world.step_kind(*step) == kind);
    steps
}

/// What a judgement rests on: evidence of an audit, data of an evaluation.
fn cited(moment: &Moment<'_>, step: Position, role: Role) -> Vec<String> {
    moment.names(moment.inputs(step, |usage| usage == Use::Input(role)))
}

/// Every audit, by the version that it is about.
pub(super) fn audits(pack: &Pack<'_>, moment: &Moment<'_>) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::AUDITS);
    let view = &moment.world.view;
    for step in steps_of(moment, Kind::Audit) {
        let audit = Audit { step, last: moment.world.final_event(step) };
        let [policy, note] = ["policy", "note"].map(|field| moment.said(step, |event| event.args.text(field)));
        let principal = moment.said(step, |event| event.principal.clone());
        let evidence = cited(moment, step, Role::Evidence);
        for version in moment.subjects(step) {
            let trained = moment.world.last_training(version);
            rows.push(&moment.row(
                version,
                &cells![
                    step,
                    audit.last,
                    view.state(audit.last).as_str(),
                    view.outcome(audit.last).map(Outcome::as_str),
                    moment.passed(audit, moment.world.until),
                    view.valid_until(audit.last),
                    view.text(view.actor(audit.last)),
                    principal.as_ref(),
                    view.time(audit.last),
                    view.recorded(audit.last),
                    is_independent(moment, audit.last),
                    trained.is_none_or(|trained| moment.at(audit.last) > trained),
                    policy.as_ref(),
                    note.as_ref(),
                    &evidence,
                ],
            ))?;
        }
    }
    rows.finish()
}

/// Every evaluation, by the version that it is about.
pub(super) fn evaluations(pack: &Pack<'_>, moment: &Moment<'_>) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::EVALUATIONS);
    let view = &moment.world.view;
    for step in steps_of(moment, Kind::Evaluation) {
        let last = moment.world.final_event(step);
        let principal = moment.said(step, |event| event.principal.clone());
        let metrics = measured(moment, Node::Step(step), true);
        let data = moment.names(moment.inputs(step, |usage| matches!(usage, Use::Input(Role::Eval | Role::Data))));
        for version in moment.subjects(step) {
            rows.push(&moment.row(
                version,
                &cells![
                    step,
                    last,
                    view.state(last).as_str(),
                    view.outcome(last).map(Outcome::as_str),
                    view.text(view.actor(last)),
                    principal.as_ref(),
                    view.time(last),
                    view.recorded(last),
                    metrics.as_ref(),
                    &data,
                ],
            ))?;
        }
    }
    rows.finish()
}

/// Evaluations and audits of models.
pub(super) fn tests(pack: &Pack<'_>, moment: &Moment<'_>, models: &[VersionId]) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::TESTS);
    let (world, view) = (moment.world, &moment.world.view);
    let mut models = models.to_vec();
    models.sort_unstable();
    for version in models {
        let mut steps = Vec::new();
        view.uses(version, |event, usage| {
            if usage == Use::About {
                steps.push(view.leader(event));
            }
        });
        steps.sort_unstable();
        steps.dedup();
        for step in steps {
            let kind = world.step_kind(step);
            let role = match kind {
                Kind::Evaluation => Role::Eval,
                Kind::Audit => Role::Evidence,
                _ => continue,
            };
            let last = world.final_event(step);
            let principal = moment.said(step, |event| event.principal.clone());
            let metrics = measured(moment, Node::Step(step), true);
            let data = cited(moment, step, role);
            rows.push(&moment.row(
                version,
                &cells![
                    step,
                    kind.as_str(),
                    view.time(last),
                    view.recorded(last),
                    view.text(view.actor(last)),
                    principal.as_ref(),
                    view.outcome(last).map(Outcome::as_str),
                    metrics.as_ref(),
                    &data,
                    (kind == Kind::Audit).then(|| is_independent(moment, last)),
                ],
            ))?;
        }
    }
    rows.finish()
}
