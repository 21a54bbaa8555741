//! What changed in a set: what entered and left it between two times, and by which event; or between two sets.

use std::cell::OnceCell;

use arrow::record_batch::RecordBatch;
use lineage_store::graph::{Fact, Position, Subject};
use lineage_store::time::Time;

use super::attribute::Node;
use super::bits::Nodes;
use super::plan::Plan;
use super::rows::{Shape, node_columns, ordered};
use super::world::World;
use crate::output::{Columns, Heading, OutputError};
use crate::syntax::ast::Relation;

/// Up to so many instants at which something happened are all looked at, so that the first change is found for certain.
const INSTANTS_MAX: usize = 256;

/// What entered and what left.
pub(super) struct Change {
    node: Node,
    added: bool,
    /// When it changed first, if that was looked for.
    at: Option<Time>,
    /// The event by which it did; none if it was time that passed.
    because: Option<Position>,
}

/// What only one of two sets has, entered first, each in the default order.
pub(super) fn between(world: &World, before: &Nodes, after: &Nodes) -> Vec<Change> {
    let only = |one: &Nodes, other: &Nodes| {
        let mut only = one.clone();
        only.subtract(other, world);
        ordered(world, &only, &[], None)
    };
    let change = |added: bool| move |node: Node| Change { node, added, at: None, because: None };
    let added = only(after, before).into_iter().map(change(true));
    added.chain(only(before, after).into_iter().map(change(false))).collect()
}

/// Evaluates a set as of an instant; `None` where it cannot be.
pub(super) type AsOf<'a> = dyn Fn(Time) -> Option<Nodes> + 'a;

/// Looks for the first event by which each change came about; whether every instant was looked at.
pub(super) fn explain(
    changes: &mut [Change],
    world: &World,
    plan: &Plan,
    (from, to): (Time, Time),
    as_of: &AsOf<'_>,
) -> bool {
    let instants = instants(world, plan, from, to);
    let search = Search { world, from, as_of, instants: &instants, facts: OnceCell::new() };
    let exact = instants.len() <= INSTANTS_MAX;
    if exact {
        let mut left: Vec<&mut Change> = changes.iter_mut().collect();
        for (at, instant) in instants.iter().enumerate() {
            if left.is_empty() {
                break;
            }
            let Some(now) = as_of(*instant) else { continue };
            let (turned, rest) = left.into_iter().partition(|change| has(&now, change.node, world) == change.added);
            left = rest;
            search.settle(turned, at);
        }
        // What no event changed by the end was changed by the time that passed.
        return true;
    }
    search.halve(changes.iter_mut().collect(), 0, instants.len());
    false
}

/// The instants after `from`, up to `to`, at which visible events happened that may change a set.
fn instants(world: &World, plan: &Plan, from: Time, to: Time) -> Vec<Time> {
    let view = &world.view;
    let within = |event: Position| Some(view.time(event)).filter(|t| from < *t && *t <= to);
    let mut instants: Vec<Time> = if follows_slots(plan) {
        world.slot_changes().iter().filter_map(|change| within(change.event)).collect()
    } else {
        (0..view.count()).filter(|e| view.sees(*e)).filter_map(within).collect()
    };
    instants.sort_unstable();
    instants.dedup();
    instants
}

/// Whether only deployments and retirements change a set: what is live exists, so its kind and name change nothing.
fn follows_slots(plan: &Plan) -> bool {
    match plan {
        Plan::Rel(rel) => rel.relation == Relation::Live,
        Plan::And(members) => {
            let is_fixed = |member: &Plan| matches!(member, Plan::Kind(_) | Plan::Nodes(_));
            let is_not = |member: &Plan| matches!(member, Plan::Not(inner) if follows_slots(inner));
            members.iter().any(follows_slots) && members.iter().all(|m| is_fixed(m) || is_not(m) || follows_slots(m))
        }
        Plan::Or(members) => members.iter().all(follows_slots),
        Plan::Saved(saved) => follows_slots(&saved.plan),
        _ => false,
    }
}

