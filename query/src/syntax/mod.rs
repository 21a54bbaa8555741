//! The text of the language: lexer, parser, tree, printers, diagnostics and completion; the only user of nom.

mod ambiguity;
pub mod ast;
mod check;
mod clause;
mod complete;
mod diagnostic;
mod dialect;
mod failure;
mod fix;
mod grammar;
mod lexer;
mod parse;
mod parse_bool;
mod parse_clause;
mod parse_func;
mod parse_operand;
mod parse_set;
mod parse_value;
mod print;
mod print_english;
mod print_terse;
mod render;
mod suggest;
mod token;
mod value;
mod words;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use ast::Statement;
pub use complete::{Expected, expected_at, takes};
pub use diagnostic::Diagnostic;
pub use failure::NamePosition;
pub use fix::offer_fixes;
pub use grammar::{EBNF, about, grammar};
pub use parse::{MAX_BYTES, parse};
pub use print::{print_clause, print_english, print_terse, print_value};
pub use render::{render_json, render_narrated, render_text};
pub use suggest::{quote, suggest};
pub use words::{EDITION, PLURALS as NOUNS, RESERVED};
