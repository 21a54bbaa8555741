//! Every command through the binary, once or twice: what it does, what it says, and its JSON.

use lineage_tests::sandbox::{ACTOR, Sandbox};
use serde_json::{Value, json};

const B3: &str = "b3:0101010101010101010101010101010101010101010101010101010101010101";

/// A store with a raw file, a model trained from it twice, and some of what people say.
fn churn() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("raw.csv", "a,b\n1,2\n");
    sandbox.run(["add", "dataset", "churn-raw", "raw.csv", "--tag", "pii", "--owner", "ria"]).done();
    for text in ["one", "two"] {
        let train = format!("cat raw.csv > m.pkl; echo {text} >> m.pkl");
        let declared = ["run", "-i", "dataset:churn-raw=raw.csv", "-o", "model:churn=m.pkl", "-p", "lr=0.1", "--"];
        sandbox.run(declared.into_iter().chain(["sh", "-c", &train])).done();
    }
    sandbox
}

#[track_caller]
fn has_keys(object: &Value, keys: &[&str]) {
    let found: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    for key in keys {
        assert!(found.contains(key), "`{key}` is not in {object}");
    }
}

#[test]
fn init_makes_a_store_once() {
    let sandbox = Sandbox::empty();
    let made = sandbox.run(["--json", "init", "here"]).json();
    assert!(made["store"].as_str().is_some_and(|s| s.ends_with("here/.lineage")));
    for part in ["journal", "sled", "graph", "artifacts", "payloads", "spool", "rejects", "keys", "config.toml"] {
        assert!(sandbox.path().join("here/.lineage").join(part).exists(), "{part}");
    }
    sandbox.run(["init", "here"]).fails(6, "already");
    // A store is found from below, by its folder, and by the folder that holds it.
    sandbox.write("here/a/b/c", "");
    for store in ["here", "here/.lineage"] {
        sandbox.run(["--store", store, "status"]).done();
    }
    let mut below = sandbox.command(["status"]);
    let output = below.current_dir(sandbox.path().join("here/a/b")).output().expect("runs");
    assert!(output.status.success());
    let mut named = sandbox.command(["--json", "status"]);
    let output = named.env("LINEAGE_STORE", sandbox.path().join("here")).output().expect("runs");
    assert!(output.status.success());
}

#[test]
fn status_and_config_tell_what_is() {
    let sandbox = churn();
    let status = sandbox.run(["--json", "status"]).json();
    has_keys(&status, &["store", "events", "position", "versions", "names", "last_recorded", "spooled_files", "bytes"]);
    assert_eq!((&status["versions"], &status["names"]), (&json!(3), &json!(2)));
    assert_eq!(status["position"].as_u64().map(|p| p + 1), status["events"].as_u64());
    assert!(sandbox.run(["status"]).done().contains("events"));
    sandbox.run(["config", "set", "environments", "dev", "edge"]).done();
    assert_eq!(sandbox.run(["--json", "config", "get", "environments"]).json(), json!(["dev", "edge"]));
    has_keys(&sandbox.run(["--json", "config"]).json(), &["format", "environments", "seal"]);
    assert_eq!(sandbox.run(["--json", "doctor"]).json(), json!({ "good": true, "findings": [] }));
}

