//! Reachability as relations closed step by step, until nothing new is found.

use std::collections::BTreeSet;

use super::log::{At, Id};
use super::moment::{Moment, Used};
use super::state::State;

/// Which uses lead on, and through which steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edges {
    /// Every role and `about`.
    All,
    /// Data inputs.
    Data,
    /// Data and base inputs of transforms and trainings.
    Training,
    /// Base inputs of trainings.
    Base,
}

/// The edges of a moment that count for a relation.
pub(super) struct Graph {
    /// From a version over a step to a version.
    edges: BTreeSet<(Id, At, Id)>,
    /// Versions and the steps that they lead into, with or without outputs.
    entered: BTreeSet<(Id, At)>,
    /// Steps and what they made.
    made: BTreeSet<(At, Id)>,
    twins: BTreeSet<(Id, Id)>,
}

/// A set of versions and steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) versions: BTreeSet<Id>,
    pub(super) steps: BTreeSet<At>,
    /// Each passing of a step that led to a version.
    pub(super) passed: BTreeSet<(At, Id)>,
}

/// How far, around what, and whether the start may be found.
#[derive(Clone, Copy, Debug)]
pub(super) struct How<'a> {
    pub(super) depth: usize,
    pub(super) avoiding: &'a Found,
    pub(super) strict: bool,
    /// Whether twins of the start are found without a step.
    pub(super) twins_of_start: bool,
}

impl Edges {
    fn takes(self, role: &str) -> bool {
        match self {
            Self::All => true,
            Self::Data => role == "data",
            Self::Training => role == "data" || role == "base",
            Self::Base => role == "base",
        }
    }

    fn passes(self, kind: &str) -> bool {
        match self {
            Self::All | Self::Data => true,
            Self::Training => kind == "transform" || kind == "training",
            Self::Base => kind == "training",
        }
    }
}

impl Graph {
    pub(super) fn of(moment: &Moment<'_>, state: &State<'_>, edges: Edges) -> Self {
        let log = moment.log;
        let step = |at: At| log.members[at].leader;
        let passed: BTreeSet<At> = moment.steps().into_iter().filter(|s| edges.passes(moment.step_kind(*s))).collect();
        let indexes = moment.indexes();
        let mut graph = Self {
            edges: BTreeSet::new(),
            entered: BTreeSet::new(),
            made: moment.made.iter().map(|(at, v, _)| (step(*at), *v)).collect(),
            twins: state.twins.clone(),
        };
        let taken = |(at, _, role, _): &&Used| edges.takes(role) && passed.contains(&step(*at));
        for (at, index, _, source) in moment.used.iter().filter(taken) {
            graph.entered.insert((*source, step(*at)));
            for (maker, made, from) in moment.made.iter().filter(|(maker, ..)| step(*maker) == step(*at)) {
                // A list speaks of the inputs of its own event; what only others name leads to everything.
                let leads = match (from, indexes.get(&(*maker, *source))) {
                    (Some(from), Some(named)) => {
                        // A bare mention stands for what it gave way to, whichever event names that.
                        let stands = |i: &usize| !moment.used.iter().any(|(q, j, ..)| q == maker && j == i);
                        maker == at && from.contains(index) || named.iter().any(|i| stands(i) && from.contains(i))
                    }
                    _ => true,
                };
                if leads {
                    graph.edges.insert((*source, step(*at), *made));
                }
            }
        }
        if edges == Edges::All {
            for (at, about) in &moment.about {
                if ["evaluation", "audit", "deployment"].contains(&log.events[*at].kind.as_str()) {
                    graph.entered.insert((*about, step(*at)));
                    let made = moment.made.iter().filter(|(maker, ..)| step(*maker) == step(*at));
                    graph.edges.extend(made.map(|(_, version, _)| (*about, step(*at), *version)));
                }
            }
        }
        graph
    }

    /// What a set of versions and steps led to.
    pub(super) fn downstream(&self, start: &Found, how: How<'_>) -> Found {
        let twins = self.twins.iter().map(|(copy, original)| (*original, *copy)).collect();
        close(start, how, &self.edges, &self.entered, &twins, |step| {
            self.made.iter().filter(|(s, _)| *s == step).map(|(_, v)| *v).collect()
        })
    }

