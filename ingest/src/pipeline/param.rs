//! Parameters: typed values with bounds, a default in the specification, another one for a run.

use std::borrow::Cow;

use lineage_store::event::Json;
use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::problem::did_you_mean;
use super::table::{At, Found, Table, json};
use crate::run::{is_secret_name, redact_text, secret_places};

/// Why a parameter is refused that is a secret.
const SECRET: &str = "looks like a secret, and parameters are recorded";
/// What to do with a secret instead.
pub(super) const SECRET_HELP: &str =
    "pass it in an environment variable: [secrets] and env = [\"VARIABLE\"]; variables are never recorded";

/// What a parameter may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A text.
    String,
    /// True or false.
    Bool,
    /// A list of values.
    List,
}

impl ParamType {
    const ALL: [Self; 5] = [Self::Int, Self::Float, Self::String, Self::Bool, Self::List];

    /// The word for it in a specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Float => "float",
            Self::String => "string",
            Self::Bool => "bool",
            Self::List => "list",
        }
    }

    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) if number.is_f64() => Some(Self::Float),
            Value::Number(_) => Some(Self::Int),
            Value::String(_) => Some(Self::String),
            Value::Bool(_) => Some(Self::Bool),
            Value::Array(_) => Some(Self::List),
            Value::Null | Value::Object(_) => None,
        }
    }
}

/// A parameter as it was declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: ParamType,
    /// Its value where a run gives none; without it a run must.
    pub default: Option<Value>,
    /// The least number, or the least number of characters or items.
    pub min: Option<f64>,
    /// The greatest number, or the greatest number of characters or items.
    pub max: Option<f64>,
    /// The only valid values; empty: any.
    pub choices: Vec<Value>,
}

impl Param {
    /// Why a value is no valid one.
    fn refuse(&self, value: &Value) -> Option<String> {
        if self.is_secret(value) {
            return Some(SECRET.to_owned());
        }
        let fits = ParamType::of(value)
            .is_some_and(|kind| kind == self.kind || (kind == ParamType::Int && self.kind == ParamType::Float));
        if !fits {
            return Some(format!("is no {}", self.kind.as_str()));
        }
        let (size, what) = match value {
            Value::Number(number) => (number.as_f64(), ""),
            Value::String(text) => (Some(text.chars().count() as f64), "a length of "),
            Value::Array(items) => (Some(items.len() as f64), "a length of "),
            _ => (None, ""),
        };
        let size = size.unwrap_or_default();
        if let Some(min) = self.min.filter(|min| size < *min) {
            return Some(format!("has less than {what}{min}"));
        }
        if let Some(max) = self.max.filter(|max| size > *max) {
            return Some(format!("has more than {what}{max}"));
        }
        let is_choice = self.choices.is_empty() || self.choices.contains(value);
        (!is_choice).then(|| format!("is none of {}", Value::Array(self.choices.clone())))
    }

    /// Whether its name or the value itself shows a secret, of which parameters would leave copies everywhere.
    fn is_secret(&self, value: &Value) -> bool {
        let shows = |text: &str| {
            // As in a command line, a name and its value are judged together.
            let assigned = format!("{}={text}", self.name);
            matches!(redact_text(text), Cow::Owned(_)) || !secret_places(&assigned).is_empty()
        };
        match value {
            Value::String(text) => shows(text) || (is_secret_name(&self.name) && !text.is_empty()),
            Value::Array(items) => items.iter().any(|item| self.is_secret(item)),
            Value::Number(number) => shows(&number.to_string()),
            _ => false,
        }
    }

    /// The value that a run gives it by text: `lr=0.2`, `seeds=[1,2]`.
    fn read(&self, text: &str) -> Result<Value, String> {
        let value = match self.kind {
            ParamType::String => Some(Value::String(text.to_owned())),
            // `1` is a valid float, and stays the number that was written.
            _ => serde_json::from_str(text).ok(),
        };
        let refused = |why: String| format!("the value {text} of the parameter {} {why}", self.name);
        let value = value.ok_or_else(|| refused(format!("is no {}", self.kind.as_str())))?;
        match self.refuse(&value) {
            // The value itself is not told, as messages are kept in many places.
            Some(why) if why == SECRET => Err(format!("the value of the parameter {} {why}; {SECRET_HELP}", self.name)),
            Some(why) => Err(refused(why)),
            None => Ok(value),
        }
    }
}

/// Reads `[params]`: `lr = { type = "float", default = 0.1, min = 0 }`, or only a default.
pub(super) fn read(table: &Table<'_>) -> Vec<Param> {
    table.entries().filter_map(|(name, value)| one(&name, value, table.found)).collect()
}

