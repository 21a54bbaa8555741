//! `lineage report`: a pack for an auditor, which can be opened and checked without this program.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use lineage_query::report::{self, Order, Partition, Proofs, Report, ReportError};
use lineage_store::Store;
use lineage_store::graph::View;
use lineage_store::proof::{SignedCheckpoint, TILE_HASHES, VERIFIER, tile_path};
use lineage_store::time::Time;
use serde_json::json;

use super::question;
use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::render::{clean, count, size};
use crate::session::Session;
use crate::signals;
use crate::signing;

const EXAMPLES: &str = "\
EXAMPLES
  lineage report full --out pack
  lineage report unaudited --out pack --known-at 1204
  lineage report technical-documentation --model \"model churn\" --out pack
  lineage report erasure-impact s-123 --out pack
  lineage report full --out january --since 8123 --partition day
  lineage report --query \"models live in prod show owner\" --out pack

REPORTS
  full                     events, runs, edges, versions, audits, deployments and everything else
  model-inventory          each model: owner, purpose, tier, models above and below it, last validation
  training-data            what each version of a model was trained on, down to raw data
  deployments              what was live where and when, who let it in, on what evidence
  unaudited                models without a passing audit since their last training
  erasure-impact SUBJECT   what holds values of a subject, and everything that derives from it
  technical-documentation  versions, data, steps, tests, changes and gaps of models
  records-of-processing    what data is for, and which jobs used it

The same report of the same log at the same position is the same bytes.";

/// Arguments of `lineage report`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReportCommand {
    /// Which report
    #[arg(required_unless_present = "query", conflicts_with = "query")]
    name: Option<String>,
    /// The pseudonym of a subject, for erasure-impact
    subject: Option<String>,
    /// A question whose answer is the report; may be given several times
    #[arg(long, value_name = "TEXT")]
    query: Vec<String>,
    /// A parameter of the questions; several of one name are a list
    #[arg(long, value_name = "NAME=VALUE", value_parser = question::parse_param, requires = "query")]
    param: Vec<(String, String)>,
    /// The folder to write, new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A question that selects models, for training-data and technical-documentation [default: all]
    #[arg(long, value_name = "TEXT")]
    model: Option<String>,
    /// What was recorded by then: a position of the log or a time
    #[arg(long, value_name = "POSITION|TIME")]
    known_at: Option<KnownAt>,
    /// What had happened by then [default: by the instant at which the last event was recorded]
    #[arg(long, value_name = "TIME")]
    as_of: Option<Time>,
    /// Begin the tables of the log at this position
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    since: u64,
    /// Spread the tables of the log over a folder for each day of recording
    #[arg(long, value_name = "BY", value_enum)]
    partition: Option<By>,
    /// Whether the canonical events are part of the pack
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Events::All)]
    events: Events,
}

/// How tables are spread over files.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum By {
    Day,
}

/// Which events stand in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Events {
    All,
    None,
}

/// What was known: up to a position, or by an instant.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KnownAt {
    Position(u64),
    Time(Time),
}

impl std::str::FromStr for KnownAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim_start_matches("log ").parse() {
            Ok(position) => Ok(Self::Position(position)),
            Err(_) => text.parse().map(Self::Time),
        }
    }
}

impl KnownAt {
    /// How many events of a view count.
    pub(crate) fn size(self, view: &View) -> anyhow::Result<u32> {
        match self {
            Self::Time(time) => Ok(view.count_recorded_by(time)),
            Self::Position(position) if position < u64::from(view.count()) => Ok(position as u32 + 1),
            Self::Position(position) => {
                Err(lineage_store::StoreError::BeyondHead { position, count: view.count().into() }.into())
            }
        }
    }
}

