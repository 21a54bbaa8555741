//! `lineage query` and `lineage fmt`: the adapter between the command line and the query language.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lineage_query::output::{self, Answer, Expect, Format, OutputError, TableStyle};
use lineage_query::syntax;
use lineage_query::{Class, Limits, QueryError, ReadEvent, Request, answer};
use lineage_store::artifact::Artifacts;
use lineage_store::digest::Blake3;
use lineage_store::graph::View;
use lineage_store::{StoreError, read_leaf};

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::session::Session;
use crate::signals;

const EXAMPLES: &str = "\
EXAMPLES
  lineage query \"models trained on dataset churn-raw\"
  lineage query \"datasets upstream of model churn@latest\" --output csv
  lineage query \"models live in prod without a passing audit since their last training\" --expect none
  lineage query 'models trained on dataset :data' --param data=churn-raw
  lineage query \"models tagged pii\" -o answer.parquet

The words may be given with or without quotes; --expect exits with 1 when it is not met.";
const FMT_EXAMPLES: &str = "\
EXAMPLES
  lineage fmt \"models trained on churn-raw\"
  lineage fmt --terse \"models trained on churn-raw\"";

/// Arguments of `lineage query`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Query {
    /// The question
    #[arg(required = true, value_name = "TEXT")]
    text: Vec<String>,
    /// table, json, ndjson, csv, csv-safe, parquet, arrow, dot or mermaid [default: table, or by the ending of -o]
    #[arg(long, value_name = "FORMAT")]
    output: Option<Format>,
    /// A parameter of the question; several of one name are a list
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_param)]
    param: Vec<(String, String)>,
    /// How many rows there must be: none, some, N or <=N; else the exit code is 1
    #[arg(long, value_name = "ROWS")]
    expect: Option<Expect>,
    #[command(flatten)]
    budget: Budget,
    /// In CSV, neutralise what a spreadsheet would take for a formula
    #[arg(long)]
    csv_safe: bool,
    /// Write to a file
    #[arg(short = 'o', value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What an answer may cost.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Budget {
    /// The most steps: nodes that are walked from or tested; more is an error
    #[arg(long = "budget-steps", value_name = "N")]
    steps: Option<u64>,
    /// The longest time, such as 500ms, 30s or 2m; longer is an error
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// The most rows; more is an error
    #[arg(long, value_name = "N")]
    max_rows: Option<u64>,
    /// Answer with what is found when one of these is exceeded, marked as not complete
    #[arg(long)]
    partial: bool,
}

impl Budget {
    /// The limits; the time begins now.
    pub(crate) fn limits(&self) -> Limits {
        let begun = Instant::now();
        let out_of_time = self.timeout.map(|most| Rc::new(move || begun.elapsed() >= most) as Rc<dyn Fn() -> bool>);
        Limits { steps: self.steps, rows: self.max_rows, out_of_time, partial: self.partial }
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| "write a number and a unit, such as 30s")?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "h" => Ok(Duration::from_secs(number.saturating_mul(3600))),
        _ => Err("the units are ms, s, m and h".to_owned()),
    }
}

fn parse_param(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write NAME=VALUE")?;
    Ok((name.trim_start_matches(':').to_owned(), value.to_owned()))
}

