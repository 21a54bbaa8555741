//! Versions of a view: which exist here, and their labels, digests and sizes.

use std::collections::HashSet;

use super::super::fold::{EXTERNAL, FOREIGN_DIGEST, TOOK_DIGEST, TOOK_LABEL, TOOK_ROWS, TOOK_SIZE};
use super::super::tables::{ENTITY, INPUT, SIDE};
use super::{EntityId, Position, VersionId, View};
use crate::digest::{Digest, to_hex};

impl View {
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
            self.stack.mentions(*event).iter().any(|(t, b)| t == entity && b & (SIDE | ENTITY) == INPUT | ENTITY)
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
            taken
                .filter(|(e, field, _)| *field == TOOK_LABEL && self.tells(*e, version))
                .map(|(_, _, label)| label as u32)
                .next()
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
            .filter(|(event, field, _)| *field == TOOK_DIGEST && !self.tells(*event, version))
            .map(|(_, _, symbol)| symbol)
            .collect();
        let symbols = self.stack.segments().iter().flat_map(|s| s.x_pair().lows(version).collect::<Vec<_>>());
        symbols.filter(|s| !later.contains(&u64::from(*s))).map(|s| self.text(s).to_owned()).collect()
    }

    /// Whether a version has a digest or label from an event: a visible one, or the one that minted it.
    fn tells(&self, event: Position, version: VersionId) -> bool {
        self.sees(event) || event == self.mint(version)
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
        let taken = self.stack.taken(version).into_iter();
        let seen = taken.filter(|(event, f, _)| *f == field && self.sees(*event));
        seen.max_by_key(|(event, ..)| *event).map(|(_, _, value)| value)
    }

    /// The visible versions that hold a digest (its 32-byte key), ascending.
    pub fn versions_with(&self, digest: &[u8; 32]) -> Vec<VersionId> {
        let mut versions = self.stack.versions_with(digest);
        versions.retain(|v| self.has_version(*v) && self.holds(*v, digest));
        versions
    }

    /// Whether a version has a digest as far as it is known here.
    pub(super) fn holds(&self, version: VersionId, digest: &[u8; 32]) -> bool {
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
            let head: String = hex.chars().take(8).collect();
            let Ok(low) = u32::from_str_radix(&format!("{head:0<8}"), 16) else { return versions };
            let Ok(high) = u32::from_str_radix(&format!("{head:f<8}"), 16) else { return versions };
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

    /// The versions that uses without producer minted, ascending.
    pub fn external_versions(&self) -> Vec<VersionId> {
        const STRETCH: usize = 64;
        let mut external = Vec::new();
        for s in self.stack.segments() {
            // They are few in most histories, so most stretches are passed over as a whole.
            for (first, stretch) in (s.bases.version..).step_by(STRETCH).zip(s.v_bits().all().chunks(STRETCH)) {
                if stretch.iter().fold(0, |all, bits| all | bits) & EXTERNAL != 0 {
                    let rows = (first..).zip(stretch);
                    external.extend(rows.filter(|(_, bits)| **bits & EXTERNAL != 0).map(|(version, _)| version));
                }
            }
        }
        let n_versions = self.n_versions();
        external.retain(|v| *v < n_versions);
        external
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
