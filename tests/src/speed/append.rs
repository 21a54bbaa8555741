//! Durable appends, one event each, beside what `fdatasync` alone takes on the same disk.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lineage_store::Store;

use super::{Row, rate};
use crate::crash::event;
use crate::crash::writer::{now, prepared};

/// How long each measurement takes.
const TIME: Duration = Duration::from_secs(3);

/// Writes of 600 bytes with a sync each.
fn raw(folder: &Path) -> (u64, Duration) {
    let file = File::create(folder.join("raw")).unwrap();
    let (begun, mut n) = (Instant::now(), 0);
    while begun.elapsed() < TIME {
        file.write_all_at(&[b'x'; 600], n * 600).unwrap();
        file.sync_data().unwrap();
        n += 1;
    }
    (n, begun.elapsed())
}

fn appends(root: &Path, threads: u64) -> (u64, Duration) {
    let store = Store::create(root, "format = 1\n").unwrap();
    let (begun, n) = (Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (store, n) = (&store, &n);
            scope.spawn(move || {
                for i in 0.. {
                    if begun.elapsed() >= TIME {
                        return;
                    }
                    store.append(prepared(&event(&format!("t{thread}"), i)), now()).unwrap();
                    n.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let result = (n.load(Ordering::Relaxed), begun.elapsed());
    store.close(Duration::MAX).unwrap();
    result
}

/// The rows.
pub fn measure(folder: &Path) -> Vec<Row> {
    let (n, time) = raw(folder);
    let floor = rate(n, time);
    let mut rows = Vec::new();
    for threads in [1, 8, 32] {
        let (n, time) = appends(&folder.join(format!("append-{threads}")), threads);
        let what = format!("durable appends of one event, {threads} thread{}", if threads == 1 { "" } else { "s" });
        rows.push([what, rate(n, time), format!("fdatasync of 600 bytes: {floor}")]);
    }
    rows
}
