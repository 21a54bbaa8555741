//! `OpenLineage`: one received event becomes our events, by a pure function of its bytes.
//!
//! The first of them is the run (or, for a `JobEvent` or `DatasetEvent`, the register); it has no id of its own, so that
//! the digest of the received bytes identifies it. Evaluations and owners follow, with ids made from that digest.
//! Everything an emitter said is in `facets`, one flat member each: `run.F`, `job.F`, `inputs[0].F`,
//! `inputs[0].inputFacets.F`, `outputs[0].F`, `outputs[0].outputFacets.F`, `dataset.F`, `producer`, `schemaURL`, and
//! what the specification does not know under `extra.KEY`, `extra.run.KEY`, `extra.inputs[0].KEY`...

#[cfg(test)]
mod acceptance;
mod dataset;
mod derived;
mod facets;
mod split;
#[cfg(test)]
mod tests;
mod wire;

use lineage_store::digest::Blake3;
use lineage_store::event::{About, Event, Json, Kind, Outcome, Refusal, State};
use lineage_store::time::Time;

use dataset::{Dataset, Side};
use derived::Derived;
use facets::Kept;
pub use split::split;
use wire::{Object, ROOT};

/// What the translation needs to know beside the bytes.
#[derive(Clone, Debug)]
pub struct Config {
    /// The actor of the events: who sends them.
    pub caller: String,
}

/// Translates one `OpenLineage` event: the run first, then what is derived from it.
///
/// A list of events is cut by [`split()`], lines by the caller.
pub fn translate(bytes: &[u8], config: &Config) -> Result<Vec<Event>, Refusal> {
    let text = wire::text(bytes)?.trim_ascii();
    let mended;
    let document = match Object::document(text) {
        Ok(document) => document,
        Err(refusal) => {
            mended = wire::mended(text)?.ok_or(refusal)?;
            Object::document(mended.trim_ascii())?
        }
    };
    let said = Said::read(&document)?;
    let first = said.event(config)?;
    first.check()?;
    let mut derived = said.derived(&first)?;
    if !derived.is_empty() {
        let received = Blake3::of(bytes);
        for event in &mut derived {
            event.id = event.id.take().map(|suffix| format!("{received}/{suffix}"));
            event.check()?;
        }
    }
    let mut events = vec![first];
    events.append(&mut derived);
    Ok(events)
}

/// Whether a document is an `OpenLineage` event, or a list of them, rather than one in the native format.
pub fn looks_like(bytes: &[u8]) -> bool {
    let Ok(parts) = split(bytes) else { return false };
    let Some(Ok(text)) = parts.first().map(|part| wire::text(part)) else { return false };
    let mended = Object::document(text).is_err().then(|| wire::mended(text).ok().flatten()).flatten();
    let Ok(object) = Object::document(mended.as_deref().unwrap_or(text)) else { return false };
    let has = |key| object.get(key).is_some();
    !has("v")
        && (has("eventTime") || has("schemaURL") || has("producer"))
        && (has("job") || has("run") || has("dataset"))
}

/// The keys that the specification knows in any event.
const KNOWN: [&str; 4] = ["eventTime", "producer", "schemaURL", "eventType"];

/// The facet in which our own exports say what a run was.
const OWN_EVENT: &str = "lineage_event";

/// What our own exports say of a run.
#[derive(Default)]
struct Own {
    kind: Option<Kind>,
    outcome: Option<Outcome>,
}

/// One event as its emitter said it.
struct Said<'a> {
    time: Time,
    state: State,
    run: Option<String>,
    /// Namespace and name; absent in a `DatasetEvent`.
    job: Option<(String, String)>,
    run_facets: Object<'a>,
    job_facets: Object<'a>,
    inputs: Vec<Dataset<'a>>,
    outputs: Vec<Dataset<'a>>,
    kept: Json,
}

