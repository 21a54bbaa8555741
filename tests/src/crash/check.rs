//! What must be true after a crash: every acknowledged event once, at its position, in journal, index and sled.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lineage_store::event::Event;
use lineage_store::{Appended, EventStore, Store, StoreError, read_leaf};

use super::writer::{now, open, prepared};
use super::{Ack, event, of_id};
use crate::random::Random;

/// Figures of a run of the harness; all but the first three must stay 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Kills.
    pub cycles: u64,
    /// Acknowledgements.
    pub acks: u64,
    /// Events that were recorded, acknowledged or not.
    pub events: u64,
    /// Acknowledged events that are not at their position.
    pub lost: u64,
    /// Events that are not as they were sent.
    pub torn: u64,
    /// Events that are there twice.
    pub doubled: u64,
    /// Stores that could not be opened, read or written to.
    pub unopenable: u64,
    /// Events that index or sled do not have as the journal has them.
    pub different: u64,
    /// What was wrong, in words.
    pub wrong: Vec<String>,
}

impl Figures {
    /// Whether nothing was wrong.
    pub fn is_good(&self) -> bool {
        self.lost + self.torn + self.doubled + self.unopenable + self.different == 0 && self.wrong.is_empty()
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: Self) {
        self.cycles += other.cycles;
        self.acks += other.acks;
        self.events += other.events;
        self.lost += other.lost;
        self.torn += other.torn;
        self.doubled += other.doubled;
        self.unopenable += other.unopenable;
        self.different += other.different;
        self.wrong.extend(other.wrong);
    }

    fn say(&mut self, what: String) {
        if self.wrong.len() < 20 {
            self.wrong.push(what);
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cycles, acks, events, lost, torn, doubled, unopenable, different, wrong } = self;
        write!(
            f,
            "{cycles} kills, {acks} acknowledged, {events} events: {lost} lost, {torn} torn, {doubled} doubled, \
             {unopenable} unopenable, {different} different"
        )?;
        wrong.iter().try_for_each(|what| write!(f, "\n  {what}"))
    }
}

/// A store over several crashes, with what is known of it.
pub struct Checked {
    root: PathBuf,
    acked: Vec<Ack>,
    /// The position of every event that was read back.
    found: HashMap<String, u64>,
    verified: u64,
    random: Random,
    /// What was found.
    pub figures: Figures,
}

impl Checked {
    /// A new store in a folder.
    pub fn create(root: &Path, seed: u64) -> Self {
        let store = Store::create(root, "format = 1\n").unwrap();
        store.close(Duration::ZERO).unwrap();
        Self::of(root, seed)
    }

    /// A store of which nothing is known.
    pub fn of(root: &Path, seed: u64) -> Self {
        let (acked, found, figures) = (Vec::new(), HashMap::new(), Figures::default());
        Self { root: root.to_owned(), acked, found, verified: 0, random: Random::new(seed), figures }
    }

    /// Checks everything after a crash in which these were acknowledged; writes to the store afterwards.
    pub fn after(&mut self, acks: Vec<Ack>) {
        self.figures.acks += acks.len() as u64;
        let first_new = self.acked.len();
        self.acked.extend(acks);
        if let Err(error) = self.check(first_new) {
            self.figures.unopenable += 1;
            self.figures.say(format!("{}: {error}", self.root.display()));
        }
        self.figures.events = self.verified;
    }

    fn check(&mut self, first_new: usize) -> Result<(), StoreError> {
        let store = open(&self.root)?;
        // A reader, which takes no lock, sees all that was acknowledged.
        self.read_new(&store, store.head()?.count)?;
        self.find_acks(first_new);
        self.compare_view(&store)?;
        // A writer recovers: what it publishes must be whole, and positions go on.
        let marker = format!("marker-{}", self.verified);
        let appended = store.append(prepared(&event("marker", self.verified)), now())?;
        let count = store.head()?.count;
        if appended != [Appended::Recorded(count - 1)] {
            self.figures.say(format!("{marker} became {appended:?}, the head is {count}"));
        }
        self.read_new(&store, count)?;
        self.send_again(&store)?;
        store.close(Duration::from_millis(20))
    }

