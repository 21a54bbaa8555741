//! The real client, unmodified: what its flows and its scripts print is what they printed before Netflix's own service.
//!
//! It lives in the virtual environment that `LINEAGE_CLIENTS` names, which `.ci/run` makes; the scripts in `clients`
//! beside the corpora. Without either this says so and passes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lineage_tests::front::{Fate, Front};
use lineage_tests::sandbox::Sandbox;
use lineage_tests::server::Server;
use lineage_tests::{corpora, skipped, workspace};

/// The client's Python, its scripts, and what they printed.
pub(super) struct Client {
    python: PathBuf,
    scripts: PathBuf,
    printed: PathBuf,
}

impl Client {
    pub(super) fn find() -> Option<Self> {
        let corpora = corpora()?;
        let python = lineage_tests::clients().join("bin/python");
        let has = |code: &str| Command::new(&python).args(["-c", code]).output().is_ok_and(|o| o.status.success());
        if !has("import metaflow, requests") {
            skipped(&format!("Metaflow: {} has no metaflow; .ci/run installs it", python.display()));
            return None;
        }
        let scripts = corpora.parent().unwrap().join("clients/metaflow");
        Some(Self { python, scripts, printed: corpora.join("metaflow") })
    }

    /// A script, to be run in a folder against a server.
    pub(super) fn script(&self, address: SocketAddr, folder: &Path, script: &str, args: &[&str]) -> Command {
        // Where the script lies is the root of its datastore, so that it is copied.
        let own = workspace().join("tests/fixtures/metaflow").join(script);
        let from = if own.exists() { own } else { self.scripts.join(script) };
        std::fs::copy(from, folder.join(script)).unwrap();
        let mut command = Command::new(&self.python);
        command.arg(script).args(args).current_dir(folder);
        command.env("METAFLOW_SERVICE_URL", format!("http://{address}/metaflow"));
        command.env("METAFLOW_DEFAULT_METADATA", "service").env("METAFLOW_USER", "alice");
        command.env("METAFLOW_HOME", folder.join("home")).env_remove("METAFLOW_PROFILE");
        command
    }

    fn printed(&self, name: &str) -> String {
        std::fs::read_to_string(self.printed.join(name)).unwrap()
    }
}

pub(super) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a client to its end, which must be good; what it said.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", said(&output));
    said(&output)
}

/// What a flow says of its tasks, sorted, as side by side any may be first; runs and tasks numbered as they come.
fn told(text: &str) -> Vec<String> {
    let (mut runs, mut tasks) = (BTreeMap::new(), BTreeMap::new());
    let mut lines = Vec::new();
    for line in text.lines() {
        // `2026-11-20 15:49:08.007 [1/start/2 (pid 23140)] Task is starting.`
        let Some((_, line)) = line.split_once(" [").filter(|(time, _)| time.starts_with("20")) else { continue };
        let Some((task, what)) = line.split_once("] ") else { continue };
        let task = task.split(' ').next().unwrap();
        let parts: Vec<&str> = task.split('/').collect();
        let n = runs.len();
        let run = *runs.entry(parts[0].to_owned()).or_insert(n);
        let n = tasks.len();
        let id = *tasks.entry(parts[2].to_owned()).or_insert(n);
        let about = ["Task ", "Cloning ", "x is ", "2"].iter().any(|start| what.starts_with(start));
        if about {
            let what = if what.starts_with("Cloning") { "Cloning" } else { what };
            lines.push(format!("{run}/{}/{id} {what}", parts[1]));
        }
    }
    lines.sort();
    lines
}

/// A text without what differs from one machine and moment to the next: times and versions.
fn plain(text: &str) -> Vec<String> {
    let word = |word: &str| {
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit() || "-:.".contains(c));
        let quotes = ['\'', ',', '[', ']'];
        let bare = word.trim_matches(quotes);
        match bare.split_once(':') {
            Some((name @ ("python_version" | "metaflow_version"), _)) => word.replace(bare, name),
            _ if bare.len() >= 8 && digits(bare) => "TIME".to_owned(),
            _ => word.to_owned(),
        }
    };
    text.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect()
}

