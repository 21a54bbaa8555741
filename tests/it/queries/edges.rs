//! The edges that a view tells, one by one, for tests that walk them; nothing of the engine is used.

use std::collections::{BTreeMap, BTreeSet};

use lineage_store::event::Kind;
use lineage_store::graph::{Assertion, Position, Subject, Use, VersionId, View};

/// One edge from version to version, over a step.
pub(super) struct Edge {
    pub(super) from: VersionId,
    pub(super) to: VersionId,
    pub(super) step: Position,
}

/// What a relation sees of a view.
pub(super) struct Graph {
    pub(super) edges: Vec<Edge>,
    /// Versions and the steps that they lead into, with or without outputs.
    pub(super) touched: BTreeSet<(VersionId, Position)>,
    /// From a copy to its original.
    pub(super) copies: BTreeSet<(VersionId, VersionId)>,
    pub(super) kinds: BTreeMap<Position, Kind>,
}

fn step_kind(view: &View, events: &[Position]) -> Kind {
    let trains = events.iter().any(|e| view.kind(*e) == Kind::Training);
    if trains { Kind::Training } else { view.kind(events[0]) }
}

impl Graph {
    pub(super) fn of(view: &View) -> Self {
        let mut graph =
            Self { edges: Vec::new(), touched: BTreeSet::new(), copies: copies(view), kinds: BTreeMap::new() };
        let leaders: BTreeSet<Position> = (0..view.count()).filter(|e| view.sees(*e)).map(|e| view.leader(e)).collect();
        for step in leaders {
            let events = view.attempt_events(step);
            let kind = step_kind(view, &events);
            graph.kinds.insert(step, kind);
            graph.step(view, step, &events);
        }
        graph
    }

    fn step(&mut self, view: &View, step: Position, events: &[Position]) {
        for event in events {
            for mention in view.mentions(*event) {
                let taken = match mention.usage {
                    Use::Input(_) => true,
                    Use::About => matches!(view.kind(*event), Kind::Evaluation | Kind::Audit | Kind::Deployment),
                };
                if taken {
                    self.touched.insert((mention.version, step));
                }
                for maker in events.iter().filter(|_| taken) {
                    for made in view.made(*maker) {
                        let named_there =
                            view.mentions(*maker).iter().any(|m| m.usage != Use::About && m.version == mention.version);
                        let way: Vec<_> = view.gave_way(*maker);
                        let ways: Vec<u32> =
                            way.iter().filter(|(_, e)| *e == view.entity(mention.version)).map(|(i, _)| *i).collect();
                        let leads = match &made.from {
                            Some(from) if mention.usage != Use::About && (named_there || !ways.is_empty()) => {
                                maker == event && from.contains(&mention.index)
                                    || ways.iter().any(|index| from.contains(index))
                            }
                            _ => true,
                        };
                        if leads {
                            self.edges.push(Edge { from: mention.version, to: made.version, step });
                        }
                    }
                }
            }
        }
    }
}

/// Equal bytes under another name, and links of versions.
fn copies(view: &View) -> BTreeSet<(VersionId, VersionId)> {
    let mut copies = BTreeSet::new();
    let has_maker = |version| {
        let mut has = false;
        view.makers(version, |_| has = true);
        has
    };
    for version in (0..view.n_versions()).filter(|v| view.has_version(*v) && view.is_external(*v)) {
        let digests = view.digest_keys_of(version);
        let holders = digests.iter().flat_map(|d| view.versions_with(d));
        let earlier = holders.filter(|v| *v < version && view.entity(*v) != view.entity(version));
        copies.extend(earlier.min().map(|original| (version, original)));
    }
    for fact in view.facts() {
        if let (Assertion::Link(b), Subject::Version(a)) = (fact.says, fact.subject) {
            let both = view.has_version(a) && view.has_version(b) && a != b;
            let turned = has_maker(a) && !has_maker(b);
            copies.extend(both.then_some(if turned { (b, a) } else { (a, b) }));
        }
    }
    copies
}

pub(super) fn name(view: &View, version: VersionId) -> String {
    let entity = view.entity(version);
    format!("{} {}@v{}", view.entity_kind(entity), view.entity_name(entity), view.number(version))
}
