//! Outlining: large and listed values move to deletable payload storage, so that an event stays within its limit.

use super::canonical::write_string;
use super::{Event, Input, Json, LEAF_BYTES_MAX, Leaf, Output, Refusal, State};
use crate::digest::{Blake3, Received};
use crate::erasure::{self, Key, Keys};
use crate::graph::key::{self, Scoped};

/// A facet or value above this many bytes is outlined.
const VALUE_BYTES_MAX: usize = 16 * 1024;

/// A value that was moved out of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The digest of the sealed bytes; names the file.
    pub digest: Blake3,
    /// The canonical JSON text, sealed.
    pub bytes: Vec<u8>,
}

/// What an event keeps of an outlined value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlined {
    /// `facets.NAME`, `params.NAME`...
    pub path: String,
    /// The digest of the payload.
    pub digest: Blake3,
    /// The size of the canonical JSON text in bytes.
    pub size: u64,
}

/// An event with everything the appender needs.
#[derive(Debug)]
pub struct Prepared {
    /// The event, after outlining.
    pub event: Box<Event>,
    /// Its own id or the digest of the bytes as received.
    pub id: String,
    /// The digest of the bytes as received, for an event with its own id.
    pub received: Option<Received>,
    /// The canonical bytes, `recorded` still blank.
    pub leaf: Leaf,
    /// The values that were moved out; stored before the event is appended.
    pub payloads: Vec<Payload>,
    /// What the index finds its id by.
    pub(crate) key: Scoped,
    /// How many events after this one come from the same received one: they are recorded together or not at all.
    pub(crate) following: usize,
}

impl Prepared {
    fn new(event: Box<Event>, id: String, received: Option<Received>, leaf: Leaf, payloads: Vec<Payload>) -> Self {
        let key = key::scoped(&event.namespace, &id);
        Self { event, id, received, leaf, payloads, key, following: 0 }
    }
}

/// Outlines what must not or cannot stay inside and serializes each resulting event.
///
/// `received` are the bytes as they came (for our own events: none, they carry an id).
/// `seal` lists the facet names that are always outlined. What is moved out is sealed under `keys`: a value that the
/// event names as that of a subject under the key of the subject, anything else under that of the store.
/// More than one event comes back only if inputs and outputs had to be spread over `running` events.
pub fn prepare(
    event: impl Into<Box<Event>>,
    received: &[u8],
    seal: &[String],
    keys: &Keys,
) -> Result<Vec<Prepared>, Refusal> {
    let mut prepared = Vec::with_capacity(1);
    prepare_into(&mut prepared, event.into(), received, seal, keys)?;
    Ok(prepared)
}

/// As [`prepare`], and adds what comes of it to a list.
pub fn prepare_into(
    prepared: &mut Vec<Prepared>,
    mut event: Box<Event>,
    received: &[u8],
    seal: &[String],
    keys: &Keys,
) -> Result<(), Refusal> {
    let named = named_values(&event)?;
    let digest = Blake3::of(received);
    let (id, received) = match (&event.id, named.first()) {
        // A plain digest of the bytes as received would let a value be guessed after its erasure.
        (Some(id), Some((_, subject))) => {
            let digest = key_of(keys, Some(subject))?.digest(received);
            (id.clone(), Some(Received::of(&Blake3(digest))))
        }
        (Some(id), None) => (id.clone(), Some(Received::of(&digest))),
        (None, None) => (digest.to_string(), None),
        (None, Some(_)) => {
            let what = "is required beside sealed values: without it the event would keep a digest of them";
            return Err(Refusal::at("id", what));
        }
    };
    let mut outliner = Outliner { keys, namespace: event.namespace.clone(), id: id.clone(), payloads: Vec::new() };
    outliner.named(&mut event, &named)?;
    outliner.listed(&mut event, seal)?;
    let mut leaf = Leaf::new(&event, &id);
    while leaf.as_bytes().len() > LEAF_BYTES_MAX && outliner.largest(&mut event)? {
        leaf = Leaf::new(&event, &id);
    }
    let payloads = outliner.payloads;
    if leaf.as_bytes().len() <= LEAF_BYTES_MAX {
        prepared.push(Prepared::new(event, id, received, leaf, payloads));
        return Ok(());
    }
    prepared.append(&mut spread(*event, &id, received, payloads)?);
    Ok(())
}

