//! Secrets of a run: their values are found in every text before it is written for the first time.

mod forms;
mod pattern;
mod stream;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use lineage_store::digest::Blake3;
use lineage_store::event::{About, Event, Json, Ref};
use serde_json::{Map, Value, json};

use super::redact::{REDACTED, is_secret_name, redact_arguments, redact_text};
use forms::Forms;
pub(crate) use stream::Stream;

/// A shorter value would be found in half of all texts.
pub const SECRET_BYTES_MIN: usize = 4;
/// A login without a password is a token if it has so many bytes; else it names a person.
const LOGIN_TOKEN_BYTES_MIN: usize = 16;
/// The name of secrets that stand in parameters and in addresses of repositories.
const OTHER: &str = "other";
/// Files are searched in pieces of so many bytes.
const SCAN_BYTES: u64 = 1024 * 1024;
/// Hex digits of a fingerprint: enough to see a rotation, too few to be worth an attack.
const FINGERPRINT_DIGITS: usize = 16;
/// Variables with telling names whose values are known to be none.
const NO_SECRETS: [&str; 5] = ["PWD", "OLDPWD", "SSH_AUTH_SOCK", "XDG_SESSION_COOKIE", "GPG_TTY"];
/// The ends of names whose values say where a secret lies, not what it is.
const PLACES: [&str; 7] = ["FILE", "PATH", "DIR", "SOCK", "HOME", "TTY", "NAME"];

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

    fn mask_in(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.mask(text) {
            *text = clean;
        }
    }

    fn mask_reference(&self, reference: &mut Ref) {
        let Ref { namespace, name, version, label, .. } = reference;
        for text in [namespace, name, version, label].into_iter().flatten() {
            self.mask_in(text);
        }
    }

    fn mask_json(&self, json: &mut Json) {
        if !self.knows(json.as_str()) {
            return;
        }
        if let Ok(mut value) = serde_json::from_str(json.as_str()) {
            self.mask_value(&mut value);
            // A value that was JSON stays JSON.
            *json = Json::from_value(&value).unwrap_or_default();
        }
    }

    /// Measurements stay numbers: one that is a secret is left out.
    fn mask_metrics(&self, json: &mut Json) {
        if !self.knows(json.as_str()) {
            return;
        }
        let Ok(Value::Object(metrics)) = serde_json::from_str(json.as_str()) else { return };
        let kept = metrics.into_iter().filter(|(_, value)| !self.is_secret(value));
        let masked: Map<String, Value> = kept.map(|(key, value)| (self.mask(&key).into_owned(), value)).collect();
        *json = Json::from_value(&Value::Object(masked)).unwrap_or_default();
    }

    fn knows(&self, text: &str) -> bool {
        !self.forms.find(text.as_bytes()).is_empty()
    }

    /// Whether a number is a secret as a whole; the digits of a short one stand in many numbers.
    fn is_secret(&self, value: &Value) -> bool {
        let text = value.to_string();
        value.is_number() && self.mask(&text) == REDACTED
    }

    fn mask_value(&self, value: &mut Value) {
        match value {
            // The digits of a short secret stand in many digests, which say nothing about it.
            Value::String(text) if is_digest(text) => {}
            Value::String(text) => self.mask_in(text),
            Value::Array(list) => list.iter_mut().for_each(|value| self.mask_value(value)),
            Value::Object(object) => {
                let entries = std::mem::take(object);
                object.extend(entries.into_iter().map(|(key, mut value)| {
                    self.mask_value(&mut value);
                    (self.mask(&key).into_owned(), value)
                }));
            }
            Value::Number(_) if self.is_secret(value) => *value = json!(REDACTED),
            _ => {}
        }
    }

    /// Masks every text of an event; nothing that the command or its surroundings say is written around this.
    pub(crate) fn mask_event(&self, event: &mut Event) {
        if self.is_empty() {
            return;
        }
        let one = [&mut event.actor, &mut event.namespace];
        let options = [&mut event.job, &mut event.environment, &mut event.service];
        one.into_iter().chain(options.into_iter().flatten()).chain(&mut event.tags).for_each(|t| self.mask_in(t));
        event.inputs.iter_mut().for_each(|input| self.mask_reference(&mut input.reference));
        event.outputs.iter_mut().for_each(|output| self.mask_reference(&mut output.reference));
        for about in &mut event.about {
            if let About::Thing(reference) = about {
                self.mask_reference(reference);
            }
        }
        for json in [&mut event.params, &mut event.code, &mut event.software, &mut event.facets] {
            self.mask_json(json);
        }
        self.mask_metrics(&mut event.metrics);
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

/// Whether a text is a blake3 digest as we write it.
fn is_digest(text: &str) -> bool {
    text.strip_prefix("b3:").is_some_and(|hex| Blake3::from_hex(hex).is_some())
}

/// Whether the value of a variable is taken for a secret by its name.
fn is_secret_variable(name: &str) -> bool {
    let end = name.rsplit('_').next().unwrap_or(name).to_ascii_uppercase();
    !NO_SECRETS.contains(&name) && !PLACES.contains(&end.as_str()) && is_secret_name(name)
}

/// Whether a value says enough to be a secret: no truth value, no small number.
fn is_telling(value: &[u8]) -> bool {
    const WORDS: [&str; 8] = ["true", "false", "none", "null", "auto", "default", "enabled", "disabled"];
    let text = String::from_utf8_lossy(value);
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    let is_small_number = value.len() < 6 && text.parse::<f64>().is_ok();
    value.len() >= SECRET_BYTES_MIN && !is_word && !is_small_number && text != REDACTED
}

fn add_patterns(found: &mut BTreeMap<Vec<u8>, String>, text: &str, name: &str) {
    for (start, end) in pattern::find(text.as_bytes()) {
        add_value(found, &text.as_bytes()[start..end], name);
    }
}

/// What redaction took out of a text is a secret elsewhere, too.
fn add_removed(found: &mut BTreeMap<Vec<u8>, String>, text: &str, clean: &str, name: &str) {
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

    #[test]
    fn digits_of_a_short_secret_spoil_no_numbers() {
        let secrets = Secrets::of(&[("PIN", "1234")]);
        let mut event = Event::new(lineage_store::event::Kind::Training, "ana".to_owned());
        event.run = Some("r-1".to_owned());
        event.metrics = Json::from_value(&json!({"loss": 0.1234, "pin": 1234})).expect("JSON");
        let digest = format!("b3:{}", "1234".repeat(16));
        event.facets = Json::from_value(&json!({"size": 51234, "digest": digest, "pin": 1234})).expect("JSON");
        secrets.mask_event(&mut event);
        assert_eq!(event.metrics.as_str(), r#"{"loss":0.1234}"#);
        let want = json!({"size": 51234, "digest": digest, "pin": REDACTED});
        assert_eq!(serde_json::from_str::<Value>(event.facets.as_str()).expect("JSON"), want);
        event.check().expect("it can still be recorded");
    }

    #[test]
    fn no_text_of_an_event_keeps_a_secret() {
        let secrets = Secrets::of(&[("A", "hunter2"), ("B", "987654321")]);
        let mut event = Event::new(lineage_store::event::Kind::Transform, "hunter2".to_owned());
        event.job = Some("job-hunter2".to_owned());
        event.run = Some("r-1".to_owned());
        event.tags = vec!["aHVudGVyMg".to_owned()];
        event.params = Json::from_value(&json!({"hunter2": ["x hunter2", {"n": 987_654_321}]})).expect("JSON");
        event.facets = Json::from_value(&json!({"a": "hunter2"})).expect("JSON");
        secrets.mask_event(&mut event);
        let text = format!("{event:?}");
        assert!(!text.contains("hunter2") && !text.contains("aHVudGVy") && !text.contains("987654321"), "{text}");
        event.check().expect("it can still be recorded");
        assert_eq!(secrets.describe().expect("described")["masked"].as_u64().map(|n| n >= 6), Some(true));
    }
}
