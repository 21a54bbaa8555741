//! How fixtures of questions are written and read.

use std::fs;
use std::path::Path;

use lineage_store::time::Time;

use crate::histories::notation::{Sent, expand, instant};

/// One question with everything it depends on.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) text: String,
    pub(super) params: Vec<(String, String)>,
    pub(super) now: Time,
    pub(super) now_is_set: bool,
}

impl Question {
    pub(super) fn new(text: &str, now: Time) -> Self {
        Self { text: text.to_owned(), params: Vec::new(), now, now_is_set: false }
    }

    pub(super) fn with_text(&self, text: &str) -> Self {
        Self { text: text.to_owned(), ..self.clone() }
    }
}

/// A question and its expected answer.
pub(super) struct Block {
    pub(super) line: usize,
    pub(super) question: Question,
    pub(super) rows: Vec<String>,
    pub(super) notes: Vec<(String, String)>,
    pub(super) no_notes: bool,
    pub(super) error: Option<Vec<String>>,
}

impl Block {
    /// What is expected, as lines.
    pub(super) fn told(&self) -> Vec<String> {
        let mut lines = self.rows.clone();
        lines.extend(self.notes.iter().map(|(code, text)| format!("note {code} {text}")));
        lines.extend(self.error.iter().map(|parts| format!("error {}", parts.join(" … "))));
        lines
    }
}

/// One file.
pub(super) struct Fixture {
    pub(super) name: String,
    pub(super) sent: Vec<Sent>,
    pub(super) environments: Vec<String>,
    pub(super) blocks: Vec<Block>,
}

pub(super) fn read(path: &Path) -> Fixture {
    let text = fs::read_to_string(path).expect("a fixture");
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut fixture = Fixture { name, sent: Vec::new(), environments: Vec::new(), blocks: Vec::new() };
    let mut now = instant("23:00");
    for (at, line) in text.lines().enumerate().filter(|(_, l)| !l.starts_with("# ") && !l.trim().is_empty()) {
        if let Some(query) = line.strip_prefix("? ") {
            let question = Question::new(&expand(query), instant("23:30"));
            let (rows, notes) = (Vec::new(), Vec::new());
            fixture.blocks.push(Block { line: at + 1, question, rows, notes, no_notes: false, error: None });
        } else if let Some(block) = fixture.blocks.last_mut() {
            expect(block, line);
        } else if let Some(clock) = line.strip_prefix("@ ") {
            now = instant(clock.trim());
        } else if let Some(names) = line.strip_prefix("env ") {
            fixture.environments = names.split_whitespace().map(str::to_owned).collect();
        } else {
            fixture.sent.push(Sent { now, line: expand(line) });
        }
    }
    assert!(!fixture.blocks.is_empty(), "{} asks nothing", fixture.name);
    fixture
}

fn expect(block: &mut Block, line: &str) {
    let words = |text: &str| {
        let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
        (code.to_owned(), rest.to_owned())
    };
    if let Some(note) = line.strip_prefix("note ") {
        block.notes.push(words(note));
    } else if line == "no notes" {
        block.no_notes = true;
    } else if let Some(error) = line.strip_prefix("error ") {
        block.error = Some(error.split(" … ").map(str::to_owned).collect());
    } else if let Some(param) = line.strip_prefix(": ") {
        let (name, value) = param.split_once('=').expect("NAME=VALUE");
        block.question.params.push((name.to_owned(), value.to_owned()));
    } else if let Some(clock) = line.strip_prefix("now ") {
        (block.question.now, block.question.now_is_set) = (instant(clock), true);
    } else {
        block.rows.push(line.trim_end().to_owned());
    }
}

/// Events recorded after every question: new names, values, tags and environments, and retractions.
pub(super) fn later() -> Vec<Sent> {
    let lines = [
        r#"{"kind":"training","time":"23:10","run":"later","actor":"zoe","inputs":[{"name":"raw"},{"name":"later-in"}],"outputs":[{"kind":"model","name":"m","digest":"b3:@z"},{"kind":"model","name":"later","digest":"b3:@y"}],"params":{"accuracy":1,"later":2},"metrics":{"lr":3,"accuracy":0.1}}"#,
        r#"{"kind":"deployment","time":"23:10","actor":"zoe","environment":"later-env","about":[{"kind":"model","name":"later"}]}"#,
        r#"{"kind":"tag","time":"10:00","about":[{"kind":"model","name":"m"}],"args":{"tags":["later-tag","gold"]}}"#,
        r#"{"kind":"retract","time":"23:10","about":[{"event":"e1"},{"event":"e2"}]}"#,
    ];
    lines.iter().map(|line| Sent { now: instant("23:20"), line: expand(line) }).collect()
}
