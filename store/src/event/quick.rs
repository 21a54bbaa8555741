//! Reads the usual form of a native event in one pass; whatever is unusual is left to the strict reader.
//!
//! Most events are plain: known fields, each once, strings without escapes. For these the fields go straight from the
//! text into the event. Anything else, and everything that is wrong, gives `None`, and the strict reader decides and
//! explains. What this one accepts the strict one accepts, too, as the same event; a test compares them.

use super::canonical::Scan;
use super::parse::{INTEGER_MAX, REFS_MAX, check_metrics};
use super::{About, Args, EntityKind, Event, Input, Json, Kind, Outcome, Output, Parent, Ref, Role, RunRef, State};
use crate::digest::{Algorithm, Digest};

/// Reads an event; `None` where the strict reader is needed. Its [`Event::check`] is still to be done.
pub(super) fn read(text: &str, caller: &str) -> Option<Box<Event>> {
    let mut reader = Reader { scan: Scan::new(text) };
    // The kind is set by the field; until then it is none that needs arguments.
    let mut event = Box::new(Event::new(Kind::Register, caller));
    let mut draft = Draft::default();
    reader.object(|reader, key| reader.field(key, &mut event, &mut draft))?;
    reader.scan.ends().then_some(())?;
    draft.finish(&mut event)?;
    Some(event)
}

/// What is known of an event beside its fields.
#[derive(Default)]
struct Draft {
    seen: Seen,
    args: Json,
}

impl Draft {
    fn finish(self, event: &mut Event) -> Option<()> {
        self.seen.has(field::V | field::KIND).then_some(())?;
        let n_inputs = event.inputs.len();
        let froms = event.outputs.iter().filter_map(|o| o.from.as_ref());
        froms.flatten().all(|i| (*i as usize) < n_inputs).then_some(())?;
        event.args = Args::check(event.kind, self.args).ok()?;
        check_metrics(&event.metrics).ok()
    }
}

/// Fields of one object that were met; a second one of a name is for the strict reader to refuse.
#[derive(Default)]
struct Seen(u32);

impl Seen {
    /// The bit of a field that is known and was not met before.
    fn once(&mut self, name: &str) -> Option<u32> {
        let field = field::of(name).filter(|field| self.0 & field == 0)?;
        self.0 |= field;
        Some(field)
    }

    fn has(&self, fields: u32) -> bool {
        self.0 & fields == fields
    }
}

/// One bit a field.
mod field {
    macro_rules! bits {
        ($($name:ident = $text:literal = $bit:literal),+ $(,)?) => {
            $(pub(super) const $name: u32 = 1 << $bit;)+

            /// The bit of a field that this reader knows.
            pub(super) fn of(name: &str) -> Option<u32> {
                match name { $($text => Some($name),)+ _ => None }
            }
        };
    }
    bits!(
        V = "v" = 0,
        KIND = "kind" = 1,
        ID = "id" = 2,
        TIME = "time" = 3,
        ACTOR = "actor" = 4,
        NAMESPACE = "namespace" = 5,
        JOB = "job" = 6,
        RUN = "run" = 7,
        ATTEMPT = "attempt" = 8,
        STATE = "state" = 9,
        PARENT = "parent" = 10,
        INPUTS = "inputs" = 11,
        OUTPUTS = "outputs" = 12,
        ABOUT = "about" = 13,
        ENVIRONMENT = "environment" = 14,
        SERVICE = "service" = 15,
        OUTCOME = "outcome" = 16,
        PARAMS = "params" = 17,
        METRICS = "metrics" = 18,
        TAGS = "tags" = 19,
        CODE = "code" = 20,
        SOFTWARE = "software" = 21,
        FACETS = "facets" = 22,
        ARGS = "args" = 23,
        NAME = "name" = 24,
        VERSION = "version" = 25,
        DIGEST = "digest" = 26,
        ROLE = "role" = 27,
        SIZE = "size" = 28,
        ROWS = "rows" = 29,
        FROM = "from" = 30,
        INFERRED = "inferred" = 31,
    );
}

struct Reader<'a> {
    scan: Scan<'a>,
}

impl<'a> Reader<'a> {
    fn object(&mut self, mut member: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.scan.take(b'{')?;
        if self.scan.take(b'}').is_some() {
            return Some(());
        }
        loop {
            let key = self.scan.plain()?;
            self.scan.take(b':')?;
            member(self, key)?;
            if self.scan.take(b',').is_none() {
                return self.scan.take(b'}');
            }
        }
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.scan.take(b'[')?;
        let mut items = Vec::new();
        if self.scan.take(b']').is_some() {
            return Some(items);
        }
        loop {
            items.push(item(self)?);
            if self.scan.take(b',').is_none() {
                self.scan.take(b']')?;
                return Some(items);
            }
        }
    }

    fn text(&mut self) -> Option<String> {
        self.scan.plain().map(str::to_owned)
    }

