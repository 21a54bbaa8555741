//! Pipelines through the command: the worked examples, reuse, gates, approvals, failures and resuming.

use std::fs;
use std::path::Path;
use std::process::Command;

use lineage_tests::sandbox::{Ran, Sandbox, binary};
use lineage_tests::workspace;
use serde_json::Value;

/// A sandbox on the clock of the machine, with files of the examples.
fn sandbox(files: &[&str]) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    for file in files {
        let from = workspace().join("docs/examples").join(file);
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        sandbox.write(name, fs::read(&from).unwrap_or_else(|error| panic!("{}: {error}", from.display())));
    }
    sandbox
}

const CHURN: [&str; 7] = [
    "churn/make_raw.sh",
    "churn/prepare.sh",
    "churn/train.sh",
    "churn/evaluate.sh",
    "churn/audit.sh",
    "churn/deploy.sh",
    "pipelines/churn/churn.toml",
];

/// The last object of a run with `--json`.
fn ended(ran: &Ran) -> Value {
    let last = ran.stdout.lines().last().unwrap_or_else(|| panic!("nothing was said: {ran}"));
    let object: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {ran}"));
    assert_eq!(object["event"], "ended", "{ran}");
    object
}

/// `step state` of every step, `reused` for what did not run.
fn states(ended: &Value) -> Vec<String> {
    let state = |row: &Value| if row["cached"] == true { "reused" } else { row["state"].as_str().unwrap() }.to_owned();
    let branch = |row: &Value| {
        row["branch"].as_array().unwrap().iter().fold(String::new(), |name, index| format!("{name}/{index}"))
    };
    let rows = ended["steps"].as_array().unwrap().iter();
    rows.map(|row| format!("{}{} {}", row["step"].as_str().unwrap(), branch(row), state(row))).collect()
}

fn why(ended: &Value, step: &str) -> String {
    let row = ended["steps"].as_array().unwrap().iter().find(|row| row["step"] == step).unwrap();
    row["why"].as_str().unwrap().to_owned()
}

#[test]
fn the_branch_flow_gives_3_and_the_grid_its_maximum() {
    let sandbox = sandbox(&["pipelines/branch.toml", "pipelines/grid.toml"]);
    let branch = ended(&sandbox.run(["--json", "run", "branch.toml"]));
    assert_eq!((&branch["values"]["max"], branch["state"].as_str()), (&Value::from(3), Some("complete")));
    assert_eq!(states(&branch), ["start complete", "two complete", "three complete", "max complete"]);
    let grid = ended(&sandbox.run(["--json", "run", "grid.toml"]));
    assert_eq!(grid["values"]["best"], 17);
    assert_eq!(grid["steps"].as_array().unwrap().len(), 6);

    // Every step, value and edge is answered by questions.
    let upstream = sandbox.names("artifacts upstream of artifact branch.max/max");
    assert_eq!(upstream, ["branch.start/x", "branch.three/x", "branch.two/x"]);
    assert_eq!(sandbox.names("artifacts downstream of artifact branch.start/x").len(), 3);
    // Two points have the same score; told one after the other they are one version.
    assert!(sandbox.names("artifacts upstream of artifact grid.best/best").len() >= 4);
    let run = branch["run"].as_str().unwrap();
    sandbox.run(["show", "artifact", "branch.max/max"]).done();
    let drawn = sandbox.run(["graph", run]);
    assert!(drawn.done().contains("✓ max  complete  after three, two") || drawn.stdout.contains("after two, three"));
}

#[test]
fn a_second_run_executes_nothing_and_restores_what_is_gone() {
    let sandbox = sandbox(&CHURN);
    let first = sandbox.run(["--json", "run", "churn.toml"]);
    first.code(7);
    let first = ended(&first);
    assert_eq!(first["parked"], true);
    let model = fs::read(sandbox.path().join("work/model.txt")).unwrap();
    assert_eq!(sandbox.names("models trained on dataset churn-raw"), ["churn", "churn-0", "churn-1", "churn-2"]);

    fs::remove_dir_all(sandbox.path().join("work")).unwrap();
    let again = sandbox.run(["--json", "run", "churn.toml"]);
    again.code(7);
    let ran: Vec<String> = states(&ended(&again)).into_iter().filter(|state| !state.ends_with("reused")).collect();
    // Audits and deployments are never reused.
    assert_eq!(ran, ["audit complete", "deploy waits for approval"]);
    assert_eq!(fs::read(sandbox.path().join("work/model.txt")).unwrap(), model);
    assert_eq!(sandbox.names("models trained on dataset churn-raw").len(), 4, "nothing new was minted");
}

