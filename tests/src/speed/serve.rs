//! The server under load: events a second that are acknowledged durable, one each or in batches, and how long they take.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lineage_store::Store;
use serde_json::{Value, json};

use super::Row;
use crate::http::Connection;
use crate::{memory, processor};

/// Connections that are kept open: many that send one event each, few that send batches, whose events together are many.
const CONNECTIONS: (usize, usize) = (32, 4);
/// Each measurement takes so long.
const LASTS: Duration = Duration::from_secs(10);
/// What stands in an event where its run id goes, of the same length.
const RUN: &str = "00000000-0000-4000-8000-000000000000";

/// What is sent, and how much is wanted.
struct Load {
    what: &'static str,
    events: Vec<String>,
    batch: usize,
    goal: u64,
}

/// Measures; `lineage` is the binary, `recorded` a folder of recorded events, if there is one.
///
/// `only`: the one load to send, by its number from 1; else all of them, and the questions.
pub fn measure(lineage: &Path, folder: &Path, recorded: Option<&Path>, only: Option<usize>) -> Vec<Row> {
    let root = folder.join("serve");
    std::fs::create_dir_all(&root).unwrap();
    let done = Command::new(lineage).arg("init").current_dir(&root).output().unwrap();
    assert!(done.status.success());
    let mut server = Running::start(lineage, &root);
    let idle = memory::resident(server.child.id()).unwrap();
    let small = vec![small_event()];
    let mut loads = Vec::new();
    if let Some(folder) = recorded {
        let mix = mix(folder);
        loads.push(Load { what: "the recorded mix, one each", events: mix.clone(), batch: 1, goal: 5_000 });
        loads.push(Load { what: "the recorded mix, batches of 100", events: mix, batch: 100, goal: 15_000 });
    }
    loads.push(Load { what: "500 bytes, one each", events: small.clone(), batch: 1, goal: 15_000 });
    loads.push(Load { what: "500 bytes, batches of 100", events: small, batch: 100, goal: 60_000 });
    let wanted = loads.iter().enumerate().filter(|(i, _)| only.is_none_or(|only| only == i + 1));
    let mut rows: Vec<Row> = wanted.map(|(i, load)| run(&server, i, load)).collect();
    rows.push(["the server idle".into(), format!("{} MB", idle / 1_000_000), "60 MB at most".into()]);
    if only.is_none() {
        rows.push(question(server.address, &root.join(".lineage")));
    }
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    rows
}

/// A server on the first core; this process has the others.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(lineage: &Path, root: &Path) -> Self {
        pin(std::process::id(), "1-");
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(lineage).args(["--json", "serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.current_dir(root).stdout(Stdio::piped()).spawn().expect("taskset (util-linux)");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let address = said["url"].as_str().unwrap().trim_start_matches("http://").parse().unwrap();
        Self { child, address }
    }
}

/// Lets a process run on some cores only; on a machine with one core it runs there.
fn pin(process: u32, cores: &str) {
    let last = std::thread::available_parallelism().map_or(1, usize::from).saturating_sub(1);
    let cores = if last == 0 { "0".to_owned() } else { format!("{cores}{last}") };
    Command::new("taskset").args(["-a", "-cp", &cores, &process.to_string()]).output().expect("taskset (util-linux)");
}

