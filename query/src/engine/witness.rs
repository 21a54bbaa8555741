//! Witnesses: what shows that one node meets a clause, or that it does not.

use lineage_store::event::Kind as EventKind;
use lineage_store::graph::{Assertion, Fact, Position, Subject, Symbol, Use, VersionId};

use super::attribute::{Node, Val};
use super::bits::{Bits, Nodes};
use super::eval::Evaluator;
use super::names::kind_word;
use super::paths::{Hop, shortest};
use super::plan::{BetweenPlan, OperandPlan, Plan, PredPlan, RelPlan, Span, When, WithPlan};
use super::rows::default_key;
use super::sweep::Ends;
use super::walk::{Edges, inputs_of, outputs_of};
use super::world::World;
use crate::syntax::ast::{Kind, Outcome, Quantifier, Relation};

/// What shows something: in words, and as nodes.
#[derive(Default)]
pub(super) struct Told {
    pub(super) text: Option<String>,
    pub(super) nodes: Vec<Node>,
}

impl Told {
    fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), nodes: Vec::new() }
    }

    fn with(mut self, nodes: impl IntoIterator<Item = Node>) -> Self {
        self.nodes.extend(nodes);
        self
    }
}

/// Looks for what shows that a node meets a clause, or not.
pub(super) struct Witness<'a> {
    evaluator: &'a Evaluator<'a>,
    world: &'a World,
    node: Node,
}

impl<'a> Witness<'a> {
    pub(super) fn new(evaluator: &'a Evaluator<'a>, node: Node) -> Self {
        Self { evaluator, world: evaluator.world, node }
    }

    /// What shows that the node meets a clause, or not.
    pub(super) fn of(&self, plan: &Plan) -> Told {
        match plan {
            Plan::Kind(_) => Told::text(format!("its kind is {}", self.kind())),
            Plan::Nodes(nodes) => Told::text(format!("{} by that name", count_of(nodes.len()))),
            Plan::Rel(rel) => self.relation(rel),
            Plan::With(with) => match self.node {
                Node::Version(version) => self.events(version, with),
                Node::Step(_) | Node::Event(_) | Node::Agent(_) => Told::text("no version"),
            },
            Plan::Pred(pred) => self.value(pred),
            Plan::Happened(_) => self.happened(),
            Plan::Between(between) => self.between(between),
            Plan::And(_) | Plan::Or(_) | Plan::Not(_) | Plan::At(..) | Plan::Saved(_) => Told::default(),
        }
    }

