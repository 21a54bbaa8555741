//! Packs for auditors: written whole and alike each time, refused where they must be, and right in other programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lineage_query::report::{Table, tables};
use lineage_store::artifact::Artifacts;
use lineage_store::digest::Blake3;
use lineage_tests::sandbox::Sandbox;
use lineage_tests::{skipped, walk, workspace};
use serde_json::{Value, json};

/// A history with what makes tables hard: attempts of several events, retractions, copies, late audits, `from` lists.
const HISTORY: &str = include_str!("reports/history.ndjson");

/// Every report, as it is asked for.
const REPORTS: [&[&str]; 9] = [
    &["full"],
    &["model-inventory"],
    &["training-data"],
    &["deployments"],
    &["unaudited"],
    &["erasure-impact", "s-1"],
    &["technical-documentation"],
    &["records-of-processing"],
    &["--query", "models live show owner", "--query", "events"],
];

fn store() -> Sandbox {
    let sandbox = Sandbox::new();
    let lines: Vec<&str> = HISTORY.lines().filter(|line| line.starts_with('{')).collect();
    sandbox.ingest(&(lines.join("\n") + "\n"));
    sandbox
}

/// Files of a pack with their bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let paths = walk::files(folder).into_iter();
    paths.map(|path| (path.strip_prefix(folder).unwrap().display().to_string(), fs::read(&path).unwrap())).collect()
}

fn manifest(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}

fn report<'a>(sandbox: &Sandbox, words: &[&'a str], out: &'a str) -> PathBuf {
    sandbox.run([&["report"], words, &["--out", out]].concat()).done();
    sandbox.path().join(out)
}

#[test]
fn every_report_is_the_same_bytes_again() {
    let mut sandbox = store();
    let mut first = Vec::new();
    for (n, words) in REPORTS.iter().enumerate() {
        first.push(files(&report(&sandbox, words, &format!("a{n}"))));
    }
    // Another day, another index, and later events: the pack of that position is still the same.
    sandbox.at("2026-11-27T12:00:00Z");
    let position = manifest(&sandbox.path().join("a0"))["log"]["position"].to_string();
    sandbox.run(["rebuild"]).done();
    sandbox.run(["audit", "model", "churn@v1", "--outcome", "pass", "--by", "late"]).done();
    for (n, words) in REPORTS.iter().enumerate() {
        let known = [words, &["--known-at", &position][..]].concat();
        let again = files(&report(&sandbox, &known, &format!("b{n}")));
        assert!(first[n].len() >= 5 || first[n].contains_key("answer-1.parquet"), "{words:?}: {:?}", first[n].keys());
        for (path, bytes) in &first[n] {
            assert!(again.get(path) == Some(bytes), "{words:?}: {path} differs");
        }
        assert_eq!(again.len(), first[n].len(), "{words:?}");
        let now = files(&report(&sandbox, words, &format!("c{n}")));
        assert!(now["manifest.json"] != first[n]["manifest.json"], "a later event shows in {words:?}");
    }
}

#[test]
fn the_manifest_names_every_file() {
    let sandbox = store();
    let folder = report(&sandbox, &["full"], "pack");
    let (manifest, files) = (manifest(&folder), files(&folder));
    let named = manifest["files"].as_array().unwrap();
    let names: BTreeSet<&str> = named.iter().map(|file| file["path"].as_str().unwrap()).collect();
    let present: BTreeSet<&str> = files.keys().map(String::as_str).filter(|name| *name != "manifest.json").collect();
    assert_eq!(names, present);
    for file in named {
        let bytes = &files[file["path"].as_str().unwrap()];
        assert_eq!(file["size"], bytes.len());
        assert_eq!(file["blake3"], Blake3::of(bytes).hex());
    }
    let [head, members] = ["schema", "log"].map(|key| &manifest[key]);
    assert_eq!(*head, "lineage.pack/1");
    let events = HISTORY.lines().filter(|line| line.starts_with('{')).count();
    assert_eq!(members["size"], events);
    assert_eq!(members["position"], events - 1);
    assert_eq!(members["hidden"], 1);
}

