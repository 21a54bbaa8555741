//! Room: what of the machine is free, and which of the waiting steps may take it next.

use std::collections::BTreeMap;
use std::time::Duration;

use super::plan::{Capacity, Plan};
use super::spec::Spec;
use super::step::Resources;

/// A step that does not say how many cores it uses takes one.
const CPU_DEFAULT: u64 = 1000;

/// What is free.
#[derive(Clone, Debug)]
pub(super) struct Room {
    jobs: u64,
    cpu: u64,
    memory: u64,
    gpus: Vec<u64>,
    tokens: BTreeMap<String, u64>,
}

/// What one running step holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    cpu: u64,
    memory: u64,
    /// The numbers of its graphics processors.
    pub(super) gpus: Vec<u64>,
    tokens: BTreeMap<String, u64>,
}

impl Room {
    /// A whole machine, for at most so many steps at a time.
    pub(super) fn new(capacity: &Capacity, tokens: &BTreeMap<String, u64>, jobs: u64) -> Self {
        Self {
            jobs,
            cpu: capacity.cpu,
            memory: capacity.memory,
            gpus: (0..capacity.gpu).rev().collect(),
            tokens: tokens.clone(),
        }
    }

    /// Takes what a step asks for; `None` if that is not free.
    pub(super) fn take(&mut self, wanted: &Resources) -> Option<Held> {
        let (cpu, memory) = (wanted.cpu.unwrap_or(CPU_DEFAULT), wanted.memory.unwrap_or(0));
        let has_tokens = wanted.tokens.iter().all(|(name, count)| self.tokens.get(name) >= Some(count));
        let fits = cpu <= self.cpu && memory <= self.memory && wanted.gpu <= self.gpus.len() as u64;
        if self.jobs == 0 || !fits || !has_tokens {
            return None;
        }
        self.jobs -= 1;
        self.cpu -= cpu;
        self.memory -= memory;
        for (name, count) in &wanted.tokens {
            self.tokens.entry(name.clone()).and_modify(|free| *free -= count);
        }
        let gpus = self.gpus.split_off(self.gpus.len() - wanted.gpu as usize);
        Some(Held { cpu, memory, gpus, tokens: wanted.tokens.clone() })
    }

    /// Whether not even the smallest step fits.
    pub(super) fn is_full(&self) -> bool {
        self.jobs == 0 || self.cpu == 0
    }

    /// Gives back what a step held.
    pub(super) fn give_back(&mut self, held: Held) {
        self.jobs += 1;
        self.cpu += held.cpu;
        self.memory += held.memory;
        self.gpus.extend(held.gpus);
        for (name, count) in held.tokens {
            self.tokens.entry(name).and_modify(|free| *free += count);
        }
    }
}

/// The steps, the most urgent first: the one with the longest expected way to the end.
pub(super) fn by_urgency(spec: &Spec, plan: &Plan, expected: &dyn Fn(&str) -> Option<Duration>) -> Vec<usize> {
    let urgency = urgency(spec, plan, expected);
    let mut steps: Vec<usize> = (0..urgency.len()).collect();
    steps.sort_by_key(|step| std::cmp::Reverse(urgency[*step]));
    steps
}

/// The longest expected way from each step to the end, itself included: what lies on the longest way starts first.
fn urgency(spec: &Spec, plan: &Plan, expected: &dyn Fn(&str) -> Option<Duration>) -> Vec<Duration> {
    // A step that never ran is taken for a short one, so that the number of steps decides.
    const UNKNOWN: Duration = Duration::from_secs(1);
    let mut longest = vec![Duration::ZERO; plan.steps.len()];
    for &index in plan.order.iter().rev() {
        let own = expected(&spec.steps[index].id).unwrap_or(UNKNOWN);
        // Steps after it were visited before it, and have left the longest of themselves here.
        longest[index] += own;
        for need in &plan.steps[index].needs {
            longest[*need] = longest[*need].max(longest[index]);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: Capacity = Capacity { cpu: 2000, memory: 100, gpu: 2 };

    fn wanted(cpu: u64, memory: u64, gpu: u64, license: u64) -> Resources {
        let tokens = if license > 0 { BTreeMap::from([("license".to_owned(), license)]) } else { BTreeMap::new() };
        Resources { cpu: Some(cpu), memory: Some(memory), gpu, tokens, ..Resources::default() }
    }

    #[test]
    fn what_is_taken_is_not_free_until_it_is_given_back() {
        let tokens = BTreeMap::from([("license".to_owned(), 1)]);
        let mut room = Room::new(&CAPACITY, &tokens, 8);
        let held = room.take(&wanted(1500, 60, 1, 1)).expect("fits");
        assert_eq!(held.gpus, [0]);
        for too_much in [wanted(600, 0, 0, 0), wanted(100, 50, 0, 0), wanted(100, 0, 2, 0), wanted(100, 0, 0, 1)] {
            assert_eq!(room.take(&too_much), None, "{too_much:?}");
        }
        let other = room.take(&wanted(500, 40, 1, 0)).expect("fits beside it");
        assert_eq!(other.gpus, [1]);
        room.give_back(held);
        assert!(room.take(&wanted(1500, 60, 1, 1)).is_some());
    }

    #[test]
    fn no_more_steps_run_than_jobs() {
        let mut room = Room::new(&CAPACITY, &BTreeMap::new(), 1);
        assert!(room.take(&wanted(1, 0, 0, 0)).is_some());
        assert_eq!(room.take(&wanted(1, 0, 0, 0)), None);
    }

    #[test]
    fn the_longest_way_is_the_most_urgent() {
        let text = "[pipeline]\nname = \"p\"\n\
            [[step]]\nid = \"short\"\nrun = [\"true\"]\n\
            [[step]]\nid = \"long\"\nrun = [\"true\"]\n\
            [[step]]\nid = \"after\"\nneeds = [\"long\"]\nrun = [\"true\"]\n\
            [[step]]\nid = \"end\"\nneeds = [\"after\", \"short\"]\nrun = [\"true\"]\n";
        let spec = Spec::parse(text).expect("valid");
        let plan = Plan::new(&spec, &CAPACITY).expect("valid");
        let seconds = |expected: &dyn Fn(&str) -> Option<Duration>| -> Vec<u64> {
            urgency(&spec, &plan, expected).iter().map(Duration::as_secs).collect()
        };
        assert_eq!(seconds(&|_| None), [2, 3, 2, 1]);
        assert_eq!(seconds(&|id| (id == "short").then(|| Duration::from_secs(10))), [11, 3, 2, 1]);
    }
}
