//! Whole questions to ask instead: what the errors say to edit, done, and kept only where the result parses.

use super::diagnostic::Diagnostic;
use super::parse::{parses, read_own};
use super::suggest::quote;
use super::value::Span;

/// A longer text is mended by its author.
pub(super) const LONGEST: usize = 2048;
/// The most questions offered with one error.
const MOST: usize = 3;
/// How often what an edit leads to is mended again.
const ROUNDS: usize = 4;

/// Fills in the questions to ask instead of `text`.
///
/// Each edit of an error is done together with the likeliest edits of the others; what is still wrong then is mended in
/// turn, so that what is offered parses as a whole.
pub fn offer_fixes(text: &str, errors: &mut [Diagnostic]) {
    if text.len() > LONGEST {
        for told in errors {
            told.fixes.clear();
        }
        return;
    }
    for told in &mut *errors {
        let fixes = std::mem::take(&mut told.fixes);
        told.fixes = fixes.into_iter().filter_map(|fix| mended(fix, ROUNDS)).collect();
        told.fixes.dedup();
        if let (Some(span), Some(word), true) = (told.span(), told.suggestions.first(), told.edits.is_empty()) {
            told.edits.push((span, quote(word)));
        }
    }
    let first: Vec<Option<(Span, String)>> = errors.iter().map(|told| told.edits.first().cloned()).collect();
    let mut offered: Vec<String> = Vec::new();
    for (at, told) in errors.iter_mut().enumerate() {
        let others = first.iter().enumerate().filter(|(other, _)| *other != at).filter_map(|(_, edit)| edit.as_ref());
        let others: Vec<&(Span, String)> = others.collect();
        for edit in &told.edits {
            let all: Vec<&(Span, String)> = std::iter::once(edit).chain(others.iter().copied()).collect();
            let mended = edited(text, &all).and_then(|text| mended(text, ROUNDS));
            if let Some(mended) = mended.filter(|mended| !offered.contains(mended)) {
                offered.push(mended.clone());
                told.fixes.push(mended);
            }
        }
        told.fixes.truncate(MOST);
    }
}

/// Whether the edits of its errors mend a text.
pub(super) fn mends(text: &str, errors: &[Diagnostic]) -> bool {
    let edits: Vec<&(Span, String)> = errors.iter().filter_map(|told| told.edits.first()).collect();
    edited(text, &edits).and_then(mended_own).is_some()
}

/// The text once what is wrong with it is mended as its errors say.
pub(super) fn mended_own(text: String) -> Option<String> {
    mended(text, ROUNDS)
}

/// Texts of other languages are not looked for here: what is mended is meant to be ours.
fn mended(text: String, rounds: usize) -> Option<String> {
    let Err(errors) = read_own(&text) else { return Some(text) };
    let rounds = rounds.checked_sub(1)?;
    let whole = errors.iter().flat_map(|told| &told.fixes).find(|fix| parses(fix));
    if let Some(fix) = whole {
        return Some(fix.clone());
    }
    let edits: Vec<&(Span, String)> = errors.iter().filter_map(|told| told.edits.first()).collect();
    let next = edited(&text, &edits).filter(|next| *next != text)?;
    mended(next, rounds)
}

/// The text with edits done; `None` without any, or where two overlap.
fn edited(text: &str, edits: &[&(Span, String)]) -> Option<String> {
    let mut edits = edits.to_vec();
    edits.sort_by_key(|(span, _)| (span.start, span.end));
    edits.dedup();
    let (mut out, mut at) = (String::new(), 0);
    for (span, with) in &edits {
        out.push_str(text.get(at..span.start)?);
        out.push_str(with);
        at = span.end;
    }
    out.push_str(text.get(at..)?);
    (!edits.is_empty()).then(|| out.trim().to_owned())
}
