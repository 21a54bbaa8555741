//! The fold: what one event adds to the index. Its rules are EVENTS.md §2 to §5 and part of format v1.

use super::key::{self, Scoped};
use super::memory::{AttemptState, Memory, packed};
use super::stack::Stack;
use super::tables::{
    self, ABOUT, ANY_OF_KIND, BY_DIGEST, DIGEST, ENTITY, HAS_FROM, INFERRED, INPUT, OUTPUT, PARTIAL, ROLE_SHIFT,
};
use super::value;
use crate::digest::{Algorithm, Digest};
use crate::event::{About, EntityKind, Event, Kind, Outcome, Output, Ref, Refusal, Role, State, part_id};
use crate::time::Time;

/// Predicates of facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Predicate {
    Tag,
    Untag,
    Alias,
    Unalias,
    Owner,
    Purpose,
    Tier,
    Link,
}

/// What the subject of a fact is.
pub(crate) const SCOPE_ENTITY: u8 = 0;
/// A version.
pub(crate) const SCOPE_VERSION: u8 = 1;
/// An event.
pub(crate) const SCOPE_EVENT: u8 = 2;

/// What a version took later: a label.
pub(crate) const TOOK_LABEL: u8 = 1;
/// A size in bytes.
pub(crate) const TOOK_SIZE: u8 = 2;
/// A number of rows.
pub(crate) const TOOK_ROWS: u8 = 3;
/// A digest (its bytes stand in `x_pair`).
pub(crate) const TOOK_DIGEST: u8 = 4;
/// A tag; only while it waits.
const TOOK_TAG: u8 = 5;

/// Beside the id of an entity: what was said of an output before it had a version waits there for one.
pub(super) const UNBORN: u32 = 1 << 31;

/// Event bits: its id is that of its run.
pub(crate) const OWN_RUN: u8 = 1 << 7;

/// Version bits: minted by a use, not by a producer.
pub(crate) const EXTERNAL: u8 = 1;
/// Version bits: the main digest is not blake3.
pub(crate) const FOREIGN_DIGEST: u8 = 2;
/// Version bits: where the kind of its entity stands.
pub(crate) const KIND_SHIFT: u8 = 2;

/// The fold over sealed segments and the tail.
pub(crate) struct Fold {
    pub(super) stack: Stack,
    pub(super) m: Memory,
    /// The bytes of the leaves that the tail was folded from.
    tail_bytes: u64,
    /// The recorded instant of the last event.
    last_recorded: Option<i64>,
    /// Mentions of the event being folded.
    mentions: Vec<(u32, u16)>,
    from: Vec<(usize, Vec<u32>)>,
    /// The last namespace and its symbol; 0 is that of the empty text.
    namespace: (String, u32),
    /// The attempt of an event without run: the event alone.
    pub(super) alone: AttemptState,
}

/// The event being folded: where it stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) position: u32,
    pub(super) time: i64,
    /// The key of its run group, the run within, the attempt within; `None` without a run.
    pub(super) run: Option<((u64, u32), usize, usize)>,
}

impl Fold {
    /// A fold on top of sealed segments.
    pub(crate) fn new(stack: Stack) -> Self {
        let m = Memory::new(stack.next_bases());
        let (mentions, from, alone) = (Vec::new(), Vec::new(), AttemptState::default());
        Self { stack, m, tail_bytes: 0, last_recorded: None, mentions, from, namespace: (String::new(), 0), alone }
    }

    /// The next position.
    pub(crate) fn next(&self) -> u32 {
        self.m.next()
    }

    /// The position of an event id within a namespace.
    fn find_id(&self, namespace: &str, id: &str) -> Option<u32> {
        self.find_key(key::scoped(namespace, id))
    }

    /// The position of an event by the key of its id.
    pub(crate) fn find_key(&self, key: Scoped) -> Option<u32> {
        self.m.ids.get(&packed(key)).copied().or_else(|| if self.m.complete { None } else { self.stack.find_id(key) })
    }

    /// Refuses what depends on what is recorded already; everything else was checked on the event alone.
    pub(crate) fn check(&self, event: &Event) -> Result<(), Refusal> {
        for (i, input) in event.inputs.iter().enumerate() {
            self.check_number(&input.reference, event).map_err(|w| Refusal::at(format!("inputs[{i}].version"), w))?;
        }
        for (i, about) in event.about.iter().enumerate() {
            self.check_about(about, event).map_err(|w| Refusal::at(format!("about[{i}]"), w))?;
        }
        Ok(())
    }

