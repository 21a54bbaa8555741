//! Drawings: the nodes of an answer with the lineage among them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lineage_store::graph::{Made, Mention, Position, Use, VersionId};

use super::attribute::Node;
use super::paths::{Edge, Hop};
use super::walk::{Edges, counts_about, inputs_for};
use super::world::World;
use crate::output::{Arrow, Graph, Shape, Vertex};
use crate::syntax::Diagnostic;

/// The lineage among some nodes; what lies between two of them and is no node itself is drawn as one edge.
pub(super) fn induced(world: &World, nodes: &[Node]) -> Graph {
    let places: HashMap<Node, usize> = nodes.iter().copied().zip(0..).collect();
    let mut drawing = Drawing { world, places, arrows: BTreeMap::new() };
    for node in nodes {
        match node {
            Node::Version(version) => drawing.version(*version),
            Node::Step(_) | Node::Event(_) => drawing.step(*node),
            Node::Agent(_) => {}
        }
    }
    let arrow = |((from, to), (labels, dashed)): ((usize, usize), (BTreeSet<String>, bool))| Arrow {
        from,
        to,
        label: labels.into_iter().collect::<Vec<_>>().join(", "),
        dashed,
    };
    Graph { vertices: vertices(world, nodes), arrows: drawing.arrows.into_iter().map(arrow).collect() }
}

/// A path, each node joined to the next.
pub(super) fn of_path(world: &World, path: &[Hop]) -> Graph {
    let nodes: Vec<Node> = path.iter().map(|hop| hop.node).collect();
    let arrow = |(to, edge): (usize, &Edge)| {
        let dashed = matches!(edge, Edge::Copy | Edge::Same);
        let label = if *edge == Edge::Made { String::new() } else { edge.word() };
        Arrow { from: to - 1, to, label, dashed }
    };
    let edges = path.iter().enumerate().skip(1).filter_map(|(to, hop)| Some((to, hop.edge.as_ref()?)));
    Graph { vertices: vertices(world, &nodes), arrows: edges.map(arrow).collect() }
}

/// Refuses more nodes or edges than a format draws.
pub(super) fn check(what: &str, n: usize, max: usize) -> Result<(), Diagnostic> {
    if n <= max {
        return Ok(());
    }
    let text = format!("the drawing has {n} {what}, more than the {max} that this format draws");
    Err(Diagnostic::new("E0504", text).help("narrow the question, or add `limit N`"))
}

fn vertices(world: &World, nodes: &[Node]) -> Vec<Vertex> {
    let view = &world.view;
    let vertex = |node: &Node| match node {
        Node::Version(_) | Node::Agent(_) => Vertex { label: world.node_name(*node), shape: Shape::Version },
        Node::Step(event) | Node::Event(event) => {
            let kind = if matches!(node, Node::Step(_)) { world.step_kind(*event) } else { view.kind(*event) };
            let job = view.text(view.job(*event));
            let space = if job.is_empty() { "" } else { " " };
            Vertex { label: format!("#{event} {kind}{space}{job}"), shape: Shape::Step }
        }
    };
    nodes.iter().map(vertex).collect()
}

struct Drawing<'a> {
    world: &'a World,
    places: HashMap<Node, usize>,
    /// What is written on the edge from one place to another, and whether it is dashed.
    arrows: BTreeMap<(usize, usize), (BTreeSet<String>, bool)>,
}

impl Drawing<'_> {
    fn add(&mut self, from: Node, to: Node, label: Option<String>, dashed: bool) {
        let (Some(from), Some(to)) = (self.places.get(&from), self.places.get(&to)) else { return };
        let arrow = self.arrows.entry((*from, *to)).or_insert((BTreeSet::new(), dashed));
        arrow.0.extend(label);
    }

    /// Edges to a version from what led to it over steps that are no nodes, and from what it is a copy of.
    fn version(&mut self, version: VersionId) {
        let world = self.world;
        for leader in world.makers(version) {
            let is_node = self.places.contains_key(&Node::Step(leader))
                || world.events_of(leader).into_iter().any(|e| self.places.contains_key(&Node::Event(e)));
            if !is_node {
                for source in inputs_for(world, leader, version, Edges::ALL) {
                    self.add(Node::Version(source), Node::Version(version), None, false);
                }
            }
        }
        for original in world.copies().originals.get(&version).into_iter().flatten() {
            let label = Edge::across(world, *original, version).word();
            self.add(Node::Version(*original), Node::Version(version), Some(label), true);
        }
    }

    /// Edges of a step: from what it used, to what it made, and over versions that are no nodes to other steps.
    fn step(&mut self, node: Node) {
        let (used, made) = self.ends(node);
        for mention in used {
            let label = match mention.usage {
                Use::Input(role) => role.as_str(),
                Use::About => "about",
            };
            self.add(Node::Version(mention.version), node, Some(label.to_owned()), false);
        }
        for version in made.into_iter().map(|m| m.version) {
            if self.places.contains_key(&Node::Version(version)) {
                self.add(node, Node::Version(version), None, false);
                continue;
            }
            for event in self.used_by(version) {
                for next in [Node::Step(self.world.view.leader(event)), Node::Event(event)] {
                    self.add(node, next, None, false);
                }
            }
        }
    }

    fn ends(&self, node: Node) -> (Vec<Mention>, Vec<Made>) {
        let view = &self.world.view;
        let events = match node {
            Node::Step(leader) => self.world.events_of(leader),
            Node::Event(event) => vec![event],
            Node::Version(_) | Node::Agent(_) => Vec::new(),
        };
        let uses = |e: &Position| {
            let counts = |m: &Mention| counts_about(view, *e, m.usage);
            view.mentions(*e).into_iter().filter(counts).collect::<Vec<_>>()
        };
        (events.iter().flat_map(uses).collect(), events.iter().flat_map(|e| view.made(*e)).collect())
    }

    fn used_by(&self, version: VersionId) -> Vec<Position> {
        let view = &self.world.view;
        let mut events = Vec::new();
        view.uses(version, |event, usage| {
            if counts_about(view, event, usage) {
                events.push(event);
            }
        });
        events
    }
}
