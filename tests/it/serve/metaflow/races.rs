//! Races, restarts and deaths: numbers are handed out once, tags come to the same for all, and what was told stays.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lineage_tests::http::Connection;
use lineage_tests::random::Random;
use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::{Server, signal_to};
use serde_json::{Value, json};

use super::super::{seed, size};

/// So many clients at once.
const CLIENTS: usize = 8;

/// A client of its own, which stops where the server goes away.
struct Client(Connection);

impl Client {
    fn open(address: SocketAddr) -> Option<Self> {
        Connection::open(address).ok().map(Self)
    }

    fn send(&mut self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let headers = [("content-type", "application/json")];
        let target = format!("/metaflow/flows/{path}");
        let answer = self.0.ask(method, &target, &headers, body.to_string().as_bytes()).ok()?;
        Some((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    }

    /// Posts until there is room; the answer, which must be good.
    fn post(&mut self, path: &str, body: &Value) -> Option<Value> {
        loop {
            match self.send("POST", path, body)? {
                (200, answer) => return Some(answer),
                (503, _) => {}
                (status, answer) => panic!("{path}: {status} {answer}"),
            }
        }
    }

    fn get(&mut self, path: &str) -> Value {
        let (status, answer) = self.send("GET", path, &Value::Null).unwrap();
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
}

fn make_flow(server: &Server, flow: &str) {
    server.post(&format!("/metaflow/flows/{flow}"), "{}").is(200);
}

/// A run with a step, a task, and rows of both kinds, which are told to nobody but the server.
#[derive(Clone, Debug)]
struct Told {
    run: u64,
    task: u64,
    /// How much of it was answered: the task, the metadata, the artifacts.
    metadata: Option<String>,
    artifact: Option<String>,
    tag: Option<String>,
}

/// Makes runs until the server goes away; what it answered.
fn write_runs(address: SocketAddr, end: &AtomicBool, next: &AtomicUsize, told: &Mutex<Vec<Told>>) -> Option<()> {
    let mut client = Client::open(address)?;
    while !end.load(Ordering::Relaxed) {
        let i = next.fetch_add(1, Ordering::Relaxed);
        let run = client.post("F/run", &json!({ "user_name": "ana" }))?["run_number"].as_u64().unwrap();
        client.post(&format!("F/runs/{run}/steps/s/step"), &json!({}))?;
        let task = client.post(&format!("F/runs/{run}/steps/s/task"), &json!({}))?["task_id"].as_u64().unwrap();
        let at = |told: &Mutex<Vec<Told>>, change: &dyn Fn(&mut Told)| {
            let mut told = told.lock().unwrap();
            change(told.iter_mut().find(|one| one.run == run).unwrap());
        };
        told.lock().unwrap().push(Told { run, task, metadata: None, artifact: None, tag: None });
        let value = format!("value {i}");
        let row = json!([{ "field_name": "f", "type": "t", "value": value, "tags": ["attempt_id:0"] }]);
        client.post(&format!("F/runs/{run}/steps/s/tasks/{task}/metadata"), &row)?;
        at(told, &|one| one.metadata = Some(value.clone()));
        let sha = format!("{i:040x}");
        let row = json!([{ "name": "x", "sha": sha, "attempt_id": 0 }]);
        client.post(&format!("F/runs/{run}/steps/s/tasks/{task}/artifact"), &row)?;
        at(told, &|one| one.artifact = Some(sha.clone()));
        let tag = format!("tag {i}");
        let change = json!({ "tags_to_add": [tag] });
        if client.send("PATCH", &format!("F/runs/{run}/tag/mutate"), &change)?.0 == 200 {
            at(told, &|one| one.tag = Some(tag.clone()));
        }
    }
    Some(())
}

/// Everything that was told must be read again.
fn check(client: &mut Client, one: &Told) {
    let (run, task) = (one.run, one.task);
    let tags = client.get(&format!("F/runs/{run}"))["tags"].clone();
    assert!(one.tag.iter().all(|tag| tags.as_array().unwrap().contains(&json!(tag))), "{one:?}: {tags}");
    assert_eq!(client.get(&format!("F/runs/{run}/steps/s/tasks/{task}"))["task_id"], task);
    let rows = client.get(&format!("F/runs/{run}/steps/s/tasks/{task}/metadata"));
    assert!(one.metadata.iter().all(|value| rows[0]["value"] == json!(value)), "{one:?}: {rows}");
    let rows = client.get(&format!("F/runs/{run}/steps/s/tasks/{task}/artifacts"));
    assert!(one.artifact.iter().all(|sha| rows[0]["sha"] == json!(sha)), "{one:?}: {rows}");
}

#[test]
fn a_killed_server_loses_nothing_that_it_told_and_gives_no_number_twice() {
    let kills = size(4, 100);
    let (sandbox, mut random) = (Sandbox::new(), Random::new(seed()));
    make_flow(&Server::start(&sandbox), "F");
    let (next, told) = (AtomicUsize::new(0), Mutex::new(Vec::<Told>::new()));
    let mut highest = 0;
    for _ in 0..kills {
        let server = Server::start(&sandbox);
        let (end, first) = (AtomicBool::new(false), told.lock().unwrap().len());
        let last = next.load(Ordering::Relaxed) + 1 + random.below(60);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| write_runs(server.address, &end, &next, &told));
            }
            while next.load(Ordering::Relaxed) < last {
                std::thread::yield_now();
            }
            signal_to(server.id(), "KILL");
            end.store(true, Ordering::Relaxed);
        });
        server.kill();
        let told = told.lock().unwrap();
        assert!(told[first..].iter().all(|one| one.run > highest), "numbers grow over the lives of servers");
        highest = told.iter().map(|one| one.run).max().unwrap_or(0);
    }
    let told = told.into_inner().unwrap();
    assert_eq!(told.iter().map(|one| one.run).collect::<BTreeSet<_>>().len(), told.len(), "each run has its number");
    assert_eq!(told.iter().map(|one| one.task).collect::<BTreeSet<_>>().len(), told.len(), "each task has its number");
    let server = Server::start(&sandbox);
    let mut client = Client::open(server.address).unwrap();
    for one in &told {
        check(&mut client, one);
    }
    assert!(told.len() >= kills, "{}", told.len());
    lineage_tests::told(&format!("Metaflow: {kills} kills, {} tasks told, 0 lost", told.len()));
    drop(server);
    sandbox.run(["verify"]).done();
}

