//! From nodes to rows: order, limit, columns.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::attribute::{Attribute, BuiltIn, Node, Sort, Val};
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

/// The rows of a set of nodes, in order, and the nodes of the rows.
pub(crate) fn of_nodes(
    world: &World,
    nodes: &Nodes,
    keys: &[SortKey],
    limit: Option<u64>,
    show: &[Attribute],
) -> Result<(RecordBatch, Vec<Node>), OutputError> {
    let list = ordered(world, nodes, keys, limit);
    let mut columns = Columns::new();
    node_columns(world, &list, Shape::of(&[nodes]), show, &mut columns);
    Ok((columns.finish()?, list))
}

/// Which nodes a table is made for; its columns do not depend on how many of them it has.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Versions.
    pub(super) versions: bool,
    /// Steps and events.
    pub(super) events: bool,
}

impl Shape {
    /// For the nodes of some sets; versions if there is none.
    pub(super) fn of(sets: &[&Nodes]) -> Self {
        let events = sets.iter().any(|nodes| !nodes.events.is_empty());
        let others = events || sets.iter().any(|nodes| !nodes.agents.is_empty());
        let versions = !others || sets.iter().any(|nodes| !nodes.versions.is_empty());
        Self { versions, events }
    }
}

/// The columns that name nodes, and those of the attributes to show.
pub(super) fn node_columns(world: &World, list: &[Node], shape: Shape, show: &[Attribute], columns: &mut Columns) {
    let mut attributes: Vec<BuiltIn> = vec![BuiltIn::Kind, BuiltIn::Namespace, BuiltIn::Name];
    if shape.versions {
        attributes.extend([BuiltIn::Version, BuiltIn::Hash]);
    }
    if shape.events {
        attributes.extend([BuiltIn::Position, BuiltIn::Occurred, BuiltIn::Actor, BuiltIn::State, BuiltIn::Outcome]);
    }
    for built_in in &attributes {
        base_column(world, list, *built_in, columns);
    }
    let mut shown: Vec<&Attribute> = Vec::new();
    for attribute in show {
        let is_base = matches!(attribute, Attribute::BuiltIn(b) if attributes.contains(b) && *b != BuiltIn::Hash);
        if !is_base && !shown.contains(&attribute) {
            let mut taken =
                attributes.iter().map(|b| b.word()).chain(["digest"]).chain(shown.iter().map(|a| a.heading()));
            let is_taken = taken.any(|word| word == attribute.heading());
            shown_column(world, list, attribute, is_taken, columns);
            shown.push(attribute);
        }
    }
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
                    Node::Step(_) | Node::Event(_) | Node::Agent(_) => None,
                }),
            );
        }
        BuiltIn::Hash => {
            let heading = Heading::new("digest").about(built_in.about());
            columns.text(&heading, list.iter().map(|n| text(world.value(*n, &attribute))));
        }
        _ => shown_column(world, list, &attribute, false, columns),
    }
}

/// One column of an attribute; its type is that of the first value, and mixed types become text.
fn shown_column(world: &World, list: &[Node], attribute: &Attribute, qualified: bool, columns: &mut Columns) {
    let values: Vec<Option<Val>> = list.iter().map(|n| world.value(*n, attribute)).collect();
    value_column(&heading_of(attribute, qualified), is_whole(attribute), values, columns);
}

/// The heading of an attribute; `qualified` if another column has its name.
fn heading_of(attribute: &Attribute, qualified: bool) -> Heading {
    match attribute {
        Attribute::Param(_, name) if qualified => Heading::new(format!("param.{name}")).about("parameter"),
        Attribute::Metric(_, name) if qualified => Heading::new(format!("metric.{name}")).about("metric"),
        Attribute::BuiltIn(b @ BuiltIn::Size) => Heading::new(b.word()).about(b.about()).unit("B"),
        Attribute::BuiltIn(b) => Heading::new(b.word()).about(b.about()),
        Attribute::Meta(path) if qualified => Heading::new(format!("meta.{path}")).about("facet"),
        Attribute::Meta(path) => Heading::new(path.clone()).about("facet"),
        Attribute::Param(_, name) => Heading::new(name.clone()).about("parameter"),
        Attribute::Metric(_, name) => Heading::new(name.clone()).about("metric"),
    }
}

