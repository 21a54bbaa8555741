//! What may stand at the cursor, from the same record of the furthest failure that errors use.

use super::ast::Kind;
use super::check;
use super::failure::NamePosition;
use super::lexer::lex;
use super::parse::{furthest_of, read_own};
use super::token::Tok;
use super::value::Span;
use super::words::{NOUN_KINDS, PLURALS, SINGULARS};

/// What completion offers at a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The part of the text that a candidate replaces; empty at a fresh word.
    pub replace: Span,
    /// Words and symbols of the language, sorted; not yet filtered by what is already typed.
    pub keywords: Vec<&'static str>,
    /// What kind of name fits, if one does.
    pub names: Option<NamePosition>,
    /// The kinds that fit where an operand stands; empty: any.
    pub kinds: Vec<Kind>,
}

/// Whether a word can follow a text that ends before it: false where it fits no noun there.
pub fn takes(before: &str, word: &str) -> bool {
    let text = format!("{} {word}", before.trim_end());
    let at = text.len() - word.len();
    let told = read_own(&text).err().unwrap_or_default();
    !told.iter().any(|told| told.code == "E0108" && told.span().is_some_and(|span| span.start >= at))
}

/// What may stand at byte `cursor` of `text`; what follows the cursor is not looked at.
pub fn expected_at(text: &str, cursor: usize) -> Expected {
    let mut cursor = cursor.min(text.len()).min(super::parse::MAX_BYTES);
    while !text.is_char_boundary(cursor) {
        cursor -= 1;
    }
    let before = &text[..cursor];
    let mut tokens = lex(before).tokens;
    let mut start = cursor;
    let mut joins = false;
    match tokens.last() {
        Some(token) if token.span.end == cursor && !matches!(token.kind, Tok::Symbol | Tok::Param) => {
            start = token.span.start;
            tokens.pop();
        }
        last => {
            // A text that is still being quoted is no token yet; neither is a word with a dot or dash at its end.
            let from = last.map_or(0, |token| token.span.end);
            let rest = &before[from..];
            if let Some(at) = rest.find(['\'', '"']) {
                start = from + at;
            } else if let Some(token) = last.filter(|_| matches!(rest, "." | "-" | "/")) {
                start = token.span.start;
                joins = true;
            }
        }
    }
    if joins || tokens.last().is_some_and(|token| token.fixed == Some(".") && token.span.end == start) {
        let ends_in_dot = tokens.last().is_some_and(|token| token.fixed == Some("."));
        tokens.truncate(tokens.len().saturating_sub(1 + usize::from(ends_in_dot)));
        start = tokens_end(before, &tokens, start);
    }
    let shared = furthest_of(before, &tokens);
    let furthest = shared.furthest.into_inner();
    let replace = Span::new(start, cursor);
    if furthest.at != tokens.len() {
        return Expected { replace, keywords: Vec::new(), names: None, kinds: Vec::new() };
    }
    let mut keywords: Vec<&'static str> = Vec::new();
    for (label, words) in furthest.expected {
        if words.is_empty() {
            keywords.push(label);
        }
        keywords.extend(words);
    }
    keywords.retain(|word| !word.is_empty());
    keywords.sort_unstable();
    keywords.dedup();
    let fits = |kind: &Kind| furthest.operand.is_some_and(|mask| check::kind(*kind).meets(mask));
    // A run and an event are umbrellas of the kinds before them.
    let leaves = NOUN_KINDS.into_iter().filter(|kind| !matches!(kind, Kind::Run | Kind::Event));
    let kinds: Vec<Kind> = leaves.filter(fits).collect();
    if let Some(mask) = furthest.operand {
        let noun = |word: &str| PLURALS.iter().chain(SINGULARS).position(|noun| *noun == word);
        keywords.retain(|word| noun(word).is_none_or(|at| check::kind(NOUN_KINDS[at % PLURALS.len()]).meets(mask)));
    }
    Expected { replace, keywords, names: furthest.names, kinds }
}

/// The start of the first word after these tokens.
fn tokens_end(text: &str, tokens: &[super::token::Token<'_>], otherwise: usize) -> usize {
    let end = tokens.last().map_or(0, |token| token.span.end);
    text.get(end..).map_or(otherwise, |rest| end + rest.len() - rest.trim_start().len())
}
