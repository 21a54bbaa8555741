//! Secrets of a run: their values are found in every text before it is written for the first time.

mod forms;
mod gather;
mod mask;
mod pattern;
mod stream;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use lineage_store::digest::Blake3;
use serde_json::{Map, Value, json};

use super::redact::{REDACTED, redact_arguments, redact_text};
use forms::Forms;
use gather::{add_patterns, add_removed, is_secret_variable, is_telling};
pub(crate) use stream::Stream;

/// A shorter value would be found in half of all texts.
pub const SECRET_BYTES_MIN: usize = 4;
/// The name of secrets that stand in parameters and in addresses of repositories.
const OTHER: &str = "other";
/// Files are searched in pieces of so many bytes.
const SCAN_BYTES: u64 = 1024 * 1024;
/// Hex digits of a fingerprint: enough to see a rotation, too few to be worth an attack.
const FINGERPRINT_DIGITS: usize = 16;

/// Where something stands in a text that is a secret by its place or form, whoever wrote it.
pub(crate) fn places_in(text: &str) -> Vec<Range<usize>> {
    pattern::find(text.as_bytes()).into_iter().map(|(start, end)| start..end).collect()
}

/// A range of bytes that is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Masked {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The secrets of a run, and how often each was masked.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    names: Vec<String>,
    fingerprints: Vec<String>,
    forms: Forms,
    n_masked: AtomicU64,
}

/// Where secrets are looked for, and which are declared.
pub(crate) struct Sources<'a> {
    /// The whole environment of the command.
    pub(crate) environment: &'a [(OsString, OsString)],
    /// Names of variables whose values are secrets.
    pub(crate) declared: &'a [String],
    /// The command.
    pub(crate) argv: &'a [OsString],
    /// Other texts that may hold some, such as parameters and addresses of repositories.
    pub(crate) texts: &'a [String],
    /// The key of fingerprints.
    pub(crate) key: Option<&'a [u8; 32]>,
}

impl Secrets {
    /// Gathers secrets; the error names a declared one that is too short to be found.
    pub(crate) fn gather(sources: &Sources<'_>) -> Result<Self, String> {
        let mut found: BTreeMap<Vec<u8>, String> = BTreeMap::new();
        for (name, value) in sources.environment {
            let (name, value) = (name.to_string_lossy(), value.as_bytes().trim_ascii());
            let declared = sources.declared.iter().any(|declared| *declared == name);
            if declared && !value.is_empty() && value.len() < SECRET_BYTES_MIN {
                return Err(format!(
                    "the secret {name} has {} bytes; a value of fewer than {SECRET_BYTES_MIN} cannot be told from \
                     other text, so it cannot be masked",
                    value.len()
                ));
            }
            if (declared && !value.is_empty()) || (is_secret_variable(&name) && is_telling(value)) {
                found.insert(value.to_owned(), name.into_owned());
            } else {
                add_patterns(&mut found, &String::from_utf8_lossy(value), &name);
            }
        }
        let (clean, _) = redact_arguments(sources.argv);
        for (argument, clean) in sources.argv.iter().zip(&clean) {
            add_removed(&mut found, &argument.to_string_lossy(), clean, "argument");
        }
        for text in sources.texts {
            add_removed(&mut found, text, &redact_text(text), OTHER);
            add_patterns(&mut found, text, OTHER);
        }
        let mut secrets = Self::default();
        for (value, name) in found {
            secrets.add(&value, name, sources.key);
        }
        Ok(secrets)
    }

    fn add(&mut self, value: &[u8], name: String, key: Option<&[u8; 32]>) {
        self.forms.add(value, self.names.len());
        let print = key.map(|key| Blake3::keyed(key, value).hex()[..FINGERPRINT_DIGITS].to_owned());
        self.fingerprints.push(print.unwrap_or_default());
        self.names.push(name);
    }

    #[cfg(test)]
    pub(crate) fn of(values: &[(&str, &str)]) -> Self {
        let mut secrets = Self::default();
        for (name, value) in values {
            secrets.add(value.as_bytes(), (*name).to_owned(), None);
        }
        secrets
    }

    /// More bytes than any spelling has.
    fn longest(&self) -> usize {
        self.forms.longest
    }

    /// As many bytes as any spelling has that goes over the end of a line.
    fn longest_of_lines(&self) -> usize {
        self.forms.longest_of_lines
    }

    /// Where secrets stand in a text, in order, not overlapping.
    fn places(&self, text: &[u8]) -> Vec<Masked> {
        let known = self.forms.find(text).into_iter().map(|(start, end, _)| Masked { start, end });
        let mut places: Vec<Masked> = known.collect();
        places.extend(pattern::find(text).into_iter().map(|(start, end)| Masked { start, end }));
        places.retain(|place| &text[place.start..place.end] != REDACTED.as_bytes());
        places.sort_by_key(|place| (place.start, place.end));
        let mut merged: Vec<Masked> = Vec::with_capacity(places.len());
        for place in places {
            match merged.last_mut() {
                Some(last) if place.start < last.end => last.end = last.end.max(place.end),
                _ => merged.push(place),
            }
        }
        merged
    }

