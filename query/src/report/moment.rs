//! The moment that a report speaks of: a world, with what tables ask of every version prepared once.

use std::collections::HashMap;

use lineage_store::event::{EntityKind, Event, Kind, Outcome, State};
use lineage_store::graph::{EntityId, Position, Symbol, Use, VersionId};
use lineage_store::time::Time;

use super::rows::{Cell, cells};
use crate::engine::bits::Bits;
use crate::engine::world::{Word, World};

/// An audit of a version, at the event at which it happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audit {
    /// The first event of its attempt.
    pub(super) step: Position,
    /// The event that speaks for it.
    pub(super) last: Position,
}

/// A world, and what is live, latest and named in it.
pub(super) struct Moment<'a> {
    pub(super) world: &'a World,
    environments: HashMap<VersionId, Vec<String>>,
    aliases: HashMap<VersionId, Vec<String>>,
    latest: Bits,
}

impl<'a> Moment<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        let view = &world.view;
        let mut environments: HashMap<VersionId, Vec<String>> = HashMap::new();
        for ((_, environment, _), content) in world.slots() {
            for version in content {
                environments.entry(*version).or_default().push(view.text(*environment).to_owned());
            }
        }
        let mut aliases: HashMap<VersionId, Vec<String>> = HashMap::new();
        for (_, alias, version) in world.aliases() {
            aliases.entry(version).or_default().push(view.text(alias).to_owned());
        }
        for names in environments.values_mut().chain(aliases.values_mut()) {
            names.sort();
            names.dedup();
        }
        let mut newest: HashMap<EntityId, VersionId> = HashMap::new();
        // Numbers of one name ascend with the ids.
        for version in (0..view.n_versions()).filter(|v| view.has_version(*v)) {
            newest.insert(view.entity(version), version);
        }
        Self { world, environments, aliases, latest: Bits::of(newest.into_values()) }
    }

    /// The visible versions, ascending.
    pub(super) fn versions(&self) -> impl Iterator<Item = VersionId> + '_ {
        let view = &self.world.view;
        (0..view.n_versions()).filter(|v| view.has_version(*v))
    }

    /// The visible versions of models by name, namespace and number.
    pub(super) fn models(&self) -> Vec<VersionId> {
        let kinds = self.world.view.names();
        self.by_name(self.versions().filter(|v| kinds.kind(*v) == EntityKind::Model))
    }

    /// Versions by name, namespace and number.
    pub(super) fn by_name(&self, versions: impl Iterator<Item = VersionId>) -> Vec<VersionId> {
        let view = &self.world.view;
        let mut versions: Vec<VersionId> = versions.collect();
        versions.sort_by_cached_key(|v| {
            let entity = view.entity(*v);
            (view.entity_name(entity).to_owned(), view.entity_namespace(entity).to_owned(), view.number(*v), *v)
        });
        versions
    }

    /// The cells that name a version.
    pub(super) fn named(&self, version: VersionId) -> [Cell<'a>; 5] {
        let view = &self.world.view;
        let entity = view.entity(version);
        cells![
            version,
            view.entity_kind(entity).as_str(),
            view.entity_namespace(entity),
            view.entity_name(entity),
            view.number(version),
        ]
    }

    /// A row that begins with the cells that name a version.
    pub(super) fn row(&self, version: VersionId, more: &[Cell<'a>]) -> Vec<Cell<'a>> {
        [&self.named(version), more].concat()
    }

    /// Where a version is live.
    pub(super) fn environments(&self, version: VersionId) -> &Vec<String> {
        const NONE: &Vec<String> = &Vec::new();
        self.environments.get(&version).unwrap_or(NONE)
    }

    /// The aliases that point to a version.
    pub(super) fn aliases(&self, version: VersionId) -> &Vec<String> {
        const NONE: &Vec<String> = &Vec::new();
        self.aliases.get(&version).unwrap_or(NONE)
    }

    /// Whether a version has the highest number of its name.
    pub(super) fn is_latest(&self, version: VersionId) -> bool {
        self.latest.contains(version)
    }

    /// The text of a symbol; `None` for none.
    pub(super) fn text(&self, symbol: Symbol) -> Option<&'a str> {
        (symbol != 0).then(|| self.world.view.text(symbol))
    }

    /// Owner, purpose or tier.
    pub(super) fn word(&self, version: VersionId, word: Word) -> Option<&'a str> {
        self.world.word(version, word).and_then(|symbol| self.text(symbol))
    }

    /// Tags.
    pub(super) fn tags(&self, version: VersionId) -> Vec<String> {
        let mut tags: Vec<String> =
            self.world.tags_of_version(version).into_iter().map(|tag| self.world.view.text(tag).to_owned()).collect();
        tags.sort();
        tags
    }

    /// The names of versions as `KIND NAME@vN`, sorted.
    pub(super) fn names(&self, versions: impl IntoIterator<Item = VersionId>) -> Vec<String> {
        let mut names: Vec<String> = versions.into_iter().map(|v| self.world.version_name(v)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The latest step that made a version.
    pub(super) fn maker(&self, version: VersionId) -> Option<Position> {
        let world = self.world;
        let at = |leader: &Position| {
            let last = world.final_event(*leader);
            (world.view.time(last), last)
        };
        world.makers(version).into_iter().max_by_key(at)
    }

    /// The inputs of a step in some roles.
    pub(super) fn inputs(&self, step: Position, takes: impl Fn(Use) -> bool) -> Vec<VersionId> {
        let events = self.world.events_of(step).into_iter();
        let mentions = events.flat_map(|event| self.world.view.mentions(event));
        mentions.filter(|m| m.usage != Use::About && takes(m.usage)).map(|m| m.version).collect()
    }

    /// What a step is about.
    pub(super) fn subjects(&self, step: Position) -> Vec<VersionId> {
        let events = self.world.events_of(step).into_iter();
        let mentions = events.flat_map(|event| self.world.view.mentions(event));
        let mut subjects: Vec<_> = mentions.filter(|m| m.usage == Use::About).map(|m| m.version).collect();
        subjects.sort_unstable();
        subjects.dedup();
        subjects
    }

    /// The audits about a version, complete or not, by (time, position).
    pub(super) fn audits(&self, version: VersionId) -> Vec<Audit> {
        let world = self.world;
        let mut steps = Vec::new();
        world.view.uses(version, |event, usage| {
            if usage == Use::About {
                steps.push(world.view.leader(event));
            }
        });
        steps.sort_unstable();
        steps.dedup();
        steps.retain(|step| world.step_kind(*step) == Kind::Audit);
        let mut audits: Vec<Audit> =
            steps.into_iter().map(|step| Audit { step, last: world.final_event(step) }).collect();
        audits.sort_by_key(|audit| self.at(audit.last));
        audits
    }

    /// When and where an event happened.
    pub(super) fn at(&self, event: Position) -> (Time, Position) {
        (self.world.view.time(event), event)
    }

    /// Whether an audit is complete.
    pub(super) fn is_complete(&self, audit: Audit) -> bool {
        self.world.view.state(audit.last) == State::Complete
    }

    /// Whether an audit is complete, passed, and had not expired at an instant.
    pub(super) fn passed(&self, audit: Audit, at: Time) -> bool {
        let view = &self.world.view;
        self.is_complete(audit)
            && view.outcome(audit.last) == Some(Outcome::Pass)
            && view.valid_until(audit.last).is_none_or(|until| until >= at)
    }

    /// The whole event at a position; what cannot be read fails the report in the end.
    pub(super) fn whole(&self, event: Position) -> Option<std::rc::Rc<Event>> {
        self.world.whole.event(event)
    }

    /// The latest whole event of a step that has something.
    pub(super) fn said<T>(&self, step: Position, find: impl Fn(&Event) -> Option<T>) -> Option<T> {
        self.world.events_of(step).into_iter().rev().find_map(|event| find(&*self.whole(event)?))
    }
}
