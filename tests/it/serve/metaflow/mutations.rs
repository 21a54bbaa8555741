//! Mutated requests: none makes the server panic, none is answered with 5xx, and what it holds is read afterwards.
//!
//! In full: `SERVE_FULL=1 SERVE_SEED=1 cargo test -p lineage-tests --test it serve::metaflow::mutations`.

use std::collections::BTreeMap;

use lineage_tests::http::quoted;
use lineage_tests::random::Random;
use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use serde_json::json;

use super::super::mutations::mutate;
use super::super::{seed, size};

/// What clients send, and where.
const REQUESTS: [(&str, &str, &str); 8] = [
    ("POST", "G", r#"{"flow_id":"G","ts_epoch":1795189747059}"#),
    ("POST", "F/run", r#"{"flow_id":"F","user_name":"alice","tags":["a"],"system_tags":["user:alice","runtime:dev"]}"#),
    ("POST", "F/run", r#"{"flow_id":"F","run_number":"argo-x","user_name":"alice","tags":[],"system_tags":[]}"#),
    ("POST", "F/runs/1/steps/s/step", r#"{"run_number":"1","step_name":"s","user_name":"alice","tags":["a"]}"#),
    ("POST", "F/runs/1/steps/s/task", r#"{"run_number":"1","step_name":"s","user_name":"alice","tags":["a"]}"#),
    (
        "POST",
        "F/runs/1/steps/s/tasks/1/metadata",
        r#"[{"field_name":"attempt","type":"attempt","value":"0","tags":["attempt_id:0"],"user_name":"alice"},{"field_name":"attempt_ok","type":"internal_attempt_status","value":"True","tags":["attempt_id:0"]},{"field_name":"git-info","type":"git-info","value":"{\"repo_url\":\"u\"}","tags":[]}]"#,
    ),
    (
        "POST",
        "F/runs/1/steps/s/tasks/1/artifact",
        r#"[{"name":"x","sha":"a822ae9b08131462c33402f42bb633cbfe0a8c23","ds_type":"local","location":":root:/d","attempt_id":0,"type":"metaflow.artifact","content_type":"pickle-v4","user_name":"alice","tags":["a"]}]"#,
    ),
    ("PATCH", "F/runs/1/tag/mutate", r#"{"tags_to_add":["candidate"],"tags_to_remove":["a"]}"#),
];

/// What stands in paths where a name or a number was.
const ODD: [&str; 9] = ["", "..", "0", "01", "-1", "99999999999999999999", "a/b", "\u{202e}", "x\u{0}"];

/// Lists and single things, whatever they hold by now.
const READS: [&str; 8] = [
    "",
    "/F/runs",
    "/F/runs/1/metadata",
    "/F/runs/1/artifacts",
    "/F/runs/1/steps",
    "/F/runs/1/steps/s/tasks",
    "/F/runs/1/steps/s/filtered_tasks?pattern=^(?:.*)$",
    "/F/runs/1/steps/s/tasks/1/artifacts/x",
];

#[test]
fn no_mutation_breaks_the_service() {
    let (n, mut random) = (size(2000, 100_000), Random::new(seed()));
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let mut connection = server.connect();
    for (method, path, body) in [("POST", "F", "{}"), REQUESTS[1], REQUESTS[3], REQUESTS[4]] {
        let target = format!("/metaflow/flows/{path}");
        connection.ask(method, &target, &[("content-type", "application/json")], body.as_bytes()).unwrap().is(200);
    }
    let bodies: Vec<Vec<u8>> = REQUESTS.iter().map(|(.., body)| body.as_bytes().to_vec()).collect();
    let mut statuses = BTreeMap::<u16, usize>::new();
    for i in 0..n {
        let at = random.below(REQUESTS.len());
        let (method, path, _) = REQUESTS[at];
        let mut body = bodies[at].clone();
        for _ in 0..=random.below(3) {
            mutate(&mut body, &bodies, &mut random);
        }
        let mut parts: Vec<String> = path.split('/').map(quoted).collect();
        if random.one_in(4) {
            let at = random.below(parts.len());
            parts[at] = quoted(ODD[random.below(ODD.len())]);
        }
        let target = format!("/metaflow/flows/{}", parts.join("/"));
        let headers = [("content-type", "application/json")];
        // Where nothing takes a body, it is not read, and the connection ends.
        let answer = server.connect().ask(method, &target, &headers, &body).unwrap_or_else(|e| {
            panic!("{e} at {i}: {method} {target} {}", String::from_utf8_lossy(&body));
        });
        assert!(answer.status < 500, "{method} {target}: {} {}", answer.text(), String::from_utf8_lossy(&body));
        *statuses.entry(answer.status).or_default() += 1;
        if i % 50 == 0 {
            for path in READS {
                let answer = connection.get(&format!("/metaflow/flows{path}")).unwrap();
                assert!(answer.status == 200 || answer.status == 404, "{path}: {}", answer.text());
            }
        }
    }
    for status in [200, 400, 404, 409, 422] {
        assert!(statuses.contains_key(&status), "{status} was never answered: {statuses:?}");
    }
    let row = json!([{ "name": "good", "sha": "0".repeat(40) }]).to_string();
    server.post("/metaflow/flows/F/runs/1/steps/s/tasks/1/artifact", &row).is(200);
    server.get("/metaflow/flows/F/runs/1/steps/s/tasks/1/artifacts/good").is(200);
    assert_eq!(server.column("artifacts where name = 'F/good'", "version"), ["v1"]);
    let (code, said) = server.stop("TERM");
    assert_eq!((code, said.as_str()), (0, ""), "{statuses:?}");
    sandbox.run(["verify"]).done();
    lineage_tests::told(&format!("Metaflow: {n} mutated requests, 0 panics, 0 answers of 5xx: {statuses:?}"));
}
