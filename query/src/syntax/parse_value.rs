//! Names, references, attributes, values and times.

use super::ast::{File, Hash, Kind, Noun, Ref, Set};
use super::diagnostic::Diagnostic;
use super::dialect::singular_before;
use super::failure::{LqError, NamePosition};
use super::lexer::{is_path_like, is_word};
use super::suggest::quoted;
use super::token::{Res, Tok, Token, Tokens, fail, unexpected};
use super::value::{Attr, Name, NameValue, Number, Span, TimeExpr, TimeKind, TimeUnit, Unit, Value, ValueKind};
use super::words::{CLAUSE_WORDS, PLURALS, SINGULARS};

const TIME_WORDS: &[&str] = &["now", "today", "yesterday"];

/// The attribute namespaces.
const NAMESPACES: &[&str] = &["metric", "param", "meta"];

/// The kind word that begins here, whether it is a plural, and how many tokens it takes.
pub(super) fn kind_word(i: Tokens<'_>, ahead: usize) -> Option<(Kind, bool, usize)> {
    let (kind, plural) = match i.fixed(ahead) {
        "dataset" => (Kind::Dataset, false),
        "datasets" => (Kind::Dataset, true),
        "model" => (Kind::Model, false),
        "models" => (Kind::Model, true),
        "feature" if i.is_word(ahead + 1, "set") => return Some((Kind::FeatureSet, false, 2)),
        "feature" if i.is_word(ahead + 1, "sets") => return Some((Kind::FeatureSet, true, 2)),
        "artifact" => (Kind::Artifact, false),
        "artifacts" => (Kind::Artifact, true),
        "agent" => (Kind::Agent, false),
        "agents" => (Kind::Agent, true),
        "transform" => (Kind::Transform, false),
        "transforms" => (Kind::Transform, true),
        "training" => (Kind::Training, false),
        "trainings" => (Kind::Training, true),
        "evaluation" => (Kind::Evaluation, false),
        "evaluations" => (Kind::Evaluation, true),
        "audit" => (Kind::Audit, false),
        "audits" => (Kind::Audit, true),
        "deployment" => (Kind::Deployment, false),
        "deployments" => (Kind::Deployment, true),
        "retirement" => (Kind::Retirement, false),
        "retirements" => (Kind::Retirement, true),
        "run" => (Kind::Run, false),
        "runs" => (Kind::Run, true),
        "event" => (Kind::Event, false),
        "events" => (Kind::Event, true),
        _ => return None,
    };
    Some((kind, plural, 1))
}

/// A plural, or an article or `any` and a singular.
pub(super) fn noun(i: Tokens<'_>) -> Option<(Tokens<'_>, Noun)> {
    i.expect("a noun", PLURALS);
    let (kind, length) = match kind_word(i, 0) {
        Some((kind, true, length)) => (kind, length),
        _ if i.fixed(0) == "any" || i.is_word(0, "a") || i.is_word(0, "an") => match kind_word(i, 1) {
            Some((kind, false, length)) => (kind, length + 1),
            _ => return None,
        },
        _ => return None,
    };
    let rest = i.skip(length);
    Some((rest, Noun { kind, span: rest.span_from(i) }))
}

/// A name where nothing else can stand.
pub(super) fn name<'a>(i: Tokens<'a>, label: &'static str, position: NamePosition) -> Res<'a, Name> {
    i.expect_name(label, position);
    match i.first() {
        Some(token) => match token.kind {
            Tok::Word if token.fixed.is_some() => reserved_name(i, label),
            Tok::Word | Tok::Str => Ok((i.skip(1), text_name(token))),
            Tok::Param => Ok((i.skip(1), Name { value: NameValue::Param(token.text.to_string()), span: token.span })),
            _ => unexpected(),
        },
        None => unexpected(),
    }
}

fn text_name(token: &Token<'_>) -> Name {
    Name { value: NameValue::Text(token.text.to_string()), span: token.span }
}

