//! Limits: how much a request may send, how fast, how often, and how long it may take.

use std::collections::HashMap;
use std::io::Read as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::access::Caller;
use super::reply::Refused;

/// The largest body of one event; the largest that was seen of a real emitter has 220 kB.
pub(crate) const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The largest body of several events.
pub(crate) const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The largest question with its parameters.
pub(crate) const QUESTION_BYTES_MAX: usize = 1024 * 1024;
/// So much of a body that is too large is read to its end; beyond that the connection is closed.
const DISCARDED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What the bodies of all requests together may hold in memory.
const BODIES_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a body may rest, and how long all of it may take.
const BODY_REST: Duration = Duration::from_secs(10);
const BODY_WHOLE: Duration = Duration::from_secs(30);
/// A body that was compressed may grow by as much; JSON of real emitters grows by 20 at most.
const RATIO_MAX: usize = 200;
/// So many requests a second of one address are told what is wrong with their tokens.
const UNAUTHORIZED: u32 = 20;
/// So many addresses and principals are remembered; more are forgotten together.
const REMEMBERED: usize = 10_000;

/// What a body may cost.
pub(crate) struct Limits {
    /// Requests a second of one principal or address, if they are limited.
    rate: Option<u32>,
    room: Arc<Semaphore>,
    buckets: Mutex<HashMap<String, Bucket>>,
}

/// How many requests are left, and since when that is known.
struct Bucket {
    left: f64,
    at: Instant,
}

/// The bytes of a body, and the room that they take.
pub(crate) struct Taken {
    /// The bytes, inflated.
    pub(crate) bytes: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

impl Taken {
    fn new() -> Self {
        Self { bytes: Vec::new(), room: None }
    }

    /// Keeps room until the bytes are done with.
    fn hold(&mut self, room: OwnedSemaphorePermit) {
        match &mut self.room {
            Some(held) => held.merge(room),
            none => *none = Some(room),
        }
    }
}

impl Limits {
    /// Limits; `rate`: requests a second of one principal or address.
    pub(crate) fn new(rate: Option<u32>) -> Self {
        Self { rate, room: Arc::new(Semaphore::new(BODIES_BYTES_MAX)), buckets: Mutex::default() }
    }

    /// Refuses a caller who has asked too often.
    pub(crate) fn admit(&self, caller: &Caller, peer: IpAddr) -> Result<(), Refused> {
        let Some(rate) = self.rate else { return Ok(()) };
        let who = caller.principal().map_or_else(|| peer.to_string(), |name| format!("token {name}"));
        if self.spend(who, rate) {
            return Ok(());
        }
        Err(Refused::new(StatusCode::TOO_MANY_REQUESTS, "rate", "more requests came than are served a second").after(1))
    }

    /// What becomes of a request without a valid token: from an address that sends many of them it is not even judged.
    pub(crate) fn unauthorized(&self, refused: Refused, peer: IpAddr) -> Refused {
        if self.spend(format!("unauthorized {peer}"), UNAUTHORIZED) {
            return refused;
        }
        let text = "too many requests came without a valid token";
        Refused::new(StatusCode::TOO_MANY_REQUESTS, "unauthorized-rate", text).after(1)
    }

    /// Spends one of so many a second; false if none is left.
    fn spend(&self, who: String, rate: u32) -> bool {
        let rate = f64::from(rate);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= REMEMBERED && !buckets.contains_key(&who) {
            buckets.clear();
        }
        let now = Instant::now();
        let bucket = buckets.entry(who).or_insert(Bucket { left: rate, at: now });
        bucket.left = (bucket.left + now.duration_since(bucket.at).as_secs_f64() * rate).min(rate);
        bucket.at = now;
        let is_left = bucket.left >= 1.0;
        if is_left {
            bucket.left -= 1.0;
        }
        is_left
    }

    /// Reads a body to its end, inflated if it was sent with gzip.
    pub(crate) async fn take(&self, headers: &HeaderMap, body: Body, max: usize) -> Result<Taken, Refused> {
        let slow = || Refused::new(StatusCode::REQUEST_TIMEOUT, "slow", "the body did not come in time");
        let received =
            tokio::time::timeout(BODY_WHOLE, self.receive(headers, body, max)).await.map_err(|_| slow())??;
        match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity" | b"") => Ok(received),
            Some(encoding) if encoding.eq_ignore_ascii_case(b"gzip") => self.inflate(&received, max),
            Some(_) => Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "only gzip is inflated")
                .help("send `Content-Encoding: gzip`, or none")),
        }
    }

    async fn receive(&self, headers: &HeaderMap, mut body: Body, max: usize) -> Result<Taken, Refused> {
        let declared = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
        if let Some(declared) = declared.filter(|declared: &u64| *declared > max as u64) {
            if declared <= DISCARDED_BYTES_MAX {
                discard(&mut body).await;
            }
            return Err(too_large(max));
        }
        let mut taken = Taken::new();
        while let Some(data) = next(&mut body).await? {
            if taken.bytes.len() + data.len() > max {
                drop(taken);
                discard(&mut body).await;
                return Err(too_large(max));
            }
            taken.hold(self.room(data.len())?);
            taken.bytes.extend_from_slice(&data);
        }
        Ok(taken)
    }

    /// Room for so many bytes more, if there is any.
    fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refused> {
        let full = |_| Refused::later("memory", "the bodies of all requests take more memory than they may");
        Arc::clone(&self.room).try_acquire_many_owned(u32::try_from(bytes).unwrap_or(u32::MAX)).map_err(full)
    }

    /// Inflates piece by piece, so that a small body cannot become a large one before anyone looks.
    fn inflate(&self, packed: &Taken, max: usize) -> Result<Taken, Refused> {
        const PIECE: usize = 64 * 1024;
        let most = max.min(packed.bytes.len().saturating_mul(RATIO_MAX).max(PIECE));
        let mut source = flate2::read::MultiGzDecoder::new(&packed.bytes[..]);
        let mut taken = Taken::new();
        loop {
            taken.hold(self.room(PIECE)?);
            let before = taken.bytes.len();
            let mut piece = source.by_ref().take(PIECE as u64);
            piece.read_to_end(&mut taken.bytes).map_err(|_| Refused::bad("the body is no gzip"))?;
            if taken.bytes.len() == before {
                return Ok(taken);
            }
            if taken.bytes.len() > most {
                return Err(too_large(most));
            }
        }
    }
}

/// Reads the rest of a body and drops it, so that its sender comes to the answer instead of a closed connection.
async fn discard(body: &mut Body) {
    let mut left = DISCARDED_BYTES_MAX;
    while let Ok(Some(piece)) = next(body).await {
        let Some(rest) = left.checked_sub(piece.len() as u64) else { return };
        left = rest;
    }
}

/// The next piece of a body; `None` at its end.
pub(crate) async fn next(body: &mut Body) -> Result<Option<Bytes>, Refused> {
    loop {
        let Ok(frame) = tokio::time::timeout(BODY_REST, body.frame()).await else {
            return Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "slow", "the body did not come in time"));
        };
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(Refused::bad("the body ended early")),
            Some(Ok(frame)) => {
                // Trailers say nothing that is wanted.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn too_large(max: usize) -> Refused {
    let text = format!("the body is larger than {max} bytes");
    Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text).help("send fewer events at once")
}
