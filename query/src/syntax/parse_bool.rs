//! Conditions: what follows `where` and stands in brackets.

use super::ambiguity;
use super::ast::{Comparison, Pred, Set, Test};
use super::check::Mask;
use super::failure::NamePosition;
use super::parse_clause::{Scope, clause, peek_clause};
use super::parse_value::{attr, name, value};
use super::token::{Res, Tok, Tokens, fail, word};
use super::value::{Attr, Value};
use nom::Parser;
use nom::multi::separated_list1;
use nom::sequence::{delimited, separated_pair};

/// `"[" bool "]"`.
pub(super) fn bracket(i: Tokens<'_>, mask: Mask) -> Res<'_, Set> {
    i.nested(|i| delimited(word("["), |i| bool_expr(i, mask), word("]")).parse(i))
}

/// `bool = batom , ( { "and" , batom } | { "or" , batom } )`.
pub(super) fn bool_expr(i: Tokens<'_>, mask: Mask) -> Res<'_, Set> {
    let (start, mut last) = (i, i);
    let (mut i, mut left) = atom(i, mask)?;
    let mut joined = "";
    loop {
        let join = i.fixed(0);
        if join != "and" && join != "or" {
            i.expect("and", &[]);
            i.expect("or", &[]);
            return Ok((i, left));
        }
        if !joined.is_empty() && join != joined {
            return fail(ambiguity::mixed_conditions(start, last, i));
        }
        joined = join;
        last = i.skip(1);
        let (rest, right) = atom(i.skip(1), mask)?;
        left = if join == "and" { left.and(right) } else { left.or(right) };
        i = rest;
    }
}

fn atom(i: Tokens<'_>, mask: Mask) -> Res<'_, Set> {
    if i.fixed(0) == "(" {
        return i.nested(|i| delimited(word("("), |i| bool_expr(i, mask), word(")")).parse(i));
    }
    if i.fixed(0) == "not" {
        let (rest, inner) = i.nested(|i| atom(i.skip(1), mask))?;
        return Ok((rest, Set::Not(Box::new(inner))));
    }
    if i.fixed(0) == "has" {
        let (rest, attr) = attr(i.skip(1))?;
        return Ok(pred(i, rest, attr, Test::Has));
    }
    for (label, keyword) in [("not", "not"), ("has", "has")] {
        if i.fixed(0) != keyword {
            i.expect(label, &[]);
        }
    }
    let compares = matches!(i.fixed(1), "=" | "!=" | "<" | "<=" | ">" | ">=") || matches!(i.fixed(1), "like");
    if !compares && peek_clause(i).is_some() {
        return clause(i, &Scope::inside_where(i.span(), mask));
    }
    test(i)
}

fn pred<'a>(start: Tokens<'a>, rest: Tokens<'a>, attr: Attr, test: Test) -> (Tokens<'a>, Set) {
    (rest, Set::Pred(Box::new(Pred { attr, test, span: rest.span_from(start) })))
}

/// `attr [ cmp value | [ "not" ] ( "in" … | "like" … | "between" … ) ]`.
fn test(start: Tokens<'_>) -> Res<'_, Set> {
    let (i, attr) = attr(start)?;
    let position = NamePosition::Value(attr.name.clone());
    if let Some(comparison) = comparison(i) {
        let (rest, value) = value(i.skip(1), position)?;
        return Ok(pred(start, rest, attr, Test::Compare(comparison, value)));
    }
    let negated = i.fixed(0) == "not" && matches!(i.fixed(1), "in" | "like" | "between");
    let i = i.skip(usize::from(negated));
    let (rest, test) = match i.fixed(0) {
        "in" => membership(i.skip(1), &position)?,
        "like" => value(i.skip(1), position).map(|(rest, value)| (rest, Test::Like(value)))?,
        "between" => {
            let bound = |i| value(i, position.clone());
            let (rest, (low, high)) = separated_pair(bound, word("and"), bound).parse(i.skip(1))?;
            (rest, Test::Between(low, high))
        }
        _ => {
            i.expect("a comparison", &["=", "!=", "<", "<=", ">", ">=", "in", "like", "between"]);
            (i, Test::True)
        }
    };
    let (rest, set) = pred(start, rest, attr, test);
    Ok((rest, if negated { Set::Not(Box::new(set)) } else { set }))
}

fn comparison(i: Tokens<'_>) -> Option<Comparison> {
    match i.fixed(0) {
        "=" => Some(Comparison::Eq),
        "!=" => Some(Comparison::Ne),
        "<" => Some(Comparison::Lt),
        "<=" => Some(Comparison::Le),
        ">" => Some(Comparison::Gt),
        ">=" => Some(Comparison::Ge),
        _ => None,
    }
}

fn membership<'a>(i: Tokens<'a>, position: &NamePosition) -> Res<'a, Test> {
    if i.kind() == Some(Tok::Param) {
        return name(i, "a list", position.clone()).map(|(rest, list)| (rest, Test::InParam(list)));
    }
    let item = |i| -> Res<'a, Value> { value(i, position.clone()) };
    let (rest, values) = delimited(word("("), separated_list1(word(","), item), word(")")).parse(i)?;
    Ok((rest, Test::In(values)))
}
