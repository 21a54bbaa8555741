//! Many processes at once: everything they send is recorded exactly once, also when some are killed and start again.

use std::path::Path;
use std::time::Duration;

use super::check::{Checked, Figures};
use super::{Ack, Job, Running};
use crate::random::Random;

/// How many processes write.
const PROCESSES: usize = 8;

/// Lets eight processes write so many events each, two of them the same ones, and kills three of them on the way.
pub fn run(crash: &Path, count: u64, seed: u64) -> Figures {
    let mut random = Random::new(seed);
    let folder = tempfile::Builder::new().prefix("lineage-crash-").tempdir().unwrap();
    let mut checked = Checked::create(&folder.path().join("store"), seed);
    let job = |process: usize| Job {
        root: folder.path().join("store"),
        // The last two send the same events.
        source: format!("p{}", process.min(PROCESSES - 2)),
        threads: 1,
        count,
        busy: process.is_multiple_of(2),
    };
    let mut running: Vec<Running> = (0..PROCESSES).map(|p| Running::start(job(p).command(crash))).collect();
    let mut acks: Vec<Ack> = Vec::new();
    for victim in [1, 4, 7] {
        std::thread::sleep(Duration::from_micros(random.below(400_000) as u64));
        let again = Running::start(job(victim).command(crash));
        let said = std::mem::replace(&mut running[victim], again).kill();
        checked.figures.cycles += 1;
        checked.figures.wrong.extend(said.bad);
        acks.extend(said.acks);
    }
    for process in running {
        let (said, well) = process.end();
        checked.figures.wrong.extend(said.errors);
        checked.figures.wrong.extend(said.bad);
        if !well {
            checked.figures.wrong.push("a writer failed".to_owned());
        }
        acks.extend(said.acks);
    }
    checked.after(acks);
    checked.finish();
    let missing = (0..PROCESSES - 1).flat_map(|p| (0..count).map(move |n| format!("p{p}t0-{n}")));
    let missing = missing.filter(|id| checked.position(id).is_none()).count();
    // One more is the marker of the check.
    let expected = (PROCESSES as u64 - 1) * count + 1;
    if missing > 0 || checked.count() != expected {
        checked.figures.lost += missing as u64;
        checked.figures.wrong.push(format!("{} events where {expected} belong, {missing} missing", checked.count()));
    }
    if !checked.figures.is_good() {
        eprintln!("kept for a look: {}", folder.keep().display());
    }
    checked.figures
}