    /// A whole text without secrets, and how many there were.
    pub(crate) fn mask_bytes(&self, text: &[u8]) -> (Vec<u8>, u64) {
        let places = self.places(text);
        self.n_masked.fetch_add(places.len() as u64, Ordering::Relaxed);
        (replace(text, &places), places.len() as u64)
    }

    /// Whether the value of a known secret stands in a file, in any spelling. A file that cannot be read holds none.
    pub(crate) fn are_in(&self, path: &Path) -> bool {
        let Ok(mut file) = File::open(path) else { return false };
        let mut bytes = Vec::new();
        loop {
            // What was split over two reads is found in the second.
            bytes.drain(..bytes.len().saturating_sub(self.longest()));
            match (&mut file).take(SCAN_BYTES).read_to_end(&mut bytes) {
                Ok(0) | Err(_) => return false,
                Ok(_) if !self.forms.find(&bytes).is_empty() => return true,
                Ok(_) => {}
            }
        }
    }

    /// The name of a known secret whose value stands in a text, in any spelling.
    pub(crate) fn named_in(&self, text: &str) -> Option<&str> {
        let (.., at) = self.forms.find(text.as_bytes()).into_iter().next()?;
        self.names.get(at).map(String::as_str)
    }

    /// Whether there are any.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// A text without the values of known secrets.
    pub(crate) fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let found = self.forms.find(text.as_bytes());
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        self.n_masked.fetch_add(found.len() as u64, Ordering::Relaxed);
        let places: Vec<_> = found.into_iter().map(|(start, end, _)| Masked { start, end }).collect();
        Cow::Owned(String::from_utf8_lossy(&replace(text.as_bytes(), &places)).into_owned())
    }

    /// What is said of the secrets of a run: their names, fingerprints, and how often one was masked.
    pub(crate) fn describe(&self) -> Option<Value> {
        if self.is_empty() {
            return None;
        }
        let mut known = Map::new();
        for (name, print) in self.names.iter().zip(&self.fingerprints) {
            // One name may stand for several values, such as the logins of two URLs.
            let prints = known.entry(name.clone()).or_insert_with(|| json!([]));
            if let Some(list) = prints.as_array_mut().filter(|_| !print.is_empty()) {
                list.push(json!(print));
            }
        }
        Some(json!({ "masked": self.n_masked.load(Ordering::Relaxed), "fingerprints": known }))
    }

    /// Counts what was masked in a stream.
    pub(crate) fn count(&self, n: u64) {
        self.n_masked.fetch_add(n, Ordering::Relaxed);
    }
}

fn replace(text: &[u8], places: &[Masked]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(text.len());
    let mut at = 0;
    for place in places {
        clean.extend_from_slice(&text[at..place.start]);
        clean.extend_from_slice(REDACTED.as_bytes());
        at = place.end;
    }
    clean.extend_from_slice(&text[at..]);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(environment: &[(&str, &str)], declared: &[&str], argv: &[&str]) -> Result<Secrets, String> {
        let environment: Vec<_> = environment.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        let declared: Vec<_> = declared.iter().map(|n| (*n).to_owned()).collect();
        let argv: Vec<_> = argv.iter().map(OsString::from).collect();
        let key = [7; 32];
        Secrets::gather(&Sources {
            environment: &environment,
            declared: &declared,
            argv: &argv,
            texts: &[],
            key: Some(&key),
        })
    }

    #[test]
    fn secrets_are_known_by_declaration_name_and_place() {
        let environment = [
            ("DB_URL", "postgres://ana:p%40ss1@db/x"),
            ("API_TOKEN", "tok-123456"),
            ("PLAIN", "zebra-declared"),
            ("PWD", "/home/ana/work"),
            ("MAX_TOKEN", "4096"),
            ("TOKEN_FILE", "/etc/token"),
            ("HOME", "/home/ana"),
        ];
        let secrets =
            gather(&environment, &["PLAIN"], &["x", "--password", "hunter2", "--key=k3y-value"]).expect("good");
        for text in ["p%40ss1", "p@ss1", "tok-123456", "zebra-declared", "hunter2", "k3y-value", "ana:p%40ss1"] {
            assert_eq!(secrets.mask(&format!("a {text} b")), "a <redacted> b");
        }
        for text in ["/home/ana/work", "4096", "/etc/token", "/home/ana"] {
            assert_eq!(secrets.mask(text), text);
        }
        let error = gather(&[("PIN", "12")], &["PIN"], &[]).expect_err("too short");
        assert!(error.contains("PIN has 2 bytes"), "{error}");
    }

    #[test]
    fn a_fingerprint_shows_rotation_and_nothing_else() {
        let print = |value: &str| {
            let secrets = gather(&[("API_TOKEN", value)], &[], &[]).expect("good");
            secrets.describe().expect("described")["fingerprints"]["API_TOKEN"][0].as_str().expect("text").to_owned()
        };
        assert_eq!(print("tok-123456"), print("tok-123456"));
        assert_ne!(print("tok-123456"), print("tok-123457"));
        assert!(!Blake3::of(b"tok-123456").hex().starts_with(&print("tok-123456")), "a plain hash could be guessed");
    }
}
