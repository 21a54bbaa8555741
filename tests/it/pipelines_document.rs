//! The examples of PIPELINES.md and the pipelines beside it, run: each says and does what the documents show.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lineage_ingest::pipeline::{Capacity, Plan, Spec};
use lineage_tests::document;
use lineage_tests::sandbox::{Ran, Sandbox};
use lineage_tests::{skipped, walk, workspace};
use serde_json::Value;

/// A sandbox with the files of `docs/examples/pipelines`, and the scripts of the churn example.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let examples = workspace().join("docs/examples");
    let pipelines = examples.join("pipelines");
    for file in walk::files(&pipelines) {
        sandbox.write(file.strip_prefix(&pipelines).unwrap().to_str().unwrap(), fs::read(&file).unwrap());
    }
    for file in walk::files(&examples.join("churn")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if file.extension().is_some_and(|ending| ending == "sh") {
            sandbox.write(&format!("churn/{name}"), fs::read(&file).unwrap());
        }
    }
    sandbox
}

#[test]
fn the_document_says_what_happens() {
    if !cfg!(target_os = "linux") {
        return skipped("the examples of PIPELINES.md: commands are observed on Linux only");
    }
    let sandbox = sandbox();
    let (wrong, n) = document::run("docs/PIPELINES.md", sandbox.path());
    assert!(n > 10, "the examples are not found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_specification_in_the_document_is_valid() {
    const ANY: Capacity = Capacity { cpu: u64::MAX, memory: u64::MAX, gpu: u64::MAX };
    let blocks = document::blocks("docs/PIPELINES.md", "toml");
    assert!(blocks.len() > 4, "the specifications are not found");
    for (line, text) in blocks {
        // A block may leave out what every pipeline has.
        let text = if text.contains("[pipeline]") { text } else { format!("[pipeline]\nname = \"p\"\n{text}") };
        let spec = Spec::parse(&text).unwrap_or_else(|problems| panic!("line {line}: {problems:?}\n{text}"));
        Plan::new(&spec, &ANY).unwrap_or_else(|problems| panic!("line {line}: {problems:?}\n{text}"));
    }
}

/// The folder of a Python that has modules; `None`, said loudly, where there is none.
fn python_with(modules: &str) -> Option<PathBuf> {
    let named = std::env::var("LINEAGE_TEST_PYTHON").ok();
    let program = named.unwrap_or_else(|| "python3".to_owned());
    let code = format!("import {modules}, sys; print(sys.executable)");
    let output = Command::new(&program).args(["-c", &code]).output().ok();
    let path = output.filter(|output| output.status.success()).map(|output| output.stdout);
    let path = path.and_then(|path| Some(PathBuf::from(String::from_utf8(path).ok()?.trim())));
    let folder = path.filter(|path| path.ends_with("python3") || path.with_file_name("python3").exists());
    if folder.is_none() {
        skipped(&format!("pipelines in Python with {modules}: name one by LINEAGE_TEST_PYTHON"));
    }
    folder?.parent().map(PathBuf::from)
}

/// Runs a pipeline with a Python before all others.
fn run(sandbox: &Sandbox, python: &Path, arguments: &[&str]) -> Value {
    let path = format!("{}:{}", python.display(), std::env::var("PATH").unwrap());
    let mut command = sandbox.command([&["--json"], arguments].concat());
    let ran = Ran::of(command.env("PATH", path));
    ran.code(0);
    let last = ran.stdout.lines().last().unwrap_or_else(|| panic!("{ran}")).to_owned();
    serde_json::from_str(&last).unwrap_or_else(|error| panic!("{error}: {ran}"))
}

fn reused(ended: &Value) -> usize {
    ended["steps"].as_array().unwrap().iter().filter(|row| row["cached"] == true).count()
}

#[test]
fn the_pipeline_in_python_runs_and_is_reused_and_made_again() {
    let Some(python) = python_with("pandas, sklearn, joblib") else { return };
    let mut sandbox = sandbox();
    sandbox.at_real_time();
    let file = "churn-python/churn.toml";
    let first = run(&sandbox, &python, &["run", file]);
    assert_eq!((first["state"].as_str(), reused(&first)), (Some("complete"), 0));
    assert_eq!(sandbox.names("models trained on dataset telco-train"), ["telco"]);
    assert_eq!(
        sandbox.column("evaluations about model telco where accuracy > 0.5 show job", "job"),
        ["churn-python.evaluate"]
    );
    fs::remove_dir_all(sandbox.path().join("churn-python/work")).unwrap();
    assert_eq!(reused(&run(&sandbox, &python, &["run", file])), 3);
    assert!(sandbox.path().join("churn-python/work/model.joblib").exists());
    // More trees are another model, from the same data.
    let third = run(&sandbox, &python, &["run", file, "-p", "trees=10"]);
    assert_eq!(reused(&third), 1, "{third}");
    let again = run(&sandbox, &python, &["replay", "latest"]);
    let step = |name: &str| {
        let steps = again["steps"].as_array().unwrap();
        steps.iter().find(|step| step["run"].as_str().unwrap().ends_with(name)).unwrap().clone()
    };
    assert_eq!(step(".train")["outputs"][0]["verdict"], "same", "a forest with a seed is the same forest: {again}");
    assert_eq!(step(".prepare")["differences"], serde_json::json!([]));
}

#[test]
fn the_pipeline_in_three_languages_runs() {
    let Some(python) = python_with("json") else { return };
    let mut sandbox = sandbox();
    sandbox.at_real_time();
    let ended = run(&sandbox, &python, &["run", "mixed/mixed.toml", "-p", "count=100"]);
    assert_eq!(ended["values"]["sum"], 5050);
    assert_eq!(fs::read_to_string(sandbox.path().join("mixed/work/page.md")).unwrap(), "The sum is 5050.\n");
    assert_eq!(reused(&run(&sandbox, &python, &["run", "mixed/mixed.toml", "-p", "count=100"])), 3);
}

#[test]
fn the_latest_run_is_told_by_pipeline_namespace_and_tag() {
    let sandbox = {
        let mut sandbox = sandbox();
        sandbox.at_real_time();
        sandbox
    };
    let text = |name: &str| {
        format!("[pipeline]\nname = \"{name}\"\n[params]\nok = true\n[[step]]\nid = \"s\"\nrun = [\"{{params.ok}}\"]\n")
    };
    sandbox.write("a.toml", text("a"));
    sandbox.write("b.toml", text("b"));
    let run = |arguments: &[&str]| {
        let ran = sandbox.run([&["--json", "run"], arguments].concat());
        let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
        last["run"].as_str().unwrap().to_owned()
    };
    let first = run(&["a.toml", "--tag", "exp-1"]);
    let second = run(&["a.toml", "--namespace", "team"]);
    let third = run(&["a.toml", "--tag", "exp-2", "-p", "ok=false"]);
    let other = run(&["b.toml"]);
    let ps =
        |arguments: &[&str]| sandbox.run([&["ps", "-n", "1", "--quiet"], arguments].concat()).done().trim().to_owned();
    assert_eq!(ps(&["--job", "a"]), third);
    assert_eq!(ps(&["--job", "a", "--state", "complete"]), second);
    assert_eq!(ps(&["--job", "a", "--state", "complete", "--namespace", "default"]), first);
    assert_eq!(ps(&["--tag", "exp-1", "--job", "a"]), first);
    assert_eq!(ps(&["--job", "none"]), "");
    let graph = |which: &str| sandbox.run(["--json", "graph", which]).json()["run"].as_str().unwrap().to_owned();
    assert_eq!((graph("latest"), graph("latest:a"), graph("latest-successful:a")), (other, third, second));
    sandbox
        .run(["graph", "latest:none"])
        .fails(3, "latest:none is the newest run of a pipeline, and no pipeline none has run yet");
}
