//! Templates: texts of a specification with `{params.lr}`, `{prep.rows}` or `{seed}` in them.

use std::ops::Range;

use serde_json::Value;

/// What a pair of braces names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// `{params.lr}`: a parameter.
    Param(String),
    /// `{values.x}`: a value that all steps before this one agree on.
    Value(String),
    /// `{prep.rows}`: a value of one step.
    Of(String, String),
    /// `{seed}`, `{index}`, `{run}`, `{step}`: what belongs to the branch or the run.
    Local(String),
}

impl Name {
    /// Reads `params.lr`, `values.x`, `prep.rows` or `seed`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let is_word = crate::run::is_name;
        let Some((head, tail)) = text.split_once('.') else {
            return is_word(text).then(|| Self::Local(text.to_owned()));
        };
        let name = is_word(tail).then(|| tail.to_owned())?;
        match head {
            "params" => Some(Self::Param(name)),
            "values" => Some(Self::Value(name)),
            step => is_word(step).then(|| Self::Of(step.to_owned(), name)),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Param(name) => write!(f, "params.{name}"),
            Self::Value(name) => write!(f, "values.{name}"),
            Self::Of(step, name) => write!(f, "{step}.{name}"),
            Self::Local(name) => f.write_str(name),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(Name),
}

/// A text with names in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
    /// Where it stands in the specification.
    pub(super) span: Range<usize>,
}

impl Template {
    /// Reads a template: `{NAME}` is replaced, `{{NAME}}` is the text `{NAME}`, and every other brace is itself, so that
    /// programs in awk or JSON need no escapes.
    pub(super) fn read(text: &str, span: Range<usize>) -> Self {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            plain.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest[1..].strip_prefix('{')
                && let Some((name, after)) = named(after)
                && let Some(after) = after.strip_prefix('}')
            {
                plain = format!("{plain}{{{name}}}");
                rest = after;
            } else if let Some((name, after)) = named(&rest[1..]) {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Name(name));
                rest = after;
            } else {
                plain.push('{');
                rest = &rest[1..];
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Self { pieces, span }
    }

    /// The names in it.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Name(name) => Some(name),
            Piece::Text(_) => None,
        })
    }

    /// The text with `*` where a name stands: the paths that it may become.
    pub(super) fn pattern(&self) -> String {
        self.pattern_with(|_| None)
    }

    /// The same, where of some names is known which paths they stand for.
    pub(super) fn pattern_with<'a>(&'a self, known: impl Fn(&Name) -> Option<&'a str>) -> String {
        let piece = |piece: &'a Piece| -> &'a str {
            match piece {
                Piece::Text(text) => text,
                Piece::Name(name) => known(name).unwrap_or("*"),
            }
        };
        self.pieces.iter().map(piece).collect()
    }

    /// The text with every name replaced; texts as they are, other values as JSON.
    pub(super) fn fill<E>(&self, value: impl Fn(&Name) -> Result<Value, E>) -> Result<String, E> {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Name(name) => match value(name)? {
                    Value::String(text) => filled.push_str(&text),
                    other => filled.push_str(&other.to_string()),
                },
            }
        }
        Ok(filled)
    }
}

/// A name up to its closing brace, and what follows.
fn named(text: &str) -> Option<(Name, &str)> {
    let (name, after) = text.split_once('}')?;
    Some((Name::read(name)?, after))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(text: &str) -> String {
        let template = Template::read(text, 0..0);
        let value = |name: &Name| match name {
            Name::Param(name) if name == "lr" => Ok(json!(0.1)),
            Name::Of(step, name) => Ok(json!(format!("{step}:{name}"))),
            Name::Local(_) => Ok(json!([1, "a"])),
            other => Err(other.to_string()),
        };
        template.fill(value).unwrap_or_else(|error| error)
    }

    #[test]
    fn names_become_their_values() {
        assert_eq!(filled("--lr={params.lr}"), "--lr=0.1");
        assert_eq!(filled("{prep.rows}/{{x}}"), "prep:rows/{x}");
        assert_eq!(filled("{seed}"), "[1,\"a\"]");
        assert_eq!(filled("{values.x}"), "values.x");
        assert_eq!(filled("plain"), "plain");
    }

    #[test]
    fn other_braces_are_themselves() {
        for text in ["{", "}", "a{b", "{}", "{ print $1 }", "{\"a\": {\"b\": 1}}", "{params.}", "{a.b.c}", "{{ x }}"] {
            assert_eq!(filled(text), text);
        }
    }
}
