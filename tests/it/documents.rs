//! The examples in the documents: events are accepted or refused as they say, questions parse; and every code has its row.

use std::fs;
use std::time::Duration;

use lineage_query::syntax;
use lineage_store::event::{Event, prepare};
use lineage_store::time::Time;
use lineage_store::{Appended, Store};
use lineage_tests::{walk, workspace};
use serde_json::value::RawValue;

/// One fenced block: its language line, the line on which it begins, its text.
struct Block {
    language: String,
    line: usize,
    text: String,
}

fn blocks(document: &str) -> Vec<Block> {
    let path = workspace().join("docs").join(document);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match (line.trim().strip_prefix("```"), open.take()) {
            (Some(language), None) => {
                open = Some(Block { language: language.trim().to_owned(), line: number, text: String::new() });
            }
            (Some(_), Some(block)) => found.push(block),
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{document}: a block is not closed");
    found
}

/// Appends the events of a text, one after the other, to a store; why the first was refused that was.
fn append(store: &Store, text: &str) -> Result<usize, String> {
    let mut n = 0;
    for document in serde_json::Deserializer::from_str(text).into_iter::<Box<RawValue>>() {
        let bytes = document.map_err(|e| e.to_string())?;
        let bytes = bytes.get().as_bytes();
        let event = Event::parse(bytes, "ana").map_err(|refusal| refusal.to_string())?;
        let prepared = prepare(event, bytes, &[], &lineage_store::erasure::Keys::of_seed([7; 32]))
            .map_err(|refusal| refusal.to_string())?;
        let appended = store.append(prepared, Time(1_800_000_000_000_000_000)).map_err(|error| error.to_string())?;
        match appended.iter().find(|a| !matches!(a, Appended::Recorded(_) | Appended::Duplicate(_))) {
            Some(refused) => return Err(format!("{refused:?}")),
            None => n += 1,
        }
    }
    Ok(n)
}

#[test]
fn events_in_the_documents_are_what_they_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::create(&folder.path().join("s"), "format = 1\n").expect("a store");
    let mut accepted = 0;
    for block in blocks("EVENTS.md") {
        let place = format!("docs/EVENTS.md line {}", block.line);
        match block.language.as_str() {
            "json" => accepted += append(&store, &block.text).unwrap_or_else(|why| panic!("{place}: refused: {why}")),
            "json refused" => {
                // Each line is a document of its own: every one of them must be refused.
                for line in block.text.lines().filter(|line| !line.trim().is_empty()) {
                    assert!(append(&store, line).is_err(), "{place}: accepted: {line}");
                }
            }
            _ => {}
        }
    }
    assert!(accepted > 0, "docs/EVENTS.md has no ```json block");
    store.close(Duration::ZERO).expect("closed");
}

#[test]
fn questions_in_the_documents_parse() {
    let mut parsed = 0;
    for block in blocks("QUERY.md").into_iter().chain(blocks("../README.md")).filter(|b| b.language == "lq") {
        for statement in statements(&block.text) {
            if let Err(diagnostics) = syntax::parse(&statement) {
                let said = syntax::render_narrated(&diagnostics[0], &statement);
                panic!("docs/QUERY.md line {}: {statement}\n{said}", block.line);
            }
            parsed += 1;
        }
    }
    assert!(parsed > 0, "docs/QUERY.md has no ```lq block");
}

/// One statement a line; an indented line goes on, `#` begins a comment.
fn statements(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = if line.starts_with('#') { "" } else { line.split(" #").next().unwrap_or_default() };
        match found.last_mut() {
            Some(last) if line.starts_with(' ') && !line.trim().is_empty() => {
                last.push(' ');
                last.push_str(line.trim());
            }
            _ if line.trim().is_empty() => {}
            _ => found.push(line.trim().to_owned()),
        }
    }
    found
}

/// The codes of errors and notes in quotes, such as `"E0107"`.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').filter(|word| {
        let digits = word.get(1..).unwrap_or_default();
        let long = match word.as_bytes().first() {
            Some(b'E') => 4,
            Some(b'N' | b'W') => 2,
            _ => 0,
        };
        long > 0 && digits.len() == long && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Every code that an answer can have stands in the tables of docs/QUERY.md.
#[test]
fn codes_are_documented() {
    let document = fs::read_to_string(workspace().join("docs/QUERY.md")).expect("docs/QUERY.md");
    let mut found = 0;
    for path in walk::files_ending(&workspace().join("query/src"), ".rs") {
        let source = fs::read_to_string(&path).expect("a source file");
        for code in codes(&source) {
            assert!(document.contains(&format!("\n| {code} |")), "{code} of {} has no row", path.display());
            found += 1;
        }
    }
    assert!(found > 50, "only {found} codes were found");
}
