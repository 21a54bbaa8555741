//! Capture from outside: unmodified scripts, recorded with exactly what they read and wrote.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use lineage_store::digest::Blake3;
use lineage_tests::sandbox::{Ran, Sandbox};
use lineage_tests::{skipped, told};
use serde_json::{Value, json};

/// What a script in Python reads and writes: fifty tables, a hundred files, each by a temporary name.
const PLAIN: &str = r#"
import csv, glob, json, os, tempfile

def save(path, data):
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
    os.replace(temporary, path)

os.makedirs("out", exist_ok=True)
total = 0
for i, path in enumerate(sorted(glob.glob("data/*.csv"))):
    with open(path, newline="") as table:
        rows = list(csv.DictReader(table))
    total += sum(float(row["a"]) for row in rows)
    save("out/rows-%02d.csv" % i, "\n".join(",".join(row.values()) for row in rows).encode())
    if i:
        save("out/stat-%02d.json" % i, json.dumps({"n": len(rows), "i": i}).encode())
save("out/model.pkl", ("total %r" % total).encode())
"#;

/// The same with the libraries that people use.
const SCIENCE: &str = r#"
import glob, os, pickle, tempfile
import pandas as pd
from sklearn.linear_model import LogisticRegression

def save(path, data):
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
    os.replace(temporary, path)

os.makedirs("out", exist_ok=True)
frames = [pd.read_csv(path) for path in sorted(glob.glob("data/*.csv"))]
together = pd.concat(frames)
model = LogisticRegression().fit(together[["a", "b"]], together["y"])
for i, frame in enumerate(frames):
    save("out/rows-%02d.csv" % i, frame.assign(p=model.predict(frame[["a", "b"]])).to_csv(index=False).encode())
    if i:
        save("out/stat-%02d.json" % i, frame.describe().to_json().encode())
save("out/model.pkl", pickle.dumps(model))
"#;

/// A Python that can import these modules; `None`, said loudly, if there is none.
fn python(modules: &str) -> Option<String> {
    let named = std::env::var("LINEAGE_TEST_PYTHON").ok();
    let found = named.iter().map(String::as_str).chain(["python3"]).find(|python| {
        let mut command = Command::new(python);
        command.args(["-c", &format!("import {modules}")]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    });
    if found.is_none() {
        skipped(&format!("python with {modules}: name one by LINEAGE_TEST_PYTHON"));
    }
    found.map(str::to_owned)
}

/// The events of a job, oldest first.
fn events(sandbox: &Sandbox, job: &str) -> Vec<Value> {
    let log = sandbox.run(["log", "--limit", "0", "--json"]);
    let events = log.done().lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["event"].take());
    events.filter(|event| event["job"] == job).collect()
}

fn last(sandbox: &Sandbox, job: &str) -> Value {
    events(sandbox, job).pop().expect("an event")
}

/// The digests of the references of a role (outputs: `None`), by name, over all events of a job.
fn named(sandbox: &Sandbox, job: &str, list: &str, role: Option<&str>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for event in events(sandbox, job) {
        for reference in event[list].as_array().into_iter().flatten() {
            if role.is_none_or(|role| reference["role"].as_str().unwrap_or("data") == role) {
                let text = |key: &str| reference[key].as_str().unwrap_or_default().to_owned();
                assert!(found.insert(text("name"), text("digest")).is_none(), "{} twice", text("name"));
            }
        }
    }
    found
}

/// The files of a folder with their digests, hashed here.
fn on_disk(sandbox: &Sandbox, folder: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(sandbox.path().join(folder)).expect("a folder");
    entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = format!("{folder}/{}", path.file_name().expect("a name").to_string_lossy());
            (name, Blake3::of(&fs::read(&path).expect("a file")).to_string())
        })
        .collect()
}

