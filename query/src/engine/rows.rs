//! From nodes to rows: order, limit, columns.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::attribute::{Attribute, BuiltIn, Node, Val};
use super::bits::Nodes;
use super::world::World;
use crate::output::{Columns, Heading, OutputError};
use crate::syntax::ast::Function;
use arrow::record_batch::RecordBatch;

/// A key of `order by`.
pub(crate) struct SortKey {
    pub(crate) attribute: Attribute,
    pub(crate) descending: bool,
}

/// The rows of a set of nodes, in order; how many there were before the limit.
pub(crate) fn of_nodes(
    world: &World,
    nodes: &Nodes,
    keys: &[SortKey],
    limit: Option<u64>,
    show: &[Attribute],
) -> Result<(RecordBatch, usize), OutputError> {
    let list = ordered(world, nodes, keys, limit);
    let has_versions = !nodes.versions.is_empty() || nodes.events.is_empty();
    let has_events = !nodes.events.is_empty();
    let mut attributes: Vec<BuiltIn> = vec![BuiltIn::Kind, BuiltIn::Namespace, BuiltIn::Name];
    if has_versions {
        attributes.extend([BuiltIn::Version, BuiltIn::Hash]);
    }
    if has_events {
        attributes.extend([BuiltIn::Position, BuiltIn::Occurred, BuiltIn::Actor, BuiltIn::State, BuiltIn::Outcome]);
    }
    let mut columns = Columns::new();
    for built_in in &attributes {
        base_column(world, &list, *built_in, &mut columns);
    }
    for attribute in show {
        let repeated = matches!(attribute, Attribute::BuiltIn(b) if attributes.contains(b) && *b != BuiltIn::Hash && *b != BuiltIn::Version);
        if !repeated {
            shown_column(world, &list, attribute, &mut columns);
        }
    }
    Ok((columns.finish()?, nodes.len()))
}

fn base_column(world: &World, list: &[Node], built_in: BuiltIn, columns: &mut Columns) {
    let attribute = Attribute::BuiltIn(built_in);
    match built_in {
        BuiltIn::Version => {
            let heading = Heading::new("version").about("number of the version within its name, as in NAME@vN");
            columns.text(
                &heading,
                list.iter().map(|n| match n {
                    Node::Version(v) => Some(format!("v{}", world.view.number(*v))),
                    Node::Event(_) => None,
                }),
            );
        }
        BuiltIn::Hash => {
            let heading = Heading::new("digest").about(built_in.about());
            columns.text(&heading, list.iter().map(|n| text(world.value(*n, &attribute))));
        }
        _ => shown_column(world, list, &attribute, columns),
    }
}

/// One column of an attribute; its type is that of the first value, and mixed types become text.
fn shown_column(world: &World, list: &[Node], attribute: &Attribute, columns: &mut Columns) {
    let values: Vec<Option<Val>> = list.iter().map(|n| world.value(*n, attribute)).collect();
    value_column(&heading_of(attribute), attribute, values, columns);
}

fn heading_of(attribute: &Attribute) -> Heading {
    match attribute {
        Attribute::BuiltIn(b @ BuiltIn::Size) => Heading::new(b.word()).about(b.about()).unit("B"),
        Attribute::BuiltIn(b) => Heading::new(b.word()).about(b.about()),
        Attribute::Param(_, name) => Heading::new(name.clone()).about("parameter"),
        Attribute::Metric(_, name) => Heading::new(name.clone()).about("metric"),
    }
}

