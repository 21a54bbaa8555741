//! What comes piece by piece: artifacts in and out, and the positions of the log.

use std::io::Read as _;

use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use serde_json::{Value, json};

/// So many bytes that no buffer holds them at once.
const LARGE: usize = 3 * 1024 * 1024 + 7;

fn bytes(n: usize) -> Vec<u8> {
    let mut random = lineage_tests::random::Random::new(7);
    (0..n).map(|_| random.number() as u8).collect()
}

#[test]
fn artifacts_go_in_and_out_verified() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let large = bytes(LARGE);
    let file = sandbox.write("large.bin", &large);
    // The digest comes from another store, so that nothing is here yet.
    let other = Sandbox::new();
    other.run(["add", "dataset", "large", file.to_str().unwrap()]).done();
    let digest = other.column("datasets", "digest")[0].clone();
    let target = format!("/api/artifacts/{digest}");
    let ask = |method: &str, body: &[u8]| {
        server.connect().ask(method, &target, &[("content-type", "application/octet-stream")], body).unwrap()
    };
    ask("GET", b"").is(404);
    ask("HEAD", b"").is(404);
    ask("PUT", b"other bytes").is(422);
    ask("GET", b"").is(404);
    ask("PUT", &large).is(201);
    ask("PUT", &large).is(201);
    assert_eq!(ask("HEAD", b"").is(200).header("content-length"), Some(LARGE.to_string().as_str()));
    assert_eq!(ask("GET", b"").is(200).body, large);
    // What is damaged is not given out.
    let path = lineage_tests::walk::files(&sandbox.store().join("artifacts"))[0].clone();
    let mut damaged = large.clone();
    damaged[5] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &damaged).unwrap();
    assert!(ask("GET", b"").status >= 400);
    ask("PUT", &large).is(201);
    assert_eq!(ask("GET", b"").is(200).body, large, "storing it again mends it");
}

#[test]
fn an_artifact_that_breaks_off_is_not_kept() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let target = format!("/api/artifacts/b3:{}", "0".repeat(64));
    let mut stream = std::net::TcpStream::connect(server.address).unwrap();
    let head = format!("PUT {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000\r\n\r\nhalf", server.address);
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).ok();
    server.get(&target).is(404);
    assert_eq!(server.stop("TERM").0, 0);
    let left: Vec<_> = lineage_tests::walk::files(&sandbox.store().join("artifacts"));
    assert!(left.is_empty(), "{left:?}");
}

/// The next event of a stream, without beats.
fn next(connection: &mut lineage_tests::http::Connection) -> (String, Value) {
    loop {
        let text = String::from_utf8(connection.chunk().unwrap().unwrap()).unwrap();
        if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
            let id = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
            return (id.to_owned(), serde_json::from_str(data).unwrap());
        }
    }
}

fn follow(server: &Server, headers: &[(&str, &str)]) -> lineage_tests::http::Connection {
    let mut connection = server.connect();
    connection.send("GET", "/api/positions", headers, b"").unwrap();
    let mut line = connection.line().unwrap();
    assert!(line.contains("200"), "{line}");
    while !line.is_empty() {
        line = connection.line().unwrap();
    }
    connection
}

#[test]
fn positions_are_told_as_they_are_recorded() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let mut follower = follow(&server, &[]);
    let event = |run: &str| super::basics::run_event("COMPLETE", run, "load", &["raw"], &["orders"]).to_string();
    server.post("/api/v1/lineage", &event("r1")).is(201);
    assert_eq!(next(&mut follower), ("0".to_owned(), json!({ "first": 0, "last": 0 })));
    // What another process records is told as well.
    sandbox.run(["tag", "dataset", "orders", "gold"]).done();
    assert_eq!(next(&mut follower), ("1".to_owned(), json!({ "first": 1, "last": 1 })));
    // Who comes again is told what was missed.
    let mut again = follow(&server, &[("last-event-id", "0")]);
    assert_eq!(next(&mut again), ("1".to_owned(), json!({ "first": 1, "last": 1 })));
    server.get("/api/positions?after=7").is(400);
    // The server stops though somebody follows.
    assert_eq!(server.stop("TERM").0, 0);
    while let Ok(Some(_)) = follower.chunk() {}
}
