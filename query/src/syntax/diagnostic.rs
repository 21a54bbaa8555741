//! Errors that teach the right spelling: one type for every stage.

use super::value::Span;
use serde::Serialize;

/// One error of any stage: E01xx syntax, E02xx names, E03xx attributes and types, E04xx time, E05xx budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// A stable code such as `E0107`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// Places in the source, the main one first.
    pub labels: Vec<(Span, String)>,
    /// Whole questions to ask instead, each of which parses.
    pub fixes: Vec<String>,
    /// What to write instead, in words.
    pub help: Vec<String>,
    /// Background, if it helps.
    pub note: Option<String>,
    /// At most three words that may have been meant.
    pub suggestions: Vec<String>,
    /// Ways to mend it, the likeliest first: what to write in place of a stretch of the source.
    pub edits: Vec<(Span, String)>,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            labels: Vec::new(),
            fixes: Vec::new(),
            help: Vec::new(),
            note: None,
            suggestions: Vec::new(),
            edits: Vec::new(),
        }
    }

    /// Adds a place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push((span, text.into()));
        self
    }

    /// Adds a whole question to ask instead; one that does not parse is dropped before it is shown.
    #[must_use]
    pub fn fix(mut self, text: impl Into<String>) -> Self {
        self.fixes.push(text.into());
        self
    }

    /// Adds a line of help.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Sets the note.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.note = Some(text.into());
        self
    }

    /// Sets what may have been meant.
    #[must_use]
    pub fn suggest(mut self, words: Vec<String>) -> Self {
        self.suggestions = words;
        self
    }

    /// Adds a way to mend it: what to write in place of a stretch of the source.
    #[must_use]
    pub fn edit(mut self, span: Span, text: impl Into<String>) -> Self {
        self.edits.push((span, text.into()));
        self
    }

    /// The main place.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|(span, _)| *span)
    }
}
