//! The server as its endpoints see it: the store, the writer, who may do what, and what is counted.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use lineage_query::TreeHead;
use lineage_store::graph::View;
use lineage_store::time::Time;
use lineage_store::{StoreError, read_leaf};
use tokio::sync::watch;

use super::access::Access;
use super::limits::Limits;
use super::metrics::Metrics;
use super::reply::Refused;
use super::turns::Turns;
use super::writer::Writer;
use crate::commands::question;
use crate::session::Session;

/// So many questions are answered at once; each may use a whole core.
const QUESTIONS: usize = 4;
/// So many may wait for their turn.
const QUESTIONS_WAITING: usize = 64;

/// Everything that endpoints share.
pub(crate) struct App {
    /// The open store with its settings.
    pub(crate) session: Arc<Session>,
    /// The actor of events that come without a token.
    pub(crate) actor: String,
    /// The way into the journal.
    pub(crate) writer: Writer,
    /// Who may do what.
    pub(crate) access: Access,
    /// What a request may cost.
    pub(crate) limits: Limits,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// The number of recorded events, for those who follow.
    pub(crate) head: watch::Receiver<u64>,
    /// Becomes true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    questions: Turns,
    /// The newest view, with the number of events that the journal had.
    view: Mutex<Option<(u64, Arc<View>)>>,
    /// The newest tree head that was asked for, with the number of events that it covers.
    root: Arc<Mutex<Option<(u64, String)>>>,
}

impl App {
    pub(crate) fn new(
        session: Arc<Session>,
        writer: Writer,
        access: Access,
        limits: Limits,
        metrics: Arc<Metrics>,
        head: watch::Receiver<u64>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let actor = session.actor();
        let questions = Turns::new("questions", QUESTIONS, QUESTIONS_WAITING);
        Self {
            session,
            actor,
            writer,
            access,
            limits,
            metrics,
            head,
            stopping,
            questions,
            view: Mutex::default(),
            root: Arc::default(),
        }
    }

    /// The clock.
    pub(crate) fn now(&self) -> Time {
        self.session.context.now()
    }

    /// A view of everything that is recorded now; folded from the journal if the index is damaged.
    pub(crate) fn view(&self) -> Result<Arc<View>, StoreError> {
        let store = &self.session.store;
        let count = store.head()?.count;
        let mut newest = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, view)) = &*newest
            && *at == count
            && view.check().is_ok()
        {
            return Ok(Arc::clone(view));
        }
        let view = match store.view() {
            Err(StoreError::Corrupt { .. }) => store.view_of_journal()?,
            view => view?,
        };
        let view = Arc::new(view);
        *newest = Some((view.count().into(), Arc::clone(&view)));
        Ok(view)
    }

    /// Tree heads; that of the newest answer is kept, as most questions are asked at one position.
    pub(crate) fn tree_head(&self) -> TreeHead {
        let (kept, find) = (Arc::clone(&self.root), question::tree_head(&self.session));
        Rc::new(move |size| {
            if let Some((covered, root)) = &*kept.lock().unwrap_or_else(PoisonError::into_inner)
                && *covered == size
            {
                return Ok(root.clone());
            }
            let root = find(size)?;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((size, root.clone()));
            Ok(root)
        })
    }

    /// Reads whole events, from the journal.
    pub(crate) fn event(&self, position: u32) -> Result<lineage_store::event::Event, StoreError> {
        let record = self.session.store.journal().get(position.into())?;
        read_leaf(&record.leaf, record.received.is_some()).map(|(event, ..)| event)
    }

    /// Runs what reads the store on a thread that may block; only so many at once.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let app = Arc::clone(self);
        self.questions.take(move || work(&app)).await
    }
}
