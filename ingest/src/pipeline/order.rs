//! The order: what is to be run and how, and what a run asks of the program around it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use lineage_store::artifact::Artifacts;
use lineage_store::digest::Blake3;
use lineage_store::event::{EntityKind, Event, State};
use lineage_store::time::Time;

use super::cache::Cache;
use super::news::News;
use super::plan::Capacity;
use super::step::Step;
use crate::run::{RecordError, RunSpec, Values};

/// What is to be run, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// The id of the run; unique within the namespace.
    pub run_id: String,
    /// The runs that it resumes, the latest first.
    pub resumes: Vec<String>,
    /// The parameters.
    pub params: Values,
    /// The folder of the specification, in which steps run.
    pub folder: PathBuf,
    /// The name of the file of the specification.
    pub file: String,
    /// The text of the specification.
    pub text: String,
    /// What every step shares: namespace, actor, environment, store.
    pub base: RunSpec,
    /// The most steps at a time.
    pub jobs: u64,
    /// What the machine can give.
    pub capacity: Capacity,
    /// Whether results may be reused.
    pub reuse: bool,
    /// Steps that run in any case.
    pub refresh: BTreeSet<String>,
    /// Steps that are left out.
    pub left_out: BTreeSet<String>,
    /// Deployments that may run again although it is not known whether they took effect.
    pub redo: BTreeSet<String>,
}

/// The bytes that are known by a digest: kind, namespace and name.
pub type KnownBytes<'a> = &'a (dyn Fn(&Blake3) -> Option<(EntityKind, String, String)> + Sync);

/// What a run of a pipeline asks of the program around it.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The artifacts of the store.
    pub artifacts: &'a Artifacts,
    /// Results of earlier runs.
    pub cache: &'a Cache,
    /// What a digest is known as.
    pub known: KnownBytes<'a>,
    /// Makes events durable, all of them at once.
    pub record: &'a (dyn Fn(&[Event]) -> Result<(), RecordError> + Sync),
    /// The clock.
    pub clock: &'a (dyn Fn() -> Time + Sync),
    /// Whether a step of this run, or of one that it resumes, is approved, as the events say.
    pub approved: &'a (dyn Fn(&Step, &str) -> bool + Sync),
    /// How a deployment of an earlier run ended, by the id of its run: `None` if it never began.
    pub earlier: &'a (dyn Fn(&str) -> Option<State> + Sync),
    /// What happens, for those who watch.
    pub news: &'a (dyn Fn(&News<'_>) + Sync),
}
/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Its start could not be made durable.
    #[error("the start of the run could not be recorded, so nothing was started: {0}")]
    NotRecorded(RecordError),
    /// Its specification could not be stored.
    #[error("the specification cannot be stored: {0}")]
    Store(#[from] lineage_store::StoreError),
    /// The value of a secret would be kept.
    #[error(
        "the value of {name} stands in the specification or in a parameter, where it would be kept; \
         let the steps read the variable {name} itself"
    )]
    Secret {
        /// The variable.
        name: String,
    },
    /// A secret cannot be told from other text.
    #[error("{0}")]
    Unmaskable(crate::run::RunError),
    /// Its lock could not be taken.
    #[error("the lock of the run could not be taken, so nothing was started: {0}")]
    Lock(#[source] std::io::Error),
}
