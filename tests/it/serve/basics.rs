//! What every emitter and every asker needs: statuses, formats, pages, and an end that loses nothing.

use std::io::Write as _;
use std::process::{Command, Stdio};

use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use serde_json::{Value, json};

/// An `OpenLineage` event of a run.
pub(super) fn run_event(state: &str, run: &str, job: &str, inputs: &[&str], outputs: &[&str]) -> Value {
    let list = |names: &[&str]| names.iter().map(|name| json!({ "namespace": "db", "name": name })).collect::<Vec<_>>();
    json!({
        "eventType": state, "eventTime": "2026-11-20T10:00:00Z", "producer": "https://example.org/test",
        "run": { "runId": run }, "job": { "namespace": "shop", "name": job },
        "inputs": list(inputs), "outputs": list(outputs),
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    })
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let packed = child.wait_with_output().unwrap().stdout;
    writer.join().unwrap().unwrap();
    packed
}

#[test]
fn an_event_is_recorded_once_and_asked_for() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    server.get("/healthz").is(200);
    server.get("/readyz").is(200);
    let event = run_event("COMPLETE", "r1", "load", &["raw"], &["orders"]).to_string();
    let first = server.post("/api/v1/lineage", &event).is(201).json();
    assert_eq!((&first["positions"], &first["duplicate"]), (&json!([0]), &json!(false)));
    let again = server.post("/api/v1/lineage", &event).is(200).json();
    assert_eq!((&again["positions"], &again["duplicate"]), (&json!([0]), &json!(true)));
    let packed = gzip(event.as_bytes());
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let answer = server.connect().ask("POST", "/api/v1/lineage", &headers, &packed).unwrap().is(200);
    assert_eq!(answer.json()["duplicate"], true, "the inflated bytes are the same");
    assert_eq!(server.column("datasets upstream of dataset orders", "name"), ["raw"]);
    // The command line beside it sees the same.
    assert_eq!(sandbox.names("datasets"), ["orders", "raw"]);
    assert_eq!(server.metric("lineage_events_total{result=\"recorded\"}"), 1);
    assert_eq!(server.metric("lineage_events_total{result=\"duplicate\"}"), 2);
}

#[test]
fn wrong_events_are_refused_with_reasons() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let mut no_run = run_event("START", "r", "j", &["a"], &[]);
    no_run["run"] = json!({});
    let mut bad_time = run_event("START", "r", "j", &["a"], &[]);
    bad_time["eventTime"] = json!("yesterday");
    let cases = [
        (String::new(), 400, "JSON"),
        ("{".to_owned(), 400, ""),
        ("[]".to_owned(), 422, ""),
        ("null".to_owned(), 422, ""),
        (no_run.to_string(), 422, "runId"),
        (bad_time.to_string(), 422, "eventTime"),
        (r#"{"v":1,"kind":"training"}"#.to_owned(), 422, ""),
    ];
    for (body, status, field) in cases {
        let answer = server.post("/api/v1/lineage", &body).is(status).json();
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(field) && !message.is_empty(), "{body}: {message}");
    }
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    server.connect().ask("POST", "/api/v1/lineage", &headers, b"no gzip").unwrap().is(400);
    server.get("/api/v1/nothing").is(404);
    server.get("/api/query").is(405);
    assert_eq!(sandbox.names("datasets"), [""; 0]);
}

