//! The examples of the language, each with its answer on one history.

use std::path::Path;

use lineage_query::syntax::{parse, print_english, print_terse};

use super::ask::whole_events;
use super::fixture::{Block, read};
use super::{check, check_known};
use crate::histories::play::{Play, play, send};

/// How many examples the language has.
const EXAMPLES: usize = 59;

/// It parses, and both spellings of it are the same tree.
fn check_spellings(block: &Block) -> Result<(), String> {
    let text = &block.question.text;
    let statement = parse(text).map_err(|errors| format!("{}: {text}: {}", block.line, errors[0].message))?;
    for printed in [print_english(&statement), print_terse(&statement)] {
        let again = parse(&printed).map_err(|errors| format!("{}: {printed}: {}", block.line, errors[0].message))?;
        if again != statement {
            return Err(format!("{}: {text} is printed as {printed}", block.line));
        }
    }
    Ok(())
}

#[test]
fn every_example_answers_as_it_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/examples/examples.txt");
    let fixture = read(&path);
    let folder = tempfile::tempdir().expect("a folder");
    let (store, refused) = play(folder.path(), &fixture.sent, Play::Plain);
    let mut wrong = refused;
    let (view, events) = (store.view().expect("a view"), whole_events(&store));
    for block in &fixture.blocks {
        wrong.extend(check_spellings(block).err());
        wrong.extend(check(&view, &events, &fixture, block).err());
    }
    wrong.extend(send(&store, &super::fixture::later(), 1));
    let views = [view, store.view().expect("a view")];
    wrong.extend(fixture.blocks.iter().filter_map(|block| check_known(&views, &events, &fixture, block).err()));
    assert!(wrong.is_empty(), "{} of {} examples differ\n\n{}", wrong.len(), fixture.blocks.len(), wrong.join("\n"));
}

/// None of the numbers is left out.
#[test]
fn every_example_is_there() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/examples/examples.txt");
    let text = std::fs::read_to_string(path).expect("the examples");
    let numbered = |number: &usize| text.lines().any(|line| line.starts_with(&format!("# {number}. ")));
    let missing: Vec<usize> = (1..=EXAMPLES).filter(|number| !numbered(number)).collect();
    assert!(missing.is_empty(), "no example {missing:?}");
}
