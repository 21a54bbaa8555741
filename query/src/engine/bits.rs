//! Sets of dense ids, and sets of nodes made of them.

use std::borrow::Cow;
use std::ops::{BitAndAssign, BitOrAssign};

use super::world::World;

/// A set of dense ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// Every id below a number.
    pub(crate) fn below(n: u32) -> Self {
        let mut words = vec![u64::MAX; (n as usize).div_ceil(64)];
        if let (Some(last), rest @ 1..) = (words.last_mut(), n % 64) {
            *last = (1 << rest) - 1;
        }
        Self { words }
    }

    /// The empty set, with room for every id below a number.
    pub(crate) fn with_room(n: u32) -> Self {
        Self { words: vec![0; (n as usize).div_ceil(64)] }
    }

    /// The ids of an iterator.
    pub(crate) fn of(ids: impl IntoIterator<Item = u32>) -> Self {
        let mut bits = Self::default();
        for id in ids {
            bits.insert(id);
        }
        bits
    }

    /// Adds an id; whether it is new.
    #[inline]
    pub(crate) fn insert(&mut self, id: u32) -> bool {
        let word = id as usize / 64;
        if word >= self.words.len() {
            self.words.resize((word + 1).max(self.words.len() * 2), 0);
        }
        let mask = 1 << (id % 64);
        let new = self.words[word] & mask == 0;
        self.words[word] |= mask;
        new
    }

    /// Takes an id out.
    pub(crate) fn remove(&mut self, id: u32) {
        if let Some(word) = self.words.get_mut(id as usize / 64) {
            *word &= !(1 << (id % 64));
        }
    }

    /// Whether an id is in it.
    #[inline]
    pub(crate) fn contains(&self, id: u32) -> bool {
        self.words.get(id as usize / 64).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// How many ids are in it.
    pub(crate) fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no id is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The ids, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(i, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(i as u32 * 64 + bit)
            })
        })
    }

    /// Takes the ids of another set out.
    pub(crate) fn subtract(&mut self, other: &Self) {
        for (word, theirs) in self.words.iter_mut().zip(&other.words) {
            *word &= !theirs;
        }
    }

    /// Keeps the ids for which a test holds.
    pub(crate) fn retain(&mut self, mut test: impl FnMut(u32) -> bool) {
        for (i, word) in self.words.iter_mut().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                if !test(i as u32 * 64 + bit) {
                    *word &= !(1 << bit);
                }
            }
        }
    }
}

impl BitAndAssign<&Self> for Bits {
    fn bitand_assign(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (word, theirs) in self.words.iter_mut().zip(&other.words) {
            *word &= theirs;
        }
    }
}

impl BitOrAssign<&Self> for Bits {
    fn bitor_assign(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, theirs) in self.words.iter_mut().zip(&other.words) {
            *word |= theirs;
        }
    }
}

/// A set of nodes: versions, steps (by the first event of the attempt) or single events, and agents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nodes {
    /// Versions.
    pub(crate) versions: Bits,
    /// Steps by the first event of each, or single events, by position.
    pub(crate) events: Bits,
    /// Whether `events` are single events rather than steps.
    pub(crate) single: bool,
    /// Agents, by the symbol of each.
    pub(crate) agents: Bits,
}

impl Nodes {
    /// A set of versions.
    pub(crate) fn of_versions(versions: Bits) -> Self {
        Self { versions, ..Self::default() }
    }

    /// A set of steps.
    pub(crate) fn of_steps(events: Bits) -> Self {
        Self { events, ..Self::default() }
    }

    /// A set of agents.
    pub(crate) fn of_agents(agents: Bits) -> Self {
        Self { agents, ..Self::default() }
    }

    /// The number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.versions.len() + self.events.len() + self.agents.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.events.is_empty() && self.agents.is_empty()
    }

    /// Keeps what is in another set, too.
    pub(crate) fn intersect(&mut self, other: &Self, world: &World) {
        self.versions &= &other.versions;
        self.agents &= &other.agents;
        let theirs = self.alike(other, world);
        self.events &= theirs.as_ref();
    }

    /// Adds another set.
    pub(crate) fn unite(&mut self, other: &Self, world: &World) {
        self.versions |= &other.versions;
        self.agents |= &other.agents;
        let theirs = self.alike(other, world);
        self.events |= theirs.as_ref();
    }

    /// Takes another set out.
    pub(crate) fn subtract(&mut self, other: &Self, world: &World) {
        self.versions.subtract(&other.versions);
        self.agents.subtract(&other.agents);
        let theirs = self.alike(other, world);
        self.events.subtract(theirs.as_ref());
    }

    /// The events of another set, after both are single events if one of them is.
    fn alike<'a>(&mut self, other: &'a Self, world: &World) -> Cow<'a, Bits> {
        if self.single == other.single || other.events.is_empty() {
            return Cow::Borrowed(&other.events);
        }
        if other.single {
            self.make_single(world);
            return Cow::Borrowed(&other.events);
        }
        let mut single = other.clone();
        single.make_single(world);
        Cow::Owned(single.events)
    }

    /// Turns steps into the visible events of their attempts.
    pub(crate) fn make_single(&mut self, world: &World) {
        if !self.single {
            self.events = Bits::of(self.events.iter().flat_map(|leader| world.events_of(leader)));
            self.single = true;
        }
    }

    /// The steps of the events.
    pub(crate) fn steps(&self, world: &World) -> Bits {
        if self.single { Bits::of(self.events.iter().map(|e| world.view.leader(e))) } else { self.events.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_a_set() {
        let mut a = Bits::of([1, 64, 200]);
        assert_eq!(a.iter().collect::<Vec<_>>(), [1, 64, 200]);
        a &= &Bits::below(65);
        assert_eq!(a.iter().collect::<Vec<_>>(), [1, 64]);
        a.subtract(&Bits::of([1]));
        assert_eq!((a.len(), a.contains(64), a.contains(1)), (1, true, false));
        assert_eq!(Bits::below(3).iter().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(Bits::below(0).is_empty());
    }
}
