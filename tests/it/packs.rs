//! Packs as FORMAT.md describes them, and packs that are not, before both verifiers.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lineage_store::Store;
use lineage_store::artifact::Artifacts;
use lineage_store::proof::{SignedCheckpoint, VERIFIER};
use lineage_tests::evidence::log::{add, create, key, sign};
use lineage_tests::evidence::python;
use lineage_tests::sandbox::Sandbox;
use lineage_tests::walk;
use serde_json::{Value, json};

/// More than a tile, so that there are two levels.
const EVENTS: u64 = 300;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip").arg("-nc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(text).expect("written"));
        child.wait_with_output().expect("gzip").stdout
    })
}

fn events(store: &Store, first: u64, size: u64) -> Vec<u8> {
    let mut lines = Vec::new();
    let each = &mut |record: lineage_store::journal::Record<'_>| {
        lines.extend(format!("{{\"position\":{},\"leaf\":", record.position).bytes());
        lines.extend(record.leaf);
        lines.extend(b"}\n");
        Ok(())
    };
    store.journal().read_from(first, size, each).expect("read");
    lines
}

/// Writes the manifest of what is in a folder.
fn seal(pack: &Path, manifest: &mut Value) {
    fs::remove_file(pack.join("manifest.json")).ok();
    let files = walk::files(pack).into_iter().map(|path| {
        let stored = Artifacts::hash_path(&path).expect("hashed");
        let name = path.strip_prefix(pack).expect("inside").display().to_string();
        let digest = stored.digest.hex();
        json!({ "path": name, "size": stored.size, "sha256": stored.sha256, "blake3": digest })
    });
    manifest["files"] = files.collect();
    fs::write(pack.join("manifest.json"), manifest.to_string()).expect("written");
}

/// A pack of the events from `first` to `size`, under a checkpoint of the whole log; with or without proofs.
fn write(store: &Store, pack: &Path, first: u64, size: u64, with_proofs: bool) -> Value {
    fs::create_dir_all(pack).expect("a folder");
    for (file, text) in
        [("answer.parquet", "PAR1"), ("README.md", "a pack"), ("index.html", "<p>a pack"), ("verify.py", VERIFIER)]
    {
        fs::write(pack.join(file), text).expect("written");
    }
    fs::write(pack.join("events.ndjson.gz"), gzip(&events(store, first, size))).expect("written");
    if with_proofs {
        let signed = sign(store);
        fs::write(pack.join("checkpoint"), signed.to_string()).expect("written");
        fs::write(pack.join("log.vkey"), format!("{}\n", key().public())).expect("written");
        let proofs = store.proofs();
        let tile = &mut |path: String, bytes: Vec<u8>| {
            let path = pack.join("tiles").join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, bytes).expect("written");
            Ok(())
        };
        proofs.each_tile(signed.size(), tile).expect("tiles");
    }
    let mut manifest = json!({
        "schema": "lineage.pack/1",
        "report": "query",
        "arguments": {},
        "environments": [],
        "tool": { "name": "lineage", "version": "0" },
        "as_of": "2026-11-20T12:00:00Z",
        // A question that cannot be asked of a pack, so that the table is not made again.
        "queries": [{ "table": "answer", "text": "./model.txt", "exact": true }],
        "tables": [{ "name": "answer", "files": ["answer.parquet"], "rows": 1 }],
        "notes": [],
        "log": { "first": first, "size": size, "head": store.proofs().root_at(size).expect("a root").to_string() },
        "events": { "path": "events.ndjson.gz", "first": first, "count": size - first },
        "proofs": with_proofs.then(|| json!({ "checkpoint": "checkpoint", "tiles": "tiles", "key": "log.vkey" })),
    });
    seal(pack, &mut manifest);
    manifest
}

