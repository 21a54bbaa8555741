//! Clauses: relations, `with` and `without`, agents and windows after event nouns.

use super::ambiguity;
use super::ast::{Happened, Kind, Outcome, Rel, Relation, Set, Window, WindowKind, With};
use super::check::{self, Mask};
use super::diagnostic::Diagnostic;
use super::failure::NamePosition;
use super::parse_operand::operand;
use super::parse_set::closed;
use super::parse_value::{agent, kind_word, positive, time, time_unit, value, whole};
use super::token::{Res, Tokens, fail, unexpected, word};
use super::value::{Name, Span};
use super::words::{CLAUSE_WORDS, WINDOW_WORDS};
use nom::Parser;
use nom::combinator::cut;
use nom::sequence::{preceded, separated_pair};

/// The noun that clauses narrow, and the nouns around it.
pub(super) struct Scope<'s> {
    pub(super) noun: Span,
    pub(super) mask: Mask,
    /// The noun that the enclosing clause narrows.
    pub(super) outer: Option<&'s Scope<'s>>,
    /// What the enclosing clause could still take.
    pub(super) enclosing: Shape,
    /// Inside `where`: operands are closed.
    pub(super) closed_only: bool,
}

impl<'s> Scope<'s> {
    pub(super) fn phrase(noun: Span, mask: Mask) -> Self {
        Self { noun, mask, outer: None, enclosing: Shape::default(), closed_only: false }
    }

    pub(super) fn inside_where(noun: Span, mask: Mask) -> Self {
        Self { closed_only: true, ..Self::phrase(noun, mask) }
    }

    /// This noun's scope and those around it.
    pub(super) fn chain(&'s self) -> impl Iterator<Item = &'s Scope<'s>> {
        std::iter::successors(Some(self), |scope| scope.outer)
    }
}

/// What a relation takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    /// The word before the operand.
    pub(super) preposition: Option<&'static str>,
    /// Whether there must be an operand.
    pub(super) required: bool,
    /// The operand is a slot.
    pub(super) slot: bool,
    pub(super) by: bool,
    pub(super) avoiding: bool,
    pub(super) window: bool,
    pub(super) depth: bool,
}

/// What each relation takes.
pub(super) fn shape(relation: Relation) -> Shape {
    let none = Shape::default();
    let dated = Shape { by: true, window: true, ..none };
    let reach = Shape { required: true, avoiding: true, depth: true, ..none };
    match relation {
        Relation::Trained => Shape { preposition: Some("on"), avoiding: true, depth: true, ..dated },
        Relation::Evaluated => Shape { preposition: Some("on"), ..dated },
        Relation::Deployed => Shape { preposition: Some("to"), slot: true, ..dated },
        Relation::Audited | Relation::Created => dated,
        Relation::FineTuned => Shape { preposition: Some("from"), required: true, depth: true, ..dated },
        Relation::UpstreamOf | Relation::DownstreamOf => Shape { preposition: Some("of"), ..reach },
        Relation::DerivedFrom => Shape { preposition: Some("from"), ..reach },
        Relation::Live => Shape { preposition: Some("in"), slot: true, ..none },
        Relation::UsedBy => Shape { preposition: Some("by"), required: true, window: true, ..none },
        Relation::ProducedBy => Shape { preposition: Some("by"), required: true, ..none },
        Relation::Using | Relation::Producing | Relation::About => Shape { required: true, ..none },
        Relation::Tagged => none,
    }
}

/// The relation that a word begins.
pub(super) fn relation_word(word: &str) -> Option<Relation> {
    Some(match word {
        "trained" => Relation::Trained,
        "evaluated" => Relation::Evaluated,
        "deployed" => Relation::Deployed,
        "audited" => Relation::Audited,
        "created" => Relation::Created,
        "fine-tuned" => Relation::FineTuned,
        "upstream" => Relation::UpstreamOf,
        "downstream" => Relation::DownstreamOf,
        "derived" => Relation::DerivedFrom,
        "live" => Relation::Live,
        "tagged" => Relation::Tagged,
        "used" => Relation::UsedBy,
        "produced" => Relation::ProducedBy,
        "using" => Relation::Using,
        "producing" => Relation::Producing,
        "about" => Relation::About,
        _ => return None,
    })
}

/// Whether an agent or a window begins here.
pub(super) fn begins_happened(i: Tokens<'_>) -> bool {
    i.fixed(0) == "by" || begins_window(i)
}

/// Whether a window begins here; `in` does only as `in last` and `in the last`.
pub(super) fn begins_window(i: Tokens<'_>) -> bool {
    match i.fixed(0) {
        "since" | "before" | "after" | "during" | "between" => true,
        "in" => i.fixed(1) == "last" || (i.fixed(1) == "the" && i.fixed(2) == "last"),
        _ => false,
    }
}

