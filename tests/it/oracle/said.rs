//! An event as it was said: plain values of its JSON, with the defaults of EVENTS.md §1.

use std::collections::BTreeMap;

use serde_json::Value;

/// Seconds since 1970.
pub(super) type Seconds = i64;

/// A named thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entity {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// A reference with everything that may stand in one, whatever the side.
#[derive(Clone, Debug, Default)]
pub(super) struct Reference {
    pub(super) kind: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) digests: Vec<String>,
    pub(super) role: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) rows: Option<u64>,
    pub(super) tags: Vec<String>,
    pub(super) from: Option<Vec<usize>>,
}

/// What an event is about.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    Thing(Reference),
    Run(String),
    Event(String),
}

/// A run id within a namespace.
pub(super) type RunId = (String, String);

/// One event.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) recorded: Seconds,
    pub(super) time: Seconds,
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) actor: String,
    pub(super) namespace: String,
    pub(super) job: Option<String>,
    pub(super) run: Option<String>,
    pub(super) attempt: Option<u64>,
    pub(super) state: String,
    pub(super) parent: Option<RunId>,
    pub(super) root: Option<RunId>,
    pub(super) inputs: Vec<Reference>,
    pub(super) outputs: Vec<Reference>,
    pub(super) about: Vec<Subject>,
    pub(super) environment: Option<String>,
    pub(super) service: Option<String>,
    pub(super) outcome: Option<String>,
    pub(super) params: BTreeMap<String, Value>,
    pub(super) metrics: BTreeMap<String, Value>,
    pub(super) tags: Vec<String>,
    pub(super) args: Value,
}

impl Reference {
    fn read(json: &Value) -> Self {
        let digests = text(json, "digest").into_iter().chain(texts(json, "digests"));
        Self {
            kind: text(json, "kind"),
            namespace: text(json, "namespace"),
            name: text(json, "name"),
            version: text(json, "version"),
            digests: digests.collect(),
            role: text(json, "role"),
            size: json["size"].as_u64(),
            rows: json["rows"].as_u64(),
            tags: texts(json, "tags"),
            from: json["from"].as_array().map(|l| l.iter().filter_map(Value::as_u64).map(|i| i as usize).collect()),
        }
    }

    /// Neither version nor digest.
    pub(super) fn is_bare(&self) -> bool {
        self.version.is_none() && self.digests.is_empty()
    }

    /// Our number, which `version` is in inputs and `about` alone.
    pub(super) fn number(&self) -> Option<usize> {
        self.version.as_ref()?.strip_prefix('v')?.parse().ok()
    }
}

impl Said {
    /// An event and the instant at which it was recorded.
    pub(super) fn read(json: &Value, recorded: Seconds) -> Self {
        let namespace = text(json, "namespace").unwrap_or_else(|| "default".to_owned());
        let run_id = |json: &Value| {
            let run = text(json, "run")?;
            Some((text(json, "namespace").unwrap_or_else(|| namespace.clone()), run))
        };
        let references = |field: &str| list(json, field).iter().map(Reference::read).collect();
        let subject = |json: &Value| match (text(json, "run"), text(json, "event")) {
            (Some(run), _) => Subject::Run(run),
            (_, Some(event)) => Subject::Event(event),
            _ => Subject::Thing(Reference::read(json)),
        };
        let object = |field: &str| {
            json[field].as_object().map(|o| o.iter().map(|(k, v)| (k.clone(), v.clone())).collect()).unwrap_or_default()
        };
        Self {
            recorded,
            // What cannot have happened yet happened when it was recorded.
            time: text(json, "time").map_or(recorded, |t| seconds(&t).min(recorded)),
            id: text(json, "id").expect("an id"),
            kind: text(json, "kind").expect("a kind"),
            actor: text(json, "actor").unwrap_or_else(|| "ana".to_owned()),
            job: text(json, "job"),
            run: text(json, "run"),
            attempt: json["attempt"].as_u64(),
            state: text(json, "state").unwrap_or_else(|| "complete".to_owned()),
            parent: run_id(&json["parent"]),
            root: run_id(&json["parent"]["root"]),
            inputs: references("inputs"),
            outputs: references("outputs"),
            about: list(json, "about").iter().map(subject).collect(),
            environment: text(json, "environment"),
            service: text(json, "service"),
            outcome: text(json, "outcome"),
            params: object("params"),
            metrics: object("metrics"),
            tags: texts(json, "tags"),
            args: json["args"].clone(),
            namespace,
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        ["complete", "fail", "abort"].contains(&self.state.as_str())
    }

    pub(super) fn is_complete(&self) -> bool {
        self.state == "complete"
    }

    /// A text of `args`.
    pub(super) fn arg(&self, field: &str) -> Option<String> {
        text(&self.args, field)
    }

    /// A list of texts of `args`.
    pub(super) fn arg_list(&self, field: &str) -> Vec<String> {
        texts(&self.args, field)
    }
}

fn list<'a>(json: &'a Value, field: &str) -> &'a [Value] {
    json[field].as_array().map_or(&[], Vec::as_slice)
}

fn text(json: &Value, field: &str) -> Option<String> {
    json[field].as_str().map(str::to_owned)
}

fn texts(json: &Value, field: &str) -> Vec<String> {
    list(json, field).iter().filter_map(|t| t.as_str().map(str::to_owned)).collect()
}

/// `2026-11-20T10:05:00Z` as seconds since 1970.
pub(super) fn seconds(text: &str) -> Seconds {
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().expect("digits");
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days since 1 March of year 0, as leap days end such a year.
    let (y, m) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    days * 86_400 + number(11..13) * 3_600 + number(14..16) * 60 + number(17..19)
}

/// Seconds since 1970 as `2026-11-20T10:05:00Z`, for the days of one November.
pub(super) fn spelled(seconds: Seconds) -> String {
    let first = self::seconds("2026-11-01T00:00:00Z");
    let (day, rest) = ((seconds - first).div_euclid(86_400) + 1, (seconds - first).rem_euclid(86_400));
    format!("2026-11-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}
