//! The proof file: events under one checkpoint, and statements that follow from their leaves alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Invalid;
use super::checkpoint::SignedCheckpoint;
use super::key::VerifierKey;
use super::tree::{Hash, PROOF_HASHES_MAX, includes};
use crate::event::{About, Event, Json, Kind, Outcome, Ref, Role};

/// The name and version of the format.
pub const PROOF_SCHEMA: &str = "lineage.proof/1";

/// What the `text` of every proof file ends with.
pub const PRESENCE_ONLY: &str = "This file proves that these events were recorded, in this order, before the checkpoint \
     was signed. It does not prove that no other events were: that takes the whole log up to the checkpoint. What the \
     events say is what was said or observed then; the log cannot make it true.";

/// Events under one checkpoint, with what follows from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofFile {
    /// [`PROOF_SCHEMA`].
    pub schema: String,
    /// The version that it is about.
    pub about: Reference,
    /// The public key of the log.
    pub key: String,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The events, by position.
    pub events: Vec<ProvenEvent>,
    /// What follows from them.
    pub statements: Vec<Statement>,
    /// The same for people.
    pub text: Vec<String>,
}

/// A version as a statement names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The kind of its entity.
    pub kind: String,
    /// The namespace of its entity.
    pub namespace: String,
    /// The name of its entity.
    pub name: String,
    /// `vN`.
    pub version: String,
    /// Its digest, where it has one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub digest: Option<String>,
}

/// An event with the proof that it is under the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenEvent {
    /// Its position.
    pub position: u64,
    /// Its leaf.
    pub leaf: String,
    /// The hashes of its inclusion proof, in base64.
    pub proof: Vec<String>,
}

/// By what an entry of a leaf is the version that a statement names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// By its bytes.
    Digest,
    /// By the version that the leaf names.
    Version,
    /// By its name alone; the version follows from the whole log.
    Name,
}

/// What follows from the leaves of a proof file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "lowercase", deny_unknown_fields)]
pub enum Statement {
    /// An event made a version.
    Made {
        /// Its position.
        event: u64,
        /// What it made.
        what: Reference,
        /// How the leaf names it.
        by: By,
    },
    /// An event used a version.
    Used {
        /// Its position.
        event: u64,
        /// What it used.
        what: Reference,
        /// In which role.
        role: String,
        /// How the leaf names it.
        by: By,
    },
    /// An evaluation, audit or deployment is about a version.
    About {
        /// Its position.
        event: u64,
        /// Its kind.
        kind: String,
        /// Its verdict.
        #[serde(deserialize_with = "Option::deserialize")]
        outcome: Option<String>,
        /// Where it was deployed to.
        #[serde(deserialize_with = "Option::deserialize")]
        environment: Option<String>,
        /// What it is about.
        what: Reference,
        /// How the leaf names it.
        by: By,
    },
    /// An event names its code.
    Code {
        /// Its position.
        event: u64,
        /// The member `code` of its leaf.
        code: serde_json::Map<String, serde_json::Value>,
    },
    /// Events are of one run.
    Step {
        /// Their positions.
        events: Vec<u64>,
    },
    /// An event was recorded, and happened, before another.
    Before {
        /// The position of the earlier one.
        first: u64,
        /// That of the later one.
        then: u64,
    },
}

/// What a proof file that is right shows.
#[derive(Clone, Debug)]
pub struct Proven {
    /// The checkpoint.
    pub checkpoint: SignedCheckpoint,
    /// The key that signed it.
    pub key: VerifierKey,
}

impl ProofFile {
    /// Reads a proof file; nothing is checked yet.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        serde_json::from_str(text).map_err(|error| Invalid(format!("it is no proof file: {error}")))
    }

    /// The text of the file.
    pub fn text(&self) -> Result<String, Invalid> {
        serde_json::to_string(self).map(|text| text + "\n").map_err(|error| Invalid(error.to_string()))
    }

    /// Checks the signature, every inclusion and every statement; with `key`, the file must name that one.
    pub fn verify(&self, key: Option<&VerifierKey>) -> Result<Proven, Invalid> {
        if self.schema != PROOF_SCHEMA {
            return Err(Invalid(format!("its schema is not {PROOF_SCHEMA}")));
        }
        let own = VerifierKey::parse(&self.key)?;
        if key.is_some_and(|key| *key != own) {
            return Err(Invalid(format!("it names the key {own}, not the one that was given")));
        }
        let checkpoint = SignedCheckpoint::parse(&self.checkpoint)?;
        checkpoint.verify(&own)?;
        let mut events = BTreeMap::new();
        for event in &self.events {
            if events.last_key_value().is_some_and(|(last, _)| *last >= event.position) {
                return Err(Invalid::new("the positions of its events do not ascend"));
            }
            events.insert(event.position, event.verify(&checkpoint)?);
        }
        for statement in &self.statements {
            statement.verify(&events)?;
        }
        Ok(Proven { checkpoint, key: own })
    }
}

