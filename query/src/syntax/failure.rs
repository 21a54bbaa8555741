//! The error of the parsers and the furthest point that they reached.

use super::ast::Kind;
use nom::error::{ErrorKind, ParseError};

use super::check::Mask;
use super::diagnostic::Diagnostic;
use super::token::Tokens;

/// Why a parser stopped.
#[derive(Debug)]
pub(super) enum LqError {
    /// The next token fits nothing; [`Furthest`] knows what would have.
    Unexpected,
    /// A complete explanation.
    Told(Box<Diagnostic>),
}

impl<'a> ParseError<Tokens<'a>> for LqError {
    fn from_error_kind(_: Tokens<'a>, _: ErrorKind) -> Self {
        Self::Unexpected
    }

    fn append(_: Tokens<'a>, _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// What kind of name completion should offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePosition {
    /// A version, event or agent, of this kind if it is known.
    Reference(Option<Kind>),
    /// What follows the `@` of this name.
    Version(Option<Kind>, String),
    /// An agent after `by`.
    Agent,
    /// A tag.
    Tag,
    /// A slot after `live in` and `deployed to`.
    Slot,
    /// An attribute.
    Attribute,
    /// The value of this attribute.
    Value(String),
    /// A saved query.
    SavedQuery,
}

/// The furthest token at which something failed, and all that would have been accepted there.
#[derive(Debug, Default)]
pub(super) struct Furthest {
    pub(super) at: usize,
    pub(super) expected: Vec<(&'static str, &'static [&'static str])>,
    pub(super) names: Option<NamePosition>,
    /// The kinds of the operand that may stand there; all, if that is not known.
    pub(super) operand: Option<Mask>,
}

impl Furthest {
    fn reach(&mut self, at: usize) -> bool {
        if at > self.at {
            self.at = at;
            self.expected.clear();
            self.names = None;
            self.operand = None;
        }
        at == self.at
    }

    pub(super) fn record(&mut self, at: usize, label: &'static str, keywords: &'static [&'static str]) {
        if self.reach(at) && !self.expected.iter().any(|(known, _)| *known == label) {
            self.expected.push((label, keywords));
        }
    }

    pub(super) fn record_operand(&mut self, at: usize, kinds: Mask) {
        if self.reach(at) {
            self.operand = Some(kinds);
        }
    }

    pub(super) fn record_name(&mut self, at: usize, position: NamePosition) {
        if self.reach(at) {
            self.names.get_or_insert(position);
        }
    }
}
