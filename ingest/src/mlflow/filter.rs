//! The filter syntax of `MLflow`'s searches: comparisons joined by AND, read into clauses that each search applies.

use super::error::Error;

/// The longest filter that is read.
const FILTER_BYTES_MAX: usize = 16 * 1024;

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `%` stands for any text, `_` for one character.
    Like,
    /// As [`Self::Like`], whatever the case.
    ILike,
    In,
    NotIn,
    IsNull,
    IsNotNull,
}

/// What is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Nothing,
    Text(String),
    Number(f64),
    Texts(Vec<String>),
}

/// One comparison: `metrics.accuracy > 0.9`, ``tags.`a b` = 'x'``, `status IN ('FAILED')`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clause {
    /// What stands before the first dot, in lower case; empty where there is none.
    pub(super) entity: String,
    /// What is compared.
    pub(super) key: String,
    pub(super) comparator: Comparator,
    pub(super) value: Value,
}

/// Whether every clause fits; each is looked at, so that one that names what is not there is refused.
pub(super) fn all_fit(clauses: &[Clause], fits: &dyn Fn(&Clause) -> Result<bool, Error>) -> Result<bool, Error> {
    clauses.iter().try_fold(true, |all, clause| Ok(fits(clause)? && all))
}

impl Clause {
    /// Whether a text, or its absence, fits.
    pub(super) fn fits_text(&self, text: Option<&str>) -> Result<bool, Error> {
        let Some(text) = text else { return Ok(self.comparator == Comparator::IsNull) };
        Ok(match (self.comparator, &self.value) {
            (Comparator::IsNull, _) => false,
            (Comparator::IsNotNull, _) => true,
            (Comparator::Equal, Value::Text(value)) => text == value,
            (Comparator::NotEqual, Value::Text(value)) => text != value,
            (Comparator::Like, Value::Text(pattern)) => is_like(text, pattern),
            (Comparator::ILike, Value::Text(pattern)) => is_like(&text.to_lowercase(), &pattern.to_lowercase()),
            (Comparator::In, Value::Texts(values)) => values.iter().any(|value| value == text),
            (Comparator::NotIn, Value::Texts(values)) => !values.iter().any(|value| value == text),
            _ => return Err(self.wrong("a text in quotes, compared by =, !=, LIKE, ILIKE, IN or NOT IN")),
        })
    }

    /// Whether a number, or its absence, fits; numbers are equal that are the same, as in `MLflow`.
    #[expect(clippy::float_cmp, reason = "a filter asks for the very value that was logged")]
    pub(super) fn fits_number(&self, number: Option<f64>) -> Result<bool, Error> {
        let Some(number) = number else { return Ok(self.comparator == Comparator::IsNull) };
        let value = match (self.comparator, &self.value) {
            (Comparator::IsNull, _) => return Ok(false),
            (Comparator::IsNotNull, _) => return Ok(true),
            (_, Value::Number(value)) => *value,
            _ => return Err(self.wrong("a number")),
        };
        Ok(match self.comparator {
            Comparator::Equal => number == value,
            Comparator::NotEqual => number != value,
            Comparator::Less => number < value,
            Comparator::LessOrEqual => number <= value,
            Comparator::Greater => number > value,
            Comparator::GreaterOrEqual => number >= value,
            _ => return Err(self.wrong("a number, compared by =, !=, <, <=, > or >=")),
        })
    }

    fn wrong(&self, expected: &str) -> Error {
        Error::invalid(format!("`{}` is compared with {expected}", self.key.escape_debug()))
    }

    /// It names what a search does not know.
    pub(super) fn unknown(&self, valid: &str) -> Error {
        let dot = if self.entity.is_empty() { "" } else { "." };
        let name = format!("{}{dot}{}", self.entity, self.key);
        Error::invalid(format!("Invalid attribute key '{}' in the filter. Valid are {valid}", name.escape_debug()))
    }
}

/// Whether a text is like a pattern of SQL; time grows with the product of their lengths at most.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '_' || *c == text[t] => {
                (t, p) = (t + 1, p + 1);
            }
            _ => match star {
                // The last `%` takes one character more.
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (t, p) = (taken + 1, at + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

/// Reads a filter; an empty one has no clauses.
pub(super) fn parse(text: &str) -> Result<Vec<Clause>, Error> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(Error::invalid(format!("the filter is longer than {FILTER_BYTES_MAX} bytes")));
    }
    let mut scan = Scan { text, rest: text.trim() };
    let mut clauses = Vec::new();
    while !scan.rest.is_empty() {
        if !clauses.is_empty() && !scan.word("AND") {
            return Err(scan.wrong("AND between comparisons"));
        }
        clauses.push(scan.clause()?);
    }
    Ok(clauses)
}