fn sections(event: &mut Event) -> [(&'static str, &mut Json); 5] {
    [
        ("facets", &mut event.facets),
        ("params", &mut event.params),
        ("code", &mut event.code),
        ("software", &mut event.software),
        ("metrics", &mut event.metrics),
    ]
}

/// The values of an event that are to be sealed, by their paths, with the subject of each.
///
/// What names a digest stands elsewhere already, here or at the emitter's.
fn named_values(event: &Event) -> Result<Vec<(String, String)>, Refusal> {
    let mut named = Vec::new();
    if event.sealed.is_empty() {
        return Ok(named);
    }
    for (path, value) in event.sealed.members() {
        let entry: Sealed = serde_json::from_str(value).map_err(|_| {
            Refusal::at(
                format!("sealed.{path}"),
                "must be {\"subject\":\"…\"}, or that and the digest of a value kept elsewhere",
            )
        })?;
        if entry.subject.is_empty() {
            return Err(Refusal::at(format!("sealed.{path}.subject"), "must be a non-empty string"));
        }
        if entry.digest.is_none() {
            named.push((path.into_owned(), entry.subject));
        }
    }
    Ok(named)
}

/// A member of `sealed`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    subject: String,
    digest: Option<String>,
    #[serde(rename = "size")]
    _size: Option<u64>,
}

fn key_of(keys: &Keys, subject: Option<&str>) -> Result<Key, Refusal> {
    keys.key(subject).map_err(|error| Refusal::whole(format!("cannot be sealed: {error}")))
}

/// Moves values out of one event.
struct Outliner<'a> {
    keys: &'a Keys,
    namespace: String,
    id: String,
    payloads: Vec<Payload>,
}

impl Outliner<'_> {
    /// Moves the values out that the event names as those of subjects.
    fn named(&mut self, event: &mut Event, named: &[(String, String)]) -> Result<(), Refusal> {
        let mut sealed = Vec::new();
        for (path, subject) in named {
            let value = take(event, path).ok_or_else(|| {
                let what = "names no value of this event; write SECTION.KEY, such as facets.customer";
                Refusal::at(format!("sealed.{path}"), what)
            })?;
            let mark = self.outline(path.clone(), &value, Some(subject))?;
            let mut text = String::from("{");
            for (key, value) in [("digest", mark.digest.to_string()), ("subject", subject.clone())] {
                write_string(key, &mut text);
                text.push(':');
                write_string(&value, &mut text);
                text.push(',');
            }
            text.push_str("\"size\":");
            text.push_str(&mark.size.to_string());
            text.push('}');
            sealed.push((path.clone(), text));
        }
        if !sealed.is_empty() {
            let members = event.sealed.members();
            let others = members.iter().filter(|(path, _)| !sealed.iter().any(|(own, _)| own == path));
            let mut all: Vec<(&str, &str)> = others.map(|(path, value)| (path.as_ref(), *value)).collect();
            all.extend(sealed.iter().map(|(path, value)| (path.as_str(), value.as_str())));
            event.sealed = rebuild(&all);
        }
        Ok(())
    }

    fn listed(&mut self, event: &mut Event, seal: &[String]) -> Result<(), Refusal> {
        let mut marks = Vec::new();
        for (section, json) in sections(event) {
            if json.is_empty() || (json.as_str().len() <= VALUE_BYTES_MAX && (section != "facets" || seal.is_empty())) {
                continue;
            }
            let members = json.members();
            let moves =
                |key: &str, value: &str| value.len() > VALUE_BYTES_MAX || (section == "facets" && is_listed(key, seal));
            if !members.iter().any(|(key, value)| moves(key, value)) {
                continue;
            }
            let (out, kept): (Vec<_>, Vec<_>) = members.into_iter().partition(|(key, value)| moves(key, value));
            for (key, value) in &out {
                marks.push(self.outline(format!("{section}.{key}"), value, None)?);
            }
            *json = Json::of_members(kept.iter().map(|(key, value)| (key.as_ref(), *value)));
        }
        mark(event, &marks);
        Ok(())
    }

    /// Moves the largest remaining value out; false when none is left that would help.
    fn largest(&mut self, event: &mut Event) -> Result<bool, Refusal> {
        let largest = sections(event)
            .into_iter()
            .enumerate()
            .flat_map(|(i, (_, json))| {
                json.members().into_iter().map(|(k, v)| (v.len(), i, k.into_owned())).collect::<Vec<_>>()
            })
            .max_by_key(|(size, ..)| *size);
        let Some((_, section, key)) = largest.filter(|(size, ..)| *size > 128) else { return Ok(false) };
        let mut sections = sections(event);
        let (name, json) = &mut sections[section];
        let members = json.members();
        let (out, kept): (Vec<_>, Vec<_>) = members.into_iter().partition(|(k, _)| *k == key);
        let marks =
            out.iter().map(|(k, v)| self.outline(format!("{name}.{k}"), v, None)).collect::<Result<Vec<_>, _>>()?;
        **json = Json::of_members(kept.iter().map(|(key, value)| (key.as_ref(), *value)));
        mark(event, &marks);
        Ok(true)
    }

    fn outline(&mut self, path: String, value: &str, subject: Option<&str>) -> Result<Outlined, Refusal> {
        let aad = erasure::aad(&self.namespace, &self.id, &path);
        let bytes = erasure::seal(&key_of(self.keys, subject)?, &aad, value.as_bytes(), self.keys.chance());
        let digest = Blake3::of(&bytes);
        self.payloads.push(Payload { digest, bytes });
        Ok(Outlined { path, digest, size: value.len() as u64 })
    }
}

