//! The language for people and programs: complete, grammar, quote, fmt, zones, editions, and completion in a shell.

use std::process::Command;

use lineage_tests::sandbox::{Ran, Sandbox, binary};
use serde_json::Value;

const EVENTS: &str = r#"
{"v":1,"kind":"training","time":"2026-11-02T23:30:00Z","actor":"ana","job":"j","run":"t1","inputs":[{"kind":"dataset","name":"churn-raw"},{"kind":"dataset","name":"my data"}],"outputs":[{"kind":"model","name":"churn"}],"metrics":{"accuracy":0.93,"val auc":1},"params":{"lr":0.1}}
{"v":1,"kind":"tag","actor":"ana","about":[{"kind":"model","name":"churn"}],"args":{"tags":["gold"]}}
{"v":1,"kind":"alias","actor":"ana","about":[{"kind":"model","name":"churn","version":"v1"}],"args":{"alias":"champion"}}
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ingest(EVENTS.trim_start());
    sandbox
}

/// What is offered at the end of a text, as `kind text`.
fn offered(sandbox: &Sandbox, text: &str) -> Vec<String> {
    let list = sandbox.run(["complete", text]).json();
    let one = |c: &Value| format!("{} {}", c["kind"].as_str().unwrap(), c["text"].as_str().unwrap());
    list["candidates"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn only_what_fits_is_offered() {
    let sandbox = sandbox();
    assert_eq!(offered(&sandbox, "models trained on dataset "), ["dataset churn-raw", "dataset 'my data'"]);
    assert_eq!(offered(&sandbox, "models trained on dataset chu"), ["dataset churn-raw"], "and no model");
    assert_eq!(offered(&sandbox, "models trained on dataset 'my"), ["dataset 'my data'"]);
    assert_eq!(offered(&sandbox, "model churn@"), ["version champion", "version latest", "version v1"]);
    assert_eq!(offered(&sandbox, "models tagged "), ["tag gold"]);
    assert_eq!(offered(&sandbox, "models live in st"), ["environment staging"]);
    assert_eq!(offered(&sandbox, "models trained by a"), ["agent ana"]);
    assert_eq!(offered(&sandbox, "models where acc"), ["attribute accuracy"]);
    assert_eq!(offered(&sandbox, "models where val"), ["attribute metric.'val auc'", "attribute valid_until"]);
    assert_eq!(offered(&sandbox, "models where outcome = "), ["value fail", "value pass"]);
    assert_eq!(offered(&sandbox, "mod"), ["keyword model", "noun models"]);
    sandbox.run(["query", "save", "gold one", "models tagged gold"]).done();
    assert_eq!(offered(&sandbox, "query "), ["query 'gold one'"]);
    let has = |text: &str, word: &str| offered(&sandbox, text).iter().any(|c| c.ends_with(&format!(" {word}")));
    for (text, yes, no) in [
        ("models ", "trained", "using"),
        ("trainings ", "using", "trained"),
        ("datasets ", "tagged", "live"),
        ("datasets used by ", "trainings", "models"),
        ("models trained on ", "datasets", "audits"),
        ("models trained on ", "churn-raw", "agents"),
    ] {
        assert!(has(text, yes) && !has(text, no), "{text}: {:?}", offered(&sandbox, text));
    }
}

#[test]
fn candidates_say_what_they_replace() {
    let sandbox = sandbox();
    let ask = |args: &[&str]| sandbox.run(["complete"].iter().chain(args)).json()["candidates"][0].clone();
    let text = "models trained on dataset chu where latest";
    let first = ask(&["--cursor", "29", text]);
    assert_eq!(first["replace"], serde_json::json!({ "start": 26, "end": 29 }));
    assert_eq!(first["doc"], "dataset, 1 version");
    // Whatever is offered makes a text that the parser reads as far as it goes.
    for word in ["models ", "count ", "models where ", "models trained ", "audits ", "path ", "models order "] {
        for candidate in offered(&sandbox, word) {
            let (_, text) = candidate.split_once(' ').unwrap();
            let ran = sandbox.run(["--json", "fmt", &format!("{word}{text}")]);
            let errors = ran.json()["errors"].as_array().cloned().unwrap_or_default();
            let early = errors.iter().find(|e| e["labels"][0]["start"].as_u64() < Some(word.len() as u64));
            assert!(early.is_none(), "`{word}{text}` {ran}");
        }
    }
}

#[test]
fn the_grammar_is_told() {
    let sandbox = Sandbox::empty();
    assert!(sandbox.run(["grammar"]).done().starts_with("statement = "), "no store is needed");
    let grammar = sandbox.run(["--json", "grammar"]).json();
    assert_eq!(grammar["edition"], 1);
    assert!(grammar["reserved"].as_array().unwrap().contains(&"trained".into()));
    assert!(grammar["attributes"].as_array().unwrap().iter().any(|a| a["word"] == "owner" && a["about"] != ""));
}

#[test]
fn names_are_quoted_and_questions_formatted() {
    let sandbox = Sandbox::empty();
    assert_eq!(sandbox.run(["quote", "it's raw"]).done(), "'it''s raw'\n");
    assert_eq!(sandbox.run(["quote", "churn-raw"]).done(), "churn-raw\n");
    assert_eq!(sandbox.run(["fmt", "models & trained(on=x)"]).done(), "models trained on x\n");
    assert_eq!(sandbox.run(["fmt", "--style", "terse", "models trained on x"]).done(), "models & trained(on=x)\n");
    assert_eq!(sandbox.run(["fmt", "--style", "english", "--edition", "1", "models"]).done(), "models\n");
    assert_eq!(sandbox.run(["--json", "fmt", "models"]).json()["terse"], "models");
    sandbox.run(["fmt", "--edition", "2", "models"]).fails(2, "edition 1");
}

#[test]
fn dates_are_days_of_a_zone() {
    let sandbox = sandbox();
    let count = |zone: &str, question: &str| {
        let ran = sandbox.run(["--json", "query", "--tz", zone, question]);
        ran.json()["rows"][0]["count"].as_u64().unwrap_or_else(|| panic!("{ran}"))
    };
    // 23:30 in UTC is the next day two hours to the east.
    assert_eq!(count("UTC", "count trainings during 2026-11-02"), 1);
    assert_eq!(count("+02:00", "count trainings during 2026-11-02"), 0);
    assert_eq!(count("+02:00", "count trainings during 2026-11-03"), 1);
    sandbox.run(["query", "--tz", "Nowhere", "models"]).fails(2, "Europe/Berlin");
    sandbox.run(["query", "--edition", "2", "models"]).fails(2, "edition 1");
    assert_eq!(sandbox.run(["--json", "query", "--edition", "1", "models"]).json()["edition"], 1);
}

/// What bash is offered for the last of some words.
fn in_shell(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    in_some_shell("bash", sandbox, words)
}

/// What a shell is offered for the last of some words.
fn in_some_shell(shell: &str, sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let mut command = Command::new(binary());
    command.args(["--", "lineage"]).args(words).current_dir(sandbox.path()).env("COMPLETE", shell);
    command.env("_CLAP_COMPLETE_INDEX", words.len().to_string()).env("_CLAP_IFS", "\n").env_remove("LINEAGE_STORE");
    let ran = Ran::of(&mut command);
    ran.done().lines().map(str::to_owned).collect()
}

#[test]
fn shells_complete_questions_and_names() {
    let sandbox = sandbox();
    assert_eq!(
        in_shell(&sandbox, &["query", "models trained on dataset "]),
        ["models trained on dataset churn-raw", "models trained on dataset 'my data'"]
    );
    assert_eq!(
        in_shell(&sandbox, &["query", "--output", "csv", "models", "trained", "on", "dataset", "my"]),
        ["\"'my data'\""]
    );
    assert_eq!(in_shell(&sandbox, &["query", "models", "live", "in", "sta"]), ["staging"]);
    assert_eq!(in_shell(&sandbox, &["show", "model", "ch"]), ["churn"]);
    assert_eq!(in_shell(&sandbox, &["hist"]), ["history"]);
    assert!(sandbox.run(["completions", "bash"]).done().contains("complete "));
    sandbox.run(["completions", "tcsh"]).fails(2, "bash");
    // These take quotes off what was typed before they compare, and put their own on what they insert.
    for (shell, end) in [("zsh", ':'), ("fish", '\t')] {
        let offered = |words: &[&str]| {
            let offered = in_some_shell(shell, &sandbox, words);
            offered.iter().map(|line| line.split(end).next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(offered(&["query", "'models trai"]), ["models trained"], "{shell}");
        assert_eq!(offered(&["query", "\"models trained on dataset m"]), ["models trained on dataset 'my data'"]);
        assert_eq!(offered(&["show", "model", "ch"]), ["churn"], "{shell}");
    }
    let empty = Sandbox::empty();
    assert!(
        in_shell(&empty, &["query", "models trained on dataset "]).is_empty(),
        "without a store nothing is offered"
    );
}
