//! The forecast: what a run would do, told from what earlier runs left, without starting or recording anything.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use lineage_store::artifact::{Artifacts, Manifest};
use lineage_store::digest::Blake3;
use serde_json::Value;

use super::attempt::Attempt;
use super::cache::{Entry, Lookup};
use super::flow::{Cause, Cell, End, Flow};
use super::merged::Merged;
use super::order::{Around, Order};
use super::plan::Plan;
use super::record::step_run;
use super::scopes::{Scopes, Surround};
use super::spec::Spec;

/// What would become of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Its results would be reused.
    Reused {
        /// The run that made them.
        from: String,
    },
    /// It would run.
    Runs {
        /// The first thing that is other than before.
        why: String,
    },
    /// That depends on what a step gives that would run before it.
    Depends {
        /// That step, by its index.
        on: usize,
    },
    /// It would not run.
    Skipped {
        /// Why not.
        why: String,
    },
    /// It would wait for an approval.
    Waits,
}

/// A step in a branch, and what would become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The step and its branch.
    pub cell: Cell,
    /// What would become of it.
    pub outlook: Outlook,
}

/// Files as they would be once results were put back: digests by path.
pub(super) type Restored = HashMap<PathBuf, String>;

/// What a run would do, step by step.
pub fn forecast(spec: &Spec, plan: &Plan, order: &Order, around: &Around<'_>) -> Vec<Expected> {
    let flow = Flow::new(spec, plan);
    let scopes = Scopes::default();
    let mut seer = Seer {
        spec,
        plan,
        order,
        around,
        flow,
        scopes,
        restored: Restored::new(),
        unsure: BTreeSet::new(),
        told: Vec::new(),
    };
    seer.look_ahead();
    seer.tell_skipped();
    seer.told.sort_by(|a, b| a.cell.cmp(&b.cell));
    seer.told
}

struct Seer<'a> {
    spec: &'a Spec,
    plan: &'a Plan,
    order: &'a Order,
    around: &'a Around<'a>,
    flow: Flow<'a>,
    scopes: Scopes,
    restored: Restored,
    /// Cells whose results are not known before they have run.
    unsure: BTreeSet<Cell>,
    told: Vec<Expected>,
}

impl<'a> Seer<'a> {
    fn look_ahead(&mut self) {
        while !self.flow.is_over() {
            for cell in self.flow.unfolding() {
                self.unfold(&cell);
            }
            let next = self.flow.ready().next().cloned();
            if let Some(cell) = next {
                let outlook = self.outlook(&cell);
                self.end(cell, outlook);
            }
        }
    }

    fn surround(&self) -> Surround<'_, 'a> {
        Surround { spec: self.spec, plan: self.plan, flow: &self.flow, order: self.order, scopes: &self.scopes }
    }

    fn unfold(&mut self, cell: &Cell) {
        let is_left_out = self.order.left_out.contains(&self.spec.steps[cell.step].id);
        let doubt = self.doubt(cell).map(|on| Outlook::Depends { on });
        let doubt = is_left_out.then(left_out).or(doubt);
        if let Some(outlook) = doubt {
            return self.end(cell.clone(), outlook);
        }
        let items = self.surround().items(cell, &self.order.folder);
        let outlook = match items {
            Ok(items) => {
                let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
                self.scopes.unfold(cell, items);
                return self.flow.unfold(cell, count);
            }
            Err(why) => Outlook::Skipped { why },
        };
        self.end(cell.clone(), outlook);
    }

    /// A step before a cell whose results are not known.
    fn doubt(&self, cell: &Cell) -> Option<usize> {
        self.plan.steps[cell.step].needs.iter().copied().find(|need| {
            let path = self.flow.around(*need, &cell.path);
            let first = Cell { step: *need, path: path.clone() };
            self.unsure.range(first..).next().is_some_and(|cell| cell.step == *need && cell.path.starts_with(&path))
        })
    }

    fn outlook(&mut self, cell: &Cell) -> Outlook {
        let step = &self.spec.steps[cell.step];
        if self.order.left_out.contains(&step.id) {
            return left_out();
        }
        if let Some(on) = self.doubt(cell) {
            return Outlook::Depends { on };
        }
        if let Some(condition) = &step.when
            && !condition.holds(&|name| self.surround().value(cell, name).unwrap_or(Value::Null))
        {
            return Outlook::Skipped { why: format!("not {}", condition.text) };
        }
        let mut runs = std::iter::once(&self.order.run_id).chain(&self.order.resumes);
        let approved = runs.any(|run| (self.around.approved)(step, &step_run(run, &step.id, &cell.path)));
        if step.approve.is_some() && !approved {
            return Outlook::Waits;
        }
        let attempt = match Attempt::new(&self.surround(), cell, 1, &[], None) {
            Ok(attempt) => attempt,
            Err(why) => return Outlook::Skipped { why },
        };
        match attempt.look(self.order, self.around, &self.restored) {
            Ok(Lookup::Hit(entry)) => {
                self.restore(&entry, attempt.folder());
                let seen = Merged::clone(&self.surround().seen(cell)).with(cell.step, &entry.values);
                self.scopes.end(cell, entry.values.clone(), seen);
                Outlook::Reused { from: entry.made_by[2].clone() }
            }
            Ok(Lookup::Miss(why)) => Outlook::Runs { why },
            Err(why) => Outlook::Skipped { why },
        }
    }

    /// What would lie in the folder of a step once its results were put back.
    fn restore(&mut self, entry: &Entry, folder: &Path) {
        for made in &entry.made {
            let path = folder.join(&made.path);
            let digest = made.digest.strip_prefix("b3:").and_then(Blake3::from_hex);
            let manifest = digest.and_then(|digest| Artifacts::manifest(self.around.artifacts, &digest).ok().flatten());
            let files = manifest.iter().flat_map(Manifest::entries);
            self.restored.extend(files.map(|file| (path.join(&file.path), file.digest.to_string())));
            self.restored.insert(path, made.digest.clone());
        }
    }

    fn end(&mut self, cell: Cell, outlook: Outlook) {
        let end = match &outlook {
            Outlook::Reused { .. } => End::Complete,
            // Whatever it gives, what follows may run.
            Outlook::Runs { .. } | Outlook::Depends { .. } => {
                self.unsure.insert(cell.clone());
                End::Complete
            }
            Outlook::Waits => End::Parked,
            Outlook::Skipped { .. } if self.order.left_out.contains(&self.spec.steps[cell.step].id) => {
                End::Skipped(Cause::LeftOut)
            }
            Outlook::Skipped { .. } => End::Skipped(Cause::Condition),
        };
        self.flow.end(&cell, &end);
        self.told.push(Expected { cell, outlook });
    }

    /// Cells that never had their turn.
    fn tell_skipped(&mut self) {
        for (cell, end) in self.flow.take_skipped() {
            let outlook = match end {
                End::Skipped(Cause::Upstream(on)) if self.unsure.iter().any(|cell| cell.step == on) => {
                    Outlook::Depends { on }
                }
                End::Skipped(Cause::Upstream(step)) => {
                    Outlook::Skipped { why: format!("{} does not complete", self.spec.steps[step].id) }
                }
                _ => left_out(),
            };
            self.told.push(Expected { cell, outlook });
        }
    }
}

fn left_out() -> Outlook {
    Outlook::Skipped { why: "it is left out".to_owned() }
}
