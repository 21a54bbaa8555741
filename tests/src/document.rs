//! Examples of a document, run: command lines in blocks of text with what they print below.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::sandbox::{ACTOR, NOW, binary};
use crate::workspace;

/// A command line and what it prints.
struct Example {
    line: usize,
    command: String,
    shown: String,
}

fn examples(text: &str) -> Vec<Example> {
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

/// Text in which ids of runs, which differ each time, measured times and the ends of lines are the same.
fn plain(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut parts = text.split("r-");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_id = part.len() >= 16 && part.bytes().take(16).all(|b| b.is_ascii_hexdigit());
        out.extend(["r-", if is_id { "RUN" } else { "" }, if is_id { &part[16..] } else { part }]);
    }
    without_times(&out)
}

/// `0.1 s` is measured; `0 s ago` and `0.000 s` follow from a clock that stands still.
fn without_times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(" s") {
        let (before, after) = rest.split_at(at);
        let start = before.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let digits = before[start..].rsplit_once('.').map_or(0, |(_, tenths)| tenths.len());
        out.push_str(if digits == 1 { &before[..start] } else { before });
        out.push_str(if digits == 1 { "TIME" } else { "" });
        out.push_str(" s");
        rest = &after[2..];
    }
    out + rest
}

/// Runs the examples of a document one after the other in a folder; what was not printed as it is shown, and how many
/// examples there are.
pub fn run(document: &str, folder: &Path) -> (Vec<String>, usize) {
    let text = fs::read_to_string(workspace().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
    let tool = tempfile::tempdir().unwrap();
    let script = tool.path().join("lineage");
    let text_of_tool = format!("#!/bin/sh\nexec {} --now {NOW} --actor {ACTOR} \"$@\"\n", binary().display());
    fs::write(&script, text_of_tool).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tool.path().display(), std::env::var("PATH").unwrap());
    let (mut wrong, examples) = (Vec::new(), examples(&text));
    for Example { line, command, shown } in &examples {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{{ {command}\n}} 2>&1")]).current_dir(folder).env("PATH", &path);
        let output = shell.env_remove("LINEAGE_STORE").env_remove("LINEAGE_ACTOR").output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if plain(&printed) != plain(shown) {
            wrong.push(format!("line {line}: {command}\nshown\n{shown}printed\n{printed}"));
        }
    }
    (wrong, examples.len())
}

/// The blocks of a document in a language, each with its line.
pub fn blocks(document: &str, language: &str) -> Vec<(usize, String)> {
    let text = fs::read_to_string(workspace().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"));
    let (mut found, mut inside): (Vec<(usize, String)>, bool) = (Vec::new(), false);
    for (line, text) in (1..).zip(text.lines()) {
        if let Some(word) = text.strip_prefix("```") {
            inside = word == language && !inside;
            if inside {
                found.push((line + 1, String::new()));
            }
        } else if inside && let Some((_, block)) = found.last_mut() {
            block.extend([text, "\n"]);
        }
    }
    found
}