#[test]
fn rows_that_do_not_follow_from_the_events_are_found() {
    let sandbox = store();
    for (n, words) in REPORTS.iter().enumerate() {
        report(&sandbox, words, &format!("a{n}"));
        let verified = sandbox.run(["verify", &format!("a{n}")]);
        assert!(verified.done().contains("made again from the events"), "{words:?}: {verified}");
    }
    report(&sandbox, &["full", "--partition", "day"], "days");
    assert!(sandbox.run(["verify", "days"]).done().contains("made again from the events"));
    let whole = report(&sandbox, &["full"], "whole");
    let position = manifest(&whole)["log"]["position"].as_u64().unwrap() - 1;
    let earlier = report(&sandbox, &["full", "--known-at", &position.to_string()], "earlier");
    let mut rows = 0;
    for (path, bytes) in files(&earlier).into_iter().filter(|(path, _)| path.ends_with(".parquet")) {
        let (forged, good) = (sandbox.path().join("forged"), fs::read(whole.join(&path)).unwrap());
        if good == bytes {
            continue;
        }
        walk::copy(&whole, &forged);
        // The manifest is signed by nobody, so who changes a table changes it, too.
        let mut named = manifest(&forged);
        let entry = named["files"].as_array_mut().unwrap().iter_mut().find(|file| file["path"] == *path).unwrap();
        fs::write(forged.join(&path), &bytes).unwrap();
        let stored = Artifacts::hash_path(&forged.join(&path)).unwrap();
        *entry = json!({ "path": path, "size": stored.size, "sha256": stored.sha256, "blake3": stored.digest.hex() });
        fs::write(forged.join("manifest.json"), named.to_string()).unwrap();
        let verified = sandbox.run(["verify", "forged"]);
        // Where the rows are the same, the position in the file's metadata is another one.
        let told = format!("{path}: ");
        assert!(verified.code == 4 && verified.stdout.contains(&told), "{path}: {verified}");
        rows += usize::from(verified.stdout.contains(&format!("{path}: row ")));
        fs::remove_dir_all(&forged).unwrap();
    }
    assert!(rows >= 2, "rows were told of {rows} tables");
}

#[test]
fn what_cannot_be_reported_is_refused_with_a_way_out() {
    let sandbox = store();
    report(&sandbox, &["unaudited"], "pack");
    let cases: [(&[&str], i32, &str); 9] = [
        (&["unaudited", "--out", "pack"], 2, "rm -r pack"),
        (&["nosuch", "--out", "x"], 3, "model-inventory"),
        (&["erasure-impact", "--out", "x"], 2, "s-123"),
        (&["full", "--out", "x", "--known-at", "99999"], 2, "lineage log"),
        (&["full", "--out", "x", "--since", "99999"], 2, "--since"),
        (&["full", "--out", "x", "--as-of", "2031-01-01T00:00:00Z"], 2, "--as-of"),
        (&["full", "--out", "x", "--model", "model churn"], 2, "technical-documentation"),
        (&["training-data", "--out", "x", "--model", "model nosuch"], 3, "nosuch"),
        (&["--query", "models trained in x", "--out", "x"], 2, "E0102"),
    ];
    for (words, code, said) in cases {
        let ran = sandbox.run([&["report"], words].concat());
        assert!(ran.code == code && ran.stderr.contains(said), "{words:?}: {ran}");
        let left = sandbox.path().join("x");
        assert!(!left.exists() || files(&left).is_empty(), "{words:?} left files behind");
    }
}

#[test]
fn an_empty_log_is_reported() {
    let sandbox = Sandbox::new();
    for (n, words) in REPORTS.iter().enumerate() {
        let words: Vec<&str> = words.to_vec();
        let folder = report(&sandbox, &words, &format!("pack{n}"));
        assert_eq!(manifest(&folder)["log"]["position"], Value::Null, "{words:?}");
    }
}

