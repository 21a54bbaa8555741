//! One end of paths: everything that leads to it or that it leads to, each in its least number of events.

use std::collections::BTreeMap;

use lineage_store::graph::{Position, Use, VersionId};

use super::bits::{Bits, Nodes};
use super::walk::{Edges, counts_about, inputs_for, outputs_for};
use super::world::World;

/// Which way edges are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From what was used to what was made.
    Down,
    /// From what was made to what was used.
    Up,
}

/// Both ends of paths, and how one may go between them.
#[derive(Clone, Copy)]
pub(super) struct Ends<'a> {
    /// Where paths begin.
    pub(super) from: &'a Nodes,
    /// Where they end.
    pub(super) to: &'a Nodes,
    /// What they never pass; ends may be among it.
    pub(super) avoiding: Option<&'a Nodes>,
    /// Which edges they take.
    pub(super) edges: Edges,
    /// Which steps may be the last; a version at the end is then reached by a step, never by a copy or link.
    pub(super) last: Option<&'a dyn Fn(Position) -> bool>,
}

impl<'a> Ends<'a> {
    /// Paths over every edge.
    pub(super) fn new(from: &'a Nodes, to: &'a Nodes, avoiding: Option<&'a Nodes>) -> Self {
        Self { from, to, avoiding, edges: Edges::ALL, last: None }
    }
}

/// Breadth first from one end of paths towards the other, each node once.
///
/// At most one copy or link is crossed between two events, so it matters how a version was come by.
pub(super) struct Sweep<'a> {
    world: &'a World,
    direction: Direction,
    ends: Ends<'a>,
    /// Where it begins: these are passed even if they are to be avoided.
    start: &'a Nodes,
    /// The other end: these are found even if they are to be avoided.
    goal: &'a Nodes,
    /// Versions of the start, and those at the end of a step: from them a copy or link may be crossed.
    pub(super) landed: Bits,
    /// Versions at the far end of a copy or link.
    pub(super) crossed: Bits,
    /// Versions whose edges are followed.
    pub(super) open: Bits,
    /// Steps that are passed, or are an end.
    pub(super) steps: Bits,
    /// The number of events between a landed version and the start.
    levels: Vec<u32>,
}

/// What one round of the search hands to the next.
#[derive(Default)]
struct Frontier {
    /// Versions whose edges are to be followed.
    fresh: Vec<VersionId>,
    /// Versions that were far ends before, from which a copy or link may be crossed only now.
    again: Vec<VersionId>,
}

impl<'a> Sweep<'a> {
    /// Everything in a direction from one of the ends.
    pub(super) fn new(world: &'a World, direction: Direction, ends: Ends<'a>) -> Self {
        let (start, goal) = match direction {
            Direction::Down => (ends.from, ends.to),
            Direction::Up => (ends.to, ends.from),
        };
        let levels = vec![u32::MAX; world.view.n_versions() as usize];
        let (landed, crossed, open, steps) =
            (start.versions.clone(), Bits::default(), Bits::default(), Bits::default());
        let mut sweep = Self { world, direction, ends, start, goal, landed, crossed, open, steps, levels };
        sweep.run();
        sweep
    }

    /// The number of events between a version, once no copy or link may be crossed from it, and the start.
    pub(super) fn level(&self, version: VersionId) -> Option<u32> {
        self.levels.get(version as usize).copied().filter(|level| *level != u32::MAX)
    }

    /// Whether a version is no place to pass.
    pub(super) fn is_avoided(&self, version: VersionId) -> bool {
        self.ends.avoiding.is_some_and(|a| a.versions.contains(version))
    }

    /// Whether a step is no place to pass.
    pub(super) fn is_avoided_step(&self, leader: Position) -> bool {
        self.ends.avoiding.is_some_and(|a| a.events.contains(leader))
    }

    fn run(&mut self) {
        let mut frontier = Frontier { fresh: self.start.versions.iter().collect(), again: Vec::new() };
        let mut level = 0;
        for version in &frontier.fresh {
            self.open.insert(*version);
            self.set_level(*version, level);
        }
        loop {
            if level > 0 || self.direction == Direction::Down || self.ends.last.is_none() {
                self.cross(&mut frontier);
            }
            level += 1;
            let mut next = Frontier::default();
            if level == 1 {
                for leader in self.start.events.iter() {
                    self.steps.insert(leader);
                    let ends = self.ends_of(leader);
                    self.land(&ends, level, &mut next);
                }
            }
            for version in frontier.fresh {
                if !self.world.budget.step() {
                    return;
                }
                for (leader, uses) in self.steps_at(version) {
                    if self.may_be(leader, level) && self.enter(leader) {
                        let ends = self.ends_for(leader, version, &uses);
                        self.land(&ends, level, &mut next);
                    }
                }
            }
            if next.fresh.is_empty() && next.again.is_empty() {
                return;
            }
            frontier = next;
        }
    }