#[test]
fn bytes_go_in_and_come_back() {
    let sandbox = churn();
    let again = sandbox.run(["--json", "add", "dataset", "churn-raw", "raw.csv"]).json();
    has_keys(&again, &["position", "id", "version", "new", "digest", "sha256", "size"]);
    assert_eq!((&again["version"], &again["new"]), (&json!("dataset churn-raw@v1"), &json!(false)));
    sandbox.write("raw.csv", "a,b\n3,4\n");
    let new = sandbox.run(["--json", "add", "dataset", "churn-raw", "raw.csv"]).json();
    assert_eq!((&new["version"], &new["new"]), (&json!("dataset churn-raw@v2"), &json!(true)));
    sandbox.run(["get", "dataset", "churn-raw@v1", "-o", "back.csv"]).done();
    assert_eq!(std::fs::read(sandbox.path().join("back.csv")).expect("restored"), b"a,b\n1,2\n");
    assert_eq!(sandbox.run(["get", "dataset", "churn-raw@v2", "-o", "-"]).bytes, b"a,b\n3,4\n");
    // What is stored is verified before it is given out.
    let digest = new["digest"].as_str().and_then(|d| d.strip_prefix("b3:")).expect("a digest").to_owned();
    let stored = lineage_tests::walk::files(&sandbox.store().join("artifacts"));
    let stored = stored.iter().find(|p| p.to_string_lossy().replace('/', "").contains(&digest)).expect("stored");
    let mut permissions = stored.metadata().expect("there").permissions();
    #[allow(clippy::permissions_set_readonly_false, reason = "a file in a temporary folder")]
    permissions.set_readonly(false);
    std::fs::set_permissions(stored, permissions).expect("set");
    std::fs::write(stored, "a,b\n3,5\n").expect("damaged");
    sandbox.run(["get", "dataset", "churn-raw@v2", "-o", "-"]).fails(4, "damaged");
    sandbox.run(["verify"]).code(4);
}

#[test]
fn what_people_say_is_recorded() {
    let sandbox = churn();
    let commands: [&[&str]; 9] = [
        &["tag", "model", "churn@v2", "candidate", "gold"],
        &["untag", "model", "churn@v2", "gold"],
        &["alias", "model", "churn@v1", "champion"],
        &["describe", "model", "churn", "--owner", "ana", "--tier", "high"],
        &["evaluate", "model", "churn@v2", "--on", "dataset", "churn-raw", "--metric", "accuracy=0.93"],
        &["audit", "model", "churn@v2", "--outcome", "pass", "--by", "ria", "--attach", "raw.csv"],
        &["deploy", "model", "churn@v2", "--to", "prod"],
        &["deploy", "model", "churn@v1", "--to", "production", "--alongside"],
        &["retire", "model", "churn@v1", "--from", "prod"],
    ];
    for command in commands {
        let said = sandbox.run(["--json"].iter().chain(command)).json();
        has_keys(&said, &["position", "id", "what", "spooled"]);
    }
    let v2 = sandbox.run(["--json", "show", "model", "churn@v2"]).json();
    has_keys(&v2, &["kind", "namespace", "name", "version", "digest", "size", "made_by", "used_by", "about", "tags"]);
    assert_eq!((&v2["tags"], &v2["owner"], &v2["tier"]), (&json!(["candidate"]), &json!("ana"), &json!("high")));
    let champion = sandbox.run(["--json", "show", "model", "churn@champion"]).json();
    assert_eq!((&champion["version"], &champion["aliases"]), (&json!("v1"), &json!(["champion"])));
    assert_eq!(sandbox.column("models live in prod", "version"), ["v2"]);
    assert_eq!(sandbox.column("models tagged candidate", "version"), ["v2"]);
    assert_eq!(sandbox.column("models where accuracy > 0.9", "version"), ["v2"]);
    let gate = "models live in prod without a passing audit since their last training";
    sandbox.run(["query", gate, "--expect", "none"]).done();
    // Trained again and deployed, the audit is too old.
    sandbox.run(["run", "-o", "model:churn=m.pkl", "--", "sh", "-c", "echo three > m.pkl"]).done();
    sandbox.run(["deploy", "model", "churn", "--to", "prod"]).done();
    sandbox.run(["query", gate, "--expect", "none"]).code(1);
}

#[test]
fn links_join_names_and_retractions_hide() {
    let sandbox = churn();
    let line = format!(
        r#"{{"v":1,"kind":"transform","id":"x","inputs":[{{"kind":"dataset","name":"export"}}],"outputs":[{{"kind":"dataset","name":"report","digest":"{B3}"}}]}}"#
    );
    sandbox.ingest(&line);
    assert_eq!(sandbox.names("datasets upstream of dataset report"), ["export"]);
    sandbox.run(["link", "dataset", "export", "dataset", "churn-raw"]).done();
    assert_eq!(sandbox.names("datasets upstream of dataset report"), ["churn-raw", "export"]);
    sandbox.run(["retract", "x", "--reason", "wrong"]).done();
    sandbox.run(["show", "dataset", "report"]).fails(3, "hidden by a retraction");
    assert_eq!(sandbox.names("datasets upstream of dataset report including retracted"), ["churn-raw", "export"]);
    let status = sandbox.run(["--json", "status"]).json();
    assert_eq!(status["retracted"], json!(1));
    let run = sandbox.run(["--json", "run", "-o", "model:gone=g.pkl", "--", "sh", "-c", "echo > g.pkl"]).json();
    let run = format!("run:{}", run["run"].as_str().expect("an id"));
    sandbox.run(["retract", &run, "--reason", "a test"]).done();
    sandbox.run(["show", "model", "gone"]).code(3);
}

