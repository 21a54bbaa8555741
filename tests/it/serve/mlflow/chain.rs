//! One lineage over several tools: a table that dbt builds, a model that `MLflow` trains on it, and where it is live.

use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use lineage_tests::workspace;
use serde_json::{Value, json};

/// A request to the tracking server.
#[track_caller]
pub(super) fn ask(server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let target = format!("/api/2.0/mlflow/{path}");
    let headers = [("content-type", "application/json")];
    server.connect().ask(method, &target, &headers, body.to_string().as_bytes()).unwrap().is(200).json()
}

#[track_caller]
pub(super) fn post(server: &Server, path: &str, body: &Value) -> Value {
    ask(server, "POST", path, body)
}

/// Sends a file of a run.
pub(super) fn put(server: &Server, path: &str, bytes: &[u8]) {
    let target = format!("/api/2.0/mlflow-artifacts/artifacts/{path}");
    server.connect().ask("PUT", &target, &[], bytes).unwrap().is(200);
}

/// A run that reads a dataset, logs a model and registers it; the id of the run.
fn train(server: &Server, experiment: &str, name: &str, source: &str, digest: &str) -> String {
    let created = post(server, "runs/create", &json!({ "experiment_id": experiment, "user_id": "alice" }));
    let run = created["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let dataset = json!({ "name": "customers", "digest": digest, "source_type": "http", "source": source });
    post(server, "runs/log-inputs", &json!({ "run_id": run, "datasets": [{ "dataset": dataset }] }));
    post(server, "runs/log-metric", &json!({ "run_id": run, "key": "auc", "value": 0.91, "timestamp": 1 }));
    put(server, &format!("{experiment}/{run}/artifacts/model/MLmodel"), format!("flavors: {digest}").as_bytes());
    post(server, "runs/log-model", &json!({ "run_id": run, "model_json": r#"{"artifact_path":"model"}"# }));
    let path = format!("mlflow-artifacts:/{experiment}/{run}/artifacts/model");
    post(server, "model-versions/create", &json!({ "name": name, "source": path, "run_id": run }));
    post(server, "runs/update", &json!({ "run_id": run, "status": "FINISHED" }));
    run
}

fn stage(server: &Server, name: &str, version: u32, stage: &str, archive: bool) {
    let body = json!({
        "name": name, "version": version.to_string(), "stage": stage, "archive_existing_versions": archive,
    });
    post(server, "model-versions/transition-stage", &body);
}

/// What dbt says when it has built a table.
fn build(server: &Server, run: &str, time: &str) {
    let dataset = |name: &str| json!({ "namespace": "duckdb://jaffle.duckdb", "name": name });
    let event = json!({
        "eventType": "COMPLETE", "eventTime": time, "producer": "https://github.com/OpenLineage/dbt",
        "run": { "runId": run }, "job": { "namespace": "dbt", "name": "jaffle.customers" },
        "inputs": [dataset("jaffle.main.raw_customers")], "outputs": [dataset("jaffle.main.customers")],
    });
    server.post("/api/v1/lineage", &event.to_string()).is(201);
}

#[test]
fn dbt_mlflow_and_a_deployment_are_one_graph() {
    let mut sandbox = Sandbox::new();
    sandbox.at("2026-11-20T09:00:00Z");
    let server = Server::start(&sandbox);
    build(&server, "d1", "2026-11-20T08:00:00Z");
    assert_eq!(server.stop("TERM").0, 0);
    sandbox.at("2026-11-20T10:00:00Z");
    let server = Server::start(&sandbox);
    let experiment = post(&server, "experiments/create", &json!({ "name": "churn" }));
    let experiment = experiment["experiment_id"].as_str().unwrap();
    post(&server, "registered-models/create", &json!({ "name": "churn-clf" }));
    let table = r#"{"uri":"duckdb://jaffle.duckdb/jaffle.main.customers"}"#;
    train(&server, experiment, "churn-clf", table, "8f9eb48c");
    assert_eq!(server.stop("TERM").0, 0);
    sandbox.at("2026-11-20T11:00:00Z");
    sandbox.run(["deploy", "model", "churn-clf@v1", "--to", "prod"]).done();
    // One question over three tools, as the readme shows it.
    let question = "models live in prod trained on dataset jaffle.main.raw_customers";
    let said = sandbox.run(["query", question]).done().to_owned();
    let readme = std::fs::read_to_string(workspace().join("README.md")).unwrap();
    let shown = format!("$ lineage query \"{question}\"\n{}", said.trim_end());
    assert!(readme.contains(&shown), "README.md must show this:\n{shown}");
    let path = "path from dataset jaffle.main.raw_customers to model churn-clf";
    let steps = sandbox.column(path, "name");
    assert!(steps.len() >= 3, "{steps:?}");
    // The model can be had as it was sent.
    sandbox.run(["get", "churn-clf@v1", "-o", "restored"]).done();
    assert!(std::fs::read_to_string(sandbox.path().join("restored/MLmodel")).unwrap().starts_with("flavors: "));
    sandbox.run(["verify"]).done();
}

#[test]
fn names_that_differ_are_linked() {
    let mut sandbox = Sandbox::new();
    sandbox.at("2026-11-20T09:00:00Z");
    let server = Server::start(&sandbox);
    build(&server, "d1", "2026-11-20T08:00:00Z");
    post(&server, "registered-models/create", &json!({ "name": "churn-clf" }));
    train(&server, "0", "churn-clf", r#"{"uri":"/exports/customers.csv"}"#, "1a2b3c4d");
    let question = "models trained on dataset jaffle.main.raw_customers";
    assert_eq!(server.column(question, "name"), [""; 0]);
    sandbox.run(["link", "dataset", "/exports/customers.csv", "dataset", "jaffle.main.customers"]).done();
    assert_eq!(server.column(question, "name"), ["churn-clf"]);
}

/// A version, its new stage, whether others are archived, and then the versions live in staging and in production.
type Move = (u32, &'static str, bool, &'static [&'static str], &'static [&'static str]);

#[test]
fn stages_are_what_is_live_where() {
    let mut sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    post(&server, "registered-models/create", &json!({ "name": "m" }));
    for digest in ["11111111", "22222222", "33333333"] {
        train(&server, "0", "m", r#"{"uri":"s3://lake/users"}"#, digest);
    }
    assert_eq!(server.stop("TERM").0, 0);
    // What is live after each move, by environment.
    let moves: [Move; 6] = [
        (1, "Staging", false, &["v1"], &[]),
        (1, "Production", false, &[], &["v1"]),
        (2, "Production", false, &[], &["v1", "v2"]),
        (3, "Production", true, &[], &["v3"]),
        (2, "Staging", false, &["v2"], &["v3"]),
        (3, "Archived", false, &["v2"], &[]),
    ];
    for (hour, (version, to, archive, staging, prod)) in moves.iter().enumerate() {
        sandbox.at(&format!("2026-11-20T{}:00:00Z", 13 + hour));
        let server = Server::start(&sandbox);
        stage(&server, "m", *version, to, *archive);
        assert_eq!(server.column("models live in staging", "version"), *staging, "{version} {to}");
        assert_eq!(server.column("models live in Production", "version"), *prod, "{version} {to}");
        assert_eq!(server.stop("TERM").0, 0);
    }
    // The past stays what it was.
    let as_of =
        |hour: u32| sandbox.column(&format!("models live in Production as of 2026-11-20T{hour}:30:00Z"), "version");
    assert_eq!(
        [as_of(13), as_of(14), as_of(15), as_of(16)],
        [vec![], vec!["v1"], vec!["v1", "v2"], vec!["v3"]]
            .map(|v: Vec<&str>| v.into_iter().map(str::to_owned).collect::<Vec<_>>())
    );
    // Each digest that nobody else knows is a version of the data of its own.
    let trained = sandbox.column("models trained on dataset 'users'@v2", "version");
    assert_eq!(trained, ["v2"]);
}

#[test]
fn tags_aliases_and_runs_can_be_asked_for() {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let server = Server::start(&sandbox);
    post(&server, "registered-models/create", &json!({ "name": "m" }));
    let run = train(&server, "0", "m", r#"{"uri":"s3://lake/users"}"#, "11111111");
    post(&server, "registered-models/alias", &json!({ "name": "m", "alias": "champion", "version": "1" }));
    assert_eq!(server.column("model m@champion", "version"), ["v1"]);
    post(&server, "model-versions/set-tag", &json!({ "name": "m", "version": "1", "key": "ok", "value": "no" }));
    post(&server, "model-versions/set-tag", &json!({ "name": "m", "version": "1", "key": "ok", "value": "yes" }));
    assert_eq!(server.column("models tagged 'ok=yes'", "version"), ["v1"]);
    assert_eq!(server.column("models tagged 'ok=no'", "version"), [""; 0]);
    ask(&server, "DELETE", "registered-models/alias", &json!({ "name": "m", "alias": "champion" }));
    server.query("model m@champion").is(422);
    // What was logged to the run is an attribute of the training.
    post(&server, "runs/log-parameter", &json!({ "run_id": run, "key": "depth", "value": "4" }));
    post(&server, "runs/set-tag", &json!({ "run_id": run, "key": "team", "value": "growth" }));
    let trainings = "trainings where metric.auc > 0.9 and param.depth = 4";
    assert_eq!(server.column(trainings, "kind"), ["training"]);
    assert_eq!(server.column("trainings tagged 'team=growth'", "kind"), ["training"]);
    assert_eq!(server.column("trainings by alice", "kind"), ["training"]);
    assert_eq!(server.stop("TERM").0, 0);
    sandbox.run(["verify"]).done();
}

#[test]
fn a_second_server_on_the_same_store_sees_and_numbers_alike() {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let servers = [Server::start(&sandbox), Server::start(&sandbox)];
    let mut ids: Vec<u64> = Vec::new();
    std::thread::scope(|scope| {
        let making = servers.each_ref().map(|server| {
            scope.spawn(move || {
                let name = |n: u32| json!({ "name": format!("{}-{n}", server.address.port()) });
                let made = (0..20).map(|n| post(server, "experiments/create", &name(n)));
                made.map(|made| made["experiment_id"].as_str().unwrap().parse().unwrap()).collect::<Vec<u64>>()
            })
        });
        for making in making {
            ids.extend(making.join().unwrap());
        }
    });
    ids.sort_unstable();
    assert_eq!(ids, (1..=40).collect::<Vec<u64>>(), "every number is given out once");
    let names = |server: &Server| {
        let found = post(server, "experiments/search", &json!({ "max_results": 100, "order_by": ["experiment_id"] }));
        found["experiments"].as_array().unwrap().iter().map(|e| e["name"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&servers[0]), names(&servers[1]));
    assert_eq!(names(&servers[0]).len(), 41);
}
