//! `lineage replay`: makes a run again from what is stored of it, in a folder of its own, and compares what comes of it.

pub(super) mod find;
mod report;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use lineage_ingest::capture::Rules;
use lineage_ingest::file::Recorded as Written;
use lineage_ingest::replay::{Here, Replayed, Terms, replay};
use lineage_ingest::run::{Control, Notice};
use lineage_store::Store;
use lineage_store::digest::Blake3;

use self::find::{Found, Item};
use self::report::{Done, Report};
use super::ingest::Bar;
use super::origin::Origin;
use crate::config;
use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::random;
use crate::render::{clean, count};
use crate::session::Session;
use crate::signals;

const EXAMPLES: &str = "\
EXAMPLES
  lineage replay r-9f2c41d07a5be386            a run, or every step of a pipeline
  lineage replay r-9f2c41d07a5be386.train.0    one step in one branch
  lineage replay r-9f2c41d07a5be386 --dry-run  only what is missing, and what is other than it was
  lineage replay r-9f2c41d07a5be386 --keep /tmp/again

Each step is made again from the inputs that it read then, whatever the others give now. What is missing is told before
anything starts. The exit code is 0 if all outputs are the same, 1 if not, 6 if something is missing.";

/// Arguments of `lineage replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Replay {
    /// A run of a command, of a pipeline, or of one of its steps; or latest, latest-successful, or one of these of a pipeline, as latest:PIPELINE
    /// [default: latest]
    #[arg(value_name = "RUN", default_value = "latest", hide_default_value = true)]
    run: String,
    /// Say what is missing and what is other than it was, and make nothing again
    #[arg(long)]
    dry_run: bool,
    /// Make again what can be, also if other steps cannot
    #[arg(long)]
    partial: bool,
    /// Work in this new folder, and leave it there
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// The run that goes on, to be told of signals.
type Current = Arc<Mutex<Option<Arc<Control>>>>;

impl Replay {
    pub(super) fn run(mut self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = if self.dry_run { context.open()? } else { context.open_to_write()? };
        if self.run.starts_with("latest") {
            self.run = Origin::find(&session, Some(&self.run))?.run;
        }
        let root = session.store.layout().root();
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let workspace = root.parent().unwrap_or(&root).to_owned();
        let variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let key = session.runner_key();
        let here = Here {
            artifacts: session.store.artifacts(),
            workspace: &workspace,
            variables: &variables,
            key: key.as_ref(),
        };
        let found = find::find(&session, &self.run, &here)?;
        tell_survey(context, &found);
        if let Some(refused) = self.refusal(&found) {
            if context.json {
                let done = found.items.iter().map(|item| Done { item, replayed: None }).collect();
                let mut told = Report { run: &self.run, found: &found, done }.json(None);
                told["error"] = serde_json::json!(refused.to_string());
                context.terminal.print(&told.to_string())?;
                return Ok(ExitCode::Failed);
            }
            return Err(refused.into());
        }
        if self.dry_run {
            return self.dry(context, &found);
        }
        let Some(done) = self.make(&session, &found, &here)? else { return Ok(ExitCode::Interrupted) };
        self.conclude(session, &found, done)
    }

    /// Why nothing is started.
    fn refusal(&self, found: &Found) -> Option<Problem> {
        let run = &self.run;
        let is_whole = |item: &&Item| item.survey.gaps.is_empty();
        let n_whole = found.items.iter().filter(is_whole).count();
        // A deployment is never made again, so it stands in nobody's way.
        let is_left_out = |item: &&Item| found.is_pipeline && item.is_deployment();
        let missing = found.items.iter().filter(|item| !is_whole(item) && !is_left_out(item)).count() as u64;
        if n_whole == 0 {
            return Some(match found.items.len() {
                0 => Problem::failed(format!("no step of {run} ran")).help(format!("lineage graph {run}")),
                _ => Problem::failed(format!("{run} cannot be made again: what is missing is told above"))
                    .help("inputs are kept up to the setting run.keep_inputs, or with lineage run --keep-inputs"),
            });
        }
        (missing > 0 && !self.partial).then(|| {
            Problem::failed(format!("{} of {run} cannot be made again", count(missing, "step")))
                .help(format!("lineage replay {run} --partial makes the others again"))
        })
    }

    fn dry(&self, context: &Context, found: &Found) -> anyhow::Result<ExitCode> {
        let whole = found.items.iter().filter(|item| item.survey.gaps.is_empty()).count() as u64;
        if context.json {
            let done = found.items.iter().map(|item| Done { item, replayed: None }).collect();
            context.terminal.print(&Report { run: &self.run, found, done }.json(None).to_string())?;
        } else {
            let what = if found.is_pipeline { "step" } else { "run" };
            context.terminal.print(&format!("{} can be made again", count(whole, what)))?;
        }
        Ok(ExitCode::Done)
    }

