//! Notes: what a reader must know of an answer, computed from visible events only.

use super::bits::{Bits, Nodes};
use super::compare::missing_text;
use super::eval::Evaluator;
use super::plan::Plan;
use super::tails::Tails;
use super::world::World;
use crate::output::Note;

/// A code, and one sentence.
pub(super) type Said = (&'static str, String);

/// What evaluating a set came across.
pub(super) fn of_evaluation(evaluator: &Evaluator<'_>) -> Vec<Said> {
    let mut said = evaluator.notes.take();
    if evaluator.crossed.get() {
        said.push(crossed());
    }
    said
}

/// That names were left behind on the way.
pub(super) fn crossed() -> Said {
    ("N02", "copies or links between names were followed".to_owned())
}

/// What is to be said of the rows of a set.
pub(super) fn of_set(world: &World, plan: &Plan, tails: &Tails, evaluator: &Evaluator<'_>, nodes: &Nodes) -> Vec<Said> {
    let mut said = Vec::new();
    if tails.aggregate.is_some() && !nodes.versions.is_empty() {
        let columns = world.view.names();
        let names = Bits::of(nodes.versions.iter().map(|v| columns.entity(v)));
        let text = format!("counts are of versions: {} versions of {} names", nodes.versions.len(), names.len());
        said.push(("W05", text));
    }
    said.extend(evaluator.retired(plan, nodes).map(|text| ("W03", text)));
    let computed = tails.aggregate.iter().filter_map(|a| a.attribute.as_ref());
    for attribute in tails.show.iter().chain(tails.keys.iter().map(|k| &k.attribute)).chain(computed) {
        let missing = nodes.iter().filter(|n| world.value(*n, attribute).is_none()).count();
        if missing > 0 {
            said.push(("W04", missing_text(missing, nodes.len(), attribute)));
        }
    }
    said
}

/// The notes of an answer of so many rows out of a total; `late`: whether late reports count, as with `as of` alone.
pub(super) fn of_answer(world: &World, mut said: Vec<Said>, rows: usize, total: usize, late: bool) -> Vec<Note> {
    if rows < total {
        said.push(("N01", format!("{rows} of {total}")));
    }
    let hidden = world.view.n_hidden_here();
    if hidden > 0 {
        said.push(("N03", format!("{hidden} retracted events are hidden (use `including retracted`)")));
    }
    said.extend(about_time(world, late));
    said.sort();
    said.dedup();
    said.into_iter().map(|(code, text)| Note { code: code.to_owned(), text }).collect()
}

/// What `as of` alone brings in or leaves out.
fn about_time(world: &World, late: bool) -> Option<Said> {
    let (view, until) = (&world.view, world.until);
    if !late || view.count() == 0 {
        return None;
    }
    let later = (view.count_recorded_by(until)..view.count()).filter(|e| view.sees(*e)).count();
    if later > 0 {
        let text = format!("{later} events were reported later (`known at {until}` leaves them out)");
        return Some(("N04", text));
    }
    let first = (0..view.count()).filter(|e| !view.is_hidden(*e)).map(|e| view.time(e)).min()?;
    (first > until).then(|| ("N05", format!("the log begins later, at {first}")))
}
