//! The pen: makes the events of one request, each of which carries a fact and what it means for the lineage.

use lineage_store::digest::{Blake3, to_hex};
use lineage_store::event::{About, EntityKind, Event, Json, Kind, Parent, Ref, RunRef, State};
use lineage_store::time::Time;
use serde_json::{Map, Value};

use super::error::Error;
use super::fact::{Fact, Pair};
use super::ledger::Ledger;
use super::run::Run;
use super::{Answer, NAMESPACE};

/// What a request is served with beside what it says.
pub struct Stamp<'a> {
    /// The clock, in milliseconds since 1970.
    pub now: i64,
    /// Who asks, where the request names nobody.
    pub actor: &'a str,
    /// Chance, for ids.
    pub chance: &'a dyn Fn() -> [u8; 16],
    /// Whether any event of another tool, or of this one, produced a version of a dataset: namespace, name.
    pub is_made: &'a dyn Fn(&str, &str) -> bool,
}

/// What is answered once the events of a request are durable.
pub enum Then {
    /// An empty object.
    Empty,
    /// What the ledger says afterwards.
    Ask(Box<dyn FnOnce(&Ledger) -> Answer + Send>),
}

impl Then {
    /// Asks the ledger.
    pub(super) fn ask(ask: impl FnOnce(&Ledger) -> Answer + Send + 'static) -> Self {
        Self::Ask(Box::new(ask))
    }
}

/// What a request comes to: events that are to be recorded together, and before them the bytes that they name.
pub struct Written {
    /// The events.
    pub events: Vec<Event>,
    /// Artifacts, each at most a list of files.
    pub keep: Vec<Vec<u8>>,
    /// The answer.
    pub then: Then,
}

/// Writes the events of one request.
pub struct Pen<'a> {
    /// What was said before.
    pub(super) ledger: &'a Ledger,
    pub(super) stamp: Stamp<'a>,
    pub(super) events: Vec<Event>,
    pub(super) keep: Vec<Vec<u8>>,
}

impl<'a> Pen<'a> {
    /// A pen for one request.
    pub fn new(ledger: &'a Ledger, stamp: Stamp<'a>) -> Self {
        Self { ledger, stamp, events: Vec::new(), keep: Vec::new() }
    }

    /// What was written, if every event of it can be recorded.
    pub fn finish(self, then: Then) -> Result<Written, Error> {
        for event in &self.events {
            event.check().map_err(|refusal| Error::invalid(refusal.to_string()))?;
        }
        Ok(Written { events: self.events, keep: self.keep, then })
    }

    /// 32 hexadecimal digits of chance.
    pub(super) fn hex(&self) -> String {
        to_hex(&(self.stamp.chance)())
    }

    /// An event that carries a fact, still about nothing.
    pub(super) fn event(&self, kind: Kind, fact: &Fact) -> Result<Event, Error> {
        let mut event = Event::new(kind, self.stamp.actor);
        NAMESPACE.clone_into(&mut event.namespace);
        event.id = Some(format!("mlflow/{}", self.hex()));
        event.facets = fact.facets().map_err(Error::invalid)?;
        Ok(event)
    }

    /// An event that carries no fact and follows from one that does.
    pub(super) fn consequence(&self, kind: Kind) -> Event {
        let mut event = Event::new(kind, self.stamp.actor);
        NAMESPACE.clone_into(&mut event.namespace);
        event.id = Some(format!("mlflow/{}", self.hex()));
        event
    }

    /// An event of a run.
    pub(super) fn of_run(&self, run: &Run, kind: Kind, state: State, fact: &Fact) -> Result<Event, Error> {
        let mut event = self.event(kind, fact)?;
        event.job = Some(run.job.to_string());
        event.run = Some(run.id.to_string());
        event.state = state;
        if !run.user.is_empty() {
            event.actor = run.user.to_string();
        }
        Ok(event)
    }

    /// The run that started another, by the tag that says so.
    pub(super) fn parent(&self, tags: &[Pair]) -> Option<Parent> {
        let (_, id) = tags.iter().find(|(key, _)| key == "mlflow.parentRunId")?;
        let run = self.ledger.runs.get(id)?;
        let run = RunRef { namespace: None, job: Some(run.job.to_string()), run: run.id.to_string() };
        Some(Parent { run, root: None })
    }

    /// Adds an event.
    pub(super) fn write(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Adds bytes that an event names; their digests.
    pub(super) fn keep(&mut self, bytes: Vec<u8>) -> (Blake3, String) {
        let mut hasher = lineage_store::digest::Hasher::default();
        hasher.update(&bytes);
        let (blake3, sha256, _) = hasher.finish();
        self.keep.push(bytes);
        (blake3, sha256)
    }
}

/// An instant of the protocol; `None` for one that no calendar has.
pub(super) fn time(milliseconds: i64) -> Option<Time> {
    milliseconds.checked_mul(1_000_000).map(Time)
}

/// The digests of bytes as a reference has them.
pub(super) fn digests(reference: &mut Ref, blake3: Blake3, sha256: &str) {
    reference.digest = Some(blake3.into());
    reference.digests = format!("sha256:{sha256}").parse().into_iter().collect();
}

/// A version of a registered model, or of a logged one, by the label under which it was minted.
pub(super) fn model(name: &str, label: &str) -> Ref {
    Ref { label: Some(label.to_owned()), ..Ref::named(EntityKind::Model, name) }
}

/// As [`model`], as what an event is about.
pub(super) fn about(name: &str, label: &str) -> About {
    About::Thing(model(name, label))
}

/// Parameters as values that can be asked for: texts that are numbers become numbers.
pub(super) fn params(pairs: &[Pair]) -> Json {
    let mut object = Map::new();
    for (key, text) in pairs {
        let number =
            serde_json::from_str::<serde_json::Number>(text).ok().filter(|n| n.as_f64().is_some_and(f64::is_finite));
        let value = match (number, text.as_str()) {
            (Some(number), _) => Value::Number(number),
            (None, "True") => Value::Bool(true),
            (None, "False") => Value::Bool(false),
            (None, text) => Value::from(text),
        };
        object.insert(key.clone(), value);
    }
    // What cannot be said in canonical form is in the fact all the same.
    Json::from_value(&Value::Object(object)).unwrap_or_default()
}
