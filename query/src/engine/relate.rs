//! Relations as sets: what stands in a relation to the members of an operand.

use lineage_store::event::{Kind as EventKind, State};
use lineage_store::graph::{Position, Subject, Use, VersionId};

use super::bits::{Bits, Nodes};
use super::eval::Evaluator;
use super::plan::{Environments, OperandPlan, Plan, RelPlan};
use super::walk::{Edges, Reach, Walk, inputs_of, outputs_of};
use crate::syntax::ast::{Quantifier, Relation};

/// Which nodes of a relation are wanted; more than those may be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Versions and steps.
    All,
    /// Versions and, where the relation tells them apart, single events rather than steps.
    SingleEvents,
    /// Versions.
    Versions,
}

/// How an image is computed.
#[derive(Clone, Copy)]
struct How<'a> {
    rel: &'a RelPlan,
    /// Steps and versions that are never passed.
    avoiding: Option<&'a Nodes>,
    /// Which nodes are wanted.
    wanted: Wanted,
    /// Whether the set itself is never in the image of a walk.
    strict: bool,
}

impl Evaluator<'_> {
    /// The nodes of a relation.
    pub(super) fn relation(&self, rel: &RelPlan, wanted: Wanted) -> Nodes {
        match rel.relation {
            Relation::Tagged => return self.tagged(rel.tag),
            Relation::Live => return self.live(rel.environments.as_ref()),
            _ => {}
        }
        let Some(operand) = &rel.operand else { return Nodes::default() };
        let avoiding = rel.avoiding.as_ref().map(|a| self.in_steps(a));
        let how = How { rel, avoiding: avoiding.as_ref(), wanted, strict: true };
        self.quantified(how, operand)
    }

    fn quantified(&self, how: How<'_>, operand: &OperandPlan) -> Nodes {
        let sets: Vec<Nodes> = operand.sets.iter().map(|set| self.in_steps(set)).collect();
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
            if !self.world.budget.step() {
                break;
            }
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
    /// What may lead to a node may lead to each other, too, so neither side is a strict start set.
    fn only(&self, how: How<'_>, operand: &OperandPlan, allowed: &Nodes) -> Nodes {
        let how = How { strict: false, ..how };
        let mut nodes = self.image(how, allowed);
        let others = self.others(operand, allowed);
        nodes.subtract(&self.image(how, &others), self.world);
        nodes
    }

    /// What is of the operand's kinds and not allowed.
    pub(super) fn others(&self, operand: &OperandPlan, allowed: &Nodes) -> Nodes {
        let mut others = if operand.kinds.is_empty() { self.everything() } else { Nodes::default() };
        for kind in &operand.kinds {
            let of_kind = self.of_kind(*kind);
            others.versions |= &of_kind.versions;
            others.events |= &of_kind.steps(self.world);
        }
        others.subtract(allowed, self.world);
        others
    }

    /// Whether the one node of a set stands in a relation to a member of another.
    pub(super) fn stands_in(&self, rel: &RelPlan, node: &Nodes, to: &Nodes) -> bool {
        let avoiding = rel.avoiding.as_ref().map(|a| self.in_steps(a));
        let how = How { rel, avoiding: avoiding.as_ref(), wanted: Wanted::All, strict: true };
        let mut image = self.image(how, to);
        image.intersect(node, self.world);
        !image.is_empty()
    }

    /// The nodes that stand in a relation to any member of a set.
    fn image(&self, how: How<'_>, to: &Nodes) -> Nodes {
        let (world, when) = (self.world, &how.rel.when);
        match how.rel.relation {
            Relation::DownstreamOf => self.walk(Edges::ALL, how, |w| w.downstream(to)),
            Relation::UpstreamOf => self.walk(Edges::ALL, how, |w| w.upstream(to)),
            Relation::DerivedFrom => {
                self.walk(Edges::DATA, How { strict: false, ..how }, |w| w.by_steps_only().downstream(to))
            }
            Relation::Trained => self.trained(Edges::TRAINING, how, to),
            Relation::FineTuned => self.trained(Edges::BASE, how, to),
            Relation::Evaluated => self.evaluated(how.rel, to),
            Relation::UsedBy => {
                let mut versions = Bits::default();
                for step in to.events.iter().take_while(|_| world.budget.step()) {
                    let inputs = inputs_of(world, &Bits::of([step]));
                    inputs.iter().filter(|v| self.happened(step, false, when, Some(*v))).for_each(|v| {
                        versions.insert(v);
                    });
                }
                Nodes::of_versions(versions)
            }
            Relation::ProducedBy => Nodes::of_versions(outputs_of(world, &to.events)),
            Relation::Using => {
                self.touching(to, how.wanted == Wanted::SingleEvents, |usage| matches!(usage, Some(Use::Input(_))))
            }
            Relation::Producing => self.touching(to, how.wanted == Wanted::SingleEvents, |usage| usage.is_none()),
            Relation::About => self.touching(to, how.wanted == Wanted::SingleEvents, |_| true),
            _ => Nodes::default(),
        }
    }

    fn walk(&self, edges: Edges, how: How<'_>, go: impl FnOnce(Walk<'_>) -> Reach) -> Nodes {
        let steps = self.world.view.steps();
        let walk = Walk::new(self.world, &steps, edges, how.rel.depth).avoiding(how.avoiding);
        let walk = walk.versions_only(how.wanted == Wanted::Versions);
        let reach = go(if how.strict { walk } else { walk.back_to_start() });
        self.crossed.set(self.crossed.get() || reach.crossed);
        reach.nodes
    }

    /// Versions that a training generated from members of a set, directly or through transforms and trainings.
    fn trained(&self, edges: Edges, how: How<'_>, from: &Nodes) -> Nodes {
        let mut versions = Bits::default();
        let mut on_step = |leader: Position, kind: EventKind, version: VersionId| {
            if kind == EventKind::Training && self.happened(leader, false, &how.rel.when, Some(version)) {
                versions.insert(version);
            }
        };
        let steps = self.world.view.steps();
        let walk = Walk::new(self.world, &steps, edges, how.rel.depth).avoiding(how.avoiding);
        let reach = walk.on_step(&mut on_step).downstream(from);
        self.crossed.set(self.crossed.get() || reach.crossed);
        Nodes::of_versions(versions)
    }

    /// What was evaluated with members of a set as data, itself not counted.
    fn evaluated(&self, rel: &RelPlan, on: &Nodes) -> Nodes {
        let view = &self.world.view;
        let mut steps = Bits::default();
        for version in on.versions.iter().take_while(|_| self.world.budget.step()) {
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
    pub(super) fn subjects(&self, leader: Position) -> Vec<VersionId> {
        let mentions = self.world.events_of(leader).into_iter().flat_map(|e| self.world.view.mentions(e));
        mentions.filter(|m| m.usage == Use::About).map(|m| m.version).collect()
    }

    /// Steps or single events that use, produce or concern members of a set.
    fn touching(&self, of: &Nodes, single: bool, wanted: impl Fn(Option<Use>) -> bool) -> Nodes {
        let view = &self.world.view;
        let mut events = Bits::default();
        let place = |event: Position| if single { event } else { view.leader(event) };
        for version in of.versions.iter().take_while(|_| self.world.budget.step()) {
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
        Nodes { events, single, ..Nodes::default() }
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
        nodes.events.retain(|leader| world.tags_of_step(leader).contains(&tag));
        nodes
    }

    pub(super) fn live(&self, environments: Option<&Environments>) -> Nodes {
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
}
