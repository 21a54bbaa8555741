//! From tree to plan: names become ids, times become instants, parameters become values.

use std::cell::RefCell;
use std::rc::Rc;

use lineage_store::digest::Blake3;
use lineage_store::graph::{Symbol, VersionId, View};
use lineage_store::time::Time;

use super::Request;
use super::attribute::{Attribute, BuiltIn, Sort};
use super::bits::{Bits, Nodes};
use super::budget::Budget;
use super::clock::{self, Stretch, Zone};
use super::explain::Trace;
use super::names;
use super::plan::{
    BetweenPlan, Constant, Environments, OperandPlan, Plan, PredPlan, RelPlan, Span as WindowSpan, TestPlan, When,
    WithPlan,
};
use super::saved::{Bound, Library};
use super::whole::Whole;
use super::world::World;
use crate::syntax::ast::{
    At, Attr, Closure, Kind, KnownAt, List, Name, NameValue, Operand, Paths, Pred, Quantifier, Ref, Rel, Relation, Set,
    Span, Test, TimeExpr, TimeKind, TimeUnit, Unit, Value, ValueKind, Window, WindowKind, With,
};
use crate::syntax::{Diagnostic, suggest};

/// Resolves statements against one store.
pub(crate) struct Resolver<'a> {
    pub(crate) request: &'a Request<'a>,
    /// The view of everything recorded.
    pub(crate) head: &'a View,
    /// Whole events.
    pub(crate) whole: Rc<Whole>,
    /// What the answer may cost.
    budget: Rc<Budget>,
    /// Where meanings are written down, if they are wanted.
    pub(crate) trace: Option<Trace>,
    /// Whether `now` had a part in the answer.
    pub(crate) used_now: RefCell<bool>,
    /// Saved queries.
    pub(crate) library: Library,
    /// Parameters that were used.
    used: RefCell<Vec<String>>,
}

type Resolved<T> = Result<T, Diagnostic>;

impl<'a> Resolver<'a> {
    pub(crate) fn new(request: &'a Request<'a>, head: &'a View) -> Self {
        let whole = Rc::new(Whole::new(Rc::clone(&request.events)));
        let budget = Rc::new(Budget::new(request.limits.clone()));
        let used_now = RefCell::new(false);
        let (library, used) = (Library::default(), RefCell::default());
        Self { request, head, whole, budget, trace: None, used_now, library, used }
    }

    /// The same, writing down what names and times mean.
    pub(crate) fn tracing(self) -> Self {
        Self { trace: Some(Trace::default()), ..self }
    }

    /// The world of `as of` and `known at`; without them the given one's.
    pub(crate) fn world(
        &self,
        as_of: Option<&TimeExpr>,
        known_at: Option<&KnownAt>,
        retracted: bool,
        outer: Option<&World>,
    ) -> Resolved<(World, Option<Time>)> {
        let count = match known_at {
            None => outer.map_or(self.head.count(), |w| w.view.count()),
            Some(KnownAt::Log(position, span)) => {
                if *position >= u64::from(self.head.count()) {
                    let last = i64::from(self.head.count()) - 1;
                    let text = format!("the log ends at position {last}, before {position}");
                    let error = Diagnostic::new("E0403", text).label(*span, "beyond the head");
                    return Err(if last < 0 { error } else { error.edit(*span, format!("log {last}")) });
                }
                *position as u32 + 1
            }
            Some(KnownAt::Time(time)) => {
                let stretch = self.stretch(time, self.request.now)?;
                past(time, stretch, self.request.now)?;
                self.head.count_recorded_by(stretch.last(self.request.now))
            }
        };
        let recorded = count.checked_sub(1).map(|last| self.head.recorded(last));
        let now = match (known_at, self.request.now_is_set, outer) {
            (None, _, Some(outer)) => outer.now,
            (Some(_), false, _) => recorded.unwrap_or(self.request.now),
            _ => self.request.now,
        };
        // An inner `known at` leaves an outer `as of` as it is.
        let fixed = outer.filter(|w| w.until != w.now).map(|w| w.until);
        // What is known at the end of a day is also known of that day, though nothing was recorded in its last hours.
        let limit = match known_at {
            Some(KnownAt::Time(time)) => self.stretch(time, self.request.now)?.last(self.request.now).max(now),
            _ => now,
        };
        let until = match as_of {
            None => fixed.unwrap_or(now),
            // What is relative is so to the outer time; what lies ahead of the real one is an error.
            Some(time) => {
                let stretch = self.stretch(time, fixed.unwrap_or(now))?;
                past(time, stretch, limit)?;
                stretch.last(limit)
            }
        };
        let retracted = retracted || outer.is_some_and(|w| w.retracted);
        Ok((self.world_of(count, until, now, retracted), as_of.map(|_| until)))
    }

