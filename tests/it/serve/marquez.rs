//! The reads of Marquez: their shapes are those of its `OpenAPI` file, and what they say is what was recorded.

use std::collections::BTreeMap;
use std::process::Command;

use lineage_store::time::Time;
use lineage_tests::http::quoted;
use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use lineage_tests::{clients, corpora, skipped};
use serde_json::{Value, json};

/// The schemas of the file, by name.
struct Shapes(BTreeMap<String, Value>);

impl Shapes {
    /// YAML is read by the Python beside us, if it can.
    fn read() -> Option<Self> {
        let path = corpora()?.join("marquez/openapi.yml");
        let script = "import sys,json,yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1])), default=str))";
        for python in [clients().join("bin/python"), "python3".into()] {
            let Ok(output) = Command::new(&python).args(["-c", script]).arg(&path).output() else { continue };
            let Ok(whole) = serde_json::from_slice::<Value>(&output.stdout) else { continue };
            let schemas = whole["components"]["schemas"].as_object().unwrap();
            return Some(Self(schemas.iter().map(|(k, v)| (k.clone(), v.clone())).collect()));
        }
        skipped("shapes of Marquez: no Python with yaml reads its OpenAPI file; .ci/run installs one");
        None
    }

    /// What of a value is not as a schema says.
    fn wrong(&self, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            return self.wrong(&self.0[name.rsplit('/').next().unwrap()], value, at, wrong);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.wrong(part, value, at, wrong);
        }
        for key in ["anyOf", "oneOf"] {
            let Some(parts) = schema[key].as_array() else { continue };
            let found = |part: &Value| {
                let mut found = Vec::new();
                self.wrong(part, value, at, &mut found);
                found
            };
            let found: Vec<Vec<String>> = parts.iter().map(found).collect();
            if !found.iter().any(Vec::is_empty) {
                wrong.push(format!("{at} fits none of {key}: {found:?}"));
            }
        }
        let is_type = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            _ => true,
        };
        if !is_type {
            // The server that the file describes answers null for what is not known.
            if !value.is_null() {
                wrong.push(format!("{at} is no {}: {value}", schema["type"]));
            }
            return;
        }
        match (schema["format"].as_str(), value.as_str()) {
            (Some("uuid"), Some(text)) if !is_uuid(text) => wrong.push(format!("{at} is no UUID: {text}")),
            (Some("date-time"), Some(text)) if !text.contains('T') => wrong.push(format!("{at} is no time: {text}")),
            _ => {}
        }
        if let (Some(words), false) = (schema["enum"].as_array(), value.is_null())
            && !words.contains(value)
        {
            wrong.push(format!("{at} is none of {words:?}: {value}"));
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(name).is_none_or(Value::is_null) {
                wrong.push(format!("{at}.{name} is missing"));
            }
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            match value.get(name) {
                Some(member) => self.wrong(property, member, &format!("{at}.{name}"), wrong),
                None if ["context", "lifecycleState", "value"].contains(&name.as_str()) => {}
                None => wrong.push(format!("{at}.{name} is not there")),
            }
        }
        for (i, item) in value.as_array().into_iter().flatten().enumerate() {
            self.wrong(&schema["items"], item, &format!("{at}[{i}]"), wrong);
        }
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

const RECORDED: [&str; 4] = [
    "openlineage/recorded/dbt-duckdb/jaffle_build.events.ndjson",
    "openlineage/recorded/airflow/shop_etl_scheduler.events.ndjson",
    "openlineage/recorded/python-client/plain.events.ndjson",
    "openlineage/recorded/dbt-duckdb/brokenshop_run.events.ndjson",
];