fn value_column(heading: &Heading, attribute: &Attribute, values: Vec<Option<Val>>, columns: &mut Columns) {
    let all = |test: fn(&Val) -> bool| values.iter().flatten().all(test) && values.iter().any(Option::is_some);
    let whole = matches!(
        attribute,
        Attribute::BuiltIn(BuiltIn::Size | BuiltIn::Rows | BuiltIn::Version | BuiltIn::Attempt | BuiltIn::Position)
    );
    if all(|v| matches!(v, Val::Number(_))) {
        let numbers = values.iter().map(|v| if let Some(Val::Number(n)) = v { Some(*n) } else { None });
        if whole {
            columns.unsigned(heading, numbers.map(|n| n.map(|n| n as u64)));
        } else {
            columns.float(heading, numbers);
        }
    } else if all(|v| matches!(v, Val::Bool(_))) {
        columns.boolean(heading, values.iter().map(|v| if let Some(Val::Bool(b)) = v { Some(*b) } else { None }));
    } else if all(|v| matches!(v, Val::Time(_))) {
        columns.time(heading, values.iter().map(|v| if let Some(Val::Time(t)) = v { Some(*t) } else { None }));
    } else if all(|v| matches!(v, Val::List(_))) {
        columns.list(heading, values.iter().map(|v| if let Some(Val::List(l)) = v { Some(l.clone()) } else { None }));
    } else {
        columns.text(heading, values.into_iter().map(text));
    }
}

/// A value as text.
fn text(value: Option<Val>) -> Option<String> {
    Some(match value? {
        Val::Number(n) => n.to_string(),
        Val::Text(t) => t,
        Val::Bool(b) => b.to_string(),
        Val::Time(t) => t.to_string(),
        Val::List(l) => l.join("; "),
    })
}

/// The nodes in order: keys first, missing last, then kind, name, number and digest.
fn ordered(world: &World, nodes: &Nodes, keys: &[SortKey], limit: Option<u64>) -> Vec<Node> {
    let versions = nodes.versions.iter().map(Node::Version);
    let mut list: Vec<Node> = versions.chain(nodes.events.iter().map(Node::Event)).collect();
    list.sort_by_cached_key(|node| default_key(world, *node));
    for key in keys.iter().rev() {
        let mut keyed: Vec<(Option<Val>, Node)> = list.iter().map(|n| (world.value(*n, &key.attribute), *n)).collect();
        keyed.sort_by(|(a, _), (b, _)| by_value(a.as_ref(), b.as_ref(), key.descending));
        list = keyed.into_iter().map(|(_, n)| n).collect();
    }
    if let Some(limit) = limit {
        list.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    list
}

/// Kind rank, name bytes, namespace, number, digest; steps and events after versions, by position.
fn default_key(world: &World, node: Node) -> (u8, Vec<u8>, Vec<u8>, u32) {
    match node {
        Node::Version(v) => {
            let entity = world.view.entity(v);
            let (name, namespace) = (world.view.entity_name(entity), world.view.entity_namespace(entity));
            (world.view.entity_kind(entity) as u8, name.into(), namespace.into(), world.view.number(v))
        }
        Node::Event(e) => (u8::MAX, Vec::new(), Vec::new(), e),
    }
}

fn by_value(a: Option<&Val>, b: Option<&Val>, descending: bool) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Greater,
        (_, None) => Ordering::Less,
        (Some(a), Some(b)) => {
            let order = order_values(a, b);
            if descending { order.reverse() } else { order }
        }
    }
}