/// Takes a value out of its section.
fn take(event: &mut Event, path: &str) -> Option<String> {
    let (section, key) = path.split_once('.')?;
    let (_, json) = sections(event).into_iter().find(|(name, _)| *name == section)?;
    let members = json.members();
    let value = members.iter().find(|(own, _)| own == key)?.1.to_owned();
    let kept: Vec<_> = members.into_iter().filter(|(own, _)| own != key).collect();
    *json = Json::of_members(kept.iter().map(|(key, value)| (key.as_ref(), *value)));
    Some(value)
}

/// A receiver prefixes the names of facets (`job.sql`, `inputs[0].schema`); the list may name either form.
fn is_listed(key: &str, seal: &[String]) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    seal.iter().any(|s| s == key || s == last)
}

fn rebuild(members: &[(impl AsRef<str>, &str)]) -> Json {
    let mut text = String::from("{");
    for (i, (key, value)) in members.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        write_string(key.as_ref(), &mut text);
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    Json::canonical(&text).unwrap_or_default()
}

fn mark(event: &mut Event, marks: &[Outlined]) {
    if marks.is_empty() {
        return;
    }
    let values: Vec<_> = marks
        .iter()
        .map(|m| (m.path.clone(), format!("{{\"digest\":\"{}\",\"size\":{}}}", m.digest, m.size)))
        .collect();
    let mut members = event.outlined.members();
    members.extend(values.iter().map(|(path, value)| (path.as_str().into(), value.as_str())));
    let outlined = rebuild(&members);
    event.outlined = outlined;
}

/// The id of the nth event over which inputs and outputs of an event were spread.
pub(crate) fn part_id(id: &str, n: u32) -> String {
    format!("{id}#{n}")
}

/// What must stay in one event: an input, an output, or an output with the inputs that led to it.
type Unit = (Vec<Input>, Option<Output>);

