//! What every protocol of events does with a body: documents are translated, judged, recorded together, and told apart.

use std::sync::Arc;

use axum::http::StatusCode;
use lineage_ingest::delivery::{self, Protocol, Sender};
use lineage_store::Appended;
use lineage_store::event::Prepared;
use serde_json::{Value, json};

use super::access::Caller;
use super::app::App;
use super::limits::{EVENT_BYTES_MAX, Taken};
use super::reply::Refused;

/// Larger bodies are translated on a thread that may block, so that connections are served meanwhile.
const INLINE_BYTES: usize = 64 * 1024;
/// The most events of one batch.
const BATCH_EVENTS_MAX: usize = 10_000;

/// Cuts a body into documents.
pub(crate) type Cut = fn(&[u8]) -> Result<Vec<&[u8]>, Refused>;

/// What became of one document.
pub(crate) enum Fate {
    /// It is recorded at these positions; `new`: some of it only now.
    Recorded { positions: Vec<u64>, new: bool },
    /// It is refused.
    Refused(Refused),
}

/// What became of several documents, as `OpenLineage` has it, also where everything was recorded; refusals are counted.
pub(crate) fn summary(app: &App, fates: &[Fate]) -> Value {
    let failed: Vec<Value> = fates
        .iter()
        .enumerate()
        .filter_map(|(index, fate)| match fate {
            Fate::Refused(refused) => {
                app.metrics.refused(refused.reason());
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
pub(crate) async fn record(
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