impl<'a> Said<'a> {
    fn read(event: &Object<'a>) -> Result<Self, Refusal> {
        let mut kept = Kept::default();
        let (time, state) = base(event, &mut kept)?;
        let mut said = Self {
            time,
            state,
            run: None,
            job: None,
            run_facets: Object::default(),
            job_facets: Object::default(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            kept: Json::default(),
        };
        if event.get("run").is_none() && event.get("job").is_none() && event.get("dataset").is_some() {
            let dataset = event.required("dataset", &ROOT)?;
            said.outputs.push(Dataset::read(&dataset, &ROOT.key("dataset"), Side::Alone, &mut kept)?);
            extra(event, &["dataset"], &mut kept);
        } else {
            said.read_job(event, &mut kept)?;
            extra(event, &["run", "job", "inputs", "outputs"], &mut kept);
        }
        if said.run.is_none() {
            said.check_static(event, &mut kept)?;
        }
        said.kept = kept.json()?;
        Ok(said)
    }

    fn read_job(&mut self, event: &Object<'a>, kept: &mut Kept<'a>) -> Result<(), Refusal> {
        if let Some(run) = event.object("run", &ROOT)? {
            let at = ROOT.key("run");
            self.run = Some(run.name("runId", &at)?.into_owned());
            self.run_facets = facets::read(&run, "facets", &at)?;
            kept.add_facets("run", &self.run_facets);
            kept.add_all("extra.run", run.others(&["runId", "facets"]));
        }
        let (job, at) = (event.required("job", &ROOT)?, ROOT.key("job"));
        self.job = Some((job.name("namespace", &at)?.into_owned(), job.name("name", &at)?.into_owned()));
        self.job_facets = facets::read(&job, "facets", &at)?;
        kept.add_facets("job", &self.job_facets);
        kept.add_all("extra.job", job.others(&["namespace", "name", "facets"]));
        self.inputs = event.objects("inputs", &ROOT, |o, at| Dataset::read(o, at, Side::Input, kept))?;
        self.outputs = event.objects("outputs", &ROOT, |o, at| Dataset::read(o, at, Side::Output, kept))?;
        Ok(())
    }

    /// An event without run must be meant so, and name a dataset; it has no state.
    fn check_static(&mut self, event: &Object<'a>, kept: &mut Kept<'a>) -> Result<(), Refusal> {
        let url = event.text("schemaURL", &ROOT)?.unwrap_or_default();
        if let Some(state) = event.get("eventType") {
            if !url.ends_with("JobEvent") && !url.ends_with("DatasetEvent") {
                return Err(Refusal::at("run", "is required in an event with an `eventType`"));
            }
            kept.add("eventType".to_owned(), state);
        }
        if self.inputs.is_empty() && self.outputs.is_empty() {
            return Err(Refusal::whole("a job without run, inputs and outputs says nothing about lineage"));
        }
        self.state = State::Complete;
        Ok(())
    }

    /// What our own exports say of a run, which `OpenLineage` has no word for.
    fn own(&self) -> Result<Own, Refusal> {
        let run = ROOT.key("run");
        let at = run.key("facets");
        let Some(facet) = self.run_facets.object(OWN_EVENT, &at)? else { return Ok(Own::default()) };
        let at = at.key(OWN_EVENT);
        let kind = facet.text("kind", &at)?.and_then(|word| Kind::from_word(&word));
        let kind = kind.filter(|kind| matches!(kind, Kind::Transform | Kind::Training | Kind::Evaluation));
        let outcome = facet.text("outcome", &at)?.and_then(|word| Outcome::from_word(&word));
        Ok(Own { kind, outcome: outcome.filter(|_| kind == Some(Kind::Evaluation)) })
    }

    /// The event of the run, or the register.
    fn event(&self, config: &Config) -> Result<Event, Refusal> {
        let own = self.own()?;
        let kind = match &self.run {
            None => Kind::Register,
            Some(_) if own.kind.is_some() => own.kind.unwrap_or(Kind::Transform),
            Some(_) if self.outputs.iter().any(Dataset::is_model) => Kind::Training,
            Some(_) => Kind::Transform,
        };
        let mut event = Event::new(kind, config.caller.clone());
        event.time = Some(self.time);
        event.run.clone_from(&self.run);
        event.state = self.state;
        event.outcome = own.outcome;
        for input in &self.inputs {
            if input.is_about()? {
                event.about.push(About::Thing(input.reference.clone()));
            } else {
                event.inputs.push(input.input(kind == Kind::Training)?);
            }
        }
        for output in &self.outputs {
            event.outputs.push(output.output()?);
        }
        dataset::add_column_inputs(&self.outputs, &mut event.inputs, &mut event.outputs)?;
        let (run_at, job_at) = (ROOT.key("run"), ROOT.key("job"));
        event.parent = facets::parent(&self.run_facets, &run_at.key("facets"))?;
        facets::tags(&self.run_facets, &run_at.key("facets"), &mut event.tags)?;
        facets::tags(&self.job_facets, &job_at.key("facets"), &mut event.tags)?;
        match &self.job {
            Some((namespace, job)) => {
                event.namespace.clone_from(namespace);
                event.job = Some(job.clone());
            }
            None => {
                event.namespace = self.outputs.first().and_then(|o| o.reference.namespace.clone()).unwrap_or_default();
            }
        }
        event.facets = self.kept.clone();
        Ok(event)
    }

    /// The evaluations and owners; their ids still lack the digest of the received bytes before them.
    fn derived(&self, first: &Event) -> Result<Vec<Event>, Refusal> {
        let mut derived = Derived { first, events: Vec::new() };
        for input in &self.inputs {
            derived.evaluation(input)?;
            derived.owner(input)?;
        }
        let mut unowned = Vec::new();
        for output in &self.outputs {
            derived.evaluation(output)?;
            if !derived.owner(output)? {
                unowned.push(output);
            }
        }
        derived.job_owner(&self.job_facets, &ROOT.key("job").key("facets"), &unowned)?;
        Ok(derived.events)
    }
}

/// Keeps the members that the specification does not know.
fn extra<'a>(event: &Object<'a>, known: &[&str], kept: &mut Kept<'a>) {
    kept.add_all("extra", event.others(&KNOWN).filter(|(key, _)| !known.contains(key)));
}

