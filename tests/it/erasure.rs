//! Erasure: nothing of a subject is found afterwards, nothing else is missing, and what derives from it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use lineage_store::Store;
use lineage_store::digest::Blake3;
use lineage_tests::random::Random;
use lineage_tests::sandbox::Sandbox;
use lineage_tests::walk;
use serde_json::{Value, json};

/// How many subjects have a canary in every place.
const CANARIES: usize = 100;

fn canary(n: usize) -> String {
    format!("canary-{:08x}-{n}-bird", (n as u64 + 1) * 2_654_435_761 % 0xffff_ffff)
}

fn digest(n: usize) -> String {
    format!("b3:{n:064x}")
}

/// An event that keeps a canary under a subject, in two sections.
fn sealed(n: usize) -> Value {
    json!({
        "v": 1, "kind": "transform", "id": format!("e-{n}"), "time": "2026-11-19T10:00:00Z",
        "outputs": [{"kind": "dataset", "name": format!("d-{n}"), "digest": digest(n + 1)}],
        "params": {"mail": canary(n)}, "facets": {"customer": {"name": canary(n)}, "public": n},
        "sealed": {"params.mail": {"subject": format!("s-{n}")}, "facets.customer": {"subject": format!("s-{n}")}},
    })
}

/// Every plain and every compressed byte of a folder: files as they are, and what unpacks anywhere in them.
fn search(folder: &Path, canaries: &[String]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut look = |bytes: &[u8]| {
        for at in memchr(bytes, b"canary-") {
            let text = String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 40)]).into_owned();
            found.extend(canaries.iter().filter(|canary| text.starts_with(*canary)).cloned());
        }
    };
    for path in walk::files(folder) {
        let bytes = fs::read(&path).unwrap();
        look(&bytes);
        for at in memchr(&bytes, &[0x28, 0xb5, 0x2f, 0xfd]) {
            let mut out = Vec::new();
            // What is no frame, or is cut off, gives what it has.
            zstd::stream::read::Decoder::new(&bytes[at..]).unwrap().single_frame().read_to_end(&mut out).ok();
            look(&out);
        }
        for at in memchr(&bytes, &[0x1f, 0x8b, 0x08]) {
            let mut out = Vec::new();
            flate2::read::GzDecoder::new(&bytes[at..]).read_to_end(&mut out).ok();
            look(&out);
        }
    }
    found
}

fn memchr<'a>(bytes: &'a [u8], part: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    bytes.windows(part.len()).enumerate().filter(move |(_, window)| *window == part).map(|(at, _)| at)
}

/// The files of a store that hold sealed values.
fn segments(store: &Path) -> Vec<PathBuf> {
    walk::files(&store.join("payloads")).into_iter().filter(|path| !path.ends_with("lock")).collect()
}

/// How many sealed values a store has.
fn n_values(store: &Path) -> usize {
    let mut n = 0;
    Store::open(store).unwrap().payloads().list(&mut |_, _| n += 1).unwrap();
    n
}

/// The sealed bytes of every value of a store.
fn sealed_bytes(store: &Path) -> Vec<Vec<u8>> {
    let store = Store::open(store).unwrap();
    let mut digests = Vec::new();
    store.payloads().list(&mut |digest, _| digests.push(digest)).unwrap();
    digests.iter().map(|digest| store.payloads().get(digest).unwrap().unwrap()).collect()
}

fn json_of(sandbox: &Sandbox, words: &[&str]) -> Value {
    let ran = sandbox.run([&["--json"], words].concat());
    ran.done();
    serde_json::from_str(ran.stdout.trim()).unwrap_or_else(|e| panic!("{e}: {ran}"))
}