/// Reads a name such as `metrics.accuracy`, and what of the text is left behind it.
pub(super) fn name(text: &str) -> Result<((String, String), &str), Error> {
    let mut scan = Scan { text, rest: text.trim() };
    let name = scan.name()?;
    Ok((name, scan.rest))
}

/// A place in a filter.
struct Scan<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn wrong(&self, expected: &str) -> Error {
        let at = self.text.trim_end().len().saturating_sub(self.rest.len());
        let text: String = self.text.chars().take(200).collect();
        Error::invalid(format!("Invalid filter string '{}': at byte {at} {expected} is expected", text.escape_debug()))
    }

    fn skip(&mut self, n: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(n);
        self.rest = rest.trim_start();
        taken
    }

    /// Takes a word of the syntax, whatever its case.
    fn word(&mut self, word: &str) -> bool {
        let n = word.len();
        let is_there = self.rest.get(..n).is_some_and(|text| text.eq_ignore_ascii_case(word))
            && !self.rest[n..].starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        if is_there {
            self.skip(n);
        }
        is_there
    }

    fn sign(&mut self, sign: &str) -> bool {
        let is_there = self.rest.starts_with(sign);
        if is_there {
            self.skip(sign.len());
        }
        is_there
    }

    fn clause(&mut self) -> Result<Clause, Error> {
        let (entity, key) = self.name()?;
        let comparator = self.comparator()?;
        let value = match comparator {
            Comparator::IsNull | Comparator::IsNotNull => Value::Nothing,
            Comparator::In | Comparator::NotIn => self.list()?,
            _ => self.value()?,
        };
        Ok(Clause { entity, key, comparator, value })
    }

    /// `entity.key` or `key`; the key may be quoted, and holds further dots.
    fn name(&mut self) -> Result<(String, String), Error> {
        if let Some(key) = self.quoted(&['`', '"'])? {
            return Ok((String::new(), key));
        }
        let n = self.rest.find(|c: char| !(c.is_alphanumeric() || "_-./:".contains(c))).unwrap_or(self.rest.len());
        if n == 0 {
            return Err(self.wrong("a name"));
        }
        let (plain, quoted) = (&self.rest[..n], self.rest[n..].starts_with(['`', '"']));
        if let (Some(entity), true) = (plain.strip_suffix('.'), quoted) {
            let entity = entity.to_lowercase();
            self.rest = &self.rest[n..];
            let key = self.quoted(&['`', '"'])?.unwrap_or_default();
            return Ok((entity, key));
        }
        self.skip(n);
        match plain.split_once('.') {
            Some((entity, key)) if !key.is_empty() => Ok((entity.to_lowercase(), key.to_owned())),
            Some(_) => Err(self.wrong("a key behind the dot")),
            None => Ok((String::new(), plain.to_owned())),
        }
    }

    /// A text in one of some quotes.
    fn quoted(&mut self, quotes: &[char]) -> Result<Option<String>, Error> {
        let Some(quote) = self.rest.chars().next().filter(|c| quotes.contains(c)) else { return Ok(None) };
        let Some(n) = self.rest[1..].find(quote) else { return Err(self.wrong("an end of what is quoted")) };
        let text = self.rest[1..=n].to_owned();
        self.skip(n + 2);
        Ok(Some(text))
    }

    fn comparator(&mut self) -> Result<Comparator, Error> {
        use Comparator as C;
        let signs = [
            ("!=", C::NotEqual),
            (">=", C::GreaterOrEqual),
            ("<=", C::LessOrEqual),
            ("=", C::Equal),
            (">", C::Greater),
            ("<", C::Less),
        ];
        if let Some((_, comparator)) = signs.into_iter().find(|(sign, _)| self.sign(sign)) {
            return Ok(comparator);
        }
        let words: [(&[&str], C); 6] = [
            (&["LIKE"], C::Like),
            (&["ILIKE"], C::ILike),
            (&["IN"], C::In),
            (&["NOT", "IN"], C::NotIn),
            (&["IS", "NOT", "NULL"], C::IsNotNull),
            (&["IS", "NULL"], C::IsNull),
        ];
        let before = self.rest;
        for (words, comparator) in words {
            if words.iter().all(|word| self.word(word)) {
                return Ok(comparator);
            }
            self.rest = before;
        }
        Err(self.wrong("a comparison such as =, !=, >, LIKE or IN"))
    }

    fn value(&mut self) -> Result<Value, Error> {
        if let Some(text) = self.quoted(&['\'', '"'])? {
            return Ok(Value::Text(text));
        }
        let n = self.rest.find(|c: char| c.is_whitespace() || c == ')' || c == ',').unwrap_or(self.rest.len());
        match self.rest[..n].parse() {
            Ok(number) if n > 0 => {
                self.skip(n);
                Ok(Value::Number(number))
            }
            _ => Err(self.wrong("a number or a text in quotes")),
        }
    }

    fn list(&mut self) -> Result<Value, Error> {
        if !self.sign("(") {
            return Err(self.wrong("a list in parentheses"));
        }
        let mut texts = Vec::new();
        loop {
            let text = self.quoted(&['\'', '"'])?.ok_or_else(|| self.wrong("a text in quotes"))?;
            texts.push(text);
            if self.sign(")") {
                return Ok(Value::Texts(texts));
            }
            if !self.sign(",") {
                return Err(self.wrong("a comma or the end of the list"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Clause {
        let clauses = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(clauses.len(), 1, "{text}");
        clauses.into_iter().next().expect("one")
    }

    #[test]
    fn what_clients_send_is_read() {
        let clause = one("metrics.holdout_accuracy > 0.5");
        assert_eq!((clause.entity.as_str(), clause.key.as_str()), ("metrics", "holdout_accuracy"));
        assert_eq!((clause.comparator, clause.value), (Comparator::Greater, Value::Number(0.5)));
        let clause = one("tag.`mlflow.prompt.is_prompt` != 'true'");
        assert_eq!((clause.entity.as_str(), clause.key.as_str()), ("tag", "mlflow.prompt.is_prompt"));
        assert_eq!(one("name='iris-clf'").value, Value::Text("iris-clf".into()));
        assert_eq!(one("Attributes.run_id NOT IN ('a','b')").value, Value::Texts(vec!["a".into(), "b".into()]));
        assert_eq!(one("tags.mlflow.source.name is not null").key, "mlflow.source.name");
        assert_eq!(one("params.\"a b\" ilike \"%X\"").comparator, Comparator::ILike);
        let both = parse("metrics.a>=-1e3 and params.b = 'x AND y' AND status!='FAILED'").expect("a filter");
        assert_eq!(both.iter().map(|c| c.key.as_str()).collect::<Vec<_>>(), ["a", "b", "status"]);
        assert!(parse("  ").expect("a filter").is_empty());
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for bad in [
            "metrics.",
            "a",
            "a =",
            "a = b",
            "a = 'x",
            "a = 'x' OR b = 'y'",
            "a IN 'x'",
            "a IN ('x'",
            "a IN ()",
            "= 1",
            "a = 'x' AND",
            "tags.`x = 'y'",
            "é",
            "a == 1",
            "metrics.é > é",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&"a".repeat(FILTER_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn patterns_of_sql() {
        for (text, pattern, fits) in [
            ("forest", "f%t", true),
            ("forest", "%", true),
            ("", "%", true),
            ("forest", "f_rest", true),
            ("forest", "F%", false),
            ("forest", "%re", false),
            ("aab", "%ab", true),
            ("ab", "a_b", false),
        ] {
            assert_eq!(is_like(text, pattern), fits, "{text} {pattern}");
        }
    }

    #[test]
    fn absent_values_fit_only_is_null() {
        let fits = |text: &str, value: Option<&str>| one(text).fits_text(value).expect("a text");
        assert!(!fits("tags.a != 'x'", None) && fits("tags.a IS NULL", None) && !fits("tags.a IS NULL", Some("x")));
        assert!(one("tags.a > 'x'").fits_text(Some("y")).is_err());
        assert!(one("metrics.a = 'x'").fits_number(Some(1.0)).is_err());
        assert!(!one("metrics.a != 1").fits_number(None).expect("a number"));
        assert!(one("metrics.a != 1").fits_number(Some(f64::NAN)).expect("a number"));
    }
}
