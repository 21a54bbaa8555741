//! Evidence: the events that show where a version came from and what was judged of it, gathered into a proof file.

use std::collections::{BTreeMap, BTreeSet};

use super::checkpoint::SignedCheckpoint;
use super::file::{PRESENCE_ONLY, PROOF_SCHEMA, ProofFile, ProvenEvent, Reference, Statement, is_judgement, role_word};
use super::key::VerifierKey;
use super::proofs::Proofs;
use crate::error::{Result, StoreError};
use crate::event::{About, Event, Kind, Outcome, Ref, State};
use crate::graph::{Position, Use, VersionId, View};
use crate::journal::{Journal, RecordBuf};

/// More events do not go into one file: a reader holds them all in memory.
pub const EVENTS_MAX: usize = 100_000;

/// What is gathered.
struct Evidence<'a> {
    view: &'a View,
    journal: &'a Journal,
    /// How many events the checkpoint covers.
    size: u64,
    events: BTreeMap<Position, (RecordBuf, Event)>,
    statements: Vec<Statement>,
    /// The version that is proven, as the first statement names it.
    version: VersionId,
    about: Option<Reference>,
}

impl Proofs {
    /// The proof that a version came from what it came from, and of what was judged of it, under a checkpoint.
    ///
    /// Everything upstream over inputs is in it; what was recorded after the checkpoint is not.
    pub fn evidence(
        &self,
        view: &View,
        version: VersionId,
        checkpoint: &SignedCheckpoint,
        key: &VerifierKey,
    ) -> Result<ProofFile> {
        let size = checkpoint.size().min(view.count().into());
        let mut evidence = Evidence {
            view,
            journal: self.journal(),
            size,
            events: BTreeMap::new(),
            statements: Vec::new(),
            version,
            about: None,
        };
        evidence.gather_origins(version)?;
        evidence.gather_judgements(version)?;
        let mut events = Vec::with_capacity(evidence.events.len());
        for (position, (record, _)) in &evidence.events {
            let proof = self.inclusion(u64::from(*position), checkpoint.size())?.unwrap_or_default();
            let leaf = String::from_utf8_lossy(&record.leaf).into_owned();
            let proof = proof.iter().map(ToString::to_string).collect();
            events.push(ProvenEvent { position: (*position).into(), leaf, proof });
        }
        let Some(about) = evidence.about else {
            let what = "no event under this checkpoint names the version".to_owned();
            return Err(StoreError::Unproven { what });
        };
        let mut text = vec![format!(
            "{about}, which the log numbers v{}: {} events of the log {} under its checkpoint of {} events.",
            view.number(version),
            events.len(),
            checkpoint.checkpoint().origin,
            checkpoint.size()
        )];
        text.extend(evidence.statements.iter().map(ToString::to_string));
        text.push(PRESENCE_ONLY.to_owned());
        Ok(ProofFile {
            schema: PROOF_SCHEMA.to_owned(),
            about,
            key: key.to_string(),
            checkpoint: checkpoint.to_string(),
            events,
            statements: evidence.statements,
            text,
        })
    }
}