/// Sends for a while and tells how many events a second were acknowledged, and how long a request took.
fn run(server: &Running, turn: usize, load: &Load) -> Row {
    let (address, used) = (server.address, processor::used(server.child.id()).unwrap());
    let (next, acknowledged, end) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let connections = if load.batch == 1 { CONNECTIONS.0 } else { CONNECTIONS.1 };
    let begun = Instant::now();
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let send = || {
            let (mut connection, mut times) = (Connection::open(address).unwrap(), Vec::new());
            while !end.load(Ordering::Relaxed) {
                let (body, target) = body(load, turn, &next);
                let sent = Instant::now();
                let answer = connection.post(target, &body).unwrap();
                assert!(answer.status == 201 || answer.status == 200, "{}", answer.text());
                times.push(sent.elapsed());
                acknowledged.fetch_add(load.batch as u64, Ordering::Relaxed);
            }
            times
        };
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
        std::thread::sleep(LASTS);
        end.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let took = begun.elapsed();
    times.sort_unstable();
    let at = |percent: usize| super::ms(times[(times.len() - 1) * percent / 100]);
    let used = processor::used(server.child.id()).unwrap().saturating_sub(used);
    let acknowledged = acknowledged.into_inner();
    let each = used.as_secs_f64() * 1e6 / acknowledged as f64;
    let rate = super::rate(acknowledged, took);
    let bytes = load.events.iter().map(String::len).sum::<usize>() / load.events.len();
    [
        format!("{}, {connections} connections, {bytes} bytes an event", load.what),
        format!("{rate}, median {}, p99 {}; {each:.1} µs of the processor an event", at(50), at(99)),
        format!("goal {}/s, p99 50 ms", load.goal),
    ]
}

/// The next body: events that were never sent before.
fn body(load: &Load, turn: usize, next: &AtomicU64) -> (Vec<u8>, &'static str) {
    let one = || {
        let n = next.fetch_add(1, Ordering::Relaxed);
        load.events[n as usize % load.events.len()].replace(RUN, &format!("{turn:08x}-0000-4000-8000-{n:012x}"))
    };
    if load.batch == 1 {
        return (one().into_bytes(), "/api/v1/lineage");
    }
    let list: Vec<String> = (0..load.batch).map(|_| one()).collect();
    (format!("[{}]", list.join(",")).into_bytes(), "/api/v1/lineage/batch")
}

/// Every recorded event, its run id replaced; without those that have none.
fn mix(folder: &Path) -> Vec<String> {
    let files = crate::walk::files_ending(folder, ".events.ndjson");
    let mut events = Vec::new();
    for file in files {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            if let Some(run) = event["run"]["runId"].as_str() {
                events.push(line.replace(run, RUN));
            }
        }
    }
    events
}

fn small_event() -> String {
    let mut event = json!({
        "eventType": "COMPLETE", "eventTime": "2026-11-20T10:00:00Z", "run": { "runId": RUN },
        "job": { "namespace": "bench", "name": "load.orders" },
        "inputs": [{ "namespace": "postgres://db:5432", "name": "shop.public.orders" }],
        "outputs": [{ "namespace": "postgres://db:5432", "name": "shop.mart.orders" }],
        "producer": "https://example.org/bench",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    });
    let room = 500 - event.to_string().len() - r#","pad":"""#.len();
    event["pad"] = "x".repeat(room).into();
    event.to_string()
}

/// What HTTP adds to a question: beside the same question asked of the same store in this process.
fn question(address: SocketAddr, root: &Path) -> Row {
    const QUESTION: &str = "dataset shop.mart.orders@v1";
    let store = Store::open(root).unwrap();
    let engine = (0..1000).map(|_| {
        let begun = Instant::now();
        assert_eq!(super::closure::ask(&store.view().unwrap(), QUESTION), 1);
        begun.elapsed()
    });
    let engine = super::median(engine.collect());
    let asked = json!({ "query": QUESTION }).to_string();
    let mut connection = Connection::open(address).unwrap();
    let ask = |connection: &mut Connection, target: &str| {
        let mut times = Vec::new();
        for _ in 0..1000 {
            let begun = Instant::now();
            let answer = match target {
                "/healthz" => connection.get(target),
                _ => connection.post(target, asked.as_bytes()),
            };
            assert_eq!(answer.unwrap().status, 200);
            times.push(begun.elapsed());
        }
        super::median(times)
    };
    let (bare, whole) = (ask(&mut connection, "/healthz"), ask(&mut connection, "/api/query"));
    let beside =
        format!("the engine {}, /healthz {}; less than 1 ms more than the engine", super::ms(engine), super::ms(bare));
    ["a question over HTTP".into(), super::ms(whole), beside]
}
