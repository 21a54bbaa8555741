//! `lineage rebuild`: the graph index and the event store, anew from the journal.

use serde_json::json;

use crate::context::Context;
use crate::exit::ExitCode;
use crate::render::count;

use super::ingest::Bar;

const EXAMPLES: &str = "\
EXAMPLES
  lineage rebuild            loses nothing: both are folded from the journal";

/// Arguments of `lineage rebuild`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Rebuild {}

impl Rebuild {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Self {} = self;
        let session = context.open()?;
        let mut bar = Bar::new(&context.terminal, "events");
        let events = session.store.rebuild(&mut |done, total| bar.at(done, total))?;
        bar.finish();
        let text = if context.json {
            json!({ "events": events }).to_string()
        } else {
            format!("rebuilt graph index and event store from {}", count(events, "event"))
        };
        context.terminal.print(&text)?;
        Ok(ExitCode::Done)
    }
}
