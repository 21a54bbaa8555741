//! Walking the graph: breadth first, a step at a time, each node once.

use std::collections::BTreeSet;

use lineage_store::event::{Kind, Role};
use lineage_store::graph::{Direction, Made, Makes, Position, Steps, Use, VersionId, View};

use super::bits::{Bits, Nodes};
use super::closure;
use super::world::World;

/// Which edges are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
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
    pub(super) fn takes(self, usage: Use) -> bool {
        match usage {
            Use::Input(role) => self.roles >> role as u8 & 1 == 1,
            Use::About => self.about,
        }
    }

    /// Whether a step of a kind is passed through.
    pub(super) fn passes(self, kind: impl FnOnce() -> Kind) -> bool {
        self.kinds == u32::MAX || self.kinds >> kind() as u32 & 1 == 1
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

/// What is called for each step passed, its kind, and each version it generated.
pub(crate) type OnStep<'a> = dyn FnMut(Position, Kind, VersionId) + 'a;

/// A walk in one direction.
pub(crate) struct Walk<'a> {
    world: &'a World,
    /// The columns of the view that most steps are taken from.
    steps: &'a Steps<'a>,
    edges: Edges,
    depth: u32,
    avoiding: Option<&'a Nodes>,
    /// Whether members of the start set are never found.
    strict: bool,
    /// Whether steps are not wanted among what is found.
    versions_only: bool,
    /// Whether the far ends of copies and links of the start set are not found for that alone.
    by_steps: bool,
    start: Nodes,
    seen: Nodes,
    /// What was seen as the far end of a copy or link only, so that no other is crossed from there.
    far: Bits,
    /// What was seen as a far end before, and now is the end of a step.
    again: Vec<VersionId>,
    /// Whether more than what was seen must be kept to know which versions are found.
    keeps_found: bool,
    found: Reach,
    next: Vec<VersionId>,
    /// Calls for each step passed, its kind, and each version it generated.
    on_step: Option<&'a mut OnStep<'a>>,
}

impl<'a> Walk<'a> {
    /// A walk along some edges, of at most `depth` steps.
    pub(crate) fn new(world: &'a World, steps: &'a Steps<'a>, edges: Edges, depth: Option<u32>) -> Self {
        Self {
            world,
            steps,
            edges,
            depth: depth.unwrap_or(u32::MAX),
            avoiding: None,
            strict: true,
            versions_only: false,
            by_steps: false,
            start: Nodes::default(),
            seen: Nodes::default(),
            far: Bits::default(),
            again: Vec::new(),
            keeps_found: true,
            found: Reach::default(),
            next: Vec::new(),
            on_step: None,
        }
    }

    /// Never passes these nodes; they may be ends.
    pub(crate) fn avoiding(mut self, nodes: Option<&'a Nodes>) -> Self {
        self.avoiding = nodes;
        self
    }

    /// Finds members of the start set, too, where an edge leads to them.
    pub(crate) fn back_to_start(mut self) -> Self {
        self.strict = false;
        self
    }

    /// Finds versions only; that may be cheaper.
    pub(crate) fn versions_only(mut self, versions_only: bool) -> Self {
        self.versions_only = versions_only;
        self
    }

    /// Finds nothing without a step.
    pub(crate) fn by_steps_only(mut self) -> Self {
        self.by_steps = true;
        self
    }

    /// Calls for each step passed, its kind, and each version it generated.
    pub(crate) fn on_step(mut self, f: &'a mut OnStep<'a>) -> Self {
        self.on_step = Some(f);
        self
    }

    /// Everything that a set of versions and steps led to.
    pub(crate) fn downstream(self, start: &Nodes) -> Reach {
        self.close(start, Direction::Downstream, |walk| {
            walk.run(start, Self::leave, Self::outputs_of_start, |c, v| c.replicas.get(&v))
        })
    }

    /// Everything that led to a set of versions and steps.
    pub(crate) fn upstream(self, start: &Nodes) -> Reach {
        self.close(start, Direction::Upstream, |walk| {
            walk.run(start, Self::enter, Self::inputs_of_start, |c, v| c.originals.get(&v))
        })
    }

    /// Takes the edges that are laid out from version to version, where they tell all that is wanted; else walks.
    fn close(self, start: &Nodes, direction: Direction, walk: impl FnOnce(Self) -> Reach) -> Reach {
        let all = self.versions_only && self.strict && !self.by_steps && self.edges == Edges::ALL;
        if !all || self.avoiding.is_some() || self.on_step.is_some() || !start.events.is_empty() {
            return walk(self);
        }
        let (world, depth) = (self.world, self.depth);
        closure::closure(world, self.steps, &start.versions, direction, depth).unwrap_or_else(|| {
            let reach = walk(self);
            closure::walked(world, direction, &reach.nodes);
            reach
        })
    }

