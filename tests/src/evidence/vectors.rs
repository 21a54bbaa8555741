//! Test vectors: files that both verifiers must accept, and files that both must refuse.

use std::fs;
use std::path::{Path, PathBuf};

use lineage_store::proof::{Hash, KeyUse, ProofFile, SignedCheckpoint, Signer};
use serde_json::{Value, json};

use super::forge::proof_file;
use super::log::key;
use crate::workspace;

/// Where the vectors are.
pub fn folder() -> PathBuf {
    workspace().join("tests/fixtures/proofs")
}

fn witness() -> Signer {
    Signer::new("witness.example/w1", KeyUse::Cosignature, &[43; 32]).unwrap()
}

/// Writes all vectors; the same bytes every time.
pub fn write(folder: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    let (file, _) = proof_file(scratch.path());
    for sort in ["good", "bad"] {
        fs::create_dir_all(folder.join(sort)).unwrap();
    }
    fs::write(folder.join("log.vkey"), format!("{}\n", key().public())).unwrap();
    fs::write(folder.join("witness.vkey"), format!("{}\n", witness().public())).unwrap();
    proofs(folder, &file);
    checkpoints(folder);
}

fn put(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    fs::write(folder.join(name), text).unwrap();
}

fn proofs(folder: &Path, file: &ProofFile) {
    let text = file.text().unwrap();
    put(folder, "good/proof.json", &text);
    put(folder, "good/proof-indented.json", serde_json::to_string_pretty(file).unwrap());
    let value: Value = serde_json::from_str(&text).unwrap();
    let bad = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut other = value.clone();
        change(&mut other);
        assert_ne!(other, value, "{name}");
        put(folder, &format!("bad/proof-{name}.json"), other.to_string() + "\n");
    };
    let first_of = |value: &Value, says: &str| {
        value["statements"].as_array().unwrap().iter().position(|statement| statement["says"] == says).unwrap()
    };
    let (made, used) = (first_of(&value, "made"), first_of(&value, "used"));
    let flip = |value: &mut Value| {
        let text = value.as_str().unwrap();
        let flipped = if text.starts_with('A') { "B" } else { "A" };
        *value = json!(format!("{flipped}{}", &text[1..]));
    };
    bad("schema", &|v| v["schema"] = json!("lineage.proof/2"));
    bad("unknown-member", &|v| v["more"] = json!(1));
    bad("member-missing", &|v| drop(v.as_object_mut().unwrap().remove("text")));
    bad("leaf-changed", &|v| {
        let leaf = v["events"][0]["leaf"].as_str().unwrap().replace("ana", "eve");
        v["events"][0]["leaf"] = json!(leaf);
    });
    bad("position-changed", &|v| v["events"][0]["position"] = json!(v["events"][0]["position"].as_u64().unwrap() + 1));
    bad("position-negative", &|v| v["events"][0]["position"] = json!(-1));
    bad("position-fraction", &|v| v["events"][0]["position"] = json!(0.0));
    bad("position-true", &|v| v["events"][0]["position"] = json!(true));
    bad("position-beyond-64-bits", &|v| v["events"][0]["position"] = json!(1.8e30));
    bad("hash-changed", &|v| flip(&mut v["events"][0]["proof"][0]));
    bad("hash-dropped", &|v| drop(v["events"][0]["proof"].as_array_mut().unwrap().remove(0)));
    bad("hash-added", &|v| v["events"][0]["proof"].as_array_mut().unwrap().push(json!(Hash::empty().to_string())));
    bad("hash-swapped", &|v| v["events"][0]["proof"].as_array_mut().unwrap().swap(0, 1));
    bad("hash-short", &|v| v["events"][0]["proof"][0] = json!("AAAA"));
    bad("hash-unpadded", &|v| {
        let hash = v["events"][0]["proof"][0].as_str().unwrap().trim_end_matches('=').to_owned();
        v["events"][0]["proof"][0] = json!(hash);
    });
    bad("event-twice", &|v| {
        let event = v["events"][0].clone();
        v["events"].as_array_mut().unwrap().insert(0, event);
    });
    bad("events-swapped", &|v| v["events"].as_array_mut().unwrap().swap(0, 1));
    bad("size-changed", &|v| {
        let note = v["checkpoint"].as_str().unwrap().replacen("\n30\n", "\n29\n", 1);
        v["checkpoint"] = json!(note);
    });
    bad("checkpoint-unsigned", &|v| {
        let note = v["checkpoint"].as_str().unwrap().split("\u{2014}").next().unwrap().to_owned();
        v["checkpoint"] = json!(note);
    });
    bad("checkpoint-of-another-key", &|v| {
        let other = Signer::new("example.org/log", KeyUse::Note, &[9; 32]).unwrap();
        let signed = SignedCheckpoint::parse(v["checkpoint"].as_str().unwrap()).unwrap();
        v["checkpoint"] = json!(SignedCheckpoint::sign(signed.size(), signed.root(), &other).to_string());
    });
    bad("another-key-throughout", &|v| {
        let other = Signer::new("example.org/log", KeyUse::Note, &[9; 32]).unwrap();
        let signed = SignedCheckpoint::parse(v["checkpoint"].as_str().unwrap()).unwrap();
        v["checkpoint"] = json!(SignedCheckpoint::sign(signed.size(), signed.root(), &other).to_string());
        v["key"] = json!(other.public().to_string());
    });
    bad("made-by-another-event", &|v| v["statements"][made]["event"] = v["statements"][used + 1]["event"].clone());
    bad("made-another-name", &|v| v["statements"][made]["what"]["name"] = json!("m21"));
    bad("made-another-version", &|v| v["statements"][made]["what"]["version"] = json!("v2"));
    bad("made-another-digest", &|v| v["statements"][made]["what"]["digest"] = json!(format!("sha256:{:064x}", 99)));
    bad("used-in-another-role", &|v| v["statements"][used]["role"] = json!("eval"));
    bad("statement-unknown", &|v| v["statements"][made]["says"] = json!("proves"));
    bad("statement-of-absent-event", &|v| v["statements"][made]["event"] = json!(29));
    bad("statement-member-missing", &|v| drop(v["statements"][used].as_object_mut().unwrap().remove("role")));
    bad("before-reversed", &|v| {
        let (first, then) = (v["events"][1]["position"].clone(), v["events"][0]["position"].clone());
        let statement = json!({ "says": "before", "first": first, "then": then });
        v["statements"].as_array_mut().unwrap().push(statement);
    });
    bad("step-of-two-runs", &|v| {
        let events = json!([v["events"][0]["position"], v["events"][1]["position"]]);
        v["statements"].as_array_mut().unwrap().push(json!({ "says": "step", "events": events }));
    });
    bad("code-invented", &|v| {
        let statement = json!({ "says": "code", "event": v["events"][0]["position"], "code": { "commit": "abc" } });
        v["statements"].as_array_mut().unwrap().push(statement);
    });
    bad("about-something-else", &|v| v["about"]["name"] = json!("m21"));
    put(folder, "bad/proof-member-twice.json", text.replacen('{', "{\"schema\":\"lineage.proof/1\",", 1));
    put(folder, "bad/proof-cut.json", &text[..text.len() / 2]);
    put(folder, "bad/proof-no-utf8.json", [&text.as_bytes()[..100], &[0xff], &text.as_bytes()[100..]].concat());
}

