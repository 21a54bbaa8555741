//! Text to tokens, with nom; foreign spellings are reported and read as what they mean.

use super::diagnostic::Diagnostic;
use super::suggest::quoted;
use super::token::{Tok, Token};
use super::value::Span;
use super::words::{SYMBOLS, reserved};
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while_m_n, take_while1};
use nom::character::complete::{char, digit1, none_of, one_of};
use nom::combinator::{fail, map, not, opt, peek, recognize, verify};
use nom::multi::many0_count;
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};
use std::borrow::Cow;

/// More errors than this are not read.
const MAX_ERRORS: usize = 3;

type Lexed<'a> = IResult<&'a str, (Tok, Cow<'a, str>)>;

/// The tokens of a text and what was wrong with their spelling.
pub(super) struct Lexing<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) errors: Vec<Diagnostic>,
    /// Every error had an obvious meaning, so parsing on makes sense.
    pub(super) recovered: bool,
}

/// Reads all tokens.
pub(super) fn lex(source: &str) -> Lexing<'_> {
    let mut out = Lexing { tokens: Vec::new(), errors: Vec::new(), recovered: true };
    let mut rest = blanks(source, true);
    while !rest.is_empty() && out.errors.len() < MAX_ERRORS {
        let start = source.len() - rest.len();
        if let Some(after) = super::dialect::read(source, rest, &mut out) {
            rest = blanks(after, false);
            continue;
        }
        match token(rest) {
            Ok((after, (kind, text))) => {
                let span = Span::new(start, source.len() - after.len());
                check_end(source, after, kind, span, &mut out);
                out.push(kind, text, span);
                rest = blanks(after, false);
            }
            Err(_) => rest = blanks(stray(source, rest, &mut out), false),
        }
    }
    out
}

impl<'a> Lexing<'a> {
    pub(super) fn push(&mut self, kind: Tok, text: Cow<'a, str>, span: Span) {
        let fixed = match kind {
            Tok::Word => reserved(&text),
            Tok::Symbol => SYMBOLS.iter().find(|symbol| **symbol == text).copied(),
            _ => None,
        };
        self.tokens.push(Token { kind, text, fixed, span });
    }
}

/// Skips white space and comments; a `#` begins a comment only where a word could begin.
fn blanks(mut rest: &str, mut fresh: bool) -> &str {
    loop {
        let trimmed = rest.trim_start();
        fresh |= trimmed.len() < rest.len();
        rest = trimmed;
        if !(fresh && rest.starts_with('#')) {
            return rest;
        }
        rest = rest.find('\n').map_or("", |at| &rest[at..]);
    }
}

fn token(input: &str) -> Lexed<'_> {
    alt((file, moment, number, hash, bare, param, string, symbol)).parse(input)
}

fn of<'a>(kind: Tok) -> impl Fn(&'a str) -> (Tok, Cow<'a, str>) {
    move |text| (kind, Cow::Borrowed(text))
}

fn is_path(c: char) -> bool {
    c.is_alphanumeric() || "_-./+".contains(c)
}

fn file(input: &str) -> Lexed<'_> {
    map(recognize((alt((tag("./"), tag("../"), tag("/"))), take_while(is_path))), of(Tok::File)).parse(input)
}

fn digits<'a>(count: usize) -> impl Parser<&'a str, Output = &'a str, Error = nom::error::Error<&'a str>> {
    take_while_m_n(count, count, |c: char| c.is_ascii_digit())
}

fn zone(input: &str) -> IResult<&str, &str> {
    recognize(alt((recognize(char('Z')), recognize((one_of("+-"), digits(2), char(':'), digits(2)))))).parse(input)
}

fn moment(input: &str) -> Lexed<'_> {
    let (after_month, _) = (digits(4), char('-'), digits(2)).parse(input)?;
    let day: IResult<&str, _> = (char('-'), digits(2)).parse(after_month);
    let Ok((after_day, _)) = day else {
        return Ok((after_month, of(Tok::Month)(&input[..input.len() - after_month.len()])));
    };
    let seconds = (char(':'), digits(2), opt((char('.'), digit1)));
    let clock: IResult<&str, _> =
        (char('T'), digits(2), char(':'), digits(2), opt(seconds), opt(zone)).parse(after_day);
    let (after, kind) = clock.map_or((after_day, Tok::Date), |(after, _)| (after, Tok::DateTime));
    Ok((after, of(kind)(&input[..input.len() - after.len()])))
}

fn number(input: &str) -> Lexed<'_> {
    let exponent = (one_of("eE"), opt(one_of("+-")), digit1);
    map(recognize((opt(char('-')), digit1, opt((char('.'), digit1)), opt(exponent))), of(Tok::Number)).parse(input)
}

fn hash(input: &str) -> Lexed<'_> {
    let algorithm = alt((tag("b3"), tag("sha256"), tag("sha1"), tag("md5")));
    let digest = take_while1(|c: char| c.is_alphanumeric());
    let (rest, text) = recognize((algorithm, char(':'), digest)).parse(input)?;
    Ok((rest, (Tok::Hash, Cow::Owned(text.to_ascii_lowercase()))))
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || "_-./".contains(c)
}

fn bare(input: &str) -> Lexed<'_> {
    map(word, of(Tok::Word)).parse(input)
}

/// A letter, then letters, digits and `_ - . /`, of which the last is no mark.
fn word(input: &str) -> IResult<&str, &str> {
    let (_, run) = verify(take_while1(is_word_char), |run: &str| run.starts_with(char::is_alphabetic)).parse(input)?;
    let length = run.trim_end_matches(['-', '.', '/']).len();
    Ok((&input[length..], &input[..length]))
}

