//! The closed word list of edition 1.

use super::ast::Kind;

/// The edition of the language that this module reads.
pub const EDITION: u32 = 1;

/// Words that are no bare names, in edition 1 and for ever; quoting makes any of them a name.
pub const RESERVED: &[&str] = &[
    "about",
    "after",
    "agent",
    "agents",
    "all",
    "and",
    "any",
    "artifact",
    "artifacts",
    "as",
    "audit",
    "audited",
    "audits",
    "avg",
    "avoiding",
    "before",
    "between",
    "by",
    "count",
    "created",
    "dataset",
    "datasets",
    "deployed",
    "deployment",
    "deployments",
    "derived",
    "diff",
    "directly",
    "downstream",
    "during",
    "evaluated",
    "evaluation",
    "evaluations",
    "event",
    "events",
    "every",
    "except",
    "explain",
    "feature",
    "fine-tuned",
    "from",
    "has",
    "in",
    "including",
    "intersect",
    "known",
    "last",
    "like",
    "limit",
    "live",
    "max",
    "min",
    "model",
    "models",
    "not",
    "now",
    "of",
    "on",
    "only",
    "or",
    "order",
    "path",
    "paths",
    "per",
    "produced",
    "producing",
    "query",
    "retirement",
    "retirements",
    "run",
    "runs",
    "show",
    "since",
    "sum",
    "tagged",
    "the",
    "to",
    "today",
    "trained",
    "training",
    "trainings",
    "transform",
    "transforms",
    "union",
    "upstream",
    "used",
    "using",
    "what",
    "where",
    "why",
    "with",
    "within",
    "without",
    "yesterday",
];

/// Symbols, longest first.
pub(super) const SYMBOLS: &[&str] =
    &["::", "!=", "<=", ">=", "(", ")", "[", "]", ",", "|", "&", "~", "=", "<", ">", "@", "."];

/// Words that begin a clause.
pub(super) const CLAUSE_WORDS: &[&str] = &[
    "not",
    "directly",
    "within",
    "trained",
    "evaluated",
    "deployed",
    "audited",
    "created",
    "fine-tuned",
    "upstream",
    "downstream",
    "derived",
    "live",
    "tagged",
    "used",
    "produced",
    "using",
    "producing",
    "about",
    "with",
    "without",
];

/// Words that begin a time window.
pub(super) const WINDOW_WORDS: &[&str] = &["since", "before", "after", "during", "between", "in last"];

/// Words that begin a tail.
pub(super) const TAIL_WORDS: &[&str] = &["as of", "known at", "including retracted", "order by", "limit", "show"];

/// Kind words in the plural.
pub const PLURALS: &[&str] = &[
    "models",
    "datasets",
    "feature sets",
    "artifacts",
    "agents",
    "transforms",
    "trainings",
    "evaluations",
    "audits",
    "deployments",
    "retirements",
    "runs",
    "events",
];

/// Kind words in the singular.
pub(super) const SINGULARS: &[&str] = &[
    "model",
    "dataset",
    "feature set",
    "artifact",
    "agent",
    "transform",
    "training",
    "evaluation",
    "audit",
    "deployment",
    "retirement",
    "run",
    "event",
];

/// The kinds of the kind words, in the order of both lists.
pub(super) const NOUN_KINDS: [Kind; 13] = [
    Kind::Model,
    Kind::Dataset,
    Kind::FeatureSet,
    Kind::Artifact,
    Kind::Agent,
    Kind::Transform,
    Kind::Training,
    Kind::Evaluation,
    Kind::Audit,
    Kind::Deployment,
    Kind::Retirement,
    Kind::Run,
    Kind::Event,
];

/// The functions of the terse spelling.
pub(super) const FUNCTIONS: &[&str] = &[
    "up",
    "down",
    "derived",
    "trained",
    "evaluated",
    "deployed",
    "audited",
    "created",
    "live",
    "tagged",
    "fine_tuned",
    "used_by",
    "using",
    "produced_by",
    "producing",
    "about",
    "with",
];

/// The reserved word that this is, in lower case.
pub(super) fn reserved(word: &str) -> Option<&'static str> {
    RESERVED.iter().find(|known| known.eq_ignore_ascii_case(word)).copied()
}
