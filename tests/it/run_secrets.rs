//! Fifty planted secrets: none is found in any byte that a run leaves behind, also inside of compressed frames.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use lineage_store::EventStore;
use lineage_tests::sandbox::{Ran, Sandbox};
use lineage_tests::walk;

/// How a zstd frame begins.
const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Where secrets are planted, each with how many, and the form of the secret there; `{}` is the secret.
const ENVIRONMENT: [(&str, &str); 10] = [
    ("API_TOKEN", "{}"),
    ("DB_PASSWORD", "{}"),
    ("AWS_SECRET_ACCESS_KEY", "{}"),
    ("OPENAI_API_KEY", "{}"),
    ("MY_CREDENTIALS", "{}"),
    ("DATABASE_URL", "postgres://ana:{}@db.internal/x"),
    ("FEED", "https://h.example/x?a=1&X-Amz-Signature={}"),
    ("PLAIN_ONE", "{}"),
    ("PLAIN_TWO", "first line {}\nsecond line of it"),
    ("LC_TOKEN", "{}"),
];
const ARGUMENTS: [&str; 8] = [
    "--password={}",
    "--api-key={}",
    "DB_PASSWORD={}",
    "Authorization: Bearer {}",
    "https://ana:{}@h.example/repo",
    "https://h.example/x?sig={}&b=1",
    "sh -c 'mysql --password {} -h db'",
    "--url=ftp://{}longer-than-sixteen@h.example/",
];
/// Lines that the command prints: what it knows from the environment (`ENV`), and what nobody told the runner of.
const OUTPUT: [&str; 8] = [
    "password={}",
    "token: {}",
    "{\"secret_key\": \"{}\"}",
    "fetching https://ana:{}@h.example/x",
    "GET https://h.example/x?X-Amz-Signature={}&b=2",
    "Authorization: Bearer {}",
    "ghp_0123456789{}",
    "AWS_SECRET_ACCESS_KEY={} python",
];
const CHANGED: [&str; 6] = [
    "password = \"{}\"",
    "api_key: '{}'",
    "URL = \"https://ana:{}@h.example/x\"",
    "export DB_PASSWORD={}",
    "HEADERS = {\"Authorization\": \"Bearer {}\"}",
    "key = glpat-{}0123456789",
];
const UNTRACKED: [&str; 3] = ["SECRET_KEY = '{}'", "token=\"{}\"", "requests.get('https://ana:{}@h.example/x')"];
const REMOTES: [&str; 3] = [
    "https://ana:{}@github.example/a/b.git",
    "https://{}0123456789@gitlab.example/a/b.git",
    "ssh://ana:{}@h.example/x",
];
const PARAMETERS: [&str; 3] = ["api_key={}", "source=https://ana:{}@h.example/x", "db_password={}"];

/// Secrets that are like nothing else: each of them hex digits of its own.
struct Planted {
    all: Vec<String>,
}

impl Planted {
    fn new() -> Self {
        Self { all: Vec::new() }
    }

    fn next(&mut self) -> String {
        // Fixed, so that a failure can be repeated; far from every digest that is written beside it.
        let n = self.all.len() as u64 + 1;
        let secret = format!("Zq{:012x}w{n}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16);
        self.all.push(secret.clone());
        secret
    }

    fn plant(&mut self, form: &str) -> String {
        form.replace("{}", &self.next())
    }
}

/// All files below a folder as text, with what is in every zstd frame in them, each with its place.
fn texts_below(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in walk::files(folder) {
        let name = path.strip_prefix(folder).expect("below").display().to_string();
        let bytes = fs::read(&path).expect("bytes");
        for at in 0..bytes.len() {
            if bytes[at..].starts_with(&FRAME) {
                let mut plain = Vec::new();
                // A frame that is cut off by the file around it gives what it has.
                if let Ok(mut decoder) = zstd::stream::Decoder::new(&bytes[at..]) {
                    decoder.read_to_end(&mut plain).ok();
                }
                found.push((format!("{name}, frame at {at}"), String::from_utf8_lossy(&plain).into_owned()));
            }
        }
        found.push((name, String::from_utf8_lossy(&bytes).into_owned()));
    }
    found
}

/// The spellings of a secret in which it would be as good as written.
fn spellings(secret: &str) -> Vec<String> {
    let mut found = vec![secret.to_owned(), lineage_store::digest::to_hex(secret.as_bytes())];
    // In base64 a text has one of three forms, by where it begins; the ends depend on what stands beside it.
    for before in ["", "x", "xx"] {
        let text = base64(format!("{before}{secret}").as_bytes());
        let from = if before.is_empty() { 0 } else { 4 };
        found.push(text[from..text.len() - 4].to_owned());
    }
    found
}

fn base64(bytes: &[u8]) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let n = group.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - group.len()));
        for i in 0..4 {
            let digit = digits[(n >> (18 - 6 * i) & 63) as usize] as char;
            text.push(if i > group.len() { '=' } else { digit });
        }
    }
    text
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "user.name=a", "-c", "user.email=a@b.example"]).args(arguments);
    let output = command.output().expect("git");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A repository with secrets in its remotes, in changes, and in files that git does not know.
