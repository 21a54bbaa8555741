//! One fixed position of the graph index: what was recorded by K, had happened by T, and is not retracted.

mod adjacency;
mod edges;
mod facts;
mod late;
mod steps;
mod versions;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

pub use adjacency::{Adjacency, Direction};
pub use edges::{Made, Mention, Use};
pub use facts::{Assertion, Fact, SlotChange, Subject};
pub use steps::{Makes, Names, Steps};

use super::stack::Stack;
use super::{fold, key};
use crate::error::Result;
use crate::event::{EntityKind, Evidence, Kind, Outcome, State};
use crate::time::Time;
use adjacency::Adjacencies;
use late::Late;

/// A version: a dense id, in the order of minting.
pub type VersionId = u32;
/// A named thing: a dense id, in the order of first mention.
pub type EntityId = u32;
/// A position in the log.
pub type Position = u32;
/// A text of the dictionary; 0 is none.
pub type Symbol = u32;

/// Which events count.
#[derive(Clone, Debug)]
struct Visible {
    end: u32,
    until: i64,
    hidden: HashSet<u32>,
    /// Whether every event below `end` counts, so that nothing needs a look.
    all: bool,
}

/// A view of the index at one position and one instant; it never changes.
#[derive(Clone)]
pub struct View {
    stack: Stack,
    visible: Visible,
    /// All mention bits of the index together.
    any_bits: u16,
    has_members: bool,
    /// The number of versions minted by K.
    n_versions: u32,
    late: Arc<Mutex<HashMap<EntityId, Arc<Late>>>>,
    adjacencies: Arc<Adjacencies>,
}

impl View {
    /// A view of everything in a stack.
    pub(crate) fn new(stack: Stack) -> Self {
        let end = stack.next_bases().event;
        let mut view = Self::of_first(stack, end, i64::MAX);
        view.visible.all = view.visible.hidden.is_empty();
        view
    }

    /// This view restricted to the first `count` events and to what had happened by `until`.
    #[must_use]
    pub fn at(&self, count: u32, until: Time) -> Self {
        Self::of_first(self.stack.clone(), count.min(self.total()), until.0)
    }

    fn of_first(stack: Stack, end: u32, until: i64) -> Self {
        let mut view = Self {
            any_bits: stack.any_bits(),
            has_members: stack.has_members(),
            n_versions: stack.n_versions_by(end),
            visible: Visible { end, until, hidden: HashSet::new(), all: false },
            late: Arc::default(),
            adjacencies: Arc::default(),
            stack,
        };
        view.visible.hidden = view.retracted();
        view
    }

    /// This view with retracted events shown.
    #[must_use]
    pub fn including_retracted(&self) -> Self {
        let mut view = self.clone();
        view.visible.hidden.clear();
        view.late = Arc::default();
        view.adjacencies = Arc::default();
        view
    }

    /// The number of events recorded by K.
    pub fn count(&self) -> u32 {
        self.visible.end
    }

    /// The number of events in the index, whatever K is.
    fn total(&self) -> u32 {
        self.stack.next_bases().event
    }

    /// The number of versions minted by K.
    #[inline]
    pub fn n_versions(&self) -> u32 {
        self.n_versions
    }

    /// The number of entities, whatever K is.
    pub fn n_entities(&self) -> u32 {
        self.stack.next_bases().entity
    }

    /// The error of a damaged page that an answer came across; an answer counts only if this is `Ok` after it.
    pub fn check(&self) -> Result<()> {
        self.stack.damage()
    }

    /// Events that a visible retract hides.
    fn retracted(&self) -> HashSet<u32> {
        let mut rows: Vec<(u32, u32)> = Vec::new();
        for s in self.stack.segments() {
            rows.extend(s.r_event().all().iter().copied().zip(s.r_target().all().iter().copied()));
        }
        // A retract reaches only earlier events, so from the newest on each one is decided before its targets are.
        rows.sort_unstable_by(|a, b| b.cmp(a));
        let mut hidden = HashSet::new();
        for (event, target) in rows {
            // Retracts act by when they were recorded, whatever T is.
            if event < self.visible.end && !hidden.contains(&event) {
                hidden.insert(target);
            }
        }
        hidden
    }

    /// How many events below K are hidden.
    pub fn n_hidden(&self) -> usize {
        self.visible.hidden.len()
    }

    /// How many events below K that had happened by T are hidden.
    pub fn n_hidden_here(&self) -> usize {
        self.visible.hidden.iter().filter(|e| self.stack.time(**e) <= self.visible.until).count()
    }

    /// Whether an event is retracted.
    pub fn is_hidden(&self, event: Position) -> bool {
        self.visible.hidden.contains(&event)
    }

    /// Whether an event counts.
    #[inline]
    pub fn sees(&self, event: Position) -> bool {
        let v = &self.visible;
        event < v.end && (v.all || (self.stack.time(event) <= v.until && !v.hidden.contains(&event)))
    }

    /// Whether every event below K counts.
    pub fn sees_all(&self) -> bool {
        self.visible.all
    }

    /// The kind of an event.
    #[inline]
    pub fn kind(&self, event: Position) -> Kind {
        Kind::from_code(self.stack.kind(event)).unwrap_or(Kind::Register)
    }

