//! What clients write: each request is planned against the ledger, recorded, and answered from the ledger after it.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use lineage_ingest::delivery::{self, Sender};
use lineage_ingest::metaflow::{Beats, Denied, HEARTBEAT, Ledger, NAMESPACE, Place, Planned, Writer};
use lineage_store::Appended;
use lineage_store::digest::to_hex;
use lineage_store::event::Prepared;
use serde_json::{Value, json};

use super::super::access::{Caller, Rule};
use super::super::app::App;
use super::super::endpoint::{Endpoint, Method};
use super::super::limits::BATCH_BYTES_MAX;
use super::super::reply::{self, Refused, Reply};
use super::super::router::{Call, Routes};
use super::folded::Folded;
use super::{place, refused, versioned};
use crate::random;

/// A number that another process takes meanwhile is left to it; so often at most, as each time one of them gets on.
const TRIES: usize = 16;

const TYPES: &[&str] = &["application/json"];

/// Decides what a request comes to.
type Plan = fn(&mut Ledger, &Place, &[u8], &Writer<'_>) -> Result<Planned, Denied>;

/// Tells what became of it, from the ledger after it.
type Answer = fn(&Ledger, &Beats, &Done) -> Option<Value>;

/// A request that is recorded.
struct Done {
    place: Place,
    n_rows: usize,
}

/// A request that is allowed, its events ready to be recorded.
struct Ready {
    done: Done,
    is_new: bool,
    events: Vec<Prepared>,
}

/// Adds the routes of this file.
pub(super) fn routes(routes: Routes, folded: &Arc<Folded>) -> Routes {
    let takes = |method, path, about| {
        let recorded = &[(200, TYPES, "It is recorded")];
        Endpoint::new(method, path, Rule::SendTo(NAMESPACE), about).takes(TYPES).gives(recorded)
    };
    let add = |routes: Routes, endpoint: Endpoint, plan: Plan, answer: Answer| {
        let folded = Arc::clone(folded);
        routes.add(endpoint, move |call| write(call, Arc::clone(&folded), plan, answer))
    };
    let flow = takes(Method::Post, "/metaflow/flows/{flow}", "Metaflow: make a flow");
    let routes = add(routes, flow, |l, p, b, w| l.create_flow(p, b, w), |l, _, done| value(l.flow(&done.place.flow)));
    let run = takes(Method::Post, "/metaflow/flows/{flow}/run", "Metaflow: make a run");
    let routes = add(routes, run, Ledger::create_run, |l, beats, done| value(l.made_run(&done.place, beats)));
    let step = takes(Method::Post, "/metaflow/flows/{flow}/runs/{run}/steps/{step}/step", "Metaflow: make a step");
    let routes = add(routes, step, |l, p, b, w| l.create_step(p, b, w), |l, _, done| value(l.step(&done.place)));
    let task = takes(Method::Post, "/metaflow/flows/{flow}/runs/{run}/steps/{step}/task", "Metaflow: make a task");
    let routes = add(routes, task, Ledger::create_task, |l, beats, done| value(l.task(&done.place, beats)));
    let metadata = takes(
        Method::Post,
        "/metaflow/flows/{flow}/runs/{run}/steps/{step}/tasks/{task}/metadata",
        "Metaflow: add metadata to a task",
    );
    let counted: Answer = |_, _, done| Some(json!({ "metadata_created": done.n_rows }));
    let routes = add(routes, metadata, |l, p, b, w| l.add_metadata(p, b, w), counted);
    let artifact = takes(
        Method::Post,
        "/metaflow/flows/{flow}/runs/{run}/steps/{step}/tasks/{task}/artifact",
        "Metaflow: add artifacts to a task",
    );
    let counted: Answer = |_, _, done| Some(json!({ "artifacts_created": done.n_rows }));
    let routes = add(routes, artifact, |l, p, b, w| l.add_artifacts(p, b, w), counted);
    let tags =
        takes(Method::Patch, "/metaflow/flows/{flow}/runs/{run}/tag/mutate", "Metaflow: change the tags of a run");
    let tagged: Answer = |l, _, done| Some(json!({ "tags": l.tags(&done.place)? }));
    let change: Plan = |l, p, b, w| l.mutate_tags(p, b, &to_hex(&random::bytes::<16>()), w);
    beats(add(routes, tags, change, tagged), folded)
}

fn value(row: Option<impl serde::Serialize>) -> Option<Value> {
    serde_json::to_value(row?).ok()
}

/// Adds the heartbeats, whose bodies are neither declared nor read.
fn beats(routes: Routes, folded: &Arc<Folded>) -> Routes {
    let beat = |path| {
        let about = "Metaflow: a sign of life; its body is not read";
        Endpoint::new(Method::Post, path, Rule::SendTo(NAMESPACE), about).gives(&[(200, TYPES, "When to beat again")])
    };
    let (of_run, of_task) = (Arc::clone(folded), Arc::clone(folded));
    routes
        .add(beat("/metaflow/flows/{flow}/runs/{run}/heartbeat"), move |call| alive(call, Arc::clone(&of_run)))
        .add(beat("/metaflow/flows/{flow}/runs/{run}/steps/{step}/tasks/{task}/heartbeat"), move |call| {
            alive(call, Arc::clone(&of_task))
        })
}

async fn alive(call: Call, folded: Arc<Folded>) -> Reply {
    let place = place(&call);
    let known = move |app: &App, folded: &Folded| {
        let now = app.now().0.div_euclid(1_000_000_000);
        let is_known = folded.with(app, |ledger, beats| ledger.take_beat(&place, now, beats))?;
        let missing = || Refused::missing(format!("there is no {}", place.spec().escape_debug()));
        is_known.then_some(()).ok_or_else(missing)
    };
    folded.turn(&call.app, known).await?;
    Ok(versioned(reply::json(&HEARTBEAT.into())))
}

async fn write(call: Call, folded: Arc<Folded>, plan: Plan, answer: Answer) -> Reply {
    let place = Arc::new(place(&call));
    let taken = Arc::new(call.app.limits.take(&call.headers, call.body, BATCH_BYTES_MAX).await?);
    let (app, caller) = (call.app, call.caller);
    for _ in 0..TRIES {
        let (place, taken, caller) = (Arc::clone(&place), Arc::clone(&taken), caller.clone());
        let ready = move |app: &App, folded: &Folded| Ok(ready(app, folded, &caller, &place, &taken.bytes, plan));
        let Ready { done, is_new, events } = match folded.turn(&app, ready).await? {
            Ok(ready) => ready,
            Err(answer) => return answer,
        };
        let appended = app.writer.record(events).await?;
        if let Some(Appended::Refused(refusal)) = appended.iter().find(|one| matches!(one, Appended::Refused(_))) {
            return Err(Refused::invalid(refusal.to_string()));
        }
        if is_new && !matches!(appended.first(), Some(Appended::Recorded(_))) {
            continue;
        }
        return folded.turn(&app, move |app, folded| tell(app, folded, answer, &done)).await;
    }
    Err(Refused::later("busy", "other processes take the same numbers"))
}

/// What a request comes to; where nothing is to be recorded, its answer.
fn ready(app: &App, folded: &Folded, caller: &Caller, place: &Place, body: &[u8], plan: Plan) -> Result<Ready, Reply> {
    let sender = Sender {
        actor: caller.principal().unwrap_or(&app.actor),
        principal: caller.principal(),
        seal: &app.session.config.seal,
        keys: &app.session.keys,
    };
    let writer = Writer { caller: sender.actor, kinds: &app.session.config.metaflow };
    let planned = folded.with(app, |ledger, _| plan(ledger, place, body, &writer)).map_err(Err)?;
    let Planned { place, events, n_rows, is_new } = planned.map_err(|denied| deny(app, &denied))?;
    let wrong = |refusal: lineage_store::event::Refusal| Err(Refused::invalid(refusal.to_string()));
    let mut prepared = Vec::with_capacity(events.len());
    for (mut event, received) in events {
        event.principal = sender.principal.map(str::to_owned);
        caller.check_event(&event).map_err(Err)?;
        prepared.extend(delivery::prepared(vec![event], &received, &sender).map_err(wrong)?);
    }
    Ok(Ready { done: Done { place, n_rows }, is_new, events: prepared })
}

/// Clients show what is said of tags of the system as it is.
fn deny(app: &App, denied: &Denied) -> Reply {
    let refused = refused(denied);
    if !matches!(denied, Denied::SystemTags(_)) {
        return Err(refused);
    }
    app.metrics.refused(refused.reason());
    Ok(versioned(reply::json_with(StatusCode::UNPROCESSABLE_ENTITY, &denied.to_string().into())))
}

fn tell(app: &App, folded: &Folded, answer: Answer, done: &Done) -> Result<Response<Body>, Refused> {
    let told = folded.with(app, |ledger, beats| answer(ledger, beats, done))?;
    let gone = || Refused::missing(format!("{} was taken back", done.place.spec().escape_debug()));
    told.map(|value| versioned(reply::json(&value))).ok_or_else(gone)
}
