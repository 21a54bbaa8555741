//! A run of a pipeline as it was recorded: what it was made of, how it ended, and how its steps did.

use std::collections::BTreeMap;

use anyhow::Context as _;
use lineage_ingest::pipeline::{Capacity, Plan, SPEC_MAX, Spec};
use lineage_store::digest::Blake3;
use lineage_store::event::{Event, Evidence, State};
use lineage_store::graph::View;
use lineage_store::time::Time;
use serde_json::Value;

use super::retract::run_namespace;
use crate::exit::Problem;
use crate::session::Session;

/// So many runs that resume each other are followed back.
const RESUMED_MAX: usize = 100;
/// Nothing is too large for a machine that only looks.
const ANY: Capacity = Capacity { cpu: u64::MAX, memory: u64::MAX, gpu: u64::MAX };

/// A run of a pipeline.
pub(super) struct Origin {
    pub(super) run: String,
    pub(super) namespace: String,
    /// The name of the pipeline.
    pub(super) name: String,
    pub(super) state: Option<State>,
    /// Whether steps wait for an approval.
    pub(super) is_parked: bool,
    /// The runs that it resumed, the latest first.
    pub(super) resumed: Vec<String>,
    pub(super) params: Vec<(String, String)>,
    pub(super) tags: Vec<String>,
    /// The name of the file of the specification, and its text.
    pub(super) file: String,
    pub(super) text: String,
    /// The folder in which its steps ran, from that of the store.
    pub(super) folder: String,
}

impl Origin {
    /// Finds a run of a pipeline by its id or as `latest:PIPELINE`; without either, the newest.
    pub(super) fn find(session: &Session, run: Option<&str>) -> anyhow::Result<Self> {
        let wanted = Wanted::read(run);
        let Some((event, facts)) = find_start(session, &wanted)? else {
            let help = "`lineage ps` lists all runs with the ids by which they are named; `lineage run FILE.toml` runs a pipeline";
            return Err(Problem::name(wanted.nothing(run)).help(help).into());
        };
        let word = |key: &str| facts[key].as_str().unwrap_or_default().to_owned();
        let run = event.run.clone().unwrap_or_default();
        let (state, is_parked) = how_it_ended(session, &event.namespace, &run)?;
        let digest = facts["spec"].as_str().and_then(|text| Blake3::from_hex(text.strip_prefix("b3:")?));
        let digest = digest.context("the run names no specification")?;
        let bytes = session.store.artifacts().read(&digest, SPEC_MAX as u64)?;
        let params: Value = serde_json::from_str(event.params.as_str()).unwrap_or_default();
        let text_of = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let params = params.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text_of(value)));
        Ok(Self {
            params: params.collect(),
            resumed: resumed(session, &event.namespace, &facts)?,
            run,
            state,
            is_parked,
            name: word("name"),
            file: word("file"),
            folder: word("folder"),
            text: String::from_utf8(bytes).context("the stored specification is no text")?,
            namespace: event.namespace,
            tags: event.tags,
        })
    }

    fn spec(&self) -> anyhow::Result<Spec> {
        Spec::parse(&self.text).map_err(|_| {
            Problem::failed(format!("the specification of {} is not of this version", self.run))
                .help(format!("lineage run {}", self.file))
                .into()
        })
    }

    /// How its steps ended, one by one as far as its last event names them.
    pub(super) fn rows(&self, session: &Session) -> anyhow::Result<Vec<Value>> {
        rows(session, &self.namespace, &self.run)
    }

    /// Whether it has a step of this id.
    pub(super) fn has_step(&self, id: &str) -> anyhow::Result<bool> {
        Ok(self.spec()?.step(id).is_some())
    }

    /// The role that must approve a step; `None` if any may. Refuses a step that waits for nobody.
    pub(super) fn approval_of(&self, id: &str) -> anyhow::Result<Option<String>> {
        let spec = self.spec()?;
        let Some(step) = spec.step(id.split('.').next().unwrap_or(id)) else {
            let known: Vec<&str> = spec.steps.iter().map(|step| step.id.as_str()).collect();
            let help = format!("its steps are {}", known.join(", "));
            return Err(Problem::name(format!("the pipeline {} has no step {id}", self.name)).help(help).into());
        };
        match &step.approve {
            Some(approval) => Ok(approval.role.clone()),
            None => Err(Problem::failed(format!("the step {id} needs no approval"))
                .help(format!("lineage resume {}", self.run))
                .into()),
        }
    }

    /// Its steps in their order, each with how its branches ended.
    pub(super) fn steps(&self, session: &Session) -> anyhow::Result<Vec<Drawn>> {
        let spec = self.spec()?;
        let plan = Plan::new(&spec, &ANY)
            .map_err(|_| Problem::failed(format!("the specification of {} is not of this version", self.run)))?;
        let ended = ends(session, &self.namespace, &self.run)?;
        let mut depths = vec![0; spec.steps.len()];
        for &step in &plan.order {
            depths[step] = plan.steps[step].needs.iter().map(|need| depths[*need] + 1).max().unwrap_or(0);
        }
        let drawn = plan.order.iter().map(|&step| {
            let id = &spec.steps[step].id;
            Drawn {
                id: id.clone(),
                needs: plan.steps[step].needs.iter().map(|need| spec.steps[*need].id.clone()).collect(),
                depth: depths[step],
                states: ended.get(id).cloned().unwrap_or_default(),
            }
        });
        Ok(drawn.collect())
    }
}