    fn number(&mut self) -> Option<u64> {
        self.scan.digits().filter(|number| *number <= INTEGER_MAX)
    }

    fn json(&mut self) -> Option<Json> {
        self.scan.canonical_object()
    }

    fn field(&mut self, key: &str, event: &mut Event, draft: &mut Draft) -> Option<()> {
        let field = draft.seen.once(key)?;
        match field {
            field::V => {
                (self.number()? == 1).then_some(())?;
            }
            field::KIND => {
                event.kind = Kind::from_word(self.scan.plain()?)?;
            }
            field::ID => {
                event.id = Some(self.text()?);
            }
            field::TIME => {
                event.time = Some(self.scan.plain()?.parse().ok()?);
            }
            field::ACTOR => {
                event.actor = self.text()?;
            }
            field::NAMESPACE => {
                event.namespace = self.text()?;
            }
            field::JOB => {
                event.job = Some(self.text()?);
            }
            field::RUN => {
                event.run = Some(self.text()?);
            }
            field::ATTEMPT => {
                let number = self.number()?;
                event.attempt = Some(u32::from(u16::try_from(number).ok().filter(|n| *n > 0)?));
            }
            field::STATE => {
                event.state = State::from_word(self.scan.plain()?)?;
            }
            field::PARENT => {
                event.parent = Some(self.parent()?);
            }
            field::INPUTS => {
                event.inputs = self.list(Self::input)?;
                (event.inputs.len() <= REFS_MAX).then_some(())?;
            }
            field::OUTPUTS => {
                event.outputs = self.list(Self::output)?;
                (event.outputs.len() <= REFS_MAX).then_some(())?;
            }
            field::ABOUT => {
                event.about = self.list(Self::about)?;
                (event.about.len() <= REFS_MAX).then_some(())?;
            }
            field::ENVIRONMENT => {
                event.environment = Some(self.text()?);
            }
            field::SERVICE => {
                event.service = Some(self.text()?);
            }
            field::OUTCOME => {
                event.outcome = Some(Outcome::from_word(self.scan.plain()?)?);
            }
            field::PARAMS => {
                event.params = self.json()?;
            }
            field::METRICS => {
                event.metrics = self.json()?;
            }
            field::TAGS => {
                event.tags = self.list(Self::text)?;
            }
            field::CODE => {
                event.code = self.json()?;
            }
            field::SOFTWARE => {
                event.software = self.json()?;
            }
            field::FACETS => {
                event.facets = self.json()?;
            }
            field::ARGS => {
                draft.args = self.json()?;
            }
            _ => return None,
        }
        Some(())
    }

    /// A parent without root; one with a root is rare.
    fn parent(&mut self) -> Option<Parent> {
        let (mut namespace, mut job, mut run) = (None, None, None);
        let mut seen = Seen::default();
        self.object(|reader, key| {
            let target = match seen.once(key)? {
                field::NAMESPACE => &mut namespace,
                field::JOB => &mut job,
                field::RUN => &mut run,
                _ => return None,
            };
            *target = Some(reader.text()?);
            Some(())
        })?;
        Some(Parent { run: RunRef { namespace, job, run: run? }, root: None })
    }

    fn input(&mut self) -> Option<Input> {
        let mut input = Input { reference: Ref::default(), role: Role::Data, size: None, inferred: false };
        let mut seen = Seen::default();
        self.object(|reader, key| {
            match seen.once(key)? {
                field::ROLE => {
                    input.role = Role::from_word(reader.scan.plain()?)?;
                }
                field::SIZE => {
                    input.size = Some(reader.number()?);
                }
                field::INFERRED => {
                    input.inferred = reader.scan.boolean()?;
                }
                field => reader.reference(field, &mut input.reference)?,
            }
            Some(())
        })?;
        is_whole(&input.reference).then_some(input)
    }

    fn output(&mut self) -> Option<Output> {
        let mut output = Output::default();
        let mut seen = Seen::default();
        self.object(|reader, key| {
            match seen.once(key)? {
                field::SIZE => {
                    output.size = Some(reader.number()?);
                }
                field::ROWS => {
                    output.rows = Some(reader.number()?);
                }
                field::TAGS => {
                    output.tags = reader.list(Self::text)?;
                }
                field::FROM => {
                    output.from = Some(reader.list(|r| u32::try_from(r.number()?).ok())?);
                }
                field => reader.reference(field, &mut output.reference)?,
            }
            Some(())
        })?;
        (output.reference.name.is_some() && is_whole(&output.reference)).then_some(output)
    }

    /// A thing; what names a run or an event is rare.
    fn about(&mut self) -> Option<About> {
        let (mut reference, mut seen) = (Ref::default(), Seen::default());
        self.object(|reader, key| reader.reference(seen.once(key)?, &mut reference))?;
        is_whole(&reference).then_some(About::Thing(reference))
    }

