//! One attempt of a step in a branch: results of an equal one are reused, else its command is run and what came of it
//! is kept.

mod given;
mod keep;
mod lines;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lineage_store::event::{Input, Kind, State};
use serde_json::{Value, json};

use self::given::{known, masked, variables};
use self::lines::Lines;
use super::cache::{Entry, Lookup};
use super::flow::{Cell, End};
use super::forecast::Restored;
use super::known::Known;
use super::later::Later;
use super::merged::{Carried, Merged};
use super::news::{Facts, News};
use super::order::{Around, Order};
use super::record::{self, step_run};
use super::restore;
use super::scopes::Surround;
use super::spec::Spec;
use super::step::{Command, Failure, Step};
use super::template::{Name, Template};
use super::workspace::Workspace;
use crate::run::{
    self, Audience, Control, Declared, RecordError, RunResult, RunSpec, Values, ValuesFile, is_pattern, live_folder,
    values,
};

/// The variable that names the file that a step may read.
pub const IN_VARIABLE: &str = "LINEAGE_IN";
/// The variable that names the file that a step may write.
pub const OUT_VARIABLE: &str = "LINEAGE_OUT";
/// A stable name of the work of a step over all runs that resume each other, so that a deployment can be idempotent.
pub const KEY_VARIABLE: &str = "LINEAGE_STEP_KEY";
/// A folder of its own for each attempt.
pub const SCRATCH_VARIABLE: &str = "LINEAGE_SCRATCH";
/// What `LINEAGE_IN` is called among the things that a run read.
pub(super) const DOCUMENT: &str = "LINEAGE_IN";

/// One attempt, ready to be made in a thread of its own.
pub(super) struct Attempt<'a> {
    step: &'a Step,
    /// The name of the step over all runs.
    name: String,
    /// The name of the step in its branch over all runs.
    place: String,
    cell: Cell,
    number: u32,
    spec: RunSpec,
    known: Known,
    /// What the step may read from us.
    document: Value,
    /// The values that reach the step.
    seen: Arc<Merged>,
    /// The pipeline that it belongs to.
    whole: &'a Spec,
    /// Paths that it and steps that do not come before it write.
    later: Later,
    /// Variables that the step itself sets.
    own: Vec<(String, String)>,
    /// The file of that document.
    inside: PathBuf,
    expected: Option<Duration>,
}

/// How an attempt ended.
pub(super) struct Done {
    pub(super) end: End,
    pub(super) failure: Option<Failure>,
    pub(super) values: Values,
    pub(super) facts: Facts,
    pub(super) is_unrecorded: bool,
}

impl Done {
    pub(super) fn failed(why: String) -> Self {
        let facts = Facts { why, ..Facts::default() };
        Self { end: End::Failed, failure: None, values: Values::new(), facts, is_unrecorded: false }
    }
}

