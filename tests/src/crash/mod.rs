//! Crashes and damage: a writer process that is killed, and the checks that nothing acknowledged is lost by it.
//!
//! ```text
//! harness ──spawn──▶ writer (threads append, each acknowledgement is a line) ──SIGKILL──▶ reopen and check
//! ```

pub mod calls;
pub mod check;
pub mod cycles;
pub mod damage;
pub mod pipelines;
pub mod processes;
pub mod runner;
pub mod writer;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use lineage_store::digest::Blake3;

/// One acknowledgement: an id and the position it is to be found at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ack {
    /// The id of the event.
    pub id: String,
    /// Its position.
    pub position: u64,
}

/// The `n`th event of a source: a line in the native format of some 600 bytes that follows from the two alone.
pub fn event(source: &str, n: u64) -> String {
    let digest = Blake3::of(format!("{source}-{n}").as_bytes()).hex();
    let (kind, output) = if n % 5 == 4 { ("training", "model") } else { ("transform", "dataset") };
    let fill = digest.repeat(1 + (n % 7) as usize);
    format!(
        r#"{{"v":1,"kind":"{kind}","id":"{source}-{n}","time":"2026-11-{:02}T10:00:00Z","actor":"ana","job":"j{}","run":"r-{source}-{n}","inputs":[{{"kind":"dataset","name":"d{}"}}],"outputs":[{{"kind":"{output}","name":"{}{}","digest":"b3:{digest}"}}],"params":{{"fill":"{fill}"}}}}"#,
        1 + n % 19,
        n % 11,
        n % 13,
        if output == "model" { "m" } else { "d" },
        (n + 1) % 13,
    )
}

/// Source and number of an id that [`event`] gave.
pub fn of_id(id: &str) -> Option<(&str, u64)> {
    let (source, n) = id.rsplit_once('-')?;
    Some((source, n.parse().ok()?))
}

/// How a writer process is to write.
#[derive(Clone, Debug)]
pub struct Job {
    /// The store.
    pub root: PathBuf,
    /// What its events are called.
    pub source: String,
    /// How many threads append.
    pub threads: usize,
    /// How many events each thread appends; without end if 0.
    pub count: u64,
    /// Whether it seals the index, fills sled, closes and opens again as it goes on.
    pub busy: bool,
}

impl Job {
    /// The command: the crash binary, told to be a writer.
    pub fn command(&self, crash: &Path) -> Command {
        let mut command = Command::new(crash);
        self.arguments(&mut command);
        command
    }

    /// Adds the arguments of a writer.
    pub fn arguments(&self, command: &mut Command) {
        command.arg("writer").arg(&self.root).arg(&self.source);
        command.args([self.threads.to_string(), self.count.to_string(), u8::from(self.busy).to_string()]);
    }
}

/// A running writer with what it says.
pub struct Running {
    /// The process.
    pub child: Child,
    lines: JoinHandle<Vec<String>>,
}

/// What a writer said until it ended or was killed.
#[derive(Debug, Default)]
pub struct Said {
    /// What it acknowledged.
    pub acks: Vec<Ack>,
    /// Errors that it met.
    pub errors: Vec<String>,
    /// Anything that must not be.
    pub bad: Vec<String>,
}

impl Running {
    /// Starts a writer.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let read = move || {
            let mut lines = Vec::new();
            let mut out = BufReader::new(out);
            let mut line = String::new();
            while out.read_line(&mut line).is_ok_and(|n| n > 0) {
                // A line that was cut off was never said.
                if line.ends_with('\n') {
                    lines.push(line.trim_end().to_owned());
                }
                line.clear();
            }
            lines
        };
        Self { child, lines: std::thread::spawn(read) }
    }

    /// Waits for the end; what was said, and whether it ended by itself and well.
    pub fn end(mut self) -> (Said, bool) {
        let status = self.child.wait().unwrap();
        let mut said = Said::default();
        for line in self.lines.join().unwrap() {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            match words.as_slice() {
                ["ack", position, id] => {
                    said.acks.push(Ack { id: (*id).to_owned(), position: position.parse().unwrap() });
                }
                ["error", ..] => said.errors.push(line),
                _ => said.bad.push(line),
            }
        }
        (said, status.success())
    }

    /// Kills it with SIGKILL and gives what it said.
    pub fn kill(mut self) -> Said {
        // It may have ended by itself.
        self.child.kill().ok();
        self.end().0
    }
}
