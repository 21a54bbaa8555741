//! Outlining: large and listed values move to deletable payload storage, so that an event stays within its limit.

use super::canonical::write_string;
use super::{Event, Json, LEAF_BYTES_MAX, Leaf, Refusal};
use crate::digest::Blake3;

/// A facet or value above this many bytes is outlined.
pub const VALUE_BYTES_MAX: usize = 16 * 1024;
/// The salt before a payload's bytes, so that its digest cannot be guessed.
const SALT_BYTES: usize = 16;

/// A value that was moved out of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The digest of the stored bytes (salt and canonical JSON); names the file.
    pub digest: Blake3,
    /// Salt and canonical JSON text.
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
    pub event: Event,
    /// Its own id or the digest of the bytes as received.
    pub id: String,
    /// The digest of the bytes as received, for an event with its own id.
    pub received: Option<Blake3>,
    /// The canonical bytes, `recorded` still blank.
    pub leaf: Leaf,
    /// The values that were moved out; stored before the event is appended.
    pub payloads: Vec<Payload>,
}

/// Outlines what must not or cannot stay inside and serializes each resulting event.
///
/// `received` are the bytes as they came (for our own events: none, they carry an id).
/// `seal` lists the facet names that are always outlined. `salt` seeds the salts.
/// More than one event comes back only if inputs and outputs had to be spread over `running` events.
pub fn prepare(event: Event, received: &[u8], seal: &[String], salt: &[u8; 32]) -> Result<Vec<Prepared>, Refusal> {
    let digest = Blake3::of(received);
    let (id, received) = match &event.id {
        Some(id) => (id.clone(), Some(digest)),
        None => (digest.to_string(), None),
    };
    let mut event = event;
    let mut payloads = Vec::new();
    outline_listed(&mut event, seal, salt, &mut payloads);
    let mut leaf = Leaf::new(&event, &id);
    while leaf.as_bytes().len() > LEAF_BYTES_MAX && outline_largest(&mut event, salt, &mut payloads) {
        leaf = Leaf::new(&event, &id);
    }
    if leaf.as_bytes().len() <= LEAF_BYTES_MAX {
        return Ok(vec![Prepared { event, id, received, leaf, payloads }]);
    }
    spread(event, &id, received, payloads)
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

fn outline_listed(event: &mut Event, seal: &[String], salt: &[u8; 32], payloads: &mut Vec<Payload>) {
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
            marks.push(outline(format!("{section}.{key}"), value, salt, payloads));
        }
        *json = rebuild(&kept);
    }
    mark(event, &marks);
}

/// A receiver prefixes the names of facets (`job.sql`, `inputs[0].schema`); the list may name either form.
fn is_listed(key: &str, seal: &[String]) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    seal.iter().any(|s| s == key || s == last)
}

/// Moves the largest remaining value out; false when none is left that would help.
fn outline_largest(event: &mut Event, salt: &[u8; 32], payloads: &mut Vec<Payload>) -> bool {
    let largest = sections(event)
        .into_iter()
        .enumerate()
        .flat_map(|(i, (_, json))| json.members().into_iter().map(|(k, v)| (v.len(), i, k)).collect::<Vec<_>>())
        .max_by_key(|(size, ..)| *size);
    let Some((size, section, key)) = largest.filter(|(size, ..)| *size > 128) else { return false };
    debug_assert!(size > 0);
    let mut sections = sections(event);
    let (name, json) = &mut sections[section];
    let members = json.members();
    let (out, kept): (Vec<_>, Vec<_>) = members.into_iter().partition(|(k, _)| *k == key);
    let marks: Vec<_> = out.iter().map(|(k, v)| outline(format!("{name}.{k}"), v, salt, payloads)).collect();
    **json = rebuild(&kept);
    mark(event, &marks);
    true
}

