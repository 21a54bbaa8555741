//! Kill cycles: a writer with eight threads, killed at a random instant, again and again on one store.

use std::path::Path;
use std::time::Duration;

use super::check::{Checked, Figures};
use super::{Job, Running};
use crate::random::Random;

/// A store is used for so many cycles, then a new one is begun.
const CYCLES_PER_STORE: u64 = 20;
/// A writer lives at most so long, in microseconds.
const LIFE_MAX: usize = 150_000;

/// Kills writers; `crash` is the binary that is a writer when told so.
pub fn run(crash: &Path, cycles: u64, seed: u64, progress: &mut dyn FnMut(u64, &Figures)) -> Figures {
    let mut random = Random::new(seed);
    let mut total = Figures::default();
    while total.cycles < cycles {
        let n = CYCLES_PER_STORE.min(cycles - total.cycles);
        total.add(one_store(crash, n, &mut random));
        progress(total.cycles, &total);
    }
    total
}

fn one_store(crash: &Path, cycles: u64, random: &mut Random) -> Figures {
    let folder = tempfile::Builder::new().prefix("lineage-crash-").tempdir().unwrap();
    let root = folder.path().join("store");
    let mut checked = Checked::create(&root, random.number());
    for cycle in 0..cycles {
        let job =
            Job { root: root.clone(), source: format!("c{cycle}"), threads: 8, count: 0, busy: random.below(3) > 0 };
        let running = Running::start(job.command(crash));
        // One in eight dies while it opens the store.
        let life = if random.one_in(8) { random.below(LIFE_MAX / 10) } else { random.below(LIFE_MAX) };
        std::thread::sleep(Duration::from_micros(life as u64));
        let said = running.kill();
        checked.figures.cycles += 1;
        checked.figures.wrong.extend(said.errors);
        checked.figures.wrong.extend(said.bad);
        checked.after(said.acks);
    }
    checked.finish();
    if !checked.figures.is_good() {
        eprintln!("kept for a look: {}", folder.keep().display());
    }
    checked.figures
}
