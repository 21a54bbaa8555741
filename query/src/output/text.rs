//! Making hostile text harmless on a screen, measuring it and cutting it.

use std::borrow::Cow;
use std::fmt::{Arguments, Write as _};

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// As many marks as a letter may carry before the rest is escaped.
const MARKS: usize = 4;

/// Whether a character steers the terminal, turns the direction of text, or cannot be seen.
pub(crate) fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The text on one line, with everything [`hidden`] escaped as Rust writes it.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut marks, mut before) = (String::with_capacity(text.len()), 0, '\0');
    for c in text.chars() {
        marks = if c.width() == Some(0) { marks + 1 } else { 0 };
        // A joiner belongs between the letters of some scripts and between emoji, never after ASCII.
        let joiner = matches!(c, '\u{200c}' | '\u{200d}') && (before.is_ascii() || marks > 2);
        if hidden(c) || joiner || marks > MARKS {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        before = c;
    }
    Cow::Owned(shown)
}

/// The columns a text takes on a terminal, once it is [`visible`].
pub(crate) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// Cuts a text to a width, the last column being an ellipsis.
pub(super) fn shorten(text: &str, room: usize) -> Cow<'_, str> {
    if width(text) <= room {
        return Cow::Borrowed(text);
    }
    let (mut cut, mut used) = (String::new(), 0);
    for grapheme in text.graphemes(true) {
        let wide = width(grapheme);
        if used + wide + 1 > room {
            break;
        }
        used += wide;
        cut.push_str(grapheme);
    }
    cut.push('…');
    Cow::Owned(cut)
}

/// Appends a JSON string; beyond what JSON asks for, everything [`hidden`] is escaped.
pub(super) fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if hidden(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    put(out, format_args!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends formatted text.
pub(super) fn put(out: &mut String, text: Arguments<'_>) {
    // Writing to a string cannot fail.
    _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_show() {
        let check = |text: &str, want: &str| assert_eq!(visible(text), want);
        check("churn-raw é 表", "churn-raw é 表");
        check("a\u{1b}[31mred\n\t\0\u{9b}2J\u{7f}", r"a\u{1b}[31mred\n\t\u{0}\u{9b}2J\u{7f}");
        check("a\u{202e}b\u{200b}c\u{e0041}", r"a\u{202e}b\u{200b}c\u{e0041}");
        check("churn\u{200d}", r"churn\u{200d}");
        check("👩\u{200d}🔬 می\u{200c}خواهم", "👩\u{200d}🔬 می\u{200c}خواهم");
        check(&format!("e{}", "\u{301}".repeat(6)), &format!(r"e{}\u{{301}}\u{{301}}", "\u{301}".repeat(4)));
    }

    #[test]
    fn cuts_fit() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefg", 6), "abcde…");
        assert_eq!(shorten("表表表表", 6), "表表…");
        assert_eq!(shorten("ae\u{301}xyz", 3), "ae\u{301}…");
        assert_eq!(shorten("👩\u{200d}🔬👩\u{200d}🔬", 3), "👩\u{200d}🔬…");
        assert_eq!(shorten("abc", 0), "…");
    }

    #[test]
    fn json_strings_read_back() {
        let text = "\"\\\n\r\t\u{1}\u{7f}\u{9b}é\u{202e}\u{e0041}😀";
        let mut out = String::new();
        quote(&mut out, text);
        assert_eq!(out, r#""\"\\\n\r\t\u0001\u007f\u009bé\u202e\udb40\udc41😀""#);
        assert_eq!(serde_json::from_str::<String>(&out).expect("JSON"), text);
    }
}
