//! The rows of a pack: its events are recorded in a store of their own, which makes the tables again.

use std::path::Path;
use std::time::Duration;

use lineage_query::report::{self, ReportError};
use lineage_store::time::Time;
use lineage_store::{Store, StoreError};

use super::Scope;
use super::pack::{Checked, Leaves};
use super::report::{Finding, Report};
use crate::commands::ingest::Bar;
use crate::commands::report::log_of;
use crate::render::count;

/// So many bytes are made durable at once.
const COMMIT_BYTES: usize = 8 * 1024 * 1024;

/// Checks that the tables of a pack follow from its events, all of which were found to be those of the tree.
pub(super) fn check(folder: &Path, leaves: Leaves, size: u64, scope: &Scope<'_>, report: &mut Report) -> Checked<()> {
    let failed = |error: &dyn std::fmt::Display| format!("the tables could not be made again: {error}");
    let scratch = tempfile::Builder::new().prefix("lineage-verify-").tempdir().map_err(|error| failed(&error))?;
    let mut bar = Bar::new(&scope.context.terminal, "events");
    let store = record(&scratch.path().join("store"), leaves, size, &mut bar).map_err(|error| failed(&error))?;
    bar.finish();
    let remade = remake(&store, folder, &scratch.path().join("pack"));
    let unchecked = |why: &str| format!("that the rows of the tables follow from the events was not checked: {why}");
    let remade = match remade {
        Ok(remade) => remade,
        Err(ReportError::Query { error, .. }) => {
            report.notes.push(unchecked(&error.to_string()));
            return Ok(());
        }
        Err(ReportError::Manifest { what }) => {
            report.notes.push(unchecked(&what));
            return Ok(());
        }
        Err(error) => return Err(failed(&error)),
    };
    let is_question = remade.is_question && !remade.differing.is_empty();
    if is_question && report::keeps_values_elsewhere(&log_of(&store), size).map_err(|error| failed(&error))? {
        let why = "some values are kept outside of the log, and are no part of the pack";
        report.notes.push(unchecked(why));
        return Ok(());
    }
    let (tables, rows) = (count(remade.tables as u64, "table"), count(remade.rows, "row"));
    report.checked.push(format!("rows: {tables} with {rows} made again from the events"));
    let finding = |what: String| Finding::new("pack", folder.display().to_string(), what);
    report.damage.extend(remade.differing.into_iter().map(finding));
    Ok(())
}

/// Records the events as they are, without the digests of what was received, which no report tells.
fn record(root: &Path, mut leaves: Leaves, size: u64, bar: &mut Bar) -> Checked<Store> {
    let failed = |error: StoreError| error.to_string();
    let store = Store::create(root, "format = 1\n").map_err(failed)?;
    let mut journal = store.journal().lock(Duration::ZERO).map_err(failed)?;
    while let Some(leaf) = leaves.next_leaf()? {
        journal.append(None, leaf, Time::MIN);
        if journal.pending().1.len() > COMMIT_BYTES {
            journal.commit().map_err(failed)?;
            bar.at(journal.count(), 2 * size);
        }
    }
    journal.commit().map_err(failed)?;
    drop(journal);
    store.rebuild(&mut |done, _| bar.at(size + done, 2 * size)).map_err(failed)?;
    Ok(store)
}

fn remake(store: &Store, folder: &Path, scratch: &Path) -> Result<report::Remade, ReportError> {
    let view = store.view().map_err(ReportError::Store)?;
    report::remake(folder, scratch, &view, &log_of(store), env!("CARGO_PKG_VERSION"))
}
