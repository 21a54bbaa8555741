//! The server beside `MLflow`'s own: the same requests to both, and every answer compared field by field.
//!
//! `MLflow`'s server is that of the virtual environment of the real client; without it this says so and passes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use lineage_tests::http::{Answer, Connection, quoted};
use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::{Server, signal_to};
use lineage_tests::{mlflow_client, skipped, workspace};
use serde_json::Value;

use super::equal::compare;

/// `MLflow`'s own server with its processes, on `SQLite`.
pub(super) struct Official {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Official {
    pub(super) fn start(sandbox: &Sandbox) -> Option<Self> {
        let program = mlflow_client(3).join("bin/mlflow");
        if !program.exists() {
            skipped(&format!("MLflow's own server: {} is not there; .ci/run makes it", program.display()));
            return None;
        }
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = Command::new(program)
            .args(["server", "--host", "127.0.0.1", "--workers", "1", "--port", &address.port().to_string()])
            .args(["--backend-store-uri", "sqlite:///official.db", "--artifacts-destination", "official"])
            .current_dir(sandbox.path())
            .env("HOME", sandbox.path())
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let ready = lines.by_ref().any(|line| line.contains("Application startup complete"));
        // What it says later is read and dropped, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let mut official = Self { child, address };
        assert!(ready, "MLflow's server did not start");
        // It says so a moment before it listens.
        while TcpStream::connect(address).is_err() {
            assert!(official.child.try_wait().unwrap().is_none(), "MLflow's server has ended");
            std::thread::yield_now();
        }
        Some(official)
    }
}

impl Drop for Official {
    fn drop(&mut self) {
        // It has workers of its own, all in its group.
        Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status().ok();
        self.child.wait().ok();
    }
}

/// One of two servers, and what it calls things.
struct Side {
    connection: Connection,
    names: BTreeMap<String, String>,
}

impl Side {
    fn new(address: SocketAddr) -> Self {
        Self { connection: Connection::open(address).unwrap(), names: BTreeMap::new() }
    }

    /// A text with its own names for the variables in it.
    fn own(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
    }

    /// An answer with variables in place of its own names; the short ones are numbers of experiments, which both count.
    fn common(&self, answer: &Answer) -> Value {
        let long = self.names.iter().filter(|(_, value)| value.len() > 8);
        let text = long.fold(answer.text(), |text, (name, value)| text.replace(value, &format!("${{{name}}}")));
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    fn ask(&mut self, request: &Value) -> Answer {
        let mut target = self.own(&format!("/api/2.0/mlflow/{}", request["path"].as_str().unwrap()));
        if let Some(query) = request["query"].as_object() {
            let pairs =
                query.iter().map(|(key, value)| format!("{key}={}", quoted(&self.own(value.as_str().unwrap()))));
            target = format!("{target}?{}", pairs.collect::<Vec<_>>().join("&"));
        }
        let body = request.get("body").map(|body| self.own(&body.to_string())).unwrap_or_default();
        let method = request["method"].as_str().unwrap();
        let answer =
            self.connection.ask(method, &target, &[("content-type", "application/json")], body.as_bytes()).unwrap();
        if let Some(save) = request["save"].as_object() {
            let json = answer.json();
            for (name, place) in save {
                let value = json.pointer(place.as_str().unwrap()).unwrap().as_str().unwrap().to_owned();
                self.names.insert(name.clone(), value);
            }
        }
        answer
    }
}

/// What of an error clients branch on.
fn code(answer: &Value) -> &str {
    answer["error_code"].as_str().unwrap_or_default()
}

#[test]
fn both_servers_answer_alike() {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let Some(official) = Official::start(&sandbox) else { return };
    let server = Server::start(&sandbox);
    let (mut theirs, mut ours) = (Side::new(official.address), Side::new(server.address));
    let text = std::fs::read_to_string(workspace().join("tests/fixtures/mlflow/requests.ndjson")).unwrap();
    let (mut differ, mut n) = (Vec::new(), 0);
    for line in text.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let (expected, got) = (theirs.ask(&request), ours.ask(&request));
        let (expected_json, got_json) = (theirs.common(&expected), ours.common(&got));
        n += 1;
        let short: String = line.chars().take(220).collect();
        if expected.status != got.status || code(&expected_json) != code(&got_json) {
            differ.push(format!(
                "{n} {short}\n    {} {} instead of {} {}",
                got.status,
                got.text().chars().take(300).collect::<String>(),
                expected.status,
                expected.text().chars().take(300).collect::<String>()
            ));
        } else if expected.status == 200 {
            let before = differ.len();
            compare("", &expected_json, &got_json, &mut differ);
            compare("", &got_json, &expected_json, &mut differ);
            if differ.len() > before {
                differ.insert(before, format!("{n} {short}"));
            }
        }
    }
    signal_to(official.child.id(), "TERM");
    assert!(n > 200, "{n} requests");
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    sandbox.run(["verify"]).done();
}
