//! Random questions over the names of the random histories, each of them allowed by the grammar.

use lineage_tests::random::Random;

use super::histories::{digest, pick};
use super::question::{
    Clause, Constant, Noun, Operator, Pin, Quantifier, Question, Relation, Set, Test, Time, When, Window,
};
use super::said::seconds;

const VERSIONS: [Noun; 5] = [Noun::Model, Noun::Model, Noun::Dataset, Noun::Artifact, Noun::Features];
const STEPS: [Noun; 7] =
    [Noun::Run, Noun::Transform, Noun::Training, Noun::Evaluation, Noun::Audit, Noun::Deployment, Noun::Retirement];

/// A question about a log of so many events.
pub(super) fn question(random: &mut Random, events: usize) -> Question {
    let about_versions = !random.one_in(3);
    let set = if about_versions { versions(random, 2, events) } else { steps(random, 2, events) };
    let mut question = Question::of(set);
    question.as_of = random.one_in(4).then(|| time(random));
    question.known_at = random.one_in(5).then(|| random.below(events));
    question.retracted = random.one_in(12);
    let attributes: &[&str] = if about_versions { &OF_VERSIONS } else { &OF_EVENTS };
    match random.below(6) {
        0 => {
            let per = if random.one_in(2) { vec![pick(random, attributes).to_owned()] } else { Vec::new() };
            question.aggregate = Some(("count", None, per));
        }
        1 if about_versions => {
            let of = pick(random, &["metric.acc", "param.lr", "version", "size"]).to_owned();
            let per = if random.one_in(2) { vec!["name".to_owned()] } else { Vec::new() };
            question.aggregate = Some((pick(random, &["min", "max", "sum", "avg"]), Some(of), per));
        }
        2..=3 => {
            let mut show: Vec<String> = Vec::new();
            for _ in 0..=random.below(3) {
                let attribute = pick(random, attributes).to_owned();
                if !show.contains(&attribute) && !USUAL.contains(&attribute.as_str()) {
                    show.push(attribute);
                }
            }
            question.show = show;
        }
        _ => {}
    }
    question
}

/// Questions that show everything of a log.
pub(super) fn overviews() -> Vec<Question> {
    let shown = |set: Set, attributes: &[&str]| {
        let show = attributes.iter().filter(|a| !USUAL.contains(a)).map(|a| (*a).to_owned()).collect();
        Question { show, ..Question::of(set) }
    };
    let narrowed = |noun: Noun, clause: Clause| Set::Narrowed(Box::new(Set::Kind(noun)), vec![clause]);
    vec![
        shown(Set::Kind(Noun::Artifact), &OF_VERSIONS[..OF_VERSIONS.len() - 2]),
        shown(Set::Kind(Noun::Event), &OF_EVENTS[..OF_EVENTS.len() - 2]),
        shown(Set::Kind(Noun::Run), &OF_EVENTS[..OF_EVENTS.len() - 2]),
        Question::of(narrowed(Noun::Artifact, Clause::Tagged("x".to_owned()))),
    ]
}

/// What every row has, so that it is not shown once more.
const USUAL: [&str; 9] = ["kind", "namespace", "name", "version", "position", "occurred", "actor", "state", "outcome"];

const OF_VERSIONS: [&str; 20] = [
    "name",
    "kind",
    "version",
    "size",
    "rows",
    "created",
    "recorded",
    "actor",
    "owner",
    "tier",
    "tag",
    "label",
    "latest",
    "live",
    "environment",
    "origin",
    "purpose",
    "namespace",
    "metric.acc",
    "param.lr",
];
const OF_EVENTS: [&str; 16] = [
    "name",
    "kind",
    "namespace",
    "occurred",
    "started",
    "recorded",
    "actor",
    "tag",
    "environment",
    "service",
    "outcome",
    "state",
    "attempt",
    "valid_until",
    "metric.acc",
    "param.lr",
];

fn time(random: &mut Random) -> Time {
    match random.below(8) {
        0 => Time::Day(19 + random.below(2) as i64),
        _ => Time::Instant(seconds("2026-11-20T09:55:00Z") + 60 * random.below(100) as i64),
    }
}

fn window(random: &mut Random, last: bool) -> Window {
    match random.below(if last { 10 } else { 7 }) {
        0..=1 => Window::Since(time(random)),
        2 => Window::Before(time(random)),
        3 => Window::After(time(random)),
        4 => Window::During(time(random)),
        5 => Window::Between(time(random), time(random)),
        6 => Window::Last(random.below(120) as i64),
        7 => Window::SinceLast(Noun::Audit),
        _ => Window::SinceLast(Noun::Training),
    }
}

fn when(random: &mut Random, by: bool, last: bool) -> When {
    When {
        by: (by && random.one_in(4)).then(|| pick(random, &["ana", "ana", "bob", "ria"]).to_owned()),
        window: random.one_in(3).then(|| window(random, last)),
    }
}

