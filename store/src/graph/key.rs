//! Keys of the lookups: hashes that spread evenly.

/// The key of a run id or an event id within a namespace: 64 bits to search and 32 to tell apart.
pub(crate) type Scoped = (u64, u32);

/// Hashes a run id or an event id within a namespace.
///
/// At ten million ids two of them share all 96 bits with a probability below 1e-15.
pub(crate) fn scoped(namespace: &str, id: &str) -> Scoped {
    /// Both together fit nearly always; hashing one short buffer costs half of what a hasher does.
    const SHORT: usize = 256;
    let length = namespace.len() + 1 + id.len();
    let hash = if length <= SHORT {
        let mut buffer = [0; SHORT];
        buffer[..namespace.len()].copy_from_slice(namespace.as_bytes());
        buffer[namespace.len() + 1..length].copy_from_slice(id.as_bytes());
        blake3::hash(&buffer[..length])
    } else {
        let mut hasher = blake3::Hasher::new();
        hasher.update(namespace.as_bytes()).update(&[0]).update(id.as_bytes());
        hasher.finalize()
    };
    let bytes = hash.as_bytes();
    (head(bytes), u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]))
}

/// The key of a symbol's text; equal keys are told apart by the text.
pub(crate) fn symbol(text: &str) -> u64 {
    head(blake3::hash(text.as_bytes()).as_bytes())
}

/// The first eight bytes of a digest as a big-endian number, so that prefixes are ranges.
pub(crate) fn head(digest: &[u8; 32]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(word)
}

/// The first four bytes of a digest, alike.
pub(crate) fn short_head(digest: &[u8; 32]) -> u32 {
    (head(digest) >> 32) as u32
}

/// The key of an entity and a label, spread evenly; equal keys are told apart by the version that they lead to.
pub(crate) fn label(entity: u32, label: u32) -> u32 {
    let mut x = super::tables::pair(entity, label);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 32) as u32
}
