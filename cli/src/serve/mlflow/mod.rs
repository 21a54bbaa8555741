//! `MLflow`'s tracking server, model registry and artifact proxy: its requests in, events recorded, answers out.

mod artifacts;
mod routes;
mod tracking;

use std::sync::Arc;

use axum::http::StatusCode;
use lineage_ingest::mlflow::{Body, Code, Error, Read, Then, Write};

use super::limits::{BATCH_BYTES_MAX, Taken};
use super::reply::{self, JSON, Refused, Reply};
use super::router::Call;
pub(crate) use routes::routes;
use tracking::Tracking;

/// The variable parts of paths, in their order.
const PARTS: [&str; 2] = ["model_id", "tag_key"];

/// A refusal in the words of `MLflow`.
fn refused(error: Error) -> Refused {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let reason = match error.code {
        Code::ResourceDoesNotExist => "missing",
        Code::ResourceAlreadyExists => "exists",
        Code::NotImplemented => "not-built",
        Code::BadRequest => "malformed",
        Code::InvalidParameterValue => "invalid",
    };
    let code = serde_json::json!({ "error_code": error.code.as_str() });
    Refused::new(status, reason, error.message).with(code)
}

/// What was sent: the body, or the parameters of an address where there is none; and the room that it takes.
async fn body(call: &mut Call) -> Result<(Body, Taken), Refused> {
    let sent = std::mem::take(&mut call.body);
    let mut taken = call.app.limits.take(&call.headers, sent, BATCH_BYTES_MAX).await?;
    let body = if taken.bytes.trim_ascii().is_empty() {
        Body::of_query(call.parameters())
    } else {
        Body::of_bytes(std::mem::take(&mut taken.bytes))
    };
    Ok((body.with_parts(PARTS.iter().map(|name| call.part(name).to_owned()).collect()), taken))
}

/// Answers a request that reads.
async fn read(mut call: Call, tracking: Arc<Tracking>, read: Read) -> Reply {
    let (body, _room) = body(&mut call).await?;
    Ok(reply::bytes(JSON, tracking.read(&call.app, move |ledger| read(&body, ledger)).await?))
}

/// Records what a request says, and answers once it is durable.
async fn write(mut call: Call, tracking: Arc<Tracking>, write: Write) -> Reply {
    let (body, _room) = body(&mut call).await?;
    let body = Arc::new(body);
    match tracking.record(&call.app, &call.caller, move |pen| write(&body, pen)).await? {
        Then::Empty => Ok(reply::bytes(JSON, "{}")),
        Then::Ask(ask) => Ok(reply::bytes(JSON, tracking.read(&call.app, ask).await?)),
    }
}
