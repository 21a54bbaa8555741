//! `lineage gc`: files that no event names are removed, and erasures that were interrupted are finished.

use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::context::Context;
use crate::exit::ExitCode;
use crate::render::{count, size};

const EXAMPLES: &str = "\
EXAMPLES
  lineage gc --dry-run
  lineage gc

Only files older than a day are removed: a younger one may belong to an event that is about to be recorded.";

/// A file may wait so long for the event that names it.
const GRACE: Duration = Duration::from_hours(24);

/// Arguments of `lineage gc`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Gc {
    /// Say what would be removed, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Gc {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = if self.dry_run { context.open()? } else { context.open_to_write()? };
        let now = u64::try_from(context.now().0).unwrap_or(0);
        let before = SystemTime::UNIX_EPOCH + Duration::from_nanos(now).saturating_sub(GRACE);
        let done = session.store.collect(&session.keys, before, self.dry_run)?;
        let terminal = &context.terminal;
        if context.json {
            let object = json!({
                "payloads": done.payloads,
                "artifacts": done.artifacts,
                "temporary": done.temporary,
                "bytes": done.bytes,
                "dry_run": self.dry_run,
            });
            terminal.print(&object.to_string())?;
        } else {
            let did = if self.dry_run { "would remove" } else { "removed" };
            terminal.print(&format!(
                "{did} {}, {} and {}, {}",
                count(done.payloads, "sealed value"),
                count(done.artifacts, "artifact"),
                count(done.temporary, "temporary file"),
                size(done.bytes)
            ))?;
        }
        Ok(if self.dry_run { ExitCode::Done } else { session.finish(false) })
    }
}
