//! `lineage check`: files of questions with what is expected of their answers, and specifications of pipelines.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use lineage_ingest::pipeline::{Plan, Problem, Spec};
use lineage_query::output::{self, Answer, Expect, Format, TableStyle};
use lineage_query::{QueryError, Zone, answer};
use serde_json::Value;

use super::question::{self, Asked, Budget};
use super::verdict::{Form, Outcome, Verdict};
use crate::context::Context;
use crate::exit::ExitCode;
use crate::machine;
use crate::render::count;
use crate::session::Session;
use crate::signals;

const EXAMPLES: &str = "\
EXAMPLES
  lineage check policies/*.lq
  lineage check --output junit policies/*.lq > report.xml
  lineage check churn.toml

A FILE holds questions; the header says what is expected of the one below it:

  # name: no model in production without a passing audit
  # expect: none
  models live in prod without a passing audit since their last training

  # expect: <=5
  # param: who=ria
  audits by :who in last 7 days

A FILE that ends in .toml is a pipeline; cycles, paths with two writers, unknown names and resources that this machine
does not have are found before anything runs, and no store is needed.

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
    /// Files of questions, and pipelines
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
        let (pipelines, questions): (Vec<_>, Vec<_>) = self.files.iter().partition(|file| is_pipeline(file));
        let mut verdicts: Vec<Verdict> = pipelines.into_iter().flat_map(|file| check_pipeline(file)).collect();
        if !questions.is_empty() {
            let session = context.open()?;
            for file in questions {
                match read(file) {
                    Ok(policies) => verdicts.extend(policies.iter().map(|policy| self.judge(&session, policy))),
                    Err(verdict) => verdicts.push(verdict),
                }
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

fn is_pipeline(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "toml")
}

/// What is wrong with a pipeline, one verdict a problem; one verdict if nothing is.
fn check_pipeline(path: &Path) -> Vec<Verdict> {
    let file = path.display().to_string();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return vec![unreadable(&file, 1, format!("{file}: {error}"))],
    };
    let planned = Spec::parse(&text).and_then(|spec| Plan::new(&spec, &machine::capacity()).map(|_| spec));
    match planned {
        Ok(spec) => {
            let outcome = Outcome::Sound { steps: spec.steps.len() };
            vec![Verdict { file, line: 1, name: format!("pipeline {}", spec.name), outcome }]
        }
        Err(problems) => problems.into_iter().map(|problem| told(&file, &text, problem)).collect(),
    }
}

fn told(file: &str, text: &str, problem: Problem) -> Verdict {
    let line = problem.place(text).0;
    let (message, fixes) = (problem.what, vec![problem.help]);
    let outcome = Outcome::Broken { code: ExitCode::Usage, diagnostic: None, message, fixes };
    Verdict { file: file.to_owned(), line, name: "the pipeline".to_owned(), outcome }
}

fn unreadable(file: &str, line: usize, message: String) -> Verdict {
    let outcome = Outcome::Broken { code: ExitCode::Usage, diagnostic: None, message, fixes: Vec::new() };
    Verdict { file: file.to_owned(), line, name: "cannot be checked".to_owned(), outcome }
}

/// The questions of a file, or why it has none.
fn read(path: &Path) -> Result<Vec<Policy>, Verdict> {
    let file = path.display().to_string();
    let refused = |line: usize, message: String| unreadable(&file, line, message);
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
