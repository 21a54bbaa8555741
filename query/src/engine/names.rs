//! References to nodes: names, versions, digests, files, runs and events, resolved in a world.

use lineage_store::event::{EntityKind, Kind as EventKind};
use lineage_store::graph::{EntityId, Position, VersionId};

use super::bits::{Bits, Nodes};
use super::world::World;
use crate::syntax::ast::{File, Hash, Kind, Ref, Span};
use crate::syntax::{Diagnostic, NOUNS, quote, suggest};

/// The most names that are compared for a suggestion.
const SUGGEST_FROM_MAX: u32 = 200_000;

/// Whether nodes of a kind are versions.
pub(crate) fn is_of_versions(kind: Kind) -> bool {
    matches!(kind, Kind::Dataset | Kind::Model | Kind::FeatureSet | Kind::Artifact)
}

/// Whether an entity kind is what a word of the language asks for.
pub(crate) fn fits(kind: Option<Kind>, entity: EntityKind) -> bool {
    match kind {
        None | Some(Kind::Artifact) => true,
        Some(Kind::Dataset) => entity == EntityKind::Dataset,
        Some(Kind::Model) => entity == EntityKind::Model,
        Some(Kind::FeatureSet) => entity == EntityKind::Features,
        Some(_) => false,
    }
}

/// The kind of the language of an entity.
pub(crate) fn kind_of_entity(kind: EntityKind) -> Kind {
    match kind {
        EntityKind::Dataset => Kind::Dataset,
        EntityKind::Model => Kind::Model,
        EntityKind::Features => Kind::FeatureSet,
        EntityKind::Artifact => Kind::Artifact,
    }
}

/// The word of the language for an entity kind.
pub(crate) fn kind_word(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::Dataset => "dataset",
        EntityKind::Model => "model",
        EntityKind::Features => "feature set",
        EntityKind::Artifact => "artifact",
    }
}

/// The word of a kind.
pub(crate) fn noun_word(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Dataset) => "dataset",
        Some(Kind::Model) => "model",
        Some(Kind::FeatureSet) => "feature set",
        Some(Kind::Run) => "run",
        Some(Kind::Event) => "event",
        Some(Kind::Agent) => "agent",
        Some(Kind::Transform) => "transform",
        Some(Kind::Training) => "training",
        Some(Kind::Evaluation) => "evaluation",
        Some(Kind::Audit) => "audit",
        Some(Kind::Deployment) => "deployment",
        Some(Kind::Retirement) => "retirement",
        Some(Kind::Artifact) | None => "artifact",
    }
}

impl World {
    /// The nodes of a name; `version` is what stands behind `@`.
    pub(crate) fn nodes_of_ref(&self, reference: &Ref, name: &str, version: Option<&str>) -> Result<Nodes, Diagnostic> {
        let is_version = matches!(
            reference.kind,
            None | Some(Kind::Dataset | Kind::Model | Kind::FeatureSet | Kind::Artifact | Kind::Agent)
        );
        match (is_version, version) {
            (false, None) => return self.events_of_ref(reference, name),
            (false, Some(_)) => {
                let span = reference.version.as_ref().map_or(reference.span, |v| v.span);
                let text = format!("a {} has no versions", noun_word(reference.kind));
                return Err(Diagnostic::new("E0204", text).label(span, "leave it out"));
            }
            _ => {}
        }
        let entity = self.entity_of_ref(reference, name)?;
        let versions = match version {
            None => self.view.versions(entity).into_iter().filter(|v| self.view.has_version(*v)).collect(),
            Some(version) => vec![self.version_of(entity, version, reference)?],
        };
        Ok(Nodes::of_versions(Bits::of(versions)))
    }

    /// Whether a step is of a kind of the language.
    pub(crate) fn is_step(&self, kind: Kind, leader: Position) -> bool {
        if kind == Kind::Event {
            return true;
        }
        let of = self.step_kind(leader);
        match kind {
            Kind::Run => matches!(of, EventKind::Transform | EventKind::Training | EventKind::Evaluation),
            kind => event_kind(kind) == Some(of),
        }
    }

    /// Whether a text is the whole name of something.
    pub(crate) fn is_name(&self, text: &str) -> bool {
        self.view.entities_named(text).into_iter().any(|e| self.is_visible(e))
    }

