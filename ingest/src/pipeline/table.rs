//! Reading one table of a specification: every field is asked for by name, and what nobody asked for is a problem.

use std::cell::RefCell;
use std::ops::Range;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, did_you_mean};

/// A value and the bytes of the text where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    pub(super) span: Range<usize>,
}

impl<T> At<T> {
    pub(super) fn new(value: T, span: Range<usize>) -> Self {
        Self { value, span }
    }
}

/// The problems found so far; reading goes on after each, so that all are told at once.
#[derive(Debug, Default)]
pub(super) struct Found(RefCell<Vec<Problem>>);

impl Found {
    pub(super) fn add(&self, span: &Range<usize>, what: impl Into<String>, help: impl Into<String>) {
        self.0.borrow_mut().push(Problem::new(span.clone(), what, help));
    }

    /// In the order of the text.
    pub(super) fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        problems.sort_by_key(|problem| problem.span.start);
        problems
    }
}

/// One table while it is read.
pub(super) struct Table<'a> {
    entries: &'a DeTable<'a>,
    /// What it describes: `[pipeline]`, `the step train`.
    pub(super) what: String,
    pub(super) span: Range<usize>,
    asked: RefCell<Vec<&'static str>>,
    pub(super) found: &'a Found,
}

impl<'a> Table<'a> {
    pub(super) fn new(entries: &'a DeTable<'a>, span: Range<usize>, what: impl Into<String>, found: &'a Found) -> Self {
        Self { entries, what: what.into(), span, asked: RefCell::default(), found }
    }

    pub(super) fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.entries.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// Every entry, for tables whose keys are names that the author chose.
    pub(super) fn entries(&self) -> impl Iterator<Item = (At<String>, &'a Spanned<DeValue<'a>>)> + use<'a> {
        self.entries.iter().map(|(key, value)| (At::new(key.get_ref().to_string(), key.span()), value))
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let what = format!("`{key}` of {} is {}", self.what, a(value.get_ref().type_str()));
        self.found.add(&value.span(), what, format!("write {wanted}"));
    }

    /// A text, asked for with an example of one.
    pub(super) fn text(&self, key: &'static str, example: &str) -> Option<At<String>> {
        let value = self.get(key)?;
        if let Some(text) = value.get_ref().as_str() {
            Some(At::new(text.to_owned(), value.span()))
        } else {
            self.wrong(key, value, &format!("{key} = \"{example}\""));
            None
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &'static str, example: &str) -> Option<Vec<At<String>>> {
        let value = self.get(key)?;
        let items = value.get_ref().as_array();
        let texts = items.and_then(|items| {
            let text = |item: &Spanned<DeValue<'_>>| Some(At::new(item.get_ref().as_str()?.to_owned(), item.span()));
            items.iter().map(text).collect::<Option<Vec<_>>>()
        });
        if texts.is_none() {
            self.wrong(key, value, &format!("{key} = {example}"));
        }
        texts
    }

    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong(key, value, &format!("{key} = true or {key} = false"));
        }
        flag
    }

    /// A whole number within bounds.
    pub(super) fn count(&self, key: &'static str, valid: std::ops::RangeInclusive<u64>) -> Option<At<u64>> {
        let value = self.get(key)?;
        let number = whole(value.get_ref()).and_then(|n| u64::try_from(n).ok()).filter(|n| valid.contains(n));
        if number.is_none() {
            self.wrong(key, value, &format!("a whole number from {} to {}", valid.start(), valid.end()));
        }
        number.map(|number| At::new(number, value.span()))
    }

    /// A table inside this one.
    pub(super) fn table(&self, key: &'static str, what: impl Into<String>) -> Option<Table<'a>> {
        let value = self.get(key)?;
        if let Some(entries) = value.get_ref().as_table() {
            Some(Table::new(entries, value.span(), what, self.found))
        } else {
            self.wrong(key, value, &format!("a table: {key} = {{ … }}"));
            None
        }
    }

    /// Ends the reading: whatever was not asked for is a problem.
    pub(super) fn finish(self) {
        let asked = self.asked.into_inner();
        for (key, _) in self.entries {
            if !asked.iter().any(|known| key.get_ref() == known) {
                let what = format!("{} has no field `{}`", self.what, key.get_ref());
                self.found.add(&key.span(), what, did_you_mean(key.get_ref(), asked.iter().copied()));
            }
        }
    }
}

/// A type with its article.
fn a(what: &str) -> String {
    let article = if what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {what}")
}

/// A whole number of any radix, `None` if it does not fit.
pub(super) fn whole(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    let digits = integer.as_str().replace('_', "");
    i64::from_str_radix(&digits, integer.radix()).ok()
}

/// A value of the specification as JSON; `None` for what JSON does not have: dates, NaN, infinity, larger integers.
pub(super) fn json(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(_) => Value::Number(whole(value)?.into()),
        DeValue::Float(float) => Value::Number(Number::from_f64(float.as_str().replace('_', "").parse().ok()?)?),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| json(item.get_ref())).collect::<Option<Vec<_>>>()?)
        }
        DeValue::Table(table) => {
            let entry = |(key, value): (&Spanned<toml::de::DeString<'_>>, &Spanned<DeValue<'_>>)| {
                Some((key.get_ref().to_string(), json(value.get_ref())?))
            };
            Value::Object(table.iter().map(entry).collect::<Option<Map<_, _>>>()?)
        }
        DeValue::Datetime(_) => return None,
    })
}
