//! `lineage run PIPELINE.toml`: the steps of a pipeline, run in order and recorded.

mod ahead;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use lineage_ingest::capture::CaptureMode;
use lineage_ingest::pipeline::{
    self, Around, Cache, Concurrency, Order, Plan, Problem as Wrong, Report, Spec, Step, Stop,
};
use lineage_ingest::run::{Open, RecordError, RunSpec};
use lineage_store::digest::Blake3;
use lineage_store::event::{Event, State};

use super::approval::is_approved;
use super::board::Board;
use super::origin::state_of;
use super::run::known_as;
use crate::exit::{ExitCode, Problem};
use crate::machine;
use crate::random;
use crate::render::clean;
use crate::session::Session;
use crate::signals;

/// The folder of reusable results, below that of the store.
const CACHE_FOLDER: &str = "cache";

/// What `lineage run PIPELINE.toml` and `lineage resume` may choose.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Pipelines")]
pub(crate) struct Choices {
    /// Only this step
    #[arg(long, value_name = "STEP", conflicts_with_all = ["from", "until"])]
    only: Option<String>,
    /// This step and what comes after it
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
    /// This step and what comes before it
    #[arg(long, value_name = "STEP")]
    until: Option<String>,
    /// The most steps at a time [default: as many as the machine can hold]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    jobs: Option<u64>,
    /// Run every step, also those whose results could be reused
    #[arg(long)]
    no_cache: bool,
    /// Run this step, also if its results could be reused
    #[arg(long, value_name = "STEP")]
    refresh: Vec<String>,
    /// Let this deployment run again although it may have taken effect before
    #[arg(long, value_name = "STEP")]
    redo: Vec<String>,
    /// Say what would run, and run nothing
    #[arg(long)]
    dry_run: bool,
}

/// A pipeline that is ready to run.
pub(super) struct Ready {
    spec: Spec,
    plan: Plan,
    order: Order,
}

/// What a run is made of, beside the choices.
pub(super) struct Source<'a> {
    /// The text of the specification.
    pub(super) text: String,
    /// How its file is called in messages and events.
    pub(super) file: String,
    /// The folder in which steps run.
    pub(super) folder: PathBuf,
    /// Values of parameters.
    pub(super) params: &'a [(String, String)],
    /// The runs that are resumed, the latest first.
    pub(super) resumes: Vec<String>,
}

impl<'a> Source<'a> {
    /// A specification in a file.
    pub(super) fn file(path: &Path, params: &'a [(String, String)]) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| {
            Problem::usage(format!("{}: {error}", path.display())).help("`lineage run FILE.toml` runs a pipeline")
        })?;
        let whole = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
        let folder = whole.parent().unwrap_or(&whole).to_owned();
        let file = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { text, file, folder, params, resumes: Vec::new() })
    }
}

/// Reads a specification and orders its steps; what is wrong is told with lines.
pub(super) fn prepare(
    session: &Session,
    source: Source<'_>,
    choices: &Choices,
    base: RunSpec,
    capture: Option<CaptureMode>,
) -> anyhow::Result<Ready> {
    let capacity = machine::capacity();
    let wrong = |problems: Vec<Wrong>| {
        refused(session, problems.iter().map(|wrong| wrong.told(&source.file, &source.text).to_string()).collect())
    };
    let spec = Spec::parse(&source.text).map_err(&wrong)?;
    let plan = Plan::new(&spec, &capacity).map_err(&wrong)?;
    let params = pipeline::param_values(&spec.params, source.params).map_err(|problems| refused(session, problems))?;
    for step in choices.refresh.iter().chain(&choices.redo) {
        find(&spec, step)?;
    }
    let mut base = base;
    if let Some(namespace) = spec.namespace.as_ref().filter(|_| base.namespace == "default") {
        base.namespace.clone_from(namespace);
    }
    base.mode = capture.or(spec.capture).unwrap_or_default();
    let order = Order {
        run_id: random::run_id(),
        resumes: source.resumes,
        params,
        folder: source.folder,
        file: source.file,
        text: source.text,
        jobs: choices.jobs.unwrap_or(capacity.cpu.div_ceil(1000).max(1) * 4),
        capacity,
        reuse: !choices.no_cache,
        refresh: choices.refresh.iter().cloned().collect(),
        left_out: left_out(&spec, &plan, choices)?,
        redo: choices.redo.iter().cloned().collect(),
        base,
    };
    if spec.concurrency == Concurrency::Forbid {
        refuse_second(session, &spec, &order)?;
    }
    Ok(Ready { spec, plan, order })
}

/// Several things that are wrong, each on a line of its own; one is an error as any other.
fn refused(session: &Session, mut told: Vec<String>) -> Problem {
    let Some(last) = told.pop() else { return Problem::usage("the pipeline is wrong") };
    for one in &told {
        session.context.terminal.tell(&format!("error: {}", clean(one)));
    }
    Problem::usage(last).help("nothing was started")
}

