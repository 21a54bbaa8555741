//! Bad files, bad stores, bad disks: a clear error, the right exit code, nothing lost, no panic.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lineage_tests::crash::event;
use lineage_tests::sandbox::{Ran, Sandbox, binary};
use lineage_tests::{memory, skipped, walk};
use serde_json::Value;

fn good(n: u64) -> String {
    event("good", n) + "\n"
}

/// Ingests bytes between two good lines; both must be recorded, and the bytes refused with a reason.
#[track_caller]
fn refused(bytes: &[u8], reason: &str) {
    let sandbox = Sandbox::new();
    let input = [good(0).as_bytes(), bytes, b"\n", good(1).as_bytes()].concat();
    let ran = sandbox.run_with(["--json", "ingest", "-"], &input);
    ran.fails(6, reason);
    let said = ran.json();
    assert_eq!((said["accepted"].as_u64(), said["refused"].as_u64()), (Some(2), Some(1)), "{ran}");
    assert_eq!(sandbox.run(["--json", "status"]).json()["events"], 2);
    let rejects = said["rejects"].as_str().expect("a reject file");
    assert!(walk::bytes_below(Path::new(rejects).parent().expect("a folder")) > 0);
    sandbox.run(["verify"]).done();
}

#[test]
fn nothing_is_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("empty", "");
    sandbox.write("blank", "\n\n  \n");
    for file in ["empty", "blank", "/dev/null"] {
        let said = sandbox.run(["--json", "ingest", file]);
        said.done();
        assert_eq!((&said.json()["accepted"], &said.json()["refused"]), (&0.into(), &0.into()));
    }
}

#[test]
fn what_is_no_event_is_refused_with_its_line() {
    refused(b"\x7fELF\x02\x01\x01\x00\xff\xfe\x80", "line 2");
    refused(b"{\"v\":1,\"kind\":\"transform\",\"run\":\"\xff\xfe\"}", "UTF-8");
    refused(b"not json at all", "line 2");
    refused(b"[]7", "line 2");
    refused(b"{\"v\":1,\"kind\":\"transfrom\",\"run\":\"r\"}", "transform");
    refused(b"{\"v\":2,\"kind\":\"transform\",\"run\":\"r\"}", "v");
    refused(b"{\"v\":1,\"kind\":\"transform\",\"run\":\"r\",\"run\":\"s\"}", "run");
    refused(b"{\"v\":1,\"kind\":\"transform\",\"run\":\"r\",\"extra\":1}", "extra");
    refused(b"{\"v\":1,\"kind\":\"transform\",\"run\":7}", "run");
    refused(b"{\"v\":1,\"kind\":\"transform\"}", "line 2");
    refused(b"{\"v\":1,\"kind\":\"transform\",\"run\":\"r\",\"time\":\"yesterday\"}", "time");
    refused(b"{\"v\":1,\"kind\":\"transform\",\"run\":\"r\",\"inputs\":[{\"name\":\"d\",\"version\":\"v9\"}]}", "v9");
    refused(b"{\"v\":1,\"kind\":\"deployment\",\"about\":[{\"kind\":\"model\",\"name\":\"m\"}]}", "environment");
    refused(b"{\"v\":1,\"kind\":\"transform\",\"run\":\"r\",\"metrics\":{\"x\":1e999}}", "line 2");
    refused(b"{\"v\":1,\"kind\":\"transform\",\"run\":\"r\"", "line 2");
}

#[test]
fn deep_documents_and_questions_are_refused() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    refused(deep("[", "]").as_bytes(), "line 2");
    let facet = format!("{{\"v\":1,\"kind\":\"transform\",\"run\":\"r\",\"facets\":{{\"a\":{}}}}}", deep("[", "]"));
    refused(facet.as_bytes(), "line 2");
    let object = format!(
        "{{\"v\":1,\"kind\":\"transform\",\"run\":\"r\",\"facets\":{}1{}}}",
        "{\"a\":".repeat(100_000),
        "}".repeat(100_000)
    );
    refused(object.as_bytes(), "line 2");
    let sandbox = Sandbox::new();
    for question in
        ["(".repeat(100_000), "not ".repeat(30_000), "models trained on (".repeat(6000), "a".repeat(120_000)]
    {
        let ran = sandbox.run(["query", &question]);
        assert!([2, 3].contains(&ran.code), "{}", ran.code);
        assert!(ran.stderr.contains("error"), "{ran}");
    }
}