/// What both verifiers say; they must agree.
#[track_caller]
fn judged(pack: &Path, more: &[&str], expected: i32, verdict: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let vkey = folder.path().join("log.vkey");
    fs::write(&vkey, format!("{}\n", key().public())).expect("written");
    let trusted = ["--key", vkey.to_str().expect("a path")];
    // Who has the key of a log expects its packs to be signed.
    let trusted = if pack.join("checkpoint").exists() { &trusted[..] } else { &[] };
    let arguments = [&[pack.to_str().expect("a path")], trusted, more].concat();
    let ours = Sandbox::empty().run([&["verify"], &arguments[..]].concat());
    assert!(ours.code == expected && ours.stdout.contains(verdict), "{expected} {verdict}: {ours}");
    if python::is_here() {
        let (code, said) = python::verify(&arguments);
        assert!(code == expected && said.contains(verdict), "{expected} {verdict} in Python: {code} {said}");
    }
}

struct Packs {
    folder: tempfile::TempDir,
    store: Store,
    early: PathBuf,
}

fn packs() -> Packs {
    let folder = tempfile::tempdir().expect("a folder");
    let store = create(folder.path());
    add(&store, 0, 100, "");
    let early = folder.path().join("early.checkpoint");
    fs::write(&early, sign(&store).to_string()).expect("written");
    add(&store, 100, EVENTS - 100, "");
    Packs { folder, store, early }
}

#[test]
fn good_packs_are_good_to_both() {
    let Packs { folder, store, early } = packs();
    let early = early.to_str().expect("a path");
    let pack = |name: &str| folder.path().join(name);
    write(&store, &pack("whole"), 0, EVENTS, true);
    judged(&pack("whole"), &[], 0, "CONSISTENT, UNANCHORED");
    judged(&pack("whole"), &["--checkpoint", early, "--require-anchor"], 0, "ANCHORED (1");
    write(&store, &pack("increment"), 120, EVENTS, true);
    judged(&pack("increment"), &["--checkpoint", early], 0, "ANCHORED (1");
    write(&store, &pack("earlier"), 0, 270, true);
    judged(&pack("earlier"), &[], 0, "CONSISTENT, UNANCHORED");
    write(&store, &pack("without"), 0, EVENTS, false);
    judged(&pack("without"), &["--require-anchor"], 1, "CONSISTENT, UNANCHORED");
    judged(&pack("without"), &["--checkpoint", early], 0, "ANCHORED (1");
    let other = folder.path().join("other");
    let fork = create(&other);
    add(&fork, 0, 100, "other ");
    let forked = other.join("forked.checkpoint");
    fs::write(&forked, sign(&fork).to_string()).expect("written");
    judged(&pack("whole"), &["--checkpoint", forked.to_str().expect("a path")], 4, "DIVERGED");
}