/// A folder of fifty tables, and a script that is run.
fn training(python: &str, script: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for i in 0..50 {
        let mut table = "a,b,y\n".to_owned();
        for row in 0..40 {
            writeln!(table, "{}.{i},{},{}", row % 7, row * i % 11, (row + i) % 2).expect("text");
        }
        sandbox.write(&format!("data/part-{i:02}.csv"), table);
    }
    sandbox.write("train.py", script);
    sandbox.run(["run", "--", python, "train.py"]).done();
    sandbox
}

fn is_exact(sandbox: &Sandbox) {
    assert_eq!(named(sandbox, "train.py", "inputs", Some("data")), on_disk(sandbox, "data"));
    let script = Blake3::of(&fs::read(sandbox.path().join("train.py")).expect("the script")).to_string();
    let code = named(sandbox, "train.py", "inputs", Some("code"));
    assert_eq!(code, BTreeMap::from([("train.py".to_owned(), script)]));
    let outputs = named(sandbox, "train.py", "outputs", None);
    assert_eq!((outputs.len(), &outputs), (100, &on_disk(sandbox, "out")));
    let end = last(sandbox, "train.py");
    assert_eq!((&end["kind"], &end["evidence"]), (&json!("training"), &json!("observed")));
    let capture = &end["facets"]["capture"];
    assert_eq!(capture["completeness"], "complete", "{capture}");
    assert_eq!((&capture["holes"], &capture["temps"]), (&json!([]), &json!(100)), "{capture}");
    assert!(capture["rules"].as_str().is_some_and(|hash| hash.starts_with("b3:")));
    // What is asked of it is answered from it.
    assert_eq!(sandbox.names("models trained on dataset 'data/part-17.csv'"), ["out/model.pkl"]);
    assert_eq!(sandbox.names("datasets upstream of model 'out/model.pkl'").len(), 50);
    assert_eq!(sandbox.names("runs where completeness = 'complete' and evidence = 'observed'"), ["train.py"]);
}

#[test]
fn a_plain_script_is_recorded_exactly() {
    let Some(python) = python("csv, json, tempfile") else { return };
    let sandbox = training(&python, PLAIN);
    is_exact(&sandbox);
    // Run again, nothing changes: the same names, the same versions.
    sandbox.run(["run", "--name", "again", "--", &python, "train.py"]).done();
    assert_eq!(named(&sandbox, "again", "inputs", Some("data")), on_disk(&sandbox, "data"));
    assert_eq!(sandbox.column("model 'out/model.pkl'", "version"), ["v1"]);
}

#[test]
fn pandas_and_scikit_learn_are_recorded_exactly() {
    let Some(python) = python("pandas, sklearn") else { return };
    let sandbox = training(&python, SCIENCE);
    is_exact(&sandbox);
    let packages = &last(&sandbox, "train.py")["software"]["packages"];
    for name in ["pandas", "numpy", "scikit_learn"] {
        assert!(packages[name].is_string(), "{packages}");
    }
    assert!(packages["pip"].is_null(), "it is installed, but nobody opened it");
}

#[test]
fn files_that_are_standard_streams_are_recorded() {
    let sandbox = Sandbox::new();
    sandbox.write("in.csv", "b\na\n");
    let redirected = |arguments: &[&str], output: &str| {
        let [input, output] = [sandbox.path().join("in.csv"), sandbox.path().join(output)];
        let mut command = sandbox.command(arguments);
        command.stdin(File::open(input).unwrap()).stdout(File::create(output).unwrap());
        assert!(command.stderr(Stdio::null()).status().unwrap().success());
    };
    redirected(&["run", "--name", "sort", "--", "sort"], "out.csv");
    let only = |name: &str, text: &str| BTreeMap::from([(name.to_owned(), Blake3::of(text.as_bytes()).to_string())]);
    assert_eq!(named(&sandbox, "sort", "inputs", Some("data")), only("in.csv", "b\na\n"));
    assert_eq!(named(&sandbox, "sort", "outputs", None), only("out.csv", "a\nb\n"));
    let process = last(&sandbox, "sort")["facets"]["process"].clone();
    assert_eq!((&process["stdin"], &process["stdout"]), (&json!("in.csv"), &json!("out.csv")));
    // Without bytes it is an output as well, and with `--no-logs` nothing passes through us.
    redirected(&["run", "--no-logs", "--name", "none", "--", "true"], "none.csv");
    assert_eq!(named(&sandbox, "none", "outputs", None), only("none.csv", ""));
    // What is both streams is a log.
    let log = File::create(sandbox.path().join("all.log")).unwrap();
    let mut command = sandbox.command(["run", "--name", "log", "--", "echo", "x"]);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    assert!(command.status().unwrap().success());
    assert!(named(&sandbox, "log", "outputs", None).is_empty());
    // It is made again with the same streams.
    let run = last(&sandbox, "sort")["run"].as_str().unwrap().to_owned();
    sandbox.write("in.csv", "other\n");
    let told = sandbox.run(["--json", "replay", &run]).json();
    assert_eq!(told["steps"][0]["outputs"][0]["verdict"], "same", "{told}");
}

