//! `lineage import mlflow sqlite:///FILE`: the database of a tracking server comes in as what its server would tell.
//!
//! The databases are those of `tests/fixtures/mlflow/store.py`, made by `MLflow` 3.17 and 2.22.

use std::fs;
use std::path::{Path, PathBuf};

use lineage_tests::http::{Connection, quoted};
use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use lineage_tests::workspace;
use rusqlite::Connection as Database;
use serde_json::{Value, json};

/// Writes the database of a version of `MLflow` into a folder of its own, and the file that a run of it made.
fn made(sandbox: &Sandbox, version: u32) -> PathBuf {
    let text = fs::read_to_string(workspace().join(format!("tests/fixtures/mlflow/store-{version}.sql"))).unwrap();
    let root = sandbox.path().join("tracking");
    let run = run_of(&text, "r2");
    let plots = root.join(format!("mlruns/2/{run}/artifacts/plots"));
    fs::create_dir_all(&plots).unwrap();
    fs::write(plots.join("a b.txt"), "a plot\n").unwrap();
    std::os::unix::fs::symlink("/etc/hostname", plots.join("link")).unwrap();
    let path = root.join("mlflow.db");
    let database = Database::open(&path).unwrap();
    // Tables stand in the order of their names.
    database.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    database.execute_batch(&text.replace("@ROOT@", root.to_str().unwrap())).unwrap();
    path
}

/// The id of a run by its name.
fn run_of(fixture: &str, name: &str) -> String {
    let line = fixture.lines().find(|line| line.contains("\"runs\"") && line.contains(&format!("'{name}'"))).unwrap();
    line.split('\'').nth(1).unwrap().to_owned()
}

fn real_time() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    sandbox
}

/// Imports a database with its files.
#[track_caller]
fn import(sandbox: &Sandbox, path: &Path) -> Value {
    let url = format!("sqlite:///{}", path.display());
    let said = sandbox.run(["--json", "import", "mlflow", &url, "--files"]);
    said.done();
    said.json()
}

#[track_caller]
fn get(connection: &mut Connection, path: &str) -> Value {
    connection.ask("GET", &format!("/api/2.0/mlflow/{path}"), &[], &[]).unwrap().is(200).json()
}

/// Imports the database of a version, and checks what is told afterwards.
fn check(version: u32) {
    let sandbox = real_time();
    let path = made(&sandbox, version);
    let before = fs::read(&path).unwrap();
    let first = import(&sandbox, &path);
    let counted = ["experiments", "runs", "points", "models", "versions", "files"].map(|what| first[what].clone());
    assert_eq!(counted, [4, 3, 5, u64::from(version == 3), 2, 1].map(Value::from), "{first}");
    assert_eq!(first["not_imported"]["prompts"], 1, "{first}");
    assert_eq!(first["not_imported"]["links and other files that are no regular ones"], 1, "{first}");
    let proxy = format!("folders of files in {}, which is not there", path.with_file_name("mlartifacts").display());
    assert_eq!(first["not_imported"][&proxy], 2 + u64::from(version == 3), "{first}");
    assert_eq!(import(&sandbox, &path)["recorded"], 0);
    assert_eq!(fs::read(&path).unwrap(), before, "the database was written to");

    let fixture = fs::read_to_string(workspace().join(format!("tests/fixtures/mlflow/store-{version}.sql"))).unwrap();
    let [r0, r1, r2] = ["r0", "r1", "r2"].map(|name| run_of(&fixture, name));
    let server = Server::start(&sandbox);
    let mut connection = server.connect();
    let history = get(&mut connection, &format!("metrics/get-history?run_id={r0}&metric_key=loss"));
    let values: Vec<&Value> = history["metrics"].as_array().unwrap().iter().map(|point| &point["value"]).collect();
    // MLflow itself keeps the largest double in place of the infinite.
    assert_eq!(json!(values), json!([0.985_690_694_632_869_5, "NaN", f64::MAX, -0.1]));
    let run = &get(&mut connection, &format!("runs/get?run_id={r0}"))["run"];
    let told = ["status", "start_time", "end_time", "run_name", "user_id"].map(|what| run["info"][what].clone());
    assert_eq!(json!(told), json!(["FINISHED", 1_700_000_000_000_i64, 1_700_000_005_000_i64, "r0", "alice"]));
    assert_eq!(run["data"]["params"], json!([{ "key": "depth", "value": "7" }, { "key": "lr", "value": "0.1" }]));
    let tags = run["data"]["tags"].as_array().unwrap();
    assert!(tags.contains(&json!({ "key": "note", "value": "" })) && tags.len() == 4, "{tags:?}");
    let used = run["inputs"]["dataset_inputs"].as_array().unwrap();
    let used: Vec<&Value> = used.iter().map(|used| &used["dataset"]["digest"]).collect();
    assert_eq!(json!(used), json!(["aaaa", "bbbb"]));
    assert_eq!(get(&mut connection, &format!("runs/get?run_id={r1}"))["run"]["info"]["lifecycle_stage"], "deleted");
    let listed = get(&mut connection, &format!("artifacts/list?run_id={r2}&path=plots"));
    assert_eq!(listed["files"], json!([{ "path": "plots/a b.txt", "is_dir": false, "file_size": 7 }]));
    let gone = get(&mut connection, &format!("experiments/get-by-name?experiment_name={}", quoted("gone")));
    assert_eq!(gone["experiment"]["lifecycle_stage"], "deleted");

    assert_eq!(server.column("models live in prod", "version"), ["v1"]);
    assert_eq!(server.column("model clf@best", "version"), ["v2"]);
    // In 3 the run of v2 used a model that was trained on it.
    let (trained, bases): (&[&str], &[&str]) =
        if version == 3 { (&["clf", "clf", "clf-model"], &["clf-model"]) } else { (&["clf"], &[]) };
    assert_eq!(server.column("models trained on dataset users", "name"), trained);
    assert_eq!(server.column("models upstream of model clf@v2", "name"), bases);
    assert_eq!(server.stop("TERM").0, 0);
    sandbox.run(["verify"]).done();
}