#[test]
fn bad_packs_are_bad_to_both() {
    let Packs { folder, store, .. } = packs();
    let good = folder.path().join("good");
    let manifest = write(&store, &good, 0, EVENTS, true);
    let bad = |name: &str, change: &dyn Fn(&Path, &mut Value), sealed: bool| {
        let pack = folder.path().join(name);
        walk::copy(&good, &pack);
        let mut manifest = manifest.clone();
        change(&pack, &mut manifest);
        if sealed {
            seal(&pack, &mut manifest);
        }
        judged(&pack, &[], 4, "INVALID");
        fs::remove_dir_all(pack).expect("removed");
    };
    for file in ["answer.parquet", "checkpoint", "tiles/tile/0/000", "tiles/tile/1/000.p/1", "events.ndjson.gz"] {
        let flip = |pack: &Path, _: &mut Value| {
            let mut bytes = fs::read(pack.join(file)).expect("read");
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            fs::write(pack.join(file), bytes).expect("written");
        };
        bad("flipped", &flip, false);
        if file != "answer.parquet" {
            // The manifest is not signed: who changes a file makes it right.
            bad("flipped and sealed", &flip, true);
        }
        bad("missing", &|pack, _| fs::remove_file(pack.join(file)).expect("removed"), false);
    }
    bad("more", &|pack, _| fs::write(pack.join("more"), "x").expect("written"), false);
    let text = String::from_utf8(events(&store, 0, EVENTS)).expect("text");
    let put =
        |pack: &Path, text: &str| fs::write(pack.join("events.ndjson.gz"), gzip(text.as_bytes())).expect("written");
    bad("edited", &|pack, _| put(pack, &text.replacen("\"ana\"", "\"eve\"", 1)), true);
    bad("one less", &|pack, _| put(pack, &text[..=text.trim_end().rfind('\n').expect("a line")]), true);
    bad("one more", &|pack, _| put(pack, &format!("{text}{{\"position\":{EVENTS},\"leaf\":{{}}}}\n")), true);
    bad("a gap", &|pack, _| put(pack, text.split_once('\n').expect("a line").1), true);
    bad("head", &|_, manifest| manifest["log"]["head"] = json!(sign(&store).root().to_string().to_lowercase()), true);
    bad(
        "head of less",
        &|_, manifest| {
            manifest["log"]["head"] = json!(store.proofs().root_at(EVENTS - 1).expect("a root").to_string());
        },
        true,
    );
    bad("schema", &|_, manifest| manifest["schema"] = json!("lineage.pack/2"), true);
    bad("path", &|_, manifest| manifest["events"]["path"] = json!("../early.checkpoint"), true);
    bad("size", &|_, manifest| manifest["log"]["size"] = json!(EVENTS + 1), true);
    bad(
        "checkpoint of less",
        &|pack, _| {
            let less = SignedCheckpoint::sign(EVENTS - 1, store.proofs().root_at(EVENTS - 1).expect("a root"), &key());
            fs::write(pack.join("checkpoint"), less.to_string()).expect("written");
        },
        true,
    );
    bad(
        "checkpoint of others",
        &|pack, _| {
            let other = SignedCheckpoint::sign(EVENTS, store.proofs().root_at(1).expect("a root"), &key());
            fs::write(pack.join("checkpoint"), other.to_string()).expect("written");
        },
        true,
    );
}

/// A pack of a report, written by the command over a log that is signed; the public key of the log.
fn reported(sandbox: &Sandbox, words: &[&str], out: &str) -> (PathBuf, PathBuf) {
    sandbox.run([&["report"], words, &["--out", out]].concat()).done();
    (sandbox.path().join(out), sandbox.store().join("checkpoints/log.vkey"))
}

fn signed() -> Sandbox {
    let sandbox = Sandbox::new();
    let lines: Vec<&str> =
        include_str!("reports/history.ndjson").lines().filter(|line| line.starts_with('{')).collect();
    sandbox.ingest(&(lines.join("\n") + "\n"));
    sandbox.run(["checkpoint"]).done();
    sandbox
}

/// What both verifiers say of a pack whose key is known.
#[track_caller]
fn found(pack: &Path, vkey: &Path, expected: i32, words: &str) {
    let arguments = [pack.to_str().expect("a path"), "--key", vkey.to_str().expect("a path")];
    let ours = Sandbox::empty().run([&["verify"], &arguments[..]].concat());
    assert!(ours.code == expected && ours.stdout.contains(words), "{words}: {ours}");
    if python::is_here() {
        let (code, said) = python::verify(&arguments);
        assert!(code == expected && said.contains(words), "{words} in Python: {code} {said}");
    }
}

fn manifest_of(pack: &Path) -> Value {
    serde_json::from_slice(&fs::read(pack.join("manifest.json")).expect("read")).expect("JSON")
}

#[test]
fn a_pack_that_lacks_a_file_is_invalid_and_the_file_is_named() {
    let sandbox = signed();
    let (good, vkey) = reported(&sandbox, &["full"], "good");
    let manifest = manifest_of(&good);
    let names: Vec<String> = manifest["files"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|f| f["path"].as_str().expect("text").to_owned())
        .collect();
    assert!(names.len() > 17, "{names:?}");
    for (n, name) in names.iter().enumerate() {
        let pack = sandbox.path().join(format!("without-{n}"));
        walk::copy(&good, &pack);
        fs::remove_file(pack.join(name)).expect("removed");
        found(&pack, &vkey, 4, name);
        // The manifest is not signed: who takes a file away takes it out of there, too.
        seal(&pack, &mut manifest.clone());
        found(&pack, &vkey, 4, name);
        fs::remove_dir_all(pack).expect("removed");
    }
}

