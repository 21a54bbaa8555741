//! What is asked: the text, its parameters, and what the answer may cost.

use std::rc::Rc;
use std::time::{Duration, Instant};

use lineage_query::output::{Answer, Expect};
use lineage_query::{Class, Limits, QueryError, ReadEvent, Request};
use lineage_store::artifact::Artifacts;
use lineage_store::digest::Blake3;
use lineage_store::graph::View;
use lineage_store::{StoreError, read_leaf};

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::session::Session;

/// A question on the command line.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Question {
    /// The question
    #[arg(required = true, value_name = "TEXT")]
    words: Vec<String>,
    /// A parameter of the question; several of one name are a list
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_param)]
    param: Vec<(String, String)>,
    #[command(flatten)]
    budget: Budget,
}

impl Question {
    /// The text of the question.
    pub(super) fn text(&self) -> String {
        self.words.join(" ")
    }

    /// Asks it.
    pub(super) fn ask<T>(
        &self,
        session: &Session,
        graph: Option<usize>,
        ask: impl Fn(&View, &Request<'_>) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        ask_text(session, &self.text(), &self.param, self.budget.limits(), graph, ask)
    }
}

/// What an answer may cost.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Budget {
    /// The most steps: nodes that are walked from or tested; more is an error
    #[arg(long = "budget-steps", value_name = "N")]
    steps: Option<u64>,
    /// The longest time, such as 500ms, 30s or 2m; longer is an error
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// The most rows; more is an error
    #[arg(long, value_name = "N")]
    max_rows: Option<u64>,
    /// Answer with what is found when one of these is exceeded, marked as not complete
    #[arg(long)]
    partial: bool,
}

impl Budget {
    /// The limits; the time begins now.
    pub(crate) fn limits(&self) -> Limits {
        let begun = Instant::now();
        let out_of_time = self.timeout.map(|most| Rc::new(move || begun.elapsed() >= most) as Rc<dyn Fn() -> bool>);
        Limits { steps: self.steps, rows: self.max_rows, out_of_time, partial: self.partial }
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| "write a number and a unit, such as 30s")?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "h" => Ok(Duration::from_secs(number.saturating_mul(3600))),
        _ => Err("the units are ms, s, m and h".to_owned()),
    }
}

/// Reads `NAME=VALUE`.
pub(super) fn parse_param(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write NAME=VALUE")?;
    Ok((name.trim_start_matches(':').to_owned(), value.to_owned()))
}

/// Asks a text; if the graph index is damaged, from the journal.
pub(super) fn ask_text<T>(
    session: &Session,
    text: &str,
    params: &[(String, String)],
    limits: Limits,
    graph: Option<usize>,
    ask: impl Fn(&View, &Request<'_>) -> Result<T, QueryError>,
) -> Result<T, QueryError> {
    let context = &session.context;
    let request = Request {
        text,
        params,
        now: context.now(),
        now_is_set: context.is_fixed(),
        environments: &session.config.environments,
        graph,
        events: whole_events(session),
        limits,
        digest_of_file: &digest_of_file,
    };
    let first = session.store.view().map_err(QueryError::from).and_then(|view: View| ask(&view, &request));
    match first {
        Err(QueryError::Store(StoreError::Corrupt { .. })) => {
            let view = session.store.view_of_journal()?;
            let note = "the graph index is damaged; answered from the journal; run `lineage rebuild`";
            context.terminal.note(note);
            ask(&view, &request)
        }
        result => result,
    }
}

/// Whole events, from the journal, so that a question never waits for the event store.
fn whole_events(session: &Session) -> ReadEvent {
    let journal = session.store.journal().clone();
    Rc::new(move |position| {
        let record = journal.get(position.into())?;
        read_leaf(&record.leaf, record.received.is_some()).map(|(event, ..)| event)
    })
}

fn digest_of_file(path: &str) -> Result<Blake3, String> {
    Artifacts::hash_path(path.as_ref()).map(|stored| stored.digest).map_err(|error| error.to_string())
}

/// The exit code of a question without an answer.
pub(super) fn code_of(error: &QueryError) -> ExitCode {
    match error.class() {
        Class::Syntax => ExitCode::Usage,
        Class::Name => ExitCode::Name,
        Class::Integrity => ExitCode::Damaged,
        Class::Budget => ExitCode::Budget,
        Class::Other => ExitCode::Failed,
    }
}

/// Why nothing can be expected of an answer, if it is not complete.
pub(super) fn incomplete(answer: &Answer) -> Option<String> {
    let text = "the answer is not complete, so that no expectation of it can be met";
    (!answer.complete).then(|| text.to_owned())
}

/// What is expected, in words.
pub(super) fn expected(expect: Expect) -> String {
    match expect {
        Expect::None => "no row".to_owned(),
        Expect::Some => "at least one row".to_owned(),
        Expect::Exactly(n) => crate::render::count(n, "row"),
        Expect::AtMost(n) => format!("at most {}", crate::render::count(n, "row")),
    }
}

/// Says why a question has no answer.
pub(super) fn tell_failure(context: &Context, error: QueryError, text: &str) -> anyhow::Result<ExitCode> {
    let code = code_of(&error);
    if code == ExitCode::Failed {
        return Err(match error {
            QueryError::Store(error) => error.into(),
            error => error.into(),
        });
    }
    if error.diagnostics().is_empty() {
        return match error {
            QueryError::Store(error) => Err(error.into()),
            error => Err(Problem::new(code, error.to_string()).into()),
        };
    }
    context.errors.tell_diagnostics(error.diagnostics(), text, code, &context.terminal);
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read() {
        assert_eq!(parse_param("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_param(":a="), Ok(("a".to_owned(), String::new())));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_mins(2)));
        assert!(parse_duration("2").is_err() && parse_duration("s").is_err() && parse_duration("2 weeks").is_err());
        assert!(parse_param("a").is_err() && parse_param("=b").is_err());
    }
}