    /// The one entity of a name.
    pub(crate) fn entity_of_ref(&self, reference: &Ref, name: &str) -> Result<EntityId, Diagnostic> {
        let all = self.entities_spelled(name, reference.kind);
        let fitting: Vec<EntityId> =
            all.iter().copied().filter(|e| fits(reference.kind, self.view.entity_kind(*e))).collect();
        match fitting[..] {
            [one] => Ok(one),
            [] => Err(self.unknown_name(reference, name, &all)),
            _ => Err(self.ambiguous_name(reference, name, &fitting)),
        }
    }

    /// The visible entities of a spelling: the whole text as a name, else namespace and name around the last `::`.
    fn entities_spelled(&self, name: &str, kind: Option<Kind>) -> Vec<EntityId> {
        let visible = |e: &EntityId| self.is_visible(*e);
        let fitting = |list: &[EntityId]| list.iter().any(|e| fits(kind, self.view.entity_kind(*e)));
        let whole: Vec<_> = self.view.entities_named(name).into_iter().filter(visible).collect();
        if fitting(&whole) {
            return whole;
        }
        let Some((namespace, rest)) = split_qualified(name) else { return whole };
        let named = self.view.entities_named(&rest).into_iter().filter(visible);
        let qualified: Vec<_> = named.filter(|e| self.view.entity_namespace(*e) == namespace).collect();
        if whole.is_empty() || fitting(&qualified) { qualified } else { whole }
    }

    /// Whether an entity has a visible version.
    fn is_visible(&self, entity: EntityId) -> bool {
        self.view.versions(entity).into_iter().any(|v| self.view.has_version(v))
    }

    fn unknown_name(&self, reference: &Ref, name: &str, of_other_kind: &[EntityId]) -> Diagnostic {
        let word = noun_word(reference.kind);
        let mut error =
            Diagnostic::new("E0201", format!("no {word} is named `{name}`")).label(reference.name.span, "unknown name");
        if let Some(other) = of_other_kind.first() {
            let other = kind_word(self.view.entity_kind(*other));
            return error
                .edit(spelled_span(reference), format!("{other} {}", quote(name)))
                .note(format!("`{name}` is a {other}"));
        }
        let ever = self.view.entities_named(name);
        if let Some(first) = ever.first() {
            let minted = self.view.versions(*first).first().map(|v| self.view.recorded(self.view.mint(*v)));
            if let Some(recorded) = minted {
                error = error.note(format!("`{name}` was first recorded {recorded}, but has no visible version here"));
            }
        }
        let names: Vec<String> = (0..self.view.n_entities().min(SUGGEST_FROM_MAX))
            .filter(|e| fits(reference.kind, self.view.entity_kind(*e)) && self.is_visible(*e))
            .map(|e| self.view.entity_name(e).to_owned())
            .collect();
        let nouns: &[&str] = if reference.kind.is_none() { NOUNS } else { &[] };
        let meant = suggest(name, names.iter().map(String::as_str).chain(nouns.iter().copied()));
        for word in &meant {
            let is_noun = nouns.contains(&word.as_str()) && !names.contains(word);
            error = error.edit(reference.name.span, if is_noun { word.clone() } else { quote(word) });
        }
        error.suggest(meant)
    }

    fn ambiguous_name(&self, reference: &Ref, name: &str, entities: &[EntityId]) -> Diagnostic {
        let mut kinds: Vec<_> = entities.iter().map(|e| kind_word(self.view.entity_kind(*e))).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let mut error = if kinds.len() > 1 {
            let list = kinds.join(" and a ");
            Diagnostic::new("E0202", format!("`{name}` is a {list}"))
        } else {
            let n = entities.len();
            Diagnostic::new("E0202", format!("`{name}` is the name of {n} {}s in different namespaces", kinds[0]))
        };
        error = error.label(reference.name.span, "which one?");
        for entity in entities.iter().take(3) {
            let spelled = self.spelling(*entity, kinds.len() < entities.len());
            error = error.edit(spelled_span(reference), spelled.clone()).help(spelled);
        }
        if entities.len() > 3 {
            error = error.note(format!("and {} more", entities.len() - 3));
        }
        error
    }

    /// A spelling that means one entity only.
    pub(crate) fn spelling(&self, entity: EntityId, qualified: bool) -> String {
        let (kind, name) = (kind_word(self.view.entity_kind(entity)), self.view.entity_name(entity));
        if !qualified {
            return format!("{kind} {}", quote(name));
        }
        let name = name.replace('%', "%25").replace("::", "%3A%3A");
        format!("{kind} {}", quote(&format!("{}::{name}", self.view.entity_namespace(entity))))
    }

