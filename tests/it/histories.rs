//! Golden histories: short logs with the facts that model.md §1 to §7 derives from them, written by hand.
//!
//! A file of `fixtures/histories` is a comment that quotes a rule, events in the native format, and the facts expected.
//! Events and facts use shorthands: `b3:@a` is a digest, `"10:30"` a time on 20 November 2026, `"v":1` is understood.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use lineage_store::digest::Blake3;
use lineage_store::event::{Event, Json, Prepared, Ref, prepare};
use lineage_store::graph::{Assertion, Fact, Subject, Use, VersionId, View};
use lineage_store::time::Time;
use lineage_store::{Appended, Store};
use proptest::prelude::*;

const DAY: &str = "2026-11-20T";
const SALT: [u8; 32] = [7; 32];
const ALGORITHMS: [(&str, usize); 4] = [("b3", 64), ("sha256", 64), ("sha1", 40), ("md5", 32)];

/// One event of a history: the instant at which it is recorded, and its bytes.
#[derive(Clone, Debug)]
struct Sent {
    now: Time,
    line: String,
}

/// What one history says: events, and the facts expected at one or several points of view.
struct History {
    name: String,
    sent: Vec<Sent>,
    expected: Vec<(String, Vec<String>)>,
}

/// What became of each event that was sent, where it was not simply recorded.
type Outcomes = Vec<String>;

/// How a history is played: what happens to the store between two events.
#[derive(Clone, Copy, Debug)]
enum Play {
    /// Nothing.
    Plain,
    /// One call appends all events that share an instant.
    Together,
    /// The index is sealed after every so many events.
    Seal(usize),
    /// The store is opened anew, and the index sealed before that after every so many events; 0 never.
    Reopen(usize),
    /// The store is closed and opened anew.
    Close,
}

