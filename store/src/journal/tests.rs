//! Tests of the journal: round trips, torn tails, flipped bits, full disks, two processes, repair.

use std::os::unix::fs::FileExt as _;

use tempfile::TempDir;

use super::*;
use crate::digest::Received;
use crate::time::Time;

pub(super) const WAIT: Duration = Duration::from_secs(5);
/// Small segments, so that a few events make several.
pub(super) const SMALL: u64 = 4096;

pub(super) fn leaf(i: u64) -> Vec<u8> {
    let recorded = Time(1_700_000_000_000_000_000 + i as i64 * 1_000_000).micros();
    let digest = crate::digest::Blake3::of(&i.to_le_bytes());
    format!(r#"{{"actor":"ana","id":"e-{i}","outputs":[{{"digest":"{digest}"}}],"recorded":"{recorded}","v":1}}"#)
        .into_bytes()
}

fn received(i: u64) -> Option<Received> {
    (!i.is_multiple_of(3)).then(|| Received::of(&crate::digest::Blake3::of(&leaf(i))))
}

pub(super) fn append(writer: &mut JournalWriter, events: std::ops::Range<u64>) {
    for i in events {
        assert_eq!(writer.append(received(i), &leaf(i), Time(i as i64)), i);
    }
}

pub(super) fn check(journal: &Journal, count: u64) {
    assert_eq!(journal.head().unwrap().count, count);
    let mut next = 0;
    journal
        .read_from(0, u64::MAX, &mut |record| {
            assert_eq!((record.position, record.received, record.leaf), (next, received(next), &*leaf(next)));
            next += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(next, count);
}

pub(super) fn journal_of(dir: &Path, events: u64, segment_bytes: u64) -> Journal {
    let journal = Journal::create_on(Arc::new(Disk), dir, segment_bytes).unwrap();
    let mut writer = journal.lock(WAIT).unwrap();
    for i in 0..events {
        append(&mut writer, i..i + 1);
        if i % 7 == 6 {
            writer.commit().unwrap();
        }
    }
    writer.commit().unwrap();
    journal
}

pub(super) fn folder() -> (TempDir, PathBuf) {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("journal");
    (temp, dir)
}

#[test]
fn what_is_appended_is_read() {
    let (_temp, dir) = folder();
    let journal = journal_of(&dir, 500, SMALL);
    check(&journal, 500);
    check(&Journal::open(&dir).unwrap(), 500);
    let reader = Journal::open(&dir).unwrap();
    for i in (0..500).rev().chain(0..500).chain([3, 499, 0, 250]) {
        let record = reader.get(i).unwrap();
        assert_eq!((record.position, record.received, record.leaf), (i, received(i), leaf(i)));
        let mut seen = Vec::new();
        reader.read_from(i, i + 2, &mut |r| Ok(seen.push(r.position))).unwrap();
        assert_eq!(seen, (i..500.min(i + 2)).collect::<Vec<_>>());
    }
    assert!(matches!(reader.get(500), Err(StoreError::BeyondHead { .. })));
    assert!(matches!(reader.read_from(501, 502, &mut |_| Ok(())), Err(StoreError::BeyondHead { .. })));
    let report = reader.verify(&mut |_, _| {}).unwrap();
    assert_eq!((report.good, report.damaged, report.cut.len()), (500, 0, 0), "{report:?}");
    assert!(segment::list(&dir).unwrap().iter().filter(|s| s.form == segment::Form::Sealed).count() > 5);
    assert!(matches!(Journal::create(&dir), Err(StoreError::StoreExists { .. })));
    let writer = reader.lock(WAIT).unwrap();
    assert_eq!((writer.count(), writer.recorded_last()), (500, Time(499)));
}

#[test]
fn sealed_segments_are_plain_lines_to_zstd() {
    let (_temp, dir) = folder();
    let journal = journal_of(&dir, 100, SMALL);
    let mut text = Vec::new();
    for segment in segment::list(&dir).unwrap() {
        let bytes = fs::read(segment.path(&dir)).unwrap();
        match segment.form {
            segment::Form::Log => text.extend(bytes),
            segment::Form::Sealed => text.extend(zstd::stream::decode_all(&*bytes).unwrap()),
        }
    }
    let mut lines = Vec::new();
    journal.read_from(0, 100, &mut |record| Ok(lines.extend_from_slice(record.line))).unwrap();
    assert_eq!(text, lines);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_nothing_before_it() {
    let (_temp, dir) = folder();
    let journal = journal_of(&dir, 20, SEGMENT_BYTES);
    let log = segment::log_path(&dir, 0);
    let before = journal.head().unwrap();
    let published = fs::read(dir.join("head")).unwrap();
    let mut writer = journal.lock(WAIT).unwrap();
    append(&mut writer, 20..22);
    writer.commit().unwrap();
    drop(writer);
    let whole = fs::read(&log).unwrap();
    let middle = Lines::new(&whole).nth(21).unwrap().0;
    for length in before.length as usize..=whole.len() {
        fs::write(&log, &whole[..length]).unwrap();
        fs::write(dir.join("head"), &published).unwrap();
        let torn = length != before.length as usize && length != middle && length != whole.len();
        let journal = Journal::open(&dir).unwrap();
        check(&journal, 20);
        let writer = journal.lock(WAIT).unwrap();
        let kept = if length == whole.len() { 22 } else { 20 + u64::from(length >= middle) };
        assert_eq!(writer.count(), kept, "{length}");
        assert_eq!(writer.recorded_last(), if kept == 20 { Time(19) } else { leaf_time(kept - 1) });
        drop(writer);
        check(&journal, kept);
        let report = journal.verify(&mut |_, _| {}).unwrap();
        assert_eq!((report.damaged, report.cut.len()), (0, usize::from(torn)), "{length}");
        for cut in report.cut {
            assert_eq!(
                fs::read(&cut.file).unwrap(),
                &whole[if kept == 20 { before.length as usize } else { middle }..length]
            );
            fs::remove_file(cut.file).unwrap();
        }
    }
}

fn leaf_time(i: u64) -> Time {
    Time(1_700_000_000_000_000_000 + i as i64 * 1_000_000)
}

#[test]
fn settling_publishes_what_the_head_does_not_name_yet() {
    let (_temp, dir) = folder();
    let journal = journal_of(&dir, 5, SMALL);
    let old = fs::read(dir.join("head")).unwrap();
    let mut writer = journal.lock(WAIT).unwrap();
    for i in 5..60 {
        append(&mut writer, i..i + 1);
        writer.commit().unwrap();
    }
    drop(writer);
    assert!(!journal.settle().unwrap());
    // Older than the head of any power loss: some segments were sealed since.
    fs::write(dir.join("head"), old).unwrap();
    let journal = Journal::open(&dir).unwrap();
    assert_eq!(journal.head().unwrap().count, 5);
    drop(journal.lock(WAIT).unwrap());
    check(&journal, 60);
}

#[test]
fn a_head_beyond_the_data_is_damage() {
    let (_temp, dir) = folder();
    let journal = journal_of(&dir, 20, SEGMENT_BYTES);
    let log = segment::log_path(&dir, 0);
    let whole = fs::read(&log).unwrap();
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(&log, &whole[..length]).unwrap();
        assert!(journal.lock(WAIT).unwrap_err().is_corrupt());
        assert!(Journal::open(&dir).unwrap().read_from(0, 20, &mut |_| Ok(())).unwrap_err().is_corrupt());
        assert!(!journal.verify(&mut |_, _| {}).unwrap().is_good());
        assert_eq!(fs::read(&log).unwrap(), &whole[..length]);
    }
    fs::remove_file(&log).unwrap();
    assert!(journal.lock(WAIT).unwrap_err().is_corrupt());
    assert!(!journal.verify(&mut |_, _| {}).unwrap().is_good());
}

/// Damages each file in every way; each must be found at the file, and reading must never panic.
fn every_damage(dir: &Path, step: usize) {
    let journal = Journal::open(dir).unwrap();
    assert!(journal.verify(&mut |_, _| {}).unwrap().is_good());
    for name in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        let Ok(bytes) = fs::read(&name) else { continue };
        if name.ends_with("reserve") || name.ends_with("lock") {
            continue;
        }
        let file = fs::OpenOptions::new().write(true).open(&name).unwrap();
        for bit in (0..bytes.len() * 8).step_by(step) {
            let at = bit / 8;
            file.write_all_at(&[bytes[at] ^ 1 << (bit % 8)], at as u64).unwrap();
            judge(dir, &name, &format!("bit {bit}"), at as u64);
            file.write_all_at(&bytes[at..=at], at as u64).unwrap();
        }
        for length in (0..bytes.len()).step_by(step.div_ceil(8)) {
            file.set_len(length as u64).unwrap();
            judge(dir, &name, &format!("length {length}"), length as u64);
            file.write_all_at(&bytes, 0).unwrap();
        }
    }
    assert!(journal.verify(&mut |_, _| {}).unwrap().is_good());
}

fn judge(dir: &Path, file: &Path, how: &str, at: u64) {
    let found = Journal::open(dir).and_then(|journal| {
        let report = journal.verify(&mut |_, _| {})?;
        // What is still handed over must be right.
        let mut next = 0;
        drop(journal.read_from(0, u64::MAX, &mut |record| {
            assert_eq!((record.position, record.leaf), (next, &*leaf(next)));
            next += 1;
            Ok(())
        }));
        Ok(report)
    });
    match found {
        Ok(report) => {
            let damage = report.damage.first().unwrap_or_else(|| panic!("{how} of {} is not found", file.display()));
            assert_eq!(damage.file, file, "{how}: {damage:?}");
            assert!(
                damage.offset <= at || file.ends_with("head") || damage.what.contains("index"),
                "{how}: {damage:?}"
            );
        }
        Err(error) => assert!(file.ends_with("head"), "{how} of {}: {error}", file.display()),
    }
}

#[test]
fn every_flip_and_truncation_is_found_in_plain_lines() {
    let (_temp, dir) = folder();
    drop(journal_of(&dir, 40, SEGMENT_BYTES));
    every_damage(&fs::canonicalize(dir).unwrap(), 5);
}

#[test]
fn every_flip_and_truncation_is_found_in_sealed_segments() {
    let (_temp, dir) = folder();
    drop(journal_of(&dir, 80, SMALL));
    every_damage(&fs::canonicalize(dir).unwrap(), 5);
}

#[test]
#[ignore = "takes a minute: every bit of 200 events"]
fn every_flip_and_truncation_of_200_events_is_found() {
    for segment_bytes in [SEGMENT_BYTES, 40_000] {
        let (_temp, dir) = folder();
        drop(journal_of(&dir, 200, segment_bytes));
        every_damage(&fs::canonicalize(dir).unwrap(), 1);
    }
}

#[test]
fn deleted_swapped_and_doubled_records_are_found() {
    let (_temp, dir) = folder();
    let journal = journal_of(&dir, 30, SEGMENT_BYTES);
    let log = segment::log_path(&fs::canonicalize(&dir).unwrap(), 0);
    let whole = fs::read(&log).unwrap();
    let lines: Vec<&[u8]> = Lines::new(&whole).map(|(_, line)| line).collect();
    let attempt = |lines: Vec<&[u8]>| {
        fs::write(&log, lines.concat()).unwrap();
        let report = Journal::open(&dir).unwrap().verify(&mut |_, _| {}).unwrap();
        assert!(!report.is_good());
        assert_eq!(report.damage[0].file, log);
        assert!(report.damage.iter().map(|d| d.count).sum::<u64>() + report.good >= 30, "{report:?}");
    };
    for i in 0..29 {
        attempt(lines.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, l)| *l).collect());
        let mut swapped = lines.clone();
        swapped.swap(i, i + 1);
        attempt(swapped);
        let mut doubled = lines.clone();
        doubled.insert(i, lines[i]);
        attempt(doubled);
        let mut copied = lines.clone();
        copied[i] = lines[i + 1];
        attempt(copied);
    }
    fs::write(&log, &whole).unwrap();
    check(&journal, 30);
}

