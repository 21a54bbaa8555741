//! From a statement to an answer: resolve names and times, evaluate sets, make rows.

mod attribute;
mod bits;
mod clock;
mod compare;
mod eval;
mod failure;
mod happen;
mod names;
mod plan;
mod relate;
mod resolve;
mod rows;
mod walk;
mod world;

pub use failure::{Class, QueryError};

use std::collections::HashSet;

use lineage_store::digest::Blake3;
use lineage_store::graph::View;
use lineage_store::time::Time;

use crate::output::{Answer, KnownAt, Note};
use crate::syntax::ast::{self, Body, Limit, NameValue, Statement};
use crate::syntax::{self, Diagnostic};
use attribute::{Attribute, Sort};
use bits::Nodes;
use eval::Evaluator;
use plan::Plan;
use resolve::{Resolver, unbuilt};
use rows::{AggregatePlan, SortKey};
use world::World;

/// A question, with everything it may depend on.
pub struct Request<'a> {
    /// The statement.
    pub text: &'a str,
    /// Parameters; a name that comes several times is bound to a list.
    pub params: &'a [(String, String)],
    /// What `now` is.
    pub now: Time,
    /// Whether `now` was set rather than read from the clock.
    pub now_is_set: bool,
    /// Environments that count as known before their first deployment.
    pub environments: &'a [String],
    /// The most rows of an answer; more is an error. `None`: no limit.
    pub max_rows: Option<u64>,
    /// Reads a file of the statement (`./data.csv`) and gives the digest of its bytes.
    pub digest_of_file: &'a dyn Fn(&str) -> Result<Blake3, String>,
}

/// Answers a statement over a view of everything recorded.
///
/// A damaged page of the index makes the answer [`lineage_store::StoreError::Corrupt`]: the view is then to be folded
/// from the journal and the statement asked again.
pub fn answer(view: &View, request: &Request<'_>) -> Result<Answer, QueryError> {
    let statement = syntax::parse(request.text)
        .map_err(|diagnostics| QueryError::Statement { class: Class::Syntax, diagnostics })?;
    let answer = answer_statement(view, &statement, request);
    // Whatever came out, a bad page under it is the first thing to say.
    view.check()?;
    answer
}

fn answer_statement(view: &View, statement: &Statement, request: &Request<'_>) -> Result<Answer, QueryError> {
    let resolver = Resolver::new(request, view);
    let (world, as_of) =
        resolver.world(statement.as_of.as_ref(), statement.known_at.as_ref(), statement.including_retracted, None)?;
    if statement.explain {
        return Err(unbuilt("`explain`", ast::Span::new(0, 7)).into());
    }
    let (set, aggregate) = match &statement.body {
        Body::Set(set) => (set, None),
        Body::Aggregate(aggregate) => (&aggregate.set, Some(aggregate)),
        Body::Paths(paths) => return Err(unbuilt("`path` and `paths`", paths.span).into()),
        Body::Why(why) => return Err(unbuilt("`why`", why.span).into()),
        Body::Changes(ast::Changes::Versions { span, .. } | ast::Changes::Over { span, .. }) => {
            return Err(unbuilt("`what changed` and `diff`", *span).into());
        }
    };
    let plan = resolver.set(set, &world)?;
    let tails = Tails::resolve(statement, aggregate, &resolver, &world)?;
    resolver.check_unused()?;
    let evaluator = Evaluator::new(&world);
    let nodes = evaluator.set(&plan);
    let (batch, total) = match &tails.aggregate {
        Some(aggregate) => rows::of_aggregate(&world, &nodes, aggregate, &tails.keys, tails.limit)?,
        None => rows::of_nodes(&world, &nodes, &tails.keys, tails.limit, &tails.show)?,
    };
    if request.max_rows.is_some_and(|max| batch.num_rows() as u64 > max) {
        let text =
            format!("the answer has {} rows, more than --max-rows {}", batch.num_rows(), request.max_rows.unwrap_or(0));
        return Err(Diagnostic::new("E0501", text).help("limit N").into());
    }
    let asked =
        Asked { world: &world, plan: &plan, tails: &tails, late: statement.known_at.is_none() && as_of.is_some() };
    let notes = notes(&asked, &evaluator, &nodes, batch.num_rows(), total);
    Ok(Answer {
        canonical: syntax::print_english(statement),
        position: u64::from(world.view.count()).saturating_sub(1),
        head: None,
        as_of,
        known_at: match &statement.known_at {
            None => None,
            Some(ast::KnownAt::Log(position, _)) => Some(KnownAt::Log(*position)),
            // Before the first event there is no position that says the same again.
            Some(ast::KnownAt::Time(time)) => Some(match world.view.count().checked_sub(1) {
                Some(last) => KnownAt::Log(last.into()),
                None => KnownAt::Time(resolver.stretch(time, request.now)?.last(request.now)),
            }),
        },
        now: resolver.used_now.borrow().then_some(world.until),
        complete: true,
        notes,
        edition: syntax::EDITION,
        batch,
    })
}

