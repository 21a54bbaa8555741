//! Relations of QUERY.md, for each quantifier, as sets of what stands in them.

use std::collections::BTreeSet;

use super::answer::{Answered, Node, Nodes, Refused, World};
use super::attribute::Value;
use super::log::{At, Id};
use super::question::{Clause, Noun, Operator, Quantifier, Relation, Set, When};
use super::walk::{Edges, Found, Graph, How};

/// What stands in a relation.
#[derive(Clone, Debug, Default)]
pub(super) struct Related {
    pub(super) versions: BTreeSet<Id>,
    pub(super) steps: BTreeSet<At>,
    pub(super) events: BTreeSet<At>,
}

impl Related {
    fn of(found: Found) -> Self {
        Self { versions: found.versions, steps: found.steps, events: BTreeSet::new() }
    }

    fn and(&self, other: &Self) -> Self {
        Self {
            versions: &self.versions & &other.versions,
            steps: &self.steps & &other.steps,
            events: &self.events & &other.events,
        }
    }

    fn except(self, other: &Self) -> Self {
        Self {
            versions: &self.versions - &other.versions,
            steps: &self.steps - &other.steps,
            events: &self.events - &other.events,
        }
    }
}

impl World<'_> {
    pub(super) fn graph<T>(&self, edges: Edges, f: impl FnOnce(&Graph) -> T) -> T {
        let mut graphs = self.graphs.borrow_mut();
        f(graphs.entry(edges).or_insert_with(|| Graph::of(self.moment, &self.state, edges)))
    }

    /// What stands in a relation to its quantified operand.
    pub(super) fn related(
        &self,
        clause: &Clause,
        relation: Relation,
        quantifier: Quantifier,
        operand: &[Set],
    ) -> Answered<Related> {
        let Clause::Related { depth, when, avoiding, .. } = clause else { return Err(Refused) };
        self.known(when)?;
        let avoided = avoiding.as_ref().map(|a| self.set(a)).transpose()?.map(|n| self.found(&n)).unwrap_or_default();
        let depth = depth.unwrap_or(usize::MAX);
        let image = |to: &Found, strict: bool| self.image(relation, to, when, depth, &avoided, strict);
        let sets: Vec<Nodes> = operand.iter().map(|set| self.set(set)).collect::<Answered<_>>()?;
        let union: Nodes = sets.iter().flatten().copied().collect();
        let each = |sets: Vec<Found>| {
            let images = sets.iter().map(|set| image(set, true));
            images.reduce(|a, b| a.and(&b)).unwrap_or_default()
        };
        Ok(match quantifier {
            Quantifier::Any | Quantifier::AnyOf => image(&self.found(&union), true),
            Quantifier::AllOf => each(sets.iter().map(|set| self.found(set)).collect()),
            Quantifier::Every => {
                let whole = self.found(&union);
                let versions = whole.versions.iter().map(|v| Nodes::from([Node::Version(*v)]));
                let steps = whole.steps.iter().map(|s| Nodes::from([Node::Step(*s)]));
                each(versions.chain(steps).map(|one| self.found(&one)).collect())
            }
            Quantifier::Only => {
                let kinds = self.kinds(&operand[0])?;
                let all: Nodes = kinds.into_iter().flat_map(|noun| self.of_kind(noun)).collect();
                let (all, allowed) = (self.found(&all), self.found(&union));
                let others = Found {
                    versions: &all.versions - &allowed.versions,
                    steps: &all.steps - &allowed.steps,
                    ..Found::default()
                };
                image(&allowed, false).except(&image(&others, false))
            }
        })
    }

    /// The kinds that the words of a set speak of.
    fn kinds(&self, set: &Set) -> Answered<Vec<Noun>> {
        Ok(match set {
            Set::Kind(noun) | Set::Name(noun, ..) => vec![*noun],
            Set::Run(_) => vec![Noun::Run],
            // Nothing narrows by a set between others alone.
            Set::Between(..) => vec![Noun::Artifact, Noun::Event],
            Set::Digest(_) => {
                let nodes = self.set(set)?;
                let has =
                    |kind: &str| nodes.iter().any(|n| self.value(*n, "kind") == Some(Value::Text(kind.to_owned())));
                // What is no more than an artifact is of the kind that covers all.
                let nouns = [
                    ("dataset", Noun::Dataset),
                    ("model", Noun::Model),
                    ("features", Noun::Features),
                    ("artifact", Noun::Artifact),
                ];
                nouns.into_iter().filter(|(kind, _)| has(kind)).map(|(_, noun)| noun).collect()
            }
            Set::Narrowed(base, _) => self.kinds(base)?,
            Set::At(base, as_of, known_at) => self.at(*as_of, *known_at, |world| world.kinds(base))?,
            Set::Joined(Operator::Union, a, b) => [self.kinds(a)?, self.kinds(b)?].concat(),
            Set::Joined(_, a, _) => self.kinds(a)?,
        })
    }

    /// What stands in a relation to any member of a set.
    fn image(
        &self,
        relation: Relation,
        to: &Found,
        when: &When,
        depth: usize,
        avoiding: &Found,
        strict: bool,
    ) -> Related {
        let how = How { depth, avoiding, strict, twins_of_start: true };
        let by_steps = How { strict: false, twins_of_start: false, ..how };
        match relation {
            Relation::DownstreamOf => Related::of(self.graph(Edges::All, |g| g.downstream(to, how))),
            Relation::UpstreamOf => Related::of(self.graph(Edges::All, |g| g.upstream(to, how))),
            Relation::DerivedFrom => Related::of(self.graph(Edges::Data, |g| g.downstream(to, by_steps))),
            Relation::TrainedOn => self.trained(&self.graph(Edges::Training, |g| g.downstream(to, by_steps)), when),
            Relation::FineTunedFrom => self.trained(&self.graph(Edges::Base, |g| g.downstream(to, by_steps)), when),
            Relation::EvaluatedOn => self.evaluated(to, when),
            Relation::UsedBy => {
                let step = |at: At| self.log().members[at].leader;
                let used = self.moment.used.iter().filter(|(at, ..)| to.steps.contains(&step(*at)));
                let counted =
                    used.filter(|(at, _, _, v)| self.happened(self.moment.last_event(step(*at)), when, Some(*v)));
                Related { versions: counted.map(|(.., v)| *v).collect(), ..Related::default() }
            }
            Relation::ProducedBy => {
                let made =
                    self.moment.made.iter().filter(|(at, ..)| to.steps.contains(&self.log().members[*at].leader));
                Related { versions: made.map(|(_, v, _)| *v).collect(), ..Related::default() }
            }
            Relation::Using => self.events(self.using(to)),
            Relation::Producing => self.events(self.producing(to)),
            Relation::About => {
                let concerned = self.moment.about.iter().filter(|(_, v)| to.versions.contains(v)).map(|(at, _)| *at);
                let all = concerned.chain(self.using(to)).chain(self.producing(to));
                self.events(all.collect())
            }
        }
    }

    fn using(&self, of: &Found) -> BTreeSet<At> {
        self.moment.used.iter().filter(|(.., v)| of.versions.contains(v)).map(|(at, ..)| *at).collect()
    }

    fn producing(&self, of: &Found) -> BTreeSet<At> {
        self.moment.made.iter().filter(|(_, v, _)| of.versions.contains(v)).map(|(at, ..)| *at).collect()
    }

    fn events(&self, events: BTreeSet<At>) -> Related {
        let steps = events.iter().map(|at| self.log().members[*at].leader).collect();
        Related { versions: BTreeSet::new(), steps, events }
    }

    /// What a training generated, of the steps that were passed.
    fn trained(&self, found: &Found, when: &When) -> Related {
        let is_training = |(step, version): &&(At, Id)| {
            self.moment.step_kind(*step) == "training"
                && self.happened(self.moment.last_event(*step), when, Some(*version))
        };
        Related { versions: found.passed.iter().filter(is_training).map(|(_, v)| *v).collect(), ..Related::default() }
    }

    /// What a completed evaluation is about that read a member of a set, other than itself.
    fn evaluated(&self, on: &Found, when: &When) -> Related {
        let mut versions = BTreeSet::new();
        for step in self.moment.steps().into_iter().filter(|s| self.moment.step_kind(*s) == "evaluation") {
            let (last, events) = (self.moment.last_event(step), self.moment.attempt(step));
            let read = self.moment.used.iter().filter(|(at, _, _, v)| events.contains(at) && on.versions.contains(v));
            let read: BTreeSet<Id> = read.map(|(.., v)| *v).collect();
            let about = self.moment.about.iter().filter(|(at, _)| events.contains(at)).map(|(_, v)| *v);
            let complete = self.log().events[last].is_complete();
            versions.extend(
                about.filter(|v| complete && read.iter().any(|r| r != v) && self.happened(last, when, Some(*v))),
            );
        }
        Related { versions, ..Related::default() }
    }
}
