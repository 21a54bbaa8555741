//! The model registry: registered models, their versions, aliases and stages.

mod search;
mod shown;
pub(super) mod stage;
pub(super) mod version;
pub(super) mod write;

use std::collections::{BTreeMap, HashSet};

use super::error::Error;
use super::fact::{NewRegistered, NewVersion, RegisteredChange, Tag, VersionChange};
pub(super) use stage::Stage;

pub use search::{search, search_versions};
pub use shown::{get, get_by_alias, get_download_uri, get_version, latest_versions};
pub use stage::transition;
pub use version::{create_version, delete_version, delete_version_tag, set_version_tag, update_version};
pub use write::{create, delete, delete_alias, delete_tag, rename, set_alias, set_tag, update};

/// One version of a registered model.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// Its number, from 1.
    number: u32,
    /// The name under which the lineage has it: that of its model when it was made.
    minted: String,
    source: String,
    storage: String,
    run: String,
    run_link: String,
    model: Option<String>,
    description: String,
    stage: Stage,
    tags: Vec<Tag>,
    created: i64,
    updated: i64,
}

impl Version {
    /// Where its client said that it comes from.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// The name under which the lineage has it.
    pub(super) fn minted(&self) -> &str {
        &self.minted
    }
}

/// One registered model.
#[derive(Clone, Debug)]
pub(super) struct Registered {
    name: String,
    description: Option<String>,
    tags: Vec<Tag>,
    aliases: BTreeMap<String, u32>,
    versions: BTreeMap<u32, Version>,
    /// The number of the next version; those of deleted ones are not given again.
    next: u32,
    created: i64,
    updated: i64,
}

impl Registered {
    /// A version that must be there.
    pub(super) fn version(&self, number: u32) -> Result<&Version, Error> {
        let text = || format!("Model Version (name={}, version={number}) not found", self.name.escape_debug());
        self.versions.get(&number).ok_or_else(|| Error::new(super::Code::ResourceDoesNotExist, text()))
    }
}

/// All registered models.
#[derive(Debug, Default)]
pub(super) struct Registry {
    models: BTreeMap<String, Registered>,
    /// Where the files of versions are.
    storages: HashSet<String>,
}

impl Registry {
    /// A registered model that must be there.
    pub(super) fn found(&self, name: &str) -> Result<&Registered, Error> {
        let text = || format!("Registered Model with name={} not found", name.escape_debug());
        self.models.get(name).ok_or_else(|| Error::new(super::Code::ResourceDoesNotExist, text()))
    }

    /// Whether some version has its files at an address.
    pub(super) fn is_storage(&self, uri: &str) -> bool {
        self.storages.contains(uri)
    }

    /// Name and label of a version in the lineage.
    pub(super) fn lineage_name(&self, name: &str, version: u32) -> Option<(String, String)> {
        let version = self.models.get(name)?.versions.get(&version)?;
        Some((version.minted.clone(), version.number.to_string()))
    }

    pub(super) fn add(&mut self, new: NewRegistered) {
        let tags = new.tags.into_iter().map(|(key, value)| Tag { key, value }).collect();
        self.models.entry(new.name.clone()).or_insert_with(|| Registered {
            name: new.name,
            description: new.description,
            tags,
            aliases: BTreeMap::new(),
            versions: BTreeMap::new(),
            next: 1,
            created: new.at,
            updated: new.at,
        });
    }

    pub(super) fn change(&mut self, change: RegisteredChange) {
        if change.deleted {
            self.models.remove(&change.name);
            return;
        }
        let Some(model) = self.models.get_mut(&change.name) else { return };
        if let Some((key, value)) = change.tag {
            retag(&mut model.tags, key, value);
            return;
        }
        model.updated = change.at;
        if change.description.is_some() {
            model.description = change.description;
        }
        if let Some(name) = change.renamed.filter(|name| !self.models.contains_key(name)) {
            let Some(mut model) = self.models.remove(&change.name) else { return };
            model.name.clone_from(&name);
            for version in model.versions.values_mut() {
                version.updated = change.at;
            }
            self.models.insert(name, model);
        }
    }

    pub(super) fn add_version(&mut self, new: NewVersion) {
        let Some(model) = self.models.get_mut(&new.name) else { return };
        if new.version < model.next {
            return;
        }
        model.next = new.version + 1;
        model.updated = new.at;
        self.storages.insert(new.storage.clone());
        let version = Version {
            number: new.version,
            minted: new.name,
            source: new.source,
            storage: new.storage,
            run: new.run,
            run_link: new.run_link,
            model: new.model,
            description: new.description,
            stage: Stage::None,
            tags: new.tags.into_iter().map(|(key, value)| Tag { key, value }).collect(),
            created: new.at,
            updated: new.at,
        };
        model.versions.insert(new.version, version);
    }

    pub(super) fn change_version(&mut self, change: VersionChange) {
        let Some(model) = self.models.get_mut(&change.name) else { return };
        if change.deleted {
            model.versions.remove(&change.version);
            model.aliases.retain(|_, version| *version != change.version);
            model.updated = change.at;
            return;
        }
        let Some(version) = model.versions.get_mut(&change.version) else { return };
        if let Some((key, value)) = change.tag {
            retag(&mut version.tags, key, value);
            return;
        }
        version.updated = change.at;
        if let Some(description) = change.description {
            version.description = description;
        }
        if let Some(stage) = change.stage.and_then(|word| Stage::of(&word).ok()) {
            version.stage = stage;
            model.updated = change.at;
        }
    }

    pub(super) fn alias(&mut self, name: &str, alias: &str, version: Option<u32>) {
        let Some(model) = self.models.get_mut(name) else { return };
        match version {
            Some(version) => drop(model.aliases.insert(alias.to_owned(), version)),
            None => drop(model.aliases.remove(alias)),
        }
    }
}

/// Sets a tag, or takes it away.
fn retag(tags: &mut Vec<Tag>, key: String, value: Option<String>) {
    tags.retain(|tag| tag.key != key);
    tags.extend(value.map(|value| Tag { key, value }));
}
