//! Reads the native format strictly: what is unknown, doubled, of the wrong type or out of range is refused by name.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    About, Args, EntityKind, Event, Evidence, FORMAT_VERSION, Input, Json, Kind, NAME_BYTES_MAX, Outcome, Output,
    Parent, Ref,
};
use super::{Role, RunRef, State, canonical, quick};
use crate::digest::{Algorithm, Digest, brief};
use crate::time::Time;

/// The largest integer that a typed field may hold (2^53).
pub(super) const INTEGER_MAX: u64 = 1 << 53;
/// The most inputs, outputs or about entries of one received event.
pub(super) const REFS_MAX: usize = 100_000;

/// Why an event was refused: the field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The path of the field, such as `inputs[0].digest`; empty for the event as a whole.
    pub field: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl Refusal {
    /// A refusal of one field.
    pub fn at(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self { field: field.into(), what: what.into() }
    }

    /// A refusal of the event as a whole.
    pub fn whole(what: impl Into<String>) -> Self {
        Self::at("", what)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { f.write_str(&self.what) } else { write!(f, "{}: {}", self.field, self.what) }
    }
}

impl std::error::Error for Refusal {}

/// An object; serde would also take the fields of a struct as a list.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvent<'a> {
    v: Option<u64>,
    kind: Option<String>,
    id: Option<String>,
    time: Option<String>,
    actor: Option<String>,
    namespace: Option<String>,
    job: Option<String>,
    run: Option<String>,
    attempt: Option<u32>,
    state: Option<String>,
    parent: Option<Object<RawParent>>,
    #[serde(default)]
    inputs: Vec<Object<RawRef>>,
    #[serde(default)]
    outputs: Vec<Object<RawRef>>,
    #[serde(default)]
    about: Vec<Object<RawRef>>,
    environment: Option<String>,
    service: Option<String>,
    outcome: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    metrics: Option<&'a RawValue>,
    #[serde(default)]
    tags: Vec<String>,
    code: Option<&'a RawValue>,
    software: Option<&'a RawValue>,
    facets: Option<&'a RawValue>,
    args: Option<&'a RawValue>,
    sealed: Option<&'a RawValue>,
    outlined: Option<&'a RawValue>,
    recorded: Option<String>,
    evidence: Option<String>,
    principal: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawParent {
    namespace: Option<String>,
    job: Option<String>,
    run: String,
    root: Option<Object<RawRun>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRun {
    namespace: Option<String>,
    job: Option<String>,
    run: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RunName {
    Id(String),
    Whole(Object<RawRun>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRef {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    version: Option<String>,
    label: Option<String>,
    digest: Option<String>,
    #[serde(default)]
    digests: Vec<String>,
    role: Option<String>,
    size: Option<u64>,
    rows: Option<u64>,
    #[serde(default)]
    tags: Vec<String>,
    from: Option<Vec<u32>>,
    inferred: Option<bool>,
    run: Option<RunName>,
    event: Option<String>,
}

impl Event {
    /// Reads one event as an emitter sends it; `caller` is the actor where it names none.
    pub fn parse(bytes: &[u8], caller: &str) -> Result<Box<Self>, Refusal> {
        let text = utf8(bytes)?;
        let event = match quick::read(text, caller) {
            Some(event) => event,
            None => Box::new(Self::parse_strictly(text, caller)?),
        };
        event.check()?;
        Ok(event)
    }

    /// Reads one event and explains what is wrong with it; its check is still to be done.
    pub(super) fn parse_strictly(text: &str, caller: &str) -> Result<Self, Refusal> {
        let quoted;
        let raw = match serde_json::from_str::<RawEvent<'_>>(text) {
            Ok(raw) => raw,
            Err(_) => match serde_json::from_str::<&RawValue>(text) {
                Ok(_) => read(text)?,
                Err(error) => match canonical::quote_non_finite(text) {
                    Some(fixed) => {
                        // Quoted, such a word must not pass for a name; as a number it is refused where none belongs.
                        read(&number_non_finite(text, &fixed))?;
                        quoted = fixed;
                        read(&quoted)?
                    }
                    None => return Err(Refusal::whole(format!("is no JSON: {error}"))),
                },
            },
        };
        for (field, given) in [
            ("recorded", raw.recorded.is_some()),
            ("evidence", raw.evidence.is_some()),
            ("principal", raw.principal.is_some()),
        ] {
            if given {
                return Err(Refusal::at(field, "is set by the store, not by an emitter"));
            }
        }
        if raw.outlined.is_some() {
            return Err(Refusal::at("outlined", "is set by the store, not by an emitter"));
        }
        let event = convert(raw, caller)?;
        let sealed = event.sealed.members();
        let sized =
            |value: &str| serde_json::from_str::<serde_json::Value>(value).is_ok_and(|v| v.get("size").is_some());
        if let Some((path, _)) = sealed.iter().find(|(_, value)| sized(value)) {
            return Err(Refusal::at(format!("sealed.{path}.size"), "is set by the store, not by an emitter"));
        }
        Ok(event)
    }

    /// Reads an event back from its leaf, with the instant at which it was recorded.
    pub fn from_leaf(bytes: &[u8]) -> Result<(Self, Time), Refusal> {
        let mut raw = read(utf8(bytes)?)?;
        let recorded = raw.recorded.take().ok_or_else(|| Refusal::at("recorded", "is missing"))?;
        let recorded = recorded.parse().map_err(|what: String| Refusal::at("recorded", what))?;
        Ok((convert(raw, "")?, recorded))
    }

    /// Checks what holds for every event, however it was made.
    pub fn check(&self) -> Result<(), Refusal> {
        check_strings(self)?;
        let has_subject = !self.outputs.is_empty()
            || !self.inputs.is_empty()
            || self.run.is_some()
            || !self.about.is_empty()
            || self.environment.is_some()
            || (self.kind == Kind::Register && self.job.is_some());
        if !has_subject && !matches!(self.kind, Kind::SaveQuery | Kind::Erase | Kind::Hold | Kind::Access) {
            return Err(Refusal::whole("one of `outputs`, `inputs`, `run`, `about`, `environment` is required"));
        }
        if self.run.is_none() && (self.attempt.is_some() || self.state != State::Complete) {
            return Err(Refusal::at("run", "is required beside `attempt` or a `state` other than complete"));
        }
        self.check_kind()
    }

    /// Whether both ends of a link are names, or both versions.
    fn links_alike(&self) -> bool {
        let mut ends = self.about.iter().map(|a| matches!(a, About::Thing(reference) if reference.is_bare()));
        ends.next() == ends.next()
    }

    fn check_kind(&self) -> Result<(), Refusal> {
        let things = self.about.iter().filter(|a| matches!(a, About::Thing(_))).count();
        let needs_things = |what: &str| {
            if things == 0 {
                Err(Refusal::at("about", format!("must name {what} in an event of kind `{}`", self.kind)))
            } else {
                Ok(())
            }
        };
        match self.kind {
            Kind::Deployment => {
                needs_things("what is deployed")?;
                if self.environment.is_none() {
                    return Err(Refusal::at("environment", "is required in a deployment"));
                }
            }
            Kind::Retirement if things == 0 && self.service.is_none() => {
                return Err(Refusal::at(
                    "about",
                    "a retirement names versions in `about`, or empties the slot of a `service`",
                ));
            }
            Kind::Tag | Kind::Untag if self.about.is_empty() => needs_things("what is tagged")?,
            Kind::Describe => needs_things("what is described")?,
            Kind::Alias => {
                needs_things("a version")?;
                let alias = self.args.text("alias").unwrap_or_default();
                if alias == "latest" || version_number(&alias).is_some() {
                    return Err(Refusal::at(
                        "args.alias",
                        format!("`{alias}` is not free: `latest` and `vN` have a fixed meaning"),
                    ));
                }
            }
            Kind::Link if things != 2 || self.about.len() != 2 || !self.links_alike() => {
                return Err(Refusal::at("about", "a link names exactly two names, or two versions"));
            }
            Kind::Retract if self.about.is_empty() || things > 0 => {
                return Err(Refusal::at(
                    "about",
                    "a retract names events or runs, such as {\"event\":\"ID\"} or {\"run\":\"ID\"}",
                ));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The text in which `quoted` has quotes around NaN and the infinities, with a number in their place.
fn number_non_finite(text: &str, quoted: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        if rest.starts_with(c) {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            let word: String = chars.by_ref().take_while(|c| *c != '"').collect();
            out.push('0');
            rest = &rest[word.len()..];
        }
    }
    out
}

fn utf8(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes)
        .map_err(|error| Refusal::whole(format!("is not UTF-8 from byte {} on", error.valid_up_to())))
}

fn read(text: &str) -> Result<RawEvent<'_>, Refusal> {
    serde_json::from_str::<Object<_>>(text).map(|event| event.0).map_err(|error| {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, Object<RawEvent<'_>>>(&mut deserializer) {
            Err(located) => {
                let path = located.path().to_string();
                let path = if path == "." || path == "?" { String::new() } else { path };
                Refusal::at(path, located.inner().to_string())
            }
            Ok(_) => Refusal::whole(error.to_string()),
        }
    })
}

/// `N` of `vN`, counted from 1.
pub(crate) fn version_number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('v')?;
    if digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // A number that no log can reach is one all the same.
    (!digits.is_empty()).then(|| digits.parse().unwrap_or(u32::MAX))
}

fn word<T: Copy>(
    field: &str,
    word: Option<String>,
    all: &[T],
    parse: impl Fn(&str) -> Option<T>,
    show: impl Fn(T) -> &'static str,
) -> Result<Option<T>, Refusal> {
    let Some(word) = word else { return Ok(None) };
    parse(&word).map(Some).ok_or_else(|| {
        let valid: Vec<_> = all.iter().map(|v| show(*v)).collect();
        Refusal::at(field, format!("`{}` is unknown; valid are {}", brief(&word), valid.join(", ")))
    })
}

fn object(field: &str, raw: Option<&RawValue>) -> Result<Json, Refusal> {
    let Some(raw) = raw else { return Ok(Json::default()) };
    let json = Json::canonical(raw.get()).map_err(|what| Refusal::at(field, what))?;
    if json.as_str().starts_with('{') { Ok(json) } else { Err(Refusal::at(field, "must be an object")) }
}

fn convert(raw: RawEvent<'_>, caller: &str) -> Result<Event, Refusal> {
    match raw.v {
        None => return Err(Refusal::at("v", "is missing; write \"v\":1")),
        Some(1) => {}
        Some(v) if v > u64::from(FORMAT_VERSION) => {
            return Err(Refusal::at(
                "v",
                format!("{v} is newer than this program knows ({FORMAT_VERSION}); use a newer release"),
            ));
        }
        Some(v) => return Err(Refusal::at("v", format!("{v} is unknown; valid is 1"))),
    }
    let kind = word("kind", raw.kind, Kind::ALL, Kind::from_word, Kind::as_str)?
        .ok_or_else(|| Refusal::at("kind", "is missing"))?;
    let time = raw.time.map(|t| t.parse::<Time>()).transpose().map_err(|what| Refusal::at("time", what))?;
    if raw.attempt.is_some_and(|n| n == 0 || n > u32::from(u16::MAX)) {
        return Err(Refusal::at("attempt", format!("is counted from 1, up to {}", u16::MAX)));
    }
    let args = object("args", raw.args)?;
    let metrics = object("metrics", raw.metrics)?;
    check_metrics(&metrics)?;
    for (field, list) in [("inputs", &raw.inputs), ("outputs", &raw.outputs), ("about", &raw.about)] {
        if list.len() > REFS_MAX {
            return Err(Refusal::at(field, format!("has more than {REFS_MAX} entries")));
        }
    }
    let n_inputs = raw.inputs.len();
    Ok(Event {
        kind,
        id: raw.id,
        time,
        actor: raw.actor.unwrap_or_else(|| caller.to_owned()),
        namespace: raw.namespace.unwrap_or_else(|| "default".to_owned()),
        job: raw.job,
        run: raw.run,
        attempt: raw.attempt,
        state: word("state", raw.state, State::ALL, State::from_word, State::as_str)?.unwrap_or(State::Complete),
        parent: raw.parent.map(|Object(p)| Parent {
            run: RunRef { namespace: p.namespace, job: p.job, run: p.run },
            root: p.root.map(|Object(r)| RunRef { namespace: r.namespace, job: r.job, run: r.run }),
        }),
        inputs: each("inputs", raw.inputs, input)?,
        outputs: each("outputs", raw.outputs, |r| output(r, n_inputs))?,
        about: each("about", raw.about, about)?,
        environment: raw.environment,
        service: raw.service,
        outcome: word("outcome", raw.outcome, Outcome::ALL, Outcome::from_word, Outcome::as_str)?,
        params: object("params", raw.params)?,
        metrics,
        tags: raw.tags,
        code: object("code", raw.code)?,
        software: object("software", raw.software)?,
        facets: object("facets", raw.facets)?,
        args: if args.is_empty()
            && !matches!(
                kind,
                Kind::Tag
                    | Kind::Untag
                    | Kind::Alias
                    | Kind::Approve
                    | Kind::Erase
                    | Kind::Hold
                    | Kind::Access
                    | Kind::SaveQuery
            ) {
            Args::default()
        } else {
            Args::check(kind, args)?
        },
        sealed: object("sealed", raw.sealed)?,
        outlined: object("outlined", raw.outlined)?,
        evidence: word("evidence", raw.evidence, Evidence::ALL, Evidence::from_word, Evidence::as_str)?
            .unwrap_or(Evidence::Claimed),
        principal: raw.principal,
    })
}

fn each<T>(
    field: &str,
    list: Vec<Object<RawRef>>,
    convert: impl Fn(RawRef) -> Result<T, Refusal>,
) -> Result<Vec<T>, Refusal> {
    list.into_iter()
        .enumerate()
        .map(|(i, Object(raw))| {
            convert(raw).map_err(|r| {
                let dot = if r.field.is_empty() { "" } else { "." };
                Refusal::at(format!("{field}[{i}]{dot}{}", r.field), r.what)
            })
        })
        .collect()
}

fn only(raw: &RawRef, input: bool, output: bool) -> Result<(), Refusal> {
    let misplaced = [
        ("role", raw.role.is_some() && !input),
        ("inferred", raw.inferred.is_some() && !input),
        ("size", raw.size.is_some() && !input && !output),
        ("rows", raw.rows.is_some() && !output),
        ("tags", !raw.tags.is_empty() && !output),
        ("from", raw.from.is_some() && !output),
        ("run", raw.run.is_some() && (input || output)),
        ("event", raw.event.is_some() && (input || output)),
    ];
    match misplaced.iter().find(|(_, bad)| *bad) {
        Some((field, _)) => Err(Refusal::at(*field, "does not belong here")),
        None => Ok(()),
    }
}

fn reference(raw: RawRef) -> Result<Ref, Refusal> {
    if raw.name.is_none() && raw.digest.is_none() && raw.digests.is_empty() {
        return Err(Refusal::at("name", "a reference needs a `name` or a `digest`"));
    }
    if raw.version.is_some() && raw.label.is_some() {
        return Err(Refusal::at("label", "stands instead of `version`, not beside it"));
    }
    let parse = |field: &str, text: String| text.parse::<Digest>().map_err(|what| Refusal::at(field, what));
    let digest = raw.digest.map(|d| parse("digest", d)).transpose()?;
    let digests = raw.digests.into_iter().map(|d| parse("digests", d)).collect::<Result<Vec<_>, _>>()?;
    if raw.name.is_none() && digest.iter().chain(&digests).all(|d| d.algorithm == Algorithm::Weak) {
        return Err(Refusal::at("name", "a weak digest needs a `name`"));
    }
    Ok(Ref {
        kind: word("kind", raw.kind, EntityKind::ALL, EntityKind::from_word, EntityKind::as_str)?,
        namespace: raw.namespace,
        name: raw.name,
        version: raw.version,
        label: raw.label,
        digest,
        digests,
    })
}

fn input(raw: RawRef) -> Result<Input, Refusal> {
    only(&raw, true, false)?;
    let role = word("role", raw.role.clone(), Role::ALL, Role::from_word, Role::as_str)?.unwrap_or(Role::Data);
    let (size, inferred) = (integer("size", raw.size)?, raw.inferred.unwrap_or(false));
    Ok(Input { reference: reference(raw)?, role, size, inferred })
}

fn output(mut raw: RawRef, n_inputs: usize) -> Result<Output, Refusal> {
    only(&raw, false, true)?;
    let (size, rows) = (integer("size", raw.size)?, integer("rows", raw.rows)?);
    let (tags, from) = (std::mem::take(&mut raw.tags), raw.from.take());
    if let Some(index) = from.iter().flatten().find(|i| **i as usize >= n_inputs) {
        return Err(Refusal::at("from", format!("{index} is no index into the {n_inputs} inputs")));
    }
    if raw.name.is_none() {
        return Err(Refusal::at("name", "an output needs a `name`"));
    }
    Ok(Output { reference: reference(raw)?, size, rows, tags, from })
}

fn about(raw: RawRef) -> Result<About, Refusal> {
    only(&raw, false, false)?;
    let named = raw.name.is_some() || raw.digest.is_some() || !raw.digests.is_empty();
    if raw.run.is_some() || raw.event.is_some() {
        let whole = matches!(raw.run, Some(RunName::Whole(_))) || raw.event.is_some();
        let misplaced = [
            ("kind", raw.kind.is_some()),
            ("version", raw.version.is_some()),
            ("label", raw.label.is_some()),
            ("namespace", raw.namespace.is_some() && whole),
        ];
        if let Some((field, _)) = misplaced.iter().find(|(_, given)| *given) {
            return Err(Refusal::at(*field, "does not belong beside a `run` or an `event`"));
        }
    }
    match (raw.run.is_some(), raw.event.is_some(), named) {
        (true, false, false) => {
            let Some(run) = raw.run else { return Err(Refusal::whole("is empty")) };
            Ok(About::Run(match run {
                RunName::Id(run) => RunRef { namespace: raw.namespace, job: None, run },
                RunName::Whole(Object(r)) => RunRef { namespace: r.namespace, job: r.job, run: r.run },
            }))
        }
        (false, true, false) => Ok(About::Event(raw.event.unwrap_or_default())),
        (false, false, _) => Ok(About::Thing(reference(raw)?)),
        _ => Err(Refusal::whole("names either a thing, or a `run`, or an `event`")),
    }
}

fn integer(field: &str, value: Option<u64>) -> Result<Option<u64>, Refusal> {
    match value {
        Some(v) if v > INTEGER_MAX => Err(Refusal::at(field, format!("{v} is over 2^53"))),
        value => Ok(value),
    }
}

pub(super) fn check_metrics(metrics: &Json) -> Result<(), Refusal> {
    for (key, value) in metrics.members() {
        let good = match value.as_bytes().first() {
            Some(b'"') => matches!(value, "\"NaN\"" | "\"Infinity\"" | "\"-Infinity\""),
            Some(b'-' | b'0'..=b'9') => is_exact(value),
            _ => false,
        };
        if !good {
            return Err(Refusal::at(
                format!("metrics.{key}"),
                format!(
                    "`{}` is no number that a double holds; valid are finite numbers and the strings NaN, Infinity, -Infinity",
                    brief(value)
                ),
            ));
        }
    }
    Ok(())
}

/// Whether a double holds what was said: a finite number, and no integer over 2^53 that would lose digits.
fn is_exact(number: &str) -> bool {
    if canonical::is_short_number(number.as_bytes()) {
        return true;
    }
    number.parse::<f64>().is_ok_and(|n| {
        let mut text = String::new();
        canonical::write_double(n, &mut text);
        n.is_finite() && text == number
    })
}

/// Names are non-empty and without control characters.
fn check_strings(event: &Event) -> Result<(), Refusal> {
    let one = |field: &str, text: &str| check_name(text).map_err(|what| Refusal::at(field, what));
    one("namespace", &event.namespace)?;
    one("actor", &event.actor)?;
    for (field, text) in [
        ("id", &event.id),
        ("job", &event.job),
        ("run", &event.run),
        ("environment", &event.environment),
        ("service", &event.service),
        ("principal", &event.principal),
    ] {
        if let Some(text) = text {
            one(field, text)?;
        }
    }
    for run in event.parent.iter().flat_map(|p| std::iter::once(&p.run).chain(&p.root)) {
        check_run(run).map_err(|r| Refusal::at(format!("parent.{}", r.field), r.what))?;
    }
    for tag in &event.tags {
        one("tags", tag)?;
    }
    for (i, input) in event.inputs.iter().enumerate() {
        check_reference(&input.reference).map_err(|r| Refusal::at(format!("inputs[{i}].{}", r.field), r.what))?;
    }
    for (i, output) in event.outputs.iter().enumerate() {
        check_reference(&output.reference).map_err(|r| Refusal::at(format!("outputs[{i}].{}", r.field), r.what))?;
        for tag in &output.tags {
            check_name(tag).map_err(|what| Refusal::at(format!("outputs[{i}].tags"), what))?;
        }
    }
    for (i, about) in event.about.iter().enumerate() {
        let result = match about {
            About::Thing(reference) => check_reference(reference),
            About::Run(run) => check_run(run),
            About::Event(id) => check_name(id).map_err(|what| Refusal::at("event", what)),
        };
        result.map_err(|r| Refusal::at(format!("about[{i}].{}", r.field), r.what))?;
    }
    Ok(())
}

fn check_run(run: &RunRef) -> Result<(), Refusal> {
    let names = [("run", Some(&run.run)), ("job", run.job.as_ref()), ("namespace", run.namespace.as_ref())];
    names.into_iter().try_for_each(|(field, name)| {
        name.map_or(Ok(()), |name| check_name(name).map_err(|what| Refusal::at(field, what)))
    })
}

fn check_reference(reference: &Ref) -> Result<(), Refusal> {
    for (field, text) in [
        ("name", &reference.name),
        ("namespace", &reference.namespace),
        ("version", &reference.version),
        ("label", &reference.label),
    ] {
        if let Some(text) = text {
            check_name(text).map_err(|what| Refusal::at(field, what))?;
        }
    }
    Ok(())
}

fn check_name(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(format!("is {} bytes long; at most {NAME_BYTES_MAX} are kept", text.len()));
    }
    // Printable ASCII, tested many bytes at once, has no control characters.
    if text.bytes().fold(true, |all, b| all & (0x20..0x7f).contains(&b)) {
        return Ok(());
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("has the control character U+{:04X}", c as u32)),
        None => Ok(()),
    }
}
