//! Verification, beside reading and hashing the same bytes with SHA-256 and blake3.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use lineage_store::Store;
use lineage_store::digest::Hasher;
use lineage_store::proof::{Edge, TreeCheck};

use super::{Row, median, ticks};

/// The bytes of the artifact that is hashed.
const ARTIFACT_BYTES: usize = 256 * 1024 * 1024;

/// How often each is measured; medians are told.
const ROUNDS: usize = 7;

/// What something took: by the clock, and of the processor.
#[derive(Clone, Copy)]
struct Took {
    clock: Duration,
    processor: Duration,
}

/// What work takes.
fn took(work: impl FnOnce()) -> Took {
    let (begun, before) = (Instant::now(), ticks());
    work();
    Took { clock: begun.elapsed(), processor: Duration::from_millis(10 * (ticks() - before)) }
}

/// Two kinds of work in rounds that alternate; the medians of each.
fn compared(floor: impl Fn(), work: impl Fn()) -> (Took, Took) {
    let rounds: Vec<(Took, Took)> = (0..ROUNDS).map(|_| (took(&floor), took(&work))).collect();
    let middle = |of: &dyn Fn(&(Took, Took)) -> Took| Took {
        clock: median(rounds.iter().map(|round| of(round).clock).collect()),
        processor: median(rounds.iter().map(|round| of(round).processor).collect()),
    };
    (middle(&|round| round.0), middle(&|round| round.1))
}

/// Reads a file and hashes it with both, each thread its part.
fn floor(path: &Path, threads: u64) {
    let length = path.metadata().unwrap().len();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let mut file = File::open(path).unwrap();
                let (from, end) = (length * thread / threads, length * (thread + 1) / threads);
                file.seek(SeekFrom::Start(from)).unwrap();
                // SHA-256 and blake3 at once.
                let mut hasher = Hasher::default();
                let mut file = file.take(end - from);
                let mut buffer = vec![0; 1024 * 1024];
                loop {
                    let n = file.read(&mut buffer).unwrap();
                    if n == 0 {
                        break;
                    }
                    hasher.update(&buffer[..n]);
                }
                std::hint::black_box(hasher.finish());
            });
        }
    });
}

/// Journal and tree, as `lineage verify` reads them.
fn log(store: &Store, threads: usize) {
    let proofs = store.proofs();
    let mut tree = TreeCheck::new(&proofs, None, Edge::default(), &[]).unwrap();
    let journal = store.journal();
    let report = journal.verify_from(0, threads, &mut |_, _| {}, &mut |_, hash| tree.leaf(hash)).unwrap();
    assert!(report.is_good());
    tree.finish().unwrap();
}

/// The rows, over a store that was loaded.
pub fn measure(root: &Path, folder: &Path) -> Vec<Row> {
    let store = Store::open(root).unwrap();
    let count = store.head().unwrap().count;
    let plain = folder.join("leaves");
    let mut out = BufWriter::new(File::create(&plain).unwrap());
    let write = &mut |leaf: &[u8]| out.write_all(leaf).unwrap();
    store
        .journal()
        .read_from(0, count, &mut |record| {
            write(record.leaf);
            Ok(())
        })
        .unwrap();
    drop(out);
    let artifact = folder.join("artifact");
    std::fs::write(&artifact, vec![7; ARTIFACT_BYTES]).unwrap();
    store.artifacts().put_file(&artifact).unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rows = Vec::new();
    let mut row = |what: &str, path: &Path, (least, took): (Took, Took)| {
        let bytes = path.metadata().unwrap().len();
        let mb = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
        let share = |least: Duration, time: Duration| 100.0 * least.as_secs_f64() / time.as_secs_f64();
        let beside = format!(
            "read, sha256 and blake3: {:.0} MB/s; {:.0} % of it, {:.0} % by time of the processor",
            mb(least.clock),
            share(least.clock, took.clock),
            share(least.processor, took.processor)
        );
        rows.push([what.to_owned(), format!("{:.0} MB/s", mb(took.clock)), beside]);
    };
    for n in BTreeSet::from([1, threads]) {
        let measured = compared(|| floor(&plain, n as u64), || log(&store, n));
        row(&format!("verify journal and tree, {n} threads"), &plain, measured);
    }
    let artifacts = || assert!(store.artifacts().verify_all(&mut |_| {}).unwrap().is_empty());
    row("verify artifacts", &artifact, compared(|| floor(&artifact, 1), artifacts));
    rows
}
