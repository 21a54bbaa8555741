//! Diagnostics as drawn text, as plain sentences, and as JSON.

use super::diagnostic::Diagnostic;
use super::value::Span;
use crate::output::text::{hidden, visible, width};
use serde_json::{Value, json};
use std::fmt::Write;

/// The widest excerpt of a source line, in characters.
const WIDTH: usize = 160;

/// Paint of a terminal; empty without colour.
struct Paint {
    error: &'static str,
    mark: &'static str,
    end: &'static str,
}

const PLAIN: Paint = Paint { error: "", mark: "", end: "" };
const COLORED: Paint = Paint { error: "\x1b[1;31m", mark: "\x1b[36m", end: "\x1b[0m" };

/// The error with its places drawn under the source, for a terminal.
pub fn render_text(diagnostic: &Diagnostic, source: &str, color: bool) -> String {
    let paint = if color { COLORED } else { PLAIN };
    let Paint { error, end, .. } = paint;
    let mut out = format!("{error}error[{}]{end}: {}\n", diagnostic.code, printable(&diagnostic.message));
    let places = places(diagnostic, source);
    let mut lines: Vec<usize> = places.iter().map(|place| place.line).collect();
    lines.sort_unstable();
    lines.dedup();
    for line in lines {
        let here: Vec<&Place> = places.iter().filter(|place| place.line == line).collect();
        draw(&mut out, &here, source, &paint);
    }
    advice(&mut out, diagnostic);
    out
}

/// The error as plain sentences for logs and screen readers: places are told by column, and nothing is drawn.
pub fn render_narrated(diagnostic: &Diagnostic, source: &str) -> String {
    let mut out = format!("error[{}]: {}\n", diagnostic.code, printable(&diagnostic.message));
    let mut told = None;
    for place in places(diagnostic, source) {
        if told != Some(place.line) {
            let number = if source.trim_end().contains('\n') { format!(" line {}", place.line) } else { String::new() };
            let excerpt = Excerpt::of(&place, source);
            let _ = writeln!(out, "  in{number}: {}", excerpt.text);
            told = Some(place.line);
        }
        let quoted = printable(&source[place.span.start..place.span.end]);
        let what = if quoted.is_empty() { "the end".to_owned() } else { format!("`{}`", clipped(&quoted)) };
        let text = if place.text.is_empty() { String::new() } else { format!(": {}", place.text) };
        let _ = writeln!(out, "  at column {}, {what}{text}", place.column);
    }
    advice(&mut out, diagnostic);
    out
}

/// The error as an object for programs; `line` and `column` count from 1, columns in characters, offsets in bytes.
pub fn render_json(diagnostic: &Diagnostic, source: &str) -> Value {
    let places = diagnostic.labels.iter().map(|(span, text)| {
        let place = Place::new(*span, text, source);
        json!({ "start": span.start, "end": span.end, "line": place.line, "column": place.column, "text": text })
    });
    let edits =
        diagnostic.edits.iter().map(|(span, text)| json!({ "start": span.start, "end": span.end, "text": text }));
    json!({
        "code": diagnostic.code,
        "message": diagnostic.message,
        "labels": places.collect::<Vec<_>>(),
        "fixes": diagnostic.fixes,
        "help": diagnostic.help,
        "note": diagnostic.note,
        "suggestions": diagnostic.suggestions,
        "edits": edits.collect::<Vec<_>>(),
    })
}

/// What to do about it, a line each.
fn advice(out: &mut String, diagnostic: &Diagnostic) {
    if diagnostic.labels.is_empty() && !diagnostic.suggestions.is_empty() {
        let _ = writeln!(out, "  help: {}", with_suggestions("", &diagnostic.suggestions));
    }
    for help in diagnostic.fixes.iter().chain(&diagnostic.help) {
        let _ = writeln!(out, "  help: {}", printable(help));
    }
    if let Some(note) = &diagnostic.note {
        let _ = writeln!(out, "  note: {}", printable(note));
    }
}

fn with_suggestions(text: &str, words: &[String]) -> String {
    let Some((first, others)) = words.split_first() else { return text.to_owned() };
    let mut out = if text.is_empty() { String::new() } else { format!("{text}; ") };
    let _ = write!(out, "did you mean `{first}`?");
    for (at, other) in others.iter().enumerate() {
        let _ = write!(out, "{} `{other}`", if at == 0 { " also:" } else { "," });
    }
    out
}

/// What steers a terminal would let a name rewrite it.
fn printable(text: &str) -> String {
    visible(text).into_owned()
}

