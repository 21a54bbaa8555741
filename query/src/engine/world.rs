//! The world that a statement is evaluated in: a view, and the state that its visible events fold to.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use lineage_store::digest::{Blake3, Digest};
use lineage_store::event::{Kind, State};
use lineage_store::graph::{Assertion, EntityId, Position, SlotChange, Subject, Symbol, Use, VersionId, View};
use lineage_store::time::Time;

use super::bits::Bits;
use super::budget::Budget;
use super::whole::Whole;

/// A slot: namespace, environment and service.
pub(crate) type Slot = (Symbol, Symbol, Symbol);

/// A stay of a version in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stay {
    pub(crate) slot: Slot,
    pub(crate) version: VersionId,
    /// The deployment by which it entered.
    pub(crate) entered: Position,
    /// The event by which it left; none: it is live.
    pub(crate) left: Option<Position>,
}

/// What was said last, and when and where.
type Latest<T> = ((Time, Position), T);

/// Tags, owners and aliases; the latest fact that concerns a version wins.
#[derive(Default)]
pub(crate) struct Descriptions {
    /// For each subject and tag: when and where it was last set or removed.
    tags: HashMap<(Subject, Symbol), ((Time, Position), bool)>,
    tagged: HashMap<Symbol, Vec<Subject>>,
    of: HashMap<Subject, BTreeSet<Symbol>>,
    aliases: HashMap<(EntityId, Symbol), Latest<Option<VersionId>>>,
    words: HashMap<(Subject, Word), ((Time, Position), Symbol)>,
    links: Vec<(Subject, u32)>,
}

/// What `describe` sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Word {
    /// The owner.
    Owner,
    /// The purpose.
    Purpose,
    /// The risk tier.
    Tier,
}

/// A view with lazily folded state.
pub(crate) struct World {
    /// The view.
    pub(crate) view: View,
    /// What `now` is, and until when events count.
    pub(crate) until: Time,
    /// What `now` would be without any `as of`.
    pub(crate) now: Time,
    /// Whether retracted events are shown.
    pub(crate) retracted: bool,
    /// Whole events.
    pub(crate) whole: Rc<Whole>,
    /// What evaluating it may cost, shared by the worlds of a statement.
    pub(crate) budget: Rc<Budget>,
    descriptions: OnceCell<Descriptions>,
    stays: OnceCell<Vec<Stay>>,
    slots: OnceCell<BTreeMap<Slot, BTreeSet<VersionId>>>,
    slot_changes: OnceCell<Vec<SlotChange>>,
    copies: OnceCell<Copies>,
}

/// Edges from a version without producer to the version that it is a copy of, or is the same as.
#[derive(Default)]
pub(crate) struct Copies {
    /// From the copy to its original.
    pub(crate) originals: HashMap<VersionId, Vec<VersionId>>,
    /// From an original to its copies.
    pub(crate) replicas: HashMap<VersionId, Vec<VersionId>>,
    /// Both ends of each.
    ends: Bits,
}

impl World {
    /// The world of a view; `now` is what it would be without any `as of`.
    pub(crate) fn new(view: View, until: Time, now: Time, retracted: bool, whole: Rc<Whole>) -> Self {
        Self {
            view,
            until,
            now,
            retracted,
            whole,
            budget: Rc::default(),
            descriptions: OnceCell::new(),
            stays: OnceCell::new(),
            slots: OnceCell::new(),
            slot_changes: OnceCell::new(),
            copies: OnceCell::new(),
        }
    }

    /// The same within a budget.
    pub(crate) fn within(self, budget: &Rc<Budget>) -> Self {
        Self { budget: Rc::clone(budget), ..self }
    }

    /// Completed deployments and retirements, by position.
    pub(crate) fn slot_changes(&self) -> &[SlotChange] {
        self.slot_changes.get_or_init(|| self.view.slot_changes())
    }

    /// What one event changed.
    pub(crate) fn slot_change(&self, event: Position) -> Option<&SlotChange> {
        let changes = self.slot_changes();
        changes.binary_search_by_key(&event, |c| c.event).ok().map(|i| &changes[i])
    }

    /// Whether any event of a step is visible.
    pub(crate) fn is_step_here(&self, leader: Position) -> bool {
        self.view.sees(leader) || !self.events_of(leader).is_empty()
    }

    /// The event that a version came from: the first that produced it, else the one that minted it.
    pub(crate) fn birth(&self, version: VersionId) -> Position {
        let mut first = None;
        self.view.makers(version, |event| first = Some(first.map_or(event, |f: Position| f.min(event))));
        first.unwrap_or_else(|| self.view.mint(version))
    }

    /// Tags, owners and aliases.
    pub(crate) fn descriptions(&self) -> &Descriptions {
        self.descriptions.get_or_init(|| self.fold_descriptions())
    }

