//! `OpenLineage` in: single events and batches, each recorded before it is acknowledged.

use std::sync::Arc;

use axum::http::StatusCode;
use lineage_ingest::delivery::{self, Protocol, Sender};
use lineage_store::Appended;
use lineage_store::event::Prepared;
use serde_json::{Value, json};

use super::access::{Caller, Rule};
use super::app::App;
use super::endpoint::Endpoint;
use super::limits::{BATCH_BYTES_MAX, EVENT_BYTES_MAX, Taken};
use super::reply::{self, Refused, Reply};
use super::router::{Call, Routes};

/// Larger bodies are translated on a thread that may block, so that connections are served meanwhile.
const INLINE_BYTES: usize = 64 * 1024;
/// The most events of one batch.
const BATCH_EVENTS_MAX: usize = 10_000;

const JSON: &[&str] = &["application/json"];

/// Adds the routes of this file.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .add(
            Endpoint::post("/api/v1/lineage", Rule::Send, "Record one OpenLineage event").takes(JSON).gives(&[
                (201, JSON, "It is recorded"),
                (200, JSON, "It had been recorded before"),
                (422, JSON, "It is no OpenLineage event, or contradicts what is recorded"),
            ]),
            one,
        )
        .add(
            Endpoint::post("/api/v1/lineage/batch", Rule::Send, "Record a list of OpenLineage events")
                .takes(JSON)
                .gives(&[(200, JSON, "What became of them; those that failed with the reason")]),
            batch,
        )
        .add(
            Endpoint::post("/api/events", Rule::Send, "Record events in the native format, one or several lines")
                .takes(&["application/json", "application/x-ndjson"])
                .gives(&[(200, JSON, "What became of them; those that failed with the reason")]),
            native,
        )
}

/// Cuts a body into documents.
type Cut = fn(&[u8]) -> Result<Vec<&[u8]>, Refused>;

/// What became of one document.
enum Fate {
    /// It is recorded at these positions; `new`: only now.
    Recorded { positions: Vec<u64>, new: bool },
    /// It is refused.
    Refused(Refused),
}

async fn one(call: Call) -> Reply {
    let taken = call.app.limits.take(&call.headers, call.body, EVENT_BYTES_MAX).await?;
    let (app, caller) = (call.app, call.caller);
    let fates = record(&app, caller, taken, |bytes| Ok(vec![bytes]), Protocol::OpenLineage).await?;
    match fates.into_iter().next() {
        Some(Fate::Recorded { positions, new }) => {
            let status = if new { StatusCode::CREATED } else { StatusCode::OK };
            Ok(reply::json_with(status, &json!({ "positions": positions, "duplicate": !new })))
        }
        Some(Fate::Refused(refused)) => Err(refused),
        None => Err(Refused::bad("the body is empty")),
    }
}

async fn batch(call: Call) -> Reply {
    let taken = call.app.limits.take(&call.headers, call.body, BATCH_BYTES_MAX).await?;
    let list: Cut = |bytes| delivery::list(bytes).map_err(|refusal| Refused::bad(refusal.to_string()));
    let fates = record(&call.app, call.caller, taken, list, Protocol::OpenLineage).await?;
    Ok(reply::json(&summary(&fates)))
}

async fn native(call: Call) -> Reply {
    let taken = call.app.limits.take(&call.headers, call.body, BATCH_BYTES_MAX).await?;
    let lines: Cut = |bytes| Ok(delivery::lines(bytes));
    let fates = record(&call.app, call.caller, taken, lines, Protocol::Native).await?;
    let mut said = summary(&fates);
    let positions = fates.iter().map(|fate| match fate {
        Fate::Recorded { positions, .. } => positions.last().copied().into(),
        Fate::Refused(_) => Value::Null,
    });
    said["positions"] = positions.collect();
    Ok(reply::json(&said))
}

