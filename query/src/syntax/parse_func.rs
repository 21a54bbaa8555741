//! The functions of the terse spelling.

use super::ast::{Operand, Rel, Relation, Set, Window, WindowKind, With};
use super::diagnostic::Diagnostic;
use super::failure::NamePosition;
use super::parse_clause::{Shape, between, event_kind, last, shape, since};
use super::parse_operand::inside_function;
use super::parse_set::set;
use super::parse_value::{agent, positive, time, value};
use super::suggest::suggest;
use super::token::{Res, Tokens, fail, word};
use super::value::{Name, Span, Value};
use super::words::FUNCTIONS;

/// The arguments of one call, as far as they were read.
#[derive(Default)]
struct Args {
    operand: Option<Operand>,
    tag: Option<Value>,
    event: Option<(Option<super::ast::Outcome>, super::ast::Kind)>,
    at_least: Option<u32>,
    by: Option<Name>,
    depth: Option<u32>,
    avoiding: Option<Set>,
    window: Option<Window>,
    seen: Vec<String>,
}

/// Whether a function call begins here.
pub(super) fn is_func(i: Tokens<'_>) -> bool {
    i.expect("a function", FUNCTIONS);
    i.fixed(1) == "(" && FUNCTIONS.iter().any(|name| i.is_word(0, name))
}

fn relation(name: &str) -> Option<Relation> {
    Some(match name {
        "up" => Relation::UpstreamOf,
        "down" => Relation::DownstreamOf,
        "derived" => Relation::DerivedFrom,
        "trained" => Relation::Trained,
        "evaluated" => Relation::Evaluated,
        "deployed" => Relation::Deployed,
        "audited" => Relation::Audited,
        "created" => Relation::Created,
        "live" => Relation::Live,
        "tagged" => Relation::Tagged,
        "fine_tuned" => Relation::FineTuned,
        "used_by" => Relation::UsedBy,
        "using" => Relation::Using,
        "produced_by" => Relation::ProducedBy,
        "producing" => Relation::Producing,
        "about" => Relation::About,
        _ => return None,
    })
}

/// `fname "(" [ arg , { "," , arg } ] ")"`.
pub(super) fn func(start: Tokens<'_>) -> Res<'_, Set> {
    let name = start.first().map(|token| token.text.to_ascii_lowercase()).unwrap_or_default();
    let relation = relation(&name);
    let shape = relation.map_or(Shape { by: true, window: true, ..Shape::default() }, shape);
    let (i, args) = start.nested(|_| arguments(start.skip(2), &name, relation, shape))?;
    let span = i.span_from(start);
    let set = if let Some(relation) = relation {
        let Args { operand, tag, depth, by, avoiding, window, .. } = args;
        Set::Rel(Box::new(Rel { relation, operand, tag, depth, by, avoiding, window, span }))
    } else {
        let Some((outcome, event)) = args.event else { return fail(missing(&name, span)) };
        let at_least = args.at_least.unwrap_or(1);
        Set::With(Box::new(With { event, at_least, outcome, by: args.by, window: args.window, span }))
    };
    Ok((i, set))
}

fn missing(name: &str, span: Span) -> Diagnostic {
    let example = match name {
        "with" => "with(audit)",
        "tagged" => "tagged(gold)",
        "fine_tuned" => "fine_tuned(model base)",
        _ => "up(model churn)",
    };
    Diagnostic::new("E0112", format!("`{name}(…)` lacks its first argument"))
        .label(span, "says nothing yet")
        .help(format!("for example `{example}`"))
}

fn arguments<'a>(mut i: Tokens<'a>, name: &str, relation: Option<Relation>, shape: Shape) -> Res<'a, Args> {
    let start = i;
    let mut args = Args::default();
    while !i.sees(")") {
        if i.at > start.at {
            (i, ()) = word(",")(i)?;
        }
        i = if i.fixed(1) == "=" {
            named(i, name, relation, shape, &mut args)?
        } else {
            first(i, name, relation, shape, &mut args)?
        }
        .0;
    }
    let present = args.operand.is_some() || args.tag.is_some() || args.event.is_some();
    if !present && (shape.required || relation.is_none() || relation == Some(Relation::Tagged)) {
        return fail(missing(name, start.skip(0).span()));
    }
    Ok((i.skip(1), args))
}

