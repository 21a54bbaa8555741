//! Tests of shared frames: copied from the journal, behind a tail, after kills and damage, in both directions.

use std::sync::Arc;

use tempfile::TempDir;

use super::tail::BLOCKS_MAX;
use super::tests::{SOON, append, check, open};
use super::*;
use crate::journal::Disk;

/// A segment has some four blocks of the tail.
const SEGMENT: u64 = 400_000;

fn fixture(segment_bytes: u64) -> (TempDir, Journal, PathBuf) {
    let temp = TempDir::new().unwrap();
    let journal = Journal::create_on(Arc::new(Disk), &temp.path().join("journal"), segment_bytes).unwrap();
    let dir = temp.path().join("sled");
    (temp, journal, dir)
}

fn copy(from: &Path, to: &Path) {
    drop(fs::remove_dir_all(to));
    fs::create_dir_all(to.join("blobs")).unwrap();
    for folder in ["", "blobs"] {
        for entry in fs::read_dir(from.join(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_file() {
                fs::copy(&entry, to.join(folder).join(entry.file_name().unwrap())).unwrap();
            }
        }
    }
}

/// The sealed files of a journal.
fn sealed(journal: &Journal) -> Vec<PathBuf> {
    let paths = fs::read_dir(journal.dir()).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "zst")).collect();
    paths.sort();
    paths
}

/// How many frames of the journal sled has, byte for byte, and how many blocks.
fn shared(store: &EventStore, journal: &Journal) -> (usize, usize) {
    let blocks = &store.trees().unwrap().blocks;
    let mut same = 0;
    let mut see = |frame: &StoredFrame<'_>| {
        let value = blocks.get(frame.first.to_be_bytes()).unwrap();
        same += usize::from(value.is_some_and(|value| value.ends_with(frame.bytes)));
        Ok(true)
    };
    journal.frames_from(0, &mut see).unwrap();
    (same, blocks.len())
}

#[test]
fn sealed_frames_are_copied_and_the_tail_gives_way() {
    let (_temp, journal, dir) = fixture(SEGMENT);
    let (mut total, mut mixed) = (0, 0);
    for step in [1, 700, 1, 3000, 200, 1, 5000, 1500, 1, 1500, 1500, 1, 9000, 1, 3] {
        total += step;
        append(&journal, total);
        let mut store = open(&dir);
        assert_eq!(store.catch_up(&journal, u64::MAX, SOON).unwrap(), total);
        check(&store, &journal, total);
        mixed += usize::from(store.packed > 0 && store.blocks.end().is_some() && store.starts.len() > 1);
        drop(store);
        check(&open(&dir), &journal, total);
    }
    assert!(mixed > 2, "blocks that stay, blocks of the tail and slots at once: {mixed}");
    let store = open(&dir);
    let (same, blocks) = shared(&store, &journal);
    assert_eq!(same, blocks);
    assert!(same >= sealed(&journal).len() && same > 4, "{same}");
    assert_eq!(store.packed, journal.head().unwrap().segment);
}

#[test]
fn a_rebuilt_one_is_the_same() {
    let (_temp, journal, dir) = fixture(SEGMENT);
    append(&journal, 3000);
    append(&journal, 12_000);
    append(&journal, 13_500);
    let mut store = open(&dir);
    store.catch_up(&journal, u64::MAX, SOON).unwrap();
    let before = (store.packed, shared(&store, &journal));
    store.renew().unwrap();
    store.catch_up(&journal, u64::MAX, SOON).unwrap();
    check(&store, &journal, 13_500);
    assert_eq!((store.packed, shared(&store, &journal)), before);
}

