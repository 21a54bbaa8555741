//! The flow of one run: which branches of which steps wait, may start, go on or have ended; a function of what it is
//! told, so that it needs no process to be tested.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::plan::Plan;
use super::spec::Spec;

/// The branches in which a step runs: an index for each foreach around it, the outermost first.
pub type Path = Vec<u32>;

/// One step in one branch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// The index of the step.
    pub step: usize,
    /// Its branch.
    pub path: Path,
}

/// How a cell ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It ran, or its results were reused.
    Complete,
    /// Its command failed.
    Failed,
    /// It was stopped from outside.
    Aborted,
    /// It never ran.
    Skipped(Cause),
    /// It waits for an approval; the run ends without it.
    Parked,
}

/// Why a step never ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its condition did not hold.
    Condition,
    /// A step before it did not end well.
    Upstream(usize),
    /// The run was asked to stop.
    Stopped,
    /// It was left out by `--only`, `--from` or `--until`.
    LeftOut,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
            Self::Skipped(_) => "skipped",
            Self::Parked => "waits for approval",
        })
    }
}

/// The state of a run.
#[derive(Debug)]
pub struct Flow<'a> {
    spec: &'a Spec,
    plan: &'a Plan,
    /// The steps that wait for a step, by index.
    dependents: Vec<Vec<usize>>,
    /// What each cell, and each foreach before its branches are known, still waits for.
    waiting: HashMap<Cell, usize>,
    /// Foreach steps whose items may be asked for now.
    unfolding: BTreeSet<Cell>,
    ready: BTreeSet<Cell>,
    running: BTreeSet<Cell>,
    ended: BTreeMap<Cell, End>,
    /// Cells that ended because others did, and that nobody was told of.
    skipped: Vec<(Cell, End)>,
    /// How many branches a foreach has, by step and the branch around it.
    branches: HashMap<Cell, u32>,
    /// How many cells of a step below a branch have not ended, for joins.
    unjoined: HashMap<Cell, usize>,
    /// Whether nothing more may start.
    stopped: bool,
}

impl<'a> Flow<'a> {
    /// The state before anything has run.
    pub fn new(spec: &'a Spec, plan: &'a Plan) -> Self {
        let mut dependents = vec![Vec::new(); plan.steps.len()];
        for (index, step) in plan.steps.iter().enumerate() {
            step.needs.iter().for_each(|need| dependents[*need].push(index));
        }
        let mut flow = Self {
            spec,
            plan,
            dependents,
            waiting: HashMap::new(),
            unfolding: BTreeSet::new(),
            ready: BTreeSet::new(),
            running: BTreeSet::new(),
            ended: BTreeMap::new(),
            skipped: Vec::new(),
            branches: HashMap::new(),
            unjoined: HashMap::new(),
            stopped: false,
        };
        flow.open(&[], &Path::new());
        flow
    }

    /// The foreach steps whose branches must be told now with [`Flow::unfold`].
    pub fn unfolding(&self) -> Vec<Cell> {
        self.unfolding.iter().cloned().collect()
    }

    /// The cells that may start.
    pub fn ready(&self) -> impl Iterator<Item = &Cell> {
        self.ready.iter()
    }

    /// The first branch of a step that may start.
    pub fn first_ready(&self, step: usize) -> Option<Cell> {
        let first = Cell { step, path: Path::new() };
        self.ready.range(first..).next().filter(|cell| cell.step == step).cloned()
    }

    /// The cells that go on.
    pub fn running(&self) -> impl Iterator<Item = &Cell> {
        self.running.iter()
    }

    /// The cells that have ended, in the order of the steps.
    pub fn ended(&self) -> impl Iterator<Item = (&Cell, &End)> {
        self.ended.iter()
    }

    /// The cells that ended because others did, since this was asked last.
    pub fn take_skipped(&mut self) -> Vec<(Cell, End)> {
        std::mem::take(&mut self.skipped)
    }

    /// How a cell ended; `None` before.
    pub fn end_of(&self, cell: &Cell) -> Option<&End> {
        self.ended.get(cell)
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.unfolding.is_empty() && self.ready.is_empty() && self.running.is_empty()
    }

    /// A cell has been started.
    pub fn start(&mut self, cell: &Cell) {
        if self.ready.remove(cell) {
            self.running.insert(cell.clone());
        }
    }

