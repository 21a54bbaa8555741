//! Manifests: the sorted list of files that makes a folder, or several files, one version.

use serde_json::{Map, Value, json};

use crate::digest::{Blake3, from_hex};
use crate::event::canonical::write_string;

/// How every manifest begins.
pub(super) const HEAD: &[u8] = b"{\"lineage\":\"manifest\",\"v\":1}\n";
/// The largest manifest that is written or read: about a million files.
pub(super) const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// One file of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The path below the folder, with `/` between its parts.
    pub path: String,
    /// The digest of its bytes.
    pub digest: Blake3,
    /// The SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Its bytes.
    pub size: u64,
    /// Whether its owner may execute it.
    pub executable: bool,
}

/// A list of files, sorted by path, each path once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    entries: Vec<Entry>,
}

impl Manifest {
    /// A manifest of files in any order; refuses a path that could leave the folder, and a path given twice.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, String> {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        for entry in &entries {
            check_path(&entry.path)?;
        }
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
            return Err(format!("`{}` is listed twice", pair[0].path));
        }
        Ok(Self { entries })
    }

    /// Its files, sorted by path.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The bytes of all its files.
    pub fn size(&self) -> u64 {
        self.entries.iter().map(|e| e.size).sum()
    }

    /// The bytes that are stored: a head line, then one canonical JSON object per line.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = String::with_capacity(HEAD.len() + self.entries.len() * 224);
        for entry in &self.entries {
            text.push_str("{\"digest\":\"");
            text.push_str(&entry.digest.to_string());
            text.push_str(if entry.executable { "\",\"executable\":true,\"path\":" } else { "\",\"path\":" });
            write_string(&entry.path, &mut text);
            text.push_str(",\"sha256\":\"");
            text.push_str(&entry.sha256);
            text.push_str("\",\"size\":");
            text.push_str(&entry.size.to_string());
            text.push_str("}\n");
        }
        [HEAD, text.as_bytes()].concat()
    }

    /// Reads a manifest; `None` unless these are exactly the bytes that [`Self::to_bytes`] writes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let lines = std::str::from_utf8(bytes.strip_prefix(HEAD)?).ok()?;
        let entries = lines.lines().map(entry).collect::<Option<Vec<_>>>()?;
        let manifest = Self::new(entries).ok()?;
        (manifest.to_bytes() == bytes).then_some(manifest)
    }
}

fn entry(line: &str) -> Option<Entry> {
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    let text = |key: &str| object.get(key)?.as_str();
    let sha256 = text("sha256")?;
    from_hex(sha256.as_bytes()).filter(|bytes| bytes.len() == 32)?;
    Some(Entry {
        path: text("path")?.to_owned(),
        digest: Blake3::from_hex(text("digest")?.strip_prefix("b3:")?)?,
        sha256: sha256.to_owned(),
        size: object.get("size")?.as_u64()?,
        executable: object.get("executable") == Some(&json!(true)),
    })
}

/// Refuses a path that is not a plain relative one; names inside manifests are data from outside.
fn check_path(path: &str) -> Result<(), String> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    if path.split('/').all(plain) {
        return Ok(());
    }
    Err(format!("`{}` is no plain relative path", path.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, executable: bool) -> Entry {
        let digest = Blake3::of(path.as_bytes());
        Entry { path: path.to_owned(), digest, sha256: "0a".repeat(32), size: 7, executable }
    }

    #[test]
    fn a_manifest_is_sorted_and_reads_back() {
        let manifest = Manifest::new(vec![file("b/\"x\"\n", false), file("a", true)]).expect("a manifest");
        let bytes = manifest.to_bytes();
        assert_eq!(manifest.entries()[0].path, "a");
        assert_eq!(manifest.size(), 14);
        assert_eq!(Manifest::parse(&bytes), Some(manifest));
        assert_eq!(Manifest::parse(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Manifest::parse(b"a,b\n1,2\n"), None);
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".", "a/./b", "a\0b"] {
            assert!(Manifest::new(vec![file(bad, false)]).is_err(), "{bad:?}");
        }
        assert!(Manifest::new(vec![file("a", false), file("a", true)]).is_err());
        assert!(Manifest::new(vec![file("..a/b..", false)]).is_ok());
    }
}
