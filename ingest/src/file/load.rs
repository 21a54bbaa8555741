//! The three stages of a load, and the bookkeeping of what became of each document.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use lineage_store::background::{Priority, spawn};
use lineage_store::digest::Received;
use lineage_store::event::Prepared;
use lineage_store::graph::View;
use lineage_store::journal::{Reject, RejectFile};
use lineage_store::{Appended, Done, Store, StoreError};

use super::documents::{BATCH_DOCUMENTS, Batch, Documents};
use super::translate::{self, Item, Parsed, Settings};
use super::{Format, IngestError, Options, Progress, Rejection, Summary, spool};

/// Threads that translate; appending takes about as long as two of them need.
const TRANSLATORS: usize = 2;
/// So many batches are appended at once if they are there; each time costs one sync.
const APPENDED_BATCHES: usize = 4;
/// Batches that wait between two stages; more would only cost memory.
const WAITING: usize = 1;

/// What a stage hands to the next; the channel is closed after an end or an error.
type Piece<T> = io::Result<T>;

pub(super) fn run(
    store: &Store,
    source: impl Read + Send + 'static,
    options: &Options<'_>,
    progress: &mut dyn FnMut(Progress),
    on_refused: &mut dyn FnMut(Rejection),
) -> Result<Summary, IngestError> {
    let failed = |error, summary| IngestError::Read { name: options.source.clone(), error, summary: Box::new(summary) };
    let mut stages = Stages::start(source, options).map_err(|error| failed(error, Summary::default()))?;
    let mut load = Load {
        store,
        options,
        on_refused,
        summary: Summary::default(),
        rejects: None,
        spooled_files: 0,
        dry: None,
        done: Progress::default(),
    };
    loop {
        let mut pieces = match stages.next() {
            None => break,
            Some(Ok(pieces)) => pieces,
            Some(Err(error)) => return Err(failed(error, load.summary)),
        };
        if let Err(error) = load.take(&mut pieces) {
            return Err(IngestError::Store { error, summary: Box::new(load.summary) });
        }
        stages.give_back(pieces);
        progress(load.done);
        if load.summary.stopped {
            return Ok(load.summary);
        }
    }
    stages.join();
    Ok(load.summary)
}

/// The threads before the appender. Batches go round the translators, so their order is kept without a thought.
struct Stages {
    parsed: Vec<Receiver<Piece<Parsed>>>,
    /// Events go back to the thread that made them, which frees them at the least cost.
    spent: Vec<Sender<Vec<Prepared>>>,
    /// The room of batches goes back to the reader.
    room: Sender<Vec<u8>>,
    threads: Vec<JoinHandle<()>>,
    /// Whose batch is next.
    turn: usize,
    /// Whose batch was the first of those handed over.
    first: usize,
    /// An error that came behind the batch handed over.
    error: Option<io::Error>,
    /// Nothing may be appended behind a refusal, so no batch goes together with one that comes after its refusal.
    strict: bool,
}

