//! The plan: which step waits for which, in which branches it runs, and whether the machine can hold it.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::overlap::overlap;
use super::param::ParamType;
use super::problem::{Problem, did_you_mean};
use super::spec::Spec;
use super::step::{Foreach, Over, Step};
use super::table::Found;
use super::template::{Name, Template};
use crate::run::Declared;

/// Names that every step may use.
const LOCAL_NAMES: [&str; 4] = ["index", "run", "step", "attempt"];

/// What a machine can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Cores, in thousandths.
    pub cpu: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Graphics processors.
    pub gpu: u64,
}

/// What is known of a step before anything runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// The steps before it, by index.
    pub needs: Vec<usize>,
    /// The foreach steps in whose branches it runs, itself last if it is one.
    pub stack: Vec<usize>,
}

/// The order of a pipeline.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Beside the steps of the specification.
    pub steps: Vec<Planned>,
    /// The indexes of the steps, each after all that it needs.
    pub order: Vec<usize>,
}

impl Plan {
    /// Orders the steps of a specification; on failure every problem, in the order of the text.
    pub fn new(spec: &Spec, capacity: &Capacity) -> Result<Self, Vec<Problem>> {
        let mut planner = Planner {
            spec,
            ids: HashMap::new(),
            needs: vec![BTreeSet::new(); spec.steps.len()],
            found: Found::default(),
        };
        planner.ids();
        planner.names();
        planner.files();
        planner.resources(capacity);
        let plan = planner.order().map(|order| {
            let stacks = planner.stacks(&order);
            planner.locals(&stacks);
            let steps = planner.needs.iter().zip(stacks);
            let steps = steps.map(|(needs, stack)| Planned { needs: needs.iter().copied().collect(), stack }).collect();
            Self { steps, order }
        });
        let problems = planner.found.into_sorted();
        match plan {
            Some(plan) if problems.is_empty() => Ok(plan),
            _ => Err(problems),
        }
    }
}

struct Planner<'a> {
    spec: &'a Spec,
    ids: HashMap<&'a str, usize>,
    needs: Vec<BTreeSet<usize>>,
    found: Found,
}

