//! The `OpenAPI` document against the server: every answer that is met is one that it names.

use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use lineage_tests::workspace;
use serde_json::{Value, json};

/// What is asked of the server, and the path of the document that it belongs to.
fn requests(digest: &str) -> Vec<(&'static str, String, &'static str, String)> {
    let run = super::basics::run_event("COMPLETE", "r1", "load", &["raw"], &["orders"]).to_string();
    let get = |target: &str, path: &'static str| ("GET", target.to_owned(), path, String::new());
    let post = |path: &'static str, body: &str| ("POST", path.to_owned(), path, body.to_owned());
    let namespace = "/api/v1/namespaces/{namespace}";
    let artifact = "/api/artifacts/{digest}";
    vec![
        post("/api/v1/lineage", &run),
        post("/api/v1/lineage", &run),
        post("/api/v1/lineage", "{"),
        post("/api/v1/lineage", "{}"),
        post("/api/v1/lineage/batch", &format!("[{run},{{}}]")),
        post("/api/events", r#"{"v":1,"kind":"transform","outputs":[{"name":"x"}]}"#),
        post("/api/query", r#"{"query":"datasets"}"#),
        post("/api/query", r#"{"query":"datasets","output":"csv"}"#),
        post("/api/query", r#"{"query":"datasets","output":"arrow"}"#),
        post("/api/query", r#"{"query":"datasets","output":"parquet"}"#),
        post("/api/query", r#"{"query":"datasets wher"}"#),
        post("/api/query", r#"{"query":"model nowhere"}"#),
        get("/api/complete?text=models", "/api/complete"),
        get("/api/v1/namespaces", "/api/v1/namespaces"),
        get("/api/v1/namespaces/shop", namespace),
        get("/api/v1/namespaces/nowhere", namespace),
        get("/api/v1/namespaces/db/datasets", "/api/v1/namespaces/{namespace}/datasets"),
        get("/api/v1/namespaces/db/datasets/orders", "/api/v1/namespaces/{namespace}/datasets/{dataset}"),
        get(
            "/api/v1/namespaces/db/datasets/orders/versions",
            "/api/v1/namespaces/{namespace}/datasets/{dataset}/versions",
        ),
        get("/api/v1/namespaces/shop/jobs", "/api/v1/namespaces/{namespace}/jobs"),
        get("/api/v1/namespaces/shop/jobs/load", "/api/v1/namespaces/{namespace}/jobs/{job}"),
        get("/api/v1/namespaces/shop/jobs/load/runs", "/api/v1/namespaces/{namespace}/jobs/{job}/runs"),
        get("/api/v1/jobs/runs/r1", "/api/v1/jobs/runs/{id}"),
        get("/api/v1/lineage?nodeId=dataset:db:orders", "/api/v1/lineage"),
        get("/api/v1/column-lineage?nodeId=dataset:db:orders", "/api/v1/column-lineage"),
        get("/api/v1/events/lineage", "/api/v1/events/lineage"),
        get("/api/v1/search?q=o", "/api/v1/search"),
        get("/api/v1/search", "/api/v1/search"),
        ("PUT", format!("/api/artifacts/{digest}"), artifact, "hello".to_owned()),
        ("PUT", format!("/api/artifacts/{digest}"), artifact, "other".to_owned()),
        get(&format!("/api/artifacts/{digest}"), artifact),
        ("HEAD", format!("/api/artifacts/{digest}"), artifact, String::new()),
        get("/api/artifacts/no-digest", artifact),
        get("/api/positions?after=x", "/api/positions"),
        get("/api/openapi.json", "/api/openapi.json"),
        get("/healthz", "/healthz"),
        get("/readyz", "/readyz"),
        get("/health", "/health"),
        get("/metrics", "/metrics"),
    ]
}

/// The requests of Metaflow's client, each once.
fn metaflow() -> Vec<(&'static str, String, &'static str, String)> {
    let of = |method: &'static str, path: &'static str, body: &str| {
        let target = [("flow", "F"), ("run", "1"), ("step", "s"), ("task", "1"), ("artifact", "x"), ("attempt", "0")]
            .iter()
            .fold(format!("/metaflow{path}"), |target, (part, value)| target.replace(&format!("{{{part}}}"), value));
        let whole: &'static str = format!("/metaflow{path}").leak();
        (method, target, whole, body.to_owned())
    };
    let task = "/flows/{flow}/runs/{run}/steps/{step}/tasks/{task}";
    let of_task = |method, rest: &str, body| of(method, format!("{task}{rest}").leak(), body);
    let get = |path| of("GET", path, "");
    vec![
        get("/ping"),
        get("/version"),
        of("POST", "/tags", "[]"),
        of("POST", "/flows/{flow}", "{}"),
        of("POST", "/flows/{flow}", "{}"),
        of("POST", "/flows/{flow}/run", "{}"),
        of("POST", "/flows/{flow}/runs/{run}/steps/{step}/step", "{}"),
        of("POST", "/flows/{flow}/runs/{run}/steps/{step}/task", "{}"),
        of("POST", "/flows/{flow}/runs/{run}/heartbeat", "{}"),
        of("PATCH", "/flows/{flow}/runs/{run}/tag/mutate", r#"{"tags_to_add":["a"]}"#),
        of("PATCH", "/flows/{flow}/runs/{run}/tag/mutate", "[]"),
        of_task("POST", "/metadata", "[]"),
        of_task("POST", "/artifact", r#"[{"name":"x","sha":"0123456789012345678901234567890123456789"}]"#),
        of_task("POST", "/heartbeat", "{}"),
        get("/flows"),
        get("/flows/{flow}"),
        get("/flows/{flow}/runs"),
        get("/flows/{flow}/runs/{run}"),
        get("/flows/{flow}/runs/{run}/metadata"),
        get("/flows/{flow}/runs/{run}/artifacts"),
        get("/flows/{flow}/runs/{run}/steps"),
        get("/flows/{flow}/runs/{run}/steps/{step}"),
        get("/flows/{flow}/runs/{run}/steps/{step}/tasks"),
        get("/flows/{flow}/runs/{run}/steps/{step}/artifacts"),
        get("/flows/{flow}/runs/{run}/steps/{step}/filtered_tasks"),
        of_task("GET", "", ""),
        of_task("GET", "/metadata", ""),
        of_task("GET", "/artifacts", ""),
        of_task("GET", "/artifacts/{artifact}", ""),
        of_task("GET", "/artifacts/{artifact}/attempt/{attempt}", ""),
        of_task("GET", "/attempt/{attempt}/artifacts", ""),
    ]
}

/// Every endpoint of `MLflow` with an empty request; what they answer to real ones is compared with recordings.
fn mlflow(document: &Value) -> Vec<(&'static str, String, String, String)> {
    let mut requests = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if path.contains("/mlflow") && operations.get(method.to_lowercase()).is_some() {
                let filled = ["{path}", "{model_id}", "{tag_key}"];
                let target = filled.iter().fold(path.clone(), |path, part| path.replace(part, "x"));
                let body = if method == "GET" { "" } else { "{}" };
                requests.push((method, target, path.clone(), body.to_owned()));
            }
        }
    }
    assert!(requests.len() > 50, "{}", requests.len());
    requests
}

#[test]
fn every_answer_is_one_that_the_document_names() {
    let sandbox = Sandbox::new();
    sandbox.write("hello", "hello");
    let server = Server::start(&sandbox);
    let document = server.get("/api/openapi.json").is(200).json();
    let added = sandbox.run(["--json", "add", "dataset", "hello", "hello"]);
    added.done();
    let digest = sandbox.column("datasets where name = 'hello'", "digest")[0].clone();
    let mut asked: Vec<(String, String)> = Vec::new();
    let own = requests(&digest).into_iter().chain(metaflow());
    let own = own.map(|(method, target, path, body)| (method, target, path.to_owned(), body));
    for (method, target, path, body) in own.chain(mlflow(&document)) {
        let path = path.as_str();
        let answer =
            server.connect().ask(method, &target, &[("content-type", "application/json")], body.as_bytes()).unwrap();
        let operation = &document["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "the document has no {method} {path}");
        let named = &operation["responses"][answer.status.to_string()];
        assert!(named.is_object(), "the document names no {} of {method} {path}: {}", answer.status, answer.text());
        let kind = answer.header("content-type").unwrap().split(';').next().unwrap().to_owned();
        assert!(named["content"][&kind].is_object(), "{method} {path} {}: {kind}", answer.status);
        for parameter in target.split_once('?').map_or("", |(_, rest)| rest).split('&').filter(|p| !p.is_empty()) {
            let name = parameter.split('=').next().unwrap();
            let known = operation["parameters"].as_array().unwrap();
            assert!(known.iter().any(|one| one["name"] == name), "{method} {path}: {name}");
        }
        asked.push((method.to_lowercase(), path.to_owned()));
    }
    let mut missed = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            if !asked.contains(&(method.clone(), path.clone())) {
                missed.push(format!("{method} {path}"));
            }
        }
    }
    assert_eq!(missed, [""; 0], "the document names what this test does not ask");
}

/// The table of SERVER.md, as the router has it.
fn table(document: &Value) -> String {
    let mut rows = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let (rule, about) = (operation["x-rule"].as_str().unwrap(), operation["summary"].as_str().unwrap());
            rows.push(format!("| `{} {path}` | {about} | {rule} |\n", method.to_uppercase()));
        }
    }
    rows.concat()
}

#[test]
fn the_table_of_the_manual_is_that_of_the_router() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let document = server.get("/api/openapi.json").is(200).json();
    let manual = std::fs::read_to_string(workspace().join("docs/SERVER.md")).unwrap();
    let table = table(&document);
    assert!(manual.contains(&table), "docs/SERVER.md must hold this table:\n{table}");
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["paths"]["/healthz"]["get"]["security"], json!(null));
}