    fn kind(&self) -> &'static str {
        match self.node {
            Node::Version(v) => kind_word(self.world.kind_of(v)),
            Node::Step(e) => self.world.step_kind(e).as_str(),
            Node::Event(e) => self.world.view.kind(e).as_str(),
            Node::Agent(_) => "agent",
        }
    }

    fn value(&self, pred: &PredPlan) -> Told {
        let name = pred.attribute.heading();
        Told::text(match self.world.value(self.node, &pred.attribute) {
            Some(value) => format!("{name} is {}", value_text(value)),
            None => format!("it has no {name}"),
        })
    }

    fn happened(&self) -> Told {
        let event = match self.node {
            Node::Version(_) | Node::Agent(_) => return Told::text("no event"),
            Node::Step(leader) => self.world.final_event(leader),
            Node::Event(event) => event,
        };
        let view = &self.world.view;
        Told::text(format!("by {} at {}", view.text(view.actor(event)), view.time(event)))
    }

    /// Events about a version or that made it: those that count, else those that do not.
    fn events(&self, version: VersionId, with: &WithPlan) -> Told {
        let all = self.evaluator.steps_around(version, with.event);
        let counting = self.evaluator.counting(&all, version, with);
        let (one, many) = (with.event.singular(), with.event.plural());
        let verdict = match with.outcome {
            None => "",
            Some(Outcome::Passing) => "passing ",
            Some(Outcome::Failing) => "failing ",
        };
        let told = match (counting.len(), all.len()) {
            (0, 0) => format!("no {one}"),
            (0, n) => format!("no {verdict}{one} that counts, of {n}"),
            (1, _) => format!("1 {verdict}{one}"),
            (n, _) => format!("{n} {verdict}{many}"),
        };
        let shown = if counting.is_empty() { all } else { counting };
        let told = Told::text(told).with(shown.into_iter().map(Node::Step));
        self.since(version, with, told)
    }

    /// Adds the event since which a window counts; for audits always the last training.
    fn since(&self, version: VersionId, with: &WithPlan, mut told: Told) -> Told {
        let kind = match (with.when.window, with.event) {
            (Some(Span::SinceLast(kind)), _) => kind,
            (_, Kind::Audit) => Kind::Training,
            _ => return told,
        };
        let (Some((at, event)), Some(text)) = (self.evaluator.last_of(version, kind), &told.text) else { return told };
        told.text = Some(format!("{text}; its last {} was #{event}, {at}", kind.singular()));
        told.nodes.push(Node::Step(self.world.view.leader(event)));
        told
    }

    fn relation(&self, rel: &RelPlan) -> Told {
        match (self.node, rel.relation) {
            (_, Relation::Tagged) => self.tagged(rel.tag),
            (Node::Version(version), Relation::Live) => self.slots(version),
            (Node::Version(version), Relation::Deployed) => self.deployments(version),
            (Node::Version(version), Relation::Created) => {
                let birth = self.world.birth(version);
                let view = &self.world.view;
                let text = format!("created by {} at {}", view.text(view.actor(birth)), view.time(birth));
                Told::text(text).with([Node::Step(view.leader(birth))])
            }
            (Node::Version(version), relation) if rel.operand.is_none() => {
                let event = match relation {
                    Relation::Trained => Kind::Training,
                    Relation::Evaluated => Kind::Evaluation,
                    _ => Kind::Audit,
                };
                self.events(version, &WithPlan { event, at_least: 1, outcome: None, when: rel.when.clone() })
            }
            _ => rel.operand.as_ref().map_or_else(Told::default, |operand| self.operand(rel, operand)),
        }
    }

    fn operand(&self, rel: &RelPlan, operand: &OperandPlan) -> Told {
        let sets: Vec<Nodes> = operand.sets.iter().map(|set| self.evaluator.in_steps(set)).collect();
        let mut union = Nodes::default();
        for set in &sets {
            union.unite(set, self.world);
        }
        match operand.quantifier {
            Quantifier::Any | Quantifier::AnyOf => self.to_any(rel, &union),
            Quantifier::AllOf => self.to_each(rel, &sets),
            Quantifier::Every => {
                let mut members: Vec<Node> = union.iter().collect();
                members.sort_by_cached_key(|node| default_key(self.world, *node));
                self.to_each(rel, &members.into_iter().map(Nodes::of_node).collect::<Vec<_>>())
            }
            Quantifier::Only => {
                let others = self.evaluator.others(operand, &union);
                match self.found(rel, &others) {
                    Some(told) => Told { text: told.text.map(|text| format!("an other one: {text}")), ..told },
                    None => self.to_any(rel, &union),
                }
            }
        }
    }

    fn to_any(&self, rel: &RelPlan, set: &Nodes) -> Told {
        self.found(rel, set).unwrap_or_else(|| match set.len() {
            0 => Told::text("the set is empty"),
            n => Told::text(format!("none of {}", count_of(n))),
        })
    }

    /// The first that is not met; or how many are.
    fn to_each(&self, rel: &RelPlan, sets: &[Nodes]) -> Told {
        let n = sets.len();
        let unmet = sets.iter().find(|set| self.found(rel, set).is_none());
        match unmet {
            Some(set) => Told::text("not met by this one").with(set.iter().take(1)),
            None if n == 0 => Told::text("the set is empty"),
            None => Told::text(format!("met by each of {n}")).with(sets.iter().flat_map(|s| s.iter().take(1))),
        }
    }

    /// What shows that the node stands in a relation to a member of a set.
    fn found(&self, rel: &RelPlan, set: &Nodes) -> Option<Told> {
        let here = Nodes::of_node(self.node);
        let here = Nodes { events: here.steps(self.world), single: false, ..here };
        if !self.evaluator.stands_in(rel, &here, set) {
            return None;
        }
        let avoiding = rel.avoiding.as_ref().map(|a| self.evaluator.in_steps(a));
        let ends = |from, to| Ends::new(from, to, avoiding.as_ref());
        let may_be_last = |leader: Position| self.may_be_last(rel, leader);
        let last: Option<&dyn Fn(Position) -> bool> = Some(&may_be_last);
        let path = match rel.relation {
            Relation::UpstreamOf => shortest(self.world, ends(&here, set)),
            Relation::DownstreamOf => shortest(self.world, ends(set, &here)),
            Relation::Trained => shortest(self.world, Ends { edges: Edges::TRAINING, last, ..ends(set, &here) }),
            Relation::FineTuned => shortest(self.world, Ends { edges: Edges::BASE, last, ..ends(set, &here) }),
            Relation::DerivedFrom => {
                let made = shortest(self.world, Ends { edges: Edges::DATA, last, ..ends(set, &here) });
                if made.is_empty() {
                    shortest(self.world, Ends { edges: Edges::DATA, ..ends(set, &here) })
                } else {
                    made
                }
            }
            _ => return Some(self.beside(rel, set)),
        };
        Some(told_of_path(&path))
    }

    /// Whether a step may be the one that made the node, as the relation wants it.
    fn may_be_last(&self, rel: &RelPlan, leader: Position) -> bool {
        let Node::Version(version) = self.node else { return true };
        rel.relation == Relation::DerivedFrom
            || self.world.step_kind(leader) == EventKind::Training
                && self.evaluator.happened(leader, false, &rel.when, Some(version))
    }

    /// What is one event away.
    fn beside(&self, rel: &RelPlan, set: &Nodes) -> Told {
        let world = self.world;
        let nodes: Vec<Node> = match self.node {
            Node::Version(version) => {
                let mut steps: Vec<Position> = Vec::new();
                if rel.relation == Relation::ProducedBy {
                    steps = world.makers(version);
                } else {
                    world.view.uses(version, |event, usage| {
                        if (usage == Use::About) == (rel.relation == Relation::Evaluated) {
                            steps.push(world.view.leader(event));
                        }
                    });
                }
                steps.sort_unstable();
                steps.dedup();
                let meets = |step: &Position| match rel.relation {
                    Relation::Evaluated => {
                        let mut data = inputs_of(world, &Bits::of([*step]));
                        data &= &set.versions;
                        !data.is_empty() && world.step_kind(*step) == EventKind::Evaluation
                    }
                    _ => set.events.contains(*step),
                };
                steps.into_iter().filter(meets).map(Node::Step).collect()
            }
            Node::Step(event) | Node::Event(event) => {
                let step = Bits::of([world.view.leader(event)]);
                let mut touched = match rel.relation {
                    Relation::Using => inputs_of(world, &step),
                    Relation::Producing => outputs_of(world, &step),
                    _ => {
                        let mut all = inputs_of(world, &step);
                        all |= &outputs_of(world, &step);
                        all |= &Bits::of(self.evaluator.subjects(world.view.leader(event)));
                        all
                    }
                };
                touched &= &set.versions;
                touched.iter().map(Node::Version).collect()
            }
            Node::Agent(_) => Vec::new(),
        };
        Told::text(format!("by {}", count_of(nodes.len()))).with(nodes)
    }

    fn between(&self, plan: &BetweenPlan) -> Told {
        let end = |plan: &Option<Plan>| plan.as_ref().map(|p| self.evaluator.in_steps(p));
        let here = Nodes::of_node(self.node);
        let here = Nodes { events: here.steps(self.world), single: false, ..here };
        let avoiding = end(&plan.avoiding);
        let path = |from: &Nodes, to: &Nodes| shortest(self.world, Ends::new(from, to, avoiding.as_ref()));
        let before = end(&plan.from).map(|from| path(&from, &here));
        let after = end(&plan.to).map(|to| path(&here, &to));
        if before.as_ref().is_some_and(Vec::is_empty) {
            return Told::text("no path leads to it");
        }
        if after.as_ref().is_some_and(Vec::is_empty) {
            return Told::text("no path leads on from it");
        }
        let mut whole = before.unwrap_or_default();
        // The node itself ends one path and begins the other.
        let rest = after.unwrap_or_default().into_iter().skip(usize::from(!whole.is_empty()));
        whole.extend(rest);
        told_of_path(&whole)
    }

    /// The facts about a tag of the node; the last one decides.
    fn tagged(&self, tag: Option<Symbol>) -> Told {
        let view = &self.world.view;
        let concerns = |subject: Subject| match (subject, self.node) {
            (Subject::Version(v), Node::Version(here)) => v == here,
            (Subject::Entity(e), Node::Version(here)) => view.entity(here) == e,
            (Subject::Event(e), Node::Step(here) | Node::Event(here)) => view.leader(e) == view.leader(here),
            _ => false,
        };
        let says = |fact: &Fact| match fact.says {
            Assertion::Tag(t) if Some(t) == tag => Some(true),
            Assertion::Untag(t) if Some(t) == tag => Some(false),
            _ => None,
        };
        let facts = view.facts().into_iter().filter(|f| concerns(f.subject));
        let last = facts.filter_map(|f| says(&f).map(|on| (view.time(f.event), f.event, on))).max();
        match last {
            None => Told::text("never tagged so"),
            Some((at, event, on)) => {
                let verb = if on { "tagged" } else { "tag taken away" };
                Told::text(format!("{verb} by #{event}, {at}")).with([Node::Step(view.leader(event))])
            }
        }
    }

    /// The slots that a version is in, and the deployments that named it.
    fn slots(&self, version: VersionId) -> Told {
        let view = &self.world.view;
        let slots = self.world.slots().iter().filter(|(_, content)| content.contains(&version));
        let names: Vec<String> = slots.map(|((_, e, s), _)| format!("{}/{}", view.text(*e), view.text(*s))).collect();
        let deployments = self.deployments(version);
        let text = match (names.is_empty(), deployments.nodes.is_empty()) {
            (false, _) => format!("live in {}", names.join(", ")),
            (true, true) => "never deployed".to_owned(),
            (true, false) => "deployed, but live nowhere now".to_owned(),
        };
        Told::text(text).with(deployments.nodes)
    }

    fn deployments(&self, version: VersionId) -> Told {
        let view = &self.world.view;
        let when = When::default();
        let with = WithPlan { event: Kind::Deployment, at_least: 1, outcome: None, when };
        let all = self.evaluator.steps_around(version, Kind::Deployment);
        let all = self.evaluator.counting(&all, version, &with);
        let one = |leader: &Position| {
            let event = self.world.final_event(*leader);
            let environment = self.world.slot_change(event).map_or("", |change| view.text(change.environment));
            format!("to {environment} by #{event}")
        };
        let text = all.iter().map(one).collect::<Vec<_>>().join(", ");
        let text = if text.is_empty() { "never deployed".to_owned() } else { format!("deployed {text}") };
        Told::text(text).with(all.into_iter().map(Node::Step))
    }
}

fn told_of_path(path: &[Hop]) -> Told {
    let events = path.iter().filter(|hop| !matches!(hop.node, Node::Version(_))).count();
    let text = if events == 1 { "a path of 1 event".to_owned() } else { format!("a path of {events} events") };
    Told::text(text).with(path.iter().map(|hop| hop.node))
}

fn count_of(n: usize) -> String {
    if n == 1 { "1 node".to_owned() } else { format!("{n} nodes") }
}

fn value_text(value: Val) -> String {
    super::rows::text(Some(value)).unwrap_or_default()
}
