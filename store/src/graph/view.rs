//! One fixed position of the graph index: what was recorded by K, had happened by T, and is not retracted.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::fold::{
    EXTERNAL, FOREIGN_DIGEST, Predicate, SCOPE_ENTITY, SCOPE_VERSION, TOOK_DIGEST, TOOK_LABEL, TOOK_ROWS, TOOK_SIZE,
};
use super::stack::Stack;
use super::tables::{
    ABOUT, BY_DIGEST, DIGEST, ENTITY, HAS_FROM, INFERRED, INPUT, OUTPUT, PARTIAL, ROLE, ROLE_SHIFT, SIDE,
};
use super::value::{Packed, Value, unpack};
use super::{fold, key};
use crate::digest::{Digest, to_hex};
use crate::error::Result;
use crate::event::{EntityKind, Evidence, Kind, Outcome, Role, State};
use crate::time::Time;

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
    late: Arc<Mutex<HashMap<EntityId, Arc<Vec<Candidate>>>>>,
}

/// A version that a late-bound input may mean, in the order in which they came to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    time: i64,
    position: u32,
    number: u32,
    version: VersionId,
}

/// How a thing is used by an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// As an input, in a role.
    Input(Role),
    /// The event is about it.
    About,
}

/// One end of an event that leads to or from a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The version meant.
    pub version: VersionId,
    /// How.
    pub usage: Use,
    /// Its index among the event's inputs, for `from` lists.
    pub index: u32,
    /// Whether it was deduced.
    pub inferred: bool,
}

