//! Attributes of nodes, the conditions over them, and rows as lines.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::answer::{Node, Nodes, Refused, World};
use super::log::{At, Id};
use super::question::{Constant, Question, Test, Time};
use super::said::{Seconds, seconds, spelled};

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Text(String),
    Truth(bool),
    Time(Seconds),
    List(BTreeSet<String>),
}

type Test1<'t> = Box<dyn Fn(Node) -> bool + 't>;

impl World<'_> {
    pub(super) fn condition<'t>(&'t self, test: &'t Test) -> Result<Test1<'t>, Refused> {
        if let Some(attribute) = test.attribute() {
            self.known_attribute(attribute)?;
        }
        Ok(match test {
            Test::And(a, b) => {
                let (a, b) = (self.condition(a)?, self.condition(b)?);
                Box::new(move |node| a(node) && b(node))
            }
            Test::Or(a, b) => {
                let (a, b) = (self.condition(a)?, self.condition(b)?);
                Box::new(move |node| a(node) || b(node))
            }
            Test::Not(inner) => {
                let inner = self.condition(inner)?;
                Box::new(move |node| !inner(node))
            }
            Test::Clause(clause) => self.test(clause)?,
            Test::Has(attribute) => Box::new(move |node| self.value(node, attribute).is_some()),
            Test::True(attribute) => Box::new(move |node| self.value(node, attribute) == Some(Value::Truth(true))),
            Test::Compared(attribute, comparison, constant) => Box::new(move |node| {
                let equal = |c: &str| self.value(node, attribute).is_some_and(|v| compares(&v, c, constant));
                if *comparison == "!=" { !equal("=") } else { equal(comparison) }
            }),
            Test::In(attribute, list) => Box::new(move |node| {
                self.value(node, attribute).is_some_and(|v| list.iter().any(|c| compares(&v, "=", c)))
            }),
            Test::Between(attribute, low, high) => Box::new(move |node| {
                self.value(node, attribute).is_some_and(|v| compares(&v, ">=", low) && compares(&v, "<=", high))
            }),
            Test::Like(attribute, pattern) => Box::new(move |node| match self.value(node, attribute) {
                Some(Value::Text(text)) => like(&text, pattern),
                Some(Value::List(list)) => list.iter().any(|text| like(text, pattern)),
                _ => false,
            }),
        })
    }

    /// A metric or parameter is known if a visible event has it; everything else is built in.
    fn known_attribute(&self, attribute: &str) -> Result<(), Refused> {
        let events = || self.moment.visible().map(|at| &self.moment.log.events[at]);
        let known = match attribute.split_once('.') {
            Some(("metric", key)) => events().any(|e| e.metrics.contains_key(key)),
            Some((_, key)) => events().any(|e| e.params.contains_key(key)),
            None => true,
        };
        if known { Ok(()) } else { Err(Refused) }
    }

    pub(super) fn value(&self, node: Node, attribute: &str) -> Option<Value> {
        match node {
            Node::Version(v) => self.of_version(v, attribute),
            Node::Step(leader) => self.of_event(self.moment.last_event(leader), Some(leader), attribute),
            Node::Event(at) => self.of_event(at, None, attribute),
        }
    }

    fn of_version(&self, version: Id, attribute: &str) -> Option<Value> {
        let log = self.moment.log;
        let (v, births) = (&log.versions[version], &log.events[self.birth(version)]);
        let told = || {
            let lasts = self.moment.making_steps(version).into_iter().map(|l| self.moment.last_event(l));
            &log.events[lasts.max_by_key(|at| (log.events[*at].time, *at)).unwrap_or(v.minted)]
        };
        let text = |t: &str| (!t.is_empty()).then(|| Value::Text(t.to_owned()));
        match attribute {
            "name" => text(&v.entity.name),
            "kind" => text(&v.entity.kind),
            "namespace" => text(&v.entity.namespace),
            "version" => Some(Value::Number(v.number as f64)),
            "size" => self.moment.last_said(&v.sizes).map(|n| Value::Number(n as f64)),
            "rows" => self.moment.last_said(&v.rows).map(|n| Value::Number(n as f64)),
            "created" | "occurred" => Some(Value::Time(births.time)),
            "recorded" => Some(Value::Time(births.recorded)),
            "actor" => text(&told().actor),
            "owner" | "purpose" | "tier" => self.state.word(version, attribute).and_then(|t| text(t)),
            "tag" => list(self.state.tags_of_version(version)),
            "label" => self.moment.label(version).and_then(|l| text(l)),
            "latest" => Some(Value::Truth(self.moment.of_entity(&v.entity).last() == Some(&version))),
            "live" => Some(Value::Truth(!self.state.live(version).is_empty())),
            "environment" => list(self.state.live(version)),
            "origin" => text(if self.moment.makers(version).is_empty() { "external" } else { "produced" }),
            "position" => Some(Value::Number(v.minted as f64)),
            _ => {
                let mut steps = self.moment.making_steps(version);
                if attribute.starts_with("metric.") {
                    let judged = self.moment.about.iter().filter(|(at, about)| {
                        *about == version && ["evaluation", "audit"].contains(&log.events[*at].kind.as_str())
                    });
                    steps.extend(judged.map(|(at, _)| log.members[*at].leader));
                }
                self.measured(steps.into_iter().flat_map(|l| self.moment.attempt(l)).collect(), attribute)
            }
        }
    }

    /// An attribute of a step at the event at which it happened, or of a single event.
    fn of_event(&self, at: At, step: Option<At>, attribute: &str) -> Option<Value> {
        let log = self.moment.log;
        let (event, leader) = (&log.events[at], log.members[at].leader);
        let text = |t: &str| (!t.is_empty()).then(|| Value::Text(t.to_owned()));
        match attribute {
            "name" | "job" => match &log.members[at].run {
                Some((_, job, _)) => text(job),
                None => event.job.as_deref().and_then(text),
            },
            "kind" => text(if step.is_some() { self.moment.step_kind(leader) } else { &event.kind }),
            "namespace" => text(&event.namespace),
            "created" | "occurred" => Some(Value::Time(event.time)),
            "started" => self.moment.attempt(leader).iter().map(|q| log.events[*q].time).min().map(Value::Time),
            "recorded" => Some(Value::Time(event.recorded)),
            "actor" => text(&event.actor),
            "tag" => list(self.state.tags_of_step(leader)),
            "environment" | "service" => {
                let changes = ["deployment", "retirement"].contains(&event.kind.as_str()) && event.is_complete();
                let place = event.environment.as_deref().map(super::state::environment);
                let said = if attribute == "service" { event.service.clone() } else { place };
                said.filter(|_| changes && self.moment.sees(at)).and_then(|t| text(&t))
            }
            "outcome" => event.outcome.as_deref().and_then(text),
            "state" => text(&event.state),
            "attempt" => Some(Value::Number(log.members[at].number as f64)),
            "position" => Some(Value::Number(at as f64)),
            "valid_until" => {
                event.arg("valid_until").filter(|_| event.kind == "audit").map(|t| Value::Time(seconds(&t)))
            }
            _ if attribute.contains('.') => {
                let events = if step.is_some() { self.moment.attempt(leader) } else { vec![at] };
                self.measured(events, attribute)
            }
            _ => None,
        }
    }

    /// A parameter or metric of some events: the latest wins.
    fn measured(&self, events: Vec<At>, attribute: &str) -> Option<Value> {
        let (space, key) = attribute.split_once('.')?;
        let said = |at: At| {
            let event = &self.moment.log.events[at];
            let value = if space == "metric" { event.metrics.get(key) } else { event.params.get(key) };
            value.map(|value| ((event.time, at), value))
        };
        match events.into_iter().filter_map(said).max_by_key(|(when, _)| *when)?.1 {
            Json::Number(n) => n.as_f64().map(Value::Number),
            Json::String(text) => Some(Value::Text(text.clone())),
            Json::Bool(truth) => Some(Value::Truth(*truth)),
            _ => None,
        }
    }

    /// The rows of an answer as lines, sorted.
    pub(super) fn rows(&self, question: &Question, nodes: &Nodes) -> Result<Vec<String>, Refused> {
        let mut lines = if let Some((function, of, per)) = &question.aggregate {
            per.iter().chain(of).try_for_each(|a| self.known_attribute(a))?;
            self.aggregated(function, of.as_deref(), per, nodes)
        } else {
            question.show.iter().try_for_each(|a| self.known_attribute(a))?;
            nodes.iter().map(|node| self.row(*node, &question.show)).collect()
        };
        lines.sort();
        Ok(lines)
    }

    fn row(&self, node: Node, show: &[String]) -> String {
        let log = self.moment.log;
        let mut line = match node {
            Node::Version(v) => {
                let v = &log.versions[v];
                let namespace =
                    if v.entity.namespace == "default" { String::new() } else { format!("{}::", v.entity.namespace) };
                format!("{} {namespace}{}@v{}", v.entity.kind, v.entity.name, v.number)
            }
            Node::Step(_) | Node::Event(_) => {
                let text = |attribute| self.value(node, attribute).map_or("null".to_owned(), |v| printed(&v));
                let outcome =
                    self.value(node, "outcome").map_or(String::new(), |v| format!(" outcome={}", printed(&v)));
                format!("#{} {}{outcome}", text("position"), text("kind"))
            }
        };
        for attribute in show {
            let value = self.value(node, attribute).map_or("null".to_owned(), |v| printed(&v));
            line = format!("{line} {}={value}", heading(attribute));
        }
        line
    }

    fn aggregated(&self, function: &str, of: Option<&str>, per: &[String], nodes: &Nodes) -> Vec<String> {
        let mut groups: BTreeMap<Vec<Option<String>>, Nodes> = BTreeMap::new();
        if per.is_empty() {
            groups.insert(Vec::new(), Nodes::new());
        }
        for node in nodes {
            let mut keys: Vec<Vec<Option<String>>> = vec![Vec::new()];
            for attribute in per {
                // What has several values is in several groups.
                let values: Vec<Option<String>> = match self.value(*node, attribute) {
                    Some(Value::List(list)) => list.into_iter().map(Some).collect(),
                    value => vec![value.map(|v| printed(&v))],
                };
                let longer = |key: Vec<Option<String>>| {
                    values.clone().into_iter().map(move |v| key.iter().cloned().chain([v]).collect::<Vec<_>>())
                };
                keys = keys.into_iter().flat_map(longer).collect();
            }
            for key in keys {
                groups.entry(key).or_default().insert(*node);
            }
        }
        groups.into_iter().map(|(key, members)| self.group(function, of, per, &key, &members)).collect()
    }

    fn group(
        &self,
        function: &str,
        of: Option<&str>,
        per: &[String],
        key: &[Option<String>],
        members: &Nodes,
    ) -> String {
        let told =
            per.iter().zip(key).map(|(a, k)| format!("{}={} ", heading(a), k.clone().unwrap_or("null".to_owned())));
        let told: String = told.collect();
        let Some(of) = of else { return format!("{told}count={}", members.len()) };
        let numbers: Vec<f64> = members
            .iter()
            .filter_map(|n| if let Some(Value::Number(n)) = self.value(*n, of) { Some(n) } else { None })
            .collect();
        let value = match function {
            "min" => numbers.iter().copied().reduce(f64::min),
            "max" => numbers.iter().copied().reduce(f64::max),
            // The numbers of histories are quarters, which add up exactly.
            "sum" => (!numbers.is_empty()).then(|| numbers.iter().sum()),
            _ => (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64),
        };
        format!("{told}{function}_{}={}", heading(of), value.map_or("null".to_owned(), |n| printed(&Value::Number(n))))
    }
}

