//! Tests of power losses: what was not synced is lost, reordered or torn, and nothing acknowledged is missing.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use tempfile::TempDir;

use super::tests::{append, leaf};
use super::*;

const SECTOR: usize = 512;
const SMALL: u64 = 3000;
const WAIT: Duration = Duration::from_secs(5);

/// One change of the disk.
#[derive(Clone, Debug)]
enum Op {
    Create(String, u64),
    Write(u64, u64, Vec<u8>),
    Truncate(u64, u64),
    Sync(u64),
    SyncDir,
    Rename(String, String),
    Remove(String),
    /// So many events are acknowledged.
    Acknowledged(u64),
}

/// The real disk, with every change written down; some syncs can be left out.
#[derive(Debug)]
struct Recorder {
    dir: PathBuf,
    ops: Mutex<Vec<Op>>,
    drop_syncs: bool,
}

impl Recorder {
    fn note(&self, op: Op) {
        self.ops.lock().unwrap_or_else(PoisonError::into_inner).push(op);
    }

    fn name(&self, path: &Path) -> String {
        let dir = fs::canonicalize(&self.dir).unwrap();
        let path = path.strip_prefix(&dir).or_else(|_| path.strip_prefix(&self.dir)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn inode(file: &File) -> u64 {
    file.metadata().unwrap().ino()
}

impl Medium for Recorder {
    fn create(&self, path: &Path) -> io::Result<File> {
        let file = Disk.create(path)?;
        self.note(Op::Create(self.name(path), inode(&file)));
        Ok(file)
    }

    fn write_at(&self, file: &File, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.note(Op::Write(inode(file), offset, bytes.to_vec()));
        Disk.write_at(file, path, bytes, offset)
    }

    fn truncate(&self, file: &File, path: &Path, length: u64) -> io::Result<()> {
        self.note(Op::Truncate(inode(file), length));
        Disk.truncate(file, path, length)
    }

    fn sync(&self, file: &File, _: &Path) -> io::Result<()> {
        if !self.drop_syncs {
            self.note(Op::Sync(inode(file)));
        }
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.note(Op::SyncDir);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Op::Rename(self.name(from), self.name(to)));
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        // Keeps the inode in use, so that its number stays one file's.
        fs::rename(path, self.dir.with_file_name(format!("removed-{}", fs::metadata(path)?.ino())))?;
        self.note(Op::Remove(self.name(path)));
        Ok(())
    }
}

/// A small generator; every image can be made again from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A file: what is durable, and what was done since.
#[derive(Clone, Default)]
struct Node {
    durable: Vec<u8>,
    pending: Vec<Op>,
}

impl Node {
    fn apply(bytes: &mut Vec<u8>, op: &Op, keep: &mut dyn FnMut() -> bool) {
        match op {
            Op::Write(_, offset, new) => {
                let mut at = 0;
                while at < new.len() {
                    let place = *offset as usize + at;
                    let end = new.len().min(at + SECTOR - place % SECTOR);
                    if keep() {
                        if bytes.len() < place + end - at {
                            bytes.resize(place + end - at, 0);
                        }
                        bytes[place..place + end - at].copy_from_slice(&new[at..end]);
                    }
                    at = end;
                }
            }
            Op::Truncate(_, length) if keep() => bytes.resize(*length as usize, 0),
            _ => {}
        }
    }

    fn sync(&mut self) {
        for op in self.pending.drain(..) {
            Self::apply(&mut self.durable, &op, &mut || true);
        }
    }

    /// What a power loss leaves: any of the pending sectors, or all, or none.
    fn crashed(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let mode = dice.roll(4);
        for op in &self.pending {
            Self::apply(&mut bytes, op, &mut || match mode {
                0 => false,
                1 => true,
                _ => dice.roll(2) == 0,
            });
        }
        bytes
    }
}

#[derive(Clone, Default)]
struct Image {
    nodes: BTreeMap<u64, Node>,
    durable: BTreeMap<String, u64>,
    names: BTreeMap<String, u64>,
    /// Changes of names since the folder was synced; they reach the disk in order.
    pending: Vec<Op>,
    acknowledged: u64,
}

impl Image {
    fn rename(names: &mut BTreeMap<String, u64>, op: &Op) {
        match op {
            Op::Create(name, inode) => drop(names.insert(name.clone(), *inode)),
            Op::Rename(from, to) => {
                let inode = names.remove(from).unwrap();
                names.insert(to.clone(), inode);
            }
            Op::Remove(name) => drop(names.remove(name)),
            _ => {}
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Create(..) | Op::Rename(..) | Op::Remove(_) => {
                Self::rename(&mut self.names, op);
                self.pending.push(op.clone());
            }
            Op::Write(inode, ..) | Op::Truncate(inode, _) => {
                self.nodes.entry(*inode).or_default().pending.push(op.clone());
            }
            Op::Sync(inode) => self.nodes.entry(*inode).or_default().sync(),
            Op::SyncDir => {
                self.durable = self.names.clone();
                self.pending.clear();
            }
            Op::Acknowledged(count) => self.acknowledged = *count,
        }
    }

    fn write(&self, dir: &Path, dice: &mut Dice) {
        let mut names = self.durable.clone();
        for op in &self.pending[..dice.roll(self.pending.len() as u64 + 1) as usize] {
            Self::rename(&mut names, op);
        }
        drop(fs::remove_dir_all(dir));
        fs::create_dir_all(dir.join("cut")).unwrap();
        for (name, inode) in names {
            if name == "reserve" {
                continue;
            }
            let bytes = self.nodes.get(&inode).map(|node| node.crashed(dice)).unwrap_or_default();
            fs::write(dir.join(name), bytes).unwrap();
        }
    }
}

/// What happened to a journal, over several segments and writers.
fn history(drop_syncs: bool) -> Vec<Op> {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("journal");
    let recorder = Arc::new(Recorder { dir: dir.clone(), ops: Mutex::default(), drop_syncs });
    let journal = Journal::create_on(Arc::clone(&recorder) as Arc<dyn Medium>, &dir, SMALL).unwrap();
    recorder.note(Op::SyncDir);
    recorder.note(Op::Acknowledged(0));
    let mut dice = Dice(7);
    let mut writer = journal.lock(WAIT).unwrap();
    while writer.count() < 120 {
        let next = writer.count();
        append(&mut writer, next..next + 1 + dice.roll(8));
        if dice.roll(3) == 0 {
            writer.write_ahead(1);
            let next = writer.count();
            append(&mut writer, next..next + dice.roll(3));
        }
        if dice.roll(9) == 0 {
            // What was written ahead and is not committed is cut off again.
            drop(writer);
            writer = journal.lock(WAIT).unwrap();
            assert_eq!(writer.count(), next);
            continue;
        }
        writer.commit().unwrap();
        // The order of what the background does is part of what is tested, not the scheduler's.
        if dice.roll(2) == 0 {
            writer.join();
        }
        recorder.note(Op::Acknowledged(writer.count()));
        if dice.roll(5) == 0 {
            drop(writer);
            writer = journal.lock(WAIT).unwrap();
        }
    }
    drop(writer);
    recorder.ops.lock().unwrap().clone()
}

/// The number of images in which an acknowledged event is lost.
fn losses(ops: &[Op], images_per_op: u64) -> (u64, u64) {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("image");
    let (mut image, mut dice, mut lost, mut images) = (Image::default(), Dice(1), 0, 0);
    let begun = ops.iter().position(|op| matches!(op, Op::Acknowledged(_))).unwrap();
    for (i, op) in ops.iter().enumerate() {
        image.apply(op);
        if i < begun {
            continue;
        }
        for _ in 0..images_per_op {
            image.write(&dir, &mut dice);
            images += 1;
            lost += u64::from(!survives(&dir, image.acknowledged, &mut dice));
        }
    }
    (lost, images)
}

/// Opens what a power loss left; every acknowledged event is there, and one more can be appended.
fn survives(dir: &Path, acknowledged: u64, dice: &mut Dice) -> bool {
    let mut attempt = || -> Result<bool> {
        let journal = Journal::open_on(Arc::new(Disk), dir, SMALL)?;
        // A reader that comes first sees what the head names, all of it.
        journal.read_from(0, u64::MAX, &mut |record| {
            assert_eq!(record.leaf, leaf(record.position));
            Ok(())
        })?;
        journal.settle()?;
        let mut writer = journal.lock(WAIT)?;
        let count = writer.count();
        if dice.roll(2) == 0 {
            append(&mut writer, count..count + 1);
            writer.commit()?;
        }
        drop(writer);
        let mut seen = 0;
        journal.read_from(0, u64::MAX, &mut |record| {
            assert_eq!((record.position, record.leaf), (seen, &*leaf(seen)));
            seen += 1;
            Ok(())
        })?;
        Ok(count >= acknowledged && seen >= count && journal.verify(&mut |_, _| {})?.is_good())
    };
    attempt().unwrap_or(false)
}

#[test]
fn a_power_loss_at_any_instant_loses_nothing_acknowledged() {
    let (lost, images) = losses(&history(false), 3);
    assert_eq!(lost, 0, "of {images} images");
    assert!(images > 500, "{images}");
}

#[test]
#[ignore = "takes minutes: more than 10,000 images"]
fn a_power_loss_loses_nothing_in_many_images() {
    let (lost, images) = losses(&history(false), 55);
    assert_eq!(lost, 0, "of {images} images");
    assert!(images > 10_000, "{images}");
}

#[test]
fn without_syncs_the_test_above_finds_losses() {
    let (lost, images) = losses(&history(true), 1);
    assert!(lost > images / 10, "{lost} of {images} images");
}