impl<'a> Attempt<'a> {
    /// Fills the templates of a step for a branch.
    pub(super) fn new(
        around: &Surround<'_, 'a>,
        cell: &Cell,
        number: u32,
        gpus: &[u64],
        expected: Option<Duration>,
    ) -> Result<Self, String> {
        let step = &around.spec.steps[cell.step];
        let value = |name: &Name| match name {
            Name::Local(name) if name == "attempt" => Ok(json!(number)),
            name => around.value(cell, name),
        };
        let fill = |template: &Template| template.fill(value);
        let argv: Vec<String> = match &step.command {
            Command::Argv(templates) => templates.iter().map(fill).collect::<Result<_, _>>()?,
            Command::Shell(template) => vec!["sh".to_owned(), "-c".to_owned(), fill(template)?],
        };
        let declared = |templates: &[Template]| {
            templates.iter().map(|template| Declared::parse(&fill(template)?)).collect::<Result<Vec<_>, String>>()
        };
        let order = around.order;
        let run_id = step_run(&order.run_id, &step.id, &cell.path);
        let mut spec = order.base.clone();
        spec.argv = argv.iter().map(OsString::from).collect();
        spec.cwd.clone_from(&order.folder);
        if let Some(folder) = &step.cwd {
            spec.cwd.push(fill(folder)?);
        }
        spec.inputs = declared(&step.inputs)?;
        spec.outputs = declared(&step.outputs)?;
        spec.kind = Some(step.kind);
        spec.tags.extend(around.spec.tags.iter().cloned());
        spec.metrics_file = step.metrics.as_ref().map(fill).transpose()?.map(PathBuf::from);
        spec.environment = step.environment.as_ref().map(fill).transpose()?;
        spec.service = step.service.as_ref().map(fill).transpose()?;
        spec.timeout = step.timeout;
        spec.parent = Some(record::parent(around.spec, order));
        spec.attempt = Some(number);
        spec.recorded_variables.extend(around.spec.env.iter().cloned());
        let own: Vec<(String, String)> = step
            .env
            .iter()
            .map(|(name, template)| Ok((name.clone(), fill(template)?)))
            .collect::<Result<_, String>>()?;
        spec.variables = variables(&order.base.variables, around.spec, &own);
        let origin = order.resumes.last().unwrap_or(&order.run_id);
        spec.variables.push((KEY_VARIABLE.into(), step_run(origin, &step.id, &cell.path).into()));
        if !gpus.is_empty() {
            let list: Vec<String> = gpus.iter().map(u64::to_string).collect();
            spec.variables.push(("CUDA_VISIBLE_DEVICES".into(), list.join(",").into()));
        }
        let known = known(&spec, step, &own, order);
        spec.run_id = run_id;
        let document = around.document(cell);
        let name = step_run(&around.spec.name, &step.id, &[]);
        spec.name = Some(name.clone());
        let seen = around.seen(cell);
        let place = step_run(&around.spec.name, &step.id, &cell.path);
        let (cell, inside) = (cell.clone(), PathBuf::new());
        let whole = around.spec;
        let later = Later::of(around.spec, around.plan, cell.step, &order.folder);
        Ok(Self { step, name, place, cell, number, spec, known, document, seen, whole, later, own, inside, expected })
    }

    /// Makes the attempt.
    pub(super) fn run(mut self, order: &Order, around: &Around<'_>, control: Arc<Control>) -> Done {
        let began = Instant::now();
        let workspace = self.workspace();
        let why = match self.reusable(order, around, &workspace) {
            Ok(Lookup::Hit(entry)) => match self.reuse(&entry, around, began) {
                Ok(done) => return done,
                Err(why) => why,
            },
            Ok(Lookup::Miss(why)) => why,
            Err(why) => return Done::failed(why),
        };
        let (cell, attempt, expected) = (&self.cell, self.number, self.expected);
        (around.news)(&News::Started { cell, attempt, expected, why: &why });
        let scratch = Scratch::new(&self.spec, order, self.number);
        let scratch = match scratch.and_then(|scratch| self.enter(&scratch, order).map(|()| scratch)) {
            Ok(scratch) => scratch,
            Err(error) => return Done::failed(format!("its scratch folder cannot be made: {error}")),
        };
        self.spec.control = control;
        match self.given(around) {
            Ok(given) => self.spec.given = given,
            Err(error) => return Done::failed(error),
        }
        let told = self.told(&workspace, &why);
        self.spec.facets.insert("step".to_owned(), told);
        let listed = workspace.matches(&self.spec.inputs);
        let result = self.execute(around);
        let mut done = match result {
            Ok(result) => self.judge(&result, around, &workspace, listed, &why, began),
            Err(error) => Done::failed(error),
        };
        scratch.remove();
        done.facts.took = began.elapsed();
        done
    }

    /// What a lookup would find if results of other steps had been put back.
    pub(super) fn look(&self, order: &Order, around: &Around<'_>, restored: &Restored) -> Result<Lookup, String> {
        self.reusable(order, around, &self.workspace().with_restored(restored))
    }

