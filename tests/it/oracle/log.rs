//! What is fixed at the position of each event: its attempt, the versions it mints, and what its references name.
//!
//! The rules are EVENTS.md §2 to §4, told one event after the other with nothing but lists that are searched from the
//! beginning.

use std::collections::BTreeSet;

use super::attempt::{Membership, memberships};
use super::said::{Entity, Reference, RunId, Said, Seconds, Subject};

/// A version, by its place in [`Log::versions`].
pub(super) type Id = usize;
/// A position.
pub(super) type At = usize;

/// A version, with what was said of it and by which event.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) entity: Entity,
    pub(super) number: usize,
    pub(super) minted: At,
    pub(super) external: bool,
    pub(super) label: Option<(At, String)>,
    pub(super) digests: Vec<(At, String)>,
    pub(super) producers: Vec<At>,
    pub(super) sizes: Vec<(At, u64)>,
    pub(super) rows: Vec<(At, u64)>,
    pub(super) tags: Vec<(At, String)>,
}

/// What an input or `about` names, as far as its position tells.
#[derive(Clone, Debug)]
pub(super) enum Named {
    /// A name alone.
    Bare(Entity),
    /// One version.
    Version(Id),
    /// Versions of a name with the bytes of this one, which is the first that had them.
    Bytes(Id),
    /// These versions, found by their digest.
    Several(Vec<Id>),
    /// Every version, of one name or of a kind or any, that holds a digest, whenever minted.
    Holders(Option<Entity>, Option<String>, Vec<String>),
}

/// An output: what it names, and the version it is, if any.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) version: Option<Id>,
    pub(super) from: Option<Vec<usize>>,
}

/// Everything that is fixed.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) events: Vec<Said>,
    pub(super) members: Vec<Membership>,
    pub(super) versions: Vec<Version>,
    /// The inputs of each event, with their roles.
    pub(super) inputs: Vec<Vec<(String, Named)>>,
    pub(super) outputs: Vec<Vec<Output>>,
    pub(super) about: Vec<Vec<Named>>,
    /// What each retract names.
    pub(super) hides: BTreeSet<(At, At)>,
    /// Every entity that was named so far.
    known: BTreeSet<Entity>,
    /// Versions that bare inputs minted, by event.
    bare_minted: Vec<(At, Id)>,
    /// Outputs without version so far: by event and index.
    pub(super) pending: Vec<(At, Entity, Reference)>,
    /// The root of attempts, by leader.
    roots: Vec<(At, RunId)>,
}

impl Log {
    /// A log of recorded events.
    pub(super) fn of(events: Vec<Said>) -> Self {
        let members = memberships(&events);
        let mut log = Self {
            members,
            events,
            versions: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            about: Vec::new(),
            hides: BTreeSet::new(),
            known: BTreeSet::new(),
            bare_minted: Vec::new(),
            pending: Vec::new(),
            roots: Vec::new(),
        };
        for at in 0..log.events.len() {
            log.record(at, &log.events[at].clone());
        }
        log
    }

    fn record(&mut self, at: At, event: &Said) {
        self.inputs.push(Vec::new());
        self.outputs.push(Vec::new());
        self.about.push(Vec::new());
        self.take_root(at, event);
        if event.kind == "retract" {
            self.retract(at, event);
        }
        for input in &event.inputs {
            self.input(at, event, input);
        }
        for output in &event.outputs {
            self.output(at, event, output);
        }
        if event.is_complete() && event.run.is_some() {
            self.complete(at);
        }
        for subject in &event.about {
            if let Subject::Thing(thing) = subject {
                let named = self.subject(at, event, thing);
                self.about[at].push(named);
            }
        }
    }

    fn retract(&mut self, at: At, event: &Said) {
        for subject in &event.about {
            let targets: Vec<At> = match subject {
                Subject::Event(id) => (0..at).filter(|q| self.is_event(*q, &event.namespace, id)).collect(),
                Subject::Run(run) => self.events_of_run(at, &event.namespace, run),
                Subject::Thing(_) => Vec::new(),
            };
            self.hides.extend(targets.into_iter().map(|target| (at, target)));
        }
    }

    fn is_event(&self, at: At, namespace: &str, id: &str) -> bool {
        self.events[at].namespace == namespace && self.events[at].id == id
    }

    /// The events, recorded before, of the run of an id to which one came last.
    pub(super) fn events_of_run(&self, before: At, namespace: &str, run: &str) -> Vec<At> {
        let is = |q: &At| {
            self.members[*q].run.as_ref().is_some_and(|(n, _, r)| (n.as_str(), r.as_str()) == (namespace, run))
        };
        let newest = (0..before).rev().find(is).map(|q| self.members[q].run.clone());
        (0..before).filter(|q| Some(&self.members[*q].run) == newest.as_ref()).collect()
    }

