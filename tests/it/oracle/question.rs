//! Questions as the oracle knows them, and how they are written in English.

use super::said::{Seconds, spelled};

/// A kind word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Noun {
    Dataset,
    Model,
    Features,
    Artifact,
    Transform,
    Training,
    Evaluation,
    Audit,
    Deployment,
    Retirement,
    Run,
    Event,
}

/// What stands behind `@`.
#[derive(Clone, Debug)]
pub(super) enum Pin {
    Number(usize),
    Latest,
    /// An alias or a label.
    Word(String),
}

/// A moment or a day.
#[derive(Clone, Copy, Debug)]
pub(super) enum Time {
    Instant(Seconds),
    /// The day of November 2026.
    Day(i64),
}

/// A set.
#[derive(Clone, Debug)]
pub(super) enum Set {
    Kind(Noun),
    Name(Noun, String, Option<Pin>),
    Digest(String),
    Run(String),
    Narrowed(Box<Set>, Vec<Clause>),
    Joined(Operator, Box<Set>, Box<Set>),
    At(Box<Set>, Option<Time>, Option<usize>),
    /// `X::Y`, `X::` and `::Y`.
    Between(Option<Box<Set>>, Option<Box<Set>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    TrainedOn,
    FineTunedFrom,
    DerivedFrom,
    DownstreamOf,
    UpstreamOf,
    EvaluatedOn,
    UsedBy,
    ProducedBy,
    Using,
    Producing,
    About,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    Any,
    Every,
    Only,
    AnyOf,
    AllOf,
}

#[derive(Clone, Debug)]
pub(super) enum Window {
    Since(Time),
    Before(Time),
    After(Time),
    During(Time),
    Between(Time, Time),
    /// In the last minutes.
    Last(i64),
    SinceLast(Noun),
}

/// Who and when.
#[derive(Clone, Debug, Default)]
pub(super) struct When {
    pub(super) by: Option<String>,
    pub(super) window: Option<Window>,
}

#[derive(Clone, Debug)]
pub(super) enum Clause {
    Not(Box<Clause>),
    Related {
        relation: Relation,
        depth: Option<usize>,
        quantifier: Quantifier,
        operand: Vec<Set>,
        when: When,
        avoiding: Option<Box<Set>>,
    },
    /// `trained`, `evaluated`, `audited`, `created` without operand.
    Did(&'static str, When),
    Deployed(Vec<String>, bool, When),
    Live(Vec<String>, bool),
    Tagged(String),
    With {
        at_least: usize,
        verdict: Option<bool>,
        noun: Noun,
        when: When,
    },
    Happened(When),
    Where(Test),
}

/// What follows `where`.
#[derive(Clone, Debug)]
pub(super) enum Test {
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    Not(Box<Test>),
    Has(String),
    True(String),
    Compared(String, &'static str, Constant),
    In(String, Vec<Constant>),
    Between(String, Constant, Constant),
    Like(String, String),
    Clause(Box<Clause>),
}

#[derive(Clone, Debug)]
pub(super) enum Constant {
    Number(f64),
    Text(String),
    Time(Time),
}

/// A statement.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) set: Set,
    /// `count`, or `max` and its like with their attribute; and the groups.
    pub(super) aggregate: Option<(&'static str, Option<String>, Vec<String>)>,
    pub(super) as_of: Option<Time>,
    pub(super) known_at: Option<usize>,
    pub(super) retracted: bool,
    pub(super) show: Vec<String>,
}

impl Noun {
    pub(super) fn is_version(self) -> bool {
        matches!(self, Self::Dataset | Self::Model | Self::Features | Self::Artifact)
    }

    pub(super) fn singular(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Model => "model",
            Self::Features => "feature set",
            Self::Artifact => "artifact",
            Self::Transform => "transform",
            Self::Training => "training",
            Self::Evaluation => "evaluation",
            Self::Audit => "audit",
            Self::Deployment => "deployment",
            Self::Retirement => "retirement",
            Self::Run => "run",
            Self::Event => "event",
        }
    }

