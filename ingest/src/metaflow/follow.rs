//! Which tasks a task follows: inferred, as the service is not told the graph of a flow.
//!
//! A scheduler starts a task once those before it have ended well. So a task follows the tasks of its run that had
//! ended by then, in the same iteration of each loop that both are in, and that no other one of them follows. It may
//! follow one too many, where branches run side by side, but what it really follows is always among them or before them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::place::Place;
use super::run::Run;

/// A task of a run: step and id.
type Name = (Arc<str>, Arc<str>);

/// The tasks of a run that ended well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Finished {
    n: u32,
    /// By where they stand in loops, with how many had ended before.
    by_path: BTreeMap<String, Vec<(u32, Name)>>,
}

impl Finished {
    /// How many there are.
    pub(super) fn len(&self) -> u32 {
        self.n
    }

    /// Adds one.
    pub(super) fn add(&mut self, path: &str, step: Arc<str>, task: Arc<str>) {
        self.by_path.entry(path.to_owned()).or_default().push((self.n, (step, task)));
        self.n += 1;
    }

    /// Those among the first so many that are in no other iteration of a loop than a place in loops.
    fn beside(&self, path: &str, first: u32) -> Vec<&Name> {
        let outside = path.match_indices(',').map(|(at, _)| &path[..at]).chain([path]).chain([""]);
        let outside: BTreeSet<&str> = outside.collect();
        let within = if path.is_empty() { String::new() } else { format!("{path},") };
        let inside = self.by_path.range(within.clone()..).take_while(|(own, _)| own.starts_with(&within));
        let inside = inside.filter(|(own, _)| !outside.contains(own.as_str()));
        let all = outside.iter().filter_map(|own| self.by_path.get(*own)).chain(inside.map(|(_, list)| list));
        all.flatten().filter(|(n, _)| *n < first).map(|(_, name)| name).collect()
    }
}

impl Run {
    /// The tasks that a task follows, as `RUN/STEP/TASK`, if it stands at a place in loops.
    pub(super) fn before(&self, place: &Place, path: &str) -> Vec<String> {
        let Some(task) = self.task(&place.step, &place.task) else { return Vec::new() };
        let ended = self.finished.beside(path, task.after);
        let within = |(step, task): &Name| place.clone().step(&**step).task(&**task).within();
        let mut earlier: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut next: Vec<&Arc<str>> = ended.iter().flat_map(|name| self.follows(name)).collect();
        while let Some(spec) = next.pop() {
            let other = Place::task_of(&place.flow, spec).filter(|other| other.run == place.run);
            if earlier.insert(Arc::clone(spec))
                && let Some(Place { step, task, .. }) = other
            {
                next.extend(self.follows(&(step.into(), task.into())));
            }
        }
        let mut before: Vec<String> = ended.into_iter().map(within).collect();
        before.retain(|spec| !earlier.contains(spec.as_str()) && *spec != place.within());
        before.sort();
        before
    }

    fn follows(&self, (step, task): &Name) -> &[Arc<str>] {
        self.task(step, task).map_or(&[], |task| &task.follows)
    }
}
