//! `lineage serve` as a process of its own, killed when a test is over.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::http::{Answer, Connection};
use crate::memory;
use crate::sandbox::{Ran, Sandbox};

/// A server on a free port of this machine.
pub struct Server {
    child: Option<Child>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Sent with every request.
    pub token: Option<String>,
    /// Collects what it says on standard error.
    said: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts one on the store of a sandbox.
    pub fn start(sandbox: &Sandbox) -> Self {
        Self::with::<&str>(sandbox, [])
    }

    /// Starts one with further arguments.
    pub fn with<S: AsRef<OsStr>>(sandbox: &Sandbox, args: impl IntoIterator<Item = S>) -> Self {
        let mut command = sandbox.command(["--json", "serve", "--listen", "127.0.0.1:0"]);
        command.args(args);
        Self::of(&mut command)
    }

    /// Starts a command that serves.
    pub fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let said = std::thread::spawn(move || std::io::read_to_string(stderr).unwrap_or_default());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said_where: Value = serde_json::from_str(&line).unwrap_or_else(|e| {
            child.kill().ok();
            child.wait().ok();
            panic!("{e}: `{line}`")
        });
        let url = said_where["url"].as_str().unwrap();
        let address = url.rsplit('/').next().unwrap().parse().unwrap();
        Self { child: Some(child), address, token: None, said: Some(said) }
    }

    /// Asks with a token from now on.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// A new connection.
    pub fn connect(&self) -> Connection {
        let connection = Connection::open(self.address).unwrap();
        match &self.token {
            Some(token) => connection.with_token(token),
            None => connection,
        }
    }

    /// Gets, on a connection of its own.
    #[track_caller]
    pub fn get(&self, target: &str) -> Answer {
        self.connect().get(target).unwrap()
    }

    /// Posts JSON, on a connection of its own.
    #[track_caller]
    pub fn post(&self, target: &str, body: &str) -> Answer {
        self.connect().post(target, body.as_bytes()).unwrap()
    }

    /// Asks a question.
    #[track_caller]
    pub fn query(&self, question: &str) -> Answer {
        self.post("/api/query", &serde_json::json!({ "query": question }).to_string())
    }

    /// The values of a column in the answer to a question.
    #[track_caller]
    pub fn column(&self, question: &str, column: &str) -> Vec<String> {
        let answer = self.query(question).is(200).json();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        answer["rows"].as_array().unwrap().iter().map(|row| text(&row[column])).collect()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Its resident memory, in bytes.
    pub fn memory(&self) -> u64 {
        memory::resident(self.id()).unwrap()
    }

    /// A counter of its metrics; 0 if it is not there.
    pub fn metric(&self, line: &str) -> u64 {
        let text = self.get("/metrics").is(200).text();
        let value = text.lines().find_map(|other| other.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// Kills it as a crash does.
    pub fn kill(mut self) {
        self.end();
    }

    /// Waits until it ends by itself; its exit code and standard error.
    pub fn wait(mut self) -> (i32, String) {
        let status = self.child.take().unwrap().wait().unwrap();
        (status.code().unwrap_or(-1), self.said.take().unwrap().join().unwrap())
    }

    /// Sends it a signal such as `TERM` and waits for its end; its exit code and standard error.
    pub fn stop(mut self, signal: &str) -> (i32, String) {
        signal_to(self.id(), signal);
        let status = self.child.take().unwrap().wait().unwrap();
        (status.code().unwrap_or(-1), self.said.take().unwrap().join().unwrap())
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
        let said = self.said.take().map(|said| said.join().unwrap()).unwrap_or_default();
        if !std::thread::panicking() {
            assert!(!said.contains("this is a bug in lineage"), "{said}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sends a signal to a process.
pub fn signal_to(process: u32, signal: &str) {
    Ran::of(Command::new("kill").arg(format!("-{signal}")).arg(process.to_string())).done();
}
