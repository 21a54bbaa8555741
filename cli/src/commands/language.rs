//! The language for people and programs: fmt, quote, grammar and complete.

use std::rc::Rc;

use lineage_query::{Candidate, complete, grammar, syntax};
use serde_json::json;

use super::completions;
use super::question::{self, Edition};
use crate::context::Context;
use crate::exit::ExitCode;

const FMT_EXAMPLES: &str = "\
EXAMPLES
  lineage fmt \"models & trained(on=churn-raw)\"
  lineage fmt --style terse \"models trained on churn-raw\"";
const QUOTE_EXAMPLES: &str = "\
EXAMPLES
  lineage quote \"it's raw\"

It prints 'it''s raw'. In scripts a parameter is simpler: lineage query 'models trained on dataset :d' --param d=NAME";
const GRAMMAR_EXAMPLES: &str = "\
EXAMPLES
  lineage grammar             the rules in EBNF
  lineage --json grammar      with the word list, the attributes and what they mean";
const COMPLETE_EXAMPLES: &str = "\
EXAMPLES
  lineage complete 'models trained on dataset chu'
  lineage complete --cursor 8 'models  where latest'";

/// How a question is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Style {
    /// In words
    English,
    /// In symbols
    Terse,
}

/// Arguments of `lineage fmt`.
#[derive(Debug, clap::Args)]
#[command(after_help = FMT_EXAMPLES)]
pub(crate) struct Fmt {
    /// The question
    #[arg(required = true, value_name = "TEXT", add = completions::of_question())]
    text: Vec<String>,
    /// How it is spelled
    #[arg(long, value_enum, default_value_t = Style::English)]
    style: Style,
    /// The same as --style terse
    #[arg(long, conflicts_with = "style")]
    terse: bool,
    /// The edition of the language
    #[arg(long, value_name = "N", default_value = "1")]
    edition: Edition,
}

impl Fmt {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let text = self.text.join(" ");
        let statement = match syntax::parse(&text) {
            Ok(statement) => statement,
            Err(diagnostics) => {
                context.errors.tell_diagnostics(&diagnostics, &text, ExitCode::Usage, &context.terminal);
                return Ok(ExitCode::Usage);
            }
        };
        let (english, terse) = (syntax::print_english(&statement), syntax::print_terse(&statement));
        let style = if self.terse { Style::Terse } else { self.style };
        let printed = match style {
            _ if context.json => {
                let edition = self.edition.number();
                json!({ "edition": edition, "english": english, "terse": terse, "ast": statement }).to_string()
            }
            Style::English => english,
            Style::Terse => terse,
        };
        context.terminal.print(&printed)?;
        Ok(ExitCode::Done)
    }
}

/// Arguments of `lineage quote`.
#[derive(Debug, clap::Args)]
#[command(after_help = QUOTE_EXAMPLES)]
pub(crate) struct Quote {
    /// A name or value
    name: String,
}

impl Quote {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let quoted = syntax::quote(&self.name);
        let text = if context.json { json!({ "quoted": quoted }).to_string() } else { quoted };
        context.terminal.print(&text)?;
        Ok(ExitCode::Done)
    }
}

/// Arguments of `lineage grammar`.
#[derive(Debug, clap::Args)]
#[command(after_help = GRAMMAR_EXAMPLES)]
pub(crate) struct Grammar {}

impl Grammar {
    #[expect(clippy::unused_self, reason = "every command is run alike")]
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let text = if context.json { grammar().to_string() } else { syntax::EBNF.to_owned() };
        context.terminal.print(&text)?;
        Ok(ExitCode::Done)
    }
}

/// Arguments of `lineage complete`.
#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETE_EXAMPLES)]
pub(crate) struct Complete {
    /// The byte at which the cursor stands [default: at the end]
    #[arg(long, value_name = "N")]
    cursor: Option<usize>,
    /// The question so far
    text: String,
}

impl Complete {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let cursor = self.cursor.unwrap_or(self.text.len());
        let found = candidates(context, &self.text, cursor)?;
        let list: Vec<_> = found.iter().map(Candidate::to_json).collect();
        context.terminal.print(&json!({ "edition": syntax::EDITION, "candidates": list }).to_string())?;
        Ok(ExitCode::Done)
    }
}

/// What may be written at a cursor.
pub(super) fn candidates(context: &Context, text: &str, cursor: usize) -> anyhow::Result<Vec<Candidate>> {
    let session = context.open()?;
    let (now, environments) = (context.now(), &session.config.environments);
    let events = question::whole_events(&session);
    session.with_view(|view| Ok(complete(view, text, cursor, now, environments, Rc::clone(&events))))
}