impl ReportCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let report = self.report()?;
        signals::exit_when_interrupted().context("cannot listen for signals")?;
        let session = context.open()?;
        let written = match session.store.view() {
            Ok(view) => self.write(&session, &view, &report),
            Err(error) => Err(ReportError::Store(error).into()),
        };
        let is_corrupt = |error: &anyhow::Error| error.downcast_ref().is_some_and(ReportError::is_corrupt);
        let written = match written {
            Err(error) if is_corrupt(&error) => {
                let view = session.store.view_of_journal()?;
                context.terminal.note("the graph index is damaged; reported from the journal; run `lineage rebuild`");
                self.write(&session, &view, &report)
            }
            written => written,
        };
        match written {
            Ok(summary) => self.tell(context, &report, &summary).map(|()| ExitCode::Done),
            Err(error) => match error.downcast::<ReportError>() {
                Ok(ReportError::Query { text, error }) => question::tell_failure(context, error, &text),
                Ok(error) => Err(explained(error, &self)),
                Err(error) => Err(error),
            },
        }
    }

    fn report(&self) -> anyhow::Result<Report> {
        let report = match self.name.as_deref() {
            None => Report::Query(self.query.clone()),
            Some("erasure-impact") if self.subject.is_none() => {
                return Err(Problem::usage("erasure-impact is about a subject")
                    .help("name it: `lineage report erasure-impact s-123 --out DIR`")
                    .into());
            }
            Some(name) => Report::named(name, self.model.clone(), self.subject.clone()).ok_or_else(|| {
                let names: Vec<&str> = Report::NAMES.iter().map(|(name, _)| *name).collect();
                Problem::name(format!("there is no report `{}`", name.escape_debug()))
                    .help(format!("the reports are {}", names.join(", ")))
            })?,
        };
        let has_model = matches!(report, Report::TrainingData { .. } | Report::TechnicalDocumentation { .. });
        if self.model.is_some() && !has_model {
            return Err(Problem::usage("--model is for training-data and technical-documentation").into());
        }
        if self.subject.is_some() && !matches!(report, Report::ErasureImpact { .. }) {
            return Err(Problem::usage("only erasure-impact is about a subject").into());
        }
        Ok(report)
    }

    fn write(&self, session: &Session, view: &View, report: &Report) -> anyhow::Result<report::Summary> {
        let size = self.known_at.map(|known_at| known_at.size(view)).transpose()?;
        let order = Order {
            report,
            view,
            size,
            // `--now` is what an answer takes for now, and so is what a report speaks of.
            as_of: self.as_of,
            since: self.since,
            partition: self.partition.map_or(Partition::None, |By::Day| Partition::Day),
            events: self.events == Events::All,
            environments: &session.config.environments,
            params: &self.param,
            whole: question::whole_events(session),
            log: log_of(&session.store),
            proofs: proofs_of(session, size.unwrap_or(view.count()).into())?,
            tool: env!("CARGO_PKG_VERSION"),
            digest_of_file: &question::digest_of_file,
        };
        Ok(report::write(&order, &self.out)?)
    }

    fn tell(&self, context: &Context, report: &Report, summary: &report::Summary) -> anyhow::Result<()> {
        let terminal = &context.terminal;
        if context.json {
            let tables: serde_json::Map<_, _> =
                summary.tables.iter().map(|(name, rows)| (name.clone(), json!(rows))).collect();
            let object = json!({
                "report": report.name(),
                "out": self.out.display().to_string(),
                "position": summary.position,
                "as_of": summary.as_of.to_string(),
                "tables": tables,
                "files": summary.files,
                "bytes": summary.bytes,
                "notes": summary.notes,
            });
            return Ok(terminal.print(&object.to_string())?);
        }
        let position =
            summary.position.map_or("an empty log".to_owned(), |position| format!("log position {position}"));
        terminal.print(&format!(
            "{}: {} of {position}, as of {}, {}",
            self.out.display(),
            report.name(),
            summary.as_of,
            size(summary.bytes)
        ))?;
        for (name, rows) in &summary.tables {
            terminal.print(&format!("  {name}: {}", count(*rows, "row")))?;
        }
        summary.notes.iter().for_each(|note| terminal.note(&clean(note)));
        Ok(())
    }
}

/// The proofs of the first events: head and tiles of their tree, and its checkpoint if the log can be signed here.
///
/// The checkpoint is of just these events, so that a pack of an older position is the same whenever it is written.
fn proofs_of(session: &Session, size: u64) -> anyhow::Result<Proofs> {
    let proofs = session.store.proofs();
    let root = proofs.root_at(size)?;
    let verifier = Some(VERIFIER.into());
    let mut pack = Proofs { head: Some(root.to_string()), verifier, ..Proofs::default() };
    // A report makes no key: what was never signed is not signed for it.
    let Some(Ok(key)) = signing::public_key(session)? else { return Ok(pack) };
    let signed = match signing::signer(session, None) {
        Ok(signer) => Some(SignedCheckpoint::sign(size, root, &signer)),
        Err(error) => {
            session.context.terminal.note(&format!("the pack has no checkpoint of its own position: {error}"));
            None
        }
    };
    let Some(signed) = signed else { return Ok(pack) };
    pack.checkpoint = Some(signed.to_string().into_bytes());
    pack.key = Some(format!("{key}\n").into_bytes());
    for level in 0.. {
        let rows = size.checked_shr(8 * level).unwrap_or(0);
        if rows == 0 {
            break;
        }
        for index in 0..rows.div_ceil(TILE_HASHES) {
            let hashes = proofs.tile(level, index, size)?;
            let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
            pack.tiles.push((tile_path(level, index, hashes.len() as u64), bytes));
        }
    }
    Ok(pack)
}

/// The log of a store, to be read in order.
pub(crate) fn log_of(store: &Store) -> report::ReadLog {
    let journal = store.journal().clone();
    Arc::new(move |from, to, each| journal.read_from(from, to, &mut |record| each(record.position, record.leaf)))
}

/// An error of a report with the way out of it.
fn explained(error: ReportError, command: &ReportCommand) -> anyhow::Error {
    let text = error.to_string();
    match error {
        ReportError::NotEmpty { path } => Problem::usage(text)
            .help(format!("name a new folder, or remove this one first: rm -r {}", path.display()))
            .into(),
        ReportError::Since { size, .. } => Problem::usage(text).help(format!("give --since {size} or less")).into(),
        ReportError::Ahead { recorded, .. } => {
            Problem::usage(text).help(format!("leave --as-of out, or give {recorded} or earlier")).into()
        }
        ReportError::NoSet { .. } => {
            Problem::usage(text).help("write a set such as \"model churn\", without `as of` and `known at`").into()
        }
        ReportError::NoModel { .. } => {
            let name = command.name.as_deref().unwrap_or("NAME");
            Problem::name(text).help(format!("leave --model out to report on all: lineage report {name}")).into()
        }
        ReportError::Store(error) => error.into(),
        error => error.into(),
    }
}
