//! Walking the graph: breadth first, a step at a time, each node once.

use std::collections::HashSet;

use lineage_store::event::{Kind, Role};
use lineage_store::graph::{Position, Use, VersionId, View};

use super::bits::{Bits, Nodes};
use super::world::World;

/// Which edges are followed.
#[derive(Clone, Copy)]
pub(crate) struct Edges {
    /// Input roles, a bit each.
    roles: u8,
    /// Whether `about` of evaluations, audits and deployments counts.
    about: bool,
    /// Which kinds of steps are passed through, a bit each.
    kinds: u32,
}

impl Edges {
    /// Every role and `about`, through every step.
    pub(crate) const ALL: Self = Self { roles: u8::MAX, about: true, kinds: u32::MAX };
    /// Data inputs of every step.
    pub(crate) const DATA: Self = Self { roles: 1 << Role::Data as u8, about: false, kinds: u32::MAX };
    /// Data and base inputs of transforms and trainings.
    pub(crate) const TRAINING: Self = Self {
        roles: 1 << Role::Data as u8 | 1 << Role::Base as u8,
        about: false,
        kinds: 1 << Kind::Transform as u32 | 1 << Kind::Training as u32,
    };
    /// Base inputs of trainings.
    pub(crate) const BASE: Self =
        Self { roles: 1 << Role::Base as u8, about: false, kinds: 1 << Kind::Training as u32 };

    /// Whether a use counts, for a step of any kind.
    fn takes(self, usage: Use) -> bool {
        match usage {
            Use::Input(role) => self.roles >> role as u8 & 1 == 1,
            Use::About => self.about,
        }
    }

    fn passes(self, kind: Kind) -> bool {
        self.kinds == u32::MAX || self.kinds >> kind as u32 & 1 == 1
    }
}

/// What a walk found.
#[derive(Default)]
pub(crate) struct Reach {
    /// The nodes reached; the start set is not among them.
    pub(crate) nodes: Nodes,
    /// Whether a copy or a link was crossed.
    pub(crate) crossed: bool,
}

/// A walk in one direction.
pub(crate) struct Walk<'a> {
    world: &'a World,
    edges: Edges,
    depth: u32,
    avoiding: Option<&'a Nodes>,
    seen: Nodes,
    found: Reach,
    next: Vec<VersionId>,
    /// Calls for each training step passed and each version it generated.
    on_step: Option<&'a mut dyn FnMut(Position, VersionId)>,
}

impl<'a> Walk<'a> {
    /// A walk along some edges, of at most `depth` steps.
    pub(crate) fn new(world: &'a World, edges: Edges, depth: Option<u32>) -> Self {
        Self {
            world,
            edges,
            depth: depth.unwrap_or(u32::MAX),
            avoiding: None,
            seen: Nodes::default(),
            found: Reach::default(),
            next: Vec::new(),
            on_step: None,
        }
    }

    /// Never enters these nodes.
    pub(crate) fn avoiding(mut self, nodes: Option<&'a Nodes>) -> Self {
        self.avoiding = nodes;
        self
    }

    /// Calls for each step passed and each version it generated.
    pub(crate) fn on_step(mut self, f: &'a mut dyn FnMut(Position, VersionId)) -> Self {
        self.on_step = Some(f);
        self
    }

    /// Everything that a set of nodes led to.
    pub(crate) fn downstream(self, start: &Nodes) -> Reach {
        self.run(start, Self::leave, Self::outputs_of_start, |c, v| c.copies.get(&v))
    }

    /// Everything that led to a set of nodes.
    pub(crate) fn upstream(self, start: &Nodes) -> Reach {
        self.run(start, Self::enter, Self::inputs_of_start, |c, v| c.originals.get(&v))
    }

