//! Answers questions straight from the rules of QUERY.md, over the relations of a moment.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::log::{At, Id, Log};
use super::moment::Moment;
use super::question::{Clause, Noun, Operator, Pin, Question, Relation, Set, Time, When, Window};
use super::said::Seconds;
use super::state::{State, environment};
use super::walk::{Edges, Found, Graph};

/// A node of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    Version(Id),
    /// An attempt, by its first recorded event.
    Step(At),
    /// A single event.
    Event(At),
}

/// Why there is no answer: a name or version is unknown or means several things, or a time lies ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused;

pub(super) type Nodes = BTreeSet<Node>;
pub(super) type Answered<T> = Result<T, Refused>;

/// What a question is asked of: a moment, and when it is there.
pub(super) struct World<'a> {
    pub(super) moment: &'a Moment<'a>,
    pub(super) state: State<'a>,
    /// What `now` would be without `as of`.
    now: Seconds,
    retracted: bool,
    pub(super) graphs: RefCell<BTreeMap<Edges, Graph>>,
}

/// The environments that are known before anything is deployed.
pub(super) const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];

const DAY: Seconds = 86_400;

/// The first and the last second of a time.
fn stretch(time: Time) -> (Seconds, Seconds) {
    match time {
        Time::Instant(at) => (at, at),
        Time::Day(day) => {
            let first = super::said::seconds("2026-11-01T00:00:00Z") + (day - 1) * DAY;
            (first, first + DAY - 1)
        }
    }
}

/// Answers a question; `now` is what the clock says.
pub(super) fn answer(log: &Log, question: &Question, now: Seconds) -> Answered<Vec<String>> {
    let outer = Frame { count: log.events.len(), now, until: now, retracted: question.retracted };
    let frame = outer.inner(log, question.as_of, question.known_at)?;
    frame.with(log, |world| {
        let nodes = world.set(&question.set)?;
        world.rows(question, &nodes)
    })
}

/// Position and times of a statement or of parentheses.
#[derive(Clone, Copy)]
struct Frame {
    count: usize,
    now: Seconds,
    until: Seconds,
    retracted: bool,
}

impl Frame {
    fn inner(self, log: &Log, as_of: Option<Time>, known_at: Option<usize>) -> Answered<Self> {
        let count = known_at.map_or(self.count, |k| k + 1);
        if count > log.events.len() {
            return Err(Refused);
        }
        let now = if known_at.is_some() { log.events[count - 1].recorded } else { self.now };
        // An `as of` further out holds on, unless there is another.
        let outer = if self.until == self.now { now } else { self.until };
        let until = match as_of {
            None => outer,
            Some(time) if stretch(time).0 > now => return Err(Refused),
            Some(time) => stretch(time).1.min(now),
        };
        Ok(Self { count, now, until, retracted: self.retracted })
    }

    fn with<T>(self, log: &Log, f: impl FnOnce(&World<'_>) -> Answered<T>) -> Answered<T> {
        let moment = Moment::of(log, self.count, self.until, self.retracted);
        let state = State::of(&moment);
        f(&World { moment: &moment, state, now: self.now, retracted: self.retracted, graphs: RefCell::default() })
    }
}

impl World<'_> {
    pub(super) fn log(&self) -> &Log {
        self.moment.log
    }