#[test]
fn a_missing_segment_is_found() {
    let (_temp, dir) = folder();
    let journal = journal_of(&dir, 200, SMALL);
    for segment in segment::list(&dir).unwrap() {
        let (path, away) = (segment.path(&dir), dir.join("away"));
        fs::rename(&path, &away).unwrap();
        let report = journal.verify(&mut |_, _| {}).unwrap();
        assert!(report.damage.iter().any(|d| d.position == segment.base), "{} {report:?}", segment.base);
        assert!(Journal::open(&dir).unwrap().read_from(0, 200, &mut |_| Ok(())).is_err());
        fs::rename(&away, &path).unwrap();
    }
    check(&journal, 200);
}

#[test]
fn two_journals_take_turns() {
    let (_temp, dir) = folder();
    let (a, b) = (journal_of(&dir, 0, SMALL), Journal::open_on(Arc::new(Disk), &dir, SMALL).unwrap());
    for i in 0..100 {
        let journal = if i % 3 == 0 { &a } else { &b };
        let mut writer = journal.lock(WAIT).unwrap();
        assert_eq!(writer.count(), i);
        append(&mut writer, i..i + 1);
        writer.commit().unwrap();
        assert_eq!(a.get(i).unwrap().leaf, leaf(i));
        assert_eq!(b.get(i / 2).unwrap().leaf, leaf(i / 2));
    }
    check(&a, 100);
    let held = a.lock(WAIT).unwrap();
    assert!(matches!(b.lock(Duration::from_millis(20)), Err(StoreError::Locked { waited_ms: 20.., .. })));
    // A lock file that is deleted while it is held locks nothing; the head is locked, too.
    fs::remove_file(dir.join("lock")).unwrap();
    assert!(matches!(b.lock(Duration::ZERO), Err(StoreError::Locked { .. })));
    drop(held);
    assert!(b.lock(Duration::ZERO).is_ok());
}

