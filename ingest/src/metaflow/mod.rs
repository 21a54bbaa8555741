//! Metaflow's metadata service: what its clients write becomes events, and what they read is answered from those.
//!
//! A [`Ledger`] folds the events of the namespace [`NAMESPACE`] by position, and nothing else: it is the same whether it
//! was kept or folded anew. A write is planned against it and becomes events with facets: `metaflow` says what the event
//! is in the terms of the service, `sent` is what the client sent, whole, `follows` what was inferred. Rows of metadata
//! and artifacts stay in the events; the ledger knows where they stand.

mod artifact;
mod attempt;
mod created;
mod denied;
mod flow;
mod follow;
mod heartbeat;
mod kinds;
mod ledger;
mod metadata;
mod pattern;
mod place;
mod planned;
mod run;
mod said;
mod step;
mod tag;
mod task;
#[cfg(test)]
mod tests;

pub use artifact::{ArtifactList, ArtifactRow, Wanted};
pub use denied::Denied;
pub use flow::FlowRow;
pub use heartbeat::{ANSWER as HEARTBEAT, Beats};
pub use kinds::Kinds;
pub use ledger::Ledger;
pub use metadata::{MetadataList, MetadataRow};
pub use pattern::Pattern;
pub use place::Place;
pub use planned::Planned;
pub use run::RunRow;
pub use said::Kept;
pub use step::StepRow;
pub use task::TaskRow;

/// The namespace of everything that comes over this protocol.
pub const NAMESPACE: &str = "metaflow";

/// The version of Netflix's service whose calls are served; clients ask for it before they use attempts, tags, filters.
pub const SERVICE_VERSION: &str = "2.5.1";

/// Who writes, and what artifacts are.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The actor of what names no user.
    pub caller: &'a str,
    /// Which artifacts are models or datasets.
    pub kinds: &'a Kinds,
}
