//! The tails of a statement: what its rows are ordered by, how many there may be, and what is shown.

use super::attribute::{Attribute, Sort};
use super::resolve::{self, Resolver};
use super::rows::{AggregatePlan, SortKey};
use super::world::World;
use crate::syntax::Diagnostic;
use crate::syntax::ast::{self, Body, Limit, NameValue, Span, Statement};

/// The resolved tails of a statement.
pub(super) struct Tails {
    pub(super) keys: Vec<SortKey>,
    pub(super) limit: Option<u64>,
    pub(super) show: Vec<Attribute>,
    pub(super) aggregate: Option<AggregatePlan>,
}

impl Tails {
    /// How many rows there may be.
    pub(super) fn rows_max(&self) -> usize {
        self.limit.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX))
    }

    /// The tails of a statement, each of which its body must be able to take.
    pub(super) fn resolve(
        statement: &Statement,
        aggregate: Option<&ast::Aggregate>,
        resolver: &Resolver<'_>,
        world: &World,
    ) -> Result<Self, Diagnostic> {
        let keys = statement
            .order_by
            .iter()
            .map(|key| Ok(SortKey { attribute: resolve::attribute(&key.attr, world)?, descending: key.descending }))
            .collect::<Result<Vec<_>, Diagnostic>>()?;
        let limit = match &statement.limit {
            None => None,
            Some(Limit::Count(n)) => Some(*n),
            Some(Limit::Param(name)) => Some(limit_param(name, resolver)?),
        };
        let aggregate = match aggregate {
            None => None,
            Some(aggregate) => Some(aggregate_plan(aggregate, world)?),
        };
        let form = Form::of(&statement.body);
        if let Some(attr) = statement.show.first().filter(|_| !form.shows) {
            return Err(unfit("show", form.word, attr.span));
        }
        let is_column = |key: &SortKey| form.orders && aggregate.as_ref().is_none_or(|a| a.orders_by(&key.attribute));
        if let Some(at) = keys.iter().position(|key| !is_column(key)) {
            return Err(unfit("order by", form.word, statement.order_by[at].attr.span));
        }
        Ok(Self {
            keys,
            limit,
            show: statement.show.iter().map(|a| resolve::attribute(a, world)).collect::<Result<_, _>>()?,
            aggregate,
        })
    }
}

fn aggregate_plan(aggregate: &ast::Aggregate, world: &World) -> Result<AggregatePlan, Diagnostic> {
    let attribute = aggregate.attr.as_ref().map(|a| resolve::attribute(a, world)).transpose()?;
    let adds = matches!(aggregate.function, ast::Function::Sum | ast::Function::Avg);
    if let (true, Some(sort), Some(attr)) = (adds, attribute.as_ref().and_then(Attribute::sort), &aggregate.attr)
        && sort != Sort::Number
    {
        let text = format!("`sum` and `avg` are of numbers; `{}` is none", attr.name);
        return Err(Diagnostic::new("E0303", text).label(attr.span, "no number"));
    }
    let per = aggregate.per.iter().map(|a| resolve::attribute(a, world)).collect::<Result<_, _>>()?;
    Ok(AggregatePlan { function: aggregate.function, attribute, per })
}

fn limit_param(name: &ast::Name, resolver: &Resolver<'_>) -> Result<u64, Diagnostic> {
    let text = match &name.value {
        NameValue::Text(text) => text.clone(),
        NameValue::Param(param) => resolver.one_param(param, name.span)?,
    };
    text.parse().map_err(|_| {
        Diagnostic::new("E0303", format!("`{text}` is no limit")).label(name.span, "a whole number is needed")
    })
}

/// Which tails the body of a statement takes.
struct Form {
    word: &'static str,
    orders: bool,
    shows: bool,
}

impl Form {
    fn of(body: &Body) -> Self {
        let (word, orders, shows) = match body {
            Body::Set(_) => ("a set", true, true),
            Body::Aggregate(_) => ("an aggregate", true, false),
            Body::Paths(paths) if paths.all => ("`paths`", true, true),
            Body::Paths(_) => ("a `path`", false, true),
            Body::Why(_) => ("`why`", false, false),
            Body::Changes(_) => ("`what changed`", false, false),
        };
        Self { word, orders, shows }
    }
}

/// A tail that a body does not take.
fn unfit(tail: &str, body: &str, span: Span) -> Diagnostic {
    let why = match (tail, body) {
        ("order by", "an aggregate") => "is ordered by what it is computed of, or what it is `per`",
        ("order by", _) => "has an order of its own",
        _ => "has columns of its own",
    };
    Diagnostic::new("E0115", format!("{body} {why}")).label(span, format!("`{tail}` does not fit here"))
}
