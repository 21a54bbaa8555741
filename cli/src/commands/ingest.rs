//! `lineage ingest`: events from files and pipes.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lineage_ingest::file::{self, Format, IngestError, Options, Progress, Rejection, Summary};
use serde_json::json;

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::random;
use crate::render::{clean, count};
use crate::session::Session;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
EXAMPLES
  lineage ingest events.ndjson
  lineage ingest --format openlineage marquez-export.json
  airflow-emitter | lineage ingest -
  lineage ingest --dry-run events.ndjson     judge, write nothing

A refused line is kept with its reason in .lineage/rejects; what was accepted stays recorded.
The exit code is 0 only if nothing was refused.";

/// A bar appears when something takes longer than this.
const BAR_AFTER: Duration = Duration::from_secs(1);
/// So many refusals are shown; all are in the reject file.
const SHOWN: u64 = 10;

/// Arguments of `lineage ingest`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ingest {
    /// Files of events, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The format of the events: auto, native or openlineage
    #[arg(long, default_value = "auto", value_name = "FORMAT")]
    format: Format,
    /// Stop at the first refusal
    #[arg(long)]
    strict: bool,
    /// Read and judge, but write nothing
    #[arg(long)]
    dry_run: bool,
    /// Make each event durable by itself (slow)
    #[arg(long)]
    commit_each: bool,
}

impl Ingest {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        // Nothing is recorded if one of the files is not there.
        for path in self.files.iter().filter(|path| path.as_os_str() != "-") {
            check(path)?;
        }
        let session = if self.dry_run { context.open()? } else { context.open_to_write()? };
        if !self.dry_run {
            session.sign_while_writing();
        }
        let mut total = Summary::default();
        let begun = Instant::now();
        for path in &self.files {
            let summary = match self.one(&session, path) {
                Ok(summary) => summary,
                Err(error) => {
                    add(&mut total, error.summary());
                    tell(context, &total, self.dry_run, begun)?;
                    return Err(error.into());
                }
            };
            add(&mut total, &summary);
            if total.stopped {
                break;
            }
        }
        tell(context, &total, self.dry_run, begun)?;
        let code = if total.refused > 0 || total.spooled > 0 { ExitCode::Failed } else { ExitCode::Done };
        if !self.dry_run {
            session.finish(false);
        }
        Ok(code)
    }

    fn one(&self, session: &Session, path: &Path) -> Result<Summary, IngestError> {
        let is_input = path.as_os_str() == "-";
        let source = if is_input { "-".to_owned() } else { path.display().to_string() };
        let read = |error| IngestError::Read { name: source.clone(), error, summary: Box::default() };
        let (input, size): (Box<dyn Read + Send>, u64) = if is_input {
            (Box::new(io::stdin()), 0)
        } else {
            let file = File::open(path).map_err(read)?;
            let size = file.metadata().map_or(0, |m| m.len());
            (Box::new(file), size)
        };
        let now = || session.context.now();
        let options = Options {
            format: self.format,
            actor: session.actor(),
            seal: session.config.seal.clone(),
            keys: session.keys.clone(),
            strict: self.strict,
            dry_run: self.dry_run,
            commit_each: self.commit_each,
            source: source.clone(),
            name: random::file_name(session.context.now()),
            now: &now,
        };
        let terminal = &session.context.terminal;
        let bar = std::cell::RefCell::new(Bar::new(terminal, "bytes"));
        let mut shown = 0;
        let mut refused = |rejection: Rejection| {
            shown += 1;
            if shown <= SHOWN {
                let text =
                    format!("refused: {} line {}: {}", rejection.source, rejection.line, clean(&rejection.reason));
                bar.borrow().around(|| terminal.tell(&text));
            }
        };
        let mut progress = |progress: Progress| bar.borrow_mut().at(progress.bytes, size);
        let summary = file::ingest(&session.store, input, &options, &mut progress, &mut refused);
        bar.borrow_mut().finish();
        if shown > SHOWN {
            terminal.tell(&format!("refused: {} more", shown - SHOWN));
        }
        summary
    }
}

