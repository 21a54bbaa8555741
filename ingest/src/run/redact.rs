//! Redaction: what looks like a secret never reaches an event.

use std::borrow::Cow;
use std::ffi::OsString;

/// What stands where a secret stood.
pub const REDACTED: &str = "<redacted>";

/// Parts of a name that mark its value as a secret.
const SECRET_PARTS: &[&str] = &[
    "auth",
    "authorization",
    "bearer",
    "cookie",
    "cred",
    "creds",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "pin",
    "pwd",
    "secret",
    "sig",
    "signature",
    "token",
];
/// Texts that mark a name wherever they stand in it, separators left out.
const SECRET_TEXTS: &[&str] =
    &["password", "passwd", "passphrase", "secret", "apikey", "accesskey", "privatekey", "credential"];
/// What stands before `key` in names whose values are none of the secret kind.
const PLAIN_KEYS: &[&str] = &[
    "cache",
    "dict",
    "foreign",
    "group",
    "index",
    "join",
    "merge",
    "order",
    "partition",
    "primary",
    "public",
    "row",
    "shard",
    "sort",
];
/// How well-known tokens begin, and how long they are at least.
pub(super) const TOKENS: &[(&str, usize)] = &[
    ("ghp_", 20),
    ("gho_", 20),
    ("ghs_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("hf_", 20),
    ("sk-", 20),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("AKIA", 20),
    ("ASIA", 20),
    ("eyJ", 40),
];

/// The arguments of a command with secrets replaced, and whether any was.
pub fn redact_arguments(arguments: &[OsString]) -> (Vec<String>, bool) {
    let mut redacted = Vec::with_capacity(arguments.len());
    let mut found = false;
    // The value of a secret flag may be the next argument.
    let mut expects = Expects::Nothing;
    for argument in arguments {
        let text = argument.to_string_lossy();
        let clean = match expects {
            Expects::Secret if !text.starts_with("--") => Cow::Borrowed(REDACTED),
            Expects::Login if text.contains(':') => Cow::Borrowed(REDACTED),
            _ => redact_text(&text),
        };
        expects = Expects::after(&text);
        found |= clean != text;
        redacted.push(clean.into_owned());
    }
    (redacted, found)
}

#[derive(Clone, Copy)]
enum Expects {
    Nothing,
    Secret,
    /// `user:password`.
    Login,
}

impl Expects {
    fn after(argument: &str) -> Self {
        match argument {
            "-u" | "--user" | "--proxy-user" => Self::Login,
            _ if argument.starts_with('-') && !argument.contains('=') && is_secret_name(argument) => Self::Secret,
            _ => Self::Nothing,
        }
    }
}

/// A text with secrets replaced: values of names such as `PASSWORD=`, logins in URLs, well-known tokens.
pub fn redact_text(text: &str) -> Cow<'_, str> {
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY") {
        return Cow::Borrowed(REDACTED);
    }
    // An argument such as `--password=a b` holds nothing but the value.
    if let Some((name, _)) =
        text.split_once('=').filter(|(name, value)| is_name(name) && is_secret_name(name) && !value.is_empty())
    {
        return Cow::Owned(format!("{name}={REDACTED}"));
    }
    // A header such as `Authorization: Bearer x`.
    if let Some((name, _)) = text.split_once(": ").filter(|(name, _)| is_name(name) && is_secret_name(name)) {
        return Cow::Owned(format!("{name}: {REDACTED}"));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut expects = Expects::Nothing;
    while !rest.is_empty() {
        let n_gap = rest.find(|c| !is_gap(c)).unwrap_or(rest.len());
        out.push_str(&rest[..n_gap]);
        rest = &rest[n_gap..];
        let word = &rest[..word_end(rest)];
        match expects {
            Expects::Secret if !word.starts_with("--") && !word.is_empty() => out.push_str(REDACTED),
            Expects::Login if word.contains(':') => out.push_str(REDACTED),
            _ => out.push_str(&redact_word(word)),
        }
        expects = Expects::after(word);
        rest = &rest[word.len()..];
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// What separates the words of a shell command.
fn is_gap(c: char) -> bool {
    c.is_whitespace() || matches!(c, ';' | '|' | '(' | ')' | '"' | '\'' | '`' | ',' | '{' | '}')
}

/// The end of a word; a quoted value after `=` belongs to it.
fn word_end(text: &str) -> usize {
    let end = text.find(is_gap).unwrap_or(text.len());
    let quote = text[end..].chars().next().filter(|c| matches!(c, '"' | '\''));
    match quote.filter(|_| text[..end].ends_with('=')) {
        Some(quote) => text[end + 1..].find(quote).map_or(text.len(), |close| end + close + 2),
        None => end,
    }
}

fn redact_word(word: &str) -> Cow<'_, str> {
    if TOKENS.iter().any(|(prefix, length)| word.starts_with(prefix) && word.len() >= *length) {
        return Cow::Borrowed(REDACTED);
    }
    if let Some(at) = word.find("://") {
        return redact_url(word, at + 3);
    }
    let Some((name, value)) = word.split_once('=') else { return Cow::Borrowed(word) };
    if value.is_empty() || !is_name(name) {
        return Cow::Borrowed(word);
    }
    if is_secret_name(name) {
        return Cow::Owned(format!("{name}={REDACTED}"));
    }
    match redact_text(value) {
        Cow::Borrowed(_) => Cow::Borrowed(word),
        Cow::Owned(clean) => Cow::Owned(format!("{name}={clean}")),
    }
}

/// A URL without login and without the values of secret query fields; `at` is where its host part begins.
fn redact_url(url: &str, at: usize) -> Cow<'_, str> {
    // `NAME=scheme://...` with a secret name.
    if let Some((name, _)) = url[..at].split_once('=').filter(|(name, _)| is_secret_name(name)) {
        return Cow::Owned(format!("{name}={REDACTED}"));
    }
    let host_end = url[at..].find(['/', '?', '#']).map_or(url.len(), |i| at + i);
    let (login, host) = match url[at..host_end].rsplit_once('@') {
        Some((login, host)) => (Some(login), host),
        None => (None, &url[at..host_end]),
    };
    let plain_user = url.starts_with("ssh:") || url.starts_with("git+ssh:");
    let mut out = url[..at].to_owned();
    match login {
        Some(user) if plain_user && !user.contains(':') => out.extend([user, "@"]),
        Some(_) => out.extend([REDACTED, "@"]),
        None => {}
    }
    out.push_str(host);
    let (path, query) = url[host_end..].split_once('?').map_or((&url[host_end..], None), |(p, q)| (p, Some(q)));
    out.push_str(path);
    for (i, field) in query.into_iter().flat_map(|q| q.split('&')).enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        match field.split_once('=').filter(|(name, _)| is_secret_name(name) || *name == "key") {
            Some((name, _)) => out.extend([name, "=", REDACTED]),
            None => out.push_str(field),
        }
    }
    if out == url { Cow::Borrowed(url) } else { Cow::Owned(out) }
}

