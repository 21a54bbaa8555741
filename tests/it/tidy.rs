//! Order in the workspace: its top level, who depends on whom, where outside crates live, and that the documents are true.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lineage_tests::{walk, workspace};

/// The crates of the workspace, with the crates of ours that each may depend on.
const CRATES: [(&str, &str, &[&str]); 5] = [
    ("store", "lineage-store", &[]),
    ("query", "lineage-query", &["lineage-store"]),
    ("ingest", "lineage-ingest", &["lineage-store"]),
    ("cli", "lineage", &["lineage-store", "lineage-query", "lineage-ingest"]),
    ("tests", "lineage-tests", &["lineage-store", "lineage-query", "lineage-ingest"]),
];

/// Outside crates and the one place where each is used. Tests may use any.
const HOMES: &[(&str, &[&str])] = &[
    ("anyhow", &["cli/"]),
    ("arrow", &["query/src/"]),
    ("axum", &["cli/src/serve/"]),
    ("bytemuck", &["store/src/graph/"]),
    ("chacha20poly1305", &["store/src/erasure/cipher.rs"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("crc32c", &["store/src/journal/", "store/src/graph/"]),
    ("cronexpr", &["ingest/src/pipeline/schedule.rs"]),
    ("ct_merkle", &["tests/src/evidence/agree.rs"]),
    ("ed25519_dalek", &["store/src/proof/key.rs"]),
    ("flate2", &["cli/src/serve/", "cli/src/commands/verify/pack.rs", "query/src/report/log.rs"]),
    ("http_body_util", &["cli/src/serve/"]),
    ("hyper", &["cli/src/serve/"]),
    ("hyper_util", &["cli/src/serve/"]),
    ("indicatif", &["cli/"]),
    ("jiff", &["store/src/time.rs", "query/src/engine/clock.rs", "cli/src/context.rs"]),
    ("libc", &["ingest/src/capture/"]),
    ("memmap2", &["store/src/graph/mapped.rs"]),
    ("miette", &["cli/"]),
    ("mimalloc", &["cli/src/main.rs", "tests/"]),
    ("nom", &["query/src/syntax/"]),
    ("parquet", &["query/src/output/parquet.rs"]),
    ("proptest", &[]),
    ("rusqlite", &["ingest/src/mlflow/import/database/"]),
    (
        "rustix",
        &[
            "store/src/artifact/",
            "store/src/background.rs",
            "store/src/journal/medium.rs",
            "store/src/proof/tiles.rs",
            "ingest/src/capture/",
            "ingest/src/run/",
            "cli/",
        ],
    ),
    ("sha2", &["store/src/digest.rs"]),
    ("signal_hook", &["cli/src/signals.rs"]),
    ("sled", &["store/src/event_store.rs", "store/src/event_store/"]),
    ("strsim", &["ingest/src/pipeline/problem.rs"]),
    ("tempfile", &["cli/src/commands/verify/rows.rs"]),
    ("tokio", &["cli/src/serve/"]),
    ("tokio_rustls", &["cli/src/serve/"]),
    ("toml", &["cli/src/config.rs", "ingest/src/pipeline/"]),
    ("unicode_width", &["query/src/output/"]),
    ("ureq", &["cli/src/http.rs"]),
    ("zstd", &["store/src/journal/", "ingest/src/run/log/"]),
];

/// Outside crates that have no one home: the vocabulary of the whole workspace, or of one crate.
const EVERYWHERE: [&str; 8] =
    ["blake3", "bytes", "foldhash", "serde", "serde_json", "serde_path_to_error", "thiserror", "unicode_segmentation"];

/// What the top level holds, beside what git ignores.
const TOP: [&str; 13] = [
    ".ci",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "cli",
    "docs",
    "ingest",
    "query",
    "rustfmt.toml",
    "store",
    "tests",
];

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The source files by their path in the workspace, without the scratch folder of examples.
fn sources() -> Vec<(String, String)> {
    let root = workspace();
    let mut found = Vec::new();
    for (folder, ..) in CRATES {
        for path in walk::files_ending(&root.join(folder), ".rs") {
            let name = path.strip_prefix(&root).expect("inside").to_string_lossy().into_owned();
            if !name.starts_with("tests/examples/") && !name.starts_with("tests/fuzz/") {
                let text = fs::read_to_string(&path).expect("text");
                found.push((name, text));
            }
        }
    }
    assert!(found.len() > 100, "the sources are not found");
    found
}

/// Whether a file holds only tests.
fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.starts_with("tests/")
        || name.ends_with("tests.rs")
        || matches!(name, "faults.rs" | "power_loss.rs" | "acceptance.rs")
}

/// Fails with everything that is wrong, not with the first of it.
#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}

#[test]
fn the_top_level_is_fixed() {
    let ignored = [".git", "target", ".lineage"];
    let mut found: Vec<String> = fs::read_dir(workspace())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !ignored.contains(&name.as_str()))
        .collect();
    found.sort();
    assert_eq!(found, TOP);
}

