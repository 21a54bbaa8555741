//! The examples of RUNNER.md, run: each command says what the document shows.

use lineage_tests::document;
use lineage_tests::sandbox::Sandbox;

#[test]
fn the_document_says_what_happens() {
    if !cfg!(target_os = "linux") {
        return lineage_tests::skipped("the examples of RUNNER.md: commands are observed on Linux only");
    }
    let sandbox = Sandbox::new();
    let (wrong, n) = document::run("docs/RUNNER.md", sandbox.path());
    assert!(n > 8, "the examples are not found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
