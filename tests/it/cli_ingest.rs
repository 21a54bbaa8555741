//! `lineage ingest` through the binary: duplicates, conflicts, refusals, many processes, and kills.

use std::process::Stdio;
use std::time::Duration;

use lineage_tests::crash::event;
use lineage_tests::random::Random;
use lineage_tests::sandbox::Sandbox;
use serde_json::{Value, json};

fn lines(source: &str, range: std::ops::Range<u64>) -> String {
    range.map(|n| event(source, n) + "\n").collect()
}

fn events(sandbox: &Sandbox) -> Value {
    sandbox.run(["--json", "status"]).json()["events"].clone()
}

#[test]
fn a_second_ingest_adds_nothing() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("e.ndjson", lines("e", 0..300));
    let file = file.to_str().expect("text");
    let first = sandbox.run(["--json", "ingest", file]).json();
    let expected = json!({ "accepted": 300, "duplicate": 0, "refused": 0, "spooled": 0, "events": 300, "first": 0,
        "last": 299, "stopped": false, "dry_run": false, "rejects": null });
    assert_eq!(first, expected);
    let answers = sandbox.run(["query", "models", "--output", "json"]).bytes;
    let second = sandbox.run(["--json", "ingest", file]).json();
    assert_eq!((&second["accepted"], &second["duplicate"], &second["first"]), (&json!(0), &json!(300), &json!(null)));
    assert_eq!(events(&sandbox), 300);
    assert_eq!(sandbox.run(["query", "models", "--output", "json"]).bytes, answers);
    // Also after the index is built anew, and for an event without an id of its own.
    sandbox.run(["rebuild"]).done();
    assert_eq!(sandbox.run(["--json", "ingest", file]).json()["duplicate"], 300);
    let plain = "{\"v\":1,\"kind\":\"transform\",\"run\":\"r\",\"time\":\"2026-01-01T00:00:00Z\"}\n";
    assert_eq!(sandbox.ingest(plain).json()["accepted"], 1);
    assert_eq!(sandbox.ingest(plain).json()["duplicate"], 1);
}

#[test]
fn one_id_with_other_bytes_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.ingest(&lines("e", 0..3));
    let other = event("e", 1).replace("\"actor\":\"ana\"", "\"actor\":\"bob\"") + "\n" + &lines("e", 3..4);
    let ran = sandbox.run_with(["--json", "ingest", "-"], other.as_bytes());
    ran.fails(6, "same id");
    assert_eq!((&ran.json()["accepted"], &ran.json()["refused"]), (&json!(1), &json!(1)));
    assert_eq!(events(&sandbox), 4);
    // What was refused is kept with its reason, so that nothing is lost.
    let rejects = ran.json()["rejects"].as_str().expect("a file").to_owned();
    let kept = std::fs::read_to_string(sandbox.path().join(rejects)).expect("rejects");
    assert!(kept.contains("bob") && kept.contains("same id"), "{kept}");
}

#[test]
fn strict_stops_and_a_dry_run_writes_nothing() {
    let sandbox = Sandbox::new();
    let bad = lines("e", 0..2) + "{\"v\":1,\"kind\":\"nosuch\"}\n" + &lines("e", 2..4);
    let dry = sandbox.run_with(["--json", "ingest", "--dry-run", "-"], bad.as_bytes());
    dry.code(6);
    assert_eq!((&dry.json()["accepted"], &dry.json()["refused"]), (&json!(4), &json!(1)));
    assert_eq!(events(&sandbox), 0);
    let strict = sandbox.run_with(["--json", "ingest", "--strict", "-"], bad.as_bytes());
    strict.code(6);
    assert_eq!((&strict.json()["accepted"], &strict.json()["stopped"]), (&json!(2), &json!(true)));
    let rest = sandbox.run_with(["--json", "ingest", "-"], bad.as_bytes());
    assert_eq!((&rest.json()["accepted"], &rest.json()["duplicate"]), (&json!(2), &json!(2)));
    assert_eq!(events(&sandbox), 4);
}

#[test]
fn files_of_which_one_is_missing_record_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("a.ndjson", lines("a", 0..5));
    sandbox.run(["ingest", "a.ndjson", "b.ndjson"]).fails(6, "b.ndjson");
    assert_eq!(events(&sandbox), 0);
    sandbox.write("b.ndjson", lines("b", 0..5));
    sandbox.run(["ingest", "a.ndjson", "b.ndjson"]).done();
    assert_eq!(events(&sandbox), 10);
}

#[test]
fn processes_that_ingest_the_same_file_record_it_once() {
    let sandbox = Sandbox::new();
    sandbox.write("e.ndjson", lines("e", 0..1500));
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = sandbox.command(["--json", "ingest", "e.ndjson"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
        })
        .collect();
    let (mut accepted, mut duplicate, mut spooled) = (0, 0, 0);
    for child in children {
        let output = child.wait_with_output().expect("ends");
        let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        accepted += said["accepted"].as_u64().expect("a number");
        duplicate += said["duplicate"].as_u64().expect("a number");
        spooled += said["spooled"].as_u64().expect("a number");
    }
    assert_eq!((accepted + duplicate + spooled, accepted <= 1500), (6000, true));
    sandbox.run(["ingest", "/dev/null"]).done();
    assert_eq!(events(&sandbox), 1500);
    sandbox.run(["verify"]).done();
}

#[test]
fn an_ingest_that_is_killed_can_be_run_again() {
    let sandbox = Sandbox::new();
    sandbox.write("e.ndjson", lines("e", 0..6000));
    let mut random = Random::new(7);
    for _ in 0..6 {
        let mut child = sandbox.command(["ingest", "e.ndjson"]).stdout(Stdio::null()).spawn().expect("starts");
        std::thread::sleep(Duration::from_millis(20 + random.below(300) as u64));
        child.kill().ok();
        child.wait().expect("ended");
        sandbox.run(["status"]).done();
    }
    let last = sandbox.run(["--json", "ingest", "e.ndjson"]).json();
    assert_eq!(last["accepted"].as_u64().zip(last["duplicate"].as_u64()).map(|(a, d)| a + d), Some(6000));
    assert_eq!(events(&sandbox), 6000);
    sandbox.run(["verify"]).done();
}
