//! Who may do what: every endpoint with every kind of token, what each kind of event asks for, and TLS.

use std::process::Command;

use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use lineage_tests::skipped;
use serde_json::{Value, json};

fn token(sandbox: &Sandbox, name: &str, args: &[&str]) -> String {
    let mut all = vec!["--json", "token", "add", name];
    all.extend(args);
    let said = sandbox.run(all);
    said.done();
    said.json()["token"].as_str().unwrap().to_owned()
}

const ROLES: [&str; 4] = ["reader", "emitter", "operator", "auditor"];

/// What each rule asks for, apart from the code: the columns are reader, emitter, operator, auditor.
fn expected(rule: &str) -> [bool; 4] {
    match rule {
        "anyone" | "any token" => [true; 4],
        rule if rule.starts_with("reader of") => [true, false, true, true],
        rule if rule.starts_with("emitter") => [false, true, true, true],
        rule => panic!("a new rule, `{rule}`: say here who fits"),
    }
}

/// Every endpoint: method, path with its variable parts filled, rule.
fn endpoints(server: &Server) -> Vec<(String, String, String)> {
    let document = server.get("/api/openapi.json").is(200).json();
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let path = path.replace("{namespace}", "shop").replace("{digest}", &"0".repeat(64));
            let path =
                ["dataset", "job", "id", "flow", "run", "step", "task", "artifact", "path", "model_id", "tag_key"]
                    .iter()
                    .fold(path, |path, part| path.replace(&format!("{{{part}}}"), "x"))
                    .replace("{attempt}", "0");
            found.push((method.to_uppercase(), path, operation["x-rule"].as_str().unwrap().to_owned()));
        }
    }
    assert!(found.len() >= 20, "{}", found.len());
    found
}

/// The status of a request with or without a token; the body is nothing that would be recorded.
fn status(server: &Server, method: &str, path: &str, token: Option<&str>) -> u16 {
    // What follows the log has no end.
    let path = if path == "/api/positions" { "/api/positions?after=x" } else { path };
    let mut connection = server.connect();
    if let Some(token) = token {
        connection = connection.with_token(token);
    }
    let body: &[u8] = if matches!(method, "POST" | "PATCH") { b"{}" } else { b"" };
    connection.ask(method, path, &[("content-type", "application/json")], body).unwrap().status
}

/// Every event that is recorded.
fn log(sandbox: &Sandbox) -> Vec<Value> {
    let ran = sandbox.run(["--json", "log"]);
    let event = |line: &str| serde_json::from_str::<Value>(line).unwrap()["event"].clone();
    ran.done().lines().map(event).collect()
}

#[test]
fn every_endpoint_with_every_token() {
    let sandbox = Sandbox::new();
    let tokens = ROLES.map(|role| token(&sandbox, role, &["--role", role]));
    let elsewhere =
        ROLES.map(|role| token(&sandbox, &format!("{role} elsewhere"), &["--role", role, "--namespace", "other"]));
    let expired = token(&sandbox, "old", &["--role", "operator", "--expires", "2026-11-20T11:00:00Z"]);
    let server = Server::with(&sandbox, ["--require-tokens"]);
    let mut n_refused = 0;
    // Too many at once are not judged one by one, so that each is asked for until it is.
    let judged = |method: &str, path: &str, token: Option<&str>| loop {
        match status(&server, method, path, token) {
            429 => {}
            status => return status,
        }
    };
    for (method, path, rule) in endpoints(&server) {
        let fits = expected(&rule);
        for (i, role) in ROLES.iter().enumerate() {
            let status = judged(&method, &path, Some(&tokens[i]));
            assert_eq!(status != 403, fits[i], "{method} {path} as {role}: {status}");
            assert_ne!(status, 401, "{method} {path} as {role}");
            // A role in another namespace does not count where answers cross them, or the path names one.
            let status = judged(&method, &path, Some(&elsewhere[i]));
            let fits = fits[i] && !rule.starts_with("reader") && !rule.contains("of the namespace");
            assert_eq!(status != 403, fits, "{method} {path} as {role} of another namespace: {status}");
        }
        for token in [None, Some("lnt_wrong"), Some(expired.as_str()), Some("")] {
            let status = judged(&method, &path, token);
            let is_open = rule == "anyone" && (token.is_none() || token == Some(""));
            assert_eq!(status == 401, !is_open, "{method} {path} with {token:?}: {status}");
            n_refused += u64::from(!is_open);
        }
    }
    let server = server.with_token(&tokens[0]);
    let counted = server.metric("lineage_refused_total{reason=\"unauthorized\"}");
    let expired = server.metric("lineage_refused_total{reason=\"expired\"}");
    assert_eq!(counted + expired, n_refused, "every refusal is counted");
}

