//! An attempt as its events tell it: everything by which it can be made again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lineage_store::digest::Blake3;
use lineage_store::event::{Event, Evidence, Kind, Outcome, Role, RunRef, State};
use serde_json::{Map, Value};

use crate::run::{METRICS_VARIABLE, REDACTED, Values};

/// One event, and what was moved out of it: paths such as `facets.files`, and their JSON.
#[derive(Clone, Debug)]
pub struct Said {
    /// The event.
    pub event: Event,
    /// What payload storage keeps of it.
    pub outlined: Vec<(String, Vec<u8>)>,
}

impl Said {
    /// A facet, wherever it is kept.
    pub fn facet(&self, name: &str) -> Option<Value> {
        let mut facets: Value = serde_json::from_str(self.event.facets.as_str()).ok()?;
        if let Some(value) = facets.get_mut(name).filter(|value| !value.is_null()) {
            return Some(value.take());
        }
        let path = format!("facets.{name}");
        let (_, bytes) = self.outlined.iter().find(|(outlined, _)| *outlined == path)?;
        serde_json::from_slice(bytes).ok()
    }
}

/// A step of a pipeline, beside its command.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StepSaid {
    pub(super) id: String,
    pub(super) key: String,
    /// Names of variables that it was passed.
    pub(super) variables: Vec<String>,
    /// Variables that it set itself.
    pub(super) set: BTreeMap<String, String>,
    pub(super) secrets: Vec<String>,
    /// The values that reached it: for each name the digests of all that stood side by side.
    pub(super) values: BTreeMap<String, Vec<String>>,
    /// What else stood in the document of `LINEAGE_IN`, as text.
    pub(super) document: String,
    /// The digest of all of that document, before what differs between runs of the same work.
    pub(super) document_digest: Option<String>,
    /// Parameters, as the run of the pipeline tells them.
    pub(super) params: Values,
}

/// An attempt of a run.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Namespace, job and run.
    pub namespace: String,
    /// The job.
    pub job: String,
    /// The id of the run.
    pub run: String,
    /// What kind of event it is.
    pub kind: Kind,
    /// The run that it is part of.
    pub parent: Option<RunRef>,
    pub(super) argv: Vec<String>,
    /// The folder in which it ran, from that of the store; whole if it was elsewhere.
    pub(super) folder: String,
    /// Files that were its standard input and output.
    pub(super) streams: [Option<String>; 2],
    pub(super) attempt: u32,
    pub(super) exit_code: Option<i32>,
    pub(super) verdict: Option<Outcome>,
    pub(super) read: BTreeMap<String, Blake3>,
    pub(super) written: BTreeMap<String, Blake3>,
    pub(super) links: BTreeMap<String, String>,
    pub(super) executable: BTreeSet<String>,
    /// Digests of what was read as code.
    pub(super) code: BTreeSet<Blake3>,
    /// Bytes by digest, as far as they were told.
    pub(super) sizes: HashMap<Blake3, u64>,
    /// The values that it gave.
    pub(super) values: BTreeMap<String, Blake3>,
    pub(super) step: Option<StepSaid>,
    pub(super) surroundings: Surroundings,
    pub(super) completeness: String,
    /// What it read and nobody hashed.
    pub(super) unhashed: Vec<String>,
}

/// What surrounded an attempt.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    pub(super) variables: BTreeMap<String, String>,
    /// The path of the program, and its digest if it was small enough.
    pub(super) program: Option<(String, Option<String>)>,
    /// Programs that it started, with their marks.
    pub(super) marks: BTreeMap<String, String>,
    pub(super) package_folders: Vec<String>,
    pub(super) packages: BTreeMap<String, String>,
    pub(super) machine: Map<String, Value>,
    /// Folders that it listed, with the digest of their names.
    pub(super) folders: Vec<(String, Option<String>)>,
    pub(super) connections: Vec<String>,
    /// Keyed fingerprints of secrets by name.
    pub(super) fingerprints: BTreeMap<String, Vec<String>>,
}

impl Recorded {
    /// Reads the events of one attempt, oldest first; the error says why it cannot be made again.
    pub fn read(said: &[Said]) -> Result<Self, String> {
        let (first, last) = said.first().zip(said.last()).ok_or("nothing of it is recorded")?;
        let terminal = said.iter().rev().find(|said| said.event.state.is_terminal());
        let end = &terminal.ok_or("it has not ended")?.event;
        if said.iter().any(|said| said.event.evidence != Evidence::Observed) {
            return Err("somebody told of it; only what was run here is run again".to_owned());
        }
        let facet = |name: &str| said.iter().rev().find_map(|said| said.facet(name));
        let process = facet("process").ok_or("no command is recorded: a runner did not run it")?;
        let begun = said.iter().find_map(|said| said.facet("process")).unwrap_or_default();
        if process["cause"] == "orphaned" {
            return Err("its runner died, so nobody knows what it wrote".to_owned());
        }
        let files = facet("files").ok_or("it is not recorded under which paths its files lay")?;
        let code = said.iter().flat_map(|said| &said.event.inputs).filter(|input| input.role == Role::Code);
        let mut code: BTreeSet<_> =
            code.filter_map(|input| b3(&input.reference.digest.as_ref()?.to_string())).collect();
        let mut read = digests(&files["read"]);
        // Of a command that was not observed nobody saw that it read its script.
        if let Some((path, digest)) = script(end) {
            code.insert(digest);
            read.entry(path).or_insert(digest);
        }
        let job = last.event.job.clone().unwrap_or_default();
        Ok(Self {
            namespace: first.event.namespace.clone(),
            run: first.event.run.clone().unwrap_or_default(),
            kind: end.kind,
            parent: first.event.parent.as_ref().map(|parent| parent.run.clone()),
            argv: texts(&process["argv"]),
            folder: text(&process["cwd"]),
            streams: ["stdin", "stdout"].map(|stream| process[stream].as_str().map(str::to_owned)),
            attempt: first.event.attempt.unwrap_or(1),
            exit_code: process["exit_code"].as_i64().and_then(|code| i32::try_from(code).ok()),
            verdict: end.outcome,
            read,
            written: written(&files["written"], &facet("metric_files").unwrap_or_default()),
            links: words(&files["links"]),
            executable: texts(&files["executable"]).into_iter().collect(),
            code,
            sizes: sizes(said),
            values: values(end, &job),
            step: facet("step").map(|step| step_said(&step)),
            completeness: text(&facet("capture").unwrap_or_default()["completeness"]),
            unhashed: texts(&facet("capture").unwrap_or_default()["unhashed"]),
            surroundings: surroundings(&facet, &begun["executable"], end),
            job,
        })
    }

