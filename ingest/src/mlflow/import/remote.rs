//! Another tracking server as a source: asked over its own protocol, page by page.

use std::io::Read;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::metric::Sent;
use super::source::{Experiment, Listed, LoggedModel, Page, Registered, Run, Source, Told, Version};

/// So many members are asked for at once.
const PAGE: u32 = 100;
/// So many measurements are asked for at once.
const POINTS: u32 = 10_000;

/// The way to a tracking server.
pub trait Peer {
    /// Asks: method, path below `/api/2.0/`, and body or parameters. `None`: it is not there.
    fn ask(&mut self, method: &str, path: &str, body: &Value) -> Result<Option<Value>, String>;

    /// Begins to read a file of its proxy by its path; `None`: it is not there.
    fn open(&mut self, path: &str) -> Result<Option<Box<dyn Read + '_>>, String>;
}

/// A tracking server.
pub(super) struct Remote<'a>(pub(super) &'a mut dyn Peer);

impl Remote<'_> {
    /// Asks for one page of a list.
    fn page<T: DeserializeOwned>(&mut self, asked: &Asked<'_>, after: Option<&str>) -> Told<Page<T>> {
        let mut body = asked.body.clone();
        if let Some(token) = after {
            body["page_token"] = token.into();
        }
        let Some(mut said) = self.0.ask(asked.method, asked.path, &body)? else {
            return Ok(Page { members: Vec::new(), next: None });
        };
        let members = match said[asked.member].take() {
            Value::Null => Vec::new(),
            list => serde_json::from_value(list)
                .map_err(|error| format!("{} answers something else: {error}", asked.path))?,
        };
        let next = said["next_page_token"].as_str().filter(|token| !token.is_empty() && Some(*token) != after);
        Ok(Page { members, next: next.map(str::to_owned) })
    }

    /// Asks for every page of a list.
    fn whole<T: DeserializeOwned>(&mut self, asked: &Asked<'_>) -> Told<Vec<T>> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.page(asked, after.as_deref())?;
            all.extend(page.members);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }
}

/// A request for a list.
struct Asked<'a> {
    method: &'a str,
    path: &'a str,
    /// The name of the list in the answer.
    member: &'a str,
    body: Value,
}

impl<'a> Asked<'a> {
    fn get(path: &'a str, member: &'a str, body: Value) -> Self {
        Self { method: "GET", path, member, body }
    }

    fn post(path: &'a str, member: &'a str, body: Value) -> Self {
        Self { method: "POST", path, member, body }
    }
}

impl Source for Remote<'_> {
    fn experiments(&mut self) -> Told<Vec<Experiment>> {
        let body = json!({ "max_results": PAGE, "view_type": "ALL" });
        self.whole(&Asked::post("mlflow/experiments/search", "experiments", body))
    }

    fn runs(&mut self, experiment: &str, after: Option<&str>) -> Told<Page<Run>> {
        let body = json!({
            "experiment_ids": [experiment], "run_view_type": "ALL", "max_results": PAGE,
            "order_by": ["attributes.start_time ASC"],
        });
        self.page(&Asked::post("mlflow/runs/search", "runs", body), after)
    }

    fn models_used(&mut self, run: &str) -> Told<Vec<String>> {
        let said = self.0.ask("GET", "mlflow/runs/get", &json!({ "run_id": run, "run_uuid": run }))?;
        let used = said.map(|mut said| said["run"]["inputs"]["model_inputs"].take()).filter(Value::is_array);
        let used: Vec<Used> = serde_json::from_value(used.unwrap_or_else(|| json!([])))
            .map_err(|error| format!("runs/get answers something else: {error}"))?;
        Ok(used.into_iter().map(|used| used.model_id).collect())
    }

    fn history(&mut self, run: &str, key: &str) -> Told<Vec<Sent>> {
        let body = json!({ "run_id": run, "run_uuid": run, "metric_key": key, "max_results": POINTS });
        self.whole(&Asked::get("mlflow/metrics/get-history", "metrics", body))
    }

    fn models(&mut self, experiment: &str) -> Told<Vec<LoggedModel>> {
        let body = json!({ "experiment_ids": [experiment], "max_results": PAGE });
        self.whole(&Asked::post("mlflow/logged-models/search", "models", body))
    }

    fn registered(&mut self) -> Told<Vec<Registered>> {
        let body = json!({ "max_results": PAGE });
        self.whole(&Asked::get("mlflow/registered-models/search", "registered_models", body))
    }

    fn versions(&mut self, name: &str) -> Told<Vec<Version>> {
        // The filter knows no escapes, but two kinds of quotes.
        let quote = if name.contains('\'') { '"' } else { '\'' };
        let body = json!({ "filter": format!("name={quote}{name}{quote}"), "max_results": PAGE });
        self.whole(&Asked::get("mlflow/model-versions/search", "model_versions", body))
    }

    fn storage(&mut self, name: &str, version: u32) -> Told<String> {
        let asked = json!({ "name": name, "version": version.to_string() });
        let said = self.0.ask("GET", "mlflow/model-versions/get-download-uri", &asked)?;
        Ok(said.and_then(|said| said["artifact_uri"].as_str().map(str::to_owned)).unwrap_or_default())
    }

    fn list(&mut self, folder: &str) -> Told<Result<Vec<Listed>, String>> {
        if folder.starts_with(['/', '.']) {
            return Ok(Err("folders of files on the machines of its clients".to_owned()));
        }
        let said = self.0.ask("GET", "mlflow-artifacts/artifacts", &json!({ "path": folder }))?;
        let listed = said.map(|mut said| said["files"].take()).filter(Value::is_array).unwrap_or_else(|| json!([]));
        serde_json::from_value(listed).map(Ok).map_err(|error| format!("the list of {folder} is none: {error}"))
    }

    fn open(&mut self, key: &str) -> Told<Option<Box<dyn Read + '_>>> {
        self.0.open(key)
    }

    fn beside(&mut self) -> Told<Vec<(u64, &'static str)>> {
        // A server tells only what it is asked for.
        Ok(Vec::new())
    }
}

/// A logged model that a run used.
#[derive(Deserialize)]
struct Used {
    model_id: String,
}
