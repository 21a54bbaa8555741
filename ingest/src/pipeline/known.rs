//! What is known of a step before it runs: the key under which its results are kept, and the first thing that differs.

use lineage_store::digest::Blake3;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cache::FORMAT;

/// What is known of a step before it runs, by name: command, folder, variables, declared inputs, values.
///
/// Nothing that differs between runs of the same work belongs here: no step id, run, attempt, tag or time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Known(Map<String, Value>);

impl Known {
    /// One more thing that is known.
    pub fn add(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// The key: the digest of the names and values in order.
    pub fn key(&self) -> Blake3 {
        // Maps of serde_json are sorted by name, and its numbers and texts have one form each.
        Blake3::of(format!("lineage cache {FORMAT}\n{}", Value::Object(self.0.clone())).as_bytes())
    }

    /// The first thing in which two differ, in words.
    pub(super) fn difference(&self, before: &Self) -> Option<String> {
        let names = self.0.keys().chain(before.0.keys());
        names
            .filter(|name| self.0.get(*name) != before.0.get(*name))
            .map(|name| told(name, before.0.get(name), self.0.get(name)))
            .next()
    }
}

/// A difference of one thing that is known; of lists, the first element.
pub(super) fn told(name: &str, before: Option<&Value>, now: Option<&Value>) -> String {
    if let (Some(Value::Array(a)), Some(Value::Array(b))) = (before, now)
        && let Some(at) = (0..a.len().max(b.len())).find(|at| a.get(*at) != b.get(*at))
    {
        return told(&format!("{name} {}", at + 1), a.get(at), b.get(at));
    }
    if let (Some(Value::Object(a)), Some(Value::Object(b))) = (before, now)
        && let Some(key) = a.keys().chain(b.keys()).find(|key| a.get(*key) != b.get(*key))
    {
        return told(&format!("{name} {key}"), a.get(key), b.get(key));
    }
    let text = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
    format!("{name} was {} and is {}", text(before), text(now))
}
