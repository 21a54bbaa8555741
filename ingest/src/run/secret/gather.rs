//! Where secrets are found before a command starts: in telling names, in URLs, and in what redaction takes out of texts.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::{OTHER, SECRET_BYTES_MIN, pattern};
use crate::run::redact::{REDACTED, is_secret_name};

/// A login without a password is a token if it has so many bytes; else it names a person.
const LOGIN_TOKEN_BYTES_MIN: usize = 16;
/// Variables with telling names whose values are known to be none.
const NO_SECRETS: [&str; 5] = ["PWD", "OLDPWD", "SSH_AUTH_SOCK", "XDG_SESSION_COOKIE", "GPG_TTY"];
/// The ends of names whose values say where a secret lies, not what it is.
const PLACES: [&str; 7] = ["FILE", "PATH", "DIR", "SOCK", "HOME", "TTY", "NAME"];

/// Whether the value of a variable is taken for a secret by its name.
pub(super) fn is_secret_variable(name: &str) -> bool {
    let end = name.rsplit('_').next().unwrap_or(name).to_ascii_uppercase();
    !NO_SECRETS.contains(&name) && !PLACES.contains(&end.as_str()) && is_secret_name(name)
}

/// Whether a value says enough to be a secret: no truth value, no small number.
pub(super) fn is_telling(value: &[u8]) -> bool {
    const WORDS: [&str; 8] = ["true", "false", "none", "null", "auto", "default", "enabled", "disabled"];
    let text = String::from_utf8_lossy(value);
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    let is_small_number = value.len() < 6 && text.parse::<f64>().is_ok();
    value.len() >= SECRET_BYTES_MIN && !is_word && !is_small_number && text != REDACTED
}

pub(super) fn add_patterns(found: &mut BTreeMap<Vec<u8>, String>, text: &str, name: &str) {
    for (start, end) in pattern::find(text.as_bytes()) {
        add_value(found, &text.as_bytes()[start..end], name);
    }
}

/// What redaction took out of a text is a secret elsewhere, too.
pub(super) fn add_removed(found: &mut BTreeMap<Vec<u8>, String>, text: &str, clean: &str, name: &str) {
    let mut parts = clean.split(REDACTED);
    let mut at = parts.next().map_or(0, str::len);
    let mut rest: Vec<&str> = parts.collect();
    while !rest.is_empty() {
        let next = rest.remove(0);
        let Some(tail) = text.get(at..) else { return };
        let end = if next.is_empty() && rest.is_empty() { Some(tail.len()) } else { tail.find(next) };
        let Some(end) = end else { return };
        add_value(found, tail[..end].trim_matches(['"', '\'']).as_bytes(), name);
        at += end + next.len();
    }
}

/// A login `user:password` is two: the whole, and the password.
fn add_value(found: &mut BTreeMap<Vec<u8>, String>, value: &[u8], name: &str) {
    let mut add = |value: &[u8]| {
        if is_telling(value) && OsStr::from_bytes(value) != REDACTED {
            found.entry(value.to_owned()).or_insert_with(|| name.to_owned());
        }
    };
    match value.iter().position(|b| *b == b':') {
        Some(at) => {
            add(value);
            add(&value[at + 1..]);
            let decoded = percent_decoded(&value[at + 1..]);
            add(&decoded);
        }
        None if name == OTHER && value.len() < LOGIN_TOKEN_BYTES_MIN && !value.iter().any(u8::is_ascii_digit) => {}
        None => add(value),
    }
}

/// The bytes that a percent-encoded text stands for.
fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let pair = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        if let Some(decoded) = pair.and_then(lineage_store::digest::from_hex) {
            bytes.extend(decoded);
            at += 3;
        } else {
            bytes.push(*byte);
            at += 1;
        }
    }
    bytes
}
