//! The tables that follow the log event by event, and the canonical events themselves.

use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc;

use flate2::Compression;
use flate2::write::GzEncoder;
use lineage_store::event::{Event, Json, Kind, Outcome, canonical};
use lineage_store::graph::Position;
use lineage_store::time::Time;
use lineage_store::{StoreError, read_leaf};

use super::folder::{Entry, Folder};
use super::moment::Moment;
use super::rows::{Cell, Rows, Written, cells};
use super::{Pack, ReportError, tables};

/// The name of the canonical events.
pub(super) const EVENTS_FILE: &str = "events.ndjson.gz";
/// A member of the compressed events has about this many bytes of lines: enough to compress well, few enough to wait in
/// the channel between the thread that reads and the one that compresses.
const MEMBER_BYTES: usize = 4 * 1024 * 1024;
/// So many members wait at most.
const MEMBERS_WAITING: usize = 2;
/// Fast rather than small: the log is also in the store, and an auditor unpacks it once.
const LEVEL: u32 = 1;

/// Which of the tables of the log are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) events: bool,
    pub(super) runs: bool,
    pub(super) measurements: bool,
    pub(super) decisions: bool,
    /// The canonical events as they are.
    pub(super) lines: bool,
}

/// The canonical events of a pack, complete.
pub(super) struct Lines {
    pub(super) entry: Entry,
    pub(super) count: u64,
    pub(super) raw_bytes: u64,
}

/// What came of a pass over the log.
#[derive(Default)]
pub(super) struct Passed {
    pub(super) tables: Vec<Written>,
    pub(super) lines: Option<Lines>,
}

struct Tables<'f> {
    events: Option<Rows<'f>>,
    runs: Option<Rows<'f>>,
    measurements: Option<Rows<'f>>,
    approvals: Option<Rows<'f>>,
    erasures: Option<Rows<'f>>,
}

/// Reads the log once and writes what is wanted of it.
pub(super) fn pass(pack: &Pack<'_>, moment: &Moment<'_>, wanted: Wanted) -> Result<Passed, ReportError> {
    let mut tables = Tables {
        events: wanted.events.then(|| pack.rows(&tables::EVENTS)),
        runs: wanted.runs.then(|| pack.rows(&tables::RUNS)),
        measurements: wanted.measurements.then(|| pack.rows(&tables::MEASUREMENTS)),
        approvals: wanted.decisions.then(|| pack.rows(&tables::APPROVALS)),
        erasures: wanted.decisions.then(|| pack.rows(&tables::ERASURES)),
    };
    let parses = wanted.events || wanted.runs || wanted.measurements || wanted.decisions;
    let mut passed = Passed::default();
    if !parses && !wanted.lines {
        return Ok(passed);
    }
    let (sender, receiver) = mpsc::sync_channel::<Vec<u8>>(MEMBERS_WAITING);
    let folder = &pack.folder;
    std::thread::scope(|scope| {
        let compressed = wanted.lines.then(|| scope.spawn(move || compress(folder, &receiver)));
        let read = read(pack, moment, &mut tables, parses, wanted, sender);
        let lines = compressed.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        // If compressing failed, reading ended early without an error of its own.
        let lines = lines.transpose()?;
        let count = read?;
        passed.lines = lines.map(|(entry, raw_bytes)| Lines { entry, count, raw_bytes });
        Ok::<(), ReportError>(())
    })?;
    let Tables { events, runs, measurements, approvals, erasures } = tables;
    for rows in [events, runs, measurements, approvals, erasures].into_iter().flatten() {
        passed.tables.push(rows.finish()?);
    }
    Ok(passed)
}

