//! Paths between two sets: one shortest, or every node on any.

use arrow::record_batch::RecordBatch;
use lineage_store::graph::{Position, Use, VersionId};

use super::attribute::Node;
use super::bits::{Bits, Nodes};
use super::eval::Evaluator;
use super::plan::{BetweenPlan, Plan};
use super::rows::{Shape, default_key, node_columns};
use super::sweep::{Direction, Ends, Sweep, made_of, needs_every_visit, steps_using};
use super::tails::Tails;
use super::walk::{Edges, Walk, inputs_for};
use super::world::World;
use crate::output::{Columns, Heading, OutputError};

/// A node of a path, and how one comes to it from the node before; the first has no such edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) node: Node,
    pub(super) edge: Option<Edge>,
}

/// How one node leads to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// A step uses the version, or is about it.
    Used(Vec<Use>),
    /// The step made the version.
    Made,
    /// The version has the same bytes as the one before.
    Copy,
    /// Someone said that the version is the same as the one before.
    Same,
}

impl Evaluator<'_> {
    /// What lies between the ends of paths, the ends included.
    pub(super) fn between(&self, plan: &BetweenPlan) -> Nodes {
        let ends = (plan.from.as_ref().map(|p| self.in_steps(p)), plan.to.as_ref().map(|p| self.in_steps(p)));
        let avoiding = plan.avoiding.as_ref().map(|a| self.in_steps(a));
        let (from, to) = match ends {
            (Some(from), Some(to)) => {
                let (nodes, crossed) = between(self.world, Ends::new(&from, &to, avoiding.as_ref()));
                self.crossed.set(self.crossed.get() || crossed);
                return nodes;
            }
            ends => ends,
        };
        let steps = self.world.view.steps();
        let walk = || Walk::new(self.world, &steps, Edges::ALL, None);
        let reach = |start: &Nodes, up: bool| if up { walk().upstream(start) } else { walk().downstream(start) };
        let mut nodes = Nodes::default();
        for (start, up) in [(from, false), (to, true)] {
            if let Some(start) = start {
                let reached = reach(&start, up);
                self.crossed.set(self.crossed.get() || reached.crossed);
                nodes.unite(&start, self.world);
                nodes.unite(&reached.nodes, self.world);
            }
        }
        nodes
    }

    /// One shortest path; empty if there is none.
    pub(super) fn path(&self, plan: &BetweenPlan) -> Vec<Hop> {
        let end = |plan: &Option<Plan>| plan.as_ref().map(|p| self.in_steps(p)).unwrap_or_default();
        let (from, to) = (end(&plan.from), end(&plan.to));
        let avoiding = plan.avoiding.as_ref().map(|a| self.in_steps(a));
        let path = shortest(self.world, Ends::new(&from, &to, avoiding.as_ref()));
        let crosses = |hop: &Hop| matches!(hop.edge, Some(Edge::Copy | Edge::Same));
        self.crossed.set(self.crossed.get() || path.iter().any(crosses));
        path
    }
}

impl Edge {
    /// The word for it.
    pub(super) fn word(&self) -> String {
        match self {
            Self::Used(uses) => {
                let word = |usage: &Use| match usage {
                    Use::Input(role) => role.as_str(),
                    Use::About => "about",
                };
                uses.iter().map(word).collect::<Vec<_>>().join(", ")
            }
            Self::Made => "made".to_owned(),
            Self::Copy => "copy-of".to_owned(),
            Self::Same => "same-as".to_owned(),
        }
    }

    /// How one version stands for another without a step between.
    pub(super) fn across(world: &World, one: VersionId, other: VersionId) -> Self {
        let digests = world.view.digest_keys_of(one);
        let is_same = world.view.digest_keys_of(other).iter().any(|d| digests.contains(d));
        if is_same { Self::Copy } else { Self::Same }
    }
}