fn check(path: &Path) -> anyhow::Result<()> {
    let problem = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => format!("{} is a folder", path.display()),
        Ok(_) => match File::open(path) {
            Ok(_) => return Ok(()),
            Err(error) => format!("cannot read {}: {error}", path.display()),
        },
        Err(error) => format!("cannot read {}: {error}", path.display()),
    };
    Err(Problem::failed(problem).help("name a file of events, or - for standard input; nothing was recorded").into())
}

fn add(total: &mut Summary, one: &Summary) {
    total.accepted += one.accepted;
    total.duplicate += one.duplicate;
    total.refused += one.refused;
    total.spooled += one.spooled;
    total.events += one.events;
    total.first = total.first.or(one.first);
    total.last = one.last.or(total.last);
    total.stopped |= one.stopped;
    if one.rejects.is_some() {
        total.rejects.clone_from(&one.rejects);
    }
}

fn tell(context: &Context, total: &Summary, dry_run: bool, begun: Instant) -> anyhow::Result<()> {
    let terminal = &context.terminal;
    if context.json {
        let object = json!({
            "accepted": total.accepted,
            "duplicate": total.duplicate,
            "refused": total.refused,
            "spooled": total.spooled,
            "events": total.events,
            "first": total.first,
            "last": total.last,
            "stopped": total.stopped,
            "dry_run": dry_run,
            "rejects": total.rejects.as_ref().map(|path| path.display().to_string()),
        });
        terminal.print(&object.to_string())?;
    } else {
        terminal.print(&line(total, dry_run, begun.elapsed()))?;
    }
    if let Some(path) = &total.rejects {
        terminal.note(&format!("what was refused is kept with the reasons in {}", path.display()));
    }
    if total.spooled > 0 {
        terminal.tell(&format!(
            "spooled: another process holds the journal; {} wait durably in the spool and the next writing command \
             records them",
            count(total.spooled, "document")
        ));
    }
    Ok(())
}

fn line(total: &Summary, dry_run: bool, took: Duration) -> String {
    let mut words = vec![format!("{}accepted {}", if dry_run { "dry run: " } else { "" }, total.accepted)];
    if let (Some(first), Some(last)) = (total.first, total.last) {
        let place = if first == last { format!("#{first}") } else { format!("#{first} to #{last}") };
        let events = if total.events == total.accepted { String::new() } else { format!("{} events, ", total.events) };
        words[0] = format!("{} ({events}{place})", words[0]);
    }
    words.push(format!("duplicate {}", total.duplicate));
    words.push(format!("refused {}", total.refused));
    if total.spooled > 0 {
        words.push(format!("spooled {}", total.spooled));
    }
    let mut text = words.join(", ");
    if took > BAR_AFTER {
        let rate = total.events as f64 / took.as_secs_f64();
        text = format!("{text} in {:.1} s ({rate:.0} events/s)", took.as_secs_f64());
    }
    if total.stopped {
        text.push_str("; stopped at the first refusal");
    }
    text
}

/// A bar on standard error, if it is a terminal and the work takes a while.
pub(super) struct Bar {
    shown: Option<ProgressBar>,
    begun: Instant,
    is_terminal: bool,
    unit: &'static str,
}

impl Bar {
    pub(super) fn new(terminal: &Terminal, unit: &'static str) -> Self {
        Self { shown: None, begun: Instant::now(), is_terminal: terminal.err, unit }
    }

    /// So much is done; of `total`, if that is known.
    pub(super) fn at(&mut self, done: u64, total: u64) {
        if !self.is_terminal || self.begun.elapsed() < BAR_AFTER {
            return;
        }
        let bar = self.shown.get_or_insert_with(|| bar(total, self.unit));
        bar.set_position(done);
    }

    /// Writes something else while the bar is out of the way.
    fn around(&self, write: impl FnOnce()) {
        match &self.shown {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    pub(super) fn finish(&mut self) {
        if let Some(bar) = self.shown.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target((total > 0).then_some(total), ProgressDrawTarget::stderr_with_hz(10));
    let template = match (unit, total > 0) {
        ("bytes", true) => "{bar:30} {bytes}/{total_bytes} {eta}",
        ("bytes", false) => "{spinner} {bytes}",
        (_, true) => "{bar:30} {human_pos}/{human_len} {eta}",
        _ => "{spinner} {human_pos}",
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