impl Stages {
    fn start(source: impl Read + Send + 'static, options: &Options<'_>) -> io::Result<Self> {
        let settings = Arc::new(Settings::of(options));
        let (mut threads, mut raw, mut parsed, mut spent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TRANSLATORS {
            let (raw_in, raw_out) = sync_channel(WAITING);
            let (parsed_in, parsed_out) = sync_channel(WAITING);
            let (spent_in, spent_out) = channel();
            let settings = Arc::clone(&settings);
            threads.push(spawn("translate", Priority::Ahead, move || {
                translate(&raw_out, &parsed_in, &spent_out, &settings);
            })?);
            raw.push(raw_in);
            parsed.push(parsed_out);
            spent.push(spent_in);
        }
        let (room, room_out) = channel();
        // The reader may be stuck in a pipe when the load ends early, so nobody waits for it.
        threads.push(spawn("read", Priority::Ahead, move || read(source, &raw, &room_out))?);
        Ok(Self { parsed, spent, room, threads, turn: 0, first: 0, error: None, strict: options.strict })
    }

    /// Takes back what the last batches were made of.
    fn give_back(&self, pieces: Vec<Parsed>) {
        for (i, parsed) in pieces.into_iter().enumerate() {
            let maker = (self.first + i) % self.spent.len();
            // A thread that has ended needs nothing any more.
            drop(self.spent[maker].send(parsed.events));
            drop(self.room.send(parsed.bytes));
        }
    }

    /// The next batch, with those that wait behind it.
    fn next(&mut self) -> Option<Piece<Vec<Parsed>>> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        self.first = self.turn;
        let mut pieces = Vec::new();
        let mut received = self.parsed[self.turn].recv().ok()?;
        loop {
            self.turn = (self.turn + 1) % self.parsed.len();
            match received {
                Ok(parsed) => pieces.push(parsed),
                Err(error) if pieces.is_empty() => return Some(Err(error)),
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
            let ends = |parsed: &Parsed| self.strict && parsed.items.iter().any(|item| item.result.is_err());
            if pieces.len() >= APPENDED_BATCHES || pieces.last().is_some_and(ends) {
                break;
            }
            // Behind a full batch more comes at once; behind another, as pieces of a pipe are, only what is there.
            let is_full = pieces.last().is_some_and(|parsed| parsed.items.len() >= BATCH_DOCUMENTS);
            let more =
                if is_full { self.parsed[self.turn].recv().ok() } else { self.parsed[self.turn].try_recv().ok() };
            let Some(more) = more else { break };
            received = more;
        }
        Some(Ok(pieces))
    }

    /// At the end every thread is done, or it panicked, which is a bug to be seen.
    fn join(self) {
        drop(self.parsed);
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn read(source: impl Read, raw: &[SyncSender<Piece<Batch>>], room: &Receiver<Vec<u8>>) {
    let mut documents = Documents::new(source);
    let mut turns = raw.iter().cycle();
    while !documents.is_at_end() {
        let mut batch = Batch::within(room.try_recv().unwrap_or_default());
        let filled = documents.fill(&mut batch);
        // What came before an error is good. The next stages end when the channels are closed.
        let pieces = [(!batch.documents.is_empty()).then_some(Ok(batch)), filled.err().map(Err)];
        for piece in pieces.into_iter().flatten() {
            let failed = piece.is_err();
            if turns.next().is_none_or(|turn| turn.send(piece).is_err()) || failed {
                return;
            }
        }
    }
}

fn translate(
    raw: &Receiver<Piece<Batch>>,
    parsed: &SyncSender<Piece<Parsed>>,
    spent: &Receiver<Vec<Prepared>>,
    settings: &Settings,
) {
    let mut last = Format::Native;
    while let Ok(piece) = raw.recv() {
        spent.try_iter().for_each(drop);
        let piece = piece.map(|batch| translate::batch(batch, settings, &mut last));
        if parsed.send(piece).is_err() {
            return;
        }
    }
}

/// What a dry run compares with: what is recorded, and the ids that it has seen with the digests of their bytes.
struct Dry {
    view: View,
    seen: HashMap<(String, String), Option<Received>>,
}

/// What the appender keeps.
struct Load<'a, 'o> {
    store: &'a Store,
    options: &'a Options<'o>,
    on_refused: &'a mut dyn FnMut(Rejection),
    summary: Summary,
    rejects: Option<RejectFile>,
    spooled_files: u64,
    dry: Option<Dry>,
    done: Progress,
}

impl Load<'_, '_> {
    fn take(&mut self, pieces: &mut [Parsed]) -> Result<(), StoreError> {
        let first = self.done.documents == 0;
        for parsed in &*pieces {
            self.done.documents += parsed.items.len() as u64;
            self.done.bytes += parsed.bytes.len() as u64;
        }
        if self.options.dry_run {
            return pieces.iter_mut().try_for_each(|parsed| self.judge(parsed));
        }
        if self.summary.spooled > 0 {
            // Once the lock was not had, the rest waits, too, so that the order stays as it was.
            return pieces.iter().try_for_each(|parsed| self.spool(parsed, &parsed.items));
        }
        if first && pieces.iter().map(|parsed| parsed.items.len()).sum::<usize>() >= BATCH_DOCUMENTS {
            self.store.feed_event_store()?;
        }
        if self.options.commit_each {
            pieces.iter_mut().try_for_each(|parsed| self.append_each(parsed))
        } else {
            self.append(pieces)
        }
    }

    /// Appends several batches with one sync, and leaves their events with them.
    fn append(&mut self, pieces: &mut [Parsed]) -> Result<(), StoreError> {
        let counts: Vec<usize> = pieces.iter().map(|parsed| parsed.events.len()).collect();
        let mut events = Vec::with_capacity(counts.iter().sum());
        for parsed in &mut *pieces {
            events.append(&mut parsed.events);
        }
        let again = || {
            let again = |parsed: &Parsed| translate::again(&parsed.bytes, &parsed.items, self.options);
            pieces.iter().flat_map(again).collect()
        };
        let Done { appended, events } = match self.append_twice(events, again) {
            Ok(done) => done,
            Err(StoreError::Locked { .. }) => {
                return pieces.iter().try_for_each(|parsed| self.spool(parsed, &parsed.items));
            }
            Err(error) => return Err(error),
        };
        let (mut appended, mut events) = (&appended[..], events.into_iter());
        for (parsed, count) in pieces.iter_mut().zip(counts) {
            let own;
            (own, appended) = appended.split_at(count.min(appended.len()));
            if !self.summary.stopped {
                self.settle(parsed, &parsed.items, own)?;
            }
            parsed.events.extend(events.by_ref().take(count));
        }
        Ok(())
    }

    /// Appends the events of each document with a sync of their own.
    fn append_each(&mut self, parsed: &mut Parsed) -> Result<(), StoreError> {
        let mut events = std::mem::take(&mut parsed.events).into_iter();
        for (i, item) in parsed.items.iter().enumerate() {
            let items = &parsed.items[i..=i];
            let own = events.by_ref().take(*item.result.as_ref().unwrap_or(&0)).collect();
            match self.append_twice(own, || translate::again(&parsed.bytes, items, self.options)) {
                Ok(done) => self.settle(parsed, items, &done.appended)?,
                Err(StoreError::Locked { .. }) => return self.spool(parsed, &parsed.items[i..]),
                Err(error) => return Err(error),
            }
            if self.summary.stopped {
                break;
            }
        }
        Ok(())
    }

    /// Appends events; once more, and read again, if the graph index is damaged: the failed append gives it up, and the
    /// next one folds the journal.
    fn append_twice(&self, events: Vec<Prepared>, again: impl FnOnce() -> Vec<Prepared>) -> Result<Done, StoreError> {
        match self.append_once(events) {
            Err(StoreError::Corrupt { .. }) => self.append_once(again()),
            result => result,
        }
    }

    fn append_once(&self, events: Vec<Prepared>) -> Result<Done, StoreError> {
        if events.is_empty() {
            return Ok(Done { appended: Vec::new(), events });
        }
        self.store.append_as(events, (self.options.now)(), self.options.strict)
    }

    /// Counts what became of each document and keeps what was refused.
    fn settle(&mut self, parsed: &Parsed, items: &[Item], appended: &[Appended]) -> Result<(), StoreError> {
        let mut results = appended.iter();
        let mut refused = Vec::new();
        for item in items {
            let reason = match &item.result {
                Err(reason) => Some(reason.clone()),
                Ok(n) => {
                    let own = results.as_slice();
                    let own = &own[..own.len().min(*n)];
                    results = results.as_slice()[own.len()..].iter();
                    self.count(own)
                }
            };
            let Some(reason) = reason else { continue };
            self.summary.refused += 1;
            refused.push((item, reason));
            if self.options.strict {
                self.summary.stopped = true;
                break;
            }
        }
        self.reject(parsed, &refused)
    }

    /// Counts one document; the reason, if it was refused.
    fn count(&mut self, own: &[Appended]) -> Option<String> {
        let mut recorded = false;
        let mut reason = None;
        for one in own {
            match one {
                Appended::Recorded(position) => {
                    recorded = true;
                    self.summary.events += 1;
                    self.summary.first = self.summary.first.or(Some(*position));
                    self.summary.last = Some(*position);
                }
                Appended::Duplicate(_) => {}
                other => reason = reason.or(spool::reason_of(other)),
            }
        }
        match (&reason, recorded) {
            (Some(_), _) => {}
            (None, true) => self.summary.accepted += 1,
            (None, false) => self.summary.duplicate += 1,
        }
        reason
    }

    fn reject(&mut self, parsed: &Parsed, refused: &[(&Item, String)]) -> Result<(), StoreError> {
        if refused.is_empty() {
            return Ok(());
        }
        let source = &self.options.source;
        if !self.options.dry_run {
            let rows: Vec<_> = refused
                .iter()
                .map(|(item, reason)| {
                    let raw = &parsed.bytes[item.start..item.end];
                    Reject { reason, source, line: item.line, raw }
                })
                .collect();
            if self.rejects.is_none() {
                let path = spool::reject_path(self.store, &self.options.name);
                self.rejects = Some(RejectFile::open(&path)?);
                self.summary.rejects = Some(path);
            }
            if let Some(file) = &mut self.rejects {
                file.append(&rows)?;
            }
        }
        for (item, reason) in refused {
            (self.on_refused)(Rejection { source: source.clone(), line: item.line, reason: reason.clone() });
        }
        Ok(())
    }

    fn spool(&mut self, parsed: &Parsed, items: &[Item]) -> Result<(), StoreError> {
        let (good, bad): (Vec<&Item>, Vec<&Item>) = items.iter().partition(|item| item.result.is_ok());
        if !good.is_empty() {
            // Files are drained in the order of their names.
            let name = format!("{}-{:08}", self.options.name, self.spooled_files);
            self.spooled_files += 1;
            spool::write(self.store, &name, parsed, &good, self.options)?;
            self.summary.spooled += good.len() as u64;
        }
        let refused: Vec<_> =
            bad.into_iter().filter_map(|item| Some((item, item.result.as_ref().err()?.clone()))).collect();
        self.summary.refused += refused.len() as u64;
        self.summary.stopped |= self.options.strict && !refused.is_empty();
        self.reject(parsed, &refused)
    }

    /// Says what an append would say, as far as ids and form decide it.
    fn judge(&mut self, parsed: &mut Parsed) -> Result<(), StoreError> {
        let events = std::mem::take(&mut parsed.events);
        if self.dry.is_none() {
            self.dry = Some(Dry { view: self.store.view()?, seen: HashMap::new() });
        }
        let mut appended = Vec::with_capacity(events.len());
        for event in events {
            appended.push(self.judge_one(event)?);
        }
        self.settle(parsed, &parsed.items, &appended)?;
        (self.summary.first, self.summary.last) = (None, None);
        Ok(())
    }

    fn judge_one(&mut self, event: Prepared) -> Result<Appended, StoreError> {
        let Some(Dry { view, seen }) = &mut self.dry else { return Ok(Appended::Recorded(0)) };
        let known = match view.find_event(&event.event.namespace, &event.id) {
            Some(position) => {
                let position = u64::from(position);
                Some((position, self.store.journal().get(position)?.received))
            }
            None => None,
        };
        let next = u64::from(view.count()) + seen.len() as u64;
        let key = (event.event.namespace, event.id);
        let known = known.or_else(|| seen.get(&key).map(|digest| (next, *digest)));
        Ok(match known {
            Some((position, digest)) if digest == event.received => Appended::Duplicate(position),
            Some((position, _)) => Appended::Conflict(position),
            None => {
                seen.insert(key, event.received);
                Appended::Recorded(next)
            }
        })
    }
}