/// Whether a text can be the name of a flag, variable or header.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '+' | '/'))
}

/// Whether the value of a name is a secret.
pub fn is_secret_name(name: &str) -> bool {
    let spaced = spaced(name);
    let parts: Vec<&str> = spaced.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    holds_secret_text(&spaced)
        || parts.iter().any(|part| SECRET_PARTS.contains(part))
        || parts
            .split_last()
            .is_some_and(|(last, before)| *last == "key" && before.last().is_none_or(|part| !PLAIN_KEYS.contains(part)))
}

/// Whether a name stands for a secret also where it is followed by a colon, as words of plain text are.
pub(super) fn is_strong_name(name: &str) -> bool {
    const LAST: [&str; 5] = ["token", "pwd", "authorization", "secret", "credentials"];
    let spaced = spaced(name);
    holds_secret_text(&spaced)
        || spaced.rsplit(|c: char| !c.is_alphanumeric()).next().is_some_and(|p| LAST.contains(&p))
}

fn holds_secret_text(spaced: &str) -> bool {
    let joined: String = spaced.chars().filter(|c| c.is_alphanumeric()).collect();
    SECRET_TEXTS.iter().any(|text| joined.contains(text))
}

/// A name in lower case, its words apart.
fn spaced(name: &str) -> String {
    let mut spaced = String::with_capacity(name.len() + 8);
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && after_lower {
            spaced.push('_');
        }
        after_lower = c.is_lowercase();
        spaced.extend(c.to_lowercase());
    }
    spaced
}

