//! The tables of the graph: versions, edges and copies.

use lineage_store::graph::{Position, Use, VersionId};

use super::moment::Moment;
use super::rows::{Cell, Written, cells};
use super::{Pack, ReportError, tables};
use crate::engine::attribute::{Attribute, BuiltIn, Node, Val};
use crate::engine::world::Word;

/// Every visible version.
pub(super) fn versions(pack: &Pack<'_>, moment: &Moment<'_>) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::VERSIONS);
    for version in moment.versions() {
        let world = moment.world;
        let view = &world.view;
        let (birth, speaks, maker) = (world.birth(version), world.origin_event(version), moment.maker(version));
        let digest = view.digest(version);
        let mut digests = view.further_digests(version);
        digests.retain(|further| Some(further) != digest.as_ref());
        digests.sort();
        let tags = moment.tags(version);
        rows.push(&moment.row(
            version,
            &cells![
                view.label(version),
                digest.as_ref(),
                &digests,
                view.size(version),
                view.rows(version),
                view.time(birth),
                view.recorded(birth),
                view.text(view.actor(speaks)),
                moment.text(view.job(speaks)),
                if maker.is_some() { "produced" } else { "external" },
                view.evidence(speaks).as_str(),
                view.mint(version),
                maker,
                moment.word(version, Word::Owner),
                moment.word(version, Word::Purpose),
                moment.word(version, Word::Tier),
                &tags,
                moment.aliases(version),
                moment.is_latest(version),
                moment.environments(version),
            ],
        ))?;
    }
    rows.finish()
}

/// Every mention of a version by an event that counts.
pub(super) fn edges(pack: &Pack<'_>, moment: &Moment<'_>) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::EDGES);
    let view = &moment.world.view;
    for event in (pack.first as Position..view.count()).filter(|event| view.sees(*event)) {
        let mut mentions = view.mentions(event);
        mentions.sort_by_key(|m| (matches!(m.usage, Use::Input(_)), m.index, m.version));
        let head = cells![event, view.leader(event), view.recorded(event)];
        let edge = |direction: &'static str, more: [Cell<'static>; 3]| {
            let [position, step, recorded] = head;
            let [version, role, index] = more;
            [position, step, recorded, Cell::from(direction), version, role, index]
        };
        for mention in mentions {
            let start = match mention.usage {
                Use::About => edge("about", cells![mention.version, None::<u32>, 0_u32]),
                Use::Input(role) => edge("input", cells![mention.version, role.as_str(), mention.index]),
            };
            rows.push(&[&start[..], &cells![None::<u32>, mention.inferred]].concat())?;
        }
        let mut made = view.made(event);
        made.sort_by_key(|m| m.version);
        for made in made {
            let start = edge("output", cells![made.version, None::<u32>, 0_u32]);
            let from = made.from.as_deref().map_or(Cell::Missing, Cell::Integers);
            rows.push(&[&start[..], &[from, Cell::Boolean(false)]].concat())?;
        }
    }
    rows.finish()
}

/// Every copy and link.
pub(super) fn copies(pack: &Pack<'_>, moment: &Moment<'_>) -> Result<Written, ReportError> {
    let mut rows = pack.rows(&tables::COPIES);
    let originals = moment.world.copies().originals.iter();
    let mut pairs: Vec<(VersionId, VersionId)> =
        originals.flat_map(|(copy, originals)| originals.iter().map(|original| (*copy, *original))).collect();
    pairs.sort_unstable();
    for (copy, original) in pairs {
        rows.push(&cells![copy, original])?;
    }
    rows.finish()
}

/// The parameters or metrics of a node as one JSON object; `None` if it has none.
pub(super) fn measured(moment: &Moment<'_>, node: Node, metric: bool) -> Option<String> {
    let world = moment.world;
    let all = world.all_measured(node).into_iter().filter(|((m, _), _)| *m == metric);
    let members: serde_json::Map<String, serde_json::Value> =
        all.map(|((_, key), value)| (world.view.text(key).to_owned(), json(value))).collect();
    (!members.is_empty()).then(|| serde_json::Value::Object(members).to_string())
}

fn json(value: Val) -> serde_json::Value {
    match value {
        Val::Number(n) if n.is_finite() => n.into(),
        Val::Number(n) => n.to_string().into(),
        Val::Text(text) => text.into(),
        Val::Bool(truth) => truth.into(),
        Val::Time(time) => time.to_string().into(),
        Val::List(texts) => texts.into(),
    }
}

/// Whether an audit's auditor is nobody who trained what it is about.
pub(super) fn is_independent(moment: &Moment<'_>, event: Position) -> bool {
    let independent = Attribute::BuiltIn(BuiltIn::Independent);
    moment.world.value(Node::Event(event), &independent) == Some(Val::Bool(true))
}
