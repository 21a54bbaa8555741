//! The reads of Marquez, each also `asOf` an instant and `knownAt` a position or an instant.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use lineage_ingest::marquez::{self, DEPTH, LIMIT, LIMIT_MAX, NodeId, Page, Reads, Search, Window};
use lineage_store::event::Event;
use lineage_store::graph::View;
use lineage_store::time::Time;
use serde::Serialize;

use super::access::Rule;
use super::app::App;
use super::endpoint::{Endpoint, Parameter};
use super::reply::{self, JSON, Refused, Reply};
use super::router::{Call, Routes};

/// The deepest graph that is walked.
const DEPTH_MAX: usize = 1000;

const AS_OF: Parameter = ("asOf", "string", "Only what had happened by this instant (RFC 3339)");
const KNOWN_AT: Parameter = ("knownAt", "string", "Only what was recorded by this instant or log position");
const LIMITED: Parameter = ("limit", "integer", "The most members of the list; 100, at most 1000");
const OFFSET: Parameter = ("offset", "integer", "So many members are left out");
const NODE: Parameter =
    ("nodeId", "string", "dataset:NAMESPACE:NAME, job:NAMESPACE:NAME or datasetField:NAMESPACE:NAME:FIELD");
const HOW_DEEP: Parameter = ("depth", "integer", "So many steps; 20");
const BEFORE: Parameter = ("before", "string", "Only what came before this instant or date");
const AFTER: Parameter = ("after", "string", "Only what came after this instant or date");

const TIMES: &[Parameter] = &[AS_OF, KNOWN_AT];
const LIST: &[Parameter] = &[LIMITED, OFFSET, AS_OF, KNOWN_AT];
const GRAPH: &[Parameter] = &[NODE, HOW_DEEP, AS_OF, KNOWN_AT];
const COLUMNS: &[Parameter] =
    &[NODE, HOW_DEEP, ("withDownstream", "boolean", "Also what comes from these columns"), AS_OF, KNOWN_AT];
const EVENTS: &[Parameter] = &[
    BEFORE,
    AFTER,
    ("sortDirection", "string", "desc or asc, by when they happened"),
    LIMITED,
    OFFSET,
    AS_OF,
    KNOWN_AT,
];
const SEARCH: &[Parameter] = &[
    ("q", "string", "A part of a name; % stands for any text, _ for one character"),
    ("filter", "string", "DATASET or JOB"),
    ("sort", "string", "NAME or UPDATE_AT"),
    ("namespace", "string", "In this namespace only"),
    BEFORE,
    AFTER,
    LIMITED,
    OFFSET,
    AS_OF,
    KNOWN_AT,
];

/// Adds the routes of this file.
pub(crate) fn routes(routes: Routes) -> Routes {
    let of = |path, about, parameters| Endpoint::get(path, Rule::ReadNamespace, about).parameters(parameters);
    let all = |path, about, parameters| Endpoint::get(path, Rule::ReadAll, about).parameters(parameters);
    routes
        .add(Endpoint::get("/api/v1/namespaces", Rule::Known, "The namespaces").parameters(LIST), namespaces)
        .add(of("/api/v1/namespaces/{namespace}", "A namespace", TIMES), namespace)
        .add(of("/api/v1/namespaces/{namespace}/datasets", "The datasets of a namespace", LIST), datasets)
        .add(of("/api/v1/namespaces/{namespace}/datasets/{dataset}", "A dataset", TIMES), dataset)
        .add(of("/api/v1/namespaces/{namespace}/datasets/{dataset}/versions", "Its versions", LIST), versions)
        .add(of("/api/v1/namespaces/{namespace}/jobs", "The jobs of a namespace", LIST), jobs)
        .add(of("/api/v1/namespaces/{namespace}/jobs/{job}", "A job", TIMES), job)
        .add(of("/api/v1/namespaces/{namespace}/jobs/{job}/runs", "Its runs", LIST), runs)
        .add(all("/api/v1/jobs/runs/{id}", "A run", TIMES), run)
        .add(all("/api/v1/lineage", "The graph of datasets and jobs around a node", GRAPH), graph)
        .add(all("/api/v1/column-lineage", "The graph of columns that lead to a node", COLUMNS), columns)
        .add(all("/api/v1/events/lineage", "The events as OpenLineage has them", EVENTS), events)
        .add(all("/api/v1/search", "Datasets and jobs by a part of their names", SEARCH), search)
}