/// A step of a run, to be drawn.
pub(super) struct Drawn {
    pub(super) id: String,
    pub(super) needs: Vec<String>,
    /// How many steps are before it on the longest way.
    pub(super) depth: usize,
    /// How many of its branches ended how.
    pub(super) states: BTreeMap<String, usize>,
}

impl Drawn {
    /// One character for how it stands.
    pub(super) fn sign(&self) -> char {
        let has = |state: &str| self.states.contains_key(state);
        match () {
            () if has("failed") || has("aborted") => '✗',
            () if has("waits for approval") => '…',
            () if has("complete") || has("reused") => '✓',
            () if has("skipped") => '-',
            () => '·',
        }
    }

    /// How its branches ended, in words.
    pub(super) fn told(&self) -> String {
        match self.states.iter().collect::<Vec<_>>().as_slice() {
            [] => "not yet".to_owned(),
            [(state, 1)] => (*state).clone(),
            several => several.iter().map(|(state, n)| format!("{n} {state}")).collect::<Vec<_>>().join(", "),
        }
    }
}

/// The state of a run: of the event that ended it, else of its last.
pub(super) fn state_of(view: &View, namespace: &str, run: &str) -> Option<State> {
    let mut events = view.run_events(namespace, run);
    events.sort_unstable();
    let states: Vec<State> = events.into_iter().map(|event| view.state(event)).collect();
    states.iter().rev().find(|state| state.is_terminal()).or(states.last()).copied()
}

/// When the newest run of a pipeline began.
pub(super) fn newest_start(session: &Session, namespace: &str, name: &str) -> anyhow::Result<Option<Time>> {
    session.with_view(|view| {
        let is_start = |event: &u32| {
            view.has_run(*event)
                && view.state(*event) == State::Start
                && view.text(view.job(*event)) == name
                && view.text(view.namespace(*event)) == namespace
        };
        Ok((0..view.count()).rev().find(is_start).map(|event| view.time(event)))
    })
}

/// What an event says of the pipeline of its run, wherever that is kept: of many steps it is moved out of the event.
fn facts(session: &Session, position: u32) -> anyhow::Result<(Event, Option<Value>)> {
    let said = session.said(position)?;
    let facts = said.facet("pipeline").filter(Value::is_object);
    Ok((said.event, facts))
}

/// Which run is wanted.
enum Wanted<'a> {
    Run(&'a str),
    /// The newest, of one pipeline or of any.
    Latest {
        pipeline: Option<&'a str>,
        successful: bool,
    },
}

impl<'a> Wanted<'a> {
    /// `latest`, `latest-successful`, either with `:PIPELINE`, or an id.
    fn read(run: Option<&'a str>) -> Self {
        let latest = |pipeline, successful| Self::Latest { pipeline, successful };
        let Some(run) = run else { return latest(None, false) };
        let (word, pipeline) = run.split_once(':').map_or((run, None), |(word, name)| (word, Some(name)));
        match word {
            "latest" => latest(pipeline, false),
            "latest-successful" => latest(pipeline, true),
            _ => Self::Run(run),
        }
    }

