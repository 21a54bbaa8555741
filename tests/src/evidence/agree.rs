//! Three implementations of the tree on all pairs of sizes: ours, ct-merkle, and the verifier in Python.

use std::fmt::Write as _;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use lineage_store::digest::to_hex;
use lineage_store::proof::{Hash, extends, includes, prove_consistency, prove_inclusion, root};
use sha2::Sha256;

use super::python;

/// Reads a proof on each line and says which lines are wrong: `i` inclusion, `c` consistency; `+` must hold, `-` must not.
const CHECK: &str = "
import sys, verify
count = 0
for number, line in enumerate(sys.stdin):
    kind, sign, first, second, a, b, *proof = line.split()
    data = [bytes.fromhex(part) for part in [a, b] + proof]
    check = verify.includes if kind == 'i' else verify.extends
    arguments = (data[0], int(first), int(second), data[2:], data[1]) if kind == 'i' else (int(first), data[0], int(second), data[1], data[2:])
    if check(*arguments) != (sign == '+'):
        sys.exit('line %d: %s' % (number, line[:100]))
    count += 1
print(count)
";

/// The hashes of all complete subtrees, by level.
struct Subtrees(Vec<Vec<Hash>>);

impl Subtrees {
    fn of(leaves: &[Hash]) -> Self {
        let mut levels = vec![leaves.to_vec()];
        while levels.last().is_some_and(|row| row.len() > 1) {
            let row = levels.last().unwrap();
            levels.push(row.as_chunks::<2>().0.iter().map(|[a, b]| Hash::node(a, b)).collect());
        }
        Self(levels)
    }

    fn node(&self, level: u32, index: u64) -> Result<Hash, ()> {
        self.0.get(level as usize).and_then(|row| row.get(index as usize)).copied().ok_or(())
    }
}

/// Compares roots and proofs for all pairs of sizes up to one; how many proofs agreed.
pub fn all_pairs(most: u64, with_python: bool) -> u64 {
    let leaves: Vec<Vec<u8>> = (0..most).map(|i| format!("leaf {i}").into_bytes()).collect();
    let hashes: Vec<Hash> = leaves.iter().map(|leaf| Hash::leaf(leaf)).collect();
    let subtrees = Subtrees::of(&hashes);
    let nodes = &mut |level, index| subtrees.node(level, index);
    let roots: Vec<Hash> = (0..=most).map(|size| root(size, nodes).unwrap()).collect();
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let (mut agreed, mut lines) = (0, String::new());
    for size in 1..=most {
        theirs.push(leaves[size as usize - 1].clone());
        let new = roots[size as usize];
        assert_eq!(theirs.root().as_bytes().as_slice(), new.0, "the root of {size}");
        for index in 0..size {
            let proof = prove_inclusion(index, size, nodes).unwrap().unwrap();
            assert_eq!(theirs.prove_inclusion(index as usize).as_bytes(), bytes(&proof), "{index} in {size}");
            assert!(includes(&hashes[index as usize], index, size, &proof, &new), "{index} in {size}");
            line(&mut lines, ('i', '+'), (index, size), (hashes[index as usize], new), &proof);
            if index + 1 < size {
                // The same proof of the wrong leaf.
                line(&mut lines, ('i', '-'), (index, size), (hashes[index as usize + 1], new), &proof);
            }
            let (old, proof) = (index, prove_consistency(index, size, nodes).unwrap().unwrap());
            assert!(extends(old, &roots[old as usize], size, &new, &proof), "{old} to {size}");
            line(&mut lines, ('c', '+'), (old, size), (roots[old as usize], new), &proof);
            if old > 0 {
                let their = theirs.prove_consistency((size - old) as usize);
                assert_eq!(their.as_bytes(), bytes(&proof), "{old} to {size}");
                line(&mut lines, ('c', '-'), (old, size), (roots[old as usize - 1], new), &proof);
            }
            agreed += 2;
        }
    }
    if with_python {
        let output = python::script(CHECK, lines.as_bytes());
        let said = python::text(&output);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.trim(), lines.lines().count().to_string());
    }
    agreed
}

fn bytes(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| hash.0).collect()
}

fn line(lines: &mut String, kind: (char, char), pair: (u64, u64), heads: (Hash, Hash), proof: &[Hash]) {
    write!(lines, "{} {} {} {}", kind.0, kind.1, pair.0, pair.1).unwrap();
    for hash in [&heads.0, &heads.1].into_iter().chain(proof) {
        write!(lines, " {}", to_hex(&hash.0)).unwrap();
    }
    lines.push('\n');
}
