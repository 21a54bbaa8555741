//! Every exit code, each with an error that says why.

use std::process::{Command, Stdio};
use std::time::Duration;

use lineage_tests::sandbox::{Ran, Sandbox};
use lineage_tests::{crash, walk};

fn one_model() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("m.pkl", "m");
    sandbox.run(["add", "model", "churn", "m.pkl"]).done();
    sandbox
}

#[test]
fn done_is_0_also_without_an_answer() {
    let sandbox = Sandbox::new();
    for args in [&["query", "models"][..], &["status"], &["log"], &["verify"], &["--help"], &["--version"], &["doctor"]]
    {
        sandbox.run(args).code(0);
    }
}

#[test]
fn an_expectation_that_failed_is_1() {
    let sandbox = one_model();
    for (expect, code) in [("none", 1), ("some", 0), ("1", 0), ("2", 1), ("<=1", 0), ("<=0", 1)] {
        let ran = sandbox.run(["query", "models", "--expect", expect]);
        ran.code(code);
        assert!(ran.stdout.contains("churn"), "the rows are printed all the same: {ran}");
    }
    sandbox.write("other", "unknown bytes");
    sandbox.run(["show", "./other"]).code(1);
}

#[test]
fn wrong_usage_is_2() {
    let sandbox = one_model();
    let long = format!("models trained on {}", "(".repeat(5000));
    let wrong: [&[&str]; 12] = [
        &["nosuch"],
        &["query"],
        &["query", "models where"],
        &["query", "models known at log 99"],
        &["query", "models as of yesterdayish"],
        &["query", "models", "--expect", "many"],
        &["query", "models", "--output", "xml"],
        &["query", "models trained on $x"],
        &["query", &long],
        &["show", "#99"],
        &["audit", "model", "churn", "--outcome", "maybe"],
        &["alias", "model", "churn", "v3"],
    ];
    for args in wrong {
        sandbox.run(args).fails(2, "");
    }
}

#[test]
fn unknown_and_ambiguous_names_are_3() {
    let sandbox = one_model();
    let line = |namespace: &str| {
        format!(
            r#"{{"v":1,"kind":"register","namespace":"{namespace}","outputs":[{{"kind":"dataset","name":"twice","version":"x"}}]}}"#
        )
    };
    sandbox.ingest(&format!("{}\n{}\n", line("a"), line("b")));
    let wrong: [&[&str]; 8] = [
        &["query", "models trained on dataset nosuch"],
        &["query", "datasets upstream of dataset twice"],
        &["show", "model", "nosuch"],
        &["show", "model", "churn@v9"],
        &["audit", "model", "churn@v9", "--outcome", "pass"],
        &["deploy", "dataset", "twice", "--to", "prod"],
        &["tag", "dataset", "churn", "x"],
        &["get", "b3:ffff"],
    ];
    for args in wrong {
        sandbox.run(args).fails(3, "");
    }
    // A mistyped name is answered with the right one; an ambiguous one with both spellings.
    sandbox.run(["show", "model", "chrun"]).fails(3, "churn");
    let both = sandbox.run(["query", "datasets upstream of dataset twice"]);
    assert!(both.stderr.contains("a::twice") && both.stderr.contains("b::twice"), "{both}");
    assert_eq!(sandbox.run(["--json", "status"]).json()["events"], 3, "nothing was recorded");
}

#[test]
fn damage_is_4_and_repaired_from_the_second_copy() {
    let sandbox = Sandbox::new();
    let lines: String = (0..50).map(|n| crash::event("e", n) + "\n").collect();
    sandbox.ingest(&lines);
    sandbox.run(["rebuild"]).done();
    let log = walk::files_ending(&sandbox.store().join("journal"), ".log").pop().expect("a segment");
    let mut bytes = std::fs::read(&log).expect("read");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&log, &bytes).expect("damaged");
    let verified = sandbox.run(["--json", "verify"]);
    verified.code(4);
    let damage = &verified.json()["damage"][0];
    assert!(damage["place"].as_str().is_some_and(|p| p.contains(".log at byte ")), "{verified}");
    assert!(damage["position"].is_u64(), "{verified}");
    sandbox.run(["verify", "--repair"]).done();
    sandbox.run(["verify"]).done();
    assert_eq!(sandbox.ingest(&lines).json()["duplicate"], 50);
}

#[test]
fn over_budget_is_5() {
    let sandbox = one_model();
    sandbox.write("m.pkl", "n");
    sandbox.run(["add", "model", "churn", "m.pkl"]).done();
    sandbox.run(["query", "models", "--max-rows", "2"]).done();
    sandbox.run(["query", "models", "--max-rows", "1"]).fails(5, "--max-rows");
    sandbox.run(["query", "models where name = churn", "--budget-steps", "2"]).done();
    let over: [(&[&str], &str); 3] = [
        (&["models", "--max-rows", "1"], "E0501"),
        (&["models where name = churn", "--budget-steps", "1"], "E0502"),
        (&["models", "--timeout", "0s"], "E0503"),
    ];
    for (args, code) in over {
        let refused = sandbox.run(["--json", "query"].iter().chain(args));
        refused.code(5);
        assert_eq!(refused.json()["errors"][0]["code"], code, "no rows, but an error: {refused}");
        let partial = sandbox.run(["--json", "query", "--partial"].iter().chain(args));
        partial.done();
        let answer = partial.json();
        assert_eq!((&answer["complete"], &answer["notes"][0]["code"]), (&false.into(), &"N10".into()), "{partial}");
        assert!(answer["rows"].as_array().is_some_and(|rows| rows.len() == 1 || code == "E0503"), "{partial}");
    }
    assert_eq!(sandbox.run(["--json", "query", "models", "--timeout", "1h"]).json()["complete"], true);
}

