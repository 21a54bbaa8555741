//! What visible events come to: tags, aliases, owners, slots, copies and links.

use std::collections::{BTreeMap, BTreeSet};

use super::log::{At, Id, Log, Named};
use super::moment::Moment;
use super::said::{Entity, Seconds, Subject};

/// What a fact concerns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Concerned {
    Name(Entity),
    Version(Id),
    Event(At),
}

/// Something said of a name, version or event, at a time and a position.
struct Fact {
    at: (Seconds, At),
    of: Concerned,
    key: String,
    /// `None`: no more.
    value: Option<String>,
}

/// An environment as slots spell it.
pub(super) fn environment(name: &str) -> String {
    let lower = name.to_lowercase();
    if lower == "production" { "prod".to_owned() } else { lower }
}

/// The facts of a moment.
pub(super) struct State<'a> {
    moment: &'a Moment<'a>,
    facts: Vec<Fact>,
    /// Slots by namespace, environment and service.
    slots: BTreeMap<(String, String, String), BTreeSet<Id>>,
    /// From a version without producer to what it is a copy of, or the same as.
    pub(super) twins: BTreeSet<(Id, Id)>,
}

impl<'a> State<'a> {
    pub(super) fn of(moment: &'a Moment<'a>) -> Self {
        let mut state = Self { moment, facts: Vec::new(), slots: BTreeMap::new(), twins: BTreeSet::new() };
        for at in moment.visible() {
            state.tell(at);
        }
        state.fold_slots();
        state.twins = copies(moment);
        state.twins.extend(links(moment));
        state
    }

    fn tell(&mut self, at: At) {
        let log = self.moment.log;
        let event = &log.events[at];
        let when = (event.time, at);
        for tag in &event.tags {
            self.say(when, Concerned::Event(at), &format!("tag {tag}"), Some(""));
        }
        for version in self.moment.versions.iter().copied().collect::<Vec<_>>() {
            for (_, tag) in log.versions[version].tags.iter().filter(|(q, _)| *q == at) {
                self.say(when, Concerned::Version(version), &format!("tag {tag}"), Some(""));
            }
        }
        let removed = event.args["remove"] == true;
        for concerned in concerned(log, at) {
            match event.kind.as_str() {
                "tag" => event
                    .arg_list("tags")
                    .iter()
                    .for_each(|t| self.say(when, concerned.clone(), &format!("tag {t}"), Some(""))),
                "untag" => event
                    .arg_list("tags")
                    .iter()
                    .for_each(|t| self.say(when, concerned.clone(), &format!("tag {t}"), None)),
                "describe" => {
                    for word in ["owner", "purpose", "tier"] {
                        if let Some(text) = event.arg(word) {
                            self.say(when, concerned.clone(), word, Some(&text));
                        }
                    }
                }
                "alias" => {
                    let entity = match &concerned {
                        Concerned::Name(entity) => entity.clone(),
                        Concerned::Version(v) => log.versions[*v].entity.clone(),
                        Concerned::Event(_) => continue,
                    };
                    let to = if let Concerned::Version(v) = concerned { Some(v.to_string()) } else { None };
                    let key = format!("alias {}", event.arg("alias").unwrap_or_default());
                    self.say(when, Concerned::Name(entity), &key, to.filter(|_| !removed).as_deref());
                }
                _ => {}
            }
        }
    }

    fn say(&mut self, at: (Seconds, At), of: Concerned, key: &str, value: Option<&str>) {
        self.facts.push(Fact { at, of, key: key.to_owned(), value: value.map(str::to_owned) });
    }

    /// The latest fact of a key about any of these.
    fn latest(&self, of: &[Concerned], key: &str) -> Option<&String> {
        let facts = self.facts.iter().filter(|f| f.key == key && of.contains(&f.of));
        facts.max_by_key(|f| f.at).and_then(|f| f.value.as_ref())
    }

    fn concerned(&self, version: Id) -> Vec<Concerned> {
        vec![Concerned::Version(version), Concerned::Name(self.moment.log.versions[version].entity.clone())]
    }

    fn tags(&self, of: &[Concerned]) -> BTreeSet<String> {
        let said: BTreeSet<&str> =
            self.facts.iter().filter(|f| of.contains(&f.of)).filter_map(|f| f.key.strip_prefix("tag ")).collect();
        said.into_iter().filter(|t| self.latest(of, &format!("tag {t}")).is_some()).map(str::to_owned).collect()
    }

    /// The tags of a version: by its number or its name, the latest fact wins.
    pub(super) fn tags_of_version(&self, version: Id) -> BTreeSet<String> {
        self.tags(&self.concerned(version))
    }

    /// The tags of a step: of any event of its attempt.
    pub(super) fn tags_of_step(&self, leader: At) -> BTreeSet<String> {
        let events: Vec<Concerned> = self.moment.attempt(leader).into_iter().map(Concerned::Event).collect();
        self.tags(&events)
    }

    /// Owner, purpose or tier.
    pub(super) fn word(&self, version: Id, word: &str) -> Option<&String> {
        self.latest(&self.concerned(version), word)
    }

    pub(super) fn alias(&self, entity: &Entity, alias: &str) -> Option<Id> {
        self.latest(&[Concerned::Name(entity.clone())], &format!("alias {alias}"))?.parse().ok()
    }

