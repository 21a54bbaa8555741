//! `OpenLineage` in: single events and batches, each recorded before it is acknowledged.

use axum::http::StatusCode;
use lineage_ingest::delivery::{self, Protocol};
use serde_json::json;

use super::access::Rule;
use super::endpoint::Endpoint;
use super::limits::{BATCH_BYTES_MAX, EVENT_BYTES_MAX};
use super::receive::{Cut, Fate, record, summary};
use super::reply::{self, Refused, Reply};
use super::router::{Call, Routes};

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
    Ok(reply::json(&summary(&call.app, &fates)))
}