    fn fold_descriptions(&self) -> Descriptions {
        let mut d = Descriptions::default();
        for fact in self.view.facts() {
            let at = (self.view.time(fact.event), fact.event);
            match fact.says {
                Assertion::Tag(tag) => d.tag(fact.subject, tag, at, true),
                Assertion::Untag(tag) => d.tag(fact.subject, tag, at, false),
                Assertion::Alias(alias) => {
                    if let Subject::Version(v) = fact.subject {
                        latest(&mut d.aliases, (self.view.entity(v), alias), at, Some(v));
                    }
                }
                Assertion::Unalias(alias) => {
                    let entity = match fact.subject {
                        Subject::Version(v) => self.view.entity(v),
                        Subject::Entity(e) => e,
                        Subject::Event(_) => continue,
                    };
                    latest(&mut d.aliases, (entity, alias), at, None);
                }
                Assertion::Owner(text) => latest(&mut d.words, (fact.subject, Word::Owner), at, text),
                Assertion::Purpose(text) => latest(&mut d.words, (fact.subject, Word::Purpose), at, text),
                Assertion::Tier(text) => latest(&mut d.words, (fact.subject, Word::Tier), at, text),
                Assertion::Link(other) => d.links.push((fact.subject, other)),
            }
        }
        d
    }

    /// The tags of a version: by its number or its name, the later fact wins.
    pub(crate) fn tags_of_version(&self, version: VersionId) -> Vec<Symbol> {
        let d = self.descriptions();
        let (own, name) = (Subject::Version(version), Subject::Entity(self.view.entity(version)));
        let mut tags: BTreeSet<Symbol> = d.of.get(&own).cloned().unwrap_or_default();
        tags.extend(d.of.get(&name).into_iter().flatten());
        tags.into_iter().filter(|tag| d.has_tag(&[own, name], *tag)).collect()
    }

    /// Whether a version has a tag.
    pub(crate) fn has_tag(&self, version: VersionId, tag: Symbol) -> bool {
        let subjects = [Subject::Version(version), Subject::Entity(self.view.entity(version))];
        self.descriptions().has_tag(&subjects, tag)
    }

    /// The tags that were ever set.
    pub(crate) fn tags(&self) -> BTreeSet<Symbol> {
        self.descriptions().tagged.keys().copied().collect()
    }

    /// The aliases that point to a version of an entity.
    pub(crate) fn aliases_of(&self, entity: EntityId) -> BTreeSet<Symbol> {
        let aliases = self.descriptions().aliases.iter();
        aliases
            .filter(|((of, _), (_, version))| *of == entity && version.is_some())
            .map(|((_, alias), _)| *alias)
            .collect()
    }

