//! Proofs: the tree over the journal's leaves, its tiles, signed checkpoints, and what shows that something is in it.

mod attestor;
mod base64;
mod checkpoint;
mod checkpoints;
mod edge;
mod evidence;
mod file;
mod key;
mod note;
mod proofs;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::unit_arg, reason = "a panic is how a test fails")]
mod tests;
mod tiles;
pub mod timestamp;
mod tree;
mod verify;
pub mod witness;

pub(crate) use attestor::Attestor;
pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use checkpoints::{BadCheckpoint, Checkpoints, StoredCheckpoint, Verified};
pub use edge::{Edge, TakeTile};
pub use evidence::EVENTS_MAX;
pub use file::{PRESENCE_ONLY, PROOF_SCHEMA, ProofFile, Proven, ProvenEvent, Reference, Statement};
pub use key::{KEY_NAME_BYTES_MAX, KeyUse, Signer, VerifierKey, check_name};
pub use note::{Note, SIGNATURES_MAX, Signature};
pub use proofs::{Advanced, Proofs};
pub use tiles::{TILE_HASHES, tile_path};
pub use tree::{
    Hash, Leaves, Nodes, PROOF_HASHES_MAX, extends, includes, prove_consistency, prove_inclusion, root, subtrees,
};
pub use verify::{Compared, Here, ProofDamage, ProofReport, TreeCheck, verified_edge};

/// The second verifier: a program of Python's standard library, written from FORMAT.md, that auditors run.
pub const VERIFIER: &str = include_str!("verify.py");

/// Why a key, a note, a checkpoint or a proof is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    fn new(what: &str) -> Self {
        Self(what.to_owned())
    }
}
