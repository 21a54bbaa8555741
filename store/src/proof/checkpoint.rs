//! Checkpoints (C2SP tlog-checkpoint): the signed statement of a log's origin, size and tree head.

use std::fmt;

use super::key::{Signer, VerifierKey};
use super::note::Note;
use super::tree::Hash;
use super::{Invalid, note};

/// What a checkpoint states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log, which is that of its key.
    pub origin: String,
    /// The number of leaves.
    pub size: u64,
    /// The root of their tree.
    pub root: Hash,
}

impl Checkpoint {
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// Reads the text of a checkpoint; extension lines are refused, because nothing would check them.
    fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("a checkpoint has three lines: origin, size and root");
        let mut lines = text.strip_suffix('\n').ok_or_else(wrong)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(wrong());
        };
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| Invalid::new("the size of a checkpoint is no number"))?,
            root: Hash::from_base64(root).ok_or_else(|| Invalid::new("the root of a checkpoint is no hash"))?,
        };
        // One checkpoint has one spelling: no leading zeros, no sign.
        if checkpoint.text() == text && !origin.is_empty() { Ok(checkpoint) } else { Err(wrong()) }
    }
}

/// A checkpoint with its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    note: Note,
    checkpoint: Checkpoint,
}

impl SignedCheckpoint {
    /// Signs a tree head; the origin is the name of the key.
    pub fn sign(size: u64, root: Hash, signer: &Signer) -> Self {
        let checkpoint = Checkpoint { origin: signer.public().name().to_owned(), size, root };
        Self { note: Note::sign(checkpoint.text(), signer, 0), checkpoint }
    }

    /// Reads a checkpoint; its signatures are not checked yet.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let note = Note::parse(text)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { note, checkpoint })
    }

    /// What it states.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The root of their tree.
    pub fn root(&self) -> Hash {
        self.checkpoint.root
    }

    /// The note.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Checks the signature of the log, whose key has the name of the origin.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), Invalid> {
        if self.checkpoint.origin != key.name() {
            return Err(Invalid(format!("the checkpoint is of {}, the key of {}", self.checkpoint.origin, key.name())));
        }
        self.note.verify(key).map(|_| ())
    }

    /// When a witness cosigned it, in seconds since 1970; `None` if it did not.
    pub fn cosigned(&self, witness: &VerifierKey) -> Result<Option<u64>, Invalid> {
        let is_of = |signature: &note::Signature| signature.name == witness.name() && signature.id == witness.id();
        if self.note.signatures().iter().any(is_of) { self.note.verify(witness) } else { Ok(None) }
    }

    /// Cosigns it, as a witness does; `time` in seconds since 1970.
    pub fn cosign(&mut self, witness: &Signer, time: u64) {
        self.note.add_signature(witness, time);
    }

    /// Takes the cosignature of a witness, checked with its key.
    pub fn take_cosignature(&mut self, signature: note::Signature, witness: &VerifierKey) -> Result<(), Invalid> {
        self.note.take_signature(signature, witness)
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}