    /// Makes everything again that can be; none if that was interrupted.
    fn make<'a>(&self, session: &Session, found: &'a Found, here: &Here<'_>) -> anyhow::Result<Option<Vec<Done<'a>>>> {
        let folder = match &self.keep {
            Some(folder) => folder.clone(),
            None => std::env::temp_dir().join(format!("lineage-replay-{}", random::event_id())),
        };
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        let made = self.make_below(session, found, here, &folder);
        match &self.keep {
            Some(_) => session.context.terminal.note(&format!("the copies are in {}", folder.display())),
            None => drop(fs::remove_dir_all(&folder)),
        }
        made
    }

    fn make_below<'a>(
        &self,
        session: &Session,
        found: &'a Found,
        here: &Here<'_>,
        folder: &Path,
    ) -> anyhow::Result<Option<Vec<Done<'a>>>> {
        let inner_store = folder.join(".store");
        Store::create(&inner_store, config::DEFAULT)?;
        let rules = Rules::new(session.config.run.roles.iter().map(String::as_str))
            .map_err(|what| Problem::usage(format!("run.roles: {what}")))?;
        let (current, stopped) = (Current::default(), Arc::new(AtomicBool::new(false)));
        forward(&current, &stopped)?;
        let mut done = Vec::new();
        let mut bar = Bar::new(&session.context.terminal, "steps");
        let id = random::run_id();
        for (at, item) in found.items.iter().enumerate() {
            let Some(recorded) = item.recorded.as_ref().filter(|_| item.survey.gaps.is_empty()) else {
                done.push(Done { item, replayed: None });
                continue;
            };
            bar.at(at as u64, found.items.len() as u64);
            let control = Arc::<Control>::default();
            *current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&control));
            let (rules, inner_store) = (rules.clone(), inner_store.clone());
            let terms = Terms { id: format!("{id}.{at}"), rules, inner_store, control };
            let place = folder.join(folder_name(item));
            let replayed = replay(recorded, &item.survey, here, &place, &terms);
            if stopped.load(Ordering::Relaxed) {
                bar.finish();
                return Ok(None);
            }
            let replayed: Replayed = replayed.map_err(Problem::failed)?;
            if self.keep.is_none() {
                fs::remove_dir_all(&place).ok();
            }
            done.push(Done { item, replayed: Some(replayed) });
        }
        bar.finish();
        Ok(Some(done))
    }

    /// Says what came of it, and records it.
    fn conclude(&self, session: Session, found: &Found, done: Vec<Done<'_>>) -> anyhow::Result<ExitCode> {
        let report = Report { run: &self.run, found, done };
        let same = report.is_same();
        let recorded = session.record(report.event(&session)?)?;
        let terminal = &session.context.terminal;
        let position = if let Written::At(position) = recorded { Some(position) } else { None };
        if session.context.json {
            terminal.print(&report.json(position).to_string())?;
        } else {
            terminal.print(&report.text())?;
        }
        if let Written::Spooled(path) = &recorded {
            session.tell_spooled(path, "what came of the replay");
        }
        let code = session.finish(position.is_none());
        Ok(if same { code } else { ExitCode::Unmet })
    }
}

/// Tells what is missing and what is other than it was.
fn tell_survey(context: &Context, found: &Found) {
    if context.json {
        return;
    }
    for item in &found.items {
        let whose = if found.is_pipeline { format!("{}: ", clean(&item.run)) } else { String::new() };
        for gap in &item.survey.gaps {
            context.terminal.tell(&format!("missing: {whose}{}", clean(&gap.to_string())));
        }
    }
    // Of many steps on one machine the same is other; it is told once.
    let mut told: Vec<&str> = Vec::new();
    for difference in found.items.iter().flat_map(|item| &item.survey.differences) {
        if !told.contains(&difference.as_str()) {
            told.push(difference);
            context.terminal.note(&clean(difference));
        }
    }
}

/// A name of our own for the folder of an attempt: names from outside never become paths.
fn folder_name(item: &Item) -> String {
    let step = item.run.split_once('.').map_or("run", |(_, step)| step);
    let is_plain = step.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let plain = is_plain && step.len() <= 100 && !step.starts_with('.') && !step.contains("..");
    if plain { step.to_owned() } else { Blake3::of(item.run.as_bytes()).hex()[..16].to_owned() }
}

/// Signals end what runs, and nothing is started any more.
fn forward(current: &Current, stopped: &Arc<AtomicBool>) -> anyhow::Result<()> {
    let (current, stopped) = (Arc::clone(current), Arc::clone(stopped));
    let tell = move |notice: Notice| {
        let is_signal = matches!(notice, Notice::Signal { .. });
        let again = is_signal && stopped.swap(true, Ordering::Relaxed);
        let control = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let heard = control.is_some_and(|control| control.tell(notice));
        // Between two attempts nobody hears; the next one is not begun. Whoever insists is obeyed.
        heard || !again
    };
    signals::forward_to(tell).context("cannot catch signals")
}