/// Reads what every event has: its time, its producer, and its type.
fn base(event: &Object<'_>, kept: &mut Kept<'_>) -> Result<(Time, State), Refusal> {
    let text = event.name("eventTime", &ROOT)?;
    let time: Time = text.parse().map_err(|what: String| Refusal::at("eventTime", what))?;
    if !text.ends_with(['Z', 'z']) && !text.ends_with("+00:00") {
        kept.add("eventTime".to_owned(), serde_json::Value::from(text.as_ref()).to_string());
    }
    let producer = event.name("producer", &ROOT)?;
    kept.add("producer".to_owned(), serde_json::Value::from(producer.as_ref()).to_string());
    if let Some(url) = event.text("schemaURL", &ROOT)? {
        kept.add("schemaURL".to_owned(), serde_json::Value::from(url.as_ref()).to_string());
    }
    let state = match event.text("eventType", &ROOT)?.as_deref() {
        Some("START") => State::Start,
        Some("RUNNING") => State::Running,
        Some("COMPLETE") => State::Complete,
        Some("FAIL") => State::Fail,
        Some("ABORT") => State::Abort,
        Some("OTHER") | None => State::Other,
        Some(other) => {
            let valid = "START, RUNNING, COMPLETE, FAIL, ABORT, OTHER";
            return Err(Refusal::at("eventType", format!("`{}` is unknown; valid are {valid}", other.escape_debug())));
        }
    };
    Ok((time, state))
}
