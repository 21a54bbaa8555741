//! The spellings in which one value may appear: as it is, escaped, percent-encoded, in hex, in base64.

use std::collections::HashMap;
use std::fmt::Write as _;

use lineage_store::digest::to_hex;

/// A shorter piece of base64 would be found where it means nothing.
const BASE64_BYTES_MIN: usize = 6;
/// A shorter line of a value of several lines says too little to be sought by itself.
const LINE_BYTES_MIN: usize = 12;
/// The two alphabets of base64: the usual one, and that of URLs.
const ALPHABETS: [&[u8; 64]; 2] = [
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
];

/// Texts to be found, each where it is longest.
#[derive(Clone, Debug, Default)]
pub(super) struct Forms {
    /// By their first two bytes, longest first.
    by_head: HashMap<[u8; 2], Vec<Form>>,
    /// The heads as a set of bits, which is asked at every byte.
    heads: Vec<u64>,
    /// The bytes of the longest.
    pub(super) longest: usize,
    /// The bytes of the longest that goes over the end of a line.
    pub(super) longest_of_lines: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Form {
    text: Vec<u8>,
    /// Which value it spells.
    of: usize,
    /// Whether the characters beside it hold bits of the value, too.
    spills: bool,
}

impl Forms {
    /// Seeks a value in all its spellings.
    pub(super) fn add(&mut self, value: &[u8], of: usize) {
        for text in plain(value) {
            self.insert(Form { text, of, spills: false });
        }
        for text in base64(value) {
            self.insert(Form { text, of, spills: true });
        }
    }

    fn insert(&mut self, form: Form) {
        let Some(head) = form.text.first_chunk::<2>().copied() else { return };
        if self.heads.is_empty() {
            self.heads = vec![0; (1 << 16) / 64];
        }
        self.heads[bit(head) / 64] |= 1 << (bit(head) % 64);
        self.longest = self.longest.max(form.text.len() + 2);
        if form.text.iter().any(|b| matches!(b, b'\n' | b'\r')) {
            self.longest_of_lines = self.longest_of_lines.max(form.text.len());
        }
        let list = self.by_head.entry(head).or_default();
        if !list.iter().any(|other| other.text == form.text) {
            list.push(form);
            list.sort_by_key(|form| std::cmp::Reverse(form.text.len()));
        }
    }

    /// Every place where a value stands, with the value; places do not overlap.
    pub(super) fn find(&self, text: &[u8]) -> Vec<(usize, usize, usize)> {
        let mut found = Vec::new();
        if self.heads.is_empty() {
            return found;
        }
        let mut at = 0;
        while let Some(head) = text.get(at..).and_then(|rest| rest.first_chunk::<2>()) {
            let is_head = self.heads[bit(*head) / 64] & (1 << (bit(*head) % 64)) != 0;
            let form = is_head.then(|| self.at(text, at, *head)).flatten();
            at = match form {
                Some(form) => {
                    let (start, end) = reach(text, at, form);
                    found.push((start, end, form.of));
                    end
                }
                None => at + 1,
            };
        }
        found
    }

