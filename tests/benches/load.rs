//! The server under load: `cargo run --release -p lineage-tests --bin load -- [--dir DIR] [--only N]`; needs `lineage` built beside.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a harness")]

use std::path::PathBuf;
use std::process::ExitCode;

use lineage_tests::{corpora, sandbox, speed};

const USAGE: &str = "usage: load [--dir DIR] [--only N]
  --dir   where to work, on the disk that is measured [the folder for temporary files]
  --only  one load alone: 1 and 2 are the recorded mix, one each and in batches, 3 and 4 small events likewise
The recorded mix needs the corpora, named by LINEAGE_SHARED; taskset gives the server a core of its own.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut dir, mut only) = (std::env::temp_dir(), None);
    for pair in arguments.chunks(2) {
        match pair {
            [key, value] if key == "--dir" => dir = PathBuf::from(value),
            [key, value] if key == "--only" => only = Some(value.parse().unwrap()),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let folder = tempfile::Builder::new().prefix("lineage-load-").tempdir_in(dir).unwrap();
    let recorded = corpora().map(|corpora| corpora.join("openlineage/recorded"));
    let rows = speed::serve::measure(sandbox::binary(), folder.path(), recorded.as_deref(), only);
    println!("| what | measured | beside it |\n| --- | --- | --- |");
    for [what, measured, beside] in rows {
        println!("| {what} | {measured} | {beside} |");
    }
    ExitCode::SUCCESS
}