/// The summary of the specification, also where everything was recorded.
fn summary(fates: &[Fate]) -> Value {
    let failed: Vec<Value> = fates
        .iter()
        .enumerate()
        .filter_map(|(index, fate)| match fate {
            Fate::Refused(refused) => {
                Some(json!({ "index": index, "reason": refused.message(), "retriable": refused.is_temporary() }))
            }
            Fate::Recorded { .. } => None,
        })
        .collect();
    let new = fates.iter().filter(|fate| matches!(fate, Fate::Recorded { new: true, .. })).count();
    let successful = fates.len() - failed.len();
    json!({
        "status": if failed.is_empty() { "success" } else { "partial_success" },
        "summary": {
            "received": fates.len(), "successful": successful, "failed": failed.len(), "duplicate": successful - new,
        },
        "failed_events": failed,
    })
}

/// Translates the documents of a body and records their events with one append.
async fn record(
    app: &Arc<App>,
    caller: Caller,
    taken: Taken,
    cut: Cut,
    protocol: Protocol,
) -> Result<Vec<Fate>, Refused> {
    let small = taken.bytes.len() <= INLINE_BYTES;
    let here = Arc::clone(app);
    let translate = move || translate(&here, &caller, &taken.bytes, cut, protocol);
    let mut documents = if small {
        translate()?
    } else {
        tokio::task::spawn_blocking(translate).await.map_err(|_| Refused::later("stopping", "the server stops"))??
    };
    let mut events = Vec::new();
    let counts: Vec<usize> = documents
        .iter_mut()
        .map(|document| {
            document.as_mut().map_or(0, |prepared| {
                let count = prepared.len();
                events.append(prepared);
                count
            })
        })
        .collect();
    let mut appended = app.writer.record(events).await?.into_iter();
    let fates = documents.into_iter().zip(counts).map(|(document, count)| match document {
        Ok(_) => fate(appended.by_ref().take(count).collect()),
        Err(refused) => Fate::Refused(refused),
    });
    Ok(fates.collect())
}

fn translate(
    app: &App,
    caller: &Caller,
    bytes: &[u8],
    cut: Cut,
    protocol: Protocol,
) -> Result<Vec<Result<Vec<Prepared>, Refused>>, Refused> {
    let parts = cut(bytes)?;
    if parts.len() > BATCH_EVENTS_MAX {
        let text = format!("{} events are more than the {BATCH_EVENTS_MAX} of a batch", parts.len());
        return Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text).help("send several batches"));
    }
    let sender = Sender {
        actor: caller.principal().unwrap_or(&app.actor),
        principal: caller.principal(),
        seal: &app.session.config.seal,
        keys: &app.session.keys,
    };
    let one = |bytes: &[u8]| {
        if bytes.len() > EVENT_BYTES_MAX {
            let text = format!("the event is larger than {EVENT_BYTES_MAX} bytes");
            return Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text));
        }
        let wrong = |refusal: lineage_store::event::Refusal| {
            let text = refusal.to_string();
            if delivery::is_json(bytes) { Refused::invalid(text) } else { Refused::bad(text) }
        };
        let events = delivery::events(bytes, protocol, &sender).map_err(wrong)?;
        events.iter().try_for_each(|event| caller.check_event(event))?;
        delivery::prepared(events, bytes, &sender).map_err(wrong)
    };
    Ok(parts.into_iter().map(one).collect())
}

/// What became of a document, by what became of its events.
fn fate(appended: Vec<Appended>) -> Fate {
    let (mut positions, mut new) = (Vec::new(), false);
    for one in appended {
        match one {
            Appended::Recorded(position) => {
                new = true;
                positions.push(position);
            }
            Appended::Duplicate(position) => positions.push(position),
            Appended::Conflict(position) => {
                let text = format!("another event with the same id and other content is recorded at #{position}");
                return Fate::Refused(Refused::new(StatusCode::CONFLICT, "conflict", text));
            }
            Appended::Refused(refusal) => return Fate::Refused(Refused::invalid(refusal.to_string())),
        }
    }
    Fate::Recorded { positions, new }
}