/// The kinds that the clause beginning here can narrow, or `None` if no clause begins here.
pub(super) fn peek_clause(i: Tokens<'_>) -> Option<Mask> {
    i.expect("a clause", CLAUSE_WORDS);
    if begins_happened(i) {
        return Some(Mask::EVENTS);
    }
    let mut ahead = usize::from(i.fixed(0) == "not");
    match i.fixed(ahead) {
        "directly" => ahead += 1,
        "within" => ahead += 3,
        _ => {}
    }
    match i.fixed(ahead) {
        "with" | "without" => Some(Mask::VERSIONS),
        word => match relation_word(word) {
            Some(relation) => Some(check::subjects(relation)),
            None => (ahead > 0).then_some(Mask::ALL),
        },
    }
}

/// One clause; the caller has checked that it fits the noun of `scope`.
pub(super) fn clause<'a>(i: Tokens<'a>, scope: &Scope<'_>) -> Res<'a, Set> {
    if begins_happened(i) {
        return happened(i, scope);
    }
    let negated = i.fixed(0) == "not";
    let start = i.skip(usize::from(negated));
    let (rest, set) = match start.fixed(0) {
        "with" | "without" => having(start, scope)?,
        _ => event_clause(start, scope)?,
    };
    Ok((rest, if negated { Set::Not(Box::new(set)) } else { set }))
}

/// `[ "directly" | "within" n steps ] relation`.
fn event_clause<'a>(start: Tokens<'a>, scope: &Scope<'_>) -> Res<'a, Set> {
    let (i, depth) = match start.fixed(0) {
        "directly" => (start.skip(1), Some(1)),
        "within" => {
            let (i, depth) = positive(start.skip(1))?;
            if !(i.is_word(0, "step") || i.is_word(0, "steps")) {
                i.expect("steps", &[]);
                return unexpected();
            }
            (i.skip(1), Some(depth))
        }
        _ => (start, None),
    };
    let Some(relation) = relation_word(i.fixed(0)) else {
        i.expect("a clause", CLAUSE_WORDS);
        return unexpected();
    };
    if depth.is_some() && !shape(relation).depth {
        return fail(no_depth(start, i));
    }
    relate(start, i.skip(1), relation, depth, scope)
}

/// E0111: `start` is the depth, `relation` what it stands before.
fn no_depth(start: Tokens<'_>, relation: Tokens<'_>) -> Diagnostic {
    let (word, span) = (relation.fixed(0), start.span().to(relation.span()));
    Diagnostic::new("E0111", format!("`{word}` has no depth, so `{}` cannot stand before it", start.fixed(0)))
        .label(span, "one fact, not a chain of steps")
        .edit(Span::new(start.span().start, relation.span().start), "")
        .help("`directly` and `within N steps` go with `trained on`, `fine-tuned from`, `derived from`, `upstream of`, `downstream of`")
}

/// What follows the relation word.
fn relate<'a>(
    start: Tokens<'a>,
    i: Tokens<'a>,
    relation: Relation,
    depth: Option<u32>,
    scope: &Scope<'_>,
) -> Res<'a, Set> {
    let shape = shape(relation);
    if i.fixed(0) == "(" && !(shape.required && shape.preposition.is_none()) {
        return fail(ambiguity::function_as_clause(start, i));
    }
    let mut rel =
        Rel { relation, operand: None, tag: None, depth, by: None, avoiding: None, window: None, span: start.span() };
    let mut i = i;
    if relation == Relation::Tagged {
        let (rest, tag) = value(i, NamePosition::Tag)?;
        ambiguity::refuse_list(i, rest, scope.closed_only)?;
        (i, rel.tag) = (rest, Some(tag));
    } else if shape.required || shape.preposition.is_some_and(|word| i.sees(word) && !begins_window(i)) {
        if let Some(preposition) = shape.preposition {
            (i, ()) = word(preposition)(i)?;
        }
        if !shape.slot {
            i.expect_operand(relation);
        }
        let (rest, found) = operand(i, scope, shape)?;
        (i, rel.operand) = (rest, Some(found));
    }
    if shape.by {
        (i, rel.by) = by(i)?;
    }
    if shape.avoiding && i.sees("avoiding") {
        let (rest, cut) = cut(preceded(word("avoiding"), closed)).parse(i)?;
        (i, rel.avoiding) = (rest, Some(cut));
    }
    if shape.window {
        (i, rel.window) = own_window(i, scope)?;
    }
    rel.span = i.span_from(start);
    Ok((i, Set::Rel(Box::new(rel))))
}

