//! The ledger of Metaflow, folded up to the head of the journal before each use.

use std::sync::{Arc, Mutex, PoisonError};

use lineage_ingest::metaflow::{Beats, Kept, Ledger, NAMESPACE};
use lineage_store::event::Kind;
use lineage_store::{StoreError, read_leaf};

use super::super::app::App;
use super::super::reply::Refused;
use super::super::turns::Turns;

/// So many positions are looked at before the events among them are folded, so that a long log takes little memory.
const STRIDE: u64 = 4096;

/// So many requests are worked on at once, each on a thread that may block; questions have threads of their own.
const TURNS: usize = 3;
/// So many more may wait: as many tasks as side by side come to it.
const WAITING: usize = 4096;

/// The ledger with the events that it holds, and the heartbeats beside it.
pub(super) struct Folded {
    inner: Mutex<Inner>,
    turns: Turns,
}

#[derive(Default)]
struct Inner {
    ledger: Ledger,
    beats: Beats,
    /// The first position that is not folded.
    next: u64,
    /// Whether events were taken back since it was folded.
    is_stale: bool,
}

impl Default for Folded {
    fn default() -> Self {
        Self { inner: Mutex::default(), turns: Turns::new("requests of Metaflow's clients", TURNS, WAITING) }
    }
}

impl Folded {
    /// Does what reads the store on a thread that may block, in turn.
    pub(super) async fn turn<T: Send + 'static>(
        self: &Arc<Self>,
        app: &Arc<App>,
        work: impl FnOnce(&App, &Self) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let (app, own) = (Arc::clone(app), Arc::clone(self));
        self.turns.take(move || work(&app, &own)).await
    }

    /// Lets something be done with the ledger of everything that is recorded now.
    pub(super) fn with<T>(&self, app: &App, work: impl FnOnce(&mut Ledger, &mut Beats) -> T) -> Result<T, Refused> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.catch_up(app).map_err(|error| Refused::store(&error))?;
        let Inner { ledger, beats, .. } = &mut *inner;
        Ok(work(ledger, beats))
    }
}

impl Inner {
    fn catch_up(&mut self, app: &App) -> Result<(), StoreError> {
        let head = app.session.store.head()?.count;
        if self.next == 0 && head > 0 {
            self.next = first(app, head)?;
        }
        self.fold(app, head, &|_| false)?;
        if self.is_stale {
            let view = app.view()?;
            let mut anew = Self { ledger: self.ledger.clone(), ..Self::default() };
            anew.ledger.clear();
            anew.fold(app, view.count().into(), &|position| {
                u32::try_from(position).is_ok_and(|position| view.is_hidden(position))
            })?;
            view.check()?;
            (self.ledger, self.next, self.is_stale) = (anew.ledger, anew.next, false);
        }
        Ok(())
    }

    /// Folds the events up to an end.
    fn fold(&mut self, app: &App, end: u64, is_hidden: &dyn Fn(u64) -> bool) -> Result<(), StoreError> {
        let store = &app.session.store;
        while self.next < end {
            let until = end.min(self.next + STRIDE);
            let mut found = Vec::new();
            store.journal().read_from(self.next, until, &mut |record| {
                if mentions(record.leaf) {
                    let (event, _, recorded) = read_leaf(record.leaf, record.received.is_some())?;
                    found.push((record.position, event, recorded));
                }
                Ok(())
            })?;
            for (position, event, recorded) in found {
                self.is_stale |= event.kind == Kind::Retract && event.namespace == NAMESPACE;
                let kept = Kept::of(&event, || store.outlined(&app.session.keys, position))?;
                self.ledger.apply(position, recorded, &event, &kept, is_hidden(position));
                self.next = position + 1;
            }
            self.next = until;
        }
        Ok(())
    }
}

/// The first position of an event of this protocol, told by the index; the head if there is none.
fn first(app: &App, head: u64) -> Result<u64, StoreError> {
    let view = app.view()?;
    let found = view.symbol(NAMESPACE).and_then(|own| (0..view.count()).find(|event| view.namespace(*event) == own));
    view.check()?;
    Ok(found.map_or(head.min(view.count().into()), u64::from))
}

/// Whether a leaf may be of the namespace.
fn mentions(leaf: &[u8]) -> bool {
    const MARK: &[u8] = b"\"namespace\":\"metaflow\"";
    leaf.windows(MARK.len()).any(|window| window == MARK)
}

/// What an event kept of a request.
pub(super) fn sent(app: &App, position: u64) -> Result<Option<String>, StoreError> {
    let record = app.session.store.journal().get(position)?;
    let (event, ..) = read_leaf(&record.leaf, record.received.is_some())?;
    Ok(Kept::of(&event, || app.session.store.outlined(&app.session.keys, position))?.sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_that_of_the_namespace() {
        let leaf = format!("{{\"kind\":\"tag\",\"namespace\":\"{NAMESPACE}\"}}");
        assert!(mentions(leaf.as_bytes()));
        assert!(!mentions(b"{\"namespace\":\"default\"}"));
    }
}
