//! The manifest of a pack, and whether the pack has every file that a pack of its kind must have.

use std::collections::{BTreeMap, BTreeSet};

use lineage_query::report::Report;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::pack::Checked;

/// What every pack has beside its manifest.
const ALWAYS: [&str; 3] = ["README.md", "index.html", "verify.py"];

/// `manifest.json`; a member that does not apply is null, never left out.
#[derive(Deserialize)]
pub(super) struct Manifest {
    pub(super) schema: String,
    report: String,
    arguments: BTreeMap<String, Value>,
    #[serde(rename = "environments")]
    _environments: Vec<String>,
    #[serde(rename = "tool")]
    _tool: BTreeMap<String, Value>,
    pub(super) log: Log,
    #[serde(rename = "as_of")]
    _as_of: String,
    queries: Vec<Asked>,
    tables: Vec<Table>,
    pub(super) files: Vec<Entry>,
    #[serde(deserialize_with = "or_null")]
    pub(super) events: Option<Events>,
    #[serde(deserialize_with = "or_null")]
    pub(super) proofs: Option<Named>,
    #[serde(rename = "notes")]
    _notes: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Log {
    pub(super) first: u64,
    pub(super) size: u64,
    #[serde(deserialize_with = "or_null")]
    pub(super) head: Option<String>,
}

#[derive(Deserialize)]
struct Asked {
    table: String,
    exact: bool,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    files: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) sha256: String,
    pub(super) blake3: String,
}

#[derive(Deserialize)]
pub(super) struct Events {
    pub(super) path: String,
    pub(super) first: u64,
    pub(super) count: u64,
}

/// The paths of what proves the events.
#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) checkpoint: String,
    #[serde(deserialize_with = "or_null")]
    pub(super) tiles: Option<String>,
    pub(super) key: String,
}

/// A value or null; without this a member that is left out would be null, too.
fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

impl Manifest {
    pub(super) fn parse(bytes: &[u8]) -> Checked<Self> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| format!("manifest.json: {error}"))?;
        if manifest.schema != "lineage.pack/1" {
            return Err(format!("manifest.json has the schema {}, not lineage.pack/1", manifest.schema));
        }
        Ok(manifest)
    }

    /// Whether it names what a pack of its kind must have; `is_signed`: whether the log is known to have a key.
    pub(super) fn check(&self, is_signed: bool) -> Checked<()> {
        let files: BTreeSet<&str> = self.files.iter().map(|entry| entry.path.as_str()).collect();
        let must_have = |path: &str, why: &str| {
            if files.contains(path) { Ok(()) } else { Err(format!("the pack has no {path}, {why}")) }
        };
        for path in ALWAYS {
            must_have(path, "which every pack has")?;
        }
        for (name, why) in self.demanded()? {
            if self.tables.iter().all(|table| table.name != name) {
                return Err(format!("the pack has no table {name}, {why}"));
            }
        }
        let is_spread = self.arguments.contains_key("partition");
        for table in &self.tables {
            if table.files.is_empty() && !is_spread {
                return Err(format!("the table {} has no file", table.name));
            }
            for path in &table.files {
                must_have(path, &format!("a file of the table {}", table.name))?;
            }
        }
        match &self.events {
            Some(events) => must_have(&events.path, "the events")?,
            None if self.arguments.get("events").and_then(Value::as_str) == Some("none") => {}
            None => return Err("the pack has no events.ndjson.gz, and was not asked to be without".to_owned()),
        }
        match &self.proofs {
            Some(proofs) => {
                must_have(&proofs.checkpoint, "the checkpoint")?;
                must_have(&proofs.key, "the key of the log")?;
                if proofs.tiles.is_none() && self.log.size > 0 {
                    return Err("the pack has no tiles, and a checkpoint of events".to_owned());
                }
            }
            None if is_signed => {
                return Err("the pack has no checkpoint, and the log is signed, as its key was given".to_owned());
            }
            None => {}
        }
        Ok(())
    }

    /// The tables that the report has, or those that its questions are answered in.
    fn demanded(&self) -> Checked<Vec<(&str, String)>> {
        if self.report == "query" {
            let exact: Vec<&Asked> = self.queries.iter().filter(|asked| asked.exact).collect();
            if exact.is_empty() {
                return Err("the pack has no question that it answers".to_owned());
            }
            let why = "which answers a question of the manifest";
            return Ok(exact.into_iter().map(|asked| (asked.table.as_str(), why.to_owned())).collect());
        }
        let tables = Report::tables_of(&self.report);
        let tables = tables.ok_or_else(|| format!("there is no report {}", self.report.escape_debug()))?;
        let why = format!("which each report {} has", self.report);
        Ok(tables.iter().map(|table| (*table, why.clone())).collect())
    }
}
