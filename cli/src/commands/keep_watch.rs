//! `lineage keep-watch`: what a runner starts beside its command, to end what is left of it should the runner be killed.

use lineage_ingest::run;

use crate::context::Context;
use crate::exit::ExitCode;

const EXAMPLES: &str = "\
EXAMPLES
  lineage keep-watch r-9f2c41d07a5be386      started by `lineage run`; of no use by itself";

/// Arguments of `lineage keep-watch`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct KeepWatch {
    /// The id of the run
    run: String,
}

impl KeepWatch {
    pub(super) fn run(self, _context: &Context) -> anyhow::Result<ExitCode> {
        run::keep_watch(&self.run, &mut std::io::stdin().lock())?;
        Ok(ExitCode::Done)
    }
}
