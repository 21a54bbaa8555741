//! Artifacts by their digests: the only addresses of files, so that no name from outside becomes a path.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, StatusCode, header};
use lineage_store::digest::Blake3;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::access::Rule;
use super::app::App;
use super::endpoint::{Endpoint, Method};
use super::limits;
use super::pipe::pipe;
use super::reply::{self, Refused, Reply};
use super::router::{Call, Routes};

/// The largest artifact that is taken.
const ARTIFACT_BYTES_MAX: u64 = 16 * 1024 * 1024 * 1024;
/// So many are taken at once; each has a thread of its own.
const UPLOADS: usize = 8;
/// Read and sent at once.
const PIECE: usize = 256 * 1024;
/// Who takes no piece for so long is not sent the rest.
const PIECE_WAITS: Duration = Duration::from_secs(30);

const BYTES: &[&str] = &["application/octet-stream"];
const JSON: &[&str] = &["application/json"];

/// Adds the routes of this file.
pub(crate) fn routes(routes: Routes) -> Routes {
    const PATH: &str = "/api/artifacts/{digest}";
    let uploads = Arc::new(Semaphore::new(UPLOADS));
    routes
        .add(
            Endpoint::get(PATH, Rule::ReadAll, "The bytes of an artifact, verified")
                .gives(&[(200, BYTES, "The bytes"), (404, JSON, "They are not stored here")]),
            get,
        )
        .add(
            Endpoint::new(Method::Head, PATH, Rule::ReadAll, "Whether an artifact is stored here, and its size")
                .gives(&[(200, BYTES, "It is"), (404, JSON, "It is not")]),
            head,
        )
        .add(
            Endpoint::new(Method::Put, PATH, Rule::Send, "Store the bytes of an artifact")
                .takes(BYTES)
                .gives(&[(201, JSON, "They are stored, durable"), (422, JSON, "They have another digest")]),
            move |call| put(call, Arc::clone(&uploads)),
        )
}

/// The digest of the address: `b3:` and 64 hexadecimal digits.
fn digest(call: &Call) -> Result<Blake3, Refused> {
    let text = call.part("digest");
    let hex = text.strip_prefix("b3:").unwrap_or(text);
    Blake3::from_hex(hex).filter(|digest| digest.hex() == hex).ok_or_else(|| {
        Refused::bad("the address of an artifact is `b3:` and 64 hexadecimal digits")
            .help("`lineage show NAME` prints the digest of a version")
    })
}

fn missing(digest: &Blake3) -> Refused {
    Refused::missing(format!("the bytes of {digest} are not stored here"))
}

/// An answer about bytes: their type and size. They never change, so that they may be kept for ever.
fn about(size: u64, body: Body) -> Response<Body> {
    let mut response = reply::bytes("application/octet-stream", body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, immutable, max-age=31536000"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    response
}

async fn head(call: Call) -> Reply {
    let digest = digest(&call)?;
    let size = call.app.read(move |app| app.session.store.artifacts().size(&digest).ok_or_else(|| missing(&digest)));
    Ok(about(size.await?, Body::empty()))
}

async fn get(call: Call) -> Reply {
    let digest = digest(&call)?;
    send_verified(&call.app, digest).await
}

/// The bytes of an artifact, sent as they are taken.
pub(super) async fn send_verified(app: &Arc<App>, digest: Blake3) -> Reply {
    let opened = app.read(move |app| {
        let store = app.session.store.artifacts();
        let file = store.open_verified(&digest).map_err(|error| Refused::store(&error))?;
        Ok((file, store.size(&digest).ok_or_else(|| missing(&digest))?))
    });
    let (file, size) = opened.await?;
    let (pieces, body) = pipe();
    tokio::spawn(send(file, pieces));
    Ok(about(size, body))
}

/// Sends a file piece by piece, no faster than it is taken.
async fn send(mut file: File, pieces: mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::with_capacity(PIECE);
            let read = file.by_ref().take(PIECE as u64).read_to_end(&mut piece);
            (read.map(|_| piece), file)
        });
        let Ok((piece, rest)) = read.await else { return };
        file = rest;
        let last = piece.as_ref().map_or(true, Vec::is_empty);
        if last && piece.is_ok() {
            return;
        }
        let sent = pieces.send_timeout(piece.map(Bytes::from), PIECE_WAITS).await;
        if last || sent.is_err() {
            return;
        }
    }
}

/// What comes from the network, as a source of bytes; an error if it ends early.
struct Received {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Received {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let n = self.piece.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.piece.split_to(n));
        Ok(n)
    }
}

async fn put(call: Call, uploads: Arc<Semaphore>) -> Reply {
    let digest = digest(&call)?;
    let turn =
        uploads.try_acquire_owned().map_err(|_| Refused::later("busy", "too many artifacts are being stored"))?;
    let session = Arc::clone(&call.app.session);
    let stored = receive(call.body, move |source| {
        let stored = session.store.artifacts().put_expected(&digest, source);
        drop(turn);
        stored
    });
    match stored.await? {
        (Ok(true), size) => {
            Ok(reply::json_with(StatusCode::CREATED, &json!({ "digest": digest.to_string(), "size": size })))
        }
        (Ok(false), _) => Err(Refused::invalid(format!("the bytes that came have not the digest {digest}"))),
        (Err(error), _) => Err(Refused::store(&error)),
    }
}

/// Hands a body piece by piece to what stores it, on a thread of its own; what came of it, and the size of the body.
pub(super) async fn receive<T: Send + 'static>(
    mut body: Body,
    store: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
) -> Result<(T, u64), Refused> {
    let (pieces, received) = mpsc::channel(2);
    let (done, result) = oneshot::channel();
    let work = move || {
        // Who went away asks again.
        done.send(store(&mut Received { pieces: received, piece: Bytes::new() })).ok();
    };
    std::thread::Builder::new()
        .name("lineage-upload".into())
        .spawn(work)
        .map_err(|error| Refused::later("busy", format!("no thread for the artifact: {error}")))?;
    let mut size = 0_u64;
    loop {
        let next = limits::next(&mut body).await;
        let ended = match next {
            Ok(None) => break,
            Ok(Some(piece)) => {
                size += piece.len() as u64;
                if size > ARTIFACT_BYTES_MAX {
                    let text = format!("the artifact is larger than {ARTIFACT_BYTES_MAX} bytes");
                    Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text))
                } else if pieces.send(Ok(piece)).await.is_err() {
                    // The other end has failed and says why.
                    break;
                } else {
                    Ok(())
                }
            }
            Err(refused) => Err(refused),
        };
        if let Err(refused) = ended {
            pieces.send(Err(io::ErrorKind::UnexpectedEof.into())).await.ok();
            return Err(refused);
        }
    }
    drop(pieces);
    let result = result.await.map_err(|_| Refused::later("stopping", "the server stops; send it again"))?;
    Ok((result, size))
}