/// Spreads inputs and outputs over `running` events of the same attempt.
///
/// Inputs come before the event itself, as they resolve before outputs; outputs come after it, so that a table that
/// this event completes is minted where its rows, tags and `from` stand. A start comes first, as it opens the attempt.
fn spread(
    event: Event,
    id: &str,
    received: Option<Received>,
    payloads: Vec<Payload>,
) -> Result<Vec<Prepared>, Refusal> {
    let too_large = |event: &Event| {
        let bytes = Leaf::new(event, id).as_bytes().len();
        Refusal::whole(format!(
            "is {bytes} bytes long after large values were moved out; at most {LEAF_BYTES_MAX} are kept in one event"
        ))
    };
    let mut rest = Event { inputs: Vec::new(), outputs: Vec::new(), ..event.clone() };
    if event.run.is_none() || Leaf::new(&rest, id).as_bytes().len() > LEAF_BYTES_MAX {
        return Err(too_large(&event));
    }
    rest.id = Some(id.to_owned());
    let empty = part_of(&event);
    let inputs: Vec<Unit> = event.inputs.iter().map(|i| (vec![i.clone()], None)).collect();
    let outputs: Vec<Unit> = event.outputs.iter().map(|o| with_inputs(o, &event.inputs)).collect();
    let whole = || too_large(&event);
    let before = pack(&empty, inputs, id).ok_or_else(whole)?;
    let after = pack(&empty, outputs, id).ok_or_else(whole)?;
    let at = if event.state == State::Start { 0 } else { before.len() };
    let n_parts = before.len() + after.len();
    let mut prepared: Vec<Prepared> = Vec::with_capacity(n_parts + 1);
    for (mut part, n) in before.into_iter().chain(after).zip(1..) {
        let part_id = part_id(id, n);
        part.id = Some(part_id.clone());
        let received = Some(received.unwrap_or_else(|| Received::of(&Blake3::of(part_id.as_bytes()))));
        let leaf = Leaf::new(&part, &part_id);
        prepared.push(Prepared::new(Box::new(part), part_id, received, leaf, Vec::new()));
    }
    let leaf = Leaf::new(&rest, id);
    // Without an id of its own the event keeps none; only its parts need one.
    rest.id = event.id;
    prepared.insert(at, Prepared::new(Box::new(rest), id.to_owned(), received, leaf, payloads));
    prepared[0].following = n_parts;
    Ok(prepared)
}

/// An event of the same attempt without anything in it. What a failed run wrote stays partial.
fn part_of(event: &Event) -> Event {
    let state = if matches!(event.state, State::Fail | State::Abort) { event.state } else { State::Running };
    Event {
        namespace: event.namespace.clone(),
        job: event.job.clone(),
        run: event.run.clone(),
        attempt: event.attempt,
        parent: event.parent.clone(),
        time: event.time,
        state,
        evidence: event.evidence,
        principal: event.principal.clone(),
        ..Event::new(event.kind, event.actor.clone())
    }
}

/// An output with the inputs that its `from` names, never away from them.
fn with_inputs(output: &Output, inputs: &[Input]) -> Unit {
    let Some(from) = &output.from else { return (Vec::new(), Some(output.clone())) };
    let named: Vec<Input> = from.iter().filter_map(|i| inputs.get(*i as usize)).cloned().collect();
    let from = Some((0..named.len() as u32).collect());
    (named, Some(Output { from, ..output.clone() }))
}

/// Fills events with units, in their order; `None` if one does not fit into an event.
fn pack(empty: &Event, units: Vec<Unit>, id: &str) -> Option<Vec<Event>> {
    // An id may grow by `#` and ten digits; ten more digits for each `from` index that moves up.
    let bytes = |event: &Event| Leaf::new(event, id).as_bytes().len() + 16;
    let least = bytes(empty);
    let mut parts: Vec<Event> = Vec::new();
    let mut room = 0;
    for (inputs, output) in units {
        let from = output.iter().filter_map(|o| o.from.as_ref()).map(|f| f.len() * 10).sum::<usize>();
        let alone = Event { inputs: inputs.clone(), outputs: output.iter().cloned().collect(), ..empty.clone() };
        let size = bytes(&alone) - least + from;
        if size > room {
            room = LEAF_BYTES_MAX - least;
            parts.push(empty.clone());
        }
        room = room.checked_sub(size)?;
        let part = parts.last_mut()?;
        let first = part.inputs.len() as u32;
        part.inputs.extend(inputs);
        part.outputs.extend(output.map(|mut o| {
            o.from.iter_mut().flatten().for_each(|index| *index += first);
            o
        }));
    }
    Some(parts)
}
