//! The reserve: a file of real bytes that is given up on a full disk, so that recovery has room.

use std::io;
use std::path::{Path, PathBuf};

use super::medium::Medium;

/// How much room is kept.
pub(crate) const RESERVE_BYTES: usize = 1024 * 1024;

pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("reserve")
}

/// Makes the reserve if it is not there; without room for it nothing stays behind.
pub(crate) fn ensure(medium: &dyn Medium, dir: &Path) -> io::Result<()> {
    let path = path(dir);
    if path.metadata().is_ok_and(|m| m.len() == RESERVE_BYTES as u64) {
        return Ok(());
    }
    release(medium, dir);
    let file = medium.create(&path)?;
    // Bytes that no file system compresses or leaves out as a hole.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(RESERVE_BYTES);
    while bytes.len() < RESERVE_BYTES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
    }
    let made = medium.write_at(&file, &path, &bytes, 0).and_then(|()| medium.sync(&file, &path));
    if made.is_err() {
        release(medium, dir);
    }
    made
}

/// Gives the room back; that it is gone already is no error.
pub(crate) fn release(medium: &dyn Medium, dir: &Path) {
    let path = path(dir);
    if path.exists() {
        drop(medium.remove(&path));
    }
}
