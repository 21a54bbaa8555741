//! The runner: runs a command, hashes what it was said to read and write, and tells it as events.
//!
//! It prints nothing, reads neither environment nor clock, and leaves the handling of signals to the
//! program around it, because that is a property of the whole process: a handler (not an ignored
//! signal, which the command would inherit) must catch SIGINT while [`execute`] waits.

mod again;
mod cgroup;
mod code;
mod command;
mod control;
mod declared;
mod facts;
mod files;
mod glob;
mod ground;
mod keeper;
mod lock;
mod log;
mod metrics;
mod observed;
mod orphan;
mod outcome;
mod packages;
mod places;
mod process;
mod record;
mod redact;
mod redirected;
mod secret;
mod stream;
mod surroundings;
mod terminal;
#[cfg(test)]
mod tests;
pub(crate) mod values;
mod watch;

use std::collections::HashSet;
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lineage_store::StoreError;
use lineage_store::artifact::{Artifacts, Stored};
use lineage_store::digest::Blake3;
use lineage_store::event::{EntityKind, Event, Input, Json, Kind, Outcome, Parent, Refusal, State};
use lineage_store::time::Time;
use serde_json::{Map, Value};

pub(crate) use again::{Again, again};
pub use control::{Control, Notice};
pub use declared::Declared;
pub use files::Traced;
pub(crate) use glob::is_pattern;
pub use ground::Ground;
pub(crate) use keeper::Keeper;
pub use keeper::{KEEPER_COMMAND, keep_watch};
pub use lock::{Note, Open, OpenRuns, Orphan, RUNS_FOLDER, host, open_runs};
pub(crate) use lock::{RunLock, here, live_folder};
pub use log::{Cut, LOG_BYTES_MAX, LOG_BYTES_MIN, Live, LogReader, Piece};
pub(crate) use observed::mark;
pub use orphan::orphaned;
pub(crate) use packages::installed;
pub use process::RUN_VARIABLE;
pub use redact::{REDACTED, is_secret_name, redact_arguments, redact_text};
pub use redirected::Redirected;
pub use secret::SECRET_BYTES_MIN;
pub(crate) use secret::places_in as secret_places;
pub(crate) use stream::Audience;
pub use stream::Standard;
pub(crate) use surroundings::{is_recorded, platform};
pub use values::{NAME_HELP, VALUE_BYTES_MAX, VALUES_BYTES_MAX, Values, ValuesFile, is_name};
pub use watch::{Cause, GRACE};

use crate::capture::{CaptureMode, PythonHook, Rules, Trace};
use files::{Item, Source};
use outcome::{Before, Findings};
use secret::{Secrets, Sources};
use surroundings::Surroundings;

/// Inputs of up to so many bytes are stored, unless the settings say otherwise: what is small is rarely kept elsewhere.
pub const INPUT_BYTES_KEPT: u64 = 1024 * 1024;
/// The exit code of a command whose time was over.
pub const EXIT_TIMEOUT: i32 = 124;
/// The exit code when the runner itself fails before the command is started.
pub const EXIT_RUNNER: i32 = 125;

/// The variable that tells a command where to write metrics.
pub const METRICS_VARIABLE: &str = "LINEAGE_METRICS";
/// The variable that tells a run inside a run that its system calls are observed already.
pub const OBSERVED_VARIABLE: &str = "LINEAGE_OBSERVED";
/// The variable that tells a run inside a run what it was started in, as JSON.
pub const PARENT_VARIABLE: &str = "LINEAGE_PARENT";

/// What a digest is known as: kind, namespace and name.
pub type Known<'a> = &'a dyn Fn(&Blake3) -> Option<(EntityKind, String, String)>;
/// Makes an event durable.
pub type Record<'a> = &'a mut dyn FnMut(Event) -> Result<(), RecordError>;
/// Why an event could not be made durable.
pub type RecordError = Box<dyn Error + Send + Sync>;

