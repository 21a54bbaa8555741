//! What both printers share: names, values, times, attributes, tails and bodies.

use super::ast::{Body, Changes, Comparison, Function, Kind, Outcome, Quantifier, Set, Statement, Test, WindowKind};
use super::ast::{Closure, File, Hash, List, Operand, Ref, Saved, Window};
use super::lexer::is_bare_path;
use super::parse_value::is_bare_attr;
use super::suggest::{quote, quoted};
use super::value::{Attr, KnownAt, Limit, Name, NameValue, TimeExpr, TimeKind, TimeUnit, Unit, Value, ValueKind};
use std::fmt::Write;

/// The two spellings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    English,
    Terse,
}

/// The canonical English spelling, with all brackets; it parses to the same tree.
pub fn print_english(statement: &Statement) -> String {
    statement_text(statement, Style::English)
}

/// The canonical terse spelling; it parses to the same tree.
pub fn print_terse(statement: &Statement) -> String {
    statement_text(statement, Style::Terse)
}

/// One clause, condition or set in English, as it stands within a statement.
pub fn print_clause(set: &Set) -> String {
    if super::print_english::is_condition(set) { super::print_english::condition(set) } else { Style::English.set(set) }
}

/// A value as it is written.
pub fn print_value(kind: ValueKind) -> String {
    value(&Value { kind, span: super::value::Span::default() })
}

fn statement_text(statement: &Statement, style: Style) -> String {
    let mut out = if statement.explain { "explain ".to_owned() } else { String::new() };
    out.push_str(&body(&statement.body, style));
    if let Some(at) = &statement.as_of {
        _ = write!(out, " as of {}", time(at));
    }
    if let Some(at) = &statement.known_at {
        _ = write!(out, " known at {}", known_at(at));
    }
    if statement.including_retracted {
        out += " including retracted";
    }
    if !statement.order_by.is_empty() {
        let key = |key: &super::value::Key| format!("{}{}", attr(&key.attr), if key.descending { " desc" } else { "" });
        _ = write!(out, " order by {}", commas(&statement.order_by, key));
    }
    match &statement.limit {
        Some(Limit::Count(count)) => _ = write!(out, " limit {count}"),
        Some(Limit::Param(param)) => _ = write!(out, " limit {}", name(param)),
        None => {}
    }
    if !statement.show.is_empty() {
        _ = write!(out, " show {}", commas(&statement.show, attr));
    }
    out
}

fn body(body: &Body, style: Style) -> String {
    match body {
        Body::Set(set) => style.set(set),
        Body::Aggregate(x) => {
            let function = match x.function {
                Function::Count => "count",
                Function::Min => "min",
                Function::Max => "max",
                Function::Avg => "avg",
                Function::Sum => "sum",
            };
            let of = x.attr.as_ref().map_or(String::new(), |of| format!(" {} of", attr(of)));
            let per = if x.per.is_empty() { String::new() } else { format!(" per {}", commas(&x.per, attr)) };
            format!("{function}{of} {}{per}", style.set(&x.set))
        }
        Body::Paths(x) => {
            let word = if x.all { "paths" } else { "path" };
            let avoiding = x.avoiding.as_ref().map_or(String::new(), |cut| format!(" avoiding {}", style.closed(cut)));
            format!("{word} from {} to {}{avoiding}", style.closed(&x.from), style.closed(&x.to))
        }
        Body::Why(x) => format!("why {} in ({})", style.set(&x.subject), style.set(&x.set)),
        Body::Changes(Changes::Versions { before, after, .. }) => match style {
            Style::English => format!("what changed between {} and {}", style.set(before), style.set(after)),
            Style::Terse => format!("diff({}, {})", style.set(before), style.set(after)),
        },
        Body::Changes(Changes::Sets { before, after, .. }) => {
            format!("diff({}, {})", style.side(before), style.side(after))
        }
        Body::Changes(Changes::Over { set, from, to, .. }) => match style {
            Style::English => {
                format!("what changed in ({}) between {} and {}", style.set(set), time(from), time(to))
            }
            Style::Terse => format!("diff({}, {}, {})", style.set(set), time(from), time(to)),
        },
    }
}

impl Style {
    /// A set where the grammar has `set`.
    pub(super) fn set(self, set: &Set) -> String {
        match set {
            Set::Kind(noun) => plural(noun.kind).to_owned(),
            Set::Ref(x) => reference(x),
            Set::Hash(x) => hash(x),
            Set::File(x) => file(x),
            Set::Saved(x) => saved(x),
            Set::At(x) => {
                let as_of = x.as_of.as_ref().map_or(String::new(), |at| format!(" as of {}", time(at)));
                let known = x.known_at.as_ref().map_or(String::new(), |at| format!(" known at {}", known_at(at)));
                format!("({}{as_of}{known})", self.set(&x.set))
            }
            Set::Closure(x) => self.closure(x),
            Set::Or(members) => {
                let joint = if self == Self::English { " union " } else { " | " };
                members.iter().map(|member| self.member(member)).collect::<Vec<_>>().join(joint)
            }
            Set::Rel(rel) => super::print_terse::call(self, rel),
            Set::With(with) => super::print_terse::with(with),
            Set::List(x) => self.list(x),
            Set::And(members) => match self {
                Self::English => super::print_english::intersection(members),
                Self::Terse => super::print_terse::intersection(members),
            },
            Set::Not(_) | Set::Happened(_) | Set::Pred(_) => super::print_english::condition(set),
        }
    }

