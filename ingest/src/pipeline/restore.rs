//! Reusing results: bytes are put back where they were, and events say where they came from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use lineage_store::artifact::Artifacts;
use lineage_store::digest::Blake3;
use lineage_store::event::{Event, Json, Leaf, State};
use lineage_store::time::Time;
use serde_json::{Value, json};

use super::cache::{Entry, MadeBytes};
use crate::run::RunSpec;

/// Whether the owner of a file may execute it.
pub(super) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o100 != 0)
}

/// Puts one result back, unless it is there already.
pub(super) fn made(made: &MadeBytes, root: &Path, artifacts: &Artifacts) -> Result<(), String> {
    let path = root.join(&made.path);
    let wrong = |error: &dyn std::fmt::Display| format!("{} cannot be restored: {error}", made.path);
    if Artifacts::hash_path(&path).is_ok_and(|stored| stored.digest.to_string() == made.digest) {
        return Ok(());
    }
    let digest = made.digest.strip_prefix("b3:").and_then(Blake3::from_hex);
    let digest = digest.ok_or_else(|| wrong(&"its digest is damaged"))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| wrong(&error))?;
    }
    if path.is_dir() {
        return replace_folder(&path, &digest, artifacts).map_err(|error| wrong(&error));
    }
    artifacts.get(&digest, &path).map_err(|error| wrong(&error))?;
    if made.executable {
        let mode = fs::metadata(&path).map_err(|error| wrong(&error))?.permissions().mode();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | 0o111)).map_err(|error| wrong(&error))?;
    }
    Ok(())
}

/// The old folder goes only when the new one is complete.
fn replace_folder(path: &Path, digest: &Blake3, artifacts: &Artifacts) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = |what: &str| path.with_file_name(format!(".{name}.{}.{what}", std::process::id()));
    let (new, old) = (beside("new"), beside("old"));
    artifacts.get(digest, &new).map_err(|error| error.to_string())?;
    let swap = || {
        fs::rename(path, &old)?;
        fs::rename(&new, path)?;
        fs::remove_dir_all(&old)
    };
    swap().map_err(|error| error.to_string())
}

/// An event as text, to be told again.
pub(super) fn text(event: &Event) -> String {
    let mut leaf = Leaf::new(event, event.id.as_deref().unwrap_or_default());
    // When it was recorded matters to nobody who tells it again.
    leaf.record(&Time(0).micros());
    String::from_utf8_lossy(leaf.as_bytes()).into_owned()
}

/// The start and end of an attempt whose results are those of another.
pub(super) fn events(entry: &Entry, spec: &RunSpec, now: Time) -> Result<(Event, Event), String> {
    let (mut end, _) = Event::from_leaf(entry.event.as_bytes()).map_err(|refusal| refusal.to_string())?;
    end.id = Some(format!("{}/end", spec.run_id));
    end.run = Some(spec.run_id.clone());
    end.namespace.clone_from(&spec.namespace);
    end.actor.clone_from(&spec.actor);
    end.parent.clone_from(&spec.parent);
    end.attempt = None;
    end.time = Some(now);
    end.tags.clone_from(&spec.tags);
    end.state = State::Complete;
    let [namespace, job, run] = &entry.made_by;
    let from = json!({ "namespace": namespace, "job": job, "run": run });
    let logs = json!(entry.logs);
    let facets = json!({ "cached": { "from": from, "logs": logs } });
    end.facets = Json::from_value(&facets)?;
    let mut start = end.clone();
    start.id = Some(format!("{}/start", spec.run_id));
    start.state = State::Start;
    start.outputs = Vec::new();
    start.outcome = None;
    start.metrics = Json::default();
    start.facets = Json::from_value(&Value::Object(serde_json::Map::new()))?;
    Ok((start, end))
}
