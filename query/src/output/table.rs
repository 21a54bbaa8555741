//! The table for people: aligned, fitted to the terminal, safe to look at.

use std::io::Write;

use super::cell::{Cell, Column, View, float};
use super::text::{shorten, visible, width};
use super::{OutputError, TableStyle};

/// Between two columns.
const GAP: &str = "  ";
/// Text is not cut below this width.
const NARROWEST: usize = 8;
/// Without a width nothing is cut, but one long cell does not make every row as long: it sticks out.
const WIDEST: usize = 120;
/// The fewest hex digits a digest is shortened to.
pub(super) const DIGITS: usize = 8;
const DIGEST: &str = "b3:";

/// The widths of a column: as laid out, and the narrowest it can be.
#[derive(Clone, Copy)]
struct Layout {
    width: usize,
    narrowest: usize,
    right: bool,
}

/// Writes a header, a line and all rows, or `no rows`.
pub(super) fn write(view: &View<'_>, out: &mut dyn Write, style: &TableStyle) -> Result<(), OutputError> {
    if view.rows().is_empty() || view.columns.is_empty() {
        return Ok(out.write_all(b"no rows\n")?);
    }
    let digits = digits(view, style.digits);
    let layouts = layouts(view, digits, style.width);
    let paint = |code: &'static str| if style.color { code } else { "" };
    let room = |layout: &Layout| if style.width.is_some() { layout.width } else { usize::MAX };
    let names =
        view.columns.iter().zip(&layouts).map(|(c, layout)| shorten(&visible(c.name), room(layout)).into_owned());
    line(out, &layouts, names.map(|name| (name, paint("\x1b[1m"))))?;
    line(out, &layouts, layouts.iter().map(|layout| ("─".repeat(layout.width), paint("\x1b[2m"))))?;
    for row in view.rows() {
        let cells = view.columns.iter().zip(&layouts).map(|(column, layout)| {
            let cell = column.cell(row);
            let code = if cell == Cell::Missing { paint("\x1b[2m") } else { "" };
            (show(&cell, digits, room(layout)), code)
        });
        line(out, &layouts, cells)?;
    }
    Ok(())
}

fn layouts(view: &View<'_>, digits: usize, room: Option<usize>) -> Vec<Layout> {
    let mut layouts: Vec<Layout> = view.columns.iter().map(|column| measure(column, view, digits)).collect();
    let Some(room) = room else {
        for layout in &mut layouts {
            layout.width = layout.width.min(WIDEST);
        }
        return layouts;
    };
    let mut fitted = layouts.clone();
    fit(&mut fitted, room);
    // A list is cut between its items and may leave room to the other columns.
    for ((column, layout), fitted) in view.columns.iter().zip(&mut layouts).zip(fitted) {
        if column.is_list() && fitted.width < layout.width {
            let shown = |row| width(&show(&column.cell(row), digits, fitted.width));
            layout.width = view.rows().map(shown).max().unwrap_or(0).max(layout.narrowest).min(fitted.width);
        }
    }
    fit(&mut layouts, room);
    layouts
}

