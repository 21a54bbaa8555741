//! The verdicts of checks as TAP, `JUnit` XML, SARIF and JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::exit::ExitCode;
use crate::render::clean;

/// How verdicts are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// Test Anything Protocol, version 14
    Tap,
    /// XML as `JUnit` writes it
    Junit,
    /// SARIF 2.1.0
    Sarif,
    /// One object
    Json,
}

/// What became of one question or pipeline.
pub(super) struct Verdict {
    pub(super) file: String,
    /// The line on which the question begins.
    pub(super) line: usize,
    /// The title of the question, or its text.
    pub(super) name: String,
    pub(super) outcome: Outcome,
}

/// Whether an expectation was met.
pub(super) enum Outcome {
    /// It was.
    Met { rows: u64 },
    /// The pipeline can run.
    Sound { steps: usize },
    /// It was not; the first rows are named.
    Unmet { message: String, rows: u64, shown: Vec<String> },
    /// The question has no answer.
    Broken { code: ExitCode, diagnostic: Option<&'static str>, message: String, fixes: Vec<String> },
}

impl Verdict {
    /// The exit code of this question alone.
    pub(super) fn code(&self) -> ExitCode {
        match &self.outcome {
            Outcome::Met { .. } | Outcome::Sound { .. } => ExitCode::Done,
            Outcome::Unmet { .. } => ExitCode::Unmet,
            Outcome::Broken { code, .. } => *code,
        }
    }

    /// Why it failed, and what shows it.
    fn reason(&self) -> Option<(String, &[String])> {
        match &self.outcome {
            Outcome::Met { .. } | Outcome::Sound { .. } => None,
            Outcome::Unmet { message, shown, .. } => Some((message.clone(), shown)),
            Outcome::Broken { diagnostic, message, fixes, .. } => {
                Some((diagnostic.map_or_else(|| message.clone(), |code| format!("{code}: {message}")), fixes))
            }
        }
    }

    fn to_json(&self) -> Value {
        let mut object = json!({
            "file": self.file, "line": self.line, "name": self.name, "ok": self.code() == ExitCode::Done,
            "exit": self.code().number(),
        });
        if let Outcome::Met { rows } | Outcome::Unmet { rows, .. } = &self.outcome {
            object["rows"] = json!(rows);
        }
        if let Outcome::Sound { steps } = &self.outcome {
            object["steps"] = json!(steps);
        }
        if let Some((message, shown)) = self.reason() {
            object["message"] = json!(message);
            let broken = matches!(self.outcome, Outcome::Broken { .. });
            object[if broken { "fixes" } else { "first_rows" }] = json!(shown);
        }
        object
    }
}

impl Form {
    /// The verdicts in this form.
    pub(super) fn told(self, verdicts: &[Verdict]) -> String {
        match self {
            Self::Tap => tap(verdicts),
            Self::Junit => junit(verdicts),
            Self::Sarif => sarif(verdicts).to_string(),
            Self::Json => json!({ "checks": verdicts.iter().map(Verdict::to_json).collect::<Vec<_>>() }).to_string(),
        }
    }
}

fn tap(verdicts: &[Verdict]) -> String {
    let mut out = format!("TAP version 14\n1..{}\n", verdicts.len());
    for (number, verdict) in (1..).zip(verdicts) {
        let ok = if verdict.code() == ExitCode::Done { "ok" } else { "not ok" };
        let name = clean(&verdict.name).replace('\\', "\\\\").replace('#', "\\#");
        _ = writeln!(out, "{ok} {number} - {}:{} {name}", clean(&verdict.file), verdict.line);
        let Some((message, shown)) = verdict.reason() else { continue };
        let broken = matches!(verdict.outcome, Outcome::Broken { .. });
        _ = writeln!(
            out,
            "  ---\n  message: {}\n  severity: {}",
            json!(message),
            if broken { "error" } else { "fail" }
        );
        _ = writeln!(out, "  exit: {}", verdict.code().number());
        if !shown.is_empty() {
            _ = writeln!(out, "  {}:", if broken { "fixes" } else { "first_rows" });
            for row in shown {
                _ = writeln!(out, "    - {}", json!(row));
            }
        }
        out.push_str("  ...\n");
    }
    out
}

/// Text within XML, without what XML cannot hold.
fn xml(text: &str) -> String {
    clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn junit(verdicts: &[Verdict]) -> String {
    let count = |wanted: fn(&Outcome) -> bool| verdicts.iter().filter(|verdict| wanted(&verdict.outcome)).count();
    let failures = count(|outcome| matches!(outcome, Outcome::Unmet { .. }));
    let errors = count(|outcome| matches!(outcome, Outcome::Broken { .. }));
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"lineage check\" tests=\"{}\" \
         failures=\"{failures}\" errors=\"{errors}\">\n",
        verdicts.len()
    );
    for verdict in verdicts {
        let (file, name) = (xml(&verdict.file), xml(&verdict.name));
        _ = write!(out, "<testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\" line=\"{}\"", verdict.line);
        let Some((message, shown)) = verdict.reason() else {
            out.push_str("/>\n");
            continue;
        };
        let tag = if matches!(verdict.outcome, Outcome::Broken { .. }) { "error" } else { "failure" };
        let shown: Vec<String> = shown.iter().map(|row| xml(row)).collect();
        _ = writeln!(out, "><{tag} message=\"{}\">{}</{tag}></testcase>", xml(&message), shown.join("\n"));
    }
    out + "</testsuite>\n</testsuites>\n"
}

fn sarif(verdicts: &[Verdict]) -> Value {
    let results = verdicts.iter().filter_map(|verdict| {
        let (message, shown) = verdict.reason()?;
        let text = if shown.is_empty() { message } else { format!("{message}: {}", shown.join(", ")) };
        let place = json!({ "artifactLocation": { "uri": verdict.file }, "region": { "startLine": verdict.line } });
        Some(json!({
            "ruleId": verdict.name,
            "level": "error",
            "message": { "text": text },
            "locations": [{ "physicalLocation": place }],
        }))
    });
    let mut rules: Vec<&str> = verdicts.iter().map(|verdict| verdict.name.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "lineage check",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>(),
            } },
            "results": results.collect::<Vec<_>>(),
        }],
    })
}