#[test]
fn what_was_declared_keeps_its_name_and_is_told_once() {
    let sandbox = Sandbox::new();
    sandbox.write("raw.csv", "a,b\n1,2\n");
    sandbox.write("more.csv", "a,b\n3,4\n");
    let script = "cat raw.csv more.csv > clean.csv; cp clean.csv extra.csv";
    let declared = ["-i", "dataset:raw=raw.csv", "-o", "dataset:clean=clean.csv"];
    sandbox.run(["run", "--name", "j"].iter().chain(&declared).chain(&["--", "sh", "-c", script])).done();
    let names = |list| named(&sandbox, "j", list, None).into_keys().collect::<Vec<_>>();
    let inputs: Vec<_> =
        last(&sandbox, "j")["inputs"].as_array().expect("inputs").iter().map(|i| i["name"].clone()).collect();
    assert_eq!(inputs, [json!("raw"), json!("more.csv")]);
    assert_eq!(names("outputs"), ["clean", "extra.csv"]);
}

#[test]
fn the_bytes_before_a_rewrite_are_the_input() {
    let sandbox = Sandbox::new();
    sandbox.write("state.json", "{\"n\":1}");
    sandbox.run(["run", "--name", "j", "--", "sh", "-c", "cat state.json; echo '{\"n\":2}' > state.json"]).done();
    let digest = |bytes: &[u8]| BTreeMap::from([("state.json".to_owned(), Blake3::of(bytes).to_string())]);
    assert_eq!(named(&sandbox, "j", "inputs", None), digest(b"{\"n\":1}"));
    assert_eq!(named(&sandbox, "j", "outputs", None), digest(b"{\"n\":2}\n"));
}

#[test]
fn modes_say_what_they_saw() {
    let sandbox = Sandbox::new();
    sandbox.write("in.csv", "a\n");
    for (mode, completeness, mechanism, n) in [
        ("auto", "complete", "seccomp", 1),
        ("require", "complete", "seccomp", 1),
        ("declared", "declared", "declared", 0),
        ("off", "none", "off", 0),
    ] {
        sandbox.run(["run", "--name", mode, "--capture", mode, "--", "cat", "in.csv"]).done();
        let capture = last(&sandbox, mode)["facets"]["capture"].take();
        assert_eq!((&capture["completeness"], &capture["mechanism"]), (&json!(completeness), &json!(mechanism)));
        assert_eq!(named(&sandbox, mode, "inputs", None).len(), n, "{mode}");
        let found = sandbox.names(&format!("runs where completeness = '{completeness}' and job = '{mode}'"));
        assert_eq!(found, [mode]);
    }
    sandbox.run(["run", "--capture", "enforce", "--", "true"]).fails(2, "the modes are auto, require");
    sandbox.run(["run", "--capture", "require", "--detach", "--", "true"]).fails(125, "outlives");
}

