//! What is said of one entity and its versions now: tags, aliases, owner; folds of facts by (time, position).

use std::collections::BTreeMap;

use lineage_store::graph::{Assertion, EntityId, Fact, Subject, VersionId, View};

/// The facts about one entity and its versions, oldest first.
pub(crate) struct Said<'a> {
    view: &'a View,
    facts: Vec<Fact>,
}

impl<'a> Said<'a> {
    /// Gathers the facts about an entity.
    pub(crate) fn of(view: &'a View, entity: EntityId) -> Self {
        let concerns = |fact: &Fact| match fact.subject {
            Subject::Entity(e) => e == entity,
            Subject::Version(v) => view.entity(v) == entity,
            Subject::Event(_) => false,
        };
        let mut facts: Vec<Fact> = view.facts().into_iter().filter(concerns).collect();
        facts.sort_by_key(|fact| (view.time(fact.event), fact.event));
        Self { view, facts }
    }

    /// The aliases and what they point to.
    pub(crate) fn aliases(&self) -> BTreeMap<&'a str, VersionId> {
        let mut aliases = BTreeMap::new();
        for fact in &self.facts {
            match (fact.says, fact.subject) {
                (Assertion::Alias(name), Subject::Version(version)) => {
                    aliases.insert(self.view.text(name), version);
                }
                (Assertion::Unalias(name), _) => {
                    aliases.remove(self.view.text(name));
                }
                _ => {}
            }
        }
        aliases
    }

    /// The tags of a version; of the name alone without one.
    pub(crate) fn tags(&self, version: Option<VersionId>) -> Vec<&'a str> {
        let mut tags = BTreeMap::new();
        for fact in self.facts.iter().filter(|fact| concerns(fact, version)) {
            match fact.says {
                Assertion::Tag(tag) => drop(tags.insert(self.view.text(tag), true)),
                Assertion::Untag(tag) => drop(tags.insert(self.view.text(tag), false)),
                _ => {}
            }
        }
        tags.into_iter().filter_map(|(tag, has)| has.then_some(tag)).collect()
    }

    /// Owner, purpose and tier, as far as they are said.
    pub(crate) fn described(&self, version: Option<VersionId>) -> Vec<(&'static str, &'a str)> {
        let mut found = BTreeMap::new();
        for fact in self.facts.iter().filter(|fact| concerns(fact, version)) {
            let (key, text) = match fact.says {
                Assertion::Owner(text) => ("owner", text),
                Assertion::Purpose(text) => ("purpose", text),
                Assertion::Tier(text) => ("tier", text),
                _ => continue,
            };
            found.insert(key, self.view.text(text));
        }
        found.into_iter().collect()
    }
}

/// Whether a fact concerns a version, by its name or its number.
fn concerns(fact: &Fact, version: Option<VersionId>) -> bool {
    match fact.subject {
        Subject::Entity(_) => true,
        Subject::Version(v) => Some(v) == version,
        Subject::Event(_) => false,
    }
}
