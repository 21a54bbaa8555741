//! An open store with its settings: how commands read it, and the one way in which they write to it.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lineage_ingest::file::{self, Recorded};
use lineage_ingest::replay::Said;
use lineage_ingest::run::{self, Open, OpenRuns, Orphan, RUNS_FOLDER};
use lineage_store::erasure::Keys;
use lineage_store::event::{Event, Kind, State};
use lineage_store::graph::View;
use lineage_store::journal::Spool;
use lineage_store::{Store, StoreError};
use serde_json::json;

use crate::config::{Config, Policy};
use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::random;
use crate::render::{clean, count};
use crate::signing;

/// What a command may spend on bringing sled up to the journal.
const CLOSE_BUDGET: Duration = Duration::from_millis(20);

/// How long a command waits for the journal before it ends runs of others.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// An open store.
pub(crate) struct Session {
    pub(crate) context: Context,
    pub(crate) store: Store,
    pub(crate) config: Config,
    /// What is moved out of events is sealed under these.
    pub(crate) keys: Keys,
}

impl Session {
    pub(crate) fn new(context: Context, store: Store, config: Config) -> Self {
        let keys = Keys::new(&store.layout().part("keys"), random::bytes());
        Self { context, store, config, keys }
    }

    /// Who acts.
    pub(crate) fn actor(&self) -> String {
        self.context.actor(&self.config)
    }

    /// Records what waits in the spool.
    pub(crate) fn drain(&self) -> anyhow::Result<()> {
        let terminal = &self.context.terminal;
        let name = random::file_name(self.context.now());
        let now = || self.context.now();
        let mut tell =
            |r: file::Rejection| terminal.tell(&format!("refused: {} line {}: {}", r.source, r.line, r.reason));
        let drained = file::drain_spool(&self.store, &self.config.seal, &self.keys, &name, &now, &mut tell)?;
        if drained.recorded > 0 {
            terminal.note(&format!("{} from the spool recorded", count(drained.recorded, "event")));
        }
        if let Some(path) = drained.rejects {
            let refused = count(drained.refused, "event");
            terminal.note(&format!("{refused} from the spool refused; kept with the reasons in {}", path.display()));
        }
        Ok(())
    }

    /// Where runs that have not ended have their locks and logs.
    pub(crate) fn runs_folder(&self) -> PathBuf {
        self.store.layout().part(RUNS_FOLDER)
    }

    /// The key under which the runner names what nobody may read: machines and secrets.
    ///
    /// A store that cannot be written to may have none.
    pub(crate) fn runner_key(&self) -> Option<[u8; 32]> {
        let path = self.store.layout().part("keys").join("runner.key");
        let read = || std::fs::read(&path).ok()?.try_into().ok();
        read().or_else(|| {
            let key = random::bytes::<32>();
            let new = path.with_extension(random::event_id());
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let written = options.open(&new).and_then(|mut file| file.write_all(&key));
            // Only one of several commands can give it its name.
            let made = written.and_then(|()| std::fs::hard_link(&new, &path)).is_ok();
            std::fs::remove_file(&new).ok();
            if made { Some(key) } else { read() }
        })
    }

    /// The name of this machine in notes of runs.
    pub(crate) fn host(&self) -> String {
        self.runner_key().map(|key| run::host(&key)).unwrap_or_default()
    }

    /// The runs that have not ended, as far as this store knows; the common case costs one look at a folder.
    pub(crate) fn open_runs(&self) -> anyhow::Result<OpenRuns> {
        let folder = self.runs_folder();
        if std::fs::read_dir(&folder).map_or(true, |mut entries| entries.next().is_none()) {
            return Ok(OpenRuns::default());
        }
        Ok(run::open_runs(&folder, &self.host())?)
    }

    /// Records the end of runs whose runner is dead.
    pub(crate) fn bury(&self) -> anyhow::Result<()> {
        let dead = |open| if let Open::Dead(orphan) = open { Some(orphan) } else { None };
        let orphans: Vec<Orphan> = self.open_runs()?.runs.into_iter().filter_map(dead).collect();
        if orphans.is_empty() {
            return Ok(());
        }
        // What a killed runner made durable is published by the next one that has the lock; only then it is seen.
        drop(self.store.journal().lock(LOCK_TIMEOUT)?);
        orphans.into_iter().try_for_each(|orphan| self.bury_one(orphan))
    }

    fn bury_one(&self, orphan: Orphan) -> anyhow::Result<()> {
        let note = orphan.note.clone();
        let states = self.with_view(|view| {
            let events = view.run_events(&note.namespace, &note.run);
            Ok(events.into_iter().map(|event| view.state(event)).collect::<Vec<_>>())
        })?;
        let waits = states.is_empty() && !Spool::new(&self.store.layout().part("spool")).files()?.is_empty();
        if waits {
            // Its start may be in the spool, behind which its end must come.
            return Ok(());
        }
        // A runner that died before its start was durable began nothing; one that had told its end owes nothing.
        if !states.is_empty() && !states.into_iter().any(State::is_terminal) {
            let event = run::orphaned(&orphan, self.store.artifacts(), self.context.now());
            self.record(event)?;
            let (run, job) = (clean(&note.run), clean(&note.job));
            self.context.terminal.note(&format!("the runner of {run} ({job}) died; the run is recorded as aborted"));
        }
        Ok(orphan.forget()?)
    }

    /// An event with what was moved out of it.
    pub(crate) fn said(&self, position: u32) -> anyhow::Result<Said> {
        let (event, ..) = self.store.reader()?.event(position.into())?;
        let has_outlined = !event.outlined.is_empty();
        let outlined = if has_outlined { self.store.outlined(&self.keys, position.into())? } else { Vec::new() };
        Ok(Said { event, outlined })
    }

