//! From a wrong first guess to the right question: by pasting what the error messages offer, in at most two steps.

use std::fs;
use std::path::Path;

use lineage_tests::sandbox::{Ran, Sandbox};

/// One guess of `fixtures/first-guesses.txt`.
#[derive(Default)]
struct Guess {
    line: usize,
    typed: String,
    pasted: Vec<String>,
    answer: String,
}

/// The events and the guesses.
fn read() -> (String, Vec<Guess>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/first-guesses.txt");
    let text = fs::read_to_string(path).expect("the guesses");
    let (mut events, mut guesses) = (String::new(), Vec::<Guess>::new());
    for (line, text) in (1..).zip(text.lines()) {
        match (text.split_at_checked(2), guesses.last_mut()) {
            _ if text.starts_with('{') => events.extend([text, "\n"]),
            (Some(("? ", typed)), _) => guesses.push(Guess { line, typed: typed.to_owned(), ..Guess::default() }),
            (Some(("> ", next)), Some(guess)) => guess.pasted.push(next.to_owned()),
            (Some((": ", answer)), Some(guess)) => answer.clone_into(&mut guess.answer),
            _ => assert!(text.is_empty() || text.starts_with('#'), "line {line}: {text}"),
        }
    }
    (events, guesses)
}

/// Asks as it was typed: what follows ` --` are flags.
fn ask(sandbox: &Sandbox, typed: &str) -> Ran {
    let (question, flags) = typed.split_once(" --").unwrap_or((typed, ""));
    let flags =
        flags.split_whitespace().enumerate().map(|(at, flag)| format!("{}{flag}", if at == 0 { "--" } else { "" }));
    sandbox.run(["--json", "query"].map(str::to_owned).into_iter().chain(flags).chain([question.to_owned()]))
}

/// The questions that an error message offers.
fn offered(told: &Ran) -> Vec<String> {
    let errors = told.json()["errors"].as_array().cloned().unwrap_or_default();
    let fixes = errors.iter().flat_map(|error| error["fixes"].as_array().cloned().unwrap_or_default());
    fixes.filter_map(|fix| fix.as_str().map(str::to_owned)).collect()
}

/// The names of an answer, or the number that it is.
fn names(answer: &Ran) -> String {
    let rows = answer.json()["rows"].as_array().cloned().expect("rows");
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut names: Vec<String> = rows
        .iter()
        .map(|row| match (row.get("name"), row.get("owner")) {
            (Some(name), _) => text(name),
            (None, Some(owner)) => {
                if owner.is_null() {
                    "-".to_owned()
                } else {
                    text(owner)
                }
            }
            (None, None) => format!("count={}", text(&row["count"])),
        })
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() { "nothing".to_owned() } else { names.join(" ") }
}

/// Follows the error messages; what went wrong, if something did.
fn follow(sandbox: &Sandbox, guess: &Guess) -> Option<String> {
    let mut told = ask(sandbox, &guess.typed);
    for next in &guess.pasted {
        let question = next.split(" --").next().unwrap_or(next);
        let fixes = offered(&told);
        if told.code == 0 || !fixes.iter().any(|fix| fix == question) {
            return Some(format!("`{next}` is not offered, but {fixes:#?}\n{told}"));
        }
        told = ask(sandbox, next);
    }
    match told.code {
        0 if names(&told) == guess.answer => None,
        0 => Some(format!("the answer is `{}`", names(&told))),
        _ => Some(format!("no answer; offered are {:#?}\n{told}", offered(&told))),
    }
}

#[test]
fn wrong_first_guesses_lead_to_the_right_question() {
    let (events, guesses) = read();
    assert!(guesses.len() >= 20, "only {} guesses", guesses.len());
    let sandbox = Sandbox::new();
    sandbox.ingest(&events);
    let mut wrong = Vec::new();
    for guess in &guesses {
        assert!((1..=2).contains(&guess.pasted.len()) && !guess.answer.is_empty(), "line {}", guess.line);
        wrong.extend(follow(&sandbox, guess).map(|why| format!("line {}: {}\n{why}", guess.line, guess.typed)));
    }
    assert!(wrong.is_empty(), "{} of {} guesses\n\n{}", wrong.len(), guesses.len(), wrong.join("\n\n"));
}