#[test]
fn exactly_what_read_a_changed_file_runs_again_and_the_reason_names_it() {
    let sandbox = sandbox(&[]);
    sandbox.write("a.txt", "1\n");
    sandbox.write("b.txt", "1\n");
    let text = "[pipeline]\nname = \"two\"\n\
        [[step]]\nid = \"a\"\nshell = \"cat a.txt > a.out\"\ninputs = [\"a.txt\"]\noutputs = [\"a.out\"]\n\
        [[step]]\nid = \"b\"\nshell = \"cat b.txt > b.out\"\ninputs = [\"b.txt\"]\noutputs = [\"b.out\"]\n\
        [[step]]\nid = \"both\"\nshell = \"cat a.out b.out > both.out\"\ninputs = [\"a.out\", \"b.out\"]\noutputs = [\"both.out\"]\n";
    sandbox.write("two.toml", text);
    sandbox.run(["run", "two.toml"]).done();
    sandbox.write("b.txt", "2\n");
    let second = ended(&sandbox.run(["--json", "run", "two.toml"]));
    assert_eq!(states(&second), ["a reused", "b complete", "both complete"]);
    assert_eq!((why(&second, "b"), why(&second, "both")), ("b.txt changed".to_owned(), "b.out changed".to_owned()));
    assert_eq!(fs::read_to_string(sandbox.path().join("both.out")).unwrap(), "1\n2\n");

    // A result whose bytes are gone is a miss, never a hole.
    let digest = sandbox.column("artifact a.out", "digest").remove(0);
    let hex = digest.strip_prefix("b3:").unwrap();
    let stored = sandbox.store().join("artifacts").join(&hex[..2]).join(&hex[2..]);
    fs::remove_file(&stored).unwrap_or_else(|error| panic!("{}: {error}", stored.display()));
    fs::remove_file(sandbox.path().join("a.out")).unwrap();
    let third = ended(&sandbox.run(["--json", "run", "two.toml"]));
    assert_eq!(states(&third), ["a complete", "b reused", "both reused"]);
    assert_eq!(why(&third, "a"), "the stored bytes of a.out are gone");
    assert_eq!(fs::read_to_string(sandbox.path().join("a.out")).unwrap(), "1\n");
}

#[test]
fn a_file_that_was_looked_for_in_vain_counts_once_it_is_there() {
    let sandbox = sandbox(&[]);
    let step = "cat settings.txt 2>/dev/null > out.txt; true";
    sandbox.write(
        "m.toml",
        format!("[pipeline]\nname = \"m\"\n[[step]]\nid = \"a\"\nshell = \"{step}\"\noutputs = [\"out.txt\"]\n"),
    );
    sandbox.run(["run", "m.toml"]).done();
    assert_eq!(states(&ended(&sandbox.run(["--json", "run", "m.toml"]))), ["a reused"]);
    sandbox.write("settings.txt", "on");
    let third = ended(&sandbox.run(["--json", "run", "m.toml"]));
    assert_eq!((states(&third), why(&third, "a")), (vec!["a complete".to_owned()], "settings.txt is new".to_owned()));
    assert_eq!(fs::read_to_string(sandbox.path().join("out.txt")).unwrap(), "on");
}

