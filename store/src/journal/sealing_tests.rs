//! Tests of sealing: in the background, by two at once, and of lines that hardly compress.

use super::segment::Form;
use super::tests::{SMALL, WAIT, append, check, folder, journal_of};
use super::*;
use crate::proof::Hash;
use crate::time::Time;

fn sealed(dir: &Path) -> usize {
    segment::list(dir).unwrap().iter().filter(|segment| segment.form == Form::Sealed).count()
}

#[test]
fn sealing_goes_on_without_the_lock() {
    let (_temp, dir) = folder();
    let journal = journal_of(&dir, 0, SMALL);
    for i in 0..200 {
        let mut writer = journal.lock(WAIT).unwrap();
        writer.leave_sealing();
        append(&mut writer, i..i + 1);
        writer.commit().unwrap();
        drop(writer);
        assert_eq!(journal.get(i / 2).unwrap().position, i / 2);
    }
    journal.join();
    assert_eq!(sealed(&dir), segment::list(&dir).unwrap().len() - 1);
    check(&journal, 200);
    assert!(journal.verify(&mut |_, _| {}).unwrap().is_good());
}

#[test]
fn sealing_hashes_the_leaves_that_are_wanted() {
    let (_temp, dir) = folder();
    let journal = journal_of(&dir, 0, SMALL);
    journal.hash_from(Some(5));
    let mut writer = journal.lock(WAIT).unwrap();
    for i in 0..200 {
        append(&mut writer, i..i + 1);
        writer.commit().unwrap();
    }
    writer.seal().unwrap();
    let taken = journal.take_hashed(100);
    assert!(taken.iter().all(|run| run.first < 100));
    let later = journal.take_hashed(u64::MAX);
    let mut next = 5;
    for run in taken.iter().chain(&later) {
        assert_eq!(run.first, next);
        for hash in &run.hashes {
            assert_eq!(*hash, Hash::leaf(&journal.get(next).unwrap().leaf));
            next += 1;
        }
    }
    assert_eq!(next, 200);
    journal.hash_from(None);
    append(&mut writer, 200..201);
    writer.seal().unwrap();
    assert!(journal.take_hashed(u64::MAX).is_empty());
}

#[test]
fn two_journals_seal_side_by_side() {
    let (_temp, dir) = folder();
    let (a, b) = (journal_of(&dir, 0, SMALL), Journal::open_on(Arc::new(Disk), &dir, SMALL).unwrap());
    for i in 0..300 {
        let mut writer = if i % 3 == 0 { &a } else { &b }.lock(WAIT).unwrap();
        writer.leave_sealing();
        append(&mut writer, i..i + 1);
        writer.commit().unwrap();
    }
    a.join();
    b.join();
    a.lock(WAIT).unwrap().seal().unwrap();
    assert_eq!(sealed(&dir), segment::list(&dir).unwrap().len() - 1);
    check(&a, 300);
    assert!(b.verify(&mut |_, _| {}).unwrap().is_good());
}

#[test]
fn a_segment_that_is_held_is_sealed_later() {
    let (_temp, dir) = folder();
    let journal = journal_of(&dir, 5, SMALL);
    let log = segment::log_path(&dir, 0);
    let held = File::open(&log).unwrap();
    held.lock().unwrap();
    let mut writer = journal.lock(WAIT).unwrap();
    writer.seal().unwrap();
    assert!(log.exists());
    check(&journal, 5);
    drop(held);
    writer.seal().unwrap();
    assert!(!log.exists());
    check(&journal, 5);
}

#[test]
fn what_a_kill_left_of_a_sealing_is_done_again() {
    let (_temp, dir) = folder();
    let journal = journal_of(&dir, 5, SMALL);
    let log = segment::log_path(&dir, 0);
    let lines = fs::read(&log).unwrap();
    journal.lock(WAIT).unwrap().seal().unwrap();
    let sealed = segment::sealed_path(&dir, 0);
    let whole = fs::read(&sealed).unwrap();
    // Killed before the plain file was removed, and in the midst of writing.
    for left in [sealed.clone(), sealed.with_extension("zst.new")] {
        fs::write(&log, &lines).unwrap();
        fs::write(&left, &whole[..whole.len() / 2]).unwrap();
        check(&Journal::open(&dir).unwrap(), 5);
        journal.lock(WAIT).unwrap().seal().unwrap();
        assert!(!log.exists() && !sealed.with_extension("zst.new").exists());
        assert_eq!(fs::read(&sealed).unwrap(), whole);
        check(&Journal::open(&dir).unwrap(), 5);
    }
}

#[test]
fn frames_of_lines_that_hardly_compress_are_small_enough_for_sled() {
    let (_temp, dir) = folder();
    let journal = journal_of(&dir, 0, SEGMENT_BYTES);
    let noise = |i: u64, length: u64| -> Vec<u8> {
        let bytes = (0..length / 32).flat_map(|j| crate::digest::Blake3::of(&(i * 10_000 + j).to_le_bytes()).0);
        bytes.map(|b| b'#' + b % 90).collect()
    };
    let lines: Vec<Vec<u8>> = (0..60).map(|i| noise(i, if i % 20 == 7 { 61_000 } else { 20_000 })).collect();
    let mut writer = journal.lock(WAIT).unwrap();
    for line in &lines {
        writer.append(None, line, Time(0));
    }
    writer.seal().unwrap();
    let mut next = 0;
    let mut see = |frame: &StoredFrame<'_>| {
        assert_eq!(frame.first, next);
        assert!(frame.bytes.len() <= STORED_BYTES_MAX && frame.bytes.len() * 3 > STORED_BYTES_MAX || frame.end == 60);
        next = frame.end;
        Ok(true)
    };
    journal.frames_from(0, &mut see).unwrap();
    assert_eq!(next, 60);
    for (i, line) in (0..).zip(&lines) {
        assert_eq!(journal.get(i).unwrap().leaf, *line);
    }
    assert!(journal.verify(&mut |_, _| {}).unwrap().is_good());
}
