//! Digests: content addresses (blake3) and the foreign digests that travel beside them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;
use sha2::block_api::compress256;

/// The bytes that SHA-256 takes at once.
const SHA256_BLOCK: usize = 64;
/// The first state of SHA-256 (FIPS 180-4, 5.3.3).
const SHA256_START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A blake3 digest of 32 bytes, written `b3:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Blake3(pub [u8; 32]);

impl Blake3 {
    /// The digest of a byte string.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The digest of a byte string under a key: without the key nobody can tell which bytes it is of.
    pub fn keyed(key: &[u8; 32], bytes: &[u8]) -> Self {
        Self(*blake3::keyed_hash(key, bytes).as_bytes())
    }

    /// The 64 hex digits without a prefix.
    pub fn hex(&self) -> String {
        to_hex(&self.0)
    }

    /// Parses 64 hex digits without a prefix.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let hex: &[u8; 64] = hex.as_bytes().try_into().ok()?;
        let mut bytes = [0; 32];
        let mut bad = 0;
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
            bad |= high | low;
            *byte = high << 4 | low & 15;
        }
        (bad < 16).then_some(Self(bytes))
    }
}

impl fmt::Display for Blake3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b3:{}", self.hex())
    }
}

impl fmt::Debug for Blake3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What tells the received bytes of an event from others: the first 16 bytes of their blake3 digest.
///
/// It decides between the same event sent twice and another one under its id. Half a digest does: two texts that share
/// it must be sought by their own emitter, at 2^64 tries, who gains that the second one counts as sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received(pub [u8; 16]);

impl Received {
    /// That of bytes with a given digest.
    pub fn of(digest: &Blake3) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&digest.0[..16]);
        Self(half)
    }
}

/// The algorithms a reference may name; `weak:` is `MLflow`'s short digest, which acts as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// blake3, ours.
    Blake3,
    /// SHA-256, kept beside blake3 for whatever we hashed.
    Sha256,
    /// SHA-1 (Metaflow).
    Sha1,
    /// MD5 (DVC).
    Md5,
    /// A digest too short to identify content.
    Weak,
}

impl Algorithm {
    const ALL: [(Self, &'static str, usize); 4] =
        [(Self::Blake3, "b3", 64), (Self::Sha256, "sha256", 64), (Self::Sha1, "sha1", 40), (Self::Md5, "md5", 32)];

    /// The prefix before the colon.
    pub fn prefix(self) -> &'static str {
        Self::ALL.iter().find(|(a, ..)| *a == self).map_or("weak", |(_, p, _)| p)
    }
}

/// A digest with its algorithm, in its canonical text `algorithm:lower-case-hex`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The text of a digest that is not blake3; that of blake3 follows from its bytes.
    text: Option<Box<str>>,
    key: [u8; 32],
}

impl Digest {
    /// The canonical text with its prefix.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.text {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(Blake3(self.key).to_string()),
        }
    }

    /// The text of a weak digest, which acts as a label.
    pub fn weak_label(&self) -> Option<&str> {
        self.text.as_deref().filter(|_| self.algorithm == Algorithm::Weak)
    }

    /// Appends the canonical text.
    pub(crate) fn write(&self, out: &mut String) {
        if let Some(text) = &self.text {
            return out.push_str(text);
        }
        out.push_str("b3:");
        push_hex(&self.key, out);
    }

    /// The 32 bytes that index this digest: its own for blake3, a hash of the text for the others.
    pub fn key(&self) -> [u8; 32] {
        self.key
    }

    /// A digest that is not blake3, indexed by a hash of its text.
    fn foreign(algorithm: Algorithm, text: Box<str>) -> Self {
        let key = Blake3::of(text.as_bytes()).0;
        Self { algorithm, text: Some(text), key }
    }
}

impl From<Blake3> for Digest {
    fn from(digest: Blake3) -> Self {
        Self { algorithm: Algorithm::Blake3, text: None, key: digest.0 }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(value) = text.strip_prefix("b3:")
            && let Some(key) = lower_hex(value)
        {
            return Ok(Blake3(key).into());
        }
        let (prefix, value) = text.split_once(':').ok_or_else(|| {
            format!("`{}` is no digest; write b3:, sha256:, sha1:, md5: or weak: before the hex digits", brief(text))
        })?;
        if prefix == "weak" && !value.is_empty() && value.len() <= 64 && value.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self::foreign(Algorithm::Weak, text.into()));
        }
        let Some((algorithm, _, length)) = Algorithm::ALL.iter().find(|(_, p, _)| *p == prefix) else {
            return Err(format!(
                "`{}` has an unknown digest prefix; valid are b3, sha256, sha1, md5, weak",
                brief(text)
            ));
        };
        if value.len() != *length || !value.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("`{}` needs exactly {length} hex digits after `{prefix}:`", brief(text)));
        }
        let own = if *algorithm == Algorithm::Blake3 { Blake3::from_hex(value) } else { None };
        Ok(own.map_or_else(|| Self::foreign(*algorithm, text.to_ascii_lowercase().into()), Self::from))
    }
}

/// The bytes of 64 lower-case hex digits.
fn lower_hex(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    // Upper case differs from lower case in a bit that no decimal digit lacks.
    let lower = digits.iter().fold(true, |all, digit| all & (digit & 0x20 != 0));
    Blake3::from_hex(text).filter(|_| lower).map(|digest| digest.0)
}

/// The SHA-256 of parts one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = sha2::Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The SHA-256 of one byte and a message, as [`sha256`] gives it, a seventh to a third faster: the tree hashes two short
/// messages for each event, and there the buffer of a hasher that takes bytes in any portions is felt.
///
/// Padding is that of FIPS 180-4, 5.1.1.
pub(crate) fn sha256_prefixed(first: u8, message: &[u8]) -> [u8; 32] {
    let mut state = SHA256_START;
    let bits = (message.len() as u64 + 1) * 8;
    let mut tail = [[0; SHA256_BLOCK]; 2];
    let end = if let Some((head, rest)) = message.split_first_chunk::<{ SHA256_BLOCK - 1 }>() {
        let mut block = [first; SHA256_BLOCK];
        block[1..].copy_from_slice(head);
        compress256(&mut state, std::slice::from_ref(&block));
        let (blocks, rest) = rest.as_chunks();
        compress256(&mut state, blocks);
        tail.as_flattened_mut()[..rest.len()].copy_from_slice(rest);
        rest.len()
    } else {
        tail[0][0] = first;
        tail[0][1..=message.len()].copy_from_slice(message);
        message.len() + 1
    };
    tail[0][end] = 0x80;
    // The last eight bytes hold the number of bits.
    let n = 1 + usize::from(end >= SHA256_BLOCK - 8);
    tail[n - 1][SHA256_BLOCK - 8..].copy_from_slice(&bits.to_be_bytes());
    compress256(&mut state, &tail[..n]);
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// Streams bytes into sha256 alone.
#[derive(Default)]
pub(crate) struct Sha256(sha2::Sha256);

impl Sha256 {
    /// The digest of bytes, in hex.
    pub(crate) fn of(bytes: &[u8]) -> String {
        to_hex(&sha256(&[bytes]))
    }

    /// Takes more bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest, in hex.
    pub(crate) fn finish(self) -> String {
        to_hex(&self.0.finalize())
    }
}

/// Streams bytes into blake3 and sha256 at once.
#[derive(Default)]
pub struct Hasher {
    blake3: Box<blake3::Hasher>,
    sha256: Sha256,
    size: u64,
}

impl Hasher {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// The blake3 digest, the sha256 digest in hex, and the number of bytes.
    pub fn finish(self) -> (Blake3, String, u64) {
        (Blake3(*self.blake3.finalize().as_bytes()), self.sha256.finish(), self.size)
    }
}

/// The value of each hex digit; anything else has a high bit.
const NIBBLES: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

/// Lower-case hex of bytes.
pub fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_hex(bytes, &mut text);
    text
}

/// Appends the lower-case hex of bytes.
fn push_hex(bytes: &[u8], out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for bytes in bytes.chunks(32) {
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        out.push_str(std::str::from_utf8(&digits[..bytes.len() * 2]).unwrap_or_default());
    }
}

/// Bytes of hex text; `None` when it is not hex.
pub fn from_hex(hex: &[u8]) -> Option<Vec<u8>> {
    let nibble = |b: u8| Some(NIBBLES[usize::from(b)]).filter(|n| *n < 16);
    hex.len()
        .is_multiple_of(2)
        .then(|| hex.chunks(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect())?
}

/// A text cut to a length that fits an error message.
pub(crate) fn brief(text: &str) -> String {
    if text.chars().count() <= 60 {
        text.escape_debug().to_string()
    } else {
        let cut: String = text.chars().take(57).collect();
        format!("{}...", cut.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefixed_message_has_the_digest_of_its_bytes() {
        let message: Vec<u8> = (0..700_u32).map(|i| (i * 7 + i / 13) as u8).collect();
        for length in 0..=message.len() {
            let message = &message[..length];
            assert_eq!(sha256_prefixed(1, message), sha256(&[&[1], message]), "{length}");
        }
    }

    #[test]
    fn digests_parse_and_print() {
        let hex = "AB".repeat(32);
        let digest: Digest = format!("b3:{hex}").parse().expect("a digest");
        assert_eq!(digest.text(), format!("b3:{}", hex.to_lowercase()));
        assert_eq!(digest.key(), [0xab; 32]);
        for bad in ["", "b3:", "b3:12", "sha512:00", "b3:zz", "weak:"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        assert!("weak:1a2b3c4d".parse::<Digest>().is_ok());
    }
}
