//! The writer: one bounded queue and one thread that appends what waits there together; acknowledged is durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use lineage_store::event::Prepared;
use lineage_store::{Appended, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::metrics::Metrics;
use super::reply::Refused;
use crate::session::Session;

/// The most requests that wait to be recorded.
const QUEUE_REQUESTS: usize = 4096;
/// The most bytes of events that wait.
const QUEUE_BYTES: usize = 32 * 1024 * 1024;
/// The most events of one append; more would make the first of them wait too long.
const APPEND_EVENTS: usize = 4096;

/// The events of one request.
struct Waiting {
    events: Vec<Prepared>,
    done: oneshot::Sender<Result<Vec<Appended>, Refused>>,
    /// Given back once it is answered.
    room: OwnedSemaphorePermit,
}

/// The near end of the queue.
pub(crate) struct Writer {
    queue: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    failed: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

impl Writer {
    /// Starts the thread; it ends when the writer is dropped and the queue is empty.
    ///
    /// `head` is told the number of recorded events after each append.
    pub(crate) fn start(
        session: Arc<Session>,
        metrics: Arc<Metrics>,
        head: watch::Sender<u64>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, waiting) = mpsc::channel(QUEUE_REQUESTS);
        let failed = Arc::new(AtomicBool::new(false));
        let appender = Appender { session, metrics: Arc::clone(&metrics), head, failed: Arc::clone(&failed) };
        let thread = std::thread::Builder::new().name("lineage-writer".into()).spawn(move || appender.run(waiting))?;
        Ok((Self { queue, room: Arc::new(Semaphore::new(QUEUE_BYTES)), failed, metrics }, thread))
    }

    /// Whether a sync failed, after which nothing is recorded until the store is opened again.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// How many requests wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Records the events of a request; one result an event, each durable.
    pub(crate) async fn record(&self, events: Vec<Prepared>) -> Result<Vec<Appended>, Refused> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let full = || Refused::later("queue", "more events wait to be recorded than fit; send them again");
        let bytes: usize = events.iter().map(|event| event.leaf.as_bytes().len() + payload_bytes(event)).sum();
        let permits = u32::try_from(bytes.min(QUEUE_BYTES)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(permits).map_err(|_| full())?;
        let (done, result) = oneshot::channel();
        self.queue.try_send(Waiting { events, done, room }).map_err(|_| full())?;
        let appended = result.await.map_err(|_| Refused::later("stopping", "the server stops; send it again"))??;
        self.metrics.appended(&appended);
        Ok(appended)
    }
}

fn payload_bytes(event: &Prepared) -> usize {
    event.payloads.iter().map(|payload| payload.bytes.len()).sum()
}

/// The far end of the queue.
struct Appender {
    session: Arc<Session>,
    metrics: Arc<Metrics>,
    head: watch::Sender<u64>,
    failed: Arc<AtomicBool>,
}

impl Appender {
    fn run(self, mut waiting: mpsc::Receiver<Waiting>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut batch = vec![first];
            let mut n_events = batch[0].events.len();
            while n_events < APPEND_EVENTS {
                let Ok(next) = waiting.try_recv() else { break };
                n_events += next.events.len();
                batch.push(next);
            }
            self.append(batch);
        }
    }

    /// Whether nothing is recorded any more until the store is opened again, as an error of unknown outcome makes it.
    fn is_poisoned(&self, error: &StoreError) -> bool {
        let again = || self.session.store.append(Vec::new(), self.session.context.now());
        match error {
            StoreError::Poisoned => true,
            StoreError::Io { .. } => matches!(again(), Err(StoreError::Poisoned)),
            _ => false,
        }
    }

    /// Appends the events of several requests with one sync, and answers each.
    fn append(&self, batch: Vec<Waiting>) {
        let begun = Instant::now();
        let mut events = Vec::new();
        let mut asked = Vec::with_capacity(batch.len());
        for waiting in batch {
            asked.push((waiting.events.len(), waiting.done, waiting.room));
            events.extend(waiting.events);
        }
        let n_events = events.len();
        let result = self.session.store.append(events, self.session.context.now());
        self.metrics.commit(n_events, begun.elapsed());
        if let Ok(head) = self.session.store.head() {
            self.head.send_if_modified(|count| std::mem::replace(count, head.count) != head.count);
        }
        match result {
            Ok(appended) => {
                let mut appended = appended.into_iter();
                for (n, done, room) in asked {
                    // Whoever went away asks again and is told that it is a duplicate.
                    done.send(Ok(appended.by_ref().take(n).collect())).ok();
                    drop(room);
                }
            }
            Err(error) => {
                if self.is_poisoned(&error) {
                    self.failed.store(true, Ordering::Release);
                }
                for (_, done, room) in asked {
                    done.send(Err(Refused::store(&error))).ok();
                    drop(room);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lineage_ingest::delivery::{self, Protocol, Sender};

    use lineage_store::erasure::Keys;

    use super::*;

    /// A writer whose other end does nothing, with room for so many requests and bytes.
    fn stuck(requests: usize, bytes: usize) -> (Writer, mpsc::Receiver<Waiting>) {
        let (queue, waiting) = mpsc::channel(requests);
        let (failed, metrics) = (Arc::default(), Arc::default());
        (Writer { queue, room: Arc::new(Semaphore::new(bytes)), failed, metrics }, waiting)
    }

    fn events() -> Vec<Prepared> {
        let text = br#"{"v":1,"kind":"transform","outputs":[{"name":"a"}]}"#;
        let sender = Sender { actor: "x", principal: None, seal: &[], keys: &Keys::of_seed([0; 32]) };
        let events = delivery::events(text, Protocol::Native, &sender).expect("an event");
        delivery::prepared(events, text, &sender).expect("an event")
    }

    /// The reason for which a request is refused at once; `None` if it waits.
    fn refused(writer: &Writer) -> Option<&'static str> {
        let mut record = std::pin::pin!(writer.record(events()));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match record.as_mut().poll(&mut context) {
            std::task::Poll::Ready(result) => Some(result.expect_err("nobody records").reason()),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let (writer, mut waiting) = stuck(2, QUEUE_BYTES);
        assert_eq!([refused(&writer), refused(&writer), refused(&writer)], [None, None, Some("queue")]);
        drop(waiting.try_recv());
        assert_eq!(refused(&writer), None, "there is room again");
        let (writer, mut waiting) = stuck(100, events()[0].leaf.as_bytes().len() * 3 / 2);
        assert_eq!([refused(&writer), refused(&writer)], [None, Some("queue")], "more bytes than may wait");
        drop(waiting.try_recv());
        assert_eq!(refused(&writer), None, "the room was given back");
        drop(waiting);
        assert_eq!(refused(&writer), Some("queue"));
    }
}
