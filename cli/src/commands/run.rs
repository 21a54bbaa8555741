//! `lineage run`: a command, recorded with what it read and wrote.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use lineage_ingest::capture::{CaptureMode, Rules};
use lineage_ingest::run::{
    self, Control, Declared, EXIT_RUNNER, INPUT_BYTES_KEPT, LOG_BYTES_MAX, LOG_BYTES_MIN, OBSERVED_VARIABLE,
    PARENT_VARIABLE, RecordError, Redirected, RunResult, RunSpec, Standard,
};
use lineage_store::digest::Blake3;
use lineage_store::event::{EntityKind, Event, Kind, Parent, RunRef, State};
use lineage_store::graph::View;
use serde_json::json;

use super::pipeline::{self, Choices, Source};
use super::question::parse_duration;
use crate::config::Hostname;
use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::random;
use crate::reference::{Found, label};
use crate::session::Session;
use crate::signals;

const EXAMPLES: &str = "\
EXAMPLES
  lineage run -i raw.csv -o dataset:clean=clean.csv -- sh prepare.sh
  lineage run -i dataset:clean=clean.csv -o model:churn=model.pkl --metrics metrics.json -p lr=0.1 -- python train.py
  lineage run --timeout 2h --secret DB_PASSWORD -- python train.py
  lineage run --kind audit -i model:churn=model.pkl -- pytest checks/
  lineage run --kind deployment --to prod -i model:churn=model.pkl -- ./push.sh
  lineage run churn.toml -p lr=0.2

A run that writes a model is a training. Declarations are NAME=PATH, KIND:NAME=PATH or PATH; a path may be a pattern.
The command may write metrics as JSON lines {\"name\":…,\"value\":…} to the file that LINEAGE_METRICS names.
The exit code is that of the command, 128 and the signal if it died of one; 124 if its time was over; 125 if the recorder itself failed before the command was started.";

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
    /// Numbers that the command writes: JSON, JSON lines, CSV, `trainer_state.json` or a folder of `DVCLive`
    #[arg(long, value_name = "PATH")]
    pub(super) metrics: Option<PathBuf>,
    /// The environment of a deployment
    #[arg(long, value_name = "ENV")]
    pub(super) to: Option<String>,
    /// The service of a deployment [default: the name of the model]
    #[arg(long)]
    pub(super) service: Option<String>,
    /// Store all inputs, not only small ones
    #[arg(long)]
    pub(super) keep_inputs: bool,
    /// A variable whose value is masked in everything that is written
    #[arg(long, value_name = "VARIABLE")]
    pub(super) secret: Vec<String>,
    /// End the command after so long, such as 30s, 10m or 2h; the exit code is 124
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(super) timeout: Option<Duration>,
    /// Do not start the command unless its start is recorded in the journal, not only spooled
    #[arg(long)]
    pub(super) strict: bool,
    /// Let processes that the command leaves behind live on
    #[arg(long)]
    pub(super) detach: bool,
    /// How the command is observed: auto, require (or do not start), declared (only what -i and -o say) or off
    #[arg(long, value_name = "MODE", default_value = "auto", value_parser = parse_mode)]
    pub(super) capture: CaptureMode,
    /// Keep no logs; the command inherits the standard streams
    #[arg(long)]
    pub(super) no_logs: bool,
    #[command(flatten)]
    pub(super) choices: Choices,
    /// A pipeline to run, instead of a command
    #[arg(value_name = "PIPELINE.toml", conflicts_with = "command")]
    pub(super) pipeline: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, required_unless_present = "pipeline", value_name = "CMD")]
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

fn parse_mode(word: &str) -> Result<CaptureMode, String> {
    let modes = CaptureMode::ALL.map(CaptureMode::as_str);
    CaptureMode::from_word(word).ok_or_else(|| format!("the modes are {}", modes.join(", ")))
}

