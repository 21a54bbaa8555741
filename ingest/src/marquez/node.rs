//! Nodes of graphs by their ids: `dataset:NAMESPACE:NAME`, `job:NAMESPACE:NAME`, `datasetField:NAMESPACE:NAME:FIELD`.

use lineage_store::event::Kind;
use lineage_store::graph::{EntityId, Position, Symbol, View};

/// What an id of a node names. Namespaces may hold colons, so an id is read against what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeId {
    /// A dataset.
    Dataset(EntityId),
    /// A job: its namespace and name.
    Job(Symbol, Symbol),
    /// A column of a dataset.
    Field(EntityId, String),
}

impl NodeId {
    /// Reads an id; `None` if there is nothing that it names.
    pub fn find(view: &View, text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let splits = rest.match_indices(':').map(|(at, _)| (&rest[..at], &rest[at + 1..]));
        match kind {
            "dataset" => {
                splits.into_iter().find_map(|(namespace, name)| entity(view, namespace, name).map(Self::Dataset))
            }
            "job" => splits.into_iter().find_map(|(namespace, name)| {
                let (namespace, name) = (view.symbol(namespace)?, view.symbol(name)?);
                has_job(view, namespace, name).then_some(Self::Job(namespace, name))
            }),
            "datasetField" => {
                let (rest, field) = rest.rsplit_once(':')?;
                let splits = rest.match_indices(':').map(|(at, _)| (&rest[..at], &rest[at + 1..]));
                let mut found = splits.into_iter().filter_map(|(namespace, name)| entity(view, namespace, name));
                found.next().map(|entity| Self::Field(entity, field.to_owned()))
            }
            _ => None,
        }
    }
}

/// The id of a dataset.
pub(super) fn dataset_id(namespace: &str, name: &str) -> String {
    format!("dataset:{namespace}:{name}")
}

/// The id of a job.
pub(super) fn job_id(namespace: &str, name: &str) -> String {
    format!("job:{namespace}:{name}")
}

/// The id of a column.
pub(super) fn field_id(namespace: &str, dataset: &str, field: &str) -> String {
    format!("datasetField:{namespace}:{dataset}:{field}")
}

/// A name of a namespace that has a version here.
pub(super) fn entity(view: &View, namespace: &str, name: &str) -> Option<EntityId> {
    let here = |entity: &EntityId| view.entity_namespace(*entity) == namespace && exists(view, *entity);
    view.entities_named(name).into_iter().find(here)
}

/// Whether an entity has a version here.
pub(super) fn exists(view: &View, entity: EntityId) -> bool {
    view.versions(entity).into_iter().any(|version| view.has_version(version))
}

/// Whether an event tells of a job.
pub(super) fn tells_job(view: &View, event: Position) -> bool {
    view.job(event) != 0 && (view.has_run(event) || view.kind(event) == Kind::Register) && view.sees(event)
}

fn has_job(view: &View, namespace: Symbol, name: Symbol) -> bool {
    let is = |event| view.job(event) == name && view.namespace(event) == namespace && tells_job(view, event);
    (0..view.count()).any(is)
}

/// The owner that Marquez gives to namespaces that nobody claimed.
pub(super) const ANONYMOUS: &str = "anonymous";