    pub(super) fn set(&self, set: &Set) -> Answered<Nodes> {
        Ok(match set {
            Set::Kind(noun) => self.of_kind(*noun),
            Set::Name(noun, name, pin) => self.named(*noun, name, pin.as_ref())?,
            Set::Digest(digest) => {
                let holders = self.moment.versions.iter().copied();
                let holders: Nodes =
                    holders.filter(|v| self.moment.digests(*v).contains(&digest)).map(Node::Version).collect();
                if holders.is_empty() { Err(Refused)? } else { holders }
            }
            Set::Run(run) => {
                let is = |at: &At| self.log().events[*at].run.as_ref() == Some(run);
                let steps: BTreeSet<At> =
                    self.moment.visible().filter(is).map(|at| self.log().members[at].leader).collect();
                let runs: Nodes = steps.into_iter().map(Node::Step).filter(|n| self.is(*n, Noun::Run)).collect();
                let of_node =
                    |node: &Node| if let Node::Step(at) = node { &self.log().events[*at].namespace } else { run };
                let namespaces: BTreeSet<&String> = runs.iter().map(of_node).collect();
                if namespaces.len() == 1 { runs } else { Err(Refused)? }
            }
            Set::Narrowed(base, clauses) => {
                let mut nodes = self.set(base)?;
                for clause in clauses {
                    let kept = self.test(clause)?;
                    nodes.retain(|node| kept(*node));
                }
                nodes
            }
            Set::Joined(operator, a, b) => {
                let (a, b) = (self.set(a)?, self.set(b)?);
                match operator {
                    Operator::Union => &a | &b,
                    Operator::Intersect => &a & &b,
                    Operator::Except => &a - &b,
                }
            }
            Set::Between(from, to) => {
                let end = |set: &Option<Box<Set>>| set.as_ref().map(|set| self.set(set)).transpose();
                let ends = [end(from)?, end(to)?].map(|nodes| nodes.map(|nodes| self.found(&nodes)));
                let found = self.graph(Edges::All, |g| g.between(ends[0].as_ref(), ends[1].as_ref()));
                let versions = found.versions.into_iter().map(Node::Version);
                versions.chain(found.steps.into_iter().map(Node::Step)).collect()
            }
            Set::At(set, as_of, known_at) => self.at(*as_of, *known_at, |world| world.set(set))?,
        })
    }

