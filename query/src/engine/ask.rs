//! From the body of a statement to rows: each form of question takes its way here.

use arrow::record_batch::RecordBatch;
use lineage_store::time::Time;

use super::QueryError;
use super::changes;
use super::difference;
use super::drawing;
use super::eval::Evaluator;
use super::notes::{self, Said};
use super::paths;
use super::plan::Plan;
use super::resolve::Resolver;
use super::rows::{self, Shape};
use super::tails::Tails;
use super::why;
use super::world::World;
use crate::output::{Graph, Note};
use crate::syntax::Diagnostic;
use crate::syntax::ast::{self, Body, Changes, Set, Span, Statement, TimeExpr};

/// A statement in its world.
pub(super) struct Asking<'a> {
    pub(super) resolver: &'a Resolver<'a>,
    pub(super) world: &'a World,
    pub(super) statement: &'a Statement,
    /// Whether late reports count, as they do with `as of` alone.
    pub(super) late: bool,
}

/// The rows of an answer, and what is to be said of them.
pub(super) struct Found {
    pub(super) batch: RecordBatch,
    pub(super) notes: Vec<Note>,
    pub(super) graph: Option<Graph>,
}

impl Asking<'_> {
    /// The rows of the statement.
    pub(super) fn found(&self) -> Result<Found, QueryError> {
        if let (Some(_), Some(word)) = (self.resolver.request.graph, undrawn(&self.statement.body)) {
            let text = format!("{word} is no drawing; `dot` and `mermaid` draw sets and paths");
            return Err(Diagnostic::new("E0116", text).into());
        }
        match &self.statement.body {
            Body::Set(set) => self.set(set, None),
            Body::Aggregate(aggregate) => self.set(&aggregate.set, Some(aggregate)),
            Body::Paths(paths) if paths.all => self.paths(paths),
            Body::Paths(paths) => self.path(paths),
            Body::Why(why) => self.why(why),
            Body::Changes(Changes::Versions { before, after, .. }) => self.difference(before, after),
            Body::Changes(Changes::Sets { before, after, .. }) => self.diff(before, after),
            Body::Changes(Changes::Over { set, from, to, span }) => self.changes(set, (from, to), *span),
        }
    }

    fn finish(&self, batch: RecordBatch, total: usize, mut said: Vec<Said>) -> Found {
        said.append(&mut self.resolver.library.said.take());
        let notes = notes::of_answer(self.world, said, batch.num_rows(), total, self.late);
        Found { batch, notes, graph: None }
    }

    /// Adds the drawing of so many nodes, if one is wanted.
    fn drawn(&self, found: Found, nodes: usize, draw: impl FnOnce() -> Graph) -> Result<Found, QueryError> {
        let Some(max) = self.resolver.request.graph else { return Ok(found) };
        drawing::check("nodes", nodes, max)?;
        let graph = draw();
        drawing::check("edges", graph.arrows.len(), max.saturating_mul(2))?;
        Ok(Found { graph: Some(graph), ..found })
    }

    fn set(&self, set: &Set, aggregate: Option<&ast::Aggregate>) -> Result<Found, QueryError> {
        let plan = self.resolver.set(set, self.world)?;
        let tails = Tails::resolve(self.statement, aggregate, self.resolver, self.world)?;
        self.resolver.check_unused()?;
        self.rows_of(&plan, &tails)
    }

    fn paths(&self, paths: &ast::Paths) -> Result<Found, QueryError> {
        let plan = Plan::Between(Box::new(self.resolver.between(paths, self.world)?));
        let tails = self.tails()?;
        self.rows_of(&plan, &tails)
    }

    fn rows_of(&self, plan: &Plan, tails: &Tails) -> Result<Found, QueryError> {
        let world = self.world;
        let evaluator = Evaluator::new(world);
        let nodes = evaluator.set(plan);
        let mut said = notes::of_evaluation(&evaluator);
        said.extend(notes::of_set(world, plan, tails, &evaluator, &nodes));
        if let Some(aggregate) = &tails.aggregate {
            let (batch, total) = rows::of_aggregate(world, &nodes, aggregate, &tails.keys, tails.limit)?;
            return Ok(self.finish(batch, total, said));
        }
        let (batch, list) = rows::of_nodes(world, &nodes, &tails.keys, tails.limit, &tails.show)?;
        let found = self.finish(batch, nodes.len(), said);
        self.drawn(found, list.len(), || drawing::induced(world, &list))
    }

    fn path(&self, paths: &ast::Paths) -> Result<Found, QueryError> {
        let world = self.world;
        let plan = self.resolver.between(paths, world)?;
        let tails = self.tails()?;
        let evaluator = Evaluator::new(world);
        let mut path = evaluator.path(&plan);
        let total = path.len();
        path.truncate(tails.rows_max());
        let batch = paths::rows(world, &path, &tails)?;
        let mut said = notes::of_evaluation(&evaluator);
        if total == 0 {
            said.push(("N07", "no path leads there in what is recorded".to_owned()));
        }
        let found = self.finish(batch, total, said);
        self.drawn(found, path.len(), || drawing::of_path(world, &path))
    }

    fn why(&self, why: &ast::Why) -> Result<Found, QueryError> {
        let world = self.world;
        let subject = self.resolver.set(&why.subject, world)?;
        let plan = self.resolver.set(&why.set, world)?;
        let tails = self.tails()?;
        let evaluator = Evaluator::new(world);
        let nodes = rows::ordered(world, &evaluator.set(&subject), &[], None);
        let mut reasons = why::reasons(&evaluator, &nodes, &why.set, &plan);
        let total = reasons.len();
        reasons.truncate(tails.rows_max());
        Ok(self.finish(why::rows(&reasons)?, total, notes::of_evaluation(&evaluator)))
    }

    fn difference(&self, before: &Set, after: &Set) -> Result<Found, QueryError> {
        let world = self.world;
        let versions = (self.resolver.one_version(before, world)?, self.resolver.one_version(after, world)?);
        let tails = self.tails()?;
        let mut differences = difference::differences(world, versions.0, versions.1);
        let total = differences.len();
        differences.truncate(tails.rows_max());
        let said = if total == 0 { vec![("N08", "nothing that is recorded differs".to_owned())] } else { Vec::new() };
        Ok(self.finish(difference::rows(&differences)?, total, said))
    }

    fn diff(&self, before: &Set, after: &Set) -> Result<Found, QueryError> {
        let world = self.world;
        let plans = (self.resolver.set(before, world)?, self.resolver.set(after, world)?);
        let tails = self.tails()?;
        let evaluator = Evaluator::new(world);
        let (before, after) = (evaluator.set(&plans.0), evaluator.set(&plans.1));
        let mut changes = changes::between(world, &before, &after);
        let total = changes.len();
        changes.truncate(tails.rows_max());
        let batch = changes::rows(world, &changes, Shape::of(&[&before, &after]), false)?;
        Ok(self.finish(batch, total, notes::of_evaluation(&evaluator)))
    }

    fn changes(&self, set: &Set, times: (&TimeExpr, &TimeExpr), span: Span) -> Result<Found, QueryError> {
        let (from, to) = self.resolver.stretch_between(times, span, self.world)?;
        let [earlier, later] = [from, to].map(|until| self.resolver.world_until(until, self.world));
        let plans = (self.resolver.set_anew(set, &earlier)?, self.resolver.set_anew(set, &later)?);
        let tails = self.tails()?;
        let evaluator = Evaluator::new(&later);
        let (before, after) = (Evaluator::new(&earlier).set(&plans.0), evaluator.set(&plans.1));
        let mut changes = changes::between(&later, &before, &after);
        let total = changes.len();
        changes.truncate(tails.rows_max());
        let as_of = |until: Time| {
            let world = self.resolver.world_until(until, self.world);
            // A name that means nothing at an instant between leaves what was before.
            self.resolver.set_anew(set, &world).ok().map(|plan| Evaluator::new(&world).set(&plan))
        };
        let exact = changes::explain(&mut changes, &later, &plans.1, (from, to), &as_of);
        let batch = changes::rows(&later, &changes, Shape::of(&[&before, &after]), true)?;
        let mut said = notes::of_evaluation(&evaluator);
        if !exact && total > 0 {
            said.push(("N09", "between so many events the change that is told may not be the first".to_owned()));
        }
        Ok(self.finish(batch, total, said))
    }

    fn tails(&self) -> Result<Tails, QueryError> {
        let tails = Tails::resolve(self.statement, None, self.resolver, self.world)?;
        self.resolver.check_unused()?;
        Ok(tails)
    }
}

/// The word for a question whose answer is no graph.
fn undrawn(body: &Body) -> Option<&'static str> {
    match body {
        Body::Set(_) | Body::Paths(_) => None,
        Body::Aggregate(_) => Some("an aggregate"),
        Body::Why(_) => Some("`why`"),
        Body::Changes(_) => Some("`what changed`"),
    }
}
