//! A folder to work in, and the binary run there with a fixed clock and actor.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

use serde_json::Value;

use crate::{walk, workspace};

/// The instant at which everything happens, unless a test says otherwise.
pub const NOW: &str = "2026-11-20T12:00:00Z";
/// Who does it.
pub const ACTOR: &str = "ana";

/// So many characters of what was said are shown when a test fails.
const SHOWN: usize = 1500;

/// A temporary folder; a store in it, if wanted.
pub struct Sandbox {
    folder: tempfile::TempDir,
    now: Option<String>,
}

/// What a run of the binary gave.
pub struct Ran {
    what: String,
    /// The exit code; 128 and the signal, if it died of one.
    pub code: i32,
    /// Its standard output as it is.
    pub bytes: Vec<u8>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Sandbox {
    /// A folder with an empty store.
    pub fn new() -> Self {
        let sandbox = Self::empty();
        sandbox.run(["init"]).done();
        sandbox
    }

    /// A folder without a store.
    pub fn empty() -> Self {
        let folder = tempfile::Builder::new().prefix("lineage-").tempdir().unwrap();
        Self { folder, now: Some(NOW.to_owned()) }
    }

    /// From now on it is another time.
    pub fn at(&mut self, now: &str) {
        self.now = Some(now.to_owned());
    }

    /// From now on the clock of the machine counts.
    pub fn at_real_time(&mut self) {
        self.now = None;
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the store.
    pub fn store(&self) -> PathBuf {
        self.path().join(".lineage")
    }

    /// Writes a file of the folder.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The binary with arguments, to be run in the folder; the environment names no store and no actor.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(binary());
        command.args(self.now.iter().flat_map(|now| ["--now", now]));
        command.args(["--actor", ACTOR]).args(args).current_dir(self.path());
        for name in ["LINEAGE_STORE", "LINEAGE_ACTOR", "LINEAGE_SIGNING_KEY", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs the binary.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        Ran::of(&mut self.command(args))
    }

    /// Runs the binary with bytes on its standard input.
    pub fn run_with<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &[u8]) -> Ran {
        let mut command = self.command(args);
        let what = what(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A command that does not read its input closes the pipe.
        child.stdin.take().unwrap().write_all(input).ok();
        Ran::new(what, child.wait_with_output().unwrap())
    }

    /// Ingests lines from standard input; all must be accepted.
    pub fn ingest(&self, lines: &str) -> Ran {
        let ran = self.run_with(["--json", "ingest", "-"], lines.as_bytes());
        ran.done();
        ran
    }

    /// The names in the answer to a question, sorted.
    pub fn names(&self, question: &str) -> Vec<String> {
        let mut names = self.column(question, "name");
        names.sort();
        names
    }

    /// A column of the answer to a question.
    pub fn column(&self, question: &str, column: &str) -> Vec<String> {
        let answer = self.run(["query", question, "--output", "json"]).json();
        answer["rows"].as_array().unwrap().iter().map(|row| text(&row[column])).collect()
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let what = what(command);
        let output = command.output().unwrap_or_else(|e| panic!("{what}: {e}"));
        Self::new(what, output)
    }

    /// Whatever was run, it must not have panicked.
    fn new(what: String, output: Output) -> Self {
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let ran = Self { what, code, bytes: output.stdout, stdout, stderr };
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains("panicked") && !text.contains("this is a bug in lineage"), "{ran}");
        }
        assert_ne!(ran.code, 101, "{ran}");
        ran
    }

    /// It must have ended with code 0; its standard output.
    #[track_caller]
    pub fn done(&self) -> &str {
        self.code(0);
        &self.stdout
    }

    /// It must have ended with a code and, if that is no success, have said why; its standard error.
    #[track_caller]
    pub fn code(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self}");
        &self.stderr
    }

    /// It must have failed with a code and one line `error: …`, in which a text is.
    #[track_caller]
    pub fn fails(&self, code: i32, text: &str) {
        self.code(code);
        let said = format!("{}{}", self.stderr, self.stdout);
        assert!(said.to_lowercase().contains("error") || said.contains("refused"), "no error is told: {self}");
        assert!(said.contains(text), "`{text}` is not said: {self}");
    }

    /// Its standard output as JSON, whatever the exit code.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {self}"))
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |text: &str| text.chars().take(SHOWN).collect::<String>();
        let (stdout, stderr) = (short(&self.stdout), short(&self.stderr));
        write!(f, "`{}` ended with {}\n-- stdout\n{stdout}\n-- stderr\n{stderr}", self.what, self.code)
    }
}

fn what(command: &Command) -> String {
    let args: Vec<_> = command.get_args().map(|a| a.to_string_lossy().chars().take(200).collect::<String>()).collect();
    format!("{} {}", command.get_program().to_string_lossy(), args.join(" "))
}

/// The binary beside the running test; built if it is missing or older than a source.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("LINEAGE_BIN") {
            return path.into();
        }
        let exe = std::env::current_exe().unwrap();
        let folder = exe.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).unwrap();
        let path = folder.join("lineage");
        if is_stale(&path) {
            build(folder);
        }
        path
    })
}

fn is_stale(binary: &Path) -> bool {
    let Ok(built) = binary.metadata().and_then(|m| m.modified()) else { return true };
    let sources = ["store", "query", "ingest", "cli"].iter().flat_map(|c| walk::files(&workspace().join(c)));
    let newer = |path: PathBuf| path.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH) > built;
    sources.chain([workspace().join("Cargo.toml")]).any(newer)
}

fn build(folder: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "lineage", "--target-dir"]).arg(folder.parent().unwrap());
    if folder.ends_with("release") {
        command.arg("--release");
    }
    let output = command.current_dir(workspace()).output().unwrap();
    assert!(output.status.success(), "`lineage` does not build:\n{}", String::from_utf8_lossy(&output.stderr));
}
