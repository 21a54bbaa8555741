//! The oracle: a naive evaluator of histories and questions that shares nothing with the fold and the engine, and the
//! comparison of both on random ones (property 6 of the language).
//!
//! By default a share of the pairs is run; all of them, or others, by
//! `ORACLE_PAIRS=20000 ORACLE_SEED=1 cargo test -p lineage-tests --test it oracle`.

mod answer;
mod attempt;
mod attribute;
mod engine;
mod histories;
mod log;
mod moment;
mod output;
mod properties;
mod question;
mod questions;
mod related;
mod said;
mod shrink;
mod state;
mod walk;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lineage_store::graph::Direction;
use lineage_tests::random::Random;

use histories::{NOW, Sending};
use log::Log;
use question::Question;
use said::{Said, seconds, spelled};

/// Random questions for each history, beside those that show everything.
const QUESTIONS: usize = 46;
/// Differences that are shown at most.
const SHOWN: usize = 4;
/// Events of a history at most.
const EVENTS: usize = 16;

/// Both answers to a question, where they differ.
struct Difference {
    history: Vec<Sending>,
    question: Question,
    oracle: Result<Vec<String>, ()>,
    engine: Result<Vec<String>, String>,
}

impl Difference {
    fn told(&self) -> String {
        let mut text = String::new();
        for (at, (recorded, event)) in self.history.iter().enumerate() {
            let _ = writeln!(text, "#{at} recorded {} {event}", spelled(*recorded));
        }
        let lines = |rows: &[String]| rows.iter().fold(String::new(), |text, row| text + "\n  " + row);
        let engine = self.engine.as_ref().map_or_else(|code| format!("\n  error {code}"), |rows| lines(rows));
        let oracle =
            self.oracle.as_ref().map_or_else(|()| "\n  an error of names or times".to_owned(), |rows| lines(rows));
        let _ = writeln!(text, "? {}\noracle:{oracle}\nengine:{engine}", self.question.text());
        text
    }
}

/// What the oracle knows of recorded events.
fn log_of(recorded: &[Sending]) -> Log {
    Log::of(recorded.iter().map(|(at, json)| Said::read(json, *at)).collect())
}

/// Whether errors and rows agree; an error of the grammar is one of the generator.
fn agree(oracle: &Result<Vec<String>, ()>, engine: &Result<Vec<String>, String>) -> bool {
    match (oracle, engine) {
        (Ok(a), Ok(b)) => a == b,
        (Err(()), Err(code)) => ["E02", "E030", "E04"].iter().any(|class| code.starts_with(class)),
        _ => false,
    }
}

/// The first question of some that a history answers otherwise than the oracle.
fn differs(history: &[Sending], seal: usize, questions: &dyn Fn(usize) -> Vec<Question>) -> Option<Difference> {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, recorded) = engine::record(folder.path(), history, seal);
    if recorded.is_empty() {
        return None;
    }
    let view = store.view().expect("a view");
    if recorded.len().is_multiple_of(2) {
        // A view that was walked often answers closures from edges that it laid out.
        [Direction::Downstream, Direction::Upstream].into_iter().cycle().take(8).for_each(|way| view.walked_far(way));
    }
    let log = log_of(&recorded);
    questions(recorded.len()).into_iter().find_map(|question| {
        let engine = engine::ask(&view, &question.text());
        let oracle = answer::answer(&log, &question, seconds(NOW)).map_err(|_| ());
        let same = agree(&oracle, &engine);
        (!same).then(|| Difference { history: recorded.clone(), question, oracle, engine })
    })
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

#[test]
fn the_engine_answers_as_the_oracle() {
    let (pairs, seed) = (number("ORACLE_PAIRS", 20_000), number("ORACLE_SEED", 1));
    let each = QUESTIONS + questions::overviews().len();
    let next = AtomicUsize::new(0);
    let wrong: Mutex<Vec<(usize, Difference)>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while wrong.lock().expect("no panic").len() < SHOWN {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number * each >= pairs {
                        break;
                    }
                    let mut random = Random::new((seed * 1_000_003 + number) as u64);
                    let history = histories::history(&mut random, EVENTS);
                    let seal = random.below(3);
                    let asked = |events: usize| {
                        let mut random = random.clone();
                        let mut all = questions::overviews();
                        all.extend((0..QUESTIONS).map(|_| questions::question(&mut random, events)));
                        all
                    };
                    if let Some(difference) = differs(&history, seal, &asked) {
                        let smaller = shrink::shrunk(difference, seal);
                        wrong.lock().expect("no panic").push((number, smaller));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    let told: Vec<String> = wrong.iter().map(|(n, d)| format!("history {n} of seed {seed}\n{}", d.told())).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}