/// The resolved tails of a statement.
struct Tails {
    keys: Vec<SortKey>,
    limit: Option<u64>,
    show: Vec<Attribute>,
    aggregate: Option<AggregatePlan>,
}

impl Tails {
    fn resolve(
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
        if let Some(aggregate) = &aggregate {
            if let Some(attr) = statement.show.first() {
                return Err(unbuilt("`show` of an aggregate", attr.span));
            }
            let is_group = |key: &SortKey| aggregate.per.contains(&key.attribute);
            if let Some(at) = keys.iter().position(|key| !is_group(key)) {
                return Err(unbuilt(
                    "`order by` of an aggregate by what it is not `per`",
                    statement.order_by[at].attr.span,
                ));
            }
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

/// What was asked, for the notes.
struct Asked<'a> {
    world: &'a World,
    plan: &'a Plan,
    tails: &'a Tails,
    /// Whether late reports count, as they do with `as of` alone.
    late: bool,
}

fn notes(asked: &Asked<'_>, evaluator: &Evaluator<'_>, nodes: &Nodes, rows: usize, total: usize) -> Vec<Note> {
    let (world, tails) = (asked.world, asked.tails);
    let mut notes: Vec<(&str, String)> = evaluator.notes.take();
    if rows < total {
        notes.push(("N01", format!("{rows} of {total}")));
    }
    if tails.aggregate.is_some() && !nodes.versions.is_empty() {
        let names: HashSet<u32> = nodes.versions.iter().map(|v| world.view.entity(v)).collect();
        let text = format!("counts are of versions: {} versions of {} names", nodes.versions.len(), names.len());
        notes.push(("W05", text));
    }
    notes.extend(evaluator.retired(asked.plan, nodes).map(|text| ("W03", text)));
    let computed = tails.aggregate.iter().filter_map(|a| a.attribute.as_ref());
    for attribute in tails.show.iter().chain(tails.keys.iter().map(|k| &k.attribute)).chain(computed) {
        let missing = nodes.iter().filter(|n| world.value(*n, attribute).is_none()).count();
        if missing > 0 {
            notes.push(("W04", compare::missing_text(missing, nodes.len(), attribute)));
        }
    }
    if evaluator.crossed.get() {
        notes.push(("N02", "copies or links between names were followed".to_owned()));
    }
    let hidden = world.view.n_hidden_here();
    if hidden > 0 {
        notes.push(("N03", format!("{hidden} retracted events are hidden (use `including retracted`)")));
    }
    notes.extend(about_time(world, asked.late));
    notes.sort();
    notes.dedup();
    notes.into_iter().map(|(code, text)| Note { code: code.to_owned(), text }).collect()
}

/// What `as of` alone brings in or leaves out.
fn about_time(world: &World, late: bool) -> Option<(&'static str, String)> {
    let (view, until) = (&world.view, world.until);
    if !late || view.count() == 0 {
        return None;
    }
    let later = (view.count_recorded_by(until)..view.count()).filter(|e| view.sees(*e)).count();
    if later > 0 {
        let text = format!("{later} events were reported later (`known at {until}` leaves them out)");
        return Some(("N04", text));
    }
    let first = (0..view.count()).filter(|e| !view.is_hidden(*e)).map(|e| view.time(e)).min()?;
    (first > until).then(|| ("N05", format!("the log begins later, at {first}")))
}
