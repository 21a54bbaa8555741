//! What may be written at a cursor: words that the grammar takes there, and names of the store that fit.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use lineage_store::event::Kind as EventKind;
use lineage_store::graph::{EntityId, Symbol, View};
use lineage_store::time::Time;
use serde_json::{Value, json};

use super::attribute::BuiltIn;
use super::names;
use super::whole::{ReadEvent, Whole};
use super::world::World;
use crate::syntax::ast::{Kind, Span};
use crate::syntax::{self, Expected, NOUNS, NamePosition, expected_at, quote, takes};

/// The most names that are offered.
const NAMES_MAX: usize = 1000;

/// Something to write at a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What to write, quoted where the language needs it.
    pub text: String,
    /// `keyword`, `noun`, `version`, `agent`, `tag`, `environment`, `attribute`, `value`, `query`, or a kind of entity.
    pub kind: &'static str,
    /// What it is.
    pub doc: String,
    /// The part of the text that it replaces.
    pub replace: Span,
}

impl Candidate {
    /// As an object.
    pub fn to_json(&self) -> Value {
        let replace = json!({ "start": self.replace.start, "end": self.replace.end });
        json!({ "text": self.text, "kind": self.kind, "doc": self.doc, "replace": replace })
    }
}

/// What may be written at byte `cursor` of a text, best first; what follows the cursor is not looked at.
///
/// Names are in the index, but for those of saved queries, for which `events` is asked.
pub fn complete(
    view: &View,
    text: &str,
    cursor: usize,
    now: Time,
    environments: &[String],
    events: ReadEvent,
) -> Vec<Candidate> {
    let expected = expected_at(text, cursor);
    let typed = text.get(expected.replace.start..expected.replace.end).unwrap_or_default();
    let world = World::new(view.clone(), now, now, false, Rc::new(Whole::new(events)));
    let catalog = Catalog { world: &world, environments };
    let mut found = Found {
        replace: expected.replace,
        typed: typed.trim_start_matches(['\'', '"']).to_lowercase(),
        list: Vec::new(),
    };
    let quoted = typed.starts_with(['\'', '"']);
    if let Some(position) = &expected.names {
        catalog.names(position, &expected.kinds, &mut found);
        found.list.sort_by_cached_key(|c| (c.text.trim_start_matches('\'').to_lowercase(), c.text.clone()));
        found.list.dedup();
        found.list.truncate(NAMES_MAX);
    }
    let names = std::mem::take(&mut found.list);
    if !quoted {
        keywords(text, &expected, &mut found);
    }
    found.list.extend(names);
    found.list
}

/// The words that may stand there.
fn keywords(text: &str, expected: &Expected, found: &mut Found) {
    let before = text.get(..expected.replace.start).unwrap_or_default();
    for word in &expected.keywords {
        let is_symbol = !word.starts_with(char::is_alphabetic);
        if (is_symbol && found.typed.is_empty()) || !takes(before, word) {
            continue;
        }
        let kind = if NOUNS.contains(word) { "noun" } else { "keyword" };
        found.offer(word, word, kind, syntax::about(word).to_owned());
    }
}

/// What was found so far.
struct Found {
    replace: Span,
    /// What is typed already, in lower case and without its quote.
    typed: String,
    list: Vec<Candidate>,
}

impl Found {
    /// Takes a candidate if its name begins as typed.
    fn offer(&mut self, name: &str, text: &str, kind: &'static str, doc: String) {
        if name.to_lowercase().starts_with(&self.typed) {
            self.list.push(Candidate { text: text.to_owned(), kind, doc, replace: self.replace });
        }
    }

    /// Takes a name, quoted where it must be.
    fn offer_name(&mut self, name: &str, kind: &'static str, doc: String) {
        self.offer(name, &quote(name), kind, doc);
    }
}

/// The names of a store.
struct Catalog<'a> {
    world: &'a World,
    environments: &'a [String],
}

