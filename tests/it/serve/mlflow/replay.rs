//! Every recorded exchange of an `MLflow` client, sent again: the same class of status and an equivalent body.

use std::collections::BTreeMap;
use std::path::Path;

use lineage_tests::corpora;
use lineage_tests::http::{Connection, recorded_headers};
use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use serde_json::Value;

use super::equal::compare;

/// Ids of the recorded server and ours.
#[derive(Default)]
struct Ids(BTreeMap<String, String>);

impl Ids {
    fn apply(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
    }

    /// Learns ids that stand at the same place in both answers.
    fn learn(&mut self, theirs: &Value, ours: &Value) {
        match (theirs, ours) {
            (Value::Object(theirs), Value::Object(ours)) => {
                for (key, value) in theirs {
                    let Some(other) = ours.get(key) else { continue };
                    match (key.as_str(), value.as_str(), other.as_str()) {
                        ("run_id" | "run_uuid" | "model_id", Some(theirs), Some(ours)) if !theirs.is_empty() => {
                            // Lists of ids are in the order of the ids, which is another one here.
                            self.0.entry(theirs.to_owned()).or_insert_with(|| ours.to_owned());
                        }
                        _ => self.learn(value, other),
                    }
                }
            }
            (Value::Array(theirs), Value::Array(ours)) => {
                theirs.iter().zip(ours).for_each(|(theirs, ours)| self.learn(theirs, ours));
            }
            _ => {}
        }
    }
}

/// The bytes of a recorded body; what was too large to be recorded is stood for by as many bytes, and JSON that was
/// written with more space is filled up with it.
fn bytes(message: &Value) -> Vec<u8> {
    let body = &message["body"];
    if let Some(json) = body.get("json") {
        let headers = message["headers"].as_object().unwrap();
        let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = length.and_then(|(_, value)| value.as_str()?.parse().ok()).unwrap_or(0);
        return format!("{:length$}", json.to_string()).into_bytes();
    }
    if let Some(text) = body["text"].as_str() {
        return text.as_bytes().to_vec();
    }
    body["size"].as_u64().map(|size| vec![b'x'; size as usize]).unwrap_or_default()
}

/// Sends one exchange again; what differs.
fn again(connection: &mut Connection, exchange: &Value, ids: &mut Ids) -> Vec<String> {
    let (request, response) = (&exchange["request"], &exchange["response"]);
    let text = |key: &str| ids.apply(request[key].as_str().unwrap_or_default());
    let query = text("query");
    let target = if query.is_empty() { text("path") } else { format!("{}?{query}", text("path")) };
    let headers = recorded_headers(request);
    let method = request["method"].as_str().unwrap();
    let sent = bytes(request);
    let sent = if method == "PUT" { sent } else { ids.apply(&String::from_utf8(sent).unwrap()).into_bytes() };
    let answer = connection.ask(method, &target, &headers, &sent).unwrap();
    let status = response["status"].as_u64().unwrap();
    let at = format!("{} {method} {target}", exchange["seq"]);
    if u64::from(answer.status) != status {
        return vec![format!("{at}: {} instead of {status}: {}", answer.status, answer.text())];
    }
    let mut differ = Vec::new();
    if method == "GET" && target.contains("/artifacts/1/") {
        let expected = bytes(response);
        let json = response["body"].get("json").filter(|json| **json == answer.json());
        if json.is_none() && answer.body.len() != expected.len() {
            differ.push(format!("{at}: {} bytes instead of {}", answer.body.len(), expected.len()));
        }
    } else if let Some(theirs) = response["body"].get("json") {
        let ours: Value = answer.json();
        ids.learn(theirs, &ours);
        let theirs: Value = serde_json::from_str(&ids.apply(&theirs.to_string())).unwrap();
        compare(&at, &theirs, &ours, &mut differ);
    }
    differ
}

fn replay(file: &Path, least: usize) -> (Sandbox, Server) {
    let mut sandbox = Sandbox::new();
    sandbox.at("2026-11-23T00:00:00Z");
    let server = Server::start(&sandbox);
    let (mut connection, mut ids) = (server.connect(), Ids::default());
    let mut differ = Vec::new();
    let text = std::fs::read_to_string(file).unwrap();
    let exchanges: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for exchange in &exchanges {
        differ.extend(again(&mut connection, exchange, &mut ids));
    }
    assert!(exchanges.len() >= least, "{} exchanges", exchanges.len());
    assert!(differ.is_empty(), "{}:\n{}", file.display(), differ.join("\n"));
    (sandbox, server)
}

#[test]
fn client_3_17_with_autolog_and_registry() {
    let Some(corpora) = corpora() else { return };
    let (sandbox, server) = replay(&corpora.join("mlflow/train_autolog_registry.ndjson"), 95);
    let trained = "models trained on dataset '/data/iris.csv'";
    assert_eq!(server.column(trained, "name"), ["iris-clf", "model"]);
    assert_eq!(server.column("models live in staging", "name"), ["iris-clf"]);
    sandbox.run(["verify"]).done();
}

#[test]
fn client_3_17_whose_training_fails() {
    let Some(corpora) = corpora() else { return };
    let (sandbox, server) = replay(&corpora.join("mlflow/train_failed_run.ndjson"), 48);
    // The model of autolog was whole before the run failed, the other one never was.
    assert_eq!(server.column("models trained on dataset '/data/iris.csv'", "name"), ["model"]);
    sandbox.run(["verify"]).done();
}

#[test]
fn client_2_22() {
    let Some(corpora) = corpora() else { return };
    let (sandbox, server) = replay(&corpora.join("mlflow/train_mlflow2_client.ndjson"), 44);
    let trained = "models trained on dataset '/data/iris.csv'";
    assert_eq!(server.column(trained, "name"), ["again", "iris-logreg"]);
    assert_eq!(server.column("model iris-logreg@champion", "version"), ["v1"]);
    sandbox.run(["verify"]).done();
}
