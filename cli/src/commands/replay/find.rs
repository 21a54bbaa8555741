//! What is to be made again: the attempts of a run, of a step, or of all steps of a pipeline, as their events tell them.

use lineage_ingest::replay::{self, Gap, GapKind, Here, Recorded, Said, Survey};
use lineage_store::event::{Event, Kind};
use lineage_store::graph::View;

use crate::commands::retract::run_namespace;
use crate::session::Session;

/// Whoever reuses the results of another names the one that made them, so one look back is enough.
const REUSES_MAX: usize = 4;

/// One attempt, and what is there of it.
pub(super) struct Item {
    /// The run that was asked for.
    pub(super) run: String,
    /// The run that made its results: another one if they were reused.
    pub(super) made_by: String,
    pub(super) kind: Option<Kind>,
    /// None if it cannot even be read.
    pub(super) recorded: Option<Recorded>,
    pub(super) survey: Survey,
}

impl Item {
    /// Whether it is a step that is not made again even if all of it is there.
    pub(super) fn is_deployment(&self) -> bool {
        self.kind == Some(Kind::Deployment)
    }
}

/// What was asked for.
pub(super) struct Found {
    pub(super) namespace: String,
    pub(super) is_pipeline: bool,
    pub(super) items: Vec<Item>,
}

/// Looks for a run and, if it is one of a pipeline, for its steps.
pub(super) fn find(session: &Session, run: &str, here: &Here<'_>) -> anyhow::Result<Found> {
    session.with_view(|view| {
        let namespace = run_namespace(view, run)?;
        let whole = newest_attempt(session, view, &namespace, run)?;
        if !replay::is_pipeline(&whole) {
            let item = item(session, view, &namespace, run, here)?;
            return Ok(Found { namespace, is_pipeline: false, items: vec![item] });
        }
        let steps = steps(session, view, &namespace, run)?;
        let items = steps.iter().map(|step| item(session, view, &namespace, step, here));
        Ok(Found { items: items.collect::<anyhow::Result<_>>()?, namespace, is_pipeline: true })
    })
}

/// The events of the newest attempt of a run, oldest first.
pub(in super::super) fn newest_attempt(
    session: &Session,
    view: &View,
    namespace: &str,
    run: &str,
) -> anyhow::Result<Vec<Said>> {
    let events = view.run_events(namespace, run);
    let Some(newest) = events.into_iter().max_by_key(|event| (view.attempt(*event), *event)) else {
        return Ok(Vec::new());
    };
    let mut positions = view.attempt_events(view.leader(newest));
    positions.sort_unstable();
    positions.into_iter().map(|position| session.said(position)).collect()
}

/// The runs of the steps of a pipeline, in the order in which they began.
pub(in super::super) fn steps(
    session: &Session,
    view: &View,
    namespace: &str,
    run: &str,
) -> anyhow::Result<Vec<String>> {
    let whole = view.run_events(namespace, run);
    let (Some(first), last) = (whole.iter().min(), whole.iter().max()) else { return Ok(Vec::new()) };
    let reader = session.store.reader()?;
    let mut steps: Vec<String> = Vec::new();
    for position in *first..=*last.unwrap_or(first) {
        let is_of = view.has_run(position)
            && !view.is_hidden(position)
            && view.text(view.namespace(position)) == namespace
            && view.leader(position) == position;
        if !is_of {
            continue;
        }
        let (event, ..) = reader.event(position.into())?;
        let is_part = event.parent.as_ref().is_some_and(|parent| parent.run.run == run);
        if let Some(step) = event.run.filter(|step| is_part && !steps.contains(step)) {
            steps.push(step);
        }
    }
    Ok(steps)
}

fn item(session: &Session, view: &View, namespace: &str, run: &str, here: &Here<'_>) -> anyhow::Result<Item> {
    let (mut namespace, mut made_by) = (namespace.to_owned(), run.to_owned());
    let mut said = newest_attempt(session, view, &namespace, run)?;
    for _ in 0..REUSES_MAX {
        let Some([from, _, made]) = replay::reused_from(&said) else { break };
        (namespace, made_by) = (from, made);
        said = newest_attempt(session, view, &namespace, &made_by)?;
    }
    let kind = said.last().map(|said| said.event.kind);
    let recorded = match Recorded::read(&said) {
        Ok(recorded) => recorded,
        Err(why) => {
            let survey = Survey::hopeless(Gap::new(GapKind::Record, "", why));
            return Ok(Item { run: run.to_owned(), made_by, kind, recorded: None, survey });
        }
    };
    let start = recorded.parent.as_ref().map(|parent| start_of(session, view, &namespace, &parent.run)).transpose()?;
    let recorded = match start.flatten() {
        Some(start) => recorded.with_params(&start),
        None => recorded,
    };
    let survey = Survey::of(&recorded, here);
    Ok(Item { run: run.to_owned(), made_by, kind, recorded: Some(recorded), survey })
}

/// The first event of a run.
fn start_of(session: &Session, view: &View, namespace: &str, run: &str) -> anyhow::Result<Option<Event>> {
    let first = view.run_events(namespace, run).into_iter().min();
    let event = first.map(|first| session.store.reader()?.event(first.into())).transpose()?;
    Ok(event.map(|(event, ..)| event))
}
