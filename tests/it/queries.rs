//! The query language against histories written by hand: a log, then questions with the answers that the rules give.
//!
//! A file of `fixtures/queries` is events in the shorthand of the histories, then blocks: `? QUERY`, with `: NAME=VALUE`
//! lines for parameters and `now 12:00` for the clock, and the expected answer: rows, `note CODE part of its text`,
//! `no notes`, or `error CODE part of its text`. What stands above the first `?` may name environments: `env dev prod`.

mod ask;
mod drawings;
mod edges;
mod examples;
mod fixture;
mod properties;
mod saved;
mod steps;
mod ways;

use std::fs;
use std::path::Path;

use ask::{Asked, ask, ask_whole, known_at_end, other_spellings, whole_events};
use fixture::{Block, Fixture, read};
use lineage_query::ReadEvent;
use lineage_store::graph::View;

use crate::histories::notation::{Sent, expand, instant};
use crate::histories::play::{Play, play};

fn fits(got: &Asked, block: &Block) -> bool {
    if let Some(part) = &block.error {
        return got.error.as_ref().is_some_and(|e| part.iter().all(|p| e.contains(p)));
    }
    let noted = |want: &(String, String)| got.notes.iter().any(|n| n.starts_with(&want.0) && n.contains(&want.1));
    got.error.is_none()
        && got.rows == block.rows
        && block.notes.iter().all(noted)
        && (got.notes.is_empty() || !block.no_notes)
}

fn check(view: &View, events: &ReadEvent, fixture: &Fixture, block: &Block) -> Result<(), String> {
    let got = ask_whole(view, events, &block.question, &fixture.environments);
    let place = format!("{}:{} {}", fixture.name, block.line, block.question.text);
    if !fits(&got, block) {
        return Err(format!(
            "{place}\nexpected:\n  {}\ngot:\n  {}\n",
            block.told().join("\n  "),
            got.told().join("\n  ")
        ));
    }
    if got.error.is_some() {
        return Ok(());
    }
    for (what, text) in other_spellings(&block.question.text) {
        let other = ask_whole(view, events, &block.question.with_text(&text), &fixture.environments);
        if (&other.rows, &other.error) != (&got.rows, &got.error) {
            return Err(format!("{place}\nas {what}: {text}\n  {}\n", other.told().join("\n  ")));
        }
    }
    Ok(())
}

/// Every answer that names its position is the same when it is asked there later.
fn check_known(views: &[View; 2], events: &ReadEvent, fixture: &Fixture, block: &Block) -> Result<(), String> {
    let Some(text) = known_at_end(&block.question.text, views[0].count()) else { return Ok(()) };
    let question = block.question.with_text(&text);
    let [then, now] = [0, 1].map(|i| ask_whole(&views[i], events, &question, &fixture.environments));
    if then == now {
        return Ok(());
    }
    Err(format!(
        "{}:{} {text}\nthen:\n  {}\nlater:\n  {}\n",
        fixture.name,
        block.line,
        then.told().join("\n  "),
        now.told().join("\n  ")
    ))
}

fn check_fixture(fixture: &Fixture) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, refused) = play(folder.path(), &fixture.sent, Play::Plain);
    let mut wrong = refused;
    let (view, events) = (store.view().expect("a view"), whole_events(&store));
    wrong.extend(fixture.blocks.iter().filter_map(|block| check(&view, &events, fixture, block).err()));
    let later = fixture::later();
    wrong.extend(crate::histories::play::send(&store, &later, 1));
    let views = [view, store.view().expect("a view")];
    wrong.extend(fixture.blocks.iter().filter_map(|block| check_known(&views, &events, fixture, block).err()));
    wrong
}

#[test]
fn queries_answer_what_the_rules_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/queries");
    let only = std::env::var("QUERIES").unwrap_or_default();
    let mut paths: Vec<_> = fs::read_dir(folder).expect("fixtures").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths.retain(|p| p.to_string_lossy().contains(&only));
    assert!(!paths.is_empty());
    let wrong: Vec<String> = paths.iter().flat_map(|path| check_fixture(&read(path))).collect();
    assert!(wrong.is_empty(), "{} answers differ\n\n{}", wrong.len(), wrong.join("\n"));
}

/// An empty log has answers, too.
#[test]
fn an_empty_log_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = play(folder.path(), &[], Play::Plain);
    let view = store.view().expect("a view");
    let rows = |text: &str| ask(&view, &fixture::Question::new(text, instant("23:30")), &[]);
    assert_eq!(rows("models").told(), [""; 0]);
    assert_eq!(rows("count models").told(), ["count=0"]);
    assert_eq!(rows("events").told(), [""; 0]);
    assert!(rows("models trained on x").error.is_some_and(|e| e.starts_with("E0201 Name")));
    assert!(rows("models known at log 0").error.is_some_and(|e| e.starts_with("E0403 Syntax")));
}

/// Among many events the one that changed a set is found by halves, and the answer says so.
#[test]
fn changes_among_many_events_are_found_by_halves() {
    let mut sent: Vec<_> = (0..600)
        .map(|n| {
            let at = format!("10:{:02}:{:02}", n / 60, n % 60);
            let event = match n {
                5 => r#""kind":"training","outputs":[{"kind":"model","name":"m","digest":"b3:@a"}]"#.to_owned(),
                404 => r#""kind":"tag","about":[{"kind":"model","name":"m"}],"args":{"tags":["gold"]}"#.to_owned(),
                405 => r#""kind":"deployment","environment":"prod","about":[{"kind":"model","name":"m"}]"#.to_owned(),
                _ => format!(r#""kind":"register","outputs":[{{"name":"d{n}","digest":"b3:@b"}}]"#),
            };
            Sent { now: instant("23:00"), line: expand(&format!(r#"{{{event},"id":"e{n}","time":"{at}"}}"#)) }
        })
        .collect();
    sent.rotate_left(300);
    let folder = tempfile::tempdir().expect("a folder");
    let (store, refused) = play(folder.path(), &sent, Play::Plain);
    assert_eq!(refused, [""; 0]);
    let view = store.view().expect("a view");
    let got = |set: &str| {
        let text = format!("what changed in ({set}) between 2026-11-20T10:00:10 and 2026-11-20T10:30");
        ask(&view, &fixture::Question::new(&text, instant("23:30")), &["prod".to_owned()])
    };
    let tagged = got("models tagged gold");
    let row = "model m@v1 change=added changed=2026-11-20T10:06:44Z because=event '#104'";
    assert_eq!(tagged.rows, [row], "{:?}", tagged.error);
    assert!(tagged.notes.iter().any(|note| note.starts_with("N09")), "{:?}", tagged.notes);
    // What is live where changes by few events, so that each of them is looked at.
    let live = got("models live in prod");
    assert_eq!(live.rows, ["model m@v1 change=added changed=2026-11-20T10:06:45Z because=event '#105'"]);
    assert_eq!(live.notes, [""; 0]);
}
