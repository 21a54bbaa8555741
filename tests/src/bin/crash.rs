//! The crash tests in full: `cargo run --release -p lineage-tests --bin crash -- --cycles 2000 --seed 1`.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a harness")]

use std::process::ExitCode;

use lineage_tests::crash::check::Figures;
use lineage_tests::crash::damage::Whole;
use lineage_tests::crash::{calls, cycles, pipelines, processes, runner, writer};
use lineage_tests::strace;

const USAGE: &str =
    "usage: crash [--cycles N] [--seed N] [--events N] [--trials N] [--syncs N] [--runners N] [--pipelines N]
  --cycles  kills of a writer with eight threads [2000]
  --events  events of each of eight processes [10000]
  --trials  damages to graph/ and as many to sled/ [2000]
  --syncs   the 1st to the Nth fdatasync fails, with one thread and with eight [50]
  --runners kills of `lineage run` [200]; alone: --cycles 0 --events 0 --trials 0 --syncs 0 --pipelines 0
  --pipelines kills of `lineage run PIPELINE.toml` [200]; alone: the same with --runners 0";

struct Sizes {
    cycles: u64,
    seed: u64,
    events: u64,
    trials: u64,
    syncs: u64,
    runners: u64,
    pipelines: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("writer", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return writer::main(rest);
    }
    let Some(sizes) = read(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if all(&sizes) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(arguments: &[String]) -> Option<Sizes> {
    let mut sizes =
        Sizes { cycles: 2000, seed: 1, events: 10_000, trials: 2000, syncs: 50, runners: 200, pipelines: 200 };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let value = words.next()?.parse().ok()?;
        match word.as_str() {
            "--cycles" => sizes.cycles = value,
            "--seed" => sizes.seed = value,
            "--events" => sizes.events = value,
            "--trials" => sizes.trials = value,
            "--syncs" => sizes.syncs = value,
            "--runners" => sizes.runners = value,
            "--pipelines" => sizes.pipelines = value,
            _ => return None,
        }
    }
    Some(sizes)
}

fn all(sizes: &Sizes) -> bool {
    let crash = std::env::current_exe().unwrap();
    let tell = |done: u64, figures: &Figures| {
        if done.is_multiple_of(100) {
            eprintln!("  {figures}");
        }
    };
    let runners = runner::run(sizes.runners, sizes.seed, &mut |figures| eprintln!("  {figures}"));
    println!("kill -9 of a runner: {runners}");
    let resumed = pipelines::run(sizes.pipelines, sizes.seed, &mut |figures| eprintln!("  {figures}"));
    println!("kill -9 of a runner of pipelines: {resumed}");
    let killed = cycles::run(&crash, sizes.cycles, sizes.seed, &mut |done, figures| tell(done, figures));
    println!("kill -9, 8 threads: {killed}");
    let mut good = runners.wrong.is_empty() && resumed.wrong.is_empty() && killed.is_good();
    if sizes.events > 0 {
        let together = processes::run(&crash, sizes.events, sizes.seed);
        println!("8 processes, 3 of them killed: {together}");
        good &= together.is_good();
    }
    if sizes.trials > 0 {
        let whole = Whole::new();
        for part in ["graph", "sled"] {
            let (wrong, noticed) = whole.trials(part, sizes.trials as usize, sizes.seed);
            println!("damage to {part}/: {} trials, {noticed} noticed, {} wrong", sizes.trials, wrong.len());
            wrong.iter().take(20).for_each(|what| println!("  {what}"));
            good &= wrong.is_empty();
        }
    }
    good & faults(&crash, sizes)
}

fn faults(crash: &std::path::Path, sizes: &Sizes) -> bool {
    if sizes.syncs == 0 || !strace::is_there() {
        return true;
    }
    let mut total = Figures::default();
    for call in calls::CALLS {
        total.add(calls::die_at_each(crash, call, 1));
    }
    println!("death at each system call, twice in a row: {total}");
    let mut failed = Figures::default();
    let mut met = 0;
    for n in 1..=sizes.syncs as usize {
        for threads in [1, 8] {
            let one = calls::fail_to_sync(crash, n, threads);
            met += usize::from(one.met);
            failed.add(one.figures);
        }
    }
    println!("EIO at the nth fdatasync, met {met} times: {failed}");
    total.is_good() && failed.is_good() && met > 0
}