impl Query {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        signals::exit_when_interrupted().context("cannot listen for signals")?;
        let session = context.open()?;
        let format = self.format(context)?;
        if format.is_binary() && self.file.is_none() && context.terminal.out {
            return Err(Problem::usage("this format is not for a terminal")
                .help("write it to a file with -o FILE, or into a pipe")
                .into());
        }
        let text = self.text.join(" ");
        let answer = match ask(&session, &text, &self.param, self.budget.limits(), format) {
            Ok(answer) => answer,
            Err(error) => return tell_failure(context, error, &text),
        };
        let terminal = &context.terminal;
        if terminal.err && answer.canonical != text {
            terminal.tell(&format!("read as: {}", answer.canonical));
        }
        let rows = answer.batch.num_rows() as u64;
        let unmet = self.expect.filter(|expect| !expect.met(rows));
        let code = if unmet.is_some() { ExitCode::Unmet } else { ExitCode::Done };
        match write(&answer, format, self.file.as_deref(), context) {
            // Whoever reads may stop early; the verdict stands.
            Err(OutputError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(code),
            result => result?,
        }
        if format == Format::Table {
            tell_notes(context, &answer);
        }
        if let Some(expect) = unmet {
            terminal.tell(&format!("expected {}, found {}", expected(expect), crate::render::count(rows, "row")));
        }
        Ok(code)
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

fn expected(expect: Expect) -> String {
    match expect {
        Expect::None => "no row".to_owned(),
        Expect::Some => "at least one row".to_owned(),
        Expect::Exactly(n) => crate::render::count(n, "row"),
        Expect::AtMost(n) => format!("at most {}", crate::render::count(n, "row")),
    }
}

/// Answers a question; if the graph index is damaged, from the journal.
pub(super) fn ask(
    session: &Session,
    text: &str,
    params: &[(String, String)],
    limits: Limits,
    format: Format,
) -> Result<Answer, QueryError> {
    let context = &session.context;
    let request = Request {
        text,
        params,
        now: context.now(),
        now_is_set: context.is_fixed(),
        environments: &session.config.environments,
        graph: format.nodes_max(),
        events: whole_events(session),
        limits,
        digest_of_file: &digest_of_file,
    };
    let first = session.store.view().map_err(QueryError::from).and_then(|view: View| answer(&view, &request));
    match first {
        Err(QueryError::Store(StoreError::Corrupt { .. })) => {
            let view = session.store.view_of_journal()?;
            let note = "the graph index is damaged; answered from the journal; run `lineage rebuild`";
            context.terminal.note(note);
            answer(&view, &request)
        }
        result => result,
    }
}

/// Whole events, from the journal, so that a question never waits for the event store.
fn whole_events(session: &Session) -> ReadEvent {
    let journal = session.store.journal().clone();
    Rc::new(move |position| {
        let record = journal.get(position.into())?;
        read_leaf(&record.leaf, record.received.is_some()).map(|(event, ..)| event)
    })
}

fn digest_of_file(path: &str) -> Result<Blake3, String> {
    Artifacts::hash_path(path.as_ref()).map(|stored| stored.digest).map_err(|error| error.to_string())
}

/// Writes an answer to a file or to standard output.
pub(super) fn write(
    answer: &Answer,
    format: Format,
    file: Option<&std::path::Path>,
    context: &Context,
) -> Result<(), OutputError> {
    let Some(path) = file else {
        let style = TableStyle { width: context.terminal.width, color: context.terminal.color };
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

fn tell_failure(context: &Context, error: QueryError, text: &str) -> anyhow::Result<ExitCode> {
    let code = match error.class() {
        Class::Syntax => ExitCode::Usage,
        Class::Name => ExitCode::Name,
        Class::Integrity => ExitCode::Damaged,
        Class::Budget => ExitCode::Budget,
        Class::Other => match error {
            QueryError::Store(error) => return Err(error.into()),
            error => return Err(error.into()),
        },
    };
    if error.diagnostics().is_empty() {
        return match error {
            QueryError::Store(error) => Err(error.into()),
            error => Err(Problem::new(code, error.to_string()).into()),
        };
    }
    context.errors.tell_diagnostics(error.diagnostics(), text, code, &context.terminal);
    Ok(code)
}

/// Arguments of `lineage fmt`.
#[derive(Debug, clap::Args)]
#[command(after_help = FMT_EXAMPLES)]
pub(crate) struct Fmt {
    /// The question
    #[arg(required = true, value_name = "TEXT")]
    text: Vec<String>,
    /// In symbols
    #[arg(long)]
    terse: bool,
}

impl Fmt {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let text = self.text.join(" ");
        match syntax::parse(&text) {
            Ok(statement) => {
                let text = if self.terse { syntax::print_terse(&statement) } else { syntax::print_english(&statement) };
                context.terminal.print(&text).context("cannot write")?;
                Ok(ExitCode::Done)
            }
            Err(diagnostics) => {
                context.errors.tell_diagnostics(&diagnostics, &text, ExitCode::Usage, &context.terminal);
                Ok(ExitCode::Usage)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read() {
        assert_eq!(parse_param("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_param(":a="), Ok(("a".to_owned(), String::new())));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_mins(2)));
        assert!(parse_duration("2").is_err() && parse_duration("s").is_err() && parse_duration("2 weeks").is_err());
        assert!(parse_param("a").is_err() && parse_param("=b").is_err());
    }
}
