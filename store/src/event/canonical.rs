//! Canonical JSON text (RFC 8785): sorted keys, shortest strings, one spelling per number.
//!
//! Two deviations keep what an emitter said: integers beyond 2^53 keep their digits, and numbers that
//! no double can hold keep their text. Both are documented in FORMAT.md.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The deepest nesting of arrays and objects that an event may have.
pub const DEPTH_MAX: usize = 100;

/// The empty object.
const EMPTY: &str = "{}";

/// Canonical JSON text of one value, kept as text so that hashing and storing it never re-parses it.
///
/// The empty object, which most sections of most events are, is kept as no text at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// Canonicalizes valid JSON text; refuses duplicate keys, lone surrogates and deep nesting.
    pub fn canonical(text: &str) -> Result<Self, String> {
        let mut out = String::with_capacity(text.len());
        let mut scan = Scan::new(text);
        scan.value(&mut out)?;
        if !scan.ends() {
            return Err("trailing characters after the JSON value".to_owned());
        }
        Ok(Self::of_canonical(out))
    }

    fn of_canonical(text: String) -> Self {
        if text == EMPTY { Self::default() } else { Self(text) }
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        if self.0.is_empty() { EMPTY } else { &self.0 }
    }

    /// Whether this is the empty object.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Builds canonical text from a serde value.
    pub fn from_value(value: &serde_json::Value) -> Result<Self, String> {
        Self::canonical(&value.to_string())
    }

    /// An object of members of a canonical one, in their order.
    pub(super) fn of_members<'m>(members: impl IntoIterator<Item = (&'m str, &'m str)>) -> Self {
        let mut text = String::new();
        for (key, value) in members {
            text.push(if text.is_empty() { '{' } else { ',' });
            write_string(key, &mut text);
            text.push(':');
            text.push_str(value);
        }
        if !text.is_empty() {
            text.push('}');
        }
        Self(text)
    }

    /// The members of an object in canonical order: decoded key and canonical text of the value.
    pub fn members(&self) -> Vec<(Cow<'_, str>, &str)> {
        let mut scan = Scan::new(&self.0);
        let mut members = Vec::new();
        if scan.peek() != Some(b'{') {
            return members;
        }
        scan.at += 1;
        while scan.peek() == Some(b'"') {
            let Ok(key) = scan.string() else { break };
            scan.at += 1;
            let start = scan.at;
            if !scan.skip() {
                break;
            }
            members.push((key, &self.0[start..scan.at]));
            scan.at += 1;
        }
        members
    }
}

/// Decodes the canonical text of a JSON string; `None` for any other value.
pub fn text_of(json: &str) -> Option<String> {
    json.starts_with('"').then(|| Scan::new(json).string().ok().map(Cow::into_owned)).flatten()
}

/// A place in JSON text.
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Whether the text has control characters, so that each string is looked at for them.
    controls: bool,
}