#[test]
fn a_kill_between_sealing_and_catching_up_costs_nothing() {
    let (temp, journal, dir) = fixture(50_000);
    let killed = temp.path().join("killed");
    let mut total = 0;
    for round in 0..12 {
        // The segments of this round are sealed; what sled has is from before.
        total += 1300;
        (total - 1300..=total).step_by(130).for_each(|until| append(&journal, until));
        let mut store = open(&dir);
        for _ in 0..round % 4 {
            // One frame at a time, and killed after each.
            store.take_frames(&journal, u64::MAX, &|| false).unwrap();
            store.flush().unwrap();
            copy(&dir, &killed);
            let mut left = open(&killed);
            assert!(left.head() >= left.packed && left.packed == store.packed);
            assert_eq!(left.catch_up(&journal, u64::MAX, SOON).unwrap(), total);
            check(&left, &journal, total);
        }
        if round % 3 != 1 {
            store.catch_up(&journal, u64::MAX, SOON).unwrap();
            check(&store, &journal, total);
        }
    }
}

#[test]
fn frames_that_replace_half_of_the_tail_leave_the_other_half() {
    let (_temp, journal, dir) = fixture(SEGMENT);
    let held = File::open(journal.dir().join("000000000000.log")).unwrap();
    held.lock().unwrap();
    append(&journal, 4000);
    append(&journal, 6500);
    let mut store = open(&dir);
    store.catch_up(&journal, u64::MAX, SOON).unwrap();
    assert_eq!((store.packed, store.head()), (0, 6500));
    drop(held);
    append(&journal, 8000);
    append(&journal, 8100);
    store.take_frames(&journal, u64::MAX, &|| true).unwrap();
    assert!(store.packed >= 4000 && store.head() >= 6500, "{} {}", store.packed, store.head());
    for position in 0..store.head() {
        assert_eq!(store.line(position).unwrap(), {
            let mut line = Vec::new();
            journal.read_from(position, position + 1, &mut |r| Ok(line.extend_from_slice(r.line))).unwrap();
            line
        });
    }
    drop(store);
    let mut store = open(&dir);
    store.catch_up(&journal, u64::MAX, SOON).unwrap();
    check(&store, &journal, 8100);
}

#[test]
fn a_segment_that_is_never_sealed_does_not_stop_it() {
    let (_temp, journal, dir) = fixture(SEGMENT);
    let held = File::open(journal.dir().join("000000000000.log")).unwrap();
    held.lock().unwrap();
    let total = BLOCK_LINES * (BLOCKS_MAX as u64 + 2);
    (0..=total).step_by(1024).for_each(|until| append(&journal, until));
    let mut store = open(&dir);
    store.catch_up(&journal, u64::MAX, SOON).unwrap();
    check(&store, &journal, total);
    assert!(store.packed > 0, "the oldest blocks stay");
    drop(held);
    let until = total + 20_000;
    (total..=until).step_by(1000).for_each(|until| append(&journal, until));
    append(&journal, until);
    store.catch_up(&journal, u64::MAX, SOON).unwrap();
    check(&store, &journal, until);
    let (same, blocks) = shared(&store, &journal);
    assert!(same > 3 && same < blocks, "{same} of {blocks}");
    drop(store);
    check(&open(&dir), &journal, until);
}

