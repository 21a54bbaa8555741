//! Where files lay: the paths and digests of all that a run read and wrote, by which it can be made again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Run;
use super::files::Traced;
use super::observed::name_of;
use super::outcome::Findings;

/// The facet `files`: names say what a version is, and only this says under which path the command met it.
///
/// Paths are those of [`name_of`]: from the workspace, or whole outside of it.
pub(super) fn describe(run: &Run<'_>, findings: &Findings) -> Value {
    let digests = |files: &mut dyn Iterator<Item = &Traced>| -> Map<String, Value> {
        files.map(|file| (name_of(&file.path, run.spec), json!(file.stored.digest.to_string()))).collect()
    };
    let read = || run.inputs.iter().chain(findings.observed.inputs.iter().map(|input| &input.traced));
    let executable = read().filter(|file| is_executable(&file.path)).map(|file| name_of(&file.path, run.spec));
    let mut files = Map::from_iter([
        ("read".to_owned(), Value::Object(digests(&mut read()))),
        ("written".to_owned(), Value::Object(digests(&mut findings.outputs.iter()))),
    ]);
    let executable: Vec<String> = executable.collect();
    if !executable.is_empty() {
        files.insert("executable".to_owned(), json!(executable));
    }
    let links = links(run, findings);
    if !links.is_empty() {
        files.insert("links".to_owned(), Value::Object(links));
    }
    Value::Object(files)
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o100 != 0)
}

/// Paths by which files were named that lie elsewhere.
fn links(run: &Run<'_>, findings: &Findings) -> Map<String, Value> {
    let accesses = findings.trace.iter().flat_map(|trace| &trace.accesses).filter(|access| access.read.is_some());
    let link = |access: &crate::capture::Access| {
        let alias = access.alias.as_ref()?;
        Some((name_of(alias, run.spec), json!(name_of(&access.path, run.spec))))
    };
    accesses.filter_map(link).collect()
}
