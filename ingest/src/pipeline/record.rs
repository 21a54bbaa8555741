//! The events of a run of a pipeline, beside those of its steps.

use lineage_store::artifact::Stored;
use lineage_store::event::{EntityKind, Event, Evidence, Input, Json, Kind, Parent, Ref, Role, RunRef, State};
use lineage_store::time::Time;
use serde_json::{Map, Value, json};

use super::flow::{Cause, End};
use super::news::{Report, Row};
use super::order::Order;
use super::spec::Spec;
use crate::run::{Note, RunLock, here};

pub(super) use crate::run::RunLock as Lock;

/// The most steps that the last event names one by one; of more it gives counts.
const STEPS_NAMED: usize = 200;

/// The id of the run of a step in a branch: `RUN.STEP` or `RUN.STEP.0.2`.
pub fn step_run(run: &str, step: &str, path: &[u32]) -> String {
    path.iter().fold(format!("{run}.{step}"), |name, index| format!("{name}.{index}"))
}

/// The run as the steps name it.
pub(super) fn parent(spec: &Spec, order: &Order) -> Parent {
    let run = RunRef { namespace: None, job: Some(spec.name.clone()), run: order.run_id.clone() };
    Parent { run, root: None }
}

/// The lock by which others see that the run goes on; none if the store keeps no locks.
pub(super) fn lock(spec: &Spec, order: &Order, started: Time) -> std::io::Result<Option<Lock>> {
    let Some(runs) = &order.base.runs_folder else { return Ok(None) };
    let who = &order.base;
    let (boot, pid, pid_start) = here();
    let note = Note {
        run: order.run_id.clone(),
        namespace: who.namespace.clone(),
        job: spec.name.clone(),
        kind: Kind::Transform.to_string(),
        actor: who.actor.clone(),
        started: started.to_string(),
        command: format!("pipeline {}", order.file),
        scratch: None,
        host: who.host.clone(),
        boot,
        pid,
        pid_start,
    };
    RunLock::take(runs, &note).map(Some)
}

/// The event that says that a run began.
pub(super) fn start(spec: &Spec, order: &Order, stored: &Stored, time: Time, lock: Option<&Lock>) -> Event {
    let mut event = base(spec, order, stored, "start", time);
    event.state = State::Start;
    let mut pipeline = pipeline(spec, order);
    if let Some(lock) = lock {
        pipeline.insert("lock".to_owned(), json!(lock.name()));
    }
    event.facets = object(&json!({ "pipeline": pipeline }));
    event
}

/// The event that says how it ended.
pub(super) fn end(spec: &Spec, order: &Order, stored: &Stored, report: &Report, time: Time) -> Event {
    let mut event = base(spec, order, stored, "end", time);
    event.state = report.state;
    let mut pipeline = pipeline(spec, order);
    let count = |wanted: &dyn Fn(&Row) -> bool| report.rows.iter().filter(|row| wanted(row)).count();
    pipeline.insert(
        "counts".to_owned(),
        json!({
            "complete": count(&|row| row.end == End::Complete && !row.cached),
            "cached": count(&|row| row.cached),
            "failed": count(&|row| row.end == End::Failed),
            "aborted": count(&|row| row.end == End::Aborted),
            "skipped": count(&|row| matches!(row.end, End::Skipped(_))),
            "parked": count(&|row| row.end == End::Parked),
        }),
    );
    let named: Vec<Value> = report.rows.iter().take(STEPS_NAMED).map(|row| told(spec, row)).collect();
    pipeline.insert("steps".to_owned(), json!(named));
    if report.rows.len() > STEPS_NAMED {
        pipeline.insert("steps_not_named".to_owned(), json!(report.rows.len() - STEPS_NAMED));
    }
    pipeline.insert("duration_ms".to_owned(), json!(report.took.as_millis() as u64));
    event.facets = object(&json!({ "pipeline": pipeline }));
    event
}

fn told(spec: &Spec, row: &Row) -> Value {
    let mut told = json!({ "step": spec.steps[row.cell.step].id, "run": row.run, "end": row.end.to_string() });
    if row.cached {
        told["cached"] = json!(true);
    }
    if let End::Skipped(Cause::Upstream(step)) = &row.end {
        told["upstream"] = json!(spec.steps[*step].id);
    }
    // Of a step that ran its own first event says why.
    if row.end != End::Complete && !row.why.is_empty() {
        told["why"] = json!(row.why);
    }
    told
}

fn pipeline(spec: &Spec, order: &Order) -> Map<String, Value> {
    let mut pipeline = Map::from_iter([
        ("name".to_owned(), json!(spec.name)),
        ("file".to_owned(), json!(order.file)),
        ("spec".to_owned(), json!(spec.digest.to_string())),
    ]);
    let folder = order.folder.strip_prefix(&order.base.workspace_root).unwrap_or(&order.folder);
    pipeline.insert("folder".to_owned(), json!(folder.to_string_lossy()));
    if let Some(origin) = order.resumes.first() {
        pipeline.insert("resumed_from".to_owned(), json!(origin));
    }
    pipeline
}

fn base(spec: &Spec, order: &Order, stored: &Stored, part: &str, time: Time) -> Event {
    let who = &order.base;
    let mut event = Event::new(Kind::Transform, who.actor.clone());
    event.id = Some(format!("{}/{part}", order.run_id));
    event.time = Some(time);
    event.namespace.clone_from(&who.namespace);
    event.job = Some(spec.name.clone());
    event.run = Some(order.run_id.clone());
    event.tags = spec.tags.iter().chain(&who.tags).cloned().collect();
    event.params = object(&Value::Object(order.params.clone()));
    event.code = who.ground.as_ref().map(|ground| ground.code()).unwrap_or_default();
    event.inputs = vec![Input {
        reference: Ref {
            kind: Some(EntityKind::Artifact),
            name: Some(order.file.clone()),
            digest: Some(stored.digest.into()),
            digests: format!("sha256:{}", stored.sha256).parse().into_iter().collect(),
            ..Ref::default()
        },
        role: Role::Config,
        size: Some(stored.size),
        inferred: false,
    }];
    event.evidence = Evidence::Observed;
    event
}

fn object(value: &Value) -> Json {
    // Strings, numbers and lists of our own are always canonical JSON.
    Json::from_value(value).unwrap_or_default()
}
