//! `lineage approve`: a person lets a step of a pipeline run.

use lineage_store::event::{About, Args, Kind, RunRef};
use serde_json::json;

use super::approval::holders;
use super::origin::Origin;
use super::question::parse_duration;
use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::session::refused;

const EXAMPLES: &str = "\
EXAMPLES
  lineage approve r-9f2c41d07a5be386 ship --role owner
  lineage approve r-9f2c41d07a5be386.ship --role owner --note 'seen the report'
  lineage resume r-9f2c41d07a5be386

Whoever approves is the actor of this command; a step may demand a role, or another person than the one who runs it.
Once events of kind `access` have given a role to somebody, only an approval of somebody who has it counts; before, a
role counts as it is said.";

/// Arguments of `lineage approve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Approve {
    /// A run of a pipeline, or of one of its steps
    #[arg(value_name = "RUN")]
    run: String,
    /// The step
    #[arg(value_name = "STEP")]
    step: Option<String>,
    /// In which role
    #[arg(long)]
    role: Option<String>,
    /// How long it holds, such as 30m or 7d
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    expires: Option<std::time::Duration>,
    /// A remark
    #[arg(long)]
    note: Option<String>,
}

impl Approve {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open_to_write()?;
        let (run, step) = match (&self.step, self.run.split_once('.')) {
            (Some(step), None) => (self.run.clone(), step.clone()),
            (None, Some((run, step))) => (run.to_owned(), step.to_owned()),
            (Some(_), Some(_)) => {
                return Err(Problem::usage(format!("{} names a step already", self.run))
                    .help("write RUN STEP or RUN.STEP")
                    .into());
            }
            (None, None) => {
                return Err(Problem::usage("which step of the run is approved?")
                    .help(format!("lineage approve {} STEP; `lineage graph {0}` lists them", self.run))
                    .into());
            }
        };
        let origin = Origin::find(&session, Some(&run))?;
        let run = origin.run.clone();
        let wanted = origin.approval_of(&step)?;
        if wanted.is_some() && wanted != self.role {
            let role = wanted.unwrap_or_default();
            return Err(Problem::failed(format!("the step {step} wants an approval in the role {role}"))
                .help(format!("lineage approve {run} {step} --role {role}"))
                .into());
        }
        let actor = session.actor();
        if let Some(role) = &self.role
            && let Some(holders) = holders(&session, role, &origin.namespace, context.now())?
            && !holders.contains(&actor)
        {
            let who = if holders.is_empty() { "nobody".to_owned() } else { holders.join(", ") };
            return Err(Problem::failed(format!("{actor} does not have the role {role} in {}", origin.namespace))
                .help(format!("{who} has it; `lineage log --kind access` shows who was given what"))
                .into());
        }
        let mut fields = vec![("step", json!(step))];
        fields.extend(self.role.as_ref().map(|role| ("role", json!(role))));
        fields.extend(self.note.as_ref().map(|note| ("note", json!(note))));
        if let Some(expires) = self.expires {
            let now = context.now();
            let until = now.0.saturating_add(i64::try_from(expires.as_nanos()).unwrap_or(i64::MAX));
            fields.push(("expires", json!(lineage_store::time::Time(until).to_string())));
        }
        let mut event = session.event(Kind::Approve);
        event.namespace.clone_from(&origin.namespace);
        event.about = vec![About::Run(RunRef { namespace: None, job: None, run: format!("{run}.{step}") })];
        event.args = Args::build(Kind::Approve, &fields).map_err(|refusal| refused(&refusal))?;
        context.terminal.note(&format!("lineage resume {run} goes on"));
        session.record_and_tell(event, &format!("approval of {step} in {run}"))
    }
}