    fn workspace(&self) -> Workspace {
        let workspace = Workspace::new(self.spec.cwd.clone()).on(self.spec.ground.as_ref());
        workspace.with_document(DOCUMENT, &self.document).without(self.later.clone())
    }

    /// The folder in which it runs.
    pub(super) fn folder(&self) -> &Path {
        &self.spec.cwd
    }

    /// Whether an equal attempt gave results that may stand for this one; an error refuses the attempt.
    fn reusable(&self, order: &Order, around: &Around<'_>, workspace: &Workspace) -> Result<Lookup, String> {
        let miss = |why: &str| Ok(Lookup::Miss(why.to_owned()));
        if self.number > 1 {
            return miss("it is tried again");
        }
        if order.refresh.contains(&self.step.id) {
            return miss("--refresh was given");
        }
        let look = || around.cache.look(&self.known, &self.place, workspace, around.artifacts, &order.resumes);
        if self.step.kind == Kind::Deployment {
            return self.deployed(order, around, look);
        }
        match (order.reuse, self.step.cache || !order.resumes.is_empty()) {
            (false, _) => miss("--no-cache was given"),
            (true, true) => Ok(look()),
            (true, false) => miss(&format!("the step is an {}, which is never reused", self.step.kind)),
        }
    }

    /// A deployment of a run that is resumed took effect, did not, or nobody knows.
    fn deployed(&self, order: &Order, around: &Around<'_>, look: impl Fn() -> Lookup) -> Result<Lookup, String> {
        let miss = |why: &str| Ok(Lookup::Miss(why.to_owned()));
        for origin in &order.resumes {
            match (around.earlier)(&step_run(origin, &self.step.id, &self.cell.path)) {
                None => {}
                Some(State::Complete) => return Ok(look()),
                Some(State::Fail) => return miss("it failed before"),
                Some(_) if order.redo.contains(&self.step.id) => return miss("--redo was given"),
                Some(_) => {
                    return Err(format!(
                        "it was interrupted in {origin} and may have taken effect; look, then resume with --redo {}",
                        self.step.id
                    ));
                }
            }
        }
        miss("a deployment is never reused")
    }

    /// Restores the results of an earlier attempt and tells so.
    fn reuse(&self, entry: &Entry, around: &Around<'_>, began: Instant) -> Result<Done, String> {
        for made in &entry.made {
            restore::made(made, &self.spec.cwd, around.artifacts)?;
        }
        let events = restore::events(entry, &self.spec, (around.clock)());
        let (start, end) = events.map_err(|why| format!("its entry cannot be told: {why}"))?;
        let (n_inputs, n_outputs) = (end.inputs.len(), end.outputs.len());
        // Nothing runs in between, so one sync is enough for both.
        let is_unrecorded = (around.record)(&[start, end]).is_err();
        let facts = Facts {
            cached: true,
            took: began.elapsed(),
            n_inputs,
            n_outputs,
            why: format!("as in {}", entry.made_by[2]),
            ..Facts::default()
        };
        Ok(Done { end: End::Complete, failure: None, values: entry.values.clone(), facts, is_unrecorded })
    }

    /// The values that reach the step, as inputs.
    fn given(&self, around: &Around<'_>) -> Result<Vec<Input>, String> {
        let input = |(name, carried): (&str, &Carried)| {
            let stored = around.artifacts.put_bytes(carried.value.to_string().as_bytes());
            let stored = stored.map_err(|error| format!("the value {name} cannot be kept: {error}"))?;
            let giver = step_run(&self.whole.name, &self.whole.steps[carried.step].id, &[]);
            Ok(values::input(&giver, name, &stored))
        };
        self.seen.all().map(input).collect()
    }

