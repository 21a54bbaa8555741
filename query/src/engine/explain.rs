//! Explaining a statement: how it was read, what its names and times mean, what each part finds, what it costs.

use std::cell::RefCell;

use lineage_store::graph::{VersionId, View};
use lineage_store::time::Time;
use serde_json::{Value, json};

use super::QueryError;
use super::ask::Asking;
use super::attribute::{Attribute, BuiltIn, Node, Val};
use super::bits::Nodes;
use super::clock::Stretch;
use super::eval::Evaluator;
use super::plan::{OperandPlan, Plan, RelPlan};
use super::world::World;
use crate::output::{KnownAt, SCHEMA_EXPLAIN};
use crate::syntax::ast::{Body, Changes, List, Quantifier, Relation, Set, Span, Statement};
use crate::syntax::{self, print_clause};

/// The most versions that are listed for one name.
const VERSIONS_MAX: usize = 3;

/// What the names and times of a statement were resolved to, written down while that is done.
#[derive(Default)]
pub(crate) struct Trace {
    names: RefCell<Vec<(Span, Meaning)>>,
    times: RefCell<Vec<(Span, Stretch)>>,
}

impl Trace {
    /// A reference means these nodes.
    pub(crate) fn name(&self, span: Span, nodes: &Nodes, world: &World) {
        let meaning = Meaning::of(nodes, world);
        let mut names = self.names.borrow_mut();
        if !names.iter().any(|(known, same)| *known == span && *same == meaning) {
            names.push((span, meaning));
        }
    }

    /// A time means this stretch.
    pub(crate) fn time(&self, span: Span, stretch: Stretch) {
        let mut times = self.times.borrow_mut();
        if !times.contains(&(span, stretch)) {
            times.push((span, stretch));
        }
    }
}

/// What a reference means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// How many versions.
    pub versions: usize,
    /// How many steps or events.
    pub events: usize,
    /// The newest versions: as they are named, with their digests.
    pub listed: Vec<(String, Option<String>)>,
}

impl Meaning {
    fn of(nodes: &Nodes, world: &World) -> Self {
        let digest = |version: VersionId| match world.value(Node::Version(version), &Attribute::BuiltIn(BuiltIn::Hash))
        {
            Some(Val::Text(digest)) => Some(digest),
            _ => None,
        };
        let all: Vec<VersionId> = nodes.versions.iter().collect();
        let newest = all.iter().rev().take(VERSIONS_MAX).map(|v| (world.version_name(*v), digest(*v)));
        Self { versions: all.len(), events: nodes.events.iter().count(), listed: newest.collect() }
    }
}

/// One part of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The part, in canonical English.
    pub text: String,
    /// How many nodes it can find at most, told from the size of the index.
    pub at_most: u64,
    /// How many nodes it finds, taken by itself.
    pub found: u64,
    /// The parts it is made of.
    pub parts: Vec<Self>,
}

/// How a statement is understood, and what it costs.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The statement in canonical English.
    pub canonical: String,
    /// The statement in symbols.
    pub terse: String,
    /// The tree.
    pub statement: Statement,
    /// What is written, and what it means.
    pub names: Vec<(String, Meaning)>,
    /// What is written, the first instant, and the first one after it.
    pub times: Vec<(String, Time, Time)>,
    /// The log position at which it was explained.
    pub position: u64,
    /// The tree head at that position.
    pub head: Option<String>,
    /// The instant of `as of`.
    pub as_of: Option<Time>,
    /// The instant or position of `known at`.
    pub known_at: Option<KnownAt>,
    /// The instant taken for `now`, if the statement depends on it.
    pub now: Option<Time>,
    /// The parts of the body.
    pub operators: Vec<Operator>,
    /// How many rows the answer has.
    pub rows: u64,
    /// How many steps the answer takes.
    pub steps: u64,
    /// How many steps it can take at most in an index of this size.
    pub steps_at_most: u64,
}

/// Operators and costs of a statement that was resolved and answered.
pub(super) struct Measured {
    pub(super) operators: Vec<Operator>,
    pub(super) rows: u64,
    pub(super) steps: u64,
    pub(super) steps_at_most: u64,
}

