//! Facts of a view: tags, aliases, owners and links, changes of slots, parameters and metrics.

use std::collections::HashSet;

use super::super::fold::{Predicate, SCOPE_ENTITY, SCOPE_VERSION};
use super::super::value::{Packed, Value, unpack};
use super::{EntityId, Position, Symbol, VersionId, View};
use crate::time::Time;

/// What a fact is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Every version of an entity, later ones too.
    Entity(EntityId),
    /// One version.
    Version(VersionId),
    /// A run or event.
    Event(Position),
}

/// What a fact says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assertion {
    /// Has the tag.
    Tag(Symbol),
    /// Has the tag no more.
    Untag(Symbol),
    /// Is what the alias of its entity points to.
    Alias(Symbol),
    /// The alias of the entity is gone.
    Unalias(Symbol),
    /// Is owned by.
    Owner(Symbol),
    /// Serves a purpose.
    Purpose(Symbol),
    /// Is of a risk tier.
    Tier(Symbol),
    /// Is the same as another entity (for entities) or version (for versions).
    Link(u32),
}

/// One visible fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The event that says it.
    pub event: Position,
    /// What it is about.
    pub subject: Subject,
    /// What it says.
    pub says: Assertion,
}

/// A completed deployment or retirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotChange {
    /// The event.
    pub event: Position,
    /// The environment; 0 every environment.
    pub environment: Symbol,
    /// The service; 0 the model's own name, or for a retirement every service.
    pub service: Symbol,
    /// Whether it joins what is there.
    pub alongside: bool,
}

impl View {
    /// The parameters (`false`) or metrics (`true`) of an event.
    pub fn attributes(&self, event: Position) -> Vec<(bool, Symbol, Value)> {
        let (keys, values) = self.stack.attributes(event);
        keys.iter().zip(values).map(|(k, v)| (k >> 30 == 1, k & ((1 << 30) - 1), self.value(*v))).collect()
    }

    fn value(&self, packed: u32) -> Value {
        match unpack(packed) {
            Packed::Number(n) => Value::Number(n),
            Packed::Wide(index) => Value::Number(self.stack.wide(index)),
            Packed::Symbol(s) => Value::Text(self.text(s).to_owned()),
            Packed::Bool(b) => Value::Bool(b),
            Packed::Other => Value::Other,
        }
    }

    /// The keys of all parameters and metrics recorded by K, with whether each is a metric.
    pub fn attribute_keys(&self) -> Vec<(bool, Symbol)> {
        let mut keys = HashSet::new();
        for s in self.stack.segments() {
            keys.extend(s.c_key().all().iter().copied());
        }
        let mut keys: Vec<_> = keys.into_iter().map(|k: u32| (k >> 30 == 1, k & ((1 << 30) - 1))).collect();
        keys.sort_unstable();
        keys
    }

    /// All visible facts, by position. Links act by when they were recorded, whatever T is.
    pub fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for s in self.stack.segments() {
            let (events, predicates, scopes) = (s.f_event().all(), s.f_predicate().all(), s.f_scope().all());
            let (subjects, objects) = (s.f_subject().all(), s.f_object().all());
            for i in 0..events.len().min(objects.len()) {
                let says = assertion(predicates[i], objects[i]);
                let event = events[i];
                let counts = match says {
                    Assertion::Link(_) => event < self.visible.end && !self.visible.hidden.contains(&event),
                    _ => self.sees(event),
                };
                if counts {
                    let subject = match scopes[i] {
                        SCOPE_ENTITY => Subject::Entity(subjects[i]),
                        SCOPE_VERSION => Subject::Version(subjects[i]),
                        _ => Subject::Event(subjects[i]),
                    };
                    facts.push(Fact { event, subject, says });
                }
            }
        }
        facts
    }

    /// Whether anything was ever linked, whatever K is.
    pub fn has_links(&self) -> bool {
        self.stack.segments().iter().any(|s| s.f_predicate().all().contains(&(Predicate::Link as u8)))
    }

    /// All visible completed deployments and retirements, by position.
    pub fn slot_changes(&self) -> Vec<SlotChange> {
        let mut changes = Vec::new();
        for s in self.stack.segments() {
            let (events, environments) = (s.d_event().all(), s.d_environment().all());
            let (services, alongside) = (s.d_service().all(), s.d_alongside().all());
            for i in 0..events.len().min(alongside.len()) {
                if self.sees(events[i]) {
                    changes.push(SlotChange {
                        event: events[i],
                        environment: environments[i],
                        service: services[i],
                        alongside: alongside[i] == 1,
                    });
                }
            }
        }
        changes
    }

    /// Until when an audit is valid.
    pub fn valid_until(&self, event: Position) -> Option<Time> {
        self.stack.segments().iter().find_map(|s| {
            let row = s.w_event().lower_bound(event);
            (row < s.w_event().len() && s.w_event().get(row) == event).then(|| Time(s.w_time().get(row)))
        })
    }
}

fn assertion(predicate: u8, object: u32) -> Assertion {
    const TAG: u8 = Predicate::Tag as u8;
    const UNTAG: u8 = Predicate::Untag as u8;
    const ALIAS: u8 = Predicate::Alias as u8;
    const UNALIAS: u8 = Predicate::Unalias as u8;
    const OWNER: u8 = Predicate::Owner as u8;
    const PURPOSE: u8 = Predicate::Purpose as u8;
    const TIER: u8 = Predicate::Tier as u8;
    match predicate {
        TAG => Assertion::Tag(object),
        UNTAG => Assertion::Untag(object),
        ALIAS => Assertion::Alias(object),
        UNALIAS => Assertion::Unalias(object),
        OWNER => Assertion::Owner(object),
        PURPOSE => Assertion::Purpose(object),
        TIER => Assertion::Tier(object),
        _ => Assertion::Link(object),
    }
}
