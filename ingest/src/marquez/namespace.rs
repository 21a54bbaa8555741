//! Namespaces: of jobs and of datasets.

use std::collections::BTreeMap;

use lineage_store::graph::Position;
use serde::Serialize;

use super::{Page, Reads, node};

/// A namespace.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Namespace {
    /// Its name.
    pub name: String,
    created_at: String,
    updated_at: String,
    owner_name: String,
    description: Option<String>,
    is_hidden: bool,
}

/// Some namespaces.
#[derive(Clone, Debug, Serialize)]
pub struct NamespaceList {
    namespaces: Vec<Namespace>,
}

impl NamespaceList {
    /// The first of them.
    pub fn into_first(self) -> Option<Namespace> {
        self.namespaces.into_iter().next()
    }
}

/// The namespaces that may be seen, by name.
pub fn namespaces(reads: &Reads<'_>, page: Page, may_see: &dyn Fn(&str) -> bool) -> NamespaceList {
    let view = reads.view;
    let mut found: BTreeMap<&str, (Position, Position)> = BTreeMap::new();
    let mut add = |name, event: Position| {
        let span = found.entry(name).or_insert((event, event));
        *span = (span.0.min(event), span.1.max(event));
    };
    for event in (0..view.count()).filter(|event| view.sees(*event)) {
        add(view.text(view.namespace(event)), event);
    }
    for entity in 0..view.n_entities() {
        let minted = view.versions(entity).into_iter().filter(|version| view.has_version(*version));
        minted.for_each(|version| add(view.entity_namespace(entity), view.mint(version)));
    }
    let named = |(name, (first, last)): (&str, (Position, Position))| Namespace {
        name: name.to_owned(),
        created_at: reads.recorded(first),
        updated_at: reads.recorded(last),
        owner_name: node::ANONYMOUS.to_owned(),
        description: None,
        is_hidden: false,
    };
    NamespaceList { namespaces: page.of(found.into_iter().filter(|(name, _)| may_see(name)).map(named)) }
}
