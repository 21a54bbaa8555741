//! Which attempt of which run each event joins (EVENTS.md §2), told from the events before it.

use super::said::{Said, Seconds};

/// The attempt of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    /// The first recorded event of the attempt.
    pub(super) leader: usize,
    /// The number of the attempt.
    pub(super) number: u64,
    /// Namespace, job and id of the run; an event without run is alone.
    pub(super) run: Option<(String, String, String)>,
}

/// The attempts of all events, by position.
pub(super) fn memberships(events: &[Said]) -> Vec<Membership> {
    let mut members: Vec<Membership> = Vec::new();
    for (position, event) in events.iter().enumerate() {
        let membership = join(position, event, events, &members);
        members.push(membership);
    }
    members
}

fn join(position: usize, event: &Said, events: &[Said], members: &[Membership]) -> Membership {
    let Some(id) = &event.run else { return Membership { leader: position, number: 1, run: None } };
    // Without a job: the run of that id to which an event came last.
    let newest = (0..position).rev().find(|q| {
        let run = members[*q].run.as_ref();
        run.is_some_and(|(namespace, _, other)| (namespace, other) == (&event.namespace, id))
    });
    let job_of = |q: usize| members[q].run.as_ref().map(|(_, job, _)| job.clone());
    let job = event.job.clone().or_else(|| newest.and_then(job_of)).unwrap_or_default();
    let run = Some((event.namespace.clone(), job, id.clone()));
    let mates: Vec<usize> = (0..position).filter(|q| members[*q].run == run).collect();
    let number = number(event, events, members, &mates);
    let leader = mates.iter().copied().find(|q| members[*q].number == number).unwrap_or(position);
    Membership { leader, number, run }
}

fn number(event: &Said, events: &[Said], members: &[Membership], mates: &[usize]) -> u64 {
    if let Some(number) = event.attempt {
        return number;
    }
    let mut numbers: Vec<u64> = mates.iter().map(|q| members[*q].number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let Some(newest) = numbers.last() else { return 1 };
    let of = |number: u64| mates.iter().map(|q| (&events[*q], members[*q].number)).filter(move |(_, n)| *n == number);
    let ended: Option<Seconds> = of(*newest).filter(|(e, _)| e.is_terminal()).map(|(e, _)| e.time).max();
    if event.state == "start" && ended.is_some_and(|end| event.time > end) {
        return newest + 1;
    }
    let begin = |number: u64| {
        let started = of(number).filter(|(e, _)| e.state == "start").map(|(e, _)| e.time).min();
        started.or_else(|| of(number).map(|(e, _)| e.time).min()).unwrap_or_default()
    };
    numbers.iter().rev().copied().find(|n| begin(*n) <= event.time).unwrap_or(numbers[0])
}
