//! `lineage explain`: canonical spellings, resolved names and times, counts of each part, and a bound that holds.

use lineage_tests::sandbox::Sandbox;
use serde_json::Value;

const EVENTS: &str = r#"
{"v":1,"kind":"transform","time":"2026-11-01T08:00:00Z","run":"p1","inputs":[{"kind":"dataset","name":"raw","digest":"b3:1111111111111111111111111111111111111111111111111111111111111111"}],"outputs":[{"kind":"dataset","name":"train"}]}
{"v":1,"kind":"training","time":"2026-11-02T08:00:00Z","run":"t1","inputs":[{"kind":"dataset","name":"train"}],"outputs":[{"kind":"model","name":"churn"}],"metrics":{"accuracy":0.93}}
{"v":1,"kind":"training","time":"2026-11-03T08:00:00Z","run":"t2","inputs":[{"kind":"dataset","name":"train"}],"outputs":[{"kind":"model","name":"risk"}],"metrics":{"accuracy":0.71}}
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ingest(EVENTS.trim_start());
    sandbox
}

#[test]
fn an_explanation_tells_everything_that_is_meant() {
    let question = "models trained on dataset raw where accuracy > 0.9 as of 2026-11-10";
    let sandbox = sandbox();
    let told = sandbox.run(["explain", question]);
    let want = "\
read as   models trained on dataset raw where accuracy > 0.9 as of 2026-11-10
terse     models[accuracy > 0.9] & trained(on=dataset raw) as of 2026-11-10
names     `dataset raw` = 1 version, dataset raw@v1 b3:1111111111111111111111111111111111111111111111111111111111111111
times     `2026-11-10` = from 2026-11-10T00:00:00Z, before 2026-11-11T00:00:00Z
log       position 2
as of     2026-11-10T23:59:59.999999999Z
";
    assert!(told.done().starts_with(want), "{told}");
    let explained = sandbox.run(["query", &format!("explain {question}")]);
    assert_eq!(explained.done(), told.stdout, "`query` explains as well");
    let json = sandbox.run(["--json", "explain", question]).json();
    assert_eq!(json["ast"]["body"]["set"]["and"][0]["kind"]["kind"], "model");
    assert_eq!(json["names"][0]["newest"][0]["name"], "dataset raw@v1");
    assert_eq!(json["rows"], 1);
    let again = sandbox.run(["query", "--output", "json", &format!("explain {question}")]).json();
    assert_eq!((&again["plan"], &again["canonical"]), (&json["plan"], &json["canonical"]));
}

#[test]
fn parts_are_counted_one_by_one() {
    let sandbox = sandbox();
    let json = sandbox.run(["--json", "explain", "models trained on dataset raw where accuracy > 0.9"]).json();
    let plan = &json["plan"][0];
    let part = |value: &Value| (value["part"].as_str().unwrap().to_owned(), value["found"].as_u64().unwrap());
    assert_eq!(part(plan), ("models trained on dataset raw where accuracy > 0.9".to_owned(), 1));
    let parts: Vec<_> = plan["parts"].as_array().unwrap().iter().map(part).collect();
    let want = [("models", 2), ("trained on dataset raw", 2), ("accuracy > 0.9", 1)];
    // The metric belongs to the training as well as to what it made.
    let want: Vec<_> = want.iter().map(|(text, found)| ((*text).to_owned(), *found)).collect();
    assert_eq!(parts[..2], want[..2]);
    assert_eq!(parts[2].0, want[2].0);
    assert_eq!(part(&plan["parts"][1]["parts"][0]), ("dataset raw".to_owned(), 1));
}

/// Whether every part finds at most what it may.
fn holds(operator: &Value) -> bool {
    operator["found"].as_u64() <= operator["at_most"].as_u64()
        && operator["parts"].as_array().is_some_and(|parts| parts.iter().all(holds))
}

#[test]
fn bounds_hold() {
    let sandbox = sandbox();
    for question in [
        "models",
        "model churn",
        "events in last 30 days",
        "datasets upstream of every (models)",
        "models trained on only (datasets) where accuracy > 0.8 or not has accuracy",
        "models trained on all of (raw, train)",
        "(models as of 2026-11-02) except (models where name = risk)",
        "trainings using (datasets) ~ producing(model churn)",
        "models without an audit, not tagged gold",
        "count datasets downstream of raw avoiding (model churn) per name",
        "path from dataset raw to model churn",
        "dataset raw::model churn",
    ] {
        let json = sandbox.run(["--json", "explain", question]).json();
        let plan = json["plan"].as_array().unwrap_or_else(|| panic!("{question}: {json}"));
        assert!(!plan.is_empty() && plan.iter().all(holds), "{question}: {json}");
        assert!(json["steps"].as_u64() <= json["steps_at_most"].as_u64(), "{question}: {json}");
        let steps = json["steps"].to_string();
        sandbox.run(["query", question, "--budget-steps", &steps]).done();
    }
}

#[test]
fn an_explanation_has_the_errors_of_its_question() {
    let sandbox = sandbox();
    sandbox.run(["explain", "models trained on dataset nosuch"]).fails(3, "nosuch");
    sandbox.run(["explain", "models trained in x"]).fails(2, "E0102");
    sandbox.run(["query", "explain models", "--output", "csv"]).fails(2, "lineage explain");
    sandbox.run(["explain", "datasets upstream of model churn", "--budget-steps", "1"]).fails(5, "E0502");
}
