//! `lineage retract`: an event or a run is taken back, by a new event.

use std::collections::BTreeSet;

use lineage_store::event::{About, Args, Kind, RunRef};
use lineage_store::graph::View;
use serde_json::json;

use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::session::{Session, refused};

const EXAMPLES: &str = "\
EXAMPLES
  lineage retract '#17' --reason 'wrong dataset'
  lineage retract run:r-01 --reason 'ran on the test machine'
  lineage retract 3f0c… --reason 'an event, by its id'

What is retracted is hidden from answers; `query … including retracted` still shows it.";

/// Arguments of `lineage retract`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Retract {
    /// An event by position (#17 or 17) or id, or a run as run:ID
    #[arg(value_name = "EVENT|run:ID")]
    what: String,
    /// Why
    #[arg(long)]
    reason: String,
}

impl Retract {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open_to_write()?;
        let (namespace, about, what) = session.with_view(|view| self.find(&session, view))?;
        let mut event = session.event(Kind::Retract);
        event.namespace = namespace;
        event.about.push(about);
        event.args =
            Args::build(Kind::Retract, &[("reason", json!(self.reason))]).map_err(|refusal| refused(&refusal))?;
        session.record_and_tell(event, &format!("retraction of {what}"))
    }

    /// The namespace, what the retract names, and how it is called.
    fn find(&self, session: &Session, view: &View) -> anyhow::Result<(String, About, String)> {
        if let Some(run) = self.what.strip_prefix("run:") {
            let namespace = run_namespace(view, run)?;
            let count = view.run_events(&namespace, run).len() as u64;
            let what = format!("run {run} ({})", crate::render::count(count, "event"));
            let run = RunRef { namespace: None, job: None, run: run.to_owned() };
            return Ok((namespace, About::Run(run), what));
        }
        let position = position(view, &self.what)?;
        let (event, id, _) = session.store.reader()?.event(position.into())?;
        let what = format!("#{position} ({} by {})", event.kind, event.actor);
        Ok((event.namespace, About::Event(id), what))
    }
}

/// The position of an event that is named by position or id; beyond the head is wrong usage.
pub(super) fn position(view: &View, text: &str) -> anyhow::Result<u32> {
    if let Some(position) = as_position(text) {
        return match u32::try_from(position).ok().filter(|p| *p < view.count()) {
            Some(position) => Ok(position),
            None => Err(lineage_store::StoreError::BeyondHead { position, count: view.count().into() }.into()),
        };
    }
    find_event(view, text).ok_or_else(|| {
        Problem::name(format!("no event has the id `{}`", text.escape_debug()))
            .help("`lineage log` shows positions, `lineage log --json` the ids")
            .into()
    })
}

/// `#17` or `17`.
pub(super) fn as_position(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// The event of an id, in whichever namespace; the newest, if several have it.
pub(super) fn find_event(view: &View, id: &str) -> Option<u32> {
    namespaces(view, |namespace| view.find_event(namespace, id)).into_iter().max()
}

/// The namespace that has a run.
pub(super) fn run_namespace(view: &View, run: &str) -> anyhow::Result<String> {
    let found =
        namespaces(view, |namespace| (!view.run_events(namespace, run).is_empty()).then(|| namespace.to_owned()));
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Problem::name(format!("no run has the id `{}`", run.escape_debug()))
            .help("`lineage log --json` shows the ids of runs")
            .into()),
        several => Err(Problem::name(format!("{} namespaces have a run `{run}`", several.len()))
            .help("retract its events one by one, by position")
            .into()),
    }
}

/// What a question gives in each namespace that an event was recorded in.
fn namespaces<T>(view: &View, ask: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let symbols: BTreeSet<u32> = (0..view.count()).map(|event| view.namespace(event)).collect();
    symbols.into_iter().filter_map(|symbol| ask(view.text(symbol))).collect()
}
