//! `MLflow`: its tracking server and model registry, as facts in events and answers from what those facts come to.
//!
//! A request that changes something becomes events ([`Pen`]), each with a [`Fact`] in its facet `mlflow` and with what
//! the fact means for the lineage: inputs, outputs, deployments. A request that reads is answered from a [`Ledger`],
//! which is folded from the facts of the log by position. Nothing else is kept, so that a server that starts again, or
//! a second one on the same store, answers the same.

mod body;
mod dataset;
mod error;
pub mod experiment;
mod fact;
pub mod file;
mod filter;
pub mod import;
mod ledger;
pub mod metric;
pub mod model;
mod number;
mod order;
mod page;
mod pen;
pub mod registry;
pub mod run;

use serde::Serialize;

pub use body::Body;
pub use dataset::is_made;
pub use error::{Code, Error};
pub use fact::{FACET, Fact, NewFile};
pub use ledger::Ledger;
pub use pen::{Pen, Stamp, Then, Written};

/// The namespace of everything that `MLflow`'s clients write, as their protocol has none.
pub const NAMESPACE: &str = "default";

/// What a request that reads comes to: a JSON object, or a refusal.
pub type Answer = Result<Vec<u8>, Error>;

/// Answers a request that reads.
pub type Read = fn(&Body, &Ledger) -> Answer;

/// Writes the events of a request that changes something.
pub type Write = fn(&Body, &mut Pen<'_>) -> Result<Then, Error>;

/// The JSON of an answer.
fn answer(value: &impl Serialize) -> Answer {
    serde_json::to_vec(value).map_err(|error| Error::invalid(error.to_string()))
}

/// Whether an experiment or a run is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    Active,
    Deleted,
}

impl Stage {
    fn of(deleted: bool) -> Self {
        if deleted { Self::Deleted } else { Self::Active }
    }

    /// Whether a search wants what is deleted, or is not.
    fn view(word: Option<&str>) -> Result<fn(bool) -> bool, Error> {
        match word {
            None | Some("" | "ACTIVE_ONLY" | "1") => Ok(|deleted| !deleted),
            Some("DELETED_ONLY" | "2") => Ok(|deleted| deleted),
            Some("ALL" | "3") => Ok(|_| true),
            Some(other) => Err(Error::invalid(format!("Invalid view type '{}'", other.escape_debug()))),
        }
    }
}