    /// The events of a kind recorded by K, visible or not, by position.
    pub fn events_of_kind(&self, kind: Kind) -> Vec<Position> {
        let mut events = Vec::new();
        for s in self.stack.segments() {
            let base = s.bases.event;
            let kinds = s.e_kind().all().iter().zip(base..);
            events.extend(kinds.filter(|(code, _)| **code == kind as u8).map(|(_, event)| event));
        }
        events.retain(|event| *event < self.visible.end);
        events
    }

    /// The state of an event.
    pub fn state(&self, event: Position) -> State {
        State::from_code(self.stack.bits(event) & 0b111).unwrap_or(State::Other)
    }

    /// Who vouches for an event.
    pub fn evidence(&self, event: Position) -> Evidence {
        if self.stack.bits(event) >> 3 & 1 == 1 { Evidence::Claimed } else { Evidence::Observed }
    }

    /// The verdict of an event.
    pub fn outcome(&self, event: Position) -> Option<Outcome> {
        match self.stack.bits(event) >> 4 & 0b11 {
            1 => Some(Outcome::Pass),
            2 => Some(Outcome::Fail),
            _ => None,
        }
    }

    /// Whether an event belongs to a run.
    pub fn has_run(&self, event: Position) -> bool {
        self.stack.bits(event) >> 6 & 1 == 1
    }

    /// When an event happened.
    pub fn time(&self, event: Position) -> Time {
        Time(self.stack.time(event))
    }

    /// When an event was recorded.
    pub fn recorded(&self, event: Position) -> Time {
        self.stack.recorded(event)
    }

    /// The actor of an event.
    pub fn actor(&self, event: Position) -> Symbol {
        self.stack.actor(event)
    }

    /// The namespace of an event.
    pub fn namespace(&self, event: Position) -> Symbol {
        self.stack.namespace(event)
    }

    /// The job of an event; 0 none.
    pub fn job(&self, event: Position) -> Symbol {
        self.stack.job(event)
    }

    /// The first recorded event of an event's attempt.
    #[inline]
    pub fn leader(&self, event: Position) -> Position {
        self.stack.leader(event)
    }

    /// The number of an event's attempt.
    pub fn attempt(&self, event: Position) -> u16 {
        self.stack.attempt(event)
    }

    /// The visible events of an attempt, ascending.
    pub fn attempt_events(&self, leader: Position) -> Vec<Position> {
        let mut events = vec![leader];
        events.extend(self.stack.members(leader));
        events.retain(|e| self.sees(*e));
        events
    }

    /// The position of an event id within a namespace.
    pub fn find_event(&self, namespace: &str, id: &str) -> Option<Position> {
        self.stack.find_id(key::scoped(namespace, id)).filter(|p| *p < self.visible.end)
    }

    /// The events of a run id within a namespace, of whichever job, newest first.
    pub fn run_events(&self, namespace: &str, run: &str) -> Vec<Position> {
        let mut next = self.stack.find_run(key::scoped(namespace, run));
        let mut events = Vec::new();
        while let Some(event) = next {
            if self.sees(event) {
                events.push(event);
            }
            next = self.stack.previous(event).checked_sub(1).filter(|p| *p < event);
        }
        events
    }

    /// The text of a symbol.
    pub fn text(&self, symbol: Symbol) -> &str {
        self.stack.text(symbol)
    }

    /// The symbol of a text.
    pub fn symbol(&self, text: &str) -> Option<Symbol> {
        self.stack.find_symbol(text)
    }

    /// The symbol of an environment's name, folded as slots are.
    pub fn environment(&self, name: &str) -> Option<Symbol> {
        self.symbol(&fold::environment(name))
    }

    /// The name of an environment as slots spell it.
    pub fn environment_name(name: &str) -> String {
        fold::environment(name)
    }

    /// The entities of a name, whatever their kind and namespace.
    pub fn entities_named(&self, name: &str) -> Vec<EntityId> {
        self.symbol(name).map(|s| self.stack.entities_named(s)).unwrap_or_default()
    }

    /// The kind of an entity.
    #[inline]
    pub fn entity_kind(&self, entity: EntityId) -> EntityKind {
        EntityKind::from_code(self.stack.entity_kind(entity)).unwrap_or(EntityKind::Artifact)
    }

    /// The namespace of an entity.
    pub fn entity_namespace(&self, entity: EntityId) -> &str {
        self.text(self.stack.entity_namespace(entity))
    }

    /// The name of an entity.
    pub fn entity_name(&self, entity: EntityId) -> &str {
        self.text(self.stack.entity_name(entity))
    }

    /// The symbol of the name of an entity.
    pub fn entity_name_symbol(&self, entity: EntityId) -> Symbol {
        self.stack.entity_name(entity)
    }

    /// The number of events recorded no later than an instant.
    pub fn count_recorded_by(&self, instant: Time) -> u32 {
        let (mut low, mut high) = (0, self.total());
        while low < high {
            let middle = u32::midpoint(low, high);
            if self.stack.recorded(middle) <= instant {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The actors of all events.
    pub fn actors(&self) -> HashSet<Symbol> {
        self.stack.segments().iter().flat_map(|s| s.c_actor().all()).copied().collect()
    }

    /// The namespaces of all events.
    pub fn namespaces(&self) -> Vec<Symbol> {
        let mut namespaces: Vec<_> =
            self.stack.segments().iter().flat_map(|s| s.c_namespace().all()).copied().collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        namespaces
    }
}