/// What to run and what to say about it.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// The command and its arguments.
    pub argv: Vec<OsString>,
    /// What it reads.
    pub inputs: Vec<Declared>,
    /// What it writes.
    pub outputs: Vec<Declared>,
    /// What kind of event it is; without it: a training if it writes a model, else a transform.
    pub kind: Option<Kind>,
    /// The name of its job; without it: the script or program.
    pub name: Option<String>,
    /// The namespace of the run and of the names it declares.
    pub namespace: String,
    /// Who runs it.
    pub actor: String,
    /// Tags of the run.
    pub tags: Vec<String>,
    /// Parameters; a value that spells a number or truth value is one.
    pub params: Vec<(String, String)>,
    /// A JSON file of numbers that the command writes.
    pub metrics_file: Option<PathBuf>,
    /// Where it runs, and where patterns begin.
    pub cwd: PathBuf,
    /// The folder that holds the store; files without a name are named by their path from here.
    pub workspace_root: PathBuf,
    /// Inputs of up to so many bytes are stored, not only hashed.
    pub keep_inputs_max: u64,
    /// The id of the run; unique within the namespace.
    pub run_id: String,
    /// The environment of a deployment.
    pub environment: Option<String>,
    /// The service of a deployment.
    pub service: Option<String>,
    /// Where the code came from; without it: looked up with git and from the script.
    pub code: Option<Json>,
    /// What runs it.
    pub software: Option<Json>,
    /// What it has in common with other runs; without it everything is looked at anew.
    pub ground: Option<Arc<Ground>>,
    /// The whole environment of the command.
    pub variables: Vec<(OsString, OsString)>,
    /// Variables that are recorded beside those that always are.
    pub recorded_variables: Vec<String>,
    /// Variables whose values are secrets.
    pub secrets: Vec<String>,
    /// The key of fingerprints of secrets; none are made without it.
    pub key: Option<[u8; 32]>,
    /// The name of this machine for notes, as [`host`] makes it.
    pub host: String,
    /// The name of this machine for people, where it may be recorded.
    pub hostname: Option<String>,
    /// Where locks and growing logs are; without it the run has neither.
    pub runs_folder: Option<PathBuf>,
    /// The streams that are passed through and kept as logs; without them the command inherits ours.
    pub standard: Option<Standard>,
    /// Files that the command gets as its standard streams; recorded as if it had opened them, where it is observed.
    pub redirected: Redirected,
    /// The most bytes that are kept of a log.
    pub log_bytes_max: u64,
    /// When the command is ended.
    pub timeout: Option<Duration>,
    /// What it gets to end after each signal.
    pub grace: Duration,
    /// Whether processes that it leaves behind may live on.
    pub detach: bool,
    /// The program that is a keeper when told so; without it what a killed runner leaves waits for the next command.
    pub keeper: Option<PathBuf>,
    /// How it is observed.
    pub mode: CaptureMode,
    /// By which observed files get their roles.
    pub rules: Rules,
    /// The run in which this one was started.
    pub parent: Option<Parent>,
    /// Which attempt of the run it is, from 1; without it, the next.
    pub attempt: Option<u32>,
    /// What it reads beside files: values that others gave.
    pub given: Vec<Input>,
    /// Where it may write values.
    pub values: Option<ValuesFile>,
    /// A file of ours that it may read, by its real path: whether it did is observed, and none of its inputs.
    pub document: Option<PathBuf>,
    /// Further facets of its first event.
    pub facets: Map<String, Value>,
    /// Where signals are told of while the command runs.
    pub control: Arc<Control>,
}

impl RunSpec {
    /// A command in a folder, with everything else at its default.
    pub fn new(argv: Vec<OsString>, workspace_root: PathBuf, run_id: String, actor: String) -> Self {
        Self {
            argv,
            inputs: Vec::new(),
            outputs: Vec::new(),
            kind: None,
            name: None,
            namespace: "default".to_owned(),
            actor,
            tags: Vec::new(),
            params: Vec::new(),
            metrics_file: None,
            cwd: workspace_root.clone(),
            workspace_root,
            keep_inputs_max: 0,
            run_id,
            environment: None,
            service: None,
            code: None,
            software: None,
            ground: None,
            variables: Vec::new(),
            recorded_variables: Vec::new(),
            secrets: Vec::new(),
            key: None,
            host: String::new(),
            hostname: None,
            runs_folder: None,
            standard: None,
            redirected: Redirected::default(),
            log_bytes_max: LOG_BYTES_MAX,
            timeout: None,
            grace: GRACE,
            detach: false,
            keeper: None,
            mode: CaptureMode::default(),
            rules: Rules::default(),
            parent: None,
            attempt: None,
            given: Vec::new(),
            values: None,
            document: None,
            facets: Map::new(),
            control: Arc::default(),
        }
    }
}

/// The files that a pattern matches below a folder, sorted.
pub(crate) fn expand(folder: &Path, pattern: &str) -> std::io::Result<Vec<PathBuf>> {
    glob::expand(folder, pattern).map(|matches| matches.files)
}

