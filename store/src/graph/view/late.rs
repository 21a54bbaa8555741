//! Late-bound references of a view: which version an input without version or digest means here.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use super::super::fold::EXTERNAL;
use super::super::tables::{ABOUT, DIGEST, ENTITY, INPUT, SIDE};
use super::edges::usage;
use super::{EntityId, Position, Use, VersionId, View};

/// A version that a late-bound input may mean, in the order in which they came to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    time: i64,
    position: u32,
    number: u32,
    version: VersionId,
}

/// The references to one name without version or digest.
pub(super) struct Late {
    entity: EntityId,
    /// What a late-bound input may mean, in the order in which they came to be.
    candidates: Vec<Candidate>,
    /// By version: the events that use it so, or are about the name as a whole.
    uses: OnceLock<Uses>,
}

struct Uses {
    /// Late-bound inputs, by the version that each means.
    inputs: Vec<(VersionId, Position, Use)>,
    /// Events about every version of the name.
    abouts: Vec<Position>,
}

impl Late {
    /// Calls for each visible event that uses a version of the name in this way.
    pub(super) fn uses(&self, view: &View, version: VersionId, f: &mut impl FnMut(Position, Use)) {
        let uses = self.uses.get_or_init(|| self.resolve(view));
        let first = uses.inputs.partition_point(|(v, ..)| *v < version);
        let own = uses.inputs[first..].iter().take_while(|(v, ..)| *v == version);
        own.for_each(|(_, event, usage)| f(*event, *usage));
        uses.abouts.iter().for_each(|event| f(*event, Use::About));
    }

    /// Resolves every visible mention once, so that a walk over many versions does not do so for each of them.
    fn resolve(&self, view: &View) -> Uses {
        let mut uses = Uses { inputs: Vec::new(), abouts: Vec::new() };
        for event in view.stack.entity_mentions(self.entity).into_iter().filter(|e| view.sees(*e)) {
            let own = view.stack.mentions(event).iter().filter(|(t, b)| *t == self.entity && b & ENTITY != 0);
            for (_, bits) in own {
                match bits & SIDE {
                    INPUT if !view.has_pinned_twin(self.entity, event) => {
                        let version = view.pick(&self.candidates, event);
                        uses.inputs.extend(version.map(|version| (version, event, usage(bits))));
                    }
                    ABOUT => uses.abouts.push(event),
                    _ => {}
                }
            }
        }
        uses.inputs.sort_by_key(|(version, ..)| *version);
        uses
    }
}

impl View {
    /// The visible versions of the same entity with the same bytes, this one included.
    pub(super) fn twins(&self, version: VersionId) -> Vec<VersionId> {
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
    pub(super) fn by_digest(&self, resolved: VersionId, event: Position) -> VersionId {
        self.one_of(&self.twins(resolved), resolved, event)
    }

    /// The version that an input by digest means, of those with the same bytes.
    pub(super) fn one_of(&self, twins: &[VersionId], resolved: VersionId, event: Position) -> VersionId {
        if twins.len() < 2 {
            return resolved;
        }
        self.pick(&self.candidates(twins.to_vec()), event).unwrap_or(resolved)
    }

    /// What the late-bound references to a name mean here.
    pub(super) fn late_of(&self, entity: EntityId) -> Arc<Late> {
        let mut cache = self.late.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let fill = || {
            let mut versions = self.versions(entity);
            versions.retain(|v| self.has_version(*v));
            Arc::new(Late { entity, candidates: self.candidates(versions), uses: OnceLock::new() })
        };
        Arc::clone(cache.entry(entity).or_insert_with(fill))
    }

    /// The version that a late-bound input of an event means.
    pub(super) fn late(&self, entity: EntityId, event: Position) -> Option<VersionId> {
        if self.has_pinned_twin(entity, event) {
            return None;
        }
        self.pick(&self.late_of(entity).candidates, event)
    }

    /// The version of a name that a late-bound input of an event means, or would mean.
    pub fn late_bound(&self, entity: EntityId, event: Position) -> Option<VersionId> {
        let mut versions = self.versions(entity);
        versions.retain(|v| self.has_version(*v));
        self.pick(&self.candidates(versions), event)
    }

    /// A bare mention gives way to one of the same name with version or digest in the same attempt.
    pub(super) fn has_pinned_twin(&self, entity: EntityId, event: Position) -> bool {
        self.attempt_events(self.leader(event)).into_iter().any(|e| {
            let mut mentions = self.stack.mentions(e).iter();
            mentions.any(|(t, b)| b & SIDE == INPUT && b & (ENTITY | DIGEST) == 0 && self.entity(t) == entity)
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

    fn pick<'a>(&self, candidates: &'a [Candidate], event: Position) -> Option<VersionId> {
        let events = self.attempt_events(self.leader(event));
        let earliest = events.iter().map(|e| self.stack.time(*e)).min().unwrap_or(i64::MAX);
        let own: HashSet<VersionId> = events.iter().flat_map(|e| self.made_ids(*e)).collect();
        let others = |of: &'a [Candidate]| of.iter().filter(|c| !own.contains(&c.version));
        let before = &candidates[..candidates.partition_point(|c| c.time <= earliest)];
        let newest = others(before).next_back();
        newest.or_else(|| others(candidates).min_by_key(|c| c.number)).map(|c| c.version)
    }
}
