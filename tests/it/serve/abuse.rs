//! Abuse: bombs, slow connections, and names that would be paths.
//!
//! In full: `SERVE_FULL=1 cargo test -p lineage-tests --test it serve::abuse`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use lineage_tests::http::quoted;
use lineage_tests::random::Random;
use lineage_tests::sandbox::{Sandbox, binary};
use lineage_tests::server::Server;
use lineage_tests::{memory, skipped, strace, walk};
use serde_json::json;

use super::basics::{gzip, run_event};
use super::{seed, size};

/// A bomb must not take more.
const GROWTH: u64 = 64 * 1024 * 1024;

/// Bombs that come as bodies: what, where to, headers, bytes.
fn bombs() -> Vec<(&'static str, &'static str, bool, Vec<u8>)> {
    let one = "/api/v1/lineage";
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let deep_facet = format!(
        r#"{{"eventTime":"2026-01-01T00:00:00Z","producer":"p","run":{{"runId":"r","facets":{{"x":{{"a":{}}}}}}},"job":{{"namespace":"n","name":"j"}}}}"#,
        String::from_utf8_lossy(&deep)
    );
    let keys = (0..1_000_000).map(|i| format!("\"k{i}\":1")).collect::<Vec<_>>().join(",");
    let keys = format!("{{{keys}}}").into_bytes();
    let zeros = gzip(&vec![b' '; 64 * 1024 * 1024]);
    let twice = gzip(&zeros);
    vec![
        ("depth 100,000", one, false, deep.clone()),
        ("depth 100,000 in a facet", one, false, deep_facet.into_bytes()),
        ("depth 100,000 in a batch", "/api/v1/lineage/batch", false, deep.clone()),
        ("depth 100,000 in native", "/api/events", false, [b"{\"v\":".to_vec(), deep.clone(), b"}".to_vec()].concat()),
        ("depth 100,000 in a question", "/api/query", false, deep),
        (
            "brackets in a question",
            "/api/query",
            false,
            json!({ "query": "(".repeat(300_000) }).to_string().into_bytes(),
        ),
        ("not in a question", "/api/query", false, json!({ "query": "not ".repeat(200_000) }).to_string().into_bytes()),
        ("1 M keys", one, false, keys.clone()),
        ("1 M keys in a batch", "/api/v1/lineage/batch", false, [b"[".to_vec(), keys, b"]".to_vec()].concat()),
        ("64 kB that inflate to 64 MB", one, true, zeros.clone()),
        ("64 kB that inflate to 64 MB in a batch", "/api/v1/lineage/batch", true, zeros),
        ("gzip in gzip", one, true, twice),
    ]
}

/// The most memory that a process has taken so far.
fn peak(server: &Server) -> u64 {
    memory::peak(server.id()).unwrap()
}

#[test]
fn bombs_are_refused_and_take_little_memory() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    server.post("/api/v1/lineage", &run_event("COMPLETE", "r", "j", &["a"], &["b"]).to_string()).is(201);
    server.query("datasets").is(200);
    let idle = peak(&server);
    let mut said = Vec::new();
    for (what, target, packed, body) in bombs() {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(packed.then_some(("content-encoding", "gzip")));
        let answer = server.connect().ask("POST", target, &headers, &body).unwrap();
        let refused = answer.status >= 400 || answer.json()["summary"]["successful"] == 0;
        assert!(answer.status < 500 && refused, "{what}: {} {}", answer.status, answer.text());
        let growth = peak(&server).saturating_sub(idle);
        said.push(format!("{what}: {} after {} MB", answer.status, growth / 1_000_000));
        assert!(growth < GROWTH, "{said:?}");
    }
    // A body of 1 GB: declared, it is refused before it comes; in chunks, as soon as it is too large.
    let mut declared = TcpStream::connect(server.address).unwrap();
    let head = "POST /api/v1/lineage HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    write!(declared, "{head}Content-Length: 1073741824\r\n\r\n").unwrap();
    let mut line = [0; 12];
    declared.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"HTTP/1.1 413");
    let mut chunked = TcpStream::connect(server.address).unwrap();
    write!(chunked, "{head}Transfer-Encoding: chunked\r\n\r\n").unwrap();
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    let sent = (0..16 * 1024).take_while(|_| chunked.write_all(&chunk).is_ok()).count();
    assert!(sent < 4096, "{sent} chunks of 64 kB were taken");
    let growth = peak(&server).saturating_sub(idle);
    said.push(format!("1 GB in chunks: {} MB", growth / 1_000_000));
    assert!(growth < GROWTH, "{said:?}");
    lineage_tests::told(&format!("bombs: {}", said.join(", ")));
    server.get("/healthz").is(200);
}

