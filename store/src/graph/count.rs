//! Where the mentions and attributes of each event stand: a byte counts them, and each block of events has its start.

use super::join::all;
use super::segment::{Column, Segment};
use super::tables::{Bases, Id, Tables};
use super::writer::Writer;
use crate::error::Result;

/// The events of a block.
const BLOCK: usize = 64;
/// This many, or more, which is then said elsewhere.
const MANY: u8 = u8::MAX;

/// What is counted.
#[derive(Clone, Copy)]
pub(crate) enum Counted {
    Mentions,
    Attributes,
}

impl Counted {
    fn base(self, bases: &Bases) -> u32 {
        match self {
            Self::Mentions => bases.mention,
            Self::Attributes => bases.attribute,
        }
    }
}

/// A count as it is kept.
fn short(count: u32) -> u8 {
    u8::try_from(count).unwrap_or(MANY)
}

/// Where each block begins, by the counts of all events.
fn starts(base: u32, counts: impl Iterator<Item = u32>) -> impl Iterator<Item = u32> {
    let mut start = base;
    let each = counts.map(move |count| {
        start += count;
        start - count
    });
    each.step_by(BLOCK)
}

impl Tables {
    /// Counts from the ends that the fold keeps.
    pub(super) fn derive_counts(&mut self, bases: &Bases) {
        fn counts(base: u32, ends: &[u32]) -> impl Iterator<Item = u32> + '_ {
            let before = std::iter::once(base).chain(ends.iter().copied());
            ends.iter().zip(before).map(|(end, start)| end - start)
        }
        let mentions = || counts(bases.mention, &self.e_mentions);
        let attributes = || counts(bases.attribute, &self.e_attributes);
        let large = |(_, n): &(u32, (u32, u32))| n.0.max(n.1) >= MANY.into();
        let large: Vec<_> = (bases.event..).zip(mentions().zip(attributes())).filter(large).collect();
        let (n_mentions, n_attributes) = (mentions().map(short).collect(), attributes().map(short).collect());
        let (b_mention, b_attribute) =
            (starts(bases.mention, mentions()).collect(), starts(bases.attribute, attributes()).collect());
        (self.n_mentions, self.n_attributes) = (n_mentions, n_attributes);
        (self.b_mention, self.b_attribute) = (b_mention, b_attribute);
        self.l_event = large.iter().map(|(event, _)| *event).collect();
        self.l_mentions = large.iter().map(|(_, n)| n.0).collect();
        self.l_attributes = large.iter().map(|(_, n)| n.1).collect();
    }
}

impl Segment {
    /// The rows of an event's mentions or attributes.
    #[inline]
    pub(super) fn span(&self, what: Counted, event: u32) -> (usize, usize) {
        let row = (event - self.bases.event) as usize;
        let (counts, starts) = self.counts(what);
        let first = row - row % BLOCK;
        let Some((own, before)) = counts.rows(first, row + 1).split_last() else { return (0, 0) };
        let mut start = starts.get(row / BLOCK).saturating_sub(what.base(&self.bases));
        let (mut sum, mut most) = (0u32, *own);
        for count in before {
            sum += u32::from(*count);
            most = most.max(*count);
        }
        let mut length = u32::from(*own);
        if most == MANY {
            let block = self.bases.event + first as u32;
            sum = before.iter().zip(block..).map(|(count, event)| self.count(what, *count, event)).sum();
            length = self.count(what, *own, event);
        }
        start += sum;
        (start as usize, (start + length) as usize)
    }

    fn counts(&self, what: Counted) -> (Column<'_, u8>, Column<'_, u32>) {
        match what {
            Counted::Mentions => (self.n_mentions(), self.b_mention()),
            Counted::Attributes => (self.n_attributes(), self.b_attribute()),
        }
    }

    fn count(&self, what: Counted, short: u8, event: u32) -> u32 {
        if short < MANY {
            return short.into();
        }
        let large = match what {
            Counted::Mentions => self.l_mentions(),
            Counted::Attributes => self.l_attributes(),
        };
        large.get(self.l_event().lower_bound(event))
    }

    /// The counts of all events.
    fn all_counts(&self, what: Counted) -> Result<impl Iterator<Item = u32> + '_> {
        let counts = all(self, self.counts(what).0)?;
        Ok(counts.iter().zip(self.bases.event..).map(move |(count, event)| self.count(what, *count, event)))
    }
}

/// Writes where the blocks of two neighbors begin when they are one.
pub(crate) fn write_starts(a: &Segment, b: &Segment, writer: &mut Writer<'_>) -> Result<()> {
    for (what, id) in [(Counted::Mentions, Id::b_mention), (Counted::Attributes, Id::b_attribute)] {
        let counts = a.all_counts(what)?.chain(b.all_counts(what)?);
        writer.rows(id, starts(what.base(&a.bases), counts))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment of events with so many mentions, and half as many attributes.
    fn segment(bases: Bases, counts: &[u32]) -> Segment {
        let mut tables = Tables::default();
        let (mut mention, mut attribute) = (bases.mention, bases.attribute);
        for count in counts {
            mention += count;
            attribute += count / 2;
            tables.e_mentions.push(mention);
            tables.e_attributes.push(attribute);
            tables.e_kind.push(0);
        }
        tables.derive_counts(&bases);
        Segment::in_memory(&tables, &bases).expect("a segment")
    }

    #[test]
    fn events_with_many_mentions_stand_where_they_are() {
        let counts: Vec<u32> = (0..300).map(|i| if i % 30 == 29 { 254 + i % 4 } else { i % 3 }).collect();
        let bases = Bases { event: 7, mention: 11, attribute: 5, ..Bases::default() };
        let sum = |counts: &[u32], part: u32| counts.iter().map(|count| count / part).sum::<u32>();
        let (first, second) = counts.split_at(100);
        let next = Bases { event: 107, mention: 11 + sum(first, 1), attribute: 5 + sum(first, 2), ..Bases::default() };
        let whole = segment(bases, &counts);
        let joined = Segment::joined(&segment(bases, first), &segment(next, second)).expect("a segment");
        for segment in [whole, joined] {
            let mut at = (0, 0);
            for (count, event) in counts.iter().zip(bases.event..) {
                let (mentions, attributes) = (*count as usize, *count as usize / 2);
                assert_eq!(segment.span(Counted::Mentions, event), (at.0, at.0 + mentions), "#{event}");
                assert_eq!(segment.span(Counted::Attributes, event), (at.1, at.1 + attributes), "#{event}");
                at = (at.0 + mentions, at.1 + attributes);
            }
        }
    }
}