fn clipped(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST { text.to_owned() } else { text.chars().take(LONGEST).chain(['…']).collect() }
}

/// A label in the source.
struct Place {
    span: Span,
    text: String,
    line: usize,
    column: usize,
}

fn places(diagnostic: &Diagnostic, source: &str) -> Vec<Place> {
    let mut places: Vec<Place> =
        diagnostic.labels.iter().map(|(span, text)| Place::new(*span, &printable(text), source)).collect();
    if let Some(main) = places.first_mut() {
        let words: Vec<String> = diagnostic.suggestions.iter().map(|word| printable(word)).collect();
        main.text = with_suggestions(&main.text, &words);
    }
    places
}

impl Place {
    fn new(span: Span, text: &str, source: &str) -> Self {
        let start = floor(source, span.start);
        let end = floor(source, span.end).max(start);
        let line_start = source[..start].rfind('\n').map_or(0, |at| at + 1);
        Self {
            span: Span::new(start, end),
            text: text.to_owned(),
            line: source[..start].matches('\n').count() + 1,
            column: source[line_start..start].chars().count() + 1,
        }
    }
}

/// The part of one line that is shown.
struct Excerpt {
    text: String,
    /// The first character shown, and where it stands in the source.
    from: usize,
    bytes: usize,
}

impl Excerpt {
    fn of(place: &Place, source: &str) -> Self {
        let start = source[..place.span.start].rfind('\n').map_or(0, |at| at + 1);
        let line = source[start..].split('\n').next().unwrap_or_default();
        let from = (place.column - 1).saturating_sub(WIDTH / 2);
        let bytes = start + line.char_indices().nth(from).map_or(0, |(at, _)| at);
        let blank = |c: char| if hidden(c) { ' ' } else { c };
        let shown: String = line.chars().skip(from).take(WIDTH).map(blank).collect();
        Self { text: shown.trim_end().to_owned(), from, bytes }
    }

    /// The columns on a screen that a place takes, if it is in the excerpt.
    fn columns(&self, place: &Place, source: &str) -> Option<(usize, usize)> {
        let blank = |text: &str| -> usize {
            let clean: String = text.chars().map(|c| if hidden(c) { ' ' } else { c }).collect();
            width(&clean)
        };
        let before = source.get(self.bytes..place.span.start)?;
        if place.column - 1 < self.from || before.chars().count() > WIDTH {
            return None;
        }
        let inside = source[place.span.start..place.span.end].split('\n').next().unwrap_or_default();
        let inside: String = inside.chars().take(WIDTH).collect();
        Some((blank(before), blank(&inside).max(1)))
    }
}

/// One line of the source, its marks, and what is said of them.
fn draw(out: &mut String, places: &[&Place], source: &str, paint: &Paint) {
    let Some(first) = places.first() else { return };
    let excerpt = Excerpt::of(first, source);
    let _ = writeln!(out, "  │ {}", excerpt.text);
    let mut marks: Vec<(usize, usize, &str)> = Vec::new();
    for place in places {
        match excerpt.columns(place, source) {
            Some((at, length)) => marks.push((at, length, &place.text)),
            None => {
                let _ = writeln!(out, "  │ (column {}: {})", place.column, place.text);
            }
        }
    }
    if let [(at, length, text)] = marks[..] {
        let line = format!("{}{}{} {text}{}", " ".repeat(at), paint.mark, "^".repeat(length), paint.end);
        let _ = writeln!(out, "  │ {}", line.trim_end());
        return;
    }
    marks.sort_by_key(|(at, ..)| *at);
    for row in rows(&marks) {
        let _ = writeln!(out, "  │ {}{}{}", paint.mark, row.trim_end(), paint.end);
    }
}

/// The rows below a line: the marks, then each text on the first row where it covers nothing.
fn rows(marks: &[(usize, usize, &str)]) -> Vec<String> {
    let mut under = Canvas::default();
    let stem = |at: usize, length: usize| at + (length.saturating_sub(1) / 2).min(2);
    for (at, length, _) in marks {
        under.put(*at, &"─".repeat(*length));
        under.put(stem(*at, *length), "┬");
    }
    // From right to left, as a text may only run over what is to the right of it.
    let mut texts: Vec<Vec<(usize, &str)>> = Vec::new();
    for (at, length, text) in marks.iter().rev() {
        let column = stem(*at, *length);
        let leftmost = |rows: &[Vec<(usize, &str)>]| rows.iter().flatten().map(|(column, _)| *column).min();
        let end = column + 2 + width(text) + 1;
        let fits = |row: &usize| leftmost(&texts[*row..]).is_none_or(|limit| end < limit);
        let row = (0..texts.len()).find(fits).unwrap_or(texts.len());
        if row == texts.len() {
            texts.push(Vec::new());
        }
        texts[row].push((column, text));
    }
    let mut rows = vec![under.text];
    for at in 0..texts.len() {
        let mut row = Canvas::default();
        for (column, _) in texts[at + 1..].iter().flatten() {
            row.put(*column, "│");
        }
        for (column, text) in texts[at].iter().rev() {
            row.put(*column, &format!("╰ {text}"));
        }
        rows.push(row.text);
    }
    rows
}

