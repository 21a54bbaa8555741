//! References on the command line: `KIND NAME[@VERSION]`, resolved strictly, with a way out when they do not resolve.

use std::collections::BTreeSet;

use lineage_store::event::{EntityKind, Ref};
use lineage_store::graph::{EntityId, VersionId, View};

use crate::exit::Problem;
use crate::render::kind_word;
use crate::state::Said;

/// The shortest digest that is looked up, in hex digits.
const DIGEST_DIGITS_MIN: usize = 4;
/// The most names that are compared to find what may have been meant.
const NAMES_MAX: u32 = 200_000;

/// What someone wrote to name a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The kind, where it was said.
    pub(crate) kind: Option<EntityKind>,
    /// The rest: a name, `ns::name`, with or without `@version`, or a digest.
    pub(crate) text: String,
}

/// What a reference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A name, with all its versions.
    Entity(EntityId),
    /// One version.
    Version(VersionId),
}

/// The kind of a word.
pub(crate) fn kind_of(word: &str) -> Option<EntityKind> {
    match word {
        "datasets" => Some(EntityKind::Dataset),
        "models" => Some(EntityKind::Model),
        "feature-set" | "featureset" | "feature" => Some(EntityKind::Features),
        "artifacts" => Some(EntityKind::Artifact),
        _ => EntityKind::from_word(word),
    }
}

/// Reads a kind as clap wants it.
pub(crate) fn parse_kind(word: &str) -> Result<EntityKind, String> {
    kind_of(word).ok_or_else(|| "the kinds are dataset, model, features and artifact".to_owned())
}

impl Target {
    /// A reference of a kind.
    pub(crate) fn new(kind: EntityKind, text: impl Into<String>) -> Self {
        Self { kind: Some(kind), text: text.into() }
    }

