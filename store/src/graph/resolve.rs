//! Which version a reference means, and when a new one is minted (EVENTS.md §3 and §4).

use super::fold::{
    EXTERNAL, FOREIGN_DIGEST, Fold, KIND_SHIFT, LABELED, Place, TOOK_DIGEST, TOOK_LABEL, label_of, strong,
};
use super::key;
use super::memory::{EntityState, UNKNOWN};
use super::tables::{BY_DIGEST, ENTITY, OUTPUT, SIDE};
use crate::digest::{Algorithm, Digest};
use crate::event::{EntityKind, Event, Kind, Ref, State};

macro_rules! cell {
    ($fn:ident, $column:ident, $stack:ident, $base:ident -> $type:ty) => {
        pub(super) fn $fn(&self, id: u32) -> $type {
            match id.checked_sub(self.m.bases.$base) {
                Some(row) => self.m.t.$column.get(row as usize).copied().unwrap_or_default(),
                None => self.stack.$stack(id),
            }
        }
    };
}

impl Fold {
    cell!(leader_of, e_leader, leader, event -> u32);
    cell!(previous_of, e_previous, previous, event -> u32);
    cell!(job_of, e_job, job, event -> u32);
    cell!(time_of, e_time, time, event -> i64);
    cell!(bits_of, e_bits, bits, event -> u8);
    cell!(attempt_of, e_attempt, attempt, event -> u16);
    cell!(version_entity, v_entity, entity_of, version -> u32);
    cell!(mint_of, v_mint, mint, version -> u32);
    cell!(bits_of_version, v_bits, version_bits, version -> u8);
    cell!(first_label, v_label, minted_label, version -> u32);
    cell!(first_digest, v_digest, minted_digest, version -> [u8; 32]);
    cell!(entity_kind, n_kind, entity_kind, entity -> u8);

    /// The entity of a reference that has a name; created if it is new.
    pub(super) fn entity(&mut self, reference: &Ref, namespace: &str) -> u32 {
        let namespace = self.namespace(reference.namespace.as_deref().unwrap_or(namespace));
        let name = self.symbol(reference.name.as_deref().unwrap_or_default());
        let kind = reference.kind.or_else(|| self.only_kind(namespace, name)).unwrap_or(EntityKind::Dataset);
        self.entity_at(kind, namespace, name)
    }

    fn entity_at(&mut self, kind: EntityKind, namespace: u32, name: u32) -> u32 {
        let key = (kind as u8, namespace, name);
        if let Some(id) = self.lookup_entity(key) {
            self.m.entities.insert(key, id);
            return id;
        }
        let t = &mut self.m.t;
        let id = self.m.bases.entity + t.n_kind.len() as u32;
        t.n_kind.push(kind as u8);
        t.n_namespace.push(namespace);
        t.n_name.push(name);
        self.m.entities.insert(key, id);
        self.m.states.insert(id, EntityState::default());
        id
    }

    fn lookup_entity(&self, key: (u8, u32, u32)) -> Option<u32> {
        let cached = self.m.entities.get(&key).copied();
        cached.or_else(|| if self.m.complete { None } else { self.stack.find_entity(key.0, key.1, key.2) })
    }

    /// The one kind that has a name.
    fn only_kind(&self, namespace: u32, name: u32) -> Option<EntityKind> {
        let mut kinds = EntityKind::ALL.iter().filter(|k| self.lookup_entity((**k as u8, namespace, name)).is_some());
        let first = kinds.next().copied();
        if kinds.next().is_some() { None } else { first }
    }

    /// The entity of a reference, if it is known.
    pub(super) fn known_entity(&self, reference: &Ref, namespace: &str) -> Option<u32> {
        let namespace = self.m.known_symbol(reference.namespace.as_deref().unwrap_or(namespace), &self.stack)?;
        let name = self.m.known_symbol(reference.name.as_deref()?, &self.stack)?;
        let kind = reference.kind.or_else(|| self.only_kind(namespace, name)).unwrap_or(EntityKind::Dataset);
        self.lookup_entity((kind as u8, namespace, name))
    }

