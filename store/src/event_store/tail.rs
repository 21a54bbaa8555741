//! The blocks of the tail: where each begins, in a ring of keys that are used in turn.

use std::collections::VecDeque;
use std::ops::Range;

/// More than a segment of the journal has, unless its lines are far shorter than any event.
pub(super) const BLOCKS_MAX: usize = if cfg!(test) { 8 } else { 128 };

/// Consecutive blocks of events whose segment is not sealed yet.
#[derive(Debug, Default)]
pub(super) struct TailBlocks {
    /// The key of the first one.
    turn: u16,
    /// The positions of each; every one begins where the one before it ends.
    ranges: VecDeque<Range<u64>>,
}

impl TailBlocks {
    /// The position after the last one.
    pub(super) fn end(&self) -> Option<u64> {
        self.ranges.back().map(|range| range.end)
    }

    /// The positions of the oldest.
    pub(super) fn oldest(&self) -> Option<(u64, u64)> {
        self.ranges.front().map(|range| (range.start, range.end))
    }

    /// Whether nothing is missing between a position and the first one.
    pub(super) fn begins_by(&self, position: u64) -> bool {
        self.ranges.front().is_none_or(|range| range.start <= position)
    }

    pub(super) fn is_full(&self) -> bool {
        self.ranges.len() >= BLOCKS_MAX
    }

    /// The key of the next one, which no other has while there is room.
    pub(super) fn next_key(&self) -> [u8; 2] {
        self.key(self.ranges.len())
    }

    pub(super) fn push(&mut self, positions: Range<u64>) {
        self.ranges.push_back(positions);
    }

    /// Forgets those that end before a position or there.
    pub(super) fn drop_before(&mut self, position: u64) {
        while self.ranges.front().is_some_and(|range| range.end <= position) {
            self.ranges.pop_front();
            self.turn = u16::from_be_bytes(self.key(1));
        }
    }

    /// The key and the first position of the one that holds a position.
    pub(super) fn of(&self, position: u64) -> Option<([u8; 2], u64)> {
        let i = self.ranges.partition_point(|range| range.end <= position);
        let range = self.ranges.get(i).filter(|range| range.contains(&position))?;
        Some((self.key(i), range.start))
    }

    fn key(&self, i: usize) -> [u8; 2] {
        (((usize::from(self.turn) + i) % BLOCKS_MAX) as u16).to_be_bytes()
    }

    /// The key of the first one, where each begins, and where the last one ends.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.turn.to_le_bytes().to_vec();
        for position in self.ranges.iter().map(|range| range.start).chain(self.end()) {
            bytes.extend(position.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (turn, bytes) = bytes.split_first_chunk()?;
        let (positions, rest) = bytes.as_chunks();
        let positions: Vec<u64> = positions.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let good = rest.is_empty() && positions.is_sorted_by(|a, b| a < b) && positions.len() <= BLOCKS_MAX + 1;
        let ranges = positions.windows(2).map(|pair| pair[0]..pair[1]).collect();
        good.then(|| Self { turn: u16::from_le_bytes(*turn) % BLOCKS_MAX as u16, ranges })
    }
}
