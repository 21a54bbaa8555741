//! `lineage erase` and `lineage hold`: what is kept of a subject is destroyed, or kept from that.

use lineage_query::report::{Affected, affected};
use lineage_store::Store;
use lineage_store::erasure::{Erased, Kept, erasures_of};
use lineage_store::event::{Args, Event, Kind};
use lineage_store::time::Time;
use serde_json::json;

use super::report::log_of;
use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::render::{clean, count};
use crate::session::{Session, refused};
use lineage_ingest::file::Recorded;

const EXAMPLES: &str = "\
EXAMPLES
  lineage erase s-123 --basis \"request of 2026-11-20\"
  lineage erase s-123 --basis \"request\" --dry-run      what it would take away, and what derives from it
  lineage erase event:run-7-complete --basis \"contains an address\"   what one event keeps of nobody in particular
  lineage erase --list > erasures.ndjson               for later restores of older backups

The values go, and their key; the events stay, with digests that tell nothing, so that every proof still holds.";

const HOLD_EXAMPLES: &str = "\
EXAMPLES
  lineage hold s-123 --reason litigation
  lineage hold s-123 --reason litigation --until 2027-06-30T00:00:00Z
  lineage hold s-123 --reason \"case closed\" --release";

/// The length of a day.
const DAY_NANOS: i64 = 24 * 60 * 60 * 1_000_000_000;

/// Arguments of `lineage erase`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Erase {
    /// The pseudonym of the subject; event:ID for what an event keeps of nobody
    #[arg(required_unless_present = "list")]
    subject: Option<String>,
    /// On what basis
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["list", "dry_run"])]
    basis: Option<String>,
    /// A remark
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Say what would be taken away, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the erasures of this store, an event a line
    #[arg(long, conflicts_with_all = ["subject", "basis", "note", "dry_run"])]
    list: bool,
}

/// Arguments of `lineage hold`.
#[derive(Debug, clap::Args)]
#[command(after_help = HOLD_EXAMPLES)]
pub(crate) struct Hold {
    /// The pseudonym of the subject
    subject: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Until when [default: until it is released]
    #[arg(long, value_name = "TIME")]
    until: Option<Time>,
    /// Allow the erasure again
    #[arg(long, conflicts_with = "until")]
    release: bool,
}

impl Hold {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open_to_write()?;
        let mut fields = vec![("subject", json!(self.subject)), ("reason", json!(self.reason))];
        fields.extend(self.until.map(|until| ("until", json!(until.to_string()))));
        fields.extend(self.release.then_some(("release", json!(true))));
        let event = bookkeeping(&session, Kind::Hold, &fields)?;
        let what = if self.release { "may be erased again" } else { "is held back from erasure" };
        session.record_and_tell(event, &format!("{} {what}", clean(&self.subject)))
    }
}

fn bookkeeping(session: &Session, kind: Kind, fields: &[(&str, serde_json::Value)]) -> anyhow::Result<Event> {
    let mut event = session.event(kind);
    event.args = Args::build(kind, fields).map_err(|refusal| refused(&refusal))?;
    Ok(event)
}

impl Erase {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        if self.list {
            let session = context.open()?;
            context.terminal.write(erasures_of(&session.store)?.as_bytes())?;
            return Ok(ExitCode::Done);
        }
        let subject = self.subject.clone().unwrap_or_default();
        let session = if self.dry_run { context.open()? } else { context.open_to_write()? };
        let kept = kept_of(&session.store, &subject)?;
        let log = log_of(&session.store);
        let affected = session.with_view(|view| Ok(affected(view, &log, &subject)?))?;
        if self.dry_run {
            tell(&session, &subject, None, &affected, &foreseen(&kept), "would take away")?;
            return Ok(ExitCode::Done);
        }
        check_holds(&session, &subject)?;
        check_floors(&session, &kept)?;
        if kept.is_empty() && !session.keys.has(&subject)? {
            context
                .terminal
                .note(&format!("nothing is kept of {}; the erasure is recorded all the same", clean(&subject)));
        }
        let mut fields = vec![("subject", json!(subject)), ("basis", json!(self.basis.unwrap_or_default()))];
        fields.extend(self.note.map(|note| ("note", json!(note))));
        let event = bookkeeping(&session, Kind::Erase, &fields)?;
        let id = event.id.clone().unwrap_or_default();
        let recorded = session.record(event)?;
        let Recorded::At(position) = recorded else {
            session.tell_recorded(&recorded, &id, &format!("the erasure of {}", clean(&subject)))?;
            context.terminal.tell("nothing is taken away before that is recorded; run `lineage gc` afterwards");
            return Ok(ExitCode::Failed);
        };
        let erased = session.store.take_away(&session.keys, &subject, position)?;
        tell(&session, &subject, Some((position, &id)), &affected, &erased, "took away")?;
        Ok(session.finish(false))
    }
}

