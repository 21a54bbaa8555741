//! The table of processing: what data is for, who used it, and what its emitters said of it in the facet `processing`.

use std::collections::BTreeMap;

use lineage_store::event::{EntityKind, canonical};
use lineage_store::graph::{EntityId, Position, Symbol, Use, VersionId};
use lineage_store::time::Time;

use super::moment::Moment;
use super::rows::{Cell, Written, cells};
use super::{Pack, ReportError, tables};
use crate::engine::world::Word;

/// The members of the facet, in the order of the columns.
const MEMBERS: [&str; 6] =
    ["categories_of_subjects", "categories_of_data", "recipients", "transfers", "erase_after", "security"];

/// How often a job did something with a name, first and last.
struct Activity {
    steps: Vec<Position>,
    first: Time,
    last: Time,
}

/// Each dataset and feature set, with each job that used or made it.
pub(super) fn processing(pack: &Pack<'_>, moment: &Moment<'_>) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::PROCESSING);
    let view = &moment.world.view;
    let mut names: BTreeMap<(String, String, EntityId), Vec<VersionId>> = BTreeMap::new();
    for version in moment.versions() {
        let entity = view.entity(version);
        if matches!(view.entity_kind(entity), EntityKind::Dataset | EntityKind::Features) {
            let key = (view.entity_name(entity).to_owned(), view.entity_namespace(entity).to_owned(), entity);
            names.entry(key).or_default().push(version);
        }
    }
    for ((_, _, entity), versions) in &names {
        let Some(newest) = versions.last().copied() else { continue };
        let (activities, facet) = (activities(moment, versions), facet(moment, versions));
        let tags = moment.tags(newest);
        let head = cells![
            view.entity_kind(*entity).as_str(),
            view.entity_namespace(*entity),
            view.entity_name(*entity),
            versions.len(),
            moment.word(newest, Word::Owner),
            moment.word(newest, Word::Purpose),
            moment.word(newest, Word::Tier),
            &tags,
        ];
        let said: Vec<Cell<'_>> = facet.iter().map(|value| Cell::from(value.as_ref())).collect();
        if activities.is_empty() {
            let none = cells![None::<&str>, "none", 0_u32, None::<Time>, None::<Time>];
            rows.push(&[&head[..], &none, &said].concat())?;
        }
        for ((job, activity), done) in &activities {
            let did = cells![job.as_ref(), *activity, done.steps.len(), done.first, done.last];
            rows.push(&[&head[..], &did, &said].concat())?;
        }
    }
    rows.finish()
}

/// What jobs did with some versions.
fn activities(moment: &Moment<'_>, versions: &[VersionId]) -> BTreeMap<(Option<String>, &'static str), Activity> {
    let (world, view) = (moment.world, &moment.world.view);
    let mut done: BTreeMap<(Symbol, &'static str), Vec<Position>> = BTreeMap::new();
    for version in versions {
        for step in world.makers(*version) {
            done.entry((view.job(step), "made")).or_default().push(step);
        }
        view.uses(*version, |event, usage| {
            if matches!(usage, Use::Input(_)) {
                let step = view.leader(event);
                done.entry((view.job(step), "used")).or_default().push(step);
            }
        });
    }
    let named = done.into_iter().filter_map(|((job, activity), mut steps)| {
        steps.sort_unstable();
        steps.dedup();
        let times = || steps.iter().map(|step| view.time(world.final_event(*step)));
        let (first, last) = (times().min()?, times().max()?);
        Some(((moment.text(job).map(str::to_owned), activity), Activity { steps, first, last }))
    });
    named.collect()
}

/// The members of the facet of the latest event that makes or concerns one of the versions and has it.
fn facet(moment: &Moment<'_>, versions: &[VersionId]) -> [Option<String>; 6] {
    let view = &moment.world.view;
    let mut events = Vec::new();
    for version in versions {
        view.makers(*version, |event| events.push(event));
        view.uses(*version, |event, usage| {
            if usage == Use::About {
                events.push(event);
            }
        });
    }
    events.sort_by_key(|event| moment.at(*event));
    events.dedup();
    let found = events.into_iter().rev().find_map(|event| {
        let whole = moment.whole(event)?;
        let members = whole.facets.members();
        // Receivers prefix the names of facets, as in `outputs[0].processing`.
        let (_, facet) = members.iter().find(|(key, _)| key.rsplit('.').next() == Some("processing"))?;
        canonical::Json::canonical(facet).ok()
    });
    MEMBERS.map(|member| {
        let members = found.as_ref()?.members();
        members.iter().find(|(key, _)| key == member).map(|(_, value)| (*value).to_owned())
    })
}