/// Which moment is read.
#[derive(Clone, Debug, Default)]
struct Moment {
    as_of: Option<Time>,
    known_at: Option<String>,
}

impl Moment {
    fn of(call: &Call) -> Result<Self, Refused> {
        Ok(Self { as_of: instant(call, "asOf")?, known_at: call.parameter("knownAt").map(str::to_owned) })
    }

    fn view(&self, app: &App) -> Result<Arc<View>, Refused> {
        let newest = app.view().map_err(|error| Refused::store(&error))?;
        let count = match &self.known_at {
            None => newest.count(),
            Some(text) => match text.parse::<u64>() {
                Ok(position) if position >= u64::from(newest.count()) => {
                    return Err(Refused::bad(format!(
                        "position {position} is beyond the head; the log holds {} events",
                        newest.count()
                    )));
                }
                Ok(position) => position as u32 + 1,
                Err(_) => newest.count_recorded_by(text.parse().map_err(|what: String| {
                    Refused::bad(format!("`knownAt`: {what}")).help("write an RFC 3339 time or a log position")
                })?),
            },
        };
        if self.as_of.is_none() && count == newest.count() {
            return Ok(newest);
        }
        Ok(Arc::new(newest.at(count, self.as_of.unwrap_or(Time::MAX))))
    }
}

/// An instant, or the beginning of a date, among the parameters.
fn instant(call: &Call, name: &str) -> Result<Option<Time>, Refused> {
    let Some(text) = call.parameter(name) else { return Ok(None) };
    let whole = if text.len() == "2026-11-20".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    // In an address a plus sign that is not encoded means a space.
    let whole = whole.replace(' ', "+");
    whole.parse().map(Some).map_err(|what: String| Refused::bad(format!("`{name}`: {what}")))
}

fn page(call: &Call) -> Result<Page, Refused> {
    Ok(Page { offset: call.number("offset", 0, usize::MAX)?, limit: call.number("limit", LIMIT, LIMIT_MAX)? })
}

