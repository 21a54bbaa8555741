//! Edges of a view: which events use and produce a version, and what one event uses, is about and produces.

use std::cell::LazyCell;

use super::super::stack::Stack;
use super::super::tables::{
    ABOUT, ANY_OF_KIND, BY_DIGEST, DIGEST, ENTITY, HAS_FROM, INFERRED, INPUT, OUTPUT, PARTIAL, ROLE, ROLE_SHIFT, SIDE,
};
use super::{EntityId, Position, VersionId, View};
use crate::event::Role;

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

/// A lookup of the events that mention a version.
pub(super) trait Mentioning {
    /// Calls for every event that mentions a version, with the mention's bits.
    fn mentioned_by(&self, version: VersionId, f: impl FnMut(Position, u16));
}

impl Mentioning for Stack {
    #[inline]
    fn mentioned_by(&self, version: VersionId, f: impl FnMut(Position, u16)) {
        Self::mentioned_by(self, version, f);
    }
}

impl View {
    /// Calls for each visible event that produced a version.
    #[inline]
    pub fn makers(&self, version: VersionId, mut f: impl FnMut(Position)) {
        self.stack.mentioned_by(version, |event, bits| {
            if bits & SIDE == OUTPUT && bits & PARTIAL == 0 && self.sees(event) {
                f(event);
            }
        });
    }

    pub(super) fn first_maker(&self, version: VersionId) -> Option<Position> {
        let mut first = None;
        self.makers(version, |event| first = Some(first.map_or(event, |f: Position| f.min(event))));
        first
    }

    /// Calls for each visible event that uses a version or is about it; late-bound and by-digest mentions included.
    pub fn uses(&self, version: VersionId, f: impl FnMut(Position, Use)) {
        self.uses_in(&self.stack, version, f);
    }

    /// As [`View::uses`], by a lookup of mentions.
    #[inline]
    pub(super) fn uses_in(&self, lookup: &impl Mentioning, version: VersionId, mut f: impl FnMut(Position, Use)) {
        let twins = LazyCell::new(|| self.twins(version));
        lookup.mentioned_by(version, |event, bits| {
            if bits & SIDE == OUTPUT || !self.sees(event) {
                return;
            }
            let by_digest = bits & (SIDE | BY_DIGEST) == INPUT | BY_DIGEST;
            if !by_digest || self.one_of(&twins, version, event) == version {
                f(event, usage(bits));
            }
        });
        if self.any_bits & (ENTITY | BY_DIGEST | DIGEST) != 0 {
            self.indirect_uses(version, &twins, &mut f);
        }
    }