#[test]
fn what_happened_can_be_read() {
    let sandbox = churn();
    let lines: Vec<Value> = sandbox
        .run(["--json", "log", "-n", "0"])
        .done()
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    for (position, line) in lines.iter().enumerate() {
        assert_eq!(line["position"], json!(position));
        assert_eq!(line["event"]["actor"], json!(ACTOR));
        has_keys(&line["event"], &["v", "kind", "id", "time", "recorded", "evidence", "namespace"]);
    }
    assert_eq!(sandbox.run(["log", "-n", "2"]).done().lines().count(), 2);
    assert_eq!(sandbox.run(["log", "--kind", "training", "-n", "1"]).done().lines().count(), 1);
    let history = sandbox.run(["history", "model", "churn"]);
    assert!(history.done().lines().count() >= 2, "{history}");
    let event = sandbox.run(["--json", "show", "#0"]).json();
    assert_eq!(event, lines[0]);
    let file = sandbox.run(["--json", "show", "./m.pkl"]).json();
    assert_eq!(file["versions"][0]["version"], json!("v2"));
    assert!(sandbox.run(["show", "run:nosuch"]).code(3).contains("help"));
}

#[test]
fn answers_have_one_shape() {
    let sandbox = churn();
    let answer = sandbox.run(["--json", "query", "models trained on dataset churn-raw"]).json();
    let keys = [
        "schema",
        "edition",
        "canonical",
        "position",
        "head",
        "as_of",
        "known_at",
        "complete",
        "columns",
        "rows",
        "notes",
    ];
    has_keys(&answer, &keys);
    assert_eq!((&answer["edition"], &answer["complete"]), (&json!(1), &json!(true)));
    let columns: Vec<_> = answer["columns"].as_array().expect("columns").iter().map(|c| c["name"].clone()).collect();
    assert_eq!(columns[..5], ["kind", "namespace", "name", "version", "digest"].map(|c| json!(c)));
    assert_eq!(answer["rows"].as_array().map(Vec::len), Some(2));
    let question = "models trained on dataset :data";
    let csv = sandbox.run(["query", question, "--param", "data=churn-raw", "--output", "csv"]);
    assert_eq!(csv.done().lines().count(), 3);
    assert_eq!(sandbox.run(["query", "models", "--output", "ndjson"]).done().lines().count(), 2);
    for (format, magic) in [("parquet", &b"PAR1"[..]), ("arrow", &[0xff; 4])] {
        let file = format!("answer.{format}");
        sandbox.run(["query", "models", "-o", &file]).done();
        assert!(std::fs::read(sandbox.path().join(&file)).expect("written").starts_with(magic), "{format}");
        assert!(sandbox.run(["query", "models", "--output", format]).bytes.starts_with(magic), "{format}");
    }
    // A name that looks like a formula is made harmless on request.
    let line = format!(r#"{{"v":1,"kind":"register","outputs":[{{"kind":"model","name":"=1+1","digest":"{B3}"}}]}}"#);
    sandbox.ingest(&line);
    assert!(sandbox.run(["query", "models", "--output", "csv"]).done().contains(",=1+1,"));
    assert!(!sandbox.run(["query", "models", "--output", "csv-safe"]).done().contains(",=1+1,"));
    assert_eq!(sandbox.run(["fmt", "models & live(prod)"]).done().trim(), "models live in prod");
}

#[test]
fn queries_are_saved_and_drawn() {
    let sandbox = churn();
    let saved = sandbox.run(["--json", "query", "save", "mine", "models where owner = :who", "--description", "mine"]);
    assert_eq!(saved.json()["what"], "saved the query mine");
    sandbox.run(["query", "save", "mine", "models"]).done();
    assert_eq!(sandbox.run(["query", "query mine", "--output", "ndjson"]).done().lines().count(), 2);
    assert_eq!(sandbox.run(["query", "query mine@v1(who = nobody)", "--output", "ndjson"]).done(), "");
    sandbox.run(["query", "save", "mine", "count models"]).fails(2, "E0205");
    sandbox.run(["query", "save", "mine", "models trained in x"]).fails(2, "E0102");
    sandbox.run(["query", "query other"]).fails(3, "E0201");
    let drawing =
        sandbox.run(["query", "paths from dataset churn-raw to (models)", "--output", "dot"]).done().to_owned();
    assert!(drawing.starts_with("digraph lineage {") && drawing.contains("model churn@v1"), "{drawing}");
    sandbox.run(["query", "path from dataset churn-raw to model churn@v1", "-o", "path.mmd"]).done();
    let drawing = std::fs::read_to_string(sandbox.path().join("path.mmd")).expect("written");
    assert!(drawing.starts_with("flowchart LR"), "{drawing}");
    // Code is in no column of the index: it is read from the journal.
    let changed = sandbox.run(["query", "what changed between model churn@v1 and model churn@v2", "--output", "csv"]);
    assert!(changed.done().lines().any(|line| line.starts_with("bytes,digest,")));
}

#[test]
fn upkeep_changes_no_answer() {
    let sandbox = churn();
    let before = sandbox.run(["query", "models", "--output", "json"]).bytes;
    let verified = sandbox.run(["--json", "verify"]).json();
    has_keys(&verified, &["verdict", "consistent", "anchored", "checked", "damage", "notes", "repaired"]);
    assert_eq!(verified["verdict"], json!("CONSISTENT, UNANCHORED"));
    let events = sandbox.run(["--json", "status"]).json()["events"].clone();
    assert_eq!(sandbox.run(["--json", "rebuild"]).json()["events"], events);
    assert_eq!(sandbox.run(["query", "models", "--output", "json"]).bytes, before);
    sandbox.run(["verify"]).done();
}

#[test]
fn every_command_has_help_with_an_example() {
    let sandbox = Sandbox::empty();
    let help = sandbox.run(["--help"]);
    let commands = help.done().lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    let commands: Vec<&str> =
        commands.filter(|l| l.starts_with("  ")).filter_map(|l| l.split_whitespace().next()).collect();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let help = sandbox.run([command, "--help"]);
        assert!(help.done().contains("EXAMPLES") && help.stdout.contains("lineage "), "{help}");
        assert!(!help.stdout.contains('\x1b'), "colour without a terminal: {help}");
        for question in questions(&help.stdout) {
            sandbox.run(["fmt", &question]).done();
        }
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(sandbox.run(["completions", shell]).done().contains("lineage"));
    }
}

