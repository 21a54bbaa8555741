//! What came of a replay, for people, for programs, and as an event.

use lineage_ingest::replay::{Bytes, Output, Replayed, Verdict};
use lineage_store::event::{About, Event, Evidence, Json, Kind, Outcome, RunRef};
use serde_json::{Value, json};

use super::find::{Found, Item};
use crate::exit::Problem;
use crate::render::{clean, size};
use crate::session::Session;

/// The job of the events that tell of replays.
const JOB: &str = "replay";

/// One attempt and what came of making it again; none if it was left out.
pub(super) struct Done<'a> {
    pub(super) item: &'a Item,
    pub(super) replayed: Option<Replayed>,
}

/// Everything that a replay came to.
pub(super) struct Report<'a> {
    pub(super) run: &'a str,
    pub(super) found: &'a Found,
    pub(super) done: Vec<Done<'a>>,
}

impl Report<'_> {
    fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.done.iter().filter_map(|done| done.replayed.as_ref()).flat_map(|replayed| &replayed.outputs)
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.outputs().filter(|output| output.verdict == verdict).count()
    }

    fn n_replayed(&self) -> usize {
        self.done.iter().filter(|done| done.replayed.is_some()).count()
    }

    /// Whether everything that was made again came out as then.
    pub(super) fn is_same(&self) -> bool {
        self.done.iter().filter_map(|done| done.replayed.as_ref()).all(Replayed::is_same)
    }

    /// Whether something that can be made again was left out.
    fn is_partial(&self) -> bool {
        self.done.iter().any(|done| done.replayed.is_none() && !done.item.is_deployment())
    }

    /// The event: about the run alone, so that no name comes to stand for anything else by it.
    pub(super) fn event(&self, session: &Session) -> anyhow::Result<Event> {
        let mut event = session.event(Kind::Evaluation);
        event.namespace.clone_from(&self.found.namespace);
        event.job = Some(JOB.to_owned());
        event.evidence = Evidence::Observed;
        event.about = vec![About::Run(RunRef { namespace: None, job: None, run: self.run.to_owned() })];
        event.outcome = match (self.is_same(), self.is_partial()) {
            (false, _) => Some(Outcome::Fail),
            (true, false) => Some(Outcome::Pass),
            (true, true) => None,
        };
        let counts = [Verdict::Same, Verdict::Differs, Verdict::Missing];
        let metrics = counts.map(|verdict| (format!("outputs_{}", verdict.as_str()), json!(self.count(verdict))));
        let wrong = |what: String| Problem::failed(format!("the replay cannot be told: {what}"));
        event.metrics = Json::from_value(&Value::Object(metrics.into_iter().collect())).map_err(wrong)?;
        let facets = json!({ "replay": { "run": self.run, "steps": self.steps() } });
        event.facets = Json::from_value(&facets).map_err(wrong)?;
        Ok(event)
    }

    fn steps(&self) -> Vec<Value> {
        self.done.iter().map(step).collect()
    }

    /// One object for programs.
    pub(super) fn json(&self, position: Option<u64>) -> Value {
        json!({
            "run": self.run,
            "same": self.is_same(),
            "complete": !self.is_partial(),
            "recorded": position,
            "steps": self.steps(),
        })
    }

    /// A line for each output, and what it comes to.
    pub(super) fn text(&self) -> String {
        let mut lines = Vec::new();
        for done in &self.done {
            lines.push(title(done));
            let Some(replayed) = &done.replayed else {
                lines.extend(done.item.survey.gaps.iter().map(|gap| format!("  {}", clean(&gap.to_string()))));
                continue;
            };
            lines.extend(replayed.outputs.iter().map(|output| format!("  {}", line(output))));
            let (then, now) = replayed.exit_codes;
            if then != Some(now) {
                let then = then.map_or("none".to_owned(), |then| then.to_string());
                lines.push(format!("  differs  the exit code was {then} and is {now}"));
            }
            lines.extend(replayed.notes.iter().map(|note| format!("  note: {}", clean(note))));
        }
        lines.push(self.summary());
        lines.join("\n")
    }

    fn summary(&self) -> String {
        let word = if self.is_same() { "same" } else { "not the same" };
        let counts = [Verdict::Same, Verdict::Differs, Verdict::Missing];
        let counts = counts.map(|verdict| (self.count(verdict), verdict.as_str()));
        let counts: Vec<String> =
            counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        let counts = if counts.is_empty() { "no outputs".to_owned() } else { counts.join(", ") };
        let (n, all) = (self.n_replayed(), self.done.len());
        let part = if n == all { String::new() } else { format!("; {n} of {all} steps made again") };
        format!("replay of {}: {word}: {counts}{part}", clean(self.run))
    }
}

fn title(done: &Done<'_>) -> String {
    let Item { run, made_by, .. } = done.item;
    let from = if run == made_by { String::new() } else { format!(" (reused from {})", clean(made_by)) };
    let out = if done.replayed.is_none() { ": not made again" } else { "" };
    format!("{}{from}{out}", clean(run))
}

fn line(output: &Output) -> String {
    let what = if output.is_value { "value " } else { "" };
    let verdict = output.verdict.as_str();
    let was = match output.verdict {
        Verdict::Same => String::new(),
        Verdict::Differs | Verdict::Missing => format!("  was {}", bytes(&output.recorded)),
    };
    let now = output.replayed.as_ref().filter(|_| output.verdict == Verdict::Differs);
    let now = now.map_or_else(String::new, |now| format!(", is {}", bytes(now)));
    let files = if output.files.is_empty() { String::new() } else { format!(": {}", clean(&output.files.join(", "))) };
    format!("{verdict:<8} {what}{}{was}{now}{files}", clean(&output.name))
}

fn bytes(bytes: &Bytes) -> String {
    let of = bytes.size.map_or_else(String::new, |n| format!(" ({})", size(n)));
    format!("{}{of}", bytes.digest)
}

fn step(done: &Done<'_>) -> Value {
    let Item { run, made_by, survey, .. } = done.item;
    let gap =
        |gap: &lineage_ingest::replay::Gap| json!({ "kind": gap.kind.as_str(), "name": gap.name, "why": gap.why });
    let mut object = json!({
        "run": run,
        "made_by": made_by,
        "replayed": done.replayed.is_some(),
        "missing": survey.gaps.iter().map(gap).collect::<Vec<_>>(),
        "differences": survey.differences,
    });
    if let Some(replayed) = &done.replayed {
        object["exit_codes"] = json!({ "recorded": replayed.exit_codes.0, "replayed": replayed.exit_codes.1 });
        object["outputs"] = replayed.outputs.iter().map(told).collect();
        object["notes"] = json!(replayed.notes);
    }
    object
}

fn told(output: &Output) -> Value {
    let bytes = |bytes: &Bytes| json!({ "digest": bytes.digest.to_string(), "size": bytes.size });
    let mut object = json!({
        "name": output.name,
        "what": if output.is_value { "value" } else { "file" },
        "verdict": output.verdict.as_str(),
        "recorded": bytes(&output.recorded),
        "replayed": output.replayed.as_ref().map(bytes),
    });
    if !output.files.is_empty() {
        object["files"] = json!(output.files);
    }
    object
}
