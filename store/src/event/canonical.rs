//! Canonical JSON text (RFC 8785): sorted keys, shortest strings, one spelling per number.
//!
//! Two deviations keep what an emitter said: integers beyond 2^53 keep their digits, and numbers that
//! no double can hold keep their text. Both are documented in FORMAT.md.

use std::fmt::Write as _;

/// The deepest nesting of arrays and objects that an event may have.
pub const DEPTH_MAX: usize = 100;

/// Canonical JSON text of one value, kept as text so that hashing and storing it never re-parses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(Box<str>);

impl Json {
    /// Canonicalizes valid JSON text; refuses duplicate keys, lone surrogates and deep nesting.
    pub fn canonical(text: &str) -> Result<Self, String> {
        let mut out = String::with_capacity(text.len());
        let mut scan = Scan { text, at: 0, depth: 0 };
        scan.value(&mut out)?;
        scan.space();
        if scan.at != text.len() {
            return Err("trailing characters after the JSON value".to_owned());
        }
        Ok(Self(out.into()))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the empty object.
    pub fn is_empty(&self) -> bool {
        &*self.0 == "{}"
    }

    /// Builds canonical text from a serde value.
    pub fn from_value(value: &serde_json::Value) -> Result<Self, String> {
        Self::canonical(&value.to_string())
    }

    /// The members of an object in canonical order: decoded key and canonical text of the value.
    pub fn members(&self) -> Vec<(String, &str)> {
        let mut scan = Scan { text: &self.0, at: 0, depth: 0 };
        if scan.peek() != Some(b'{') {
            return Vec::new();
        }
        scan.at += 1;
        let mut members = Vec::new();
        let mut skipped = String::new();
        while scan.peek() == Some(b'"') {
            let Ok(key) = scan.string() else { break };
            scan.at += 1;
            let start = scan.at;
            skipped.clear();
            if scan.value(&mut skipped).is_err() {
                break;
            }
            members.push((key, &self.0[start..scan.at]));
            scan.at += 1;
        }
        members
    }
}

impl Default for Json {
    fn default() -> Self {
        Self("{}".into())
    }
}

/// Decodes the canonical text of a JSON string; `None` for any other value.
pub fn text_of(json: &str) -> Option<String> {
    json.starts_with('"').then(|| Scan { text: json, at: 0, depth: 0 }.string().ok()).flatten()
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Scan<'_> {
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
        let mut members: Vec<(String, String)> = Vec::new();
        let mut sorted = true;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            out.push_str("{}");
            return Ok(());
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(format!("expected a key at byte {}", self.at));
            }
            let key = self.string()?;
            self.expect(b':')?;
            let mut value = String::new();
            self.value(&mut value)?;
            sorted &= members.last().is_none_or(|(last, _)| utf16_less(last, &key));
            members.push((key, value));
            self.space();
            if self.peek() == Some(b',') {
                self.at += 1;
            } else {
                self.expect(b'}')?;
                break;
            }
        }
        if !sorted {
            members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            if let Some(pair) = members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(format!("the key `{}` appears twice", crate::digest::brief(&pair[0].0)));
            }
        }
        for (i, (key, value)) in members.iter().enumerate() {
            out.push(if i == 0 { '{' } else { ',' });
            write_string(key, out);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        Ok(())
    }

    /// Steps over a string that is its own canonical form; leaves the position alone otherwise.
    fn plain_string(&mut self) -> bool {
        let bytes = &self.text.as_bytes()[self.at + 1..];
        match bytes.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)) {
            Some(end) if bytes[end] == b'"' => {
                self.at += end + 2;
                true
            }
            _ => false,
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let start = self.at;
        if self.plain_string() {
            return Ok(self.text[start + 1..self.at - 1].to_owned());
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
        serde_json::from_str(&self.text[start..self.at]).map_err(|e| format!("bad string at byte {start}: {e}"))
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
        write_number(text, out)
    }
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

fn utf16_less(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() { a < b } else { a.encode_utf16().lt(b.encode_utf16()) }
}

/// Writes a JSON string with the fewest escapes, as RFC 8785 asks.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    if text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
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
        assert_eq!(members[1], ("z".to_owned(), r#"{"y":[1.5,"\t"]}"#));
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
