//! A pipe: the body of an answer that comes piece by piece.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Pieces that wait to be sent; more would only take memory.
const WAITING: usize = 2;

/// The far end of a pipe. An error ends the connection, so that nobody takes a part for the whole.
struct Pipe(Receiver<io::Result<Bytes>>);

impl HttpBody for Pipe {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// The near end, and the body that it fills.
pub(crate) fn pipe() -> (Sender<io::Result<Bytes>>, Body) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (sender, Body::new(Pipe(receiver)))
}