    /// Says that there is no such run, and what the word stands for by which it was sought.
    fn nothing(&self, said: Option<&str>) -> String {
        let Self::Latest { pipeline, successful } = self else {
            return format!("{} is no run of a pipeline", said.unwrap_or_default());
        };
        let (which, has) = if *successful { (" that completed", "has completed") } else { ("", "has run") };
        let none = match pipeline {
            Some(name) => format!("no pipeline {name} {has} yet"),
            None => format!("no pipeline {has} yet"),
        };
        match said {
            None => none,
            Some(word) => format!("{word} is the newest run of a pipeline{which}, and {none}"),
        }
    }
}

/// The first event of a run of a pipeline, and what it says of it.
fn find_start(session: &Session, wanted: &Wanted<'_>) -> anyhow::Result<Option<(Event, Value)>> {
    session.with_view(|view| {
        // Only a runner of ours starts pipelines.
        let is_start = |event: &u32| {
            view.state(*event) == State::Start && view.evidence(*event) == Evidence::Observed && view.has_run(*event)
        };
        let candidates: Box<dyn Iterator<Item = u32>> = match wanted {
            Wanted::Run(run) => Box::new(view.run_events(&run_namespace(view, run)?, run).into_iter()),
            Wanted::Latest { pipeline, .. } => {
                let is_of = |event: &u32| pipeline.is_none_or(|name| view.text(view.job(*event)) == name);
                Box::new((0..view.count()).rev().filter(is_start).filter(is_of))
            }
        };
        for position in candidates {
            let (event, Some(facts)) = facts(session, position)? else { continue };
            let run = event.run.clone().unwrap_or_default();
            let is_good = || state_of(view, &event.namespace, &run) == Some(State::Complete);
            if !matches!(wanted, Wanted::Latest { successful: true, .. }) || is_good() {
                return Ok(Some((event, facts)));
            }
        }
        Ok(None)
    })
}

/// How a run ended, and whether steps wait for an approval.
fn how_it_ended(session: &Session, namespace: &str, run: &str) -> anyhow::Result<(Option<State>, bool)> {
    let (state, last) = session
        .with_view(|view| Ok((state_of(view, namespace, run), view.run_events(namespace, run).into_iter().max())))?;
    let Some(last) = last else { return Ok((state, false)) };
    let (_, facts) = facts(session, last)?;
    let parked = facts.and_then(|facts| facts["counts"]["parked"].as_u64()).unwrap_or(0);
    Ok((state, parked > 0))
}

/// The runs that a run resumed, the latest first.
fn resumed(session: &Session, namespace: &str, first: &Value) -> anyhow::Result<Vec<String>> {
    let next = |facts: &Value| facts["resumed_from"].as_str().map(str::to_owned);
    let mut chain = Vec::new();
    let mut run = next(first);
    while let Some(origin) = run.filter(|run| !chain.contains(run) && chain.len() < RESUMED_MAX) {
        let start = session.with_view(|view| Ok(view.run_events(namespace, &origin).into_iter().min()))?;
        let told = start.map(|position| facts(session, position)).transpose()?;
        run = told.and_then(|(_, facts)| facts).as_ref().and_then(next);
        chain.push(origin);
    }
    Ok(chain)
}

/// How its steps ended, one by one as far as the last event of a run names them.
fn rows(session: &Session, namespace: &str, run: &str) -> anyhow::Result<Vec<Value>> {
    let last = session.with_view(|view| Ok(view.run_events(namespace, run).into_iter().max()))?;
    let Some(last) = last else { return Ok(Vec::new()) };
    let steps = facts(session, last)?.1.map(|mut facts| facts["steps"].take());
    Ok(steps.and_then(|steps| steps.as_array().cloned()).unwrap_or_default())
}

/// How many branches of each step ended how, as the last event of the run says.
fn ends(session: &Session, namespace: &str, run: &str) -> anyhow::Result<BTreeMap<String, BTreeMap<String, usize>>> {
    let mut ended: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for row in rows(session, namespace, run)? {
        if let (Some(step), Some(end)) = (row["step"].as_str(), row["end"].as_str()) {
            let cached = row["cached"].as_bool() == Some(true);
            let end = if cached { "reused" } else { end };
            *ended.entry(step.to_owned()).or_default().entry(end.to_owned()).or_default() += 1;
        }
    }
    Ok(ended)
}
