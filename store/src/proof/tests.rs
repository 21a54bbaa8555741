//! Tests of the proofs: the tree against the words of RFC 6962, tiles that grow in any steps, checkpoints, keys.

use std::time::Duration;

use super::*;
use crate::event::{Event, prepare};
use crate::store::Store;
use crate::time::Time;

/// `MTH` of RFC 6962, 2.1, word by word.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::empty(),
        [leaf] => *leaf,
        _ => {
            let k = 1 << (leaves.len() - 1).ilog2();
            Hash::node(&mth(&leaves[..k]), &mth(&leaves[k..]))
        }
    }
}

/// `PATH` of RFC 6962, 2.1.1.
fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let k = 1 << (leaves.len() - 1).ilog2();
    let (mut proof, other) =
        if m < k { (path(m, &leaves[..k]), mth(&leaves[k..])) } else { (path(m - k, &leaves[k..]), mth(&leaves[..k])) };
    proof.push(other);
    proof
}

/// `SUBPROOF` of RFC 6962, 2.1.2.
fn subproof(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![mth(leaves)] };
    }
    let k = 1 << (leaves.len() - 1).ilog2();
    let (mut proof, other) = if m <= k {
        (subproof(m, &leaves[..k], whole), mth(&leaves[k..]))
    } else {
        (subproof(m - k, &leaves[k..], false), mth(&leaves[..k]))
    };
    proof.push(other);
    proof
}

fn leaves(n: u64) -> Leaves {
    Leaves((0..n).map(|i| Hash::leaf(&i.to_be_bytes())).collect())
}

#[test]
fn proofs_are_those_of_the_rfc_and_hold() {
    let all = leaves(70);
    let nodes = &mut |level, index| Ok::<_, ()>(all.node(level, index));
    for size in 0..=70 {
        let seen = &all.0[..size];
        let new_root = mth(seen);
        assert_eq!(root(size as u64, nodes), Ok(new_root), "{size}");
        assert_eq!(all.root(size as u64), new_root);
        for index in 0..size {
            let proof = prove_inclusion(index as u64, size as u64, nodes).unwrap().unwrap();
            assert_eq!(proof, path(index, seen), "{index} of {size}");
            assert!(includes(&all.0[index], index as u64, size as u64, &proof, &new_root));
            assert!(size == 1 || !includes(&all.0[(index + 1) % size], index as u64, size as u64, &proof, &new_root));
        }
        for old in 0..=size {
            let proof = prove_consistency(old as u64, size as u64, nodes).unwrap().unwrap();
            let old_root = mth(&seen[..old]);
            if old > 0 {
                assert_eq!(proof, subproof(old, seen, true), "{old} of {size}");
            }
            assert!(extends(old as u64, &old_root, size as u64, &new_root, &proof), "{old} of {size}");
            if old > 0 && old < size {
                assert!(!extends(old as u64, &all.0[0], size as u64, &new_root, &proof) || old == 1);
            }
        }
        assert_eq!(prove_inclusion(size as u64, size as u64, nodes), Ok(None));
        assert_eq!(prove_consistency(size as u64 + 1, size as u64, nodes), Ok(None));
    }
}

#[test]
fn an_edge_grows_to_the_same_root() {
    let all = leaves(66_000);
    let mut edge = Edge::default();
    let mut full = std::collections::HashMap::new();
    for (i, leaf) in all.0.iter().enumerate() {
        edge.push(*leaf, &mut |level, index, hashes: &[Hash]| {
            assert_eq!(hashes.len() as u64, TILE_HASHES);
            assert!(full.insert((level, index), hashes.to_vec()).is_none(), "tile {level}/{index} twice");
            Ok::<_, ()>(())
        })
        .unwrap();
        let size = i as u64 + 1;
        if size.is_multiple_of(4999) || size < 600 || size > 65_500 && size < 65_560 {
            assert_eq!(edge.root(), all.root(size), "{size}");
            let partial: std::collections::HashMap<_, _> =
                edge.partial().map(|(level, index, hashes)| ((level, index), hashes.to_vec())).collect();
            let loaded = Edge::load(size, |level, index, width| {
                let hashes = partial.get(&(level, index)).cloned().unwrap_or_default();
                if hashes.len() == width { Ok(hashes) } else { Err((level, index, width)) }
            });
            assert_eq!(loaded.unwrap(), edge, "{size}");
        }
    }
    assert_eq!(full.len(), 257 + 1);
}

fn key() -> Signer {
    Signer::new("example.org/log", KeyUse::Note, &[7; 32]).unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(&folder.path().join(".lineage"), "format = 1\n").unwrap();
    (folder, store)
}

