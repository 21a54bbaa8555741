//! The one home of chance: ids, names of files, keys and nonces.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read as _};
use std::sync::atomic::{AtomicU32, Ordering};

use lineage_store::digest::to_hex;
use lineage_store::time::Time;

/// Random bytes from the system; without `/dev/urandom` from the keys that the standard library seeds its maps with.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).is_err() {
        for (i, byte) in bytes.iter_mut().enumerate() {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_usize(i);
            *byte = hasher.finish() as u8;
        }
    }
    bytes
}

/// Random bytes for a key, from the system alone.
pub(crate) fn secret() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The id of an event.
pub(crate) fn event_id() -> String {
    to_hex(&bytes::<16>())
}

/// The id of a run.
pub(crate) fn run_id() -> String {
    format!("r-{}", to_hex(&bytes::<8>()))
}

/// The name of a spool or reject file: later ones are greater, also within one instant of the clock.
pub(crate) fn file_name(now: Time) -> String {
    static NAMED: AtomicU32 = AtomicU32::new(0);
    let n = NAMED.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}-{n:04x}-{}", now.0.max(0), to_hex(&bytes::<4>()))
}
