//! What differs between two versions: how each was made, from what, and what was said of it.

use std::collections::{BTreeMap, BTreeSet};

use arrow::record_batch::RecordBatch;
use lineage_store::event::{Json, Role};
use lineage_store::graph::{Position, Use, VersionId};

use super::attribute::{Attribute, BuiltIn, Node};
use super::bits::{Bits, Nodes};
use super::names::kind_word;
use super::rows::text;
use super::walk::{Edges, Walk, inputs_for};
use super::world::World;
use crate::output::{Columns, Heading, OutputError};
use crate::syntax::ast::Kind;
use crate::syntax::quote;

/// What is compared, in the order of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aspect {
    Bytes,
    Input,
    InputsInput,
    Param,
    Metric,
    Code,
    Config,
    Software,
    Agent,
    Environment,
    Tag,
    Description,
    Audit,
}

impl Aspect {
    fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Input => "input",
            Self::InputsInput => "input of inputs",
            Self::Param => "param",
            Self::Metric => "metric",
            Self::Code => "code",
            Self::Config => "config",
            Self::Software => "software",
            Self::Agent => "agent",
            Self::Environment => "environment",
            Self::Tag => "tag",
            Self::Description => "description",
            Self::Audit => "audit",
        }
    }
}

/// Everything that is compared of one version.
type Profile = BTreeMap<(Aspect, String), String>;

/// One row: what only one side has lacks the other.
pub(crate) struct Difference {
    aspect: Aspect,
    pub(crate) key: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

impl Difference {
    /// What differs, in a word or two.
    pub(crate) fn aspect(&self) -> &'static str {
        self.aspect.word()
    }
}

/// What differs, in order; the keys of one aspect by their bytes.
pub(crate) fn differences(world: &World, before: VersionId, after: VersionId) -> Vec<Difference> {
    let (mut before, mut after) = (profile(world, before), profile(world, after));
    let keys: BTreeSet<(Aspect, String)> = before.keys().chain(after.keys()).cloned().collect();
    let differ = |key: (Aspect, String)| {
        let (old, new) = (before.remove(&key), after.remove(&key));
        (old != new).then_some(Difference { aspect: key.0, key: key.1, before: old, after: new })
    };
    keys.into_iter().filter_map(differ).collect()
}

fn profile(world: &World, version: VersionId) -> Profile {
    let mut profile = Profile::new();
    let node = Node::Version(version);
    let mut attribute = |aspect, built_in: BuiltIn| {
        let value = text(world.value(node, &Attribute::BuiltIn(built_in)));
        // As the columns of answers are called.
        let key = if built_in == BuiltIn::Hash { "digest" } else { built_in.word() };
        profile.extend(value.map(|value| ((aspect, key.to_owned()), value)));
    };
    for built_in in [BuiltIn::Hash, BuiltIn::Size, BuiltIn::Rows, BuiltIn::Label] {
        attribute(Aspect::Bytes, built_in);
    }
    for built_in in [BuiltIn::Actor, BuiltIn::Job] {
        attribute(Aspect::Agent, built_in);
    }
    for built_in in [BuiltIn::Owner, BuiltIn::Purpose, BuiltIn::Tier] {
        attribute(Aspect::Description, built_in);
    }
    for environment in world.environments_of(version) {
        let name = world.view.text(environment).to_owned();
        profile.insert((Aspect::Environment, name), "live".to_owned());
    }
    for tag in world.tags_of_version(version) {
        profile.insert((Aspect::Tag, world.view.text(tag).to_owned()), "tagged".to_owned());
    }
    measured(world, node, &mut profile);
    made(world, version, &mut profile);
    audits(world, version, &mut profile);
    profile
}

/// Parameters and metrics, as conditions see them.
fn measured(world: &World, node: Node, profile: &mut Profile) {
    for ((metric, key), value) in world.all_measured(node) {
        let aspect = if metric { Aspect::Metric } else { Aspect::Param };
        profile.insert((aspect, world.view.text(key).to_owned()), text(Some(value)).unwrap_or_default());
    }
}

