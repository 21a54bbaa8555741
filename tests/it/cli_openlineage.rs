//! Acceptance on the events that dbt, Airflow and the Python client sent.

use std::collections::BTreeSet;

use lineage_tests::sandbox::Sandbox;
use lineage_tests::{corpora, walk};

const BUILD: &str = "openlineage/recorded/dbt-duckdb/jaffle_build.events.ndjson";
const UPSTREAM: &str = "datasets upstream of dataset jaffle.main.customers";

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new();
    // What was recorded on 20 November is over.
    sandbox.at("2026-11-23T00:00:00Z");
    sandbox
}

#[test]
fn recorded_events_are_accepted_once() {
    let Some(corpora) = corpora() else { return };
    let sandbox = sandbox();
    let files = walk::files_ending(&corpora.join("openlineage/recorded"), ".events.ndjson");
    assert!(files.len() >= 10);
    for file in &files {
        let text = std::fs::read_to_string(file).expect("text");
        let distinct: BTreeSet<&str> = text.lines().collect();
        let said = sandbox.run([std::ffi::OsStr::new("--json"), "ingest".as_ref(), file.as_os_str()]);
        said.done();
        let said = said.json();
        assert_eq!(said["accepted"].as_u64(), Some(distinct.len() as u64), "{}: {said}", file.display());
        assert_eq!(said["duplicate"].as_u64(), Some((text.lines().count() - distinct.len()) as u64), "{said}");
        assert_eq!(said["refused"], 0, "{said}");
    }
    let status = sandbox.run(["--json", "status"]).json();
    for file in &files {
        let said = sandbox.run([std::ffi::OsStr::new("--json"), "ingest".as_ref(), file.as_os_str()]);
        said.done();
        assert_eq!((&said.json()["accepted"], &said.json()["events"]), (&0.into(), &0.into()), "{said}");
    }
    assert_eq!(sandbox.run(["--json", "status"]).json()["events"], status["events"]);
    sandbox.run(["verify"]).done();
    sandbox.run(["query", "evaluations where outcome = 'pass'", "--expect", "some"]).done();
}

#[test]
fn a_dbt_project_has_its_lineage() {
    let Some(corpora) = corpora() else { return };
    let sandbox = sandbox();
    sandbox.ingest(&std::fs::read_to_string(corpora.join(BUILD)).expect("text"));
    let names =
        ["orders", "raw_customers", "raw_orders", "raw_payments", "stg_customers", "stg_orders", "stg_payments"];
    let mut found = sandbox.names(UPSTREAM);
    found.dedup();
    assert_eq!(found, names.map(|name| format!("jaffle.main.{name}")));
    assert!(
        sandbox
            .names("datasets downstream of dataset jaffle.main.raw_payments")
            .contains(&"jaffle.main.customers".to_owned())
    );
}

#[test]
fn each_build_binds_to_its_own_tables() {
    let Some(corpora) = corpora() else { return };
    let text = std::fs::read_to_string(corpora.join(BUILD)).expect("text");
    let sandbox = sandbox();
    sandbox.ingest(&text);
    let before = sandbox.run(["query", &format!("{UPSTREAM}@v1"), "--output", "csv"]).bytes;
    sandbox.ingest(&next_day(&text));
    let question = "datasets directly upstream of dataset jaffle.main.customers@v2";
    let mut found: Vec<_> = sandbox.names(question).into_iter().zip(sandbox.column(question, "version")).collect();
    found.sort();
    let expected = ["orders", "stg_customers"].map(|name| (format!("jaffle.main.{name}"), "v2".to_owned()));
    assert_eq!(found, expected);
    let again = sandbox.run(["query", &format!("{UPSTREAM}@v1"), "--output", "csv"]).bytes;
    assert_eq!(again, before, "the first build is as it was");
}

/// The same build a day later: other run ids, shifted times.
fn next_day(text: &str) -> String {
    let ids: BTreeSet<&str> =
        (0..text.len().saturating_sub(36)).filter_map(|at| text.get(at..at + 36)).filter(|t| is_uuid(t)).collect();
    assert!(ids.len() > 5, "the runs have ids");
    let mut text = text.replace("2026-11-20T", "2026-11-21T");
    for id in ids {
        let other = format!("{}{}", if id.starts_with('f') { "e" } else { "f" }, &id[1..]);
        text = text.replace(id, &other);
    }
    text
}

fn is_uuid(text: &str) -> bool {
    text.bytes()
        .enumerate()
        .all(|(at, b)| if matches!(at, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() })
}
