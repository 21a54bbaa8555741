//! The ledger of the server, brought up to the journal before each use, and the way of a request into the journal.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use lineage_ingest::delivery::{self, Sender};
use lineage_ingest::mlflow::{self, Error, Ledger, Pen, Stamp, Then};
use lineage_store::Appended;
use lineage_store::event::Prepared;

use super::super::access::Caller;
use super::super::app::App;
use super::super::reply::Refused;
use super::super::turns::Turns;
use super::refused;
use crate::random;

/// How often a request is judged anew because another server on the same store gave out the same number.
const TRIES: usize = 16;

/// So many requests are worked on at once.
const TURNS: usize = 4;
/// So many more may wait: as many processes of a training as side by side log to it.
const WAITING: usize = 4096;

/// What `MLflow`'s requests share.
pub(super) struct Tracking {
    ledger: RwLock<Ledger>,
    turns: Turns,
}

impl Default for Tracking {
    fn default() -> Self {
        Self { ledger: RwLock::default(), turns: Turns::new("requests of MLflow's clients", TURNS, WAITING) }
    }
}

impl Tracking {
    /// Answers from the ledger of everything that is recorded now, in turn.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        app: &Arc<App>,
        read: impl FnOnce(&Ledger) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refused> {
        let (app, own) = (Arc::clone(app), Arc::clone(self));
        self.turns.take(move || read(&*own.current(&app)?).map_err(refused)).await
    }

    /// The ledger with everything that is recorded now, whichever process recorded it.
    fn current(&self, app: &App) -> Result<RwLockReadGuard<'_, Ledger>, Refused> {
        let store = &app.session.store;
        let head = store.head().map_err(|error| Refused::store(&error))?.count;
        {
            let ledger = self.ledger.read().unwrap_or_else(PoisonError::into_inner);
            if ledger.next() >= head {
                return Ok(ledger);
            }
        }
        let mut ledger = self.ledger.write().unwrap_or_else(PoisonError::into_inner);
        let folded = ledger.follow(store, &app.session.keys, head);
        drop(ledger);
        folded.map_err(|error| Refused::store(&error))?;
        Ok(self.ledger.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records the events of a request; all of them are durable when this returns what is to be answered.
    pub(super) async fn record(
        self: &Arc<Self>,
        app: &Arc<App>,
        caller: &Caller,
        write: impl Fn(&mut Pen<'_>) -> Result<Then, Error> + Clone + Send + 'static,
    ) -> Result<Then, Refused> {
        for _ in 0..TRIES {
            let (own, app_too, caller, write) = (Arc::clone(self), Arc::clone(app), caller.clone(), write.clone());
            let planned = self.turns.take(move || own.plan(&app_too, &caller, &write)).await?;
            if outcome(app.writer.record(planned.events).await?)? {
                return Ok(planned.then);
            }
        }
        Err(Refused::later("conflict", "other servers on this store give out the same numbers; send it again"))
    }

    /// Judges a request by the ledger, and makes its events ready.
    fn plan(
        &self,
        app: &App,
        caller: &Caller,
        write: &dyn Fn(&mut Pen<'_>) -> Result<Then, Error>,
    ) -> Result<Planned, Refused> {
        let ledger = self.current(app)?;
        let actor = caller.principal().unwrap_or(&app.actor);
        let stamp = Stamp {
            now: app.now().0 / 1_000_000,
            actor,
            chance: &random::bytes::<16>,
            is_made: &|namespace, name| app.view().is_ok_and(|view| mlflow::is_made(&view, namespace, name)),
        };
        let mut pen = Pen::new(&ledger, stamp);
        let then = write(&mut pen).map_err(refused)?;
        let written = pen.finish(then).map_err(refused)?;
        drop(ledger);
        for bytes in &written.keep {
            app.session.store.artifacts().put_bytes(bytes).map_err(|error| Refused::store(&error))?;
        }
        let (seal, keys) = (&app.session.config.seal, &app.session.keys);
        let sender = Sender { actor, principal: caller.principal(), seal, keys };
        let mut events = Vec::with_capacity(written.events.len());
        for mut event in written.events {
            caller.check_event(&event)?;
            event.principal = sender.principal.map(str::to_owned);
            let said = event.facets.as_str().to_owned();
            let prepared = delivery::prepared(vec![event], said.as_bytes(), &sender);
            events.extend(prepared.map_err(|refusal| refused(Error::invalid(refusal.to_string())))?);
        }
        Ok(Planned { events, then: written.then })
    }
}

/// The events of a request, and what is answered then.
struct Planned {
    events: Vec<Prepared>,
    then: Then,
}

/// Whether every event is recorded; false if another one has the id of the first.
fn outcome(appended: Vec<Appended>) -> Result<bool, Refused> {
    let mut all = true;
    for one in appended {
        match one {
            Appended::Recorded(_) | Appended::Duplicate(_) => {}
            Appended::Conflict(_) => all = false,
            Appended::Refused(refusal) => return Err(refused(Error::invalid(refusal.to_string()))),
        }
    }
    Ok(all)
}
