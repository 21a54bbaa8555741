//! One column of all segments, prepared once for many lookups.

use bytemuck::AnyBitPattern;

use super::fold::EXTERNAL;
use super::mention::unpack;
use super::segment::{Column, Segment};
use super::stack::Stack;
use super::tables::{Bases, OLD_BLOCK_BITS, OUTPUT};

/// One column of all segments.
pub(crate) struct Whole<'a, T> {
    /// Where the ids of each segment begin, newest first.
    parts: Vec<(u32, Column<'a, T>)>,
}

impl<'a, T: AnyBitPattern> Whole<'a, T> {
    /// A column by the id that numbers its rows.
    pub(crate) fn new(
        stack: &'a Stack,
        base: impl Fn(&Bases) -> u32,
        column: impl Fn(&'a Segment) -> Column<'a, T>,
    ) -> Self {
        Self { parts: stack.segments().iter().rev().map(|s| (base(&s.bases), column(s))).collect() }
    }

    /// The row of an id; zeros if there is none.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> T {
        for (base, column) in &self.parts {
            if let Some(row) = id.checked_sub(*base) {
                return column.get(row as usize);
            }
        }
        T::zeroed()
    }
}

/// The events of one segment by the versions that they mention.
pub(crate) struct Mentioned<'a> {
    /// The first version of the segment.
    base: u32,
    mints: Column<'a, u32>,
    version_bits: Column<'a, u8>,
    ends: Column<'a, u32>,
    events: Column<'a, u32>,
    codes: Column<'a, u8>,
    old_blocks: Column<'a, u32>,
    old_pairs: Column<'a, u64>,
    old_codes: Column<'a, u8>,
}

impl<'a> Mentioned<'a> {
    #[inline]
    pub(crate) fn new(s: &'a Segment) -> Self {
        Self {
            base: s.bases.version,
            mints: s.v_mint(),
            version_bits: s.v_bits(),
            ends: s.back_end(),
            events: s.back_event(),
            codes: s.back_code(),
            old_blocks: s.old_block(),
            old_pairs: s.old_pair(),
            old_codes: s.old_code(),
        }
    }

    /// Calls for every event that mentions a version, with the mention's bits, ascending; whether older segments have none.
    #[inline]
    pub(crate) fn each(&self, version: u32, f: &mut impl FnMut(u32, u16)) -> bool {
        if let Some(row) = version.checked_sub(self.base).map(|row| row as usize)
            && row < self.mints.len()
            && self.version_bits.get(row) & EXTERNAL == 0
        {
            f(self.mints.get(row), OUTPUT);
        }
        self.each_but_mint(version, f)
    }

    /// As [`Mentioned::each`], without the event that made and minted the version.
    #[inline]
    pub(crate) fn each_but_mint(&self, version: u32, f: &mut impl FnMut(u32, u16)) -> bool {
        let Some(row) = version.checked_sub(self.base) else {
            self.each_older(version, f);
            return false;
        };
        let row = row as usize;
        let from = if row == 0 { 0 } else { self.ends.get(row - 1) as usize };
        let to = self.ends.get(row) as usize;
        if from < to {
            let (events, codes) = (self.events.rows(from, to), self.codes.rows(from, to));
            events.iter().zip(codes).for_each(|(event, code)| f(*event, unpack(*code)));
        }
        row < self.ends.len()
    }

    fn each_older(&self, version: u32, f: &mut impl FnMut(u32, u16)) {
        let block = (version >> OLD_BLOCK_BITS) as usize;
        let [from, to] = *self.old_blocks.rows(block, block + 2) else { return };
        let pairs = self.old_pairs.rows(from as usize, to as usize);
        let first = pairs.partition_point(|pair| ((pair >> 32) as u32) < version);
        let own = pairs[first..].iter().take_while(|pair| (**pair >> 32) as u32 == version);
        for (row, pair) in (from as usize + first..).zip(own) {
            f(*pair as u32, unpack(self.old_codes.get(row)));
        }
    }
}
