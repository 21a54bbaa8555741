//! Signed notes (C2SP signed-note): a text, and under it one line for each signature.

use std::fmt;

use super::key::{Signer, VerifierKey, check_name};
use super::{Invalid, base64};

/// More signatures are refused; C2SP asks for 16 at least.
pub const SIGNATURES_MAX: usize = 16;
const DASH: &str = "\u{2014} ";

/// One signature of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key.
    pub name: String,
    /// The id of the key.
    pub id: [u8; 4],
    bytes: Vec<u8>,
}

impl Signature {
    /// Reads a signature line without its newline.
    pub fn parse(line: &str) -> Result<Self, Invalid> {
        let parts = line.strip_prefix(DASH).and_then(|rest| rest.split_once(' '));
        let (name, text) = parts.ok_or_else(|| Invalid::new("a signature is no line of a dash, a name and base64"))?;
        check_name(name)?;
        let bytes = base64::decode(text).ok_or_else(|| Invalid::new("a signature is no base64"))?;
        match bytes.split_first_chunk() {
            Some((id, bytes)) if !bytes.is_empty() => {
                Ok(Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
            }
            _ => Err(Invalid::new("a signature is too short")),
        }
    }

    fn is_of(&self, key: &VerifierKey) -> bool {
        self.name == key.name() && self.id == key.id()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id, self.bytes.as_slice()].concat();
        writeln!(f, "{DASH}{} {}", self.name, base64::encode(&bytes))
    }
}

/// A text with its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// A text, which ends with a newline, signed by one key; `time` is what a cosignature tells.
    pub fn sign(text: String, signer: &Signer, time: u64) -> Self {
        let mut note = Self { text, signatures: Vec::new() };
        note.add_signature(signer, time);
        note
    }

    /// Reads a note; the signatures are not checked yet.
    pub fn parse(note: &str) -> Result<Self, Invalid> {
        if note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(Invalid::new("a note has no control characters but newlines"));
        }
        let at = note.rfind("\n\n").ok_or_else(|| Invalid::new("a note has an empty line before its signatures"))?;
        let (text, lines) = (&note[..=at], &note[at + 2..]);
        let lines = lines.strip_suffix('\n').ok_or_else(|| Invalid::new("a note ends with a signature line"))?;
        let signatures =
            lines.split('\n').take(SIGNATURES_MAX + 1).map(Signature::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(Invalid(format!("a note has at most {SIGNATURES_MAX} signatures")));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The text with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Signs the text with a further key.
    pub fn add_signature(&mut self, signer: &Signer, time: u64) {
        let public = signer.public();
        let bytes = signer.sign(&self.text, time);
        self.signatures.push(Signature { name: public.name().to_owned(), id: public.id(), bytes });
    }

    /// Takes a signature that someone else made, if a key confirms it and it is not there yet.
    pub fn take_signature(&mut self, signature: Signature, key: &VerifierKey) -> Result<(), Invalid> {
        if !signature.is_of(key) {
            return Err(Invalid(format!("the signature is of {}, not of {}", signature.name, key.name())));
        }
        key.verify(&self.text, &signature.bytes)?;
        self.signatures.retain(|known| !known.is_of(key));
        if self.signatures.len() >= SIGNATURES_MAX {
            return Err(Invalid(format!("a note has at most {SIGNATURES_MAX} signatures")));
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// Checks the signature of a key. Without one that is an error, and so is a second one or one that is wrong.
    /// The result is the time that a cosignature tells.
    pub fn verify(&self, key: &VerifierKey) -> Result<Option<u64>, Invalid> {
        let mut found = self.signatures.iter().filter(|signature| signature.is_of(key));
        let signature = found.next().ok_or_else(|| Invalid(format!("it has no signature of {}", key.name())))?;
        if found.next().is_some() {
            return Err(Invalid(format!("it has two signatures of {}", key.name())));
        }
        key.verify(&self.text, &signature.bytes)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}
