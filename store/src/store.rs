//! The store: one write path for any number of processes and threads, and views at one fixed position.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::artifact::Artifacts;
use crate::background::{self, Priority};
use crate::digest::{Blake3, Received};
use crate::erasure::{self, Keys};
use crate::error::{Result, StoreError};
use crate::event::{Event, Prepared, Refusal};
use crate::event_store::{EventStore, Feeder};
use crate::graph::{Fold, Stack, View, folder, key};
use crate::journal::{self, Head, Journal, JournalWriter, RecordBuf};
use crate::layout::Layout;
use crate::payload::Payloads;
use crate::proof::{Attestor, Proofs, Signer};
use crate::time::Time;

/// A tail of this many events is sealed when a process closes the store.
const SEAL_EVENTS_AT_CLOSE: u32 = 1024;
/// So is one of this many bytes, which takes the next process some milliseconds to fold, too.
const SEAL_TAIL_BYTES_AT_CLOSE: u64 = 1024 * 1024;
/// A tail of this many events is sealed while a process goes on appending.
const SEAL_EVENTS: u32 = 64 * 1024;

/// A plain segment of this many bytes is sealed when a bulk load ends.
const SEAL_BYTES_AT_CLOSE: u64 = 1024 * 1024;

/// A bulk load writes so many bytes before their commit at once; fewer are not worth the calls.
const AHEAD_BYTES: usize = 256 * 1024;

/// How often a thread that is about to append lets others run who may come along.
const GATHER_YIELDS: usize = 64;

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is durable at a position.
    Recorded(u64),
    /// The same bytes under the same id were recorded before, at a position.
    Duplicate(u64),
    /// Another event has its id, at a position; nothing was written.
    Conflict(u64),
    /// It contradicts what is recorded; nothing was written.
    Refused(Refusal),
}

/// What became of the events of one append, with the events, so that who made them may free them.
#[derive(Debug)]
pub struct Done {
    /// One result an event; fewer if nothing was wanted after the first refusal.
    pub appended: Vec<Appended>,
    /// The events.
    pub events: Vec<Prepared>,
}

/// When the events of one append are recorded.
struct Stamp {
    recorded: Time,
    text: String,
}

impl Stamp {
    fn new(now: Time, last: Time) -> Self {
        let recorded = now.floor_micros().max(last);
        Self { recorded, text: recorded.micros() }
    }
}

/// One append waiting for its turn.
struct Waiting {
    ticket: u64,
    events: Vec<Prepared>,
    now: Time,
    /// Whether nothing is wanted after the first event that is not accepted.
    strict: bool,
}

/// The appends that wait, and what became of those that were done.
#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    done: Vec<(u64, Result<Done>)>,
    next_ticket: u64,
    has_leader: bool,
    /// How many appends went together last time.
    n_together: usize,
}

/// What the writer keeps between two appends.
#[derive(Default)]
struct Writer {
    fold: Option<Fold>,
    /// Takes sealed segments into sled; only in a bulk load, and if no other process holds sled.
    feeder: Option<Feeder>,
    /// Whether this is a bulk load, which writes ahead and leaves joining the index to the background.
    bulk: bool,
    /// Signs checkpoints while this process goes on writing.
    attestor: Option<Attestor>,
    /// Joins the segments of the fold, in a bulk load.
    joining: Option<JoinHandle<Result<Stack>>>,
}

/// An open store.
pub struct Store {
    layout: Layout,
    journal: Journal,
    artifacts: Artifacts,
    payloads: Payloads,
    lock_timeout: Duration,
    queue: Mutex<Queue>,
    turn: Condvar,
    writer: Mutex<Writer>,
}

impl Store {
    /// Makes a new store in a folder; `config` is the text of its `config.toml`, with the line `format = 1`.
    pub fn create(root: &Path, config: &str) -> Result<Self> {
        let layout = Layout::create(root, config)?;
        Journal::create(&layout.part("journal"))?;
        Artifacts::create(&layout.part("artifacts"))?;
        Payloads::create(&layout.part("payloads"))?;
        Self::open(root)
    }

