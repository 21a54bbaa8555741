//! Evaluating plans: every set is computed once, every condition narrows the nodes that are left.

use lineage_store::graph::Position;

use super::attribute::Node;
use super::bits::{Bits, Nodes};
use super::compare::{holds, missing_text};
use super::names;
use super::plan::{Plan, PredPlan, RelPlan, TestPlan};
use super::relate::Wanted;
use super::world::World;
use crate::syntax::ast::{Kind, Relation};

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
            Plan::Between(between) => self.between(between),
            Plan::Saved(saved) => self.set(&saved.plan),
            Plan::Rel(rel) if generates(rel) => self.relation(rel, Wanted::All),
            condition => {
                let mut all = self.everything();
                self.narrow(condition, &mut all);
                all
            }
        }
    }

    /// The nodes of a plan, with steps in place of single events.
    pub(super) fn in_steps(&self, plan: &Plan) -> Nodes {
        let nodes = self.set(plan);
        Nodes { events: nodes.steps(self.world), single: false, ..nodes }
    }

    /// Sets first, then conditions from the cheap to the costly; the order changes no answer.
    fn and(&self, members: &[Plan]) -> Nodes {
        let (mut sets, mut rest): (Vec<&Plan>, Vec<&Plan>) =
            members.iter().partition(|m| is_set(m) && !matches!(m, Plan::Kind(_)));
        if sets.is_empty()
            && let Some(kind) = rest.iter().position(|m| matches!(m, Plan::Kind(_)))
        {
            sets.push(rest.remove(kind));
        }
        let has = |test: fn(Kind) -> bool| members.iter().any(|m| matches!(m, Plan::Kind(kind) if test(*kind)));
        let wanted = if has(|kind| kind == Kind::Event) {
            Wanted::SingleEvents
        } else if has(names::is_of_versions) {
            Wanted::Versions
        } else {
            Wanted::All
        };
        let of = |set: &Plan| match set {
            Plan::Rel(rel) => self.relation(rel, wanted),
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
    pub(super) fn narrow(&self, plan: &Plan, nodes: &mut Nodes) {
        match plan {
            Plan::Kind(kind) => {
                let view = &self.world.view;
                let names = view.names();
                nodes.versions.retain(|v| names::fits(Some(*kind), names.kind(v)) && view.has_version(v));
                if names::is_of_versions(*kind) {
                    nodes.events = Bits::default();
                    return;
                }
                if *kind == Kind::Event {
                    nodes.make_single(self.world);
                }
                if *kind != Kind::Agent {
                    nodes.agents = Bits::default();
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
            // A set of steps holds all their events; a condition is one of each event.
            Plan::And(_) | Plan::Or(_) if nodes.single && is_set(plan) => {
                nodes.intersect(&self.set(plan), self.world);
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
                nodes.versions.retain(|v| self.world.budget.step() && self.has_events(v, with));
                nodes.events = Bits::default();
                nodes.agents = Bits::default();
            }
            Plan::Happened(when) => {
                nodes.versions = Bits::default();
                nodes.agents = Bits::default();
                let single = nodes.single;
                nodes.events.retain(|e| self.world.budget.step() && self.event_happened(e, single, when));
            }
            Plan::Pred(pred) => self.narrow_by_attribute(pred, nodes),
            Plan::Rel(rel) if !generates(rel) => {
                nodes.versions.retain(|v| self.world.budget.step() && self.related(v, rel));
                nodes.agents = Bits::default();
                let single = nodes.single;
                let created = rel.relation == Relation::Created;
                nodes.events.retain(|e| created && self.happened(e, single, &rel.when, None));
            }
            Plan::Rel(rel) => {
                let wanted = if nodes.single { Wanted::SingleEvents } else { Wanted::All };
                nodes.intersect(&self.relation(rel, wanted), self.world);
            }
            set => nodes.intersect(&self.set(set), self.world),
        }
    }

    fn narrow_by_attribute(&self, pred: &PredPlan, nodes: &mut Nodes) {
        let (all, single) = (nodes.len(), nodes.single);
        let mut missing = 0;
        let mut holds = |node| {
            if !self.world.budget.step() {
                return false;
            }
            let value = self.world.value(node, &pred.attribute);
            missing += usize::from(value.is_none());
            holds(value.as_ref(), pred)
        };
        nodes.versions.retain(|v| holds(Node::Version(v)));
        nodes.events.retain(|e| holds(Node::of_event(e, single)));
        nodes.agents.retain(|a| holds(Node::Agent(a)));
        if missing > 0 && !matches!(pred.test, TestPlan::Has) {
            self.note("W04", missing_text(missing, all, &pred.attribute));
        }
    }

    /// All versions and all steps.
    pub(super) fn everything(&self) -> Nodes {
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

    pub(super) fn of_kind(&self, kind: Kind) -> Nodes {
        let view = &self.world.view;
        let mut nodes = Nodes::default();
        if names::is_of_versions(kind) {
            nodes.versions = Bits::below(view.n_versions());
            if kind != Kind::Artifact || !view.sees_all() {
                let names = view.names();
                nodes.versions.retain(|v| names::fits(Some(kind), names.kind(v)) && view.has_version(v));
            }
            return nodes;
        }
        if kind == Kind::Agent {
            return Nodes::of_agents(Bits::of(self.world.actors()));
        }
        if kind == Kind::Event {
            nodes.events = Bits::of((0..view.count()).filter(|e| view.sees(*e)));
            nodes.single = true;
        } else {
            nodes.events = self.steps(|leader| self.world.is_step(kind, leader));
        }
        nodes
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

/// Whether a plan is a set by itself, rather than a condition on the nodes of another one.
fn is_set(plan: &Plan) -> bool {
    match plan {
        Plan::Kind(_) | Plan::Nodes(_) | Plan::At(..) | Plan::Between(_) => true,
        Plan::Rel(rel) => generates(rel),
        Plan::And(members) => members.iter().any(is_set),
        Plan::Or(members) => members.iter().all(is_set),
        Plan::Saved(saved) => is_set(&saved.plan),
        Plan::Not(_) | Plan::With(_) | Plan::Happened(_) | Plan::Pred(_) => false,
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

/// Whether a relation is computed as a set, rather than tested node by node.
fn generates(rel: &RelPlan) -> bool {
    match rel.relation {
        Relation::Trained | Relation::Evaluated => rel.operand.is_some(),
        Relation::Deployed | Relation::Audited | Relation::Created => false,
        _ => true,
    }
}