impl<'a> Scan<'a> {
    /// The beginning of a text.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, controls: has_controls(text) }
    }

    /// Whether nothing but space is left.
    pub(super) fn ends(&mut self) -> bool {
        self.space();
        self.at == self.text.len()
    }

    /// Steps over a byte, and space before it; `None` if it is another one.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    /// A string without escapes; `None` for anything else.
    #[inline]
    pub(super) fn plain(&mut self) -> Option<&'a str> {
        self.space();
        let start = self.at + 1;
        (self.peek() == Some(b'"') && self.plain_string()).then(|| &self.text[start..self.at - 1])
    }

    /// A whole number without sign or exponent, below 10^18; `None` for anything else.
    pub(super) fn digits(&mut self) -> Option<u64> {
        self.space();
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        let zero = length > 1 && rest[0] == b'0';
        if length == 0 || length > 18 || zero || matches!(rest.get(length), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        self.at += length;
        Some(rest[..length].iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
    }

    /// `true` or `false`; `None` for anything else.
    pub(super) fn boolean(&mut self) -> Option<bool> {
        self.space();
        let rest = &self.text[self.at..];
        let (value, length) = if rest.starts_with("true") { (true, 4) } else { (false, 5) };
        (value || rest.starts_with("false")).then(|| {
            self.at += length;
            value
        })
    }

    /// An object in canonical form; `None` for anything else, and for what cannot be canonical.
    pub(super) fn canonical_object(&mut self) -> Option<Json> {
        self.space();
        if self.peek() != Some(b'{') {
            return None;
        }
        let mut out = String::new();
        self.value(&mut out).ok()?;
        Some(Json::of_canonical(out))
    }

    /// Steps over a canonical value; whether there was one.
    fn skip(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        let mut depth = 0usize;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    if !self.plain_string() && self.string().is_err() {
                        return false;
                    }
                    if depth == 0 {
                        return true;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth <= 1 => {
                    // At depth 0 the bracket belongs to the object around, and ends a number or a word before it.
                    self.at += depth;
                    return true;
                }
                b'}' | b']' => depth -= 1,
                b',' if depth == 0 => return true,
                _ => {}
            }
            self.at += 1;
        }
        true
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        self.space();
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(format!("expected `{}` at byte {}", byte as char, self.at))
        }
    }

    fn value(&mut self, out: &mut String) -> Result<(), String> {
        self.space();
        match self.peek() {
            Some(b'{') => self.nested(out, Self::object),
            Some(b'[') => self.nested(out, Self::array),
            Some(b'"') => {
                let start = self.at;
                let simple = self.plain_string();
                if simple {
                    out.push_str(&self.text[start..self.at]);
                } else {
                    let decoded = self.string()?;
                    write_string(&decoded, out);
                }
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => self.number(out),
            _ => self.word(out),
        }
    }

    fn nested(
        &mut self,
        out: &mut String,
        body: fn(&mut Self, &mut String) -> Result<(), String>,
    ) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        self.at += 1;
        body(self, out)?;
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self, out: &mut String) -> Result<(), String> {
        out.push('[');
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            out.push(']');
            return Ok(());
        }
        loop {
            self.value(out)?;
            self.space();
            if self.peek() == Some(b',') {
                self.at += 1;
                out.push(',');
            } else {
                self.expect(b']')?;
                out.push(']');
                return Ok(());
            }
        }
    }

    fn object(&mut self, out: &mut String) -> Result<(), String> {
        let start = out.len();
        out.push('{');
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            out.push('}');
            return Ok(());
        }
        // Members are written as they come; only an object whose keys are not in order is put together again.
        let mut members: Vec<Member> = Vec::new();
        let mut sorted = true;
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(format!("expected a key at byte {}", self.at));
            }
            let begin = out.len();
            self.value(out)?;
            let key = begin + 1..out.len() - 1;
            self.expect(b':')?;
            out.push(':');
            self.value(out)?;
            sorted &= members.last().is_none_or(|last| plain_less(&out[last.key.clone()], &out[key.clone()]));
            members.push(Member { key, whole: begin..out.len() });
            self.space();
            if self.peek() == Some(b',') {
                self.at += 1;
                out.push(',');
            } else {
                self.expect(b'}')?;
                break;
            }
        }
        if !sorted {
            reorder(members, start, out)?;
        }
        out.push('}');
        Ok(())
    }

    /// Steps over a string that is its own canonical form; leaves the position alone otherwise.
    #[inline]
    fn plain_string(&mut self) -> bool {
        let start = self.at + 1;
        let bytes = &self.text.as_bytes()[start..];
        let end = find_special(bytes);
        if bytes.get(end) != Some(&b'"') || (self.controls && has_controls(&self.text[start..start + end])) {
            return false;
        }
        self.at = start + end + 1;
        true
    }

    fn string(&mut self) -> Result<Cow<'a, str>, String> {
        let start = self.at;
        if self.plain_string() {
            return Ok(Cow::Borrowed(&self.text[start + 1..self.at - 1]));
        }
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
                None => return Err("a string is not closed".to_owned()),
            }
        }
        self.at = end + 1;
        serde_json::from_str::<String>(&self.text[start..self.at])
            .map(Cow::Owned)
            .map_err(|e| format!("bad string at byte {start}: {e}"))
    }

    fn word(&mut self, out: &mut String) -> Result<(), String> {
        for word in ["null", "true", "false"] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                out.push_str(word);
                return Ok(());
            }
        }
        Err(format!("expected a JSON value at byte {}", self.at))
    }

    fn number(&mut self, out: &mut String) -> Result<(), String> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest
            .iter()
            .position(|b| !matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        let text = &self.text[self.at..self.at + length];
        self.at += length;
        if is_short_number(text.as_bytes()) {
            out.push_str(text);
            return Ok(());
        }
        if !is_number(text.as_bytes()) {
            return Err(format!("`{}` is no number", crate::digest::brief(text)));
        }
        write_number(text, out)
    }
}

