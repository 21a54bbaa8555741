//! The ledger: what the events of this protocol come to, folded one by one in the order of their positions.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use lineage_store::event::{Event, Kind};
use lineage_store::time::Time;

use super::NAMESPACE;
use super::artifact;
use super::created::Created;
use super::denied::Denied;
use super::flow::Flow;
use super::metadata::{self, Told};
use super::place::{self, Place};
use super::run::Run;
use super::said::{Kept, Said, Says};
use super::step::Step;
use super::task::Task;

/// The highest number of a run or task; above it, not every reader of JSON keeps a number exactly.
const NUMBER_MAX: u64 = 1 << 53;

/// What the events of this protocol come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    pub(super) flows: BTreeMap<String, Flow>,
    /// The highest number of a run that was handed out or recorded.
    last_run: u64,
    /// The highest number of a task that was handed out or recorded.
    last_task: u64,
    /// How many rows of metadata there are.
    n_metadata: u64,
    /// Names and digests of artifacts, each once.
    texts: HashSet<Arc<str>>,
}

impl Ledger {
    /// Folds an event.
    ///
    /// An event that was taken back (`is_hidden`) leaves nothing but the number that it took.
    pub fn apply(&mut self, position: u64, recorded: Time, event: &Event, kept: &Kept, is_hidden: bool) {
        if event.namespace != NAMESPACE {
            return;
        }
        let now = recorded.0.div_euclid(1_000_000);
        let Some(said) = Said::of(event) else {
            if !is_hidden && matches!(event.kind, Kind::Tag | Kind::Untag) {
                self.retag(event);
            }
            return;
        };
        self.take_number(&said);
        if is_hidden {
            return;
        }
        let (place, sent) = (&said.place, kept.sent.as_deref());
        match said.says {
            Says::Flow => {
                let user = Created::kept(sent).user_name;
                let flow = Flow { ts: now, user, runs: BTreeMap::new(), newest: 0 };
                self.flows.entry(place.flow.clone()).or_insert(flow);
            }
            Says::Run => self.add_run(place, now, Created::kept(sent)),
            Says::Step => self.add_step(place, now, Created::kept(sent)),
            Says::Task => self.add_task(place, now, Created::kept(sent)),
            Says::Metadata => self.add_rows(place, position, now, kept),
            Says::Artifacts => self.add_made(place, position, now, sent),
            Says::Done => {
                if let Some(run) = self.run_mut(place) {
                    run.is_done = true;
                }
            }
        }
    }

    /// Forgets everything but the numbers that were handed out, so that events can be folded anew.
    pub fn clear(&mut self) {
        *self = Self { last_run: self.last_run, last_task: self.last_task, ..Self::default() };
    }

    /// Numbers stay used, whatever becomes of what took them.
    fn take_number(&mut self, said: &Said) {
        let number = |id: &str| id.parse().ok().filter(|number| place::is_number(id) && *number <= NUMBER_MAX);
        match said.says {
            Says::Run => self.last_run = self.last_run.max(number(&said.place.run).unwrap_or(0)),
            Says::Task => self.last_task = self.last_task.max(number(&said.place.task).unwrap_or(0)),
            _ => {}
        }
    }

    /// The next number of a run; it is handed out once, whether its event is recorded or not.
    pub(super) fn next_run(&mut self) -> Result<u64, Denied> {
        next(&mut self.last_run)
    }

    /// The next number of a task.
    pub(super) fn next_task(&mut self) -> Result<u64, Denied> {
        next(&mut self.last_task)
    }

    fn add_run(&mut self, place: &Place, now: i64, created: Created) {
        let Some(flow) = self.flows.get_mut(&place.flow).filter(|flow| !flow.runs.contains_key(&place.run)) else {
            return;
        };
        flow.newest = now.max(flow.newest + 1);
        let run = Run {
            ts: flow.newest,
            user: created.user_name,
            tags: created.tags.unwrap_or_default(),
            system_tags: created.system_tags.unwrap_or_default(),
            ..Run::default()
        };
        flow.runs.insert(place.run.clone(), run);
    }

    fn add_step(&mut self, place: &Place, now: i64, created: Created) {
        let Some(run) = self.run_mut(place).filter(|run| !run.steps.contains_key(&place.step)) else { return };
        run.newest = now.max(run.newest + 1);
        let step = Step { ts: run.newest, user: created.user_name, ..Step::default() };
        run.steps.insert(place.step.clone(), step);
    }

    fn add_task(&mut self, place: &Place, now: i64, created: Created) {
        let Some(run) = self.run_mut(place) else { return };
        let after = run.finished.len();
        let Some(step) = run.steps.get_mut(&place.step).filter(|step| !step.tasks.contains_key(&place.task)) else {
            return;
        };
        step.newest = now.max(step.newest + 1);
        let task = Task { ts: step.newest, user: created.user_name, after, ..Task::default() };
        step.tasks.insert(place.task.clone(), task);
    }

    fn add_rows(&mut self, place: &Place, position: u64, now: i64, kept: &Kept) {
        let (told, n_rows) = Told::kept(kept.sent.as_deref());
        let follows = kept.follows.as_ref().map(|follows| follows.iter().map(|spec| self.text(spec)).collect());
        let id = self.n_metadata + 1;
        // Of a run that is resumed, and of tasks that are cloned, only the first one is told where it stands.
        let end = told.resumed(place).and_then(|run| self.run_at(&run)?.end.clone());
        let path = told.origin(place).and_then(|task| Some(self.task_at(&task)?.path.clone()));
        let Some(run) = self.run_mut(place) else { return };
        let Some(task) = run.steps.get_mut(&place.step).and_then(|step| step.tasks.get_mut(&place.task)) else {
            return;
        };
        let ts = task.times(now, n_rows);
        task.metadata.push(metadata::Chunk { position, ts, id });
        let attempt = told.attempt(&task.attempts);
        if let Some(ok) = told.ok {
            task.attempts.insert(attempt, ok);
        }
        task.follows = follows.unwrap_or_else(|| std::mem::take(&mut task.follows));
        if let Some(path) = told.path.or(path) {
            task.path = path;
        }
        if told.is_done && !task.is_finished && task.attempts.get(&attempt) != Some(&false) {
            task.is_finished = true;
            run.finished.add(&task.path, place.step.as_str().into(), place.task.as_str().into());
        }
        run.end = told.end.or(run.end.take()).or(end);
        self.n_metadata += n_rows as u64;
    }

    fn add_made(&mut self, place: &Place, position: u64, now: i64, sent: Option<&str>) {
        let (attempt, rows) = artifact::kept(sent);
        let made: Vec<_> = rows.iter().map(|(name, sha)| (self.text(name), self.text(sha))).collect();
        let Some(run) = self.run_mut(place) else { return };
        let Some(task) = run.steps.get_mut(&place.step).and_then(|step| step.tasks.get_mut(&place.task)) else {
            return;
        };
        let ts = task.times(now, made.len());
        task.artifacts.push(artifact::Chunk { position, attempt, ts, made });
    }

    pub(super) fn run_mut(&mut self, place: &Place) -> Option<&mut Run> {
        self.flows.get_mut(&place.flow)?.runs.get_mut(&place.run)
    }

    /// A text, kept once however often it comes.
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&new));
        new
    }
}

fn next(last: &mut u64) -> Result<u64, Denied> {
    if *last >= NUMBER_MAX {
        return Err(Denied::Invalid("every number that JSON keeps exactly is taken".to_owned()));
    }
    *last += 1;
    Ok(*last)
}