/// Reads the events; the number of those from the first position on.
fn read(
    pack: &Pack<'_>,
    moment: &Moment<'_>,
    tables: &mut Tables<'_>,
    parses: bool,
    wanted: Wanted,
    sender: mpsc::SyncSender<Vec<u8>>,
) -> Result<u64, ReportError> {
    // State is told of everything, however few events are new.
    let first = if wanted.runs { 0 } else { pack.first };
    let mut member = Vec::with_capacity(if wanted.lines { MEMBER_BYTES + MEMBER_BYTES / 4 } else { 0 });
    let mut count = 0;
    let mut failed = None;
    // Ends the reading; what is told is why.
    let ended = || StoreError::Poisoned;
    (pack.log)(first, pack.size.into(), &mut |position, leaf| {
        let is_new = position >= pack.first;
        count += u64::from(is_new);
        if wanted.lines && is_new {
            // Writing to memory cannot fail.
            write!(member, "{{\"position\":{position},\"leaf\":").ok();
            member.extend_from_slice(leaf);
            member.extend_from_slice(b"}\n");
            if member.len() >= MEMBER_BYTES {
                let full = std::mem::replace(&mut member, Vec::with_capacity(MEMBER_BYTES + MEMBER_BYTES / 4));
                sender.send(full).map_err(|_| ended())?;
            }
        }
        if parses {
            let (event, id, recorded) = read_leaf(leaf, false)?;
            let told = tables.tell(moment, position as Position, is_new, &event, &id, recorded);
            // An error of the pack ends the reading, as one of the log would.
            told.map_err(|error| {
                failed = Some(error);
                ended()
            })?;
        }
        Ok(())
    })
    .map_err(|error| failed.take().unwrap_or(ReportError::Store(error)))?;
    if wanted.lines && (!member.is_empty() || count == 0) {
        sender.send(member).ok();
    }
    // The other thread ends when nothing more can come.
    drop(sender);
    Ok(count)
}

/// Compresses what comes, a member each; the file, and the bytes before compression.
fn compress(folder: &Folder, members: &mpsc::Receiver<Vec<u8>>) -> Result<(Entry, u64), ReportError> {
    let failed = ReportError::io("write", Path::new(EVENTS_FILE));
    let write = |sink: &mut super::folder::Sink, member: &[u8]| {
        let mut encoder = GzEncoder::new(sink, Compression::new(LEVEL));
        encoder.write_all(member)?;
        encoder.finish().map(|_| ())
    };
    let mut sink = folder.begin(EVENTS_FILE)?;
    let mut raw_bytes = 0;
    for member in members {
        raw_bytes += member.len() as u64;
        if let Err(error) = write(&mut sink, &member) {
            return Err(failed(error));
        }
    }
    Ok((sink.finish()?, raw_bytes))
}

impl Tables<'_> {
    fn tell(
        &mut self,
        moment: &Moment<'_>,
        position: Position,
        is_new: bool,
        event: &Event,
        id: &str,
        recorded: Time,
    ) -> Result<(), ReportError> {
        let view = &moment.world.view;
        let (step, counts) = (view.leader(position), view.sees(position));
        if let Some(rows) = self.events.as_mut().filter(|_| is_new) {
            rows.push(&event_row(moment, position, event, id, recorded))?;
        }
        if let Some(rows) = &mut self.runs
            && step == position
        {
            run_row(rows, moment, position, event.run.as_deref())?;
        }
        if let Some(rows) = self.measurements.as_mut().filter(|_| counts && is_new) {
            for (section, json) in [("metric", &event.metrics), ("param", &event.params)] {
                measurement_rows(rows, section, json, cells![position, step, recorded])?;
            }
        }
        if let Some(rows) = self.approvals.as_mut().filter(|_| counts && is_new && event.kind == Kind::Approve) {
            approval_row(rows, moment, position, event, recorded)?;
        }
        if let Some(rows) = self.erasures.as_mut().filter(|_| counts && is_new) {
            erasure_row(rows, moment, position, event, recorded)?;
        }
        Ok(())
    }
}

/// The text of an object that is not empty.
fn object(json: &Json) -> Option<&str> {
    (!json.is_empty()).then(|| json.as_str())
}

