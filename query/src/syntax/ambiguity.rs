//! The refusals of R1 to R6, each with every unambiguous spelling.

use super::ast::Relation;
use super::check::{self, Mask};
use super::diagnostic::Diagnostic;
use super::parse_clause::{Scope, begins_happened};
use super::parse_value::{begins_name, kind_word};
use super::token::{Res, Tok, Token, Tokens, fail};
use super::value::Span;
use super::words::reserved;

const TAILS: &[&str] = &["as", "known", "including", "order", "limit", "show", "per"];

/// E0107: two nouns could take what begins here.
pub(super) fn unclear(i: Tokens<'_>, scope: &Scope<'_>) -> Diagnostic {
    let what = i.fixed(0);
    let outermost = scope.chain().last().map_or(scope.noun, |outer| outer.noun);
    let mut told = Diagnostic::new("E0107", format!("it is not clear what `{what}` applies to"))
        .label(i.span(), "put parentheses around the inner phrase")
        .label(outermost, "this?")
        .label(scope.noun, "or this?")
        .fix(parenthesise(i, scope.noun.start, i.last_span().end))
        .fix(parenthesise(i, scope.noun.start, end_of_clause(i)));
    if what == "by" {
        told = told.note("`by` is always the agent; groups are `per`");
    }
    told
}

/// E0108: the clause fits only a noun further out.
pub(super) fn needs_comma(i: Tokens<'_>, scope: &Scope<'_>) -> Diagnostic {
    let inner = &i.source[scope.noun.start..scope.noun.end];
    let at = i.last_span().end;
    Diagnostic::new("E0108", format!("`{}` does not fit `{inner}`", word_at(i)))
        .label(i.span(), "put a comma before it to go back to the first noun")
        .label(scope.noun, "the nearest noun")
        .edit(Span::new(at, at), ",")
}

/// E0108: the clause fits no noun here.
pub(super) fn misfit(i: Tokens<'_>, scope: &Scope<'_>) -> Diagnostic {
    let noun = i.source.get(scope.noun.start..scope.noun.end).unwrap_or_default();
    let told = Diagnostic::new("E0108", format!("`{}` does not fit `{noun}`", word_at(i)))
        .label(i.span(), format!("`{noun}` cannot be narrowed by this"));
    if begins_happened(i) {
        let at = i.span().start;
        return told
            .edit(Span::new(at, at), "created ")
            .note("agents and windows alone narrow events, as in `audits by alice`; groups are `per`");
    }
    if i.fixed(0) == "using" && check::subjects(Relation::Trained).meets(scope.mask) {
        return told.edit(i.span(), "trained on").note("events use things; models are trained on them");
    }
    if scope.mask.meets(Mask::EVENTS) && !scope.mask.meets(Mask::VERSIONS) {
        return told.note("events have `using`, `producing`, `about`, `by` and time windows");
    }
    told.note("only models are trained, deployed or live; only events use, produce or concern something")
}

/// E0108: an intersection of different kinds.
pub(super) fn contradiction(span: Span) -> Diagnostic {
    Diagnostic::new("E0108", "nothing can meet all of this: the parts are about different kinds")
        .label(span, "narrowed here to nothing")
        .help("`union` (`|`) joins sets of different kinds")
        .note("only models are trained, deployed or live; only events use, produce or concern something")
}

