//! Impact: which models are, or come from, what is damaged.

use std::collections::BTreeSet;

use lineage_store::event::EntityKind;
use lineage_store::graph::{Use, VersionId, View};

use super::report::Report;
use crate::reference::{Found, label};
use crate::session::Session;

/// Of so many damaged events it is told what comes from them.
const EVENTS_MAX: u64 = 100_000;

/// The models that are, or come from, what is damaged, as the graph index knows them.
pub(super) fn affected(session: &Session, report: &mut Report) -> Vec<String> {
    let touched = report.damage.iter().any(|finding| finding.positions.is_some() || finding.digest.is_some());
    if !touched {
        return Vec::new();
    }
    let view = session.store.view().or_else(|_| session.store.view_past_damage());
    let models = view.and_then(|view| {
        let models = models(&view, report);
        view.check()?;
        Ok(models)
    });
    match models {
        Ok((models, complete)) => {
            if !complete {
                let note =
                    format!("of more than {EVENTS_MAX} damaged events it was not told which models are affected");
                report.notes.push(note);
            }
            models
        }
        Err(error) => {
            report.notes.push(format!("which models are affected cannot be told: {error}"));
            Vec::new()
        }
    }
}

fn models(view: &View, report: &Report) -> (Vec<String>, bool) {
    let (mut seen, mut todo) = (BTreeSet::new(), Vec::new());
    let mut left = EVENTS_MAX;
    let mut complete = true;
    for finding in &report.damage {
        let (first, count) = finding.positions.unwrap_or((0, 0));
        let end = (first + count).min(view.count().into());
        complete &= end.saturating_sub(first) <= left;
        for position in (first..end).take(left as usize) {
            reach_from(view, position as u32, &mut seen, &mut todo);
        }
        left -= end.saturating_sub(first).min(left);
        let held = finding.digest.map(|digest| view.versions_with(&digest.0)).unwrap_or_default();
        todo.extend(held.into_iter().filter(|version| seen.insert(*version)));
    }
    // Everything that an event made is taken for touched, whichever input is damaged: better one too many.
    while let Some(version) = todo.pop() {
        let mut events = Vec::new();
        view.uses(version, |event, _| events.push(event));
        for event in events {
            for member in view.attempt_events(view.leader(event)) {
                let made = view.made(member).into_iter().map(|made| made.version);
                todo.extend(made.filter(|version| seen.insert(*version)));
            }
        }
    }
    let is_model = |version: &VersionId| view.entity_kind(view.entity(*version)) == EntityKind::Model;
    (seen.iter().copied().filter(is_model).map(|version| label(view, Found::Version(version))).collect(), complete)
}

/// What a damaged event made, and what it is about.
fn reach_from(view: &View, position: u32, seen: &mut BTreeSet<VersionId>, todo: &mut Vec<VersionId>) {
    let mut members = view.attempt_events(view.leader(position));
    members.push(position);
    for member in members {
        todo.extend(view.made(member).into_iter().map(|made| made.version).filter(|version| seen.insert(*version)));
    }
    let about = view.mentions(position).into_iter().filter(|mention| mention.usage == Use::About);
    todo.extend(about.map(|mention| mention.version).filter(|version| seen.insert(*version)));
}
