//! Declared inputs and outputs: `dataset:NAME=GLOB`, `NAME=PATH`, `dataset:PATH` or `PATH`.

use std::fmt;

use lineage_store::event::EntityKind;

/// What the caller said a run reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The kind of thing, where it was said.
    pub kind: Option<EntityKind>,
    /// Its name, where it was said.
    pub name: Option<String>,
    /// A file, a folder, or a pattern of files.
    pub pattern: String,
}

impl Declared {
    /// Reads a declaration; the error says what is wrong and how to write it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, rest) = split_kind(text)?;
        // `data/year=2026/a.csv` is a path; a name with a slash needs its kind before it.
        let named = rest.split_once('=').filter(|(name, _)| kind.is_some() || !name.contains('/'));
        let (name, pattern) = match named {
            Some((name, pattern)) => (Some(name), pattern),
            None => (None, rest),
        };
        if name.is_some_and(|name| name.is_empty() || name.chars().any(char::is_control)) {
            return Err(format!(
                "`{text}` has no valid name before `=`; write dataset:NAME=PATH, or ./PATH for a path with `=`"
            ));
        }
        if pattern.is_empty() || pattern.contains('\0') {
            return Err(format!("`{text}` has no path; write dataset:NAME=PATH, NAME=PATH or PATH"));
        }
        if pattern.split('/').next().is_some_and(|scheme| scheme.len() > 2 && scheme.ends_with(':')) {
            return Err(format!("`{text}` is no local path; only local files can be hashed"));
        }
        Ok(Self { kind, name: name.map(str::to_owned), pattern: pattern.to_owned() })
    }
}

impl fmt::Display for Declared {
    /// As it was written: `dataset:NAME=GLOB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.kind {
            write!(f, "{kind}:")?;
        }
        if let Some(name) = &self.name {
            write!(f, "{name}=")?;
        }
        f.write_str(&self.pattern)
    }
}

fn split_kind(text: &str) -> Result<(Option<EntityKind>, &str), String> {
    let Some((word, rest)) = text.split_once(':') else { return Ok((None, text)) };
    if let Some(kind) = EntityKind::from_word(word) {
        return Ok((Some(kind), rest));
    }
    let is_word = !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    if is_word && rest.contains('=') && !rest.starts_with("//") {
        let kinds: Vec<_> = EntityKind::ALL.iter().map(|k| k.as_str()).collect();
        return Err(format!("`{word}` in `{text}` is no kind; valid are {}", kinds.join(", ")));
    }
    Ok((None, text))
}

/// The kind that the ending of a path shows.
pub(super) fn kind_of_path(path: &str) -> EntityKind {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("pkl" | "joblib" | "onnx" | "safetensors" | "pt") => EntityKind::Model,
        Some("csv" | "parquet" | "json") => EntityKind::Dataset,
        _ => EntityKind::Artifact,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Option<EntityKind>, Option<String>, String) {
        let declared = Declared::parse(text).expect(text);
        (declared.kind, declared.name, declared.pattern)
    }

    #[test]
    fn declarations_parse() {
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(parsed("dataset:raw=data/*.csv"), (Some(EntityKind::Dataset), named("raw"), "data/*.csv".into()));
        assert_eq!(parsed("model:a/b=m.pkl"), (Some(EntityKind::Model), named("a/b"), "m.pkl".into()));
        for text in ["dataset:raw=data/*.csv", "raw=a.csv", "model:m.bin", "m.bin"] {
            assert_eq!(Declared::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(parsed("raw=a=b.csv"), (None, named("raw"), "a=b.csv".into()));
        assert_eq!(parsed("model:m.bin"), (Some(EntityKind::Model), None, "m.bin".into()));
        assert_eq!(parsed("data/year=2026/a.csv"), (None, None, "data/year=2026/a.csv".into()));
        assert_eq!(parsed("./a=b.csv"), (None, None, "./a=b.csv".into()));
        assert_eq!(parsed("dir/a:b.csv"), (None, None, "dir/a:b.csv".into()));
        for (bad, why) in [
            ("modle:churn=m.pkl", "no kind; valid are dataset, model"),
            ("=m.pkl", "name"),
            ("model:=m.pkl", "name"),
            ("churn=", "no path"),
            ("", "no path"),
            ("dataset:", "no path"),
            ("raw=s3://bucket/x.csv", "no local path"),
            ("https://host/x.csv", "no local path"),
        ] {
            let error = Declared::parse(bad).expect_err(bad);
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn endings_show_kinds() {
        assert_eq!(kind_of_path("a.b/model.PKL"), EntityKind::Model);
        assert_eq!(kind_of_path("data/*.csv"), EntityKind::Dataset);
        assert_eq!(kind_of_path("data.csv/model"), EntityKind::Artifact);
    }
}
