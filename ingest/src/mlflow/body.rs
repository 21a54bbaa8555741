//! What a client sends: a JSON object, or the parameters of an address that stand for one.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::error::{Code, Error};

/// The body of a request, and the variable parts of its path.
#[derive(Clone, Debug, Default)]
pub struct Body {
    json: Vec<u8>,
    parts: Vec<String>,
}

impl Body {
    /// A body that was sent; an empty one stands for an empty object.
    pub fn of_bytes(json: Vec<u8>) -> Self {
        let json = if json.trim_ascii().is_empty() { b"{}".to_vec() } else { json };
        Self { json, parts: Vec::new() }
    }

    /// The parameters of an address; one that comes again makes a list.
    pub fn of_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut object: Map<String, Value> = Map::new();
        for (key, value) in pairs {
            let value = Value::from(value);
            match object.get_mut(key) {
                None => drop(object.insert(key.to_owned(), value)),
                Some(Value::Array(list)) => list.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
        Self { json: Value::Object(object).to_string().into_bytes(), parts: Vec::new() }
    }

    /// Sets the variable parts of the path, in their order.
    #[must_use]
    pub fn with_parts(mut self, parts: Vec<String>) -> Self {
        self.parts = parts;
        self
    }

    /// A variable part of the path.
    pub(super) fn part(&self, n: usize) -> &str {
        self.parts.get(n).map_or("", String::as_str)
    }

    /// The bytes of the object.
    pub fn bytes(&self) -> &[u8] {
        &self.json
    }

    /// Reads the object; what it does not know is left alone, as protobuf's readers do.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.json).map_err(|error| {
            if serde_json::from_slice::<IgnoredAny>(&self.json).is_err() {
                return Error::new(Code::BadRequest, format!("the body is no JSON: {error}"));
            }
            Error::invalid(format!("Invalid value in the request: {error}"))
        })
    }
}

/// A field that must be there and not empty.
pub(super) fn required(value: Option<String>, name: &str) -> Result<String, Error> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| {
        Error::invalid(format!("Missing value for required parameter '{name}'. See the API docs for more information."))
    })
}

/// A list, which an address with one member gives as that member alone; null is none.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany<T> {
        Many(Vec<T>),
        One(T),
        None(()),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::Many(list) => list,
        OneOrMany::One(one) => vec![one],
        OneOrMany::None(()) => Vec::new(),
    })
}

/// A truth value, which an address gives as a text.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Bool(value) => Ok(value),
        Value::Null => Ok(false),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        other => Err(serde::de::Error::custom(format!("`{other}` is neither true nor false"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_an_object() {
        #[derive(Deserialize)]
        struct Asked {
            #[serde(default, deserialize_with = "list")]
            order_by: Vec<String>,
            #[serde(default, deserialize_with = "flag")]
            archive: bool,
            #[serde(default, deserialize_with = "list")]
            none: Vec<String>,
        }
        let asked: Asked =
            Body::of_query([("order_by", "a"), ("archive", "True"), ("other", "x")]).read().expect("an object");
        assert_eq!((asked.order_by, asked.archive, asked.none.len()), (vec!["a".to_owned()], true, 0));
        let asked: Asked = Body::of_query([("order_by", "a"), ("order_by", "b")]).read().expect("an object");
        assert_eq!(asked.order_by, ["a", "b"]);
        let asked: Asked = Body::of_bytes(br#"{"none":null}"#.to_vec()).read().expect("an object");
        assert!(asked.none.is_empty());
        assert_eq!(Body::of_bytes(b"{".to_vec()).read::<Asked>().err().map(|e| e.code), Some(Code::BadRequest));
        assert!(Body::of_bytes(Vec::new()).read::<Asked>().is_ok());
    }
}
