//! Which artifacts are models and which datasets: settings, as Metaflow does not tell.

use lineage_store::event::EntityKind;
use serde::Deserialize;

/// Patterns of artifacts, as `FLOW/ARTIFACT` where `*` stands for any text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kinds {
    /// Artifacts that are models.
    pub models: Vec<String>,
    /// Artifacts that are datasets.
    pub datasets: Vec<String>,
}

impl Kinds {
    /// The kind of an artifact, by its full name.
    pub(super) fn of(&self, name: &str) -> EntityKind {
        let is_one = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, name));
        if is_one(&self.models) {
            EntityKind::Model
        } else if is_one(&self.datasets) {
            EntityKind::Dataset
        } else {
            EntityKind::Artifact
        }
    }
}

/// Whether a text fits a pattern; `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, fits) in [
            ("MyFlow/model", "MyFlow/model", true),
            ("MyFlow/model", "MyFlow/model2", false),
            ("*/model", "MyFlow/model", true),
            ("*/model*", "MyFlow/model_v2", true),
            ("MyFlow/*", "YourFlow/x", false),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn what_no_pattern_names_is_an_artifact() {
        let kinds = Kinds { models: vec!["*/model".to_owned()], datasets: vec!["F/*".to_owned()] };
        assert_eq!(kinds.of("F/model"), EntityKind::Model);
        assert_eq!(kinds.of("F/raw"), EntityKind::Dataset);
        assert_eq!(kinds.of("G/raw"), EntityKind::Artifact);
    }
}
