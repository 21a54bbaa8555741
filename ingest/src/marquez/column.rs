//! The graph of columns, from the `columnLineage` facets of the newest version of each dataset.

use std::collections::{BTreeMap, BTreeSet};

use lineage_store::Result;
use lineage_store::graph::{EntityId, View};
use serde::{Deserialize, Serialize};

use super::dataset;
use super::graph::Edge;
use super::{NODES_MAX, NodeId, Reads, node};

/// A graph of columns.
#[derive(Clone, Debug, Serialize)]
pub struct ColumnGraph {
    graph: Vec<Node>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: String,
    r#type: &'static str,
    data: Data,
    in_edges: Vec<Edge>,
    out_edges: Vec<Edge>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    namespace: String,
    dataset: String,
    dataset_version: Option<String>,
    field: String,
    field_type: Option<String>,
    transformation_description: Option<String>,
    transformation_type: Option<String>,
    input_fields: Vec<Source>,
}

/// A column that another comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Source {
    namespace: String,
    dataset: String,
    field: String,
}

/// The facet, as far as it is read here.
#[derive(Debug, Default, Deserialize)]
struct Facet {
    #[serde(default)]
    fields: BTreeMap<String, Sources>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sources {
    #[serde(default)]
    input_fields: Vec<InputField>,
    #[serde(default)]
    transformation_description: Option<String>,
    #[serde(default)]
    transformation_type: Option<String>,
}

#[derive(Debug, Deserialize)]
struct InputField {
    namespace: String,
    name: String,
    field: String,
    #[serde(default)]
    transformations: Vec<Transformation>,
}

#[derive(Debug, Deserialize)]
struct Transformation {
    #[serde(default)]
    subtype: Option<String>,
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    description: Option<String>,
}

/// A column: the names of its dataset, and its own.
type Column = (String, String, String);

/// The columns that those of a node come from, within so many steps; with `downstream` those too that come from them.
pub fn columns(reads: &Reads<'_>, node: &NodeId, depth: usize, downstream: bool) -> Result<ColumnGraph> {
    let view = reads.view;
    let mut walk = Walk { reads, facets: BTreeMap::new(), nodes: BTreeMap::new() };
    let start: BTreeSet<Column> = match node {
        NodeId::Field(entity, field) => BTreeSet::from([column(view, *entity, field)]),
        NodeId::Dataset(entity) => walk.fields(*entity)?,
        NodeId::Job(namespace, name) => {
            let jobs = super::job::Jobs::of(view);
            let summary = jobs.find(view.text(*namespace), view.text(*name));
            let events = summary.map(|job| job.telling(view)).unwrap_or_default();
            let made = super::run::ends(reads, &events).1;
            let mut start = BTreeSet::new();
            for version in made {
                start.append(&mut walk.fields(view.entity(version))?);
            }
            start
        }
    };
    walk.up(start.clone(), depth)?;
    if downstream {
        walk.down(start, depth)?;
    }
    Ok(walk.graph())
}

fn column(view: &View, entity: EntityId, field: &str) -> Column {
    (view.entity_namespace(entity).to_owned(), view.entity_name(entity).to_owned(), field.to_owned())
}

/// What was read and found so far.
struct Walk<'a> {
    reads: &'a Reads<'a>,
    facets: BTreeMap<EntityId, std::rc::Rc<Known>>,
    nodes: BTreeMap<Column, Data>,
}

/// What is known of the columns of a dataset.
struct Known {
    lineage: Facet,
    types: BTreeMap<String, String>,
    version: String,
}