#[test]
fn steps_are_counted_in_every_walk() {
    let sandbox = Sandbox::new();
    let chain = |n: u32| {
        format!(
            r#"{{"v":1,"kind":"transform","run":"r{n}","inputs":[{{"kind":"dataset","name":"d{n}"}}],"outputs":[{{"kind":"dataset","name":"d{}"}}]}}"#,
            n + 1
        )
    };
    sandbox.ingest(&(0..20).map(|n| chain(n) + "\n").collect::<String>());
    // From d0 twenty steps lead to d20; each of the 21 versions is left once.
    for (question, steps) in [
        ("datasets downstream of dataset d0", 21),
        ("datasets within 5 steps downstream of dataset d0", 5),
        ("datasets upstream of dataset d20", 21),
        ("path from dataset d0 to dataset d20", 21),
    ] {
        let ask = |steps: u32| sandbox.run(["query", question, "--budget-steps", &steps.to_string()]).code;
        let least = (0..100).find(|steps| ask(*steps) == 0);
        assert!(least.is_some_and(|least| least >= steps && least <= 3 * steps), "{question}: {least:?}");
    }
    for question in ["datasets downstream of dataset d0", "datasets upstream of dataset d20"] {
        let partial = sandbox.run(["--json", "query", question, "--budget-steps", "8", "--partial"]);
        partial.done();
        let rows = partial.json()["rows"].as_array().map(Vec::len);
        assert!(rows.is_some_and(|n| 0 < n && n < 20), "what was found by then: {partial}");
    }
}

#[test]
fn refused_and_failed_are_6() {
    let sandbox = one_model();
    sandbox.run_with(["ingest", "-"], b"{\"v\":1}\n").fails(6, "refused");
    sandbox.run(["ingest", "nosuch.ndjson"]).fails(6, "nosuch.ndjson");
    sandbox.run(["ingest", "."]).fails(6, "is a folder");
    sandbox.run(["--store", "nosuch", "status"]).fails(6, "lineage init");
    sandbox.run(["add", "model", "churn", "nosuch.pkl"]).fails(6, "nosuch.pkl");
}

#[test]
fn without_the_lock_events_are_spooled_with_6_and_recorded_by_the_next_command() {
    let sandbox = one_model();
    let lock = std::fs::File::open(sandbox.store().join("journal/lock")).expect("the lock");
    lock.lock().expect("taken");
    let spooled = sandbox.run(["--json", "tag", "model", "churn", "gold"]);
    spooled.code(6);
    assert!(spooled.stderr.contains("spooled") && spooled.json()["spooled"] == true, "{spooled}");
    let line = crash::event("e", 1) + "\n";
    let ingested = sandbox.run_with(["--json", "ingest", "-"], line.as_bytes());
    ingested.code(6);
    assert_eq!(ingested.json()["spooled"], 1);
    // Readers take no lock.
    assert_eq!(sandbox.column("models", "name"), ["churn"]);
    assert_eq!(sandbox.run(["--json", "status"]).json()["spooled_files"], 2);
    drop(lock);
    sandbox.run(["ingest", "/dev/null"]).done();
    assert_eq!(sandbox.column("models tagged gold", "name"), ["churn"]);
    assert_eq!(sandbox.ingest(&line).json()["duplicate"], 1, "what was spooled is that event");
    assert_eq!(sandbox.run(["--json", "status"]).json()["spooled_files"], 0);
}

#[test]
fn a_command_that_was_run_passes_its_code_through() {
    let sandbox = Sandbox::new();
    for (script, code) in
        [("exit 0", 0), ("exit 1", 1), ("exit 3", 3), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -9 $$", 137)]
    {
        sandbox.run(["run", "--", "sh", "-c", script]).code(code);
    }
    sandbox.write("plain", "text");
    sandbox.run(["run", "--", "./plain"]).code(126);
    sandbox.run(["run", "--", "nosuch-command"]).code(127);
    sandbox.run(["--store", "nosuch", "run", "--", "true"]).fails(125, "lineage init");
    let states: Vec<_> = sandbox.column("transforms", "state");
    assert_eq!(states.iter().filter(|s| *s == "complete").count(), 1, "{states:?}");
}

#[test]
fn interrupted_is_130() {
    let sandbox = one_model();
    let interrupt = |mut command: Command, ready: &str| {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let flag = sandbox.path().join(ready);
        while !ready.is_empty() && !flag.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        if ready.is_empty() {
            // The first line tells that it follows.
            std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut [0; 1]).expect("a line");
        }
        Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().expect("killed");
        child.wait_with_output().expect("ends").status
    };
    let lines: String = (0..2000).map(|n| crash::event("e", n) + "\n").collect();
    sandbox.ingest(&lines);
    // The answer is longer than a pipe holds, so that it cannot be over before the interrupt comes.
    let status = interrupt(sandbox.command(["query", "events", "--output", "ndjson"]), "");
    assert_eq!(status.code(), Some(130), "{status}");
    let status = interrupt(sandbox.command(["log", "--follow"]), "");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "a shell shows 130: {status}");
    // The command that is run gets SIGINT from the terminal; the recorder waits for it and records the end.
    let script = "touch ready; trap 'exit 130' INT; kill -INT $$; sleep 5";
    let ran: Ran = sandbox.run(["run", "--", "sh", "-c", script]);
    ran.code(130);
}