fn find(spec: &Spec, id: &str) -> anyhow::Result<usize> {
    spec.steps.iter().position(|step| step.id == id).ok_or_else(|| {
        let known: Vec<&str> = spec.steps.iter().map(|step| step.id.as_str()).collect();
        Problem::name(format!("the pipeline {} has no step {id}", spec.name))
            .help(format!("its steps are {}", known.join(", ")))
            .into()
    })
}

/// The steps that `--only`, `--from` and `--until` leave out.
fn left_out(spec: &Spec, plan: &Plan, choices: &Choices) -> anyhow::Result<BTreeSet<String>> {
    let mut kept: BTreeSet<usize> = (0..spec.steps.len()).collect();
    if let Some(only) = &choices.only {
        let step = find(spec, only)?;
        if plan.steps[step].stack.iter().any(|around| *around != step) {
            let around = &spec.steps[plan.steps[step].stack[0]].id;
            return Err(Problem::usage(format!("{only} runs in the branches of {around}"))
                .help(format!("lineage run {} --from {around} --until {only}", "PIPELINE.toml"))
                .into());
        }
        kept = BTreeSet::from([step]);
    }
    if let Some(until) = &choices.until {
        let until = closure(find(spec, until)?, |step| plan.steps[step].needs.clone());
        kept.retain(|step| until.contains(step));
    }
    if let Some(from) = &choices.from {
        let after =
            |step: usize| (0..spec.steps.len()).filter(|other| plan.steps[*other].needs.contains(&step)).collect();
        let from = closure(find(spec, from)?, after);
        kept.retain(|step| from.contains(step));
    }
    Ok((0..spec.steps.len()).filter(|step| !kept.contains(step)).map(|step| spec.steps[step].id.clone()).collect())
}

fn closure(start: usize, next: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
    let mut found = BTreeSet::from([start]);
    let mut left = vec![start];
    while let Some(step) = left.pop() {
        left.extend(next(step).into_iter().filter(|step| found.insert(*step)));
    }
    found
}

/// Two runs of one pipeline would write the same paths.
fn refuse_second(session: &Session, spec: &Spec, order: &Order) -> anyhow::Result<()> {
    let same = session.open_runs()?.runs.into_iter().find(|open| {
        let note = open.note();
        matches!(open, Open::Running(_)) && note.job == spec.name && note.namespace == order.base.namespace
    });
    let Some(same) = same else { return Ok(()) };
    let run = &same.note().run;
    Err(Problem::failed(format!("the pipeline {} runs already, as {run}", spec.name))
        .help(format!("lineage logs -f {run}, lineage abort {run}, or write concurrency = \"allow\""))
        .into())
}

/// Runs a pipeline, or says what would run.
pub(super) fn start(session: Session, ready: &Ready, choices: &Choices) -> anyhow::Result<ExitCode> {
    if choices.dry_run { ahead::tell(&session, ready) } else { conduct(session, ready) }
}

/// Runs a pipeline, shows how it goes, and says what came of it.
fn conduct(session: Session, ready: &Ready) -> anyhow::Result<ExitCode> {
    let Ready { spec, plan, order } = ready;
    let stop = Arc::new(Stop::default());
    let told = Arc::clone(&stop);
    signals::forward_to(move |notice| told.tell(notice)).context("cannot catch signals")?;
    let board = Board::new(&session.context, spec, order);
    let spooled = AtomicBool::new(false);
    let news = |news: &pipeline::News<'_>| board.hear(news);
    let record = |events: &[Event]| -> Result<(), RecordError> {
        if let Some(path) = session.record_of_run(events)? {
            spooled.store(true, Ordering::Relaxed);
            session.tell_spooled(&path, "an event of this run");
        }
        Ok(())
    };
    let report =
        with_around(&session, order, &record, &news, |around| pipeline::execute(spec, plan, order, around, &stop))?;
    board.finish(&report)?;
    let code = code_of(&report);
    session.finish(spooled.into_inner() || report.unrecorded > 0);
    Ok(code)
}

/// Hands over what a run asks of the program around it.
fn with_around<T>(
    session: &Session,
    order: &Order,
    record: &(dyn Fn(&[Event]) -> Result<(), RecordError> + Sync),
    news: &(dyn Fn(&pipeline::News<'_>) + Sync),
    go: impl FnOnce(Around<'_>) -> T,
) -> T {
    let cache = Cache::new(session.store.layout().part(CACHE_FOLDER));
    let known = |digest: &Blake3| session.with_view(|view| Ok(known_as(view, digest))).ok().flatten();
    let clock = || session.context.now();
    let approved = |step: &Step, run: &str| is_approved(session, step, run, order).unwrap_or(false);
    let earlier = |run: &str| session.with_view(|view| Ok(state_of(view, &order.base.namespace, run))).ok().flatten();
    go(Around {
        artifacts: session.store.artifacts(),
        cache: &cache,
        known: &known,
        record,
        clock: &clock,
        approved: &approved,
        earlier: &earlier,
        news,
    })
}

fn code_of(report: &Report) -> ExitCode {
    match report.state {
        State::Complete if report.is_parked => ExitCode::Waiting,
        State::Complete => ExitCode::Done,
        State::Fail => ExitCode::Unmet,
        _ if report.is_stopped => ExitCode::Interrupted,
        _ => ExitCode::Unmet,
    }
}
