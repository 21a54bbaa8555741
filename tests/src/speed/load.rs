//! Loading a file as `lineage ingest` does, in a process of its own so that its memory is known.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lineage_ingest::file::{Format, Options, ingest};
use lineage_store::{Layout, Store};

use super::{Row, rate};
use crate::crash::writer::now;

/// Loads a file into a new store; seconds and peak memory in kB on standard output.
pub fn child(file: &Path, root: &Path) {
    let begun = Instant::now();
    let store = Store::create(root, "format = 1\n").unwrap();
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
    store.close(Duration::MAX).unwrap();
    let closed = begun.elapsed();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    let peak = peak.split_whitespace().next().unwrap_or("0");
    println!("{events} {} {} {peak}", loaded.as_micros(), closed.as_micros());
}

/// Loads a file; the rows, and the number of events.
pub fn measure(file: &Path, root: &Path) -> (Vec<Row>, u64) {
    let output = Command::new(std::env::current_exe().unwrap()).arg("load").arg(file).arg(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let figures: Vec<u64> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [events, loaded, closed, peak] = figures[..] else { panic!("{said}") };
    let bytes = file.metadata().unwrap().len();
    let micros = Duration::from_micros;
    let read = Instant::now();
    drop(std::fs::read(file).unwrap());
    let read = read.elapsed();
    let per_event = bytes / events.max(1);
    let rows = vec![
        ["load: durable".into(), rate(events, micros(loaded)), format!("{events} events of {per_event} bytes")],
        [
            "load: durable, in index and sled".into(),
            rate(events, micros(closed)),
            format!("reading the file: {}", rate(events, read)),
        ],
        ["load: peak memory".into(), format!("{} MB", peak / 1024), String::new()],
    ];
    (rows, events)
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