/// The first quote or backslash of JSON text, or the length.
#[inline]
pub fn find_special(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Zero bytes get their high bit; of several only the lowest is certain.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = (zeros(word ^ (ONES * 0x22)) | zeros(word ^ (ONES * 0x5c))) & HIGH;
        if special != 0 {
            return i * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    words.len() * 8 + rest.iter().position(|b| matches!(b, b'"' | b'\\')).unwrap_or(rest.len())
}

/// Whether a text has control characters below U+0020, white space among them.
fn has_controls(text: &str) -> bool {
    // Without an early exit the compiler tests many bytes at once.
    text.bytes().fold(false, |any, b| any | (b < 0x20))
}

/// Whether a number is its own canonical form for certain: at most 15 digits, no exponent, no needless zero.
///
/// Decimals of at most 15 digits are different doubles, so the shortest text of one is itself.
pub(super) fn is_short_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || digits.len() > 16 {
        return false;
    }
    let whole = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
    if whole == digits.len() {
        return whole < 16 && (digits[0] != b'0' || text == b"0");
    }
    let fraction = &digits[whole + 1..];
    let zeros = fraction.iter().take_while(|b| **b == b'0').count();
    digits[whole] == b'.'
        && whole > 0
        && (digits[0] != b'0' || (whole == 1 && zeros < 6))
        && fraction.iter().all(u8::is_ascii_digit)
        && fraction.last().is_some_and(|last| *last != b'0')
}

/// Whether a text is a number by the grammar of JSON.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

/// Writes a number in its canonical spelling.
fn write_number(text: &str, out: &mut String) -> Result<(), String> {
    let integer = !text.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'));
    if integer && text.len() <= 16 {
        match text {
            "-0" => out.push('0'),
            _ => out.push_str(text),
        }
        return Ok(());
    }
    let value: f64 = text.parse().map_err(|_| format!("`{}` is no number", crate::digest::brief(text)))?;
    if !value.is_finite() || (integer && value.abs() > 9_007_199_254_740_992.0) {
        out.push_str(text);
    } else {
        write_double(value, out);
    }
    Ok(())
}

/// Writes a finite double as ECMAScript's `Number::toString` does, which RFC 8785 asks for.
pub fn write_double(value: f64, out: &mut String) {
    if value == 0.0 {
        out.push('0');
        return;
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let negative = mantissa.starts_with('-');
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if negative {
        out.push('-');
    }
    let n = exponent + 1;
    let k = digits.len() as i32;
    if k <= n && n <= 21 {
        out.push_str(&digits);
        out.extend(std::iter::repeat_n('0', (n - k) as usize));
    } else if 0 < n && n <= 21 {
        let _ = write!(out, "{}.{}", &digits[..n as usize], &digits[n as usize..]);
    } else if -6 < n && n <= 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-n) as usize));
        out.push_str(&digits);
    } else {
        out.push_str(&digits[..1]);
        if k > 1 {
            out.push('.');
            out.push_str(&digits[1..]);
        }
        let sign = if n > 0 { '+' } else { '-' };
        let _ = write!(out, "e{sign}{}", (n - 1).abs());
    }
}

/// Where a member of an object stands in the output.
struct Member {
    /// The key between its quotes, escapes as written.
    key: std::ops::Range<usize>,
    /// Key and value.
    whole: std::ops::Range<usize>,
}

/// Whether two keys are in order beyond doubt: plain ASCII without escapes, the first one less.
fn plain_less(a: &str, b: &str) -> bool {
    a < b && is_plain(a) && is_plain(b)
}

/// Whether a text is ASCII without escapes.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |all, b| all & b.is_ascii() & (b != b'\\'))
}

