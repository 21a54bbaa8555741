//! From a statement to an answer: resolve names and times, evaluate sets, make rows.

mod ask;
pub(crate) mod attribute;
pub(crate) mod bits;
mod budget;
mod candidates;
mod changes;
mod clock;
mod closure;
mod compare;
pub(crate) mod difference;
mod drawing;
pub(crate) mod eval;
mod explain;
mod facet;
mod failure;
pub(crate) mod happen;
pub(crate) mod names;
mod notes;
mod paths;
mod plan;
mod relate;
pub(crate) mod resolve;
mod rows;
mod saved;
mod sweep;
mod tails;
pub(crate) mod walk;
pub(crate) mod whole;
pub(crate) mod why;
mod witness;
pub(crate) mod world;

pub use budget::Limits;
pub use candidates::{Candidate, complete};
pub use clock::Zone;
pub use explain::{Explanation, Meaning, Operator};
pub use failure::{Class, QueryError};
pub use saved::check_saved;
pub use whole::{ReadEvent, TreeHead};

use lineage_store::digest::Blake3;
use lineage_store::graph::View;
use lineage_store::time::Time;

use crate::output::{Answer, KnownAt, Note};
use crate::syntax::ast::{self, Statement};
use crate::syntax::{self, Diagnostic};
use ask::Asking;
use explain::Measured;
use resolve::Resolver;
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
    /// The zone of dates without one.
    pub zone: Zone,
    /// Environments that count as known before their first deployment.
    pub environments: &'a [String],
    /// To draw the answer as a graph: how many nodes, and half how many edges, it may have. `None`: it is not drawn.
    pub graph: Option<usize>,
    /// Reads a whole event by its position, for what the index does not hold.
    pub events: ReadEvent,
    /// Tells the tree head for the answer; `None` where nobody looks at it.
    pub head: Option<TreeHead>,
    /// What the answer may cost.
    pub limits: Limits,
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
    answer.map_err(|error| error.with_fixes(request.text))
}

fn answer_statement(view: &View, statement: &Statement, request: &Request<'_>) -> Result<Answer, QueryError> {
    let resolver = Resolver::new(request, view);
    let answer = answer_in(&resolver, statement);
    // What could not be read is the reason for whatever else went wrong.
    resolver.whole.check()?;
    answer
}

fn answer_in(resolver: &Resolver<'_>, statement: &Statement) -> Result<Answer, QueryError> {
    let (world, as_of) =
        resolver.world(statement.as_of.as_ref(), statement.known_at.as_ref(), statement.including_retracted, None)?;
    if statement.explain {
        let told = Diagnostic::new("E0117", "an explanation has no rows")
            .label(ast::Span::new(0, 7), "not a question for rows");
        return Err(told.help("`lineage explain` tells it as text, with --json as JSON").into());
    }
    let late = statement.known_at.is_none() && as_of.is_some();
    let mut found = Asking { resolver, world: &world, statement, late }.found()?;
    let rows = found.batch.num_rows();
    let missing = world.budget.settle(rows as u64)?;
    let complete = missing.is_none();
    if let Some(text) = missing {
        let shown = world.budget.rows_shown().map_or(rows, |most| rows.min(usize::try_from(most).unwrap_or(rows)));
        found.batch = found.batch.slice(0, shown);
        found.notes.push(Note { code: "N10".to_owned(), text });
    }
    Ok(Answer {
        canonical: syntax::print_english(statement),
        position: u64::from(world.view.count()).saturating_sub(1),
        head: tree_head(&world, resolver)?,
        as_of,
        known_at: known_at(statement, resolver, &world)?,
        now: resolver.used_now.borrow().then_some(world.until),
        complete,
        notes: found.notes,
        edition: syntax::EDITION,
        batch: found.batch,
        graph: found.graph,
    })
}

/// The tree head at the position of an answer.
fn tree_head(world: &World, resolver: &Resolver<'_>) -> Result<Option<String>, QueryError> {
    let head = resolver.request.head.as_ref().map(|head| head(world.view.count().into()));
    Ok(head.transpose()?)
}

/// The position of `known at`, or its instant if nothing was recorded by then.
fn known_at(statement: &Statement, resolver: &Resolver<'_>, world: &World) -> Result<Option<KnownAt>, QueryError> {
    Ok(match &statement.known_at {
        None => None,
        Some(ast::KnownAt::Log(position, _)) => Some(KnownAt::Log(*position)),
        // Before the first event there is no position that says the same again.
        Some(ast::KnownAt::Time(time)) => Some(match world.view.count().checked_sub(1) {
            Some(last) => KnownAt::Log(last.into()),
            None => KnownAt::Time(resolver.stretch(time, resolver.request.now)?.last(resolver.request.now)),
        }),
    })
}

/// Explains a statement, with or without the word `explain` before it, over a view of everything recorded.
///
/// It is answered for that, within the limits of the request.
pub fn explain(view: &View, request: &Request<'_>) -> Result<Explanation, QueryError> {
    let statement = syntax::parse(request.text)
        .map_err(|diagnostics| QueryError::Statement { class: Class::Syntax, diagnostics })?;
    let explanation = explain_statement(view, Statement { explain: false, ..statement }, request);
    view.check()?;
    explanation.map_err(|error| error.with_fixes(request.text))
}

fn explain_statement(view: &View, statement: Statement, request: &Request<'_>) -> Result<Explanation, QueryError> {
    let resolver = Resolver::new(request, view).tracing();
    let explanation = explain_in(&resolver, statement);
    resolver.whole.check()?;
    explanation
}

fn explain_in(resolver: &Resolver<'_>, statement: Statement) -> Result<Explanation, QueryError> {
    let (world, as_of) =
        resolver.world(statement.as_of.as_ref(), statement.known_at.as_ref(), statement.including_retracted, None)?;
    let asking = Asking { resolver, world: &world, statement: &statement, late: false };
    let Measured { operators, rows, steps, steps_at_most } = Measured::of(&asking)?;
    world.budget.settle(rows)?;
    let (names, times) = resolver.trace.as_ref().map(|trace| trace.told(resolver.request.text)).unwrap_or_default();
    Ok(Explanation {
        canonical: syntax::print_english(&statement),
        terse: syntax::print_terse(&statement),
        names,
        times,
        position: u64::from(world.view.count()).saturating_sub(1),
        head: tree_head(&world, resolver)?,
        as_of,
        known_at: known_at(&statement, resolver, &world)?,
        now: resolver.used_now.borrow().then_some(world.until),
        operators,
        rows,
        steps,
        steps_at_most,
        statement,
    })
}

/// The grammar as one object for programs, with the built-in attributes.
pub fn grammar() -> serde_json::Value {
    let attributes: Vec<_> =
        attribute::BuiltIn::ALL.iter().map(|built_in| (built_in.word(), built_in.about())).collect();
    syntax::grammar(&attributes)
}
