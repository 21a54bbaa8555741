//! References to nodes: names, versions, digests, files, runs and events, resolved in a world.

use lineage_store::event::EntityKind;
use lineage_store::graph::{EntityId, Position, VersionId};

use super::bits::{Bits, Nodes};
use super::world::World;
use crate::syntax::ast::{File, Hash, Kind, Ref};
use crate::syntax::{Diagnostic, quote, suggest};

/// The most names that are compared for a suggestion.
const SUGGEST_FROM_MAX: u32 = 200_000;

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
        if matches!(
            reference.kind,
            Some(
                Kind::Run
                    | Kind::Event
                    | Kind::Transform
                    | Kind::Training
                    | Kind::Evaluation
                    | Kind::Audit
                    | Kind::Deployment
                    | Kind::Retirement
            )
        ) {
            return self.events_of_ref(reference, name);
        }
        let entity = self.entity_of_ref(reference, name)?;
        let versions = match version {
            None => self.view.versions(entity).into_iter().filter(|v| self.view.has_version(*v)).collect(),
            Some(version) => vec![self.version_of(entity, version, reference)?],
        };
        Ok(Nodes { versions: Bits::of(versions), events: Bits::default() })
    }

    /// The one entity of a name.
    pub(crate) fn entity_of_ref(&self, reference: &Ref, name: &str) -> Result<EntityId, Diagnostic> {
        let all = self.entities_spelled(name);
        let fitting: Vec<EntityId> =
            all.iter().copied().filter(|e| fits(reference.kind, self.view.entity_kind(*e))).collect();
        match fitting[..] {
            [one] => Ok(one),
            [] => Err(self.unknown_name(reference, name, &all)),
            _ => Err(self.ambiguous_name(reference, name, &fitting)),
        }
    }

    /// The visible entities of a spelling: the whole text as a name, else namespace and name around the last `::`.
    fn entities_spelled(&self, name: &str) -> Vec<EntityId> {
        let visible = |e: &EntityId| self.is_visible(*e);
        let whole: Vec<_> = self.view.entities_named(name).into_iter().filter(visible).collect();
        if !whole.is_empty() {
            return whole;
        }
        let Some((namespace, rest)) = name.rsplit_once("::") else { return whole };
        let rest = rest.replace("%3A%3A", "::").replace("%25", "%");
        let named = self.view.entities_named(&rest).into_iter().filter(visible);
        named.filter(|e| self.view.entity_namespace(*e) == namespace).collect()
    }

    /// Whether an entity has a visible version, or was at least named here.
    fn is_visible(&self, entity: EntityId) -> bool {
        self.view.versions(entity).into_iter().any(|v| self.view.has_version(v))
    }

    fn unknown_name(&self, reference: &Ref, name: &str, of_other_kind: &[EntityId]) -> Diagnostic {
        let word = noun_word(reference.kind);
        let mut error =
            Diagnostic::new("E0201", format!("no {word} is named `{name}`")).label(reference.name.span, "unknown name");
        if let Some(other) = of_other_kind.first() {
            let other = kind_word(self.view.entity_kind(*other));
            return error.help(format!("{other} {}", quote(name))).note(format!("`{name}` is a {other}"));
        }
        let ever = self.view.entities_named(name);
        if let Some(first) = ever.first() {
            let minted = self.view.versions(*first).first().map(|v| self.view.recorded(self.view.mint(*v)));
            if let Some(recorded) = minted {
                error = error.note(format!("`{name}` was first recorded {recorded}, but has no visible version here"));
            }
        }
        let names: Vec<String> = (0..self.view.n_entities().min(SUGGEST_FROM_MAX))
            .filter(|e| fits(reference.kind, self.view.entity_kind(*e)))
            .map(|e| self.view.entity_name(e).to_owned())
            .collect();
        error.suggest(suggest(name, names.iter().map(String::as_str)))
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
            error = error.help(self.spelling(*entity, kinds.len() < entities.len()));
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
                Some(n) => error.help(format!("{}@v{n}", quote(name))),
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
        let alias = self.alias(entity, text);
        let versions = self.view.versions(entity);
        let mut labeled: Vec<VersionId> = versions
            .iter()
            .copied()
            .filter(|v| self.view.label(*v) == Some(text) && self.view.has_version(*v))
            .collect();
        labeled.extend(alias);
        labeled.sort_unstable();
        labeled.dedup();
        match labeled[..] {
            [one] => Ok(one),
            [] => match digits.parse::<u32>() {
                Ok(number) => self.numbered(entity, number).map_err(unknown),
                Err(_) => Err(unknown(None)),
            },
            // A label that was moved to other bytes stands for the newest version that has it.
            [.., newest] if alias.is_none() => Ok(newest),
            _ => Err(Diagnostic::new("E0202", format!("`{text}` is an alias and a label of `{name}`"))
                .label(span, "which one?")
                .help(
                    labeled
                        .iter()
                        .map(|v| format!("{}@v{}", quote(name), self.view.number(*v)))
                        .collect::<Vec<_>>()
                        .join(" · "),
                )),
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

    /// Steps or events by the id of their run or their own.
    fn events_of_ref(&self, reference: &Ref, name: &str) -> Result<Nodes, Diagnostic> {
        let mut events: Vec<Position> = Vec::new();
        for namespace in self.view.namespaces() {
            let namespace = self.view.text(namespace);
            if reference.kind != Some(Kind::Event) {
                events.extend(self.view.run_events(namespace, name).into_iter().map(|e| self.view.leader(e)));
            }
            events.extend(self.view.find_event(namespace, name).filter(|e| self.view.sees(*e)));
        }
        if let Some(position) = name.strip_prefix('#').and_then(|n| n.parse().ok()) {
            events.extend(Some(position).filter(|p| self.view.sees(*p)));
        }
        if events.is_empty() {
            let word = noun_word(reference.kind);
            return Err(Diagnostic::new("E0201", format!("no {word} has the id `{name}`"))
                .label(reference.name.span, "unknown id"));
        }
        Ok(Nodes { versions: Bits::default(), events: Bits::of(events) })
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
            1 => Ok(Nodes { versions: Bits::of(found.iter().map(|(_, v)| *v)), events: Bits::default() }),
            n => {
                let mut error = Diagnostic::new("E0203", format!("`{prefix}` matches {n} artifacts"))
                    .label(hash.span, "write more digits");
                let digits = unique_prefix(&digests);
                for digest in digests.iter().take(3) {
                    let version = found.iter().find(|(d, _)| d == *digest).map(|(_, v)| self.version_name(*v));
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
        Ok(Nodes { versions: Bits::of(versions), events: Bits::default() })
    }

    /// `dataset churn-raw@v3`.
    pub(crate) fn version_name(&self, version: VersionId) -> String {
        let entity = self.view.entity(version);
        let kind = kind_word(self.view.entity_kind(entity));
        format!("{kind} {}@v{}", quote(self.view.entity_name(entity)), self.view.number(version))
    }
}

/// The fewest characters that tell digests apart, a little more than needed.
fn unique_prefix(sorted: &[&String]) -> usize {
    let shared = sorted.windows(2).map(|pair| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count());
    shared.max().unwrap_or(0) + 3
}