#[test]
fn a_run_inside_a_run_joins_it() {
    let sandbox = Sandbox::new();
    sandbox.write("in.csv", "a,b\n1,2\n");
    let lineage = lineage_tests::sandbox::binary().display().to_string();
    let inner = format!("{lineage} run --name inner -i in.csv -o mid.csv -- cp in.csv mid.csv && cp mid.csv out.csv");
    let ran = sandbox.run(["run", "--name", "outer", "--", "sh", "-c", &inner]);
    ran.done();
    let outer = last(&sandbox, "outer");
    let inner = last(&sandbox, "inner");
    assert_eq!((&inner["parent"]["job"], &inner["parent"]["run"]), (&json!("outer"), &outer["run"]));
    assert_eq!(inner["facets"]["capture"]["completeness"], "declared");
    assert_eq!(outer["facets"]["capture"]["completeness"], "complete", "{}", outer["facets"]["capture"]);
    assert_eq!(named(&sandbox, "outer", "inputs", Some("data")).into_keys().collect::<Vec<_>>(), ["in.csv"]);
    assert_eq!(named(&sandbox, "outer", "outputs", None).into_keys().collect::<Vec<_>>(), ["mid.csv", "out.csv"]);
    let require = format!("{lineage} run --capture require -- true");
    sandbox.run(["run", "--", "sh", "-c", &require]).fails(125, "only one can");
}

#[test]
fn names_that_are_no_text_are_written_in_hex() {
    let sandbox = Sandbox::new();
    let strange = sandbox.path().join(std::ffi::OsStr::from_bytes(b"a\xff\n.csv"));
    fs::write(strange, "a\n").expect("a file");
    sandbox.run(["run", "--name", "j", "--", "sh", "-c", "cat a*.csv > out.csv"]).done();
    assert_eq!(named(&sandbox, "j", "inputs", None).into_keys().collect::<Vec<_>>(), ["a%FF%0A.csv"]);
}

#[test]
fn very_many_files_of_a_folder_are_one_input() {
    let sandbox = Sandbox::new();
    for i in 0..1001 {
        sandbox.write(&format!("images/{i}.png"), format!("image {i}"));
    }
    sandbox.run(["run", "--name", "j", "--", "sh", "-c", "cat images/* > all.bin"]).done();
    let inputs = named(&sandbox, "j", "inputs", None);
    assert_eq!(inputs.keys().collect::<Vec<_>>(), ["images"]);
}

/// The size of runner.md: `cargo test --release -p lineage-tests --test it a_million_files -- --ignored`.
#[test]
#[ignore = "it makes a million files, which takes minutes"]
fn a_million_files_of_a_folder_are_one_input() {
    const FILES: u32 = 1_000_000;
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path().join("d")).unwrap();
    for i in 0..FILES {
        fs::write(sandbox.path().join(format!("d/{i}")), i.to_le_bytes()).unwrap();
    }
    let run = |name: &str, arguments: &[&str]| {
        let began = std::time::Instant::now();
        let ran = sandbox.run(["run", "--name", name].iter().chain(arguments));
        told(&format!("a folder of {FILES} files, {name}: {:.1} s", began.elapsed().as_secs_f64()));
        ran.done().trim().to_owned()
    };
    assert_eq!(run("listed", &["--", "sh", "-c", "ls d | wc -l"]), FILES.to_string());
    run("declared", &["-i", "dataset:many=d", "--", "true"]);
    let inputs = last(&sandbox, "declared")["inputs"].take();
    assert_eq!((inputs.as_array().map(Vec::len), &inputs[0]["name"]), (Some(1), &json!("many")));
    assert!(named(&sandbox, "listed", "inputs", None).is_empty());
}

