//! The examples of QUERY.md, run: those of the tutorial answer in the store of the demo, and shown output is what comes.

use std::fs;

use lineage_tests::sandbox::{Ran, Sandbox};
use lineage_tests::workspace;

/// One example.
enum Example {
    /// A question.
    Ask(String),
    /// What the question before it prints.
    Printed(String),
    /// A command line and what it prints.
    Ran(String, String),
}

/// The parts of the document, in its order.
const PARTS: [&str; 3] = ["## Tutorial", "## Reference", "### Not built yet"];

fn document() -> String {
    fs::read_to_string(workspace().join("docs/QUERY.md")).expect("QUERY.md")
}

/// The examples of each part of the document, with their lines.
fn examples() -> [Vec<(usize, Example)>; 3] {
    let text = document();
    let mut parts = [const { Vec::new() }; 3];
    let (mut language, mut block, mut part) = (None, String::new(), 0);
    for (number, line) in (1..).zip(text.lines()) {
        part = PARTS.iter().position(|heading| line.starts_with(heading)).unwrap_or(part);
        let list: &mut Vec<_> = &mut parts[part];
        match (line.strip_prefix("```"), language.take()) {
            (Some(word), None) => {
                language = Some(word.to_owned());
                block.clear();
            }
            (Some(_), Some(word)) => match (word.as_str(), block.strip_prefix("$ ")) {
                ("lq", _) => list.extend(block.lines().map(|q| (number, Example::Ask(q.to_owned())))),
                ("text", Some(shown)) => {
                    let (command, output) = shown.split_once('\n').unwrap_or((shown, ""));
                    list.push((number, Example::Ran(command.to_owned(), output.to_owned())));
                }
                ("text", None) => list.push((number, Example::Printed(block.clone()))),
                _ => {}
            },
            (None, Some(word)) => {
                block.extend([line, "\n"]);
                language = Some(word);
            }
            (None, None) => {}
        }
    }
    parts
}

/// The words of a command line; double quotes hold blanks.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in command.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn demo() -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.run(["demo", "."]).done();
    sandbox
}

/// Runs what stands in the text; what comes differently. `fits` judges the codes of questions.
fn follow(sandbox: &Sandbox, examples: &[(usize, Example)], fits: fn(&Ran) -> bool) -> Vec<String> {
    let (mut wrong, mut last) = (Vec::new(), String::new());
    for (line, example) in examples {
        match example {
            Example::Ask(question) => {
                let ran = sandbox.run(["query", question]);
                last.clone_from(&ran.stdout);
                if !fits(&ran) {
                    wrong.push(format!("line {line}: {ran}"));
                }
            }
            Example::Printed(shown) if *shown != last => {
                wrong.push(format!("line {line}: shown\n{shown}printed\n{last}"));
            }
            Example::Printed(_) => {}
            Example::Ran(command, shown) => {
                let ran = sandbox.run(words(command).iter().skip(1));
                let said = format!("{}{}", ran.stdout, ran.stderr);
                if said.trim_end() != shown.trim_end() {
                    wrong.push(format!("line {line}: {command}\nshown\n{shown}printed\n{said}"));
                }
            }
        }
    }
    wrong
}

#[test]
fn the_tutorial_can_be_followed() {
    let [tutorial, reference, unbuilt] = examples();
    assert!(tutorial.len() > 40 && reference.len() > 20, "{} and {} examples", tutorial.len(), reference.len());
    let sandbox = demo();
    let mut wrong = follow(&sandbox, &tutorial, |ran| ran.code == 0);
    // The reference names things that the demo has not, and parameters; nothing else keeps it from answering.
    wrong.extend(follow(&sandbox, &reference, |ran| matches!(ran.code, 0 | 3) || ran.stderr.contains("[E0305]")));
    wrong.extend(follow(&sandbox, &unbuilt, |ran| ran.stderr.contains("[E0199]")));
    assert!(wrong.is_empty(), "{} examples\n\n{}", wrong.len(), wrong.join("\n\n"));
}

/// A question for each error of the table in QUERY.md, but for those that need more than a question.
const ERRORS: [(&str, &str); 28] = [
    ("E0101", "models where name = 'x"),
    ("E0102", "models trained in dataset x"),
    ("E0103", "models trained on deployed"),
    ("E0104", "models where owner == ana"),
    ("E0105", "models limit 3 limit 4"),
    ("E0106", "models | datasets ~ model x"),
    ("E0107", "models trained on datasets tagged pii where loss > 0.9"),
    ("E0108", "datasets deployed to prod"),
    ("E0109", "models where trained on datasets tagged pii"),
    ("E0110", "models trained on x and y"),
    ("E0111", "models directly tagged pii"),
    ("E0112", "models & with()"),
    ("E0113", "models trained on all of (datasets tagged a)"),
    ("E0115", "count models show owner"),
    ("E0201", "models trained on dataset nosuch"),
    ("E0204", "model churn@v99"),
    ("E0301", "models where nosuch > 1"),
    ("E0303", "models where created = 'x'"),
    ("E0304", "models live in model churn"),
    ("E0305", "models where owner = :x"),
    ("E0401", "models as of 2100-01-01"),
    ("E0402", "audits between 2026-02-01 and 2026-01-01"),
    ("E0403", "models known at log 99999"),
    ("E0404", "models as of 0001-01-01"),
    ("E0306", "models --param x=1"),
    ("E0501", "events --max-rows 1"),
    ("E0502", "datasets upstream of model churn --budget-steps 1"),
    ("E0503", "models --timeout 0s"),
];

/// Property 11: each error ends with the exit code that the table says.
#[test]
fn errors_have_the_exit_codes_of_their_table() {
    let text = document();
    let sandbox = demo();
    for (code, question) in ERRORS {
        let row = text.lines().find(|line| line.starts_with(&format!("| {code} |")));
        let row = row.unwrap_or_else(|| panic!("{code} is not in the table"));
        let exit = row.trim_end_matches([' ', '|']).rsplit(' ').next().and_then(|exit| exit.parse().ok());
        let (question, flags) = question.split_once(" --").unwrap_or((question, ""));
        let flags: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
        let flags = flags.iter().enumerate().map(|(at, flag)| if at == 0 { format!("--{flag}") } else { flag.clone() });
        let ran =
            sandbox.run(["--json", "query"].map(str::to_owned).into_iter().chain(flags).chain([question.to_owned()]));
        assert_eq!((ran.json()["errors"][0]["code"].as_str(), Some(ran.code)), (Some(code), exit), "{question}: {ran}");
    }
}
