//! `lineage run`: a command, recorded with what it read and wrote.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use lineage_ingest::file::{self, Recorded};
use lineage_ingest::run::{self, Declared, EXIT_RUNNER, RecordError, RunResult, RunSpec};
use lineage_store::digest::Blake3;
use lineage_store::event::{EntityKind, Event, Kind};
use lineage_store::graph::View;
use serde_json::json;

use crate::context::Context;
use crate::exit::ExitCode;
use crate::random;
use crate::reference::{Found, label};
use crate::session::Session;
use crate::signals;

const EXAMPLES: &str = "\
EXAMPLES
  lineage run -i raw.csv -o dataset:clean=clean.csv -- sh prepare.sh
  lineage run -i dataset:clean=clean.csv -o model:churn=model.pkl --metrics metrics.json -p lr=0.1 -- python train.py
  lineage run --kind audit -i model:churn=model.pkl -- pytest checks/
  lineage run --kind deployment --to prod -i model:churn=model.pkl -- ./push.sh

A run that writes a model is a training. Declarations are NAME=PATH, KIND:NAME=PATH or PATH; a path may be a pattern.
The exit code is that of the command; 125 if the recorder itself failed before the command was started.";

/// Arguments of `lineage run`.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    /// What it reads
    #[arg(short, long = "input", value_name = "[KIND:][NAME=]PATH", value_parser = Declared::parse)]
    pub(super) input: Vec<Declared>,
    /// What it writes
    #[arg(short, long = "output", value_name = "[KIND:][NAME=]PATH", value_parser = Declared::parse)]
    pub(super) output: Vec<Declared>,
    /// transform, training, evaluation, audit or deployment [default: training if it writes a model, else transform]
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    pub(super) kind: Option<Kind>,
    /// The name of the job [default: the script or program]
    #[arg(long)]
    pub(super) name: Option<String>,
    /// The namespace of the run and of what it names
    #[arg(long, default_value = "default")]
    pub(super) namespace: String,
    /// A tag of the run
    #[arg(long, value_name = "TAG")]
    pub(super) tag: Vec<String>,
    /// A parameter
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = parse_param)]
    pub(super) param: Vec<(String, String)>,
    /// A JSON file of numbers that the command writes
    #[arg(long, value_name = "FILE")]
    pub(super) metrics: Option<PathBuf>,
    /// The environment of a deployment
    #[arg(long, value_name = "ENV")]
    pub(super) to: Option<String>,
    /// The service of a deployment [default: the name of the model]
    #[arg(long)]
    pub(super) service: Option<String>,
    /// Store the inputs too, not only their digests
    #[arg(long)]
    pub(super) keep_inputs: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(super) command: Vec<OsString>,
    /// Where it runs; only for the demo.
    #[arg(skip)]
    pub(super) folder: Option<PathBuf>,
}

fn parse_kind(word: &str) -> Result<Kind, String> {
    let kinds = [Kind::Transform, Kind::Training, Kind::Evaluation, Kind::Audit, Kind::Deployment];
    kinds
        .into_iter()
        .find(|kind| kind.as_str() == word)
        .ok_or_else(|| "the kinds are transform, training, evaluation, audit and deployment".to_owned())
}

