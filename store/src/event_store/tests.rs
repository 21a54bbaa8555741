//! Tests of the event store: growth, damage, set-asides, budgets.

use tempfile::TempDir;

use super::*;
use crate::time::Time;

pub(super) const SOON: Duration = Duration::from_secs(20);

fn event(i: u64) -> Vec<u8> {
    format!(r#"{{"id":"e-{i}","digest":"{}"}}"#, crate::digest::Blake3::of(&i.to_le_bytes())).into_bytes()
}

pub(super) fn append(journal: &Journal, until: u64) {
    let mut writer = journal.lock(SOON).unwrap();
    while writer.count() < until {
        let i = writer.count();
        writer.append(None, &event(i), Time(i as i64));
    }
    writer.commit().unwrap();
}

fn fixture(events: u64) -> (TempDir, Journal, PathBuf) {
    let temp = TempDir::new().unwrap();
    let journal = Journal::create(&temp.path().join("journal")).unwrap();
    append(&journal, events);
    let dir = temp.path().join("sled");
    (temp, journal, dir)
}

pub(super) fn open(dir: &Path) -> EventStore {
    EventStore::open(dir).unwrap().unwrap()
}

pub(super) fn check(store: &EventStore, journal: &Journal, count: u64) {
    assert_eq!(store.head(), count);
    let mut next = 0;
    let mut see = |record: crate::journal::Record<'_>| {
        assert_eq!((record.position, record.leaf), (next, &*event(next)));
        next += 1;
        Ok(())
    };
    store.scan(0, u64::MAX, &mut see).unwrap();
    assert_eq!(next, count);
    assert_eq!(store.verify_against(journal).unwrap(), []);
    assert!(store.get(count).is_err());
}

#[test]
fn it_holds_every_event_however_they_arrive() {
    let (_temp, journal, dir) = fixture(0);
    let mut total = 0;
    for step in [1, 1, 2, 500, 1023, 1, 1024, 3000, 7, 1, 4000, 1] {
        let before = total;
        total += step;
        append(&journal, total);
        let mut store = open(&dir);
        assert_eq!(store.head(), before);
        assert_eq!(store.catch_up(&journal, u64::MAX, SOON).unwrap(), total);
        check(&store, &journal, total);
        assert!(EventStore::open(&dir).unwrap().is_none(), "a second one does without");
    }
    open(&dir).close().unwrap();
    check(&open(&dir), &journal, total);
}

#[test]
fn bulk_lines_are_taken_once_and_in_order() {
    let (_temp, journal, dir) = fixture(3000);
    let mut lines = Vec::new();
    journal.read_from(0, 3000, &mut |r| Ok(lines.extend_from_slice(r.line))).unwrap();
    let mut store = open(&dir);
    store.append_lines(0, &lines).unwrap();
    store.append_lines(0, &lines).unwrap();
    check(&store, &journal, 3000);
    assert!(store.append_lines(3001, b"3001 00000000 - {}\n").is_err());
    drop(store);
    check(&open(&dir), &journal, 3000);
}

#[test]
fn lines_that_do_not_compress_stay_below_the_limit_of_a_value() {
    let (_temp, journal, dir) = fixture(0);
    let mut writer = journal.lock(SOON).unwrap();
    let noise = |i: u64| -> String {
        let bytes = (0..600_u64).flat_map(|j| crate::digest::Blake3::of(&(i * 1000 + j).to_le_bytes()).0);
        bytes.map(|b| char::from(b'#' + b % 90)).collect()
    };
    for i in 0..100 {
        writer.append(None, noise(i).as_bytes(), Time(0));
    }
    writer.commit().unwrap();
    drop(writer);
    let mut store = open(&dir);
    store.catch_up(&journal, u64::MAX, SOON).unwrap();
    assert_eq!(store.verify_against(&journal).unwrap(), []);
    let trees = store.trees().unwrap();
    assert!(trees.blocks.iter().values().all(|value| value.unwrap().len() <= VALUE_BYTES_MAX));
    store.close().unwrap();
    assert_eq!(open(&dir).verify_against(&journal).unwrap(), []);
}

#[test]
fn one_that_is_ahead_or_differs_is_set_aside() {
    let (temp, journal, dir) = fixture(50);
    open(&dir).catch_up(&journal, u64::MAX, SOON).unwrap();
    for events in [49, 50, 60] {
        let other = Journal::create(&temp.path().join(format!("other-{events}"))).unwrap();
        let mut writer = other.lock(SOON).unwrap();
        for i in 0..events {
            writer.append(None, b"{\"other\":1}", Time(i));
        }
        writer.commit().unwrap();
        drop(writer);
        let mut store = open(&dir);
        assert_eq!(store.catch_up(&other, u64::MAX, SOON).unwrap(), events as u64);
        assert_eq!(store.verify_against(&other).unwrap(), []);
        drop(store);
        let mut store = open(&dir);
        store.catch_up(&journal, u64::MAX, SOON).unwrap();
        check(&store, &journal, 50);
    }
    let aside = fs::read_dir(temp.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("sled.damaged-"));
    assert_eq!(aside.count(), 1);
}

#[test]
fn a_half_written_snapshot_is_moved_aside() {
    let (_temp, journal, dir) = fixture(50);
    for bytes in [b"".as_slice(), b"x", &vec![7; 163_840]] {
        open(&dir).catch_up(&journal, u64::MAX, SOON).unwrap();
        fs::write(dir.join("snap.00000000000000AB.generating"), bytes).unwrap();
        let store = open(&dir);
        assert!(!store.is_rebuilding());
        check(&store, &journal, 50);
    }
}

#[test]
fn whatever_damage_ends_in_a_correct_copy() {
    let (_temp, journal, dir) = fixture(5000);
    open(&dir).catch_up(&journal, u64::MAX, SOON).unwrap();
    let db = dir.join("db");
    let good = fs::read(&db).unwrap();
    let mut rebuilt = 0;
    for round in 0..60 {
        let mut bytes = good.clone();
        match round {
            0 => bytes.clear(),
            1 => bytes.truncate(good.len() / 2),
            2 => bytes.fill(0xff),
            _ => {
                let at = (round * 7919 * 131) % bytes.len();
                bytes[at] ^= 1 << (round % 8);
            }
        }
        drop(fs::remove_dir_all(&dir));
        fs::create_dir_all(&dir).unwrap();
        fs::write(&db, bytes).unwrap();
        let mut store = open(&dir);
        store.catch_up(&journal, u64::MAX, SOON).unwrap();
        if !store.verify_against(&journal).unwrap().is_empty() {
            store.renew().unwrap();
            assert!(store.is_rebuilding());
            store.catch_up(&journal, u64::MAX, SOON).unwrap();
            assert!(!store.is_rebuilding());
            rebuilt += 1;
        }
        check(&store, &journal, 5000);
    }
    assert!(rebuilt < 60);
}

#[test]
fn a_budget_is_kept() {
    let (_temp, journal, dir) = fixture(20_000);
    let mut store = open(&dir);
    let reached = store.catch_up(&journal, u64::MAX, Duration::ZERO).unwrap();
    assert!((1..20_000).contains(&reached), "{reached}");
    drop(store);
    assert_eq!(open(&dir).head(), reached);
}
