//! Steps of a view, from columns that are prepared once for many lookups: what a walk reads.

use super::super::fold::KIND_SHIFT;
use super::super::tables::{MAKES_MORE, MAKES_NOTHING, MAKES_SEVERAL};
use super::super::whole::{Mentioned, Whole};
use super::edges::Mentioning;
use super::{EntityId, Position, Use, VersionId, View};
use crate::event::{EntityKind, Kind};

/// What an event makes, as far as one look tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Makes {
    /// It is an attempt of its own and makes nothing.
    Nothing,
    /// It is an attempt of its own and makes one version, from all that it uses.
    One(VersionId),
    /// It is an attempt of its own and makes several versions, each from all that it uses: [`Steps::several`] tells.
    Several,
    /// Its attempt has further events, or an output has a `from` list: [`View::made`] tells.
    More,
}

/// The columns of versions and steps that a walk reads.
pub struct Steps<'a> {
    view: &'a View,
    mentioned: Vec<Mentioned<'a>>,
    makes: Whole<'a, u32>,
    kinds: Whole<'a, u8>,
    /// Events whose attempt went on in a later segment, ascending.
    went_on: Vec<Position>,
}

impl Mentioning for Steps<'_> {
    /// For uses: without the event that made and minted the version.
    #[inline]
    fn mentioned_by(&self, version: VersionId, mut f: impl FnMut(Position, u16)) {
        for segment in &self.mentioned {
            if segment.each_but_mint(version, &mut f) {
                return;
            }
        }
    }
}

impl<'a> Steps<'a> {
    fn new(view: &'a View) -> Self {
        let segments = view.stack.segments();
        let mut went_on = Vec::new();
        for s in segments.iter().filter(|s| s.leader_member().len() > 0) {
            let older = s.leader_member().lower_bound(u64::from(s.bases.event) << 32);
            went_on.extend(s.leader_member().rows(0, older).iter().map(|pair| (pair >> 32) as u32));
        }
        went_on.sort_unstable();
        went_on.dedup();
        Self {
            view,
            mentioned: segments.iter().rev().map(|s| Mentioned::new(s)).collect(),
            makes: Whole::new(&view.stack, |b| b.event, |s| s.makes()),
            kinds: Whole::new(&view.stack, |b| b.event, |s| s.e_kind()),
            went_on,
        }
    }

    /// Calls for each visible event that uses a version or is about it, as [`View::uses`] does.
    #[inline]
    pub fn uses(&self, version: VersionId, f: impl FnMut(Position, Use)) {
        self.view.uses_in(self, version, f);
    }

    /// The versions that an event with [`Makes::Several`] makes.
    pub fn several(&self, event: Position) -> impl Iterator<Item = VersionId> + '_ {
        let segment = self.view.stack.segments().iter().rfind(|s| s.bases.event <= event);
        segment.into_iter().flat_map(move |s| s.several().lows(event))
    }

    /// What an event makes.
    #[inline]
    pub fn makes(&self, event: Position) -> Makes {
        match self.makes.get(event) {
            MAKES_MORE => Makes::More,
            _ if !self.went_on.is_empty() && self.went_on.binary_search(&event).is_ok() => Makes::More,
            MAKES_NOTHING => Makes::Nothing,
            MAKES_SEVERAL => Makes::Several,
            version => Makes::One(version),
        }
    }

    /// The kind of an event.
    #[inline]
    pub fn kind(&self, event: Position) -> Kind {
        Kind::from_code(self.kinds.get(event)).unwrap_or(Kind::Register)
    }
}

/// The columns of names that a test of many versions reads.
pub struct Names<'a> {
    bits: Whole<'a, u8>,
    entities: Whole<'a, u32>,
}

impl Names<'_> {
    /// The kind of the entity of a version.
    #[inline]
    pub fn kind(&self, version: VersionId) -> EntityKind {
        EntityKind::from_code(self.bits.get(version) >> KIND_SHIFT).unwrap_or(EntityKind::Artifact)
    }

    /// The entity of a version.
    #[inline]
    pub fn entity(&self, version: VersionId) -> EntityId {
        self.entities.get(version)
    }
}

impl View {
    /// The columns that a walk reads.
    pub fn steps(&self) -> Steps<'_> {
        Steps::new(self)
    }

    /// The columns that a test of many versions reads.
    pub fn names(&self) -> Names<'_> {
        Names {
            bits: Whole::new(&self.stack, |b| b.version, |s| s.v_bits()),
            entities: Whole::new(&self.stack, |b| b.version, |s| s.v_entity()),
        }
    }
}
