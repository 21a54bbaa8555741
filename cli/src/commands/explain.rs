//! `lineage explain`: how a question is read, what its names and times mean, and what it costs.

use std::fmt::Write as _;

use anyhow::Context as _;
use lineage_query::{Explanation, Operator, explain};

use super::question::{self, Question};
use crate::context::Context;
use crate::exit::ExitCode;
use crate::render::{clean, count};
use crate::session::Session;
use crate::signals;

const EXAMPLES: &str = "\
EXAMPLES
  lineage explain \"models trained on dataset churn-raw where accuracy > 0.9\"
  lineage explain --json \"models live in prod as of 2026-06-30\"

The question is answered to count what each part finds; with --json the tree is told as well.";

/// Arguments of `lineage explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Explain {
    #[command(flatten)]
    question: Question,
}

impl Explain {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        signals::exit_when_interrupted().context("cannot listen for signals")?;
        tell(&context.open()?, &self.question, false)
    }
}

/// Explains a question, as text or as JSON.
pub(super) fn tell(session: &Session, question: &Question, json: bool) -> anyhow::Result<ExitCode> {
    let context = &session.context;
    let explanation = match question.ask(session, None, json || context.json, explain) {
        Ok(explanation) => explanation,
        Err(error) => return question::tell_failure(context, error, &question.text()),
    };
    let text = if json || context.json { explanation.to_json().to_string() } else { lines(&explanation) };
    context.terminal.print(&text)?;
    Ok(ExitCode::Done)
}

/// The explanation for people.
fn lines(explanation: &Explanation) -> String {
    let mut out = format!("read as   {}\nterse     {}\n", explanation.canonical, explanation.terse);
    let mut head = "names";
    for (written, meaning) in &explanation.names {
        let mut means = vec![count(meaning.versions as u64, "version")];
        if meaning.events > 0 {
            means = vec![count(meaning.events as u64, "step")];
        }
        means.extend(
            meaning.listed.iter().map(|(name, digest)| {
                digest.as_ref().map_or_else(|| name.clone(), |digest| format!("{name} {digest}"))
            }),
        );
        _ = writeln!(out, "{head:<9} `{}` = {}", clean(written), clean(&means.join(", ")));
        head = "";
    }
    let mut head = "times";
    for (written, from, before) in &explanation.times {
        _ = writeln!(out, "{head:<9} `{}` = from {from}, before {before}", clean(written));
        head = "";
    }
    _ = writeln!(out, "log       position {}", explanation.position);
    for (word, time) in [("as of", explanation.as_of.map(|t| t.to_string())), ("known at", known_at(explanation))] {
        if let Some(time) = time {
            _ = writeln!(out, "{word:<9} {time}");
        }
    }
    _ = writeln!(out, "{:<9} {:>9} {:>9}", "plan", "found", "at most");
    for operator in &explanation.operators {
        branch(&mut out, operator, 0);
    }
    let steps = count(explanation.steps, "step");
    let rows = count(explanation.rows, "row");
    _ = writeln!(out, "cost      {rows} in {steps}; at most {} in an index of this size", explanation.steps_at_most);
    out
}

fn known_at(explanation: &Explanation) -> Option<String> {
    explanation.known_at.map(|known| known.to_string())
}

/// A part with its parts below it.
fn branch(out: &mut String, operator: &Operator, level: usize) {
    let text = clean(&operator.text);
    _ = writeln!(out, "{:<9} {:>9} {:>9}  {}{text}", "", operator.found, operator.at_most, "  ".repeat(level));
    for part in &operator.parts {
        branch(out, part, level + 1);
    }
}
