//! `lineage logs`: what the command of a run said.

use std::io::{self, Write as _};
use std::time::Duration;

use lineage_ingest::run::{Cut, Live, LogReader, Open, Piece};
use lineage_store::digest::Blake3;
use lineage_store::event::Evidence;
use lineage_store::graph::View;
use serde_json::{Map, Value, json};

use super::retract::run_namespace;
use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::session::Session;

const EXAMPLES: &str = "\
EXAMPLES
  lineage logs                       the run that was started last
  lineage logs r-9f2c41d07a5be386    standard output and standard error, each where it went
  lineage logs --stderr | less
  lineage logs -f                    go on with what is said from now, until the run ends
  lineage logs --json                which logs there are, by digest

Secrets are masked; where a log was too long, a note says which bytes were left out.
Output that went to a terminal, or both streams to one file, is one log in the order in which it was said.";

/// How often `--follow` looks.
const POLL: Duration = Duration::from_millis(200);

/// Arguments of `lineage logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Logs {
    /// The id of a run [default: the one that was started last]
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// Go on with what is said from now
    #[arg(long, short)]
    follow: bool,
    /// Only standard output
    #[arg(long, conflicts_with = "stderr")]
    stdout: bool,
    /// Only standard error
    #[arg(long)]
    stderr: bool,
}

/// Where a log goes.
#[derive(Clone, Copy)]
enum Target {
    Out,
    Err,
}

impl Logs {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open_to_write().or_else(|_| context.open())?;
        let run = match &self.run {
            Some(run) => run.clone(),
            None => newest_run(&session)?,
        };
        if context.json {
            let logs = session.with_view(|view| facts(&session, view, &run))?.unwrap_or_default();
            context.terminal.print(&json!({ "run": run, "logs": logs }).to_string())?;
            return Ok(ExitCode::Done);
        }
        let said = self.live(&session, &run)?;
        self.ended(&session, &run, said.as_deref())?;
        Ok(ExitCode::Done)
    }

    /// The target of a stream, if it was asked for.
    fn target(&self, name: &str) -> Option<Target> {
        match name {
            "stderr" if self.stderr => Some(Target::Out),
            "stderr" if self.stdout => None,
            "stderr" => Some(Target::Err),
            "stdout" if self.stderr => None,
            _ => Some(Target::Out),
        }
    }

    /// Prints what a run that goes on has said; how many bytes of each stream. `None` if it does not go on.
    fn live(&self, session: &Session, run: &str) -> anyhow::Result<Option<Vec<(String, u64)>>> {
        if !is_open(session, run)? {
            return Ok(None);
        }
        let mut logs: Vec<(Live, u64)> = Vec::new();
        loop {
            // Whether it ended is asked first, so that nothing said before its end is missed.
            let goes_on = is_open(session, run)?;
            for live in Live::of(&session.runs_folder(), run) {
                if !logs.iter().any(|(known, _)| known.name() == live.name()) {
                    logs.push((live, 0));
                }
            }
            for (live, n) in &mut logs {
                let bytes = live.read()?;
                if live.missed() {
                    session.context.terminal.note("a part of the log was left out before it could be read");
                }
                *n += bytes.len() as u64;
                if let Some(target) = self.target(live.name()) {
                    print(target, &bytes)?;
                }
            }
            if !self.follow || !goes_on {
                break;
            }
            std::thread::sleep(POLL);
        }
        Ok(Some(logs.into_iter().map(|(live, n)| (live.name().to_owned(), n)).collect()))
    }

    /// Prints the logs of a run that has ended, from where `said` ends.
    fn ended(&self, session: &Session, run: &str, said: Option<&[(String, u64)]>) -> anyhow::Result<()> {
        if said.is_some() && !self.follow {
            return Ok(());
        }
        let logs = session.with_view(|view| facts(session, view, run))?;
        let Some(logs) = logs.filter(|logs| !logs.is_empty()) else {
            if said.is_none() {
                session.context.terminal.note("no logs were kept of this run");
            }
            return Ok(());
        };
        for name in ["output", "stdout", "stderr"] {
            let (Some(log), Some(target)) = (logs.get(name), self.target(name)) else { continue };
            let from = said.unwrap_or_default().iter().find(|(said, _)| said == name).map_or(0, |(_, n)| *n);
            print_log(session, name, log, target, from)?;
        }
        if self.stderr && logs.contains_key("output") {
            session.context.terminal.note("standard output and standard error went to one place and are one log");
        }
        Ok(())
    }
}

/// Whether a run has not ended yet.
fn is_open(session: &Session, run: &str) -> anyhow::Result<bool> {
    Ok(session.open_runs()?.runs.iter().any(|open| matches!(open, Open::Running(note) if note.run == run)))
}

/// The run that was started last.
fn newest_run(session: &Session) -> anyhow::Result<String> {
    if let Some(open) = session.open_runs()?.runs.into_iter().rev().find(|open| matches!(open, Open::Running(_))) {
        return Ok(open.note().run.clone());
    }
    let position = session.with_view(|view| {
        let is_run = |event: &u32| view.has_run(*event) && view.evidence(*event) == Evidence::Observed;
        Ok((0..view.count()).rev().find(is_run))
    })?;
    let position = position.ok_or_else(|| {
        Problem::name("no run is recorded yet").help("`lineage run -- CMD` records one with what it says")
    })?;
    Ok(session.store.reader()?.event(position.into())?.0.run.unwrap_or_default())
}

/// What the end of a run says of its logs.
fn facts(session: &Session, view: &View, run: &str) -> anyhow::Result<Option<Map<String, Value>>> {
    let namespace = run_namespace(view, run)?;
    let reader = session.store.reader()?;
    let mut events = view.run_events(&namespace, run);
    events.sort_unstable();
    for position in events.into_iter().rev() {
        let (event, ..) = reader.event(position.into())?;
        let mut facets: Value = serde_json::from_str(event.facets.as_str()).unwrap_or_default();
        if let Value::Object(logs) = facets["logs"].take() {
            return Ok(Some(logs));
        }
    }
    Ok(None)
}

fn print_log(session: &Session, name: &str, log: &Value, target: Target, from: u64) -> anyhow::Result<()> {
    let terminal = &session.context.terminal;
    if let Some(why) = log["incomplete"].as_str() {
        terminal.note(&format!("the log of {name} is not complete: {}", crate::render::clean(why)));
    }
    let digest = log["digest"].as_str().and_then(|digest| Blake3::from_hex(digest.strip_prefix("b3:")?));
    let Some(digest) = digest else { return Ok(()) };
    let mut reader = LogReader::open(session.store.artifacts(), &digest)?;
    let mut at = 0;
    while let Some(piece) = reader.next_piece()? {
        match piece {
            Piece::Bytes(bytes) => {
                let skip = from.saturating_sub(at).min(bytes.len() as u64) as usize;
                at += bytes.len() as u64;
                print(target, &bytes[skip..])?;
            }
            Piece::Cut(Cut { from: begin, to }) => {
                at = to;
                terminal.note(&format!("here {} bytes of {name} were left out", to - begin));
            }
        }
    }
    Ok(())
}

fn print(target: Target, bytes: &[u8]) -> io::Result<()> {
    match target {
        Target::Out => {
            let mut out = io::stdout().lock();
            out.write_all(bytes)?;
            out.flush()
        }
        Target::Err => io::stderr().lock().write_all(bytes),
    }
}