    /// The entity of an input; without a name that of the first holder of its digest, else one named by the digest.
    pub(super) fn input_entity(&mut self, reference: &Ref, namespace: &str) -> (u32, Option<u32>) {
        if reference.name.is_some() {
            return (self.entity(reference, namespace), None);
        }
        if let Some(first) = self.first_holder(reference, &self.holders(reference)) {
            return (self.version_entity(first), Some(first));
        }
        let digest = reference.digest.as_ref().or(reference.digests.first());
        let named = Ref {
            kind: Some(reference.kind.unwrap_or(EntityKind::Artifact)),
            namespace: reference.namespace.clone(),
            name: digest.map(ToString::to_string),
            ..Ref::default()
        };
        (self.entity(&named, namespace), None)
    }

    /// The target of an input, and the bits that say how it was found.
    pub(super) fn resolve_input(
        &mut self,
        reference: &Ref,
        entity: u32,
        holder: Option<u32>,
        mints: bool,
        place: Place,
    ) -> (u32, u16) {
        if reference.is_bare() {
            if self.state(entity).last == 0 && mints {
                let version = self.mint(entity, None, 0, EXTERNAL, place);
                if let Some(attempt) = self.attempt_mut(place) {
                    attempt.bare_inputs.push((entity, version));
                }
            }
            return (entity, ENTITY);
        }
        match holder {
            Some(first) => (first, BY_DIGEST),
            None => self.resolve_named(reference, entity, place),
        }
    }

    /// The version of a reference to a known entity by number, label or digest; an unknown label or digest mints.
    pub(super) fn resolve_named(&mut self, reference: &Ref, entity: u32, place: Place) -> (u32, u16) {
        if let Some(number) = reference.version.as_deref().and_then(crate::event::version_number)
            && let Some(version) = self.numbered(entity, number)
        {
            return (version, LABELED);
        }
        if let Some(label) = label_of(reference, false) {
            let label = self.symbol(label);
            if let Some(version) = self.find_label(entity, label)
                && !self.contradicts(reference, version)
            {
                self.adopt(version, reference, 0, place);
                return (version, LABELED);
            }
            return (self.adopt_bare_input(reference, entity, label, place), LABELED);
        }
        if let Some(first) = self.first_holder(reference, &self.holders_in(reference, entity)) {
            return (first, BY_DIGEST);
        }
        (self.adopt_bare_input(reference, entity, 0, place), BY_DIGEST)
    }

    /// The version that a bare input of this very event minted.
    pub(super) fn minted_bare(&self, entity: u32, place: Place) -> Option<u32> {
        let minted = self.attempt(place)?.bare_inputs.iter().find(|(e, _)| *e == entity).map(|(_, v)| *v);
        minted.filter(|v| self.mint_of(*v) == place.position)
    }

    /// A bare mention of the same attempt gives way: the version that it minted takes the digest or label.
    fn adopt_bare_input(&mut self, reference: &Ref, entity: u32, label: u32, place: Place) -> u32 {
        let bare = self.attempt(place).and_then(|a| a.bare_inputs.iter().find(|(e, _)| *e == entity).map(|(_, v)| *v));
        let free = bare.filter(|v| self.label(*v) == 0 && self.digests(*v).is_empty() && !self.is_produced(*v));
        match free {
            Some(version) => {
                self.adopt(version, reference, label, place);
                version
            }
            None => self.mint(entity, Some(reference), label, EXTERNAL, place),
        }
    }

    /// The version of an output; `None` while it has none.
    pub(super) fn resolve_output(&mut self, event: &Event, reference: &Ref, entity: u32, place: Place) -> Option<u32> {
        if matches!(event.state, State::Fail | State::Abort) {
            return None;
        }
        let label = label_of(reference, true).map(|l| self.symbol(l));
        let strong = strong(reference).next().is_some();
        match (label, strong) {
            (Some(label), _) => Some(self.output_by_label(reference, entity, label, place)),
            (None, true) => Some(self.output_by_digest(reference, entity, place)),
            (None, false) => self.output_bare(event, entity, place),
        }
    }