/// A server that has been sent what real clients sent.
fn recorded() -> Option<(Sandbox, Server)> {
    let corpora = corpora()?;
    let mut sandbox = Sandbox::new();
    sandbox.at("2026-11-23T00:00:00Z");
    let server = Server::start(&sandbox);
    for file in RECORDED {
        let text = std::fs::read_to_string(corpora.join(file)).unwrap();
        let mut connection = server.connect();
        for line in text.lines() {
            let status = connection.post("/api/v1/lineage", line.as_bytes()).unwrap().status;
            assert!(status == 201 || status == 200);
        }
    }
    Some((sandbox, server))
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

/// Every address that can be read after what was recorded, with the name of its schema.
fn addresses(server: &Server) -> Vec<(String, &'static str)> {
    let mut all = vec![
        ("/api/v1/namespaces?limit=1000".to_owned(), "NamespaceList"),
        ("/api/v1/events/lineage?limit=500".to_owned(), "LineageEventList"),
        ("/api/v1/search?q=o&limit=500".to_owned(), "SearchResultList"),
    ];
    for namespace in names(&server.get("/api/v1/namespaces?limit=1000").is(200).json()["namespaces"]) {
        let base = format!("/api/v1/namespaces/{}", quoted(namespace));
        all.push((base.clone(), "Namespace"));
        all.push((format!("{base}/datasets?limit=1000"), "DatasetList"));
        all.push((format!("{base}/jobs?limit=1000"), "JobList"));
        for dataset in names(&server.get(&format!("{base}/datasets?limit=1000")).is(200).json()["datasets"]) {
            let node = quoted(&format!("dataset:{namespace}:{dataset}"));
            all.push((format!("{base}/datasets/{}", quoted(dataset)), "Dataset"));
            all.push((format!("{base}/datasets/{}/versions", quoted(dataset)), "DatasetVersionList"));
            all.push((format!("/api/v1/lineage?nodeId={node}"), "LineageGraph"));
            all.push((format!("/api/v1/column-lineage?nodeId={node}&withDownstream=true"), "ColumnGraph"));
        }
        for job in names(&server.get(&format!("{base}/jobs?limit=1000")).is(200).json()["jobs"]) {
            let runs = format!("{base}/jobs/{}/runs", quoted(job));
            all.push((format!("{base}/jobs/{}", quoted(job)), "Job"));
            all.push((format!("/api/v1/lineage?nodeId={}", quoted(&format!("job:{namespace}:{job}"))), "LineageGraph"));
            for run in server.get(&runs).is(200).json()["runs"].as_array().unwrap() {
                all.push((format!("/api/v1/jobs/runs/{}", quoted(run["id"].as_str().unwrap())), "IncompleteRun"));
            }
            all.push((runs, "RunList"));
        }
    }
    all
}

#[test]
fn every_read_has_the_shape_of_the_openapi_file() {
    let (Some(mut shapes), Some((_sandbox, server))) = (Shapes::read(), recorded()) else { return };
    // The file has one schema for both graphs; the server that it describes calls columns by their own type.
    let text = serde_json::to_string(&shapes.0["GraphNode"]).unwrap();
    let mut node: Value = serde_json::from_str(&text).unwrap();
    node["properties"].as_object_mut().unwrap().remove("data");
    node["properties"]["type"] = json!({ "enum": ["DATASET_FIELD"] });
    shapes.0.insert(
        "ColumnGraph".to_owned(),
        json!({ "type": "object", "properties": { "graph": { "type": "array", "items": node } } }),
    );
    // Its schema says a string, its own example a list.
    shapes.0.get_mut("DatasetVersion").unwrap()["properties"]["tags"] = json!({ "type": "array" });
    let addresses = addresses(&server);
    assert!(addresses.len() > 100, "{}", addresses.len());
    let mut wrong = Vec::new();
    let mut connection = server.connect();
    for (address, schema) in &addresses {
        let value = connection.get(address).unwrap().is(200).json();
        shapes.wrong(&shapes.0[*schema], &value, schema, &mut wrong);
        assert!(wrong.is_empty(), "{address}\n{}", wrong.join("\n"));
    }
}

#[test]
fn reads_tell_what_real_clients_sent() {
    let Some((_sandbox, server)) = recorded() else { return };
    let duckdb = quoted("duckdb://jaffle.duckdb");
    let customers = server.get(&format!("/api/v1/namespaces/{duckdb}/datasets/jaffle.main.customers")).is(200).json();
    assert_eq!(customers["id"], json!({ "namespace": "duckdb://jaffle.duckdb", "name": "jaffle.main.customers" }));
    assert!(names(&customers["fields"]).contains(&"customer_id"), "{customers}");
    assert!(customers["facets"]["columnLineage"].is_object());
    let graph = server
        .get("/api/v1/lineage?nodeId=dataset:duckdb://jaffle.duckdb:jaffle.main.customers&depth=2")
        .is(200)
        .json();
    let ids: Vec<&str> = graph["graph"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"dataset:duckdb://jaffle.duckdb:jaffle.main.stg_customers"), "{ids:?}");
    assert!(!ids.contains(&"dataset:duckdb://jaffle.duckdb:jaffle.main.raw_customers"), "it is 4 steps away: {ids:?}");
    let field = "datasetField:duckdb://jaffle.duckdb:jaffle.main.stg_customers:customer_id";
    let columns = server.get(&format!("/api/v1/column-lineage?nodeId={field}")).is(200).json();
    let ids: Vec<&str> = columns["graph"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
    assert!(
        ids.iter().any(|id| id.starts_with("datasetField:duckdb://jaffle.duckdb:jaffle.main.raw_customers:")),
        "{ids:?}"
    );
    let found =
        server.get("/api/v1/search?q=STG_%25&filter=dataset&namespace=duckdb%3A%2F%2Fjaffle.duckdb").is(200).json();
    assert_eq!(found["totalCount"], 3, "{found}");
    server.get("/api/v1/namespaces/nowhere/datasets/x").is(404);
    server.get("/api/v1/lineage?nodeId=dataset:nowhere:x").is(404);
    server.get("/api/v1/lineage").is(400);
}

#[test]
fn events_come_back_as_they_were_sent() {
    let Some((_sandbox, server)) = recorded() else { return };
    let mut sent: Vec<Value> = Vec::new();
    for file in RECORDED {
        let text = std::fs::read_to_string(corpora().unwrap().join(file)).unwrap();
        sent.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    let mut told = Vec::new();
    loop {
        let page =
            server.get(&format!("/api/v1/events/lineage?limit=100&offset={}&sortDirection=asc", told.len())).is(200);
        let page = page.json()["events"].as_array().unwrap().clone();
        if page.is_empty() {
            break;
        }
        told.extend(page);
    }
    // Where columns named datasets that inputs did not, those are listed too; empty facets are written.
    let bare = |mut event: Value| {
        if let Ok(time) = event["eventTime"].as_str().unwrap_or_default().parse::<Time>() {
            event["eventTime"] = json!(time.to_string());
        }
        for side in ["inputs", "outputs"] {
            for one in event[side].as_array_mut().into_iter().flatten() {
                tidy(one);
            }
        }
        for part in ["run", "job", "dataset"] {
            if event[part].is_object() {
                tidy(&mut event[part]);
            }
        }
        if event["eventType"].is_null() || event.get("run").is_none() {
            event.as_object_mut().unwrap().remove("eventType");
        }
        for side in ["inputs", "outputs"] {
            let list = event[side].as_array().cloned().unwrap_or_default();
            event[side] = list.into_iter().filter(|one| side == "outputs" || one.get("facets").is_some()).collect();
        }
        event.to_string()
    };
    let told: std::collections::BTreeSet<String> = told.into_iter().map(bare).collect();
    for event in sent {
        let event = bare(event);
        let run = &event[event.find("runId").unwrap_or(0)..];
        let near = told.iter().find(|told| told.contains(&run[..run.len().min(46)]));
        assert!(told.contains(&event), "not told as sent:\n{event}\n{near:?}");
    }
}

/// Without empty facets, which say nothing.
fn tidy(part: &mut Value) {
    let part = part.as_object_mut().unwrap();
    for key in ["facets", "inputFacets", "outputFacets"] {
        if part.get(key).is_some_and(|facets| facets.as_object().is_none_or(serde_json::Map::is_empty)) {
            part.remove(key);
        }
    }
}

#[test]
fn reads_tell_what_was_known_then() {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let server = Server::start(&sandbox);
    let at = |state: &str, day: u8, outputs: &[&str]| {
        let mut event = super::basics::run_event(state, "r1", "load", &["raw"], outputs);
        event["eventTime"] = json!(format!("2026-03-{day:02}T10:00:00Z"));
        server.post("/api/v1/lineage", &event.to_string()).is(201);
    };
    at("START", 1, &[]);
    at("COMPLETE", 2, &["orders"]);
    let names_at = |query: &str| {
        let list = server.get(&format!("/api/v1/namespaces/db/datasets{query}")).is(200).json();
        names(&list["datasets"]).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names_at(""), ["orders", "raw"]);
    assert_eq!(names_at("?knownAt=0"), ["raw"]);
    assert_eq!(names_at("?asOf=2026-03-01T12:00:00Z"), ["raw"]);
    assert_eq!(names_at("?asOf=2026-02-01T12:00:00Z"), [""; 0]);
    assert_eq!(names_at("?limit=1&offset=1"), ["raw"]);
    let state = |query: &str| {
        server.get(&format!("/api/v1/namespaces/shop/jobs/load/runs{query}")).is(200).json()["runs"][0]["state"].clone()
    };
    assert_eq!((state(""), state("?knownAt=0")), (json!("COMPLETED"), json!("RUNNING")));
    server.get("/api/v1/namespaces?knownAt=99").is(400);
    server.get("/api/v1/namespaces?asOf=yesterday").is(400);
    server.get("/api/v1/namespaces?limit=many").is(400);
}