/// Every node on any path, the ends included; and whether a copy or link was crossed.
pub(super) fn between(world: &World, ends: Ends<'_>) -> (Nodes, bool) {
    let down = Sweep::new(world, Direction::Down, ends);
    let up = Sweep::new(world, Direction::Up, ends);
    let mut versions = both(&down.landed, &up.landed);
    // Between two events one copy or link is crossed at most, so a version is its far end on one side only.
    let mut far = both(&down.landed, &up.crossed);
    far |= &both(&down.crossed, &up.landed);
    versions |= &far;
    let mut steps = both(&down.steps, &up.steps);
    steps.retain(|leader| !needs_every_visit(world, leader) || is_passed(world, leader, ends, &down.open, &up.open));
    (Nodes { versions, events: steps, ..Nodes::default() }, !far.is_empty())
}

fn both(a: &Bits, b: &Bits) -> Bits {
    let mut both = a.clone();
    both &= b;
    both
}

/// Whether a step whose outputs do not all come from all inputs leads from one side to the other.
fn is_passed(world: &World, leader: Position, ends: Ends<'_>, down: &Bits, up: &Bits) -> bool {
    if ends.from.events.contains(leader) || ends.to.events.contains(leader) {
        return true;
    }
    let made = world.events_of(leader).into_iter().flat_map(|e| world.view.made(e)).map(|m| m.version);
    made.filter(|v| up.contains(*v)).any(|v| {
        let inputs = inputs_for(world, leader, v, ends.edges);
        inputs.iter().any(|input| down.contains(*input))
    })
}

/// The path of the fewest events; of several the one whose nodes come first in the default order. Empty: there is none.
pub(super) fn shortest(world: &World, ends: Ends<'_>) -> Vec<Hop> {
    let up = Sweep::new(world, Direction::Up, ends);
    Shortest { world, ends, up }.find()
}

/// Goes along the levels of a sweep from the far end.
struct Shortest<'a> {
    world: &'a World,
    ends: Ends<'a>,
    up: Sweep<'a>,
}

