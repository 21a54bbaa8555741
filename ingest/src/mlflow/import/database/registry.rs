//! Registered models and their versions in the tables of a database.

use super::super::super::number::Int;
use super::super::source::{Alias, Registered, Told, Version};
use super::{Database, text, whole};

/// The names of registered models that hold prompts, which are no models.
const PROMPTS: &str = "SELECT name FROM registered_model_tags WHERE key = 'mlflow.prompt.is_prompt' AND value = 'true'";

impl Database {
    pub(super) fn registered_models(&self) -> Told<Vec<Registered>> {
        let own = self.own();
        let statement = format!(
            "SELECT name, description, creation_time FROM registered_models
             WHERE {own} AND name NOT IN ({PROMPTS} AND {own})"
        );
        let mut all = self.rows(&statement, [], |row| {
            Ok(Registered {
                name: row.get(0)?,
                description: row.get(1)?,
                creation_timestamp: whole(row, 2)?,
                tags: Vec::new(),
                aliases: Vec::new(),
            })
        })?;
        let tags = format!("SELECT key, value FROM registered_model_tags WHERE name = ?1 AND {own}");
        let aliases = format!("SELECT alias, version FROM registered_model_aliases WHERE name = ?1 AND {own}");
        for model in &mut all {
            model.tags = self.tags(&tags, [&model.name])?;
            let read = |row: &rusqlite::Row<'_>| Ok(Alias { alias: row.get(0)?, version: Int(row.get(1)?) });
            model.aliases = self.rows(&aliases, [&model.name], read)?;
        }
        Ok(all)
    }

    /// The versions of a registered model; one that was deleted keeps its number and nothing else.
    pub(super) fn versions_of(&self, name: &str) -> Told<Vec<Version>> {
        let own = self.own();
        let statement = format!(
            "SELECT version, source, run_id, run_link, description, creation_time, last_updated_time, current_stage
             FROM model_versions WHERE name = ?1 AND current_stage != 'Deleted_Internal' AND {own}"
        );
        let mut all = self.rows(&statement, [name], |row| {
            Ok(Version {
                number: Int(row.get(0)?),
                source: text(row, 1)?,
                run_id: text(row, 2)?,
                run_link: text(row, 3)?,
                description: text(row, 4)?,
                creation_timestamp: whole(row, 5)?,
                last_updated_timestamp: whole(row, 6)?,
                current_stage: row.get(7)?,
                tags: Vec::new(),
            })
        })?;
        let tags = format!("SELECT key, value FROM model_version_tags WHERE name = ?1 AND version = ?2 AND {own}");
        for version in &mut all {
            version.tags = self.tags(&tags, (name, version.number.0))?;
        }
        Ok(all)
    }

    /// How many prompts there are.
    pub(super) fn prompts(&self) -> Told<u64> {
        self.count("registered_models", &format!("{0} AND name IN ({PROMPTS} AND {0})", self.own()))
    }
}
