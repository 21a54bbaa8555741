//! A resolved statement: names are ids, times are instants, parameters are values; evaluating it cannot fail on a name.

use lineage_store::graph::Symbol;
use lineage_store::time::Time;

use super::attribute::Attribute;
use super::bits::Nodes;
use super::world::World;
use crate::syntax::ast::{Comparison, Kind, Outcome, Quantifier, Relation, Set};

/// A set of nodes, or a condition that narrows one.
pub(crate) enum Plan {
    /// Every visible node of a kind.
    Kind(Kind),
    /// Resolved references.
    Nodes(Nodes),
    /// All of these.
    And(Vec<Self>),
    /// Any of these.
    Or(Vec<Self>),
    /// Everything else.
    Not(Box<Self>),
    /// A relation to an operand.
    Rel(Box<RelPlan>),
    /// Enough events of a kind.
    With(Box<WithPlan>),
    /// Events by an agent or within a window.
    Happened(When),
    /// A test of an attribute.
    Pred(Box<PredPlan>),
    /// A set in a world of its own.
    At(Box<World>, Box<Self>),
    /// What lies between two sets, the ends included.
    Between(Box<BetweenPlan>),
    /// A saved query.
    Saved(Box<SavedPlan>),
}

/// A saved query, with its arguments in place.
pub(crate) struct SavedPlan {
    /// The set that it says.
    pub(crate) set: Set,
    /// The plan of that.
    pub(crate) plan: Plan,
}

/// Both ends of paths; one of them at least.
pub(crate) struct BetweenPlan {
    /// Where paths begin; without it everything that leads to the other end.
    pub(crate) from: Option<Plan>,
    /// Where paths end; without it everything that the other end leads to.
    pub(crate) to: Option<Plan>,
    /// Nodes that paths never pass.
    pub(crate) avoiding: Option<Plan>,
}

/// Who and when.
#[derive(Clone, Default)]
pub(crate) struct When {
    /// The actor.
    pub(crate) by: Option<Symbol>,
    /// The window.
    pub(crate) window: Option<Span>,
}

/// A stretch of time.
#[derive(Clone, Copy)]
pub(crate) enum Span {
    /// From the first instant up to, not including, the second.
    Between(Time, Time),
    /// After the last event of a kind of the node itself.
    SinceLast(Kind),
}

/// A relation.
pub(crate) struct RelPlan {
    /// Which.
    pub(crate) relation: Relation,
    /// To what, for relations to nodes.
    pub(crate) operand: Option<OperandPlan>,
    /// Environments, for `live` and `deployed`; `None` any.
    pub(crate) environments: Option<Environments>,
    /// The tag of `tagged`.
    pub(crate) tag: Option<Symbol>,
    /// At most so many steps.
    pub(crate) depth: Option<u32>,
    /// Who and when.
    pub(crate) when: When,
    /// Nodes that are never entered.
    pub(crate) avoiding: Option<Plan>,
}

/// The environments of `live in` and `deployed to`.
pub(crate) struct Environments {
    /// All of them, rather than any.
    pub(crate) all: bool,
    /// Their symbols; a name that was never used has none and matches nothing.
    pub(crate) symbols: Vec<Option<Symbol>>,
}

/// What a relation relates to.
pub(crate) struct OperandPlan {
    /// How its members must be met.
    pub(crate) quantifier: Quantifier,
    /// One set; for `all of` one for each name.
    pub(crate) sets: Vec<Plan>,
    /// The kinds that `only` looks at; empty: every kind.
    pub(crate) kinds: Vec<Kind>,
}

/// Enough events about or generating a version.
pub(crate) struct WithPlan {
    /// Of which kind.
    pub(crate) event: Kind,
    /// How many.
    pub(crate) at_least: u32,
    /// With which verdict.
    pub(crate) outcome: Option<Outcome>,
    /// Who and when.
    pub(crate) when: When,
}

/// A test of an attribute.
pub(crate) struct PredPlan {
    /// Of which.
    pub(crate) attribute: Attribute,
    /// Which test.
    pub(crate) test: TestPlan,
}

/// A test.
pub(crate) enum TestPlan {
    /// It is there.
    Has,
    /// It is true.
    True,
    /// It compares.
    Compare(Comparison, Constant),
    /// It is one of these.
    In(Vec<Constant>),
    /// It matches a pattern of `%` and `_`.
    Like(String),
    /// It lies between two, ends included.
    Between(Constant, Constant),
}

/// A value to compare with.
#[derive(Clone, Debug)]
pub(crate) enum Constant {
    /// A number, sizes in bytes, durations in seconds; and how it was written, if that may be a name.
    Number(f64, String),
    /// A text.
    Text(String),
    /// A stretch of time, as dates are: start and end, the end not included; and how it was written, if absolute.
    Time(Time, Time, String),
}