pub(super) fn parse_param(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Run {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        if let Some(file) = &self.pipeline {
            let source = Source::file(file, &self.param)?;
            let session = context.open_to_write()?;
            let base = self.spec(&session, "", &Arc::default())?;
            let capture = (self.capture != CaptureMode::default()).then_some(self.capture);
            let ready = pipeline::prepare(&session, source, &self.choices, base, capture)?;
            return pipeline::start(session, &ready, &self.choices);
        }
        // Whatever keeps the recorder from working is code 125, so that it is not taken for the command's.
        let recorded =
            context.open_to_write().and_then(|session| execute(&session, &self).map(|result| (session, result)));
        let (session, (result, run_id, spooled)) = match recorded {
            Ok(recorded) => recorded,
            Err(error) => {
                context.errors.tell(&error, &context.terminal);
                return Ok(ExitCode::Child(EXIT_RUNNER as u8));
            }
        };
        tell(&session, &result);
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

    /// How to observe. A run inside of one that is observed adds what it declares, and its calls are seen by the outer
    /// one; processes that outlive the runner cannot be observed, as each of their calls would wait for it.
    fn mode(&self, is_inside: bool) -> anyhow::Result<CaptureMode> {
        let problem = match self.capture {
            CaptureMode::Auto if is_inside || self.detach => return Ok(CaptureMode::Declared),
            CaptureMode::Require if is_inside => Problem::usage("another run observes this one, and only one can")
                .help("leave --capture out, or run the outer one with --capture declared"),
            CaptureMode::Require if self.detach => {
                Problem::usage("what outlives its runner cannot be observed").help("leave out --capture or --detach")
            }
            mode => return Ok(mode),
        };
        Err(problem.into())
    }

    pub(super) fn spec(&self, session: &Session, run_id: &str, control: &Arc<Control>) -> anyhow::Result<RunSpec> {
        let here = std::env::current_dir().context("cannot tell the current folder")?;
        let cwd = self.folder.clone().unwrap_or(here);
        let root = session.store.layout().root();
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let workspace = root.parent().unwrap_or(&root).to_owned();
        let settings = &session.config.run;
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
        spec.keep_inputs_max = match (self.keep_inputs, settings.keep_inputs) {
            (true, _) => u64::MAX,
            (false, limit) => limit.unwrap_or(INPUT_BYTES_KEPT),
        };
        spec.variables = std::env::vars_os().collect();
        spec.recorded_variables.clone_from(&settings.env);
        spec.secrets.clone_from(&session.config.secrets.env);
        spec.secrets.extend(self.secret.iter().cloned());
        for name in self.secret.iter().filter(|name| std::env::var_os(name).is_none()) {
            let name = crate::render::clean(name);
            session.context.terminal.note(&format!("the variable {name} is not set, so there is nothing to mask"));
        }
        spec.key = session.runner_key();
        match settings.hostname.unwrap_or_default() {
            Hostname::Hash => spec.host = session.host(),
            Hostname::Plain => {
                spec.host = session.host();
                spec.hostname = Some(rustix::system::uname().nodename().to_string_lossy().into_owned());
            }
            Hostname::None => {}
        }
        spec.runs_folder = Some(session.runs_folder());
        spec.log_bytes_max = settings.log_limit.unwrap_or(LOG_BYTES_MAX).max(LOG_BYTES_MIN);
        spec.standard = Some(standard().context("cannot copy the standard streams")?);
        spec.timeout = self.timeout;
        spec.detach = self.detach;
        // What may live on must not be ended with the runner either.
        spec.keeper = std::env::current_exe().ok().filter(|_| !self.detach);
        spec.mode = self.mode(std::env::var_os(OBSERVED_VARIABLE).is_some())?;
        spec.rules = Rules::new(settings.roles.iter().map(String::as_str)).map_err(|what| {
            Problem::usage(format!("run.roles: {what}")).help("correct it with lineage config set run.roles …")
        })?;
        spec.parent = std::env::var(PARENT_VARIABLE).ok().and_then(|text| parent(&text));
        spec.control = Arc::clone(control);
        Ok(spec)
    }
}

/// Runs a command and records it; its result, the id of the run, and whether something waits in the spool.
pub(super) fn execute(session: &Session, arguments: &Run) -> anyhow::Result<(RunResult, String, bool)> {
    let run_id = random::run_id();
    let control = Arc::default();
    let mut spec = arguments.spec(session, &run_id, &control)?;
    if let Some(standard) = &spec.standard {
        spec.redirected = Redirected::of(standard);
    }
    if session.context.json {
        // What we say ourselves goes there, too.
        spec.redirected.output = None;
    }
    spec.standard = spec.standard.filter(|_| !arguments.no_logs);
    signals::forward(control).context("cannot catch signals")?;
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
        let Some(path) = session.record_of_run(std::slice::from_ref(&event))? else { return Ok(()) };
        if arguments.strict && event.state == State::Start {
            // Nothing began, so nothing may say so.
            std::fs::remove_file(&path)?;
            return Err("it would only be spooled, and --strict was given".into());
        }
        spooled.set(true);
        session.tell_spooled(&path, "an event of this run");
        Ok(())
    };
    let clock = || session.context.now();
    let result = run::execute(&spec, session.store.artifacts(), &known, &mut record, &clock)?;
    Ok((result, run_id, spooled.get()))
}

/// Copies of the standard streams.
fn standard() -> std::io::Result<Standard> {
    let copy = |stream: std::os::fd::BorrowedFd<'_>| Ok(Arc::new(File::from(stream.try_clone_to_owned()?)));
    let open = |stream: std::io::Result<Arc<File>>| match stream {
        // A stream that was closed says nothing and takes everything.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BADF.raw_os_error()) => {
            Ok(Arc::new(File::options().read(true).write(true).open("/dev/null")?))
        }
        stream => stream,
    };
    Ok(Standard {
        input: open(copy(std::io::stdin().as_fd()))?,
        output: open(copy(std::io::stdout().as_fd()))?,
        error: open(copy(std::io::stderr().as_fd()))?,
    })
}

/// The run in which this one was started.
fn parent(text: &str) -> Option<Parent> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let word = |key: &str| value[key].as_str().map(str::to_owned);
    Some(Parent { run: RunRef { namespace: word("namespace"), job: word("job"), run: word("run")? }, root: None })
}

/// The name that had these bytes first.
pub(super) fn known_as(view: &View, digest: &Blake3) -> Option<(EntityKind, String, String)> {
    let version = view.versions_with(&digest.0).into_iter().min()?;
    let entity = view.entity(version);
    Some((view.entity_kind(entity), view.entity_namespace(entity).to_owned(), view.entity_name(entity).to_owned()))
}

/// Says what came of a run.
fn tell(session: &Session, result: &RunResult) {
    let terminal = &session.context.terminal;
    for note in &result.notes {
        terminal.note(&crate::render::clean(note));
    }
    if let Some(unrecorded) = &result.unrecorded {
        terminal.tell(&format!(
            "error: the end of the run is neither recorded nor spooled: {}; the next command that can write records \
             the run as aborted",
            unrecorded.error
        ));
    }
    terminal.tell(&crate::render::clean(&result.summary));
}

/// A run in a folder, of which only what it declares is recorded: the same on every system.
pub(super) fn in_folder(folder: &Path) -> Run {
    let capture = CaptureMode::Declared;
    Run { folder: Some(folder.to_owned()), namespace: "default".to_owned(), capture, ..Run::default() }
}
