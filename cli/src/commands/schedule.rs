//! `lineage schedule`: runs the pipelines whose time has come, for cron, systemd or Kubernetes to call.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use lineage_ingest::pipeline::{Schedule, Spec};
use lineage_store::time::Time;
use serde_json::json;

use super::origin::newest_start;
use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::render::time;

const EXAMPLES: &str = "\
EXAMPLES
  lineage schedule next pipelines/*.toml       when each is due
  lineage schedule run-due pipelines/*.toml    runs those that are due, one after the other

Let cron or a timer call `run-due` every minute. A pipeline is due if a time of its schedule has come since its newest
run began; times that were missed while nothing called are made up by one run.";

/// Arguments of `lineage schedule`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ScheduleCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Say when pipelines are due
    Next {
        /// Pipelines
        #[arg(required = true, value_name = "PIPELINE.toml")]
        files: Vec<PathBuf>,
    },
    /// Run the pipelines that are due
    RunDue {
        /// Pipelines
        #[arg(required = true, value_name = "PIPELINE.toml")]
        files: Vec<PathBuf>,
    },
}

/// A pipeline with a schedule.
struct Scheduled {
    file: PathBuf,
    name: String,
    due: Time,
}

impl ScheduleCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let (files, runs) = match &self.what {
            What::Next { files } => (files, false),
            What::RunDue { files } => (files, true),
        };
        let scheduled = find(context, files)?;
        if runs {
            return run_due(context, &scheduled);
        }
        for Scheduled { file, name, due } in &scheduled {
            let due_now = *due <= context.now();
            let line = if context.json {
                json!({ "file": file, "pipeline": name, "due": time(*due), "is_due": due_now }).to_string()
            } else {
                format!("{name}: {}{}", time(*due), if due_now { " (due)" } else { "" })
            };
            context.terminal.print(&line)?;
        }
        Ok(ExitCode::Done)
    }
}

fn find(context: &Context, files: &[PathBuf]) -> anyhow::Result<Vec<Scheduled>> {
    let session = context.open()?;
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let spec = Spec::parse(&text).map_err(|problems| {
            let told: Vec<String> =
                problems.iter().map(|problem| problem.told(&file.to_string_lossy(), &text).to_string()).collect();
            Problem::usage(told.join("\n")).help("nothing was started")
        })?;
        let Some(schedule) = &spec.schedule else {
            context.terminal.note(&format!("{} has no schedule", file.display()));
            continue;
        };
        let schedule = Schedule::parse(schedule).map_err(Problem::usage)?;
        let namespace = spec.namespace.as_deref().unwrap_or("default");
        // One that never ran is due at its first time after the file was written.
        let since = match newest_start(&session, namespace, &spec.name)? {
            Some(time) => time,
            None => written(file)?,
        };
        if let Some(due) = schedule.next_after(since) {
            found.push(Scheduled { file: file.clone(), name: spec.name, due });
        }
    }
    Ok(found)
}

fn written(file: &PathBuf) -> anyhow::Result<Time> {
    let modified = std::fs::metadata(file).and_then(|metadata| metadata.modified());
    let modified = modified.with_context(|| format!("cannot read {}", file.display()))?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)))
}

/// Each in a process of its own, so that one that fails harms no other.
fn run_due(context: &Context, scheduled: &[Scheduled]) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe().context("cannot tell the path of this program")?;
    let mut code = ExitCode::Done;
    for Scheduled { file, name, due } in scheduled.iter().filter(|one| one.due <= context.now()) {
        context.terminal.note(&format!("{name} was due at {}", time(*due)));
        let status = Command::new(&program)
            .args(context.repeated())
            .arg("run")
            .arg(file)
            .status()
            .with_context(|| format!("cannot start the run of {}", file.display()))?;
        match status.code() {
            Some(0) => {}
            Some(other) => code = ExitCode::Child(other as u8),
            None => code = ExitCode::Interrupted,
        }
    }
    Ok(code)
}
