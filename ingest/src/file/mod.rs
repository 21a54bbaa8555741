//! Files and streams of events: read in large pieces, translated by threads, appended in batches by the caller.
//!
//! ```text
//! read (documents) ──▶ translate (two threads) ──▶ append (the caller's thread)
//! ```
//! The channels between are short, so memory stays bounded however long the source is.

mod documents;
mod load;
mod own;
mod spool;
#[cfg(test)]
mod tests;
mod translate;

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;

use lineage_store::erasure::Keys;
use lineage_store::time::Time;
use lineage_store::{Store, StoreError};

pub use documents::DOCUMENT_BYTES_MAX;
pub use own::{Recorded, record, spool_events};
pub use spool::{Drained, drain_spool};

/// The format of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Found out for each document.
    #[default]
    Auto,
    /// The native format of EVENTS.md.
    Native,
    /// `OpenLineage`.
    OpenLineage,
}

impl Format {
    /// Every format, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Native, Self::OpenLineage];

    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Native => "native",
            Self::OpenLineage => "openlineage",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or_else(|| {
            format!("`{}` is no format of events; write auto, native or openlineage", text.escape_debug())
        })
    }
}

/// How to read a source, and what to do with what is refused.
pub struct Options<'a> {
    /// The format of its documents.
    pub format: Format,
    /// The actor of events that name none.
    pub actor: String,
    /// The facets that are always moved to payload storage.
    pub seal: Vec<String>,
    /// What is moved there is sealed under these.
    pub keys: Keys,
    /// Whether to stop at the first refusal.
    pub strict: bool,
    /// Whether to read and judge only.
    pub dry_run: bool,
    /// Whether each document is made durable by itself.
    pub commit_each: bool,
    /// What the source is called in reject files.
    pub source: String,
    /// A name for reject and spool files; unique, of letters, digits and `-`, later ones greater.
    pub name: String,
    /// The clock.
    pub now: &'a dyn Fn() -> Time,
}

/// How far the reading has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The documents that were dealt with.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A document that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The source it came from.
    pub source: String,
    /// Its line there, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// What became of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Documents that were recorded.
    pub accepted: u64,
    /// Documents that had been recorded before.
    pub duplicate: u64,
    /// Documents that were refused.
    pub refused: u64,
    /// Documents that wait in the spool because another process held the lock.
    pub spooled: u64,
    /// Events that were recorded; a document may be several.
    pub events: u64,
    /// The first position that was recorded.
    pub first: Option<u64>,
    /// The last position that was recorded.
    pub last: Option<u64>,
    /// Whether reading stopped at a refusal.
    pub stopped: bool,
    /// The file with what was refused.
    pub rejects: Option<PathBuf>,
}

/// Why reading ended early; what was accepted before stays recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The source cannot be read any further.
    #[error("cannot read {name}: {error}")]
    Read {
        /// The source.
        name: String,
        /// Why.
        error: io::Error,
        /// What had been done.
        summary: Box<Summary>,
    },
    /// The store failed.
    #[error("{error}")]
    Store {
        /// Why.
        #[source]
        error: StoreError,
        /// What had been done.
        summary: Box<Summary>,
    },
}

impl IngestError {
    /// What had been done before it.
    pub fn summary(&self) -> &Summary {
        match self {
            Self::Read { summary, .. } | Self::Store { summary, .. } => summary,
        }
    }
}

/// Reads a source to its end and appends its events; each accepted one is durable when it is counted.
pub fn ingest(
    store: &Store,
    source: impl Read + Send + 'static,
    options: &Options<'_>,
    progress: &mut dyn FnMut(Progress),
    on_refused: &mut dyn FnMut(Rejection),
) -> Result<Summary, IngestError> {
    load::run(store, source, options, progress, on_refused)
}
