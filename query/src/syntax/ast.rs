//! The one syntax tree that both spellings of the language build.

pub use super::clause::{
    Comparison, Happened, List, Operand, Outcome, Pred, Quantifier, Rel, Relation, Test, Window, WindowKind, With,
};
pub use super::value::{
    Attr, Key, KnownAt, Limit, Name, NameValue, Number, Span, TimeExpr, TimeKind, TimeUnit, Unit, Value, ValueKind,
};
use serde::Serialize;
use std::ops::Deref;

/// What a statement asks, with its tails.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statement {
    /// The statement began with `explain`.
    pub explain: bool,
    /// The question itself.
    pub body: Body,
    /// `as of T`: what had happened by then.
    pub as_of: Option<TimeExpr>,
    /// `known at T`: what the log held by then.
    pub known_at: Option<KnownAt>,
    /// `including retracted`.
    pub including_retracted: bool,
    /// `order by`, most significant key first.
    pub order_by: Vec<Key>,
    /// `limit N`.
    pub limit: Option<Limit>,
    /// `show`, in the order asked for.
    pub show: Vec<Attr>,
}

/// The five forms of question.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// A set of versions, events or agents.
    Set(Set),
    /// `count …`, `max attr of …`.
    Aggregate(Aggregate),
    /// `path from … to …` and `paths from … to …`.
    Paths(Paths),
    /// `why R in (S)`.
    Why(Why),
    /// `what changed …` and `diff(…)`.
    Changes(Changes),
}

/// One number, or one number for each group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Aggregate {
    /// What is computed.
    pub function: Function,
    /// The attribute it is computed of; `None` only for `count`.
    pub attr: Option<Attr>,
    /// The members counted.
    pub set: Set,
    /// `per`, in order.
    pub per: Vec<Attr>,
    /// From the function word to the last group.
    pub span: Span,
}

/// The aggregate functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// `count`.
    Count,
    /// `min`.
    Min,
    /// `max`.
    Max,
    /// `avg`.
    Avg,
    /// `sum`.
    Sum,
}

/// One shortest path, or the sub-graph of every node on any path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Paths {
    /// `paths`: all nodes between; `path`: one shortest.
    pub all: bool,
    /// Where paths begin.
    pub from: Set,
    /// Where paths end.
    pub to: Set,
    /// Nodes removed before the search.
    pub avoiding: Option<Set>,
    /// The whole body.
    pub span: Span,
}

/// Evidence for or against membership.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// A [`Set::Ref`], [`Set::Hash`] or [`Set::File`].
    pub subject: Set,
    /// The set it is asked about.
    pub set: Set,
    /// The whole body.
    pub span: Span,
}

/// What differs between two versions, or in one set between two times.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Changes {
    /// `what changed between R and R`; both sides are references.
    Versions {
        /// The earlier side.
        before: Set,
        /// The later side.
        after: Set,
        /// The whole body.
        span: Span,
    },
    /// `diff(S, S)`: what only one of two sets has.
    Sets {
        /// One side.
        before: Set,
        /// The other side.
        after: Set,
        /// The whole body.
        span: Span,
    },
    /// `what changed in (S) between T and T`.
    Over {
        /// The set whose members are compared.
        set: Set,
        /// The earlier time.
        from: TimeExpr,
        /// The later time.
        to: TimeExpr,
        /// The whole body.
        span: Span,
    },
}

/// A set of nodes, or a condition that narrows one.
///
/// `Rel`, `With`, `Happened` and `Pred` are the nodes that meet a condition, so a clause is an intersection: `S C` and
/// `S & C` are the same [`Set::And`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Set {
    /// Everything of a kind: `models`.
    Kind(Noun),
    /// A name, perhaps of a kind and pinned to a version.
    Ref(Ref),
    /// A digest or a unique beginning of one.
    Hash(Hash),
    /// The content of a file on disk.
    File(File),
    /// A saved query with its arguments.
    Saved(Saved),
    /// Members of all of these; two or more, none of them an `And`.
    And(Members),
    /// Members of any of these; two or more, none of them an `Or`.
    Or(Members),
    /// Everything else.
    Not(Box<Set>),
    /// Nodes that stand in a relation to an operand.
    Rel(Box<Rel>),
    /// Nodes with enough events of a kind about them.
    With(Box<With>),
    /// Events by an agent or within a window: `audits by alice`.
    Happened(Box<Happened>),
    /// A test of one attribute.
    Pred(Box<Pred>),
    /// A set at its own time: `(S as of T)`.
    At(Box<At>),
    /// `X::`, `::X` and `X::Y`, ends included.
    Closure(Closure),
    /// The names of `all of (…)` and `any of (…)`; only inside an [`Operand`] with that quantifier.
    List(List),
}

/// The parts of an `And` or `Or` in source order; equality ignores the order.
#[derive(Clone, Debug, Serialize)]
pub struct Members(pub Vec<Set>);

