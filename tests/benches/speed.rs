//! The bench: `cargo run --release -p lineage-tests --bin speed -- [--events N | --file FILE] [--dir DIR]`, `capture`, `pipeline`, `evidence` or `closure`.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a harness")]

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lineage_tests::crash::writer::now;
use lineage_tests::speed::{Row, append, capture, closure, generate, load, pipeline, verify};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: speed [--events N | --file FILE] [--dir DIR]
       speed evidence [--events N | --file FILE] [--rounds N] [--dir DIR]
       speed capture [--python PROGRAM] [--dir DIR]
       speed pipeline [--dir DIR]
       speed closure STORE
  --events  how many events to generate [1000000]
  --file    events in the native format, instead of generated ones
  --rounds  how often a load with checkpoints and one without alternate [3]
  --dir     where to work, on the disk that is measured [the folder for temporary files]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [what, file, root, how] = arguments.as_slice()
        && what == "load"
    {
        load::child(Path::new(file), Path::new(root), how == "signed");
        return ExitCode::SUCCESS;
    }
    let is_capture = arguments.first().is_some_and(|what| what == "capture");
    if let [what, root, out] = arguments.as_slice()
        && what == "report"
    {
        load::report_child(Path::new(root), Path::new(out));
        return ExitCode::SUCCESS;
    }
    if let [what, root] = arguments.as_slice()
        && what == "closure"
    {
        tell(closure::warm(Path::new(root)));
        return ExitCode::SUCCESS;
    }
    let is_pipeline = arguments.first().is_some_and(|what| what == "pipeline");
    let (mut events, mut file, mut dir) = (1_000_000, None, std::env::temp_dir());
    let mut python = "python3".to_owned();
    let is_evidence = arguments.first().is_some_and(|what| what == "evidence");
    let mut rounds = 3;
    for pair in arguments[usize::from(is_capture || is_pipeline || is_evidence)..].chunks(2) {
        match pair {
            [key, value] if key == "--rounds" => rounds = value.parse().unwrap(),
            [key, value] if is_capture && key == "--python" => python.clone_from(value),
            [key, value] if key == "--events" => events = value.parse().unwrap(),
            [key, value] if key == "--file" => file = Some(PathBuf::from(value)),
            [key, value] if key == "--dir" => dir = value.into(),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let folder = tempfile::Builder::new().prefix("lineage-speed-").tempdir_in(dir).unwrap();
    if is_pipeline {
        tell(pipeline::measure(folder.path()));
        return ExitCode::SUCCESS;
    }
    if is_capture {
        tell(capture::measure(folder.path(), &python));
        return ExitCode::SUCCESS;
    }
    let file = file.unwrap_or_else(|| {
        let path = folder.path().join("events.ndjson");
        generate::write(events, &mut BufWriter::new(File::create(&path).unwrap())).unwrap();
        path
    });
    if is_evidence {
        let root = folder.path().join("store");
        let (mut rows, _) = load::measure(&file, &root, rounds);
        rows.extend(verify::measure(&root, folder.path()));
        tell(rows);
        return ExitCode::SUCCESS;
    }
    measure(folder.path(), &file, rounds);
    ExitCode::SUCCESS
}

fn measure(folder: &Path, file: &Path, rounds: usize) {
    let root = folder.join("store");
    let (mut rows, n) = load::measure(file, &root, rounds);
    rows.extend(load::sizes(&root, n));
    rows.extend(load::report(&root, n));
    rows.extend(closure::measure(&root));
    rows.extend(verify::measure(&root, folder));
    rows.extend(append::measure(folder));
    tell(rows);
}

fn tell(rows: Vec<Row>) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{}, {cores} cores, {}\n", &now().to_string()[..10], std::env::consts::ARCH);
    println!("| what | measured | beside it |\n| --- | --- | --- |");
    for [what, measured, beside] in rows {
        println!("| {what} | {measured} | {beside} |");
    }
}