impl Catalog<'_> {
    fn names(&self, position: &NamePosition, kinds: &[Kind], found: &mut Found) {
        match position {
            NamePosition::Reference(Some(kind)) => self.entities(|of| names::fits(Some(*kind), of), found),
            NamePosition::Reference(None) => {
                let fits =
                    |of| kinds.is_empty() || kinds.iter().any(|kind| kind.is_version() && names::fits(Some(*kind), of));
                self.entities(fits, found);
            }
            NamePosition::Version(kind, name) => self.versions(*kind, name, found),
            NamePosition::Agent => self.texts(self.world.actors(), "agent", found),
            NamePosition::Tag => self.texts(self.world.tags(), "tag", found),
            NamePosition::Slot => self.slots(found),
            NamePosition::Attribute => self.attributes(found),
            NamePosition::Value(attribute) => self.values(attribute, found),
            NamePosition::SavedQuery => self.saved_queries(found),
        }
    }

    /// The newest text of each saved query tells what it is.
    fn saved_queries(&self, found: &mut Found) {
        let mut texts = BTreeMap::new();
        for position in self.world.view.events_of_kind(EventKind::SaveQuery) {
            let Some(event) = self.world.whole.event(position) else { continue };
            if let (Some(name), Some(text)) = (event.args.text("name"), event.args.text("query")) {
                texts.insert(name, text);
            }
        }
        for (name, text) in texts {
            found.offer_name(&name, "query", text);
        }
    }

    fn texts(&self, symbols: impl IntoIterator<Item = Symbol>, kind: &'static str, found: &mut Found) {
        for symbol in symbols {
            found.offer_name(self.world.view.text(symbol), kind, String::new());
        }
    }

    fn entities(&self, fits: impl Fn(lineage_store::event::EntityKind) -> bool, found: &mut Found) {
        let view = &self.world.view;
        for entity in (0..view.n_entities()).filter(|entity| fits(view.entity_kind(*entity))) {
            let name = view.entity_name(entity);
            if !name.to_lowercase().starts_with(&found.typed) {
                continue;
            }
            let versions = view.versions(entity).into_iter().filter(|v| view.has_version(*v)).count();
            let word = names::kind_word(view.entity_kind(entity));
            if versions > 0 {
                let doc =
                    if versions == 1 { format!("{word}, 1 version") } else { format!("{word}, {versions} versions") };
                found.offer(name, &self.spelled(entity), word, doc);
            }
        }
    }

    /// A name, with its namespace if another entity of this kind has the name too.
    fn spelled(&self, entity: EntityId) -> String {
        let view = &self.world.view;
        let name = view.entity_name(entity);
        let same = view.entities_named(name).into_iter().filter(|e| view.entity_kind(*e) == view.entity_kind(entity));
        if same.count() < 2 {
            return quote(name);
        }
        let whole = self.world.spelling(entity, true);
        let word = names::kind_word(view.entity_kind(entity));
        whole.strip_prefix(word).map_or(whole.clone(), |rest| rest.trim_start().to_owned())
    }

    fn versions(&self, kind: Option<Kind>, name: &str, found: &mut Found) {
        let view = &self.world.view;
        for entity in view.entities_named(name).into_iter().filter(|e| names::fits(kind, view.entity_kind(*e))) {
            let versions: Vec<_> = view.versions(entity).into_iter().filter(|v| view.has_version(*v)).collect();
            if !versions.is_empty() {
                found.offer("latest", "latest", "version", "the highest number".to_owned());
            }
            for version in versions.iter().rev().take(NAMES_MAX) {
                let number = format!("v{}", view.number(*version));
                let label = view.label(*version).unwrap_or_default();
                found.offer(&number, &number, "version", label.to_owned());
                if !label.is_empty() {
                    found.offer_name(label, "version", number);
                }
            }
            for alias in self.world.aliases_of(entity) {
                found.offer_name(view.text(alias), "version", "alias".to_owned());
            }
        }
    }

    fn slots(&self, found: &mut Found) {
        let mut all: BTreeSet<String> = self.environments.iter().map(|e| View::environment_name(e)).collect();
        all.extend(self.world.slot_changes().iter().map(|c| self.world.view.text(c.environment).to_owned()));
        for environment in all.iter().filter(|environment| !environment.is_empty()) {
            found.offer_name(environment, "environment", String::new());
        }
    }

    fn attributes(&self, found: &mut Found) {
        for built_in in BuiltIn::ALL {
            found.offer(built_in.word(), built_in.word(), "attribute", built_in.about().to_owned());
        }
        for (metric, key) in self.world.attribute_keys() {
            let (name, space) = (self.world.view.text(key), if metric { "metric" } else { "param" });
            let whole = super::resolve::spelled(space, name);
            let text = if quote(name) == name { name.to_owned() } else { whole.clone() };
            found.offer(name, &text, "attribute", space.to_owned());
            if found.typed.contains('.') {
                found.offer(&whole, &whole, "attribute", space.to_owned());
            }
        }
    }

    fn values(&self, attribute: &str, found: &mut Found) {
        let words: &[&str] = match attribute {
            "name" => return self.entities(|_| true, found),
            "tag" => return self.texts(self.world.tags(), "tag", found),
            "actor" => return self.texts(self.world.actors(), "agent", found),
            "environment" => return self.slots(found),
            "outcome" => &["pass", "fail"],
            "state" => &["start", "running", "complete", "fail", "abort", "other"],
            "origin" => &["external", "produced"],
            "evidence" => &["observed", "claimed"],
            "kind" => &[
                "dataset",
                "model",
                "features",
                "artifact",
                "transform",
                "training",
                "evaluation",
                "audit",
                "deployment",
            ],
            "latest" | "live" | "independent" => &["true", "false"],
            _ => &[],
        };
        for word in words {
            found.offer_name(word, "value", String::new());
        }
    }
}
