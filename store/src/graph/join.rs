//! Joining two neighboring segments, column by column, so that the memory it takes does not grow with them.
//!
//! Ids are global and dense: forward columns stand one behind the other, sorted ones are merged. Only the
//! contexts belong to a segment and are renumbered.

use bytemuck::{AnyBitPattern, NoUninit};

use super::context::{Columns, Merged};
use super::segment::{Column, Segment};
use super::tables::{Id, MAKES_MORE, OLD_BLOCK_BITS, pair};
use super::writer::Writer;
use super::{count, instant};
use crate::error::{Result, StoreError};

/// Two neighbors and the segment that they become.
struct Join<'a, 'w> {
    a: &'a Segment,
    b: &'a Segment,
    writer: Writer<'w>,
}

/// Writes the join of two neighboring segments.
pub(crate) fn join(a: &Segment, b: &Segment, writer: Writer<'_>) -> Result<()> {
    let mut join = Join { a, b, writer };
    join.forward()?;
    join.recorded()?;
    join.with(count::write_starts)?;
    join.with(instant::write)?;
    join.contexts()?;
    join.owners()?;
    join.lookups()?;
    join.keyed()?;
    join.makes()?;
    join.mentions()?;
    join.older_mentions()?;
    join.writer.finish(&a.bases, a.n_events() + b.n_events())
}

/// Every row of a column, or the damage of its segment.
pub(crate) fn all<'a, T: AnyBitPattern>(segment: &'a Segment, column: Column<'a, T>) -> Result<&'a [T]> {
    let rows = column.all();
    if rows.len() < column.len() {
        segment.damage()?;
        return Err(StoreError::corrupt(segment.path(), 0, "a column of the graph index cannot be read"));
    }
    Ok(rows)
}

fn contexts_of(s: &Segment) -> Result<Columns<'_>> {
    Ok(Columns {
        actors: all(s, s.c_actor())?,
        namespaces: all(s, s.c_namespace())?,
        jobs: all(s, s.c_job())?,
        ends: all(s, s.c_keys())?,
        keys: all(s, s.c_key())?,
    })
}

/// The rows of one column in both segments.
macro_rules! both {
    ($a:ident, $b:ident, $name:ident) => {
        (all($a, $a.$name())?, all($b, $b.$name())?)
    };
}

/// Writes one column of rows that are merged.
macro_rules! merge {
    ($a:ident, $b:ident, $w:ident, $order:ident: $($name:ident),+) => { $(
        let (x, y) = both!($a, $b, $name);
        $w.rows(Id::$name, $order.rows(x, y))?;
    )+ };
}

impl Join<'_, '_> {
    /// Does a part of the work on mappings of its own, so that the pages it read do not stay in memory.
    fn with(&mut self, f: impl FnOnce(&Segment, &Segment, &mut Writer<'_>) -> Result<()>) -> Result<()> {
        let (own_a, own_b) = (self.a.mapped_again()?, self.b.mapped_again()?);
        f(own_a.as_ref().unwrap_or(self.a), own_b.as_ref().unwrap_or(self.b), &mut self.writer)
    }

    fn concat<T: AnyBitPattern + NoUninit>(
        &mut self,
        id: Id,
        column: impl for<'s> Fn(&'s Segment) -> Column<'s, T>,
    ) -> Result<()> {
        self.with(|a, b, w| w.column(id, &[all(a, column(a))?, all(b, column(b))?]))
    }

    /// Columns in the order of events.
    fn forward(&mut self) -> Result<()> {
        macro_rules! concat {
            ($($name:ident),+ $(,)?) => { $( self.concat(Id::$name, |s| s.$name())?; )+ };
        }
        concat!(
            e_kind,
            e_bits,
            n_mentions,
            n_attributes,
            l_event,
            l_mentions,
            l_attributes,
            m_target,
            m_code,
            from_mention,
            from_end,
            from_input,
            q_digest,
            q_entity,
            v_entity,
            v_number,
            v_mint,
            v_digest,
            v_label,
            v_bits,
            n_kind,
            n_namespace,
            n_name,
            s_end,
            s_bytes,
            a_value,
            a_wide,
            f_event,
            f_predicate,
            f_scope,
            f_subject,
            f_object,
            d_event,
            d_environment,
            d_service,
            d_alongside,
            w_event,
            w_time,
            r_event,
            r_target,
            p_event,
            p_root,
            g_event,
            g_leader,
            g_previous,
            g_attempt,
        );
        Ok(())
    }