/// The address of a repository without login.
pub(super) fn strip_login(remote: &str) -> String {
    match remote.find("://") {
        Some(at) => {
            let host_end = remote[at + 3..].find('/').map_or(remote.len(), |i| at + 3 + i);
            let host = remote[at + 3..host_end].rsplit('@').next().unwrap_or_default();
            format!("{}{host}{}", &remote[..at + 3], &remote[host_end..])
        }
        None => remote.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced() {
        for (text, want) in [
            ("--password=hunter2", "--password=<redacted>"),
            ("--password=two words", "--password=<redacted>"),
            ("DB_PASSWORD=x", "DB_PASSWORD=<redacted>"),
            ("--dbPassword=x", "--dbPassword=<redacted>"),
            ("TOKEN=abc", "TOKEN=<redacted>"),
            ("ENCRYPTION_KEY=abc", "ENCRYPTION_KEY=<redacted>"),
            ("MY_API_KEY=abc", "MY_API_KEY=<redacted>"),
            ("export A=1; TOKEN='a b' python x.py", "export A=1; TOKEN=<redacted> python x.py"),
            ("curl -u ana:pw https://h/x", "curl -u <redacted> https://h/x"),
            ("mysql --password pw -h host", "mysql --password <redacted> -h host"),
            ("Authorization: Bearer abc", "Authorization: <redacted>"),
            ("postgres://ana:pw@db:5432/x", "postgres://<redacted>@db:5432/x"),
            ("--url=https://tok@github.com/a/b", "--url=https://<redacted>@github.com/a/b"),
            ("https://h/x?a=1&X-Amz-Signature=ff&b=2", "https://h/x?a=1&X-Amz-Signature=<redacted>&b=2"),
            ("ghp_0123456789abcdef0123456789", "<redacted>"),
        ] {
            assert_eq!(redact_text(text), want);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "--author=ana",
            "--tokenizer=bert",
            "--max-tokens=512",
            "lr=0.1",
            "ssh://git@host/x",
            "https://host/a?b=c",
            "train.py",
            "print('a', 1)",
            "--passes=3",
            "monkey=1",
            "--sort-key=id",
            "--compass",
            "=",
            "sh -c 'awk -F, \"{print $1}\" a.csv | sort'",
        ] {
            assert_eq!(redact_text(text), text);
        }
    }

    #[test]
    fn a_flag_marks_the_argument_after_it() {
        let arguments =
            ["x", "--api-key", "s3cr3t", "-u", "ana:pw", "--user", "ana", "--token", "--verbose"].map(OsString::from);
        let (clean, found) = redact_arguments(&arguments);
        assert!(found);
        assert_eq!(clean.join(" "), "x --api-key <redacted> -u <redacted> --user ana --token --verbose");
        assert!(!redact_arguments(&["python", "train.py"].map(OsString::from)).1);
    }

    #[test]
    fn remotes_lose_their_login() {
        assert_eq!(strip_login("https://ana:pw@github.com/a/b.git"), "https://github.com/a/b.git");
        assert_eq!(strip_login("git@github.com:a/b.git"), "git@github.com:a/b.git");
        assert_eq!(strip_login("/srv/repo"), "/srv/repo");
    }
}
