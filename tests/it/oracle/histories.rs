//! Random histories of few names, so that events meet: cycles, reverts, late reports, retractions, several attempts.

use lineage_tests::random::Random;
use serde_json::{Map, Value, json};

use super::said::{Seconds, seconds, spelled};

/// An event as it is sent, and the instant at which it is recorded.
pub(super) type Sending = (Seconds, Value);

/// What the clock says when questions are asked.
pub(super) const NOW: &str = "2026-11-20T12:00:00Z";

const BEGIN: &str = "2026-11-20T10:00:00Z";

/// The digest of some content, in one algorithm.
pub(super) fn digest(algorithm: &str, content: usize) -> String {
    let width = if algorithm == "md5" { 32 } else { 64 };
    format!("{algorithm}:{:0width$x}", (content + 10) * 0x0101_0101)
}

/// A choice, each as likely as the others.
pub(super) fn pick<'a>(random: &mut Random, list: &[&'a str]) -> &'a str {
    list[random.below(list.len())]
}

/// A history of so many events at most.
pub(super) fn history(random: &mut Random, events: usize) -> Vec<Sending> {
    let count = 2 + random.below(events - 1);
    let mut recorded = seconds(BEGIN) + 20 * 60;
    let tables = random.one_in(4);
    let mut sent = Vec::new();
    for number in 0..count {
        if random.one_in(4) {
            recorded += 20 * 60;
        }
        let mut event = event(random, number, tables);
        event["v"] = json!(1);
        event["id"] = json!(format!("e{number}"));
        let back = if random.one_in(10) { 86_400 } else { 0 };
        if !random.one_in(12) {
            event["time"] = json!(spelled(seconds(BEGIN) + 60 * random.below(60) as Seconds - back));
        }
        if random.one_in(2) {
            event["actor"] = json!(pick(random, &["ana", "bob", "ria"]));
        }
        if random.one_in(40) {
            event["namespace"] = json!("other");
        }
        sent.push((recorded, event));
    }
    sent
}

/// A run of a table under a root, as orchestrators report them.
fn task(random: &mut Random) -> Value {
    let mut event = json!({"kind": "transform", "run": pick(random, &["r", "s", "t", "u"])});
    event["state"] = json!(pick(random, &["start", "running", "complete", "complete", "complete"]));
    if random.one_in(2) {
        event["parent"] = json!({"run": pick(random, &["R", "R", "S", "r"])});
    }
    let table = |random: &mut Random| {
        let mut table = json!({"kind": "dataset", "name": pick(random, &["a", "a", "b"])});
        if random.one_in(4) {
            table["rows"] = json!(random.below(3) + 1);
        }
        if random.one_in(4) {
            table["digest"] = json!(digest("b3", 0));
        }
        table
    };
    if random.one_in(4) {
        event["inputs"] = json!([{"kind": "dataset", "name": pick(random, &["a", "b", "c"])}]);
    }
    if !random.one_in(4) {
        event["outputs"] = json!([table(random)]);
    }
    event
}

