//! Tags of runs: changed as a set, by events of kind `tag` and `untag` about the run.
//!
//! Events are folded in their order, so that changes at the same time need no lock and no second try: each acts on what
//! the one before it left. What a change may not touch, the tags of the system, never changes.

use lineage_store::event::{About, Args, Event, Kind, RunRef};
use serde::Deserialize;
use serde_json::Value;

use super::denied::Denied;
use super::ledger::Ledger;
use super::place::Place;
use super::planned::Planned;
use super::run::Run;
use super::said;
use super::{NAMESPACE, Writer};

/// What is to be changed.
#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    tags_to_add: Vec<String>,
    #[serde(default)]
    tags_to_remove: Vec<String>,
}

impl Ledger {
    /// The events that change the tags of a run; `id` is unlike any before, as the same change may come again.
    pub fn mutate_tags(&self, place: &Place, body: &[u8], id: &str, writer: &Writer<'_>) -> Result<Planned, Denied> {
        let members: serde_json::Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| Denied::Malformed(format!("the body is wrong: {error}")))?;
        let change: Change = serde_json::from_value(members.into()).map_err(|error| {
            Denied::Malformed(format!("tags_to_add and tags_to_remove must be lists of texts: {error}"))
        })?;
        let Some(run) = self.run_at(place) else {
            return Err(Denied::Missing(format!("there is no run {}", place.run_name())));
        };
        let mut system: Vec<String> =
            change.tags_to_remove.iter().filter(|tag| run.system_tags.contains(tag)).cloned().collect();
        if !system.is_empty() {
            system.sort();
            system.dedup();
            return Err(Denied::SystemTags(system));
        }
        // Tags are taken away before others are set, and a tag of the system is never one of the user.
        let is_added = |tag: &String| change.tags_to_add.contains(tag);
        let gone = run.tags.iter().filter(|tag| change.tags_to_remove.contains(tag) && !is_added(tag)).cloned();
        let mut new: Vec<String> = Vec::new();
        for tag in &change.tags_to_add {
            if ![&run.tags, &run.system_tags, &new].into_iter().any(|known| known.contains(tag)) {
                new.push(tag.clone());
            }
        }
        let mut planned = Planned::new(place.clone());
        for (kind, tags) in [(Kind::Untag, gone.collect::<Vec<_>>()), (Kind::Tag, new)] {
            if tags.is_empty() {
                continue;
            }
            let mut event = said::event(kind, writer.caller);
            event.id = Some(format!("{kind}/{id}"));
            event.args = Args::build(kind, &[("tags", tags.into())])?;
            let run = RunRef { namespace: None, job: Some(place.flow.clone()), run: place.run_name() };
            event.about = vec![About::Run(run)];
            planned.add(kind.as_str(), "", event)?;
        }
        Ok(planned)
    }

    /// The tags of the user of a run.
    pub fn tags(&self, place: &Place) -> Option<&[String]> {
        self.run_at(place).map(|run| run.tags.as_slice())
    }

    /// Folds an event of kind `tag` or `untag`, whoever made it.
    pub(super) fn retag(&mut self, event: &Event) {
        for about in &event.about {
            let About::Run(RunRef { namespace, run, .. }) = about else { continue };
            if namespace.as_deref().unwrap_or(&event.namespace) != NAMESPACE {
                continue;
            }
            let Some((flow, run)) = run.split_once('/') else { continue };
            if let Some(run) = self.run_mut(&Place::flow(flow).run(run)) {
                run.retag(event.kind, event.args.texts("tags"));
            }
        }
    }
}

impl Run {
    fn retag(&mut self, kind: Kind, tags: Vec<String>) {
        if kind == Kind::Untag {
            self.tags.retain(|tag| !tags.contains(tag));
            return;
        }
        for tag in tags {
            if !self.tags.contains(&tag) && !self.system_tags.contains(&tag) {
                self.tags.push(tag);
            }
        }
    }
}