impl RunSpec {
    /// Those to whom the command speaks.
    fn audience(&self) -> Option<Audience<'_>> {
        self.standard.as_ref().map(Audience::Standard)
    }

    /// Whether it is tried to observe its system calls.
    fn is_observed(&self) -> bool {
        matches!(self.mode, CaptureMode::Auto | CaptureMode::Require)
    }
}

/// Why a command was not started. All of these are the runner's own: exit code [`EXIT_RUNNER`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The specification contradicts itself.
    #[error("{0}")]
    Spec(String),
    /// A declared input is not there.
    #[error("the input {pattern} matches no file")]
    NoInput {
        /// As it was declared.
        pattern: String,
    },
    /// A declaration cannot be expanded.
    #[error("cannot expand {pattern}: {what}")]
    Pattern {
        /// As it was declared.
        pattern: String,
        /// Why.
        what: String,
    },
    /// A path cannot be a name.
    #[error("{} cannot be a name; give it one: dataset:NAME=PATH", path.display())]
    Unnameable {
        /// The path.
        path: PathBuf,
    },
    /// An input cannot be hashed or stored.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The events of this run would be refused.
    #[error("the run cannot be recorded: {0}")]
    Refused(#[from] Refusal),
    /// The start could not be made durable.
    #[error("the start of the run could not be recorded, so the command was not started: {0}")]
    NotRecorded(RecordError),
}

/// An event that happened but could not be made durable; it belongs into a spool file.
#[derive(Debug)]
pub struct Unrecorded {
    /// The event.
    pub event: Box<Event>,
    /// Why it was not recorded.
    pub error: RecordError,
}

/// What came of a run.
#[derive(Debug)]
pub struct RunResult {
    /// The exit code to pass on: the command's own, 128 + n for signal n, 126 and 127 as in shells, 1 for a
    /// missing output after success.
    pub exit_code: i32,
    /// Complete, fail or abort.
    pub state: State,
    /// The kind that was recorded.
    pub kind: Kind,
    /// The number of events that were recorded.
    pub n_events: usize,
    /// What was read.
    pub inputs: Vec<Traced>,
    /// What was written.
    pub outputs: Vec<Traced>,
    /// What the caller should see: missing outputs, changed inputs, metrics that could not be read.
    pub notes: Vec<String>,
    /// The verdict of an audit.
    pub verdict: Option<Outcome>,
    /// Why it was ended from outside.
    pub cause: Option<Cause>,
    /// Declared outputs that are not there.
    pub n_missing: usize,
    /// Whether an input was other bytes at the end.
    pub is_unstable: bool,
    /// The values that it gave.
    pub values: Values,
    /// Its logs that are kept: the name of the stream, and the digest.
    pub logs: Vec<(String, String)>,
    /// The files of its metrics that are kept: the name, and the digest.
    pub metric_files: Vec<(String, String)>,
    /// What was observed; none if the command was not started.
    pub trace: Option<Trace>,
    /// The last event.
    pub event: Event,
    /// The last event, if it could not be recorded.
    pub unrecorded: Option<Unrecorded>,
    /// One line for people.
    pub summary: String,
}

/// Runs a command and records its start and end.
///
/// Inputs are hashed and the start is durable before the command begins. From then on nothing the
/// recorder meets changes the command's exit code, except that a missing output turns 0 into 1.
pub fn execute(
    spec: &RunSpec,
    artifacts: &Artifacts,
    known: Known<'_>,
    record: Record<'_>,
    clock: &dyn Fn() -> Time,
) -> Result<RunResult, RunError> {
    execute_before(spec.audience(), spec, artifacts, known, record, clock)
}

