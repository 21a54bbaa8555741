//! Positions as they are recorded, as server-sent events, for whoever follows the log.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use serde_json::json;
use tokio::sync::Semaphore;

use super::access::Rule;
use super::endpoint::Endpoint;
use super::pipe::pipe;
use super::reply::{self, Refused, Reply};
use super::router::{Call, Routes};

/// So many may follow at once.
const FOLLOWERS: usize = 256;
/// Something is sent at least so often, so that nothing between closes the connection.
const BEAT: Duration = Duration::from_secs(15);

/// Adds the route of this file.
pub(crate) fn routes(routes: Routes) -> Routes {
    let room = Arc::new(Semaphore::new(FOLLOWERS));
    routes.add(
        Endpoint::get("/api/positions", Rule::ReadAll, "New positions of the log, as server-sent events")
            .parameters(&[(
                "after",
                "integer",
                "The last position that is known; by default the newest. The header Last-Event-ID says the same",
            )])
            .gives(&[(200, &["text/event-stream"], "Events `recorded` with the first and the last new position")]),
        move |call: Call| {
            let reply = follow(&call, Arc::clone(&room));
            async { reply }
        },
    )
}

fn follow(call: &Call, room: Arc<Semaphore>) -> Reply {
    let place = room.try_acquire_owned().map_err(|_| Refused::later("busy", "too many follow the log"))?;
    let head = call.app.session.store.head().map_err(|error| Refused::store(&error))?.count;
    let last = call.headers.get("last-event-id").and_then(|value| value.to_str().ok()).or(call.parameter("after"));
    let mut next = match last.map(str::parse::<u64>) {
        None => head,
        Some(Ok(last)) if last < head => last + 1,
        Some(Ok(_)) => {
            return Err(Refused::bad(format!("the position is beyond the head; the log holds {head} events")));
        }
        Some(Err(_)) => return Err(Refused::bad("the position must be a number")),
    };
    let (mut counts, mut stopping) = (call.app.head.clone(), call.app.stopping.clone());
    // What was recorded by another process is not told yet.
    let mut known = head;
    let (pieces, body) = pipe();
    tokio::spawn(async move {
        loop {
            let text = if known > next {
                let said = json!({ "first": next, "last": known - 1 });
                next = known;
                format!("event: recorded\nid: {}\ndata: {said}\n\n", known - 1)
            } else {
                ":\n\n".to_owned()
            };
            if pieces.send_timeout(Ok(Bytes::from(text)), BEAT).await.is_err() {
                break;
            }
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => break,
                () = tokio::time::sleep(BEAT) => {}
                changed = counts.changed() => if changed.is_err() { break },
            }
            known = known.max(*counts.borrow_and_update());
        }
        drop(place);
    });
    let mut response = reply::bytes("text/event-stream", body);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
