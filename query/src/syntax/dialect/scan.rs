//! Any text as words, quoted texts and marks: enough to recognise a statement of another language.

use super::super::value::Span;

/// A word, a quoted text with its quotes, or a mark.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    pub(super) span: Span,
}

/// Marks of more than one character.
const MARKS: [&str; 9] = ["->", "<-", "==", "!=", "<>", ">=", "<=", "&&", "||"];

impl<'a> Piece<'a> {
    /// Whether it is one of these words, in any case.
    pub(super) fn is(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.text.eq_ignore_ascii_case(word))
    }

    /// Whether it is a word.
    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    }

    /// Whether it compares.
    pub(super) fn compares(&self) -> bool {
        matches!(self.text, "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=") || self.is(&["like", "in"])
    }

    /// What is inside the quotes, or the word itself.
    pub(super) fn bare(&self) -> &'a str {
        let quoted = |c: char| self.text.len() > 1 && self.text.starts_with(c) && self.text.ends_with(c);
        if quoted('\'') || quoted('"') || quoted('`') { &self.text[1..self.text.len() - 1] } else { self.text }
    }
}

/// The pieces of a text.
pub(super) fn scan(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        } else if first.is_alphanumeric() || first == '_' {
            let run = rest.find(|c: char| !(c.is_alphanumeric() || "_-./%*".contains(c))).unwrap_or(rest.len());
            rest[..run].trim_end_matches(['-', '.', '/', '*']).len()
        } else if let Some(close) = matches!(first, '\'' | '"' | '`').then(|| rest[1..].find(first)).flatten() {
            close + 2
        } else {
            MARKS.iter().find(|mark| rest.starts_with(**mark)).map_or(first.len_utf8(), |mark| mark.len())
        };
        pieces.push(Piece { text: &rest[..length], span: Span::new(at, at + length) });
        at += length;
    }
    pieces
}