/// The questions among the examples of a help text.
fn questions(help: &str) -> Vec<String> {
    let quoted = |line: &str| {
        let rest = line.trim().strip_prefix("lineage query ")?;
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        rest[1..].split(quote).next().map(str::to_owned)
    };
    help.lines().filter_map(quoted).collect()
}

#[test]
fn the_demo_runs() {
    let sandbox = Sandbox::empty();
    let demo = sandbox.run(["demo", "d"]);
    assert!(demo.done().contains("lineage query"), "{demo}");
    sandbox.run(["--store", "d", "verify"]).done();
}

#[test]
fn shortened_digests_can_be_pasted() {
    let sandbox = Sandbox::new();
    let event = |name: &str, digest: &str| {
        format!(
            r#"{{"v":1,"kind":"register","outputs":[{{"kind":"dataset","name":"{name}","digest":"b3:{digest:0<64}"}}]}}"#
        )
    };
    sandbox.ingest(&[event("a", "abcdef01234"), event("b", "abcdef01235"), event("c", "77")].join("\n"));
    // Alone in the answer, and yet not shorter than what tells it from the others that are recorded.
    let table = sandbox.run(["query", "dataset a"]);
    assert!(table.done().contains("  b3:abcdef01234\n"), "{table}");
    assert!(sandbox.run(["query", "dataset c"]).done().contains("  b3:77000000\n"));
    assert_eq!(sandbox.names("b3:abcdef01234"), ["a"]);
    sandbox.run(["query", "b3:abcdef0123"]).fails(3, "E0203");
}