/// A row of a drawing.
#[derive(Default)]
struct Canvas {
    text: String,
}

impl Canvas {
    /// Writes at a column, over what is there.
    fn put(&mut self, column: usize, text: &str) {
        let mut cells: Vec<char> = self.text.chars().collect();
        // Wide letters only occur in texts, behind which nothing is written.
        while cells.len() < column {
            cells.push(' ');
        }
        for (at, c) in text.chars().enumerate() {
            match cells.get_mut(column + at) {
                Some(cell) => *cell = c,
                None => cells.push(c),
            }
        }
        self.text = cells.into_iter().collect();
    }
}

fn floor(source: &str, at: usize) -> usize {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unclear() -> (&'static str, Diagnostic) {
        let source = "models trained on datasets tagged pii where accuracy > 0.9";
        let told = Diagnostic::new("E0107", "it is not clear what `where` applies to")
            .label(Span::new(38, 43), "put parentheses around the inner phrase")
            .label(Span::new(0, 6), "this?")
            .label(Span::new(18, 26), "or this?")
            .fix("models trained on (datasets tagged pii) where accuracy > 0.9");
        (source, told)
    }

    #[test]
    fn several_places_are_drawn() {
        let (source, told) = unclear();
        let want = "\
error[E0107]: it is not clear what `where` applies to
  │ models trained on datasets tagged pii where accuracy > 0.9
  │ ──┬───            ──┬─────            ──┬──
  │   ╰ this?           ╰ or this?          ╰ put parentheses around the inner phrase
  help: models trained on (datasets tagged pii) where accuracy > 0.9
";
        assert_eq!(render_text(&told, source, false), want);
        assert!(render_text(&told, source, true).starts_with("\u{1b}[1;31merror[E0107]\u{1b}[0m: it is"));
    }

    #[test]
    fn long_texts_go_below_each_other() {
        let told =
            Diagnostic::new("E0107", "m").label(Span::new(0, 1), "a long text").label(Span::new(2, 3), "another");
        let want = "error[E0107]: m\n  │ a b\n  │ ┬ ┬\n  │ │ ╰ another\n  │ ╰ a long text\n";
        assert_eq!(render_text(&told, "a b", false), want);
    }

    #[test]
    fn nothing_is_drawn_in_sentences() {
        let (source, told) = unclear();
        let want = "\
error[E0107]: it is not clear what `where` applies to
  in: models trained on datasets tagged pii where accuracy > 0.9
  at column 39, `where`: put parentheses around the inner phrase
  at column 1, `models`: this?
  at column 19, `datasets`: or this?
  help: models trained on (datasets tagged pii) where accuracy > 0.9
";
        assert_eq!(render_narrated(&told, source), want);
        let told = Diagnostic::new("E0102", "m").label(Span::new(9, 12), "").suggest(vec!["x".into(), "y".into()]);
        let want = "error[E0102]: m\n  in line 2: b été\n  at column 3, `ét`: did you mean `x`? also: `y`\n";
        assert_eq!(render_narrated(&told, "models\nb été"), want);
    }

    #[test]
    fn hostile_names_stay_on_their_line() {
        let told = Diagnostic::new("E0201", "no model is named `a\u{1b}[2J\u{202e}`").label(Span::new(0, 9), "x\ny");
        for text in [render_text(&told, "表\u{1b}[2J\u{202e}b", false), render_narrated(&told, "表\u{1b}[2J\u{202e}b")]
        {
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        }
        let long = "x".repeat(1000) + " y";
        let told = Diagnostic::new("E0102", "m").label(Span::new(1001, 1002), "here").label(Span::new(0, 1), "there");
        let text = render_text(&told, &long, false);
        assert!(text.contains("(column 1: there)") && text.lines().all(|line| line.chars().count() < 180), "{text}");
    }
}
