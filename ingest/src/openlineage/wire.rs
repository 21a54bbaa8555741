//! Reading JSON by hand, so that every refusal names the path of the field.

use std::borrow::Cow;
use std::fmt;

use lineage_store::event::{Refusal, canonical};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::split;

/// The path of a value, spelled only when something is refused.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    up: Option<&'a At<'a>>,
    key: &'a str,
    index: Option<usize>,
}

/// The path of the document itself.
pub(super) static ROOT: At<'static> = At { up: None, key: "", index: None };

impl<'a> At<'a> {
    /// A member of this object.
    pub(super) fn key(&'a self, key: &'a str) -> At<'a> {
        At { up: Some(self), key, index: None }
    }

    /// An element of this list.
    pub(super) fn index(&'a self, index: usize) -> At<'a> {
        At { up: Some(self), key: "", index: Some(index) }
    }

    /// A refusal of the value at this path.
    pub(super) fn refuse(&self, what: impl Into<String>) -> Refusal {
        Refusal::at(self.to_string(), what)
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(up) = self.up else { return Ok(()) };
        up.fmt(f)?;
        match self.index {
            Some(index) => write!(f, "[{index}]"),
            None if up.up.is_none() => f.write_str(self.key),
            None => write!(f, ".{}", self.key),
        }
    }
}

/// The text of a received document, which is UTF-8.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes)
        .map_err(|error| Refusal::whole(format!("is not UTF-8 from byte {} on", error.valid_up_to())))
}