    /// A segment opens a stretch of its own; joined, equal instants are one stretch again.
    fn recorded(&mut self) -> Result<()> {
        self.with(|a, b, w| {
            let (times, positions) = (both!(a, b, rec_time), both!(a, b, rec_position));
            let continued = usize::from(times.0.last() == times.1.first());
            w.column(Id::rec_time, &[times.0, times.1.get(continued..).unwrap_or(&[])])?;
            w.column(Id::rec_position, &[positions.0, positions.1.get(continued..).unwrap_or(&[])])
        })
    }

    fn contexts(&mut self) -> Result<()> {
        self.with(|a, b, w| {
            let merged = Merged::write(&contexts_of(a)?, &contexts_of(b)?, w)?;
            let (x, y) = both!(a, b, e_context);
            w.rows(Id::e_context, merged.of_events(x, y))
        })
    }

    /// The versions by their entity, and there by their label.
    fn owners(&mut self) -> Result<()> {
        self.with(|a, b, w| {
            let (x, y) = both!(a, b, o_entity);
            let (ends_x, ends_y) = both!(a, b, o_end);
            let (versions_x, versions_y) = both!(a, b, o_version);
            let (labels_x, labels_y) = both!(a, b, v_label);
            let range = |(is_b, row): (bool, usize)| {
                let ends = if is_b { ends_y } else { ends_x };
                let start = if row == 0 { 0 } else { ends[row - 1] };
                start as usize..ends[row] as usize
            };
            let of = |place: (bool, usize)| if place.0 { &versions_y[range(place)] } else { &versions_x[range(place)] };
            let label = |version: u32| match version.checked_sub(b.bases.version) {
                Some(row) => labels_y[row as usize],
                None => labels_x[(version - a.bases.version) as usize],
            };
            let mut order = Order::of(x.len(), y.len(), |i, j| y[j] < x[i]);
            // Of an entity that both have, the row of the newer one stays.
            order.drop_older(|i, j| x[i] == y[j]);
            w.rows(Id::o_entity, order.rows(x, y))?;
            let mut end = 0;
            let ends = order.places().map(|place| {
                end += range(place).len() as u32;
                end
            });
            w.rows(Id::o_end, ends.zip(0..).filter(|(_, row)| !order.is_dropped(*row)).map(|(end, _)| end))?;
            let mut older = Vec::new();
            let versions = order.places().zip(0..).flat_map(|(place, row)| {
                older.extend_from_slice(of(place));
                if order.is_dropped(row) {
                    return Vec::new();
                }
                older.sort_unstable_by_key(|version| (label(*version), *version));
                std::mem::take(&mut older)
            });
            w.rows(Id::o_version, versions)
        })
    }

    /// Lookups whose rows are sorted by one column.
    fn lookups(&mut self) -> Result<()> {
        macro_rules! sorted {
            ($($name:ident),+ $(,)?) => { $(
                self.with(|a, b, w| {
                    let (x, y) = both!(a, b, $name);
                    let order = Order::of(x.len(), y.len(), |i, j| y[j] < x[i]);
                    w.rows(Id::$name, order.rows(x, y))
                })?;
            )+ };
        }
        sorted!(x_pair, name_entity, entity_mention, leader_member);
        self.with(|a, b, w| w.rows(Id::any_bits, std::iter::once(a.any_bits().get(0) | b.any_bits().get(0))))
    }