    /// Reads what is new: contiguous, whole, and nothing twice.
    fn read_new(&mut self, store: &Store, count: u64) -> Result<(), StoreError> {
        let mut records = Vec::new();
        store.journal().read_from(self.verified, count, &mut |record| {
            records.push((record.position, record.leaf.to_vec(), record.received.is_some()));
            Ok(())
        })?;
        if records.len() as u64 != count - self.verified {
            self.figures.say(format!("{} of {} positions are there", records.len(), count - self.verified));
        }
        for (expected, (position, leaf, own_id)) in (self.verified..).zip(records) {
            if position != expected {
                self.figures.say(format!("position {position} where {expected} belongs"));
            }
            match read_leaf(&leaf, own_id) {
                Ok((event, id, _)) if is_whole(&event, &id) => {
                    if let Some(before) = self.found.insert(id.clone(), position) {
                        self.figures.doubled += 1;
                        self.figures.say(format!("{id} is at {before} and at {position}"));
                    }
                }
                other => {
                    self.figures.torn += 1;
                    self.figures.say(format!("#{position} is torn: {other:?}"));
                }
            }
        }
        self.verified = count;
        Ok(())
    }

    fn find_acks(&mut self, first_new: usize) {
        let lost = |ack: &&Ack| self.found.get(&ack.id) != Some(&ack.position);
        let lost: Vec<Ack> = self.acked[first_new..].iter().filter(lost).cloned().collect();
        for ack in lost {
            self.figures.lost += 1;
            let at = self.found.get(&ack.id);
            self.figures.say(format!("{} was acknowledged at {}, it is at {at:?}", ack.id, ack.position));
        }
    }

    /// The view has every event under its id.
    fn compare_view(&mut self, store: &Store) -> Result<(), StoreError> {
        let view = store.view()?;
        if u64::from(view.count()) != self.verified {
            self.figures.say(format!("the view has {} events, the journal {}", view.count(), self.verified));
        }
        let step = 1 + self.found.len() / 2000;
        for (id, position) in self.found.iter().step_by(step) {
            if view.find_event("default", id).map(u64::from) != Some(*position) {
                self.figures.different += 1;
                self.figures.wrong.push(format!("the view does not have {id} at {position}"));
            }
        }
        view.check()
    }

    /// What was recorded is a duplicate for ever.
    fn send_again(&mut self, store: &Store) -> Result<(), StoreError> {
        for _ in 0..self.acked.len().min(3) {
            let ack = self.acked[self.random.below(self.acked.len())].clone();
            let (source, n) = of_id(&ack.id).unwrap();
            let appended = store.append(prepared(&event(source, n)), now())?;
            if appended != [Appended::Duplicate(ack.position)] {
                self.figures.doubled += 1;
                self.figures.say(format!("{} sent again became {appended:?}", ack.id));
            }
        }
        Ok(())
    }

    /// The whole store: every byte of journal, index and sled, before and after a rebuild.
    pub fn finish(&mut self) {
        if let Err(error) = self.verify().and_then(|()| self.rebuild()) {
            self.figures.unopenable += 1;
            self.figures.say(format!("{}: {error}", self.root.display()));
        }
        let all = self.acked.len();
        self.find_acks(0);
        self.figures.acks = all as u64;
    }

    fn rebuild(&mut self) -> Result<(), StoreError> {
        let store = open(&self.root)?;
        store.rebuild(&mut |_, _| {})?;
        store.close(Duration::MAX)?;
        self.verify()
    }

    fn verify(&mut self) -> Result<(), StoreError> {
        let store = open(&self.root)?;
        let report = store.journal().verify(&mut |_, _| {})?;
        if !report.is_good() {
            self.figures.say(format!("{report:?}"));
        }
        store.verify_graph()?;
        let Some(events) = EventStore::open(&store.layout().part("sled"))? else { return Ok(()) };
        for difference in events.verify_against(store.journal())? {
            // Being behind the journal is no difference.
            if difference.position != events.head() {
                self.figures.different += 1;
                self.figures.say(format!("{difference:?}"));
            }
        }
        Ok(())
    }

    /// The number of events that are recorded.
    pub fn count(&self) -> u64 {
        self.verified
    }

    /// The position of an event.
    pub fn position(&self, id: &str) -> Option<u64> {
        self.found.get(id).copied()
    }
}

/// Whether an event is as it was sent.
fn is_whole(read: &Event, id: &str) -> bool {
    let Some((source, n)) = of_id(id) else { return false };
    Event::parse(event(source, n).as_bytes(), "ana").is_ok_and(|mut sent| {
        sent.id = Some(id.to_owned());
        *sent == Event { id: Some(id.to_owned()), ..read.clone() }
    })
}
