//! Exit codes, and how every failure becomes one of them with a line of help.

use std::fmt;
use std::io;

use lineage_ingest::file::IngestError;
use lineage_ingest::run::RunError;
use lineage_store::StoreError;
use lineage_store::event::Refusal;

/// The exit codes, one contract for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Done.
    Done,
    /// An expectation failed, or bytes are unknown.
    Unmet,
    /// Usage or syntax, or a position beyond the head.
    Usage,
    /// An unknown or ambiguous name.
    Name,
    /// The store is damaged.
    Damaged,
    /// Over budget.
    Budget,
    /// Refused or failed otherwise, or spooled.
    Failed,
    /// Waiting for an approval.
    Waiting,
    /// Interrupted.
    Interrupted,
    /// What a command that was run exited with.
    Child(u8),
}

impl ExitCode {
    /// The number.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Unmet => 1,
            Self::Usage => 2,
            Self::Name => 3,
            Self::Damaged => 4,
            Self::Budget => 5,
            Self::Failed => 6,
            Self::Waiting => 7,
            Self::Interrupted => 130,
            Self::Child(code) => code,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

/// A failure that a command explains itself.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: ExitCode,
    message: String,
    help: Option<String>,
}

impl Problem {
    /// A failure without help.
    pub(crate) fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None }
    }

    /// Wrong usage.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, message)
    }

    /// An unknown or ambiguous name.
    pub(crate) fn name(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Name, message)
    }

    /// Refused, or failed otherwise.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Failed, message)
    }

    /// Says what to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// What is said about a failure: code, message, help. `None` for a reader that went away.
pub(crate) fn explain(error: &anyhow::Error) -> Option<(ExitCode, String, Option<String>)> {
    if is_closed_pipe(error) {
        return None;
    }
    let (code, help) = match error.chain().find_map(judge) {
        Some((code, help)) => (code, help),
        None => (ExitCode::Failed, None),
    };
    Some((code, one_line(error), help))
}

fn judge(cause: &(dyn std::error::Error + 'static)) -> Option<(ExitCode, Option<String>)> {
    if let Some(problem) = cause.downcast_ref::<Problem>() {
        return Some((problem.code, problem.help.clone()));
    }
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return Some((code_of(error), help_of(error)));
    }
    if let Some(IngestError::Store { error, .. }) = cause.downcast_ref::<IngestError>() {
        return Some((code_of(error), help_of(error)));
    }
    if let Some(RunError::Store(error)) = cause.downcast_ref::<RunError>() {
        return Some((ExitCode::Child(125), help_of(error)));
    }
    if cause.is::<RunError>() {
        return Some((ExitCode::Child(125), None));
    }
    cause.is::<Refusal>().then_some((ExitCode::Failed, None))
}

/// The code of a failure of the store.
pub(crate) fn code_of(error: &StoreError) -> ExitCode {
    match error {
        StoreError::Corrupt { .. } => ExitCode::Damaged,
        StoreError::BeyondHead { .. } => ExitCode::Usage,
        _ => ExitCode::Failed,
    }
}

fn help_of(error: &StoreError) -> Option<String> {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let help = match error {
        StoreError::NoStore { .. } => "make one with `lineage init`, or name one with `--store DIR`",
        StoreError::StoreExists { .. } => "look at it with `lineage status`",
        StoreError::Corrupt { .. } => "see what is wrong with `lineage verify`, mend it with `lineage verify --repair`",
        StoreError::Poisoned | StoreError::Locked { .. } => "run the command again",
        StoreError::BeyondHead { .. } => "see the last positions with `lineage log`",
        StoreError::NoArtifact { .. } => {
            "only its digest is known here; `lineage add` or `lineage run` stores the bytes of files"
        }
        StoreError::Io { source, .. } => match source.kind() {
            PermissionDenied | ReadOnlyFilesystem => {
                "the folder cannot be written; commands that only read work all the same"
            }
            StorageFull | QuotaExceeded => "make room on the disk; nothing that was acknowledged is lost",
            _ => return None,
        },
        _ => return None,
    };
    Some(help.to_owned())
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        cause.downcast_ref::<io::Error>().is_some_and(closed)
    })
}

/// The message with its causes, each said once.
fn one_line(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn failures_have_their_codes() {
        let code = |error: anyhow::Error| explain(&error).map(|(code, ..)| code.number());
        assert_eq!(code(Problem::name("x").into()), Some(3));
        assert_eq!(code(StoreError::BeyondHead { position: 9, count: 1 }.into()), Some(2));
        assert_eq!(code(RunError::Spec("x".to_owned()).into()), Some(125));
        assert_eq!(code(anyhow::anyhow!("x")), Some(6));
        let wrapped: anyhow::Result<()> = Err(Problem::usage("inner")).context("outer");
        let (code, text, _) = explain(&wrapped.expect_err("an error")).expect("told");
        assert_eq!((code, text.as_str()), (ExitCode::Usage, "outer: inner"));
        assert!(explain(&io::Error::from(io::ErrorKind::BrokenPipe).into()).is_none());
    }
}