    /// Reads the references in a list of words: each is `KIND NAME`, or one word with or without a kind before it.
    pub(crate) fn read(words: &[String]) -> Vec<Self> {
        let mut targets = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (first, rest) = word.split_once(' ').map_or((word.as_str(), None), |(a, b)| (a, Some(b.trim())));
            let target = match (kind_of(first), rest) {
                (Some(kind), Some(rest)) => Self::new(kind, rest),
                (Some(kind), None) if words.len() > 0 => Self::new(kind, words.next().cloned().unwrap_or_default()),
                _ => Self { kind: None, text: word.clone() },
            };
            targets.push(target);
        }
        targets
    }

    fn shown(&self) -> String {
        match self.kind {
            Some(kind) => format!("{} {}", kind_word(kind), self.text),
            None => self.text.clone(),
        }
    }

    /// What it means; an unknown or ambiguous name is an error that shows the way out.
    pub(crate) fn resolve(&self, view: &View) -> anyhow::Result<Found> {
        if is_digest(&self.text) {
            return self.by_digest(view).map(Found::Version);
        }
        match self.entities(view, &self.text).as_slice() {
            [one] => return Ok(Found::Entity(*one)),
            [] => {}
            several => return Err(self.ambiguous(view, several, "")),
        }
        let Some((name, selector)) = self.text.rsplit_once('@').filter(|(name, _)| !name.is_empty()) else {
            return Err(self.unknown(view, &self.text));
        };
        match self.entities(view, name).as_slice() {
            [one] => select(view, *one, selector).map(Found::Version),
            [] => Err(self.unknown(view, name)),
            several => Err(self.ambiguous(view, several, &format!("@{selector}"))),
        }
    }

    /// One version: that of the reference, or of a bare name the one that came to be last.
    pub(crate) fn version(&self, view: &View) -> anyhow::Result<VersionId> {
        match self.resolve(view)? {
            Found::Version(version) => Ok(version),
            Found::Entity(entity) => newest(view, entity).ok_or_else(|| {
                let name = label(view, Found::Entity(entity));
                Problem::name(format!("{name} has no version yet"))
                    .help("a version is recorded by `lineage add`, `lineage run` or an event that names its bytes")
                    .into()
            }),
        }
    }

    /// The visible entities of a name.
    fn entities(&self, view: &View, name: &str) -> Vec<EntityId> {
        let fits = |entity: &EntityId| {
            self.kind.is_none_or(|kind| kind == view.entity_kind(*entity)) && is_visible(view, *entity)
        };
        let mut found: Vec<_> = view.entities_named(name).into_iter().filter(fits).collect();
        if found.is_empty()
            && let Some((namespace, name)) = name.rsplit_once("::")
        {
            let (namespace, name) = (unescape(namespace), unescape(name));
            found = view.entities_named(&name).into_iter().filter(fits).collect();
            found.retain(|entity| view.entity_namespace(*entity) == namespace);
        }
        found
    }

    /// The versions that hold the digest, if all of them hold the same bytes.
    pub(crate) fn holders(&self, view: &View) -> Option<Vec<VersionId>> {
        let found = if is_digest(&self.text) { self.matches(view).ok()? } else { return None };
        let one = found.iter().all(|(digest, _)| *digest == found[0].0);
        (one && !found.is_empty()).then(|| found.into_iter().map(|(_, version)| version).collect())
    }

    /// The digests that begin as written, with their versions.
    fn matches(&self, view: &View) -> anyhow::Result<Vec<(String, VersionId)>> {
        let digits = self.text.split_once(':').map_or(0, |(_, digits)| digits.len());
        if digits < DIGEST_DIGITS_MIN {
            return Err(Problem::usage(format!("`{}` is too short for a digest", self.text))
                .help(format!("write at least {DIGEST_DIGITS_MIN} hex digits"))
                .into());
        }
        let mut found = view.digests_with_prefix(&self.text.to_ascii_lowercase());
        found.retain(|(_, version)| self.kind.is_none_or(|kind| view.entity_kind(view.entity(*version)) == kind));
        Ok(found)
    }

    fn by_digest(&self, view: &View) -> anyhow::Result<VersionId> {
        let found = self.matches(view)?;
        let entities: BTreeSet<EntityId> = found.iter().map(|(_, version)| view.entity(*version)).collect();
        let digests: BTreeSet<&str> = found.iter().map(|(digest, _)| digest.as_str()).collect();
        match (found.iter().map(|(_, version)| *version).max(), entities.len()) {
            (None, _) => Err(Problem::name(format!("no version holds a digest that begins with {}", self.text))
                .help("`lineage log` shows what is recorded")
                .into()),
            (Some(version), 1) if digests.len() == 1 => Ok(version),
            _ => {
                let shown: Vec<_> = found
                    .iter()
                    .take(3)
                    .map(|(digest, version)| {
                        let text: String = digest.chars().take(self.text.len() + 8).collect();
                        format!("{text} ({})", label(view, Found::Version(*version)))
                    })
                    .collect();
                let message = format!("`{}` matches {} versions", self.text, found.len());
                Err(Problem::name(message).help(shown.join(" · ")).into())
            }
        }
    }

    fn ambiguous(&self, view: &View, several: &[EntityId], selector: &str) -> anyhow::Error {
        let shown: Vec<_> = several
            .iter()
            .take(3)
            .map(|e| format!("{} '{}{selector}'", kind_word(view.entity_kind(*e)), qualified(view, *e)))
            .collect();
        Problem::name(format!("`{}` names {} things", self.shown(), several.len()))
            .help(format!("write {}", shown.join(" or ")))
            .into()
    }

    fn unknown(&self, view: &View, name: &str) -> anyhow::Error {
        let what = self.kind.map_or("thing", kind_word);
        let problem = Problem::name(format!("no {what} is named `{}`", name.escape_debug()));
        let same: Vec<_> =
            view.entities_named(name).into_iter().filter(|e| self.kind.is_some() && is_visible(view, *e)).collect();
        if let Some(other) = same.first() {
            return problem.help(format!("there is a {}", label(view, Found::Entity(*other)))).into();
        }
        if !view.entities_named(name).is_empty() {
            return problem.help("it is hidden by a retraction; `lineage log` shows which").into();
        }
        let near = near(view, self.kind, name);
        let help = if near.is_empty() {
            "`lineage log` shows what is recorded".to_owned()
        } else {
            format!("did you mean {}?", near.join(", "))
        };
        problem.help(help).into()
    }
}

