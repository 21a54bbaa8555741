//! Asks a question and writes its answer as lines.

use std::fmt::Write as _;
use std::rc::Rc;

use lineage_query::output::{Format, TableStyle, write};
use lineage_query::syntax::ast::{Body, Members, Operand, Set};
use lineage_query::syntax::{self, Statement};
use lineage_query::{ReadEvent, Request, answer};
use lineage_store::digest::Blake3;
use lineage_store::graph::View;
use lineage_store::{Store, StoreError, read_leaf};
use serde_json::{Map, Value};

use super::fixture::Question;
use crate::histories::notation::{instant, shorten};

/// The columns that name a node or repeat what a fixture need not say.
const USUAL: [&str; 9] = ["kind", "namespace", "name", "version", "digest", "position", "occurred", "actor", "state"];

/// An answer as lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) rows: Vec<String>,
    pub(super) notes: Vec<String>,
    pub(super) error: Option<String>,
}

impl Asked {
    pub(super) fn told(&self) -> Vec<String> {
        let mut lines = self.rows.clone();
        lines.extend(self.notes.iter().map(|note| format!("note {note}")));
        lines.extend(self.error.iter().map(|error| format!("error {error}")));
        lines
    }
}

/// Asks what the index alone can answer.
pub(super) fn ask(view: &View, question: &Question, environments: &[String]) -> Asked {
    let unread = |position: u32| Err(StoreError::BeyondHead { position: position.into(), count: 0 });
    ask_whole(view, &(Rc::new(unread) as ReadEvent), question, environments)
}

/// Reads whole events of a store.
pub(super) fn whole_events(store: &Store) -> ReadEvent {
    let journal = store.journal().clone();
    Rc::new(move |position| {
        let record = journal.get(position.into())?;
        read_leaf(&record.leaf, record.received.is_some()).map(|(event, ..)| event)
    })
}

/// Draws an answer, or says which error it is.
pub(super) fn draw(view: &View, text: &str, format: Format) -> Result<String, String> {
    let unread = |position: u32| Err(StoreError::BeyondHead { position: position.into(), count: 0 });
    let request = Request {
        text,
        params: &[],
        now: instant("23:30"),
        now_is_set: false,
        environments: &[],
        zone: lineage_query::Zone::default(),
        head: None,
        limits: lineage_query::Limits::default(),
        graph: format.nodes_max(),
        events: Rc::new(unread),
        digest_of_file: &|_| Err("no file".to_owned()),
    };
    let answer = answer(view, &request).map_err(|error| error.diagnostics()[0].code.to_owned())?;
    let mut out = Vec::new();
    write(&answer, &format, &mut out, &TableStyle::default()).expect("a drawing");
    Ok(String::from_utf8(out).expect("text"))
}

/// Asks what may need whole events.
pub(super) fn ask_whole(view: &View, events: &ReadEvent, question: &Question, environments: &[String]) -> Asked {
    let request = Request {
        text: &question.text,
        params: &question.params,
        now: question.now,
        now_is_set: question.now_is_set,
        environments,
        graph: None,
        events: Rc::clone(events),
        zone: lineage_query::Zone::default(),
        head: None,
        limits: lineage_query::Limits::default(),
        digest_of_file: &|path| Ok(Blake3::of(path.trim_start_matches("./").as_bytes())),
    };
    match answer(view, &request) {
        Ok(answer) => {
            let mut out = Vec::new();
            write(&answer, &Format::Ndjson, &mut out, &TableStyle::default()).expect("rows");
            let text = String::from_utf8(out).expect("text");
            let schema = answer.batch.schema();
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let rows = text.lines().map(|line| row(&names, &serde_json::from_str(line).expect("a row"))).collect();
            let notes = answer.notes.iter().map(|note| format!("{} {}", note.code, note.text)).collect();
            Asked { rows, notes, error: None }
        }
        Err(error) => {
            let told = error.diagnostics().iter().map(|d| {
                let more = [
                    d.fixes.join(" · "),
                    d.help.join(" · "),
                    d.note.clone().unwrap_or_default(),
                    d.suggestions.join(" · "),
                ];
                format!("{} {:?}: {} | {}", d.code, error.class(), d.message, more.join(" | "))
            });
            let text = told.collect::<Vec<_>>().join("; ");
            let text = if text.is_empty() { format!("{:?}: {error}", error.class()) } else { text };
            Asked { rows: Vec::new(), notes: Vec::new(), error: Some(text) }
        }
    }
}

fn row(names: &[&str], columns: &Map<String, Value>) -> String {
    let text = |name: &str| columns.get(name).map(value).filter(|t| t != "null");
    let mut line = String::new();
    let (version, position) = (text("version"), text("position"));
    if let Some(version) = &version {
        let namespace = text("namespace").filter(|n| n != "default").map_or(String::new(), |n| n + "::");
        line =
            format!("{} {namespace}{}@{version}", text("kind").unwrap_or_default(), text("name").unwrap_or_default());
    } else if let Some(position) = &position {
        line = format!("#{position} {}", text("kind").unwrap_or_default());
    }
    let is_node = !line.is_empty();
    for name in names {
        let column = columns.get(*name).unwrap_or(&Value::Null);
        let usual = USUAL.contains(name) || *name == "outcome" && column.is_null();
        if !(is_node && usual) {
            let space = if line.is_empty() { "" } else { " " };
            let _ = write!(line, "{space}{}={}", name.replace(' ', "_"), value(column));
        }
    }
    shorten(&line)
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(self::value).collect::<Vec<_>>().join(";"),
        other => other.to_string(),
    }
}

/// The same statement spelled in other ways: in both dialects, with every set's members the other way round.
pub(super) fn other_spellings(text: &str) -> Vec<(&'static str, String)> {
    let statement = syntax::parse(text).expect("it was answered");
    let turned = turned(&statement);
    vec![
        ("English", syntax::print_english(&statement)),
        ("terse", syntax::print_terse(&statement)),
        ("turned English", syntax::print_english(&turned)),
        ("turned terse", syntax::print_terse(&turned)),
    ]
}

/// A statement with the members of every intersection and union the other way round.
fn turned(statement: &Statement) -> Statement {
    let mut statement = statement.clone();
    match &mut statement.body {
        Body::Set(set) => turn(set),
        Body::Aggregate(aggregate) => turn(&mut aggregate.set),
        _ => {}
    }
    statement
}

fn turn(set: &mut Set) {
    let operand = |operand: &mut Option<Operand>| operand.iter_mut().for_each(|o| turn(&mut o.set));
    match set {
        Set::And(Members(members)) | Set::Or(Members(members)) => {
            members.reverse();
            members.iter_mut().for_each(turn);
        }
        Set::Not(inner) => turn(inner),
        Set::At(at) => turn(&mut at.set),
        Set::Rel(rel) => {
            operand(&mut rel.operand);
            rel.avoiding.iter_mut().for_each(turn);
        }
        _ => {}
    }
}

/// A statement pinned to the head of a log of so many events; `None` if it is pinned already.
pub(super) fn known_at_end(text: &str, count: u32) -> Option<String> {
    let pinned = text.contains("known at");
    (!pinned && count > 0).then(|| format!("{text} known at log {}", count - 1))
}