    /// The root of an attempt: named by its parent, else its parent's, else its parent.
    fn take_root(&mut self, at: At, event: &Said) {
        let (Some(parent), true) = (&event.parent, event.run.is_some()) else { return };
        if self.root(self.members[at].leader).is_some() {
            return;
        }
        let above = (0..at).rev().find(|q| {
            let run = self.members[*q].run.as_ref();
            run.is_some_and(|(namespace, _, id)| (namespace, id) == (&parent.0, &parent.1))
        });
        let above = above.and_then(|q| self.root(self.members[q].leader)).cloned();
        let root = event.root.clone().or(above).unwrap_or_else(|| parent.clone());
        self.roots.push((self.members[at].leader, root));
    }

    pub(super) fn root(&self, leader: At) -> Option<&RunId> {
        self.roots.iter().find(|(l, _)| *l == leader).map(|(_, root)| root)
    }

    /// The events of an attempt up to and with one.
    pub(super) fn attempt(&self, at: At) -> Vec<At> {
        (0..=at).filter(|q| self.members[*q].leader == self.members[at].leader).collect()
    }

    /// The entity of a reference with a name.
    pub(super) fn entity(&mut self, event: &Said, reference: &Reference) -> Entity {
        let namespace = reference.namespace.clone().unwrap_or_else(|| event.namespace.clone());
        let name = reference.name.clone().expect("a name");
        let kinds = || self.known.iter().filter(|e| (&e.namespace, &e.name) == (&namespace, &name)).map(|e| &e.kind);
        let kind = match (&reference.kind, kinds().count()) {
            (Some(kind), _) => kind.clone(),
            (None, 1) => kinds().next().expect("one").clone(),
            (None, _) => "dataset".to_owned(),
        };
        let entity = Entity { kind, namespace, name };
        self.known.insert(entity.clone());
        entity
    }

    pub(super) fn of_entity(&self, entity: &Entity) -> Vec<Id> {
        (0..self.versions.len()).filter(|v| self.versions[*v].entity == *entity).collect()
    }

    pub(super) fn has_any(&self, version: Id, digests: &[String]) -> bool {
        self.versions[version].digests.iter().any(|(_, d)| digests.contains(d))
    }

    /// Whether a reference names bytes, and none that a version is known to have, though that has some.
    pub(super) fn contradicts(&self, reference: &Reference, version: Id) -> bool {
        let known = !self.versions[version].digests.is_empty() && !reference.digests.is_empty();
        known && !self.has_any(version, &reference.digests)
    }

    pub(super) fn mint(&mut self, at: At, entity: &Entity, external: bool) -> Id {
        let number = self.of_entity(entity).len() + 1;
        self.versions.push(Version {
            entity: entity.clone(),
            number,
            minted: at,
            external,
            label: None,
            digests: Vec::new(),
            producers: Vec::new(),
            sizes: Vec::new(),
            rows: Vec::new(),
            tags: Vec::new(),
        });
        self.versions.len() - 1
    }

    /// A version takes what a reference says and it lacks.
    pub(super) fn adopt(&mut self, at: At, version: Id, reference: &Reference, label: Option<&String>) {
        let v = &mut self.versions[version];
        for digest in &reference.digests {
            if !v.digests.iter().any(|(_, d)| d == digest) {
                v.digests.push((at, digest.clone()));
            }
        }
        if let (None, Some(label)) = (&v.label, label) {
            v.label = Some((at, label.clone()));
        }
    }

    pub(super) fn labeled(&self, entity: &Entity, label: &str) -> Option<Id> {
        let is = |v: &Id| self.versions[*v].label.as_ref().is_some_and(|(_, l)| l == label);
        self.of_entity(entity).into_iter().rfind(is)
    }

    /// The versions at this position, of one kind or any, that hold a digest of a reference; first those that hold the
    /// digest that it names first, in the order in which they were minted.
    fn holders(&self, reference: &Reference) -> Vec<Id> {
        let fits = |v: &Id| reference.kind.as_ref().is_none_or(|kind| self.versions[*v].entity.kind == *kind);
        let mut holders: Vec<Id> = Vec::new();
        for digest in &reference.digests {
            let has = |v: &Id| self.versions[*v].digests.iter().any(|(_, d)| d == digest);
            holders.extend((0..self.versions.len()).filter(fits).filter(has));
        }
        let mut seen = BTreeSet::new();
        holders.retain(|v| seen.insert(*v));
        holders
    }