/// The text with Python's NaN as a string, if only that makes it valid JSON; `None` if it is valid as it stands.
pub(super) fn mended(text: &str) -> Result<Option<String>, Refusal> {
    let Err(error) = serde_json::from_str::<&RawValue>(text) else { return Ok(None) };
    let quoted = canonical::quote_non_finite(text).filter(|quoted| serde_json::from_str::<&RawValue>(quoted).is_ok());
    quoted.map(Some).ok_or_else(|| Refusal::whole(format!("is no JSON: {error}")))
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Up to so many keys are compared with each other rather than sorted.
const FEW: usize = 8;

/// The members of one object: decoded key and JSON text of the value.
#[derive(Default)]
pub(super) struct Object<'a>(pub(super) Vec<(Cow<'a, str>, &'a str)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(key), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    members.push((key, value.get()));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl<'a> Object<'a> {
    /// Reads a document that is an object without duplicate keys; everything in it is valid JSON then.
    pub(super) fn document(text: &'a str) -> Result<Self, Refusal> {
        if !text.starts_with('{') {
            return Err(ROOT.refuse("must be an object"));
        }
        let object: Self = serde_json::from_str(text).map_err(|error| ROOT.refuse(error.to_string()))?;
        object.without_duplicates(&ROOT)
    }

    /// Reads an object without duplicate keys that is part of a valid document.
    pub(super) fn read(text: &'a str, at: &At<'_>) -> Result<Self, Refusal> {
        if !text.starts_with('{') {
            return Err(at.refuse("must be an object"));
        }
        let mut parts = Parts::new(text);
        let mut members = Vec::new();
        while let Some(key) = parts.next() {
            let key = string(key, at)?;
            let value = parts.next().ok_or_else(|| at.refuse("is no valid object"))?;
            members.push((key, value));
        }
        Self(members).without_duplicates(at)
    }

    fn without_duplicates(self, at: &At<'_>) -> Result<Self, Refusal> {
        let twice = if self.0.len() <= FEW {
            let is_again = |(i, (key, _)): &(usize, &(Cow<'a, str>, &str))| self.0[..*i].iter().any(|(k, _)| k == key);
            self.0.iter().enumerate().find(is_again).map(|(_, (key, _))| key.as_ref())
        } else {
            let mut keys: Vec<_> = self.0.iter().map(|(key, _)| key.as_ref()).collect();
            keys.sort_unstable();
            keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
        };
        match twice {
            Some(key) => Err(at.key(key).refuse("appears twice")),
            None => Ok(self),
        }
    }

    /// A member; null counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value).filter(|value| *value != "null")
    }

    /// A member that is an object.
    pub(super) fn object(&self, key: &str, at: &At<'_>) -> Result<Option<Self>, Refusal> {
        self.get(key).map(|text| Self::read(text, &at.key(key))).transpose()
    }

    /// A member that is an object and must be there.
    pub(super) fn required(&self, key: &str, at: &At<'_>) -> Result<Self, Refusal> {
        self.object(key, at)?.ok_or_else(|| at.key(key).refuse("is required"))
    }

    /// The elements of a member that is a list; absent is empty.
    pub(super) fn list(&self, key: &str, at: &At<'_>) -> Result<Vec<&'a str>, Refusal> {
        let Some(text) = self.get(key) else { return Ok(Vec::new()) };
        let at = at.key(key);
        if !text.starts_with('[') {
            return Err(at.refuse("must be a list"));
        }
        Ok(Parts::new(text).collect())
    }

    /// The elements of a member that is a list of objects, each read by `read`.
    pub(super) fn objects<T>(
        &self,
        key: &str,
        at: &At<'_>,
        mut read: impl FnMut(&Self, &At<'_>) -> Result<T, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        let list_at = at.key(key);
        let elements = self.list(key, at)?;
        let read_one = |(i, text)| {
            let at = list_at.index(i);
            read(&Self::read(text, &at)?, &at)
        };
        elements.into_iter().enumerate().map(read_one).collect()
    }

    /// A member that is a string.
    pub(super) fn text(&self, key: &str, at: &At<'_>) -> Result<Option<Cow<'a, str>>, Refusal> {
        let Some(text) = self.get(key) else { return Ok(None) };
        if !text.starts_with('"') {
            return Err(at.key(key).refuse("must be a string"));
        }
        string(text, &at.key(key)).map(Some)
    }

    /// A member that names something: a string that is there, not empty and no unfilled placeholder.
    pub(super) fn name(&self, key: &str, at: &At<'_>) -> Result<Cow<'a, str>, Refusal> {
        let text = self.text(key, at)?.ok_or_else(|| at.key(key).refuse("is required"))?;
        if text.is_empty() {
            return Err(at.key(key).refuse("must not be empty"));
        }
        if is_placeholder(&text) {
            return Err(at.key(key).refuse(format!("`{text}` is an unfilled placeholder of a template")));
        }
        Ok(text)
    }

    /// A member that is a whole number; `None` also for one that no count can have (negative, over 2^53).
    pub(super) fn count(&self, key: &str, at: &At<'_>) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.get(key) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(number) if number.fract() == 0.0 => {
                let possible = (0.0..=9_007_199_254_740_992.0).contains(&number);
                Ok(possible.then(|| text.parse().unwrap_or(number as u64)).filter(|count| *count <= 1 << 53))
            }
            _ => Err(at.key(key).refuse("must be a whole number")),
        }
    }

    /// The members whose keys are not among those known.
    pub(super) fn others<'s>(&'s self, known: &'s [&str]) -> impl Iterator<Item = (&'s str, &'a str)> + 's {
        self.0.iter().filter(|(key, _)| !known.contains(&key.as_ref())).map(|(key, value)| (key.as_ref(), *value))
    }
}

/// The text of a JSON string.
fn string<'a>(json: &'a str, at: &At<'_>) -> Result<Cow<'a, str>, Refusal> {
    match json.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) if !text.contains('\\') => Ok(Cow::Borrowed(text)),
        _ => serde_json::from_str(json).map(|Text(text)| text).map_err(|error| at.refuse(error.to_string())),
    }
}

/// The keys and values of an object, or the elements of a list, in valid JSON, each as its text.
///
/// A document is looked at once by a parser; below that only brackets and quotes are counted.
struct Parts<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parts<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 1 }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at)?, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') {
            self.at += 1;
        }
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'"' => {
                    self.at = split::string_end(bytes, self.at)?;
                    if depth == 0 {
                        break;
                    }
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth <= 1 => {
                    // At depth 0 it closes what is around, after a number or a word, or after nothing.
                    self.at -= 1 - depth;
                    break;
                }
                b'}' | b']' => depth -= 1,
                b',' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => {
                    self.at -= 1;
                    break;
                }
                _ => {}
            }
        }
        (self.at > start).then(|| &self.text[start..self.at])
    }
}

/// Whether a text is nothing but a template's placeholder, as in `{{ any(result) }}` or `${json-unit.any-string}`.
fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    (text.starts_with("{{") && text.ends_with("}}")) || text.contains("${json-unit.")
}
