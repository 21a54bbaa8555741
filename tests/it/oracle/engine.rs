//! The engine's side: a history is recorded in a store, and a question answered there as lines like the oracle's.

use std::path::Path;
use std::rc::Rc;

use lineage_query::output::{Answer, Format, TableStyle, write};
use lineage_query::{Limits, Request, answer};
use lineage_store::event::{Event, prepare};
use lineage_store::graph::View;
use lineage_store::time::Time;
use lineage_store::{Appended, Store, StoreError};
use serde_json::{Map, Value};

use super::answer::ENVIRONMENTS;
use super::histories::{NOW, Sending};
use super::said::{Seconds, seconds};

fn time(seconds: Seconds) -> Time {
    Time(seconds * 1_000_000_000)
}

/// Records a history; what was refused is left out of what comes back. The index is sealed every so many batches.
pub(super) fn record(folder: &Path, history: &[Sending], seal: usize) -> (Store, Vec<Sending>) {
    let store = Store::create(&folder.join(".lineage"), "format = 1\n").expect("a store");
    let recorded = append(&store, history, seal);
    (store, recorded)
}

/// Records further events; those that were not refused.
pub(super) fn append(store: &Store, history: &[Sending], seal: usize) -> Vec<Sending> {
    let mut recorded = Vec::new();
    for (number, batch) in history.chunk_by(|(a, _), (b, _)| a == b).enumerate() {
        let prepared = |sending: &Sending| {
            let bytes = sending.1.to_string();
            let event = Event::parse(bytes.as_bytes(), "ana").ok()?;
            let parts = prepare(event, bytes.as_bytes(), &[], &lineage_store::erasure::Keys::of_seed([7; 32])).ok()?;
            Some((sending.clone(), parts))
        };
        let (sent, events): (Vec<Sending>, Vec<_>) = batch.iter().filter_map(prepared).unzip();
        let told = store.append(events.into_iter().flatten().collect(), time(batch[0].0)).expect("appended");
        let taken = sent.into_iter().zip(told).filter(|(_, told)| matches!(told, Appended::Recorded(_)));
        recorded.extend(taken.map(|(sending, _)| sending));
        if seal > 0 && number % seal == 0 {
            store.seal_now().expect("sealed");
        }
    }
    recorded
}

fn answered(view: &View, text: &str, now: &str) -> Result<Answer, String> {
    let environments = ENVIRONMENTS.map(str::to_owned);
    let request = Request {
        text,
        params: &[],
        now: time(seconds(now)),
        now_is_set: false,
        environments: &environments,
        graph: None,
        events: Rc::new(|position| Err(StoreError::BeyondHead { position: position.into(), count: 0 })),
        head: None,
        limits: Limits::default(),
        zone: lineage_query::Zone::default(),
        digest_of_file: &|_| Err("no file is asked for".to_owned()),
    };
    answer(view, &request).map_err(|error| {
        let codes: Vec<&str> = error.diagnostics().iter().map(|d| d.code).collect();
        if codes.is_empty() { error.to_string() } else { codes.join(" ") }
    })
}

fn written(answer: &Answer, format: Format) -> String {
    let mut out = Vec::new();
    write(answer, &format, &mut out, &TableStyle::default()).expect("rows");
    String::from_utf8(out).expect("text")
}

/// The whole answer as the bytes of its JSON, or the code of the error.
pub(super) fn envelope(view: &View, text: &str, now: &str) -> Result<String, String> {
    Ok(written(&answered(view, text, now)?, Format::Json))
}

/// The rows of an answer in their order, or the code of the error.
pub(super) fn rows(view: &View, text: &str) -> Result<Vec<String>, String> {
    let answer = answered(view, text, NOW)?;
    let text = written(&answer, Format::Ndjson);
    let schema = answer.batch.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    Ok(text.lines().map(|line| row(&names, &serde_json::from_str(line).expect("a row"))).collect())
}

/// The rows of an answer, sorted, or the code of the error.
pub(super) fn ask(view: &View, text: &str) -> Result<Vec<String>, String> {
    let mut rows = rows(view, text)?;
    rows.sort();
    Ok(rows)
}

/// The columns that tell a node, and those that every row of one has.
const OF_NODES: [&str; 10] =
    ["kind", "namespace", "name", "version", "digest", "position", "occurred", "actor", "state", "outcome"];

fn row(names: &[&str], columns: &Map<String, Value>) -> String {
    let text = |name: &str| columns.get(name).filter(|v| !v.is_null()).map(printed);
    let is_node = names.contains(&"version") && names.contains(&"digest")
        || names.contains(&"position") && names.contains(&"state");
    let mut parts: Vec<String> = Vec::new();
    if is_node {
        let kind = text("kind").unwrap_or_default();
        parts.push(match (text("version"), text("position")) {
            (Some(version), _) => {
                let namespace = text("namespace").filter(|n| n != "default").map_or(String::new(), |n| n + "::");
                format!("{kind} {namespace}{}@{version}", text("name").unwrap_or_default())
            }
            (None, position) => format!("#{} {kind}", position.unwrap_or_default()),
        });
        parts.extend(text("outcome").map(|outcome| format!("outcome={outcome}")));
    }
    for name in names.iter().filter(|name| !is_node || !OF_NODES.contains(name)) {
        parts.push(format!("{}={}", name.replace(' ', "_"), columns.get(*name).map_or("null".to_owned(), printed)));
    }
    parts.join(" ")
}

fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(printed).collect::<Vec<_>>().join(";"),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |n| n.to_string()),
        other => other.to_string(),
    }
}
