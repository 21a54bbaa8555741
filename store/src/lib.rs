//! The truth and what is folded from it: events, journal, sled, artifacts, versions, graph index.

pub mod artifact;
pub mod background;
pub mod digest;
pub mod erasure;
mod error;
pub mod event;
mod event_store;
pub mod graph;
pub mod journal;
mod layout;
pub mod payload;
pub mod proof;
mod store;
pub mod time;

pub use error::{Result, StoreError};
pub use event_store::{Difference, EventStore};
pub use layout::{FOLDER, Layout, STORE_FORMAT};
pub use store::{Appended, Done, Reader, Store, read_leaf};