impl Planner<'_> {
    fn ids(&mut self) {
        for (index, step) in self.spec.steps.iter().enumerate() {
            if self.ids.insert(&step.id, index).is_some() {
                self.found.add(&step.span, format!("there are two steps {}", step.id), "give one of them another id");
            }
        }
    }

    /// The step of an id that another step names.
    fn find(&self, id: &str, span: &super::spec::Span, from: &Step) -> Option<usize> {
        let found = self.ids.get(id).copied();
        if found.is_none() {
            let help = did_you_mean(id, self.spec.steps.iter().map(|step| step.id.as_str()));
            self.found.add(span, format!("the step {} names the unknown step `{id}`", from.id), help);
        }
        found
    }

    /// The edges that are written down, and those to steps whose values are used.
    fn names(&mut self) {
        let spec = self.spec;
        for (index, step) in spec.steps.iter().enumerate() {
            for need in &step.needs {
                let found = self.find(&need.value, &need.span, step);
                self.needs[index].extend(found);
            }
            if let Some(join) = &step.join
                && let Some(joined) = self.find(&join.value, &join.span, step)
            {
                if spec.steps[joined].foreach.is_none() {
                    let what = format!("the step {} joins {}, which has no foreach", step.id, join.value);
                    self.found.add(&join.span, what, "name the step that has the foreach, or write needs instead");
                }
                self.needs[index].insert(joined);
            }
            self.foreach(index, step);
            for template in templates(step) {
                template.names().for_each(|name| self.name(index, step, name, &template.span));
            }
            if let Some(condition) = &step.when {
                condition.names().into_iter().for_each(|name| self.name(index, step, name, &condition.span));
            }
        }
    }

    fn foreach(&mut self, index: usize, step: &Step) {
        let Some(foreach) = &step.foreach else { return };
        let Over::Name(name) = &foreach.over else { return };
        self.name(index, step, name, &foreach.span);
        if let Name::Param(name) = name
            && let Some(param) = self.spec.params.iter().find(|param| param.name == *name)
            && param.kind != ParamType::List
        {
            let what = format!("the step {} branches over params.{name}, which is no list", step.id);
            self.found.add(&foreach.span, what, format!("write {name} = [ … ] under [params]"));
        }
    }

    fn name(&mut self, index: usize, step: &Step, name: &Name, span: &super::spec::Span) {
        match name {
            Name::Param(param) if !self.spec.params.iter().any(|known| known.name == *param) => {
                let help = did_you_mean(param, self.spec.params.iter().map(|known| known.name.as_str()));
                self.found.add(span, format!("the step {} uses the unknown parameter `{param}`", step.id), help);
            }
            Name::Of(other, _) => {
                let found = self.find(other, span, step);
                self.needs[index].extend(found);
            }
            Name::Param(_) | Name::Value(_) | Name::Local(_) => {}
        }
    }

    /// The edges that follow from what is written and read, and paths that two steps write.
    fn files(&mut self) {
        let spec = self.spec;
        let outputs = Files::of(spec, |step| &step.outputs);
        for (reader, step) in spec.steps.iter().enumerate() {
            for template in &step.inputs {
                let writers: Vec<usize> = outputs.meeting(spec, step, template).map(|(writer, _)| writer).collect();
                self.needs[reader].extend(writers.into_iter().filter(|writer| *writer != reader));
            }
        }
        for (index, step) in spec.steps.iter().enumerate() {
            for template in &step.outputs {
                let twin = outputs.meeting(spec, step, template).find(|(other, _)| *other < index);
                if let Some((other, path)) = twin {
                    let other = &spec.steps[other].id;
                    let what = format!("the steps {other} and {} both write {path}", step.id);
                    self.found.add(&template.span, what, "let each step write its own paths");
                }
            }
        }
    }

    fn resources(&self, capacity: &Capacity) {
        for step in &self.spec.steps {
            let wanted = &step.resources;
            let exceed = |what: &str, wants: String, has: String| {
                let what = format!("the step {} asks for {wants} of {what}, and there is {has}", step.id);
                self.found.add(&wanted.span, what, "ask for less, or run it on a larger machine");
            };
            if let Some(cpu) = wanted.cpu.filter(|cpu| *cpu > capacity.cpu) {
                exceed("cpu", cores(cpu), cores(capacity.cpu));
            }
            if let Some(memory) = wanted.memory.filter(|memory| *memory > capacity.memory) {
                exceed("memory", mebibytes(memory), mebibytes(capacity.memory));
            }
            if wanted.gpu > capacity.gpu {
                exceed("gpu", wanted.gpu.to_string(), capacity.gpu.to_string());
            }
            for (token, count) in &wanted.tokens {
                match self.spec.tokens.get(token) {
                    Some(total) if total >= count => {}
                    Some(total) => exceed(&format!("the token {token}"), count.to_string(), total.to_string()),
                    None => {
                        let help = format!("write [tokens] and {token} = {count}");
                        let what = format!("the step {} takes the unknown token {token}", step.id);
                        self.found.add(&wanted.span, what, help);
                    }
                }
            }
        }
    }

    /// Each step after all that it needs; `None` if some need each other.
    fn order(&self) -> Option<Vec<usize>> {
        let mut waiting: Vec<usize> = self.needs.iter().map(BTreeSet::len).collect();
        let mut dependents = vec![Vec::new(); waiting.len()];
        for (index, needs) in self.needs.iter().enumerate() {
            for need in needs {
                dependents[*need].push(index);
            }
        }
        let mut ready: Vec<usize> = (0..waiting.len()).rev().filter(|index| waiting[*index] == 0).collect();
        let mut order = Vec::with_capacity(waiting.len());
        while let Some(index) = ready.pop() {
            order.push(index);
            for dependent in dependents[index].iter().rev() {
                waiting[*dependent] -= 1;
                if waiting[*dependent] == 0 {
                    ready.push(*dependent);
                }
            }
        }
        if order.len() == waiting.len() {
            return Some(order);
        }
        self.tell_cycle(&order);
        None
    }

    fn tell_cycle(&self, order: &[usize]) {
        let ordered: HashSet<usize> = order.iter().copied().collect();
        // From any step that is left, some need is left too; going on, a step comes again.
        let Some(mut at) = (0..self.needs.len()).find(|index| !ordered.contains(index)) else { return };
        let mut path = Vec::new();
        while !path.contains(&at) {
            path.push(at);
            let Some(next) = self.needs[at].iter().find(|need| !ordered.contains(need)) else { return };
            at = *next;
        }
        let start = path.iter().position(|index| *index == at).unwrap_or(0);
        let mut ids: Vec<&str> = path[start..].iter().map(|index| self.spec.steps[*index].id.as_str()).collect();
        ids.push(ids[0]);
        ids.reverse();
        let what = format!("these steps wait for each other: {}", ids.join(" → "));
        self.found.add(&self.spec.steps[at].span, what, "let one of them not read or need what comes after it");
    }

    /// The foreach steps in whose branches each step runs.
    fn stacks(&self, order: &[usize]) -> Vec<Vec<usize>> {
        let mut stacks: Vec<Vec<usize>> = vec![Vec::new(); self.needs.len()];
        for &index in order {
            let step = &self.spec.steps[index];
            let mut needed: Vec<&Vec<usize>> = self.needs[index].iter().map(|need| &stacks[*need]).collect();
            needed.sort_by_key(|stack| stack.len());
            let mut stack = needed.pop().cloned().unwrap_or_default();
            if let Some(other) = needed.iter().find(|other| !stack.starts_with(other)) {
                let name = |stack: &[usize]| stack.last().map_or("", |at| self.spec.steps[*at].id.as_str());
                let (a, b) = (name(other), name(&stack));
                let what = format!("the step {} needs branches of {a} and of {b}", step.id);
                self.found.add(&step.span, what, format!("gather one of them first, in a step with join = \"{a}\""));
            }
            if let Some(join) = &step.join
                && let Some(joined) = self.ids.get(join.value.as_str())
                && self.spec.steps[*joined].foreach.is_some()
            {
                if stack.last() == Some(joined) {
                    stack.pop();
                } else {
                    let what =
                        format!("the step {} joins {} but runs outside of its innermost branches", step.id, join.value);
                    self.found.add(&join.span, what, "join the inner foreach first");
                }
            }
            if step.foreach.is_some() {
                stack.push(index);
            }
            stacks[index] = stack;
        }
        stacks
    }

    /// Names that only some branches have, and outputs that branches would share.
    fn locals(&self, stacks: &[Vec<usize>]) {
        for (step, stack) in self.spec.steps.iter().zip(stacks) {
            let item = |at: &usize| self.spec.steps[*at].foreach.as_ref().map(|foreach| foreach.item.as_str());
            let items: Vec<&str> = stack.iter().filter_map(item).collect();
            for template in templates(step) {
                for name in template.names() {
                    let Name::Local(name) = name else { continue };
                    if !items.contains(&name.as_str()) && !LOCAL_NAMES.contains(&name.as_str()) {
                        let help = did_you_mean(name, items.iter().copied().chain(LOCAL_NAMES));
                        self.found.add(&template.span, format!("the step {} has no `{{{name}}}`", step.id), help);
                    }
                }
            }
            for template in &step.outputs {
                let has = |item: &str| template.names().any(|name| matches!(name, Name::Local(local) if local == item));
                if let Some(item) = items.iter().find(|item| !has(item)).filter(|_| !has("index")) {
                    let what = format!("all branches of the step {} write {}", step.id, template.pattern());
                    self.found.add(&template.span, what, format!("put {{{item}}} or {{index}} into the path"));
                }
            }
        }
    }
}

