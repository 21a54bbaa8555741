//! `lineage query`: a question, and its answer as a table or for machines.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use lineage_query::output::{self, Answer, Expect, Format, OutputError, TableStyle};
use lineage_query::syntax;

use super::explain;
use super::question::{self, Question};
use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::session::Session;
use crate::signals;

use super::saved::QueryCommand;

const EXAMPLES: &str = "\
EXAMPLES
  lineage query \"models trained on dataset churn-raw\"
  lineage query \"datasets upstream of model churn@latest\" --output csv
  lineage query \"models live in prod without a passing audit since their last training\" --expect none
  lineage query 'models trained on dataset :data' --param data=churn-raw
  lineage query \"models tagged pii\" -o answer.parquet
  lineage query save unaudited \"models without an audit\"     then: lineage query \"query unaudited\"

The words may be given with or without quotes; --expect exits with 1 when it is not met.";

/// Arguments of `lineage query`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Query {
    #[command(subcommand)]
    command: Option<QueryCommand>,
    #[command(flatten)]
    question: Question,
    /// table, json, ndjson, csv, csv-safe, parquet, arrow, dot or mermaid [default: table, or by the ending of -o]
    #[arg(long, value_name = "FORMAT")]
    output: Option<Format>,
    /// How many rows there must be: none, some, N or <=N; else the exit code is 1
    #[arg(long, value_name = "ROWS")]
    expect: Option<Expect>,
    /// In CSV, neutralise what a spreadsheet would take for a formula
    #[arg(long)]
    csv_safe: bool,
    /// Write to a file
    #[arg(short = 'o', value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Query {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        if let Some(QueryCommand::Save(save)) = self.command {
            return save.run(context);
        }
        signals::exit_when_interrupted().context("cannot listen for signals")?;
        let session = context.open()?;
        let format = self.format(context)?;
        if format.is_binary() && self.file.is_none() && context.terminal.out {
            return Err(Problem::usage("this format is not for a terminal")
                .help("write it to a file with -o FILE, or into a pipe")
                .into());
        }
        let text = self.question.text();
        if syntax::parse(&text).is_ok_and(|statement| statement.explain) {
            return self.explained(&session);
        }
        let ask = if format == Format::Table { question::answered } else { question::answered_for_programs };
        let (answer, digits) = match self.question.ask(&session, format.nodes_max(), format != Format::Table, ask) {
            Ok(answered) => answered,
            Err(error) => return question::tell_failure(context, error, &text),
        };
        let terminal = &context.terminal;
        if terminal.err && answer.canonical != text {
            terminal.tell(&format!("read as: {}", answer.canonical));
        }
        let rows = answer.batch.num_rows() as u64;
        let unmet = self.expect.filter(|expect| !expect.met(rows));
        let incomplete = self.expect.and_then(|_| question::incomplete(&answer));
        let code = match (&incomplete, unmet) {
            (Some(_), _) => ExitCode::Budget,
            (None, Some(_)) => ExitCode::Unmet,
            (None, None) => ExitCode::Done,
        };
        match write(&answer, digits, format, self.file.as_deref(), context) {
            // Whoever reads may stop early; the verdict stands.
            Err(OutputError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(code),
            result => result?,
        }
        if format == Format::Table {
            tell_notes(context, &answer);
        }
        if let Some(text) = incomplete {
            terminal.tell(&text);
        } else if let Some(expect) = unmet {
            terminal.tell(&format!(
                "expected {}, found {}",
                question::expected(expect),
                crate::render::count(rows, "row")
            ));
        }
        Ok(code)
    }

    /// `query "explain …"` is `explain …`.
    fn explained(&self, session: &Session) -> anyhow::Result<ExitCode> {
        match self.output {
            None | Some(Format::Table | Format::Json) if self.file.is_none() && self.expect.is_none() => {
                explain::tell(session, &self.question, self.output == Some(Format::Json))
            }
            _ => Err(Problem::usage("an explanation has no rows")
                .help("`lineage explain` tells it as text, with --json as JSON")
                .into()),
        }
    }

    fn format(&self, context: &Context) -> anyhow::Result<Format> {
        let by_ending = || {
            let ending = self.file.as_ref()?.extension()?.to_str()?;
            let word = match ending {
                "jsonl" => "ndjson",
                "gv" => "dot",
                "mmd" => "mermaid",
                ending => ending,
            };
            word.parse::<Format>().ok()
        };
        let format = self.output.or_else(by_ending).unwrap_or(if context.json { Format::Json } else { Format::Table });
        match (format, self.csv_safe) {
            (Format::Csv { .. }, true) => Ok(Format::Csv { safe: true }),
            (_, true) => Err(Problem::usage("--csv-safe is for CSV").help("add --output csv").into()),
            (format, false) => Ok(format),
        }
    }
}

/// Writes an answer to a file or to standard output; `digits` tell its digests apart.
pub(super) fn write(
    answer: &Answer,
    digits: usize,
    format: Format,
    file: Option<&std::path::Path>,
    context: &Context,
) -> Result<(), OutputError> {
    let Some(path) = file else {
        let style = TableStyle { width: context.terminal.width, color: context.terminal.color, digits };
        let mut out = io::stdout().lock();
        output::write(answer, &format, &mut out, &style)?;
        return Ok(out.flush()?);
    };
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut out = File::create(path).map_err(failed)?;
    output::write(answer, &format, &mut out, &TableStyle::default())?;
    Ok(out.sync_all().map_err(failed)?)
}

/// Warnings go where people see them and programs do not trip over them.
pub(super) fn tell_notes(context: &Context, answer: &Answer) {
    for note in &answer.notes {
        context.terminal.tell(&format!("note[{}]: {}", note.code, crate::render::clean(&note.text)));
    }
}