fn event_row<'a>(
    moment: &'a Moment<'_>,
    position: Position,
    event: &'a Event,
    id: &'a str,
    recorded: Time,
) -> [Cell<'a>; 31] {
    let view = &moment.world.view;
    cells![
        position,
        view.leader(position),
        id,
        event.kind.as_str(),
        view.time(position),
        recorded,
        event.actor.as_str(),
        event.principal.as_deref(),
        event.namespace.as_str(),
        event.job.as_deref(),
        event.run.as_deref(),
        u32::from(view.attempt(position)),
        event.state.as_str(),
        event.outcome.map(Outcome::as_str),
        event.environment.as_deref(),
        event.service.as_deref(),
        event.evidence.as_str(),
        view.is_hidden(position),
        view.sees(position),
        event.inputs.len(),
        event.outputs.len(),
        event.about.len(),
        &event.tags,
        object(event.args.json()),
        object(&event.params),
        object(&event.metrics),
        object(&event.code),
        object(&event.software),
        object(&event.facets),
        object(&event.outlined),
        object(&event.sealed),
    ]
}

/// A row of an attempt whose first recorded event is this one, if it counts at all.
fn run_row(rows: &mut Rows<'_>, moment: &Moment<'_>, step: Position, run: Option<&str>) -> Result<(), ReportError> {
    let world = moment.world;
    let view = &world.view;
    let events = world.events_of(step);
    let kind = world.step_kind(step);
    let Some(started) = events.iter().map(|event| view.time(*event)).min().filter(|_| kind.makes_edges()) else {
        return Ok(());
    };
    let last = world.final_event(step);
    rows.push(&cells![
        step,
        last,
        kind.as_str(),
        view.text(view.namespace(step)),
        moment.text(view.job(step)),
        run,
        u32::from(view.attempt(step)),
        view.state(last).as_str(),
        started,
        view.time(last),
        view.recorded(step),
        view.text(view.actor(last)),
        view.evidence(last).as_str(),
        events.len(),
    ])
}

fn measurement_rows(
    rows: &mut Rows<'_>,
    section: &str,
    json: &Json,
    [position, step, recorded]: [Cell<'_>; 3],
) -> Result<(), ReportError> {
    let mut members = json.members();
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (key, value) in members {
        let number: Option<f64> = value.parse().ok().filter(|n: &f64| n.is_finite());
        let text = number.is_none().then(|| canonical::text_of(value).unwrap_or_else(|| value.to_owned()));
        rows.push(&cells![position, step, recorded, section, key.as_ref(), number, text.as_ref()])?;
    }
    Ok(())
}

fn approval_row(
    rows: &mut Rows<'_>,
    moment: &Moment<'_>,
    position: Position,
    event: &Event,
    recorded: Time,
) -> Result<(), ReportError> {
    let args = &event.args;
    let mut about = super::said::about(event);
    about.extend(event.run.iter().map(|run| format!("run {run}")));
    rows.push(&cells![
        position,
        moment.world.view.time(position),
        recorded,
        event.actor.as_str(),
        event.principal.as_deref(),
        args.text("step").as_deref().unwrap_or_default(),
        args.text("role").as_deref(),
        args.time("expires"),
        &about,
        args.text("note").as_deref(),
    ])
}

fn erasure_row(
    rows: &mut Rows<'_>,
    moment: &Moment<'_>,
    position: Position,
    event: &Event,
    recorded: Time,
) -> Result<(), ReportError> {
    let args = &event.args;
    let (action, reason) = match event.kind {
        Kind::Erase => ("erase", args.text("basis")),
        Kind::Hold if args.flag("release") => ("release", args.text("reason")),
        Kind::Hold => ("hold", args.text("reason")),
        _ => return Ok(()),
    };
    rows.push(&cells![
        position,
        moment.world.view.time(position),
        recorded,
        event.actor.as_str(),
        event.principal.as_deref(),
        action,
        args.text("subject").as_deref().unwrap_or_default(),
        reason.as_deref().unwrap_or_default(),
        args.time("until"),
        args.text("note").as_deref(),
    ])
}
