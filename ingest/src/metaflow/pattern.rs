//! Patterns of `filtered_tasks`: what clients send of regular expressions, searched for as they mean it.
//!
//! Clients send `^(?:…)$` around names, `:`, `,` and `.*`. Literals, `.`, the repeats `*`, `+` and `?`, escapes, both
//! anchors and one group around everything are known; anything else is refused by name.

use super::denied::Denied;

/// The longest pattern, in characters; the longest of a client names each loop around a task.
const CHARS_MAX: usize = 16 * 1024;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    atoms: Vec<Atom>,
    from_start: bool,
    to_end: bool,
}

/// A character and how often it may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Atom {
    /// The character; `None`: any but the end of a line.
    is: Option<char>,
    /// Whether it may be left out.
    is_optional: bool,
    /// Whether it may stand again.
    repeats: bool,
}

impl Pattern {
    /// Reads a pattern.
    pub fn read(text: &str) -> Result<Self, Denied> {
        if text.chars().count() > CHARS_MAX {
            return Err(Denied::Invalid(format!("the pattern is longer than {CHARS_MAX} characters")));
        }
        let (from_start, inner) = text.strip_prefix('^').map_or((false, text), |rest| (true, rest));
        let end = inner.strip_suffix('$').filter(|rest| !rest.ends_with('\\'));
        let (to_end, inner) = end.map_or((false, inner), |rest| (true, rest));
        let whole = inner.strip_prefix("(?:").and_then(|rest| rest.strip_suffix(')'));
        let inner = whole.filter(|_| !inner.ends_with("\\)")).unwrap_or(inner);
        let mut atoms: Vec<Atom> = Vec::new();
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            let is = match c {
                '*' | '+' | '?' => {
                    let last = atoms.last_mut().filter(|atom| !atom.is_optional && !atom.repeats);
                    let last = last.ok_or_else(|| unknown(c))?;
                    last.is_optional = c != '+';
                    last.repeats = c != '?';
                    continue;
                }
                '.' => None,
                '\\' => Some(chars.next().filter(|c| !c.is_alphanumeric()).ok_or_else(|| unknown(c))?),
                '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => return Err(unknown(c)),
                c => Some(c),
            };
            atoms.push(Atom { is, is_optional: false, repeats: false });
        }
        Ok(Self { atoms, from_start, to_end })
    }

    /// Whether it is found in a text.
    pub fn is_in(&self, text: &str) -> bool {
        // The atoms that may come next; the one after the last means that everything was found.
        let mut next = vec![false; self.atoms.len() + 1];
        self.reach(&mut next, 0);
        for c in text.chars() {
            if !self.to_end && next[self.atoms.len()] {
                return true;
            }
            let mut after = vec![false; self.atoms.len() + 1];
            for (at, atom) in self.atoms.iter().enumerate().filter(|(at, _)| next[*at]) {
                if atom.is.map_or(c != '\n', |is| is == c) {
                    self.reach(&mut after, at + 1);
                    if atom.repeats {
                        self.reach(&mut after, at);
                    }
                }
            }
            if !self.from_start {
                self.reach(&mut after, 0);
            }
            next = after;
        }
        next[self.atoms.len()]
    }

    /// Marks an atom, and those behind it as long as they may be left out.
    fn reach(&self, next: &mut [bool], mut at: usize) {
        next[at] = true;
        while self.atoms.get(at).is_some_and(|atom| atom.is_optional) {
            at += 1;
            next[at] = true;
        }
    }
}

fn unknown(c: char) -> Denied {
    let known = "literals, `.`, `*`, `+`, `?`, escapes of signs, `^`, `$` and one `(?:…)` around everything";
    Denied::Invalid(format!("`{}` at this place of a pattern is not served; known are {known}", c.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_searched_for() {
        for (pattern, text, found) in [
            ("^(?:work:0)$", "work:0", true),
            ("^(?:work:0)$", "work:01", false),
            ("^(?:A:10,B:13,.*)$", "A:10,B:13,C:21", true),
            ("^(?:A:10,B:13,.*)$", "A:10,B:14,C:21", false),
            ("^(?:A:1,.*)$", "A:10,B:1", false),
            (".*", "", true),
            ("b+c", "abbbc", true),
            ("b+c", "ac", false),
            ("a?b$", "xb", true),
            ("^b", "ab", false),
            ("a\\.b", "a.b", true),
            ("a\\.b", "axb", false),
            ("a\\$", "a$b", true),
            ("", "anything", true),
            ("a.c", "abc", true),
            ("aab", "aaab", true),
            ("^a*ab$", "aaab", true),
        ] {
            assert_eq!(Pattern::read(pattern).expect(pattern).is_in(text), found, "{pattern} in {text}");
        }
    }

    #[test]
    fn what_is_not_built_is_refused() {
        for pattern in ["a|b", "[ab]", "(a)(b)", "a{2}", "\\d", "*a", "a**", "\\", "(?:a)(?:b)"] {
            assert!(Pattern::read(pattern).is_err(), "{pattern}");
        }
    }
}
