//! `lineage graph`: the steps of a run of a pipeline, drawn in the terminal.

use lineage_store::event::State;
use serde_json::json;

use super::origin::Origin;
use crate::context::Context;
use crate::exit::ExitCode;
use crate::render::clean;

const EXAMPLES: &str = "\
EXAMPLES
  lineage graph                        the newest run of a pipeline
  lineage graph r-9f2c41d07a5be386
  lineage graph latest-successful:churn
  lineage graph --json

Each step stands below what it waits for; a step that waits for several names the others.";

/// Arguments of `lineage graph`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Graph {
    /// The run; or latest, latest-successful, or one of these of a pipeline, as latest:PIPELINE [default: latest]
    #[arg(value_name = "RUN")]
    run: Option<String>,
}

impl Graph {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open()?;
        let origin = Origin::find(&session, self.run.as_deref())?;
        let steps = origin.steps(&session)?;
        if context.json {
            let rows = steps.iter().map(
                |step| json!({ "step": step.id, "needs": step.needs, "depth": step.depth, "states": step.states }),
            );
            let object = json!({ "run": origin.run, "pipeline": origin.name, "steps": rows.collect::<Vec<_>>() });
            context.terminal.print(&object.to_string())?;
            return Ok(ExitCode::Done);
        }
        let state = origin.state.map_or("running", State::as_str);
        let mut lines = vec![format!("{} {} ({state})", clean(&origin.name), clean(&origin.run))];
        for step in &steps {
            let mark = if step.depth == 0 { "" } else { "└─ " };
            let others = match step.needs.len() {
                0 | 1 => String::new(),
                _ => format!("  after {}", step.needs.join(", ")),
            };
            lines.push(format!(
                "{}{mark}{} {}  {}{others}",
                "   ".repeat(step.depth),
                step.sign(),
                step.id,
                step.told()
            ));
        }
        context.terminal.print(&lines.join("\n"))?;
        Ok(ExitCode::Done)
    }
}
