//! Making a difference small: events and parts of the question are left out as long as the answers differ.

use super::histories::Sending;
use super::question::{Clause, Question, Set, Test, When};
use super::{Difference, differs};

/// The smallest history and question that are found to differ still.
pub(super) fn shrunk(mut difference: Difference, seal: usize) -> Difference {
    loop {
        let Some(smaller) = smaller(&difference, seal) else { return difference };
        difference = smaller;
    }
}

fn smaller(of: &Difference, seal: usize) -> Option<Difference> {
    let retry = |history: &[Sending], question: &Question| {
        // What is left may be no question any more.
        let is_one = |d: &Difference| !d.engine.as_ref().is_err_and(|code| code.starts_with("E01"));
        differs(history, seal, &|_| vec![question.clone()]).filter(is_one)
    };
    let without = |at: usize| {
        let mut history = of.history.clone();
        history.remove(at);
        history
    };
    let fewer = (0..of.history.len()).rev().find_map(|at| retry(&without(at), &of.question));
    let plainer = || {
        (0..of.history.len()).find_map(|at| plainer(&of.history, at).into_iter().find_map(|h| retry(&h, &of.question)))
    };
    let simpler = || simpler(&of.question).into_iter().find_map(|question| retry(&of.history, &question));
    fewer.or_else(simpler).or_else(plainer)
}

/// A history with one field of one event left out.
fn plainer(history: &[Sending], at: usize) -> Vec<Vec<Sending>> {
    let mut all = Vec::new();
    let fields = ["actor", "metrics", "params", "tags", "parent", "job", "outcome", "service", "namespace"];
    for field in fields.into_iter().filter(|field| history[at].1.get(field).is_some()) {
        let mut other = history.to_vec();
        other[at].1.as_object_mut().expect("an object").remove(field);
        all.push(other);
    }
    for list in ["inputs", "outputs"] {
        for index in 0..history[at].1[list].as_array().map_or(0, Vec::len) {
            let mut other = history.to_vec();
            other[at].1[list].as_array_mut().expect("a list").remove(index);
            all.push(other);
        }
    }
    all
}

fn simpler(question: &Question) -> Vec<Question> {
    let mut all = Vec::new();
    if question.aggregate.is_some() {
        all.push(Question { aggregate: None, ..question.clone() });
    }
    if question.as_of.is_some() {
        all.push(Question { as_of: None, ..question.clone() });
    }
    if question.known_at.is_some() {
        all.push(Question { known_at: None, ..question.clone() });
    }
    for left_out in 0..question.show.len() {
        let mut show = question.show.clone();
        show.remove(left_out);
        all.push(Question { show, ..question.clone() });
    }
    all.extend(simpler_sets(&question.set).into_iter().map(|set| Question { set, ..question.clone() }));
    all
}

fn simpler_sets(set: &Set) -> Vec<Set> {
    match set {
        Set::Narrowed(base, clauses) => {
            let mut all = vec![(**base).clone()];
            for at in 0..clauses.len() {
                let mut fewer = clauses.clone();
                let clause = fewer.remove(at);
                if !fewer.is_empty() {
                    all.push(Set::Narrowed(base.clone(), fewer.clone()));
                }
                for simpler in simpler_clauses(&clause) {
                    let mut other = fewer.clone();
                    other.insert(at, simpler);
                    all.push(Set::Narrowed(base.clone(), other));
                }
            }
            all.extend(simpler_sets(base).into_iter().map(|base| Set::Narrowed(Box::new(base), clauses.clone())));
            all
        }
        Set::Joined(operator, a, b) => {
            let mut all = vec![(**a).clone(), (**b).clone()];
            all.extend(simpler_sets(a).into_iter().map(|a| Set::Joined(*operator, Box::new(a), b.clone())));
            all.extend(simpler_sets(b).into_iter().map(|b| Set::Joined(*operator, a.clone(), Box::new(b))));
            all
        }
        Set::Between(from, to) => {
            let mut all: Vec<Set> = from.iter().chain(to).map(|end| (**end).clone()).collect();
            for set in from.iter().flat_map(|end| simpler_sets(end)) {
                all.push(Set::Between(Some(Box::new(set)), to.clone()));
            }
            for set in to.iter().flat_map(|end| simpler_sets(end)) {
                all.push(Set::Between(from.clone(), Some(Box::new(set))));
            }
            all
        }
        Set::At(inner, as_of, known_at) => {
            let mut all = vec![(**inner).clone()];
            all.extend(simpler_sets(inner).into_iter().map(|set| Set::At(Box::new(set), *as_of, *known_at)));
            all
        }
        _ => Vec::new(),
    }
}

fn simpler_clauses(clause: &Clause) -> Vec<Clause> {
    match clause {
        Clause::Not(inner) => {
            let mut all = vec![(**inner).clone()];
            all.extend(simpler_clauses(inner).into_iter().map(|clause| Clause::Not(Box::new(clause))));
            all
        }
        Clause::Related { relation, depth, quantifier, operand, when, avoiding } => {
            let other = |depth, operand, when, avoiding| Clause::Related {
                relation: *relation,
                depth,
                quantifier: *quantifier,
                operand,
                when,
                avoiding,
            };
            let mut all = Vec::new();
            if depth.is_some() {
                all.push(other(None, operand.clone(), when.clone(), avoiding.clone()));
            }
            if avoiding.is_some() {
                all.push(other(*depth, operand.clone(), when.clone(), None));
            }
            if when.by.is_some() || when.window.is_some() {
                all.push(other(*depth, operand.clone(), When::default(), avoiding.clone()));
            }
            if let [one] = &operand[..] {
                for set in simpler_sets(one) {
                    all.push(other(*depth, vec![set], when.clone(), avoiding.clone()));
                }
            }
            for set in avoiding.iter().flat_map(|a| simpler_sets(a)) {
                all.push(other(*depth, operand.clone(), when.clone(), Some(Box::new(set))));
            }
            all
        }
        Clause::Where(test) => simpler_tests(test).into_iter().map(Clause::Where).collect(),
        _ => Vec::new(),
    }
}

fn simpler_tests(test: &Test) -> Vec<Test> {
    match test {
        Test::And(a, b) | Test::Or(a, b) => vec![(**a).clone(), (**b).clone()],
        Test::Not(inner) => vec![(**inner).clone()],
        _ => Vec::new(),
    }
}