    fn run(
        mut self,
        start: &Nodes,
        expand: fn(&mut Self, VersionId),
        begin: fn(&mut Self, Position),
        twins: fn(&super::world::Copies, VersionId) -> Option<&Vec<VersionId>>,
    ) -> Reach {
        self.start = start.clone();
        self.seen = start.clone();
        self.keeps_found = !self.strict || !self.world.copies().is_empty();
        let mut frontier: Vec<VersionId> = start.versions.iter().collect();
        self.cross(&mut frontier, twins, self.by_steps);
        if self.by_steps {
            // Where a step leads back to the start, copies of that are found, too.
            self.far |= &start.versions;
        }
        for leader in start.events.iter() {
            begin(&mut self, leader);
        }
        let mut step = 0;
        'steps: while step < self.depth && !(frontier.is_empty() && self.next.is_empty()) {
            for version in std::mem::take(&mut frontier) {
                if !self.world.budget.step() {
                    break 'steps;
                }
                expand(&mut self, version);
            }
            frontier = std::mem::take(&mut self.next);
            self.cross(&mut frontier, twins, false);
            step += 1;
        }
        if self.strict {
            self.seen.events.subtract(&start.events);
            self.found.nodes.events = self.seen.events;
        }
        if !self.keeps_found {
            self.seen.versions.subtract(&start.versions);
            self.found.nodes.versions = self.seen.versions;
        }
        self.found
    }

    /// Adds the far ends of copies and links, at the step of the near ones; at most one between two events.
    fn cross(
        &mut self,
        frontier: &mut Vec<VersionId>,
        twins: fn(&super::world::Copies, VersionId) -> Option<&Vec<VersionId>>,
        silent: bool,
    ) {
        let copies = self.world.copies();
        let again = std::mem::take(&mut self.again);
        if copies.is_empty() {
            return;
        }
        let ends: Vec<VersionId> = frontier.iter().copied().chain(again).filter(|v| copies.has_end(*v)).collect();
        for near in ends {
            for far in twins(copies, near).into_iter().flatten() {
                if self.seen.versions.insert(*far) {
                    self.far.insert(*far);
                    if !self.is_avoided(*far) {
                        frontier.push(*far);
                    }
                }
                if !silent && self.may_find(*far) {
                    self.found.crossed = true;
                    self.found.nodes.versions.insert(*far);
                }
            }
        }
    }

    fn is_avoided(&self, version: VersionId) -> bool {
        self.avoiding.is_some_and(|a| a.versions.contains(version)) && !self.start.versions.contains(version)
    }

    fn may_find(&self, version: VersionId) -> bool {
        !self.strict || !self.start.versions.contains(version)
    }

    #[inline]
    fn reach_version(&mut self, version: VersionId) {
        if self.keeps_found && self.may_find(version) {
            self.found.nodes.versions.insert(version);
        }
        if self.seen.versions.insert(version) {
            if !self.is_avoided(version) {
                self.next.push(version);
            }
        } else if self.far.contains(version) {
            self.far.remove(version);
            if !self.is_avoided(version) {
                self.again.push(version);
            }
        }
    }

    /// Takes note of a step that may be passed at all; whether its edges are to be followed, now.
    fn reach_step(&mut self, leader: Position) -> bool {
        let often = self.needs_every_visit(leader);
        let world = self.world;
        self.pass(leader, often, || world.step_kind(leader))
    }

    /// As [`Walk::reach_step`], for a step that is looked at `often`: from each of its ends.
    #[inline]
    fn pass(&mut self, leader: Position, often: bool, kind: impl FnOnce() -> Kind) -> bool {
        let seen = self.seen.events.contains(leader);
        if seen && self.strict && !often || !self.edges.passes(kind) {
            return false;
        }
        self.seen.events.insert(leader);
        if !self.strict {
            self.found.nodes.events.insert(leader);
        }
        let avoided = self.avoiding.is_some_and(|a| a.events.contains(leader));
        !avoided && (!seen || often)
    }

    /// A step whose outputs do not all come from all inputs is looked at from each input.
    fn needs_every_visit(&self, leader: Position) -> bool {
        let view = &self.world.view;
        view.has_from() && self.world.events_of(leader).iter().any(|e| view.plain(*e).is_none())
    }

    /// From a version to what its uses generated.
    fn leave(&mut self, version: VersionId) {
        let (view, edges) = (&self.world.view, self.edges);
        let steps = self.steps;
        steps.uses(version, |event, usage| {
            if edges.takes(usage) && (usage != Use::About || steps.kind(event).carries_about()) {
                match steps.makes(event) {
                    Makes::One(made) => {
                        if self.pass(event, false, || steps.kind(event)) {
                            self.make(event, || steps.kind(event), made);
                        }
                    }
                    Makes::Several => {
                        if self.pass(event, false, || steps.kind(event)) {
                            steps.several(event).for_each(|made| self.make(event, || steps.kind(event), made));
                        }
                    }
                    Makes::Nothing => {
                        self.pass(event, false, || steps.kind(event));
                    }
                    Makes::More => {
                        let leader = view.leader(event);
                        if self.reach_step(leader) {
                            self.outputs(leader, version, usage);
                        }
                    }
                }
            }
        });
    }

    fn outputs(&mut self, leader: Position, version: VersionId, usage: Use) {
        let world = self.world;
        for target in outputs_for(world, leader, version, usage, self.edges) {
            self.make(leader, || world.step_kind(leader), target);
        }
    }

    /// Reaches a version that a step made.
    #[inline]
    fn make(&mut self, leader: Position, kind: impl FnOnce() -> Kind, version: VersionId) {
        if let Some(f) = &mut self.on_step {
            f(leader, kind(), version);
        }
        self.reach_version(version);
    }

    /// From a version to what it was made from.
    fn enter(&mut self, version: VersionId) {
        let (view, edges) = (&self.world.view, self.edges);
        let steps = self.steps;
        let mut leaders = BTreeSet::new();
        view.makers(version, |event| match (steps.makes(event), view.plain(event)) {
            (Makes::One(_) | Makes::Several, Some(uses)) => {
                if self.pass(event, false, || steps.kind(event)) {
                    let carries = steps.kind(event).carries_about();
                    for (source, usage) in uses {
                        if edges.takes(usage) && (usage != Use::About || carries) {
                            self.reach_version(source);
                        }
                    }
                }
            }
            _ => {
                leaders.insert(view.leader(event));
            }
        });
        for leader in leaders {
            if self.reach_step(leader) {
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

/// Whether a use is one that carries influence at all: `about` of some kinds of events is none.
pub(super) fn counts_about(view: &View, event: Position, usage: Use) -> bool {
    usage != Use::About || view.kind(event).carries_about()
}

/// An input of one event of an attempt.
struct Input {
    event: Position,
    index: u32,
    version: VersionId,
    /// Whether its role counts.
    taken: bool,
}

fn inputs_of_attempt(world: &World, leader: Position, edges: Edges) -> Vec<Input> {
    let view = &world.view;
    let events = world.events_of(leader);
    let mut inputs = Vec::new();
    for event in &events {
        for mention in view.mentions(*event).into_iter().filter(|m| m.usage != Use::About) {
            let taken = edges.takes(mention.usage);
            inputs.push(Input { event: *event, index: mention.index, version: mention.version, taken });
        }
    }
    if !view.has_from() {
        return inputs;
    }
    // A bare mention that gave way stands for what it gave way to.
    let gave_way = events.iter().flat_map(|event| view.gave_way(*event).into_iter().map(move |(i, e)| (*event, i, e)));
    for (event, index, entity) in gave_way {
        let pinned = inputs.iter().filter(|i| view.entity(i.version) == entity);
        let also: Vec<Input> = pinned.map(|i| Input { event, index, ..*i }).collect();
        inputs.extend(also);
    }
    inputs
}

/// Whether a version is among the inputs that led to an output of an event.
///
/// A `from` list speaks of the inputs of its own event: an input named only by other events of the attempt leads to
/// every output.
fn leads(inputs: &[Input], version: VersionId, event: Position, from: Option<&Vec<u32>>) -> bool {
    let mut all = inputs.iter().filter(|i| i.version == version);
    let Some(from) = from else { return all.any(|i| i.taken) };
    if all.clone().any(|i| i.event == event) {
        return all.any(|i| i.event == event && i.taken && from.contains(&i.index));
    }
    all.any(|i| i.taken)
}

/// The outputs of a step that a counting use of a version led to.
pub(super) fn outputs_for(
    world: &World,
    leader: Position,
    version: VersionId,
    usage: Use,
    edges: Edges,
) -> Vec<VersionId> {
    let events = world.events_of(leader).into_iter();
    let made: Vec<(Position, Made)> =
        events.flat_map(|event| world.view.made(event).into_iter().map(move |made| (event, made))).collect();
    let all = usage == Use::About || made.iter().all(|(_, m)| m.from.is_none());
    let inputs = if all { Vec::new() } else { inputs_of_attempt(world, leader, edges) };
    let led = made.iter().filter(|(event, m)| all || leads(&inputs, version, *event, m.from.as_ref()));
    led.map(|(_, m)| m.version).collect()
}

/// The inputs of a step that led to a version.
pub(crate) fn inputs_for(world: &World, leader: Position, version: VersionId, edges: Edges) -> Vec<VersionId> {
    let view = &world.view;
    let inputs = inputs_of_attempt(world, leader, edges);
    let mut sources = Vec::new();
    for event in world.events_of(leader) {
        for made in view.made(event).into_iter().filter(|m| m.version == version) {
            let led = inputs.iter().filter(|i| leads(&inputs, i.version, event, made.from.as_ref()));
            sources.extend(led.map(|i| i.version));
        }
        let abouts = view.mentions(event).into_iter().filter(|m| m.usage == Use::About);
        if edges.about && view.kind(event).carries_about() {
            sources.extend(abouts.map(|m| m.version));
        }
    }
    sources.sort_unstable();
    sources.dedup();
    sources
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
