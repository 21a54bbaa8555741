//! What outputs mint, fill, share or add a producer to (EVENTS.md §3).

use super::log::{At, Id, Log, Named, Output};
use super::said::{Entity, Reference, Said};

impl Log {
    pub(super) fn output(&mut self, at: At, event: &Said, output: &Reference) {
        let entity = self.entity(event, output);
        let version = if ["fail", "abort"].contains(&event.state.as_str()) {
            None
        } else if let Some(label) = &output.version {
            Some(self.labeled_output(at, output, &entity, label))
        } else if output.digests.is_empty() {
            self.table(at, event, output, &entity)
        } else {
            Some(self.bytes_output(at, output, &entity))
        };
        if let Some(version) = version {
            self.produce(at, version);
            self.tell(at, version, output);
        }
        self.outputs[at].push(Output { version, from: output.from.clone() });
    }

    /// Takes note of a producer; what the attempt said of the output before it was a version is said of that.
    fn produce(&mut self, at: At, version: Id) {
        self.versions[version].producers.push(at);
        let entity = self.versions[version].entity.clone();
        let attempt = self.attempt(at);
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(|(q, e, _)| *e == entity && attempt.contains(q));
        self.pending = later;
        for (q, _, said) in now {
            self.tell(q, version, &said);
        }
    }

    fn tell(&mut self, at: At, version: Id, said: &Reference) {
        let v = &mut self.versions[version];
        v.sizes.extend(said.size.map(|size| (at, size)));
        v.rows.extend(said.rows.map(|rows| (at, rows)));
        v.tags.extend(said.tags.iter().map(|tag| (at, tag.clone())));
    }

    fn labeled_output(&mut self, at: At, output: &Reference, entity: &Entity, label: &String) -> Id {
        if let Some(version) = self.labeled(entity, label) {
            if self.contradicts(output, version) {
                let version = self.mint(at, entity, false);
                self.adopt(at, version, output, Some(label));
                return version;
            }
            self.adopt(at, version, output, None);
            return version;
        }
        let own = self.written(at, entity).last().copied();
        let own = own.filter(|v| self.versions[*v].label.is_none() && !self.contradicts(output, *v));
        let open =
            || self.fillable(at, entity).filter(|v| self.versions[*v].label.is_none() && self.fills(at, output, *v));
        let version = own.or_else(open).unwrap_or_else(|| self.mint(at, entity, false));
        self.adopt(at, version, output, Some(label));
        version
    }

    fn bytes_output(&mut self, at: At, output: &Reference, entity: &Entity) -> Id {
        let is_own = |v: &Id| self.has_any(*v, &output.digests) || self.versions[*v].digests.is_empty();
        let own = self.written(at, entity).into_iter().rfind(is_own);
        let open = || self.fillable(at, entity).filter(|v| self.fills(at, output, *v));
        let current = || self.of_entity(entity).last().copied().filter(|v| self.has_any(*v, &output.digests));
        let version = own.or_else(open).or_else(current).unwrap_or_else(|| self.mint(at, entity, false));
        self.adopt(at, version, output, None);
        version
    }

    /// An output without label and digest: a version at the attempt's first `complete`, or at once after that.
    fn table(&mut self, at: At, event: &Said, output: &Reference, entity: &Entity) -> Option<Id> {
        if let Some(own) = self.written(at, entity).last() {
            return Some(*own);
        }
        if event.kind == "register" {
            return None;
        }
        if self.attempt(at).into_iter().any(|q| self.events[q].is_complete()) {
            return Some(self.mint_table(at, entity));
        }
        self.pending.push((at, entity.clone(), output.clone()));
        None
    }

    /// What an attempt named before its first `complete` gets its version.
    pub(super) fn complete(&mut self, at: At) {
        let attempt = self.attempt(at);
        while let Some((_, entity, _)) = self.pending.iter().find(|(q, ..)| attempt.contains(q)).cloned() {
            let version = self.mint_table(at, &entity);
            self.produce(at, version);
            self.outputs[at].push(Output { version: Some(version), from: None });
        }
    }

    fn mint_table(&mut self, at: At, entity: &Entity) -> Id {
        let open = self.fillable(at, entity).filter(|v| {
            let version = &self.versions[*v];
            version.label.is_none() && version.digests.is_empty() && self.is_in_time(at, *v)
        });
        open.or_else(|| self.shared(at, entity)).unwrap_or_else(|| self.mint(at, entity, false))
    }

    /// Runs under one root share the newest version.
    fn shared(&self, at: At, entity: &Entity) -> Option<Id> {
        let root = self.root(self.members[at].leader)?;
        let newest = *self.of_entity(entity).last()?;
        let wrote =
            |q: At| self.outputs[q].iter().filter_map(|o| o.version).any(|v| self.versions[v].entity == *entity);
        let other =
            |q: &At| self.members[*q].run == self.members[at].run && self.members[*q].leader != self.members[at].leader;
        let reads = !self.reads(at, entity).is_empty();
        let made_by_another = (0..at).filter(other).any(wrote);
        let mut roots = self.versions[newest].producers.iter().map(|q| self.root(self.members[*q].leader));
        (!reads && !made_by_another && roots.any(|r| r == Some(root))).then_some(newest)
    }

    /// What an attempt generated of a name, in order.
    fn written(&self, at: At, entity: &Entity) -> Vec<Id> {
        let outputs = self.attempt(at).into_iter().flat_map(|q| self.outputs[q].iter().filter_map(|o| o.version));
        outputs.filter(|v| self.versions[*v].entity == *entity).collect()
    }

    /// How an attempt named a thing as an input, so far: a version, or the name alone.
    fn reads(&self, at: At, entity: &Entity) -> Vec<Option<Id>> {
        let inputs = self.attempt(at).into_iter().flat_map(|q| self.inputs[q].iter().map(|(_, named)| named));
        let read = |named: &Named| match named {
            Named::Bare(e) => (e == entity).then_some(None),
            Named::Version(v) | Named::Bytes(v) => (self.versions[*v].entity == *entity).then_some(Some(*v)),
            Named::Several(_) | Named::Holders(..) => None,
        };
        inputs.filter_map(read).collect()
    }

    /// The newest version that is an external input only, unless the attempt reads it or its bytes.
    fn fillable(&self, at: At, entity: &Entity) -> Option<Id> {
        let is_open = |v: &Id| self.versions[*v].external && self.versions[*v].producers.is_empty();
        let open = self.of_entity(entity).into_iter().rfind(is_open)?;
        let bytes: Vec<String> = self.versions[open].digests.iter().map(|(_, d)| d.clone()).collect();
        let same = |read: &Option<Id>| read.is_none_or(|v| v == open || self.has_any(v, &bytes));
        (!self.reads(at, entity).iter().any(same)).then_some(open)
    }

    fn is_in_time(&self, at: At, version: Id) -> bool {
        self.events[at].time <= self.events[self.versions[version].minted].time
    }

    /// Rule 3, where one side at least has no label.
    fn fills(&self, at: At, output: &Reference, open: Id) -> bool {
        let version = &self.versions[open];
        let is_current = self.of_entity(&version.entity).last() == Some(&open);
        let equal = self.has_any(open, &output.digests) && (is_current || self.is_in_time(at, open));
        equal || version.label.is_none() && version.digests.is_empty() && self.is_in_time(at, open)
    }
}
