//! Two promises about answers: what was known then does not change, and the index can be made again from the journal.

use lineage_tests::crash::event;
use lineage_tests::sandbox::Sandbox;
use lineage_tests::walk;

const QUESTIONS: [&str; 8] = [
    "models",
    "datasets upstream of model m1",
    "models trained on dataset d3",
    "models live in prod",
    "models live in prod without a passing audit since their last training",
    "datasets tagged pii",
    "trainings where job = 'j3'",
    "count models per name",
];

/// 200 events, and facts about some of them.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let lines: String = (0..200).map(|n| event("e", n) + "\n").collect();
    sandbox.ingest(&lines);
    sandbox.run(["deploy", "model", "m1", "--to", "prod"]).done();
    sandbox.run(["deploy", "model", "m2@v1", "--to", "prod"]).done();
    sandbox.run(["audit", "model", "m2@v1", "--outcome", "pass"]).done();
    sandbox.run(["tag", "dataset", "d3", "pii"]).done();
    sandbox
}

fn answers(sandbox: &Sandbox, tail: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for (question, n) in QUESTIONS.iter().zip([3, 3, 1, 1, 1, 1, 1, 1]) {
        for format in &["json", "csv", "table"][..n] {
            let ran = sandbox.run(["query", &format!("{question}{tail}"), "--output", format]);
            ran.done();
            found.push((format!("{question} as {format}"), ran.bytes));
        }
    }
    found
}

#[track_caller]
fn same(before: &[(String, Vec<u8>)], after: &[(String, Vec<u8>)]) {
    for ((question, a), (_, b)) in before.iter().zip(after) {
        let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
        assert!(
            a == b,
            "{question}:\nbefore {}\nafter  {}",
            a.chars().take(600).collect::<String>(),
            b.chars().take(600).collect::<String>()
        );
    }
}

#[test]
fn what_was_known_then_is_byte_identical_for_ever() {
    let mut sandbox = sandbox();
    let position = sandbox.run(["--json", "status"]).json()["position"].clone();
    // Without a clock of our own: with `known at`, now is when that position was recorded.
    sandbox.at_real_time();
    let tail = format!(" known at log {position}");
    let before = answers(&sandbox, &tail);
    assert!(before.iter().all(|(_, bytes)| bytes.len() > 40));
    let open = answers(&sandbox, "");
    later(&mut sandbox);
    same(&before, &answers(&sandbox, &tail));
    assert_ne!(open, answers(&sandbox, ""), "the later events change what is known now");
    sandbox.run(["rebuild"]).done();
    same(&before, &answers(&sandbox, &tail));
}

/// A thousand events that concern the same names, some of them about times long ago, and corrections.
fn later(sandbox: &mut Sandbox) {
    sandbox.at("2026-11-25T00:00:00Z");
    let lines: String =
        (0..1000).map(|n| event("later", n).replace("\"time\":\"2026-11", "\"time\":\"2026-10") + "\n").collect();
    sandbox.ingest(&lines);
    sandbox.run(["retract", "#3", "--reason", "wrong"]).done();
    sandbox.run(["retract", "run:r-e-4", "--reason", "wrong"]).done();
    sandbox.run(["link", "dataset", "d3", "dataset", "d4"]).done();
    sandbox.run(["audit", "model", "m1", "--outcome", "pass"]).done();
    sandbox.run(["deploy", "model", "m3", "--to", "prod"]).done();
    sandbox.run(["untag", "dataset", "d3", "pii"]).done();
    sandbox.at_real_time();
}

#[test]
fn index_and_event_store_are_made_again_from_the_journal() {
    let mut sandbox = sandbox();
    later(&mut sandbox);
    sandbox.at("2026-11-26T00:00:00Z");
    let before = answers(&sandbox, "");
    let log = sandbox.run(["--json", "log", "-n", "0"]).bytes;
    let show = sandbox.run(["--json", "show", "model", "m1"]).bytes;
    assert!(walk::bytes_below(&sandbox.store().join("graph")) > 0, "the index was sealed");
    for part in ["sled", "graph"] {
        std::fs::remove_dir_all(sandbox.store().join(part)).expect("removed");
    }
    // Without them answers come from the journal; then a rebuild brings both back.
    same(&before, &answers(&sandbox, ""));
    sandbox.run(["rebuild"]).done();
    for part in ["sled", "graph"] {
        assert!(walk::bytes_below(&sandbox.store().join(part)) > 0, "{part}");
    }
    same(&before, &answers(&sandbox, ""));
    assert_eq!(sandbox.run(["--json", "log", "-n", "0"]).bytes, log);
    assert_eq!(sandbox.run(["--json", "show", "model", "m1"]).bytes, show);
    sandbox.run(["verify"]).done();
}

#[test]
fn a_damaged_index_is_told_and_does_not_matter() {
    let mut sandbox = sandbox();
    later(&mut sandbox);
    sandbox.at("2026-11-26T00:00:00Z");
    let before = answers(&sandbox, "");
    for path in walk::files(&sandbox.store().join("graph")) {
        let mut bytes = std::fs::read(&path).expect("read");
        for at in (0..bytes.len()).step_by(1000) {
            bytes[at] ^= 0x10;
        }
        std::fs::write(&path, bytes).expect("damaged");
    }
    same(&before, &answers(&sandbox, ""));
    let ran = sandbox.run(["query", "models"]);
    assert!(ran.stderr.contains("damaged") && ran.stderr.contains("lineage rebuild"), "{ran}");
    sandbox.run(["verify"]).code(4);
    sandbox.run(["rebuild"]).done();
    sandbox.run(["verify"]).done();
    let ran = sandbox.run(["query", "models"]);
    assert!(!ran.stderr.contains("damaged"), "{ran}");
    same(&before, &answers(&sandbox, ""));
}
