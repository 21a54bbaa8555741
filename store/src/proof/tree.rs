//! The tree: RFC 6962 over SHA-256, its root, and proofs of inclusion and consistency, as pure functions.

use std::fmt;

use super::base64;
use crate::digest::{sha256, sha256_prefixed};

/// The most hashes of a proof: one for each level of a tree of 2^63 leaves, and one more for consistency.
pub const PROOF_HASHES_MAX: usize = 64;

/// A hash of the tree: of a leaf, of a node, or of a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The root of the tree without leaves, `SHA-256()` (RFC 6962, 2.1).
    pub fn empty() -> Self {
        Self(sha256(&[]))
    }

    /// The hash of a leaf, `SHA-256(0x00 || leaf)`.
    pub fn leaf(leaf: &[u8]) -> Self {
        Self(sha256_prefixed(0, leaf))
    }

    /// The hash of a node, `SHA-256(0x01 || left || right)`.
    pub fn node(left: &Self, right: &Self) -> Self {
        let mut both = [0; 64];
        both[..32].copy_from_slice(&left.0);
        both[32..].copy_from_slice(&right.0);
        Self(sha256_prefixed(1, &both))
    }

    /// Reads the standard base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Option<Self> {
        base64::decode(text)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Hash {
    /// Standard base64, as in checkpoints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64::encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The complete subtrees of a tree from left to right: (level, index), where level `l` has 2^l leaves.
pub fn subtrees(size: u64) -> impl Iterator<Item = (u32, u64)> {
    range_subtrees(0, size)
}

/// The complete subtrees of the leaves `start..start + count`, where `start` is a multiple of the next power of two.
fn range_subtrees(start: u64, count: u64) -> impl Iterator<Item = (u32, u64)> {
    let mut at = start;
    (0..u64::BITS).rev().filter(move |level| count >> level & 1 == 1).map(move |level| {
        let index = at >> level;
        at += 1 << level;
        (level, index)
    })
}

/// The hash of neighbors from left to right, each a complete subtree that is larger than the next.
pub(super) fn join(hashes: impl DoubleEndedIterator<Item = Hash>) -> Hash {
    hashes.rev().reduce(|right, left| Hash::node(&left, &right)).unwrap_or_else(Hash::empty)
}

/// Where the hashes of complete subtrees come from, by level and index.
pub type Nodes<'a, E> = &'a mut dyn FnMut(u32, u64) -> Result<Hash, E>;

/// The root of the tree of the first `size` leaves.
pub fn root<E>(size: u64, nodes: Nodes<'_, E>) -> Result<Hash, E> {
    range(0, size, nodes)
}

fn range<E>(start: u64, count: u64, nodes: Nodes<'_, E>) -> Result<Hash, E> {
    let hashes = range_subtrees(start, count).map(|(level, index)| nodes(level, index));
    Ok(join(hashes.collect::<Result<Vec<_>, E>>()?.into_iter()))
}

/// The largest power of two below `n`, which has 2 or more.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The proof that the leaf at `index` is in the tree of `size` leaves, from the leaf's neighbor upwards
/// (RFC 6962, 2.1.1); `None` if it is not.
pub fn prove_inclusion<E>(index: u64, size: u64, nodes: Nodes<'_, E>) -> Result<Option<Vec<Hash>>, E> {
    if index >= size {
        return Ok(None);
    }
    let (mut start, mut count, mut proof) = (0, size, Vec::new());
    while count > 1 {
        let k = split(count);
        if index < start + k {
            proof.push(range(start + k, count - k, nodes)?);
            count = k;
        } else {
            proof.push(range(start, k, nodes)?);
            (start, count) = (start + k, count - k);
        }
    }
    proof.reverse();
    Ok(Some(proof))
}

/// The proof that the tree of `old` leaves is the beginning of that of `new` (RFC 6962, 2.1.2); `None` if `old` is
/// greater. From the empty tree and to itself it has no hashes.
pub fn prove_consistency<E>(old: u64, new: u64, nodes: Nodes<'_, E>) -> Result<Option<Vec<Hash>>, E> {
    if old > new {
        return Ok(None);
    }
    if old == 0 || old == new {
        return Ok(Some(Vec::new()));
    }
    let (mut start, mut count, mut rest, mut proof) = (0, new, old, Vec::new());
    while rest != count {
        let k = split(count);
        if rest <= k {
            proof.push(range(start + k, count - k, nodes)?);
            count = k;
        } else {
            proof.push(range(start, k, nodes)?);
            (start, count, rest) = (start + k, count - k, rest - k);
        }
    }
    // The old root is known to who checks; any other part of it is not.
    if start > 0 {
        proof.push(range(start, count, nodes)?);
    }
    proof.reverse();
    Ok(Some(proof))
}

/// Whether a proof shows that a leaf with a hash is at `index` of the tree of `size` leaves with a root.
///
/// Follows RFC 9162, 2.1.3.2; the proof must have exactly the hashes that the tree needs.
pub fn includes(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for part in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = Hash::node(part, &hash);
            // A node without a right neighbor goes up unchanged.
            let up = if at & 1 == 0 { at.trailing_zeros() } else { 0 };
            (at, last) = (at >> up, last >> up);
        } else {
            hash = Hash::node(&hash, part);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether a proof shows that the tree of `old` leaves with one root is the beginning of that of `new` with another.
///
/// Follows RFC 9162, 2.1.4.2; the proof must have exactly the hashes that the trees need.
pub fn extends(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == Hash::empty();
    }
    // An old tree that is a complete subtree of the new one is not in the proof: its root is known.
    let mut parts = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { parts.next() };
    let Some(first) = first else { return false };
    let up = (old - 1).trailing_ones();
    let (mut at, mut last) = ((old - 1) >> up, (new - 1) >> up);
    let (mut old_hash, mut new_hash) = (*first, *first);
    for part in parts {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old_hash = Hash::node(part, &old_hash);
            new_hash = Hash::node(part, &new_hash);
            let up = if at & 1 == 0 { at.trailing_zeros() } else { 0 };
            (at, last) = (at >> up, last >> up);
        } else {
            new_hash = Hash::node(&new_hash, part);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

/// A tree held in memory by the hashes of its leaves; for small trees.
#[derive(Clone, Debug, Default)]
pub struct Leaves(pub Vec<Hash>);

impl Leaves {
    /// The hash of a complete subtree that lies within the leaves.
    pub fn node(&self, level: u32, index: u64) -> Hash {
        let (start, count) = ((index << level) as usize, 1 << level);
        complete(&self.0[start..start + count])
    }

    /// The root of the first `size` leaves.
    pub fn root(&self, size: u64) -> Hash {
        join(subtrees(size).map(|(level, index)| self.node(level, index)).collect::<Vec<_>>().into_iter())
    }
}

/// The hash of a complete subtree, from the hashes of a power of two of its parts.
pub(super) fn complete(parts: &[Hash]) -> Hash {
    let mut row = parts.to_vec();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| Hash::node(&pair[0], &pair[1])).collect();
    }
    row.first().copied().unwrap_or_else(Hash::empty)
}