#[test]
fn a_gate_blocks_and_an_approval_lets_pass_once() {
    let sandbox = sandbox(&CHURN);
    let first = ended(&sandbox.run(["--json", "run", "churn.toml"]));
    let run = first["run"].as_str().unwrap().to_owned();
    sandbox.run(["approve", &run, "deploy"]).fails(6, "--role owner");
    sandbox.run(["approve", &run, "deploy", "--role", "owner"]).done();
    let second = sandbox.run(["--json", "resume", &run]);
    second.code(0);
    assert!(states(&ended(&second)).contains(&"deploy complete".to_owned()), "{second}");
    assert_eq!(sandbox.names("models live in prod"), ["churn"]);
    // Resumed once more, the deployment is not done again.
    let deployments = sandbox.column("deployments", "time").len();
    let third = sandbox.run(["--json", "resume"]);
    third.code(0);
    assert!(states(&ended(&third)).contains(&"deploy reused".to_owned()), "{third}");
    let mtime = |path: &str| fs::metadata(sandbox.path().join(path)).unwrap().modified().unwrap();
    let before = mtime("live/model.txt");
    sandbox.run(["resume"]).done();
    assert_eq!(mtime("live/model.txt"), before);
    assert!(sandbox.column("deployments", "time").len() >= deployments);

    let strict = fs::read_to_string(sandbox.path().join("churn.toml")).unwrap().replace("\"0.6\"", "\"0.01\"");
    sandbox.write("churn.toml", strict);
    let refused = sandbox.run(["--json", "run", "churn.toml"]);
    refused.code(1);
    let states = states(&ended(&refused));
    assert!(states.contains(&"audit failed".to_owned()) && states.contains(&"deploy skipped".to_owned()), "{states:?}");
}

#[test]
fn failures_are_retried_by_class_and_told_apart() {
    let sandbox = sandbox(&[]);
    let text = "[pipeline]\nname = \"f\"\n\
        [[step]]\nid = \"flaky\"\nshell = \"echo x >> tries; [ $(wc -l < tries) -ge 3 ] || exit 75\"\n\
        retry = { times = 5, on = [\"exit:75\"] }\n\
        [[step]]\nid = \"slow\"\nrun = [\"sleep\", \"60\"]\ntimeout = \"1s\"\n\
        [[step]]\nid = \"wrong\"\nshell = \"echo no; exit 3\"\nretry = { times = 5, on = [\"exit:75\"] }\n\
        [[step]]\nid = \"after\"\nneeds = [\"wrong\"]\nrun = [\"true\"]\n\
        [[step]]\nid = \"finally\"\nneeds = [\"wrong\"]\nalways = true\nrun = [\"true\"]\n";
    sandbox.write("f.toml", text);
    let ran = sandbox.run(["--json", "run", "f.toml"]);
    ran.code(1);
    let ended = ended(&ran);
    let expected = ["flaky complete", "slow aborted", "wrong failed", "after skipped", "finally complete"];
    assert_eq!(states(&ended), expected);
    assert_eq!(fs::read_to_string(sandbox.path().join("tries")).unwrap().lines().count(), 3);
    let run = ended["run"].as_str().unwrap();
    let said = sandbox.run(["logs", &format!("{run}.wrong")]);
    assert_eq!(said.done(), "no\n");
}

#[test]
fn what_took_longest_starts_first_the_next_time() {
    let sandbox = sandbox(&[]);
    let step =
        |id: &str, time: &str| format!("[[step]]\nid = \"{id}\"\nshell = \"echo {id} >> order; sleep {time}\"\n");
    let steps = step("short", "0") + &step("long", "1") + &step("brief", "0");
    sandbox.write("f.toml", format!("[pipeline]\nname = \"f\"\n{steps}"));
    for expected in ["short\nlong\nbrief\n", "long\n"] {
        sandbox.run(["run", "f.toml", "--jobs", "1", "--no-cache"]).done();
        let order = fs::read_to_string(sandbox.path().join("order")).unwrap();
        assert!(order.starts_with(expected), "{order}");
        fs::remove_file(sandbox.path().join("order")).unwrap();
    }
}