impl ProvenEvent {
    fn verify(&self, checkpoint: &SignedCheckpoint) -> Result<Event, Invalid> {
        let position = self.position;
        let not_there = || Invalid(format!("event {position} is not in the tree of the checkpoint"));
        if self.proof.len() > PROOF_HASHES_MAX {
            return Err(not_there());
        }
        let proof: Option<Vec<Hash>> = self.proof.iter().map(|hash| Hash::from_base64(hash)).collect();
        let proof = proof.ok_or_else(not_there)?;
        let leaf = Hash::leaf(self.leaf.as_bytes());
        if !includes(&leaf, position, checkpoint.size(), &proof, &checkpoint.root()) {
            return Err(not_there());
        }
        let event = Event::from_leaf(self.leaf.as_bytes());
        event.map(|(event, _)| event).map_err(|refusal| Invalid(format!("event {position}: {refusal}")))
    }
}

/// The events of a file by position.
type Events = BTreeMap<u64, Event>;

fn at(events: &Events, position: u64) -> Result<&Event, Invalid> {
    events.get(&position).ok_or_else(|| Invalid(format!("it states something about event {position}, which it lacks")))
}

impl Statement {
    /// Whether the statement follows from the events.
    fn verify(&self, events: &Events) -> Result<(), Invalid> {
        let holds = match self {
            Self::Made { event, what, by } => {
                let event = at(events, *event)?;
                event.outputs.iter().any(|output| what.is(&output.reference, *by, event))
            }
            Self::Used { event, what, role, by } => {
                let event = at(events, *event)?;
                let mut inputs = event.inputs.iter().filter(|input| input.role.as_str() == role);
                inputs.any(|input| what.is(&input.reference, *by, event))
            }
            Self::About { event, kind, outcome, environment, what, by } => {
                let event = at(events, *event)?;
                let is_as_stated = event.kind.as_str() == kind
                    && event.outcome.map(Outcome::as_str) == outcome.as_deref()
                    && event.environment == *environment;
                let about = |about: &About| matches!(about, About::Thing(thing) if what.is(thing, *by, event));
                is_as_stated && event.about.iter().any(about)
            }
            Self::Code { event, code } => {
                let code = Json::from_value(&serde_json::Value::Object(code.clone()));
                let event = at(events, *event)?;
                !event.code.is_empty() && code.is_ok_and(|code| code == event.code)
            }
            Self::Step { events: positions } => {
                let members = positions.iter().map(|position| at(events, *position)).collect::<Result<Vec<_>, _>>()?;
                let run = |event: &Event| (event.namespace.clone(), event.job.clone(), event.run.clone());
                let has_run = members.first().is_some_and(|first| first.run.is_some());
                has_run && members.len() > 1 && members.windows(2).all(|pair| run(pair[0]) == run(pair[1]))
            }
            Self::Before { first, then } => first < then && at(events, *first)?.time <= at(events, *then)?.time,
        };
        if holds { Ok(()) } else { Err(Invalid(format!("a statement does not follow from its events: {self}"))) }
    }
}

impl std::fmt::Display for Statement {
    /// A sentence for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Made { event, what, by } => write!(f, "event {event} made {what}, {by}"),
            Self::Used { event, what, role, by } => write!(f, "event {event} used {what} as {role}, {by}"),
            Self::About { event, kind, outcome, environment, what, by } => {
                write!(f, "event {event}: {kind} of {what}")?;
                outcome.iter().try_for_each(|outcome| write!(f, " with outcome {outcome}"))?;
                environment.iter().try_for_each(|environment| write!(f, " to {environment}"))?;
                write!(f, ", {by}")
            }
            Self::Code { event, .. } => write!(f, "event {event} names its code"),
            Self::Step { events } => write!(f, "events {events:?} are one step"),
            Self::Before { first, then } => write!(f, "event {first} came before event {then}"),
        }
    }
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Digest => "named by its bytes",
            Self::Version => "named by its version",
            Self::Name => "named by its name; which version that was follows from the whole log",
        })
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}@{}", self.kind, self.name, self.version)
    }
}

impl Reference {
    /// Whether an entry of an event is this version, by what it says.
    fn is(&self, entry: &Ref, by: By, event: &Event) -> bool {
        let is_kind = entry.kind.is_none_or(|kind| kind.as_str() == self.kind);
        let own = if entry.name.is_some() { &event.namespace } else { &self.namespace };
        let named = entry.name.as_deref();
        if !is_kind
            || entry.namespace.as_ref().unwrap_or(own) != &self.namespace
            || named.is_some_and(|name| name != self.name)
        {
            return false;
        }
        match by {
            By::Digest => {
                let mut digests = entry.digest.iter().chain(&entry.digests);
                self.digest.as_ref().is_some_and(|digest| digests.any(|known| known.text() == *digest))
            }
            By::Version => named.is_some() && entry.version.as_ref() == Some(&self.version),
            By::Name => named.is_some() && entry.version.is_none(),
        }
    }

    /// By what an entry of an event is this version; the strongest that holds.
    pub(super) fn by(&self, entry: &Ref, event: &Event) -> Option<By> {
        [By::Digest, By::Version, By::Name].into_iter().find(|by| self.is(entry, *by, event))
    }
}

/// Whether events of a kind tell something about a version that a proof shows.
pub(super) fn is_judgement(kind: Kind) -> bool {
    matches!(kind, Kind::Evaluation | Kind::Audit | Kind::Deployment | Kind::Approve)
}

/// The word for a role.
pub(super) fn role_word(role: Role) -> String {
    role.as_str().to_owned()
}
