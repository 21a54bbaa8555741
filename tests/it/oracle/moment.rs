//! What is visible at one position and one instant, as relations: who used, made and concerned what.

use std::collections::{BTreeMap, BTreeSet};

use super::log::{At, Id, Log, Named};
use super::said::{Entity, Seconds};

/// A use: the event, the index of the input, its role, the version that it means here.
pub(super) type Used = (At, usize, String, Id);
/// A production: the event, the version, and the indexes of the inputs that led to it.
pub(super) type Made = (At, Id, Option<Vec<usize>>);

/// The visible part of a log.
pub(super) struct Moment<'a> {
    pub(super) log: &'a Log,
    /// How many events were recorded.
    pub(super) count: usize,
    /// Until when events count.
    pub(super) until: Seconds,
    pub(super) hidden: BTreeSet<At>,
    pub(super) versions: BTreeSet<Id>,
    pub(super) used: BTreeSet<Used>,
    pub(super) made: BTreeSet<Made>,
    pub(super) about: BTreeSet<(At, Id)>,
}

impl<'a> Moment<'a> {
    pub(super) fn of(log: &'a Log, count: usize, until: Seconds, retracted: bool) -> Self {
        let hidden = if retracted { BTreeSet::new() } else { hidden(log, count) };
        let none = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (used, made, about) = none;
        let mut moment = Self { log, count, until, hidden, versions: BTreeSet::new(), used, made, about };
        moment.made = moment.all_made();
        moment.versions = moment.all_versions();
        moment.used = moment.all_used();
        moment.about = moment.all_about();
        moment
    }

    /// Recorded, happened and not retracted.
    pub(super) fn sees(&self, at: At) -> bool {
        at < self.count && self.log.events[at].time <= self.until && !self.hidden.contains(&at)
    }

