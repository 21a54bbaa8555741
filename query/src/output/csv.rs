//! CSV as RFC 4180 has it: a header, CRLF, quotes where needed.

use std::borrow::Cow;
use std::io::Write;

use super::OutputError;
use super::cell::{Cell, View, float};
use super::text::put;

/// Writes a header and all rows.
///
/// A missing cell is empty and an empty text is `""`, so the two differ; with a single column a missing cell is `""`
/// too, since readers skip blank lines. `safe` puts `'` before text a spreadsheet would take for a formula.
pub(super) fn write(view: &View<'_>, safe: bool, out: &mut dyn Write) -> Result<(), OutputError> {
    let mut line = String::new();
    let single = view.columns.len() == 1;
    for (at, column) in view.columns.iter().enumerate() {
        separate(&mut line, at);
        field(&mut line, &neutral(column.name, safe));
    }
    finish(&mut line, out)?;
    for row in view.rows() {
        for (at, column) in view.columns.iter().enumerate() {
            separate(&mut line, at);
            value(&mut line, &column.cell(row), safe);
        }
        if single && line.is_empty() {
            line.push_str("\"\"");
        }
        finish(&mut line, out)?;
    }
    Ok(())
}

fn separate(line: &mut String, at: usize) {
    if at > 0 {
        line.push(',');
    }
}

fn finish(line: &mut String, out: &mut dyn Write) -> Result<(), OutputError> {
    line.push_str("\r\n");
    out.write_all(line.as_bytes())?;
    line.clear();
    Ok(())
}

fn value(line: &mut String, cell: &Cell<'_>, safe: bool) {
    match cell {
        Cell::Missing => {}
        Cell::Text(value) => field(line, &neutral(value, safe)),
        Cell::Unsigned(value) => put(line, format_args!("{value}")),
        Cell::Signed(value) => put(line, format_args!("{value}")),
        Cell::Float(value) => line.push_str(&float(*value)),
        Cell::Bool(value) => put(line, format_args!("{value}")),
        Cell::Time(value) => put(line, format_args!("{value}")),
        Cell::List(items) => {
            // Each item, since a spreadsheet may be set to split at the semicolon.
            let items: Vec<_> = items.iter().map(|item| neutral(item, safe)).collect();
            field(line, &items.join(";"));
        }
    }
}

/// A field, quoted if it must be.
fn field(line: &mut String, text: &str) {
    let edge = |c: Option<char>| c.is_none_or(char::is_whitespace);
    let plain = !text.contains(['"', ',', ';', '\r', '\n', '\t']);
    if plain && !edge(text.chars().next()) && !edge(text.chars().next_back()) {
        return line.push_str(text);
    }
    line.push('"');
    line.push_str(&text.replace('"', "\"\""));
    line.push('"');
}

/// The text, behind a `'` if it begins as a formula may (the list of OWASP, with the full-width forms).
fn neutral(text: &str, safe: bool) -> Cow<'_, str> {
    let formula = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    if safe && text.starts_with(formula) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}
