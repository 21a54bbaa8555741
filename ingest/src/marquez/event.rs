//! Events as `OpenLineage` has them, put together again from what is kept of them.

use std::collections::BTreeMap;

use lineage_store::Result;
use lineage_store::event::{Event, Kind, Ref, State};
use lineage_store::graph::Position;
use lineage_store::time::Time;
use serde::Serialize;
use serde_json::value::RawValue;

use super::facets::{self, Facets};
use super::{Page, Reads};

/// Which events are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Happened before.
    pub before: Option<Time>,
    /// Happened at or after.
    pub after: Option<Time>,
    /// Oldest first.
    pub ascending: bool,
}

/// Some events.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventList {
    events: Vec<BTreeMap<String, Box<RawValue>>>,
    total_count: usize,
}

/// The events of runs, jobs and datasets, by when they happened.
pub fn events(reads: &Reads<'_>, window: Window, page: Page) -> Result<EventList> {
    let view = reads.view;
    let is_wanted = |event: &Position| {
        let time = view.time(*event);
        matches!(view.kind(*event), Kind::Transform | Kind::Training | Kind::Register)
            && view.sees(*event)
            && window.before.is_none_or(|end| time < end)
            && window.after.is_none_or(|end| time >= end)
    };
    let mut found: Vec<Position> = (0..view.count()).filter(is_wanted).collect();
    found.sort_by_key(|event| (view.time(*event), *event));
    if !window.ascending {
        found.reverse();
    }
    let total_count = found.len();
    let one = |position| (reads.event)(position).and_then(|event| again(reads, position, &event));
    Ok(EventList { events: page.of(found).into_iter().map(one).collect::<Result<_>>()?, total_count })
}

/// A job, a run or a dataset, with its facets.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    facets: Facets,
    #[serde(skip_serializing_if = "Facets::is_empty")]
    input_facets: Facets,
    #[serde(skip_serializing_if = "Facets::is_empty")]
    output_facets: Facets,
    #[serde(flatten)]
    others: Facets,
}

/// One event, as far as it is kept: members in another order, and datasets listed that only its columns named.
fn again(reads: &Reads<'_>, position: Position, event: &Event) -> Result<BTreeMap<String, Box<RawValue>>> {
    let all = facets::all(reads, position, event)?;
    let mut whole = BTreeMap::new();
    for key in ["producer", "schemaURL", "eventTime", "eventType"] {
        if let Some(value) = all.get(key) {
            whole.insert(key.to_owned(), value.clone());
        }
    }
    let text = |text: String| facets::raw(&serde_json::Value::from(text).to_string());
    if let (false, Some(time)) = (whole.contains_key("eventTime"), event.time) {
        whole.insert("eventTime".to_owned(), text(time.to_string())?);
    }
    if event.run.is_some() {
        whole.insert("eventType".to_owned(), text(word(event.state))?);
    }
    for (key, value) in facets::under(&all, "extra.") {
        // What stood in a part of the event is there again.
        if !key.contains('.') {
            whole.insert(key, value);
        }
    }
    if let Some(run) = &event.run {
        let part = Part { run_id: Some(run.clone()), ..part(&all, "run", "run.", None) };
        whole.insert("run".to_owned(), json(&part)?);
    }
    let Some(job) = &event.job else {
        if let Some(output) = event.outputs.first() {
            let part = part(&all, "dataset", "dataset.", Some((&output.reference, event)));
            whole.insert("dataset".to_owned(), json(&part)?);
        }
        return Ok(whole);
    };
    let named =
        Part { namespace: Some(event.namespace.clone()), name: Some(job.clone()), ..part(&all, "job", "job.", None) };
    whole.insert("job".to_owned(), json(&named)?);
    let list = |side: &str, references: Vec<&Ref>| -> Result<Box<RawValue>> {
        let parts = references.into_iter().enumerate().map(|(i, reference)| {
            let at = format!("{side}[{i}]");
            part(&all, &at, &format!("{at}."), Some((reference, event)))
        });
        json(&parts.collect::<Vec<_>>())
    };
    whole.insert("inputs".to_owned(), list("inputs", event.inputs.iter().map(|i| &i.reference).collect())?);
    whole.insert("outputs".to_owned(), list("outputs", event.outputs.iter().map(|o| &o.reference).collect())?);
    Ok(whole)
}

/// The facets of one part, under its own and those of its side.
fn part(all: &Facets, at: &str, prefix: &str, reference: Option<(&Ref, &Event)>) -> Part {
    let input_facets = facets::under(all, &format!("{prefix}inputFacets."));
    let output_facets = facets::under(all, &format!("{prefix}outputFacets."));
    let mut facets = facets::under(all, prefix);
    facets.retain(|key, _| !key.starts_with("inputFacets.") && !key.starts_with("outputFacets."));
    let others = facets::under(all, &format!("extra.{at}."));
    let namespace = reference.map(|(r, event)| r.namespace.clone().unwrap_or_else(|| event.namespace.clone()));
    let name = reference.and_then(|(r, _)| r.name.clone());
    Part { run_id: None, namespace, name, facets, input_facets, output_facets, others }
}

fn json(value: &impl Serialize) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(value).map_err(|_| super::unreadable("an event is no JSON"))
}

/// The word of the specification.
fn word(state: State) -> String {
    state.as_str().to_ascii_uppercase()
}