/// How a version was made: by the latest step that generated it.
fn made(world: &World, version: VersionId, profile: &mut Profile) {
    let view = &world.view;
    let latest = world.makers(version).into_iter().max_by_key(|leader| {
        let last = world.final_event(*leader);
        (view.time(last), last)
    });
    let Some(leader) = latest else { return };
    inputs(world, version, leader, profile);
    for event in world.events_of(leader) {
        let Some(whole) = world.whole.event(event) else { return };
        let members = |aspect, json: &Json| {
            let member =
                move |(key, value): (std::borrow::Cow<'_, str>, &str)| ((aspect, key.into_owned()), plain(value));
            json.members().into_iter().map(member).collect::<Vec<_>>()
        };
        profile.extend(members(Aspect::Code, &whole.code));
        profile.extend(members(Aspect::Software, &whole.software));
        if let Some(principal) = &whole.principal {
            profile.insert((Aspect::Agent, "principal".to_owned()), principal.clone());
        }
    }
}

/// The inputs of a step that led to a version, and what led to those.
fn inputs(world: &World, version: VersionId, leader: Position, profile: &mut Profile) {
    let direct = inputs_for(world, leader, version, Edges::ALL);
    let mut found: BTreeMap<(Aspect, String), BTreeSet<u32>> = BTreeMap::new();
    for event in world.events_of(leader) {
        for mention in world.view.mentions(event).into_iter().filter(|m| direct.contains(&m.version)) {
            let Use::Input(role) = mention.usage else { continue };
            let name = entity_name(world, mention.version);
            let (aspect, key) = match role {
                Role::Data => (Aspect::Input, name),
                Role::Code => (Aspect::Code, name),
                Role::Config => (Aspect::Config, name),
                other => (Aspect::Input, format!("{name} as {}", other.as_str())),
            };
            found.entry((aspect, key)).or_default().insert(world.view.number(mention.version));
        }
    }
    let start = Nodes::of_versions(Bits::of(direct.iter().copied()));
    let above = Walk::new(world, &world.view.steps(), Edges::ALL, None).upstream(&start).nodes.versions;
    for source in above.iter() {
        let key = (Aspect::InputsInput, entity_name(world, source));
        found.entry(key).or_default().insert(world.view.number(source));
    }
    let versions = |numbers: &BTreeSet<u32>| numbers.iter().map(|n| format!("v{n}")).collect::<Vec<_>>().join(", ");
    profile.extend(found.iter().map(|(key, numbers)| (key.clone(), versions(numbers))));
}

/// Completed audits of a version, by position.
fn audits(world: &World, version: VersionId, profile: &mut Profile) {
    let view = &world.view;
    let mut leaders = BTreeSet::new();
    view.uses(version, |event, usage| {
        if usage == Use::About && world.is_step(Kind::Audit, view.leader(event)) {
            leaders.insert(view.leader(event));
        }
    });
    for leader in leaders {
        let last = world.final_event(leader);
        let outcome = view.outcome(last).map_or("no outcome", |outcome| outcome.as_str());
        let value = format!("{outcome} by {}, {}", view.text(view.actor(last)), view.time(last));
        profile.insert((Aspect::Audit, format!("event '#{leader}'")), value);
    }
}

fn entity_name(world: &World, version: VersionId) -> String {
    let entity = world.view.entity(version);
    format!("{} {}", kind_word(world.view.entity_kind(entity)), quote(world.view.entity_name(entity)))
}

/// A JSON value as people write it: texts without quotes.
fn plain(json: &str) -> String {
    lineage_store::event::canonical::text_of(json).unwrap_or_else(|| json.to_owned())
}

/// One row for each difference.
pub(super) fn rows(differences: &[Difference]) -> Result<RecordBatch, OutputError> {
    let mut columns = Columns::new();
    columns.text(&Heading::new("aspect").about("what differs"), differences.iter().map(|d| Some(d.aspect.word())));
    columns.text(&Heading::new("key").about("which one of it"), differences.iter().map(|d| Some(&d.key)));
    let before = Heading::new("before").about("of the first version");
    columns.text(&before, differences.iter().map(|d| d.before.as_ref()));
    columns.text(&Heading::new("after").about("of the second version"), differences.iter().map(|d| d.after.as_ref()));
    columns.finish()
}
