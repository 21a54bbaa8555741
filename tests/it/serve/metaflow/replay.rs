//! Every recorded exchange of the client with Netflix's service, sent again: the same status, and field by field an
//! equivalent body.

use std::collections::BTreeMap;

use lineage_tests::corpora;
use lineage_tests::http::{Connection, recorded_headers};
use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use serde_json::{Map, Value};

/// Fields of answers that are not compared, each with the reason.
const LEFT_OUT: [(&str, &str); 3] = [
    ("ts_epoch", "the time of the server; that lists sort by it alike is compared"),
    ("last_heartbeat_ts", "the time of the server; no client reads it"),
    ("id", "numbers of rows of metadata over everything that is recorded; no client reads them"),
];

/// The recordings, in the order in which they were made.
const RECORDINGS: [&str; 3] = ["parallel_run.ndjson", "parallel_client.ndjson", "slow_fail_resume.ndjson"];

/// Numbers of runs and tasks as they were handed out then, and as they are now.
#[derive(Default)]
struct Numbers {
    runs: BTreeMap<String, String>,
    tasks: BTreeMap<String, String>,
}

impl Numbers {
    fn of<'a>(map: &'a BTreeMap<String, String>, id: &'a str) -> &'a str {
        map.get(id).map_or(id, String::as_str)
    }

    /// A path, as `/flows/F/runs/1/steps/S/tasks/2/metadata`.
    fn path(&self, path: &str) -> String {
        let mut parts: Vec<&str> = path.split('/').collect();
        for i in 1..parts.len() {
            parts[i] = match parts[i - 1] {
                "runs" => Self::of(&self.runs, parts[i]),
                "tasks" => Self::of(&self.tasks, parts[i]),
                _ => parts[i],
            };
        }
        parts.join("/")
    }

    /// A path as clients write it: `F/1/S/2`.
    fn spec(&self, spec: &str) -> Option<String> {
        let parts: Vec<&str> = spec.split('/').collect();
        let [flow, run, step, task] = parts[..] else { return None };
        Some(format!("{flow}/{}/{step}/{}", Self::of(&self.runs, run), Self::of(&self.tasks, task)))
    }

    fn id(map: &BTreeMap<String, String>, value: &mut Value) {
        match value {
            Value::String(text) => *text = Self::of(map, text).to_owned(),
            Value::Number(number) => *value = Self::of(map, &number.to_string()).parse::<u64>().unwrap().into(),
            _ => {}
        }
    }

    /// Puts the numbers of now into a body of then.
    fn body(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                let origin = match members.get("field_name").and_then(Value::as_str) {
                    Some("origin-run-id") => Some(&self.runs),
                    Some("origin-task-id") => Some(&self.tasks),
                    _ => None,
                };
                if let Some(map) = origin {
                    Self::id(map, &mut members["value"]);
                }
                for (key, map) in [("run_number", &self.runs), ("task_id", &self.tasks)] {
                    if let Some(value) = members.get_mut(key) {
                        Self::id(map, value);
                    }
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|item| self.body(item)),
            Value::String(text) => {
                if let Some(spec) = self.spec(text) {
                    *text = spec;
                }
            }
            _ => {}
        }
    }

    /// Learns from the answer to making a run or a task.
    fn learn(&mut self, then: &Value, now: &Value) {
        for (key, map) in [("run_number", &mut self.runs), ("task_id", &mut self.tasks)] {
            if let (Some(then), Some(now)) = (then[key].as_u64(), now[key].as_u64()) {
                map.insert(then.to_string(), now.to_string());
            }
        }
    }
}

/// A body with its lists sorted, and without what is not compared.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(key, _)| !LEFT_OUT.iter().any(|(left, _)| left == key));
            kept.map(|(key, value)| (key.clone(), comparable(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(comparable).collect();
            list.sort_by_key(Value::to_string);
            list.into()
        }
        other => other.clone(),
    }
}

/// Clients sort by time: what was later then must be later now.
fn check_order(then: &Value, now: &Value, what: &str) {
    let times = |list: &Value| -> BTreeMap<String, i64> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(|item| Some((comparable(item).to_string(), item["ts_epoch"].as_i64()?))).collect()
    };
    let (then, now) = (times(then), times(now));
    for (a, time_of_a) in &then {
        for (b, _) in then.iter().filter(|(_, time_of_b)| *time_of_b > time_of_a) {
            assert!(now[b] > now[a], "{what}: {b} must be later than {a}");
        }
    }
}

/// A body that was recorded, as JSON; what is no JSON as text.
fn recorded(body: &Value) -> Value {
    body.get("json").or_else(|| body.get("text")).cloned().unwrap_or_default()
}

/// Sends one recorded exchange again and compares what is answered.
fn again(connection: &mut Connection, exchange: &Value, numbers: &mut Numbers) {
    let (request, response) = (&exchange["request"], &exchange["response"]);
    let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
    let target = format!("/metaflow{}", numbers.path(path));
    let headers = recorded_headers(request);
    let mut body = recorded(&request["body"]);
    numbers.body(&mut body);
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = connection.ask(method, &target, &headers, &bytes).unwrap();
    let what = format!("{method} {target}");
    let status = response["status"].as_u64().unwrap();
    if path.ends_with("/heartbeat") {
        // Netflix's service answers 404 to a beat within ten seconds of the last; the client beats again soon then.
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let text = answer.json();
        let twice: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        assert_eq!(twice["wait_time_in_seconds"], 10);
        return;
    }
    assert_eq!(u64::from(answer.status), status, "{what}: {}", answer.text());
    if response["headers"].get("METADATA_SERVICE_VERSION").is_some() && status == 200 {
        assert_eq!(answer.header("metadata_service_version"), Some("2.5.1"), "{what}");
    }
    if status == 404 {
        // Clients read the status alone.
        return;
    }
    let mut then = recorded(&response["body"]);
    if method == "POST" {
        numbers.learn(&then, &answer.json());
    }
    numbers.body(&mut then);
    if path == "/ping" {
        assert_eq!(answer.text(), then.as_str().unwrap());
    } else if status == 422 {
        assert_eq!(answer.text(), then.as_str().unwrap(), "{what}: clients show it as it is");
    } else {
        let now = answer.json();
        assert_eq!(comparable(&now), comparable(&then), "{what}");
        check_order(&then, &now, &what);
    }
}

#[test]
fn recorded_exchanges_get_equivalent_answers() {
    let Some(corpora) = corpora() else { return };
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let (mut numbers, mut exchanges) = (Numbers::default(), 0);
    for name in RECORDINGS {
        let mut connection = server.connect();
        for line in std::fs::read_to_string(corpora.join("metaflow").join(name)).unwrap().lines() {
            again(&mut connection, &serde_json::from_str(line).unwrap(), &mut numbers);
            exchanges += 1;
        }
    }
    assert!(exchanges > 250, "{exchanges}");
    drop(server);
    // A server that starts again answers from what is recorded alone.
    let server = Server::start(&sandbox);
    let mut connection = server.connect();
    let mut reads = 0;
    let text = std::fs::read_to_string(corpora.join("metaflow").join(RECORDINGS[1])).unwrap();
    for line in text.lines().rev() {
        let exchange: Value = serde_json::from_str(line).unwrap();
        // Tags change while they are recorded; what was read after that is read again.
        if exchange["request"]["method"] == "PATCH" && exchange["response"]["status"] == 200 {
            break;
        }
        again(&mut connection, &exchange, &mut numbers);
        reads += 1;
    }
    assert!(reads >= 9, "{reads}");
    drop(server);
    sandbox.run(["verify"]).done();
}