    /// The version behind `@`: a number, `latest`, an alias or a label.
    pub(crate) fn version_of(&self, entity: EntityId, text: &str, reference: &Ref) -> Result<VersionId, Diagnostic> {
        let span = reference.version.as_ref().map_or(reference.span, |v| v.span);
        let name = self.view.entity_name(entity);
        let unknown = |note: Option<String>| {
            let error =
                Diagnostic::new("E0204", format!("`{name}` has no version `{text}`")).label(span, "unknown version");
            let latest = self.latest(entity).map(|v| self.view.number(v));
            let error = match latest {
                Some(n) => error.edit(span, format!("v{n}")).help(format!("{}@v{n}", quote(name))),
                None => error,
            };
            note.map_or(error.clone(), |note| error.note(note))
        };
        if text == "latest" {
            return self.latest(entity).ok_or_else(|| unknown(None));
        }
        let digits = text.strip_prefix('v').unwrap_or(text);
        if let Ok(number) = digits.parse::<u32>()
            && text != digits
        {
            return self.numbered(entity, number).map_err(unknown);
        }
        // A label that was moved to other bytes stands for the newest version that has it.
        let versions = self.view.versions(entity).into_iter();
        let labeled = versions.filter(|v| self.view.label(*v) == Some(text) && self.view.has_version(*v)).max();
        let number = digits.parse::<u32>().ok().map(|n| self.numbered(entity, n));
        let by_number = number.as_ref().and_then(|n| n.as_ref().ok().copied());
        let mut hits: Vec<VersionId> = [labeled, self.alias(entity, text), by_number].into_iter().flatten().collect();
        hits.sort_unstable();
        hits.dedup();
        match (&hits[..], number) {
            ([one], _) => Ok(*one),
            ([], Some(Err(why))) => Err(unknown(why)),
            ([], _) => Err(unknown(None)),
            (several, _) => {
                let error = Diagnostic::new("E0202", format!("`{text}` means several versions of `{name}`"))
                    .label(span, "which one?");
                let spelled = several.iter().map(|v| format!("{}@v{}", quote(name), self.view.number(*v)));
                let error = error.help(spelled.collect::<Vec<_>>().join(" · "));
                let numbers = several.iter().take(3).map(|v| format!("v{}", self.view.number(*v)));
                Err(numbers.fold(error, |error, number| error.edit(span, number)))
            }
        }
    }

    fn numbered(&self, entity: EntityId, number: u32) -> Result<VersionId, Option<String>> {
        let version =
            (number as usize).checked_sub(1).and_then(|i| self.view.versions(entity).get(i).copied()).ok_or(None)?;
        if self.view.has_version(version) {
            Ok(version)
        } else {
            Err(Some("it is hidden by retraction, or not yet there at this time".to_owned()))
        }
    }

    /// Steps by the id of their run, or of one of their events.
    fn events_of_ref(&self, reference: &Ref, name: &str) -> Result<Nodes, Diagnostic> {
        let found = self.steps_spelled(reference, name);
        match &found[..] {
            [(_, steps)] => Ok(Nodes::of_steps(steps.clone())),
            [] => {
                let text = format!("no {} has the id `{name}`", noun_word(reference.kind));
                Err(Diagnostic::new("E0201", text).label(reference.name.span, "unknown id"))
            }
            several => {
                let text = format!("`{name}` is an id in {} namespaces", several.len());
                let error = Diagnostic::new("E0202", text).label(reference.name.span, "which one?");
                let spelled = |namespace: &str| {
                    let id = name.replace('%', "%25").replace("::", "%3A%3A");
                    format!("{} {}", noun_word(reference.kind), quote(&format!("{namespace}::{id}")))
                };
                Err(several.iter().take(3).fold(error, |error, (namespace, _)| error.help(spelled(namespace))))
            }
        }
    }

    /// The steps of an id, by namespace: the whole text as an id, else namespace and id around the last `::`.
    fn steps_spelled(&self, reference: &Ref, name: &str) -> Vec<(String, Bits)> {
        let position = name.strip_prefix('#').and_then(|n| n.parse().ok()).filter(|p| self.view.sees(*p));
        if let Some(position) = position {
            return vec![(String::new(), Bits::of([self.view.leader(position)]))];
        }
        let mut found = Vec::new();
        for namespace in self.view.namespaces().into_iter().map(|n| self.view.text(n)) {
            found.extend(Some((namespace.to_owned(), self.steps_of_id(reference, namespace, name))));
        }
        found.retain(|(_, steps)| !steps.is_empty());
        if let (true, Some((namespace, id))) = (found.is_empty(), split_qualified(name)) {
            found.extend(Some((namespace.to_owned(), self.steps_of_id(reference, namespace, &id))));
        }
        found.retain(|(_, steps)| !steps.is_empty());
        found
    }

