//! Masking an event: every text that the command or its surroundings say, and nothing else.

use std::borrow::Cow;

use lineage_store::digest::Blake3;
use lineage_store::event::{About, Event, Json, Ref};
use serde_json::{Map, Value, json};

use super::Secrets;
use crate::run::redact::REDACTED;

impl Secrets {
    fn mask_in(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.mask(text) {
            *text = clean;
        }
    }

    fn mask_reference(&self, reference: &mut Ref) {
        let Ref { namespace, name, version, label, .. } = reference;
        for text in [namespace, name, version, label].into_iter().flatten() {
            self.mask_in(text);
        }
    }

    fn mask_json(&self, json: &mut Json) {
        if !self.knows(json.as_str()) {
            return;
        }
        if let Ok(mut value) = serde_json::from_str(json.as_str()) {
            self.mask_value(&mut value);
            // A value that was JSON stays JSON.
            *json = Json::from_value(&value).unwrap_or_default();
        }
    }

    /// Measurements stay numbers: one that is a secret is left out.
    fn mask_metrics(&self, json: &mut Json) {
        if !self.knows(json.as_str()) {
            return;
        }
        let Ok(Value::Object(metrics)) = serde_json::from_str(json.as_str()) else { return };
        let kept = metrics.into_iter().filter(|(_, value)| !self.is_secret(value));
        let masked: Map<String, Value> = kept.map(|(key, value)| (self.mask(&key).into_owned(), value)).collect();
        *json = Json::from_value(&Value::Object(masked)).unwrap_or_default();
    }

    fn knows(&self, text: &str) -> bool {
        !self.forms.find(text.as_bytes()).is_empty()
    }

    /// Whether a number is a secret as a whole; the digits of a short one stand in many numbers.
    fn is_secret(&self, value: &Value) -> bool {
        let text = value.to_string();
        value.is_number() && self.mask(&text) == REDACTED
    }

    fn mask_value(&self, value: &mut Value) {
        match value {
            // The digits of a short secret stand in many digests, which say nothing about it.
            Value::String(text) if is_digest(text) => {}
            Value::String(text) => self.mask_in(text),
            Value::Array(list) => list.iter_mut().for_each(|value| self.mask_value(value)),
            Value::Object(object) => {
                let entries = std::mem::take(object);
                object.extend(entries.into_iter().map(|(key, mut value)| {
                    self.mask_value(&mut value);
                    (self.mask(&key).into_owned(), value)
                }));
            }
            Value::Number(_) if self.is_secret(value) => *value = json!(REDACTED),
            _ => {}
        }
    }

    /// Masks every text of an event; nothing that the command or its surroundings say is written around this.
    pub(crate) fn mask_event(&self, event: &mut Event) {
        if self.is_empty() {
            return;
        }
        let one = [&mut event.actor, &mut event.namespace];
        let options = [&mut event.job, &mut event.environment, &mut event.service];
        one.into_iter().chain(options.into_iter().flatten()).chain(&mut event.tags).for_each(|t| self.mask_in(t));
        event.inputs.iter_mut().for_each(|input| self.mask_reference(&mut input.reference));
        event.outputs.iter_mut().for_each(|output| self.mask_reference(&mut output.reference));
        for about in &mut event.about {
            if let About::Thing(reference) = about {
                self.mask_reference(reference);
            }
        }
        for json in [&mut event.params, &mut event.code, &mut event.software, &mut event.facets] {
            self.mask_json(json);
        }
        self.mask_metrics(&mut event.metrics);
    }
}

/// Whether a text is a blake3 digest as we write it.
fn is_digest(text: &str) -> bool {
    text.strip_prefix("b3:").is_some_and(|hex| Blake3::from_hex(hex).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_a_short_secret_spoil_no_numbers() {
        let secrets = Secrets::of(&[("PIN", "1234")]);
        let mut event = Event::new(lineage_store::event::Kind::Training, "ana".to_owned());
        event.run = Some("r-1".to_owned());
        event.metrics = Json::from_value(&json!({"loss": 0.1234, "pin": 1234})).expect("JSON");
        let digest = format!("b3:{}", "1234".repeat(16));
        event.facets = Json::from_value(&json!({"size": 51234, "digest": digest, "pin": 1234})).expect("JSON");
        secrets.mask_event(&mut event);
        assert_eq!(event.metrics.as_str(), r#"{"loss":0.1234}"#);
        let want = json!({"size": 51234, "digest": digest, "pin": REDACTED});
        assert_eq!(serde_json::from_str::<Value>(event.facets.as_str()).expect("JSON"), want);
        event.check().expect("it can still be recorded");
    }

    #[test]
    fn no_text_of_an_event_keeps_a_secret() {
        let secrets = Secrets::of(&[("A", "hunter2"), ("B", "987654321")]);
        let mut event = Event::new(lineage_store::event::Kind::Transform, "hunter2".to_owned());
        event.job = Some("job-hunter2".to_owned());
        event.run = Some("r-1".to_owned());
        event.tags = vec!["aHVudGVyMg".to_owned()];
        event.params = Json::from_value(&json!({"hunter2": ["x hunter2", {"n": 987_654_321}]})).expect("JSON");
        event.facets = Json::from_value(&json!({"a": "hunter2"})).expect("JSON");
        secrets.mask_event(&mut event);
        let text = format!("{event:?}");
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVy") && !text.contains("987654321"), "{text}");
        event.check().expect("it can still be recorded");
        assert_eq!(secrets.describe().expect("described")["masked"].as_u64().map(|n| n >= 6), Some(true));
    }
}
