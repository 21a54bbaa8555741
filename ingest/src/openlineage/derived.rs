//! What an event says beside its run: evaluations of datasets, and owners.

use lineage_store::event::{About, Args, Event, Kind, Outcome, Refusal, State};

use super::dataset::{Dataset, Side};
use super::facets::{self, Kept};
use super::wire::{At, Object};

const ASSERTIONS: &str = "dataQualityAssertions";

/// The derived events of one event, which take its actor, namespace and time, and an id made from its digest.
pub(super) struct Derived<'e> {
    /// The event that was translated.
    pub(super) first: &'e Event,
    /// The events found so far.
    pub(super) events: Vec<Event>,
}

impl Derived<'_> {
    fn event(&self, kind: Kind, path: &str) -> Event {
        let mut event = Event::new(kind, self.first.actor.clone());
        event.id = Some(format!("{kind}/{path}"));
        event.time = self.first.time;
        event.namespace.clone_from(&self.first.namespace);
        event
    }

    /// An evaluation for a dataset with assertions, once the run is over (a START carries the same ones).
    pub(super) fn evaluation(&mut self, dataset: &Dataset<'_>) -> Result<(), Refusal> {
        let mut kept = Kept::default();
        let mut passed = true;
        let mut n_assertions = 0;
        let mut seen = "";
        let at = dataset.at();
        for (facets, key) in [(&dataset.own, dataset.side.own_facets()), (&dataset.facets, "facets")] {
            let at = at.key(key);
            let Some(facet) = facets.object(ASSERTIONS, &at)? else { continue };
            let results = assertions(&facet, &at.key(ASSERTIONS))?;
            n_assertions += results.len();
            passed &= results.iter().all(|success| *success);
            let text = facets.get(ASSERTIONS).unwrap_or_default();
            if text != seen {
                kept.add(ASSERTIONS.to_owned(), text);
            }
            seen = text;
        }
        let over = match self.first.state {
            State::Complete => true,
            // A test that fails ends so; what a failed run wrote is no version, so that nothing can be about it.
            State::Fail => dataset.side == Side::Input,
            _ => false,
        };
        if n_assertions == 0 || !over {
            return Ok(());
        }
        let mut event = self.event(Kind::Evaluation, &dataset.path);
        event.job.clone_from(&self.first.job);
        event.outcome = Some(if passed { Outcome::Pass } else { Outcome::Fail });
        event.about.push(About::Thing(dataset.reference.clone()));
        if let Some(run) = &self.first.run {
            kept.add("run".to_owned(), serde_json::Value::from(run.as_str()).to_string());
        }
        event.facets = kept.json()?;
        self.events.push(event);
        Ok(())
    }

    /// An owner for a dataset whose own facets name one; whether they do.
    pub(super) fn owner(&mut self, dataset: &Dataset<'_>) -> Result<bool, Refusal> {
        let Some(owner) = facets::owner(&dataset.facets, &dataset.at().key("facets"))? else { return Ok(false) };
        self.describe(&dataset.path, &owner, &dataset.facets, &[dataset])?;
        Ok(true)
    }

    /// The owner of a job, for those of its outputs that name none.
    pub(super) fn job_owner(&mut self, job: &Object<'_>, at: &At<'_>, outputs: &[&Dataset<'_>]) -> Result<(), Refusal> {
        match facets::owner(job, at)? {
            Some(owner) if !outputs.is_empty() => self.describe("job", &owner, job, outputs),
            _ => Ok(()),
        }
    }

    /// Outputs exist once the run is complete, and a START says the same.
    fn describe(&mut self, path: &str, owner: &str, said: &Object<'_>, about: &[&Dataset<'_>]) -> Result<(), Refusal> {
        if self.first.state != State::Complete {
            return Ok(());
        }
        let mut event = self.event(Kind::Describe, path);
        for dataset in about {
            let mut reference = dataset.reference.clone();
            reference.label = None;
            event.about.push(About::Thing(reference));
        }
        event.args = Args::build(Kind::Describe, &[("owner", owner.into())])?;
        let mut kept = Kept::default();
        kept.add("ownership".to_owned(), said.get("ownership").unwrap_or("{}"));
        event.facets = kept.json()?;
        self.events.push(event);
        Ok(())
    }
}

/// Whether each assertion of a facet succeeded.
fn assertions(facet: &Object<'_>, at: &At<'_>) -> Result<Vec<bool>, Refusal> {
    facet.objects("assertions", at, |assertion, at| match assertion.get("success") {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(at.key("success").refuse("must be true or false")),
        None => Err(at.key("success").refuse("is required")),
    })
}