fn order_values(a: &Val, b: &Val) -> Ordering {
    match (a, b) {
        (Val::Number(a), Val::Number(b)) => a.total_cmp(b),
        (Val::Text(a), Val::Text(b)) => a.cmp(b),
        (Val::Bool(a), Val::Bool(b)) => a.cmp(b),
        (Val::Time(a), Val::Time(b)) => a.cmp(b),
        (Val::List(a), Val::List(b)) => a.cmp(b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Val) -> u8 {
    match value {
        Val::Number(_) => 0,
        Val::Text(_) => 1,
        Val::Bool(_) => 2,
        Val::Time(_) => 3,
        Val::List(_) => 4,
    }
}

/// What is aggregated.
pub(crate) struct AggregatePlan {
    pub(crate) function: Function,
    pub(crate) attribute: Option<Attribute>,
    pub(crate) per: Vec<Attribute>,
}

/// One row, or one for each group.
pub(crate) fn of_aggregate(
    world: &World,
    nodes: &Nodes,
    plan: &AggregatePlan,
) -> Result<(RecordBatch, usize), OutputError> {
    let mut columns = Columns::new();
    if plan.per.is_empty() && plan.attribute.is_none() {
        columns.unsigned(&Heading::new("count").about("number of members"), [Some(nodes.len() as u64)]);
        return Ok((columns.finish()?, 1));
    }
    let groups = grouped(world, nodes, &plan.per);
    for (i, attribute) in plan.per.iter().enumerate() {
        let values = groups.keys().map(|key| key[i].clone()).collect::<Vec<_>>();
        columns.text(&heading_of(attribute), values);
    }
    if let Some(attribute) = &plan.attribute {
        let name = format!("{} {}", function_word(plan.function), attribute.heading());
        let values = groups.values().map(|members| computed(world, members, attribute, plan.function)).collect();
        value_column(
            &Heading::new(name).about("computed over the members that have it"),
            attribute,
            values,
            &mut columns,
        );
    } else {
        let heading = Heading::new("count").about("number of members");
        columns.unsigned(&heading, groups.values().map(|members| Some(members.len() as u64)));
    }
    let n = groups.len();
    Ok((columns.finish()?, n))
}

/// Members by the texts of their group attributes; a member with several values is in several groups.
fn grouped(world: &World, nodes: &Nodes, per: &[Attribute]) -> BTreeMap<Vec<Option<String>>, Vec<Node>> {
    let mut groups: BTreeMap<Vec<Option<String>>, Vec<Node>> = BTreeMap::new();
    if per.is_empty() {
        groups.insert(Vec::new(), Vec::new());
    }
    for node in nodes.versions.iter().map(Node::Version).chain(nodes.events.iter().map(Node::Event)) {
        let mut keys: Vec<Vec<Option<String>>> = vec![Vec::new()];
        for attribute in per {
            let values: Vec<Option<String>> = match world.value(node, attribute) {
                Some(Val::List(list)) => list.into_iter().map(Some).collect(),
                other => vec![text(other)],
            };
            keys = keys
                .into_iter()
                .flat_map(|key| values.iter().map(move |v| key.iter().cloned().chain([v.clone()]).collect()))
                .collect();
        }
        for key in keys {
            groups.entry(key).or_default().push(node);
        }
    }
    groups
}

fn computed(world: &World, members: &[Node], attribute: &Attribute, function: Function) -> Option<Val> {
    let values: Vec<Val> = members.iter().filter_map(|n| world.value(*n, attribute)).collect();
    let numbers: Vec<f64> =
        values.iter().filter_map(|v| if let Val::Number(n) = v { Some(*n) } else { None }).collect();
    match function {
        Function::Count => Some(Val::Number(values.len() as f64)),
        Function::Min => values.into_iter().min_by(order_values),
        Function::Max => values.into_iter().max_by(order_values),
        Function::Sum => (!numbers.is_empty()).then(|| Val::Number(sum(&numbers))),
        Function::Avg => (!numbers.is_empty()).then(|| Val::Number(sum(&numbers) / numbers.len() as f64)),
    }
}

/// Neumaier's compensated sum, so that the result does not depend on how the members are spread.
fn sum(numbers: &[f64]) -> f64 {
    let (mut total, mut lost) = (0.0f64, 0.0f64);
    for n in numbers {
        let next = total + n;
        lost += if total.abs() >= n.abs() { (total - next) + n } else { (n - next) + total };
        total = next;
    }
    total + lost
}

fn function_word(function: Function) -> &'static str {
    match function {
        Function::Count => "count",
        Function::Min => "min",
        Function::Max => "max",
        Function::Avg => "avg",
        Function::Sum => "sum",
    }
}
