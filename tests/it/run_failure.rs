//! How runs end: FAIL and ABORT with their causes, exit codes, signals, time limits, and what is left behind.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lineage_tests::sandbox::{Ran, Sandbox};
use serde_json::{Value, json};

/// The state and facet `process` of the last event of a job.
fn last(sandbox: &Sandbox, job: &str) -> (String, Value) {
    let log = sandbox.run(["log", "--limit", "0", "--json"]);
    let mut events = log.done().lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["event"].take());
    let mut event = events.rfind(|event| event["job"] == job).expect("an event");
    let state = event["state"].as_str().unwrap_or("complete").to_owned();
    (state, event["facets"]["process"].take())
}

/// Starts a run and waits until its command has said that it is up.
fn started(sandbox: &Sandbox, arguments: &[&str], script: &str) -> Child {
    let mut command = sandbox.command(["run"].iter().chain(arguments).chain(&["--", "sh", "-c", script]));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    child.stdout.as_mut().expect("piped").read_exact(&mut [0; 3]).expect("it is up");
    child
}

fn send(signal: &str, child: &Child) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill");
    assert!(status.success());
}

fn is_alive(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    state.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

#[test]
fn the_programs_own_fault_is_a_failure_and_others_abort() {
    let sandbox = Sandbox::new();
    for (job, script, code, state, cause) in [
        ("code", "exit 3", 3, "fail", Value::Null),
        ("abort", "kill -ABRT $$", 134, "fail", Value::Null),
        ("segv", "kill -SEGV $$", 139, "fail", Value::Null),
        ("term", "kill -TERM $$", 143, "abort", json!("signal")),
        ("kill", "kill -KILL $$", 137, "abort", json!("signal")),
    ] {
        sandbox.run(["run", "--name", job, "--", "sh", "-c", script]).code(code);
        let (was, process) = last(&sandbox, job);
        assert_eq!((&*was, &process["cause"], &process["exit_code"]), (state, &cause, &json!(code)), "{job}");
    }
    let missing = sandbox.run(["run", "--name", "none", "-o", "model:m=m.pkl", "--", "true"]);
    missing.code(1);
    assert_eq!(last(&sandbox, "none").0, "fail");
}

#[test]
fn a_time_limit_ends_the_command_and_its_children() {
    let sandbox = Sandbox::new();
    let script = "sleep 600 & echo $! > pid; wait";
    let ran = sandbox.run(["run", "--name", "slow", "--timeout", "300ms", "--", "sh", "-c", script]);
    ran.code(124);
    assert!(ran.stderr.contains("its time was over"), "{ran}");
    let (state, process) = last(&sandbox, "slow");
    assert_eq!((&*state, &process["cause"]), ("abort", &json!("timeout")));
    assert!(!is_alive(&fs::read_to_string(sandbox.path().join("pid")).expect("a pid")));
}

#[test]
fn an_interrupt_is_passed_on_and_the_end_is_recorded() {
    let sandbox = Sandbox::new();
    let child =
        started(&sandbox, &["--name", "polite"], "trap 'echo saved > saved; exit 0' INT; echo up; sleep 600 & wait");
    send("-INT", &child);
    let output = child.wait_with_output().expect("an end");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(sandbox.path().join("saved").exists());
    let (state, process) = last(&sandbox, "polite");
    assert_eq!((&*state, &process["cause"]), ("complete", &json!("cancelled")), "it ended well, though early");

    let child = started(&sandbox, &["--name", "plain"], "echo up; exec sleep 600");
    send("-INT", &child);
    assert_eq!(child.wait_with_output().expect("an end").status.code(), Some(130));
    assert_eq!(last(&sandbox, "plain").0, "abort");

    let child = started(&sandbox, &["--name", "termed"], "echo up; exec sleep 600");
    send("-TERM", &child);
    assert_eq!(child.wait_with_output().expect("an end").status.code(), Some(143));
    assert_eq!(
        (last(&sandbox, "termed").0, &last(&sandbox, "termed").1["cause"]),
        ("abort".to_owned(), &json!("cancelled"))
    );
}

#[test]
fn a_second_interrupt_ends_what_ignores_the_first() {
    let sandbox = Sandbox::new();
    // Without a child: a shell that is starting one may lose the signal.
    let script = "trap 'echo heard > heard' INT; trap '' TERM; echo up; while :; do :; done";
    let child = started(&sandbox, &["--name", "stubborn"], script);
    send("-INT", &child);
    while !sandbox.path().join("heard").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(is_alive(&child.id().to_string()), "once is a request");
    send("-INT", &child);
    assert_eq!(child.wait_with_output().expect("an end").status.code(), Some(137));
    let (state, process) = last(&sandbox, "stubborn");
    assert_eq!((&*state, &process["cause"], &process["signal"]), ("abort", &json!("cancelled"), &json!(9)));
}

#[test]
fn what_is_left_behind_is_ended_and_told() {
    let sandbox = Sandbox::new();
    let script = "setsid sh -c 'trap \"\" TERM; echo $$ > pid; while :; do sleep 0.05; done' & while ! test -s pid; do sleep 0.01; done";
    let ran = sandbox.run(["run", "--name", "daemon", "--", "sh", "-c", script]);
    assert!(ran.stderr.contains("behind, which w"), "{ran}");
    assert!(!is_alive(&fs::read_to_string(sandbox.path().join("pid")).expect("a pid")), "SIGTERM or not");
    assert!(last(&sandbox, "daemon").1["left_behind"].as_array().is_some_and(|left| !left.is_empty()));

    let script = "sleep 600 > /dev/null 2>&1 & echo $! > pid";
    let ran = sandbox.run(["run", "--name", "let", "--detach", "--", "sh", "-c", script]);
    let pid = fs::read_to_string(sandbox.path().join("pid")).expect("a pid");
    let lives = is_alive(&pid);
    Command::new("kill").args(["-9", pid.trim()]).status().expect("kill");
    assert!(lives && ran.stderr.contains("goes on, as --detach says"), "{ran}");
}

#[test]
fn what_is_ignored_stays_ignored() {
    let sandbox = Sandbox::new();
    let lineage = lineage_tests::sandbox::binary().display().to_string();
    // As `nohup` does.
    let script = "trap '' HUP; exec \"$0\" run --name nohup -- sh -c 'echo up; kill -HUP $PPID; kill -HUP $$; exit 4'";
    let mut command = Command::new("sh");
    command.args(["-c", script, &lineage]).current_dir(sandbox.path()).env_remove("LINEAGE_STORE").stdin(Stdio::null());
    Ran::of(&mut command).code(4);
    assert_eq!(last(&sandbox, "nohup").0, "fail");
}

/// A control group with a limit of memory, where this process may make one.
struct Group(std::path::PathBuf);

impl Group {
    fn new(bytes: u64) -> Option<Self> {
        let name = format!("lineage-test-{}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        for (folder, limits) in [
            (root.join("memory").join(&name), ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]),
            (root.join(&name), ["memory.max", "memory.swap.max"]),
        ] {
            if fs::create_dir(&folder).is_ok() {
                let group = Self(folder);
                let set = fs::write(group.0.join(limits[0]), bytes.to_string()).is_ok();
                // Where there is no swap, there is no limit for it.
                fs::write(group.0.join(limits[1]), if limits[1] == "memory.swap.max" { 0 } else { bytes }.to_string())
                    .ok();
                if set {
                    return Some(group);
                }
            }
        }
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that did nothing says so")]
fn memory_that_runs_out_is_told_from_other_kills() {
    let Some(group) = Group::new(64 * 1024 * 1024) else {
        eprintln!("SKIPPED: no control group with a limit of memory can be made here");
        return;
    };
    let sandbox = Sandbox::new();
    let lineage = lineage_tests::sandbox::binary().display().to_string();
    // `tail` keeps a line without end in memory.
    let script = format!(
        "echo $$ > {}/cgroup.procs; exec \"$0\" run --name hungry -- sh -c 'exec tail -n 1 /dev/zero'",
        group.0.display()
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", &script, &lineage])
        .current_dir(sandbox.path())
        .env_remove("LINEAGE_STORE")
        .stdin(Stdio::null());
    let ran = Ran::of(&mut command);
    ran.code(137);
    let (state, process) = last(&sandbox, "hungry");
    assert_eq!((&*state, &process["cause"]), ("abort", &json!("out of memory")), "{ran}");
}

#[test]
fn streams_are_passed_through_and_kept() {
    let sandbox = Sandbox::new();
    let script = "printf 'no line end'; echo >&2 'an error'; cat; printf '\\377\\0raw'";
    let ran = sandbox.run_with(["run", "--", "sh", "-c", script], b"typed\n");
    ran.done();
    assert_eq!(ran.bytes, b"no line endtyped\n\xff\0raw");
    assert!(ran.stderr.starts_with("an error\n"), "{ran}");
    let logs = sandbox.run(["logs"]);
    assert_eq!((logs.bytes.as_slice(), &*logs.stderr), (&b"no line endtyped\n\xff\0raw"[..], "an error\n"));
    assert_eq!(sandbox.run(["logs", "--stderr"]).stdout, "an error\n");
    // Both in one file: one log, in the order in which it was said.
    let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done";
    let file = fs::File::create(sandbox.path().join("both")).expect("a file");
    let mut command = sandbox.command(["run", "--", "sh", "-c", script]);
    command.stdout(file.try_clone().expect("a copy")).stderr(file);
    assert!(command.status().expect("runs").success());
    let both = fs::read_to_string(sandbox.path().join("both")).expect("text");
    let want = "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n";
    assert!(both.starts_with(want), "{both}");
    assert_eq!(sandbox.run(["logs"]).stdout, want);
    sandbox.run(["run", "--no-logs", "--", "echo", "quiet"]).done();
    let logs = sandbox.run(["logs"]);
    assert!(logs.stdout.is_empty() && logs.stderr.contains("no logs were kept"), "{logs}");
}

#[test]
fn a_reader_that_goes_away_is_told_to_the_command() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["run", "--name", "pipe", "--", "sh", "-c", "exec yes"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    child.stdout.as_mut().expect("piped").read_exact(&mut [0; 2]).expect("bytes");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("an end").code(), Some(128 + 13), "SIGPIPE, as without us");
    assert_eq!(last(&sandbox, "pipe").0, "fail");
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_killed_runner_leaves_is_ended_at_once() {
    const SCRIPT: &str = "(sleep 20; touch alive) & echo up > fifo; wait";
    // Not observed, as calls of what was observed fail without a runner, and that alone may end it.
    let declared = ["run", "--capture", "declared"];
    for what in [&["--", "sh", "-c", SCRIPT][..], &["p.toml"]] {
        let arguments = [&declared[..], what].concat();
        let sandbox = Sandbox::new();
        sandbox.write("p.toml", format!("[pipeline]\nname = \"p\"\n[[step]]\nid = \"s\"\nshell = \"{SCRIPT}\"\n"));
        let fifo = sandbox.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
        let mut command = sandbox.command(&arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        assert_eq!(fs::read_to_string(&fifo).expect("it is up"), "up\n");
        child.kill().expect("killed");
        child.wait().expect("its end");
        // No other command comes, and still nothing of it lives on.
        while is_left(sandbox.path()) {
            std::thread::yield_now();
        }
        assert!(!sandbox.path().join("alive").exists(), "it lived on: {arguments:?}");
    }
}

/// Whether a process works in a folder.
#[cfg(target_os = "linux")]
fn is_left(folder: &Path) -> bool {
    let folder = folder.canonicalize().expect("a path");
    let mut processes = fs::read_dir("/proc").expect("processes").flatten();
    processes.any(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
}

#[test]
fn a_limit_of_logs_is_kept_and_told() {
    let sandbox = Sandbox::new();
    sandbox.run(["config", "set", "run.log_limit", "65536"]).done();
    let ran = sandbox.run(["run", "--", "sh", "-c", "seq 1 100000"]);
    assert!(ran.stdout.ends_with("99999\n100000\n") && ran.stderr.contains("were left out"), "{ran}");
    let logs = sandbox.run(["logs"]);
    assert!(
        logs.stdout.starts_with("1\n2\n") && logs.stdout.ends_with("99999\n100000\n") && logs.stdout.len() <= 65536
    );
    assert!(logs.stderr.contains("bytes of stdout were left out"), "{logs}");
}

#[test]
fn if_recording_fails_events_wait_and_the_command_goes_on() {
    let sandbox = Sandbox::new();
    let lock = fs::File::open(sandbox.store().join("journal/lock")).expect("the lock");
    lock.lock().expect("taken");
    let ran = sandbox.run(["run", "--strict", "--", "sh", "-c", "touch ran"]);
    ran.fails(125, "--strict");
    assert!(!sandbox.path().join("ran").exists());
    assert_eq!(files(&sandbox.store().join("spool")) + files(&sandbox.store().join("runs")), 0);
    let ran = sandbox.run(["run", "--name", "spooled", "--", "sh", "-c", "touch ran; exit 5"]);
    ran.code(5);
    assert!(ran.stderr.contains("spooled") && sandbox.path().join("ran").exists(), "{ran}");
    drop(lock);
    sandbox.run(["ps"]).done();
    assert_eq!(last(&sandbox, "spooled").0, "fail");
}

fn files(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn surroundings_are_recorded() {
    let sandbox = Sandbox::new();
    sandbox.write("requirements.txt", "numpy==2.1\n");
    sandbox.run(["config", "set", "run.hostname", "none"]).done();
    let mut command = sandbox.command(["run", "--", "sh", "-c", "umask > /dev/null"]);
    command.env("OMP_NUM_THREADS", "3").env("HOMEWORK", "private");
    Ran::of(&mut command).done();
    let log = sandbox.run(["log", "--json"]);
    let start: Value = serde_json::from_str(log.stdout.lines().next().expect("a line")).expect("JSON");
    let facets = &start["event"]["facets"];
    assert_eq!(facets["environment"]["variables"]["OMP_NUM_THREADS"], "3");
    assert!(!log.stdout.contains("private"));
    assert_eq!(facets["lock_files"][0]["path"], "requirements.txt");
    assert!(facets["process"]["executable"]["digest"].is_string() && facets["process"]["umask"].is_string());
    assert!(facets["machine"]["kernel"].is_string() && facets["machine"]["host"].is_null());
    assert!(facets["runner"]["lock"].as_str().is_some_and(|name| name.starts_with("r-")));
    let end: Value = serde_json::from_str(log.stdout.lines().last().expect("a line")).expect("JSON");
    assert!(end["event"]["facets"]["usage"]["memory_max"].as_u64().is_some_and(|bytes| bytes > 0));
}

#[test]
fn a_run_in_a_run_names_its_parent() {
    let sandbox = Sandbox::new();
    let lineage = lineage_tests::sandbox::binary().display().to_string();
    let script = format!("{lineage} run --name inner -- true");
    sandbox.run(["run", "--name", "outer", "--", "sh", "-c", &script]).done();
    let log = sandbox.run(["log", "--json"]);
    let events: Vec<Value> =
        log.done().lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["event"].take()).collect();
    let of = |job: &str| events.iter().find(|event| event["job"] == job).expect("an event").clone();
    assert_eq!(of("inner")["parent"]["run"], of("outer")["run"]);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that did nothing says so")]
fn on_a_terminal_the_command_has_one_too() {
    // `script` gives this process a terminal to run in.
    let sandbox = Sandbox::new();
    let lineage = lineage_tests::sandbox::binary().display().to_string();
    let inner = "test -t 0 && test -t 1 && test -t 2 && echo terminal; stty size; exit 9";
    let run = format!("stty rows 33 cols 77; {lineage} --actor ana run --name tty -- sh -c '{inner}'");
    let mut command = Command::new("script");
    command.args(["-qec", &run, "/dev/null"]).current_dir(sandbox.path()).stdin(Stdio::null());
    let Ok(output) = command.env_remove("LINEAGE_STORE").output() else {
        eprintln!("SKIPPED: `script` is needed for a terminal");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(9), "{said}");
    assert!(said.contains("terminal\r\n33 77\r\n"), "{said}");
    // Without an input of its own `script` may type an end of file first, which the terminal shows.
    assert!(sandbox.run(["logs"]).stdout.contains("terminal\r\n33 77\r\n"), "one log of what the terminal showed");
}
