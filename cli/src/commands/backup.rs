//! `lineage backup` and `lineage restore`: the truth of a store as plain copies, and a store made from them.

use std::path::PathBuf;

use anyhow::Context as _;
use lineage_store::FOLDER;
use lineage_store::erasure;
use serde_json::json;

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::random;
use crate::render::{count, size};

const EXAMPLES: &str = "\
EXAMPLES
  lineage backup /mnt/backups/2026-11-20
  lineage backup /mnt/backups/2026-11-20 --keys /mnt/vault/2026-11-20.keys

Journal, artifacts, sealed values, tiles, checkpoints and settings are copied; keys only to a file of their own.
Keep that file elsewhere: with it the values of an erased subject can be read again in an old backup.";

const RESTORE_EXAMPLES: &str = "\
EXAMPLES
  lineage erase --list > erasures.ndjson               in the store that is to be replaced
  lineage restore /mnt/backups/2026-11-20 --keys /mnt/vault/2026-11-20.keys --erasures erasures.ndjson
  lineage restore /mnt/backups/2026-11-20 elsewhere    into elsewhere/.lineage, without keys

Erasures of the backup, and those of --erasures, are carried out before the store is used.";

/// Arguments of `lineage backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Backup {
    /// The folder to write, new or empty
    out: PathBuf,
    /// Write the keys to this file, which only its owner can read
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
}

/// Arguments of `lineage restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub(crate) struct Restore {
    /// The folder of the backup
    backup: PathBuf,
    /// The folder that is to hold the store
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The file of keys
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Erasures recorded after the backup, as `lineage erase --list` prints them
    #[arg(long, value_name = "FILE")]
    erasures: Option<PathBuf>,
}

impl Backup {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open_to_write()?;
        let is_used = self.out.exists() && self.out.read_dir().is_ok_and(|mut entries| entries.next().is_some());
        if is_used {
            return Err(Problem::usage(format!("{} is not empty", self.out.display()))
                .help("name a new folder")
                .into());
        }
        if let Some(path) = self.keys.as_ref().filter(|path| path.exists()) {
            return Err(Problem::usage(format!("{} is there already", path.display())).help("name a new file").into());
        }
        let done = erasure::backup(&session.store, &session.keys, &self.out, self.keys.as_deref())?;
        let terminal = &context.terminal;
        if context.json {
            let object = json!({
                "out": self.out.display().to_string(),
                "events": done.events,
                "files": done.files,
                "bytes": done.bytes,
                "payloads": done.payloads,
                "keys": done.keys,
            });
            terminal.print(&object.to_string())?;
        } else {
            terminal.print(&format!(
                "{}: {}, {}, {}",
                self.out.display(),
                count(done.events, "event"),
                count(done.files, "file"),
                size(done.bytes)
            ))?;
        }
        match done.keys {
            Some(keys) if !context.json => terminal.print(&format!("{} in a file of their own", count(keys, "key")))?,
            None if done.payloads > 0 => terminal.tell(&format!(
                "without keys: {} will be unreadable in what is restored from it; --keys FILE writes them apart",
                count(done.payloads, "sealed value")
            )),
            _ => {}
        }
        Ok(session.finish(false))
    }
}

impl Restore {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let read =
            |path: &PathBuf| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let keys = self.keys.as_ref().map(read).transpose()?;
        let erasures = self.erasures.as_ref().map(read).transpose()?;
        let root = self.folder.join(FOLDER);
        let (store, done) = erasure::restore(
            &self.backup,
            &root,
            keys.as_deref(),
            erasures.as_deref().unwrap_or_default(),
            random::bytes(),
            context.now(),
        )?;
        store.rebuild(&mut |_, _| {})?;
        let terminal = &context.terminal;
        if context.json {
            let object = json!({
                "store": root.display().to_string(),
                "events": done.events,
                "keys": done.keys,
                "erasures": done.erasures,
                "payloads_erased": done.erased.payloads,
                "unreadable": done.unreadable,
            });
            terminal.print(&object.to_string())?;
        } else {
            terminal.print(&format!(
                "{}: {}, {}; {} recorded again, {} taken away",
                root.display(),
                count(done.events, "event"),
                count(done.keys, "key"),
                count(done.erasures, "later erasure"),
                count(done.erased.payloads, "value")
            ))?;
        }
        if done.unreadable > 0 {
            let values = count(done.unreadable, "sealed value");
            terminal.tell(&format!("{values} cannot be read: their keys are not here; --keys FILE restores them"));
        }
        if erasures.is_none() {
            terminal.tell("erasures recorded after the backup are not known here; --erasures FILE carries them out");
        }
        store.close(std::time::Duration::from_millis(20))?;
        Ok(ExitCode::Done)
    }
}
