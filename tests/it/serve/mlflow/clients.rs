//! Real, unmodified clients of `MLflow`: 3.17 and 2.22, each with its own script, and what they print.
//!
//! They live in virtual environments beside that of the other clients, which `.ci/run` makes. Without them this says so
//! and passes.

use std::path::{Path, PathBuf};
use std::process::Command;

use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use lineage_tests::{corpora, mlflow_client, skipped};

/// The Python of a client, and a script of it with what it printed when it was recorded.
fn client(major: u32, script: &str, recorded: &str) -> Option<(PathBuf, PathBuf, String)> {
    let corpora = corpora()?;
    let python = mlflow_client(major).join("bin/python");
    if !python.exists() {
        skipped(&format!("MLflow {major}: {} is not there; .ci/run makes it", python.display()));
        return None;
    }
    let script = corpora.parent().unwrap().join("clients/mlflow").join(script);
    let printed = std::fs::read_to_string(corpora.join("mlflow").join(recorded)).unwrap();
    Some((python, script, printed))
}

/// A client that asks a server, in a folder of its own.
pub(super) fn command(python: &Path, sandbox: &Sandbox, url: &str) -> Command {
    let mut command = Command::new(python);
    command
        .current_dir(sandbox.path())
        .env("HOME", sandbox.path())
        .env("LOGNAME", "alice")
        .env("USER", "alice")
        .env("MLFLOW_TRACKING_URI", url)
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .env("GIT_PYTHON_REFRESH", "quiet")
        .env("NO_PROXY", "127.0.0.1");
    command
}

/// Runs a client to its end, which must be good; what it printed.
#[track_caller]
pub(super) fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What was printed from a line on, without ids, instants, colors and warnings.
fn answers(printed: &str, from: &str) -> Vec<String> {
    let is_noise = |line: &&str| line.contains("Warning") || line.starts_with("  ") || line.contains("WARNING");
    printed.lines().skip_while(|line| *line != from).filter(|line| !is_noise(line)).map(plain).collect()
}

/// A line with a word in place of each id and instant, and single spaces.
fn plain(line: &str) -> String {
    let words = line.split_inclusive(|c: char| !c.is_ascii_alphanumeric()).map(|word| {
        let bare = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let rest = &word[bare.len()..];
        let digits = bare.bytes().all(|b| b.is_ascii_digit());
        match bare.len() {
            32 if bare.bytes().all(|b| b.is_ascii_hexdigit()) => format!("ID{rest}"),
            13 if digits => format!("TIME{rest}"),
            _ => word.to_owned(),
        }
    });
    words.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn real_time() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    sandbox
}

#[test]
fn mlflow_3_with_autolog_and_registry() {
    let Some((python, script, recorded)) = client(3, "train.py", "train_autolog_registry.out.txt") else { return };
    let sandbox = real_time();
    let server = Server::start(&sandbox);
    let url = format!("http://{}", server.address);
    let said = printed(command(&python, &sandbox, &url).arg(script));
    assert_eq!(answers(&said, "1"), answers(&recorded, "1"));
    assert!(answers(&said, "1").len() >= 8, "{said}");
    assert_eq!(server.column("models trained on dataset '/data/iris.csv'", "name"), ["iris-clf", "model"]);
    let path = "path from dataset '/data/iris.csv' to model iris-clf";
    assert!(!server.column(path, "name").is_empty());
    assert_eq!(server.column("models live in Staging", "version"), ["v1"]);
    // What the registry names can be had as the folder that the client sent.
    sandbox.run(["get", "iris-clf@v1", "-o", "restored"]).done();
    assert!(sandbox.path().join("restored/MLmodel").exists());
    assert_eq!(server.stop("TERM").0, 0);
    sandbox.run(["verify"]).done();
}

#[test]
fn mlflow_2_with_autolog_and_registry() {
    let Some((python, script, recorded)) = client(2, "train_mlflow2.py", "train_mlflow2_client.out.txt") else {
        return;
    };
    let sandbox = real_time();
    let server = Server::start(&sandbox);
    let url = format!("http://{}", server.address);
    let said = printed(command(&python, &sandbox, &url).arg(script));
    assert_eq!(answers(&said, "[0 0]"), answers(&recorded, "[0 0]"));
    assert_eq!(answers(&said, "[0 0]").len(), 3, "{said}");
    assert_eq!(server.column("models trained on dataset '/data/iris.csv'", "name"), ["again", "iris-logreg"]);
    assert_eq!(server.stop("TERM").0, 0);
    sandbox.run(["verify"]).done();
}
