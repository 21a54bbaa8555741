//! Habits of speech: filler words, verbs of asking, other prepositions, `top 5`, `how many`, singulars that mean a set.

use super::super::ast::Kind;
use super::super::check;
use super::super::diagnostic::Diagnostic;
use super::super::fix::mended_own;
use super::super::parse_clause::{relation_word, shape};
use super::super::parse_value::{begins_name, kind_word};
use super::super::suggest::suggest;
use super::super::token::{Tok, Tokens};
use super::super::value::Span;
use super::super::words::{CLAUSE_WORDS, PLURALS, SINGULARS};
use super::scan::Piece;
use super::{join, noun};

/// Words that say nothing here.
const FILLERS: &[&str] = &[
    "a", "all", "are", "been", "can", "did", "do", "does", "every", "had", "have", "i", "is", "me", "my", "of", "our",
    "please", "that", "the", "there", "to", "was", "we", "were", "what", "which", "who",
];

/// Words that say nothing at the beginning.
const VERBS: &[&str] = &["display", "fetch", "find", "get", "give", "list", "print", "return", "show", "tell"];

/// Prepositions that are taken for one another.
const PREPOSITIONS: &[&str] =
    &["at", "by", "for", "from", "in", "into", "of", "off", "on", "onto", "to", "using", "with", "over", "against"];

/// The statement without an end mark.
fn unmarked<'p, 'a>(pieces: &'p [Piece<'a>]) -> &'p [Piece<'a>] {
    let end = pieces.iter().rposition(|piece| !matches!(piece.text, "?" | ";" | "." | "!"));
    &pieces[..end.map_or(0, |at| at + 1)]
}

