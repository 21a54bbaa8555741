//! The tests of evidence in full: `cargo run --release -p lineage-tests --bin evidence -- --seed 1`.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a harness")]

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use lineage_tests::evidence::flips::Tried;
use lineage_tests::evidence::{agree, flips, forge, large, log, python, rewrite};

const USAGE: &str = "usage: evidence [--only STAGE] [--seed N] [--pairs N] [--forgeries N] [--step N]
                [--flips N | --flips FROM..TO] [--events N] [--bytes N] [--workers N] [--dir DIR]
  --only       one stage alone: agree, forge, rewrite, small or flips
  --pairs      three implementations on all pairs of sizes up to N [1024]
  --forgeries  changed proofs, checkpoints and proof files [1000000]
  --step       every Nth bit and byte of a store of 200 events [1]
  --flips      single bits of a large store, each alone; a range goes on where another run ended [10000]
  --events     the events of the large store [60000]
  --bytes      its bytes, filled up with artifacts [100000000]
  --workers    how many of them at a time, each in a copy of the large store [1]
  --dir        where to work [the folder for temporary files]
One flip in a hundred is also shown to `lineage verify`, built beside this.";

/// What is tried, and how much of it.
struct Wanted {
    only: Option<String>,
    seed: u64,
    pairs: u64,
    forgeries: u64,
    step: u64,
    flips: Range<u64>,
    events: u64,
    bytes: u64,
    workers: u64,
    dir: PathBuf,
}

impl Wanted {
    /// What the arguments say; `None` if they cannot be read.
    fn read(arguments: &[String]) -> Option<Self> {
        let mut wanted = Self {
            only: None,
            seed: 1,
            pairs: 1024,
            forgeries: 1_000_000,
            step: 1,
            flips: 0..10_000,
            events: 60_000,
            bytes: 100_000_000,
            workers: 1,
            dir: std::env::temp_dir(),
        };
        for pair in arguments.chunks(2) {
            let [name, value] = pair else { return None };
            let number = || value.parse::<u64>().ok();
            match name.as_str() {
                "--only" => wanted.only = Some(value.clone()),
                "--seed" => wanted.seed = number()?,
                "--pairs" => wanted.pairs = number()?,
                "--forgeries" => wanted.forgeries = number()?,
                "--step" => wanted.step = number()?,
                "--flips" => {
                    wanted.flips = match value.split_once("..") {
                        Some((from, to)) => from.parse().ok()?..to.parse().ok()?,
                        None => 0..number()?,
                    }
                }
                "--events" => wanted.events = number()?,
                "--bytes" => wanted.bytes = number()?,
                "--workers" => wanted.workers = number()?.max(1),
                "--dir" => wanted.dir = value.into(),
                _ => return None,
            }
        }
        Some(wanted)
    }

    fn wants(&self, stage: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == stage)
    }
}

/// Whether everything was good so far.
struct Told(bool);

impl Told {
    fn tell(&mut self, what: &str, begun: Instant, missed: &[String]) {
        let word = if missed.is_empty() { "good" } else { "FAILED" };
        println!("{what} ({:.1} s): {word}", begun.elapsed().as_secs_f64());
        missed.iter().take(20).for_each(|line| println!("  missed: {line}"));
        self.0 &= missed.is_empty();
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let stages = ["agree", "forge", "rewrite", "small", "flips"];
    let wanted = Wanted::read(&arguments);
    let Some(wanted) = wanted.filter(|wanted| wanted.only.as_deref().is_none_or(|only| stages.contains(&only))) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut told = Told(true);
    let folder = tempfile::Builder::new().prefix("lineage-evidence-").tempdir_in(&wanted.dir).unwrap();
    if wanted.wants("agree") {
        let begun = Instant::now();
        let agreed = agree::all_pairs(wanted.pairs, python::is_here());
        let what = format!("three implementations agree on {agreed} proofs of all pairs to {}", wanted.pairs);
        told.tell(&what, begun, &[]);
    }
    if wanted.wants("forge") {
        let begun = Instant::now();
        let tried = forge::forge(wanted.forgeries, wanted.seed);
        let accepted = if tried.accepted > 0 { vec![format!("{} accepted", tried.accepted)] } else { Vec::new() };
        told.tell(&format!("{} forgeries", tried.forged), begun, &accepted);
    }
    if wanted.wants("rewrite") {
        let begun = Instant::now();
        let missed = rewrite::rewrites(&folder.path().join("rewrites"), 51, wanted.seed);
        told.tell("51 rollbacks, forks and rewrites with the real key", begun, &missed);
        let begun = Instant::now();
        let alarms = rewrite::honest(&folder.path().join("honest"), 1000, 10);
        let alarms = if alarms > 0 { vec![format!("{alarms} false alarms")] } else { Vec::new() };
        told.tell("1000 honest appends", begun, &alarms);
    }
    if wanted.wants("small") {
        let root = log::closed(&folder.path().join("small"), 200);
        let step = wanted.step as usize;
        let damages: [(&str, &dyn Fn() -> Tried); 3] = [
            ("bits", &|| flips::bits(&root, step, wanted.seed)),
            ("cuts", &|| flips::cuts(&root, step)),
            ("rearrangements", &|| flips::rearranged(&root)),
        ];
        for (what, damage) in damages {
            let begun = Instant::now();
            let tried = damage();
            told.tell(&format!("{} {what} of a store of 200 events", tried.damages), begun, &tried.missed);
        }
    }
    if wanted.wants("flips") {
        let begun = Instant::now();
        let root = large::store(&folder.path().join("large"), wanted.events, wanted.bytes);
        let tried = large::flips(&root, wanted.flips.clone(), wanted.seed, wanted.workers);
        let what = format!("{} flips ({:?}) in a store of {} bytes", tried.damages, wanted.flips, wanted.bytes);
        told.tell(&what, begun, &tried.missed);
    }
    if told.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
