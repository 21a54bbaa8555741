//! Runs and logged models in the tables of a database.

use super::super::super::fact::{Dataset, DatasetInput, Tag};
use super::super::super::metric::Sent;
use super::super::super::model::STATUSES;
use super::super::super::number::Int;
use super::super::super::run::NAME_TAG;
use super::super::source::{Data, Info, Inputs, LoggedModel, ModelInfo, ModelOutput, Outputs, Page, Run, Told};
use super::{Database, text, whole};

/// So many runs are told at once.
const PAGE: usize = 100;

impl Database {
    /// Runs of an experiment, from a place in their list on.
    pub(super) fn page_of_runs(&mut self, experiment: &str, after: Option<&str>) -> Told<Page<Run>> {
        if after.is_none() {
            let statement = "SELECT run_uuid FROM runs WHERE experiment_id = ?1
                             ORDER BY coalesce(start_time, 0), run_uuid";
            self.runs = self.rows(statement, [experiment], |row| row.get(0))?;
        }
        let from = after.map_or(0, |place| place.parse().unwrap_or(self.runs.len()));
        let end = self.runs.len().min(from.saturating_add(PAGE));
        let ids = self.runs.get(from..end).unwrap_or_default();
        let members = ids.iter().map(|id| self.run(id)).collect::<Told<Vec<_>>>()?;
        Ok(Page { members, next: (end < self.runs.len()).then(|| end.to_string()) })
    }

    fn run(&self, id: &str) -> Told<Run> {
        let tags = self.tags("SELECT key, value FROM tags WHERE run_uuid = ?1", [id])?;
        let statement = "SELECT name, user_id, status, start_time, end_time, artifact_uri, lifecycle_stage
                         FROM runs WHERE run_uuid = ?1";
        let info = self.rows(statement, [id], |row| {
            Ok(Info {
                run_id: id.to_owned(),
                run_name: text(row, 0)?,
                user_id: text(row, 1)?,
                status: text(row, 2)?,
                start_time: whole(row, 3)?,
                end_time: whole(row, 4)?,
                artifact_uri: text(row, 5)?,
                lifecycle_stage: text(row, 6)?,
            })
        })?;
        let mut info = info.into_iter().next().ok_or_else(|| format!("the run {id} is gone"))?;
        if info.run_name.is_empty() {
            // The name that clients gave before there was a column for it.
            info.run_name = named(&tags);
        }
        let metrics =
            self.rows("SELECT key FROM latest_metrics WHERE run_uuid = ?1", [id], |row| row.get::<_, String>(0))?;
        let data = Data {
            metrics: metrics.iter().map(|key| Sent::of(key)).collect(),
            params: self.tags("SELECT key, value FROM params WHERE run_uuid = ?1", [id])?,
            tags,
        };
        let inputs = Inputs { dataset_inputs: self.datasets(id)? };
        Ok(Run { info, data, inputs, outputs: Outputs { model_outputs: self.models_made(id)? } })
    }

    /// The datasets that a run used.
    fn datasets(&self, run: &str) -> Told<Vec<DatasetInput>> {
        let statement = "SELECT inputs.input_uuid, datasets.name, digest, dataset_source_type, dataset_source,
                                nullif(dataset_schema, ''), nullif(dataset_profile, '')
                         FROM inputs JOIN datasets ON inputs.source_id = datasets.dataset_uuid
                         WHERE destination_type = 'RUN' AND destination_id = ?1";
        let used = self.rows(statement, [run], |row| {
            let dataset = Dataset {
                name: row.get(1)?,
                digest: row.get(2)?,
                source_type: row.get(3)?,
                source: row.get(4)?,
                schema: row.get(5)?,
                profile: row.get(6)?,
            };
            Ok((row.get::<_, String>(0)?, dataset))
        })?;
        let tagged = |(input, dataset): (String, Dataset)| {
            let tags = self.tags("SELECT name, value FROM input_tags WHERE input_uuid = ?1", [&input])?;
            Ok(DatasetInput { tags, dataset })
        };
        used.into_iter().map(tagged).collect()
    }

    /// The logged models that a run made.
    fn models_made(&self, run: &str) -> Told<Vec<ModelOutput>> {
        if !self.shape.logged_models {
            return Ok(Vec::new());
        }
        let statement = "SELECT destination_id, step FROM inputs
                         WHERE source_type = 'RUN_OUTPUT' AND source_id = ?1 AND destination_type = 'MODEL_OUTPUT'";
        self.rows(statement, [run], |row| Ok(ModelOutput { model_id: row.get(0)?, step: Some(Int(row.get(1)?)) }))
    }

    /// The logged models of an experiment that are not deleted.
    pub(super) fn models_of(&self, experiment: &str) -> Told<Vec<LoggedModel>> {
        let statement = "SELECT model_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms,
                                status, model_type, nullif(source_run_id, '')
                         FROM logged_models WHERE experiment_id = ?1 AND lifecycle_stage = 'active'";
        let mut all = self.rows(statement, [experiment], |row| {
            let status = usize::try_from(row.get::<_, i64>(5)?).ok().and_then(|number| STATUSES.get(number));
            let info = ModelInfo {
                model_id: row.get(0)?,
                name: row.get(1)?,
                artifact_uri: row.get(2)?,
                creation_timestamp_ms: whole(row, 3)?,
                last_updated_timestamp_ms: whole(row, 4)?,
                status: status.map(|word| (*word).to_owned()),
                model_type: text(row, 6)?,
                source_run_id: row.get(7)?,
                tags: Vec::new(),
            };
            Ok(LoggedModel { info, data: Data::default() })
        })?;
        for LoggedModel { info, data } in &mut all {
            let id = [&info.model_id];
            data.params =
                self.tags("SELECT param_key, param_value FROM logged_model_params WHERE model_id = ?1", id)?;
            info.tags = self.tags("SELECT tag_key, tag_value FROM logged_model_tags WHERE model_id = ?1", id)?;
        }
        Ok(all)
    }
}

fn named(tags: &[Tag]) -> String {
    tags.iter().find(|tag| tag.key == NAME_TAG).map(|tag| tag.value.clone()).unwrap_or_default()
}
