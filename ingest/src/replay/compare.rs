//! What came of an attempt that was made again, beside what came of it then.

use std::collections::HashMap;
use std::path::Path;

use lineage_store::artifact::Artifacts;
use lineage_store::digest::Blake3;
use serde_json::Value;

use super::recorded::Recorded;
use crate::run::Values;

/// How an output of now stands to that of then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same bytes.
    Same,
    /// Other bytes.
    Differs,
    /// Not there.
    Missing,
}

impl Verdict {
    /// The word for people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differs => "differs",
            Self::Missing => "missing",
        }
    }
}

/// The bytes of one output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// Their digest.
    pub digest: Blake3,
    /// How many there are, where that is known.
    pub size: Option<u64>,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its path, or the name of a value.
    pub name: String,
    /// Whether it is a value and no file.
    pub is_value: bool,
    /// How it stands.
    pub verdict: Verdict,
    /// What was written then.
    pub recorded: Bytes,
    /// What is written now.
    pub replayed: Option<Bytes>,
    /// Of a folder, the files that differ or are missing.
    pub files: Vec<String>,
}

/// Every output of then.
pub(super) fn outputs(recorded: &Recorded, files: &Path, values: &Values, artifacts: &Artifacts) -> Vec<Output> {
    let written = recorded.written.iter().map(|(path, then)| {
        let at = recorded.below(path).map_or_else(|| files.join(path), |below| files.join(below));
        file(path, *then, &at, &recorded.sizes, artifacts)
    });
    let given = recorded.values.iter().map(|(name, then)| {
        let now = values.get(name).map(Value::to_string);
        let now = now.map(|text| Bytes { digest: Blake3::of(text.as_bytes()), size: Some(text.len() as u64) });
        output(name, true, then, now, &recorded.sizes)
    });
    written.chain(given).collect()
}

fn output(name: &str, is_value: bool, then: &Blake3, now: Option<Bytes>, sizes: &HashMap<Blake3, u64>) -> Output {
    let verdict = match &now {
        None => Verdict::Missing,
        Some(now) if now.digest == *then => Verdict::Same,
        Some(_) => Verdict::Differs,
    };
    let recorded = Bytes { digest: *then, size: sizes.get(then).copied() };
    Output { name: name.to_owned(), is_value, verdict, recorded, replayed: now, files: Vec::new() }
}

fn file(path: &str, then: Blake3, at: &Path, sizes: &HashMap<Blake3, u64>, artifacts: &Artifacts) -> Output {
    let now = Artifacts::hash_path(at).ok().map(|stored| Bytes { digest: stored.digest, size: Some(stored.size) });
    let mut output = output(path, false, &then, now, sizes);
    // Of a folder perhaps only some files were meant, so they are compared one by one.
    if output.verdict == Verdict::Differs
        && let Ok(Some(manifest)) = artifacts.manifest(&then)
    {
        let same = |path: &str, digest: &Blake3| Artifacts::digest_file(&at.join(path)).is_ok_and(|now| now == *digest);
        let others = manifest.entries().iter().filter(|entry| !same(&entry.path, &entry.digest));
        output.files = others.map(|entry| entry.path.clone()).collect();
        if output.files.is_empty() {
            output.verdict = Verdict::Same;
            output.replayed = Some(output.recorded.clone());
        }
    }
    output
}