fn add(store: &Store, from: u64, count: u64) {
    let events = (from..from + count).flat_map(|i| {
        let line = format!(r#"{{"v":1,"kind":"transform","id":"e{i}","outputs":[{{"name":"d{i}"}}]}}"#);
        prepare(
            Event::parse(line.as_bytes(), "ana").unwrap(),
            line.as_bytes(),
            &[],
            &crate::erasure::Keys::of_seed([7; 32]),
        )
        .unwrap()
    });
    store.append(events.collect(), Time(1_800_000_000_000_000_000)).unwrap();
}

fn hashes_of(store: &Store) -> Leaves {
    let mut hashes = Vec::new();
    let count = store.head().unwrap().count;
    store.journal().read_from(0, count, &mut |record| Ok(hashes.push(Hash::leaf(record.leaf)))).unwrap();
    Leaves(hashes)
}

#[test]
fn heads_and_proofs_come_from_tiles_and_from_the_journal_alike() {
    let (_folder, store) = store();
    let mut at = 0;
    for step in [1, 1, 2, 251, 1, 1, 300, 513, 7] {
        add(&store, at, step);
        at += step;
        let all = hashes_of(&store);
        // Before and after the tiles are grown.
        for grown in [false, true] {
            let proofs = store.proofs();
            if grown {
                assert!(matches!(proofs.advance(&key()).unwrap(), Advanced::Signed(signed) if signed.size() == at));
                assert!(matches!(proofs.advance(&key()).unwrap(), Advanced::Current(Some(_))));
            }
            for size in [0, 1, at / 2, at - 1, at] {
                assert_eq!(proofs.root_at(size).unwrap(), all.root(size), "{size} of {at}");
                if size > 0 {
                    let proof = proofs.inclusion(size - 1, at).unwrap().unwrap();
                    assert!(includes(&all.0[size as usize - 1], size - 1, at, &proof, &all.root(at)));
                }
                let proof = proofs.consistency(size, at).unwrap().unwrap();
                assert!(extends(size, &all.root(size), at, &all.root(at), &proof));
            }
        }
    }
    // One partial tile of each level is left, and nothing else.
    let files = store.proofs().tiles().files().unwrap();
    let expected = ["tile/0/000", "tile/0/001", "tile/0/002", "tile/0/003", "tile/0/004.p/53", "tile/1/000.p/4"];
    assert_eq!(files, expected);
    assert!(matches!(store.proofs().root_at(at + 1), Err(crate::StoreError::BeyondHead { .. })));
    store.close(Duration::ZERO).unwrap();
}

#[test]
fn checkpoints_are_signed_while_events_are_appended() {
    let (_folder, store) = store();
    store.sign_while_writing(key()).unwrap();
    for i in 0..40 {
        add(&store, i * 100, 100);
    }
    store.stop_signing().unwrap();
    let latest = store.proofs().checkpoints().latest().unwrap().expect("a checkpoint");
    assert!(latest.size() > 0 && latest.root() == hashes_of(&store).root(latest.size()), "{latest}");
    let Advanced::Signed(signed) = store.proofs().advance(&key()).unwrap() else { panic!("not signed") };
    assert_eq!(signed.root(), hashes_of(&store).root(4000));
}

#[test]
fn hashes_of_sealing_and_of_the_journal_give_one_tree() {
    let (_folder, store) = store();
    store.journal().hash_from(Some(300));
    let facet = "x".repeat(15_000);
    let mut at = 0;
    // The first 700 fill a segment, which the next append seals.
    for count in [700, 10, 10] {
        let events = (at..at + count).flat_map(|i| {
            let line = format!(
                r#"{{"v":1,"kind":"transform","id":"e{i}","outputs":[{{"name":"d"}}],"facets":{{"f":"{facet}"}}}}"#
            );
            let keys = crate::erasure::Keys::of_seed([7; 32]);
            prepare(Event::parse(line.as_bytes(), "ana").unwrap(), line.as_bytes(), &[], &keys).unwrap()
        });
        store.append(events.collect(), Time(1_800_000_000_000_000_000)).unwrap();
        store.journal().join();
        at += count;
        // Signed in the midst of what is hashed, too.
        if at != 700 {
            let Advanced::Signed(signed) = store.proofs().advance(&key()).unwrap() else { panic!("not signed") };
            assert_eq!(signed.root(), hashes_of(&store).root(at));
        }
    }
    store.journal().join();
    assert!(store.journal().take_hashed(u64::MAX).is_empty(), "what sealing hashed was taken");
}

#[test]
fn nothing_is_signed_that_contradicts_the_newest_checkpoint() {
    let (_folder, store) = store();
    add(&store, 0, 300);
    store.proofs().advance(&key()).unwrap();
    add(&store, 300, 1);
    let other = Signer::new("example.org/log", KeyUse::Note, &[8; 32]).unwrap();
    assert!(store.proofs().advance(&other).unwrap_err().is_corrupt(), "another key");
    let tile = store.layout().part("tiles").join("tile/0/001.p/44");
    let good = std::fs::read(&tile).unwrap();
    let mut bad = good.clone();
    bad[40] ^= 1;
    std::fs::write(&tile, &bad).unwrap();
    assert!(store.proofs().advance(&key()).unwrap_err().is_corrupt(), "a changed tile");
    // A tile of a wrong length is one that a crash left: its hashes come from the journal.
    std::fs::write(&tile, &good[..40]).unwrap();
    let Advanced::Signed(signed) = store.proofs().advance(&key()).unwrap() else { panic!("not signed") };
    assert_eq!(signed.root(), hashes_of(&store).root(301));
}

#[test]
fn the_newest_checkpoint_survives_the_loss_of_a_slot() {
    let (_folder, store) = store();
    for i in 0..4 {
        add(&store, i, 1);
        store.proofs().advance(&key()).unwrap();
    }
    let path = store.proofs().checkpoints().latest_path();
    let good = std::fs::read(&path).unwrap();
    let sizes = |store: &Store| {
        let (found, bad) = store.proofs().checkpoints().all().unwrap();
        (found.iter().map(|stored| stored.signed.size()).collect::<Vec<_>>(), bad.len())
    };
    assert_eq!(sizes(&store), (vec![3, 4], 0));
    for (at, left) in [(20, vec![4]), (530, vec![3])] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let (found, bad) = sizes(&store);
        // A changed size or root is a checkpoint still; its signature tells.
        assert!(bad == 1 && found == left || bad == 0 && found.len() == 2, "{found:?} {bad}");
    }
    std::fs::write(&path, &good).unwrap();
    let kept = store.proofs().checkpoints().latest().unwrap().unwrap();
    store.proofs().checkpoints().keep(&kept).unwrap();
    assert_eq!(sizes(&store), (vec![3, 4, 4], 0));
}

