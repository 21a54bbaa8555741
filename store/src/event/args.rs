//! The fields of each kind of event: one table, also for kinds whose commands come later.

use super::{Json, Kind, Refusal, canonical};
use crate::time::Time;

/// The type of one field of `args`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// A non-empty string.
    Text,
    /// A non-empty list of non-empty strings.
    Texts,
    /// `true` or `false`.
    Bool,
    /// An RFC 3339 time.
    Time,
    /// A whole number.
    Number,
}

use ArgumentKind::{Bool, Number, Text, Texts, Time as Instant};

/// Field, type, required.
type Row = (&'static str, ArgumentKind, bool);

const NONE: &[Row] = &[];
const REASON: &[Row] = &[("reason", Text, false)];

/// The fields that a kind knows.
fn rows(kind: Kind) -> &'static [Row] {
    match kind {
        Kind::Transform | Kind::Training | Kind::Evaluation => NONE,
        Kind::Register => &[("description", Text, false)],
        Kind::Audit => &[("valid_until", Instant, false), ("policy", Text, false), ("note", Text, false)],
        Kind::Deployment => &[("alongside", Bool, false), ("note", Text, false)],
        Kind::Retirement | Kind::Retract => REASON,
        Kind::Tag | Kind::Untag => &[("tags", Texts, true)],
        Kind::Alias => &[("alias", Text, true), ("remove", Bool, false)],
        Kind::Link => &[("note", Text, false)],
        Kind::Describe => {
            &[("owner", Text, false), ("purpose", Text, false), ("tier", Text, false), ("description", Text, false)]
        }
        Kind::Approve => {
            &[("step", Text, true), ("role", Text, false), ("expires", Instant, false), ("note", Text, false)]
        }
        Kind::Erase => &[("subject", Text, true), ("basis", Text, true), ("note", Text, false)],
        Kind::Hold => {
            &[("subject", Text, true), ("reason", Text, true), ("until", Instant, false), ("release", Bool, false)]
        }
        Kind::Access => &[
            ("subject", Text, true),
            ("role", Text, false),
            ("action", Text, true),
            ("scope", Text, false),
            ("expires", Instant, false),
        ],
        Kind::SaveQuery => {
            &[("name", Text, true), ("query", Text, true), ("edition", Number, false), ("description", Text, false)]
        }
    }
}

/// The validated fields of an event's kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args(Json);

impl Args {
    /// Checks an object against the table of a kind.
    pub fn check(kind: Kind, json: Json) -> Result<Self, Refusal> {
        let rows = rows(kind);
        let members = json.members();
        for (key, value) in &members {
            let Some((_, argument, _)) = rows.iter().find(|(name, ..)| name == key) else {
                return Err(Refusal::at(format!("args.{key}"), unknown(kind, rows)));
            };
            check_value(*argument, value).map_err(|what| Refusal::at(format!("args.{key}"), what))?;
        }
        if let Some((name, ..)) =
            rows.iter().find(|(name, _, required)| *required && !members.iter().any(|(k, _)| k == name))
        {
            return Err(Refusal::at(format!("args.{name}"), format!("is required in an event of kind `{kind}`")));
        }
        Ok(Self(json))
    }

    /// Builds checked arguments from pairs of field and JSON value.
    pub fn build(kind: Kind, fields: &[(&str, serde_json::Value)]) -> Result<Self, Refusal> {
        let object: serde_json::Map<_, _> = fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let json = Json::from_value(&serde_json::Value::Object(object)).map_err(|what| Refusal::at("args", what))?;
        Self::check(kind, json)
    }

    /// The canonical object.
    pub fn json(&self) -> &Json {
        &self.0
    }

    /// A field of type text.
    pub fn text(&self, field: &str) -> Option<String> {
        self.member(field).and_then(|value| canonical::text_of(&value))
    }

    /// A field of type list of texts.
    pub fn texts(&self, field: &str) -> Vec<String> {
        self.member(field).and_then(|value| serde_json::from_str(&value).ok()).unwrap_or_default()
    }

    /// A field of type bool; absent is false.
    pub fn flag(&self, field: &str) -> bool {
        self.member(field).is_some_and(|value| value == "true")
    }

    /// A field of type number.
    pub fn number(&self, field: &str) -> Option<u32> {
        self.member(field).and_then(|value| value.parse().ok())
    }

    /// A field of type time.
    pub fn time(&self, field: &str) -> Option<Time> {
        self.text(field).and_then(|text| text.parse().ok())
    }

    fn member(&self, field: &str) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.members().into_iter().find(|(key, _)| key == field).map(|(_, value)| value.to_owned())
    }
}

fn unknown(kind: Kind, rows: &[Row]) -> String {
    if rows.is_empty() {
        format!("an event of kind `{kind}` has no args")
    } else {
        let names: Vec<_> = rows.iter().map(|(name, ..)| *name).collect();
        format!("an event of kind `{kind}` knows only: {}", names.join(", "))
    }
}

fn check_value(argument: ArgumentKind, value: &str) -> Result<(), String> {
    let good = match argument {
        Text => canonical::text_of(value).is_some_and(|t| !t.is_empty()),
        Texts => serde_json::from_str::<Vec<String>>(value)
            .is_ok_and(|list| !list.is_empty() && list.iter().all(|t| !t.is_empty())),
        Bool => matches!(value, "true" | "false"),
        Number => value.parse::<u32>().is_ok(),
        Instant => {
            return canonical::text_of(value).ok_or("must be an RFC 3339 time".to_owned())?.parse::<Time>().map(|_| ());
        }
    };
    let expected = match argument {
        Text => "a non-empty string",
        Texts => "a non-empty list of non-empty strings",
        Bool => "true or false",
        Number => "a whole number from 0 to 4294967295",
        Instant => "an RFC 3339 time",
    };
    if good { Ok(()) } else { Err(format!("must be {expected}")) }
}
