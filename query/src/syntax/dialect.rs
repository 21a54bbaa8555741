//! Habits from other languages: recognised, translated in the help, and read on.

use super::diagnostic::Diagnostic;
use super::lexer::Lexing;
use super::suggest::quote;
use super::token::{Tok, Token, Tokens};
use super::value::Span;
use std::borrow::Cow;

/// Operators of other languages: spelling, ours (empty: nothing), the sentence, the help.
const OPERATORS: &[(&str, &str, &str, &str)] = &[
    ("==", "=", "equality is written `=`", "`where tag = 'prod'`"),
    ("&&", "and", "conditions are joined by `and`", "`where a = 1 and b = 2`"),
    ("||", "or", "alternatives are joined by `or` inside `where`, sets by `union`", "`where a = 1 or b = 2`"),
    ("<>", "!=", "inequality is written `!=`", "`where outcome != 'fail'`"),
    ("=~", "like", "there are no regular expressions", "`where name like 'churn%'`"),
    ("!~", "", "there are no regular expressions", "`where not name like 'churn%'`"),
    ("->", "", "relations are words, not arrows", "`models downstream of dataset X`, `path from dataset X to model Y`"),
    ("<-", "", "relations are words, not arrows", "`datasets upstream of model Y`"),
    ("--", "", "relations are words, not arrows", "`models downstream of dataset X`"),
    (";", "", "a statement has no end mark", "leave it out"),
    ("+", "", "graph operators are words or `::`", "`::model churn` for everything above it, `dataset X::` for below"),
    ("*", "", "there is no `*`", "a noun alone means all of it: `models`"),
];

/// Reads a foreign token at the start of `rest`: what follows it, or `None` if there is none.
pub(super) fn read<'a>(source: &'a str, rest: &'a str, out: &mut Lexing<'a>) -> Option<&'a str> {
    let start = source.len() - rest.len();
    match rest.as_bytes().first()? {
        b'$' => Some(dollar(rest, start, out)),
        b'`' => backtick(rest, start, out),
        b'!' if !rest.starts_with("!=") && !rest.starts_with("!~") => {
            tell(out, Span::new(start, start + 1), "negation is written `not`", "`not tagged gold`");
            out.push(Tok::Word, Cow::Borrowed("not"), Span::new(start, start + 1));
            Some(&rest[1..])
        }
        _ => operator(rest, start, out),
    }
}

fn tell(out: &mut Lexing<'_>, span: Span, message: &str, help: &str) {
    out.errors.push(Diagnostic::new("E0104", message).label(span, "another language's spelling").help(help));
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
            .help(format!("write `:{shown}` and pass `--param {shown}=…`")),
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
            .help(format!("write {}", quote(name))),
    );
    out.push(Tok::Str, Cow::Borrowed(name), span);
    Some(&rest[length + 2..])
}

fn operator<'a>(rest: &'a str, start: usize, out: &mut Lexing<'a>) -> Option<&'a str> {
    let (theirs, ours, message, help) = OPERATORS.iter().find(|(theirs, ..)| rest.starts_with(theirs))?;
    let span = Span::new(start, start + theirs.len());
    tell(out, span, message, help);
    if ours.is_empty() {
        out.recovered &= *theirs == ";";
    } else {
        let kind = if ours.starts_with(char::is_alphabetic) { Tok::Word } else { Tok::Symbol };
        out.push(kind, Cow::Borrowed(ours), span);
    }
    Some(&rest[theirs.len()..])
}

/// Whole statements of other languages, told apart only after they failed to parse.
pub(super) fn statement(tokens: Tokens<'_>) -> Option<Diagnostic> {
    let first = tokens.first()?;
    let is = |words: &[&str]| first.kind == Tok::Word && words.iter().any(|word| first.text.eq_ignore_ascii_case(word));
    let told = |message: &str| Diagnostic::new("E0104", message).label(first.span, "another language's spelling");
    if is(&["select"]) {
        return Some(told("a question begins with what it asks for, not with `SELECT`").help(from_sql(tokens)));
    }
    if is(&["match", "optional"]) {
        let help = "models downstream of dataset X";
        return Some(told("relations are words, not patterns of `MATCH`").help(help));
    }
    if is(&["find", "get", "list", "give", "return", "fetch", "the"]) || (is(&["show"]) && tokens.nth(1).is_some()) {
        let help = "models trained on dataset X";
        return Some(told("a question begins with what it asks for").help(help));
    }
    None
}

/// A guess at what an SQL query would be here.
fn from_sql(tokens: Tokens<'_>) -> String {
    let mut at = 0;
    while tokens.nth(at).is_some_and(|token| token.fixed != Some("from")) {
        at += 1;
    }
    let noun = tokens.nth(at + 1).and_then(plural).unwrap_or("models");
    match tokens.nth(at + 2) {
        Some(token) if token.fixed == Some("where") => format!("{noun} {}", &tokens.source[token.span.start..]),
        _ => format!("{noun} where accuracy > 0.9"),
    }
}

fn plural(token: &Token<'_>) -> Option<&'static str> {
    let word = token.text.to_ascii_lowercase();
    super::words::PLURALS.iter().find(|plural| **plural == word || plural.strip_suffix('s') == Some(&word)).copied()
}
