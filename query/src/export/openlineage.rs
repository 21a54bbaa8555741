//! `OpenLineage` 2-0-2: runs as `RunEvent`s and registrations as `DatasetEvent`s, which our own receiver reads back.
//!
//! Versions travel as version facets: the label of the emitter, else `vN`. What `OpenLineage` has no word for stands in
//! facets of our own, which the receiver knows: `lineage_event` of a run (kind, outcome), `lineage_use` of an input
//! (role, or that the event is about it), `lineage_entity` of a dataset (kind).

use std::io::Write;

use lineage_store::digest::Blake3;
use lineage_store::event::{EntityKind, Event, Kind, Role, State};
use lineage_store::graph::{EntityId, Made, Mention, Position, Use, VersionId};
use serde_json::{Map, Value, json};

use super::{ExportError, Exported, Order, Selection};
use crate::engine::walk::{Edges, inputs_for};

const SPEC: &str = "https://openlineage.io/spec";

struct Writer<'a> {
    selection: &'a Selection,
    /// Who says so: this program, with its version.
    producer: String,
}

/// Writes an event a line.
pub(super) fn write(order: &Order<'_>, selection: &Selection, out: &mut dyn Write) -> Result<Exported, ExportError> {
    let writer = Writer { selection, producer: format!("urn:lineage:{}", order.tool) };
    let mut exported = Exported::default();
    for position in selection.events() {
        let kind = selection.world.view.kind(position);
        if !super::is_step(kind) {
            *exported.left_out.entry(kind.as_str()).or_default() += 1;
            continue;
        }
        let Some(event) = selection.world.whole.event(position) else { break };
        for document in writer.documents(position, &event) {
            serde_json::to_writer(&mut *out, &document).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
            exported.events += 1;
        }
    }
    Ok(exported)
}