/// Reads at the moment that is asked for, and writes what comes of it.
async fn answer<T: Serialize>(
    call: Call,
    read: impl FnOnce(&Reads<'_>) -> Result<T, Refused> + Send + 'static,
) -> Reply {
    let moment = Moment::of(&call)?;
    let bytes = call.app.read(move |app| {
        let view = moment.view(app)?;
        let store = &app.session.store;
        // A job and its runs are told by the same events, each of which may take a frame of the journal to read.
        let known = RefCell::new(HashMap::new());
        let event = |position| match known.borrow_mut().entry(position) {
            Entry::Occupied(known) => Ok(Event::clone(known.get())),
            Entry::Vacant(place) => app.event(position).map(|event| place.insert(event).clone()),
        };
        let outlined = |position: u32| store.outlined(&app.session.keys, position.into());
        let reads = Reads { view: &view, event: &event, outlined: &outlined };
        let value = read(&reads);
        // Whatever came out, a bad page under it is the first thing to say.
        view.check().map_err(|error| Refused::store(&error))?;
        serde_json::to_vec(&value?).map_err(|error| Refused::later("store", error.to_string()))
    });
    Ok(json(bytes.await?))
}

fn json(bytes: Vec<u8>) -> Response<Body> {
    reply::bytes(JSON, bytes)
}

/// What a read of one thing comes to.
fn found<T>(read: lineage_store::Result<Option<T>>, what: &str, name: &str) -> Result<T, Refused> {
    let found = read.map_err(|error| Refused::store(&error))?;
    found.ok_or_else(|| Refused::missing(format!("there is no {what} `{}`", name.escape_debug())))
}

async fn namespaces(call: Call) -> Reply {
    let (page, caller) = (page(&call)?, call.caller.clone());
    answer(call, move |reads| Ok(marquez::namespaces(reads, page, &|name| caller.may_read(name)))).await
}

async fn namespace(call: Call) -> Reply {
    let name = call.part("namespace").to_owned();
    answer(call, move |reads| {
        let one = Page { offset: 0, limit: 1 };
        found(Ok(marquez::namespaces(reads, one, &|other| other == name).into_first()), "namespace", &name)
    })
    .await
}

async fn datasets(call: Call) -> Reply {
    let (page, namespace) = (page(&call)?, call.part("namespace").to_owned());
    answer(call, move |reads| marquez::datasets(reads, &namespace, page).map_err(|error| Refused::store(&error))).await
}

async fn dataset(call: Call) -> Reply {
    let (namespace, name) = (call.part("namespace").to_owned(), call.part("dataset").to_owned());
    answer(call, move |reads| found(marquez::dataset(reads, &namespace, &name), "dataset", &name)).await
}

async fn versions(call: Call) -> Reply {
    let (page, namespace, name) = (page(&call)?, call.part("namespace").to_owned(), call.part("dataset").to_owned());
    answer(call, move |reads| found(marquez::versions(reads, &namespace, &name, page), "dataset", &name)).await
}

async fn jobs(call: Call) -> Reply {
    let (page, namespace) = (page(&call)?, call.part("namespace").to_owned());
    answer(call, move |reads| marquez::jobs(reads, &namespace, page).map_err(|error| Refused::store(&error))).await
}

async fn job(call: Call) -> Reply {
    let (namespace, name) = (call.part("namespace").to_owned(), call.part("job").to_owned());
    answer(call, move |reads| found(marquez::job(reads, &namespace, &name), "job", &name)).await
}

async fn runs(call: Call) -> Reply {
    let (page, namespace, name) = (page(&call)?, call.part("namespace").to_owned(), call.part("job").to_owned());
    answer(call, move |reads| found(marquez::runs(reads, &namespace, &name, page), "job", &name)).await
}

async fn run(call: Call) -> Reply {
    let id = call.part("id").to_owned();
    answer(call, move |reads| found(marquez::run(reads, &id), "run", &id)).await
}

/// The node of the address.
fn node(reads: &Reads<'_>, text: &str) -> Result<NodeId, Refused> {
    found(Ok(NodeId::find(reads.view, text)), "node", text)
}

fn node_text(call: &Call) -> Result<String, Refused> {
    call.parameter("nodeId").map(str::to_owned).ok_or_else(|| Refused::bad("`nodeId` is required").help(NODE.2))
}

async fn graph(call: Call) -> Reply {
    let (text, depth) = (node_text(&call)?, call.number("depth", DEPTH, DEPTH_MAX)?);
    answer(call, move |reads| {
        let node = node(reads, &text)?;
        marquez::graph(reads, &node, depth).map_err(|error| Refused::store(&error))
    })
    .await
}

async fn columns(call: Call) -> Reply {
    let (text, depth) = (node_text(&call)?, call.number("depth", DEPTH, DEPTH_MAX)?);
    let downstream = call.parameter("withDownstream") == Some("true");
    answer(call, move |reads| {
        let node = node(reads, &text)?;
        marquez::columns(reads, &node, depth, downstream).map_err(|error| Refused::store(&error))
    })
    .await
}

async fn events(call: Call) -> Reply {
    let ascending = match call.parameter("sortDirection").map(str::to_ascii_lowercase).as_deref() {
        None | Some("desc") => false,
        Some("asc") => true,
        Some(_) => return Err(Refused::bad("`sortDirection` is asc or desc")),
    };
    let window = Window { before: instant(&call, "before")?, after: instant(&call, "after")?, ascending };
    let page = page(&call)?;
    answer(call, move |reads| marquez::events(reads, window, page).map_err(|error| Refused::store(&error))).await
}

async fn search(call: Call) -> Reply {
    let (search, page) = (wanted(&call)?, page(&call)?);
    answer(call, move |reads| Ok(marquez::search(reads, &search, page))).await
}

/// What the address looks for.
fn wanted(call: &Call) -> Result<Search, Refused> {
    let word = |name: &str| call.parameter(name).map(str::to_ascii_lowercase);
    Ok(Search {
        text: call.parameter("q").ok_or_else(|| Refused::bad("`q` is required"))?.to_owned(),
        datasets: match word("filter").as_deref() {
            None => None,
            Some("dataset") => Some(true),
            Some("job") => Some(false),
            Some(_) => return Err(Refused::bad("`filter` is DATASET or JOB")),
        },
        namespace: call.parameter("namespace").map(str::to_owned),
        by_time: match word("sort").as_deref() {
            None | Some("name") => false,
            Some("update_at" | "updated_at") => true,
            Some(_) => return Err(Refused::bad("`sort` is NAME or UPDATE_AT")),
        },
        before: instant(call, "before")?,
        after: instant(call, "after")?,
    })
}
