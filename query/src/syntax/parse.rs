//! Statements: bodies, tails, and several errors at once.

use super::ast::{Aggregate, Body, Changes, Function, Paths, Set, Statement, Why};
use super::check::Mask;
use super::diagnostic::Diagnostic;
use super::dialect;
use super::failure::LqError;
use super::failure::NamePosition;
use super::fix::{mends, offer_fixes};
use super::lexer::lex;
use super::parse_bool::bool_expr;
use super::parse_set::{closed, set};
use super::parse_value::{attr, begins_time, name, reference, time, whole};
use super::token::{Res, Shared, Tok, Token, Tokens, fail, unexpected, word};
use super::value::{Attr, Key, KnownAt, Limit, Span, TimeExpr};
use super::words::TAIL_WORDS;
use nom::Parser;
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded, separated_pair};

/// The longest text that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most errors that one text gives.
const MAX_ERRORS: usize = 3;

/// Reads one statement in either spelling, or says what is wrong with it, in at most three errors.
pub fn parse(text: &str) -> Result<Statement, Vec<Diagnostic>> {
    read(text).map_err(|mut errors| {
        offer_fixes(text, &mut errors);
        errors
    })
}

/// The same, without the work of finding questions to ask instead.
pub(super) fn read(text: &str) -> Result<Statement, Vec<Diagnostic>> {
    let (errors, readable) = match attempt(text) {
        Ok(statement) => return Ok(statement),
        Err(failed) => failed,
    };
    // Where the rule that was broken is known, the text is in this language.
    let strange = !readable && errors.iter().any(|told| matches!(told.code, "E0101" | "E0102" | "E0103" | "E0104"));
    let foreign = strange.then(|| dialect::statement(text, || !mends(text, &errors))).flatten();
    Err(foreign.map_or(errors, |foreign| vec![foreign]))
}

/// The same, for texts that are no statement of another language.
pub(super) fn read_own(text: &str) -> Result<Statement, Vec<Diagnostic>> {
    attempt(text).map_err(|(errors, _)| errors)
}

/// The statement, or its errors and whether it could be read in spite of them.
fn attempt(text: &str) -> Result<Statement, (Vec<Diagnostic>, bool)> {
    if text.len() > MAX_BYTES {
        let told =
            Diagnostic::new("E0114", format!("a question is at most {MAX_BYTES} bytes long, this has {}", text.len()));
        return Err((vec![told], false));
    }
    let lexing = lex(text);
    let mut errors = lexing.errors;
    if !lexing.recovered {
        return Err((errors, false));
    }
    let shared = Shared::default();
    let tokens = Tokens::new(&lexing.tokens, text, &shared);
    match statement(tokens) {
        Ok((_, statement)) if errors.is_empty() => return Ok(statement),
        Ok(_) => return Err((errors, true)),
        Err(error) => {
            let first = explain(tokens, error);
            let at = start_of(&first, text);
            if errors.iter().all(|told| start_of(told, text) != at) {
                errors.push(first);
            }
            resume(&lexing.tokens, text, at, &mut errors);
        }
    }
    errors.truncate(MAX_ERRORS);
    Err((errors, false))
}

fn start_of(told: &Diagnostic, text: &str) -> usize {
    told.span().map_or(text.len(), |span| span.start)
}

/// Whether a text is a statement as it stands.
pub(super) fn parses(text: &str) -> bool {
    let lexing = lex(text);
    let shared = Shared::default();
    lexing.errors.is_empty() && statement(Tokens::new(&lexing.tokens, text, &shared)).is_ok()
}

/// Looks for more errors behind the first one, from the next `where` or tail outside all brackets.
fn resume(tokens: &[Token<'_>], text: &str, mut failed: usize, errors: &mut Vec<Diagnostic>) {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.fixed.unwrap_or_default() {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "where" | "as" | "known" | "including" | "order" | "limit" | "show"
                if depth == 0 && token.span.start > failed && errors.len() < MAX_ERRORS =>
            {
                let shared = Shared::default();
                let i = Tokens::new(tokens, text, &shared).skip(at);
                let Err(error) = rest_of_statement(i) else { return };
                let told = explain(i, error);
                failed = start_of(&told, text);
                errors.push(told);
            }
            _ => {}
        }
    }
}

