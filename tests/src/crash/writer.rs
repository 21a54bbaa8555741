//! The writer process: threads append, and every acknowledgement is a line on standard output.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use lineage_store::event::{Event, Prepared, prepare};
use lineage_store::time::Time;
use lineage_store::{Appended, Store, StoreError};

use super::{Job, event};
use crate::random::Random;

/// How long an append waits for other processes.
const LOCK_TIMEOUT: Duration = Duration::from_mins(2);
/// Events of a busy writer between two openings, for each thread.
const ROUND: u64 = 40;

/// The clock.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(since.as_nanos() as i64)
}

/// Reads an event as `ingest` does.
pub fn prepared(line: &str) -> Vec<Prepared> {
    let event = Event::parse(line.as_bytes(), "ana").unwrap();
    prepare(event, line.as_bytes(), &[], &lineage_store::erasure::Keys::of_seed([7; 32])).unwrap()
}

/// Opens a store that waits long for its lock.
pub fn open(root: &Path) -> Result<Store, StoreError> {
    Ok(Store::open(root)?.with_lock_timeout(LOCK_TIMEOUT))
}

/// Is a writer, as the arguments of a [`Job`] say.
pub fn main(arguments: &[String]) -> ExitCode {
    let [root, source, threads, count, busy] = arguments else { return ExitCode::from(2) };
    let number = |text: &String| text.parse::<u64>().unwrap();
    let job = Job {
        root: root.into(),
        source: source.clone(),
        threads: number(threads) as usize,
        count: number(count),
        busy: number(busy) == 1,
    };
    match write(&job) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn write(job: &Job) -> Result<(), StoreError> {
    let mut random = Random::new(std::process::id().into());
    let mut from = 0;
    loop {
        let until = match (job.busy, job.count) {
            (false, 0) => u64::MAX,
            (true, 0) => from + ROUND,
            (true, count) => count.min(from + ROUND),
            (false, count) => count,
        };
        let store = open(&job.root)?;
        if job.busy && random.one_in(2) {
            store.feed_event_store()?;
        }
        append_from_threads(&store, job, from, until)?;
        if job.busy {
            if random.one_in(2) {
                store.seal_now()?;
            }
            store.close(if random.one_in(2) { Duration::MAX } else { Duration::from_millis(20) })?;
        }
        if until == job.count {
            return Ok(());
        }
        from = until;
    }
}

fn append_from_threads(store: &Store, job: &Job, from: u64, until: u64) -> Result<(), StoreError> {
    let failed = AtomicBool::new(false);
    let results: Vec<Result<(), StoreError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..job.threads)
            .map(|thread| {
                let source = format!("{}t{thread}", job.source);
                let failed = &failed;
                scope.spawn(move || append_all(store, &source, from, until, failed))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    results.into_iter().collect()
}

fn append_all(store: &Store, source: &str, from: u64, until: u64, failed: &AtomicBool) -> Result<(), StoreError> {
    let next = AtomicU64::new(from);
    let mut met = Ok(());
    let mut random = Random::new(from ^ source.len() as u64);
    while next.load(Ordering::Relaxed) < until {
        let first = next.load(Ordering::Relaxed);
        // Several at once from time to time: they are durable together.
        let n = if random.one_in(4) { 1 + random.below(4) as u64 } else { 1 }.min(until - first);
        let events = (first..first + n).flat_map(|n| prepared(&event(source, n))).collect();
        // Read before the append begins: what was begun after an error must not be acknowledged.
        let after_an_error = failed.load(Ordering::SeqCst);
        match store.append(events, now()) {
            Ok(appended) => acknowledge(source, first, &appended, after_an_error),
            Err(error) => {
                say(&format!("error {error}\n"));
                if failed.swap(true, Ordering::SeqCst) {
                    return Err(error);
                }
                // The thread goes on, so that what comes after an error is seen; it may have been the last append.
                met = Err(error);
            }
        }
        next.store(first + n, Ordering::Relaxed);
    }
    met
}

fn acknowledge(source: &str, first: u64, appended: &[Appended], after_an_error: bool) {
    let mut lines = String::new();
    for (n, appended) in (first..).zip(appended) {
        match appended {
            Appended::Recorded(position) | Appended::Duplicate(position) if !after_an_error => {
                writeln!(lines, "ack {position} {source}-{n}").ok();
            }
            other => {
                writeln!(lines, "bad {source}-{n} {other:?} after an error: {after_an_error}").ok();
            }
        }
    }
    say(&lines);
}

/// One write, so that a line is there as a whole or not at all.
fn say(lines: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(lines.as_bytes()).and_then(|()| out.flush()).unwrap();
}
