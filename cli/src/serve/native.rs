//! Events in our own format in, one or several.

use lineage_ingest::delivery::{self, Protocol};
use serde_json::Value;

use super::access::Rule;
use super::endpoint::Endpoint;
use super::limits::BATCH_BYTES_MAX;
use super::receive::{Cut, Fate, record, summary};
use super::reply::{self, Reply};
use super::router::{Call, Routes};

/// Adds the route of this file.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes.add(
        Endpoint::post("/api/events", Rule::Send, "Record events in the native format, one or several lines")
            .takes(&["application/json", "application/x-ndjson"])
            .gives(&[(200, &["application/json"], "What became of them; those that failed with the reason")]),
        native,
    )
}

async fn native(call: Call) -> Reply {
    let taken = call.app.limits.take(&call.headers, call.body, BATCH_BYTES_MAX).await?;
    let lines: Cut = |bytes| Ok(delivery::lines(bytes));
    let fates = record(&call.app, call.caller, taken, lines, Protocol::Native).await?;
    let mut said = summary(&call.app, &fates);
    let positions = fates.iter().map(|fate| match fate {
        Fate::Recorded { positions, .. } => positions.last().copied().into(),
        Fate::Refused(_) => Value::Null,
    });
    said["positions"] = positions.collect();
    Ok(reply::json(&said))
}