fn repository(sandbox: &Sandbox, planted: &mut Planted) {
    let folder = sandbox.path();
    sandbox.write(".gitignore", ".lineage\n");
    sandbox.write("train.py", "x = 1\n");
    git(folder, &["init", "-q"]);
    git(folder, &["add", "train.py", ".gitignore"]);
    git(folder, &["commit", "-qm", "begin"]);
    for (i, remote) in REMOTES.iter().enumerate() {
        let name = if i == 0 { "origin".to_owned() } else { format!("other{i}") };
        git(folder, &["remote", "add", &name, &planted.plant(remote)]);
    }
    let changed: Vec<String> = CHANGED.iter().map(|form| planted.plant(form)).collect();
    sandbox.write("train.py", format!("x = 2  # visible-change\n{}\n", changed.join("\n")));
    for (i, form) in UNTRACKED.iter().enumerate() {
        sandbox.write(&format!("new{i}.py"), format!("y = 'visible-untracked'\n{}\n", planted.plant(form)));
    }
}

/// The command: prints everything that was planted in its environment in several spellings, and some more.
const SCRIPT: &str = r#"
import base64, json, os, sys, time, urllib.parse
known = [os.environ[n] for n in ("API_TOKEN", "DB_PASSWORD", "PLAIN_ONE", "PLAIN_TWO")]
out = sys.stdout.buffer
def say(text):
    out.write(text.encode() + b"\n"); out.flush()
say("visible-output")
for value in known:
    say("raw " + value)
    say(base64.b64encode(value.encode()).decode())
    say(base64.b64encode(b"ana:" + value.encode()).decode())
    say(base64.urlsafe_b64encode(b"x:" + value.encode() + b"@").decode())
    say(urllib.parse.quote(value, safe=""))
    say(value.encode().hex())
    say(json.dumps({"value": value}))
    # Split over two writes, and over many.
    half = len(value) // 2
    out.write(b"begin " + value[:half].encode()); out.flush(); time.sleep(0.02)
    out.write(value[half:].encode() + b" end\n"); out.flush()
    for b in value.encode():
        out.write(bytes([b])); out.flush()
    print("error " + value, file=sys.stderr, flush=True)
out.write(b"." * 70000 + known[0].encode() + b"." * 70000 + b"\n"); out.flush()
with open(sys.argv[1]) as file:
    say(file.read())
with open(os.environ["LINEAGE_METRICS"], "a") as file:
    for value in known:
        file.write(json.dumps({"name": "visible-metric " + value, "value": 0.5}) + "\n")
json.dump({"acc": 0.5, known[1]: 1}, open("metrics.json", "w"))
open("model.pkl", "w").write("weights " + known[0])
open("plain.pkl", "w").write("visible-weights")
"#;

