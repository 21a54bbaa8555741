//! Tests of loading, rejecting and spooling on a real folder.

use std::io::Cursor;
use std::time::Duration;

use lineage_store::event::{EntityKind, Event, Kind, Output, Ref};

use super::*;

const NOW: Time = Time(1_800_000_000_000_000_000);

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::create(&folder.path().join(".lineage"), "format = 1\n").expect("a store");
    (folder, store.with_lock_timeout(Duration::from_millis(50)))
}

fn options() -> Options<'static> {
    Options {
        format: Format::Auto,
        actor: "ana".to_owned(),
        seal: Vec::new(),
        keys: Keys::of_seed([7; 32]),
        strict: false,
        dry_run: false,
        commit_each: false,
        source: "test".to_owned(),
        name: "t-1".to_owned(),
        now: &|| NOW,
    }
}

fn load(store: &Store, text: &str, options: &Options<'_>) -> (Summary, Vec<Rejection>) {
    let mut refused = Vec::new();
    let source = Cursor::new(text.as_bytes().to_vec());
    let summary = ingest(store, source, options, &mut |_| {}, &mut |r| refused.push(r)).expect("read");
    (summary, refused)
}

fn line(id: usize) -> String {
    format!(
        r#"{{"v":1,"kind":"transform","id":"e{id}","time":"2026-11-20T10:00:00Z","outputs":[{{"kind":"dataset","name":"d{id}"}}]}}"#
    )
}

const FOREIGN: &str = r#"{"eventType":"COMPLETE","eventTime":"2026-11-20T10:00:00Z","producer":"p","schemaURL":"s","run":{"runId":"r1"},"job":{"namespace":"n","name":"j"},"inputs":[],"outputs":[{"namespace":"n","name":"t"}]}"#;

#[test]
fn formats_mix_and_refusals_are_kept() {
    let (_folder, store) = store();
    let text = [&line(1), "{\"v\":2}", "", FOREIGN, "no json", &line(1), &line(2)].join("\n");
    let (summary, refused) = load(&store, &text, &options());
    assert_eq!((summary.accepted, summary.duplicate, summary.refused), (3, 1, 2));
    assert_eq!((summary.first, summary.last), (Some(0), Some(2)));
    assert_eq!(refused.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 5]);
    let kept = std::fs::read_to_string(summary.rejects.expect("a file")).expect("text");
    assert!(kept.lines().count() == 2 && kept.contains("no json"), "{kept}");
    let (again, _) = load(&store, &text, &options());
    assert_eq!((again.accepted, again.duplicate, again.refused), (0, 4, 2));
}

#[test]
fn strict_stops_where_it_says() {
    let (_folder, store) = store();
    let conflict = line(1).replace("d1", "other");
    let (summary, refused) =
        load(&store, &[line(1), conflict, line(2)].join("\n"), &Options { strict: true, ..options() });
    assert!(summary.stopped && refused.len() == 1);
    assert_eq!(store.head().expect("a head").count, 1, "nothing after the refusal is recorded");
    let (summary, _) = load(&store, &[&line(3), "x", &line(4)].join("\n"), &Options { strict: true, ..options() });
    assert!(summary.stopped);
    assert_eq!(store.head().expect("a head").count, 2);
}

#[test]
fn strict_stops_within_batches_that_go_together() {
    for bad in [line(1).replace("d1", "other"), "x".to_owned()] {
        let (_folder, store) = store();
        let text: Vec<String> = (0..2500).map(line).chain([bad]).chain((2500..6000).map(line)).collect();
        let (summary, refused) = load(&store, &text.join("\n"), &Options { strict: true, ..options() });
        assert!(summary.stopped && refused.len() == 1);
        assert_eq!((summary.accepted, summary.duplicate, summary.refused), (2500, 0, 1));
        assert_eq!(store.head().expect("a head").count, 2500, "nothing after the refusal is recorded");
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let (_folder, store) = store();
    load(&store, &line(1), &options());
    let text = [line(1), line(2), line(2), line(2).replace("d2", "x"), "x".to_owned()].join("\n");
    let (summary, _) = load(&store, &text, &Options { dry_run: true, ..options() });
    assert_eq!((summary.accepted, summary.duplicate, summary.refused), (1, 2, 2));
    assert_eq!(store.head().expect("a head").count, 1);
    assert!(summary.rejects.is_none());
}

#[test]
fn many_documents_keep_their_order() {
    let (_folder, store) = store();
    let text: String = (0..9000).map(|i| line(i) + "\n").collect();
    let (summary, _) = load(&store, &text, &options());
    assert_eq!(summary.accepted, 9000);
    let reader = store.reader().expect("a reader");
    for position in [0, 2047, 2048, 4096, 8999] {
        assert_eq!(reader.event(position).expect("an event").1, format!("e{position}"));
    }
}

#[test]
fn a_held_lock_means_the_spool() {
    let (_folder, store) = store();
    let other = Store::open(store.layout().root()).expect("opens");
    let lock = other.journal().lock(Duration::ZERO).expect("the lock");
    let (summary, refused) = load(&store, &[&line(1), "x", FOREIGN].join("\n"), &options());
    assert_eq!((summary.spooled, summary.accepted, refused.len()), (2, 0, 1));
    let mut event = Event::new(Kind::Register, "ana");
    event.id = Some("own".to_owned());
    event.time = Some(NOW);
    event.outputs.push(Output { reference: Ref::named(EntityKind::Dataset, "d"), ..Output::default() });
    let events = [event];
    let recorded = record(&store, &events, &[], &Keys::of_seed([7; 32]), "t-2", NOW).expect("spooled");
    assert!(matches!(recorded, Recorded::Spooled(_)));
    drop(lock);
    let mut none = |rejection: Rejection| panic!("{rejection:?}");
    let drained = drain_spool(&store, &[], &Keys::of_seed([7; 32]), "t-3", &|| NOW, &mut none).expect("drained");
    assert_eq!((drained.recorded, drained.refused), (3, 0));
    assert_eq!(store.head().expect("a head").count, 3);
    assert_eq!(record(&store, &events, &[], &Keys::of_seed([7; 32]), "t-4", NOW).expect("known"), Recorded::At(2));
    assert_eq!(spool::folder(&store).files().expect("files"), Vec::<PathBuf>::new());
}
