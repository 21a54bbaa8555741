//! Evidence: proofs that agree between implementations, forgeries that nobody accepts, damage and rewriting that is found.

pub mod agree;
pub mod flips;
pub mod forge;
pub mod large;
pub mod log;
pub mod python;
pub mod rewrite;
pub mod vectors;