    /// The world of so many events, as far as they had happened by an instant.
    fn world_of(&self, count: u32, until: Time, now: Time, retracted: bool) -> World {
        let recorded = count.checked_sub(1).map(|last| self.head.recorded(last));
        // Nothing happened later than it was recorded, so a later T restricts nothing.
        let view = match recorded {
            Some(last) if until >= last && count == self.head.count() => self.head.clone(),
            _ => self.head.at(count, until),
        };
        let view = if retracted { view.including_retracted() } else { view };
        World::new(view, until, now, retracted, Rc::clone(&self.whole)).within(&self.budget)
    }

    /// A world at another instant.
    pub(crate) fn world_until(&self, until: Time, world: &World) -> World {
        self.world_of(world.view.count(), until, world.now, world.retracted)
    }

    /// A set as a plan.
    pub(crate) fn set(&self, set: &Set, world: &World) -> Resolved<Plan> {
        Ok(match set {
            Set::Kind(noun) => Plan::Kind(noun.kind),
            Set::Ref(Ref { kind: Some(Kind::Agent), version: Some(version), .. }) => {
                return Err(Diagnostic::new("E0204", "an agent has no versions").label(version.span, "leave it out"));
            }
            Set::Ref(Ref { kind: Some(Kind::Agent), name, .. }) => {
                Plan::Nodes(Nodes::of_agents(Bits::of([self.actor(name, world)?])))
            }
            Set::Ref(reference) => {
                let name = self.name(&reference.name)?;
                let version = reference.version.as_ref().map(|v| self.name(v)).transpose()?;
                self.traced(reference.span, world.nodes_of_ref(reference, &name, version.as_deref())?, world)
            }
            Set::Hash(hash) => self.traced(hash.span, world.nodes_of_hash(hash)?, world),
            Set::File(file) => {
                let digest: Blake3 = (self.request.digest_of_file)(&file.path)
                    .map_err(|what| Diagnostic::new("E0201", what).label(file.span, "cannot be read"))?;
                self.traced(file.span, world.nodes_of_file(file, &digest.0)?, world)
            }
            Set::Saved(saved) => self.saved(saved, world)?,
            Set::And(members) => Plan::And(members.iter().map(|m| self.set(m, world)).collect::<Resolved<_>>()?),
            Set::Or(members) => Plan::Or(members.iter().map(|m| self.set(m, world)).collect::<Resolved<_>>()?),
            Set::Not(inner) => Plan::Not(Box::new(self.set(inner, world)?)),
            Set::Rel(rel) => Plan::Rel(Box::new(self.rel(rel, world)?)),
            Set::With(with) => Plan::With(Box::new(self.with(with, world)?)),
            Set::Happened(happened) => {
                Plan::Happened(self.when(happened.by.as_ref(), happened.window.as_ref(), world)?)
            }
            Set::Pred(pred) => Plan::Pred(Box::new(self.pred(pred, world)?)),
            Set::At(at) => self.at(at, world)?,
            Set::Closure(Closure { from, to, .. }) => {
                let end = |set: &Option<Box<Set>>| set.as_ref().map(|s| self.set(s, world)).transpose();
                Plan::Between(Box::new(BetweenPlan { from: end(from)?, to: end(to)?, avoiding: None }))
            }
            Set::List(_) => {
                return Err(Diagnostic::new("E0110", "a list of names stands only after `any of` or `all of`"));
            }
        })
    }

