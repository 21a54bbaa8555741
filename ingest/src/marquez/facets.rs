//! Facets as they were sent: cut from the flat names under which events keep them, values to the byte.

use std::collections::BTreeMap;

use lineage_store::Result;
use lineage_store::event::Event;
use lineage_store::graph::Position;
use serde_json::value::RawValue;

use super::{Reads, unreadable};

/// Facets by their names.
pub(super) type Facets = BTreeMap<String, Box<RawValue>>;

/// Every facet of an event under its flat name, those included that were moved out of it.
pub(super) fn all(reads: &Reads<'_>, position: Position, event: &Event) -> Result<Facets> {
    let mut facets = Facets::new();
    for (key, value) in event.facets.members() {
        facets.insert(key.into_owned(), raw(value)?);
    }
    if event.outlined.is_empty() {
        return Ok(facets);
    }
    for (path, bytes) in (reads.outlined)(position)? {
        let Some(key) = path.strip_prefix("facets.") else { continue };
        if let Ok(text) = std::str::from_utf8(&bytes) {
            facets.insert(key.to_owned(), raw(text)?);
        }
    }
    Ok(facets)
}

/// A value as it stands.
pub(super) fn raw(text: &str) -> Result<Box<RawValue>> {
    // NaN and the infinities are kept in events; outside they are texts.
    let text = lineage_store::event::canonical::quote_non_finite(text).unwrap_or_else(|| text.to_owned());
    RawValue::from_string(text).map_err(|_| unreadable("a facet is no JSON"))
}

/// The facets whose flat names begin with a prefix, by the rest of it.
pub(super) fn under(facets: &Facets, prefix: &str) -> Facets {
    facets.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone()))).collect()
}

/// A member of a facet.
pub(super) fn member(facets: &Facets, facet: &str, member: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(facets.get(facet)?.get()).ok()?;
    value.get(member)?.as_str().map(str::to_owned)
}
