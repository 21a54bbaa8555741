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

/// An entry of a leaf, restated; nothing in it is more than the leaf says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The kind, where the entry has one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub kind: Option<String>,
    /// The namespace of the entry, else of the event.
    pub namespace: String,
    /// The name, where the entry has one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub name: Option<String>,
    /// The version, if the entry names no digest but one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub version: Option<String>,
    /// The digest, or one of the digests.
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
    },
    /// An event used a version.
    Used {
        /// Its position.
        event: u64,
        /// What it used.
        what: Reference,
        /// In which role.
        role: String,
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
        if !self.statements.iter().any(|statement| statement.what() == Some(&self.about)) {
            return Err(Invalid::new("no statement is about what the file says it is about"));
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
    /// The version that it states something of.
    fn what(&self) -> Option<&Reference> {
        match self {
            Self::Made { what, .. } | Self::Used { what, .. } | Self::About { what, .. } => Some(what),
            Self::Code { .. } | Self::Step { .. } | Self::Before { .. } => None,
        }
    }

    /// Whether the statement follows from the events.
    fn verify(&self, events: &Events) -> Result<(), Invalid> {
        let holds = match self {
            Self::Made { event, what } => {
                let event = at(events, *event)?;
                event.outputs.iter().any(|output| what.is(&output.reference, event))
            }
            Self::Used { event, what, role } => {
                let event = at(events, *event)?;
                let mut inputs = event.inputs.iter().filter(|input| input.role.as_str() == role);
                inputs.any(|input| what.is(&input.reference, event))
            }
            Self::About { event, kind, outcome, environment, what } => {
                let event = at(events, *event)?;
                let is_as_stated = event.kind.as_str() == kind
                    && event.outcome.map(Outcome::as_str) == outcome.as_deref()
                    && event.environment == *environment;
                let about = |about: &About| matches!(about, About::Thing(thing) if what.is(thing, event));
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
            Self::Made { event, what } => write!(f, "event {event} made {what}"),
            Self::Used { event, what, role } => write!(f, "event {event} used {what} as {role}"),
            Self::About { event, kind, outcome, environment, what } => {
                write!(f, "event {event}: {kind} of {what}")?;
                outcome.iter().try_for_each(|outcome| write!(f, " with outcome {outcome}"))?;
                environment.iter().try_for_each(|environment| write!(f, " to {environment}"))?;
                write!(f, "")
            }
            Self::Code { event, .. } => write!(f, "event {event} names its code"),
            Self::Step { events } => write!(f, "events {events:?} are one step"),
            Self::Before { first, then } => write!(f, "event {first} came before event {then}"),
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, name) = (self.kind.as_deref().unwrap_or("something"), self.name.as_deref().unwrap_or("unnamed"));
        write!(f, "{kind} {name}")?;
        match (&self.digest, &self.version) {
            (Some(digest), _) => write!(f, " with the bytes {digest}"),
            (None, Some(version)) => write!(f, "@{version}"),
            (None, None) => write!(f, " by its name alone (which version that was follows from the whole log)"),
        }
    }
}

impl Reference {
    /// Restates an entry of an event that means the version with a digest.
    pub(super) fn of(entry: &Ref, event: &Event, digest: Option<&str>) -> Self {
        let mut digests = entry.digest.iter().chain(&entry.digests).map(|known| known.text().into_owned());
        let digest = digests.find(|known| Some(known.as_str()) == digest);
        Self {
            kind: entry.kind.map(|kind| kind.as_str().to_owned()),
            namespace: entry.namespace.as_ref().unwrap_or(&event.namespace).clone(),
            name: entry.name.clone(),
            version: entry.version.clone().filter(|_| digest.is_none()),
            digest,
        }
    }

    /// Whether it restates an entry of an event.
    fn is(&self, entry: &Ref, event: &Event) -> bool {
        *self == Self::of(entry, event, self.digest.as_deref())
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
