//! Mutated `OpenLineage` documents: none makes the server panic, none is answered with 5xx, good ones pass afterwards.
//!
//! In full: `SERVE_FULL=1 SERVE_SEED=1 cargo test -p lineage-tests --test it serve::mutations`.

use std::collections::BTreeMap;

use lineage_tests::random::Random;
use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use lineage_tests::{corpora, walk, workspace};

use super::{seed, size};

/// What is put where a value was.
const ODD: [&str; 20] = [
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "1e-999",
    "NaN",
    "-Infinity",
    "123456789012345678901234567890",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[]",
    "{}",
    "[[[[]]]]",
    "\"9999-99-99T99:99:99Z\"",
    "\"-271821-04-20T00:00:00Z\"",
    "{\"a\":1,\"a\":2}",
    "\"\u{202e}\u{feff}\"",
    "1.",
];

/// Events of real emitters and of the specification's examples.
fn documents() -> Vec<Vec<u8>> {
    let mut files = walk::files_ending(&workspace().join("tests/fixtures/openlineage"), ".json");
    if let Some(corpora) = corpora() {
        files.extend(walk::files_ending(&corpora.join("openlineage/compat-consumer-scenarios"), ".json"));
        files.extend(walk::files_ending(&corpora.join("marquez/events"), ".json"));
        files.extend(walk::files_ending(&corpora.join("openlineage/client-python-tests"), ".json"));
    }
    files.iter().map(|file| std::fs::read(file).unwrap()).filter(|bytes| bytes.len() < 20_000).collect()
}

pub(super) fn mutate(document: &mut Vec<u8>, documents: &[Vec<u8>], random: &mut Random) {
    if document.is_empty() {
        document.push(b'{');
    }
    let at = random.below(document.len());
    let length = random.below(60).min(document.len() - at);
    match random.below(11) {
        0 => document[at] ^= 1 << random.below(8),
        1 => document[at] = random.number() as u8,
        2 => document.truncate(at),
        3 => drop(document.drain(at..at + length)),
        4 => {
            let piece = document[at..at + length].to_vec();
            let to = random.below(document.len());
            document.splice(to..to, piece);
        }
        5 => {
            let other = &documents[random.below(documents.len())];
            let from = random.below(other.len());
            let piece = other[from..(from + 200).min(other.len())].to_vec();
            document.splice(at..at, piece);
        }
        6 => drop(document.splice(at..at, *b"\xff\xfe\xc0\x80")),
        7 => {
            let depth = random.below(3000);
            let deep = [vec![b'['; depth], vec![b']'; depth]].concat();
            replace_value(document, at, &deep);
        }
        8 => {
            let long = format!("\"{}\"", "é".repeat(random.below(30_000)));
            replace_value(document, at, long.as_bytes());
        }
        _ => replace_value(document, at, ODD[random.below(ODD.len())].as_bytes()),
    }
}

/// Puts something in the place of the value of the next member.
fn replace_value(document: &mut Vec<u8>, at: usize, value: &[u8]) {
    let Some(colon) = document[at..].iter().position(|b| *b == b':').map(|i| at + i + 1) else { return };
    let end = document[colon..].iter().position(|b| b",}]".contains(b)).map_or(document.len(), |i| colon + i);
    document.splice(colon..end, value.iter().copied());
}

#[test]
fn no_mutation_breaks_the_server() {
    let (n, mut random) = (size(3000, 100_000), Random::new(seed()));
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let documents = documents();
    let (mut connection, mut statuses) = (server.connect(), BTreeMap::<u16, usize>::new());
    let mut done = 0;
    while done < n {
        let mut mutated = || {
            let mut document = documents[random.below(documents.len())].clone();
            for _ in 0..=random.below(3) {
                mutate(&mut document, &documents, &mut random);
            }
            document
        };
        let (target, body) = if done % 50 == 0 {
            let list: Vec<Vec<u8>> = (0..10).map(|_| mutated()).collect();
            done += 9;
            ("/api/v1/lineage/batch", [b"[".to_vec(), list.join(&b','), b"]".to_vec()].concat())
        } else {
            ("/api/v1/lineage", mutated())
        };
        done += 1;
        let answer = connection.post(target, &body).unwrap_or_else(|e| {
            panic!("{e} at {done} of seed: {}", String::from_utf8_lossy(&body));
        });
        assert!(answer.status < 500, "{}: {}", answer.text(), String::from_utf8_lossy(&body));
        *statuses.entry(answer.status).or_default() += 1;
        if answer.status >= 400 {
            let said = answer.json();
            assert!(!said["message"].as_str().unwrap().is_empty(), "{said}");
        }
    }
    assert!(statuses[&201] > 0 && statuses[&400] > 0 && statuses[&422] > 0, "{statuses:?}");
    let good = super::basics::run_event("COMPLETE", "r-good", "good", &["good-in"], &["good-out"]);
    server.post("/api/v1/lineage", &good.to_string()).is(201);
    assert_eq!(server.column("datasets upstream of dataset good-out", "name"), ["good-in"]);
    let (code, said) = server.stop("TERM");
    assert_eq!((code, said.as_str()), (0, ""), "{statuses:?}");
    sandbox.run(["verify"]).done();
    lineage_tests::told(&format!("{n} mutated documents, 0 panics, 0 answers of 5xx: {statuses:?}"));
}