impl Evidence<'_> {
    /// Every attempt that leads to a version, from the version backwards over inputs.
    fn gather_origins(&mut self, version: VersionId) -> Result<()> {
        let mut seen = BTreeSet::from([version]);
        let mut todo = vec![version];
        let mut steps = BTreeSet::new();
        while let Some(version) = todo.pop() {
            let mut makers = Vec::new();
            self.view.makers(version, |event| makers.push(event));
            makers.retain(|maker| u64::from(*maker) < self.size);
            makers.sort_unstable();
            for maker in makers {
                self.state_made(maker, version)?;
                let leader = self.view.leader(maker);
                if !steps.insert(leader) {
                    continue;
                }
                for input in self.gather_step(leader)? {
                    if seen.insert(input) {
                        todo.push(input);
                    }
                }
            }
        }
        Ok(())
    }

    /// The events of one attempt, what they used and their code; the versions used.
    fn gather_step(&mut self, leader: Position) -> Result<Vec<VersionId>> {
        let mut members = self.view.attempt_events(leader);
        members.retain(|member| u64::from(*member) < self.size);
        let mut used = Vec::new();
        for member in &members {
            for mention in self.view.mentions(*member) {
                if let Use::Input(role) = mention.usage {
                    let digest = self.view.digest(mention.version);
                    let event = self.event(*member)?;
                    let entry = event.inputs.get(mention.index as usize).filter(|input| input.role == role);
                    // A bare mention that gave way to a named one is told by that one.
                    let what = entry.map(|input| Reference::of(&input.reference, event, digest.as_deref()));
                    if let Some(what) = what {
                        let role = role_word(role);
                        self.statements.push(Statement::Used { event: (*member).into(), what, role });
                    }
                    used.push(mention.version);
                }
            }
            self.state_code(*member)?;
        }
        if members.len() > 1 {
            for member in &members {
                self.event(*member)?;
            }
            let one_job = members.iter().all(|member| self.run_of(*member) == self.run_of(members[0]));
            if one_job {
                self.statements.push(Statement::Step { events: members.into_iter().map(Into::into).collect() });
            }
        }
        Ok(used)
    }

    fn run_of(&self, position: Position) -> Option<(&str, Option<&str>, Option<&str>)> {
        let (_, event) = self.events.get(&position)?;
        Some((&event.namespace, event.job.as_deref(), event.run.as_deref()))
    }

    fn state_made(&mut self, event: Position, version: VersionId) -> Result<()> {
        let (name, digest) = self.names(version);
        let said = self.event(event)?;
        let entry = said.outputs.iter().find(|output| means(&output.reference, &name, digest.as_deref()));
        let what = entry.map(|output| Reference::of(&output.reference, said, digest.as_deref()));
        if version == self.version && self.about.is_none() {
            self.about.clone_from(&what);
        }
        self.statements.extend(what.map(|what| Statement::Made { event: event.into(), what }));
        Ok(())
    }

    fn state_code(&mut self, position: Position) -> Result<()> {
        let code = &self.event(position)?.code;
        // Numbers that no double holds stay in the leaf alone.
        let object: Option<serde_json::Map<_, _>> = serde_json::from_str(code.as_str()).ok();
        let exact = |object: &serde_json::Map<_, _>| {
            let again = crate::event::Json::from_value(&serde_json::Value::Object(object.clone()));
            again.is_ok_and(|again| again == *code)
        };
        let stated = object.filter(|object| !object.is_empty() && exact(object));
        self.statements.extend(stated.map(|code| Statement::Code { event: position.into(), code }));
        Ok(())
    }

    /// Evaluations, audits and deployments of the version itself, and which audits came before which deployments.
    fn gather_judgements(&mut self, version: VersionId) -> Result<()> {
        let mut about = BTreeSet::new();
        self.view.uses(version, |event, usage| {
            if usage == Use::About {
                about.insert(event);
            }
        });
        let (name, digest) = self.names(version);
        let (mut audits, mut deployments) = (Vec::new(), Vec::new());
        about.retain(|position| u64::from(*position) < self.size);
        for position in about {
            if !is_judgement(self.view.kind(position)) || self.view.state(position) != State::Complete {
                continue;
            }
            let event = self.event(position)?;
            let entry = event.about.iter().find_map(|about| match about {
                About::Thing(thing) if means(thing, &name, digest.as_deref()) => Some(thing),
                About::Thing(_) | About::Run(_) | About::Event(_) => None,
            });
            let Some(what) = entry.map(|thing| Reference::of(thing, event, digest.as_deref())) else { continue };
            match event.kind {
                Kind::Audit => audits.push(position),
                Kind::Deployment => deployments.push(position),
                _ => {}
            }
            let statement = Statement::About {
                event: position.into(),
                kind: event.kind.as_str().to_owned(),
                outcome: event.outcome.map(|outcome: Outcome| outcome.as_str().to_owned()),
                environment: event.environment.clone(),
                what: what.clone(),
            };
            self.about.get_or_insert(what);
            self.statements.push(statement);
        }
        for deployment in &deployments {
            let earlier = audits
                .iter()
                .filter(|audit| **audit < *deployment && self.view.time(**audit) <= self.view.time(*deployment));
            let before = earlier.map(|audit| Statement::Before { first: (*audit).into(), then: (*deployment).into() });
            self.statements.extend(before.collect::<Vec<_>>());
        }
        Ok(())
    }

    /// The name and the digest of a version.
    fn names(&self, version: VersionId) -> (String, Option<String>) {
        (self.view.entity_name(self.view.entity(version)).to_owned(), self.view.digest(version))
    }

    /// The event at a position, which goes into the file.
    fn event(&mut self, position: Position) -> Result<&Event> {
        if !self.events.contains_key(&position) {
            if self.events.len() >= EVENTS_MAX {
                let what = format!("the proof would have more than {EVENTS_MAX} events");
                return Err(StoreError::TooLarge { what });
            }
            let record = self.journal.get(position.into())?;
            let (event, _) = Event::from_leaf(&record.leaf)?;
            self.events.insert(position, (record, event));
        }
        let missing = || StoreError::BeyondHead { position: position.into(), count: self.size };
        self.events.get(&position).map(|(_, event)| event).ok_or_else(missing)
    }
}

/// Whether an entry of an event can mean a version: by its bytes, or by its name without other bytes.
fn means(entry: &Ref, name: &str, digest: Option<&str>) -> bool {
    let mut digests = entry.digest.iter().chain(&entry.digests).peekable();
    let named = entry.name.as_deref().is_none_or(|own| own == name);
    if digests.peek().is_none() {
        return entry.name.is_some() && named;
    }
    named && digests.any(|known| Some(&*known.text()) == digest)
}
