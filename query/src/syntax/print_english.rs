//! Clauses and conditions in English.

use super::ast::{Rel, Relation, Set, With};
use super::check;
use super::print::{Style, name, outcome, test, value, window};
use std::fmt::Write;

/// Whether a set is a condition, which `where` and brackets can hold.
pub(super) fn is_condition(set: &Set) -> bool {
    match set {
        Set::Rel(_) | Set::With(_) | Set::Happened(_) | Set::Pred(_) => true,
        Set::Not(inner) => is_condition(inner),
        Set::And(members) | Set::Or(members) => members.iter().all(is_condition),
        _ => false,
    }
}

/// Whether a set can stand without anything before it.
fn stands_alone(set: &Set) -> bool {
    match set {
        Set::Pred(_) | Set::Happened(_) | Set::Not(_) => false,
        Set::And(members) => members.iter().any(stands_alone),
        Set::Or(members) => members.iter().all(stands_alone),
        _ => true,
    }
}

/// Which member of an intersection is printed first.
///
/// A noun reads best, then anything that is no condition, then a function.
pub(super) fn head(members: &[Set]) -> usize {
    let find = |wanted: fn(&Set) -> bool| members.iter().position(wanted);
    find(|set| matches!(set, Set::Kind(_)))
        .or_else(|| find(|set| stands_alone(set) && !is_condition(set)))
        .or_else(|| find(|set| matches!(set, Set::Rel(_) | Set::With(_))))
        .or_else(|| find(stands_alone))
        .unwrap_or(0)
}

/// The members other than the head, sorted into clauses, conditions and sets.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) clauses: Vec<&'a Set>,
    pub(super) tests: Vec<&'a Set>,
    pub(super) sets: Vec<&'a Set>,
}

pub(super) fn parts(members: &[Set], head: usize) -> Parts<'_> {
    let mask = check::of(&members[head]);
    let mut parts = Parts::default();
    for (_, member) in members.iter().enumerate().filter(|(at, _)| *at != head) {
        let clause = match member {
            Set::Not(inner) => matches!(**inner, Set::Rel(_) | Set::With(_)) && check::of(inner).meets(mask),
            Set::Happened(_) | Set::Rel(_) | Set::With(_) => true,
            _ => false,
        };
        if clause {
            parts.clauses.push(member);
        } else if is_condition(member) {
            parts.tests.push(member);
        } else {
            parts.sets.push(member);
        }
    }
    parts
}

/// `head clause, clause where tests intersect set except set`.
pub(super) fn intersection(members: &[Set]) -> String {
    let first = head(members);
    let parts = parts(members, first);
    let mut out = Style::English.member(&members[first]);
    for (at, part) in parts.clauses.iter().enumerate() {
        let attached = at == 0 || is_having(part);
        _ = write!(out, "{} {}", if attached { "" } else { "," }, condition(part));
    }
    if !parts.tests.is_empty() {
        _ = write!(out, " where {}", all(&parts.tests));
    }
    if !(parts.sets.is_empty() || parts.clauses.is_empty() && parts.tests.is_empty()) {
        out = format!("({out})");
    }
    for set in &parts.sets {
        match set {
            Set::Not(inner) => _ = write!(out, " except {}", Style::English.member(inner)),
            _ => _ = write!(out, " intersect {}", Style::English.member(set)),
        }
    }
    out
}

fn is_having(set: &Set) -> bool {
    match set {
        Set::With(_) => true,
        Set::Not(inner) => matches!(**inner, Set::With(_)),
        _ => false,
    }
}

/// Conditions joined by `and`; a single `or` needs no parentheses.
pub(super) fn all(tests: &[&Set]) -> String {
    match tests {
        [single] => condition(single),
        _ => tests.iter().map(|test| atom(test)).collect::<Vec<_>>().join(" and "),
    }
}

/// A condition as part of a longer one.
fn atom(set: &Set) -> String {
    match set {
        Set::And(_) | Set::Or(_) => format!("({})", condition(set)),
        _ => condition(set),
    }
}

/// A clause or condition.
pub(super) fn condition(set: &Set) -> String {
    match set {
        Set::And(members) => members.iter().map(atom).collect::<Vec<_>>().join(" and "),
        Set::Or(members) => members.iter().map(atom).collect::<Vec<_>>().join(" or "),
        Set::Not(inner) => match &**inner {
            Set::With(with) => having(with, true),
            Set::Pred(pred) => test(&pred.attr, &pred.test, true),
            other => format!("not {}", atom(other)),
        },
        Set::Rel(rel) => relation(rel),
        Set::With(with) => having(with, false),
        Set::Happened(x) => {
            let by = x.by.as_ref().map(|by| format!("by {}", name(by)));
            by.into_iter().chain(x.window.as_ref().map(window)).collect::<Vec<_>>().join(" ")
        }
        Set::Pred(pred) => test(&pred.attr, &pred.test, false),
        other => Style::English.member(other),
    }
}

fn words(relation: Relation) -> (&'static str, &'static str) {
    match relation {
        Relation::Trained => ("trained", " on"),
        Relation::Evaluated => ("evaluated", " on"),
        Relation::Deployed => ("deployed", " to"),
        Relation::Audited => ("audited", ""),
        Relation::Created => ("created", ""),
        Relation::FineTuned => ("fine-tuned", " from"),
        Relation::UpstreamOf => ("upstream", " of"),
        Relation::DownstreamOf => ("downstream", " of"),
        Relation::DerivedFrom => ("derived", " from"),
        Relation::Live => ("live", " in"),
        Relation::Tagged => ("tagged", ""),
        Relation::UsedBy => ("used", " by"),
        Relation::ProducedBy => ("produced", " by"),
        Relation::Using => ("using", ""),
        Relation::Producing => ("producing", ""),
        Relation::About => ("about", ""),
    }
}

fn relation(rel: &Rel) -> String {
    let (verb, preposition) = words(rel.relation);
    let mut out = match rel.depth {
        Some(1) => format!("directly {verb}"),
        Some(depth) => format!("within {depth} steps {verb}"),
        None => verb.to_owned(),
    };
    if let Some(operand) = &rel.operand {
        _ = write!(out, "{preposition} {}", Style::English.operand(operand));
    }
    if let Some(tag) = &rel.tag {
        _ = write!(out, " {}", value(tag));
    }
    if let Some(by) = &rel.by {
        _ = write!(out, " by {}", name(by));
    }
    if let Some(cut) = &rel.avoiding {
        _ = write!(out, " avoiding {}", Style::English.closed(cut));
    }
    if let Some(when) = &rel.window {
        _ = write!(out, " {}", window(when));
    }
    out
}

fn having(with: &With, negated: bool) -> String {
    let mut out = if negated { "without ".to_owned() } else { "with ".to_owned() };
    let verdict = outcome(with.outcome);
    if with.at_least == 1 {
        let word = if verdict.is_empty() { with.event.singular() } else { verdict };
        let article = if word.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
        _ = write!(out, "{article} {verdict}{}", with.event.singular());
    } else {
        _ = write!(out, "at least {} {verdict}{}", with.at_least, with.event.plural());
    }
    if let Some(by) = &with.by {
        _ = write!(out, " by {}", name(by));
    }
    if let Some(when) = &with.window {
        _ = write!(out, " {}", window(when));
    }
    out
}
