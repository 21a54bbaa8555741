//! Tests of the rules, on small events.

use std::path::Path;

use lineage_store::event::{EntityKind, Role};

use super::*;

pub(super) fn config() -> Config {
    Config { caller: "dbt".to_owned() }
}

pub(super) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/openlineage").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn good(text: &str) -> Vec<Event> {
    translate(text.as_bytes(), &config()).unwrap_or_else(|refusal| panic!("{refusal}: {text}"))
}

fn refused(text: &str) -> String {
    match translate(text.as_bytes(), &config()) {
        Ok(_) => panic!("accepted: {text}"),
        Err(refusal) => refusal.to_string(),
    }
}

/// A run event with further members.
fn run(state: &str, members: &str) -> String {
    let members = if members.is_empty() { String::new() } else { format!(",{members}") };
    format!(
        r#"{{"eventType":"{state}","eventTime":"2026-11-20T10:00:00Z","producer":"p","run":{{"runId":"r"}},"job":{{"namespace":"n","name":"j"}}{members}}}"#
    )
}

fn names(inputs: &[lineage_store::event::Input]) -> Vec<&str> {
    inputs.iter().filter_map(|input| input.reference.name.as_deref()).collect()
}

#[test]
fn a_run_becomes_a_transform() {
    let events = translate(&fixture("jaffle_customers_complete.json"), &config()).expect("valid");
    let first = &events[0];
    assert_eq!((first.kind, first.state, first.id.as_deref()), (Kind::Transform, State::Complete, None));
    assert_eq!(first.time.expect("a time").to_string(), "2026-11-20T15:51:34.24707Z");
    assert_eq!(first.job.as_deref(), Some("jaffle.main.jaffle.customers.build.run"));
    assert_eq!(names(&first.inputs), ["jaffle.main.orders", "jaffle.main.stg_customers"]);
    assert_eq!(first.inputs[0].reference.namespace.as_deref(), Some("duckdb://jaffle.duckdb"));
    assert_eq!(first.outputs[0].from, None, "every source was declared");
    let parent = first.parent.as_ref().expect("a parent");
    assert_eq!(parent.run.job.as_deref(), Some("dbt-run-jaffle"));
    assert!(parent.root.is_some());
    let members = first.facets.members();
    for key in ["job.sql", "run.dbt_run", "inputs[0].schema", "outputs[0].columnLineage", "producer", "schemaURL"] {
        assert!(members.iter().any(|(name, _)| name == key), "{key}");
    }
}

#[test]
fn columns_name_inputs_that_nobody_declared() {
    let events = translate(&fixture("jaffle_stg_customers_complete.json"), &config()).expect("valid");
    assert_eq!(names(&events[0].inputs), ["jaffle.main.raw_customers"]);
    assert_eq!(events[0].outputs[0].from, None, "the only output has them all");
    let columns = |source: &str| {
        format!(
            r#""facets":{{"columnLineage":{{"fields":{{"c":{{"inputFields":[{{"namespace":"d","name":"{source}","field":"x"}}]}}}}}}}}"#
        )
    };
    let (x, own) = (columns("x"), columns("o3"));
    let event = run(
        "COMPLETE",
        &format!(
            r#""inputs":[{{"namespace":"d","name":"in"}}],"outputs":[{{"namespace":"d","name":"o1",{x}}},{{"namespace":"d","name":"o2"}},{{"namespace":"d","name":"o3",{own}}}]"#
        ),
    );
    let first = &good(&event)[0];
    assert_eq!(names(&first.inputs), ["in", "x"], "a table that rewrites itself is no input");
    let from: Vec<_> = first.outputs.iter().map(|output| output.from.clone().expect("explicit")).collect();
    assert_eq!(from, [vec![0, 1], vec![0], vec![0]]);
}

#[test]
fn assertions_become_an_evaluation() {
    let bytes = fixture("jaffle_orders_test_complete.json");
    let events = translate(&bytes, &config()).expect("valid");
    let evaluation = &events[1];
    assert_eq!((evaluation.kind, evaluation.outcome), (Kind::Evaluation, Some(Outcome::Pass)));
    assert_eq!(evaluation.id, Some(format!("{}/evaluation/inputs[0]", Blake3::of(&bytes))));
    assert!(matches!(&evaluation.about[..], [About::Thing(r)] if r.name.as_deref() == Some("jaffle.main.orders")));
    assert!(evaluation.facets.as_str().contains("not_null"));
    let assertions = r#""inputs":[{"namespace":"d","name":"t","inputFacets":{"dataQualityAssertions":{"assertions":[{"assertion":"a","success":true},{"assertion":"b","success":false}]}}}]"#;
    assert_eq!(good(&run("FAIL", assertions))[1].outcome, Some(Outcome::Fail));
    assert_eq!(good(&run("FAIL", &assertions.replace("input", "output"))).len(), 1, "a failed run made no version");
    assert_eq!(good(&run("COMPLETE", &assertions.replace("input", "output"))).len(), 2);
    assert_eq!(good(&run("START", assertions)).len(), 1, "a START announces them only");
}

