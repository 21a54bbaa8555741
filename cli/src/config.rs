//! `config.toml` of a store: read strictly, changed line by line so that comments stay.

use std::path::PathBuf;

use anyhow::Context as _;
use lineage_ingest::metaflow::Kinds;
use lineage_store::{Layout, STORE_FORMAT};
use serde::Deserialize;

use crate::exit::Problem;

/// What `lineage init` writes.
pub(crate) const DEFAULT: &str = "\
# Settings of this lineage store; `lineage config` lists and changes them.
format = 1
# Environments that count as known before their first deployment.
environments = [\"dev\", \"staging\", \"prod\"]
# Facets that are kept in deletable storage, outside of the immutable events.
seal = [\"sql\", \"sourceCode\", \"errorMessage\"]
";

/// The settings of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    format: u64,
    /// Environments that are known before their first event.
    #[serde(default)]
    pub(crate) environments: Vec<String>,
    /// The actor, where neither command nor environment name one.
    #[serde(default)]
    pub(crate) actor: Option<String>,
    /// Facets that always go to payload storage.
    #[serde(default)]
    pub(crate) seal: Vec<String>,
    /// How many days events of a namespace keep their values at least: `NAMESPACE=DAYS`, `*` for any other.
    #[serde(default)]
    pub(crate) retain: Vec<String>,
    /// The name of the log in checkpoints, used when its key is made.
    #[serde(default)]
    pub(crate) origin: Option<String>,
    /// A file with the private key, where it is not in `keys/`.
    #[serde(default)]
    pub(crate) signing_key: Option<PathBuf>,
    /// When checkpoints are signed.
    #[serde(default)]
    pub(crate) checkpoints: Policy,
    /// What the runner keeps to itself.
    #[serde(default)]
    pub(crate) secrets: Secrets,
    /// What the runner records.
    #[serde(default)]
    pub(crate) run: Run,
    /// Which artifacts of Metaflow are models or datasets.
    #[serde(default)]
    pub(crate) metaflow: Kinds,
}

/// When checkpoints are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Policy {
    /// At the end of every command that writes, and once a second while it does.
    #[default]
    Auto,
    /// By `lineage checkpoint` only.
    Manual,
}

impl Policy {
    fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Manual => "manual",
        }
    }
}

/// Secrets of commands that are run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secrets {
    /// Variables whose values are masked in everything that is written.
    #[serde(default)]
    pub(crate) env: Vec<String>,
}

/// What is recorded of commands that are run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// Variables that are recorded beside those that always are.
    #[serde(default)]
    pub(crate) env: Vec<String>,
    /// Inputs of up to so many bytes are stored.
    #[serde(default)]
    pub(crate) keep_inputs: Option<u64>,
    /// The most bytes that are kept of each log.
    #[serde(default)]
    pub(crate) log_limit: Option<u64>,
    /// Rules of roles that decide before those of the program.
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    /// How the machine is named: `hash`, `plain` or `none`.
    #[serde(default)]
    pub(crate) hostname: Option<Hostname>,
}

/// How the machine of a run is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Hostname {
    /// By a hash under a key of the store, which tells machines apart and nothing else.
    #[default]
    Hash,
    /// As it is called.
    Plain,
    /// Not at all.
    None,
}

impl Hostname {
    fn as_str(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Plain => "plain",
            Self::None => "none",
        }
    }
}

/// One setting as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// One word.
    One(String),
    /// Several words.
    Many(Vec<String>),
}

