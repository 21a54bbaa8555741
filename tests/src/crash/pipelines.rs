//! Runners of pipelines that are killed: after resuming, the outputs are those of an undisturbed run, every run has an
//! end, and a deployment took effect once.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::random::Random;
use crate::sandbox::{Ran, Sandbox};

/// A run is resumed at most so often.
const RESUMES_MAX: u32 = 4;
/// What the last step before the deployment writes.
const RESULT: &str = "all.txt";

/// What came of the kills; `wrong` must stay empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Runners that were killed while they lived.
    pub kills: u64,
    /// Runners that had ended before the kill.
    pub ended: u64,
    /// Steps of resumed runs that were not run again.
    pub reused: u64,
    /// Deployments of which nobody knew whether they took effect, so that a person was asked.
    pub in_doubt: u64,
    /// What was wrong, in words.
    pub wrong: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, ended, reused, in_doubt, wrong } = self;
        write!(
            f,
            "{kills} kills ({ended} runners were faster): {reused} steps reused, {in_doubt} deployments in doubt; {} wrong",
            wrong.len()
        )?;
        wrong.iter().take(20).try_for_each(|what| write!(f, "\n  {what}"))
    }
}

/// Twelve steps: three ways of three steps, a join of files, a check of it, and a deployment that is idempotent by its key.
fn pipeline() -> String {
    let mut text = "[pipeline]\nname = \"twelve\"\n".to_owned();
    let mut step = |id: &str, kind: &str, shell: &str, inputs: &str, outputs: &str, rest: &str| {
        text = format!(
            "{text}[[step]]\nid = \"{id}\"\nkind = \"{kind}\"\nshell = '''{shell}'''\ninputs = [{inputs}]\noutputs = [{outputs}]\n{rest}\n"
        );
    };
    for way in ["a", "b", "c"] {
        step(
            &format!("{way}1"),
            "transform",
            &format!("sleep 0.02; echo {way} > {way}1.txt"),
            "",
            &format!("\"{way}1.txt\""),
            "",
        );
        for n in [2, 3] {
            let (from, to) = (format!("{way}{}.txt", n - 1), format!("{way}{n}.txt"));
            let shell = format!("sleep 0.02; (cat {from}; echo {n}) > {to}");
            step(&format!("{way}{n}"), "transform", &shell, &format!("\"{from}\""), &format!("\"{to}\""), "");
        }
    }
    let three = "\"a3.txt\", \"b3.txt\", \"c3.txt\"";
    step(
        "all",
        "transform",
        &format!("cat a3.txt b3.txt c3.txt > {RESULT}"),
        three,
        &format!("\"model:all={RESULT}\""),
        "",
    );
    step("check", "audit", &format!("test -s {RESULT}"), &format!("\"model:all={RESULT}\""), "", "gate = true");
    let ship =
        "sleep 0.02; grep -qx \"$LINEAGE_STEP_KEY\" effects || echo \"$LINEAGE_STEP_KEY\" >> effects; sleep 0.02";
    step(
        "ship",
        "deployment",
        ship,
        &format!("\"model:all={RESULT}\""),
        "",
        "needs = [\"check\"]\nenvironment = \"prod\"",
    );
    text
}

fn command(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn place() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.at_real_time();
    sandbox.write("twelve.toml", pipeline());
    sandbox.write("effects", "");
    sandbox
}

/// Kills runners of pipelines at random moments until so many were killed.
pub fn run(kills: u64, seed: u64, progress: &mut dyn FnMut(&Figures)) -> Figures {
    let mut random = Random::new(seed);
    let mut figures = Figures::default();
    if kills == 0 {
        return figures;
    }
    let undisturbed = place();
    let began = Instant::now();
    undisturbed.run(["run", "twelve.toml"]).done();
    let whole = began.elapsed().as_micros() as usize;
    let expected = fs::read(undisturbed.path().join(RESULT)).unwrap();
    while figures.kills < kills && figures.wrong.is_empty() {
        one(&mut random, whole, &expected, &mut figures);
        if figures.kills % 20 == 0 {
            progress(&figures);
        }
    }
    figures
}

fn one(random: &mut Random, whole: usize, expected: &[u8], figures: &mut Figures) {
    let sandbox = place();
    let mut child = command(&sandbox, &["run", "twelve.toml"]).spawn().unwrap();
    std::thread::sleep(Duration::from_micros(random.below(whole * 11 / 10) as u64));
    // It may have ended in between.
    child.kill().ok();
    if child.wait().unwrap().code().is_some() {
        figures.ended += 1;
    } else {
        figures.kills += 1;
    }
    let mut said = Vec::new();
    let mut redo = false;
    for _ in 0..RESUMES_MAX {
        let ran = go_on(&sandbox, redo);
        redo = ran.stdout.contains("may have taken effect");
        figures.in_doubt += u64::from(redo);
        figures.reused += ran.stdout.matches("\"cached\":true").count() as u64 / 2;
        let code = ran.code;
        said.push(ran.to_string());
        if code == 0 {
            break;
        }
    }
    let mut say = |what: String| figures.wrong.push(format!("{what}\n{}", said.join("\n")));
    if fs::read(sandbox.path().join(RESULT)).ok().as_deref() != Some(expected) {
        say(format!("{RESULT} is not what an undisturbed run writes"));
    }
    let effects = fs::read_to_string(sandbox.path().join("effects")).unwrap();
    if effects.lines().count() != 1 {
        say(format!("the deployment took effect {} times: {effects}", effects.lines().count()));
    }
    let open = without_end(&sandbox);
    if !open.is_empty() {
        say(format!("runs without one end: {open:?}"));
    }
    let verified = sandbox.run(["verify"]);
    if verified.code != 0 {
        say(verified.to_string());
    }
}

/// Resumes the newest run, or begins one where none is recorded.
fn go_on(sandbox: &Sandbox, redo: bool) -> Ran {
    let mut arguments = vec!["--json", "resume"];
    if redo {
        arguments.extend(["--redo", "ship"]);
    }
    let ran = sandbox.run(arguments);
    if ran.code == 3 { sandbox.run(["--json", "run", "twelve.toml"]) } else { ran }
}

/// Runs of which not exactly one end is recorded.
fn without_end(sandbox: &Sandbox) -> Vec<String> {
    let log = sandbox.run(["log", "--limit", "0", "--json"]);
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for line in log.done().lines() {
        let event = serde_json::from_str::<Value>(line).unwrap()["event"].take();
        let Some(run) = event["run"].as_str() else { continue };
        let is_end = matches!(event["state"].as_str().unwrap_or("complete"), "complete" | "fail" | "abort");
        *ends.entry(run.to_owned()).or_default() += u32::from(is_end);
    }
    ends.into_iter().filter(|(_, ends)| *ends != 1).map(|(run, ends)| format!("{run}: {ends}")).collect()
}