fn name(random: &mut Random) -> Set {
    let (noun, name) = match random.below(8) {
        0..=2 => (Noun::Dataset, "a"),
        3 => (Noun::Dataset, "b"),
        4 => (Noun::Dataset, "c"),
        5..=6 => (Noun::Model, "m"),
        _ => (Noun::Model, "n"),
    };
    let pin = match random.below(8) {
        0..=1 => Some(Pin::Number(1 + random.below(3))),
        2 => Some(Pin::Latest),
        3 => Some(Pin::Word(pick(random, &["best", "l", "k"]).to_owned())),
        _ => None,
    };
    Set::Name(noun, name.to_owned(), pin)
}

/// A set of versions.
pub(super) fn versions(random: &mut Random, depth: usize, events: usize) -> Set {
    if depth == 0 || random.one_in(8) {
        return match random.below(10) {
            0..=3 => Set::Kind(VERSIONS[random.below(VERSIONS.len())]),
            4 => Set::Digest(digest("b3", random.below(4))),
            _ => name(random),
        };
    }
    match random.below(13) {
        12 => between(random, Noun::Artifact, depth, events),
        0 => {
            let operator = [Operator::Union, Operator::Intersect, Operator::Except][random.below(3)];
            let side = |random: &mut Random| Box::new(versions(random, depth - 1, events));
            let (a, b) = (side(random), side(random));
            // Sets of different kinds do not meet.
            let may_meet = noun(&a) == noun(&b) && noun(&a) != Noun::Artifact;
            let operator = if may_meet { operator } else { Operator::Union };
            Set::Joined(operator, a, b)
        }
        1 => {
            let inner = Box::new(versions(random, depth - 1, events));
            let as_of = (!random.one_in(3)).then(|| time(random));
            let known_at = (as_of.is_none() || random.one_in(3)).then(|| random.below(events));
            Set::At(inner, as_of, known_at)
        }
        _ => {
            let base = if random.one_in(5) { name(random) } else { Set::Kind(VERSIONS[random.below(VERSIONS.len())]) };
            let kind = noun(&base);
            let clauses = (0..=random.below(2)).map(|_| version_clause(random, kind, depth, events)).collect();
            Set::Narrowed(Box::new(base), clauses)
        }
    }
}

/// What is of a kind and between two sets, or on one side of one.
fn between(random: &mut Random, noun: Noun, depth: usize, events: usize) -> Set {
    let end = |random: &mut Random| {
        let steps_at_end = random.one_in(5);
        Some(Box::new(if steps_at_end {
            steps(random, depth - 1, events)
        } else {
            versions(random, depth - 1, events)
        }))
    };
    let (mut from, mut to) = (end(random), end(random));
    match random.below(4) {
        0 => from = None,
        1 => to = None,
        _ => {}
    }
    Set::Joined(Operator::Intersect, Box::new(Set::Kind(noun)), Box::new(Set::Between(from, to)))
}

/// The kind that the words of a set speak of.
fn noun(set: &Set) -> Noun {
    match set {
        Set::Kind(noun) | Set::Name(noun, ..) => *noun,
        Set::Digest(_) | Set::Between(..) => Noun::Artifact,
        Set::Run(_) => Noun::Run,
        Set::Narrowed(base, _) | Set::At(base, ..) => noun(base),
        Set::Joined(_, a, b) => {
            if noun(a) == noun(b) {
                noun(a)
            } else {
                Noun::Artifact
            }
        }
    }
}

/// A set of steps or events.
pub(super) fn steps(random: &mut Random, depth: usize, events: usize) -> Set {
    let noun = if random.one_in(3) { Noun::Event } else { STEPS[random.below(STEPS.len())] };
    if depth == 0 || random.one_in(8) {
        return if depth == 0 && random.one_in(6) {
            Set::Run(pick(random, &["r", "s"]).to_owned())
        } else {
            Set::Kind(noun)
        };
    }
    if noun != Noun::Event && random.one_in(12) {
        return between(random, noun, depth, events);
    }
    let clauses = (0..=random.below(2)).map(|_| step_clause(random, depth, events)).collect();
    let set = Set::Narrowed(Box::new(Set::Kind(noun)), clauses);
    if random.one_in(10) { Set::At(Box::new(set), Some(time(random)), None) } else { set }
}