impl Test {
    fn attribute(&self) -> Option<&str> {
        match self {
            Self::Has(a)
            | Self::True(a)
            | Self::Compared(a, ..)
            | Self::In(a, _)
            | Self::Between(a, ..)
            | Self::Like(a, _) => Some(a),
            Self::And(..) | Self::Or(..) | Self::Not(_) | Self::Clause(_) => None,
        }
    }
}

/// The heading of a column: the name without its space.
fn heading(attribute: &str) -> &str {
    attribute.rsplit('.').next().unwrap_or(attribute)
}

fn list(list: BTreeSet<String>) -> Option<Value> {
    (!list.is_empty()).then_some(Value::List(list))
}

pub(super) fn printed(value: &Value) -> String {
    match value {
        // The engine's rows are read by serde_json, which is loose in the last digit: so is this.
        Value::Number(n) => serde_json::from_str::<f64>(&n.to_string()).unwrap_or(*n).to_string(),
        Value::Text(text) => text.clone(),
        Value::Truth(truth) => truth.to_string(),
        Value::Time(at) => spelled(*at),
        Value::List(list) => list.iter().cloned().collect::<Vec<_>>().join(";"),
    }
}

/// Whether a value compares so; of several values one is enough, and other types never do.
fn compares(value: &Value, comparison: &str, constant: &Constant) -> bool {
    let order = match (value, constant) {
        (Value::Number(a), Constant::Number(b)) => a.partial_cmp(b),
        (Value::Text(a), Constant::Text(b)) => Some(a.cmp(b)),
        (Value::Truth(a), Constant::Text(b)) => Some(a.to_string().cmp(b)),
        (Value::List(list), Constant::Text(_)) => {
            return list.iter().any(|t| compares(&Value::Text(t.clone()), comparison, constant));
        }
        (Value::Time(at), Constant::Time(time)) => {
            let (first, last) = match time {
                Time::Instant(s) => (*s, *s),
                Time::Day(day) => {
                    (seconds(&format!("2026-11-{day:02}T00:00:00Z")), seconds(&format!("2026-11-{day:02}T23:59:59Z")))
                }
            };
            Some(if *at < first {
                Ordering::Less
            } else if *at > last {
                Ordering::Greater
            } else {
                Ordering::Equal
            })
        }
        _ => None,
    };
    order.is_some_and(|order| match comparison {
        "=" => order.is_eq(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    })
}

/// `%` is any text, `_` any character.
fn like(text: &str, pattern: &str) -> bool {
    match (text.chars().next(), pattern.chars().next()) {
        (_, Some('%')) => like(text, &pattern[1..]) || (!text.is_empty() && like(&text[1..], pattern)),
        (Some(t), Some(p)) => (p == '_' || p == t) && like(&text[1..], &pattern[1..]),
        (None, None) => true,
        _ => false,
    }
}