/// Whether text is a digest with its prefix.
pub(crate) fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(prefix, digits)| {
        matches!(prefix, "b3" | "sha256" | "sha1" | "md5") && digits.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// An entity is there if one of its versions is, or if it never had any.
fn is_visible(view: &View, entity: EntityId) -> bool {
    let versions = view.versions(entity);
    versions.is_empty() || versions.iter().any(|version| view.has_version(*version))
}

fn near(view: &View, kind: Option<EntityKind>, name: &str) -> Vec<String> {
    let entities = (0..view.n_entities().min(NAMES_MAX)).filter(|e| kind.is_none_or(|k| k == view.entity_kind(*e)));
    let names: BTreeSet<&str> = entities.filter(|e| is_visible(view, *e)).map(|e| view.entity_name(e)).collect();
    lineage_query::syntax::suggest(name, &names).into_iter().map(|name| format!("`{name}`")).collect()
}

/// The version of an entity that a selector means.
fn select(view: &View, entity: EntityId, selector: &str) -> anyhow::Result<VersionId> {
    let versions = view.versions(entity);
    let visible = || versions.iter().copied().filter(|version| view.has_version(*version));
    let mut hits = BTreeSet::new();
    if selector == "latest" {
        hits.extend(visible().next_back());
    } else if let Some(number) = number(selector) {
        let numbered = versions.iter().copied().find(|version| view.number(*version) == number);
        if numbered.is_some_and(|version| !view.has_version(version)) {
            let name = label(view, Found::Entity(entity));
            return Err(Problem::name(format!("{name}@{selector} is hidden by a retraction"))
                .help("`lineage history` of the name shows the retract")
                .into());
        }
        hits.extend(numbered);
    } else {
        hits.extend(
            Said::of(view, entity).aliases().get(selector).copied().filter(|version| view.has_version(*version)),
        );
        hits.extend(visible().rfind(|version| view.label(*version) == Some(selector)));
    }
    let mut hits = hits.into_iter();
    match (hits.next(), hits.next()) {
        (Some(version), None) => Ok(version),
        (Some(a), Some(b)) => {
            Err(Problem::name(format!("`{selector}` is the alias of one version and the label of another"))
                .help(format!("write {} or {}", label(view, Found::Version(a)), label(view, Found::Version(b))))
                .into())
        }
        _ => Err(no_such_version(view, entity, selector, visible().map(|v| view.number(v)).max())),
    }
}

fn no_such_version(view: &View, entity: EntityId, selector: &str, highest: Option<u32>) -> anyhow::Error {
    let name = label(view, Found::Entity(entity));
    let aliases: Vec<_> = Said::of(view, entity).aliases().keys().take(3).map(|a| format!("@{a}")).collect();
    let mut known = match highest {
        None => "it has no version yet".to_owned(),
        Some(1) => "it has @v1".to_owned(),
        Some(highest) => format!("it has @v1 to @v{highest}"),
    };
    if !aliases.is_empty() {
        known = format!("{known}, and {}", aliases.join(", "));
    }
    Problem::name(format!("{name} has no version `{}`", selector.escape_debug())).help(known).into()
}

/// `N` of `vN`.
pub(crate) fn number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('v').filter(|digits| !digits.starts_with('0'))?;
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// The version whose minting happened last, so that a late report of an old version is not taken for the newest.
pub(crate) fn newest(view: &View, entity: EntityId) -> Option<VersionId> {
    let visible = view.versions(entity).into_iter().filter(|version| view.has_version(*version));
    visible.max_by_key(|version| (view.time(view.mint(*version)), view.mint(*version), *version))
}

/// How a thing is written: `model churn@v4`, with its namespace where that is needed.
pub(crate) fn label(view: &View, found: Found) -> String {
    let (entity, number) = match found {
        Found::Entity(entity) => (entity, String::new()),
        Found::Version(version) => (view.entity(version), format!("@v{}", view.number(version))),
    };
    let kind = view.entity_kind(entity);
    let alone =
        view.entities_named(view.entity_name(entity)).into_iter().filter(|e| view.entity_kind(*e) == kind).count() < 2;
    let name = if alone { view.entity_name(entity).to_owned() } else { qualified(view, entity) };
    format!("{} {name}{number}", kind_word(kind))
}

/// `namespace::name`, each part escaped so that it reads back.
fn qualified(view: &View, entity: EntityId) -> String {
    let name = view.entity_name(entity).replace('%', "%25").replace("::", "%3A%3A");
    format!("{}::{name}", view.entity_namespace(entity))
}

fn unescape(text: &str) -> String {
    text.replace("%3A", ":").replace("%3a", ":").replace("%25", "%")
}

/// Splits a new name into namespace and name.
pub(crate) fn new_name(text: &str) -> (Option<String>, String) {
    match text.rsplit_once("::") {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            (Some(unescape(namespace)), unescape(name))
        }
        _ => (None, text.to_owned()),
    }
}

