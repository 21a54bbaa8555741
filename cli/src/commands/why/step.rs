//! Why a step of a pipeline ran in a run, or did not: the first thing that was other than before.

use lineage_store::event::State;
use serde_json::{Value, json};

use crate::commands::origin::{Origin, state_of};
use crate::commands::replay::find::{newest_attempt, steps};
use crate::context::Context;
use crate::exit::ExitCode;
use crate::render::clean;
use crate::session::Session;

/// A step of a run of a pipeline.
pub(super) struct StepOf {
    origin: Origin,
    step: String,
    /// As a run names it, `.0.2`; empty: every branch.
    branch: String,
}

/// One branch of a step.
struct Branch {
    run: String,
    state: String,
    /// The run that made its results.
    made_by: Option<String>,
    why: String,
}

/// The step that words name: `RUN STEP`, `RUN.STEP`, or a step of the newest run of a pipeline.
pub(super) fn find(session: &Session, words: &[String]) -> anyhow::Result<Option<StepOf>> {
    let (run, place) = match words {
        [run, place] => (Some(run.as_str()), place.as_str()),
        [word] => word.split_once('.').map_or((None, word.as_str()), |(run, place)| (Some(run), place)),
        _ => return Ok(None),
    };
    let Ok(origin) = Origin::find(session, run) else { return Ok(None) };
    let (step, branch) = place.split_at(place.find('.').unwrap_or(place.len()));
    let found = origin.has_step(step)?;
    Ok(found.then(|| StepOf { origin, step: step.to_owned(), branch: branch.to_owned() }))
}

impl StepOf {
    /// Tells it.
    pub(super) fn tell(&self, session: &Session) -> anyhow::Result<ExitCode> {
        let branches = self.branches(session)?;
        let context = &session.context;
        if context.json {
            context.terminal.print(&self.json(&branches).to_string())?;
        } else {
            context.terminal.print(&self.text(context, &branches))?;
        }
        Ok(ExitCode::Done)
    }

    fn is_wanted(&self, run: &str) -> bool {
        let whole = format!("{}.{}{}", self.origin.run, self.step, self.branch);
        run.strip_prefix(&whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    fn branches(&self, session: &Session) -> anyhow::Result<Vec<Branch>> {
        let Origin { namespace, run, .. } = &self.origin;
        let mut branches = session.with_view(|view| {
            let runs = steps(session, view, namespace, run)?.into_iter().filter(|run| self.is_wanted(run));
            let branch = |run: String| {
                let said = newest_attempt(session, view, namespace, &run)?;
                let why = said
                    .iter()
                    .find_map(|said| said.facet("step"))
                    .and_then(|step| Some(step["why"].as_str()?.to_owned()));
                let made_by = lineage_ingest::replay::reused_from(&said).map(|[.., made]| made);
                let state = state_of(view, namespace, &run).map_or("running", State::as_str).to_owned();
                Ok(Branch { run, state, made_by, why: why.unwrap_or_default() })
            };
            runs.map(branch).collect::<anyhow::Result<Vec<_>>>()
        })?;
        // What never ran has no events of its own.
        for row in self.origin.rows(session)? {
            let (Some(run), Some(end)) = (row["run"].as_str(), row["end"].as_str()) else { continue };
            if self.is_wanted(run) && !branches.iter().any(|branch| branch.run == run) {
                let why = row["why"].as_str().unwrap_or_default().to_owned();
                branches.push(Branch { run: run.to_owned(), state: end.to_owned(), made_by: None, why });
            }
        }
        Ok(branches)
    }

    /// `train/0/2` of the run of a branch.
    fn name<'a>(&self, run: &'a str) -> std::borrow::Cow<'a, str> {
        let below = run.strip_prefix(&self.origin.run).map_or(run, |rest| rest.trim_start_matches('.'));
        below.replace('.', "/").into()
    }

    fn text(&self, context: &Context, branches: &[Branch]) -> String {
        let title = format!("step {} of {} {}", self.step, clean(&self.origin.name), clean(&self.origin.run));
        let mut lines = vec![context.terminal.bold(&title)];
        if branches.is_empty() {
            lines.push("  it did not run, and nothing says why".to_owned());
        }
        for branch in branches {
            let told = match (&branch.made_by, branch.why.as_str()) {
                (Some(made_by), _) => format!("reused, as in {}: nothing that it read has changed", clean(made_by)),
                (None, "") => branch.state.clone(),
                (None, why) => format!("{}: {}", branch.state, clean(why)),
            };
            lines.push(format!("  {}  {told}", self.name(&branch.run)));
        }
        lines.join("\n")
    }

    fn json(&self, branches: &[Branch]) -> Value {
        let told = branches.iter().map(|branch| {
            json!({
                "run": branch.run, "state": branch.state, "reused": branch.made_by.is_some(),
                "made_by": branch.made_by, "why": branch.why,
            })
        });
        json!({
            "pipeline": self.origin.name, "run": self.origin.run, "step": self.step,
            "branches": told.collect::<Vec<_>>(),
        })
    }
}