/// E0103: a word of the language where a name should be.
fn reserved_name<'a, T>(i: Tokens<'a>, label: &str) -> Res<'a, T> {
    let found = i.fixed(0);
    let text = format!("expected {label}, found `{found}`, which is a word of the language");
    let mut told = Diagnostic::new("E0103", text).label(i.span(), "reserved");
    if let Some((start, kind)) = singular_before(i).filter(|_| found == "where" || CLAUSE_WORDS.contains(&found)) {
        told = told.edit(i.span_from(start), kind.plural());
    }
    let help = format!("if that is really its name, quote it: {}", quoted(found));
    fail(told.edit(i.span(), quoted(found)).help(help))
}

/// An agent after `by`.
pub(super) fn agent(i: Tokens<'_>) -> Res<'_, Name> {
    name(i, "an agent", NamePosition::Agent)
}

/// Whether a reference without a kind could begin `ahead` tokens on.
pub(super) fn begins_name(i: Tokens<'_>, ahead: usize) -> bool {
    i.nth(ahead).is_some_and(|token| match token.kind {
        Tok::Word => token.fixed.is_none(),
        Tok::Str | Tok::Param | Tok::Hash | Tok::File => true,
        _ => false,
    })
}

/// `[kind] (name [@version] | hash | file)`; `slot` says that the name is that of a slot.
pub(super) fn reference(i: Tokens<'_>, slot: bool) -> Res<'_, Set> {
    i.expect("a kind and a name", SINGULARS);
    let (kind, rest) = match kind_word(i, 0) {
        Some((kind, false, length)) => (Some(kind), i.skip(length)),
        _ => (None, i),
    };
    match rest.first() {
        Some(token) if token.kind == Tok::Hash => Ok((rest.skip(1), hash(kind, token, rest.skip(1).span_from(i)))),
        Some(token)
            if token.kind == Tok::File || (token.kind == Tok::Str && kind.is_none() && is_path_like(&token.text)) =>
        {
            let file = File { kind, path: token.text.to_string(), span: rest.skip(1).span_from(i) };
            Ok((rest.skip(1), Set::File(file)))
        }
        _ => {
            let position = if slot { NamePosition::Slot } else { NamePosition::Reference(kind) };
            let (after, name) = name(rest, if slot { "a slot" } else { "a name" }, position)?;
            let (after, version) = version(after, kind, &name)?;
            Ok((after, Set::Ref(Ref { kind, name, version, span: after.span_from(i) })))
        }
    }
}

fn hash(kind: Option<Kind>, token: &Token<'_>, span: Span) -> Set {
    let (algorithm, hex) = token.text.split_once(':').unwrap_or_default();
    let algorithm = ["sha256", "sha1", "md5"].into_iter().find(|known| *known == algorithm).unwrap_or("b3");
    Set::Hash(Hash { kind, algorithm, hex: hex.to_owned(), span })
}

/// `@v3`, `@3`, `@latest`, `@2024-01`, `@'any label'`, `@:param`.
pub(super) fn version<'a>(i: Tokens<'a>, kind: Option<Kind>, of: &Name) -> Res<'a, Option<Name>> {
    if !i.sees("@") {
        return Ok((i, None));
    }
    let i = i.skip(1);
    match i.first() {
        Some(token) if is_plain_version(token) => Ok((i.skip(1), Some(text_name(token)))),
        _ => {
            let position = NamePosition::Version(kind, of.text().unwrap_or_default().to_owned());
            let (i, version) = name(i, "a version", position)?;
            Ok((i, Some(version)))
        }
    }
}

fn is_plain_version(token: &Token<'_>) -> bool {
    match token.kind {
        Tok::Date | Tok::Month => true,
        Tok::Number => token.text.bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    }
}

