//! Properties of the language as a whole: nothing crashes it, every name can be asked for, values are never text of it.

use std::path::Path;
use std::rc::Rc;

use lineage_query::output::{Answer, Format, TableStyle, write};
use lineage_query::syntax::{self, parse, quote};
use lineage_query::{Limits, QueryError, Request, Zone, answer};
use lineage_store::event::{Event, prepare};
use lineage_store::graph::View;
use lineage_store::time::Time;
use lineage_store::{Appended, Store, StoreError};
use lineage_tests::fuzz::{Fuzz, read_corpus};
use lineage_tests::random::Random;
use serde_json::{Value, json};

/// Rounds of fuzzing in a test; more with the binary `fuzz`.
const ROUNDS: usize = 1500;

#[test]
fn mutated_questions_hold_what_every_question_holds() {
    assert!(read_corpus().len() > 200, "the corpus is not found");
    let mut fuzz = Fuzz::new(7);
    for _ in 0..ROUNDS {
        fuzz.round().unwrap_or_else(|why| panic!("{why}"));
    }
    assert!(fuzz.found.len() > ROUNDS / 10, "mutations that do nothing new find nothing");
}

fn record(store: &Store, event: &Value) {
    let text = event.to_string();
    let event = Event::parse(text.as_bytes(), "ana").unwrap_or_else(|why| panic!("{text}: {why}"));
    let prepared = prepare(event, text.as_bytes(), &[], &lineage_store::erasure::Keys::of_seed([7; 32])).unwrap();
    let appended = store.append(prepared, Time(1_800_000_000_000_000_000)).unwrap();
    assert!(appended.iter().all(|a| matches!(a, Appended::Recorded(_))), "{text}");
}

fn ask(view: &View, text: &str, params: &[(String, String)]) -> Result<Answer, QueryError> {
    let request = Request {
        text,
        params,
        now: Time(1_900_000_000_000_000_000),
        now_is_set: true,
        zone: Zone::default(),
        environments: &[],
        graph: None,
        events: Rc::new(|position| Err(StoreError::BeyondHead { position: position.into(), count: 0 })),
        head: None,
        limits: Limits::default(),
        digest_of_file: &|_| Err("no file".to_owned()),
    };
    answer(view, &request)
}

fn names(answer: &Answer) -> Vec<String> {
    let mut out = Vec::new();
    write(answer, &Format::Ndjson, &mut out, &TableStyle::default()).unwrap();
    let rows = String::from_utf8(out).unwrap();
    let name = |row: &str| serde_json::from_str::<Value>(row).unwrap()["name"].as_str().unwrap_or_default().to_owned();
    rows.lines().map(name).collect()
}

/// Names as people and tools give them, and names as nobody would.
fn awkward_names() -> Vec<String> {
    let fixed = [
        "churn-raw",
        "f1-score",
        "val/auc",
        "it's",
        "a\"b",
        "my data",
        "tagged",
        "models",
        "all",
        "v3",
        "latest",
        "2024-01",
        "s3://bucket/key=1/part-0.parquet",
        "b3:12ab",
        "a::b",
        "100%",
        "a%3A%3Ab",
        "x@v1",
        ":p",
        "$x",
        "`x`",
        "#1",
        "./f",
        "/abs",
        "été",
        "表",
        "a,b",
        "a=b",
        "(a)",
        "[a]",
        "'",
        "''",
        "\"",
        "-",
        ".",
        "a.",
        "a-",
        "1e6",
        "10MB",
        "now",
        "metric.x",
        "*",
    ];
    let mut random = Random::new(3);
    let mut names: Vec<String> = fixed.iter().map(|name| (*name).to_owned()).collect();
    for _ in 0..200 {
        let length = 1 + random.below(8);
        let letter = |random: &mut Random| {
            const MARKS: &[char] =
                &['\'', '"', ' ', '.', '/', '-', ':', '@', '%', '(', ')', '=', 'a', 'B', '7', '_', 'é', '表'];
            MARKS[random.below(MARKS.len())]
        };
        names.push((0..length).map(|_| letter(&mut random)).collect());
    }
    names.sort();
    names.dedup();
    names
}

fn store(folder: &Path) -> (Store, Vec<String>) {
    let store = Store::create(&folder.join("s"), "format = 1\n").unwrap();
    let names = awkward_names();
    for (number, name) in names.iter().enumerate() {
        let (run, model) = (format!("r{number}"), format!("m{number}"));
        record(
            &store,
            &json!({
                "v": 1, "kind": "training", "job": "j", "run": run, "metrics": { name.as_str(): number },
                "inputs": [{ "kind": "dataset", "name": name, "version": "2026" }],
                "outputs": [{ "kind": "model", "name": model }],
            }),
        );
    }
    (store, names)
}

/// Property 7: every name and attribute that the writer accepts can be asked for once it is quoted.
#[test]
fn every_name_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (store, all) = store(folder.path());
    let view = store.view().unwrap();
    for (number, name) in all.iter().enumerate() {
        let only = |text: String, wanted: &str| {
            let answer = ask(&view, &text, &[]);
            let found = names(&answer.unwrap_or_else(|error| panic!("{name:?} {text}: {:?}", error.diagnostics())));
            assert!(found.len() == 1 && found[0] == wanted, "{name:?} {text}: {found:?}");
        };
        let model = format!("m{number}");
        only(format!("dataset {}", quote(name)), name);
        only(format!("dataset {}@'2026'", quote(name)), name);
        only(format!("models trained on dataset {}", quote(name)), &model);
        only(format!("datasets where name = {}", quote(name)), name);
        let metric = format!("metric.'{}'", name.replace('\'', "''"));
        only(format!("models where {metric} = {number}"), &model);
    }
}

/// Property 9: whatever a parameter holds, the question is read the same, and the value is a value.
#[test]
fn values_are_never_text_of_the_language() {
    let folder = tempfile::tempdir().unwrap();
    let (store, all) = store(folder.path());
    let view = store.view().unwrap();
    let text = "datasets where name = :x";
    let tree = parse(text).unwrap();
    let canonical = syntax::print_english(&tree);
    let hostile = ["x' or name like '%", "x) union models", ":y", "x where latest", "", "\u{0}\n--", "not", "*"];
    for value in all.iter().map(String::as_str).chain(hostile) {
        let params = [("x".to_owned(), value.to_owned())];
        match ask(&view, text, &params) {
            Ok(answer) => {
                assert_eq!(answer.canonical, canonical, "{value:?}");
                let found = names(&answer);
                assert!(found.iter().all(|name| name == value), "{value:?} finds {found:?}");
                assert_eq!(found.len(), usize::from(all.iter().any(|name| name == value)), "{value:?}");
            }
            // A time or a number of that spelling is compared as it was written, or refused as no text.
            Err(error) => assert_eq!(error.diagnostics()[0].code, "E0303", "{value:?}"),
        }
        let named = ask(&view, "models trained on dataset :x", &params);
        match named {
            Ok(answer) => {
                assert!(answer.canonical == "models trained on dataset :x" && all.contains(&value.to_owned()));
            }
            Err(error) => assert_eq!(error.diagnostics()[0].code, "E0201", "{value:?}"),
        }
    }
}