    fn check_about(&self, about: &About, event: &Event) -> Result<(), String> {
        match about {
            About::Thing(reference) => {
                self.check_number(reference, event)?;
                if reference.name.is_some() {
                    return Ok(());
                }
                let holders = self.holders(reference);
                if holders.is_empty() {
                    return Err("no version holds that digest; name the thing, too".to_owned());
                }
                let first = self.version_entity(holders[0]);
                if event.kind == Kind::Deployment && holders.iter().any(|v| self.version_entity(*v) != first) {
                    return Err("several names hold that digest; name the one that is deployed".to_owned());
                }
                Ok(())
            }
            About::Event(id) if reaches_events(event.kind) && self.find_id(&event.namespace, id).is_none() => {
                Err(format!("no event of namespace `{}` has the id `{id}`", event.namespace))
            }
            About::Run(run) if reaches_events(event.kind) => {
                if event.kind == Kind::Retract && run.namespace.as_ref().is_some_and(|n| *n != event.namespace) {
                    return Err("a retract does not reach another namespace".to_owned());
                }
                if self.events_of_run(event, run).is_empty() {
                    let namespace = run.namespace.as_ref().unwrap_or(&event.namespace);
                    return Err(format!("no run of namespace `{namespace}` has the id `{}`", run.run));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn check_number(&self, reference: &Ref, event: &Event) -> Result<(), String> {
        let Some(number) = reference.version.as_deref().and_then(crate::event::version_number) else { return Ok(()) };
        let Some(name) = &reference.name else { return Err("`vN` needs a `name`".to_owned()) };
        let entity = self.known_entity(reference, &event.namespace);
        match entity.and_then(|e| self.numbered(e, number)) {
            Some(_) => Ok(()),
            None => Err(format!("`{name}` has no version v{number}")),
        }
    }

    /// Adds an event that was checked; its position.
    pub(crate) fn apply(&mut self, event: &Event, key: Scoped, recorded: Time) -> u32 {
        let position = self.next();
        let time = event.time.unwrap_or(recorded).min(recorded).0;
        self.mentions.clear();
        self.from.clear();
        self.alone = AttemptState { leader: position, number: 1, start: time, ..AttemptState::default() };
        let run = self.join_attempt(event, key, position, time);
        let place = Place { position, time, run };
        self.push_event(event, key, recorded, place);
        if event.kind == Kind::Retract {
            self.retract(event, position);
        }
        self.inputs(event, place);
        self.outputs(event, place);
        if event.kind == Kind::Link {
            self.link(event, place);
        } else {
            self.abouts(event, place);
        }
        self.slot(event, place);
        self.attributes(event);
        for tag in &event.tags {
            let tag = self.symbol(tag);
            self.fact(position, Predicate::Tag, SCOPE_EVENT, position, tag);
        }
        self.push_mentions();
        position
    }

    fn push_event(&mut self, event: &Event, key: Scoped, recorded: Time, place: Place) {
        if self.last_recorded != Some(recorded.0) || self.m.t.rec_position.is_empty() {
            self.m.t.rec_position.push(place.position);
            self.m.t.rec_time.push(recorded.0);
            self.last_recorded = Some(recorded.0);
        }
        let actor = self.symbol(&event.actor);
        let namespace = self.namespace(&event.namespace);
        let job = match &event.job {
            Some(job) => self.symbol(job),
            None => self.job_of_run(place),
        };
        let outcome = match event.outcome {
            None => 0,
            Some(Outcome::Pass) => 1,
            Some(Outcome::Fail) => 2,
        };
        self.m.ids.insert(packed(key), place.position);
        let own_run = place.run.is_some_and(|(run, ..)| run == key);
        let (leader, number, previous) = self.attempt_columns(place, own_run);
        let t = &mut self.m.t;
        t.id_key.push(key.0);
        t.id_check.push(key.1);
        t.id_position.push(place.position);
        t.e_kind.push(event.kind as u8);
        let runs = u8::from(event.run.is_some()) << 6 | if own_run { OWN_RUN } else { 0 };
        t.e_bits.push(event.state as u8 | (event.evidence as u8) << 3 | outcome << 4 | runs);
        t.e_time.push(place.time);
        t.e_actor.push(actor);
        t.e_namespace.push(namespace);
        t.e_job.push(job);
        t.e_leader.push(leader);
        t.e_previous.push(previous);
        t.e_attempt.push(number);
    }

    fn push_mentions(&mut self) {
        let t = &mut self.m.t;
        for (index, list) in &self.from {
            t.from_mention.push(self.m.bases.mention + (t.m_target.len() + index) as u32);
            t.from_input.extend_from_slice(list);
            t.from_end.push(self.m.bases.from + t.from_input.len() as u32);
        }
        for (target, bits) in &self.mentions {
            t.m_target.push(*target);
            t.m_bits.push(*bits);
        }
        t.e_mentions.push(self.m.bases.mention + t.m_target.len() as u32);
        t.e_attributes.push(self.m.bases.attribute + t.a_key.len() as u32);
    }

    /// The symbol of a namespace, which is nearly always that of the last one.
    pub(super) fn namespace(&mut self, text: &str) -> u32 {
        if self.namespace.0 != text {
            self.namespace = (text.to_owned(), self.symbol(text));
        }
        self.namespace.1
    }

    pub(super) fn symbol(&mut self, text: &str) -> u32 {
        if self.m.bases.symbol == 0 && self.m.t.s_end.is_empty() {
            // Symbol 0 is the empty text, so that 0 can mean none.
            self.m.symbol("", &self.stack);
        }
        self.m.symbol(text, &self.stack)
    }

    pub(super) fn fact(&mut self, event: u32, predicate: Predicate, scope: u8, subject: u32, object: u32) {
        let t = &mut self.m.t;
        t.f_event.push(event);
        t.f_predicate.push(predicate as u8);
        t.f_scope.push(scope);
        t.f_subject.push(subject);
        t.f_object.push(object);
    }

    fn mention(&mut self, target: u32, bits: u16) {
        self.mentions.push((target, bits));
    }

    fn inputs(&mut self, event: &Event, place: Place) {
        for input in &event.inputs {
            let reference = &input.reference;
            let (entity, holder) = self.input_entity(reference, &event.namespace);
            let mut role = input.role;
            let is_model = self.entity_kind(entity) == EntityKind::Model as u8;
            if reference.kind.is_none() && is_model && role == Role::Data && event.kind == Kind::Training {
                role = Role::Base;
            }
            let mut bits = INPUT | (role as u16) << ROLE_SHIFT;
            if input.inferred {
                bits |= INFERRED;
            }
            let mints = event.kind != Kind::Register || !reference.is_bare();
            let (target, more) = self.resolve_input(reference, entity, holder, mints, place);
            let sized = if more & ENTITY == 0 { Some(target) } else { self.minted_bare(entity, place) };
            if let (Some(size), Some(version)) = (input.size, sized) {
                self.take(version, TOOK_SIZE, size, place.position);
            }
            if let Some(attempt) = self.attempt_mut(place) {
                let version = if more & ENTITY == 0 { target + 1 } else { 0 };
                attempt.reads.push((entity, version));
            }
            self.mention(target, bits | more);
        }
    }

    fn outputs(&mut self, event: &Event, place: Place) {
        for output in &event.outputs {
            let entity = self.entity(&output.reference, &event.namespace);
            let mut bits = OUTPUT;
            if let Some(from) = &output.from {
                bits |= HAS_FROM;
                let index = self.mentions.len();
                self.from.push((index, from.clone()));
            }
            let version = self.resolve_output(event, &output.reference, entity, place);
            let Some(version) = version else {
                let partial = if matches!(event.state, State::Fail | State::Abort) { PARTIAL } else { 0 };
                if partial == 0 && event.kind != Kind::Register {
                    self.tell_later(output, entity, place);
                }
                self.mention(entity, bits | ENTITY | partial);
                continue;
            };
            self.generated(entity, version, place);
            if let Some(size) = output.size {
                self.take(version, TOOK_SIZE, size, place.position);
            }
            if let Some(rows) = output.rows {
                self.take(version, TOOK_ROWS, rows, place.position);
            }
            for tag in &output.tags {
                let tag = self.symbol(tag);
                self.fact(place.position, Predicate::Tag, SCOPE_VERSION, version, tag);
            }
            self.mention(version, bits);
        }
        if event.state == State::Complete && place.run.is_some() {
            self.complete_pending(place);
        }
    }

    /// Keeps what is said of a table that has no version yet.
    fn tell_later(&mut self, output: &Output, entity: u32, place: Place) {
        let tags: Vec<u64> = output.tags.iter().map(|tag| self.symbol(tag).into()).collect();
        let numbers = [(TOOK_SIZE, output.size), (TOOK_ROWS, output.rows)];
        let numbers = numbers.into_iter().filter_map(|(field, value)| Some((field, value?)));
        for (field, value) in numbers.chain(tags.into_iter().map(|tag| (TOOK_TAG, tag))) {
            self.take(entity | UNBORN, field, value, place.position);
            if let Some(attempt) = self.attempt_mut(place) {
                attempt.told.push((entity, place.position, field, value));
            }
        }
    }

    /// What an attempt said of a table before it had a version is said of the version.
    pub(super) fn tell(&mut self, entity: u32, version: u32, place: Place) {
        let Some(attempt) = self.attempt_mut(place) else { return };
        let told = std::mem::take(&mut attempt.told);
        let (now, later) = told.into_iter().partition(|(e, ..)| *e == entity);
        attempt.told = later;
        for (_, event, field, value) in now {
            match field {
                TOOK_TAG => self.fact(event, Predicate::Tag, SCOPE_VERSION, version, value as u32),
                field => self.take(version, field, value, event),
            }
        }
    }

    /// At an attempt's first `complete`, tables that it named before get their version.
    fn complete_pending(&mut self, place: Place) {
        let Some(attempt) = self.attempt_mut(place) else { return };
        attempt.completed = true;
        let pending = std::mem::take(&mut attempt.pending);
        for entity in pending {
            if self.written(entity, place).is_none() {
                let version = self.resolve_table(entity, place);
                self.generated(entity, version, place);
                self.mention(version, OUTPUT);
            }
        }
    }

    fn abouts(&mut self, event: &Event, place: Place) {
        for about in &event.about {
            let About::Thing(reference) = about else {
                self.tag_events(event, about, place.position);
                continue;
            };
            let targets = self.resolve_about(event, reference, place);
            for (target, bits) in targets {
                self.about_facts(event, target, bits, place.position);
                self.mention(target, ABOUT | bits);
            }
        }
        if event.kind == Kind::Audit
            && let Some(until) = event.args.time("valid_until")
        {
            self.m.t.w_event.push(place.position);
            self.m.t.w_time.push(until.0);
        }
    }

    /// Tags of events, named by their id or as those of a run so far.
    fn tag_events(&mut self, event: &Event, about: &About, position: u32) {
        let predicate = match event.kind {
            Kind::Tag => Predicate::Tag,
            Kind::Untag => Predicate::Untag,
            _ => return,
        };
        for target in self.events_named(event, about).into_iter().filter(|t| *t < position) {
            for tag in event.args.texts("tags") {
                let tag = self.symbol(&tag);
                self.fact(position, predicate, SCOPE_EVENT, target, tag);
            }
        }
    }

    /// The events that an `about` names.
    fn events_named(&self, event: &Event, about: &About) -> Vec<u32> {
        match about {
            About::Event(id) => self.parts_of(&event.namespace, id),
            About::Run(run) => self.events_of_run(event, run),
            About::Thing(_) => Vec::new(),
        }
    }

    fn about_facts(&mut self, event: &Event, target: u32, bits: u16, position: u32) {
        let scope = if bits & ENTITY != 0 { SCOPE_ENTITY } else { SCOPE_VERSION };
        match event.kind {
            Kind::Tag | Kind::Untag => {
                let predicate = if event.kind == Kind::Tag { Predicate::Tag } else { Predicate::Untag };
                for tag in event.args.texts("tags") {
                    let tag = self.symbol(&tag);
                    self.fact(position, predicate, scope, target, tag);
                }
            }
            Kind::Alias => {
                let alias = self.symbol(&event.args.text("alias").unwrap_or_default());
                let predicate = if event.args.flag("remove") { Predicate::Unalias } else { Predicate::Alias };
                self.fact(position, predicate, scope, target, alias);
            }
            Kind::Describe => {
                for (field, predicate) in
                    [("owner", Predicate::Owner), ("purpose", Predicate::Purpose), ("tier", Predicate::Tier)]
                {
                    if let Some(text) = event.args.text(field) {
                        let text = self.symbol(&text);
                        self.fact(position, predicate, scope, target, text);
                    }
                }
            }
            _ => {}
        }
    }

    fn link(&mut self, event: &Event, place: Place) {
        let mut ends = Vec::new();
        for about in &event.about {
            let About::Thing(reference) = about else { continue };
            let (entity, holder) = self.input_entity(reference, &event.namespace);
            if reference.is_bare() {
                ends.push((entity, SCOPE_ENTITY));
                self.mention(entity, ABOUT | ENTITY);
            } else {
                let version = holder.unwrap_or_else(|| self.resolve_named(reference, entity, place).0);
                ends.push((version, SCOPE_VERSION));
                self.mention(version, ABOUT);
            }
        }
        if let [(a, scope), (b, other)] = ends[..]
            && scope == other
        {
            self.fact(place.position, Predicate::Link, scope, a, b);
        }
    }

    fn slot(&mut self, event: &Event, place: Place) {
        if !matches!(event.kind, Kind::Deployment | Kind::Retirement) || event.state != State::Complete {
            return;
        }
        let environment = event.environment.as_ref().map_or(0, |e| self.symbol(&environment(e)));
        let service = event.service.as_ref().map_or(0, |s| self.symbol(s));
        let t = &mut self.m.t;
        t.d_event.push(place.position);
        t.d_environment.push(environment);
        t.d_service.push(service);
        t.d_alongside.push(u8::from(event.args.flag("alongside")));
    }

    fn retract(&mut self, event: &Event, position: u32) {
        for about in &event.about {
            for target in self.events_named(event, about).into_iter().filter(|t| *t < position) {
                self.m.t.r_event.push(position);
                self.m.t.r_target.push(target);
            }
        }
    }

    /// An event by its id, after the events over which its inputs and outputs were spread.
    fn parts_of(&self, namespace: &str, id: &str) -> Vec<u32> {
        let Some(whole) = self.find_id(namespace, id) else { return Vec::new() };
        let is_part = |part: &u32| {
            let state = State::from_code(self.bits_of(*part) & 0b111);
            state == Some(State::Running) && self.leader_of(*part) == self.leader_of(whole)
        };
        let parts = (1..).map_while(|n| self.find_id(namespace, &part_id(id, n)).filter(is_part));
        let mut events: Vec<u32> = parts.collect();
        events.push(whole);
        events
    }

    fn attributes(&mut self, event: &Event) {
        for (space, json) in [(0u32, &event.params), (1, &event.metrics)] {
            if json.is_empty() {
                continue;
            }
            for (key, text) in json.members() {
                let key = self.symbol(&key) | space << 30;
                let packed = self.pack(text, space == 1);
                self.m.t.a_key.push(key);
                self.m.t.a_value.push(packed);
            }
        }
    }

    fn pack(&mut self, text: &str, metric: bool) -> u32 {
        if let Some(packed) = value::pack_decimal(text) {
            return packed;
        }
        let number = if metric || !text.starts_with('"') { value::number(text) } else { None };
        if let Some(number) = number {
            self.m.t.a_wide.push(number);
            return value::pack_wide(self.m.bases.wide + self.m.t.a_wide.len() as u32 - 1);
        }
        match value::text(text) {
            Some(text) => value::pack_symbol(self.symbol(&text)),
            None => value::pack_word(text),
        }
    }

    /// Records a property that a version did not have before.
    pub(super) fn take(&mut self, version: u32, field: u8, value: u64, event: u32) {
        let t = &mut self.m.t;
        t.u_version.push(version);
        t.u_event.push(event);
        t.u_field.push(field);
        t.u_value.push(value);
    }

    fn resolve_about(&mut self, event: &Event, reference: &Ref, place: Place) -> Vec<(u32, u16)> {
        let by_digest = reference.version.is_none() && reference.label.is_none() && strong(reference).next().is_some();
        let all_holders = matches!(event.kind, Kind::Audit | Kind::Evaluation | Kind::Retirement);
        if by_digest && all_holders {
            return self.digest_references(reference, event, place);
        }
        if by_digest {
            let mut holders = self.holders_of_name(reference, &event.namespace);
            let first = self.first_holder(reference, &holders).map(|v| self.version_entity(v));
            holders.retain(|v| Some(self.version_entity(*v)) == first);
            match event.kind {
                Kind::Tag | Kind::Untag | Kind::Describe if !holders.is_empty() => {
                    return holders.into_iter().map(|v| (v, BY_DIGEST)).collect();
                }
                _ => {
                    if let Some(newest) = holders.iter().max_by_key(|v| self.minted_at(**v)) {
                        return vec![(*newest, BY_DIGEST)];
                    }
                }
            }
        }
        let (entity, holder) = self.input_entity(reference, &event.namespace);
        if !reference.is_bare() {
            let named = holder.map(|first| (first, BY_DIGEST));
            return vec![named.unwrap_or_else(|| self.resolve_named(reference, entity, place))];
        }
        match event.kind {
            Kind::Register if self.newest_by_time(entity).is_none() => vec![(entity, ENTITY)],
            Kind::Retirement | Kind::Tag | Kind::Untag | Kind::Describe => vec![(entity, ENTITY)],
            Kind::Alias if event.args.flag("remove") => vec![(entity, ENTITY)],
            _ => {
                let newest = self.newest_by_time(entity);
                let version = newest.unwrap_or_else(|| self.mint(entity, None, 0, EXTERNAL, place));
                vec![(version, 0)]
            }
        }
    }

    /// Rows for "every version that holds this digest", one a digest; an unknown digest of a name mints.
    fn digest_references(&mut self, reference: &Ref, event: &Event, place: Place) -> Vec<(u32, u16)> {
        let mut named = reference.kind.map_or(0, |kind| ANY_OF_KIND | kind as u32);
        if reference.name.is_some() {
            let id = self.entity(reference, &event.namespace);
            named = id + 1;
            if self.holders_of_name(reference, &event.namespace).is_empty() {
                self.resolve_named(reference, id, place);
            }
        }
        let digests: Vec<[u8; 32]> = strong(reference).map(Digest::key).collect();
        digests.into_iter().map(|digest| (self.digest_reference(digest, named, place), DIGEST)).collect()
    }

    fn digest_reference(&mut self, digest: [u8; 32], named: u32, place: Place) -> u32 {
        let t = &mut self.m.t;
        let id = self.m.bases.query + t.q_entity.len() as u32;
        t.q_digest.push(digest);
        t.q_entity.push(named);
        t.q_key.push(key::head(&digest));
        t.q_id.push(id);
        t.q_event.push(place.position);
        id
    }

    /// The tables and bases of the tail, lookups filled.
    pub(crate) fn derived_tail(&mut self) -> (&tables::Tables, tables::Bases) {
        let bases = self.m.bases;
        self.m.t.derive(&bases);
        (&self.m.t, bases)
    }

    /// The number of events in the tail.
    pub(crate) fn tail_len(&self) -> u32 {
        self.m.t.e_kind.len() as u32
    }

    /// The bytes that the next process has to read and fold again, as far as they were counted.
    pub(crate) fn tail_bytes(&self) -> u64 {
        self.tail_bytes
    }

    /// Counts the leaf of an event that was folded.
    pub(crate) fn count_leaf(&mut self, leaf: &[u8]) {
        self.tail_bytes += leaf.len() as u64;
    }

    /// Takes note that its segments were joined.
    pub(crate) fn joined(&mut self, stack: Stack) {
        debug_assert!(stack.next_bases() == self.m.bases, "joined segments hold what they held before");
        self.stack = stack;
    }

    /// Takes note that the tail is sealed as the last segment of a new stack.
    pub(crate) fn sealed(&mut self, stack: Stack) {
        self.m.sealed(stack.next_bases());
        self.stack = stack;
        self.tail_bytes = 0;
    }

    /// The sealed segments.
    pub(crate) fn stack(&self) -> &Stack {
        &self.stack
    }
}

/// Whether a kind of event acts on the events and runs that it is about.
fn reaches_events(kind: Kind) -> bool {
    matches!(kind, Kind::Retract | Kind::Tag | Kind::Untag)
}

/// Environments compare in lower case, and `production` is `prod`.
pub(crate) fn environment(name: &str) -> String {
    let lower = name.to_lowercase();
    if lower == "production" { "prod".to_owned() } else { lower }
}

/// Whether a digest can tell bytes apart; a weak one acts as a label.
pub(super) fn is_strong(digest: &Digest) -> bool {
    digest.algorithm != Algorithm::Weak
}

/// The digests of a reference that can tell bytes apart.
pub(super) fn strong(reference: &Ref) -> impl Iterator<Item = &Digest> {
    reference.digest.iter().chain(&reference.digests).filter(|d| is_strong(d))
}

/// The label of a reference that is no number of ours: `label`, a `version` that is not `vN` (or any, in an output),
/// or a weak digest.
pub(super) fn label_of(reference: &Ref, output: bool) -> Option<&str> {
    let version = reference.version.as_deref().filter(|v| output || crate::event::version_number(v).is_none());
    let weak = || reference.digest.iter().chain(&reference.digests).find_map(Digest::weak_label);
    reference.label.as_deref().or(version).or_else(weak)
}

/// Bits of a reference by label or number: there is nothing to say of it.
pub(super) const LABELED: u16 = 0;