/// The argument without a name.
fn first<'a>(i: Tokens<'a>, name: &str, relation: Option<Relation>, shape: Shape, args: &mut Args) -> Res<'a, ()> {
    if !args.seen.is_empty() || matches!(relation, Some(Relation::Audited | Relation::Created)) {
        let told = Diagnostic::new("E0112", format!("`{name}(…)` takes no further argument without a name"));
        return fail(
            told.label(i.span(), "not known").help(format!("named arguments: {}", known(relation, shape).join(", "))),
        );
    }
    args.seen.push(String::new());
    match relation {
        None => event_kind(i).map(|(i, event)| (i, args.event = Some(event))),
        Some(Relation::Tagged) => value(i, NamePosition::Tag).map(|(i, tag)| (i, args.tag = Some(tag))),
        Some(_) => inside_function(i, shape.slot).map(|(i, operand)| (i, args.operand = Some(operand))),
    }
}

/// The names of arguments that a function has.
fn known(relation: Option<Relation>, shape: Shape) -> Vec<&'static str> {
    let mut names = Vec::new();
    names.extend(shape.preposition.filter(|_| {
        matches!(relation, Some(Relation::Trained | Relation::Evaluated | Relation::Deployed | Relation::FineTuned))
    }));
    for (has, name) in
        [(relation.is_none(), "at_least"), (shape.depth, "depth"), (shape.by, "by"), (shape.avoiding, "avoiding")]
    {
        if has {
            names.push(name);
        }
    }
    if shape.window {
        names.extend(["since", "before", "after", "during", "between", "last"]);
    }
    names
}

/// `name "=" value`.
fn named<'a>(start: Tokens<'a>, name: &str, relation: Option<Relation>, shape: Shape, args: &mut Args) -> Res<'a, ()> {
    let key = start.first().map(|token| token.text.to_ascii_lowercase()).unwrap_or_default();
    let known = known(relation, shape);
    if !known.contains(&key.as_str()) {
        return fail(
            Diagnostic::new("E0112", format!("`{name}(…)` has no argument `{key}`"))
                .label(start.span(), "not known")
                .suggest(suggest(&key, &known))
                .help(format!("it has: {}", known.join(", "))),
        );
    }
    let is_window = |key: &str| matches!(key, "since" | "before" | "after" | "during" | "between" | "last");
    let i = start.skip(2);
    if args.seen.contains(&key) || (is_window(&key) && args.window.is_some()) {
        return fail(Diagnostic::new("E0112", format!("`{key}` is given twice")).label(start.span(), "again here"));
    }
    if Some(key.as_str()) == shape.preposition && args.operand.is_some() {
        return fail(
            Diagnostic::new("E0112", format!("`{name}(…)` has two operands")).label(start.span(), "the second"),
        );
    }
    args.seen.push(key.clone());
    match key.as_str() {
        "at_least" => positive(i).map(|(i, count)| (i, args.at_least = Some(count))),
        "depth" => positive(i).map(|(i, depth)| (i, args.depth = Some(depth))),
        "by" => agent(i).map(|(i, by)| (i, args.by = Some(by))),
        "avoiding" => set(i).map(|(i, cut)| (i, args.avoiding = Some(cut))),
        key if is_window(key) => {
            let (rest, kind) = match key {
                "since" => since(i)?,
                "between" => between(i)?,
                "last" => last(i)?,
                "before" => time(i).map(|(i, time)| (i, WindowKind::Before(time)))?,
                "after" => time(i).map(|(i, time)| (i, WindowKind::After(time)))?,
                _ => time(i).map(|(i, time)| (i, WindowKind::During(time)))?,
            };
            args.window = Some(Window { kind, span: rest.span_from(start) });
            Ok((rest, ()))
        }
        _ => inside_function(i, shape.slot).map(|(i, operand)| (i, args.operand = Some(operand))),
    }
}
