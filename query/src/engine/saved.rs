//! Saved queries: found by name and version, read again, and put in place with their arguments.

use std::cell::{Cell, OnceCell, RefCell};

use lineage_store::event::Kind as EventKind;
use lineage_store::graph::Position;

use super::names::split_qualified;
use super::notes::Said;
use super::plan::{Plan, SavedPlan};
use super::resolve::Resolver;
use super::world::World;
use crate::syntax::ast::{Body, List, Saved, Set, Span, Statement, ValueKind};
use crate::syntax::{self, Diagnostic, EDITION, quote, suggest};

/// How deep saved queries may stand in each other.
const DEPTH_MAX: usize = 16;
/// How deep the sets of saved queries that stand in each other may be together: what one text of 64 parentheses comes
/// to, so that a chain of them needs no more stack than one more text would.
const NESTING_MAX: usize = 128;
/// How many nodes all saved queries of a statement may have once they are put in place.
const NODES_MAX: usize = 4096;

/// One version of a saved query.
struct Definition {
    position: Position,
    namespace: String,
    name: String,
    number: u32,
    text: String,
    edition: u32,
}

/// What a parameter of a saved query stands for.
#[derive(Clone)]
pub(crate) enum Bound {
    /// A value as it was written in the call.
    Value(ValueKind),
    /// The texts of a parameter of the statement.
    Texts(Vec<String>),
}

/// The saved query that is being resolved.
struct Scope {
    position: Position,
    args: Vec<(String, Bound)>,
    used: Vec<String>,
    /// How deep its set is.
    nesting: usize,
}

/// What is known of saved queries while a statement is resolved.
#[derive(Default)]
pub(crate) struct Library {
    definitions: OnceCell<Vec<Definition>>,
    scopes: RefCell<Vec<Scope>>,
    nodes: Cell<usize>,
    /// Which definitions were used.
    pub(crate) said: RefCell<Vec<Said>>,
}

type Resolved<T> = Result<T, Diagnostic>;

impl Library {
    /// Whether a saved query is being resolved, whose places are not those of the statement.
    pub(crate) fn is_within(&self) -> bool {
        !self.scopes.borrow().is_empty()
    }

    /// What a parameter is bound to within a saved query; `None` outside of all.
    pub(crate) fn bound(&self, param: &str, span: Span) -> Option<Resolved<Bound>> {
        let mut scopes = self.scopes.borrow_mut();
        let scope = scopes.last_mut()?;
        scope.used.push(param.to_owned());
        let found = scope.args.iter().find(|(name, _)| name == param).map(|(_, bound)| bound.clone());
        Some(found.ok_or_else(|| {
            Diagnostic::new("E0305", format!("the argument `{param}` is missing"))
                .label(span, "not given")
                .help(format!("({param} = VALUE)"))
        }))
    }
}

