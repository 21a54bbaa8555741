//! What is wrong with a specification: where it stands, why, and how to mend it.

use std::fmt;
use std::ops::Range;

/// One thing that is wrong with a specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The bytes of the text that it is about.
    pub span: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub help: String,
}

impl Problem {
    /// A problem with its remedy.
    pub fn new(span: Range<usize>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span, what: what.into(), help: help.into() }
    }

    /// The line and column at which it begins in its text, both from 1; columns count characters.
    pub fn place(&self, text: &str) -> (usize, usize) {
        let before = text.get(..self.span.start).unwrap_or(text);
        let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }

    /// One line of text: `FILE:LINE:COLUMN: what; help`.
    pub fn told<'a>(&'a self, file: &'a str, text: &str) -> impl fmt::Display + use<'a> {
        let (line, column) = self.place(text);
        Told { problem: self, file, line, column }
    }
}

struct Told<'a> {
    problem: &'a Problem,
    file: &'a str,
    line: usize,
    column: usize,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { problem, file, line, column } = self;
        write!(f, "{file}:{line}:{column}: {}; {}", problem.what, problem.help)
    }
}

/// The words of a list that are nearest to one that is not in it, as a remedy.
pub(super) fn did_you_mean<'a>(word: &str, valid: impl IntoIterator<Item = &'a str>) -> String {
    let valid: Vec<&str> = valid.into_iter().collect();
    let near =
        |other: &&&str| strsim::damerau_levenshtein(word, other) <= (word.len() / 3).max(1) || begins(word, other);
    match valid.iter().filter(near).min_by_key(|other| strsim::damerau_levenshtein(word, other)) {
        Some(other) => format!("did you mean `{other}`?"),
        None if valid.is_empty() => "there is none".to_owned(),
        None => format!("valid are {}", listed(&valid)),
    }
}

/// Whether one word begins as the other does: `train` for `training`.
fn begins(word: &str, other: &str) -> bool {
    word.len() >= 3 && (other.starts_with(word) || word.starts_with(other))
}

/// At most a dozen words, and how many more there are.
fn listed(words: &[&str]) -> String {
    const SHOWN: usize = 12;
    let more = words.len().saturating_sub(SHOWN);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{tail}", words[..words.len() - more].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters() {
        let text = "a = 1\nüb = 2\n";
        let problem = Problem::new(9..10, "wrong", "mend it");
        assert_eq!(problem.place(text), (2, 3));
        assert_eq!(problem.told("p.toml", text).to_string(), "p.toml:2:3: wrong; mend it");
    }

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_lists_what_is_valid() {
        let words = ["training", "transform", "audit"];
        assert_eq!(did_you_mean("train", words), "did you mean `training`?");
        assert_eq!(did_you_mean("audti", words), "did you mean `audit`?");
        assert_eq!(did_you_mean("xyz", words), "valid are training, transform, audit");
        assert_eq!(did_you_mean("xyz", []), "there is none");
    }
}