    /// What lies on any way from one set to another, ends included; without an end, on any way at all.
    ///
    /// A version is come to by a step, or over a copy or link; only in the first case one may be crossed from it.
    pub(super) fn between(&self, from: Option<&Found>, to: Option<&Found>) -> Found {
        let crossed = |near: &BTreeSet<Id>| -> BTreeSet<Id> {
            self.twins.iter().filter(|(_, original)| near.contains(original)).map(|(copy, _)| *copy).collect()
        };
        // Forth: what is come to by steps, and what over a copy or link from there.
        let (mut landed, mut far, mut steps) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        if let Some(from) = from {
            landed.extend(&from.versions);
            steps.extend(&from.steps);
            landed.extend(self.made.iter().filter(|(s, _)| steps.contains(s)).map(|(_, v)| *v));
            loop {
                let before = (landed.len(), far.len(), steps.len());
                far.extend(crossed(&landed));
                let here: BTreeSet<Id> = landed.union(&far).copied().collect();
                steps.extend(self.entered.iter().filter(|(v, _)| here.contains(v)).map(|(_, s)| *s));
                landed.extend(self.edges.iter().filter(|(v, ..)| here.contains(v)).map(|(.., w)| *w));
                if before == (landed.len(), far.len(), steps.len()) {
                    break;
                }
            }
        }
        let Some(to) = to else {
            return Found { versions: &landed | &far, steps, ..Found::default() };
        };
        // Back: from what an end is come to, by a version that was landed on, or was crossed to.
        let (mut leads, mut leads_far) = (to.versions.clone(), to.versions.clone());
        loop {
            let before = (leads.len(), leads_far.len());
            let mut on: BTreeSet<Id> =
                self.edges.iter().filter(|(.., w)| leads.contains(w)).map(|(v, ..)| *v).collect();
            on.extend(self.entered.iter().filter(|(_, s)| to.steps.contains(s)).map(|(v, _)| *v));
            leads_far.extend(&on);
            leads.extend(on);
            leads.extend(self.twins.iter().filter(|(copy, _)| leads_far.contains(copy)).map(|(_, original)| *original));
            if before == (leads.len(), leads_far.len()) {
                break;
            }
        }
        let passes = |step: &At| self.made.iter().any(|(s, w)| s == step && leads.contains(w));
        let Some(from) = from else {
            let every = self.made.iter().map(|(s, _)| *s).filter(passes);
            let steps = every.chain(to.steps.iter().copied()).collect();
            return Found { versions: leads, steps, ..Found::default() };
        };
        let versions = (&landed & &leads).union(&(&far & &leads_far)).copied().collect();
        let here: BTreeSet<Id> = landed.union(&far).copied().collect();
        let over = self.edges.iter().filter(|(v, _, w)| here.contains(v) && leads.contains(w)).map(|(_, s, _)| *s);
        let first = from.steps.iter().copied().filter(passes);
        let last = to.steps.intersection(&steps).copied();
        Found { versions, steps: over.chain(first).chain(last).collect(), ..Found::default() }
    }

    /// What led to a set of versions and steps.
    pub(super) fn upstream(&self, start: &Found, how: How<'_>) -> Found {
        let edges = self.edges.iter().map(|(from, step, to)| (*to, *step, *from)).collect();
        let entered = self.made.iter().map(|(step, v)| (*v, *step)).collect();
        close(start, how, &edges, &entered, &self.twins, |step| {
            self.entered.iter().filter(|(_, s)| *s == step).map(|(v, _)| *v).collect()
        })
    }
}

/// Follows edges step by step until nothing new is found.
fn close(
    start: &Found,
    how: How<'_>,
    edges: &BTreeSet<(Id, At, Id)>,
    entered: &BTreeSet<(Id, At)>,
    twins: &BTreeSet<(Id, Id)>,
    ends_of: impl Fn(At) -> BTreeSet<Id>,
) -> Found {
    let far_of = |near: &BTreeSet<Id>| -> BTreeSet<Id> {
        twins.iter().filter(|(a, _)| near.contains(a)).map(|(_, b)| *b).collect()
    };
    let open = |v: &Id| start.versions.contains(v) || !how.avoiding.versions.contains(v);
    let (mut near, mut found) = (start.versions.clone(), Found::default());
    let mut far = far_of(&near);
    if how.twins_of_start {
        found.versions.extend(&far);
    }
    for step in 1..=how.depth {
        let here: BTreeSet<Id> = near.union(&far).copied().filter(open).collect();
        let before = (near.len(), far.len(), found.clone());
        let mut ends = BTreeSet::new();
        for (_, step, to) in edges.iter().filter(|(from, ..)| here.contains(from)) {
            if !how.avoiding.steps.contains(step) {
                ends.insert(*to);
                found.passed.insert((*step, *to));
            }
        }
        found.steps.extend(entered.iter().filter(|(v, _)| here.contains(v)).map(|(_, s)| *s));
        ends.extend(start.steps.iter().flat_map(|s| ends_of(*s)));
        let passable: BTreeSet<Id> = ends.iter().copied().filter(open).collect();
        let beyond = far_of(&passable);
        found.versions.extend(ends.iter().chain(&beyond));
        near.extend(ends);
        far.extend(beyond);
        if step > 1 && before == (near.len(), far.len(), found.clone()) {
            break;
        }
    }
    if how.strict {
        found.versions.retain(|v| !start.versions.contains(v));
        found.steps.retain(|s| !start.steps.contains(s));
    }
    found
}