    fn run(
        mut self,
        start: &Nodes,
        expand: fn(&mut Self, VersionId),
        begin: fn(&mut Self, Position),
        twins: fn(&super::world::Copies, VersionId) -> Option<&Vec<VersionId>>,
    ) -> Reach {
        self.seen = start.clone();
        let mut frontier: Vec<VersionId> = start.versions.iter().collect();
        self.cross(&mut frontier, twins);
        for event in start.events.iter() {
            begin(&mut self, event);
        }
        let mut step = 0;
        while step < self.depth && !(frontier.is_empty() && self.next.is_empty()) {
            for version in std::mem::take(&mut frontier) {
                expand(&mut self, version);
            }
            frontier = std::mem::take(&mut self.next);
            self.cross(&mut frontier, twins);
            step += 1;
        }
        self.found
    }

    /// Adds the far ends of copies and links, at the step of the near ones; at most one between two events.
    fn cross(
        &mut self,
        frontier: &mut Vec<VersionId>,
        twins: fn(&super::world::Copies, VersionId) -> Option<&Vec<VersionId>>,
    ) {
        let copies = self.world.copies();
        if copies.is_empty() {
            return;
        }
        for near in frontier.clone() {
            for far in twins(copies, near).into_iter().flatten() {
                if self.may_enter_version(*far) && self.seen.versions.insert(*far) {
                    self.found.crossed = true;
                    self.found.nodes.versions.insert(*far);
                    frontier.push(*far);
                }
            }
        }
    }

    fn may_enter_version(&self, version: VersionId) -> bool {
        self.avoiding.is_none_or(|a| !a.versions.contains(version))
    }

    fn may_pass(&self, leader: Position) -> bool {
        self.avoiding.is_none_or(|a| !a.events.contains(leader)) && self.edges.passes(self.world.step_kind(leader))
    }

    fn reach_version(&mut self, version: VersionId) {
        if self.may_enter_version(version) && self.seen.versions.insert(version) {
            self.found.nodes.versions.insert(version);
            self.next.push(version);
        }
    }

    /// Takes note of a step; whether it was not passed before.
    fn reach_step(&mut self, leader: Position) -> bool {
        let new = self.seen.events.insert(leader);
        if new {
            self.found.nodes.events.insert(leader);
        }
        new
    }

    /// From a version to what its uses generated.
    fn leave(&mut self, version: VersionId) {
        let world = self.world;
        let view = &world.view;
        let edges = self.edges;
        view.uses(version, |event, usage| {
            if !edges.takes(usage) || (usage == Use::About && !view.kind(event).carries_about()) {
                return;
            }
            let leader = view.leader(event);
            if self.seen.events.contains(leader) && !self.needs_every_visit(leader) {
                return;
            }
            if !self.may_pass(leader) {
                return;
            }
            self.reach_step(leader);
            self.outputs(leader, version, usage);
        });
    }

    /// A step whose outputs do not all come from all inputs is looked at from each input.
    fn needs_every_visit(&self, leader: Position) -> bool {
        let view = &self.world.view;
        view.has_from() && self.world.events_of(leader).iter().any(|e| view.plain(*e).is_none())
    }

    fn outputs(&mut self, leader: Position, version: VersionId, usage: Use) {
        let view = &self.world.view;
        if view.is_alone(leader)
            && let Some((targets, bits)) = view.plain(leader)
        {
            for (target, bits) in targets.iter().zip(bits) {
                if View::is_output(*bits) {
                    self.count_step(leader, *target);
                    self.reach_version(*target);
                }
            }
            return;
        }
        for target in outputs_for(self.world, leader, version, usage) {
            self.count_step(leader, target);
            self.reach_version(target);
        }
    }

    fn count_step(&mut self, leader: Position, version: VersionId) {
        if let Some(f) = &mut self.on_step {
            f(leader, version);
        }
    }

