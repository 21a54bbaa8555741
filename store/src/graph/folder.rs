//! The folder of segment files: opening the chain that covers the log, sealing the tail, joining segments as they grow.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fold::Fold;
use super::segment::{self, Segment};
use super::stack::Stack;
use crate::error::{Result, StoreError};

/// The most segments that a reader has to look through.
const SEGMENTS_MAX: usize = 12;
/// The most events of a segment that a bulk load gathers at its end; it takes about half a second a million.
const GATHER_EVENTS_MAX: u32 = 2_000_000;
/// A small load does not rewrite a large segment: the older one is at most this many times as large as the newer.
const GATHER_RATIO_MAX: u32 = 8;
/// How often a reader looks again when a file vanished because its segment was joined to another.
const RETRIES: usize = 8;

/// A segment file by its name: first position, end, path.
type Named = (u32, u32, PathBuf);

/// Opens the longest chain of segments from position 0 on.
///
/// A damaged header is an error; the index is then rebuilt from the journal.
pub(crate) fn open(folder: &Path) -> Result<Stack> {
    for _ in 0..RETRIES {
        match open_once(folder) {
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            result => return result,
        }
    }
    open_once(folder)
}

fn open_once(folder: &Path) -> Result<Stack> {
    let mut stack = Stack::default();
    for (_, _, path) in chain(&list(folder)?) {
        let segment = Segment::open(&path)?;
        let expected = stack.next_bases();
        if segment.bases != expected {
            return Err(StoreError::corrupt(&path, 0, "the segment does not continue the one before it"));
        }
        stack.push(Arc::new(segment));
    }
    Ok(stack)
}

fn list(folder: &Path) -> Result<Vec<Named>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", folder)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(StoreError::io("list", folder))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".seg"));
        let range = name.and_then(|n| n.split_once('-')).and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        if let Some((start, end)) = range {
            files.push((start, end, path));
        }
    }
    Ok(files)
}

/// From each position on the longest segment: joined files win over their parts.
fn chain(files: &[Named]) -> Vec<Named> {
    let mut chain: Vec<Named> = Vec::new();
    loop {
        let at = chain.last().map_or(0, |(_, end, _)| *end);
        match files.iter().filter(|(start, end, _)| *start == at && *end > at).max_by_key(|(_, end, _)| *end) {
            Some(next) => chain.push(next.clone()),
            None => return chain,
        }
    }
}

/// Seals the tail of a fold as a segment and joins segments of like size.
///
/// Only the holder of the journal's lock may, with a stack that [`is_current`].
pub(crate) fn seal(folder: &Path, fold: &mut Fold) -> Result<()> {
    seal_tail(folder, fold)?;
    let joined = join(folder, fold.stack().clone())?;
    adopt(folder, fold, joined)
}

/// Seals the tail of a fold as a segment of its own; the rest of [`seal`] can then go on beside the fold.
pub(crate) fn seal_tail(folder: &Path, fold: &mut Fold) -> Result<()> {
    if fold.tail_len() == 0 {
        return Ok(());
    }
    let mut stack = fold.stack().clone();
    let (tables, bases) = fold.derived_tail();
    stack.push(Arc::new(segment::write(folder, tables, &bases)?));
    fold.sealed(stack);
    Ok(())
}

/// Joins segments of like size; the files of their parts stay.
pub(crate) fn join(folder: &Path, mut stack: Stack) -> Result<Stack> {
    while let Some((a, b)) = joinable(&stack) {
        join_last_two(folder, &mut stack, &a, &b)?;
    }
    Ok(stack)
}

/// Gives a fold the joined form of its segments, and removes the files of their parts.
///
/// Only the holder of the journal's lock may.
pub(crate) fn adopt(folder: &Path, fold: &mut Fold, joined: Stack) -> Result<()> {
    remove_joined(folder, &joined)?;
    fold.joined(joined);
    Ok(())
}

