//! `lineage doctor`: what is wrong, and which command mends it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lineage_ingest::run::{Open, OpenRuns};
use lineage_store::journal::Spool;
use lineage_store::{EventStore, StoreError};
use serde_json::json;

use crate::context::Context;
use crate::exit::{ExitCode, code_of};
use crate::render::count;
use crate::session::Session;

const EXAMPLES: &str = "\
EXAMPLES
  lineage doctor             exit code 0 if nothing is wrong, else 6, or 4 for damage";

/// The folders that a store has.
const FOLDERS: [&str; 10] =
    ["journal", "sled", "graph", "artifacts", "payloads", "spool", "rejects", "tiles", "checkpoints", "keys"];

/// Arguments of `lineage doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {}

/// Something to know, and what to do about it.
struct Finding {
    what: String,
    mend: &'static str,
    code: ExitCode,
}

impl Doctor {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Self {} = self;
        let session = context.open()?;
        let mut findings = Vec::new();
        runs(&session, &mut findings);
        folders(&session, &mut findings);
        spool(&session, &mut findings)?;
        graph(&session, &mut findings);
        events(&session, &mut findings)?;
        tell(context, &findings)?;
        let damaged = findings.iter().find(|finding| finding.code == ExitCode::Damaged);
        Ok(damaged.or(findings.first()).map_or(ExitCode::Done, |finding| finding.code))
    }
}

fn tell(context: &Context, findings: &[Finding]) -> anyhow::Result<()> {
    if context.json {
        let list: Vec<_> = findings.iter().map(|f| json!({ "finding": f.what, "mend": f.mend })).collect();
        context.terminal.print(&json!({ "good": findings.is_empty(), "findings": list }).to_string())?;
        return Ok(());
    }
    if findings.is_empty() {
        context.terminal.print(
            "nothing found; looked at folders and permissions, spool, graph index, event store and clock\n\
             `lineage verify` reads every byte",
        )?;
    }
    for finding in findings {
        context.terminal.print(&format!("found: {}\n  help: {}", finding.what, finding.mend))?;
    }
    Ok(())
}

fn folders(session: &Session, findings: &mut Vec<Finding>) {
    let layout = session.store.layout();
    let mut closed = Vec::new();
    for name in FOLDERS {
        let path = layout.part(name);
        let found = fs::metadata(&path);
        let what = match &found {
            Err(error) => format!("the folder {} cannot be read: {error}", path.display()),
            Ok(found) if !found.is_dir() => format!("{} is no folder", path.display()),
            Ok(found) if name == "keys" && found.permissions().mode() & 0o077 != 0 => {
                let what = format!("others may read {}", path.display());
                findings.push(Finding { what, mend: "chmod 700 .lineage/keys", code: ExitCode::Failed });
                continue;
            }
            Ok(_) => {
                if rustix::fs::access(&path, rustix::fs::Access::WRITE_OK).is_err() {
                    closed.push(name);
                }
                continue;
            }
        };
        findings.push(Finding { what, mend: "mkdir the folder, then `lineage verify`", code: ExitCode::Failed });
    }
    if !closed.is_empty() {
        let what = format!("this user cannot write to {} of {}", closed.join(", "), layout.root().display());
        let mend = "chown or chmod the folders; commands that only read work all the same";
        findings.push(Finding { what, mend, code: ExitCode::Failed });
    }
}

/// Ends runs whose runner is dead; what could not be ended is a finding.
fn runs(session: &Session, findings: &mut Vec<Finding>) {
    // A damaged store is found below, with the command that mends it.
    let failed = session.bury().err();
    // A folder that cannot be read is a finding of its own.
    let OpenRuns { runs: open, damaged } = session.open_runs().unwrap_or_default();
    for (path, what) in damaged {
        let what = format!("{} cannot be read: {what}", path.display());
        findings.push(Finding {
            what,
            mend: "remove it; a run that it stood for stays without an end",
            code: ExitCode::Failed,
        });
    }
    for note in open.iter().filter(|open| matches!(open, Open::Dead(_))).map(Open::note) {
        let why = failed.as_ref().map(|error| format!(": {error:#}")).unwrap_or_default();
        findings.push(Finding {
            what: format!("the runner of {} died, and its end is not recorded{why}", note.run),
            mend: "any command that can write records it; `lineage ps` does nothing else",
            code: ExitCode::Failed,
        });
    }
    for note in open.iter().filter(|open| matches!(open, Open::Running(_))).map(Open::note) {
        if note.host != session.host() {
            findings.push(Finding {
                what: format!("the run {} was started on another machine, and its end is not recorded", note.run),
                mend: "run `lineage ps` on that machine",
                code: ExitCode::Failed,
            });
        }
    }
}

fn spool(session: &Session, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let waiting = Spool::new(&session.store.layout().part("spool")).files()?.len() as u64;
    if waiting > 0 {
        findings.push(Finding {
            what: format!("{} wait in the spool and are not recorded yet", count(waiting, "file")),
            mend: "any writing command records them; `lineage ingest /dev/null` does nothing else",
            code: ExitCode::Failed,
        });
    }
    Ok(())
}

fn graph(session: &Session, findings: &mut Vec<Finding>) {
    let now = session.context.now();
    match session.store.view() {
        Ok(view) => {
            let last = view.count().checked_sub(1).map(|last| view.recorded(last));
            if last.is_some_and(|last| last.0 > now.0.saturating_add(60_000_000_000)) {
                findings.push(Finding {
                    what: "the last event was recorded in the future of this clock".to_owned(),
                    mend: "set the clock; new events get the instant of the last one until then",
                    code: ExitCode::Failed,
                });
            }
        }
        Err(error @ StoreError::Corrupt { .. }) => findings.push(Finding {
            what: error.to_string(),
            mend: "`lineage verify` says how far it goes; `lineage rebuild` if only the graph index is damaged",
            code: code_of(&error),
        }),
        Err(error) => {
            findings.push(Finding { what: error.to_string(), mend: "`lineage verify`", code: code_of(&error) });
        }
    }
}

fn events(session: &Session, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    let head = session.store.head()?.count;
    // Another process may hold it, which is no fault.
    let Some(events) = EventStore::open(&session.store.layout().part("sled"))? else { return Ok(()) };
    let behind = head.saturating_sub(events.head());
    if events.is_rebuilding() {
        findings.push(Finding {
            what: "the event store was damaged and is set aside".to_owned(),
            mend: "`lineage rebuild`",
            code: ExitCode::Failed,
        });
    } else if behind > 0 {
        findings.push(Finding {
            what: format!("the event store is {} behind the journal", count(behind, "event")),
            mend: "writing commands catch it up bit by bit; `lineage rebuild` at once",
            code: ExitCode::Failed,
        });
    }
    Ok(())
}
