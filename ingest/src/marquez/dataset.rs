//! Datasets and their versions.

use std::collections::BTreeSet;

use lineage_store::Result;
use lineage_store::event::{EntityKind, State};
use lineage_store::graph::{Assertion, EntityId, Position, Subject, VersionId, View};
use serde::Serialize;
use serde_json::value::RawValue;

use super::facets::{self, Facets};
use super::run::{self, Run};
use super::{Page, Reads, node, version_uuid};

/// A name within a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Id {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// A column.
#[derive(Clone, Debug, Serialize)]
struct Field {
    name: String,
    r#type: String,
    tags: Vec<String>,
    description: Option<String>,
}

/// A dataset as it is now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dataset {
    id: Id,
    r#type: &'static str,
    name: String,
    physical_name: String,
    created_at: String,
    updated_at: String,
    namespace: String,
    source_name: String,
    fields: Vec<Field>,
    tags: BTreeSet<String>,
    last_modified_at: Option<String>,
    last_lifecycle_state: Option<String>,
    description: Option<String>,
    current_version: String,
    facets: Facets,
    deleted: bool,
}

/// Some datasets.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatasetList {
    datasets: Vec<Dataset>,
    total_count: usize,
}

/// The id of a version.
#[derive(Clone, Debug, Serialize)]
pub(super) struct VersionIdentity {
    namespace: String,
    name: String,
    version: String,
}

/// A version of a dataset.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatasetVersion {
    id: VersionIdentity,
    r#type: &'static str,
    name: String,
    physical_name: String,
    created_at: String,
    version: String,
    namespace: String,
    source_name: String,
    fields: Vec<Field>,
    tags: BTreeSet<String>,
    lifecycle_state: Option<String>,
    description: String,
    created_by_run: Option<Run>,
    facets: Facets,
}

/// Some versions.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionList {
    versions: Vec<DatasetVersion>,
    total_count: usize,
}

/// The datasets of a namespace, by name.
pub fn datasets(reads: &Reads<'_>, namespace: &str, page: Page) -> Result<DatasetList> {
    let view = reads.view;
    let mut found: Vec<EntityId> = (0..view.n_entities())
        .filter(|entity| view.entity_namespace(*entity) == namespace && node::exists(view, *entity))
        .collect();
    found.sort_by_key(|entity| view.entity_name(*entity));
    let total_count = found.len();
    let tags = Tags::of(view);
    let datasets = page.of(found).into_iter().map(|entity| of_entity(reads, entity, &tags)).collect::<Result<_>>()?;
    Ok(DatasetList { datasets, total_count })
}

/// One dataset; `None` if there is none.
pub fn dataset(reads: &Reads<'_>, namespace: &str, name: &str) -> Result<Option<Dataset>> {
    let found = node::entity(reads.view, namespace, name);
    found.map(|entity| of_entity(reads, entity, &Tags::of(reads.view))).transpose()
}

/// The versions of a dataset, newest first; `None` if there is no such dataset.
pub fn versions(reads: &Reads<'_>, namespace: &str, name: &str, page: Page) -> Result<Option<VersionList>> {
    let Some(entity) = node::entity(reads.view, namespace, name) else { return Ok(None) };
    let mut found = visible(reads.view, entity);
    found.reverse();
    let total_count = found.len();
    let tags = Tags::of(reads.view);
    let one = |version| of_version(reads, version, &tags);
    Ok(Some(VersionList { versions: page.of(found).into_iter().map(one).collect::<Result<_>>()?, total_count }))
}

/// The versions of an entity that are here, oldest first.
fn visible(view: &View, entity: EntityId) -> Vec<VersionId> {
    view.versions(entity).into_iter().filter(|version| view.has_version(*version)).collect()
}

/// The id of a version.
pub(super) fn identity(view: &View, version: VersionId) -> VersionIdentity {
    let entity = view.entity(version);
    let (namespace, name) = (view.entity_namespace(entity), view.entity_name(entity));
    let uuid = version_uuid(namespace, name, view.number(version));
    VersionIdentity { namespace: namespace.to_owned(), name: name.to_owned(), version: uuid }
}