    fn steps_of_id(&self, reference: &Ref, namespace: &str, id: &str) -> Bits {
        let view = &self.view;
        let mut events = if reference.kind == Some(Kind::Event) { Vec::new() } else { view.run_events(namespace, id) };
        events.extend(view.find_event(namespace, id).filter(|e| view.sees(*e)));
        let mut steps = Bits::of(events.into_iter().map(|e| view.leader(e)));
        steps.retain(|leader| reference.kind.is_none_or(|kind| self.is_step(kind, leader)));
        steps
    }

    /// The versions whose digest begins with some digits.
    pub(crate) fn nodes_of_hash(&self, hash: &Hash) -> Result<Nodes, Diagnostic> {
        let prefix = format!("{}:{}", hash.algorithm, hash.hex);
        let mut found = self.view.digests_with_prefix(&prefix);
        found.retain(|(_, v)| fits(hash.kind, self.kind_of(*v)));
        let mut digests: Vec<&String> = found.iter().map(|(d, _)| d).collect();
        digests.dedup();
        match digests.len() {
            0 => Err(Diagnostic::new(
                "E0201",
                format!("no {} has a digest that begins with `{prefix}`", noun_word(hash.kind)),
            )
            .label(hash.span, "unknown digest")),
            1 => Ok(Nodes::of_versions(Bits::of(found.iter().map(|(_, v)| *v)))),
            n => {
                let mut error = Diagnostic::new("E0203", format!("`{prefix}` matches {n} artifacts"))
                    .label(hash.span, "write more digits");
                let digits = unique_prefix(&digests);
                for digest in digests.iter().take(3) {
                    let version = found.iter().find(|(d, _)| d == *digest).map(|(_, v)| self.version_name(*v));
                    error = error.edit(hash.span, &digest[..digits.min(digest.len())]);
                    error = error.help(format!(
                        "{}   ({})",
                        &digest[..digits.min(digest.len())],
                        version.unwrap_or_default()
                    ));
                }
                Err(error)
            }
        }
    }

    /// The versions of a file's content; `digest` is that of its bytes.
    pub(crate) fn nodes_of_file(&self, file: &File, digest: &[u8; 32]) -> Result<Nodes, Diagnostic> {
        let mut versions = self.view.versions_with(digest);
        versions.retain(|v| fits(file.kind, self.kind_of(*v)));
        if versions.is_empty() {
            let text = format!("the content of `{}` is not recorded here", file.path);
            return Err(Diagnostic::new("E0201", text).label(file.span, "unknown content"));
        }
        Ok(Nodes::of_versions(Bits::of(versions)))
    }

    /// `dataset churn-raw@v3`.
    pub(crate) fn version_name(&self, version: VersionId) -> String {
        let entity = self.view.entity(version);
        let kind = kind_word(self.view.entity_kind(entity));
        format!("{kind} {}@v{}", quote(self.view.entity_name(entity)), self.view.number(version))
    }
}

/// The kind of events that a word of the language means.
fn event_kind(kind: Kind) -> Option<EventKind> {
    Some(match kind {
        Kind::Transform => EventKind::Transform,
        Kind::Training => EventKind::Training,
        Kind::Evaluation => EventKind::Evaluation,
        Kind::Audit => EventKind::Audit,
        Kind::Deployment => EventKind::Deployment,
        Kind::Retirement => EventKind::Retirement,
        _ => return None,
    })
}

/// Kind and name of a reference, without its version.
fn spelled_span(reference: &Ref) -> Span {
    Span::new(reference.span.start, reference.name.span.end)
}

/// Namespace and name of a qualified spelling.
pub(super) fn split_qualified(name: &str) -> Option<(&str, String)> {
    let (namespace, rest) = name.rsplit_once("::")?;
    Some((namespace, rest.replace("%3A%3A", "::").replace("%25", "%")))
}

/// The fewest characters that tell digests apart, a little more than needed.
fn unique_prefix(sorted: &[&String]) -> usize {
    let shared = sorted.windows(2).map(|pair| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count());
    shared.max().unwrap_or(0) + 3
}