    /// The one version that a reference means.
    pub(crate) fn one_version(&self, reference: &Set, world: &World) -> Resolved<VersionId> {
        let Plan::Nodes(nodes) = self.set(reference, world)? else {
            return Err(type_error("two versions are compared", reference.span()));
        };
        let versions: Vec<VersionId> = nodes.versions.iter().collect();
        match versions[..] {
            [one] => Ok(one),
            [] => Err(type_error("versions are compared, not events", reference.span())),
            [.., newest] => {
                let text = format!("this means {} versions; one is needed on each side", versions.len());
                let told = Diagnostic::new("E0202", text).label(reference.span(), "which one?");
                Err(told.help(world.version_name(newest)))
            }
        }
    }

    /// The last instant before the first of two times, and the last of the second.
    pub(crate) fn stretch_between(
        &self,
        times: (&TimeExpr, &TimeExpr),
        span: Span,
        world: &World,
    ) -> Resolved<(Time, Time)> {
        let (from, to) = (self.stretch(times.0, world.until)?, self.stretch(times.1, world.until)?);
        past(times.0, from, world.until)?;
        past(times.1, to, world.until)?;
        if from.start >= to.end {
            return Err(Diagnostic::new("E0402", "the second time is before the first").label(span, "turn it around"));
        }
        Ok((Time(from.start.0.saturating_sub(1)), to.last(world.until)))
    }

    /// Both ends of paths.
    pub(crate) fn between(&self, paths: &Paths, world: &World) -> Resolved<BetweenPlan> {
        Ok(BetweenPlan {
            from: Some(self.set(&paths.from, world)?),
            to: Some(self.set(&paths.to, world)?),
            avoiding: paths.avoiding.as_ref().map(|a| self.set(a, world)).transpose()?,
        })
    }

    /// The plan of a reference.
    fn traced(&self, span: Span, nodes: Nodes, world: &World) -> Plan {
        if let Some(trace) = self.trace.as_ref().filter(|_| !self.library.is_within()) {
            trace.name(span, &nodes, world);
        }
        Plan::Nodes(nodes)
    }

    fn at(&self, at: &At, world: &World) -> Resolved<Plan> {
        let (inner, _) = self.world(at.as_of.as_ref(), at.known_at.as_ref(), false, Some(world))?;
        let plan = self.set(&at.set, &inner)?;
        Ok(Plan::At(Box::new(inner), Box::new(plan)))
    }

    fn rel(&self, rel: &Rel, world: &World) -> Resolved<RelPlan> {
        let slots = matches!(rel.relation, Relation::Live | Relation::Deployed);
        let (operand, environments) = match &rel.operand {
            None => (None, None),
            Some(operand) if slots => (None, Some(self.environments(operand, world)?)),
            Some(operand) => (Some(self.operand(operand, world)?), None),
        };
        Ok(RelPlan {
            relation: rel.relation,
            operand,
            environments,
            tag: match &rel.tag {
                Some(tag) => Some(self.tag(tag, world)?),
                None => None,
            },
            depth: rel.depth,
            when: self.when(rel.by.as_ref(), rel.window.as_ref(), world)?,
            avoiding: rel.avoiding.as_ref().map(|a| self.set(a, world)).transpose()?,
        })
    }

    /// The symbol of a tag; a tag that was never used is a value like any other and matches nothing.
    fn tag(&self, tag: &Value, world: &World) -> Resolved<Symbol> {
        match self.constant(tag, world)? {
            Constant::Text(text) | Constant::Number(_, text) | Constant::Time(.., text) if !text.is_empty() => {
                Ok(world.view.symbol(&text).unwrap_or(Symbol::MAX))
            }
            _ => Err(type_error("a tag is a text", tag.span)),
        }
    }

    fn operand(&self, operand: &Operand, world: &World) -> Resolved<OperandPlan> {
        let sets = match &operand.set {
            Set::List(List::Refs(refs)) => refs.iter().map(|r| self.set(r, world)).collect::<Resolved<_>>()?,
            Set::List(List::Param(name)) => self.listed(name, world)?,
            set => vec![self.set(set, world)?],
        };
        let mut kinds = Vec::new();
        for (set, plan) in std::iter::once(&operand.set).zip(&sets) {
            kinds_of(set, plan, world, &mut kinds);
        }
        Ok(OperandPlan { quantifier: operand.quantifier, sets, kinds })
    }

