//! `lineage verify`: everything that is stored, checked; and repaired on request.

use std::time::Duration;

use lineage_store::journal::JournalReport;
use lineage_store::{EventStore, Store, StoreError};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::ExitCode;
use crate::render::{clean, count, size};

use super::ingest::Bar;

const EXAMPLES: &str = "\
EXAMPLES
  lineage verify
  lineage verify --repair    restore what is damaged from the second copy of each event

Without a checkpoint that is kept elsewhere the best verdict is CONSISTENT, UNANCHORED: what is here fits together,
but nobody outside can vouch that it was not replaced as a whole.";

/// Arguments of `lineage verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// Restore what is damaged, as far as a good copy is there
    #[arg(long)]
    repair: bool,
}

/// What was checked, and what is wrong.
#[derive(Default)]
struct Report {
    checked: Vec<String>,
    damage: Vec<Finding>,
    notes: Vec<String>,
    repaired: Vec<String>,
}

/// One damage.
struct Finding {
    part: &'static str,
    place: String,
    position: Option<u64>,
    what: String,
}

impl Verify {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open()?;
        let mut report = Report::default();
        check(&session.store, context, &mut report)?;
        if self.repair {
            let before = std::mem::take(&mut report);
            let repaired = if before.damage.is_empty() { Vec::new() } else { repair(&session.store, &before.damage)? };
            // A journal that could not be mended is told by the second look.
            drop(catch_up(&session.store));
            check(&session.store, context, &mut report)?;
            report.repaired = repaired;
        }
        report.tell(context)?;
        Ok(if report.damage.is_empty() { ExitCode::Done } else { ExitCode::Damaged })
    }
}

fn check(store: &Store, context: &Context, report: &mut Report) -> anyhow::Result<()> {
    let mut bar = Bar::new(&context.terminal, "events");
    match store.journal().verify(&mut |done, total| bar.at(done, total)) {
        Ok(journal) => check_journal(&journal, report),
        Err(error) => report.add("journal", error)?,
    }
    set_aside(store, report);
    check_events(store, report)?;
    match store.verify_graph() {
        Ok(n) => {
            let rest = store.head()?.count.saturating_sub(n);
            let rest = if rest > 0 { format!("; {rest} more are not sealed in it yet") } else { String::new() };
            report.checked.push(format!("graph index: {} compared with the journal{rest}", count(n, "event")));
        }
        // What the journal has lost is said once.
        Err(_) if report.damage.iter().any(|finding| finding.part == "journal") => {
            report.notes.push("the graph index cannot be compared before the journal is repaired".to_owned());
        }
        Err(error) => report.add("graph", error)?,
    }
    bar.finish();
    check_files(store, context, report)
}

fn check_journal(journal: &JournalReport, report: &mut Report) {
    report.checked.push(format!("journal: {} of {} good", journal.good, count(journal.count, "event")));
    for damage in &journal.damage {
        report.damage.push(Finding {
            part: "journal",
            place: format!("{} at byte {}", damage.file.display(), damage.offset),
            position: Some(damage.position),
            what: format!("{} ({})", damage.what, count(damage.count, "event")),
        });
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
            report.damage.push(Finding {
                part: "event store",
                place: folder.display().to_string(),
                position: Some(difference.position),
                what: format!("{} ({})", difference.what, count(difference.count, "event")),
            });
        }
    }
    Ok(())
}

fn check_files(store: &Store, context: &Context, report: &mut Report) -> anyhow::Result<()> {
    let mut bar = Bar::new(&context.terminal, "bytes");
    let mut bytes = 0;
    let mut progress = |read: u64| {
        bytes += read;
        bar.at(bytes, 0);
    };
    let artifacts = store.artifacts().verify_all(&mut progress)?;
    let payloads = store.payloads().verify(&mut progress)?;
    let (mut n_artifacts, mut n_payloads) = (0, 0);
    store.artifacts().list(&mut |_, _| n_artifacts += 1)?;
    store.payloads().list(&mut |_, _| n_payloads += 1)?;
    bar.finish();
    report.checked.push(format!("artifacts: {} hashed again", count(n_artifacts, "file")));
    report.checked.push(format!("payloads: {} hashed again", count(n_payloads, "file")));
    for (part, list) in [("artifacts", artifacts), ("payloads", payloads)] {
        for damage in list {
            let place = damage.file.display().to_string();
            report.damage.push(Finding { part, place, position: None, what: damage.what });
        }
    }
    Ok(())
}

