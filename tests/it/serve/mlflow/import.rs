//! `lineage import mlflow`: a history comes in once, however often it is imported, and is served as it was.

use lineage_tests::http::Connection;
use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use serde_json::{Value, json};

use super::differential::Official;
use super::equal::compare;

/// Asks any tracking server.
#[track_caller]
fn ask(connection: &mut Connection, method: &str, path: &str, body: &Value) -> Value {
    let bytes = if method == "GET" { Vec::new() } else { body.to_string().into_bytes() };
    let target = format!("/api/2.0/mlflow/{path}");
    connection.ask(method, &target, &[("content-type", "application/json")], &bytes).unwrap().is(200).json()
}

/// A history: two runs, the second the child of the first, with a model in the registry; the ids of the runs.
fn history(connection: &mut Connection) -> [String; 2] {
    let mut post = |path: &str, body: Value| ask(connection, "POST", path, &body);
    let made = post("experiments/create", json!({ "name": "churn", "tags": [{ "key": "team", "value": "a" }] }));
    let experiment = made["experiment_id"].as_str().unwrap().to_owned();
    let mut runs: Vec<String> = Vec::new();
    for n in 0..2_i64 {
        let mut tags = vec![json!({ "key": "mlflow.user", "value": "alice" })];
        tags.extend(runs.first().map(|first| json!({ "key": "mlflow.parentRunId", "value": first })));
        let start = 1_700_000_000_000 + n * 1000;
        let asked = json!({
            "experiment_id": experiment, "user_id": "alice", "run_name": format!("r{n}"), "start_time": start,
            "tags": tags,
        });
        let run = post("runs/create", asked)["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        let metrics: Vec<Value> = (0..150)
            .map(|step| json!({ "key": "loss", "value": 1.0 / (step + 1) as f64, "timestamp": start + step, "step": step }))
            .collect();
        post(
            "runs/log-batch",
            json!({ "run_id": run, "metrics": metrics, "params": [{ "key": "lr", "value": "0.1" }] }),
        );
        let dataset = json!({
            "name": "users", "digest": format!("{n}{n}{n}{n}"), "source_type": "s3", "source": r#"{"uri":"s3://lake/users"}"#,
        });
        post("runs/log-inputs", json!({ "run_id": run, "datasets": [{ "tags": [], "dataset": dataset }] }));
        runs.push(run);
    }
    post("registered-models/create", json!({ "name": "clf", "description": "d" }));
    for run in &runs {
        let source = format!("mlflow-artifacts:/{experiment}/{run}/artifacts/model");
        post("model-versions/create", json!({ "name": "clf", "source": source, "run_id": run }));
    }
    post("registered-models/alias", json!({ "name": "clf", "alias": "best", "version": "2" }));
    post("model-versions/transition-stage", json!({ "name": "clf", "version": "1", "stage": "Production" }));
    post("runs/update", json!({ "run_id": runs[0], "status": "FINISHED", "end_time": 1_700_000_005_000_i64 }));
    post("runs/update", json!({ "run_id": runs[1], "status": "FAILED", "end_time": 1_700_000_006_000_i64 }));
    runs.try_into().unwrap()
}

/// Puts the file of a model into a run.
fn put(connection: &mut Connection, run: &str) {
    let path = format!("/api/2.0/mlflow-artifacts/artifacts/1/{run}/artifacts/model/MLmodel");
    connection.ask("PUT", &path, &[], b"flavors: {}").unwrap().is(200);
}

/// Everything that is compared after an import.
fn told(connection: &mut Connection, runs: &[String]) -> Vec<Value> {
    let mut told = Vec::new();
    let experiment = ask(connection, "GET", "experiments/get-by-name?experiment_name=churn", &Value::Null);
    let id = experiment["experiment"]["experiment_id"].as_str().unwrap().to_owned();
    told.push(ask(connection, "POST", "runs/search", &json!({ "experiment_ids": [id], "order_by": ["start_time"] })));
    for run in runs {
        let history = format!("metrics/get-history?run_id={run}&metric_key=loss");
        told.push(ask(connection, "GET", &history, &Value::Null));
    }
    told.push(ask(connection, "GET", "registered-models/get?name=clf", &Value::Null));
    told.push(ask(connection, "GET", "model-versions/get?name=clf&version=1", &Value::Null));
    told
}

/// Imports twice, and compares what both servers answer.
fn check(connection: &mut Connection, url: &str, with_files: bool) {
    let runs = history(connection);
    put(connection, &runs[0]);
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let import = || {
        let mut args = vec!["--json", "import", "mlflow", url];
        args.extend(with_files.then_some("--files"));
        let said = sandbox.run(args);
        said.done();
        said.json()
    };
    let first = import();
    assert_eq!([&first["runs"], &first["versions"], &first["points"]], [&json!(2), &json!(2), &json!(300)], "{first}");
    assert_eq!(first["files"], json!(u64::from(with_files)));
    let again = import();
    assert_eq!(again["recorded"], json!(0), "{again}");
    let server = Server::start(&sandbox);
    let (theirs, ours) = (told(connection, &runs), told(&mut server.connect(), &runs));
    let mut differ = Vec::new();
    compare("", &json!(theirs), &json!(ours), &mut differ);
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    // What happened happened then.
    let started = server.column("transforms as of 2023-11-14T22:13:20.5Z", "state");
    assert_eq!(started.len(), 1, "the second run began a second later: {started:?}");
    assert_eq!(server.column("models trained on dataset users", "version"), ["v1", "v2"]);
    assert_eq!(server.column("models live in prod", "version"), ["v1"]);
    assert_eq!(server.column("model clf@best", "version"), ["v2"]);
    assert_eq!(server.column("trainings by alice", "state"), ["complete", "fail"]);
    if with_files {
        sandbox.run(["get", "clf@v1", "-o", "restored"]).done();
        assert!(sandbox.path().join("restored/MLmodel").exists());
    }
    // What comes later is imported as well, and clients go on where the history ends.
    let late = json!({ "run_id": runs[0], "key": "late", "value": 1.0, "timestamp": 1 });
    ask(connection, "POST", "runs/log-metric", &late);
    assert_eq!(import()["recorded"], json!(1));
    let made = ask(&mut server.connect(), "POST", "experiments/create", &json!({ "name": "new" }));
    assert_eq!(made["experiment_id"], "2");
    assert_eq!(server.stop("TERM").0, 0);
    sandbox.run(["verify"]).done();
}

#[test]
fn from_another_store_of_ours() {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let server = Server::start(&sandbox);
    check(&mut server.connect(), &format!("http://{}", server.address), true);
}

#[test]
fn from_the_server_of_mlflow() {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let Some(official) = Official::start(&sandbox) else { return };
    let mut connection = Connection::open(official.address).unwrap();
    check(&mut connection, &format!("http://{}", official.address), true);
}

#[test]
fn the_same_history_by_its_server_and_by_its_database() {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let Some(official) = Official::start(&sandbox) else { return };
    let mut connection = Connection::open(official.address).unwrap();
    let runs = history(&mut connection);
    put(&mut connection, &runs[0]);
    more(&mut connection, &runs);
    let path = |name: &str| sandbox.path().join(name).display().to_string();
    let by_server = [format!("http://{}", official.address)];
    let by_database = [format!("sqlite:///{}", path("official.db")), "--artifacts".to_owned(), path("official")];
    for ways in [[&by_server[..], &by_database], [&by_database, &by_server]] {
        let mut sandbox = Sandbox::new();
        sandbox.at_real_time();
        let [first, again] = ways.map(|way| {
            let said =
                sandbox.run(["--json", "import", "mlflow", "--files"].into_iter().chain(way.iter().map(|w| &**w)));
            said.done();
            said.json()
        });
        assert_eq!(again["recorded"], 0, "{ways:?}: {again}");
        for what in ["experiments", "runs", "points", "models", "versions"] {
            assert_eq!(first[what], again[what], "{what}");
        }
        assert_eq!([&first["files"], &again["files"]], [&json!(1), &json!(0)]);
        let server = Server::start(&sandbox);
        let (theirs, ours) = (told(&mut connection, &runs), told(&mut server.connect(), &runs));
        let mut differ = Vec::new();
        compare("", &json!(theirs), &json!(ours), &mut differ);
        assert!(differ.is_empty(), "{}", differ.join("\n"));
        assert_eq!(server.column("models upstream of model clf@v2", "name"), ["forest"], "a model that its run used");
    }
}

/// What servers tell in an order of their own: a logged model that one run makes and another uses, and many keys.
fn more(connection: &mut Connection, [made, used]: &[String; 2]) {
    let mut post = |path: &str, body: Value| ask(connection, "POST", path, &body);
    let pair = |key: &str| json!({ "key": key, "value": key });
    let model = post(
        "logged-models",
        json!({
            "experiment_id": "1", "name": "forest", "source_run_id": made, "tags": [pair("z"), pair("a")],
            "params": [pair("y"), pair("b")],
        }),
    );
    let id = model["model"]["info"]["model_id"].clone();
    post("runs/outputs", json!({ "run_id": made, "models": [{ "model_id": id, "step": "3" }] }));
    post("runs/log-inputs", json!({ "run_id": used, "models": [{ "model_id": id }] }));
    // Neither parses nor prints to the same double where digits are only nearly right.
    let exact = [0.985_690_694_632_869_5, 0.1 + 0.2, 1e-310, -0.0];
    let metrics: Vec<Value> = exact
        .iter()
        .zip(["q", "b", "z", "a"])
        .map(|(value, key)| json!({ "key": key, "value": value, "timestamp": 1, "step": 0 }))
        .collect();
    let nan = json!({ "key": "q", "value": "NaN", "timestamp": 2, "step": 1 });
    post("runs/log-batch", json!({ "run_id": used, "metrics": metrics, "tags": [pair("z"), pair("b")] }));
    post("runs/log-batch", json!({ "run_id": used, "metrics": [nan], "params": [pair("z"), pair("b")] }));
    let context = |value: &str| json!([{ "key": "mlflow.data.context", "value": value }]);
    let dataset = |name: &str| json!({ "name": name, "digest": "1", "source_type": "s3", "source": "{}" });
    let inputs = json!([
        { "tags": context("eval"), "dataset": dataset("z") }, { "tags": context("train"), "dataset": dataset("b") },
    ]);
    post("runs/log-inputs", json!({ "run_id": used, "datasets": inputs }));
    let gone = post("experiments/create", json!({ "name": "it's gone" }));
    post("experiments/delete", gone);
    let tags = [pair("z"), pair("b")];
    post("registered-models/create", json!({ "name": "it's", "tags": tags }));
    post("model-versions/create", json!({ "name": "it's", "source": "s3://bucket/model", "tags": tags }));
    let url = format!("/api/2.0/mlflow/logged-models/{}", id.as_str().unwrap());
    let status = json!({ "model_id": id, "status": "LOGGED_MODEL_READY" }).to_string();
    connection.ask("PATCH", &url, &[("content-type", "application/json")], status.as_bytes()).unwrap().is(200);
}

#[test]
fn what_cannot_be_imported_is_refused_by_name() {
    let sandbox = Sandbox::new();
    for (source, code, says) in
        [("mlflow.db", 2, "write it as http://HOST:PORT"), ("http://127.0.0.1:1", 6, "cannot reach http://127.0.0.1:1")]
    {
        let said = sandbox.run(["import", "mlflow", source]);
        assert_eq!(said.code, code, "{}", said.stderr);
        assert!(said.stderr.contains(says), "{}", said.stderr);
    }
}
