//! Reports: packs of Parquet tables, with the events that they follow from, that anyone can open and check.

mod contents;
mod documentation;
mod failure;
mod folder;
mod graph;
mod inventory;
mod judgements;
mod lineage;
mod log;
mod manifest;
mod moment;
mod name;
mod processing;
mod remade;
mod rows;
mod said;
mod schema;
mod slots;
mod summary;
pub mod tables;

use std::path::Path;
use std::sync::Arc;

pub use failure::ReportError;
pub use lineage::{Affected, affected};
pub use name::Report;
pub use remade::{Remade, keeps_values_elsewhere, remake};
pub use rows::Partition;
pub use schema::{Column, Of, Table, Type};

use lineage_store::StoreError;
use lineage_store::digest::Blake3;
use lineage_store::graph::View;
use lineage_store::time::Time;

use crate::engine::{Limits, ReadEvent, Request, Zone};
use contents::Asking;
use folder::{Entry, Folder};
use rows::Rows;

/// The name of the format of packs.
pub const SCHEMA: &str = "lineage.pack/1";

/// The name of the public key in a pack.
const KEY_FILE: &str = "log.vkey";

/// Calls for each event from a position up to, not including, another, in order, with its position and leaf.
pub type ReadLog =
    Arc<dyn Fn(u64, u64, &mut dyn FnMut(u64, &[u8]) -> Result<(), StoreError>) -> Result<(), StoreError> + Send + Sync>;

/// Files that a pack takes over as they are: the proofs of the log, and the program that checks them.
#[derive(Clone, Debug, Default)]
pub struct Proofs {
    /// Root of the tree over the first events up to the position, standard base64.
    pub head: Option<String>,
    /// The signed checkpoint of just these events.
    pub checkpoint: Option<Vec<u8>>,
    /// The public key of the log.
    pub key: Option<Vec<u8>>,
    /// The tiles of the tree of these events, by their paths below `tiles/`.
    pub tiles: Vec<(String, Vec<u8>)>,
    /// The verifier.
    pub verifier: Option<Vec<u8>>,
}

/// What is to be reported, with everything it may depend on.
pub struct Order<'a> {
    /// Which report.
    pub report: &'a Report,
    /// A view of everything recorded.
    pub view: &'a View,
    /// How many events count as recorded; `None`: all.
    pub size: Option<u32>,
    /// What had happened by then counts; `None`: by the instant at which the last event was recorded.
    pub as_of: Option<Time>,
    /// The first position of the tables of the log.
    pub since: u64,
    /// How the rows of these tables are spread over files.
    pub partition: Partition,
    /// Whether the canonical events are part of the pack.
    pub events: bool,
    /// Environments that count as known before their first deployment.
    pub environments: &'a [String],
    /// Parameters of questions.
    pub params: &'a [(String, String)],
    /// Reads a whole event by its position.
    pub whole: ReadEvent,
    /// Reads the log in order.
    pub log: ReadLog,
    /// Proofs of the log, if there are any.
    pub proofs: Proofs,
    /// The version of the program, written to the manifest.
    pub tool: &'a str,
    /// Reads a file of a question and gives the digest of its bytes.
    pub digest_of_file: &'a dyn Fn(&str) -> Result<Blake3, String>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The last position of the log that counts; `None` in an empty log.
    pub position: Option<u64>,
    /// The instant that the report speaks of.
    pub as_of: Time,
    /// Tables with their numbers of rows, by name.
    pub tables: Vec<(String, u64)>,
    /// Number of files, the manifest among them.
    pub files: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// What every table of a pack is written with.
struct Pack<'a> {
    folder: Folder,
    log: &'a ReadLog,
    /// The first position of the tables of the log.
    first: u64,
    /// How many events count as recorded.
    size: u32,
    partition: Partition,
    /// Metadata of each Parquet file.
    pairs: Vec<(String, String)>,
}

impl Pack<'_> {
    fn rows(&self, table: &'static Table) -> Rows<'_> {
        Rows::new(table, &self.folder, self.first, self.partition, &self.pairs)
    }
}

/// Writes a pack into a new or empty folder.
///
/// If it fails, the files that were written are removed. A damaged page of the index makes it
/// [`StoreError::Corrupt`]: the view is then to be folded from the journal and the report ordered again.
pub fn write(order: &Order<'_>, out: &Path) -> Result<Summary, ReportError> {
    let size = order.size.unwrap_or(order.view.count()).min(order.view.count());
    if order.since > u64::from(size) {
        return Err(ReportError::Since { since: order.since, size: size.into() });
    }
    let folder = Folder::create(out)?;
    let written = write_in(order, &folder, size);
    // Whatever came out, a bad page under it is the first thing to say.
    let written = order.view.check().map_err(ReportError::Store).and(written);
    if written.is_err() {
        folder.abandon();
    }
    written
}

fn write_in(order: &Order<'_>, folder: &Folder, size: u32) -> Result<Summary, ReportError> {
    let head = if size == order.view.count() { order.view.clone() } else { order.view.at(size, Time::MAX) };
    let recorded = size.checked_sub(1).map(|last| head.recorded(last));
    let as_of = order.as_of.or(recorded).unwrap_or(Time(0));
    if let Some(recorded) = recorded.filter(|recorded| as_of > *recorded) {
        return Err(ReportError::Ahead { as_of, recorded });
    }
    let request = Request {
        text: "",
        params: order.params,
        now: as_of,
        now_is_set: true,
        zone: Zone::default(),
        environments: order.environments,
        graph: None,
        events: order.whole.clone(),
        head: None,
        limits: Limits::default(),
        digest_of_file: order.digest_of_file,
    };
    let position = u64::from(size).checked_sub(1);
    let mut pairs = vec![
        ("lineage.schema_version".to_owned(), SCHEMA.to_owned()),
        ("lineage.report".to_owned(), order.report.name().to_owned()),
        ("lineage.as_of".to_owned(), as_of.to_string()),
    ];
    pairs.extend(position.map(|position| ("lineage.position".to_owned(), position.to_string())));
    let pack =
        Pack { folder: folder.clone(), log: &order.log, first: order.since, size, partition: order.partition, pairs };
    let asking = Asking { order, head: &head, request: &request, as_of, position };
    let mut contents = asking.contents(&pack)?;
    contents.others.extend(proofs(&order.proofs, folder)?);
    manifest::finish(&pack, &asking, contents)
}

/// Reads whole events one by one from the log.
fn event_reader(log: ReadLog) -> ReadEvent {
    std::rc::Rc::new(move |position| {
        let mut found = None;
        log(position.into(), u64::from(position) + 1, &mut |_, leaf| {
            found = Some(lineage_store::read_leaf(leaf, false)?.0);
            Ok(())
        })?;
        found.ok_or(StoreError::BeyondHead { position: position.into(), count: position.into() })
    })
}

/// Files that are taken over as they are.
fn proofs(proofs: &Proofs, folder: &Folder) -> Result<Vec<Entry>, ReportError> {
    let mut entries = Vec::new();
    let single = [("checkpoint", &proofs.checkpoint), (KEY_FILE, &proofs.key), ("verify.py", &proofs.verifier)];
    for (path, bytes) in single {
        if let Some(bytes) = bytes {
            entries.push(folder.write(path, bytes)?);
        }
    }
    for (path, bytes) in &proofs.tiles {
        entries.push(folder.write(format!("tiles/{path}"), bytes)?);
    }
    Ok(entries)
}