impl Writer<'_> {
    /// What one event becomes: one document, or one for each output that names its inputs.
    fn documents(&self, position: Position, event: &Event) -> Vec<Value> {
        let made = self.selection.world.view.made(position);
        if event.kind == Kind::Register {
            return made.iter().map(|made| self.dataset_event(position, event, made)).collect();
        }
        let mentions = self.selection.world.view.mentions(position);
        if made.iter().all(|made| made.from.is_none()) {
            return vec![self.run_event(position, event, mentions, &made, None)];
        }
        // Inputs of a run lead to all its outputs, so that each output with inputs of its own is a run of its own; the
        // inputs stay with the run itself.
        let mut documents = vec![self.run_event(position, event, mentions, &[], None)];
        for (n, made) in made.iter().enumerate() {
            let led = self.led_to(position, made.version);
            documents.push(self.run_event(position, event, led, std::slice::from_ref(made), Some(n)));
        }
        documents
    }

    /// What the attempt of an event uses that led to a version which it made.
    fn led_to(&self, position: Position, version: VersionId) -> Vec<Mention> {
        let world = &self.selection.world;
        let leader = world.view.leader(position);
        let sources = inputs_for(world, leader, version, Edges::ALL);
        let mut led: Vec<Mention> = Vec::new();
        for mention in world.events_of(leader).into_iter().flat_map(|event| world.view.mentions(event)) {
            let known = |own: &Mention| (own.version, own.usage) == (mention.version, mention.usage);
            if sources.contains(&mention.version) && !led.iter().any(known) {
                led.push(Mention { index: u32::MAX, ..mention });
            }
        }
        led
    }

    fn run_event(
        &self,
        position: Position,
        event: &Event,
        mentions: Vec<Mention>,
        made: &[Made],
        part: Option<usize>,
    ) -> Value {
        let view = &self.selection.world.view;
        let said = Said::of(event);
        let inputs: Vec<Value> = mentions
            .into_iter()
            .map(|mention| {
                let mut dataset = self.dataset(mention.version, &said.at("inputs", mention.index as usize));
                let (key, value) = match mention.usage {
                    Use::Input(role) => ("role", role.as_str()),
                    Use::About => ("use", "about"),
                };
                // What the receiver takes it for without a word.
                let is_model = view.entity_kind(view.entity(mention.version)) == EntityKind::Model;
                let usual = if event.kind == Kind::Training && is_model { Role::Base } else { Role::Data };
                if mention.usage != Use::Input(usual) {
                    let facet = self.facet(json!({ key: value }));
                    dataset["inputFacets"]["lineage_use"] = facet;
                }
                dataset
            })
            .collect();
        let outputs = made.iter().map(|made| (self.dataset(made.version, &said.output_of(view, position, made)), made));
        let mut outputs: Vec<Value> =
            outputs.map(|(dataset, made)| self.with_statistics(dataset, made.version)).collect();
        outputs.extend(view.partial(position).into_iter().map(|entity| self.named(entity)));
        let mut run_facets = said.run.clone();
        run_facets.insert("lineage_event".to_owned(), self.facet(about(event)));
        if let Some(parent) = self.parent(event) {
            run_facets.entry("parent").or_insert(parent);
        }
        json!({
            "eventType": state(event.state),
            "eventTime": view.time(position).to_string(),
            "producer": self.producer,
            "schemaURL": format!("{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"),
            "run": { "runId": run_id(position, event, part), "facets": run_facets },
            "job": {
                "namespace": event.namespace,
                "name": event.job.as_deref().unwrap_or(event.kind.as_str()),
                "facets": said.job,
            },
            "inputs": inputs,
            "outputs": outputs,
        })
    }

    fn dataset_event(&self, position: Position, event: &Event, made: &Made) -> Value {
        let mut facets = self.dataset(made.version, &Map::new());
        facets["facets"]["lineage_event"] = self.facet(about(event));
        json!({
            "eventTime": self.selection.world.view.time(position).to_string(),
            "producer": self.producer,
            "schemaURL": format!("{SPEC}/2-0-2/OpenLineage.json#/$defs/DatasetEvent"),
            "dataset": { "namespace": facets["namespace"], "name": facets["name"], "facets": facets["facets"] },
        })
    }

    /// A version as a dataset, with what its emitter said of it.
    fn dataset(&self, version: VersionId, said: &Map<String, Value>) -> Value {
        let view = &self.selection.world.view;
        let mut dataset = self.named(view.entity(version));
        let label = view.label(version).map_or_else(|| format!("v{}", view.number(version)), str::to_owned);
        let mut facet = self.of_spec("1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet");
        facet["datasetVersion"] = label.into();
        if let Some(digest) = view.digest(version) {
            facet["lineage_digest"] = digest.into();
        }
        for (key, value) in said {
            match key.split_once('.') {
                Some((own @ ("inputFacets" | "outputFacets"), name)) => dataset[own][name] = value.clone(),
                _ => dataset["facets"][key] = value.clone(),
            }
        }
        dataset["facets"]["version"] = facet;
        dataset
    }

    /// A name as a dataset.
    fn named(&self, entity: EntityId) -> Value {
        let view = &self.selection.world.view;
        let kind = view.entity_kind(entity);
        let mut facets = Map::new();
        if kind == EntityKind::Model {
            let mut facet = self.of_spec("1-0-1/DatasetTypeDatasetFacet.json#/$defs/DatasetTypeDatasetFacet");
            facet["datasetType"] = "MODEL".into();
            facets.insert("datasetType".to_owned(), facet);
        } else if kind != EntityKind::Dataset {
            facets.insert("lineage_entity".to_owned(), self.facet(json!({ "kind": kind.as_str() })));
        }
        json!({ "namespace": view.entity_namespace(entity), "name": view.entity_name(entity), "facets": facets })
    }

    fn with_statistics(&self, mut dataset: Value, version: VersionId) -> Value {
        let view = &self.selection.world.view;
        let (size, rows) = (view.size(version), view.rows(version));
        if size.is_some() || rows.is_some() {
            let name = "1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet";
            let mut facet = self.of_spec(name);
            let counts = [("size", size), ("rowCount", rows)];
            for (key, n) in counts.into_iter().filter_map(|(key, n)| Some((key, n?))) {
                facet[key] = n.into();
            }
            dataset["outputFacets"]["outputStatistics"] = facet;
        }
        dataset
    }

    fn parent(&self, event: &Event) -> Option<Value> {
        let parent = &event.parent.as_ref()?.run;
        let namespace = parent.namespace.as_ref().unwrap_or(&event.namespace);
        let job = parent.job.as_ref()?;
        let mut facet = self.of_spec("1-1-0/ParentRunFacet.json#/$defs/ParentRunFacet");
        facet["run"] = json!({ "runId": uuid_of(&[namespace, job, &parent.run], &parent.run) });
        facet["job"] = json!({ "namespace": namespace, "name": job });
        Some(facet)
    }

    /// A facet of the specification, still without its own members.
    fn of_spec(&self, path: &str) -> Value {
        json!({ "_producer": self.producer, "_schemaURL": format!("{SPEC}/facets/{path}") })
    }

    /// A facet of our own.
    fn facet(&self, members: Value) -> Value {
        let mut facet = json!({
            "_producer": self.producer,
            "_schemaURL": format!("{SPEC}/2-0-2/OpenLineage.json#/$defs/BaseFacet"),
        });
        if let (Some(facet), Value::Object(members)) = (facet.as_object_mut(), members) {
            facet.extend(members);
        }
        facet
    }
}

