//! What Marquez answers when it is read, as pure functions of a view, so that the scripts of its users keep working.
//!
//! The shapes are those of its `OpenAPI` file. A dataset is here whatever has a version, a job whatever has a run or was
//! registered. Versions have numbers here and UUIDs there, which are made from the name and the number.

mod column;
mod dataset;
mod event;
mod facets;
mod graph;
mod job;
mod namespace;
mod node;
mod run;
mod search;

use lineage_store::digest::Blake3;
use lineage_store::event::Event;
use lineage_store::graph::{Position, View};
use lineage_store::time::Time;
use lineage_store::{Result, StoreError};

pub use column::{ColumnGraph, columns};
pub use dataset::{Dataset, DatasetList, DatasetVersion, VersionList, dataset, datasets, versions};
pub use event::{EventList, Window, events};
pub use graph::{Graph, graph};
pub use job::{Job, JobList, job, jobs};
pub use namespace::{Namespace, NamespaceList, namespaces};
pub use node::NodeId;
pub use run::{Run, RunList, run, runs};
pub use search::{Search, SearchList, search};

/// Marquez answers so many members of a list where nothing else is asked for.
pub const LIMIT: usize = 100;
/// The most members of one answer.
pub const LIMIT_MAX: usize = 1000;
/// The depth of a graph where nothing else is asked for.
pub const DEPTH: usize = 20;
/// The most nodes of a graph; beyond them nobody can read it.
pub const NODES_MAX: usize = 5000;

/// What is read: a view, whole events by position, and what was moved out of them.
pub struct Reads<'a> {
    /// What was recorded by some position and had happened by some instant.
    pub view: &'a View,
    /// Reads a whole event.
    pub event: &'a dyn Fn(Position) -> Result<Event>,
    /// Reads the values that were moved out of an event and belong to nobody, by their paths; without those erased.
    pub outlined: &'a dyn Fn(Position) -> Result<Vec<(String, Vec<u8>)>>,
}

/// Which members of a list are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// So many are left out.
    pub offset: usize,
    /// So many at most.
    pub limit: usize,
}

impl Page {
    /// The members of this page.
    fn of<T>(self, list: impl IntoIterator<Item = T>) -> Vec<T> {
        list.into_iter().skip(self.offset).take(self.limit).collect()
    }
}

impl Reads<'_> {
    /// When an event was recorded, as text.
    fn recorded(&self, position: Position) -> String {
        self.view.recorded(position).to_string()
    }

    /// When an event happened, as text.
    fn occurred(&self, position: Position) -> String {
        self.view.time(position).to_string()
    }

    fn time(&self, position: Position) -> Time {
        self.view.time(position)
    }
}

/// A UUID (version 8 of RFC 9562) that stands for a text, always the same.
fn uuid(text: &str) -> String {
    let mut hex = Blake3::of(text.as_bytes()).hex();
    hex.truncate(32);
    let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..]);
    format!("{a}-{b}-8{c}-8{d}-{e}")
}

/// The UUID of a version.
fn version_uuid(namespace: &str, name: &str, number: u32) -> String {
    uuid(&format!("{}:{namespace}{}:{name}@v{number}", namespace.len(), name.len()))
}

/// What cannot be, as everything that is read was written by us.
fn unreadable(what: &str) -> StoreError {
    StoreError::Refused(lineage_store::event::Refusal::whole(what))
}
