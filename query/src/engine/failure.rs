//! Why a statement has no answer.

use lineage_store::StoreError;

use crate::output::OutputError;
use crate::syntax::{Diagnostic, offer_fixes};

/// What kind of failure it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The text is not a statement, or a time, type or parameter is wrong (exit 2).
    Syntax,
    /// A name or attribute is unknown or ambiguous (exit 3).
    Name,
    /// The store is damaged (exit 4).
    Integrity,
    /// A budget was exceeded (exit 5).
    Budget,
    /// Anything else (exit 6).
    Other,
}

/// Why a statement has no answer: what was wrong with it, or what failed beneath it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The statement is wrong; every diagnostic points at its text.
    #[error("{}", diagnostics.first().map_or("the statement is wrong", |d| d.message.as_str()))]
    Statement {
        /// What kind of failure.
        class: Class,
        /// What is wrong, and what would be right.
        diagnostics: Vec<Diagnostic>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rows could not be built.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl QueryError {
    /// A failure with one diagnostic; its code decides the class.
    pub(crate) fn of(diagnostic: Diagnostic) -> Self {
        let class = match &diagnostic.code[..3] {
            "E02" => Class::Name,
            "E03" if matches!(diagnostic.code, "E0301" | "E0302") => Class::Name,
            "E05" => Class::Budget,
            _ => Class::Syntax,
        };
        Self::Statement { class, diagnostics: vec![diagnostic] }
    }

    /// The same with whole questions to ask instead.
    pub(crate) fn with_fixes(mut self, text: &str) -> Self {
        if let Self::Statement { diagnostics, .. } = &mut self {
            offer_fixes(text, diagnostics);
        }
        self
    }

    /// What kind of failure it is.
    pub fn class(&self) -> Class {
        match self {
            Self::Statement { class, .. } => *class,
            Self::Store(error) if error.is_corrupt() => Class::Integrity,
            Self::Store(_) | Self::Output(_) => Class::Other,
        }
    }

    /// What is wrong with the statement; empty if something beneath it failed.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Statement { diagnostics, .. } => diagnostics,
            _ => &[],
        }
    }
}

impl From<Diagnostic> for QueryError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::of(diagnostic)
    }
}
