//! The three forms of an error, for questions and for every other command.

use std::process::Command;

use lineage_tests::sandbox::{Ran, Sandbox};
use serde_json::Value;

/// The errors that were told as JSON on standard output, and the code in them.
fn json(ran: &Ran) -> (Vec<Value>, i64) {
    let told = ran.json();
    (told["errors"].as_array().cloned().expect("errors"), told["exit"].as_i64().expect("a code"))
}

#[test]
fn a_wrong_question_is_told_in_three_forms() {
    let sandbox = Sandbox::new();
    let ask = |flags: &[&str]| sandbox.run(flags.iter().copied().chain(["query", "models traind on dataset x"]));
    let narrated = ask(&[]);
    assert_eq!(
        narrated.code(2),
        "error[E0102]: expected `where`, a clause, `and`, a set operator or the end after `models`, found `traind`\n  \
         in: models traind on dataset x\n  at column 8, `traind`: did you mean `trained`?\n  \
         help: models trained on dataset x\n",
        "the default where nobody looks"
    );
    assert_eq!(ask(&["--error-format", "narrated"]).stderr, narrated.stderr);
    let text = ask(&["--error-format", "text"]);
    assert!(
        text.code(2).contains("  │ models traind on dataset x\n  │        ^^^^^^ did you mean `trained`?\n"),
        "{text}"
    );
    assert!(!text.stderr.contains('\u{1b}'), "no color where no terminal is: {text}");
    let (errors, code) = json(&ask(&["--json"]));
    assert_eq!((errors[0]["code"].as_str(), code), (Some("E0102"), 2));
    assert_eq!(errors[0]["fixes"][0], "models trained on dataset x");
    assert_eq!(errors[0]["edits"][0], serde_json::json!({ "start": 7, "end": 13, "text": "trained" }));
    let aside = ask(&["--error-format", "json"]);
    assert!(aside.stdout.is_empty() && aside.stderr.starts_with("{\"errors\":["), "{aside}");
}

#[test]
fn at_most_three_errors_at_once() {
    let sandbox = Sandbox::new();
    let question = "models where a == 1 && b <> 2 || c =~ 'x' || d == 4";
    assert_eq!(json(&sandbox.run(["--json", "query", question])).0.len(), 3);
    assert_eq!(sandbox.run(["query", question]).stderr.matches("error[").count(), 3);
}

#[test]
fn every_command_tells_its_errors_as_json() {
    let sandbox = Sandbox::new();
    let wrong: [(&[&str], i32, &str); 8] = [
        (&["fmt", "models whre x"], 2, "`whre`"),
        (&["query", "models trained on dataset nosuch"], 3, "`nosuch`"),
        (&["show", "model", "nosuch"], 3, "nosuch"),
        (&["audit", "model", "nosuch", "--outcome", "pass"], 3, "nosuch"),
        (&["ingest", "nosuch.ndjson"], 6, "nosuch.ndjson"),
        (&["--store", "nosuch", "status"], 6, "no lineage store"),
        (&["show", "#99"], 2, "99"),
        (&["nosuch-command"], 2, "nosuch-command"),
    ];
    for (args, code, part) in wrong {
        let ran = sandbox.run(["--json"].iter().chain(args));
        let (errors, told) = json(&ran);
        assert_eq!((ran.code, told), (code, i64::from(code)), "{ran}");
        let message = errors[0]["message"].as_str().expect("a message");
        assert!(message.contains(part) && !message.starts_with("error") && ran.stderr.is_empty(), "{ran}");
        assert!(errors[0]["help"].is_array() && errors[0]["fixes"].is_array(), "{ran}");
    }
}

#[test]
fn a_terminal_gets_drawn_errors_unless_color_is_unwanted() {
    if !cfg!(target_os = "linux") {
        return lineage_tests::skipped("errors on a terminal: `script` has other flags here");
    }
    let sandbox = Sandbox::new();
    let ask = |no_color: &str| {
        let question =
            "lineage query 'models traind on x'".replace("lineage", lineage_tests::sandbox::binary().to_str().unwrap());
        let mut command = Command::new("script");
        command.args(["-qec", &question, "/dev/null"]).current_dir(sandbox.path()).env("TERM", "xterm");
        command.env("NO_COLOR", no_color).stdin(std::process::Stdio::null());
        command.output().ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(drawn) = ask("") else { return lineage_tests::skipped("errors on a terminal: `script` is missing") };
    assert!(drawn.contains("\u{1b}[1;31merror[E0102]\u{1b}[0m") && drawn.contains("│"), "{drawn}");
    let plain = ask("1").unwrap();
    assert!(!plain.contains("\u{1b}[") && !plain.contains('│') && plain.contains("at column 8"), "{plain}");
}
