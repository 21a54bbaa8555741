//! Secrets that are known by where they stand: logins and signatures in URLs, well-known tokens, values of telling names.

use crate::run::redact::{TOKENS, is_secret_name, is_strong_name};

/// A longer word before `=` is no name.
const NAME_BYTES_MAX: usize = 64;
/// A shorter value is taken for no secret.
const VALUE_BYTES_MIN: usize = 4;
/// Values that stand for none, and types where a name is declared.
const NO_VALUES: [&str; 16] = [
    "none",
    "null",
    "true",
    "false",
    "self",
    "string",
    "bytes",
    "optional",
    "undefined",
    "required",
    "<redacted>",
    "option",
    "secret",
    "token",
    "password",
    "enabled",
];

/// The places of secrets in a text, as ranges of bytes that may touch and overlap.
pub(super) fn find(text: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for at in 0..text.len() {
        match text[at] {
            b':' if text[at..].starts_with(b"://") => url(text, at + 3, &mut found),
            b'=' | b':' => found.extend(assigned(text, at)),
            b'-' if text[at..].starts_with(b"-----BEGIN ") => found.extend(private_key(text, at)),
            b if b.is_ascii_alphabetic() && (at == 0 || !is_word(text[at - 1])) => found.extend(token(text, at)),
            _ => {}
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn run(text: &[u8], from: usize, is_in: impl Fn(u8) -> bool) -> usize {
    text[from..].iter().position(|b| !is_in(*b)).map_or(text.len(), |n| from + n)
}

fn is_url(b: u8) -> bool {
    !b.is_ascii_whitespace() && !b.is_ascii_control() && !b"\"'<>`".contains(&b)
}

/// The login of a URL, and the values of secret fields of its query; `at` is where its host part begins.
fn url(text: &[u8], at: usize, found: &mut Vec<(usize, usize)>) {
    let end = run(text, at, is_url);
    let host_end = run(&text[..end], at, |b| !b"/?#".contains(&b));
    if let Some(sign) = text[at..host_end].iter().rposition(|b| *b == b'@') {
        let login = &text[at..at + sign];
        let plain_user = text[..at - 3].ends_with(b"ssh") && !login.contains(&b':');
        if !plain_user && login != crate::run::redact::REDACTED.as_bytes() {
            found.push((at, at + sign));
        }
    }
    let Some(query) = text[host_end..end].iter().position(|b| *b == b'?').map(|n| host_end + n + 1) else { return };
    let mut field = query;
    while field < end {
        let next = run(&text[..end], field, |b| !b"&;#".contains(&b));
        if let Some(sign) = text[field..next].iter().position(|b| *b == b'=') {
            let name = String::from_utf8_lossy(&text[field..field + sign]);
            let value = (field + sign + 1, next);
            if (is_secret_name(&name) || name == "key") && value.1 > value.0 {
                found.push(value);
            }
        }
        field = next + 1;
    }
}

/// A token that shows what it is by how it begins.
fn token(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let (_, length) = TOKENS.iter().find(|(prefix, _)| text[at..].starts_with(prefix.as_bytes()))?;
    let end = run(text, at, |b| is_word(b) || b"-.".contains(&b));
    (end - at >= *length).then_some((at, end))
}

/// The lines between the marks of a private key.
fn private_key(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let line_end = run(text, at, |b| b != b'\n');
    let head = &text[at..line_end];
    let is_private = head.windows(11).any(|w| w == b"PRIVATE KEY");
    let close = text[line_end..].windows(9).position(|w| w == b"-----END ").map_or(text.len(), |n| line_end + n);
    (is_private && close > line_end).then_some((line_end, close))
}

/// The value behind a secret name and `=`, `:` or `=>`; `at` is that sign.
fn assigned(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let is_colon = text[at] == b':';
    let next = text.get(at + 1).copied().unwrap_or(b'\n');
    let before = if at > 0 { text[at - 1] } else { b'\n' };
    if b"=!<>+-*/:".contains(&before) || b"=:".contains(&next) || (is_colon && next == b'/') {
        return None;
    }
    let name_end = text[..at].iter().rposition(|b| !b" \t\"'".contains(b))? + 1;
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let name_start = text[..name_end].iter().rposition(|b| !is_name(*b)).map_or(0, |n| n + 1);
    let name = std::str::from_utf8(&text[name_start..name_end]).ok()?;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || at - name_end > 4 {
        return None;
    }
    let secret = if is_colon { is_strong_name(name) } else { is_secret_name(name) };
    secret.then(|| value(text, at + 1 + usize::from(next == b'>'), name)).flatten()
}

fn value(text: &[u8], from: usize, name: &str) -> Option<(usize, usize)> {
    let mut start = run(text, from, |b| b == b' ' || b == b'\t');
    let quote = text.get(start).copied().filter(|b| b"\"'`".contains(b));
    if let Some(quote) = quote {
        let end = run(text, start + 1, |b| b != quote && b != b'\n');
        return (end - start > VALUE_BYTES_MIN && is_value(&text[start + 1..end], name)).then_some((start + 1, end));
    }
    // `Authorization: Bearer x`.
    for scheme in ["Bearer ", "Basic ", "Token ", "bearer ", "basic ", "token "] {
        if text[start..].starts_with(scheme.as_bytes()) {
            start += scheme.len();
        }
    }
    let is_in = |b: u8| !b.is_ascii_whitespace() && !b.is_ascii_control() && !b",;)}]\"'<>|&`".contains(&b);
    let end = run(text, start, is_in);
    let value = &text[start..end];
    // An expression, not a value: `os.environ["TOKEN"]`, `${TOKEN}`.
    let is_expression = value.iter().any(|b| b"([{$".contains(b)) || text.get(end) == Some(&b'<');
    (end - start >= VALUE_BYTES_MIN && !is_expression && is_value(value, name)).then_some((start, end))
}

fn is_value(value: &[u8], name: &str) -> bool {
    let Ok(text) = std::str::from_utf8(value) else { return true };
    let is_small_number = text.len() < 6 && text.parse::<f64>().is_ok();
    !is_small_number
        && !text.eq_ignore_ascii_case(name)
        && !NO_VALUES.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(text: &str) -> Vec<&str> {
        find(text.as_bytes()).into_iter().map(|(from, to)| &text[from..to]).collect()
    }

    #[test]
    fn secrets_are_found_by_where_they_stand() {
        for (text, want) in [
            ("at https://ana:pw12@db/x", "ana:pw12"),
            ("GET https://h/x?a=1&X-Amz-Signature=ff00&b=2 done", "ff00"),
            ("password = 'hunter2'", "hunter2"),
            ("DB_PASSWORD=hunter2", "hunter2"),
            ("{\"api_key\": \"abcd-1234\"}", "abcd-1234"),
            ("Authorization: Bearer abcdef", "abcdef"),
            ("+secret_key: s3cr3t", "s3cr3t"),
            ("see ghp_0123456789abcdef0123456789.", "ghp_0123456789abcdef0123456789."),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "\nMIIEow\n"),
        ] {
            assert_eq!(secrets(text), [want], "{text}");
        }
    }

    #[test]
    fn code_and_progress_stay_readable() {
        for text in [
            "password = os.environ[\"PW\"]",
            "token=token",
            "token = $TOKEN",
            "fn login(password: String, key: Option<u8>)",
            "if token == 'abcd':",
            "PASS: test_login",
            "tokens: 512/s",
            "max_tokens=4096",
            "token::Kind::Word",
            "https://host/a?b=c",
            "git clone ssh://git@host/x",
            "epoch=3 loss=0.25",
        ] {
            assert!(secrets(text).is_empty(), "{text}: {:?}", secrets(text));
        }
    }
}