#[test]
fn an_edited_step_is_not_reused_and_a_finished_branch_is() {
    let sandbox = sandbox(&[]);
    let text = |last: &str| {
        format!(
            "[pipeline]\nname = \"e\"\n[params]\nn = [1, 2, 3]\n\
             [[step]]\nid = \"make\"\nforeach = \"params.n\"\nas = \"n\"\nshell = \"echo {{n}} > out-{{n}}; {last}\"\n\
             outputs = [\"out-{{n}}\"]\n"
        )
    };
    sandbox.write("e.toml", text("[ {n} != 3 ]"));
    let first = sandbox.run(["--json", "run", "e.toml"]);
    first.code(1);
    assert_eq!(states(&ended(&first)), ["make/0 complete", "make/1 complete", "make/2 failed"]);
    let second = sandbox.run(["--json", "resume"]);
    assert_eq!(states(&ended(&second)), ["make/0 reused", "make/1 reused", "make/2 failed"]);
    sandbox.write("e.toml", text("true"));
    let third = sandbox.run(["--json", "run", "e.toml"]);
    third.code(0);
    assert_eq!(states(&ended(&third)), ["make/0 complete", "make/1 complete", "make/2 complete"]);
    assert!(why(&ended(&third), "make").starts_with("argument 3 was"), "{third}");
}

#[test]
fn a_wrong_specification_starts_nothing() {
    let sandbox = sandbox(&[]);
    sandbox.write("w.toml", "[pipeline]\nname = \"w\"\n[[step]]\nid = \"a\"\nkind = \"train\"\nrun = \"x\"\n");
    let ran = sandbox.run(["run", "w.toml"]);
    ran.fails(2, "w.toml:5:8: the step a has the unknown kind `train`; did you mean `training`?");
    assert!(ran.stderr.contains("w.toml:6:7:") && ran.stderr.contains("nothing was started"), "{ran}");
    let checked = Sandbox::empty();
    checked.write("w.toml", "[pipeline]\nname = \"w\"\n");
    let told = checked.run(["--json", "check", "w.toml"]);
    told.code(2);
    assert_eq!(told.json()["checks"][0]["line"], 1);
    for file in ["branch.toml", "grid.toml", "churn/churn.toml", "churn-python/churn.toml", "mixed/mixed.toml"] {
        let path = workspace().join("docs/examples/pipelines").join(file);
        checked.run(["check", path.to_str().unwrap()]).done();
    }
    sandbox.run(["run", "w.toml", "-p", "x=1"]).code(2);
    sandbox.run(["run", "none.toml"]).fails(2, "none.toml");
    assert_eq!(sandbox.column("runs", "run").len(), 0);
}

#[test]
fn secrets_of_steps_are_never_kept() {
    let sandbox = sandbox(&[]);
    let text = "[pipeline]\nname = \"s\"\n[secrets]\nenv = [\"TOKEN_X\"]\n\
        [[step]]\nid = \"a\"\nshell = \"echo v=\\\\\\\"$TOKEN_X\\\\\\\" > $LINEAGE_OUT; echo $TOKEN_X\"\n";
    sandbox.write("s.toml", text);
    let mut command = sandbox.command(["run", "s.toml"]);
    let ran = Ran::of(command.env("TOKEN_X", "canary-5-8-13-21"));
    ran.code(0);
    let found = lineage_tests::walk::files(&sandbox.store())
        .into_iter()
        .find(|path| fs::read(path).is_ok_and(|bytes| bytes.windows(16).any(|part| part == b"canary-5-8-13-21")));
    assert_eq!(found, None, "{ran}");
}

#[test]
fn a_killed_runner_leaves_a_pipeline_that_can_be_resumed() {
    let figures = lineage_tests::crash::pipelines::run(6, 20_261_121, &mut |_| {});
    assert!(figures.wrong.is_empty(), "{figures}");
}