#[test]
fn two_servers_beside_one_store_give_no_number_twice_and_see_each_other() {
    let sandbox = Sandbox::new();
    let servers = [Server::start(&sandbox), Server::start(&sandbox)];
    make_flow(&servers[0], "F");
    assert_eq!(servers[1].post("/metaflow/flows/F", "{}").status, 409);
    let numbers = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for i in 0..CLIENTS {
            let (server, numbers) = (&servers[i % 2], &numbers);
            scope.spawn(move || {
                let mut client = Client::open(server.address).unwrap();
                for _ in 0..size(10, 200) {
                    let run = client.post("F/run", &json!({})).unwrap()["run_number"].as_u64().unwrap();
                    // What one of them gave is there for the other at once.
                    numbers.lock().unwrap().push(run);
                }
            });
        }
    });
    let numbers = numbers.into_inner().unwrap();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
    let [a, b] = servers.each_ref().map(|server| server.get("/metaflow/flows/F/runs").is(200).json());
    assert_eq!(a, b);
    assert_eq!(a.as_array().unwrap().len(), numbers.len());
}

#[test]
fn changes_of_tags_at_the_same_time_all_count() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    make_flow(&server, "F");
    let run = server.post("/metaflow/flows/F/run", r#"{"tags":["gone"],"system_tags":["user:ana"]}"#).is(200).json();
    assert_eq!(run["tags"], json!(["gone"]));
    std::thread::scope(|scope| {
        for i in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let mut client = Client::open(server.address).unwrap();
                for n in 0..6 {
                    // Each client has tags of its own, sets all but the last, and takes every other one away again.
                    let mut change =
                        json!({ "tags_to_add": [format!("{i}-{n}"), "all", "user:ana"], "tags_to_remove": ["gone"] });
                    let (status, tags) = client.send("PATCH", "F/runs/1/tag/mutate", &change).unwrap();
                    assert_eq!(status, 200, "{tags}");
                    assert!(tags["tags"].as_array().unwrap().contains(&json!(format!("{i}-{n}"))), "{tags}");
                    if n % 2 == 0 {
                        change = json!({ "tags_to_add": [], "tags_to_remove": [format!("{i}-{n}")] });
                        assert_eq!(client.send("PATCH", "F/runs/1/tag/mutate", &change).unwrap().0, 200);
                    }
                }
            });
        }
    });
    let mut expected: BTreeSet<String> = (0..CLIENTS).flat_map(|i| [1, 3, 5].map(|n| format!("{i}-{n}"))).collect();
    expected.insert("all".to_owned());
    let tags = |server: &Server| -> BTreeSet<String> {
        let run = server.get("/metaflow/flows/F/runs/1").is(200).json();
        run["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(tags(&server), expected);
    // Tags are the run's, whoever sets them.
    let event = json!({
        "v": 1, "kind": "tag", "namespace": "metaflow", "about": [{ "run": { "run": "F/1" } }],
        "args": { "tags": ["by-hand"] },
    });
    sandbox.ingest(&event.to_string());
    expected.insert("by-hand".to_owned());
    assert_eq!(tags(&server), expected);
    assert_eq!(server.column("runs tagged '1-3'", "name"), ["F"]);
    assert!(server.column("runs tagged 'gone'", "name").is_empty());
    drop(server);
    assert_eq!(tags(&Server::start(&sandbox)), expected);
}

/// Everything that can be read of a flow.
fn everything(server: &Server) -> BTreeMap<String, Value> {
    let mut client = Client::open(server.address).unwrap();
    let mut all = BTreeMap::new();
    let mut read = |client: &mut Client, path: String| -> Vec<Value> {
        let answer = client.get(&path);
        let list = answer.as_array().cloned().unwrap_or_default();
        all.insert(path, answer);
        list
    };
    for run in read(&mut client, "F/runs".to_owned()) {
        let run = format!("F/runs/{}", run["run_number"].to_string().trim_matches('"'));
        read(&mut client, format!("{run}/metadata"));
        read(&mut client, format!("{run}/artifacts"));
        for step in read(&mut client, format!("{run}/steps")) {
            let step = format!("{run}/steps/{}", step["step_name"].as_str().unwrap());
            read(&mut client, format!("{step}/artifacts"));
            read(&mut client, format!("{step}/filtered_tasks"));
            for task in read(&mut client, format!("{step}/tasks")) {
                let task = format!("{step}/tasks/{}", task["task_id"].to_string().trim_matches('"'));
                for what in ["metadata", "artifacts", "attempt/0/artifacts", "attempt/1/artifacts"] {
                    read(&mut client, format!("{task}/{what}"));
                }
            }
        }
    }
    all
}

#[test]
fn a_server_that_starts_again_answers_the_same() {
    let sandbox = Sandbox::new();
    let mut random = Random::new(seed());
    let mut server = Server::start(&sandbox);
    make_flow(&server, "F");
    let (mut runs, mut tasks): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for i in 0..size(300, 5000) {
        let mut client = Client::open(server.address).unwrap();
        match random.below(10) {
            0 => {
                // A scheduler may name runs; one that is there already is told.
                let named = random.one_in(2).then(|| format!("argo-{}", random.below(5)));
                let mut body = json!({ "tags": ["t"], "system_tags": ["user:ana"] });
                if let Some(name) = &named {
                    body["run_number"] = json!(name);
                }
                let (status, run) = client.send("POST", "F/run", &body).unwrap();
                assert!(status == 200 || (named.is_some() && status == 409), "{run}");
                if status == 200 {
                    runs.push(format!("F/runs/{}", run["run_number"].to_string().trim_matches('"')));
                }
            }
            1 | 2 if !runs.is_empty() => {
                let step = format!("{}/steps/s{}", runs[random.below(runs.len())], random.below(3));
                let status = client.send("POST", &format!("{step}/step"), &json!({})).unwrap().0;
                assert!(status == 200 || status == 409);
                let (status, task) = client.send("POST", &format!("{step}/task"), &json!({})).unwrap();
                assert_eq!(status, 200);
                tasks.push(format!("{step}/tasks/{}", task["task_id"]));
            }
            3 if !runs.is_empty() => {
                let tag = |random: &mut Random| format!("tag-{}", random.below(4));
                let change = json!({ "tags_to_add": [tag(&mut random)], "tags_to_remove": [tag(&mut random)] });
                let run = &runs[random.below(runs.len())];
                assert_eq!(client.send("PATCH", &format!("{run}/tag/mutate"), &change).unwrap().0, 200);
            }
            4..7 if !tasks.is_empty() => {
                let attempt = random.below(2);
                let fields = ["attempt", "attempt_ok", "attempt-done", "foreach-execution-path", "other"];
                let value =
                    [json!("True"), json!("False"), json!("0"), json!({ "a": [1, null] }), json!("x".repeat(20_000))];
                let row = json!([{
                    "field_name": fields[random.below(5)], "type": "t", "value": value[random.below(5)],
                    "tags": [format!("attempt_id:{attempt}")], "ts_epoch": i,
                }]);
                let task = &tasks[random.below(tasks.len())];
                client.post(&format!("{task}/metadata"), &row).unwrap();
            }
            7..9 if !tasks.is_empty() => {
                let (attempt, digest) = (random.below(2), random.below(9));
                let row = |n| json!({ "name": format!("a{n}"), "sha": format!("{:040x}", digest + n), "attempt_id": attempt });
                let rows: Value = (0..=i % 3).map(row).collect();
                let task = &tasks[random.below(tasks.len())];
                client.post(&format!("{task}/artifact"), &rows).unwrap();
            }
            _ if random.one_in(5) => {
                let before = everything(&server);
                drop(server);
                server = Server::start(&sandbox);
                assert_eq!(everything(&server), before, "after {i} requests");
            }
            _ => {}
        }
    }
    let before = everything(&server);
    assert!(before.len() > 20, "{}", before.len());
    drop(server);
    // The index and the event store are copies: without them the same is answered.
    std::fs::remove_dir_all(sandbox.store().join("graph")).unwrap();
    std::fs::remove_dir_all(sandbox.store().join("sled")).unwrap();
    sandbox.run(["rebuild"]).done();
    assert_eq!(everything(&Server::start(&sandbox)), before);
}

#[test]
fn what_was_retracted_is_read_no_more_and_its_number_stays_used() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    make_flow(&server, "F");
    for _ in 0..2 {
        server.post("/metaflow/flows/F/run", "{}").is(200);
    }
    sandbox.run(["retract", "run:F/2", "--reason", "a test"]).done();
    server.get("/metaflow/flows/F/runs/2").is(404);
    server.get("/metaflow/flows/F/runs/1").is(200);
    assert_eq!(server.post("/metaflow/flows/F/run", "{}").is(200).json()["run_number"], 3);
    drop(server);
    let server = Server::start(&sandbox);
    server.get("/metaflow/flows/F/runs/2").is(404);
    assert_eq!(server.post("/metaflow/flows/F/run", "{}").is(200).json()["run_number"], 4);
}

