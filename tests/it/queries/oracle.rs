//! What the closures come to, by fixpoint over the edges that a view tells; nothing of the engine is used.

use std::collections::{BTreeMap, BTreeSet};

use lineage_store::event::{Kind, Role};
use lineage_store::graph::{Assertion, Position, Subject, Use, VersionId, View};

type Versions = BTreeSet<VersionId>;

/// Which relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closure {
    Trained,
    Derived,
    Downstream,
    Upstream,
}

pub(super) const CLOSURES: [(Closure, &str); 4] = [
    (Closure::Trained, "trained on"),
    (Closure::Derived, "derived from"),
    (Closure::Downstream, "downstream of"),
    (Closure::Upstream, "upstream of"),
];

/// One edge from version to version, over a step.
struct Edge {
    from: VersionId,
    to: VersionId,
    step: Position,
}

/// What a relation sees of a view.
struct Graph {
    edges: Vec<Edge>,
    /// Versions and the steps that they lead into, with or without outputs.
    touched: BTreeSet<(VersionId, Position)>,
    /// Versions and the steps that made them.
    made: BTreeSet<(VersionId, Position)>,
    /// From a copy to its original.
    copies: BTreeSet<(VersionId, VersionId)>,
    kinds: BTreeMap<Position, Kind>,
}

fn step_kind(view: &View, events: &[Position]) -> Kind {
    let trains = events.iter().any(|e| view.kind(*e) == Kind::Training);
    if trains { Kind::Training } else { view.kind(events[0]) }
}

impl Graph {
    fn of(view: &View, closure: Closure) -> Self {
        let mut graph = Self {
            edges: Vec::new(),
            touched: BTreeSet::new(),
            made: BTreeSet::new(),
            copies: copies(view),
            kinds: BTreeMap::new(),
        };
        let leaders: BTreeSet<Position> = (0..view.count()).filter(|e| view.sees(*e)).map(|e| view.leader(e)).collect();
        for step in leaders {
            let events = view.attempt_events(step);
            let kind = step_kind(view, &events);
            graph.kinds.insert(step, kind);
            if closure != Closure::Trained || matches!(kind, Kind::Training | Kind::Transform) {
                graph.step(view, closure, step, &events);
            }
        }
        graph
    }

    fn step(&mut self, view: &View, closure: Closure, step: Position, events: &[Position]) {
        let takes = |role: Role| match closure {
            Closure::Trained => matches!(role, Role::Data | Role::Base),
            Closure::Derived => role == Role::Data,
            Closure::Downstream | Closure::Upstream => true,
        };
        for event in events {
            self.made.extend(view.made(*event).into_iter().map(|m| (m.version, step)));
            for mention in view.mentions(*event) {
                let taken = match mention.usage {
                    Use::Input(role) => takes(role),
                    Use::About => {
                        matches!(closure, Closure::Downstream | Closure::Upstream)
                            && matches!(view.kind(*event), Kind::Evaluation | Kind::Audit | Kind::Deployment)
                    }
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

    /// Versions and steps that a version leads to, or comes from, within some steps.
    fn reach(&self, closure: Closure, start: VersionId, depth: u32) -> (Versions, BTreeSet<Position>) {
        let back = closure == Closure::Upstream;
        let twins = |near: &Versions| -> Versions {
            let pairs =
                self.copies.iter().map(|(copy, original)| if back { (*copy, *original) } else { (*original, *copy) });
            pairs.filter(|(a, _)| near.contains(a)).map(|(_, b)| b).collect()
        };
        let (mut ends, mut steps, mut trained) = (Versions::new(), BTreeSet::new(), Versions::new());
        let mut near = Versions::from([start]);
        let mut far = twins(&near);
        let mut found = if closure == Closure::Derived { Versions::new() } else { far.clone() };
        for _ in 0..depth {
            let here: Versions = near.union(&far).copied().collect();
            let (sizes, before) = ((near.len(), far.len(), ends.len()), steps.len());
            for edge in &self.edges {
                let (a, b) = if back { (edge.to, edge.from) } else { (edge.from, edge.to) };
                if here.contains(&a) {
                    ends.insert(b);
                    if self.kinds[&edge.step] == Kind::Training {
                        trained.insert(b);
                    }
                }
            }
            if back {
                steps.extend(self.made.iter().filter(|(v, _)| here.contains(v)).map(|(_, step)| *step));
            } else {
                steps.extend(self.touched.iter().filter(|(v, _)| here.contains(v)).map(|(_, step)| *step));
            }
            near.extend(&ends);
            far.extend(twins(&ends));
            found.extend(ends.iter().chain(&twins(&ends)));
            if sizes == (near.len(), far.len(), ends.len()) && before == steps.len() {
                break;
            }
        }
        if closure != Closure::Derived {
            found.remove(&start);
        }
        (if closure == Closure::Trained { trained } else { found }, steps)
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

/// The versions, by name, and the leaders of the steps that stand in a relation to a version.
pub(super) fn closure(view: &View, closure: Closure, start: VersionId, depth: u32) -> (BTreeSet<String>, Versions) {
    let (versions, steps) = Graph::of(view, closure).reach(closure, start, depth);
    (versions.into_iter().map(|v| name(view, v)).collect(), steps)
}