#[test]
fn a_dry_run_says_what_would_run_and_why_says_it_afterwards() {
    let sandbox = sandbox(&[]);
    let text = |lr: &str| {
        format!(
            "[pipeline]\nname = \"w\"\n[params]\nlr = {lr}\n\
             [[step]]\nid = \"a\"\nshell = \"cat a.txt > a.out\"\ninputs = [\"a.txt\"]\noutputs = [\"a.out\"]\n\
             [[step]]\nid = \"b\"\nrun = [\"cp\", \"b.txt\", \"b.{{params.lr}}\"]\noutputs = [\"b.{{params.lr}}\"]\n\
             [[step]]\nid = \"c\"\nshell = \"cat a.out > c.out\"\ninputs = [\"a.out\"]\noutputs = [\"c.out\"]\n\
             [[step]]\nid = \"d\"\nneeds = [\"b\"]\nwhen = \"params.lr > 5\"\nrun = [\"true\"]\n"
        )
    };
    sandbox.write("a.txt", "1");
    sandbox.write("b.txt", "1");
    sandbox.write("w.toml", text("1"));
    let would = || {
        let told = sandbox.run(["--json", "run", "w.toml", "--dry-run"]).json();
        let steps = told["steps"].as_array().unwrap().clone().into_iter();
        let text = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
        steps.map(|step| format!("{}: {}: {}", text(&step, "step"), text(&step, "would"), text(&step, "why"))).collect()
    };
    let never: Vec<String> = would();
    assert_eq!(
        never,
        [
            "a: run: it has not run before",
            "b: run: it has not run before",
            "c: depend: on what a gives",
            "d: depend: on what b gives"
        ]
    );
    assert_eq!(sandbox.column("runs", "run").len(), 0, "nothing ran");
    let first = sandbox.run(["--json", "run", "w.toml"]);
    let run = ended(&first)["run"].as_str().unwrap().to_owned();
    fs::remove_file(sandbox.path().join("a.out")).unwrap();
    let same: Vec<String> = would();
    // What would be put back counts as being there.
    let reused = |step: &str| format!("{step}: be reused: as in {run}.{step}");
    assert_eq!(same, [reused("a"), reused("b"), reused("c"), "d: be skipped: not params.lr > 5".to_owned()]);
    assert!(!sandbox.path().join("a.out").exists());

    sandbox.write("a.txt", "2");
    sandbox.write("w.toml", text("2"));
    let other: Vec<String> = would();
    assert_eq!(other[0], "a: run: a.txt changed");
    assert_eq!(other[1], "b: run: argument 3 was \"b.1\" and is \"b.2\"");
    assert_eq!(other[2], "c: depend: on what a gives");
    sandbox.run(["run", "w.toml"]).done();
    assert!(sandbox.run(["why", "a"]).done().contains("a  complete: a.txt changed"));
    assert!(sandbox.run(["why", "d"]).done().contains("d  skipped: not params.lr > 5"));
    let told = sandbox.run(["--json", "why", &run, "b"]).json();
    assert_eq!(
        (&told["branches"][0]["why"], &told["branches"][0]["reused"]),
        (&"it has not run before".into(), &false.into())
    );
    sandbox.write("w.toml", text("1"));
    sandbox.run(["run", "w.toml"]).done();
    assert!(sandbox.run(["why", "b"]).done().contains(&format!("b  reused, as in {run}.b")));
    // A thing of that name comes first.
    sandbox.run(["add", "dataset", "a", "a.txt"]).done();
    assert!(sandbox.run(["why", "a"]).done().contains("dataset a@v1"));
    sandbox.run(["why", "nothing-of-that-name"]).fails(3, "nothing-of-that-name");
}

