//! Requests of `MLflow`'s clients, beside its own server on `SQLite`:
//! `cargo run --release -p lineage-tests --bin mlflow -- [--runs N] [--mib N] [--official PROGRAM] [--dir DIR]`.
//!
//! `lineage` must be built beside. Each request is sent over one kept connection, one after the other, to both servers
//! in turn, so that what disturbs one disturbs the other. The runs that are searched are written into the tables of
//! `MLflow`'s server, as its requests would take half an hour, and imported from there into ours.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a harness")]

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use lineage_tests::http::Connection;
use lineage_tests::mlflow_client;
use serde_json::{Value, json};

const USAGE: &str = "usage: mlflow [--runs N] [--mib N] [--official PROGRAM] [--dir DIR]
  --runs      how many runs are searched [10000]
  --mib       the size of the artifact in MiB [1024]
  --official  the program `mlflow` [that of the environment of the tests]
  --dir       where to work, on the disk that is measured [the folder for temporary files]";

/// So many requests of a kind are measured, in rounds that alternate between the servers.
const REQUESTS: usize = 200;
/// So many of them in one round.
const ROUND: usize = 20;

/// A server with its processes.
struct Server {
    name: &'static str,
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status().ok();
        self.child.wait().ok();
    }
}

/// Starts a server and waits until it takes connections.
fn start(name: &'static str, command: &mut Command, address: SocketAddr) -> Server {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
    for pipe in [
        child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read + Send>),
        child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read + Send>),
    ] {
        let lines = BufReader::new(pipe.unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    }
    while TcpStream::connect(address).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "{name} has ended");
        std::thread::yield_now();
    }
    Server { name, child, address }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Our server on a new store, and `MLflow`'s on a new file of `SQLite`.
fn servers(dir: &Path, official: &Path) -> [Server; 2] {
    let lineage = std::env::current_exe().unwrap().with_file_name("lineage");
    assert!(Command::new(&lineage).arg("init").current_dir(dir).stdout(Stdio::null()).status().unwrap().success());
    let (ours, theirs) = (free(), free());
    let mut command = Command::new(&lineage);
    command.args(["serve", "--listen", &ours.to_string()]).current_dir(dir);
    let ours = start("lineage", &mut command, ours);
    let mut command = Command::new(official);
    command
        .args(["server", "--host", "127.0.0.1", "--port", &theirs.port().to_string()])
        .args(["--backend-store-uri", "sqlite:///official.db", "--artifacts-destination", "official"])
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .current_dir(dir);
    [ours, start("MLflow", &mut command, theirs)]
}

#[track_caller]
fn post(connection: &mut Connection, path: &str, body: &Value) -> Value {
    let answer = connection.post(&format!("/api/2.0/mlflow/{path}"), body.to_string().as_bytes()).unwrap();
    answer.is(200).json()
}

/// Makes a run.
fn run(connection: &mut Connection) -> String {
    let run = post(connection, "runs/create", &json!({ "experiment_id": "0", "start_time": 0 }));
    run["run"]["info"]["run_id"].as_str().unwrap().to_owned()
}

/// Makes so many runs with what a search looks at: in the database of `MLflow`'s server, and from there in our store.
fn fill(dir: &Path, runs: usize) {
    let mut database = rusqlite::Connection::open(dir.join("official.db")).unwrap();
    database.busy_timeout(Duration::from_mins(1)).unwrap();
    let transaction = database.transaction().unwrap();
    {
        let add = |statement: &str| transaction.prepare(statement).unwrap();
        let mut run = add("INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, lifecycle_stage,
                           artifact_uri, experiment_id) VALUES (?1, ?1, 'UNKNOWN', 'ana', 'FINISHED', ?2, 'active', ?3, 0)");
        let metric = "(key, value, timestamp, step, is_nan, run_uuid) VALUES ('loss', ?2, ?3, 0, 0, ?1)";
        let mut metrics = ["metrics", "latest_metrics"].map(|table| add(&format!("INSERT INTO {table} {metric}")));
        let mut param = add("INSERT INTO params (run_uuid, key, value) VALUES (?1, ?2, ?3)");
        let mut tag = add("INSERT INTO tags (run_uuid, key, value) VALUES (?1, 'team', ?2)");
        for n in 0..runs {
            let (id, at) = (format!("{n:032x}"), n as i64 + 1);
            run.execute((&id, at, format!("mlflow-artifacts:/0/{id}/artifacts"))).unwrap();
            for metric in &mut metrics {
                metric.execute((&id, (n % 997) as f64 / 997.0, at)).unwrap();
            }
            param.execute((&id, "lr", format!("0.{}", n % 10))).unwrap();
            param.execute((&id, "depth", (n % 7).to_string())).unwrap();
            tag.execute((&id, if n.is_multiple_of(3) { "a" } else { "b" })).unwrap();
        }
    }
    transaction.commit().unwrap();
    let lineage = std::env::current_exe().unwrap().with_file_name("lineage");
    let mut import = Command::new(lineage);
    import.args(["import", "mlflow", "sqlite:///official.db"]).current_dir(dir).stdout(Stdio::null());
    assert!(import.status().unwrap().success());
}

