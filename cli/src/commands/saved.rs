//! `lineage query save`: a question under a name, as an event.

use lineage_query::check_saved;
use lineage_query::syntax::EDITION;
use lineage_store::event::{Args, Kind};
use serde_json::json;

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::session::refused;

const EXAMPLES: &str = "\
EXAMPLES
  lineage query save unaudited-prod \"models live in prod without an audit\"
  lineage query \"query unaudited-prod\"
  lineage query save risky 'models live in prod where owner = :team'
  lineage query \"query risky(team = payments) where accuracy < 0.7\"

Saving again under a name makes a new version; `query NAME@v1` is the first one for ever.";

/// Subcommands of `lineage query`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum QueryCommand {
    /// Save a question under a name, for use as `query NAME`
    Save(Save),
}

/// Arguments of `lineage query save`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Save {
    /// The name
    name: String,
    /// The question: a set, in which `:x` is a parameter
    #[arg(value_name = "TEXT")]
    text: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

impl Save {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            return Err(Problem::usage("a name is not empty and has no control characters").into());
        }
        if let Err(diagnostics) = check_saved(&self.text) {
            let (errors, terminal) = (context.errors, &context.terminal);
            errors.tell_diagnostics(&diagnostics, &self.text, ExitCode::Usage, terminal);
            return Ok(ExitCode::Usage);
        }
        let session = context.open_to_write()?;
        let mut event = session.event(Kind::SaveQuery);
        let mut fields = vec![("name", json!(self.name)), ("query", json!(self.text)), ("edition", json!(EDITION))];
        fields.extend(self.description.map(|text| ("description", json!(text))));
        event.args = Args::build(Kind::SaveQuery, &fields).map_err(|refusal| refused(&refusal))?;
        session.record_and_tell(event, &format!("saved the query {}", self.name))
    }
}
