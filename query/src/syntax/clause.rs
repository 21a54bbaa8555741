//! The conditions of the tree: relations, operands, events, windows and tests of attributes.

use super::ast::{Kind, Set};
use super::value::{Attr, Name, Span, TimeExpr, TimeUnit, Value};
use serde::Serialize;

/// Every relation of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// `trained`.
    Trained,
    /// `evaluated`.
    Evaluated,
    /// `deployed`.
    Deployed,
    /// `audited`.
    Audited,
    /// `created`.
    Created,
    /// `fine-tuned from`.
    FineTuned,
    /// `upstream of`.
    UpstreamOf,
    /// `downstream of`.
    DownstreamOf,
    /// `derived from`.
    DerivedFrom,
    /// `live`.
    Live,
    /// `tagged`; the tag is in [`Rel::tag`].
    Tagged,
    /// `used by`.
    UsedBy,
    /// `produced by`.
    ProducedBy,
    /// `using`.
    Using,
    /// `producing`.
    Producing,
    /// `about`.
    About,
}

/// A relation with everything that was said about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rel {
    /// Which relation.
    pub relation: Relation,
    /// What it relates to; for `deployed` and `live` this is a slot.
    pub operand: Option<Operand>,
    /// The tag of `tagged`.
    pub tag: Option<Value>,
    /// `directly` is 1, `within N steps` is N, otherwise any depth.
    pub depth: Option<u32>,
    /// The agent.
    pub by: Option<Name>,
    /// Nodes removed before traversal.
    pub avoiding: Option<Set>,
    /// When it happened.
    pub window: Option<Window>,
    /// The clause without a leading `not`.
    pub span: Span,
}

/// A quantified operand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Operand {
    /// How many of `set` must be met.
    pub quantifier: Quantifier,
    /// The set, a [`Set::List`] exactly for `AllOf` and `AnyOf`.
    pub set: Set,
    /// With its quantifier.
    pub span: Span,
}

/// How an operand is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantifier {
    /// Some member; the default.
    Any,
    /// Every member, and there is one.
    Every,
    /// Only members, and there is one.
    Only,
    /// Each of the listed names.
    AllOf,
    /// One of the listed names.
    AnyOf,
}

/// The names after `all of` and `any of`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// References in parentheses.
    Refs(Vec<Set>),
    /// A parameter bound to a list.
    Param(Name),
}

/// `with [at least n] [passing|failing] event [by …] [window]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct With {
    /// Which events are counted.
    pub event: Kind,
    /// How many are needed; 1 when not said.
    pub at_least: u32,
    /// The outcome they must have.
    pub outcome: Option<Outcome>,
    /// The agent.
    pub by: Option<Name>,
    /// When they happened.
    pub window: Option<Window>,
    /// The clause.
    pub span: Span,
}

/// The verdict of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// `passing`.
    Passing,
    /// `failing`.
    Failing,
}

/// `by …` and a window after event nouns; at least one is there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Happened {
    /// The agent.
    pub by: Option<Name>,
    /// When.
    pub window: Option<Window>,
    /// The clause.
    pub span: Span,
}

/// A time window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Window {
    /// Its form.
    pub kind: WindowKind,
    /// The words of it.
    pub span: Span,
}

/// The forms of a window.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// `since T`.
    Since(TimeExpr),
    /// `before T`.
    Before(TimeExpr),
    /// `after T`.
    After(TimeExpr),
    /// `during T`.
    During(TimeExpr),
    /// `between T and T`.
    Between(TimeExpr, TimeExpr),
    /// `in last N unit`.
    Last(u64, TimeUnit),
    /// `since last E`, of the node itself.
    SinceLast(Kind),
}

/// A test of one attribute.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pred {
    /// The attribute.
    pub attr: Attr,
    /// The test.
    pub test: Test,
    /// Attribute and test.
    pub span: Span,
}

/// What is tested of an attribute.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// `has attr`.
    Has,
    /// The attribute alone: it is true.
    True,
    /// `attr = value` and its relatives.
    Compare(Comparison, Value),
    /// `attr in (…)`.
    In(Vec<Value>),
    /// `attr in :list`.
    InParam(Name),
    /// `attr like pattern`.
    Like(Value),
    /// `attr between low and high`, ends included.
    Between(Value, Value),
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `=`.
    Eq,
    /// `!=`.
    Ne,
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
}