fn event(random: &mut Random, number: usize, tables: bool) -> Value {
    if tables && random.one_in(2) {
        return task(random);
    }
    match random.below(100) {
        0..=27 => work(random, "transform"),
        28..=49 => work(random, "training"),
        50..=57 => {
            let mut event = work(random, "evaluation");
            event["about"] = json!([subject(random, true)]);
            if random.one_in(2) {
                event["outcome"] = json!(pick(random, &["pass", "fail"]));
            }
            event
        }
        58..=67 => {
            let mut event = json!({"kind": "audit", "outcome": pick(random, &["pass", "pass", "fail"]), "about": [subject(random, true)]});
            if random.one_in(4) {
                event["args"] = json!({"valid_until": pick(random, &["2026-11-20T10:40:00Z", "2026-11-30T00:00:00Z"])});
            }
            if random.one_in(4) {
                event["inputs"] = json!([input(random)]);
            }
            event
        }
        68..=75 => {
            let mut event = json!({"kind": "deployment", "environment": pick(random, &["prod", "Production", "dev"]), "about": [subject(random, true)]});
            if random.one_in(3) {
                event["args"] = json!({"alongside": true});
            }
            if random.one_in(3) {
                event["service"] = json!("s");
            }
            if random.one_in(5) {
                event["about"] = json!([subject(random, true), subject(random, true)]);
            }
            if random.one_in(6) {
                event["run"] = json!("d");
                event["state"] = json!(pick(random, &["start", "complete", "fail"]));
            }
            event
        }
        76..=78 => retirement(random),
        79..=83 => {
            let kind = pick(random, &["tag", "tag", "untag"]);
            let about = if random.one_in(6) { event_or_run(random, number) } else { subject(random, false) };
            json!({"kind": kind, "args": {"tags": [pick(random, &["x", "y"])]}, "about": [about]})
        }
        84..=85 => {
            let mut args = json!({"alias": pick(random, &["best", "l"])});
            if random.one_in(4) {
                args["remove"] = json!(true);
            }
            json!({"kind": "alias", "args": args, "about": [subject(random, true)]})
        }
        86..=87 => {
            let args = json!({"owner": pick(random, &["ana", "bob"]), "tier": "high"});
            json!({"kind": "describe", "args": args, "about": [subject(random, false)]})
        }
        88..=91 => link(random),
        92..=97 => json!({"kind": "retract", "about": [event_or_run(random, number)]}),
        _ => {
            let mut event = json!({"kind": "register", "outputs": [output(random, 0)]});
            if random.one_in(2) {
                event["inputs"] = json!([input(random)]);
            }
            event
        }
    }
}

fn event_or_run(random: &mut Random, number: usize) -> Value {
    if random.one_in(4) {
        json!({"run": pick(random, &["r", "s"])})
    } else {
        json!({"event": format!("e{}", random.below(number.max(1)))})
    }
}

fn retirement(random: &mut Random) -> Value {
    let mut event = json!({"kind": "retirement"});
    let by_service = random.one_in(3);
    if by_service {
        event["service"] = json!(pick(random, &["s", "m"]));
    }
    if !by_service || random.one_in(2) {
        event["about"] = json!([subject(random, false)]);
    }
    if !random.one_in(3) {
        event["environment"] = json!(pick(random, &["PROD", "dev"]));
    }
    event
}

fn link(random: &mut Random) -> Value {
    let bare = random.one_in(2);
    let end = |random: &mut Random| {
        let mut end = json!({"kind": "dataset", "name": pick(random, &["a", "b", "c"])});
        if !bare {
            end["version"] = json!(pick(random, &["v1", "v1", "v2", "l"]));
        }
        end
    };
    json!({"kind": "link", "about": [end(random), end(random)]})
}

fn work(random: &mut Random, kind: &str) -> Value {
    let mut event = json!({"kind": kind});
    let inputs: Vec<Value> = (0..random.below(3)).map(|_| input(random)).collect();
    let outputs: Vec<Value> = (0..random.below(3)).map(|_| output(random, inputs.len())).collect();
    if random.one_in(2) {
        event["run"] = json!(pick(random, &["r", "r", "s", "t"]));
        event["state"] = json!(pick(
            random,
            &["start", "start", "running", "complete", "complete", "complete", "fail", "abort", "other"]
        ));
        if random.one_in(5) {
            event["job"] = json!(pick(random, &["i", "j"]));
        }
        if random.one_in(10) {
            event["attempt"] = json!(1 + random.below(3));
        }
        if random.one_in(5) {
            event["parent"] = json!({"run": pick(random, &["R", "R", "s"])});
        }
    } else if inputs.is_empty() && outputs.is_empty() {
        return json!({"kind": kind, "inputs": [input(random)], "outputs": [output(random, 1)]});
    }
    event["inputs"] = json!(inputs);
    event["outputs"] = json!(outputs);
    if random.one_in(3) {
        event["metrics"] = json!({"acc": random.below(8) as f64 / 4.0 + 0.25});
    }
    if random.one_in(4) {
        event["params"] = json!({"lr": random.below(8) as f64 / 4.0 + 0.25});
    }
    if random.one_in(5) {
        event["tags"] = json!([pick(random, &["x", "y"])]);
    }
    event
}

