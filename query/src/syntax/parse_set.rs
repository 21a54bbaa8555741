//! Sets: phrases joined by set operators, heads, and what may stand alone.

use super::ambiguity;
use super::ast::{At, Closure, Saved, Set};
use super::check::{self, Mask};
use super::diagnostic::Diagnostic;
use super::failure::NamePosition;
use super::parse_bool::{bool_expr, bracket};
use super::parse_clause::{Scope, clause, peek_clause};
use super::parse_func::{func, is_func};
use super::parse_value::{begins_name, kind_word, name, noun, reference, value, version};
use super::token::{MAX_DEPTH, Res, Tokens, fail, too_deep, unexpected, word};
use super::value::{KnownAt, Name, Span, TimeExpr, Value};
use nom::Parser;
use nom::combinator::cut;
use nom::multi::separated_list1;
use nom::sequence::{delimited, separated_pair};

/// `set = phrase , { setop , phrase }`, without mixing `union` and the others (R4).
pub(super) fn set(i: Tokens<'_>) -> Res<'_, Set> {
    let (start, mut last) = (i, i);
    let (mut i, mut left) = phrase(i, None)?;
    let mut mask = check::of(&left);
    let mut first_union = None;
    loop {
        let union = match i.fixed(0) {
            "union" | "|" => true,
            "intersect" | "&" | "except" | "~" => false,
            _ => {
                i.expect("a set operator", &["union", "intersect", "except"]);
                return Ok((i, left));
            }
        };
        if *first_union.get_or_insert(union) != union {
            return fail(ambiguity::mixed_sets(start, last, i));
        }
        last = i.skip(1);
        let (rest, right) = phrase(last, Some(i))?;
        left = match i.fixed(0) {
            "union" | "|" => left.or(right),
            "except" | "~" => left.and(Set::Not(Box::new(right))),
            _ => {
                mask = mask.and(check::of(&right));
                left.and(right)
            }
        };
        if mask.is_empty() {
            return fail(ambiguity::contradiction(i.span()));
        }
        i = rest;
    }
}

/// `phrase = head , { [ "and" | "," [ "and" ] ] , ( clause | "where" , bool ) }`; `operator` is the set operator before.
fn phrase<'a>(i: Tokens<'a>, operator: Option<Tokens<'a>>) -> Res<'a, Set> {
    let (mut rest, mut set) = head(i)?;
    let scope = Scope::phrase(rest.span_from(i), check::of(&set));
    let mut mask = scope.mask;
    loop {
        let comma = rest.fixed(0) == ",";
        let and = usize::from(rest.fixed(usize::from(comma)) == "and");
        let next = rest.skip(usize::from(comma) + and);
        if next.sees("where") {
            if let Some(operator) = operator {
                return fail(ambiguity::operator(i, operator, next));
            }
            let (after, test) = next.skip(1).nested(|inner| bool_expr(inner, scope.mask))?;
            mask = mask.and(check::of(&test));
            set = set.and(test);
            rest = after;
        } else if let Some(fits) = peek_clause(next).filter(|_| !(comma && next.fixed(1) == "=")) {
            if let Some(operator) = operator.filter(|_| comma) {
                return fail(ambiguity::operator(i, operator, next));
            }
            if !fits.meets(scope.mask) {
                return fail(ambiguity::misfit(next, &scope));
            }
            let (after, more) = clause(next, &scope)?;
            mask = mask.and(check::of(&more));
            set = set.and(more);
            rest = after;
        } else {
            return end_of_phrase(rest, next, set, scope.noun);
        }
        if mask.is_empty() {
            return fail(ambiguity::contradiction(next.span()));
        }
    }
}

/// Explains the habits that look like one more clause.
fn end_of_phrase<'a>(rest: Tokens<'a>, next: Tokens<'a>, set: Set, head: Span) -> Res<'a, Set> {
    let and = next.at > rest.at && rest.fixed(next.at - rest.at - 1) == "and";
    if and && (begins_name(next, 0) || kind_word(next, 0).is_some()) {
        return fail(
            Diagnostic::new("E0110", "`and` joins clauses and conditions, not sets")
                .label(rest.span(), "between two sets")
                .edit(rest.span(), "union")
                .help("in one or the other: `models union datasets`; in both: `models tagged a intersect models tagged b`"),
        );
    }
    if and {
        return unexpected();
    }
    if rest.fixed(0) == "or" {
        return fail(
            Diagnostic::new("E0102", "`or` between clauses is written inside `where`")
                .label(rest.span(), "not between clauses")
                .edit(Span::new(head.end, head.end), " where")
                .help("models where trained on dataset A or tagged gold"),
        );
    }
    rest.expect("and", &[]);
    rest.expect(",", &[""]);
    Ok((rest, set))
}

/// `head = base { "[" bool "]" | "::" [ base ] } | "::" base`.
fn head(i: Tokens<'_>) -> Res<'_, Set> {
    if i.fixed(0) == "::" {
        let (rest, to) = base(i.skip(1))?;
        let span = rest.span_from(i);
        return Ok((rest, Set::Closure(Closure { from: None, to: Some(Box::new(to)), span })));
    }
    let (mut rest, mut set) = base(i)?;
    let mut mask = check::of(&set);
    let mut links = 0;
    loop {
        match rest.fixed(0) {
            "[" => {
                let (after, test) = bracket(rest, mask)?;
                mask = mask.and(check::of(&test));
                set = set.and(test);
                if mask.is_empty() {
                    return fail(ambiguity::contradiction(rest.span()));
                }
                rest = after;
            }
            "::" if links == MAX_DEPTH => return fail(too_deep(rest.span())),
            "::" => {
                links += 1;
                let after = rest.skip(1);
                if is_func(after) && matches!(after.fixed(0), "using" | "producing" | "about") {
                    return fail(ambiguity::closure_or_clause(i, rest));
                }
                let (after, to) = if begins_base(after) {
                    base(after).map(|(after, to)| (after, Some(Box::new(to))))?
                } else {
                    (after, None)
                };
                set = Set::Closure(Closure { from: Some(Box::new(set)), to, span: after.span_from(i) });
                mask = Mask::ALL;
                rest = after;
            }
            _ => {
                rest.expect("::", &[""]);
                rest.expect("[", &[""]);
                return Ok((rest, set));
            }
        }
    }
}

fn begins_base(i: Tokens<'_>) -> bool {
    begins_name(i, 0) || kind_word(i, 0).is_some() || is_func(i) || matches!(i.fixed(0), "(" | "query" | "any")
}

/// `base = noun | ref | func | "(" set ")" | "query" …`.
fn base(i: Tokens<'_>) -> Res<'_, Set> {
    if i.sees("(") {
        return parenthesised(i);
    }
    if is_func(i) {
        return func(i);
    }
    if i.sees("query") {
        return saved(i);
    }
    if let Some((rest, noun)) = noun(i) {
        return Ok((rest, Set::Kind(noun)));
    }
    if !i.fixed(0).is_empty() && kind_word(i, 0).is_none() {
        i.expect_name("a name", NamePosition::Reference(None));
        return unexpected();
    }
    reference(i, false)
}

/// `( set [ as of T ] [ known at K ] )`.
pub(super) fn parenthesised(i: Tokens<'_>) -> Res<'_, Set> {
    i.nested(|i| {
        let (rest, ()) = word("(")(i)?;
        let (rest, set) = set(rest)?;
        let (rest, (as_of, known_at)) = times(rest)?;
        let (rest, ()) = word(")")(rest)?;
        if as_of.is_none() && known_at.is_none() {
            return Ok((rest, set));
        }
        Ok((rest, Set::At(Box::new(At { set, as_of, known_at, span: rest.span_from(i) }))))
    })
}

fn times(mut i: Tokens<'_>) -> Res<'_, (Option<TimeExpr>, Option<KnownAt>)> {
    let (mut as_of, mut known_at) = (None, None);
    loop {
        if i.fixed(0) == "as" && as_of.is_none() {
            let (rest, time) = super::parse::as_of(i)?;
            (i, as_of) = (rest, Some(time));
        } else if i.fixed(0) == "known" && known_at.is_none() {
            let (rest, time) = super::parse::known_at(i)?;
            (i, known_at) = (rest, Some(time));
        } else if matches!(i.fixed(0), "as" | "known") {
            return fail(super::parse::repeated(i));
        } else {
            i.expect("as of", &[]);
            i.expect("known at", &[]);
            return Ok((i, (as_of, known_at)));
        }
    }
}

/// `closed = ref | func | "(" set ")"`.
pub(super) fn closed(i: Tokens<'_>) -> Res<'_, Set> {
    if i.sees("(") {
        return parenthesised(i);
    }
    if is_func(i) {
        return func(i);
    }
    if let Some((rest, _)) = noun(i) {
        return fail(ambiguity::open_noun(i, rest));
    }
    reference(i, false)
}

/// `query name [@version] [ ( arg = value , … ) ]`.
fn saved(i: Tokens<'_>) -> Res<'_, Set> {
    let (rest, query) = name(i.skip(1), "a saved query", NamePosition::SavedQuery)?;
    let (rest, version) = version(rest, None, &query)?;
    let (rest, args) = if rest.sees("(") {
        delimited(word("("), cut(separated_list1(word(","), argument)), word(")")).parse(rest)?
    } else {
        (rest, Vec::new())
    };
    let known =
        args.iter().enumerate().find(|(at, (name, _))| args[..*at].iter().any(|(other, _)| other.value == name.value));
    if let Some((_, (name, _))) = known {
        return fail(Diagnostic::new("E0112", "an argument is given twice").label(name.span, "again here"));
    }
    let span = rest.span_from(i);
    Ok((rest, Set::Saved(Saved { name: query, version, args, span })))
}

fn argument(i: Tokens<'_>) -> Res<'_, (Name, Value)> {
    let key = |i| match name(i, "an argument", NamePosition::Value(String::new())) {
        Ok((rest, name)) if name.text().is_some() => Ok((rest, name)),
        Ok(_) => unexpected(),
        Err(error) => Err(error),
    };
    separated_pair(key, word("="), |i| value(i, NamePosition::Value(String::new()))).parse(i)
}
