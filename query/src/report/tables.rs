//! Every table of every report: the schemas of packs, version 1.

use super::schema::Type::{Boolean, Float, Integer, Integers, Json, Text, Texts, Time};
use super::schema::{Column, Of, Table};

const fn column(name: &'static str, kind: super::schema::Type, about: &'static str) -> Column {
    Column::new(name, kind, about)
}

/// The columns that name a version, before others.
macro_rules! of_version {
    ($($(#[$meta:meta])* $more:expr),* $(,)?) => {
        &[
            column("version_id", Integer, "the version: its number in the order of minting over the whole log, from 0"),
            column("kind", Text, "dataset, model, features or artifact"),
            column("namespace", Text, "namespace of the name"),
            column("name", Text, "name of the entity"),
            column("version", Integer, "number of the version within its name, as in NAME@vN"),
            $($more),*
        ]
    };
}

const POSITION: Column = column("position", Integer, "position of the event in the log, from 0");
const STEP: Column = column("step", Integer, "position of the first event of the attempt");
const SPEAKS: Column = column(
    "position",
    Integer,
    "position of the event at which it happened: its latest terminal event, else its latest",
);
const OCCURRED: Column = column("time", Time, "when it happened");
const RECORDED: Column = column("recorded", Time, "when it was recorded");
const ACTOR: Column = column("actor", Text, "who or what caused it");
const PRINCIPAL: Column = column("principal", Text, "who was authenticated when it was sent").or_none();
const NOTE: Column = column("note", Text, "what its author remarked").or_none();

/// One row for each event.
pub const EVENTS: Table = Table {
    name: "events",
    about: "every event of the log, retracted ones included",
    of: Of::Log,
    sorted_by: &["position"],
    columns: &[
        POSITION,
        STEP,
        column("id", Text, "id of the event: its emitter's own, else the digest of the bytes as received"),
        column("kind", Text, "kind of the event"),
        OCCURRED,
        RECORDED,
        ACTOR,
        PRINCIPAL,
        column("namespace", Text, "namespace of its run, slot and bare references"),
        column("job", Text, "job of its run").or_none(),
        column("run", Text, "id of its run").or_none(),
        column("attempt", Integer, "number of its attempt, from 1"),
        column("state", Text, "start, running, complete, fail, abort or other"),
        column("outcome", Text, "pass or fail").or_none(),
        column("environment", Text, "environment of its slot, as it was written").or_none(),
        column("service", Text, "service of its slot, as it was written").or_none(),
        column("evidence", Text, "observed by the runner or claimed by an emitter"),
        column("retracted", Boolean, "whether a later event took it back"),
        column("counts", Boolean, "whether it counts: not retracted, and it had happened by then"),
        column("inputs", Integer, "number of inputs"),
        column("outputs", Integer, "number of outputs"),
        column("about", Integer, "number of things that it is about"),
        column("tags", Texts, "tags of the run or event").or_none(),
        column("args", Json, "fields of its kind").or_none(),
        column("params", Json, "parameters").or_none(),
        column("metrics", Json, "measurements").or_none(),
        column("code", Json, "where the code came from").or_none(),
        column("software", Json, "what ran it").or_none(),
        column("facets", Json, "anything else that its emitter said").or_none(),
        column("outlined", Json, "digests and sizes of values that stand outside of the event").or_none(),
        column("sealed", Json, "subjects and digests of values that stand outside of the event").or_none(),
    ],
};

/// One row for each attempt of a run, and for each event without one.
pub const RUNS: Table = Table {
    name: "runs",
    about: "every step that counts: an attempt of a run, or an event without a run, of a kind that makes edges",
    of: Of::State,
    sorted_by: &["step"],
    columns: &[
        STEP,
        SPEAKS,
        column("kind", Text, "transform, training, evaluation, audit, deployment, retirement or register"),
        column("namespace", Text, "namespace of the run"),
        column("job", Text, "job of the run").or_none(),
        column("run", Text, "id of the run; missing for an event without one").or_none(),
        column("attempt", Integer, "number of the attempt, from 1"),
        column("state", Text, "state of the attempt: of its latest terminal event, else of its latest"),
        column("started", Time, "when it began: the earliest of its events"),
        column("occurred", Time, "when it happened: its latest terminal event, else its latest"),
        column("recorded", Time, "when its first event was recorded"),
        column("actor", Text, "who or what caused it"),
        column("evidence", Text, "observed by the runner or claimed by an emitter"),
        column("events", Integer, "number of its events that count"),
    ],
};

/// One row for each mention of a version in an event.
pub const EDGES: Table = Table {
    name: "edges",
    about: "which step used, made or concerned which version",
    of: Of::Log,
    sorted_by: &["position", "direction", "index", "version_id"],
    columns: &[
        POSITION,
        STEP,
        RECORDED,
        column("direction", Text, "about, input or output"),
        column("version_id", Integer, "the version, as in the table versions"),
        column("role", Text, "of an input: data, base, eval, code, config or evidence").or_none(),
        column("index", Integer, "of an input: its index in the event; 0 otherwise"),
        column(
            "from_inputs",
            Integers,
            "of an output: indexes of the inputs of its event that led to it; missing: all inputs of the step",
        )
        .or_none(),
        column("inferred", Boolean, "whether the edge was deduced rather than said"),
    ],
};

/// One row for each version.
pub const VERSIONS: Table = Table {
    name: "versions",
    about: "every version that is visible",
    of: Of::State,
    sorted_by: &["version_id"],
    columns: of_version![
        column("label", Text, "label that its emitter gave it").or_none(),
        column("digest", Text, "main digest of the bytes, with the prefix of its algorithm").or_none(),
        column("digests", Texts, "further digests of the same bytes").or_none(),
        column("size", Integer, "size").or_none().unit("B"),
        column("rows", Integer, "number of rows").or_none(),
        column("created", Time, "when it was made, or first mentioned"),
        column("recorded", Time, "when that was recorded"),
        column("actor", Text, "who or what made it last, or mentioned it first"),
        column("job", Text, "job of the step that made it last").or_none(),
        column("origin", Text, "produced, or external if nobody produced it here"),
        column("evidence", Text, "observed by the runner or claimed by an emitter"),
        column("minted", Integer, "position of the event that gave it its number"),
        column("made_by", Integer, "step that made it last").or_none(),
        column("owner", Text, "who owns it").or_none(),
        column("purpose", Text, "what it is for").or_none(),
        column("tier", Text, "its risk tier").or_none(),
        column("tags", Texts, "its tags").or_none(),
        column("aliases", Texts, "aliases that point to it").or_none(),
        column("latest", Boolean, "whether it has the highest number of its name"),
        column("environments", Texts, "where it is live").or_none(),
    ],
};

/// One row for each copy or link.
pub const COPIES: Table = Table {
    name: "copies",
    about: "versions without producer that are the same as another version: equal bytes, or linked by someone",
    of: Of::State,
    sorted_by: &["version_id", "original_id"],
    columns: &[
        column("version_id", Integer, "the version without producer"),
        column("original_id", Integer, "the version that it is a copy of"),
    ],
};

/// One row for each parameter and metric of an event.
pub const MEASUREMENTS: Table = Table {
    name: "measurements",
    about: "parameters and metrics of every event that counts",
    of: Of::Log,
    sorted_by: &["position", "section", "key"],
    columns: &[
        POSITION,
        STEP,
        RECORDED,
        column("section", Text, "param or metric"),
        column("key", Text, "its name"),
        column("number", Float, "its value, if that is a number").or_none(),
        column("text", Text, "its value otherwise: text as it is, anything else as JSON").or_none(),
    ],
};

/// One row for each audit of a version.
pub const AUDITS: Table = Table {
    name: "audits",
    about: "every verdict on a version: audits, by the version that each is about",
    of: Of::State,
    sorted_by: &["step", "version_id"],
    columns: of_version![
        STEP,
        SPEAKS,
        column("state", Text, "only complete audits satisfy a gate"),
        column("outcome", Text, "pass or fail").or_none(),
        column("passing", Boolean, "whether it is complete, passed, and has not expired"),
        column("valid_until", Time, "until when it is valid").or_none(),
        column("actor", Text, "the auditor"),
        PRINCIPAL,
        OCCURRED,
        RECORDED,
        column(
            "independent",
            Boolean,
            "whether the auditor is not the actor of any training of what the audit is about"
        ),
        column("since_training", Boolean, "whether it came after the last training of the version"),
        column("policy", Text, "policy that was applied").or_none(),
        NOTE,
        column("evidence", Texts, "versions that were cited: KIND NAME@vN").or_none(),
    ],
};

/// One row for each evaluation of a version.
pub const EVALUATIONS: Table = Table {
    name: "evaluations",
    about: "every evaluation, by the version that it is about; its metrics stand in measurements",
    of: Of::State,
    sorted_by: &["step", "version_id"],
    columns: of_version![
        STEP,
        SPEAKS,
        column("state", Text, "state of the attempt"),
        column("outcome", Text, "pass or fail").or_none(),
        ACTOR,
        PRINCIPAL,
        OCCURRED,
        RECORDED,
        column("metrics", Json, "what was measured").or_none(),
        column("data", Texts, "what it was measured on: KIND NAME@vN").or_none(),
    ],
};

/// One row for each stay of a version in a slot.
pub const DEPLOYMENTS: Table = Table {
    name: "deployments",
    about: "what was live where, from when until when, who let it in, and on what evidence",
    of: Of::State,
    sorted_by: &["position", "version_id"],
    columns: of_version![
        POSITION,
        STEP,
        column("slot_namespace", Text, "namespace of the slot"),
        column("environment", Text, "environment of the slot, in lower case; production is prod"),
        column("service", Text, "service of the slot"),
        column("entered", Time, "since when it is there"),
        column("left", Time, "until when it was there; missing: it is live").or_none(),
        column("left_by", Integer, "position of the event by which it left").or_none(),
        column("alongside", Boolean, "whether it joined what was there rather than replacing it"),
        column("actor", Text, "who let it in"),
        PRINCIPAL,
        RECORDED,
        column("audited", Boolean, "whether a passing audit since its last training was complete when it entered"),
        column("audits", Integers, "steps of the audits of the version that were complete by then").or_none(),
        column("auditors", Texts, "who gave the passing ones").or_none(),
        column("approvals", Integers, "positions of the approvals of the version, its run or this step by then")
            .or_none(),
        column("evidence", Texts, "versions that the deployment or these audits cite: KIND NAME@vN").or_none(),
        NOTE,
    ],
};

/// One row for each approval.
pub const APPROVALS: Table = Table {
    name: "approvals",
    about: "approvals as they were recorded",
    of: Of::Log,
    sorted_by: &["position"],
    columns: &[
        POSITION,
        OCCURRED,
        RECORDED,
        ACTOR,
        PRINCIPAL,
        column("approved", Text, "the step that was approved"),
        column("role", Text, "in which role").or_none(),
        column("expires", Time, "until when it is valid").or_none(),
        column("about", Texts, "what it is about, as it was said").or_none(),
        NOTE,
    ],
};

/// One row for each erasure and hold.
pub const ERASURES: Table = Table {
    name: "erasures",
    about: "erasures, and what was held back from erasure",
    of: Of::Log,
    sorted_by: &["position"],
    columns: &[
        POSITION,
        OCCURRED,
        RECORDED,
        ACTOR,
        PRINCIPAL,
        column("action", Text, "erase, hold or release"),
        column("subject", Text, "pseudonym of the subject"),
        column("reason", Text, "basis of the erasure, or reason of the hold"),
        column("until", Time, "until when it is held").or_none(),
        NOTE,
    ],
};

/// One row for each model without a passing audit since its last training.
pub const UNAUDITED: Table = Table {
    name: "unaudited",
    about: "models without a passing audit since their last training; none recorded up to the position, which is all that a log can say",
    of: Of::State,
    sorted_by: &["name", "namespace", "version"],
    columns: of_version![
        column("live", Boolean, "whether it is in a slot"),
        column("environments", Texts, "where it is live").or_none(),
        column("owner", Text, "who owns it").or_none(),
        column("last_training", Time, "when it was trained last").or_none(),
        column("last_audit", Time, "when it was audited last").or_none(),
        column("last_outcome", Text, "with which verdict").or_none(),
        column("why", Text, "never audited, not complete, failed, expired, or before its last training"),
    ],
};

/// One row for each name of a model.
pub const MODELS: Table = Table {
    name: "models",
    about: "the inventory: each model by its name, told of its latest version and of those that are live",
    of: Of::State,
    sorted_by: &["name", "namespace"],
    columns: of_version![
        column("versions", Integer, "number of visible versions"),
        column("owner", Text, "who owns it").or_none(),
        column("purpose", Text, "what it is for").or_none(),
        column("tier", Text, "its risk tier").or_none(),
        column("tags", Texts, "its tags").or_none(),
        column("live", Texts, "what is live where: vN in ENVIRONMENT").or_none(),
        column("upstream_models", Texts, "models that led to it, or to a live version: NAME@vN").or_none(),
        column("downstream_models", Texts, "models that it, or a live version, led to: NAME@vN").or_none(),
        column("developer", Text, "actor of its last training").or_none(),
        column("last_training", Time, "when it was trained last").or_none(),
        column("last_validation", Time, "when an audit of it was complete last").or_none(),
        column("validator", Text, "who gave that verdict").or_none(),
        column("validation_outcome", Text, "the verdict").or_none(),
        column(
            "validator_independent",
            Boolean,
            "whether the validator is not an actor of a training of what was audited"
        )
        .or_none(),
        column("validated_since_training", Boolean, "whether a passing audit came after its last training"),
        column("open_findings", Integer, "failing audits since its last passing one"),
    ],
};

/// One row for each version that a model was trained on.
pub const TRAINING_DATA: Table = Table {
    name: "training_data",
    about: "each version of a model, and each version that it was trained on, down to raw data",
    of: Of::State,
    sorted_by: &["version_id", "steps", "source_id"],
    columns: of_version![
        column("steps", Integer, "how many steps lie between at least"),
        column("source_id", Integer, "what it was trained on, as version_id"),
        column("source_kind", Text, "dataset, model, features or artifact"),
        column("source_namespace", Text, "namespace of its name"),
        column("source_name", Text, "its name"),
        column("source_version", Integer, "its number"),
        column("source_digest", Text, "main digest of its bytes").or_none(),
        column("source_tags", Texts, "its tags").or_none(),
        column("raw", Boolean, "whether nobody produced it here"),
        column("evidence", Text, "of the source: observed by the runner or claimed by an emitter"),
    ],
};

/// One row for each version of a model, with the one before it.
pub const CHAIN: Table = Table {
    name: "version_chain",
    about: "the versions of each model in their order, and how each was made",
    of: Of::State,
    sorted_by: &["name", "namespace", "version"],
    columns: of_version![
        column("previous_id", Integer, "the version before it, as version_id").or_none(),
        column("digest", Text, "main digest of the bytes").or_none(),
        column("created", Time, "when it was made"),
        column("made_by", Integer, "step that made it last").or_none(),
        column("developer", Text, "actor of that step").or_none(),
        column("job", Text, "job of that step").or_none(),
        column("base", Texts, "models that it started from: KIND NAME@vN").or_none(),
        column("params", Json, "parameters of that step").or_none(),
        column("code", Json, "where the code came from").or_none(),
        column("software", Json, "what ran it").or_none(),
        column("environments", Texts, "where it is live").or_none(),
    ],
};

/// One row for each step upstream of a model.
pub const STEPS: Table = Table {
    name: "steps",
    about: "the steps that led to each version of a model",
    of: Of::State,
    sorted_by: &["version_id", "step"],
    columns: of_version![
        STEP,
        column("step_kind", Text, "kind of the step"),
        column("job", Text, "job of the step").or_none(),
        column("state", Text, "state of the step"),
        column("started", Time, "when it began"),
        column("occurred", Time, "when it happened"),
        ACTOR,
        column("evidence", Text, "observed by the runner or claimed by an emitter"),
        column("used", Texts, "what it used: ROLE KIND NAME@vN").or_none(),
        column("made", Texts, "what it made: KIND NAME@vN").or_none(),
        column("commit", Text, "commit of the code").or_none(),
    ],
};

/// One row for each test of a model.
pub const TESTS: Table = Table {
    name: "tests",
    about: "evaluations and audits of each version of a model, dated, with who answers for each",
    of: Of::State,
    sorted_by: &["version_id", "step"],
    columns: of_version![
        STEP,
        column("test", Text, "evaluation or audit"),
        column("time", Time, "when it happened"),
        column("recorded", Time, "when it was recorded"),
        column("responsible", Text, "actor of the test"),
        PRINCIPAL,
        column("outcome", Text, "pass or fail").or_none(),
        column("metrics", Json, "what was measured").or_none(),
        column("data", Texts, "what it was measured on, or what it cites: KIND NAME@vN").or_none(),
        column("independent", Boolean, "of an audit: whether the auditor is not an actor of a training").or_none(),
    ],
};

/// One row for each difference between neighboring versions.
pub const CHANGES: Table = Table {
    name: "changes",
    about: "what differs between each version of a model and the one before it",
    of: Of::State,
    sorted_by: &["name", "namespace", "version"],
    columns: of_version![
        column("previous_id", Integer, "the version before it, as version_id"),
        column("aspect", Text, "what differs"),
        column("key", Text, "which one of it"),
        column("before", Text, "in the version before; missing: it had none").or_none(),
        column("after", Text, "in this version; missing: it has none").or_none(),
    ],
};

/// One row for each thing that is not recorded.
pub const GAPS: Table = Table {
    name: "gaps",
    about: "what is not recorded of each version of a model, and would be asked for",
    of: Of::State,
    sorted_by: &["name", "namespace", "version", "gap"],
    columns: of_version![
        column("gap", Text, "what is missing, as one word"),
        column("detail", Text, "what is missing, as a sentence"),
    ],
};

/// One row for each dataset and job.
pub const PROCESSING: Table = Table {
    name: "processing",
    about: "what each dataset is for, and each job that used or made it; from descriptions, tags and the facet `processing`",
    of: Of::State,
    sorted_by: &["name", "namespace", "job", "activity"],
    columns: &[
        column("kind", Text, "dataset or features"),
        column("namespace", Text, "namespace of the name"),
        column("name", Text, "name of the entity"),
        column("versions", Integer, "number of visible versions"),
        column("owner", Text, "who owns it").or_none(),
        column("purpose", Text, "what it is for").or_none(),
        column("tier", Text, "its risk tier").or_none(),
        column("tags", Texts, "its tags").or_none(),
        column("job", Text, "a job that touched it; missing: no job did, or it had no name").or_none(),
        column("activity", Text, "used, made, or none"),
        column("steps", Integer, "how many steps of the job did"),
        column("first", Time, "when the first of them happened").or_none(),
        column("last", Time, "when the last of them happened").or_none(),
        column("categories_of_subjects", Json, "from the facet processing of the latest event that has it").or_none(),
        column("categories_of_data", Json, "likewise").or_none(),
        column("recipients", Json, "likewise").or_none(),
        column("transfers", Json, "likewise").or_none(),
        column("erase_after", Json, "likewise").or_none(),
        column("security", Json, "likewise").or_none(),
    ],
};

/// One row for each version that an erasure concerns.
pub const IMPACT: Table = Table {
    name: "erasure_impact",
    about: "every version that holds values of the subject or derives from one that does",
    of: Of::State,
    sorted_by: &["steps", "version_id"],
    columns: of_version![
        column("steps", Integer, "how many steps from the subject's data at least; 0: it holds values of the subject"),
        column("digest", Text, "main digest of its bytes").or_none(),
        column("live", Boolean, "whether it is in a slot"),
        column("environments", Texts, "where it is live").or_none(),
        column("owner", Text, "who owns it").or_none(),
    ],
};

/// One row for each event that names a subject.
pub const SUBJECT_EVENTS: Table = Table {
    name: "subject_events",
    about: "every event that keeps values of the subject outside of itself, or speaks of its erasure",
    of: Of::State,
    sorted_by: &["position"],
    columns: &[
        POSITION,
        column("kind", Text, "kind of the event"),
        OCCURRED,
        RECORDED,
        ACTOR,
        column("fields", Texts, "fields that are sealed under the subject").or_none(),
        column("retracted", Boolean, "whether a later event took it back"),
    ],
};

/// Every table.
pub const ALL: &[Table] = &[
    EVENTS,
    RUNS,
    EDGES,
    VERSIONS,
    COPIES,
    MEASUREMENTS,
    AUDITS,
    EVALUATIONS,
    DEPLOYMENTS,
    APPROVALS,
    ERASURES,
    UNAUDITED,
    MODELS,
    TRAINING_DATA,
    CHAIN,
    STEPS,
    TESTS,
    CHANGES,
    GAPS,
    PROCESSING,
    IMPACT,
    SUBJECT_EVENTS,
];
