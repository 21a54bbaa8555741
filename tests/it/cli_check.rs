//! `lineage check`: files of questions as gates, their reports, and their exit codes.

use lineage_tests::sandbox::{Ran, Sandbox};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for bytes in ["one", "two"] {
        sandbox.write("m.pkl", bytes);
        sandbox.run(["add", "model", "churn", "m.pkl"]).done();
    }
    sandbox.write(
        "good.lq",
        "# Two versions.\n# expect: 2\nmodels\n\n# name: few\n# expect: <=1\n# param: t=gold\nmodels\n  tagged :t\n",
    );
    sandbox.write("unmet.lq", "# name: no models at all\n# expect: none\nmodels\n");
    sandbox.write("name.lq", "# expect: none\nmodels trained on dataset nosuch\n");
    sandbox.write("budget.lq", "# expect: none\nmodels where name = churn and name = churn and name = churn\n");
    sandbox.write("syntax.lq", "# expect: none\nmodels traind on x\n");
    sandbox.write("nothing.lq", "models\n");
    sandbox
}

fn check(sandbox: &Sandbox, files: &[&str]) -> Ran {
    sandbox.run(["check", "--budget-steps", "5"].iter().chain(files))
}

#[test]
fn verdicts_are_told_as_tap() {
    let sandbox = sandbox();
    assert_eq!(
        check(&sandbox, &["good.lq"]).done(),
        "TAP version 14\n1..2\nok 1 - good.lq:3 models\nok 2 - good.lq:8 few\n"
    );
    let ran = check(&sandbox, &["unmet.lq", "syntax.lq"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (
            2,
            "TAP version 14\n1..2\nnot ok 1 - unmet.lq:3 no models at all\n  ---\n  message: \"expected no row, found 2 rows\"\n  \
             severity: fail\n  exit: 1\n  first_rows:\n    - \"model churn@v1\"\n    - \"model churn@v2\"\n  ...\n\
             not ok 2 - syntax.lq:2 models traind on x\n  ---\n  message: \"E0102: expected `where`, a clause, `and`, a set \
             operator or the end after `models`, found `traind`\"\n  severity: error\n  exit: 2\n  fixes:\n    - \"models \
             trained on x\"\n  ...\n"
        )
    );
}

#[test]
fn the_exit_code_is_the_gravest() {
    let sandbox = sandbox();
    // Each file by itself, then each with all that are less grave, in both orders.
    let order = [("syntax.lq", 2), ("name.lq", 3), ("budget.lq", 5), ("unmet.lq", 1), ("good.lq", 0)];
    for (at, (file, code)) in order.iter().enumerate() {
        check(&sandbox, &[file]).code(*code);
        let mut files: Vec<&str> = order[at..].iter().map(|(file, _)| *file).collect();
        check(&sandbox, &files).code(*code);
        files.reverse();
        check(&sandbox, &files).code(*code);
    }
    check(&sandbox, &["nothing.lq"]).code(2);
    check(&sandbox, &["nosuch.lq", "good.lq"]).code(2);
    check(&sandbox, &["pipeline.toml"]).code(2);
    assert!(check(&sandbox, &["nothing.lq"]).stdout.contains("# expect: none"));
}

#[test]
fn a_gate_is_not_passed_by_half_an_answer() {
    let sandbox = sandbox();
    let ran = check(&sandbox, &["budget.lq", "--partial"]);
    assert!(ran.code == 5 && ran.stdout.contains("not complete"), "{ran}");
    let args = ["query", "models", "--timeout", "0s", "--partial", "--expect", "none"];
    sandbox.run(args).code(5);
}

#[test]
fn verdicts_are_told_in_other_forms() {
    let sandbox = sandbox();
    let told = |form: &str| sandbox.run(["check", "--output", form, "good.lq", "unmet.lq", "name.lq"]);
    let xml = told("junit").stdout;
    assert!(xml.contains("tests=\"4\" failures=\"1\" errors=\"1\""), "{xml}");
    assert!(
        xml.contains("<failure message=\"expected no row, found 2 rows\">model churn@v1\nmodel churn@v2</failure>"),
        "{xml}"
    );
    assert_eq!(xml.matches("<testcase ").count(), 4);
    let sarif = told("sarif").json();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert_eq!(results[1]["locations"][0]["physicalLocation"]["region"]["startLine"], 2);
    let json = told("json").json();
    let exits: Vec<_> =
        json["checks"].as_array().unwrap().iter().map(|check| check["exit"].as_u64().unwrap()).collect();
    assert_eq!(exits, [0, 0, 1, 3]);
}
