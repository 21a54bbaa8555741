//! Anchors: a witness and a time-stamping authority on the loopback, a git repository, and what `verify` says of them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use lineage_store::proof::{Hash, KeyUse, SignedCheckpoint, Signer, VerifierKey, extends};
use lineage_tests::sandbox::Sandbox;
use lineage_tests::skipped;

/// One request at a time: the path and the body in, the status and the body out.
fn serve(answer: impl Fn(&str, &[u8]) -> (u16, Vec<u8>) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let (path, body) = read(&stream);
            let (status, body) = answer(&path, &body);
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).expect("an answer");
        }
    });
    address
}

fn read(stream: &TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).expect("a request");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let Some((name, value)) = line.trim().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    (first.split(' ').nth(1).expect("a path").to_owned(), body)
}

fn witness() -> Signer {
    Signer::new("witness.example/w1", KeyUse::Cosignature, &[43; 32]).expect("a key")
}

/// A witness as C2SP tlog-witness describes it, for one log.
fn witnessing(log: VerifierKey) -> String {
    let seen: Arc<Mutex<(u64, Hash)>> = Arc::new(Mutex::new((0, Hash::empty())));
    serve(move |path, body| {
        assert_eq!(path, "/add-checkpoint");
        let body = std::str::from_utf8(body).expect("text");
        let (head, note) = body.split_once("\n\n").expect("an empty line");
        let mut lines = head.lines();
        let old: u64 = lines.next().expect("a size").strip_prefix("old ").expect("old").parse().expect("a number");
        let proof: Vec<Hash> = lines.map(|line| Hash::from_base64(line).expect("a hash")).collect();
        let mut signed = SignedCheckpoint::parse(note).expect("a checkpoint");
        if signed.verify(&log).is_err() {
            return (403, Vec::new());
        }
        let mut seen = seen.lock().expect("the state");
        if old != seen.0 {
            return (409, format!("{}\n", seen.0).into_bytes());
        }
        if !extends(old, &seen.1, signed.size(), &signed.root(), &proof) {
            return (422, Vec::new());
        }
        *seen = (signed.size(), signed.root());
        signed.cosign(&witness(), 1_763_640_000);
        (200, signed.note().signatures().last().expect("a signature").to_string().into_bytes())
    })
}

fn public_key(sandbox: &Sandbox) -> VerifierKey {
    sandbox.run(["tag", "model", "m", "x"]).code(3);
    sandbox.ingest(r#"{"v":1,"kind":"training","id":"e0","outputs":[{"kind":"model","name":"m","digest":"sha256:aa"}]}"#.replace("aa", &"aa".repeat(32)).as_str());
    let text = std::fs::read_to_string(sandbox.store().join("checkpoints/log.vkey")).expect("a key");
    VerifierKey::parse(text.trim_end()).expect("a key")
}

#[test]
fn a_witness_cosigns_what_goes_on_from_what_it_saw() {
    let sandbox = Sandbox::new();
    let log = public_key(&sandbox);
    let url = witnessing(log);
    let key = witness().public().to_string();
    let ask = ["checkpoint", "--witness", &url, "--witness-key", &key];
    assert!(sandbox.run(ask).done().contains("cosigned by witness.example/w1"));
    let verify = ["verify", "--require-anchor", "--witness-key", &key];
    assert!(sandbox.run(verify).done().contains("ANCHORED (1"));
    sandbox.run(["verify", "--require-anchor"]).code(1);
    // Again, from what is known here; and by one who knows nothing of it, whom the witness tells.
    for tag in ["one", "two"] {
        sandbox.run(["tag", "model", "m", tag]).done();
        if tag == "two" {
            for file in std::fs::read_dir(sandbox.store().join("checkpoints")).expect("a folder").flatten() {
                let path = file.path();
                if path.extension().is_some_and(|ending| ending == "checkpoint") {
                    std::fs::remove_file(path).expect("removed");
                }
            }
        }
        let out = sandbox.path().join("out.checkpoint");
        let with_out = [&ask[..], &["--out", out.to_str().expect("a path")]].concat();
        assert!(sandbox.run(with_out).done().contains("cosigned"));
        let signed = SignedCheckpoint::parse(&std::fs::read_to_string(out).expect("a file")).expect("a checkpoint");
        assert_eq!(signed.cosigned(witness().public()), Ok(Some(1_763_640_000)));
    }
    // A key that is not the one of the witness, and a witness that does not know the log.
    let other = Signer::new("witness.example/w1", KeyUse::Cosignature, &[44; 32]).expect("a key").public().to_string();
    sandbox.run(["tag", "model", "m", "three"]).done();
    sandbox.run(["checkpoint", "--witness", &url, "--witness-key", &other]).code(6);
    let stranger = witnessing(Signer::new("x", KeyUse::Note, &[1; 32]).expect("a key").public().clone());
    let refused = sandbox.run(["checkpoint", "--witness", &stranger, "--witness-key", &key]);
    refused.code(6);
    assert!(refused.stderr.contains("public key"), "{refused}");
}

#[test]
fn a_witness_finds_out_a_rollback_and_a_fork() {
    let sandbox = Sandbox::new();
    let url = witnessing(public_key(&sandbox));
    let key = witness().public().to_string();
    let earlier = sandbox.path().join("earlier");
    lineage_tests::walk::copy(&sandbox.store(), &earlier);
    for tag in ["one", "two"] {
        sandbox.run(["tag", "model", "m", tag]).done();
    }
    sandbox.run(["checkpoint", "--witness", &url, "--witness-key", &key]).done();
    let earlier = earlier.to_str().expect("a path");
    let ask = ["--store", earlier, "checkpoint", "--witness", &url, "--witness-key", &key];
    let rolled_back = sandbox.run(ask);
    rolled_back.code(4);
    assert!(rolled_back.stderr.contains("saw 3 events"), "{rolled_back}");
    for tag in ["other", "more", "most"] {
        sandbox.run(["--store", earlier, "tag", "model", "m", tag]).done();
    }
    let forked = sandbox.run(ask);
    forked.code(4);
    assert!(forked.stderr.contains("another tree"), "{forked}");
}

#[test]
fn a_git_tag_holds_the_checkpoint() {
    let sandbox = Sandbox::new();
    public_key(&sandbox);
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=ana", "-c", "user.email=ana@example.org"];
        let output = Command::new("git").arg("-C").arg(sandbox.path()).args(identity).args(arguments).output();
        output.expect("git").stdout
    };
    let named = sandbox.run(["checkpoint", "--git-tag"]);
    named.code(6);
    assert!(named.stderr.contains("git"), "no repository: {named}");
    git(&["init", "-q"]);
    git(&["commit", "-q", "--allow-empty", "-m", "first"]);
    let mut command = sandbox.command(["checkpoint", "--git-tag"]);
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "ana").env(format!("GIT_{role}_EMAIL"), "ana@example.org");
    }
    let tagged = lineage_tests::sandbox::Ran::of(&mut command);
    assert!(tagged.done().contains("lineage-checkpoint-1"));
    let message = git(&["tag", "-l", "--format=%(contents)", "lineage-checkpoint-1"]);
    let text = String::from_utf8(message).expect("text");
    let file = sandbox.write("from-git.checkpoint", format!("{}\n", text.trim_end()));
    let file = file.to_str().expect("a path");
    assert!(sandbox.run(["verify", "--checkpoint", file, "--require-anchor"]).done().contains("ANCHORED (1"));
}

