//! Tests of faults: full disks, failed syncs, refused lines, repair from the event store.

use std::os::unix::fs::FileExt as _;
use std::sync::atomic::AtomicU64;

use super::tests::{SMALL, WAIT, append, check, folder, journal_of};
use super::*;
use crate::event_store::EventStore;
use crate::time::Time;

/// A disk of limited size: what is written beyond it fails, in the middle of a write.
#[derive(Debug)]
struct SmallDisk {
    left: AtomicU64,
    broken: AtomicBool,
}

impl Medium for SmallDisk {
    fn write_at(&self, file: &File, _: &Path, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        let grows = (offset + bytes.len() as u64).saturating_sub(file.metadata()?.len());
        let left = self.left.load(Ordering::Relaxed);
        if grows > left {
            file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.left.store(left - grows, Ordering::Relaxed);
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File, _: &Path) -> std::io::Result<()> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(std::io::Error::from_raw_os_error(5));
        }
        file.sync_data()
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.left.fetch_add(path.metadata()?.len(), Ordering::Relaxed);
        fs::remove_file(path)
    }
}

#[test]
fn a_full_disk_refuses_and_keeps_what_is_acknowledged() {
    for room in (RESERVE..RESERVE + 30_000).step_by(997) {
        let (_temp, dir) = folder();
        let medium = Arc::new(SmallDisk { left: AtomicU64::new(room), broken: AtomicBool::new(false) });
        let Ok(journal) = Journal::create_on(Arc::clone(&medium) as Arc<dyn Medium>, &dir, SMALL) else { continue };
        let mut writer = journal.lock(WAIT).unwrap();
        let mut acknowledged = 0;
        let error = loop {
            append(&mut writer, acknowledged..acknowledged + 1);
            match writer.commit() {
                Ok(()) => acknowledged += 1,
                Err(error) => break error,
            }
            assert!(acknowledged < 10_000);
        };
        assert!(matches!(&error, StoreError::Io { source, .. } if medium::is_full(source)), "{error}");
        assert_eq!(writer.count(), acknowledged);
        check(&journal, acknowledged);
        check(&Journal::open(&dir).unwrap(), acknowledged);
        // The reserve was given up, so a little more goes; then there is room again.
        append(&mut writer, acknowledged..acknowledged + 1);
        writer.commit().unwrap();
        drop(writer);
        medium.left.store(10 * RESERVE, Ordering::Relaxed);
        let mut writer = journal.lock(WAIT).unwrap();
        append(&mut writer, acknowledged + 1..acknowledged + 50);
        writer.commit().unwrap();
        drop(writer);
        check(&journal, acknowledged + 50);
        let report = journal.verify(&mut |_, _| {}).unwrap();
        assert_eq!((report.damaged, report.cut.len()), (0, 0), "{report:?}");
        assert!(reserve::path(&dir).exists());
    }
}

const RESERVE: u64 = reserve::RESERVE_BYTES as u64;

#[test]
fn after_a_failed_sync_nothing_is_acknowledged() {
    let (_temp, dir) = folder();
    let medium = Arc::new(SmallDisk { left: AtomicU64::new(u64::MAX / 2), broken: AtomicBool::new(false) });
    let journal = Journal::create_on(Arc::clone(&medium) as Arc<dyn Medium>, &dir, SMALL).unwrap();
    let mut writer = journal.lock(WAIT).unwrap();
    append(&mut writer, 0..3);
    writer.commit().unwrap();
    medium.broken.store(true, Ordering::Relaxed);
    append(&mut writer, 3..5);
    assert!(matches!(writer.commit(), Err(StoreError::Io { .. })));
    medium.broken.store(false, Ordering::Relaxed);
    append(&mut writer, 3..4);
    assert!(matches!(writer.commit(), Err(StoreError::Poisoned)));
    drop(writer);
    assert!(matches!(journal.lock(WAIT), Err(StoreError::Poisoned)));
    check(&journal, 3);
    let journal = Journal::open(&dir).unwrap();
    let mut writer = journal.lock(WAIT).unwrap();
    let count = writer.count();
    assert!(count >= 3);
    append(&mut writer, count..count + 1);
    writer.commit().unwrap();
    check(&journal, count + 1);
}

#[test]
fn what_cannot_be_read_back_is_refused() {
    let (_temp, dir) = folder();
    let journal = journal_of(&dir, 3, SMALL);
    let mut writer = journal.lock(WAIT).unwrap();
    for bad in [b"{\n}".to_vec(), vec![b'x'; line::LINE_BYTES_MAX]] {
        writer.append(None, &bad, Time(9));
        assert!(matches!(writer.commit(), Err(StoreError::Io { .. })));
        assert_eq!(writer.count(), 3);
    }
    append(&mut writer, 3..4);
    writer.commit().unwrap();
    check(&journal, 4);
}

#[test]
fn damaged_records_come_back_from_the_event_store() {
    let (temp, dir) = folder();
    let journal = journal_of(&dir, 300, SMALL);
    let dir = fs::canonicalize(dir).unwrap();
    let mut events = EventStore::open(&temp.path().join("sled")).unwrap().unwrap();
    assert_eq!(events.catch_up(&journal, u64::MAX, WAIT).unwrap(), 300);
    for segment in segment::list(&dir).unwrap() {
        for how in 0..3 {
            let path = segment.path(&dir);
            let bytes = fs::read(&path).unwrap();
            match how {
                0 => {
                    fs::write(&path, [&bytes[..bytes.len() / 2], b"#", &bytes[bytes.len() / 2 + 1..]].concat())
                        .unwrap();
                }
                1 => fs::write(&path, &bytes[..bytes.len() / 3]).unwrap(),
                _ => fs::remove_file(&path).unwrap(),
            }
            assert!(!journal.verify(&mut |_, _| {}).unwrap().is_good());
            assert!(!events.verify_against(&journal).unwrap().is_empty());
            let repaired = journal.repair_from(&events).unwrap();
            assert_eq!(repaired.failed, Vec::<String>::new());
            assert!(repaired.records > 0);
            assert!(journal.verify(&mut |_, _| {}).unwrap().is_good());
            check(&journal, 300);
            assert_eq!(events.verify_against(&journal).unwrap(), []);
            for name in fs::read_dir(dir.join("cut")).into_iter().flatten() {
                fs::remove_file(name.unwrap().path()).unwrap();
            }
            fs::write(&path, bytes).unwrap();
            if segment.form == segment::Form::Sealed {
                fs::remove_file(segment::log_path(&dir, segment.base)).unwrap();
            }
        }
    }
    let head = dir.join("head");
    let bytes = fs::read(&head).unwrap();
    for slot in [0, 512] {
        let mut bytes = bytes.clone();
        bytes[slot + 40] ^= 1;
        fs::write(&head, bytes).unwrap();
        drop(journal.lock(WAIT));
        journal.repair_from(&events).unwrap();
        assert!(journal.verify(&mut |_, _| {}).unwrap().is_good());
        check(&journal, 300);
    }
}
