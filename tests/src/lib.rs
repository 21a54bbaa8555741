//! Test support: a folder to work in with the binary to run, chance that can be repeated, the crash harness, the bench.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "harnesses report on the standard streams")]
#![allow(clippy::unwrap_used, reason = "a broken harness is to stop at once")]

pub mod crash;
pub mod document;
pub mod evidence;
pub mod front;
pub mod fuzz;
pub mod http;
pub mod memory;
pub mod processor;
pub mod random;
pub mod sandbox;
pub mod server;
pub mod speed;
pub mod strace;
pub mod walk;

use std::io::Write as _;
use std::path::PathBuf;

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Says loudly that something is not tested here; the test harness does not swallow it.
pub fn skipped(what: &str) {
    writeln!(std::io::stderr(), "SKIPPED {what}").ok();
}

/// Tells a figure that a test has found; the test harness does not swallow it.
pub fn told(what: &str) {
    writeln!(std::io::stderr(), "FIGURE {what}").ok();
}

/// The virtual environment of real clients, which need not be there: `LINEAGE_CLIENTS`, else where `.ci/run` makes it.
pub fn clients() -> PathBuf {
    std::env::var_os("LINEAGE_CLIENTS").map_or_else(|| workspace().join("target/clients"), PathBuf::from)
}

/// The virtual environment of a major version of `MLflow`, which need not be there: beside that of [`clients`].
pub fn mlflow_client(major: u32) -> PathBuf {
    let clients = clients();
    let name = clients.file_name().unwrap_or_default().to_string_lossy().into_owned();
    clients.with_file_name(format!("{name}-mlflow{major}"))
}

/// The folder of the recorded corpora: `LINEAGE_SHARED`, else `shared` beside the workspace; `None`, loudly, if absent.
pub fn corpora() -> Option<PathBuf> {
    let shared = std::env::var_os("LINEAGE_SHARED").map(PathBuf::from);
    let folder = shared.unwrap_or_else(|| workspace().join("../shared")).join("corpora");
    if folder.is_dir() {
        return Some(folder);
    }
    skipped(&format!("corpora: {} is no folder; set LINEAGE_SHARED", folder.display()));
    None
}