#[test]
fn a_manifest_that_lacks_a_member_or_a_demand_of_its_report_is_invalid() {
    let sandbox = signed();
    let (good, vkey) = reported(&sandbox, &["full"], "good");
    let manifest = manifest_of(&good);
    let changed = |n: &str, manifest: &Value, named: &str| {
        let pack = sandbox.path().join(n);
        walk::copy(&good, &pack);
        let own = |path: &str| manifest["files"].as_array().is_none_or(|files| files.iter().any(|f| f["path"] == path));
        for file in walk::files(&pack) {
            let path = file.strip_prefix(&pack).expect("inside").display().to_string();
            if path != "manifest.json" && !own(&path) {
                fs::remove_file(file).expect("removed");
            }
        }
        fs::write(pack.join("manifest.json"), manifest.to_string()).expect("written");
        found(&pack, &vkey, 4, named);
        fs::remove_dir_all(pack).expect("removed");
    };
    let without = |manifest: &mut Value, gone: &dyn Fn(&str) -> bool| {
        let files = manifest["files"].as_array_mut().expect("a list");
        files.retain(|file| !gone(file["path"].as_str().expect("text")));
    };
    for name in manifest.as_object().expect("an object").keys() {
        let mut less = manifest.clone();
        less.as_object_mut().expect("an object").remove(name);
        changed("member", &less, if name == "schema" { "manifest.json" } else { name });
    }
    for table in manifest["tables"].as_array().expect("a list") {
        let name = table["name"].as_str().expect("text");
        let mut less = manifest.clone();
        less["tables"].as_array_mut().expect("a list").retain(|other| other["name"] != name);
        without(&mut less, &|path| path == format!("{name}.parquet"));
        changed("table", &less, &format!("no table {name}"));
    }
    let mut less = manifest.clone();
    less["events"] = Value::Null;
    without(&mut less, &|path| path == "events.ndjson.gz");
    changed("events", &less, "events.ndjson.gz");
    let mut less = manifest.clone();
    less["proofs"]["tiles"] = Value::Null;
    without(&mut less, &|path| path.starts_with("tiles/"));
    changed("tiles", &less, "no tiles");
    let mut less = manifest.clone();
    less["proofs"] = Value::Null;
    without(&mut less, &|path| path.starts_with("tiles/") || path == "checkpoint" || path == "log.vkey");
    changed("proofs", &less, "no checkpoint");
}

#[test]
fn each_report_has_the_tables_that_its_packs_must_have() {
    let sandbox = signed();
    for (n, (name, _)) in lineage_query::report::Report::NAMES.iter().enumerate() {
        let subject: &[&str] = if *name == "erasure-impact" { &["s-1"] } else { &[] };
        let (pack, vkey) = reported(&sandbox, &[&[*name], subject].concat(), &format!("pack-{n}"));
        let manifest = manifest_of(&pack);
        let tables: Vec<&str> =
            manifest["tables"].as_array().expect("a list").iter().map(|t| t["name"].as_str().expect("text")).collect();
        let demanded = lineage_query::report::Report::tables_of(name);
        assert_eq!(Some(&tables[..]), demanded, "{name}");
        found(&pack, &vkey, 0, "CONSISTENT, UNANCHORED");
    }
    // What was asked to be without events is not invalid, and says so.
    let (pack, vkey) = reported(&sandbox, &["full", "--events", "none"], "no-events");
    found(&pack, &vkey, 0, "made without events");
    let (pack, vkey) = reported(&sandbox, &["full", "--partition", "day"], "by-day");
    found(&pack, &vkey, 0, "CONSISTENT");
    let (pack, vkey) = reported(&sandbox, &["--query", "models", "--query", "events"], "answers");
    found(&pack, &vkey, 0, "CONSISTENT");
}