    fn output_by_label(&mut self, reference: &Ref, entity: u32, label: u32, place: Place) -> u32 {
        if let Some(version) = self.find_label(entity, label) {
            if !self.contradicts(reference, version) {
                self.adopt(version, reference, 0, place);
                return version;
            }
            return self.mint(entity, Some(reference), label, 0, place);
        }
        if let Some(own) = self.written(entity, place)
            && self.label(own) == 0
            && !self.contradicts(reference, own)
        {
            self.adopt(own, reference, label, place);
            return own;
        }
        if let Some(open) = self.fillable(entity, place)
            && self.label(open) == 0
            && self.fits(reference, open, place)
        {
            self.adopt(open, reference, label, place);
            return open;
        }
        self.mint(entity, Some(reference), label, 0, place)
    }

    fn output_by_digest(&mut self, reference: &Ref, entity: u32, place: Place) -> u32 {
        if let Some(own) = self.written_with(reference, entity, place) {
            self.adopt(own, reference, 0, place);
            return own;
        }
        if let Some(open) = self.fillable(entity, place)
            && self.fits(reference, open, place)
        {
            self.adopt(open, reference, 0, place);
            return open;
        }
        if let Some(current) = self.state(entity).last.checked_sub(1)
            && self.same_bytes(reference, current)
        {
            self.adopt(current, reference, 0, place);
            return current;
        }
        self.mint(entity, Some(reference), 0, 0, place)
    }

    fn output_bare(&mut self, event: &Event, entity: u32, place: Place) -> Option<u32> {
        if let Some(own) = self.written(entity, place) {
            return Some(own);
        }
        if event.kind == Kind::Register {
            return None;
        }
        let completed = self.attempt(place).is_none_or(|a| a.completed);
        if event.state == State::Complete || completed {
            return Some(self.resolve_table(entity, place));
        }
        if let Some(attempt) = self.attempt_mut(place) {
            attempt.pending.push(entity);
        }
        None
    }

    /// The version of a table whose bytes nobody names: filled, shared under one root, or minted.
    pub(super) fn resolve_table(&mut self, entity: u32, place: Place) -> u32 {
        if let Some(open) = self.fillable(entity, place)
            && self.label(open) == 0
            && self.digests(open).is_empty()
            && place.time <= self.time_of(self.mint_of(open))
        {
            return open;
        }
        match self.shared(entity, place) {
            Some(version) => version,
            None => self.mint(entity, None, 0, 0, place),
        }
    }

    /// Runs under one root share the newest version of an output, unless the sharer also reads that name or another
    /// attempt of its run made one.
    fn shared(&self, entity: u32, place: Place) -> Option<u32> {
        let attempt = self.attempt(place)?;
        let root = self.root_of(attempt.leader)?;
        if attempt.reads.iter().any(|(e, _)| *e == entity) {
            return None;
        }
        let (key, run, _) = place.run?;
        let siblings = &self.m.runs.get(&key)?.runs.get(run)?.attempts;
        let version = self.state_of(entity).last.checked_sub(1)?;
        if siblings.iter().any(|a| a.leader != attempt.leader && a.writes.iter().any(|(e, _)| *e == entity)) {
            return None;
        }
        self.is_made_under(version, root).then_some(version)
    }

    /// Whether any attempt under a root made a version.
    fn is_made_under(&self, version: u32, root: u64) -> bool {
        let mut found = self.m.made_under.contains(&(version, root));
        if version < self.m.bases.version {
            self.stack.mentioned_by(version, |event, bits| {
                found = found || bits & SIDE == OUTPUT && self.root_of(self.leader_of(event)) == Some(root);
            });
        }
        found
    }