fn instant(text: &str) -> Time {
    let whole = match text.len() {
        5 => format!("{DAY}{text}:00Z"),
        8 => format!("{DAY}{text}Z"),
        _ => text.to_owned(),
    };
    whole.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// `10:30` for a whole minute of the day of the histories, else the whole instant.
fn brief(time: Time) -> String {
    let text = time.to_string();
    let day = text.strip_prefix(DAY).and_then(|t| t.strip_suffix('Z'));
    day.map_or(text.clone(), |t| t.strip_suffix(":00").unwrap_or(t).to_owned())
}

fn digest(algorithm: &str, letter: &str) -> String {
    let width = ALGORITHMS.iter().find(|(a, _)| *a == algorithm).map_or(64, |(_, w)| *w);
    format!("{algorithm}:{}", &Blake3::of(letter.as_bytes()).hex()[..width])
}

/// Writes out `b3:@a`, `"time":"10:30"` and `"v":1`.
fn expand(line: &str) -> String {
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
fn shorten(text: &str) -> String {
    let mut text = text.to_owned();
    for (algorithm, _) in ALGORITHMS {
        for letter in 'a'..='z' {
            let letter = letter.to_string();
            text = text.replace(&digest(algorithm, &letter), &format!("{algorithm}:@{letter}"));
        }
    }
    text
}

fn read(path: &Path) -> History {
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

fn parse(sent: &Sent) -> Result<Vec<Prepared>, String> {
    let event = Event::parse(sent.line.as_bytes(), "ana").map_err(|r| r.to_string())?;
    prepare(event, sent.line.as_bytes(), &[], &SALT).map_err(|r| r.to_string())
}

/// The event comes back from its leaf as it was, and the leaf is canonical.
fn check_leaf(prepared: &Prepared, now: Time) {
    let mut leaf = prepared.leaf.clone();
    leaf.record(now);
    let (back, recorded) = Event::from_leaf(leaf.as_bytes()).expect("a leaf can be read");
    let now = now.floor_micros();
    assert_eq!(recorded, now);
    let mut event = prepared.event.clone();
    event.time = Some(event.time.unwrap_or(now));
    event.id = Some(prepared.id.clone());
    assert_eq!(back, event);
    let text = std::str::from_utf8(leaf.as_bytes()).expect("text");
    assert_eq!(Json::canonical(text).expect("JSON").as_str(), text, "the leaf is canonical");
}

fn outcome(number: usize, appended: Appended) -> Option<String> {
    match appended {
        Appended::Recorded(_) => None,
        Appended::Duplicate(at) => Some(format!("line {number} duplicate of #{at}")),
        Appended::Conflict(at) => Some(format!("line {number} conflict with #{at}")),
        Appended::Refused(refusal) => Some(format!("line {number} refused: {refusal}")),
    }
}

/// Sends the events and returns the store with what became of them.
fn play(folder: &Path, sent: &[Sent], play: Play) -> (Store, Outcomes) {
    let root = folder.join(".lineage");
    let mut store = Store::create(&root, "format = 1\n").expect("a store");
    let mut outcomes = Vec::new();
    let mut at = 0;
    while at < sent.len() {
        let n = match play {
            Play::Together => sent[at..].iter().take_while(|s| s.now == sent[at].now).count(),
            _ => 1,
        };
        outcomes.extend(send(&store, &sent[at..at + n], at + 1));
        at += n;
        store = between(store, &root, at, play);
    }
    (store, outcomes)
}

fn send(store: &Store, sent: &[Sent], first: usize) -> Outcomes {
    let (mut outcomes, mut numbers, mut batch) = (Vec::new(), Vec::new(), Vec::new());
    for (i, one) in sent.iter().enumerate() {
        match parse(one) {
            Ok(prepared) => {
                prepared.iter().for_each(|p| check_leaf(p, one.now));
                numbers.extend(prepared.iter().map(|_| first + i));
                batch.extend(prepared);
            }
            Err(refusal) => outcomes.push((first + i, format!("line {} refused: {refusal}", first + i))),
        }
    }
    if let Some(one) = sent.first() {
        let appended = store.append(batch, one.now).expect("appended");
        let told = numbers.into_iter().zip(appended);
        outcomes.extend(told.filter_map(|(n, appended)| outcome(n, appended).map(|o| (n, o))));
    }
    outcomes.sort();
    outcomes.into_iter().map(|(_, text)| text).collect()
}

fn between(store: Store, root: &Path, n: usize, play: Play) -> Store {
    let open = || Store::open(root).expect("opens");
    match play {
        Play::Plain | Play::Together => store,
        Play::Seal(every) => {
            if n.is_multiple_of(every) {
                store.seal_now().expect("sealed");
            }
            store
        }
        Play::Reopen(every) => {
            if every > 0 && n.is_multiple_of(every) {
                store.seal_now().expect("sealed");
            }
            drop(store);
            open()
        }
        Play::Close => {
            store.close(std::time::Duration::from_secs(5)).expect("closed");
            open()
        }
    }
}

/// The facts of a view, one a line.
struct Dump<'a> {
    view: &'a View,
    events: &'a [(Event, Time)],
    lines: Vec<String>,
}

impl Dump<'_> {
    fn line(&mut self, text: &str) {
        self.lines.push(shorten(text));
    }

    fn version(&self, version: VersionId) -> String {
        let entity = self.view.entity(version);
        format!("{}@v{}", self.entity(entity), self.view.number(version))
    }

    fn entity(&self, entity: u32) -> String {
        let namespace = match self.view.entity_namespace(entity) {
            "default" => String::new(),
            other => format!("{other}::"),
        };
        format!("{} {namespace}{}", self.view.entity_kind(entity), self.view.entity_name(entity))
    }

    fn versions(&mut self) {
        for version in 0..self.view.n_versions() {
            let mut line = self.version(version);
            if !self.view.has_version(version) {
                self.line(&format!("{line} hidden"));
                continue;
            }
            if self.view.is_external(version) {
                line.push_str(" external");
            }
            let mut digests = self.view.further_digests(version);
            let main = self.view.digest(version);
            digests.retain(|d| Some(d) != main.as_ref());
            digests.sort();
            digests.dedup();
            digests.splice(0..0, main);
            if !digests.is_empty() {
                let _ = write!(line, " digest={}", digests.join(","));
            }
            if let Some(label) = self.view.label(version) {
                let _ = write!(line, " label={label}");
            }
            let _ = write!(line, " minted=#{}", self.view.mint(version));
            let mut makers = Vec::new();
            self.view.makers(version, |event| makers.push(event));
            makers.sort_unstable();
            makers.dedup();
            if !makers.is_empty() && makers != [self.view.mint(version)] {
                let makers: Vec<_> = makers.iter().map(|m| format!("#{m}")).collect();
                let _ = write!(line, " by={}", makers.join(","));
            }
            for (name, value) in [("size", self.view.size(version)), ("rows", self.view.rows(version))] {
                if let Some(value) = value {
                    let _ = write!(line, " {name}={value}");
                }
            }
            self.line(&line);
        }
    }

    fn event(&mut self, at: u32) {
        let (event, said) = &self.events[at as usize];
        let (state, run, time, own_job) = (event.state, event.run.clone(), event.time, event.job.clone());
        if self.view.recorded(at) != *said {
            self.line(&format!("#{at} recorded {}", brief(self.view.recorded(at))));
        }
        if self.view.is_hidden(at) {
            return self.line(&format!("#{at} hidden"));
        }
        if !self.view.sees(at) {
            return;
        }
        assert_eq!((self.view.state(at), self.view.kind(at)), (state, event.kind), "#{at}");
        if time.is_some_and(|t| t != self.view.time(at)) {
            self.line(&format!("#{at} happened {}", brief(self.view.time(at))));
        }
        if let Some(run) = run {
            let job = self.view.text(self.view.job(at)).to_owned();
            let (number, leader) = (self.view.attempt(at), self.view.leader(at));
            let first = number == 1 && leader == at && job == own_job.unwrap_or_default();
            if !first {
                let job = if job.is_empty() { job } else { job + "/" };
                self.line(&format!("#{at} attempt {number} of run {job}{run} leader #{leader}"));
            }
        }
        self.edges(at);
    }

    fn edges(&mut self, at: u32) {
        for mention in self.view.mentions(at) {
            let version = self.version(mention.version);
            let inferred = if mention.inferred { " inferred" } else { "" };
            match mention.usage {
                Use::Input(role) => self.line(&format!("#{at} uses {version} ({role}){inferred}")),
                Use::About => self.line(&format!("#{at} about {version}")),
            }
        }
        for made in self.view.made(at) {
            let from = made.from.map_or(String::new(), |f| format!(" from {f:?}"));
            self.line(&format!("#{at} makes {}{from}", self.version(made.version)));
        }
        for entity in self.view.partial(at) {
            self.line(&format!("#{at} partial {}", self.entity(entity)));
        }
        if let Some(until) = self.view.valid_until(at) {
            self.line(&format!("#{at} valid until {}", brief(until)));
        }
    }

    fn facts(&mut self) {
        for fact in self.view.facts() {
            let line = self.fact(fact);
            self.line(&line);
        }
        for change in self.view.slot_changes() {
            let text = |symbol, none: &str| match self.view.text(symbol) {
                "" => none.to_owned(),
                text => text.to_owned(),
            };
            let environment = text(change.environment, "every environment");
            let service = text(change.service, "*");
            let how = if change.alongside { " alongside" } else { "" };
            self.line(&format!("#{} changes slot {environment}/{service}{how}", change.event));
        }
    }

    fn fact(&self, fact: Fact) -> String {
        let text = |symbol| self.view.text(symbol).to_owned();
        let subject = match fact.subject {
            Subject::Entity(entity) => format!("all of {}", self.entity(entity)),
            Subject::Version(version) => self.version(version),
            Subject::Event(at) => format!("event #{at}"),
        };
        let says = match fact.says {
            Assertion::Tag(s) => format!("tag {}", text(s)),
            Assertion::Untag(s) => format!("untag {}", text(s)),
            Assertion::Alias(s) => format!("alias {}", text(s)),
            Assertion::Unalias(s) => format!("unalias {}", text(s)),
            Assertion::Owner(s) => format!("owner {}", text(s)),
            Assertion::Purpose(s) => format!("purpose {}", text(s)),
            Assertion::Tier(s) => format!("tier {}", text(s)),
            Assertion::Link(other) => match fact.subject {
                Subject::Entity(_) => format!("link {} to", self.entity(other)),
                _ => format!("link {} to", self.version(other)),
            },
        };
        format!("#{} {says} {subject}", fact.event)
    }
}

/// `known at #2 as of 10:30`, `including retracted`; nothing: the head.
fn view_at(view: &View, point: &str) -> View {
    let words: Vec<&str> = point.split_whitespace().collect();
    let (mut count, mut until, mut at, mut restricted) = (view.count(), Time::MAX, 0, false);
    let mut view = view.clone();
    while at < words.len() {
        match words[at..] {
            ["known", "at", k, ..] => count = k.trim_start_matches('#').parse::<u32>().expect("a position") + 1,
            ["as", "of", t, ..] => until = instant(t),
            ["including", "retracted", ..] => return view.including_retracted(),
            _ => panic!("`{point}` is no point of view"),
        }
        restricted = true;
        at += 3;
    }
    if restricted {
        view = view.at(count, until);
    }
    view
}

/// Every use leads back from its version, so that both directions of an edge agree.
fn check_reverse(view: &View) {
    for version in (0..view.n_versions()).filter(|v| view.has_version(*v)) {
        let mut back = Vec::new();
        view.uses(version, |event, usage| back.push((event, format!("{usage:?}"))));
        let mut forth = Vec::new();
        for event in (0..view.count()).filter(|e| view.sees(*e)) {
            for mention in view.mentions(event).iter().filter(|m| m.version == version) {
                forth.push((event, format!("{:?}", mention.usage)));
            }
        }
        back.sort();
        forth.sort();
        assert_eq!(back, forth, "the uses of version {version} from both sides");
    }
}

fn dump(view: &View, events: &[(Event, Time)]) -> Vec<String> {
    check_reverse(view);
    let mut dump = Dump { view, events, lines: Vec::new() };
    dump.versions();
    for at in 0..view.count() {
        dump.event(at);
    }
    dump.facts();
    dump.lines
}

/// The recorded events as they come back from the store, with the instants at which they were sent.
fn recorded(store: &Store, sent: &[Sent]) -> Vec<(Event, Time)> {
    let reader = store.reader().expect("a reader");
    let count = store.head().expect("a head").count;
    let said: Vec<(String, Time)> =
        sent.iter().flat_map(|s| parse(s).into_iter().flatten().map(|p| (p.id, s.now))).collect();
    let event = |at| {
        let (event, id, recorded) = reader.event(at).expect("an event");
        let sent = said.iter().find(|(i, _)| *i == id).map_or(recorded, |(_, now)| *now);
        (event, sent)
    };
    (0..count).map(event).collect()
}

/// What a history comes to, at every point of view that it names.
fn results(store: &Store, outcomes: &Outcomes, history: &History) -> Vec<Vec<String>> {
    let events = recorded(store, &history.sent);
    let view = store.view().expect("a view");
    let points = history.expected.iter().enumerate();
    points
        .map(|(i, (point, _))| {
            let mut lines = if i == 0 { outcomes.clone() } else { Vec::new() };
            lines.extend(dump(&view_at(&view, point), &events));
            lines
        })
        .collect()
}

/// Whether a line is as expected; of a refusal a part of its text is expected.
fn agrees(got: &str, want: &str) -> bool {
    match (got.split_once("refused: "), want.split_once("refused: ")) {
        (Some((line, why)), Some((other, part))) => line == other && why.contains(part),
        _ => got == want,
    }
}

fn check(history: &History) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, outcomes) = play(folder.path(), &history.sent, Play::Plain);
    let plain = results(&store, &outcomes, history);
    for ((point, want), got) in history.expected.iter().zip(&plain) {
        let same = got.len() == want.len() && got.iter().zip(want).all(|(g, w)| agrees(g, w));
        if !same {
            return Err(format!(
                "{} {point}\nexpected:\n  {}\ngot:\n  {}\n",
                history.name,
                want.join("\n  "),
                got.join("\n  ")
            ));
        }
    }
    let other_plays = [Play::Together, Play::Seal(1), Play::Seal(2), Play::Seal(3), Play::Reopen(0), Play::Close];
    for other in other_plays.into_iter().chain([Play::Reopen(1), Play::Reopen(2), Play::Reopen(3)]) {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, outcomes) = play(folder.path(), &history.sent, other);
        let got = results(&store, &outcomes, history);
        if got != plain {
            return Err(format!("{} played {other:?}:\n{got:#?}\ninstead of\n{plain:#?}", history.name));
        }
        store.verify_graph().map_err(|e| format!("{} played {other:?}: {e}", history.name))?;
    }
    store.rebuild(&mut |_, _| {}).expect("rebuilt");
    if results(&store, &outcomes, history) != plain {
        return Err(format!("{} rebuilt differs", history.name));
    }
    Ok(())
}

#[test]
fn histories_come_to_the_facts_that_the_rules_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/histories");
    let only = std::env::var("HISTORY").unwrap_or_default();
    let mut paths: Vec<_> = fs::read_dir(folder).expect("histories").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths.retain(|p| p.to_string_lossy().contains(&only));
    assert!(!paths.is_empty());
    let wrong: Vec<String> = paths.iter().filter_map(|path| check(&read(path)).err()).collect();
    assert!(wrong.is_empty(), "{} of {} histories differ\n\n{}", wrong.len(), paths.len(), wrong.join("\n"));
}
