//! The tests of evidence in full: `cargo run --release -p lineage-tests --bin evidence -- --seed 1`.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a harness")]

use std::process::ExitCode;
use std::time::Instant;

use lineage_tests::evidence::{agree, flips, forge, log, python, rewrite};

const USAGE: &str = "usage: evidence [--seed N] [--pairs N] [--forgeries N] [--step N] [--flips N] [--events N]
  --pairs      three implementations on all pairs of sizes up to N [1024]
  --forgeries  changed proofs, checkpoints and proof files [1000000]
  --step       every Nth bit and byte of a store of 200 events [1]
  --flips      single bits of a large store [10000]
  --events     the events of the large store [250000]";

fn main() -> ExitCode {
    let mut sizes = [
        ("--seed", 1),
        ("--pairs", 1024),
        ("--forgeries", 1_000_000),
        ("--step", 1),
        ("--flips", 10_000),
        ("--events", 250_000),
    ];
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.chunks(2) {
        let known = sizes.iter_mut().find(|(name, _)| *name == pair[0]);
        let (Some((_, value)), Some(Ok(given))) = (known, pair.get(1).map(|text| text.parse())) else {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        };
        *value = given;
    }
    let [seed, pairs, forgeries, step, flips_most, events] = sizes.map(|(_, value): (_, u64)| value);
    let mut good = true;
    let mut told = |what: &str, begun: Instant, missed: &[String]| {
        println!(
            "{what} ({:.1} s): {}",
            begun.elapsed().as_secs_f64(),
            if missed.is_empty() { "good" } else { "FAILED" }
        );
        missed.iter().take(20).for_each(|line| println!("  missed: {line}"));
        good &= missed.is_empty();
    };
    let begun = Instant::now();
    let agreed = agree::all_pairs(pairs, python::is_here());
    told(&format!("three implementations agree on {agreed} proofs of all pairs to {pairs}"), begun, &[]);
    let begun = Instant::now();
    let tried = forge::forge(forgeries, seed);
    let accepted = if tried.accepted > 0 { vec![format!("{} accepted", tried.accepted)] } else { Vec::new() };
    told(&format!("{} forgeries", tried.forged), begun, &accepted);
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let missed = rewrite::rewrites(&folder.path().join("rewrites"), 51, seed);
    told("51 rollbacks, forks and rewrites with the real key", begun, &missed);
    let begun = Instant::now();
    let alarms = rewrite::honest(&folder.path().join("honest"), 1000, 10);
    let alarms = if alarms > 0 { vec![format!("{alarms} false alarms")] } else { Vec::new() };
    told("1000 honest appends", begun, &alarms);
    let root = log::closed(&folder.path().join("small"), 200);
    for (what, tried) in [
        ("bits", flips::bits(&root, step as usize, seed)),
        ("cuts", flips::cuts(&root, step as usize)),
        ("rearrangements", flips::rearranged(&root)),
    ] {
        told(&format!("{} {what} of a store of 200 events", tried.damages), Instant::now(), &tried.missed);
    }
    let begun = Instant::now();
    let root = log::closed(&folder.path().join("large"), events);
    let tried = flips::many(&root, flips_most, seed);
    told(&format!("{} flips in a store of {events} events", tried.damages), begun, &tried.missed);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