    /// From a version to what it was made from.
    fn enter(&mut self, version: VersionId) {
        let view = &self.world.view;
        let mut leaders = HashSet::new();
        view.makers(version, |event| {
            leaders.insert(view.leader(event));
        });
        let mut leaders: Vec<_> = leaders.into_iter().collect();
        leaders.sort_unstable();
        for leader in leaders {
            if self.seen.events.contains(leader) && !self.needs_every_visit(leader) {
                continue;
            }
            if self.may_pass(leader) {
                self.reach_step(leader);
                for source in inputs_for(self.world, leader, version, self.edges) {
                    self.reach_version(source);
                }
            }
        }
    }

    fn outputs_of_start(&mut self, leader: Position) {
        for event in self.world.events_of(leader) {
            for made in self.world.view.made(event) {
                self.reach_version(made.version);
            }
        }
    }

    fn inputs_of_start(&mut self, leader: Position) {
        for event in self.world.events_of(leader) {
            for mention in self.world.view.mentions(event) {
                if self.edges.takes(mention.usage) && counts_about(&self.world.view, event, mention.usage) {
                    self.reach_version(mention.version);
                }
            }
        }
    }
}

fn counts_about(view: &View, event: Position, usage: Use) -> bool {
    usage != Use::About || view.kind(event).carries_about()
}

/// The outputs of a step that a version led to.
///
/// `from` lists speak of the inputs of their own event: an input named only by other events of the attempt leads to
/// every output.
fn outputs_for(world: &World, leader: Position, version: VersionId, usage: Use) -> Vec<VersionId> {
    let view = &world.view;
    let events = world.events_of(leader);
    let mut outputs: Vec<VersionId> = Vec::new();
    let mut restricted = Vec::new();
    for event in &events {
        for made in view.made(*event) {
            match made.from {
                Some(from) if usage != Use::About => restricted.push((*event, made.version, from)),
                _ => outputs.push(made.version),
            }
        }
    }
    if restricted.is_empty() {
        return outputs;
    }
    let uses: Vec<(Position, u32)> = events
        .iter()
        .flat_map(|e| view.mentions(*e).into_iter().map(|m| (*e, m)))
        .filter(|(_, m)| m.version == version && m.usage != Use::About)
        .map(|(e, m)| (e, m.index))
        .collect();
    for (_, output, _) in &restricted {
        let leads = uses.iter().any(|(event, index)| {
            let own = restricted.iter().find(|(e, o, _)| e == event && o == output);
            own.is_none_or(|(_, _, from)| from.contains(index))
        });
        if leads {
            outputs.push(*output);
        }
    }
    outputs
}

/// The inputs of a step that led to a version.
fn inputs_for(world: &World, leader: Position, version: VersionId, edges: Edges) -> Vec<VersionId> {
    let view = &world.view;
    let mut inputs = Vec::new();
    for event in world.events_of(leader) {
        let own = view.made(event).into_iter().find(|m| m.version == version);
        let from = own.and_then(|m| m.from);
        for mention in view.mentions(event) {
            let leads = mention.usage == Use::About || from.as_ref().is_none_or(|f| f.contains(&mention.index));
            if leads && edges.takes(mention.usage) && counts_about(view, event, mention.usage) {
                inputs.push(mention.version);
            }
        }
    }
    inputs
}

/// The versions that a set of steps used as inputs.
pub(crate) fn inputs_of(world: &World, steps: &Bits) -> Bits {
    let mut inputs = Bits::default();
    for leader in steps.iter() {
        for event in world.events_of(leader) {
            for mention in world.view.mentions(event) {
                if mention.usage != Use::About {
                    inputs.insert(mention.version);
                }
            }
        }
    }
    inputs
}

/// The versions that a set of steps generated.
pub(crate) fn outputs_of(world: &World, steps: &Bits) -> Bits {
    let mut outputs = Bits::default();
    for leader in steps.iter() {
        for event in world.events_of(leader) {
            world.view.made(event).into_iter().for_each(|m| {
                outputs.insert(m.version);
            });
        }
    }
    outputs
}
