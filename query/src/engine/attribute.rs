//! Attributes of versions, steps and events.

use std::collections::{BTreeMap, BTreeSet};

use lineage_store::event::{EntityKind, Kind, Outcome};
use lineage_store::graph::{Position, Symbol, Use, Value, VersionId};
use lineage_store::time::Time;

use super::bits::Nodes;
use super::world::{Word, World};

/// An attribute that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    /// One of every edition.
    BuiltIn(BuiltIn),
    /// A parameter, by the symbol of its key.
    Param(Symbol, String),
    /// A metric, by the symbol of its key.
    Metric(Symbol, String),
    /// A facet, by its path.
    Meta(String),
}

macro_rules! built_in {
    ($($(#[$doc:meta])* $variant:ident = $word:literal $about:literal,)+) => {
        /// The built-in attributes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum BuiltIn { $($(#[$doc])* $variant),+ }

        impl BuiltIn {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word of the language.
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// What it means.
            pub(crate) fn about(self) -> &'static str {
                match self { $(Self::$variant => $about),+ }
            }
        }
    };
}

built_in! {
    Name = "name" "name of the entity, or job of the step",
    Kind = "kind" "dataset, model, features, artifact, or kind of the event",
    Namespace = "namespace" "namespace of the entity or of the run",
    Version = "version" "number of the version within its name",
    Hash = "hash" "main digest of the bytes",
    Size = "size" "size in bytes",
    Rows = "rows" "number of rows",
    Created = "created" "when the version was minted",
    Recorded = "recorded" "when the first event of it was recorded",
    Occurred = "occurred" "when it happened",
    Started = "started" "when the step began",
    Actor = "actor" "who or what caused it",
    Job = "job" "job of the step that made it",
    Owner = "owner" "who owns it",
    Purpose = "purpose" "what it is for",
    Tier = "tier" "its risk tier",
    Tag = "tag" "its tags",
    Label = "label" "its label",
    Latest = "latest" "whether it is the highest number of its name",
    Live = "live" "whether it is in a slot",
    Framework = "framework" "parameter framework of the step that made it",
    Environment = "environment" "environments of its slots, or of the deployment",
    Service = "service" "service of the deployment",
    Outcome = "outcome" "verdict of the audit or evaluation",
    State = "state" "state of the step",
    Attempt = "attempt" "number of the attempt",
    Origin = "origin" "external if nobody produced it here, else produced",
    Evidence = "evidence" "observed by the runner or claimed by an emitter",
    Independent = "independent" "whether the auditor is not the actor of the training",
    ValidUntil = "valid_until" "until when the audit is valid",
    Position = "position" "position of the event in the log",
    Principal = "principal" "who was authenticated when it was sent",
    Completeness = "completeness" "how much of what a run read and wrote its recorder saw",
}

/// Where the runner says how much it saw.
const COMPLETENESS: &str = "capture.completeness";

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Val {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// A truth value.
    Bool(bool),
    /// An instant.
    Time(Time),
    /// Several texts.
    List(Vec<String>),
}

/// A node of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Node {
    /// A version.
    Version(VersionId),
    /// A step, by the first event of its attempt.
    Step(Position),
    /// A single event.
    Event(Position),
    /// An agent.
    Agent(Symbol),
}

impl Node {
    /// A step or a single event.
    pub(crate) fn of_event(position: Position, single: bool) -> Self {
        if single { Self::Event(position) } else { Self::Step(position) }
    }
}

impl Nodes {
    /// The nodes: versions, then steps or events, then agents.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Node> + '_ {
        let single = self.single;
        let events = self.events.iter().map(move |e| Node::of_event(e, single));
        self.versions.iter().map(Node::Version).chain(events).chain(self.agents.iter().map(Node::Agent))
    }
}

impl BuiltIn {
    /// What its values are.
    pub(crate) fn sort(self) -> Sort {
        match self {
            Self::Created | Self::Recorded | Self::Occurred | Self::Started | Self::ValidUntil => Sort::Time,
            Self::Version | Self::Size | Self::Rows | Self::Attempt | Self::Position => Sort::Number,
            Self::Latest | Self::Live | Self::Independent => Sort::Truth,
            _ => Sort::Text,
        }
    }
}

/// What the values of an attribute are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Numbers.
    Number,
    /// Texts, or lists of them.
    Text,
    /// Instants.
    Time,
    /// Truth values.
    Truth,
}

