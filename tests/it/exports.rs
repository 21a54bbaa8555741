//! Exports: what is written as `OpenLineage` comes back as the same graph, PROV-JSON has the form of the corpus.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use lineage_tests::corpora;
use lineage_tests::random::Random;
use lineage_tests::sandbox::Sandbox;
use serde_json::{Value, json};

/// The rows of an answer, without what an export cannot carry: positions, actors and times.
fn rows(sandbox: &Sandbox, question: &str) -> BTreeSet<String> {
    let ran = sandbox.run(["query", question, "--output", "json"]);
    ran.done();
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    let rows = answer["rows"].as_array().unwrap().iter();
    rows.map(|row| ["kind", "namespace", "name", "version"].map(|key| row[key].to_string()).join(" ")).collect()
}

/// A history of runs of several events, with every role, kind and state.
fn history(random: &mut Random) -> String {
    let kinds = ["dataset", "dataset", "model", "features", "artifact"];
    let roles = ["data", "data", "base", "eval", "code", "config", "evidence"];
    let mut lines = String::new();
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    for n in 0..40_usize {
        let kind = ["transform", "training", "evaluation", "register"][random.below(4)];
        let minute = format!("2026-11-19T10:{n:02}:00Z");
        let name = |random: &mut Random| {
            let n = random.below(9);
            (kinds[n % 5], format!("thing {n}"))
        };
        let (of, output) = name(random);
        let number = versions.entry(format!("{of} {output}")).or_default();
        *number += 1;
        let output = json!({"kind": of, "name": output, "digest": format!("b3:{:064x}", 1000 + n)});
        let mut inputs: Vec<Value> = (0..random.below(3))
            .map(|_| {
                let (kind, name) = name(random);
                json!({"kind": kind, "name": name, "role": roles[random.below(roles.len())]})
            })
            .collect();
        let mut event = json!({"v": 1, "kind": kind, "time": minute, "outputs": [output]});
        match kind {
            "register" => {}
            "evaluation" => {
                let (kind, name) = name(random);
                event["outputs"] = json!([]);
                event["inputs"] = json!(inputs);
                event["about"] = json!([{"kind": kind, "name": name, "digest": format!("b3:{:064x}", 5000 + n)}]);
                event["outcome"] = json!("pass");
                event["run"] = json!(format!("r-{n}"));
                event["job"] = json!("evaluate");
            }
            _ => {
                if random.one_in(4) {
                    inputs.push(json!({"kind": "dataset", "name": "wide"}));
                    event["outputs"][0]["from"] = json!([inputs.len() - 1]);
                }
                event["inputs"] = json!(inputs);
                event["run"] = json!(format!("r-{n}"));
                event["job"] = json!(format!("job {}", n % 5));
                if random.one_in(3) {
                    let mut start = event.clone();
                    start["state"] = json!("start");
                    start["outputs"] = json!([]);
                    lines.push_str(&start.to_string());
                    lines.push('\n');
                    event["time"] = json!(format!("2026-11-19T10:{n:02}:30Z"));
                }
                if random.one_in(6) {
                    event["state"] = json!("fail");
                }
            }
        }
        lines.push_str(&event.to_string());
        lines.push('\n');
    }
    lines
}

#[test]
fn openlineage_comes_back_as_the_same_graph() {
    let mut random = Random::new(11);
    for round in 0..6 {
        let ours = Sandbox::new();
        let lines = history(&mut random);
        ours.ingest(&lines);
        ours.run(["export", "--format", "openlineage", "-o", "events.ndjson"]).done();
        let exported = fs::read_to_string(ours.path().join("events.ndjson")).unwrap();
        let theirs = Sandbox::new();
        let ran = theirs.run_with(["--json", "ingest", "--format", "openlineage", "-"], exported.as_bytes());
        ran.done();
        let mut compared = 0;
        for kind in ["datasets", "models", "feature sets", "artifacts"] {
            let versions = rows(&ours, kind);
            assert_eq!(versions, rows(&theirs, kind), "round {round}: {kind}\n{lines}");
            for noun in ["datasets", "models"] {
                for relation in ["upstream of", "downstream of", "derived from", "trained on"] {
                    if noun == "datasets" && relation == "trained on" {
                        continue;
                    }
                    let question = format!("{noun} {relation} {kind}");
                    assert_eq!(rows(&ours, &question), rows(&theirs, &question), "round {round}: {question}\n{lines}");
                    compared += 1;
                }
            }
        }
        for version in rows(&ours, "models") {
            let [name, number] = [2, 3].map(|at| version.split("\" \"").nth(at).unwrap().trim_matches('"').to_owned());
            let question = format!("artifacts upstream of model '{name}'@{number}");
            assert_eq!(rows(&ours, &question), rows(&theirs, &question), "round {round}: {question}\n{lines}");
            compared += 1;
        }
        assert!(compared > 32, "{compared}");
    }
}

