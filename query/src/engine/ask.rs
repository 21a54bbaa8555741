//! From the body of a statement to rows: each form of question takes its way here.

use arrow::record_batch::RecordBatch;

use super::QueryError;
use super::eval::Evaluator;
use super::notes::{self, Said};
use super::paths;
use super::plan::Plan;
use super::resolve::Resolver;
use super::rows;
use super::tails::Tails;
use super::why;
use super::world::World;
use crate::output::Note;
use crate::syntax::ast::{self, Body, Set, Statement};

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
}

impl Asking<'_> {
    /// The rows of the statement.
    pub(super) fn found(&self) -> Result<Found, QueryError> {
        match &self.statement.body {
            Body::Set(set) => self.set(set, None),
            Body::Aggregate(aggregate) => self.set(&aggregate.set, Some(aggregate)),
            Body::Paths(paths) if paths.all => self.paths(paths),
            Body::Paths(paths) => self.path(paths),
            Body::Why(why) => self.why(why),
            Body::Changes(ast::Changes::Versions { span, .. } | ast::Changes::Over { span, .. }) => {
                Err(super::unbuilt("`what changed` and `diff`", *span).into())
            }
        }
    }

    fn finish(&self, batch: RecordBatch, total: usize, said: Vec<Said>) -> Found {
        let notes = notes::of_answer(self.world, said, batch.num_rows(), total, self.late);
        Found { batch, notes }
    }

    fn set(&self, set: &Set, aggregate: Option<&ast::Aggregate>) -> Result<Found, QueryError> {
        let plan = self.resolver.set(set, self.world)?;
        let tails = Tails::resolve(self.statement, aggregate, self.resolver, self.world)?;
        self.resolver.check_unused()?;
        self.rows_of(&plan, &tails)
    }

    fn paths(&self, paths: &ast::Paths) -> Result<Found, QueryError> {
        let plan = Plan::Between(Box::new(self.resolver.between(paths, self.world)?));
        let tails = Tails::resolve(self.statement, None, self.resolver, self.world)?;
        self.resolver.check_unused()?;
        self.rows_of(&plan, &tails)
    }

    fn rows_of(&self, plan: &Plan, tails: &Tails) -> Result<Found, QueryError> {
        let world = self.world;
        let evaluator = Evaluator::new(world);
        let nodes = evaluator.set(plan);
        let (batch, total) = match &tails.aggregate {
            Some(aggregate) => rows::of_aggregate(world, &nodes, aggregate, &tails.keys, tails.limit)?,
            None => rows::of_nodes(world, &nodes, &tails.keys, tails.limit, &tails.show)?,
        };
        let mut said = notes::of_evaluation(&evaluator);
        said.extend(notes::of_set(world, plan, tails, &evaluator, &nodes));
        Ok(self.finish(batch, total, said))
    }

    fn path(&self, paths: &ast::Paths) -> Result<Found, QueryError> {
        let world = self.world;
        let plan = self.resolver.between(paths, world)?;
        let tails = Tails::resolve(self.statement, None, self.resolver, world)?;
        self.resolver.check_unused()?;
        let evaluator = Evaluator::new(world);
        let mut path = evaluator.path(&plan);
        let total = path.len();
        path.truncate(tails.rows_max());
        let batch = paths::rows(world, &path, &tails)?;
        let mut said = notes::of_evaluation(&evaluator);
        if total == 0 {
            said.push(("N07", "no path leads there in what is recorded".to_owned()));
        }
        Ok(self.finish(batch, total, said))
    }

    fn why(&self, why: &ast::Why) -> Result<Found, QueryError> {
        let world = self.world;
        let subject = self.resolver.set(&why.subject, world)?;
        let plan = self.resolver.set(&why.set, world)?;
        let tails = Tails::resolve(self.statement, None, self.resolver, world)?;
        self.resolver.check_unused()?;
        let evaluator = Evaluator::new(world);
        let nodes = rows::ordered(world, &evaluator.set(&subject), &[], None);
        let mut reasons = why::reasons(&evaluator, &nodes, &why.set, &plan);
        let total = reasons.len();
        reasons.truncate(tails.rows_max());
        Ok(self.finish(why::rows(&reasons)?, total, notes::of_evaluation(&evaluator)))
    }
}