    /// The names of a list parameter, as references.
    fn listed(&self, name: &Name, world: &World) -> Resolved<Vec<Plan>> {
        let texts = self.texts(name)?;
        let one = |text: &String| {
            let reference = Ref {
                kind: None,
                name: Name { value: NameValue::Text(text.clone()), span: name.span },
                version: None,
                span: name.span,
            };
            // A name may have an `@` in it.
            let (text, version) = match text.rsplit_once('@') {
                Some((name, version)) if !world.is_name(text) => (name, Some(version)),
                _ => (text.as_str(), None),
            };
            world.nodes_of_ref(&reference, text, version).map(Plan::Nodes)
        };
        texts.iter().map(one).collect()
    }

    fn environments(&self, operand: &Operand, world: &World) -> Resolved<Environments> {
        let names: Vec<&Set> = match &operand.set {
            Set::List(List::Refs(refs)) => refs.iter().collect(),
            Set::List(List::Param(name)) => {
                let texts = self.texts(name)?;
                let symbols = texts.iter().map(|t| self.environment(t, name.span, world)).collect::<Resolved<_>>()?;
                return Ok(Environments { all: operand.quantifier == Quantifier::AllOf, symbols });
            }
            set => vec![set],
        };
        let one =
            |set: &&Set| match set {
                Set::Ref(reference) if reference.kind.is_none() && reference.version.is_none() => {
                    self.environment(&self.name(&reference.name)?, reference.span, world)
                }
                other => Err(Diagnostic::new("E0304", "an environment is a name such as `prod`")
                    .label(other.span(), "not a name")),
            };
        let symbols = names.iter().map(one).collect::<Resolved<_>>()?;
        Ok(Environments { all: operand.quantifier == Quantifier::AllOf, symbols })
    }

    fn environment(&self, name: &str, span: Span, world: &World) -> Resolved<Option<Symbol>> {
        let folded = View::environment_name(name);
        let symbol = world.view.environment(name);
        let mut known: Vec<String> = self.request.environments.iter().map(|e| View::environment_name(e)).collect();
        known.extend(world.slot_changes().iter().map(|c| world.view.text(c.environment).to_owned()));
        known.sort();
        known.dedup();
        if known.contains(&folded) {
            return Ok(symbol);
        }
        Err(Diagnostic::new("E0201", format!("no environment is named `{name}`"))
            .label(span, "unknown environment")
            .suggest(suggest(&folded, known.iter().filter(|k| !k.is_empty()))))
    }

    fn with(&self, with: &With, world: &World) -> Resolved<WithPlan> {
        Ok(WithPlan {
            event: with.event,
            at_least: with.at_least,
            outcome: with.outcome,
            when: self.when(with.by.as_ref(), with.window.as_ref(), world)?,
        })
    }

    fn when(&self, by: Option<&Name>, window: Option<&Window>, world: &World) -> Resolved<When> {
        let by = by.map(|name| self.actor(name, world)).transpose()?;
        let window = window.map(|w| self.window(w, world)).transpose()?;
        Ok(When { by, window })
    }

    fn actor(&self, name: &Name, world: &World) -> Resolved<Symbol> {
        let text = self.name(name)?;
        if let Some(symbol) = world.view.symbol(&text).filter(|s| world.has_actor(*s)) {
            return Ok(symbol);
        }
        let error = Diagnostic::new("E0201", format!("no agent is named `{text}`")).label(name.span, "unknown agent");
        let actors: Vec<&str> = world.actors().into_iter().map(|a| world.view.text(a)).collect();
        let meant = suggest(&text, actors);
        let by = self.request.text.get(..name.span.start).map(str::trim_end).filter(|before| before.ends_with("by"));
        if let (true, Some(before), true) = (meant.is_empty(), by, is_attribute(&text)) {
            let span = Span::new(before.len() - "by".len(), name.span.end);
            return Err(error.edit(span, format!("per {text}")).note("`by` is always an agent; groups are `per`"));
        }
        Err(error.suggest(meant))
    }

