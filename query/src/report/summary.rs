//! The summaries of a pack for people: Markdown, and a page to print.

use std::fmt::Write as _;

use super::contents::{Asking, Contents};
use super::rows::Cell;
use super::schema::Table;
use crate::output::text::visible;

/// So many rows of each table are shown on the page.
const ROWS_SHOWN: usize = 20;
/// Longer cells are cut there, with an ellipsis; the table has them whole.
const CELL_CHARS_MAX: usize = 80;

/// The first rows of a table as text.
#[derive(Clone, Debug, Default)]
pub(super) struct Preview {
    rows: Vec<Vec<String>>,
}

impl Preview {
    pub(super) fn add(&mut self, cells: &[Cell<'_>]) {
        if self.rows.len() < ROWS_SHOWN {
            self.rows.push(cells.iter().map(shown).collect());
        }
    }
}

fn shown(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Missing => String::new(),
        Cell::Text(text) => cut(text),
        Cell::Texts(texts) => cut(&texts.join(", ")),
        Cell::Integer(number) => number.to_string(),
        Cell::Integers(numbers) => cut(&numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
        Cell::Float(number) => number.to_string(),
        Cell::Boolean(true) => "yes".to_owned(),
        Cell::Boolean(false) => "no".to_owned(),
        Cell::Time(time) => time.to_string(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// What both summaries tell.
pub(super) struct Telling<'a> {
    pub(super) asking: &'a Asking<'a>,
    pub(super) contents: &'a Contents,
    /// The first position of the tables of the log.
    pub(super) first: u64,
}

impl Telling<'_> {
    /// Heading and value of each fact about the pack.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let order = self.asking.order;
        let size = self.asking.head.count();
        let mut facts = vec![("Report", order.report.name().to_owned())];
        facts.extend(order.report.arguments().into_iter().map(|(_, value)| ("Of", value.to_owned())));
        facts.push(match self.asking.position {
            Some(position) => ("Log", format!("positions 0 to {position}, {size} events")),
            None => ("Log", "empty".to_owned()),
        });
        if self.first > 0 {
            facts.push(("Increment", format!("tables of the log begin at position {}", self.first)));
        }
        facts.push(("As of", self.asking.as_of.to_string()));
        let head = order.proofs.head.clone();
        facts.push(("Head of the log", head.unwrap_or_else(|| "not computed".to_owned())));
        facts.push(("Written by", format!("lineage {}", order.tool)));
        facts
    }

    /// Name, number of rows, and what the rows are, of every table.
    fn tables(&self) -> Vec<(&str, u64, String)> {
        let tables = self.contents.tables.iter().map(|w| (w.table.name, w.rows, w.table.about.to_owned()));
        let answers = self.contents.answers.iter().map(|a| (a.name.as_str(), a.rows, a.text.clone()));
        let mut tables: Vec<_> = tables.chain(answers).collect();
        tables.sort();
        tables
    }

    /// `README.md`.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("# {}\n\n", markdown(self.asking.order.report.name()));
        for (heading, value) in self.facts() {
            put(&mut text, format_args!("- {heading}: {}\n", markdown(&value)));
        }
        text.push_str("\n## Tables\n\n| table | rows | what a row is |\n| --- | ---: | --- |\n");
        for (name, rows, about) in self.tables() {
            put(&mut text, format_args!("| {} | {rows} | {} |\n", markdown(name), markdown(&about)));
        }
        text.push_str("\nThe columns, their types and units stand in `manifest.json` and in the files themselves.\n");
        if !self.contents.notes.is_empty() {
            text.push_str("\n## Notes\n\n");
            self.contents.notes.iter().for_each(|note| put(&mut text, format_args!("- {}\n", markdown(note))));
        }
        text.push_str(HOW_TO_CHECK);
        text
    }

    /// `index.html`: one file, without scripts and without anything from elsewhere.
    pub(super) fn html(&self) -> String {
        let title = html(self.asking.order.report.name());
        let mut page = String::from(PAGE_HEAD);
        put(&mut page, format_args!("<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n<table>\n"));
        for (heading, value) in self.facts() {
            put(&mut page, format_args!("<tr><th>{heading}</th><td>{}</td></tr>\n", html(&value)));
        }
        page.push_str("</table>\n");
        if !self.contents.notes.is_empty() {
            page.push_str("<h2>Notes</h2>\n<ul>\n");
            let notes = self.contents.notes.iter();
            notes.for_each(|note| put(&mut page, format_args!("<li>{}</li>\n", html(note))));
            page.push_str("</ul>\n");
        }
        for (name, rows, about) in self.tables() {
            put(&mut page, format_args!("<h2>{}: {rows} rows</h2>\n<p>{}</p>\n", html(name), html(&about)));
            if let Some(written) = self.contents.tables.iter().find(|w| w.table.name == name && w.rows > 0) {
                preview(&mut page, written.table, &written.preview, written.rows);
            }
        }
        page.push_str("</body>\n</html>\n");
        page
    }
}

fn preview(page: &mut String, table: &Table, preview: &Preview, rows: u64) {
    page.push_str("<table class=\"rows\">\n<tr>");
    for column in table.columns {
        put(page, format_args!("<th>{}</th>", html(column.name)));
    }
    page.push_str("</tr>\n");
    for row in &preview.rows {
        page.push_str("<tr>");
        for cell in row {
            put(page, format_args!("<td>{}</td>", html(cell)));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
    let shown = preview.rows.len() as u64;
    if shown < rows {
        put(page, format_args!("<p>The first {shown} of {rows} rows; the others stand in the Parquet file.</p>\n"));
    }
}

/// Text that HTML takes as text, on one line, with nothing hidden in it.
fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Text that Markdown takes as text: whatever could begin a link, markup or HTML is escaped.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let text = visible(text);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A bare address becomes a link by its colon or its dot after www; in times a digit follows the colon.
            ':' if !chars.peek().is_none_or(|next| next.is_ascii_digit() || *next == ' ') => out.push_str("&#58;"),
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '!' | '|' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.replace("www.", "www&#46;")
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    out.write_fmt(text).ok();
}

const HOW_TO_CHECK: &str = "
## How to check it

`manifest.json` has the size and the digests of every file.
`events.ndjson.gz` has the events of the log as they were recorded, one a line; the tables follow from them.
Where `verify.py` is part of the pack, `python3 verify.py .` checks all that can be checked without the program that wrote it.
The same report of the same log at the same position is the same bytes.
";

const PAGE_HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">
<style>
body { font: 14px/1.4 sans-serif; margin: 2em; }
table { border-collapse: collapse; }
th, td { border: 1px solid #bbb; padding: 2px 6px; text-align: left; vertical-align: top; }
.rows { font-size: 11px; }
@media print { body { margin: 0; } .rows { font-size: 7px; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
</style>
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_text() {
        let hostile = "<script>a('x')</script> [l](javascript:b) http://e.x www.e.x a|b `c` \u{202e}\n# h";
        assert_eq!(
            html(hostile),
            "&lt;script&gt;a(&#39;x&#39;)&lt;/script&gt; [l](javascript:b) http://e.x www.e.x a|b `c` \\u{202e}\\n# h"
        );
        let text = markdown(hostile);
        for bad in ["<", "](", "javascript:", "http:", "www.", " |", " `", "\n", "\u{202e}"] {
            assert!(!text.contains(bad), "{bad:?} in {text}");
        }
        assert_eq!(cut(&"é".repeat(100)).chars().count(), CELL_CHARS_MAX + 1);
    }
}
