//! Operands, and the clauses that an unparenthesised inner noun may take (R1 to R3).

use super::ambiguity;
use super::ast::{List, Operand, Quantifier, Set};
use super::check;
use super::diagnostic::Diagnostic;
use super::failure::NamePosition;
use super::parse_clause::{Scope, Shape, begins_happened, begins_window, clause, peek_clause};
use super::parse_func::{func, is_func};
use super::parse_set::{parenthesised, set};
use super::parse_value::{kind_word, name, noun, reference};
use super::token::{Res, Tok, Tokens, fail, word};
use super::value::Span;
use nom::Parser;
use nom::multi::separated_list1;
use nom::sequence::delimited;

/// The operand of a clause; `shape` is that of its relation.
pub(super) fn operand<'a>(i: Tokens<'a>, scope: &Scope<'_>, shape: Shape) -> Res<'a, Operand> {
    if let Some(found) = listed(i) {
        return found;
    }
    if shape.slot {
        return slot(i, scope);
    }
    let (quantifier, inner) = quantifier(i);
    let (rest, set) = if inner.sees("(") {
        parenthesised(inner)?
    } else if is_func(inner) {
        func(inner)?
    } else if let Some((after, noun)) = noun(inner) {
        if scope.closed_only {
            return fail(ambiguity::open_in_where(inner, after));
        }
        let mask = check::kind(noun.kind);
        let scope = Scope { noun: noun.span, mask, outer: Some(scope), enclosing: shape, closed_only: false };
        inner.nested(|_| open_noun(after, Set::Kind(noun), &scope))?
    } else {
        let (rest, set) = reference(inner, false)?;
        ambiguity::refuse_list(inner, rest, scope.closed_only)?;
        (rest, set)
    };
    Ok((rest, Operand { quantifier, set, span: rest.span_from(i) }))
}

/// Slots are named, they are no members of a set; on its own, so that nesting needs no more stack.
fn slot<'a>(i: Tokens<'a>, scope: &Scope<'_>) -> Res<'a, Operand> {
    let (quantifier, inner) = quantifier(i);
    let (rest, set) = reference(inner, true)?;
    ambiguity::refuse_list(inner, rest, scope.closed_only)?;
    Ok((rest, Operand { quantifier, set, span: rest.span_from(i) }))
}

/// The operand of a function: a whole set, since the function's parentheses close it.
pub(super) fn inside_function(i: Tokens<'_>, slot: bool) -> Res<'_, Operand> {
    if let Some(found) = listed(i) {
        return found;
    }
    let (quantifier, inner) = quantifier(i);
    let (rest, set) = if slot { reference(inner, true)? } else { set(inner)? };
    Ok((rest, Operand { quantifier, set, span: rest.span_from(i) }))
}

fn quantifier(i: Tokens<'_>) -> (Quantifier, Tokens<'_>) {
    match i.fixed(0) {
        "every" => (Quantifier::Every, i.skip(1)),
        "only" => (Quantifier::Only, i.skip(1)),
        _ => {
            i.expect("a quantifier", &["every", "only", "any of", "all of"]);
            (Quantifier::Any, i)
        }
    }
}

/// `( "any of" | "all of" ) ( "(" names ")" | param )`.
fn listed(i: Tokens<'_>) -> Option<Res<'_, Operand>> {
    let quantifier = match (i.fixed(0), i.fixed(1)) {
        ("any", "of") => Quantifier::AnyOf,
        ("all", "of") => Quantifier::AllOf,
        _ => return None,
    };
    let start = i.skip(2);
    let list = if start.kind() == Some(Tok::Param) {
        name(start, "a list", NamePosition::Reference(None)).map(|(rest, list)| (rest, List::Param(list)))
    } else {
        let item = |item| list_item(item, i);
        delimited(word("("), separated_list1(word(","), item), word(")"))
            .parse(start)
            .map(|(rest, refs)| (rest, List::Refs(refs)))
    };
    Some(list.map(|(rest, list)| (rest, Operand { quantifier, set: Set::List(list), span: rest.span_from(i) })))
}

/// One name of a list; `start` is where its quantifier stands.
fn list_item<'a>(i: Tokens<'a>, start: Tokens<'a>) -> Res<'a, Set> {
    let plural = kind_word(i, 0).is_some_and(|(_, plural, _)| plural);
    if plural || is_func(i) || matches!(i.fixed(0), "(" | "any" | "every" | "only" | "all") {
        let every = if start.fixed(0) == "all" { "every " } else { "" };
        return fail(
            Diagnostic::new("E0113", "a list holds names only")
                .label(i.span(), "this begins a set")
                .edit(Span::new(start.span().start, start.skip(2).span().start), every)
                .help("for all members of a set write `every (datasets tagged a)`, for some member the set alone"),
        );
    }
    reference(i, false)
}

/// An inner noun takes the one clause right after it, and more only where they fit nothing else.
fn open_noun<'a>(mut i: Tokens<'a>, mut set: Set, scope: &Scope<'_>) -> Res<'a, Set> {
    let mut taken = 0;
    while let Some(fits) = peek_clause(i) {
        let inner = fits.meets(scope.mask);
        let outer = scope.chain().skip(1).any(|outer| fits.meets(outer.mask));
        let enclosing = |wanted: fn(&Shape) -> bool| scope.chain().any(|scope| wanted(&scope.enclosing));
        if begins_happened(i) {
            let wanted: fn(&Shape) -> bool = if begins_window(i) { |shape| shape.window } else { |shape| shape.by };
            if enclosing(wanted) || (taken > 0 && outer) {
                return fail(ambiguity::unclear(i, scope));
            }
        }
        if !inner {
            return fail(if outer { ambiguity::needs_comma(i, scope) } else { ambiguity::misfit(i, scope) });
        }
        if taken > 0 && outer {
            return fail(ambiguity::unclear(i, scope));
        }
        let (rest, more) = clause(i, scope)?;
        set = set.and(more);
        taken += 1;
        i = rest;
    }
    let avoiding = i.fixed(0) == "avoiding" && scope.chain().filter(|scope| scope.enclosing.avoiding).count() > 1;
    if matches!(i.fixed(0), "where" | "and" | "[") || avoiding {
        return fail(ambiguity::unclear(i, scope));
    }
    Ok((i, set))
}