fn parse_param(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Run {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        // Whatever keeps the recorder from working is code 125, so that it is not taken for the command's.
        let recorded =
            context.open_to_write().and_then(|session| execute(&session, &self).map(|result| (session, result)));
        let (session, (result, run_id, mut spooled)) = match recorded {
            Ok(recorded) => recorded,
            Err(error) => {
                context.errors.tell(&error, &context.terminal);
                return Ok(ExitCode::Child(EXIT_RUNNER as u8));
            }
        };
        spooled |= tell(&session, &result);
        if context.json {
            self.tell_json(&session, &result, &run_id, spooled)?;
        }
        session.finish(spooled);
        Ok(ExitCode::Child(result.exit_code as u8))
    }

    fn tell_json(&self, session: &Session, result: &RunResult, run_id: &str, spooled: bool) -> anyhow::Result<()> {
        let outputs = session.with_view(|view| {
            let events = view.run_events(&self.namespace, run_id);
            let made = events.iter().flat_map(|event| view.made(*event));
            Ok(made.map(|made| label(view, Found::Version(made.version))).collect::<Vec<_>>())
        })?;
        let object = json!({
            "run": run_id,
            "kind": result.kind.as_str(),
            "state": result.state.as_str(),
            "exit_code": result.exit_code,
            "outputs": outputs,
            "notes": result.notes,
            "spooled": spooled,
        });
        session.context.terminal.print(&object.to_string())?;
        Ok(())
    }

    fn spec(&self, session: &Session, run_id: &str) -> anyhow::Result<RunSpec> {
        let here = std::env::current_dir().context("cannot tell the current folder")?;
        let cwd = self.folder.clone().unwrap_or(here);
        let root = session.store.layout().root();
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let workspace = root.parent().unwrap_or(&root).to_owned();
        let mut spec = RunSpec::new(self.command.clone(), workspace, run_id.to_owned(), session.actor());
        spec.cwd = cwd.canonicalize().unwrap_or(cwd);
        spec.inputs.clone_from(&self.input);
        spec.outputs.clone_from(&self.output);
        spec.kind = self.kind.or(self.to.is_some().then_some(Kind::Deployment));
        spec.name.clone_from(&self.name);
        spec.namespace.clone_from(&self.namespace);
        spec.tags.clone_from(&self.tag);
        spec.params.clone_from(&self.param);
        spec.metrics_file.clone_from(&self.metrics);
        spec.environment.clone_from(&self.to);
        spec.service.clone_from(&self.service);
        spec.keep_inputs = self.keep_inputs;
        Ok(spec)
    }
}

/// Runs a command and records it; its result, the id of the run, and whether something waits in the spool.
pub(super) fn execute(session: &Session, arguments: &Run) -> anyhow::Result<(RunResult, String, bool)> {
    let run_id = random::run_id();
    let spec = arguments.spec(session, &run_id)?;
    let started = Arc::new(AtomicBool::new(false));
    signals::forward(Arc::clone(&spec.pid), Arc::clone(&started)).context("cannot catch signals")?;
    let view = RefCell::new(None);
    let known = |digest: &Blake3| {
        let mut view = view.borrow_mut();
        let view = match &mut *view {
            Some(view) => view,
            none => none.insert(session.with_view(|view| Ok(view.clone())).ok()?),
        };
        known_as(view, digest)
    };
    let spooled = Cell::new(false);
    let mut record = |event: Event| -> Result<(), RecordError> {
        if let Recorded::Spooled(path) = session.record(event)? {
            spooled.set(true);
            session.tell_spooled(&path, "an event of this run");
        }
        started.store(true, Ordering::SeqCst);
        Ok(())
    };
    let clock = || session.context.now();
    let result = run::execute(&spec, session.store.artifacts(), &known, &mut record, &clock)?;
    Ok((result, run_id, spooled.get()))
}

/// The name that had these bytes first.
fn known_as(view: &View, digest: &Blake3) -> Option<(EntityKind, String, String)> {
    let version = view.versions_with(&digest.0).into_iter().min()?;
    let entity = view.entity(version);
    Some((view.entity_kind(entity), view.entity_namespace(entity).to_owned(), view.entity_name(entity).to_owned()))
}

/// Says what came of a run; whether its end had to be spooled.
fn tell(session: &Session, result: &RunResult) -> bool {
    let terminal = &session.context.terminal;
    let mut spooled = false;
    for note in &result.notes {
        terminal.note(&crate::render::clean(note));
    }
    if let Some(unrecorded) = &result.unrecorded {
        let name = random::file_name(session.context.now());
        let error = &unrecorded.error;
        match file::spool_event(&session.store, &unrecorded.event, &name) {
            Ok(path) => {
                spooled = true;
                terminal.note(&format!("the end of the run could not be recorded: {error}"));
                session.tell_spooled(&path, "the end of the run");
            }
            Err(second) => {
                terminal.tell(&format!("error: the end of the run is not recorded: {error}; nor spooled: {second}"));
            }
        }
    }
    terminal.tell(&crate::render::clean(&result.summary));
    spooled
}

/// The folder in which a run takes place.
pub(super) fn in_folder(folder: &Path) -> Run {
    Run { folder: Some(folder.to_owned()), namespace: "default".to_owned(), ..Run::default() }
}
