//! Whether the server lives, whether it is ready, and what it has counted.

use axum::http::StatusCode;
use serde_json::json;

use super::access::Rule;
use super::endpoint::Endpoint;
use super::reply::{self, Refused, Reply};
use super::router::{Call, Routes};

/// The type of what Prometheus reads.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Adds the routes of this file.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .add(Endpoint::get("/healthz", Rule::Open, "Whether the server lives"), live)
        .add(
            Endpoint::get("/readyz", Rule::Open, "Whether events are recorded and questions answered")
                .gives(&[(200, &["application/json"], "It is ready"), (503, &["application/json"], "It is not")]),
            ready,
        )
        .add(
            Endpoint::get("/metrics", Rule::Known, "What was counted, for Prometheus").gives(&[(
                200,
                &["text/plain"],
                "The counters",
            )]),
            metrics,
        )
}

async fn live(_: Call) -> Reply {
    Ok(reply::json(&json!({ "status": "ok" })))
}

async fn ready(call: Call) -> Reply {
    if *call.app.stopping.borrow() {
        return Err(Refused::later("stopping", "the server stops"));
    }
    if call.app.writer.has_failed() {
        return Err(Refused::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store",
            "a write failed; the server must start again",
        ));
    }
    call.app.session.store.head().map_err(|error| Refused::store(&error))?;
    Ok(reply::json(&json!({ "status": "ok" })))
}

async fn metrics(call: Call) -> Reply {
    let head = call.app.session.store.head().map_or(0, |head| head.count);
    let gauges = [
        ("lineage_events", "Events in the journal", head),
        ("lineage_queue_requests", "Requests that wait to be recorded", call.app.writer.waiting() as u64),
    ];
    Ok(reply::bytes(PROMETHEUS, call.app.metrics.text(&gauges)))
}
