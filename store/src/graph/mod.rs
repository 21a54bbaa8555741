//! The graph index: what questions are answered from, folded from the journal and rebuilt from it at any time.

mod attempt;
mod context;
mod count;
mod fold;
pub(crate) mod folder;
mod instant;
mod join;
pub(crate) mod key;
mod mapped;
mod memory;
mod mention;
mod resolve;
mod segment;
mod stack;
mod tables;
mod value;
mod view;
mod whole;
mod writer;

pub(crate) use fold::Fold;
pub(crate) use stack::Stack;
pub use value::Value;
pub use view::{
    Adjacency, Assertion, Direction, EntityId, Fact, Made, Makes, Mention, Names, Position, SlotChange, Steps, Subject,
    Symbol, Use, VersionId, View,
};