/// A name, as a reference gives it: of its usual kind, sometimes without saying so.
fn named(random: &mut Random) -> Map<String, Value> {
    let (kind, name) = match random.below(10) {
        0..=2 => ("dataset", "a"),
        3..=4 => ("dataset", "b"),
        5 => ("dataset", "c"),
        6..=7 => ("model", "m"),
        8 => ("model", "n"),
        _ => ("features", "f"),
    };
    let mut reference = Map::new();
    if !random.one_in(8) {
        reference.insert("kind".to_owned(), json!(kind));
    }
    reference.insert("name".to_owned(), json!(name));
    if random.one_in(60) {
        reference.insert("namespace".to_owned(), json!("other"));
    }
    reference
}

fn content(random: &mut Random, reference: &mut Map<String, Value>) {
    let content = random.below(4);
    match random.below(16) {
        0 => drop(reference.insert("digest".to_owned(), json!(digest("md5", content)))),
        1 => {
            reference.insert("digest".to_owned(), json!(digest("b3", content)));
            reference.insert("digests".to_owned(), json!([digest("md5", content)]));
        }
        _ => drop(reference.insert("digest".to_owned(), json!(digest("b3", content)))),
    }
}

/// Version, label, digest, or none of them.
fn pinned(random: &mut Random, reference: &mut Map<String, Value>, numbers: bool) {
    match random.below(20) {
        9..=13 => content(random, reference),
        14..=15 => drop(reference.insert("version".to_owned(), json!(pick(random, &["l", "k"])))),
        16 => {
            reference.insert("version".to_owned(), json!(pick(random, &["l", "k"])));
            content(random, reference);
        }
        17..=18 if numbers => {
            drop(reference.insert("version".to_owned(), json!(pick(random, &["v1", "v1", "v2", "v3"]))));
        }
        19 if numbers => {
            reference.remove("name");
            reference.remove("namespace");
            if random.one_in(2) {
                reference.remove("kind");
            }
            content(random, reference);
        }
        _ => {}
    }
}

fn size(random: &mut Random, reference: &mut Map<String, Value>) {
    if random.one_in(5) {
        reference.insert("size".to_owned(), json!([10, 100, 200][random.below(3)]));
    }
}

fn input(random: &mut Random) -> Value {
    let mut input = named(random);
    pinned(random, &mut input, true);
    size(random, &mut input);
    if random.one_in(3) {
        input.insert("role".to_owned(), json!(pick(random, &["data", "base", "base", "eval", "config"])));
    }
    Value::Object(input)
}

fn output(random: &mut Random, inputs: usize) -> Value {
    let mut output = named(random);
    pinned(random, &mut output, false);
    size(random, &mut output);
    if random.one_in(5) {
        output.insert("rows".to_owned(), json!(random.below(3) + 1));
    }
    if random.one_in(6) {
        output.insert("tags".to_owned(), json!([pick(random, &["x", "y"])]));
    }
    if inputs > 0 && random.one_in(5) {
        output.insert("from".to_owned(), json!([random.below(inputs)]));
    }
    Value::Object(output)
}

/// What an event is about; often a model.
fn subject(random: &mut Random, model: bool) -> Value {
    let mut subject = named(random);
    if model && random.one_in(2) {
        subject.insert("kind".to_owned(), json!("model"));
        subject.insert("name".to_owned(), json!("m"));
    }
    pinned(random, &mut subject, true);
    Value::Object(subject)
}