/// The name of an entity.
pub(super) fn id(view: &View, entity: EntityId) -> Id {
    Id { namespace: view.entity_namespace(entity).to_owned(), name: view.entity_name(entity).to_owned() }
}

/// Marquez knows tables and streams; the rest is named by its kind.
pub(super) fn type_of(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::Dataset | EntityKind::Features => "DB_TABLE",
        EntityKind::Model => "MODEL",
        EntityKind::Artifact => "FILE",
    }
}

/// A dataset with what its newest version's events say.
pub(super) fn of_entity(reads: &Reads<'_>, entity: EntityId, tags: &Tags) -> Result<Dataset> {
    let view = reads.view;
    let versions = visible(view, entity);
    let (first, last) = (versions.first().copied().unwrap_or_default(), versions.last().copied().unwrap_or_default());
    let said = Said::of(reads, last)?;
    let id = id(view, entity);
    let external = view.is_external(last);
    Ok(Dataset {
        r#type: type_of(view.entity_kind(entity)),
        name: id.name.clone(),
        physical_name: id.name.clone(),
        created_at: reads.recorded(view.mint(first)),
        updated_at: reads.recorded(said.newest),
        namespace: id.namespace.clone(),
        source_name: id.namespace.clone(),
        fields: said.fields(),
        tags: tags.on(view, last),
        last_modified_at: (!external).then(|| reads.occurred(said.newest)),
        last_lifecycle_state: facets::member(&said.facets, "lifecycleStateChange", "lifecycleStateChange"),
        description: said.description(),
        current_version: identity(view, last).version,
        facets: said.facets,
        deleted: false,
        id,
    })
}

fn of_version(reads: &Reads<'_>, version: VersionId, tags: &Tags) -> Result<DatasetVersion> {
    let view = reads.view;
    let said = Said::of(reads, version)?;
    let identity = identity(view, version);
    let made_by = said.made_by.filter(|event| view.has_run(*event));
    Ok(DatasetVersion {
        r#type: type_of(view.entity_kind(view.entity(version))),
        name: identity.name.clone(),
        physical_name: identity.name.clone(),
        created_at: reads.occurred(view.mint(version)),
        version: identity.version.clone(),
        namespace: identity.namespace.clone(),
        source_name: identity.namespace.clone(),
        fields: said.fields(),
        tags: tags.on(view, version),
        lifecycle_state: facets::member(&said.facets, "lifecycleStateChange", "lifecycleStateChange"),
        description: said.description().unwrap_or_default(),
        created_by_run: made_by.map(|event| run::of_attempt(reads, view.leader(event))).transpose()?,
        facets: said.facets,
        id: identity,
    })
}

/// What the events say that made a version; where none did, those that mention it first.
struct Said {
    facets: Facets,
    newest: Position,
    made_by: Option<Position>,
}

impl Said {
    fn of(reads: &Reads<'_>, version: VersionId) -> Result<Self> {
        let view = reads.view;
        let mut made_by = None;
        view.makers(version, |event| made_by = made_by.max(Some(event)));
        let base = made_by.unwrap_or_else(|| view.mint(version));
        let mut events = if view.has_run(base) { view.attempt_events(view.leader(base)) } else { vec![base] };
        events.retain(|event| !matches!(view.state(*event), State::Start) || events_alone(view, base));
        if events.is_empty() {
            events.push(base);
        }
        let id = id(view, view.entity(version));
        let mut said = Self { facets: Facets::new(), newest: base, made_by };
        for event in events {
            said.newest = said.newest.max(event);
            said.facets.extend(about(reads, event, &id)?);
        }
        Ok(said)
    }

    fn fields(&self) -> Vec<Field> {
        #[derive(serde::Deserialize)]
        struct Schema {
            #[serde(default)]
            fields: Vec<Column>,
        }
        #[derive(serde::Deserialize)]
        struct Column {
            #[serde(default)]
            name: String,
            #[serde(default)]
            r#type: Option<String>,
            #[serde(default)]
            description: Option<String>,
        }
        let read = |facet: &RawValue| serde_json::from_str::<Schema>(facet.get()).ok();
        let schema = self.facets.get("schema").and_then(|facet| read(facet));
        // The shape of Marquez asks for a type, and emitters need not know it.
        let column = |c: Column| Field {
            name: c.name,
            r#type: c.r#type.unwrap_or_else(|| "UNKNOWN".to_owned()),
            tags: Vec::new(),
            description: c.description,
        };
        schema.map(|schema| schema.fields.into_iter().map(column).collect()).unwrap_or_default()
    }