#[test]
fn of_version_3() {
    check(3);
}

#[test]
fn of_version_2() {
    check(2);
}

#[test]
fn files_are_read_only_below_the_folder_that_is_named() {
    let sandbox = real_time();
    let path = made(&sandbox, 3);
    fs::create_dir(sandbox.path().join("elsewhere")).unwrap();
    let url = format!("sqlite:///{}", path.display());
    let import = |root: &Path| {
        let said = sandbox.run(["--json", "import", "mlflow", &url, "--files", "--root", root.to_str().unwrap()]);
        said.done();
        said.json()
    };
    let (elsewhere, tracking) = (sandbox.path().join("elsewhere"), path.parent().unwrap());
    let outside = format!("folders of files outside {}", elsewhere.canonicalize().unwrap().display());
    let told = import(&elsewhere);
    assert_eq!([&told["files"], &told["not_imported"][&outside]], [&json!(0), &json!(1)], "{told}");
    // A folder that is a link leads out of the root as well.
    let artifacts = fs::read_dir(tracking.join("mlruns/2")).unwrap().next().unwrap().unwrap().path().join("artifacts");
    fs::rename(&artifacts, elsewhere.join("artifacts")).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("artifacts"), &artifacts).unwrap();
    assert_eq!(import(tracking)["files"], 0);
    assert_eq!(import(sandbox.path())["files"], 1);
}

#[test]
fn a_server_that_writes_meanwhile_is_neither_awaited_nor_held_up() {
    for mode in ["wal", "delete"] {
        let sandbox = real_time();
        let path = made(&sandbox, 3);
        let server = Database::open(&path).unwrap();
        let said: String = server.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |row| row.get(0)).unwrap();
        assert_eq!(said, mode);
        let param =
            "INSERT INTO params (key, value, run_uuid) SELECT 'late', '1', run_uuid FROM runs WHERE name = 'r0'";
        server.execute_batch(&format!("BEGIN IMMEDIATE; {param};")).unwrap();
        let first = import(&sandbox, &path);
        assert_eq!(first["runs"], 3, "{mode}: {first}");
        server.execute_batch("COMMIT").unwrap();
        assert_eq!(import(&sandbox, &path)["recorded"], 1, "{mode}: what was committed since");
        assert_eq!(import(&sandbox, &path)["recorded"], 0, "{mode}");
    }
}

#[test]
fn what_is_no_tracking_store_is_refused_by_name() {
    let sandbox = Sandbox::new();
    sandbox.write("text.db", "no database, however long it may be, begins like this one does".repeat(20));
    Database::open(sandbox.path().join("other.db")).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    for (source, code, says) in [
        ("sqlite:///absent.db", 6, "absent.db is no file"),
        ("sqlite:///text.db", 6, "text.db is no SQLite database"),
        ("sqlite:///other.db", 6, "it has no column experiments.experiment_id"),
        ("sqlite:///other.db?timeout=5", 6, "it has no column experiments.experiment_id"),
        ("sqlite://", 2, "write it as http://HOST:PORT or sqlite:///PATH"),
        ("sqlite:other.db", 2, "write it as http://HOST:PORT or sqlite:///PATH"),
        ("postgresql://localhost/mlflow", 2, "write it as http://HOST:PORT or sqlite:///PATH"),
    ] {
        let said = sandbox.run(["import", "mlflow", source]);
        assert_eq!(said.code, code, "{source}: {}", said.stderr);
        assert!(said.stderr.contains(says), "{source}: {}", said.stderr);
    }
    sandbox.run(["import", "mlflow", "http://127.0.0.1:1", "--files", "--root", "."]).fails(2, "are for databases");
}