    fn at(&self, text: &[u8], at: usize, head: [u8; 2]) -> Option<&Form> {
        self.by_head.get(&head)?.iter().find(|form| text[at..].starts_with(&form.text))
    }
}

fn bit(head: [u8; 2]) -> usize {
    usize::from(u16::from_be_bytes(head))
}

/// The characters beside a piece of base64 share bits with it.
fn reach(text: &[u8], at: usize, form: &Form) -> (usize, usize) {
    let end = at + form.text.len();
    if !form.spills {
        return (at, end);
    }
    let is_digit = |i: usize| text.get(i).is_some_and(|b| b.is_ascii_alphanumeric() || b"+/-_".contains(b));
    (at - usize::from(at > 0 && is_digit(at - 1)), end + usize::from(is_digit(end)))
}

fn plain(value: &[u8]) -> Vec<Vec<u8>> {
    let trimmed = value.trim_ascii();
    let mut forms = vec![value.to_owned(), trimmed.to_owned()];
    let lines: Vec<&[u8]> = trimmed.split(|b| *b == b'\n').map(<[u8]>::trim_ascii_end).collect();
    if lines.len() > 1 {
        // A terminal writes a carriage return before each line feed.
        forms.push(lines.join(&b"\r\n"[..]));
        forms.extend(lines.iter().filter(|line| line.len() >= LINE_BYTES_MIN).map(|line| line.to_vec()));
    }
    forms.extend([to_hex(trimmed).into_bytes(), to_hex(trimmed).to_ascii_uppercase().into_bytes()]);
    if let Ok(text) = std::str::from_utf8(trimmed) {
        // Strings and their lists are always JSON.
        let json = serde_json::to_string(text).unwrap_or_default();
        let inner = json.trim_matches('"').to_owned();
        forms.extend([inner.replace('/', "\\/").into_bytes(), inner.into_bytes()]);
        forms.push(text.replace('\\', "\\\\").replace('\'', "\\'").into_bytes());
    }
    for (keep, space) in [("-_.~", "%20"), ("-_.~/", "%20"), ("-_.*", "+"), ("-_.!~*'()", "%20")] {
        for upper in [true, false] {
            forms.push(percent(trimmed, keep, space, upper));
        }
    }
    forms.retain(|form| form.len() > 1);
    forms.sort();
    forms.dedup();
    forms
}

fn percent(value: &[u8], keep: &str, space: &str, upper: bool) -> Vec<u8> {
    let mut text = String::with_capacity(value.len() * 3);
    for byte in value {
        // Writing to a string cannot fail.
        let _ = match byte {
            b' ' => write!(text, "{space}"),
            b if b.is_ascii_alphanumeric() || keep.as_bytes().contains(b) => write!(text, "{}", *b as char),
            b if upper => write!(text, "%{b:02X}"),
            b => write!(text, "%{b:02x}"),
        };
    }
    text.into_bytes()
}

/// What is certain to stand in the base64 of any text that holds a value: it depends on where in a group of three the
/// value begins.
fn base64(value: &[u8]) -> Vec<Vec<u8>> {
    let value = value.trim_ascii();
    let mut forms = Vec::new();
    for shift in 0..3 {
        let (first, end) = ((shift * 8usize).div_ceil(6), (shift + value.len()) * 8 / 6);
        if end < first + BASE64_BYTES_MIN {
            continue;
        }
        let bytes: Vec<u8> = std::iter::repeat_n(0, shift).chain(value.iter().copied()).collect();
        for alphabet in ALPHABETS {
            let digit = |i: usize| {
                let bits = (0..6).map(|b| i * 6 + b);
                let value = bits.fold(0, |n, bit| n << 1 | usize::from(bytes[bit / 8] >> (7 - bit % 8) & 1));
                alphabet[value]
            };
            forms.push((first..end).map(digit).collect());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &str, text: &str) -> bool {
        let mut forms = Forms::default();
        forms.add(value.as_bytes(), 0);
        !forms.find(text.as_bytes()).is_empty()
    }

    #[test]
    fn a_value_is_found_in_every_spelling() {
        // Made with `base64`, `xxd` and `python3 -c 'import urllib.parse as u; print(u.quote(…, safe=""))'`.
        for (value, text) in [
            ("hunter2", "say hunter2!"),
            ("hunter2", "aHVudGVyMg=="),
            ("hunter2", "YW5hOmh1bnRlcjI="),
            ("hunter2", "eDpodW50ZXIyOnk="),
            ("hunter2", "68756e74657232"),
            ("p@ss/w rd", "p%40ss%2Fw%20rd"),
            ("p@ss/w rd", "p%40ss%2fw+rd"),
            ("p@ss/w rd", "p%40ss/w%20rd"),
            ("say \"x\\y\"", r#"{"a":"say \"x\\y\""}"#),
            ("one-line-here\nanother-line", "one-line-here\r\nanother-line"),
            ("one-line-here\nanother-line", "only another-line"),
            ("trailing\n", "trailing"),
            ("?>~?>~", "Pz5-Pz5-"),
        ] {
            assert!(found(value, text), "{value:?} in {text:?}");
        }
        assert!(!found("hunter2", "hunter 2 HUNTER2"));
    }

    #[test]
    fn all_bits_in_base64_are_covered() {
        let mut forms = Forms::default();
        forms.add(b"hunter2", 3);
        assert_eq!(forms.find(b"x YW5hOmh1bnRlcjI= y"), [(7, 17, 3)]);
        assert_eq!(forms.find(b"hunter2hunter2"), [(0, 7, 3), (7, 14, 3)]);
    }
}