impl Attribute {
    /// What its values are, if that does not depend on what was recorded.
    pub(crate) fn sort(&self) -> Option<Sort> {
        match self {
            Self::BuiltIn(b) => Some(b.sort()),
            Self::Param(..) | Self::Metric(..) | Self::Meta(_) => None,
        }
    }

    /// The heading of a column.
    pub(crate) fn heading(&self) -> &str {
        match self {
            Self::BuiltIn(b) => b.word(),
            Self::Param(_, name) | Self::Metric(_, name) | Self::Meta(name) => name,
        }
    }
}

impl World {
    /// The value of an attribute of a node; `None` where it has none.
    pub(crate) fn value(&self, node: Node, attribute: &Attribute) -> Option<Val> {
        match (node, attribute) {
            (Node::Agent(agent), Attribute::BuiltIn(b)) => self.of_agent(agent, *b),
            (node, Attribute::Meta(path)) => self.meta(node, path),
            (node, Attribute::BuiltIn(BuiltIn::Completeness)) => self.meta(node, COMPLETENESS),
            (Node::Version(v), Attribute::BuiltIn(b)) => self.of_version(v, *b),
            (Node::Step(e), Attribute::BuiltIn(b)) => self.of_event(self.final_event(e), self.step_kind(e), *b),
            (Node::Event(e), Attribute::BuiltIn(b)) => self.of_event(e, self.view.kind(e), *b),
            (node, Attribute::Param(key, _)) => self.measured(node, false, *key),
            (node, Attribute::Metric(key, _)) => self.measured(node, true, *key),
        }
    }

    fn of_agent(&self, agent: Symbol, attribute: BuiltIn) -> Option<Val> {
        match attribute {
            BuiltIn::Name => Some(Val::Text(self.view.text(agent).to_owned())),
            BuiltIn::Kind => Some(Val::Text("agent".to_owned())),
            _ => None,
        }
    }

    fn of_version(&self, v: VersionId, attribute: BuiltIn) -> Option<Val> {
        let view = &self.view;
        let entity = view.entity(v);
        let symbol = |s: Symbol| (s != 0).then(|| Val::Text(view.text(s).to_owned()));
        match attribute {
            BuiltIn::Name => Some(Val::Text(view.entity_name(entity).to_owned())),
            BuiltIn::Kind => Some(Val::Text(view.entity_kind(entity).as_str().to_owned())),
            BuiltIn::Namespace => Some(Val::Text(view.entity_namespace(entity).to_owned())),
            BuiltIn::Version => Some(Val::Number(f64::from(view.number(v)))),
            BuiltIn::Hash => view.digest(v).map(Val::Text),
            BuiltIn::Size => view.size(v).map(|n| Val::Number(n as f64)),
            BuiltIn::Rows => view.rows(v).map(|n| Val::Number(n as f64)),
            BuiltIn::Created | BuiltIn::Occurred => Some(Val::Time(view.time(self.birth(v)))),
            BuiltIn::Recorded => Some(Val::Time(view.recorded(self.birth(v)))),
            BuiltIn::Actor => symbol(view.actor(self.origin_event(v))),
            BuiltIn::Job => symbol(view.job(self.origin_event(v))),
            BuiltIn::Owner => self.word(v, Word::Owner).and_then(symbol),
            BuiltIn::Purpose => self.word(v, Word::Purpose).and_then(symbol),
            BuiltIn::Tier => self.word(v, Word::Tier).and_then(symbol),
            BuiltIn::Tag => texts(self.tags_of_version(v).into_iter().map(|t| view.text(t).to_owned())),
            BuiltIn::Label => view.label(v).map(|l| Val::Text(l.to_owned())),
            BuiltIn::Latest => Some(Val::Bool(self.is_latest(v))),
            BuiltIn::Live => Some(Val::Bool(!self.environments_of(v).is_empty())),
            BuiltIn::Environment => texts(self.environments_of(v).into_iter().map(|t| view.text(t).to_owned())),
            BuiltIn::Framework => view.symbol("framework").and_then(|key| self.measured(Node::Version(v), false, key)),
            BuiltIn::Origin => {
                let origin = if self.makers(v).is_empty() { "external" } else { "produced" };
                Some(Val::Text(origin.to_owned()))
            }
            BuiltIn::Evidence => Some(Val::Text(view.evidence(self.origin_event(v)).as_str().to_owned())),
            BuiltIn::Position => Some(Val::Number(f64::from(view.mint(v)))),
            BuiltIn::Principal => self.principal(self.origin_event(v)).map(Val::Text),
            BuiltIn::Started
            | BuiltIn::Completeness
            | BuiltIn::Service
            | BuiltIn::Outcome
            | BuiltIn::State
            | BuiltIn::Attempt
            | BuiltIn::Independent
            | BuiltIn::ValidUntil => None,
        }
    }