    /// Asks the graph index; if it is damaged, a fold of the journal.
    pub(crate) fn with_view<T>(&self, ask: impl Fn(&View) -> anyhow::Result<T>) -> anyhow::Result<T> {
        match self.store.view() {
            Ok(view) => {
                let answer = ask(&view);
                match view.check() {
                    Ok(()) => return answer,
                    Err(StoreError::Corrupt { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(StoreError::Corrupt { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let view = self.store.view_of_journal()?;
        self.context.terminal.note("the graph index is damaged; answered from the journal; run `lineage rebuild`");
        ask(&view)
    }

    /// An event of our own: with a random id, the time and the actor.
    pub(crate) fn event(&self, kind: Kind) -> Event {
        let mut event = Event::new(kind, self.actor());
        event.id = Some(random::event_id());
        event.time = Some(self.context.now());
        event
    }

    /// Appends an event of our own, or spools it if another process holds the lock.
    pub(crate) fn record(&self, event: Event) -> Result<Recorded, StoreError> {
        self.record_all(&[event])
    }

    /// Appends events of our own together, or spools them if another process holds the lock.
    fn record_all(&self, events: &[Event]) -> Result<Recorded, StoreError> {
        let now = self.context.now();
        let name = random::file_name(now);
        let record = || file::record(&self.store, events, &self.config.seal, &self.keys, &name, now);
        match record() {
            // A damaged graph index is given up by the failed append; the next one folds the journal.
            Err(StoreError::Corrupt { .. }) => record(),
            result => result,
        }
    }

    /// As [`Session::record`], and where the journal does not work, a spool file of its own may: what runs need not wait
    /// for repairs. The path of that file, if it came to that.
    pub(crate) fn record_of_run(&self, events: &[Event]) -> Result<Option<PathBuf>, StoreError> {
        match self.record_all(events) {
            Ok(Recorded::At(_)) => Ok(None),
            Ok(Recorded::Spooled(path)) => Ok(Some(path)),
            Err(error @ StoreError::Refused(_)) => Err(error),
            Err(error) => match file::spool_events(&self.store, events, &random::file_name(self.context.now())) {
                Ok(path) => {
                    self.context.terminal.note(&format!("the journal cannot be written: {error}"));
                    Ok(Some(path))
                }
                Err(_) => Err(error),
            },
        }
    }

    /// Appends an event, says so, and closes the store.
    pub(crate) fn record_and_tell(self, event: Event, what: &str) -> anyhow::Result<ExitCode> {
        let id = event.id.clone().unwrap_or_default();
        let recorded = self.record(event)?;
        self.tell_recorded(&recorded, &id, what)?;
        Ok(self.finish(matches!(recorded, Recorded::Spooled(_))))
    }

    /// Says what became of an event.
    pub(crate) fn tell_recorded(&self, recorded: &Recorded, id: &str, what: &str) -> anyhow::Result<()> {
        let terminal = &self.context.terminal;
        match recorded {
            Recorded::At(position) if self.context.json => {
                terminal
                    .print(&json!({ "position": position, "id": id, "what": what, "spooled": false }).to_string())?;
            }
            Recorded::At(position) => terminal.print(&format!("recorded #{position}: {what}"))?,
            Recorded::Spooled(path) => {
                if self.context.json {
                    terminal.print(
                        &json!({ "position": null, "id": id, "what": what, "spooled": true, "file": path.display().to_string() })
                            .to_string(),
                    )?;
                }
                self.tell_spooled(path, what);
            }
        }
        Ok(())
    }

    /// Says that something waits in the spool.
    pub(crate) fn tell_spooled(&self, path: &Path, what: &str) {
        self.context.terminal.tell(&format!(
            "spooled: {what}; another process holds the journal, so this waits durably in {} and the next writing \
             command records it",
            path.display()
        ));
    }

    /// Closes the store after writing.
    pub(crate) fn finish(self, spooled: bool) -> ExitCode {
        if !spooled {
            self.sign_head();
        }
        // Everything is durable already; what is not caught up now is by the next command.
        if let Err(error) = self.store.close(CLOSE_BUDGET) {
            self.context.terminal.note(&format!("the copies of the journal were not brought up to date: {error}"));
        }
        if spooled { ExitCode::Failed } else { ExitCode::Done }
    }
}

impl Session {
    /// Signs checkpoints while this command goes on writing, if that is wanted and the key is there.
    pub(crate) fn sign_while_writing(&self) {
        if self.config.checkpoints == Policy::Auto
            && let Ok(signer) = signing::signer(self, None)
        {
            // What does not work now is told by the checkpoint at the end.
            self.store.sign_while_writing(signer).ok();
        }
    }

    /// Signs the head of the log as the newest checkpoint, if the settings say so; what is not covered now is by the
    /// next command.
    pub(crate) fn sign_head(&self) {
        if self.config.checkpoints != Policy::Auto {
            return;
        }
        let signed = signing::signer(self, None).and_then(|signer| {
            self.store.stop_signing()?;
            Ok(self.store.proofs().advance(&signer)?)
        });
        match signed {
            // Who may write events need not be who holds the key.
            Err(error) if signing::is_out_of_reach(&error) => {}
            Err(error) => self.context.terminal.note(&format!("no checkpoint was signed: {error:#}")),
            Ok(_) => {}
        }
    }
}

/// The error for an event that does not hold together.
pub(crate) fn refused(refusal: &lineage_store::event::Refusal) -> anyhow::Error {
    Problem::usage(refusal.to_string()).into()
}
