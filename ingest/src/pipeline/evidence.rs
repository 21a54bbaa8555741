//! What is known of a run that may stand for an equal one: everything that it depended on, or why that is not known.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::capture::{CaptureMode, Completeness, Listing, Role, Trace};
use crate::run::{RunResult, RunSpec};

/// What a run depended on, beside what was known before.
#[derive(Debug, Default)]
pub(super) struct Depends {
    /// Files and their digests.
    pub(super) read: Vec<(PathBuf, String)>,
    /// Folders that it listed.
    pub(super) listed: Vec<Listing>,
    /// Paths that it looked for and that were not there.
    pub(super) absent: Vec<PathBuf>,
    /// Folders of installed packages from which it loaded some.
    pub(super) packages: BTreeSet<PathBuf>,
    /// Programs that were run.
    pub(super) programs: BTreeSet<PathBuf>,
    /// Whether it may have read the document that we wrote for it.
    pub(super) document: bool,
}

/// What a run depended on; the error says why its results cannot be reused.
pub(super) fn depends(result: &RunResult, spec: &RunSpec, document: &Path) -> Result<Depends, String> {
    if result.is_unstable {
        return Err("an input changed while it ran".to_owned());
    }
    match &result.trace {
        Some(trace) if trace.is_observed() => observed(trace, document),
        _ if spec.mode == CaptureMode::Declared => declared(result, spec),
        _ => Err("what it read was not observed; capture = \"declared\" trusts what is declared".to_owned()),
    }
}

fn observed(trace: &Trace, document: &Path) -> Result<Depends, String> {
    if trace.completeness != Completeness::Complete {
        let holes: Vec<&str> = trace.holes.iter().map(|hole| hole.kind.what()).collect();
        return Err(format!("it was observed in part only: {}", holes.join(", ")));
    }
    if let Some(host) = trace.connections.first() {
        return Err(format!("it talked to {host}"));
    }
    let mut depends = Depends::default();
    for access in &trace.accesses {
        let Some(read) = &access.read else { continue };
        if access.path == document {
            depends.document = true;
            continue;
        }
        let Some(stored) = read.stored.as_ref().filter(|_| !read.unstable) else {
            return Err(format!("{} changed while it was read", access.path.display()));
        };
        if access.written || access.deleted {
            return Err(format!("it changed its own input {}", access.path.display()));
        }
        depends.read.push((access.path.clone(), stored.digest.to_string()));
    }
    for listing in &trace.listings {
        if listing.names.is_none() {
            return Err(format!("it listed {}, which holds too many files", listing.path.display()));
        }
        depends.listed.push(listing.clone());
    }
    let Some(missing) = &trace.missing else {
        return Err("it looked for too many files that are not there".to_owned());
    };
    let changed: BTreeSet<&Path> =
        trace.accesses.iter().filter(|access| access.written || access.deleted).map(|access| &*access.path).collect();
    // What it made itself was not there before.
    depends.absent = missing.iter().filter(|path| !changed.contains(path.as_path())).cloned().collect();
    depends.packages.clone_from(&trace.package_folders);
    depends.programs = trace.executions.iter().map(|execution| execution.program.clone()).collect();
    if trace.n_executions > trace.executions.len() as u64 {
        return Err(format!("it ran more than {} programs", trace.executions.len()));
    }
    if let Some(path) = trace.foreign_writes.first() {
        let role = Role::Env.as_str();
        return Err(format!("it wrote {}, which belongs to the {role}ironment", path.display()));
    }
    Ok(depends)
}

/// What was declared, the files that the command line names, and the document.
fn declared(result: &RunResult, spec: &RunSpec) -> Result<Depends, String> {
    if spec.outputs.is_empty() && spec.values.is_none() {
        return Err("it declares no outputs".to_owned());
    }
    let mut depends = Depends { document: true, ..Depends::default() };
    depends.read = result.inputs.iter().map(|input| (input.path.clone(), input.stored.digest.to_string())).collect();
    for argument in &spec.argv {
        let path = spec.cwd.join(argument);
        if path.is_file() && !depends.read.iter().any(|(read, _)| *read == path) {
            let stored = lineage_store::artifact::Artifacts::hash_path(&path).map_err(|error| error.to_string())?;
            depends.read.push((path, stored.digest.to_string()));
        }
    }
    Ok(depends)
}