    /// The aliases that point somewhere: name, alias, version.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = (EntityId, Symbol, VersionId)> + '_ {
        let aliases = self.descriptions().aliases.iter();
        aliases.filter_map(|((entity, alias), (_, version))| version.map(|version| (*entity, *alias, version)))
    }

    /// The subjects that ever had a tag.
    pub(crate) fn ever_tagged(&self, tag: Symbol) -> &[Subject] {
        self.descriptions().tagged.get(&tag).map_or(&[], Vec::as_slice)
    }

    /// The tags of a run or event: of any event of its attempt, the latest fact about one of them wins.
    pub(crate) fn tags_of_step(&self, leader: Position) -> Vec<Symbol> {
        let d = self.descriptions();
        let events: Vec<Subject> = self.events_of(leader).into_iter().map(Subject::Event).collect();
        let tags: BTreeSet<Symbol> = events.iter().filter_map(|e| d.of.get(e)).flatten().copied().collect();
        tags.into_iter().filter(|tag| d.has_tag(&events, *tag)).collect()
    }

    /// The version that an alias of an entity points to.
    pub(crate) fn alias(&self, entity: EntityId, alias: &str) -> Option<VersionId> {
        let alias = self.view.symbol(alias)?;
        self.descriptions().aliases.get(&(entity, alias)).and_then(|(_, v)| *v)
    }

    /// The owner, purpose or tier of a version: of its number or its name, the later wins.
    pub(crate) fn word(&self, version: VersionId, word: Word) -> Option<Symbol> {
        let d = self.descriptions();
        let subjects = [Subject::Version(version), Subject::Entity(self.view.entity(version))];
        subjects.into_iter().filter_map(|s| d.words.get(&(s, word))).max_by_key(|(at, _)| *at).map(|(_, text)| *text)
    }

    /// What is live where.
    pub(crate) fn slots(&self) -> &BTreeMap<Slot, BTreeSet<VersionId>> {
        self.slots.get_or_init(|| {
            let mut slots: BTreeMap<Slot, BTreeSet<VersionId>> = BTreeMap::new();
            for stay in self.stays().iter().filter(|stay| stay.left.is_none()) {
                slots.entry(stay.slot).or_default().insert(stay.version);
            }
            slots
        })
    }

    /// What was live where, in the order in which it entered.
    pub(crate) fn stays(&self) -> &[Stay] {
        self.stays.get_or_init(|| self.fold_stays())
    }

    fn fold_stays(&self) -> Vec<Stay> {
        let view = &self.view;
        let mut changes = self.slot_changes().to_vec();
        changes.sort_by_key(|c| (view.time(c.event), c.event));
        let mut stays: Vec<Stay> = Vec::new();
        // What is in each slot, with the index of its stay.
        let mut slots: BTreeMap<Slot, BTreeMap<VersionId, usize>> = BTreeMap::new();
        for change in changes {
            let abouts = view.mentions(change.event).into_iter().filter(|m| m.usage == Use::About).map(|m| m.version);
            let versions: BTreeSet<VersionId> = abouts.collect();
            let namespace = view.namespace(change.event);
            if view.kind(change.event) == Kind::Deployment {
                let mut emptied = BTreeSet::new();
                for version in versions {
                    let own = view.entity_name_symbol(view.entity(version));
                    let service = if change.service == 0 { own } else { change.service };
                    let slot = (namespace, change.environment, service);
                    let content = slots.entry(slot).or_default();
                    if !change.alongside && emptied.insert(slot) {
                        for (_, stay) in std::mem::take(content) {
                            stays[stay].left = Some(change.event);
                        }
                    }
                    content.entry(version).or_insert_with(|| {
                        stays.push(Stay { slot, version, entered: change.event, left: None });
                        stays.len() - 1
                    });
                }
            } else {
                let touched = |slot: &Slot| {
                    slot.0 == namespace
                        && (change.environment == 0 || slot.1 == change.environment)
                        && (change.service == 0 || slot.2 == change.service)
                };
                let names_none = !view.has_about(change.event);
                for (slot, content) in &mut slots {
                    if touched(slot) {
                        content.retain(|version, stay| {
                            let leaves = names_none || versions.contains(version);
                            if leaves {
                                stays[*stay].left = Some(change.event);
                            }
                            !leaves
                        });
                    }
                }
            }
        }
        stays
    }

    /// The environments in which a version is live.
    pub(crate) fn environments_of(&self, version: VersionId) -> BTreeSet<Symbol> {
        self.slots().iter().filter(|(_, content)| content.contains(&version)).map(|((_, e, _), _)| *e).collect()
    }

    /// The visible events of an attempt, ascending.
    pub(crate) fn events_of(&self, leader: Position) -> Vec<Position> {
        self.view.attempt_events(leader)
    }

    /// The kind of a step: a training if any of its events says so, else its first event's kind.
    pub(crate) fn step_kind(&self, leader: Position) -> Kind {
        let first = self.view.kind(leader);
        if first == Kind::Training && self.view.sees(leader) || self.view.is_alone(leader) {
            return first;
        }
        let events = self.events_of(leader);
        if events.iter().any(|e| self.view.kind(*e) == Kind::Training) {
            return Kind::Training;
        }
        events.first().map_or(first, |e| self.view.kind(*e))
    }

    /// The event at which a step counts as happened: its latest terminal event, else its latest.
    pub(crate) fn final_event(&self, leader: Position) -> Position {
        if self.view.is_alone(leader) {
            return leader;
        }
        let events = self.events_of(leader);
        let latest = |terminal: bool| {
            let mut of =
                events.iter().copied().filter(|e| !terminal || self.view.state(*e).is_terminal()).collect::<Vec<_>>();
            of.sort_by_key(|e| (self.view.time(*e), *e));
            of.pop()
        };
        latest(true).or_else(|| latest(false)).unwrap_or(leader)
    }

    /// The state of a step.
    pub(crate) fn step_state(&self, leader: Position) -> State {
        self.view.state(self.final_event(leader))
    }

    /// The steps that generated a version, by the first event of each.
    pub(crate) fn makers(&self, version: VersionId) -> Vec<Position> {
        let mut leaders = BTreeSet::new();
        self.view.makers(version, |event| {
            leaders.insert(self.view.leader(event));
        });
        leaders.into_iter().collect()
    }

    /// The latest training that generated a version: when, and at which position.
    pub(crate) fn last_training(&self, version: VersionId) -> Option<(Time, Position)> {
        let trainings = self.makers(version).into_iter().filter(|l| self.step_kind(*l) == Kind::Training);
        let finals = trainings.map(|l| self.final_event(l));
        finals.map(|e| (self.view.time(e), e)).max()
    }

    /// Copies and links.
    pub(crate) fn copies(&self) -> &Copies {
        self.copies.get_or_init(|| {
            let mut copies = Copies::default();
            for version in self.view.external_versions() {
                if let Some(original) = self.original_of(version) {
                    copies.add(version, original);
                }
            }
            if self.view.has_links() {
                for (subject, other) in &self.descriptions().links {
                    self.link(*subject, *other, &mut copies);
                }
            }
            copies
        })
    }

    /// The earliest version of another name that had the same bytes before, if they are 64 bytes or more.
    fn original_of(&self, version: VersionId) -> Option<VersionId> {
        /// Fewer bytes are too often equal by chance.
        const BYTES_MIN: u64 = 64;
        let view = &self.view;
        let is_small = |v| view.size(v).is_some_and(|s| s < BYTES_MIN);
        if !view.is_external(version) || !view.has_version(version) || is_small(version) {
            return None;
        }
        let empty = empty_digests();
        let entity = view.entity(version);
        let digests = view.digest_keys_of(version);
        let twins = digests.iter().filter(|d| !empty.contains(d)).flat_map(|d| view.versions_with(d));
        let original = twins.filter(|v| *v < version && view.entity(*v) != entity).min()?;
        (!is_small(original)).then_some(original)
    }

    fn link(&self, subject: Subject, other: u32, copies: &mut Copies) {
        match subject {
            Subject::Version(a) => {
                let (has_a, has_b) = (!self.makers(a).is_empty(), !self.makers(other).is_empty());
                if self.view.has_version(a) && self.view.has_version(other) {
                    if has_a && !has_b { copies.add(other, a) } else { copies.add(a, other) }
                }
            }
            Subject::Entity(a) => {
                self.link_names(a, other, copies);
                self.link_names(other, a, copies);
            }
            Subject::Event(_) => {}
        }
    }

    /// Each version of `from` without producer points to the version of `to` with the same bytes, else to the one that
    /// a late-bound input would have meant when it was first mentioned.
    fn link_names(&self, from: EntityId, to: EntityId, copies: &mut Copies) {
        let view = &self.view;
        let visible = |entity| view.versions(entity).into_iter().filter(|v| view.has_version(*v)).collect::<Vec<_>>();
        let targets = visible(to);
        for version in visible(from).into_iter().filter(|v| self.makers(*v).is_empty()) {
            let digests = view.digest_keys_of(version);
            let same = targets.iter().find(|t| view.digest_keys_of(**t).iter().any(|d| digests.contains(d)));
            if let Some(target) = same.copied().or_else(|| view.late_bound(to, self.first_mention(version))) {
                copies.add(version, target);
            }
        }
    }

    /// The first visible event that mentions a version.
    fn first_mention(&self, version: VersionId) -> Position {
        let mint = self.view.mint(version);
        if self.view.sees(mint) {
            return mint;
        }
        let mut first = None;
        self.view.uses(version, |event, _| first = Some(first.map_or(event, |f: Position| f.min(event))));
        first.unwrap_or(mint)
    }
}

