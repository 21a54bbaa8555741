//! `lineage abort`: asks the runner of a run to end it.

use lineage_ingest::run::Open;
use rustix::process::{Pid, Signal, kill_process};

use crate::context::Context;
use crate::exit::{ExitCode, Problem};

const EXAMPLES: &str = "\
EXAMPLES
  lineage abort r-9f2c41d07a5be386
  lineage abort r-9f2c41d07a5be386 --now

The command gets SIGTERM and some time to end; the run is recorded as aborted by its own runner.
A step of a pipeline is not stopped alone: name the run of the pipeline, and resume it later.";

/// Arguments of `lineage abort`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Abort {
    /// The run
    #[arg(value_name = "RUN")]
    run: String,
    /// End it at once
    #[arg(long)]
    now: bool,
}

impl Abort {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open_to_write()?;
        let open = session.open_runs()?.runs;
        let found = open.iter().find(|open| matches!(open, Open::Running(note) if note.run == self.run));
        let Some(open) = found else {
            return Err(Problem::name(format!("{} does not run", self.run))
                .help("`lineage ps` lists what runs")
                .into());
        };
        let note = open.note();
        if note.host != session.host() {
            return Err(Problem::failed(format!("{} runs on another machine", self.run)).help("abort it there").into());
        }
        let pid = i32::try_from(note.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Problem::failed(format!("{} names no process", self.run)))?;
        for _ in 0..if self.now { 2 } else { 1 } {
            kill_process(pid, Signal::TERM)
                .map_err(|error| Problem::failed(format!("the runner of {} cannot be told: {error}", self.run)))?;
        }
        context.terminal.print(&format!("told the runner of {} to end it", self.run))?;
        Ok(ExitCode::Done)
    }
}