/// What else an event says: kind, outcome, id, actor, parameters and all the rest.
fn about(event: &Event) -> Value {
    let mut facet = json!({ "kind": event.kind.as_str(), "actor": event.actor, "evidence": event.evidence.as_str() });
    let texts =
        [("id", event.id.clone()), ("run", event.run.clone()), ("outcome", event.outcome.map(|o| o.to_string()))];
    for (key, text) in texts {
        if let Some(text) = text {
            facet[key] = text.into();
        }
    }
    let sections = [
        ("params", &event.params),
        ("metrics", &event.metrics),
        ("code", &event.code),
        ("software", &event.software),
        ("args", event.args.json()),
    ];
    for (key, json) in sections.into_iter().filter(|(_, json)| !json.is_empty()) {
        facet[key] = value_of(json.as_str());
    }
    if !Said::is_openlineage(event) && !event.facets.is_empty() {
        facet["facets"] = value_of(event.facets.as_str());
    }
    if !event.tags.is_empty() {
        facet["tags"] = event.tags.clone().into();
    }
    facet
}

/// A JSON value; what JSON readers know no number for stays as its text.
fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// The facets of an event that came as `OpenLineage`, where its emitter had them.
#[derive(Default)]
struct Said {
    run: Map<String, Value>,
    job: Map<String, Value>,
    datasets: Vec<(String, Map<String, Value>)>,
}

impl Said {
    fn is_openlineage(event: &Event) -> bool {
        event.facets.members().iter().any(|(key, _)| key == "producer")
    }

    fn of(event: &Event) -> Self {
        let mut said = Self::default();
        if !Self::is_openlineage(event) {
            return said;
        }
        for (key, value) in event.facets.members() {
            let Some((of, name)) = key.split_once('.') else { continue };
            match of {
                "run" => drop(said.run.insert(name.to_owned(), value_of(value))),
                "job" => drop(said.job.insert(name.to_owned(), value_of(value))),
                of if of.starts_with("inputs[") || of.starts_with("outputs[") => {
                    let at = said.datasets.iter().position(|(own, _)| own == of).unwrap_or_else(|| {
                        said.datasets.push((of.to_owned(), Map::new()));
                        said.datasets.len() - 1
                    });
                    said.datasets[at].1.insert(name.to_owned(), value_of(value));
                }
                _ => {}
            }
        }
        said
    }

    fn at(&self, side: &str, index: usize) -> Map<String, Value> {
        let path = format!("{side}[{index}]");
        self.datasets.iter().find(|(own, _)| *own == path).map(|(_, facets)| facets.clone()).unwrap_or_default()
    }

    /// Those of an output, by its place among the outputs.
    fn output_of(&self, view: &lineage_store::graph::View, position: Position, made: &Made) -> Map<String, Value> {
        let outputs = view.made(position);
        outputs.iter().position(|own| own == made).map(|index| self.at("outputs", index)).unwrap_or_default()
    }
}

/// The word of the specification.
fn state(state: State) -> String {
    state.as_str().to_ascii_uppercase()
}

/// The id of a run; an event without one is a run of its own.
fn run_id(position: Position, event: &Event, part: Option<usize>) -> String {
    let job = event.job.as_deref().unwrap_or_default();
    let attempt = event.attempt.map(|attempt| attempt.to_string()).unwrap_or_default();
    let own = position.to_string();
    let (run, alone) = event.run.as_deref().map_or((own.as_str(), "event"), |run| (run, ""));
    let part = part.map(|part| part.to_string()).unwrap_or_default();
    if attempt.is_empty() && part.is_empty() && alone.is_empty() {
        return uuid_of(&[&event.namespace, job, run], run);
    }
    uuid_of(&[&event.namespace, job, run, alone, &attempt, &part], "")
}

/// A text if it is a UUID; else one made from some texts, always the same (version 8 of RFC 9562).
fn uuid_of(texts: &[&str], text: &str) -> String {
    let hyphens = [8, 13, 18, 23];
    let is_uuid = text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(at, b)| if hyphens.contains(&at) { b == b'-' } else { b.is_ascii_hexdigit() });
    if is_uuid {
        return text.to_owned();
    }
    let hex = Blake3::of(Value::from(texts).to_string().as_bytes()).hex();
    format!("{}-{}-8{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
