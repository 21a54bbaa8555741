//! `lineage export`: the history in the formats of others.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use lineage_query::QueryError;
use lineage_query::export::{self, ExportError, Exported, Format, Order};
use lineage_store::StoreError;
use lineage_store::graph::View;
use lineage_store::time::Time;

use super::question;
use super::report::{KnownAt, log_of};
use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::render::count;
use crate::session::Session;
use crate::signals;

const EXAMPLES: &str = "\
EXAMPLES
  lineage export --format openlineage -o events.ndjson
  lineage export --format prov --query \"model churn@v4\" -o churn.json
  lineage export --format native --since 1204 | gzip > new.ndjson.gz

FORMATS
  openlineage  OpenLineage 2-0-2, an event a line; `lineage ingest` reads it back
  prov         W3C PROV-JSON, one document
  native       the canonical events as the log has them, one a line";

/// Arguments of `lineage export`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Export {
    /// openlineage, prov or native
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: FormatWord,
    /// Write to a file [default: standard output]
    #[arg(short = 'o', value_name = "FILE")]
    file: Option<PathBuf>,
    /// A question that selects runs and events, or versions with the runs that made them [default: everything]
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,
    /// A parameter of the question
    #[arg(long, value_name = "NAME=VALUE", value_parser = question::parse_param, requires = "query")]
    param: Vec<(String, String)>,
    /// What was recorded by then: a position of the log or a time
    #[arg(long, value_name = "POSITION|TIME")]
    known_at: Option<KnownAt>,
    /// What had happened by then
    #[arg(long, value_name = "TIME")]
    as_of: Option<Time>,
    /// Begin at this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    since: u64,
}

/// The words for formats.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatWord {
    Openlineage,
    Prov,
    Native,
}

impl Export {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        signals::exit_when_interrupted().context("cannot listen for signals")?;
        let session = context.open()?;
        let exported = match session.store.view() {
            Ok(view) => self.write(&session, &view),
            Err(error) => Err(ExportError::Store(error).into()),
        };
        let is_corrupt = |error: &anyhow::Error| match error.downcast_ref::<ExportError>() {
            Some(ExportError::Store(error) | ExportError::Query(QueryError::Store(error))) => error.is_corrupt(),
            _ => false,
        };
        let exported = match exported {
            // What went to a pipe cannot be taken back; a file is written anew.
            Err(error) if is_corrupt(&error) && self.file.is_some() => {
                let view = session.store.view_of_journal()?;
                context.terminal.note("the graph index is damaged; exported from the journal; run `lineage rebuild`");
                self.write(&session, &view)
            }
            exported => exported,
        };
        match exported {
            Ok(exported) => {
                self.tell(context, &exported);
                Ok(ExitCode::Done)
            }
            Err(error) => match error.downcast::<ExportError>() {
                Ok(ExportError::Query(error)) => {
                    question::tell_failure(context, error, self.query.as_deref().unwrap_or_default())
                }
                Ok(ExportError::Store(error)) => Err(error.into()),
                Ok(error @ ExportError::NoSet { .. }) => Err(Problem::usage(error.to_string())
                    .help("write a set such as \"runs where job = 'train'\" or \"model churn\"")
                    .into()),
                Ok(ExportError::Io(error)) => Err(error.into()),
                Ok(error) => Err(error.into()),
                Err(error) => Err(error),
            },
        }
    }

    fn write(&self, session: &Session, view: &View) -> anyhow::Result<Exported> {
        let size = self.known_at.map(|known_at| known_at.size(view)).transpose()?;
        if self.since > u64::from(view.count()) {
            let (position, count) = (self.since, view.count().into());
            return Err(StoreError::BeyondHead { position, count }.into());
        }
        let order = Order {
            view,
            size,
            as_of: self.as_of,
            since: self.since,
            query: self.query.as_deref(),
            params: &self.param,
            environments: &session.config.environments,
            whole: question::whole_events(session),
            log: log_of(&session.store),
            tool: env!("CARGO_PKG_VERSION"),
            digest_of_file: &question::digest_of_file,
        };
        let format = match self.format {
            FormatWord::Openlineage => Format::OpenLineage,
            FormatWord::Prov => Format::Prov,
            FormatWord::Native => Format::Native,
        };
        let Some(path) = &self.file else {
            let mut out = io::stdout().lock();
            let exported = export::write(&order, format, &mut out)?;
            out.flush()?;
            return Ok(exported);
        };
        let failed = || format!("cannot write {}", path.display());
        let mut out = File::create(path).with_context(failed)?;
        let exported = export::write(&order, format, &mut out)?;
        out.sync_all().with_context(failed)?;
        Ok(exported)
    }

    fn tell(&self, context: &Context, exported: &Exported) {
        let what = if matches!(self.format, FormatWord::Prov) { "activity" } else { "event" };
        let events = if exported.events == 1 || what == "event" {
            count(exported.events, what)
        } else {
            format!("{} activities", exported.events)
        };
        context.terminal.note(&format!("exported {events}"));
        let left_out: Vec<String> = exported.left_out.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        if !left_out.is_empty() {
            context
                .terminal
                .tell(&format!("the format has no form for, and the export has not: {}", left_out.join(", ")));
        }
    }
}
