//! The ledger of the server, brought up to the journal before each use, and the way of a request into the journal.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use lineage_ingest::delivery::{self, Sender};
use lineage_ingest::mlflow::{self, Error, Ledger, Pen, Stamp, Then};
use lineage_store::Appended;
use lineage_store::event::Prepared;

use super::super::access::Caller;
use super::super::app::App;
use super::super::reply::Refused;
use super::refused;
use crate::random;

/// How often a request is judged anew because another server on the same store gave out the same number.
const TRIES: usize = 16;

/// What `MLflow`'s requests share.
#[derive(Default)]
pub(super) struct Tracking {
    ledger: RwLock<Ledger>,
}

impl Tracking {
    /// The ledger with everything that is recorded now, whichever process recorded it.
    pub(super) fn current(&self, app: &App) -> Result<RwLockReadGuard<'_, Ledger>, Refused> {
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
            let (tracking, caller, write) = (Arc::clone(self), caller.clone(), write.clone());
            let planned = app.read(move |app| tracking.plan(app, &caller, &write)).await?;
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