    fn article(self) -> &'static str {
        if "aeiou".contains(&self.singular()[..1]) { "an" } else { "a" }
    }
}

impl Relation {
    fn words(self) -> &'static str {
        match self {
            Self::TrainedOn => "trained on",
            Self::FineTunedFrom => "fine-tuned from",
            Self::DerivedFrom => "derived from",
            Self::DownstreamOf => "downstream of",
            Self::UpstreamOf => "upstream of",
            Self::EvaluatedOn => "evaluated on",
            Self::UsedBy => "used by",
            Self::ProducedBy => "produced by",
            Self::Using => "using",
            Self::Producing => "producing",
            Self::About => "about",
        }
    }
}

impl Time {
    fn text(self) -> String {
        match self {
            Self::Instant(at) => spelled(at),
            Self::Day(day) => format!("2026-11-{day:02}"),
        }
    }
}

fn at(as_of: Option<Time>, known_at: Option<usize>) -> String {
    let known = known_at.map_or(String::new(), |k| format!(" known at log {k}"));
    as_of.map_or(String::new(), |t| format!(" as of {}", t.text())) + &known
}

impl Set {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Kind(noun) => format!("{}s", noun.singular()),
            Self::Name(noun, name, pin) => {
                let pin = match pin {
                    None => String::new(),
                    Some(Pin::Number(n)) => format!("@v{n}"),
                    Some(Pin::Latest) => "@latest".to_owned(),
                    Some(Pin::Word(word)) => format!("@{word}"),
                };
                format!("{} {name}{pin}", noun.singular())
            }
            Self::Digest(digest) => digest.clone(),
            Self::Run(run) => format!("run {run}"),
            Self::Narrowed(base, clauses) => {
                let clauses: Vec<String> = clauses.iter().map(Clause::text).collect();
                format!("{} {}", base.closed(), clauses.join(", "))
            }
            Self::Joined(operator, a, b) => {
                let word = match operator {
                    Operator::Union => "union",
                    Operator::Intersect => "intersect",
                    Operator::Except => "except",
                };
                format!("{} {word} {}", a.closed(), b.closed())
            }
            Self::Between(from, to) => {
                let end = |set: &Option<Box<Self>>| match set {
                    None => String::new(),
                    Some(set) if matches!(**set, Self::Name(..)) => set.text(),
                    Some(set) => format!("({})", set.text()),
                };
                format!("{}::{}", end(from), end(to))
            }
            Self::At(set, as_of, known_at) => format!("({}{})", set.text(), at(*as_of, *known_at)),
        }
    }

    /// In parentheses, unless nothing can be taken apart.
    fn closed(&self) -> String {
        match self {
            Self::Narrowed(..) | Self::Joined(..) | Self::Between(..) => format!("({})", self.text()),
            _ => self.text(),
        }
    }

    /// As an operand: a name, or parentheses.
    fn operand(&self) -> String {
        match self {
            Self::Name(..) | Self::Digest(_) | Self::Run(_) | Self::At(..) => self.text(),
            _ => format!("({})", self.text()),
        }
    }
}

impl When {
    fn text(&self) -> String {
        let by = self.by.as_ref().map_or(String::new(), |by| format!(" by {by}"));
        let window = match &self.window {
            None => String::new(),
            Some(Window::Since(t)) => format!(" since {}", t.text()),
            Some(Window::Before(t)) => format!(" before {}", t.text()),
            Some(Window::After(t)) => format!(" after {}", t.text()),
            Some(Window::During(t)) => format!(" during {}", t.text()),
            Some(Window::Between(a, b)) => format!(" between {} and {}", a.text(), b.text()),
            Some(Window::Last(minutes)) => format!(" in last {minutes} minutes"),
            Some(Window::SinceLast(noun)) => format!(" since their last {}", noun.singular()),
        };
        by + &window
    }
}

fn places(words: &str, places: &[String], all: bool) -> String {
    match places {
        [] => String::new(),
        [one] => format!(" {words} {one}"),
        several => format!(" {words} {} of ({})", if all { "all" } else { "any" }, several.join(", ")),
    }
}

