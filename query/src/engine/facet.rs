//! Facets: what events say beyond what the index holds, by path, read from the whole events.

use std::cmp::Reverse;

use lineage_store::event::{Event, Json};
use lineage_store::graph::Position;
use serde_json::Value;

use super::attribute::{Node, Val};
use super::world::World;

impl World {
    /// The value at a path of the facets of a node's events; the latest event that has it speaks.
    pub(super) fn meta(&self, node: Node, path: &str) -> Option<Val> {
        let mut events: Vec<Position> = match node {
            Node::Version(version) => self.makers(version).into_iter().flat_map(|l| self.events_of(l)).collect(),
            Node::Step(leader) => self.events_of(leader),
            Node::Event(event) => vec![event],
            Node::Agent(_) => Vec::new(),
        };
        events.sort_by_key(|event| (self.view.time(*event), *event));
        events.into_iter().rev().find_map(|event| at_path(&*self.whole.event(event)?, path))
    }

    /// Whether a visible event has anything at a path.
    pub(super) fn has_meta(&self, path: &str) -> bool {
        let visible = (0..self.view.count()).filter(|event| self.view.sees(*event));
        let mut visible = visible.take_while(|_| self.budget.step());
        visible.any(|event| self.whole.event(event).is_some_and(|whole| at_path(&whole, path).is_some()))
    }

    /// Who was authenticated when an event was sent.
    pub(super) fn principal(&self, event: Position) -> Option<String> {
        self.whole.event(event)?.principal.clone()
    }
}

/// The value at a path: of the facets, else of `code` and `software`.
fn at_path(event: &Event, path: &str) -> Option<Val> {
    let within = |section: &str, json: &Json| {
        let rest = path.strip_prefix(section)?.strip_prefix('.')?;
        in_members(json, rest)
    };
    in_members(&event.facets, path)
        .or_else(|| within("code", &event.code))
        .or_else(|| within("software", &event.software))
}

fn in_members(json: &Json, path: &str) -> Option<Val> {
    let members = json.members();
    let texts = members.iter().map(|(key, text)| (key.as_ref(), *text));
    by_key(texts, path, |text, rest| {
        // What is no JSON number for us, such as a very large one, is kept as it was written.
        match serde_json::from_str(text) {
            Ok(value) => in_value(&value, rest),
            Err(_) => rest.is_empty().then(|| Val::Text(text.to_owned())),
        }
    })
}

/// The member that a path begins with; keys may have dots in them, and the longest wins.
fn by_key<'a, T>(
    members: impl Iterator<Item = (&'a str, T)>,
    path: &str,
    go_on: impl Fn(T, &str) -> Option<Val>,
) -> Option<Val> {
    let rest_after = |key: &str| match path.strip_prefix(key)? {
        "" => Some(""),
        rest => rest.strip_prefix('.').filter(|rest| !rest.is_empty()),
    };
    let mut fitting: Vec<_> = members.filter(|(key, _)| rest_after(key).is_some()).collect();
    fitting.sort_by_key(|(key, _)| Reverse(key.len()));
    fitting.into_iter().find_map(|(key, value)| go_on(value, rest_after(key)?))
}

fn in_value(value: &Value, path: &str) -> Option<Val> {
    if path.is_empty() {
        return as_val(value);
    }
    match value {
        Value::Object(members) => by_key(members.iter().map(|(key, value)| (key.as_str(), value)), path, in_value),
        Value::Array(items) => {
            let (index, rest) = path.split_once('.').unwrap_or((path, ""));
            in_value(items.get(index.parse::<usize>().ok()?)?, rest)
        }
        _ => None,
    }
}

/// A value to compare; lists of texts are several values, and what has parts is its JSON text.
fn as_val(value: &Value) -> Option<Val> {
    match value {
        Value::Null => None,
        Value::Bool(b) => Some(Val::Bool(*b)),
        Value::Number(n) => n.as_f64().map(Val::Number),
        Value::String(text) => Some(Val::Text(text.clone())),
        Value::Array(items) => {
            let texts: Option<Vec<String>> = items.iter().map(|i| i.as_str().map(str::to_owned)).collect();
            Some(texts.map_or_else(|| Val::Text(value.to_string()), Val::List))
        }
        Value::Object(_) => Some(Val::Text(value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use lineage_store::event::Kind;

    use super::*;

    #[test]
    fn paths_lead_through_keys_with_dots() {
        let mut event = Event::new(Kind::Transform, "ana");
        let facets = r#"{"a":{"b":{"c":1}},"a.b":{"c":2,"d":[{"e":"x"},["y","z"]]},"job.sql":null,"t":true}"#;
        event.facets = Json::canonical(facets).expect("JSON");
        event.code = Json::canonical(r#"{"commit":"abc"}"#).expect("JSON");
        let at = |path: &str| at_path(&event, path);
        assert_eq!(at("a.b.c"), Some(Val::Number(2.0)), "the longest key");
        assert_eq!(at("a.b.d.0.e"), Some(Val::Text("x".to_owned())));
        assert_eq!(at("a.b.d.1"), Some(Val::List(vec!["y".to_owned(), "z".to_owned()])));
        assert_eq!(at("a"), Some(Val::Text(r#"{"b":{"c":1}}"#.to_owned())));
        assert_eq!(at("t"), Some(Val::Bool(true)));
        assert_eq!(at("code.commit"), Some(Val::Text("abc".to_owned())));
        for none in ["job.sql", "a.b.d.2", "a.b.d.x", "a.", "b", "code", "t.u", ""] {
            assert_eq!(at(none), None, "{none}");
        }
    }
}