/// As [`execute`], before another audience than the specification names.
pub(crate) fn execute_before(
    audience: Option<Audience<'_>>,
    spec: &RunSpec,
    artifacts: &Artifacts,
    known: Known<'_>,
    record: Record<'_>,
    clock: &dyn Fn() -> Time,
) -> Result<RunResult, RunError> {
    check(spec)?;
    let params = facts::params(&spec.params).map_err(RunError::Spec)?;
    let ground = spec.ground.as_ref();
    let remotes = ground.and_then(|ground| ground.remotes(&spec.cwd)).unwrap_or_else(|| code::remotes(&spec.cwd));
    let secrets = gather_secrets(spec, &remotes)?;
    let mut notes = Vec::new();
    let items = find_inputs(spec)?;
    let before = Before::look(spec, &items);
    let hash = |notes| hash_inputs(&items, spec, artifacts, known, &secrets, notes);
    let describe = || {
        let repository = || ground.and_then(|ground| ground.repository(&spec.cwd));
        let look = || code::repository(spec, &remotes, artifacts, &secrets);
        spec.code.clone().unwrap_or_else(|| code::describe(spec, repository().unwrap_or_else(look)))
    };
    let (inputs, code, surroundings) = if ground.is_some() {
        // What takes its time was done for all runs; a thread would take longer than the rest.
        (hash(&mut notes), describe(), surroundings::describe(spec))
    } else {
        std::thread::scope(|scope| {
            let (code, around) = (scope.spawn(describe), scope.spawn(|| surroundings::describe(spec)));
            let inputs = hash(&mut notes);
            (inputs, code.join().unwrap_or_default(), around.join().unwrap_or_default())
        })
    };
    let metrics_log = facts::metrics_log(spec);
    let run = Run { spec, secrets: &secrets, params, code, surroundings, items, inputs: inputs?, before, metrics_log };

    let started = clock();
    let take = |runs: &PathBuf| {
        let failed = |source| StoreError::Io { action: "write", path: runs.clone(), source };
        RunLock::take(runs, &record::note(&run, started)).map_err(failed)
    };
    let lock = spec.runs_folder.as_ref().map(take).transpose()?;
    let start = record::start(&run, started, lock.as_ref());
    if let Err(error) =
        start.check().map_err(RunError::from).and_then(|()| record(start).map_err(RunError::NotRecorded))
    {
        lock.into_iter().for_each(RunLock::release);
        return Err(error);
    }
    spec.control.recorded();
    let hook = lock.as_ref().filter(|_| spec.is_observed()).and_then(|lock| {
        let shared = ground.and_then(|ground| ground.hook(lock.folder()));
        // Without a place for it nothing is asked of Python, and everything else works.
        shared.or_else(|| PythonHook::install(&lock.folder().join("python")).ok())
    });
    let mut variables = run.variables();
    variables.extend(hook.as_ref().map(|hook| hook.variables(&spec.variables)).unwrap_or_default());
    let mut finished = command::run(spec, variables, lock.as_ref().map(RunLock::folder), &secrets, audience);
    finished.add_externals(hook.map(PythonHook::finish).unwrap_or_default());
    let duration_ms = clock().0.saturating_sub(started.0).max(0) / 1_000_000;

    let mut findings = Findings::gather(&run, artifacts, known, finished, lock.as_ref().map(RunLock::folder));
    findings.notes.splice(0..0, notes);
    // The end is stamped after hashing: what was hashed then is what the event says existed.
    let event = record::end(&run, &findings, clock(), duration_ms);
    let kind = event.kind;
    let unrecorded = record(event.clone()).err().map(|error| Unrecorded { event: Box::new(event.clone()), error });
    if unrecorded.is_none() {
        lock.into_iter().for_each(RunLock::release);
    }
    spec.control.over();
    Ok(RunResult {
        exit_code: findings.exit_code,
        state: findings.state,
        kind,
        n_events: 2 - usize::from(unrecorded.is_some()),
        summary: record::summary(&run, &findings, kind, duration_ms),
        inputs: run.inputs.into_iter().chain(findings.observed.inputs.into_iter().map(|input| input.traced)).collect(),
        outputs: findings.outputs,
        verdict: findings.verdict,
        cause: findings.cause,
        n_missing: findings.missing.len(),
        is_unstable: !findings.unstable.is_empty(),
        values: findings.values,
        logs: findings.logs.iter().filter_map(log::Kept::digest).collect(),
        metric_files: findings.metric_files.into_iter().filter_map(|(name, kept)| Some((name, kept?))).collect(),
        trace: findings.trace,
        notes: findings.notes,
        event,
        unrecorded,
    })
}

fn gather_secrets(spec: &RunSpec, remotes: &[(String, String)]) -> Result<Secrets, RunError> {
    let mut texts: Vec<String> = spec.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    texts.extend(remotes.iter().map(|(_, address)| address.clone()));
    let sources = Sources {
        environment: &spec.variables,
        declared: &spec.secrets,
        argv: &spec.argv,
        texts: &texts,
        key: spec.key.as_ref(),
    };
    Secrets::gather(&sources).map_err(RunError::Spec)
}

/// The name of a secret of a run whose value stands in a text, as far as its environment tells; an error if one is
/// too short to be told.
pub(crate) fn secret_in(spec: &RunSpec, texts: &[&str]) -> Result<Option<String>, RunError> {
    let secrets = gather_secrets(spec, &[])?;
    Ok(texts.iter().find_map(|text| secrets.named_in(text)).map(str::to_owned))
}

