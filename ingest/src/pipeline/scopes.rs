//! Scopes: what each step sees in its branch: items of its foreach steps, values of the steps before it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::flow::{Cell, Flow};
use super::merged::Merged;
use super::order::Order;
use super::plan::Plan;
use super::spec::Spec;
use super::step::Over;
use super::template::Name;
use crate::run::{Values, expand};

/// What has been told so far.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    /// The items of a foreach, by step and the branch around it.
    items: HashMap<Cell, Vec<Value>>,
    own: HashMap<Cell, Values>,
    /// What a cell passes on: what it saw and what it made.
    passed: HashMap<Cell, Merged>,
    /// What cells see that have not ended; all that is before them has.
    seen: RefCell<HashMap<Cell, Arc<Merged>>>,
}

impl Scopes {
    pub(super) fn unfold(&mut self, cell: &Cell, items: Vec<Value>) {
        self.items.insert(cell.clone(), items);
        self.seen.get_mut().remove(cell);
    }

    pub(super) fn end(&mut self, cell: &Cell, own: Values, passed: Merged) {
        self.seen.get_mut().remove(cell);
        self.own.insert(cell.clone(), own);
        self.passed.insert(cell.clone(), passed);
    }
}

/// Everything from which the scope of a cell is made.
#[derive(Clone, Copy)]
pub(super) struct Surround<'s, 'a> {
    pub(super) spec: &'a Spec,
    pub(super) plan: &'a Plan,
    pub(super) order: &'a Order,
    pub(super) flow: &'s Flow<'a>,
    pub(super) scopes: &'s Scopes,
}

impl Surround<'_, '_> {
    /// The cells of a step that a cell comes after: one in the branch around it, or all below its branch.
    fn cells(&self, step: usize, path: &[u32]) -> Vec<Cell> {
        let depth = self.plan.steps[step].stack.len();
        if depth <= path.len() {
            return vec![Cell { step, path: path[..depth].to_vec() }];
        }
        self.flow.cells_below(step, path)
    }

    /// The values that a cell sees whose turn has come.
    pub(super) fn seen(&self, cell: &Cell) -> Arc<Merged> {
        if let Some(seen) = self.scopes.seen.borrow().get(cell) {
            return Arc::clone(seen);
        }
        let needs = self.plan.steps[cell.step].needs.iter();
        let before: Vec<Cell> = needs.flat_map(|need| self.cells(*need, &cell.path)).collect();
        let seen = Arc::new(Merged::of(before.iter().filter_map(|before| self.scopes.passed.get(before))));
        self.scopes.seen.borrow_mut().insert(cell.clone(), Arc::clone(&seen));
        seen
    }

    /// The values on which all steps agree that nothing comes after.
    pub(super) fn last(&self) -> Values {
        let needed: HashSet<usize> = self.plan.steps.iter().flat_map(|step| &step.needs).copied().collect();
        let last = (0..self.plan.steps.len()).filter(|step| !needed.contains(step));
        let cells: Vec<Cell> = last.flat_map(|step| self.flow.cells_below(step, &[])).collect();
        Merged::of(cells.iter().filter_map(|cell| self.scopes.passed.get(cell))).agreed()
    }

    /// What a name stands for in the branch of a cell.
    pub(super) fn value(&self, cell: &Cell, name: &Name) -> Result<Value, String> {
        let id = &self.spec.steps[cell.step].id;
        match name {
            Name::Param(name) => {
                self.order.params.get(name).cloned().ok_or_else(|| format!("the parameter {name} has no value"))
            }
            Name::Value(name) => {
                let seen = self.seen(cell);
                match (seen.agreed_on(name), seen.has(name)) {
                    (Some(value), _) => Ok(value.clone()),
                    (None, true) => Err(format!(
                        "the steps before {id} have different values {name}; write {{STEP.{name}}} to choose one"
                    )),
                    (None, false) => Err(format!("no step before {id} gave a value {name}")),
                }
            }
            Name::Of(step, name) => self.value_of(cell, step, name),
            Name::Local(name) => self.local(cell, name),
        }
    }

    /// A value of one step; of a step with branches that are joined, the list.
    fn value_of(&self, cell: &Cell, id: &str, name: &str) -> Result<Value, String> {
        let Some(step) = self.spec.steps.iter().position(|step| step.id == id) else {
            return Err(format!("there is no step {id}"));
        };
        let own = |cell: &Cell| self.scopes.own.get(cell).and_then(|own| own.get(name)).cloned();
        let none = || format!("the step {id} gave no value {name}");
        if self.plan.steps[step].stack.len() <= cell.path.len() {
            let before = Cell { step, path: self.flow.around(step, &cell.path) };
            return own(&before).ok_or_else(none);
        }
        let values: Option<Vec<Value>> = self.cells(step, &cell.path).iter().map(own).collect();
        values.map(Value::Array).ok_or_else(none)
    }