fn one(name: &At<String>, value: &Spanned<DeValue<'_>>, found: &Found) -> Option<Param> {
    let what = format!("the parameter {}", name.value);
    if !crate::run::is_name(&name.value) {
        found.add(&name.span, format!("{what} has no valid name"), crate::run::NAME_HELP);
    }
    let Some(fields) = value.get_ref().as_table() else {
        let default = valid_json(value, &what, found)?;
        let kind = ParamType::of(&default)?;
        let name = name.value.clone();
        let param = Param { name, kind, default: None, min: None, max: None, choices: Vec::new() };
        if let Some(why) = param.refuse(&default) {
            found.add(&value.span(), format!("the default of {what} {why}"), SECRET_HELP);
        }
        return Some(Param { default: Some(default), ..param });
    };
    let table = Table::new(fields, value.span(), what.clone(), found);
    let word = table.get("type").and_then(|word| word.get_ref().as_str());
    let is_text = word.is_none_or(|word| word == ParamType::String.as_str());
    if is_text && is_secret_name(&name.value) {
        found.add(&name.span, format!("{what} is named as a secret, and parameters are recorded"), SECRET_HELP);
    }
    let default = table.get("default").and_then(|value| valid_json(value, &what, found).map(|v| (v, value.span())));
    let kind = kind(&table, default.as_ref().map(|(value, _)| value));
    let bound = |key| table.get(key).and_then(|value| valid_json(value, &what, found)?.as_f64());
    let (min, max) = (bound("min"), bound("max"));
    let choices = table.get("choices").and_then(|value| valid_json(value, &what, found));
    let choices = choices.and_then(|list| list.as_array().cloned()).unwrap_or_default();
    let span = table.span.clone();
    table.finish();
    let param = Param { name: name.value.clone(), kind: kind?, default: None, min, max, choices };
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        found.add(&span, format!("{what} has a min above its max"), "swap them");
    }
    let (default, at) = default.unzip();
    if let Some((why, at)) = default.as_ref().and_then(|value| param.refuse(value)).zip(at) {
        found.add(&at, format!("the default of {what} {why}"), "give it a valid one");
    }
    Some(Param { default, ..param })
}

fn kind(table: &Table<'_>, default: Option<&Value>) -> Option<ParamType> {
    if let Some(word) = table.text("type", "float") {
        let kind = ParamType::ALL.into_iter().find(|kind| kind.as_str() == word.value);
        if kind.is_none() {
            let help = did_you_mean(&word.value, ParamType::ALL.map(ParamType::as_str));
            table.found.add(&word.span, format!("{} has no type `{}`", table.what, word.value), help);
        }
        kind
    } else {
        let kind = default.and_then(ParamType::of);
        if kind.is_none() {
            let help = "write type = \"float\", or a default";
            table.found.add(&table.span, format!("{} has neither type nor default", table.what), help);
        }
        kind
    }
}

fn valid_json(value: &Spanned<DeValue<'_>>, what: &str, found: &Found) -> Option<Value> {
    let read = json(value.get_ref());
    if read.is_none() {
        let help = "write dates as texts and numbers within 64 bits";
        found.add(&value.span(), format!("{what} has a value that JSON does not have"), help);
    }
    read
}

/// The values of a run: what it gives, else the defaults. All that is wrong is told at once.
pub fn values(params: &[Param], given: &[(String, String)]) -> Result<serde_json::Map<String, Value>, Vec<String>> {
    let mut wrong = Vec::new();
    let names = || params.iter().map(|param| param.name.as_str());
    for (name, _) in given {
        if !names().any(|known| known == name) {
            wrong.push(format!("the pipeline has no parameter {name}; {}", did_you_mean(name, names())));
        }
    }
    let mut values = serde_json::Map::new();
    for param in params {
        let value = match given.iter().rev().find(|(name, _)| *name == param.name) {
            Some((_, text)) => param.read(text),
            None => param.default.clone().ok_or_else(|| {
                format!("the parameter {} has no value; give it one: -p {}=VALUE", param.name, param.name)
            }),
        };
        match value {
            Ok(value) => drop(values.insert(param.name.clone(), recorded(value))),
            Err(why) => wrong.push(why),
        }
    }
    if wrong.is_empty() { Ok(values) } else { Err(wrong) }
}

/// A value in the one form in which events keep it: `1.0` is `1`, so that resuming and replaying give the same.
fn recorded(value: Value) -> Value {
    let canonical = Json::from_value(&serde_json::json!([value])).ok();
    let read = canonical.and_then(|json| serde_json::from_str::<Vec<Value>>(json.as_str()).ok()?.pop());
    read.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn param(kind: ParamType) -> Param {
        Param { name: "p".to_owned(), kind, default: None, min: Some(1.0), max: Some(3.0), choices: Vec::new() }
    }

    #[test]
    fn values_have_the_type_and_bounds_of_their_parameter() {
        assert_eq!(param(ParamType::Float).read("1"), Ok(json!(1)));
        assert_eq!(param(ParamType::Float).read("2.5"), Ok(json!(2.5)));
        assert_eq!(param(ParamType::String).read("12"), Ok(json!("12")));
        assert_eq!(param(ParamType::List).read("[1,2]"), Ok(json!([1, 2])));
        assert_eq!(param(ParamType::Int).read("2.5"), Err("the value 2.5 of the parameter p is no int".to_owned()));
        assert_eq!(param(ParamType::Int).read("0"), Err("the value 0 of the parameter p has less than 1".to_owned()));
        let long = param(ParamType::String).read("four");
        assert_eq!(long, Err("the value four of the parameter p has more than a length of 3".to_owned()));
    }

    #[test]
    fn all_that_is_wrong_with_the_values_of_a_run_is_told_at_once() {
        let params = [param(ParamType::Int), Param { name: "lr".to_owned(), ..param(ParamType::Float) }];
        let given = [("lR".to_owned(), "1".to_owned()), ("p".to_owned(), "x".to_owned())];
        let wrong = values(&params, &given).expect_err("refused");
        assert_eq!(
            wrong,
            [
                "the pipeline has no parameter lR; did you mean `lr`?",
                "the value x of the parameter p is no int",
                "the parameter lr has no value; give it one: -p lr=VALUE",
            ]
        );
    }
}
