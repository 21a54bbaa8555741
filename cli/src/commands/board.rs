//! How a run of a pipeline goes: a line for each active step on a terminal, plain lines elsewhere, one object a line for
//! programs; at the end a table.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lineage_ingest::pipeline::{Cell, End, News, Order, Report, Row, Spec};
use lineage_store::event::State;
use serde_json::{Value, json};

use crate::context::Context;
use crate::render::{align, clean};

/// The last lines of a step that are shown when it fails.
const LINES_SHOWN: usize = 20;
/// A run of more cells gets a table of those that did not simply complete.
const ROWS_SHOWN: usize = 60;
/// How often the line of a step is drawn anew.
const TICK: Duration = Duration::from_millis(120);

/// Shows a run to whoever watches.
pub(super) struct Board<'a> {
    context: &'a Context,
    spec: &'a Spec,
    order: &'a Order,
    bars: MultiProgress,
    active: Mutex<HashMap<Cell, Active>>,
}

/// A step that runs.
struct Active {
    bar: Option<ProgressBar>,
    lines: Vec<String>,
}

impl<'a> Board<'a> {
    pub(super) fn new(context: &'a Context, spec: &'a Spec, order: &'a Order) -> Self {
        let target = if context.terminal.err && !context.json {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let board =
            Self { context, spec, order, bars: MultiProgress::with_draw_target(target), active: Mutex::default() };
        let (run, name) = (&order.run_id, &spec.name);
        if context.json {
            board.line(&json!({ "event": "started", "run": run, "pipeline": name, "resumes": order.resumes }));
        } else {
            let resumes = order.resumes.first().map_or_else(String::new, |origin| format!(", resuming {origin}"));
            context.terminal.tell(&format!("pipeline {name}: run {run}{resumes}"));
        }
        board
    }

    /// Hears what happens; from any thread.
    pub(super) fn hear(&self, news: &News<'_>) {
        if self.context.json {
            self.tell_program(news);
        }
        match news {
            News::Started { cell, attempt, expected, why } => self.start(cell, *attempt, *expected, why),
            News::Line { cell, text, .. } => self.said(cell, text),
            News::Retrying { cell, why, delay } => {
                let wait = if delay.is_zero() { String::new() } else { format!(" in {}", span(*delay)) };
                self.tell(&format!("{}: {why}; tried again{wait}", self.name(cell)));
            }
            News::Ended(row) => self.end(row),
        }
    }

    fn start(&self, cell: &Cell, attempt: u32, expected: Option<Duration>, why: &str) {
        let name = self.name(cell);
        let bar = (self.context.terminal.err && !self.context.json).then(|| {
            let expected = expected.map_or_else(String::new, |time| format!(" of about {}", span(time)));
            let template = format!("{{spinner}} {{prefix}}  {{elapsed}}{expected}  {{wide_msg}}");
            let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = self.bars.add(ProgressBar::new_spinner().with_style(style).with_prefix(name.clone()));
            bar.enable_steady_tick(TICK);
            bar
        });
        if bar.is_none() && !self.context.json {
            let again = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            self.tell(&format!("{name} started{again}{why}"));
        }
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.insert(cell.clone(), Active { bar, lines: Vec::new() });
    }

    fn said(&self, cell: &Cell, text: &str) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(step) = active.get_mut(cell) else { return };
        let text = clean(text);
        if let Some(bar) = &step.bar {
            bar.set_message(text.clone());
        }
        if step.lines.len() == LINES_SHOWN {
            step.lines.remove(0);
        }
        step.lines.push(text);
    }

