//! Registered models and versions as the protocol has them.

use serde::{Deserialize, Serialize};

use super::super::body::{Body, list, required};
use super::super::error::Error;
use super::super::fact::Tag;
use super::super::ledger::Ledger;
use super::super::number::Int;
use super::super::{Answer, answer};
use super::{Registered, Stage, Version};

/// A version.
#[derive(Serialize)]
pub(super) struct ShownVersion<'a> {
    name: &'a str,
    version: String,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    current_stage: &'a str,
    description: &'a str,
    source: &'a str,
    run_id: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "<[Tag]>::is_empty")]
    tags: &'a [Tag],
    run_link: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<&'a str>,
}

/// A registered model.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    name: &'a str,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    latest_versions: Vec<ShownVersion<'a>>,
    #[serde(skip_serializing_if = "<[Tag]>::is_empty")]
    tags: &'a [Tag],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<ShownAlias<'a>>,
}

#[derive(Serialize)]
struct ShownAlias<'a> {
    alias: &'a str,
    version: String,
}

impl Version {
    /// As a member of a list, which tells no aliases.
    pub(super) fn show<'a>(&'a self, model: &'a Registered) -> ShownVersion<'a> {
        ShownVersion {
            name: &model.name,
            version: self.number.to_string(),
            creation_timestamp: self.created,
            last_updated_timestamp: self.updated,
            current_stage: self.stage.as_str(),
            description: &self.description,
            source: &self.source,
            run_id: &self.run,
            status: "READY",
            tags: &self.tags,
            run_link: &self.run_link,
            aliases: Vec::new(),
        }
    }

    /// As what is asked for.
    pub(super) fn show_whole<'a>(&'a self, model: &'a Registered) -> ShownVersion<'a> {
        let aliases = model.aliases.iter().filter(|(_, version)| **version == self.number);
        ShownVersion { aliases: aliases.map(|(alias, _)| alias.as_str()).collect(), ..self.show(model) }
    }
}

impl Registered {
    /// The newest version of each stage.
    fn latest(&self) -> Vec<&Version> {
        let newest = |stage: &Stage| self.versions.values().rev().find(|version| version.stage == *stage);
        Stage::ALL.iter().filter_map(newest).collect()
    }

    pub(super) fn show(&self) -> Shown<'_> {
        Shown {
            name: &self.name,
            creation_timestamp: self.created,
            last_updated_timestamp: self.updated,
            description: self.description.as_deref(),
            latest_versions: self.latest().into_iter().map(|version| version.show(self)).collect(),
            tags: &self.tags,
            aliases: self
                .aliases
                .iter()
                .map(|(alias, version)| ShownAlias { alias, version: version.to_string() })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct OneModel<'a> {
    registered_model: Shown<'a>,
}

#[derive(Serialize)]
struct OneVersion<'a> {
    model_version: ShownVersion<'a>,
}

/// A registered model.
pub(super) fn one(ledger: &Ledger, name: &str) -> Answer {
    answer(&OneModel { registered_model: ledger.registry.found(name)?.show() })
}

/// A version.
pub(super) fn one_version(ledger: &Ledger, name: &str, version: u32) -> Answer {
    let model = ledger.registry.found(name)?;
    answer(&OneVersion { model_version: model.version(version)?.show_whole(model) })
}

#[derive(Deserialize)]
struct Asked {
    name: Option<String>,
    version: Option<Int>,
    alias: Option<String>,
    #[serde(default, deserialize_with = "list")]
    stages: Vec<String>,
}

/// The number of a version.
pub(super) fn number(version: Option<Int>) -> Result<u32, Error> {
    let version = version.ok_or_else(|| Error::invalid("Missing value for required parameter 'version'"))?;
    u32::try_from(version.0).ok().filter(|version| *version > 0).ok_or_else(|| {
        Error::invalid(format!("Parameter 'version' must be a positive whole number, not {}", version.0))
    })
}

/// `registered-models/get`
pub fn get(body: &Body, ledger: &Ledger) -> Answer {
    one(ledger, &required(body.read::<Asked>()?.name, "name")?)
}

/// `model-versions/get`
pub fn get_version(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Asked = body.read()?;
    one_version(ledger, &required(asked.name, "name")?, number(asked.version)?)
}

/// `registered-models/alias`
pub fn get_by_alias(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Asked = body.read()?;
    let (name, alias) = (required(asked.name, "name")?, required(asked.alias, "alias")?);
    let version = ledger.registry.found(&name)?.aliases.get(&alias);
    let text = || format!("Registered model alias {} not found.", alias.escape_debug());
    one_version(ledger, &name, *version.ok_or_else(|| Error::invalid(text()))?)
}

/// `model-versions/get-download-uri`
pub fn get_download_uri(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Asked = body.read()?;
    let model = ledger.registry.found(&required(asked.name, "name")?)?;
    let version = model.version(number(asked.version)?)?;
    answer(&serde_json::json!({ "artifact_uri": version.storage }))
}

#[derive(Serialize)]
struct Latest<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_versions: Vec<ShownVersion<'a>>,
}

/// `registered-models/get-latest-versions`
pub fn latest_versions(body: &Body, ledger: &Ledger) -> Answer {
    let asked: Asked = body.read()?;
    let model = ledger.registry.found(&required(asked.name, "name")?)?;
    let stages = asked.stages.iter().map(|word| Stage::of(word)).collect::<Result<Vec<_>, _>>()?;
    let wanted = |version: &&Version| stages.is_empty() || stages.contains(&version.stage);
    let model_versions = model.latest().into_iter().filter(wanted).map(|version| version.show_whole(model)).collect();
    answer(&Latest { model_versions })
}
