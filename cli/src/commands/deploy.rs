//! What is live where: deploy and retire.

use lineage_store::event::{EntityKind, Kind};
use lineage_store::graph::View;
use serde_json::json;

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::reference::{Found, Target, label, parse_kind};

use super::name::about;

const DEPLOY_EXAMPLES: &str = "\
EXAMPLES
  lineage deploy model churn@v4 --to prod
  lineage deploy model churn@v5 --to prod --service scoring --alongside

A bare name means the version that came to be last; it is printed and recorded as vN.
A deployment replaces what is live in that environment and service, unless it joins with --alongside.";
const RETIRE_EXAMPLES: &str = "\
EXAMPLES
  lineage retire model churn@v3 --from prod
  lineage retire model churn                     every version, everywhere
  lineage retire --service scoring --from prod   whatever is live there";

/// Arguments of `lineage deploy`.
#[derive(Debug, clap::Args)]
#[command(after_help = DEPLOY_EXAMPLES)]
pub(crate) struct Deploy {
    /// dataset, model, features or artifact
    #[arg(value_parser = parse_kind)]
    kind: EntityKind,
    /// NAME@VERSION, a digest, or a name
    reference: String,
    /// The environment
    #[arg(long, value_name = "ENV")]
    to: String,
    /// The service [default: the name]
    #[arg(long)]
    service: Option<String>,
    /// Join what is live there instead of replacing it
    #[arg(long)]
    alongside: bool,
    /// A remark
    #[arg(long)]
    note: Option<String>,
}

impl Deploy {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open_to_write()?;
        let target = Target::new(self.kind, self.reference.clone());
        let mut fields = Vec::new();
        if self.alongside {
            fields.push(("alongside", json!(true)));
        }
        fields.extend(self.note.as_ref().map(|note| ("note", json!(note))));
        let (mut event, name) = session.with_view(|view| {
            let found = Found::Version(target.version(view)?);
            Ok((about(&session, Kind::Deployment, view, &[found], &fields)?, label(view, found)))
        })?;
        event.environment = Some(self.to.clone());
        event.service.clone_from(&self.service);
        let environment = View::environment_name(&self.to);
        let mut what = format!("deployment of {name} to {environment}");
        if let Some(service) = &self.service {
            what = format!("{what}, service {service}");
        }
        session.record_and_tell(event, &what)
    }
}

/// Arguments of `lineage retire`.
#[derive(Debug, clap::Args)]
#[command(after_help = RETIRE_EXAMPLES)]
pub(crate) struct Retire {
    /// dataset, model, features or artifact
    #[arg(value_parser = parse_kind, requires = "reference")]
    kind: Option<EntityKind>,
    /// NAME@VERSION, a digest, or a name (every version)
    reference: Option<String>,
    /// The environment [default: every one]
    #[arg(long, value_name = "ENV")]
    from: Option<String>,
    /// The service [default: every one that holds it]
    #[arg(long)]
    service: Option<String>,
    /// Why
    #[arg(long)]
    reason: Option<String>,
}

impl Retire {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let target = match (self.kind, &self.reference) {
            (Some(kind), Some(reference)) => Some(Target::new(kind, reference.clone())),
            _ if self.service.is_none() => {
                return Err(Problem::usage("a retirement names what is retired, or empties the slot of a --service")
                    .help("write KIND NAME[@VERSION], or --service NAME")
                    .into());
            }
            _ => None,
        };
        let session = context.open_to_write()?;
        let reason: Vec<_> = self.reason.iter().map(|reason| ("reason", json!(reason))).collect();
        let (mut event, mut what) = session.with_view(|view| {
            let found = target.as_ref().map(|target| target.resolve(view)).transpose()?;
            let things: Vec<Found> = found.into_iter().collect();
            let event = about(&session, Kind::Retirement, view, &things, &reason)?;
            let name = things.first().map_or("everything".to_owned(), |found| label(view, *found));
            Ok((event, format!("retirement of {name}")))
        })?;
        event.environment.clone_from(&self.from);
        event.service.clone_from(&self.service);
        if let Some(environment) = &self.from {
            what = format!("{what} from {}", View::environment_name(environment));
        }
        if let Some(service) = &self.service {
            what = format!("{what}, service {service}");
        }
        session.record_and_tell(event, &what)
    }
}
