//! JSON: the envelope in one object, or one object per row.

use std::io::Write;

use super::cell::{Cell, View, float};
use super::text::{put, quote};
use super::{Answer, OutputError, SCHEMA};

/// Writes one object, on one line: the envelope with all rows.
pub(super) fn write(answer: &Answer, view: &View<'_>, out: &mut dyn Write) -> Result<(), OutputError> {
    let keys = keys(view);
    let mut text = String::new();
    head(&mut text, answer);
    columns(&mut text, view, &keys);
    text.push_str(",\"rows\":[");
    for at in view.rows() {
        if at > 0 {
            text.push(',');
        }
        row(&mut text, view, &keys, at);
        out.write_all(text.as_bytes())?;
        text.clear();
    }
    text.push_str("],\"notes\":[");
    join(&mut text, &answer.notes, |text, note| {
        text.push_str("{\"code\":");
        quote(text, &note.code);
        text.push_str(",\"text\":");
        quote(text, &note.text);
        text.push('}');
    });
    text.push_str("]}\n");
    Ok(out.write_all(text.as_bytes())?)
}

/// Writes one object per row, each on its line.
pub(super) fn write_lines(view: &View<'_>, out: &mut dyn Write) -> Result<(), OutputError> {
    let keys = keys(view);
    let mut text = String::new();
    for at in view.rows() {
        text.clear();
        row(&mut text, view, &keys, at);
        text.push('\n');
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

fn head(text: &mut String, answer: &Answer) {
    text.push_str("{\"schema\":");
    quote(text, SCHEMA);
    put(text, format_args!(",\"edition\":{},\"canonical\":", answer.edition));
    quote(text, &answer.canonical);
    put(text, format_args!(",\"position\":{}", answer.position));
    let known_at = answer.known_at.map(|known| known.to_string());
    let as_of = answer.as_of.map(|time| time.to_string());
    for (key, value) in [("head", &answer.head), ("as_of", &as_of), ("known_at", &known_at)] {
        put(text, format_args!(",\"{key}\":"));
        match value {
            Some(value) => quote(text, value),
            None => text.push_str("null"),
        }
    }
    if let Some(now) = answer.now {
        put(text, format_args!(",\"now\":\"{now}\""));
    }
    put(text, format_args!(",\"complete\":{}", answer.complete));
}

fn columns(text: &mut String, view: &View<'_>, keys: &[String]) {
    text.push_str(",\"columns\":[");
    join(text, view.columns.iter().zip(keys), |text, (column, key)| {
        put(text, format_args!("{{\"name\":{key},\"type\":\"{}\"", column.kind()));
        if let Some(unit) = column.unit {
            text.push_str(",\"unit\":");
            quote(text, unit);
        }
        text.push('}');
    });
    text.push(']');
}

/// The names of the columns as JSON strings.
fn keys(view: &View<'_>) -> Vec<String> {
    let quoted = |name| {
        let mut key = String::new();
        quote(&mut key, name);
        key
    };
    view.columns.iter().map(|column| quoted(column.name)).collect()
}

fn row(text: &mut String, view: &View<'_>, keys: &[String], at: usize) {
    text.push('{');
    join(text, view.columns.iter().zip(keys), |text, (column, key)| {
        text.push_str(key);
        text.push(':');
        value(text, &column.cell(at));
    });
    text.push('}');
}

fn value(text: &mut String, cell: &Cell<'_>) {
    match cell {
        Cell::Missing => text.push_str("null"),
        Cell::Text(value) => quote(text, value),
        Cell::Unsigned(value) => put(text, format_args!("{value}")),
        Cell::Signed(value) => put(text, format_args!("{value}")),
        Cell::Float(value) if value.is_finite() => text.push_str(&float(*value)),
        Cell::Float(value) => quote(text, &float(*value)),
        Cell::Bool(value) => put(text, format_args!("{value}")),
        Cell::Time(value) => quote(text, &value.to_string()),
        Cell::List(items) => {
            text.push('[');
            join(text, items, |text, item| quote(text, item));
            text.push(']');
        }
    }
}

/// Appends items with commas between.
fn join<T>(text: &mut String, items: impl IntoIterator<Item = T>, mut append: impl FnMut(&mut String, T)) {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        append(text, item);
    }
}