#[test]
fn roles_are_settings() {
    let sandbox = Sandbox::new();
    for name in ["data/a.csv", "scratch/b.csv", "params.yaml"] {
        sandbox.write(name, "a\n");
    }
    let run =
        |job: &str| sandbox.run(["run", "--name", job, "--", "cat", "data/a.csv", "scratch/b.csv", "params.yaml"]);
    run("before").done();
    assert_eq!(named(&sandbox, "before", "inputs", Some("data")).len(), 2);
    assert_eq!(named(&sandbox, "before", "inputs", Some("config")).into_keys().collect::<Vec<_>>(), ["params.yaml"]);
    sandbox.run(["config", "set", "run.roles", "volatile **/scratch/**"]).done();
    run("after").done();
    assert_eq!(named(&sandbox, "after", "inputs", Some("data")).into_keys().collect::<Vec<_>>(), ["data/a.csv"]);
    let rules = |job| last(&sandbox, job)["facets"]["capture"]["rules"].clone();
    assert_ne!(rules("before"), rules("after"));
    sandbox.run(["config", "set", "run.roles", "odd **/x"]).done();
    run("wrong").fails(125, "no known role");
}

#[test]
fn secrets_in_addresses_and_arguments_of_programs_stay_out() {
    let Some(python) = python("urllib.request") else { return };
    let sandbox = Sandbox::new();
    sandbox.write(
        "fetch.py",
        "import urllib.request\ntry:\n urllib.request.urlopen('http://ana:hunter2@127.0.0.1:1/x.csv?sig=hunter2')\nexcept OSError: pass\n",
    );
    let mut command =
        sandbox.command(["run", "--name", "j", "--", "sh", "-c", "true --token hunter2; $0 fetch.py", &python]);
    Ran::of(command.env("API_TOKEN", "hunter2")).done();
    let capture = last(&sandbox, "j")["facets"]["capture"].take();
    assert_eq!(capture["external"], json!([{ "kind": "url", "name": "http://127.0.0.1:1/x.csv" }]));
    for path in lineage_tests::walk::files(&sandbox.store()) {
        let bytes = fs::read(&path).expect("a file");
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{}", path.display());
    }
}

#[test]
fn a_program_that_needs_other_rights_is_told_of() {
    if !is_root() {
        return skipped("a program of another owner: this needs root");
    }
    let sandbox = Sandbox::new();
    let sudo = sandbox.path().join("sudo");
    fs::copy("/bin/true", &sudo).expect("a program");
    std::os::unix::fs::chown(&sudo, Some(65534), None).expect("another owner");
    fs::set_permissions(&sudo, fs::Permissions::from_mode(0o4755)).expect("setuid");
    let ran = sandbox.run(["run", "--", "./sudo"]);
    ran.done();
    let said = ran.stderr.lines().find(|line| line.contains("rights of its owner")).expect("a note");
    assert!(said.contains("/sudo") && said.contains("--capture declared"), "{said}");
    assert!(!sandbox.run(["run", "--capture", "declared", "--", "./sudo"]).stderr.contains("rights"));
}

#[test]
fn nobody_can_record() {
    if !is_root() {
        return skipped("a run as nobody: this needs root");
    }
    let sandbox = Sandbox::empty();
    fs::set_permissions(sandbox.path(), fs::Permissions::from_mode(0o777)).expect("open to all");
    let open = |path: &Path| path.metadata().is_ok_and(|m| m.permissions().mode() & 0o1 != 0);
    if !lineage_tests::sandbox::binary().ancestors().all(open) {
        return skipped("a run as nobody: others may not run this binary");
    }
    sandbox.write("in.csv", "a,b\n");
    let run = |arguments: &[&str]| Ran::of(sandbox.command(arguments).uid(65534).gid(65534));
    run(&["init"]).done();
    run(&["run", "--name", "j", "--capture", "require", "--", "sh", "-c", "cat in.csv > out.csv"]).done();
    let log = run(&["log", "--limit", "0", "--json"]);
    let end: Value = serde_json::from_str(log.done().lines().last().expect("an event")).expect("JSON");
    assert_eq!(end["event"]["facets"]["capture"]["completeness"], "complete");
    assert_eq!(
        (&end["event"]["inputs"][0]["name"], &end["event"]["outputs"][0]["name"]),
        (&json!("in.csv"), &json!("out.csv"))
    );
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id");
    output.stdout == b"0\n"
}