    fn window(&self, window: &Window, world: &World) -> Resolved<WindowSpan> {
        let now = world.until;
        let between = |from: Time, to: Time| Ok(WindowSpan::Between(from, to));
        let stretch = |time: &TimeExpr| {
            let stretch = self.stretch(time, now)?;
            past(time, stretch, now)?;
            Ok::<_, Diagnostic>(stretch)
        };
        match &window.kind {
            WindowKind::Since(t) => between(stretch(t)?.start, Time::MAX),
            WindowKind::Before(t) => between(Time::MIN, stretch(t)?.start),
            WindowKind::After(t) => between(stretch(t)?.end, Time::MAX),
            WindowKind::During(t) => {
                let Stretch { start, end } = stretch(t)?;
                between(start, end)
            }
            WindowKind::Between(a, b) => {
                let (from, to) = (stretch(a)?.start, stretch(b)?.end);
                if from >= to {
                    return Err(Diagnostic::new("E0402", "the window ends before it begins")
                        .label(window.span, "turn it around"));
                }
                between(from, to)
            }
            WindowKind::Last(n, unit) => {
                *self.used_now.borrow_mut() = true;
                between(clock::before(now, *n, *unit), Time(now.0.saturating_add(1)))
            }
            WindowKind::SinceLast(kind) => Ok(WindowSpan::SinceLast(*kind)),
        }
    }

    pub(crate) fn stretch(&self, time: &TimeExpr, now: Time) -> Resolved<Stretch> {
        if matches!(time.kind, TimeKind::Now | TimeKind::Today | TimeKind::Yesterday | TimeKind::Ago(..)) {
            *self.used_now.borrow_mut() = true;
        }
        let kind = match &time.kind {
            TimeKind::Param(param) => self.time_param(param, time.span)?,
            kind => kind.clone(),
        };
        let stretch = clock::stretch(&kind, now, &self.request.zone).ok_or_else(|| {
            Diagnostic::new("E0404", "this time is outside the years 1678 to 2261").label(time.span, "out of range")
        })?;
        if let Some(trace) = self.trace.as_ref().filter(|_| !self.library.is_within()) {
            trace.time(time.span, stretch);
        }
        Ok(stretch)
    }

    fn time_param(&self, param: &str, span: Span) -> Resolved<TimeKind> {
        let text = match self.bound(param, span)? {
            Bound::Value(ValueKind::Time(kind)) => return Ok(kind),
            bound => only_one(param, texts_of(bound), span)?,
        };
        parse_time(&text).ok_or_else(|| {
            Diagnostic::new("E0303", format!("`:{param}` is bound to `{text}`, which is no time"))
                .label(span, "a time is needed")
                .help(format!("--param {param}=2026-06-30"))
        })
    }

    fn pred(&self, pred: &Pred, world: &World) -> Resolved<PredPlan> {
        let attribute = attribute(&pred.attr, world)?;
        let test = match &pred.test {
            Test::Has => TestPlan::Has,
            Test::True => {
                if let (Some(sort), Attribute::BuiltIn(b)) = (attribute.sort(), &attribute)
                    && sort != Sort::Truth
                {
                    let text = format!("`{}` is neither true nor false", b.word());
                    return Err(type_error(&text, pred.attr.span).help(format!("has {}", b.word())));
                }
                TestPlan::True
            }
            Test::Compare(comparison, value) => TestPlan::Compare(*comparison, self.typed(&attribute, value, world)?),
            Test::In(values) => {
                TestPlan::In(values.iter().map(|v| self.typed(&attribute, v, world)).collect::<Resolved<_>>()?)
            }
            Test::InParam(name) => {
                let one = |text| suited(&attribute, self.text_constant(text, name.span, world)?, name.span);
                TestPlan::In(self.texts(name)?.into_iter().map(one).collect::<Resolved<_>>()?)
            }
            Test::Like(value) => match suited_to_like(&attribute, self.constant(value, world)?) {
                Some(text) => TestPlan::Like(text),
                None => return Err(type_error("`like` compares texts, with `%` and `_`", value.span)),
            },
            Test::Between(low, high) => {
                TestPlan::Between(self.typed(&attribute, low, world)?, self.typed(&attribute, high, world)?)
            }
        };
        Ok(PredPlan { attribute, test })
    }

    /// A value that suits an attribute.
    fn typed(&self, attribute: &Attribute, value: &Value, world: &World) -> Resolved<Constant> {
        suited(attribute, self.constant(value, world)?, value.span)
    }

