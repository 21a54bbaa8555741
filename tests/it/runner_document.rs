//! The examples of RUNNER.md, run: each command says what the document shows.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use lineage_tests::sandbox::{ACTOR, NOW, Sandbox, binary};
use lineage_tests::workspace;

/// A command line and what it prints.
struct Example {
    line: usize,
    command: String,
    shown: String,
}

fn examples() -> Vec<Example> {
    let text = fs::read_to_string(workspace().join("docs/RUNNER.md")).expect("RUNNER.md");
    let (mut found, mut inside): (Vec<Example>, bool) = (Vec::new(), false);
    for (line, text) in (1..).zip(text.lines()) {
        if text.starts_with("```") {
            inside = text == "```text" && !inside;
        } else if inside && let Some(command) = text.strip_prefix("$ ") {
            found.push(Example { line, command: command.to_owned(), shown: String::new() });
        } else if inside && let Some(example) = found.last_mut() {
            example.shown.extend([text, "\n"]);
        }
    }
    found
}

/// Text in which the ids of runs, which differ each time, and the ends of lines are the same.
fn plain(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut parts = text.split("r-");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_id = part.len() >= 16 && part.bytes().take(16).all(|b| b.is_ascii_hexdigit());
        out.extend(["r-", if is_id { "RUN" } else { "" }, if is_id { &part[16..] } else { part }]);
    }
    out
}

#[test]
fn the_document_says_what_happens() {
    if !cfg!(target_os = "linux") {
        return lineage_tests::skipped("the examples of RUNNER.md: commands are observed on Linux only");
    }
    let sandbox = Sandbox::new();
    let tool = tempfile::tempdir().expect("a folder");
    let script = tool.path().join("lineage");
    let text = format!("#!/bin/sh\nexec {} --now {NOW} --actor {ACTOR} \"$@\"\n", binary().display());
    fs::write(&script, text).expect("written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("executable");
    let path = format!("{}:{}", tool.path().display(), std::env::var("PATH").expect("a path"));
    let (mut wrong, examples) = (Vec::new(), examples());
    assert!(examples.len() > 8, "the examples are not found");
    for Example { line, command, shown } in examples {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{{ {command}\n}} 2>&1")]).current_dir(sandbox.path()).env("PATH", &path);
        let output = shell.env_remove("LINEAGE_STORE").output().expect("a shell");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if plain(&printed) != plain(&shown) {
            wrong.push(format!("line {line}: {command}\nshown\n{shown}printed\n{printed}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