/// What the lineage says of the parallel flow, in which `x` is 0, then 2 and 3 side by side, then their greatest.
#[track_caller]
fn check_lineage(server: &Server) {
    let [zero, two, three] = ["a822ae9b", "d1772156", "f985b915"];
    let digests = |question: &str| -> BTreeSet<String> {
        let all = server.column(question, "digest").into_iter();
        all.map(|digest| digest["sha1:".len()..][..8].to_owned()).collect()
    };
    assert_eq!(digests("artifact 'MyFlow/x'@latest"), BTreeSet::from([three.to_owned()]));
    let upstream = digests("artifacts upstream of artifact 'MyFlow/x'@latest where name = 'MyFlow/x'");
    assert!(upstream.contains(zero) && upstream.contains(two), "{upstream:?}");
    // Where one branch had ended before the other was scheduled, the join is taken to follow that one, and carries its 3.
    let made = server.column("transforms producing artifact 'MyFlow/x'@latest", "name");
    assert!(!made.is_empty() && made.iter().all(|job| job == "MyFlow/b" || job == "MyFlow/join"), "{made:?}");
}

#[test]
fn a_parallel_flow_and_the_client_api() {
    let Some(client) = Client::find() else { return };
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let server = Server::start(&sandbox);
    let folder = tempfile::tempdir().unwrap();
    let args = ["run", "--tag", "exp:one"];
    let text = run(&mut client.script(server.address, folder.path(), "parallel_flow.py", &args));
    assert_eq!(told(&text), told(&client.printed("parallel_run.out.txt")));
    assert!(text.contains("Done!"), "{text}");
    let text = run(&mut client.script(server.address, folder.path(), "client_api.py", &["MyFlow", "alice"]));
    assert_eq!(plain(&text), plain(&client.printed("parallel_client.out.txt")));
    check_lineage(&server);
    assert_eq!(server.column("runs where job = 'MyFlow'", "state"), ["complete"]);
    assert_eq!(server.metric("lineage_events_total{result=\"refused\"}"), 0);
    assert_eq!(server.stop("TERM").0, 0);
    sandbox.run(["verify"]).done();
}

#[test]
fn a_flow_that_fails_and_is_resumed() {
    let Some(client) = Client::find() else { return };
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let server = Server::start(&sandbox);
    let folder = tempfile::tempdir().unwrap();
    let script = |args: &[&str]| client.script(server.address, folder.path(), "slow_fail_flow.py", args);
    let failed = script(&["run"]).output().unwrap();
    assert!(!failed.status.success());
    std::fs::write(folder.path().join("ok.flag"), "").unwrap();
    let resumed = run(&mut script(&["resume"]));
    let text = said(&failed) + &resumed;
    assert_eq!(told(&text), told(&client.printed("slow_fail_resume.out.txt")));
    assert!(text.contains("Workflow failed.") && text.contains("Done!"), "{text}");
    let jobs = |question: &str| server.column(question, "name");
    assert_eq!(jobs("transforms where state = 'fail'"), ["SlowFailFlow/maybe_fail"]);
    assert_eq!(server.column("runs where job = 'SlowFailFlow'", "state"), ["running", "complete"]);
    // `n` is 1 in the first run and 2 in the second, which has the first from the task that was cloned.
    assert_eq!(server.column("artifacts where name = 'SlowFailFlow/n'", "version"), ["v1", "v2"]);
    let upstream = "artifacts upstream of artifact 'SlowFailFlow/n'@v2 where name = 'SlowFailFlow/n'";
    assert_eq!(server.column(upstream, "version"), ["v1"]);
    assert_eq!(jobs("transforms producing artifact 'SlowFailFlow/n'@v1"), ["SlowFailFlow/start"]);
    assert_eq!(server.stop("TERM").0, 0);
    sandbox.run(["verify"]).done();
}

/// What each task follows, as the events say it.
fn follows(sandbox: &Sandbox) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for line in sandbox.run(["--json", "log", "--limit", "1000"]).done().lines() {
        let event: serde_json::Value = serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].take();
        let said = &event["facets"]["metaflow"];
        if let Some(list) = event["facets"]["follows"].as_array() {
            let part = |name: &str| said[name].as_str().unwrap();
            let task = format!("{}/{}/{}", part("run"), part("step"), part("task"));
            found.insert(task, list.iter().map(|spec| spec.as_str().unwrap().to_owned()).collect());
        }
    }
    found
}