/// Fills what the event store lacks, so that each event has its second copy.
fn catch_up(store: &Store) -> anyhow::Result<()> {
    if let Some(mut events) = EventStore::open(&store.layout().part("sled"))? {
        events.catch_up(store.journal(), u64::MAX, Duration::MAX)?;
        events.close()?;
    }
    Ok(())
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

/// Mends what has a second copy; what was done.
fn repair(store: &Store, damage: &[Finding]) -> anyhow::Result<Vec<String>> {
    let has = |part: &str| damage.iter().any(|finding| finding.part == part);
    let mut done = Vec::new();
    if has("journal") {
        match EventStore::open(&store.layout().part("sled"))? {
            Some(events) => {
                let repaired = store.journal().repair_from(&events)?;
                done.push(format!("{} of the journal restored from the event store", count(repaired.records, "event")));
                done.extend(
                    repaired.kept.iter().map(|kept| format!("the damaged bytes are kept in {}", kept.display())),
                );
                done.extend(repaired.failed.iter().map(|what| format!("not repaired: {what}")));
            }
            None => done.push("the journal was not repaired: another process holds the event store".to_owned()),
        }
    }
    let journal_is_good = store.journal().verify(&mut |_, _| {})?.is_good();
    if journal_is_good && (has("event store") || has("graph")) {
        let events = store.rebuild(&mut |_, _| {})?;
        done.push(format!("graph index and event store rebuilt from {} of the journal", count(events, "event")));
    }
    if has("artifacts") || has("payloads") {
        done.push("damaged artifacts have no second copy here; `lineage add` the same file again".to_owned());
    }
    Ok(done)
}

impl Report {
    /// Takes damage that came as an error; any other error ends the command.
    fn add(&mut self, part: &'static str, error: StoreError) -> anyhow::Result<()> {
        match error {
            StoreError::Corrupt { path, offset, what } => {
                let place = format!("{} at byte {offset}", path.display());
                self.damage.push(Finding { part, place, position: None, what });
                Ok(())
            }
            error => Err(error.into()),
        }
    }

    fn verdict(&self) -> &'static str {
        if self.damage.is_empty() { "CONSISTENT, UNANCHORED" } else { "DAMAGED" }
    }

    fn tell(&self, context: &Context) -> anyhow::Result<()> {
        if context.json {
            context.terminal.print(&self.json().to_string())?;
            return Ok(());
        }
        let damage = self.damage.iter().map(|finding| {
            let position = finding.position.map_or(String::new(), |position| format!(", #{position}"));
            format!("damaged  {}: {}{position}: {}", finding.part, finding.place, clean(&finding.what))
        });
        let mut lines: Vec<String> = self.repaired.iter().map(|line| format!("repaired {line}")).collect();
        lines.extend(self.checked.iter().map(|line| format!("checked  {line}")));
        lines.extend(damage);
        lines.extend(self.notes.iter().map(|line| format!("note     {line}")));
        let more = match self.damage.len() as u64 {
            0 => "what is here fits together; no checkpoint kept elsewhere vouches for it".to_owned(),
            n => count(n, "damage"),
        };
        lines.push(format!("{}: {more}", self.verdict()));
        context.terminal.print(&lines.join("\n"))?;
        if !self.damage.is_empty() && self.repaired.is_empty() {
            context.terminal.tell("help: `lineage verify --repair` restores what has a second copy");
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let damage: Vec<_> = self
            .damage
            .iter()
            .map(|f| json!({ "part": f.part, "place": f.place, "position": f.position, "what": f.what }))
            .collect();
        json!({
            "verdict": self.verdict(),
            "consistent": self.damage.is_empty(),
            "anchored": false,
            "checked": self.checked,
            "damage": damage,
            "notes": self.notes,
            "repaired": self.repaired,
        })
    }
}