impl Shortest<'_> {
    fn find(&self) -> Vec<Hop> {
        let Some((mut left, first)) = self.first() else { return Vec::new() };
        let mut path = vec![Hop { node: first, edge: None }];
        let mut may_cross = true;
        loop {
            let Some(here) = path.last().map(|hop| hop.node) else { return path };
            let next = match here {
                _ if self.ends_at(here, left) => return path,
                Node::Version(version) => self.after_version(version, left, may_cross),
                Node::Step(leader) | Node::Event(leader) => self.after_step(leader, &path, left),
                Node::Agent(_) => None,
            };
            // Levels fall with each step, so the way always goes on until the end.
            let Some(hop) = next else { return Vec::new() };
            may_cross = matches!(hop.edge, Some(Edge::Made));
            if matches!(hop.node, Node::Step(_)) {
                left -= 1;
            }
            path.push(hop);
        }
    }

    fn ends_at(&self, node: Node, left: u32) -> bool {
        left == 0
            && match node {
                Node::Version(v) => self.ends.to.versions.contains(v),
                Node::Step(e) | Node::Event(e) => self.ends.to.events.contains(e),
                Node::Agent(_) => false,
            }
    }

    /// How many events the shortest path has, and the node where it begins.
    fn first(&self) -> Option<(u32, Node)> {
        let versions = self.ends.from.versions.iter();
        let versions = versions.filter_map(|v| self.events_from(v).map(|n| (n, Node::Version(v))));
        let steps = self.ends.from.events.iter();
        let steps = steps.filter_map(|e| self.events_from_step(e).map(|n| (n, Node::Step(e))));
        let best = versions.chain(steps).min_by_key(|(n, node)| (*n, default_key(self.world, *node)))?;
        // The event where it begins is on the path already.
        let begun = u32::from(matches!(best.1, Node::Step(_)));
        Some((best.0 - begun, best.1))
    }

    /// The number of events from a version to the end, a copy or link perhaps being crossed first.
    fn events_from(&self, version: VersionId) -> Option<u32> {
        let far = self.copies_of(version).iter().filter(|far| self.may_cross_to(**far));
        far.filter_map(|far| self.up.level(*far)).chain(self.up.level(version)).min()
    }

    /// Whether a path may pass a version, or end at it.
    fn may_pass(&self, version: VersionId) -> bool {
        self.ends.to.versions.contains(version) || !self.up.is_avoided(version)
    }

    /// Whether a path may go to the far end of a copy or link.
    fn may_cross_to(&self, far: VersionId) -> bool {
        let is_end = self.ends.to.versions.contains(far);
        if is_end { self.ends.last.is_none() } else { !self.up.is_avoided(far) }
    }

    fn copies_of(&self, version: VersionId) -> &[VersionId] {
        self.world.copies().replicas.get(&version).map_or(&[], Vec::as_slice)
    }

    fn events_from_step(&self, leader: Position) -> Option<u32> {
        if self.ends.to.events.contains(leader) {
            return Some(1);
        }
        self.made(leader).filter_map(|v| self.events_from_next(v)).min().map(|n| n + 1)
    }

    /// As [`Self::events_from`], of a version that is not the first.
    fn events_from_next(&self, version: VersionId) -> Option<u32> {
        self.events_from(version).filter(|_| self.may_pass(version))
    }

    /// The first node in order, of those that lead on in the events that are left.
    fn after_version(&self, version: VersionId, left: u32, may_cross: bool) -> Option<Hop> {
        let far = self.copies_of(version).iter().copied().filter(|_| may_cross);
        let far = far.filter(|far| self.up.level(*far) == Some(left) && self.may_cross_to(*far));
        if let Some(far) = far.min_by_key(|far| default_key(self.world, Node::Version(*far))) {
            return Some(Hop { node: Node::Version(far), edge: Some(Edge::across(self.world, version, far)) });
        }
        let after = left.checked_sub(1)?;
        let leads_on = |leader: Position, uses: &[Use]| {
            if self.ends.to.events.contains(leader) && after == 0 {
                return true;
            }
            let may_be =
                self.ends.edges.passes(|| self.world.step_kind(leader)) && (after > 0 || self.may_be_last(leader));
            let made = || made_of(self.world, leader, version, uses, self.ends.edges).into_iter();
            may_be && !self.up.is_avoided_step(leader) && made().any(|v| self.events_from_next(v) == Some(after))
        };
        let mut steps = steps_using(self.world, version, self.ends.edges).into_iter();
        steps.find(|(leader, uses)| leads_on(*leader, uses)).map(|(leader, mut uses)| {
            uses.sort_by_key(|usage| if let Use::Input(role) = usage { *role as u8 } else { u8::MAX });
            Hop { node: Node::Step(leader), edge: Some(Edge::Used(uses)) }
        })
    }

    fn may_be_last(&self, leader: Position) -> bool {
        self.ends.last.is_none_or(|may| may(leader))
    }

    fn after_step(&self, leader: Position, path: &[Hop], left: u32) -> Option<Hop> {
        let made = match path {
            [.., Hop { node: Node::Version(version), .. }, Hop { edge: Some(Edge::Used(uses)), .. }] => {
                made_of(self.world, leader, *version, uses, self.ends.edges)
            }
            _ => self.made(leader).collect(),
        };
        let next = made.into_iter().filter(|v| self.events_from_next(*v) == Some(left));
        let next = next.min_by_key(|v| default_key(self.world, Node::Version(*v)))?;
        Some(Hop { node: Node::Version(next), edge: Some(Edge::Made) })
    }

    fn made(&self, leader: Position) -> impl Iterator<Item = VersionId> {
        let events = self.world.events_of(leader).into_iter();
        events.flat_map(|e| self.world.view.made(e)).map(|made| made.version)
    }
}

/// A path as rows, one for each node, in its order.
pub(super) fn rows(world: &World, path: &[Hop], tails: &Tails) -> Result<RecordBatch, OutputError> {
    let mut columns = Columns::new();
    let place = Heading::new("place").about("place on the path, from 0");
    columns.unsigned(&place, (0..path.len()).map(|at| Some(at as u64)));
    let edge = Heading::new("edge").about("how the node before leads here: a role, about, made, copy-of or same-as");
    columns.text(&edge, path.iter().map(|hop| hop.edge.as_ref().map(Edge::word)));
    let list: Vec<Node> = path.iter().map(|hop| hop.node).collect();
    node_columns(world, &list, Shape { versions: true, events: true }, &tails.show, &mut columns);
    columns.finish()
}