#[test]
fn loops_attempts_and_models() {
    let Some(client) = Client::find() else { return };
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    sandbox.run(["config", "set", "metaflow.models", "*/model"]).done();
    sandbox.run(["config", "set", "metaflow.datasets", "LoopFlow/raw"]).done();
    // A token that counts in the namespace of Metaflow alone is enough for its client.
    let token = |args: &[&str]| {
        let said = sandbox.run(["--json", "token", "add"].into_iter().chain(args.iter().copied()).collect::<Vec<_>>());
        said.json()["token"].as_str().unwrap().to_owned()
    };
    let own = token(&["science", "--role", "reader", "--role", "emitter", "--namespace", "metaflow"]);
    let everything = token(&["asker", "--role", "reader"]);
    let server = Server::with(&sandbox, ["--require-tokens"]).with_token(&everything);
    let folder = tempfile::tempdir().unwrap();
    let script = |script: &str, args: &[&str]| {
        let mut command = client.script(server.address, folder.path(), script, args);
        command.env("METAFLOW_SERVICE_AUTH_KEY", &own);
        command
    };
    run(&mut script("loop_flow.py", &["run"]));
    let text = run(&mut script("parents.py", &["LoopFlow"]));
    assert!(text.starts_with("successful True"), "{text}");
    // The client knows the graph; what was inferred without it is the same here, where no branches run side by side.
    let mut parents = BTreeMap::new();
    for words in text.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(|words| words[0] == "task") {
        parents.insert(words[1].to_owned(), words[3..].iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>());
    }
    let mut inferred = follows(&sandbox);
    inferred.retain(|task, _| parents.contains_key(task));
    // The client has no parent of the first step; its parameters come before it.
    let start = parents.iter_mut().find(|(task, _)| task.contains("/start/")).unwrap();
    start.1.insert("1/_parameters/1".to_owned());
    assert_eq!(inferred, parents);
    let mut attempts: Vec<&str> = text.lines().filter(|line| line.starts_with("attempt work")).collect();
    attempts.sort_unstable();
    let good = "attempt work 0 True name part raw";
    let expected = ["attempt work 0 False name part raw", good, good, "attempt work 1 True name part raw"];
    assert_eq!(attempts, expected);
    assert_eq!(server.column("models trained on dataset 'LoopFlow/raw'", "name"), ["LoopFlow/model"]);
    assert_eq!(server.column("trainings", "name"), ["LoopFlow/train"]);
    assert_eq!(server.column("trainings where principal = 'science'", "actor"), ["alice"]);
    let parts = server.column("artifacts upstream of model 'LoopFlow/model' where name = 'LoopFlow/part'", "version");
    assert_eq!(parts.len(), 3, "each part once, and none of the attempt that failed: {parts:?}");
    assert_eq!(server.stop("TERM").0, 0);
    sandbox.run(["verify"]).done();
}

#[test]
fn a_server_that_is_killed_in_the_middle_of_a_flow() {
    let Some(client) = Client::find() else { return };
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let mut server = Server::start(&sandbox);
    let address = server.address;
    let folder = tempfile::tempdir().unwrap();
    let mut command = client.script(address, folder.path(), "parallel_flow.py", &["run"]);
    let mut flow = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It dies three times, wherever the flow is when so many events are recorded.
    for n_events in [7, 20, 33] {
        while server.metric("lineage_events") < n_events && flow.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        server.kill();
        server = Server::of(&mut sandbox.command(["--json", "serve", "--listen", &address.to_string()]));
    }
    let output = flow.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("x is 3"), "{}", said(&output));
    let text = run(&mut client.script(address, folder.path(), "parents.py", &["MyFlow"]));
    assert!(text.starts_with("successful True"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("attempt") && line.contains("True")).count(), 5, "{text}");
    check_lineage(&server);
    assert_eq!(server.stop("TERM").0, 0);
    sandbox.run(["verify"]).done();
}

#[test]
fn answers_that_are_refused_or_lost_on_the_way() {
    let Some(client) = Client::find() else { return };
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    let server = Server::start(&sandbox);
    let front = Front::start(server.address, |n| match n {
        0 | 4 | 17 => Fate::Refuse,
        6 | 12 | 25 => Fate::Lose,
        _ => Fate::Pass,
    });
    let folder = tempfile::tempdir().unwrap();
    let text = run(&mut client.script(front.address, folder.path(), "parallel_flow.py", &["run"]));
    assert!(text.contains("x is 3"), "{text}");
    let text = run(&mut client.script(server.address, folder.path(), "parents.py", &["MyFlow"]));
    assert!(text.starts_with("successful True"), "{text}");
}
