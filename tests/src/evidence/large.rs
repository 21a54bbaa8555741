//! A large store, and single bits of it: each is flipped alone, must be found by a full check, and is flipped back.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lineage_store::erasure::Keys;
use lineage_store::event::{Event, prepare};
use lineage_store::time::Time;

use super::flips::{Tried, vouched, writable};
use super::log::{Checked, check_by, create, sign};
use crate::random::Random;
use crate::sandbox::Sandbox;
use crate::speed::{generate, ticks};
use crate::walk;

/// The bytes of each artifact.
const ARTIFACT_BYTES: usize = 5_000_000;
/// So many events are appended at once.
const BATCH: usize = 5_000;
/// A check hangs if the process takes more than this of the processor meanwhile, where a good one takes a tenth of a
/// second; or if it is not done after the second time by the clock, however busy the machine is.
const HANGS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_hours(1));
/// How often a check that is not done is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How many flips there are for one that the command itself is asked about, too.
const COMMAND_EVERY: u64 = 100;
/// How many flips there are for one line that tells how far it is.
const TOLD_EVERY: u64 = 100;

/// Makes a store of generated events, of which some keep values outside of themselves, and of random artifacts, until
/// journal, tiles, checkpoints, payloads and artifacts have so many bytes; the folder of the store.
pub fn store(folder: &Path, events: u64, bytes: u64) -> PathBuf {
    let store = create(folder);
    let mut lines = Vec::new();
    generate::write(events, &mut lines).unwrap();
    let keys = Keys::of_seed([7; 32]);
    let lines: Vec<&[u8]> = lines.split_inclusive(|b| *b == b'\n').collect();
    for (n, batch) in lines.chunks(BATCH).enumerate() {
        let prepared = batch.iter().enumerate().flat_map(|(i, line)| {
            // One of each batch has a facet that is too large to stand in the event.
            let large = format!("\"facets\":{{\"sql\":\"{}\"}},\"kind\":", "select 1;".repeat(2_000));
            let text = String::from_utf8(line.to_vec()).unwrap();
            let text = if i == 0 { text.replacen("\"kind\":", &large, 1) } else { text };
            prepare(Event::parse(text.as_bytes(), "ana").unwrap(), text.as_bytes(), &[], &keys).unwrap()
        });
        store.append(prepared.collect(), Time(1_800_000_000_000_000_000)).unwrap();
        if n == 0 {
            store.proofs().checkpoints().keep(&sign(&store)).unwrap();
        }
    }
    sign(&store);
    let root = store.layout().root().to_owned();
    let mut random = Random::new(events);
    while vouched(&root).iter().map(|file| file.metadata().unwrap().len()).sum::<u64>() < bytes {
        let artifact: Vec<u8> = (0..ARTIFACT_BYTES / 8).flat_map(|_| random.number().to_le_bytes()).collect();
        store.artifacts().put_bytes(&artifact).unwrap();
    }
    store.close(Duration::from_mins(10)).unwrap();
    root
}

/// One bit of one file.
struct Flip {
    file: PathBuf,
    byte: u64,
    bit: u8,
}

impl Flip {
    /// The flip of a number: every other one anywhere, the rest in what is not an artifact, so that the bytes of
    /// artifacts, which are most, leave enough for the log.
    fn of(number: u64, seed: u64, files: &[(PathBuf, u64)]) -> Self {
        let mut random = Random::new(seed << 32 | number);
        let is_artifact = |file: &Path| file.components().any(|part| part.as_os_str() == "artifacts");
        let within: Vec<&(PathBuf, u64)> =
            files.iter().filter(|(file, _)| number.is_multiple_of(2) || !is_artifact(file)).collect();
        let mut byte = random.below(within.iter().map(|(_, length)| *length as usize).sum()) as u64;
        let bit = 1 << random.below(8);
        for (file, length) in within {
            if byte < *length {
                return Self { file: file.clone(), byte, bit };
            }
            byte -= length;
        }
        unreachable!("the byte is in one of the files")
    }

