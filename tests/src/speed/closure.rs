//! Questions: by starting the binary, and in a warm process beside a plain search over the same edges.

use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use lineage_query::{Request, answer};
use lineage_store::graph::{Use, View};
use lineage_store::{Store, StoreError};

use super::{HUB, Row, median, ms};
use crate::crash::writer::now;
use crate::sandbox::binary;

const REPEATS: usize = 9;

fn questions() -> [String; 4] {
    [
        format!("models downstream of dataset '{HUB}'"),
        format!("count datasets downstream of dataset '{HUB}'"),
        "models live in prod without a passing audit since their last training".to_owned(),
        "models where accuracy > 0.99".to_owned(),
    ]
}

/// The rows.
pub fn measure(root: &Path) -> Vec<Row> {
    let mut rows = cold(root);
    rows.extend(warm(root));
    rows
}

/// The rows of a warm process.
pub fn warm(root: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    let store = Store::open(root).unwrap();
    let begun = Instant::now();
    let view = store.view().unwrap();
    rows.push(["warm: open a view".into(), ms(begun.elapsed()), String::new()]);
    let edges = Csr::of(&view);
    for question in questions() {
        let (mut n, mut floors) = (0, Vec::new());
        let times = (0..REPEATS).map(|_| {
            // In turn, so that both find the caches as the other left them.
            if question.contains(HUB) {
                floors.push(edges.search(&view));
            }
            let begun = Instant::now();
            n = ask(&view, &question);
            begun.elapsed()
        });
        let time = median(times.collect());
        let floor = if floors.is_empty() { String::new() } else { edges.told(floors) };
        rows.push([format!("warm: `{question}`, {n} rows"), ms(time), floor]);
    }
    rows
}

fn repeat(mut work: impl FnMut()) -> Duration {
    let times = (0..REPEATS).map(|_| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    });
    median(times.collect())
}

/// A new process for each question; the files are in the page cache.
fn cold(root: &Path) -> Vec<Row> {
    let run = |args: &[&str]| {
        let mut command = Command::new(binary());
        command.arg("--store").arg(root).args(args).stdout(Stdio::null());
        assert!(command.status().unwrap().success(), "{args:?}");
    };
    let start = format!("`lineage --version`: {}", ms(repeat(|| run(&["--version"]))));
    let rows = questions().map(|question| {
        let time = repeat(|| run(&["query", &question, "--output", "csv"]));
        [format!("cold: `{question}`"), ms(time), start.clone()]
    });
    rows.into()
}

/// How many rows a question has.
pub(super) fn ask(view: &View, text: &str) -> usize {
    let request = Request {
        text,
        params: &[],
        now: now(),
        now_is_set: false,
        environments: &[],
        graph: None,
        events: Rc::new(|position| Err(StoreError::BeyondHead { position: position.into(), count: 0 })),
        zone: lineage_query::Zone::default(),
        head: None,
        limits: lineage_query::Limits::default(),
        digest_of_file: &|_| Err("no file".to_owned()),
    };
    answer(view, &request).unwrap().batch.num_rows()
}

/// The edges from used to made versions in the plainest form: offsets and targets.
struct Csr {
    offsets: Vec<u32>,
    targets: Vec<u32>,
}

impl Csr {
    fn of(view: &View) -> Self {
        let mut edges = Vec::new();
        for event in 0..view.count() {
            let made = view.made(event);
            for mention in view.mentions(event).iter().filter(|m| matches!(m.usage, Use::Input(_))) {
                edges.extend(made.iter().map(|made| (mention.version, made.version)));
            }
        }
        edges.sort_unstable();
        let mut offsets = vec![0; view.n_versions() as usize + 1];
        for (from, _) in &edges {
            offsets[*from as usize + 1] += 1;
        }
        for i in 1..offsets.len() {
            offsets[i] += offsets[i - 1];
        }
        Self { offsets, targets: edges.into_iter().map(|(_, to)| to).collect() }
    }

    /// Finds everything downstream of the hub; how long that took, and how much it is.
    fn search(&self, view: &View) -> (Duration, usize) {
        let hub: Vec<u32> = view.entities_named(HUB).into_iter().flat_map(|entity| view.versions(entity)).collect();
        let begun = Instant::now();
        let n = self.closure(&hub);
        (begun.elapsed(), n)
    }

    fn told(&self, searches: Vec<(Duration, usize)>) -> String {
        let n = searches.first().map_or(0, |(_, n)| *n);
        let time = median(searches.into_iter().map(|(time, _)| time).collect());
        format!("search over {} edges: {}, {n} versions", self.targets.len(), ms(time))
    }

    fn closure(&self, start: &[u32]) -> usize {
        let mut seen = vec![false; self.offsets.len()];
        let mut queue = start.to_vec();
        let (mut at, mut n) = (0, 0);
        while at < queue.len() {
            let from = queue[at] as usize;
            at += 1;
            for to in &self.targets[self.offsets[from] as usize..self.offsets[from + 1] as usize] {
                if !std::mem::replace(&mut seen[*to as usize], true) {
                    n += 1;
                    queue.push(*to);
                }
            }
        }
        n
    }
}