    /// The event that minted a version as an output, or that filled it.
    fn maker(&self, version: u32) -> Option<u32> {
        if self.bits_of_version(version) & EXTERNAL == 0 {
            return Some(self.mint_of(version));
        }
        if let Some(event) = self.m.filled.get(&version) {
            return Some(*event);
        }
        let mut maker: Option<u32> = None;
        if version < self.m.bases.version {
            self.stack.mentioned_by(version, |event, bits| {
                if bits & SIDE == OUTPUT {
                    maker = Some(maker.map_or(event, |first| first.min(event)));
                }
            });
        }
        maker
    }

    /// Whether an output may fill an open version that has no label, or has one while the output has none.
    fn fits(&self, reference: &Ref, open: u32, place: Place) -> bool {
        let in_time = place.time <= self.time_of(self.mint_of(open));
        let current = self.state_of(self.version_entity(open)).last == open + 1;
        if self.digests(open).is_empty() {
            return self.label(open) == 0 && in_time;
        }
        self.same_bytes(reference, open) && (current || in_time)
    }

    /// The newest version of a name that is so far only an external input, unless this attempt names it as an input.
    fn fillable(&mut self, entity: u32, place: Place) -> Option<u32> {
        let open = self.open(entity)?;
        let bytes = self.digests(open);
        // A digest names every version with those bytes.
        let same = |read: u32| read == open || self.digests(read).iter().any(|d| bytes.contains(d));
        let mut reads = self.attempt(place).map_or(&[][..], |a| &a.reads).iter().filter(|(e, _)| *e == entity);
        let is_read = reads.any(|(_, read)| read.checked_sub(1).is_none_or(same));
        (!is_read).then_some(open)
    }

    fn open(&mut self, entity: u32) -> Option<u32> {
        let state = self.state(entity);
        if state.open != UNKNOWN {
            return state.open.checked_sub(1);
        }
        let newest = self.versions(entity).into_iter().rev();
        let open = newest.into_iter().find(|v| self.bits_of_version(*v) & EXTERNAL != 0 && !self.is_produced(*v));
        self.m.states.entry(entity).or_default().open = open.map_or(0, |v| v + 1);
        open
    }

    fn is_produced(&self, version: u32) -> bool {
        self.maker(version).is_some()
    }

    /// Takes note that an attempt generated a version.
    pub(super) fn generated(&mut self, entity: u32, version: u32, place: Place) {
        let mut leader = place.position;
        if let Some(attempt) = self.attempt_mut(place) {
            attempt.writes.push((entity, version));
            leader = attempt.leader;
        }
        if let Some(root) = self.root_of(leader) {
            self.m.made_under.insert((version, root));
        }
        self.tell(entity, version, place);
        if self.bits_of_version(version) & EXTERNAL != 0 && !self.is_produced(version) {
            self.m.filled.insert(version, place.position);
            let state = EntityState { open: UNKNOWN, ..self.state(entity) };
            self.m.states.insert(entity, state);
        }
    }

    /// The newest version of an entity that this attempt generated.
    pub(super) fn written(&self, entity: u32, place: Place) -> Option<u32> {
        self.attempt(place)?.writes.iter().rev().find(|(e, _)| *e == entity).map(|(_, v)| *v)
    }

    /// A version that this attempt generated with the same bytes, or without saying which.
    fn written_with(&self, reference: &Ref, entity: u32, place: Place) -> Option<u32> {
        let mut own = self.attempt(place)?.writes.iter().rev().filter(|(e, _)| *e == entity).map(|(_, v)| *v);
        own.find(|v| self.same_bytes(reference, *v) || self.digests(*v).is_empty())
    }

