//! The event: what is said, in the native format of EVENTS.md, as typed values.

mod args;
pub mod canonical;
mod leaf;
mod outline;
mod parse;
mod quick;

use std::fmt;

pub use args::{Args, ArgumentKind};
pub use canonical::Json;
pub use leaf::Leaf;
pub(crate) use outline::part_id;
pub use outline::{Outlined, Payload, Prepared, prepare, prepare_into};
pub use parse::Refusal;
pub(crate) use parse::version_number;

use crate::digest::Digest;
use crate::time::Time;

/// The version of the event format that this code writes; readers refuse higher ones by name.
pub const FORMAT_VERSION: u32 = 1;
/// The longest name, label, tag or id, in bytes.
pub const NAME_BYTES_MAX: usize = 4096;
/// The largest canonical event, in bytes, after outlining.
pub const LEAF_BYTES_MAX: usize = 60 * 1024;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value, in the order of its code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word of the native format.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The value of a word of the native format.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($text => Some(Self::$variant),)+ _ => None }
            }

            /// The value of a code in the graph index.
            pub fn from_code(code: u8) -> Option<Self> {
                Self::ALL.get(usize::from(code)).copied()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What happened.
    Kind {
        /// Data became other data.
        Transform = "transform",
        /// A model was fitted.
        Training = "training",
        /// A model or dataset was measured.
        Evaluation = "evaluation",
        /// Someone judged a version.
        Audit = "audit",
        /// A version entered a slot.
        Deployment = "deployment",
        /// A version left a slot.
        Retirement = "retirement",
        /// Bytes or a table were named without a run.
        Register = "register",
        /// Tags were set.
        Tag = "tag",
        /// Tags were taken away.
        Untag = "untag",
        /// An alias was moved or removed.
        Alias = "alias",
        /// Two names or versions were said to be the same thing.
        Link = "link",
        /// An owner, a purpose, a tier or a description was set.
        Describe = "describe",
        /// A step was approved.
        Approve = "approve",
        /// Earlier events were taken back.
        Retract = "retract",
        /// A subject's payloads were erased.
        Erase = "erase",
        /// Erasure was put on hold.
        Hold = "hold",
        /// Access was changed.
        Access = "access",
        /// A query was saved under a name.
        SaveQuery = "save-query",
    }
}

impl Kind {
    /// Whether events of this kind make edges of the lineage graph.
    pub fn makes_edges(self) -> bool {
        self <= Self::Retirement || self == Self::Register
    }

    /// Whether `about` carries influence to the event's outputs.
    pub fn carries_about(self) -> bool {
        matches!(self, Self::Evaluation | Self::Audit | Self::Deployment)
    }
}

words! {
    /// How far a run had come when the event was sent.
    State {
        /// The run began.
        Start = "start",
        /// The run goes on.
        Running = "running",
        /// The run ended well.
        Complete = "complete",
        /// The run ended with an error.
        Fail = "fail",
        /// The run was ended from outside.
        Abort = "abort",
        /// Anything else (`OTHER` of `OpenLineage`).
        Other = "other",
    }
}

impl State {
    /// Whether a run ends with this state.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Fail | Self::Abort)
    }
}

words! {
    /// The kinds of named things.
    EntityKind {
        /// A table, a file of data, a folder of data.
        Dataset = "dataset",
        /// A machine-learning model.
        Model = "model",
        /// A feature set.
        Features = "features",
        /// Any other file-like thing.
        Artifact = "artifact",
    }
}

words! {
    /// What an input was used for.
    Role {
        /// Training or transform data.
        Data = "data",
        /// The model that a training started from.
        Base = "base",
        /// Data used to evaluate.
        Eval = "eval",
        /// Program text.
        Code = "code",
        /// Settings.
        Config = "config",
        /// Evidence of an audit.
        Evidence = "evidence",
    }
}

words! {
    /// The verdict of an audit or evaluation.
    Outcome {
        /// It passed.
        Pass = "pass",
        /// It failed.
        Fail = "fail",
    }
}

words! {
    /// Who vouches for the content of an event.
    Evidence {
        /// The runner hashed what it saw.
        Observed = "observed",
        /// An emitter said so.
        Claimed = "claimed",
    }
}

