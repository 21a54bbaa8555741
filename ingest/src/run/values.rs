//! Values: what a command tells as JSON, in a file of lines or of one object.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use lineage_store::artifact::Stored;
use lineage_store::event::{EntityKind, Input, Output, Ref, Role};
use serde_json::{Map, Value};

use super::secret::Secrets;

/// The most bytes of one value; what is larger belongs into a file.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// The most bytes of all values of one step.
pub const VALUES_BYTES_MAX: u64 = 16 << 20;
/// What the name of a value may be, and that of a step or parameter.
pub const NAME_HELP: &str = "use letters, digits, `_` and `-`, and begin with a letter";

/// Values by their names.
pub type Values = Map<String, Value>;

/// Where a command may write values, and how they are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuesFile {
    /// The file, which need not come to be.
    pub path: PathBuf,
    /// The value `x` is kept as the artifact `PREFIX/x`.
    pub prefix: String,
}

/// Whether a text can be the name of a value, a step or a parameter.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.len() <= 100
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// Reads the file that a command wrote; none is no values. The error says which line is wrong and how to write it.
pub(super) fn read(path: &Path) -> Result<Values, String> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Values::new()),
        Err(error) => return Err(format!("its values cannot be read: {error}")),
        Ok(file) => file.take(VALUES_BYTES_MAX + 1).read_to_end(&mut bytes),
    }
    .map_err(|error| format!("its values cannot be read: {error}"))?;
    if bytes.len() as u64 > VALUES_BYTES_MAX {
        return Err(format!(
            "its values have more than {VALUES_BYTES_MAX} bytes; write a file and declare it as an output"
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| "its values are no UTF-8 text".to_owned())?;
    parse(&text)
}

/// A value without secrets; none if it has none.
pub(super) fn masked(value: &Value, secrets: &Secrets) -> Option<Value> {
    let text = value.to_string();
    match secrets.mask(&text) {
        Cow::Borrowed(_) => None,
        // A value that was JSON stays JSON.
        Cow::Owned(clean) => Some(serde_json::from_str(&clean).unwrap_or(Value::String(clean))),
    }
}

/// Reads one JSON object, or lines `name=JSON` and `name<<END` with a text up to `END`.
pub(super) fn parse(text: &str) -> Result<Values, String> {
    if text.trim_start().starts_with('{') {
        let whole: Values =
            serde_json::from_str(text).map_err(|error| format!("its values are no JSON object: {error}"))?;
        whole.iter().try_for_each(|(name, value)| check(name, &value.to_string()))?;
        return Ok(whole);
    }
    let mut values = Values::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |why: &str| format!("line {} of its values {why}: {}", number + 1, shortened(line));
        let (name, value) = match (line.split_once("<<"), line.split_once('=')) {
            (Some((name, end)), equals) if equals.is_none_or(|(before, _)| before.len() > name.len()) => {
                let mut text = Vec::new();
                loop {
                    match lines.next() {
                        Some((_, line)) if line == end.trim() => break,
                        Some((_, line)) => text.push(line),
                        None => return Err(wrong("opens a text that does not end")),
                    }
                }
                (name, Value::String(text.join("\n")))
            }
            (_, Some((name, value))) => {
                let value = serde_json::from_str(value.trim());
                (name, value.map_err(|_| wrong("has no JSON after `=` (a text needs quotes: name=\"text\")"))?)
            }
            _ => return Err(wrong("is neither name=JSON nor name<<END")),
        };
        let name = name.trim();
        check(name, &value.to_string())?;
        values.insert(name.to_owned(), value);
    }
    Ok(values)
}

/// A value as an output: the artifact `PREFIX/NAME` with the bytes of its JSON.
pub(super) fn output(prefix: &str, name: &str, stored: &Stored) -> Output {
    Output { reference: reference(prefix, name, stored), size: Some(stored.size), ..Output::default() }
}

/// A value as an input of whoever sees it.
pub(crate) fn input(prefix: &str, name: &str, stored: &Stored) -> Input {
    let reference = reference(prefix, name, stored);
    Input { reference, role: Role::Data, size: Some(stored.size), inferred: false }
}

fn reference(prefix: &str, name: &str, stored: &Stored) -> Ref {
    Ref {
        kind: Some(EntityKind::Artifact),
        name: Some(format!("{prefix}/{name}")),
        digest: Some(stored.digest.into()),
        digests: format!("sha256:{}", stored.sha256).parse().into_iter().collect(),
        ..Ref::default()
    }
}

fn check(name: &str, text: &str) -> Result<(), String> {
    if !is_name(name) {
        return Err(format!("`{}` is no name of a value; {}", shortened(name), NAME_HELP));
    }
    if text.len() > VALUE_BYTES_MAX {
        return Err(format!(
            "the value {name} has more than {VALUE_BYTES_MAX} bytes; write a file and declare it as an output"
        ));
    }
    Ok(())
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Values {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn values_are_lines_or_one_object() {
        assert_eq!(parse("x=0").expect("valid"), object(&json!({ "x": 0 })));
        assert_eq!(parse("x = 0.5\n\nname=\"a=b\"\n").expect("valid"), object(&json!({ "x": 0.5, "name": "a=b" })));
        assert_eq!(parse("t<<END\na=1\nb\nEND\ny=[1]\n").expect("valid"), object(&json!({ "t": "a=1\nb", "y": [1] })));
        assert_eq!(parse(" {\"a\": {\"b\": null}}").expect("valid"), object(&json!({ "a": { "b": null } })));
        assert_eq!(parse("").expect("valid"), Values::new());
    }

    #[test]
    fn wrong_values_are_refused_with_their_line() {
        for (text, why) in [
            ("x=0\ny=hello", "line 2 of its values has no JSON"),
            ("x", "line 1 of its values is neither"),
            ("a b=1", "`a b` is no name"),
            ("t<<END\nno end", "line 1 of its values opens a text"),
            ("{\"a\":1", "no JSON object"),
            ("{\"a b\":1}", "`a b` is no name"),
        ] {
            let told = parse(text).expect_err(text);
            assert!(told.contains(why), "{text}: {told}");
        }
        let large = format!("x=\"{}\"", "a".repeat(VALUE_BYTES_MAX));
        assert!(parse(&large).expect_err("too large").contains("write a file"));
    }
}