/// Whether the values of an attribute are whole numbers.
fn is_whole(attribute: &Attribute) -> bool {
    attribute.sort() == Some(Sort::Number)
}

fn value_column(heading: &Heading, whole: bool, values: Vec<Option<Val>>, columns: &mut Columns) {
    let all = |test: fn(&Val) -> bool| values.iter().flatten().all(test) && values.iter().any(Option::is_some);
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
pub(super) fn text(value: Option<Val>) -> Option<String> {
    Some(match value? {
        Val::Number(n) => n.to_string(),
        Val::Text(t) => t,
        Val::Bool(b) => b.to_string(),
        Val::Time(t) => t.to_string(),
        Val::List(l) => l.join("; "),
    })
}

/// The nodes in order: keys first, missing last, then kind, name, number and digest.
pub(super) fn ordered(world: &World, nodes: &Nodes, keys: &[SortKey], limit: Option<u64>) -> Vec<Node> {
    let mut list: Vec<Node> = nodes.iter().collect();
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

/// Kind rank, name bytes, namespace, number, digest; agents after versions, then steps and events by position.
pub(super) fn default_key(world: &World, node: Node) -> (u8, Vec<u8>, Vec<u8>, u32) {
    match node {
        Node::Version(v) => {
            let entity = world.view.entity(v);
            let (name, namespace) = (world.view.entity_name(entity), world.view.entity_namespace(entity));
            (world.view.entity_kind(entity) as u8, name.into(), namespace.into(), world.view.number(v))
        }
        Node::Agent(agent) => (u8::MAX - 1, world.view.text(agent).into(), Vec::new(), 0),
        Node::Step(e) | Node::Event(e) => (u8::MAX, Vec::new(), Vec::new(), e),
    }
}

/// Missing values last, and what is no number with them.
fn by_value(a: Option<&Val>, b: Option<&Val>, descending: bool) -> Ordering {
    match (a.filter(|v| !is_nan(v)), b.filter(|v| !is_nan(v))) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Greater,
        (_, None) => Ordering::Less,
        (Some(a), Some(b)) => {
            let order = order_values(a, b);
            if descending { order.reverse() } else { order }
        }
    }
}

fn is_nan(value: &Val) -> bool {
    matches!(value, Val::Number(n) if n.is_nan())
}

fn order_values(a: &Val, b: &Val) -> Ordering {
    match (a, b) {
        (Val::Number(a), Val::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
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

impl AggregatePlan {
    /// Whether rows can be ordered by an attribute.
    pub(super) fn orders_by(&self, attribute: &Attribute) -> bool {
        self.column_of(attribute).is_some() || self.attribute.as_ref() == Some(attribute)
    }

    /// The place of the group that an attribute makes.
    fn column_of(&self, attribute: &Attribute) -> Option<usize> {
        self.per.iter().position(|per| per == attribute)
    }
}

/// One row, or one for each group; how many groups there were before the limit.
pub(crate) fn of_aggregate(
    world: &World,
    nodes: &Nodes,
    plan: &AggregatePlan,
    keys: &[SortKey],
    limit: Option<u64>,
) -> Result<(RecordBatch, usize), OutputError> {
    let mut columns = Columns::new();
    let mut groups: Vec<(GroupKey, usize, Option<Val>)> = Vec::new();
    for (key, members) in grouped(world, nodes, &plan.per) {
        let value = plan.attribute.as_ref().and_then(|a| computed(world, &members, a, plan.function));
        groups.push((key, members.len(), value));
    }
    for key in keys.iter().rev() {
        let value = |group: &(GroupKey, usize, Option<Val>)| match plan.column_of(&key.attribute) {
            Some(at) => group.0[at].clone(),
            None => group.2.clone(),
        };
        groups.sort_by(|a, b| by_value(value(a).as_ref(), value(b).as_ref(), key.descending));
    }
    let total = groups.len();
    groups.truncate(limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX)));
    for (i, attribute) in plan.per.iter().enumerate() {
        let values = groups.iter().map(|(key, ..)| text(key[i].clone()));
        let earlier = plan.per[..i].iter().any(|a| a.heading() == attribute.heading());
        columns.text(&heading_of(attribute, earlier), values);
    }
    if let Some(attribute) = &plan.attribute {
        let name = format!("{} {}", function_word(plan.function), attribute.heading());
        let values = groups.into_iter().map(|(.., value)| value).collect();
        let whole = is_whole(attribute) && plan.function != Function::Avg;
        value_column(&Heading::new(name).about("computed over the members that have it"), whole, values, &mut columns);
    } else {
        let heading = Heading::new("count").about("number of members");
        columns.unsigned(&heading, groups.iter().map(|(_, members, _)| Some(*members as u64)));
    }
    Ok((columns.finish()?, total))
}

/// The key of a group: a value of each attribute.
type GroupKey = Vec<Option<Val>>;

/// Members by the values of their group attributes, in order; a member with several values is in several groups.
fn grouped(world: &World, nodes: &Nodes, per: &[Attribute]) -> Vec<(GroupKey, Vec<Node>)> {
    if per.is_empty() {
        return vec![(Vec::new(), nodes.iter().collect())];
    }
    let mut groups: BTreeMap<Vec<Option<String>>, (GroupKey, Vec<Node>)> = BTreeMap::new();
    for node in nodes.iter() {
        let mut keys: Vec<GroupKey> = vec![Vec::new()];
        for attribute in per {
            let values: Vec<Option<Val>> = match world.value(node, attribute) {
                Some(Val::List(list)) => list.into_iter().map(|item| Some(Val::Text(item))).collect(),
                other => vec![other],
            };
            let with = |key: GroupKey| values.iter().map(move |v| key.iter().cloned().chain([v.clone()]).collect());
            keys = keys.into_iter().flat_map(with).collect();
        }
        for key in keys {
            let texts = key.iter().cloned().map(text).collect();
            groups.entry(texts).or_insert_with(|| (key, Vec::new())).1.push(node);
        }
    }
    let mut groups: Vec<(GroupKey, Vec<Node>)> = groups.into_values().collect();
    groups.sort_by(|(a, _), (b, _)| {
        let orders = a.iter().zip(b).map(|(a, b)| by_value(a.as_ref(), b.as_ref(), false));
        orders.fold(Ordering::Equal, Ordering::then)
    });
    groups
}

fn computed(world: &World, members: &[Node], attribute: &Attribute, function: Function) -> Option<Val> {
    let values: Vec<Val> = members.iter().filter_map(|n| world.value(*n, attribute)).filter(|v| !is_nan(v)).collect();
    let number = |v: &Val| if let Val::Number(n) = v { Some(*n) } else { None };
    let numbers: Vec<f64> = values.iter().filter_map(number).collect();
    match function {
        Function::Count => Some(Val::Number(values.len() as f64)),
        Function::Min => values.into_iter().min_by(order_values),
        Function::Max => values.into_iter().max_by(order_values),
        Function::Sum => (!numbers.is_empty()).then(|| Val::Number(sum(numbers))),
        Function::Avg => {
            let n = numbers.len() as f64;
            (!numbers.is_empty()).then(|| Val::Number(sum(numbers) / n))
        }
    }
}

/// Neumaier's compensated sum in ascending order, so that the result does not depend on how the members are spread.
fn sum(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let (mut total, mut lost) = (0.0f64, 0.0f64);
    for n in numbers {
        let next = total + n;
        lost += if total.abs() >= n.abs() { (total - next) + n } else { (n - next) + total };
        total = next;
    }
    if total.is_finite() { total + lost } else { total }
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
