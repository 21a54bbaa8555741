//! Operators and marks of other languages: reported, and read as what they mean.

use super::super::diagnostic::Diagnostic;
use super::super::lexer::Lexing;
use super::super::suggest::quote;
use super::super::token::Tok;
use super::super::value::Span;
use super::super::words::SINGULARS;
use std::borrow::Cow;

/// Operators of other languages: spelling, ours (empty: nothing), the sentence, and help where
/// there is nothing of ours to write instead.
const OPERATORS: &[(&str, &str, &str, &str)] = &[
    ("==", "=", "equality is written `=`", ""),
    ("&&", "and", "conditions are joined by `and`", ""),
    ("||", "or", "alternatives are joined by `or` inside `where`, sets by `union`", ""),
    ("<>", "!=", "inequality is written `!=`", ""),
    ("=~", "like", "there are no regular expressions; `like` has `%` for any text and `_` for a letter", ""),
    ("!~", "", "there are no regular expressions", "`where not name like 'churn%'`"),
    ("->", "", "relations are words, not arrows", "`models downstream of dataset X`, `path from dataset X to model Y`"),
    ("<-", "", "relations are words, not arrows", "`datasets upstream of model Y`"),
    ("--", "", "relations are words, not arrows", "`models downstream of dataset X`"),
    (";", "", "a statement has no end mark", ""),
    ("?", "", "a question has no end mark", ""),
    ("+", "", "graph operators are words or `::`", "`::model churn` for everything above it, `dataset X::` for below"),
    ("*", "", "there is no `*`", "a noun alone means all of it: `models`"),
];

/// Reads a foreign token at the start of `rest`: what follows it, or `None` if there is none.
pub(in super::super) fn read<'a>(source: &'a str, rest: &'a str, out: &mut Lexing<'a>) -> Option<&'a str> {
    let start = source.len() - rest.len();
    match rest.as_bytes().first()? {
        b'$' => Some(dollar(rest, start, out)),
        b'`' => backtick(rest, start, out),
        b'!' if !rest.starts_with("!=") && !rest.starts_with("!~") => {
            let span = Span::new(start, start + 1);
            let told = foreign(span, "negation is written `not`");
            out.errors.push(told.edit(span, padded(source, span, "not")));
            out.push(Tok::Word, Cow::Borrowed("not"), span);
            Some(&rest[1..])
        }
        b':' => colon(source, rest, start, out),
        b'.' => fraction(rest, start, out),
        _ => operator(source, rest, start, out),
    }
}

fn foreign(span: Span, message: &str) -> Diagnostic {
    Diagnostic::new("E0104", message).label(span, "another language's spelling")
}

/// A replacement that keeps apart what it stands between.
fn padded(source: &str, span: Span, ours: &str) -> String {
    let apart = |c: Option<char>| c.is_none_or(char::is_whitespace) || !ours.starts_with(char::is_alphabetic);
    let before = if apart(source[..span.start].chars().next_back()) { "" } else { " " };
    let after = if apart(source[span.end..].chars().next()) { "" } else { " " };
    format!("{before}{ours}{after}")
}

/// `model:churn`, `churn:v3` and `tag:gold`; a parameter stands apart from the word before it.
fn colon<'a>(source: &'a str, rest: &'a str, start: usize, out: &mut Lexing<'a>) -> Option<&'a str> {
    let last = out.tokens.last().filter(|last| last.span.end == start && last.kind == Tok::Word)?;
    let value = rest[1..].starts_with(|c: char| c.is_alphanumeric() || c == '\'' || c == '"');
    if !value {
        return None;
    }
    let (word, whole) = (last.text.to_ascii_lowercase(), Span::new(last.span.start, start + 1));
    let span = Span::new(start, start + 1);
    if matches!(word.as_str(), "tag" | "tags") {
        out.tokens.pop();
        out.errors.push(foreign(whole, "a tag is asked for with `tagged`").edit(whole, "tagged "));
        out.push(Tok::Word, Cow::Borrowed("tagged"), whole);
    } else if SINGULARS.contains(&word.as_str()) {
        out.errors.push(foreign(span, "a kind and its name stand apart").edit(span, " "));
    } else {
        let name = &source[last.span.start..start];
        let told = foreign(span, "a version stands behind `@`, a parameter apart from the word before it");
        out.errors.push(told.edit(span, "@").help(format!("`{name}@v3` or `{name} :x`")));
        out.push(Tok::Symbol, Cow::Borrowed("@"), span);
    }
    Some(&rest[1..])
}

/// `.9`.
fn fraction<'a>(rest: &'a str, start: usize, out: &mut Lexing<'a>) -> Option<&'a str> {
    let digits = rest[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - 1);
    let apart = out.tokens.last().is_none_or(|last| last.span.end < start);
    if digits == 0 || !apart {
        return None;
    }
    let span = Span::new(start, start + 1 + digits);
    let number = format!("0{}", &rest[..=digits]);
    out.errors.push(foreign(span, "a number begins with a digit").edit(span, number.clone()));
    out.push(Tok::Number, Cow::Owned(number), span);
    Some(&rest[1 + digits..])
}

fn dollar<'a>(rest: &'a str, start: usize, out: &mut Lexing<'a>) -> &'a str {
    let braced = rest.starts_with("${");
    let from = if braced { 2 } else { 1 };
    let stop = |c: char| !(c.is_alphanumeric() || c == '_');
    let length = rest[from..].find(stop).unwrap_or(rest.len() - from);
    let name = &rest[from..from + length];
    let end = from + length + usize::from(braced && rest[from + length..].starts_with('}'));
    let span = Span::new(start, start + end);
    let shown = if name.is_empty() { "who" } else { name };
    out.errors.push(
        Diagnostic::new("E0104", format!("parameters are written `:{shown}`, not `{}`", &rest[..end]))
            .label(span, "the shell would replace this inside double quotes")
            .edit(span, format!(":{shown}"))
            .help(format!("pass its value with `--param {shown}=VALUE`")),
    );
    out.push(Tok::Param, Cow::Borrowed(shown), span);
    &rest[end..]
}

fn backtick<'a>(rest: &'a str, start: usize, out: &mut Lexing<'a>) -> Option<&'a str> {
    let length = rest[1..].find('`')?;
    let name = &rest[1..=length];
    let span = Span::new(start, start + length + 2);
    out.errors.push(
        Diagnostic::new("E0104", "names are quoted with single or double quotes, not backticks")
            .label(span, "the shell would run this as a command")
            .edit(span, quote(name)),
    );
    out.push(Tok::Str, Cow::Borrowed(name), span);
    Some(&rest[length + 2..])
}

fn operator<'a>(source: &'a str, rest: &'a str, start: usize, out: &mut Lexing<'a>) -> Option<&'a str> {
    let (theirs, ours, message, help) = OPERATORS.iter().find(|(theirs, ..)| rest.starts_with(theirs))?;
    let span = Span::new(start, start + theirs.len());
    let told = foreign(span, message);
    let ends = matches!(*theirs, ";" | "?");
    if ends || !ours.is_empty() {
        out.errors.push(told.edit(span, padded(source, span, ours)));
    } else {
        out.recovered = false;
        out.errors.push(told.help(*help));
    }
    if !ours.is_empty() {
        let kind = if ours.starts_with(char::is_alphabetic) { Tok::Word } else { Tok::Symbol };
        out.push(kind, Cow::Borrowed(ours), span);
    }
    Some(&rest[theirs.len()..])
}