    fn end(&self, row: &Row) {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner).remove(&row.cell);
        if let Some(bar) = active.as_ref().and_then(|step| step.bar.as_ref()) {
            bar.finish_and_clear();
        }
        if self.context.json {
            return;
        }
        self.tell(&format!("{} {}", self.name(&row.cell), told(row)));
        for note in &row.notes {
            self.tell(&format!("  note: {}", clean(note)));
        }
        if matches!(row.end, End::Failed | End::Aborted) {
            let lines = active.map(|step| step.lines).unwrap_or_default();
            for line in &lines {
                self.tell(&format!("  | {line}"));
            }
            if !lines.is_empty() {
                self.tell(&format!("  lineage logs {} shows all of it", row.run));
            }
        }
    }

    /// One line, above the lines of active steps.
    fn tell(&self, text: &str) {
        if self.context.json {
            return;
        }
        self.bars.suspend(|| self.context.terminal.tell(text));
    }

    fn tell_program(&self, news: &News<'_>) {
        let step = |cell: &Cell| json!({ "step": self.spec.steps[cell.step].id, "branch": cell.path });
        let mut object = match news {
            News::Started { cell, attempt, why, .. } => {
                let mut object = step(cell);
                object["event"] = json!("step_started");
                object["attempt"] = json!(attempt);
                object["why"] = json!(why);
                object
            }
            News::Line { cell, text, is_error } => {
                let mut object = step(cell);
                object["event"] = json!("line");
                object["stream"] = json!(if *is_error { "stderr" } else { "stdout" });
                object["text"] = json!(text);
                object
            }
            News::Retrying { cell, why, delay } => {
                let mut object = step(cell);
                object["event"] = json!("step_retrying");
                object["why"] = json!(why);
                object["delay_ms"] = json!(delay.as_millis() as u64);
                object
            }
            News::Ended(row) => {
                let mut object = self.row(row);
                object["event"] = json!("step_ended");
                object
            }
        };
        object["run"] = json!(self.order.run_id);
        self.line(&object);
    }

    fn line(&self, object: &Value) {
        // Whoever reads may have gone; the run goes on.
        self.context.terminal.print(&object.to_string()).ok();
    }

    fn row(&self, row: &Row) -> Value {
        json!({
            "step": self.spec.steps[row.cell.step].id,
            "branch": row.cell.path,
            "step_run": row.run,
            "state": row.end.to_string(),
            "cached": row.cached,
            "ms": row.took.as_millis() as u64,
            "inputs": row.n_inputs,
            "outputs": row.n_outputs,
            "capture": row.capture,
            "why": row.why,
            "notes": row.notes,
        })
    }

    /// The last words: a table for people, one object for programs.
    pub(super) fn finish(&self, report: &Report) -> anyhow::Result<()> {
        if self.context.json {
            let rows: Vec<Value> = report.rows.iter().map(|row| self.row(row)).collect();
            self.line(&json!({
                "event": "ended",
                "run": self.order.run_id,
                "pipeline": self.spec.name,
                "state": report.state.as_str(),
                "parked": report.is_parked,
                "ms": report.took.as_millis() as u64,
                "values": report.values,
                "steps": rows,
            }));
            return Ok(());
        }
        self.bars.clear().ok();
        self.context.terminal.print(&self.table(report))?;
        self.context.terminal.tell(&self.summary(report));
        Ok(())
    }

    fn table(&self, report: &Report) -> String {
        let many = report.rows.len() > ROWS_SHOWN;
        let wanted = |row: &&Row| !many || row.end != End::Complete;
        let head = ["step", "state", "time", "reused", "in", "out", "capture", "why"].map(str::to_owned).to_vec();
        let rows = report.rows.iter().filter(wanted).map(|row| {
            let cached = if row.cached { "yes" } else { "" };
            let time = if row.took.is_zero() { String::new() } else { span(row.took) };
            vec![
                self.name(&row.cell),
                row.end.to_string(),
                time,
                cached.to_owned(),
                row.n_inputs.to_string(),
                row.n_outputs.to_string(),
                row.capture.clone(),
                clean(&row.why),
            ]
        });
        align(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
    }

    fn summary(&self, report: &Report) -> String {
        let count = |wanted: &dyn Fn(&Row) -> bool| report.rows.iter().filter(|row| wanted(row)).count();
        let parts = [
            (count(&|row| row.end == End::Complete && !row.cached), "ran"),
            (count(&|row| row.cached), "reused"),
            (count(&|row| row.end == End::Failed), "failed"),
            (count(&|row| row.end == End::Aborted), "aborted"),
            (count(&|row| matches!(row.end, End::Skipped(_))), "skipped"),
            (count(&|row| row.end == End::Parked), "waiting for approval"),
        ];
        let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let (name, run) = (&self.spec.name, &self.order.run_id);
        let state = if report.is_parked { "waits for approval" } else { word(report.state) };
        let next = match report.state {
            State::Complete if report.is_parked => format!("; then lineage resume {run}"),
            State::Complete => String::new(),
            _ => format!("; mend it, then lineage resume {run}"),
        };
        format!("pipeline {name}: {state} in {}; {}{next}", span(report.took), parts.join(", "))
    }

    /// `train` or `train/0/2`.
    fn name(&self, cell: &Cell) -> String {
        let id = self.spec.steps[cell.step].id.clone();
        cell.path.iter().fold(id, |name, index| format!("{name}/{index}"))
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Complete => "complete",
        State::Fail => "failed",
        _ => "aborted",
    }
}

fn told(row: &Row) -> String {
    let why = clean(&row.why);
    match &row.end {
        End::Complete if row.cached => format!("reused, {why}"),
        End::Complete => {
            let n = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
            format!("complete in {}; {}, {}", span(row.took), n(row.n_inputs, "input"), n(row.n_outputs, "output"))
        }
        end if why.is_empty() => end.to_string(),
        end => format!("{end}: {why}"),
    }
}

/// A length of time for people.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds}.{:01} s", time.subsec_millis() / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
