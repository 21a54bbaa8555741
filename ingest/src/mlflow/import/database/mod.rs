//! The database of a tracking server as a source: `SQLite`, read as it was at one instant, and never written to.
//!
//! What is told is what `MLflow`'s own server would tell of it. The tables are those of `MLflow` 2.22 to 3.17, whose
//! models are in `mlflow/store/tracking/dbmodels/models.py` and `mlflow/store/model_registry/dbmodels/models.py`.

mod folders;
mod registry;
mod run;
mod snapshot;

use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, Params, Row};

use super::super::fact::Tag;
use super::super::metric::Sent;
use super::super::number::{Double, Int};
use super::ImportError;
use super::source::{Experiment, Listed, LoggedModel, Page, Registered, Run, Source, Told, Version};
pub use folders::Folders;

/// The workspace of a server that has none.
const WORKSPACE: &str = "workspace = 'default'";
/// The tables with something beside the history of runs and models, and what it is.
const BESIDE: &[(&str, &str)] =
    &[("trace_info", "traces"), ("evaluation_datasets", "evaluation datasets"), ("scorers", "scorers")];

/// The database of a tracking server, open for reading.
pub struct Database {
    /// Its path, for errors.
    name: String,
    connection: Connection,
    folders: Folders,
    /// The runs of the experiment that is being told, the first to begin first.
    runs: Vec<String>,
    shape: Shape,
}

/// What only some versions of the tables have.
#[derive(Clone, Copy)]
struct Shape {
    /// Experiments and registered models are of workspaces: from 3.10 on.
    workspaces: bool,
    /// There are logged models, and models that runs used and made: from 3.0 on.
    logged_models: bool,
}

impl Database {
    /// Opens the database at a path; its files are looked for in folders.
    pub fn open(path: &Path, folders: Folders) -> Result<Self, ImportError> {
        let name = path.display().to_string();
        let connection = snapshot::open(path).map_err(ImportError::Source)?;
        let shape = Shape { workspaces: false, logged_models: false };
        let mut database = Self { name, connection, folders, runs: Vec::new(), shape };
        database.shape = database.shape().map_err(ImportError::Source)?;
        Ok(database)
    }

    /// Finds out which tables there are; a database of something else is refused.
    fn shape(&self) -> Told<Shape> {
        for (table, columns) in snapshot::NEEDED {
            for column in *columns {
                if !self.has(table, column)? {
                    return Err(format!(
                        "{} is no tracking store of MLflow 2.22 to 3.17: it has no column {table}.{column}; \
                         `mlflow db upgrade sqlite:///FILE` brings an older one up to date",
                        self.name
                    ));
                }
            }
        }
        let workspaces = self.has("experiments", "workspace")? && self.has("registered_models", "workspace")?;
        Ok(Shape { workspaces, logged_models: self.has("logged_models", "model_id")? && self.has("inputs", "step")? })
    }

    fn has(&self, table: &str, column: &str) -> Told<bool> {
        let found = self.rows("SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2", [table, column], |_| Ok(()))?;
        Ok(!found.is_empty())
    }

    /// The condition that rows are of the one workspace that is told.
    fn own(&self) -> &'static str {
        if self.shape.workspaces { WORKSPACE } else { "1" }
    }

    /// Reads every row that a statement finds.
    fn rows<T>(
        &self,
        statement: &str,
        with: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Told<Vec<T>> {
        let rows = || self.connection.prepare(statement)?.query_map(with, read)?.collect::<Result<_, _>>();
        rows().map_err(|error| format!("cannot read {}: {error}", self.name))
    }

    /// Reads keys and values; one without a value has an empty one, as in the protocol.
    fn tags(&self, statement: &str, with: impl Params) -> Told<Vec<Tag>> {
        self.rows(statement, with, |row| Ok(Tag { key: row.get(0)?, value: text(row, 1)? }))
    }

    /// Counts the rows of a table for which a condition holds.
    fn count(&self, table: &str, condition: &str) -> Told<u64> {
        let counted =
            self.rows(&format!("SELECT count(*) FROM {table} WHERE {condition}"), [], |row| row.get::<_, i64>(0))?;
        Ok(counted.first().and_then(|n| u64::try_from(*n).ok()).unwrap_or_default())
    }
}

