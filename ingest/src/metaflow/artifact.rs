//! Artifacts: what tasks leave behind, by name and by the SHA-1 of their bytes; these stay in the client's own storage.
//!
//! To the lineage an artifact is made by the first task that has it. A task that has an artifact with the same bytes as
//! every task that it follows carried it over, and made nothing. Names that begin with an underscore are the client's
//! own: they are kept and answered, and are no part of the lineage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lineage_store::Result;
use lineage_store::digest::Digest;
use lineage_store::event::{EntityKind, Event, Input, Kind, Output, Ref, Role, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::denied::Denied;
use super::kinds::Kinds;
use super::ledger::Ledger;
use super::place::{self, Place};
use super::planned::{self, Plan, Planned};
use super::run::Run;
use super::said::Says;
use super::task::{Task, task_event};
use super::{Writer, attempt};

/// Where some rows of artifacts stand, all of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The position of their event.
    pub(super) position: u64,
    /// Their attempt.
    pub(super) attempt: u32,
    /// The time of the first of them, in milliseconds since 1970; each has one more than the one before.
    pub(super) ts: i64,
    /// Name and SHA-1 of each.
    pub(super) made: Vec<(Arc<str>, Arc<str>)>,
}

/// A row as clients send it.
#[derive(Deserialize)]
struct Sent {
    name: String,
    #[serde(default = "planned::blank")]
    location: String,
    #[serde(default = "planned::blank")]
    ds_type: String,
    sha: String,
    #[serde(default = "planned::blank", rename = "type")]
    kind: String,
    #[serde(default = "planned::blank")]
    content_type: String,
    #[serde(default)]
    attempt_id: u32,
    user_name: Option<String>,
}

/// An artifact, as clients read it; with the tags of its run.
#[derive(Debug, Serialize)]
pub struct ArtifactRow {
    flow_id: String,
    run_number: Value,
    step_name: String,
    task_id: Value,
    name: String,
    location: String,
    ds_type: String,
    sha: String,
    #[serde(rename = "type")]
    kind: String,
    content_type: String,
    user_name: Option<String>,
    attempt_id: u32,
    ts_epoch: i64,
    tags: Vec<String>,
    system_tags: Vec<String>,
}

/// Name and digest of the rows that an event kept.
pub(super) fn kept(sent: Option<&str>) -> (u32, Vec<(String, String)>) {
    let rows: Vec<Sent> = sent.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let attempt = rows.first().map_or(0, |row| row.attempt_id);
    (attempt, rows.into_iter().map(|row| (row.name, row.sha)).collect())
}

/// What several tasks made: for each name the digests that they have of it.
#[derive(Default)]
pub(super) struct Made(BTreeMap<Arc<str>, BTreeSet<Arc<str>>>);

impl Made {
    /// These artifacts as inputs.
    pub(super) fn inputs(&self, flow: &str, kinds: &Kinds) -> Vec<Input> {
        let all = self.0.iter().flat_map(|(name, digests)| digests.iter().map(move |digest| (name, digest)));
        all.map(|(name, digest)| {
            let reference = reference(flow, name, digest, kinds);
            // Whether a training starts from a model that it can read is not told; that it may is on the safe side.
            let role = if reference.kind == Some(EntityKind::Model) { Role::Base } else { Role::Data };
            Input { reference, role, size: None, inferred: true }
        })
        .collect()
    }

    /// Whether an artifact came unchanged from every task that has one of its name.
    fn carries(&self, name: &str, digest: &str) -> bool {
        self.0.get(name).is_some_and(|digests| digests.len() == 1 && digests.contains(digest))
    }
}

fn reference(flow: &str, name: &str, sha: &str, kinds: &Kinds) -> Ref {
    let name = format!("{flow}/{name}");
    let mut reference = Ref { kind: Some(kinds.of(&name)), name: Some(name), ..Ref::default() };
    match format!("sha1:{sha}").parse::<Digest>() {
        Ok(digest) => reference.digest = Some(digest),
        // Another datastore may name its bytes in another way.
        Err(_) => reference.label = Some(sha.to_owned()),
    }
    reference
}

impl Ledger {
    /// The events that add artifacts to a task; those that it has already are left out.
    pub fn add_artifacts(&self, place: &Place, body: &[u8], writer: &Writer<'_>) -> Plan {
        let rows = planned::rows(body)?;
        let task = self.known_task(place)?;
        let mut known: BTreeSet<(u32, String)> = task.known().collect();
        let mut new: Vec<(&str, Sent)> = Vec::new();
        for (text, row) in planned::read::<Sent>(rows)? {
            if known.insert((row.attempt_id, row.name.clone())) {
                new.push((text, row));
            }
        }
        let mut planned = Planned { n_rows: new.len(), ..Planned::new(place.clone()) };
        let before = self.made_by(&place.flow, &task.follows);
        for group in planned::groups(new, |(_, row)| Some(row.attempt_id), |(text, _)| text) {
            let sent = planned::list(group.iter().map(|(text, _)| *text));
            planned.add("artifact", &sent, artifact_event(place, task, &before, &group, &sent, writer)?)?;
        }
        Ok(planned)
    }

    /// What the newest attempts of some tasks of a flow made, each given as `RUN/STEP/TASK`.
    pub(super) fn made_by(&self, flow: &str, tasks: &[impl AsRef<str>]) -> Made {
        let mut made = Made::default();
        for spec in tasks {
            let Some(task) = Place::task_of(flow, spec.as_ref()).and_then(|place| self.task_at(&place)) else {
                continue;
            };
            let newest = task.artifacts.iter().map(|chunk| chunk.attempt).max();
            let chunks = task.artifacts.iter().filter(|chunk| Some(chunk.attempt) == newest);
            for (name, digest) in chunks.flat_map(|chunk| &chunk.made).filter(|(name, _)| is_public(name)) {
                made.0.entry(Arc::clone(name)).or_default().insert(Arc::clone(digest));
            }
        }
        made
    }

