//! What steps pass on: equal values of several branches are one, others stand side by side.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::run::Values;

/// A value and the step that gave it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Carried {
    /// The index of the step.
    pub(super) step: usize,
    /// The value, which every step after it sees, so that there may be very many of it.
    pub(super) value: Arc<Value>,
}

/// The values that reach a step, by name; each source with its own value once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Merged(BTreeMap<String, Vec<Carried>>);

impl Merged {
    /// What several steps or branches pass on together, in their order.
    pub(super) fn of<'m>(parts: impl Iterator<Item = &'m Self>) -> Self {
        let mut merged = Self::default();
        // Of ten thousand branches each may have its own value, so they are not compared one by one.
        let mut known: HashSet<(&str, usize, &Value)> = HashSet::new();
        for (name, carried) in parts.flat_map(Self::all) {
            if known.insert((name, carried.step, &*carried.value)) {
                merged.0.entry(name.to_owned()).or_default().push(carried.clone());
            }
        }
        merged
    }

    /// Only what some steps gave.
    pub(super) fn only(&self, is_wanted: impl Fn(usize) -> bool) -> Self {
        let kept = self.0.iter().map(|(name, values)| {
            let values = values.iter().filter(|carried| is_wanted(carried.step)).cloned().collect::<Vec<_>>();
            (name.clone(), values)
        });
        Self(kept.filter(|(_, values)| !values.is_empty()).collect())
    }

    /// What a step saw and gave, as the steps after it see it: its own values stand before older ones.
    pub(super) fn with(mut self, step: usize, own: &Values) -> Self {
        for (name, value) in own {
            self.0.insert(name.clone(), vec![Carried { step, value: Arc::new(value.clone()) }]);
        }
        self
    }

    /// A value on which all agree that have it.
    pub(super) fn agreed_on(&self, name: &str) -> Option<&Value> {
        let (first, rest) = self.0.get(name)?.split_first()?;
        rest.iter().all(|other| other.value == first.value).then_some(&*first.value)
    }

    /// Whether there is a value of this name at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Values on which all agree that have them.
    pub(super) fn agreed(&self) -> Values {
        self.0.keys().filter_map(|name| Some((name.clone(), self.agreed_on(name)?.clone()))).collect()
    }

    /// Names with different values.
    pub(super) fn differing(&self) -> BTreeMap<&str, Vec<&Value>> {
        let differing = self.0.iter().filter(|(name, _)| self.agreed_on(name).is_none());
        differing
            .map(|(name, values)| (name.as_str(), values.iter().map(|carried| &*carried.value).collect()))
            .collect()
    }

    /// Every value with its name.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Carried)> {
        self.0.iter().flat_map(|(name, values)| values.iter().map(move |carried| (name.as_str(), carried)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Values {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn equal_values_merge_and_others_stand_side_by_side() {
        let one = Merged::default().with(1, &object(&json!({ "x": 1, "y": 2 })));
        let two = Merged::default().with(2, &object(&json!({ "x": 1, "y": 3 })));
        let merged = Merged::of([&one, &two, &two].into_iter());
        assert_eq!(merged.agreed(), object(&json!({ "x": 1 })));
        assert_eq!(merged.differing(), BTreeMap::from([("y", vec![&json!(2), &json!(3)])]));
        assert_eq!(merged.all().count(), 4);
        let own = merged.with(3, &object(&json!({ "y": 4 })));
        assert_eq!((own.agreed(), own.differing().len()), (object(&json!({ "x": 1, "y": 4 })), 0));
    }
}