#[test]
fn a_role_counts_as_it_is_said_until_somebody_was_given_it() {
    let sandbox = sandbox(&[]);
    let text = "[pipeline]\nname = \"r\"\n[[step]]\nid = \"ship\"\napprove = { role = \"owner\" }\nrun = [\"true\"]\n";
    sandbox.write("r.toml", text);
    let run = || ended(&sandbox.run(["--json", "run", "r.toml"]))["run"].as_str().unwrap().to_owned();
    let resumed = |run: &str| sandbox.run(["--json", "resume", run]).code;
    let approve = |actor: &str, run: &str| {
        let mut command = Command::new(binary());
        command.args(["--actor", actor, "approve", run, "ship", "--role", "owner"]).current_dir(sandbox.path());
        Ran::of(&mut command)
    };
    let access = |action: &str, who: &str, scope: &str| {
        let args =
            format!("{{\"subject\":\"{who}\",\"action\":\"{action}\",\"role\":\"owner\",\"scope\":\"{scope}\"}}");
        sandbox.ingest(&format!("{{\"v\":1,\"kind\":\"access\",\"args\":{args}}}\n"));
    };
    let first = run();
    approve("eve", &first).done();
    assert_eq!(resumed(&first), 0, "nobody was ever given the role");

    let second = run();
    approve("eve", &second).done();
    access("grant", "ria", "elsewhere");
    let third = run();
    approve("eve", &third).done();
    access("grant", "ria", "default");
    // What was approved before counts by what was known of roles then.
    assert_eq!(resumed(&second), 0);
    let fourth = run();
    approve("eve", &fourth).fails(6, "eve does not have the role owner");
    assert_eq!(resumed(&fourth), 7);
    approve("ria", &fourth).done();
    assert_eq!(resumed(&fourth), 0);

    // Whoever lost it cannot approve any more, and an approval that was taken back does not count.
    let fifth = run();
    approve("ria", &fifth).done();
    let position = sandbox.run(["log", "--kind", "approve", "--json", "--limit", "1"]);
    let event: Value = serde_json::from_str(position.done().lines().last().unwrap()).unwrap();
    sandbox.run(["retract", &event["position"].to_string(), "--reason", "too early"]).done();
    assert_eq!(resumed(&fifth), 7);
    access("revoke", "ria", "default");
    approve("ria", &fifth).fails(6, "nobody has it");
}

/// A value that stands nowhere else.
fn canary(n: u32) -> String {
    format!("canary{n:02}x7Qw9Zk2Lp")
}

/// Ways in which a secret comes into a specification or its parameters; each is refused. `C` is the planted value.
const PLANTED: [(&str, &[&str]); 13] = [
    ("[params]\napi_token = \"C\"\n", &[]),
    ("[params]\ndb = \"postgres://ana:C@db/x\"\n", &[]),
    ("[params]\nurls = [\"https://h/x?token=C\"]\n", &[]),
    ("[params]\npassword = { type = \"string\" }\n", &["-p", "password=C"]),
    ("[params]\ndb = { type = \"string\" }\n", &["-p", "db=postgres://ana:C@db/x"]),
    ("[params]\nlist = { type = \"list\" }\n", &["-p", "list=[\"https://C-and-more-of-it@h/x\"]"]),
    ("[params]\nnote = { type = \"string\" }\n", &["-p", "note=Authorization: Bearer C"]),
    ("# password = \"C\"\n", &[]),
    ("[[step]]\nid = \"s\"\nshell = \"curl -H 'Authorization: Bearer C' https://h\"\n", &[]),
    ("[[step]]\nid = \"s\"\nrun = [\"mysql\", \"--password=C\"]\n", &[]),
    ("[[step]]\nid = \"s\"\nrun = [\"true\"]\nenv = { API_KEY = \"C\" }\n", &[]),
    ("[[step]]\nid = \"s\"\nrun = [\"git\", \"clone\", \"https://C@github.com/a/b\"]\n", &[]),
    ("[params]\ntext = { type = \"string\" }\n", &["-p", "text=private_key=C"]),
];

