//! What clients read: flows, runs, steps, tasks, their metadata and artifacts, all from the ledger.

use std::sync::Arc;

use lineage_ingest::metaflow::{ArtifactList, Beats, Ledger, MetadataList, NAMESPACE, Pattern, Place, Wanted};
use serde::Serialize;

use super::super::access::Rule;
use super::super::app::App;
use super::super::endpoint::Endpoint;
use super::super::reply::{self, JSON, Refused, Reply};
use super::super::router::{Call, Routes};
use super::folded::{self, Folded};
use super::{FIELD, PATTERN, place, refused, versioned};

/// Parameters of newer services that change what a list means.
const NOT_BUILT: [&str; 3] = ["_limit", "_cursor", "_order"];

/// Reads something of the ledger, as JSON.
type Look = fn(&Ledger, &Beats, &Place) -> Option<String>;

/// What a request wants beside its place.
struct Asked {
    place: Place,
    artifact: String,
    attempt: String,
    field: Option<String>,
    pattern: Option<String>,
}

/// What stands in events, still to be read from there.
enum Stored {
    Metadata(MetadataList),
    Artifacts(ArtifactList),
    /// The first of them.
    Artifact(ArtifactList),
    /// The paths of those tasks that have a field or a value.
    Tasks(Vec<(String, MetadataList)>),
}

/// Finds where it stands.
type Find = fn(&Ledger, &Asked) -> Result<Stored, Refused>;

/// Adds the routes of this file.
pub(super) fn routes(routes: Routes, folded: &Arc<Folded>) -> Routes {
    finds(looks(routes, folded), folded)
}

/// What the ledger knows by itself.
fn looks(mut routes: Routes, folded: &Arc<Folded>) -> Routes {
    let all: [(&'static str, &'static str, Look); 8] =
        [
            ("/metaflow/flows", "Metaflow: all flows", |l, _, _| list(&l.flows())),
            ("/metaflow/flows/{flow}", "Metaflow: a flow", |l, _, p| one(l.flow(&p.flow))),
            ("/metaflow/flows/{flow}/runs", "Metaflow: the runs of a flow", |l, b, p| list(&l.runs(&p.flow, b))),
            ("/metaflow/flows/{flow}/runs/{run}", "Metaflow: a run", |l, b, p| one(l.run(p, b))),
            ("/metaflow/flows/{flow}/runs/{run}/steps", "Metaflow: the steps of a run", |l, _, p| list(&l.steps(p))),
            ("/metaflow/flows/{flow}/runs/{run}/steps/{step}", "Metaflow: a step", |l, _, p| one(l.step(p))),
            ("/metaflow/flows/{flow}/runs/{run}/steps/{step}/tasks", "Metaflow: the tasks of a step", |l, b, p| {
                list(&l.tasks(p, b))
            }),
            ("/metaflow/flows/{flow}/runs/{run}/steps/{step}/tasks/{task}", "Metaflow: a task", |l, b, p| {
                one(l.task(p, b))
            }),
        ];
    for (path, about, look) in all {
        let folded = Arc::clone(folded);
        routes = routes.add(Endpoint::get(path, Rule::ReadIn(NAMESPACE), about), move |call| {
            read(call, Arc::clone(&folded), move |app, folded, asked| {
                folded.with(app, |ledger, beats| look(ledger, beats, &asked.place))
            })
        });
    }
    routes
}

/// What is read from events.
fn finds(mut routes: Routes, folded: &Arc<Folded>) -> Routes {
    const RUN_METADATA: &str = "/metaflow/flows/{flow}/runs/{run}/metadata";
    const RUN_ARTIFACTS: &str = "/metaflow/flows/{flow}/runs/{run}/artifacts";
    const STEP_ARTIFACTS: &str = "/metaflow/flows/{flow}/runs/{run}/steps/{step}/artifacts";
    const STEP_TASKS: &str = "/metaflow/flows/{flow}/runs/{run}/steps/{step}/filtered_tasks";
    const METADATA: &str = "/metaflow/flows/{flow}/runs/{run}/steps/{step}/tasks/{task}/metadata";
    const ARTIFACTS: &str = "/metaflow/flows/{flow}/runs/{run}/steps/{step}/tasks/{task}/artifacts";
    const OF_ATTEMPT: &str = "/metaflow/flows/{flow}/runs/{run}/steps/{step}/tasks/{task}/attempt/{attempt}/artifacts";
    const ARTIFACT: &str = "/metaflow/flows/{flow}/runs/{run}/steps/{step}/tasks/{task}/artifacts/{artifact}";
    const TRIED: &str =
        "/metaflow/flows/{flow}/runs/{run}/steps/{step}/tasks/{task}/artifacts/{artifact}/attempt/{attempt}";
    let get = |path, about| Endpoint::get(path, Rule::ReadIn(NAMESPACE), about);
    let filtered = get(STEP_TASKS, "Metaflow: the tasks of a step, as paths").parameters(&[FIELD, PATTERN]);
    let all: [(Endpoint, Find); 9] = [
        (get(RUN_METADATA, "Metaflow: the metadata of a run"), |l, a| {
            Ok(Stored::Metadata(l.metadata_of_run(&a.place)))
        }),
        (get(RUN_ARTIFACTS, "Metaflow: the artifacts of a run"), |l, a| {
            Ok(Stored::Artifacts(l.artifacts_of(&a.place)))
        }),
        (get(STEP_ARTIFACTS, "Metaflow: the artifacts of a step"), |l, a| {
            Ok(Stored::Artifacts(l.artifacts_of(&a.place)))
        }),
        (filtered, |l, a| Ok(Stored::Tasks(l.tasks_with_metadata(&a.place)))),
        (get(METADATA, "Metaflow: the metadata of a task"), |l, a| Ok(Stored::Metadata(l.metadata(&a.place)))),
        (get(ARTIFACTS, "Metaflow: the artifacts of a task"), artifacts),
        (get(OF_ATTEMPT, "Metaflow: the artifacts of an attempt"), artifacts),
        (get(ARTIFACT, "Metaflow: an artifact"), artifact),
        (get(TRIED, "Metaflow: an artifact of an attempt"), artifact),
    ];
    for (endpoint, find) in all {
        let folded = Arc::clone(folded);
        routes = routes.add(endpoint, move |call| {
            read(call, Arc::clone(&folded), move |app, folded, asked| {
                let stored = folded.with(app, |ledger, _| find(ledger, asked))??;
                stored.read(app, asked)
            })
        });
    }
    routes
}