fn by(i: Tokens<'_>) -> Res<'_, Option<Name>> {
    if !i.sees("by") {
        return Ok((i, None));
    }
    let (i, agent) = cut(agent).parse(i.skip(1))?;
    Ok((i, Some(agent)))
}

/// A window of this clause, refused where an enclosing clause could mean it too (R3).
fn own_window<'a>(i: Tokens<'a>, scope: &Scope<'_>) -> Res<'a, Option<Window>> {
    i.expect("a time window", WINDOW_WORDS);
    if !begins_window(i) {
        return Ok((i, None));
    }
    if scope.chain().any(|scope| scope.enclosing.window) {
        return fail(ambiguity::unclear(i, scope));
    }
    let (i, window) = window(i)?;
    Ok((i, Some(window)))
}

/// `( "with" | "without" ) [ at least n | any | a | an ] [ passing | failing ] event [ by … ] [ window ]`.
fn having<'a>(start: Tokens<'a>, scope: &Scope<'_>) -> Res<'a, Set> {
    let negated = start.fixed(0) == "without";
    let mut i = start.skip(1);
    let mut at_least = 1;
    if i.is_word(0, "at") && i.is_word(1, "least") {
        (i, at_least) = positive(i.skip(2))?;
    } else if i.fixed(0) == "any" || i.is_word(0, "a") || i.is_word(0, "an") {
        i = i.skip(1);
    } else {
        i.expect("an amount", &["at least", "any", "a", "an"]);
    }
    let (i, (outcome, event)) = event_kind(i)?;
    let (i, by) = by(i)?;
    let (i, window) = own_window(i, scope)?;
    let with = With { event, at_least, outcome, by, window, span: i.span_from(start) };
    let set = Set::With(Box::new(with));
    Ok((i, if negated { Set::Not(Box::new(set)) } else { set }))
}

/// `[ passing | failing ] event-kind`.
pub(super) fn event_kind(i: Tokens<'_>) -> Res<'_, (Option<Outcome>, Kind)> {
    let (outcome, i) = if i.is_word(0, "passing") {
        (Some(Outcome::Passing), i.skip(1))
    } else if i.is_word(0, "failing") {
        (Some(Outcome::Failing), i.skip(1))
    } else {
        i.expect("passing", &[]);
        i.expect("failing", &[]);
        (None, i)
    };
    i.expect("a kind of event", &["audit", "evaluation", "deployment", "training", "transform"]);
    match kind_word(i, 0) {
        Some((kind, _, length)) if check::kind(kind).meets(Mask::EVENTS) => Ok((i.skip(length), (outcome, kind))),
        _ => unexpected(),
    }
}

/// `by …` and a window after an event noun.
fn happened<'a>(start: Tokens<'a>, scope: &Scope<'_>) -> Res<'a, Set> {
    let (i, by) = by(start)?;
    let (i, window) = own_window(i, scope)?;
    Ok((i, Set::Happened(Box::new(Happened { by, window, span: i.span_from(start) }))))
}

/// A window.
pub(super) fn window(start: Tokens<'_>) -> Res<'_, Window> {
    let i = start.skip(1);
    let (i, kind) = match start.fixed(0) {
        "since" => since(i)?,
        "before" => time(i).map(|(i, time)| (i, WindowKind::Before(time)))?,
        "after" => time(i).map(|(i, time)| (i, WindowKind::After(time)))?,
        "during" => time(i).map(|(i, time)| (i, WindowKind::During(time)))?,
        "between" => between(i)?,
        _ => last(i.skip(usize::from(i.fixed(0) == "the") + 1))?,
    };
    Ok((i, Window { kind, span: i.span_from(start) }))
}

/// `since T` and `since [their] last E`.
pub(super) fn since(i: Tokens<'_>) -> Res<'_, WindowKind> {
    let after = i.skip(usize::from(i.is_word(0, "their") || i.is_word(0, "its")));
    if after.fixed(0) == "last" {
        let (rest, (outcome, kind)) = event_kind(after.skip(1))?;
        if outcome.is_some() {
            return unexpected();
        }
        return Ok((rest, WindowKind::SinceLast(kind)));
    }
    i.expect("their last", &[]);
    time(i).map(|(rest, time)| (rest, WindowKind::Since(time)))
}

/// `T and T` after `between`.
pub(super) fn between(i: Tokens<'_>) -> Res<'_, WindowKind> {
    let (i, (from, to)) = separated_pair(time, word("and"), time).parse(i)?;
    Ok((i, WindowKind::Between(from, to)))
}

/// `N unit` after `last`.
pub(super) fn last(i: Tokens<'_>) -> Res<'_, WindowKind> {
    let (i, (count, unit)) = (whole, time_unit).parse(i)?;
    Ok((i, WindowKind::Last(count, unit)))
}
