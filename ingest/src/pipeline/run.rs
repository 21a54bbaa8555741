//! A run of a pipeline: starts what may start, waits for what runs, and tells both as events.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use lineage_store::event::State;
use lineage_store::time::Time;
use serde_json::Value;

use super::attempt::{Attempt, Done};
use super::flow::{Cause, Cell, End, Flow};
use super::merged::Merged;
use super::news::{Facts, News, Report, Row};
use super::order::{Around, Order, OrderError};
use super::plan::Plan;
use super::record;
use super::record::step_run;
use super::room::{Held, Room, by_urgency};
use super::scopes::{Scopes, Surround};
use super::spec::Spec;
use super::step::{Failure, Step};
use super::stop::{Message, Stop};
use crate::run::{Control, Ground, Keeper, Notice, secret_in};

/// Runs a pipeline to its end.
pub fn execute(spec: &Spec, plan: &Plan, order: &Order, around: Around<'_>, stop: &Stop) -> Result<Report, OrderError> {
    let mut order = order.clone();
    order.base.secrets.extend(spec.secrets.iter().cloned());
    refuse_secrets(&order)?;
    let keeper = order.base.keeper.take();
    let started = (around.clock)();
    let stored = around.artifacts.put_bytes(order.text.as_bytes())?;
    let lock = record::lock(spec, &order, started).map_err(OrderError::Lock)?;
    match ground(&order, lock.as_ref(), around) {
        Ok(ground) => order.base.ground = Some(Arc::new(ground)),
        Err(error) => {
            lock.into_iter().for_each(record::Lock::release);
            return Err(error);
        }
    }
    let order = &order;
    let start = record::start(spec, order, &stored, started, lock.as_ref());
    if let Err(error) = (around.record)(&[start]) {
        // Nothing began, so nobody may look for its end.
        lock.into_iter().for_each(record::Lock::release);
        return Err(OrderError::NotRecorded(error));
    }
    let (sender, messages) = channel();
    stop.listen(Some(sender.clone()));
    // One for all steps: to start a program takes longer than most of what else a step costs.
    let keeper = keeper.and_then(|program| Keeper::start(&program, &order.run_id).ok());
    let mut conductor = Conductor {
        spec,
        plan,
        order,
        around,
        stop,
        flow: Flow::new(spec, plan),
        room: Room::new(&order.capacity, &spec.tokens, order.jobs),
        by_urgency: by_urgency(spec, plan, &|id| around.cache.took(&step_run(&spec.name, id, &[]))),
        scopes: Scopes::default(),
        held: HashMap::new(),
        tried: HashMap::new(),
        pausing: BTreeMap::new(),
        deadline: spec.timeout.map(|timeout| Instant::now() + timeout),
        rows: Vec::new(),
        timed_out: false,
        unrecorded: 0,
        sender,
    };
    std::thread::scope(|scope| conductor.until_over(scope, &messages));
    stop.listen(None);
    keeper.into_iter().for_each(Keeper::dismiss);
    let report = conductor.report(started);
    let end = record::end(spec, order, &stored, &report, (around.clock)());
    let unrecorded = u64::from((around.record)(&[end]).is_err());
    if unrecorded == 0 {
        lock.into_iter().for_each(record::Lock::release);
    }
    Ok(Report { unrecorded: report.unrecorded + unrecorded, ..report })
}

/// What the steps have in common.
fn ground(order: &Order, lock: Option<&record::Lock>, around: Around<'_>) -> Result<Ground, OrderError> {
    let ground = Ground::look(&order.base, &order.folder, around.artifacts).map_err(OrderError::Unmaskable)?;
    Ok(match lock {
        Some(lock) => ground.in_folder(&lock.folder().join("python")),
        None => ground,
    })
}