    /// A set beside a set operator.
    pub(super) fn member(self, set: &Set) -> String {
        match set {
            Set::And(_) | Set::Or(_) | Set::Not(_) | Set::Closure(_) => format!("({})", self.set(set)),
            _ => self.set(set),
        }
    }

    /// A set where only a name, a function or parentheses may stand.
    pub(super) fn closed(self, set: &Set) -> String {
        match set {
            Set::Ref(_) | Set::Hash(_) | Set::File(_) | Set::At(_) => self.set(set),
            Set::Rel(_) | Set::With(_) if self == Self::Terse => self.set(set),
            _ => format!("({})", self.set(set)),
        }
    }

    /// A set beside a comma, which could be taken for one within the set.
    fn side(self, set: &Set) -> String {
        match set {
            Set::Ref(_) | Set::Hash(_) | Set::File(_) | Set::At(_) => self.set(set),
            _ => format!("({})", self.set(set)),
        }
    }

    fn closure(self, closure: &Closure) -> String {
        // `X:: using (Y)` could be a clause, so functions at an end stand in parentheses too.
        let end = |set: &Set| match set {
            Set::Rel(_) => format!("({})", self.set(set)),
            _ => self.member(set),
        };
        let side = |set: &Option<Box<Set>>| set.as_deref().map(end).unwrap_or_default();
        format!("{}::{}", side(&closure.from), side(&closure.to))
    }

    /// An operand in a clause.
    pub(super) fn operand(self, operand: &Operand) -> String {
        format!(
            "{}{}",
            quantifier(operand.quantifier),
            match &operand.set {
                Set::List(list) => self.list(list),
                set => self.closed(set),
            }
        )
    }

    fn list(self, list: &List) -> String {
        match list {
            List::Refs(refs) => format!("({})", commas(refs, |set| self.set(set))),
            List::Param(param) => name(param),
        }
    }
}

pub(super) fn quantifier(quantifier: Quantifier) -> &'static str {
    match quantifier {
        Quantifier::Any => "",
        Quantifier::Every => "every ",
        Quantifier::Only => "only ",
        Quantifier::AllOf => "all of ",
        Quantifier::AnyOf => "any of ",
    }
}

pub(super) fn commas<T>(items: &[T], print: impl Fn(&T) -> String) -> String {
    items.iter().map(print).collect::<Vec<_>>().join(", ")
}

pub(super) fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Dataset => "datasets",
        Kind::Model => "models",
        Kind::FeatureSet => "feature sets",
        Kind::Artifact => "artifacts",
        Kind::Agent => "agents",
        Kind::Transform => "transforms",
        Kind::Training => "trainings",
        Kind::Evaluation => "evaluations",
        Kind::Audit => "audits",
        Kind::Deployment => "deployments",
        Kind::Retirement => "retirements",
        Kind::Run => "runs",
        Kind::Event => "events",
    }
}

impl Kind {
    /// The kind word in the singular.
    pub fn singular(self) -> &'static str {
        let plural = plural(self);
        plural.strip_suffix('s').unwrap_or(plural)
    }

    /// Whether it is a kind of versions.
    pub fn is_version(self) -> bool {
        matches!(self, Self::Dataset | Self::Model | Self::FeatureSet | Self::Artifact)
    }

    /// The kind word in the plural.
    pub fn plural(self) -> &'static str {
        plural(self)
    }
}

pub(super) fn name(name: &Name) -> String {
    match &name.value {
        NameValue::Text(text) => quote(text),
        NameValue::Param(param) => format!(":{param}"),
    }
}

fn with_kind(kind: Option<Kind>, rest: &str) -> String {
    kind.map_or_else(|| rest.to_owned(), |kind| format!("{} {rest}", kind.singular()))
}

fn at_version(version: Option<&Name>) -> String {
    match version {
        None => String::new(),
        Some(Name { value: NameValue::Text(text), .. }) if is_plain_version(text) => format!("@{text}"),
        Some(version) => format!("@{}", name(version)),
    }
}

/// Whether a version needs no quotes although it begins with a digit.
fn is_plain_version(text: &str) -> bool {
    let digits = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = text.split('-').collect();
    match parts[..] {
        [number] => !number.is_empty() && digits(number, number.len()),
        [year, month] => digits(year, 4) && digits(month, 2),
        [year, month, day] => digits(year, 4) && digits(month, 2) && digits(day, 2),
        _ => false,
    }
}