    fn constant(&self, value: &Value, world: &World) -> Resolved<Constant> {
        Ok(match &value.kind {
            ValueKind::Number(number) => Constant::Number(number.value, number.text.clone()),
            ValueKind::Quantity(number, unit) => Constant::Number(number.value * factor(*unit), String::new()),
            ValueKind::Text(text) => Constant::Text(text.clone()),
            ValueKind::Time(kind) => self.time_constant(kind, value.span, world)?,
            ValueKind::Param(param) => match self.bound(param, value.span)? {
                Bound::Value(kind) => self.constant(&Value { kind, span: value.span }, world)?,
                Bound::Texts(texts) => self.text_constant(only_one(param, texts, value.span)?, value.span, world)?,
            },
        })
    }

    /// A parameter's text as the value it looks like.
    fn text_constant(&self, text: String, span: Span, world: &World) -> Resolved<Constant> {
        if let Some(kind) = parse_time(&text)
            && let Constant::Time(from, to, _) = self.time_constant(&kind, span, world)?
        {
            return Ok(Constant::Time(from, to, text));
        }
        Ok(match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Constant::Number(number, text),
            _ => Constant::Text(text),
        })
    }

    fn time_constant(&self, kind: &TimeKind, span: Span, world: &World) -> Resolved<Constant> {
        let stretch = self.stretch(&TimeExpr { kind: kind.clone(), span }, world.until)?;
        let text = match kind {
            TimeKind::Date(t) | TimeKind::Month(t) | TimeKind::DateTime(t) => t.clone(),
            TimeKind::Now => "now".to_owned(),
            TimeKind::Today => "today".to_owned(),
            TimeKind::Yesterday => "yesterday".to_owned(),
            TimeKind::Ago(..) | TimeKind::Param(_) => String::new(),
        };
        Ok(Constant::Time(stretch.start, stretch.end, text))
    }

    pub(crate) fn name(&self, name: &Name) -> Resolved<String> {
        match &name.value {
            NameValue::Text(text) => Ok(text.clone()),
            NameValue::Param(param) => self.one_param(param, name.span),
        }
    }

    /// A list: what a parameter is bound to.
    fn texts(&self, name: &Name) -> Resolved<Vec<String>> {
        match &name.value {
            NameValue::Text(text) => Ok(vec![text.clone()]),
            NameValue::Param(param) => self.param(param, name.span),
        }
    }

    pub(crate) fn one_param(&self, param: &str, span: Span) -> Resolved<String> {
        only_one(param, self.param(param, span)?, span)
    }

    fn param(&self, param: &str, span: Span) -> Resolved<Vec<String>> {
        self.bound(param, span).map(texts_of)
    }

    /// What a parameter stands for: an argument within a saved query, else what the statement came with.
    pub(super) fn bound(&self, param: &str, span: Span) -> Resolved<Bound> {
        if let Some(bound) = self.library.bound(param, span) {
            return bound;
        }
        self.used.borrow_mut().push(param.to_owned());
        let values: Vec<String> =
            self.request.params.iter().filter(|(name, _)| name == param).map(|(_, value)| value.clone()).collect();
        if values.is_empty() {
            return Err(Diagnostic::new("E0305", format!("the parameter `:{param}` is not bound"))
                .label(span, "unbound")
                .help(format!("--param {param}=VALUE")));
        }
        Ok(Bound::Texts(values))
    }

    /// Refuses parameters that the statement does not use.
    pub(crate) fn check_unused(&self) -> Resolved<()> {
        let used = self.used.borrow();
        match self.request.params.iter().find(|(name, _)| !used.contains(name)) {
            Some((name, _)) => Err(Diagnostic::new("E0306", format!("the statement has no parameter `:{name}`"))),
            None => Ok(()),
        }
    }
}

/// Whether a word is a built-in attribute.
fn is_attribute(word: &str) -> bool {
    BuiltIn::ALL.iter().any(|b| b.word() == word)
}

fn only_one(param: &str, mut values: Vec<String>, span: Span) -> Resolved<String> {
    match values.len() {
        1 => Ok(values.remove(0)),
        n => Err(Diagnostic::new("E0303", format!("`:{param}` is bound to {n} values; one is needed here"))
            .label(span, "one value")),
    }
}

