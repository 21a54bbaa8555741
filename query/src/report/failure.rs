//! Why there is no report.

use std::io;
use std::path::{Path, PathBuf};

use lineage_store::StoreError;
use lineage_store::time::Time;

use super::schema::Table;
use crate::engine::QueryError;
use crate::output::OutputError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The operating system refused a read or write.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder has something in it.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The increment begins beyond the end.
    #[error("the log has {size} events up to there, so nothing begins at position {since}")]
    Since {
        /// Where it was to begin.
        since: u64,
        /// How many events count.
        size: u64,
    },
    /// The instant lies after everything that is recorded.
    #[error("nothing is recorded of {as_of}: the last event that counts was recorded {recorded}")]
    Ahead {
        /// The instant asked for.
        as_of: Time,
        /// The last instant that can be asked for.
        recorded: Time,
    },
    /// A manifest does not say how its tables were made.
    #[error("manifest.json: {what}")]
    Manifest {
        /// What is wrong.
        what: String,
    },
    /// A text is no set of versions.
    #[error("`{text}` does not select versions")]
    NoSet {
        /// The text.
        text: String,
    },
    /// A text selects no model.
    #[error("`{text}` selects no model")]
    NoModel {
        /// The text.
        text: String,
    },
    /// A question has no answer.
    #[error("{error}")]
    Query {
        /// The question.
        text: String,
        /// Why.
        #[source]
        error: QueryError,
    },
    /// A row does not fit its schema.
    #[error("a row of `{table}` does not fit its schema: {what}")]
    Row {
        /// The table.
        table: &'static str,
        /// What does not fit.
        what: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl ReportError {
    /// Wraps an error of the operating system.
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }

    pub(super) fn row(table: &Table, what: impl Into<String>) -> Self {
        Self::Row { table: table.name, what: what.into() }
    }

    /// Whether the index is damaged, so that the journal is to be asked.
    pub fn is_corrupt(&self) -> bool {
        match self {
            Self::Store(error) | Self::Query { error: QueryError::Store(error), .. } => error.is_corrupt(),
            _ => false,
        }
    }
}
