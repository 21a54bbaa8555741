//! Paths, reasons and changes against the plainest reading of their rules, on random histories of few names.

use std::collections::BTreeSet;

use lineage_store::graph::{Position, VersionId, View};
use proptest::prelude::*;

use super::edges::{Graph, name};
use super::properties::{any_line, asked, sent};
use crate::histories::play::{Play, play};

/// A place on a walk: a version that a step or the walk began at, the far end of a copy or link, or a step and the
/// version by which it was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Near(VersionId),
    Far(VersionId),
    Step(Position, VersionId),
}

/// Walks from some versions to others, around some nodes.
struct Walks<'a> {
    view: &'a View,
    graph: Graph,
    from: BTreeSet<VersionId>,
    to: BTreeSet<VersionId>,
    avoided_versions: BTreeSet<VersionId>,
    avoids_trainings: bool,
}

impl Walks<'_> {
    fn next(&self, place: Place) -> Vec<Place> {
        let (version, crosses) = match place {
            Place::Near(version) => (version, true),
            Place::Far(version) => (version, false),
            Place::Step(step, by) => {
                let edges = self.graph.edges.iter().filter(|e| e.step == step && e.from == by);
                return edges.map(|e| Place::Near(e.to)).collect();
            }
        };
        let far = self.graph.copies.iter().filter(|(_, original)| crosses && *original == version);
        let steps = self.graph.touched.iter().filter(|(v, _)| *v == version);
        far.map(|(copy, _)| Place::Far(*copy)).chain(steps.map(|(v, step)| Place::Step(*step, *v))).collect()
    }

    fn is_end(&self, place: Place) -> bool {
        matches!(place, Place::Near(v) | Place::Far(v) if self.to.contains(&v))
    }

    fn is_avoided(&self, place: Place) -> bool {
        match place {
            Place::Near(v) | Place::Far(v) => self.avoided_versions.contains(&v),
            Place::Step(step, _) => self.avoids_trainings && self.graph.kinds[&step].as_str() == "training",
        }
    }

    /// Whether a walk may go on from a place.
    fn goes_on(&self, place: Place, is_first: bool) -> bool {
        is_first || !self.is_avoided(place)
    }

    fn leads_to_end(&self, place: Place, is_first: bool, seen: &mut BTreeSet<Place>) -> bool {
        if self.is_end(place) {
            return true;
        }
        self.goes_on(place, is_first)
            && self.next(place).into_iter().any(|next| seen.insert(next) && self.leads_to_end(next, false, seen))
    }

    /// Every node on any walk.
    fn nodes(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for start in &self.from {
            let mut seen = BTreeSet::new();
            let mut left = vec![(Place::Near(*start), true)];
            while let Some((place, is_first)) = left.pop() {
                if self.leads_to_end(place, is_first, &mut BTreeSet::new()) {
                    found.insert(self.told(place));
                }
                if self.goes_on(place, is_first) {
                    let next = self.next(place).into_iter().filter(|next| seen.insert(*next));
                    left.extend(next.map(|next| (next, false)));
                }
            }
        }
        found
    }

    /// The first walk in order, of those with the fewest events.
    fn shortest(&self) -> Vec<String> {
        for events in 0..=self.graph.kinds.len() {
            let mut all = Vec::new();
            for start in &self.from {
                self.walks(&[Place::Near(*start)], events, &mut all);
            }
            all.sort_by_cached_key(|walk| walk.iter().map(|place| self.key(*place)).collect::<Vec<_>>());
            if let Some(first) = all.first() {
                return first.iter().map(|place| self.told(*place)).collect();
            }
        }
        Vec::new()
    }

    /// Every walk with exactly so many events that goes on from here.
    fn walks(&self, walk: &[Place], events: usize, all: &mut Vec<Vec<Place>>) {
        let here = walk[walk.len() - 1];
        if self.is_end(here) && events == 0 {
            all.push(walk.to_vec());
        }
        if !self.goes_on(here, walk.len() == 1) {
            return;
        }
        for next in self.next(here) {
            let is_step = matches!(next, Place::Step(..));
            if !(walk.contains(&next) || is_step && events == 0) {
                let longer: Vec<Place> = walk.iter().copied().chain([next]).collect();
                self.walks(&longer, events - usize::from(is_step), all);
            }
        }
    }

    fn key(&self, place: Place) -> (u8, String, u32) {
        match place {
            Place::Near(v) | Place::Far(v) => {
                let entity = self.view.entity(v);
                let kind = self.view.entity_kind(entity) as u8;
                (kind, self.view.entity_name(entity).to_owned(), self.view.number(v))
            }
            Place::Step(step, _) => (u8::MAX, String::new(), step),
        }
    }

    fn told(&self, place: Place) -> String {
        match place {
            Place::Near(v) | Place::Far(v) => name(self.view, v),
            Place::Step(step, _) => {
                let mut events = self.view.attempt_events(step);
                events.sort_by_key(|e| (self.view.state(*e).is_terminal(), self.view.time(*e), *e));
                format!("#{} {}", events[events.len() - 1], self.graph.kinds[&step])
            }
        }
    }
}

fn of_kind(view: &View, kind: &str) -> BTreeSet<VersionId> {
    let fits = |v: &VersionId| view.entity_kind(view.entity(*v)).as_str() == kind;
    (0..view.n_versions()).filter(|v| view.has_version(*v)).filter(fits).collect()
}