#[test]
fn kinds_of_events_ask_for_roles_on_their_namespaces() {
    let sandbox = Sandbox::new();
    let secret = |role: &str| token(&sandbox, role, &["--role", role, "--namespace", "shop"]);
    let tokens = ROLES.map(secret);
    let server = Server::with(&sandbox, ["--require-tokens"]);
    let about = |namespace: &str| json!([{ "kind": "model", "name": "m", "namespace": namespace }]);
    let event = |kind: &str, more: Value| {
        let mut event = json!({ "v": 1, "kind": kind, "namespace": "shop", "id": format!("{kind}{more}") });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let model = json!([{ "kind": "model", "name": "m", "digest": format!("b3:{}", "1".repeat(64)) }]);
    // Emitter, operator and auditor may send the first, operator and auditor the second, nobody the last.
    let free = [
        event("training", json!({ "outputs": model })),
        event("evaluation", json!({ "about": about("shop"), "outcome": "pass" })),
        event("tag", json!({ "about": about("shop"), "args": { "tags": ["x"] } })),
        event("describe", json!({ "about": about("shop"), "args": { "owner": "x" } })),
    ];
    let judging = [
        event("audit", json!({ "about": about("shop"), "outcome": "pass" })),
        event("deployment", json!({ "about": about("shop"), "environment": "prod" })),
        event("retirement", json!({ "about": about("shop"), "environment": "prod" })),
        event("alias", json!({ "about": about("shop"), "args": { "alias": "champion" } })),
        event("approve", json!({ "run": "r", "args": { "step": "s" } })),
        event("retract", json!({ "about": [{ "run": "r" }] })),
    ];
    let nobody = [
        event("audit", json!({ "about": about("other"), "outcome": "pass" })),
        event("audit", json!({ "namespace": "other", "about": about("other"), "outcome": "pass" })),
        event("training", json!({ "namespace": "other", "outputs": model })),
        event("tag", json!({ "about": about("other"), "args": { "tags": ["x"] } })),
        event("erase", json!({ "args": { "subject": "s", "basis": "b" } })),
        event("access", json!({ "args": { "subject": "me", "action": "grant", "role": "operator" } })),
    ];
    for (events, fits) in
        [(&free[..], [false, true, true, true]), (&judging, [false, false, true, true]), (&nobody, [false; 4])]
    {
        for event in events {
            for (i, role) in ROLES.iter().enumerate() {
                let mut connection = server.connect().with_token(&tokens[i]);
                let answer = connection.post("/api/events", event.to_string().as_bytes()).unwrap();
                let taken = answer.status == 200 && answer.json()["summary"]["failed"] == 0;
                assert_eq!(taken, fits[i], "{event} as {role}: {}", answer.text());
            }
        }
    }
    // Who sent it first is kept with it.
    let principals: Vec<Value> = log(&sandbox).into_iter().map(|event| event["principal"].clone()).collect();
    assert!(principals.contains(&json!("emitter")) && principals.contains(&json!("operator")), "{principals:?}");
}

#[test]
fn changes_of_access_are_events_and_act_at_once() {
    let sandbox = Sandbox::new();
    let secret = token(&sandbox, "air flow", &["--role", "reader", "--role", "emitter", "--namespace", "shop"]);
    let file = std::fs::read_to_string(sandbox.store().join("keys/tokens.json")).unwrap();
    assert!(!file.contains(&secret) && !file.contains(&secret[4..]), "only the digest is kept");
    let server = Server::with(&sandbox, ["--require-tokens"]);
    assert_eq!(status(&server, "GET", "/api/v1/namespaces/shop/jobs", Some(&secret)), 200);
    let list = sandbox.run(["--json", "token", "list"]).json();
    assert_eq!(list["tokens"][0]["grants"].as_array().unwrap().len(), 2);
    sandbox.run(["token", "revoke", "air flow"]).done();
    assert_eq!(status(&server, "GET", "/api/v1/namespaces/shop/jobs", Some(&secret)), 401);
    sandbox.run(["token", "revoke", "air flow"]).fails(3, "no token named");
    sandbox.run(["token", "add", "x", "--role", "king"]).code(2);
    let events = log(&sandbox);
    let said: Vec<_> =
        events.iter().map(|event| (event["kind"].as_str().unwrap(), event["principal"].is_string())).collect();
    assert_eq!(said, [("access", true); 3], "{events:?}");
}

#[test]
fn nothing_but_this_machine_is_served_without_tokens() {
    let sandbox = Sandbox::new();
    sandbox.run(["serve", "--listen", "0.0.0.0:0"]).fails(2, "there is no token");
    sandbox.run(["serve", "--require-tokens"]).fails(2, "there is no token");
    token(&sandbox, "old", &["--role", "reader", "--expires", "2026-11-20T11:00:00Z"]);
    sandbox.run(["serve", "--listen", "0.0.0.0:0"]).fails(2, "there is no token");
    sandbox.run(["serve", "--listen", "nowhere"]).code(2);
    // On this machine a token that comes is judged once there are any, and names the principal.
    let secret = token(&sandbox, "ci", &["--role", "emitter"]);
    let server = Server::start(&sandbox);
    assert_eq!(status(&server, "GET", "/api/v1/namespaces", None), 200);
    assert_eq!(status(&server, "POST", "/api/query", Some(&secret)), 403);
    assert_eq!(status(&server, "GET", "/api/v1/namespaces", Some("lnt_wrong")), 401);
}

#[test]
fn basic_credentials_and_key_headers_carry_tokens_too() {
    let sandbox = Sandbox::new();
    let secret = token(&sandbox, "t", &["--role", "reader"]);
    let server = Server::with(&sandbox, ["--require-tokens"]);
    let packed =
        Command::new("sh").args(["-c", "printf 'user:%s' \"$0\" | base64 -w0", &secret]).output().unwrap().stdout;
    let basic = format!("Basic {}", String::from_utf8(packed).unwrap());
    for (name, value) in [("authorization", basic.as_str()), ("x-api-key", secret.as_str())] {
        server.connect().ask("GET", "/api/v1/namespaces", &[(name, value)], b"").unwrap().is(200);
    }
    server.connect().ask("GET", "/api/v1/namespaces", &[("authorization", "Basic !!")], b"").unwrap().is(401);
}

#[test]
fn rates_are_limited_by_principal() {
    let sandbox = Sandbox::new();
    let tokens = ["a", "b"].map(|name| token(&sandbox, name, &["--role", "reader"]));
    let server = Server::with(&sandbox, ["--require-tokens", "--rate", "3"]);
    let mut many = server.connect().with_token(&tokens[0]);
    let statuses: Vec<u16> = (0..50).map(|_| many.get("/api/v1/namespaces").unwrap().status).collect();
    assert!(statuses.contains(&429) && statuses[..3] == [200; 3], "{statuses:?}");
    assert_eq!(many.get("/api/v1/namespaces").unwrap().header("retry-after"), Some("1"));
    assert_eq!(status(&server, "GET", "/api/v1/namespaces", Some(&tokens[1])), 200, "the other is not held up");
    // Who has no token at all is soon not judged any more.
    let statuses: Vec<u16> = (0..200).map(|_| status(&server, "GET", "/metrics", Some("lnt_wrong"))).collect();
    assert!(statuses[0] == 401 && statuses.contains(&429), "{statuses:?}");
}

#[test]
fn tls_with_a_certificate() {
    let sandbox = Sandbox::new();
    let make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
                -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem";
    let made = Command::new("sh").args(["-c", make]).current_dir(sandbox.path()).output().unwrap();
    if !made.status.success() || Command::new("curl").arg("--version").output().is_err() {
        return skipped("TLS: openssl or curl is not there");
    }
    let server = Server::with(&sandbox, ["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    let url = format!("https://localhost:{}/healthz", server.address.port());
    let curl =
        |args: &[&str]| Command::new("curl").args(["-sS"]).args(args).current_dir(sandbox.path()).output().unwrap();
    let output = curl(&["--cacert", "cert.pem", &url]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("ok"));
    assert!(!curl(&[&url]).status.success(), "a certificate that nobody vouches for");
    assert!(!curl(&[&url.replace("https", "http")]).status.success(), "nothing is served without TLS");
    server.stop("TERM");
    sandbox.run(["serve", "--tls-cert", "cert.pem"]).code(2);
    sandbox.write("key.pem", "no key");
    sandbox.run(["serve", "--tls-cert", "cert.pem", "--tls-key", "key.pem"]).fails(2, "key.pem");
}