/// An output of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The version.
    pub version: VersionId,
    /// The indexes of the inputs that led to it; `None`: all inputs of the attempt.
    pub from: Option<Vec<u32>>,
}

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
    /// A view of everything in a stack.
    pub(crate) fn new(stack: Stack) -> Self {
        let end = stack.next_bases().event;
        let (any_bits, has_members) = (stack.any_bits(), stack.has_members());
        let mut view = Self {
            any_bits,
            has_members,
            stack,
            visible: Visible { end, until: i64::MAX, hidden: HashSet::new(), all: true },
            late: Arc::default(),
        };
        view.visible.hidden = view.retracted();
        view.visible.all = view.visible.hidden.is_empty();
        view
    }

    /// This view restricted to the first `count` events and to what had happened by `until`.
    #[must_use]
    pub fn at(&self, count: u32, until: Time) -> Self {
        let mut view = Self {
            any_bits: self.any_bits,
            has_members: self.has_members,
            stack: self.stack.clone(),
            visible: Visible { end: count.min(self.total()), until: until.0, hidden: HashSet::new(), all: false },
            late: Arc::default(),
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
    pub fn n_versions(&self) -> u32 {
        let all = self.stack.next_bases().version;
        if self.visible.end == self.total() {
            return all;
        }
        // Versions are numbered in the order of their minting events.
        let (mut low, mut high) = (0, all);
        while low < high {
            let middle = u32::midpoint(low, high);
            if self.stack.mint(middle) < self.visible.end {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
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

    /// The versions of an entity minted by K, ascending, hidden ones included.
    pub fn versions(&self, entity: EntityId) -> Vec<VersionId> {
        let mut versions = self.stack.versions_of(entity);
        let n_versions = self.n_versions();
        versions.retain(|v| *v < n_versions);
        versions
    }

    /// The entity of a version.
    #[inline]
    pub fn entity(&self, version: VersionId) -> EntityId {
        self.stack.entity_of(version)
    }

    /// The number of a version within its entity.
    pub fn number(&self, version: VersionId) -> u32 {
        self.stack.number(version)
    }

    /// The event that minted a version.
    pub fn mint(&self, version: VersionId) -> Position {
        self.stack.mint(version)
    }

    /// Whether a version exists here: a visible event mints it or resolves to it.
    pub fn has_version(&self, version: VersionId) -> bool {
        if self.visible.all {
            return version < self.n_versions();
        }
        if self.sees(self.mint(version)) {
            return true;
        }
        self.is_mentioned(version) || self.is_first_by_name(version)
    }

    fn is_mentioned(&self, version: VersionId) -> bool {
        let mut seen = false;
        self.stack.mentioned_by(version, |event, _| seen = seen || self.sees(event));
        seen
    }

    /// Whether a version is what late-bound inputs mean for want of any other: the first one of its name.
    fn is_first_by_name(&self, version: VersionId) -> bool {
        if self.number(version) != 1 || self.any_bits & ENTITY == 0 || version >= self.n_versions() {
            return false;
        }
        let entity = self.entity(version);
        let is_input = |event: &Position| {
            let (targets, bits) = self.stack.mentions(*event);
            targets.iter().zip(bits).any(|(t, b)| *t == entity && b & (SIDE | ENTITY) == INPUT | ENTITY)
        };
        let is_used = self.stack.entity_mentions(entity).into_iter().any(|e| self.sees(e) && is_input(&e));
        is_used && !self.versions(entity).into_iter().any(|v| self.sees(self.mint(v)) || self.is_mentioned(v))
    }

    /// Whether a version was minted by a use and no visible event produced it.
    pub fn is_external(&self, version: VersionId) -> bool {
        self.stack.version_bits(version) & EXTERNAL != 0 && self.first_maker(version).is_none()
    }

    /// The label of a version as far as it is known here.
    pub fn label(&self, version: VersionId) -> Option<&str> {
        let first = self.stack.minted_label(version);
        let label = if first != 0 {
            Some(first)
        } else {
            let taken = self.stack.taken(version).into_iter();
            taken.filter(|(e, field, _)| *field == TOOK_LABEL && self.sees(*e)).map(|(_, _, label)| label as u32).next()
        };
        label.map(|s| self.text(s))
    }

    /// The main digest of a version, with its prefix.
    pub fn digest(&self, version: VersionId) -> Option<String> {
        let minted = self.stack.minted_digest(version);
        if minted != [0; 32] && self.stack.version_bits(version) & FOREIGN_DIGEST == 0 {
            return Some(format!("b3:{}", to_hex(&minted)));
        }
        self.further_digests(version).into_iter().min_by_key(|d| (!d.starts_with("b3:"), d.clone()))
    }

    /// The other digests of a version, with their prefixes.
    pub fn further_digests(&self, version: VersionId) -> Vec<String> {
        let later: HashSet<u64> = self
            .stack
            .taken(version)
            .into_iter()
            .filter(|(event, field, _)| *field == TOOK_DIGEST && !self.sees(*event))
            .map(|(_, _, symbol)| symbol)
            .collect();
        let symbols = self.stack.segments().iter().flat_map(|s| s.x_pair().lows(version).collect::<Vec<_>>());
        symbols.filter(|s| !later.contains(&u64::from(*s))).map(|s| self.text(s).to_owned()).collect()
    }

    /// The size of a version in bytes, as last said.
    pub fn size(&self, version: VersionId) -> Option<u64> {
        self.taken(version, TOOK_SIZE)
    }

    /// The rows of a version, as last said.
    pub fn rows(&self, version: VersionId) -> Option<u64> {
        self.taken(version, TOOK_ROWS)
    }

    fn taken(&self, version: VersionId, field: u8) -> Option<u64> {
        let taken = self.stack.taken(version).into_iter().rev();
        taken.filter(|(event, f, _)| *f == field && self.sees(*event)).map(|(_, _, value)| value).next()
    }

    /// The visible versions that hold a digest (its 32-byte key), ascending.
    pub fn versions_with(&self, digest: &[u8; 32]) -> Vec<VersionId> {
        let mut versions = self.stack.versions_with(digest);
        versions.retain(|v| self.has_version(*v) && self.holds(*v, digest));
        versions
    }

    /// Whether a version has a digest as far as it is known here.
    fn holds(&self, version: VersionId, digest: &[u8; 32]) -> bool {
        self.stack.minted_digest(version) == *digest || self.digest_keys_of(version).contains(digest)
    }

    /// The digests (with prefix) that begin with a text such as `b3:9f2c`, and their visible versions.
    pub fn digests_with_prefix(&self, prefix: &str) -> Vec<(String, VersionId)> {
        let n_versions = self.n_versions();
        let mut found = Vec::new();
        for version in self.candidates_by_prefix(prefix).into_iter().filter(|v| *v < n_versions) {
            let mut digests = self.further_digests(version);
            digests.extend(self.digest(version));
            digests.retain(|d| d.starts_with(prefix));
            digests.sort();
            digests.dedup();
            if self.has_version(version) {
                found.extend(digests.into_iter().map(|d| (d, version)));
            }
        }
        found.sort();
        found
    }

    /// Versions whose digest may begin with a prefix: a range of the digest lookup for blake3, all others for the rest.
    fn candidates_by_prefix(&self, prefix: &str) -> Vec<VersionId> {
        let mut versions = Vec::new();
        if let Some(hex) = prefix.strip_prefix("b3:") {
            let head: String = hex.chars().take(16).collect();
            let Ok(low) = u64::from_str_radix(&format!("{head:0<16}"), 16) else { return versions };
            let Ok(high) = u64::from_str_radix(&format!("{head:f<16}"), 16) else { return versions };
            for s in self.stack.segments() {
                let keys = s.digest_key();
                let mut row = keys.lower_bound(low);
                while row < keys.len() && keys.get(row) <= high {
                    versions.push(s.digest_version().get(row));
                    row += 1;
                }
            }
        } else {
            for s in self.stack.segments() {
                versions.extend(s.x_pair().all().iter().map(|p| (p >> 32) as u32));
            }
        }
        versions.sort_unstable();
        versions.dedup();
        versions
    }

    /// Calls for each visible event that produced a version.
    #[inline]
    pub fn makers(&self, version: VersionId, mut f: impl FnMut(Position)) {
        self.stack.mentioned_by(version, |event, bits| {
            if bits & SIDE == OUTPUT && bits & PARTIAL == 0 && self.sees(event) {
                f(event);
            }
        });
    }

    fn first_maker(&self, version: VersionId) -> Option<Position> {
        let mut first = None;
        self.makers(version, |event| first = Some(first.map_or(event, |f: Position| f.min(event))));
        first
    }

    /// Calls for each visible event that uses a version or is about it; late-bound and by-digest mentions included.
    pub fn uses(&self, version: VersionId, mut f: impl FnMut(Position, Use)) {
        self.stack.mentioned_by(version, |event, bits| {
            if bits & SIDE == OUTPUT || !self.sees(event) {
                return;
            }
            if bits & BY_DIGEST != 0 && bits & SIDE == INPUT && self.by_digest(version, event) != version {
                return;
            }
            f(event, usage(bits));
        });
        if self.any_bits & ENTITY != 0 {
            let entity = self.entity(version);
            for event in self.stack.entity_mentions(entity) {
                if self.sees(event) {
                    self.late_uses(entity, version, event, &mut f);
                }
            }
        }
        if self.any_bits & BY_DIGEST != 0 {
            self.digest_twins(version, &mut f);
        }
        if self.any_bits & DIGEST != 0 {
            self.digest_abouts(version, |event| f(event, Use::About));
        }
    }

    /// Whether any output lists the inputs that led to it.
    #[inline]
    pub fn has_from(&self) -> bool {
        self.any_bits & HAS_FROM != 0
    }

    /// Whether an attempt certainly has its first event only.
    #[inline]
    pub fn is_alone(&self, leader: Position) -> bool {
        !self.has_members || self.stack.members(leader).is_empty()
    }

    /// The versions that uses without producer minted, ascending.
    pub fn external_versions(&self) -> Vec<VersionId> {
        let mut external = Vec::new();
        for s in self.stack.segments() {
            let base = s.bases.version;
            let rows = s.v_bits().all().iter().enumerate();
            external.extend(rows.filter(|(_, bits)| *bits & EXTERNAL != 0).map(|(row, _)| base + row as u32));
        }
        let n_versions = self.n_versions();
        external.retain(|v| *v < n_versions);
        external
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
        let mut actors = HashSet::new();
        for s in self.stack.segments() {
            let mut last = u32::MAX;
            for actor in s.e_actor().all() {
                if *actor != last {
                    last = *actor;
                    actors.insert(last);
                }
            }
        }
        actors
    }

    /// The namespaces of all events.
    pub fn namespaces(&self) -> Vec<Symbol> {
        let mut namespaces = HashSet::new();
        for s in self.stack.segments() {
            let mut last = u32::MAX;
            for namespace in s.e_namespace().all() {
                if *namespace != last {
                    last = *namespace;
                    namespaces.insert(last);
                }
            }
        }
        let mut namespaces: Vec<_> = namespaces.into_iter().collect();
        namespaces.sort_unstable();
        namespaces
    }

    fn late_uses(&self, entity: EntityId, version: VersionId, event: Position, f: &mut impl FnMut(Position, Use)) {
        let (targets, bits) = self.stack.mentions(event);
        for (target, bits) in targets.iter().zip(bits) {
            if *target != entity || bits & ENTITY == 0 {
                continue;
            }
            match bits & SIDE {
                INPUT if self.late(entity, event) == Some(version) => f(event, usage(*bits)),
                ABOUT => f(event, Use::About),
                _ => {}
            }
        }
    }

    /// Inputs by digest that were resolved to another version with the same bytes at their position, but mean this one here.
    fn digest_twins(&self, version: VersionId, f: &mut impl FnMut(Position, Use)) {
        for twin in self.twins(version) {
            if twin == version {
                continue;
            }
            self.stack.mentioned_by(twin, |event, bits| {
                if bits & BY_DIGEST != 0
                    && bits & SIDE == INPUT
                    && self.sees(event)
                    && self.by_digest(twin, event) == version
                {
                    f(event, usage(bits));
                }
            });
        }
    }

    fn digest_abouts(&self, version: VersionId, mut f: impl FnMut(Position)) {
        if !self.stack.segments().iter().any(|s| s.q_key().len() > 0) {
            return;
        }
        let entity = self.entity(version);
        let mut events = Vec::new();
        for digest in self.digest_keys_of(version) {
            let mentions = self.stack.digest_mentions(&digest).into_iter();
            events.extend(mentions.filter(|(_, named)| *named == 0 || *named == entity + 1).map(|(event, _)| event));
        }
        events.sort_unstable();
        events.dedup();
        events.into_iter().filter(|event| self.sees(*event)).for_each(&mut f);
    }

    /// The visible versions of the same entity with the same bytes, this one included.
    fn twins(&self, version: VersionId) -> Vec<VersionId> {
        let entity = self.entity(version);
        let digests = self.digest_keys_of(version);
        let mut twins: Vec<VersionId> = digests
            .iter()
            .flat_map(|digest| {
                let mut holders = self.stack.versions_with(digest);
                holders.retain(|v| self.entity(*v) == entity && self.has_version(*v) && self.holds(*v, digest));
                holders
            })
            .collect();
        twins.sort_unstable();
        twins.dedup();
        twins
    }

    /// The version that an input by digest means: of several with the same bytes, the late-bound rule picks.
    fn by_digest(&self, resolved: VersionId, event: Position) -> VersionId {
        let twins = self.twins(resolved);
        if twins.len() < 2 {
            return resolved;
        }
        self.pick(&self.candidates(twins), event).unwrap_or(resolved)
    }

    /// The version that a late-bound input of an event means.
    fn late(&self, entity: EntityId, event: Position) -> Option<VersionId> {
        if self.has_pinned_twin(entity, event) {
            return None;
        }
        let candidates = {
            let mut cache = self.late.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let fill = || {
                let mut versions = self.versions(entity);
                versions.retain(|v| self.has_version(*v));
                Arc::new(self.candidates(versions))
            };
            Arc::clone(cache.entry(entity).or_insert_with(fill))
        };
        self.pick(&candidates, event)
    }

    /// The version of a name that a late-bound input of an event means, or would mean.
    pub fn late_bound(&self, entity: EntityId, event: Position) -> Option<VersionId> {
        let mut versions = self.versions(entity);
        versions.retain(|v| self.has_version(*v));
        self.pick(&self.candidates(versions), event)
    }

    /// The inputs of an event, by index, that gave way to a pinned mention of the same name in the attempt.
    pub fn gave_way(&self, event: Position) -> Vec<(u32, EntityId)> {
        let (targets, bits) = self.stack.mentions(event);
        let inputs = targets.iter().zip(bits).filter(|(_, b)| *b & SIDE == INPUT).zip(0..);
        let bare = inputs.filter(|((target, b), _)| *b & ENTITY != 0 && self.has_pinned_twin(**target, event));
        bare.map(|((target, _), index)| (index, *target)).collect()
    }

    /// Whether an event is about anything, whatever it means here.
    pub fn has_about(&self, event: Position) -> bool {
        self.stack.mentions(event).1.iter().any(|bits| bits & SIDE == ABOUT)
    }

    /// A bare mention gives way to one of the same name with version or digest in the same attempt.
    fn has_pinned_twin(&self, entity: EntityId, event: Position) -> bool {
        self.attempt_events(self.leader(event)).into_iter().any(|e| {
            let (targets, bits) = self.stack.mentions(e);
            targets
                .iter()
                .zip(bits)
                .any(|(t, b)| b & SIDE == INPUT && b & (ENTITY | DIGEST) == 0 && self.entity(*t) == entity)
        })
    }

    fn candidates(&self, versions: Vec<VersionId>) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = versions
            .into_iter()
            .map(|version| {
                let external = self.stack.version_bits(version) & EXTERNAL != 0;
                let filled = if external { self.first_maker(version) } else { None };
                let position = filled.unwrap_or_else(|| self.mint(version));
                Candidate { time: self.stack.time(position), position, number: self.number(version), version }
            })
            .collect();
        candidates.sort_unstable();
        candidates
    }

    fn pick(&self, candidates: &[Candidate], event: Position) -> Option<VersionId> {
        let events = self.attempt_events(self.leader(event));
        let earliest = events.iter().map(|e| self.stack.time(*e)).min().unwrap_or(i64::MAX);
        let own: HashSet<VersionId> = events.iter().flat_map(|e| self.made_ids(*e)).collect();
        let others = || candidates.iter().filter(|c| !own.contains(&c.version));
        others().rev().find(|c| c.time <= earliest).or_else(|| others().min_by_key(|c| c.number)).map(|c| c.version)
    }

    fn made_ids(&self, event: Position) -> Vec<VersionId> {
        let (targets, bits) = self.stack.mentions(event);
        targets.iter().zip(bits).filter(|(_, b)| *b & (SIDE | ENTITY | PARTIAL) == OUTPUT).map(|(t, _)| *t).collect()
    }

    /// What one event uses and is about, every mention resolved to a version.
    pub fn mentions(&self, event: Position) -> Vec<Mention> {
        let (targets, bits) = self.stack.mentions(event);
        let mut found = Vec::with_capacity(targets.len());
        let mut by_digest = Vec::new();
        let mut index = 0;
        for (target, bits) in targets.iter().zip(bits) {
            let side = bits & SIDE;
            let (usage, inferred) = (usage(*bits), bits & INFERRED != 0);
            if side == INPUT {
                index += 1;
                let version = if bits & ENTITY != 0 {
                    self.late(*target, event)
                } else if bits & BY_DIGEST != 0 {
                    Some(self.by_digest(*target, event))
                } else {
                    Some(*target)
                };
                found.extend(version.map(|version| Mention { version, usage, index: index - 1, inferred }));
            } else if side == ABOUT {
                let mut versions = self.about_versions(*target, *bits);
                if bits & DIGEST != 0 {
                    // Several digests of one reference lead to the same version once.
                    versions.retain(|v| !by_digest.contains(v));
                    by_digest.extend_from_slice(&versions);
                }
                found.extend(versions.into_iter().map(|version| Mention { version, usage, index: u32::MAX, inferred }));
            }
        }
        found
    }

    fn about_versions(&self, target: u32, bits: u16) -> Vec<VersionId> {
        if bits & ENTITY != 0 {
            return self.versions(target).into_iter().filter(|v| self.has_version(*v)).collect();
        }
        if bits & DIGEST != 0 {
            let named = self.stack.query_entity(target);
            let mut versions = self.versions_with(&self.stack.query_digest(target));
            versions.retain(|v| named == 0 || self.entity(*v) + 1 == named);
            return versions;
        }
        vec![target]
    }

    /// The entities that an event is about as a whole (a tag or retirement of a bare name).
    pub fn about_entities(&self, event: Position) -> Vec<EntityId> {
        let (targets, bits) = self.stack.mentions(event);
        targets.iter().zip(bits).filter(|(_, b)| *b & SIDE == ABOUT && *b & ENTITY != 0).map(|(t, _)| *t).collect()
    }

    /// What one event produced.
    pub fn made(&self, event: Position) -> Vec<Made> {
        let (targets, bits) = self.stack.mentions(event);
        let mut made = Vec::new();
        for (row, (target, bits)) in targets.iter().zip(bits).enumerate() {
            if bits & (SIDE | ENTITY | PARTIAL) == OUTPUT {
                let from =
                    (bits & HAS_FROM != 0).then(|| self.stack.from_list(self.stack.first_mention(event) + row as u32));
                made.push(Made { version: *target, from });
            }
        }
        made
    }

    /// The raw mentions of an event when every one is a plain version: targets and whether each is an output.
    ///
    /// `None` when one needs resolution; then [`View::mentions`] and [`View::made`] tell.
    #[inline]
    pub fn plain(&self, event: Position) -> Option<(&[VersionId], &[u16])> {
        let (targets, bits) = self.stack.mentions(event);
        let special = bits.iter().fold(0, |all, b| all | b) & (ENTITY | DIGEST | BY_DIGEST | HAS_FROM | PARTIAL);
        (special == 0).then_some((targets, bits))
    }

    /// Whether raw mention bits are an output.
    #[inline]
    pub fn is_output(bits: u16) -> bool {
        bits & SIDE == OUTPUT
    }

    /// What raw mention bits of an input or `about` mean.
    #[inline]
    pub fn usage(bits: u16) -> Use {
        usage(bits)
    }

    /// Outputs of failed runs: entities named without a version.
    pub fn partial(&self, event: Position) -> Vec<EntityId> {
        let (targets, bits) = self.stack.mentions(event);
        targets.iter().zip(bits).filter(|(_, b)| *b & PARTIAL != 0).map(|(t, _)| *t).collect()
    }

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
            keys.extend(s.a_key().all().iter().copied());
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

    /// The keys of the digests of a version as far as they are known here.
    pub fn digest_keys_of(&self, version: VersionId) -> Vec<[u8; 32]> {
        let minted = self.stack.minted_digest(version);
        let mut keys: Vec<[u8; 32]> = Some(minted).filter(|d| *d != [0; 32]).into_iter().collect();
        let further = self.further_digests(version).into_iter();
        keys.extend(further.filter_map(|d| d.parse::<Digest>().ok()).map(|d| d.key()).filter(|d| *d != minted));
        keys
    }
}

fn usage(bits: u16) -> Use {
    if bits & SIDE == ABOUT {
        return Use::About;
    }
    Use::Input(Role::from_code(((bits & ROLE) >> ROLE_SHIFT) as u8).unwrap_or(Role::Data))
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
