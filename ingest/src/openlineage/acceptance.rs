//! Acceptance on the events that real emitters sent, and that no mutation of them panics.
#![allow(clippy::print_stderr, reason = "counts, and loudly what was skipped")]
#![allow(clippy::case_sensitive_file_extension_comparisons, reason = "the corpora have one spelling")]

use std::path::{Path, PathBuf};

use super::tests::{config, fixture};
use super::*;

/// The folder of the corpora; `None`, loudly, where it is absent.
fn corpora() -> Option<PathBuf> {
    let shared = std::env::var_os("LINEAGE_SHARED").map(PathBuf::from);
    let folder = shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared")).join("corpora");
    if folder.join("openlineage").is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no corpora under {}; set LINEAGE_SHARED to the folder that holds them", folder.display());
    None
}

fn files(folder: &Path, wanted: &dyn Fn(&str) -> bool, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, wanted, found);
        } else if wanted(&path.to_string_lossy()) {
            found.push(path);
        }
    }
}

fn find(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(folder, wanted, &mut found);
    found
}

/// What the store does with events before it appends them; each must read back as it was.
fn store(events: &[Event], received: &[u8]) {
    let mut ids = std::collections::BTreeSet::new();
    for event in events {
        let prepared = lineage_store::event::prepare(
            event.clone(),
            received,
            &[],
            &lineage_store::erasure::Keys::of_seed([7; 32]),
        )
        .expect("fits");
        for mut one in prepared {
            assert!(ids.insert(one.id.clone()));
            one.leaf.record(&Time(0).micros());
            let (mut back, _) = Event::from_leaf(one.leaf.as_bytes()).expect("reads back");
            back.check().expect("valid");
            back.id.clone_from(&one.event.id);
            assert_eq!(back, *one.event);
        }
    }
}

#[test]
fn recorded_events_translate() {
    let Some(corpora) = corpora() else { return };
    let (mut n_events, mut n_derived) = (0, 0);
    for path in find(&corpora.join("openlineage/recorded"), &|path| path.ends_with(".events.ndjson")) {
        let text = std::fs::read_to_string(&path).expect("text");
        for line in text.lines() {
            let events = translate(line.as_bytes(), &config()).unwrap_or_else(|r| panic!("{}: {r}", path.display()));
            store(&events, line.as_bytes());
            assert!(looks_like(line.as_bytes()));
            n_events += 1;
            n_derived += events.len() - 1;
        }
    }
    eprintln!("recorded: {n_events} events, {n_derived} derived");
    assert!(n_events > 300);
}

#[test]
fn complete_events_translate() {
    let Some(corpora) = corpora() else { return };
    let mut paths = find(&corpora.join("openlineage/compat-consumer-scenarios"), &|p| {
        p.contains("/events/") && p.ends_with(".json")
    });
    paths.extend(find(&corpora.join("marquez/events"), &|path| path.ends_with(".json")));
    let mut n_events = 0;
    for path in paths {
        let bytes = std::fs::read(&path).expect("bytes");
        let template = path.ends_with("metadata.template.json");
        for part in split(&bytes).expect("split") {
            n_events += 1;
            match translate(part, &config()) {
                Ok(events) => {
                    assert!(!template, "{}", path.display());
                    store(&events, part);
                }
                Err(refusal) => {
                    assert!(template && refusal.what.contains("placeholder"), "{}: {refusal}", path.display());
                }
            }
        }
    }
    eprintln!("complete: {n_events} events");
    assert!(n_events > 50);
}

#[test]
fn partial_events_are_refused() {
    let Some(corpora) = corpora() else { return };
    let paths = find(&corpora.join("openlineage"), &|p| p.contains("expected-partial/") && p.ends_with(".json"));
    assert_eq!(paths.len(), 97);
    let (mut accepted, mut reasons) = (0, std::collections::BTreeMap::<String, usize>::new());
    for path in paths {
        let bytes = std::fs::read(&path).expect("bytes");
        for part in split(&bytes).expect("split") {
            match translate(part, &config()) {
                Ok(_) => accepted += 1,
                Err(refusal) => *reasons.entry(refusal.to_string()).or_default() += 1,
            }
        }
    }
    eprintln!("partial: {accepted} accepted, refused {reasons:#?}");
    assert_eq!(accepted, 14);
}

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const PIECES: [&str; 14] = [
        "null",
        "{}",
        "[]",
        "\"\"",
        "NaN",
        "-",
        "1e999",
        "\\ud800",
        "\u{feff}",
        "{\"a\":",
        "\"run\":{",
        ",",
        "9007199254740993",
        "\u{0}",
    ];
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(20)).min(bytes.len());
        match random.below(5) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..end, PIECES[random.below(PIECES.len())].bytes())),
            2 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            3 => bytes.truncate(at),
            _ => {
                let copy = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                drop(bytes.splice(to..to, copy));
            }
        }
    }
}

/// What a value may be replaced by.
const VALUES: [&str; 9] = ["null", "{}", "[]", "\"\"", "\"x\"", "-1.5", "[{}]", "{\"run\":{}}", "18446744073709551615"];

/// Replaces one value somewhere inside, so that the document stays JSON.
fn replace(value: &mut serde_json::Value, random: &mut Random) {
    let n = match value {
        serde_json::Value::Array(list) => list.len(),
        serde_json::Value::Object(members) => members.len(),
        _ => 0,
    };
    if n > 0 && random.below(8) > 0 {
        let chosen = random.below(n);
        let inner = match value {
            serde_json::Value::Array(list) => list.get_mut(chosen),
            serde_json::Value::Object(members) => members.values_mut().nth(chosen),
            _ => None,
        };
        return replace(inner.expect("a child"), random);
    }
    *value = serde_json::from_str(VALUES[random.below(VALUES.len())]).expect("valid");
}

#[test]
fn mutations_never_panic() {
    let names = [
        "jaffle_customers_complete.json",
        "jaffle_orders_test_complete.json",
        "airflow_task_complete.json",
        "job_event.json",
        "dataset_event.json",
    ];
    let mut documents: Vec<Vec<u8>> = names.iter().map(|name| fixture(name)).collect();
    if let Some(corpora) = corpora() {
        let folder = corpora.join("openlineage");
        for path in find(&folder.join("recorded"), &|path| path.ends_with(".events.ndjson")) {
            let text = std::fs::read_to_string(path).expect("text");
            documents.extend(text.lines().map(|line| line.as_bytes().to_vec()));
        }
        for path in
            find(&folder, &|p| p.ends_with(".json") && (p.contains("/events/") || p.contains("expected-partial/")))
        {
            let bytes = std::fs::read(path).expect("bytes");
            documents.extend(
                split(&bytes).expect("split").into_iter().filter(|part| part.len() < 20_000).map(<[u8]>::to_vec),
            );
        }
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut n_accepted = 0;
    for i in 0..40_000 {
        let mut bytes = documents[i % documents.len()].clone();
        if i % 2 == 0 {
            mutate(&mut bytes, &mut random);
        } else if let Ok(mut value) = serde_json::from_slice(&bytes) {
            replace(&mut value, &mut random);
            bytes = value.to_string().into_bytes();
        }
        n_accepted += usize::from(translate(&bytes, &config()).is_ok());
        let _ = (looks_like(&bytes), split(&bytes).is_ok());
    }
    eprintln!("40000 mutations of {} documents: {n_accepted} accepted", documents.len());
}