#[test]
fn a_loop_that_is_too_wide_for_one_facet() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    make_flow(&server, "F");
    let mut client = Client::open(server.address).unwrap();
    client.post("F/run", &json!({})).unwrap();
    // The tasks that the last one follows take more bytes than a facet may have inside of an event.
    let (step, n) = ("work".repeat(100), 60);
    let mut task = |step: &str, path: Option<String>, sha: usize| {
        client.send("POST", &format!("F/runs/1/steps/{step}/step"), &json!({})).unwrap();
        let task = client.post(&format!("F/runs/1/steps/{step}/task"), &json!({})).unwrap()["task_id"].clone();
        let at = format!("F/runs/1/steps/{step}/tasks/{task}");
        let row = |field: &str, value: &str| json!({ "field_name": field, "value": value, "tags": ["attempt_id:0"] });
        let mut rows = vec![row("attempt", "0")];
        rows.extend(path.map(|path| row("foreach-execution-path", &path)));
        client.post(&format!("{at}/metadata"), &rows.into()).unwrap();
        client.post(&format!("{at}/metadata"), &json!([row("attempt_ok", "True"), row("attempt-done", "0")])).unwrap();
        let made = json!([{ "name": step, "sha": format!("{sha:040x}"), "attempt_id": 0 }]);
        client.post(&format!("{at}/artifact"), &made).unwrap();
        at
    };
    for i in 0..n {
        task(&step, Some(format!("work:{i}")), i + 1);
    }
    let join = task("join", None, 999);
    let question = format!("artifacts upstream of artifact 'F/join' where name = 'F/{step}'");
    assert_eq!(server.column(&question, "version").len(), n);
    let read = |server: &Server| server.get(&format!("/metaflow/flows/{join}/metadata")).is(200).json();
    let before = read(&server);
    assert_eq!(before.as_array().unwrap().len(), 3);
    drop(server);
    let server = Server::start(&sandbox);
    assert_eq!(read(&server), before);
    sandbox.run(["verify"]).done();
}