/// The reference of an event to a thing, as seen from the namespace of the event.
pub(crate) fn reference(view: &View, found: Found, namespace: &str) -> Ref {
    let (entity, version) = match found {
        Found::Entity(entity) => (entity, None),
        Found::Version(version) => (view.entity(version), Some(format!("v{}", view.number(version)))),
    };
    let own = view.entity_namespace(entity);
    Ref {
        kind: Some(view.entity_kind(entity)),
        namespace: (own != namespace).then(|| own.to_owned()),
        name: Some(view.entity_name(entity).to_owned()),
        version,
        ..Ref::default()
    }
}

/// The name of a thing.
pub(crate) fn entity(view: &View, found: Found) -> EntityId {
    match found {
        Found::Entity(entity) => entity,
        Found::Version(version) => view.entity(version),
    }
}

/// The namespace of a thing.
pub(crate) fn namespace(view: &View, found: Found) -> String {
    view.entity_namespace(entity(view, found)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Vec<(Option<EntityKind>, String)> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        Target::read(&words).into_iter().map(|t| (t.kind, t.text)).collect()
    }

    #[test]
    fn words_become_references() {
        let model = Some(EntityKind::Model);
        assert_eq!(read(&["model", "churn@v4"]), [(model, "churn@v4".to_owned())]);
        assert_eq!(read(&["model churn"]), [(model, "churn".to_owned())]);
        assert_eq!(read(&["churn@latest"]), [(None, "churn@latest".to_owned())]);
        assert_eq!(read(&["model"]), [(None, "model".to_owned())], "a thing may be named as a kind");
        assert_eq!(read(&["model", "a", "dataset", "b"]).len(), 2);
        assert_eq!(read(&["a", "b"]).len(), 2);
    }

    #[test]
    fn spellings_are_told_apart() {
        assert!(is_digest("b3:9f2c") && is_digest("sha256:00ff") && !is_digest("s3:9f2c") && !is_digest("b3:xyz"));
        assert_eq!((number("v12"), number("v0"), number("v01"), number("12")), (Some(12), None, None, None));
        assert_eq!(new_name("s3://b::a%3A%3Ab"), (Some("s3://b".to_owned()), "a::b".to_owned()));
        assert_eq!(new_name("churn"), (None, "churn".to_owned()));
    }
}
