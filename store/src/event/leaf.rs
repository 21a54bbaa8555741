//! The leaf: the canonical bytes of an event, which the log keeps and proofs hash.

use super::canonical::{Json, write_string};
use super::{About, Event, Input, Output, Parent, Ref, Role, RunRef};
use crate::digest::Digest;

/// The width of the text of `recorded`, so that it can be set last.
const RECORDED_BYTES: usize = 27;

/// Room for a usual event beside its facets.
const LEAF_BYTES_USUAL: usize = 1024;

/// What stands for `recorded` until it is known.
const BLANK: &str = "1970-01-01T00:00:00.000000Z";

/// Canonical bytes with room for `recorded`, which only the appender knows.
#[derive(Clone, Debug)]
pub struct Leaf {
    bytes: Vec<u8>,
    recorded_at: usize,
    /// Where `time` stands, if it is to be the instant of recording.
    time_at: Option<usize>,
}

impl Leaf {
    /// Serializes an event; `id` is its own or the digest of the bytes as received.
    pub fn new(event: &Event, id: &str) -> Self {
        let mut out = Object { text: String::with_capacity(LEAF_BYTES_USUAL + event.facets.as_str().len()) };
        out.open();
        if !event.about.is_empty() {
            out.list("about", &event.about, about);
        }
        out.string("actor", &event.actor);
        out.json("args", event.args.json());
        if let Some(attempt) = event.attempt {
            out.raw("attempt", &attempt.to_string());
        }
        out.json("code", &event.code);
        out.option("environment", event.environment.as_ref());
        out.string("evidence", event.evidence.as_str());
        out.json("facets", &event.facets);
        out.string("id", id);
        if !event.inputs.is_empty() {
            out.list("inputs", &event.inputs, input);
        }
        out.option("job", event.job.as_ref());
        out.string("kind", event.kind.as_str());
        out.json("metrics", &event.metrics);
        out.string("namespace", &event.namespace);
        out.option("outcome", event.outcome.map(super::Outcome::as_str).as_ref());
        out.json("outlined", &event.outlined);
        if !event.outputs.is_empty() {
            out.list("outputs", &event.outputs, output);
        }
        out.json("params", &event.params);
        if let Some(run) = &event.parent {
            out.key("parent");
            parent(run, &mut out);
        }
        out.option("principal", event.principal.as_ref());
        out.string("recorded", BLANK);
        let recorded_at = out.text.len() - 1 - RECORDED_BYTES;
        out.option("run", event.run.as_ref());
        out.json("sealed", &event.sealed);
        out.option("service", event.service.as_ref());
        out.json("software", &event.software);
        out.string("state", event.state.as_str());
        if !event.tags.is_empty() {
            out.list("tags", &event.tags, |tag, out| write_string(tag, &mut out.text));
        }
        out.string("time", &event.time.map_or(BLANK.to_owned(), |t| t.to_string()));
        let time_at = event.time.is_none().then(|| out.text.len() - 1 - RECORDED_BYTES);
        out.raw("v", "1");
        out.text.push('}');
        Self { bytes: out.text.into_bytes(), recorded_at, time_at }
    }

    /// Sets the instant of recording, given as [`crate::time::Time::micros`].
    pub fn record(&mut self, text: &str) {
        debug_assert_eq!(text.len(), RECORDED_BYTES);
        for at in [Some(self.recorded_at), self.time_at].into_iter().flatten() {
            self.bytes[at..at + RECORDED_BYTES].copy_from_slice(text.as_bytes());
        }
    }

    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes the members of one object, in the order in which they are given.
struct Object {
    text: String,
}

impl Object {
    fn key(&mut self, key: &str) {
        if !self.text.ends_with('{') {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(key);
        self.text.push_str("\":");
    }

    fn raw(&mut self, key: &str, value: &str) {
        self.key(key);
        self.text.push_str(value);
    }

    fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        write_string(value, &mut self.text);
    }

    fn option(&mut self, key: &str, value: Option<&impl AsRef<str>>) {
        if let Some(value) = value {
            self.string(key, value.as_ref());
        }
    }

    fn digest(&mut self, key: &str, digest: &Digest) {
        self.key(key);
        if digest.weak_label().is_some() {
            return write_string(&digest.text(), &mut self.text);
        }
        // Hex digits need no escapes.
        self.text.push('"');
        digest.write(&mut self.text);
        self.text.push('"');
    }

    fn json(&mut self, key: &str, value: &Json) {
        if !value.is_empty() {
            self.raw(key, value.as_str());
        }
    }

    fn list<T>(&mut self, key: &str, items: &[T], write: impl Fn(&T, &mut Self)) {
        self.key(key);
        self.text.push('[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.text.push(',');
            }
            write(item, self);
        }
        self.text.push(']');
    }

    fn open(&mut self) {
        self.text.push('{');
    }

    fn close(&mut self) {
        self.text.push('}');
    }
}

fn digests(reference: &Ref, out: &mut Object) {
    if let Some(digest) = &reference.digest {
        out.digest("digest", digest);
    }
    if !reference.digests.is_empty() {
        out.list("digests", &reference.digests, |digest, out| write_string(&digest.text(), &mut out.text));
    }
}

fn naming(reference: &Ref, out: &mut Object) {
    out.option("kind", reference.kind.map(super::EntityKind::as_str).as_ref());
    out.option("label", reference.label.as_ref());
    out.option("name", reference.name.as_ref());
    out.option("namespace", reference.namespace.as_ref());
}

fn input(input: &Input, out: &mut Object) {
    out.open();
    digests(&input.reference, out);
    if input.inferred {
        out.raw("inferred", "true");
    }
    naming(&input.reference, out);
    if input.role != Role::Data {
        out.string("role", input.role.as_str());
    }
    if let Some(size) = input.size {
        out.raw("size", &size.to_string());
    }
    out.option("version", input.reference.version.as_ref());
    out.close();
}

fn output(output: &Output, out: &mut Object) {
    out.open();
    digests(&output.reference, out);
    if let Some(from) = &output.from {
        out.list("from", from, |i, out| out.text.push_str(&i.to_string()));
    }
    naming(&output.reference, out);
    if let Some(rows) = output.rows {
        out.raw("rows", &rows.to_string());
    }
    if let Some(size) = output.size {
        out.raw("size", &size.to_string());
    }
    if !output.tags.is_empty() {
        out.list("tags", &output.tags, |tag, out| write_string(tag, &mut out.text));
    }
    out.option("version", output.reference.version.as_ref());
    out.close();
}

fn about(about: &About, out: &mut Object) {
    out.open();
    match about {
        About::Thing(reference) => {
            digests(reference, out);
            naming(reference, out);
            out.option("version", reference.version.as_ref());
        }
        About::Run(run) => {
            out.key("run");
            run_object(run, None, out);
        }
        About::Event(id) => out.string("event", id),
    }
    out.close();
}

fn parent(parent: &Parent, out: &mut Object) {
    run_object(&parent.run, parent.root.as_ref(), out);
}

fn run_object(run: &RunRef, root: Option<&RunRef>, out: &mut Object) {
    out.open();
    out.option("job", run.job.as_ref());
    out.option("namespace", run.namespace.as_ref());
    if let Some(root) = root {
        out.key("root");
        run_object(root, None, out);
    }
    out.string("run", &run.run);
    out.close();
}
