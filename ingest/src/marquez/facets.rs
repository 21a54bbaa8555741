//! Facets as they were sent: cut from the flat names under which events keep them, values to the byte.

use std::collections::BTreeMap;

use lineage_store::Result;
use lineage_store::digest::Blake3;
use lineage_store::event::Event;
use serde_json::value::RawValue;

use super::{Reads, unreadable};

/// A payload begins with so many bytes of salt.
const SALT_BYTES: usize = 16;

/// Facets by their names.
pub(super) type Facets = BTreeMap<String, Box<RawValue>>;

/// Every facet of an event under its flat name, those included that were moved out of it.
pub(super) fn all(reads: &Reads<'_>, event: &Event) -> Result<Facets> {
    let mut facets = Facets::new();
    for (key, value) in event.facets.members() {
        facets.insert(key.into_owned(), raw(value)?);
    }
    for (key, value) in event.outlined.members() {
        let Some(key) = key.strip_prefix("facets.").map(str::to_owned) else { continue };
        let Some(digest) = digest_of(value) else { continue };
        // What was erased is not there any more.
        let Some(bytes) = (reads.payload)(&digest)? else { continue };
        if let Some(text) = bytes.get(SALT_BYTES..).and_then(|bytes| std::str::from_utf8(bytes).ok()) {
            facets.insert(key, raw(text)?);
        }
    }
    Ok(facets)
}

fn digest_of(outlined: &str) -> Option<Blake3> {
    let value: serde_json::Value = serde_json::from_str(outlined).ok()?;
    Blake3::from_hex(value.get("digest")?.as_str()?.strip_prefix("b3:")?)
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