/// The times of one kind of request to one server, in order.
struct Times(Vec<Duration>);

impl Times {
    fn quantile(&self, q: f64) -> f64 {
        let at = ((self.0.len() - 1) as f64 * q).round() as usize;
        self.0[at].as_secs_f64() * 1e3
    }

    fn a_second(&self) -> f64 {
        self.0.len() as f64 / self.0.iter().sum::<Duration>().as_secs_f64()
    }
}

/// Sends a kind of request to both servers in turn, over a new connection each round, as servers close what rests.
fn measure(what: &str, servers: &[Server; 2], n: usize, send: &dyn Fn(&mut Connection, usize, usize)) {
    let mut times = [Times(Vec::new()), Times(Vec::new())];
    for round in 0..n.div_ceil(ROUND) {
        for (side, server) in servers.iter().enumerate() {
            let mut connection = Connection::open(server.address).unwrap();
            for i in 0..ROUND.min(n) {
                let begun = Instant::now();
                send(&mut connection, side, round * ROUND + i);
                times[side].0.push(begun.elapsed());
            }
        }
    }
    for times in &mut times {
        times.0.sort_unstable();
    }
    let row = |times: &Times| {
        format!("{:9.1}/s  p50 {:8.2} ms  p99 {:8.2} ms", times.a_second(), times.quantile(0.5), times.quantile(0.99))
    };
    println!("{what}\n  lineage  {}\n  MLflow   {}", row(&times[0]), row(&times[1]));
    println!("  {:.1} times the requests a second", times[0].a_second() / times[1].a_second());
}

/// Searches the runs of both servers, which must find the same.
fn search(servers: &[Server; 2], runs: usize) {
    let asked = json!({
        "experiment_ids": ["0"], "filter": "metrics.loss < 0.5 and params.lr = '0.3'",
        "order_by": ["metrics.loss ASC"], "max_results": 100,
    });
    let found = servers.each_ref().map(|server| {
        let found = post(&mut Connection::open(server.address).unwrap(), "runs/search", &asked);
        let runs = found["runs"].as_array().unwrap().clone();
        runs.into_iter().map(|run| run["info"]["run_id"].clone()).collect::<Vec<_>>()
    });
    assert!(!found[0].is_empty() && found[0] == found[1], "the servers find other runs");
    let what = format!("search_runs over {runs} runs, by a metric, the first 100");
    measure(&what, servers, REQUESTS / 4, &|connection, _, _| drop(post(connection, "runs/search", &asked)));
}

/// Sends an artifact of so many MiB to both servers.
fn artifact(servers: &[Server; 2], runs: &[String; 2], mib: usize) {
    let bytes: Vec<u8> =
        (0..mib * 1024 * 1024).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let mut rates = Vec::new();
    for (server, run) in servers.iter().zip(runs) {
        let mut connection = Connection::open(server.address).unwrap();
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/large");
        let begun = Instant::now();
        connection.ask("PUT", &path, &[], &bytes).unwrap().is(200);
        rates.push(mib as f64 / begun.elapsed().as_secs_f64());
    }
    println!("artifact of {mib} MiB\n  lineage  {:9.1} MiB/s\n  MLflow   {:9.1} MiB/s", rates[0], rates[1]);
    println!("  {:.1} times the bytes a second", rates[0] / rates[1]);
}

fn main() -> ExitCode {
    let (mut runs, mut mib, mut dir) = (10_000, 1024, std::env::temp_dir());
    let mut official = mlflow_client(3).join("bin/mlflow");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.chunks(2) {
        match pair {
            [key, value] if key == "--runs" => runs = value.parse().unwrap(),
            [key, value] if key == "--mib" => mib = value.parse().unwrap(),
            [key, value] if key == "--official" => official = PathBuf::from(value),
            [key, value] if key == "--dir" => dir = PathBuf::from(value),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    if !official.exists() {
        eprintln!("error: {} is not there; .ci/run makes it, or name it with --official", official.display());
        return ExitCode::from(2);
    }
    let work = tempfile::Builder::new().prefix("lineage-mlflow-").tempdir_in(dir).unwrap();
    let servers = servers(work.path(), &official);
    println!("{} and {}, one connection each", servers[0].name, servers[1].name);
    measure("create_run", &servers, REQUESTS, &|connection, _, n| {
        post(connection, "runs/create", &json!({ "experiment_id": "0", "start_time": n }));
    });
    let into = servers.each_ref().map(|server| run(&mut Connection::open(server.address).unwrap()));
    measure("log_batch of 100 metrics", &servers, REQUESTS, &|connection, side, n| {
        let metrics: Vec<Value> = (0..100)
            .map(|i| json!({ "key": format!("m{i}"), "value": n as f64 / 3.0, "timestamp": n, "step": n }))
            .collect();
        post(connection, "runs/log-batch", &json!({ "run_id": into[side], "metrics": metrics }));
    });
    fill(work.path(), runs);
    search(&servers, runs);
    artifact(&servers, &into, mib);
    ExitCode::SUCCESS
}