fn related(random: &mut Random, relation: Relation, depth: usize, events: usize) -> Clause {
    use Relation::{DerivedFrom, DownstreamOf, EvaluatedOn, FineTunedFrom, ProducedBy, TrainedOn, UpstreamOf, UsedBy};
    let walks = matches!(relation, TrainedOn | DownstreamOf | UpstreamOf | DerivedFrom);
    let of_steps = match relation {
        UsedBy | ProducedBy => true,
        DownstreamOf | UpstreamOf => random.one_in(6),
        _ => false,
    };
    let quantifier = match random.below(10) {
        6 => Quantifier::Every,
        7 => Quantifier::Only,
        8 if !of_steps => Quantifier::AnyOf,
        9 if !of_steps => Quantifier::AllOf,
        _ => Quantifier::Any,
    };
    let operand = match quantifier {
        Quantifier::AnyOf | Quantifier::AllOf => vec![name(random), name(random)],
        _ if of_steps => vec![steps(random, depth - 1, events)],
        _ => vec![versions(random, depth - 1, events)],
    };
    let deep = walks || relation == FineTunedFrom;
    let avoiding = (walks && random.one_in(5)).then(|| {
        Box::new(if random.one_in(2) { versions(random, depth - 1, events) } else { steps(random, depth - 1, events) })
    });
    let when = match relation {
        TrainedOn | EvaluatedOn | FineTunedFrom => when(random, true, true),
        UsedBy => when(random, false, true),
        _ => When::default(),
    };
    let depth = (deep && random.one_in(3)).then(|| 1 + random.below(3));
    Clause::Related { relation, depth, quantifier, operand, when, avoiding }
}

pub(super) fn version_clause(random: &mut Random, noun: Noun, depth: usize, events: usize) -> Clause {
    use Relation::{DerivedFrom, DownstreamOf, EvaluatedOn, FineTunedFrom, ProducedBy, TrainedOn, UpstreamOf, UsedBy};
    if random.one_in(5) {
        return Clause::Not(Box::new(positive(random, noun, depth, events)));
    }
    if random.one_in(5) {
        return Clause::Where(condition(random, noun, 2));
    }
    if random.one_in(2) {
        return positive(random, noun, depth, events);
    }
    let any = [DownstreamOf, UpstreamOf, DerivedFrom, EvaluatedOn, UsedBy, ProducedBy];
    let model = [TrainedOn, TrainedOn, TrainedOn, FineTunedFrom];
    let may_be_model = matches!(noun, Noun::Model | Noun::Artifact);
    let relation = if may_be_model && random.one_in(2) { model[random.below(4)] } else { any[random.below(6)] };
    related(random, relation, depth, events)
}

/// A clause other than `not …` and `where …`.
fn positive(random: &mut Random, noun: Noun, depth: usize, events: usize) -> Clause {
    let may_be_model = matches!(noun, Noun::Model | Noun::Artifact);
    match random.below(if may_be_model { 12 } else { 8 }) {
        0..=1 => Clause::Tagged(pick(random, &["x", "y"]).to_owned()),
        2..=4 => with(random),
        5 => Clause::Did(pick(random, &["audited", "created", "evaluated"]), when(random, true, false)),
        6..=7 => related(random, Relation::DerivedFrom, depth, events),
        8 => Clause::Did("trained", when(random, true, false)),
        9 => {
            let (to, all) = environments(random);
            Clause::Deployed(to, all, when(random, true, false))
        }
        _ => {
            let (places, all) = environments(random);
            Clause::Live(places, all)
        }
    }
}

fn environments(random: &mut Random) -> (Vec<String>, bool) {
    let list: &[&str] = match random.below(5) {
        0 => &[],
        1 => &["prod", "dev"],
        2 => &["dev"],
        _ => &["prod"],
    };
    (list.iter().map(|e| (*e).to_owned()).collect(), random.one_in(2))
}

pub(super) fn with(random: &mut Random) -> Clause {
    let noun =
        [Noun::Audit, Noun::Audit, Noun::Audit, Noun::Evaluation, Noun::Deployment, Noun::Training, Noun::Transform]
            [random.below(7)];
    let verdict = matches!(noun, Noun::Audit | Noun::Evaluation).then(|| random.below(3));
    let verdict = match verdict {
        Some(0) => Some(true),
        Some(1) => Some(false),
        _ => None,
    };
    Clause::With { at_least: if random.one_in(4) { 2 } else { 1 }, verdict, noun, when: when(random, true, true) }
}

pub(super) fn step_clause(random: &mut Random, depth: usize, events: usize) -> Clause {
    let relations =
        [Relation::Using, Relation::Producing, Relation::About, Relation::DownstreamOf, Relation::UpstreamOf];
    let clause = match random.below(9) {
        0..=3 => {
            let relation = relations[random.below(relations.len())];
            related(random, relation, depth, events)
        }
        4 => Clause::Tagged(pick(random, &["x", "y"]).to_owned()),
        5 => {
            // Nothing at all would be no clause.
            let window = Some(window(random, false));
            Clause::Happened(When { by: random.one_in(2).then(|| "ana".to_owned()), window })
        }
        _ => return Clause::Where(condition(random, Noun::Event, 2)),
    };
    let turned = !matches!(clause, Clause::Happened(_)) && random.one_in(6);
    if turned { Clause::Not(Box::new(clause)) } else { clause }
}

