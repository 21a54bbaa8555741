//! The table of deployments: what was live where, from when until when, and who let it in.

use std::collections::HashMap;

use lineage_store::event::{About, Event, Kind, Role};
use lineage_store::graph::{Position, Use, VersionId};

use super::moment::Moment;
use super::rows::{Written, cells};
use super::{Pack, ReportError, tables};
use crate::engine::world::Stay;

/// Every stay of a version in a slot.
pub(super) fn deployments(pack: &Pack<'_>, moment: &Moment<'_>) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::DEPLOYMENTS);
    let (world, view) = (moment.world, &moment.world.view);
    let approvals = Approvals::read(moment);
    let mut stays: Vec<Stay> = world.stays().to_vec();
    stays.sort_by_key(|stay| (stay.entered, stay.version));
    for stay in stays {
        let (event, version) = (stay.entered, stay.version);
        let whole = moment.whole(event);
        let whole = whole.as_deref();
        let entered = moment.at(event);
        let audits: Vec<_> = moment.audits(version).into_iter().filter(|a| moment.at(a.last) < entered).collect();
        let complete: Vec<_> = audits.into_iter().filter(|audit| moment.is_complete(*audit)).collect();
        let trained = moment.trained_by(version, event);
        let passing: Vec<_> = complete
            .iter()
            .copied()
            .filter(|audit| moment.passed(*audit, entered.0) && trained.is_none_or(|t| moment.at(audit.last) > t))
            .collect();
        let mut auditors: Vec<String> =
            passing.iter().map(|audit| view.text(view.actor(audit.last)).to_owned()).collect();
        auditors.sort();
        auditors.dedup();
        let cited = |step: Position| moment.inputs(step, |usage| usage == Use::Input(Role::Evidence));
        let evidence = complete.iter().map(|audit| audit.step).chain([view.leader(event)]).flat_map(cited);
        let evidence = moment.names(evidence.collect::<Vec<_>>());
        let mut steps: Vec<Position> = complete.iter().map(|audit| audit.step).collect();
        steps.sort_unstable();
        let note = whole.and_then(|event| event.args.text("note"));
        let approvals = approvals.of(moment, &stay);
        rows.push(&moment.row(
            version,
            &cells![
                event,
                view.leader(event),
                view.text(stay.slot.0),
                view.text(stay.slot.1),
                view.text(stay.slot.2),
                view.time(event),
                stay.left.map(|left| view.time(left)),
                stay.left,
                world.slot_change(event).is_some_and(|change| change.alongside),
                view.text(view.actor(event)),
                whole.and_then(|event| event.principal.as_deref()),
                view.recorded(event),
                !passing.is_empty(),
                &steps,
                &auditors,
                &approvals,
                &evidence,
                note.as_ref(),
            ],
        ))?;
    }
    rows.finish()
}

impl Moment<'_> {
    /// The last training of a version before an event.
    fn trained_by(&self, version: VersionId, event: Position) -> Option<(lineage_store::time::Time, Position)> {
        let trainings = self.world.makers(version).into_iter().filter(|l| self.world.step_kind(*l) == Kind::Training);
        trainings.map(|l| self.at(self.world.final_event(l))).filter(|at| *at < self.at(event)).max()
    }
}

/// The approvals that count, by what they are about.
struct Approvals {
    /// By version.
    versions: HashMap<VersionId, Vec<Position>>,
    /// By namespace and id of the run; a run without namespace is of that of its approval.
    runs: HashMap<(String, String), Vec<Position>>,
}

impl Approvals {
    fn read(moment: &Moment<'_>) -> Self {
        let view = &moment.world.view;
        let mut approvals = Self { versions: HashMap::new(), runs: HashMap::new() };
        for event in view.events_of_kind(Kind::Approve).into_iter().filter(|event| view.sees(*event)) {
            for mention in view.mentions(event) {
                approvals.versions.entry(mention.version).or_default().push(event);
            }
            let Some(whole) = moment.whole(event) else { continue };
            let named = whole.about.iter().filter_map(|about| match about {
                About::Run(run) => Some((run.namespace.as_ref(), &run.run)),
                _ => None,
            });
            for (namespace, run) in named.chain(whole.run.iter().map(|run| (None, run))) {
                let namespace = namespace.unwrap_or(&whole.namespace).clone();
                approvals.runs.entry((namespace, run.clone())).or_default().push(event);
            }
        }
        approvals
    }

    /// Those of the version of a stay, of the runs that made it, or of the run of the deployment, before it entered.
    fn of(&self, moment: &Moment<'_>, stay: &Stay) -> Vec<Position> {
        let mut found: Vec<Position> = self.versions.get(&stay.version).cloned().unwrap_or_default();
        if !self.runs.is_empty() {
            let steps = moment.world.makers(stay.version).into_iter().chain([moment.world.view.leader(stay.entered)]);
            for step in steps {
                let run = |event: &Event| Some((event.namespace.clone(), event.run.clone()?));
                let approved = moment.said(step, run).and_then(|run| self.runs.get(&run));
                found.extend(approved.into_iter().flatten());
            }
        }
        found.retain(|event| moment.at(*event) < moment.at(stay.entered));
        found.sort_unstable();
        found.dedup();
        found
    }
}