/// Names of the settings, what each is for, and whether it is a list.
pub(crate) const KEYS: [(&str, &str, bool); 16] = [
    ("format", "format of the store, set by lineage", false),
    ("environments", "names known before their first deployment", true),
    ("actor", "who acts, where neither --actor nor LINEAGE_ACTOR says so", false),
    ("seal", "facets kept in deletable storage", true),
    ("origin", "name of the log in checkpoints; its key is made for it", false),
    ("signing_key", "file with the private key, if it is not kept in the store", false),
    ("checkpoints", "auto: whenever something was recorded; manual: by `lineage checkpoint` only", false),
    ("secrets.env", "variables whose values `lineage run` masks in everything it writes", true),
    ("run.env", "variables that `lineage run` records beside the usual ones; NAME or START*", true),
    ("run.keep_inputs", "inputs of up to so many bytes are stored, not only hashed", false),
    ("run.log_limit", "the most bytes that are kept of each log", false),
    ("run.roles", "what paths are for, before the built-in rules: \"ROLE PATTERN\"", true),
    ("run.hostname", "how the machine is named: hash, plain or none", false),
    ("metaflow.models", "artifacts of Metaflow that are models: FLOW/ARTIFACT, * for any text", true),
    ("metaflow.datasets", "artifacts of Metaflow that are datasets", true),
    ("retain", "days before values of a namespace may be erased: NAMESPACE=DAYS, * for any other", true),
];

impl Config {
    /// Reads the settings of a store.
    pub(crate) fn read(layout: &Layout) -> anyhow::Result<Self> {
        let path = layout.config();
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).map_err(|what| {
            let help = format!("correct {}", path.display());
            Problem::usage(format!("{} is wrong: {what}", path.display())).help(help).into()
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let message = error.message().replace('\n', " ");
            line.map_or(message.clone(), |line| format!("line {line}: {message}"))
        })?;
        config.retain.iter().try_for_each(|text| parse_floor(text).map(drop))?;
        Ok(config)
    }

    /// The value of a setting; `None` if it is not set.
    pub(crate) fn get(&self, key: &str) -> anyhow::Result<Option<Value>> {
        Ok(match key {
            "format" => Some(Value::One(self.format.to_string())),
            "environments" => Some(Value::Many(self.environments.clone())),
            "actor" => self.actor.clone().map(Value::One),
            "seal" => Some(Value::Many(self.seal.clone())),
            "origin" => self.origin.clone().map(Value::One),
            "signing_key" => self.signing_key.as_ref().map(|path| Value::One(path.display().to_string())),
            "checkpoints" => Some(Value::One(self.checkpoints.as_str().to_owned())),
            "secrets.env" => Some(Value::Many(self.secrets.env.clone())),
            "run.env" => Some(Value::Many(self.run.env.clone())),
            "run.keep_inputs" => self.run.keep_inputs.map(|n| Value::One(n.to_string())),
            "run.log_limit" => self.run.log_limit.map(|n| Value::One(n.to_string())),
            "run.roles" => Some(Value::Many(self.run.roles.clone())),
            "run.hostname" => self.run.hostname.map(|name| Value::One(name.as_str().to_owned())),
            "metaflow.models" => Some(Value::Many(self.metaflow.models.clone())),
            "metaflow.datasets" => Some(Value::Many(self.metaflow.datasets.clone())),
            "retain" => Some(Value::Many(self.retain.clone())),
            _ => return Err(unknown(key).into()),
        })
    }
}

/// Reads `NAMESPACE=DAYS`.
fn parse_floor(text: &str) -> Result<(&str, u32), String> {
    let floor = text.split_once('=').and_then(|(namespace, days)| Some((namespace, days.parse().ok()?)));
    floor.filter(|(namespace, _)| !namespace.is_empty()).ok_or_else(|| {
        format!("`{}` is no retention floor; write NAMESPACE=DAYS, such as default=180", text.escape_debug())
    })
}

impl Config {
    /// How many days the values of events of a namespace are kept at least.
    pub(crate) fn floor(&self, namespace: &str) -> Option<u32> {
        let floors = || self.retain.iter().filter_map(|text| parse_floor(text).ok());
        let of = |name: &str| floors().filter(|(own, _)| *own == name).map(|(_, days)| days).max();
        of(namespace).or_else(|| of("*"))
    }
}

fn unknown(key: &str) -> Problem {
    let names: Vec<_> = KEYS.iter().map(|(name, ..)| *name).collect();
    Problem::name(format!("`{}` is no setting", key.escape_debug()))
        .help(format!("the settings are {}", names.join(", ")))
}