/// An attribute; `created` and `live` are attributes too where only an attribute can stand.
pub(super) fn attr(i: Tokens<'_>) -> Res<'_, Attr> {
    i.expect_name("an attribute", NamePosition::Attribute);
    let Some(token) = i.first().filter(|token| token.kind == Tok::Word) else { return unexpected() };
    if let Some(fixed) = token.fixed.filter(|fixed| !matches!(*fixed, "created" | "live")) {
        return fail(
            Diagnostic::new(
                "E0103",
                format!("expected an attribute, found `{fixed}`, which is a word of the language"),
            )
            .label(i.span(), "reserved")
            .edit(i.span(), format!("metric.{fixed}"))
            .help(format!("a metric of that name is `metric.{fixed}`")),
        );
    }
    let namespace = |word: &str| NAMESPACES.iter().find(|known| **known == word).copied();
    if let Some(space) = namespace(&token.text).filter(|_| i.fixed(1) == ".") {
        let Some(key) = i.nth(2).filter(|key| key.kind == Tok::Str) else {
            i.skip(2).expect("a quoted name", &[]);
            return unexpected();
        };
        let rest = i.skip(3);
        return Ok((rest, Attr { namespace: Some(space), name: key.text.to_string(), span: rest.span_from(i) }));
    }
    let (space, key) = match token.text.split_once('.') {
        Some((space, key)) if namespace(space).is_some() => (namespace(space), key),
        _ => (None, token.text.as_ref()),
    };
    Ok((i.skip(1), Attr { namespace: space, name: key.to_owned(), span: token.span }))
}

/// A whole number.
pub(super) fn whole(i: Tokens<'_>) -> Res<'_, u64> {
    i.expect("a whole number", &[""]);
    let parsed = i.first().filter(|token| token.kind == Tok::Number).and_then(|token| token.text.parse().ok());
    parsed.map_or_else(unexpected, |number| Ok((i.skip(1), number)))
}

/// A whole number that fits 32 bits and is at least 1.
pub(super) fn positive(i: Tokens<'_>) -> Res<'_, u32> {
    let (rest, number) = whole(i)?;
    match u32::try_from(number) {
        Ok(number) if number > 0 => Ok((rest, number)),
        _ => fail(
            Diagnostic::new("E0101", format!("expected a number from 1 to {}", u32::MAX))
                .label(i.span(), "this is not"),
        ),
    }
}

/// A unit of time.
pub(super) fn time_unit(i: Tokens<'_>) -> Res<'_, TimeUnit> {
    i.expect("a unit of time", &["seconds", "minutes", "hours", "days"]);
    match i.first().filter(|token| token.kind == Tok::Word).and_then(|token| time_unit_of(&token.text)) {
        Some(unit) => Ok((i.skip(1), unit)),
        None => unexpected(),
    }
}

fn time_unit_of(word: &str) -> Option<TimeUnit> {
    match word.to_ascii_lowercase().as_str() {
        "s" | "second" | "seconds" => Some(TimeUnit::Second),
        "m" | "minute" | "minutes" => Some(TimeUnit::Minute),
        "h" | "hour" | "hours" => Some(TimeUnit::Hour),
        "d" | "day" | "days" => Some(TimeUnit::Day),
        _ => None,
    }
}

fn unit_of(word: &str) -> Option<Unit> {
    match word.to_ascii_uppercase().as_str() {
        "KB" => Some(Unit::Kilobyte),
        "MB" => Some(Unit::Megabyte),
        "GB" => Some(Unit::Gigabyte),
        "TB" => Some(Unit::Terabyte),
        _ => time_unit_of(word).map(Unit::Time),
    }
}

/// Whether letters after a number are a unit.
pub(super) fn is_unit(word: &str) -> bool {
    unit_of(word).is_some()
}

/// Whether a time begins here; a parameter may be one.
pub(super) fn begins_time(i: Tokens<'_>) -> bool {
    matches!(i.kind(), Some(Tok::Date | Tok::Month | Tok::DateTime | Tok::Number | Tok::Param))
        || TIME_WORDS.contains(&i.fixed(0))
}

/// A time, resolved later.
pub(super) fn time(i: Tokens<'_>) -> Res<'_, TimeExpr> {
    i.expect("a time", TIME_WORDS);
    if !begins_time(i) {
        return unexpected();
    }
    if i.kind() == Some(Tok::Number) {
        let (rest, count) = whole(i)?;
        let (rest, unit) = time_unit(rest)?;
        if !rest.is_word(0, "ago") {
            rest.expect("ago", &[]);
            return unexpected();
        }
        let rest = rest.skip(1);
        return Ok((rest, TimeExpr { kind: TimeKind::Ago(count, unit), span: rest.span_from(i) }));
    }
    let Some(token) = i.first() else { return unexpected() };
    let kind = match token.kind {
        Tok::Param => TimeKind::Param(token.text.to_string()),
        _ => point(token)?,
    };
    Ok((i.skip(1), TimeExpr { kind, span: token.span }))
}

/// A time of one token.
fn point(token: &Token<'_>) -> Result<TimeKind, nom::Err<LqError>> {
    let text = token.text.to_string();
    if !matches!(token.kind, Tok::Word) && !is_calendar(&text) {
        let told = Diagnostic::new("E0401", format!("there is no `{text}` in the calendar"));
        return fail(told.label(token.span, "not a date or time")).map(|(_, never)| never);
    }
    Ok(match token.kind {
        Tok::Date => TimeKind::Date(text),
        Tok::Month => TimeKind::Month(text),
        Tok::DateTime => TimeKind::DateTime(text),
        _ => match token.fixed {
            Some("now") => TimeKind::Now,
            Some("today") => TimeKind::Today,
            _ => TimeKind::Yesterday,
        },
    })
}

/// Whether the fields of a date, month or date with time are in range; the lexer checked their form.
fn is_calendar(text: &str) -> bool {
    let field = |from: usize| text.get(from..from + 2).and_then(|digits| digits.parse::<u32>().ok());
    let year: u32 = text.get(..4).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match field(5) {
        Some(2) => 28 + u32::from(leap),
        Some(4 | 6 | 9 | 11) => 30,
        Some(1..=12) => 31,
        _ => return false,
    };
    let day = text.len() < 10 || field(8).is_some_and(|day| (1..=days).contains(&day));
    let clock = text.len() < 16 || (field(11).is_some_and(|h| h < 24) && field(14).is_some_and(|m| m < 60));
    let second = text.get(16..17) != Some(":") || field(17).is_some_and(|s| s < 60);
    let zone = text.get(16..).and_then(|tail| tail.rfind(['+', '-']).map(|at| at + 16));
    let offset = zone.is_none_or(|at| field(at + 1).is_some_and(|h| h < 24) && field(at + 4).is_some_and(|m| m < 60));
    day && clock && second && offset
}

/// A number with or without a unit, a word, a quoted text, a time or a parameter.
pub(super) fn value(i: Tokens<'_>, position: NamePosition) -> Res<'_, Value> {
    i.expect_name("a value", position);
    let Some(token) = i.first() else { return unexpected() };
    match token.kind {
        Tok::Number => Ok(number(i, token)),
        Tok::Date | Tok::Month | Tok::DateTime => {
            let kind = ValueKind::Time(point(token)?);
            Ok((i.skip(1), Value { kind, span: token.span }))
        }
        Tok::Word if TIME_WORDS.contains(&token.fixed.unwrap_or_default()) => {
            let kind = ValueKind::Time(point(token)?);
            Ok((i.skip(1), Value { kind, span: token.span }))
        }
        Tok::Word if token.fixed.is_some() => reserved_name(i, "a value"),
        Tok::Word | Tok::Str => {
            Ok((i.skip(1), Value { kind: ValueKind::Text(token.text.to_string()), span: token.span }))
        }
        Tok::Param => Ok((i.skip(1), Value { kind: ValueKind::Param(token.text.to_string()), span: token.span })),
        Tok::Hash => {
            let told = Diagnostic::new("E0102", "expected a value, found a digest").label(token.span, "");
            fail(told.edit(token.span, quoted(&token.text)).help("a digest as a value is quoted"))
        }
        _ => unexpected(),
    }
}

fn number<'a>(i: Tokens<'a>, token: &Token<'a>) -> (Tokens<'a>, Value) {
    let text = token.text.to_string();
    let number = Number { value: text.parse().unwrap_or(f64::NAN), text };
    let after = i.skip(1);
    let unit = after.first().filter(|next| next.kind == Tok::Word).and_then(|next| unit_of(&next.text));
    let (rest, kind) = match (unit, number.text.parse::<u64>()) {
        (Some(Unit::Time(unit)), Ok(count)) if after.is_word(1, "ago") => {
            (after.skip(2), ValueKind::Time(TimeKind::Ago(count, unit)))
        }
        (Some(unit), _) => (after.skip(1), ValueKind::Quantity(number, unit)),
        (None, _) => (after, ValueKind::Number(number)),
    };
    (rest, Value { kind, span: rest.span_from(i) })
}

/// Whether an attribute name can be written without quotes after its namespace.
pub(super) fn is_bare_attr(namespace: &str, name: &str) -> bool {
    !name.is_empty() && is_word(&format!("{namespace}.{name}"))
}
