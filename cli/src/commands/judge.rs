//! Judgements of people and programs: audit and evaluate.

use std::path::{Path, PathBuf};

use lineage_store::event::{EntityKind, Event, Input, Json, Kind, Outcome, Role};
use lineage_store::time::Time;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::reference::{Found, Target, label, parse_kind, reference};
use crate::session::Session;

use super::name::about;

const AUDIT_EXAMPLES: &str = "\
EXAMPLES
  lineage audit model churn@v4 --outcome pass --by ria --attach report.pdf
  lineage audit model churn --outcome fail --note 'gap between regions'
  lineage audit model churn@v4 --outcome pass --valid-until 2027-06-30T00:00:00Z --policy P-7

A bare name means the version that came to be last; it is printed and recorded as vN.";
const EVALUATE_EXAMPLES: &str = "\
EXAMPLES
  lineage evaluate model churn@v4 --on dataset churn-holdout --metric accuracy=0.93 --metric auc=0.97
  lineage evaluate dataset churn-raw@v2 --metric missing=12 --outcome pass";

/// Arguments of `lineage audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = AUDIT_EXAMPLES)]
pub(crate) struct Audit {
    /// dataset, model, features or artifact
    #[arg(value_parser = parse_kind)]
    kind: EntityKind,
    /// NAME@VERSION, a digest, or a name
    reference: String,
    /// The verdict: pass or fail
    #[arg(long, value_parser = parse_outcome)]
    outcome: Outcome,
    /// Who judged, if it was not you
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Files that are kept as evidence
    #[arg(long, value_name = "FILE", num_args = 1..)]
    attach: Vec<PathBuf>,
    /// Until when a pass counts
    #[arg(long, value_name = "TIME")]
    valid_until: Option<String>,
    /// The policy that was applied
    #[arg(long)]
    policy: Option<String>,
    /// A remark
    #[arg(long)]
    note: Option<String>,
    /// A measurement, such as loss=0.28
    #[arg(long, value_name = "NAME=NUMBER", value_parser = parse_metric)]
    metric: Vec<(String, Value)>,
}

fn parse_outcome(word: &str) -> Result<Outcome, String> {
    Outcome::from_word(word).ok_or_else(|| "the outcomes are pass and fail".to_owned())
}

fn parse_metric(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write NAME=NUMBER")?;
    if matches!(value, "NaN" | "Infinity" | "-Infinity") {
        return Ok((name.to_owned(), json!(value)));
    }
    let number: serde_json::Number = value.parse().map_err(|_| format!("`{value}` is no number"))?;
    Ok((name.to_owned(), Value::Number(number)))
}

fn metrics(pairs: &[(String, Value)]) -> anyhow::Result<Json> {
    let object: Map<String, Value> = pairs.iter().cloned().collect();
    Json::from_value(&Value::Object(object)).map_err(|what| Problem::usage(format!("--metric: {what}")).into())
}

/// An instant as clap hands it over: RFC 3339, or a date that ends with its day in UTC.
fn instant(text: &str) -> anyhow::Result<String> {
    let time = match text.parse::<Time>() {
        Ok(time) => time,
        Err(what) => format!("{text}T23:59:59Z").parse::<Time>().map_err(|_| {
            Problem::usage(format!("--valid-until: {what}")).help("write 2027-06-30 or 2027-06-30T12:00:00Z")
        })?,
    };
    Ok(time.to_string())
}

impl Audit {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let mut fields = Vec::new();
        if let Some(until) = &self.valid_until {
            fields.push(("valid_until", json!(instant(until)?)));
        }
        for (key, text) in [("policy", &self.policy), ("note", &self.note)] {
            fields.extend(text.as_ref().map(|text| (key, json!(text))));
        }
        let metrics = metrics(&self.metric)?;
        let session = context.open_to_write()?;
        let target = Target::new(self.kind, self.reference.clone());
        let (mut event, name) = session.with_view(|view| {
            let found = Found::Version(target.version(view)?);
            Ok((about(&session, Kind::Audit, view, &[found], &fields)?, label(view, found)))
        })?;
        event.outcome = Some(self.outcome);
        event.metrics = metrics;
        if let Some(by) = &self.by {
            event.actor.clone_from(by);
        }
        for path in &self.attach {
            attach(&session, &mut event, path)?;
        }
        session.record_and_tell(event, &format!("audit of {name} ({})", self.outcome))
    }
}

/// Stores a file and names it as evidence.
fn attach(session: &Session, event: &mut Event, path: &Path) -> anyhow::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Problem::usage(format!("{} has no name to be kept under", path.display())).help("attach a file")
    })?;
    let stored = session.store.artifacts().put_path(path)?;
    let reference = super::add::reference(EntityKind::Artifact, name, &stored);
    event.inputs.push(Input { reference, role: Role::Evidence, size: Some(stored.size), inferred: false });
    Ok(())
}

/// Arguments of `lineage evaluate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EVALUATE_EXAMPLES)]
pub(crate) struct Evaluate {
    /// dataset, model, features or artifact
    #[arg(value_parser = parse_kind)]
    kind: EntityKind,
    /// NAME@VERSION, a digest, or a name
    reference: String,
    /// A measurement, such as accuracy=0.93
    #[arg(long, value_name = "NAME=NUMBER", value_parser = parse_metric)]
    metric: Vec<(String, Value)>,
    /// The data it was measured on: dataset NAME
    #[arg(long, num_args = 2, value_names = ["KIND", "REF"])]
    on: Vec<String>,
    /// The verdict: pass or fail
    #[arg(long, value_parser = parse_outcome)]
    outcome: Option<Outcome>,
    /// Who measured, if it was not you
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl Evaluate {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let metrics = metrics(&self.metric)?;
        let mut on = Vec::new();
        for pair in self.on.chunks(2) {
            let kind = parse_kind(&pair[0]).map_err(|what| Problem::usage(format!("--on {}: {what}", pair[0])))?;
            on.push(Target::new(kind, pair[1].clone()));
        }
        let session = context.open_to_write()?;
        let target = Target::new(self.kind, self.reference.clone());
        let (mut event, name) = session.with_view(|view| {
            let found = Found::Version(target.version(view)?);
            let mut event = about(&session, Kind::Evaluation, view, &[found], &[])?;
            for data in &on {
                let data = Found::Version(data.version(view)?);
                let reference = reference(view, data, &event.namespace);
                event.inputs.push(Input { reference, role: Role::Eval, size: None, inferred: false });
            }
            Ok((event, label(view, found)))
        })?;
        event.outcome = self.outcome;
        event.metrics = metrics;
        if let Some(by) = &self.by {
            event.actor.clone_from(by);
        }
        let mut what = format!("evaluation of {name}");
        if let Some(outcome) = self.outcome {
            what = format!("{what} ({outcome})");
        }
        session.record_and_tell(event, &what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_and_instants_are_read() {
        assert_eq!(parse_metric("a=0.930"), Ok(("a".to_owned(), json!(0.93))));
        assert_eq!(parse_metric("a=NaN"), Ok(("a".to_owned(), json!("NaN"))));
        for bad in ["a", "=1", "a=", "a=x", "a=1,2"] {
            assert!(parse_metric(bad).is_err(), "{bad}");
        }
        assert_eq!(instant("2027-06-30").expect("a date"), "2027-06-30T23:59:59Z");
        assert!(instant("soon").is_err());
    }
}