impl Measured {
    /// Answers, counts, and takes each part by itself.
    pub(super) fn of(asking: &Asking<'_>) -> Result<Self, QueryError> {
        let world = asking.world;
        let rows = asking.found()?.batch.num_rows() as u64;
        let steps = world.budget.spent();
        let evaluator = Evaluator::new(world);
        let (mut operators, mut steps_at_most) = (Vec::new(), 0_u64);
        for set in sets(&asking.statement.body) {
            let plan = asking.resolver.set_anew(set, world)?;
            operators.push(operator(&evaluator, set, &plan));
            steps_at_most = steps_at_most.saturating_add(Size::of(&world.view).steps(&plan));
        }
        if let Body::Paths(_) | Body::Why(_) | Body::Changes(_) = asking.statement.body {
            // Each of these walks between its sets, and evaluates them once for each of its two ends.
            let size = Size::of(&world.view);
            steps_at_most = steps_at_most.saturating_add(size.all.saturating_mul(4)).saturating_mul(size.all.max(2));
        }
        Ok(Self { operators, rows, steps, steps_at_most })
    }
}

/// The names of a trace as they are written in a text.
pub(super) fn written<T: Clone>(text: &str, list: &[(Span, T)]) -> Vec<(String, T)> {
    let mut list = list.to_vec();
    list.sort_by_key(|(span, _)| (span.start, span.end));
    list.into_iter()
        .map(|(span, value)| (text.get(span.start..span.end).unwrap_or_default().to_owned(), value))
        .collect()
}

impl Trace {
    /// Names and times in the order of the text.
    #[expect(clippy::type_complexity, reason = "two lists, each named where it is kept")]
    pub(super) fn told(&self, text: &str) -> (Vec<(String, Meaning)>, Vec<(String, Time, Time)>) {
        let times = written(text, &self.times.borrow());
        let times = times.into_iter().map(|(text, stretch)| (text, stretch.start, stretch.end)).collect();
        (written(text, &self.names.borrow()), times)
    }
}

/// The sets of a body.
fn sets(body: &Body) -> Vec<&Set> {
    match body {
        Body::Set(set) | Body::Changes(Changes::Over { set, .. }) => vec![set],
        Body::Aggregate(aggregate) => vec![&aggregate.set],
        Body::Paths(paths) => [&paths.from, &paths.to].into_iter().chain(&paths.avoiding).collect(),
        Body::Why(why) => vec![&why.subject, &why.set],
        Body::Changes(Changes::Versions { before, after, .. } | Changes::Sets { before, after, .. }) => {
            vec![before, after]
        }
    }
}

fn operator(evaluator: &Evaluator<'_>, set: &Set, plan: &Plan) -> Operator {
    let of = |set: &Set, plan: &Plan| operator(evaluator, set, plan);
    let parts = match (set, plan) {
        (Set::And(sets), Plan::And(plans)) | (Set::Or(sets), Plan::Or(plans)) => {
            sets.iter().zip(plans).map(|(set, plan)| of(set, plan)).collect()
        }
        (Set::Not(set), Plan::Not(plan)) => vec![of(set, plan)],
        (Set::Saved(_), Plan::Saved(saved)) => vec![of(&saved.set, &saved.plan)],
        (Set::At(at), Plan::At(world, plan)) => vec![operator(&Evaluator::new(world), &at.set, plan)],
        (Set::Rel(rel), Plan::Rel(plan)) => {
            let operands = rel.operand.iter().flat_map(|operand| match &operand.set {
                Set::List(List::Refs(refs)) => refs.iter().collect(),
                Set::List(List::Param(_)) => Vec::new(),
                set => vec![set],
            });
            let plans = plan.operand.iter().flat_map(|operand| &operand.sets);
            let operands = operands.zip(plans).map(|(set, plan)| of(set, plan));
            operands.chain(rel.avoiding.iter().zip(&plan.avoiding).map(|(set, plan)| of(set, plan))).collect()
        }
        (Set::Closure(closure), Plan::Between(plan)) => {
            let ends = [(&closure.from, &plan.from), (&closure.to, &plan.to)];
            ends.into_iter().filter_map(|(set, plan)| Some(of(set.as_deref()?, plan.as_ref()?))).collect()
        }
        _ => Vec::new(),
    };
    let found = evaluator.set(plan).len() as u64;
    Operator { text: print_clause(set), at_most: Size::of(&evaluator.world.view).nodes(plan), found, parts }
}

/// The size of an index, from which bounds are told.
#[derive(Clone, Copy)]
struct Size {
    versions: u64,
    events: u64,
    all: u64,
}

impl Size {
    fn of(view: &View) -> Self {
        let (versions, events) = (u64::from(view.n_versions()), u64::from(view.count()));
        Self { versions, events, all: versions + events }
    }