/// The relation word of the clause that begins here.
fn word_at(i: Tokens<'_>) -> &'static str {
    let mut ahead = usize::from(i.fixed(0) == "not");
    ahead += match i.fixed(ahead) {
        "directly" => 1,
        "within" => 3,
        _ => 0,
    };
    i.fixed(ahead)
}

/// E0107 after a set operator: `where` and commas could mean both operands.
pub(super) fn operator(phrase: Tokens<'_>, operator: Tokens<'_>, i: Tokens<'_>) -> Diagnostic {
    let end = end_of_clause(i);
    let source = i.source;
    let whole = format!("({}){}", &source[..i_end(i)], &source[i_end(i)..]);
    Diagnostic::new("E0107", format!("it is not clear whether `{}` applies to both sets", i.fixed(0)))
        .label(i.span(), "put parentheses around what it applies to")
        .label(operator.span(), "after this operator")
        .fix(parenthesise(i, phrase.span().start, end))
        .fix(whole)
}

/// E0109: a noun where a set must be closed.
pub(super) fn open_noun(i: Tokens<'_>, rest: Tokens<'_>) -> Diagnostic {
    let ends = |token: &Token<'_>| matches!(token.fixed, Some("to" | "avoiding" | ")" | "," | "|" | "&" | "~"));
    let until = nom::Input::position(&i, |token| ends(token) || token.fixed.is_some_and(|word| TAILS.contains(&word)));
    let end = until.map_or(i.source.trim_end().len(), |at| i.skip(at).last_span().end);
    Diagnostic::new("E0109", "a noun needs parentheses here, so that it is clear where it ends")
        .label(rest.span_from(i), "")
        .edit(Span::new(i.span().start, end), format!("({})", &i.source[i.span().start..end]))
}

/// The end of what was read before a connecting comma or `and`.
fn i_end(i: Tokens<'_>) -> usize {
    i.source[..i.span().start].trim_end().trim_end_matches([',']).trim_end().len()
}

/// E0107: `X:: using (Y)` is a clause of `X::` or a closure up to `using(Y)`.
pub(super) fn closure_or_clause(start: Tokens<'_>, i: Tokens<'_>) -> Diagnostic {
    let (from, to) = (start.span().start, i.span().end);
    let word = i.skip(1);
    Diagnostic::new("E0107", format!("it is not clear whether `{}` begins a clause or a function", word.fixed(0)))
        .label(word.span(), "after `::` it could be either")
        .fix(parenthesise(i, from, to))
        .fix(parenthesise(i, word.span().start, end_of_clause(word)))
}

/// E0109: an open noun inside `where`.
pub(super) fn open_in_where(i: Tokens<'_>, after: Tokens<'_>) -> Diagnostic {
    let start = i.span().start;
    Diagnostic::new("E0109", "inside `where` a set needs parentheses, so that it is clear where it ends")
        .label(after.span_from(i), "parentheses around this noun and its clauses")
        .fix(parenthesise(i, start, end_of_clause(after)))
}

/// E0106: set operators mixed without parentheses; `start` is where the first operand begins, `last` the latest one.
pub(super) fn mixed_sets(start: Tokens<'_>, last: Tokens<'_>, i: Tokens<'_>) -> Diagnostic {
    mixed("`union` and another set operator", start, last, i)
}

/// E0106: `and` mixed with `or`.
pub(super) fn mixed_conditions(start: Tokens<'_>, last: Tokens<'_>, i: Tokens<'_>) -> Diagnostic {
    mixed("`and` and `or`", start, last, i)
}

fn mixed(what: &str, start: Tokens<'_>, last: Tokens<'_>, i: Tokens<'_>) -> Diagnostic {
    Diagnostic::new("E0106", format!("{what} are mixed without parentheses"))
        .label(i.span(), "which of the two is applied first?")
        .fix(parenthesise(i, start.span().start, i.last_span().end))
        .fix(parenthesise(i, last.span().start, end_of_operand(i)))
}

/// E0102: a terse function where a clause should be.
pub(super) fn function_as_clause(start: Tokens<'_>, i: Tokens<'_>) -> Diagnostic {
    let at = start.span().start;
    Diagnostic::new(
        "E0102",
        format!(
            "expected a clause, found the function `{}(`",
            i.source[..i.span().start].trim_end().rsplit(' ').next().unwrap_or_default()
        ),
    )
    .label(start.span(), "functions are joined by `&`")
    .edit(Span::new(at, at), "& ")
}

/// E0110: `X and Y`, `X or Y` and `X, Y` between names; `first` is where the names begin.
pub(super) fn refuse_list<'a>(first: Tokens<'a>, i: Tokens<'a>, inside_where: bool) -> Res<'a, ()> {
    let joint = i.fixed(0);
    let named = |i: Tokens<'_>, ahead: usize| {
        kind_word(i, ahead).is_some_and(|(_, plural, length)| !plural && begins_name(i, ahead + length))
            || (begins_name(i, ahead)
                && !(inside_where && i.nth(ahead).is_some_and(|token| token.kind == Tok::Word))
                && !i.nth(ahead).is_some_and(|token| token.kind == Tok::Param && joint == ","))
    };
    let list = match joint {
        "and" | "or" => named(i, 1),
        "," => !inside_where && named(i, 1) && i.fixed(2) != "=",
        _ => false,
    };
    if !list {
        return Ok((i, ()));
    }
    let mut end = i.skip(1);
    end = end.skip(kind_word(end, 0).map_or(0, |(_, _, length)| length) + 1);
    if end.fixed(0) == "@" {
        end = end.skip(2);
    }
    let start = first.span().start;
    let source = i.source;
    let one = &source[start..i.last_span().end];
    let two = &source[i.skip(1).span().start..end.last_span().end];
    let rewrite =
        |word: &str| format!("{}{word} of ({one}, {two}){}", &source[..start], &source[end.last_span().end..]);
    let mut told =
        Diagnostic::new("E0110", format!("`{joint}` does not join names")).label(i.span(), "between two names");
    if source[..start].trim_end().to_ascii_lowercase().ends_with("tagged") {
        let before = source[..start].trim_end().len() - "tagged".len();
        let (front, back) = (&source[..before], &source[end.last_span().end..]);
        let both = if joint == "or" {
            format!("{front}where tagged {one} or tagged {two}{back}")
        } else {
            format!("{front}tagged {one}, tagged {two}{back}")
        };
        return fail(told.fix(both));
    }
    if joint != "or" {
        told = told.fix(rewrite("all"));
    }
    fail(told.fix(rewrite("any")))
}