impl Deref for Members {
    type Target = [Set];
    fn deref(&self) -> &[Set] {
        &self.0
    }
}

impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        if self.0.len() != other.0.len() {
            return false;
        }
        let mut rest: Vec<&Set> = other.0.iter().collect();
        self.0.iter().all(|member| {
            let found = rest.iter().position(|candidate| *candidate == member);
            found.map(|at| rest.remove(at)).is_some()
        })
    }
}

/// A kind word.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Noun {
    /// Which kind.
    pub kind: Kind,
    /// The word, with its article.
    pub span: Span,
}

/// The kinds of nodes; `Artifact`, `Run` and `Event` are umbrellas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Data.
    Dataset,
    /// A trained model.
    Model,
    /// Features of a feature store.
    FeatureSet,
    /// Every file-like thing: datasets, models, feature sets, code, configurations, reports.
    Artifact,
    /// A person, service or team.
    Agent,
    /// A step that makes data.
    Transform,
    /// A step that makes a model.
    Training,
    /// A step that measures.
    Evaluation,
    /// A check by someone.
    Audit,
    /// A version enters a slot.
    Deployment,
    /// A version leaves a slot.
    Retirement,
    /// Transforms, trainings and evaluations.
    Run,
    /// All events.
    Event,
}

/// `[kind] name [@version]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ref {
    /// The kind, if it was written.
    pub kind: Option<Kind>,
    /// The name.
    pub name: Name,
    /// A number, alias or label; `None` is every version.
    pub version: Option<Name>,
    /// The whole reference.
    pub span: Span,
}

/// `[kind] b3:9f2c…`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hash {
    /// The kind, if it was written.
    pub kind: Option<Kind>,
    /// `b3`, `sha256`, `sha1` or `md5`.
    pub algorithm: &'static str,
    /// At least four hexadecimal digits in lower case.
    pub hex: String,
    /// The whole reference.
    pub span: Span,
}

/// `[kind] ./path`; with a kind the path never needs quotes (a quoted word after a kind is a name).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct File {
    /// The kind, if it was written.
    pub kind: Option<Kind>,
    /// Begins with `./`, `../` or `/`.
    pub path: String,
    /// The whole reference.
    pub span: Span,
}

/// `query name@v (arg = value, …)`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Saved {
    /// The name of the saved query.
    pub name: Name,
    /// Its version, if pinned.
    pub version: Option<Name>,
    /// Arguments, each name once.
    pub args: Vec<(Name, Value)>,
    /// The whole call.
    pub span: Span,
}

/// `(S as of T known at K)`; at least one of the two.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct At {
    /// The set.
    pub set: Set,
    /// What had happened by then.
    pub as_of: Option<TimeExpr>,
    /// What the log held by then.
    pub known_at: Option<KnownAt>,
    /// With the parentheses.
    pub span: Span,
}

/// Reachability with the ends included; at least one end is there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Closure {
    /// `X` of `X::`.
    pub from: Option<Box<Set>>,
    /// `X` of `::X`.
    pub to: Option<Box<Set>>,
    /// The whole closure.
    pub span: Span,
}

impl Set {
    /// The intersection of two sets, flattened.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut members = match self {
            Self::And(members) => members.0,
            single => vec![single],
        };
        match other {
            Self::And(more) => members.extend(more.0),
            single => members.push(single),
        }
        Self::And(Members(members))
    }

    /// The union of two sets, flattened.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let mut members = match self {
            Self::Or(members) => members.0,
            single => vec![single],
        };
        match other {
            Self::Or(more) => members.extend(more.0),
            single => members.push(single),
        }
        Self::Or(Members(members))
    }

    /// Where in the source this set was written.
    pub fn span(&self) -> Span {
        match self {
            Self::Kind(x) => x.span,
            Self::Ref(x) => x.span,
            Self::Hash(x) => x.span,
            Self::File(x) => x.span,
            Self::Saved(x) => x.span,
            Self::And(members) | Self::Or(members) => Self::span_of(members),
            Self::Not(inner) => inner.span(),
            Self::Rel(x) => x.span,
            Self::With(x) => x.span,
            Self::Happened(x) => x.span,
            Self::Pred(x) => x.span,
            Self::At(x) => x.span,
            Self::Closure(x) => x.span,
            Self::List(List::Refs(refs)) => Self::span_of(refs),
            Self::List(List::Param(name)) => name.span,
        }
    }

    fn span_of(sets: &[Self]) -> Span {
        sets.iter().map(Self::span).reduce(Span::to).unwrap_or_default()
    }
}

impl Name {
    /// The text, or `None` for a parameter.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            NameValue::Text(text) => Some(text),
            NameValue::Param(_) => None,
        }
    }
}

impl Number {
    /// The number as an exact whole number, where it is one and was written as one.
    pub fn as_i64(&self) -> Option<i64> {
        self.text.parse().ok()
    }
}