    fn local(&self, cell: &Cell, name: &str) -> Result<Value, String> {
        let stack = &self.plan.steps[cell.step].stack;
        // The innermost branch hides outer ones with the same name.
        for (depth, step) in stack.iter().enumerate().rev() {
            let foreach = self.spec.steps[*step].foreach.as_ref();
            if foreach.is_some_and(|foreach| foreach.item == name) {
                return self.item(*step, &cell.path[..=depth]).cloned().ok_or_else(|| format!("{name} has no item"));
            }
        }
        match name {
            "index" => Ok(json!(cell.path.last().copied().unwrap_or(0))),
            "run" => Ok(json!(self.order.run_id)),
            "step" => Ok(json!(self.spec.steps[cell.step].id)),
            other => Err(format!("there is no {other} here")),
        }
    }

    /// The item of a foreach in one of its branches.
    fn item(&self, step: usize, path: &[u32]) -> Option<&Value> {
        let (index, around) = path.split_last()?;
        self.scopes.items.get(&Cell { step, path: around.to_vec() })?.get(*index as usize)
    }

    /// Over what a foreach branches, now that all before it has ended.
    pub(super) fn items(&self, cell: &Cell, folder: &Path) -> Result<Vec<Value>, String> {
        let step = &self.spec.steps[cell.step];
        let Some(foreach) = &step.foreach else { return Ok(Vec::new()) };
        let items = match &foreach.over {
            Over::Name(name) => match self.value(cell, name)? {
                Value::Array(items) => items,
                other => return Err(format!("{name} is no list to branch over: {other}")),
            },
            Over::Glob(pattern) => {
                let files =
                    expand(folder, pattern).map_err(|error| format!("{pattern} cannot be expanded: {error}"))?;
                let below = |path: &Path| path.strip_prefix(folder).unwrap_or(path).to_str().map(|text| json!(text));
                let named: Option<Vec<Value>> = files.iter().map(|path| below(path)).collect();
                named.ok_or_else(|| format!("{pattern} matches a file whose name is no text"))?
            }
        };
        if items.len() as u64 > foreach.max_branches {
            let most = foreach.max_branches;
            return Err(format!(
                "{} branches are more than {most}; write max_branches = {} to allow them",
                items.len(),
                items.len()
            ));
        }
        Ok(items)
    }

    /// What a step may read from the file that `LINEAGE_IN` names, without what differs between runs of the same work.
    pub(super) fn document(&self, cell: &Cell) -> Value {
        let step = &self.spec.steps[cell.step];
        let seen = self.seen(cell);
        let mut document = json!({
            "params": self.order.params,
            "values": seen.agreed(),
            "differing": seen.differing(),
        });
        let stack = &self.plan.steps[cell.step].stack;
        if let (Some(innermost), Some(index)) = (stack.last(), cell.path.last()) {
            let level = |(depth, step): (usize, &usize)| {
                let item = self.item(*step, &cell.path[..=depth]);
                json!({ "step": self.spec.steps[*step].id, "index": cell.path[depth], "item": item })
            };
            let levels: Vec<Value> = stack.iter().enumerate().map(level).collect();
            let item = self.item(*innermost, &cell.path);
            document["branch"] = json!({ "index": index, "item": item, "stack": levels });
        }
        if let Some(join) = &step.join {
            document["branches"] = self.branches(cell, &join.value);
        }
        document
    }

    /// What the steps inside of each joined branch pass on, in the order of the branches; what they saw from outside
    /// stands once beside.
    fn branches(&self, cell: &Cell, joined: &str) -> Value {
        let Some(step) = self.spec.steps.iter().position(|step| step.id == joined) else { return Value::Null };
        let count = self.scopes.items.get(&Cell { step, path: cell.path.clone() }).map_or(0, Vec::len) as u32;
        let needs = &self.plan.steps[cell.step].needs;
        let is_inside = |other: usize| self.plan.steps[other].stack.contains(&step);
        let inside: Vec<usize> =
            needs.iter().copied().filter(|need| self.plan.steps[*need].stack.last() == Some(&step)).collect();
        let branch = |index: u32| {
            let path: Vec<u32> = cell.path.iter().copied().chain([index]).collect();
            let cells = inside.iter().map(|need| Cell { step: *need, path: path.clone() });
            let passed: Vec<&Merged> = cells.filter_map(|cell| self.scopes.passed.get(&cell)).collect();
            let values = Merged::of(passed.into_iter()).only(is_inside).agreed();
            json!({ "index": index, "item": self.item(step, &path), "values": values })
        };
        (0..count).map(branch).collect()
    }
}
