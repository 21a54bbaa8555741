//! Golden histories: short logs with the facts that EVENTS.md §1 to §7 derives from them, written by hand.
//!
//! A file of `fixtures/histories` is a comment that quotes a rule, events in the native format, and the facts expected.
//! Events and facts use shorthands: `b3:@a` is a digest, `"10:30"` a time on 20 November 2026, `"v":1` is understood.

mod dump;
mod large;
pub(crate) mod notation;
pub(crate) mod play;
mod random;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use notation::{History, read};
use play::{Outcomes, Play, play, results, send};

/// Most of a play is waiting for the disk.
const THREADS: usize = 8;

/// Whether a line is as expected; of a refusal a part of its text is expected.
fn agrees(got: &str, want: &str) -> bool {
    match (got.split_once("refused: "), want.split_once("refused: ")) {
        (Some((line, why)), Some((other, part))) => line == other && why.contains(part),
        _ => got == want,
    }
}

fn check(history: &History) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, outcomes) = play(folder.path(), &history.sent, Play::Plain);
    let plain = results(&store, &outcomes, history);
    for ((point, want), got) in history.expected.iter().zip(&plain) {
        let same = got.len() == want.len() && got.iter().zip(want).all(|(g, w)| agrees(g, w));
        if !same {
            return Err(format!(
                "{} {point}\nexpected:\n  {}\ngot:\n  {}\n",
                history.name,
                want.join("\n  "),
                got.join("\n  ")
            ));
        }
    }
    let other_plays = [Play::Together, Play::Seal(1), Play::Seal(2), Play::Seal(3), Play::Reopen(0), Play::Close];
    for other in other_plays.into_iter().chain([Play::Reopen(1), Play::Reopen(2), Play::Reopen(3)]) {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, outcomes) = play(folder.path(), &history.sent, other);
        let got = results(&store, &outcomes, history);
        if got != plain {
            return Err(format!("{} played {other:?}:\n{got:#?}\ninstead of\n{plain:#?}", history.name));
        }
        store.verify_graph().map_err(|e| format!("{} played {other:?}: {e}", history.name))?;
    }
    store.rebuild(&mut |_, _| {}).expect("rebuilt");
    if results(&store, &outcomes, history) != plain {
        return Err(format!("{} rebuilt differs", history.name));
    }
    // Exactly once survives the rebuild: nothing of what is sent again is recorded again.
    let count = store.head().expect("a head").count;
    let again: Vec<Outcomes> = history.sent.iter().map(|one| send(&store, std::slice::from_ref(one), 1)).collect();
    if again.iter().any(Vec::is_empty) || store.head().expect("a head").count != count {
        return Err(format!("{} is recorded twice: {again:?}", history.name));
    }
    Ok(())
}

#[test]
fn histories_come_to_the_facts_that_the_rules_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/histories");
    let only = std::env::var("HISTORY").unwrap_or_default();
    let mut paths: Vec<_> = fs::read_dir(folder).expect("histories").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths.retain(|p| p.to_string_lossy().contains(&only));
    assert!(!paths.is_empty());
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = check(&read(path));
                    wrong.lock().expect("no panic").extend(result.err());
                }
            });
        }
    });
    let wrong: Vec<String> = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{} of {} histories differ\n\n{}", wrong.len(), paths.len(), wrong.join("\n"));
}
