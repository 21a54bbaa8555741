//! Erasure: values that stand outside of events, under keys that can be destroyed, and what an erasure takes away.

mod backup;
mod cipher;
mod collect;
mod copy;
mod erase;
mod keys;
mod scrub;
mod subject;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests;

pub use backup::{BackedUp, Restored, backup, erasures_of, restore};
pub use collect::Collected;
pub use erase::{Erased, Missing};
pub use keys::Keys;
pub use subject::{HoldState, Kept};

pub(crate) use cipher::{aad, open, seal};
pub(crate) use keys::Key;
pub(crate) use subject::sealed_in;
