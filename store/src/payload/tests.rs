//! Tests of segments: what is kept is found, what is taken away is in no byte of any file, and damage is told.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use proptest::prelude::{ProptestConfig, any, prop};
use proptest::{prop_assert_eq, proptest};
use tempfile::TempDir;

use super::catalog::segments;
use super::*;

fn setup() -> (TempDir, Payloads) {
    let folder = tempfile::tempdir().unwrap();
    let payloads = Payloads::create(&folder.path().join("payloads")).unwrap();
    (folder, payloads)
}

/// Another process: what it knows of the folder is what it reads there.
fn other(payloads: &Payloads) -> Payloads {
    Payloads::open(&payloads.shared.folder).unwrap()
}

fn values(range: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    range.map(|n| format!("LNP1 value {n} {}", "x".repeat(n % 50)).into_bytes()).collect()
}

fn put(payloads: &Payloads, values: &[Vec<u8>]) {
    payloads.put_all(&values.iter().map(|value| (Blake3::of(value), &value[..])).collect::<Vec<_>>()).unwrap();
}

/// Gives the segment that is written to the index of a full one.
fn finish(payloads: &Payloads) {
    lock(&payloads.shared.appender).take().unwrap().finish().unwrap();
}

fn files(payloads: &Payloads) -> Vec<PathBuf> {
    let names = segments(&payloads.shared.folder, &mut |_| {}).unwrap();
    names.iter().map(|name| name.path(&payloads.shared.folder)).collect()
}

fn holds(payloads: &Payloads, value: &[u8]) -> bool {
    let bytes = files(payloads).into_iter().map(|file| fs::read(file).unwrap());
    bytes.into_iter().any(|bytes| bytes.windows(value.len()).any(|window| window == value))
}

fn get(payloads: &Payloads, value: &[u8]) -> Option<Vec<u8>> {
    payloads.get(&Blake3::of(value)).unwrap()
}

fn count(payloads: &Payloads) -> usize {
    let mut n = 0;
    payloads.list(&mut |_, _| n += 1).unwrap();
    n
}

fn later() -> SystemTime {
    SystemTime::now() + Duration::from_hours(1)
}