/// A text that may be null.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(row.get::<_, Option<String>>(column)?.unwrap_or_default())
}

/// A whole number that may be null; the protocol takes zero for none.
fn whole(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Int>> {
    Ok(row.get::<_, Option<i64>>(column)?.filter(|number| *number != 0).map(Int))
}

impl Source for Database {
    fn experiments(&mut self) -> Told<Vec<Experiment>> {
        let statement = format!(
            "SELECT CAST(experiment_id AS TEXT), name, artifact_location, lifecycle_stage, creation_time
             FROM experiments WHERE {}",
            self.own()
        );
        let mut all = self.rows(&statement, [], |row| {
            Ok(Experiment {
                id: row.get(0)?,
                name: row.get(1)?,
                artifact_location: text(row, 2)?,
                lifecycle_stage: text(row, 3)?,
                creation_time: whole(row, 4)?,
                tags: Vec::new(),
            })
        })?;
        for experiment in &mut all {
            let statement = "SELECT key, value FROM experiment_tags WHERE experiment_id = ?1";
            experiment.tags = self.tags(statement, [&experiment.id])?;
        }
        Ok(all)
    }

    fn runs(&mut self, experiment: &str, after: Option<&str>) -> Told<Page<Run>> {
        self.page_of_runs(experiment, after)
    }

    fn models_used(&mut self, run: &str) -> Told<Vec<String>> {
        if !self.shape.logged_models {
            return Ok(Vec::new());
        }
        let statement = "SELECT destination_id FROM inputs
                         WHERE source_type = 'RUN_INPUT' AND source_id = ?1 AND destination_type = 'MODEL_INPUT'";
        self.rows(statement, [run], |row| row.get(0))
    }

    fn history(&mut self, run: &str, key: &str) -> Told<Vec<Sent>> {
        let statement = "SELECT value, is_nan, timestamp, step FROM metrics WHERE run_uuid = ?1 AND key = ?2";
        self.rows(statement, [run, key], |row| {
            let value = if row.get(1)? { f64::NAN } else { row.get(0)? };
            let (timestamp, step) = (Some(Int(row.get(2)?)), Some(Int(row.get(3)?)));
            Ok(Sent { value: Some(Double(value)), timestamp, step, ..Sent::of(key) })
        })
    }

    fn models(&mut self, experiment: &str) -> Told<Vec<LoggedModel>> {
        if self.shape.logged_models { self.models_of(experiment) } else { Ok(Vec::new()) }
    }

    fn registered(&mut self) -> Told<Vec<Registered>> {
        self.registered_models()
    }

    fn versions(&mut self, name: &str) -> Told<Vec<Version>> {
        self.versions_of(name)
    }

    fn storage(&mut self, name: &str, version: u32) -> Told<String> {
        let statement = format!(
            "SELECT coalesce(nullif(storage_location, ''), source) FROM model_versions
             WHERE name = ?1 AND version = ?2 AND {}",
            self.own()
        );
        let found = self.rows(&statement, (name, version), |row| text(row, 0))?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    fn list(&mut self, folder: &str) -> Told<Result<Vec<Listed>, String>> {
        self.folders.list(folder)
    }

    fn open(&mut self, key: &str) -> Told<Option<Box<dyn Read + '_>>> {
        self.folders.open(key)
    }

    fn beside(&mut self) -> Told<Vec<(u64, &'static str)>> {
        let mut beside = Vec::new();
        for (table, what) in BESIDE {
            // A table that this version has not: nothing of it is left out.
            if !self.rows("SELECT 1 FROM sqlite_master WHERE name = ?1", [table], |_| Ok(()))?.is_empty() {
                beside.push((self.count(table, "1")?, *what));
            }
        }
        beside.push((self.prompts()?, "prompts"));
        if self.shape.workspaces {
            let others = format!("NOT ({WORKSPACE})");
            beside.push((self.count("experiments", &others)?, "experiments of other workspaces"));
            beside.push((self.count("registered_models", &others)?, "registered models of other workspaces"));
        }
        beside.push((self.folders.odd(), "links and other files that are no regular ones"));
        Ok(beside)
    }
}