    /// A foreach has this many branches.
    pub fn unfold(&mut self, cell: &Cell, count: u32) {
        if !self.unfolding.remove(cell) {
            return;
        }
        self.branches.insert(cell.clone(), count);
        let stack = &self.plan.steps[cell.step].stack;
        // Joins wait for every branch of whatever runs inside.
        let inside: Vec<usize> =
            (0..self.plan.steps.len()).filter(|step| self.plan.steps[*step].stack == *stack).collect();
        for step in &inside {
            self.unjoined.insert(Cell { step: *step, path: cell.path.clone() }, count as usize);
        }
        for index in 0..count {
            let path: Path = cell.path.iter().copied().chain([index]).collect();
            self.ready.insert(Cell { step: cell.step, path: path.clone() });
            self.open(stack, &path);
        }
        if count == 0 {
            for step in inside {
                self.joined(step, &cell.path);
            }
        }
    }

    /// A cell has ended.
    pub fn end(&mut self, cell: &Cell, end: &End) {
        self.close_cell(cell, end);
    }

    /// A cell has ended because others did.
    fn end_unasked(&mut self, cell: &Cell, end: &End) {
        if !self.ended.contains_key(cell) {
            self.skipped.push((cell.clone(), end.clone()));
        }
        self.close_cell(cell, end);
    }

    fn close_cell(&mut self, cell: &Cell, end: &End) {
        self.running.remove(cell);
        self.ready.remove(cell);
        let without_branches = self.unfolding.remove(cell);
        if self.ended.insert(cell.clone(), end.clone()).is_some() {
            return;
        }
        if without_branches {
            self.close(cell, end);
        }
        let stack = &self.plan.steps[cell.step].stack;
        for dependent in self.dependents[cell.step].clone() {
            // Joins wait for the last branch; see below.
            if self.level(dependent).starts_with(stack) && self.plan.steps[dependent].needs.contains(&cell.step) {
                self.release(dependent, &cell.path);
            }
        }
        if let Some((_, around)) = cell.path.split_last().filter(|(_, around)| stack.len() == around.len() + 1) {
            let group = Cell { step: cell.step, path: around.to_vec() };
            if let Some(left) = self.unjoined.get_mut(&group) {
                *left -= 1;
                if *left == 0 {
                    self.joined(cell.step, around);
                }
            }
        }
    }

    /// From now on nothing is started: what waits is skipped when its turn comes.
    pub fn stop(&mut self) {
        self.stopped = true;
        let waiting: Vec<Cell> = self.ready.iter().chain(&self.unfolding).cloned().collect();
        for cell in &waiting {
            self.end_unasked(cell, &End::Skipped(Cause::Stopped));
        }
    }

    /// The cells of a step below a branch that gave results, in the order of their branches.
    pub fn cells_below(&self, step: usize, path: &[u32]) -> Vec<Cell> {
        let first = Cell { step, path: path.to_vec() };
        let below = self.ended.range(first..).take_while(|(cell, _)| cell.step == step && cell.path.starts_with(path));
        below.filter(|(_, end)| **end == End::Complete).map(|(cell, _)| cell.clone()).collect()
    }

    /// The branch of a step that is around another branch, cut to its own foreach steps.
    pub fn around(&self, step: usize, path: &[u32]) -> Path {
        path[..path.len().min(self.plan.steps[step].stack.len())].to_vec()
    }

