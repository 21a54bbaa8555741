//! Flows: made once, by the first run.

use std::collections::BTreeMap;

use lineage_store::event::Kind;
use serde::Serialize;

use super::Writer;
use super::created::Created;
use super::denied::Denied;
use super::ledger::Ledger;
use super::place::Place;
use super::planned::Planned;
use super::run::Run;
use super::said::{self, Says};

/// A flow, as far as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// When it was recorded, in milliseconds since 1970.
    pub(super) ts: i64,
    /// Who made it.
    pub(super) user: Option<String>,
    /// Its runs by their ids.
    pub(super) runs: BTreeMap<String, Run>,
    /// When its newest run was recorded.
    pub(super) newest: i64,
}

/// A flow, as clients read it.
#[derive(Clone, Debug, Serialize)]
pub struct FlowRow {
    flow_id: String,
    user_name: Option<String>,
    ts_epoch: i64,
    tags: Option<Vec<String>>,
    system_tags: Option<Vec<String>>,
}

impl Ledger {
    /// Makes a flow.
    pub fn create_flow(&self, place: &Place, body: &[u8], writer: &Writer<'_>) -> Result<Planned, Denied> {
        let flow = &place.flow;
        if self.flows.contains_key(flow) {
            return Err(Denied::Exists(format!("the flow {flow} is there already")));
        }
        let (created, sent) = Created::read(body)?;
        let mut event = said::event(Kind::Register, created.actor(writer.caller));
        event.id = Some(format!("flow/{flow}"));
        event.job = Some(flow.clone());
        event.facets = Says::Flow.facets(place, Some(sent), None)?;
        Planned::made(place.clone(), "flow", sent, event)
    }

    /// A flow.
    pub fn flow(&self, flow: &str) -> Option<FlowRow> {
        self.flows.get(flow).map(|found| found.row(flow))
    }

    /// All flows, by name.
    pub fn flows(&self) -> Vec<FlowRow> {
        self.flows.iter().map(|(name, flow)| flow.row(name)).collect()
    }
}

impl Flow {
    fn row(&self, name: &str) -> FlowRow {
        let user_name = self.user.clone();
        FlowRow { flow_id: name.to_owned(), user_name, ts_epoch: self.ts, tags: None, system_tags: None }
    }
}
