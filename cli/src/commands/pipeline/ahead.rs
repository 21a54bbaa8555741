//! `lineage run PIPELINE.toml --dry-run`: which steps would run, which would be reused, and why.

use lineage_ingest::pipeline::{Cell, Expected, Outlook, forecast};
use lineage_ingest::run::RecordError;
use lineage_store::event::Event;
use serde_json::{Value, json};

use super::{Ready, with_around};
use crate::exit::ExitCode;
use crate::render::{align, clean};
use crate::session::Session;

/// Says what would run.
pub(super) fn tell(session: &Session, ready: &Ready) -> anyhow::Result<ExitCode> {
    let record = |_: &[Event]| -> Result<(), RecordError> { Err("nothing is recorded in a dry run".into()) };
    let Ready { spec, plan, order } = ready;
    let expected = with_around(session, order, &record, &|_| {}, |around| forecast(spec, plan, order, &around));
    let terminal = &session.context.terminal;
    if session.context.json {
        let steps: Vec<Value> = expected.iter().map(|expected| told(ready, expected)).collect();
        terminal.print(&json!({ "pipeline": spec.name, "steps": steps }).to_string())?;
        return Ok(ExitCode::Done);
    }
    let rows = expected.iter().map(|Expected { cell, outlook }| {
        let (word, why) = words(ready, outlook);
        vec![name(ready, cell), spec.steps[cell.step].kind.to_string(), word.to_owned(), clean(&why)]
    });
    let head = ["step", "kind", "would", "why"].map(str::to_owned).to_vec();
    terminal.print(&align(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))?;
    Ok(ExitCode::Done)
}

/// What would become of a step in a word, and why.
fn words(ready: &Ready, outlook: &Outlook) -> (&'static str, String) {
    match outlook {
        Outlook::Reused { from } => ("be reused", format!("as in {from}")),
        Outlook::Runs { why } => ("run", why.clone()),
        Outlook::Depends { on } => ("depend", format!("on what {} gives", ready.spec.steps[*on].id)),
        Outlook::Skipped { why } => ("be skipped", why.clone()),
        Outlook::Waits => ("wait", "for an approval".to_owned()),
    }
}

/// `train` or `train/0/2`.
fn name(ready: &Ready, cell: &Cell) -> String {
    let id = ready.spec.steps[cell.step].id.clone();
    cell.path.iter().fold(id, |name, index| format!("{name}/{index}"))
}

fn told(ready: &Ready, expected: &Expected) -> Value {
    let Ready { spec, plan, order } = ready;
    let Expected { cell, outlook } = expected;
    let step = &spec.steps[cell.step];
    let needs: Vec<&str> = plan.steps[cell.step].needs.iter().map(|need| &*spec.steps[*need].id).collect();
    let (word, why) = words(ready, outlook);
    json!({
        "step": step.id, "branch": cell.path, "kind": step.kind.as_str(), "needs": needs,
        "left_out": order.left_out.contains(&step.id), "would": word, "why": why,
    })
}