    /// The foreach steps around a step, without its own.
    fn level(&self, step: usize) -> &'a [usize] {
        let stack = &self.plan.steps[step].stack;
        let own = usize::from(self.spec.steps[step].foreach.is_some());
        &stack[..stack.len() - own]
    }

    /// Makes the cells of a branch; those that wait for nothing may start.
    fn open(&mut self, stack: &[usize], path: &Path) {
        for step in 0..self.plan.steps.len() {
            if self.level(step) != stack {
                continue;
            }
            let cell = Cell { step, path: path.clone() };
            let waits = self.plan.steps[step].needs.iter().filter(|need| !self.has_ended(**need, path)).count();
            self.waiting.insert(cell.clone(), waits);
            if waits == 0 {
                self.admit(cell);
            }
        }
    }

    /// Whether a need has ended in the branch around a path.
    fn has_ended(&self, need: usize, path: &[u32]) -> bool {
        let depth = self.plan.steps[need].stack.len();
        depth <= path.len() && self.ended.contains_key(&Cell { step: need, path: path[..depth].to_vec() })
    }

    /// One of the needs of a step has ended, for all its cells at or below a branch.
    fn release(&mut self, step: usize, path: &[u32]) {
        let below = |cell: &&Cell| cell.step == step && cell.path.starts_with(path);
        let exact = Cell { step, path: path.to_vec() };
        let cells: Vec<Cell> = if self.level(step).len() == path.len() {
            vec![exact]
        } else {
            self.waiting.keys().filter(below).cloned().collect()
        };
        for cell in cells {
            let Some(waits) = self.waiting.get_mut(&cell) else { continue };
            *waits = waits.saturating_sub(1);
            if *waits == 0 {
                self.admit(cell);
            }
        }
    }

    /// The last branch of a step has ended: joins outside of it have one need less.
    fn joined(&mut self, step: usize, around: &[u32]) {
        for dependent in self.dependents[step].clone() {
            if self.level(dependent).len() == around.len() {
                self.release(dependent, around);
            }
        }
    }

    /// A cell whose needs have all ended: it may start, unless they ended badly.
    fn admit(&mut self, cell: Cell) {
        if self.waiting.remove(&cell).is_none() {
            return;
        }
        let step = &self.spec.steps[cell.step];
        let bad = self.plan.steps[cell.step].needs.iter().copied().find(|need| self.blocks(*need, &cell.path));
        let cause = match bad {
            Some(need) if !step.always => Some(Cause::Upstream(need)),
            _ if self.stopped => Some(Cause::Stopped),
            _ => None,
        };
        match cause {
            Some(cause) => self.skip(&cell, cause),
            None if step.foreach.is_some() => drop(self.unfolding.insert(cell)),
            None => drop(self.ready.insert(cell)),
        }
    }

    /// A cell that never runs; a foreach has no branches then.
    fn skip(&mut self, cell: &Cell, cause: Cause) {
        if self.spec.steps[cell.step].foreach.is_some() {
            self.unfolding.insert(cell.clone());
        }
        self.end_unasked(cell, &End::Skipped(cause));
    }

    /// Ends what would have run in the branches of a foreach that has none.
    fn close(&mut self, cell: &Cell, end: &End) {
        let stack = &self.plan.steps[cell.step].stack;
        let inside: Vec<usize> =
            (0..self.plan.steps.len()).filter(|step| self.plan.steps[*step].stack.starts_with(stack)).collect();
        let cause = if *end == End::Skipped(Cause::LeftOut) { Cause::LeftOut } else { Cause::Upstream(cell.step) };
        for step in inside {
            if step != cell.step {
                let (cell, end) = (Cell { step, path: cell.path.clone() }, End::Skipped(cause.clone()));
                if self.ended.insert(cell.clone(), end.clone()).is_none() {
                    self.skipped.push((cell, end));
                }
            }
            self.joined(step, &cell.path);
        }
    }

    /// Whether a need keeps what follows from running: some cell of it at, around or below a branch ended badly.
    fn blocks(&self, need: usize, path: &[u32]) -> bool {
        if self.spec.steps[need].continue_on_error {
            return false;
        }
        let path = self.around(need, path);
        let first = Cell { step: need, path: path.clone() };
        self.ended
            .range(first..)
            .take_while(|(cell, _)| cell.step == need && cell.path.starts_with(&path))
            .any(|(_, end)| !matches!(end, End::Complete | End::Skipped(Cause::LeftOut)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Capacity;
    use super::*;

    const CAPACITY: Capacity = Capacity { cpu: 4000, memory: 1 << 40, gpu: 0 };

    /// Plays a pipeline: each foreach has two branches, steps named in `bad` fail; what happened, in order.
    fn play(steps: &str, bad: &[&str], branches: u32) -> Vec<String> {
        let text = format!("[pipeline]\nname = \"p\"\n[params]\ns = [1]\n{steps}");
        let spec = Spec::parse(&text).expect("valid");
        let plan = Plan::new(&spec, &CAPACITY).expect("valid");
        let mut flow = Flow::new(&spec, &plan);
        let mut log = Vec::new();
        while !flow.is_over() {
            for cell in flow.unfolding() {
                flow.unfold(&cell, branches);
            }
            let Some(cell) = flow.ready().next().cloned() else { continue };
            flow.start(&cell);
            let id = &spec.steps[cell.step].id;
            let path: Vec<String> = cell.path.iter().map(u32::to_string).collect();
            let name = [id.clone(), path.join(".")].join(if path.is_empty() { "" } else { "/" });
            let end = if bad.contains(&name.as_str()) { End::Failed } else { End::Complete };
            log.push(name);
            flow.end(&cell, &end);
        }
        let skipped = flow.ended().filter(|(_, end)| matches!(end, End::Skipped(_)));
        let skipped: Vec<String> = skipped.map(|(cell, _)| format!("-{}", spec.steps[cell.step].id)).collect();
        assert!(flow.waiting.is_empty() || branches == 0, "left waiting: {:?}", flow.waiting);
        log.extend(skipped);
        log
    }

    fn step(id: &str, rest: &str) -> String {
        format!("[[step]]\nid = \"{id}\"\nrun = [\"true\"]\n{rest}\n")
    }

    const FAN: &str = "foreach = \"params.s\"";

    #[test]
    fn steps_run_after_what_they_need() {
        let steps = [step("c", "needs = [\"b\"]"), step("b", "needs = [\"a\"]"), step("a", "")].concat();
        assert_eq!(play(&steps, &[], 0), ["a", "b", "c"]);
        assert_eq!(play(&steps, &["a"], 0), ["a", "-c", "-b"]);
    }

    #[test]
    fn branches_run_to_their_join() {
        let steps = [
            step("a", ""),
            step("f", &format!("needs = [\"a\"]\n{FAN}")),
            step("g", "needs = [\"f\", \"a\"]"),
            step("j", "join = \"f\"\nneeds = [\"g\"]"),
            step("z", "needs = [\"j\"]"),
        ]
        .concat();
        assert_eq!(play(&steps, &[], 2), ["a", "f/0", "f/1", "g/0", "g/1", "j", "z"]);
        assert_eq!(play(&steps, &[], 0), ["a", "j", "z"]);
        assert_eq!(play(&steps, &["f/0"], 2), ["a", "f/0", "f/1", "g/1", "-g", "-j", "-z"]);
        assert_eq!(play(&steps, &["a"], 2), ["a", "-f", "-g", "-j", "-z"]);
    }

    #[test]
    fn nested_branches_join_from_the_inside() {
        let steps = [
            step("f", FAN),
            step("g", &format!("needs = [\"f\"]\n{FAN}\nas = \"y\"")),
            step("h", "needs = [\"g\"]"),
            step("i", "join = \"g\"\nneeds = [\"h\"]"),
            step("j", "join = \"f\"\nneeds = [\"i\"]"),
        ]
        .concat();
        let log = play(&steps, &[], 2);
        assert_eq!(log.len(), 2 + 4 + 4 + 2 + 1, "{log:?}");
        assert_eq!(log.last().map(String::as_str), Some("j"));
        let failed = play(&steps, &["h/1.0"], 2);
        assert_eq!(failed.iter().filter(|name| name.starts_with('i')).count(), 1, "{failed:?}");
        assert!(failed.contains(&"-i".to_owned()) && failed.contains(&"-j".to_owned()), "{failed:?}");
        assert_eq!(play(&steps, &[], 0), ["j"]);
    }

    #[test]
    fn a_failure_that_is_tolerated_stops_nothing_and_always_runs_after_any() {
        let steps = [step("a", "continue_on_error = true"), step("b", "needs = [\"a\"]")].concat();
        assert_eq!(play(&steps, &["a"], 0), ["a", "b"]);
        let steps =
            [step("a", ""), step("b", "needs = [\"a\"]"), step("end", "needs = [\"b\"]\nalways = true")].concat();
        assert_eq!(play(&steps, &["a"], 0), ["a", "end", "-b"]);
    }

    #[test]
    fn a_foreach_whose_items_are_not_known_ends_with_all_that_would_run_in_its_branches() {
        let steps = [step("f", FAN), step("g", "needs = [\"f\"]"), step("j", "join = \"f\"\nneeds = [\"g\"]")].concat();
        let text = format!("[pipeline]\nname = \"p\"\n[params]\ns = [1]\n{steps}");
        let spec = Spec::parse(&text).expect("valid");
        let plan = Plan::new(&spec, &CAPACITY).expect("valid");
        for (end, after) in [(End::Failed, Cause::Upstream(0)), (End::Skipped(Cause::LeftOut), Cause::LeftOut)] {
            let mut flow = Flow::new(&spec, &plan);
            let cells = flow.unfolding();
            flow.end(&cells[0], &end);
            let of = |flow: &Flow<'_>, step| flow.end_of(&Cell { step, path: Path::new() }).cloned();
            assert_eq!(of(&flow, 1), Some(End::Skipped(after.clone())));
            let joined = flow.ready().count() == 1;
            assert_eq!(joined, after == Cause::LeftOut, "a join after what was left out may run");
            assert_eq!(flow.is_over(), !joined);
        }
    }

    #[test]
    fn a_stopped_run_starts_nothing_more() {
        let text =
            format!("[pipeline]\nname = \"p\"\n{}{}", step("a", ""), step("b", "needs = [\"a\"]\nalways = true"));
        let spec = Spec::parse(&text).expect("valid");
        let plan = Plan::new(&spec, &CAPACITY).expect("valid");
        let mut flow = Flow::new(&spec, &plan);
        let a = Cell { step: 0, path: Path::new() };
        flow.start(&a);
        flow.stop();
        flow.end(&a, &End::Aborted);
        assert!(flow.is_over());
        assert_eq!(flow.end_of(&Cell { step: 1, path: Path::new() }), Some(&End::Skipped(Cause::Stopped)));
    }
}