#[test]
fn what_openlineage_has_no_form_for_is_said() {
    let sandbox = Sandbox::new();
    sandbox.ingest(
        r#"{"v":1,"kind":"training","run":"r","outputs":[{"kind":"model","name":"m","digest":"b3:0101010101010101010101010101010101010101010101010101010101010101"}]}
{"v":1,"kind":"audit","about":[{"kind":"model","name":"m","version":"v1"}],"outcome":"pass"}
{"v":1,"kind":"deployment","about":[{"kind":"model","name":"m","version":"v1"}],"environment":"prod"}
"#,
    );
    let ran = sandbox.run(["export", "--format", "openlineage"]);
    assert!(ran.code == 0 && ran.stderr.contains("1 audit, 1 deployment"), "{ran}");
    let event: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(event["schemaURL"], "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent");
    assert_eq!(event["run"]["runId"].as_str().unwrap().len(), 36, "a UUID: {event}");
    assert_eq!(event["outputs"][0]["facets"]["version"]["datasetVersion"], "v1");
    assert_eq!(event["outputs"][0]["facets"]["datasetType"]["datasetType"], "MODEL");
    let native = sandbox.run(["export", "--format", "native", "--query", "model m"]);
    assert_eq!(native.stdout.lines().count(), 1, "the training alone: {native}");
    let all = sandbox.run(["export", "--format", "native", "--since", "1"]);
    assert_eq!(all.stdout.lines().count(), 2);
    let refused = sandbox.run(["export", "--format", "native", "--query", "count models"]);
    assert!(refused.code == 2 && refused.stderr.contains("does not select"), "{refused}");
    let refused = sandbox.run(["export", "--format", "native", "--since", "9"]);
    assert!(refused.code == 2 && refused.stderr.contains("beyond the head"), "{refused}");
}

/// The sections of a PROV-JSON document and the members of their records, as the corpus has them.
#[test]
fn prov_has_the_form_of_the_corpus() {
    let sandbox = Sandbox::empty();
    sandbox.run(["demo", "."]).done();
    let ran = sandbox.run(["export", "--format", "prov"]);
    ran.done();
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let ids = |section: &str| -> BTreeSet<String> {
        document[section].as_object().unwrap_or_else(|| panic!("no {section}")).keys().cloned().collect()
    };
    let (entities, activities, agents) = (ids("entity"), ids("activity"), ids("agent"));
    assert_eq!(entities.len(), rows(&sandbox, "artifacts").len(), "every version");
    for (section, members) in [
        ("used", [("prov:activity", &activities), ("prov:entity", &entities)]),
        ("wasGeneratedBy", [("prov:activity", &activities), ("prov:entity", &entities)]),
        ("wasAssociatedWith", [("prov:activity", &activities), ("prov:agent", &agents)]),
    ] {
        for record in document[section].as_object().unwrap().values() {
            for (member, there) in &members {
                assert!(there.contains(record[*member].as_str().unwrap()), "{section}: {record}");
            }
        }
    }
    let Some(corpora) = corpora() else { return };
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in lineage_tests::walk::files_ending(&corpora.join("prov/json"), ".json") {
        let Ok(Value::Object(sample)) = serde_json::from_slice(&fs::read(path).unwrap()) else { continue };
        for (section, records) in sample {
            let records = records.as_object().into_iter().flat_map(|records| records.values());
            let members = records.filter_map(Value::as_object).flat_map(|record| record.keys().cloned());
            known.entry(section).or_default().extend(members);
        }
    }
    assert!(known.len() > 5, "the corpus has more than that: {known:?}");
    for (section, records) in document.as_object().unwrap() {
        let members = &known[section];
        for record in records.as_object().unwrap().values().filter_map(Value::as_object) {
            let own = |member: &String| !member.starts_with("prov:") || members.contains(member);
            assert!(record.keys().all(own), "{section}: {record:?} beside {members:?}");
        }
    }
}
