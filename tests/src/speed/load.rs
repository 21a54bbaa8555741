//! Loading a file as `lineage ingest` does, and the whole report of it, in processes of their own so that their memory is known.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lineage_ingest::file::{Format, Options, ingest};
use lineage_query::report::{Order, Partition, Proofs, Report, write};
use lineage_store::proof::{KeyUse, Signer};
use lineage_store::{Layout, Store, read_leaf};

use super::{Row, median, ms, rate, ticks};
use crate::crash::writer::now;
use crate::memory;

/// Loads a file into a new store, signing checkpoints as `lineage ingest` does or none at all; times in microseconds,
/// peak memory in kB and ticks of the processor on standard output.
pub fn child(file: &Path, root: &Path, signed: bool) {
    let begun = Instant::now();
    let store = Store::create(root, "format = 1\n").unwrap();
    let signer = || Signer::new("speed.example", KeyUse::Note, &[1; 32]).unwrap();
    if signed {
        store.sign_while_writing(signer()).unwrap();
    }
    let options = Options {
        format: Format::Native,
        actor: "bench".into(),
        seal: Vec::new(),
        keys: lineage_store::erasure::Keys::of_seed([7; 32]),
        strict: true,
        dry_run: false,
        commit_each: false,
        source: file.display().to_string(),
        name: "bench".into(),
        now: &now,
    };
    let summary =
        ingest(&store, File::open(file).unwrap(), &options, &mut |_| {}, &mut |refused| panic!("{refused:?}"));
    let events = summary.unwrap().events;
    let loaded = begun.elapsed();
    if signed {
        store.stop_signing().unwrap();
        store.proofs().advance(&signer()).unwrap();
    }
    store.close(Duration::MAX).unwrap();
    let closed = begun.elapsed();
    println!("{events} {} {} {} {}", loaded.as_micros(), closed.as_micros(), peak(), ticks());
}

/// What one load took.
struct Loaded {
    events: u64,
    durable: Duration,
    closed: Duration,
    peak: u64,
    ticks: u64,
}

fn load(file: &Path, root: &Path, how: &str) -> Loaded {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.arg("load").args([file, root]).arg(how).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let figures: Vec<u64> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [events, durable, closed, peak, ticks] = figures[..] else { panic!("{said}") };
    Loaded { events, durable: Duration::from_micros(durable), closed: Duration::from_micros(closed), peak, ticks }
}

/// Loads a file without checkpoints and with them, in rounds that alternate; medians, and the number of events.
pub fn measure(file: &Path, root: &Path, rounds: usize) -> (Vec<Row>, u64) {
    let (mut bare, mut signed) = (Vec::new(), Vec::new());
    let mut others = Vec::new();
    for round in 1..=rounds {
        let other = |how: &str| root.with_extension(format!("{how}-{round}"));
        bare.push(load(file, &other("bare"), "bare"));
        let last = if round == rounds { root.to_owned() } else { other("signed") };
        signed.push(load(file, &last, "signed"));
        others.extend([other("bare"), other("signed")]);
    }
    // Only now: a file system may take its time to give new files what was just freed.
    others.iter().filter(|other| other.exists()).for_each(|other| std::fs::remove_dir_all(other).unwrap());
    let events = bare[0].events;
    let bytes = file.metadata().unwrap().len();
    let read = Instant::now();
    drop(std::fs::read(file).unwrap());
    let read = read.elapsed();
    let per_event = bytes / events.max(1);
    let closed = |loads: &[Loaded]| median(loads.iter().map(|load| load.closed).collect());
    let ticks = |loads: &[Loaded]| median(loads.iter().map(|load| Duration::from_millis(10 * load.ticks)).collect());
    let (time, processor) = (more(closed(&signed), closed(&bare)), more(ticks(&signed), ticks(&bare)));
    let durable = median(bare.iter().map(|load| load.durable).collect());
    let peak = bare.iter().map(|load| load.peak).max().unwrap_or(0);
    let rows = vec![
        ["load: durable".into(), rate(events, durable), format!("{events} events of {per_event} bytes")],
        [
            "load: durable, in index and sled".into(),
            rate(events, closed(&bare)),
            format!("reading the file: {}", rate(events, read)),
        ],
        ["load: time of the processor".into(), ms(ticks(&bare)), format!("medians of {rounds} rounds")],
        ["load: peak memory".into(), format!("{} MB", peak / 1024), String::new()],
        [
            "load with checkpoints: durable, in index and sled, signed".into(),
            rate(events, closed(&signed)),
            format!("{time:+.1} % of the time, {processor:+.1} % of the processor's"),
        ],
    ];
    (rows, events)
}

/// Writes the whole report of a store; seconds and peak memory in kB on standard output.
pub fn report_child(root: &Path, out: &Path) {
    let begun = Instant::now();
    let store = Store::open(root).unwrap();
    let view = store.view().unwrap();
    let (journal, whole) = (store.journal().clone(), store.journal().clone());
    let order = Order {
        report: &Report::Full,
        view: &view,
        size: None,
        as_of: None,
        since: 0,
        partition: Partition::None,
        events: true,
        environments: &[],
        params: &[],
        whole: Rc::new(move |position| {
            let record = whole.get(position.into())?;
            read_leaf(&record.leaf, record.received.is_some()).map(|(event, ..)| event)
        }),
        log: Arc::new(move |from, to, each| {
            journal.read_from(from, to, &mut |record| each(record.position, record.leaf))
        }),
        proofs: Proofs::default(),
        tool: "bench",
        digest_of_file: &|_| Err("none".to_owned()),
    };
    let summary = write(&order, out).unwrap();
    println!("{} {} {}", begun.elapsed().as_micros(), summary.bytes, peak());
}

/// Writes the whole report in a process of its own.
pub fn report(root: &Path, events: u64) -> Vec<Row> {
    let out = root.with_extension("pack");
    let output = Command::new(std::env::current_exe().unwrap()).arg("report").arg(root).arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let figures: Vec<u64> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [micros, bytes, peak] = figures[..] else { panic!("{said}") };
    std::fs::remove_dir_all(&out).unwrap();
    let took = Duration::from_micros(micros);
    vec![
        ["report full".into(), format!("{:.1} s", took.as_secs_f64()), format!("{} MB of files", bytes / 1_000_000)],
        ["report full: rate".into(), rate(events, took), String::new()],
        ["report full: peak memory".into(), format!("{} MB", peak / 1024), String::new()],
    ]
}

fn more(with: Duration, without: Duration) -> f64 {
    100.0 * (with.as_secs_f64() / without.as_secs_f64() - 1.0)
}

/// The most memory that this process had, in kB.
fn peak() -> u64 {
    memory::peak(std::process::id()).unwrap_or(0) / 1024
}

/// Bytes of each part of the store for one event.
pub fn sizes(root: &Path, events: u64) -> Vec<Row> {
    let layout = Layout::new(root);
    let reserve = layout.part("journal").join("reserve").metadata().map_or(0, |m| m.len());
    let row = |part: &str, bytes: u64| {
        [format!("bytes an event: {part}"), format!("{:.0}", bytes as f64 / events as f64), String::new()]
    };
    vec![
        row("journal", layout.bytes_of("journal").saturating_sub(reserve)),
        row("sled", layout.bytes_of("sled")),
        row("graph", layout.bytes_of("graph")),
    ]
}
