//! Forgeries: proofs, checkpoints and proof files that are changed in every way must not be accepted.

use lineage_store::proof::{
    Hash, Leaves, ProofFile, SignedCheckpoint, Statement, VerifierKey, extends, includes, prove_consistency,
    prove_inclusion,
};

use super::log::{add, create, key, sign};
use crate::random::Random;

/// What was tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    /// How many changed proofs.
    pub forged: u64,
    /// How many of them were accepted.
    pub accepted: u64,
}

impl Tried {
    fn count(&mut self, accepted: bool, what: impl FnOnce() -> String) {
        self.forged += 1;
        if accepted {
            self.accepted += 1;
            println!("accepted: {}", what());
        }
    }
}

/// Tries so many forgeries, a third of each sort.
pub fn forge(most: u64, seed: u64) -> Tried {
    let mut random = Random::new(seed);
    let mut tried = Tried::default();
    let leaves = Leaves((0..1100_u64).map(|i| Hash::leaf(&i.to_be_bytes())).collect());
    let folder = tempfile::tempdir().unwrap();
    let (file, public) = proof_file(folder.path());
    while tried.forged < most {
        inclusion(&leaves, &mut random, &mut tried);
        consistency(&leaves, &mut random, &mut tried);
        note(&mut random, &mut tried);
        for _ in 0..4 {
            bundle(&file, &public, &mut random, &mut tried);
        }
    }
    tried
}

/// Sizes around powers of two more often than others.
fn size(random: &mut Random) -> u64 {
    match random.below(3) {
        0 => (1_u64 << random.below(11)) + random.below(3) as u64,
        _ => 2 + random.below(1000) as u64,
    }
    .clamp(2, 1026)
}

/// Changes the hashes of a proof in one way; `None` if it came out the same.
fn changed(proof: &[Hash], random: &mut Random) -> Option<Vec<Hash>> {
    let mut other = proof.to_vec();
    let at = random.below(proof.len().max(1));
    match random.below(5) {
        0 if !other.is_empty() => drop(other.remove(at)),
        1 => other.insert(at.min(proof.len()), Hash::leaf(&random.number().to_be_bytes())),
        2 if other.len() > 1 => other.swap(at, (at + 1) % proof.len()),
        3 if !other.is_empty() => other.push(proof[at]),
        _ if !other.is_empty() => other[at].0[random.below(32)] ^= 1 << random.below(8),
        _ => other.push(Hash::empty()),
    }
    (other != proof).then_some(other)
}

fn flipped(hash: &Hash, random: &mut Random) -> Hash {
    let mut other = *hash;
    other.0[random.below(32)] ^= 1 << random.below(8);
    other
}

/// A size that is changed alone is no forgery: it stands with its root in a checkpoint, which is signed.
fn inclusion(leaves: &Leaves, random: &mut Random, tried: &mut Tried) {
    let size = size(random);
    let index = random.below(size as usize) as u64;
    let nodes = &mut |level, index| Ok::<_, ()>(leaves.node(level, index));
    let proof = prove_inclusion(index, size, nodes).unwrap().unwrap();
    let (leaf, root) = (leaves.0[index as usize], leaves.root(size));
    assert!(includes(&leaf, index, size, &proof, &root), "an honest proof of {index} in {size}");
    let told = || format!("inclusion of {index} in {size}");
    if let Some(other) = changed(&proof, random) {
        tried.count(includes(&leaf, index, size, &other, &root), told);
    }
    tried.count(includes(&flipped(&leaf, random), index, size, &proof, &root), told);
    tried.count(includes(&leaf, index, size, &proof, &flipped(&root, random)), told);
    let elsewhere = random.below(size as usize + 3) as u64;
    if elsewhere != index {
        tried.count(includes(&leaf, elsewhere, size, &proof, &root), told);
    }
    tried.count(includes(&leaf, index, 0, &proof, &root), told);
}

fn consistency(leaves: &Leaves, random: &mut Random, tried: &mut Tried) {
    let new = size(random);
    let old = 1 + random.below(new as usize) as u64;
    let nodes = &mut |level, index| Ok::<_, ()>(leaves.node(level, index));
    let proof = prove_consistency(old, new, nodes).unwrap().unwrap();
    let (old_root, new_root) = (leaves.root(old), leaves.root(new));
    assert!(extends(old, &old_root, new, &new_root, &proof), "an honest proof of {old} to {new}");
    let told = || format!("consistency of {old} to {new}");
    if let Some(other) = changed(&proof, random) {
        tried.count(extends(old, &old_root, new, &new_root, &other), told);
    }
    tried.count(extends(old, &flipped(&old_root, random), new, &new_root, &proof), told);
    tried.count(extends(old, &old_root, new, &flipped(&new_root, random), &proof), told);
    tried.count(extends(new + 1, &old_root, new, &new_root, &proof), told);
    tried.count(extends(0, &old_root, new, &new_root, &proof), told);
}