    /// Opens the store in a folder. Costs the same however many events it holds.
    pub fn open(root: &Path) -> Result<Self> {
        let layout = Layout::open(root)?;
        Ok(Self {
            journal: Journal::open(&layout.part("journal"))?,
            artifacts: Artifacts::open(&layout.part("artifacts"))?,
            payloads: Payloads::open(&layout.part("payloads"))?,
            layout,
            lock_timeout: Duration::from_secs(2),
            queue: Mutex::default(),
            turn: Condvar::new(),
            writer: Mutex::default(),
        })
    }

    /// Sets how long an append waits for other processes before it fails with [`StoreError::Locked`].
    #[must_use]
    pub fn with_lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// The folder.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The artifacts.
    pub fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }

    /// The values moved out of events.
    pub fn payloads(&self) -> &Payloads {
        &self.payloads
    }

    /// The tree over the journal, and its checkpoints.
    pub fn proofs(&self) -> Proofs {
        Proofs::open(&self.layout, &self.journal)
    }

    /// How far the journal is published.
    pub fn head(&self) -> Result<Head> {
        self.journal.head()
    }

    /// From now on segments are sealed, and taken into sled, in the background until the store is closed.
    pub fn feed_event_store(&self) -> Result<()> {
        let mut writer = lock(&self.writer);
        writer.bulk = true;
        if writer.feeder.is_none() {
            writer.feeder = Feeder::start(&self.layout.part("sled"), &self.journal)?;
        }
        Ok(())
    }

    /// From now on checkpoints are signed while events are appended, at most one a second, until
    /// [`Store::stop_signing`].
    pub fn sign_while_writing(&self, signer: Signer) -> Result<()> {
        let attestor = Attestor::start(&self.layout, &self.journal, signer)?;
        lock(&self.writer).attestor = Some(attestor);
        Ok(())
    }

    /// Ends what [`Store::sign_while_writing`] began; the events since the last checkpoint are left to the caller.
    pub fn stop_signing(&self) -> Result<()> {
        let attestor = lock(&self.writer).attestor.take();
        if attestor.is_some_and(Attestor::finish) { self.proofs().sync() } else { Ok(()) }
    }

    /// Appends events; each is durable, or its refusal decided, when this returns.
    ///
    /// Calls from several threads share one `fdatasync`: the first to come takes the others' events along.
    pub fn append(&self, events: Vec<Prepared>, now: Time) -> Result<Vec<Appended>> {
        self.append_as(events, now, false).map(|done| done.appended)
    }

    /// As [`Store::append`], and gives the events back; `strict`: nothing is written after the first conflict or
    /// refusal, which is the last result.
    pub fn append_as(&self, events: Vec<Prepared>, now: Time, strict: bool) -> Result<Done> {
        let mut queue = lock(&self.queue);
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.waiting.push(Waiting { ticket, events, now, strict });
        loop {
            if let Some(at) = queue.done.iter().position(|(t, _)| *t == ticket) {
                return queue.done.swap_remove(at).1;
            }
            if queue.has_leader {
                queue = self.turn.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.has_leader = true;
            queue = self.gather_batch(queue);
            let batch = std::mem::take(&mut queue.waiting);
            drop(queue);
            let n_together = batch.len();
            let tickets: Vec<u64> = batch.iter().map(|waiting| waiting.ticket).collect();
            let results = self.append_batch(batch);
            queue = lock(&self.queue);
            queue.has_leader = false;
            queue.n_together = n_together;
            queue.done.extend(tickets.into_iter().zip(results));
            self.turn.notify_all();
        }
    }

    /// Lets as many threads come as came together last time: they have just been answered and bring their next events.
    ///
    /// Without it the first one back goes alone, and each round of all threads takes two syncs.
    fn gather_batch<'q>(&'q self, mut queue: MutexGuard<'q, Queue>) -> MutexGuard<'q, Queue> {
        for _ in 0..GATHER_YIELDS {
            if queue.waiting.len() >= queue.n_together {
                break;
            }
            drop(queue);
            std::thread::yield_now();
            queue = lock(&self.queue);
        }
        queue
    }

    /// Appends what several threads brought, with one sync; one result a thread.
    fn append_batch(&self, batch: Vec<Waiting>) -> Vec<Result<Done>> {
        let n = batch.len();
        match self.commit_batch(batch) {
            Ok(results) => results.into_iter().map(Ok).collect(),
            Err(error) => {
                let text = error.to_string();
                let mut errors = vec![Err(error)];
                // The one error has several receivers; the others get its text.
                errors.extend((1..n).map(|_| Err(StoreError::Batch { what: text.clone() })));
                errors
            }
        }
    }

    fn commit_batch(&self, batch: Vec<Waiting>) -> Result<Vec<Done>> {
        let mut writer = lock(&self.writer);
        let mut journal = self.journal.lock(self.lock_timeout)?;
        let mut fold = self.current_fold(&mut writer, journal.count())?;
        // What an event names is durable before its line can be.
        self.payloads.put_all(&new_payloads(&batch, &fold))?;
        let mut results = Vec::with_capacity(batch.len());
        for Waiting { mut events, now, strict, .. } in batch {
            let stamp = Stamp::new(now, journal.recorded_last());
            let mut appended = Vec::with_capacity(events.len());
            let mut rest = &mut events[..];
            while let Some(first) = rest.first() {
                let group;
                (group, rest) = rest.split_at_mut((first.following + 1).min(rest.len()));
                let before = appended.len();
                self.append_group(&mut fold, &mut journal, group, &stamp, &mut appended)?;
                let refused = |a: &Appended| matches!(a, Appended::Conflict(_) | Appended::Refused(_));
                if strict && appended[before..].iter().any(refused) {
                    break;
                }
                if writer.bulk {
                    journal.write_ahead(AHEAD_BYTES);
                }
            }
            results.push(Done { appended, events });
        }
        // A damaged page may have hidden an earlier event of the same id, so nothing is written on its word.
        if let Err(error) = fold.stack().damage() {
            folder::clear(&self.layout.part("graph"))?;
            return Err(error);
        }
        // Nobody who appends waits for it; `close` does.
        journal.leave_sealing();
        journal.commit()?;
        if let Some(feeder) = &writer.feeder {
            feeder.wake();
        }
        if let Some(attestor) = &writer.attestor {
            attestor.wake();
        }
        if fold.tail_len() >= SEAL_EVENTS {
            // The events are durable whatever becomes of the index; the next append tries again.
            if writer.bulk {
                self.seal_beside(&mut writer, &mut fold, journal.count()).ok();
            } else {
                self.seal(&mut fold, journal.count()).ok();
            }
        }
        writer.fold = Some(fold);
        Ok(results)
    }

    /// Seals the tail of a fold; under the journal's lock.
    fn seal(&self, fold: &mut Fold, count: u64) -> Result<()> {
        let graph = graph_folder(&self.layout)?;
        self.take_over(&graph, fold, count)?;
        folder::seal(&graph, fold)
    }

    /// As [`Store::seal`], and joins the segments in a thread of its own, until the next seal.
    fn seal_beside(&self, writer: &mut Writer, fold: &mut Fold, count: u64) -> Result<()> {
        let graph = graph_folder(&self.layout)?;
        self.finish_joining(writer, fold)?;
        self.take_over(&graph, fold, count)?;
        folder::seal_tail(&graph, fold)?;
        let stack = fold.stack().clone();
        // What is not joined now is joined by the next seal.
        writer.joining = background::spawn("lineage-join", Priority::Last, move || folder::join(&graph, stack)).ok();
        Ok(())
    }

    /// Takes over what other processes sealed since a fold was opened.
    fn take_over(&self, graph: &Path, fold: &mut Fold, count: u64) -> Result<()> {
        if !folder::is_current(graph, fold.stack())? {
            *fold = self.open_fold(count);
            self.fold_up_to(fold, count)?;
        }
        Ok(())
    }

    /// Waits for the joining of a fold's segments and goes on with what came of it.
    fn finish_joining(&self, writer: &mut Writer, fold: &mut Fold) -> Result<()> {
        let Some(joining) = writer.joining.take() else { return Ok(()) };
        let joined = joining.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        if joined.next_bases() == fold.stack().next_bases() {
            folder::adopt(&self.layout.part("graph"), fold, joined)?;
        }
        Ok(())
    }

    /// The fold at the journal's head: kept from the last append, or read from the index and the journal's tail.
    ///
    /// It is taken out of the writer, so that a failed append leaves none behind that is ahead of the journal.
    fn current_fold(&self, writer: &mut Writer, count: u64) -> Result<Fold> {
        let mut fold = match writer.fold.take() {
            Some(fold) if u64::from(fold.next()) <= count => fold,
            _ => self.open_fold(count),
        };
        self.fold_up_to(&mut fold, count)?;
        Ok(fold)
    }

    /// A fold on the sealed segments; on nothing, if they are damaged or do not belong to this journal.
    fn open_fold(&self, count: u64) -> Fold {
        self.sealed_fold(count).unwrap_or_else(|_| Fold::new(Stack::default()))
    }

    /// A fold on the sealed segments; on nothing, if they do not belong to this journal.
    fn sealed_fold(&self, count: u64) -> Result<Fold> {
        let stack = folder::open(&self.layout.part("graph"))?;
        let fits = u64::from(stack.next_bases().event) <= count;
        Ok(Fold::new(if fits { stack } else { Stack::default() }))
    }

    fn fold_up_to(&self, fold: &mut Fold, count: u64) -> Result<()> {
        self.journal.read_from(fold.next().into(), count, &mut |record| {
            let (event, id, recorded) = read_leaf(record.leaf, record.received.is_some())?;
            fold.apply(&event, key::scoped(&event.namespace, &id), recorded);
            fold.count_leaf(record.leaf);
            Ok(())
        })
    }

    /// Appends the events that came from one received event: all of them or none.
    fn append_group(
        &self,
        fold: &mut Fold,
        journal: &mut JournalWriter,
        group: &mut [Prepared],
        stamp: &Stamp,
        appended: &mut Vec<Appended>,
    ) -> Result<()> {
        if let [event] = group {
            // Nearly always.
            let known = self.known(fold, journal, event)?;
            appended.push(known.unwrap_or_else(|| append_one(fold, journal, event, stamp)));
            return Ok(());
        }
        let known = group.iter().map(|event| self.known(fold, journal, event)).collect::<Result<Vec<_>>>()?;
        let refusal = known.iter().flatten().find(|a| !matches!(a, Appended::Duplicate(_))).cloned();
        for (event, known) in group.iter_mut().zip(known) {
            let known = known.or_else(|| refusal.clone());
            appended.push(known.unwrap_or_else(|| append_one(fold, journal, event, stamp)));
        }
        Ok(())
    }

    /// Why an event is not recorded: it is already, its id is taken, or it contradicts what is recorded.
    fn known(&self, fold: &Fold, journal: &JournalWriter, event: &Prepared) -> Result<Option<Appended>> {
        let Some(position) = fold.find_key(event.key) else {
            let refusal = fold.check(&event.event).and_then(|()| self.check_keys(event));
            return Ok(refusal.err().map(Appended::Refused));
        };
        let position = u64::from(position);
        // The digest of the bytes is the same for the same bytes only, unless an emitter chose it as an id.
        let same = self.received_at(journal, position)? == event.received;
        Ok(Some(if same { Appended::Duplicate(position) } else { Appended::Conflict(position) }))
    }

    /// Refuses an event whose values were sealed under a key that an erasure destroyed meanwhile.
    fn check_keys(&self, event: &Prepared) -> std::result::Result<(), Refusal> {
        if event.event.sealed.is_empty() {
            return Ok(());
        }
        let keys = Keys::new(&self.layout.part("keys"), [0; 32]);
        let opens = |(digest, subject): &(Blake3, String)| {
            let own = event.payloads.iter().find(|payload| payload.digest == *digest);
            match own {
                Some(payload) => keys.opens(subject, &payload.bytes),
                // It was kept before the event was made.
                None => self.payloads.get(digest).is_ok_and(|bytes| bytes.is_some_and(|b| keys.opens(subject, &b))),
            }
        };
        if !erasure::sealed_in(&event.event.sealed).iter().all(opens) {
            return Err(Refusal::at("sealed", "the subject was erased while the event was recorded; send it again"));
        }
        Ok(())
    }

    /// The digest of the bytes in which a recorded event, or one of the batch being appended, was received.
    fn received_at(&self, journal: &JournalWriter, position: u64) -> Result<Option<Received>> {
        let (first, lines) = journal.pending();
        if position < first {
            return Ok(self.journal.get(position)?.received);
        }
        let line = lines.split_inclusive(|b| *b == b'\n').nth((position - first) as usize).unwrap_or_default();
        Ok(journal::parse_line(line).ok().and_then(|record| record.received))
    }

    /// A view of everything recorded so far.
    pub fn view(&self) -> Result<View> {
        let count = self.head()?.count;
        let mut writer = lock(&self.writer);
        if writer.fold.is_none() {
            // Damage is told, as that of a page is; an append goes on without the index.
            match self.sealed_fold(count) {
                Err(error @ StoreError::Corrupt { .. }) => return Err(error),
                fold => writer.fold = fold.ok(),
            }
        }
        let mut fold = self.current_fold(&mut writer, count)?;
        let view = View::new(folder::snapshot(&mut fold)?);
        writer.fold = Some(fold);
        view.check()?;
        Ok(view)
    }

    /// A view folded from the journal alone, when the index is damaged.
    pub fn view_of_journal(&self) -> Result<View> {
        let count = self.head()?.count;
        let mut fold = Fold::new(Stack::default());
        self.fold_up_to(&mut fold, count)?;
        let view = View::new(folder::snapshot(&mut fold)?);
        lock(&self.writer).fold = Some(fold);
        Ok(view)
    }

    /// A view folded from what the index has sealed and both copies of the other events, when the journal is damaged.
    pub fn view_past_damage(&self) -> Result<View> {
        let count = self.head()?.count;
        let reader = self.reader()?;
        let mut fold = self.open_fold(count);
        while u64::from(fold.next()) < count {
            let record = reader.get(fold.next().into())?;
            let (event, id, recorded) = read_leaf(&record.leaf, record.received.is_some())?;
            fold.apply(&event, key::scoped(&event.namespace, &id), recorded);
        }
        Ok(View::new(folder::snapshot(&mut fold)?))
    }

    /// Brings the index and sled up to the journal within a budget; called at the end of a command.
    ///
    /// What is not done is no loss: the next command goes on with it.
    pub fn close(self, budget: Duration) -> Result<()> {
        let mut writer = std::mem::take(&mut *lock(&self.writer));
        let lock_timeout = Duration::from_millis(100);
        if let Some(mut fold) = writer.fold.take()
            && (fold.tail_len() >= SEAL_EVENTS_AT_CLOSE || fold.tail_bytes() >= SEAL_TAIL_BYTES_AT_CLOSE)
            && fold.stack().damage().is_ok()
            && let Ok(mut journal) = self.journal.lock(lock_timeout)
            && u64::from(fold.next()) <= journal.count()
        {
            // If it failed, `seal` finds out what the files are.
            self.finish_joining(&mut writer, &mut fold).ok();
            self.seal(&mut fold, journal.count())?;
            if writer.bulk {
                self.finish_bulk(fold, &mut journal)?;
            }
        }
        self.journal.join();
        let events = match writer.feeder.take().and_then(Feeder::finish) {
            Some(events) => Some(events),
            None => EventStore::open(&self.layout.part("sled"))?,
        };
        if let Some(mut events) = events {
            let count = self.journal.head()?.count;
            events.catch_up(&self.journal, count, budget)?;
            events.close()?;
        }
        Ok(())
    }

    /// At the end of a bulk load: joins what it sealed of the index, and meanwhile seals its journal.
    fn finish_bulk(&self, fold: Fold, journal: &mut JournalWriter) -> Result<()> {
        let stack = fold.stack().clone();
        let graph = self.layout.part("graph");
        std::thread::scope(|scope| {
            // What the fold remembers is needed no more, and the joins want the room.
            drop(fold);
            let gathered = scope.spawn(|| folder::gather(&graph, stack));
            // It has time: plain lines remain readable, and sled compresses what it cannot copy.
            if journal.head().length >= SEAL_BYTES_AT_CLOSE {
                drop(journal.seal());
            } else {
                journal.seal_complete();
            }
            gathered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Opens the reader of whole events: sled, or the journal where another process holds sled.
    pub fn reader(&self) -> Result<Reader> {
        let events = EventStore::open(&self.layout.part("sled")).unwrap_or(None);
        Ok(Reader { events, journal: self.journal.clone() })
    }

    /// Recreates `graph/` and `sled/` from the journal; the number of events.
    pub fn rebuild(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<u64> {
        let mut writer = lock(&self.writer);
        writer.fold = None;
        writer.feeder = None;
        let journal = self.journal.lock(self.lock_timeout)?;
        let count = journal.count();
        // An index is not given up for a journal that cannot be read to its end.
        self.journal.read_from(0, count, &mut |_| Ok(()))?;
        let graph = graph_folder(&self.layout)?;
        folder::clear(&graph)?;
        let mut fold = Fold::new(Stack::default());
        while u64::from(fold.next()) < count {
            let until = count.min(u64::from(fold.next()) + u64::from(SEAL_EVENTS));
            self.fold_up_to(&mut fold, until)?;
            folder::seal(&graph, &mut fold)?;
            progress(until, count);
        }
        drop(journal);
        if let Some(mut events) = EventStore::open(&self.layout.part("sled"))? {
            events.renew()?;
            events.catch_up(&self.journal, count, Duration::MAX)?;
            events.close()?;
            self.remove_damaged_event_stores()?;
        }
        Ok(count)
    }

    /// What was set aside has no use once every event is there again.
    fn remove_damaged_event_stores(&self) -> Result<()> {
        let root = self.layout.root();
        for entry in fs::read_dir(root).map_err(StoreError::io("list", root))? {
            let path = entry.map_err(StoreError::io("list", root))?.path();
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            if name.starts_with("sled.damaged-") {
                fs::remove_dir_all(&path).map_err(StoreError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Seals the tail of the index whatever its length; for tests of the index.
    #[doc(hidden)]
    pub fn seal_now(&self) -> Result<()> {
        let mut writer = lock(&self.writer);
        let journal = self.journal.lock(self.lock_timeout)?;
        let mut fold = self.current_fold(&mut writer, journal.count())?;
        self.seal(&mut fold, journal.count())?;
        writer.fold = Some(fold);
        Ok(())
    }

    /// Checks the index against a fresh fold of the journal: every page, and every answer-bearing column.
    pub fn verify_graph(&self) -> Result<u64> {
        let stack = folder::open(&self.layout.part("graph"))?;
        let count = u64::from(stack.next_bases().event);
        let head = self.head()?.count;
        if count > head {
            let what = format!("the index holds {count} events, the journal {head}");
            return Err(StoreError::corrupt(self.layout.part("graph"), 0, what));
        }
        let mut fold = Fold::new(Stack::default());
        self.fold_up_to(&mut fold, count)?;
        folder::compare(&stack, &mut fold)?;
        Ok(count)
    }
}

/// What the events that are not recorded yet keep outside of themselves.
fn new_payloads<'b>(batch: &'b [Waiting], fold: &Fold) -> Vec<(Blake3, &'b [u8])> {
    let events = batch.iter().flat_map(|waiting| &waiting.events);
    let new = events.filter(|event| !event.payloads.is_empty() && fold.find_key(event.key).is_none());
    new.flat_map(|event| &event.payloads).map(|payload| (payload.digest, &payload.bytes[..])).collect()
}

fn append_one(fold: &mut Fold, journal: &mut JournalWriter, event: &mut Prepared, stamp: &Stamp) -> Appended {
    event.leaf.record(&stamp.text);
    let position = journal.append(event.received, event.leaf.as_bytes(), stamp.recorded);
    let folded = fold.apply(&event.event, event.key, stamp.recorded);
    fold.count_leaf(event.leaf.as_bytes());
    debug_assert_eq!(u64::from(folded), position);
    Appended::Recorded(position)
}

/// Reads whole events by position.
pub struct Reader {
    events: Option<EventStore>,
    journal: Journal,
}

impl Reader {
    /// The record at a position.
    pub fn get(&self, position: u64) -> Result<RecordBuf> {
        if let Some(events) = &self.events
            && position < events.head()
            && let Ok(record) = events.get(position)
        {
            return Ok(record);
        }
        self.journal.get(position)
    }

    /// The event at a position, with its id and the instant of recording.
    pub fn event(&self, position: u64) -> Result<(Event, String, Time)> {
        let record = self.get(position)?;
        read_leaf(&record.leaf, record.received.is_some())
    }
}

/// Reads an event from its leaf, with its id and the instant of recording; `own_id` says whether its emitter gave the id.
pub fn read_leaf(leaf: &[u8], own_id: bool) -> Result<(Event, String, Time)> {
    let (mut event, recorded) = Event::from_leaf(leaf)?;
    let id = event.id.take().unwrap_or_default();
    if own_id {
        event.id = Some(id.clone());
    }
    Ok((event, id, recorded))
}

/// The folder of the index, made anew if someone deleted it.
fn graph_folder(layout: &Layout) -> Result<PathBuf> {
    let graph = layout.part("graph");
    fs::create_dir_all(&graph).map_err(StoreError::io("create", &graph))?;
    Ok(graph)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