#[test]
fn a_line_of_100_megabytes_is_refused_and_the_rest_read() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["--json", "ingest", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(good(0).as_bytes()).expect("written");
    let piece = vec![b'x'; 1 << 20];
    let mut peak = 0;
    for n in 0..100 {
        input.write_all(&piece).expect("written");
        if n % 10 == 9 {
            peak = peak.max(memory::resident(child.id()).unwrap_or(0) / 1024);
        }
    }
    input.write_all(format!("\n{}", good(1)).as_bytes()).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("ends");
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (said["accepted"].as_u64(), said["refused"].as_u64(), output.status.code()),
        (Some(2), Some(1), Some(6))
    );
    assert!(peak < 200_000, "{peak} kB of memory");
}

#[test]
fn names_from_outside_become_no_paths() {
    let sandbox = Sandbox::new();
    let name = "../../../../tmp/lineage-escape";
    sandbox.write("raw", "bytes");
    sandbox.run(["add", "dataset", name, "raw"]).done();
    sandbox.run(["get", "dataset", name]).done();
    assert!(sandbox.path().join("lineage-escape").exists() && !Path::new("/tmp/lineage-escape").exists());
    // Nor do control characters reach the terminal, in names, where they are refused, or in text.
    let line = b"{\"v\":1,\"kind\":\"transform\",\"run\":\"r\",\"job\":\"a\\u001b]0;x\\u0007\"}\n\x1b[2J\n";
    let ran = sandbox.run_with(["ingest", "-"], line);
    ran.fails(6, "control character");
    assert!(!ran.stderr.contains('\x1b'), "{ran}");
    sandbox.run(["describe", "dataset", name, "--purpose", "\x1b[2Jx"]).done();
    for args in [&["log"][..], &["show", "dataset", name], &["show", "#1"], &["query", "datasets show purpose"]] {
        assert!(!sandbox.run(args).done().contains('\x1b'), "{args:?}");
    }
}

#[test]
fn stores_that_are_none_are_named() {
    let sandbox = Sandbox::new();
    sandbox.run(["--store", "elsewhere", "query", "models"]).fails(6, "elsewhere");
    let config = sandbox.store().join("config.toml");
    let text = fs::read_to_string(&config).expect("read");
    fs::write(&config, text.replace("format = 1", "format = 2")).expect("written");
    for args in [&["status"][..], &["query", "models"], &["ingest", "/dev/null"], &["rebuild"]] {
        sandbox.run(args).fails(6, "format 2");
    }
    sandbox.run(["run", "--", "true"]).fails(125, "format 2");
    fs::write(&config, "colour = 1\n").expect("written");
    sandbox.run(["status"]).code(4);
    fs::write(&config, text.clone() + "colour = 1\n").expect("written");
    sandbox.run(["status"]).fails(2, "colour");
    fs::write(&config, text).expect("written");
    fs::remove_file(sandbox.store().join("journal/head")).expect("removed");
    let ran = sandbox.run(["status"]);
    assert!([4, 6].contains(&ran.code) && ran.stderr.contains("error"), "{ran}");
}

/// Runs the binary as nobody, to whom the permissions of folders apply; `None` if that is not possible here.
fn as_nobody(sandbox: &Sandbox) -> Option<PathBuf> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    let copy = sandbox.path().join("lineage");
    fs::copy(binary(), &copy).expect("copied");
    if !is_root {
        return Some(copy);
    }
    let wrapper = sandbox.path().join("nobody");
    let script =
        format!("#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups {} \"$@\"\n", copy.display());
    fs::write(&wrapper, script).expect("written");
    fs::set_permissions(&wrapper, Permissions::from_mode(0o755)).expect("set");
    fs::set_permissions(sandbox.path(), Permissions::from_mode(0o755)).expect("set");
    let works = Command::new(&wrapper).arg("--version").output().is_ok_and(|o| o.status.success());
    if !works {
        skipped("read-only folder: this is root, and `setpriv` cannot make it nobody");
    }
    works.then_some(wrapper)
}

fn state(folder: &Path) -> Vec<(PathBuf, u64)> {
    walk::files(folder).into_iter().map(|path| (path.clone(), path.metadata().expect("there").len())).collect()
}

