//! Which attempt of which run an event joins; fixed at its position (EVENTS.md §2).

use super::fold::{EXTERNAL, Fold, Place, UNBORN};
use super::key::{self, Scoped};
use super::memory::{AttemptState, RunGroup, RunState};
use super::tables::{ENTITY, INPUT, OUTPUT, PARTIAL, SIDE};
use crate::event::{Event, Kind, RunRef, State};

/// What an event adds to its attempt.
struct Arrival {
    position: u32,
    time: i64,
    state: State,
    explicit: Option<u16>,
}

impl Fold {
    /// Finds or opens the attempt of an event; `None` for an event without run.
    pub(super) fn join_attempt(
        &mut self,
        event: &Event,
        id: Scoped,
        position: u32,
        time: i64,
    ) -> Option<(Scoped, usize, usize)> {
        let run_id = event.run.as_ref()?;
        // Many emitters give a run and its one event the same id.
        let key = if event.run == event.id { id } else { key::scoped(&event.namespace, run_id) };
        let job = event.job.as_ref().map(|job| self.symbol(job));
        self.load_group(key);
        let explicit = event.attempt.map(|n| n.min(u32::from(u16::MAX)) as u16);
        let arrival = Arrival { position, time, state: event.state, explicit };
        let newest_leader = self.m.runs.get(&key).and_then(|g| g.last.checked_sub(1)).map(|last| self.leader_of(last));
        let group = self.m.runs.entry(key).or_default();
        let run = match job {
            Some(job) => group.runs.iter().position(|r| r.job == job),
            None => group.runs.iter().position(|r| r.attempts.iter().any(|a| Some(a.leader) == newest_leader)),
        };
        let run = run.unwrap_or_else(|| {
            // Nearly always there is one run of an id, and one attempt of it; a list grows to four at once by itself.
            group.runs.reserve_exact(1);
            group.runs.push(RunState { job: job.unwrap_or(0), attempts: Vec::with_capacity(1) });
            group.runs.len() - 1
        });
        let attempt = arrival.join(&mut group.runs[run]);
        if event.parent.is_some() {
            let state = &group.runs[run].attempts[attempt];
            let (leader, written) = (state.leader, state.writes.iter().map(|(_, v)| *v).collect::<Vec<u32>>());
            if self.root_of(leader).is_none() {
                self.root(event, position, leader, &written);
            }
        }
        Some((key, run, attempt))
    }

    /// The leader, the attempt number and the previous event of the run, plus one; takes note of the new newest event.
    ///
    /// An event that has the id of its run is found by that.
    pub(super) fn attempt_columns(&mut self, place: Place, own_run: bool) -> (u32, u16, u32) {
        let Some((key, run, attempt)) = place.run else { return (place.position, 1, 0) };
        let t = &mut self.m.t;
        if !own_run {
            t.run_key.push(key.0);
            t.run_check.push(key.1);
            t.run_last.push(place.position);
        }
        let Some(group) = self.m.runs.get_mut(&key) else { return (place.position, 1, 0) };
        let previous = std::mem::replace(&mut group.last, place.position + 1);
        let state = &group.runs[run].attempts[attempt];
        (state.leader, state.number, previous)
    }

    /// The job of the run of an event; 0 none. An event without job is of the job whose run it joins.
    pub(super) fn job_of_run(&self, place: Place) -> u32 {
        let run = place.run.and_then(|(key, run, _)| self.m.runs.get(&key)?.runs.get(run));
        run.map_or(0, |run| run.job)
    }

    /// The attempt of an event; without a run the event alone.
    pub(super) fn attempt_mut(&mut self, place: Place) -> Option<&mut AttemptState> {
        let Some((key, run, attempt)) = place.run else { return Some(&mut self.alone) };
        self.m.runs.get_mut(&key)?.runs.get_mut(run)?.attempts.get_mut(attempt)
    }

    /// The attempt of an event; without a run the event alone.
    pub(super) fn attempt(&self, place: Place) -> Option<&AttemptState> {
        let Some((key, run, attempt)) = place.run else { return Some(&self.alone) };
        self.m.runs.get(&key)?.runs.get(run)?.attempts.get(attempt)
    }

    /// The events of a run recorded so far, ascending.
    pub(super) fn events_of_run(&self, event: &Event, run: &RunRef) -> Vec<u32> {
        let namespace = run.namespace.as_ref().unwrap_or(&event.namespace);
        let key = key::scoped(namespace, &run.run);
        let chain = self.chain(key);
        let job = match &run.job {
            Some(job) => match self.m.known_symbol(job, &self.stack) {
                Some(job) => job,
                None => return Vec::new(),
            },
            None => match chain.first() {
                Some(newest) => self.job_of(self.leader_of(*newest)),
                None => return Vec::new(),
            },
        };
        let mut events: Vec<u32> = chain.into_iter().filter(|e| self.job_of(self.leader_of(*e)) == job).collect();
        events.reverse();
        events
    }

    /// The events of a run id, newest first.
    fn chain(&self, key: (u64, u32)) -> Vec<u32> {
        let newest = match self.m.runs.get(&key) {
            Some(group) => group.last.checked_sub(1),
            None => self.stack.find_run(key),
        };
        let mut chain = Vec::new();
        let mut next = newest;
        while let Some(event) = next {
            chain.push(event);
            next = self.previous_of(event).checked_sub(1).filter(|p| *p < event);
        }
        chain
    }

