//! What can go wrong in the store: what was attempted, on what, and why it failed.

use std::io;
use std::path::{Path, PathBuf};

use crate::event::Refusal;

/// The result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused a read or write.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb: `read`, `create`, `sync`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no store at a path.
    #[error("there is no lineage store at {}", path.display())]
    NoStore {
        /// The folder that was looked for.
        path: PathBuf,
    },
    /// A store is there already.
    #[error("there is a lineage store at {} already", path.display())]
    StoreExists {
        /// Its folder.
        path: PathBuf,
    },
    /// Stored bytes are not what was written.
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The store was written by a newer release.
    #[error("{what} has format {found}, newer than this program knows ({known}); use a newer release")]
    UnsupportedVersion {
        /// What has that format.
        what: String,
        /// The format found.
        found: u64,
        /// The highest format known here.
        known: u64,
    },
    /// An earlier write failed, so nothing more is acknowledged until the store is opened again.
    #[error("an earlier write failed; nothing more is acknowledged until the store is opened again")]
    Poisoned,
    /// Another append of the same group failed, and this one with it.
    #[error("{what}")]
    Batch {
        /// The error of the group.
        what: String,
    },
    /// The lock was not had in time.
    #[error("another process holds the lock {} for more than {waited_ms} ms", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long it was waited for, in milliseconds.
        waited_ms: u64,
    },
    /// A position beyond the head was asked for.
    #[error("position {position} is beyond the head; the log holds {count} events")]
    BeyondHead {
        /// The position asked for.
        position: u64,
        /// The number of events in the log.
        count: u64,
    },
    /// An artifact is not stored here.
    #[error("the bytes of {digest} are not stored here")]
    NoArtifact {
        /// Its digest.
        digest: String,
    },
    /// What was asked for has more parts than one answer may have.
    #[error("{what}")]
    TooLarge {
        /// What has how many.
        what: String,
    },
    /// Nothing in the log shows what was to be proven.
    #[error("{what}")]
    Unproven {
        /// What is missing.
        what: String,
    },
    /// An event was refused.
    #[error("{0}")]
    Refused(#[from] Refusal),
}

impl StoreError {
    /// An [`StoreError::Io`] for `map_err`.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// A [`StoreError::Corrupt`].
    pub(crate) fn corrupt(path: impl AsRef<Path>, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt { path: path.as_ref().to_owned(), offset, what: what.into() }
    }

    /// Whether stored bytes are damaged.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }
}
