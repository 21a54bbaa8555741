//! Evidence at the sizes of every change; `cargo run --release -p lineage-tests --bin evidence` runs it in full.

use lineage_tests::evidence::{agree, flips, forge, log, python, rewrite, vectors};
use lineage_tests::sandbox::Sandbox;
use lineage_tests::walk;

#[test]
fn three_implementations_agree_on_all_pairs() {
    assert_eq!(agree::all_pairs(80, python::is_here()), 80 * 81);
}

#[test]
fn no_forgery_is_accepted() {
    let tried = forge::forge(20_000, 1);
    assert!(tried.forged >= 20_000);
    assert_eq!(tried.accepted, 0, "of {}", tried.forged);
}

#[test]
fn rewriting_with_the_real_key_diverges_from_a_newer_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(rewrite::rewrites(folder.path(), 51, 1), Vec::<String>::new());
}

#[test]
fn honest_appends_raise_no_alarm() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(rewrite::honest(folder.path(), 300, 20), 0);
}

#[test]
fn a_tile_that_has_become_full_without_a_checkpoint_is_no_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = log::create(folder.path());
    log::add(&store, 0, 1, "");
    log::sign(&store);
    log::add(&store, 1, 299, "");
    let root = store.layout().root().to_owned();
    drop(store);
    let checked = log::check(&root, &[]).expect("a check");
    assert!(checked.is_good(), "{checked:?}");
}

#[test]
fn flipped_bits_and_cut_files_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = log::closed(folder.path(), 200);
    let tried = flips::bits(&root, 997, 1);
    assert!(tried.damages > 500, "{}", tried.damages);
    assert_eq!(tried.missed, Vec::<String>::new());
    assert_eq!(flips::cuts(&root, 499).missed, Vec::<String>::new());
}

#[test]
fn rearranged_events_and_missing_files_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = log::closed(folder.path(), 60);
    let tried = flips::rearranged(&root);
    assert!(tried.damages > 200, "{}", tried.damages);
    assert_eq!(tried.missed, Vec::<String>::new());
}

/// The second verifier on every vector in one process: an exit code on each line.
const EACH: &str = "
import contextlib, io, sys, verify
key, witness, *files = sys.stdin.read().splitlines()
for file in files:
    with contextlib.redirect_stdout(io.StringIO()):
        code = verify.main([file, '--key', key, '--witness-key', witness])
    print(code)
";

#[test]
fn both_verifiers_agree_on_every_vector() {
    let folder = vectors::folder();
    let (key, witness) = (folder.join("log.vkey"), folder.join("witness.vkey"));
    let mut files = Vec::new();
    for (sort, expected, least) in [("good", 0, 6), ("bad", 4, 53)] {
        let found = walk::files(&folder.join(sort));
        assert!(found.len() >= least, "{} vectors in {sort}", found.len());
        files.extend(found.into_iter().map(|file| (file, expected)));
    }
    let sandbox = Sandbox::empty();
    for (file, expected) in &files {
        let arguments = ["verify".as_ref(), file.as_path(), "--key".as_ref(), &key, "--witness-key".as_ref(), &witness];
        sandbox.run(arguments).code(*expected);
    }
    if python::is_here() {
        let named = [&key, &witness].into_iter().chain(files.iter().map(|(file, _)| file));
        let input = named.map(|path| path.display().to_string()).collect::<Vec<_>>().join("\n");
        let output = python::script(EACH, input.as_bytes());
        let said = python::text(&output);
        let codes: Vec<i32> = said.lines().filter_map(|line| line.parse().ok()).collect();
        assert_eq!(codes.len(), files.len(), "{said}");
        for ((file, expected), code) in files.iter().zip(codes) {
            assert_eq!(code, *expected, "{} in Python", file.display());
        }
    }
}

#[test]
fn the_vectors_are_what_their_maker_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    vectors::write(folder.path());
    let made = walk::files(folder.path());
    assert_eq!(made.len(), walk::files(&vectors::folder()).len());
    for file in made {
        let kept = vectors::folder().join(file.strip_prefix(folder.path()).expect("inside"));
        let read = |path| std::fs::read(path).unwrap_or_default();
        assert!(read(&file) == read(&kept), "{} is not what is made now", kept.display());
    }
}

/// Writes the vectors anew, after a change of the format: `cargo test -p lineage-tests write_the_vectors -- --ignored`.
#[test]
#[ignore = "it writes the fixtures"]
fn write_the_vectors() {
    vectors::write(&vectors::folder());
}
