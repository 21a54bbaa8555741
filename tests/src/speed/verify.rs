//! Verification, beside reading and hashing the same bytes with SHA-256 and blake3.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use lineage_store::Store;
use lineage_store::digest::Hasher;
use lineage_store::proof::{Edge, TreeCheck};

use super::Row;

/// The bytes of the artifact that is hashed.
const ARTIFACT_BYTES: usize = 256 * 1024 * 1024;

/// Reads a file and hashes it with both, by one thread each half; the bytes and the time.
fn floor(path: &Path, threads: u64) -> (u64, Duration) {
    let length = path.metadata().unwrap().len();
    let begun = Instant::now();
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
    (length, begun.elapsed())
}

/// Journal and tree, as `lineage verify` reads them.
fn log(store: &Store, threads: usize) -> Duration {
    let proofs = store.proofs();
    let begun = Instant::now();
    let mut tree = TreeCheck::new(&proofs, None, Edge::default(), &[]).unwrap();
    let journal = store.journal();
    let report = journal.verify_from(0, threads, &mut |_, _| {}, &mut |_, hash| tree.leaf(hash)).unwrap();
    assert!(report.is_good());
    tree.finish().unwrap();
    begun.elapsed()
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
    let mut row = |what: &str, bytes: u64, time: Duration, floor: Duration| {
        let mb = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
        let share = 100.0 * floor.as_secs_f64() / time.as_secs_f64();
        let beside = format!("read, sha256 and blake3: {:.0} MB/s; {share:.0} %", mb(floor));
        rows.push([what.to_owned(), format!("{:.0} MB/s", mb(time)), beside]);
    };
    for n in [1, threads] {
        let (bytes, least) = floor(&plain, n as u64);
        row(&format!("verify journal and tree, {n} threads"), bytes, log(&store, n), least);
    }
    let (bytes, least) = floor(&artifact, 1);
    let begun = Instant::now();
    assert!(store.artifacts().verify_all(&mut |_| {}).unwrap().is_empty());
    row("verify artifacts", bytes, begun.elapsed(), least);
    rows
}