/// A run whose inputs are known.
struct Run<'a> {
    spec: &'a RunSpec,
    secrets: &'a Secrets,
    params: Json,
    code: Json,
    surroundings: Surroundings,
    /// Beside `inputs`.
    items: Vec<Item>,
    inputs: Vec<Traced>,
    before: Before,
    /// Where the command may write metrics.
    metrics_log: Option<PathBuf>,
}

impl Run<'_> {
    /// The name of the job.
    fn job(&self) -> String {
        self.spec.name.clone().unwrap_or_else(|| facts::job_name(&self.spec.argv))
    }

    /// The variables that the command gets from us.
    fn variables(&self) -> Vec<(OsString, OsString)> {
        let mut variables = vec![(PARENT_VARIABLE.into(), record::parent_text(self).into())];
        variables.extend(self.metrics_log.as_ref().map(|path| (METRICS_VARIABLE.into(), path.into())));
        variables.extend(self.spec.is_observed().then(|| (OBSERVED_VARIABLE.into(), "1".into())));
        variables
    }

    /// The kind as declared, or a training if a model is written.
    fn kind(&self, outputs: &[Traced]) -> Kind {
        let is_model = |d: &Declared| d.kind.unwrap_or_else(|| declared::kind_of_path(&d.pattern)) == EntityKind::Model;
        let trains = self.spec.outputs.iter().any(is_model) || outputs.iter().any(|o| o.kind() == EntityKind::Model);
        self.spec.kind.unwrap_or(if trains { Kind::Training } else { Kind::Transform })
    }
}

fn check(spec: &RunSpec) -> Result<(), RunError> {
    let refuse = |what: String| Err(RunError::Spec(what));
    if spec.argv.is_empty() {
        return refuse("no command was given; write it after --".to_owned());
    }
    if !spec.cwd.is_dir() {
        return refuse(format!("{} is no folder to run in", spec.cwd.display()));
    }
    match spec.kind {
        Some(kind @ (Kind::Audit | Kind::Evaluation | Kind::Deployment)) if spec.inputs.is_empty() => {
            return refuse(format!("the kind {kind} needs an input that it is about, such as -i model:NAME=PATH"));
        }
        Some(Kind::Deployment) if spec.environment.is_none() => {
            return refuse("the kind deployment needs an environment".to_owned());
        }
        Some(kind) if kind > Kind::Deployment => {
            return refuse(format!(
                "a command cannot be of kind {kind}; valid are transform, training, evaluation, audit, deployment"
            ));
        }
        _ => {}
    }
    for (what, list) in [("input", &spec.inputs), ("output", &spec.outputs)] {
        let mut seen = HashSet::new();
        for declared in list {
            if let Some(name) = declared.name.as_ref().filter(|name| !seen.insert((declared.kind, *name))) {
                return refuse(format!("the {what} {name} is declared twice; name several files with one pattern"));
            }
        }
    }
    Ok(())
}

fn find_inputs(spec: &RunSpec) -> Result<Vec<Item>, RunError> {
    let mut items: Vec<Item> = Vec::new();
    for declared in &spec.inputs {
        let pattern = declared.pattern.clone();
        let found =
            files::find(declared, &spec.cwd).map_err(|what| RunError::Pattern { pattern: pattern.clone(), what })?;
        if found.is_empty() {
            return Err(RunError::NoInput { pattern });
        }
        // The same unnamed file may match two patterns.
        let is_new = |item: &Item| declared.name.is_some() || !items.iter().any(|i| i.source == item.source);
        let found: Vec<_> = found.into_iter().filter(is_new).collect();
        items.extend(found);
    }
    Ok(items)
}

fn hash_inputs(
    items: &[Item],
    spec: &RunSpec,
    artifacts: &Artifacts,
    known: Known<'_>,
    secrets: &Secrets,
    notes: &mut Vec<String>,
) -> Result<Vec<Traced>, RunError> {
    let mut hash = |source: &Source| -> Result<Stored, RunError> {
        if source.size() > spec.keep_inputs_max {
            return Ok(source.hash()?);
        }
        if source.holds(secrets) {
            let path = source.path().display();
            notes.push(format!("the input {path} holds the value of a secret, so only its digest is kept"));
            return Ok(source.hash()?);
        }
        Ok(source.put(artifacts)?)
    };
    items.iter().map(|item| files::name(item, hash(&item.source)?, spec, Some(known))).collect()
}