#[test]
fn threads_append_and_read_at_once() {
    let (_temp, dir) = folder();
    drop(journal_of(&dir, 0, SMALL));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let journal = Journal::open_on(Arc::new(Disk), &dir, SMALL).unwrap();
                for _ in 0..50 {
                    let mut writer = journal.lock(WAIT).unwrap();
                    let next = writer.count();
                    append(&mut writer, next..next + 2);
                    writer.commit().unwrap();
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let journal = Journal::open(&dir).unwrap();
                while journal.head().unwrap().count < 400 {
                    let count = journal.head().unwrap().count;
                    let mut seen = 0;
                    journal.read_from(0, count, &mut |_| Ok(seen += 1)).unwrap();
                    assert_eq!(seen, count);
                    for i in (0..count).step_by(17) {
                        assert_eq!(journal.get(i).unwrap().leaf, leaf(i));
                    }
                    assert!(journal.verify(&mut |_, _| {}).unwrap().is_good());
                }
            });
        }
    });
    check(&Journal::open(&dir).unwrap(), 400);
}

#[test]
fn spool_and_rejects_are_kept_in_order() {
    let temp = TempDir::new().unwrap();
    let spool = Spool::new(&temp.path().join("spool"));
    assert!(spool.files().unwrap().is_empty());
    let (b, a) = (spool.write("b-2", b"two\n").unwrap(), spool.write("a-1", b"one\n").unwrap());
    assert!(spool.write("../x", b"").is_err() && spool.write("", b"").is_err());
    assert_eq!(spool.files().unwrap(), [a.clone(), b.clone()]);
    assert_eq!(fs::read(&b).unwrap(), b"two\n");
    spool.remove(&a).unwrap();
    assert_eq!(spool.files().unwrap(), [b]);
    let path = temp.path().join("rejects/r.ndjson");
    for raw in [b"{bad".as_slice(), b"\xff"] {
        let reject = Reject { reason: "no JSON", source: "f.ndjson", line: 3, raw };
        RejectFile::open(&path).unwrap().append(&[reject]).unwrap();
    }
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(
        text,
        "{\"reason\":\"no JSON\",\"source\":\"f.ndjson\",\"line\":3,\"text\":\"{bad\"}\n{\"reason\":\"no JSON\",\"source\":\"f.ndjson\",\"line\":3,\"hex\":\"ff\"}\n"
    );
}