/// Changes bytes of a text; `None` if it is no UTF-8 any more, or the same.
fn edited(text: &str, random: &mut Random) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let at = random.below(bytes.len());
    match random.below(6) {
        0 => drop(bytes.remove(at)),
        1 => bytes.insert(at, bytes[random.below(bytes.len())]),
        2 => bytes.insert(at, b"\r\n \t\0=+"[random.below(7)]),
        3 => bytes.swap(at, random.below(text.len())),
        4 => bytes.truncate(at),
        _ => bytes[at] ^= 1 << random.below(8),
    }
    String::from_utf8(bytes).ok().filter(|other| other != text)
}

fn note(random: &mut Random, tried: &mut Tried) {
    let signed = SignedCheckpoint::sign(random.number() >> random.below(64), Hash::leaf(&[1]), &key());
    let text = signed.to_string();
    for _ in 0..4 {
        if let Some(other) = edited(&text, random) {
            let accepted = SignedCheckpoint::parse(&other).is_ok_and(|read| read.verify(key().public()).is_ok());
            tried.count(accepted, || format!("checkpoint {other:?}"));
        }
    }
}

/// A proof file of a small log.
pub fn proof_file(folder: &std::path::Path) -> (ProofFile, VerifierKey) {
    let store = create(folder);
    add(&store, 0, 30, "");
    let signed = sign(&store);
    let view = store.view().unwrap();
    let model = view.entities_named("m20")[0];
    let version = view.versions(model)[0];
    let file = store.proofs().evidence(&view, version, &signed, key().public()).unwrap();
    file.verify(Some(key().public())).unwrap();
    (file, key().public().clone())
}

fn bundle(file: &ProofFile, public: &VerifierKey, random: &mut Random, tried: &mut Tried) {
    let mut other = file.clone();
    let n = other.events.len();
    let (at, to) = (random.below(n), random.below(n));
    let event = &mut other.events[at];
    match random.below(9) {
        0 => event.position = event.position.wrapping_add(1 + random.below(40) as u64),
        1 => {
            let Some(leaf) = edited(&event.leaf, random) else { return };
            event.leaf = leaf;
        }
        2 => {
            let i = random.below(event.proof.len());
            let Some(hash) = edited(&event.proof[i], random) else { return };
            event.proof[i] = hash;
        }
        3 => drop(event.proof.pop()),
        4 if at != to => other.events.swap(at, to),
        5 => other.events.insert(at, other.events[at].clone()),
        6 => {
            let Some(checkpoint) = edited(&other.checkpoint, random) else { return };
            other.checkpoint = checkpoint;
        }
        7 => {
            let Some(key) = edited(&other.key, random) else { return };
            other.key = key;
        }
        _ => return falsify(file, public, random, tried),
    }
    if other != *file {
        tried.count(other.verify(Some(public)).is_ok(), || format!("proof file: {:?}", other.events[at.min(n - 1)]));
    }
}

/// Statements that are not true of this log.
fn falsify(file: &ProofFile, public: &VerifierKey, random: &mut Random, tried: &mut Tried) {
    let mut other = file.clone();
    let at = random.below(other.statements.len());
    match &mut other.statements[at] {
        Statement::Made { event, what } | Statement::Used { event, what, .. } => match random.below(4) {
            0 => what.name = Some("another".to_owned()),
            1 => what.version = Some("v9".to_owned()),
            2 => what.digest = Some(format!("b3:{}", "0".repeat(64))),
            // Each event of this log uses and makes things of its own names.
            _ => *event = if *event == 0 { 1 } else { *event - 1 },
        },
        Statement::About { outcome, .. } => *outcome = Some("fail".to_owned()),
        Statement::Code { code, .. } => drop(code.insert("commit".to_owned(), "0".into())),
        Statement::Step { events } => events.push(other.events[0].position),
        Statement::Before { first, then } => std::mem::swap(first, then),
    }
    if other != *file {
        tried.count(other.verify(Some(public)).is_ok(), || format!("statement: {:?}", other.statements[at]));
    }
}
