//! The document of `LINEAGE_IN`, made again from the parameters of the pipeline and the values that reached a step.

use std::collections::BTreeMap;

use lineage_store::artifact::Artifacts;
use serde_json::{Map, Value, json};

use super::recorded::{StepSaid, b3};
use crate::run::{VALUE_BYTES_MAX, Values};

impl StepSaid {
    /// What the step could read, without run, step and attempt; the error names what is missing.
    pub(super) fn document(&self, artifacts: &Artifacts) -> Result<Value, String> {
        let (mut agreed, mut differing) = (Values::new(), BTreeMap::new());
        for (name, digests) in &self.values {
            let values = digests.iter().map(|digest| value(name, digest, artifacts));
            let values = values.collect::<Result<Vec<Value>, String>>()?;
            match values.split_first() {
                Some((first, rest)) if rest.iter().all(|other| other == first) => {
                    agreed.insert(name.clone(), first.clone());
                }
                Some(_) => drop(differing.insert(name, values)),
                None => {}
            }
        }
        let mut document = json!({ "params": self.params, "values": agreed, "differing": differing });
        let rest: Map<String, Value> = serde_json::from_str(&self.document).unwrap_or_default();
        for (key, value) in rest {
            document[key] = value;
        }
        Ok(document)
    }
}

fn value(name: &str, digest: &str, artifacts: &Artifacts) -> Result<Value, String> {
    let lost = || format!("the value {name} ({digest}) is not kept any more");
    let bytes = artifacts.read(&b3(digest).ok_or_else(lost)?, VALUE_BYTES_MAX as u64).map_err(|_| lost())?;
    serde_json::from_slice(&bytes).map_err(|_| lost())
}
