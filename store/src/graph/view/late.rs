//! Late-bound references of a view: which version an input without version or digest means here.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::fold::EXTERNAL;
use super::super::tables::{DIGEST, ENTITY, INPUT, SIDE};
use super::{EntityId, Position, VersionId, View};

/// A version that a late-bound input may mean, in the order in which they came to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    time: i64,
    position: u32,
    number: u32,
    version: VersionId,
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
        let twins = self.twins(resolved);
        if twins.len() < 2 {
            return resolved;
        }
        self.pick(&self.candidates(twins), event).unwrap_or(resolved)
    }

    /// The version that a late-bound input of an event means.
    pub(super) fn late(&self, entity: EntityId, event: Position) -> Option<VersionId> {
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

    /// A bare mention gives way to one of the same name with version or digest in the same attempt.
    pub(super) fn has_pinned_twin(&self, entity: EntityId, event: Position) -> bool {
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
}
