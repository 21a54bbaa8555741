//! Keys of signed notes: Ed25519, as the log signs checkpoints (type 1) and as witnesses cosign them (type 4).

use std::fmt;

use ed25519_dalek::{Signature as Ed25519, Signer as _, SigningKey, VerifyingKey};

use super::Invalid;
use super::base64;
use crate::digest::{sha256, to_hex};

/// The longest name of a key, in bytes, so that a checkpoint fits its slot on disk.
pub const KEY_NAME_BYTES_MAX: usize = 100;
const SECRET_PREFIX: &str = "PRIVATE+KEY+";

/// What a key signs, which is the type byte of the signed note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// The text of a note, as it is (type 1).
    Note,
    /// A checkpoint that a witness saw, with the time (type 4, `cosignature/v1`).
    Cosignature,
}

impl KeyUse {
    fn byte(self) -> u8 {
        match self {
            Self::Note => 1,
            Self::Cosignature => 4,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Note, Self::Cosignature].into_iter().find(|known| known.byte() == byte)
    }

    /// The bytes that are signed.
    fn message(self, text: &str, time: u64) -> Vec<u8> {
        match self {
            Self::Note => text.as_bytes().to_vec(),
            Self::Cosignature => format!("cosignature/v1\ntime {time}\n{text}").into_bytes(),
        }
    }
}

/// A public key with its name, written `NAME+ID+KEY` (a *vkey*).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    usage: KeyUse,
    key: VerifyingKey,
}

impl VerifierKey {
    fn new(name: &str, usage: KeyUse, key: VerifyingKey) -> Result<Self, Invalid> {
        check_name(name)?;
        let hash = sha256(&[name.as_bytes(), b"\n", &[usage.byte()], key.as_bytes()]);
        let id = [hash[0], hash[1], hash[2], hash[3]];
        Ok(Self { name: name.to_owned(), id, usage, key })
    }

    /// Reads `NAME+ID+KEY`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let parts = || {
            let (name, rest) = text.split_once('+')?;
            let (id, key) = rest.split_once('+')?;
            Some((name, id, base64::decode(key)?))
        };
        let (name, id, bytes) = parts().ok_or_else(|| Invalid::new("a public key is written NAME+ID+KEY"))?;
        let (usage, key) = material(&bytes)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| Invalid::new("the public key is no point of Ed25519"))?;
        if !is_canonical(key.as_bytes()) || key.is_weak() {
            return Err(Invalid::new("the public key is a weak point of Ed25519"));
        }
        let key = Self::new(name, usage, key)?;
        if id == to_hex(&key.id) {
            Ok(key)
        } else {
            Err(Invalid::new("the id of the public key is not that of its bytes"))
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of the hash of name and key, which signatures carry.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// What it signs.
    pub fn usage(&self) -> KeyUse {
        self.usage
    }

    /// Checks a signature of the text of a note; the time that a cosignature tells, in seconds since 1970.
    pub(super) fn verify(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, Invalid> {
        let wrong = || Invalid(format!("the signature of {} does not belong to this text", self.name));
        let (time, signature) = match self.usage {
            KeyUse::Note => (None, signature),
            KeyUse::Cosignature => {
                let (time, signature) = signature.split_first_chunk::<8>().ok_or_else(wrong)?;
                (Some(u64::from_be_bytes(*time)).filter(|time| i64::try_from(*time).is_ok()), signature)
            }
        };
        if self.usage == KeyUse::Cosignature && time.is_none() {
            return Err(wrong());
        }
        let signature = Ed25519::from_slice(signature).map_err(|_| wrong())?;
        let message = self.usage.message(text, time.unwrap_or(0));
        // Strict: one signature has one spelling, and weak keys sign nothing.
        self.key.verify_strict(&message, &signature).map_err(|_| wrong())?;
        Ok(time)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[self.usage.byte()], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, to_hex(&self.id), base64::encode(&bytes))
    }
}

/// A private key with its name.
pub struct Signer {
    public: VerifierKey,
    secret: SigningKey,
}

impl Signer {
    /// A key made from 32 random bytes.
    pub fn new(name: &str, usage: KeyUse, seed: &[u8; 32]) -> Result<Self, Invalid> {
        let secret = SigningKey::from_bytes(seed);
        Ok(Self { public: VerifierKey::new(name, usage, secret.verifying_key())?, secret })
    }

    /// Reads `PRIVATE+KEY+NAME+ID+SEED`, with white space around it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let parts = || {
            let (name, rest) = text.trim().strip_prefix(SECRET_PREFIX)?.split_once('+')?;
            let (id, seed) = rest.split_once('+')?;
            Some((name, id, base64::decode(seed)?))
        };
        let (name, id, bytes) =
            parts().ok_or_else(|| Invalid::new("a private key is written PRIVATE+KEY+NAME+ID+SEED"))?;
        let (usage, seed) = material(&bytes)?;
        let signer = Self::new(name, usage, &seed)?;
        if id == to_hex(&signer.public.id) {
            Ok(signer)
        } else {
            Err(Invalid::new("the id of the private key is not that of its bytes"))
        }
    }

    /// The text that [`Signer::parse`] reads.
    pub fn secret_text(&self) -> String {
        let bytes = [&[self.public.usage.byte()], self.secret.as_bytes().as_slice()].concat();
        let Self { public, .. } = self;
        format!("{SECRET_PREFIX}{}+{}+{}\n", public.name, to_hex(&public.id), base64::encode(&bytes))
    }

    /// The public key.
    pub fn public(&self) -> &VerifierKey {
        &self.public
    }

    /// Signs the text of a note; `time` is what a cosignature tells, in seconds since 1970.
    pub(super) fn sign(&self, text: &str, time: u64) -> Vec<u8> {
        let signature = self.secret.sign(&self.public.usage.message(text, time)).to_bytes();
        match self.public.usage {
            KeyUse::Note => signature.to_vec(),
            KeyUse::Cosignature => [time.to_be_bytes().as_slice(), &signature].concat(),
        }
    }
}

impl fmt::Debug for Signer {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The type byte and the 32 bytes after it.
fn material(bytes: &[u8]) -> Result<(KeyUse, [u8; 32]), Invalid> {
    let (first, rest) = bytes.split_first().ok_or_else(|| Invalid::new("the key is empty"))?;
    let usage = KeyUse::of(*first).ok_or_else(|| Invalid(format!("keys of type {first} are not supported")))?;
    let key = rest.try_into().map_err(|_| Invalid::new("an Ed25519 key has 32 bytes"))?;
    Ok((usage, key))
}

/// Whether the y coordinate is less than 2^255 - 19, so that a point has one spelling.
fn is_canonical(key: &[u8; 32]) -> bool {
    let most = key[31] & 0x7f == 0x7f && key[1..31].iter().all(|byte| *byte == 0xff);
    !(most && key[0] >= 0xed)
}

/// Checks the name of a key, which is the origin of a log.
pub fn check_name(name: &str) -> Result<(), Invalid> {
    if name.is_empty() || name.len() > KEY_NAME_BYTES_MAX {
        return Err(Invalid(format!("the name of a key has 1 to {KEY_NAME_BYTES_MAX} bytes")));
    }
    if name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
        return Err(Invalid::new("the name of a key has no spaces, control characters or `+`"));
    }
    Ok(())
}
