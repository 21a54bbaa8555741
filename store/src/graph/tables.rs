//! The columns of the graph index: forward tables as they are folded, and what is derived from them for lookups.
//!
//! Every id (position, version, entity, symbol, mention...) is global and dense, so joining two neighboring segments
//! concatenates their forward columns and merges their sorted lookups. Only the contexts belong to a segment.

use super::fold::EXTERNAL;
use super::join::block_starts;
use super::mention::pack;
use super::segment::{Column, Segment};
use super::writer::Writer;
use crate::error::Result;

macro_rules! columns {
    (
        on disk { $($(#[$doc:meta])* $name:ident: $type:ty,)+ }
        in the tail { $($(#[$tail_doc:meta])* $tail:ident: $tail_type:ty,)+ }
    ) => {
        /// All columns of one segment, in memory.
        #[derive(Default)]
        pub(crate) struct Tables {
            $($(#[$doc])* pub(crate) $name: Vec<$type>,)+
            $($(#[$tail_doc])* pub(crate) $tail: Vec<$tail_type>,)+
        }

        impl Tables {
            /// The number of columns of this format.
            pub(crate) const N_COLUMNS: usize = [$(stringify!($name)),+].len();
            /// The names of the columns, for the breakdown by part.
            pub(crate) const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// Writes every column.
            pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<()> {
                $( writer.column(Id::$name, &[&self.$name])?; )+
                Ok(())
            }
        }

        /// The columns, in the order of the format.
        #[allow(non_camel_case_types, reason = "one variant a column, named as the column")]
        #[derive(Clone, Copy)]
        pub(crate) enum Id { $($name),+ }

        impl Segment {
            $($(#[$doc])* pub(crate) fn $name(&self) -> Column<'_, $type> { self.column(Id::$name as usize) })+
        }
    };
}

columns! {
    on disk {
        /// Kind of each event.
        e_kind: u8,
        /// State (bits 0-2), evidence (bit 3), outcome (bits 4-5: 0 none, 1 pass, 2 fail), has a run (bit 6), whose id is
        /// its own (bit 7).
        e_bits: u8,
        /// When it happened, in units of its block after the base of its block; never later than recorded.
        t_delta: u32,
        /// Who did it where, and the keys of its attributes: a row of the contexts.
        e_context: u32,
        /// How many mentions it has; 255 that many or more.
        n_mentions: u8,
        /// How many attributes it has; 255 that many or more.
        n_attributes: u8,
        /// First position of each stretch of equal recorded instants, and that instant.
        rec_position: u32,
        /// The instant of each stretch.
        rec_time: i64,
        /// Target of each mention: a version; with flags an entity or a digest reference.
        m_target: u32,
        /// Side, role and flags of each mention, in a byte.
        m_code: u8,
        /// Outputs with `from`: the mention.
        from_mention: u32,
        /// Outputs with `from`: the end of the list.
        from_end: u32,
        /// Indexes into the event's inputs.
        from_input: u32,
        /// Digest of a digest reference.
        q_digest: [u8; 32],
        /// One more than the entity of a digest reference; 0 any, [`ANY_OF_KIND`] and a kind any of that.
        q_entity: u32,
        /// Entity of each version.
        v_entity: u32,
        /// Number of each version within its entity, from 1.
        v_number: u32,
        /// Position of the event that minted it.
        v_mint: u32,
        /// Digest key of the version; zeros where it had none when minted.
        v_digest: [u8; 32],
        /// Symbol of its label; 0 none.
        v_label: u32,
        /// Origin external (bit 0), digest not blake3 (bit 1), kind of its entity (bits 2-4).
        v_bits: u8,
        /// Version that took a digest, a label, a size or rows later.
        u_version: u32,
        /// The event that gave it.
        u_event: u32,
        /// What was given.
        u_field: u8,
        /// The value: a symbol, or bytes and rows.
        u_value: u64,
        /// Kind of each entity.
        n_kind: u8,
        /// Symbol of its namespace.
        n_namespace: u32,
        /// Symbol of its name.
        n_name: u32,
        /// End of each symbol's bytes.
        s_end: u64,
        /// The bytes of all symbols.
        s_bytes: u8,
        /// The value, packed.
        a_value: u32,
        /// Numbers that do not fit when packed.
        a_wide: f64,
        /// Event of each fact.
        f_event: u32,
        /// Predicate of each fact.
        f_predicate: u8,
        /// What its subject is: entity, version or event.
        f_scope: u8,
        /// Its subject.
        f_subject: u32,
        /// Its object: a symbol, an entity or a version.
        f_object: u32,
        /// Event of each slot change.
        d_event: u32,
        /// Symbol of the environment, folded to lower case; 0 every environment.
        d_environment: u32,
        /// Symbol of the service; 0 the model's name (deployment) or every service (retirement).
        d_service: u32,
        /// Whether it joins the slot's content.
        d_alongside: u8,
        /// Event that has a point in time of its own.
        w_event: u32,
        /// Until when an audit is valid.
        w_time: i64,
        /// Retracting event.
        r_event: u32,
        /// Retracted event.
        r_target: u32,
        /// The event that first told the root of its attempt.
        p_event: u32,
        /// Key of the root run.
        p_root: u64,

        /// Contexts, sorted: the symbol of the actor.
        c_actor: u32,
        /// Symbol of the namespace.
        c_namespace: u32,
        /// Symbol of the job; 0 none.
        c_job: u32,
        /// End of its keys.
        c_keys: u32,
        /// Symbol of a key (bits 0-29) and its namespace (bits 30-31).
        c_key: u32,
        /// The earliest instant of each block of events, in nanoseconds; the first row of `t_wide` where no unit fits.
        t_base: i64,
        /// The unit of each block: 0 second, 1 millisecond, 2 microsecond, 3 nanosecond, 4 none.
        t_unit: u8,
        /// The instants of blocks that no unit fits.
        t_wide: i64,
        /// First mention of each block of events.
        b_mention: u32,
        /// First attribute of each block of events.
        b_attribute: u32,
        /// Events with 255 or more mentions or attributes.
        l_event: u32,
        /// How many mentions each has.
        l_mentions: u32,
        /// How many attributes each has.
        l_attributes: u32,
        /// Events that are not the only one of their run so far: the event.
        g_event: u32,
        /// Position of the first recorded event of its attempt.
        g_leader: u32,
        /// One more than the position of the previous event with the same namespace and run id; 0 none.
        g_previous: u32,
        /// Number of its attempt.
        g_attempt: u16,
        /// What the attempt of each event makes, if one look tells: a version, or one of the `MAKES_` codes.
        makes: u32,
        /// Sorted pairs of an event (high) and each of the several versions that it makes (low).
        several: u64,
        /// One row: all mention bits of the segment together, so that readers know what they need not look for.
        any_bits: u16,
        /// Sorted id keys.
        id_key: u64,
        /// Further bits of the id key.
        id_check: u32,
        /// Their positions.
        id_position: u32,
        /// Sorted run keys (namespace and run id), but those of events that have the id of their run.
        run_key: u64,
        /// Further bits of the run key.
        run_check: u32,
        /// The newest event of the run in this segment.
        run_last: u32,
        /// Sorted hashes of entity and label, of labels that versions took after they were minted.
        label_key: u32,
        /// Their versions.
        label_version: u32,
        /// Sorted pairs of a version (high) and the symbol of the text of a further digest (low).
        x_pair: u64,
        /// Sorted first four bytes of digests.
        digest_key: u32,
        /// Their versions.
        digest_version: u32,
        /// Sorted hashes of symbols.
        sym_key: u64,
        /// The symbols.
        sym_id: u32,
        /// Sorted pairs of name symbol (high) and entity (low).
        name_entity: u64,
        /// The entities that have versions in this segment, ascending.
        o_entity: u32,
        /// End of the versions of each.
        o_end: u32,
        /// The versions by their entity, and there by the label that they were minted with.
        o_version: u32,
        /// Sorted pairs of entity (high) and the event that names it without version (low).
        entity_mention: u64,
        /// Sorted pairs of digest reference symbol... first eight bytes of the digest, and below.
        q_key: u64,
        /// The digest reference.
        q_id: u32,
        /// The events that mention it are found by this: the event of each digest reference.
        q_event: u32,
        /// Sorted pairs of attempt leader (high) and later member (low).
        leader_member: u64,
        /// End of the mentions of each version of this segment; that of the event that made and minted it is understood.
        back_end: u32,
        /// Events that mention it.
        back_event: u32,
        /// Low bits of the mention.
        back_code: u8,
        /// Sorted pairs of an older version (high) and the event that mentions it (low).
        old_pair: u64,
        /// Low bits of the mention.
        old_code: u8,
        /// Where the pairs of each block of older versions begin, so that a version is found without a search.
        old_block: u32,
    }
    in the tail {
        /// When it happened, nanoseconds; never later than recorded.
        e_time: i64,
        /// Side, role and flags of each mention.
        m_bits: u16,
        /// End of its mentions.
        e_mentions: u32,
        /// End of its attributes.
        e_attributes: u32,
        /// Symbol of the actor.
        e_actor: u32,
        /// Symbol of the namespace.
        e_namespace: u32,
        /// Symbol of the job; 0 none.
        e_job: u32,
        /// Position of the first recorded event of its attempt.
        e_leader: u32,
        /// One more than the position of the previous event with the same namespace and run id; 0 none.
        e_previous: u32,
        /// Number of its attempt.
        e_attempt: u16,
        /// Symbol of the key (bits 0-29) and its namespace (bits 30-31).
        a_key: u32,
    }
}

/// Older versions are looked up in blocks of this many (a power of two).
pub(crate) const OLD_BLOCK_BITS: u32 = 5;

/// Where the ids of a segment begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bases {
    pub(crate) event: u32,
    pub(crate) mention: u32,
    pub(crate) attribute: u32,
    pub(crate) wide: u32,
    pub(crate) from: u32,
    pub(crate) query: u32,
    pub(crate) version: u32,
    pub(crate) entity: u32,
    pub(crate) symbol: u32,
    pub(crate) symbol_byte: u64,
}

impl Bases {
    /// As words of the header.
    pub(crate) fn words(&self) -> [u64; 10] {
        [
            self.event.into(),
            self.mention.into(),
            self.attribute.into(),
            self.wide.into(),
            self.from.into(),
            self.query.into(),
            self.version.into(),
            self.entity.into(),
            self.symbol.into(),
            self.symbol_byte,
        ]
    }

    /// From words of the header.
    pub(crate) fn from_words(words: &[u64; 10]) -> Self {
        Self {
            event: words[0] as u32,
            mention: words[1] as u32,
            attribute: words[2] as u32,
            wide: words[3] as u32,
            from: words[4] as u32,
            query: words[5] as u32,
            version: words[6] as u32,
            entity: words[7] as u32,
            symbol: words[8] as u32,
            symbol_byte: words[9],
        }
    }
}

/// In `q_entity`, beside a kind: any entity of that kind.
pub(crate) const ANY_OF_KIND: u32 = 1 << 31;

/// Mention bits: side.
pub(crate) const SIDE: u16 = 0b11;
/// An input.
pub(crate) const INPUT: u16 = 0;
/// An output.
pub(crate) const OUTPUT: u16 = 1;
/// An `about`.
pub(crate) const ABOUT: u16 = 2;
/// Where the role stands.
pub(crate) const ROLE_SHIFT: u16 = 2;
/// The role.
pub(crate) const ROLE: u16 = 0b111 << ROLE_SHIFT;
/// The target is an entity: a late-bound input, a bare output of a run under way, a tag of all versions...
pub(crate) const ENTITY: u16 = 1 << 5;
/// The target is a digest reference: every version that holds it.
pub(crate) const DIGEST: u16 = 1 << 6;
/// The version was found by digest alone; of several, the late-bound rule picks.
pub(crate) const BY_DIGEST: u16 = 1 << 7;
/// The edge was deduced.
pub(crate) const INFERRED: u16 = 1 << 8;
/// The output of a failed run.
pub(crate) const PARTIAL: u16 = 1 << 9;
/// The output has a list of the inputs that led to it.
pub(crate) const HAS_FROM: u16 = 1 << 10;

/// In `makes`: an attempt of one event that makes nothing.
pub(crate) const MAKES_NOTHING: u32 = u32::MAX;
/// In `makes`: an attempt of one event that makes the versions that `several` lists.
pub(crate) const MAKES_SEVERAL: u32 = u32::MAX - 1;
/// In `makes`: an output with a `from` list, or an attempt of several events.
pub(crate) const MAKES_MORE: u32 = u32::MAX - 2;

/// Pairs of two ids in one sorted column.
pub(crate) fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

impl Tables {
    /// Fills the lookups from the forward columns of one segment; `id`s and `run`s are added by the fold.
    pub(crate) fn derive(&mut self, bases: &Bases) {
        self.sort_keyed();
        self.derive_owners(bases);
        self.name_entity =
            self.n_name.iter().enumerate().map(|(i, name)| pair(*name, bases.entity + i as u32)).collect();
        self.name_entity.sort_unstable();
        self.derive_counts(bases);
        self.derive_times();
        self.derive_contexts(bases);
        self.derive_groups(bases);
        self.leader_member = self
            .e_leader
            .iter()
            .enumerate()
            .filter(|(i, leader)| **leader != bases.event + *i as u32)
            .map(|(i, leader)| pair(*leader, bases.event + i as u32))
            .collect();
        self.leader_member.sort_unstable();
        self.derive_mentions(bases);
    }

    /// The versions by their entity, and there by their label.
    fn derive_owners(&mut self, bases: &Bases) {
        let rows = self.v_entity.iter().zip(&self.v_label).zip(bases.version..);
        let mut versions: Vec<(u64, u32)> = rows.map(|((entity, label), v)| (pair(*entity, *label), v)).collect();
        versions.sort_unstable();
        (self.o_entity, self.o_end) = (Vec::new(), Vec::new());
        for of_one in versions.chunk_by(|a, b| a.0 >> 32 == b.0 >> 32) {
            self.o_entity.push((of_one[0].0 >> 32) as u32);
            self.o_end.push(self.o_end.last().map_or(0, |end| *end) + of_one.len() as u32);
        }
        self.o_version = versions.into_iter().map(|(_, version)| version).collect();
    }

    /// Most events are the only one of their run, and need no row.
    fn derive_groups(&mut self, bases: &Bases) {
        (self.g_event, self.g_leader) = (Vec::new(), Vec::new());
        (self.g_previous, self.g_attempt) = (Vec::new(), Vec::new());
        for (row, event) in (0..self.e_leader.len()).zip(bases.event..) {
            let group = (self.e_leader[row], self.e_previous[row], self.e_attempt[row]);
            if group != (event, 0, 1) {
                self.g_event.push(event);
                self.g_leader.push(group.0);
                self.g_previous.push(group.1);
                self.g_attempt.push(group.2);
            }
        }
    }

    fn sort_keyed(&mut self) {
        self.x_pair.sort_unstable();
        let mut taken = zip_taken(&self.u_version, &self.u_event, &self.u_field, &self.u_value);
        taken.sort_unstable();
        self.set_taken(&taken);
        sort_pairs(&mut self.label_key, &mut self.label_version);
        sort_pairs(&mut self.digest_key, &mut self.digest_version);
        sort_pairs(&mut self.sym_key, &mut self.sym_id);
        let ids = sorted(zip(&self.id_key, &self.id_check, &self.id_position));
        (self.id_key, self.id_check, self.id_position) = unzip(ids);
        let runs = sorted(zip(&self.run_key, &self.run_check, &self.run_last));
        (self.run_key, self.run_check, self.run_last) = unzip(newest_of_run(runs));
        let queries = sorted(zip(&self.q_key, &self.q_id, &self.q_event));
        (self.q_key, self.q_id, self.q_event) = unzip(queries);
    }

    fn set_taken(&mut self, rows: &[Taken]) {
        self.u_version = rows.iter().map(|r| r.0).collect();
        self.u_event = rows.iter().map(|r| r.1).collect();
        self.u_field = rows.iter().map(|r| r.2).collect();
        self.u_value = rows.iter().map(|r| r.3).collect();
    }

    /// The reverse of the mentions: counted per version of this segment, sorted pairs for older ones.
    pub(crate) fn derive_mentions(&mut self, bases: &Bases) {
        let n_versions = self.v_entity.len();
        let mut ends = vec![0u32; n_versions + 1];
        let (mut old, mut late) = (Vec::new(), Vec::new());
        self.each_mention(bases, |event, target, bits| {
            if bits & ENTITY != 0 {
                late.push(pair(target, event));
            } else if bits & DIGEST == 0 {
                match target.checked_sub(bases.version) {
                    Some(row) if self.mints(row, event, bits) => {}
                    Some(row) => ends[row as usize + 1] += 1,
                    None => old.push((pair(target, event), pack(bits))),
                }
            }
        });
        for i in 1..=n_versions {
            ends[i] += ends[i - 1];
        }
        let total = ends[n_versions] as usize;
        let (mut events, mut codes) = (vec![0u32; total], vec![0; total]);
        let mut next = ends.clone();
        self.each_mention(bases, |event, target, bits| {
            if bits & (ENTITY | DIGEST) != 0 {
                return;
            }
            if let Some(row) = target.checked_sub(bases.version).filter(|row| !self.mints(*row, event, bits)) {
                let slot = &mut next[row as usize];
                events[*slot as usize] = event;
                codes[*slot as usize] = pack(bits);
                *slot += 1;
            }
        });
        // Stable, so that an event that mentions a version twice says so in its own order.
        old.sort_by_key(|(pair, _)| *pair);
        late.sort_unstable();
        late.dedup();
        self.back_end = ends.split_off(1);
        self.back_event = events;
        self.back_code = codes;
        self.m_code = self.m_bits.iter().map(|bits| pack(*bits)).collect();
        self.any_bits = vec![self.m_bits.iter().fold(0, |all, bits| all | bits)];
        self.derive_makes(bases);
        (self.old_pair, self.old_code) = old.into_iter().unzip();
        self.old_block = block_starts(self.old_pair.iter().copied(), bases.version);
        self.entity_mention = late;
    }

    /// What each attempt of one event makes, so that a walk takes most steps with one look.
    fn derive_makes(&mut self, bases: &Bases) {
        let mut makes = vec![MAKES_NOTHING; self.e_kind.len()];
        let mut several = Vec::new();
        self.each_mention(bases, |event, target, bits| {
            if bits & (SIDE | ENTITY | PARTIAL) != OUTPUT {
                return;
            }
            let made = &mut makes[(event - bases.event) as usize];
            *made = match *made {
                MAKES_MORE => MAKES_MORE,
                _ if bits & HAS_FROM != 0 => MAKES_MORE,
                MAKES_NOTHING => target,
                first => {
                    several.extend((first != MAKES_SEVERAL).then(|| pair(event, first)));
                    several.push(pair(event, target));
                    MAKES_SEVERAL
                }
            };
        });
        for pair in &self.leader_member {
            for event in [(pair >> 32) as u32, *pair as u32] {
                if let Some(row) = event.checked_sub(bases.event) {
                    makes[row as usize] = MAKES_MORE;
                }
            }
        }
        several.retain(|pair| makes[((pair >> 32) as u32 - bases.event) as usize] == MAKES_SEVERAL);
        several.sort_unstable();
        several.dedup();
        (self.makes, self.several) = (makes, several);
    }

    /// Whether a mention is that of the event that made and minted a version of this segment; so each version has one.
    fn mints(&self, row: u32, event: u32, bits: u16) -> bool {
        bits & SIDE == OUTPUT && self.v_mint[row as usize] == event && self.v_bits[row as usize] & EXTERNAL == 0
    }

    fn each_mention(&self, bases: &Bases, mut f: impl FnMut(u32, u32, u16)) {
        let mut start = 0;
        for (i, end) in self.e_mentions.iter().enumerate() {
            let end = (end - bases.mention) as usize;
            for m in start..end {
                f(bases.event + i as u32, self.m_target[m], self.m_bits[m]);
            }
            start = end;
        }
    }
}

/// Version, event, field, value.
type Taken = (u32, u32, u8, u64);

fn zip_taken(versions: &[u32], events: &[u32], fields: &[u8], values: &[u64]) -> Vec<Taken> {
    versions.iter().zip(events).zip(fields).zip(values).map(|(((v, e), f), x)| (*v, *e, *f, *x)).collect()
}

type Triple = (u64, u32, u32);

fn zip(keys: &[u64], checks: &[u32], values: &[u32]) -> Vec<Triple> {
    keys.iter().zip(checks).zip(values).map(|((k, c), v)| (*k, *c, *v)).collect()
}

fn unzip(rows: Vec<Triple>) -> (Vec<u64>, Vec<u32>, Vec<u32>) {
    let mut columns = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for (key, check, value) in rows {
        columns.0.push(key);
        columns.1.push(check);
        columns.2.push(value);
    }
    columns
}

fn sorted(mut rows: Vec<Triple>) -> Vec<Triple> {
    rows.sort_unstable();
    rows
}

/// Of several events of one run only the newest stands in the lookup; the others are reached through `e_previous`.
fn newest_of_run(mut rows: Vec<Triple>) -> Vec<Triple> {
    rows.reverse();
    rows.dedup_by_key(|(key, check, _)| (*key, *check));
    rows.reverse();
    rows
}

fn sort_pairs<K: Copy + Ord>(keys: &mut Vec<K>, values: &mut Vec<u32>) {
    let mut pairs: Vec<(K, u32)> = keys.iter().copied().zip(values.iter().copied()).collect();
    pairs.sort_unstable();
    (*keys, *values) = pairs.into_iter().unzip();
}