/// Joins all segments after a bulk load, so that a question looks in one place; large ones are left as they are.
///
/// Only the holder of the journal's lock may, with a stack that [`is_current`].
pub(crate) fn gather(folder: &Path, mut stack: Stack) -> Result<()> {
    while let [.., a, b] = stack.segments()
        && a.n_events().saturating_add(b.n_events()) <= GATHER_EVENTS_MAX
        && a.n_events() <= b.n_events().saturating_mul(GATHER_RATIO_MAX)
    {
        let (a, b) = (Arc::clone(a), Arc::clone(b));
        join_last_two(folder, &mut stack, &a, &b)?;
    }
    remove_joined(folder, &stack)
}

fn join_last_two(folder: &Path, stack: &mut Stack, a: &Segment, b: &Segment) -> Result<()> {
    let joined = segment::write_joined(folder, a, b)?;
    stack.replace_last_two(Arc::new(joined));
    Ok(())
}

/// Removes the files whose events are in a segment of the stack, and what writers that died left half-written.
///
/// Another process may still answer from those removed here; it has them mapped.
fn remove_joined(folder: &Path, stack: &Stack) -> Result<()> {
    let is_part = |path: &Path| stack.segments().iter().any(|segment| segment.path() == path);
    let end = stack.segments().last().map_or(0, |segment| segment.end());
    for (_, until, path) in list(folder)? {
        if until <= end && !is_part(&path) {
            remove(&path)?;
        }
    }
    for path in temporaries(folder)? {
        remove(&path)?;
    }
    Ok(())
}

fn temporaries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(StoreError::io("list", folder))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|e| e == "tmp")).collect())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The last two segments, if the older one is not at least twice as large, or if there are too many.
fn joinable(stack: &Stack) -> Option<(Arc<Segment>, Arc<Segment>)> {
    let [.., a, b] = stack.segments() else { return None };
    let like = a.n_events() < b.n_events().saturating_mul(2) || stack.segments().len() > SEGMENTS_MAX;
    like.then(|| (Arc::clone(a), Arc::clone(b)))
}

/// Whether a stack is what the files say: another process may have sealed and joined segments since it was opened.
pub(crate) fn is_current(folder: &Path, stack: &Stack) -> Result<bool> {
    let chain = chain(&list(folder)?);
    Ok(chain.iter().map(|(_, _, path)| path.as_path()).eq(stack.segments().iter().map(|segment| segment.path())))
}

/// Removes every segment file, so that the index is folded anew.
pub(crate) fn clear(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(StoreError::io("list", folder))? {
        let path = entry.map_err(StoreError::io("list", folder))?.path();
        fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
    }
    Ok(())
}

/// The stack of a fold with its tail on top, for reading.
pub(crate) fn snapshot(fold: &mut Fold) -> Result<Stack> {
    if fold.tail_len() == 0 {
        return Ok(fold.stack().clone());
    }
    let stack = fold.stack().clone();
    let (tables, bases) = fold.derived_tail();
    Ok(stack.with(Some(Arc::new(Segment::in_memory(tables, &bases)?))))
}

/// Compares sealed segments with a fold of the same events; the first column that differs is an error.
pub(crate) fn compare(stack: &Stack, fold: &mut Fold) -> Result<()> {
    for segment in stack.segments() {
        segment.check()?;
    }
    let Some(first) = stack.segments().first() else { return Ok(()) };
    let mut joined = Arc::clone(first);
    for next in &stack.segments()[1..] {
        joined = Arc::new(Segment::joined(&joined, next)?);
    }
    let (tables, bases) = fold.derived_tail();
    let fresh = Segment::in_memory(tables, &bases)?;
    match joined.first_difference(&fresh) {
        Some(column) => {
            let what = format!("the column `{column}` of the graph index differs from the journal");
            Err(StoreError::corrupt(first.path(), 0, what))
        }
        None => Ok(()),
    }
}
