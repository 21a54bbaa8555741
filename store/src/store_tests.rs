//! Tests of the whole write and read path on a real folder.

use super::*;
use crate::event::prepare;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::create(&folder.path().join(".lineage"), "format = 1\n").expect("a store");
    (folder, store)
}

fn add(store: &Store, line: &str) -> Appended {
    let event = Event::parse(line.as_bytes(), "ana").expect(line);
    let prepared = prepare(event, line.as_bytes(), &[], &Keys::of_seed([7; 32])).expect(line);
    store.append(prepared, Time(1_800_000_000_000_000_000)).expect("appended").remove(0)
}

#[test]
fn events_survive_a_close_and_are_recorded_once() {
    let (_folder, store) = store();
    let line = r#"{"v":1,"kind":"training","id":"e1","time":"2026-11-20T10:00:00Z","inputs":[{"kind":"dataset","name":"raw"}],"outputs":[{"kind":"model","name":"churn","digest":"b3:0101010101010101010101010101010101010101010101010101010101010101"}],"params":{"lr":0.1},"metrics":{"accuracy":0.93}}"#;
    assert_eq!(add(&store, line), Appended::Recorded(0));
    assert_eq!(add(&store, line), Appended::Duplicate(0));
    assert_eq!(add(&store, &line.replace("0.93", "0.94")), Appended::Conflict(0));
    let root = store.layout().root().to_owned();
    store.close(Duration::from_secs(5)).expect("closed");
    let store = Store::open(&root).expect("opens");
    assert_eq!(add(&store, line), Appended::Duplicate(0));
    assert_eq!(add(&store, &line.replace("e1", "e2")), Appended::Recorded(1));
    let view = store.view().expect("a view");
    assert_eq!(view.count(), 2);
    let churn = view.entities_named("churn");
    assert_eq!(view.versions(churn[0]).len(), 1, "equal bytes add a producer, not a number");
    let (event, id, _) = store.reader().expect("reader").event(1).expect("event");
    assert_eq!((event.kind, id.as_str()), (crate::event::Kind::Training, "e2"));
    let mentions = view.mentions(0);
    assert_eq!(mentions.len(), 1);
    assert_eq!(view.entity_name(view.entity(mentions[0].version)), "raw");
}

#[test]
fn sealing_at_any_point_gives_the_same_index() {
    let lines: Vec<String> = (0..300)
        .map(|i| {
            format!(
                r#"{{"v":1,"kind":"transform","id":"e{i}","run":"r{}","job":"j","time":"2026-11-20T10:{:02}:{:02}Z","state":"{}","inputs":[{{"name":"d{}"}}],"outputs":[{{"kind":"dataset","name":"d{}"}}]}}"#,
                i / 2,
                i / 60,
                i % 60,
                if i % 2 == 0 { "start" } else { "complete" },
                i / 2 % 7,
                (i / 2 + 1) % 7
            )
        })
        .collect();
    let (_a, whole) = store();
    let (_b, pieces) = store();
    for (i, line) in lines.iter().enumerate() {
        add(&whole, line);
        add(&pieces, line);
        if i % 13 == 5 {
            let mut writer = lock(&pieces.writer);
            let mut fold = writer.fold.take().expect("a fold");
            folder::seal(&pieces.layout.part("graph"), &mut fold).expect("sealed");
            // A fold that starts from the files alone has to find everything again.
            writer.fold = None;
        }
    }
    pieces.verify_graph().expect("the pieces are what the whole is");
    let (a, b) = (whole.view().expect("view"), pieces.view().expect("view"));
    for event in 0..a.count() {
        assert_eq!(a.mentions(event), b.mentions(event), "event {event}");
        assert_eq!(a.made(event), b.made(event), "event {event}");
    }
    whole.rebuild(&mut |_, _| {}).expect("rebuilt");
    assert_eq!(whole.verify_graph().expect("good"), 300);
}

/// A tail that the next process would have to fold is sealed when it is long, or when its events are large.
#[test]
fn a_tail_of_few_large_events_is_sealed_at_close() {
    let value = "x".repeat(15 * 1024);
    for (n, is_large) in [(40, true), (40, false), (1024, false)] {
        let (_folder, store) = store();
        let facets = if is_large { format!(r#","facets":{{"a":"{value}","b":"{value}"}}"#) } else { String::new() };
        for i in 0..n {
            add(
                &store,
                &format!(r#"{{"v":1,"kind":"transform","id":"e{i}","run":"r","outputs":[{{"name":"d"}}]{facets}}}"#),
            );
        }
        let root = store.layout().root().to_owned();
        store.close(Duration::from_secs(5)).expect("closed");
        let store = Store::open(&root).expect("opens");
        let is_sealed = is_large || n == 1024;
        assert_eq!(store.open_fold(n).next(), if is_sealed { n as u32 } else { 0 }, "{n} events, large: {is_large}");
        store.verify_graph().expect("good");
        // What another process folded counts as well, and what is sealed counts no more.
        store.view().expect("a view");
        let bytes = lock(&store.writer).fold.as_ref().expect("a fold").tail_bytes();
        assert_eq!(bytes == 0, is_sealed);
    }
}
