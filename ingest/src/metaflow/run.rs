//! Runs: one for each start of a flow, numbered over all flows.

use std::collections::BTreeMap;

use lineage_store::event::{Event, Json, Kind, State};
use serde::Serialize;
use serde_json::Value;

use super::Writer;
use super::created::Created;
use super::denied::Denied;
use super::follow::Finished;
use super::heartbeat::Beats;
use super::ledger::Ledger;
use super::place::{self, Place};
use super::planned::Planned;
use super::said::{self, Says};
use super::step::Step;

/// A run, as far as the ledger knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    /// When it was recorded, in milliseconds since 1970.
    pub(super) ts: i64,
    /// Who started it.
    pub(super) user: Option<String>,
    /// The tags of its user, in the order in which they were set.
    pub(super) tags: Vec<String>,
    /// The tags that the client set by itself.
    pub(super) system_tags: Vec<String>,
    /// Its steps by their names.
    pub(super) steps: BTreeMap<String, Step>,
    /// When its newest step was recorded.
    pub(super) newest: i64,
    /// Its tasks that ended well, in that order.
    pub(super) finished: Finished,
    /// The name of its last step, where the client told it.
    pub(super) end: Option<String>,
    /// Whether its last step ended well.
    pub(super) is_done: bool,
}

/// A run, as clients read it.
#[derive(Clone, Debug, Serialize)]
pub struct RunRow {
    flow_id: String,
    run_number: Value,
    user_name: Option<String>,
    ts_epoch: i64,
    tags: Vec<String>,
    system_tags: Vec<String>,
    last_heartbeat_ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

impl Ledger {
    /// Makes a run; without a name it gets the next number.
    pub fn create_run(&mut self, place: &Place, body: &[u8], writer: &Writer<'_>) -> Result<Planned, Denied> {
        let flow = &place.flow;
        let (created, sent) = Created::read(body)?;
        let Some(known) = self.flows.get(flow) else {
            return Err(Denied::Missing(format!("there is no flow {flow}; make it first")));
        };
        let (run, id) = match created.run() {
            Some(name) if place::is_number(&name) => {
                return Err(Denied::Malformed(format!("run {name}: only the service gives numbers")));
            }
            Some(name) if known.runs.contains_key(&name) => {
                return Err(Denied::Exists(format!("the run {flow}/{name} is there already")));
            }
            Some(name) => (name.clone(), format!("run/{flow}/{name}")),
            None => {
                let number = self.next_run()?;
                (number.to_string(), format!("run/{number}"))
            }
        };
        let place = Place::flow(flow).run(run);
        let mut event = run_event(&place, created.actor(writer.caller), State::Start);
        event.id = Some(id);
        event.tags = created.tags.clone().unwrap_or_default();
        event.software = software(&created)?;
        event.facets = Says::Run.facets(&place, Some(sent), None)?;
        Planned::made(place, "run", sent, event)
    }

    /// A run as the answer to making it.
    pub fn made_run(&self, place: &Place, beats: &Beats) -> Option<RunRow> {
        self.run(place, beats).map(|row| RunRow { user: None, ..row })
    }

    /// A run.
    pub fn run(&self, place: &Place, beats: &Beats) -> Option<RunRow> {
        self.run_at(place).map(|run| run.row(place, beats))
    }

    /// The runs of a flow, newest first; none if there is no such flow.
    pub fn runs(&self, flow: &str, beats: &Beats) -> Vec<RunRow> {
        let runs = self.flows.get(flow).into_iter().flat_map(|flow| &flow.runs);
        let mut rows: Vec<RunRow> = runs.map(|(id, run)| run.row(&Place::flow(flow).run(id), beats)).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.ts_epoch));
        rows
    }

    pub(super) fn run_at(&self, place: &Place) -> Option<&Run> {
        self.flows.get(&place.flow)?.runs.get(&place.run)
    }
}

impl Run {
    fn row(&self, place: &Place, beats: &Beats) -> RunRow {
        RunRow {
            flow_id: place.flow.clone(),
            run_number: place::id(&place.run),
            user_name: self.user.clone(),
            ts_epoch: self.ts,
            tags: self.tags.clone(),
            system_tags: self.system_tags.clone(),
            last_heartbeat_ts: beats.last(&place.spec()).unwrap_or(self.ts / 1000),
            user: self.user.clone(),
        }
    }

    /// The name of its last step.
    pub(super) fn end(&self) -> &str {
        self.end.as_deref().unwrap_or("end")
    }
}

/// An event of a run itself.
pub(super) fn run_event(place: &Place, actor: String, state: State) -> Event {
    let mut event = said::event(Kind::Transform, actor);
    event.job = Some(place.flow.clone());
    event.run = Some(place.run_name());
    event.state = state;
    event
}

/// What the system tags tell of the software.
fn software(created: &Created) -> Result<Json, Denied> {
    let told = [("python", "python_version"), ("metaflow", "metaflow_version")];
    let software: serde_json::Map<String, Value> =
        told.iter().filter_map(|(name, key)| Some(((*name).to_owned(), created.system(key)?.into()))).collect();
    Json::from_value(&software.into()).map_err(Denied::Malformed)
}
