//! Expectations about the number of rows, the condition of a gate.

use std::fmt;
use std::str::FromStr;

/// How many rows an answer must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No row.
    None,
    /// At least one row.
    Some,
    /// Exactly so many rows.
    Exactly(u64),
    /// So many rows or fewer.
    AtMost(u64),
}

impl Expect {
    /// Whether an answer of so many rows meets the expectation.
    pub fn met(self, rows: u64) -> bool {
        match self {
            Self::None => rows == 0,
            Self::Some => rows > 0,
            Self::Exactly(want) => rows == want,
            Self::AtMost(most) => rows <= most,
        }
    }
}

impl FromStr for Expect {
    type Err = String;

    /// `none`, `some`, `N` or `<=N`.
    fn from_str(text: &str) -> Result<Self, String> {
        let count = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let number = if plain { digits.parse().ok() } else { None };
            number.ok_or_else(|| format!("`{}` is no expectation; write none, some, N or <=N", text.escape_debug()))
        };
        match text {
            "none" => Ok(Self::None),
            "some" => Ok(Self::Some),
            _ => match text.strip_prefix("<=") {
                Some(rest) => count(rest.trim_start()).map(Self::AtMost),
                None => count(text).map(Self::Exactly),
            },
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Some => f.write_str("some"),
            Self::Exactly(want) => write!(f, "{want}"),
            Self::AtMost(most) => write!(f, "<={most}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_parse_print_and_hold() {
        for (text, met, unmet) in [("none", 0, 1), ("some", 7, 0), ("3", 3, 2), ("<=3", 3, 4), ("<=0", 0, 1)] {
            let expect: Expect = text.parse().expect(text);
            assert_eq!(expect.to_string(), text);
            assert!(expect.met(met), "{text} {met}");
            assert!(!expect.met(unmet), "{text} {unmet}");
        }
        assert_eq!("<= 5".parse(), Ok(Expect::AtMost(5)));
        for text in ["", "+3", "-1", "<3", ">=3", "<=", "None", "3.0", "99999999999999999999"] {
            assert!(text.parse::<Expect>().is_err(), "{text}");
        }
    }
}