/// The dependencies of a manifest: of the program, and of its tests.
fn dependencies(folder: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut normal, mut dev, mut section) = (BTreeSet::new(), BTreeSet::new(), String::new());
    for line in read(&format!("{folder}/Cargo.toml")).lines() {
        if line.starts_with('[') {
            line.trim_matches(['[', ']']).clone_into(&mut section);
        } else if let Some((name, _)) = line.split_once(['.', '=', ' ']) {
            match section.as_str() {
                "dependencies" => drop(normal.insert(name.to_owned())),
                "dev-dependencies" => drop(dev.insert(name.to_owned())),
                _ => {}
            }
        }
    }
    assert!(!normal.is_empty(), "{folder} has no dependencies");
    (normal, dev)
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for (folder, name, allowed) in CRATES {
        assert!(read(&format!("{folder}/Cargo.toml")).contains(&format!("name = \"{name}\"")), "{folder}");
        let (normal, dev) = dependencies(folder);
        for dependency in normal.iter().chain(&dev).filter(|d| d.starts_with("lineage")) {
            if !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("{folder} must not depend on {dependency}"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn outside_crates_live_at_home() {
    let sources = sources();
    let mut wrong = Vec::new();
    for (krate, homes) in HOMES {
        for (path, text) in &sources {
            let at_home = homes.iter().any(|home| path.starts_with(home));
            if !at_home && !is_test(path) && uses(program(text), krate) {
                wrong.push(format!("{path} uses {krate}, which lives in {homes:?}"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn only_the_router_adds_routes() {
    let home = "cli/src/serve/router.rs";
    let adds = |text: &str| code(text).any(|line| line.contains(".route(") || line.contains("routing::"));
    let sources = sources();
    let wrong = sources.iter().filter(|(path, text)| path.starts_with("cli/") && path != home && adds(text));
    none(&wrong.map(|(path, _)| format!("{path} adds a route without a rule")).collect::<Vec<_>>());
    assert!(adds(&read(home)), "the check sees what it looks for");
}

#[test]
fn every_dependency_has_a_home_and_a_use() {
    let sources = sources();
    let mut wrong = Vec::new();
    for (folder, ..) in CRATES {
        let (normal, dev) = dependencies(folder);
        for dependency in normal.union(&dev).map(|d| d.replace('-', "_")) {
            let known = HOMES.iter().any(|(krate, _)| *krate == dependency) || EVERYWHERE.contains(&&*dependency);
            if !known && !dependency.starts_with("lineage") {
                wrong.push(format!("{dependency} has no home; give it one in tests/it/tidy.rs"));
            }
            if !sources
                .iter()
                .any(|(path, text)| path.starts_with(&format!("{folder}/")) && mentions(text, &dependency))
            {
                wrong.push(format!("{folder} does not use its dependency {dependency}"));
            }
        }
    }
    none(&wrong);
}

/// A file without the tests at its foot.
fn program(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// Whether code names a crate; a module of the same name in this file stands before it.
fn uses(text: &str, krate: &str) -> bool {
    let shadowed = code(text).any(|line| line.trim_start_matches("pub ").starts_with(&format!("mod {krate};")));
    code(text).any(|line| {
        line.match_indices(&format!("{krate}::")).any(|(at, _)| {
            let before = &line[..at];
            let absolute = before.ends_with("::")
                && !before.trim_end_matches("::").ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let relative = !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':'));
            absolute || relative && !shadowed
        })
    })
}

/// Whether code mentions a crate in any way, also as an attribute or a derive.
fn mentions(text: &str, krate: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code(text).any(|line| {
        line.match_indices(krate)
            .any(|(at, _)| !line[..at].ends_with(is_word) && !line[at + krate.len()..].starts_with(is_word))
    })
}

/// Lines without comments and without what is in quotes.
fn code(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().map(|line| {
        let parts = line.split('"').enumerate().filter(|(i, _)| i % 2 == 0).map(|(_, part)| part);
        let line = parts.collect::<Vec<_>>().join("\"\"");
        line.split("//").next().unwrap_or_default().trim().to_owned()
    })
}

#[test]
fn every_file_says_what_it_is() {
    let sources = sources();
    none(
        &sources
            .iter()
            .filter(|(_, text)| !text.starts_with("//! "))
            .map(|(path, _)| format!("{path} does not open with `//!`"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn unsafe_code_is_in_two_files() {
    let homes = ["store/src/graph/mapped.rs", "ingest/src/capture/kernel.rs"];
    let is_unsafe = |text: &str| {
        code(text).any(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe"))
    };
    let sources = sources();
    let wrong = sources.iter().filter(|(path, text)| !homes.contains(&path.as_str()) && is_unsafe(text));
    none(&wrong.map(|(path, _)| format!("{path} has unsafe code")).collect::<Vec<_>>());
    assert!(homes.iter().all(|home| is_unsafe(&read(home))), "the check sees what it looks for");
}

/// The paths of the code map: lines such as "- `store/src/lib.rs`: …".
fn code_map() -> BTreeSet<String> {
    let text = read("docs/ARCHITECTURE.md");
    let entry = |line: &str| Some(line.trim_start().strip_prefix("- `")?.split_once("`:")?.0.to_owned());
    text.lines().filter_map(entry).filter(|path| path.contains('/') || Path::new(path).extension().is_some()).collect()
}

#[test]
fn the_code_map_is_complete() {
    let map = code_map();
    let mut wrong: Vec<String> = Vec::new();
    for (path, _) in sources() {
        if !map.contains(&path) {
            wrong.push(format!("{path} is not in the code map of docs/ARCHITECTURE.md"));
        }
    }
    for path in &map {
        if !workspace().join(path).exists() {
            wrong.push(format!("docs/ARCHITECTURE.md lists {path}, which is not there"));
        }
    }
    none(&wrong);
}

#[test]
fn every_event_kind_is_documented() {
    let text = read("docs/EVENTS.md");
    let kinds = lineage_store::event::Kind::ALL.iter().map(|kind| kind.as_str());
    none(
        &kinds
            .filter(|kind| !text.contains(&format!("`{kind}`")))
            .map(|k| format!("docs/EVENTS.md: `{k}`"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_reserved_word_is_documented() {
    let text = read("docs/QUERY.md");
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').collect();
    let missing = lineage_query::syntax::RESERVED.iter().filter(|word| !words.contains(**word));
    none(&missing.map(|word| format!("docs/QUERY.md: `{word}`")).collect::<Vec<_>>());
}

/// The Markdown files of the workspace.
fn documents() -> Vec<PathBuf> {
    let root = workspace();
    let mut found = walk::files_ending(&root.join("docs"), ".md");
    found.push(root.join("README.md"));
    found
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for target in links(&text) {
            let file = target.split('#').next().unwrap_or_default();
            let there = path.parent().expect("a folder").join(file);
            if !file.is_empty() && !there.exists() {
                wrong.push(format!("{}: {target}", path.display()));
            }
            let anchor = target.split_once('#').map(|(_, anchor)| anchor);
            let other = if file.is_empty() { path.clone() } else { there };
            if let Some(anchor) = anchor
                && other.extension().is_some_and(|e| e == "md")
                && !anchors(&fs::read_to_string(&other).unwrap_or_default()).contains(anchor)
            {
                wrong.push(format!("{}: {target}: no such heading", path.display()));
            }
        }
    }
    none(&wrong);
}

/// The relative targets of links, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        let plain: String = line.split('`').enumerate().filter(|(i, _)| i % 2 == 0).map(|(_, part)| part).collect();
        if in_code {
            continue;
        }
        for (at, _) in plain.match_indices("](") {
            let target = plain[at + 2..].split([')', ' ']).next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") {
                found.push(target.to_owned());
            }
        }
    }
    found
}

/// The anchors that headings have on the usual hosts.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let text = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        text.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    };
    headings.map(anchor).collect()
}