    fn set_level(&mut self, version: VersionId, level: u32) {
        if let Some(old) = self.levels.get_mut(version as usize) {
            *old = level.min(*old);
        }
    }

    /// Adds the far ends of copies and links.
    fn cross(&mut self, frontier: &mut Frontier) {
        let copies = self.world.copies();
        if copies.is_empty() {
            return;
        }
        let twins = match self.direction {
            Direction::Down => &copies.replicas,
            Direction::Up => &copies.originals,
        };
        let near: Vec<VersionId> = frontier.fresh.iter().copied().chain(std::mem::take(&mut frontier.again)).collect();
        for far in near.iter().filter_map(|v| twins.get(v)).flatten() {
            let may_pass = !self.is_avoided(*far);
            if !self.landed.contains(*far) && (may_pass || self.goal.versions.contains(*far)) {
                self.crossed.insert(*far);
                if may_pass && self.open.insert(*far) {
                    frontier.fresh.push(*far);
                }
            }
        }
    }

    /// Takes note of the ends of a step.
    fn land(&mut self, versions: &[VersionId], level: u32, next: &mut Frontier) {
        for version in versions {
            let may_pass = !self.is_avoided(*version);
            let counts = may_pass || self.goal.versions.contains(*version);
            if !counts || !self.landed.insert(*version) {
                continue;
            }
            self.set_level(*version, level);
            if may_pass {
                let list = if self.open.insert(*version) { &mut next.fresh } else { &mut next.again };
                list.push(*version);
            }
        }
    }

    /// Whether a step may be at this distance from the start.
    fn may_be(&self, leader: Position, level: u32) -> bool {
        let is_last = level == 1 && self.direction == Direction::Up;
        self.ends.edges.passes(|| self.world.step_kind(leader))
            && self.ends.last.is_none_or(|may| !is_last || may(leader))
    }

    /// Takes note of a step; whether its edges are to be followed, now.
    fn enter(&mut self, leader: Position) -> bool {
        if self.is_avoided_step(leader) {
            if self.goal.events.contains(leader) {
                self.steps.insert(leader);
            }
            return false;
        }
        self.steps.insert(leader) || needs_every_visit(self.world, leader)
    }

    /// The steps that a version leads to, with how they use it, or that led to it.
    fn steps_at(&self, version: VersionId) -> BTreeMap<Position, Vec<Use>> {
        match self.direction {
            Direction::Down => steps_using(self.world, version, self.ends.edges),
            Direction::Up => self.world.makers(version).into_iter().map(|leader| (leader, Vec::new())).collect(),
        }
    }

    /// What a step made of a version, or made it from.
    fn ends_for(&self, leader: Position, version: VersionId, uses: &[Use]) -> Vec<VersionId> {
        match self.direction {
            Direction::Down => made_of(self.world, leader, version, uses, self.ends.edges),
            Direction::Up => inputs_for(self.world, leader, version, self.ends.edges),
        }
    }

    /// What a step made, or was made from.
    fn ends_of(&self, leader: Position) -> Vec<VersionId> {
        let view = &self.world.view;
        let events = self.world.events_of(leader).into_iter();
        match self.direction {
            Direction::Down => events.flat_map(|e| view.made(e)).map(|m| m.version).collect(),
            Direction::Up => {
                let uses = events.flat_map(|e| view.mentions(e).into_iter().map(move |m| (e, m)));
                uses.filter(|(e, m)| self.ends.edges.takes(m.usage) && counts_about(view, *e, m.usage))
                    .map(|(_, m)| m.version)
                    .collect()
            }
        }
    }
}

/// The steps that use a version, or are about it so that it influences what they make, each with how.
pub(super) fn steps_using(world: &World, version: VersionId, edges: Edges) -> BTreeMap<Position, Vec<Use>> {
    let view = &world.view;
    let mut steps: BTreeMap<Position, Vec<Use>> = BTreeMap::new();
    view.uses(version, |event, usage| {
        if edges.takes(usage) && counts_about(view, event, usage) {
            let uses = steps.entry(view.leader(event)).or_default();
            if !uses.contains(&usage) {
                uses.push(usage);
            }
        }
    });
    steps
}

/// What a step made of a version that it uses, or is about, in some ways.
pub(super) fn made_of(
    world: &World,
    leader: Position,
    version: VersionId,
    uses: &[Use],
    edges: Edges,
) -> Vec<VersionId> {
    let of = |usage: &Use| outputs_for(world, leader, version, *usage, edges);
    let mut made: Vec<VersionId> = uses.iter().flat_map(of).collect();
    made.sort_unstable();
    made.dedup();
    made
}

/// A step whose outputs do not all come from all inputs is looked at from each input.
pub(super) fn needs_every_visit(world: &World, leader: Position) -> bool {
    world.view.has_from() && world.events_of(leader).iter().any(|e| world.view.plain(*e).is_none())
}