    fn input(&mut self, at: At, event: &Said, input: &Reference) {
        let named = if input.name.is_some() {
            let entity = self.entity(event, input);
            if input.is_bare() { self.bare_input(at, event, &entity) } else { self.pinned(at, input, &entity) }
        } else if let Some(first) = self.holders(input).first() {
            Named::Bytes(*first)
        } else {
            let kind = input.kind.clone().unwrap_or_else(|| "artifact".to_owned());
            let namespace = input.namespace.clone().unwrap_or_else(|| event.namespace.clone());
            let entity = Entity { kind, namespace, name: input.digests[0].clone() };
            self.known.insert(entity.clone());
            self.pinned(at, input, &entity)
        };
        if let Some(size) = input.size {
            let minted_here =
                |e: &Entity| self.bare_minted.iter().find(|(q, v)| *q == at && self.versions[*v].entity == *e);
            let of = match &named {
                Named::Version(v) | Named::Bytes(v) => Some(*v),
                Named::Bare(entity) => minted_here(entity).map(|(_, v)| *v),
                Named::Several(_) | Named::Holders(..) => None,
            };
            if let Some(version) = of {
                self.versions[version].sizes.push((at, size));
            }
        }
        let of_model = match &named {
            Named::Bare(entity) => entity.kind == "model",
            Named::Version(v) | Named::Bytes(v) => self.versions[*v].entity.kind == "model",
            Named::Several(_) | Named::Holders(..) => false,
        };
        let role = input.role.clone().unwrap_or_else(|| "data".to_owned());
        let is_base = input.kind.is_none() && role == "data" && of_model && event.kind == "training";
        self.inputs[at].push((if is_base { "base".to_owned() } else { role }, named));
    }

    /// An unknown name mints, but not in a register.
    fn bare_input(&mut self, at: At, event: &Said, entity: &Entity) -> Named {
        if self.of_entity(entity).is_empty() && event.kind != "register" {
            let version = self.mint(at, entity, true);
            self.bare_minted.push((at, version));
        }
        Named::Bare(entity.clone())
    }

    /// By number, by label, by digest; an unknown label or digest mints.
    fn pinned(&mut self, at: At, reference: &Reference, entity: &Entity) -> Named {
        if let Some(number) = reference.number() {
            return Named::Version(self.of_entity(entity)[number - 1]);
        }
        if let Some(label) = &reference.version {
            if let Some(version) = self.labeled(entity, label).filter(|v| !self.contradicts(reference, *v)) {
                self.adopt(at, version, reference, None);
                return Named::Version(version);
            }
            return Named::Version(self.external(at, reference, entity));
        }
        let first = self.holders(reference).into_iter().find(|v| self.versions[*v].entity == *entity);
        Named::Bytes(first.unwrap_or_else(|| self.external(at, reference, entity)))
    }

    /// The version that a bare mention of this attempt minted takes the label or digest; else a new external one.
    fn external(&mut self, at: At, reference: &Reference, entity: &Entity) -> Id {
        let attempt = self.attempt(at);
        let is_free = |v: &Id| {
            let v = &self.versions[*v];
            v.entity == *entity && v.label.is_none() && v.digests.is_empty() && v.producers.is_empty()
        };
        let mut minted = self.bare_minted.iter().filter(|(q, _)| attempt.contains(q)).map(|(_, v)| *v);
        let free = minted.find(is_free);
        let version = free.unwrap_or_else(|| self.mint(at, entity, true));
        self.adopt(at, version, reference, reference.version.as_ref());
        version
    }

    /// When a version was minted: its time, its position, its place.
    fn minting(&self, version: Id) -> (Seconds, At, Id) {
        let minted = self.versions[version].minted;
        (self.events[minted].time, minted, version)
    }

    fn subject(&mut self, at: At, event: &Said, thing: &Reference) -> Named {
        let by_digest = thing.version.is_none() && !thing.digests.is_empty();
        let kind = event.kind.as_str();
        if by_digest {
            return self.subject_by_digest(at, event, thing);
        }
        let entity = self.entity(event, thing);
        if !thing.is_bare() {
            return self.pinned(at, thing, &entity);
        }
        let removes = kind == "alias" && event.args["remove"] == true;
        if ["retirement", "tag", "untag", "describe", "link"].contains(&kind) || removes {
            return Named::Bare(entity);
        }
        let newest = self.of_entity(&entity).into_iter().max_by_key(|v| self.minting(*v));
        Named::Version(newest.unwrap_or_else(|| self.mint(at, &entity, true)))
    }

    fn subject_by_digest(&mut self, at: At, event: &Said, thing: &Reference) -> Named {
        let entity = thing.name.is_some().then(|| self.entity(event, thing));
        let mut holders = self.holders(thing);
        if let Some(entity) = &entity {
            holders.retain(|v| self.versions[*v].entity == *entity);
            if holders.is_empty() {
                holders.push(self.external(at, thing, entity));
            }
        }
        match event.kind.as_str() {
            "audit" | "evaluation" | "retirement" => Named::Holders(entity, thing.kind.clone(), thing.digests.clone()),
            "link" => Named::Version(holders[0]),
            kind => {
                let first = self.versions[holders[0]].entity.clone();
                holders.retain(|v| self.versions[*v].entity == first);
                if ["tag", "untag", "describe"].contains(&kind) {
                    return Named::Several(holders);
                }
                Named::Version(holders.into_iter().max_by_key(|v| self.minting(*v)).expect("a holder"))
            }
        }
    }
}
