//! Conditions: `audit.verdict == 'pass' and params.ship`, over parameters and the values of earlier steps.

use std::cmp::Ordering;
use std::ops::Range;

use serde_json::Value;

use super::problem::Problem;
use super::template::Name;

/// The deepest nesting of a condition.
const DEPTH_MAX: usize = 32;

/// Whether a step runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    root: Term,
    /// As it was written.
    pub text: String,
    pub(super) span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Or(Vec<Term>),
    And(Vec<Term>),
    Not(Box<Term>),
    Compare(Operand, Comparison, Operand),
    Truth(Operand),
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Name(Name),
    Value(Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Is,
    IsNot,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Condition {
    /// Reads a condition.
    pub(super) fn read(text: &str, span: Range<usize>) -> Result<Self, Problem> {
        const HELP: &str = "write for example: when = \"audit.verdict == 'pass'\"";
        let refused = |why: String| Problem::new(span.clone(), format!("the condition `{text}` {why}"), HELP);
        let tokens = tokens(text).map_err(refused)?;
        let mut reader = Reader { tokens: &tokens, depth: 0 };
        let root = reader.or().map_err(refused)?;
        match reader.tokens.first() {
            None => Ok(Self { root, text: text.to_owned(), span }),
            Some(token) => Err(refused(format!("goes on with {token:?} where it should end").replace('"', "`"))),
        }
    }

    /// The names that it asks for.
    pub(super) fn names(&self) -> Vec<&Name> {
        let mut names = Vec::new();
        collect(&self.root, &mut names);
        names
    }

    /// Whether it holds; a name without a value is null, which equals only null.
    pub(super) fn holds(&self, value: &dyn Fn(&Name) -> Value) -> bool {
        holds(&self.root, value)
    }
}

fn collect<'a>(term: &'a Term, names: &mut Vec<&'a Name>) {
    let mut take = |operand: &'a Operand| {
        if let Operand::Name(name) = operand {
            names.push(name);
        }
    };
    match term {
        Term::Or(terms) | Term::And(terms) => terms.iter().for_each(|term| collect(term, names)),
        Term::Not(term) => collect(term, names),
        Term::Compare(left, _, right) => [left, right].into_iter().for_each(take),
        Term::Truth(operand) => take(operand),
    }
}

fn holds(term: &Term, value: &dyn Fn(&Name) -> Value) -> bool {
    let of = |operand: &Operand| match operand {
        Operand::Name(name) => value(name),
        Operand::Value(value) => value.clone(),
    };
    match term {
        Term::Or(terms) => terms.iter().any(|term| holds(term, value)),
        Term::And(terms) => terms.iter().all(|term| holds(term, value)),
        Term::Not(term) => !holds(term, value),
        Term::Compare(left, comparison, right) => compare(&of(left), *comparison, &of(right)),
        Term::Truth(operand) => of(operand) == Value::Bool(true),
    }
}

fn compare(left: &Value, comparison: Comparison, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (a, b) if a == b => Some(Ordering::Equal),
        _ => None,
    };
    match comparison {
        Comparison::Is => order == Some(Ordering::Equal),
        Comparison::IsNot => order != Some(Ordering::Equal),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::AtMost => order.is_some_and(Ordering::is_le),
        Comparison::More => order == Some(Ordering::Greater),
        Comparison::AtLeast => order.is_some_and(Ordering::is_ge),
    }
}

/// Splits into words, texts in single quotes, numbers and symbols.
fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' => 1,
            '=' | '!' | '<' | '>' => 1 + usize::from(rest[1..].starts_with('=')),
            '\'' => rest[1..].find('\'').map(|end| end + 2).ok_or("has a quote without its pair")?,
            c if c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.') => {
                rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.'))).unwrap_or(rest.len())
            }
            other => return Err(format!("has an unknown `{other}`")),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

struct Reader<'a> {
    tokens: &'a [String],
    depth: usize,
}

