//! Metadata: rows of fields and values of tasks, which also tell how an attempt began and ended.

use std::collections::BTreeMap;

use lineage_store::Result;
use lineage_store::event::{Event, Json, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::denied::Denied;
use super::ledger::Ledger;
use super::pattern::Pattern;
use super::place::{self, Place};
use super::planned::{self, Plan, Planned};
use super::run::run_event;
use super::said::Says;
use super::task::{Task, task_event};
use super::{Writer, attempt};

/// Where some rows of metadata stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The position of their event.
    pub(super) position: u64,
    /// The time of the first of them, in milliseconds since 1970; each has one more than the one before.
    pub(super) ts: i64,
    /// The number of the first of them among all rows.
    pub(super) id: u64,
}

/// A row as clients send it.
#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(default = "planned::blank")]
    field_name: String,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(default = "planned::blank", rename = "type")]
    kind: String,
    user_name: Option<String>,
    tags: Option<Vec<String>>,
    system_tags: Option<Vec<String>>,
}

impl Sent<'_> {
    fn attempt(&self) -> Option<u32> {
        attempt::of_tags(self.tags.as_deref().unwrap_or_default())
    }

    /// The value as text.
    fn text(&self) -> String {
        let raw = self.value.map_or("null", RawValue::get);
        serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned())
    }
}

/// A row of metadata, as clients read it.
#[derive(Debug, Serialize)]
pub struct MetadataRow {
    id: u64,
    flow_id: String,
    run_number: Value,
    step_name: String,
    task_id: Value,
    field_name: String,
    value: Box<RawValue>,
    #[serde(rename = "type")]
    kind: String,
    user_name: Option<String>,
    ts_epoch: i64,
    tags: Option<Vec<String>>,
    system_tags: Option<Vec<String>>,
}

/// What some rows tell of their attempt.
#[derive(Default)]
pub(super) struct Told {
    /// The attempt, if they name one.
    attempt: Option<u32>,
    /// Whether it begins.
    pub(super) has_begun: bool,
    /// Whether it ended well.
    pub(super) ok: Option<bool>,
    /// Whether nothing more is done.
    pub(super) is_done: bool,
    /// Where the task stands in loops.
    pub(super) path: Option<String>,
    /// The name of the last step of the flow.
    pub(super) end: Option<String>,
    /// The run that is resumed.
    resumed: Option<String>,
    /// The task of that run that this one was cloned from.
    cloned: Option<String>,
    software: serde_json::Map<String, Value>,
    code: serde_json::Map<String, Value>,
    user: Option<String>,
}

impl Told {
    /// Reads what an event kept of rows.
    pub(super) fn kept(sent: Option<&str>) -> (Self, usize) {
        let rows: Vec<Sent<'_>> = sent.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        (Self::of(&rows), rows.len())
    }

