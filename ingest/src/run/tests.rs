//! Tests that run real commands.

use std::cell::Cell;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use lineage_store::event::Role;
use tempfile::TempDir;

use super::*;

/// Processes are told apart by the id of their run, and other tests run beside this one.
static RUNS: AtomicU32 = AtomicU32::new(1);

struct Place {
    folder: TempDir,
    artifacts: Artifacts,
    events: Vec<Event>,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let artifacts = Artifacts::create(&folder.path().join(".lineage/artifacts")).expect("a shelf");
        Self { folder, artifacts, events: Vec::new() }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn spec(&self, script: &str, inputs: &[&str], outputs: &[&str]) -> RunSpec {
        let argv = ["sh", "-c", script].map(OsString::from).to_vec();
        let id = format!("r-{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
        let mut spec = RunSpec::new(argv, self.path().to_owned(), id, "ana".to_owned());
        spec.variables = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
        spec.runs_folder = Some(self.path().join(".lineage/runs"));
        spec.mode = CaptureMode::Declared;
        let parse = |texts: &[&str]| texts.iter().map(|t| Declared::parse(t).expect("declared")).collect();
        spec.inputs = parse(inputs);
        spec.outputs = parse(outputs);
        spec
    }

    fn run(&mut self, spec: &RunSpec) -> RunResult {
        self.try_run(spec, &|_| None).expect("a run")
    }

    fn try_run(&mut self, spec: &RunSpec, known: Known<'_>) -> Result<RunResult, RunError> {
        self.events.clear();
        let ticks = Cell::new(0);
        let clock = || Time(ticks.replace(ticks.get() + 1_000_000_000));
        let events = &mut self.events;
        let mut record = |event: Event| {
            event.check().map_err(|refusal| refusal.to_string())?;
            events.push(event);
            Ok(())
        };
        execute(spec, &self.artifacts, known, &mut record, &clock)
    }

    fn facets(&self) -> Value {
        serde_json::from_str(self.events.last().expect("an event").facets.as_str()).expect("JSON")
    }
}

#[test]
fn a_training_is_recorded_with_its_bytes() {
    let mut place = Place::new();
    let long = "x,y\n".repeat(50);
    place.write("data/train.csv", &long);
    let script = "cp data/train.csv model.txt; echo '{\"acc\":0.5}' > m.json";
    let mut spec = place.spec(script, &["dataset:train=data/train.csv"], &["model:churn=model.txt"]);
    spec.params = vec![("lr".to_owned(), "0.5".to_owned())];
    spec.metrics_file = Some("m.json".into());
    spec.tags = vec!["exp-7".to_owned()];
    let result = place.run(&spec);
    assert_eq!((result.exit_code, result.state, result.kind, result.n_events), (0, State::Complete, Kind::Training, 2));
    assert!(result.notes.is_empty(), "{:?}", result.notes);
    let [start, end] = &place.events[..] else { panic!("two events") };
    assert_eq!((start.state, start.kind, start.run.as_deref()), (State::Start, Kind::Training, Some(&*spec.run_id)));
    assert_eq!(start.inputs, end.inputs);
    assert!(start.time < end.time && start.id != end.id);
    assert_eq!(end.evidence, lineage_store::event::Evidence::Observed);
    assert_eq!((end.params.as_str(), end.metrics.as_str()), (r#"{"lr":0.5}"#, r#"{"acc":0.5}"#));
    let digest = Blake3::of(long.as_bytes());
    assert_eq!(end.outputs[0].reference.digest.as_ref().map(ToString::to_string), Some(digest.to_string()));
    assert_eq!(end.outputs[0].reference.digests.len(), 1);
    assert!(place.artifacts.contains(&digest));
    assert_eq!(place.facets()["process"]["duration_ms"], 1000);
    assert_eq!(place.facets()["capture"]["completeness"], "declared");
    assert!(result.summary.starts_with("training sh: complete in 1.000 s; 1 input, 1 output"), "{}", result.summary);
}

#[test]
fn inputs_are_hashed_and_kept_only_on_demand() {
    let mut place = Place::new();
    place.write("a.csv", "1\n");
    let mut spec = place.spec("true", &["a.csv"], &[]);
    let result = place.run(&spec);
    assert!(!place.artifacts.contains(&result.inputs[0].stored.digest));
    assert_eq!((result.inputs[0].name(), result.inputs[0].kind()), ("a.csv", EntityKind::Dataset));
    assert_eq!(result.kind, Kind::Transform);
    spec.keep_inputs_max = 2;
    let result = place.run(&spec);
    assert!(place.artifacts.contains(&result.inputs[0].stored.digest));
}

#[test]
fn a_failure_passes_its_code_through() {
    let mut place = Place::new();
    place.write("old.txt", "from an earlier run");
    let result = place.run(&place.spec("echo half > new.txt; exit 7", &[], &["new.txt", "old.txt"]));
    assert_eq!((result.exit_code, result.state), (7, State::Fail));
    let names: Vec<_> = result.outputs.iter().map(Traced::name).collect();
    assert_eq!(names, ["new.txt"], "what was there before is not its work");
    assert!(!place.artifacts.contains(&result.outputs[0].stored.digest));
    assert_eq!(place.facets()["process"]["exit_code"], 7);
}

#[test]
fn a_missing_output_turns_success_into_failure() {
    let mut place = Place::new();
    let result = place.run(&place.spec("mkdir -p empty", &[], &["model:m=none.pkl", "empty"]));
    assert_eq!((result.exit_code, result.state, result.kind), (1, State::Fail, Kind::Training));
    assert_eq!(place.facets()["capture"]["missing"], serde_json::json!(["none.pkl", "empty"]));
    assert_eq!(place.events[1].outputs.len(), 0);
    let result = place.run(&place.spec("exit 3", &[], &["none.pkl"]));
    assert_eq!(result.exit_code, 3);
}

#[test]
fn a_changed_input_is_told() {
    let mut place = Place::new();
    place.write("a.csv", "1\n");
    place.write("b.csv", "1\n");
    let spec = place.spec("echo 2 >> a.csv; echo 2 >> b.csv", &["dataset:a=a.csv", "b.csv"], &["b.csv"]);
    let result = place.run(&spec);
    assert_eq!((result.exit_code, result.state), (0, State::Complete));
    assert_eq!(place.facets()["capture"]["unstable"], serde_json::json!(["a"]), "b is rewritten, as declared");
    assert_eq!(result.inputs[0].stored.digest, Blake3::of(b"1\n"), "the bytes before the run");
}

#[test]
fn an_output_that_was_not_written_is_told() {
    let mut place = Place::new();
    place.write("m.txt", "old");
    place.write("m.json", "{\"acc\":1}");
    let mut spec = place.spec("true", &[], &["model:m=m.txt"]);
    spec.metrics_file = Some("m.json".into());
    let result = place.run(&spec);
    assert_eq!((result.outputs.len(), result.notes.len()), (1, 2));
    assert_eq!(place.facets()["capture"]["unchanged"], serde_json::json!(["m"]));
    assert!(place.events[1].metrics.is_empty(), "metrics of an earlier run");
}

#[test]
fn folders_and_patterns_are_one_version() {
    let mut place = Place::new();
    place.write("raw/a.csv", "a");
    place.write("raw/b.csv", "b");
    place.write("raw/note.txt", "n");
    let script = "mkdir -p out/sub; cp raw/a.csv out/sub; cp raw/b.csv out";
    let result = place.run(&place.spec(script, &["dataset:raw=raw/*.csv"], &["dataset:clean=out"]));
    assert_eq!((result.inputs[0].stored.n_files, result.outputs[0].stored.n_files), (Some(2), Some(2)));
    let back = place.path().join("back");
    place.artifacts.get(&result.outputs[0].stored.digest, &back).expect("restored");
    assert_eq!(fs::read_to_string(back.join("sub/a.csv")).expect("text"), "a");
    let result = place.run(&place.spec("true", &["raw/*.csv", "raw/a.csv"], &["out/**"]));
    let names: Vec<_> = result.inputs.iter().map(Traced::name).collect();
    assert_eq!(names, ["raw/a.csv", "raw/b.csv"]);
    let names: Vec<_> = result.outputs.iter().map(Traced::name).collect();
    assert_eq!(names, ["out/b.csv", "out/sub/a.csv"]);
}

#[test]
fn a_known_digest_gives_the_name() {
    let mut place = Place::new();
    place.write("copy.csv", &"row\n".repeat(100));
    place.write("tiny.csv", "1\n");
    let known = |_: &Blake3| Some((EntityKind::Dataset, "team".to_owned(), "churn-clean".to_owned()));
    let result = place.try_run(&place.spec("true", &["copy.csv", "tiny.csv"], &[]), &known).expect("a run");
    assert_eq!(result.inputs[0].name(), "churn-clean");
    assert_eq!(result.inputs[0].reference.namespace.as_deref(), Some("team"));
    assert_eq!(result.inputs[1].name(), "tiny.csv", "two bytes say nothing");
}

#[test]
fn signals_and_commands_that_never_ran() {
    let mut place = Place::new();
    let result = place.run(&place.spec("kill -9 $$", &[], &[]));
    assert_eq!((result.exit_code, result.state), (137, State::Abort));
    assert_eq!(place.facets()["process"]["signal"], 9);
    let mut spec = place.spec("", &[], &["m.pkl"]);
    spec.argv = vec!["no-such-command-anywhere".into()];
    let result = place.run(&spec);
    assert_eq!((result.exit_code, result.state, result.n_events), (127, State::Fail, 2));
    place.write("plain.txt", "text");
    spec.argv = vec!["./plain.txt".into()];
    assert_eq!(place.run(&spec).exit_code, 126);
}

#[test]
fn secrets_are_never_recorded() {
    let mut place = Place::new();
    let mut spec = place.spec("true", &[], &[]);
    spec.argv.extend(["--password=hunter2", "--db", "postgres://u:hunter2@h/x"].map(OsString::from));
    spec.params = vec![("api_key".to_owned(), "hunter2".to_owned())];
    place.run(&spec);
    assert!(place.events.iter().all(|event| !format!("{event:?}").contains("hunter2")));
    assert_eq!(place.facets()["process"]["redacted"], true);
}

#[test]
fn nothing_runs_unless_its_start_is_durable() {
    let mut place = Place::new();
    let spec = place.spec("touch ran", &[], &[]);
    let error =
        execute(&spec, &place.artifacts, &|_| None, &mut |_| Err("disk full".into()), &|| Time(0)).expect_err("no");
    assert!(matches!(error, RunError::NotRecorded(_)) && error.to_string().contains("disk full"));
    assert!(!place.path().join("ran").exists());
    let error = place.try_run(&place.spec("true", &["none.csv"], &[]), &|_| None).expect_err("no input");
    assert!(error.to_string().contains("none.csv matches no file"), "{error}");
    let twice = place.spec("true", &[], &["model:m=a", "model:m=b"]);
    assert!(place.try_run(&twice, &|_| None).expect_err("twice").to_string().contains("declared twice"));
    assert!(place.events.is_empty());
}

#[test]
fn an_end_that_is_not_recorded_is_handed_back() {
    let place = Place::new();
    let spec = place.spec("exit 4", &[], &[]);
    let mut n = 0;
    let mut record = |_| {
        n += 1;
        if n == 1 { Ok(()) } else { Err("disk full".into()) }
    };
    let result = execute(&spec, &place.artifacts, &|_| None, &mut record, &|| Time(0)).expect("a result");
    assert_eq!((result.exit_code, result.n_events), (4, 1));
    assert_eq!(result.unrecorded.expect("the event").event.state, State::Fail);
}

#[test]
fn an_audit_gives_a_verdict_about_the_model() {
    let mut place = Place::new();
    place.write("m.pkl", "weights");
    let audit = |place: &Place, script: &str| {
        let mut spec = place.spec(script, &["model:churn=m.pkl"], &["audit.md"]);
        spec.kind = Some(Kind::Audit);
        spec
    };
    let spec = audit(&place, "echo no > audit.md; exit 1");
    let result = place.run(&spec);
    assert_eq!((result.exit_code, result.state), (1, State::Complete));
    let end = place.events[1].clone();
    assert_eq!((end.outcome, end.about.len()), (Some(Outcome::Fail), 1));
    assert!(place.artifacts.contains(&result.outputs[0].stored.digest));
    fs::remove_file(place.path().join("audit.md")).expect("removed");
    let spec = audit(&place, "exit 1");
    place.run(&spec);
    assert_eq!((place.events[1].state, place.events[1].outcome), (State::Fail, None), "no report: it crashed");
    let spec = audit(&place, "echo yes > audit.md");
    place.run(&spec);
    assert_eq!(place.events[1].outcome, Some(Outcome::Pass));
}

#[test]
fn a_deployment_needs_an_environment() {
    let mut place = Place::new();
    place.write("m.pkl", "weights");
    let mut spec = place.spec("mkdir live; cp m.pkl live", &["model:churn=m.pkl"], &["live"]);
    spec.kind = Some(Kind::Deployment);
    assert!(matches!(place.try_run(&spec, &|_| None), Err(RunError::Spec(_))));
    spec.environment = Some("prod".to_owned());
    place.run(&spec);
    assert_eq!(place.events[1].environment.as_deref(), Some("prod"));
    spec.kind = Some(Kind::Retract);
    assert!(place.try_run(&spec, &|_| None).is_err());
    spec.kind = Some(Kind::Training);
    place.run(&spec);
    assert_eq!(place.events[1].inputs[0].role, Role::Base);
}

#[test]
fn the_script_and_the_commit_are_recorded() {
    let mut place = Place::new();
    place.write("train.sh", "true\n");
    let mut spec = place.spec("", &[], &[]);
    spec.argv = ["sh", "train.sh"].map(OsString::from).to_vec();
    place.run(&spec);
    let code: Value = serde_json::from_str(place.events[1].code.as_str()).expect("JSON");
    assert_eq!(code["script"], "train.sh");
    assert_eq!(code["script_digest"], Blake3::of(b"true\n").to_string());
    assert_eq!(place.events[1].job.as_deref(), Some("train.sh"));
}
