//! The short way of a walk: what one look at the index tells of a step is what its events say.

use std::collections::BTreeSet;

use lineage_store::graph::{Makes, Position, Use, VersionId, View};
use proptest::prelude::*;

use super::properties::{any_line, sent};
use crate::histories::notation::instant;
use crate::histories::play::{Play, play};

type Ends = BTreeSet<(VersionId, Position, String)>;

/// The uses and makers of every version, by asking every event.
fn told_by_events(view: &View) -> (Ends, Ends) {
    let (mut uses, mut makers) = (Ends::new(), Ends::new());
    for event in (0..view.count()).filter(|e| view.sees(*e)) {
        uses.extend(view.mentions(event).iter().map(|m| (m.version, event, format!("{:?}", m.usage))));
        makers.extend(view.made(event).iter().map(|m| (m.version, event, String::new())));
    }
    (uses, makers)
}

/// The uses and makers of every version, by asking the versions.
fn told_by_versions(view: &View) -> (Ends, Ends) {
    let (mut uses, mut makers) = (Ends::new(), Ends::new());
    let steps = view.steps();
    for version in (0..view.n_versions()).filter(|v| view.has_version(*v)) {
        let mut note = |event: Position, usage: Use| {
            uses.insert((version, event, format!("{usage:?}")));
        };
        steps.uses(version, &mut note);
        view.makers(version, |event| {
            makers.insert((version, event, String::new()));
        });
    }
    (uses, makers)
}

fn steps_agree(view: &View) -> Result<(), TestCaseError> {
    prop_assert_eq!(told_by_versions(view), told_by_events(view));
    let steps = view.steps();
    for event in (0..view.count()).filter(|e| view.sees(*e)) {
        let told: Vec<VersionId> = match steps.makes(event) {
            Makes::More => continue,
            Makes::Nothing => Vec::new(),
            Makes::One(version) => vec![version],
            Makes::Several => steps.several(event).collect(),
        };
        let made = view.made(event);
        prop_assert!(made.iter().all(|m| m.from.is_none()), "#{} has a `from` list", event);
        let made: BTreeSet<VersionId> = made.iter().map(|m| m.version).collect();
        prop_assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), made, "#{}", event);
        prop_assert_eq!(view.attempt_events(view.leader(event)), vec![event]);
        prop_assert_eq!(steps.kind(event), view.kind(event));
    }
    let names = view.names();
    for version in 0..view.n_versions() {
        let entity = view.entity(version);
        prop_assert_eq!((names.entity(version), names.kind(version)), (entity, view.entity_kind(entity)));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// However the index is sealed and wherever one stands, the short way leads where the long one does.
    #[test]
    fn the_short_way_is_the_long_one(
        lines in prop::collection::vec(any_line(), 1..14),
        seal in 1..6usize,
        (known, until) in (1..14u32, 0..40u8),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = play(folder.path(), &sent(&lines), Play::Seal(seal));
        let view = store.view().expect("a view");
        let all = instant("23:00");
        for view in [&view, &view.at(known, all), &view.at(u32::MAX, instant(&format!("10:{until:02}")))] {
            steps_agree(view)?;
            steps_agree(&view.including_retracted())?;
        }
    }
}