pub(super) fn condition(random: &mut Random, noun: Noun, depth: usize) -> Test {
    if depth > 0 && random.one_in(3) {
        let side = |random: &mut Random| Box::new(condition(random, noun, depth - 1));
        return match random.below(3) {
            0 => Test::And(side(random), side(random)),
            1 => Test::Or(side(random), side(random)),
            _ => Test::Not(side(random)),
        };
    }
    if noun.is_version() && random.one_in(4) {
        return Test::Clause(Box::new(match random.below(3) {
            0 => with(random),
            1 => Clause::Tagged(pick(random, &["x", "y"]).to_owned()),
            _ => Clause::Did("created", when(random, true, false)),
        }));
    }
    if noun.is_version() { of_version(random) } else { of_event(random) }
}

const COMPARISONS: [&str; 6] = ["=", "!=", "<", "<=", ">", ">="];

fn number(random: &mut Random, attribute: &str, values: &[f64]) -> Test {
    let value = |random: &mut Random| Constant::Number(values[random.below(values.len())]);
    match random.below(6) {
        0 => Test::In(attribute.to_owned(), vec![value(random), value(random)]),
        1 => Test::Between(attribute.to_owned(), value(random), value(random)),
        2 => Test::Has(attribute.to_owned()),
        _ => Test::Compared(attribute.to_owned(), COMPARISONS[random.below(6)], value(random)),
    }
}

fn text(random: &mut Random, attribute: &str, values: &[&str]) -> Test {
    let value = |random: &mut Random| Constant::Text(pick(random, values).to_owned());
    match random.below(8) {
        0 => Test::In(attribute.to_owned(), vec![value(random), value(random)]),
        1 => Test::Has(attribute.to_owned()),
        2 => Test::Like(attribute.to_owned(), pick(random, &["%a%", "_", "%", "m%", "p%"]).to_owned()),
        n => Test::Compared(
            attribute.to_owned(),
            COMPARISONS[if n < 6 { random.below(2) } else { random.below(6) }],
            value(random),
        ),
    }
}

fn instant(random: &mut Random, attributes: &[&str]) -> Test {
    let attribute = pick(random, attributes);
    match random.below(4) {
        // `created between` would be a clause.
        0 if attribute != "created" => {
            Test::Between(attribute.to_owned(), Constant::Time(time(random)), Constant::Time(time(random)))
        }
        1 => Test::Has(attribute.to_owned()),
        _ => Test::Compared(attribute.to_owned(), COMPARISONS[random.below(6)], Constant::Time(time(random))),
    }
}

const QUARTERS: [f64; 4] = [0.25, 0.5, 1.0, 1.75];

fn of_version(random: &mut Random) -> Test {
    match random.below(14) {
        0 => number(random, "version", &[1.0, 2.0, 3.0]),
        1 => number(random, "size", &[10.0, 100.0, 200.0]),
        2 => number(random, "rows", &[1.0, 2.0, 3.0]),
        3 => number(random, "metric.acc", &QUARTERS),
        4 => number(random, "param.lr", &QUARTERS),
        5 => instant(random, &["created", "recorded"]),
        6 => text(random, "name", &["a", "m", "n"]),
        7 => text(random, "tag", &["x", "y"]),
        8 => text(random, "label", &["l", "k"]),
        9 => {
            let attribute = pick(random, &["owner", "actor"]);
            text(random, attribute, &["ana", "bob"])
        }
        10 => text(random, "environment", &["prod", "dev"]),
        11 => text(random, "origin", &["external", "produced"]),
        12 => text(random, "kind", &["dataset", "model"]),
        // Alone, `live` is a clause, which some nouns do not take.
        _ if random.one_in(2) => Test::Compared("live".to_owned(), "=", Constant::Text("true".to_owned())),
        _ => Test::True("latest".to_owned()),
    }
}

fn of_event(random: &mut Random) -> Test {
    match random.below(11) {
        0 => number(random, "attempt", &[1.0, 2.0]),
        1 => number(random, "position", &[2.0, 5.0, 9.0]),
        2 => number(random, "metric.acc", &QUARTERS),
        3 => instant(random, &["occurred", "started", "recorded"]),
        4 => text(random, "state", &["complete", "start", "fail"]),
        5 => text(random, "outcome", &["pass", "fail"]),
        6 => text(random, "tag", &["x", "y"]),
        7 => text(random, "actor", &["ana", "bob"]),
        8 => text(random, "kind", &["training", "audit", "tag"]),
        9 => text(random, "environment", &["prod", "dev"]),
        _ => instant(random, &["valid_until"]),
    }
}
