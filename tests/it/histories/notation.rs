//! How histories are written: shorthands for digests and instants, comments, events, expected facts.

use std::fs;
use std::path::Path;

use lineage_store::digest::Blake3;
use lineage_store::time::Time;

const DAY: &str = "2026-11-20T";
const ALGORITHMS: [(&str, usize); 4] = [("b3", 64), ("sha256", 64), ("sha1", 40), ("md5", 32)];

/// One event of a history: the instant at which it is recorded, and its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) now: Time,
    pub(crate) line: String,
}

/// What one history says: events, and the facts expected at one or several points of view.
pub(crate) struct History {
    pub(crate) name: String,
    pub(crate) sent: Vec<Sent>,
    pub(crate) expected: Vec<(String, Vec<String>)>,
}

pub(crate) fn instant(text: &str) -> Time {
    let whole = match text.len() {
        5 => format!("{DAY}{text}:00Z"),
        8 => format!("{DAY}{text}Z"),
        _ => text.to_owned(),
    };
    whole.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// `10:30` for a whole minute of the day of the histories, else the whole instant.
pub(crate) fn brief(time: Time) -> String {
    let text = time.to_string();
    let day = text.strip_prefix(DAY).and_then(|t| t.strip_suffix('Z'));
    day.map_or(text.clone(), |t| t.strip_suffix(":00").unwrap_or(t).to_owned())
}

fn digest(algorithm: &str, letter: &str) -> String {
    let width = ALGORITHMS.iter().find(|(a, _)| *a == algorithm).map_or(64, |(_, w)| *w);
    format!("{algorithm}:{}", &Blake3::of(letter.as_bytes()).hex()[..width])
}

/// Writes out `b3:@a`, `"time":"10:30"` and `"v":1`.
pub(crate) fn expand(line: &str) -> String {
    let mut text = line.to_owned();
    for (algorithm, _) in ALGORITHMS {
        for letter in 'a'..='z' {
            let letter = letter.to_string();
            text = text.replace(&format!("{algorithm}:@{letter}"), &digest(algorithm, &letter));
        }
    }
    for field in ["time", "valid_until"] {
        let key = format!("\"{field}\":\"");
        let mut from = 0;
        while let Some(at) = text[from..].find(&key).map(|at| from + at + key.len()) {
            let end = at + text[at..].find('"').unwrap_or(0);
            if end - at == 5 || end - at == 8 {
                let whole = instant(&text[at..end]).to_string();
                text.replace_range(at..end, &whole);
            }
            from = at;
        }
    }
    match text.strip_prefix('{') {
        Some(rest) if !text.contains("\"v\":") => format!("{{\"v\":1,{rest}"),
        _ => text,
    }
}

/// Writes digests as their shorthand again.
pub(crate) fn shorten(text: &str) -> String {
    let mut text = text.to_owned();
    for (algorithm, _) in ALGORITHMS {
        for letter in 'a'..='z' {
            let letter = letter.to_string();
            text = text.replace(&digest(algorithm, &letter), &format!("{algorithm}:@{letter}"));
        }
    }
    text
}

pub(crate) fn read(path: &Path) -> History {
    let text = fs::read_to_string(path).expect("a history");
    let mut history = History {
        name: path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        sent: Vec::new(),
        expected: Vec::new(),
    };
    let mut now = instant("23:00");
    for line in text.lines().filter(|l| !l.starts_with('#') || l.starts_with("#0") || is_fact(l)) {
        if let Some(point) = line.strip_prefix("---") {
            history.expected.push((point.trim().to_owned(), Vec::new()));
        } else if let Some((_, facts)) = history.expected.last_mut() {
            facts.extend(Some(line.trim_end().to_owned()).filter(|l| !l.is_empty()));
        } else if let Some(clock) = line.strip_prefix("@ ") {
            now = instant(clock.trim());
        } else if !line.trim().is_empty() {
            history.sent.push(Sent { now, line: expand(line) });
        }
    }
    assert!(!history.expected.is_empty(), "{} expects nothing", history.name);
    history
}

/// Whether a line that begins with `#` is a fact of an event (`#4 uses`) and no comment (`# Because`).
fn is_fact(line: &str) -> bool {
    line.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
}
