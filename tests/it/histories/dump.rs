//! The facts of a view as lines: versions, edges, attributes, facts, slots.

use std::fmt::Write as _;

use lineage_store::event::Event;
use lineage_store::graph::{Assertion, Fact, Subject, Use, Value, VersionId, View};
use lineage_store::time::Time;

use super::notation::{brief, instant, shorten};

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
        self.attributes(at);
    }

    fn attributes(&mut self, at: u32) {
        for (is_metric, key, value) in self.view.attributes(at) {
            let name = if is_metric { "metric" } else { "param" };
            let value = match value {
                Value::Number(number) => number.to_string(),
                Value::Text(text) => format!("{text:?}"),
                Value::Bool(bool) => bool.to_string(),
                Value::Other => "...".to_owned(),
            };
            self.line(&format!("#{at} {name} {}={value}", self.view.text(key)));
        }
        let facets = &self.events[at as usize].0.facets;
        if !facets.is_empty() {
            self.line(&format!("#{at} facets {}", facets.as_str()));
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
pub(super) fn view_at(view: &View, point: &str) -> View {
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

pub(super) fn dump(view: &View, events: &[(Event, Time)]) -> Vec<String> {
    check_reverse(view);
    let mut dump = Dump { view, events, lines: Vec::new() };
    dump.versions();
    for at in 0..view.count() {
        dump.event(at);
    }
    dump.facts();
    dump.lines
}