    /// Lookups whose rows are sorted by several columns.
    fn keyed(&mut self) -> Result<()> {
        // By value, too: an older version may take a digest after a newer one was minted with it.
        macro_rules! keyed {
            ($($key:ident, $value:ident;)+) => { $(
                self.with(|a, b, w| {
                    let (keys, values) = (both!(a, b, $key), both!(a, b, $value));
                    let b_first = |i, j| (keys.1[j], values.1[j]) < (keys.0[i], values.0[i]);
                    let order = Order::of(keys.0.len(), keys.1.len(), b_first);
                    w.rows(Id::$key, order.rows(keys.0, keys.1))?;
                    w.rows(Id::$value, order.rows(values.0, values.1))
                })?;
            )+ };
        }
        keyed!(label_key, label_version; digest_key, digest_version; sym_key, sym_id;);
        self.with(|a, b, w| {
            let (keys, checks) = (both!(a, b, id_key), both!(a, b, id_check));
            // Equal keys are in the order of the segments, and so of their positions.
            let b_first = |i, j| (keys.1[j], checks.1[j]) < (keys.0[i], checks.0[i]);
            let order = Order::of(keys.0.len(), keys.1.len(), b_first);
            merge!(a, b, w, order: id_key, id_check, id_position);
            Ok(())
        })?;
        self.with(|a, b, w| {
            let (keys, checks) = (both!(a, b, run_key), both!(a, b, run_check));
            let b_first = |i: usize, j: usize| (keys.1[j], checks.1[j]) < (keys.0[i], checks.0[i]);
            let mut order = Order::of(keys.0.len(), keys.1.len(), b_first);
            // Of several events of one run only the newest stands in the lookup.
            order.drop_older(|i, j| (keys.0[i], checks.0[i]) == (keys.1[j], checks.1[j]));
            merge!(a, b, w, order: run_key, run_check, run_last);
            Ok(())
        })?;
        self.with(|a, b, w| {
            let (keys, ids) = (both!(a, b, q_key), both!(a, b, q_id));
            let order = Order::of(keys.0.len(), keys.1.len(), |i, j| (keys.1[j], ids.1[j]) < (keys.0[i], ids.0[i]));
            merge!(a, b, w, order: q_key, q_id, q_event);
            Ok(())
        })?;
        self.with(|a, b, w| {
            let (versions, events) = (both!(a, b, u_version), both!(a, b, u_event));
            let b_first = |i, j| (versions.1[j], events.1[j]) < (versions.0[i], events.0[i]);
            let order = Order::of(versions.0.len(), versions.1.len(), b_first);
            merge!(a, b, w, order: u_version, u_event, u_field, u_value);
            Ok(())
        })
    }

    /// An attempt of the older segment that went on in the newer one is no longer that of one event.
    fn makes(&mut self) -> Result<()> {
        self.with(|a, b, w| {
            let older = b.leader_member().lower_bound(pair(b.bases.event, 0));
            let mut went_on: Vec<u32> =
                all(b, b.leader_member())?[..older].iter().map(|pair| (pair >> 32) as u32).collect();
            went_on.dedup();
            let goes_on = |event: u32| went_on.binary_search(&event).is_ok();
            let (x, y) = both!(a, b, makes);
            let older = (a.bases.event..).zip(x).map(|(event, makes)| if goes_on(event) { MAKES_MORE } else { *makes });
            w.rows(Id::makes, older.chain(y.iter().copied()))?;
            let (x, y) = both!(a, b, several);
            let older = x.iter().filter(|pair| !goes_on((**pair >> 32) as u32));
            w.rows(Id::several, older.chain(y).copied())
        })
    }

    /// The events by the versions that they mention: those of the older segment gain what the newer one says of them.
    fn mentions(&mut self) -> Result<()> {
        let base = self.a.bases.version;
        self.with(|a, b, w| {
            let (ends, pairs) = (both!(a, b, back_end), all(b, b.old_pair())?);
            let first = pairs.partition_point(|p| *p < pair(base, 0));
            let mut next = first;
            let older = (base..).zip(ends.0).map(|(version, end)| {
                next += pairs[next..].iter().take_while(|p| (**p >> 32) as u32 == version).count();
                end + (next - first) as u32
            });
            let n_older = ends.0.last().map_or(0, |end| *end) + (pairs.len() - first) as u32;
            w.rows(Id::back_end, older.chain(ends.1.iter().map(|end| end + n_older)))
        })?;
        self.with(|a, b, w| {
            let (ends, pairs) = (all(a, a.back_end())?, all(b, b.old_pair())?);
            let (x, y) = both!(a, b, back_event);
            let older = gaining(base, ends, x, pairs, |row| pairs[row] as u32);
            w.rows(Id::back_event, older.chain(y.iter().copied()))
        })?;
        self.with(|a, b, w| {
            let (ends, pairs, codes) = (all(a, a.back_end())?, all(b, b.old_pair())?, all(b, b.old_code())?);
            let (x, y) = both!(a, b, back_code);
            let older = gaining(base, ends, x, pairs, |row| codes[row]);
            w.rows(Id::back_code, older.chain(y.iter().copied()))
        })
    }

    /// The events by the versions of still older segments that they mention.
    fn older_mentions(&mut self) -> Result<()> {
        self.with(|a, b, w| {
            let (x, y) = both!(a, b, old_pair);
            let y = &y[..y.partition_point(|p| *p < pair(a.bases.version, 0))];
            let order = Order::of(x.len(), y.len(), |i, j| y[j] < x[i]);
            w.rows(Id::old_pair, order.rows(x, y))?;
            let (codes_x, codes_y) = both!(a, b, old_code);
            w.rows(Id::old_code, order.rows(codes_x, &codes_y[..y.len()]))?;
            let starts = block_starts(order.rows(x, y), a.bases.version);
            w.column(Id::old_block, &[&starts])
        })
    }
}

