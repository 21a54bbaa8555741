//! The truth and what is folded from it: events, journal, sled, artifacts, versions, graph index.

pub mod digest;
mod error;
pub mod event;
pub mod time;

pub use error::{Result, StoreError};