/// The section of REPORTS.md that is made from the schemas.
fn documented(tables: &[Table]) -> String {
    let mut text = String::new();
    for table in tables {
        let (name, of) = (table.name, table.of.word());
        writeln!(
            text,
            "### {name}\n\n{}; *{of}*; sorted by `{}`.\n",
            sentence(table.about),
            table.sorted_by.join("`, `")
        )
        .unwrap();
        text.push_str("| column | type | what it is |\n| --- | --- | --- |\n");
        for column in table.columns {
            let missing = if column.nullable { "?" } else { "" };
            let unit = column.unit.map(|unit| format!(" ({unit})")).unwrap_or_default();
            writeln!(text, "| `{}` | {}{missing} | {}{unit} |", column.name, column.kind.word(), column.about).unwrap();
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

/// With `LINEAGE_BLESS` the section is written anew; look at what changed before you keep it.
#[test]
fn the_schemas_are_as_documented() {
    let path = workspace().join("docs/REPORTS.md");
    let text = fs::read_to_string(&path).unwrap();
    let (intro, rest) = text.split_once("\n### events\n").unwrap_or((&text, ""));
    let (section, after) = rest.split_once("\n## ").map_or((rest, String::new()), |(s, a)| (s, format!("\n## {a}")));
    let wanted = documented(tables::ALL);
    if std::env::var_os("LINEAGE_BLESS").is_some() {
        fs::write(&path, format!("{}\n\n{wanted}{after}", intro.trim_end())).unwrap();
        return;
    }
    let section = format!("### events\n{section}");
    for (have, want) in section.trim_end().lines().zip(wanted.trim_end().lines()) {
        assert_eq!(have, want, "docs/REPORTS.md differs from the schemas");
    }
    assert_eq!(section.trim_end().lines().count(), wanted.trim_end().lines().count());
}

/// The blocks of a language in REPORTS.md.
fn blocks(language: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace().join("docs/REPORTS.md")).unwrap();
    let begin = format!("```{language}\n");
    let blocks = text.split(&begin).skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// Every command of REPORTS.md is done in the store of the demo, and every SQL question of it has an answer there.
#[test]
fn the_examples_of_the_document_run() {
    let sandbox = Sandbox::empty();
    sandbox.run(["demo", "."]).done();
    let commands: Vec<String> = blocks("console").iter().flat_map(|block| block.lines()).map(str::to_owned).collect();
    let mut done = 0;
    for command in commands.iter().filter_map(|line| line.strip_prefix("$ lineage ")) {
        let words = command.split('"').enumerate().flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        sandbox.run(words).done();
        done += 1;
    }
    let questions = blocks("sql");
    assert!(done >= 3 && questions.len() >= 2, "{done} commands, {} questions", questions.len());
    let Some(python) = python() else { return };
    let mut answered = 0;
    for question in questions {
        let run = "import sys, duckdb; print(len(duckdb.execute(sys.argv[1]).fetchall()))";
        let ran = Command::new(&python).args(["-c", run, &question]).current_dir(sandbox.path()).output().unwrap();
        assert!(ran.status.success(), "{question}{}", String::from_utf8_lossy(&ran.stderr));
        answered += String::from_utf8_lossy(&ran.stdout).trim().parse::<usize>().unwrap();
    }
    // What is live in the demo is audited, so that the gate rightly finds nothing.
    assert!(answered > 0);
}

#[test]
fn tables_are_well_formed() {
    let mut names = BTreeSet::new();
    for table in tables::ALL {
        assert!(names.insert(table.name), "{} twice", table.name);
        let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        assert_eq!(columns.iter().collect::<BTreeSet<_>>().len(), columns.len(), "{}: a column twice", table.name);
        assert!(table.sorted_by.iter().all(|name| columns.contains(name)), "{}", table.name);
        assert!(table.columns.iter().all(|column| !column.about.is_empty()));
    }
}

/// A Python with pyarrow, duckdb and pandas: named by `LINEAGE_PACKS_PYTHON`, else made by `.ci/run`.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("LINEAGE_PACKS_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| workspace().join("target/packs/bin/python"));
    if python.exists() {
        return Some(python);
    }
    skipped(&format!("packs in pyarrow, DuckDB and pandas: {} is not there; .ci/run makes it", python.display()));
    None
}

#[test]
fn packs_are_right_in_other_programs() {
    let Some(python) = python() else { return };
    let sandbox = store();
    for (n, words) in REPORTS.iter().enumerate() {
        report(&sandbox, words, &format!("pack{n}"));
    }
    report(&sandbox, &["full", "--partition", "day"], "days");
    report(&sandbox, &["full", "--since", "20"], "new");
    let binary = sandbox.command(["--version"]);
    let ran = Command::new(python)
        .arg(workspace().join("tests/it/reports/check.py"))
        .arg(binary.get_program())
        .arg(sandbox.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("12 questions"), "{said}");
}
