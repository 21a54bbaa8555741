//! Whole events: what they say beyond what the index holds, such as code, facets and the texts of saved queries.

use std::cell::RefCell;
use std::rc::Rc;

use lineage_store::StoreError;
use lineage_store::event::Event;
use lineage_store::graph::Position;

/// Reads the whole event at a position.
pub type ReadEvent = Rc<dyn Fn(u32) -> Result<Event, StoreError>>;

/// Tells the head of the log's tree over the first so many events, as it stands in checkpoints.
pub type TreeHead = Rc<dyn Fn(u64) -> Result<String, StoreError>>;

/// Reads whole events, and remembers the last one and whether reading failed.
pub(crate) struct Whole {
    read: ReadEvent,
    last: RefCell<Option<(Position, Rc<Event>)>>,
    failed: RefCell<Option<StoreError>>,
}

impl Whole {
    pub(crate) fn new(read: ReadEvent) -> Self {
        Self { read, last: RefCell::default(), failed: RefCell::default() }
    }

    /// The event at a position; `None` if it cannot be read, which [`Self::check`] tells.
    pub(crate) fn event(&self, position: Position) -> Option<Rc<Event>> {
        if let Some((_, event)) = self.last.borrow().as_ref().filter(|(at, _)| *at == position) {
            return Some(Rc::clone(event));
        }
        match (self.read)(position) {
            Ok(event) => {
                let event = Rc::new(event);
                *self.last.borrow_mut() = Some((position, Rc::clone(&event)));
                Some(event)
            }
            Err(error) => {
                self.failed.borrow_mut().get_or_insert(error);
                None
            }
        }
    }

    /// The first failure; an answer counts only if this is `Ok` after it.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.failed.borrow_mut().take().map_or(Ok(()), Err)
    }
}