fn reference(x: &Ref) -> String {
    with_kind(x.kind, &format!("{}{}", name(&x.name), at_version(x.version.as_ref())))
}

fn hash(x: &Hash) -> String {
    with_kind(x.kind, &format!("{}:{}", x.algorithm, x.hex))
}

fn file(x: &File) -> String {
    with_kind(x.kind, &if is_bare_path(&x.path) { x.path.clone() } else { quoted(&x.path) })
}

fn saved(x: &Saved) -> String {
    let args = commas(&x.args, |(key, given)| format!("{} = {}", name(key), value(given)));
    let args = if x.args.is_empty() { String::new() } else { format!("({args})") };
    format!("query {}{}{args}", name(&x.name), at_version(x.version.as_ref()))
}

pub(super) fn attr(attr: &Attr) -> String {
    match attr.namespace {
        Some(space) if is_bare_attr(space, &attr.name) => format!("{space}.{}", attr.name),
        Some(space) => format!("{space}.{}", quoted(&attr.name)),
        None => attr.name.clone(),
    }
}

pub(super) fn value(value: &Value) -> String {
    match &value.kind {
        ValueKind::Number(number) => number.text.clone(),
        ValueKind::Quantity(number, unit) => format!("{}{}", number.text, unit_text(*unit)),
        ValueKind::Text(text) => quote(text),
        ValueKind::Time(time) => time_kind(time),
        ValueKind::Param(param) => format!(":{param}"),
    }
}

fn unit_text(unit: Unit) -> &'static str {
    match unit {
        Unit::Kilobyte => "KB",
        Unit::Megabyte => "MB",
        Unit::Gigabyte => "GB",
        Unit::Terabyte => "TB",
        Unit::Time(TimeUnit::Second) => "s",
        Unit::Time(TimeUnit::Minute) => "m",
        Unit::Time(TimeUnit::Hour) => "h",
        Unit::Time(TimeUnit::Day) => "d",
    }
}

pub(super) fn time(time: &TimeExpr) -> String {
    time_kind(&time.kind)
}

fn time_kind(time: &TimeKind) -> String {
    match time {
        TimeKind::Date(text) | TimeKind::Month(text) | TimeKind::DateTime(text) => text.clone(),
        TimeKind::Now => "now".to_owned(),
        TimeKind::Today => "today".to_owned(),
        TimeKind::Yesterday => "yesterday".to_owned(),
        TimeKind::Ago(count, unit) => format!("{} ago", duration(*count, *unit)),
        TimeKind::Param(param) => format!(":{param}"),
    }
}

pub(super) fn duration(count: u64, unit: TimeUnit) -> String {
    let unit = match unit {
        TimeUnit::Second => "second",
        TimeUnit::Minute => "minute",
        TimeUnit::Hour => "hour",
        TimeUnit::Day => "day",
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

fn known_at(at: &KnownAt) -> String {
    match at {
        KnownAt::Time(at) => time(at),
        KnownAt::Log(position, _) => format!("log {position}"),
    }
}

pub(super) fn window(window: &Window) -> String {
    match &window.kind {
        WindowKind::Since(at) => format!("since {}", time(at)),
        WindowKind::Before(at) => format!("before {}", time(at)),
        WindowKind::After(at) => format!("after {}", time(at)),
        WindowKind::During(at) => format!("during {}", time(at)),
        WindowKind::Between(from, to) => format!("between {} and {}", time(from), time(to)),
        WindowKind::Last(count, unit) => format!("in last {}", duration(*count, *unit)),
        WindowKind::SinceLast(event) => format!("since their last {}", event.singular()),
    }
}

pub(super) fn outcome(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        None => "",
        Some(Outcome::Passing) => "passing ",
        Some(Outcome::Failing) => "failing ",
    }
}

/// A test; `not` goes before the operator where it can.
pub(super) fn test(of: &Attr, test: &Test, negated: bool) -> String {
    let of = attr(of);
    let not = if negated { "not " } else { "" };
    match test {
        Test::Has => format!("{not}has {of}"),
        Test::True => format!("{not}{of}"),
        Test::Compare(comparison, right) => format!("{not}{of} {} {}", symbol(*comparison), value(right)),
        Test::In(values) => format!("{of} {not}in ({})", commas(values, value)),
        Test::InParam(param) => format!("{of} {not}in {}", name(param)),
        Test::Like(pattern) => format!("{of} {not}like {}", value(pattern)),
        Test::Between(low, high) => format!("{of} {not}between {} and {}", value(low), value(high)),
    }
}

fn symbol(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Eq => "=",
        Comparison::Ne => "!=",
        Comparison::Lt => "<",
        Comparison::Le => "<=",
        Comparison::Gt => ">",
        Comparison::Ge => ">=",
    }
}
