//! `lineage check`: files of questions with what is expected of their answers, as the gates of a pipeline.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lineage_query::output::{self, Answer, Expect, Format, TableStyle};
use lineage_query::{QueryError, Zone, answer};
use serde_json::Value;

use super::question::{self, Asked, Budget};
use super::verdict::{Form, Outcome, Verdict};
use crate::context::Context;
use crate::exit::ExitCode;
use crate::render::count;
use crate::session::Session;
use crate::signals;

const EXAMPLES: &str = "\
EXAMPLES
  lineage check policies/*.lq
  lineage check --output junit policies/*.lq > report.xml

A FILE holds questions; the header says what is expected of the one below it:

  # name: no model in production without a passing audit
  # expect: none
  models live in prod without a passing audit since their last training

  # expect: <=5
  # param: who=ria
  audits by :who in last 7 days

EXIT CODES
  the first present of: 4 store damaged, 2 syntax, 3 unknown name, 5 over budget, 1 expectation failed";

/// The most rows that are named in a report.
const ROWS_SHOWN: usize = 10;

/// The exit codes, the gravest first.
const BY_GRAVITY: [ExitCode; 5] =
    [ExitCode::Damaged, ExitCode::Usage, ExitCode::Name, ExitCode::Budget, ExitCode::Unmet];

/// Arguments of `lineage check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Check {
    /// Files of questions
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the verdicts are told
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Tap)]
    output: Form,
    /// The zone of dates without one: UTC, +02:00 or Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = Zone::parse)]
    tz: Zone,
    #[command(flatten)]
    budget: Budget,
}

impl Check {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        signals::exit_when_interrupted().context("cannot listen for signals")?;
        let session = context.open()?;
        let mut verdicts = Vec::new();
        for file in &self.files {
            match read(file) {
                Ok(policies) => verdicts.extend(policies.iter().map(|policy| self.judge(&session, policy))),
                Err(verdict) => verdicts.push(verdict),
            }
        }
        let form = if context.json { Form::Json } else { self.output };
        context.terminal.print(&form.told(&verdicts))?;
        let codes: Vec<ExitCode> = verdicts.iter().map(Verdict::code).collect();
        let gravest = BY_GRAVITY.into_iter().find(|code| codes.contains(code));
        Ok(gravest.or(codes.into_iter().find(|code| *code != ExitCode::Done)).unwrap_or(ExitCode::Done))
    }

    /// Asks a question and compares its answer with what is expected.
    fn judge(&self, session: &Session, policy: &Policy) -> Verdict {
        let (params, zone, limits) = (&policy.params[..], self.tz.clone(), self.budget.limits());
        let asked = Asked { text: &policy.text, params, zone, limits, graph: None, head: false };
        let outcome = match asked.ask(session, answer) {
            Ok(answer) => compare(&answer, policy.expect),
            Err(error) => broken(&error),
        };
        Verdict { file: policy.file.clone(), line: policy.line, name: policy.name(), outcome }
    }
}

/// A question of a file.
struct Policy {
    file: String,
    /// The line on which the question begins.
    line: usize,
    title: Option<String>,
    expect: Expect,
    params: Vec<(String, String)>,
    text: String,
}

impl Policy {
    fn name(&self) -> String {
        self.title.clone().unwrap_or_else(|| self.text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

fn compare(answer: &Answer, expect: Expect) -> Outcome {
    let rows = answer.batch.num_rows() as u64;
    if let Some(message) = question::incomplete(answer) {
        return Outcome::Broken { code: ExitCode::Budget, diagnostic: None, message, fixes: Vec::new() };
    }
    if expect.met(rows) {
        return Outcome::Met { rows };
    }
    let message = format!("expected {}, found {}", question::expected(expect), count(rows, "row"));
    Outcome::Unmet { message, rows, shown: shown(answer) }
}

/// The first rows, as they are named.
fn shown(answer: &Answer) -> Vec<String> {
    let some = Answer { batch: answer.batch.slice(0, answer.batch.num_rows().min(ROWS_SHOWN)), ..answer.clone() };
    let mut lines = Vec::new();
    if output::write(&some, &Format::Ndjson, &mut lines, &TableStyle::default()).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&lines).into_owned();
    text.lines().map(named).collect()
}

/// `model churn@v4` of a row, or the row as it is.
fn named(line: &str) -> String {
    let row: Value = serde_json::from_str(line).unwrap_or_default();
    let text = |key: &str| row[key].as_str().map(str::to_owned);
    match (text("kind"), text("name"), text("version")) {
        (Some(kind), Some(name), Some(version)) => format!("{kind} {name}@{version}"),
        _ => line.to_owned(),
    }
}

/// A question without an answer.
fn broken(error: &QueryError) -> Outcome {
    let code = question::code_of(error);
    let Some(told) = error.diagnostics().first() else {
        return Outcome::Broken { code, diagnostic: None, message: error.to_string(), fixes: Vec::new() };
    };
    Outcome::Broken { code, diagnostic: Some(told.code), message: told.message.clone(), fixes: told.fixes.clone() }
}

/// The questions of a file, or why it has none.
fn read(path: &Path) -> Result<Vec<Policy>, Verdict> {
    let file = path.display().to_string();
    let refused = |line: usize, message: String| {
        let outcome = Outcome::Broken { code: ExitCode::Usage, diagnostic: None, message, fixes: Vec::new() };
        Verdict { file: file.clone(), line, name: "cannot be checked".to_owned(), outcome }
    };
    if path.extension().is_some_and(|ending| ending == "toml") {
        return Err(refused(1, "checks of pipelines are not built yet; a file of questions ends in .lq".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(|error| refused(1, format!("{file}: {error}")))?;
    parse(&text, &file).map_err(|(line, message)| refused(line, message))
}

/// Reads headers and questions.
fn parse(text: &str, file: &str) -> Result<Vec<Policy>, (usize, String)> {
    let mut policies: Vec<Policy> = Vec::new();
    let mut header = Header::default();
    for (line, content) in (1..).zip(text.lines()) {
        if let Some(comment) = content.trim_start().strip_prefix('#') {
            header.take(comment.trim()).map_err(|message| (line, message))?;
            continue;
        }
        if content.trim().is_empty() {
            continue;
        }
        match (header.expect.take(), policies.last_mut()) {
            (Some(expect), _) => {
                let Header { title, params, .. } = std::mem::take(&mut header);
                let text = content.trim().to_owned();
                policies.push(Policy { file: file.to_owned(), line, title, expect, params, text });
            }
            (None, Some(policy)) if header.is_empty() => {
                policy.text.push('\n');
                policy.text.push_str(content.trim_end());
            }
            (None, _) => {
                return Err((line, "nothing is expected of this question; write `# expect: none` above it".to_owned()));
            }
        }
    }
    if policies.is_empty() || header.expect.is_some() {
        return Err((text.lines().count().max(1), "there is no question to check".to_owned()));
    }
    Ok(policies)
}

/// What stands above a question.
#[derive(Default)]
struct Header {
    expect: Option<Expect>,
    title: Option<String>,
    params: Vec<(String, String)>,
}

impl Header {
    fn is_empty(&self) -> bool {
        self.title.is_none() && self.params.is_empty()
    }

    /// Reads a comment; one that is no header is a comment.
    fn take(&mut self, comment: &str) -> Result<(), String> {
        let Some((key, value)) = comment.split_once(':') else { return Ok(()) };
        match (key.trim(), value.trim()) {
            ("expect", value) => self.expect = Some(value.parse::<Expect>()?),
            ("name", value) => self.title = Some(value.to_owned()),
            ("param", value) => self.params.push(question::parse_param(value)?),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_questions_with_headers() {
        let text = "# A policy.\n# expect: none\n# name: gate\n# param: t=pii\nmodels\n  tagged :t\n\n# expect: 1\nmodel x # comment\n";
        let policies = parse(text, "f").expect("two");
        assert_eq!(policies.len(), 2);
        assert_eq!((policies[0].text.as_str(), policies[0].line), ("models\n  tagged :t", 5));
        assert_eq!(policies[0].name(), "gate");
        assert_eq!(policies[0].params, [("t".to_owned(), "pii".to_owned())]);
        assert_eq!((policies[1].line, policies[1].expect), (9, Expect::Exactly(1)));
        for (text, line) in [("models", 1), ("", 1), ("# expect: many\nmodels", 1), ("# expect: none\n", 1)] {
            assert_eq!(parse(text, "f").err().map(|(line, _)| line), Some(line), "{text}");
        }
        assert!(parse("# expect: none\nmodels\n# name: b\ndatasets", "f").is_err(), "no question slips in unseen");
    }
}