#[test]
#[expect(clippy::print_stderr, reason = "a test that did nothing says so")]
fn planted_secrets_are_found_nowhere() {
    let python = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !python || Command::new("git").arg("--version").output().is_err() {
        eprintln!("SKIPPED: python3 and git are needed to plant secrets");
        return;
    }
    let sandbox = Sandbox::new();
    let mut planted = Planted::new();
    repository(&sandbox, &mut planted);
    sandbox.write("script.py", SCRIPT);
    let printed: Vec<String> = OUTPUT.iter().map(|form| planted.plant(form)).collect();
    // The file of what is printed is no input of the run.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let said = elsewhere.path().join("said.txt");
    fs::write(&said, printed.join("\n")).expect("written");
    let environment: Vec<(&str, String)> =
        ENVIRONMENT.iter().map(|(name, form)| (*name, planted.plant(form))).collect();
    let api_token = environment[0].1.clone();
    sandbox.write("input.csv", format!("visible-row\n{api_token}\n"));
    sandbox.write("clean.csv", "visible-clean-row\n");

    let mut arguments: Vec<String> =
        ["run", "--name", "train", "--secret", "PLAIN_ONE", "--metrics", "metrics.json"].map(str::to_owned).to_vec();
    for form in PARAMETERS {
        arguments.extend(["-p".to_owned(), planted.plant(form)]);
    }
    for (flag, value) in [
        ("-i", "dataset:raw=input.csv"),
        ("-i", "dataset:clean=clean.csv"),
        ("-o", "model:m=model.pkl"),
        ("-o", "model:p=plain.pkl"),
    ] {
        arguments.extend([flag, value].map(str::to_owned));
    }
    arguments.extend(["--tag".to_owned(), format!("visible-tag-{api_token}")]);
    arguments.extend(["--", "python3", "script.py", &said.to_string_lossy(), "visible-argument"].map(str::to_owned));
    arguments.extend(ARGUMENTS.iter().map(|form| planted.plant(form)));
    // Of two arguments the second is the secret.
    let next = planted.next();
    arguments.extend(["--token".to_owned(), next, "-u".to_owned(), format!("ana:{}", planted.next())]);
    while planted.all.len() < 50 {
        let secret = planted.next();
        arguments.push(format!("--secret-{}={secret}", planted.all.len()));
    }
    sandbox.run(["config", "set", "secrets.env", "PLAIN_TWO"]).done();

    let run = |spooled: bool| {
        let mut command = sandbox.command(&arguments);
        command.envs(environment.iter().map(|(name, value)| (*name, value)));
        let ran = Ran::of(&mut command);
        ran.code(0);
        assert!(ran.stdout.contains(&api_token), "the terminal is left alone: {ran}");
        assert_eq!(ran.stderr.contains("spooled"), spooled, "{ran}");
    };
    run(false);
    search(&sandbox, &planted.all, "after a run");

    // While another process holds the journal, the same goes to the spool.
    {
        let lock = fs::File::open(sandbox.store().join("journal/lock")).expect("the lock");
        lock.lock().expect("taken");
        run(true);
        assert!(walk::files(&sandbox.store().join("spool")).len() >= 2);
        search(&sandbox, &planted.all, "while events wait in the spool");
    }
    sandbox.run(["ps"]).done();
    sandbox.run(["rebuild"]).done();
    search(&sandbox, &planted.all, "after a rebuild");
    exports(&sandbox, &planted.all);
}

/// What a search of bytes finds of secrets in the store; what is no secret must be found by the same search.
#[track_caller]
fn search(sandbox: &Sandbox, secrets: &[String], when: &str) {
    let places = texts_below(&sandbox.store());
    let mut found = BTreeSet::new();
    for secret in secrets {
        for spelling in spellings(secret) {
            let at = places.iter().filter(|(_, text)| text.contains(&spelling));
            found.extend(at.map(|(name, _)| format!("{spelling} in {name}")));
        }
    }
    assert!(found.is_empty(), "{when} {} of {} secrets are found: {found:#?}", found.len(), secrets.len());
    for visible in [
        "visible-output",
        "visible-argument",
        "visible-change",
        "visible-untracked",
        "visible-tag-",
        "visible-metric",
        "visible-weights",
        "visible-clean-row",
    ] {
        assert!(places.iter().any(|(_, text)| text.contains(visible)), "{when} {visible} is not found");
    }
    let events = EventStore::open(&sandbox.store().join("sled")).expect("sled").expect("not held");
    assert!(when == "while events wait in the spool" || events.head() > 0, "{when} sled holds the events, too");
}

/// What commands show and write of it.
fn exports(sandbox: &Sandbox, secrets: &[String]) {
    let commands: [&[&str]; 10] = [
        &["log", "--json", "--limit", "0"],
        &["ps", "--json"],
        &["ps"],
        &["logs"],
        &["logs", "--json"],
        &["show", "#0"],
        &["why", "model", "p"],
        &["why", "model", "p", "--json"],
        &["query", "events show facets.process, params.api_key", "--output", "json"],
        &["query", "trainings", "--output", "csv"],
    ];
    for arguments in commands {
        let ran = sandbox.run(arguments);
        for secret in secrets {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{secret}: {ran}");
        }
    }
    sandbox.run(["query", "trainings", "-o", "answer.parquet"]).done();
    let text = String::from_utf8_lossy(&fs::read(sandbox.path().join("answer.parquet")).expect("bytes")).into_owned();
    assert!(secrets.iter().all(|secret| !text.contains(secret)));
}
