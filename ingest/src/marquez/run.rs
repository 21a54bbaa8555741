//! Runs: the newest attempt of each.

use lineage_store::Result;
use lineage_store::event::State;
use lineage_store::graph::{Position, Use, VersionId};
use serde::Serialize;

use super::dataset::{self, Id, VersionIdentity};
use super::facets::{self, Facets};
use super::job::Jobs;
use super::{Page, Reads, node, uuid};

/// A run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    id: String,
    created_at: String,
    updated_at: String,
    nominal_start_time: Option<String>,
    nominal_end_time: Option<String>,
    state: &'static str,
    started_at: Option<String>,
    ended_at: Option<String>,
    duration_ms: Option<i64>,
    args: Empty,
    job_version: JobVersion,
    input_dataset_versions: Vec<DatasetUse>,
    output_dataset_versions: Vec<DatasetUse>,
    context: Empty,
    facets: Facets,
}

/// An object without members.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Empty {}

/// The id of a version of a job: its code, as far as its runs tell it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct JobVersion {
    namespace: String,
    name: String,
    version: String,
}

/// A version that a run read or wrote.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DatasetUse {
    dataset_version_id: VersionIdentity,
    facets: Facets,
}

/// Some runs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunList {
    runs: Vec<Run>,
    total_count: usize,
}

/// The runs of a job, newest first; `None` if there is no such job.
pub fn runs(reads: &Reads<'_>, namespace: &str, job: &str, page: Page) -> Result<Option<RunList>> {
    let jobs = Jobs::of(reads.view);
    let Some(job) = jobs.find(namespace, job) else { return Ok(None) };
    let newest = job.newest_attempts(reads.view);
    let total_count = newest.len();
    let runs = page.of(newest).into_iter().map(|leader| of_attempt(reads, leader)).collect::<Result<_>>()?;
    Ok(Some(RunList { runs, total_count }))
}

/// The newest attempt of a run id, of whichever namespace and job; `None` if there is none.
pub fn run(reads: &Reads<'_>, id: &str) -> Result<Option<Run>> {
    let view = reads.view;
    let mut found: Vec<Position> =
        view.namespaces().into_iter().flat_map(|namespace| view.run_events(view.text(namespace), id)).collect();
    found.retain(|event| view.sees(*event) && node::tells_job(view, *event));
    let Some(newest) = found.into_iter().max() else { return Ok(None) };
    of_attempt(reads, view.leader(newest)).map(Some)
}

/// The version of a job, which changes with the place of its code.
pub(super) fn job_version(namespace: &str, name: &str, code: &str) -> JobVersion {
    let version = uuid(&format!("job:{}:{namespace}{}:{name}{code}", namespace.len(), name.len()));
    JobVersion { namespace: namespace.to_owned(), name: name.to_owned(), version }
}

impl JobVersion {
    pub(super) fn uuid(&self) -> String {
        self.version.clone()
    }
}

/// A run by the first event of its attempt.
pub(super) fn of_attempt(reads: &Reads<'_>, leader: Position) -> Result<Run> {
    let view = reads.view;
    let mut events = view.attempt_events(leader);
    if events.is_empty() {
        events.push(leader);
    }
    let (mut id, mut all) = (String::new(), Facets::new());
    for position in &events {
        let event = (reads.event)(*position)?;
        all.extend(facets::all(reads, *position, &event)?);
        if id.is_empty() {
            id = event.run.unwrap_or_default();
        }
    }
    let ended = events.iter().copied().filter(|event| view.state(*event).is_terminal());
    let ended = ended.max_by_key(|event| (reads.time(*event), *event));
    let newest = events.iter().copied().max().unwrap_or(leader);
    let started = events.iter().copied().min_by_key(|event| (reads.time(*event), *event)).unwrap_or(leader);
    let run = facets::under(&all, "run.");
    let millis = |end| (reads.time(end).0 - reads.time(started).0) / 1_000_000;
    let (namespace, job) = (view.text(view.namespace(leader)), view.text(view.job(leader)));
    let code = facets::under(&all, "job.");
    let code = facets::member(&code, "sourceCodeLocation", "version").unwrap_or_default();
    let (inputs, outputs) = ends(reads, &events);
    let uses = |versions: Vec<VersionId>| {
        let one = |version| DatasetUse { dataset_version_id: dataset::identity(view, version), facets: Facets::new() };
        versions.into_iter().map(one).collect()
    };
    Ok(Run {
        id,
        created_at: reads.recorded(leader),
        updated_at: reads.recorded(newest),
        nominal_start_time: facets::member(&run, "nominalTime", "nominalStartTime"),
        nominal_end_time: facets::member(&run, "nominalTime", "nominalEndTime"),
        state: state(ended.map(|end| view.state(end))),
        started_at: Some(reads.occurred(started)),
        ended_at: ended.map(|end| reads.occurred(end)),
        duration_ms: ended.map(millis),
        args: Empty {},
        job_version: job_version(namespace, job, &code),
        input_dataset_versions: uses(inputs),
        output_dataset_versions: uses(outputs),
        context: Empty {},
        facets: run,
    })
}

/// The words of Marquez.
fn state(end: Option<State>) -> &'static str {
    match end {
        Some(State::Complete) => "COMPLETED",
        Some(State::Fail) => "FAILED",
        Some(State::Abort) => "ABORTED",
        _ => "RUNNING",
    }
}

/// The versions that events read and wrote, each once.
pub(super) fn ends(reads: &Reads<'_>, events: &[Position]) -> (Vec<VersionId>, Vec<VersionId>) {
    let view = reads.view;
    let is_input = |usage| matches!(usage, Use::Input(_));
    let mut inputs: Vec<VersionId> = events
        .iter()
        .flat_map(|event| view.mentions(*event))
        .filter(|mention| is_input(mention.usage))
        .map(|mention| mention.version)
        .collect();
    let mut outputs: Vec<VersionId> =
        events.iter().flat_map(|event| view.made(*event)).map(|made| made.version).collect();
    for list in [&mut inputs, &mut outputs] {
        list.sort_unstable();
        list.dedup();
    }
    (inputs, outputs)
}

/// The names that events read and wrote, each once, in order; those included that have no version yet.
pub(super) fn names(reads: &Reads<'_>, events: &[Position]) -> Result<(Vec<Id>, Vec<Id>)> {
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for position in events {
        let event = (reads.event)(*position)?;
        let id = |reference: &lineage_store::event::Ref| {
            let namespace = reference.namespace.clone().unwrap_or_else(|| event.namespace.clone());
            reference.name.clone().map(|name| Id { namespace, name })
        };
        inputs.extend(event.inputs.iter().filter_map(|input| id(&input.reference)));
        outputs.extend(event.outputs.iter().filter_map(|output| id(&output.reference)));
    }
    for list in [&mut inputs, &mut outputs] {
        list.sort();
        list.dedup();
    }
    Ok((inputs, outputs))
}