    /// The parameters of the pipeline that it belongs to, as its run tells them.
    #[must_use]
    pub fn with_params(mut self, params: &Event) -> Self {
        if let Some(step) = &mut self.step {
            step.params = serde_json::from_str(params.params.as_str()).unwrap_or_default();
        }
        self
    }

    /// Whether something in its command is masked.
    pub(super) fn masked_argument(&self) -> Option<usize> {
        let is_changed = |word: &String| word.contains(REDACTED) || word.contains(char::REPLACEMENT_CHARACTER);
        self.argv.iter().position(is_changed)
    }
}

/// The run whose results an attempt reused instead of running: namespace, job and run.
pub fn reused_from(said: &[Said]) -> Option<[String; 3]> {
    let from = said.iter().rev().find_map(|said| said.facet("cached"))?["from"].take();
    Some(["namespace", "job", "run"].map(|key| text(&from[key])))
}

/// Whether an attempt is a run of a whole pipeline.
pub fn is_pipeline(said: &[Said]) -> bool {
    said.iter().any(|said| said.event.state == State::Start && said.facet("pipeline").is_some())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn words(value: &Value) -> BTreeMap<String, String> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// `b3:` and hex digits.
pub(super) fn b3(text: &str) -> Option<Blake3> {
    Blake3::from_hex(text.strip_prefix("b3:")?)
}

fn digests(value: &Value) -> BTreeMap<String, Blake3> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(path, digest)| Some((path.clone(), b3(digest.as_str()?)?))).collect()
}

/// The script that ran, as its command names it, and its digest.
fn script(end: &Event) -> Option<(String, Blake3)> {
    let code: Value = serde_json::from_str(end.code.as_str()).ok()?;
    Some((text(&code["script"]), b3(code["script_digest"].as_str()?)?)).filter(|(path, _)| !path.is_empty())
}

/// Files of metrics are written, too, but they are told as metrics.
fn written(files: &Value, metrics: &Value) -> BTreeMap<String, Blake3> {
    let mut written = digests(files);
    for file in metrics.as_array().into_iter().flatten() {
        let digest = file["digest"].as_str().and_then(b3);
        written.extend(digest.map(|digest| (text(&file["name"]), digest)).filter(|(name, _)| name != METRICS_VARIABLE));
    }
    written
}

fn sizes(said: &[Said]) -> HashMap<Blake3, u64> {
    let outputs = said.iter().flat_map(|said| &said.event.outputs);
    outputs.filter_map(|output| Some((b3(&output.reference.digest.as_ref()?.to_string())?, output.size?))).collect()
}

/// The outputs that are values: artifacts `JOB/NAME`.
fn values(end: &Event, job: &str) -> BTreeMap<String, Blake3> {
    let value = |output: &lineage_store::event::Output| {
        let name = output.reference.name.as_deref()?.strip_prefix(job)?.strip_prefix('/')?;
        Some((name.to_owned(), b3(&output.reference.digest.as_ref()?.to_string())?))
    };
    end.outputs.iter().filter_map(value).collect()
}

fn step_said(step: &Value) -> StepSaid {
    let values = step["values"].as_object().into_iter().flatten();
    StepSaid {
        id: text(&step["step"]),
        key: text(&step["key"]),
        variables: texts(&step["variables"]),
        set: words(&step["set"]),
        secrets: texts(&step["secrets"]),
        values: values.map(|(name, digests)| (name.clone(), texts(digests))).collect(),
        document: text(&step["document"]),
        document_digest: step["document_digest"].as_str().map(str::to_owned),
        params: Values::new(),
    }
}

fn surroundings(facet: &dyn Fn(&str) -> Option<Value>, executable: &Value, end: &Event) -> Surroundings {
    let software: Value = serde_json::from_str(end.software.as_str()).unwrap_or_default();
    let trace = facet("trace").unwrap_or_default();
    let capture = facet("capture").unwrap_or_default();
    let folder = |folder: &Value| (text(&folder["folder"]), folder["digest"].as_str().map(str::to_owned));
    let prints = facet("secrets").unwrap_or_default()["fingerprints"].take();
    let prints = prints.as_object().into_iter().flatten();
    Surroundings {
        variables: words(&facet("environment").unwrap_or_default()["variables"]),
        program: executable["path"]
            .as_str()
            .map(|path| (path.to_owned(), executable["digest"].as_str().map(str::to_owned))),
        marks: words(&trace["marks"]),
        package_folders: texts(&trace["package_folders"]),
        packages: words(&software["packages"]),
        machine: facet("machine").and_then(|machine| machine.as_object().cloned()).unwrap_or_default(),
        folders: trace["folders"].as_array().into_iter().flatten().map(folder).collect(),
        connections: texts(&capture["connections"]),
        fingerprints: prints.map(|(name, prints)| (name.clone(), texts(prints))).collect(),
    }
}
