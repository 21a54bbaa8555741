//! The graph of datasets and jobs around a node.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lineage_store::Result;
use lineage_store::graph::{EntityId, Symbol, View};
use serde::Serialize;

use super::dataset::{self, Dataset, Tags};
use super::job::{self, Job, Jobs, Summary};
use super::{NODES_MAX, NodeId, Reads, node, run};

/// A graph.
#[derive(Clone, Debug, Serialize)]
pub struct Graph {
    graph: Vec<Node>,
}

/// A node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: String,
    r#type: &'static str,
    data: Data,
    in_edges: Vec<Edge>,
    out_edges: Vec<Edge>,
}

/// What a node stands for.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Data {
    Dataset(Box<Dataset>),
    Job(Box<Job>),
}

/// An edge, by the ids of its ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Edge {
    pub(super) origin: String,
    pub(super) destination: String,
}

/// A node before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Dataset(EntityId),
    Job(Symbol, Symbol),
}

/// Which jobs read and write which datasets, by the newest run of each.
#[derive(Default)]
struct Edges {
    into: HashMap<Key, BTreeSet<Key>>,
    out: HashMap<Key, BTreeSet<Key>>,
}

impl Edges {
    fn of(reads: &Reads<'_>, jobs: &Jobs<'_>) -> Self {
        let view = reads.view;
        let mut edges = Self::default();
        for (key, summary) in keyed(view, jobs) {
            let (inputs, outputs) = run::ends(reads, &summary.telling(view));
            for version in inputs {
                edges.add(Key::Dataset(view.entity(version)), key);
            }
            for version in outputs {
                edges.add(key, Key::Dataset(view.entity(version)));
            }
        }
        edges
    }

    fn add(&mut self, from: Key, to: Key) {
        self.out.entry(from).or_default().insert(to);
        self.into.entry(to).or_default().insert(from);
    }

    /// The nodes within so many steps, in both directions.
    fn around(&self, start: Key, depth: usize) -> BTreeSet<Key> {
        let mut all = BTreeSet::from([start]);
        for edges in [&self.into, &self.out] {
            let (mut seen, mut front) = (BTreeSet::from([start]), vec![start]);
            for _ in 0..depth {
                let next = front.iter().filter_map(|key| edges.get(key)).flatten().copied();
                front = next.filter(|key| seen.len() < NODES_MAX && seen.insert(*key)).collect();
                if front.is_empty() {
                    break;
                }
            }
            all.append(&mut seen);
        }
        all
    }
}

fn keyed<'s>(view: &View, jobs: &'s Jobs<'_>) -> impl Iterator<Item = (Key, &'s Summary)> {
    let key = |namespace, name| Key::Job(view.symbol(namespace).unwrap_or(0), view.symbol(name).unwrap_or(0));
    jobs.iter().map(move |(namespace, name, summary)| (key(namespace, name), summary)).collect::<Vec<_>>().into_iter()
}

/// What is up and down of a node, within so many steps from a job to a dataset or back.
pub fn graph(reads: &Reads<'_>, node: &NodeId, depth: usize) -> Result<Graph> {
    let view = reads.view;
    let start = match node {
        NodeId::Dataset(entity) | NodeId::Field(entity, _) => Key::Dataset(*entity),
        NodeId::Job(namespace, name) => Key::Job(*namespace, *name),
    };
    let jobs = Jobs::of(view);
    let edges = Edges::of(reads, &jobs);
    let keys = edges.around(start, depth);
    let ids: BTreeMap<Key, String> = keys.iter().map(|key| (*key, id(view, *key))).collect();
    let between = |key: &Key, edges: &HashMap<Key, BTreeSet<Key>>| -> Vec<String> {
        edges.get(key).into_iter().flatten().filter_map(|other| ids.get(other).cloned()).collect()
    };
    let tags = Tags::of(view);
    let mut graph = Vec::with_capacity(keys.len());
    for (key, id) in &ids {
        let (r#type, data) = match key {
            Key::Dataset(entity) => ("DATASET", Data::Dataset(Box::new(dataset::of_entity(reads, *entity, &tags)?))),
            Key::Job(namespace, name) => {
                let (namespace, name) = (view.text(*namespace), view.text(*name));
                let Some(summary) = jobs.find(namespace, name) else { continue };
                ("JOB", Data::Job(Box::new(job::of_summary(reads, namespace, name, summary, job::LATEST_RUN)?)))
            }
        };
        let edge =
            |origin: &String, destination: &String| Edge { origin: origin.clone(), destination: destination.clone() };
        graph.push(Node {
            id: id.clone(),
            r#type,
            data,
            in_edges: between(key, &edges.into).iter().map(|other| edge(other, id)).collect(),
            out_edges: between(key, &edges.out).iter().map(|other| edge(id, other)).collect(),
        });
    }
    Ok(Graph { graph })
}

fn id(view: &View, key: Key) -> String {
    match key {
        Key::Dataset(entity) => node::dataset_id(view.entity_namespace(entity), view.entity_name(entity)),
        Key::Job(namespace, name) => node::job_id(view.text(namespace), view.text(name)),
    }
}