/// A time-stamping authority made of openssl; `None`, loudly, without it.
fn authority(folder: &Path) -> Option<String> {
    let script = "
        openssl req -x509 -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.pem -days 2 -subj /CN=tsa \
            -addext extendedKeyUsage=critical,timeStamping -config /dev/null 2>/dev/null || openssl req -x509 \
            -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.pem -days 2 -subj /CN=tsa \
            -addext extendedKeyUsage=critical,timeStamping
        printf 01 > serial
        printf '[tsa]\\nserial=serial\\nsigner_cert=tsa.pem\\nsigner_key=tsa.key\\nsigner_digest=sha256\\n' > tsa.cnf
        printf 'default_policy=1.2.3.4.1\\ndigests=sha256\\naccuracy=secs:1\\n' >> tsa.cnf
    ";
    let made = Command::new("sh").args(["-c", script]).current_dir(folder).output();
    if !made.is_ok_and(|output| output.status.success()) || !folder.join("tsa.pem").exists() {
        skipped("time stamps: openssl made no authority");
        return None;
    }
    let folder = folder.to_owned();
    Some(serve(move |_, body| {
        std::fs::write(folder.join("query.tsq"), body).expect("a file");
        let reply =
            ["ts", "-reply", "-queryfile", "query.tsq", "-config", "tsa.cnf", "-section", "tsa", "-out", "reply.tsr"];
        let output = Command::new("openssl").args(reply).current_dir(&folder).output().expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (200, std::fs::read(folder.join("reply.tsr")).expect("a reply"))
    }))
}

#[test]
fn a_time_stamp_is_of_the_checkpoint() {
    let sandbox = Sandbox::new();
    public_key(&sandbox);
    let Some(url) = authority(sandbox.path()) else { return };
    let stamped = sandbox.run(["checkpoint", "--tsa", &url]);
    assert!(stamped.done().contains("time stamp of"));
    let verified = sandbox.run(["verify"]);
    assert!(verified.done().contains("stamps the checkpoint of 1 event at"), "{verified}");
    // The authority's own tool says the same of what was kept.
    let kept = sandbox.store().join("checkpoints/000000000001.tsr");
    let checkpoint = std::fs::read_to_string(kept.with_extension("checkpoint")).expect("a checkpoint");
    let text: String = checkpoint.split_inclusive('\n').take(3).collect();
    let data = sandbox.write("text", text);
    let mut check = Command::new("openssl");
    check.args(["ts", "-verify", "-CAfile", "tsa.pem", "-in"]).arg(&kept).arg("-data").arg(data);
    let output = check.current_dir(sandbox.path()).output().expect("openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // One that is of something else is found.
    sandbox.run(["tag", "model", "m", "one"]).done();
    sandbox.run(["checkpoint"]).done();
    std::fs::copy(&kept, sandbox.store().join("checkpoints/000000000002.tsr")).expect("copied");
    let wrong = sandbox.run(["verify"]);
    wrong.code(4);
    assert!(wrong.stdout.contains("stamps something else"), "{wrong}");
}
