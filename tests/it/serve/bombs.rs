//! Bombs that are questions: wide, cyclic, endless; answered within their budgets, in little memory.
//!
//! In full: `SERVE_FULL=1 cargo test --release -p lineage-tests --test it serve::bombs`.

use std::fmt::Write as _;
use std::time::Instant;

use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use serde_json::{Value, json};

use super::size;

/// The server must not take more.
const MEMORY: u64 = 512 * 1024 * 1024;

/// A hub that so many runs read, a chain, and a cycle made by links.
fn history(n: usize) -> String {
    let mut lines = String::new();
    for i in 0..n {
        let base = i / 2;
        let input = if i < 2 { "hub".to_owned() } else { format!("leaf-{base}") };
        let also = if i % 3 == 0 { ",{\"name\":\"hub\"}" } else { "" };
        writeln!(
            lines,
            r#"{{"v":1,"kind":"transform","id":"e{i}","run":"r{i}","job":"j","inputs":[{{"name":"{input}"}}{also}],"outputs":[{{"name":"leaf-{i}"}}]}}"#
        )
        .unwrap();
    }
    for i in 0..50 {
        let next = (i + 1) % 50;
        writeln!(lines, r#"{{"v":1,"kind":"transform","id":"c{i}","inputs":[{{"name":"ring-{i}"}}],"outputs":[{{"name":"ring-{next}"}}]}}"#).unwrap();
    }
    lines
}

/// Questions that grow with everything.
fn questions() -> Vec<Value> {
    let budget = |steps: u64| json!({ "steps": steps, "partial": true });
    let deep = format!("{}datasets{}", "(".repeat(40), ")".repeat(40));
    vec![
        json!({ "query": "datasets" }),
        json!({ "query": "datasets downstream of dataset hub" }),
        json!({ "query": "datasets downstream of dataset hub limit 1000000000" }),
        json!({ "query": "datasets downstream of (datasets downstream of (datasets upstream of datasets))" }),
        json!({ "query": "datasets upstream of dataset ring-7" }),
        json!({ "query": "paths from dataset hub to (datasets)" }),
        json!({ "query": "path from dataset ring-0 to dataset ring-49" }),
        json!({ "query": "datasets where name like '%a%a%a%a%a%a%a%a%a%b'" }),
        json!({ "query": "datasets where not (name = 'x' or name = 'y')", "page": 1_000_000_000, "budget": { "rows": 1_000_000_000 } }),
        json!({ "query": "datasets downstream of dataset hub", "budget": budget(1) }),
        json!({ "query": "datasets downstream of dataset hub", "budget": { "timeout_ms": 0, "partial": true } }),
        json!({ "query": "datasets downstream of dataset hub", "budget": { "rows": 3, "partial": true } }),
        json!({ "query": "what changed in (datasets) between 2020-01-01 and 2026-11-20" }),
        json!({ "query": deep }),
    ]
}

#[test]
fn questions_stay_within_their_budgets() {
    let sandbox = Sandbox::new();
    sandbox.ingest(&history(size(5000, 500_000)));
    let server = Server::start(&sandbox);
    let times = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for turn in 0..4 {
            let (server, times) = (&server, &times);
            scope.spawn(move || {
                let mut questions = questions();
                questions.rotate_left(turn * 3);
                for question in questions {
                    let begun = Instant::now();
                    let answer = server.post("/api/query", &question.to_string());
                    times.lock().unwrap().push((begun.elapsed(), question.to_string()));
                    let said = answer.json();
                    match answer.status {
                        200 => {
                            let partial = question["budget"]["partial"] == true;
                            assert!(said["complete"] == true || partial, "{question}");
                            assert!(said["complete"] == false || !partial, "{question} is over its budget");
                        }
                        422 => assert_eq!(said["exit"], 5, "{question}: {said}"),
                        503 => assert!(answer.header("retry-after").is_some()),
                        status => panic!("{question}: {status} {said}"),
                    }
                }
            });
        }
    });
    let mut times = times.into_inner().unwrap();
    times.sort();
    let (slowest, which) = times.last().unwrap();
    let p99 = times[times.len() * 99 / 100].0;
    lineage_tests::told(&format!(
        "{} questions, p99 {p99:.0?}, slowest {slowest:.0?} ({which}), {} MB",
        times.len(),
        server.memory() / 1_000_000
    ));
    assert!(server.memory() < MEMORY, "{} MB", server.memory() / 1_000_000);
    server.get("/healthz").is(200);
}

#[test]
fn an_idle_server_takes_little_memory() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    server.query("datasets").is(200);
    let idle = server.memory();
    lineage_tests::told(&format!("idle: {} MB", idle / 1_000_000));
    assert!(idle < 60_000_000, "{idle}");
}
