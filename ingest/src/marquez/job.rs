//! Jobs: what their newest run read, wrote and said.

use std::collections::{BTreeMap, HashSet};

use lineage_store::Result;
use lineage_store::graph::{Position, Symbol, View};
use serde::Serialize;

use super::dataset::Id;
use super::facets::{self, Facets};
use super::run::{self, Run};
use super::{Page, Reads, node};

/// So many runs are shown with a job that is asked for by name.
const LATEST_RUNS: usize = 10;
/// So many with each of several jobs.
pub(super) const LATEST_RUN: usize = 1;

/// A job as it is now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    id: Id,
    r#type: String,
    name: String,
    simple_name: String,
    parent_job_name: Option<String>,
    parent_job_uuid: Option<String>,
    created_at: String,
    updated_at: String,
    namespace: String,
    inputs: Vec<Id>,
    outputs: Vec<Id>,
    location: Option<String>,
    description: Option<String>,
    latest_run: Option<Run>,
    latest_runs: Vec<Run>,
    tags: Vec<String>,
    labels: Vec<String>,
    current_version: String,
    facets: Facets,
}

/// Some jobs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobList {
    jobs: Vec<Job>,
    total_count: usize,
}

/// What the events of one job come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    pub(super) first: Position,
    pub(super) last: Position,
    /// The first event of each attempt, oldest first.
    attempts: Vec<Position>,
}

/// Every job here, by namespace and name.
pub(super) struct Jobs<'v> {
    view: &'v View,
    found: BTreeMap<(Symbol, Symbol), Summary>,
}

impl<'v> Jobs<'v> {
    /// Looks at every event once.
    pub(super) fn of(view: &'v View) -> Self {
        let mut found: BTreeMap<(Symbol, Symbol), Summary> = BTreeMap::new();
        let mut seen = HashSet::new();
        for event in (0..view.count()).filter(|event| node::tells_job(view, *event)) {
            let job = found
                .entry((view.namespace(event), view.job(event)))
                .or_insert_with(|| Summary { first: event, ..Summary::default() });
            job.last = event;
            let leader = if view.has_run(event) { view.leader(event) } else { event };
            if seen.insert(leader) {
                job.attempts.push(leader);
            }
        }
        Self { view, found }
    }

    /// The jobs with their namespaces and names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'v str, &'v str, &Summary)> {
        let view = self.view;
        self.found.iter().map(move |((namespace, name), job)| (view.text(*namespace), view.text(*name), job))
    }

    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<&Summary> {
        self.found.get(&(self.view.symbol(namespace)?, self.view.symbol(name)?))
    }
}

impl Summary {
    /// The first event of the newest attempt of each run, newest first.
    pub(super) fn newest_attempts(&self, view: &View) -> Vec<Position> {
        let mut found: Vec<Position> = self.attempts.iter().copied().filter(|leader| view.has_run(*leader)).collect();
        found.sort_by_key(|leader| std::cmp::Reverse((view.time(*leader), *leader)));
        found
    }

    /// The events of the newest attempt that was completed, else of the newest; of a registered job, all of them.
    pub(super) fn telling(&self, view: &View) -> Vec<Position> {
        let newest = self.newest_attempts(view);
        let is_complete =
            |leader: &&Position| view.attempt_events(**leader).into_iter().any(|event| view.state(event).is_terminal());
        match newest.iter().find(is_complete).or(newest.first()) {
            Some(leader) => view.attempt_events(*leader),
            None => self.attempts.clone(),
        }
    }
}

/// The jobs of a namespace, by name.
pub fn jobs(reads: &Reads<'_>, namespace: &str, page: Page) -> Result<JobList> {
    let jobs = Jobs::of(reads.view);
    let mut found: Vec<_> = jobs.iter().filter(|(here, ..)| *here == namespace).collect();
    found.sort_by_key(|(_, name, _)| *name);
    let total_count = found.len();
    let one = |(namespace, name, job): (&str, &str, &Summary)| of_summary(reads, namespace, name, job, LATEST_RUN);
    Ok(JobList { jobs: page.of(found).into_iter().map(one).collect::<Result<_>>()?, total_count })
}

/// One job; `None` if there is none.
pub fn job(reads: &Reads<'_>, namespace: &str, name: &str) -> Result<Option<Job>> {
    let jobs = Jobs::of(reads.view);
    jobs.find(namespace, name).map(|job| of_summary(reads, namespace, name, job, LATEST_RUNS)).transpose()
}

/// A job with so many of its runs.
pub(super) fn of_summary(reads: &Reads<'_>, namespace: &str, name: &str, job: &Summary, n_runs: usize) -> Result<Job> {
    let view = reads.view;
    let telling = job.telling(view);
    let (inputs, outputs) = run::names(reads, &telling)?;
    let (mut all, mut tags) = (Facets::new(), Vec::new());
    for position in &telling {
        let event = (reads.event)(*position)?;
        all.extend(facets::all(reads, *position, &event)?);
        tags.extend(event.tags);
    }
    tags.sort();
    tags.dedup();
    let newest = job.newest_attempts(view);
    let latest = newest.into_iter().take(n_runs).map(|leader| run::of_attempt(reads, leader));
    let latest_runs = latest.collect::<Result<Vec<_>>>()?;
    let parent = parent(&all);
    let own = facets::under(&all, "job.");
    let code = facets::member(&own, "sourceCodeLocation", "version").unwrap_or_default();
    let simple_name = match &parent {
        Some(parent) => name.strip_prefix(&format!("{parent}.")).unwrap_or(name),
        None => name,
    };
    Ok(Job {
        id: Id { namespace: namespace.to_owned(), name: name.to_owned() },
        r#type: facets::member(&own, "jobType", "processingType").unwrap_or_else(|| "BATCH".to_owned()),
        name: name.to_owned(),
        simple_name: simple_name.to_owned(),
        parent_job_name: parent,
        parent_job_uuid: None,
        created_at: reads.recorded(job.first),
        updated_at: reads.recorded(job.last),
        namespace: namespace.to_owned(),
        inputs,
        outputs,
        location: facets::member(&own, "sourceCodeLocation", "url"),
        description: facets::member(&own, "documentation", "description"),
        latest_run: latest_runs.first().cloned(),
        latest_runs,
        tags,
        labels: Vec::new(),
        current_version: run::job_version(namespace, name, &code).uuid(),
        facets: own,
    })
}

/// The name of the job that started this one.
fn parent(facets: &Facets) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(facets.get("run.parent")?.get()).ok()?;
    value.get("job")?.get("name")?.as_str().map(str::to_owned)
}