fn rest_of_statement(i: Tokens<'_>) -> Res<'_, ()> {
    if i.fixed(0) == "where" {
        return bool_expr(i.skip(1), Mask::ALL).map(|(rest, _)| (rest, ()));
    }
    let body = Body::Set(Set::List(super::ast::List::Refs(Vec::new())));
    let (rest, _) = tails(i, bare(body))?;
    end(rest)
}

/// The error of a parser as text for people.
fn explain(tokens: Tokens<'_>, error: nom::Err<LqError>) -> Diagnostic {
    match error {
        nom::Err::Error(LqError::Told(told)) | nom::Err::Failure(LqError::Told(told)) => *told,
        _ => furthest_failure(tokens),
    }
}

/// E0102 from the furthest failure.
fn furthest_failure(tokens: Tokens<'_>) -> Diagnostic {
    let furthest = tokens.shared.furthest.borrow();
    let i = tokens.skip(furthest.at.saturating_sub(tokens.at));
    let found = i
        .first()
        .map_or_else(|| "the end".to_owned(), |token| format!("`{}`", &i.source[token.span.start..token.span.end]));
    let (mut wanted, mut words): (Vec<String>, Vec<&'static str>) = (Vec::new(), Vec::new());
    for (label, keywords) in &furthest.expected {
        // Marks are seldom what was meant, so they only lengthen the list.
        let mark = *label == "@" || (*keywords == [""] && !label.starts_with(char::is_alphabetic));
        if !mark {
            wanted.push(if keywords.is_empty() { format!("`{label}`") } else { (*label).to_owned() });
        }
        words.extend(if keywords.is_empty() { std::slice::from_ref(label) } else { keywords });
    }
    let end = wanted.iter().position(|label| label == "the end").map(|at| wanted.remove(at));
    wanted.truncate(4);
    wanted.extend(end);
    let last = wanted.pop().unwrap_or_default();
    let list = if wanted.is_empty() { last } else { format!("{} or {last}", wanted.join(", ")) };
    let after = i.last_span();
    let message = if i.at == 0 {
        let begin = "a question begins with a noun, a name, `count`, `path`, `why` or `what changed`";
        format!("{begin}; found {found}")
    } else {
        format!("expected {list} after `{}`, found {found}", &i.source[after.start..after.end])
    };
    let told = Diagnostic::new("E0102", message);
    let meant = match i.first().filter(|token| token.kind == Tok::Word) {
        Some(token) => super::ambiguity::misspelt(&token.text, &words),
        None => Vec::new(),
    };
    if let Some(word) = meant.first().cloned() {
        return told.label(i.span(), "").edit(i.span(), word).suggest(meant);
    }
    if let Some((span, meant)) = dialect::misspelt_before(i) {
        return told.label(span, "").edit(span, meant[0].clone()).suggest(meant);
    }
    dialect::expected(i, told.label(i.span(), ""))
}

fn bare(body: Body) -> Statement {
    Statement {
        explain: false,
        body,
        as_of: None,
        known_at: None,
        including_retracted: false,
        order_by: Vec::new(),
        limit: None,
        show: Vec::new(),
    }
}

/// `[ "explain" ] , body , { tail }`.
pub(super) fn statement(i: Tokens<'_>) -> Res<'_, Statement> {
    let explain = i.sees("explain");
    let (i, body) = body(i.skip(usize::from(explain)))?;
    let (i, statement) = tails(i, Statement { explain, ..bare(body) })?;
    let (i, ()) = end(i)?;
    Ok((i, statement))
}

fn end(i: Tokens<'_>) -> Res<'_, ()> {
    i.expect("the end", &[""]);
    if i.first().is_some() { unexpected() } else { Ok((i, ())) }
}

fn body(i: Tokens<'_>) -> Res<'_, Body> {
    i.expect("a question", &["count", "min", "max", "avg", "sum", "path", "paths", "why", "what changed"]);
    match i.fixed(0) {
        "count" => aggregate(i, Function::Count),
        "min" => aggregate(i, Function::Min),
        "max" => aggregate(i, Function::Max),
        "avg" => aggregate(i, Function::Avg),
        "sum" => aggregate(i, Function::Sum),
        "path" | "paths" => paths(i),
        "why" => why(i),
        "what" => what_changed(i),
        "diff" => diff(i),
        _ => set(i).map(|(i, set)| (i, Body::Set(set))),
    }
}

fn attrs(i: Tokens<'_>) -> Res<'_, Vec<Attr>> {
    separated_list1(word(","), attr).parse(i)
}

fn aggregate(start: Tokens<'_>, function: Function) -> Res<'_, Body> {
    let i = start.skip(1);
    let (i, attr) = if function == Function::Count {
        (i, None)
    } else {
        let (i, attr) = attr(i)?;
        let (i, ()) = word("of")(i)?;
        (i, Some(attr))
    };
    let (i, set) = set(i)?;
    let (i, per) = if i.sees("per") { attrs(i.skip(1))? } else { (i, Vec::new()) };
    Ok((i, Body::Aggregate(Aggregate { function, attr, set, per, span: i.span_from(start) })))
}

fn paths(start: Tokens<'_>) -> Res<'_, Body> {
    let all = start.fixed(0) == "paths";
    let (i, from) = preceded(word("from"), closed).parse(start.skip(1))?;
    let (i, to) = preceded(word("to"), closed).parse(i)?;
    let (i, avoiding) = if i.sees("avoiding") { closed(i.skip(1)).map(|(i, set)| (i, Some(set)))? } else { (i, None) };
    Ok((i, Body::Paths(Paths { all, from, to, avoiding, span: i.span_from(start) })))
}

fn why(start: Tokens<'_>) -> Res<'_, Body> {
    let (i, subject) = reference(start.skip(1), false)?;
    let (i, set) = preceded(word("in"), delimited(word("("), inner_set, word(")"))).parse(i)?;
    Ok((i, Body::Why(Why { subject, set, span: i.span_from(start) })))
}

fn inner_set(i: Tokens<'_>) -> Res<'_, Set> {
    i.nested(set)
}

fn what_changed(start: Tokens<'_>) -> Res<'_, Body> {
    let i = start.skip(1);
    if !i.is_word(0, "changed") {
        i.expect("changed", &[]);
        return unexpected();
    }
    let i = i.skip(1);
    let times = |i| separated_pair(time, word("and"), time).parse(i);
    if i.sees("between") {
        let side = |i| reference(i, false);
        let (i, (before, after)) = separated_pair(side, word("and"), side).parse(i.skip(1))?;
        return Ok((i, Body::Changes(Changes::Versions { before, after, span: i.span_from(start) })));
    }
    let (i, ()) = word("in")(i)?;
    let (i, set) = delimited(word("("), inner_set, word(")")).parse(i)?;
    let (i, (from, to)) = preceded(word("between"), times).parse(i)?;
    Ok((i, Body::Changes(Changes::Over { set, from, to, span: i.span_from(start) })))
}

/// `diff(R, R)`, `diff(S, S)` and `diff(S, T, T)`.
fn diff(start: Tokens<'_>) -> Res<'_, Body> {
    let (i, ()) = word("(")(start.skip(1))?;
    let (i, first) = i.nested(set)?;
    let (i, ()) = word(",")(i)?;
    if begins_time(i) && (i.kind() != Some(Tok::Param) || i.fixed(1) == ",") {
        let (i, (from, to)) = separated_pair(time, word(","), time).parse(i)?;
        let (i, ()) = word(")")(i)?;
        return Ok((i, Body::Changes(Changes::Over { set: first, from, to, span: i.span_from(start) })));
    }
    let (i, second) = i.nested(set)?;
    let (i, ()) = word(")")(i)?;
    let is_reference = |set: &Set| matches!(set, Set::Ref(_) | Set::Hash(_) | Set::File(_));
    let (both, span) = (is_reference(&first) && is_reference(&second), i.span_from(start));
    let changes = if both {
        Changes::Versions { before: first, after: second, span }
    } else {
        Changes::Sets { before: first, after: second, span }
    };
    Ok((i, Body::Changes(changes)))
}

/// E0105.
pub(super) fn repeated(i: Tokens<'_>) -> Diagnostic {
    let tail = i.fixed(0);
    let tail = TAIL_WORDS.iter().find(|words| words.starts_with(tail)).unwrap_or(&tail);
    Diagnostic::new("E0105", format!("`{tail}` is given twice")).label(i.span(), "the second").help("keep one of them")
}

/// `"as" "of" time`.
pub(super) fn as_of(i: Tokens<'_>) -> Res<'_, TimeExpr> {
    preceded((word("as"), word("of")), time).parse(i)
}

/// `"known" "at" ( time | "log" int )`.
pub(super) fn known_at(i: Tokens<'_>) -> Res<'_, KnownAt> {
    let i = i.skip(1);
    if !i.is_word(0, "at") {
        i.expect("at", &[]);
        return unexpected();
    }
    let i = i.skip(1);
    if i.is_word(0, "log") {
        let (rest, position) = whole(i.skip(1))?;
        return Ok((rest, KnownAt::Log(position, rest.span_from(i))));
    }
    i.expect("log", &[]);
    time(i).map(|(rest, time)| (rest, KnownAt::Time(time)))
}

/// All tails; each at most once.
fn tails(mut i: Tokens<'_>, mut statement: Statement) -> Res<'_, Statement> {
    loop {
        let taken = match i.fixed(0) {
            "as" => statement.as_of.is_some(),
            "known" => statement.known_at.is_some(),
            "including" => statement.including_retracted,
            "order" => !statement.order_by.is_empty(),
            "limit" => statement.limit.is_some(),
            "show" => !statement.show.is_empty(),
            _ => {
                for tail in TAIL_WORDS {
                    i.expect(tail, &[]);
                }
                return Ok((i, statement));
            }
        };
        if taken {
            return fail(repeated(i));
        }
        i = tail(i, &mut statement)?.0;
    }
}

fn tail<'a>(i: Tokens<'a>, statement: &mut Statement) -> Res<'a, ()> {
    match i.fixed(0) {
        "as" => as_of(i).map(|(i, time)| (i, statement.as_of = Some(time))),
        "known" => known_at(i).map(|(i, time)| (i, statement.known_at = Some(time))),
        "including" => {
            let i = i.skip(1);
            if !i.is_word(0, "retracted") {
                i.expect("retracted", &[]);
                return unexpected();
            }
            statement.including_retracted = true;
            Ok((i.skip(1), ()))
        }
        "order" => {
            let keys = preceded((word("order"), word("by")), separated_list1(word(","), key)).parse(i);
            keys.map(|(i, keys)| (i, statement.order_by = keys))
        }
        "limit" => limit(i.skip(1)).map(|(i, limit)| (i, statement.limit = Some(limit))),
        _ => attrs(i.skip(1)).map(|(i, attrs)| (i, statement.show = attrs)),
    }
}

fn limit(i: Tokens<'_>) -> Res<'_, Limit> {
    if i.kind() == Some(Tok::Param) {
        return name(i, "a number", NamePosition::Value("limit".to_owned())).map(|(i, name)| (i, Limit::Param(name)));
    }
    whole(i).map(|(i, count)| (i, Limit::Count(count)))
}

fn key(i: Tokens<'_>) -> Res<'_, Key> {
    let (i, attr) = attr(i)?;
    let descending = i.is_word(0, "desc");
    i.expect("asc", &[]);
    i.expect("desc", &[]);
    let given = descending || i.is_word(0, "asc");
    Ok((i.skip(usize::from(given)), Key { attr, descending }))
}

/// What could follow a text that ends here; used by completion.
pub(super) fn furthest_of(text: &str, tokens: &[Token<'_>]) -> Shared {
    let shared = Shared::default();
    // The outcome does not matter here, only how far the parser came.
    let _outcome: Option<Span> = statement(Tokens::new(tokens, text, &shared)).err().map(|_| Span::default());
    shared
}
