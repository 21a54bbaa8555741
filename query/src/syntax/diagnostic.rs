//! Errors that teach the right spelling: one type for every stage, with a plain and a JSON form.

use super::value::Span;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write;

/// The widest excerpt of a source line, in characters.
const WIDTH: usize = 160;

/// One error of any stage: E01xx syntax, E02xx names, E03xx attributes and types, E04xx time, E05xx budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// A stable code such as `E0107`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// Places in the source, the main one first.
    pub labels: Vec<(Span, String)>,
    /// What to write instead.
    pub help: Vec<String>,
    /// Background, if it helps.
    pub note: Option<String>,
    /// At most three words that may have been meant.
    pub suggestions: Vec<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            labels: Vec::new(),
            help: Vec::new(),
            note: None,
            suggestions: Vec::new(),
        }
    }

    /// Adds a place.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push((span, text.into()));
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

    /// The main place.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|(span, _)| *span)
    }
}

/// The error as plain lines for terminals without colour, screen readers and logs.
pub fn render_narrated(diagnostic: &Diagnostic, source: &str) -> String {
    let mut out = format!("error[{}]: {}\n", diagnostic.code, printable(&diagnostic.message));
    let mut shown = None;
    for (at, (span, text)) in diagnostic.labels.iter().enumerate() {
        let excerpt = Excerpt::new(source, *span);
        if shown != Some((excerpt.line, excerpt.from)) {
            let _ = writeln!(out, "  | {}", excerpt.text);
            shown = Some((excerpt.line, excerpt.from));
        }
        let text = if at == 0 { with_suggestions(text, &diagnostic.suggestions) } else { text.clone() };
        let line = format!("  | {}{} {}", " ".repeat(excerpt.pad), "^".repeat(excerpt.carets), printable(&text));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if diagnostic.labels.is_empty() && !diagnostic.suggestions.is_empty() {
        let _ = writeln!(out, "  help: {}", with_suggestions("", &diagnostic.suggestions));
    }
    for help in &diagnostic.help {
        let _ = writeln!(out, "  help: {}", printable(help));
    }
    if let Some(note) = &diagnostic.note {
        let _ = writeln!(out, "  note: {}", printable(note));
    }
    out
}

/// The error as an object for programs; `line` and `column` count from 1, columns in characters.
pub fn render_json(diagnostic: &Diagnostic, source: &str) -> Value {
    let labels: Vec<Value> = diagnostic
        .labels
        .iter()
        .map(|(span, text)| {
            let excerpt = Excerpt::new(source, *span);
            json!({ "start": span.start, "end": span.end, "line": excerpt.line, "column": excerpt.column, "text": text })
        })
        .collect();
    json!({
        "code": diagnostic.code,
        "message": diagnostic.message,
        "labels": labels,
        "help": diagnostic.help,
        "note": diagnostic.note,
        "suggestions": diagnostic.suggestions,
    })
}

fn with_suggestions(text: &str, words: &[String]) -> String {
    let Some((first, others)) = words.split_first() else { return text.to_owned() };
    let mut out = if text.is_empty() { String::new() } else { format!("{text}; ") };
    let _ = write!(out, "did you mean `{first}`?");
    for (at, other) in others.iter().enumerate() {
        let _ = write!(out, "{} `{other}`", if at == 0 { " also:" } else { "," });
    }
    out
}

/// Control characters would let a name rewrite the terminal.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}

/// The part of one line that shows a span, with the place of the carets below it.
struct Excerpt {
    line: usize,
    column: usize,
    from: usize,
    text: String,
    pad: usize,
    carets: usize,
}

impl Excerpt {
    fn new(source: &str, span: Span) -> Self {
        let start = floor(source, span.start);
        let end = floor(source, span.end).max(start);
        let line_start = source[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = source[start..].find('\n').map_or(source.len(), |at| start + at);
        let before: Vec<char> = source[line_start..start].chars().collect();
        let from = before.len().saturating_sub(WIDTH / 2);
        let text: String = source[line_start..line_end].chars().skip(from).take(WIDTH).map(blank).collect();
        let carets = source[start..end.min(line_end).max(start)].chars().count();
        let pad = before.len() - from;
        Self {
            line: source[..start].matches('\n').count() + 1,
            column: before.len() + 1,
            from,
            text,
            pad,
            carets: carets.clamp(1, WIDTH - pad),
        }
    }
}

fn blank(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

fn floor(source: &str, at: usize) -> usize {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}