    /// The artifacts of a task.
    pub fn artifacts(&self, place: &Place, wanted: Wanted<'_>) -> ArtifactList {
        let mut list = ArtifactList::default();
        if let Some(run) = self.run_at(place)
            && let Some(task) = run.task(&place.step, &place.task)
        {
            list.add(place, task, run, wanted);
        }
        list
    }

    /// The artifacts of all tasks of a run, or of one step of it.
    pub fn artifacts_of(&self, place: &Place) -> ArtifactList {
        let mut list = ArtifactList::default();
        let Some(run) = self.run_at(place) else { return list };
        for (name, step) in run.steps.iter().filter(|(name, _)| place.step.is_empty() || **name == place.step) {
            for (id, task) in &step.tasks {
                list.add(&place.clone().step(name).task(id), task, run, Wanted::default());
            }
        }
        list
    }
}

/// Whether an artifact is the user's.
fn is_public(name: &str) -> bool {
    !name.starts_with('_')
}

fn artifact_event(
    place: &Place,
    task: &Task,
    before: &Made,
    rows: &[(&str, Sent)],
    sent: &str,
    writer: &Writer<'_>,
) -> std::result::Result<Event, Denied> {
    let attempt = rows.first().map_or(0, |(_, row)| row.attempt_id);
    // What a failed attempt left behind is recorded as partial.
    let state = if task.attempts.get(&attempt) == Some(&false) { State::Fail } else { State::Running };
    let user = rows.iter().find_map(|(_, row)| row.user_name.clone()).filter(|name| !name.is_empty());
    let mut event = task_event(place, user.unwrap_or_else(|| writer.caller.to_owned()), state);
    event.attempt = Some(attempt::number(attempt));
    for (_, row) in rows.iter().filter(|(_, row)| is_public(&row.name) && !before.carries(&row.name, &row.sha)) {
        let reference = reference(&place.flow, &row.name, &row.sha, writer.kinds);
        if reference.kind == Some(EntityKind::Model) {
            event.kind = Kind::Training;
        }
        event.outputs.push(Output { reference, ..Output::default() });
    }
    event.facets = Says::Artifacts.facets(place, Some(sent), None)?;
    Ok(event)
}

impl Task {
    /// Attempt and name of every artifact.
    fn known(&self) -> impl Iterator<Item = (u32, String)> {
        self.artifacts.iter().flat_map(|chunk| chunk.made.iter().map(|(name, _)| (chunk.attempt, name.to_string())))
    }
}

/// Which artifacts of a task are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Of this attempt; without it, of the newest that has any.
    pub attempt: Option<u32>,
    /// Of this name.
    pub name: Option<&'a str>,
}

/// Artifacts that still stand in events.
#[derive(Clone, Debug, Default)]
pub struct ArtifactList {
    parts: Vec<Part>,
}

/// Artifacts of one event.
#[derive(Clone, Debug)]
struct Part {
    place: Place,
    chunk: Chunk,
    name: Option<String>,
    tags: Vec<String>,
    system_tags: Vec<String>,
}

impl ArtifactList {
    fn add(&mut self, place: &Place, task: &Task, run: &Run, wanted: Wanted<'_>) {
        let has = |chunk: &&Chunk| wanted.name.is_none_or(|name| chunk.made.iter().any(|(own, _)| &**own == name));
        let newest = task.artifacts.iter().filter(has).map(|chunk| chunk.attempt).max();
        let attempt = wanted.attempt.or(newest);
        for chunk in task.artifacts.iter().filter(|chunk| Some(chunk.attempt) == attempt).filter(has) {
            self.parts.push(Part {
                place: place.clone(),
                chunk: chunk.clone(),
                name: wanted.name.map(str::to_owned),
                tags: run.tags.clone(),
                system_tags: run.system_tags.clone(),
            });
        }
    }

    /// Reads the rows, newest first; `sent` reads what an event kept of a request.
    pub fn rows(&self, sent: &dyn Fn(u64) -> Result<Option<String>>) -> Result<Vec<ArtifactRow>> {
        let (mut rows, mut seen) = (Vec::new(), BTreeSet::new());
        for part in &self.parts {
            let text = sent(part.chunk.position)?.unwrap_or_default();
            let list: Vec<Sent> = serde_json::from_str(&text).unwrap_or_default();
            for (row, n) in list.into_iter().zip(0..) {
                let is_wanted = part.name.as_ref().is_none_or(|name| *name == row.name);
                // Of requests that came at the same time, the one that was recorded first counts.
                if is_wanted && seen.insert((part.place.within(), row.attempt_id, row.name.clone())) {
                    rows.push(part.row(row, n));
                }
            }
        }
        rows.sort_by_key(|row: &ArtifactRow| std::cmp::Reverse(row.ts_epoch));
        Ok(rows)
    }
}

impl Part {
    fn row(&self, row: Sent, n: i64) -> ArtifactRow {
        ArtifactRow {
            flow_id: self.place.flow.clone(),
            run_number: place::id(&self.place.run),
            step_name: self.place.step.clone(),
            task_id: place::id(&self.place.task),
            name: row.name,
            location: row.location,
            ds_type: row.ds_type,
            sha: row.sha,
            kind: row.kind,
            content_type: row.content_type,
            user_name: row.user_name,
            attempt_id: row.attempt_id,
            ts_epoch: self.chunk.ts + n,
            tags: self.tags.clone(),
            system_tags: self.system_tags.clone(),
        }
    }
}