#[test]
fn planted_secrets_are_refused_or_masked_and_never_kept() {
    let sandbox = sandbox(&[]);
    for (n, (planted, arguments)) in (0..).zip(PLANTED) {
        let fill = |text: &str| text.replace('C', &canary(n));
        let step = if planted.contains("[[step]]") { "" } else { "[[step]]\nid = \"a\"\nrun = [\"true\"]\n" };
        sandbox.write("p.toml", format!("[pipeline]\nname = \"p\"\n{}{step}", fill(planted)));
        let mut all = vec!["run".to_owned(), "p.toml".to_owned()];
        all.extend(arguments.iter().map(|argument| fill(argument)));
        let ran = sandbox.run(&all);
        ran.fails(2, "[secrets]");
        assert!(!ran.stderr.contains(&canary(n)), "the message itself would be kept in logs: {ran}");
    }
    assert_eq!(sandbox.column("runs", "run").len(), 0);

    // What comes from the environment is masked, and refused where it would be kept as it is.
    let text = "[pipeline]\nname = \"e\"\n[params]\ntext = \"plain\"\n[secrets]\nenv = [\"PLAIN_NAME\"]\n\
        [[step]]\nid = \"a\"\noutputs = [\"out.txt\"]\nenv = { COPY_SECRET = \"{params.text}\" }\n\
        shell = \"echo v=\\\\\\\"$PLAIN_NAME\\\\\\\" > $LINEAGE_OUT; echo $PLAIN_NAME | tee out.txt; echo $PLAIN_NAME | base64 >&2; cat $LINEAGE_IN > in.txt\"\n\
        [[step]]\nid = \"b\"\nneeds = [\"a\"]\nforeach = \"a.list\"\nas = \"x\"\nrun = [\"echo\", \"{x}\", \"{a.v}\"]\n";
    let text =
        text.replace("cat $LINEAGE_IN", "echo list=[\\\\\\\"$PLAIN_NAME\\\\\\\"] >> $LINEAGE_OUT; cat $LINEAGE_IN");
    sandbox.write("e.toml", text);
    let secret = canary(20);
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        Ran::of(command.env("PLAIN_NAME", &secret))
    };
    run(&["run", "e.toml"]).done();
    run(&["run", "e.toml"]).done();
    run(&["resume"]).done();
    run(&["replay", &newest_pipeline(&sandbox)]);
    run(&["run", "e.toml", "-p", &format!("text={secret}")]).fails(6, "the value of PLAIN_NAME stands in");
    let found = lineage_tests::walk::files(&sandbox.store()).into_iter().find(|path| {
        let bytes = fs::read(path).unwrap_or_default();
        (0..=20).any(|n| bytes.windows(canary(n).len()).any(|part| part == canary(n).as_bytes()))
    });
    assert_eq!(found, None);
}

fn newest_pipeline(sandbox: &Sandbox) -> String {
    sandbox.run(["--json", "graph"]).json()["run"].as_str().unwrap().to_owned()
}

#[test]
fn what_the_pipeline_itself_writes_into_a_listed_folder_does_not_count() {
    let sandbox = sandbox(&[]);
    // As Python does when it imports: the folder is listed, and nothing of that is used.
    let text = "[pipeline]\nname = \"l\"\n\
        [[step]]\nid = \"a\"\nshell = \"ls > /dev/null; mkdir -p work; cat a.txt > a.out; echo x > work/x\"\ninputs = [\"a.txt\"]\noutputs = [\"a.out\", \"work/x\"]\n\
        [[step]]\nid = \"b\"\nshell = \"ls > /dev/null; cat a.out > b.out\"\ninputs = [\"a.out\"]\noutputs = [\"b.out\"]\n";
    sandbox.write("l.toml", text);
    sandbox.write("a.txt", "1");
    sandbox.run(["run", "l.toml"]).done();
    let run = || states(&ended(&sandbox.run(["--json", "run", "l.toml"])));
    assert_eq!(run(), ["a reused", "b reused"], "its own outputs are new in the folder");
    fs::remove_dir_all(sandbox.path().join("work")).unwrap();
    fs::remove_file(sandbox.path().join("a.out")).unwrap();
    let would = sandbox.run(["--json", "run", "l.toml", "--dry-run"]).json();
    assert_eq!((&would["steps"][0]["would"], &would["steps"][1]["would"]), (&"be reused".into(), &"be reused".into()));
    assert_eq!(run(), ["a reused", "b reused"], "and gone from it");
    assert!(sandbox.path().join("work/x").exists());
    sandbox.write("c.txt", "somebody else's");
    let other = ended(&sandbox.run(["--json", "run", "l.toml"]));
    assert_eq!(
        (states(&other), why(&other, "a")),
        (vec!["a complete".to_owned(), "b complete".to_owned()], "the files in . are others".to_owned())
    );
}