impl Resolver<'_> {
    /// A set as a plan, of a statement that is resolved more than once.
    pub(super) fn set_anew(&self, set: &Set, world: &World) -> Resolved<Plan> {
        self.library.nodes.set(0);
        self.set(set, world)
    }

    /// The plan of a saved query, with its arguments.
    pub(super) fn saved(&self, saved: &Saved, world: &World) -> Resolved<Plan> {
        let name = self.name(&saved.name)?;
        let version = saved.version.as_ref().map(|v| self.name(v)).transpose()?;
        let definition = self.definition(&name, version.as_deref(), saved, world)?;
        let told = |what: String| Diagnostic::new("E0205", what).label(saved.span, "cannot be used");
        let label = format!("query {}@v{}", quote(&definition.name), definition.number);
        self.check_place(definition, &label).map_err(told)?;
        let set = read(definition).map_err(|what| told(format!("`{label}` {what}")).note(definition.text.clone()))?;
        let size = size(&set);
        self.library.nodes.set(self.library.nodes.get() + size.nodes);
        if self.library.nodes.get() > NODES_MAX {
            return Err(told(format!("saved queries come to more than {NODES_MAX} nodes here")));
        }
        let nesting = size.depth;
        let around: usize = self.library.scopes.borrow().iter().map(|scope| scope.nesting).sum();
        if around + nesting > NESTING_MAX {
            return Err(told(format!("saved queries come to sets more than {NESTING_MAX} deep here")));
        }
        let (position, args) = (definition.position, self.arguments(saved)?);
        self.library.scopes.borrow_mut().push(Scope { position, args, used: Vec::new(), nesting });
        let plan = self.set(&set, world);
        let scope = self.library.scopes.borrow_mut().pop();
        let plan = plan.map_err(|inner| within(inner, saved.span, &label, &definition.text))?;
        let unused = scope.iter().find_map(|s| s.args.iter().find(|(name, _)| !s.used.contains(name)));
        if let Some((name, _)) = unused {
            let text = format!("`{label}` has no parameter `:{name}`");
            return Err(Diagnostic::new("E0306", text).label(saved.span, "unused").note(definition.text.clone()));
        }
        let note = format!("{label} is event '#{}': {}", definition.position, definition.text);
        self.library.said.borrow_mut().push(("N11", note));
        Ok(Plan::Saved(Box::new(SavedPlan { set, plan })))
    }

    /// Refuses what would go round or too deep.
    fn check_place(&self, definition: &Definition, label: &str) -> Result<(), String> {
        let scopes = self.library.scopes.borrow();
        if scopes.iter().any(|scope| scope.position == definition.position) {
            return Err(format!("`{label}` stands within itself"));
        }
        if scopes.len() >= DEPTH_MAX {
            return Err(format!("saved queries stand more than {DEPTH_MAX} deep in each other"));
        }
        Ok(())
    }

    /// The arguments of a call; parameters among them are those around it.
    fn arguments(&self, saved: &Saved) -> Resolved<Vec<(String, Bound)>> {
        let mut args = Vec::new();
        for (name, value) in &saved.args {
            let bound = match &value.kind {
                ValueKind::Param(param) => self.bound(param, value.span)?,
                kind => Bound::Value(kind.clone()),
            };
            args.push((name.text().unwrap_or_default().to_owned(), bound));
        }
        Ok(args)
    }

    /// Every definition that was ever recorded, by position.
    fn definitions(&self) -> &[Definition] {
        self.library.definitions.get_or_init(|| {
            let mut definitions: Vec<Definition> = Vec::new();
            for position in self.head.events_of_kind(EventKind::SaveQuery) {
                let Some(event) = self.whole.event(position) else { break };
                let (Some(name), Some(text)) = (event.args.text("name"), event.args.text("query")) else { continue };
                let same = definitions.iter().filter(|d| d.name == name && d.namespace == event.namespace);
                let number = same.count() as u32 + 1;
                let edition = event.args.number("edition").unwrap_or(EDITION);
                definitions.push(Definition {
                    position,
                    namespace: event.namespace.clone(),
                    name,
                    number,
                    text,
                    edition,
                });
            }
            definitions
        })
    }

    fn definition(&self, name: &str, version: Option<&str>, saved: &Saved, world: &World) -> Resolved<&Definition> {
        let all = self.definitions();
        let is_visible = |d: &&Definition| world.view.sees(d.position);
        let mut found: Vec<&Definition> = all.iter().filter(|d| d.name == name).collect();
        if let (true, Some((namespace, rest))) = (found.is_empty(), split_qualified(name)) {
            found = all.iter().filter(|d| d.name == rest && d.namespace == namespace).collect();
        }
        let span = saved.name.span;
        let visible: Vec<&Definition> = found.iter().copied().filter(is_visible).collect();
        let Some(latest) = visible.last() else {
            let known = all.iter().filter(is_visible).map(|d| d.name.as_str());
            let text = format!("no query is saved as `{name}`");
            let told = Diagnostic::new("E0201", text).label(span, "unknown here").suggest(suggest(name, known));
            return Err(match found.first() {
                Some(first) => told.note(format!("it was first recorded {}", world.view.recorded(first.position))),
                None => told,
            });
        };
        if let Some(other) = visible.iter().find(|d| d.namespace != latest.namespace) {
            let spelled = |d: &Definition| {
                let rest = d.name.replace('%', "%25").replace("::", "%3A%3A");
                format!("query {}", quote(&format!("{}::{rest}", d.namespace)))
            };
            return Err(Diagnostic::new("E0202", format!("`{name}` is saved in several namespaces"))
                .label(span, "which one?")
                .help(spelled(latest))
                .help(spelled(other)));
        }
        let number = match version {
            None | Some("latest") => return Ok(latest),
            Some(text) => text.strip_prefix('v').unwrap_or(text).parse::<u32>().ok(),
        };
        visible.iter().find(|d| Some(d.number) == number).copied().ok_or_else(|| {
            let text = format!("the query `{name}` has no version `{}` here", version.unwrap_or_default());
            let span = saved.version.as_ref().map_or(span, |v| v.span);
            let told = Diagnostic::new("E0204", text).label(span, "unknown version");
            told.help(format!("query {}@v{}", quote(name), latest.number))
        })
    }
}