#[test]
fn a_damaged_frame_comes_back_from_the_tail_and_a_damaged_store_from_the_frames() {
    let (_temp, journal, dir) = fixture(SEGMENT);
    append(&journal, 3000);
    let mut store = open(&dir);
    store.catch_up(&journal, u64::MAX, SOON).unwrap();
    append(&journal, 6000);
    append(&journal, 6001);
    let path = sealed(&journal).remove(0);
    let good = fs::read(&path).unwrap();
    let mut bytes = good.clone();
    bytes[good.len() / 2] ^= 1;
    fs::write(&path, &bytes).unwrap();
    // Nothing of the damaged frame is taken, and what there is of it is kept.
    assert!(store.catch_up(&journal, u64::MAX, SOON).is_err());
    assert_eq!(store.head(), 3000);
    assert!((0..3000).all(|position| store.get(position).is_ok()));
    fs::write(&path, &good).unwrap();
    store.catch_up(&journal, u64::MAX, SOON).unwrap();
    for damage in [good.len() / 3, good.len() - 40] {
        let mut bytes = fs::read(&path).unwrap();
        bytes[damage] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(!journal.verify(&mut |_, _| {}).unwrap().is_good());
        let repaired = journal.repair_from(&store).unwrap();
        assert!(repaired.failed.is_empty() && repaired.records > 0, "{repaired:?}");
        check(&store, &journal, 6001);
        journal.lock(SOON).unwrap().seal().unwrap();
        assert_eq!(fs::read(&path).unwrap(), good, "sealed again, it is the same");
        store.catch_up(&journal, u64::MAX, SOON).unwrap();
        check(&store, &journal, 6001);
    }
    drop(store);
    let blobs = fs::read_dir(dir.join("blobs")).unwrap().map(|entry| entry.unwrap().path());
    for path in blobs.chain([dir.join("db")]) {
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..].iter_mut().take(2000).for_each(|byte| *byte ^= 0x55);
        fs::write(&path, bytes).unwrap();
    }
    let mut store = open(&dir);
    if store.catch_up(&journal, u64::MAX, SOON).is_err() || !store.verify_against(&journal).unwrap().is_empty() {
        store.renew().unwrap();
        store.catch_up(&journal, u64::MAX, SOON).unwrap();
    }
    check(&store, &journal, 6001);
}

#[test]
fn a_damaged_frame_whose_events_are_in_the_tail_stops_nothing() {
    let (_temp, journal, dir) = fixture(SEGMENT);
    append(&journal, 5000);
    let mut store = open(&dir);
    store.catch_up(&journal, u64::MAX, SOON).unwrap();
    append(&journal, 5001);
    let path = sealed(&journal).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(store.catch_up(&journal, u64::MAX, SOON).unwrap(), 5001);
    assert_eq!(store.packed, 0);
    assert_eq!(journal.repair_from(&store).unwrap().failed, Vec::<String>::new());
    check(&store, &journal, 5001);
}

#[test]
fn a_bulk_load_is_fed_while_it_goes_on() {
    let (_temp, journal, dir) = fixture(50_000);
    append(&journal, 10);
    let feeder = Feeder::start(&dir, &journal).unwrap().unwrap();
    assert!(Feeder::start(&dir, &journal).unwrap().is_none());
    for until in (0..20_000).step_by(250) {
        append(&journal, until);
        feeder.wake();
    }
    let store = feeder.finish().unwrap();
    check(&store, &journal, 19_750);
    let (same, blocks) = shared(&store, &journal);
    assert_eq!(same, blocks);
    drop(store);
    // One that is dropped gives the event store back, too.
    let feeder = Feeder::start(&dir, &journal).unwrap().unwrap();
    append(&journal, 21_000);
    feeder.wake();
    drop(feeder);
    let mut store = open(&dir);
    store.catch_up(&journal, u64::MAX, SOON).unwrap();
    check(&store, &journal, 21_000);
}

#[test]
fn blocks_of_the_tail_take_turns() {
    let mut blocks = TailBlocks::default();
    let mut next = 100;
    for round in 0..40_u64 {
        let key = blocks.next_key();
        blocks.push(next..next + 10 + round);
        assert_eq!(blocks.of(next), Some((key, next)));
        next += 10 + round;
        let again = TailBlocks::decode(&blocks.encode()).unwrap();
        assert_eq!((again.end(), again.oldest(), again.next_key()), (Some(next), blocks.oldest(), blocks.next_key()));
        if blocks.is_full() {
            let (start, end) = blocks.oldest().unwrap();
            assert!(blocks.begins_by(start) && !blocks.begins_by(start - 1));
            blocks.drop_before(end);
            assert_eq!(blocks.of(start), None);
        }
    }
    assert!(TailBlocks::decode(b"").is_none() && TailBlocks::decode(b"1234").is_none());
    blocks.drop_before(u64::MAX);
    assert_eq!((blocks.end(), TailBlocks::decode(&blocks.encode()).unwrap().end()), (None, None));
}