/// F20: canaries in events, rejects, spool, cut tails and artifacts; none is found after the erasure, in the store,
/// in packs, or in what is restored from a backup made before it.
#[test]
fn a_hundred_canaries_are_gone() {
    let sandbox = Sandbox::new();
    let canaries: Vec<String> = (0..CANARIES).map(canary).collect();
    let lines: Vec<String> = (0..CANARIES).map(|n| sealed(n).to_string()).collect();
    sandbox.ingest(&(lines.join("\n") + "\n"));
    // Refused: an unknown field beside the value, and no JSON at all.
    let refused: Vec<String> = (0..CANARIES)
        .map(|n| match n % 2 {
            0 => format!(r#"{{"v":1,"kind":"transform","id":"r-{n}","nosuch":"{}","subject":"s-{n}"}}"#, canary(n)),
            _ => format!(r#"{{"v":1,"kind":"transform","subject":"s-{n}","facets":{{"a":"{}"#, canary(n)),
        })
        .collect();
    assert_ne!(sandbox.run_with(["ingest", "-"], (refused.join("\n") + "\n").as_bytes()).code, 0);
    for n in 0..10 {
        sandbox.write("file.bin", format!("{} in a file", canary(n)));
        sandbox.run(["add", "dataset", &format!("file-{n}"), "file.bin", "--subject", &format!("s-{n}")]).done();
    }
    fs::remove_file(sandbox.path().join("file.bin")).unwrap();
    let got = sandbox.run(["get", "dataset", "file-3", "-o", "-"]);
    assert_eq!(got.stdout, format!("{} in a file", canary(3)));
    let store = sandbox.store();
    fs::create_dir_all(store.join("journal/cut")).unwrap();
    fs::write(store.join("journal/cut/000000000009-0"), format!(r#"9 {{"subject":"s-7","x":"{}"}}"#, canary(7)))
        .unwrap();
    fs::write(store.join("spool/0-torn.new"), format!(r#"{{"text":"{{\"subject\":\"s-8\",\"{}"#, canary(8))).unwrap();
    assert_eq!(search(&store, &canaries).len(), CANARIES, "the search finds what is there: rejects, cut, spool");
    sandbox.run(["backup", "backup", "--keys", "vault.keys"]).done();
    let before = json_of(&sandbox, &["report", "full", "--out", "before"]);
    assert!(search(&sandbox.path().join("before"), &canaries).is_empty(), "a pack never has sealed values");

    let ciphertext = sealed_bytes(&store);
    assert_eq!(ciphertext.len(), 2 * CANARIES + 10);
    for n in 0..CANARIES {
        let erased = json_of(&sandbox, &["erase", &format!("s-{n}"), "--basis", "request"]);
        let payloads = 2 + u64::from(n < 10);
        assert_eq!((&erased["payloads"], &erased["keys"]), (&json!(payloads), &json!(1)), "{n}: {erased}");
        assert!(erased["scrubbed"].as_u64().unwrap() >= 1, "{erased}");
        assert_eq!(erased["affected"][0]["version"], format!("dataset d-{n}@v1"));
    }
    assert_eq!(search(&store, &canaries), BTreeSet::new(), "the store");
    assert_eq!(segments(&store), Vec::<PathBuf>::new(), "ciphertext is gone, too");
    for file in walk::files(&store) {
        let bytes = fs::read(&file).unwrap();
        // What follows the head is as random as a nonce, so a part of it is enough.
        let found = ciphertext.iter().find(|sealed| memchr(&bytes, &sealed[20..44]).next().is_some());
        assert!(found.is_none(), "{}", file.display());
    }
    assert_eq!(walk::files(&store.join("keys/subjects")).len(), 0);
    json_of(&sandbox, &["report", "full", "--out", "after"]);
    assert_eq!(search(&sandbox.path().join("after"), &canaries), BTreeSet::new());
    assert_ne!(sandbox.run(["get", "dataset", "file-3", "-o", "-"]).code, 0);

    // The log is what it was: the first events of both packs are the same bytes.
    let unpack = |pack: &str| {
        let mut text = String::new();
        let file = fs::File::open(sandbox.path().join(pack).join("events.ndjson.gz")).unwrap();
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
        text
    };
    assert!(unpack("after").starts_with(&unpack("before")) && before["position"] == json!(CANARIES + 9));

    // Yesterday's backup, with its keys and the newer list of erasures.
    let erasures = sandbox.run(["erase", "--list"]);
    sandbox.write("erasures.ndjson", &erasures.stdout);
    let restored =
        json_of(&sandbox, &["restore", "backup", "restored", "--keys", "vault.keys", "--erasures", "erasures.ndjson"]);
    assert_eq!(restored["erasures"], CANARIES);
    assert_eq!(restored["unreadable"], 0, "{restored}");
    let folder = sandbox.path().join("restored");
    assert_eq!(search(&folder, &canaries), BTreeSet::new());
    assert_eq!(segments(&folder.join(".lineage")), Vec::<PathBuf>::new());
    assert_eq!(walk::files(&folder.join(".lineage/keys/subjects")).len(), 0);
    // Once more is no more.
    let ran = sandbox.run(["--store", "restored", "query", "count events"]);
    assert!(ran.stdout.contains(&(2 * CANARIES + 10).to_string()), "{ran}");
}

/// What a backup without keys holds cannot be read, and it says so.
#[test]
fn a_backup_without_keys_is_unreadable() {
    let sandbox = Sandbox::new();
    sandbox.ingest(&format!("{}\n", sealed(1)));
    let ran = sandbox.run(["backup", "backup"]);
    ran.done();
    assert!(ran.stderr.contains("2 sealed values will be unreadable"), "{ran}");
    let restored = json_of(&sandbox, &["restore", "backup", "restored"]);
    assert_eq!((&restored["unreadable"], &restored["keys"]), (&json!(2), &json!(0)));
    assert!(walk::files(&sandbox.path().join("backup")).iter().all(|path| !path.to_string_lossy().contains("keys")));
    let with = sandbox.run(["backup", "again", "--keys", "vault.keys"]);
    with.done();
    let restored = json_of(&sandbox, &["restore", "again", "whole", "--keys", "vault.keys"]);
    assert_eq!(restored["unreadable"], 0);
    let refused = sandbox.run(["backup", "again"]);
    assert!(refused.code == 2 && refused.stderr.contains("new folder"), "{refused}");
    let refused = sandbox.run(["restore", "again", "whole"]);
    assert!(refused.code == 6 && refused.stderr.contains("already"), "{refused}");
}

#[test]
fn holds_and_floors_keep_from_erasure() {
    let sandbox = Sandbox::new();
    sandbox.ingest(&format!("{}\n{}\n", sealed(1), sealed(2)));
    sandbox.run(["hold", "s-1", "--reason", "litigation"]).done();
    let held = sandbox.run(["erase", "s-1", "--basis", "request"]);
    assert!(held.code == 6 && held.stderr.contains("litigation") && held.stderr.contains("--release"), "{held}");
    sandbox.run(["hold", "s-1", "--reason", "closed", "--release"]).done();
    sandbox.run(["hold", "s-1", "--reason", "over by now", "--until", "2026-11-20T11:59:59Z"]).done();
    sandbox.run(["config", "set", "retain", "default=30"]).done();
    let young = sandbox.run(["erase", "s-1", "--basis", "request"]);
    assert!(young.code == 6 && young.stderr.contains("2026-12-20T12:00:00Z"), "{young}");
    sandbox.run(["config", "set", "retain", "other=30"]).done();
    sandbox.run(["erase", "s-1", "--basis", "request"]).done();
    sandbox.run(["verify"]).done();
    let gone = json_of(&sandbox, &["erase", "s-1", "--basis", "once more"]);
    assert_eq!(gone["payloads"], 0);
    let other = json_of(&sandbox, &["erase", "s-2", "--basis", "request", "--dry-run"]);
    assert_eq!(other["payloads"], 2, "another subject keeps what is its own");
}

/// An erasure that was recorded and not carried out, and files that no event names.
#[test]
fn collecting_finishes_what_was_interrupted() {
    let mut sandbox = Sandbox::new();
    sandbox.ingest(&format!("{}\n{}\n", sealed(1), sealed(2)));
    sandbox.ingest(r#"{"v":1,"kind":"erase","args":{"subject":"s-1","basis":"only recorded"}}"#);
    sandbox.write("a", "one");
    sandbox.run(["add", "dataset", "a", "a"]).done();
    let stray = b"LNP1 of no event";
    Store::open(&sandbox.store()).unwrap().payloads().put(&Blake3::of(stray), stray).unwrap();
    sandbox.at("2031-01-01T00:00:00Z");
    let foreseen = json_of(&sandbox, &["gc", "--dry-run"]);
    assert_eq!((&foreseen["payloads"], &foreseen["artifacts"]), (&json!(1), &json!(0)));
    let done = json_of(&sandbox, &["gc"]);
    assert_eq!(done["payloads"], 3, "two of the subject, and the stray one: {done}");
    assert_eq!(n_values(&sandbox.store()), 2);
    let bytes = segments(&sandbox.store()).into_iter().flat_map(|file| fs::read(file).unwrap()).collect::<Vec<_>>();
    assert!(memchr(&bytes, &stray[4..]).next().is_none());
    sandbox.run(["verify"]).done();
    sandbox.run(["get", "dataset", "a", "-o", "-"]).done();
}

/// What was only too large, or on the seal list, belongs to nobody: it is erased by its event.
#[test]
fn what_an_event_keeps_of_nobody_is_erased_by_its_id() {
    let sandbox = Sandbox::new();
    let large = "x".repeat(20_000);
    for n in 0..2 {
        sandbox.ingest(&format!(
            r#"{{"v":1,"kind":"transform","id":"big-{n}","run":"r{n}","facets":{{"text":"{large}"}}}}"#
        ));
    }
    let erased = json_of(&sandbox, &["erase", "event:big-0", "--basis", "holds an address"]);
    assert_eq!((&erased["payloads"], &erased["keys"]), (&json!(1), &json!(0)));
    assert_eq!(n_values(&sandbox.store()), 1, "that of the other event stays");
    sandbox.run(["verify"]).done();
}

/// P10: a missing value is covered by an erasure, or it is damage.
#[test]
fn a_value_that_is_missing_without_a_word_is_damage() {
    let sandbox = Sandbox::new();
    sandbox.ingest(&format!("{}\n", sealed(1)));
    sandbox.run(["verify"]).done();
    let payload = segments(&sandbox.store()).remove(0);
    let bytes = fs::read(&payload).unwrap();
    let at = bytes.windows(4).position(|window| window == b"LNP1").unwrap();
    let mut changed = bytes.clone();
    changed[at + 50] ^= 1;
    fs::write(&payload, changed).unwrap();
    let ran = sandbox.run(["verify"]);
    let told = ran.stdout.clone() + &ran.stderr;
    let place = format!("{} at byte {at}", payload.file_name().unwrap().to_string_lossy());
    assert!(ran.code == 4 && told.contains("were changed") && told.contains(&place), "{ran}");
    // What a killed writer leaves is no damage: no event names it.
    fs::write(&payload, [&bytes[..], b"LNB1 half of a block"].concat()).unwrap();
    let ran = sandbox.run(["verify"]);
    let told = ran.stdout.clone() + &ran.stderr;
    assert!(ran.code == 0 && told.contains(&format!("at byte {}", bytes.len())), "{ran}");
    fs::remove_file(&payload).unwrap();
    let ran = sandbox.run(["verify"]);
    assert!(ran.code == 4 && (ran.stdout.clone() + &ran.stderr).contains("no erasure covers"), "{ran}");
    fs::write(&payload, bytes).unwrap();
    sandbox.run(["verify"]).done();
    fs::remove_dir_all(sandbox.store().join("keys/subjects")).unwrap();
    let ran = sandbox.run(["verify"]);
    assert!(ran.code == 4 && (ran.stdout.clone() + &ran.stderr).contains("its key is gone"), "{ran}");
    sandbox.run(["erase", "s-1", "--basis", "request"]).done();
    sandbox.run(["verify"]).done();
}

#[test]
fn sealed_values_are_said_right_or_refused() {
    let sandbox = Sandbox::new();
    let cases = [
        (r#"{"v":1,"kind":"transform","run":"r","facets":{"a":1},"sealed":{"facets.a":{"subject":"s"}}}"#, "id"),
        (r#"{"v":1,"kind":"transform","id":"x","run":"r","sealed":{"facets.a":{"subject":"s"}}}"#, "facets.customer"),
        (
            r#"{"v":1,"kind":"transform","id":"x","run":"r","facets":{"a":1},"sealed":{"facets.a":{"subject":""}}}"#,
            "non-empty",
        ),
        (r#"{"v":1,"kind":"transform","id":"x","run":"r","facets":{"a":1},"sealed":{"facets.a":7}}"#, "subject"),
        (
            r#"{"v":1,"kind":"transform","id":"x","run":"r","sealed":{"facets.a":{"subject":"s","digest":"b3:00","size":1}}}"#,
            "set by the store",
        ),
    ];
    for (line, said) in cases {
        let ran = sandbox.run_with(["ingest", "-"], line.as_bytes());
        let rejects: String =
            walk::files(&sandbox.store().join("rejects")).iter().map(|p| fs::read_to_string(p).unwrap()).collect();
        assert!(ran.code == 6 && (ran.stderr + &rejects).contains(said), "{line}: {rejects}");
    }
    // The same event again is the same event, and a value that stands at its emitter's is none of ours.
    let line = sealed(1).to_string() + "\n";
    sandbox.ingest(&line);
    let again: Value = serde_json::from_str(sandbox.ingest(&line).stdout.trim()).unwrap();
    assert_eq!(again["duplicate"], 1, "{again}");
    sandbox.ingest(
        r#"{"v":1,"kind":"transform","id":"y","run":"r","sealed":{"facets.a":{"subject":"s-9","digest":"b3:11"}}}"#,
    );
    let none = json_of(&sandbox, &["erase", "s-9", "--basis", "b", "--dry-run"]);
    assert_eq!(none["payloads"], 0);
}

/// The list of what derives from a subject, against a search over the events as they were sent.
#[test]
fn the_impact_is_complete() {
    let mut random = Random::new(7);
    for _ in 0..12 {
        let sandbox = Sandbox::new();
        let (mut lines, mut events) = (String::new(), Vec::new());
        for n in 0..60_usize {
            let n_inputs = random.below(3);
            let inputs: BTreeSet<usize> = (0..n_inputs).filter(|_| n > 0).map(|_| random.below(n)).collect();
            let is_of_subject = random.one_in(12);
            let mut event = json!({
                "v": 1, "kind": if random.one_in(3) { "training" } else { "transform" }, "id": format!("e-{n}"),
                "time": format!("2026-11-19T10:{n:02}:00Z"),
                "inputs": inputs.iter().map(|i| json!({"kind": "dataset", "name": format!("d-{i}"), "digest": digest(i + 1)})).collect::<Vec<_>>(),
                "outputs": [{"kind": "dataset", "name": format!("d-{n}"), "digest": digest(n + 1)}],
            });
            if is_of_subject {
                event["facets"] = json!({"who": n});
                event["sealed"] = json!({"facets.who": {"subject": "s-1"}});
            }
            lines.push_str(&event.to_string());
            lines.push('\n');
            events.push((inputs, is_of_subject));
        }
        sandbox.ingest(&lines);
        let mut wanted: BTreeMap<String, u64> = BTreeMap::new();
        let mut steps: Vec<Option<u64>> = events.iter().map(|(_, own)| own.then_some(0)).collect();
        for n in 0..events.len() {
            let nearest = events[n].0.iter().filter_map(|i| steps[*i]).min().map(|steps| steps + 1);
            steps[n] = [steps[n], nearest].into_iter().flatten().min();
            wanted.extend(steps[n].map(|steps| (format!("dataset d-{n}@v1"), steps)));
        }
        let told = json_of(&sandbox, &["erase", "s-1", "--basis", "b", "--dry-run"]);
        let told = told["affected"].as_array().unwrap().iter();
        let told: BTreeMap<String, u64> =
            told.map(|v| (v["version"].as_str().unwrap().to_owned(), v["steps"].as_u64().unwrap())).collect();
        assert_eq!(told, wanted);
    }
}
