//! Connections: accepted up to a number, closed when they are slow, and finished before the server stops.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::metrics::Metrics;
use super::router::Peer;

/// How long the head of a request may take, and how long a connection may rest between two.
const HEAD: Duration = Duration::from_secs(10);
/// How long the handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The most bytes of the head of a request.
const HEAD_BYTES: usize = 64 * 1024;
/// The most headers of a request.
const HEADERS: usize = 100;
/// How long open requests are waited for when the server stops.
const FINISH: Duration = Duration::from_secs(30);
/// After an error of accepting, such as too many open files, it is tried again so much later.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// What is listened with.
pub(crate) struct Listener {
    /// The socket.
    pub(crate) socket: TcpListener,
    /// With TLS.
    pub(crate) tls: Option<TlsAcceptor>,
    /// The most connections at once.
    pub(crate) connections: usize,
    /// Counts them.
    pub(crate) metrics: Arc<Metrics>,
}

impl Listener {
    /// Serves until `stopping` is true and what was asked by then is answered, or its time is over.
    pub(crate) async fn serve(self, router: Router, mut stopping: watch::Receiver<bool>) {
        let room = Arc::new(Semaphore::new(self.connections));
        let mut stop = stopping.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => break,
                accepted = self.accept(&room) => accepted,
            };
            let Some((stream, peer, permit)) = accepted else {
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            };
            let (router, tls, stop, metrics) =
                (router.clone(), self.tls.clone(), stop.clone(), Arc::clone(&self.metrics));
            tokio::spawn(async move {
                metrics.connections.fetch_add(1, Ordering::Relaxed);
                match tls {
                    None => connection(stream, peer, router, stop).await,
                    Some(tls) => {
                        // Who does not shake hands in time is not answered.
                        if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                            connection(stream, peer, router, stop).await;
                        }
                    }
                }
                metrics.connections.fetch_sub(1, Ordering::Relaxed);
                drop(permit);
            });
        }
        drop(self.socket);
        stop.mark_unchanged();
        // Every connection gives its permit back when it ends.
        let all = room.acquire_many(u32::try_from(self.connections).unwrap_or(u32::MAX));
        drop(tokio::time::timeout(FINISH, all).await);
    }

    async fn accept(&self, room: &Arc<Semaphore>) -> Option<(TcpStream, Peer, tokio::sync::OwnedSemaphorePermit)> {
        let permit = Arc::clone(room).acquire_owned().await.ok()?;
        let (stream, address) = self.socket.accept().await.ok()?;
        // Answers are small and wait for nothing.
        stream.set_nodelay(true).ok();
        Some((stream, Peer(address.ip().to_canonical()), permit))
    }
}

/// Serves one connection to its end.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request.map(Body::new))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES).max_headers(HEADERS);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    // That a connection breaks is its client's loss; whoever sends again is told of duplicates.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await.ok();
}
