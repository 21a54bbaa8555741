//! Which kinds can stand where: the static table behind R1, R3 and E0108, never data.

use super::ast::{Kind, Relation, Set};

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mask(u16);

impl Mask {
    pub(super) const ALL: Self = Self(0x0fff);
    const MODEL: Self = Self(1 << 1);
    /// Files that are neither datasets, models nor feature sets.
    const OTHER_FILES: Self = Self(1 << 3);
    pub(super) const VERSIONS: Self = Self(0x000f);
    pub(super) const AGENTS: Self = Self(1 << 4);
    pub(super) const RUNS: Self = Self(7 << 5);
    pub(super) const EVENTS: Self = Self(0x7f << 5);

    pub(super) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The kinds that a kind word covers.
pub(super) fn kind(kind: Kind) -> Mask {
    match kind {
        Kind::Dataset => Mask(1),
        Kind::Model => Mask::MODEL,
        Kind::FeatureSet => Mask(1 << 2),
        Kind::Artifact => Mask::VERSIONS,
        Kind::Agent => Mask::AGENTS,
        Kind::Transform => Mask(1 << 5),
        Kind::Training => Mask(1 << 6),
        Kind::Evaluation => Mask(1 << 7),
        Kind::Audit => Mask(1 << 8),
        Kind::Deployment => Mask(1 << 9),
        Kind::Retirement => Mask(1 << 10),
        Kind::Run => Mask::RUNS,
        Kind::Event => Mask::EVENTS,
    }
}

/// The kinds that can stand on the left of a relation.
pub(super) fn subjects(relation: Relation) -> Mask {
    match relation {
        Relation::Trained | Relation::FineTuned | Relation::Deployed | Relation::Live => {
            Mask::MODEL.or(Mask::OTHER_FILES)
        }
        Relation::Evaluated
        | Relation::Audited
        | Relation::Created
        | Relation::DerivedFrom
        | Relation::UsedBy
        | Relation::ProducedBy => Mask::VERSIONS,
        Relation::UpstreamOf | Relation::DownstreamOf | Relation::Tagged => Mask::VERSIONS.or(Mask::EVENTS),
        Relation::Using | Relation::Producing | Relation::About => Mask::EVENTS,
    }
}

/// The kinds that can be the operand of a relation.
pub(super) fn objects(relation: Relation) -> Mask {
    match relation {
        Relation::UsedBy | Relation::ProducedBy => Mask::EVENTS,
        Relation::UpstreamOf | Relation::DownstreamOf => Mask::VERSIONS.or(Mask::EVENTS),
        Relation::FineTuned => Mask::MODEL.or(Mask::OTHER_FILES),
        _ => Mask::VERSIONS,
    }
}

/// The kinds that the members of a set can have, as far as its words tell.
pub(super) fn of(set: &Set) -> Mask {
    match set {
        Set::Kind(noun) => kind(noun.kind),
        Set::Ref(reference) => reference.kind.map_or(Mask::ALL, kind),
        Set::Hash(hash) => hash.kind.map_or(Mask::ALL, kind),
        Set::File(file) => file.kind.map_or(Mask::ALL, kind),
        Set::And(members) => members.iter().map(of).fold(Mask::ALL, Mask::and),
        Set::Or(members) => members.iter().map(of).fold(Mask(0), Mask::or),
        Set::Rel(rel) => subjects(rel.relation),
        Set::With(_) => Mask::VERSIONS,
        Set::Happened(_) => Mask::EVENTS,
        Set::At(at) => of(&at.set),
        Set::Saved(_) | Set::Not(_) | Set::Pred(_) | Set::Closure(_) | Set::List(_) => Mask::ALL,
    }
}