/// Specification and parameters are kept as they are, so no value of a secret may stand in them.
fn refuse_secrets(order: &Order) -> Result<(), OrderError> {
    let params = Value::Object(order.params.clone()).to_string();
    match secret_in(&order.base, &[&order.text, &params]).map_err(OrderError::Unmaskable)? {
        Some(name) => Err(OrderError::Secret { name }),
        None => Ok(()),
    }
}

/// Whoever conducts: the only thread that changes the state of a run.
struct Conductor<'a> {
    spec: &'a Spec,
    plan: &'a Plan,
    order: &'a Order,
    around: Around<'a>,
    stop: &'a Stop,
    flow: Flow<'a>,
    room: Room,
    /// The steps, the most urgent first.
    by_urgency: Vec<usize>,
    scopes: Scopes,
    held: HashMap<Cell, Held>,
    /// How often each running cell has been tried.
    tried: HashMap<Cell, u32>,
    /// Cells that wait for their next attempt.
    pausing: BTreeMap<Cell, Instant>,
    /// When the time of the run is over.
    deadline: Option<Instant>,
    rows: Vec<Row>,
    timed_out: bool,
    unrecorded: u64,
    sender: Sender<Message>,
}

impl<'a> Conductor<'a> {
    fn until_over<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, messages: &Receiver<Message>)
    where
        'a: 'scope,
    {
        loop {
            if self.stop.is_asked() {
                self.halt();
            }
            self.start_what_may(scope);
            if self.flow.is_over() {
                return;
            }
            match self.next(messages) {
                Some(Message::Done(cell, done)) => self.finish(scope, &cell, *done),
                Some(Message::Stop) => {}
                None => self.pass_time(scope),
            }
        }
    }

    /// The next message; none when the time of something has come.
    fn next(&self, messages: &Receiver<Message>) -> Option<Message> {
        match self.pausing.values().copied().chain(self.deadline).min() {
            Some(at) => messages.recv_timeout(at.saturating_duration_since(Instant::now())).ok(),
            None => messages.recv().ok(),
        }
    }

    /// Starts the attempts whose wait is over, and ends a run whose time is over.
    fn pass_time<'scope>(&mut self, scope: &'scope Scope<'scope, '_>)
    where
        'a: 'scope,
    {
        let now = Instant::now();
        let due: Vec<Cell> = self.pausing.iter().filter(|(_, at)| **at <= now).map(|(cell, _)| cell.clone()).collect();
        for cell in due {
            self.pausing.remove(&cell);
            self.attempt(scope, &cell);
        }
        if self.deadline.is_some_and(|at| at <= now) {
            self.deadline = None;
            self.timed_out = true;
            self.stop.tell(Notice::Signal { signal: SIGTERM, by_terminal: false });
        }
    }

    /// Nothing more is started; cells that wait for a retry end as they failed.
    fn halt(&mut self) {
        for cell in std::mem::take(&mut self.pausing).into_keys() {
            self.release(&cell);
            self.end(&cell, &End::Aborted, Facts::because("the run was stopped before its next attempt"));
        }
        self.flow.stop();
        self.tell_ended();
    }

    /// Starts cells, the most urgent first, until nothing more fits.
    fn start_what_may<'scope>(&mut self, scope: &'scope Scope<'scope, '_>)
    where
        'a: 'scope,
    {
        loop {
            self.unfold();
            let mut moved = false;
            for place in 0..self.by_urgency.len() {
                // What runs ends and makes room, and then it is their turn.
                if self.room.is_full() {
                    break;
                }
                // The branches of a step ask for the same, so the first that must wait keeps the others waiting.
                while let Some(cell) = self.flow.first_ready(self.by_urgency[place]) {
                    if !self.consider(scope, &cell) {
                        break;
                    }
                    moved = true;
                }
            }
            self.tell_ended();
            // Ends that came without a process may have let others in.
            if !moved {
                return;
            }
        }
    }

    /// Asks for the branches of every foreach whose turn it is.
    fn unfold(&mut self) {
        loop {
            let cells = self.flow.unfolding();
            if cells.is_empty() {
                return;
            }
            for cell in cells {
                let step = &self.spec.steps[cell.step];
                let counted = self.surround().items(&cell, &self.order.folder).and_then(|items| {
                    let count = u32::try_from(items.len()).map_err(|_| "it has too many branches".to_owned())?;
                    self.scopes.unfold(&cell, items);
                    Ok(count)
                });
                match counted {
                    Ok(count) if !self.is_left_out(step) => self.flow.unfold(&cell, count),
                    Ok(_) => self.end(&cell, &End::Skipped(Cause::LeftOut), Facts::default()),
                    Err(why) => self.end(&cell, &End::Failed, Facts::because(&why)),
                }
            }
        }
    }

    /// What cells see.
    fn surround(&self) -> Surround<'_, 'a> {
        Surround { spec: self.spec, plan: self.plan, flow: &self.flow, order: self.order, scopes: &self.scopes }
    }

    fn is_left_out(&self, step: &Step) -> bool {
        self.order.left_out.contains(&step.id)
    }

    /// Starts a cell, or ends it without a process; false if it must wait.
    fn consider<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, cell: &Cell) -> bool
    where
        'a: 'scope,
    {
        let step = &self.spec.steps[cell.step];
        if self.is_left_out(step) {
            self.end(cell, &End::Skipped(Cause::LeftOut), Facts::default());
            return true;
        }
        if let Some(condition) = &step.when
            && !condition.holds(&|name| self.surround().value(cell, name).unwrap_or(Value::Null))
        {
            self.end(cell, &End::Skipped(Cause::Condition), Facts::because(&format!("not {}", condition.text)));
            return true;
        }
        if step.approve.is_some() && !self.is_approved(step, cell) {
            let run = step_run(&self.order.run_id, &step.id, &cell.path);
            let why = format!("lineage approve {run}, then lineage resume {}", self.order.run_id);
            self.end(cell, &End::Parked, Facts::because(&why));
            return true;
        }
        if let Some(most) = step.foreach.as_ref().and_then(|foreach| foreach.max_parallel)
            && self.flow.running().filter(|running| running.step == cell.step).count() as u64 >= most
        {
            return false;
        }
        let Some(held) = self.room.take(&step.resources) else { return false };
        self.held.insert(cell.clone(), held);
        self.flow.start(cell);
        self.attempt(scope, cell);
        true
    }

    fn is_approved(&self, step: &Step, cell: &Cell) -> bool {
        let runs = std::iter::once(&self.order.run_id).chain(&self.order.resumes);
        runs.into_iter().any(|run| (self.around.approved)(step, &step_run(run, &step.id, &cell.path)))
    }

    /// Starts the next attempt of a cell in a thread of its own.
    fn attempt<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, cell: &Cell)
    where
        'a: 'scope,
    {
        let number = *self.tried.entry(cell.clone()).and_modify(|n| *n += 1).or_insert(1);
        let held = self.held.get(cell).map(|held| held.gpus.clone()).unwrap_or_default();
        let place = step_run(&self.spec.name, &self.spec.steps[cell.step].id, &cell.path);
        let expected = self.around.cache.took(&place);
        let attempt = Attempt::new(&self.surround(), cell, number, &held, expected);
        let attempt = match attempt {
            Ok(attempt) => attempt,
            Err(error) => {
                self.release(cell);
                self.end(cell, &End::Failed, Facts::because(&error));
                return;
            }
        };
        let control: Arc<Control> = Arc::default();
        self.stop.running(cell, Some(Arc::clone(&control)));
        let (sender, around, order, cell) = (self.sender.clone(), self.around, self.order, cell.clone());
        scope.spawn(move || {
            // Whoever conducts waits for an answer, also of an attempt that met a bug of ours.
            let made = catch_unwind(AssertUnwindSafe(|| attempt.run(order, &around, control)));
            let done = made.unwrap_or_else(|_| Done::failed("the runner met a bug; see above".to_owned()));
            // Whoever conducts listens until every cell has ended.
            sender.send(Message::Done(cell, Box::new(done))).ok();
        });
    }

    fn finish<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, cell: &Cell, done: Done)
    where
        'a: 'scope,
    {
        self.stop.running(cell, None);
        self.unrecorded += u64::from(done.is_unrecorded);
        let step = &self.spec.steps[cell.step];
        if let Some(failure) = done.failure
            && !self.stop.is_asked()
            && self.may_retry(step, cell, failure)
        {
            let tried = self.tried.get(cell).copied().unwrap_or(1);
            let delay = step.retry.delay * step.retry.backoff.saturating_pow(tried - 1);
            (self.around.news)(&News::Retrying { cell, why: &done.facts.why, delay });
            if delay.is_zero() {
                self.attempt(scope, cell);
            } else {
                self.pausing.insert(cell.clone(), Instant::now() + delay);
            }
            return;
        }
        self.release(cell);
        let seen = Merged::clone(&self.surround().seen(cell)).with(cell.step, &done.values);
        self.scopes.end(cell, done.values, seen);
        self.end(cell, &done.end, done.facts);
    }

    fn may_retry(&self, step: &Step, cell: &Cell, failure: Failure) -> bool {
        let tried = u64::from(self.tried.get(cell).copied().unwrap_or(1));
        tried <= step.retry.times && (step.retry.on.is_empty() || step.retry.on.contains(&failure))
    }

    fn release(&mut self, cell: &Cell) {
        if let Some(held) = self.held.remove(cell) {
            self.room.give_back(held);
        }
    }

    /// Ends a cell and tells of it.
    fn end(&mut self, cell: &Cell, end: &End, facts: Facts) {
        let row = self.row(cell, end.clone(), facts);
        (self.around.news)(&News::Ended(&row));
        self.rows.push(row);
        self.flow.end(cell, end);
    }

    /// Tells of the cells that ended because others did.
    fn tell_ended(&mut self) {
        for (cell, end) in self.flow.take_skipped() {
            let why = match &end {
                End::Skipped(Cause::Upstream(step)) => format!("{} did not complete", self.spec.steps[*step].id),
                End::Skipped(Cause::Stopped) => "the run was stopped".to_owned(),
                _ => String::new(),
            };
            let row = self.row(&cell, end, Facts::because(&why));
            (self.around.news)(&News::Ended(&row));
            self.rows.push(row);
        }
    }

    fn row(&self, cell: &Cell, end: End, facts: Facts) -> Row {
        let run = step_run(&self.order.run_id, &self.spec.steps[cell.step].id, &cell.path);
        let Facts { cached, took, n_inputs, n_outputs, capture, why, notes } = facts;
        Row { cell: cell.clone(), run, end, cached, took, n_inputs, n_outputs, capture, why, notes }
    }

    fn report(&mut self, started: Time) -> Report {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|a, b| a.cell.cmp(&b.cell));
        let tolerated = |row: &Row| self.spec.steps[row.cell.step].continue_on_error;
        let any = |wanted: fn(&End) -> bool| rows.iter().any(|row| wanted(&row.end) && !tolerated(row));
        let state = if self.stop.is_asked() || self.timed_out {
            State::Abort
        } else if any(|end| matches!(end, End::Failed)) {
            State::Fail
        } else if any(|end| matches!(end, End::Aborted)) {
            State::Abort
        } else {
            State::Complete
        };
        let is_parked = any(|end| matches!(end, End::Parked));
        let took = Duration::from_nanos((self.around.clock)().0.saturating_sub(started.0).max(0) as u64);
        let values = self.surround().last();
        Report {
            state,
            is_parked,
            is_stopped: self.stop.is_asked() && !self.timed_out,
            rows,
            values,
            took,
            unrecorded: self.unrecorded,
        }
    }
}

/// The number of SIGTERM, which POSIX does not fix but every system shares.
const SIGTERM: i32 = 15;