/// Changes one setting in the text of a `config.toml`.
pub(crate) fn set(text: &str, key: &str, values: &[String]) -> anyhow::Result<String> {
    let Some((_, _, is_list)) = KEYS.iter().find(|(name, ..)| *name == key) else { return Err(unknown(key).into()) };
    if key == "format" {
        return Err(Problem::usage(format!("`format` is {STORE_FORMAT} and is set by lineage itself")).into());
    }
    let words: Vec<String> = values
        .iter()
        .flat_map(|value| value.split(|c| c == ',' && *is_list))
        .map(|word| word.trim().to_owned())
        .filter(|word| !word.is_empty())
        .collect();
    if !is_list && words.len() != 1 {
        return Err(Problem::usage(format!("`{key}` is one word")).into());
    }
    let value = if *is_list {
        toml::Value::from(words.clone())
    } else if let Some(number) = words.concat().parse::<i64>().ok().filter(|_| key != "actor") {
        toml::Value::from(number)
    } else {
        toml::Value::from(words.concat())
    };
    let line = format!("{key} = {value}");
    let is_key = |line: &str| line.trim().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
    let mut lines: Vec<&str> = text.lines().collect();
    if let Some(at) = lines.iter().position(|line| is_key(line)) {
        lines[at] = &line;
    } else {
        // Behind the head of a table it would belong to that.
        let table = lines.iter().position(|line| line.trim_start().starts_with('['));
        lines.insert(table.unwrap_or(lines.len()), &line);
    }
    let text = lines.join("\n") + "\n";
    let config = Config::parse(&text).map_err(|what| {
        Problem::failed(format!("`{key}` cannot be set by this command: {what}"))
            .help("write the setting on one line of config.toml first")
    })?;
    let expected = if *is_list { Value::Many(words) } else { Value::One(words.concat()) };
    if config.get(key)? == Some(expected) {
        Ok(text)
    } else {
        Err(Problem::failed(format!("`{key}` cannot be set by this command")).help("edit config.toml").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_strictly_and_changed_in_place() {
        let config = Config::parse(DEFAULT).expect("the default is valid");
        assert_eq!(config.environments, ["dev", "staging", "prod"]);
        let error = Config::parse("format = 1\nsael = []\n").expect_err("unknown");
        assert!(error.contains("line 2") && error.contains("sael"), "{error}");
        let text = set(DEFAULT, "seal", &["sql,sourceCode".to_owned(), "errorMessage".to_owned()]).expect("set");
        assert_eq!(Config::parse(&text).expect("valid").seal, ["sql", "sourceCode", "errorMessage"]);
        assert!(text.contains("# Settings"), "comments stay");
        let text = set(&text, "actor", &["ana \"x\"".to_owned()]).expect("set");
        assert_eq!(Config::parse(&text).expect("valid").actor.as_deref(), Some("ana \"x\""));
        let text = set(&text, "checkpoints", &["manual".to_owned()]).expect("set");
        assert_eq!(Config::parse(&text).expect("valid").checkpoints, Policy::Manual);
        assert!(set(DEFAULT, "checkpoints", &["often".to_owned()]).is_err());
        let text = set(&text, "run.log_limit", &["65536".to_owned()]).expect("set");
        let text = set(&text, "secrets.env", &["DB_PASSWORD,PIN".to_owned()]).expect("set");
        let config = Config::parse(&text).expect("valid");
        assert_eq!((config.run.log_limit, config.secrets.env.len()), (Some(65536), 2));
        let table = format!("{DEFAULT}[secrets]\nenv = [\"A\"]\n");
        let text = set(&table, "run.hostname", &["none".to_owned()]).expect("set");
        let config = Config::parse(&text).expect("valid");
        assert_eq!((config.run.hostname, config.secrets.env.len()), (Some(Hostname::None), 1));
        assert!(set(&text, "run.hostname", &["loud".to_owned()]).is_err());
        assert!(set(DEFAULT, "format", &["2".to_owned()]).is_err());
        assert!(set(DEFAULT, "colour", &["red".to_owned()]).is_err());
    }
}