    fn description(&self) -> Option<String> {
        facets::member(&self.facets, "documentation", "description")
    }
}

/// Whether an attempt has its start only.
fn events_alone(view: &View, event: Position) -> bool {
    !view.has_run(event) || view.attempt_events(view.leader(event)).len() == 1
}

/// The facets that one event has about a dataset.
pub(super) fn about(reads: &Reads<'_>, position: Position, id: &Id) -> Result<Facets> {
    let event = (reads.event)(position)?;
    let all = facets::all(reads, position, &event)?;
    let mut found = Facets::new();
    let is_it = |reference: &lineage_store::event::Ref| {
        reference.name.as_deref() == Some(&id.name)
            && reference.namespace.as_deref().unwrap_or(&event.namespace) == id.namespace
    };
    let mut add = |prefix: String, own: &str| {
        let here = facets::under(&all, &prefix);
        found.extend(here.into_iter().filter(|(key, _)| !key.starts_with(own)));
    };
    for (i, _) in event.inputs.iter().enumerate().filter(|(_, input)| is_it(&input.reference)) {
        add(format!("inputs[{i}]."), "inputFacets.");
    }
    for (i, _) in event.outputs.iter().enumerate().filter(|(_, output)| is_it(&output.reference)) {
        add(format!("outputs[{i}]."), "outputFacets.");
        if event.job.is_none() {
            add("dataset.".to_owned(), "dataset.");
        }
    }
    Ok(found)
}

/// Every visible tag of versions and names, in the order in which they were said.
pub(super) struct Tags(Vec<(Subject, String, bool)>);

impl Tags {
    pub(super) fn of(view: &View) -> Self {
        let mut facts = view.facts();
        facts.sort_by_key(|fact| (view.time(fact.event), fact.event));
        let tag = |fact: lineage_store::graph::Fact| match fact.says {
            Assertion::Tag(tag) => Some((fact.subject, view.text(tag).to_owned(), true)),
            Assertion::Untag(tag) => Some((fact.subject, view.text(tag).to_owned(), false)),
            _ => None,
        };
        Self(facts.into_iter().filter_map(tag).collect())
    }

    fn on(&self, view: &View, version: VersionId) -> BTreeSet<String> {
        let entity = view.entity(version);
        let mut tags = BTreeSet::new();
        for (subject, tag, is_set) in &self.0 {
            if !matches!(subject, Subject::Entity(e) if *e == entity)
                && !matches!(subject, Subject::Version(v) if *v == version)
            {
                continue;
            }
            if *is_set {
                tags.insert(tag.clone());
            } else {
                tags.remove(tag);
            }
        }
        tags
    }
}

/// The facets of the newest version of a dataset, the types of its columns, and its UUID.
pub(super) fn columns(
    reads: &Reads<'_>,
    entity: EntityId,
) -> Result<(Facets, std::collections::BTreeMap<String, String>, String)> {
    let newest = visible(reads.view, entity).last().copied().unwrap_or_default();
    let said = Said::of(reads, newest)?;
    let types = said.fields().into_iter().map(|field| (field.name, field.r#type)).collect();
    Ok((said.facets, types, identity(reads.view, newest).version))
}

/// The names that events make which read a version of a name.
pub(super) fn readers(view: &View, entity: EntityId) -> BTreeSet<EntityId> {
    let mut readers = BTreeSet::new();
    for version in visible(view, entity) {
        view.uses(version, |event, _| {
            let events = if view.has_run(event) { view.attempt_events(view.leader(event)) } else { vec![event] };
            readers.extend(events.into_iter().flat_map(|event| view.made(event)).map(|made| view.entity(made.version)));
        });
    }
    readers
}
