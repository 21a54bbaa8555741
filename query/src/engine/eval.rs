//! Evaluating plans: every set is computed once, every condition narrows the nodes that are left.

use lineage_store::event::{Kind as EventKind, Outcome, State};
use lineage_store::graph::{Position, Subject, Use, VersionId};
use lineage_store::time::Time;

use super::attribute::{Attribute, Node, Val};
use super::bits::{Bits, Nodes};
use super::names;
use super::plan::{Constant, Environments, OperandPlan, Plan, PredPlan, RelPlan, Span, TestPlan, When, WithPlan};
use super::walk::{Edges, Walk, inputs_of, outputs_of};
use super::world::World;
use crate::syntax::ast::{Comparison, Kind, Outcome as Verdict, Quantifier, Relation};

/// Events recorded later than this after they happened are worth a note where windows are used.
const DAY_NANOS: i64 = 24 * 60 * 60 * 1_000_000_000;

/// Evaluates plans in a world.
pub(crate) struct Evaluator<'a> {
    pub(crate) world: &'a World,
    /// Whether a copy or a link was crossed.
    pub(crate) crossed: std::cell::Cell<bool>,
    /// Notes for the reader.
    pub(crate) notes: std::cell::RefCell<Vec<(&'static str, String)>>,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        Self { world, crossed: std::cell::Cell::new(false), notes: std::cell::RefCell::default() }
    }

    /// The nodes of a plan.
    pub(crate) fn set(&self, plan: &Plan) -> Nodes {
        match plan {
            Plan::Kind(kind) => self.of_kind(*kind),
            Plan::Nodes(nodes) => nodes.clone(),
            Plan::And(members) => self.and(members),
            Plan::Or(members) => {
                let mut all = Nodes::default();
                for member in members {
                    all.unite(&self.set(member), self.world);
                }
                all
            }
            Plan::At(world, inner) => {
                let evaluator = Evaluator::new(world);
                let nodes = evaluator.set(inner);
                self.crossed.set(self.crossed.get() || evaluator.crossed.get());
                evaluator.notes.take().into_iter().for_each(|(code, text)| self.note(code, text));
                nodes
            }
            Plan::Rel(rel) if generates(rel) => self.relation(rel, false),
            condition => {
                let mut all = self.everything();
                self.narrow(condition, &mut all);
                all
            }
        }
    }

    /// Sets first, then conditions from the cheap to the costly; the order changes no answer.
    fn and(&self, members: &[Plan]) -> Nodes {
        let (mut sets, mut rest): (Vec<&Plan>, Vec<&Plan>) = members.iter().partition(|m| match m {
            Plan::Nodes(_) | Plan::At(..) | Plan::Or(_) | Plan::And(_) => true,
            Plan::Rel(rel) => generates(rel),
            _ => false,
        });
        if sets.is_empty()
            && let Some(kind) = rest.iter().position(|m| matches!(m, Plan::Kind(_)))
        {
            sets.push(rest.remove(kind));
        }
        let single = members.iter().any(|m| matches!(m, Plan::Kind(Kind::Event)));
        let of = |set: &Plan| match set {
            Plan::Rel(rel) => self.relation(rel, single),
            set => self.set(set),
        };
        let mut nodes = match sets.split_first() {
            Some((first, others)) => {
                let mut nodes = of(first);
                for set in others {
                    nodes.intersect(&of(set), self.world);
                }
                nodes
            }
            None => self.everything(),
        };
        self.narrow_all(rest, &mut nodes);
        nodes
    }

    /// Narrows by several conditions: first what the nodes are, then the tests of attributes, each of the same nodes,
    /// so that what is said of missing values does not depend on the order.
    fn narrow_all(&self, mut conditions: Vec<&Plan>, nodes: &mut Nodes) {
        conditions.sort_by_key(|m| cost(m));
        let mut tested: Option<Nodes> = None;
        for condition in conditions {
            if matches!(condition, Plan::Pred(_)) {
                let before = tested.get_or_insert_with(|| nodes.clone());
                let mut kept = before.clone();
                self.narrow(condition, &mut kept);
                nodes.intersect(&kept, self.world);
            } else {
                self.narrow(condition, nodes);
            }
        }
    }

    /// Keeps the nodes that meet a condition.
    fn narrow(&self, plan: &Plan, nodes: &mut Nodes) {
        match plan {
            Plan::Kind(kind) => {
                let view = &self.world.view;
                let all = view.sees_all();
                let here = |v| if all { v < view.n_versions() } else { view.has_version(v) };
                nodes.versions.retain(|v| names::fits(Some(*kind), self.world.kind_of(v)) && here(v));
                if *kind == Kind::Event {
                    nodes.make_single(self.world);
                }
                let single = nodes.single;
                nodes.events.retain(|e| {
                    self.world.is_step(*kind, view.leader(e))
                        && if single { view.sees(e) } else { self.world.is_step_here(e) }
                });
            }
            Plan::Not(inner) => {
                let mut without = nodes.clone();
                self.narrow(inner, &mut without);
                nodes.subtract(&without, self.world);
            }
            Plan::And(members) => self.narrow_all(members.iter().collect(), nodes),
            Plan::Or(members) => {
                let mut kept = Nodes::default();
                for member in members {
                    let mut some = nodes.clone();
                    self.narrow(member, &mut some);
                    kept.unite(&some, self.world);
                }
                *nodes = kept;
            }
            Plan::With(with) => {
                nodes.versions.retain(|v| self.has_events(v, with));
                nodes.events = Bits::default();
            }
            Plan::Happened(when) => {
                nodes.versions = Bits::default();
                let single = nodes.single;
                nodes.events.retain(|e| self.happened(e, single, when, None));
            }
            Plan::Pred(pred) => self.narrow_by_attribute(pred, nodes),
            Plan::Rel(rel) if !generates(rel) => {
                nodes.versions.retain(|v| self.related(v, rel));
                let single = nodes.single;
                let created = rel.relation == Relation::Created;
                nodes.events.retain(|e| created && self.happened(e, single, &rel.when, None));
            }
            Plan::Rel(rel) => nodes.intersect(&self.relation(rel, nodes.single), self.world),
            set => nodes.intersect(&self.set(set), self.world),
        }
    }

    fn narrow_by_attribute(&self, pred: &PredPlan, nodes: &mut Nodes) {
        let (all, single) = (nodes.len(), nodes.single);
        let mut missing = 0;
        let mut holds = |node| {
            let value = self.world.value(node, &pred.attribute);
            missing += usize::from(value.is_none());
            holds(value.as_ref(), pred)
        };
        nodes.versions.retain(|v| holds(Node::Version(v)));
        nodes.events.retain(|e| holds(Node::of_event(e, single)));
        if missing > 0 && !matches!(pred.test, TestPlan::Has) {
            self.note("W04", missing_text(missing, all, &pred.attribute));
        }
    }

    /// All versions and all steps.
    fn everything(&self) -> Nodes {
        let mut all = self.of_kind(Kind::Artifact);
        all.events = self.steps(|_| true);
        all
    }

    /// The visible steps, by the first event of each, that pass a test.
    fn steps(&self, mut test: impl FnMut(Position) -> bool) -> Bits {
        let view = &self.world.view;
        let mut steps = Bits::default();
        for event in (0..view.count()).filter(|e| view.sees(*e)) {
            let leader = view.leader(event);
            if !steps.contains(leader) && test(leader) {
                steps.insert(leader);
            }
        }
        steps
    }

    fn of_kind(&self, kind: Kind) -> Nodes {
        let view = &self.world.view;
        let mut nodes = Nodes::default();
        if matches!(kind, Kind::Dataset | Kind::Model | Kind::FeatureSet | Kind::Artifact) {
            nodes.versions = Bits::below(view.n_versions());
            if kind != Kind::Artifact || !view.sees_all() {
                nodes.versions.retain(|v| names::fits(Some(kind), self.world.kind_of(v)) && view.has_version(v));
            }
            return nodes;
        }
        if kind == Kind::Event {
            nodes.events = Bits::of((0..view.count()).filter(|e| view.sees(*e)));
            nodes.single = true;
        } else {
            nodes.events = self.steps(|leader| self.world.is_step(kind, leader));
        }
        nodes
    }

    /// The nodes of a relation; `single`: single events rather than steps where the relation tells them apart.
    fn relation(&self, rel: &RelPlan, single: bool) -> Nodes {
        match rel.relation {
            Relation::Tagged => return self.tagged(rel.tag),
            Relation::Live => return self.live(rel.environments.as_ref()),
            _ => {}
        }
        let Some(operand) = &rel.operand else { return Nodes::default() };
        let avoiding = rel.avoiding.as_ref().map(|a| {
            let nodes = self.set(a);
            Nodes { events: nodes.steps(self.world), versions: nodes.versions, single: false }
        });
        let how = How { rel, avoiding: avoiding.as_ref(), single, strict: true };
        self.quantified(how, operand)
    }

    fn quantified(&self, how: How<'_>, operand: &OperandPlan) -> Nodes {
        let of = |set: &Plan| {
            let nodes = self.set(set);
            Nodes { events: nodes.steps(self.world), versions: nodes.versions, single: false }
        };
        let sets: Vec<Nodes> = operand.sets.iter().map(of).collect();
        let union = || {
            let mut all = Nodes::default();
            for set in &sets {
                all.unite(set, self.world);
            }
            all
        };
        if operand.quantifier == Quantifier::Any
            && operand.sets.iter().any(|s| matches!(s, Plan::And(m) if m.iter().any(|p| matches!(p, Plan::Not(_)))))
        {
            self.note(
                "W01",
                "the inner `not` finds what has some such member; for none write `not` before the relation",
            );
        }
        match operand.quantifier {
            Quantifier::Any | Quantifier::AnyOf => self.image(how, &union()),
            Quantifier::AllOf => self.each(sets.into_iter(), how),
            Quantifier::Every => {
                let members = union();
                if members.is_empty() {
                    self.note("W02", "`every` over an empty set matches nothing");
                }
                let versions = members.versions.iter().map(|v| Nodes::of_versions(Bits::of([v])));
                let steps = members.events.iter().map(|e| Nodes::of_steps(Bits::of([e])));
                self.each(versions.chain(steps), how)
            }
            Quantifier::Only => self.only(how, operand, &union()),
        }
    }

    fn each(&self, sets: impl Iterator<Item = Nodes>, how: How<'_>) -> Nodes {
        let mut result: Option<Nodes> = None;
        for set in sets {
            let image = self.image(how, &set);
            match &mut result {
                Some(nodes) => nodes.intersect(&image, self.world),
                None => result = Some(image),
            }
        }
        result.unwrap_or_default()
    }

    /// What a node reaches, restricted to the operand's kinds, is non-empty and within the operand.
    ///
    /// The others may lead to each other, so they are no strict start set.
    fn only(&self, how: How<'_>, operand: &OperandPlan, allowed: &Nodes) -> Nodes {
        let mut others = if operand.kinds.is_empty() { self.everything() } else { Nodes::default() };
        for kind in &operand.kinds {
            let of_kind = self.of_kind(*kind);
            others.versions |= &of_kind.versions;
            others.events |= &of_kind.steps(self.world);
        }
        others.subtract(allowed, self.world);
        let mut nodes = self.image(how, allowed);
        nodes.subtract(&self.image(How { strict: false, ..how }, &others), self.world);
        nodes
    }

    /// The nodes that stand in a relation to any member of a set.
    fn image(&self, how: How<'_>, to: &Nodes) -> Nodes {
        let (world, when) = (self.world, &how.rel.when);
        match how.rel.relation {
            Relation::DownstreamOf => self.walk(Edges::ALL, how, |w| w.downstream(to)),
            Relation::UpstreamOf => self.walk(Edges::ALL, how, |w| w.upstream(to)),
            Relation::DerivedFrom => self.walk(Edges::DATA, how, |w| w.by_steps_only().downstream(to)),
            Relation::Trained => self.trained(Edges::TRAINING, how, to),
            Relation::FineTuned => self.trained(Edges::BASE, how, to),
            Relation::Evaluated => self.evaluated(how.rel, to),
            Relation::UsedBy => {
                let mut versions = Bits::default();
                for step in to.events.iter() {
                    let inputs = inputs_of(world, &Bits::of([step]));
                    inputs.iter().filter(|v| self.happened(step, false, when, Some(*v))).for_each(|v| {
                        versions.insert(v);
                    });
                }
                Nodes::of_versions(versions)
            }
            Relation::ProducedBy => Nodes::of_versions(outputs_of(world, &to.events)),
            Relation::Using => self.touching(to, how.single, |usage| matches!(usage, Some(Use::Input(_)))),
            Relation::Producing => self.touching(to, how.single, |usage| usage.is_none()),
            Relation::About => self.touching(to, how.single, |_| true),
            _ => Nodes::default(),
        }
    }

    fn walk(&self, edges: Edges, how: How<'_>, go: impl FnOnce(Walk<'_>) -> super::walk::Reach) -> Nodes {
        let walk = Walk::new(self.world, edges, how.rel.depth).avoiding(how.avoiding);
        let reach = go(if how.strict { walk } else { walk.back_to_start() });
        self.crossed.set(self.crossed.get() || reach.crossed);
        reach.nodes
    }

    /// Versions that a training generated from members of a set, directly or through transforms and trainings.
    fn trained(&self, edges: Edges, how: How<'_>, from: &Nodes) -> Nodes {
        let mut versions = Bits::default();
        let mut on_step = |leader: Position, version: VersionId| {
            if self.world.step_kind(leader) == EventKind::Training
                && self.happened(leader, false, &how.rel.when, Some(version))
            {
                versions.insert(version);
            }
        };
        let walk = Walk::new(self.world, edges, how.rel.depth).avoiding(how.avoiding);
        let reach = walk.on_step(&mut on_step).downstream(from);
        self.crossed.set(self.crossed.get() || reach.crossed);
        Nodes::of_versions(versions)
    }

    /// What was evaluated with members of a set as data, itself not counted.
    fn evaluated(&self, rel: &RelPlan, on: &Nodes) -> Nodes {
        let view = &self.world.view;
        let mut steps = Bits::default();
        for version in on.versions.iter() {
            view.uses(version, |event, usage| {
                let leader = view.leader(event);
                if matches!(usage, Use::Input(_)) && self.world.step_kind(leader) == EventKind::Evaluation {
                    steps.insert(leader);
                }
            });
        }
        steps.retain(|leader| self.world.step_state(leader) == State::Complete);
        let mut versions = Bits::default();
        for leader in steps.iter() {
            let mut data = inputs_of(self.world, &Bits::of([leader]));
            data &= &on.versions;
            for version in self.subjects(leader) {
                let is_on_another = data.iter().any(|v| v != version);
                if is_on_another && self.happened(leader, false, &rel.when, Some(version)) {
                    versions.insert(version);
                }
            }
        }
        Nodes::of_versions(versions)
    }

    /// What an evaluation, audit or deployment is about.
    fn subjects(&self, leader: Position) -> Vec<VersionId> {
        let mentions = self.world.events_of(leader).into_iter().flat_map(|e| self.world.view.mentions(e));
        mentions.filter(|m| m.usage == Use::About).map(|m| m.version).collect()
    }

    /// Steps or single events that use, produce or concern members of a set.
    fn touching(&self, of: &Nodes, single: bool, wanted: impl Fn(Option<Use>) -> bool) -> Nodes {
        let view = &self.world.view;
        let mut events = Bits::default();
        let place = |event: Position| if single { event } else { view.leader(event) };
        for version in of.versions.iter() {
            view.uses(version, |event, usage| {
                if wanted(Some(usage)) {
                    events.insert(place(event));
                }
            });
            if wanted(None) {
                view.makers(version, |event| {
                    events.insert(place(event));
                });
            }
        }
        Nodes { versions: Bits::default(), events, single }
    }

    fn tagged(&self, tag: Option<u32>) -> Nodes {
        let world = self.world;
        let view = &world.view;
        let mut nodes = Nodes::default();
        let Some(tag) = tag else { return nodes };
        for subject in world.ever_tagged(tag) {
            match subject {
                Subject::Entity(entity) => view.versions(*entity).into_iter().for_each(|v| {
                    nodes.versions.insert(v);
                }),
                Subject::Version(version) => {
                    nodes.versions.insert(*version);
                }
                Subject::Event(event) => {
                    nodes.events.insert(view.leader(*event));
                }
            }
        }
        nodes.versions.retain(|v| view.has_version(v) && world.has_tag(v, tag));
        nodes
    }

    fn live(&self, environments: Option<&Environments>) -> Nodes {
        let mut versions = Bits::default();
        for ((_, environment, _), content) in self.world.slots() {
            if environments.is_none_or(|e| e.symbols.contains(&Some(*environment))) {
                versions |= &Bits::of(content.iter().copied());
            }
        }
        if let Some(environments) = environments.filter(|e| e.all) {
            versions.retain(|v| {
                let live = self.world.environments_of(v);
                environments.symbols.iter().all(|s| s.is_some_and(|s| live.contains(&s)))
            });
        }
        Nodes::of_versions(versions)
    }

    /// Relations that are tested version by version.
    fn related(&self, version: VersionId, rel: &RelPlan) -> bool {
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
    fn has_events(&self, version: VersionId, with: &WithPlan) -> bool {
        let world = self.world;
        let mut leaders = Vec::new();
        match with.event {
            Kind::Training | Kind::Transform => leaders = world.makers(version),
            _ => world.view.uses(version, |event, usage| {
                if usage == Use::About {
                    leaders.push(world.view.leader(event));
                }
            }),
        }
        leaders.sort_unstable();
        leaders.dedup();
        let counts = |leader: &&Position| {
            let last = world.final_event(**leader);
            // What generated the version did so, whatever became of it; anything else counts once it is complete.
            let done =
                matches!(with.event, Kind::Training | Kind::Transform) || world.view.state(last) == State::Complete;
            self.world.is_step(with.event, **leader)
                && done
                && self.has_verdict(last, with.outcome)
                && self.happened(**leader, false, &with.when, Some(version))
        };
        let enough = leaders.iter().filter(counts).count() >= with.at_least as usize;
        if enough && with.outcome == Some(Verdict::Passing) {
            self.note_later_failures(&leaders, with.event);
        }
        enough
    }

    /// A later failing audit does not unseat a passing one; the reader is told of it.
    fn note_later_failures(&self, leaders: &[Position], kind: Kind) {
        let world = self.world;
        let completed = leaders.iter().filter(|l| self.world.is_step(kind, **l)).map(|l| world.final_event(*l));
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

    /// Whether a step, or a single event, was caused by an agent within a window; `of` is the version that `their last`
    /// speaks of.
    fn happened(&self, step: Position, single: bool, when: &When, of: Option<VersionId>) -> bool {
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
    fn last_of(&self, version: VersionId, kind: Kind) -> Option<(Time, Position)> {
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

    /// How many of the nodes that were deployed are no longer live there.
    pub(crate) fn retired(&self, plan: &Plan, nodes: &Nodes) -> Option<String> {
        let members = if let Plan::And(members) = plan { members } else { std::slice::from_ref(plan) };
        let deployed = members.iter().find_map(|m| match m {
            Plan::Rel(rel) if rel.relation == Relation::Deployed => Some(rel),
            _ => None,
        })?;
        let mut retired = nodes.versions.clone();
        retired.subtract(&self.live(deployed.environments.as_ref()).versions);
        let (retired, all) = (retired.len(), nodes.versions.len());
        (retired > 0).then(|| format!("{retired} of {all} are no longer live (use `live in`)"))
    }

    pub(crate) fn note(&self, code: &'static str, text: impl Into<String>) {
        let note = (code, text.into());
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}

/// Conditions from the cheap to the costly.
fn cost(plan: &Plan) -> u8 {
    match plan {
        Plan::Kind(_) => 0,
        Plan::Nodes(_) => 1,
        Plan::Happened(_) => 2,
        Plan::Pred(_) => 3,
        Plan::With(_) => 4,
        _ => 5,
    }
}

/// How an image is computed.
#[derive(Clone, Copy)]
struct How<'a> {
    rel: &'a RelPlan,
    /// Steps and versions that are never passed.
    avoiding: Option<&'a Nodes>,
    /// Whether single events are wanted rather than steps.
    single: bool,
    /// Whether the set itself is never in the image of a walk.
    strict: bool,
}

/// Whether a relation is computed as a set, rather than tested node by node.
fn generates(rel: &RelPlan) -> bool {
    match rel.relation {
        Relation::Trained | Relation::Evaluated => rel.operand.is_some(),
        Relation::Deployed | Relation::Audited | Relation::Created => false,
        _ => true,
    }
}

/// Whether a value, missing or not, passes a test.
fn holds(value: Option<&Val>, pred: &PredPlan) -> bool {
    let Some(value) = value else {
        // A comparison with what is missing is false, and `!=` is defined by negation.
        return matches!(pred.test, TestPlan::Compare(Comparison::Ne, _));
    };
    match &pred.test {
        TestPlan::Has => true,
        TestPlan::True => *value == Val::Bool(true),
        TestPlan::Compare(comparison, constant) => compare(value, *comparison, constant),
        TestPlan::In(list) => list.iter().any(|c| compare(value, Comparison::Eq, c)),
        TestPlan::Like(pattern) => texts(value).iter().any(|t| like(t, pattern)),
        TestPlan::Between(low, high) => compare(value, Comparison::Ge, low) && compare(value, Comparison::Le, high),
    }
}

/// How many nodes miss an attribute.
pub(crate) fn missing_text(missing: usize, all: usize, attribute: &Attribute) -> String {
    format!("{missing} of {all} have no `{}`", attribute.heading())
}

fn texts(value: &Val) -> Vec<String> {
    match value {
        Val::Text(text) => vec![text.clone()],
        Val::List(list) => list.clone(),
        _ => Vec::new(),
    }
}

/// Compares a value with a constant; values of another type are not equal, and neither less nor greater.
pub(crate) fn compare(value: &Val, comparison: Comparison, constant: &Constant) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    if comparison == Comparison::Ne {
        return !compare(value, Comparison::Eq, constant);
    }
    let order = match (value, constant) {
        (Val::Number(a), Constant::Number(b, _)) => a.partial_cmp(b),
        (Val::Text(a), Constant::Text(b)) => Some(a.as_str().cmp(b)),
        (Val::Bool(a), Constant::Text(b)) => (b == "true" || b == "false").then(|| a.cmp(&(b == "true"))),
        (Val::Time(at), Constant::Time(from, to, _)) => Some(if at < from {
            Less
        } else if at < to {
            Equal
        } else {
            Greater
        }),
        (Val::List(list), constant) => {
            return list.iter().any(|item| compare(&Val::Text(item.clone()), comparison, constant));
        }
        // What was logged as text may look like a date: it is compared as it was written.
        (Val::Text(a), Constant::Time(.., b)) if !b.is_empty() => Some(a.as_str().cmp(b)),
        _ => None,
    };
    order.is_some_and(|order| match comparison {
        Comparison::Eq => order == Equal,
        Comparison::Lt => order == Less,
        Comparison::Le => order != Greater,
        Comparison::Gt => order == Greater,
        Comparison::Ge => order != Less,
        Comparison::Ne => order != Equal,
    })
}

/// SQL's `like`: `%` is any text, `_` any character.
fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '%' {
            retry = Some((p + 1, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '_' || pattern[p] == text[t]) {
            (t, p) = (t + 1, p + 1);
        } else if let Some((after, from)) = retry {
            (p, t) = (after, from + 1);
            retry = Some((after, from + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_matches_whole_texts() {
        assert!(like("jaffle.main.orders", "%orders"));
        assert!(like("abc", "a_c"));
        assert!(!like("abcd", "a_c"));
        assert!(like("", "%%"));
        assert!(!like("x", ""));
    }
}
