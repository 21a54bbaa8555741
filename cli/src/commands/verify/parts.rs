//! The parts of a store, each checked.

use std::path::Path;

use anyhow::Context as _;
use lineage_store::digest::Blake3;
use lineage_store::erasure::Keys;
use lineage_store::journal::JournalReport;
use lineage_store::proof::timestamp::Stamp;
use lineage_store::proof::{Edge, ProofReport, Proofs, StoredCheckpoint, TreeCheck, VerifierKey, verified_edge};
use lineage_store::time::Time;
use lineage_store::{EventStore, Store, read_leaf};

use super::Scope;
use super::anchors::Anchored;
use super::report::{Finding, Report};
use crate::commands::ingest::Bar;
use crate::render::{count, size};
use crate::session::Session;
use crate::signing;

/// Checks every part, what does not need another at the same time.
pub(super) fn check(session: &Session, scope: &Scope<'_>) -> anyhow::Result<Report> {
    let store = &session.store;
    let mut report = Report::default();
    let files = std::thread::scope(|threads| {
        let events = threads.spawn(|| part(|report| check_events(store, report)));
        let files = threads.spawn(|| part(|report| check_files(store, report)));
        check_log(session, scope, &mut report)?;
        set_aside(store, &mut report);
        // Copies are checked after the truth, which says what is wrong with it once.
        let events = joined(events.join())?;
        report.take(events);
        check_graph(store, &mut report)?;
        joined(files.join())
    })?;
    report.take(files);
    Ok(report)
}

/// What one part comes to.
fn part(check: impl FnOnce(&mut Report) -> anyhow::Result<()>) -> anyhow::Result<Report> {
    let mut report = Report::default();
    check(&mut report).map(|()| report)
}

