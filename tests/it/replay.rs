//! `lineage replay`: what comes out the same, what does not, what is missing, and that nothing else is touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use lineage_tests::sandbox::{Ran, Sandbox};
use lineage_tests::{skipped, walk, workspace};
use serde_json::Value;

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    sandbox
}

/// Whether commands are observed here; without that the files of a run are those that it declares.
fn is_observed() -> bool {
    let observed = cfg!(target_os = "linux");
    if !observed {
        skipped("replays of observed runs: commands are observed on Linux only");
    }
    observed
}

/// The id of the run that ended last.
fn newest(sandbox: &Sandbox) -> String {
    sandbox.run(["ps", "--json"]).json()["ended"][0]["run"].as_str().unwrap().to_owned()
}

/// The verdict of each output: `model.txt same`.
fn verdicts(told: &Value) -> Vec<String> {
    let steps = told["steps"].as_array().unwrap().iter();
    let outputs = steps.flat_map(|step| step["outputs"].as_array().into_iter().flatten());
    outputs
        .map(|output| format!("{} {}", output["name"].as_str().unwrap(), output["verdict"].as_str().unwrap()))
        .collect()
}

/// The kinds and names of what is missing.
fn missing(ran: &Ran) -> Vec<String> {
    let told = ran.json();
    let gaps = told["steps"].as_array().unwrap().iter().flat_map(|step| step["missing"].as_array().unwrap().clone());
    gaps.map(|gap| format!("{} {}", gap["kind"].as_str().unwrap(), gap["name"].as_str().unwrap())).collect()
}