impl Walk<'_> {
    fn known(&mut self, entity: EntityId) -> Result<std::rc::Rc<Known>> {
        if let Some(known) = self.facets.get(&entity) {
            return Ok(std::rc::Rc::clone(known));
        }
        let (facets, types, version) = dataset::columns(self.reads, entity)?;
        let lineage = facets.get("columnLineage").and_then(|facet| serde_json::from_str(facet.get()).ok());
        let known = std::rc::Rc::new(Known { lineage: lineage.unwrap_or_default(), types, version });
        self.facets.insert(entity, std::rc::Rc::clone(&known));
        Ok(known)
    }

    /// The columns of a dataset: of its schema, and those whose lineage is told.
    fn fields(&mut self, entity: EntityId) -> Result<BTreeSet<Column>> {
        let known = self.known(entity)?;
        let names = known.types.keys().chain(known.lineage.fields.keys());
        Ok(names.map(|name| column(self.reads.view, entity, name)).collect())
    }

    fn up(&mut self, start: BTreeSet<Column>, depth: usize) -> Result<()> {
        let mut front = start;
        for _ in 0..=depth {
            let mut next = BTreeSet::new();
            for column in front {
                if self.nodes.len() >= NODES_MAX || self.nodes.contains_key(&column) {
                    continue;
                }
                let data = self.data(&column)?;
                next.extend(
                    data.input_fields.iter().map(|s| (s.namespace.clone(), s.dataset.clone(), s.field.clone())),
                );
                self.nodes.insert(column, data);
            }
            front = next;
        }
        Ok(())
    }

    fn down(&mut self, start: BTreeSet<Column>, depth: usize) -> Result<()> {
        let view = self.reads.view;
        let mut front = start;
        for _ in 0..depth {
            let mut next = BTreeSet::new();
            for (namespace, name, field) in &front {
                let Some(entity) = node::entity(view, namespace, name) else { continue };
                for reader in dataset::readers(view, entity) {
                    for column in self.fields(reader)? {
                        let data = self.data(&column)?;
                        let from_it = |s: &Source| (&s.namespace, &s.dataset, &s.field) == (namespace, name, field);
                        if data.input_fields.iter().any(from_it) && !self.nodes.contains_key(&column) {
                            next.insert(column.clone());
                            self.nodes.insert(column, data);
                        }
                    }
                }
            }
            if next.is_empty() || self.nodes.len() >= NODES_MAX {
                break;
            }
            front = next;
        }
        Ok(())
    }

    fn data(&mut self, (namespace, name, field): &Column) -> Result<Data> {
        let known = match node::entity(self.reads.view, namespace, name) {
            Some(entity) => Some(self.known(entity)?),
            None => None,
        };
        let sources = known.as_ref().and_then(|known| known.lineage.fields.get(field));
        let first = sources.and_then(|s| s.input_fields.iter().flat_map(|input| &input.transformations).next());
        let of_first = |read: fn(&Transformation) -> &Option<String>| first.and_then(|t| read(t).clone());
        let mut input_fields: Vec<Source> = sources
            .into_iter()
            .flat_map(|s| &s.input_fields)
            .map(|s| Source { namespace: s.namespace.clone(), dataset: s.name.clone(), field: s.field.clone() })
            .collect();
        input_fields.sort();
        input_fields.dedup();
        Ok(Data {
            namespace: namespace.clone(),
            dataset: name.clone(),
            dataset_version: known.as_ref().map(|known| known.version.clone()),
            field: field.clone(),
            field_type: known.as_ref().and_then(|known| known.types.get(field).cloned()),
            transformation_description: sources
                .and_then(|s| s.transformation_description.clone())
                .or_else(|| of_first(|t| &t.description)),
            transformation_type: sources
                .and_then(|s| s.transformation_type.clone())
                .or_else(|| of_first(|t| &t.subtype))
                .or_else(|| of_first(|t| &t.r#type)),
            input_fields,
        })
    }

    fn graph(self) -> ColumnGraph {
        let id = |(namespace, dataset, field): &Column| node::field_id(namespace, dataset, field);
        let mut into: BTreeMap<String, Vec<Edge>> = BTreeMap::new();
        let mut out: BTreeMap<String, Vec<Edge>> = BTreeMap::new();
        for (column, data) in &self.nodes {
            for source in &data.input_fields {
                let source = (source.namespace.clone(), source.dataset.clone(), source.field.clone());
                if self.nodes.contains_key(&source) {
                    let edge = Edge { origin: id(&source), destination: id(column) };
                    into.entry(id(column)).or_default().push(edge.clone());
                    out.entry(id(&source)).or_default().push(edge);
                }
            }
        }
        let node = |(column, data)| {
            let id = id(&column);
            let (in_edges, out_edges) = (into.remove(&id).unwrap_or_default(), out.remove(&id).unwrap_or_default());
            Node { id, r#type: "DATASET_FIELD", data, in_edges, out_edges }
        };
        ColumnGraph { graph: self.nodes.into_iter().map(node).collect() }
    }
}