    fn of(rows: &[Sent<'_>]) -> Self {
        let mut told = Self::default();
        for row in rows {
            told.attempt = told.attempt.or(row.attempt());
            told.user = told.user.take().or_else(|| row.user_name.clone()).filter(|name| !name.is_empty());
            let text = row.text();
            match row.field_name.as_str() {
                "attempt" => told.has_begun = true,
                "attempt_ok" => told.ok = Some(text.eq_ignore_ascii_case("true")),
                "attempt-done" => told.is_done = true,
                "foreach-execution-path" => told.path = Some(text),
                "end_step" => told.end = Some(text),
                "origin-run-id" => told.resumed = Some(text),
                "origin-task-id" => told.cloned = Some(text),
                "python_version" => drop(told.software.insert("python".to_owned(), text.into())),
                "metaflow_version" => drop(told.software.insert("metaflow".to_owned(), text.into())),
                "script-name" => drop(told.code.insert("script".to_owned(), text.into())),
                "git-info" => told.git(&text),
                _ => {}
            }
        }
        told
    }

    /// Reads where the code came from, which is JSON in a text.
    fn git(&mut self, text: &str) {
        let Ok(Value::Object(info)) = serde_json::from_str(text) else { return };
        for (key, name) in [
            ("repo_url", "repo"),
            ("commit_sha", "commit"),
            ("branch_name", "branch"),
            ("has_uncommitted_changes", "dirty"),
        ] {
            if let Some(value) = info.get(key).filter(|value| value.is_string() || value.is_boolean()) {
                self.code.insert(name.to_owned(), value.clone());
            }
        }
    }

    /// The run that the run of a task resumes.
    pub(super) fn resumed(&self, place: &Place) -> Option<Place> {
        Some(place.clone().run(self.resumed.clone()?))
    }

    /// The task that a task was cloned from.
    pub(super) fn origin(&self, place: &Place) -> Option<Place> {
        Some(self.resumed(place)?.task(self.cloned.clone()?))
    }

    /// The attempt that they speak of: where they name none, the newest that told how it ended.
    pub(super) fn attempt(&self, verdicts: &BTreeMap<u32, bool>) -> u32 {
        self.attempt.or_else(|| Some(*verdicts.last_key_value()?.0)).unwrap_or(0)
    }

    /// The state of an event with these rows; `verdict`: whether the attempt told before that it ended well.
    fn state(&self, verdict: Option<bool>) -> State {
        match (self.ok, self.is_done && verdict.is_none()) {
            (Some(true), _) | (None, true) => State::Complete,
            (Some(false), _) => State::Fail,
            (None, false) if self.has_begun => State::Start,
            (None, false) => State::Running,
        }
    }
}

impl Ledger {
    /// The events that add rows of metadata to a task.
    pub fn add_metadata(&self, place: &Place, body: &[u8], writer: &Writer<'_>) -> Plan {
        let rows = planned::rows(body)?;
        let task = self.known_task(place)?;
        let rows: Vec<(&str, Sent<'_>)> = planned::read(rows)?;
        let mut planned = Planned { n_rows: rows.len(), ..Planned::new(place.clone()) };
        let mut verdicts = task.attempts.clone();
        for group in planned::groups(rows, |(_, row)| row.attempt(), |(text, _)| text) {
            let (texts, rows): (Vec<&str>, Vec<Sent<'_>>) = group.into_iter().unzip();
            let told = Told::of(&rows);
            let attempt = told.attempt(&verdicts);
            let verdict = verdicts.get(&attempt).copied();
            if let Some(ok) = told.ok {
                verdicts.insert(attempt, ok);
            }
            let sent = planned::list(texts.into_iter());
            planned.add("metadata", &sent, self.metadata_event(place, task, &told, verdict, &sent, writer)?)?;
            if let Some(end) = self.end_of_run(place, &told, verdict, writer)? {
                planned.add("end", "", end)?;
            }
        }
        Ok(planned)
    }

    fn metadata_event(
        &self,
        place: &Place,
        task: &Task,
        told: &Told,
        verdict: Option<bool>,
        sent: &str,
        writer: &Writer<'_>,
    ) -> std::result::Result<Event, Denied> {
        let actor = told.user.clone().unwrap_or_else(|| writer.caller.to_owned());
        let mut event = task_event(place, actor, told.state(verdict));
        event.attempt = told.attempt.map(attempt::number);
        event.software = Json::from_value(&told.software.clone().into()).map_err(Denied::Malformed)?;
        event.code = Json::from_value(&told.code.clone().into()).map_err(Denied::Malformed)?;
        let follows = told.has_begun.then(|| self.follows(place, task, told));
        if let Some(follows) = &follows {
            event.inputs = self.made_by(&place.flow, follows).inputs(&place.flow, writer.kinds);
        }
        event.facets = Says::Metadata.facets(place, Some(sent), follows.as_deref())?;
        Ok(event)
    }

    /// The tasks that an attempt follows when it begins; one that was cloned follows what it was cloned from.
    fn follows(&self, place: &Place, task: &Task, told: &Told) -> Vec<String> {
        if let Some(origin) = told.origin(place).filter(|origin| self.task_at(origin).is_some()) {
            return vec![origin.within()];
        }
        let path = told.path.as_deref().unwrap_or(&task.path);
        self.run_at(place).map(|run| run.before(place, path)).unwrap_or_default()
    }

    /// The event that ends a run, where its last step ended well; the service is never told more of it.
    fn end_of_run(
        &self,
        place: &Place,
        told: &Told,
        verdict: Option<bool>,
        writer: &Writer<'_>,
    ) -> std::result::Result<Option<Event>, Denied> {
        let Some(run) = self.run_at(place) else { return Ok(None) };
        if run.is_done || place.step != run.end() || told.state(verdict) != State::Complete {
            return Ok(None);
        }
        let actor = told.user.clone().unwrap_or_else(|| writer.caller.to_owned());
        let mut event = run_event(place, actor, State::Complete);
        event.id = Some(format!("done/{}", place.run_name()));
        event.facets = Says::Done.facets(place, None, None)?;
        Ok(Some(event))
    }

    /// The metadata of a task; none if there is no such task.
    pub fn metadata(&self, place: &Place) -> MetadataList {
        let chunks = self.task_at(place).map(|task| task.metadata.clone()).unwrap_or_default();
        MetadataList { parts: vec![(place.clone(), chunks)] }
    }

    /// The metadata of all tasks of a run.
    pub fn metadata_of_run(&self, place: &Place) -> MetadataList {
        let steps = self.run_at(place).into_iter().flat_map(|run| &run.steps);
        let part =
            |step: &String, (id, task): (&String, &Task)| (place.clone().step(step).task(id), task.metadata.clone());
        let parts = steps.flat_map(|(name, step)| step.tasks.iter().map(move |task| part(name, task)));
        MetadataList { parts: parts.collect() }
    }

    /// The tasks of a step in the order in which they were made, each with its metadata.
    pub fn tasks_with_metadata(&self, place: &Place) -> Vec<(String, MetadataList)> {
        let mut tasks: Vec<_> = self.step_at(place).into_iter().flat_map(|step| &step.tasks).collect();
        tasks.sort_by_key(|(_, task)| task.ts);
        let one = |(id, task): (&String, &Task)| {
            let place = place.clone().task(id);
            (place.spec(), MetadataList { parts: vec![(place, task.metadata.clone())] })
        };
        tasks.into_iter().map(one).collect()
    }
}

/// Rows of metadata that still stand in events.
#[derive(Clone, Debug)]
pub struct MetadataList {
    parts: Vec<(Place, Vec<Chunk>)>,
}

impl MetadataList {
    /// Reads the rows, newest first; `sent` reads what an event kept of a request.
    pub fn rows(&self, sent: &dyn Fn(u64) -> Result<Option<String>>) -> Result<Vec<MetadataRow>> {
        let mut rows = Vec::new();
        for (place, chunks) in &self.parts {
            for chunk in chunks {
                let text = sent(chunk.position)?.unwrap_or_default();
                let list: Vec<Sent<'_>> = serde_json::from_str(&text).unwrap_or_default();
                rows.extend(list.into_iter().zip(0..).map(|(row, n)| chunk.row(place, row, n)));
            }
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.id));
        Ok(rows)
    }

    /// Whether a row has a field, if one is asked for, and a value that fits, if a pattern is.
    pub fn has(
        &self,
        field: Option<&str>,
        pattern: Option<&Pattern>,
        sent: &dyn Fn(u64) -> Result<Option<String>>,
    ) -> Result<bool> {
        let fits = |row: &MetadataRow| {
            let text = || serde_json::from_str(row.value.get()).unwrap_or_else(|_| row.value.get().to_owned());
            field.is_none_or(|field| row.field_name == field) && pattern.is_none_or(|pattern| pattern.is_in(&text()))
        };
        Ok(self.rows(sent)?.iter().any(fits))
    }
}

impl Chunk {
    fn row(&self, place: &Place, row: Sent<'_>, n: u32) -> MetadataRow {
        MetadataRow {
            id: self.id + u64::from(n),
            flow_id: place.flow.clone(),
            run_number: place::id(&place.run),
            step_name: place.step.clone(),
            task_id: place::id(&place.task),
            field_name: row.field_name,
            value: row.value.map_or_else(|| RawValue::NULL.to_owned(), ToOwned::to_owned),
            kind: row.kind,
            user_name: row.user_name,
            ts_epoch: self.ts + i64::from(n),
            tags: row.tags,
            system_tags: row.system_tags,
        }
    }
}
