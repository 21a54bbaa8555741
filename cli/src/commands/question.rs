//! What is asked: the text, its parameters, and what the answer may cost.

use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant};

use lineage_query::output::{Answer, Expect};
use lineage_query::syntax::EDITION;
use lineage_query::{Class, Limits, QueryError, ReadEvent, Request, TreeHead, Zone, answer};
use lineage_store::artifact::Artifacts;
use lineage_store::digest::Blake3;
use lineage_store::graph::View;
use lineage_store::{StoreError, read_leaf};

use super::completions;
use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::session::Session;

/// A question on the command line.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Question {
    /// The question
    #[arg(required = true, value_name = "TEXT", add = completions::of_question())]
    words: Vec<String>,
    /// A parameter of the question; several of one name are a list
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_param)]
    param: Vec<(String, String)>,
    /// The zone of dates without one: UTC, +02:00 or Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = Zone::parse)]
    tz: Zone,
    /// The edition of the language
    #[arg(long, value_name = "N", default_value = "1")]
    edition: Edition,
    #[command(flatten)]
    budget: Budget,
}

/// An edition of the language that this release reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edition(u32);

impl Edition {
    /// Its number.
    pub(super) fn number(self) -> u32 {
        self.0
    }
}

impl FromStr for Edition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(EDITION) => Ok(Self(EDITION)),
            _ => Err(format!("this release reads edition {EDITION} only")),
        }
    }
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
        head: bool,
        ask: impl Fn(&View, &Request<'_>) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let asked = Asked {
            text: &self.text(),
            params: &self.param,
            zone: self.tz.clone(),
            limits: self.budget.limits(),
            graph,
            head,
        };
        asked.ask(session, ask)
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

/// Reads `500ms`, `30s`, `2m` or `1h`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
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

/// A text to ask, with all that its answer depends on.
pub(super) struct Asked<'a> {
    pub(super) text: &'a str,
    pub(super) params: &'a [(String, String)],
    pub(super) zone: Zone,
    pub(super) limits: Limits,
    /// To draw the answer: how many nodes it may have.
    pub(super) graph: Option<usize>,
    /// Whether the answer is for those who look at its tree head.
    pub(super) head: bool,
}

impl<'a> Asked<'a> {
    /// A text without parameters, limits and zone.
    pub(super) fn plain(text: &'a str) -> Self {
        Self { text, params: &[], zone: Zone::default(), limits: Limits::default(), graph: None, head: false }
    }

    /// Asks it; if the graph index is damaged, from the journal.
    pub(super) fn ask<T>(
        self,
        session: &Session,
        ask: impl Fn(&View, &Request<'_>) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let context = &session.context;
        let request = Request {
            text: self.text,
            params: self.params,
            now: context.now(),
            now_is_set: context.is_fixed(),
            zone: self.zone,
            environments: &session.config.environments,
            graph: self.graph,
            events: whole_events(session),
            head: self.head.then(|| tree_head(session)),
            limits: self.limits,
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
}

/// An answer, and how many digits tell the digests in it apart from all that are recorded.
pub(super) fn answered(view: &View, request: &Request<'_>) -> Result<(Answer, usize), QueryError> {
    let answer = answer(view, request)?;
    let others = |start: &str| view.digests_with_prefix(start).into_iter().map(|(digest, _)| digest).collect();
    let digits = answer.digits_apart(others);
    Ok((answer, digits))
}

/// An answer whose digests are written in full.
pub(super) fn answered_for_programs(view: &View, request: &Request<'_>) -> Result<(Answer, usize), QueryError> {
    answer(view, request).map(|answer| (answer, 0))
}

/// Whole events, from the journal, so that a question never waits for the event store.
pub(crate) fn whole_events(session: &Session) -> ReadEvent {
    let journal = session.store.journal().clone();
    Rc::new(move |position| {
        let record = journal.get(position.into())?;
        read_leaf(&record.leaf, record.received.is_some()).map(|(event, ..)| event)
    })
}

/// Tree heads, from tiles and what the journal has beyond them.
pub(crate) fn tree_head(session: &Session) -> TreeHead {
    let proofs = session.store.proofs();
    Rc::new(move |size| proofs.root_at(size).map(|root| root.to_string()))
}

pub(super) fn digest_of_file(path: &str) -> Result<Blake3, String> {
    Artifacts::hash_path(path.as_ref()).map(|stored| stored.digest).map_err(|error| error.to_string())
}

/// The exit code of a question without an answer.
pub(crate) fn code_of(error: &QueryError) -> ExitCode {
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
