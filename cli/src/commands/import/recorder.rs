//! The store of a session, into which a history is imported.

use std::cell::OnceCell;
use std::io::Read;

use lineage_ingest::delivery::{self, Sender};
use lineage_ingest::mlflow::import::{ImportError, Target};
use lineage_ingest::mlflow::{self, Error, Ledger, Written};
use lineage_store::Appended;
use lineage_store::artifact::Stored;
use lineage_store::graph::View;

use crate::session::Session;

/// The store of a session.
pub(super) struct Recorder<'a> {
    pub(super) session: &'a Session,
    /// What was known when the import began.
    pub(super) view: OnceCell<Option<View>>,
    pub(super) recorded: u64,
    pub(super) duplicate: u64,
}

impl Target for Recorder<'_> {
    fn record(&mut self, ledger: &mut Ledger, written: Written) -> Result<(), ImportError> {
        let (store, keys) = (&self.session.store, &self.session.keys);
        for bytes in &written.keep {
            store.artifacts().put_bytes(bytes)?;
        }
        let sender = Sender { actor: "", principal: None, seal: &self.session.config.seal, keys };
        let refused =
            |what: &str, why: String| ImportError::Refused { what: what.to_owned(), error: Error::invalid(why) };
        let mut events = Vec::with_capacity(written.events.len());
        let mut ids = Vec::with_capacity(written.events.len());
        for event in written.events {
            let said = event.facets.as_str().to_owned();
            let id = event.id.clone().unwrap_or_default();
            let prepared = delivery::prepared(vec![event], said.as_bytes(), &sender);
            let prepared = prepared.map_err(|refusal| refused(&id, refusal.to_string()))?;
            ids.resize(ids.len() + prepared.len(), id);
            events.extend(prepared);
        }
        for (id, appended) in ids.iter().zip(store.append(events, self.session.context.now())?) {
            match appended {
                Appended::Recorded(_) => self.recorded += 1,
                Appended::Duplicate(_) => self.duplicate += 1,
                Appended::Conflict(at) => {
                    return Err(refused(id, format!("another event with this id is recorded at #{at}")));
                }
                Appended::Refused(refusal) => return Err(refused(id, refusal.to_string())),
            }
        }
        Ok(ledger.follow(store, keys, store.head()?.count)?)
    }

    fn store(&mut self, bytes: &mut dyn Read) -> Result<Stored, ImportError> {
        Ok(self.session.store.artifacts().put_from(bytes)?)
    }

    fn is_made(&self, namespace: &str, name: &str) -> bool {
        let view = self.view.get_or_init(|| self.session.store.view().ok());
        view.as_ref().is_some_and(|view| mlflow::is_made(view, namespace, name))
    }
}