/// Every file of the folder beside the store, with its bytes.
fn files(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = walk::files(sandbox.path()).into_iter().filter(|path| !path.starts_with(sandbox.store()));
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_run_is_made_again_from_what_is_stored_and_the_folder_is_left_alone() {
    if !is_observed() {
        return;
    }
    let sandbox = sandbox();
    sandbox.write("raw.csv", "1\n2\n");
    sandbox.write("lib/more.sh", "wc -l < raw.csv > model.txt\n");
    sandbox.write("train.sh", ". lib/more.sh\ndate +%N > stamp.txt\necho made\n");
    sandbox.run(["run", "-i", "dataset:raw=raw.csv", "-o", "model:churn=model.txt", "--", "sh", "train.sh"]).done();
    let run = newest(&sandbox);
    // Everything that it read is other now, and what it wrote is gone.
    sandbox.write("raw.csv", "1\n2\n3\n4\n");
    fs::remove_file(sandbox.path().join("train.sh")).unwrap();
    fs::remove_file(sandbox.path().join("model.txt")).unwrap();
    let before = files(&sandbox);
    let versions = |kind: &str| (sandbox.column(kind, "name"), sandbox.column(kind, "version"));
    let (models, artifacts) = (versions("models"), versions("artifacts"));

    let ran = sandbox.run(["--json", "replay", &run]);
    ran.code(1);
    let told = ran.json();
    assert_eq!(verdicts(&told), ["model.txt same", "stamp.txt differs"], "{ran}");
    let stamp = &told["steps"][0]["outputs"][1];
    assert_ne!(stamp["recorded"]["digest"], stamp["replayed"]["digest"]);
    assert_eq!(stamp["recorded"]["size"], 10);
    assert_eq!(files(&sandbox), before, "the working folder is not touched");
    assert_eq!((versions("models"), versions("artifacts")), (models, artifacts), "no name stands for anything else");

    // It is told as an event of its own, about the run.
    assert_eq!(sandbox.column("evaluations where job = 'replay'", "outcome"), ["fail"]);
    let log = sandbox.run(["log", "--json", "--limit", "1"]);
    let event: Value = serde_json::from_str(log.done().lines().last().unwrap()).unwrap();
    assert_eq!(event["event"]["about"][0]["run"]["run"], run.as_str());
    assert_eq!(event["event"]["outputs"], Value::Null);
    assert_eq!(told["recorded"], event["position"], "{event}");
}

#[test]
fn what_is_missing_is_named_before_anything_starts() {
    if !is_observed() {
        return;
    }
    let sandbox = sandbox();
    let large = vec![b'x'; 2 << 20];
    sandbox.write("large.bin", &large);
    sandbox.write("small.txt", "1");
    sandbox.write("count.sh", "cat small.txt large.bin | wc -c > out.txt; touch ran\n");
    sandbox.run(["run", "--", "sh", "count.sh"]).done();
    let run = newest(&sandbox);
    fs::remove_file(sandbox.path().join("ran")).unwrap();
    // Inputs above the limit are not kept, but the file still has the bytes of then.
    let ran = sandbox.run(["--json", "replay", &run]);
    assert_eq!(verdicts(&ran.json()), ["out.txt same", "ran same"], "{ran}");
    assert!(!sandbox.path().join("ran").exists());

    sandbox.write("large.bin", "other");
    let code = fs::read(sandbox.path().join("count.sh")).unwrap();
    let digest = lineage_store::digest::Blake3::of(&code).hex();
    fs::remove_file(sandbox.store().join("artifacts").join(&digest[..2]).join(&digest[2..])).unwrap();
    sandbox.write("count.sh", "exit 3\n");
    let refused = sandbox.run(["--json", "replay", &run]);
    refused.code(6);
    assert_eq!(missing(&refused), ["code count.sh", "input large.bin"]);
    assert_eq!(sandbox.column("evaluations where job = 'replay'", "outcome"), ["pass"], "nothing was recorded");
    sandbox.run(["replay", &run]).fails(6, "cannot be made again");
    sandbox.run(["replay", "r-0000000000000000"]).fails(3, "no run has the id");
    sandbox.run(["replay", &run, "--dry-run"]).fails(6, "cannot be made again");
}

#[test]
fn a_script_that_nobody_saw_being_read_is_looked_for_before_anything_starts() {
    let sandbox = sandbox();
    sandbox.write("raw.txt", "b\na\n");
    sandbox.write("sort.sh", "sort raw.txt > out.txt\n");
    let declared = ["run", "--capture", "declared", "-i", "raw.txt", "-o", "out.txt", "--", "sh", "sort.sh"];
    sandbox.run(declared).done();
    let run = newest(&sandbox);
    // It is still as it was then.
    assert_eq!(verdicts(&sandbox.run(["--json", "replay", &run]).json()), ["out.txt same"]);
    sandbox.run(["add", "artifact", "kept", "sort.sh"]).done();
    sandbox.write("sort.sh", "exit 3\n");
    // The store has its bytes.
    assert_eq!(verdicts(&sandbox.run(["--json", "replay", &run]).json()), ["out.txt same"]);
    let code = lineage_store::digest::Blake3::of(b"sort raw.txt > out.txt\n").hex();
    fs::remove_file(sandbox.store().join("artifacts").join(&code[..2]).join(&code[2..])).unwrap();
    let refused = sandbox.run(["--json", "replay", &run]);
    refused.code(6);
    assert_eq!(missing(&refused), ["code sort.sh"]);
}

#[test]
fn latest_is_explained_where_no_pipeline_ran() {
    let sandbox = sandbox();
    sandbox.run(["run", "--", "true"]).done();
    sandbox.run(["replay"]).fails(3, "latest is the newest run of a pipeline, and no pipeline has run yet");
    let successful =
        "latest-successful:p is the newest run of a pipeline that completed, and no pipeline p has completed yet";
    sandbox.run(["replay", "latest-successful:p"]).fails(3, successful);
    assert!(sandbox.run(["replay", "latest"]).stderr.contains("lineage ps"));
}

#[test]
fn a_pipeline_is_made_again_step_by_step_and_its_deployment_is_not() {
    if !is_observed() {
        return;
    }
    let sandbox = sandbox();
    for file in ["make_raw.sh", "prepare.sh", "train.sh", "evaluate.sh", "audit.sh", "deploy.sh"] {
        sandbox.write(file, fs::read(workspace().join("docs/examples/churn").join(file)).unwrap());
    }
    sandbox.write("churn.toml", fs::read(workspace().join("docs/examples/pipelines/churn/churn.toml")).unwrap());
    let first = sandbox.run(["--json", "run", "churn.toml"]);
    first.code(7);
    let run = newest(&sandbox).split('.').next().unwrap().to_owned();
    sandbox.run(["approve", &run, "deploy", "--role", "owner"]).done();
    sandbox.run(["resume", &run]).done();
    let resumed = sandbox.run(["graph", "--json"]).json()["run"].as_str().unwrap().to_owned();
    fs::remove_dir_all(sandbox.path().join("work")).unwrap();
    fs::remove_dir_all(sandbox.path().join("fit")).unwrap();
    let live = fs::metadata(sandbox.path().join("live/model.txt")).unwrap().modified().unwrap();

    // All but the deployment were reused, and are made again from the run that made them.
    let ran = sandbox.run(["--json", "replay", &resumed]);
    ran.code(0);
    let told = ran.json();
    assert!(verdicts(&told).iter().all(|verdict| verdict.ends_with(" same")), "{ran}");
    assert!(verdicts(&told).contains(&"best same".to_owned()), "values are compared, too: {ran}");
    let steps = told["steps"].as_array().unwrap();
    let step = |name: &str| steps.iter().find(|step| step["run"] == format!("{resumed}.{name}").as_str()).unwrap();
    assert_eq!((&step("deploy")["replayed"], &step("deploy")["missing"][0]["kind"]), (&false.into(), &"effect".into()));
    assert_eq!(step("train.1")["made_by"], format!("{run}.train.1").as_str());
    assert_eq!(fs::metadata(sandbox.path().join("live/model.txt")).unwrap().modified().unwrap(), live);
    assert!(!sandbox.path().join("work").exists() && !sandbox.path().join("fit").exists());
    assert_eq!(sandbox.column("evaluations where job = 'replay'", "outcome"), ["pass"]);

    // One step in one branch, and nothing but the deployment.
    let one = sandbox.run(["--json", "replay", &format!("{resumed}.train.2")]);
    assert_eq!(verdicts(&one.json()), ["fit/2.json same", "fit/model-2.txt same"], "{one}");
    sandbox.run(["replay", &format!("{resumed}.deploy")]).fails(6, "take effect once more");
}

#[test]
fn a_command_that_fails_otherwise_or_writes_otherwise_is_told() {
    if !is_observed() {
        return;
    }
    let sandbox = sandbox();
    let text = "test -e flag && echo more > extra.txt\ncat a.txt > out.txt; echo v > gone.txt";
    sandbox.write("a.txt", "1");
    sandbox.write("work.sh", text);
    sandbox.run(["run", "--", "sh", "work.sh"]).done();
    let run = newest(&sandbox);
    let keep = sandbox.path().join("again");
    let ran = sandbox.run(["replay", &run, "--keep", keep.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(keep.join("run/files/out.txt")).unwrap(), "1", "{ran}");
    ran.code(0);
    sandbox.run(["replay", &run, "--keep", keep.to_str().unwrap()]).fails(6, "again");

    // What depends on the environment comes out otherwise, with the reason.
    let mut other =
        sandbox.command(["--json", "run", "--", "sh", "-c", "[ -n \"$GIVEN\" ] || exit 4; echo $GIVEN > given.txt"]);
    Ran::of(other.env("GIVEN", "here")).code(0);
    let ran = sandbox.run(["--json", "replay", &newest(&sandbox)]);
    ran.code(1);
    assert_eq!(verdicts(&ran.json()), ["given.txt missing"]);
    assert_eq!(ran.json()["steps"][0]["exit_codes"], serde_json::json!({ "recorded": 0, "replayed": 4 }));
}

#[test]
fn a_command_that_names_its_folder_gets_that_of_the_copy() {
    if !is_observed() {
        return;
    }
    let sandbox = sandbox();
    let root = sandbox.path().canonicalize().unwrap();
    sandbox.write("in.txt", "1");
    let (from, to) = (root.join("in.txt").display().to_string(), root.join("out/o.txt").display().to_string());
    fs::create_dir(root.join("out")).unwrap();
    sandbox.run(["run", "--", "cp", &from, &to]).done();
    let run = newest(&sandbox);
    fs::remove_dir_all(root.join("out")).unwrap();
    let ran = sandbox.run(["--json", "replay", &run]);
    ran.code(0);
    assert_eq!(verdicts(&ran.json()), ["out/o.txt same"], "{ran}");
    assert!(!root.join("out").exists(), "it wrote into the copy");

    // A file outside of the folder would be overwritten.
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("far.txt");
    sandbox.run(["run", "--", "cp", "in.txt", target.to_str().unwrap()]).done();
    let ran = sandbox.run(["--json", "replay", &newest(&sandbox)]);
    ran.code(6);
    assert!(missing(&ran)[0].starts_with("output /"), "{ran}");
}

#[test]
fn the_document_of_a_step_is_made_again() {
    if !is_observed() {
        return;
    }
    let sandbox = sandbox();
    let text = "[pipeline]\nname = \"d\"\n[params]\nlr = 1.0\nn = [1, 2.5]\n\
        [[step]]\nid = \"a\"\nshell = \"echo x=1.0 > $LINEAGE_OUT\"\n\
        [[step]]\nid = \"b\"\nneeds = [\"a\"]\nforeach = \"params.n\"\nas = \"n\"\nenv = { SEED = \"s{n}\" }\n\
        shell = \"cat $LINEAGE_IN > in-{index}.json; echo y={n} > $LINEAGE_OUT; echo $SEED > seed-{index}\"\n\
        outputs = [\"in-{index}.json\", \"seed-{index}\"]\n\
        [[step]]\nid = \"c\"\njoin = \"b\"\nshell = \"cat $LINEAGE_IN > all.json\"\noutputs = [\"all.json\"]\n";
    sandbox.write("d.toml", text);
    sandbox.run(["run", "d.toml"]).done();
    let run = sandbox.run(["graph", "--json"]).json()["run"].as_str().unwrap().to_owned();
    let ran = sandbox.run(["--json", "replay", &run]);
    ran.code(0);
    assert_eq!(verdicts(&ran.json()).len(), 8, "{ran}");
}

#[test]
fn a_script_that_names_the_folder_of_then_cannot_write_there() {
    if !is_observed() {
        return;
    }
    let sandbox = sandbox();
    let root = sandbox.path().canonicalize().unwrap();
    sandbox.write(
        "far.sh",
        format!("echo near > near.txt; cd {0}; echo now > {0}/far.txt; mkdir -p {0}/made\n", root.display()),
    );
    sandbox.run(["run", "--", "sh", "far.sh"]).done();
    sandbox.write("far.txt", "left alone");
    fs::remove_dir(root.join("made")).unwrap();
    let before = files(&sandbox);
    let ran = sandbox.run(["--json", "replay", &newest(&sandbox)]);
    ran.code(1);
    let told = ran.json();
    let notes = told["steps"][0]["notes"].to_string();
    if notes.contains("cannot keep it from writing") {
        return skipped("the fence around replays: this kernel has no Landlock");
    }
    assert_eq!(verdicts(&told), ["far.txt missing", "near.txt same"], "{ran}");
    assert!(notes.contains("Permission denied"), "{ran}");
    assert_eq!(files(&sandbox), before);
    assert!(!root.join("made").exists());
}