/// The set of a definition, or why it is none.
fn read(definition: &Definition) -> Result<Set, String> {
    if definition.edition != EDITION {
        return Err(format!("was saved in edition {} of the language; this is edition {EDITION}", definition.edition));
    }
    read_set(&definition.text)
}

/// Checks that a text can be saved: that it is a set, without tails.
pub fn check_saved(text: &str) -> Result<(), Vec<Diagnostic>> {
    let statement = syntax::parse(text)?;
    set_of(statement).map(|_| ()).map_err(|what| vec![Diagnostic::new("E0205", format!("a saved query {what}"))])
}

/// The set that a text says; or why it says none.
fn read_set(text: &str) -> Result<Set, String> {
    let statement = syntax::parse(text).map_err(|told| {
        let first = told.first().map_or_else(String::new, |d| format!("{}: {}", d.code, d.message));
        format!("cannot be read: {first}")
    })?;
    set_of(statement).map_err(|what| format!("cannot be used: a saved query {what}"))
}

fn set_of(statement: Statement) -> Result<Set, String> {
    let has_tails = has_tails(&statement);
    match statement.body {
        Body::Set(set) if !has_tails => Ok(set),
        Body::Set(_) => Err("has no tails; `as of` and `known at` may stand in parentheses around the set".to_owned()),
        _ => Err("is a set, which can be narrowed and compared further".to_owned()),
    }
}

fn has_tails(statement: &Statement) -> bool {
    statement.explain
        || statement.as_of.is_some()
        || statement.known_at.is_some()
        || statement.including_retracted
        || !statement.order_by.is_empty()
        || statement.limit.is_some()
        || !statement.show.is_empty()
}

/// An error within a saved query, told at the place of the call.
fn within(inner: Diagnostic, span: Span, label: &str, text: &str) -> Diagnostic {
    let message = format!("in `{label}`: {}", inner.message);
    let mut told = Diagnostic::new(inner.code, message).label(span, "in what this stands for");
    told.help = inner.help;
    told.suggestions = inner.suggestions;
    told.note(inner.note.unwrap_or_else(|| text.to_owned()))
}

/// How large a set is.
#[derive(Default)]
struct Size {
    nodes: usize,
    depth: usize,
}

fn size(set: &Set) -> Size {
    let inner: Vec<Size> = match set {
        Set::And(members) | Set::Or(members) => members.iter().map(size).collect(),
        Set::List(List::Refs(refs)) => refs.iter().map(size).collect(),
        Set::Not(inner) => vec![size(inner)],
        Set::At(at) => vec![size(&at.set)],
        Set::Rel(rel) => rel.operand.iter().map(|o| &o.set).chain(&rel.avoiding).map(size).collect(),
        Set::Closure(closure) => closure.from.iter().chain(&closure.to).map(|end| size(end)).collect(),
        _ => Vec::new(),
    };
    Size {
        nodes: 1 + inner.iter().map(|i| i.nodes).sum::<usize>(),
        depth: 1 + inner.iter().map(|i| i.depth).max().unwrap_or_default(),
    }
}
