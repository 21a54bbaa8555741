//! Habits from other languages: recognised, translated into a question of ours, and read on where that makes sense.

mod english;
mod operator;
mod pattern;
mod scan;
mod selector;
mod sql;

pub(super) use english::{expected, misspelt_before, singular_before};
pub(super) use operator::read;

use super::diagnostic::Diagnostic;
use super::fix::LONGEST;
use super::value::Span;
use super::words::{PLURALS, SINGULARS};
use scan::{Piece, scan};

/// What a whole statement would be here, if it is one of another language; asked only after it failed to parse.
///
/// `lost` tells whether its own errors do not mend it; only then habits of speech are looked for.
pub(super) fn statement(text: &str, lost: impl Fn() -> bool) -> Option<Diagnostic> {
    if text.len() > LONGEST {
        return None;
    }
    let pieces = scan(text);
    let first = pieces.first()?;
    let told = |(message, fix): (&str, Option<String>)| {
        let told = Diagnostic::new("E0104", message).label(first.span, "another language's spelling");
        match fix {
            Some(fix) => told.fix(fix),
            None => told.help("for example: models trained on dataset churn-raw where accuracy > 0.9"),
        }
    };
    let translated = sql::statement(&pieces).or_else(|| pattern::statement(&pieces));
    let translated = translated.or_else(|| selector::statement(&pieces)).or_else(|| english::phrase(text, &pieces));
    translated.or_else(|| lost().then(|| english::sentence(text, &pieces)).flatten()).map(told)
}

/// The noun that a word of another language names: `Model`, `models`, `model_versions`.
fn noun(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase().replace(['_', '-'], " ");
    let word = word.strip_suffix(" versions").or(word.strip_suffix(" version")).unwrap_or(&word);
    let at = PLURALS.iter().zip(SINGULARS).position(|(plural, singular)| *plural == word || **singular == *word);
    match (at, word) {
        (Some(at), _) => Some(PLURALS[at]),
        (None, "table" | "tables" | "file" | "files" | "data") => Some("datasets"),
        (None, "job" | "jobs" | "task" | "tasks") => Some("runs"),
        (None, "feature" | "features") => Some("feature sets"),
        (None, "person" | "people" | "user" | "users") => Some("agents"),
        _ => None,
    }
}

/// The singular of a noun.
fn singular(plural: &str) -> &'static str {
    let at = PLURALS.iter().position(|known| *known == plural);
    at.map_or("artifact", |at| SINGULARS[at])
}

/// The text of some pieces, with one blank where there were some.
fn join(pieces: &[Piece<'_>]) -> String {
    let mut out = String::new();
    let mut end = pieces.first().map_or(0, |piece| piece.span.start);
    for piece in pieces {
        if piece.span.start > end {
            out.push(' ');
        }
        out.push_str(piece.text);
        end = piece.span.end;
    }
    out
}

/// From the first piece to the last.
fn span_of(pieces: &[Piece<'_>]) -> Span {
    let ends = pieces.first().zip(pieces.last());
    ends.map_or(Span::default(), |(first, last)| first.span.to(last.span))
}