/// What a thread came to; its panic goes on here.
fn joined<T>(result: std::thread::Result<anyhow::Result<T>>) -> anyhow::Result<T> {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Journal, tree, tiles and checkpoints, in one pass over the journal.
fn check_log(session: &Session, scope: &Scope<'_>, report: &mut Report) -> anyhow::Result<()> {
    let store = &session.store;
    let proofs = store.proofs();
    let key = public_key(session, scope, report)?;
    let edge = start(&proofs, scope, report)?;
    let from = edge.size();
    let kept = scope.anchors.checkpoints();
    let mut tree = TreeCheck::new(&proofs, key.as_ref(), edge, &kept)?;
    let mut bar = Bar::new(&scope.context.terminal, "events");
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    let journal =
        store
            .journal()
            .verify_from(from, n_threads, &mut |done, total| bar.at(done, total), &mut |_, hash| tree.leaf(hash));
    bar.finish();
    match journal {
        Ok(journal) => check_journal(&journal, report),
        Err(error) => return report.add("journal", error),
    }
    let (found, compared) = tree.finish()?;
    report.anchored = Anchored::of(compared, |position| recorded(store, position));
    let (stored, _) = proofs.checkpoints().all()?;
    let compared: Vec<_> = report.anchored.compared.iter().map(|compared| compared.kept.clone()).collect();
    if found.damage.is_empty() {
        let all: Vec<_> = stored.iter().map(|stored| &stored.signed).chain(&compared).collect();
        for what in report.anchored.add_cosignatures(&scope.anchors.witnesses, &all) {
            report.damage.push(Finding::new("checkpoint", "a cosignature".to_owned(), what));
        }
    }
    check_stamps(&proofs, &stored, report)?;
    check_kept(scope, key.as_ref(), report);
    tell_proofs(store, &found, from, report);
    report.proofs = Some(found);
    Ok(())
}

/// Where the check begins: at the first event, or after what was verified before.
fn start(proofs: &Proofs, scope: &Scope<'_>, report: &mut Report) -> anyhow::Result<Edge> {
    if !scope.incremental {
        return Ok(Edge::default());
    }
    let Some(verified) = proofs.checkpoints().verified()? else {
        report.notes.push("nothing was verified before, so everything is read".to_owned());
        return Ok(Edge::default());
    };
    match verified_edge(proofs, verified.size, verified.root) {
        Ok(edge) => {
            let (events, then) = (count(verified.size, "event"), crate::render::time(verified.time));
            report.notes.push(format!("not read again: {events}, verified at {then}; --full reads everything"));
            Ok(edge)
        }
        Err(error) => {
            report.add("tiles", error)?;
            Ok(Edge::default())
        }
    }
}

/// The key that checkpoints are checked with; what is wrong with the one in the store.
fn public_key(session: &Session, scope: &Scope<'_>, report: &mut Report) -> anyhow::Result<Option<VerifierKey>> {
    let stored = signing::public_key(session)?;
    let file = || signing::public_path(session).display().to_string();
    let stored = match stored {
        Some(Ok(key)) => Some(key),
        Some(Err(error)) => {
            let finding = Finding::new("checkpoint", file(), error.to_string());
            report.damage.push(Finding { offset: Some(0), ..finding });
            None
        }
        None => None,
    };
    match (scope.key, &stored) {
        (Some(named), Some(stored)) if named != stored => {
            let what = format!("it names {stored}, not the key that was given");
            report.damage.push(Finding::new("checkpoint", file(), what));
        }
        _ => {}
    }
    Ok(scope.key.cloned().or(stored))
}

/// Time stamps: of the checkpoint beside them, or of something else.
fn check_stamps(proofs: &Proofs, stored: &[StoredCheckpoint], report: &mut Report) -> anyhow::Result<()> {
    for (size, file) in proofs.checkpoints().stamps()? {
        let kept = stored.iter().find(|stored| stored.signed.size() == size);
        let stamp = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let file = file.display();
        match (Stamp::parse(&stamp), kept) {
            (Ok(stamp), Some(kept)) if stamp.is_of(kept.signed.note().text().as_bytes()) => report.notes.push(format!(
                "{file} stamps the checkpoint of {} at {}; the signature of the authority was not checked",
                count(size, "event"),
                stamp.time
            )),
            (Ok(_), None) => report.notes.push(format!("the checkpoint that {file} stamps is not kept here")),
            (stamp, _) => {
                let what = stamp.err().map_or_else(|| "it stamps something else".to_owned(), |error| error.to_string());
                let finding = Finding::new("checkpoint", file.to_string(), what);
                report.damage.push(Finding { offset: Some(0), ..finding });
            }
        }
    }
    Ok(())
}

/// Whether the checkpoints from outside are signed with the key of the log.
fn check_kept(scope: &Scope<'_>, key: Option<&VerifierKey>, report: &mut Report) {
    for (file, signed) in &scope.anchors.kept {
        let file = file.display();
        match key.map(|key| signed.verify(key)) {
            Some(Ok(())) => {}
            Some(Err(error)) => report.notes.push(format!(
                "{file} is not signed with the key of this log ({error}); its tree head was compared all the same"
            )),
            None => report.notes.push(format!("the signature of {file} was not checked: there is no public key")),
        }
    }
}

fn check_journal(journal: &JournalReport, report: &mut Report) {
    let read = if journal.first > 0 { format!(" from #{} on", journal.first) } else { String::new() };
    let events = count(journal.count - journal.first, "event");
    report.checked.push(format!("journal: {} of {events}{read} good", journal.good));
    for damage in &journal.damage {
        let what = format!("{} ({})", damage.what, count(damage.count, "event"));
        let finding = Finding::new("journal", damage.file.display().to_string(), what);
        let positions = Some((damage.position, damage.count));
        report.damage.push(Finding { offset: Some(damage.offset), positions, ..finding });
    }
    let listed = journal.damage.len() as u64;
    if journal.damaged > listed {
        report.notes.push(format!("{} more damages are not listed", journal.damaged - listed));
    }
    if journal.unpublished > 0 {
        let bytes = size(journal.unpublished);
        report.notes.push(format!("{bytes} behind the head of the journal, which the next writer publishes or cuts"));
    }
    for cut in &journal.cut {
        report.notes.push(format!("{} were moved out of the journal to {}", size(cut.bytes), cut.file.display()));
    }
}

fn tell_proofs(store: &Store, found: &ProofReport, from: u64, report: &mut Report) {
    let (events, tiles) = (count(found.size - from, "event"), count(found.tiles, "tile"));
    report.checked.push(format!("tree: {events} hashed, {tiles} compared, head {}", found.root));
    let covered = found.newest.as_ref().map_or(0, lineage_store::proof::SignedCheckpoint::size);
    let newest = match &found.newest {
        Some(newest) => format!(", the newest covers {} of {}", newest.size(), count(found.size, "event")),
        None => String::new(),
    };
    let signed = count(found.checkpoints, "checkpoint");
    report.checked.push(format!("checkpoints: {signed}, signatures and tree heads{newest}"));
    if covered < found.size {
        let rest = count(found.size - covered, "event");
        report.notes.push(format!("not covered by a checkpoint yet: {rest}; `lineage checkpoint` signs the head"));
    }
    let tiles = store.layout().part("tiles");
    for damage in &found.damage {
        let part = if damage.file.starts_with(&tiles) { "tiles" } else { "checkpoint" };
        let part = if damage.is_event { "journal" } else { part };
        let finding = Finding::new(part, damage.file.display().to_string(), damage.what.clone());
        let positions = damage.position.map(|position| (position, 1)).filter(|_| damage.is_event);
        report.damage.push(Finding { offset: Some(damage.offset), positions, ..finding });
    }
    let listed = found.damage.len() as u64;
    if found.damaged > listed {
        report.notes.push(format!("{} more damages of tiles and checkpoints are not listed", found.damaged - listed));
    }
}

/// When an event was recorded.
fn recorded(store: &Store, position: u64) -> Time {
    let record = store.journal().get(position);
    let leaf = record.and_then(|record| read_leaf(&record.leaf, record.received.is_some()));
    leaf.map_or(Time::MIN, |(.., recorded)| recorded)
}

fn check_graph(store: &Store, report: &mut Report) -> anyhow::Result<()> {
    match store.verify_graph() {
        Ok(n) => {
            let rest = store.head()?.count.saturating_sub(n);
            let rest = if rest > 0 { format!("; {rest} more are not sealed in it yet") } else { String::new() };
            report.checked.push(format!("graph index: {} compared with the journal{rest}", count(n, "event")));
        }
        // What the journal has lost is said once.
        Err(_) if report.has("journal") => {
            report.notes.push("the graph index cannot be compared before the journal is repaired".to_owned());
        }
        Err(error) => report.add("graph", error)?,
    }
    Ok(())
}

fn check_events(store: &Store, report: &mut Report) -> anyhow::Result<()> {
    let folder = store.layout().part("sled");
    let Some(events) = EventStore::open(&folder)? else {
        report
            .notes
            .push("the event store was not checked: another process holds it, or the folder is read-only".to_owned());
        return Ok(());
    };
    if events.is_rebuilding() {
        report
            .notes
            .push("the event store was damaged and is set aside; the next writing command fills a new one".to_owned());
    }
    let head = store.head()?.count;
    let differences = match events.verify_against(store.journal()) {
        Ok(differences) => differences,
        Err(error) => return report.add("event store", error),
    };
    report.checked.push(format!("event store: {} compared with the journal", count(events.head(), "event")));
    for difference in differences {
        let behind = difference.position == events.head() && events.head() < head;
        if behind {
            // Not caught up yet is no damage.
            report.notes.push(format!("the event store is {} behind the journal", count(difference.count, "event")));
        } else if !difference.what.starts_with("damaged in the journal") {
            let what = format!("{} ({})", difference.what, count(difference.count, "event"));
            let finding = Finding::new("event store", folder.display().to_string(), what);
            report.damage.push(Finding { positions: Some((difference.position, difference.count)), ..finding });
        }
    }
    Ok(())
}

fn check_files(store: &Store, report: &mut Report) -> anyhow::Result<()> {
    let artifacts = store.artifacts().verify_all(&mut |_| {})?;
    let mut n_artifacts = 0;
    store.artifacts().list(&mut |_, _| n_artifacts += 1)?;
    report.checked.push(format!("artifacts: {} hashed again", count(n_artifacts, "file")));
    for damage in artifacts {
        let finding = Finding::new("artifacts", damage.file.display().to_string(), damage.what);
        report.damage.push(Finding { digest: digest_in(&damage.file), ..finding });
    }
    check_payloads(store, report)
}

/// Every value that an event keeps outside of itself is read, hashed and opened; and the segments must be whole.
fn check_payloads(store: &Store, report: &mut Report) -> anyhow::Result<()> {
    let mut n_payloads = 0;
    store.payloads().list(&mut |_, _| n_payloads += 1)?;
    report.checked.push(format!("payloads: {} hashed again", count(n_payloads, "value")));
    let keys = Keys::new(&store.layout().part("keys"), [0; 32]);
    // What the journal cannot tell is told of the journal.
    let missing = match store.missing(&keys) {
        Err(error) if error.is_corrupt() => {
            report.notes.push("values outside of events were not looked for, as the journal is damaged".to_owned());
            Vec::new()
        }
        missing => missing?,
    };
    for flaw in store.payloads().check()? {
        let place = format!("{} at byte {}", flaw.file.display(), flaw.offset);
        if flaw.is_leftover && missing.is_empty() {
            report
                .notes
                .push(format!("{place}: a writer that was stopped left bytes of no event; `lineage gc` cuts them"));
        } else {
            report.damage.push(Finding::new("payloads", place, flaw.what.to_owned()));
        }
    }
    for missing in missing {
        let kept = missing.kept;
        let place = match store.payloads().spot(&kept.digest)? {
            Some(spot) => format!("{} in {} at byte {}", kept.path, spot.file.display(), spot.offset),
            None => format!("{} ({})", kept.path, kept.digest),
        };
        let finding = Finding::new("payloads", place, missing.what.to_owned());
        report.damage.push(Finding { positions: Some((kept.position, 1)), ..finding });
    }
    Ok(())
}

/// The digest that the path of an artifact names.
fn digest_in(path: &Path) -> Option<Blake3> {
    let (name, folder) = (path.file_name()?.to_str()?, path.parent()?.file_name()?.to_str()?);
    Blake3::from_hex(&format!("{folder}{name}"))
}

/// What was given up as damaged and is kept.
fn set_aside(store: &Store, report: &mut Report) {
    let Ok(entries) = std::fs::read_dir(store.layout().root()) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("sled.damaged-") {
            let path = entry.path();
            report.notes.push(format!("an event store that was damaged is kept in {}", path.display()));
        }
    }
}
