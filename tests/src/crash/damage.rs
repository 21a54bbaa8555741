//! Damage to `graph/` and `sled/`, which are copies: answers stay right, nothing is doubled, a rebuild makes them whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use lineage_query::output::{self, Format, TableStyle};
use lineage_query::{QueryError, Request, answer};
use lineage_store::graph::View;
use lineage_store::time::Time;
use lineage_store::{Appended, EventStore, Store, StoreError};

use super::event;
use super::writer::{now, open, prepared};
use crate::random::Random;
use crate::walk;

/// How many events the store of a trial has.
pub const EVENTS: u64 = 300;
/// An append that meets damage may be refused so often before it succeeds.
const TRIES: usize = 3;

const QUESTIONS: [&str; 9] = [
    "datasets upstream of model m1",
    "models trained on dataset d3",
    "models downstream of dataset d5",
    "models",
    "datasets where name = 'd7'",
    "trainings where job = 'j3'",
    "models directly trained on dataset d4",
    "count models per name",
    "runs",
];

/// A store with sealed segments of several sizes and a filled sled, and what it answers.
pub struct Whole {
    folder: tempfile::TempDir,
    answers: Vec<String>,
    records: Vec<Vec<u8>>,
}

impl Default for Whole {
    fn default() -> Self {
        Self::new()
    }
}

impl Whole {
    /// Makes it.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("lineage-damage-").tempdir().unwrap();
        let root = folder.path().join("whole");
        let store = Store::create(&root, "format = 1\n").unwrap();
        store.feed_event_store().unwrap();
        for n in 0..EVENTS {
            store.append(prepared(&event("e", n)), now()).unwrap();
            // 200 events, then 80 events, then 15; the last five are not sealed.
            if [199, 279, 294].contains(&n) {
                store.seal_now().unwrap();
            }
        }
        store.close(Duration::MAX).unwrap();
        // Trials copy the store; the reserve of the journal is made again by whoever writes.
        fs::remove_file(root.join("journal/reserve")).unwrap();
        let store = open(&root).unwrap();
        let (answers, fell_back) = answers(&store).unwrap();
        assert!(!fell_back, "a new store is damaged");
        for (question, answer) in QUESTIONS.iter().zip(&answers) {
            assert!(answer.lines().count() > 1, "`{question}` has an empty answer, so it tests nothing");
        }
        let records = (0..EVENTS).map(|n| store.journal().get(n).unwrap().leaf).collect();
        Self { folder, answers, records }
    }

    /// The files of a part.
    pub fn files(&self, part: &str) -> Vec<PathBuf> {
        let root = self.folder.path().join("whole");
        let files = walk::files(&root.join(part));
        files
            .into_iter()
            .map(|f| f.strip_prefix(&root).unwrap().to_owned())
            .filter(|f| root.join(f).metadata().unwrap().len() > 0)
            .collect()
    }

    /// A copy with one damage to a part, chosen by chance; what was done.
    pub fn damaged(&self, part: &str, to: &Path, random: &mut Random) -> String {
        walk::copy(&self.folder.path().join("whole"), to);
        let files = self.files(part);
        let file = &files[random.below(files.len())];
        let path = to.join(file);
        let mut bytes = fs::read(&path).unwrap();
        let at = random.below(bytes.len());
        let done = match random.below(8) {
            0 => {
                fs::remove_file(&path).unwrap();
                return format!("{} removed", file.display());
            }
            1 => {
                bytes.truncate(at);
                format!("{} cut at {at}", file.display())
            }
            2 => {
                let n = random.below(4096).min(bytes.len() - at);
                bytes[at..at + n].fill(0);
                format!("{} zeroed from {at}, {n} bytes", file.display())
            }
            _ => {
                let bit = random.below(8);
                bytes[at] ^= 1 << bit;
                format!("{} bit {bit} of byte {at} flipped", file.display())
            }
        };
        fs::write(&path, bytes).unwrap();
        done
    }

    /// Damages a copy so often; what went wrong, and how many times the damage was noticed.
    pub fn trials(&self, part: &str, n: usize, seed: u64) -> (Vec<String>, usize) {
        let mut random = Random::new(seed);
        let (mut wrong, mut noticed) = (Vec::new(), 0);
        for trial in 0..n {
            let root = self.folder.path().join("trial");
            let done = self.damaged(part, &root, &mut random);
            match self.check(&root) {
                Ok(seen) => noticed += usize::from(seen),
                Err(what) => wrong.push(format!("seed {seed}, trial {trial}: {done}: {what}")),
            }
            fs::remove_dir_all(&root).unwrap();
        }
        (wrong, noticed)
    }

    /// Answers, records, exactly-once and rebuild of a damaged copy; whether the damage was noticed.
    fn check(&self, root: &Path) -> Result<bool, String> {
        let said = |what: &str| {
            let what = what.to_owned();
            move |e: StoreError| format!("{what}: {e}")
        };
        let store = open(root).map_err(said("open"))?;
        let (answers, mut noticed) = answers(&store).map_err(|e| format!("query: {e}"))?;
        self.compare(&answers)?;
        noticed |= self.read(&store)?;
        // A store that has not yet been asked anything appends on the word of the damaged index alone.
        drop(store);
        let store = open(root).map_err(said("open to append"))?;
        append(&store, 7, &Appended::Duplicate(7))?;
        append(&store, EVENTS - 2, &Appended::Duplicate(EVENTS - 2))?;
        append(&store, EVENTS, &Appended::Recorded(EVENTS))?;
        store.close(Duration::from_millis(20)).map_err(said("close"))?;
        let store = open(root).map_err(said("open again"))?;
        store.rebuild(&mut |_, _| {}).map_err(said("rebuild"))?;
        let verified = store.verify_graph().map_err(said("verify after the rebuild"))?;
        if verified != EVENTS + 1 {
            return Err(format!("{verified} events after the rebuild"));
        }
        let (answers, fell_back) = self::answers(&store).map_err(|e| format!("query after the rebuild: {e}"))?;
        self.compare(&answers)?;
        if fell_back {
            return Err("the rebuilt index is damaged".to_owned());
        }
        sled_is_whole(&store)?;
        Ok(noticed)
    }

    fn compare(&self, answers: &[String]) -> Result<(), String> {
        for ((question, answer), right) in QUESTIONS.iter().zip(answers).zip(&self.answers) {
            if answer != right {
                let (rows, of) = (answer.lines().count(), right.lines().count());
                let other = answer.lines().zip(right.lines()).find(|(a, b)| a != b);
                return Err(format!("`{question}` has {rows} lines instead of {of}, the first other one is {other:?}"));
            }
        }
        Ok(())
    }

    /// Every event as `show` and `log` read it; whether sled was found to be damaged.
    fn read(&self, store: &Store) -> Result<bool, String> {
        let rebuilding = match EventStore::open(&store.layout().part("sled")) {
            Ok(Some(events)) => events.is_rebuilding(),
            Ok(None) => false,
            Err(error) => return Err(format!("sled: {error}")),
        };
        let reader = store.reader().map_err(|e| e.to_string())?;
        for (position, leaf) in (0..).zip(&self.records) {
            let record = reader.get(position).map_err(|e| format!("#{position}: {e}"))?;
            if record.leaf != *leaf {
                return Err(format!("#{position} is read as {}", String::from_utf8_lossy(&record.leaf)));
            }
        }
        Ok(rebuilding)
    }
}

