//! Exports: the same history in the formats of others.

mod openlineage;
mod prov;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;

use lineage_store::StoreError;
use lineage_store::event::Kind;
use lineage_store::graph::{Position, View};
use lineage_store::time::Time;

use crate::engine::bits::Bits;
use crate::engine::eval::Evaluator;
use crate::engine::resolve::Resolver;
use crate::engine::whole::Whole;
use crate::engine::world::World;
use crate::engine::{Class, Limits, QueryError, ReadEvent, Request, Zone};
use crate::report::ReadLog;
use crate::syntax;
use crate::syntax::ast::Body;

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Canonical events, one a line.
    Native,
    /// `OpenLineage` 2-0-2, one event a line.
    OpenLineage,
    /// W3C PROV-JSON, one document.
    Prov,
}

/// What is to be exported, with everything it may depend on.
pub struct Order<'a> {
    /// A view of everything recorded.
    pub view: &'a View,
    /// How many events count as recorded; `None`: all.
    pub size: Option<u32>,
    /// What had happened by then counts; `None`: everything.
    pub as_of: Option<Time>,
    /// The first position.
    pub since: u64,
    /// A question that selects steps, or versions with the steps that made them; `None`: all.
    pub query: Option<&'a str>,
    /// Parameters of the question.
    pub params: &'a [(String, String)],
    /// Environments that count as known before their first deployment.
    pub environments: &'a [String],
    /// Reads a whole event by its position.
    pub whole: ReadEvent,
    /// Reads the log in order.
    pub log: ReadLog,
    /// The version of the program.
    pub tool: &'a str,
    /// Reads a file of the question and gives the digest of its bytes.
    pub digest_of_file: &'a dyn Fn(&str) -> Result<lineage_store::digest::Blake3, String>,
}

/// What was exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// How many events were written; in PROV, how many activities.
    pub events: u64,
    /// How many events of each kind the format has no form for.
    pub left_out: BTreeMap<&'static str, u64>,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Writing failed; look at its kind to tell a closed pipe.
    #[error("the export could not be written: {0}")]
    Io(#[from] io::Error),
    /// The question has no answer.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A text is no set.
    #[error("`{text}` does not select steps, events or versions")]
    NoSet {
        /// The text.
        text: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for ExportError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What is exported: a world, and which of its steps.
struct Selection {
    world: World,
    first: Position,
    /// The steps that were asked for; `None`: all.
    steps: Option<Bits>,
}

impl Selection {
    /// Whether an event is exported.
    fn takes(&self, event: Position) -> bool {
        let view = &self.world.view;
        event >= self.first
            && view.sees(event)
            && self.steps.as_ref().is_none_or(|steps| steps.contains(view.leader(event)))
    }

    /// The events, by position.
    fn events(&self) -> impl Iterator<Item = Position> + '_ {
        (self.first..self.world.view.count()).filter(|event| self.takes(*event))
    }
}

/// Writes an export.
pub fn write(order: &Order<'_>, format: Format, out: &mut dyn Write) -> Result<Exported, ExportError> {
    let mut out = io::BufWriter::new(out);
    let selection = select(order)?;
    let exported = match format {
        Format::Native => native(order, &selection, &mut out)?,
        Format::OpenLineage => openlineage::write(order, &selection, &mut out)?,
        Format::Prov => prov::write(order, &selection, &mut out)?,
    };
    selection.world.whole.check()?;
    order.view.check()?;
    out.flush()?;
    Ok(exported)
}

fn select(order: &Order<'_>) -> Result<Selection, ExportError> {
    let size = order.size.unwrap_or(order.view.count()).min(order.view.count());
    let head = if size == order.view.count() { order.view.clone() } else { order.view.at(size, Time::MAX) };
    let last = size.checked_sub(1).map(|last| head.recorded(last));
    let now = order.as_of.or(last).unwrap_or(Time(0));
    let whole = Rc::new(Whole::new(Rc::clone(&order.whole)));
    let view = if order.as_of.is_some() { head.at(size, now) } else { head.clone() };
    let world = World::new(view, now, now, false, whole);
    let steps = order.query.map(|text| steps_of(order, text, &head, &world, now)).transpose()?;
    Ok(Selection { world, first: u32::try_from(order.since).unwrap_or(u32::MAX), steps })
}

/// The steps that a question selects: its steps and events, and those that made its versions.
fn steps_of(order: &Order<'_>, text: &str, head: &View, world: &World, now: Time) -> Result<Bits, ExportError> {
    let request = Request {
        text,
        params: order.params,
        now,
        now_is_set: true,
        zone: Zone::default(),
        environments: order.environments,
        graph: None,
        events: Rc::clone(&order.whole),
        head: None,
        limits: Limits::default(),
        digest_of_file: order.digest_of_file,
    };
    let statement =
        syntax::parse(text).map_err(|diagnostics| QueryError::Statement { class: Class::Syntax, diagnostics })?;
    let Body::Set(set) = &statement.body else {
        return Err(ExportError::NoSet { text: text.to_owned() });
    };
    let resolver = Resolver::new(&request, head);
    let plan = resolver.set(set, world).map_err(|error| QueryError::from(error).with_fixes(text))?;
    resolver.check_unused().map_err(QueryError::from)?;
    let nodes = Evaluator::new(world).set(&plan);
    let mut steps = nodes.steps(world);
    for version in nodes.versions.iter() {
        steps |= &Bits::of(world.makers(version));
    }
    Ok(steps)
}

fn native(order: &Order<'_>, selection: &Selection, out: &mut dyn Write) -> Result<Exported, ExportError> {
    let mut exported = Exported::default();
    let mut failed = None;
    let size = u64::from(selection.world.view.count());
    let first = u64::from(selection.first).min(size);
    let read = (order.log)(first, size, &mut |position, leaf| {
        if selection.takes(position as Position) {
            exported.events += 1;
            if let Err(error) = out.write_all(leaf).and_then(|()| out.write_all(b"\n")) {
                failed = Some(error);
                return Err(StoreError::Poisoned);
            }
        }
        Ok(())
    });
    match failed {
        Some(error) => Err(error.into()),
        None => read.map(|()| exported).map_err(ExportError::Store),
    }
}

/// Whether events of a kind are steps that use or make versions.
fn is_step(kind: Kind) -> bool {
    matches!(kind, Kind::Transform | Kind::Training | Kind::Evaluation | Kind::Register)
}