/// The rows of each version of the older segment, each followed by the version's rows in the sorted pairs of the newer.
fn gaining<'a, T: Copy>(
    base: u32,
    ends: &'a [u32],
    rows: &'a [T],
    pairs: &'a [u64],
    value: impl Fn(usize) -> T + 'a,
) -> impl Iterator<Item = T> + 'a {
    let (mut version, mut at) = (0, 0);
    let mut next = pairs.partition_point(|p| *p < pair(base, 0));
    std::iter::from_fn(move || {
        loop {
            if at < *ends.get(version)? as usize {
                at += 1;
                return rows.get(at - 1).copied();
            }
            if pairs.get(next).is_some_and(|p| (p >> 32) as u32 == base + version as u32) {
                next += 1;
                return Some(value(next - 1));
            }
            version += 1;
        }
    })
}

/// For each block of older versions, and one past the last, the row of its first pair.
pub(crate) fn block_starts(pairs: impl Iterator<Item = u64>, n_old: u32) -> Vec<u32> {
    let n_blocks = (n_old >> OLD_BLOCK_BITS) as usize + 1;
    let mut starts = vec![0u32; n_blocks + 1];
    for pair in pairs {
        starts[((pair >> 32) as usize >> OLD_BLOCK_BITS) + 1] += 1;
    }
    for i in 1..starts.len() {
        starts[i] += starts[i - 1];
    }
    starts
}

/// The order in which the rows of two sorted columns are merged: a bit a row.
struct Order {
    n: usize,
    /// Whether each row is of the second column.
    from_b: Vec<u64>,
    /// Whether each row is left out; empty if none is.
    dropped: Vec<u64>,
}

impl Order {
    /// The order of columns of some lengths, where a test says whether a row of the second comes before one of the first.
    fn of(n_a: usize, n_b: usize, b_first: impl Fn(usize, usize) -> bool) -> Self {
        let n = n_a + n_b;
        let mut from_b = vec![0; n.div_ceil(64)];
        let (mut i, mut j) = (0, 0);
        for row in 0..n {
            if i == n_a || (j < n_b && b_first(i, j)) {
                from_b[row / 64] |= 1 << (row % 64);
                j += 1;
            } else {
                i += 1;
            }
        }
        Self { n, from_b, dropped: Vec::new() }
    }

    /// Leaves out each row of the first column that stands before an equal one of the second.
    fn drop_older(&mut self, equal: impl Fn(usize, usize) -> bool) {
        let mut dropped = vec![0; self.from_b.len()];
        let (mut i, mut j) = (0, 0);
        for row in 0..self.n {
            if self.is_of_b(row) {
                j += 1;
                continue;
            }
            if row + 1 < self.n && self.is_of_b(row + 1) && equal(i, j) {
                dropped[row / 64] |= 1 << (row % 64);
            }
            i += 1;
        }
        self.dropped = dropped;
    }

    fn is_of_b(&self, row: usize) -> bool {
        self.from_b[row / 64] >> (row % 64) & 1 == 1
    }

    fn is_dropped(&self, row: usize) -> bool {
        self.dropped.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Where each merged row comes from, dropped ones included: whether it is the second column, and which row of it.
    fn places(&self) -> impl Iterator<Item = (bool, usize)> + '_ {
        let (mut i, mut j) = (0, 0);
        (0..self.n).map(move |row| {
            let is_b = self.is_of_b(row);
            let at = if is_b { &mut j } else { &mut i };
            *at += 1;
            (is_b, *at - 1)
        })
    }

    /// The rows of two columns in this order.
    fn rows<'a, T: Copy>(&'a self, a: &'a [T], b: &'a [T]) -> impl Iterator<Item = T> + 'a {
        let places = self.places().zip(0..).filter(|(_, row)| !self.is_dropped(*row));
        places.filter_map(move |((is_b, at), _)| if is_b { b.get(at) } else { a.get(at) }.copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_merged_and_older_equal_ones_dropped() {
        let (a, b) = ([1, 3, 5], [2, 3, 6]);
        let mut order = Order::of(3, 3, |i, j| b[j] < a[i]);
        assert_eq!(order.rows(&a, &b).collect::<Vec<_>>(), [1, 2, 3, 3, 5, 6]);
        order.drop_older(|i, j| a[i] == b[j]);
        assert_eq!(order.rows(&[10, 30, 50], &[20, 31, 60]).collect::<Vec<_>>(), [10, 20, 31, 50, 60]);
    }
}
