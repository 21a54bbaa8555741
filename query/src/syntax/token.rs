//! Tokens, and the slice of them that the nom parsers read.

use super::ast::Relation;
use super::check;
use super::diagnostic::Diagnostic;
use super::failure::{Furthest, LqError, NamePosition};
use super::value::Span;
use nom::{IResult, Input, Needed};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};

/// How deep parentheses, brackets, calls and inner nouns may nest.
pub(super) const MAX_DEPTH: usize = 64;

/// The classes of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tok {
    Word,
    Str,
    Number,
    Date,
    Month,
    DateTime,
    Param,
    Hash,
    File,
    Symbol,
}

/// One token; `fixed` is the reserved word or symbol it is.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Tok,
    pub(super) text: Cow<'a, str>,
    pub(super) fixed: Option<&'static str>,
    pub(super) span: Span,
}

/// What all parsers of one statement share.
///
/// nom drops the errors of optional parts, so the furthest failure is kept here, beside the error type.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) furthest: RefCell<Furthest>,
    pub(super) depth: Cell<usize>,
    /// How often a token was looked at; the work of parsing.
    pub(super) looked: Cell<usize>,
}

/// The tokens that are left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens<'a> {
    all: &'a [Token<'a>],
    pub(super) at: usize,
    end: usize,
    pub(super) source: &'a str,
    pub(super) shared: &'a Shared,
}

pub(super) type Res<'a, T> = IResult<Tokens<'a>, T, LqError>;

impl<'a> Tokens<'a> {
    pub(super) fn new(all: &'a [Token<'a>], source: &'a str, shared: &'a Shared) -> Self {
        Self { all, at: 0, end: all.len(), source, shared }
    }

    pub(super) fn first(&self) -> Option<&'a Token<'a>> {
        self.nth(0)
    }

    pub(super) fn nth(&self, ahead: usize) -> Option<&'a Token<'a>> {
        self.shared.looked.set(self.shared.looked.get() + 1);
        self.all[..self.end].get(self.at + ahead)
    }

    /// The reserved word or symbol `ahead` tokens on, or an empty string.
    pub(super) fn fixed(&self, ahead: usize) -> &'static str {
        self.nth(ahead).and_then(|token| token.fixed).unwrap_or_default()
    }

    /// The class of the next token.
    pub(super) fn kind(&self) -> Option<Tok> {
        self.first().map(|token| token.kind)
    }

    /// Whether the next token is this word, reserved or not.
    pub(super) fn is_word(&self, ahead: usize, word: &str) -> bool {
        self.nth(ahead).is_some_and(|token| token.kind == Tok::Word && token.text.eq_ignore_ascii_case(word))
    }

    /// Whether the next token is this reserved word or symbol; records that it was acceptable here.
    pub(super) fn sees(&self, fixed: &'static str) -> bool {
        if self.fixed(0) == fixed {
            return true;
        }
        self.expect(fixed, &[]);
        false
    }

    /// Records that something would have been acceptable here; no keywords means that the label is one.
    pub(super) fn expect(&self, label: &'static str, keywords: &'static [&'static str]) {
        self.shared.furthest.borrow_mut().record(self.at, label, keywords);
    }

    /// Records that a name would have been acceptable here.
    pub(super) fn expect_name(&self, label: &'static str, position: NamePosition) {
        self.expect(label, &[""]);
        self.shared.furthest.borrow_mut().record_name(self.at, position);
    }

    /// Records that the operand of a relation would have been acceptable here.
    pub(super) fn expect_operand(&self, relation: Relation) {
        self.shared.furthest.borrow_mut().record_operand(self.at, check::objects(relation));
    }

    /// The tokens after the next `count`.
    pub(super) fn skip(mut self, count: usize) -> Self {
        self.at = (self.at + count).min(self.end);
        self
    }

    /// The tokens from `count` before here.
    pub(super) fn back(mut self, count: usize) -> Option<Self> {
        self.at = self.at.checked_sub(count)?;
        Some(self)
    }

    /// The span of the next token, or the end of the text.
    pub(super) fn span(&self) -> Span {
        self.first().map_or(Span::new(self.source.len(), self.source.len()), |token| token.span)
    }

    /// The span of the last token that was read.
    pub(super) fn last_span(&self) -> Span {
        self.at.checked_sub(1).and_then(|at| self.all.get(at)).map_or(Span::new(0, 0), |token| token.span)
    }

    /// From the first token of `start` to the last token read.
    pub(super) fn span_from(&self, start: Self) -> Span {
        if self.at > start.at { start.span().to(self.last_span()) } else { start.span() }
    }

    /// Runs a parser one level deeper.
    pub(super) fn nested<T>(self, parser: impl FnOnce(Self) -> Res<'a, T>) -> Res<'a, T> {
        let depth = self.shared.depth.get() + 1;
        if depth > MAX_DEPTH {
            return fail(too_deep(self.span()));
        }
        self.shared.depth.set(depth);
        let result = parser(self);
        self.shared.depth.set(depth - 1);
        result
    }
}

/// The error that says what was acceptable at the furthest point.
pub(super) fn unexpected<'a, T>() -> Res<'a, T> {
    Err(nom::Err::Error(LqError::Unexpected))
}

/// An error with its own text.
pub(super) fn fail<'a, T>(diagnostic: Diagnostic) -> Res<'a, T> {
    Err(nom::Err::Failure(LqError::Told(Box::new(diagnostic))))
}

/// E0114 for nesting.
pub(super) fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::new("E0114", format!("the question nests deeper than {MAX_DEPTH} levels"))
        .label(span, "one level too many")
        .help("save an inner part with `lineage query save` and use it by name")
}

/// A parser for one reserved word or symbol.
pub(super) fn word<'a>(fixed: &'static str) -> impl Fn(Tokens<'a>) -> Res<'a, ()> {
    move |i| if i.sees(fixed) { Ok((i.skip(1), ())) } else { unexpected() }
}

impl<'a> Input for Tokens<'a> {
    type Item = &'a Token<'a>;
    type Iter = std::slice::Iter<'a, Token<'a>>;
    type IterIndices = std::iter::Enumerate<std::slice::Iter<'a, Token<'a>>>;

    fn input_len(&self) -> usize {
        self.end - self.at
    }

    fn take(&self, index: usize) -> Self {
        Self { end: (self.at + index).min(self.end), ..*self }
    }

    fn take_from(&self, index: usize) -> Self {
        self.skip(index)
    }

    fn take_split(&self, index: usize) -> (Self, Self) {
        (self.take_from(index), self.take(index))
    }

    fn position<P: Fn(Self::Item) -> bool>(&self, predicate: P) -> Option<usize> {
        self.iter_elements().position(predicate)
    }

    fn iter_elements(&self) -> Self::Iter {
        self.shared.looked.set(self.shared.looked.get() + self.input_len());
        self.all[self.at..self.end].iter()
    }

    fn iter_indices(&self) -> Self::IterIndices {
        self.iter_elements().enumerate()
    }

    fn slice_index(&self, count: usize) -> Result<usize, Needed> {
        if self.input_len() >= count { Ok(count) } else { Err(Needed::new(count - self.input_len())) }
    }
}