    /// The event that speaks for a version: the last of the latest step that generated it, else the one that minted it.
    pub(crate) fn origin_event(&self, v: VersionId) -> Position {
        let finals = self.makers(v).into_iter().map(|l| self.final_event(l));
        finals.max_by_key(|e| (self.view.time(*e), *e)).unwrap_or_else(|| self.view.mint(v))
    }

    /// Whether a version has the highest number of its name here.
    pub(crate) fn is_latest(&self, v: VersionId) -> bool {
        self.latest(self.view.entity(v)) == Some(v)
    }

    /// The visible version with the highest number.
    pub(crate) fn latest(&self, entity: u32) -> Option<VersionId> {
        self.view.versions(entity).into_iter().rev().find(|v| self.view.has_version(*v))
    }

    /// An attribute of a single event, or of a step by the event at which it happened.
    fn of_event(&self, event: Position, kind: Kind, attribute: BuiltIn) -> Option<Val> {
        let view = &self.view;
        let leader = view.leader(event);
        let symbol = |s: Symbol| (s != 0).then(|| Val::Text(view.text(s).to_owned()));
        match attribute {
            BuiltIn::Name | BuiltIn::Job => symbol(view.job(leader)),
            BuiltIn::Kind => Some(Val::Text(kind.as_str().to_owned())),
            BuiltIn::Namespace => symbol(view.namespace(event)),
            BuiltIn::Created | BuiltIn::Occurred => Some(Val::Time(view.time(event))),
            BuiltIn::Started => self.events_of(leader).into_iter().map(|e| view.time(e)).min().map(Val::Time),
            BuiltIn::Recorded => Some(Val::Time(view.recorded(event))),
            BuiltIn::Actor => symbol(view.actor(event)),
            BuiltIn::Tag => texts(self.tags_of_step(leader).into_iter().map(|t| view.text(t).to_owned())),
            BuiltIn::Environment => self.slot_change(event).and_then(|c| symbol(c.environment)),
            BuiltIn::Service => self.slot_change(event).and_then(|c| symbol(c.service)),
            BuiltIn::Outcome => view.outcome(event).map(|o| Val::Text(o.as_str().to_owned())),
            BuiltIn::State => Some(Val::Text(view.state(event).as_str().to_owned())),
            BuiltIn::Attempt => Some(Val::Number(f64::from(view.attempt(event)))),
            BuiltIn::Evidence => Some(Val::Text(view.evidence(event).as_str().to_owned())),
            BuiltIn::ValidUntil => view.valid_until(event).map(Val::Time),
            BuiltIn::Framework => {
                view.symbol("framework").and_then(|key| self.measured(Node::Step(leader), false, key))
            }
            BuiltIn::Independent => self.is_independent(event).map(Val::Bool),
            BuiltIn::Position => Some(Val::Number(f64::from(event))),
            BuiltIn::Principal => self.principal(event).map(Val::Text),
            _ => None,
        }
    }

    /// Whether the auditor of an audit is not the actor of any training of what it is about.
    fn is_independent(&self, audit: Position) -> Option<bool> {
        let view = &self.view;
        if view.kind(audit) != Kind::Audit {
            return None;
        }
        let about = view.mentions(audit).into_iter().filter(|m| m.usage == Use::About);
        let mut trainings = about.flat_map(|m| self.makers(m.version)).filter(|l| self.step_kind(*l) == Kind::Training);
        Some(!trainings.any(|l| self.events_of(l).iter().any(|e| view.actor(*e) == view.actor(audit))))
    }

    /// A parameter or metric: of the steps that made a version, and of evaluations about it; the latest wins.
    fn measured(&self, node: Node, metric: bool, key: Symbol) -> Option<Val> {
        let mut best: Option<((Time, Position), Value)> = None;
        self.each_measured(node, metric, |at, m, k, value| {
            if m == metric && k == key && best.as_ref().is_none_or(|(old, _)| *old <= at) {
                best = Some((at, value));
            }
        });
        value_of(best?.1)
    }