/// What a parameter stands for, as names are written.
fn texts_of(bound: Bound) -> Vec<String> {
    match bound {
        Bound::Texts(texts) => texts,
        Bound::Value(ValueKind::Text(text)) => vec![text],
        Bound::Value(kind) => vec![crate::syntax::print_value(kind)],
    }
}

/// Only a date wholly after now is an error.
fn past(time: &TimeExpr, stretch: Stretch, now: Time) -> Resolved<()> {
    if stretch.start > now {
        let text = format!("this time is after now, {now}");
        return Err(Diagnostic::new("E0401", text).label(time.span, "in the future"));
    }
    Ok(())
}

/// An attribute by its word: a built-in, else a parameter or metric that was recorded.
pub(crate) fn attribute(attr: &Attr, world: &World) -> Resolved<Attribute> {
    if attr.namespace.is_none()
        && let Some(built_in) = BuiltIn::ALL.iter().find(|b| b.word() == attr.name)
    {
        return Ok(Attribute::BuiltIn(*built_in));
    }
    if attr.namespace == Some("meta") {
        if world.has_meta(&attr.name) {
            return Ok(Attribute::Meta(attr.name.clone()));
        }
        // Cut short, the search says nothing of what is there.
        world.budget.settle(0)?;
        let text = format!("nothing here has a facet at `{}`", attr.name);
        return Err(Diagnostic::new("E0301", text).label(attr.span, "unknown facet"));
    }
    let symbol = world.view.symbol(&attr.name);
    let has = |metric: bool| symbol.is_some_and(|s| world.has_attribute(metric, s));
    let (param, metric) = match attr.namespace {
        Some("metric") => (false, has(true)),
        Some("param") => (has(false), false),
        _ => (has(false), has(true)),
    };
    let symbol = symbol.unwrap_or_default();
    match (param, metric) {
        (true, false) => Ok(Attribute::Param(symbol, attr.name.clone())),
        (false, true) => Ok(Attribute::Metric(symbol, attr.name.clone())),
        (true, true) => Err(Diagnostic::new("E0302", format!("`{}` is a metric and a parameter", attr.name))
            .label(attr.span, "which one?")
            .edit(attr.span, spelled("metric", &attr.name))
            .edit(attr.span, spelled("param", &attr.name))),
        (false, false) => {
            let keys = world.attribute_keys();
            let keys = keys.iter().map(|(metric, s)| (if *metric { "metric" } else { "param" }, world.view.text(*s)));
            let mut known: Vec<(String, String)> =
                keys.map(|(space, key)| (key.to_owned(), spelled(space, key))).collect();
            known.extend(BuiltIn::ALL.iter().map(|b| (b.word().to_owned(), b.word().to_owned())));
            let meant = suggest(&attr.name, known.iter().map(|(word, _)| word));
            let text = format!("nothing here has an attribute `{}`", attr.name);
            let mut error = Diagnostic::new("E0301", text).label(attr.span, "unknown attribute");
            for (word, text) in meant.iter().filter_map(|word| known.iter().find(|(known, _)| known == word)) {
                let bare = crate::syntax::quote(word) == *word;
                error =
                    error.edit(attr.span, if bare && attr.namespace.is_none() { word.clone() } else { text.clone() });
            }
            Err(error.suggest(meant))
        }
    }
}

/// A metric or parameter with its namespace, quoted where it must be.
pub(super) fn spelled(space: &str, key: &str) -> String {
    let bare = crate::syntax::quote(key);
    if bare == key { format!("{space}.{key}") } else { format!("{space}.'{}'", key.replace('\'', "''")) }
}

fn type_error(what: &str, span: Span) -> Diagnostic {
    Diagnostic::new("E0303", what).label(span, "wrong type")
}