#[test]
fn what_is_kept_is_private_and_found_by_everyone() {
    let (_folder, payloads) = setup();
    let beside = other(&payloads);
    let values = values(0..300);
    assert_eq!(get(&beside, &values[0]), None);
    put(&payloads, &values[..1]);
    put(&payloads, &values[1..]);
    for value in &values {
        assert_eq!(get(&payloads, value).as_ref(), Some(value));
        assert_eq!(get(&beside, value).as_ref(), Some(value));
    }
    assert_eq!((files(&payloads).len(), count(&beside)), (1, 300));
    assert_eq!(fs::metadata(&files(&payloads)[0]).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(payloads.check().unwrap(), []);
    for wrong in [&b"other"[..], b"", b"\0\0\0\0zeros"] {
        assert!(payloads.put(&Blake3::of(b"LNP1"), wrong).is_err());
        assert!(wrong == b"other" || payloads.put(&Blake3::of(wrong), wrong).is_err(), "it would look erased");
    }
}

#[test]
fn writers_have_segments_of_their_own_and_take_over_what_is_free() {
    let (_folder, first) = setup();
    let values = values(0..6);
    let second = other(&first);
    put(&first, &values[..1]);
    put(&second, &values[1..2]);
    assert_eq!(files(&first).len(), 2, "one each");
    drop(second);
    let third = other(&first);
    put(&third, &values[2..3]);
    assert_eq!(files(&first).len(), 2, "the third goes on where the second stopped");
    finish(&third);
    put(&third, &values[3..4]);
    let names = segments(&first.shared.folder, &mut |_| {}).unwrap();
    let names: Vec<_> = names.iter().map(|name| (name.number, name.is_full)).collect();
    assert_eq!(names, [(1, false), (2, true), (3, false)]);
    for reader in [&first, &third, &other(&first)] {
        assert!(values[..4].iter().all(|value| get(reader, value).as_ref() == Some(value)));
        assert_eq!(count(reader), 4);
    }
    assert_eq!(first.check().unwrap(), []);
}

#[test]
fn a_full_segment_gets_its_index() {
    let (_folder, payloads) = setup();
    let large = [b"LNP1".to_vec(), vec![7; 17 * 1024 * 1024]].concat();
    put(&payloads, std::slice::from_ref(&large));
    put(&payloads, &values(0..3));
    let names = segments(&payloads.shared.folder, &mut |_| {}).unwrap();
    assert!(names.len() == 2 && names[0].is_full && !names[1].is_full);
    assert_eq!(get(&other(&payloads), &large), Some(large));
    assert_eq!(payloads.check().unwrap(), []);
}

#[test]
fn what_is_taken_away_is_in_no_byte() {
    let (_folder, payloads) = setup();
    let values = values(0..40);
    put(&payloads, &values[..20]);
    finish(&payloads);
    put(&payloads, &values[20..]);
    let beside = other(&payloads);
    assert!(get(&beside, &values[3]).is_some() && holds(&payloads, &values[3]));
    let gone: Vec<&Vec<u8>> = values.iter().step_by(3).collect();
    let digests: HashSet<Blake3> = gone.iter().map(|value| Blake3::of(value)).collect();
    // By another process than the one that writes.
    assert_eq!(other(&payloads).remove_all(&digests).unwrap(), gone.len() as u64);
    assert_eq!(payloads.remove_all(&digests).unwrap(), 0, "once");
    for value in &values {
        let is_gone = gone.contains(&value);
        // Without its mark, which is overwritten first.
        assert_eq!((holds(&payloads, &value[4..]), get(&beside, value).is_some()), (!is_gone, !is_gone));
        assert!(payloads.spot(&Blake3::of(value)).unwrap().is_some(), "where it was");
    }
    assert_eq!((count(&beside), payloads.check().unwrap()), (values.len() - gone.len(), Vec::new()));
    put(&payloads, &[gone[0].clone()]);
    assert_eq!(get(&beside, gone[0]).as_ref(), Some(gone[0]), "it came back");
    let all = values.iter().map(|value| Blake3::of(value)).collect();
    payloads.remove_all(&all).unwrap();
    assert_eq!(files(&payloads).len(), 1, "that which is written to");
    drop(payloads);
    beside.remove_all(&all).unwrap();
    assert!(values.iter().all(|value| !holds(&beside, &value[4..])));
}

/// A crash after a value was marked as erased, before its bytes were overwritten.
#[test]
fn a_removal_that_was_interrupted_is_finished() {
    let (_folder, payloads) = setup();
    let values = values(0..3);
    put(&payloads, &values);
    let spot = payloads.spot(&Blake3::of(&values[1])).unwrap().unwrap();
    let mut bytes = fs::read(&spot.file).unwrap();
    bytes[spot.offset as usize..][..4].fill(0);
    fs::write(&spot.file, bytes).unwrap();
    assert_eq!((get(&payloads, &values[1]), count(&payloads)), (None, 2));
    assert!(holds(&payloads, &values[1][4..]));
    assert!(!payloads.remove(&Blake3::of(&values[1])).unwrap(), "it was gone");
    assert!(!holds(&payloads, &values[1][4..]));
}

/// A writer that is killed leaves a block of any length behind.
#[test]
fn what_a_killed_writer_leaves_harms_nothing() {
    let values = values(0..12);
    let (_folder, whole) = setup();
    put(&whole, &values[..4]);
    let before = fs::metadata(&files(&whole)[0]).unwrap().len() as usize;
    put(&whole, &values[4..8]);
    let bytes = fs::read(&files(&whole)[0]).unwrap();
    for length in before + 1..bytes.len() {
        let (_folder, payloads) = setup();
        fs::write(payloads.shared.folder.join("000000000001.open"), &bytes[..length]).unwrap();
        put(&payloads, &values[8..]);
        assert_eq!(files(&payloads).len(), 2, "nothing is written behind it");
        let found: Vec<bool> = values.iter().map(|value| get(&payloads, value).is_some()).collect();
        assert_eq!(found, (0..12).map(|n| !(4..8).contains(&n)).collect::<Vec<_>>());
        let flaws = payloads.check().unwrap();
        assert!(flaws.len() == 1 && flaws[0].is_leftover && flaws[0].offset == before as u64, "{flaws:?}");
        payloads.compact(later()).unwrap();
        assert_eq!(payloads.check().unwrap(), []);
        assert_eq!(fs::metadata(&files(&payloads)[0]).unwrap().len(), before as u64);
    }
}

/// Every bit of a segment, full or not: the damage is told by the check, or by whoever reads a value.
#[test]
fn every_flipped_bit_is_found() {
    for is_full in [false, true] {
        let (_folder, payloads) = setup();
        let values = values(0..3);
        put(&payloads, &values[..2]);
        put(&payloads, &values[2..]);
        if is_full {
            finish(&payloads);
        }
        let file = files(&payloads).remove(0);
        let good = fs::read(&file).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, &bad).unwrap();
            let reader = other(&payloads);
            let flaws = reader.check().unwrap();
            let missed = values
                .iter()
                .filter(|value| !matches!(reader.get(&Blake3::of(value)), Ok(Some(bytes)) if bytes == **value));
            let is_read = missed.count() == 0;
            assert!(!flaws.is_empty() || !is_read, "bit {bit}");
            assert!(!is_full || is_read || bit / 8 < good.len() - 3 * 44 - 32, "values are found without the index");
        }
    }
}