#[test]
fn a_batch_says_which_of_it_failed() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let good = run_event("COMPLETE", "r1", "load", &["raw"], &["orders"]);
    let batch = json!([good, { "eventTime": "never" }, good, run_event("START", "r2", "load", &["raw"], &[])]);
    let said = server.post("/api/v1/lineage/batch", &batch.to_string()).is(200).json();
    assert_eq!(said["status"], "partial_success");
    assert_eq!(said["summary"], json!({ "received": 4, "successful": 3, "failed": 1, "duplicate": 1 }));
    assert_eq!(
        (&said["failed_events"][0]["index"], &said["failed_events"][0]["retriable"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(server.metric("lineage_refused_total{reason=\"invalid\"}"), 1, "what fails in a batch is counted");
    server.post("/api/v1/lineage/batch", "{}").is(400);
    let said = server.post("/api/v1/lineage/batch", "[]").is(200).json();
    assert_eq!(said["status"], "success");
    assert_eq!(server.metric("lineage_events"), 2);
}

#[test]
fn native_events_get_their_positions_and_conflicts() {
    let server_of = Sandbox::new();
    let server = Server::start(&server_of);
    let lines = "{\"v\":1,\"kind\":\"transform\",\"id\":\"e1\",\"outputs\":[{\"name\":\"a\"}]}\n\
                 {\"v\":1,\"kind\":\"transform\",\"id\":\"e1\",\"outputs\":[{\"name\":\"b\"}]}\n";
    let said = server.post("/api/events", lines).is(200).json();
    assert_eq!(said["positions"], json!([0, null]));
    assert!(said["failed_events"][0]["reason"].as_str().unwrap().contains("same id"), "{said}");
    let access = r#"{"v":1,"kind":"access","args":{"subject":"me","action":"grant","role":"operator"}}"#;
    let said = server.post("/api/events", access).is(200).json();
    assert_eq!(said["summary"]["failed"], 1, "access is not changed over HTTP: {said}");
}

#[test]
fn answers_are_those_of_the_command_line_in_every_format() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    for i in 0..7 {
        let event = run_event("COMPLETE", &format!("r{i}"), "load", &["raw"], &[&format!("t{i}")]);
        server.post("/api/v1/lineage", &event.to_string()).is(201);
    }
    for format in ["json", "ndjson", "csv", "csv-safe", "arrow", "parquet", "dot", "mermaid"] {
        let asked = json!({ "query": "datasets downstream of dataset raw", "output": format });
        let answer = server.post("/api/query", &asked.to_string()).is(200);
        let told = sandbox.run(["query", "datasets downstream of dataset raw", "--output", format]);
        told.done();
        assert_eq!(answer.body, told.bytes, "{format}");
    }
    let accept = [("content-type", "application/json"), ("accept", "text/csv;q=0.9, */*")];
    let body = br#"{"query":"datasets"}"#;
    let answer = server.connect().ask("POST", "/api/query", &accept, body).unwrap().is(200);
    assert!(answer.header("content-type").unwrap().starts_with("text/csv"));
    let asked = json!({ "query": "datasets where name = :n", "params": { "n": "t3" } });
    assert_eq!(server.post("/api/query", &asked.to_string()).is(200).json()["rows"].as_array().unwrap().len(), 1);
}

#[test]
fn pages_stay_at_the_position_of_the_first() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let post = |i: usize| {
        let event = run_event("COMPLETE", &format!("r{i}"), "load", &["raw"], &[&format!("t{i}")]);
        server.post("/api/v1/lineage", &event.to_string()).is(201);
    };
    (0..7).for_each(post);
    let whole = server.column("datasets", "name");
    let (mut cursor, mut rows) = (None::<String>, Vec::new());
    loop {
        let asked = json!({ "query": "datasets", "page": 3, "cursor": cursor });
        let answer = server.post("/api/query", &asked.to_string()).is(200);
        let page = answer.json();
        assert_eq!(page["position"], 6);
        rows.extend(page["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()));
        // What is recorded between two pages is not in the later ones.
        post(100 + rows.len());
        match answer.header("lineage-cursor") {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(rows, whole);
    let other = json!({ "query": "models", "page": 3, "cursor": cursor });
    server.post("/api/query", &other.to_string()).is(400);
}

#[test]
fn wrong_questions_get_the_diagnostics_of_the_command_line() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let cases =
        [("models wher", 400, 2), ("modles", 422, 3), ("model nowhere", 422, 3), ("dataset ./secret.csv", 422, 3)];
    for (question, status, exit) in cases {
        let answer = server.query(question);
        let said = answer.json();
        assert_eq!((answer.status / 100, &said["exit"]), (4, &json!(exit)), "{question}: {said}");
        assert_eq!(answer.status, status, "{question}: {said}");
        assert!(said["errors"][0]["code"].is_string(), "{said}");
    }
    server.post("/api/query", r#"{"query":"models","colour":"red"}"#).is(400);
    server.post("/api/query", "no json").is(400);
    let list = server.get("/api/complete?text=models%20trai").is(200).json();
    assert!(list["candidates"].as_array().unwrap().iter().any(|c| c["text"] == "trained"), "{list}");
}

#[test]
fn a_signal_finishes_what_was_accepted() {
    for signal in ["TERM", "INT"] {
        let sandbox = Sandbox::new();
        let server = Server::start(&sandbox);
        let mut connection = server.connect();
        for i in 0..20 {
            let event = run_event("COMPLETE", &format!("r{i}"), "load", &["raw"], &["orders"]);
            connection.post("/api/v1/lineage", event.to_string().as_bytes()).unwrap().is(201);
        }
        let (code, said) = server.stop(signal);
        assert_eq!((code, said.as_str()), (0, ""));
        assert_eq!(sandbox.run(["--json", "status"]).json()["events"], 20);
        sandbox.run(["verify"]).done();
    }
}

#[test]
fn pages_of_other_sites_do_not_get_through() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let event = run_event("COMPLETE", "r", "j", &[], &["t"]).to_string();
    let json = ("content-type", "application/json");
    let cases: [(&[(&str, &str)], u16); 6] = [
        (&[("host", "evil.example"), json], 403),
        (&[("origin", "https://evil.example"), json], 403),
        (&[("origin", "null"), json], 403),
        (&[("content-type", "text/plain")], 415),
        (&[], 415),
        (&[("origin", "http://localhost:3000"), ("content-type", "application/json; charset=utf-8")], 201),
    ];
    for (headers, status) in cases {
        server.connect().ask("POST", "/api/v1/lineage", headers, event.as_bytes()).unwrap().is(status);
    }
    assert_eq!(server.metric("lineage_refused_total{reason=\"origin\"}"), 2);
    assert_eq!(server.metric("lineage_refused_total{reason=\"host\"}"), 1);
}