fn set_writable(folder: &Path, writable: bool) {
    let mode = if writable { "u+w" } else { "a-w,a+rX" };
    assert!(Command::new("chmod").args(["-R", mode]).arg(folder).status().expect("runs").success());
}

#[test]
fn a_read_only_folder_can_be_read() {
    let sandbox = Sandbox::new();
    sandbox.ingest(&(0..1500).map(good).collect::<String>());
    sandbox.write("raw", "bytes");
    sandbox.run(["add", "dataset", "raw", "raw"]).done();
    sandbox.run(["run", "--", "echo", "said"]).done();
    let Some(program) = as_nobody(&sandbox) else { return };
    let run = |args: &[&str]| {
        let mut command = Command::new(&program);
        Ran::of(
            command.args(["--now", "2026-11-20T12:00:00Z", "--actor", "ana"]).args(args).current_dir(sandbox.path()),
        )
    };
    let reads: [&[&str]; 11] = [
        &["ps", "--json"],
        &["logs"],
        &["why", "dataset", "raw"],
        &["query", "models", "--output", "json"],
        &["query", "datasets upstream of model m1", "--output", "csv"],
        &["log", "-n", "5"],
        &["show", "model", "m1"],
        &["history", "model", "m1"],
        &["--json", "status"],
        &["get", "dataset", "raw", "-o", "-"],
        &["verify"],
    ];
    let right: Vec<Vec<u8>> = reads[..10].iter().map(|args| sandbox.run(*args).bytes).collect();
    set_writable(&sandbox.store(), false);
    let before = state(&sandbox.store());
    for (args, right) in reads.iter().zip(right.into_iter().map(Some).chain([None])) {
        let ran = run(args);
        ran.done();
        assert!(right.is_none_or(|right| ran.bytes == right), "{ran}");
    }
    for args in [
        &["tag", "model", "m1", "x"][..],
        &["ingest", "/nowhere/events.ndjson"],
        &["rebuild"],
        &["alias", "model", "m1", "a"],
    ] {
        run(args).fails(6, "cannot");
    }
    run(&["run", "--", "true"]).fails(125, "cannot");
    assert_eq!(state(&sandbox.store()), before);
    set_writable(&sandbox.store(), true);
    sandbox.run(["tag", "model", "m1", "x"]).done();
}

/// A small file system in memory, unmounted in the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(path).expect("made");
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output();
        if mounted.is_ok_and(|o| o.status.success()) {
            return Some(Self(path.to_owned()));
        }
        skipped("full disk: no file system can be mounted here; run as root");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let sandbox = Sandbox::empty();
    let lines: String = (0..8000).map(good).collect();
    sandbox.write("e.ndjson", &lines);
    for size in (0..20).map(|n| format!("{}k", 5 * 1024 + n * 105)) {
        let Some(disk) = SmallDisk::mount(&sandbox.path().join("small"), &size) else { return };
        sandbox.run(["init", "small"]).done();
        let filler = disk.0.join("filler");
        fs::write(&filler, vec![1; 1 << 20]).expect("room");
        let ingest = || sandbox.run(["--store", "small", "--json", "ingest", "e.ndjson"]);
        let full = ingest();
        full.fails(6, "make room");
        let accepted = full.json()["accepted"].as_u64().expect("a number");
        // What is there can be read on the full disk, and it is at least what was accepted.
        let recorded =
            sandbox.run(["--store", "small", "--json", "status"]).json()["events"].as_u64().expect("a number");
        assert!(recorded >= accepted && recorded < 8000, "{recorded} of {accepted}");
        sandbox.run(["--store", "small", "query", "models", "--output", "csv"]).done();
        sandbox.run(["--store", "small", "log", "-n", "1"]).done();
        sandbox.run(["--store", "small", "tag", "model", "m1", "x"]);
        fs::remove_file(&filler).expect("removed");
        Command::new("mount").args(["-o", "remount,size=60m"]).arg(&disk.0).status().expect("remounted");
        let rest = ingest();
        rest.done();
        let (new, known) = (rest.json()["accepted"].clone(), rest.json()["duplicate"].clone());
        assert_eq!(new.as_u64().zip(known.as_u64()).map(|(a, b)| a + b), Some(8000));
        assert!(known.as_u64() >= Some(accepted), "{known} of {accepted} accepted ones are there");
        sandbox.run(["--store", "small", "verify"]).done();
    }
}