#[test]
fn runs_can_be_looked_at() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(["ps"]).stderr.contains("no runs yet"));
    sandbox.run(["logs"]).fails(3, "no run is recorded yet");
    sandbox.write("raw.csv", "x\n".repeat(100));
    let script = "echo fitting; tr x y < raw.csv > m.pkl";
    let train = ["run", "-i", "dataset:raw=raw.csv", "-o", "model:m=m.pkl", "-p", "lr=0.5", "--", "sh", "-c", script];
    sandbox.run(train).done();
    let ps = sandbox.run(["ps", "--json"]).json();
    assert_eq!(ps["running"], json!([]));
    has_keys(&ps["ended"][0], &["run", "namespace", "state", "kind", "job", "cause", "exit_code", "ended", "position"]);
    let run = ps["ended"][0]["run"].as_str().expect("an id").to_owned();
    assert_eq!(sandbox.run(["logs", &run, "-f"]).stdout, "fitting\n");
    assert_eq!(sandbox.run(["logs", &run, "--json"]).json()["logs"]["stdout"]["bytes"], 8);
    sandbox.run(["logs", "r-nosuch"]).fails(3, "r-nosuch");

    for thing in [&["./m.pkl"][..], &["model", "m"], &["m@v1"]] {
        let why = sandbox.run(["why"].iter().chain(thing));
        let text = why.done();
        assert!(
            text.contains("training sh (#1)") && text.contains("lr=0.5") && text.contains("dataset raw@v1"),
            "{why}"
        );
    }
    let why = sandbox.run(["--json", "why", "m.pkl"]).json();
    has_keys(&why["versions"][0], &["version", "digest", "external", "made_by"]);
    assert_eq!(why["versions"][0]["made_by"][0]["inputs"][0]["version"], "dataset raw@v1");
    let why = sandbox.run(["why", "raw.csv"]);
    assert!(why.done().contains("nothing recorded made it"), "{why}");
    let why = sandbox.run(["why", "model", "m", "--in", "models trained on dataset raw"]);
    assert!(why.done().contains("raw"), "{why}");
    sandbox.write("other.csv", "nobody knows these bytes\n");
    sandbox.run(["why", "./other.csv"]).code(1);
    sandbox.run(["why", "nosuch"]).code(3);
}

#[test]
fn a_run_of_another_machine_is_not_judged() {
    let sandbox = Sandbox::new();
    sandbox.run(["run", "--", "true"]).done();
    let note = json!({ "run": "r-0123456789abcdef", "namespace": "default", "job": "far", "kind": "training",
        "actor": "bob", "started": "2026-11-20T11:00:00Z", "command": "python far.py", "host": "0123456789abcdef",
        "boot": "b", "pid": 1, "pid_start": 1 });
    let path = sandbox.write(".lineage/runs/r-0123456789abcdef.lock", format!("{note}\n"));
    let ps = sandbox.run(["ps"]);
    assert!(ps.done().contains("elsewhere") && ps.stdout.contains("python far.py"), "{ps}");
    let doctor = sandbox.run(["doctor"]);
    assert!(doctor.code(6).is_empty() && doctor.stdout.contains("another machine"), "{doctor}");
    assert!(path.exists() && !sandbox.run(["log"]).stdout.contains("abort"));
    // What is no lock file is named, and keeps nobody from working.
    sandbox.write(".lineage/runs/r-1.lock", "nonsense");
    sandbox.run(["run", "--", "true"]).done();
    assert!(sandbox.run(["ps"]).code(0).contains("r-1.lock cannot be read"));
    assert!(sandbox.run(["doctor"]).stdout.contains("r-1.lock cannot be read"));
}
