//! Tests of values: comparing, matching patterns, and what is missing.

use super::attribute::{Attribute, Val};
use super::plan::{Constant, PredPlan, TestPlan};
use crate::syntax::ast::Comparison;

/// Whether a value, missing or not, passes a test.
pub(super) fn holds(value: Option<&Val>, pred: &PredPlan) -> bool {
    let Some(value) = value else {
        // A comparison with what is missing is false, and `!=` is defined by negation.
        return matches!(pred.test, TestPlan::Compare(Comparison::Ne, _));
    };
    match &pred.test {
        TestPlan::Has => true,
        TestPlan::True => *value == Val::Bool(true),
        TestPlan::Compare(comparison, constant) => compare(value, *comparison, constant),
        TestPlan::In(list) => list.iter().any(|c| compare(value, Comparison::Eq, c)),
        TestPlan::Like(pattern) => texts(value).iter().any(|t| like(t, pattern)),
        TestPlan::Between(low, high) => compare(value, Comparison::Ge, low) && compare(value, Comparison::Le, high),
    }
}

/// How many nodes miss an attribute.
pub(crate) fn missing_text(missing: usize, all: usize, attribute: &Attribute) -> String {
    format!("{missing} of {all} have no `{}`", attribute.heading())
}

fn texts(value: &Val) -> Vec<String> {
    match value {
        Val::Text(text) => vec![text.clone()],
        Val::List(list) => list.clone(),
        _ => Vec::new(),
    }
}

/// Compares a value with a constant; values of another type are not equal, and neither less nor greater.
pub(crate) fn compare(value: &Val, comparison: Comparison, constant: &Constant) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    if comparison == Comparison::Ne {
        return !compare(value, Comparison::Eq, constant);
    }
    let order = match (value, constant) {
        (Val::Number(a), Constant::Number(b, _)) => a.partial_cmp(b),
        (Val::Text(a), Constant::Text(b)) => Some(a.as_str().cmp(b)),
        (Val::Bool(a), Constant::Text(b)) => (b == "true" || b == "false").then(|| a.cmp(&(b == "true"))),
        (Val::Time(at), Constant::Time(from, to, _)) => Some(if at < from {
            Less
        } else if at < to {
            Equal
        } else {
            Greater
        }),
        (Val::List(list), constant) => {
            return list.iter().any(|item| compare(&Val::Text(item.clone()), comparison, constant));
        }
        // What was logged as text may look like a date: it is compared as it was written.
        (Val::Text(a), Constant::Time(.., b)) if !b.is_empty() => Some(a.as_str().cmp(b)),
        _ => None,
    };
    order.is_some_and(|order| match comparison {
        Comparison::Eq => order == Equal,
        Comparison::Lt => order == Less,
        Comparison::Le => order != Greater,
        Comparison::Gt => order == Greater,
        Comparison::Ge => order != Less,
        Comparison::Ne => order != Equal,
    })
}

/// SQL's `like`: `%` is any text, `_` any character.
fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '%' {
            retry = Some((p + 1, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '_' || pattern[p] == text[t]) {
            (t, p) = (t + 1, p + 1);
        } else if let Some((after, from)) = retry {
            (p, t) = (after, from + 1);
            retry = Some((after, from + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_matches_whole_texts() {
        assert!(like("jaffle.main.orders", "%orders"));
        assert!(like("abc", "a_c"));
        assert!(!like("abcd", "a_c"));
        assert!(like("", "%%"));
        assert!(!like("x", ""));
    }
}
