//! SQL, and conditions without a noun as in JQL.

use super::super::suggest::quote;
use super::super::words::reserved;
use super::noun;
use super::scan::Piece;

/// Words that begin the parts of a select.
const PARTS: [&str; 9] = ["select", "from", "join", "where", "group", "having", "order", "limit", "offset"];

/// What others call the environments of a model registry.
const ENVIRONMENTS: [&str; 4] = ["prod", "production", "staging", "dev"];

/// A select, or a condition that stands alone.
pub(super) fn statement(pieces: &[Piece<'_>]) -> Option<(&'static str, Option<String>)> {
    let first = pieces.first()?;
    if first.is(&["select"]) || first.is(&["from"]) && pieces.iter().any(|piece| piece.is(&["select"])) {
        let fix = (!pieces.iter().any(|piece| piece.text == "?")).then(|| select(pieces)).flatten();
        return Some(("a question begins with what it asks for, not with `SELECT`", fix));
    }
    let second = pieces.get(1)?;
    if first.is_word() && noun(first.text).is_none() && second.compares() || first.is(&["where"]) {
        return Some(("a question begins with what it asks for; conditions follow `where`", Some(condition(pieces))));
    }
    None
}

/// The pieces between a word and the next part.
fn part<'p, 'a>(pieces: &'p [Piece<'a>], word: &str) -> &'p [Piece<'a>] {
    let Some(at) = pieces.iter().position(|piece| piece.is(&[word])) else { return &[] };
    let rest = &pieces[at + 1..];
    let rest = if rest.first().is_some_and(|piece| piece.is(&["by"])) { &rest[1..] } else { rest };
    let end = rest.iter().position(|piece| piece.is(&PARTS) || piece.text == ";").unwrap_or(rest.len());
    &rest[..end]
}

fn select(pieces: &[Piece<'_>]) -> Option<String> {
    let from = part(pieces, "from");
    let table = from.first()?.bare();
    let plural = noun(table).unwrap_or("models");
    let aliases: Vec<&str> = from.iter().map(|piece| piece.text).filter(|text| *text != "as").collect();
    let group = names(part(pieces, "group"), &aliases);
    let (mut body, mut shown) = (plural.to_owned(), Vec::new());
    for column in part(pieces, "select").split(|piece| piece.text == ",") {
        match column {
            [function, open, inside, ..] if open.text == "(" && function.is(&["max", "min", "avg", "sum"]) => {
                body =
                    format!("{} {} of {plural}", function.text.to_ascii_lowercase(), unaliased(inside.text, &aliases));
            }
            [function, ..] if function.is(&["count"]) => body = format!("count {plural}"),
            [.., name] if name.is_word() && !name.is(&["distinct"]) => {
                shown.push(unaliased(name.text, &aliases).to_owned());
            }
            _ => {}
        }
    }
    let aggregate = body != plural;
    if !group.is_empty() && !aggregate {
        body = format!("count {plural}");
    }
    let condition = conditions(part(pieces, "where"), &aliases);
    let mut out = if condition.is_empty() { body } else { format!("{body} {condition}") };
    if !group.is_empty() {
        out = format!("{out} per {}", group.join(", "));
    }
    for (word, tail) in [("order", "order by"), ("limit", "limit")] {
        let rest = part(pieces, word);
        let orders_groups = aggregate && word == "order";
        if !rest.is_empty() && !orders_groups {
            out = format!("{out} {tail} {}", plain(rest, &aliases));
        }
    }
    if !shown.is_empty() && group.is_empty() && !aggregate {
        out = format!("{out} show {}", shown.join(", "));
    }
    Some(out)
}

/// A list of columns.
fn names(pieces: &[Piece<'_>], aliases: &[&str]) -> Vec<String> {
    pieces.iter().filter(|piece| piece.is_word()).map(|piece| unaliased(piece.text, aliases).to_owned()).collect()
}

/// `m.accuracy` where `m` is the table.
fn unaliased<'t>(text: &'t str, aliases: &[&str]) -> &'t str {
    match text.split_once('.') {
        Some((table, column)) if aliases.contains(&table) => column,
        _ => text,
    }
}

fn plain(pieces: &[Piece<'_>], aliases: &[&str]) -> String {
    let words: Vec<String> = pieces.iter().map(|piece| lower(unaliased(piece.text, aliases))).collect();
    words.join(" ").replace(" ,", ",")
}

/// A word of the language in lower case, anything else as it is.
fn lower(text: &str) -> String {
    reserved(text).unwrap_or(if text.eq_ignore_ascii_case("desc") { "desc" } else { text }).to_owned()
}

/// `where …`, in our words.
pub(super) fn conditions(mut pieces: &[Piece<'_>], aliases: &[&str]) -> String {
    let mut words: Vec<String> = Vec::new();
    while let Some(piece) = pieces.first() {
        let name = unaliased(piece.text, aliases);
        let (word, taken) = match pieces {
            [_, is, not, null, ..] if is.is(&["is"]) && not.is(&["not"]) && null.is(&["null"]) => {
                (format!("has {name}"), 4)
            }
            [_, is, null, ..] if null.is(&["null", "none"]) && (is.is(&["is"]) || is.text == "=") => {
                (format!("not has {name}"), 3)
            }
            [_, is, null, ..] if null.is(&["null", "none"]) && is.compares() => (format!("has {name}"), 3),
            [state, equals, value, ..]
                if state.is(&["status", "state", "stage", "environment", "env"])
                    && matches!(equals.text, "=" | "==")
                    && ENVIRONMENTS.contains(&value.bare().to_ascii_lowercase().as_str()) =>
            {
                (format!("live in {}", value.bare().to_ascii_lowercase()), 3)
            }
            [state, equals, live, ..]
                if state.is(&["status", "state"]) && equals.text.starts_with('=') && live.bare() == "live" =>
            {
                ("live".to_owned(), 3)
            }
            [dataset, equals, value, ..]
                if dataset.is(&["dataset", "trained_on", "training_data", "training_dataset"])
                    && matches!(equals.text, "=" | "==") =>
            {
                (format!("trained on dataset {}", quote(value.bare())), 3)
            }
            _ => (lower(name), 1),
        };
        words.push(word);
        pieces = &pieces[taken..];
    }
    if words.is_empty() { String::new() } else { format!("where {}", words.join(" ")) }
}

/// `type = model and owner = ana order by created`.
fn condition(pieces: &[Piece<'_>]) -> String {
    let pieces = if pieces[0].is(&["where"]) { &pieces[1..] } else { pieces };
    let end = pieces.iter().position(|piece| piece.is(&["order", "limit"])).unwrap_or(pieces.len());
    let (mut plural, mut kept): (&str, Vec<Piece<'_>>) = ("models", Vec::new());
    for term in pieces[..end].split(|piece| piece.is(&["and", "&&"])) {
        match term {
            [key, equals, kind] if key.is(&["type", "kind", "issuetype"]) && matches!(equals.text, "=" | "==") => {
                plural = noun(kind.bare()).unwrap_or("models");
            }
            _ => {
                kept.extend((!kept.is_empty()).then_some(Piece { text: "and", span: super::span_of(term) }));
                kept.extend(term);
            }
        }
    }
    let tail = plain(&pieces[end..], &[]);
    [plural, &conditions(&kept, &[]), &tail]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(" ")
}