impl Reader<'_> {
    fn next_is(&mut self, word: &str) -> bool {
        let is = self.tokens.first().is_some_and(|token| token == word);
        self.tokens = &self.tokens[usize::from(is)..];
        is
    }

    fn or(&mut self) -> Result<Term, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("is nested more than {DEPTH_MAX} deep"));
        }
        let mut terms = vec![self.and()?];
        while self.next_is("or") {
            terms.push(self.and()?);
        }
        self.depth -= 1;
        Ok(if terms.len() > 1 { Term::Or(terms) } else { terms.remove(0) })
    }

    fn and(&mut self) -> Result<Term, String> {
        let mut terms = vec![self.not()?];
        while self.next_is("and") {
            terms.push(self.not()?);
        }
        Ok(if terms.len() > 1 { Term::And(terms) } else { terms.remove(0) })
    }

    fn not(&mut self) -> Result<Term, String> {
        if self.next_is("not") {
            return Ok(Term::Not(Box::new(self.factor()?)));
        }
        self.factor()
    }

    fn factor(&mut self) -> Result<Term, String> {
        if self.next_is("(") {
            let term = self.or()?;
            return if self.next_is(")") { Ok(term) } else { Err("has a ( without its )".to_owned()) };
        }
        let left = self.operand()?;
        let comparison = match self.tokens.first().map(String::as_str) {
            Some("==") => Comparison::Is,
            Some("!=") => Comparison::IsNot,
            Some("<") => Comparison::Less,
            Some("<=") => Comparison::AtMost,
            Some(">") => Comparison::More,
            Some(">=") => Comparison::AtLeast,
            Some("=") => return Err("compares with `=`; write `==`".to_owned()),
            _ => return Ok(Term::Truth(left)),
        };
        self.tokens = &self.tokens[1..];
        Ok(Term::Compare(left, comparison, self.operand()?))
    }

    fn operand(&mut self) -> Result<Operand, String> {
        let Some((token, rest)) = self.tokens.split_first() else {
            return Err("ends where a name or value should stand".to_owned());
        };
        self.tokens = rest;
        if let Some(text) = token.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
            return Ok(Operand::Value(Value::String(text.to_owned())));
        }
        // A word that JSON knows is a value: numbers, true, false, null.
        if let Ok(value) = serde_json::from_str(token) {
            return Ok(Operand::Value(value));
        }
        match Name::read(token) {
            Some(name @ (Name::Param(_) | Name::Value(_) | Name::Of(..))) => Ok(Operand::Name(name)),
            _ => Err(format!("asks for `{token}`, which is neither params.NAME, STEP.NAME nor a value")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(text: &str) -> bool {
        let value = |name: &Name| match name.to_string().as_str() {
            "audit.verdict" => json!("pass"),
            "params.ship" => json!(true),
            "values.rows" => json!(12),
            _ => Value::Null,
        };
        Condition::read(text, 0..0).expect(text).holds(&value)
    }

    #[test]
    fn conditions_compare_and_combine() {
        for yes in [
            "audit.verdict == 'pass'",
            "params.ship",
            "values.rows >= 12 and values.rows < 12.5",
            "not (audit.verdict == 'fail' or values.rows > 100)",
            "other.x == null",
            "values.rows != 'twelve'",
        ] {
            assert!(answer(yes), "{yes}");
        }
        for no in ["values.rows", "other.x < 1", "other.x >= 1", "not params.ship", "audit.verdict == 'fail'"] {
            assert!(!answer(no), "{no}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "ends where"),
            ("a = 1", "neither"),
            ("audit.verdict = 'pass'", "write `==`"),
            ("audit.verdict == 'pass", "quote"),
            ("(params.ship", "without its )"),
            ("params.ship params.ship", "should end"),
            ("params.ship & 1", "unknown `&`"),
        ] {
            let problem = Condition::read(text, 0..0).expect_err(text);
            assert!(problem.what.contains(why), "{text}: {}", problem.what);
        }
        assert!(Condition::read(&"(".repeat(1000), 0..0).is_err());
    }
}