fn one(row: Option<impl Serialize>) -> Option<String> {
    serde_json::to_string(&row?).ok()
}

fn list(rows: &[impl Serialize]) -> Option<String> {
    serde_json::to_string(rows).ok()
}

async fn read(
    call: Call,
    folded: Arc<Folded>,
    work: impl FnOnce(&App, &Folded, &Asked) -> Result<Option<String>, Refused> + Send + 'static,
) -> Reply {
    let asked = Asked::of(&call)?;
    let found = move |app: &App, folded: &Folded| {
        let found = work(app, folded, &asked)?;
        let missing = || Refused::missing(format!("there is no {}", asked.spec().escape_debug()));
        found.ok_or_else(missing)
    };
    Ok(versioned(reply::bytes(JSON, folded.turn(&call.app, found).await?)))
}

impl Asked {
    fn of(call: &Call) -> Result<Self, Refused> {
        if let Some(name) = NOT_BUILT.iter().find(|name| call.parameter(name).is_some()) {
            return Err(Refused::invalid(format!("`{name}` is not served")).help("leave it out: lists are whole"));
        }
        let text = |name: &str| call.parameter(name).map(str::to_owned);
        Ok(Self {
            place: place(call),
            artifact: call.part("artifact").to_owned(),
            attempt: call.part("attempt").to_owned(),
            field: text("metadata_field_name"),
            pattern: text("pattern"),
        })
    }

    fn spec(&self) -> String {
        let place = self.place.spec();
        if self.artifact.is_empty() { place } else { format!("{place}/{}", self.artifact) }
    }

    fn wanted(&self) -> Result<Wanted<'_>, Refused> {
        let number = |text: &str| {
            text.parse().map_err(|_| Refused::bad(format!("`{}` is no number of an attempt", text.escape_debug())))
        };
        let attempt = (!self.attempt.is_empty()).then(|| number(&self.attempt)).transpose()?;
        Ok(Wanted { attempt, name: (!self.artifact.is_empty()).then_some(self.artifact.as_str()) })
    }
}

fn artifacts(ledger: &Ledger, asked: &Asked) -> Result<Stored, Refused> {
    Ok(Stored::Artifacts(ledger.artifacts(&asked.place, asked.wanted()?)))
}

fn artifact(ledger: &Ledger, asked: &Asked) -> Result<Stored, Refused> {
    Ok(Stored::Artifact(ledger.artifacts(&asked.place, asked.wanted()?)))
}

impl Stored {
    fn read(self, app: &App, asked: &Asked) -> Result<Option<String>, Refused> {
        let sent = |position| folded::sent(app, position);
        let read = match self {
            Self::Metadata(rows) => rows.rows(&sent).map(|rows| list(&rows)),
            Self::Artifacts(rows) => rows.rows(&sent).map(|rows| list(&rows)),
            Self::Artifact(rows) => rows.rows(&sent).map(|rows| one(rows.into_iter().next())),
            Self::Tasks(tasks) => return asked.filter(tasks, &sent),
        };
        read.map_err(|error| Refused::store(&error))
    }
}

impl Asked {
    /// The paths of the tasks that have what is asked for.
    fn filter(
        &self,
        tasks: Vec<(String, MetadataList)>,
        sent: &dyn Fn(u64) -> lineage_store::Result<Option<String>>,
    ) -> Result<Option<String>, Refused> {
        let pattern = self.pattern.as_deref().map(Pattern::read).transpose().map_err(|denied| refused(&denied))?;
        let is_all = self.field.is_none() && pattern.is_none();
        let mut specs = Vec::new();
        for (spec, metadata) in tasks {
            let has = || metadata.has(self.field.as_deref(), pattern.as_ref(), sent);
            if is_all || has().map_err(|error| Refused::store(&error))? {
                specs.push(spec);
            }
        }
        Ok(list(&specs))
    }
}
