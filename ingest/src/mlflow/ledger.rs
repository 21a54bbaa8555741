//! The ledger: what the facts of a log come to by a position; every read of the protocol is answered from it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use lineage_store::Store;
use lineage_store::erasure::Keys;

use super::experiment::Experiments;
use super::fact::{Fact, Pair};
use super::file::Files;
use super::model::Models;
use super::registry::Registry;
use super::run::Runs;

/// Where a fact stands that was too large for its event.
const OUTLINED_FACET: &str = "facets.mlflow";

/// A key of a metric, a parameter or a tag; runs share them.
pub(super) type Key = Arc<str>;

/// Values by their keys.
pub(super) type Values = BTreeMap<Key, Box<str>>;

/// What was said by a position.
///
/// It holds everything in memory: about 2 kB a run with its parameters and tags, and 24 bytes a measurement.
#[derive(Debug, Default)]
pub struct Ledger {
    next: u64,
    names: Names,
    pub(super) experiments: Experiments,
    pub(super) runs: Runs,
    pub(super) models: Models,
    pub(super) registry: Registry,
    pub(super) files: Files,
}

impl Ledger {
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
                self.runs.log(logged, &mut self.names);
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