    pub(super) fn visible(&self) -> impl Iterator<Item = At> + '_ {
        (0..self.count).filter(|at| self.sees(*at))
    }

    /// The visible events of an attempt.
    pub(super) fn attempt(&self, leader: At) -> Vec<At> {
        self.visible().filter(|at| self.log.members[*at].leader == leader).collect()
    }

    fn all_made(&self) -> BTreeSet<Made> {
        let outputs = self.visible().flat_map(|at| self.log.outputs[at].iter().map(move |o| (at, o)));
        outputs.filter_map(|(at, o)| Some((at, o.version?, o.from.clone()))).collect()
    }

    /// A version is visible if a visible event mints it or names it; or if it is the first of its name, no other one is
    /// visible, and a visible input names the name alone.
    fn all_versions(&self) -> BTreeSet<Id> {
        let log = self.log;
        let mut visible: BTreeSet<Id> = self.made.iter().map(|(_, v, _)| *v).collect();
        visible.extend((0..log.versions.len()).filter(|v| self.sees(log.versions[*v].minted)));
        let mut bare: BTreeSet<&Entity> = BTreeSet::new();
        for at in self.visible() {
            for named in log.inputs[at].iter().map(|(_, named)| named).chain(&log.about[at]) {
                match named {
                    Named::Version(v) | Named::Bytes(v) => visible.extend([*v]),
                    Named::Several(versions) => visible.extend(versions),
                    Named::Bare(_) | Named::Holders(..) => {}
                }
            }
            bare.extend(log.inputs[at].iter().filter_map(|(_, n)| if let Named::Bare(e) = n { Some(e) } else { None }));
        }
        for entity in bare {
            let versions = log.of_entity(entity);
            let first = versions.first().filter(|v| log.versions[**v].minted < self.count);
            if !versions.iter().any(|v| visible.contains(v)) {
                visible.extend(first);
            }
        }
        visible
    }

    /// The digests of a version that are known here: those it was minted with, and those a visible event told.
    pub(super) fn digests(&self, version: Id) -> Vec<&String> {
        let v = &self.log.versions[version];
        v.digests.iter().filter(|(at, _)| *at == v.minted || self.sees(*at)).map(|(_, d)| d).collect()
    }

    pub(super) fn label(&self, version: Id) -> Option<&String> {
        let v = &self.log.versions[version];
        v.label.as_ref().filter(|(at, _)| *at == v.minted || self.sees(*at)).map(|(_, l)| l)
    }

    /// The last that visible events said of a version; the most, where one event says several things.
    pub(super) fn last_said(&self, said: &[(At, u64)]) -> Option<u64> {
        let visible = said.iter().filter(|(at, _)| self.sees(*at));
        visible.max().map(|(_, value)| *value)
    }

    /// The visible versions of a name.
    pub(super) fn of_entity(&self, entity: &Entity) -> Vec<Id> {
        self.log.of_entity(entity).into_iter().filter(|v| self.versions.contains(v)).collect()
    }

    /// The visible events that produced a version.
    pub(super) fn makers(&self, version: Id) -> BTreeSet<At> {
        self.made.iter().filter(|(_, v, _)| *v == version).map(|(at, ..)| *at).collect()
    }

    /// The steps that produced a version, by the first event of each.
    pub(super) fn making_steps(&self, version: Id) -> BTreeSet<At> {
        self.makers(version).into_iter().map(|at| self.log.members[at].leader).collect()
    }

    fn all_used(&self) -> BTreeSet<Used> {
        let mut used = BTreeSet::new();
        for at in self.visible() {
            for (index, (role, named)) in self.log.inputs[at].iter().enumerate() {
                let version = match named {
                    Named::Version(v) => Some(*v),
                    Named::Bytes(first) => Some(self.of_bytes(at, *first)),
                    Named::Bare(entity) => self.late(at, entity),
                    Named::Several(_) | Named::Holders(..) => None,
                };
                used.extend(version.map(|v| (at, index, role.clone(), v)));
            }
        }
        used
    }

    /// The entity that an input names with version or digest.
    fn pinned(&self, named: &Named) -> Option<&'a Entity> {
        match named {
            Named::Version(v) | Named::Bytes(v) => Some(&self.log.versions[*v].entity),
            _ => None,
        }
    }

    /// Whether a bare mention gives way to a pinned one of the same attempt.
    fn gives_way(&self, at: At, entity: &Entity) -> bool {
        let mut events = self.attempt(self.log.members[at].leader).into_iter();
        events.any(|q| self.log.inputs[q].iter().any(|(_, named)| self.pinned(named) == Some(entity)))
    }

    fn late(&self, at: At, entity: &Entity) -> Option<Id> {
        if self.gives_way(at, entity) { None } else { self.late_bound(at, self.of_entity(entity)) }
    }

    fn of_bytes(&self, at: At, first: Id) -> Id {
        let bytes = self.digests(first);
        let same = self.of_entity(&self.log.versions[first].entity).into_iter();
        let holders: Vec<Id> = same.filter(|v| self.digests(*v).iter().any(|d| bytes.contains(d))).collect();
        if holders.len() < 2 { first } else { self.late_bound(at, holders).unwrap_or(first) }
    }

    /// Of some versions of a name, the one that a late-bound input of an event means.
    pub(super) fn late_bound(&self, at: At, of: Vec<Id>) -> Option<Id> {
        let events = self.attempt(self.log.members[at].leader);
        let earliest = events.iter().map(|q| self.log.events[*q].time).min().unwrap_or(Seconds::MAX);
        let own: BTreeSet<Id> = self.made.iter().filter(|(q, ..)| events.contains(q)).map(|(_, v, _)| *v).collect();
        let others: Vec<Id> = of.into_iter().filter(|v| !own.contains(v)).collect();
        let began = |v: &Id| {
            let version = &self.log.versions[*v];
            let filled = if version.external { self.makers(*v).first().copied() } else { None };
            let event = filled.unwrap_or(version.minted);
            (self.log.events[event].time, event, version.number)
        };
        let in_time = others.iter().copied().filter(|v| began(v).0 <= earliest).max_by_key(began);
        in_time.or_else(|| others.iter().copied().min_by_key(|v| self.log.versions[*v].number))
    }

    fn all_about(&self) -> BTreeSet<(At, Id)> {
        let mut about = BTreeSet::new();
        for at in self.visible() {
            for named in &self.log.about[at] {
                about.extend(self.meant(named).into_iter().map(|v| (at, v)));
            }
        }
        about
    }

    /// The versions that an `about` means here.
    fn meant(&self, named: &Named) -> Vec<Id> {
        match named {
            Named::Version(v) | Named::Bytes(v) => vec![*v],
            Named::Several(versions) => versions.clone(),
            Named::Bare(entity) => self.of_entity(entity),
            Named::Holders(entity, kind, digests) => {
                let of_digest = |v: &Id| self.digests(*v).iter().any(|d| digests.contains(d));
                let is = |v: &Id| {
                    let own = &self.log.versions[*v].entity;
                    entity.as_ref().is_none_or(|e| e == own) && kind.as_ref().is_none_or(|k| *k == own.kind)
                };
                let minted = |v: &Id| self.log.versions[*v].minted < self.count;
                self.versions.iter().copied().filter(minted).filter(is).filter(of_digest).collect()
            }
        }
    }

    /// The kind of a step: a training if any of its events says so, else its first event's kind.
    pub(super) fn step_kind(&self, leader: At) -> &'a str {
        let events = self.attempt(leader);
        let trains = events.iter().any(|at| self.log.events[*at].kind == "training");
        // A node of another time that is not visible here is told by its first event.
        if trains { "training" } else { &self.log.events[events.first().copied().unwrap_or(leader)].kind }
    }

    /// The event at which a step happened: the latest terminal one, else the latest.
    pub(super) fn last_event(&self, leader: At) -> At {
        let events = self.attempt(leader);
        let latest = |terminal: bool| {
            let some = events.iter().copied().filter(|at| !terminal || self.log.events[*at].is_terminal());
            some.max_by_key(|at| (self.log.events[*at].time, *at))
        };
        latest(true).or_else(|| latest(false)).unwrap_or(leader)
    }

    /// All visible steps, by the first recorded event of each.
    pub(super) fn steps(&self) -> BTreeSet<At> {
        self.visible().map(|at| self.log.members[at].leader).collect()
    }

    /// The inputs of an event by the version they mean, a bare one that gave way standing for what it gave way to.
    pub(super) fn indexes(&self) -> BTreeMap<(At, Id), BTreeSet<usize>> {
        let mut indexes: BTreeMap<(At, Id), BTreeSet<usize>> = BTreeMap::new();
        for (at, index, _, version) in &self.used {
            indexes.entry((*at, *version)).or_default().insert(*index);
        }
        for at in self.visible() {
            for (index, (_, named)) in self.log.inputs[at].iter().enumerate() {
                let Named::Bare(entity) = named else { continue };
                if self.gives_way(at, entity) {
                    let mates = self.attempt(self.log.members[at].leader);
                    let stood_for = self
                        .used
                        .iter()
                        .filter(|(q, _, _, v)| mates.contains(q) && self.log.versions[*v].entity == *entity);
                    for (.., version) in stood_for {
                        indexes.entry((at, *version)).or_default().insert(index);
                    }
                }
            }
        }
        indexes
    }
}

/// Events that a visible retract names; a retract can itself be retracted, and acts by when it was recorded.
fn hidden(log: &Log, count: usize) -> BTreeSet<At> {
    let mut hidden = BTreeSet::new();
    // A retract reaches only what was recorded before it: the newest are decided first.
    for retract in (0..count).rev() {
        if !hidden.contains(&retract) {
            hidden.extend(log.hides.iter().filter(|(by, _)| *by == retract).map(|(_, target)| *target));
        }
    }
    hidden
}