fn parenthesise(i: Tokens<'_>, from: usize, to: usize) -> String {
    let source = i.source;
    format!("{}({}){}", &source[..from], &source[from..to.max(from)], &source[to.max(from)..])
}

/// Where the operand behind the operator here ends: at the next operator of the other sort.
fn end_of_operand(i: Tokens<'_>) -> usize {
    let same = |word: &str| match i.fixed(0) {
        "and" | "or" => word == i.fixed(0) || !matches!(word, "and" | "or"),
        _ => matches!(word, "union" | "|") == matches!(i.fixed(0), "union" | "|"),
    };
    let (mut depth, mut end) = (0_usize, i.span().end);
    for (ahead, token) in nom::Input::iter_indices(&i) {
        let fixed = token.fixed.unwrap_or_default();
        match fixed {
            "(" | "[" => depth += 1,
            ")" | "]" if depth > 0 => depth -= 1,
            ")" | "]" => break,
            "and" | "or" | "union" | "|" | "intersect" | "&" | "except" | "~" if depth == 0 && !same(fixed) => break,
            _ if depth == 0 && ahead > 0 && TAILS.contains(&fixed) => break,
            _ => {}
        }
        end = token.span.end;
    }
    end
}

/// Where the clause or condition that begins here ends, told by words and brackets alone.
fn end_of_clause(i: Tokens<'_>) -> usize {
    let mut depth = 0_usize;
    let mut end = i.last_span().end;
    for (ahead, token) in nom::Input::iter_indices(&i) {
        let fixed = token.fixed.unwrap_or_default();
        match fixed {
            "(" | "[" => depth += 1,
            ")" | "]" if depth > 0 => depth -= 1,
            ")" | "]" | "," | "union" | "|" | "intersect" | "&" | "except" | "~" if depth == 0 => break,
            _ if depth == 0 && ahead > 0 && TAILS.contains(&fixed) => break,
            _ => {}
        }
        end = token.span.end;
    }
    end
}

/// Whether a word may be a misspelt word of the language, and which.
pub(super) fn misspelt(word: &str, expected: &[&'static str]) -> Vec<String> {
    if reserved(word).is_some() {
        return Vec::new();
    }
    super::suggest::suggest(word, expected.iter().copied().filter(|candidate| candidate.len() > 2))
}