impl Clause {
    fn text(&self) -> String {
        match self {
            Self::Not(clause) => match &**clause {
                Self::With { .. } => clause.text().replacen("with", "without", 1),
                other => format!("not {}", other.text()),
            },
            Self::Related { relation, depth, quantifier, operand, when, avoiding } => {
                let depth = match depth {
                    None => String::new(),
                    Some(1) => "directly ".to_owned(),
                    Some(n) => format!("within {n} steps "),
                };
                let list = || operand.iter().map(Set::operand).collect::<Vec<_>>().join(", ");
                let operand = match quantifier {
                    Quantifier::Any => operand[0].operand(),
                    Quantifier::Every => format!("every ({})", operand[0].text()),
                    Quantifier::Only => format!("only ({})", operand[0].text()),
                    Quantifier::AnyOf => format!("any of ({})", list()),
                    Quantifier::AllOf => format!("all of ({})", list()),
                };
                let by = When { by: when.by.clone(), window: None }.text();
                let window = When { by: None, window: when.window.clone() }.text();
                let avoiding = avoiding.as_ref().map_or(String::new(), |a| format!(" avoiding ({})", a.text()));
                format!("{depth}{} {operand}{by}{avoiding}{window}", relation.words())
            }
            Self::Did(verb, when) => format!("{verb}{}", when.text()),
            Self::Deployed(to, all, when) => format!("deployed{}{}", places("to", to, *all), when.text()),
            Self::Live(to, all) => format!("live{}", places("in", to, *all)),
            Self::Tagged(tag) => format!("tagged {tag}"),
            Self::With { at_least, verdict, noun, when } => {
                let verdict = verdict.map_or("", |passes| if passes { "passing " } else { "failing " });
                let count = match at_least {
                    1 if verdict.is_empty() => format!("{} ", noun.article()),
                    1 => "a ".to_owned(),
                    n => format!("at least {n} "),
                };
                let plural = if *at_least > 1 { "s" } else { "" };
                format!("with {count}{verdict}{}{plural}{}", noun.singular(), when.text())
            }
            Self::Happened(when) => when.text().trim_start().to_owned(),
            Self::Where(test) => format!("where {}", test.text()),
        }
    }
}

impl Constant {
    fn text(&self) -> String {
        match self {
            Self::Number(n) => n.to_string(),
            Self::Text(text) => format!("'{text}'"),
            Self::Time(time) => time.text(),
        }
    }
}

impl Test {
    fn text(&self) -> String {
        match self {
            Self::And(a, b) => format!("{} and {}", a.closed(), b.closed()),
            Self::Or(a, b) => format!("{} or {}", a.closed(), b.closed()),
            Self::Not(test) => format!("not {}", test.closed()),
            Self::Has(attribute) => format!("has {attribute}"),
            Self::True(attribute) => attribute.clone(),
            Self::Compared(attribute, comparison, constant) => format!("{attribute} {comparison} {}", constant.text()),
            Self::In(attribute, list) => {
                format!("{attribute} in ({})", list.iter().map(Constant::text).collect::<Vec<_>>().join(", "))
            }
            Self::Between(attribute, a, b) => format!("{attribute} between {} and {}", a.text(), b.text()),
            Self::Like(attribute, pattern) => format!("{attribute} like '{pattern}'"),
            Self::Clause(clause) => clause.text(),
        }
    }

    fn closed(&self) -> String {
        match self {
            Self::And(..) | Self::Or(..) => format!("({})", self.text()),
            _ => self.text(),
        }
    }
}

impl Question {
    pub(super) fn of(set: Set) -> Self {
        Self { set, aggregate: None, as_of: None, known_at: None, retracted: false, show: Vec::new() }
    }

    pub(super) fn text(&self) -> String {
        let mut text = match &self.aggregate {
            None => self.set.text(),
            Some((function, attribute, per)) => {
                let of = attribute.as_ref().map_or(String::new(), |a| format!(" {a} of"));
                let per = if per.is_empty() { String::new() } else { format!(" per {}", per.join(", ")) };
                format!("{function}{of} {}{per}", self.set.closed())
            }
        };
        text += &at(self.as_of, self.known_at);
        if self.retracted {
            text += " including retracted";
        }
        if !self.show.is_empty() {
            text.push_str(" show ");
            text.push_str(&self.show.join(", "));
        }
        text
    }
}
