//! Rewriting with the real key: rollbacks, forks and logs made anew, and honest growth beside them.

use std::path::{Path, PathBuf};

use lineage_store::Store;
use lineage_store::proof::SignedCheckpoint;

use super::log::{add, check, create, sign};
use crate::random::Random;
use crate::walk;

/// How a log is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// The whole store as it was earlier.
    Rollback,
    /// The store as it was earlier, and other events from there on.
    Fork,
    /// All events anew, one of them another.
    Anew,
}

/// Rewrites a log in so many ways and checks it against a checkpoint that is newer than what was rewritten; the ways
/// that were not found out.
pub fn rewrites(folder: &Path, most: usize, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    let real = folder.join("real");
    let store = create(&real);
    let (mut earlier, mut missed) = (Vec::new(), Vec::new());
    let mut count = 0;
    for step in 0..12 {
        let n = 1 + random.below(90) as u64;
        add(&store, count, n, "");
        count += n;
        sign(&store);
        let copy = folder.join(format!("earlier-{step}"));
        walk::copy(&real.join(".lineage"), &copy.join(".lineage"));
        earlier.push((count, copy));
    }
    let kept = sign(&store);
    for i in 0..most {
        let rewrite = [Rewrite::Rollback, Rewrite::Fork, Rewrite::Anew][i % 3];
        let from = &earlier[random.below(earlier.len() - 1)];
        let scratch = folder.join("scratch");
        let root = rewritten(rewrite, from, count, &scratch, &mut random);
        let checked = check(&root, std::slice::from_ref(&kept)).unwrap();
        // With the key the store is consistent in itself; only the checkpoint from outside tells.
        if !checked.is_good() || !checked.diverged() {
            missed.push(format!("{rewrite:?} from {} events", from.0));
        }
        std::fs::remove_dir_all(&scratch).unwrap();
    }
    missed
}

fn rewritten(rewrite: Rewrite, from: &(u64, PathBuf), count: u64, scratch: &Path, random: &mut Random) -> PathBuf {
    let (then, earlier) = from;
    if rewrite == Rewrite::Anew {
        let store = create(scratch);
        let other = random.below(count as usize) as u64;
        add(&store, 0, other, "");
        add(&store, other, 1, "another ");
        add(&store, other + 1, count - other - 1, "");
        sign(&store);
        return store.layout().root().to_owned();
    }
    walk::copy(&earlier.join(".lineage"), &scratch.join(".lineage"));
    let root = scratch.join(".lineage");
    if rewrite == Rewrite::Fork {
        let store = Store::open(&root).unwrap();
        // As many events as the real log has, so that the size tells nothing.
        add(&store, *then, count - then, "other ");
        sign(&store);
    }
    root
}

/// Appends honestly one by one and checks against earlier checkpoints; how many times an alarm was raised.
pub fn honest(folder: &Path, appends: u64, every: u64) -> u64 {
    let store = create(folder);
    let mut kept: Vec<SignedCheckpoint> = Vec::new();
    let mut alarms = 0;
    for i in 0..appends {
        add(&store, i, 1, "");
        let signed = sign(&store);
        if i % every == 0 || i + 1 == appends {
            let checked = check(store.layout().root(), &kept).unwrap();
            alarms += u64::from(!checked.is_good() || checked.compared.len() != kept.len() || checked.diverged());
        }
        kept.push(signed);
    }
    alarms
}
