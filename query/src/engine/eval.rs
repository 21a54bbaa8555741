//! Evaluating plans: every set is computed once, every condition narrows the nodes that are left.

use lineage_store::event::{Kind as EventKind, Outcome, State};
use lineage_store::graph::{Position, Subject, Use, VersionId};
use lineage_store::time::Time;

use super::attribute::{Node, Val};
use super::bits::{Bits, Nodes};
use super::names;
use super::plan::{Constant, Environments, OperandPlan, Plan, PredPlan, RelPlan, Span, TestPlan, When, WithPlan};
use super::resolve::kind_is_among;
use super::walk::{Edges, Walk, inputs_of, outputs_of};
use super::world::World;
use crate::syntax::ast::{Comparison, Kind, Outcome as Verdict, Quantifier, Relation};

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
                members.iter().for_each(|m| all.unite(&self.set(m)));
                all
            }
            Plan::At(world, inner) => {
                let evaluator = Evaluator::new(world);
                let nodes = evaluator.set(inner);
                self.crossed.set(self.crossed.get() || evaluator.crossed.get());
                nodes
            }
            Plan::Rel(rel) if self.generates(rel) => self.relation(rel),
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
            Plan::Rel(rel) => self.generates(rel),
            _ => false,
        });
        if sets.is_empty()
            && let Some(kind) = rest.iter().position(|m| matches!(m, Plan::Kind(_)))
        {
            sets.push(rest.remove(kind));
        }
        let mut nodes = match sets.split_first() {
            Some((first, others)) => {
                let mut nodes = self.set(first);
                others.iter().for_each(|set| nodes.intersect(&self.set(set)));
                nodes
            }
            None => self.everything(),
        };
        rest.sort_by_key(|m| cost(m));
        for condition in rest {
            self.narrow(condition, &mut nodes);
        }
        nodes
    }

    /// Keeps the nodes that meet a condition.
    fn narrow(&self, plan: &Plan, nodes: &mut Nodes) {
        match plan {
            Plan::Kind(kind) => {
                nodes.versions.retain(|v| names::fits(Some(*kind), self.world.kind_of(v)));
                nodes.events.retain(|e| self.is_step(*kind, e));
            }
            Plan::Not(inner) => {
                let mut without = nodes.clone();
                self.narrow(inner, &mut without);
                nodes.subtract(&without);
            }
            Plan::And(members) => members.iter().for_each(|m| self.narrow(m, nodes)),
            Plan::Or(members) => {
                let mut kept = Nodes::default();
                for member in members {
                    let mut some = nodes.clone();
                    self.narrow(member, &mut some);
                    kept.unite(&some);
                }
                *nodes = kept;
            }
            Plan::With(with) => {
                nodes.versions.retain(|v| self.has_events(v, with));
                nodes.events = Bits::default();
            }
            Plan::Happened(when) => {
                nodes.versions = Bits::default();
                nodes.events.retain(|e| self.happened(e, when, None));
            }
            Plan::Pred(pred) => {
                nodes.versions.retain(|v| self.holds(Node::Version(v), pred));
                nodes.events.retain(|e| self.holds(Node::Event(e), pred));
            }
            Plan::Rel(rel) if !self.generates(rel) => {
                nodes.versions.retain(|v| self.related(v, rel));
                nodes.events.retain(|e| self.related_event(e, rel));
            }
            set => nodes.intersect(&self.set(set)),
        }
    }

    fn everything(&self) -> Nodes {
        let mut all = self.of_kind(Kind::Artifact);
        all.unite(&self.of_kind(Kind::Event));
        all
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
        for event in (0..view.count()).filter(|e| view.sees(*e)) {
            if kind == Kind::Event {
                nodes.events.insert(event);
            } else {
                let leader = view.leader(event);
                if !nodes.events.contains(leader) && self.is_step(kind, leader) {
                    nodes.events.insert(leader);
                }
            }
        }
        nodes
    }

    /// Whether a step is of a kind of the language.
    fn is_step(&self, kind: Kind, leader: Position) -> bool {
        if kind == Kind::Event {
            return true;
        }
        let of = self.world.step_kind(leader);
        match kind {
            Kind::Run => matches!(of, EventKind::Transform | EventKind::Training | EventKind::Evaluation),
            kind => event_kind(kind) == Some(of),
        }
    }

    /// Whether a relation is computed as a set, rather than tested node by node.
    fn generates(&self, rel: &RelPlan) -> bool {
        match rel.relation {
            Relation::Tagged | Relation::Live => true,
            Relation::Trained | Relation::Evaluated => rel.operand.is_some(),
            Relation::Deployed | Relation::Audited | Relation::Created => false,
            _ => true,
        }
    }

    fn relation(&self, rel: &RelPlan) -> Nodes {
        match rel.relation {
            Relation::Tagged => return self.tagged(rel.tag),
            Relation::Live => return self.live(rel.environments.as_ref()),
            _ => {}
        }
        let Some(operand) = &rel.operand else { return Nodes::default() };
        let avoiding = rel.avoiding.as_ref().map(|a| self.set(a));
        self.quantified(rel, operand, avoiding.as_ref())
    }

    fn quantified(&self, rel: &RelPlan, operand: &OperandPlan, avoiding: Option<&Nodes>) -> Nodes {
        let sets: Vec<Nodes> = operand.sets.iter().map(|s| self.set(s)).collect();
        let union = || {
            let mut all = Nodes::default();
            sets.iter().for_each(|s| all.unite(s));
            all
        };
        match operand.quantifier {
            Quantifier::Any | Quantifier::AnyOf => self.image(rel, &union(), avoiding),
            Quantifier::AllOf => self.each(sets.into_iter(), rel, avoiding),
            Quantifier::Every => {
                let members = union();
                if members.is_empty() {
                    self.note("W02", "`every` over an empty set matches nothing");
                }
                let versions =
                    members.versions.iter().map(|v| Nodes { versions: Bits::of([v]), events: Bits::default() });
                let events = members.events.iter().map(|e| Nodes { versions: Bits::default(), events: Bits::of([e]) });
                let singles: Vec<Nodes> = versions.chain(events).collect();
                self.each(singles.into_iter(), rel, avoiding)
            }
            Quantifier::Only => self.only(rel, operand, &union(), avoiding),
        }
    }

    fn each(&self, sets: impl Iterator<Item = Nodes>, rel: &RelPlan, avoiding: Option<&Nodes>) -> Nodes {
        let mut result: Option<Nodes> = None;
        for set in sets {
            let image = self.image(rel, &set, avoiding);
            match &mut result {
                Some(nodes) => nodes.intersect(&image),
                None => result = Some(image),
            }
        }
        result.unwrap_or_default()
    }

    /// What a node reaches, restricted to the operand's kinds, is non-empty and within the operand.
    fn only(&self, rel: &RelPlan, operand: &OperandPlan, allowed: &Nodes, avoiding: Option<&Nodes>) -> Nodes {
        let mut others = self.of_kind(Kind::Artifact);
        others.versions.retain(|v| kind_is_among(&operand.kinds, self.world.kind_of(v)));
        others.subtract(allowed);
        let mut nodes = self.image(rel, allowed, avoiding);
        nodes.subtract(&self.image(rel, &others, avoiding));
        nodes
    }

    /// The nodes that stand in a relation to any member of a set.
    fn image(&self, rel: &RelPlan, to: &Nodes, avoiding: Option<&Nodes>) -> Nodes {
        let world = self.world;
        match rel.relation {
            Relation::DownstreamOf => self.walk(Edges::ALL, rel, avoiding, |w| w.downstream(to)),
            Relation::UpstreamOf => self.walk(Edges::ALL, rel, avoiding, |w| w.upstream(to)),
            Relation::DerivedFrom => self.walk(Edges::DATA, rel, avoiding, |w| w.downstream(to)),
            Relation::Trained => self.trained(Edges::TRAINING, rel, to, avoiding),
            Relation::FineTuned => self.trained(Edges::BASE, rel, to, avoiding),
            Relation::Evaluated => self.evaluated(rel, to),
            Relation::UsedBy => {
                let mut steps = to.events.clone();
                steps.retain(|e| self.happened(e, &rel.when, None));
                Nodes { versions: inputs_of(world, &leaders(world, &steps)), events: Bits::default() }
            }
            Relation::ProducedBy => {
                Nodes { versions: outputs_of(world, &leaders(world, &to.events)), events: Bits::default() }
            }
            Relation::Using => self.touching(to, |usage| matches!(usage, Some(Use::Input(_)))),
            Relation::Producing => self.touching(to, |usage| usage.is_none()),
            Relation::About => self.touching(to, |_| true),
            _ => Nodes::default(),
        }
    }

    fn walk(
        &self,
        edges: Edges,
        rel: &RelPlan,
        avoiding: Option<&Nodes>,
        go: impl FnOnce(Walk<'_>) -> super::walk::Reach,
    ) -> Nodes {
        let reach = go(Walk::new(self.world, edges, rel.depth).avoiding(avoiding));
        self.crossed.set(self.crossed.get() || reach.crossed);
        reach.nodes
    }

    /// Versions that a training generated from members of a set, directly or through transforms and trainings.
    fn trained(&self, edges: Edges, rel: &RelPlan, from: &Nodes, avoiding: Option<&Nodes>) -> Nodes {
        let mut versions = Bits::default();
        let mut on_step = |leader: Position, version: VersionId| {
            if self.world.step_kind(leader) == EventKind::Training && self.happened(leader, &rel.when, Some(version)) {
                versions.insert(version);
            }
        };
        let reach = Walk::new(self.world, edges, rel.depth).avoiding(avoiding).on_step(&mut on_step).downstream(from);
        self.crossed.set(self.crossed.get() || reach.crossed);
        Nodes { versions, events: Bits::default() }
    }

    /// What was evaluated with members of a set as data.
    fn evaluated(&self, rel: &RelPlan, on: &Nodes) -> Nodes {
        let view = &self.world.view;
        let mut steps = Bits::default();
        for version in on.versions.iter() {
            view.uses(version, |event, usage| {
                if matches!(usage, Use::Input(_)) && view.kind(event) == EventKind::Evaluation {
                    steps.insert(view.leader(event));
                }
            });
        }
        let mut versions = Bits::default();
        for leader in steps.iter() {
            for version in self.subjects(leader) {
                if !on.versions.contains(version) && self.happened(leader, &rel.when, Some(version)) {
                    versions.insert(version);
                }
            }
        }
        Nodes { versions, events: Bits::default() }
    }

    /// What an evaluation, audit or deployment is about: its `about`, else the models it reads.
    fn subjects(&self, leader: Position) -> Vec<VersionId> {
        let view = &self.world.view;
        let mentions: Vec<_> = self.world.events_of(leader).into_iter().flat_map(|e| view.mentions(e)).collect();
        mentions.iter().filter(|m| m.usage == Use::About).map(|m| m.version).collect()
    }

    /// Steps and events that use, produce or concern members of a set.
    fn touching(&self, of: &Nodes, wanted: impl Fn(Option<Use>) -> bool) -> Nodes {
        let view = &self.world.view;
        let mut events = Bits::default();
        for version in of.versions.iter() {
            view.uses(version, |event, usage| {
                if wanted(Some(usage)) {
                    events.insert(event);
                    events.insert(view.leader(event));
                }
            });
            if wanted(None) {
                view.makers(version, |event| {
                    events.insert(event);
                    events.insert(view.leader(event));
                });
            }
        }
        Nodes { versions: Bits::default(), events }
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
                    nodes.events.insert(*event);
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
                content.iter().for_each(|v| {
                    versions.insert(*v);
                });
            }
        }
        if let Some(environments) = environments.filter(|e| e.all) {
            versions.retain(|v| {
                let live = self.world.environments_of(v);
                environments.symbols.iter().all(|s| s.is_some_and(|s| live.contains(&s)))
            });
        }
        Nodes { versions, events: Bits::default() }
    }

    /// Relations that are tested version by version.
    fn related(&self, version: VersionId, rel: &RelPlan) -> bool {
        let kind = match rel.relation {
            Relation::Trained => Kind::Training,
            Relation::Evaluated => Kind::Evaluation,
            Relation::Audited => Kind::Audit,
            Relation::Deployed => return self.was_deployed(version, rel),
            _ => {
                let minted = self.world.makers(version);
                let first = minted.first().copied().unwrap_or_else(|| self.world.view.mint(version));
                return self.happened(first, &rel.when, Some(version));
            }
        };
        let with = WithPlan { event: kind, at_least: 1, outcome: None, when: rel.when.clone() };
        self.has_events(version, &with)
    }

    fn related_event(&self, event: Position, rel: &RelPlan) -> bool {
        rel.relation == Relation::Created && self.happened(event, &rel.when, None)
    }

    fn was_deployed(&self, version: VersionId, rel: &RelPlan) -> bool {
        let changes = self.world.view.slot_changes();
        let mut hit = Vec::new();
        self.world.view.uses(version, |event, usage| {
            if usage == Use::About
                && self.world.view.kind(event) == EventKind::Deployment
                && self.happened(event, &rel.when, Some(version))
            {
                hit.extend(changes.binary_search_by_key(&event, |c| c.event).ok().map(|i| changes[i].environment));
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
            self.is_step(with.event, **leader)
                && world.view.state(last) == State::Complete
                && self.has_verdict(last, with.outcome)
                && self.happened(**leader, &with.when, Some(version))
        };
        leaders.iter().filter(counts).count() >= with.at_least as usize
    }

    fn has_verdict(&self, event: Position, verdict: Option<Verdict>) -> bool {
        match verdict {
            None => true,
            Some(Verdict::Passing) => self.world.passes(event),
            Some(Verdict::Failing) => self.world.view.outcome(event) == Some(Outcome::Fail),
        }
    }

    /// Whether a step was caused by an agent within a window; `of` is the version that `their last` speaks of.
    fn happened(&self, step: Position, when: &When, of: Option<VersionId>) -> bool {
        if when.by.is_none() && when.window.is_none() {
            return true;
        }
        let world = self.world;
        let last = if world.view.leader(step) == step { world.final_event(step) } else { step };
        if when.by.is_some_and(|by| world.view.actor(last) != by) {
            return false;
        }
        let at = world.view.time(last);
        match when.window {
            None => true,
            Some(Span::Between(from, to)) => from <= at && at < to,
            Some(Span::SinceLast(kind)) => {
                let since = of.and_then(|v| self.last_of(v, kind));
                since.is_none_or(|since| (at, last) > since)
            }
        }
    }

    /// The latest event of a kind about or generating a version.
    fn last_of(&self, version: VersionId, kind: Kind) -> Option<(Time, Position)> {
        if kind == Kind::Training {
            return self.world.last_training(version);
        }
        let world = self.world;
        let mut latest = None;
        let mut offer = |leader: Position| {
            if self.is_step(kind, leader) {
                let last = world.final_event(leader);
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

    fn holds(&self, node: Node, pred: &PredPlan) -> bool {
        let Some(value) = self.world.value(node, &pred.attribute) else {
            // A comparison with what is missing is false, and `!=` is defined by negation.
            return matches!(pred.test, TestPlan::Compare(Comparison::Ne, _));
        };
        match &pred.test {
            TestPlan::Has => true,
            TestPlan::True => value == Val::Bool(true) || matches!(&value, Val::List(l) if !l.is_empty()),
            TestPlan::Compare(comparison, constant) => compare(&value, *comparison, constant),
            TestPlan::In(list) => list.iter().any(|c| compare(&value, Comparison::Eq, c)),
            TestPlan::Like(pattern) => texts(&value).iter().any(|t| like(t, pattern)),
            TestPlan::Between(low, high) => {
                compare(&value, Comparison::Ge, low) && compare(&value, Comparison::Le, high)
            }
        }
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

fn leaders(world: &World, events: &Bits) -> Bits {
    Bits::of(events.iter().map(|e| world.view.leader(e)))
}

/// The kind of events that a word of the language means.
fn event_kind(kind: Kind) -> Option<EventKind> {
    Some(match kind {
        Kind::Transform => EventKind::Transform,
        Kind::Training => EventKind::Training,
        Kind::Evaluation => EventKind::Evaluation,
        Kind::Audit => EventKind::Audit,
        Kind::Deployment => EventKind::Deployment,
        Kind::Retirement => EventKind::Retirement,
        _ => return None,
    })
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
        (Val::Number(a), Constant::Number(b)) => a.partial_cmp(b),
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
        // A parameter that was logged as text may still look like a number or a date.
        (Val::Text(a), Constant::Time(.., b)) => Some(a.as_str().cmp(b)),
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
