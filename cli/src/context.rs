//! What every command is given: the flags that all share, the streams, the clock, and where the store is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lineage_store::time::Time;
use lineage_store::{FOLDER, Layout, Store};

use crate::config::Config;
use crate::errors::{ErrorFormat, Errors};
use crate::exit::Problem;
use crate::session::Session;
use crate::terminal::Terminal;

/// The flags of every command.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Global {
    /// The folder of the store, or the folder that holds it [default: `LINEAGE_STORE`, else the nearest .lineage upwards]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Who acts [default: `LINEAGE_ACTOR`, else the setting `actor`, else the user of the system]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Write JSON for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How errors are told [default: json with --json, text on a terminal with color, else narrated]
    #[arg(long, global = true, value_name = "FORMAT", hide_possible_values = true, value_enum)]
    pub(crate) error_format: Option<ErrorFormat>,
    /// The instant taken for now, as RFC 3339
    #[arg(long, global = true, value_name = "TIME")]
    pub(crate) now: Option<Time>,
}

/// What every command is given.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The streams.
    pub(crate) terminal: Terminal,
    /// Whether to write JSON.
    pub(crate) json: bool,
    /// How errors are told.
    pub(crate) errors: Errors,
    global: Global,
}

impl Context {
    /// Looks at the environment.
    pub(crate) fn new(global: Global) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = Terminal::look(no_color || dumb);
        let errors = Errors::new(global.error_format, global.json, no_color || dumb, &terminal);
        Self { terminal, json: global.json, errors, global }
    }

    /// The same with another store.
    pub(crate) fn with_store(&self, root: &Path) -> Self {
        let global = Global { store: Some(root.to_owned()), ..self.global.clone() };
        Self { global, ..self.clone() }
    }

    /// The flags that make another process of this program see what this one sees.
    pub(crate) fn repeated(&self) -> Vec<OsString> {
        let mut flags: Vec<OsString> = Vec::new();
        let mut flag = |name: &str, value: OsString| flags.extend([name.into(), value]);
        if let Some(store) = &self.global.store {
            flag("--store", store.into());
        }
        if let Some(actor) = &self.global.actor {
            flag("--actor", actor.into());
        }
        if let Some(now) = &self.global.now {
            flag("--now", now.to_string().into());
        }
        if self.json {
            flags.push("--json".into());
        }
        flags
    }

    /// The clock.
    pub(crate) fn now(&self) -> Time {
        self.global.now.or_else(|| Time::from_timestamp(jiff::Timestamp::now())).unwrap_or(Time(0))
    }

    /// Whether the clock stands still.
    pub(crate) fn is_fixed(&self) -> bool {
        self.global.now.is_some()
    }

    /// The store that the command line or the environment names, whether it is there or not.
    pub(crate) fn named_store(&self) -> Option<PathBuf> {
        let environment = || std::env::var_os("LINEAGE_STORE").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        self.global.store.clone().or_else(environment).map(|folder| named(&folder))
    }

    /// The folder of the store.
    pub(crate) fn root(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = self.named_store() {
            return Ok(folder);
        }
        let here = std::env::current_dir().context("cannot tell the current folder")?;
        nearest(&here).ok_or_else(|| {
            Problem::failed(format!("there is no lineage store in {} or above it", here.display()))
                .help("make one with `lineage init`, or name one with `--store DIR`")
                .into()
        })
    }

    /// Opens the store.
    pub(crate) fn open(&self) -> anyhow::Result<Session> {
        let store = Store::open(&self.root()?)?;
        let config = Config::read(store.layout())?;
        Ok(Session::new(self.clone(), store, config))
    }

    /// Opens the store to write to it: what waits in the spool comes first.
    pub(crate) fn open_to_write(&self) -> anyhow::Result<Session> {
        let session = self.open()?;
        session.drain()?;
        // What a dead runner left must not keep anyone from writing.
        if let Err(error) = session.bury() {
            self.terminal.note(&format!("a run whose runner died could not be ended: {error:#}"));
        }
        Ok(session)
    }

    /// Who acts.
    pub(crate) fn actor(&self, config: &Config) -> String {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let named = self.global.actor.clone().or_else(|| variable("LINEAGE_ACTOR")).or_else(|| config.actor.clone());
        named
            .or_else(|| variable("USER"))
            .or_else(|| variable("LOGNAME"))
            .or_else(system_user)
            .unwrap_or_else(|| "unknown".to_owned())
    }

    /// The user that the system has authenticated, whatever the environment says.
    #[expect(clippy::unused_self, reason = "it is asked for where the actor is")]
    pub(crate) fn user(&self) -> String {
        system_user().unwrap_or_else(|| "unknown".to_owned())
    }
}

fn system_user() -> Option<String> {
    let output = std::process::Command::new("id").arg("-un").output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!name.is_empty()).then_some(name)
}

/// A folder given by name may be the store or hold it.
fn named(folder: &Path) -> PathBuf {
    let inside = folder.join(FOLDER);
    if !Layout::new(folder).config().exists() && inside.is_dir() { inside } else { folder.to_owned() }
}

fn nearest(from: &Path) -> Option<PathBuf> {
    from.ancestors().map(|folder| folder.join(FOLDER)).find(|folder| Layout::new(folder).config().exists())
}