/// What recorded events keep of a subject.
fn kept_of(store: &Store, subject: &str) -> anyhow::Result<Vec<Kept>> {
    let mut found = Vec::new();
    store.kept(&mut |kept| {
        let of_nobody = kept.subject.is_none() && subject.strip_prefix("event:") == Some(&kept.id);
        if kept.subject.as_deref() == Some(subject) || of_nobody {
            found.push(kept);
        }
        Ok(())
    })?;
    Ok(found)
}

fn foreseen(kept: &[Kept]) -> Erased {
    let mut events: Vec<u64> = kept.iter().map(|kept| kept.position).collect();
    events.dedup();
    Erased { payloads: kept.len() as u64, events: events.len() as u64, ..Erased::default() }
}

fn check_holds(session: &Session, subject: &str) -> anyhow::Result<()> {
    let now = session.context.now();
    let hold = session.with_view(|view| Ok(session.store.hold_of(view, subject, now)?))?;
    let Some(hold) = hold else { return Ok(()) };
    let until = hold.until.map_or(String::new(), |until| format!(" until {until}"));
    let text =
        format!("the erasure of {subject} is held back{until} by event #{}: {}", hold.position, clean(&hold.reason));
    Err(Problem::failed(text).help(format!("release it with `lineage hold {subject} --reason TEXT --release`")).into())
}

/// Values that must be kept for some time yet are not erased.
fn check_floors(session: &Session, kept: &[Kept]) -> anyhow::Result<()> {
    let now = session.context.now();
    for kept in kept {
        let Some(days) = session.config.floor(&kept.namespace) else { continue };
        let recorded = session.with_view(|view| Ok(view.recorded(kept.position as u32)))?;
        let until = Time(recorded.0.saturating_add(i64::from(days) * DAY_NANOS));
        if until > now {
            let text = format!(
                "event #{} keeps its values until {until}: namespace {} retains them for {days} days",
                kept.position,
                clean(&kept.namespace)
            );
            let help = "wait, or change the setting: `lineage config set retain NAMESPACE=DAYS`";
            return Err(Problem::failed(text).help(help).into());
        }
    }
    Ok(())
}

fn tell(
    session: &Session,
    subject: &str,
    recorded: Option<(u64, &str)>,
    affected: &[Affected],
    erased: &Erased,
    did: &str,
) -> anyhow::Result<()> {
    let terminal = &session.context.terminal;
    if session.context.json {
        let versions = affected.iter().map(|version| {
            json!({
                "version": version.name,
                "digest": version.digest,
                "steps": version.steps,
                "live": version.environments,
            })
        });
        let object = json!({
            "subject": subject,
            "position": recorded.map(|(position, _)| position),
            "id": recorded.map(|(_, id)| id),
            "payloads": erased.payloads,
            "events": erased.events,
            "keys": erased.keys,
            "scrubbed": erased.scrubbed,
            "affected": versions.collect::<Vec<_>>(),
        });
        return Ok(terminal.print(&object.to_string())?);
    }
    if let Some((position, _)) = recorded {
        terminal.print(&format!("recorded #{position}: the erasure of {}", clean(subject)))?;
    }
    terminal.print(&format!(
        "{did} {} of {}, {}, and {} of rejects, spool and cut files",
        count(erased.payloads, "value"),
        count(erased.events, "event"),
        count(erased.keys, "key"),
        count(erased.scrubbed, "line")
    ))?;
    if affected.is_empty() {
        return Ok(terminal.print("no recorded version holds or derives from values of it")?);
    }
    terminal.print(&format!("{} hold values of it or derive from them:", count(affected.len() as u64, "version")))?;
    for version in affected {
        let steps = if version.steps == 0 { "holds them".to_owned() } else { count(version.steps.into(), "step") };
        let live = match version.environments.as_slice() {
            [] => String::new(),
            live => format!(", live in {}", live.join(", ")),
        };
        terminal.print(&format!("  {}  {steps}{live}", clean(&version.name)))?;
    }
    Ok(())
}
