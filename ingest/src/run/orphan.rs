//! Runs whose runner is dead: what is left of them, and the event that ends them.

use lineage_store::artifact::Artifacts;
use lineage_store::event::{Event, Evidence, Json, Kind, State};
use lineage_store::time::Time;
use serde_json::json;

use super::lock::Orphan;
use super::log;
use super::process;
use super::record;

/// Ends what a dead runner left: kills processes of its run, keeps its logs, and makes the event that says so.
pub fn orphaned(orphan: &Orphan, artifacts: &Artifacts, now: Time) -> Event {
    let note = &orphan.note;
    // On another start of this machine nothing of it lives, and its process ids mean others.
    let killed = if process::boot_id() == note.boot { process::kill_marked(&note.run) } else { 0 };
    let logs = log::recover(orphan.folder(), artifacts);
    // The first event of the run says what it is; what it is about is said there, and none of it came to be.
    let kind = if note.kind().carries_about() { Kind::Transform } else { note.kind() };
    let mut event = Event::new(kind, note.actor.clone());
    event.id = Some(format!("{}/orphaned", note.run));
    event.time = Some(now);
    event.namespace.clone_from(&note.namespace);
    event.job = Some(note.job.clone());
    event.run = Some(note.run.clone());
    event.state = State::Abort;
    event.evidence = Evidence::Observed;
    let mut facets = json!({
        "process": { "cause": "orphaned", "last_seen": orphan.last_seen.map(|at| at.to_string()), "killed": killed },
        "runner": { "host": note.host, "boot": note.boot, "pid": note.pid, "pid_start": note.pid_start },
    });
    if !logs.is_empty() {
        facets["logs"] = record::logs(&logs);
    }
    // Texts and numbers of our own are always canonical JSON.
    event.facets = Json::from_value(&facets).unwrap_or_default();
    event
}
