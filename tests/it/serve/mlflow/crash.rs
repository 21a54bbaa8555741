//! Servers that are killed in the middle of a training: nothing that they said was stored is missing.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use lineage_tests::http::Connection;
use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use lineage_tests::{mlflow_client, skipped};
use serde_json::{Value, json};

/// What a server said was stored.
#[derive(Default)]
struct Told {
    steps: Vec<u64>,
    params: Vec<u64>,
    files: Vec<u64>,
}

/// Logs until the server is gone; tells how often it was answered.
fn train(connection: &mut Connection, run: &str, first: u64, answered: &mpsc::Sender<()>) -> Told {
    let mut told = Told::default();
    for n in first.. {
        let batch = json!({
            "run_id": run,
            "metrics": [{ "key": "loss", "value": n as f64, "timestamp": n, "step": n }],
            "params": [{ "key": format!("p{n}"), "value": n.to_string() }],
        });
        match connection.post("/api/2.0/mlflow/runs/log-batch", batch.to_string().as_bytes()) {
            Ok(answer) if answer.status == 200 => {
                told.steps.push(n);
                told.params.push(n);
            }
            _ => return told,
        }
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/f{n}");
        match connection.ask("PUT", &path, &[], n.to_string().as_bytes()) {
            Ok(answer) if answer.status == 200 => told.files.push(n),
            _ => return told,
        }
        answered.send(()).ok();
    }
    told
}

/// Everything that was told is there.
fn check(server: &Server, run: &str, told: &Told) {
    let history = format!("/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=loss&max_results=50000");
    let history = server.get(&history).is(200).json();
    let steps: Vec<u64> = history["metrics"].as_array().unwrap().iter().map(|m| m["step"].as_u64().unwrap()).collect();
    assert!(told.steps.iter().all(|step| steps.contains(step)), "{:?} are not all in {steps:?}", told.steps);
    let run_now = server.get(&format!("/api/2.0/mlflow/runs/get?run_id={run}")).is(200).json();
    let params = run_now["run"]["data"]["params"].as_array().cloned().unwrap_or_default();
    for n in &told.params {
        assert!(params.contains(&json!({ "key": format!("p{n}"), "value": n.to_string() })), "{n}");
    }
    for n in &told.files {
        let answer = server.get(&format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/f{n}")).is(200);
        assert_eq!(answer.text(), n.to_string());
    }
}

#[test]
fn nothing_that_was_answered_is_missing() {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let rounds = super::super::size(5, 100);
    let mut server = Server::start(&sandbox);
    let new: Value =
        server.post("/api/2.0/mlflow/runs/create", r#"{"experiment_id":"0","start_time":1}"#).is(200).json();
    let run = new["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let (mut all, mut first) = (Told::default(), 0);
    for round in 0..rounds {
        let mut connection = server.connect();
        let (answered, answers) = mpsc::channel();
        let name = run.clone();
        let training = std::thread::spawn(move || train(&mut connection, &name, first, &answered));
        // So many answers, then the end in the middle of what comes next.
        for _ in 0..=round % 7 {
            answers.recv().unwrap();
        }
        server.kill();
        let told = training.join().unwrap();
        first = told.steps.last().map_or(first, |last| last + 2);
        all.steps.extend(told.steps);
        all.params.extend(told.params);
        all.files.extend(told.files);
        server = Server::start(&sandbox);
        check(&server, &run, &all);
    }
    assert!(all.files.len() >= rounds, "{} files", all.files.len());
    server.post("/api/2.0/mlflow/runs/update", &json!({ "run_id": run, "status": "FINISHED" }).to_string()).is(200);
    assert_eq!(server.stop("TERM").0, 0);
    sandbox.run(["verify"]).done();
}

/// A client that trains as a person would, and says when it is in the middle.
const SCRIPT: &str = r#"
import mlflow
mlflow.set_experiment("crash")
with mlflow.start_run() as run:
    for step in range(40):
        mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
        mlflow.log_param(f"p{step}", step)
        print("step", step, run.info.run_id, flush=True)
    mlflow.log_dict({"a": 1}, "a.json")
print("done")
"#;

#[test]
fn the_client_goes_on_with_a_server_that_comes_back() {
    let python = mlflow_client(3).join("bin/python");
    if !python.exists() {
        return skipped(&format!("MLflow 3: {} is not there; .ci/run makes it", python.display()));
    }
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let server = Server::start(&sandbox);
    let address = server.address.to_string();
    let script = sandbox.write("crash.py", SCRIPT);
    let mut command = super::clients::command(&python, &sandbox, &format!("http://{address}"));
    command.arg(script).env("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = command.spawn().unwrap();
    let middle = Arc::new(AtomicBool::new(false));
    let (said, lines) = mpsc::channel();
    let stdout = client.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        use std::io::BufRead as _;
        for line in std::io::BufReader::new(stdout).lines().map_while(Result::ok) {
            said.send(line).ok();
        }
    });
    let mut seen: Vec<String> = Vec::new();
    for line in &lines {
        seen.push(line);
        if seen.last().unwrap().starts_with("step 7 ") {
            middle.store(true, Ordering::Relaxed);
            break;
        }
    }
    assert!(middle.load(Ordering::Relaxed), "{seen:?}");
    server.kill();
    let server = Server::of(&mut sandbox.command(["--json", "serve", "--listen", address.as_str()]));
    seen.extend(&lines);
    let output = client.wait_with_output().unwrap();
    reader.join().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(seen.iter().any(|line| line == "done"), "{seen:?}");
    let run = seen[0].split(' ').nth(2).unwrap();
    let history =
        server.get(&format!("/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=loss")).is(200).json();
    let steps: Vec<u64> = history["metrics"].as_array().unwrap().iter().map(|m| m["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (0..40).collect::<Vec<u64>>());
    let now = server.get(&format!("/api/2.0/mlflow/runs/get?run_id={run}")).is(200).json();
    assert_eq!(now["run"]["info"]["status"], "FINISHED");
    assert_eq!(now["run"]["data"]["params"].as_array().unwrap().len(), 40);
}