#[test]
fn keys_and_notes_are_read_back_and_nothing_else_is() {
    let signer = key();
    let secret = signer.secret_text();
    assert_eq!(Signer::parse(&secret).unwrap().public(), signer.public());
    let text = signer.public().to_string();
    assert_eq!(VerifierKey::parse(&text).unwrap(), *signer.public());
    let signed = SignedCheckpoint::sign(3, Hash::leaf(b"x"), &signer);
    let note = signed.to_string();
    let read = SignedCheckpoint::parse(&note).unwrap();
    assert_eq!(read, signed);
    read.verify(signer.public()).unwrap();
    for (what, text) in [("note", &note), ("key", &text), ("secret", &secret)] {
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                let accepted = match what {
                    "note" => SignedCheckpoint::parse(&changed).is_ok_and(|c| c.verify(signer.public()).is_ok()),
                    "key" => VerifierKey::parse(&changed).is_ok(),
                    _ => changed.trim() != secret.trim() && Signer::parse(&changed).is_ok(),
                };
                assert!(!accepted, "{what}: bit {bit} of byte {at}");
            }
        }
    }
    let longer = note.replacen("\n\n", "\nextension\n\n", 1);
    assert!(SignedCheckpoint::parse(&longer).is_err());
    assert!(SignedCheckpoint::parse(&note.replace('\n', "\r\n")).is_err());
    let line = note.lines().last().unwrap();
    let doubled = SignedCheckpoint::parse(&format!("{note}{line}\n")).unwrap();
    assert!(doubled.verify(signer.public()).is_err(), "two signatures of one key");
    assert!(Note::parse(&format!("{note}{}", format!("{line}\n").repeat(16))).is_err(), "17 signatures");
    assert!(check_name("a b").is_err() && check_name("a+b").is_err() && check_name("").is_err());
}

#[test]
fn a_cosignature_tells_its_time_and_is_of_one_checkpoint() {
    let witness = Signer::new("witness.example", KeyUse::Cosignature, &[9; 32]).unwrap();
    let mut signed = SignedCheckpoint::sign(3, Hash::leaf(b"x"), &key());
    assert_eq!(signed.cosigned(witness.public()), Ok(None));
    let mut elsewhere = signed.clone();
    elsewhere.cosign(&witness, 1_800_000_000);
    let signature = elsewhere.note().signatures()[1].clone();
    signed.take_cosignature(signature.clone(), witness.public()).unwrap();
    assert_eq!(signed.cosigned(witness.public()), Ok(Some(1_800_000_000)));
    signed.verify(key().public()).unwrap();
    let mut other = SignedCheckpoint::sign(4, Hash::leaf(b"x"), &key());
    assert!(other.take_cosignature(signature, witness.public()).is_err());
}