#[test]
fn signs_of_life_are_told_and_are_no_events() {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let server = Server::start(&sandbox);
    make_flow(&server, "F");
    let mut client = Client::open(server.address).unwrap();
    let made = client.post("F/run", &json!({})).unwrap();
    client.post("F/runs/1/steps/s/step", &json!({})).unwrap();
    client.post("F/runs/1/steps/s/task", &json!({})).unwrap();
    let events = server.metric("lineage_events");
    for path in ["F/runs/1/heartbeat", "F/runs/1/steps/s/tasks/1/heartbeat"] {
        // As clients send it: without the type of its body.
        let answer = server.connect().ask("POST", &format!("/metaflow/flows/{path}"), &[], b"{}").unwrap().is(200);
        assert_eq!(answer.json(), json!(r#"{"wait_time_in_seconds": 10}"#));
    }
    assert_eq!(server.metric("lineage_events"), events);
    for (path, key) in [("F/runs/1", "run_number"), ("F/runs/1/steps/s/tasks/1", "task_id")] {
        let row = client.get(path);
        assert_eq!(row[key], 1);
        assert!(row["last_heartbeat_ts"].as_i64() >= made["last_heartbeat_ts"].as_i64());
    }
    for path in ["F/runs/2/heartbeat", "F/runs/1/steps/s/tasks/2/heartbeat", "G/runs/1/heartbeat"] {
        server.connect().ask("POST", &format!("/metaflow/flows/{path}"), &[], b"{}").unwrap().is(404);
    }
    // What records something must declare its body.
    server.connect().ask("POST", "/metaflow/flows/F/run", &[], b"{}").unwrap().is(415);
    server.connect().ask("PATCH", "/metaflow/flows/F/runs/1/tag/mutate", &[], b"{}").unwrap().is(415);
}
