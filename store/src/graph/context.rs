//! Contexts: who did something where, and the keys of what was measured, kept once for all events that share them.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::segment::Segment;
use super::tables::{Bases, Id, Tables};
use super::writer::Writer;
use crate::error::Result;

/// Actor, namespace, job, and the keys of the attributes.
type Context<'a> = (u32, u32, u32, &'a [u32]);

/// The columns of the contexts of one segment.
pub(crate) struct Columns<'a> {
    pub(crate) actors: &'a [u32],
    pub(crate) namespaces: &'a [u32],
    pub(crate) jobs: &'a [u32],
    pub(crate) ends: &'a [u32],
    pub(crate) keys: &'a [u32],
}

impl<'a> Columns<'a> {
    fn get(&self, row: usize) -> Option<Context<'a>> {
        let start = if row == 0 { 0 } else { *self.ends.get(row - 1)? as usize };
        let keys = self.keys.get(start..*self.ends.get(row)? as usize)?;
        Some((*self.actors.get(row)?, *self.namespaces.get(row)?, *self.jobs.get(row)?, keys))
    }
}

impl Tables {
    /// Sorts the distinct contexts of the tail and gives each event its own.
    pub(super) fn derive_contexts(&mut self, bases: &Bases) {
        let mut ids: HashMap<Context<'_>, u32, RandomState> = HashMap::default();
        let mut of_event = Vec::with_capacity(self.e_actor.len());
        let mut start = 0;
        for (row, end) in self.e_attributes.iter().enumerate() {
            let end = (end - bases.attribute) as usize;
            let context = (self.e_actor[row], self.e_namespace[row], self.e_job[row], &self.a_key[start..end]);
            let next = ids.len() as u32;
            of_event.push(*ids.entry(context).or_insert(next));
            start = end;
        }
        let mut sorted: Vec<(Context<'_>, u32)> = ids.into_iter().collect();
        sorted.sort_unstable();
        let mut rank = vec![0; sorted.len()];
        let (mut actors, mut namespaces, mut jobs) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ends, mut keys) = (Vec::new(), Vec::new());
        for (row, ((actor, namespace, job, own), id)) in sorted.into_iter().enumerate() {
            rank[id as usize] = row as u32;
            actors.push(actor);
            namespaces.push(namespace);
            jobs.push(job);
            keys.extend_from_slice(own);
            ends.push(keys.len() as u32);
        }
        for id in &mut of_event {
            *id = rank[*id as usize];
        }
        (self.e_context, self.c_actor, self.c_namespace, self.c_job) = (of_event, actors, namespaces, jobs);
        (self.c_keys, self.c_key) = (ends, keys);
    }
}

/// For each context of two segments its row in the merged ones.
pub(crate) struct Merged {
    a: Vec<u32>,
    b: Vec<u32>,
}

impl Merged {
    /// Merges the sorted contexts of two segments and writes them.
    pub(crate) fn write(a: &Columns<'_>, b: &Columns<'_>, writer: &mut Writer<'_>) -> Result<Self> {
        let mut rows = Self { a: Vec::with_capacity(a.ends.len()), b: Vec::with_capacity(b.ends.len()) };
        // Which row of which segment each merged context is; of equal ones that of the first.
        let mut merged: Vec<(bool, u32)> = Vec::new();
        while let (i, j) = (rows.a.len(), rows.b.len())
            && (i < a.ends.len() || j < b.ends.len())
        {
            let (x, y) = (a.get(i), b.get(j));
            let row = merged.len() as u32;
            let (of_a, of_b) = (y.is_none() || x.is_some() && x <= y, x.is_none() || y.is_some() && y <= x);
            merged.push(if of_a { (true, i as u32) } else { (false, j as u32) });
            if of_a {
                rows.a.push(row);
            }
            if of_b {
                rows.b.push(row);
            }
        }
        let of = |(is_a, row): &(bool, u32)| if *is_a { a.get(*row as usize) } else { b.get(*row as usize) };
        let contexts = || merged.iter().filter_map(of);
        writer.rows(Id::c_actor, contexts().map(|c| c.0))?;
        writer.rows(Id::c_namespace, contexts().map(|c| c.1))?;
        writer.rows(Id::c_job, contexts().map(|c| c.2))?;
        let mut end = 0;
        writer.rows(
            Id::c_keys,
            contexts().map(|c| {
                end += c.3.len() as u32;
                end
            }),
        )?;
        writer.rows(Id::c_key, contexts().flat_map(|c| c.3.iter().copied()))?;
        Ok(rows)
    }

    /// The contexts of the events of both segments, as rows of the merged ones.
    pub(crate) fn of_events<'a>(&'a self, a: &'a [u32], b: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
        let row = |rows: &[u32], old: &u32| rows.get(*old as usize).copied().unwrap_or_default();
        a.iter().map(move |old| row(&self.a, old)).chain(b.iter().map(move |old| row(&self.b, old)))
    }
}

impl Segment {
    /// The context of an event of this segment.
    #[inline]
    pub(super) fn context(&self, event: u32) -> usize {
        self.e_context().get((event - self.bases.event) as usize) as usize
    }

    /// The keys of the attributes of an event of this segment.
    pub(super) fn keys(&self, event: u32) -> &[u32] {
        let row = self.context(event);
        let start = if row == 0 { 0 } else { self.c_keys().get(row - 1) };
        self.c_key().rows(start as usize, self.c_keys().get(row) as usize)
    }
}
