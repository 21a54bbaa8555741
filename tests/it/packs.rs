//! Packs as FORMAT.md describes them, and packs that are not, before both verifiers.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lineage_store::Store;
use lineage_store::artifact::Artifacts;
use lineage_store::proof::SignedCheckpoint;
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
    fs::write(pack.join("events.parquet"), "PAR1").expect("written");
    fs::write(pack.join("events.ndjson.gz"), gzip(&events(store, first, size))).expect("written");
    if with_proofs {
        let signed = sign(store);
        fs::write(pack.join("checkpoint"), signed.to_string()).expect("written");
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
        "log": { "first": first, "size": size, "head": store.proofs().root_at(size).expect("a root").to_string() },
        "events": { "path": "events.ndjson.gz", "first": first, "count": size - first },
        "proofs": with_proofs.then(|| json!({ "checkpoint": "checkpoint", "tiles": "tiles" })),
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
    let arguments = [&[pack.to_str().expect("a path"), "--key", vkey.to_str().expect("a path")], more].concat();
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
    for file in ["events.parquet", "checkpoint", "tiles/tile/0/000", "tiles/tile/1/000.p/1", "events.ndjson.gz"] {
        let flip = |pack: &Path, _: &mut Value| {
            let mut bytes = fs::read(pack.join(file)).expect("read");
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            fs::write(pack.join(file), bytes).expect("written");
        };
        bad("flipped", &flip, false);
        if file != "events.parquet" {
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