    /// Flips the bit in its file; a second time, back.
    fn flip(&self) {
        let file = File::options().read(true).write(true).open(&self.file).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, self.byte).unwrap();
        file.write_all_at(&[byte[0] ^ self.bit], self.byte).unwrap();
    }

    fn text(&self, root: &Path) -> String {
        format!("{}: byte {}, bit {:#04x}", self.file.strip_prefix(root).unwrap().display(), self.byte, self.bit)
    }

    /// Whether a check names the file.
    fn is_named(&self, checked: &Checked) -> bool {
        let journal = checked.journal.damage.iter().map(|damage| &damage.file);
        let proofs = checked.proofs.damage.iter().map(|damage| &damage.file);
        let mut named = journal.chain(proofs).chain(&checked.files);
        named.any(|file| *file == self.file) || (!checked.key && self.file.ends_with("log.vkey"))
    }
}

/// Flips the bits of a range of numbers, by several workers, each in a copy of the store.
///
/// Each bit is flipped alone; then everything is read, as `lineage verify` does, and the file must be named. Now and
/// then the command is run, too, which must exit with 4.
pub fn flips(root: &Path, numbers: Range<u64>, seed: u64, n_workers: u64) -> Tried {
    let (tried, done) = (Mutex::new(Tried::default()), AtomicU64::new(0));
    let total = numbers.end - numbers.start;
    std::thread::scope(|scope| {
        for worker in 0..n_workers {
            let copy = root.with_file_name(format!("copy-{worker}")).join(".lineage");
            walk::copy(root, &copy);
            let (tried, done, numbers) = (&tried, &done, numbers.clone());
            scope.spawn(move || {
                let files: Vec<(PathBuf, u64)> =
                    vouched(&copy).into_iter().map(|file| (file.clone(), file.metadata().unwrap().len())).collect();
                for (file, _) in &files {
                    writable(file);
                }
                for number in numbers.skip(worker as usize).step_by(n_workers as usize) {
                    let flip = Flip::of(number, seed, &files);
                    flip.flip();
                    let missed = missed(&copy, &flip, number.is_multiple_of(COMMAND_EVERY));
                    flip.flip();
                    let mut tried = tried.lock().unwrap_or_else(PoisonError::into_inner);
                    tried.damages += 1;
                    tried.missed.extend(missed.map(|what| format!("flip {number}, {}: {what}", flip.text(&copy))));
                    let n = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if n.is_multiple_of(TOLD_EVERY) || n == total {
                        eprintln!("flips: {n} of {total}, {} missed", tried.missed.len());
                    }
                }
                assert!(check_by(&copy, &[], 1).unwrap().is_good(), "the store is as it was");
                fs::remove_dir_all(copy).unwrap();
            });
        }
    });
    tried.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Why a flip counts as missed; `None` if it was found.
fn missed(root: &Path, flip: &Flip, by_command: bool) -> Option<String> {
    let found = in_time(|| match check_by(root, &[], 1) {
        Ok(checked) => flip.is_named(&checked).then_some(()).ok_or(format!("not named by {checked:?}")),
        // What cannot be opened at all is told as damage, too.
        Err(error) => {
            if error.is_corrupt() {
                Ok(())
            } else {
                Err(error.to_string())
            }
        }
    });
    if let Err(what) = found {
        return Some(what);
    }
    if by_command {
        let ran = in_time(|| Sandbox::empty().run(["--store".as_ref(), root.as_os_str(), "verify".as_ref()]));
        return (ran.code != 4).then(|| format!("`lineage verify`: {ran}"));
    }
    None
}

/// Runs a check; one that hangs ends the process, as no thread can be stopped.
fn in_time<T>(check: impl FnOnce() -> T) -> T {
    let (done, waiting) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (begun, before) = (Instant::now(), ticks());
            while waiting.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if Duration::from_millis(10 * (ticks() - before)) > HANGS.0 || begun.elapsed() > HANGS.1 {
                    eprintln!("a check hangs");
                    std::process::abort();
                }
            }
        });
        let result = check();
        drop(done);
        result
    })
}
