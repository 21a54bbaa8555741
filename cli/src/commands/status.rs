//! `lineage status`: where the store is, how big, and how fresh.

use lineage_store::journal::Spool;
use lineage_store::time::Time;
use serde_json::json;

use crate::context::Context;
use crate::exit::ExitCode;
use crate::render::{ago, align, count, size, time};
use crate::session::Session;

const EXAMPLES: &str = "\
EXAMPLES
  lineage status
  lineage status --json | jq .events";

/// The folders whose sizes are told.
pub(crate) const PARTS: [&str; 8] =
    ["journal", "sled", "graph", "artifacts", "payloads", "spool", "rejects", "checkpoints"];

/// Arguments of `lineage status`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {}

/// What is told.
struct Facts {
    events: u64,
    versions: u32,
    names: u32,
    hidden: usize,
    /// The last event: when it happened, when it was recorded.
    last: Option<(Time, Time)>,
    spooled: usize,
    rejects: usize,
    parts: Vec<(&'static str, u64)>,
    /// How many events the newest checkpoint covers, and its tree head.
    checkpoint: Option<(u64, String)>,
}

impl Status {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Self {} = self;
        let session = context.open()?;
        let layout = session.store.layout();
        let (events, versions, names, hidden, last) = session.with_view(|view| {
            let count = view.count();
            let last = count.checked_sub(1).map(|last| (view.time(last), view.recorded(last)));
            Ok((u64::from(count), view.n_versions(), view.n_entities(), view.n_hidden(), last))
        })?;
        let facts = Facts {
            events,
            versions,
            names,
            hidden,
            last,
            spooled: Spool::new(&layout.part("spool")).files()?.len(),
            rejects: std::fs::read_dir(layout.part("rejects")).map_or(0, Iterator::count),
            checkpoint: newest_checkpoint(&session),
            parts: PARTS.iter().map(|part| (*part, layout.bytes_of(part))).collect(),
        };
        let root = layout.root().display().to_string();
        let text = if context.json { facts.json(&root) } else { facts.text(&root, context) };
        context.terminal.print(&text)?;
        Ok(ExitCode::Done)
    }
}

/// The newest checkpoint as it stands there; `lineage verify` checks it.
fn newest_checkpoint(session: &Session) -> Option<(u64, String)> {
    let latest = session.store.proofs().checkpoints().latest().ok().flatten()?;
    Some((latest.size(), latest.root().to_string()))
}

impl Facts {
    fn json(&self, root: &str) -> String {
        let parts: serde_json::Map<_, _> =
            self.parts.iter().map(|(part, bytes)| ((*part).to_owned(), json!(bytes))).collect();
        json!({
            "store": root,
            "events": self.events,
            "position": self.events.checked_sub(1),
            "versions": self.versions,
            "names": self.names,
            "retracted": self.hidden,
            "last_time": self.last.map(|(time, _)| time.to_string()),
            "last_recorded": self.last.map(|(_, recorded)| recorded.to_string()),
            "spooled_files": self.spooled,
            "reject_files": self.rejects,
            "last_checkpoint": self.checkpoint.as_ref().map(|(size, root)| json!({ "size": size, "root": root })),
            "bytes": parts,
        })
        .to_string()
    }

    fn checkpoint_text(&self) -> String {
        match &self.checkpoint {
            None => "none; `lineage checkpoint` signs one".to_owned(),
            Some((size, root)) if *size == self.events => format!("covers every event, tree head {root}"),
            Some((size, root)) => format!("covers {size} of {} events, tree head {root}", self.events),
        }
    }

    fn text(&self, root: &str, context: &Context) -> String {
        let mut rows = vec![vec!["store".to_owned(), root.to_owned()]];
        let mut row = |key: &str, value: String| rows.push(vec![key.to_owned(), value]);
        let head = self.events.checked_sub(1).map_or(String::new(), |head| format!(", head #{head}"));
        let hidden = if self.hidden > 0 { format!(", {} of them retracted", self.hidden) } else { String::new() };
        row("events", format!("{}{head}{hidden}", self.events));
        row("versions", format!("{}, of {}", self.versions, count(self.names.into(), "name")));
        match self.last {
            Some((happened, recorded)) => {
                let now = context.now();
                row("last event", format!("{} ({})", time(happened), ago(happened, now)));
                row("recorded", format!("{} ({})", time(recorded), ago(recorded, now)));
            }
            None => row("last event", "none yet; `lineage add`, `lineage run` and `lineage ingest` record".to_owned()),
        }
        row("last checkpoint", self.checkpoint_text());
        if self.spooled > 0 {
            row(
                "spool",
                format!("{} waiting; the next writing command records them", count(self.spooled as u64, "file")),
            );
        }
        if self.rejects > 0 {
            row("rejects", format!("{} in .lineage/rejects", count(self.rejects as u64, "file")));
        }
        let sizes = self.parts.iter().filter(|(_, bytes)| *bytes > 0);
        let sizes: Vec<_> = sizes.map(|(part, bytes)| format!("{part} {}", size(*bytes))).collect();
        let total: u64 = self.parts.iter().map(|(_, bytes)| bytes).sum();
        row("size", format!("{} ({})", size(total), sizes.join(", ")));
        align(&rows)
    }
}
