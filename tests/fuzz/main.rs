//! Fuzzing the language: `cargo run --release -p lineage-tests --bin fuzz -- --seconds 600 --seed 1`.
//!
//! `--keep` adds the texts that did something new to `tests/fuzz/corpus/found.txt`.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a harness")]

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lineage_tests::fuzz::{Fuzz, corpus, escaped};

/// One text may take so long, whatever the machine does besides.
const SLOWEST: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let (mut seconds, mut seed, mut keep) = (60, 1, false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|word| word.parse().ok());
        match (word.as_str(), word == "--keep") {
            (_, true) => keep = true,
            ("--seconds", _) => seconds = number().unwrap(),
            ("--seed", _) => seed = number().unwrap(),
            _ => {
                eprintln!("usage: fuzz [--seconds N] [--seed N] [--keep]");
                return ExitCode::from(2);
            }
        }
    }
    let (mut fuzz, begun, mut rounds, mut slowest) = (Fuzz::new(seed), Instant::now(), 0_u64, Duration::ZERO);
    println!("{} texts", fuzz.texts());
    while begun.elapsed() < Duration::from_secs(seconds) {
        let round = Instant::now();
        if let Err(why) = fuzz.round() {
            println!("after {rounds} texts: {why}");
            return ExitCode::FAILURE;
        }
        rounds += 1;
        slowest = slowest.max(round.elapsed());
        if slowest > SLOWEST {
            println!("after {rounds} texts: one took {slowest:?}");
            return ExitCode::FAILURE;
        }
    }
    println!("{rounds} texts, {} did something new, the slowest took {slowest:?}", fuzz.found.len());
    if keep {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(corpus().join("found.txt")).unwrap();
        for text in &fuzz.found {
            writeln!(file, "{}", escaped(text)).unwrap();
        }
    }
    ExitCode::SUCCESS
}