/// A turn of speech that has its own words here.
pub(super) fn phrase(text: &str, pieces: &[Piece<'_>]) -> Option<(&'static str, Option<String>)> {
    let pieces = unmarked(pieces);
    let order = counted(pieces).or_else(|| asked(pieces)).or_else(|| ranked(pieces)).or_else(|| grouped(pieces));
    if let Some(fix) = order {
        return Some(("this is said in another order here", Some(fix)));
    }
    if let Some(fix) = lineage(pieces) {
        return Some(("ancestors are `upstream of`, descendants `downstream of`", Some(fix)));
    }
    globbed(text, pieces).map(|fix| ("a name is not a pattern; `like` compares with one", Some(fix)))
}

/// A statement with filler words, or without the noun that it begins with.
pub(super) fn sentence(text: &str, pieces: &[Piece<'_>]) -> Option<(&'static str, Option<String>)> {
    let pieces = unmarked(pieces);
    let first = pieces.first()?;
    let without = fillerless(pieces);
    let mut candidates = [without.clone(), plural_first(&without)].into_iter().filter(|fix| fix != text);
    let fix = candidates.find_map(mended_own);
    if fix.is_some() {
        return Some(("a question begins with what it asks for, and has no filler words", fix));
    }
    if CLAUSE_WORDS.iter().any(|word| first.is(&[word])) {
        let relation = relation_word(&first.text.to_ascii_lowercase());
        let any = relation.is_none_or(|relation| check::subjects(relation).meets(check::kind(Kind::Dataset)));
        let plural = if any { "artifacts" } else { "models" };
        return Some(("a question begins with what it asks for", Some(format!("{plural} {text}"))));
    }
    let verb = first.is(VERBS) || first.is(&["the", "which", "who"]);
    (verb && pieces.len() > 1).then_some(("a question begins with what it asks for", None))
}

/// `how many models …`, `number of models …`.
fn counted(pieces: &[Piece<'_>]) -> Option<String> {
    match pieces {
        [how, many, rest @ ..] if how.is(&["how"]) && many.is(&["many"]) => Some(format!("count {}", fillerless(rest))),
        [number, of, rest @ ..] if number.is(&["number", "amount"]) && of.is(&["of"]) => {
            Some(format!("count {}", fillerless(rest)))
        }
        _ => None,
    }
}

/// `who trained model churn`.
fn asked(pieces: &[Piece<'_>]) -> Option<String> {
    let [who, verb, rest @ ..] = pieces else { return None };
    if !who.is(&["who"]) || rest.is_empty() {
        return None;
    }
    let events = match verb.text.to_ascii_lowercase().as_str() {
        "trained" => "trainings producing",
        "built" | "made" | "created" | "produced" | "wrote" => "runs producing",
        "audited" | "approved" | "reviewed" => "audits about",
        "deployed" | "released" => "deployments about",
        "evaluated" | "tested" => "evaluations about",
        "used" | "uses" | "reads" => "runs using",
        _ => return None,
    };
    Some(format!("{events} {}", fillerless(rest)))
}

/// `top 5 models by accuracy`, `latest model churn`.
fn ranked(pieces: &[Piece<'_>]) -> Option<String> {
    match pieces {
        [rank, count, rest @ ..] if rank.is(&["top", "first", "best"]) && count.text.parse::<u32>().is_ok() => {
            let by = rest.iter().position(|piece| piece.is(&["by"]));
            let set = join(&rest[..by.unwrap_or(rest.len())]);
            let order = by.map(|by| format!(" order by {} desc", join(&rest[by + 1..]))).unwrap_or_default();
            Some(format!("{set}{order} limit {}", count.text))
        }
        [latest, kind, name] if latest.is(&["latest", "newest", "last", "current"]) && noun(kind.text).is_some() => {
            Some(format!("{} {}@latest", kind.text, name.text))
        }
        [latest, name, kind] if latest.is(&["latest", "newest", "last", "current"]) && noun(kind.text).is_some() => {
            Some(format!("{} {}@latest", kind.text, name.text))
        }
        _ => None,
    }
}

/// `models group by owner`, `models sorted by accuracy`.
fn grouped(pieces: &[Piece<'_>]) -> Option<String> {
    let at = pieces
        .windows(2)
        .position(|two| two[1].is(&["by"]) && two[0].is(&["group", "grouped", "sort", "sorted", "ordered"]))?;
    let (set, rest) = (join(&pieces[..at]), join(&pieces[at + 2..]));
    if pieces[at].is(&["group", "grouped"]) {
        let counted = pieces[0].is(&["count", "max", "min", "avg", "sum"]);
        return Some(format!("{}{set} per {rest}", if counted { "" } else { "count " }));
    }
    Some(format!("{set} order by {rest}"))
}

/// `parents of X`, `lineage of X`.
fn lineage(pieces: &[Piece<'_>]) -> Option<String> {
    let [word, of, rest @ ..] = pieces else { return None };
    if !of.is(&["of"]) || rest.is_empty() {
        return None;
    }
    let of = join(rest);
    match word.text.to_ascii_lowercase().as_str() {
        "parents" | "inputs" => Some(format!("artifacts directly upstream of {of}")),
        "ancestors" | "sources" | "dependencies" | "provenance" | "lineage" | "origin" => {
            Some(format!("artifacts upstream of {of}"))
        }
        "children" | "outputs" => Some(format!("artifacts directly downstream of {of}")),
        "descendants" | "dependents" | "consumers" | "impact" => Some(format!("artifacts downstream of {of}")),
        _ => None,
    }
}

/// `models churn*`, `model churn-*`.
fn globbed(text: &str, pieces: &[Piece<'_>]) -> Option<String> {
    let (kind, rest) = pieces.split_first()?;
    let pattern = text.get(rest.first()?.span.start..rest.last()?.span.end)?;
    let one = !pattern.contains(char::is_whitespace) && pattern.contains(['*', '%']);
    let plural = noun(kind.text).filter(|_| one)?;
    Some(format!("{plural} where name like '{}'", pattern.trim_matches(['\'', '"']).replace('*', "%")))
}

/// The statement without words that say nothing here; a preposition that belongs to a relation stays.
fn fillerless(pieces: &[Piece<'_>]) -> String {
    let mut kept: Vec<Piece<'_>> = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| pieces[at]);
        let belongs = piece.is(&["of", "to", "all", "every", "a"]) && !kept.is_empty()
            || before.is_some_and(|before| {
                noun(before.text).is_some() && !before.text.ends_with('s') && piece.is(&["that"])
            });
        let says = if kept.is_empty() { !piece.is(FILLERS) && !piece.is(VERBS) } else { !piece.is(FILLERS) };
        if says || belongs {
            kept.push(*piece);
        }
    }
    join(&kept)
}

/// The statement with its first word as a set.
fn plural_first(text: &str) -> String {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    match noun(first) {
        Some(plural) => format!("{plural} {rest}").trim().to_owned(),
        None => text.to_owned(),
    }
}

/// Ways to mend what stands at the furthest point that the parser reached.
pub(in super::super) fn expected(i: Tokens<'_>, told: Diagnostic) -> Diagnostic {
    let Some(before) = i.back(1) else { return told };
    let here = i.span();
    let found = i.first().map_or("", |token| token.text.as_ref());
    let preposition =
        |i: Option<Tokens<'_>>| i.and_then(|i| relation_word(i.fixed(0))).and_then(|r| shape(r).preposition);
    if let Some(wanted) = preposition(Some(before)) {
        if PREPOSITIONS.contains(&found) && found != wanted {
            return told.edit(here, wanted);
        }
        if begins_name(i, 0) || kind_word(i, 0).is_some() || i.fixed(0) == "(" {
            return told.edit(Span::new(here.start, here.start), format!("{wanted} "));
        }
    }
    let names_attribute = i.kind() == Some(Tok::Word) && i.fixed(0).is_empty();
    match (before.fixed(0), preposition(i.back(2))) {
        ("with" | "using", Some(wanted)) => return told.edit(before.span(), wanted),
        ("with", None) if names_attribute => return told.edit(before.span(), "where"),
        _ => {}
    }
    if let Some((span, text)) = ago(i) {
        return told.edit(span, text);
    }
    if let Some((version, end)) = version(i) {
        return told.edit(Span::new(before.span().end, end), format!("@{version}"));
    }
    if matches!(found, "in" | "on") {
        return told.edit(here, "live in");
    }
    if let Some((start, kind)) = singular_before(i) {
        let (one, many) = (kind.singular(), kind.plural());
        let help = format!("`{many}` means any of them, `{one} NAME` one by name");
        return told.edit(i.span_from(start), many).help(help);
    }
    told
}

/// The singular kind word that ends right before a token.
pub(in super::super) fn singular_before(i: Tokens<'_>) -> Option<(Tokens<'_>, Kind)> {
    (1..=2).find_map(|length| {
        let start = i.back(length)?;
        kind_word(start, 0).filter(|(_, plural, taken)| !plural && *taken == length).map(|(kind, ..)| (start, kind))
    })
}

/// `since last week`, `in last 2 weeks`, `audits last 30 days`: in days and hours.
fn ago(i: Tokens<'_>) -> Option<(Span, String)> {
    let days = |i: Tokens<'_>| match i.first()?.text.to_ascii_lowercase().trim_end_matches('s') {
        "day" => Some(1),
        "week" => Some(7),
        "month" => Some(30),
        "quarter" => Some(91),
        "year" => Some(365),
        _ => None,
    };
    let before = i.back(1)?;
    match (i.fixed(0), before.fixed(0), i.back(2).map_or("", |i| i.fixed(0))) {
        ("last", ..) => Some((i.span(), "in last".to_owned())),
        (_, "last", "since") => Some((before.span().to(i.span()), format!("{} days ago", days(i)?))),
        (_, "last", _) => Some((i.span(), format!("{} days", days(i)?))),
        _ => {
            let count: u32 = before.first()?.text.parse().ok()?;
            Some((before.span().to(i.span()), format!("{} days", count.checked_mul(days(i)?)?)))
        }
    }
}

/// `v3` or `version 3`, and where it ends.
fn version(i: Tokens<'_>) -> Option<(String, usize)> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let first = i.first()?;
    if first.kind == Tok::Word && first.text.strip_prefix('v').is_some_and(digits) {
        return Some((first.text.to_string(), first.span.end));
    }
    let second = i.nth(1).filter(|_| first.text.eq_ignore_ascii_case("version"))?;
    let number = second.text.trim_start_matches('v');
    digits(number).then(|| (format!("v{number}"), second.span.end))
}

/// A word before a token that may be a misspelt noun or verb, and what was meant.
pub(in super::super) fn misspelt_before(i: Tokens<'_>) -> Option<(Span, Vec<String>)> {
    let token = i.back(1)?.first().filter(|token| token.kind == Tok::Word && token.fixed.is_none())?;
    let verbs = ["count", "max", "min", "avg", "sum", "path", "paths", "why", "explain"];
    let words = suggest(&token.text, PLURALS.iter().chain(SINGULARS).copied().chain(verbs));
    (!words.is_empty()).then_some((token.span, words))
}
