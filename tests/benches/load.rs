//! The server under load: `cargo run --release -p lineage-tests --bin load -- [--dir DIR]`; needs `lineage` built beside.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a harness")]

use std::path::PathBuf;
use std::process::ExitCode;

use lineage_tests::{corpora, sandbox, speed};

const USAGE: &str = "usage: load [--dir DIR]
  --dir  where to work, on the disk that is measured [the folder for temporary files]
The recorded mix needs the corpora, named by LINEAGE_SHARED; taskset gives the server a core of its own.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = match arguments.as_slice() {
        [] => std::env::temp_dir(),
        [key, value] if key == "--dir" => PathBuf::from(value),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let folder = tempfile::Builder::new().prefix("lineage-load-").tempdir_in(dir).unwrap();
    let recorded = corpora().map(|corpora| corpora.join("openlineage/recorded"));
    let rows = speed::serve::measure(sandbox::binary(), folder.path(), recorded.as_deref());
    println!("| what | measured | beside it |\n| --- | --- | --- |");
    for [what, measured, beside] in rows {
        println!("| {what} | {measured} | {beside} |");
    }
    ExitCode::SUCCESS
}