/// Every template of a step.
fn templates(step: &Step) -> impl Iterator<Item = &Template> {
    let options = [&step.cwd, &step.metrics, &step.environment, &step.service].into_iter().flatten();
    let lists = step.inputs.iter().chain(&step.outputs).chain(step.command.templates());
    lists.chain(options).chain(step.env.iter().map(|(_, template)| template))
}

/// The paths that steps write, found by their first part.
struct Files {
    by_part: HashMap<String, Vec<(usize, String)>>,
    anywhere: Vec<(usize, String)>,
}

impl Files {
    fn of(spec: &Spec, of: impl Fn(&Step) -> &Vec<Template>) -> Self {
        let mut files = Self { by_part: HashMap::new(), anywhere: Vec::new() };
        for (index, step) in spec.steps.iter().enumerate() {
            for template in of(step) {
                let Some(path) = path(spec, step, template) else { continue };
                match first_part(&path) {
                    Some(part) => files.by_part.entry(part.to_owned()).or_default().push((index, path)),
                    None => files.anywhere.push((index, path)),
                }
            }
        }
        files
    }

    /// The writers whose paths a declaration may mean.
    fn meeting(&self, spec: &Spec, step: &Step, template: &Template) -> impl Iterator<Item = (usize, &str)> {
        let path = path(spec, step, template).unwrap_or_default();
        let part = first_part(&path).map(str::to_owned);
        let near: Box<dyn Iterator<Item = &(usize, String)>> = match &part {
            Some(part) => Box::new(self.by_part.get(part).into_iter().flatten()),
            None => Box::new(self.by_part.values().flatten()),
        };
        near.chain(&self.anywhere)
            .filter(move |(_, other)| !path.is_empty() && overlap(&path, other))
            .map(|(index, path)| (*index, path.as_str()))
    }
}

/// The pattern of a declaration, from the folder of the specification; an item of a pattern of files is one of those.
pub(super) fn path(spec: &Spec, step: &Step, template: &Template) -> Option<String> {
    let glob = |step: &Step, item: &str| match &step.foreach {
        Some(Foreach { over: Over::Glob(pattern), item: own, .. }) if own == item => Some(pattern.clone()),
        _ => None,
    };
    let globs: Vec<(String, String)> = template
        .names()
        .filter_map(|name| if let Name::Local(item) = name { Some(item) } else { None })
        .filter_map(|item| {
            let found = glob(step, item).or_else(|| spec.steps.iter().find_map(|step| glob(step, item)));
            Some((item.clone(), found?))
        })
        .collect();
    let known = |name: &Name| {
        let Name::Local(item) = name else { return None };
        globs.iter().find(|(known, _)| known == item).map(|(_, glob)| glob.as_str())
    };
    let declared = Declared::parse(&template.pattern_with(known)).ok()?;
    Some(match step.cwd.as_ref().map(Template::pattern) {
        Some(folder) if !declared.pattern.starts_with('/') => format!("{folder}/{}", declared.pattern),
        _ => declared.pattern,
    })
}

fn first_part(path: &str) -> Option<&str> {
    let part = path.split('/').find(|part| !part.is_empty() && *part != ".")?;
    (!part.contains(['*', '?', '['])).then_some(part)
}

fn cores(millis: u64) -> String {
    let number = millis as f64 / 1000.0;
    format!("{number} core{}", if millis == 1000 { "" } else { "s" })
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