    fn reference(&mut self, field: u32, reference: &mut Ref) -> Option<()> {
        match field {
            field::KIND => {
                reference.kind = Some(EntityKind::from_word(self.scan.plain()?)?);
            }
            field::NAMESPACE => {
                reference.namespace = Some(self.text()?);
            }
            field::NAME => {
                reference.name = Some(self.text()?);
            }
            field::VERSION => {
                reference.version = Some(self.text()?);
            }
            field::DIGEST => {
                reference.digest = Some(self.scan.plain()?.parse().ok()?);
            }
            // Labels and further digests come from receivers, which build events without text.
            _ => return None,
        }
        Some(())
    }
}

/// Whether a reference names something: by a name, or by a digest that can tell bytes apart.
fn is_whole(reference: &Ref) -> bool {
    let strong = |digest: &Digest| digest.algorithm != Algorithm::Weak;
    reference.name.is_some() || reference.digest.as_ref().is_some_and(strong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Events with every field that this reader takes, and some that it leaves alone.
    const SEEDS: [&str; 7] = [
        r#"{"v":1,"kind":"training","id":"e","time":"2026-11-20T10:00:00Z","actor":"ana","namespace":"n","job":"j","run":"r","attempt":2,"state":"complete","inputs":[{"kind":"dataset","name":"d","version":"v1","role":"data","size":12,"inferred":true},{"name":"x","namespace":"m"}],"outputs":[{"kind":"model","name":"m","digest":"b3:0000000000000000000000000000000000000000000000000000000000000001","size":3,"rows":4,"tags":["t"],"from":[0,1]}],"params":{"b":[1.50,-0,1e3],"a":{"z":"é","y":null}},"metrics":{"auc":0.93,"n":123456789012345,"x":"NaN"},"tags":["a","b"],"code":{},"software":{"python":"3.11"},"facets":{"f":true}}"#,
        r#" { "v" : 1 , "kind" : "audit" , "about" : [ { "kind" : "model" , "name" : "m" } ] , "outcome" : "pass" , "args" : { "valid_until" : "2026-11-20T10:00:00Z" } } "#,
        r#"{"v":1,"kind":"deployment","about":[{"name":"m"}],"environment":"prod","service":"s","parent":{"namespace":"n","job":"j","run":"r"}}"#,
        r#"{"v":1,"kind":"transform","run":"r","parent":{"run":"p","root":{"run":"q"}},"sealed":{}}"#,
        r#"{"v":1,"kind":"tag","about":[{"name":"m"}],"args":{"tags":["x"]}}"#,
        r#"{"v":1,"kind":"transform","outputs":[{"name":"a\u0041","digest":"sha256:00"}],"params":{"a":1,"a":2}}"#,
        r#"{"v":1,"kind":"retract","about":[{"event":"e"},{"run":"r"}],"metrics":{"a":1e400}}"#,
    ];

    fn compare(text: &str) -> bool {
        let strict = Event::parse_strictly(text, "ana");
        match read(text, "ana") {
            Some(event) => {
                assert_eq!(strict.as_ref(), Ok(&*event), "{text}");
                true
            }
            None => false,
        }
    }

    #[test]
    fn usual_events_are_read() {
        let read: Vec<_> = SEEDS.iter().map(|seed| compare(seed)).collect();
        assert_eq!(read, [true, true, true, false, true, false, false]);
    }

    #[test]
    fn wrong_numbers_are_left_alone() {
        for number in ["01", "1.", ".5", "-", "1e", "+1", "--1", "1.2.3", "1e5.0"] {
            assert!(
                !compare(&format!(r#"{{"v":1,"kind":"transform","run":"r","params":{{"a":{number}}}}}"#)),
                "{number}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        /// Whatever is done to a text, what this reader accepts is what the strict one accepts.
        #[test]
        fn agrees_with_the_strict_reader(
            seed in prop::sample::select(&SEEDS[..]),
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, prop::sample::select(PIECES)), 0..3),
        ) {
            let mut text: Vec<char> = seed.chars().collect();
            for (index, length, piece) in edits {
                let at = index.index(text.len() + 1);
                let end = (at + length).min(text.len());
                text.splice(at..end, piece.chars());
            }
            compare(&text.into_iter().collect::<String>());
        }
    }

    /// What is put into a text.
    const PIECES: &[&str] = &[
        "",
        " ",
        "\n",
        "\t",
        "\u{1}",
        "\u{7f}",
        "é",
        "\"",
        "\\",
        "\\n",
        ",",
        ":",
        "{",
        "}",
        "[",
        "]",
        "0",
        "1",
        "-",
        ".",
        "e",
        "null",
        "true",
        "NaN",
        "{}",
        "[]",
        "\"a\"",
        "\"name\":\"q\",",
        "\"v\":1,",
        "\"role\":\"eval\",",
        "\"from\":[7],",
        "9007199254740993",
        "0.1234567890123456",
        "\"run\":null,",
        "\"args\":{\"x\":1},",
    ];
}
