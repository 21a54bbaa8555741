//! The artifact proxy: files of runs and models, streamed, and kept as artifacts by their digests.

use std::sync::Arc;

use axum::http::{HeaderValue, header};
use lineage_ingest::mlflow::{Body, Code, Error, NewFile, Then, file};
use tokio::sync::Semaphore;

use super::super::artifact;
use super::super::reply::{self, JSON, Refused, Reply};
use super::super::router::Call;
use super::refused;
use super::tracking::Tracking;

/// `PUT mlflow-artifacts/artifacts/PATH`
pub(super) async fn put(call: Call, tracking: Arc<Tracking>, uploads: Arc<Semaphore>) -> Reply {
    let path = file::path(call.part("path")).map_err(refused)?;
    // Clients send several files at once and wait; they give up an upload that is refused.
    let turn = uploads.acquire_owned().await.map_err(|_| Refused::later("stopping", "the server stops"))?;
    let session = Arc::clone(&call.app.session);
    let stored = artifact::receive(call.body, move |source| {
        let stored = session.store.artifacts().put_from(source);
        drop(turn);
        stored
    });
    let stored = stored.await?.0.map_err(|error| Refused::store(&error))?;
    let new = NewFile { path, blake3: stored.digest.hex(), sha256: stored.sha256, size: stored.size };
    let store = move |pen: &mut lineage_ingest::mlflow::Pen<'_>| {
        file::store(pen, new.clone())?;
        Ok(Then::Empty)
    };
    tracking.record(&call.app, &call.caller, store).await?;
    Ok(reply::bytes(JSON, ""))
}

/// `GET mlflow-artifacts/artifacts/PATH`
pub(super) async fn get(call: Call, tracking: Arc<Tracking>) -> Reply {
    let path = file::path(call.part("path")).map_err(refused)?;
    let digest = tracking.read(&call.app, move |ledger| file::digest(ledger, &path)).await?;
    let mut response = artifact::send_verified(&call.app, digest).await?;
    // Another file may have the path tomorrow.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// `DELETE mlflow-artifacts/artifacts/PATH`
pub(super) async fn delete(call: Call, tracking: Arc<Tracking>) -> Reply {
    let path = file::path(call.part("path")).map_err(refused)?;
    let remove = move |pen: &mut lineage_ingest::mlflow::Pen<'_>| {
        file::remove(pen, &path)?;
        Ok(Then::Empty)
    };
    tracking.record(&call.app, &call.caller, remove).await?;
    Ok(reply::bytes(JSON, "{}"))
}

/// `GET mlflow-artifacts/artifacts?path=`
pub(super) async fn list(call: Call, tracking: Arc<Tracking>) -> Reply {
    let body = Body::of_query(call.parameters());
    Ok(reply::bytes(JSON, tracking.read(&call.app, move |ledger| file::list(&body, ledger)).await?))
}

/// `POST mlflow-artifacts/mpu/…`: clients send such files whole then.
pub(super) async fn parts(_: Call) -> Reply {
    let text = "Multipart upload is not supported; the file is taken whole";
    Err(refused(Error::new(Code::NotImplemented, text)))
}
