//! Damage: single bits, cut files, and lines and files that are taken away, doubled or swapped.

use std::fs;
use std::path::{Path, PathBuf};

use super::log::{Checked, check};
use crate::random::Random;
use crate::walk;

/// What was tried.
#[derive(Debug, Default)]
pub struct Tried {
    /// How many damages.
    pub damages: u64,
    /// Those that were not found, or not in the right file.
    pub missed: Vec<String>,
}

/// The files that a check must vouch for: all but the locks, the reserve, the private key, what was verified last, the
/// settings, and the copies (sled and graph), which have checks of their own.
pub fn vouched(root: &Path) -> Vec<PathBuf> {
    let parts = ["journal", "tiles", "checkpoints", "artifacts", "payloads"];
    let files = parts.iter().flat_map(|part| walk::files(&root.join(part)));
    files.filter(|file| !["lock", "reserve", "verified"].iter().any(|name| file.ends_with(name))).collect()
}

impl Tried {
    fn judge(&mut self, root: &Path, file: &Path, what: impl Fn() -> String) {
        self.damages += 1;
        let found = match check(root, &[]) {
            Ok(checked) => named(&checked, file),
            // What cannot be opened at all is told as damage, too.
            Err(error) => error.is_corrupt(),
        };
        if !found {
            self.missed.push(format!("{}: {}", file.strip_prefix(root).unwrap_or(file).display(), what()));
        }
    }
}

/// Whether the damage is found, and in the file where it is; for a swapped line and the like in its part.
fn named(checked: &Checked, file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default();
    if checked.is_good() {
        // What is behind the head was never acknowledged; the next writer moves it to `cut/`.
        return checked.journal.unpublished > 0 && file.ends_with("000000000000.log");
    }
    // A partial tile is found by its hashes, and artifacts, keys and checkpoints by being read.
    let journal = checked.journal.damage.iter().any(|damage| damage.file.file_name() == Some(name));
    let proofs = checked.proofs.damage.iter().any(|damage| damage.file.ends_with(name));
    journal || proofs || !checked.files.is_empty() || !checked.key
}

/// Flips bits, each in the file as it was: every `step`-th bit of every file that is vouched for.
pub fn bits(root: &Path, step: usize, seed: u64) -> Tried {
    let mut tried = Tried::default();
    let mut random = Random::new(seed);
    for file in vouched(root) {
        let good = fs::read(&file).unwrap();
        writable(&file);
        let mut at = random.below(step);
        while at < good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            fs::write(&file, &bad).unwrap();
            tried.judge(root, &file, || format!("bit {at}"));
            at += step;
        }
        fs::write(&file, &good).unwrap();
    }
    assert!(check(root, &[]).unwrap().is_good(), "the store is as it was");
    tried
}

/// Cuts every file at every `step`-th byte.
pub fn cuts(root: &Path, step: usize) -> Tried {
    let mut tried = Tried::default();
    for file in vouched(root) {
        let good = fs::read(&file).unwrap();
        writable(&file);
        for length in (0..good.len()).step_by(step) {
            fs::write(&file, &good[..length]).unwrap();
            tried.judge(root, &file, || format!("cut to {length} bytes"));
        }
        fs::write(&file, &good).unwrap();
    }
    tried
}

/// Swaps, deletes and doubles events in the journal, with the checksums and positions made right again or not, and
/// takes files away or renames them.
pub fn rearranged(root: &Path) -> Tried {
    let mut tried = Tried::default();
    let segment = walk::files_ending(&root.join("journal"), ".log").pop().unwrap();
    let good = fs::read(&segment).unwrap();
    let lines: Vec<&[u8]> = good.split_inclusive(|b| *b == b'\n').collect();
    for i in 0..lines.len() {
        let mut variants: Vec<(&str, Vec<&[u8]>)> = Vec::new();
        let mut without = lines.clone();
        without.remove(i);
        variants.push(("deleted", without));
        let mut doubled = lines.clone();
        doubled.insert(i, lines[i]);
        variants.push(("doubled", doubled));
        if i + 1 < lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(i, i + 1);
            variants.push(("swapped", swapped));
        }
        for (what, variant) in variants {
            fs::write(&segment, variant.concat()).unwrap();
            tried.judge(root, &segment, || format!("line {i} {what}"));
        }
        // The work of somebody who knows the format, without the key: positions and checksums are right.
        if i + 1 < lines.len() {
            let mut swapped: Vec<Vec<u8>> = lines.iter().map(|line| line.to_vec()).collect();
            swapped[i] = renumbered(lines[i + 1], i);
            swapped[i + 1] = renumbered(lines[i], i + 1);
            if swapped[i].len() + swapped[i + 1].len() == lines[i].len() + lines[i + 1].len() {
                fs::write(&segment, swapped.concat()).unwrap();
                tried.judge(root, &segment, || format!("line {i} swapped, positions and checksums made right"));
            }
        }
    }
    fs::write(&segment, &good).unwrap();
    let tiles = walk::files(&root.join("tiles"));
    for file in [segment, root.join("journal/head")].into_iter().chain(tiles) {
        let aside = file.with_extension("aside");
        fs::rename(&file, &aside).unwrap();
        tried.damages += 1;
        let found = check(root, &[]).map_or(true, |checked| !checked.is_good());
        if !found {
            tried.missed.push(format!("{} taken away", file.display()));
        }
        fs::rename(&aside, &file).unwrap();
    }
    assert!(check(root, &[]).unwrap().is_good(), "the store is as it was");
    tried
}

/// A journal line at another position, its checksum computed anew from FORMAT.md: over the line without it.
fn renumbered(line: &[u8], position: usize) -> Vec<u8> {
    let text = std::str::from_utf8(line).unwrap();
    let rest = text.splitn(3, ' ').nth(2).unwrap().strip_suffix('\n').unwrap();
    let crc = crc32c(format!("{position} {rest}").as_bytes());
    format!("{position} {crc:08x} {rest}\n").into_bytes()
}

/// CRC-32C (Castagnoli), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

/// Artifacts are read-only, which is no hindrance to a bad disk.
pub(super) fn writable(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
}