    fn fold_slots(&mut self) {
        let (moment, log) = (self.moment, self.moment.log);
        let is_change = |at: &At| {
            let event = &log.events[*at];
            ["deployment", "retirement"].contains(&event.kind.as_str()) && event.is_complete()
        };
        let mut changes: Vec<At> = moment.visible().filter(is_change).collect();
        changes.sort_by_key(|at| (log.events[*at].time, *at));
        for at in changes {
            let event = &log.events[at];
            let named: BTreeSet<Id> = moment.about.iter().filter(|(q, _)| *q == at).map(|(_, v)| *v).collect();
            let place = event.environment.as_deref().map(environment);
            if event.kind == "deployment" {
                let slot = |v: &Id| {
                    let service = event.service.clone().unwrap_or_else(|| log.versions[*v].entity.name.clone());
                    (event.namespace.clone(), place.clone().unwrap_or_default(), service)
                };
                if event.args["alongside"] != true {
                    for version in &named {
                        self.slots.remove(&slot(version));
                    }
                }
                for version in named {
                    self.slots.entry(slot(&version)).or_default().insert(version);
                }
            } else {
                for ((namespace, environment, service), content) in &mut self.slots {
                    let touched = *namespace == event.namespace
                        && place.as_ref().is_none_or(|p| p == environment)
                        && event.service.as_ref().is_none_or(|s| s == service);
                    if touched {
                        content.retain(|v| !event.about.is_empty() && !named.contains(v));
                    }
                }
            }
        }
    }

    /// The environments in which a version is live.
    pub(super) fn live(&self, version: Id) -> BTreeSet<String> {
        self.slots
            .iter()
            .filter(|(_, c)| c.contains(&version))
            .map(|((_, environment, _), _)| environment.clone())
            .collect()
    }
}

/// What an event that describes is about.
fn concerned(log: &Log, at: At) -> Vec<Concerned> {
    let event = &log.events[at];
    let mut all = Vec::new();
    let mut things = log.about[at].iter();
    for subject in &event.about {
        match subject {
            Subject::Thing(_) => match things.next() {
                Some(Named::Bare(entity)) => all.push(Concerned::Name(entity.clone())),
                Some(Named::Version(v) | Named::Bytes(v)) => all.push(Concerned::Version(*v)),
                Some(Named::Several(versions)) => all.extend(versions.iter().map(|v| Concerned::Version(*v))),
                Some(Named::Holders(..)) | None => {}
            },
            Subject::Run(run) => {
                all.extend(log.events_of_run(at, &event.namespace, run).into_iter().map(Concerned::Event));
            }
            Subject::Event(id) => {
                let is = |q: &At| log.events[*q].namespace == event.namespace && log.events[*q].id == *id;
                all.extend((0..at).filter(is).map(Concerned::Event));
            }
        }
    }
    all
}

/// Each external version of 64 bytes or more, or of unknown size, and the first that had its bytes under another name.
fn copies(moment: &Moment<'_>) -> BTreeSet<(Id, Id)> {
    let log = moment.log;
    let is_small = |v: Id| moment.last_said(&log.versions[v].sizes).is_some_and(|size| size < 64);
    let is_external = |v: &Id| log.versions[*v].external && moment.makers(*v).is_empty();
    let mut copies = BTreeSet::new();
    for copy in moment.versions.iter().copied().filter(is_external).filter(|v| !is_small(*v)) {
        let bytes = moment.digests(copy);
        let had = |v: &Id| {
            *v < copy
                && log.versions[*v].entity != log.versions[copy].entity
                && moment.digests(*v).iter().any(|d| bytes.contains(d))
        };
        let original = moment.versions.iter().copied().find(had);
        copies.extend(original.filter(|v| !is_small(*v)).map(|original| (copy, original)));
    }
    copies
}

/// Links act by when they were recorded, whatever T is.
fn links(moment: &Moment<'_>) -> BTreeSet<(Id, Id)> {
    let log = moment.log;
    let mut links = BTreeSet::new();
    let has_maker = |v: Id| !moment.makers(v).is_empty();
    for at in (0..moment.count).filter(|at| log.events[*at].kind == "link" && !moment.hidden.contains(at)) {
        match &log.about[at][..] {
            [Named::Version(a) | Named::Bytes(a), Named::Version(b) | Named::Bytes(b)] => {
                let visible = moment.versions.contains(a) && moment.versions.contains(b);
                let turned = has_maker(*a) && !has_maker(*b);
                links.extend((visible && a != b).then_some(if turned { (*b, *a) } else { (*a, *b) }));
            }
            [Named::Bare(a), Named::Bare(b)] => {
                links.extend(link_names(moment, a, b));
                links.extend(link_names(moment, b, a));
            }
            _ => {}
        }
    }
    links
}

/// From each version without producer to the other name's version with the same digest, else to its late-bound version
/// at first mention.
fn link_names(moment: &Moment<'_>, from: &Entity, to: &Entity) -> Vec<(Id, Id)> {
    let log = moment.log;
    let targets = moment.of_entity(to);
    let mut links = Vec::new();
    for version in moment.of_entity(from).into_iter().filter(|v| moment.makers(*v).is_empty()) {
        let bytes = moment.digests(version);
        let same = targets.iter().copied().find(|t| moment.digests(*t).iter().any(|d| bytes.contains(d)));
        let minted = log.versions[version].minted;
        let used = moment.used.iter().filter(|(.., v)| *v == version).map(|(at, ..)| *at);
        let mentions = used.chain(moment.about.iter().filter(|(_, v)| *v == version).map(|(at, _)| *at));
        let first = if moment.sees(minted) { minted } else { mentions.min().unwrap_or(minted) };
        let target = same.or_else(|| moment.late_bound(first, targets.clone()));
        links.extend(target.filter(|t| *t != version).map(|target| (version, target)));
    }
    links
}
