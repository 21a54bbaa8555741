//! The edges from version to version in their plainest form, kept with a view that is walked again and again.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{VersionId, View};

/// So many large walks go the common way before the edges are laid out, which takes about as long as three of them.
const WALKS_BEFORE: u32 = 2;
/// Edges for each mention of the index at most: a step joins all that it uses with all that it makes, and laid out that
/// can be its square.
const EDGES_PER_MENTION: usize = 8;

/// Which way edges lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From what is used to what is made.
    Downstream,
    /// From what is made to what is used.
    Upstream,
}

/// For each version the versions that one step leads to, as compressed rows: offsets and targets.
#[derive(Debug)]
pub struct Adjacency {
    offsets: Vec<u32>,
    targets: Vec<VersionId>,
}

impl Adjacency {
    /// Lays out the edges of `n` versions, which `each` adds to a list; `None` when they are more than `most`.
    pub fn new(n: u32, most: usize, mut each: impl FnMut(VersionId, &mut Vec<VersionId>)) -> Option<Self> {
        let mut offsets = Vec::with_capacity(n as usize + 1);
        let (mut targets, mut own) = (Vec::new(), Vec::new());
        offsets.push(0);
        for version in 0..n {
            each(version, &mut own);
            own.sort_unstable();
            own.dedup();
            targets.append(&mut own);
            if targets.len() > most.min(u32::MAX as usize) {
                return None;
            }
            offsets.push(targets.len() as u32);
        }
        targets.shrink_to_fit();
        Some(Self { offsets, targets })
    }

    /// The versions that one step leads to from a version.
    #[inline]
    pub fn of(&self, version: VersionId) -> &[VersionId] {
        let ends = self.offsets.get(version as usize).zip(self.offsets.get(version as usize + 1));
        ends.and_then(|(start, end)| self.targets.get(*start as usize..*end as usize)).unwrap_or_default()
    }
}

/// The edges of one direction, once they are laid out.
#[derive(Debug, Default)]
struct Kept {
    large_walks: AtomicU32,
    /// `None` when there are too many, or when they do not tell all.
    edges: OnceLock<Option<Adjacency>>,
}

/// The edges that a view keeps.
#[derive(Debug, Default)]
pub(super) struct Adjacencies {
    downstream: Kept,
    upstream: Kept,
}

impl Adjacencies {
    fn of(&self, direction: Direction) -> &Kept {
        match direction {
            Direction::Downstream => &self.downstream,
            Direction::Upstream => &self.upstream,
        }
    }
}

impl View {
    /// Says that a walk along all edges reached many versions.
    pub fn walked_far(&self, direction: Direction) {
        self.adjacencies.of(direction).large_walks.fetch_add(1, Ordering::Relaxed);
    }

    /// The edges of every version in one direction, once enough was walked for them to pay.
    ///
    /// `lay_out` is called once, with the most edges that may be kept; if it has none, neither has any later call.
    pub fn adjacency(
        &self,
        direction: Direction,
        lay_out: impl FnOnce(usize) -> Option<Adjacency>,
    ) -> Option<&Adjacency> {
        let kept = self.adjacencies.of(direction);
        if kept.large_walks.load(Ordering::Relaxed) < WALKS_BEFORE {
            return None;
        }
        let most = || (self.stack.next_bases().mention as usize).saturating_mul(EDGES_PER_MENTION);
        kept.edges.get_or_init(|| lay_out(most())).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_laid_out_in_order_and_not_without_bound() {
        let lists: [&[u32]; 3] = [&[2, 1, 2], &[], &[0]];
        let laid_out = |most| Adjacency::new(3, most, |v, list| list.extend_from_slice(lists[v as usize]));
        let edges = laid_out(3).expect("three edges");
        assert_eq!([edges.of(0), edges.of(1), edges.of(2), edges.of(3)], [&[1, 2][..], &[], &[0], &[]]);
        assert!(laid_out(2).is_none());
    }
}
