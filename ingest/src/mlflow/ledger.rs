//! The ledger: what the facts of a log come to by a position; every read of the protocol is answered from it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use lineage_store::Store;
use lineage_store::erasure::Keys;

use super::error::Error;
use super::experiment::Experiments;
use super::fact::{Fact, Pair};
use super::file::Files;
use super::model::Models;
use super::registry::Registry;
use super::run::Runs;

/// Where a fact stands that was too large for its event.
const OUTLINED_FACET: &str = "facets.mlflow";

/// The most measurements of all runs, which take 2.4 GB of memory, and every read has them at hand. Further ones are
/// refused; what other servers on the same store recorded is kept beyond it.
const POINTS_MAX: u64 = 100_000_000;

/// A key of a metric, a parameter or a tag; runs share them.
pub(super) type Key = Arc<str>;

/// Values by their keys.
pub(super) type Values = BTreeMap<Key, Box<str>>;

/// What was said by a position.
///
/// It holds everything in memory: about 2 kB a run with its parameters and tags, and 24 bytes a measurement.
#[derive(Debug)]
pub struct Ledger {
    next: u64,
    /// So many measurements are held.
    points: u64,
    points_max: u64,
    names: Names,
    pub(super) experiments: Experiments,
    pub(super) runs: Runs,
    pub(super) models: Models,
    pub(super) registry: Registry,
    pub(super) files: Files,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::of_at_most(POINTS_MAX)
    }
}

impl Ledger {
    /// An empty ledger with another limit of measurements.
    fn of_at_most(points_max: u64) -> Self {
        Self {
            next: 0,
            points: 0,
            points_max,
            names: Names::default(),
            experiments: Experiments::default(),
            runs: Runs::default(),
            models: Models::default(),
            registry: Registry::default(),
            files: Files::default(),
        }
    }

    /// Refuses so many further measurements if there is no room for them.
    pub(super) fn room(&self, points: usize) -> Result<(), Error> {
        if points as u64 <= self.points_max.saturating_sub(self.points) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "no room for {points} metrics: this server holds {} of at most {} measurements; begin another store \
             with `lineage init`, or log fewer steps",
            self.points, self.points_max
        )))
    }

    /// The position of the first event that is not folded yet.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Folds what a store has recorded since, up to a number of events; what was moved out of events is opened with keys.
    pub fn follow(&mut self, store: &Store, keys: &Keys, count: u64) -> lineage_store::Result<()> {
        let from = self.next;
        store.journal().read_from(from, count.max(from), &mut |record| {
            let position = self.next;
            let outlined = || {
                let values = store.outlined(keys, position).ok()?;
                values.into_iter().find(|(path, _)| path == OUTLINED_FACET).map(|(_, bytes)| bytes)
            };
            self.apply(Fact::of_leaf(record.leaf, outlined));
            Ok(())
        })
    }

    /// Folds the event at the next position; most carry no fact.
    ///
    /// A fact that contradicts what was said before it, as two servers on one store might record, changes nothing.
    pub fn apply(&mut self, fact: Option<Fact>) {
        self.next += 1;
        match fact {
            None => {}
            Some(Fact::Experiment(new)) => self.experiments.add(new),
            Some(Fact::ExperimentChange(change)) => {
                if let Some(deleted) = change.deleted {
                    self.runs.follow_experiment(&change.id, deleted);
                }
                self.experiments.change(change);
            }
            Some(Fact::Run(new)) => self.runs.add(new, &mut self.names),
            Some(Fact::RunChange(change)) => self.runs.change(change, &mut self.names),
            Some(Fact::Logged(logged)) => {
                self.models.measure(&logged);
                self.points += self.runs.log(logged, &mut self.names);
            }
            Some(Fact::RunTagGone { run, key }) => self.runs.untag(&run, &key),
            Some(Fact::Inputs(inputs)) => self.runs.use_inputs(inputs),
            Some(Fact::Outputs { run, models }) => self.runs.output(&run, models),
            Some(Fact::RunModel(model)) => self.runs.log_model(model, &mut self.names),
            Some(Fact::Model(new)) => self.models.add(new),
            Some(Fact::ModelChange(change)) => self.models.change(change),
            Some(Fact::Registered(new)) => self.registry.add(new),
            Some(Fact::RegisteredChange(change)) => self.registry.change(change),
            Some(Fact::Version(new)) => {
                self.models.registered(&new);
                self.registry.add_version(new);
            }
            Some(Fact::VersionChange(change)) => self.registry.change_version(change),
            Some(Fact::Alias { name, alias, version }) => self.registry.alias(&name, &alias, version),
            Some(Fact::File(file)) => self.files.add(file),
            Some(Fact::FileGone { path }) => self.files.remove(&path),
        }
    }
}

/// Keys, each kept once.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<Key>);

impl Names {
    /// The one copy of a key.
    pub(super) fn key(&mut self, text: &str) -> Key {
        if let Some(key) = self.0.get(text) {
            return Arc::clone(key);
        }
        let key: Key = text.into();
        self.0.insert(Arc::clone(&key));
        key
    }

    /// Adds values under their keys.
    pub(super) fn fill(&mut self, values: &mut Values, pairs: Vec<Pair>) {
        for (key, value) in pairs {
            let key = self.key(&key);
            values.insert(key, value.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fact::{Logged, NewRun};
    use super::super::number::Double;
    use super::*;

    #[test]
    fn measurements_have_a_limit_and_are_counted_once() {
        let mut ledger = Ledger::of_at_most(3);
        let run = |id: &str| {
            let text = || id.to_owned();
            let (name, user, tags) = (text(), text(), Vec::new());
            let (experiment, job, artifact_uri) = ("0".to_owned(), "Default".to_owned(), text());
            Fact::Run(NewRun { id: text(), experiment, job, name, user, start: 0, artifact_uri, tags })
        };
        let logged = |key: &str, step: i64| {
            let metrics = vec![(key.to_owned(), Double(0.5), 7, step)];
            Fact::Logged(Logged { run: "r".to_owned(), metrics, ..Logged::default() })
        };
        ledger.apply(Some(run("r")));
        for fact in [logged("a", 0), logged("a", 1), logged("a", 1), logged("a", 0)] {
            ledger.apply(Some(fact));
        }
        assert_eq!(ledger.room(1), Ok(()), "one that is told twice takes no room");
        assert!(ledger.room(2).is_err_and(|error| error.message.contains("holds 2 of at most 3 measurements")));
        ledger.apply(Some(logged("b", 0)));
        assert_eq!((ledger.room(0), ledger.room(1).is_err()), (Ok(()), true));
        ledger.apply(Some(logged("b", 1)));
        assert!(ledger.room(1).is_err() && ledger.runs.found("r").is_ok(), "what is recorded is held");
    }
}