/// Whether a text is one bare word.
pub(super) fn is_word(text: &str) -> bool {
    word(text).is_ok_and(|(rest, _)| rest.is_empty())
}

/// Whether a path may be written without quotes.
pub(super) fn is_bare_path(text: &str) -> bool {
    file(text).is_ok_and(|(rest, _)| rest.is_empty())
}

/// Whether a quoted text without a kind word before it names a file.
pub(super) fn is_path_like(text: &str) -> bool {
    text.starts_with("./") || text.starts_with("../") || text.starts_with('/')
}

fn param(input: &str) -> Lexed<'_> {
    map(preceded((char(':'), not(char(':'))), word), of(Tok::Param)).parse(input)
}

fn string(input: &str) -> Lexed<'_> {
    let (_, quote) = peek(one_of("'\"")).parse(input)?;
    let inside = match quote {
        '\'' => recognize(many0_count(alt((tag("''"), recognize(none_of("'")))))).parse(&input[1..]),
        _ => recognize(many0_count(alt((tag("\"\""), recognize(none_of("\"")))))).parse(&input[1..]),
    };
    let (rest, body) = terminated(move |_| inside.clone(), char(quote)).parse(input)?;
    let text = if body.contains(quote) {
        Cow::Owned(body.replace(&format!("{quote}{quote}"), &quote.to_string()))
    } else {
        Cow::Borrowed(body)
    };
    Ok((rest, (Tok::Str, text)))
}

fn symbol(input: &str) -> Lexed<'_> {
    let Some(symbol) = SYMBOLS.iter().find(|symbol| input.starts_with(**symbol)) else {
        return map(fail(), of(Tok::Symbol)).parse(input);
    };
    map(tag(*symbol), of(Tok::Symbol)).parse(input)
}

/// Numbers run into letters only where the letters are a unit, and digests have limits.
fn check_end(source: &str, after: &str, kind: Tok, span: Span, out: &mut Lexing<'_>) {
    let text = &source[span.start..span.end];
    match kind {
        Tok::Hash => check_hash(text, span, out),
        Tok::Number | Tok::Date | Tok::Month | Tok::DateTime => {
            let run: &str = &after[..after.find(|c| !is_word_char(c)).unwrap_or(after.len())];
            let run = run.trim_end_matches(['.', '/']);
            if run.is_empty() || (kind == Tok::Number && super::parse_value::is_unit(run)) {
                return;
            }
            let whole = format!("{text}{run}");
            out.recovered = false;
            out.errors.push(
                Diagnostic::new("E0101", format!("`{whole}` is neither a number nor a name"))
                    .label(Span::new(span.start, span.end + run.len()), "bare names begin with a letter")
                    .edit(Span::new(span.start, span.end + run.len()), quoted(&whole))
                    .help(format!("to mean a name, quote it: {}", quoted(&whole))),
            );
        }
        _ => {}
    }
}

fn check_hash(text: &str, span: Span, out: &mut Lexing<'_>) {
    let (algorithm, hex) = text.split_once(':').unwrap_or((text, ""));
    let longest = match algorithm.to_ascii_lowercase().as_str() {
        "md5" => 32,
        "sha1" => 40,
        _ => 64,
    };
    if (4..=longest).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return;
    }
    out.errors.push(
        Diagnostic::new("E0101", format!("a digest is `{algorithm}:` and 4 to {longest} hexadecimal digits"))
            .label(span, "this is not one")
            .help("parameters stand apart: `dataset :name`"),
    );
}

/// The text in typographic quotes that begins here.
fn curly(rest: &str, start: usize) -> Option<(&str, Span)> {
    let inside = rest.strip_prefix(['\u{2018}', '\u{201c}', '\u{201e}', '\u{201a}'])?;
    let length = inside.find(['\u{2019}', '\u{201d}', '\u{201c}', '\u{2018}'])?;
    let close = inside[length..].chars().next().map_or(0, char::len_utf8);
    let open = rest.len() - inside.len();
    Some((&inside[..length], Span::new(start, start + open + length + close)))
}

/// Reports what cannot begin a token, and skips it.
fn stray<'a>(source: &'a str, rest: &'a str, out: &mut Lexing<'a>) -> &'a str {
    let start = source.len() - rest.len();
    let c = rest.chars().next().unwrap_or(' ');
    out.recovered = false;
    if c == '\'' || c == '"' {
        out.errors.push(
            Diagnostic::new("E0101", "a quoted text has no closing quote")
                .label(Span::new(start, source.len()), "opened here")
                .help(format!("a {c} inside the text is written twice")),
        );
        return "";
    }
    let length = rest.len() - rest.trim_start_matches(c).len();
    let mut bad = Diagnostic::new("E0101", format!("`{}` has no meaning here", c.escape_debug()))
        .label(Span::new(start, start + length), "not part of the language");
    if let Some((name, span)) = curly(rest, start) {
        bad = bad.edit(span, quoted(name));
    }
    out.errors.push(match c {
        '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' => bad.help("use straight quotes: 'name'"),
        '-' | '_' => bad.help("bare names begin with a letter and end in a letter, a digit or `_`; others are quoted"),
        '#' => bad.help("a comment begins after white space; a name with `#` is quoted"),
        ':' => bad.help("a parameter is `:name`, a closure `X::`"),
        _ => bad.help("a name with this character is quoted"),
    });
    &rest[length..]
}