/// A value as the type of an attribute; comparing a time or number with anything else is an error of the plan.
fn suited(attribute: &Attribute, constant: Constant, span: Span) -> Resolved<Constant> {
    let (Attribute::BuiltIn(built_in), Some(sort)) = (attribute, attribute.sort()) else { return Ok(constant) };
    match (sort, constant) {
        (Sort::Time, constant @ Constant::Time(..))
        | (Sort::Number, constant @ Constant::Number(..))
        | (Sort::Text, constant @ Constant::Text(_)) => Ok(constant),
        (Sort::Truth, Constant::Text(text)) if text == "true" || text == "false" => Ok(Constant::Text(text)),
        // A bare number or date may be a name, such as a label.
        (Sort::Text, Constant::Number(_, text) | Constant::Time(.., text)) if !text.is_empty() => {
            Ok(Constant::Text(text))
        }
        (Sort::Number, Constant::Text(text)) if *built_in == BuiltIn::Version => {
            let number = text.strip_prefix('v').and_then(|n| n.parse::<u32>().ok());
            number.map(|n| Constant::Number(n.into(), text)).ok_or_else(|| type_error("`version` is a number", span))
        }
        (sort, _) => {
            let wants = match sort {
                Sort::Time => "a time",
                Sort::Number => "a number",
                Sort::Text => "a text",
                Sort::Truth => "`true` or `false`",
            };
            Err(type_error(&format!("`{}` is compared with {wants}", built_in.word()), span))
        }
    }
}

/// The pattern of `like`, if the attribute may be a text.
fn suited_to_like(attribute: &Attribute, constant: Constant) -> Option<String> {
    let may_be_text = attribute.sort().is_none_or(|sort| sort == Sort::Text);
    match constant {
        Constant::Text(text) | Constant::Number(_, text) | Constant::Time(.., text)
            if may_be_text && !text.is_empty() =>
        {
            Some(text)
        }
        _ => None,
    }
}

fn parse_time(text: &str) -> Option<TimeKind> {
    let bytes = text.as_bytes();
    let dated = bytes.len() >= 7 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-';
    let kind = match text {
        "now" => TimeKind::Now,
        "today" => TimeKind::Today,
        "yesterday" => TimeKind::Yesterday,
        _ if !dated => return None,
        _ if text.len() == 7 => TimeKind::Month(text.to_owned()),
        _ if text.len() == 10 => TimeKind::Date(text.to_owned()),
        _ => TimeKind::DateTime(text.to_owned()),
    };
    clock::stretch(&kind, Time(0), &Zone::default()).map(|_| kind)
}

fn factor(unit: Unit) -> f64 {
    match unit {
        Unit::Kilobyte => 1e3,
        Unit::Megabyte => 1e6,
        Unit::Gigabyte => 1e9,
        Unit::Terabyte => 1e12,
        Unit::Time(TimeUnit::Second) => 1.0,
        Unit::Time(unit) => unit.seconds() as f64,
    }
}

/// The kinds that a set's nodes have: as its words tell, and of names as they are. None: any.
fn kinds_of(set: &Set, plan: &Plan, world: &World, kinds: &mut Vec<Kind>) {
    match (set, plan) {
        (Set::Kind(noun), _) => kinds.push(noun.kind),
        (Set::Ref(Ref { kind: Some(kind), .. }), _) => kinds.push(*kind),
        (_, Plan::Nodes(nodes)) => {
            for version in nodes.versions.iter() {
                let kind = names::kind_of_entity(world.kind_of(version));
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
        (Set::And(members), Plan::And(plans)) => {
            let mut told = members.iter().zip(plans).map(|(member, plan)| {
                let mut kinds = Vec::new();
                kinds_of(member, plan, world, &mut kinds);
                kinds
            });
            kinds.extend(told.find(|kinds| !kinds.is_empty()).unwrap_or_default());
        }
        (Set::Or(members), Plan::Or(plans)) => {
            let told = members.iter().zip(plans).map(|(member, plan)| {
                let mut kinds = Vec::new();
                kinds_of(member, plan, world, &mut kinds);
                kinds
            });
            let told: Vec<Vec<Kind>> = told.collect();
            if told.iter().all(|kinds| !kinds.is_empty()) {
                kinds.extend(told.into_iter().flatten());
            }
        }
        (Set::Saved(_), Plan::Saved(saved)) => kinds_of(&saved.set, &saved.plan, world, kinds),
        (Set::At(at), Plan::At(inner, plan)) => kinds_of(&at.set, plan, inner, kinds),
        _ => {}
    }
}
