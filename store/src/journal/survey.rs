//! The survey: every record that is good and every place that is not, for `verify` and repair.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use super::Shared;
use super::head::Head;
use super::line::{Lines, Record, parse};
use super::sealed::{self, Index};
use super::segment::{self, Chunk, Form, Segment, log_path};
use super::turns::{Ending, Turns};
use super::verify::Damage;
use crate::error::{Result, StoreError};
use crate::proof::Hash;

/// The segments for each thread that are worked on, or wait for their turn.
const SEGMENTS_AHEAD: usize = 3;

/// What a survey hands over.
pub(crate) enum Found<'a> {
    /// A good record.
    Record(Record<'a>),
    /// A place that is damaged.
    Damage(Damage),
}

type Sink<'a> = &'a mut dyn FnMut(Found<'_>) -> Result<()>;

/// Reads everything that is published, in order, past every damage.
pub(crate) fn survey(shared: &Shared, head: &Head, sink: Sink<'_>) -> Result<()> {
    let mut segments = segment::list(&shared.dir)?;
    // A later segment is one that a writer is about to publish.
    segments.retain(|segment| segment.base <= head.segment);
    let mut at = 0;
    for (i, segment) in segments.iter().enumerate() {
        if segment.base > at {
            missing(shared, at..segment.base, sink)?;
        }
        let end = segments
            .get(i + 1)
            .map_or(if segment.base == head.segment { head.count } else { head.segment }, |s| s.base);
        let end = end.min(head.count);
        at = survey_segment(shared, *segment, segment.base..end, head, sink)?;
        if at < end {
            missing(shared, at..end, sink)?;
            at = end;
        }
    }
    if at < head.count || segments.last().is_none_or(|last| last.base < head.segment) {
        missing(shared, at..head.count, sink)?;
    }
    Ok(())
}

fn missing(shared: &Shared, positions: Range<u64>, sink: Sink<'_>) -> Result<()> {
    sink(Found::Damage(missing_segment(shared, &positions)))
}

fn missing_segment(shared: &Shared, positions: &Range<u64>) -> Damage {
    let file = log_path(&shared.dir, positions.start);
    Damage::new(file, 0, positions.start, positions, "the segment is missing")
}

/// What is in one segment: the hashes of the good records, and every damage.
#[derive(Default)]
pub(crate) struct Surveyed {
    /// The positions that it should hold.
    pub(crate) positions: Range<u64>,
    pub(crate) leaves: Vec<(u64, Hash)>,
    pub(crate) damage: Vec<Damage>,
    /// Of the last good record.
    pub(crate) checksum: Option<u32>,
}

/// Surveys the segments from that of a position on, by several threads, and hands them over in order.
///
/// Each thread takes the next segment when it is done with one; only so many are held at a time, so memory is bounded.
pub(crate) fn survey_hashed(
    shared: &Shared,
    head: &Head,
    from: u64,
    n_threads: usize,
    sink: &mut dyn FnMut(Surveyed) -> Result<()>,
) -> Result<()> {
    let mut segments = segment::list(&shared.dir)?;
    segments.retain(|segment| segment.base <= head.segment);
    let plan: Vec<(Segment, Range<u64>)> = (0..segments.len())
        .map(|i| {
            let last = if segments[i].base == head.segment { head.count } else { head.segment };
            let end = segments.get(i + 1).map_or(last, |next| next.base).min(head.count);
            (segments[i], segments[i].base..end)
        })
        .filter(|(segment, positions)| positions.end > from || segment.base == head.segment)
        .collect();
    let n_threads = n_threads.clamp(1, plan.len().max(1));
    let mut at = plan.first().map_or(from, |(segment, _)| segment.base.min(from));
    let window = SEGMENTS_AHEAD * n_threads;
    let turns = Turns::new(plan.len(), window);
    std::thread::scope(|scope| {
        let (done, results) = sync_channel(window);
        for _ in 0..n_threads {
            let (done, turns, plan) = (done.clone(), &turns, &plan);
            scope.spawn(move || {
                let _ending = Ending(turns);
                while let Some(i) = turns.claim() {
                    let (segment, positions) = &plan[i];
                    // Nobody listens once something failed.
                    if done.send((i, hash_segment(shared, *segment, positions.clone(), head))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(done);
        let _ending = Ending(&turns);
        let mut early = BTreeMap::new();
        for (i, (segment, _)) in plan.iter().enumerate() {
            while !early.contains_key(&i) {
                let Ok((done, surveyed)) = results.recv() else { break };
                early.insert(done, surveyed);
            }
            let Some(surveyed) = early.remove(&i) else {
                return Err(StoreError::corrupt(segment.path(&shared.dir), 0, "it could not be read to its end"));
            };
            turns.took();
            let (surveyed, end) = surveyed?;
            if segment.base > at {
                sink(lost(shared, at..segment.base))?;
            }
            let wanted = surveyed.positions.end;
            sink(surveyed)?;
            at = end;
            if at < wanted {
                sink(lost(shared, at..wanted))?;
                at = wanted;
            }
        }
        let is_short = segments.last().is_none_or(|last| last.base < head.segment);
        if at < head.count || is_short { sink(lost(shared, at..head.count)) } else { Ok(()) }
    })
}

fn lost(shared: &Shared, positions: Range<u64>) -> Surveyed {
    Surveyed { damage: vec![missing_segment(shared, &positions)], positions, ..Surveyed::default() }
}

/// Surveys one segment; what is in it, and where it ends.
fn hash_segment(shared: &Shared, segment: Segment, positions: Range<u64>, head: &Head) -> Result<(Surveyed, u64)> {
    let mut surveyed = Surveyed { positions: positions.clone(), ..Surveyed::default() };
    let end = survey_segment(shared, segment, positions, head, &mut |found| {
        match found {
            Found::Record(record) => {
                surveyed.leaves.push((record.position, Hash::leaf(record.leaf)));
                surveyed.checksum = Some(record.checksum);
            }
            Found::Damage(damage) => surveyed.damage.push(damage),
        }
        Ok(())
    })?;
    Ok((surveyed, end))
}

/// Reads one segment, which should hold the positions given; where it ends.
pub(super) fn survey_segment(
    shared: &Shared,
    mut segment: Segment,
    positions: Range<u64>,
    head: &Head,
    sink: Sink<'_>,
) -> Result<u64> {
    let mut path = segment.path(&shared.dir);
    let mut opened = File::open(&path);
    if opened.is_err() && segment.form == Form::Log {
        // It was sealed meanwhile.
        segment.form = Form::Sealed;
        path = segment.path(&shared.dir);
        opened = File::open(&path);
    }
    let file = match opened {
        Ok(file) => file,
        Err(error) => {
            let what = format!("it cannot be opened: {error}");
            sink(Found::Damage(Damage::new(path, 0, segment.base, &positions, what)))?;
            return Ok(positions.end);
        }
    };
    let active = segment.base == head.segment;
    let mut tracker =
        Tracker { path: &path, base: segment.base, next: positions.start, end: positions.end, open: active, bad: None };
    match segment.form {
        Form::Log => survey_log(&file, active.then_some(head.length), &mut tracker, sink)?,
        Form::Sealed => survey_sealed(&file, &mut tracker, sink)?,
    }
    let end = tracker.end;
    tracker.finish(sink).map(|()| end)
}

fn survey_log(file: &File, published: Option<u64>, tracker: &mut Tracker<'_>, sink: Sink<'_>) -> Result<()> {
    let length = file.metadata().map_err(StoreError::io("read", tracker.path))?.len();
    let limit = published.unwrap_or(length);
    let mut chunk = Chunk::default();
    let mut offset = 0;
    while offset < limit {
        if let Err(error) = chunk.read_lines(file, offset, limit) {
            tracker.bad(offset, format!("it cannot be read: {error}"));
            return Ok(());
        }
        if chunk.bytes.is_empty() {
            tracker.bad(offset, format!("the file has {length} bytes, the head names {limit}"));
            return Ok(());
        }
        tracker.lines(&chunk, true, sink)?;
        offset += chunk.stored;
    }
    Ok(())
}

fn survey_sealed(file: &File, tracker: &mut Tracker<'_>, sink: Sink<'_>) -> Result<()> {
    let index = match Index::read(file, tracker.path, tracker.base) {
        Ok(index) => index,
        Err(error) => {
            tracker.error(error);
            return Ok(());
        }
    };
    if index.end > tracker.end && !tracker.open {
        tracker.bad(0, format!("it ends before position {}, not {}", index.end, tracker.end));
    }
    // Where a good index ends too early, the segment after it is missing.
    tracker.end = tracker.end.min(index.end);
    let mut chunk = Chunk::default();
    for frame in &index.frames {
        match sealed::read_frame(file, tracker.path, frame, &mut chunk) {
            Ok(()) => tracker.lines(&chunk, false, sink)?,
            Err(error) => tracker.error(error),
        }
    }
    Ok(())
}

/// Follows the positions of one segment and finds the gaps.
struct Tracker<'a> {
    path: &'a Path,
    base: u64,
    next: u64,
    end: u64,
    /// It was written to when the head was read, and may have been sealed with more since.
    open: bool,
    /// Where the damage begins that the next good record ends.
    bad: Option<(u64, String)>,
}

impl Tracker<'_> {
    fn bad(&mut self, offset: u64, what: impl Into<String>) {
        self.bad.get_or_insert_with(|| (offset, what.into()));
    }

    fn error(&mut self, error: StoreError) {
        match error {
            StoreError::Corrupt { offset, what, .. } => self.bad(offset, what),
            other => self.bad(0, other.to_string()),
        }
    }

    fn lines(&mut self, chunk: &Chunk, plain: bool, sink: Sink<'_>) -> Result<()> {
        for (at, line) in Lines::new(&chunk.bytes) {
            let offset = chunk.offset + if plain { at as u64 } else { 0 };
            match parse(line) {
                Err(what) => self.bad(offset, what),
                Ok(record) => self.record(record, offset, sink)?,
            }
        }
        Ok(())
    }

    fn record(&mut self, record: Record<'_>, offset: u64, sink: Sink<'_>) -> Result<()> {
        if self.open && record.position >= self.end {
            return Ok(());
        }
        if record.position < self.next || record.position >= self.end {
            self.bad(offset, format!("position {} where {} belongs", record.position, self.next));
            return Ok(());
        }
        if record.position > self.next {
            self.bad(offset, format!("position {} where {} belongs", record.position, self.next));
        }
        self.report(record.position, sink)?;
        self.next = record.position + 1;
        sink(Found::Record(record))
    }

    fn report(&mut self, until: u64, sink: Sink<'_>) -> Result<()> {
        match self.bad.take() {
            None => Ok(()),
            Some((offset, what)) => {
                let path = self.path.to_owned();
                sink(Found::Damage(Damage::new(path, offset, self.base, &(self.next..until), what)))
            }
        }
    }

    fn finish(mut self, sink: Sink<'_>) -> Result<()> {
        if self.next < self.end {
            let (next, end) = (self.next, self.end);
            self.bad(0, format!("positions {next} to {} are missing", end - 1));
        }
        self.report(self.end, sink)
    }
}

impl Damage {
    pub(super) fn new(
        file: PathBuf,
        offset: u64,
        segment: u64,
        positions: &Range<u64>,
        what: impl Into<String>,
    ) -> Self {
        Self {
            file,
            offset,
            position: positions.start,
            count: positions.end - positions.start,
            what: what.into(),
            segment,
        }
    }
}