    /// Reads a run id's events back from the index, unless they are at hand.
    fn load_group(&mut self, key: (u64, u32)) {
        if self.m.runs.contains_key(&key) {
            return;
        }
        let seen = !self.m.seen_runs.insert(key.0 as u32);
        let mut group = RunGroup::default();
        if !self.m.complete || seen {
            let mut chain = self.chain(key);
            group.last = chain.first().map_or(0, |e| e + 1);
            chain.reverse();
            for event in chain {
                self.replay(event, &mut group);
            }
        }
        self.m.runs.insert(key, group);
    }

    /// Adds what one sealed event did to the state of its attempt.
    fn replay(&self, event: u32, group: &mut RunGroup) {
        let leader = self.leader_of(event);
        let job = self.job_of(leader);
        let run = group.runs.iter().position(|r| r.job == job).unwrap_or_else(|| {
            group.runs.push(RunState { job, attempts: Vec::new() });
            group.runs.len() - 1
        });
        let bits = self.bits_of(event);
        let state = State::from_code(bits & 0b111).unwrap_or(State::Other);
        let number = self.attempt_of(event);
        let arrival = Arrival { position: leader, time: self.time_of(event), state, explicit: Some(number) };
        let index = arrival.join(&mut group.runs[run]);
        let attempt = &mut group.runs[run].attempts[index];
        attempt.completed |= state == State::Complete;
        let registers = self.stack.kind(event) == Kind::Register as u8;
        for (target, bits) in self.stack.mentions(event).iter() {
            match (bits & SIDE, bits & ENTITY != 0) {
                (INPUT, true) => {
                    attempt.reads.push((target, 0));
                    for version in self.stack.versions_of(target) {
                        if self.stack.mint(version) == event && self.stack.version_bits(version) & EXTERNAL != 0 {
                            attempt.bare_inputs.push((target, version));
                        }
                    }
                }
                (INPUT, false) => {
                    attempt.reads.push((self.stack.entity_of(target), target + 1));
                }
                (OUTPUT, true) if bits & PARTIAL == 0 && !registers => {
                    attempt.pending.push(target);
                    let told = self.stack.taken(target | UNBORN).into_iter().filter(|(by, ..)| *by == event);
                    attempt.told.extend(told.map(|(_, field, value)| (target, event, field, value)));
                }
                (OUTPUT, false) => {
                    let entity = self.stack.entity_of(target);
                    attempt.writes.push((entity, target));
                    attempt.told.retain(|(of, ..)| *of != entity);
                }
                _ => {}
            }
        }
    }

    /// The root under which an attempt runs: named by its parent, else its parent's, else its parent.
    fn root(&mut self, event: &Event, position: u32, leader: u32, written: &[u32]) {
        let Some(parent) = &event.parent else { return };
        let namespace = |run: &RunRef| run.namespace.clone().unwrap_or_else(|| event.namespace.clone());
        let root = if let Some(root) = &parent.root {
            key::scoped(&namespace(root), &root.run).0
        } else {
            let key = key::scoped(&namespace(&parent.run), &parent.run.run);
            let above = self.chain(key).first().and_then(|e| self.root_of(self.leader_of(*e)));
            above.unwrap_or(key.0)
        };
        self.m.t.p_event.push(position);
        self.m.t.p_root.push(root);
        self.m.roots.insert(leader, root);
        self.m.made_under.extend(written.iter().map(|version| (*version, root)));
    }

    /// The root of an attempt, told by the first of its events that has a parent.
    pub(super) fn root_of(&self, leader: u32) -> Option<u64> {
        let told = self.m.roots.get(&leader).copied();
        if told.is_some() || leader >= self.m.bases.event {
            return told;
        }
        std::iter::once(leader).chain(self.stack.members(leader)).find_map(|event| self.stack.root_told(event))
    }
}

impl Arrival {
    /// The index of the attempt that this event joins or opens.
    fn join(&self, run: &mut RunState) -> usize {
        let index = self.choose(run);
        let attempt = &mut run.attempts[index];
        if self.state == State::Start {
            attempt.start = if attempt.has_start { attempt.start.min(self.time) } else { self.time };
            attempt.has_start = true;
        } else if !attempt.has_start {
            attempt.start = attempt.start.min(self.time);
        }
        if self.state.is_terminal() {
            attempt.terminal = Some(attempt.terminal.map_or(self.time, |t| t.max(self.time)));
        }
        index
    }

    fn choose(&self, run: &mut RunState) -> usize {
        if let Some(number) = self.explicit {
            return run.attempts.iter().position(|a| a.number == number).unwrap_or_else(|| self.open(run, number));
        }
        let Some(newest) = run.attempts.last() else { return self.open(run, 1) };
        if self.state == State::Start && newest.terminal.is_some_and(|end| self.time > end) {
            let number = newest.number.saturating_add(1);
            return self.open(run, number);
        }
        run.attempts.iter().rposition(|a| a.start <= self.time).unwrap_or(0)
    }

    /// Opens an attempt; attempts stand in the order of their numbers.
    fn open(&self, run: &mut RunState, number: u16) -> usize {
        let at = run.attempts.partition_point(|a| a.number < number);
        let state = AttemptState { leader: self.position, number, start: self.time, ..AttemptState::default() };
        run.attempts.reserve_exact(1);
        run.attempts.insert(at, state);
        at
    }
}
