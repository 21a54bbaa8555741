//! When events happened: 32 bits each, in the largest unit that loses nothing, from the earliest of a block on.

use super::join::all;
use super::segment::Segment;
use super::tables::{Id, Tables};
use super::writer::Writer;
use crate::error::Result;

/// The events of a block.
const BLOCK: usize = 64;
/// The units, in nanoseconds, by their codes; the largest first.
const UNITS: [u64; 4] = [1_000_000_000, 1_000_000, 1_000, 1];
/// The code of a block whose instants no unit fits: they stand as they are, in a column of their own.
const WIDE: u8 = UNITS.len() as u8;

/// The earliest instant of a block and the code of its unit.
fn fit(times: &[i64]) -> (i64, u8) {
    let (least, most) = times.iter().fold((i64::MAX, i64::MIN), |(low, high), t| (low.min(*t), high.max(*t)));
    let fits = |unit: &u64| {
        most.abs_diff(least) / unit <= u32::MAX.into() && times.iter().all(|t| t.abs_diff(least).is_multiple_of(*unit))
    };
    (least, UNITS.iter().position(fits).map_or(WIDE, |unit| unit as u8))
}

/// Instants as the index keeps them.
#[derive(Default)]
pub(crate) struct Instants {
    base: Vec<i64>,
    unit: Vec<u8>,
    wide: Vec<i64>,
}

impl Instants {
    /// Finds a unit for each block; `delta` is called with what is kept of each instant.
    fn of(mut times: impl Iterator<Item = i64>, mut delta: impl FnMut(u32)) -> Self {
        let mut found = Self::default();
        let mut block = Vec::with_capacity(BLOCK);
        loop {
            block.clear();
            block.extend(times.by_ref().take(BLOCK));
            if block.is_empty() {
                return found;
            }
            let (least, unit) = fit(&block);
            found.unit.push(unit);
            if let Some(unit) = UNITS.get(usize::from(unit)) {
                found.base.push(least);
                block.iter().map(|time| (time.abs_diff(least) / unit) as u32).for_each(&mut delta);
            } else {
                found.base.push(found.wide.len() as i64);
                (0..block.len() as u32).for_each(&mut delta);
                found.wide.extend_from_slice(&block);
            }
        }
    }
}

impl Tables {
    /// Keeps the instants of the tail in 32 bits.
    pub(super) fn derive_times(&mut self) {
        let mut deltas = Vec::with_capacity(self.e_time.len());
        let found = Instants::of(self.e_time.iter().copied(), |delta| deltas.push(delta));
        (self.t_delta, self.t_base, self.t_unit, self.t_wide) = (deltas, found.base, found.unit, found.wide);
    }
}

impl Segment {
    /// When an event of this segment happened.
    #[inline]
    pub(super) fn time(&self, event: u32) -> i64 {
        let row = (event - self.bases.event) as usize;
        let delta = self.t_delta().get(row);
        let base = self.t_base().get(row / BLOCK);
        match UNITS.get(usize::from(self.t_unit().get(row / BLOCK))) {
            Some(unit) => base.saturating_add_unsigned(u64::from(delta) * unit),
            None => self.t_wide().get(base as usize + delta as usize),
        }
    }

    fn times(&self) -> Result<impl Iterator<Item = i64> + '_> {
        all(self, self.t_delta())?;
        Ok((self.bases.event..self.end()).map(|event| self.time(event)))
    }
}

/// Writes the instants of two neighbors as those of one.
pub(crate) fn write(a: &Segment, b: &Segment, writer: &mut Writer<'_>) -> Result<()> {
    let found = Instants::of(a.times()?.chain(b.times()?), |_| ());
    writer.column(Id::t_base, &[&found.base])?;
    writer.column(Id::t_unit, &[&found.unit])?;
    writer.column(Id::t_wide, &[&found.wide])?;
    let deltas = a.times()?.chain(b.times()?).zip(0..).map(|(time, row): (i64, usize)| {
        match UNITS.get(usize::from(found.unit[row / BLOCK])) {
            Some(unit) => (time.abs_diff(found.base[row / BLOCK]) / unit) as u32,
            None => (row % BLOCK) as u32,
        }
    });
    writer.rows(Id::t_delta, deltas)
}

#[cfg(test)]
mod tests {
    use super::super::tables::Bases;
    use super::*;

    fn segment(event: u32, times: &[i64]) -> Segment {
        let mut tables = Tables { e_time: times.to_vec(), e_kind: vec![0; times.len()], ..Tables::default() };
        tables.derive_times();
        Segment::in_memory(&tables, &Bases { event, ..Bases::default() }).expect("a segment")
    }

    #[test]
    fn instants_come_back_as_they_were() {
        let steady = (0..100).map(|i| 1_672_531_200_000_000_000 + i * 63_072_000_000);
        let odd = (0..70).map(|i| 1_672_531_200_000_000_001 + i * i * 7);
        let wild = [i64::MIN, 0, i64::MAX, -1, 1_672_531_200_000_000_000];
        let times: Vec<i64> = steady.clone().chain(odd).chain(wild).chain(steady).collect();
        let (first, second) = times.split_at(90);
        let joined = Segment::joined(&segment(5, first), &segment(95, second)).expect("a segment");
        for segment in [segment(5, &times), joined] {
            let back: Vec<i64> = (5..segment.end()).map(|event| segment.time(event)).collect();
            assert_eq!(back, times);
        }
        assert_eq!(segment(0, &times[..64]).t_wide().len(), 0);
    }
}