/// Writes one line of texts, each in its paint, without blanks at the end.
fn line(
    out: &mut dyn Write,
    layouts: &[Layout],
    cells: impl Iterator<Item = (String, &'static str)>,
) -> Result<(), OutputError> {
    let (mut text, mut blanks) = (String::new(), 0);
    for (layout, (cell, paint)) in layouts.iter().zip(cells) {
        let pad = layout.width.saturating_sub(width(&cell));
        let (before, after) = if layout.right { (pad, 0) } else { (0, pad) };
        text.push_str(&" ".repeat(blanks + before));
        text.push_str(paint);
        text.push_str(&cell);
        text.push_str(if paint.is_empty() { "" } else { "\x1b[0m" });
        blanks = after + GAP.len();
    }
    text.push('\n');
    Ok(out.write_all(text.as_bytes())?)
}

fn measure(column: &Column<'_>, view: &View<'_>, digits: usize) -> Layout {
    let header = width(&visible(column.name));
    let mut layout = Layout { width: header, narrowest: header.min(NARROWEST), right: column.is_number() };
    for row in view.rows() {
        let cell = column.cell(row);
        let wide = width(&show(&cell, digits, usize::MAX));
        let floor = match &cell {
            Cell::Text(text) if !is_digest(text) => NARROWEST,
            Cell::List(items) => {
                let digest = items.iter().any(|item| is_digest(item));
                width(&more(items.len())) + if digest { DIGEST.len() + digits } else { NARROWEST }
            }
            _ => wide,
        };
        layout.width = layout.width.max(wide);
        layout.narrowest = layout.narrowest.max(floor.min(wide));
    }
    layout
}

/// Takes from the widest column that can give until the line fits or none can.
fn fit(layouts: &mut [Layout], room: usize) {
    let room = room.saturating_sub(GAP.len() * (layouts.len() - 1));
    for layout in &mut *layouts {
        layout.width = layout.width.min(room.max(layout.narrowest));
    }
    let mut total: usize = layouts.iter().map(|layout| layout.width).sum();
    while total > room {
        let Some(widest) = layouts.iter_mut().filter(|l| l.width > l.narrowest).max_by_key(|l| l.width) else {
            return;
        };
        widest.width -= 1;
        total -= 1;
    }
}

/// The text of a cell, cut to the room there is.
fn show(cell: &Cell<'_>, digits: usize, room: usize) -> String {
    match cell {
        Cell::Missing => "-".to_owned(),
        Cell::Text("") => "\"\"".to_owned(),
        Cell::Text(text) => shorten(&plain(text, digits), room).into_owned(),
        Cell::Unsigned(value) => value.to_string(),
        Cell::Signed(value) => value.to_string(),
        Cell::Float(value) => float(*value),
        Cell::Bool(value) => value.to_string(),
        Cell::Time(value) => value.to_string(),
        Cell::List(items) => list(items, digits, room),
    }
}

/// As many items as there is room for, then the number of the others.
fn list(items: &[&str], digits: usize, room: usize) -> String {
    let mut items: Vec<String> = items.iter().map(|item| plain(item, digits)).collect();
    let total: usize = items.iter().map(|item| width(item) + 2).sum::<usize>().saturating_sub(2);
    if items.is_empty() {
        return "[]".to_owned();
    }
    if total <= room {
        return items.join(", ");
    }
    let suffix = width(&more(items.len()));
    let (mut used, mut kept) = (0, 0);
    for item in &items {
        used += width(item) + if kept > 0 { 2 } else { 0 };
        if used + suffix > room {
            break;
        }
        kept += 1;
    }
    let left = items.len() - kept.max(1);
    items.truncate(kept.max(1));
    let suffix = if left > 0 { more(left) } else { String::new() };
    shorten(&items.join(", "), room.saturating_sub(width(&suffix))).into_owned() + &suffix
}

fn more(left: usize) -> String {
    format!(" +{left}")
}

/// The text on one line, a digest by its first digits.
fn plain(text: &str, digits: usize) -> String {
    let end = DIGEST.len() + digits;
    if is_digest(text) { text[..end.min(text.len())].to_owned() } else { visible(text).into_owned() }
}

fn is_digest(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix(DIGEST).is_some_and(|rest| rest.len() == 64 && rest.bytes().all(hex))
}

/// The digests that a table would shorten, sorted, each once.
pub(super) fn digests<'a>(view: &View<'a>) -> Vec<&'a str> {
    let mut digests: Vec<&str> = Vec::new();
    for column in &view.columns {
        for row in view.rows() {
            match column.cell(row) {
                Cell::Text(text) => digests.extend(is_digest(text).then_some(text)),
                Cell::List(items) => digests.extend(items.into_iter().filter(|item| is_digest(item))),
                _ => {}
            }
        }
    }
    digests.sort_unstable();
    digests.dedup();
    digests
}

/// How many digits tell all digests of the answer apart, and no fewer than are wanted.
fn digits(view: &View<'_>, least: usize) -> usize {
    let common = |pair: &[&str]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    let longest = digests(view).windows(2).map(common).max().unwrap_or(0);
    (longest + 1).saturating_sub(DIGEST.len()).max(DIGITS).max(least)
}