/// A reference to a version or to an entity; a name or a digest at least.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ref {
    /// The kind; without it: the one kind that has the name, else dataset.
    pub kind: Option<EntityKind>,
    /// The entity's namespace; without it: the event's.
    pub namespace: Option<String>,
    /// The entity's name.
    pub name: Option<String>,
    /// `vN` or a label.
    pub version: Option<String>,
    /// A label that must not be read as our number, from a receiver.
    pub label: Option<String>,
    /// The main digest.
    pub digest: Option<Digest>,
    /// Further digests of the same bytes.
    pub digests: Vec<Digest>,
}

impl Ref {
    /// A bare reference to an entity.
    pub fn named(kind: EntityKind, name: impl Into<String>) -> Self {
        Self { kind: Some(kind), name: Some(name.into()), ..Self::default() }
    }

    /// Whether it names neither a version nor a digest.
    pub fn is_bare(&self) -> bool {
        self.version.is_none() && self.label.is_none() && self.digest.is_none() && self.digests.is_empty()
    }
}

/// A reference that an event used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// What was used.
    pub reference: Ref,
    /// What it was used for.
    pub role: Role,
    /// Its bytes.
    pub size: Option<u64>,
    /// Whether the edge was deduced rather than seen.
    pub inferred: bool,
}

/// A reference that an event produced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// What was produced.
    pub reference: Ref,
    /// Its bytes.
    pub size: Option<u64>,
    /// Its rows.
    pub rows: Option<u64>,
    /// Tags of the version.
    pub tags: Vec<String>,
    /// Indexes into the inputs that led to it; `None`: all inputs.
    pub from: Option<Vec<u32>>,
}

/// What an audit, a tag, a retract... is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A version or an entity.
    Thing(Ref),
    /// A run.
    Run(RunRef),
    /// An event, by its id.
    Event(String),
}

/// The name of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRef {
    /// Its namespace; without it: the event's.
    pub namespace: Option<String>,
    /// Its job; without it: the newest run of that id.
    pub job: Option<String>,
    /// Its id.
    pub run: String,
}

/// The run that started this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The parent.
    pub run: RunRef,
    /// The run at the top, where the emitter names it.
    pub root: Option<RunRef>,
}

/// One immutable fact, as its emitter said it and with our defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// The emitter's id; without it: the digest of the bytes as received.
    pub id: Option<String>,
    /// When it happened; `None`: when it was recorded.
    pub time: Option<Time>,
    /// Who or what caused it.
    pub actor: String,
    /// The namespace of its run, slot and bare references.
    pub namespace: String,
    /// The job of its run.
    pub job: Option<String>,
    /// Its run.
    pub run: Option<String>,
    /// Its attempt, counted from 1, where the emitter numbers them.
    pub attempt: Option<u32>,
    /// The state of its run.
    pub state: State,
    /// The run that started its run.
    pub parent: Option<Parent>,
    /// What was used.
    pub inputs: Vec<Input>,
    /// What was produced.
    pub outputs: Vec<Output>,
    /// What it is about.
    pub about: Vec<About>,
    /// The environment of its slot.
    pub environment: Option<String>,
    /// The service of its slot.
    pub service: Option<String>,
    /// The verdict.
    pub outcome: Option<Outcome>,
    /// Parameters: an object.
    pub params: Json,
    /// Measurements: an object of numbers, or the words NaN, Infinity, -Infinity.
    pub metrics: Json,
    /// Tags of the run or event.
    pub tags: Vec<String>,
    /// Where the code came from.
    pub code: Json,
    /// What ran it.
    pub software: Json,
    /// Anything else, kept whole.
    pub facets: Json,
    /// The fields of its kind.
    pub args: Args,
    /// Values that live in deletable storage under a pseudonymous subject.
    pub sealed: Json,
    /// Values that we moved to payload storage, with the digest of the sealed bytes and the size.
    pub outlined: Json,
    /// Who vouches for it; set by us.
    pub evidence: Evidence,
    /// Who was authenticated; set by us.
    pub principal: Option<String>,
}

impl Event {
    /// An event of a kind by an actor, everything else at its default.
    pub fn new(kind: Kind, actor: impl Into<String>) -> Self {
        Self {
            kind,
            id: None,
            time: None,
            actor: actor.into(),
            namespace: "default".to_owned(),
            job: None,
            run: None,
            attempt: None,
            state: State::Complete,
            parent: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            about: Vec::new(),
            environment: None,
            service: None,
            outcome: None,
            params: Json::default(),
            metrics: Json::default(),
            tags: Vec::new(),
            code: Json::default(),
            software: Json::default(),
            facets: Json::default(),
            args: Args::default(),
            sealed: Json::default(),
            outlined: Json::default(),
            evidence: Evidence::Claimed,
            principal: None,
        }
    }
}
