//! Real, unmodified clients: the Python client and dbt, each against the server, ending with questions answered.
//!
//! They live in the virtual environment that `LINEAGE_CLIENTS` names, which `.ci/run` makes; the scripts that drive
//! them in `clients` beside the corpora. Without either this says so and passes.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering;

use lineage_tests::front::{Fate, Front};
use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use lineage_tests::{corpora, skipped, walk};

/// The environment of the clients and the folder of their scripts.
fn clients() -> Option<(PathBuf, PathBuf)> {
    let scripts = corpora()?.parent().unwrap().join("clients");
    let venv = lineage_tests::clients();
    if !venv.join("bin/python").exists() || !scripts.is_dir() {
        skipped(&format!(
            "real clients: {} or {} is not there; .ci/run makes the first, or set LINEAGE_CLIENTS",
            venv.display(),
            scripts.display()
        ));
        return None;
    }
    Some((venv, scripts))
}

fn real_time() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    sandbox
}

/// Runs a client to its end, which must be good; what it said.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{said}");
    said
}

/// What the script of the Python client comes to, in whichever way it was sent.
fn check_emitted(server: &Server) {
    let upstream = "datasets upstream of dataset 's3://lake::features/users'";
    assert_eq!(server.column(upstream, "name"), ["raw/users"]);
    let runs = server.get("/api/v1/namespaces/demo/jobs/features.users/runs").is(200).json();
    let mut states: Vec<&str> = runs["runs"].as_array().unwrap().iter().map(|r| r["state"].as_str().unwrap()).collect();
    states.sort_unstable();
    assert_eq!(states, ["ABORTED", "COMPLETED", "FAILED"]);
    assert!(!server.column("evaluations where outcome = 'pass'", "kind").is_empty());
}

#[test]
fn the_python_client_sync_gzip_and_async() {
    let Some((venv, scripts)) = clients() else { return };
    for mode in ["plain", "gzip", "async"] {
        let sandbox = real_time();
        let server = Server::start(&sandbox);
        let script = scripts.join("openlineage_python/emit.py");
        run(Command::new(venv.join("bin/python")).arg(script).arg(mode).arg(server.address.port().to_string()));
        check_emitted(&server);
        assert_eq!(server.metric("lineage_events_total{result=\"refused\"}"), 0, "{mode}");
        assert_eq!(server.stop("TERM").0, 0);
        sandbox.run(["verify"]).done();
    }
}

#[test]
fn the_python_client_comes_again_after_503() {
    let Some((venv, scripts)) = clients() else { return };
    let sandbox = real_time();
    let server = Server::start(&sandbox);
    let front = Front::start(server.address, |n| match n {
        0..3 | 7 => Fate::Refuse,
        5 | 9 => Fate::Lose,
        _ => Fate::Pass,
    });
    let script = scripts.join("openlineage_python/emit.py");
    run(Command::new(venv.join("bin/python")).arg(script).arg("retry").arg(front.address.port().to_string()));
    assert!(front.requests.load(Ordering::Relaxed) > 16, "nothing was sent again");
    check_emitted(&server);
}

/// A copy of a dbt project to work in.
fn project(scripts: &std::path::Path) -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("lineage-dbt-").tempdir().unwrap();
    let from = scripts.join("dbt/jaffle");
    for file in walk::files(&from) {
        let to = folder.path().join(file.strip_prefix(&from).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(file, to).unwrap();
    }
    folder
}

#[test]
fn dbt_on_duckdb() {
    let Some((venv, scripts)) = clients() else { return };
    if !venv.join("bin/dbt-ol").exists() {
        return skipped("dbt: the environment of the clients has no dbt-ol");
    }
    let (sandbox, project) = (real_time(), project(&scripts));
    let server = Server::start(&sandbox);
    let path = std::env::join_paths(
        std::iter::once(venv.join("bin")).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    for _ in 0..2 {
        run(Command::new(venv.join("bin/dbt-ol"))
            .arg("build")
            .current_dir(project.path())
            .env("PATH", path.as_ref().unwrap())
            .env("DBT_PROFILES_DIR", ".")
            .env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
            .env("OPENLINEAGE_NAMESPACE", "dbt-dev")
            .env("OPENLINEAGE_URL", format!("http://{}", server.address)));
    }
    let mut names = server.column("datasets upstream of dataset jaffle.main.customers", "name");
    names.sort();
    names.dedup();
    let expected =
        ["orders", "raw_customers", "raw_orders", "raw_payments", "stg_customers", "stg_orders", "stg_payments"];
    assert_eq!(names, expected.map(|name| format!("jaffle.main.{name}")));
    let passed = server.column("evaluations where outcome = 'pass'", "kind");
    assert!(passed.len() >= 9, "the tests of dbt are evaluations: {passed:?}");
    let jobs = server.get("/api/v1/namespaces/dbt-dev/jobs?limit=100").is(200).json();
    assert!(jobs["totalCount"].as_u64().unwrap() >= 10, "{jobs}");
    assert_eq!(server.metric("lineage_events_total{result=\"refused\"}"), 0);
    assert_eq!(server.stop("TERM").0, 0);
    sandbox.run(["verify"]).done();
}