#[test]
fn steps_do_not_read_what_is_meant_for_others() {
    let sandbox = sandbox(&[]);
    sandbox.write(
        "i.toml",
        "[pipeline]\nname = \"i\"\n[[step]]\nid = \"a\"\nshell = \"cat > got.txt\"\noutputs = [\"got.txt\"]\n",
    );
    let ran = sandbox.run_with(["run", "i.toml"], b"typed by a person");
    ran.code(0);
    assert_eq!(fs::read_to_string(sandbox.path().join("got.txt")).unwrap(), "");
    sandbox.run_with(["run", "--", "sh", "-c", "cat > plain.txt"], b"typed").code(0);
    assert_eq!(fs::read_to_string(sandbox.path().join("plain.txt")).unwrap(), "typed");
}

#[test]
fn the_first_thing_that_differs_is_named_whatever_it_is() {
    let sandbox = sandbox(&[]);
    sandbox.write("bin/tool", "#!/bin/sh\necho one\n");
    let tool = sandbox.path().join("bin/tool");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&tool, executable).unwrap();
    let text = |kind: &str| {
        format!(
            "[pipeline]\nname = \"d\"\n[params]\nlr = 0.5\n[defaults]\nenv = [\"MODE\"]\n\
             [[step]]\nid = \"param\"\nshell = \"cat $LINEAGE_IN > p.txt\"\noutputs = [\"p.txt\"]\n\
             [[step]]\nid = \"variable\"\nshell = \"echo $MODE > v.txt\"\noutputs = [\"v.txt\"]\n\
             [[step]]\nid = \"kind\"\nkind = \"{kind}\"\nshell = \"cat bin/tool > k.txt\"\ninputs = [\"bin/tool\"]\noutputs = [\"k.txt\"]\n"
        )
    };
    sandbox.write("d.toml", text("transform"));
    let run = |mode: &str, arguments: &[&str]| {
        let mut command = sandbox.command([&["--json", "run", "d.toml"], arguments].concat());
        ended(&Ran::of(command.env("MODE", mode)))
    };
    run("a", &[]);
    let all_reused = run("a", &[]);
    assert!(states(&all_reused).iter().all(|state| state.ends_with("reused")), "{all_reused}");
    let other = run("a", &["-p", "lr=0.25"]);
    assert_eq!(why(&other, "param"), "LINEAGE_IN params lr was 0.5 and is 0.25");
    assert_eq!(states(&other)[1..], ["variable reused", "kind reused"]);
    assert_eq!(why(&run("b", &[]), "variable"), "variable MODE was \"a\" and is \"b\"");
    sandbox.write("d.toml", text("evaluation"));
    assert_eq!(why(&run("b", &[]), "kind"), "kind was \"transform\" and is \"evaluation\"");
    sandbox.write("bin/tool", "#!/bin/sh\necho two\n");
    assert_eq!(why(&run("b", &[]), "kind"), "bin/tool changed");
}

#[test]
fn runs_that_go_on_are_listed_with_their_steps() {
    let sandbox = sandbox(&[]);
    // The step waits until somebody reads what it writes.
    let fifo = sandbox.path().join("gate");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    sandbox.write("g.toml", "[pipeline]\nname = \"g\"\n[[step]]\nid = \"wait\"\nshell = \"echo in; echo on > gate\"\n");
    let mut child = sandbox
        .command(["run", "g.toml"])
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let running = || {
        let told = sandbox.run(["--json", "ps", "-n", "0"]).json();
        let jobs = told["running"].as_array().unwrap().iter().map(|run| run["job"].as_str().unwrap().to_owned());
        let mut jobs: Vec<String> = jobs.collect();
        jobs.sort();
        jobs
    };
    // It ends as soon as the step runs; a pipeline that never comes to it would be a bug that ends the loop, too.
    while running() != ["g", "g.wait"] {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
    }
    let whole = sandbox.run(["ps", "-n", "0", "--job", "g", "--quiet"]);
    assert!(whole.done().trim().starts_with("r-") && !whole.stdout.trim().contains('.'), "{whole}");
    sandbox.run(["run", "g.toml"]).fails(6, "runs already");
    assert_eq!(fs::read_to_string(&fifo).unwrap(), "on\n");
    assert!(child.wait().unwrap().success());
    assert_eq!(running(), Vec::<String>::new());
}