    /// Mints the next version of an entity.
    pub(super) fn mint(&mut self, entity: u32, reference: Option<&Ref>, label: u32, bits: u8, place: Place) -> u32 {
        let state = self.state(entity);
        let kind = self.entity_kind(entity) << KIND_SHIFT;
        let t = &mut self.m.t;
        let version = self.m.bases.version + t.v_entity.len() as u32;
        t.v_entity.push(entity);
        t.v_number.push(state.count + 1);
        t.v_mint.push(place.position);
        t.v_label.push(label);
        let main = reference.and_then(|r| strong(r).next());
        let foreign = main.is_some_and(|d| d.algorithm != Algorithm::Blake3);
        t.v_bits.push(bits | kind | if foreign { FOREIGN_DIGEST } else { 0 });
        t.v_digest.push(main.map_or([0; 32], Digest::key));
        let open = if bits & EXTERNAL != 0 { version + 1 } else { state.open };
        self.m.states.insert(entity, EntityState { last: version + 1, count: state.count + 1, open });
        self.m.minted.entry(entity).or_default().push(version);
        if label != 0 {
            self.m.labels.insert((entity, label), version);
        }
        if let Some(main) = main {
            self.note_digest(main.key(), version);
        }
        if let Some(reference) = reference {
            for digest in strong(reference).skip(usize::from(!foreign)) {
                self.further_digest(version, digest, foreign && Some(digest) == main);
            }
        }
        version
    }

    /// Gives a version the digests and the label of a reference that it lacks.
    fn adopt(&mut self, version: u32, reference: &Ref, label: u32, place: Place) {
        // Almost always a reference names the one digest that the version was minted with.
        let first = self.first_digest(version);
        if label == 0 && strong(reference).all(|d| d.key() == first) {
            return;
        }
        let has = self.digests(version);
        let news: Vec<Digest> = strong(reference).filter(|d| !has.contains(&d.key())).cloned().collect();
        for digest in news {
            self.further_digest(version, &digest, false);
            let symbol = self.symbol(&digest.text());
            self.take(version, TOOK_DIGEST, symbol.into(), place.position);
        }
        if label != 0 && self.label(version) == 0 {
            self.take(version, TOOK_LABEL, label.into(), place.position);
            self.m.took_label.insert(version, label);
            let entity = self.version_entity(version);
            self.m.t.label_key.push(key::label(entity, label));
            self.m.t.label_version.push(version);
            self.m.labels.insert((entity, label), version);
        }
    }

    /// Keeps the text of a digest that is not the main blake3 one.
    fn further_digest(&mut self, version: u32, digest: &Digest, indexed: bool) {
        let symbol = self.symbol(&digest.text());
        self.m.t.x_pair.push(super::tables::pair(version, symbol));
        self.m.taken.entry(version).or_default().push(digest.key());
        if !indexed {
            self.note_digest(digest.key(), version);
        }
    }

    fn note_digest(&mut self, digest: [u8; 32], version: u32) {
        self.m.t.digest_key.push(key::short_head(&digest));
        self.m.t.digest_version.push(version);
        if !self.m.complete && !self.m.digests.knows(&digest) {
            for holder in self.stack.versions_beginning_with(&digest) {
                self.m.digests.push(&digest, holder);
            }
        }
        self.m.digests.push(&digest, version);
    }

    fn find_label(&mut self, entity: u32, label: u32) -> Option<u32> {
        if let Some(version) = self.m.labels.get(&(entity, label)) {
            return Some(*version);
        }
        let found = if self.m.complete { None } else { self.stack.find_label(entity, label) };
        if let Some(version) = found {
            self.m.labels.insert((entity, label), version);
        }
        found
    }

    /// The label of a version, minted with it or taken later; 0 none.
    fn label(&self, version: u32) -> u32 {
        let first = self.first_label(version);
        if first != 0 {
            return first;
        }
        self.m.took_label.get(&version).copied().unwrap_or_else(|| self.stack.taken_label(version))
    }

    /// The digest keys of a version.
    fn digests(&self, version: u32) -> Vec<[u8; 32]> {
        let mut digests = if version < self.m.bases.version {
            self.stack.digests_of(version)
        } else {
            Some(self.first_digest(version)).filter(|d| *d != [0; 32]).into_iter().collect()
        };
        digests.extend(self.m.taken.get(&version).into_iter().flatten());
        digests
    }