fn of_name(view: &View, wanted: &str) -> BTreeSet<VersionId> {
    let fits = |v: &VersionId| view.entity_name(view.entity(*v)) == wanted;
    (0..view.n_versions()).filter(|v| view.has_version(*v)).filter(fits).collect()
}

const ENDS: [(&str, &str); 4] = [
    ("(datasets)", "(models)"),
    ("(dataset a)", "(models)"),
    ("(models)", "(datasets)"),
    ("(dataset a)", "(dataset b)"),
];
const AVOIDED: [&str; 3] = ["", " avoiding (dataset b)", " avoiding (trainings)"];

fn set(view: &View, text: &str) -> BTreeSet<VersionId> {
    match text {
        "(datasets)" => of_kind(view, "dataset"),
        "(models)" => of_kind(view, "model"),
        "(dataset a)" => of_name(view, "a"),
        _ => of_name(view, "b"),
    }
}

fn paths_agree(view: &View) -> Result<(), TestCaseError> {
    for (from, to) in ENDS {
        for avoiding in AVOIDED {
            let text = format!("from {from} to {to}{avoiding}");
            let walks = Walks {
                view,
                graph: Graph::of(view),
                from: set(view, from),
                to: set(view, to),
                avoided_versions: if avoiding.contains("dataset b") { of_name(view, "b") } else { BTreeSet::new() },
                avoids_trainings: avoiding.contains("trainings"),
            };
            let paths = asked(view, &format!("paths {text}"));
            // A name that is not there is an error, and no question.
            if paths.error.is_some() {
                continue;
            }
            prop_assert_eq!(paths.rows.into_iter().collect::<BTreeSet<_>>(), walks.nodes(), "paths {}", text);
            let path = asked(view, &format!("path {text}")).rows;
            let nodes: Vec<_> = path.iter().map(|row| row.split(" place=").next().unwrap_or_default()).collect();
            prop_assert_eq!(nodes, walks.shortest(), "path {}", text);
        }
    }
    Ok(())
}

const SETS: [&str; 6] = [
    "models trained on (datasets where version = 1)",
    "artifacts upstream of every (models)",
    "models without a passing audit since their last training",
    "artifacts downstream of only (datasets tagged x) where not tagged x",
    "(models live in prod) union (artifacts derived from (dataset a))",
    "artifacts where tagged x or with an audit",
];

/// What `why` says of the whole is whether it is a member, and of a clause alone, too.
fn reasons_agree(view: &View) -> Result<(), TestCaseError> {
    for text in SETS {
        let members = asked(view, text);
        if members.error.is_some() {
            continue;
        }
        for version in (0..view.n_versions()).filter(|v| view.has_version(*v)) {
            let reference = name(view, version);
            let why = asked(view, &format!("why {reference} in ({text})"));
            let holds = format!("holds={}", members.rows.contains(&reference));
            let whole = why.rows.iter().find(|row| row.contains(" level=0 "));
            prop_assert!(whole.is_some_and(|row| row.contains(&holds)), "{} in {}: {:?}", reference, text, why);
        }
    }
    Ok(())
}

/// What changed is what the two times differ in, and the instant told is the first at which it was otherwise.
fn changes_agree(view: &View) -> Result<(), TestCaseError> {
    let at = |text: &str, minute: u32, second: &str| {
        let rows = asked(view, &format!("({text} as of 2026-11-20T10:{minute:02}:{second}Z)")).rows;
        rows.into_iter().collect::<BTreeSet<String>>()
    };
    for text in ["models", "artifacts tagged x", "models live in prod", "models without a passing audit"] {
        let got = asked(view, &format!("what changed in ({text}) between 2026-11-20T10:10 and 2026-11-20T10:30"));
        prop_assert_eq!(&got.error, &None, "{}", text);
        let (before, after) = (at(text, 9, "59.5"), at(text, 30, "00"));
        let mut told = BTreeSet::new();
        for row in &got.rows {
            let (node, rest) = row.split_once(" change=").unwrap_or_default();
            let added = rest.starts_with("added");
            told.insert((node.to_owned(), added));
            let changed = rest.split_once("changed=2026-11-20T10:").map_or("", |(_, t)| &t[..2]);
            let minute: u32 = changed.parse().unwrap_or_default();
            prop_assert_eq!(at(text, minute, "00").contains(node), added, "{}: {}", text, row);
            for earlier in 10..=minute {
                prop_assert_eq!(at(text, earlier - 1, "59.5").contains(node), !added, "{}: {}", text, row);
            }
        }
        let only = |one: &BTreeSet<String>, other: &BTreeSet<String>, added: bool| {
            one.difference(other).map(|node| (node.clone(), added)).collect::<BTreeSet<_>>()
        };
        let mut expected = only(&after, &before, true);
        expected.extend(only(&before, &after, false));
        prop_assert_eq!(told, expected, "{}", text);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Paths are what trying every walk gives.
    #[test]
    fn paths_are_the_first_of_all_walks(lines in prop::collection::vec(any_line(), 1..12)) {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = play(folder.path(), &sent(&lines), Play::Plain);
        paths_agree(&store.view().expect("a view"))?;
    }

    /// Reasons agree with answers, and changes with answers as of each instant.
    #[test]
    fn reasons_and_changes_agree_with_answers(lines in prop::collection::vec(any_line(), 1..14)) {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = play(folder.path(), &sent(&lines), Play::Plain);
        let view = store.view().expect("a view");
        reasons_agree(&view)?;
        changes_agree(&view)?;
    }
}