fn outline(path: String, value: &str, salt: &[u8; 32], payloads: &mut Vec<Payload>) -> Outlined {
    let mut key = blake3::Hasher::new_keyed(salt);
    key.update(path.as_bytes()).update(value.as_bytes());
    let mut bytes = key.finalize().as_bytes()[..SALT_BYTES].to_vec();
    bytes.extend_from_slice(value.as_bytes());
    let digest = Blake3::of(&bytes);
    payloads.push(Payload { digest, bytes });
    Outlined { path, digest, size: value.len() as u64 }
}

fn rebuild(members: &[(String, &str)]) -> Json {
    let mut text = String::from("{");
    for (i, (key, value)) in members.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        write_string(key, &mut text);
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
    members.extend(values.iter().map(|(path, value)| (path.clone(), value.as_str())));
    let outlined = rebuild(&members);
    event.outlined = outlined;
}

/// Spreads inputs and outputs over `running` events of the same attempt; the last one carries the rest and the state.
fn spread(event: Event, id: &str, received: Option<Blake3>, payloads: Vec<Payload>) -> Result<Vec<Prepared>, Refusal> {
    let too_large = |event: &Event| {
        let bytes = Leaf::new(event, id).as_bytes().len();
        Refusal::whole(format!(
            "is {bytes} bytes long after large values were moved out; at most {LEAF_BYTES_MAX} are kept in one event"
        ))
    };
    if event.run.is_none() || event.outputs.iter().any(|o| o.from.is_some()) || event.state == super::State::Start {
        return Err(too_large(&event));
    }
    let mut parts = Vec::new();
    let mut rest = event;
    rest.id = Some(id.to_owned());
    while Leaf::new(&rest, id).as_bytes().len() > LEAF_BYTES_MAX {
        let mut part = Event::new(rest.kind, rest.actor.clone());
        part.namespace.clone_from(&rest.namespace);
        part.job.clone_from(&rest.job);
        part.run.clone_from(&rest.run);
        part.attempt = rest.attempt;
        part.time = rest.time;
        part.state = super::State::Running;
        part.evidence = rest.evidence;
        part.principal.clone_from(&rest.principal);
        let n_refs = rest.inputs.len() + rest.outputs.len();
        let mut room = LEAF_BYTES_MAX - Leaf::new(&part, id).as_bytes().len() - 64;
        let mut take = |size: usize| {
            let fits = size <= room;
            room -= if fits { size } else { 0 };
            fits
        };
        let n_inputs = rest.inputs.iter().take_while(|i| take(reference_bytes(&i.reference, 0))).count();
        part.inputs = rest.inputs.drain(..n_inputs).collect();
        let n_outputs = rest
            .outputs
            .iter()
            .take_while(|o| take(reference_bytes(&o.reference, o.tags.iter().map(String::len).sum())))
            .count();
        part.outputs = rest.outputs.drain(..n_outputs).collect();
        if n_refs == rest.inputs.len() + rest.outputs.len() {
            return Err(too_large(&rest));
        }
        parts.push(part);
    }
    let n_parts = parts.len();
    let mut prepared = Vec::with_capacity(n_parts + 1);
    for (i, mut part) in parts.into_iter().enumerate() {
        let part_id = format!("{id}#{}", i + 1);
        part.id = Some(part_id.clone());
        let digest = received.unwrap_or_else(|| Blake3::of(part_id.as_bytes()));
        prepared.push(Prepared {
            leaf: Leaf::new(&part, &part_id),
            event: part,
            id: part_id,
            received: Some(digest),
            payloads: Vec::new(),
        });
    }
    prepared.push(Prepared { leaf: Leaf::new(&rest, id), event: rest, id: id.to_owned(), received, payloads });
    Ok(prepared)
}

/// An upper bound of the canonical bytes of a reference.
fn reference_bytes(reference: &super::Ref, tags: usize) -> usize {
    let text = |t: &Option<String>| t.as_ref().map_or(0, |t| t.len() * 2 + 16);
    let digests: usize = reference.digest.iter().chain(&reference.digests).map(|d| d.as_str().len() + 16).sum();
    128 + text(&reference.name) + text(&reference.namespace) + text(&reference.version) + digests + tags * 2
}
