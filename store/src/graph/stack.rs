//! The segments of the index, oldest first, as one address space of ids: point lookups that both the fold and readers need.

use std::sync::Arc;

use super::count::Counted;
use super::fold::{OWN_RUN, TOOK_LABEL};
use super::key;
use super::mention::Mentions;
use super::segment::{Column, Segment};
use super::tables::Bases;
use super::whole::Mentioned;
use crate::error::Result;
use crate::time::Time;

/// A contiguous run of segments from position 0.
#[derive(Clone, Default)]
pub(crate) struct Stack {
    segments: Vec<Arc<Segment>>,
}

macro_rules! cell {
    ($(#[$doc:meta])* $fn:ident, $column:ident, $base:ident -> $type:ty) => {
        $(#[$doc])*
        #[inline]
        pub(crate) fn $fn(&self, id: u32) -> $type {
            match self.holder(id, |b| b.$base) {
                Some(s) => s.$column().get((id - s.bases.$base) as usize),
                None => Default::default(),
            }
        }
    };
}

impl Stack {
    pub(crate) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// This stack with one more segment on top.
    pub(crate) fn with(&self, top: Option<Arc<Segment>>) -> Self {
        let mut segments = self.segments.clone();
        segments.extend(top);
        Self { segments }
    }

    pub(crate) fn push(&mut self, segment: Arc<Segment>) {
        self.segments.push(segment);
    }

    pub(crate) fn replace_last_two(&mut self, joined: Arc<Segment>) {
        self.segments.truncate(self.segments.len() - 2);
        self.segments.push(joined);
    }

    /// Where the ids after the last segment begin.
    pub(crate) fn next_bases(&self) -> Bases {
        self.segments.last().map(|s| s.next_bases()).unwrap_or_default()
    }

    /// The error of a bad page, if one was met.
    pub(crate) fn damage(&self) -> Result<()> {
        self.segments.iter().try_for_each(|s| s.damage())
    }

    #[inline]
    fn holder(&self, id: u32, base: impl Fn(&Bases) -> u32) -> Option<&Segment> {
        self.segments.iter().rev().find(|s| base(&s.bases) <= id).map(|s| &**s)
    }

    cell!(/// Kind code of an event.
        kind, e_kind, event -> u8);
    cell!(/// State, evidence and outcome bits of an event.
        bits, e_bits, event -> u8);
    cell!(/// Entity of a version.
        entity_of, v_entity, version -> u32);
    cell!(/// Number of a version.
        number, v_number, version -> u32);
    cell!(/// Minting event of a version.
        mint, v_mint, version -> u32);
    cell!(/// Digest key of a version as minted.
        minted_digest, v_digest, version -> [u8; 32]);
    cell!(/// Label symbol of a version as minted.
        minted_label, v_label, version -> u32);
    cell!(/// Origin bits of a version.
        version_bits, v_bits, version -> u8);
    cell!(/// Kind code of an entity.
        entity_kind, n_kind, entity -> u8);
    cell!(/// Namespace symbol of an entity.
        entity_namespace, n_namespace, entity -> u32);
    cell!(/// Name symbol of an entity.
        entity_name, n_name, entity -> u32);
    cell!(/// Wide number.
        wide, a_wide, wide -> f64);
    cell!(/// Digest of a digest reference.
        query_digest, q_digest, query -> [u8; 32]);
    cell!(/// Entity of a digest reference, plus one.
        query_entity, q_entity, query -> u32);

    /// When an event happened.
    #[inline]
    pub(crate) fn time(&self, event: u32) -> i64 {
        self.holder(event, |b| b.event).map_or(0, |s| s.time(event))
    }

    /// Actor symbol of an event.
    pub(crate) fn actor(&self, event: u32) -> u32 {
        self.holder(event, |b| b.event).map_or(0, |s| s.c_actor().get(s.context(event)))
    }

    /// Namespace symbol of an event.
    pub(crate) fn namespace(&self, event: u32) -> u32 {
        self.holder(event, |b| b.event).map_or(0, |s| s.c_namespace().get(s.context(event)))
    }

    /// Job symbol of an event.
    pub(crate) fn job(&self, event: u32) -> u32 {
        self.holder(event, |b| b.event).map_or(0, |s| s.c_job().get(s.context(event)))
    }

    /// First event of an event's attempt.
    #[inline]
    pub(crate) fn leader(&self, event: u32) -> u32 {
        self.group(event).map_or(event, |(s, row)| s.g_leader().get(row))
    }

    /// Previous event of the run, plus one.
    pub(crate) fn previous(&self, event: u32) -> u32 {
        self.group(event).map_or(0, |(s, row)| s.g_previous().get(row))
    }

    /// Attempt number of an event.
    pub(crate) fn attempt(&self, event: u32) -> u16 {
        self.group(event).map_or(1, |(s, row)| s.g_attempt().get(row))
    }

    /// Where it is said what an event has to do with others of its run; nowhere if it was the only one so far.
    #[inline]
    fn group(&self, event: u32) -> Option<(&Segment, usize)> {
        let s = self.holder(event, |b| b.event)?;
        let events = s.g_event();
        if events.len() == 0 {
            return None;
        }
        let row = events.lower_bound(event);
        (row < events.len() && events.get(row) == event).then_some((s, row))
    }

    /// The text of a symbol.
    pub(crate) fn text(&self, symbol: u32) -> &str {
        let Some(s) = self.holder(symbol, |b| b.symbol) else { return "" };
        let row = (symbol - s.bases.symbol) as usize;
        let start = if row == 0 { s.bases.symbol_byte } else { s.s_end().get(row - 1) };
        let end = s.s_end().get(row);
        let base = s.bases.symbol_byte;
        let bytes = s.s_bytes().rows(start.saturating_sub(base) as usize, end.saturating_sub(base) as usize);
        std::str::from_utf8(bytes).unwrap_or("")
    }

    /// The mentions of an event.
    #[inline]
    pub(crate) fn mentions(&self, event: u32) -> Mentions<'_> {
        let Some(s) = self.holder(event, |b| b.event) else { return Mentions::default() };
        let (from, to) = s.span(Counted::Mentions, event);
        Mentions { targets: s.m_target().rows(from, to), codes: s.m_code().rows(from, to) }
    }

    /// The global id of the first mention of an event.
    pub(crate) fn first_mention(&self, event: u32) -> u32 {
        let Some(s) = self.holder(event, |b| b.event) else { return 0 };
        s.bases.mention + s.span(Counted::Mentions, event).0 as u32
    }

    /// The indexes into the inputs of an output mention that has such a list.
    pub(crate) fn from_list(&self, mention: u32) -> Vec<u32> {
        let Some(s) = self.holder(mention, |b| b.mention) else { return Vec::new() };
        let row = s.from_mention().lower_bound(mention);
        if s.from_mention().get(row) != mention {
            return Vec::new();
        }
        let (from, to) = rows(s.from_end(), row as u32, s.bases.from);
        s.from_input().rows(from, to).to_vec()
    }

    /// The attributes of an event: packed keys and values.
    pub(crate) fn attributes(&self, event: u32) -> (&[u32], &[u32]) {
        let Some(s) = self.holder(event, |b| b.event) else { return (&[], &[]) };
        let (from, to) = s.span(Counted::Attributes, event);
        (s.keys(event), s.a_value().rows(from, to))
    }

    /// The instant at which an event was recorded.
    pub(crate) fn recorded(&self, event: u32) -> Time {
        let Some(s) = self.holder(event, |b| b.event) else { return Time(0) };
        let after = s.rec_position().lower_bound(event + 1);
        Time(s.rec_time().get(after.saturating_sub(1)))
    }

    /// The symbol of a text, if it has one.
    pub(crate) fn find_symbol(&self, text: &str) -> Option<u32> {
        let hash = key::symbol(text);
        self.segments.iter().rev().find_map(|s| {
            let (keys, ids) = (s.sym_key(), s.sym_id());
            let mut row = keys.lower_bound_even(hash);
            while row < keys.len() && keys.get(row) == hash {
                let id = ids.get(row);
                if self.text(id) == text {
                    return Some(id);
                }
                row += 1;
            }
            None
        })
    }

    /// The entities of a name, in order of their ids.
    pub(crate) fn entities_named(&self, name: u32) -> Vec<u32> {
        self.segments.iter().flat_map(|s| s.name_entity().lows(name).collect::<Vec<_>>()).collect()
    }

    /// The entity of a kind, namespace and name.
    pub(crate) fn find_entity(&self, kind: u8, namespace: u32, name: u32) -> Option<u32> {
        self.entities_named(name)
            .into_iter()
            .find(|e| self.entity_kind(*e) == kind && self.entity_namespace(*e) == namespace)
    }

    /// The versions of an entity, ascending.
    pub(crate) fn versions_of(&self, entity: u32) -> Vec<u32> {
        let mut versions: Vec<u32> = self.segments.iter().flat_map(|s| s.versions_of(entity)).copied().collect();
        versions.sort_unstable();
        versions
    }

    /// The newest version of an entity.
    pub(crate) fn last_version(&self, entity: u32) -> Option<u32> {
        self.segments.iter().rev().find_map(|s| s.versions_of(entity).iter().max().copied())
    }

    /// The version that a label of an entity stands for now: minted with it, or given it, last.
    pub(crate) fn find_label(&self, entity: u32, label: u32) -> Option<u32> {
        let key = key::label(entity, label);
        self.segments.iter().rev().find_map(|s| {
            let rows = s.label_key().rows_of(key).map(|row| s.label_version().get(row));
            let own = rows.filter(|version| self.entity_of(*version) == entity);
            let taken = own.filter_map(|version| Some((self.label_taken(version, label)?, version)));
            let minted = s.labeled(entity, label).map(|version| (self.mint(version), version));
            taken.chain(minted).max().map(|(_, version)| version)
        })
    }

    /// The event that gave a version a label after it was minted.
    fn label_taken(&self, version: u32, label: u32) -> Option<u32> {
        let taken = self.taken(version).into_iter();
        let mut events = taken.filter(|(_, field, value)| *field == TOOK_LABEL && *value == u64::from(label));
        events.next().map(|(event, ..)| event)
    }

    /// The versions that hold a digest, ascending.
    pub(crate) fn versions_with(&self, digest: &[u8; 32]) -> Vec<u32> {
        let mut found = self.versions_beginning_with(digest);
        found.retain(|version| self.has_digest(*version, digest));
        found
    }

    /// The versions that hold a digest which begins like a given one, ascending.
    pub(crate) fn versions_beginning_with(&self, digest: &[u8; 32]) -> Vec<u32> {
        let key = key::short_head(digest);
        let mut found = Vec::new();
        for s in &self.segments {
            found.extend(s.digest_key().rows_of(key).map(|row| s.digest_version().get(row)));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn has_digest(&self, version: u32, digest: &[u8; 32]) -> bool {
        self.minted_digest(version) == *digest || self.digests_of(version).contains(digest)
    }

    /// The digest keys of a version: as minted, and taken later.
    pub(crate) fn digests_of(&self, version: u32) -> Vec<[u8; 32]> {
        let mut digests = vec![self.minted_digest(version)];
        for s in &self.segments {
            for symbol in s.x_pair().lows(version) {
                digests.extend(self.text(symbol).parse::<crate::digest::Digest>().ok().map(|d| d.key()));
            }
        }
        digests.retain(|d| *d != [0; 32]);
        digests
    }

    /// What a version took after it was minted: event, field, value; by event.
    pub(crate) fn taken(&self, version: u32) -> Vec<(u32, u8, u64)> {
        let mut taken = Vec::new();
        for s in self.segments.iter().filter(|s| s.u_version().len() > 0) {
            let versions = s.u_version();
            let mut row = versions.lower_bound(version);
            while row < versions.len() && versions.get(row) == version {
                taken.push((s.u_event().get(row), s.u_field().get(row), s.u_value().get(row)));
                row += 1;
            }
        }
        taken
    }

    /// The label that a version took after it was minted; 0 none.
    pub(crate) fn taken_label(&self, version: u32) -> u32 {
        let label = self.taken(version).into_iter().find(|(_, field, _)| *field == TOOK_LABEL);
        label.map_or(0, |(_, _, label)| label as u32)
    }

    /// The position of an event id.
    pub(crate) fn find_id(&self, key: (u64, u32)) -> Option<u32> {
        self.segments.iter().rev().find_map(|s| find_checked(s.id_key(), s.id_check(), s.id_position(), key))
    }

    /// The newest event of a run id.
    pub(crate) fn find_run(&self, key: (u64, u32)) -> Option<u32> {
        self.segments.iter().rev().find_map(|s| {
            let of_run = find_checked(s.run_key(), s.run_check(), s.run_last(), key);
            let of_id = find_checked(s.id_key(), s.id_check(), s.id_position(), key);
            of_run.max(of_id.filter(|event| self.bits(*event) & OWN_RUN != 0))
        })
    }

    /// The later members of an attempt, ascending.
    pub(crate) fn members(&self, leader: u32) -> Vec<u32> {
        self.segments
            .iter()
            .filter(|s| s.end() > leader && s.leader_member().len() > 0)
            .flat_map(|s| s.leader_member().lows(leader).collect::<Vec<_>>())
            .collect()
    }

    /// Calls for every event that mentions a version, with the mention's bits, ascending within each segment.
    #[inline]
    pub(crate) fn mentioned_by(&self, version: u32, mut f: impl FnMut(u32, u16)) {
        for s in self.segments.iter().rev() {
            if Mentioned::new(s).each(version, &mut f) {
                return;
            }
        }
    }

    /// The number of versions that the first events minted.
    pub(crate) fn n_versions_by(&self, end: u32) -> u32 {
        let next = self.next_bases();
        if end == next.event {
            return next.version;
        }
        // Versions are numbered in the order of their minting events.
        let (mut low, mut high) = (0, next.version);
        while low < high {
            let middle = u32::midpoint(low, high);
            if self.mint(middle) < end {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The events that mention an entity without a version, ascending.
    pub(crate) fn entity_mentions(&self, entity: u32) -> Vec<u32> {
        self.segments.iter().flat_map(|s| s.entity_mention().lows(entity).collect::<Vec<_>>()).collect()
    }

    /// The events that mention a digest as a whole: event, and entity plus one.
    pub(crate) fn digest_mentions(&self, digest: &[u8; 32]) -> Vec<(u32, u32)> {
        let hash = key::head(digest);
        let mut found = Vec::new();
        for s in self.segments.iter().filter(|s| s.q_key().len() > 0) {
            let mut row = s.q_key().lower_bound(hash);
            while row < s.q_key().len() && s.q_key().get(row) == hash {
                let id = s.q_id().get(row);
                if self.query_digest(id) == *digest {
                    found.push((s.q_event().get(row), self.query_entity(id)));
                }
                row += 1;
            }
        }
        found
    }

    /// All mention bits of the index together.
    pub(crate) fn any_bits(&self) -> u16 {
        self.segments.iter().fold(0, |all, s| all | s.any_bits().get(0))
    }

    /// Whether any attempt has more than one event.
    pub(crate) fn has_members(&self) -> bool {
        self.segments.iter().any(|s| s.leader_member().len() > 0)
    }

    /// The root key of an attempt, if this event was the first to tell it.
    pub(crate) fn root_told(&self, event: u32) -> Option<u64> {
        let s = self.holder(event, |b| b.event)?;
        let row = s.p_event().lower_bound(event);
        (row < s.p_event().len() && s.p_event().get(row) == event).then(|| s.p_root().get(row))
    }
}

fn rows(ends: Column<'_, u32>, row: u32, base: u32) -> (usize, usize) {
    let start = if row == 0 { base } else { ends.get(row as usize - 1) };
    (start.saturating_sub(base) as usize, ends.get(row as usize).saturating_sub(base) as usize)
}

fn find_checked(
    keys: Column<'_, u64>,
    checks: Column<'_, u32>,
    values: Column<'_, u32>,
    key: (u64, u32),
) -> Option<u32> {
    let mut row = keys.lower_bound_even(key.0);
    while row < keys.len() && keys.get(row) == key.0 {
        if checks.get(row) == key.1 {
            return Some(values.get(row));
        }
        row += 1;
    }
    None
}
