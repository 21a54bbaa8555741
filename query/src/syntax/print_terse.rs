//! Functions, brackets and operators of the terse spelling.

use super::ast::{Rel, Relation, Set, Window, WindowKind, With};
use super::print::{Style, duration, name, outcome, quantifier, value, window};
use super::print_english::{all, head, parts};
use std::fmt::Write;

/// `head[tests] & f(…) ~ f(…)`.
pub(super) fn intersection(members: &[Set]) -> String {
    let first = head(members);
    let mut parts = parts(members, first);
    // Agents and windows have no function; brackets hold them.
    let (happened, clauses) = parts.clauses.into_iter().partition::<Vec<_>, _>(|set| matches!(set, Set::Happened(_)));
    parts.tests.splice(0..0, happened);
    let mut out = Style::Terse.member(&members[first]);
    if !parts.tests.is_empty() {
        _ = write!(out, "[{}]", all(&parts.tests));
    }
    for part in clauses.into_iter().chain(parts.sets) {
        match part {
            Set::Not(inner) => _ = write!(out, " ~ {}", Style::Terse.member(inner)),
            _ => _ = write!(out, " & {}", Style::Terse.member(part)),
        }
    }
    out
}

fn function(relation: Relation) -> (&'static str, &'static str) {
    match relation {
        Relation::Trained => ("trained", "on="),
        Relation::Evaluated => ("evaluated", "on="),
        Relation::Deployed => ("deployed", "to="),
        Relation::Audited => ("audited", ""),
        Relation::Created => ("created", ""),
        Relation::FineTuned => ("fine_tuned", ""),
        Relation::UpstreamOf => ("up", ""),
        Relation::DownstreamOf => ("down", ""),
        Relation::DerivedFrom => ("derived", ""),
        Relation::Live => ("live", ""),
        Relation::Tagged => ("tagged", ""),
        Relation::UsedBy => ("used_by", ""),
        Relation::ProducedBy => ("produced_by", ""),
        Relation::Using => ("using", ""),
        Relation::Producing => ("producing", ""),
        Relation::About => ("about", ""),
    }
}

/// A relation as a function call.
pub(super) fn call(style: Style, rel: &Rel) -> String {
    let (function, key) = function(rel.relation);
    let mut args = Vec::new();
    if let Some(operand) = &rel.operand {
        let text = match (&operand.set, operand.quantifier) {
            (Set::List(_), _) => style.operand(operand),
            (set, super::ast::Quantifier::Any) => style.set(set),
            (set, kind) => format!("{}{}", quantifier(kind), style.closed(set)),
        };
        args.push(format!("{key}{text}"));
    }
    args.extend(rel.tag.as_ref().map(value));
    args.extend(rel.depth.map(|depth| format!("depth={depth}")));
    args.extend(rel.by.as_ref().map(|by| format!("by={}", name(by))));
    args.extend(rel.avoiding.as_ref().map(|cut| format!("avoiding={}", style.closed(cut))));
    args.extend(rel.window.as_ref().map(window_argument));
    format!("{function}({})", args.join(", "))
}

/// `with(passing audit, at_least=2, by=alice)`.
pub(super) fn with(with: &With) -> String {
    let mut args = vec![format!("{}{}", outcome(with.outcome), with.event.singular())];
    args.extend((with.at_least != 1).then(|| format!("at_least={}", with.at_least)));
    args.extend(with.by.as_ref().map(|by| format!("by={}", name(by))));
    args.extend(with.window.as_ref().map(window_argument));
    format!("with({})", args.join(", "))
}

fn window_argument(when: &Window) -> String {
    match &when.kind {
        WindowKind::Last(count, unit) => format!("last={}", duration(*count, *unit)),
        WindowKind::SinceLast(event) => format!("since=last {}", event.singular()),
        _ => window(when).replacen(' ', "=", 1),
    }
}