    /// The uses of a version by mentions that do not name it: late-bound, by a digest that several hold, or as a whole.
    fn indirect_uses(&self, version: VersionId, twins: &[VersionId], f: &mut impl FnMut(Position, Use)) {
        if self.any_bits & ENTITY != 0 {
            self.late_of(self.entity(version)).uses(self, version, f);
        }
        if self.any_bits & BY_DIGEST != 0 {
            self.digest_twins(version, twins, f);
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

    /// Inputs by digest that were resolved to another version with the same bytes at their position, but mean this one here.
    fn digest_twins(&self, version: VersionId, twins: &[VersionId], f: &mut impl FnMut(Position, Use)) {
        for twin in twins.iter().copied().filter(|twin| *twin != version) {
            self.stack.mentioned_by(twin, |event, bits| {
                let by_digest = bits & (SIDE | BY_DIGEST) == INPUT | BY_DIGEST;
                if by_digest && self.sees(event) && self.one_of(twins, twin, event) == version {
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
            events.extend(mentions.filter(|(_, named)| self.is_named(entity, *named)).map(|(event, _)| event));
        }
        events.sort_unstable();
        events.dedup();
        events.into_iter().filter(|event| self.sees(*event)).for_each(&mut f);
    }

    /// The inputs of an event, by index, that gave way to a pinned mention of the same name in the attempt.
    pub fn gave_way(&self, event: Position) -> Vec<(u32, EntityId)> {
        let inputs = self.stack.mentions(event).iter().filter(|(_, b)| b & SIDE == INPUT).zip(0..);
        let bare = inputs.filter(|((target, b), _)| b & ENTITY != 0 && self.has_pinned_twin(*target, event));
        bare.map(|((target, _), index)| (index, target)).collect()
    }

    /// Whether an event is about anything, whatever it means here.
    pub fn has_about(&self, event: Position) -> bool {
        self.stack.mentions(event).iter().any(|(_, bits)| bits & SIDE == ABOUT)
    }

    pub(super) fn made_ids(&self, event: Position) -> Vec<VersionId> {
        let mentions = self.stack.mentions(event).iter();
        mentions.filter(|(_, b)| b & (SIDE | ENTITY | PARTIAL) == OUTPUT).map(|(t, _)| t).collect()
    }

    /// What one event uses and is about, every mention resolved to a version.
    pub fn mentions(&self, event: Position) -> Vec<Mention> {
        let mentions = self.stack.mentions(event);
        let mut found = Vec::with_capacity(mentions.len());
        let mut by_digest = Vec::new();
        let mut index = 0;
        for (target, bits) in mentions.iter() {
            let side = bits & SIDE;
            let (usage, inferred) = (usage(bits), bits & INFERRED != 0);
            if side == INPUT {
                index += 1;
                let version = if bits & ENTITY != 0 {
                    self.late(target, event)
                } else if bits & BY_DIGEST != 0 {
                    Some(self.by_digest(target, event))
                } else {
                    Some(target)
                };
                found.extend(version.map(|version| Mention { version, usage, index: index - 1, inferred }));
            } else if side == ABOUT {
                let mut versions = self.about_versions(target, bits);
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

    /// Whether an entity is the one, or of the kind, that a digest reference speaks of.
    fn is_named(&self, entity: EntityId, named: u32) -> bool {
        named == 0
            || if named & ANY_OF_KIND == 0 {
                entity + 1 == named
            } else {
                u32::from(self.stack.entity_kind(entity)) == named & !ANY_OF_KIND
            }
    }

    fn about_versions(&self, target: u32, bits: u16) -> Vec<VersionId> {
        if bits & ENTITY != 0 {
            return self.versions(target).into_iter().filter(|v| self.has_version(*v)).collect();
        }
        if bits & DIGEST != 0 {
            let named = self.stack.query_entity(target);
            let mut versions = self.versions_with(&self.stack.query_digest(target));
            versions.retain(|v| self.is_named(self.entity(*v), named));
            return versions;
        }
        vec![target]
    }

    /// The entities that an event is about as a whole (a tag or retirement of a bare name).
    pub fn about_entities(&self, event: Position) -> Vec<EntityId> {
        let mentions = self.stack.mentions(event).iter();
        mentions.filter(|(_, b)| b & SIDE == ABOUT && b & ENTITY != 0).map(|(t, _)| t).collect()
    }

    /// What one event produced.
    pub fn made(&self, event: Position) -> Vec<Made> {
        let mut made = Vec::new();
        for (row, (target, bits)) in self.stack.mentions(event).iter().enumerate() {
            if bits & (SIDE | ENTITY | PARTIAL) == OUTPUT {
                let from =
                    (bits & HAS_FROM != 0).then(|| self.stack.from_list(self.stack.first_mention(event) + row as u32));
                made.push(Made { version: target, from });
            }
        }
        made
    }

    /// What an event uses and is about, when every one of its mentions is a plain version.
    ///
    /// `None` when one needs resolution; then [`View::mentions`] and [`View::made`] tell.
    #[inline]
    pub fn plain(&self, event: Position) -> Option<impl Iterator<Item = (VersionId, Use)> + '_> {
        let mentions = self.stack.mentions(event).iter();
        let all = mentions.clone().fold(0, |all, (_, bits)| all | bits);
        let uses = mentions.filter(|(_, bits)| bits & SIDE != OUTPUT).map(|(target, bits)| (target, usage(bits)));
        (all & (ENTITY | DIGEST | BY_DIGEST | HAS_FROM | PARTIAL) == 0).then_some(uses)
    }

    /// Outputs of failed runs: entities named without a version.
    pub fn partial(&self, event: Position) -> Vec<EntityId> {
        self.stack.mentions(event).iter().filter(|(_, b)| b & PARTIAL != 0).map(|(t, _)| t).collect()
    }
}

pub(super) fn usage(bits: u16) -> Use {
    if bits & SIDE == ABOUT {
        return Use::About;
    }
    Use::Input(Role::from_code(((bits & ROLE) >> ROLE_SHIFT) as u8).unwrap_or(Role::Data))
}