#[test]
fn long_heads_are_refused() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let long = "x".repeat(200_000);
    let many: Vec<(String, &str)> = (0..200).map(|i| (format!("x-{i}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    for (target, headers) in
        [(format!("/{long}"), &[][..]), ("/".to_owned(), &[("x-long", long.as_str())][..]), ("/".to_owned(), &many)]
    {
        // It may close before everything is sent.
        if let Ok(answer) = server.connect().ask("GET", &target, headers, b"") {
            assert!([400, 414, 431].contains(&answer.status), "{}", answer.status);
        }
    }
    server.get("/healthz").is(200);
}

/// How many files this process may open.
fn files_max() -> usize {
    let output = Command::new("sh").args(["-c", "ulimit -n"]).output().unwrap().stdout;
    String::from_utf8_lossy(&output).trim().parse().unwrap_or(usize::MAX)
}

#[test]
fn slow_connections_harm_nobody_and_are_closed() {
    let n = size(300, 5000);
    if files_max() < n + 200 {
        return skipped(&format!(
            "{n} slow connections: only {} files may be open; raise it with ulimit -n",
            files_max()
        ));
    }
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let head = "POST /api/v1/lineage HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let mut slow: Vec<TcpStream> = (0..n)
        .map(|i| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            // Half of them rest in the head, half in the body.
            let rest = if i % 2 == 0 { "X-Slow: " } else { "Content-Length: 100000\r\n\r\n" };
            stream.write_all(format!("{head}{rest}").as_bytes()).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    let mut good: Vec<_> = (0..50).map(|_| server.connect()).collect();
    let (mut sent, mut times) = (0, Vec::new());
    while !slow.is_empty() {
        for connection in &mut good {
            let event = run_event("COMPLETE", &format!("r{sent}"), "good", &["a"], &["b"]);
            let begun = std::time::Instant::now();
            connection.post("/api/v1/lineage", event.to_string().as_bytes()).unwrap().is(201);
            times.push(begun.elapsed());
            sent += 1;
        }
        // One byte of each, until the server has closed it.
        slow.retain_mut(|stream| {
            let mut answer = [0; 1024];
            !matches!(stream.read(&mut answer), Ok(0))
                && stream.write(b"x").map_or_else(|e| e.kind() == std::io::ErrorKind::WouldBlock, |_| true)
        });
    }
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    lineage_tests::told(&format!(
        "{n} slow connections beside 50 good ones: {sent} good requests, 0 failed, p99 {p99:.0?}"
    ));
    assert_eq!(server.metric("lineage_events"), sent);
}

/// Names that were paths to somebody: of the vulnerabilities of `MLflow`, and mixed from their pieces.
fn traversals() -> Vec<String> {
    let mut names: Vec<String> = [
        "../../../../etc/passwd",
        "..\\..\\..\\etc\\passwd",
        "/etc/passwd",
        "//etc/passwd",
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%2f..%2fetc%2fpasswd",
        "..%252f..%252fetc",
        "....//....//etc/passwd",
        "..;/..;/etc/passwd",
        "http:///#/../../etc/passwd",
        "x#/../../../etc/passwd",
        "x?/../../../etc/passwd",
        "./../keys/tokens.json",
        "../config.toml",
        "journal/../config.toml",
        "C:\\windows\\win.ini",
        "x\u{0}.csv",
        "\u{ff0e}\u{ff0e}/etc/passwd",
        "\u{2025}/etc",
        ".",
        "..",
        "~",
        "~root/.ssh/id_rsa",
        "-rf",
        "$(touch pwned)",
        "`touch pwned`",
        "con",
        "/dev/stdin",
        "/proc/self/environ",
        "\\\\host\\share\\x",
        "%00",
        "%c0%ae%c0%ae/etc",
        "..%c1%9c",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("a/".repeat(2048));
    names.push("é".repeat(2048));
    let pieces = [
        "..",
        "/",
        "\\",
        "%2e",
        "%2f",
        "etc",
        "passwd",
        "#",
        "?",
        "file:",
        "tokens.json",
        "\u{ff0e}",
        " ",
        "keys",
        "outside",
        ";",
        "%00",
        ".",
    ];
    let mut random = Random::new(seed());
    for _ in 0..size(100, 1000) {
        names.push((0..=random.below(12)).map(|_| pieces[random.below(pieces.len())]).collect());
    }
    names
}

#[test]
fn no_name_becomes_a_path() {
    if !strace::is_there() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("outside", "the canary of files outside");
    let trace = sandbox.path().join("trace");
    let mut command = Command::new("strace");
    let calls = "trace=open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,truncate,chmod,fchmodat";
    command.args(["-D", "-f", "-qq", "-s", "9999", "-e", calls, "-o"]).arg(&trace).arg(binary());
    command
        .args(["--json", "--actor", "ana", "serve", "--listen", "127.0.0.1:0"])
        .current_dir(sandbox.path())
        .stdin(Stdio::null());
    let server = Server::of(&mut command);
    let mut connection = server.connect();
    for name in traversals() {
        let part = quoted(&name);
        let mut event = run_event("COMPLETE", &name, &name, &[&name], &[&name]);
        event["job"]["namespace"] = json!(name);
        event["run"]["facets"] =
            json!({ &name: { "path": name, "big": "x".repeat(20_000) }, "sql": { "query": name } });
        event["outputs"][0]["namespace"] = json!(name);
        let native =
            json!({ "v": 1, "kind": "transform", "namespace": name, "id": name, "outputs": [{ "name": name }] });
        let question = json!({ "query": format!("dataset './{name}'") });
        let file = json!({ "query": format!("dataset ./{name}") });
        let asked = [
            ("POST", "/api/v1/lineage".to_owned(), event.to_string()),
            ("POST", "/api/events".to_owned(), native.to_string()),
            ("POST", "/api/query".to_owned(), question.to_string()),
            ("POST", "/api/query".to_owned(), file.to_string()),
            ("PUT", format!("/api/artifacts/{part}"), name.clone()),
            ("GET", format!("/api/artifacts/{part}"), String::new()),
            ("GET", format!("/api/artifacts/b3:{part}"), String::new()),
            ("GET", format!("/api/v1/namespaces/{part}/datasets/{part}"), String::new()),
            ("GET", format!("/api/v1/namespaces/{part}/jobs/{part}/runs"), String::new()),
            ("GET", format!("/api/v1/lineage?nodeId={part}"), String::new()),
            // As it stands, where the protocol can carry it.
            ("GET", format!("/api/artifacts/{}", name.replace(|c: char| !c.is_ascii_graphic(), "")), String::new()),
        ];
        for (method, target, body) in asked {
            let headers = [("content-type", "application/json")];
            let Ok(answer) = connection.ask(method, &target, &headers, body.as_bytes()) else {
                connection = server.connect();
                continue;
            };
            assert!(answer.status < 500, "{method} {target}: {}", answer.text());
            let text = answer.text();
            assert!(!text.contains("root:x:") && !text.contains("the canary"), "{method} {target}: {text}");
            if method == "PUT" {
                assert!((400..500).contains(&answer.status), "{target}: {text}");
            }
        }
    }
    assert_eq!(server.stop("TERM").0, 0);
    let store = sandbox.store().canonicalize().unwrap();
    check_trace(&fs::read_to_string(&trace).unwrap(), &store);
    let mut outside: Vec<_> =
        walk::files(sandbox.path()).into_iter().filter(|file| !file.starts_with(sandbox.store())).collect();
    outside.sort();
    assert_eq!(outside, [sandbox.path().join("outside"), trace]);
    sandbox.run(["verify"]).done();
}

/// Whatever was opened to be written, renamed, made or removed lies in the store, and what was read is ours or the system's.
fn check_trace(trace: &str, store: &std::path::Path) {
    let (mut n_written, mut wrong) = (0, Vec::new());
    for line in trace.lines() {
        let Some((call, rest)) = line.split_once('(') else { continue };
        let reads = call.contains("open") && !["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| rest.contains(flag));
        for path in rest.split('"').skip(1).step_by(2) {
            let inside = std::path::Path::new(path).starts_with(store);
            n_written += usize::from(inside && !reads);
            let system = ["/lib", "/usr/lib", "/etc/ld.so", "/proc/", "/sys/", "/dev/urandom", "/dev/null"];
            let system = reads && (system.iter().any(|prefix| path.starts_with(prefix)) || path.contains(".so"));
            if !inside && !system && path != store.parent().unwrap().to_str().unwrap() {
                wrong.push(line.to_owned());
            }
            if path.contains("..") || path.contains("passwd") {
                wrong.push(line.to_owned());
            }
        }
    }
    assert!(n_written > 50, "the trace sees what it looks for");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