    /// Every parameter and metric of a node, by whether it is a metric and by key.
    pub(crate) fn all_measured(&self, node: Node) -> BTreeMap<(bool, Symbol), Val> {
        let mut best: BTreeMap<(bool, Symbol), ((Time, Position), Value)> = BTreeMap::new();
        for metric in [false, true] {
            self.each_measured(node, metric, |at, m, k, value| {
                if m == metric && best.get(&(m, k)).is_none_or(|(old, _)| *old <= at) {
                    best.insert((m, k), (at, value));
                }
            });
        }
        best.into_iter().filter_map(|(key, (_, value))| Some((key, value_of(value)?))).collect()
    }

    /// Calls for each parameter and metric of the events that speak of a node's parameters or of its metrics.
    fn each_measured(&self, node: Node, metric: bool, mut f: impl FnMut((Time, Position), bool, Symbol, Value)) {
        let view = &self.view;
        let mut leaders = match node {
            Node::Step(leader) => vec![leader],
            Node::Event(_) | Node::Agent(_) => Vec::new(),
            Node::Version(v) => self.makers(v),
        };
        if let (Node::Version(v), true) = (node, metric) {
            view.uses(v, |event, usage| {
                if usage == Use::About && matches!(view.kind(event), Kind::Evaluation | Kind::Audit) {
                    leaders.push(view.leader(event));
                }
            });
        }
        leaders.sort_unstable();
        leaders.dedup();
        let single = if let Node::Event(e) = node { Some(e) } else { None };
        for event in leaders.into_iter().flat_map(|l| self.events_of(l)).chain(single) {
            for (m, k, value) in view.attributes(event) {
                f((view.time(event), event), m, k, value);
            }
        }
    }

    /// Whether a visible event has a parameter or metric of this key.
    pub(crate) fn has_attribute(&self, metric: bool, key: Symbol) -> bool {
        let view = &self.view;
        let has = |e: Position| view.attributes(e).iter().any(|(m, k, _)| (*m, *k) == (metric, key));
        view.attribute_keys().contains(&(metric, key))
            && (view.sees_all() || (0..view.count()).any(|e| view.sees(e) && has(e)))
    }

    /// The keys of the visible parameters and metrics, with whether each is a metric.
    pub(crate) fn attribute_keys(&self) -> Vec<(bool, Symbol)> {
        let view = &self.view;
        if view.sees_all() {
            return view.attribute_keys();
        }
        let visible = (0..view.count()).filter(|e| view.sees(*e));
        let keys: BTreeSet<_> = visible.flat_map(|e| view.attributes(e)).map(|(m, k, _)| (m, k)).collect();
        keys.into_iter().collect()
    }

    /// The actors of visible events.
    pub(crate) fn actors(&self) -> BTreeSet<Symbol> {
        let view = &self.view;
        (0..view.count()).filter(|e| view.sees(*e)).map(|e| view.actor(e)).collect()
    }

    /// Whether any visible event has this actor.
    pub(crate) fn has_actor(&self, actor: Symbol) -> bool {
        let view = &self.view;
        (0..view.count()).any(|e| view.actor(e) == actor && view.sees(e))
    }

    /// Whether an audit, at its event, passes here; an expired pass does not.
    pub(crate) fn passes(&self, event: Position) -> bool {
        self.view.outcome(event) == Some(Outcome::Pass)
            && self.view.valid_until(event).is_none_or(|until| until >= self.until)
    }

    /// The entity kind of a version.
    pub(crate) fn kind_of(&self, v: VersionId) -> EntityKind {
        self.view.entity_kind(self.view.entity(v))
    }
}

fn value_of(value: Value) -> Option<Val> {
    match value {
        Value::Number(n) => Some(Val::Number(n)),
        Value::Text(t) => Some(Val::Text(t)),
        Value::Bool(b) => Some(Val::Bool(b)),
        Value::Other => None,
    }
}

fn texts(list: impl Iterator<Item = String>) -> Option<Val> {
    let mut list: Vec<String> = list.collect();
    list.sort();
    (!list.is_empty()).then_some(Val::List(list))
}