#[test]
fn what_nothing_names_goes_and_segments_shrink() {
    let (_folder, payloads) = setup();
    let values = values(0..100);
    put(&payloads, &values);
    finish(&payloads);
    put(&payloads, &values[..1]);
    let named: HashSet<Blake3> = values[..10].iter().map(|value| Blake3::of(value)).collect();
    let early = SystemTime::UNIX_EPOCH;
    assert_eq!(payloads.remove_unnamed(&named, early, false).unwrap(), Tidied::default(), "they may be named yet");
    let bytes = values[10..].iter().map(|value| value.len() as u64).sum();
    let tidied = Tidied { values: 90, bytes };
    assert_eq!(payloads.remove_unnamed(&named, later(), true).unwrap(), tidied);
    assert_eq!(count(&payloads), 101, "a dry run touches nothing");
    assert!(!payloads.is_worn(later()).unwrap());
    assert_eq!(payloads.remove_unnamed(&named, later(), false).unwrap(), tidied);
    let beside = other(&payloads);
    assert!(get(&beside, &values[5]).is_some());
    assert!(payloads.is_worn(later()).unwrap());
    payloads.compact(later()).unwrap();
    assert!(!payloads.is_worn(later()).unwrap());
    assert_eq!((files(&payloads).len(), count(&payloads)), (1, 11));
    assert!(values.iter().enumerate().all(|(n, value)| get(&beside, value).is_some() == (n < 10)));
    assert_eq!(payloads.check().unwrap(), []);
}

/// A segment with damage is kept whatever is left of it: something may still be saved.
#[test]
fn a_damaged_segment_is_never_removed() {
    let (_folder, payloads) = setup();
    let values = values(0..10);
    for value in &values {
        put(&payloads, std::slice::from_ref(value));
    }
    finish(&payloads);
    let spot = payloads.spot(&Blake3::of(&values[1])).unwrap().unwrap();
    let mut bytes = fs::read(&spot.file).unwrap();
    // The table before the value.
    bytes[spot.offset as usize - 10] ^= 1;
    fs::write(&spot.file, bytes).unwrap();
    payloads.remove_all(&values[..9].iter().map(|value| Blake3::of(value)).collect()).unwrap();
    payloads.compact(later()).unwrap();
    assert!(get(&payloads, &values[9]).is_some() && spot.file.exists());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against a plain map: several processes that put, take away, tidy and end.
    #[test]
    fn segments_are_a_map(steps in prop::collection::vec((0..6_u8, 0..20_usize, any::<bool>()), 1..60)) {
        let (_folder, payloads) = setup();
        let values = values(0..20);
        let mut processes = [payloads];
        let mut beside = other(&processes[0]);
        let mut model: BTreeMap<usize, bool> = BTreeMap::new();
        for (step, n, first) in steps {
            let payloads = if first { &mut processes[0] } else { &mut beside };
            let digest = Blake3::of(&values[n]);
            match step {
                0 | 1 => {
                    put(payloads, &values[n..=n]);
                    model.insert(n, true);
                }
                2 => {
                    let was = model.insert(n, false) == Some(true);
                    prop_assert_eq!(payloads.remove(&digest).unwrap(), was);
                }
                3 => payloads.compact(later()).unwrap(),
                4 => *payloads = other(payloads),
                _ => {
                    if let Some(appender) = lock(&payloads.shared.appender).take() {
                        appender.finish().unwrap();
                    }
                }
            }
            for (n, value) in values.iter().enumerate() {
                let wanted = model.get(&n) == Some(&true);
                prop_assert_eq!(get(&processes[0], value).is_some(), wanted);
                prop_assert_eq!(get(&beside, value).is_some(), wanted);
            }
        }
        prop_assert_eq!(processes[0].check().unwrap(), []);
    }
}