/// The keys of the digests of no bytes.
fn empty_digests() -> Vec<[u8; 32]> {
    let texts = [
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
    ];
    let others = texts.iter().filter_map(|t| t.parse::<Digest>().ok()).map(|d| d.key());
    others.chain([Blake3::of(&[]).0]).collect()
}

impl Copies {
    fn add(&mut self, copy: VersionId, original: VersionId) {
        if copy == original || self.originals.get(&copy).is_some_and(|o| o.contains(&original)) {
            return;
        }
        self.originals.entry(copy).or_default().push(original);
        self.replicas.entry(original).or_default().push(copy);
        self.ends.insert(copy);
        self.ends.insert(original);
    }

    /// Whether a version is an end of one.
    pub(crate) fn has_end(&self, version: VersionId) -> bool {
        self.ends.contains(version)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.originals.is_empty()
    }
}

impl Descriptions {
    fn tag(&mut self, subject: Subject, tag: Symbol, at: (Time, Position), on: bool) {
        let new = !self.tags.contains_key(&(subject, tag));
        latest(&mut self.tags, (subject, tag), at, on);
        if new {
            self.tagged.entry(tag).or_default().push(subject);
            self.of.entry(subject).or_default().insert(tag);
        }
    }

    fn has_tag(&self, subjects: &[Subject], tag: Symbol) -> bool {
        let facts = subjects.iter().filter_map(|s| self.tags.get(&(*s, tag)));
        facts.max_by_key(|(at, _)| *at).is_some_and(|(_, on)| *on)
    }
}

fn latest<K: std::hash::Hash + Eq, V>(
    map: &mut HashMap<K, ((Time, Position), V)>,
    key: K,
    at: (Time, Position),
    value: V,
) {
    match map.entry(key) {
        std::collections::hash_map::Entry::Occupied(mut old) => {
            if old.get().0 <= at {
                old.insert((at, value));
            }
        }
        std::collections::hash_map::Entry::Vacant(empty) => {
            empty.insert((at, value));
        }
    }
}
