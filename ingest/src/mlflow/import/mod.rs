//! Import: the history of another tracking server, read from it or from its database, and written as if it came from
//! clients.
//!
//! Every event has an id made of what it says, so that an import that is repeated records only what is new, whichever
//! way it comes.

mod database;
mod files;
mod registry;
mod remote;
mod source;
mod tracking;

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use lineage_store::artifact::Stored;
use lineage_store::digest::Blake3;
use lineage_store::event::Event;

use super::error::Error;
use super::fact::{RunChange, Tag};
use super::ledger::Ledger;
use super::pen::{Pen, Stamp, Then, Written, time};

pub use database::{Database, Folders};
pub use remote::Peer;
use remote::Remote;
use source::Source;

/// Why an import ended early; what was recorded by then stays.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The other server, or its database, cannot be read.
    #[error("{0}")]
    Source(String),
    /// What it says contradicts what is recorded here, or is no history.
    #[error("{what}: {error}")]
    Refused {
        /// What it says it of.
        what: String,
        /// Why.
        error: Error,
    },
    /// The store cannot be written to.
    #[error(transparent)]
    Store(#[from] lineage_store::StoreError),
}

/// The store into which it is imported.
pub trait Target {
    /// Records events, those of them that are new, and brings the ledger up to them.
    fn record(&mut self, ledger: &mut Ledger, written: Written) -> Result<(), ImportError>;

    /// Stores the bytes of a file.
    fn store(&mut self, bytes: &mut dyn Read) -> Result<Stored, ImportError>;

    /// Whether some event produced a version of a dataset: namespace, name.
    fn is_made(&self, namespace: &str, name: &str) -> bool;
}

/// What an import met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Experiments.
    pub experiments: u64,
    /// Runs.
    pub runs: u64,
    /// Measurements.
    pub points: u64,
    /// Logged models.
    pub models: u64,
    /// Versions of registered models.
    pub versions: u64,
    /// Files that were not here.
    pub files: u64,
    /// What was not brought in, and how much of it.
    pub left: BTreeMap<String, u64>,
}

/// How an import goes.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Who does it.
    pub actor: &'a str,
    /// Whether files are brought in, too.
    pub with_files: bool,
}

/// Imports everything that a server tells; `ledger` is what is recorded here.
pub fn from_server(
    peer: &mut dyn Peer,
    target: &mut dyn Target,
    ledger: Ledger,
    order: Order<'_>,
) -> Result<Met, ImportError> {
    import(&mut Remote(peer), target, ledger, order)
}

/// Imports everything that a database holds, as if its server told it.
pub fn from_database(
    database: &mut Database,
    target: &mut dyn Target,
    ledger: Ledger,
    order: Order<'_>,
) -> Result<Met, ImportError> {
    import(database, target, ledger, order)
}

fn import(
    source: &mut dyn Source,
    target: &mut dyn Target,
    ledger: Ledger,
    order: Order<'_>,
) -> Result<Met, ImportError> {
    let mut import = Import {
        ledger,
        source,
        target,
        order,
        ours: HashMap::new(),
        used: Vec::new(),
        ends: Vec::new(),
        met: Met::default(),
    };
    for theirs in import.experiments()? {
        import.runs(&theirs)?;
        import.models(&theirs)?;
    }
    import.models_used()?;
    import.registry()?;
    import.ends()?;
    for (n, what) in import.source.beside().map_err(ImportError::Source)? {
        import.leave(what.to_owned(), n);
    }
    Ok(import.met)
}

struct Import<'a> {
    ledger: Ledger,
    source: &'a mut dyn Source,
    target: &'a mut dyn Target,
    order: Order<'a>,
    /// Ids of their experiments and of ours.
    ours: HashMap<String, String>,
    /// Runs and the logged models that they used, told once all models are.
    used: Vec<(String, Vec<String>)>,
    /// The ends of runs, told last, when it is known which models were registered.
    ends: Vec<RunChange>,
    met: Met,
}

impl Import<'_> {
    /// Writes events that happened at an instant, under ids made of what they say.
    fn write(
        &mut self,
        what: &str,
        now: i64,
        write: impl FnOnce(&mut Pen<'_>) -> Result<(), Error>,
    ) -> Result<(), ImportError> {
        let refused = |error| ImportError::Refused { what: what.to_owned(), error };
        let target = &*self.target;
        let is_made = |namespace: &str, name: &str| target.is_made(namespace, name);
        // Nothing is named by chance, as every id is theirs or made of what is said.
        let stamp = Stamp { now, actor: self.order.actor, chance: &|| [0; 16], is_made: &is_made };
        let mut pen = Pen::new(&self.ledger, stamp);
        write(&mut pen).map_err(refused)?;
        for (n, event) in pen.events.iter_mut().enumerate() {
            event.time = event.time.or(time(now));
            name(event, what, now, n);
        }
        let written = pen.finish(Then::Empty).map_err(refused)?;
        if written.events.is_empty() { Ok(()) } else { self.target.record(&mut self.ledger, written) }
    }

    /// Counts what is not brought in.
    fn leave(&mut self, what: String, n: u64) {
        if n > 0 {
            *self.met.left.entry(what).or_default() += n;
        }
    }
}

/// Gives an event an id made of what it says; one that only follows from others has one made of what it is about.
fn name(event: &mut Event, what: &str, now: i64, n: usize) {
    let numbered = ["mlflow/experiment/", "mlflow/version/"];
    if event.id.as_deref().is_some_and(|id| numbered.iter().any(|prefix| id.starts_with(prefix))) {
        return;
    }
    let said = if event.facets.is_empty() { format!("{what} {now} {n}") } else { event.facets.as_str().to_owned() };
    event.id = Some(format!("mlflow/import/{}", Blake3::of(said.as_bytes()).hex()));
}

/// Tags or parameters in the order of their keys, as sources list them in any.
fn sorted(mut tags: Vec<Tag>) -> Vec<Tag> {
    tags.sort_by(|a, b| a.key.cmp(&b.key));
    tags
}