/// The answers as of the whole store, as the command line gives them: from the index, else from the journal.
fn answers(store: &Store) -> Result<(Vec<String>, bool), QueryError> {
    let mut fell_back = false;
    let mut answers = Vec::new();
    for question in QUESTIONS {
        let text = format!("{question} known at log {}", EVENTS - 1);
        let first = store.view().map_err(QueryError::from).and_then(|view| ask(&view, &text));
        answers.push(match first {
            Err(QueryError::Store(StoreError::Corrupt { .. })) => {
                fell_back = true;
                ask(&store.view_of_journal()?, &text)?
            }
            result => result?,
        });
    }
    Ok((answers, fell_back))
}

fn ask(view: &View, text: &str) -> Result<String, QueryError> {
    let request = Request {
        text,
        params: &[],
        now: Time(1_900_000_000_000_000_000),
        now_is_set: true,
        environments: &[],
        graph: None,
        events: Rc::new(|position| Err(StoreError::BeyondHead { position: position.into(), count: 0 })),
        zone: lineage_query::Zone::default(),
        head: None,
        limits: lineage_query::Limits::default(),
        digest_of_file: &|_| Err("no file".to_owned()),
    };
    let mut out = Vec::new();
    output::write(&answer(view, &request)?, &Format::Csv { safe: false }, &mut out, &TableStyle::default())?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Appends an event; it may be refused because of the damage, but not answered wrongly.
fn append(store: &Store, n: u64, expected: &Appended) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..TRIES {
        match store.append(prepared(&event("e", n)), now()) {
            Ok(appended) if appended == std::slice::from_ref(expected) => return Ok(()),
            Ok(appended) => return Err(format!("event {n} became {appended:?} instead of {expected:?}")),
            Err(error @ StoreError::Corrupt { .. }) => last = error.to_string(),
            Err(error) => return Err(format!("event {n}: {error}")),
        }
    }
    Err(format!("event {n} is refused again and again: {last}"))
}

fn sled_is_whole(store: &Store) -> Result<(), String> {
    let events = EventStore::open(&store.layout().part("sled")).map_err(|e| format!("sled: {e}"))?;
    let events = events.ok_or("sled is held by someone")?;
    let differences = events.verify_against(store.journal()).map_err(|e| format!("sled: {e}"))?;
    if events.head() != EVENTS + 1 || !differences.is_empty() {
        return Err(format!("sled has {} events: {differences:?}", events.head()));
    }
    Ok(())
}
