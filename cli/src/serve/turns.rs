//! Turns: how many requests of one kind are worked on at once, each on a thread that may block, and how many may wait.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::Semaphore;

use super::reply::Refused;

/// The turns of one kind of request. Each kind has its own, so that a training never waits for somebody's questions.
pub(crate) struct Turns {
    /// What waits, for people.
    what: &'static str,
    free: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Turns {
    /// So many at once, and so many more that wait.
    pub(crate) fn new(what: &'static str, at_once: usize, waiting: usize) -> Self {
        Self { what, free: Arc::new(Semaphore::new(at_once)), waiting: Semaphore::new(at_once + waiting) }
    }

    /// Works on a thread that may block, in turn.
    pub(crate) async fn take<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let too_many = || Refused::later("busy", format!("too many {} wait for their turn", self.what));
        let waits = self.waiting.try_acquire().map_err(|_| too_many())?;
        let turn = Arc::clone(&self.free).acquire_owned().await.map_err(|_| too_many())?;
        let work = move || {
            let result = work();
            // The turn ends with the work, also when nobody waits for it any more.
            drop(turn);
            result
        };
        let result = tokio::task::spawn_blocking(work).await;
        drop(waits);
        result.unwrap_or_else(|_| {
            let text = "this is a bug in lineage; nothing that was acknowledged is lost";
            Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", text))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn who_finds_no_room_to_wait_is_told_so_and_a_turn_ends_with_its_work() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let turns = Arc::new(Turns::new("requests", 1, 1));
            let (release, held) = mpsc::channel::<()>();
            let own = Arc::clone(&turns);
            let first = tokio::spawn(async move { own.take(move || Ok(held.recv().is_ok())).await.is_ok() });
            let own = Arc::clone(&turns);
            let second = tokio::spawn(async move { own.take(|| Ok(())).await.is_ok() });
            while turns.waiting.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            assert!(turns.take(|| Ok(())).await.is_err(), "one works and one waits");
            // Whoever goes away leaves the work at work.
            first.abort();
            assert!(first.await.is_err());
            assert_eq!(turns.free.available_permits(), 0);
            release.send(()).expect("it still works");
            assert!(second.await.expect("no panic"));
        });
    }
}
