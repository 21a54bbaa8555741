//! Scrubbing: what names a subject in rejects, in the spool and in what was cut from the journal.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::keys::sync_folder;
use crate::digest::from_hex;
use crate::error::{Result, StoreError};
use crate::layout::Layout;

/// Removes everything that names a subject; how many lines and files that were.
pub(super) fn subject(layout: &Layout, subject: &str) -> Result<u64> {
    let mut scrubbed = 0;
    for path in files(&layout.part("rejects"))? {
        scrubbed += rewrite(&path, &|line| {
            let row = names(line, subject)?;
            let [source, at] = ["source", "line"].map(|key| row.get(key).cloned().unwrap_or_default());
            Some(format!("{}\n", json!({ "line": at, "reason": "erased with its subject", "source": source })))
        })?;
    }
    for path in files(&layout.part("spool"))? {
        scrubbed += rewrite(&path, &|line| names(line, subject).map(|_| String::new()))?;
    }
    for path in files(&layout.part("journal").join("cut"))? {
        let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
        if mentions(&String::from_utf8_lossy(&bytes), subject) {
            fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
            sync_folder(path.parent().unwrap_or(&path))?;
            scrubbed += 1;
        }
    }
    Ok(scrubbed)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", folder)(error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(StoreError::io("list", folder)));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    Ok(paths)
}

/// The row of a line whose text as received names a subject.
fn names(line: &str, subject: &str) -> Option<Value> {
    let row: Value = match serde_json::from_str(line) {
        Ok(row) => row,
        // A torn line is searched as it is.
        Err(_) => return mentions(line, subject).then(|| json!({})),
    };
    let hex = || String::from_utf8_lossy(&from_hex(row.get("hex")?.as_str()?.as_bytes())?).into_owned().into();
    let text: Option<String> = row.get("text").and_then(Value::as_str).map(str::to_owned).or_else(hex);
    text.is_some_and(|text| mentions(&text, subject)).then_some(row)
}

/// Whether a text names a subject: as a string of its JSON, or, if it is none, as a word.
fn mentions(text: &str, subject: &str) -> bool {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => has_string(&value, subject),
        Err(_) => text.match_indices(subject).any(|(at, _)| {
            let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
            !inside(text[..at].chars().next_back()) && !inside(text[at + subject.len()..].chars().next())
        }),
    }
}

fn has_string(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own == text,
        Value::Array(items) => items.iter().any(|item| has_string(item, text)),
        Value::Object(members) => members.iter().any(|(key, value)| key == text || has_string(value, text)),
        _ => false,
    }
}

/// Replaces the lines for which something else is given; how many those were.
fn rewrite(path: &Path, instead: &dyn Fn(&str) -> Option<String>) -> Result<u64> {
    let bytes = fs::read(path).map_err(StoreError::io("read", path))?;
    let (mut out, mut replaced) = (Vec::with_capacity(bytes.len()), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match instead(String::from_utf8_lossy(line).trim_end()) {
            Some(other) => {
                out.extend_from_slice(other.as_bytes());
                replaced += 1;
            }
            None => out.extend_from_slice(line),
        }
    }
    if replaced == 0 {
        return Ok(0);
    }
    let folder = path.parent().unwrap_or(path);
    if out.is_empty() {
        fs::remove_file(path).map_err(StoreError::io("remove", path))?;
    } else {
        let temporary = path.with_extension("scrubbed");
        let mut file = File::create(&temporary).map_err(StoreError::io("create", &temporary))?;
        let written = file.write_all(&out).and_then(|()| file.sync_all());
        written.map_err(StoreError::io("write", &temporary))?;
        fs::rename(&temporary, path).map_err(StoreError::io("rename", &temporary))?;
    }
    sync_folder(folder)?;
    Ok(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_told_apart() {
        assert!(mentions(r#"{"sealed":{"facets.a":{"subject":"s-1"}}}"#, "s-1"));
        assert!(mentions(r#"{"sealed":{"facets.a":{"subject":"s-\u0031"}}}"#, "s-1"));
        assert!(!mentions(r#"{"sealed":{"facets.a":{"subject":"s-12"}}}"#, "s-1"));
        assert!(mentions(r#"{"sealed":{"facets.a":{"subject":"s-1"}"#, "s-1"), "cut off");
        assert!(!mentions(r#"{"sealed":{"facets.a":{"subject":"s-12"}"#, "s-1"));
        assert!(!mentions("", "s-1"));
    }
}