    /// Makes the folders of its outputs, writes what the step may read, and names the files in its environment.
    fn enter(&mut self, scratch: &Scratch, order: &Order) -> io::Result<()> {
        let mut document = self.document.clone();
        document["run"] = json!(order.run_id);
        document["step"] = json!(self.step.id);
        document["attempt"] = json!(self.number);
        self.inside = scratch.folder.join("in.json");
        fs::write(&self.inside, document.to_string())?;
        // By this name it is seen.
        self.inside = self.inside.canonicalize()?;
        self.spec.document = Some(self.inside.clone());
        let out = scratch.folder.join("out");
        for output in self.spec.outputs.iter().filter(|output| !is_pattern(&output.pattern)) {
            if let Some(folder) = self.spec.cwd.join(&output.pattern).parent() {
                fs::create_dir_all(folder)?;
            }
        }
        let own = scratch.folder.join("scratch");
        fs::create_dir(&own)?;
        let named = [(IN_VARIABLE, &self.inside), (OUT_VARIABLE, &out), (SCRATCH_VARIABLE, &own)];
        self.spec.variables.extend(named.map(|(name, path)| (name.into(), path.clone().into_os_string())));
        self.spec.values = Some(ValuesFile { path: out, prefix: self.name.clone() });
        Ok(())
    }

    /// What the events say of the attempt beside its command, so that it can be made again.
    fn told(&self, workspace: &Workspace, why: &str) -> Value {
        let mut values: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((name, _), given) in self.seen.all().zip(&self.spec.given) {
            let digest = given.reference.digest.as_ref().map(ToString::to_string);
            values.entry(name).or_default().extend(digest);
        }
        let own = |(name, value): &(String, String)| (name.clone(), masked(&self.spec, name, value));
        let names = self.spec.variables.iter().map(|(name, _)| name.to_string_lossy().into_owned());
        // Parameters are told by the run of the pipeline, values by their digests; the rest only here, as it is written.
        let part = |key: &str| Some((key.to_owned(), self.document.get(key)?.clone()));
        let document: Values = ["branch", "branches"].into_iter().filter_map(part).collect();
        json!({
            "step": self.step.id,
            "why": why,
            "key": self.spec.variables.iter().find(|(name, _)| name == KEY_VARIABLE).map(|(_, key)| key.to_string_lossy()),
            "variables": names.filter(|name| !name.starts_with("LINEAGE_")).collect::<Vec<_>>(),
            "set": self.own.iter().map(own).collect::<Values>(),
            "secrets": self.spec.secrets,
            "values": values,
            "document": Value::Object(document).to_string(),
            "document_digest": workspace.document().map(|document| document.digest),
        })
    }

    /// Runs the command, telling each line that it says.
    fn execute(&self, around: &Around<'_>) -> Result<RunResult, String> {
        let tell = |text: &str, is_error| (around.news)(&News::Line { cell: &self.cell, text, is_error });
        let lines = Lines::new(&tell);
        let known = |digest: &_| (around.known)(digest);
        let mut record = |event| -> Result<(), RecordError> { (around.record)(&[event]) };
        let ear = |stream: &str, bytes: &[u8]| lines.hear(bytes, stream == "stderr");
        let audience = Some(Audience::Ear(&ear));
        let result = run::execute_before(audience, &self.spec, around.artifacts, &known, &mut record, around.clock);
        lines.finish();
        result.map_err(|error| error.to_string())
    }
}

/// The folder of one attempt, below that of the run.
struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    fn new(spec: &RunSpec, order: &Order, number: u32) -> io::Result<Self> {
        let name = lineage_store::digest::Blake3::of(format!("{}/{number}", spec.run_id).as_bytes()).hex();
        let folder = match &order.base.runs_folder {
            Some(runs) => live_folder(runs, &order.run_id).join(name),
            None => std::env::temp_dir().join(name),
        };
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    fn remove(self) {
        // What is left is taken away with the folder of the run.
        fs::remove_dir_all(&self.folder).ok();
    }
}
