//! Crash tests at the sizes of every change; `cargo run --release -p lineage-tests --bin crash` runs them in full.

use std::path::Path;

use lineage_tests::crash::check::Figures;
use lineage_tests::crash::damage::Whole;
use lineage_tests::crash::{calls, cycles, processes, runner};
use lineage_tests::strace;

const SEED: u64 = 20_261_120;

fn crash() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_crash"))
}

#[track_caller]
fn good(figures: &Figures) {
    assert!(figures.is_good(), "seed {SEED}: {figures}");
}

#[test]
fn kills_lose_nothing_that_was_acknowledged() {
    let figures = cycles::run(crash(), 100, SEED, &mut |_, _| {});
    good(&figures);
    assert!(figures.cycles == 100 && figures.acks > 1000, "too little happened: {figures}");
}

#[test]
fn eight_processes_record_each_event_once() {
    let figures = processes::run(crash(), 500, SEED);
    good(&figures);
    assert!(figures.acks >= 8 * 500, "{figures}");
}

#[test]
fn a_killed_runner_leaves_no_run_without_an_end() {
    let figures = runner::run(10, SEED, &mut |_| {});
    assert!(figures.wrong.is_empty(), "seed {SEED}: {figures}");
    assert!(figures.kills >= 10 && figures.orphaned > 0, "too little happened: {figures}");
}

#[test]
fn damage_to_the_graph_index_changes_no_answer() {
    damage("graph", 150);
}

#[test]
fn damage_to_sled_changes_no_answer() {
    damage("sled", 60);
}

fn damage(part: &str, trials: usize) {
    let (wrong, noticed) = Whole::new().trials(part, trials, SEED);
    assert!(wrong.is_empty(), "{} of {trials}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(noticed > 0, "no damage was noticed, so none was done");
}

#[test]
fn death_at_any_system_call_leaves_a_store_that_opens() {
    if !strace::is_there() {
        return;
    }
    let mut total = Figures::default();
    for call in calls::CALLS {
        // Calls that only happen often are sampled; `crash` dies at each.
        total.add(calls::die_at_each(crash(), call, if matches!(call, "pwrite64" | "write") { 4 } else { 2 }));
    }
    good(&total);
    assert!(total.cycles > 20, "too little happened: {total}");
}

#[test]
fn nothing_is_acknowledged_after_a_failed_sync() {
    if !strace::is_there() {
        return;
    }
    let mut met = 0;
    for n in [1, 2, 3, 5, 8] {
        for threads in [1, 8] {
            let failed = calls::fail_to_sync(crash(), n, threads);
            good(&failed.figures);
            met += usize::from(failed.met);
        }
    }
    assert!(met > 5, "the failure was met {met} times of 10");
}
