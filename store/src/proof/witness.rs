//! Witnesses (C2SP tlog-witness): what is sent to one, and what it answers.

use std::fmt::Write as _;

use super::Invalid;
use super::checkpoint::SignedCheckpoint;
use super::note::{SIGNATURES_MAX, Signature};
use super::tree::Hash;

/// The body of `add-checkpoint`: the size that the witness saw last, the proof from there on, the checkpoint.
pub fn add_checkpoint(old: u64, proof: &[Hash], checkpoint: &SignedCheckpoint) -> String {
    let mut body = format!("old {old}\n");
    for hash in proof {
        // Writing to a string cannot fail.
        _ = writeln!(body, "{hash}");
    }
    _ = write!(body, "\n{checkpoint}");
    body
}

/// The signatures in the answer of a witness; they are not checked yet.
pub fn cosignatures(body: &str) -> Result<Vec<Signature>, Invalid> {
    let lines = body.strip_suffix('\n').ok_or_else(|| Invalid::new("its answer is no signature line"))?;
    let signatures: Vec<_> =
        lines.split('\n').take(SIGNATURES_MAX + 1).map(Signature::parse).collect::<Result<_, _>>()?;
    if signatures.len() > SIGNATURES_MAX {
        return Err(Invalid(format!("its answer has more than {SIGNATURES_MAX} signatures")));
    }
    Ok(signatures)
}

/// The size in the answer of a witness that saw another checkpoint last.
pub fn size_seen(body: &str) -> Result<u64, Invalid> {
    let text = body.strip_suffix('\n').unwrap_or(body);
    let size: u64 = text.parse().map_err(|_| Invalid::new("its answer is no size"))?;
    if size.to_string() == text { Ok(size) } else { Err(Invalid::new("its answer is no size")) }
}
