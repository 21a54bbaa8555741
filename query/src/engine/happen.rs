//! Conditions about what happened to a version: events about it or that made it, by whom, when, with which verdict.

use lineage_store::event::{Kind as EventKind, Outcome, State};
use lineage_store::graph::{Position, Use, VersionId};
use lineage_store::time::Time;

use super::eval::Evaluator;
use super::plan::{RelPlan, Span, When, WithPlan};
use crate::syntax::ast::{Kind, Outcome as Verdict, Relation};

/// Events recorded later than this after they happened are worth a note where windows are used.
const DAY_NANOS: i64 = 24 * 60 * 60 * 1_000_000_000;

impl Evaluator<'_> {
    /// Relations that are tested version by version.
    pub(super) fn related(&self, version: VersionId, rel: &RelPlan) -> bool {
        let kind = match rel.relation {
            Relation::Trained => Kind::Training,
            Relation::Evaluated => Kind::Evaluation,
            Relation::Audited => Kind::Audit,
            Relation::Deployed => return self.was_deployed(version, rel),
            _ => return self.happened(self.world.birth(version), true, &rel.when, Some(version)),
        };
        let with = WithPlan { event: kind, at_least: 1, outcome: None, when: rel.when.clone() };
        self.has_events(version, &with)
    }

    fn was_deployed(&self, version: VersionId, rel: &RelPlan) -> bool {
        let world = self.world;
        let mut hit = Vec::new();
        world.view.uses(version, |event, usage| {
            let is_deployment = usage == Use::About && world.view.kind(event) == EventKind::Deployment;
            if is_deployment && self.happened(event, true, &rel.when, Some(version)) {
                hit.extend(world.slot_change(event).map(|change| change.environment));
            }
        });
        match &rel.environments {
            None => !hit.is_empty(),
            Some(e) if e.all => e.symbols.iter().all(|s| s.is_some_and(|s| hit.contains(&s))),
            Some(e) => hit.iter().any(|h| e.symbols.contains(&Some(*h))),
        }
    }

    /// Whether a version has enough events about it, or that generated it.
    pub(super) fn has_events(&self, version: VersionId, with: &WithPlan) -> bool {
        let leaders = self.steps_around(version, with.event);
        let counting = self.counting(&leaders, version, with);
        let enough = counting.len() >= with.at_least as usize;
        if enough && with.outcome == Some(Verdict::Passing) {
            self.note_later_failures(&leaders);
        }
        enough
    }

    /// The steps of a kind that are about a version, or that generated it.
    pub(super) fn steps_around(&self, version: VersionId, kind: Kind) -> Vec<Position> {
        let world = self.world;
        let mut leaders = Vec::new();
        match kind {
            Kind::Training | Kind::Transform => leaders = world.makers(version),
            _ => world.view.uses(version, |event, usage| {
                if usage == Use::About {
                    leaders.push(world.view.leader(event));
                }
            }),
        }
        leaders.sort_unstable();
        leaders.dedup();
        leaders.retain(|leader| world.is_step(kind, *leader));
        leaders
    }

    /// Those of the steps around a version that a condition counts.
    pub(super) fn counting(&self, leaders: &[Position], version: VersionId, with: &WithPlan) -> Vec<Position> {
        let world = self.world;
        let counts = |leader: &Position| {
            let last = world.final_event(*leader);
            // What generated the version did so, whatever became of it; anything else counts once it is complete.
            let done =
                matches!(with.event, Kind::Training | Kind::Transform) || world.view.state(last) == State::Complete;
            done && self.has_verdict(last, with.outcome) && self.happened(*leader, false, &with.when, Some(version))
        };
        leaders.iter().copied().filter(counts).collect()
    }

    /// A later failing audit does not unseat a passing one; the reader is told of it.
    fn note_later_failures(&self, leaders: &[Position]) {
        let world = self.world;
        let completed = leaders.iter().map(|l| world.final_event(*l));
        let last =
            completed.filter(|e| world.view.state(*e) == State::Complete).max_by_key(|e| (world.view.time(*e), *e));
        if last.is_some_and(|e| world.view.outcome(e) == Some(Outcome::Fail)) {
            self.note("N06", "after a passing one came a failing one, which does not unseat it");
        }
    }

    fn has_verdict(&self, event: Position, verdict: Option<Verdict>) -> bool {
        match verdict {
            None => true,
            Some(Verdict::Passing) => self.world.passes(event),
            Some(Verdict::Failing) => self.world.view.outcome(event) == Some(Outcome::Fail),
        }
    }

    /// As [`Self::happened`], where `their last` speaks of what the event is about or made: of any of it.
    pub(super) fn event_happened(&self, event: Position, single: bool, when: &When) -> bool {
        let view = &self.world.view;
        let mut of = Vec::new();
        if let Some(Span::SinceLast(_)) = when.window {
            let events = if single { vec![event] } else { self.world.events_of(event) };
            for event in events {
                let about = view.mentions(event).into_iter().filter(|m| m.usage == Use::About);
                of.extend(about.map(|m| m.version).chain(view.made(event).into_iter().map(|m| m.version)));
            }
        }
        if of.is_empty() {
            return self.happened(event, single, when, None);
        }
        of.into_iter().any(|version| self.happened(event, single, when, Some(version)))
    }

    /// Whether a step, or a single event, was caused by an agent within a window; `of` is the version that `their last`
    /// speaks of.
    pub(super) fn happened(&self, step: Position, single: bool, when: &When, of: Option<VersionId>) -> bool {
        if when.by.is_none() && when.window.is_none() {
            return true;
        }
        let world = self.world;
        let last = if single { step } else { world.final_event(step) };
        if when.by.is_some_and(|by| world.view.actor(last) != by) {
            return false;
        }
        let at = world.view.time(last);
        let within = match when.window {
            None => return true,
            Some(Span::Between(from, to)) => from <= at && at < to,
            Some(Span::SinceLast(kind)) => {
                let since = of.and_then(|v| self.last_of(v, kind));
                since.is_none_or(|since| (at, last) > since)
            }
        };
        if within && world.view.recorded(last).0.saturating_sub(at.0) > DAY_NANOS {
            self.note("W06", "an event in the window was recorded more than a day after it claims to have happened");
        }
        within
    }

    /// The latest event of a kind about or generating a version.
    pub(super) fn last_of(&self, version: VersionId, kind: Kind) -> Option<(Time, Position)> {
        if kind == Kind::Training {
            return self.world.last_training(version);
        }
        let world = self.world;
        let mut latest = None;
        let mut offer = |leader: Position| {
            let last = world.final_event(leader);
            let done = kind == Kind::Transform || world.view.state(last) == State::Complete;
            if done && self.world.is_step(kind, leader) {
                latest = latest.max(Some((world.view.time(last), last)));
            }
        };
        world.makers(version).into_iter().for_each(&mut offer);
        world.view.uses(version, |event, usage| {
            if usage == Use::About {
                offer(world.view.leader(event));
            }
        });
        latest
    }
}
