//! From segments to one artifact: a zstd frame for each, and an index in a frame that every zstd reader skips.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use lineage_store::StoreError;
use lineage_store::artifact::Artifacts;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Cut, Plan, Written, segments};

/// Level 1: text compresses to a tenth at the speed of the disk, and higher levels gain little.
const LEVEL: i32 = 1;
/// The magic number of a frame that every zstd reader skips.
pub(super) const SKIPPABLE: [u8; 4] = 0x184D_2A5D_u32.to_le_bytes();
/// How the file ends, after the length of the index.
pub(super) const TRAILER: &[u8; 4] = b"LLOG";

/// What stands at the end of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    /// The version of this format.
    pub(super) log: u32,
    /// Bytes of the whole log, with what was cut out of it.
    pub(super) bytes: u64,
    /// What was cut out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cut: Option<Cut>,
    /// For each frame: its offset in the log, its bytes there, and its bytes in the file.
    pub(super) frames: Vec<(u64, u64, u64)>,
    /// Offsets and the milliseconds since the start at which something was said there.
    pub(super) marks: Vec<(u64, u64)>,
}

/// What an event says of one log.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) facts: Value,
    /// For people, if something is missing.
    pub(crate) note: Option<String>,
}

impl Kept {
    /// Its name and digest, if it was kept.
    pub(crate) fn digest(&self) -> Option<(String, String)> {
        Some((self.name.clone(), self.facts.get("digest")?.as_str()?.to_owned()))
    }
}

/// Keeps a log whose stream has ended.
pub(crate) fn keep(folder: &Path, written: &Written, artifacts: &Artifacts) -> Kept {
    let Written { name, n_masked, failed, .. } = written;
    let mut kept = one(folder, name, &written.marks, written.plan.segment_bytes, artifacts);
    if let Some(object) = kept.facts.as_object_mut() {
        if *n_masked > 0 {
            object.insert("masked".to_owned(), json!(n_masked));
        }
        if let Some(why) = failed {
            object.insert("incomplete".to_owned(), json!(why));
            kept.note = Some(format!("the log of {name} is not complete: {why}"));
        }
    }
    kept
}

/// Keeps the logs that a dead runner left in a folder.
pub(crate) fn recover(folder: &Path, artifacts: &Artifacts) -> Vec<Kept> {
    let names = ["stdout", "stderr", "output"];
    let there = names.into_iter().filter(|name| segments(folder, name).is_ok_and(|list| !list.is_empty()));
    there.map(|name| one(folder, name, &[], segment_bytes(folder, name), artifacts)).collect()
}

/// The size of the segments of a dead runner: all but the last are whole.
fn segment_bytes(folder: &Path, name: &str) -> u64 {
    let list = segments(folder, name).unwrap_or_default();
    let sizes = list.iter().filter_map(|(_, path)| fs::metadata(path).ok()).map(|m| m.len());
    sizes.max().unwrap_or(1).max(1)
}

fn one(folder: &Path, name: &str, marks: &[(u64, u64)], segment_bytes: u64, artifacts: &Artifacts) -> Kept {
    if segments(folder, name).is_ok_and(|list| list.is_empty()) {
        // Nothing was said, which takes no artifact.
        return Kept { name: name.to_owned(), facts: json!({ "bytes": 0 }), note: None };
    }
    match write(folder, name, marks, segment_bytes, artifacts) {
        Ok((index, digest)) => {
            let mut facts = json!({ "digest": digest, "bytes": index.bytes });
            let mut note = None;
            if let Some(cut) = index.cut {
                facts["cut"] = json!(cut);
                let n = cut.to - cut.from;
                note = Some(format!(
                    "the log of {name} has {} bytes, which is more than is kept: {n} bytes from {} on were left out",
                    index.bytes, cut.from
                ));
            }
            Kept { name: name.to_owned(), facts, note }
        }
        Err(error) => Kept {
            name: name.to_owned(),
            facts: json!({ "incomplete": error.to_string() }),
            note: Some(format!("the log of {name} was not kept: {error}")),
        },
    }
}

fn write(
    folder: &Path,
    name: &str,
    marks: &[(u64, u64)],
    segment_bytes: u64,
    artifacts: &Artifacts,
) -> Result<(Index, String), StoreError> {
    let path = folder.join(format!("{name}.log"));
    let failed = |source: io::Error| StoreError::Io { action: "write", path: path.clone(), source };
    let mut file = File::create(&path).map_err(failed)?;
    let mut index = Index { log: 1, marks: marks.to_vec(), ..Index::default() };
    for (number, segment) in segments(folder, name).map_err(failed)? {
        let bytes = fs::read(&segment).map_err(failed)?;
        let stored = zstd::bulk::compress(&bytes, LEVEL).map_err(failed)?;
        file.write_all(&stored).map_err(failed)?;
        let offset = number * segment_bytes;
        if offset > index.bytes {
            index.cut = Some(Cut { from: index.bytes, to: offset });
        }
        index.frames.push((offset, bytes.len() as u64, stored.len() as u64));
        index.bytes = offset + bytes.len() as u64;
    }
    file.write_all(&trailer(&index)).map_err(failed)?;
    drop(file);
    let stored = artifacts.put_file(&path)?;
    Ok((index, stored.digest.to_string()))
}

fn trailer(index: &Index) -> Vec<u8> {
    // Numbers and their lists are always JSON.
    let text = serde_json::to_vec(index).unwrap_or_default();
    let mut bytes = SKIPPABLE.to_vec();
    bytes.extend((text.len() as u32 + 8).to_le_bytes());
    bytes.extend(&text);
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(TRAILER);
    bytes
}

impl Plan {
    /// How many bytes are kept at most.
    #[cfg(test)]
    pub(super) fn kept_max(&self) -> u64 {
        (self.n_head + self.n_tail) * self.segment_bytes
    }
}