fn checkpoints(folder: &Path) {
    let good = SignedCheckpoint::sign(1000, Hash::leaf(b"root"), &key());
    let text = good.to_string();
    put(folder, "good/checkpoint.txt", &text);
    put(folder, "good/checkpoint-empty.txt", SignedCheckpoint::sign(0, Hash::empty(), &key()).to_string());
    let mut cosigned = good;
    cosigned.cosign(&witness(), 1_800_000_000);
    let both = cosigned.to_string();
    put(folder, "good/checkpoint-cosigned.txt", &both);
    let line = text.lines().last().unwrap().to_owned();
    let foreign = line.replacen("example.org/log", "elsewhere.example", 1);
    put(folder, "good/checkpoint-foreign-signature.txt", format!("{text}{foreign}\n"));
    let bad = |name: &str, text: String| put(folder, &format!("bad/checkpoint-{name}.txt"), text);
    bad("size", text.replacen("\n1000\n", "\n1001\n", 1));
    bad("size-leading-zero", text.replacen("\n1000\n", "\n01000\n", 1));
    bad("size-sign", text.replacen("\n1000\n", "\n+1000\n", 1));
    bad("size-beyond-64-bits", text.replacen("\n1000\n", "\n99999999999999999999\n", 1));
    bad("size-arabic-digits", text.replacen("\n1000\n", "\n\u{661}\u{660}\u{660}\u{660}\n", 1));
    bad("origin", text.replacen("example.org/log\n", "example.org/lag\n", 1));
    bad("extension", text.replacen("\n\n", "\nextension\n\n", 1));
    bad("crlf", text.replace('\n', "\r\n"));
    bad("no-newline-at-end", text.trim_end().to_owned());
    bad("empty-line-at-end", format!("{text}\n"));
    bad("signature-twice", format!("{text}{line}\n"));
    bad("seventeen-signatures", format!("{text}{}", format!("{foreign}\n").repeat(16)));
    bad("unsigned", text.replacen(&line, &foreign, 1));
    bad("signature-hyphen", text.replacen('\u{2014}', "-", 1));
    bad("signature-unpadded", text.replacen("=\n\n", "\n\n", 1));
    bad("cosignature-of-another-time", {
        let mut later = SignedCheckpoint::parse(&text).unwrap();
        later.cosign(&witness(), 1_800_000_001);
        // The time of one and the signature of the other: the first 16 digits of base64 hold id and time.
        let (old, new) = (both.lines().last().unwrap(), later.to_string());
        let new = new.lines().last().unwrap().to_owned();
        let (start, rest) = (old.rfind(' ').unwrap() + 1, new.rfind(' ').unwrap() + 1);
        format!("{text}{}{}\n", &old[..start + 16], &new[rest + 16..])
    });
    bad("malleable", malleable(&text, &line));
}

/// The signature with the order of the group added to S: the same equation holds, and a strict verifier refuses it.
fn malleable(text: &str, line: &str) -> String {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (before, encoded) = line.rsplit_once(' ').unwrap();
    let mut bytes = base64_decode(encoded);
    let mut carry = 0_u16;
    for (byte, order) in bytes[36..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    text.replacen(line, &format!("{before} {}", base64_encode(&bytes)), 1)
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_decode(text: &str) -> Vec<u8> {
    let bits: Vec<u8> = text
        .bytes()
        .filter_map(|digit| DIGITS.iter().position(|known| *known == digit))
        .flat_map(|value| (0..6).rev().map(move |bit| (value >> bit & 1) as u8))
        .collect();
    bits.as_chunks::<8>().0.iter().map(|byte| byte.iter().fold(0, |value, bit| value << 1 | bit)).collect()
}

fn base64_encode(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let mut text: String = bits
        .chunks(6)
        .map(|digit| digit.iter().fold(0, |value, bit| value << 1 | bit) << (6 - digit.len()))
        .map(|value| char::from(DIGITS[value as usize]))
        .collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}