    /// How many nodes a plan can find at most.
    fn nodes(self, plan: &Plan) -> u64 {
        match plan {
            Plan::Kind(kind) if kind.is_version() => self.versions,
            Plan::Kind(_) | Plan::Happened(_) => self.events,
            Plan::Nodes(nodes) => nodes.len() as u64,
            Plan::And(plans) => plans.iter().map(|plan| self.nodes(plan)).min().unwrap_or(self.all),
            Plan::Or(plans) => plans.iter().map(|plan| self.nodes(plan)).sum::<u64>().min(self.all),
            Plan::With(_) => self.versions,
            Plan::At(world, plan) => Self::of(&world.view).nodes(plan),
            Plan::Saved(saved) => self.nodes(&saved.plan),
            Plan::Not(_) | Plan::Rel(_) | Plan::Pred(_) | Plan::Between(_) => self.all,
        }
    }

    /// How many steps evaluating a plan can take at most.
    fn steps(self, plan: &Plan) -> u64 {
        match plan {
            Plan::Kind(_) | Plan::Nodes(_) => 0,
            Plan::And(plans) | Plan::Or(plans) => {
                plans.iter().map(|plan| self.steps(plan)).fold(0, u64::saturating_add)
            }
            Plan::Not(plan) => self.steps(plan),
            Plan::At(world, plan) => Self::of(&world.view).steps(plan),
            Plan::Saved(saved) => self.steps(&saved.plan),
            Plan::Rel(rel) => self.relation(rel),
            Plan::With(_) | Plan::Happened(_) | Plan::Pred(_) => self.all,
            Plan::Between(plan) => {
                let ends = [&plan.from, &plan.to, &plan.avoiding].into_iter().flatten();
                ends.map(|plan| self.steps(plan)).fold(self.all.saturating_mul(4), u64::saturating_add)
            }
        }
    }

    fn relation(self, rel: &RelPlan) -> u64 {
        let Some(operand) = &rel.operand else { return self.all };
        if matches!(rel.relation, Relation::Live | Relation::Tagged) {
            return 0;
        }
        let inner = operand.sets.iter().chain(&rel.avoiding).map(|plan| self.steps(plan)).fold(0, u64::saturating_add);
        // Each walk leaves each version once, and each of the sets walked from counts as a step as well.
        inner.saturating_add(self.walks(operand).saturating_mul(self.all + 1))
    }

    /// How many times a relation is walked.
    fn walks(self, operand: &OperandPlan) -> u64 {
        match operand.quantifier {
            Quantifier::Any | Quantifier::AnyOf => 1,
            Quantifier::AllOf => operand.sets.len() as u64,
            Quantifier::Only => 2,
            Quantifier::Every => operand.sets.iter().map(|plan| self.nodes(plan)).sum(),
        }
    }
}

impl Explanation {
    /// As one object, with the tree.
    pub fn to_json(&self) -> Value {
        let names = self.names.iter().map(|(text, meaning)| {
            let listed = meaning.listed.iter().map(|(name, digest)| json!({ "name": name, "digest": digest }));
            json!({
                "written": text, "versions": meaning.versions, "events": meaning.events,
                "newest": listed.collect::<Vec<_>>(),
            })
        });
        let times = self.times.iter();
        let times = times
            .map(|(text, from, to)| json!({ "written": text, "from": from.to_string(), "before": to.to_string() }));
        json!({
            "schema": SCHEMA_EXPLAIN,
            "edition": syntax::EDITION,
            "canonical": self.canonical,
            "terse": self.terse,
            "ast": self.statement,
            "names": names.collect::<Vec<_>>(),
            "times": times.collect::<Vec<_>>(),
            "position": self.position,
            "head": self.head,
            "as_of": self.as_of.map(|time| time.to_string()),
            "known_at": self.known_at.map(|known| known.to_string()),
            "now": self.now.map(|time| time.to_string()),
            "plan": self.operators.iter().map(Operator::to_json).collect::<Vec<_>>(),
            "rows": self.rows,
            "steps": self.steps,
            "steps_at_most": self.steps_at_most,
        })
    }
}

impl Operator {
    fn to_json(&self) -> Value {
        let parts: Vec<Value> = self.parts.iter().map(Self::to_json).collect();
        json!({ "part": self.text, "found": self.found, "at_most": self.at_most, "parts": parts })
    }
}