    /// Asks in parentheses with a time or position of their own.
    pub(super) fn at<T>(
        &self,
        as_of: Option<Time>,
        known_at: Option<usize>,
        ask: impl FnOnce(&World<'_>) -> Answered<T>,
    ) -> Answered<T> {
        let moment = self.moment;
        let frame = Frame { count: moment.count, now: self.now, until: moment.until, retracted: self.retracted };
        frame.inner(self.log(), as_of, known_at)?.with(self.log(), ask)
    }

    pub(super) fn of_kind(&self, noun: Noun) -> Nodes {
        let versions = self.moment.versions.iter().copied().map(Node::Version);
        match noun {
            Noun::Event => self.moment.visible().map(Node::Event).collect(),
            _ => {
                versions.chain(self.moment.steps().into_iter().map(Node::Step)).filter(|n| self.is(*n, noun)).collect()
            }
        }
    }

    /// Whether a node is of a kind.
    pub(super) fn is(&self, node: Node, noun: Noun) -> bool {
        let kind = match node {
            Node::Version(v) => self.log().versions[v].entity.kind.as_str(),
            Node::Step(leader) => self.moment.step_kind(leader),
            Node::Event(at) => self.moment.step_kind(self.log().members[at].leader),
        };
        match (node, noun) {
            (Node::Version(_), Noun::Artifact) | (Node::Step(_) | Node::Event(_), Noun::Event) => true,
            (Node::Version(_), Noun::Features) => kind == "features",
            (Node::Version(_), _) => noun.is_version() && kind == noun.singular(),
            (_, Noun::Run) => ["transform", "training", "evaluation"].contains(&kind),
            (_, noun) => !noun.is_version() && kind == noun.singular(),
        }
    }

    fn named(&self, noun: Noun, name: &str, pin: Option<&Pin>) -> Answered<Nodes> {
        let fits = |v: &Id| self.log().versions[*v].entity.name == name && self.is(Node::Version(*v), noun);
        let all: Vec<Id> = self.moment.versions.iter().copied().filter(fits).collect();
        let entities: BTreeSet<_> = all.iter().map(|v| &self.log().versions[*v].entity).collect();
        let (Some(entity), 1) = (entities.first(), entities.len()) else { return Err(Refused) };
        let hits: BTreeSet<Id> = match pin {
            None => return Ok(all.into_iter().map(Node::Version).collect()),
            Some(Pin::Latest) => all.last().copied().into_iter().collect(),
            Some(Pin::Number(number)) => {
                all.into_iter().filter(|v| self.log().versions[*v].number == *number).collect()
            }
            Some(Pin::Word(word)) => {
                // A label that was moved stands for the newest version that has it.
                let labeled = all.into_iter().rfind(|v| self.moment.label(*v) == Some(word));
                labeled.into_iter().chain(self.state.alias(entity, word)).collect()
            }
        };
        if hits.len() == 1 { Ok(hits.into_iter().map(Node::Version).collect()) } else { Err(Refused) }
    }

    /// Versions and steps; single events count as their steps.
    pub(super) fn found(&self, nodes: &Nodes) -> Found {
        let mut found = Found::default();
        for node in nodes {
            match node {
                Node::Version(v) => drop(found.versions.insert(*v)),
                Node::Step(leader) => drop(found.steps.insert(*leader)),
                Node::Event(at) => drop(found.steps.insert(self.log().members[*at].leader)),
            }
        }
        found
    }

    /// The test of a clause; what it names is resolved first.
    pub(super) fn test<'t>(&'t self, clause: &'t Clause) -> Answered<Box<dyn Fn(Node) -> bool + 't>> {
        Ok(match clause {
            Clause::Not(inner) => {
                let test = self.test(inner)?;
                Box::new(move |node| !test(node))
            }
            Clause::Related { relation, quantifier, operand, .. } => {
                let related = self.related(clause, *relation, *quantifier, operand)?;
                Box::new(move |node| match node {
                    Node::Version(v) => related.versions.contains(&v),
                    Node::Step(leader) => related.steps.contains(&leader),
                    // Relations of one event are of that event, the others of its step.
                    Node::Event(at) => match relation {
                        Relation::Using | Relation::Producing | Relation::About => related.events.contains(&at),
                        _ => related.steps.contains(&self.log().members[at].leader),
                    },
                })
            }
            Clause::Did(verb, when) => {
                self.known(when)?;
                Box::new(move |node| match (node, *verb) {
                    (Node::Version(v), "created") => self.happened(self.birth(v), when, Some(v)),
                    (Node::Version(v), "trained") => self.count(v, Noun::Training, None, when) > 0,
                    (Node::Version(v), "evaluated") => self.count(v, Noun::Evaluation, None, when) > 0,
                    (Node::Version(v), _) => self.count(v, Noun::Audit, None, when) > 0,
                    _ => false,
                })
            }
            Clause::Deployed(to, all, when) => {
                self.known(when)?;
                Box::new(move |node| {
                    let Node::Version(v) = node else { return false };
                    let deployments = self.moment.about.iter().filter(|(_, about)| *about == v).map(|(at, _)| *at);
                    let events = &self.log().events;
                    let counted = deployments.filter(|at| {
                        events[*at].kind == "deployment"
                            && events[*at].is_complete()
                            && self.happened(*at, when, Some(v))
                    });
                    within(
                        &counted.filter_map(|at| events[at].environment.as_deref()).map(environment).collect(),
                        to,
                        *all,
                    )
                })
            }
            Clause::Live(places, all) => Box::new(move |node| match node {
                Node::Version(v) => within(&self.state.live(v), places, *all),
                _ => false,
            }),
            Clause::Tagged(tag) => Box::new(move |node| match node {
                Node::Version(v) => self.state.tags_of_version(v).contains(tag),
                Node::Step(leader) => self.state.tags_of_step(leader).contains(tag),
                Node::Event(at) => self.state.tags_of_step(self.log().members[at].leader).contains(tag),
            }),
            Clause::With { at_least, verdict, noun, when } => {
                self.known(when)?;
                Box::new(
                    move |node| matches!(node, Node::Version(v) if self.count(v, *noun, *verdict, when) >= *at_least),
                )
            }
            Clause::Happened(when) => {
                self.known(when)?;
                Box::new(move |node| match node {
                    Node::Version(_) => false,
                    Node::Step(leader) => self.happened(self.moment.last_event(leader), when, None),
                    Node::Event(at) => self.happened(at, when, None),
                })
            }
            Clause::Where(test) => self.condition(test)?,
        })
    }

    /// An agent must be known, and a window must not lie ahead or end before it begins.
    pub(super) fn known(&self, when: &When) -> Answered<()> {
        let acts = |by: &String| self.moment.visible().any(|at| self.log().events[at].actor == *by);
        let begun = |time: &Time| stretch(*time).0 <= self.moment.until;
        let good = when.by.as_ref().is_none_or(acts)
            && match &when.window {
                Some(Window::Since(t) | Window::Before(t) | Window::After(t) | Window::During(t)) => begun(t),
                Some(Window::Between(a, b)) => begun(a) && begun(b) && stretch(*a).0 <= stretch(*b).1,
                _ => true,
            };
        if good { Ok(()) } else { Err(Refused) }
    }

    /// The event that a version came from.
    pub(super) fn birth(&self, version: Id) -> At {
        self.moment.makers(version).first().copied().unwrap_or(self.log().versions[version].minted)
    }

    /// Whether an event was caused by an agent within a window.
    pub(super) fn happened(&self, at: At, when: &When, of: Option<Id>) -> bool {
        let event = &self.log().events[at];
        let time = event.time;
        when.by.as_ref().is_none_or(|by| *by == event.actor)
            && match &when.window {
                None => true,
                Some(Window::Since(t)) => time >= stretch(*t).0,
                Some(Window::Before(t)) => time < stretch(*t).0,
                Some(Window::After(t)) => time > stretch(*t).1,
                Some(Window::During(t)) => (stretch(*t).0..=stretch(*t).1).contains(&time),
                Some(Window::Between(a, b)) => (stretch(*a).0..=stretch(*b).1).contains(&time),
                Some(Window::Last(minutes)) => (self.moment.until - minutes * 60..=self.moment.until).contains(&time),
                Some(Window::SinceLast(noun)) => {
                    let last = of.and_then(|v| {
                        self.steps_of(v, *noun).into_iter().map(|(at, _)| at).max_by_key(|at| self.when(*at))
                    });
                    last.is_none_or(|last| self.when(at) > self.when(last))
                }
            }
    }

    fn when(&self, at: At) -> (Seconds, At) {
        (self.log().events[at].time, at)
    }

    /// The steps of a kind about a version, or that generated it: the event at which each happened, and its first.
    fn steps_of(&self, version: Id, noun: Noun) -> BTreeSet<(At, At)> {
        let generates = matches!(noun, Noun::Training | Noun::Transform);
        let leaders: BTreeSet<At> = if generates {
            self.moment.making_steps(version)
        } else {
            let about = self.moment.about.iter().filter(|(_, v)| *v == version);
            about.map(|(at, _)| self.log().members[*at].leader).collect()
        };
        let of_kind = leaders.into_iter().filter(|l| self.is(Node::Step(*l), noun));
        let steps = of_kind.map(|l| (self.moment.last_event(l), l));
        // What generated a version did so, whatever became of it; anything else counts once it is complete.
        steps.filter(|(last, _)| generates || self.log().events[*last].is_complete()).collect()
    }

    fn count(&self, version: Id, noun: Noun, verdict: Option<bool>, when: &When) -> usize {
        let counts = |(last, _): &(At, At)| {
            let judged = match verdict {
                None => true,
                Some(true) => self.passes(*last),
                Some(false) => self.log().events[*last].outcome.as_deref() == Some("fail"),
            };
            judged && self.happened(*last, when, Some(version))
        };
        self.steps_of(version, noun).iter().filter(|s| counts(s)).count()
    }

    fn passes(&self, at: At) -> bool {
        let event = &self.log().events[at];
        let until = event.arg("valid_until").map(|t| super::said::seconds(&t));
        event.outcome.as_deref() == Some("pass") && until.is_none_or(|until| until >= self.moment.until)
    }
}

/// Whether places are among those asked for, or any if none is.
fn within(places: &BTreeSet<String>, asked: &[String], all: bool) -> bool {
    let mut asked = asked.iter().map(|name| environment(name)).peekable();
    if asked.peek().is_none() {
        return !places.is_empty();
    }
    if all { asked.all(|name| places.contains(&name)) } else { asked.any(|name| places.contains(&name)) }
}