#[test]
fn a_model_makes_a_training() {
    let model = r#""facets":{"datasetType":{"datasetType":"MODEL"},"version":{"datasetVersion":"v7"}}"#;
    let members = format!(
        r#""inputs":[{{"namespace":"d","name":"base",{model}}},{{"namespace":"d","name":"t","inputFacets":{{"inputStatistics":{{"size":9}}}}}}],
        "outputs":[{{"namespace":"d","name":"m",{model},"outputFacets":{{"outputStatistics":{{"rowCount":3,"size":-1}}}}}}]"#
    );
    let first = &good(&run("COMPLETE", &members))[0];
    assert_eq!(first.kind, Kind::Training);
    assert_eq!((first.inputs[0].role, first.inputs[1].role, first.inputs[1].size), (Role::Base, Role::Data, Some(9)));
    assert_eq!((first.inputs[1].reference.kind, first.outputs[0].reference.kind), (None, Some(EntityKind::Model)));
    assert_eq!(first.outputs[0].reference.label.as_deref(), Some("v7"));
    assert_eq!((first.inputs[0].reference.label.as_deref(), &first.inputs[0].reference.version), (Some("v7"), &None));
    assert_eq!((first.outputs[0].rows, first.outputs[0].size), (Some(3), None));
    assert!(first.facets.as_str().contains("\"size\":-1"));
}