/// Puts the members that begin at `start` into the order of their keys as UTF-16; refuses equal keys.
fn reorder(mut members: Vec<Member>, start: usize, out: &mut String) -> Result<(), String> {
    // Plain ASCII without escapes sorts as its bytes do, and as it stands; anything else is decoded first.
    if members.iter().all(|member| is_plain(&out[member.key.clone()])) {
        members.sort_by(|a, b| out[a.key.clone()].cmp(&out[b.key.clone()]));
    } else {
        members.sort_by_cached_key(|member| decoded(&out[member.key.clone()]).encode_utf16().collect::<Vec<_>>());
    }
    let key = |member: &Member| decoded(&out[member.key.clone()]);
    if let Some((member, _)) = members.iter().zip(&members[1..]).find(|(a, b)| key(a) == key(b)) {
        return Err(format!("the key `{}` appears twice", crate::digest::brief(&key(member))));
    }
    let mut sorted = String::with_capacity(out.len() - start);
    for member in members {
        sorted.push(if sorted.is_empty() { '{' } else { ',' });
        sorted.push_str(&out[member.whole]);
    }
    out.truncate(start);
    out.push_str(&sorted);
    Ok(())
}

/// The text of a key that stands between quotes in canonical form.
fn decoded(key: &str) -> Cow<'_, str> {
    if is_plain(key) { Cow::Borrowed(key) } else { text_of(&format!("\"{key}\"")).unwrap_or_default().into() }
}

/// Writes a JSON string with the fewest escapes, as RFC 8785 asks.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    // Without an early exit the compiler tests many bytes at once.
    if text.bytes().fold(false, |any, b| any | (b < 0x20) | (b == b'"') | (b == b'\\')) {
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c < ' ' => {
                    let _ = write!(out, "\\u{:04x}", c as u32);
                }
                c => out.push(c),
            }
        }
    } else {
        out.push_str(text);
    }
    out.push('"');
}

/// Quotes the bare words `NaN`, `Infinity` and `-Infinity`, which Python writes and JSON does not know.
///
/// `None` when the text has none of them outside strings.
pub fn quote_non_finite(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let (mut at, mut copied, mut in_string) = (0, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            _ => {
                if let Some(word) =
                    ["NaN", "-Infinity", "Infinity"].iter().find(|w| bytes[at..].starts_with(w.as_bytes()))
                {
                    out.push_str(&text[copied..at]);
                    let _ = write!(out, "\"{word}\"");
                    at += word.len();
                    copied = at;
                    continue;
                }
            }
        }
        at += 1;
    }
    (copied > 0).then(|| out + &text[copied..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &str) {
        assert_eq!(Json::canonical(text).expect(text).as_str(), want);
    }

    #[test]
    fn values_have_one_spelling() {
        check(r#" { "b" : 1 , "a" : [ true , null , "x" ] } "#, r#"{"a":[true,null,"x"],"b":1}"#);
        check(r#""\u0041\/\n\u001f""#, "\"A/\\n\\u001f\"");
        check(
            "[1.0,-0,1e2,1E-7,0.000001,123456789012345680000,1e21,4.50]",
            "[1,0,100,1e-7,0.000001,123456789012345680000,1e+21,4.5]",
        );
        check("[9007199254740993,1e999]", "[9007199254740993,1e999]");
        check("{\"\u{20ac}\":1,\"\u{1f600}\":2,\"\u{fb33}\":3}", "{\"\u{20ac}\":1,\"\u{1f600}\":2,\"\u{fb33}\":3}");
    }

    #[test]
    fn bad_values_are_refused() {
        assert!(Json::canonical(r#"{"a":1,"a":2}"#).is_err());
        assert!(Json::canonical(r#"{"b":1,"a":1,"b":2}"#).is_err());
        assert!(Json::canonical(r#""\ud800""#).is_err());
        assert!(Json::canonical(&"[".repeat(100_000)).is_err());
        assert!(Json::canonical("[1] 2").is_err());
    }

    #[test]
    fn canonical_is_a_fixed_point() {
        let once = Json::canonical(r#"{"z":{"y":[1.50,"\t"]},"a":"ü"}"#).expect("valid");
        assert_eq!(Json::canonical(once.as_str()).expect("valid"), once);
        let members = once.members();
        assert_eq!(members.len(), 2);
        assert_eq!(members[1], ("z".into(), r#"{"y":[1.5,"\t"]}"#));
    }

    #[test]
    fn non_finite_words_are_quoted_outside_strings() {
        assert_eq!(
            quote_non_finite(r#"{"a":NaN,"b":-Infinity,"c":"NaN"}"#).as_deref(),
            Some(r#"{"a":"NaN","b":"-Infinity","c":"NaN"}"#)
        );
        assert_eq!(quote_non_finite(r#"{"c":"\"NaN"}"#), None);
    }
}