fn has(nodes: &Nodes, node: Node, world: &World) -> bool {
    match node {
        Node::Version(v) => nodes.versions.contains(v),
        Node::Step(e) => nodes.steps(world).contains(e),
        Node::Event(e) => nodes.events.contains(e),
        Node::Agent(a) => nodes.agents.contains(a),
    }
}

/// Looks for instants at which changes came about.
struct Search<'a> {
    world: &'a World,
    from: Time,
    as_of: &'a AsOf<'a>,
    instants: &'a [Time],
    /// Every visible fact, once it is asked for.
    facts: OnceCell<Vec<Fact>>,
}

impl Search<'_> {
    /// Settles changes that came about after `low` instants and by the time of `high` of them.
    fn halve(&self, changes: Vec<&mut Change>, low: usize, high: usize) {
        if changes.is_empty() || low >= high {
            return;
        }
        if high - low == 1 {
            return self.settle(changes, low);
        }
        let middle = usize::midpoint(low, high);
        let Some(then) = (self.as_of)(self.instants[middle - 1]) else { return self.halve(changes, middle, high) };
        let (earlier, later) = changes.into_iter().partition(|c| has(&then, c.node, self.world) == c.added);
        self.halve(earlier, low, middle);
        self.halve(later, middle, high);
    }

    /// Settles changes that came about between the instant before and this one.
    fn settle(&self, changes: Vec<&mut Change>, at: usize) {
        if changes.is_empty() {
            return;
        }
        let instant = self.instants[at];
        let just_before = Time(instant.0.saturating_sub(1)).max(self.from);
        let before = (self.as_of)(just_before);
        let view = &self.world.view;
        let first = (0..view.count()).find(|e| view.sees(*e) && view.time(*e) == instant);
        for change in changes {
            // What a budget cut off stays without its event.
            if !self.world.budget.step() {
                return;
            }
            let had_changed = before.as_ref().is_some_and(|nodes| has(nodes, change.node, self.world) == change.added);
            if !had_changed {
                change.at = Some(instant);
                change.because = self.event_at(instant, change.node).or(first);
            }
        }
    }

    /// The first event of an instant that speaks of a node.
    fn event_at(&self, instant: Time, node: Node) -> Option<Position> {
        let view = &self.world.view;
        self.touching(node).into_iter().filter(|e| view.sees(*e) && view.time(*e) == instant).min()
    }

    /// The events that use, make or describe a node.
    fn touching(&self, node: Node) -> Vec<Position> {
        let view = &self.world.view;
        let mut events = Vec::new();
        match node {
            Node::Agent(agent) => return (0..view.count()).filter(|e| view.actor(*e) == agent).collect(),
            Node::Step(e) | Node::Event(e) => return self.world.events_of(view.leader(e)).into_iter().collect(),
            Node::Version(version) => {
                view.makers(version, |event| events.push(event));
                view.uses(version, |event, _| events.push(event));
                for fact in self.facts.get_or_init(|| view.facts()) {
                    let concerns = match fact.subject {
                        Subject::Version(v) => v == version,
                        Subject::Entity(e) => e == view.entity(version),
                        Subject::Event(_) => false,
                    };
                    if concerns {
                        events.push(fact.event);
                    }
                }
            }
        }
        events
    }
}

/// One row for each change; `explained`: with when and by which event.
pub(super) fn rows(
    world: &World,
    changes: &[Change],
    shape: Shape,
    explained: bool,
) -> Result<RecordBatch, OutputError> {
    let mut columns = Columns::new();
    let word = |change: &Change| Some(if change.added { "added" } else { "removed" });
    columns.text(&Heading::new("change").about("added or removed"), changes.iter().map(word));
    let list: Vec<Node> = changes.iter().map(|change| change.node).collect();
    node_columns(world, &list, shape, &[], &mut columns);
    if explained {
        let changed = Heading::new("changed").about("when it changed first; missing if no event changed it");
        columns.time(&changed, changes.iter().map(|change| change.at));
        let because = Heading::new("because").about("the event by which it changed first; missing if it was time");
        columns.text(&because, changes.iter().map(|change| change.because.map(|event| format!("event '#{event}'"))));
    }
    columns.finish()
}
