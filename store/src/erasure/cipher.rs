//! Sealing bytes: XChaCha20-Poly1305 under a key of the store or of a subject, bound to the place they belong to.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};

use super::keys::Key;

/// What sealed bytes begin with: a name and the version of the format.
const MAGIC: &[u8; 4] = b"LNP1";
/// Bytes of the id of the key.
pub(super) const KEY_ID_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
const HEAD_BYTES: usize = MAGIC.len() + KEY_ID_BYTES + NONCE_BYTES;

/// The place that sealed bytes belong to: bytes of one place do not open at another.
pub(crate) fn aad(namespace: &str, id: &str, path: &str) -> Vec<u8> {
    // Lengths first, so that no two places are the same bytes.
    let mut aad = Vec::with_capacity(namespace.len() + id.len() + path.len() + 24);
    for part in [namespace, id, path] {
        aad.extend_from_slice(&(part.len() as u64).to_le_bytes());
        aad.extend_from_slice(part.as_bytes());
    }
    aad
}

/// Seals bytes; `chance` is random and of this process.
///
/// The nonce follows from chance, place and bytes: the same bytes at the same place are the same sealed bytes, and
/// anything else has another nonce.
pub(crate) fn seal(key: &Key, aad: &[u8], bytes: &[u8], chance: &[u8; 32]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new_keyed(chance);
    hasher.update(key.id()).update(aad).update(bytes);
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&hasher.finalize().as_bytes()[..NONCE_BYTES]);
    let cipher = XChaCha20Poly1305::new(key.bytes().into());
    // It fails only beyond 256 GiB; an empty text would not open, so nothing is shown that was not kept.
    let sealed = cipher.encrypt(&nonce.into(), Payload { msg: bytes, aad }).unwrap_or_default();
    [MAGIC, key.id(), &nonce[..], &sealed].concat()
}

/// The id of the key that bytes were sealed under.
pub(super) fn key_id(sealed: &[u8]) -> Option<&[u8]> {
    sealed.strip_prefix(MAGIC)?.get(..KEY_ID_BYTES)
}

/// Opens sealed bytes; `None` if they were sealed under another key, belong elsewhere, or were changed.
pub(crate) fn open(key: &Key, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (head, text) = sealed.split_at_checked(HEAD_BYTES)?;
    if key_id(head)? != key.id() {
        return None;
    }
    let nonce: [u8; NONCE_BYTES] = head[HEAD_BYTES - NONCE_BYTES..].try_into().ok()?;
    let cipher = XChaCha20Poly1305::new(key.bytes().into());
    cipher.decrypt(&nonce.into(), Payload { msg: text, aad }).ok()
}