    fn holds(&self, version: u32, digest: &[u8; 32]) -> bool {
        self.first_digest(version) == *digest || self.digests(version).contains(digest)
    }

    fn same_bytes(&self, reference: &Ref, version: u32) -> bool {
        let has = self.digests(version);
        strong(reference).any(|d| has.contains(&d.key()))
    }

    /// Whether a reference names bytes that a version does not have.
    fn contradicts(&self, reference: &Ref, version: u32) -> bool {
        let first = self.first_digest(version);
        if strong(reference).any(|d| d.key() == first) {
            return false;
        }
        let has = self.digests(version);
        !has.is_empty() && strong(reference).next().is_some() && !strong(reference).any(|d| has.contains(&d.key()))
    }

    /// The versions, of any name of the reference's kind, that hold a digest of it, ascending.
    pub(super) fn holders(&self, reference: &Ref) -> Vec<u32> {
        let mut found: Vec<u32> = strong(reference)
            .flat_map(|d| {
                let digest = d.key();
                if self.m.complete || self.m.digests.knows(&digest) {
                    self.m.digests.candidates(&digest).filter(|v| self.holds(*v, &digest)).collect()
                } else {
                    self.stack.versions_with(&digest)
                }
            })
            .collect();
        found.sort_unstable();
        found.dedup();
        if let Some(kind) = reference.kind {
            found.retain(|v| self.entity_kind(self.version_entity(*v)) == kind as u8);
        }
        found
    }

    /// Of the holders of a reference's digests, the first that has the one that it names first.
    pub(super) fn first_holder(&self, reference: &Ref, holders: &[u32]) -> Option<u32> {
        let mut wanted = strong(reference).map(Digest::key);
        match holders {
            [] | [_] => holders.first().copied(),
            _ => wanted.find_map(|digest| holders.iter().copied().find(|v| self.digests(*v).contains(&digest))),
        }
    }

    fn holders_in(&self, reference: &Ref, entity: u32) -> Vec<u32> {
        let mut holders = self.holders(reference);
        holders.retain(|v| self.version_entity(*v) == entity);
        holders
    }

    /// The versions of a reference's name, if it has one, that hold its digest.
    pub(super) fn holders_of_name(&mut self, reference: &Ref, namespace: &str) -> Vec<u32> {
        if reference.name.is_none() {
            return self.holders(reference);
        }
        match self.known_entity(reference, namespace) {
            Some(entity) => self.holders_in(reference, entity),
            None => Vec::new(),
        }
    }

    /// All versions of an entity, ascending.
    pub(super) fn versions(&self, entity: u32) -> Vec<u32> {
        let mut versions = self.stack.versions_of(entity);
        versions.extend(self.m.minted.get(&entity).into_iter().flatten());
        versions
    }

    /// The version with a number.
    pub(super) fn numbered(&self, entity: u32, number: u32) -> Option<u32> {
        self.versions(entity).get(number as usize - 1).copied()
    }

    /// When and where a version was minted.
    pub(super) fn minted_at(&self, version: u32) -> (i64, u32) {
        let mint = self.mint_of(version);
        (self.time_of(mint), mint)
    }

    /// The version whose minting happened last.
    pub(super) fn newest_by_time(&self, entity: u32) -> Option<u32> {
        self.versions(entity).into_iter().max_by_key(|v| (self.minted_at(*v), *v))
    }

    fn state(&mut self, entity: u32) -> EntityState {
        let state = self.state_of(entity);
        self.m.states.insert(entity, state);
        state
    }

    fn state_of(&self, entity: u32) -> EntityState {
        if let Some(state) = self.m.states.get(&entity) {
            return *state;
        }
        match self.stack.last_version(entity) {
            Some(last) => EntityState { last: last + 1, count: self.stack.number(last), open: UNKNOWN },
            None => EntityState::default(),
        }
    }
}