#[test]
fn owners_and_tags_are_read() {
    let event = r#"{"eventType":"COMPLETE","eventTime":"2026-11-20T10:00:00","producer":"p",
        "run":{"runId":"r","facets":{"tags":{"tags":[{"key":"a","value":"true"},{"key":"v","value":"1","source":"OPENLINEAGE_CLIENT"}]},
            "parentRun":{"run":{"runId":"up"},"job":{"namespace":"n","name":"u"}}}},
        "job":{"namespace":"n","name":"j","facets":{"ownership":{"owners":[{"name":"ana"},{"name":"bo","type":"OWNER"}]},"tags":{"tags":[{"key":"k","value":"w"}]}}},
        "outputs":[{"namespace":"d","name":"o1","facets":{"ownership":{"owners":[{"name":"cy"}]},"tags":{"tags":[{"key":"pii","value":""},{"key":"pii","value":"x","field":"c"}]}}},{"namespace":"d","name":"o2"}]}"#;
    let events = good(event);
    assert_eq!(events[0].tags, ["a", "k=w"]);
    assert_eq!(events[0].outputs[0].tags, ["pii"]);
    assert_eq!(events[0].parent.as_ref().map(|p| p.run.run.as_str()), Some("up"));
    let owners: Vec<_> = events[1..].iter().map(|e| (e.kind, e.args.text("owner"), e.about.len())).collect();
    assert_eq!(owners, [(Kind::Describe, Some("cy".to_owned()), 1), (Kind::Describe, Some("bo".to_owned()), 1)]);
    assert!(events[0].facets.as_str().contains(r#""eventTime":"2026-11-20T10:00:00""#), "the missing zone is kept");
}

#[test]
fn static_events_register() {
    for name in ["job_event.json", "dataset_event.json"] {
        let events = translate(&fixture(name), &config()).expect(name);
        assert_eq!(
            (events[0].kind, events[0].run.as_deref(), events[0].state),
            (Kind::Register, None, State::Complete)
        );
    }
    let job = run("COMPLETE", r#""schemaURL":"x#/$defs/JobEvent","outputs":[{"namespace":"d","name":"t"}]"#);
    let first = &good(&job.replace(r#""run":{"runId":"r"},"#, ""))[0];
    assert_eq!((first.kind, first.run.as_deref(), first.state), (Kind::Register, None, State::Complete));
    assert!(first.facets.as_str().contains(r#""eventType":"COMPLETE""#));
    assert_eq!(
        refused(r#"{"eventTime":"2026-11-20T10:00:00Z","producer":"p","job":{"namespace":"d","name":"t"}}"#),
        "a job without run, inputs and outputs says nothing about lineage"
    );
    let events =
        good(r#"{"eventTime":"2026-11-20T10:00:00Z","producer":"p","dataset":{"namespace":"d","name":"t","odd":1}}"#);
    assert_eq!((events[0].namespace.as_str(), events[0].outputs.len()), ("d", 1));
    assert!(events[0].facets.as_str().contains(r#""extra.dataset.odd":1"#));
}

#[test]
fn nothing_said_is_lost() {
    let facets = r#""outputs":[{"namespace":"d","name":"t","facets":{"f":{"big":12345678901234567890123,"bad":NaN,"low":-Infinity}},"documentation":7}],"odd":[1]"#;
    let first = &good(&run("OTHER", facets))[0];
    let want = r#""outputs[0].f":{"bad":"NaN","big":12345678901234567890123,"low":"-Infinity"}"#;
    assert!(first.facets.as_str().contains(want), "{}", first.facets.as_str());
    assert!(first.facets.as_str().contains(r#""extra.odd":[1],"extra.outputs[0].documentation":7"#));
    let clash =
        r#""outputs":[{"namespace":"d","name":"t","facets":{"outputFacets.f":{"a":1}},"outputFacets":{"f":{"b":2}}}]"#;
    let text = good(&run("OTHER", clash))[0].facets.as_str().to_owned();
    assert!(text.contains(r#""outputs[0].outputFacets.f":{"a":1},"outputs[0].outputFacets.f#2":{"b":2}"#), "{text}");
}

#[test]
fn refusals_name_the_field() {
    let check = |text: &str, want: &str| assert_eq!(refused(text), want);
    let dataset = |rest: &str| run("START", &format!(r#""inputs":[{{"namespace":"d","name":"t"{rest}}}]"#));
    check("", "is no JSON: EOF while parsing a value at line 1 column 0");
    check("[]", "must be an object");
    check("{}", "eventTime: is required");
    check(
        &run("START", "").replace("2026-11-20T", "yesterday "),
        "eventTime: `yesterday 10:00:00Z` is no RFC 3339 time such as 2026-11-20T10:00:00Z",
    );
    check(
        &run("START", "").replace("2026-11-20T10:00:00Z", "{{TIME}}"),
        "eventTime: `{{TIME}}` is an unfilled placeholder of a template",
    );
    check(&run("DONE", ""), "eventType: `DONE` is unknown; valid are START, RUNNING, COMPLETE, FAIL, ABORT, OTHER");
    check(&run("START", "").replace(r#""producer":"p","#, ""), "producer: is required");
    check(&run("START", "").replace(r#""runId":"r""#, r#""runId":"""#), "run.runId: must not be empty");
    check(&run("START", "").replace(r#""runId":"r""#, r#""runId":5"#), "run.runId: must be a string");
    check(&run("START", "").replace(r#""run":{"runId":"r"},"#, ""), "run: is required in an event with an `eventType`");
    check(&run("START", "").replace(r#""name":"j""#, r#""name":null"#), "job.name: is required");
    check(&run("START", r#""inputs":{}"#), "inputs: must be a list");
    check(&run("START", r#""inputs":[1]"#), "inputs[0]: must be an object");
    check(&run("START", r#""inputs":[{"namespace":"d"}]"#), "inputs[0].name: is required");
    check(&dataset(r#","facets":{"x":1}"#), "inputs[0].facets.x: must be an object, as every facet");
    check(
        &dataset(r#","facets":{"version":{"datasetVersion":1}}"#),
        "inputs[0].facets.version.datasetVersion: must be a string",
    );
    check(
        &dataset(r#","inputFacets":{"inputStatistics":{"size":"1"}}"#),
        "inputs[0].inputFacets.inputStatistics.size: must be a whole number",
    );
    let dataset_event = r#"{"eventTime":"2026-11-20T10:00:00Z","producer":"p","dataset":{"namespace":"d","name":"t","facets":{"tags":{"tags":[{}]}}}}"#;
    check(dataset_event, "dataset.facets.tags.tags[0].key: is required");
    check(&run("START", r#""a":1,"a":2"#), "a: appears twice");
    check(&run("START", r#""producer":"q""#), "producer: appears twice");
    let parent = r#"{"runId":"r","facets":{"parent":{"run":{},"job":{"namespace":"n","name":"j"}}}}"#;
    check(&run("START", "").replace(r#"{"runId":"r"}"#, parent), "run.facets.parent.run.runId: is required");
    check(&run("START", "").replace(r#""name":"j""#, r#""name":"a\u0000""#), "job: has the control character U+0000");
    assert!(translate(b"{\"a\":\"\xff\"}", &config()).is_err());
    assert!(translate("[".repeat(100_000).as_bytes(), &config()).is_err());
    let deep = format!("{}1{}", r#"{"a":"#.repeat(5_000), "}".repeat(5_000));
    assert!(refused(&run("START", &format!(r#""x":{deep}"#))).contains("nested deeper"));
}

#[test]
fn formats_are_told_apart() {
    assert!(looks_like(&fixture("jaffle_customers_complete.json")));
    assert!(looks_like(format!("[\n {} ]", run("START", "")).as_bytes()));
    assert!(looks_like(&fixture("dataset_event.json")));
    for other in
        [r#"{"v":1,"kind":"training","job":"j","run":"r"}"#, "{}", "[]", "", "run,job", r#"{"job":"j","run":"r"}"#]
    {
        assert!(!looks_like(other.as_bytes()), "{other}");
    }
}

#[test]
fn lists_are_split() {
    let check = |text: &str, want: &[&str]| {
        let parts = split(text.as_bytes()).expect(text);
        assert_eq!(parts.iter().map(|part| std::str::from_utf8(part).expect("text")).collect::<Vec<_>>(), want);
    };
    check(" {\"a\": 1}\n", &["{\"a\": 1}"]);
    check("[]", &[]);
    check("[ {\"a\":[1,2]} ,\n {\"b\":\",]\\\"\"} ]\n", &["{\"a\":[1,2]}", "{\"b\":\",]\\\"\"}"]);
    check("\u{feff}[1,]", &["1", ""]);
    for bad in ["[", "[1", "[1]2", "[1]]", "[\"]", "[}]"] {
        assert!(split(bad.as_bytes()).is_err(), "{bad}");
    }
}
